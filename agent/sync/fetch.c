/* Fetching. Lives here: the order of coming, taking, running and bringing back; which calls may be fetched. Not here:
 * what a call does (sync/handle, sync/inspect), where errands lie at the peer (net/shelf), when to fetch (app/). */
#include "sync/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/process.h"
#include "change/peer.h"
#include "sync/handle.h"
#include "sync/inspect.h"
#include "sync/land.h"
#include "sync/link.h"
#include "wire/errand.h"

enum {
	WAIT_MS = 20 * 1000,  /* for something to come; tunnels close what is silent for a minute or two */
	LATERS_MAX = 3,	      /* the peer does not get to its errands: enough for one run */
	HELLO_TRIES = 2,      /* the first, and one for a session that is over */
	TRIM_ABOVE_BYTES = 1024 * 1024
};

struct fetch {
	const struct conf *conf;
	const struct conf_peer *peer;
	struct handler handler;
	struct handler files; /* on the other one nothing that is written is queued, once a group was applied there */
	struct inspect *inspect; /* made when first needed */
	struct landing *landing; /* the same */
	struct link link;
	struct gathering group, rehearsal;
	char token[SIGN_SESSION_MAX]; /* that the last hello of the peer was given */
	struct buf answer; /* of this node, to an errand */
	bool failed;	   /* as --status shows it */
};

bool
fetch_new(const struct conf *conf, const struct conf_peer *peer, const atomic_bool *stop, struct fetch **out, struct err *e)
{
	struct fetch *f = calloc(1, sizeof *f);

	*out = NULL;
	if (f == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for fetching");
	f->conf = f->handler.conf = f->files.conf = conf;
	f->peer = peer;
	f->group.directory = f->rehearsal.directory = conf->node.state_dir;
	f->link = (struct link){ .conf = conf, .peer = peer, .node = &f->handler.node, .stop = stop, .rehearsing = true, .fetching = true };
	buf_init(&f->answer, MESSAGE_ANSWER_MAX);
	*out = f;
	return true;
}

void
fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	client_free(f->link.client);
	landing_free(f->landing);
	handler_disconnect(&f->handler);
	handler_disconnect(&f->files);
	inspect_free(f->inspect);
	gather_free(&f->group);
	gather_free(&f->rehearsal);
	buf_free(&f->answer);
	free(f);
}

static bool
stopped(const struct fetch *f)
{
	return f->link.stop != NULL && atomic_load(f->link.stop);
}

/* --- running an errand --- */

/* One that is being run: the peer's call, as a request would bring it. */
struct work {
	struct fetch *fetch;
	const char *body;
	size_t len;
	int status;
	struct fetch_report *report;
};

typedef bool work_fn(struct work *w, struct err *e);

/* Answer with an error, as a request is answered. */
static bool
refuse(struct work *w, int status, const char *code, const char *text)
{
	w->status = status;
	buf_reset(&w->fetch->answer);
	message_put_error(&w->fetch->answer, code, text, NULL);
	return true;
}

static bool
run_hello(struct work *w, struct err *e)
{
	struct fetch *f = w->fetch;
	struct turned_away no;
	struct hello h;

	if (!handle_read_hello(w->body, w->len, f->peer->name, &h, &no))
		return refuse(w, no.status, no.code, no.text);
	/* No session is needed within the one that fetches; but the peer wants to see one. */
	(void)snprintf(f->token, sizeof f->token, "%s", h.nonce);
	gather_free(&f->group);
	gather_free(&f->rehearsal);
	return handle_hello(&f->handler, &(struct greeting){ f->peer->name, &h, f->token }, &w->status, &f->answer, e);
}

static void
note_group(struct work *w)
{
	const struct buf *answer = &w->fetch->answer;
	const char *newline = answer->len == 0 ? NULL : memchr(answer->data, '\n', answer->len);
	struct answer_header h;
	struct err ignored;

	if (w->status != 200 || newline == NULL || !message_parse_answer(answer->data, (size_t)(newline - answer->data), &h, &ignored))
		return;
	w->report->groups++;
	w->report->records += h.applied;
	w->report->refused += h.refused;
}

static bool
run_pieces(struct work *w, struct gathering *to, handle_spool *run, struct err *e)
{
	struct fetch *f = w->fetch;
	enum gathered got = GATHERED_MORE;
	bool large, ok;

	if (!gather_piece(to, f->token, w->body, w->len, &got, e))
		return refuse(w, e->code == ERR_INPUT ? 400 : 503, "piece", e->msg);
	if (got == GATHERED_MISSING)
		return refuse(w, 409, "piece", "earlier pieces of this group are not here: send it from the beginning");
	if (got == GATHERED_MORE) {
		buf_str(&f->answer, "{\"more\":true}\n");
		return true;
	}
	large = spool_size(to->spool) > TRIM_ABOVE_BYTES;
	ok = run(&f->handler, f->peer->name, to->spool, &w->status, &f->answer, e);
	gather_free(to);
	if (large)
		process_trim_memory();
	return ok;
}

static bool
run_group(struct work *w, struct err *e)
{
	bool ok = run_pieces(w, &w->fetch->group, handle_group, e);

	if (ok)
		note_group(w);
	return ok;
}

static bool
run_rehearsal(struct work *w, struct err *e)
{
	return run_pieces(w, &w->fetch->rehearsal, handle_rehearsal, e);
}

static bool
run_verify(struct work *w, struct err *e)
{
	const struct inspect_question asked = { w->body, w->len };
	struct fetch *f = w->fetch;

	return (f->inspect != NULL || inspect_new(f->conf, &f->inspect, e)) && inspect_now(f->inspect, f->peer->name, &asked, &w->status, &f->answer, e);
}

static bool
run_files(struct work *w, struct err *e)
{
	struct fetch *f = w->fetch;

	return (f->landing != NULL || landing_new(f->conf, &f->landing, e)) && handler_connect(&f->files, e) &&
	    landing_take(f->landing, f->files.db, w->body, w->len, &f->answer, e);
}

/* What a peer may call over a session of ours: what it may call over one of its own, but for pairing. */
static const struct {
	const char *path;
	work_fn *run;
} calls[] = {
	{ "/api/sync/hello", run_hello },
	{ "/api/sync/receive", run_group },
	{ "/api/sync/rehearse", run_rehearsal },
	{ "/api/sync/verify", run_verify },
	{ "/api/sync/files", run_files },
};

static void
run_errand(struct work *w, const char *path)
{
	struct err e = { 0 };
	const char *code;
	int status;

	buf_reset(&w->fetch->answer);
	w->status = 200;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		if (strcmp(calls[i].path, path) != 0)
			continue;
		if (calls[i].run(w, &e))
			return;
		log_warning(w->fetch->peer->name, "%s", e.msg);
		status = handle_failure(&e, &code);
		(void)refuse(w, status, code, e.msg);
		return;
	}
	(void)refuse(w, 404, "not_found", "there is no such call");
}

/* --- the conversation --- */

/* A signed answer that is not 200: the session does not fetch (any more), or the peer is too old for it. */
static bool
check_status(struct fetch *f, int status, const struct buf *answer, struct err *e)
{
	return status == 200 || link_refused(&f->link, status, answer, e);
}

/* body: of an acknowledgement; NULL: a download. */
static bool
call(struct fetch *f, const struct buf *body, struct buf *answer, struct err *e)
{
	struct client *c = f->link.client;
	int status = 0;

	if (!(body == NULL ? client_call(c, "GET", "/api/sync/download", NULL, 0, &status, answer, e) :
			     client_call(c, "POST", "/api/sync/acknowledge", body->data, body->len, &status, answer, e))) {
		if (client_not_found(f->link.client))
			return err_set(e, ERR_PEER_REFUSED, "the agent of peer %s is older than this one, and nothing can be fetched from it: bring both to the same version", f->peer->name);
		return false;
	}
	return check_status(f, status, answer, e);
}

/* Bring an answer back, in pieces. */
static bool
bring(struct fetch *f, uint64_t number, int status, struct err *e)
{
	struct errand_reply r = { .kind = ERRAND_ANSWER, .number = number, .status = (uint64_t)status };
	struct buf body, answer;
	size_t at = 0;
	bool ok = true;

	buf_init(&body, MESSAGE_BODY_MAX + ERRAND_LINE_MAX);
	buf_init(&answer, MESSAGE_HEADER_MAX);
	for (; ok && !r.last; r.piece++) {
		size_t part = f->answer.len - at < MESSAGE_BODY_MAX ? f->answer.len - at : (size_t)MESSAGE_BODY_MAX;

		r.last = at + part == f->answer.len;
		buf_reset(&body);
		errand_put_reply(&body, &r);
		buf_put(&body, f->answer.data + at, part);
		ok = buf_check(&body, "an answer", e) && call(f, &body, &answer, e);
		at += part;
	}
	buf_free(&body);
	buf_free(&answer);
	return ok;
}

/* Say that this session comes to fetch. */
static bool
begin(struct fetch *f, bool once, struct err *e)
{
	int64_t most = f->conf->sync.timeout_ms * 2 / 3; /* the answer must come before the client loses patience */
	const struct errand_reply r = { .kind = ERRAND_OPEN, .wait_ms = (uint64_t)(most < WAIT_MS ? most : WAIT_MS), .once = once };
	struct buf body, answer;
	bool ok;

	buf_init(&body, ERRAND_LINE_MAX);
	buf_init(&answer, MESSAGE_HEADER_MAX);
	errand_put_reply(&body, &r);
	ok = buf_check(&body, "a message", e) && call(f, &body, &answer, e);
	buf_free(&body);
	buf_free(&answer);
	return ok;
}

static bool
fetch_one(struct fetch *f, enum errand_kind *kind, struct fetch_report *report, struct err *e)
{
	struct work w = { .fetch = f, .report = report };
	struct errand x;
	struct buf got;
	size_t at = 0;
	bool ok;

	buf_init(&got, MESSAGE_BODY_MAX + MESSAGE_ENVELOPE_MAX + ERRAND_LINE_MAX);
	ok = call(f, NULL, &got, e) && errand_parse(buf_cstr(&got), got.len, &x, &at, e);
	if (ok && x.kind == ERRAND_CALL) {
		w.body = got.data + at;
		w.len = got.len - at;
		run_errand(&w, x.path);
		ok = buf_check(&f->answer, "an answer", e) && bring(f, x.number, w.status, e);
	}
	*kind = ok ? x.kind : ERRAND_LATER;
	buf_free(&got);
	return ok;
}

/* What went wrong before is over. */
static bool
note_success(struct fetch *f, struct err *e)
{
	if (!f->failed)
		return true;
	f->failed = false;
	return peer_works(f->handler.db, f->peer->name, e);
}

static bool
fetch_all(struct fetch *f, bool once, struct fetch_report *report, struct err *e)
{
	enum errand_kind kind = ERRAND_LATER;
	unsigned laters = 0;

	if (!begin(f, once, e) || !note_success(f, e))
		return false;
	while (!stopped(f) && !(once && kind == ERRAND_NOTHING)) {
		if (!handler_connect(&f->handler, e) || !fetch_one(f, &kind, report, e))
			return false;
		laters = kind == ERRAND_LATER ? laters + 1 : 0;
		if (once && laters >= LATERS_MAX)
			return err_set(e, ERR_PEER, "peer %s does not get to what it has for this node: its agent --status, or its log, says why", f->peer->name);
	}
	return true;
}

/* A session that is over (the peer was restarted) costs one new hello. */
static bool
converse(struct fetch *f, bool once, struct fetch_report *report, struct err *e)
{
	for (int hellos = 0;; hellos++) {
		bool ok;

		f->link.db = f->handler.db;
		ok = link_open(&f->link, e) && fetch_all(f, once, report, e);
		if (f->link.client != NULL)
			client_close(f->link.client); /* each run begins with a hello of its own */
		if (ok || stopped(f) || f->link.client == NULL || !client_unauthorised(f->link.client) || hellos + 1 >= HELLO_TRIES)
			return ok || stopped(f);
	}
}

/* --- one fetches at a time --- */

static void
lock_name(const struct fetch *f, char out[64])
{
	/* At most 64 characters: 6 + 1 + 16 + 3 + 32. */
	(void)snprintf(out, 64, "tandem.%.16s.p.%s", f->handler.node.token, f->peer->name);
}

static bool
lock(struct fetch *f, bool *taken, struct err *e)
{
	char name[64];
	uint64_t got = 0;

	lock_name(f, name);
	if (!db_number(f->handler.db, "SELECT GET_LOCK(?, 0)", DB_ARGS(db_text(name)), &got, NULL, e))
		return false;
	*taken = got == 1;
	return true;
}

static void
unlock(struct fetch *f)
{
	char name[64];
	uint64_t ignored;
	struct err e;

	lock_name(f, name);
	if (f->handler.db == NULL || db_is_lost(f->handler.db))
		return; /* the server has released it with the connection */
	if (!db_number(f->handler.db, "SELECT RELEASE_LOCK(?)", DB_ARGS(db_text(name)), &ignored, NULL, &e))
		log_warning(f->peer->name, "cannot release the lock of fetching: %s", e.msg);
}

static bool
note_failure(struct fetch *f, bool ok, struct err *e)
{
	struct err other;

	if (ok || e->code == ERR_STOPPED || f->handler.db == NULL || db_is_lost(f->handler.db))
		return ok;
	f->failed = true;
	if (!peer_failed(f->handler.db, f->peer->name, e->msg, &other))
		log_warning(f->peer->name, "cannot note the error for --status: %s", other.msg);
	return false;
}

bool
fetch_run(struct fetch *f, bool once, struct fetch_report *report, struct err *e)
{
	bool taken = false, ok;

	memset(report, 0, sizeof *report);
	if (!handler_connect(&f->handler, e) || !lock(f, &taken, e))
		return false;
	if (!taken) {
		report->busy = true;
		return true;
	}
	ok = peer_register(f->handler.db, f->peer->name, e) && converse(f, once, report, e);
	ok = note_failure(f, ok, e);
	unlock(f);
	return ok;
}
