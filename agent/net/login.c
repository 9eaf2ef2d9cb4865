/* Cookies of the page and the brake on wrong keys. */
#include "config.h"

#include "net/login.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

enum {
	END_DIGITS_MAX = 19,
	TEXT_MAX = 256, /* a purpose, an end and a nonce */
	SHIFT_MAX = 6	/* 2^6 s is above LOGIN_WAIT_MAX_S */
};

static void
mac_of(const void *key, size_t key_len, const char *text, unsigned char out[SIGN_MAC_BYTES])
{
	unsigned size = 0;

	if (HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &size) == NULL)
		abort(); /* as in wire/sign: nothing safe to compare */
}

static void
hex_mac(const struct login *l, const char *purpose, const char *text, char out[SIGN_MAC_HEX + 1])
{
	unsigned char mac[SIGN_MAC_BYTES];
	char whole[TEXT_MAX];

	(void)snprintf(whole, sizeof whole, "%s\n%s\n", purpose, text);
	mac_of(l->key, sizeof l->key, whole, mac);
	for (size_t i = 0; i < sizeof mac; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", (unsigned)mac[i]);
}

void
login_init(struct login *l, const char *node, const char *monitor_key, unsigned port)
{
	char text[TEXT_MAX];

	memset(l, 0, sizeof *l);
	(void)snprintf(l->name, sizeof l->name, "tandem_%u_%s", port, node);
	(void)snprintf(text, sizeof text, "tandem page 1\n%s\n", l->name);
	mac_of(monitor_key, strlen(monitor_key), text, l->key);
}

/* --- cookies --- */

bool
login_make(const struct login *l, int64_t now_s, char out[LOGIN_VALUE_MAX], struct err *e)
{
	unsigned char chance[LOGIN_NONCE_HEX / 2];
	char text[LOGIN_VALUE_MAX], mac[SIGN_MAC_HEX + 1];
	size_t at;

	if (!clock_random(chance, sizeof chance, e))
		return false;
	at = (size_t)snprintf(text, sizeof text, "%" PRId64 ".", now_s + LOGIN_HOURS * 3600);
	for (size_t i = 0; i < sizeof chance; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%02x", (unsigned)chance[i]);
	hex_mac(l, "cookie", text, mac);
	(void)snprintf(out, LOGIN_VALUE_MAX, "%.60s.%s", text, mac);
	return true;
}

static bool
is_ended(const struct login *l, const char *mac)
{
	for (size_t i = 0; i < l->nended; i++)
		if (strcmp(l->ended[i], mac) == 0)
			return true;
	return false;
}

/* END.NONCE.MAC, made here, its end in the future, but not further away than we would set it. */
static bool
is_good(const struct login *l, const char *value, int64_t now_s)
{
	const char *dot = strrchr(value, '.');
	size_t digits = strspn(value, "0123456789"), len = dot == NULL ? 0 : (size_t)(dot - value);
	char text[LOGIN_VALUE_MAX], mac[SIGN_MAC_HEX + 1];
	int64_t end;

	if (digits == 0 || digits > END_DIGITS_MAX - 1 || len != digits + 1 + LOGIN_NONCE_HEX)
		return false;
	(void)snprintf(text, sizeof text, "%.*s", (int)len, value);
	hex_mac(l, "cookie", text, mac);
	end = strtoll(value, NULL, 10);
	return sign_equal(mac, dot + 1) && end > now_s && end <= now_s + LOGIN_HOURS * 3600 && !is_ended(l, mac);
}

bool
login_find(const struct login *l, const char *cookies, int64_t now_s, char out[LOGIN_VALUE_MAX])
{
	size_t name = strlen(l->name);

	for (const char *p = cookies, *end; p != NULL; p = *end == '\0' ? NULL : end + 1) {
		p += strspn(p, " ");
		end = p + strcspn(p, ";");
		if (strncmp(p, l->name, name) != 0 || p[name] != '=' || end - p - (ptrdiff_t)name >= LOGIN_VALUE_MAX)
			continue;
		(void)snprintf(out, LOGIN_VALUE_MAX, "%.*s", (int)(end - p - (ptrdiff_t)name - 1), p + name + 1);
		if (is_good(l, out, now_s))
			return true;
	}
	out[0] = '\0';
	return false;
}

void
login_token(const struct login *l, const char *value, char out[SIGN_MAC_HEX + 1])
{
	hex_mac(l, "token", value, out);
}

void
login_end(struct login *l, const char *value)
{
	const char *dot = strrchr(value, '.');

	if (dot == NULL)
		return;
	if (l->nended == LOGIN_ENDED_MAX)
		memmove(l->ended[0], l->ended[1], --l->nended * sizeof l->ended[0]);
	(void)snprintf(l->ended[l->nended++], sizeof l->ended[0], "%s", dot + 1);
}

/* --- wrong keys --- */

static const struct login_place *
find_place(const struct login *l, const char *address)
{
	for (size_t i = 0; i < LOGIN_PLACES_MAX; i++)
		if (strcmp(l->places[i].address, address) == 0)
			return &l->places[i];
	return NULL;
}

static int64_t
last_of(const struct login_place *p)
{
	return p->last_ms[LOGIN_FORM] > p->last_ms[LOGIN_HEADER] ? p->last_ms[LOGIN_FORM] : p->last_ms[LOGIN_HEADER];
}

/* The address' own place, or that of whoever has been quiet longest. */
static struct login_place *
take_place(struct login *l, const char *address)
{
	struct login_place *oldest = &l->places[0];

	for (size_t i = 0; i < LOGIN_PLACES_MAX; i++) {
		if (strcmp(l->places[i].address, address) == 0)
			return &l->places[i];
		if (last_of(&l->places[i]) < last_of(oldest))
			oldest = &l->places[i];
	}
	memset(oldest, 0, sizeof *oldest);
	(void)snprintf(oldest->address, sizeof oldest->address, "%s", address);
	return oldest;
}

unsigned
login_wait_s(const struct login *l, const char *address, enum login_way way, int64_t now_ms)
{
	const struct login_place *p = find_place(l, address);

	if (p == NULL || p->until_ms[way] <= now_ms)
		return 0;
	return (unsigned)((p->until_ms[way] - now_ms + 999) / 1000);
}

void
login_wrong(struct login *l, const char *address, enum login_way way, int64_t now_ms)
{
	static const unsigned allowed[LOGIN_WAYS] = { [LOGIN_FORM] = LOGIN_FREE_FORM, [LOGIN_HEADER] = LOGIN_FREE_HEADER };
	struct login_place *p = take_place(l, address);
	unsigned over;
	int64_t wait_s = 0;

	if (now_ms - p->last_ms[way] > LOGIN_FORGET_MS)
		p->wrong[way] = 0;
	p->last_ms[way] = now_ms;
	if (++p->wrong[way] >= allowed[way]) {
		over = p->wrong[way] - allowed[way];
		wait_s = over >= SHIFT_MAX ? LOGIN_WAIT_MAX_S : (int64_t)1 << over;
	}
	p->until_ms[way] = now_ms + wait_s * 1000;
}

void
login_right(struct login *l, const char *address, enum login_way way)
{
	struct login_place *p = take_place(l, address);

	p->wrong[way] = 0;
	p->until_ms[way] = 0;
}
