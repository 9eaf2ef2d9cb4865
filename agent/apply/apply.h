/* Applying a peer's group: identity and position, one transaction, the answer. */
#ifndef TANDEM_APPLY_APPLY_H
#define TANDEM_APPLY_APPLY_H

#include "db/catalog.h"
#include "db/schema.h"
#include "wire/message.h"
#include "wire/spool.h"

struct applier;

enum {
	APPLY_TRIES = 4,	/* on lock waits and deadlocks; then the sender is told to come again */
	APPLY_ACTIVITY_ROWS = 500 /* of sync_activity kept */
};

/* db: a connection of its own, already in the sync schema; borrowed, as conf and node. Sets the session's
 * skip flag. */
MUST_CHECK bool applier_new(struct db *db, const struct conf *conf, const struct node_identity *node, struct applier **out, struct err *e);
void applier_free(struct applier *a);

/* Apply the group in spool, sent by peer. True: answer the peer with *status (200 or 409) and the text in
 * answer. False: nothing was applied; the peer may try again (503), e says why. */
MUST_CHECK bool apply_group(struct applier *a, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e);
/* What would become of the group: as above, but nothing is locked or changed, and the answer is a rehearsal's
 * (wire/rehearsal). */
MUST_CHECK bool apply_rehearse(struct applier *a, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e);

#endif
