/* What the queue still knows of given records: has one changed since a mark, when and by whom was it changed
 * last. */
#ifndef TANDEM_CHANGE_TRACE_H
#define TANDEM_CHANGE_TRACE_H

#include "change/digest.h"
#include "change/peer.h"

enum {
	TRACE_ROWS_MAX = 200 * 1000,	     /* rows of the queue that a look for versions goes back: about 0.2 s */
	TRACE_UNSEEN_MAX = 5 * 1000 * 1000 /* rows that the mark does not contain: a look at so many takes about 5 s, within any timeout */
};

/* Of one record. */
struct trace {
	uint64_t hash;
	size_t at;	/* its place in the list asked for */
	bool fresh;	/* it has a change that the mark does not contain and that the peer did not bring */
	char changed_at[QUEUE_TIME_LEN + 1]; /* greatest version found; "" = none */
	char node[CONF_NAME_MAX + 1];
};

struct trace_question {
	struct db *db;
	const char *table, *self, *peer;
	const struct mark *seen;
	bool dirty;    /* any record may have changed: writes that the triggers could not name (change/moved) */
	bool versions; /* look back over the last TRACE_ROWS_MAX changes, seen or not */
};

/* out: n traces in the order of keys, to be freed by the caller. ERR_LIMIT: more than TRACE_UNSEEN_MAX changes
 * are not in the mark. */
MUST_CHECK bool trace_find(const struct trace_question *q, const struct digest_list *keys, struct trace **out, struct err *e);

#endif
