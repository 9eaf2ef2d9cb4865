/* Connections: caps, deadlines, and noticing that a caller has gone.
 *
 * evhttp (2.1) accepts and reads by itself and calls nobody before a request is whole. The one
 * place where it asks for something is the bufferevent of a new connection (evhttp_set_bevcb), so
 * that is where a struct conn is made. Its timer is activated at once; it runs before anything is
 * read, when evhttp has put the socket and its own callbacks in place, and the guard then learns
 * the address and evhttp's connection (the argument of the callbacks that evhttp has set on the
 * bufferevent). Bytes are counted by callbacks of the two evbuffers. A connection is closed by
 * showing evhttp a timeout of its own bufferevent: evhttp cleans up and calls the close callback,
 * the only place where an admitted struct conn is freed. */
#include "config.h"

#include "net/guard.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/tls.h"

enum {
	MS_PER_S = 1000,
	READ_SLACK = 32 * 1024, /* kept beyond one body: its header block (8 KiB) and one read */
	V6_NETWORK_BYTES = 8	/* a household or attacker has a whole /64 */
};

struct guard {
	struct guard_options o;
	struct conn *first;
	size_t strangers; /* bytes held for connections that have not shown a key */
};

/* Time. */

static int64_t
deadline_ms(const struct conn *c)
{
	int64_t rate = c->trusted ? GUARD_RATE_TRUSTED : GUARD_RATE_STRANGER;

	if (c->state == CONN_IDLE)
		return c->since_ms + c->guard->o.idle_ms;
	return c->since_ms + c->guard->o.grace_ms + (int64_t)c->moved * MS_PER_S / rate;
}

static void
arm(struct conn *c, int64_t now_ms)
{
	int64_t ms = deadline_ms(c) - now_ms;
	struct timeval tv;

	if (ms < 1)
		ms = 1;
	tv.tv_sec = ms / MS_PER_S;
	tv.tv_usec = ms % MS_PER_S * MS_PER_S;
	(void)evtimer_add(c->timer, &tv);
}

static void
enter(struct conn *c, enum conn_state state)
{
	c->state = state;
	c->since_ms = clock_mono_ms();
	c->moved = 0;
	if (c->hangup != NULL) {
		event_free(c->hangup);
		c->hangup = NULL;
	}
	if (state == CONN_WORKING)
		(void)evtimer_del(c->timer);
	else
		arm(c, c->since_ms);
}

/* Bytes. */

/* Close it, but not here: the bufferevent is in the middle of reading. Told now: evhttp may answer
 * and close before we do. */
static void
doom(struct conn *c, const char *why)
{
	if (c->doomed)
		return;
	c->doomed = c->told = true;
	c->guard->o.refused(c->address, 0, why, c->guard->o.arg);
	event_active(c->timer, EV_TIMEOUT, 1);
}

/* Does a client begin with TLS where plain HTTP is spoken? evhttp would wait for the end of a line. */
static bool
is_hello_of_tls(struct evbuffer *input)
{
	unsigned char first[2] = { 0 };

	return evbuffer_copyout(input, first, sizeof first) == (ev_ssize_t)sizeof first && first[0] == 0x16 && first[1] == 0x03;
}

static void
hold(struct conn *c, size_t bytes)
{
	c->guard->strangers -= c->held;
	c->held = bytes;
	c->guard->strangers += c->held;
}

/* The stranger who holds most goes, whoever has brought the last byte. Not here: a bufferevent may be
 * in the middle of reading. */
static void
doom_largest(struct guard *g)
{
	struct conn *largest = NULL;

	for (struct conn *i = g->first; i != NULL; i = i->next) {
		if (i->doomed && i->state != CONN_WORKING)
			return; /* on its way out, its bytes are still counted */
		if (i->trusted || i->doomed)
			continue;
		if (largest == NULL || i->held > largest->held)
			largest = i;
	}
	if (largest == NULL)
		return;
	largest->doomed = true;
	event_active(largest->timer, EV_TIMEOUT, 1);
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_added == 0)
		return;
	if (c->state == CONN_IDLE)
		enter(c, CONN_READING);
	if (c->state == CONN_READING && c->moved == 0 && c->guard->o.tls == NULL && is_hello_of_tls(input))
		doom(c, "TLS where plain HTTP is spoken: tls = on here, or an url that begins with http:// there");
	if (c->state == CONN_READING)
		c->moved += info->n_added;
	if (c->trusted)
		return;
	hold(c, evbuffer_get_length(input));
	if (c->guard->strangers > GUARD_STRANGERS_MAX)
		doom_largest(c->guard);
}

/* evhttp answers a request that it cannot parse by itself: learn of it here, for the log and so
 * that the answer has a deadline. "100 Continue" is no answer. */
static void
note_own_answer(struct conn *c, struct evbuffer *output)
{
	char line[13] = ""; /* "HTTP/1.1 400" and a NUL */
	int status;

	if (evbuffer_copyout(output, line, sizeof line - 1) < (ssize_t)sizeof line - 1)
		return;
	status = (int)strtol(line + sizeof "HTTP/1.1", NULL, 10);
	if (status < 200)
		return;
	enter(c, CONN_WRITING);
	c->over = true;
	if (!c->told)
		c->guard->o.refused(c->address, status, "not a request that can be read", c->guard->o.arg);
}

static void
on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if ((c->state == CONN_READING || c->state == CONN_IDLE) && info->n_added > 0)
		note_own_answer(c, output);
	else if (c->state == CONN_WRITING)
		c->moved += info->n_deleted;
	/* After some of its refusals (CONNECT) evhttp goes on reading. What stands there already is
	 * read in a later turn than the timer's. */
	if (c->over && info->n_deleted > 0 && evbuffer_get_length(output) == 0) {
		c->doomed = true;
		event_active(c->timer, EV_TIMEOUT, 1);
	}
}

/* Closing. */

/* Free what is ours; evhttp frees the rest or has done so. */
static void
forget(struct conn *c)
{
	struct guard *g = c->guard;

	hold(c, 0);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else if (g->first == c)
		g->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->bev != NULL) {
		(void)evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c);
		(void)evbuffer_remove_cb(bufferevent_get_output(c->bev), on_output, c);
		if (!c->admitted)
			bufferevent_decref(c->bev);
	}
	if (c->hangup != NULL)
		event_free(c->hangup);
	if (c->timer != NULL)
		event_free(c->timer);
	free(c);
}

/* A handshake that did not succeed: evhttp has only heard that the connection is over. One that
 * was never begun (somebody looked whether the port is open) is not worth a line. */
static void
tell_handshake(struct conn *c)
{
	char why[TLS_WHY_MAX];

	if (!c->told && c->guard->o.tls != NULL && tls_failed(c->bev, why))
		c->guard->o.refused(c->address, 0, why, c->guard->o.arg);
}

static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	struct conn *c = arg;

	(void)evcon;
	tell_handshake(c);
	c->guard->o.closed(c, c->guard->o.arg);
	forget(c);
}

/* c is gone afterwards. */
static void
drop(struct conn *c)
{
	assert(c->admitted);
	c->told = true;
	bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
}

/* Admission. */

/* Numeric text of an address; for IPv6 on IPv4 sockets the IPv4 form. */
static void
address_text(const struct sockaddr_storage *ss, char out[GUARD_ADDRESS_MAX])
{
	const struct sockaddr_in *v4 = (const void *)ss;
	const struct sockaddr_in6 *v6 = (const void *)ss;

	(void)snprintf(out, GUARD_ADDRESS_MAX, "?");
	if (ss->ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &v4->sin_addr, out, GUARD_ADDRESS_MAX);
	else if (ss->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		(void)inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out, GUARD_ADDRESS_MAX);
	else if (ss->ss_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, out, GUARD_ADDRESS_MAX);
}

static void
place_of(const struct sockaddr_storage *ss, unsigned char place[17])
{
	const struct sockaddr_in *v4 = (const void *)ss;
	const struct sockaddr_in6 *v6 = (const void *)ss;

	memset(place, 0, 17);
	if (ss->ss_family == AF_INET) {
		place[0] = 4;
		memcpy(place + 1, &v4->sin_addr, 4);
	} else if (ss->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		place[0] = 4;
		memcpy(place + 1, &v6->sin6_addr.s6_addr[12], 4);
	} else if (ss->ss_family == AF_INET6) {
		place[0] = 6;
		memcpy(place + 1, &v6->sin6_addr, V6_NETWORK_BYTES);
	}
}

static void
look_at_socket(struct conn *c)
{
	evutil_socket_t fd = bufferevent_getfd(c->bev);
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof ss;
	int on = 1;

	/* An answer is one write: nothing to wait for (Nagle's delay is 40 ms and more). */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (getpeername(fd, (struct sockaddr *)&ss, &len) != 0)
		memset(&ss, 0, sizeof ss);
	address_text(&ss, c->address);
	place_of(&ss, c->place);
	len = sizeof ss;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		memset(&ss, 0, sizeof ss);
	address_text(&ss, c->local);
}

static bool
same_place(const struct conn *a, const struct conn *b)
{
	return memcmp(a->place, b->place, sizeof a->place) == 0;
}

static bool
has_waited_longer(const struct conn *c, const struct conn *than)
{
	return than == NULL || c->since_ms < than->since_ms;
}

/* Room for c beside those admitted before. If there is none, the stranger who has waited longest goes
 * (of c's place, where that is what is full): a caller with a key says so at once and stays, so a
 * crowd of silent ones keeps nobody out. NULL in *goes: nobody has to. False: all that are here have
 * shown a key or are being answered. */
static bool
make_room(const struct conn *c, struct conn **goes)
{
	struct conn *any = NULL, *near = NULL;
	size_t all = 0, same = 0;

	*goes = NULL;
	for (struct conn *i = c->guard->first; i != NULL; i = i->next) {
		bool stranger = !i->trusted && !i->doomed && i->state == CONN_READING;

		if (i == c || !i->admitted)
			continue;
		all++;
		if (stranger && has_waited_longer(i, any))
			any = i;
		if (!same_place(i, c))
			continue;
		same++;
		if (stranger && has_waited_longer(i, near))
			near = i;
	}
	if (same >= GUARD_CONNS_PER_PLACE)
		*goes = near;
	else if (all >= GUARD_CONNS_MAX)
		*goes = any;
	else
		return true;
	return *goes != NULL;
}

static void
refuse_for_room(struct conn *c)
{
	c->guard->o.refused(c->address, 0, "too many connections", c->guard->o.arg);
	drop(c);
}

static void
admit(struct conn *c)
{
	bufferevent_event_cb event_cb = NULL;
	struct conn *goes;
	void *evcon = NULL;
	bool room;

	bufferevent_getcb(c->bev, NULL, NULL, &event_cb, &evcon);
	if (event_cb == NULL) { /* evhttp has let go of it already */
		forget(c);
		return;
	}
	assert(evhttp_connection_get_bufferevent(evcon) == c->bev);
	look_at_socket(c);
	room = make_room(c, &goes);
	evhttp_connection_set_closecb(evcon, on_close, c);
	c->admitted = true;
	bufferevent_decref(c->bev);
	enter(c, CONN_READING);
	if (!room)
		refuse_for_room(c);
	else if (goes != NULL)
		refuse_for_room(goes);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	static const char *const why[] = { [CONN_FRESH] = "", [CONN_READING] = "request not complete in time",
		[CONN_WORKING] = "", [CONN_WRITING] = "answer not taken in time", [CONN_IDLE] = NULL };
	struct conn *c = arg;
	int64_t now_ms = clock_mono_ms();

	(void)fd;
	(void)what;
	if (c->state == CONN_FRESH) {
		admit(c);
		return;
	}
	if (c->state == CONN_WORKING)
		return;
	if (!c->doomed && now_ms < deadline_ms(c)) { /* bytes have moved meanwhile */
		arm(c, now_ms);
		return;
	}
	if (c->doomed && !c->over && !c->told)
		c->guard->o.refused(c->address, 0, "too many bytes waiting", c->guard->o.arg);
	else if (!c->doomed && c->guard->o.tls != NULL && !tls_stands(c->bev))
		c->guard->o.refused(c->address, 0, "TLS handshake not finished in time", c->guard->o.arg);
	else if (!c->doomed && !c->over && why[c->state] != NULL && (c->moved > 0 || c->state == CONN_WRITING))
		c->guard->o.refused(c->address, 0, why[c->state], c->guard->o.arg);
	drop(c);
}

/* evhttp's callback: the bufferevent for a connection that it has just accepted. NULL makes it
 * use one of its own; the server turns the requests of such a connection away. Without
 * BEV_OPT_CLOSE_ON_FREE evhttp closes the socket itself, at once; that of TLS is closed with the
 * bufferevent, in the next turn of the loop. */
static struct bufferevent *
on_accept(struct event_base *base, void *arg)
{
	struct guard *g = arg;
	struct conn *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->guard = g;
	c->timer = evtimer_new(base, on_timer, c);
	if (c->timer != NULL)
		c->bev = g->o.tls != NULL ? tls_door_open(g->o.tls, base) : bufferevent_socket_new(base, -1, 0);
	if (c->bev == NULL)
		goto fail;
	/* Ours until admitted, so that it outlives evhttp's giving up in between. */
	bufferevent_incref(c->bev);
	if (evbuffer_add_cb(bufferevent_get_input(c->bev), on_input, c) == NULL ||
	    evbuffer_add_cb(bufferevent_get_output(c->bev), on_output, c) == NULL) {
		bufferevent_free(c->bev);
		goto fail;
	}
	/* While an answer is written evhttp keeps reading; this bounds what it may pile up. */
	bufferevent_setwatermark(c->bev, EV_READ, 0, g->o.body_max + READ_SLACK);
	c->next = g->first;
	if (g->first != NULL)
		g->first->prev = c;
	g->first = c;
	event_active(c->timer, EV_TIMEOUT, 1);
	return c->bev;
fail:
	forget(c);
	return NULL;
}

bool
guard_new(const struct guard_options *o, struct guard **out, struct err *e)
{
	struct guard *g = calloc(1, sizeof *g);

	*out = NULL;
	if (g == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the connection guard");
	g->o = *o;
	if (g->o.grace_ms == 0)
		g->o.grace_ms = GUARD_GRACE_MS;
	if (g->o.idle_ms == 0)
		g->o.idle_ms = GUARD_IDLE_MS;
	evhttp_set_bevcb(o->http, on_accept, g);
	*out = g;
	return true;
}

void
guard_free(struct guard *g)
{
	if (g == NULL)
		return;
	while (g->first != NULL) { /* accepted in the last turn of the loop, never admitted */
		assert(!g->first->admitted);
		forget(g->first);
	}
	free(g);
}

struct conn *
guard_find(const struct guard *g, struct evhttp_request *req)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	struct conn *c = g->first;

	while (c != NULL && c->bev != bev)
		c = c->next;
	return c != NULL && c->admitted ? c : NULL;
}

void
guard_close_quiet(struct guard *g)
{
	struct conn *next;

	for (struct conn *c = g->first; c != NULL; c = next) {
		next = c->next;
		if (c->admitted && (c->state == CONN_IDLE || c->state == CONN_READING))
			drop(c);
	}
}

/* Work. */

void
conn_working(struct conn *c, struct request *r)
{
	c->request = r;
	hold(c, 0); /* evhttp has moved the bytes into the request */
	enter(c, CONN_WORKING);
}

/* Something happened on the socket: the end, a reset, or only more bytes, which can wait. */
static void
on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	(void)what;
	if (poll(&p, 1, 0) > 0 && p.revents != 0)
		drop(arg);
}

/* evhttp does not read while a request is worked on, and must not: more input in that state ends
 * the program. So watch the socket without reading; edge-triggered, since bytes that nobody reads
 * would wake us without end, and for reading too, since libevent reports a reset as that. Where the
 * system cannot do this, the end is noticed when the answer is written. */
void
conn_watch(struct conn *c)
{
	const int need = EV_FEATURE_EARLY_CLOSE | EV_FEATURE_ET;
	struct event_base *base = c->guard->o.base;

	if (c->hangup != NULL || (event_base_get_features(base) & need) != need)
		return;
	c->hangup = event_new(base, bufferevent_getfd(c->bev), EV_READ | EV_CLOSED | EV_ET | EV_PERSIST,
	    on_hangup, c);
	if (c->hangup != NULL)
		(void)event_add(c->hangup, NULL);
}

static void
on_sent(struct evhttp_request *req, void *arg)
{
	struct conn *c = arg;
	size_t waiting = evbuffer_get_length(bufferevent_get_input(c->bev));

	(void)req;
	enter(c, waiting > 0 ? CONN_READING : CONN_IDLE);
	c->moved = waiting;
}

void
conn_writing(struct conn *c, struct evhttp_request *req)
{
	c->request = NULL;
	enter(c, CONN_WRITING);
	evhttp_request_set_on_complete_cb(req, on_sent, c);
}

void
conn_trust(struct conn *c)
{
	c->trusted = true;
	hold(c, 0);
}

bool
conn_proves(const struct conn *c, const char *pin)
{
	char shown[TLS_PIN_LEN + 1];

	return c->guard->o.tls == NULL || (tls_shown(c->bev, shown) && strcmp(shown, pin) == 0);
}
