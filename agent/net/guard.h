/* The guard of one evhttp: how many connections there may be, and how long each may take for what
 * it does. evhttp itself knows neither a deadline for a whole request nor a limit of connections.
 * Not here: what a request says (net/gate) and who answers it (net/server). */
#ifndef TANDEM_NET_GUARD_H
#define TANDEM_NET_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct evbuffer;
struct event;
struct event_base;
struct evhttp;
struct evhttp_connection;
struct evhttp_request;
struct bufferevent;
struct guard;
struct tls_door;
struct request;
struct session;

enum {
	GUARD_CONNS_MAX = 256,	     /* in all; with the rest of the agent far below 1024 files */
	GUARD_CONNS_PER_PLACE = 64,  /* of one IPv4 address or IPv6 /64 network; a tunnel is one place */
	GUARD_GRACE_MS = 10000,	     /* to send a small request, or to take a small answer */
	GUARD_IDLE_MS = 90000,	     /* between two requests of a peer or a page */
	GUARD_RATE_STRANGER = 65536, /* bytes/s that a larger request must keep up beyond the grace ... */
	GUARD_RATE_TRUSTED = 8192,   /* ... and where this connection has shown a key: a slow uplink */
	GUARD_STRANGERS_MAX = 64 * 1024 * 1024, /* bytes held for all who have not shown a key: 16
						   bodies of 4 MiB at a time */
	GUARD_BACKSTOP_S = 1800, /* evhttp's own timeout, a net below ours: above 4 MiB at 8 KiB/s */
	GUARD_ADDRESS_MAX = 64	 /* numeric address and a NUL */
};

/* What a connection is doing; each has its own deadline. */
enum conn_state {
	CONN_FRESH,   /* accepted, not yet looked at */
	CONN_READING, /* sends a request: grace + bytes/rate */
	CONN_WORKING, /* a handler has the request: no deadline of ours */
	CONN_WRITING, /* takes the answer: grace + bytes/rate */
	CONN_IDLE     /* between requests: idle limit */
};

struct conn {
	/* Belongs to the server. */
	struct request *request; /* being worked on, or NULL */
	struct session *session; /* held, or NULL */
	/* To read. */
	char address[GUARD_ADDRESS_MAX]; /* of the caller */
	char local[GUARD_ADDRESS_MAX];	 /* of our end */
	/* The guard's own. */
	struct guard *guard;
	struct conn *prev, *next;
	struct bufferevent *bev;
	struct event *timer;
	struct event *hangup; /* while a handler keeps the request */
	enum conn_state state;
	int64_t since_ms;      /* when the state began */
	size_t moved;	       /* bytes since then */
	size_t held;	       /* our share of the strangers' bytes */
	unsigned char place[17]; /* family and address, what is counted together */
	bool admitted;
	bool trusted;
	bool told;	  /* why it is closed has been reported */
	bool doomed; /* close at the next turn of the loop */
	bool over;   /* evhttp has refused a request by itself: nothing that follows counts */
};

struct guard_options {
	struct event_base *base;
	struct evhttp *http; /* its bevcb becomes the guard's */
	struct tls_door *tls; /* what connections pass first; NULL: plain HTTP. Borrowed */
	int64_t grace_ms;    /* 0 = GUARD_GRACE_MS */
	int64_t idle_ms;     /* 0 = GUARD_IDLE_MS */
	size_t body_max;     /* largest body of any route */
	/* The connection is going: forget it, see to its request and session. */
	void (*closed)(struct conn *c, void *arg);
	/* Turned away without having reached a handler; status 0 = closed without an answer. */
	void (*refused)(const char *address, int status, const char *why, void *arg);
	void *arg;
};

MUST_CHECK bool guard_new(const struct guard_options *o, struct guard **out, struct err *e);
/* After evhttp_free. NULL is allowed. */
void guard_free(struct guard *g);
/* The connection a request came on; NULL when it slipped by for want of memory. */
struct conn *guard_find(const struct guard *g, struct evhttp_request *req);
/* Close the connections that wait between requests or have not finished sending one. */
void guard_close_quiet(struct guard *g);

/* A whole request is here and r is to answer it. */
void conn_working(struct conn *c, struct request *r);
/* The answer comes later: notice when the caller goes away meanwhile. */
void conn_watch(struct conn *c);
/* Just before the answer is given to evhttp. The rest follows by itself. */
void conn_writing(struct conn *c, struct evhttp_request *req);
/* This connection has shown a key. */
void conn_trust(struct conn *c);
/* Has the caller proved to have the TLS key of that pin? Where connections are plain HTTP nobody
 * can, and nobody is asked: true. */
bool conn_proves(const struct conn *c, const char *pin);

#endif
