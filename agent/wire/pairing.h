/* What two nodes that do not know each other yet say: the line that a person carries from one to the
 * other, the two offers that then travel, and the keys that follow from them. Pure. The bytes are in
 * docs/protocol.md. */
#ifndef TANDEM_WIRE_PAIRING_H
#define TANDEM_WIRE_PAIRING_H

#include <stddef.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "wire/sign.h"

enum {
	PAIRING_VALID_MS = 10 * 60 * 1000, /* a line may be used this long */
	PAIRING_SECRET_HEX = 32,	   /* 128 bits */
	PAIRING_URL_MAX = 300,		   /* a DNS name, scheme and port */
	PAIRING_PIN_MAX = 64,
	PAIRING_TEXT_MAX = 512 /* a line or an offer */
};

/* Who a node is for the other one: what its [peer] section there will say. */
struct offer {
	char node[CONF_NAME_MAX + 1];
	char url[PAIRING_URL_MAX];
	char pin[PAIRING_PIN_MAX];	      /* "" without TLS */
	char secret[PAIRING_SECRET_HEX + 1]; /* of a line: the one-time secret; else a nonce */
};

/* The line that agent --pair prints, and what is sent; one line without blanks. */
void pairing_put_line(struct buf *b, const struct offer *o);
void pairing_put_offer(struct buf *b, const struct offer *o);
/* Only what pairing_put_* makes is taken; ERR_USAGE for a line, ERR_INPUT for an offer. */
MUST_CHECK bool pairing_parse_line(const char *text, struct offer *out, struct err *e);
MUST_CHECK bool pairing_parse_offer(const void *text, size_t len, struct offer *out, struct err *e);

/* The key that signs the two offers, from the line's secret. */
void pairing_call_key(const char *secret, unsigned char out[SIGN_KEY_BYTES]);
/* The new key of the pair, from the secret and the nonces of both offers. */
void pairing_pair_key(const char *secret, const struct offer *inviter, const struct offer *joiner,
    unsigned char out[SIGN_KEY_BYTES]);

#endif
