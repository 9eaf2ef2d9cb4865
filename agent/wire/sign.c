/* Message authentication. Lives here: the bytes that a MAC covers, keys of a direction, session
 * ids. Not here: HTTP headers (net/gate), counters and which sessions are alive (net/session).
 *
 * Every text under a key begins with a line that names its purpose, and every field ends with a
 * newline. No field can hold a newline (names, paths, sessions and MACs have fixed alphabets), so
 * two different messages never give the same text, and a text made for one purpose never fits
 * another. docs/protocol.md has the same bytes in words. */
#include "config.h"

#include "wire/sign.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"

enum {
	DECIMAL_MAX = 21,    /* 20 digits of 2^64 - 1 and a NUL */
	MONO_DIGITS_MAX = 18, /* milliseconds of a boot clock; always fits an int64_t */
	FIELDS_MAX = 4096    /* a route, two names, a session and MACs take less than 512 bytes; on the
			      * stack, since there is nothing that could be done without memory for it */
};

static_assert(SIGN_MAC_HEX == SIGN_MAC_BYTES * 2, "a MAC is written in hexadecimal");
static_assert(SIGN_NONCE_BYTES * 2 + 1 + MONO_DIGITS_MAX + 1 + SIGN_MAC_HEX < SIGN_SESSION_MAX,
    "a session id fits its buffer");

/* The library can fail only when it is broken, or for want of memory of its own. There is no answer that
 * would be safe to compare, send or use as a key then, and no caller could do better. */
static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* HMAC-SHA-256 over fields[], a newline after each. */
static void
mac_of(const unsigned char key[SIGN_KEY_BYTES], const char *const *fields, size_t n,
    unsigned char out[SIGN_MAC_BYTES])
{
	size_t total = 0, at = 0;
	unsigned size = 0;
	char text[FIELDS_MAX];

	for (size_t i = 0; i < n; i++)
		total += strlen(fields[i]) + 1;
	must(total <= sizeof text);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(fields[i]);

		memcpy(text + at, fields[i], len);
		at += len;
		text[at++] = '\n';
	}
	assert(at == total);
	must(HMAC(EVP_sha256(), key, SIGN_KEY_BYTES, (unsigned char *)text, total, out, &size) != NULL);
	must(size == SIGN_MAC_BYTES);
}

static void
mac_hex(const unsigned char key[SIGN_KEY_BYTES], const char *const *fields, size_t n,
    char out[SIGN_MAC_HEX + 1])
{
	unsigned char mac[SIGN_MAC_BYTES];

	mac_of(key, fields, n, mac);
	hex_write(mac, sizeof mac, out);
}

static void
body_hash(const void *body, size_t len, char out[SIGN_MAC_HEX + 1])
{
	unsigned char md[SIGN_MAC_BYTES];
	unsigned size = 0;

	must(EVP_Digest(len == 0 ? "" : body, len, md, &size, EVP_sha256(), NULL) == 1);
	must(size == sizeof md);
	hex_write(md, sizeof md, out);
}

void
sign_direction_key(const unsigned char pair[SIGN_KEY_BYTES], const char *sender,
    const char *receiver, unsigned char out[SIGN_KEY_BYTES])
{
	const char *fields[] = { "tandem1 key", sender, receiver };

	static_assert(SIGN_KEY_BYTES == SIGN_MAC_BYTES, "a derived key is one MAC");
	mac_of(pair, fields, sizeof fields / sizeof fields[0], out);
}

void
sign_request_mac(const unsigned char key[SIGN_KEY_BYTES], const struct sign_request *r,
    char out[SIGN_MAC_HEX + 1])
{
	char counter[DECIMAL_MAX], length[DECIMAL_MAX], hash[SIGN_MAC_HEX + 1];
	const char *fields[] = { "tandem1 request", r->method, r->path, r->sender, r->receiver,
		r->session, counter, length, hash };

	(void)snprintf(counter, sizeof counter, "%" PRIu64, r->counter);
	(void)snprintf(length, sizeof length, "%zu", r->body_len);
	body_hash(r->body, r->body_len, hash);
	mac_hex(key, fields, sizeof fields / sizeof fields[0], out);
}

void
sign_response_mac(const unsigned char key[SIGN_KEY_BYTES], int status, const char *request_mac,
    const void *body, size_t body_len, char out[SIGN_MAC_HEX + 1])
{
	char code[DECIMAL_MAX], length[DECIMAL_MAX], hash[SIGN_MAC_HEX + 1];
	const char *fields[] = { "tandem1 response", code, request_mac, length, hash };

	(void)snprintf(code, sizeof code, "%d", status);
	(void)snprintf(length, sizeof length, "%zu", body_len);
	body_hash(body, body_len, hash);
	mac_hex(key, fields, sizeof fields / sizeof fields[0], out);
}

bool
sign_equal(const char *a, const char *b)
{
	if (!hex_is(a, SIGN_MAC_HEX) || !hex_is(b, SIGN_MAC_HEX))
		return false;
	return CRYPTO_memcmp(a, b, SIGN_MAC_HEX) == 0;
}

bool
sign_nonce(char out[SIGN_NONCE_BYTES * 2 + 1], struct err *e)
{
	unsigned char raw[SIGN_NONCE_BYTES];

	out[0] = '\0';
	if (!clock_random(raw, sizeof raw, e))
		return false;
	hex_write(raw, sizeof raw, out);
	return true;
}

/* The part of a session id that only this boot can compute. */
static void
session_mac(const unsigned char boot[SIGN_KEY_BYTES], const char *peer, const char *nonce,
    const char *mono, char out[SIGN_MAC_HEX + 1])
{
	const char *fields[] = { "tandem1 session", peer, nonce, mono };

	mac_hex(boot, fields, sizeof fields / sizeof fields[0], out);
}

void
sign_session_make(const unsigned char boot[SIGN_KEY_BYTES], const char *peer,
    const char *client_nonce, int64_t now_mono_ms, char out[SIGN_SESSION_MAX])
{
	char mono[DECIMAL_MAX], mac[SIGN_MAC_HEX + 1];

	out[0] = '\0';
	assert(now_mono_ms >= 0);
	if (!hex_is(client_nonce, SIGN_NONCE_BYTES * 2))
		return; /* an empty id opens nothing */
	(void)snprintf(mono, sizeof mono, "%" PRId64, now_mono_ms);
	session_mac(boot, peer, client_nonce, mono, mac);
	(void)snprintf(out, SIGN_SESSION_MAX, "%s.%s.%s", client_nonce, mono, mac);
}

/* Take the text up to the next dot (or the end, when last) of at most max bytes. */
static bool
cut_part(const char **s, char *out, size_t max, bool last)
{
	size_t n = strcspn(*s, ".");

	if (n == 0 || n > max || (*s)[n] != (last ? '\0' : '.'))
		return false;
	memcpy(out, *s, n);
	out[n] = '\0';
	*s += n + (last ? 0 : 1);
	return true;
}

bool
sign_session_ours(const unsigned char boot[SIGN_KEY_BYTES], const char *peer, const char *session,
    int64_t now_mono_ms, int64_t *age_ms)
{
	char nonce[SIGN_NONCE_BYTES * 2 + 1], mono[MONO_DIGITS_MAX + 1];
	char got[SIGN_MAC_HEX + 1], want[SIGN_MAC_HEX + 1];
	int64_t made;

	*age_ms = INT64_MAX;
	if (!cut_part(&session, nonce, sizeof nonce - 1, false) ||
	    !cut_part(&session, mono, sizeof mono - 1, false) ||
	    !cut_part(&session, got, sizeof got - 1, true))
		return false;
	if (!hex_is(nonce, sizeof nonce - 1) || strspn(mono, "0123456789") != strlen(mono))
		return false;
	session_mac(boot, peer, nonce, mono, want);
	if (!sign_equal(got, want))
		return false;
	made = strtoll(mono, NULL, 10);
	if (made > now_mono_ms)
		return false;
	*age_ms = now_mono_ms - made;
	return true;
}
