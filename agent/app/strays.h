/* Files that no row names and rows whose file is not here, for `agent --trees`. Not here: finding them (files/stray). */
#ifndef TANDEM_APP_STRAYS_H
#define TANDEM_APP_STRAYS_H

#include "base/buf.h"
#include "base/conf.h"
#include "db/db.h"

enum {
	STRAYS_LISTED = 10000 /* of each kind and table */
};

struct strays_view {
	struct db *db;
	const struct conf *conf;
	const struct conf_tree *tree;
	bool list; /* one by one, not their numbers alone */
};
/* Lines for people, nothing where no table names files of the folder. */
MUST_CHECK bool strays_put_text(const struct strays_view *v, struct buf *out, struct err *e);
/* ,"unnamed":N,... */
MUST_CHECK bool strays_put_json(const struct strays_view *v, struct buf *out, struct err *e);

#endif
