/* The HTTP servers. Lives here: making and ending them, and what stands between evhttp and a
 * handler, in order: the gate, the route table, the signature, the session. Not here: what a request
 * must look like (net/gate), connections and deadlines (net/guard), the life of a request and its
 * answer (net/request), which sessions live (net/session), what routes do. */
#include "config.h"

#include "net/server.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/count.h"
#include "base/log.h"
#include "base/text.h"
#include "net/address.h"
#include "net/gate.h"
#include "net/guard.h"
#include "net/request.h"
#include "net/session.h"
#include "wire/sign.h"

enum {
	ACCEPT_RETRY_S = 1,	/* how long no connection is taken after accept failed (no files left) */
	LOG_BURST = 10,		/* refusals that get a line of their own ... */
	LOG_WINDOW_MS = 10000	/* ... in this time: 1 line a second of log for any flood */
};

static const struct refusal refused_signature = { 401, "unauthorised",
	"not signed by a known peer within a session" };
static const struct refusal refused_stale = { 401, "unauthorised",
	"not signed by a known peer within a session" }; /* no caller can tell it from the one above */
static const struct refusal refused_key = { 401, "unauthorised", "the monitor key is needed" };
static const struct refusal refused_wait = { 429, "wait", "too many wrong keys; try again in a minute" };
static const struct refusal refused_token = { 403, "token", "the page has to be loaded again" };
static const struct refusal refused_visitor = { 303, "login", "the monitor key is needed: see " LOGIN_PATH };
static const struct refusal refused_nobody = { 403, "forbidden", "nobody may do this" };
static const struct refusal refused_sessions = { 503, "busy", "too many sessions; try again later" };
static const struct refusal refused_memory = { 503, "busy", "out of memory; try again later" };

struct server {
	struct server_options o;
	struct address address;
	struct evhttp *http;
	struct guard *guard;
	struct evhttp_bound_socket *bound; /* NULL when no longer accepting */
	struct event *tick;		   /* takes up accepting again */
	struct desk desk;
	int64_t log_since_ms;
	unsigned log_lines;
	unsigned log_left_out;
};

/* Log: a line for each refusal until there are too many. */

static void
log_refusal(struct server *s, const char *address, int status, const char *why)
{
	int64_t now_ms = clock_mono_ms();
	char word[16] = "closed";

	if (status != 0)
		(void)snprintf(word, sizeof word, "%d", status);
	count_add(COUNT_HTTP_REFUSED, s->desk.people ? "page" : "peers", word);
	if (now_ms - s->log_since_ms >= LOG_WINDOW_MS) {
		if (s->log_left_out > 0)
			log_warning(NULL, "%u more refused requests are not shown", s->log_left_out);
		s->log_since_ms = now_ms;
		s->log_lines = s->log_left_out = 0;
	}
	if (s->log_lines >= LOG_BURST) {
		s->log_left_out++;
		return;
	}
	s->log_lines++;
	if (status == 0)
		log_warning(NULL, "connection from %s closed: %s", address, why);
	else
		log_warning(NULL, "request from %s refused with %d: %s", address, status, why);
}

static void
on_refused(const char *address, int status, const char *why, void *arg)
{
	log_refusal(arg, address, status, why);
}

/* Authorisation. */

/* Is the request signed by a peer, for us? Takes the same steps and time for a peer that does not
 * exist. Afterwards the answer can be signed, whatever else is wrong. */
static bool
check_signature(const struct conf *conf, struct request *r, const struct route *route,
    struct gate_signature *sig)
{
	static const unsigned char nobody[SIGN_KEY_BYTES];
	const struct conf_peer *peer;
	unsigned char key[SIGN_KEY_BYTES];
	struct sign_request covered = { .method = route->method, .path = route->path,
		.receiver = conf->node.name };
	char mac[SIGN_MAC_HEX + 1];
	bool good;

	if (!gate_signature(r->req, route->auth, sig))
		return false;
	peer = conf_peer(conf, sig->from);
	covered.sender = sig->from;
	covered.session = sig->session;
	covered.counter = sig->counter;
	covered.body = request_body(r, &covered.body_len);
	sign_direction_key(peer == NULL ? nobody : peer->key, sig->from, conf->node.name, key);
	sign_request_mac(key, &covered, mac);
	good = sign_equal(mac, sig->mac) && peer != NULL && strcmp(sig->to, conf->node.name) == 0;
	text_wipe(key, sizeof key);
	if (good && peer->tls_pin[0] != '\0' && !conn_proves(r->conn, peer->tls_pin)) {
		r->why = "signed by a peer, but with another TLS key than its tls_pin here (or none)";
		return false;
	}
	if (!good) {
		if (peer == NULL)
			r->why = "signed by nobody we know";
		else if (strcmp(sig->to, conf->node.name) != 0)
			r->why = "meant for a node of another name; see [node] name here, [peer] name there";
		else
			r->why = "the signature does not fit; is the key the same on both sides?";
		return false;
	}
	request_from_peer(r, peer, sig, conf->node.name);
	conn_trust(r->conn);
	return true;
}

/* Is the request signed with the invitation that is open? Whoever tries with another key and is no peer
 * is counted. */
static bool
check_newcomer(struct server *s, struct request *r, const struct route *route)
{
	static const struct conf_peer newcomer = { .name = NULL };
	struct conf_peer caller = newcomer;
	char name[CONF_NAME_MAX + 1], mac[SIGN_MAC_HEX + 1];
	unsigned char key[SIGN_KEY_BYTES];
	struct sign_request covered = { .method = route->method, .path = route->path, .receiver = s->o.conf->node.name };
	struct gate_signature sig;

	if (s->o.pairing.open == NULL || !gate_signature(r->req, route->auth, &sig) || !s->o.pairing.open(s->o.pairing.arg, caller.key))
		return false;
	covered.sender = sig.from;
	covered.session = sig.session;
	covered.body = request_body(r, &covered.body_len);
	sign_direction_key(caller.key, sig.from, s->o.conf->node.name, key);
	sign_request_mac(key, &covered, mac);
	r->newcomer = sign_equal(mac, sig.mac) && strcmp(sig.to, s->o.conf->node.name) == 0;
	if (r->newcomer) {
		(void)snprintf(name, sizeof name, "%s", sig.from);
		caller.name = name;
		request_from_peer(r, &caller, &sig, s->o.conf->node.name);
		r->peer = &newcomer; /* the answer is signed; name and key are r's own */
		conn_trust(r->conn);
	} else if (conf_peer(s->o.conf, sig.from) == NULL)
		s->o.pairing.wrong(s->o.pairing.arg);
	text_wipe(key, sizeof key);
	text_wipe(caller.key, sizeof caller.key);
	return r->newcomer;
}

static void
use_session(struct conn *c, struct session *s)
{
	if (c->session == s)
		return;
	session_hold(s);
	if (c->session != NULL)
		session_release(c->session);
	c->session = s;
}

static const struct refusal *
check_peer(struct server *s, struct request *r, const struct route *route)
{
	struct gate_signature sig;
	struct session_call call;
	struct session *session = NULL;

	if (!check_signature(s->o.conf, r, route, &sig))
		return &refused_signature;
	if (route->auth == AUTH_HELLO)
		return NULL;
	call = (struct session_call){ .peer = (size_t)(r->peer - s->o.conf->peers), .name = r->name,
		.id = sig.session, .counter = sig.counter, .now_ms = clock_mono_ms() };
	switch (sessions_use(s->desk.sessions, &call, &session)) {
	case SESSION_GOOD:
		use_session(r->conn, session);
		return NULL;
	case SESSION_FULL:
		return &refused_sessions;
	case SESSION_STALE: /* as after every restart of ours: no line in the log */
		return &refused_stale;
	case SESSION_REPLAYED:
		r->why = "its counter was used before: sent twice, or recorded and replayed";
		break;
	}
	return &refused_signature;
}

/* The key itself, in a header: for scripts. */
static const struct refusal *
check_key(struct server *s, struct request *r, const struct route *route)
{
	int64_t now_ms = clock_mono_ms();

	if (login_wait_s(&s->desk.login, r->conn->address, LOGIN_HEADER, now_ms) > 0)
		return &refused_wait;
	if (!gate_has_key(r->req, s->o.conf->node.monitor_key)) {
		login_wrong(&s->desk.login, r->conn->address, LOGIN_HEADER, now_ms);
		return &refused_key;
	}
	login_right(&s->desk.login, r->conn->address, LOGIN_HEADER);
	conn_trust(r->conn);
	return strcmp(route->method, "POST") == 0 ? gate_origin(r->req) : NULL;
}

/* The page: a cookie, with its token where something may change, or the key. */
static const struct refusal *
check_person(struct server *s, struct request *r, const struct route *route)
{
	const char *cookies = gate_cookies(r->req), *token = gate_token(r->req);
	char want[SIGN_MAC_HEX + 1];

	if (gate_shows_key(r->req))
		return check_key(s, r, route);
	if (cookies == NULL || !login_find(&s->desk.login, cookies, clock_wall_us() / 1000000, r->cookie))
		return route->auth == AUTH_PAGE ? &refused_visitor : &refused_key;
	conn_trust(r->conn);
	if (strcmp(route->method, "POST") != 0)
		return NULL;
	login_token(&s->desk.login, r->cookie, want);
	return token != NULL && sign_equal(token, want) ? gate_origin(r->req) : &refused_token;
}

/* For whoever only reads numbers: a key that opens nothing else, or what opens the page. */
static const struct refusal *
check_reader(struct server *s, struct request *r, const struct route *route)
{
	if (login_wait_s(&s->desk.login, r->conn->address, LOGIN_HEADER, clock_mono_ms()) > 0 ||
	    !gate_has_key(r->req, s->o.conf->node.metrics_key))
		return check_person(s, r, route);
	login_right(&s->desk.login, r->conn->address, LOGIN_HEADER);
	conn_trust(r->conn);
	return NULL;
}

/* May this request have its row? */
static const struct refusal *
authorise(struct server *s, struct request *r, const struct route *route)
{
	switch (route->auth) {
	case AUTH_HELLO:
	case AUTH_PEER:
		return check_peer(s, r, route);
	case AUTH_PAIR: {
		struct gate_signature sig;

		return check_newcomer(s, r, route) || check_signature(s->o.conf, r, route, &sig) ? NULL : &refused_signature;
	}
	case AUTH_MONITOR:
	case AUTH_PAGE:
		return check_person(s, r, route);
	case AUTH_METRICS:
		return check_reader(s, r, route);
	case AUTH_LOGIN:
		return gate_form_origin(r->req);
	case AUTH_OPEN:
		return NULL;
	case AUTH_NOBODY:
		break;
	}
	return &refused_nobody;
}

/* Everything that stands before a handler, in order. */
static const struct refusal *
judge(struct server *s, struct request *r, const struct route **route)
{
	struct gate_place place = { .host = s->address.host, .local = r->conn->local,
		.port = s->address.port };
	const struct refusal *no = gate_form(r->req);

	if (no == NULL && s->desk.people)
		no = gate_host(r->req, &place);
	if (no == NULL)
		no = gate_route(r->req, s->o.routes, s->o.nroutes, route);
	if (no == NULL)
		no = gate_body(r->req, *route);
	if (no == NULL && !request_take_body(r))
		no = &refused_memory;
	if (no == NULL)
		no = authorise(s, r, *route);
	if (no == NULL)
		no = request_open(r, s->o.conf->node.name);
	return no;
}

static void
log_request(struct server *s, const struct request *r, const struct refusal *no)
{
	if (no == &refused_stale)
		log_debug(r->name, "the session is over, a new hello is due");
	else if (no == &refused_visitor)
		log_debug(NULL, "a visitor from %s is shown the form for the key", r->conn->address);
	else
		log_refusal(s, r->conn->address, no->status, r->why != NULL ? r->why : no->message);
}

/* evhttp has a whole request. */
static void
on_request(struct evhttp_request *req, void *arg)
{
	struct server *s = arg;
	struct conn *c = guard_find(s->guard, req);
	struct request *r = c == NULL ? NULL : request_make(&s->desk, c, req);
	const struct route *route = NULL;
	const struct refusal *no;

	if (r == NULL) { /* no memory */
		(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Connection", "close");
		evhttp_send_reply(req, 503, NULL, NULL);
		return;
	}
	no = judge(s, r, &route);
	if (no != NULL) {
		log_request(s, r, no);
		r->location = no->status == 303 ? LOGIN_PATH : NULL;
		request_refuse(r, no);
		return;
	}
	r->keep = route->auth != AUTH_OPEN;
	request_hand_over(r);
	route->handle(r, route->auth == AUTH_PAIR ? s->o.pairing.arg : s->o.arg);
	/* r may be gone by now; c goes with the next turn of the loop at the earliest. */
	if (c->request != NULL)
		conn_watch(c);
}

/* A connection is going. */
static void
on_closed(struct conn *c, void *arg)
{
	(void)arg;
	if (c->session != NULL)
		session_release(c->session);
	c->session = NULL;
	request_lose_connection(c);
}

/* Making and ending a server. */

/* accept failed, as a rule because there are no more files: rest instead of spinning. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void)arg;
	log_warning(NULL, "cannot take connections for a moment: %s",
	    evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	(void)evconnlistener_disable(listener);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	if (s->bound != NULL)
		(void)evconnlistener_enable(evhttp_bound_socket_get_listener(s->bound));
}

static bool
has_routes(const struct server_options *o, enum auth a, enum auth b)
{
	for (size_t i = 0; i < o->nroutes; i++)
		if (o->routes[i].auth == a || o->routes[i].auth == b)
			return true;
	return false;
}

static size_t
largest_body(const struct server_options *o)
{
	size_t max = 0;

	for (size_t i = 0; i < o->nroutes; i++)
		if (o->routes[i].body_max > max)
			max = o->routes[i].body_max;
	return max;
}

static bool
set_up_http(struct server *s, struct err *e)
{
	size_t body_max = largest_body(&s->o);
	struct guard_options guard = { .base = s->o.base, .tls = s->o.tls, .grace_ms = s->o.grace_ms,
		.idle_ms = s->o.idle_ms, .body_max = body_max, .closed = on_closed, .refused = on_refused,
		.arg = s };

	s->http = evhttp_new(s->o.base);
	if (s->http == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the HTTP server");
	evhttp_set_max_headers_size(s->http, GATE_HEADER_BYTES);
	evhttp_set_max_body_size(s->http, (ev_ssize_t)body_max);
	evhttp_set_timeout(s->http, GUARD_BACKSTOP_S);
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_gencb(s->http, on_request, s);
	guard.http = s->http;
	return guard_new(&guard, &s->guard, e);
}

static bool
set_up_listener(struct server *s, struct err *e)
{
	const char *option = s->desk.people ? "monitor" : "listen";
	const struct timeval second = { .tv_sec = ACCEPT_RETRY_S };
	struct evconnlistener *listener;

	if (!address_parse(s->o.address, option, &s->address, e) ||
	    !address_listen(s->o.base, &s->address, option, &listener, e))
		return false;
	evconnlistener_set_error_cb(listener, on_accept_error);
	s->bound = evhttp_bind_listener(s->http, listener);
	if (s->bound == NULL)
		evconnlistener_free(listener);
	s->tick = event_new(s->o.base, -1, EV_PERSIST, on_tick, s);
	if (s->bound == NULL || s->tick == NULL || event_add(s->tick, &second) != 0)
		return err_set(e, ERR_MEMORY, "out of memory for the HTTP server");
	return true;
}

bool
server_new(const struct server_options *o, struct server **out, struct err *e)
{
	struct server *s = calloc(1, sizeof *s);
	size_t npeers = o->conf->npeers;
	bool peers = has_routes(o, AUTH_HELLO, AUTH_PEER) || has_routes(o, AUTH_PAIR, AUTH_PAIR);
	bool ok;

	*out = NULL;
	assert(!(peers && has_routes(o, AUTH_MONITOR, AUTH_PAGE))); /* two doors, two servers */
	if (s == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the HTTP server");
	/* A write to a connection that the other side has closed is an error, not the end of us. */
	(void)signal(SIGPIPE, SIG_IGN);
	s->o = *o;
	s->desk.people = !peers;
	s->log_since_ms = clock_mono_ms();
	ok = sessions_new(npeers == 0 ? 1 : npeers, &s->desk.sessions, e) && set_up_http(s, e) &&
	    set_up_listener(s, e);
	if (!ok) {
		server_free(s);
		return false;
	}
	s->desk.monitor_key = o->conf->node.monitor_key == NULL ? "" : o->conf->node.monitor_key;
	login_init(&s->desk.login, o->conf->node.name, s->desk.monitor_key, s->address.port);
	*out = s;
	return true;
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	if (s->http != NULL)
		evhttp_free(s->http); /* every connection is closed: on_closed */
	guard_free(s->guard);
	request_lose_desk(&s->desk);
	if (s->tick != NULL)
		event_free(s->tick);
	sessions_free(s->desk.sessions);
	text_wipe(&s->desk.login, sizeof s->desk.login);
	free(s);
}

unsigned
server_port(const struct server *s)
{
	return s->address.port;
}

void
server_stop_accepting(struct server *s)
{
	s->desk.stopping = true;
	if (s->bound != NULL)
		evhttp_del_accept_socket(s->http, s->bound);
	s->bound = NULL;
	guard_close_quiet(s->guard);
}

size_t
server_busy(const struct server *s)
{
	return s->desk.busy;
}
