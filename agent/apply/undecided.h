/* Records on which this node and the peer are apart until somebody decides: what a person has to look at, and
 * what ends when a version arrives that has seen ours. Tables sync_undecided and, of the peer, sync_owed. */
#ifndef TANDEM_APPLY_UNDECIDED_H
#define TANDEM_APPLY_UNDECIDED_H

#include "apply/chunk.h"

/* Read what is open between us and the pass's peer; nearly always nothing. */
MUST_CHECK bool undecided_look(struct pass *p, struct err *e);
/* Is anything open about the record with this hash? */
bool undecided_concerns(const struct pass *p, uint64_t hash);

/* Is a change of ours among that, which the peer has refused? */
bool undecided_owes(const struct pass *p, uint64_t hash);

/* Is it two rows of different meaning under one automatic number, not two versions of one record? */
bool undecided_is_collision(const struct chunk *c, const struct item *item);
/* Neither version may go (VERDICT_ASK): keep both for a person, or renew what is kept. */
MUST_CHECK bool undecided_keep(struct chunk *c, const struct item *item, struct err *e);
/* The server has refused the record for a unique value: keep it and the row that has the value. *asked: there is one. */
MUST_CHECK bool undecided_keep_rival(struct chunk *c, const struct item *item, bool *asked, struct err *e);
/* The record was taken, or the local version stays by a verdict: what was open about it has ended. */
MUST_CHECK bool undecided_end(struct chunk *c, const struct item *item, struct err *e);

#endif
