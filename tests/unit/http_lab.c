/* The world of the HTTP tests: handlers, servers, raw connections. Not here: any expectation of what
 * is answered (test_http, test_client). */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http_lab.h"
#include "wire/sign.h"

struct event_base *lab_base;
struct server *lab_peers, *lab_page;
struct request *lab_kept;
unsigned lab_handled;
size_t lab_answer_bytes;
char lab_last_peer[64];

char lab_ben[] = "ben", lab_anna[] = "anna";
static char name_carl[] = "carl", no_text[] = "";
static char monitor_key[] = "open-sesame", metrics_key[] = "count-sesame";
struct conf_peer lab_known[2] = { { .name = lab_anna, .tls_pin = no_text },
	{ .name = name_carl, .tls_pin = no_text } };
struct conf lab_conf = { .node = { .name = lab_ben, .monitor_key = monitor_key, .metrics_key = metrics_key, .listen = no_text,
				.monitor = no_text },
	.peers = lab_known, .npeers = 2 };

static void
on_hello(struct request *r, void *arg)
{
	char nonce[64] = "", session[SIGN_SESSION_MAX];
	size_t len;
	const void *body = request_body(r, &len);

	(void)arg;
	lab_handled++;
	if (len < sizeof nonce)
		memcpy(nonce, body, len);
	request_new_session(r, nonce, session);
	assert_string_equal(request_session(r), "");
	request_reply(r, 200, "application/json", session, strlen(session));
}

static void
on_receive(struct request *r, void *arg)
{
	const void *body;
	size_t len;

	(void)arg;
	lab_handled++;
	(void)snprintf(lab_last_peer, sizeof lab_last_peer, "%s", request_peer(r));
	assert_true(strlen(request_session(r)) > 0);
	body = request_body(r, &len);
	if (len == 6 && memcmp(body, "refuse", 6) == 0)
		request_fail(r, 409, "behind", "expected \"%d\"\n\xff", 7);
	else
		request_reply(r, 200, "application/x-tandem", body, len);
}

static void
on_status(struct request *r, void *arg)
{
	char *much;

	(void)arg;
	lab_handled++;
	if (lab_answer_bytes == 0) {
		request_reply(r, 200, "application/json", "{}", 2);
		return;
	}
	much = malloc(lab_answer_bytes);
	assert_non_null(much);
	memset(much, 'x', lab_answer_bytes);
	request_reply(r, 200, "application/x-tandem", much, lab_answer_bytes);
	free(much);
}

static void
on_later(struct request *r, void *arg)
{
	(void)arg;
	lab_handled++;
	assert_null(lab_kept);
	lab_kept = r;
}

static void
on_page(struct request *r, void *arg)
{
	(void)arg;
	lab_handled++;
	assert_null(request_peer(r));
	request_reply(r, 200, "text/html; charset=utf-8", "<p>", 3);
}

const struct route lab_peer_routes[LAB_PEER_ROUTES] = {
	{ "POST", "/api/sync/hello", AUTH_HELLO, 4096, on_hello },
	{ "POST", "/api/sync/receive", AUTH_PEER, LAB_BODY_MAX, on_receive },
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
	struct server_options o = { .base = lab_base, .conf = &lab_conf, .address = "127.0.0.1:0",
		.routes = lab_peer_routes, .nroutes = LAB_PEER_ROUTES,
		.grace_ms = grace_ms, .idle_ms = idle_ms };
	struct err e;

	lab_handled = 0;
	lab_answer_bytes = 0;
	if (!server_new(&o, &lab_peers, &e))
		fail_msg("%s", e.msg);
	o.routes = page_routes;
	o.nroutes = sizeof page_routes / sizeof page_routes[0];
	if (!server_new(&o, &lab_page, &e))
		fail_msg("%s", e.msg);
}

int
lab_set_up(void **state)
{
	(void)state;
	memset(lab_known[0].key, 0x11, CONF_KEY_BYTES);
	memset(lab_known[1].key, 0x22, CONF_KEY_BYTES);
	lab_base = event_base_new();
	assert_non_null(lab_base);
	start(0, 0);
	return 0;
}

void
lab_stop(void)
{
	server_free(lab_peers);
	server_free(lab_page);
	lab_peers = lab_page = NULL;
}

int
lab_tear_down(void **state)
{
	(void)state;
	lab_stop();
	if (lab_kept != NULL)
		request_reply(lab_kept, 200, "text/plain", "", 0);
	lab_kept = NULL;
	event_base_free(lab_base);
	return 0;
}

void
lab_restart(int64_t grace_ms, int64_t idle_ms)
{
	lab_stop();
	start(grace_ms, idle_ms);
}

/* Raw connections. */

int
lab_dial(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

void
lab_turn(void)
{
	(void)event_base_loop(lab_base, EVLOOP_NONBLOCK);
}

void
lab_turn_for(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end) {
		lab_turn();
		clock_nap_ms(1);
	}
}

bool
lab_push(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		lab_turn();
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static void
pull_more(int fd, bool to_end, struct reply *r)
{
	int64_t end = clock_mono_ms() + LAB_WAIT_MS;

	memset(r, 0, sizeof *r);
	while (clock_mono_ms() < end && !r->closed) {
		ssize_t n = recv(fd, r->text + r->len, sizeof r->text - 1 - r->len, MSG_DONTWAIT);
		const char *length;

		r->closed = n == 0 || (n < 0 && errno != EAGAIN);
		lab_turn();
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

void
lab_pull(int fd, struct reply *r)
{
	pull_more(fd, false, r);
}

void
lab_pull_all(int fd, struct reply *r)
{
	pull_more(fd, true, r);
}

int
lab_exchange(unsigned port, const void *data, size_t len, struct reply *r)
{
	int fd = lab_dial(port);

	(void)lab_push(fd, data, len);
	lab_pull(fd, r);
	(void)close(fd);
	return r->status;
}
