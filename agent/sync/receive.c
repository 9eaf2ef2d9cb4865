/* Receiving. Lives here: the requests of peers, and which worker has which. Not here: what a call does (sync/handle,
 * sync/inspect), what lies here to be fetched (net/shelf), sessions and signatures (net/server). */
#include "sync/receive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/count.h"
#include "base/log.h"
#include "base/process.h"
#include "net/shelf.h"
#include "sync/handle.h"
#include "sync/inspect.h"
#include "sync/land.h"
#include "wire/parcel.h"

enum {
	TRIM_ABOVE_BYTES = 1024 * 1024 /* compressed; smaller groups leave nothing worth giving back */
};

static const char type_lines[] = "application/x-tandem";

/* The group that a peer is sending. */
struct inbox {
	char peer[CONF_NAME_MAX + 1];
	struct gathering pieces;
};

/* Contents of upload folders. What is brought is answered as soon as it lies here whole and what was brought before is
 * done: while a body is written the next one comes in and is checked, and no more than that one waits. What went wrong is
 * told with the session's next call; there is one, since whoever brings contents asks afterwards what is still missing. */
struct lane {
	struct task *ahead; /* answered, not done */
	struct task *next;  /* is answered when that one is done */
	char session[SIGN_SESSION_MAX]; /* in which something went wrong: */
	struct err failed;
};

struct receive {
	const struct conf *conf;
	struct handler apply_handler, hello_handler, rehearse_handler, files_handler;
	struct jobs *apply_jobs, *hello_jobs, *rehearse_jobs, *files_jobs;
	struct landing *landing; /* of the files worker */
	struct lane lane;
	struct inspect *inspect;
	struct shelves *shelves;
	struct inbox *inboxes; /* one a peer */
	struct inbox *rehearsals; /* the same, of groups that are only judged */
	size_t ninboxes;
};

/* One request being worked on. */
struct task {
	struct receive *receive;
	struct request *request;
	char peer[CONF_NAME_MAX + 1];
	struct spool *spool;
	struct hello hello;
	char session[SIGN_SESSION_MAX]; /* that a hello hands out */
	struct buf answer;
	int status;
	bool ok;
	struct err e;
};

static void
name_inbox(struct inbox *in, const struct conf *conf, const char *peer)
{
	(void)snprintf(in->peer, sizeof in->peer, "%s", peer);
	in->pieces.directory = conf->node.state_dir;
}

bool
receive_new(const struct conf *conf, struct receive **out, struct err *e)
{
	struct receive *r = calloc(1, sizeof *r);

	*out = NULL;
	if (r == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for receiving");
	r->conf = r->apply_handler.conf = r->hello_handler.conf = r->rehearse_handler.conf = r->files_handler.conf = conf;
	r->inboxes = calloc(conf->npeers + 1, sizeof *r->inboxes);
	r->rehearsals = calloc(conf->npeers + 1, sizeof *r->rehearsals);
	if (r->inboxes == NULL || r->rehearsals == NULL || !jobs_new("apply", &r->apply_handler, &r->apply_jobs, e) || !jobs_new("hello", &r->hello_handler, &r->hello_jobs, e) ||
	    !jobs_new("rehearse", &r->rehearse_handler, &r->rehearse_jobs, e) ||
	    !landing_new(conf, &r->landing, e) || !jobs_new("files", r, &r->files_jobs, e) || !inspect_new(conf, &r->inspect, e) || !shelves_new(conf, &r->shelves, e)) {
		receive_free(r);
		return r != NULL && e->code != ERR_NONE ? false : err_set(e, ERR_MEMORY, "out of memory for receiving");
	}
	for (; r->ninboxes < conf->npeers; r->ninboxes++) {
		name_inbox(&r->inboxes[r->ninboxes], conf, conf->peers[r->ninboxes].name);
		name_inbox(&r->rehearsals[r->ninboxes], conf, conf->peers[r->ninboxes].name);
	}
	*out = r;
	return true;
}

void
receive_free(struct receive *r)
{
	if (r == NULL)
		return;
	jobs_free(r->apply_jobs);
	jobs_free(r->hello_jobs);
	jobs_free(r->rehearse_jobs);
	jobs_free(r->files_jobs);
	landing_free(r->landing);
	inspect_free(r->inspect);
	shelves_free(r->shelves);
	handler_disconnect(&r->apply_handler);
	handler_disconnect(&r->hello_handler);
	handler_disconnect(&r->rehearse_handler);
	handler_disconnect(&r->files_handler);
	for (size_t i = 0; i < r->ninboxes; i++) {
		gather_free(&r->inboxes[i].pieces);
		gather_free(&r->rehearsals[i].pieces);
	}
	free(r->inboxes);
	free(r->rehearsals);
	free(r);
}

void
receive_fds(const struct receive *r, int fds[RECEIVE_FDS])
{
	fds[0] = jobs_fd(r->apply_jobs);
	fds[1] = jobs_fd(r->hello_jobs);
	fds[2] = inspect_fd(r->inspect);
	fds[3] = jobs_fd(r->rehearse_jobs);
	fds[4] = shelves_fd(r->shelves);
	fds[5] = jobs_fd(r->files_jobs);
}

void
receive_finish(struct receive *r)
{
	jobs_finish(r->apply_jobs);
	jobs_finish(r->hello_jobs);
	jobs_finish(r->rehearse_jobs);
	jobs_finish(r->files_jobs);
	inspect_finish(r->inspect);
	shelves_turn(r->shelves);
}

bool
receive_is_busy(const struct receive *r)
{
	return jobs_pending(r->apply_jobs) > 0;
}

struct shelves *
receive_shelves(struct receive *r)
{
	return r->shelves;
}

struct shelf *
receive_shelf(struct receive *r, const char *peer)
{
	return shelves_of(r->shelves, peer);
}

void
receive_stop_waiting(struct receive *r)
{
	shelves_close(r->shelves);
}

/* --- tasks --- */

static struct task *
task_new(struct receive *r, struct request *request)
{
	struct task *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->receive = r;
	t->request = request;
	(void)snprintf(t->peer, sizeof t->peer, "%s", request_peer(request));
	buf_init(&t->answer, MESSAGE_ANSWER_MAX);
	return t;
}

static void
task_free(struct task *t)
{
	spool_free(t->spool);
	buf_free(&t->answer);
	free(t);
}

/* Back on the loop's thread: answer the peer. */
static void
task_done(void *job)
{
	struct task *t = job;
	bool large = t->spool != NULL && spool_size(t->spool) > TRIM_ABOVE_BYTES;

	if (!t->ok) {
		const char *code;
		int status = handle_failure(&t->e, &code);

		if (t->e.code == ERR_NONE)
			(void)err_set(&t->e, ERR_STOPPED, "stopping");
		count_add(COUNT_RECEIVING_FAILED, t->peer, err_word(t->e.code));
		log_warning(t->peer, "Sync refused with %d %s: %s", status, code, t->e.msg);
		request_fail(t->request, status, code, "%s", t->e.msg);
	} else
		request_reply(t->request, t->status, type_lines, buf_cstr(&t->answer), t->answer.len);
	task_free(t);
	if (large)
		process_trim_memory();
}

/* A paused peer is told to come again later; nothing of it is touched. */
static bool
is_paused(struct receive *r, struct request *request)
{
	const struct conf_peer *peer = conf_peer(r->conf, request_peer(request));

	if (peer == NULL || !peer->paused)
		return false;
	request_fail(request, 503, "paused", "this link is paused here ([peer %s] paused)", peer->name);
	return true;
}

static bool
submit(struct jobs *jobs, job_run *run, job_done *done, struct task *t)
{
	if (jobs_put(jobs, run, done, t))
		return true;
	request_fail(t->request, 503, "busy", "too many requests are waiting");
	task_free(t);
	return false;
}

/* --- hello --- */

static void
run_hello(void *job, void *worker)
{
	struct task *t = job;
	const struct greeting g = { t->peer, &t->hello, t->session };

	t->ok = handle_hello(worker, &g, &t->status, &t->answer, &t->e);
}

void
receive_hello(struct request *request, void *arg)
{
	struct receive *r = arg;
	struct turned_away no;
	struct task *t;
	const char *body;
	size_t len;

	if (is_paused(r, request))
		return;
	t = task_new(r, request);
	if (t == NULL) {
		request_fail(request, 503, "memory", "out of memory");
		return;
	}
	body = request_body(request, &len);
	if (!handle_read_hello(body, len, t->peer, &t->hello, &no)) {
		request_fail(request, no.status, no.code, "%s", no.text);
		task_free(t);
		return;
	}
	request_new_session(request, t->hello.nonce, t->session);
	(void)submit(r->hello_jobs, run_hello, task_done, t);
}

/* --- groups --- */

static void
run_apply(void *job, void *worker)
{
	struct task *t = job;

	t->ok = handle_group(worker, t->peer, t->spool, &t->status, &t->answer, &t->e);
}

static void
run_rehearse(void *job, void *worker)
{
	struct task *t = job;

	t->ok = handle_rehearsal(worker, t->peer, t->spool, &t->status, &t->answer, &t->e);
}

static struct inbox *
inbox_of(const struct receive *r, struct inbox *inboxes, const char *peer)
{
	for (size_t i = 0; i < r->ninboxes; i++)
		if (strcmp(inboxes[i].peer, peer) == 0)
			return &inboxes[i];
	return NULL;
}

static void
hand_over(struct receive *r, struct inbox *in, struct request *request)
{
	struct task *t = task_new(r, request);

	if (t == NULL) {
		request_fail(request, 503, "memory", "out of memory");
		return;
	}
	t->spool = in->pieces.spool;
	in->pieces.spool = NULL;
	if (in >= r->rehearsals && in < r->rehearsals + r->ninboxes)
		(void)submit(r->rehearse_jobs, run_rehearse, task_done, t);
	else
		(void)submit(r->apply_jobs, run_apply, task_done, t);
}

static void
take_group(struct receive *r, struct inbox *in, struct request *request)
{
	enum gathered got = GATHERED_MORE;
	struct err e = { 0 };
	size_t len;
	const void *body = request_body(request, &len);

	if (is_paused(r, request))
		return;
	if (in == NULL)
		request_fail(request, 403, "identity", "no such peer");
	else if (!gather_piece(&in->pieces, request_session(request), body, len, &got, &e))
		request_fail(request, e.code == ERR_INPUT ? 400 : 503, "piece", "%s", e.msg);
	else if (got == GATHERED_MISSING)
		request_fail(request, 409, "piece", "earlier pieces of this group are not here: send it from the beginning");
	else if (got == GATHERED_WHOLE)
		hand_over(r, in, request);
	else
		request_reply(request, 200, "application/json", "{\"more\":true}\n", 14);
}

void
receive_group(struct request *request, void *arg)
{
	struct receive *r = arg;

	take_group(r, inbox_of(r, r->inboxes, request_peer(request)), request);
}

void
receive_rehearsal(struct request *request, void *arg)
{
	struct receive *r = arg;

	take_group(r, inbox_of(r, r->rehearsals, request_peer(request)), request);
}

/* --- contents of upload folders --- */

static void
run_files(void *job, void *worker)
{
	struct receive *r = worker;
	struct task *t = job;
	const char *body;
	size_t len;

	body = request_body(t->request, &len);
	t->status = 200;
	t->ok = handler_connect(&r->files_handler, &t->e) && landing_take(r->landing, r->files_handler.db, body, len, &t->answer, &t->e);
}

static void
answer_ahead(struct lane *lane, struct task *t)
{
	struct buf ready;

	buf_init(&ready, PARCEL_LINE_MAX);
	parcel_put_answer(&ready, &(struct parcel_answer){ .state = PARCEL_READY });
	request_reply_ahead(t->request, 200, type_lines, buf_cstr(&ready), ready.len);
	buf_free(&ready);
	lane->ahead = t;
}

/* What went wrong after the answer. */
static bool
tell_failure(struct lane *lane, struct request *request)
{
	const char *code;
	int status;

	if (lane->failed.code == ERR_NONE || strcmp(lane->session, request_session(request)) != 0)
		return false;
	status = handle_failure(&lane->failed, &code);
	request_fail(request, status, code, "%s", lane->failed.msg);
	err_clear(&lane->failed);
	return true;
}

static void
files_done(void *job)
{
	struct task *t = job;
	struct lane *lane = &t->receive->lane;
	struct task *next = lane->next;
	bool ahead = t == lane->ahead;

	if (ahead && !t->ok) {
		lane->failed = t->e;
		(void)snprintf(lane->session, sizeof lane->session, "%s", request_session(t->request));
	}
	if (ahead) {
		lane->ahead = lane->next = NULL;
		if (next != NULL)
			answer_ahead(lane, next);
	}
	if (!ahead && tell_failure(lane, t->request)) /* it came while that was in work */
		task_free(t);
	else
		task_done(t);
}

void
receive_files(struct request *request, void *arg)
{
	struct receive *r = arg;
	struct task *t;
	const char *body;
	size_t len;

	if (is_paused(r, request) || tell_failure(&r->lane, request))
		return;
	t = task_new(r, request);
	if (t == NULL) {
		request_fail(request, 503, "memory", "out of memory");
		return;
	}
	body = request_body(request, &len);
	if (!submit(r->files_jobs, run_files, files_done, t) || !landing_is_put(body, len))
		return;
	if (r->lane.ahead == NULL)
		answer_ahead(&r->lane, t);
	else if (r->lane.next == NULL)
		r->lane.next = t;
}

/* --- comparing --- */

void
receive_verify(struct request *request, void *arg)
{
	struct receive *r = arg;

	if (!is_paused(r, request))
		inspect_take(r->inspect, request);
}

/* --- what lies here for a peer --- */

/* NULL: the request has been answered. */
static struct shelf *
shelf_for(struct receive *r, struct request *request)
{
	struct shelf *s;

	if (is_paused(r, request))
		return NULL;
	s = shelves_of(r->shelves, request_peer(request));
	if (s == NULL)
		request_fail(request, 403, "identity", "no such peer");
	return s;
}

void
receive_download(struct request *request, void *arg)
{
	struct shelf *s = shelf_for(arg, request);

	if (s != NULL)
		shelf_download(s, request);
}

void
receive_acknowledge(struct request *request, void *arg)
{
	struct shelf *s = shelf_for(arg, request);

	if (s != NULL)
		shelf_acknowledge(s, request);
}
