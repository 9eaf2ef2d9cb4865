/* Requests and answers. Lives here: how long a request lives, what a handler may ask of it, the
 * headers, signature and form of every answer. Not here: whether a request may be answered at all
 * (net/server, net/gate).
 *
 * A struct request is ours alone. Its connection can go at any moment; evhttp then frees its own
 * request in one of two ways (request_lose_connection), after which only the body, the names and
 * the keys are left and the answer goes nowhere. */
#include "config.h"

#include "net/request.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "wire/seal.h"

enum {
	ERROR_MESSAGE_MAX = 1024, /* text of an error answer; twice ERR_MSG_MAX */
	ERROR_BODY_MAX = 8192,	  /* the same as JSON, each byte as \u00xx at worst */
	STREAM_BACKLOG_MAX = 1024 * 1024, /* of an answer without an end, not taken yet: two large pieces */
	STREAM_INPUT_MAX = 4096	  /* nobody sends anything meanwhile */
};

/* Life. */

static void
request_free(struct request *r)
{
	struct desk *d = r->desk;

	if (d != NULL) {
		if (r->handed)
			d->busy--;
		if (r->prev != NULL)
			r->prev->next = r->next;
		else
			d->first = r->next;
		if (r->next != NULL)
			r->next->prev = r->prev;
	}
	if (r->body != NULL)
		evbuffer_free(r->body);
	text_wipe(r->key, sizeof r->key);
	text_wipe(r->new_cookie, sizeof r->new_cookie);
	free(r);
}

struct request *
request_make(struct desk *d, struct conn *c, struct evhttp_request *req)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->body = evbuffer_new();
	if (r->body == NULL) {
		free(r);
		return NULL;
	}
	r->req = req;
	r->conn = c;
	r->desk = d;
	r->next = d->first;
	if (d->first != NULL)
		d->first->prev = r;
	d->first = r;
	conn_working(c, r);
	return r;
}

bool
request_take_body(struct request *r)
{
	if (evbuffer_add_buffer(r->body, evhttp_request_get_input_buffer(r->req)) != 0)
		return false;
	return evbuffer_get_length(r->body) == 0 || evbuffer_pullup(r->body, -1) != NULL;
}

void
request_from_peer(struct request *r, const struct conf_peer *peer,
    const struct gate_signature *sig, const char *self)
{
	r->peer = peer;
	(void)snprintf(r->name, sizeof r->name, "%s", peer->name);
	(void)snprintf(r->session, sizeof r->session, "%s", sig->session);
	(void)snprintf(r->mac, sizeof r->mac, "%s", sig->mac);
	sign_direction_key(peer->key, self, peer->name, r->key);
	r->seal = peer->seal;
}

const struct refusal *
request_open(struct request *r, const char *self)
{
	static const struct refusal readable = { 403, "readable", "bodies from this peer are to be sealed: set seal = yes in its [peer] section for this node" };
	static const struct refusal broken = { 400, "seal", "the sealed body cannot be opened" };
	size_t len = evbuffer_get_length(r->body), plain_len = 0;
	unsigned char *body = len == 0 ? NULL : evbuffer_pullup(r->body, -1);
	unsigned char key[SIGN_KEY_BYTES];
	bool ok;

	if (r->peer == NULL || r->newcomer || body == NULL)
		return NULL;
	if (!seal_is(body, len)) {
		if (r->peer->seal)
			r->why = "its body could be read on the way: seal = yes is missing in its agent.conf";
		return r->peer->seal ? &readable : NULL;
	}
	r->seal = true;
	sign_direction_key(r->peer->key, r->name, self, key);
	ok = seal_open(key, SEAL_REQUEST, body, len, &plain_len);
	text_wipe(key, sizeof key);
	if (!ok || evbuffer_drain(r->body, SEAL_HEAD_BYTES) != 0)
		return &broken;
	r->tail = SEAL_TAG_BYTES;
	return NULL;
}

void
request_hand_over(struct request *r)
{
	r->handed = true;
	r->desk->busy++;
}

/* When the connection failed, evhttp has taken the request off it and left it to us; when it is
 * being freed, evhttp frees the request itself right after this. */
void
request_lose_connection(struct conn *c)
{
	struct request *r = c->request;

	c->request = NULL;
	if (r == NULL)
		return;
	if (evhttp_request_get_connection(r->req) == NULL)
		evhttp_request_free(r->req);
	r->req = NULL;
	r->conn = NULL;
}

void
request_lose_desk(struct desk *d)
{
	struct request *next;

	for (struct request *r = d->first; r != NULL; r = next) {
		next = r->next;
		assert(r->req == NULL);
		r->desk = NULL;
	}
	d->first = NULL;
}

/* Answers. */

/* The page's headers: nothing from elsewhere, nothing inline, no frame, no referrer, forms only to us. */
static const struct {
	const char *name;
	const char *value;
} page_headers[] = {
	{ "Content-Security-Policy",
	    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
	    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
};

/* Not Secure: the page is plain HTTP, on loopback unless configured otherwise (docs/security.md). */
static void
add_cookie(struct request *r)
{
	char text[LOGIN_NAME_MAX + LOGIN_VALUE_MAX + 64];

	if (r->new_cookie[0] != '\0')
		(void)snprintf(text, sizeof text, "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d", r->desk->login.name,
		    r->new_cookie, LOGIN_HOURS * 3600);
	else if (r->end_cookie)
		(void)snprintf(text, sizeof text, "%s=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", r->desk->login.name);
	else
		return;
	(void)evhttp_add_header(evhttp_request_get_output_headers(r->req), "Set-Cookie", text);
	text_wipe(text, sizeof text);
}

static void
add_headers(struct request *r, int status, const char *type, const char *mac)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(r->req);

	(void)evhttp_add_header(h, "Content-Type", type);
	(void)evhttp_add_header(h, "Cache-Control", "no-store");
	(void)evhttp_add_header(h, "X-Content-Type-Options", "nosniff");
	if (mac != NULL)
		(void)evhttp_add_header(h, GATE_MAC, mac);
	if (!r->keep || r->desk->stopping)
		(void)evhttp_add_header(h, "Connection", "close");
	if (!r->desk->people)
		return;
	/* Basic is taken, and not asked for: browsers that asked a person would send the key by themselves from then on. */
	if (status == 401)
		(void)evhttp_add_header(h, "WWW-Authenticate", "Bearer realm=\"tandem\"");
	if (status == 303 && r->location != NULL)
		(void)evhttp_add_header(h, "Location", r->location);
	add_cookie(r);
	for (size_t i = 0; i < sizeof page_headers / sizeof page_headers[0]; i++)
		(void)evhttp_add_header(h, page_headers[i].name, page_headers[i].value);
}

/* The answer's body as it travels. */
static bool
seal_answer(const struct request *r, const void **body, size_t *len, struct buf *sealed)
{
	if (!r->seal || *len == 0)
		return true;
	if (!seal_put(r->key, SEAL_ANSWER, *body, *len, sealed, NULL))
		return false;
	*body = sealed->data;
	*len = sealed->len;
	return true;
}

/* From here on the request is as one whose caller has gone. */
static void
send_answer(struct request *r, int status, const char *type, const void *body, size_t len)
{
	char mac[SIGN_MAC_HEX + 1];
	struct evbuffer *out;
	struct buf sealed;

	buf_init(&sealed, len + SEAL_EXTRA);
	out = evbuffer_new();
	if (!seal_answer(r, &body, &len, &sealed) || out == NULL || evbuffer_add(out, body, len) != 0) {
		status = 503; /* an empty answer, signed as such: the caller tries again */
		len = 0;
	}
	if (r->peer != NULL)
		sign_response_mac(r->key, status, r->mac, body, len, mac);
	add_headers(r, status, type, r->peer != NULL ? mac : NULL);
	conn_writing(r->conn, r->req);
	evhttp_send_reply(r->req, status, NULL, out);
	if (out != NULL)
		evbuffer_free(out);
	buf_free(&sealed);
	r->req = NULL;
	r->conn = NULL;
}

void
request_reply(struct request *r, int status, const char *type, const void *body, size_t len)
{
	if (r->req != NULL)
		send_answer(r, status, type, body, len);
	request_free(r);
}

void
request_reply_ahead(struct request *r, int status, const char *type, const void *body, size_t len)
{
	if (r->req != NULL)
		send_answer(r, status, type, body, len);
}

/* text inside a JSON string: escaped, and always UTF-8 (a message may have been cut). */
static void
put_json(struct buf *b, const char *text)
{
	size_t left = strlen(text), n;
	const char *at;

	while ((n = text_next(&text, &left, &at)) > 0) {
		if ((unsigned char)*at < 0x20 || *at == '"' || *at == '\\')
			buf_fmt(b, "\\u%04x", (unsigned)(unsigned char)*at);
		else
			buf_put(b, at, n);
	}
}

static void
reply_error(struct request *r, int status, const char *code, const char *message)
{
	struct buf b;

	buf_init(&b, ERROR_BODY_MAX);
	buf_str(&b, "{\"error\":\"");
	put_json(&b, code);
	buf_str(&b, "\",\"message\":\"");
	put_json(&b, message);
	buf_str(&b, "\"}\n");
	if (b.failed)
		buf_reset(&b); /* no memory: the status must do */
	request_reply(r, status, "application/json", buf_cstr(&b), b.len);
	buf_free(&b);
}

void
request_refuse(struct request *r, const struct refusal *no)
{
	reply_error(r, no->status, no->code, no->message);
}

void
request_fail(struct request *r, int status, const char *code, const char *fmt, ...)
{
	char message[ERROR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	reply_error(r, status, code, message);
}

/* What a handler asks. */

const char *
request_peer(const struct request *r)
{
	return r->peer == NULL ? NULL : r->name;
}

bool
request_is_newcomer(const struct request *r)
{
	return r->newcomer;
}

const char *
request_session(const struct request *r)
{
	return r->session;
}

const void *
request_body(const struct request *r, size_t *len)
{
	*len = evbuffer_get_length(r->body) - r->tail;
	return *len == 0 ? "" : (const void *)evbuffer_pullup(r->body, -1); /* one piece: take_body */
}

bool
request_gone(const struct request *r)
{
	return r->req == NULL;
}

void
request_new_session(struct request *r, const char *client_nonce, char *out)
{
	out[0] = '\0';
	if (r->desk != NULL && r->peer != NULL)
		sessions_make(r->desk->sessions, r->name, client_nonce, clock_mono_ms(), out);
}

/* The page. */

const char *
request_address(const struct request *r)
{
	return r->conn == NULL ? "" : r->conn->address;
}

bool
request_login(struct request *r, const char *key, unsigned *wait_s)
{
	const char *address = request_address(r);
	int64_t now_ms = clock_mono_ms();
	struct err ignored;

	*wait_s = 0;
	if (r->req == NULL || r->desk == NULL)
		return false;
	*wait_s = login_wait_s(&r->desk->login, address, LOGIN_FORM, now_ms);
	if (*wait_s > 0)
		return false;
	if (!gate_is_key(key, r->desk->monitor_key)) {
		login_wrong(&r->desk->login, address, LOGIN_FORM, now_ms);
		return false;
	}
	login_right(&r->desk->login, address, LOGIN_FORM);
	return login_make(&r->desk->login, clock_wall_us() / 1000000, r->new_cookie, &ignored);
}

void
request_logout(struct request *r)
{
	if (r->desk == NULL || r->cookie[0] == '\0')
		return;
	login_end(&r->desk->login, r->cookie);
	r->end_cookie = true;
}

void
request_token(struct request *r, char *out)
{
	out[0] = '\0';
	if (r->desk != NULL && r->cookie[0] != '\0')
		login_token(&r->desk->login, r->cookie, out);
}

void
request_redirect(struct request *r, const char *path)
{
	r->location = path;
	request_reply(r, 303, "text/plain; charset=utf-8", "", 0);
}

/* Answers without an end. */

bool
request_stream(struct request *r, const char *type)
{
	struct evhttp_connection *c = r->req == NULL || r->desk == NULL ? NULL : evhttp_request_get_connection(r->req);

	if (c == NULL)
		return false;
	r->desk->busy--; /* an orderly stop does not wait for it */
	r->handed = false;
	r->streaming = true;
	r->keep = false;
	add_headers(r, 200, type, NULL);
	/* evhttp reads on, to notice the end; it keeps what it reads. */
	bufferevent_setwatermark(evhttp_connection_get_bufferevent(c), EV_READ, 0, STREAM_INPUT_MAX);
	evhttp_send_reply_start(r->req, 200, "OK");
	return true;
}

bool
request_stream_put(struct request *r, const void *data, size_t len)
{
	struct evhttp_connection *c = r->req == NULL ? NULL : evhttp_request_get_connection(r->req);
	struct evbuffer *piece;
	bool ok;

	if (c == NULL || evbuffer_get_length(bufferevent_get_output(evhttp_connection_get_bufferevent(c))) > STREAM_BACKLOG_MAX)
		return false;
	piece = evbuffer_new();
	ok = piece != NULL && evbuffer_add(piece, data, len) == 0;
	if (ok)
		evhttp_send_reply_chunk(r->req, piece);
	if (piece != NULL)
		evbuffer_free(piece);
	return ok;
}

void
request_stream_end(struct request *r)
{
	if (r->req != NULL && r->streaming) {
		conn_writing(r->conn, r->req);
		evhttp_send_reply_end(r->req);
		r->req = NULL;
	}
	if (r->req == NULL)
		request_free(r);
	else
		request_fail(r, 503, "busy", "no memory; try again later");
}
