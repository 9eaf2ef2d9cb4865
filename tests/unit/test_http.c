/* The HTTP server over loopback: raw bytes and signed requests, deadlines, limits, callers that go
 * away, the page. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http_lab.h"
#include "net/gate.h"
#include "net/guard.h"
#include "net/session.h"
#include "wire/sign.h"

enum { SHORT_GRACE_MS = 300, SHORT_IDLE_MS = 500 };

/* Raw bytes get this status, then the connection is closed and no handler was asked. */
static void
refused(const char *data, size_t len, int status)
{
	struct reply r;
	unsigned before = lab_handled;
	int fd = lab_dial(server_port(lab_peers));

	(void)lab_push(fd, data, len);
	lab_pull_all(fd, &r);
	(void)close(fd);
	if (r.status != status || !r.closed)
		print_error("not %d and closed (%d): %.200s\n%s\n", status, r.closed, data, r.text);
	assert_int_equal(r.status, status);
	assert_true(r.closed);
	assert_int_equal(lab_handled, before);
	assert_null(strstr(r.text, "X-Tandem-Mac"));
}

#define REFUSED(text, status) refused(text, sizeof(text) - 1, status)
#define POST "POST /api/sync/receive HTTP/1.1\r\n"
#define HOST "Host: 127.0.0.1\r\n"
#define TYPE "Content-Type: application/x-tandem\r\n"
#define NONCE "00112233445566778899aabbccddeeff"
#define MAC64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define RECEIVE POST HOST TYPE
#define SIGNED "X-Tandem-From: anna\r\nX-Tandem-To: ben\r\nX-Tandem-Counter: 1\r\nX-Tandem-Session: 0.1.2\r\n"

static void
test_framing(void **state)
{
	(void)state;
	REFUSED(RECEIVE "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400); /* 1 */
	REFUSED(RECEIVE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400);		 /* 2 */
	REFUSED(RECEIVE "Transfer-Encoding: xchunked\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400); /* 3 */
	REFUSED(RECEIVE "Transfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc", 400); /* 4 */
	REFUSED(RECEIVE "Content-Length: 3\r\nContent-Length: 6\r\n\r\nabcdef", 400);	  /* 5 */
	REFUSED(RECEIVE "Content-Length: +3\r\n\r\nabc", 400);				  /* 6 */
	REFUSED(RECEIVE "Content-Length: \t3\r\n\r\nabc", 400);
	REFUSED(RECEIVE "Content-Length: 0x3\r\n\r\nabc", 400); /* 7 */
	REFUSED(RECEIVE "Content-Length: -1\r\n\r\nabc", 400);
	REFUSED(RECEIVE "Content-Length: 3, 3\r\n\r\nabc", 400);
	REFUSED(RECEIVE "Content-Length: \r\n\r\n", 400);
	REFUSED(RECEIVE "\r\n", 400);
	REFUSED(RECEIVE "Content-Length: 4198401\r\n\r\n", 413);				    /* 8 */
	REFUSED(RECEIVE "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", 413); /* 9 */
	REFUSED(RECEIVE "Expect: tea\r\nContent-Length: 3\r\n\r\nabc", 417);
	REFUSED(RECEIVE "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400); /* 10 */
	REFUSED(RECEIVE "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", 400);
	REFUSED(RECEIVE "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 413); /* 11 */
	REFUSED(RECEIVE "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n", 413);
	REFUSED(RECEIVE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc2\r\nde\r\n0\r\n\r\n", 400);	    /* 12 */
	REFUSED(RECEIVE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", 400); /* 13 */
	REFUSED("POST /api/sync/receive HTTP/1.1\nHost: a\n" "Content-Type: application/json\nContent-Length: 3\n\nabc", 401); /* 14 */
	REFUSED(RECEIVE SIGNED "X-Tandem-Mac: " MAC64 "\0x\r\nContent-Length: 3\r\n\r\nabc", 401); /* 15 */
	REFUSED(RECEIVE SIGNED "X-Tandem-Mac: 0123\0" MAC64 "\r\nContent-Length: 3\r\n\r\nabc", 401);
	REFUSED("POST /api/sync\0/receive HTTP/1.1\r\n" HOST "\r\n", 400);				   /* 16 */
}

static void
test_expect_continue(void **state)
{
	static const char head[] = RECEIVE "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
	struct reply r;
	int fd = lab_dial(server_port(lab_peers));

	(void)state;
	assert_true(lab_push(fd, head, sizeof head - 1));
	lab_turn_for(50);
	assert_true(lab_push(fd, "abc", 3));
	lab_pull(fd, &r);
	assert_non_null(strstr(r.text, "HTTP/1.1 100 "));
	assert_non_null(strstr(r.text, "HTTP/1.1 417 "));
	assert_true(r.closed);
	assert_int_equal(lab_handled, 0);
	(void)close(fd);
}

static void
test_targets_and_headers(void **state)
{
	char big[12000];
	size_t n;

	(void)state;
	REFUSED("GET /api%2fsync HTTP/1.1\r\n" HOST "\r\n", 404); /* 17 */
	REFUSED("GET /%00 HTTP/1.1\r\n" HOST "\r\n", 404);
	REFUSED("GET /%2e%2e/x HTTP/1.1\r\n" HOST "\r\n", 404);
	REFUSED(RECEIVE "X-Tandem-From: an\r\n na\r\nContent-Length: 3\r\n\r\nabc", 401); /* 18 */
	REFUSED("GET /api/sync/status HTTP/1.1\r\n\r\n", 400);					 /* 19 */
	REFUSED("GET /api/sync/status HTTP/1.1\r\n" HOST HOST "\r\n", 400);
	REFUSED("GET http://evil/api/sync/status HTTP/1.1\r\n" HOST "\r\n", 400); /* 20 */
	REFUSED("GET /api/sync/status HTTP/9.9\r\n" HOST "\r\n", 400);		  /* 21 */
	REFUSED("GET /api/sync/status HTTP/1.0\r\n" HOST "\r\n", 400);
	REFUSED("GET /api/sync/status HTTP/1.0\r\n" HOST "Connection: keep-alive\r\n\r\n", 400);
	REFUSED("GET /api/sync/status\r\n\r\n", 400);
	REFUSED("BREW / HTTP/1.1\r\n" HOST "\r\n", 501); /* 22 */
	REFUSED("TRACE / HTTP/1.1\r\n" HOST "\r\n", 501);
	REFUSED("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na", 501);
	REFUSED("GET /api/sync/receive HTTP/1.1\r\n" HOST "\r\n", 405);
	REFUSED("GET /api/sync/status HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n", 400); /* 23 */
	REFUSED("GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404);
	REFUSED("GET /?api_key=1 HTTP/1.1\r\n" HOST "\r\n", 400); /* 36 */
	REFUSED("GET / HTTP/1.1\r\n" HOST ": v\r\n\r\n", 400);	  /* 26 */
	n = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\n" HOST "A: "); /* 24 */
	memset(big + n, 'a', 9000);
	(void)snprintf(big + n + 9000, sizeof big - n - 9000, "\r\n\r\n");
	refused(big, strlen(big), 400);
	n = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\n" HOST); /* 25 */
	for (int i = 0; i < GATE_HEADERS_MAX; i++, n += 6)
		(void)snprintf(big + n, sizeof big - n, "a: b\r\n");
	(void)snprintf(big + n, sizeof big - n, "\r\n");
	refused(big, strlen(big), 431);
}

static void
test_content(void **state)
{
	(void)state;
	REFUSED(RECEIVE "Content-Length: 0\r\n\r\n", 400);						   /* 31 */
	REFUSED(RECEIVE "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 415);			   /* 32 */
	REFUSED(POST HOST "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc", 415);			   /* 33 */
	REFUSED("POST /api/sync/acknowledge HTTP/1.1\r\n" HOST TYPE "Content-Length: 17\r\n\r\n12345678901234567", 413);
	REFUSED(RECEIVE "Content-Length: 3\r\n\r\nabc", 401); /* 35 */
	REFUSED(RECEIVE SIGNED SIGNED "Content-Length: 3\r\n\r\nabc", 400);
	REFUSED(RECEIVE SIGNED "Content-Length: 3\r\n\r\nabc", 401);
	REFUSED(RECEIVE SIGNED "X-Tandem-Mac: " MAC64 "\r\nContent-Length: 3\r\n\r\nabc", 401);
	assert_int_equal(server_busy(lab_peers), 0);
}

static void
test_refusal_form(void **state)
{
	static const char text[] = "GET /nothing HTTP/1.1\r\n" HOST "\r\n";
	struct reply r;

	(void)state;
	assert_int_equal(lab_exchange(server_port(lab_peers), text, sizeof text - 1, &r), 404);
	assert_string_equal(r.body, "{\"error\":\"not_found\",\"message\":\"there is nothing here\"}\n");
	assert_non_null(strstr(r.text, "Connection: close\r\n"));
	assert_non_null(strstr(r.text, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(r.text, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(r.text, "X-Content-Type-Options: nosniff\r\n"));
	assert_null(strstr(r.text, "Server:"));
}

/* Deadlines. */

static bool
closes_within(int fd, int64_t ms)
{
	struct reply r;
	int64_t start_ms = clock_mono_ms();

	lab_pull(fd, &r);
	(void)close(fd);
	return r.closed && clock_mono_ms() - start_ms <= ms;
}

static void
test_slow_callers(void **state)
{
	static const char text[] = RECEIVE "Content-Length: 3\r\n\r\nab";
	int silent, half, slow, hello, connect_method;
	int64_t start_ms;

	(void)state;
	lab_restart(SHORT_GRACE_MS, SHORT_IDLE_MS);
	silent = lab_dial(server_port(lab_peers)); /* 29 */
	half = lab_dial(server_port(lab_peers));   /* 13, F10 */
	slow = lab_dial(server_port(lab_peers));   /* 28 */
	hello = lab_dial(server_port(lab_peers));  /* 27 */
	connect_method = lab_dial(server_port(lab_peers));
	assert_true(lab_push(half, text, sizeof text - 1));
	assert_true(lab_push(hello, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
	assert_true(lab_push(connect_method, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 34));
	start_ms = clock_mono_ms();
	for (size_t i = 0; lab_push(slow, &text[i % (sizeof text - 1)], 1); i++) {
		lab_turn_for(20);
		if (clock_mono_ms() - start_ms > LAB_WAIT_MS)
			fail_msg("a slow caller is still connected");
	}
	assert_true(clock_mono_ms() - start_ms < SHORT_GRACE_MS * 3);
	assert_true(closes_within(slow, 100));
	assert_true(closes_within(silent, 500));
	assert_true(closes_within(half, 500));
	assert_true(closes_within(hello, 500));
	assert_true(closes_within(connect_method, 500));
	assert_int_equal(lab_handled, 0);
}

/* Silent connections, each older than the next. */
static void
crowd(int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fd[i] = lab_dial(server_port(lab_peers));
		lab_turn_for(2); /* ages are told apart by milliseconds */
	}
	lab_turn_for(20);
}

static size_t
open_among(const int *fd, size_t n)
{
	size_t open = 0;
	char byte;

	for (size_t i = 0; i < n; i++)
		open += recv(fd[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	return open;
}

static void
hang_up(const int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close(fd[i]);
	lab_turn_for(20);
}

static void
test_connection_cap(void **state)
{
	int fd[GUARD_CONNS_PER_PLACE + 1];
	struct reply r;

	(void)state;
	crowd(fd, GUARD_CONNS_PER_PLACE + 1); /* 30 */
	assert_int_equal(open_among(fd, GUARD_CONNS_PER_PLACE + 1), GUARD_CONNS_PER_PLACE);
	lab_pull(fd[0], &r); /* the one that was silent longest made room */
	assert_true(r.closed);
	assert_int_equal(r.status, 0);
	assert_int_equal(lab_exchange(server_port(lab_peers), "GET /x HTTP/1.1\r\n" HOST "\r\n", 36, &r), 404);
	assert_int_equal(open_among(fd, GUARD_CONNS_PER_PLACE + 1), GUARD_CONNS_PER_PLACE - 1);
	hang_up(fd, GUARD_CONNS_PER_PLACE + 1);
}

static void
test_strangers_bytes(void **state)
{
	static char zeros[LAB_BODY_MAX - 1];
	char head[256];
	int fd[20];
	size_t refused_count = 0;

	(void)state;
	(void)snprintf(head, sizeof head, RECEIVE "Content-Length: %d\r\n\r\n", LAB_BODY_MAX);
	for (size_t i = 0; i < 20; i++) {
		fd[i] = lab_dial(server_port(lab_peers));
		if (!lab_push(fd[i], head, strlen(head)) || !lab_push(fd[i], zeros, sizeof zeros))
			refused_count++;
	}
	for (int64_t end = clock_mono_ms() + LAB_WAIT_MS; refused_count == 0 && clock_mono_ms() < end;) {
		lab_turn();
		for (size_t i = 0; i < 20; i++)
			refused_count += recv(fd[i], head, 1, MSG_DONTWAIT) == 0;
	}
	assert_true(refused_count > 0); /* 20 x 4 MiB is more than strangers may leave lying here */
	for (size_t i = 0; i < 20; i++)
		(void)close(fd[i]);
}

static void
test_no_files_left(void **state)
{
	static const char text[] = "GET /x HTTP/1.1\r\n" HOST "\r\n";
	struct rlimit was, none;
	int fd = lab_dial(server_port(lab_peers));
	struct reply r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 3; /* below every number in use */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	lab_turn_for(100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true(lab_push(fd, text, sizeof text - 1));
	lab_pull(fd, &r); /* taken at the next tick */
	assert_int_equal(r.status, 404);
	(void)close(fd);
}

/* Signed requests on raw connections. */

struct raw {
	const char *method, *path, *from, *to, *session;
	uint64_t counter;
	const void *body;
	size_t len;
	const unsigned char *pair; /* NULL = anna's key */
	const char *other_path;	   /* sent instead of what is signed, when not NULL */
	size_t flip;		   /* digit of the MAC to change, from 1 */
};

static void
send_raw(int fd, const struct raw *q, char mac[SIGN_MAC_HEX + 1])
{
	struct sign_request covered = { q->method, q->path, q->from, q->to, q->session, q->counter, q->body,
		q->len };
	unsigned char key[SIGN_KEY_BYTES];
	char head[1024], own[SIGN_MAC_HEX + 1];

	mac = mac == NULL ? own : mac;
	sign_direction_key(q->pair == NULL ? lab_known[0].key : q->pair, q->from, q->to, key);
	sign_request_mac(key, &covered, mac);
	if (q->flip > 0)
		mac[q->flip - 1] = mac[q->flip - 1] == '0' ? '1' : '0';
	(void)snprintf(head, sizeof head,
	    "%s %s HTTP/1.1\r\n" HOST TYPE "Content-Length: %zu\r\nX-Tandem-From: %s\r\nX-Tandem-To: %s\r\n"
	    "%s%s%sX-Tandem-Counter: %" PRIu64 "\r\nX-Tandem-Mac: %s\r\n\r\n",
	    q->method, q->other_path == NULL ? q->path : q->other_path, q->len, q->from, q->to,
	    q->session[0] == '\0' ? "" : "X-Tandem-Session: ", q->session,
	    q->session[0] == '\0' ? "" : "\r\n", q->counter, mac);
	assert_true(lab_push(fd, head, strlen(head)));
	(void)lab_push(fd, q->body, q->len);
}

/* Is the answer signed by ben, for the request with that MAC? */
static bool
is_signed(const struct reply *r, const char *request_mac)
{
	const char *mac = strstr(r->text, "X-Tandem-Mac: ");
	char got[SIGN_MAC_HEX + 1], want[SIGN_MAC_HEX + 1];
	unsigned char key[SIGN_KEY_BYTES];

	if (mac == NULL)
		return false;
	(void)snprintf(got, sizeof got, "%s", mac + 14);
	sign_direction_key(lab_known[0].key, lab_ben, lab_anna, key);
	sign_response_mac(key, r->status, request_mac, r->body, strlen(r->body), want);
	return sign_equal(got, want);
}

/* A hello with a nonce of its own: two in one millisecond would get one session otherwise. */
static struct raw
raw_hello(void)
{
	static char nonce[SIGN_NONCE_BYTES * 2 + 1];
	static unsigned n;

	(void)snprintf(nonce, sizeof nonce, "%032x", ++n);
	return (struct raw){ "POST", "/api/sync/hello", "anna", "ben", "", 0, nonce, 32, NULL, NULL, 0 };
}

static struct raw
raw_receive(const char *session, uint64_t counter)
{
	return (struct raw){ "POST", "/api/sync/receive", "anna", "ben", session, counter, "body", 4, NULL,
		NULL, 0 };
}

/* Say hello as anna and return the session. */
static void
hello_on(int fd, char session[SIGN_SESSION_MAX])
{
	struct raw q = raw_hello();
	char mac[SIGN_MAC_HEX + 1];
	struct reply r;

	send_raw(fd, &q, mac);
	lab_pull(fd, &r);
	assert_int_equal(r.status, 200);
	assert_false(r.closed);
	assert_true(is_signed(&r, mac));
	(void)snprintf(session, SIGN_SESSION_MAX, "%s", r.body);
}

static int
ask(int fd, const struct raw *q, struct reply *r, bool *signed_answer)
{
	char mac[SIGN_MAC_HEX + 1];

	send_raw(fd, q, mac);
	lab_pull(fd, r);
	if (signed_answer != NULL)
		*signed_answer = is_signed(r, mac);
	return r->status;
}

/* The request is 401, signed or not, closes the connection and reaches no handler. */
static void
unauthorised(const struct raw *q, bool want_signed)
{
	unsigned before = lab_handled;
	int fd = lab_dial(server_port(lab_peers));
	struct reply r;
	bool is;

	assert_int_equal(ask(fd, q, &r, &is), 401);
	assert_string_equal(r.body,
	    "{\"error\":\"unauthorised\",\"message\":\"not signed by a known peer within a session\"}\n");
	assert_true(r.closed);
	assert_int_equal(is, want_signed);
	assert_int_equal(strstr(r.text, "X-Tandem-Mac") != NULL, want_signed);
	assert_int_equal(lab_handled, before);
	(void)close(fd);
}

static void
test_connections_of_peers_stay(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd[GUARD_CONNS_PER_PLACE + 1], silent[GUARD_CONNS_PER_PLACE];
	struct reply r;

	(void)state;
	fd[0] = lab_dial(server_port(lab_peers));
	hello_on(fd[0], session);
	crowd(silent, GUARD_CONNS_PER_PLACE); /* nobody who has shown a key makes room for a stranger */
	assert_int_equal(open_among(fd, 1), 1);
	for (size_t i = 1; i < GUARD_CONNS_PER_PLACE; i++) { /* and a crowd keeps no peer out */
		fd[i] = lab_dial(server_port(lab_peers));
		hello_on(fd[i], session);
	}
	assert_int_equal(open_among(fd, GUARD_CONNS_PER_PLACE), GUARD_CONNS_PER_PLACE);
	assert_int_equal(open_among(silent, GUARD_CONNS_PER_PLACE), 0);
	fd[GUARD_CONNS_PER_PLACE] = lab_dial(server_port(lab_peers));
	lab_pull(fd[GUARD_CONNS_PER_PLACE], &r);
	assert_true(r.closed);
	assert_int_equal(r.status, 0);
	hang_up(silent, GUARD_CONNS_PER_PLACE);
	hang_up(fd, GUARD_CONNS_PER_PLACE + 1);
}

static void
test_session_of_requests(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd = lab_dial(server_port(lab_peers));
	struct raw q;
	struct reply r;
	bool is;

	(void)state;
	hello_on(fd, session);
	q = raw_receive(session, 1);
	assert_int_equal(ask(fd, &q, &r, &is), 200);
	assert_true(is);
	assert_string_equal(r.body, "body");
	assert_string_equal(lab_last_peer, "anna");
	q.counter = 5;
	q.body = "refuse";
	q.len = 6;
	assert_int_equal(ask(fd, &q, &r, &is), 409);
	assert_true(is);
	assert_false(r.closed);
	assert_string_equal(r.body, "{\"error\":\"behind\",\"message\":\"expected \\u00227\\u0022\\u000a?\"}\n");
	q = (struct raw){ "GET", "/api/sync/status", "anna", "ben", session, 6, "", 0, NULL, NULL, 0 };
	assert_int_equal(ask(fd, &q, &r, &is), 200);
	assert_true(is);
	(void)close(fd);
}

static void
test_largest_body(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd = lab_dial(server_port(lab_peers));
	char *body = calloc(1, LAB_BODY_MAX + 1);
	struct raw q;
	struct reply r;

	(void)state;
	assert_non_null(body);
	hello_on(fd, session);
	q = raw_receive(session, 1);
	q.path = "/api/sync/acknowledge";
	q.body = "1234567890123456";
	q.len = 16;
	assert_int_equal(ask(fd, &q, &r, NULL), 200); /* exactly the limit */
	q.path = "/api/sync/receive";
	q.counter = 2;
	q.body = body;
	q.len = LAB_BODY_MAX;
	send_raw(fd, &q, NULL);
	while (recv(fd, r.text, sizeof r.text, MSG_DONTWAIT) <= 0)
		lab_turn();
	assert_int_equal(strncmp(r.text, "HTTP/1.1 200 ", 13), 0);
	(void)close(fd);
	fd = lab_dial(server_port(lab_peers));
	q.len = LAB_BODY_MAX + 1;
	q.counter = 3;
	assert_int_equal(ask(fd, &q, &r, NULL), 413);
	(void)close(fd);
	free(body);
}

static void
test_unknown_and_wrong(void **state)
{
	static const unsigned char other_key[CONF_KEY_BYTES] = { 1 };
	struct raw q = raw_hello();

	(void)state;
	q.from = "mallory";
	unauthorised(&q, false);
	q = raw_hello();
	q.pair = other_key;
	unauthorised(&q, false);
	q = raw_hello();
	q.to = "bob";
	unauthorised(&q, false);
	q = raw_hello();
	q.from = "carl"; /* a peer, but signed with anna's key */
	unauthorised(&q, false);
	q = raw_hello();
	q.from = "ben"; /* our own request, reflected */
	q.to = "anna";
	unauthorised(&q, false);
	q = raw_hello();
	q.other_path = "/api/sync/receive";
	unauthorised(&q, false);
	for (size_t i = 1; i <= SIGN_MAC_HEX; i += 9) {
		q = raw_hello();
		q.flip = i;
		unauthorised(&q, false);
	}
}

static void
test_replays(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd = lab_dial(server_port(lab_peers));
	struct raw q;
	struct reply r;

	(void)state;
	hello_on(fd, session);
	q = raw_receive(session, 3);
	assert_int_equal(ask(fd, &q, &r, NULL), 200);
	unauthorised(&q, true); /* the same bytes on another connection */
	q.counter = 2;
	unauthorised(&q, true);
	q.counter = 4;
	assert_int_equal(ask(fd, &q, &r, NULL), 200); /* the session itself goes on */
	assert_int_equal(ask(fd, &q, &r, NULL), 401);
	assert_true(r.closed);
	(void)close(fd);
}

static void
test_stale_sessions(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd = lab_dial(server_port(lab_peers));
	struct raw q;

	(void)state;
	hello_on(fd, session);
	q = raw_receive(session, 1);
	q.from = "carl"; /* with a right MAC of his own, in anna's session */
	q.pair = lab_known[1].key;
	{
		int other = lab_dial(server_port(lab_peers));
		struct reply r;

		assert_int_equal(ask(other, &q, &r, NULL), 401);
		assert_true(r.closed);
		(void)close(other);
	}
	assert_int_equal(lab_handled, 1);
	(void)close(fd);
	lab_restart(0, 0); /* another boot key */
	q = raw_receive(session, 1);
	unauthorised(&q, true);
	q = raw_receive("0.1.2", 1);
	unauthorised(&q, true);
}

static void
test_sessions_full(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd[SESSIONS_PER_PEER + 1];
	struct raw q;
	struct reply r;
	bool is;

	(void)state;
	for (size_t i = 0; i <= SESSIONS_PER_PEER; i++) {
		fd[i] = lab_dial(server_port(lab_peers));
		hello_on(fd[i], session);
		q = raw_receive(session, 1);
		assert_int_equal(ask(fd[i], &q, &r, &is), i < SESSIONS_PER_PEER ? 200 : 503);
		assert_true(is);
	}
	(void)close(fd[0]);
	lab_turn_for(20);
	(void)close(fd[SESSIONS_PER_PEER]);
	fd[0] = lab_dial(server_port(lab_peers));
	assert_int_equal(ask(fd[0], &q, &r, NULL), 200);
	for (size_t i = 0; i < SESSIONS_PER_PEER; i++)
		(void)close(fd[i]);
}

static void
test_idle_limit(void **state)
{
	char session[SIGN_SESSION_MAX];
	int64_t start_ms;
	int fd;

	(void)state;
	lab_restart(SHORT_GRACE_MS, SHORT_IDLE_MS);
	fd = lab_dial(server_port(lab_peers));
	hello_on(fd, session);
	start_ms = clock_mono_ms();
	assert_true(closes_within(fd, LAB_WAIT_MS));
	assert_true(clock_mono_ms() - start_ms >= SHORT_IDLE_MS - 50);
	/* A second request that does not end has the short deadline again. */
	fd = lab_dial(server_port(lab_peers));
	hello_on(fd, session);
	lab_turn_for(SHORT_GRACE_MS + 100);
	assert_true(lab_push(fd, "POST /api", 9));
	start_ms = clock_mono_ms();
	assert_true(closes_within(fd, LAB_WAIT_MS));
	assert_in_range(clock_mono_ms() - start_ms, SHORT_GRACE_MS - 50, SHORT_GRACE_MS + 150);
}

static void
test_requests_in_a_row(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd = lab_dial(server_port(lab_peers));
	struct raw q;
	struct reply r;
	size_t answers = 0;
	int64_t end;

	(void)state;
	hello_on(fd, session);
	for (uint64_t i = 1; i <= 3; i++) { /* sent before the first answer is read */
		q = raw_receive(session, i);
		send_raw(fd, &q, NULL);
	}
	(void)memset(&r, 0, sizeof r);
	end = clock_mono_ms() + LAB_WAIT_MS;
	while (answers < 3 && clock_mono_ms() < end) {
		ssize_t n;

		lab_turn_for(5);
		n = recv(fd, r.text + r.len, sizeof r.text - 1 - r.len, MSG_DONTWAIT);
		r.len += n > 0 ? (size_t)n : 0;
		answers = 0;
		for (const char *p = r.text; (p = strstr(p, "HTTP/1.1 200 ")) != NULL; p++)
			answers++;
	}
	assert_int_equal(answers, 3);
	(void)close(fd);
}

/* Answers that come later. */

static void
keep_one(int fd)
{
	char session[SIGN_SESSION_MAX];
	struct raw q;
	int64_t end = clock_mono_ms() + LAB_WAIT_MS;

	hello_on(fd, session);
	q = (struct raw){ "GET", "/api/sync/download", "anna", "ben", session, 1, "", 0, NULL, NULL, 0 };
	send_raw(fd, &q, NULL);
	while (lab_kept == NULL && clock_mono_ms() < end)
		lab_turn();
	assert_non_null(lab_kept);
	assert_int_equal(server_busy(lab_peers), 1);
}

static void
release_one(void)
{
	struct request *r = lab_kept;

	lab_kept = NULL;
	request_reply(r, 200, "text/plain", "late", 4);
}

static void
test_deferred_answer(void **state)
{
	int fd;
	struct reply r;

	(void)state;
	lab_restart(SHORT_GRACE_MS, SHORT_IDLE_MS);
	fd = lab_dial(server_port(lab_peers));
	keep_one(fd);
	lab_turn_for(SHORT_GRACE_MS + SHORT_IDLE_MS); /* working has no deadline */
	assert_false(request_gone(lab_kept));
	release_one();
	assert_int_equal(server_busy(lab_peers), 0);
	lab_pull(fd, &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "late");
	(void)close(fd);
}

static void
test_caller_leaves(void **state)
{
	int fd = lab_dial(server_port(lab_peers));
	int64_t end = clock_mono_ms() + LAB_WAIT_MS;
	struct linger reset = { .l_onoff = 1 };
	char session[SIGN_SESSION_MAX];
	size_t len;

	(void)state;
	keep_one(fd);
	(void)close(fd);
	while (!request_gone(lab_kept) && clock_mono_ms() < end)
		lab_turn();
	assert_true(request_gone(lab_kept));
	assert_string_equal(request_peer(lab_kept), "anna");
	(void)request_body(lab_kept, &len);
	request_new_session(lab_kept, NONCE, session);
	assert_true(strlen(session) > 0);
	assert_int_equal(server_busy(lab_peers), 1);
	release_one();
	assert_int_equal(server_busy(lab_peers), 0);
	fd = lab_dial(server_port(lab_peers)); /* and with a reset, right after more bytes */
	keep_one(fd);
	assert_true(lab_push(fd, "GET / HTTP/1.1\r\n\r\n", 18));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	(void)close(fd);
	end = clock_mono_ms() + LAB_WAIT_MS;
	while (!request_gone(lab_kept) && clock_mono_ms() < end)
		lab_turn();
	assert_true(request_gone(lab_kept));
	release_one();
}

static void
test_caller_leaves_during_answer(void **state)
{
	int fd = lab_dial(server_port(lab_peers));
	char session[SIGN_SESSION_MAX];
	struct raw q;

	(void)state;
	hello_on(fd, session);
	lab_answer_bytes = 16 * 1024 * 1024;
	q = (struct raw){ "GET", "/api/sync/status", "anna", "ben", session, 1, "", 0, NULL, NULL, 0 };
	send_raw(fd, &q, NULL);
	lab_turn_for(20);
	(void)close(fd);
	lab_turn_for(50);
	assert_int_equal(server_busy(lab_peers), 0);
}

static void
test_free_with_kept(void **state)
{
	int fd = lab_dial(server_port(lab_peers)), fresh;
	char session[SIGN_SESSION_MAX];
	size_t len;

	(void)state;
	keep_one(fd);
	fresh = lab_dial(server_port(lab_peers)); /* accepted or not, it is closed as well */
	(void)event_base_loop(lab_base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	lab_stop();
	assert_true(request_gone(lab_kept));
	(void)request_body(lab_kept, &len);
	request_new_session(lab_kept, NONCE, session);
	assert_string_equal(session, "");
	release_one();
	(void)close(fd);
	(void)close(fresh);
}

static void
test_stop_accepting(void **state)
{
	int fd = lab_dial(server_port(lab_peers)), idle = lab_dial(server_port(lab_peers));
	struct sockaddr_in a = { .sin_family = AF_INET };
	char session[SIGN_SESSION_MAX];
	struct reply r;

	(void)state;
	hello_on(idle, session);
	keep_one(fd);
	a.sin_port = htons((uint16_t)server_port(lab_peers));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server_stop_accepting(lab_peers);
	assert_true(closes_within(idle, 500));
	idle = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(idle, (struct sockaddr *)&a, sizeof a), -1);
	(void)close(idle);
	release_one();
	lab_pull(fd, &r);
	assert_int_equal(r.status, 200);
	assert_true(r.closed);
	(void)close(fd);
}

/* The page. */

static int
visit(const char *line, const char *headers, struct reply *r)
{
	char text[1024];

	(void)snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n", line,
	    server_port(lab_page), headers);
	return lab_exchange(server_port(lab_page), text, strlen(text), r);
}

#define KEY "Authorization: Bearer open-sesame\r\n"
#define JSON "Content-Type: application/json\r\nContent-Length: 2\r\n"

static void
test_page_key(void **state)
{
	struct reply r;

	(void)state;
	assert_int_equal(visit("GET /", "", &r), 401);
	assert_true(r.closed);
	assert_non_null(strstr(r.text, "WWW-Authenticate: Bearer realm=\"tandem\"\r\n"));
	assert_int_equal(visit("GET /", "Authorization: Bearer open-sesam\r\n", &r), 401);
	assert_int_equal(lab_handled, 0);
	assert_int_equal(visit("GET /", KEY, &r), 200);
	assert_false(r.closed);
	assert_int_equal(visit("GET /", "Authorization: Basic eDpvcGVuLXNlc2FtZQ==\r\n", &r), 200);
	assert_int_equal(visit("GET /healthz", "", &r), 200);
	assert_true(r.closed);
	assert_int_equal(visit("GET /api/sync/status", KEY, &r), 404);
	assert_int_equal(visit("POST /healthz", KEY "Content-Length: 0\r\n", &r), 405);
}

static void
test_page_headers(void **state)
{
	static const char *const want[] = {
		("Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
		 "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
		 "frame-ancestors 'none'\r\n"),
		"Referrer-Policy: no-referrer\r\n", "Cross-Origin-Opener-Policy: same-origin\r\n",
		"Cross-Origin-Resource-Policy: same-origin\r\n", "X-Content-Type-Options: nosniff\r\n",
		"Cache-Control: no-store\r\n", "Content-Type: text/html; charset=utf-8\r\n" };
	struct reply r;

	(void)state;
	assert_int_equal(visit("GET /", KEY, &r), 200);
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
		assert_non_null(strstr(r.text, want[i]));
	assert_null(strstr(r.text, "Access-Control"));
}

static void
test_page_other_sites(void **state)
{
	static const char rebound[] = "GET / HTTP/1.1\r\nHost: attacker.example\r\n" KEY "\r\n";
	struct reply r;
	char text[512];

	(void)state;
	assert_int_equal(lab_exchange(server_port(lab_page), rebound, sizeof rebound - 1, &r), 403);
	(void)snprintf(text, sizeof text, "GET /healthz HTTP/1.1\r\nHost: attacker.example:%u\r\n\r\n",
	    server_port(lab_page));
	assert_int_equal(lab_exchange(server_port(lab_page), text, strlen(text), &r), 403);
	(void)snprintf(text, sizeof text,
	    "POST /api/trigger HTTP/1.1\r\nHost: localhost:%u\r\n" KEY JSON "%s\r\n{}", server_port(lab_page),
	    "Origin: http://attacker.example\r\n");
	assert_int_equal(lab_exchange(server_port(lab_page), text, strlen(text), &r), 403);
	(void)snprintf(text, sizeof text,
	    "POST /api/trigger HTTP/1.1\r\nHost: localhost:%u\r\n" KEY JSON "Sec-Fetch-Site: cross-site\r\n\r\n{}",
	    server_port(lab_page));
	assert_int_equal(lab_exchange(server_port(lab_page), text, strlen(text), &r), 403);
	assert_int_equal(lab_handled, 0);
	(void)snprintf(text, sizeof text,
	    "POST /api/trigger HTTP/1.1\r\nHost: localhost:%u\r\n" KEY JSON
	    "Origin: http://localhost:%u\r\nSec-Fetch-Site: same-origin\r\n\r\n{}",
	    server_port(lab_page), server_port(lab_page));
	assert_int_equal(lab_exchange(server_port(lab_page), text, strlen(text), &r), 200);
}

static void
test_bind_errors(void **state)
{
	static const char *const bad[] = { "", "8440", "127.0.0.1", "127.0.0.1:", ":8440", "::1:8440",
		"127.0.0.1:65536", "127.0.0.1:http", "[]:1", "127.0.0.1:8440 " };
	struct server_options o = { .base = lab_base, .conf = &lab_conf, .routes = lab_peer_routes,
		.nroutes = LAB_PEER_ROUTES };
	struct server *s;
	char taken[32], want[160];
	struct err e;

	(void)state;
	(void)snprintf(taken, sizeof taken, "127.0.0.1:%u", server_port(lab_peers));
	(void)snprintf(want, sizeof want,
	    "listen address %s is in use by another program: stop it or change [node] listen", taken);
	o.address = taken;
	assert_false(server_new(&o, &s, &e));
	assert_int_equal(e.code, ERR_IO);
	assert_string_equal(e.msg, want);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		o.address = bad[i];
		assert_false(server_new(&o, &s, &e));
		assert_int_equal(e.code, ERR_CONFIG);
	}
	o.address = "192.0.2.1:1";
	assert_false(server_new(&o, &s, &e));
	assert_non_null(strstr(e.msg, "is not an address of this computer"));
	o.address = "[::1]:0";
	if (server_new(&o, &s, &e)) /* where there is IPv6 */
		server_free(s);
}

#define NAMED(text, f) { text, f, lab_set_up, lab_tear_down, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("ambiguous framing is refused and the connection closed", test_framing),
		NAMED("Expect is refused even where libevent answers it", test_expect_continue),
		NAMED("odd targets, versions, methods and headers are refused", test_targets_and_headers),
		NAMED("empty, large, encoded, wrongly typed and unsigned bodies are refused", test_content),
		NAMED("a refusal is a short JSON error that repeats nothing", test_refusal_form),
		NAMED("slow and silent callers are closed by the deadline", test_slow_callers),
		NAMED("of one address the connection that was silent longest makes room", test_connection_cap),
		NAMED("strangers cannot fill the memory with bodies", test_strangers_bytes),
		NAMED("a server without files to spare rests and goes on", test_no_files_left),
		NAMED("a crowd of silent connections keeps no peer out, and no peer makes room for it",
		    test_connections_of_peers_stay),
		NAMED("hello opens a session and signed requests are answered signed", test_session_of_requests),
		NAMED("a body of exactly the limit is taken, one byte more is not", test_largest_body),
		NAMED("unknown peers, wrong keys, wrong names and altered requests get the same unsigned 401", test_unknown_and_wrong),
		NAMED("a replayed or lower counter gets a signed 401 and has no effect", test_replays),
		NAMED("a session of another peer or another boot gets a signed 401", test_stale_sessions),
		NAMED("more live sessions than allowed get 503 until one ends", test_sessions_full),
		NAMED("an idle connection is closed, a new request on it has the short deadline", test_idle_limit),
		NAMED("requests sent in a row are answered in a row", test_requests_in_a_row),
		NAMED("a handler may answer later than any deadline", test_deferred_answer),
		NAMED("a caller that goes away is noticed and its answer dropped", test_caller_leaves),
		NAMED("a caller may go away in the middle of an answer", test_caller_leaves_during_answer),
		NAMED("a server may be freed while a handler keeps a request", test_free_with_kept),
		NAMED("a stopping server finishes what it answers and takes nothing new", test_stop_accepting),
		NAMED("the page wants the key, its health does not", test_page_key),
		NAMED("the page comes with its security headers", test_page_headers),
		NAMED("the page answers neither to rebound names nor to other sites", test_page_other_sites),
		NAMED("an address that cannot be used is named with its option", test_bind_errors),
	};

	log_set_level(LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
