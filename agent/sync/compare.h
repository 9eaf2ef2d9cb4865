/* Comparing one table with a peer record by record, and what is to follow from the differences. The tables are
 * only read, without locks; what is done goes through the queues of both sides. */
#ifndef TANDEM_SYNC_COMPARE_H
#define TANDEM_SYNC_COMPARE_H

#include "change/digest.h"
#include "sync/link.h"

enum compare_act {
	COMPARE_LOOK,	/* changes nothing */
	COMPARE_MINE,	/* what differs is queued here as changes of this node */
	COMPARE_THEIRS, /* the peer queues its records for us; what they overwrite here is kept in sync_conflict */
	COMPARE_MERGE	/* what one side lacks is queued by the other; else the later version known wins, the loser is kept */
};

struct compare_result {
	uint64_t records; /* compared here */
	uint64_t only_here, only_there, different;
	uint64_t busy;	  /* differ because they changed there and have not come here yet */
	uint64_t pending; /* differ because they changed here and have not arrived there yet (COMPARE_MINE does not ask) */
	uint64_t queued;  /* by either side */
};

enum compare_kind { COMPARE_ONLY_HERE, COMPARE_ONLY_THERE, COMPARE_DIFFERENT, COMPARE_BUSY, COMPARE_PENDING, COMPARE_KINDS };

/* A record whose version here gives way to the peer's, now and without a queue. Borrowed. */
struct compare_take {
	const char *ours, *theirs; /* its key as spelled on each side; NULL: no such record */
	size_t ours_len, theirs_len;
	unsigned char sum[DIGEST_BYTES]; /* of ours */
	const char *changed_at, *node;	 /* the peer's version, as far as its queue knows; "" = it does not */
};

/* Who brings rows over during the comparison (sync/fill). */
struct asker;
struct compare_filler {
	/* Nothing of ours is in the range (but its upper bound itself, where skip_high). frontier: all below is settled. */
	bool (*fill)(struct asker *a, const struct digest_range *r, bool skip_high, bool frontier, void *arg, struct err *e);
	bool (*take)(struct asker *a, const struct compare_take *items, size_t n, void *arg, struct err *e);
	/* All up to the key is settled. */
	bool (*passed)(struct asker *a, const char *key, size_t key_len, void *arg, struct err *e);
	const char *low; /* begin above it; NULL: at the beginning */
	size_t low_len;
	void *arg;
};

/* Whoever wants to see more than counts; each function may be NULL. */
struct compare_watch {
	void (*record)(enum compare_kind kind, const char *key, size_t key_len, void *arg);
	void (*progress)(uint64_t records, void *arg);
	const char *was; /* the key of before, where the table got another one (apply/rekey): what was pending under it is told on the way */
	bool spare_counters; /* records with counters that a side has changed and the other not got yet are left as they are */
	const struct compare_filler *filler; /* NULL: what is to come travels through the queues */
	bool keep_unseen; /* the link has begun anew: what a change that is still on its way will replace on the other side is kept,
			   * since who made that change has not seen it (sync/doubt) */
	void *arg;
};

/* Has the table a row at the peer? */
MUST_CHECK bool compare_peek(struct link *l, const struct catalog *c, const struct table *t, bool *rows, struct err *e);
/* Would the peer give rows of the table to whoever fills it? ERR_PEER_REFUSED: the definitions differ too much. */
MUST_CHECK bool compare_may_fill(struct link *l, const struct catalog *c, const struct table *t, struct err *e);
/* Add the peer's rows of the range (its upper bound itself left out, where skip_high) to what only it has. */
MUST_CHECK bool compare_count_there(struct asker *a, const struct digest_range *r, bool skip_high, struct err *e);
/* A person has made the table agree with the peer: if it is held there, it is compared again by the peer itself. An older
 * peer leaves it held. */
MUST_CHECK bool compare_say_settled(struct link *l, const struct catalog *c, const char *table, struct err *e);
/* Compare one table with the link's peer (the link must be open), and act. ERR_PEER_REFUSED with table, column
 * and both definitions when the definitions differ. */
MUST_CHECK bool compare_table(struct link *l, const struct catalog *c, const char *table, enum compare_act act, struct compare_result *out, struct err *e);
/* The same, watched. */
MUST_CHECK bool compare_table_watched(struct link *l, const struct catalog *c, const char *table, enum compare_act act, const struct compare_watch *watch,
    struct compare_result *out, struct err *e);

#endif
