/* Receiving. Lives here: who is greeted how, gathering pieces, handing groups to the worker. Not here:
 * applying (apply/), sessions and signatures (net/server). */
#include "sync/receive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/apply.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "change/renewal.h"
#include "sync/inspect.h"
#include "sync/parting.h"
#include "wire/sign.h"

enum {
	WITNESS_PAUSE_MS = 1000, /* it costs more than a small group */
	TRIM_ABOVE_BYTES = 1024 * 1024 /* compressed; smaller groups leave nothing worth giving back */
};

static const char type_lines[] = "application/x-tandem";

/* A connection of a worker, with the identity read through it. */
struct worker {
	const struct conf *conf;
	struct db *db;
	struct node_identity node;
	struct applier *applier; /* of the applying worker only */
	int64_t witness_at;	 /* is the sync schema still this node's? not before */
};

/* The pieces of the group that a peer is sending. */
struct inbox {
	char peer[CONF_NAME_MAX + 1];
	char session[SIGN_SESSION_MAX];
	struct spool *spool;
	uint64_t pieces;
};

struct receive {
	const struct conf *conf;
	struct worker apply_worker, hello_worker, rehearse_worker;
	struct jobs *apply_jobs, *hello_jobs, *rehearse_jobs;
	struct inspect *inspect;
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
	struct welcome welcome;
	struct hello hello;
	struct buf answer;
	int status;
	bool ok;
	struct err e;
};

/* --- workers --- */

static void
worker_disconnect(struct worker *w)
{
	applier_free(w->applier);
	w->applier = NULL;
	db_close(w->db);
	w->db = NULL;
}

static bool
worker_connect(struct worker *w, struct err *e)
{
	if (w->db != NULL && !db_is_lost(w->db))
		return true;
	worker_disconnect(w);
	if (db_open(&w->conf->database, &w->db, e) && schema_enter(w->db, w->conf, &w->node, e) && witness_check(w->db, &w->node, e))
		return true;
	worker_disconnect(w);
	return false;
}

/* Run a step on a connection that may have died while idle: once more on a fresh one. */
typedef bool step_fn(struct worker *w, struct task *t, struct err *e);

static bool
with_connection(struct worker *w, struct task *t, step_fn *step)
{
	for (int tries = 0; tries < 2; tries++) {
		if (!worker_connect(w, &t->e))
			return false;
		if (step(w, t, &t->e))
			return true;
		if (!db_is_lost(w->db)) {
			db_rollback(w->db);
			return false;
		}
	}
	return false;
}

bool
receive_new(const struct conf *conf, struct receive **out, struct err *e)
{
	struct receive *r = calloc(1, sizeof *r);

	*out = NULL;
	if (r == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for receiving");
	r->conf = r->apply_worker.conf = r->hello_worker.conf = r->rehearse_worker.conf = conf;
	r->inboxes = calloc(conf->npeers + 1, sizeof *r->inboxes);
	r->rehearsals = calloc(conf->npeers + 1, sizeof *r->rehearsals);
	if (r->inboxes == NULL || r->rehearsals == NULL || !jobs_new("apply", &r->apply_worker, &r->apply_jobs, e) || !jobs_new("hello", &r->hello_worker, &r->hello_jobs, e) ||
	    !jobs_new("rehearse", &r->rehearse_worker, &r->rehearse_jobs, e) ||
	    !inspect_new(conf, &r->inspect, e)) {
		receive_free(r);
		return r != NULL && e->code != ERR_NONE ? false : err_set(e, ERR_MEMORY, "out of memory for receiving");
	}
	for (size_t i = 0; i < conf->npeers; i++) {
		(void)snprintf(r->rehearsals[r->ninboxes].peer, sizeof r->rehearsals[0].peer, "%s", conf->peers[i].name);
		(void)snprintf(r->inboxes[r->ninboxes++].peer, sizeof r->inboxes[0].peer, "%s", conf->peers[i].name);
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
	inspect_free(r->inspect);
	worker_disconnect(&r->apply_worker);
	worker_disconnect(&r->hello_worker);
	worker_disconnect(&r->rehearse_worker);
	for (size_t i = 0; i < r->ninboxes; i++) {
		spool_free(r->inboxes[i].spool);
		spool_free(r->rehearsals[i].spool);
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
}

void
receive_finish(struct receive *r)
{
	jobs_finish(r->apply_jobs);
	jobs_finish(r->hello_jobs);
	jobs_finish(r->rehearse_jobs);
	inspect_finish(r->inspect);
}

bool
receive_is_busy(const struct receive *r)
{
	return jobs_pending(r->apply_jobs) > 0;
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
		bool theirs = t->e.code == ERR_INPUT || t->e.code == ERR_PEER_REFUSED || t->e.code == ERR_LIMIT;

		if (t->e.code == ERR_NONE)
			(void)err_set(&t->e, ERR_STOPPED, "stopping");
		log_warning(t->peer, "%s", t->e.msg);
		request_fail(t->request, theirs ? 422 : 503, theirs ? "content" : "unavailable", "%s", t->e.msg);
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

static void
submit(struct receive *r, struct jobs *jobs, job_run *run, struct task *t)
{
	(void)r;
	if (jobs_put(jobs, run, task_done, t))
		return;
	request_fail(t->request, 503, "busy", "too many requests are waiting");
	task_free(t);
}

/* --- hello --- */

/* A beginning of this node's that the caller has not been told of: it was the peer's section that came back, or
 * a person has asked for it here and nothing was sent since. */
static bool
name_renewal(struct worker *w, struct task *t, struct err *e)
{
	struct renewal known;

	if (!parting_return(w->db, w->conf, t->peer, e) || !renewal_load(w->db, t->peer, &known, e))
		return false;
	if (!known.told)
		memcpy(t->welcome.anew, known.id, sizeof t->welcome.anew);
	return true;
}

/* The caller says that the link begins anew: here too, once. */
static bool
take_renewal(struct worker *w, struct task *t, struct err *e)
{
	struct catalog *c = NULL;
	bool news = false, ok;

	if (t->hello.anew[0] == '\0')
		return name_renewal(w, t, e);
	ok = (t->hello.filling || catalog_read(w->db, w->conf, &c, e)) && renewal_begin(w->db, c, t->peer, t->hello.anew, &news, e);
	if (ok && news)
		log_info(t->peer, t->hello.filling ? "the peer fills itself from this node; the link begins anew" :
						     "the link begins anew, as was asked for there: all tables are compared and merged");
	memcpy(t->welcome.anew, t->hello.anew, sizeof t->welcome.anew);
	catalog_free(c);
	return ok;
}

/* What the caller has acknowledged of our changes, where it ever did. */
static bool
take_acked(struct worker *w, struct task *t, struct err *e)
{
	struct welcome *to = &t->welcome;
	struct peer_state state;

	if (!peer_load(w->db, t->peer, &state, e))
		return false;
	to->has_acked = !state.fresh;
	to->acked.epoch = state.acked_epoch;
	memcpy(to->acked.stamp, state.acked_stamp, sizeof to->acked.stamp);
	return true;
}

static bool
fill_welcome(struct worker *w, struct task *t, struct err *e)
{
	struct cursor_state cursor;
	struct welcome *to = &t->welcome;
	int64_t clock_us;

	buf_reset(&t->answer);
	/* Of a rehearsal nothing is noted. */
	if (!witness_check(w->db, &w->node, e) ||
	    (!t->hello.rehearsal && (!peer_register(w->db, t->peer, e) || !take_renewal(w, t, e) || !numbering_note(w->db, t->peer, &t->hello.numbering, e) || !take_acked(w, t, e))))
		return false;
	if (!cursor_load(w->db, t->peer, false, &cursor, e) || !numbering_read(w->db, &to->numbering, e))
		return false;
	to->version = MESSAGE_VERSION;
	memcpy(to->node, w->node.name, sizeof to->node);
	memcpy(to->incarnation, w->node.incarnation, sizeof to->incarnation);
	memcpy(to->knows, cursor.incarnation, sizeof to->knows);
	to->cursor.epoch = cursor.epoch;
	memcpy(to->cursor.stamp, cursor.stamp, sizeof to->cursor.stamp);
	if (!db_clock_us(w->db, &clock_us, e))
		return false;
	to->clock_us = (uint64_t)clock_us;
	message_put_welcome(&t->answer, to);
	return cursor_answer(w->db, t->peer, &t->answer, e);
}

static void
run_hello(void *job, void *worker)
{
	struct task *t = job;

	t->status = 200;
	t->ok = with_connection(worker, t, fill_welcome);
}

void
receive_hello(struct request *request, void *arg)
{
	struct receive *r = arg;
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
	if (!message_parse_hello(body, len, &t->hello, &t->e)) {
		request_fail(request, 400, "malformed", "%s", t->e.msg);
		task_free(t);
		return;
	}
	if (t->hello.version != MESSAGE_VERSION) {
		request_fail(request, 409, "version", "this agent speaks protocol version %d, the caller %llu: bring both to the same version", MESSAGE_VERSION,
		    (unsigned long long)t->hello.version);
		task_free(t);
		return;
	}
	if (strcmp(t->hello.node, t->peer) != 0) {
		request_fail(request, 403, "identity", "the key belongs to another node");
		task_free(t);
		return;
	}
	request_new_session(request, t->hello.nonce, t->welcome.session);
	submit(r, r->hello_jobs, run_hello, t);
}

/* --- groups --- */

static bool
apply_step(struct worker *w, struct task *t, struct err *e)
{
	int64_t now = clock_mono_ms();

	if (!(now >= w->witness_at ? witness_check : witness_reread)(w->db, &w->node, e))
		return false;
	w->witness_at = now >= w->witness_at ? now + WITNESS_PAUSE_MS : w->witness_at;
	if (w->applier == NULL && !applier_new(w->db, w->conf, &w->node, &w->applier, e))
		return false;
	return apply_group(w->applier, t->peer, t->spool, &t->status, &t->answer, e);
}

static void
run_apply(void *job, void *worker)
{
	struct task *t = job;

	t->ok = with_connection(worker, t, apply_step);
}

static bool
rehearse_step(struct worker *w, struct task *t, struct err *e)
{
	if (w->applier == NULL && !applier_new(w->db, w->conf, &w->node, &w->applier, e))
		return false;
	return apply_rehearse(w->applier, t->peer, t->spool, &t->status, &t->answer, e);
}

static void
run_rehearse(void *job, void *worker)
{
	struct task *t = job;

	t->ok = with_connection(worker, t, rehearse_step);
}

static struct inbox *
inbox_of(const struct receive *r, struct inbox *inboxes, const char *peer)
{
	for (size_t i = 0; i < r->ninboxes; i++)
		if (strcmp(inboxes[i].peer, peer) == 0)
			return &inboxes[i];
	return NULL;
}

/* Start anew: an earlier group that was not finished is dropped. */
static bool
inbox_begin(struct receive *r, struct inbox *in, const char *session, struct err *e)
{
	spool_free(in->spool);
	in->spool = NULL;
	in->pieces = 0;
	(void)snprintf(in->session, sizeof in->session, "%s", session);
	return spool_new(r->conf->node.state_dir, &in->spool, e);
}

/* Take one piece. *missing: the pieces before it are not here (the agent was restarted). */
static bool
take_piece(struct receive *r, struct inbox *in, struct request *request, bool *last, bool *missing, struct err *e)
{
	uint64_t piece;
	size_t len, at;
	const char *body = request_body(request, &len);

	*missing = false;
	if (!message_parse_envelope(body, len, &piece, last, &at, e))
		return false;
	if (piece == 0 && !inbox_begin(r, in, request_session(request), e))
		return false;
	*missing = in->spool == NULL || in->pieces != piece || strcmp(in->session, request_session(request)) != 0;
	if (*missing)
		return true;
	in->pieces++;
	return spool_put(in->spool, body + at, len - at, e);
}

static void
hand_over(struct receive *r, struct inbox *in, struct request *request)
{
	struct task *t = task_new(r, request);

	if (t == NULL) {
		request_fail(request, 503, "memory", "out of memory");
		return;
	}
	t->spool = in->spool;
	in->spool = NULL;
	if (in >= r->rehearsals && in < r->rehearsals + r->ninboxes)
		submit(r, r->rehearse_jobs, run_rehearse, t);
	else
		submit(r, r->apply_jobs, run_apply, t);
}

static void
take_group(struct receive *r, struct inbox *in, struct request *request)
{
	bool last = false, missing = false;
	struct err e = { 0 };

	if (is_paused(r, request))
		return;
	if (in == NULL)
		request_fail(request, 403, "identity", "no such peer");
	else if (!take_piece(r, in, request, &last, &missing, &e))
		request_fail(request, e.code == ERR_INPUT ? 400 : 503, "piece", "%s", e.msg);
	else if (missing)
		request_fail(request, 409, "piece", "earlier pieces of this group are not here: send it from the beginning");
	else if (last)
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

/* --- comparing --- */

void
receive_verify(struct request *request, void *arg)
{
	struct receive *r = arg;

	if (!is_paused(r, request))
		inspect_take(r->inspect, request);
}
