/* Where rows and files do not go together: files of a folder that no row names, rows whose file is not here. By [table]
 * file; where no table says it, there is nothing to be known. Not here: how they look for people (app/strays). */
#ifndef TANDEM_FILES_STRAY_H
#define TANDEM_FILES_STRAY_H

#include "base/conf.h"
#include "db/db.h"

struct stray_counts {
	bool known; /* some table names files of this folder */
	uint64_t files, bytes; /* that no row names */
	uint64_t rows; /* whose file is not here */
};
MUST_CHECK bool stray_count(struct db *db, const struct conf *conf, const struct conf_tree *t, struct stray_counts *out, struct err *e);

/* One of them. Texts live during the call. */
struct stray {
	const char *table; /* NULL: a file */
	const char *text;  /* its path, or the value in the row */
	size_t len;
	uint64_t bytes; /* of a file */
};
typedef bool stray_visit(void *arg, const struct stray *s, struct err *e);
/* The first most of each kind, files by path, then rows by table. */
MUST_CHECK bool stray_list(struct db *db, const struct conf *conf, const struct conf_tree *t, uint64_t most, stray_visit *visit, void *arg, struct err *e);

#endif
