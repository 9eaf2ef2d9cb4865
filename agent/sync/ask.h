/* One comparison's conversation: questions go to the peer, answers are read line by line. */
#ifndef TANDEM_SYNC_ASK_H
#define TANDEM_SYNC_ASK_H

#include <pthread.h>

#include "change/peer.h"
#include "sync/compare.h"
#include "wire/compare.h"

struct walk; /* sync/compare */
struct asking; /* sync/asking */

/* A comparison of one table under way. */
struct asker {
	struct link *l;
	const struct table *table;
	enum compare_act act;
	const struct compare_watch *watch;
	struct compare_result *out;
	struct digest digest;
	struct buf question, answer;
	int status; /* HTTP */
	bool called; /* the question was sent */
	bool unknown, not_found; /* and refused: the peer knows no such session; no such call */
	pthread_mutex_t *line; /* held by a thread of questions while it calls (sync/asking) */
	struct compare_reader reader; /* of the answer */
	bool dirty; /* here are writes that the triggers could not name (change/moved) */
	uint64_t step;		      /* rows of the next range */
	size_t batch;		      /* ranges of the next question */
	struct walk *ahead;	      /* whose next batch is found and asked for while the peer sums up this one; NULL: none */
	struct asking *asking;	      /* the question about this batch, which is under way already; NULL: none */
	size_t asked;		      /* ranges of it */
	bool counted;		      /* the key is a whole number, and at the beginning its last one was: */
	int64_t last_key;
	uint64_t stride;	      /* whole numbers for each row, where they lie close; 0: not known, or they do not */
	struct digest_list suspects;  /* keys that are to be looked at once more */
	struct cursor_state seen;     /* of ASK_KEYS: what was here of the peer before our rows were read */
};

/* Begin a question; items follow with compare_put_range or compare_put_key while ask_has_room. */
MUST_CHECK bool ask_begin(struct asker *a, enum compare_ask ask, struct err *e);
bool ask_has_room(const struct asker *a);
/* Send it; the reader then stands before the answer's items. *more as in compare_parse_answer. */
MUST_CHECK bool ask_send(struct asker *a, bool *more, struct err *e);
/* The same for a thread of its own: only where a session is open, and without the database. */
MUST_CHECK bool ask_try(struct asker *a, bool *more, struct err *e);
/* Only the call itself, for a thread of its own as above; ask_take then says what became of it, and calls once more with a
 * new hello where that was missing. e: the call's error, in and out. */
MUST_CHECK bool ask_call(struct asker *a, struct err *e);
MUST_CHECK bool ask_take(struct asker *a, bool called, bool *more, struct err *e);
/* An answer that brings nothing on, or more than was asked. Both return false. */
bool ask_got_nothing(const struct asker *a, struct err *e);
bool ask_got_too_much(const struct asker *a, struct err *e);

#endif
