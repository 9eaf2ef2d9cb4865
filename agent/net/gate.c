/* The request gate. Lives here: judging one request by its own bytes. What libevent 2.1 lets pass
 * and must not: doubled, signed or spaced Content-Length, any Transfer-Encoding but "chunked"
 * alone, folded lines, values cut at NUL, names with spaces, missing or doubled Host, absolute
 * URIs, HTTP/1.0. Chunked bodies are read by libevent but refused here: our clients always send a
 * length. Bare line feeds are let through: they change nothing that a signature covers. */
#include "config.h"

#include "net/gate.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/conf.h"
#include "base/text.h"
#include "wire/sign.h"

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define DIGITS "0123456789"
#define HEX "0123456789abcdef"

enum {
	LENGTH_DIGITS_MAX = 10, /* below 10^10, far above every body_max and far below overflow */
	COUNTER_DIGITS_MAX = 19, /* fits a uint64_t: 10^19 - 1 < 2^64 */
	HASH_BYTES = 32
};

static const struct refusal refused_version = { 400, "bad_version", "only HTTP/1.1 is spoken here" };
static const struct refusal refused_target = { 400, "bad_target",
	"the request target must be a plain path" };
static const struct refusal refused_query = { 400, "query",
	"no query is accepted here; a key that was sent in one must be changed" };
static const struct refusal refused_header = { 400, "bad_header",
	"a header is malformed, missing or doubled" };
static const struct refusal refused_many = { 431, "too_many_headers", "too many headers" };
static const struct refusal refused_encoding = { 400, "transfer_encoding",
	"Transfer-Encoding is not accepted; send Content-Length" };
static const struct refusal refused_expect = { 417, "expect", "Expect is not accepted" };
static const struct refusal refused_length = { 400, "bad_length",
	"Content-Length does not fit the request" };
static const struct refusal refused_path = { 404, "not_found", "there is nothing here" };
static const struct refusal refused_method = { 405, "method_not_allowed", "not with this method" };
static const struct refusal refused_large = { 413, "too_large", "the body is too large" };
static const struct refusal refused_type = { 415, "content_type",
	"this Content-Type or Content-Encoding is not accepted here" };
static const struct refusal refused_empty = { 400, "empty", "the body is empty" };
static const struct refusal refused_host = { 403, "host", "this page answers only to its own address" };
static const struct refusal refused_origin = { 403, "origin", "another site's page may not do this" };

/* Headers that two programs must not be able to read differently: at most one of each. */
static const char *const single[] = { "Host", "Content-Length", "Content-Type", "Content-Encoding",
	"Connection", "Authorization", "Cookie", "Origin", "Sec-Fetch-Site", GATE_TOKEN, GATE_FROM, GATE_TO, GATE_SESSION,
	GATE_COUNTER, GATE_MAC };

/* 1 to max bytes, all of them in set. */
static bool
made_of(const char *s, const char *set, size_t max)
{
	size_t n = strspn(s, set);

	return n > 0 && n <= max && s[n] == '\0';
}

bool
gate_is_name(const char *s)
{
	return made_of(s, ALNUM "._-", CONF_NAME_MAX);
}

bool
gate_is_mac(const char *s)
{
	return strlen(s) == SIGN_MAC_HEX && made_of(s, HEX, SIGN_MAC_HEX);
}

bool
gate_is_session(const char *s)
{
	return made_of(s, HEX ".", SIGN_SESSION_MAX - 1);
}

static const struct evkeyvalq *
headers_of(struct evhttp_request *req)
{
	return evhttp_request_get_input_headers(req);
}

static const char *
header(struct evhttp_request *req, const char *name)
{
	return evhttp_find_header(headers_of(req), name);
}

static size_t
count(struct evhttp_request *req, const char *name)
{
	const struct evkeyval *h;
	size_t n = 0;

	for (h = headers_of(req)->tqh_first; h != NULL; h = h->next.tqe_next)
		if (strcasecmp(h->key, name) == 0)
			n++;
	return n;
}

/* Form. */

static bool
is_token(const char *s)
{
	return made_of(s, ALNUM "!#$%&'*+-.^_`|~", GATE_HEADER_BYTES);
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static const struct refusal *
check_headers(struct evhttp_request *req)
{
	const struct evkeyval *h;
	size_t n = 0;

	for (h = headers_of(req)->tqh_first; h != NULL; h = h->next.tqe_next) {
		if (++n > GATE_HEADERS_MAX)
			return &refused_many;
		if (!is_token(h->key) || has_control(h->value))
			return &refused_header;
	}
	if (header(req, "Transfer-Encoding") != NULL)
		return &refused_encoding;
	if (header(req, "Expect") != NULL)
		return &refused_expect;
	for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
		if (count(req, single[i]) > 1)
			return &refused_header;
	if (header(req, "Host") == NULL || !made_of(header(req, "Host"), ALNUM ".:[]_-", GATE_HOST_MAX))
		return &refused_header;
	if (header(req, "Content-Encoding") != NULL)
		return &refused_type;
	return NULL;
}

static const struct refusal *
check_target(const char *uri)
{
	if (uri == NULL || uri[0] != '/')
		return &refused_target;
	if (strchr(uri, '?') != NULL)
		return &refused_query;
	if (!made_of(uri, ALNUM "/._~-", GATE_PATH_MAX))
		return &refused_path; /* with %, it would have a second spelling */
	return NULL;
}

static const struct refusal *
check_length(struct evhttp_request *req)
{
	const char *text = header(req, "Content-Length");
	size_t have = evbuffer_get_length(evhttp_request_get_input_buffer(req));

	if (evhttp_request_get_command(req) != EVHTTP_REQ_POST)
		return have == 0 && (text == NULL || strcmp(text, "0") == 0) ? NULL : &refused_length;
	if (text == NULL || !made_of(text, DIGITS, LENGTH_DIGITS_MAX))
		return &refused_length;
	return strtoull(text, NULL, 10) == have ? NULL : &refused_length;
}

const struct refusal *
gate_form(struct evhttp_request *req)
{
	const struct refusal *no;

	if (req->major != 1 || req->minor != 1)
		return &refused_version;
	no = check_headers(req);
	if (no == NULL)
		no = check_target(evhttp_request_get_uri(req));
	return no != NULL ? no : check_length(req);
}

/* Route and body. */

static bool
method_is(struct evhttp_request *req, const char *method)
{
	enum evhttp_cmd_type want = strcmp(method, "POST") == 0 ? EVHTTP_REQ_POST : EVHTTP_REQ_GET;

	return evhttp_request_get_command(req) == want;
}

const struct refusal *
gate_route(struct evhttp_request *req, const struct route *routes, size_t nroutes,
    const struct route **out)
{
	const char *uri = evhttp_request_get_uri(req);
	const struct refusal *no = &refused_path;

	*out = NULL;
	for (size_t i = 0; i < nroutes; i++) {
		if (strcmp(routes[i].path, uri) != 0)
			continue;
		if (method_is(req, routes[i].method)) {
			*out = &routes[i];
			return NULL;
		}
		no = &refused_method;
	}
	return no;
}

const struct refusal *
gate_body(struct evhttp_request *req, const struct route *route)
{
	size_t len = evbuffer_get_length(evhttp_request_get_input_buffer(req));
	const char *type = header(req, "Content-Type");
	bool peers = route->auth == AUTH_HELLO || route->auth == AUTH_PEER || route->auth == AUTH_PAIR;

	if (strcmp(route->method, "POST") != 0)
		return NULL;
	if (len > route->body_max)
		return &refused_large;
	if (route->auth == AUTH_LOGIN) /* a plain form, so that it works without scripts; it changes nothing */
		return type != NULL && strcasecmp(type, "application/x-www-form-urlencoded") == 0 ? NULL : &refused_type;
	/* A form of another site cannot send these types without asking first. */
	if (type == NULL ? len > 0 : strcasecmp(type, "application/json") != 0 &&
	    !(peers && strcasecmp(type, "application/x-tandem") == 0))
		return &refused_type;
	return peers && len == 0 && route->body_max > 0 ? &refused_empty : NULL;
}

/* The page. */

/* Split "name", "name:port", "[v6]" or "[v6]:port" in place; port is 80 when not given. */
static bool
split_host(char *text, const char **name, unsigned *port)
{
	char *colon = strchr(text, ':');

	*name = text;
	*port = 80;
	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		*name = text + 1;
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
	}
	if (colon == NULL)
		return true;
	*colon = '\0';
	if (!made_of(colon + 1, DIGITS, 5))
		return false;
	*port = (unsigned)strtoul(colon + 1, NULL, 10);
	return true;
}

const struct refusal *
gate_host(struct evhttp_request *req, const struct gate_place *place)
{
	const char *ours[] = { "localhost", "127.0.0.1", "::1", place->host, place->local };
	char text[GATE_HOST_MAX + 1];
	const char *name;
	unsigned port;

	(void)snprintf(text, sizeof text, "%s", header(req, "Host"));
	if (!split_host(text, &name, &port) || port != place->port)
		return &refused_host;
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (ours[i][0] != '\0' && strcasecmp(ours[i], name) == 0)
			return NULL;
	return &refused_host;
}

const struct refusal *
gate_origin(struct evhttp_request *req)
{
	const char *origin = header(req, "Origin");
	const char *site = header(req, "Sec-Fetch-Site");
	const char *host = header(req, "Host");

	if (site != NULL && strcasecmp(site, "same-origin") != 0)
		return &refused_origin;
	if (origin == NULL)
		return NULL;
	if (strncasecmp(origin, "http://", 7) == 0)
		origin += 7;
	else if (strncasecmp(origin, "https://", 8) == 0)
		origin += 8;
	else
		return &refused_origin;
	return strcasecmp(origin, host) == 0 ? NULL : &refused_origin;
}

const struct refusal *
gate_form_origin(struct evhttp_request *req)
{
	const char *origin = header(req, "Origin");
	const char *site = header(req, "Sec-Fetch-Site");

	if (site != NULL && strcasecmp(site, "same-origin") != 0)
		return &refused_origin;
	return origin != NULL && strcmp(origin, "null") == 0 ? NULL : gate_origin(req);
}

/* Keys. */

const char *
gate_cookies(struct evhttp_request *req)
{
	return header(req, "Cookie");
}

const char *
gate_token(struct evhttp_request *req)
{
	return header(req, GATE_TOKEN);
}

bool
gate_shows_key(struct evhttp_request *req)
{
	return header(req, "Authorization") != NULL;
}

bool
gate_signature(struct evhttp_request *req, enum auth auth, struct gate_signature *out)
{
	const char *session = header(req, GATE_SESSION);
	const char *counter = header(req, GATE_COUNTER);

	out->from = header(req, GATE_FROM);
	out->to = header(req, GATE_TO);
	out->mac = header(req, GATE_MAC);
	if (out->from == NULL || out->to == NULL || out->mac == NULL || counter == NULL)
		return false;
	if (!gate_is_name(out->from) || !gate_is_name(out->to) || !gate_is_mac(out->mac))
		return false;
	if (!made_of(counter, DIGITS, COUNTER_DIGITS_MAX) || (counter[0] == '0' && counter[1] != '\0'))
		return false;
	out->counter = strtoull(counter, NULL, 10);
	out->session = session == NULL ? "" : session;
	if (auth == AUTH_HELLO || auth == AUTH_PAIR)
		return session == NULL && out->counter == 0;
	return session != NULL && gate_is_session(session) && out->counter > 0;
}

static void
hash_of(const char *text, unsigned char out[HASH_BYTES])
{
	if (EVP_Digest(text, strlen(text), out, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* as in wire/sign: nothing safe to compare */
}

/* The password of "user:password" in base64 into out; false when it is not that. */
static bool
basic_password(const char *base64, char out[GATE_KEY_MAX])
{
	unsigned char plain[GATE_KEY_MAX];
	size_t len = strlen(base64);
	const char *colon;
	bool ok = false;
	int n;

	if (len == 0 || len % 4 != 0 || len >= sizeof plain || !made_of(base64, ALNUM "+/=", len))
		return false;
	n = EVP_DecodeBlock(plain, (const unsigned char *)base64, (int)len); /* 3 bytes for 4 */
	if (n >= 0 && (size_t)n < sizeof plain) {
		plain[n] = '\0'; /* "=" at the end decodes to NUL, which ends the text as well */
		colon = strchr((char *)plain, ':');
		ok = colon != NULL;
		if (ok)
			(void)snprintf(out, GATE_KEY_MAX, "%s", colon + 1);
	}
	text_wipe(plain, sizeof plain);
	return ok;
}

bool
gate_is_key(const char *given, const char *key)
{
	unsigned char have[HASH_BYTES], want[HASH_BYTES];

	if (key == NULL || key[0] == '\0')
		return false;
	hash_of(given, have); /* hashes: equal length whatever was given */
	hash_of(key, want);
	return CRYPTO_memcmp(have, want, sizeof have) == 0;
}

bool
gate_has_key(struct evhttp_request *req, const char *key)
{
	const char *given = header(req, "Authorization");
	char text[GATE_KEY_MAX] = "";
	bool same;

	if (given == NULL || key == NULL || key[0] == '\0' || strlen(given) >= sizeof text)
		return false;
	if (strncasecmp(given, "Bearer ", 7) == 0)
		(void)snprintf(text, sizeof text, "%s", given + 7);
	else if (strncasecmp(given, "Basic ", 6) != 0 || !basic_password(given + 6, text))
		return false;
	same = gate_is_key(text, key);
	text_wipe(text, sizeof text);
	return same;
}
