/* A group to be sent: marked, read and spooled in ONE snapshot, so that it is one consistent state of the
 * database; no network is waited for meanwhile. */
#ifndef TANDEM_SYNC_GROUP_H
#define TANDEM_SYNC_GROUP_H

#include "change/allowance.h"
#include "change/peer.h"
#include "change/record.h"
#include "wire/message.h"
#include "wire/spool.h"

struct group {
	struct db *db;
	const struct conf *conf;
	const struct node_identity *node;
	struct catalog *catalog; /* owned; read at the first group */
	const char *peer;
	/* what group_build fills */
	struct peer_state state;
	struct cursor_state cursor;
	struct mark base, last, upto;
	bool fresh;  /* upto is made by this group */
	bool last_part;
	char over[ALLOWANCE_TEXT_MAX]; /* of one that is only looked at: why its deletions would be held; "" = they would not */
	bool allow_deletes; /* of the caller: a person said yes to whatever is found now */
	uint64_t records;
	struct collapse collapse;
	struct spool *head, *body; /* header, owed and deletes; then updates and inserts */
};

enum group_result { GROUP_NOTHING, GROUP_READY };

void group_init(struct group *g, struct db *db, const struct conf *conf, const struct node_identity *node, const char *peer);
void group_free(struct group *g);

/* Told of each record as it is written into the group; begin: the group is built (perhaps anew), what was told since
 * keep is void; keep: the group stands; lost: how many records of the table the groups before took away. */
struct group_watch {
	void (*begin)(void *arg);
	void (*record)(const char *table, const struct record_meta *m, size_t bytes, void *arg);
	void (*keep)(void *arg);
	uint64_t (*lost)(const char *table, void *arg);
	void *arg;
};

struct build_options {
	const struct group_watch *watch; /* only look: the group can be sent, but here everything is rolled back. NULL: in earnest */
	const struct mark *onward; /* only look: build what follows this mark, where the group before ended; NULL: the first */
	bool retry;	/* also the records that the peer refused before */
	uint64_t after; /* build what follows this epoch although its answer has not come yet; 0 = what follows the acknowledged one */
};

/* Build the next group for the peer. GROUP_NOTHING: there is
 * nothing for it (upto is then the newest mark anyway). ERR_HELD: the peer's position is not kept any more. */
MUST_CHECK bool group_build(struct group *g, const struct build_options *how, enum group_result *result, struct err *e);
/* Bytes of the group as sent, and a piece of them. */
uint64_t group_size(const struct group *g);
MUST_CHECK bool group_get(struct group *g, uint64_t offset, void *out, size_t len, size_t *got, struct err *e);
/* Give the spools back (after sending). */
void group_drop(struct group *g);

#endif
