/* Bodies that only the two nodes of a pair can read, for ways on which TLS ends elsewhere: ChaCha20-Poly1305
 * with a key made for each body. Pure. Who is believed is a matter of wire/sign, whose MAC covers the sealed
 * bytes; which bodies are sealed is one of net/. docs/protocol.md has the exact bytes. */
#ifndef TANDEM_WIRE_SEAL_H
#define TANDEM_WIRE_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire/sign.h"

enum {
	SEAL_SALT_BYTES = 32,
	SEAL_TAG_BYTES = 16,
	SEAL_HEAD_BYTES = 13 + SEAL_SALT_BYTES,		/* "tandem-seal1\n" and the salt */
	SEAL_EXTRA = SEAL_HEAD_BYTES + SEAL_TAG_BYTES	/* a sealed body is so much longer */
};

/* What a body belongs to: one made for the one is none for the other. */
enum seal_use { SEAL_REQUEST, SEAL_ANSWER };

/* Does it begin as a sealed body? No other body does. */
bool seal_is(const void *body, size_t len);
/* Append the sealed body. key: of the direction it travels in (sign_direction_key). */
MUST_CHECK bool seal_put(const unsigned char key[SIGN_KEY_BYTES], enum seal_use use, const void *plain, size_t len,
    struct buf *out, struct err *e);
/* Open it where it lies: the text is *plain_len bytes at body + SEAL_HEAD_BYTES. False, and nothing of it is to
 * be read: another key or use, one bit changed, cut, or no sealed body. */
MUST_CHECK bool seal_open(const unsigned char key[SIGN_KEY_BYTES], enum seal_use use, void *body, size_t len,
    size_t *plain_len);

#endif
