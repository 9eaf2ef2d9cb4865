/* What follows from a peer's answer: the position it has reached, the records it refused, statuses. */
#ifndef TANDEM_SYNC_SETTLE_H
#define TANDEM_SYNC_SETTLE_H

#include "change/peer.h"
#include "wire/message.h"

struct settled {
	uint64_t applied;
	uint64_t refused;
	uint64_t parked; /* of the refused: now waiting for a person */
};

/* Take the peer's answer (a header line and refusals; overwritten) into the books, in one transaction.
 * An answer for the position already known changes nothing. ERR_HELD when it names a position that is not
 * of our history. */
MUST_CHECK bool settle_answer(struct db *db, const struct conf *conf, const char *self, const char *peer, struct buf *answer, struct settled *out, struct err *e);

/* Statuses once more up to where they stand: for rows that a debt had kept, and that nobody is owed any more. */
MUST_CHECK bool settle_again(struct db *db, struct err *e);
/* Everything that is marked counts as settled: nobody waits for it. */
MUST_CHECK bool settle_newest(struct db *db, struct err *e);
/* The sentence that a link waits with whose peer was away for too long (peer_state.lapsed). */
void settle_put_lapsed(char *out, size_t size, const char *peer, unsigned days);

/* Statuses of what every peer has, and the purge; in small steps, when nothing else is to do. */
MUST_CHECK bool settle_statuses(struct db *db, const struct conf *conf, struct err *e);

#endif
