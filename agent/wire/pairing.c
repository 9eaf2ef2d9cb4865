/* Lines and offers of pairing. Lives here: their text, and keys made of them. Not here: who may use a
 * line and how long (app/pair), how calls are signed (wire/sign).
 *
 * The secret itself never travels between the nodes. It signs the two offers, and the key of the pair
 * is made of it and of the two nonces, so whoever only listens learns neither. */
#include "config.h"

#include "wire/pairing.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char line_head[] = "tandem-pair1", offer_head[] = "tandem-offer1";

static void
put(struct buf *b, const char *head, const struct offer *o)
{
	buf_fmt(b, "%s,%s,%s,%s,%s", head, o->node, o->url, o->pin, o->secret);
}

void
pairing_put_line(struct buf *b, const struct offer *o)
{
	put(b, line_head, o);
}

void
pairing_put_offer(struct buf *b, const struct offer *o)
{
	put(b, offer_head, o);
}

/* The next field, of the given alphabet, into out; *p is moved behind its comma (or to the end). */
static bool
take(const char **p, const char *end, const char *alphabet, char *out, size_t size)
{
	const char *comma = memchr(*p, ',', (size_t)(end - *p));
	size_t len = (size_t)((comma == NULL ? end : comma) - *p);

	if (len >= size)
		return false;
	memcpy(out, *p, len);
	out[len] = '\0';
	*p = comma == NULL ? end : comma + 1;
	return strspn(out, alphabet) == len; /* a NUL among them ends the text before len */
}

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool
parse(const char *p, size_t len, const char *head, struct offer *out)
{
	const char *end = p + len;
	bool ended = len > 0 && end[-1] != ','; /* no empty field behind the secret */
	char word[16];

	memset(out, 0, sizeof *out);
	return ended && take(&p, end, ALNUM "-", word, sizeof word) && strcmp(word, head) == 0 &&
	    take(&p, end, ALNUM "._-", out->node, sizeof out->node) && out->node[0] != '\0' &&
	    take(&p, end, ALNUM ":/.[]_-", out->url, sizeof out->url) &&
	    take(&p, end, ALNUM "+/=", out->pin, sizeof out->pin) &&
	    take(&p, end, "0123456789abcdef", out->secret, sizeof out->secret) && p == end &&
	    strlen(out->secret) == PAIRING_SECRET_HEX;
}

bool
pairing_parse_line(const char *text, struct offer *out, struct err *e)
{
	/* Who has the line must be able to call. */
	return (parse(text, strlen(text), line_head, out) && out->url[0] != '\0') ||
	    err_set(e, ERR_USAGE, "this is no whole line of agent --pair: copy it again, from %s to its end", line_head);
}

bool
pairing_parse_offer(const void *text, size_t len, struct offer *out, struct err *e)
{
	return parse(text, len, offer_head, out) || err_set(e, ERR_INPUT, "not an offer to pair");
}

/* HMAC-SHA-256 under the secret; the library fails only without memory, and no key is then right. */
static void
derive(const char *secret, const char *text, unsigned char out[SIGN_KEY_BYTES])
{
	unsigned len = 0;

	if (HMAC(EVP_sha256(), secret, PAIRING_SECRET_HEX, (const unsigned char *)text, strlen(text), out, &len) == NULL ||
	    len != SIGN_KEY_BYTES)
		abort();
}

void
pairing_call_key(const char *secret, unsigned char out[SIGN_KEY_BYTES])
{
	derive(secret, "tandem1 pairing\n", out);
}

void
pairing_pair_key(const char *secret, const struct offer *inviter, const struct offer *joiner,
    unsigned char out[SIGN_KEY_BYTES])
{
	char text[PAIRING_TEXT_MAX];

	(void)snprintf(text, sizeof text, "tandem1 pair key\n%s\n%s\n%s\n%s\n", inviter->node, joiner->node,
	    inviter->secret, joiner->secret);
	derive(secret, text, out);
}
