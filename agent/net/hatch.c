/* The hatch. Lives here: the socket, who may connect, the frames of a guest's wishes and of what came of them. Not here: what
 * lies on a shelf and when it is fetched (net/shelf), what is asked (sync/).
 *
 * Both ends are the same program on the same laptop, so a frame is a struct as it lies in memory, and its first number says
 * which struct that is. */
#include "config.h"

#include "net/hatch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/client.h"

enum {
	FRAME_MAGIC = 0x544e4801, /* raised with every change of struct frame */
	GUESTS_MAX = 8,
	LOOK_MS = 50,	 /* how often whoever waits looks at the stop flag */
	VISIT_MS = 100,	 /* how often a guest looks whether the peer has come */
	TEXT_MAX = ERR_MSG_MAX
};

enum frame_kind { FRAME_COME, FRAME_VISIT, FRAME_CALL, FRAME_ANSWER, FRAME_FAILURE };

/* Followed by its text (a peer, a path, an error) and its body. */
struct frame {
	uint32_t magic, kind;
	int32_t status;
	uint32_t gone;
	int64_t timeout_ms;
	uint64_t visit;
	uint64_t text_len, body_len;
	char session[SIGN_SESSION_MAX];
};

/* --- frames --- */

static bool
stopped(const atomic_bool *stop)
{
	return stop != NULL && atomic_load(stop);
}

/* Wait until the socket may be read (POLLIN) or written (POLLOUT). False: asked to stop, or it is broken. */
static bool
await(int fd, short what, const atomic_bool *stop)
{
	struct pollfd p = { .fd = fd, .events = what };

	while (!stopped(stop)) {
		int n = poll(&p, 1, LOOK_MS);

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
	return false;
}

static bool
put_bytes(int fd, const void *data, size_t len, const atomic_bool *stop)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = await(fd, POLLOUT, stop) ? send(fd, at, len, MSG_NOSIGNAL) : -1;

		if (n < 0 && (errno == EINTR || errno == EAGAIN) && !stopped(stop))
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
get_bytes(int fd, void *data, size_t len, const atomic_bool *stop)
{
	char *at = data;

	while (len > 0) {
		ssize_t n = await(fd, POLLIN, stop) ? recv(fd, at, len, 0) : -1;

		if (n < 0 && (errno == EINTR || errno == EAGAIN) && !stopped(stop))
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
put_frame(int fd, struct frame *f, const char *text, const void *body, const atomic_bool *stop)
{
	f->magic = FRAME_MAGIC;
	f->text_len = strlen(text);
	return put_bytes(fd, f, sizeof *f, stop) && put_bytes(fd, text, f->text_len, stop) && put_bytes(fd, body, f->body_len, stop);
}

/* text: TEXT_MAX bytes. */
static bool
get_frame(int fd, struct frame *f, char *text, struct buf *body, const atomic_bool *stop)
{
	char *room;

	buf_reset(body);
	if (!get_bytes(fd, f, sizeof *f, stop) || f->magic != FRAME_MAGIC || f->text_len >= TEXT_MAX || !get_bytes(fd, text, f->text_len, stop))
		return false;
	text[f->text_len] = '\0';
	f->session[sizeof f->session - 1] = '\0';
	if (f->body_len == 0)
		return true;
	if (f->body_len > CLIENT_ANSWER_MAX || (room = buf_room(body, f->body_len)) == NULL || !get_bytes(fd, room, f->body_len, stop))
		return false;
	body->len = f->body_len;
	return true;
}

/* --- the socket --- */

static bool
put_address(const struct conf *conf, struct sockaddr_un *to)
{
	memset(to, 0, sizeof *to);
	to->sun_family = AF_UNIX;
	return (size_t)snprintf(to->sun_path, sizeof to->sun_path, "%s/serve.sock", conf->node.state_dir) < sizeof to->sun_path;
}

static int
new_socket(int flags)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

/* Is it this user, or root? (The socket's mode says the same; this one cannot be set wrongly.) */
static bool
is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof who;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == geteuid() || who.uid == 0);
}

/* --- the daemon --- */

enum seat_state { SEAT_FREE, SEAT_TAKEN, SEAT_LEFT };

struct seat {
	struct hatch *hatch;
	int fd;
	pthread_t thread;
	atomic_int state; /* enum seat_state */
};

struct hatch {
	struct shelves *all;
	const atomic_bool *stop;
	int fd;
	char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
	pthread_t thread;
	struct seat seats[GUESTS_MAX];
};

static bool
answer_visit(const struct seat *seat, struct shelf *s)
{
	struct frame f = { .kind = FRAME_ANSWER };

	f.visit = shelf_visit(s, f.session);
	return put_frame(seat->fd, &f, "", "", seat->hatch->stop);
}

static bool
answer_call(const struct seat *seat, struct shelf *s, const struct frame *asked, const char *path, const struct buf *body)
{
	const struct shelf_call call = { .session = asked->session, .path = path, .body = body->data, .len = body->len, .timeout_ms = asked->timeout_ms,
		.stop = seat->hatch->stop };
	struct frame f = { .kind = FRAME_ANSWER };
	struct err e = { 0 };
	struct buf answer;
	bool gone = false, ok;
	int status = 0;

	buf_init(&answer, CLIENT_ANSWER_MAX);
	if (!shelf_call(s, &call, &status, &answer, &gone, &e)) {
		f.kind = FRAME_FAILURE;
		buf_reset(&answer);
	}
	f.status = status;
	f.gone = gone;
	f.body_len = answer.len;
	ok = put_frame(seat->fd, &f, e.msg, answer.data, seat->hatch->stop);
	buf_free(&answer);
	return ok;
}

/* The guest says for which peer it has come, and then what it wants, until it goes. */
static void
attend(const struct seat *seat)
{
	const atomic_bool *stop = seat->hatch->stop;
	struct frame asked, no = { .kind = FRAME_FAILURE };
	struct shelf *s = NULL;
	char text[TEXT_MAX];
	struct buf body;
	struct err e;
	bool ok;

	buf_init(&body, CLIENT_ANSWER_MAX);
	if (get_frame(seat->fd, &asked, text, &body, stop) && asked.kind == FRAME_COME)
		s = shelves_of(seat->hatch->all, text);
	if (s == NULL) {
		(void)err_set(&e, ERR_PEER, "the daemon has no such peer: agent.conf has changed since it was read (agent --reload)");
		(void)put_frame(seat->fd, &no, e.msg, "", stop);
	} else {
		shelf_guest(s, true);
		ok = answer_visit(seat, s);
		while (ok && get_frame(seat->fd, &asked, text, &body, stop))
			ok = asked.kind == FRAME_CALL ? answer_call(seat, s, &asked, text, &body) : answer_visit(seat, s);
		shelf_guest(s, false);
	}
	buf_free(&body);
}

static void *
seat_main(void *arg)
{
	struct seat *seat = arg;

	attend(seat);
	(void)close(seat->fd);
	atomic_store(&seat->state, SEAT_LEFT);
	return NULL;
}

/* Those who left make room. */
static struct seat *
find_seat(struct hatch *h)
{
	struct seat *free_one = NULL;

	for (size_t i = 0; i < GUESTS_MAX; i++) {
		struct seat *seat = &h->seats[i];

		if (atomic_load(&seat->state) == SEAT_LEFT) {
			(void)pthread_join(seat->thread, NULL);
			atomic_store(&seat->state, SEAT_FREE);
		}
		if (atomic_load(&seat->state) == SEAT_FREE)
			free_one = seat;
	}
	return free_one;
}

static void
take_guest(struct hatch *h, int fd)
{
	struct seat *seat = is_ours(fd) ? find_seat(h) : NULL;

	if (seat == NULL) {
		(void)close(fd);
		return;
	}
	seat->hatch = h;
	seat->fd = fd;
	atomic_store(&seat->state, SEAT_TAKEN);
	if (pthread_create(&seat->thread, NULL, seat_main, seat) == 0)
		return;
	(void)close(fd);
	atomic_store(&seat->state, SEAT_FREE);
}

static void *
hatch_main(void *arg)
{
	struct hatch *h = arg;

	while (await(h->fd, POLLIN, h->stop)) {
		int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			take_guest(h, fd);
		else
			clock_nap_ms(LOOK_MS); /* out of descriptors, or the guest has gone */
	}
	return NULL;
}

static bool
listen_at(struct hatch *h, const struct conf *conf)
{
	struct sockaddr_un at;

	if (!put_address(conf, &at)) {
		errno = ENAMETOOLONG;
		return false;
	}
	(void)snprintf(h->path, sizeof h->path, "%s", at.sun_path);
	h->fd = new_socket(SOCK_NONBLOCK); /* whoever knocked may have gone before accept */
	if (h->fd < 0)
		return false;
	(void)unlink(at.sun_path); /* of a daemon that was killed */
	/* The umask is 077 (base/process). */
	return bind(h->fd, (const struct sockaddr *)&at, sizeof at) == 0 && listen(h->fd, GUESTS_MAX) == 0;
}

void
hatch_open(const struct conf *conf, struct shelves *all, const atomic_bool *stop, struct hatch **out)
{
	struct hatch *h = *out = calloc(1, sizeof *h);

	if (h == NULL)
		return;
	h->all = all;
	h->stop = stop;
	h->fd = -1;
	for (size_t i = 0; i < GUESTS_MAX; i++)
		atomic_init(&h->seats[i].state, SEAT_FREE);
	if (listen_at(h, conf)) {
		errno = pthread_create(&h->thread, NULL, hatch_main, h);
		if (errno == 0)
			return;
		(void)unlink(h->path);
	}
	log_warning(NULL, "%s/serve.sock: %s; agent --verify, --startup and --drain --dry-run here cannot ask peers without a url", conf->node.state_dir, strerror(errno));
	if (h->fd >= 0)
		(void)close(h->fd);
	free(h);
	*out = NULL;
}

void
hatch_close(struct hatch *h)
{
	if (h == NULL)
		return;
	(void)pthread_join(h->thread, NULL);
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (atomic_load(&h->seats[i].state) != SEAT_FREE)
			(void)pthread_join(h->seats[i].thread, NULL);
	(void)unlink(h->path);
	(void)close(h->fd);
	free(h);
}

/* --- the other run --- */

struct guest {
	const struct conf_peer *peer;
	const atomic_bool *stop;
	int fd;
};

static bool
cut_off(const struct guest *g, struct err *e)
{
	if (stopped(g->stop))
		return err_set(e, ERR_STOPPED, "stopped while peer %s was fetching", g->peer->name);
	return err_set(e, ERR_PEER, "agent --serve here, which peer %s comes to, was stopped or has read agent.conf again: run the command once more", g->peer->name);
}

/* Send a frame and take what came of it. */
static bool
exchange(const struct guest *g, struct frame *f, const char *text, const void *body, struct buf *answer, struct err *e)
{
	char said[TEXT_MAX];

	if (!put_frame(g->fd, f, text, body, g->stop) || !get_frame(g->fd, f, said, answer, g->stop))
		return cut_off(g, e);
	return f->kind == FRAME_ANSWER || err_set(e, ERR_PEER, "%s", said);
}

static bool
look(const struct guest *g, uint32_t kind, char session[SIGN_SESSION_MAX], bool *came, struct err *e)
{
	struct frame f = { .kind = kind };
	struct buf none;
	bool ok;

	buf_init(&none, CLIENT_ANSWER_MAX);
	ok = exchange(g, &f, kind == FRAME_COME ? g->peer->name : "", "", &none, e);
	buf_free(&none);
	*came = ok && f.visit != 0;
	if (*came)
		memcpy(session, f.session, SIGN_SESSION_MAX);
	return ok;
}

bool
guest_new(const struct conf *conf, const struct conf_peer *peer, bool either, const atomic_bool *stop, struct guest **out, struct err *e)
{
	struct guest *g = *out = calloc(1, sizeof *g);
	char session[SIGN_SESSION_MAX];
	struct sockaddr_un to;
	bool came;

	if (g == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a connection");
	g->peer = peer;
	g->stop = stop;
	g->fd = new_socket(0);
	if (g->fd < 0 || !put_address(conf, &to) || connect(g->fd, (const struct sockaddr *)&to, sizeof to) != 0)
		(void)err_set(e, ERR_PEER, "peer %s has no url here: it comes itself, to agent --serve, which does not run here. Start it%s%s", peer->name,
		    either ? ", or run the same command at " : "", either ? peer->name : "");
	else if (look(g, FRAME_COME, session, &came, e))
		return true;
	guest_free(g);
	*out = NULL;
	return false;
}

void
guest_free(struct guest *g)
{
	if (g == NULL)
		return;
	if (g->fd >= 0)
		(void)close(g->fd);
	free(g);
}

bool
guest_wait(struct guest *g, int64_t ms, bool *came, char session[SIGN_SESSION_MAX], struct err *e)
{
	int64_t until = clock_mono_ms() + ms;

	for (;;) {
		if (!look(g, FRAME_VISIT, session, came, e))
			return false;
		if (*came || clock_mono_ms() >= until)
			return true;
		if (stopped(g->stop))
			return cut_off(g, e);
		clock_nap_ms(VISIT_MS);
	}
}

bool
guest_call(struct guest *g, const struct shelf_call *call, int *status, struct buf *answer, bool *gone, struct err *e)
{
	struct frame f = { .kind = FRAME_CALL, .timeout_ms = call->timeout_ms, .body_len = call->len };
	bool ok;

	(void)snprintf(f.session, sizeof f.session, "%s", call->session);
	ok = exchange(g, &f, call->path, call->body, answer, e);
	*status = f.status;
	*gone = !ok && f.kind == FRAME_FAILURE && f.gone;
	return ok;
}
