/* One request from the moment it is whole until its answer, as server.c sees it; handlers see it
 * through the functions in net/server.h. */
#ifndef TANDEM_NET_REQUEST_H
#define TANDEM_NET_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "net/gate.h"
#include "net/guard.h"
#include "net/server.h"
#include "net/session.h"
#include "wire/sign.h"

struct evbuffer;
struct evhttp_request;

/* What the requests of one server have in common. */
struct desk {
	struct sessions *sessions;
	struct request *first; /* all that live */
	size_t busy;	       /* of them, handed to a handler */
	bool people;	       /* the server of the page */
	bool stopping;	       /* no connection is kept open after its answer */
};

struct request {
	struct desk *desk; /* NULL when the server was freed first */
	struct conn *conn; /* NULL when the connection has gone, like req */
	struct evhttp_request *req;
	struct request *prev, *next;
	struct evbuffer *body; /* in one piece */
	const struct conf_peer *peer; /* the signature was right; the answer is signed */
	char name[CONF_NAME_MAX + 1];
	char session[SIGN_SESSION_MAX];
	char mac[SIGN_MAC_HEX + 1];
	unsigned char key[SIGN_KEY_BYTES]; /* for the answer */
	bool seal;			   /* the answer is sealed (wire/seal) */
	size_t tail;			   /* bytes at the end of body that belong to the seal */
	const char *why;		   /* for the log, when the answer says less */
	bool handed;			   /* a handler has it */
	bool keep;			   /* the connection may serve another request */
	bool newcomer;			   /* signed with an invitation, not by a peer */
};

/* NULL without memory. The connection is told that it works on it. */
struct request *request_make(struct desk *d, struct conn *c, struct evhttp_request *req);
/* Take the body from evhttp, whole and in one piece, so that it outlives evhttp's request. */
MUST_CHECK bool request_take_body(struct request *r);
/* The signature was right: name the peer and prepare the key for the answer. */
void request_from_peer(struct request *r, const struct conf_peer *peer,
    const struct gate_signature *sig, const char *self);
/* Open a sealed body; a peer that is to seal its bodies and has not, or one that cannot be opened, is
 * refused. NULL: the body can be read. */
const struct refusal *request_open(struct request *r, const char *self);
/* A handler gets it next. */
void request_hand_over(struct request *r);
/* Answer with a refusal. */
void request_refuse(struct request *r, const struct refusal *no);
/* The connection is going; its request stays valid until its answer, which goes nowhere. */
void request_lose_connection(struct conn *c);
/* The server is going, every connection has gone: what handlers keep stays valid. */
void request_lose_desk(struct desk *d);

#endif
