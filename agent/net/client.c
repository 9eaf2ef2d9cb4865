/* The HTTP client of one link. Lives here: libcurl's options, signing what goes out, believing only
 * what comes back signed, giving up in time. Not here: what the messages mean and when to try
 * again (sync/).
 *
 * A call runs in a loop of our own around libcurl's multi interface rather than in
 * curl_easy_perform, which looks at a stop flag about once a second only. One multi handle lives
 * as long as the client and keeps the connection open between calls. */
#include "config.h"

#include "net/client.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/plant.h"
#include "base/text.h"
#include "net/gate.h"
#include "net/hatch.h"
#include "net/shelf.h"
#include "net/tls.h"
#include "wire/seal.h"
#include "wire/sign.h"

enum {
	CONNECT_MS = 5000,	   /* until a TCP and TLS connection stands, if the timeout is longer */
	LOOK_MS = 50,		   /* how often a running call looks at the stop flag and the clock */
	PATIENCE = 4,		   /* a whole call may last this many timeouts and ... */
	RATE_MIN = 8192,	   /* ... what its bytes take at this many a second (GUARD_RATE_TRUSTED) */
	CONN_AGE_S = 60,	   /* reuse a connection only this long after; below GUARD_IDLE_MS */
	HEADER_BYTES_MAX = 65536,  /* all header lines of one call; a Tandem agent sends below 1 KiB */
	HEADER_LINE_MAX = 256,	   /* one request header: name, colon, longest value (the session) */
	URL_MAX = 1024,		   /* scheme, DNS name, port and path, with room */
	TYPE_MAX = 48		   /* of a foreign Content-Type, for a message */
};

/* What the headers of the last answer said. */
struct head {
	char mac[SIGN_MAC_HEX + 1];
	unsigned macs;
	char type[TYPE_MAX];
	size_t bytes; /* over all answers of the call, 1xx ones too */
};

struct client {
	const struct conf_peer *peer;
	char self[CONF_NAME_MAX + 1];
	int64_t timeout_ms;
	const atomic_bool *stop;
	CURLM *multi;
	CURL *easy;
	unsigned char send_key[SIGN_KEY_BYTES];
	unsigned char receive_key[SIGN_KEY_BYTES];
	char nonce[SIGN_NONCE_BYTES * 2 + 1];
	char session[SIGN_SESSION_MAX]; /* "" = none open */
	uint64_t counter;		/* of the last request in the session */
	bool unauthorised;
	bool not_found;
	struct shelf *shelf;		/* the peer may come instead, NULL: it does not */
	struct guest *guest;		/* the same through the daemon's hatch */
	bool by_shelf;			/* the session goes that way */
	char visit[SIGN_SESSION_MAX];	/* then: the peer's session that it began in */
	/* The running call. */
	struct head head;
	struct buf *answer;
	struct buf sealed; /* the request's body as it travels, when it is sealed */
	bool too_long;
	char detail[CURL_ERROR_SIZE];
};

/* Set up. */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static CURLcode library_state;

static void
library_start(void)
{
	/* CURLOPT_NOSIGNAL leaves this to us: a write to a closed connection is an error. */
	(void)signal(SIGPIPE, SIG_IGN);
	library_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Does the header line begin with "name:"? Then its value without spaces around, not terminated. */
static const char *
value_of(const char *line, size_t len, const char *name, size_t *value_len)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	line += n + 1;
	len -= n + 1;
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len > 0 && strchr(" \t\r\n", line[len - 1]) != NULL)
		len--;
	*value_len = len;
	return line;
}

static void
note_mac(struct head *h, const char *value, size_t len)
{
	h->macs++;
	h->mac[0] = '\0';
	if (len != SIGN_MAC_HEX || memchr(value, '\0', len) != NULL)
		return;
	memcpy(h->mac, value, len);
	h->mac[len] = '\0';
}

static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
	struct client *c = arg;
	struct head *h = &c->head;
	size_t len = size * n, value_len;
	const char *value;

	h->bytes += len;
	if (h->bytes > HEADER_BYTES_MAX)
		return 0;
	if (len >= 5 && strncmp(line, "HTTP/", 5) == 0) { /* a new answer, after 1xx ones */
		h->macs = 0;
		h->mac[0] = h->type[0] = '\0';
		return len;
	}
	value = value_of(line, len, GATE_MAC, &value_len);
	if (value != NULL)
		note_mac(h, value, value_len);
	value = value_of(line, len, "Content-Type", &value_len);
	if (value != NULL)
		(void)text_escape(value, value_len, h->type, sizeof h->type);
	return len;
}

/* A body that no signature came with is not worth reading. */
static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct client *c = arg;
	size_t len = size * n;

	if (c->head.macs != 1)
		return 0;
	buf_put(c->answer, data, len);
	c->too_long = c->answer->failed;
	return c->answer->failed ? 0 : len;
}

#define SET(option, value)                                                  \
	do {                                                                \
		if (curl_easy_setopt(c->easy, option, value) != CURLE_OK)   \
			return err_set(e, ERR_INTERNAL, "libcurl: " #option); \
	} while (0)

/* Nothing that libcurl would do on its own: no redirect, proxy, netrc, other protocol, other
 * spelling of the path, compression or signal. */
static bool
set_plain_options(struct client *c, struct err *e)
{
	bool tls = strncmp(c->peer->url, "https://", 8) == 0;

	SET(CURLOPT_PROTOCOLS_STR, tls ? "https" : "http");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_MAXREDIRS, 0L);
	SET(CURLOPT_UNRESTRICTED_AUTH, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FAILONERROR, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that does not answer must not delay stopping */
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_MAXAGE_CONN, (long)CONN_AGE_S);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(c->timeout_ms < CONNECT_MS ? c->timeout_ms : CONNECT_MS));
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, c);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_ERRORBUFFER, c->detail);
	return true;
}

/* Our own key and certificate, for a peer that has our pin as we have its. */
static bool
show_identity(struct client *c, struct err *e)
{
	struct tls_identity id;
	struct curl_blob blob;
	bool ok;

	if (c->peer->conf == NULL)
		return true;
	if (!tls_identity(c->peer->conf, &id, e))
		return false;
	blob = (struct curl_blob){ .data = id.pem, .len = id.len, .flags = CURL_BLOB_COPY };
	ok = (curl_easy_setopt(c->easy, CURLOPT_SSLCERT_BLOB, &blob) == CURLE_OK &&
	    curl_easy_setopt(c->easy, CURLOPT_SSLKEY_BLOB, &blob) == CURLE_OK) ||
	    err_set(e, ERR_INTERNAL, "libcurl: CURLOPT_SSLKEY_BLOB");
	tls_identity_free(&id);
	return ok;
}

/* With a pin the peer's key itself is what is trusted: certificates of laptops are self-signed, and
 * their dates are worth as much as a laptop's clock. The one place where verification is switched
 * off, and only together with a well-formed pin. Without one (a tunnel that ends TLS elsewhere) the
 * certificate is verified as a browser does, and nothing of ours is shown. */
static bool
set_tls_options(struct client *c, struct err *e)
{
	const char *pin = c->peer->tls_pin;

	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (pin == NULL || pin[0] == '\0' || c->peer->url[0] == '\0')
		return true;
	if (strncmp(c->peer->url, "https://", 8) != 0)
		return err_set(e, ERR_CONFIG, "[peer %s] has a tls_pin but no https:// url", c->peer->name);
	if (!tls_is_pin(pin))
		return err_set(e, ERR_CONFIG,
		    "[peer %s] tls_pin is not a pin: write sha256// and 44 characters of base64",
		    c->peer->name);
	SET(CURLOPT_PINNEDPUBLICKEY, pin);
	SET(CURLOPT_SSL_VERIFYPEER, 0L);
	SET(CURLOPT_SSL_VERIFYHOST, 0L);
	return show_identity(c, e);
}

bool
client_new(const char *self, const struct conf_peer *peer, int64_t timeout_ms,
    const atomic_bool *stop, struct client **out, struct err *e)
{
	struct client *c = NULL;

	*out = NULL;
	assert(timeout_ms > 0 && timeout_ms < INT32_MAX);
	if (!gate_is_name(self) || !gate_is_name(peer->name))
		return err_set(e, ERR_CONFIG, "names of nodes are 1 to %d of A-Z a-z 0-9 . _ -",
		    CONF_NAME_MAX);
	(void)pthread_once(&library_once, library_start);
	c = library_state == CURLE_OK ? calloc(1, sizeof *c) : NULL;
	if (c == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the HTTP client");
	c->peer = peer;
	c->timeout_ms = timeout_ms;
	c->stop = stop;
	(void)snprintf(c->self, sizeof c->self, "%s", self);
	sign_direction_key(peer->key, self, peer->name, c->send_key);
	sign_direction_key(peer->key, peer->name, self, c->receive_key);
	c->multi = curl_multi_init();
	c->easy = curl_easy_init();
	if (c->multi == NULL || c->easy == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for the HTTP client");
		goto fail;
	}
	if (!set_plain_options(c, e) || !set_tls_options(c, e))
		goto fail;
	*out = c;
	return true;
fail:
	client_free(c);
	return false;
}

void
client_free(struct client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->easy);
	if (c->multi != NULL)
		(void)curl_multi_cleanup(c->multi);
	text_wipe(c->send_key, sizeof c->send_key);
	text_wipe(c->receive_key, sizeof c->receive_key);
	free(c);
}

void
client_use_shelf(struct client *c, struct shelf *shelf)
{
	c->shelf = shelf;
}

void
client_use_guest(struct client *c, struct guest *guest)
{
	c->guest = guest;
}

bool
client_has_way(const struct conf_peer *peer, struct shelf *shelf)
{
	return peer->url[0] != '\0' || (shelf != NULL && shelf_visit(shelf, NULL) != 0);
}

/* Asking. */

struct call {
	const char *method;
	const char *path;
	const void *body;
	size_t len;
	char mac[SIGN_MAC_HEX + 1]; /* of the request */
	struct curl_slist *headers;
};

static bool
add_header(struct call *call, const char *name, const char *value, struct err *e)
{
	char line[HEADER_LINE_MAX];
	struct curl_slist *more;
	int n = snprintf(line, sizeof line, "%s:%s%s", name, value[0] == '\0' ? "" : " ", value);

	assert(n > 0 && (size_t)n < sizeof line && strpbrk(line, "\r\n") == NULL);
	more = curl_slist_append(call->headers, line);
	if (more == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a request");
	call->headers = more;
	return true;
}

/* Put the sealed body in the place of the readable one. */
static bool
seal_call(struct client *c, struct call *call, struct err *e)
{
	buf_init(&c->sealed, call->len + SEAL_EXTRA);
	if (!c->peer->seal || call->len == 0)
		return true;
	if (!seal_put(c->send_key, SEAL_REQUEST, call->body, call->len, &c->sealed, e))
		return false;
	call->body = c->sealed.data;
	call->len = c->sealed.len;
	return true;
}

/* Sign the call and write its headers. */
static bool
sign_call(struct client *c, struct call *call, struct err *e)
{
	struct sign_request covered = { .method = call->method, .path = call->path, .sender = c->self,
		.receiver = c->peer->name, .session = c->session, .body = call->body, .body_len = call->len };
	char counter[24];

	if (client_is_open(c))
		covered.counter = ++c->counter;
	sign_request_mac(c->send_key, &covered, call->mac);
	(void)snprintf(counter, sizeof counter, "%" PRIu64, covered.counter);
	if (client_is_open(c) && !add_header(call, GATE_SESSION, c->session, e))
		return false;
	if (strcmp(call->method, "POST") == 0 &&
	    !add_header(call, "Content-Type", "application/x-tandem", e))
		return false;
	return add_header(call, "Expect", "", e) && /* no value: libcurl leaves it out */
	    add_header(call, GATE_FROM, c->self, e) && add_header(call, GATE_TO, c->peer->name, e) &&
	    add_header(call, GATE_COUNTER, counter, e) && add_header(call, GATE_MAC, call->mac, e);
}

static bool
set_call_options(struct client *c, const struct call *call, struct err *e)
{
	char url[URL_MAX];
	size_t base = strlen(c->peer->url), len = strlen(call->path);

	while (base > 0 && c->peer->url[base - 1] == '/')
		base--;
	if (base + len >= sizeof url)
		return err_set(e, ERR_CONFIG, "[peer %s] url is too long", c->peer->name);
	memcpy(url, c->peer->url, base);
	memcpy(url + base, call->path, len + 1);
	SET(CURLOPT_URL, url);
	SET(CURLOPT_HTTPHEADER, call->headers);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)c->answer->max);
	if (strcmp(call->method, "GET") == 0) {
		SET(CURLOPT_HTTPGET, 1L);
		return true;
	}
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->len);
	SET(CURLOPT_POSTFIELDS, call->len == 0 ? "" : (const char *)call->body);
	return true;
}

/* Bytes of the running call so far, both ways. */
static int64_t
moved(struct client *c)
{
	curl_off_t up = 0, down = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	(void)curl_easy_getinfo(c->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	return (int64_t)up + (int64_t)down + (int64_t)c->head.bytes;
}

static bool
stopped(const struct client *c)
{
	return c->stop != NULL && atomic_load(c->stop);
}

/* Has libcurl finished? Then *result says how. */
static bool
is_done(struct client *c, CURLcode *result)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		*result = m->data.result;
		return true;
	}
	return false;
}

static double
seconds(int64_t ms)
{
	return (double)ms / 1000.0;
}

/* Run the prepared transfer until libcurl is done, or until we are: asked to stop, no byte for too
 * long, or bytes so slowly that it would last for ever. */
static bool
run(struct client *c, CURLcode *result, struct err *e)
{
	int64_t start_ms = clock_mono_ms(), last_ms = start_ms, seen = 0;
	int running;

	for (;;) {
		int64_t now_ms, now_moved;

		if (stopped(c))
			return err_set(e, ERR_STOPPED, "stopped while talking to %s", c->peer->url);
		if (curl_multi_perform(c->multi, &running) != CURLM_OK)
			return err_set(e, ERR_INTERNAL, "libcurl: curl_multi_perform");
		if (is_done(c, result))
			return true;
		now_ms = clock_mono_ms();
		now_moved = moved(c);
		if (now_moved != seen)
			last_ms = now_ms;
		seen = now_moved;
		if (now_ms - last_ms >= c->timeout_ms)
			return err_set(e, ERR_PEER, "%s: no answer for %g s", c->peer->url,
			    seconds(c->timeout_ms));
		if (now_ms - start_ms >= PATIENCE * c->timeout_ms + seen * 1000 / RATE_MIN)
			return err_set(e, ERR_PEER, "%s is too slow: %" PRId64 " bytes in %g s",
			    c->peer->url, seen, seconds(now_ms - start_ms));
		if (curl_multi_poll(c->multi, NULL, 0, LOOK_MS, NULL) != CURLM_OK)
			return err_set(e, ERR_INTERNAL, "libcurl: curl_multi_poll");
	}
}

/* Judging the answer. */

static bool
fail_connect(const struct client *c, struct err *e)
{
	long no = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &no);
	if (no == ECONNREFUSED)
		return err_set(e, ERR_PEER, "%s refused the connection", c->peer->url);
	if (no != 0)
		return err_set(e, ERR_PEER, "%s cannot be reached: %s", c->peer->url, strerror((int)no));
	return err_set(e, ERR_PEER, "%s cannot be reached", c->peer->url);
}

/* Closed without an answer, for which TLS on one side alone, or a key that is not known there, is a
 * common reason. */
static bool
fail_closed(const struct client *c, struct err *e)
{
	const char *url = c->peer->url;

	if (strstr(c->detail, "alert") != NULL)
		return err_set(e, ERR_PEER, "%s ends TLS: is this node's TLS key the tls_pin of [peer %s] there? its log says more", url, c->self);
	if (c->head.bytes > 0)
		return err_set(e, ERR_PEER, "%s closed the connection before its answer was complete", url);
	if (strncmp(url, "http://", 7) == 0)
		return err_set(e, ERR_PEER, "%s closed the connection before its answer was complete; if tls is on there, the url must begin with https://", url);
	/* The alert that would say so can get lost behind what we were still sending. */
	return err_set(e, ERR_PEER, "%s closed the connection before its answer was complete; if it stays so: is this node's TLS key the tls_pin of [peer %s] there?",
	    url, c->self);
}

/* libcurl's verdict in plain words. */
static bool
fail_transfer(const struct client *c, CURLcode result, struct err *e)
{
	const char *url = c->peer->url;
	char detail[CURL_ERROR_SIZE];

	(void)text_escape(c->detail, strlen(c->detail), detail, sizeof detail);
	switch (result) {
	case CURLE_COULDNT_CONNECT:
		return fail_connect(c, e);
	case CURLE_COULDNT_RESOLVE_HOST:
		return err_set(e, ERR_PEER, "%s: the name of the host is not known", url);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, ERR_PEER, "%s: no connection after %g s", url,
		    seconds(c->timeout_ms < CONNECT_MS ? c->timeout_ms : CONNECT_MS));
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that does not begin as HTTP */
	case CURLE_WEIRD_SERVER_REPLY:
		return fail_closed(c, e);
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		return err_set(e, ERR_PEER, "%s has another TLS key than tls_pin of [peer %s] says: if that laptop was "
		    "set up anew, pair again; if not, somebody stands between", url, c->peer->name);
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_set(e, ERR_PEER, "%s shows a certificate that is not to be trusted (%s): a laptop of your own needs "
		    "its tls_pin in [peer %s]", url, detail, c->peer->name);
	case CURLE_SSL_CONNECT_ERROR:
		return err_set(e, ERR_PEER, "%s: no TLS (%s): is tls = on there, and at least TLS 1.2?", url, detail);
	case CURLE_FILESIZE_EXCEEDED:
		return err_set(e, ERR_PEER, "%s: the answer is longer than the limit of %zu bytes", url,
		    c->answer->max);
	default:
		return err_set(e, ERR_PEER, "%s: %s", url,
		    detail[0] != '\0' ? detail : curl_easy_strerror(result));
	}
}

static bool
fail_unsigned(struct client *c, int status, struct err *e)
{
	if (status == 401) {
		c->unauthorised = true;
		return err_set(e, ERR_PEER,
		    "%s does not know this signature (HTTP 401): is the key the same on both sides, and "
		    "does it have a [peer %s]? Does the url of [peer %s] lead to it, not to another node or to this one?",
		    c->peer->url, c->self, c->peer->name);
	}
	c->not_found = status == 404 && c->head.macs == 0;
	return err_set(e, ERR_PEER,
	    "%s answered with%s signature (HTTP %d%s%s): is that a Tandem agent with the same key?",
	    c->peer->url, c->head.macs == 0 ? "out a" : " a wrong", status,
	    c->head.type[0] == '\0' ? "" : " ", c->head.type);
}

/* What is signed may be sealed, and has to be if we seal: only an error may come readable, from a node that
 * could not open what we sent. */
static bool
open_answer(struct client *c, int status, struct err *e)
{
	size_t len;

	if (c->answer->len == 0)
		return true;
	if (!seal_is(c->answer->data, c->answer->len))
		return !c->peer->seal || status != 200 ||
		    err_set(e, ERR_PEER, "%s answered with a body that can be read on the way; does its agent know seal = yes?", c->peer->url);
	if (!seal_open(c->receive_key, SEAL_ANSWER, c->answer->data, c->answer->len, &len))
		return err_set(e, ERR_PEER, "%s answered with a sealed body that cannot be opened", c->peer->url);
	buf_cut(c->answer, SEAL_HEAD_BYTES + len);
	buf_drop(c->answer, SEAL_HEAD_BYTES);
	return true;
}

/* The transfer is over: believe it only if its signature covers it and our request. */
static bool
judge(struct client *c, const struct call *call, CURLcode result, int *status, struct err *e)
{
	char mac[SIGN_MAC_HEX + 1];
	long code = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &code);
	if (c->too_long && c->answer->no_memory)
		return err_set(e, ERR_MEMORY, "out of memory for the answer of %s", c->peer->url);
	if (c->too_long)
		return fail_transfer(c, CURLE_FILESIZE_EXCEEDED, e);
	if (result != CURLE_OK && !(result == CURLE_WRITE_ERROR && code >= 200 && c->head.macs != 1))
		return fail_transfer(c, result, e);
	sign_response_mac(c->receive_key, (int)code, call->mac, c->answer->data, c->answer->len, mac);
	if (c->head.macs != 1 || (!sign_equal(mac, c->head.mac) && !plant_is(PLANT_UNSIGNED)))
		return fail_unsigned(c, (int)code, e);
	*status = (int)code;
	if (code != 401)
		return open_answer(c, (int)code, e);
	c->unauthorised = true;
	return err_set(e, ERR_PEER, "%s has ended the session (HTTP 401)", c->peer->url);
}

/* The other way: the peer has come, and takes the call with it. */
static bool
call_by_shelf(struct client *c, const struct call *call, int *status, struct buf *answer, struct err *e)
{
	const struct shelf_call errand = { .session = c->visit, .path = call->path, .body = call->body, .len = call->len, .timeout_ms = c->timeout_ms, .stop = c->stop };

	if (!(c->guest != NULL ? guest_call(c->guest, &errand, status, answer, &c->unauthorised, e) :
				 shelf_call(c->shelf, &errand, status, answer, &c->unauthorised, e))) {
		buf_reset(answer);
		return false;
	}
	if (*status != 404)
		return true;
	c->not_found = true; /* as over the other way, where an unknown path is answered unsigned */
	return err_set(e, ERR_PEER, "peer %s does not know the call %s: is its agent older?", c->peer->name, call->path);
}

/* The daemon's shelf: where the peer was cut off, it comes again. */
static bool
await_visit(struct client *c, struct err *e)
{
	bool came;

	if (!guest_wait(c->guest, c->timeout_ms, &came, c->visit, e))
		return false;
	c->by_shelf = came;
	return came || err_set(e, ERR_PEER, "peer %s, which has no url here and comes itself, has not come for %g s", c->peer->name, seconds(c->timeout_ms));
}

/* By which way does this call go? A session stays on the one that its hello took. */
static bool
choose_way(struct client *c, struct err *e)
{
	if (client_is_open(c))
		return true;
	if (c->guest != NULL)
		return await_visit(c, e);
	c->by_shelf = c->shelf != NULL && shelf_visit(c->shelf, c->visit) != 0;
	return c->by_shelf || c->peer->url[0] != '\0' ||
	    err_set(e, ERR_PEER, "[peer %s] has no url: it comes itself ([peer %s] pull = yes there), and does not do so now", c->peer->name, c->self);
}

bool
client_call(struct client *c, const char *method, const char *path, const void *body, size_t len,
    int *status, struct buf *answer, struct err *e)
{
	struct call call = { .method = method, .path = path, .body = body, .len = len };
	CURLcode result = CURLE_OK;
	size_t max = answer->max;
	bool added = false, ok = false;

	assert(strcmp(method, "POST") == 0 || (strcmp(method, "GET") == 0 && len == 0));
	*status = 0;
	buf_reset(answer);
	c->unauthorised = c->not_found = c->too_long = false;
	if (!choose_way(c, e))
		return false;
	if (c->by_shelf)
		return call_by_shelf(c, &call, status, answer, e);
	c->answer = answer;
	answer->max += c->peer->seal ? SEAL_EXTRA : 0;
	memset(&c->head, 0, sizeof c->head);
	c->detail[0] = '\0';
	if (!seal_call(c, &call, e) || !sign_call(c, &call, e) || !set_call_options(c, &call, e))
		goto out;
	added = curl_multi_add_handle(c->multi, c->easy) == CURLM_OK;
	if (!added) {
		(void)err_set(e, ERR_INTERNAL, "libcurl: curl_multi_add_handle");
		goto out;
	}
	ok = run(c, &result, e) && judge(c, &call, result, status, e);
out:
	if (added)
		(void)curl_multi_remove_handle(c->multi, c->easy);
	(void)curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(call.headers);
	buf_free(&c->sealed);
	answer->max = max;
	if (!ok)
		buf_reset(answer); /* nothing unsigned is left to be read by mistake */
	c->answer = NULL;
	return ok;
}

/* Sessions. */

const char *
client_hello_nonce(struct client *c, struct err *e)
{
	client_close(c); /* hello is what comes next */
	return sign_nonce(c->nonce, e) ? c->nonce : NULL;
}

bool
client_open(struct client *c, const char *session, struct err *e)
{
	if (!gate_is_session(session))
		return err_set(e, ERR_INPUT, "%s handed out a session that is none", c->peer->url);
	(void)snprintf(c->session, sizeof c->session, "%s", session);
	c->counter = 0; /* the first request is 1 */
	return true;
}

void
client_close(struct client *c)
{
	c->session[0] = '\0';
	c->counter = 0;
}

bool
client_is_open(const struct client *c)
{
	return c->session[0] != '\0';
}

bool
client_unauthorised(const struct client *c)
{
	return c->unauthorised;
}

bool
client_not_found(const struct client *c)
{
	return c->not_found;
}
