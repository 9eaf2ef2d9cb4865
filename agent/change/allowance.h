/* The brake on mass deletion (max_delete): how much of a table went away within the last hour since a person's
 * last yes, on the sending and on the applying side. Tables sync_deletion, sync_allowance. */
#ifndef TANDEM_CHANGE_ALLOWANCE_H
#define TANDEM_CHANGE_ALLOWANCE_H

#include "base/conf.h"
#include "db/db.h"

enum {
	ALLOWANCE_SMALL = 50,	     /* a table with no more records than this may lose all of them */
	ALLOWANCE_WINDOW_S = 3600,   /* deletions are added up over so long */
	ALLOWANCE_GRANT_S = 3600,    /* a yes to what a peer wants to delete here is good for so long */
	ALLOWANCE_SHOWN = 100 * 1000, /* records counted for a sentence to a person, never more */
	ALLOWANCE_TEXT_MAX = 512
};

enum allowance_side { ALLOWANCE_SENT, ALLOWANCE_APPLIED };

/* What one group takes away from one table. table borrowed. */
struct allowance_loss {
	const char *table;
	uint64_t records;
};

/* Pure. Is it too much that a table which had so many records lost so many? */
bool allowance_exceeds(const struct conf_limit *limit, uint64_t lost, uint64_t had);
/* A table's records need not be counted any further: with as many left so many losses are within the share.
 * 0: the number of losses decides alone. */
uint64_t allowance_bound(const struct conf_limit *limit, uint64_t lost);

/* The group whose losses are judged, in the transaction that makes or applies it. */
struct allowance {
	struct db *db;
	const struct conf *conf;
	const char *peer;
	enum allowance_side side;
	uint64_t base, epoch; /* it builds on one and ends with the other */
	bool part;	      /* of a group that was cut: what the other parts delete may be gone already */
};

/* Add losses up with those of the last hour. reason is "" when the group may go on, else the sentence that
 * says what is held and by which table. */
MUST_CHECK bool allowance_check(const struct allowance *a, const struct allowance_loss *losses, size_t n, char reason[ALLOWANCE_TEXT_MAX], struct err *e);
/* Forget what was noted above base (it came from tries that were never accepted), and what is too old. */
MUST_CHECK bool allowance_tidy(const struct allowance *a, struct err *e);

/* Changes of this node up to this id have a person's yes. */
MUST_CHECK bool allowance_covered(struct db *db, const char *peer, uint64_t *upto_id, struct err *e);
/* Make it this one, if it is newer: a yes is said to what a drain finds, such as an emptied table. */
MUST_CHECK bool allowance_cover(struct db *db, const char *peer, uint64_t upto_id, struct err *e);
/* Is there a yes to whatever the peer's next group deletes here? */
MUST_CHECK bool allowance_granted(struct db *db, const char *peer, bool *granted, struct err *e);
/* A group of the peer is applied: nothing of it waits any more. last: it is not a part with more to come, so a
 * yes ends here, needed or not (what it was for has been part of this). */
MUST_CHECK bool allowance_applied(struct db *db, const char *peer, bool last, struct err *e);
/* Is nothing held back of any peer, and no yes open? Then allowance_applied has nothing to do. */
MUST_CHECK bool allowance_is_quiet(struct db *db, bool *quiet, struct err *e);
/* Note for --status what is held back of the peer. */
MUST_CHECK bool allowance_wait(struct db *db, const char *peer, const char *reason, struct err *e);
/* What is held back of the peer here, "" = nothing. */
MUST_CHECK bool allowance_waiting(struct db *db, const char *peer, char out[ALLOWANCE_TEXT_MAX], struct err *e);

/* A person says yes: to what is pending for the peer, and to what this node holds back of it. */
MUST_CHECK bool allowance_allow(struct db *db, const char *peer, struct err *e);
/* Forget a peer. */
MUST_CHECK bool allowance_forget(struct db *db, const char *peer, struct err *e);

#endif
