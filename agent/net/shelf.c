/* The shelf. Lives here: which request waits, which errand is out, who is woken when. Not here: the lines
 * (wire/errand), what is in an errand (sync/link), running one (sync/fetch).
 *
 * One errand is out at a time, for a peer's conversation is one question after the other. It is laid down, taken by the
 * request that waits, and answered in pieces. Whatever does not fit that order (a peer that comes again instead of
 * answering, another session) breaks it off: nothing is known of its fate then, and the next hello tells. */
#include "config.h"

#include "net/shelf.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/errand.h"
#include "wire/message.h"

enum {
	LOOK_MS = 50,	  /* how often a call that waits looks at the stop flag and the clock */
	RATE_MIN = 8192,  /* bytes a second of a connection that is only slow, as in net/client */
	NS_MS = 1000 * 1000,
	MS_S = 1000
};

static const char type_lines[] = "application/x-tandem";

enum errand_state { EMPTY, LAID, TAKEN, ANSWERED, BROKEN };

struct shelf {
	struct shelves *all;
	const char *peer; /* conf's */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_mutex_t calling; /* held by the thread whose call is under way; taken before lock */
	unsigned guests;
	void (*visited)(void *arg);
	void *visited_arg;
	/* the peer */
	char session[SIGN_SESSION_MAX]; /* in which it fetches; "" = never came */
	uint64_t wait_ms;
	bool once;
	struct request *waiting; /* touched by the loop alone; whether there is one, by all */
	uint64_t visit;		 /* number of the one that waits, or waited last */
	uint64_t looked;	 /* number of the last one that nothing was found for */
	int64_t came_ms;
	/* the errand */
	enum errand_state state;
	uint64_t number;
	const struct shelf_call *call; /* of the thread that waits in shelf_call, like answer */
	struct buf *answer;
	int status;
	uint64_t pieces;
	int64_t moved_ms; /* the peer's last sign */
};

struct shelves {
	struct shelf *items;
	size_t n;
	int pipe[2];
	bool closed; /* the loop's */
};

static void
wake_loop(const struct shelf *s)
{
	/* A full pipe means the loop is woken anyway. */
	if (write(s->all->pipe[1], "", 1) < 0)
		return;
}

bool
shelves_new(const struct conf *conf, struct shelves **out, struct err *e)
{
	struct shelves *all = calloc(1, sizeof *all);

	*out = NULL;
	if (all == NULL || (all->items = calloc(conf->npeers + 1, sizeof *all->items)) == NULL) {
		free(all);
		return err_set(e, ERR_MEMORY, "out of memory for the peers");
	}
	if (pipe2(all->pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
		(void)err_errno(e, ERR_IO, "errands");
		free(all->items);
		free(all);
		return false;
	}
	for (size_t i = 0; i < conf->npeers; i++) {
		struct shelf *s = &all->items[all->n++];

		s->all = all;
		s->peer = conf->peers[i].name;
		(void)pthread_mutex_init(&s->lock, NULL);
		(void)pthread_cond_init(&s->changed, NULL);
		(void)pthread_mutex_init(&s->calling, NULL);
	}
	*out = all;
	return true;
}

static void
put_bare(struct request *r, enum errand_kind kind)
{
	const struct errand x = { .kind = kind };
	struct buf out;

	buf_init(&out, ERRAND_LINE_MAX);
	errand_put(&out, &x);
	request_reply(r, 200, type_lines, buf_cstr(&out), out.len);
	buf_free(&out);
}

static void
dismiss(struct shelf *s, enum errand_kind kind)
{
	struct request *r = s->waiting;

	s->waiting = NULL;
	if (r != NULL)
		put_bare(r, kind);
}

void
shelves_free(struct shelves *all)
{
	if (all == NULL)
		return;
	for (size_t i = 0; i < all->n; i++) {
		dismiss(&all->items[i], ERRAND_LATER);
		(void)pthread_mutex_destroy(&all->items[i].lock);
		(void)pthread_cond_destroy(&all->items[i].changed);
		(void)pthread_mutex_destroy(&all->items[i].calling);
	}
	(void)close(all->pipe[0]);
	(void)close(all->pipe[1]);
	free(all->items);
	free(all);
}

struct shelf *
shelves_of(struct shelves *all, const char *peer)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->items[i].peer, peer) == 0)
			return &all->items[i];
	return NULL;
}

int
shelves_fd(const struct shelves *all)
{
	return all->pipe[0];
}

/* --- the loop's thread; each function holds the lock, or says so --- */

/* The errand that is out will have no answer that could be believed. */
static void
break_off(struct shelf *s)
{
	if (s->state == LAID || s->state == TAKEN)
		s->state = BROKEN;
	(void)pthread_cond_broadcast(&s->changed);
}

static void
hand_out(struct shelf *s)
{
	struct errand x = { .kind = ERRAND_CALL, .number = s->number };
	struct request *r = s->waiting;
	struct buf out;

	(void)snprintf(x.path, sizeof x.path, "%s", s->call->path);
	buf_init(&out, s->call->len + ERRAND_LINE_MAX);
	errand_put(&out, &x);
	buf_put(&out, s->call->body, s->call->len);
	s->waiting = NULL;
	s->state = TAKEN;
	s->moved_ms = clock_mono_ms();
	if (out.failed) {
		break_off(s);
		request_fail(r, 503, "memory", "out of memory");
	} else
		request_reply(r, 200, type_lines, out.data, out.len);
	buf_free(&out);
}

/* Give the peer that waits what there is for it by now. */
static void
turn(struct shelf *s)
{
	int64_t waited = clock_mono_ms() - s->came_ms;
	bool nothing = s->looked == s->visit && s->guests == 0;

	if (s->waiting == NULL)
		return;
	if (request_gone(s->waiting)) {
		dismiss(s, ERRAND_LATER); /* goes nowhere */
		break_off(s);
	} else if (s->state == LAID)
		hand_out(s);
	else if (s->all->closed || waited >= (int64_t)s->wait_ms)
		dismiss(s, nothing ? ERRAND_NOTHING : ERRAND_LATER);
	else if (s->once && nothing)
		dismiss(s, ERRAND_NOTHING);
}

void
shelves_turn(struct shelves *all)
{
	char drop[64];

	while (read(all->pipe[0], drop, sizeof drop) > 0)
		continue;
	for (size_t i = 0; i < all->n; i++) {
		(void)pthread_mutex_lock(&all->items[i].lock);
		turn(&all->items[i]);
		(void)pthread_mutex_unlock(&all->items[i].lock);
	}
}

void
shelves_close(struct shelves *all)
{
	all->closed = true;
	shelves_turn(all);
}

void
shelf_download(struct shelf *s, struct request *request)
{
	(void)pthread_mutex_lock(&s->lock);
	if (s->session[0] == '\0' || strcmp(s->session, request_session(request)) != 0) {
		(void)pthread_mutex_unlock(&s->lock);
		request_fail(request, 409, "errand", "this session does not fetch, or another one does now: say so first");
		return;
	}
	/* It comes again without an answer: the errand that it took is lost to it. */
	if (s->state == TAKEN)
		break_off(s);
	dismiss(s, ERRAND_LATER);
	s->waiting = request;
	s->visit++;
	s->came_ms = s->moved_ms = clock_mono_ms();
	turn(s);
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

static void
open_session(struct shelf *s, const char *session, const struct errand_reply *r)
{
	if (strcmp(s->session, session) != 0) {
		dismiss(s, ERRAND_LATER);
		break_off(s);
		(void)snprintf(s->session, sizeof s->session, "%s", session);
	}
	s->wait_ms = r->wait_ms;
	s->once = r->once;
}

/* A piece of the answer. False: it belongs to no errand that is out. */
static bool
take_piece(struct shelf *s, const char *session, const struct errand_reply *r, const char *data, size_t len)
{
	if (s->state != TAKEN || strcmp(s->session, session) != 0 || r->number != s->number || r->piece != s->pieces)
		return false;
	s->pieces++;
	s->moved_ms = clock_mono_ms();
	buf_put(s->answer, data, len);
	s->status = (int)r->status;
	if (r->last) {
		s->state = ANSWERED;
		(void)pthread_cond_broadcast(&s->changed);
	}
	return true;
}

void
shelf_acknowledge(struct shelf *s, struct request *request)
{
	struct errand_reply r;
	struct err e;
	size_t len, at;
	const char *body = request_body(request, &len);
	bool opened, taken;

	if (!errand_parse_reply(body, len, &r, &at, &e)) {
		request_fail(request, e.code == ERR_PEER_REFUSED ? 409 : 400, e.code == ERR_PEER_REFUSED ? "version" : "malformed", "%s", e.msg);
		return;
	}
	opened = r.kind == ERRAND_OPEN;
	(void)pthread_mutex_lock(&s->lock);
	if (opened)
		open_session(s, request_session(request), &r);
	taken = opened || take_piece(s, request_session(request), &r, body + at, len - at);
	(void)pthread_mutex_unlock(&s->lock);
	if (!taken) {
		request_fail(request, 409, "errand", "this belongs to no errand that is out");
		return;
	}
	request_reply(request, 200, "application/json", "{\"taken\":true}\n", 15);
	if (opened && s->visited != NULL)
		s->visited(s->visited_arg);
}

/* --- the threads that call --- */

void
shelf_on_visit(struct shelf *s, void (*visited)(void *arg), void *arg)
{
	s->visited = visited;
	s->visited_arg = arg;
}

uint64_t
shelf_visit(struct shelf *s, char session[SIGN_SESSION_MAX])
{
	uint64_t visit;

	(void)pthread_mutex_lock(&s->lock);
	visit = s->waiting == NULL ? 0 : s->visit;
	if (session != NULL)
		memcpy(session, s->session, SIGN_SESSION_MAX);
	(void)pthread_mutex_unlock(&s->lock);
	return visit;
}

void
shelf_nothing(struct shelf *s, uint64_t visit)
{
	bool news;

	(void)pthread_mutex_lock(&s->lock);
	news = visit > s->looked;
	if (news)
		s->looked = visit;
	news = news && s->once;
	(void)pthread_mutex_unlock(&s->lock);
	if (news)
		wake_loop(s);
}

void
shelf_guest(struct shelf *s, bool comes)
{
	(void)pthread_mutex_lock(&s->lock);
	s->guests = comes ? s->guests + 1 : s->guests - 1;
	(void)pthread_mutex_unlock(&s->lock);
	wake_loop(s);
}

static void
nap(struct shelf *s)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until); /* a jump of the clock ends the nap late or early, the loop around it looks again */
	until.tv_nsec += LOOK_MS * NS_MS;
	until.tv_sec += until.tv_nsec / (MS_S * NS_MS);
	until.tv_nsec %= MS_S * NS_MS;
	(void)pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Has the peer had its time? */
static bool
is_late(const struct shelf *s)
{
	int64_t most = s->call->timeout_ms + (s->state == TAKEN ? (int64_t)s->call->len * MS_S / RATE_MIN : 0);

	return clock_mono_ms() - s->moved_ms > most;
}

/* With the lock held. */
static bool
wait_for_answer(struct shelf *s, bool *gone, struct err *e)
{
	*gone = false;
	while (s->state == LAID || s->state == TAKEN) {
		if (s->call->stop != NULL && atomic_load(s->call->stop))
			return err_set(e, ERR_STOPPED, "stopped while peer %s was fetching", s->peer);
		*gone = strcmp(s->session, s->call->session) != 0;
		if (*gone || is_late(s))
			return err_set(e, ERR_PEER, "peer %s, which fetches what is here, %s", s->peer, *gone ? "began anew" : s->state == LAID ? "has not come for more" : "has not come back with an answer");
		nap(s);
	}
	*gone = s->state == BROKEN;
	if (*gone)
		return err_set(e, ERR_PEER, "peer %s, which fetches what is here, was cut off", s->peer);
	return buf_check(s->answer, "the answer of a peer", e);
}

bool
shelf_call(struct shelf *s, const struct shelf_call *call, int *status, struct buf *answer, bool *gone, struct err *e)
{
	bool ok;

	buf_reset(answer);
	(void)pthread_mutex_lock(&s->calling);
	(void)pthread_mutex_lock(&s->lock);
	s->call = call;
	s->answer = answer;
	s->number++;
	s->pieces = 0;
	s->status = 0;
	s->state = LAID;
	s->moved_ms = clock_mono_ms();
	wake_loop(s);
	ok = wait_for_answer(s, gone, e);
	*status = s->status;
	s->state = EMPTY;
	s->call = NULL;
	s->answer = NULL;
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_mutex_unlock(&s->calling);
	return ok;
}
