/* Sealed bodies. Lives here: their bytes and their keys.
 *
 * Each body has a key of its own, HMAC-SHA-256 of the direction's key over 32 fresh random bytes that travel
 * before it. So the nonce of the cipher can be zero always: it is used once with each key, and two bodies with
 * one key would take two equal salts of 256 bits. No counter has to be kept over a restart, a restored backup
 * or two copies of a node, none of which could be trusted to count on. */
#include "config.h"

#include "wire/seal.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static const char magic[] = "tandem-seal1\n";
static const char *const purpose[] = { [SEAL_REQUEST] = "tandem1 seal request\n", [SEAL_ANSWER] = "tandem1 seal answer\n" };

static_assert(sizeof magic - 1 + SEAL_SALT_BYTES == SEAL_HEAD_BYTES, "the head is magic and salt");

enum {
	NONCE_BYTES = 12,
	PURPOSE_MAX = 24 /* the longest line above and a NUL */
};

/* The key of one body. The library fails only without memory of its own or when it is broken (wire/sign). */
static void
body_key(const unsigned char key[SIGN_KEY_BYTES], enum seal_use use, const unsigned char *salt, unsigned char out[SIGN_KEY_BYTES])
{
	unsigned char text[PURPOSE_MAX + SEAL_SALT_BYTES];
	size_t len = strlen(purpose[use]);
	unsigned size = 0;

	assert(len < PURPOSE_MAX);
	memcpy(text, purpose[use], len);
	memcpy(text + len, salt, SEAL_SALT_BYTES);
	if (HMAC(EVP_sha256(), key, SIGN_KEY_BYTES, text, len + SEAL_SALT_BYTES, out, &size) == NULL || size != SIGN_KEY_BYTES)
		abort();
}

static EVP_CIPHER_CTX *
begin(const unsigned char key[SIGN_KEY_BYTES], enum seal_use use, const unsigned char *head, int encrypt)
{
	static const unsigned char nonce[NONCE_BYTES]; /* see above */
	unsigned char own[SIGN_KEY_BYTES];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int unused;
	bool ok;

	body_key(key, use, head + sizeof magic - 1, own);
	/* The head is authenticated as well, though the key depends on all of it that could differ. */
	ok = ctx != NULL && EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, own, nonce, encrypt) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &unused, head, SEAL_HEAD_BYTES) == 1;
	text_wipe(own, sizeof own);
	if (!ok) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

bool
seal_is(const void *body, size_t len)
{
	return len >= sizeof magic - 1 && memcmp(body, magic, sizeof magic - 1) == 0;
}

bool
seal_put(const unsigned char key[SIGN_KEY_BYTES], enum seal_use use, const void *plain, size_t len, struct buf *out, struct err *e)
{
	unsigned char head[SEAL_HEAD_BYTES], rest[1], *to;
	EVP_CIPHER_CTX *ctx;
	int n = 0, tail = 0;
	bool ok;

	memcpy(head, magic, sizeof magic - 1);
	if (!clock_random(head + sizeof magic - 1, SEAL_SALT_BYTES, e))
		return false;
	to = len > INT_MAX - SEAL_EXTRA ? NULL : (unsigned char *)buf_room(out, len + SEAL_EXTRA);
	ctx = to == NULL ? NULL : begin(key, use, head, 1);
	if (ctx == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a sealed body");
	memcpy(to, head, sizeof head);
	ok = EVP_CipherUpdate(ctx, to + sizeof head, &n, len == 0 ? (const unsigned char *)"" : plain, (int)len) == 1 && (size_t)n == len &&
	    EVP_CipherFinal_ex(ctx, rest, &tail) == 1 && tail == 0 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, to + sizeof head + len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		return err_set(e, ERR_INTERNAL, "a body cannot be sealed");
	out->len += len + SEAL_EXTRA;
	out->data[out->len] = '\0';
	return true;
}

bool
seal_open(const unsigned char key[SIGN_KEY_BYTES], enum seal_use use, void *body, size_t len, size_t *plain_len)
{
	unsigned char *text = (unsigned char *)body + SEAL_HEAD_BYTES, rest[1];
	size_t n = len < SEAL_EXTRA ? 0 : len - SEAL_EXTRA;
	EVP_CIPHER_CTX *ctx;
	int got = 0, tail = 0;
	bool ok;

	*plain_len = 0;
	if (len < SEAL_EXTRA || n > INT_MAX || !seal_is(body, len))
		return false;
	ctx = begin(key, use, body, 0);
	if (ctx == NULL)
		return false;
	ok = EVP_CipherUpdate(ctx, text, &got, text, (int)n) == 1 && (size_t)got == n &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, text + n) == 1 && EVP_CipherFinal_ex(ctx, rest, &tail) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		return false;
	*plain_len = n;
	return true;
}
