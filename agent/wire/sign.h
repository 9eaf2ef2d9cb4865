/* Message authentication: an HMAC-SHA-256 over everything that gives a request or a
 * response its meaning, with a key per pair and direction; and the session nonces that
 * make a replay useless without any wall clock. Pure: no socket, no file.
 * docs/protocol.md has the exact bytes. */
#ifndef TANDEM_WIRE_SIGN_H
#define TANDEM_WIRE_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	SIGN_KEY_BYTES = 32,
	SIGN_MAC_BYTES = 32,
	SIGN_MAC_HEX = 64,
	SIGN_NONCE_BYTES = 16,
	SIGN_SESSION_MAX = 160, /* text of a session id and a NUL */
	SIGN_NONCE_AGE_MS = 60000 /* a session must make its first request this soon after hello */
};

/* What a request's MAC covers. All strings borrowed; session "" and counter 0 for hello. */
struct sign_request {
	const char *method;
	const char *path; /* raw path as on the request line */
	const char *sender;
	const char *receiver;
	const char *session;
	uint64_t counter;
	const void *body;
	size_t body_len;
};

/* The key for messages from sender to receiver, derived from the pair's key. */
void sign_direction_key(const unsigned char pair[SIGN_KEY_BYTES], const char *sender,
    const char *receiver, unsigned char out[SIGN_KEY_BYTES]);

/* MACs as 64 lower-case hex digits and a NUL. */
void sign_request_mac(const unsigned char key[SIGN_KEY_BYTES], const struct sign_request *r,
    char out[SIGN_MAC_HEX + 1]);
/* key: the direction of the response, that is from the request's receiver to its sender. */
void sign_response_mac(const unsigned char key[SIGN_KEY_BYTES], int status,
    const char *request_mac, const void *body, size_t body_len, char out[SIGN_MAC_HEX + 1]);
/* Constant-time compare of two MAC texts; false unless both are exactly 64 hex digits. */
MUST_CHECK bool sign_equal(const char *a, const char *b);

/* Client: a fresh nonce as 32 hex digits. */
MUST_CHECK bool sign_nonce(char out[SIGN_NONCE_BYTES * 2 + 1], struct err *e);
/* Server, at hello: a stateless session id "CLIENTNONCE.MONOMS.HMAC" that only this boot
 * of this server can have made for this peer. boot: 32 random bytes made at start. */
void sign_session_make(const unsigned char boot[SIGN_KEY_BYTES], const char *peer,
    const char *client_nonce, int64_t now_mono_ms, char out[SIGN_SESSION_MAX]);
/* Server, at a session's first request: did we make it, for this peer? age_ms is filled
 * with the time since hello (the caller refuses above SIGN_NONCE_AGE_MS). */
MUST_CHECK bool sign_session_ours(const unsigned char boot[SIGN_KEY_BYTES], const char *peer,
    const char *session, int64_t now_mono_ms, int64_t *age_ms);

#endif
