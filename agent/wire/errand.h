/* The lines of fetching: what lies on a node for a peer to fetch (an errand: a call that the node would make itself
 * if it could reach the peer), and what the peer brings back. One line in the codec of records; bytes may follow. */
#ifndef TANDEM_WIRE_ERRAND_H
#define TANDEM_WIRE_ERRAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/line.h"

enum {
	ERRAND_LINE_MAX = LINE_SHORT_MAX,
	ERRAND_PATH_MAX = 64,
	ERRAND_WAIT_MAX_MS = 60 * 1000 /* that a download is kept waiting: tunnels close what is silent for longer */
};

enum errand_kind {
	ERRAND_CALL,	/* a call: number, path, and its body behind the line */
	ERRAND_NOTHING, /* looked, there is nothing */
	ERRAND_LATER	/* not known yet: ask again */
};

/* The answer to a download. */
struct errand {
	enum errand_kind kind;
	uint64_t number;
	char path[ERRAND_PATH_MAX];
};

enum errand_reply_kind {
	ERRAND_OPEN,  /* the caller comes to fetch */
	ERRAND_ANSWER /* what came of an errand, or a piece of it behind the line */
};

/* The body of an acknowledgement. */
struct errand_reply {
	enum errand_reply_kind kind;
	uint64_t wait_ms; /* of ERRAND_OPEN: how long a download may be kept waiting */
	bool once;	  /* only until there is nothing: do not wait for something to come */
	uint64_t number;  /* of ERRAND_ANSWER */
	uint64_t status;
	uint64_t piece;
	bool last;
};

void errand_put(struct buf *out, const struct errand *x);
/* *payload_at: where the bytes behind the line begin. */
MUST_CHECK bool errand_parse(const char *text, size_t len, struct errand *x, size_t *payload_at, struct err *e);
void errand_put_reply(struct buf *out, const struct errand_reply *r);
MUST_CHECK bool errand_parse_reply(const char *text, size_t len, struct errand_reply *r, size_t *payload_at, struct err *e);

#endif
