/* What no trigger saw: noticed from the tables' identities, marked for each peer, mended, compared.
 * docs/design.md, drift, has the rules. */
#ifndef TANDEM_SYNC_DRIFT_H
#define TANDEM_SYNC_DRIFT_H

#include "capture/identity.h"
#include "db/schema.h"
#include "sync/link.h"

enum {
	DRIFT_PAUSE_MS = 1000, /* at least, between two looks of a daemon */
	DRIFT_AGAIN_MS = 2000, /* after one that found something: a table may have been busy just then */
	DRIFT_SHARE = 100      /* and so many times as long as a look takes: at most 1 % of the time */
};

/* Look at all tables; mark what moved and put triggers back. Cheap when nothing did. The sync schema's own tables
 * are looked at first: node is the identity afterwards. *moved: something did, and may not be put back whole. */
MUST_CHECK bool drift_look(struct db *db, const struct conf *conf, struct node_identity *node, bool *moved, struct err *e);

/* The two halves of that around --install's own work on the triggers. before marks what moved since the
 * identities were noted; after notes them for every table whose triggers are right, and forgets tables that are
 * gone. Free with drift_facts_free. */
struct drift_facts;
MUST_CHECK bool drift_before_install(struct db *db, const struct conf *conf, const struct node_identity *node, const struct catalog *c, struct drift_facts **out, struct err *e);
/* Which tables could be replicated and are not enrolled yet: by the catalog's index. Free with free(). */
MUST_CHECK bool drift_find_new(struct db *db, const struct catalog *c, bool **out, struct err *e);
/* Between the two, but not the first time: what was written to tables that are not enrolled yet is not in the queue.
 * They are compared with every peer. */
MUST_CHECK bool drift_mark_new(const struct drift_facts *f, struct err *e);
MUST_CHECK bool drift_after_install(struct drift_facts *f, struct err *e);
/* Did the server show the tables' ids? Without them TRUNCATE cannot be noticed. */
bool drift_sees_ids(const struct drift_facts *f);
void drift_facts_free(struct drift_facts *f);

/* Compare the marked tables, over an open link. What cannot be compared stays marked, with the reason. */
MUST_CHECK bool drift_settle(struct link *l, const struct catalog *c, bool retry, struct err *e);

#endif
