/* The HTTP server and client over loopback, in one process and one thread where possible: raw bytes
 * against the server (the numbers are those of the catalogue in docs), deadlines, callers that go
 * away, then the client against the server and against servers that are none of ours. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/client.h"
#include "net/gate.h"
#include "net/guard.h"
#include "net/server.h"
#include "net/session.h"
#include "wire/sign.h"

enum {
	BODY_MAX = 4 * 1024 * 1024 + 4096, /* a peer's body and its envelope */
	WAIT_MS = 5000,			   /* for anything that must happen soon */
	SHORT_GRACE_MS = 300,
	SHORT_IDLE_MS = 500
};

/* The world of a test: ben serves peers and a page, anna and carl know ben. */

static struct event_base *base;
static struct server *peers, *page;
static struct request *kept;
static unsigned handled; /* requests that reached a handler */
static size_t answer_bytes;
static char last_peer[64];

static char name_ben[] = "ben", name_anna[] = "anna", name_carl[] = "carl", no_text[] = "";
static char monitor_key[] = "open-sesame";
static struct conf_peer known[2] = { { .name = name_anna }, { .name = name_carl } };
static struct conf conf = { .node = { .name = name_ben, .monitor_key = monitor_key, .listen = no_text,
				.monitor = no_text },
	.peers = known, .npeers = 2 };

static void
on_hello(struct request *r, void *arg)
{
	char nonce[64] = "", session[SIGN_SESSION_MAX];
	size_t len;
	const void *body = request_body(r, &len);

	(void)arg;
	handled++;
	if (len < sizeof nonce)
		memcpy(nonce, body, len);
	request_new_session(r, nonce, session);
	assert_string_equal(request_session(r), "");
	request_reply(r, 200, "application/json", session, strlen(session));
}

static void
on_receive(struct request *r, void *arg)
{
	size_t len;

	(void)arg;
	handled++;
	(void)snprintf(last_peer, sizeof last_peer, "%s", request_peer(r));
	assert_true(strlen(request_session(r)) > 0);
	(void)request_body(r, &len);
	if (len == 6 && memcmp(request_body(r, &len), "refuse", 6) == 0)
		request_fail(r, 409, "behind", "expected \"%d\"\n\xff", 7);
	else
		request_reply(r, 200, "application/x-tandem", request_body(r, &len), len);
}

static void
on_status(struct request *r, void *arg)
{
	char *much;

	(void)arg;
	handled++;
	if (answer_bytes == 0) {
		request_reply(r, 200, "application/json", "{}", 2);
		return;
	}
	much = malloc(answer_bytes);
	assert_non_null(much);
	memset(much, 'x', answer_bytes);
	request_reply(r, 200, "application/x-tandem", much, answer_bytes);
	free(much);
}

static void
on_later(struct request *r, void *arg)
{
	(void)arg;
	handled++;
	assert_null(kept);
	kept = r;
}

static void
on_page(struct request *r, void *arg)
{
	(void)arg;
	handled++;
	assert_null(request_peer(r));
	request_reply(r, 200, "text/html; charset=utf-8", "<p>", 3);
}

static const struct route peer_routes[] = {
	{ "POST", "/api/sync/hello", AUTH_HELLO, 4096, on_hello },
	{ "POST", "/api/sync/receive", AUTH_PEER, BODY_MAX, on_receive },
	{ "POST", "/api/sync/acknowledge", AUTH_PEER, 16, on_receive },
	{ "GET", "/api/sync/status", AUTH_PEER, 0, on_status },
	{ "GET", "/api/sync/download", AUTH_PEER, 0, on_later },
};
static const struct route page_routes[] = {
	{ "GET", "/", AUTH_MONITOR, 0, on_page },
	{ "POST", "/api/trigger", AUTH_MONITOR, 64, on_page },
	{ "GET", "/healthz", AUTH_OPEN, 0, on_page },
};

static void
start(int64_t grace_ms, int64_t idle_ms)
{
	struct server_options o = { .base = base, .conf = &conf, .address = "127.0.0.1:0",
		.routes = peer_routes, .nroutes = sizeof peer_routes / sizeof peer_routes[0],
		.grace_ms = grace_ms, .idle_ms = idle_ms };
	struct err e;

	handled = 0;
	answer_bytes = 0;
	if (!server_new(&o, &peers, &e))
		fail_msg("%s", e.msg);
	o.routes = page_routes;
	o.nroutes = sizeof page_routes / sizeof page_routes[0];
	if (!server_new(&o, &page, &e))
		fail_msg("%s", e.msg);
}

static int
set_up(void **state)
{
	(void)state;
	memset(known[0].key, 0x11, CONF_KEY_BYTES);
	memset(known[1].key, 0x22, CONF_KEY_BYTES);
	base = event_base_new();
	assert_non_null(base);
	start(0, 0);
	return 0;
}

static void
stop(void)
{
	server_free(peers);
	server_free(page);
	peers = page = NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	stop();
	if (kept != NULL)
		request_reply(kept, 200, "text/plain", "", 0);
	kept = NULL;
	event_base_free(base);
	return 0;
}

static void
restart(int64_t grace_ms, int64_t idle_ms)
{
	stop();
	start(grace_ms, idle_ms);
}

/* Raw connections. */

static int
dial(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void
turn(void)
{
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
turn_for(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end) {
		turn();
		clock_nap_ms(1);
	}
}

/* Send all, turning the loop while the server's buffers are full; false when it has closed. */
static bool
push(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		turn();
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* What came back on a raw connection. */
struct reply {
	char text[16384];
	size_t len;
	int status; /* of the first answer; 0 = none */
	bool closed;
	const char *body;
};

/* Read until the server closes, or (unless to_end) an answer that leaves the connection open is
 * whole. */
static void
pull_more(int fd, bool to_end, struct reply *r)
{
	int64_t end = clock_mono_ms() + WAIT_MS;

	memset(r, 0, sizeof *r);
	while (clock_mono_ms() < end && !r->closed) {
		ssize_t n = recv(fd, r->text + r->len, sizeof r->text - 1 - r->len, MSG_DONTWAIT);
		const char *length;

		r->closed = n == 0 || (n < 0 && errno != EAGAIN);
		turn();
		if (n > 0)
			r->len += (size_t)n;
		r->text[r->len] = '\0';
		r->body = strstr(r->text, "\r\n\r\n");
		length = strstr(r->text, "Content-Length: ");
		if (!to_end && r->body != NULL && length != NULL && strstr(r->text, "Connection: close") == NULL &&
		    strlen(r->body + 4) >= strtoul(length + 16, NULL, 10))
			break;
		if (n < 0)
			clock_nap_ms(1);
	}
	if (r->body != NULL)
		r->body += 4;
	if (strncmp(r->text, "HTTP/1.", 7) == 0)
		r->status = atoi(r->text + 9);
}

static void
pull(int fd, struct reply *r)
{
	pull_more(fd, false, r);
}

/* One exchange of raw bytes on a connection of its own. */
static int
exchange(unsigned port, const void *data, size_t len, struct reply *r)
{
	int fd = dial(port);

	(void)push(fd, data, len);
	pull(fd, r);
	(void)close(fd);
	return r->status;
}

/* Raw bytes get this status, then the connection is closed and no handler was asked. */
static void
refused(const char *data, size_t len, int status)
{
	struct reply r;
	unsigned before = handled;
	int fd = dial(server_port(peers));

	(void)push(fd, data, len);
	pull_more(fd, true, &r);
	(void)close(fd);
	if (r.status != status || !r.closed)
		print_error("not %d and closed (%d): %.200s\n%s\n", status, r.closed, data, r.text);
	assert_int_equal(r.status, status);
	assert_true(r.closed);
	assert_int_equal(handled, before);
	assert_null(strstr(r.text, "X-Tandem-Mac"));
}

#define REFUSED(text, status) refused(text, sizeof(text) - 1, status)
#define POST "POST /api/sync/receive HTTP/1.1\r\n"
#define HOST "Host: 127.0.0.1\r\n"
#define TYPE "Content-Type: application/x-tandem\r\n"
#define NONCE "00112233445566778899aabbccddeeff"
#define MAC64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SIGNED "X-Tandem-From: anna\r\nX-Tandem-To: ben\r\nX-Tandem-Counter: 1\r\nX-Tandem-Session: 0.1.2\r\n"

static void
test_framing(void **state)
{
	(void)state;
	REFUSED(POST HOST TYPE "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400); /* 1 */
	REFUSED(POST HOST TYPE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400);		 /* 2 */
	REFUSED(POST HOST TYPE "Transfer-Encoding: xchunked\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400); /* 3 */
	REFUSED(POST HOST TYPE "Transfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc", 400); /* 4 */
	REFUSED(POST HOST TYPE "Content-Length: 3\r\nContent-Length: 6\r\n\r\nabcdef", 400);	  /* 5 */
	REFUSED(POST HOST TYPE "Content-Length: +3\r\n\r\nabc", 400);				  /* 6 */
	REFUSED(POST HOST TYPE "Content-Length: \t3\r\n\r\nabc", 400);
	REFUSED(POST HOST TYPE "Content-Length: 0x3\r\n\r\nabc", 400); /* 7 */
	REFUSED(POST HOST TYPE "Content-Length: -1\r\n\r\nabc", 400);
	REFUSED(POST HOST TYPE "Content-Length: 3, 3\r\n\r\nabc", 400);
	REFUSED(POST HOST TYPE "Content-Length: \r\n\r\n", 400);
	REFUSED(POST HOST TYPE "\r\n", 400);
	REFUSED(POST HOST TYPE "Content-Length: 4198401\r\n\r\n", 413);				    /* 8 */
	REFUSED(POST HOST TYPE "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", 413); /* 9 */
	REFUSED(POST HOST TYPE "Expect: tea\r\nContent-Length: 3\r\n\r\nabc", 417);
	REFUSED(POST HOST TYPE "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400); /* 10 */
	REFUSED(POST HOST TYPE "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", 400);
	REFUSED(POST HOST TYPE "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 413); /* 11 */
	REFUSED(POST HOST TYPE "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n", 413);
	REFUSED(POST HOST TYPE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc2\r\nde\r\n0\r\n\r\n", 400);	    /* 12 */
	REFUSED(POST HOST TYPE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", 400); /* 13 */
	REFUSED("POST /api/sync/receive HTTP/1.1\nHost: a\n" "Content-Type: application/json\nContent-Length: 3\n\nabc", 401); /* 14 */
	REFUSED(POST HOST TYPE SIGNED "X-Tandem-Mac: " MAC64 "\0x\r\nContent-Length: 3\r\n\r\nabc", 401); /* 15 */
	REFUSED(POST HOST TYPE SIGNED "X-Tandem-Mac: 0123\0" MAC64 "\r\nContent-Length: 3\r\n\r\nabc", 401);
	REFUSED("POST /api/sync\0/receive HTTP/1.1\r\n" HOST "\r\n", 400);				   /* 16 */
}

static void
test_expect_continue(void **state)
{
	static const char head[] = POST HOST TYPE "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
	struct reply r;
	int fd = dial(server_port(peers));

	(void)state;
	assert_true(push(fd, head, sizeof head - 1));
	turn_for(50);
	assert_true(push(fd, "abc", 3));
	pull(fd, &r);
	assert_non_null(strstr(r.text, "HTTP/1.1 100 "));
	assert_non_null(strstr(r.text, "HTTP/1.1 417 "));
	assert_true(r.closed);
	assert_int_equal(handled, 0);
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
	REFUSED(POST HOST TYPE "X-Tandem-From: an\r\n na\r\nContent-Length: 3\r\n\r\nabc", 401); /* 18 */
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
	REFUSED(POST HOST TYPE "Content-Length: 0\r\n\r\n", 400);						   /* 31 */
	REFUSED(POST HOST TYPE "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 415);			   /* 32 */
	REFUSED(POST HOST "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc", 415);			   /* 33 */
	REFUSED("POST /api/sync/acknowledge HTTP/1.1\r\n" HOST TYPE "Content-Length: 17\r\n\r\n12345678901234567", 413);
	REFUSED(POST HOST TYPE "Content-Length: 3\r\n\r\nabc", 401); /* 35 */
	REFUSED(POST HOST TYPE SIGNED SIGNED "Content-Length: 3\r\n\r\nabc", 400);
	REFUSED(POST HOST TYPE SIGNED "Content-Length: 3\r\n\r\nabc", 401);
	REFUSED(POST HOST TYPE SIGNED "X-Tandem-Mac: " MAC64 "\r\nContent-Length: 3\r\n\r\nabc", 401);
	assert_int_equal(server_busy(peers), 0);
}

static void
test_refusal_form(void **state)
{
	static const char text[] = "GET /nothing HTTP/1.1\r\n" HOST "\r\n";
	struct reply r;

	(void)state;
	assert_int_equal(exchange(server_port(peers), text, sizeof text - 1, &r), 404);
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

	pull(fd, &r);
	(void)close(fd);
	return r.closed && clock_mono_ms() - start_ms <= ms;
}

static void
test_slow_callers(void **state)
{
	static const char text[] = POST HOST TYPE "Content-Length: 3\r\n\r\nab";
	int silent, half, slow, hello, connect_method;
	int64_t start_ms;

	(void)state;
	restart(SHORT_GRACE_MS, SHORT_IDLE_MS);
	silent = dial(server_port(peers)); /* 29 */
	half = dial(server_port(peers));   /* 13, F10 */
	slow = dial(server_port(peers));   /* 28 */
	hello = dial(server_port(peers));  /* 27 */
	connect_method = dial(server_port(peers));
	assert_true(push(half, text, sizeof text - 1));
	assert_true(push(hello, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
	assert_true(push(connect_method, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 34));
	start_ms = clock_mono_ms();
	for (size_t i = 0; push(slow, &text[i % (sizeof text - 1)], 1); i++) {
		turn_for(20);
		if (clock_mono_ms() - start_ms > WAIT_MS)
			fail_msg("a slow caller is still connected");
	}
	assert_true(clock_mono_ms() - start_ms < SHORT_GRACE_MS * 3);
	assert_true(closes_within(slow, 100));
	assert_true(closes_within(silent, 500));
	assert_true(closes_within(half, 500));
	assert_true(closes_within(hello, 500));
	assert_true(closes_within(connect_method, 500));
	assert_int_equal(handled, 0);
}

static void
test_connection_cap(void **state)
{
	int fd[GUARD_CONNS_PER_PLACE + 1];
	struct reply r;
	size_t open = 0;

	(void)state;
	for (size_t i = 0; i <= GUARD_CONNS_PER_PLACE; i++) { /* 30 */
		fd[i] = dial(server_port(peers));
		turn();
	}
	turn_for(20);
	for (size_t i = 0; i < GUARD_CONNS_PER_PLACE; i++)
		open += recv(fd[i], r.text, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	assert_int_equal(open, GUARD_CONNS_PER_PLACE);
	pull(fd[GUARD_CONNS_PER_PLACE], &r);
	assert_true(r.closed);
	assert_int_equal(r.status, 0);
	(void)close(fd[0]);
	turn_for(20);
	assert_int_equal(exchange(server_port(peers), "GET /x HTTP/1.1\r\n" HOST "\r\n", 36, &r), 404);
	for (size_t i = 1; i <= GUARD_CONNS_PER_PLACE; i++)
		(void)close(fd[i]);
}

static void
test_strangers_bytes(void **state)
{
	static char zeros[BODY_MAX - 1];
	char head[256];
	int fd[20];
	size_t refused_count = 0;

	(void)state;
	(void)snprintf(head, sizeof head, POST HOST TYPE "Content-Length: %d\r\n\r\n", BODY_MAX);
	for (size_t i = 0; i < 20; i++) {
		fd[i] = dial(server_port(peers));
		if (!push(fd[i], head, strlen(head)) || !push(fd[i], zeros, sizeof zeros))
			refused_count++;
	}
	for (int64_t end = clock_mono_ms() + WAIT_MS; refused_count == 0 && clock_mono_ms() < end;) {
		turn();
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
	int fd = dial(server_port(peers));
	struct reply r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 3; /* below every number in use */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turn_for(100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true(push(fd, text, sizeof text - 1));
	pull(fd, &r); /* taken at the next tick */
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
	sign_direction_key(q->pair == NULL ? known[0].key : q->pair, q->from, q->to, key);
	sign_request_mac(key, &covered, mac);
	if (q->flip > 0)
		mac[q->flip - 1] = mac[q->flip - 1] == '0' ? '1' : '0';
	(void)snprintf(head, sizeof head,
	    "%s %s HTTP/1.1\r\n" HOST TYPE "Content-Length: %zu\r\nX-Tandem-From: %s\r\nX-Tandem-To: %s\r\n"
	    "%s%s%sX-Tandem-Counter: %" PRIu64 "\r\nX-Tandem-Mac: %s\r\n\r\n",
	    q->method, q->other_path == NULL ? q->path : q->other_path, q->len, q->from, q->to,
	    q->session[0] == '\0' ? "" : "X-Tandem-Session: ", q->session,
	    q->session[0] == '\0' ? "" : "\r\n", q->counter, mac);
	assert_true(push(fd, head, strlen(head)));
	(void)push(fd, q->body, q->len);
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
	sign_direction_key(known[0].key, name_ben, name_anna, key);
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
	pull(fd, &r);
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
	pull(fd, r);
	if (signed_answer != NULL)
		*signed_answer = is_signed(r, mac);
	return r->status;
}

/* The request is 401, signed or not, closes the connection and reaches no handler. */
static void
unauthorised(const struct raw *q, bool want_signed)
{
	unsigned before = handled;
	int fd = dial(server_port(peers));
	struct reply r;
	bool is;

	assert_int_equal(ask(fd, q, &r, &is), 401);
	assert_string_equal(r.body,
	    "{\"error\":\"unauthorised\",\"message\":\"not signed by a known peer within a session\"}\n");
	assert_true(r.closed);
	assert_int_equal(is, want_signed);
	assert_int_equal(strstr(r.text, "X-Tandem-Mac") != NULL, want_signed);
	assert_int_equal(handled, before);
	(void)close(fd);
}

static void
test_session_of_requests(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd = dial(server_port(peers));
	struct raw q;
	struct reply r;
	bool is;

	(void)state;
	hello_on(fd, session);
	q = raw_receive(session, 1);
	assert_int_equal(ask(fd, &q, &r, &is), 200);
	assert_true(is);
	assert_string_equal(r.body, "body");
	assert_string_equal(last_peer, "anna");
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
	int fd = dial(server_port(peers));
	char *body = calloc(1, BODY_MAX + 1);
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
	q.len = BODY_MAX;
	send_raw(fd, &q, NULL);
	while (recv(fd, r.text, sizeof r.text, MSG_DONTWAIT) <= 0)
		turn();
	assert_int_equal(strncmp(r.text, "HTTP/1.1 200 ", 13), 0);
	(void)close(fd);
	fd = dial(server_port(peers));
	q.len = BODY_MAX + 1;
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
	int fd = dial(server_port(peers));
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
	int fd = dial(server_port(peers));
	struct raw q;

	(void)state;
	hello_on(fd, session);
	q = raw_receive(session, 1);
	q.from = "carl"; /* with a right MAC of his own, in anna's session */
	q.pair = known[1].key;
	{
		int other = dial(server_port(peers));
		struct reply r;

		assert_int_equal(ask(other, &q, &r, NULL), 401);
		assert_true(r.closed);
		(void)close(other);
	}
	assert_int_equal(handled, 1);
	(void)close(fd);
	restart(0, 0); /* another boot key */
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
		fd[i] = dial(server_port(peers));
		hello_on(fd[i], session);
		q = raw_receive(session, 1);
		assert_int_equal(ask(fd[i], &q, &r, &is), i < SESSIONS_PER_PEER ? 200 : 503);
		assert_true(is);
	}
	(void)close(fd[0]);
	turn_for(20);
	(void)close(fd[SESSIONS_PER_PEER]);
	fd[0] = dial(server_port(peers));
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
	restart(SHORT_GRACE_MS, SHORT_IDLE_MS);
	fd = dial(server_port(peers));
	hello_on(fd, session);
	start_ms = clock_mono_ms();
	assert_true(closes_within(fd, WAIT_MS));
	assert_true(clock_mono_ms() - start_ms >= SHORT_IDLE_MS - 50);
	/* A second request that does not end has the short deadline again. */
	fd = dial(server_port(peers));
	hello_on(fd, session);
	turn_for(SHORT_GRACE_MS + 100);
	assert_true(push(fd, "POST /api", 9));
	start_ms = clock_mono_ms();
	assert_true(closes_within(fd, WAIT_MS));
	assert_in_range(clock_mono_ms() - start_ms, SHORT_GRACE_MS - 50, SHORT_GRACE_MS + 150);
}

static void
test_requests_in_a_row(void **state)
{
	char session[SIGN_SESSION_MAX];
	int fd = dial(server_port(peers));
	struct raw q;
	struct reply r;
	size_t answers = 0;

	(void)state;
	hello_on(fd, session);
	for (uint64_t i = 1; i <= 3; i++) { /* sent before the first answer is read */
		q = raw_receive(session, i);
		send_raw(fd, &q, NULL);
	}
	turn_for(50);
	(void)memset(&r, 0, sizeof r);
	assert_true(recv(fd, r.text, sizeof r.text - 1, MSG_DONTWAIT) > 0);
	for (const char *p = r.text; (p = strstr(p, "HTTP/1.1 200 ")) != NULL; p++)
		answers++;
	assert_int_equal(answers, 3);
	(void)close(fd);
}

/* Answers that come later. */

static void
keep_one(int fd)
{
	char session[SIGN_SESSION_MAX];
	struct raw q;
	int64_t end = clock_mono_ms() + WAIT_MS;

	hello_on(fd, session);
	q = (struct raw){ "GET", "/api/sync/download", "anna", "ben", session, 1, "", 0, NULL, NULL, 0 };
	send_raw(fd, &q, NULL);
	while (kept == NULL && clock_mono_ms() < end)
		turn();
	assert_non_null(kept);
	assert_int_equal(server_busy(peers), 1);
}

static void
release_one(void)
{
	struct request *r = kept;

	kept = NULL;
	request_reply(r, 200, "text/plain", "late", 4);
}

static void
test_deferred_answer(void **state)
{
	int fd;
	struct reply r;

	(void)state;
	restart(SHORT_GRACE_MS, SHORT_IDLE_MS);
	fd = dial(server_port(peers));
	keep_one(fd);
	turn_for(SHORT_GRACE_MS + SHORT_IDLE_MS); /* working has no deadline */
	assert_false(request_gone(kept));
	release_one();
	assert_int_equal(server_busy(peers), 0);
	pull(fd, &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "late");
	(void)close(fd);
}

static void
test_caller_leaves(void **state)
{
	int fd = dial(server_port(peers));
	int64_t end = clock_mono_ms() + WAIT_MS;
	struct linger reset = { .l_onoff = 1 };
	char session[SIGN_SESSION_MAX];
	size_t len;

	(void)state;
	keep_one(fd);
	(void)close(fd);
	while (!request_gone(kept) && clock_mono_ms() < end)
		turn();
	assert_true(request_gone(kept));
	assert_string_equal(request_peer(kept), "anna");
	(void)request_body(kept, &len);
	request_new_session(kept, NONCE, session);
	assert_true(strlen(session) > 0);
	assert_int_equal(server_busy(peers), 1);
	release_one();
	assert_int_equal(server_busy(peers), 0);
	fd = dial(server_port(peers)); /* and with a reset, right after more bytes */
	keep_one(fd);
	assert_true(push(fd, "GET / HTTP/1.1\r\n\r\n", 18));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	(void)close(fd);
	end = clock_mono_ms() + WAIT_MS;
	while (!request_gone(kept) && clock_mono_ms() < end)
		turn();
	assert_true(request_gone(kept));
	release_one();
}

static void
test_caller_leaves_during_answer(void **state)
{
	int fd = dial(server_port(peers));
	char session[SIGN_SESSION_MAX];
	struct raw q;

	(void)state;
	hello_on(fd, session);
	answer_bytes = 16 * 1024 * 1024;
	q = (struct raw){ "GET", "/api/sync/status", "anna", "ben", session, 1, "", 0, NULL, NULL, 0 };
	send_raw(fd, &q, NULL);
	turn_for(20);
	(void)close(fd);
	turn_for(50);
	assert_int_equal(server_busy(peers), 0);
}

static void
test_free_with_kept(void **state)
{
	int fd = dial(server_port(peers)), fresh;
	char session[SIGN_SESSION_MAX];
	size_t len;

	(void)state;
	keep_one(fd);
	fresh = dial(server_port(peers)); /* accepted or not, it is closed as well */
	(void)event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	stop();
	assert_true(request_gone(kept));
	(void)request_body(kept, &len);
	request_new_session(kept, NONCE, session);
	assert_string_equal(session, "");
	release_one();
	(void)close(fd);
	(void)close(fresh);
}

static void
test_stop_accepting(void **state)
{
	int fd = dial(server_port(peers)), idle = dial(server_port(peers));
	struct sockaddr_in a = { .sin_family = AF_INET };
	char session[SIGN_SESSION_MAX];
	struct reply r;

	(void)state;
	hello_on(idle, session);
	keep_one(fd);
	a.sin_port = htons((uint16_t)server_port(peers));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server_stop_accepting(peers);
	assert_true(closes_within(idle, 500));
	idle = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(idle, (struct sockaddr *)&a, sizeof a), -1);
	(void)close(idle);
	release_one();
	pull(fd, &r);
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
	    server_port(page), headers);
	return exchange(server_port(page), text, strlen(text), r);
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
	assert_non_null(strstr(r.text, "WWW-Authenticate: Basic realm=\"tandem\"\r\n"));
	assert_int_equal(visit("GET /", "Authorization: Bearer open-sesam\r\n", &r), 401);
	assert_int_equal(handled, 0);
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
		"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src "
		"'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
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
	assert_int_equal(exchange(server_port(page), rebound, sizeof rebound - 1, &r), 403);
	(void)snprintf(text, sizeof text, "GET /healthz HTTP/1.1\r\nHost: attacker.example:%u\r\n\r\n",
	    server_port(page));
	assert_int_equal(exchange(server_port(page), text, strlen(text), &r), 403);
	(void)snprintf(text, sizeof text,
	    "POST /api/trigger HTTP/1.1\r\nHost: localhost:%u\r\n" KEY JSON "%s\r\n{}", server_port(page),
	    "Origin: http://attacker.example\r\n");
	assert_int_equal(exchange(server_port(page), text, strlen(text), &r), 403);
	(void)snprintf(text, sizeof text,
	    "POST /api/trigger HTTP/1.1\r\nHost: localhost:%u\r\n" KEY JSON "Sec-Fetch-Site: cross-site\r\n\r\n{}",
	    server_port(page));
	assert_int_equal(exchange(server_port(page), text, strlen(text), &r), 403);
	assert_int_equal(handled, 0);
	(void)snprintf(text, sizeof text,
	    "POST /api/trigger HTTP/1.1\r\nHost: localhost:%u\r\n" KEY JSON
	    "Origin: http://localhost:%u\r\nSec-Fetch-Site: same-origin\r\n\r\n{}",
	    server_port(page), server_port(page));
	assert_int_equal(exchange(server_port(page), text, strlen(text), &r), 200);
}

static void
test_bind_errors(void **state)
{
	static const char *const bad[] = { "", "8440", "127.0.0.1", "127.0.0.1:", ":8440", "::1:8440",
		"127.0.0.1:65536", "127.0.0.1:http", "[]:1", "127.0.0.1:8440 " };
	struct server_options o = { .base = base, .conf = &conf, .routes = peer_routes,
		.nroutes = sizeof peer_routes / sizeof peer_routes[0] };
	struct server *s;
	char taken[32], want[160];
	struct err e;

	(void)state;
	(void)snprintf(taken, sizeof taken, "127.0.0.1:%u", server_port(peers));
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

/* The client. A call blocks, so it runs in a thread while this one turns the server. */

struct calling {
	struct client *client;
	const char *method, *path;
	const void *body;
	size_t len;
	int status;
	struct buf answer;
	struct err e;
	bool ok;
	atomic_bool done;
	int64_t took_ms;
};

static void *
call_thread(void *arg)
{
	struct calling *c = arg;
	int64_t start_ms = clock_mono_ms();

	c->ok = client_call(c->client, c->method, c->path, c->body, c->len, &c->status, &c->answer, &c->e);
	c->took_ms = clock_mono_ms() - start_ms;
	atomic_store(&c->done, true);
	return NULL;
}

static struct conf_peer ben = { .name = name_ben };
static char ben_url[64];
static struct calling now; /* the last call */

/* A client of anna's for that port of this computer. */
static struct client *
make_client(unsigned port, int64_t timeout_ms, const atomic_bool *stop_flag)
{
	struct client *c;
	struct err e;

	(void)snprintf(ben_url, sizeof ben_url, "http://127.0.0.1:%u", port);
	ben.url = ben_url;
	memcpy(ben.key, known[0].key, CONF_KEY_BYTES);
	assert_true(client_new(name_anna, &ben, timeout_ms, stop_flag, &c, &e));
	return c;
}

/* Call and turn the loop until it ends; during is called in each turn, may be NULL. */
static bool
call(struct client *c, const char *method, const char *path, const char *body, void (*during)(void))
{
	pthread_t thread;

	buf_free(&now.answer);
	memset(&now, 0, sizeof now);
	now = (struct calling){ .client = c, .method = method, .path = path, .body = body,
		.len = strlen(body) };
	buf_init(&now.answer, 1024 * 1024);
	assert_int_equal(pthread_create(&thread, NULL, call_thread, &now), 0);
	while (!atomic_load(&now.done)) {
		turn();
		if (during != NULL)
			during();
		clock_nap_ms(1);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	return now.ok;
}

static void
open_session(struct client *c)
{
	struct err e;
	const char *nonce = client_hello_nonce(c, &e);

	assert_non_null(nonce);
	assert_true(call(c, "POST", "/api/sync/hello", nonce, NULL));
	assert_int_equal(now.status, 200);
	assert_true(client_open(c, buf_cstr(&now.answer), &e));
	assert_true(client_is_open(c));
}

static void
end_client(struct client *c)
{
	client_free(c);
	buf_free(&now.answer);
}

static void
test_client_talks(void **state)
{
	struct client *c = make_client(server_port(peers), WAIT_MS, NULL);

	(void)state;
	open_session(c);
	for (int i = 0; i < 3; i++) {
		assert_true(call(c, "POST", "/api/sync/receive", "some body", NULL));
		assert_int_equal(now.status, 200);
		assert_string_equal(buf_cstr(&now.answer), "some body");
		assert_true(call(c, "GET", "/api/sync/status", "", NULL));
		assert_string_equal(buf_cstr(&now.answer), "{}");
	}
	assert_true(call(c, "POST", "/api/sync/receive", "refuse", NULL));
	assert_int_equal(now.status, 409);
	assert_non_null(strstr(buf_cstr(&now.answer), "\"behind\""));
	assert_int_equal(handled, 8);
	end_client(c);
}

static void
test_client_wrong_key(void **state)
{
	struct client *c = make_client(server_port(peers), WAIT_MS, NULL);
	struct conf_peer wrong = ben;
	struct err e;

	(void)state;
	client_free(c);
	wrong.key[0] ^= 1;
	assert_true(client_new(name_anna, &wrong, WAIT_MS, NULL, &c, &e));
	assert_false(call(c, "POST", "/api/sync/hello", NONCE, NULL));
	assert_int_equal(now.e.code, ERR_PEER);
	assert_true(client_unauthorised(c));
	assert_non_null(strstr(now.e.msg, "is the key the same on both sides"));
	assert_int_equal(now.answer.len, 0);
	assert_int_equal(handled, 0);
	end_client(c);
}

static void
test_client_stale_session(void **state)
{
	struct client *c = make_client(server_port(peers), WAIT_MS, NULL);
	unsigned port = server_port(peers);
	char address[32];
	struct server_options o = { .base = base, .conf = &conf, .address = address, .routes = peer_routes,
		.nroutes = sizeof peer_routes / sizeof peer_routes[0] };
	struct err e;

	(void)state;
	open_session(c);
	assert_true(call(c, "GET", "/api/sync/status", "", NULL));
	server_free(peers); /* the agent over there is started again */
	(void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
	assert_true(server_new(&o, &peers, &e));
	assert_false(call(c, "GET", "/api/sync/status", "", NULL));
	assert_true(client_unauthorised(c));
	assert_non_null(strstr(now.e.msg, "has ended the session"));
	open_session(c); /* exactly one new hello */
	assert_false(client_unauthorised(c));
	assert_true(call(c, "GET", "/api/sync/status", "", NULL));
	assert_false(client_unauthorised(c));
	end_client(c);
}

static void
test_client_refused(void **state)
{
	unsigned port = server_port(peers);
	struct client *c = make_client(port, WAIT_MS, NULL);
	char want[128];

	(void)state;
	stop();
	assert_false(call(c, "POST", "/api/sync/hello", NONCE, NULL));
	assert_int_equal(now.e.code, ERR_PEER);
	(void)snprintf(want, sizeof want, "http://127.0.0.1:%u refused the connection", port);
	assert_string_equal(now.e.msg, want);
	assert_false(client_unauthorised(c));
	end_client(c);
}

static void
test_client_silence(void **state)
{
	struct client *c = make_client(server_port(peers), 400, NULL);
	int64_t end;

	(void)state;
	open_session(c);
	assert_false(call(c, "GET", "/api/sync/download", "", NULL));
	assert_int_equal(now.e.code, ERR_PEER);
	assert_non_null(strstr(now.e.msg, ": no answer for 0.4 s"));
	assert_in_range(now.took_ms, 350, 1000);
	end = clock_mono_ms() + WAIT_MS;
	while (!request_gone(kept) && clock_mono_ms() < end)
		turn();
	assert_true(request_gone(kept));
	end_client(c);
}

static atomic_bool stop_now;

static void
stop_when_kept(void)
{
	if (kept != NULL && !atomic_load(&stop_now)) {
		turn_for(100);
		atomic_store(&stop_now, true);
	}
}

static void
test_client_stop(void **state)
{
	struct client *c = make_client(server_port(peers), WAIT_MS, &stop_now);

	(void)state;
	atomic_store(&stop_now, false);
	open_session(c);
	assert_false(call(c, "GET", "/api/sync/download", "", stop_when_kept));
	assert_int_equal(now.e.code, ERR_STOPPED);
	assert_in_range(now.took_ms, 100, 350);
	assert_false(call(c, "GET", "/api/sync/status", "", NULL)); /* at once */
	assert_int_equal(now.e.code, ERR_STOPPED);
	end_client(c);
}

static void
test_client_answer_too_long(void **state)
{
	struct client *c = make_client(server_port(peers), WAIT_MS, NULL);

	(void)state;
	open_session(c);
	answer_bytes = 1024 * 1024;
	assert_true(call(c, "GET", "/api/sync/status", "", NULL));
	assert_int_equal(now.answer.len, 1024 * 1024);
	answer_bytes++;
	assert_false(call(c, "GET", "/api/sync/status", "", NULL));
	assert_int_equal(now.e.code, ERR_PEER);
	assert_non_null(strstr(now.e.msg, "longer than the limit of 1048576 bytes"));
	assert_int_equal(now.answer.len, 0);
	end_client(c);
}

/* Servers that are none of ours: a thread that takes one request and sends fixed bytes. */

struct fake {
	int fd;
	unsigned port;
	pthread_t thread;
	void (*answer)(int fd, const char *request);
	atomic_int visits;
	atomic_bool over;
};

static void *
fake_thread(void *arg)
{
	struct fake *f = arg;

	for (;;) {
		int fd = accept(f->fd, NULL, NULL);
		char text[4096] = "";
		size_t len = 0;
		ssize_t n;

		if (fd < 0 || atomic_load(&f->over)) {
			if (fd >= 0)
				(void)close(fd);
			return NULL;
		}
		atomic_fetch_add(&f->visits, 1);
		while (len < sizeof text - 1 && strstr(text, "\r\n\r\n" NONCE) == NULL &&
		    (n = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0)
			len += (size_t)n;
		f->answer(fd, text);
		(void)shutdown(fd, SHUT_WR);
		while (recv(fd, text, sizeof text, 0) > 0)
			;
		(void)close(fd);
	}
}

static void
fake_start(struct fake *f, void (*answer)(int, const char *))
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof a;

	memset(f, 0, sizeof *f);
	f->answer = answer;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(f->fd, 8), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &len), 0);
	f->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_thread, f), 0);
}

static void
fake_stop(struct fake *f)
{
	atomic_store(&f->over, true);
	(void)close(dial(f->port));
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	(void)close(f->fd);
}

/* False when the other side has closed. */
static bool
say(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* One call to a fake fails with ERR_PEER and a message with these words. */
static void
assert_no_answer(void (*answer)(int, const char *), const char *words)
{
	struct fake f;
	struct client *c;

	fake_start(&f, answer);
	c = make_client(f.port, 1000, NULL);
	assert_false(call(c, "POST", "/api/sync/hello", NONCE, NULL));
	if (strstr(now.e.msg, words) == NULL)
		print_error("%s\n", now.e.msg);
	assert_non_null(strstr(now.e.msg, words));
	assert_non_null(strstr(now.e.msg, ben_url));
	assert_null(strchr(now.e.msg, '\n'));
	assert_int_equal(now.e.code, ERR_PEER);
	assert_int_equal(now.answer.len, 0);
	assert_int_equal(now.status, 0);
	client_free(c);
	fake_stop(&f);
}

static void
portal(int fd, const char *request)
{
	(void)request;
	(void)say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nlogin");
}

static void
portal_denies(int fd, const char *request)
{
	(void)request;
	(void)say(fd, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
}

static unsigned redirect_port;

static void
redirect(int fd, const char *request)
{
	char text[256];

	(void)request;
	(void)snprintf(text, sizeof text,
	    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/\r\nContent-Length: 0\r\n\r\n", redirect_port);
	(void)say(fd, text);
}

static void
endless(int fd, const char *request)
{
	(void)request;
	(void)say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n");
	while (say(fd, "<p>and so on and on and on and on and on and on and on and on"))
		;
}

static void
storm(int fd, const char *request)
{
	(void)request;
	while (say(fd, "HTTP/1.1 100 Continue\r\n\r\n"))
		;
}

static void
hang_up(int fd, const char *request)
{
	(void)request;
	(void)say(fd, "HTTP/1.1 200 OK\r\nX-Tandem-Mac: " MAC64 "\r\nContent-Length: 50\r\n\r\nshort");
}

static void
nothing(int fd, const char *request)
{
	(void)fd;
	(void)request;
}

/* Signed with the right key, for this request, as ben would: the status and body given. */
static void
say_signed(int fd, const char *request, int signed_status, int status, const char *signed_body,
    const char *body, const char *more)
{
	const char *mac = strstr(request, "X-Tandem-Mac: ");
	char request_mac[SIGN_MAC_HEX + 1], own[SIGN_MAC_HEX + 1], text[1024];
	unsigned char key[SIGN_KEY_BYTES];

	if (mac == NULL)
		return;
	(void)snprintf(request_mac, sizeof request_mac, "%s", mac + 14);
	sign_direction_key(known[0].key, name_ben, name_anna, key);
	sign_response_mac(key, signed_status, request_mac, signed_body, strlen(signed_body), own);
	(void)snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nX-Tandem-Mac: %s\r\n%sContent-Length: %zu\r\n\r\n%s",
	    status, own, more, strlen(body), body);
	(void)say(fd, text);
}

static void
honest(int fd, const char *request)
{
	say_signed(fd, request, 200, 200, "fine", "fine", "");
}

static void
altered_body(int fd, const char *request)
{
	say_signed(fd, request, 200, 200, "fine", "fime", "");
}

static void
altered_status(int fd, const char *request)
{
	say_signed(fd, request, 409, 200, "fine", "fine", "");
}

static void
two_macs(int fd, const char *request)
{
	say_signed(fd, request, 200, 200, "fine", "fine", "X-Tandem-Mac: " MAC64 "\r\n");
}

static void
reflected(int fd, const char *request)
{
	char text[512], mac[SIGN_MAC_HEX + 1];

	(void)snprintf(mac, sizeof mac, "%s", strstr(request, "X-Tandem-Mac: ") + 14);
	(void)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nX-Tandem-Mac: %s\r\nContent-Length: 32\r\n\r\n" NONCE, mac);
	(void)say(fd, text);
}

static void
upper_mac(int fd, const char *request)
{
	(void)request;
	(void)say(fd, "HTTP/1.1 200 OK\r\nX-Tandem-Mac: ABCDEF\r\nContent-Length: 0\r\n\r\n");
}

static void
trickle(int fd, const char *request)
{
	(void)request;
	(void)say(fd, "HTTP/1.1 200 OK\r\nX-Tandem-Mac: " MAC64 "\r\nContent-Length: 50000\r\n\r\n");
	while (say(fd, "x"))
		clock_nap_ms(50);
}

static void
test_client_honest_fake(void **state)
{
	struct fake f;
	struct client *c;

	(void)state;
	fake_start(&f, honest);
	c = make_client(f.port, 1000, NULL);
	assert_true(call(c, "POST", "/api/sync/hello", NONCE, NULL));
	assert_string_equal(buf_cstr(&now.answer), "fine");
	end_client(c);
	fake_stop(&f);
}

static void
test_client_foreign_answers(void **state)
{
	(void)state;
	assert_no_answer(portal,
	    " answered without a signature (HTTP 200 text/html): is that a Tandem agent with the same key?");
	assert_no_answer(portal_denies, "does not know this signature (HTTP 401)");
	assert_no_answer(endless, "answered without a signature (HTTP 200 text/html)");
	assert_no_answer(storm, "");
	assert_no_answer(hang_up, "closed the connection before its answer was complete");
	assert_no_answer(nothing, "closed the connection before its answer was complete");
	assert_no_answer(upper_mac, "answered with a wrong signature (HTTP 200)");
	assert_no_answer(altered_body, "answered with a wrong signature (HTTP 200)");
	assert_no_answer(altered_status, "answered with a wrong signature (HTTP 200)");
	assert_no_answer(two_macs, "answered with a wrong signature (HTTP 200)");
	assert_no_answer(reflected, "answered with a wrong signature (HTTP 200)");
	buf_free(&now.answer);
}

static void
test_client_trickle(void **state)
{
	(void)state;
	assert_no_answer(trickle, " is too slow: ");
	assert_in_range(now.took_ms, 3500, 6000);
	buf_free(&now.answer);
}

static void
test_client_redirect(void **state)
{
	struct fake target;

	(void)state;
	fake_start(&target, portal);
	redirect_port = target.port;
	assert_no_answer(redirect, "answered without a signature (HTTP 302)");
	assert_int_equal(atomic_load(&target.visits), 0);
	fake_stop(&target);
	buf_free(&now.answer);
}

static void
test_client_config(void **state)
{
	static char pins[][64] = { "sha256//", "abc", "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"sha1//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "/etc/ssl/pin.pem" };
	static char url[] = "https://127.0.0.1:1", plain[] = "http://127.0.0.1:1";
	static char good[] = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	struct conf_peer p = { .name = name_ben, .url = url };
	struct client *c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++) {
		p.tls_pin = pins[i];
		assert_false(client_new(name_anna, &p, 1000, NULL, &c, &e));
		assert_int_equal(e.code, ERR_CONFIG);
	}
	p.tls_pin = good;
	p.url = plain;
	assert_false(client_new(name_anna, &p, 1000, NULL, &c, &e));
	p.url = url;
	assert_true(client_new(name_anna, &p, 1000, NULL, &c, &e));
	assert_false(client_open(c, "no session\r\nX: y", &e));
	assert_int_equal(e.code, ERR_INPUT);
	assert_false(client_open(c, "", &e));
	assert_false(client_is_open(c));
	client_free(c);
	assert_false(client_new("an\nna", &p, 1000, NULL, &c, &e));
}

#define NAMED(text, f) { text, f, set_up, tear_down, NULL }

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
		NAMED("one address has a limited number of connections", test_connection_cap),
		NAMED("strangers cannot fill the memory with bodies", test_strangers_bytes),
		NAMED("a server without files to spare rests and goes on", test_no_files_left),
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
		NAMED("client and server talk within a session", test_client_talks),
		NAMED("a wrong key is an unsigned 401 for the client", test_client_wrong_key),
		NAMED("a session that ended is recognised and one hello opens the next", test_client_stale_session),
		NAMED("a refused connection is named so", test_client_refused),
		NAMED("silence ends a call after the timeout", test_client_silence),
		NAMED("the stop flag ends a call at once", test_client_stop),
		NAMED("an answer above the limit is refused", test_client_answer_too_long),
		NAMED("an answer signed for this request is believed", test_client_honest_fake),
		NAMED("an unsigned or wrongly signed answer is no answer", test_client_foreign_answers),
		NAMED("an answer that trickles is given up", test_client_trickle),
		NAMED("a redirect is not followed", test_client_redirect),
		NAMED("malformed pins, names and sessions are refused", test_client_config),
	};

	log_set_level(LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
