/* The HTTP servers of the daemon: one for peers, one for people, each an evhttp with a
 * request gate (limits, exact headers, deadlines, caps) in front of a route table in which
 * authorisation is a column. Runs on one event loop thread; handlers must not block: they
 * answer at once or keep the request and answer later from the same thread. */
#ifndef TANDEM_NET_SERVER_H
#define TANDEM_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/err.h"

struct event_base;
struct server;
struct request;
struct tls_door;

/* Who may call a route. There is no "anybody" but AUTH_OPEN, and a route without a row is 404. */
enum auth {
	AUTH_NOBODY,  /* what a row says that forgets to say it */
	AUTH_OPEN,    /* no secret (healthz) */
	AUTH_MONITOR, /* the page's cookie, for POST with its token; or monitor_key: Authorization: Bearer KEY, or
		       * HTTP Basic with the key as password */
	AUTH_METRICS, /* the same, or metrics_key in the same headers */
	AUTH_PAGE,    /* as AUTH_MONITOR; whoever shows nothing is sent to LOGIN_PATH */
	AUTH_LOGIN,   /* the form with the key: the handler asks request_login */
	AUTH_HELLO,   /* signed by a peer, no session yet */
	AUTH_PEER,    /* signed by a peer within a session, counter above the last */
	AUTH_PAIR     /* without a session: signed with an invitation that is open, or by a peer */
};

/* Who may pair now; asked for each such request. */
struct server_pairing {
	/* The key that an open invitation's requests are signed with; false when none is open. */
	bool (*open)(void *arg, unsigned char key[CONF_KEY_BYTES]);
	/* Somebody tried with another key. */
	void (*wrong)(void *arg);
	void *arg; /* also given to the handlers of AUTH_PAIR */
};

#define LOGIN_PATH "/login"

typedef void request_handler(struct request *r, void *arg);

struct route {
	const char *method; /* "GET" or "POST" */
	const char *path;   /* exact bytes, no query */
	enum auth auth;
	size_t body_max;    /* 0 for GET */
	request_handler *handle;
};

struct server_options {
	struct event_base *base;
	const struct conf *conf; /* names and keys of peers, monitor_key, timeouts; borrowed */
	const char *address;     /* HOST:PORT or [V6]:PORT */
	const struct route *routes;
	size_t nroutes;
	void *arg;               /* given to every handler */
	struct tls_door *tls;    /* NULL: plain HTTP; borrowed (net/tls.h) */
	struct server_pairing pairing; /* for routes of AUTH_PAIR */
	int64_t grace_ms;        /* time for a small request; 0 = GUARD_GRACE_MS (net/guard.h) */
	int64_t idle_ms;         /* time between two requests of one connection; 0 = GUARD_IDLE_MS */
};

/* Bind and listen. A port in use is ERR_IO with a message naming the address and the option
 * to change. Free with server_free, which closes every connection; a request that a handler still
 * keeps stays valid (request_gone) until its reply. Not to be freed from inside a handler. */
MUST_CHECK bool server_new(const struct server_options *o, struct server **out, struct err *e);
void server_free(struct server *s);
/* The port listened on; tells which one it became when the address said 0. */
unsigned server_port(const struct server *s);
/* Take no new connection; those that are being answered finish. */
void server_stop_accepting(struct server *s);
/* Requests handed to a handler and not answered yet. */
size_t server_busy(const struct server *s);

/* What a handler may ask of its request. All borrowed until request_reply. */
const char *request_peer(const struct request *r); /* authenticated peer's name; NULL unless AUTH_HELLO/AUTH_PEER */
/* Signed with an invitation: the name is the caller's word alone, it is no peer yet. */
bool request_is_newcomer(const struct request *r);
const char *request_session(const struct request *r); /* "" for hello */
const void *request_body(const struct request *r, size_t *len);
/* Has the caller gone away? (the reply is then dropped, but must still be made) */
bool request_gone(const struct request *r);
/* For hello: the session id to hand out for the client's nonce (32 hex digits). */
void request_new_session(struct request *r, const char *client_nonce, char *out /* SIGN_SESSION_MAX */);

/* The page's server. Is this monitor_key? Then the answer brings a cookie. *wait_s: no, and the key was not even
 * looked at, since the caller has to wait so long after wrong ones (0: it was). */
bool request_login(struct request *r, const char *key, unsigned *wait_s);
/* The cookie that the request came with is good no more, and the answer takes it away. */
void request_logout(struct request *r);
/* The token that actions need beside the cookie ("" when the request came with the key itself). */
void request_token(struct request *r, char *out /* SERVER_TOKEN_MAX */);
enum { SERVER_TOKEN_MAX = 65 };
/* The caller's address, for the log. */
const char *request_address(const struct request *r);
/* Answer with 303: go to that path of ours (a constant). Frees r. */
void request_redirect(struct request *r, const char *path);

/* An answer without an end: begun by request_stream, then any number of pieces, ended by request_stream_end, which
 * frees r (also when the caller has gone). False: the caller has gone, or does not take what it is sent. */
MUST_CHECK bool request_stream(struct request *r, const char *type);
MUST_CHECK bool request_stream_put(struct request *r, const void *data, size_t len);
void request_stream_end(struct request *r);

/* Answer exactly once, from the loop's thread; frees r. Signed when a peer is authenticated.
 * type: Content-Type. The body is copied. */
void request_reply(struct request *r, int status, const char *type, const void *body, size_t len);
/* The same before the work is done: r stays, and its body, until the reply that must still be made and goes nowhere. */
void request_reply_ahead(struct request *r, int status, const char *type, const void *body, size_t len);
/* The short fixed JSON error: {"error":CODE,"message":TEXT}. */
void request_fail(struct request *r, int status, const char *code, const char *fmt, ...) PRINTF_FMT(4, 5);

#endif
