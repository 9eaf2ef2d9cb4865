/* TLS between peers: this node's key and certificate, and the door that a connection to it passes
 * before anything of HTTP is read. A peer is known by the hash of its public key (its pin) and by
 * nothing else: no name, no date, no authority. Not here: the calling side's options (net/client),
 * deadlines (net/guard), which pins are right for which peer (net/server). */
#ifndef TANDEM_NET_TLS_H
#define TANDEM_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "base/err.h"

struct bufferevent;
struct event_base;
struct tls_door;

enum {
	TLS_PIN_LEN = 8 + 44, /* "sha256//" and 32 bytes in base64 */
	TLS_WHY_MAX = 160     /* why a handshake failed, as text */
};

/* This node's key and certificate. */
struct tls_identity {
	char *pem; /* the key, then the certificate */
	size_t len;
	char pin[TLS_PIN_LEN + 1]; /* what peers write into tls_pin */
};

/* Read the identity of conf's node (conf->node.identity); made when it is missing: a P-256 key and
 * a self-signed certificate without end, in a file of mode 0600. Free with tls_identity_free. */
MUST_CHECK bool tls_identity(const struct conf *conf, struct tls_identity *out, struct err *e);
void tls_identity_free(struct tls_identity *id);

/* Is it "sha256//" and 44 characters of base64? */
bool tls_is_pin(const char *pin);

/* The server's side: TLS 1.2 or later, no renegotiation, compression, tickets. Every caller is asked
 * for a certificate. While every peer of conf has a tls_pin, one who shows none of theirs does not
 * get in, unless let (asked for each connection) lets strangers in, for pairing. */
MUST_CHECK bool tls_door_new(const struct conf *conf, struct tls_door **out, struct err *e);
void tls_door_free(struct tls_door *d);
void tls_door_let_strangers(struct tls_door *d, bool (*let)(void *arg), void *arg);
/* For a connection that is being accepted: its bufferevent, which owns its socket; NULL without
 * memory. */
struct bufferevent *tls_door_open(struct tls_door *d, struct event_base *base);

/* The pin of the key that the caller has proved to have; false when it showed none. */
bool tls_shown(struct bufferevent *bev, char pin[TLS_PIN_LEN + 1]);
/* Is the handshake over, and well? */
bool tls_stands(struct bufferevent *bev);
/* Did it fail? Then why, in words for a log; may be asked once. */
bool tls_failed(struct bufferevent *bev, char why[TLS_WHY_MAX]);

#endif
