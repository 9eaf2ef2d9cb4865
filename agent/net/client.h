/* The HTTP client of one link: one libcurl handle, one session with one peer. Every request
 * is signed, every answer's signature is checked; an unsigned answer is no answer. */
#ifndef TANDEM_NET_CLIENT_H
#define TANDEM_NET_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"

struct client;
struct guest;
struct shelf;

enum {
	CLIENT_ANSWER_MAX = 64 * 1024 * 1024 /* bytes of one answer */
};

/* self: this node's name; peer: borrowed for the life of the client. stop: when it becomes
 * true a running request ends with ERR_STOPPED; may be NULL. */
MUST_CHECK bool client_new(const char *self, const struct conf_peer *peer, int64_t timeout_ms,
    const atomic_bool *stop, struct client **out, struct err *e);
void client_free(struct client *c);
/* The peer may also come for what is here; while it does, a hello goes that way, and what follows it. shelf: of that
 * peer, borrowed, or NULL. */
void client_use_shelf(struct client *c, struct shelf *shelf);
/* The same through the hatch of the daemon that runs here (net/hatch), for a peer without a url; borrowed, or NULL. */
void client_use_guest(struct client *c, struct guest *guest);
/* Is there a way to the peer now? (a url, or it waits at the shelf) */
bool client_has_way(const struct conf_peer *peer, struct shelf *shelf);

/* One signed exchange: method "GET" or "POST". On true, *status is the signed HTTP status and
 * answer (initialised by the caller, max CLIENT_ANSWER_MAX) holds the signed body. Errors: ERR_PEER when there is no
 * signed answer (connection refused, timeout, captive portal, wrong key; the message says which),
 * ERR_STOPPED. Inside a session when one is open (client_open), else as hello. */
MUST_CHECK bool client_call(struct client *c, const char *method, const char *path,
    const void *body, size_t len, int *status, struct buf *answer, struct err *e);

/* Nonce to put into the hello body (32 hex digits), made anew at every call. Forgets the session:
 * hello is what comes next. */
MUST_CHECK const char *client_hello_nonce(struct client *c, struct err *e);
/* Use this session (from hello's answer) from now on; the counter starts at 1. */
MUST_CHECK bool client_open(struct client *c, const char *session, struct err *e);
/* Forget the session: the next call must be hello. */
void client_close(struct client *c);
bool client_is_open(const struct client *c);
/* Did the last failed call end in an (unsigned or signed) 401? Then exactly one new hello is due. */
bool client_unauthorised(const struct client *c);
/* Did it end in an unsigned 404? An agent has no such path, most likely because it is older. */
bool client_not_found(const struct client *c);

#endif
