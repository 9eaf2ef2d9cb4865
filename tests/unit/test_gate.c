/* The request gate, on requests built by hand: each check refuses what it must and lets the rest
 * through. What libevent itself makes of raw bytes is in test_http. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/gate.h"

#define MAC "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A POST that every check of its form lets through; body of 3 bytes. */
static struct evhttp_request *
request(void)
{
	struct evhttp_request *r = evhttp_request_new(NULL, NULL);

	assert_non_null(r);
	r->kind = EVHTTP_REQUEST;
	r->type = EVHTTP_REQ_POST;
	r->major = 1;
	r->minor = 1;
	r->uri = strdup("/api/sync/receive");
	evbuffer_add(r->input_buffer, "abc", 3);
	evhttp_add_header(r->input_headers, "Host", "127.0.0.1:8440");
	evhttp_add_header(r->input_headers, "Content-Length", "3");
	evhttp_add_header(r->input_headers, "Content-Type", "application/x-tandem");
	return r;
}

static void
set(struct evhttp_request *r, const char *name, const char *value)
{
	evhttp_remove_header(r->input_headers, name);
	if (value != NULL)
		evhttp_add_header(r->input_headers, name, value);
}

static void
set_uri(struct evhttp_request *r, const char *uri)
{
	free(r->uri);
	r->uri = strdup(uri);
}

static int
form(struct evhttp_request *r)
{
	const struct refusal *no = gate_form(r);

	evhttp_request_free(r);
	return no == NULL ? 0 : no->status;
}

static int
form_with(const char *name, const char *value)
{
	struct evhttp_request *r = request();

	evhttp_add_header(r->input_headers, name, value);
	return form(r);
}

static int
form_changed(const char *name, const char *value)
{
	struct evhttp_request *r = request();

	set(r, name, value);
	return form(r);
}

static int
form_of_uri(const char *uri)
{
	struct evhttp_request *r = request();

	set_uri(r, uri);
	return form(r);
}

static void
test_good_form(void **state)
{
	struct evhttp_request *r = request();

	(void)state;
	assert_int_equal(form(r), 0);
	assert_int_equal(form_with("User-Agent", "x/1.0 (a; b) \xc3\xa4"), 0);
	assert_int_equal(form_changed("Host", "[::1]:8440"), 0);
	r = request();
	r->type = EVHTTP_REQ_GET;
	set(r, "Content-Length", NULL);
	evbuffer_drain(r->input_buffer, 3);
	assert_int_equal(form(r), 0);
}

static void
test_versions(void **state)
{
	static const int bad[][2] = { { 1, 0 }, { 0, 9 }, { 9, 9 }, { 1, 2 }, { 2, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct evhttp_request *r = request();

		r->major = (char)bad[i][0];
		r->minor = (char)bad[i][1];
		assert_int_equal(form(r), 400);
	}
}

static void
test_lengths(void **state)
{
	static const char *const bad[] = { "", "+3", "-1", "\t3", " 3", "3 ", "0x3", "3, 3", "2", "4",
		"00000000003", "9223372036854775808", "3\t", "abc", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(form_changed("Content-Length", bad[i]), 400);
	assert_int_equal(form_changed("Content-Length", "0000000003"), 0);
	assert_int_equal(form_with("Content-Length", "3"), 400);
	assert_int_equal(form_with("content-length", "6"), 400);
}

static void
test_get_with_body(void **state)
{
	struct evhttp_request *r = request();

	(void)state;
	r->type = EVHTTP_REQ_GET;
	assert_int_equal(form(r), 400);
	r = request();
	r->type = EVHTTP_REQ_GET;
	evbuffer_drain(r->input_buffer, 3);
	set(r, "Content-Length", "0");
	assert_int_equal(form(r), 0);
}

static void
test_encodings(void **state)
{
	(void)state;
	assert_int_equal(form_with("Transfer-Encoding", "chunked"), 400);
	assert_int_equal(form_with("Transfer-Encoding", "xchunked"), 400);
	assert_int_equal(form_with("transfer-encoding", "identity"), 400);
	assert_int_equal(form_with("Transfer-Encoding ", "chunked"), 400);
	assert_int_equal(form_with("Content-Encoding", "gzip"), 415);
	assert_int_equal(form_with("Expect", "100-continue"), 417);
	assert_int_equal(form_with("Expect", "tea"), 417);
}

static void
test_header_names_and_values(void **state)
{
	struct evhttp_request *r = request();

	(void)state;
	assert_int_equal(form_with("", "v"), 400);
	assert_int_equal(form_with("a b", "v"), 400);
	assert_int_equal(form_with("a\x01", "v"), 400);
	assert_int_equal(form_with("a\xc3", "v"), 400);
	assert_int_equal(form_with("(a)", "v"), 400);
	assert_int_equal(form_with("a", "v\x01"), 400);
	assert_int_equal(form_with("a", "v\x7f"), 400);
	assert_int_equal(form_with("a", "v\tw"), 400);
	for (int i = 3; i < GATE_HEADERS_MAX; i++)
		evhttp_add_header(r->input_headers, "a", "b");
	assert_null(gate_form(r));
	evhttp_add_header(r->input_headers, "a", "b");
	assert_int_equal(form(r), 431);
}

static void
test_once_only(void **state)
{
	static const char *const once[] = { "Host", "Content-Length", "Content-Type" };
	static const char *const once_more[] = { "Authorization", "Origin", "Sec-Fetch-Site", GATE_FROM,
		GATE_TO, GATE_SESSION, GATE_COUNTER, GATE_MAC, "Connection" };

	(void)state;
	for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
		assert_int_equal(form_with(once[i], "3"), 400);
	for (size_t i = 0; i < sizeof once_more / sizeof once_more[0]; i++) {
		struct evhttp_request *r = request();

		evhttp_add_header(r->input_headers, once_more[i], "a");
		assert_null(gate_form(r));
		evhttp_add_header(r->input_headers, once_more[i], "a");
		assert_int_equal(form(r), 400);
	}
	assert_int_equal(form_changed("Host", NULL), 400);
	assert_int_equal(form_changed("Host", ""), 400);
	assert_int_equal(form_changed("Host", "a/b"), 400);
	assert_int_equal(form_changed("Host", "user@a"), 400);
}

static void
test_targets(void **state)
{
	char longest[GATE_PATH_MAX + 2];

	(void)state;
	assert_int_equal(form_of_uri("http://evil/a"), 400);
	assert_int_equal(form_of_uri("*"), 400);
	assert_int_equal(form_of_uri(""), 400);
	assert_int_equal(form_of_uri("a:80"), 400);
	assert_int_equal(form_of_uri("/api?api_key=1"), 400);
	assert_int_equal(form_of_uri("/a?"), 400);
	assert_int_equal(form_of_uri("/a%2fb"), 404);
	assert_int_equal(form_of_uri("/a b"), 404);
	assert_int_equal(form_of_uri("/a#b"), 404);
	assert_int_equal(form_of_uri("/\xc3\xa4"), 404);
	memset(longest, 'a', sizeof longest);
	longest[0] = '/';
	longest[GATE_PATH_MAX] = '\0';
	assert_int_equal(form_of_uri(longest), 0);
	longest[GATE_PATH_MAX] = 'a';
	longest[GATE_PATH_MAX + 1] = '\0';
	assert_int_equal(form_of_uri(longest), 404);
}

static const struct route routes[] = {
	{ "POST", "/api/sync/hello", AUTH_HELLO, 10, NULL },
	{ "POST", "/api/sync/receive", AUTH_PEER, 3, NULL },
	{ "GET", "/api/sync/status", AUTH_PEER, 0, NULL },
	{ "GET", "/api/both", AUTH_MONITOR, 0, NULL },
	{ "POST", "/api/both", AUTH_MONITOR, 3, NULL },
};

static int
route(enum evhttp_cmd_type type, const char *uri, const struct route **out)
{
	struct evhttp_request *r = request();
	const struct refusal *no;

	r->type = type;
	set_uri(r, uri);
	no = gate_route(r, routes, sizeof routes / sizeof routes[0], out);
	evhttp_request_free(r);
	return no == NULL ? 0 : no->status;
}

static void
test_routes(void **state)
{
	const struct route *out;

	(void)state;
	assert_int_equal(route(EVHTTP_REQ_POST, "/api/sync/receive", &out), 0);
	assert_ptr_equal(out, &routes[1]);
	assert_int_equal(route(EVHTTP_REQ_POST, "/api/both", &out), 0);
	assert_ptr_equal(out, &routes[4]);
	assert_int_equal(route(EVHTTP_REQ_GET, "/api/both", &out), 0);
	assert_ptr_equal(out, &routes[3]);
	assert_int_equal(route(EVHTTP_REQ_GET, "/api/sync/receive", &out), 405);
	assert_null(out);
	assert_int_equal(route(EVHTTP_REQ_POST, "/api/sync/status", &out), 405);
	assert_int_equal(route(EVHTTP_REQ_POST, "/api/sync/receive/", &out), 404);
	assert_int_equal(route(EVHTTP_REQ_POST, "/API/sync/receive", &out), 404);
	assert_int_equal(route(EVHTTP_REQ_POST, "//api/sync/receive", &out), 404);
	assert_int_equal(route(EVHTTP_REQ_POST, "/api/sync/../sync/receive", &out), 404);
	assert_int_equal(route(EVHTTP_REQ_GET, "/", &out), 404);
}

static int
body(const struct route *row, const char *type, size_t len)
{
	struct evhttp_request *r = request();
	const struct refusal *no;

	set(r, "Content-Type", type);
	evbuffer_drain(r->input_buffer, 3);
	for (size_t i = 0; i < len; i++)
		evbuffer_add(r->input_buffer, "x", 1);
	no = gate_body(r, row);
	evhttp_request_free(r);
	return no == NULL ? 0 : no->status;
}

static void
test_bodies(void **state)
{
	const struct route *peer = &routes[1], *page = &routes[4];

	(void)state;
	assert_int_equal(body(peer, "application/x-tandem", 3), 0);
	assert_int_equal(body(peer, "application/json", 1), 0);
	assert_int_equal(body(peer, "application/x-tandem", 4), 413);
	assert_int_equal(body(peer, "application/x-tandem", 0), 400);
	assert_int_equal(body(peer, "text/plain", 1), 415);
	assert_int_equal(body(peer, "application/x-tandem; charset=utf-8", 1), 415);
	assert_int_equal(body(peer, NULL, 1), 415);
	assert_int_equal(body(page, "application/json", 1), 0);
	assert_int_equal(body(page, NULL, 0), 0);
	assert_int_equal(body(page, "application/x-tandem", 1), 415);
	assert_int_equal(body(page, "application/x-www-form-urlencoded", 0), 415);
	assert_int_equal(body(page, NULL, 1), 415);
}

static int
host(const char *value)
{
	const struct gate_place place = { .host = "192.0.2.7", .local = "192.0.2.8", .port = 8441 };
	struct evhttp_request *r = request();
	const struct refusal *no;

	set(r, "Host", value);
	no = gate_host(r, &place);
	evhttp_request_free(r);
	return no == NULL ? 0 : no->status;
}

static void
test_hosts(void **state)
{
	static const char *const good[] = { "127.0.0.1:8441", "localhost:8441", "LocalHost:8441",
		"[::1]:8441", "192.0.2.7:8441", "192.0.2.8:8441" };
	static const char *const bad[] = { "attacker.example:8441", "attacker.example", "127.0.0.1",
		"127.0.0.1:8440", "127.0.0.1:", "127.0.0.1:84410", "localhost.attacker.example:8441",
		"[::1", "[::1]8441", "::1:8441", "[]:8441", ":8441", "192.0.2.9:8441", "127.0.0.1:8441:8441" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(host(good[i]), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(host(bad[i]), 403);
}

static int
origin(const char *value, const char *site)
{
	struct evhttp_request *r = request();
	const struct refusal *no;

	set(r, "Origin", value);
	set(r, "Sec-Fetch-Site", site);
	no = gate_origin(r);
	evhttp_request_free(r);
	return no == NULL ? 0 : no->status;
}

static void
test_origins(void **state)
{
	(void)state;
	assert_int_equal(origin(NULL, NULL), 0);
	assert_int_equal(origin("http://127.0.0.1:8440", "same-origin"), 0);
	assert_int_equal(origin("https://127.0.0.1:8440", NULL), 0);
	assert_int_equal(origin("http://attacker.example", NULL), 403);
	assert_int_equal(origin("http://127.0.0.1:9999", NULL), 403);
	assert_int_equal(origin("null", NULL), 403);
	assert_int_equal(origin("", NULL), 403);
	assert_int_equal(origin(NULL, "cross-site"), 403);
	assert_int_equal(origin("http://127.0.0.1:8440", "same-site"), 403);
	assert_int_equal(origin("http://127.0.0.1:8440", "none"), 403);
}

/* Signature headers, one of them changed; NULL removes it. */
static bool
signature(enum auth auth, const char *name, const char *value)
{
	struct evhttp_request *r = request();
	struct gate_signature sig;
	bool ok;

	set(r, GATE_FROM, "anna");
	set(r, GATE_TO, "ben");
	set(r, GATE_MAC, MAC);
	set(r, GATE_COUNTER, auth == AUTH_HELLO ? "0" : "7");
	set(r, GATE_SESSION, auth == AUTH_HELLO ? NULL : "00.1." MAC);
	if (name != NULL)
		set(r, name, value);
	ok = gate_signature(r, auth, &sig);
	evhttp_request_free(r);
	return ok;
}

static void
test_signature_headers(void **state)
{
	static const struct {
		const char *name;
		const char *value;
	} bad[] = { { GATE_FROM, NULL }, { GATE_FROM, "" }, { GATE_FROM, "an na" }, { GATE_FROM, "ann\xc3\xa4" },
		{ GATE_FROM, "a23456789012345678901234567890123" }, { GATE_TO, NULL }, { GATE_TO, "b/n" },
		{ GATE_MAC, NULL }, { GATE_MAC, "" }, { GATE_MAC, MAC "0" }, { GATE_MAC, "0123" },
		{ GATE_MAC, "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef" },
		{ GATE_MAC, "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" },
		{ GATE_COUNTER, NULL }, { GATE_COUNTER, "" }, { GATE_COUNTER, "-1" }, { GATE_COUNTER, "+7" },
		{ GATE_COUNTER, "07" }, { GATE_COUNTER, "7 7" }, { GATE_COUNTER, "0x7" },
		{ GATE_COUNTER, "99999999999999999999" } };

	(void)state;
	assert_true(signature(AUTH_HELLO, NULL, NULL));
	assert_true(signature(AUTH_PEER, NULL, NULL));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(signature(AUTH_HELLO, bad[i].name, bad[i].value));
		assert_false(signature(AUTH_PEER, bad[i].name, bad[i].value));
	}
	assert_false(signature(AUTH_HELLO, GATE_SESSION, "00.1." MAC));
	assert_false(signature(AUTH_HELLO, GATE_COUNTER, "1"));
	assert_false(signature(AUTH_PEER, GATE_SESSION, NULL));
	assert_false(signature(AUTH_PEER, GATE_SESSION, ""));
	assert_false(signature(AUTH_PEER, GATE_SESSION, "zz"));
	assert_false(signature(AUTH_PEER, GATE_SESSION, MAC MAC MAC));
	assert_false(signature(AUTH_PEER, GATE_COUNTER, "0"));
	assert_true(signature(AUTH_PEER, GATE_COUNTER, "9999999999999999999"));
}

static bool
key(const char *authorization, const char *want)
{
	struct evhttp_request *r = request();
	bool ok;

	set(r, "Authorization", authorization);
	ok = gate_has_key(r, want);
	evhttp_request_free(r);
	return ok;
}

static void
test_monitor_keys(void **state)
{
	(void)state;
	assert_true(key("Bearer sesame", "sesame"));
	assert_true(key("bearer sesame", "sesame"));
	assert_true(key("Basic YW5uYTpzZXNhbWU=", "sesame")); /* anna:sesame */
	assert_true(key("Basic OnNlc2FtZQ==", "sesame"));     /* :sesame */
	assert_true(key("Basic YTpzZTpzYW1l", "se:same"));    /* a:se:same */
	assert_false(key(NULL, "sesame"));
	assert_false(key("", "sesame"));
	assert_false(key("sesame", "sesame"));
	assert_false(key("Bearer", "sesame"));
	assert_false(key("Bearer ", "sesame"));
	assert_false(key("Bearer  sesame", "sesame"));
	assert_false(key("Bearer Sesame", "sesame"));
	assert_false(key("Bearer sesam", "sesame"));
	assert_false(key("Bearer sesame1", "sesame"));
	assert_false(key("Basic c2VzYW1l", "sesame")); /* sesame without a colon */
	assert_false(key("Basic YW5uYTpzZXNhbWU", "sesame"));
	assert_false(key("Basic !!!!", "sesame"));
	assert_false(key("Basic ", "sesame"));
	assert_false(key("Basic YW5uYTo=", "sesame")); /* anna: */
	assert_false(key("Bearer ", ""));
	assert_false(key("Basic Og==", "")); /* ":" */
	assert_false(key("Bearer x", NULL));
}

static void
test_endless_key(void **state)
{
	char text[10001] = "Bearer ";

	(void)state;
	memset(text + 7, 'a', sizeof text - 8);
	assert_false(key(text, "sesame"));
	memcpy(text, "Basic ", 6);
	text[6] = 'a';
	assert_false(key(text, "sesame"));
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("a well-formed request passes", test_good_form),
		NAMED("only HTTP/1.1 passes", test_versions),
		NAMED("Content-Length is digits, once, and the length of the body", test_lengths),
		NAMED("GET has no body", test_get_with_body),
		NAMED("Transfer-Encoding, Content-Encoding and Expect are refused", test_encodings),
		NAMED("header names are tokens, values have no control characters, 40 is enough", test_header_names_and_values),
		NAMED("headers that decide something come once", test_once_only),
		NAMED("the target is a plain path without query or percent", test_targets),
		NAMED("routes match method and path byte by byte", test_routes),
		NAMED("a body has the size and type of its route", test_bodies),
		NAMED("the page answers to its own names only", test_hosts),
		NAMED("a POST from another site's page is refused", test_origins),
		NAMED("signature headers have exact alphabets and lengths", test_signature_headers),
		NAMED("the monitor key comes as bearer or password and is compared whole", test_monitor_keys),
		NAMED("a key of ten thousand bytes is refused", test_endless_key),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
