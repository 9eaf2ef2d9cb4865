/* [tree] after: the command that is run once a batch of files stands in its place, and the paths that it is told. They
 * are written down before a file gets its name, so that a crash at any moment loses none; at worst one is told twice. */
#ifndef TANDEM_FILES_AFTER_H
#define TANDEM_FILES_AFTER_H

#include <stdatomic.h>

#include "base/conf.h"
#include "db/db.h"

enum {
	AFTER_LIMIT_MS = 5 * 60 * 1000, /* for one run */
	AFTER_QUIET_MS = 1000,	       /* nothing came for so long: the batch is over */
	AFTER_LONGEST_MS = 60 * 1000,  /* or its first path waits so long */
	AFTER_TRIES_MAX = 3,	       /* then the paths are given up: the command is broken */
	AFTER_RETRY_S = 600,
	AFTER_PATHS_MAX = 100 * 1000,  /* of one run */
	AFTER_ERROR_MAX = 512
};

/* Paths that are about to change. *out NULL: the tree has no command, and all calls do nothing. */
struct placed;
MUST_CHECK bool placed_new(struct db *db, const struct conf_tree *t, struct placed **out, struct err *e);
void placed_free(struct placed *p);
MUST_CHECK bool placed_add(struct placed *p, const char *path, struct err *e);
MUST_CHECK bool placed_flush(struct placed *p, struct err *e);

/* Run the command if a batch is over, or (now) whatever was not told yet. One process at a time does; it is waited for.
 * That the command failed is logged and remembered; false is the database's. stop may be NULL. */
struct after_order {
	const struct conf *conf;
	const struct conf_tree *tree;
	bool now;
	const atomic_bool *stop;
};
MUST_CHECK bool after_run(struct db *db, const struct after_order *o, struct err *e);
/* How it ended last: "" = well, or never run. */
MUST_CHECK bool after_failure(struct db *db, const char *tree, char out[AFTER_ERROR_MAX], struct err *e);

#endif
