/* A node that fills itself from a peer: from whom, how far each table is. Tables sync_startup,
 * sync_startup_table. */
#ifndef TANDEM_CHANGE_FILLING_H
#define TANDEM_CHANGE_FILLING_H

#include "change/peer.h"
#include "db/catalog.h"

#define FILLING_AWAIT_S "10" /* a peer that can be asked has answered long before */

struct filling {
	bool any; /* this node is being filled just now, or a startup was cut */
	bool awaited; /* it may begin any moment: its daemon is up, and has not asked a peer yet */
	char peer[CONF_NAME_MAX + 1];
	bool copy;
	uint64_t records;
};

/* The startup that has begun and not ended. */
MUST_CHECK bool filling_load(struct db *db, struct filling *out, struct err *e);
/* The daemon of a node without rows is about to ask its peers: for FILLING_AWAIT_S at most, or until it is decided. A
 * change that came before would make it a node with rows, and all others would stay away. */
MUST_CHECK bool filling_await(struct db *db, struct err *e);
MUST_CHECK bool filling_decided(struct db *db, struct err *e);
/* Was one ever begun here? */
MUST_CHECK bool filling_is_known(struct db *db, bool *known, struct err *e);
/* Begin: waits for groups that are being applied; those that come later are refused. One at a time: ERR_USAGE names
 * the other peer. What an earlier one from this peer had come to is forgotten. */
MUST_CHECK bool filling_begin(struct db *db, const char *peer, bool copy, struct err *e);
MUST_CHECK bool filling_end(struct db *db, const char *peer, struct err *e);

struct filling_table {
	bool done, begun;
	char key[CATALOG_KEY_BYTES + 1]; /* where begun: the last one done */
	size_t key_len;
	uint64_t records;
};
MUST_CHECK bool filling_table_load(struct db *db, const char *peer, const char *table, struct filling_table *out, struct err *e);
/* All up to the key is done (NULL: the table is), and so many records more have been copied; in the transaction that
 * is open. */
MUST_CHECK bool filling_table_note(struct db *db, const char *peer, const char *table, const char *key, size_t key_len, uint64_t records, struct err *e);

#endif
