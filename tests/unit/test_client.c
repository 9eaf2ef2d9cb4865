/* The HTTP client against our server and against servers that are none of ours. A call blocks, so it
 * runs in a thread while the test's own thread turns the server. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http_lab.h"
#include "net/client.h"
#include "wire/sign.h"

#define NONCE "00112233445566778899aabbccddeeff"
#define MAC64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

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

static struct conf_peer ben = { .name = lab_ben };
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
	memcpy(ben.key, lab_known[0].key, CONF_KEY_BYTES);
	assert_true(client_new(lab_anna, &ben, timeout_ms, stop_flag, &c, &e));
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
		lab_turn();
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
	struct client *c = make_client(server_port(lab_peers), LAB_WAIT_MS, NULL);

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
	assert_int_equal(lab_handled, 8);
	end_client(c);
}

static void
test_client_wrong_key(void **state)
{
	struct client *c = make_client(server_port(lab_peers), LAB_WAIT_MS, NULL);
	struct conf_peer wrong = ben;
	struct err e;

	(void)state;
	client_free(c);
	wrong.key[0] ^= 1;
	assert_true(client_new(lab_anna, &wrong, LAB_WAIT_MS, NULL, &c, &e));
	assert_false(call(c, "POST", "/api/sync/hello", NONCE, NULL));
	assert_int_equal(now.e.code, ERR_PEER);
	assert_true(client_unauthorised(c));
	assert_non_null(strstr(now.e.msg, "is the key the same on both sides"));
	assert_int_equal(now.answer.len, 0);
	assert_int_equal(lab_handled, 0);
	end_client(c);
}

static void
test_client_stale_session(void **state)
{
	struct client *c = make_client(server_port(lab_peers), LAB_WAIT_MS, NULL);
	unsigned port = server_port(lab_peers);
	char address[32];
	struct server_options o = { .base = lab_base, .conf = &lab_conf, .address = address, .routes = lab_peer_routes,
		.nroutes = LAB_PEER_ROUTES };
	struct err e;

	(void)state;
	open_session(c);
	assert_true(call(c, "GET", "/api/sync/status", "", NULL));
	server_free(lab_peers); /* the agent over there is started again */
	(void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
	assert_true(server_new(&o, &lab_peers, &e));
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
	unsigned port = server_port(lab_peers);
	struct client *c = make_client(port, LAB_WAIT_MS, NULL);
	char want[128];

	(void)state;
	lab_stop();
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
	struct client *c = make_client(server_port(lab_peers), 400, NULL);
	int64_t end;

	(void)state;
	open_session(c);
	assert_false(call(c, "GET", "/api/sync/download", "", NULL));
	assert_int_equal(now.e.code, ERR_PEER);
	assert_non_null(strstr(now.e.msg, ": no answer for 0.4 s"));
	assert_in_range(now.took_ms, 350, 1000);
	end = clock_mono_ms() + LAB_WAIT_MS;
	while (!request_gone(lab_kept) && clock_mono_ms() < end)
		lab_turn();
	assert_true(request_gone(lab_kept));
	end_client(c);
}

static atomic_bool stop_now;

static void
stop_when_kept(void)
{
	if (lab_kept != NULL && !atomic_load(&stop_now)) {
		lab_turn_for(100);
		atomic_store(&stop_now, true);
	}
}

static void
test_client_stop(void **state)
{
	struct client *c = make_client(server_port(lab_peers), LAB_WAIT_MS, &stop_now);

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
	struct client *c = make_client(server_port(lab_peers), LAB_WAIT_MS, NULL);

	(void)state;
	open_session(c);
	lab_answer_bytes = 1024 * 1024;
	assert_true(call(c, "GET", "/api/sync/status", "", NULL));
	assert_int_equal(now.answer.len, 1024 * 1024);
	lab_answer_bytes++;
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
	(void)close(lab_dial(f->port));
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
	sign_direction_key(lab_known[0].key, lab_ben, lab_anna, key);
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
	struct conf_peer p = { .name = lab_ben, .url = url };
	struct client *c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++) {
		p.tls_pin = pins[i];
		assert_false(client_new(lab_anna, &p, 1000, NULL, &c, &e));
		assert_int_equal(e.code, ERR_CONFIG);
	}
	p.tls_pin = good;
	p.url = plain;
	assert_false(client_new(lab_anna, &p, 1000, NULL, &c, &e));
	p.url = url;
	assert_true(client_new(lab_anna, &p, 1000, NULL, &c, &e));
	assert_false(client_open(c, "no session\r\nX: y", &e));
	assert_int_equal(e.code, ERR_INPUT);
	assert_false(client_open(c, "", &e));
	assert_false(client_is_open(c));
	client_free(c);
	assert_false(client_new("an\nna", &p, 1000, NULL, &c, &e));
}

#define NAMED(text, f) { text, f, lab_set_up, lab_tear_down, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
