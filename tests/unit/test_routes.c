/* Who may call what: every row of the agent's own route tables is called by every kind of caller. A
 * row that is added is tested by being there. The handlers are replaced by one that counts. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/monitor.h"
#include "app/serve.h"
#include "http_lab.h"
#include "wire/sign.h"

enum { ROUTES_MAX = 64 };

#define NONCE "00112233445566778899aabbccddeeff"

/* What a caller has; the row decides whether that is enough. */
enum caller {
	NO_SECRET,	   /* a stranger */
	BROKEN_MAC,	   /* anna's name, a signature that does not fit */
	UNKNOWN_PEER,	   /* signed with some key, as dora */
	KEY_OF_ANOTHER,	   /* signed with carl's key, as anna */
	OTHER_RECEIVER,	   /* signed by anna, for carl */
	REFLECTED,	   /* what ben himself would sign for anna */
	PEER_NO_SESSION,   /* signed by anna as hello is */
	PEER_OLD_SESSION,  /* signed by anna, in a session of another start */
	PEER_FALSE_SESSION, /* signed by anna, in one that nobody handed out */
	PEER,		   /* signed by anna in a session of hers */
	PEER_AGAIN,	   /* the same request once more */
	MONITOR_WRONG_KEY,
	MONITOR_EMPTY_KEY,
	MONITOR,
	METRICS,
	MONITOR_OTHER_HOST, /* the right key, asked for under another name: a rebound site */
	MONITOR_OTHER_SITE, /* the right key, sent by the page of another site */
	CALLERS
};

static const char *const caller_text[CALLERS] = { "without secret", "broken MAC", "unknown peer", "another's key",
	"for another receiver", "reflected", "peer without session", "peer in an old session", "peer in a false session",
	"peer", "peer again", "wrong monitor key", "empty monitor key", "monitor", "metrics key", "monitor under another host",
	"monitor from another site" };

static unsigned handled;
static char session[SIGN_SESSION_MAX], false_session[SIGN_SESSION_MAX];

/* The one handler. With hello's body it answers a session, as hello does. */
static void
on_any(struct request *r, void *arg)
{
	char text[SIGN_SESSION_MAX] = "{}";
	size_t len;
	const void *body = request_body(r, &len);

	(void)arg;
	handled++;
	if (len == sizeof NONCE - 1 && memcmp(body, NONCE, len) == 0 && request_peer(r) != NULL)
		request_new_session(r, NONCE, text);
	request_reply(r, 200, "application/json", text, strlen(text));
}

static struct server *
serve(const struct route *routes, size_t n, struct route copy[ROUTES_MAX])
{
	struct server_options o = { .base = lab_base, .conf = &lab_conf, .address = "127.0.0.1:0",
		.routes = copy, .nroutes = n };
	struct server *s;
	struct err e;

	assert_in_range(n, 1, ROUTES_MAX);
	memcpy(copy, routes, n * sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i].handle = on_any;
	if (!server_new(&o, &s, &e))
		fail_msg("%s", e.msg);
	return s;
}

/* The signature headers of a caller who signs. */
static void
put_signature(char *out, size_t size, const struct route *route, enum caller who)
{
	static const unsigned char some[SIGN_KEY_BYTES] = { 1 };
	static uint64_t counter;
	struct sign_request q = { route->method, route->path, who == UNKNOWN_PEER ? "dora" : "anna",
		who == OTHER_RECEIVER ? "carl" : "ben", "", 0, NONCE, route->body_max > 0 ? sizeof NONCE - 1 : 0 };
	unsigned char key[SIGN_KEY_BYTES];
	char mac[SIGN_MAC_HEX + 1];

	if (who == PEER || who == PEER_AGAIN) {
		q.session = session;
		q.counter = who == PEER ? ++counter : counter;
	} else if (who == PEER_FALSE_SESSION || who == PEER_OLD_SESSION) {
		q.session = who == PEER_FALSE_SESSION ? false_session : NONCE ".1." NONCE NONCE;
		q.counter = 1;
	} else if (who != PEER_NO_SESSION && route->auth == AUTH_PEER) {
		q.session = session;
		q.counter = counter + 1;
	}
	sign_direction_key(who == UNKNOWN_PEER ? some : lab_known[who == KEY_OF_ANOTHER].key,
	    who == REFLECTED ? "ben" : q.sender, who == REFLECTED ? "anna" : q.receiver, key);
	sign_request_mac(key, &q, mac);
	if (who == BROKEN_MAC)
		mac[SIGN_MAC_HEX - 1] = mac[SIGN_MAC_HEX - 1] == '0' ? '1' : '0';
	(void)snprintf(out, size, "X-Tandem-From: %s\r\nX-Tandem-To: %s\r\n%s%s%sX-Tandem-Counter: %" PRIu64
	    "\r\nX-Tandem-Mac: %s\r\n", q.sender, q.receiver, q.session[0] == '\0' ? "" : "X-Tandem-Session: ",
	    q.session, q.session[0] == '\0' ? "" : "\r\n", q.counter, mac);
}

static void
put_headers(char *out, size_t size, const struct route *route, enum caller who)
{
	static const char *const keys[CALLERS] = { [MONITOR_WRONG_KEY] = "close-sesame", [MONITOR_EMPTY_KEY] = "",
		[MONITOR] = "open-sesame", [METRICS] = "count-sesame",
		[MONITOR_OTHER_HOST] = "open-sesame", [MONITOR_OTHER_SITE] = "open-sesame" };

	out[0] = '\0';
	if (who >= BROKEN_MAC && who <= PEER_AGAIN)
		put_signature(out, size, route, who);
	else if (keys[who] != NULL)
		(void)snprintf(out, size, "Authorization: Bearer %s\r\n%s", keys[who],
		    who == MONITOR_OTHER_SITE ? "Origin: http://attacker.example\r\nSec-Fetch-Site: cross-site\r\n" : "");
}

/* Call a path of a row as somebody; returns the status. */
static int
call(struct server *s, const struct route *route, const char *method, const char *path, enum caller who, struct reply *r)
{
	char headers[1024], text[4096];
	bool body = strcmp(method, "POST") == 0 && route->body_max > 0;

	put_headers(headers, sizeof headers, route, who);
	(void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s:%u\r\n%sContent-Length: %zu\r\n%s\r\n%s", method,
	    path, who == MONITOR_OTHER_HOST ? "attacker.example" : "127.0.0.1", server_port(s),
	    !body ? "" : route->auth == AUTH_LOGIN ? "Content-Type: application/x-www-form-urlencoded\r\n" : "Content-Type: application/json\r\n", body ? sizeof NONCE - 1 : (size_t)0, headers,
	    body ? NONCE : "");
	return lab_exchange(server_port(s), text, strlen(text), r);
}

/* The whole rule, written once more. */
static bool
may(const struct route *route, enum caller who)
{
	switch (route->auth) {
	case AUTH_OPEN:
		return who != MONITOR_OTHER_HOST;
	case AUTH_HELLO:
	case AUTH_PAIR: /* no invitation is open: peers alone */
		return who == PEER_NO_SESSION;
	case AUTH_PEER:
		return who == PEER;
	case AUTH_LOGIN: /* the handler asks for the key */
		return who != MONITOR_OTHER_HOST && who != MONITOR_OTHER_SITE;
	case AUTH_METRICS:
		if (who == METRICS)
			return true;
		/* fall through */
	case AUTH_MONITOR:
	case AUTH_PAGE:
		return who == MONITOR || (who == MONITOR_OTHER_SITE && strcmp(route->method, "GET") == 0);
	case AUTH_NOBODY:
		break;
	}
	return false;
}

static void
walk(struct server *s, const struct route *routes, size_t n)
{
	struct reply r;

	for (size_t i = 0; i < n; i++)
		for (enum caller who = 0; who < CALLERS; who++) {
			unsigned before = handled;
			int status = call(s, &routes[i], routes[i].method, routes[i].path, who, &r);
			bool reached = handled > before;

			if (reached != may(&routes[i], who) || (reached ? status != 200 : status != 401 && status != 403 && !(status == 303 && routes[i].auth == AUTH_PAGE)))
				fail_msg("%s %s, %s: status %d, handler %s", routes[i].method, routes[i].path,
				    caller_text[who], status, reached ? "reached" : "not reached");
		}
}

/* Open a session for anna, and one that is not quite it. */
static void
open_sessions(struct server *s, const struct route *routes, size_t n)
{
	struct reply r;

	for (size_t i = 0; i < n; i++)
		if (routes[i].auth == AUTH_HELLO) {
			assert_int_equal(call(s, &routes[i], "POST", routes[i].path, PEER_NO_SESSION, &r), 200);
			(void)snprintf(session, sizeof session, "%s", r.body);
		}
	(void)snprintf(false_session, sizeof false_session, "%s", session);
	false_session[0] = false_session[0] == 'a' ? 'b' : 'a';
}

static void
test_peer_routes(void **state)
{
	struct route copy[ROUTES_MAX];
	struct server *s = serve(peer_routes, npeer_routes, copy);

	(void)state;
	open_sessions(s, copy, npeer_routes);
	walk(s, copy, npeer_routes);
	for (size_t i = 0; i < npeer_routes; i++) /* the peers' door is for peers alone */
		assert_true(copy[i].auth == AUTH_HELLO || copy[i].auth == AUTH_PEER || copy[i].auth == AUTH_PAIR);
	server_free(s);
}

static void
test_monitor_routes(void **state)
{
	struct route copy[ROUTES_MAX];
	struct server *s = serve(monitor_routes, monitor_nroutes, copy);

	(void)state;
	walk(s, copy, monitor_nroutes);
	for (size_t i = 0; i < monitor_nroutes; i++) { /* nothing without the key but the sign of life and the form for it */
		assert_true(copy[i].auth == AUTH_MONITOR || copy[i].auth == AUTH_METRICS || copy[i].auth == AUTH_PAGE || copy[i].auth == AUTH_LOGIN || copy[i].auth == AUTH_OPEN);
		if (copy[i].auth == AUTH_OPEN)
			assert_non_null(strstr("/healthz /monitor.css /icon.svg " LOGIN_PATH, copy[i].path));
		if (strcmp(copy[i].method, "POST") == 0)
			assert_true(copy[i].auth == AUTH_MONITOR || copy[i].auth == AUTH_LOGIN);
	}
	server_free(s);
}

/* Is there a row for the same path with the other method? */
static bool
has_other_method(const struct route *routes, size_t n, const struct route *of)
{
	for (size_t i = 0; i < n; i++)
		if (&routes[i] != of && strcmp(routes[i].path, of->path) == 0)
			return true;
	return false;
}

/* Neither another spelling nor another method nor the other door leads to a handler. */
static void
other_ways(struct server *s, const struct route *routes, size_t n, enum caller who, struct server *other)
{
	static const char *const spellings[] = { "%s/", "/%s", "%s%%20", "%s;x", "%s.", "/.%s", "/x/..%s", "%s?x=1", "%s%%00" };
	struct reply r;
	char path[256];
	unsigned before = handled;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof spellings / sizeof spellings[0]; k++) {
			int len;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			len = snprintf(path, sizeof path, spellings[k], routes[i].path);
#pragma GCC diagnostic pop
			assert_in_range(len, 1, sizeof path - 1);
			assert_in_range(call(s, &routes[i], routes[i].method, path, who, &r), 400, 404);
		}
		if (!has_other_method(routes, n, &routes[i]))
			assert_int_equal(call(s, &routes[i], strcmp(routes[i].method, "GET") == 0 ? "POST" : "GET", routes[i].path, who, &r), 405);
		assert_int_equal(call(other, &routes[i], routes[i].method, routes[i].path, who, &r), 404); /* 119 */
	}
	assert_int_equal(handled, before);
}

static void
test_other_ways(void **state)
{
	struct route peers[ROUTES_MAX], page[ROUTES_MAX];
	struct server *s = serve(peer_routes, npeer_routes, peers);
	struct server *m = serve(monitor_routes, monitor_nroutes, page);

	(void)state;
	open_sessions(s, peers, npeer_routes);
	other_ways(s, peers, npeer_routes, PEER, m);
	other_ways(m, page, monitor_nroutes, MONITOR, s);
	server_free(m);
	server_free(s);
}

static void
test_denied_by_default(void **state)
{
	static const struct route forgetful[] = { { .method = "GET", .path = "/new" } };
	struct route copy[ROUTES_MAX];
	struct server *s = serve(forgetful, 1, copy);

	(void)state;
	walk(s, copy, 1);
	server_free(s);
}

int
main(void)
{
#define NAMED(text, function) { text, function, lab_set_up, lab_tear_down, NULL }
	const struct CMUnitTest tests[] = {
		NAMED("each route of the peers' door lets in exactly who may", test_peer_routes),
		NAMED("each route of the page lets in exactly who may", test_monitor_routes),
		NAMED("another spelling, method or door leads nowhere", test_other_ways),
		NAMED("a row that does not say who may is for nobody", test_denied_by_default),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
