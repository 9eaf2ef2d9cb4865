/* The sessions of one server: which ids of its own it has seen used, and the last counter of
 * each. Hello leaves no trace here; a session's memory begins with its first valid request.
 * Pure: no socket, no timer. Not here: how an id is made and checked (wire/sign). */
#ifndef TANDEM_NET_SESSION_H
#define TANDEM_NET_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/sign.h"

enum {
	SESSIONS_PER_PEER = 8, /* one peer's drain, daemon and pull by hand, and some that died */
	SESSIONS_MAX = 256     /* in all: 32 busy peers; about 60 KiB of memory */
};

struct sessions;
struct session;

enum session_verdict {
	SESSION_GOOD,	  /* ours, and the counter is above the last: go on */
	SESSION_STALE,	  /* of another boot or peer, too old, or forgotten: a new hello is due */
	SESSION_REPLAYED, /* ours, but this counter was used before */
	SESSION_FULL	  /* no room that can be made without ending a live session */
};

/* One request, its MAC already found right. */
struct session_call {
	size_t peer;	  /* index of the peer, below npeers */
	const char *name; /* its name */
	const char *id;
	uint64_t counter;
	int64_t now_ms; /* clock_mono_ms */
};

/* npeers > 0. Makes the boot key, so ids of an earlier life are foreign. */
MUST_CHECK bool sessions_new(size_t npeers, struct sessions **out, struct err *e);
void sessions_free(struct sessions *t);
/* The id to hand out at hello; "" when client_nonce is not 32 lower-case hex digits. */
void sessions_make(const struct sessions *t, const char *peer, const char *client_nonce,
    int64_t now_ms, char out[SIGN_SESSION_MAX]);
/* Judge a request and remember its counter. *out is set with SESSION_GOOD only. */
enum session_verdict sessions_use(struct sessions *t, const struct session_call *call,
    struct session **out);

/* A connection uses the session: it is live and stays until every holder let go. */
void session_hold(struct session *s);
void session_release(struct session *s);

#endif
