/* Where errands lie: calls to a peer that it fetches over a connection of its own (GET download) and answers
 * (POST acknowledge), since this node cannot call it. Threads make the calls of a peer, one after the other, and wait for
 * their answers; the requests are the loop's. */
#ifndef TANDEM_NET_SHELF_H
#define TANDEM_NET_SHELF_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "net/server.h"
#include "wire/sign.h"

struct shelves; /* of all peers */
struct shelf;	/* of one */

MUST_CHECK bool shelves_new(const struct conf *conf, struct shelves **out, struct err *e);
/* No thread may be in shelf_call any more; requests that wait are answered. */
void shelves_free(struct shelves *all);
struct shelf *shelves_of(struct shelves *all, const char *peer); /* NULL: no such peer */

/* --- the loop's thread --- */

/* Becomes readable when shelves_turn has something to do; it is also due now and then by the clock. */
int shelves_fd(const struct shelves *all);
void shelves_turn(struct shelves *all);
/* The node is stopping: nobody is kept waiting. */
void shelves_close(struct shelves *all);
/* A peer comes for an errand, or brings something (the body is an errand_reply). */
void shelf_download(struct shelf *s, struct request *request);
void shelf_acknowledge(struct shelf *s, struct request *request);

/* --- the threads that call --- */

/* Told, on the loop's thread, when the peer begins to fetch. */
void shelf_on_visit(struct shelf *s, void (*visited)(void *arg), void *arg);
/* The number of the visit that waits; 0: nobody waits. In session (may be NULL) is put which session it belongs to. */
uint64_t shelf_visit(struct shelf *s, char session[SIGN_SESSION_MAX]);
/* There is nothing for the peer: seen after that visit had begun. */
void shelf_nothing(struct shelf *s, uint64_t visit);

/* Somebody comes who will call, or goes (net/hatch): until then a peer that has come only to look is kept. */
void shelf_guest(struct shelf *s, bool comes);

struct shelf_call {
	const char *session; /* of the visit that the conversation began with */
	const char *path;
	const void *body;
	size_t len;
	int64_t timeout_ms; /* without a sign of the peer */
	const atomic_bool *stop; /* may be NULL */
};

/* Lay an errand down and wait until it was fetched and answered. True: *status and answer are the peer's. ERR_PEER:
 * nobody came, or did not come back; *gone then says that the session is over. */
MUST_CHECK bool shelf_call(struct shelf *s, const struct shelf_call *call, int *status, struct buf *answer, bool *gone, struct err *e);

#endif
