/* What follows from a comparison: differing records become changes of this node, versions that will be
 * overwritten are kept. */
#ifndef TANDEM_SYNC_REPAIR_H
#define TANDEM_SYNC_REPAIR_H

#include "change/record.h"

/* One record to be queued. Borrowed. */
struct repair_item {
	enum operation operation;
	const char *key;
	size_t key_len;
	const char *old_key; /* how the other side spells the key, or NULL: queued as a changed key */
	size_t old_key_len;
	bool unknown; /* nobody knows whether it has changed: any change that is known wins, but not one that is oldest */
	bool oldest; /* with the oldest time there is: any other change of the record wins */
	const char *via;	/* not ours: this peer has brought it, and is not told; NULL: ours */
	const char *changed_at; /* where via: its version; NULL: not known, the oldest */
	const char *origin;	/* where via: the node that made it; NULL: this one */
};

/* Queue records, whole, inside the caller's transaction. */
MUST_CHECK bool repair_queue(struct db *db, const char *table, const struct repair_item *items, size_t n, struct err *e);
/* Keep this node's version of a record, which is going to lose against the peer's, in sync_conflict; nothing
 * when there is no such record here. The peer's version is not known here: remote_row is {} (NULL when the peer
 * has no such record). */
struct repair_loser {
	const char *database;
	const struct table *table;
	const char *self, *peer;
	const char *key;
	size_t key_len;
	bool there; /* the peer has the record */
};
MUST_CHECK bool repair_keep(struct db *db, const struct repair_loser *loser, struct err *e);

#endif
