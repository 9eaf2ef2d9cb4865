/* A glance at paths that were heard of (files/watch): what came new is told at once, without a look at the whole tree, which
 * takes a second where there are a hundred thousand files. Whatever else happened is for that look. */
#ifndef TANDEM_FILES_GLANCE_H
#define TANDEM_FILES_GLANCE_H

#include "base/buf.h"
#include "base/conf.h"
#include "db/db.h"

struct glance {
	bool busy; /* files that are being written, or another agent works in the tree: the same paths again soon */
	bool wide; /* look at the whole tree */
};

/* paths: as watch_paths gives them. db is in the sync schema. */
MUST_CHECK bool glance_run(struct db *db, const struct conf *conf, const struct conf_tree *c, const struct buf *paths, struct glance *out, struct err *e);

#endif
