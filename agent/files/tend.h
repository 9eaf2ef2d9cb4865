/* The look at this node's own folders: their lists are told, what needs no peer is put right, what was kept long enough goes.
 * Not here: each of these (files/scan, files/tell, files/arrive), when it is time (app/lookout). */
#ifndef TANDEM_FILES_TEND_H
#define TANDEM_FILES_TEND_H

#include "files/tree.h"
#include "files/watch.h"

struct tended {
	bool changed; /* something is to be told */
	bool held;    /* a tree waits for a person */
	bool wants;   /* contents are missing here */
	bool busy;    /* files that are being written, or a tree that another agent works in: look again soon */
};
/* All trees of agent.conf. Peers are told with the next call what is missing. Errors of one tree are logged and stand in
 * sync_tree; false is the database's. */
MUST_CHECK bool tend_all(struct db *db, const struct conf *conf, int64_t wait_ms, struct tended *out, struct err *e);
/* The same at one tree. w: watches its directories, new ones included, before the look; may be NULL. Adds to *out. */
MUST_CHECK bool tend_one(struct db *db, const struct conf *conf, const struct conf_tree *c, struct watch *w, int64_t wait_ms, struct tended *out, struct err *e);

#endif
