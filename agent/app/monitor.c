/* The monitor's handlers, its workers and what is kept between looks. Not here: what the state is (app/report,
 * app/outlook), reviews and actions (app/review, app/action), how the page looks (app/page, web/). */
#include "app/monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/action.h"
#include "app/history.h"
#include "app/metrics.h"
#include "app/outlook.h"
#include "app/page.h"
#include "app/review.h"
#include "base/asset.h"
#include "base/log.h"

enum {
	LOOK_MIN_MS = 1000,	   /* between two looks for open pages ... */
	LOOK_MAX_MS = 5000,	   /* ... however busy the server is */
	FRESH_MS = 500,		   /* a state of this age is still an answer */
	COUNTS_MIN_MS = 5 * 1000, /* between two counts of whole tables */
	COUNTS_MAX_MS = 10 * 60 * 1000,
	PULSE_MS = 15 * 1000,	   /* a sign of life on a stream */
	LINE_MAX_BYTES = 240,
	STATE_MAX = 2 * REPORT_TEXT_MAX
};

/* A worker and its connection. */
struct hand {
	const struct conf *conf;
	struct db *db;
	struct jobs *jobs;
};

struct stream {
	struct request *request; /* NULL: free */
	uint64_t seen;		 /* version of the state that it was sent */
	int64_t sent_ms;
};

struct monitor {
	const struct conf *conf;
	struct hand quick, slow;
	struct monitor_wishes wishes;
	struct stream streams[MONITOR_STREAMS_MAX];
	struct history history; /* the quick worker's */
	/* What the last look found; loop thread only. */
	struct buf state;
	char line[LINE_MAX_BYTES]; /* for people, as it was last told */
	uint64_t version; /* grows when the state changes */
	int64_t state_ms, look_due_ms, sample_due_ms;
	bool looking, trouble;
	struct buf counts; /* empty: not known yet */
	struct report_tables tables; /* from the last count */
	struct metrics_counts totals;
	int64_t counts_due_ms, wanted_ms;
	bool counting;
	struct buf metrics; /* the last answer to /metrics, given again until metrics_until_ms */
	int64_t metrics_until_ms;
};

struct task;
typedef bool task_work(struct task *t, struct db *db);
typedef void task_finish(struct task *t);

struct task {
	struct monitor *m;
	struct request *request; /* NULL: nobody waits */
	task_work *work;	 /* on the worker */
	task_finish *finish;	 /* on the loop's thread */
	const char *type;
	struct buf answer, counts;
	struct report_tables tables;
	struct metrics_counts totals;
	struct action action;
	char token[SERVER_TOKEN_MAX];
	char line[LINE_MAX_BYTES]; /* of outlook_line */
	bool sample, ok;
	int64_t took_ms;
	struct err e;
};

/* --- tasks --- */

static void
task_free(struct task *t)
{
	buf_free(&t->answer);
	buf_free(&t->counts);
	free(t);
}

static bool
work_with(struct hand *hand, struct task *t)
{
	if (hand->db == NULL && !db_open(&hand->conf->database, &hand->db, &t->e))
		return false;
	return t->work(t, hand->db) && buf_check(&t->answer, "an answer of the page", &t->e);
}

static void
run_task(void *job, void *worker)
{
	struct hand *hand = worker;
	struct task *t = job;
	int64_t since = clock_mono_ms();

	t->ok = work_with(hand, t);
	if (!t->ok && hand->db != NULL && db_is_lost(hand->db)) {
		db_close(hand->db);
		hand->db = NULL;
		buf_reset(&t->answer);
		t->ok = work_with(hand, t); /* the connection died while idle */
	}
	t->took_ms = clock_mono_ms() - since;
}

static void
task_done(void *job)
{
	struct task *t = job;

	t->finish(t);
	task_free(t);
}

static struct task *
task_new(struct monitor *m, struct request *request, task_work *work, task_finish *finish)
{
	struct task *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->m = m;
	t->request = request;
	t->work = work;
	t->finish = finish;
	t->type = "application/json";
	buf_init(&t->answer, REVIEW_TEXT_MAX);
	buf_init(&t->counts, REPORT_TEXT_MAX);
	buf_put(&t->counts, m->counts.data, m->counts.len);
	t->tables = m->tables;
	t->totals = m->totals;
	return t;
}

/* Hand it over, or answer that this is not possible now. */
static bool
task_put(struct hand *hand, struct task *t, struct request *request)
{
	if (t != NULL && jobs_put(hand->jobs, run_task, task_done, t))
		return true;
	if (request != NULL)
		request_fail(request, 503, "busy", "too many requests are waiting");
	if (t != NULL)
		task_free(t);
	return false;
}

static void
finish_answer(struct task *t)
{
	if (t->ok)
		request_reply(t->request, 200, t->type, t->answer.data, t->answer.len);
	else
		request_fail(t->request, 503, "database", "%s", t->e.msg);
}

/* Somebody looks at the page: counts are kept up to date for a while. */
static void
note_interest(struct monitor *m)
{
	m->wanted_ms = clock_mono_ms();
}

/* --- looking --- */

static void
put_line(struct task *t, const struct report *r)
{
	struct buf line;

	buf_init(&line, STATE_MAX);
	outlook_line(r, &line);
	(void)snprintf(t->line, sizeof t->line, "%s", buf_cstr(&line));
	buf_free(&line);
}

static bool
put_state(struct task *t, struct db *db, struct buf *out)
{
	struct report report;
	struct err e;
	bool ok;

	if (!report_read_quick(db, t->m->conf, &t->tables, &report, &t->e))
		return false;
	ok = outlook_put(db, t->m->conf, &report, t->counts.len == 0 ? NULL : buf_cstr(&t->counts), out, &t->e);
	put_line(t, &report);
	/* An older schema has no such table until agent --install has run. */
	if (ok && t->sample && !history_note(&t->m->history, db, &report, &e))
		log_debug(NULL, "no sample for the page's graphs: %s", e.msg);
	report_free(&report);
	return ok;
}

static bool
work_look(struct task *t, struct db *db)
{
	return put_state(t, db, &t->answer);
}

static void
stream_end(struct stream *s)
{
	if (s->request != NULL)
		request_stream_end(s->request);
	s->request = NULL;
}

static void
stream_send(struct monitor *m, struct stream *s)
{
	struct buf text;
	bool ok;

	buf_init(&text, STATE_MAX);
	if (m->trouble)
		buf_str(&text, "event: trouble\ndata: {}\n\n");
	else {
		buf_str(&text, "event: state\ndata: ");
		buf_put(&text, m->state.data, m->state.len);
		buf_str(&text, "\n\n");
	}
	ok = !text.failed && request_stream_put(s->request, text.data, text.len);
	buf_free(&text);
	s->seen = m->version;
	s->sent_ms = clock_mono_ms();
	if (!ok)
		stream_end(s); /* the page comes again by itself */
}

static void
send_news(struct monitor *m)
{
	for (size_t i = 0; i < MONITOR_STREAMS_MAX; i++)
		if (m->streams[i].request != NULL && m->streams[i].seen != m->version)
			stream_send(m, &m->streams[i]);
}

static void
tell_line(struct monitor *m, const char *line)
{
	if (strcmp(m->line, line) == 0)
		return;
	(void)snprintf(m->line, sizeof m->line, "%s", line);
	if (m->wishes.status != NULL)
		m->wishes.status(line, m->wishes.arg);
}

static void
keep_state(struct monitor *m, const struct task *t)
{
	bool same = t->ok == !m->trouble && (!t->ok || (t->answer.len == m->state.len && memcmp(t->answer.data, m->state.data, m->state.len) == 0));

	tell_line(m, t->ok ? t->line : "the database is away");
	m->trouble = !t->ok;
	m->state_ms = clock_mono_ms();
	if (same && m->version > 0)
		return;
	if (t->ok) {
		buf_reset(&m->state);
		buf_put(&m->state, t->answer.data, t->answer.len);
	}
	m->version++;
	send_news(m);
}

static void
finish_look(struct task *t)
{
	struct monitor *m = t->m;
	int64_t rest = t->took_ms * MONITOR_SHARE;

	m->looking = false;
	m->look_due_ms = clock_mono_ms() + (rest < LOOK_MIN_MS ? LOOK_MIN_MS : rest > LOOK_MAX_MS ? LOOK_MAX_MS : rest);
	keep_state(m, t);
}

static void
finish_state(struct task *t)
{
	keep_state(t->m, t);
	finish_answer(t);
}

static void
look(struct monitor *m, bool sample)
{
	struct task *t = m->looking ? NULL : task_new(m, NULL, work_look, finish_look);

	if (t == NULL)
		return;
	t->sample = sample;
	m->looking = task_put(&m->quick, t, NULL);
	if (sample && m->looking)
		m->sample_due_ms = clock_mono_ms() + HISTORY_STEP_S * 1000;
}

/* --- counting --- */

static bool
work_counts(struct task *t, struct db *db)
{
	struct report report;
	bool ok;

	if (!report_read_counts(db, t->m->conf, &report, &t->e))
		return false;
	ok = outlook_counts(db, t->m->conf, &report, &t->answer, &t->e);
	t->tables = (struct report_tables){ report.dirty_tables, report.waiting_tables, report.waiting_trees };
	metrics_take(&report, &t->totals);
	report_free(&report);
	return ok;
}

static void
finish_counts(struct task *t)
{
	struct monitor *m = t->m;
	int64_t rest = t->took_ms * MONITOR_SHARE;

	m->counting = false;
	m->counts_due_ms = clock_mono_ms() + (rest < COUNTS_MIN_MS ? COUNTS_MIN_MS : rest > COUNTS_MAX_MS ? COUNTS_MAX_MS : rest);
	if (!t->ok)
		return;
	buf_reset(&m->counts);
	buf_put(&m->counts, t->answer.data, t->answer.len);
	m->tables = t->tables;
	m->totals = t->totals;
}

/* --- what is due --- */

static bool
has_streams(struct monitor *m)
{
	bool any = false;

	for (size_t i = 0; i < MONITOR_STREAMS_MAX; i++) {
		struct stream *s = &m->streams[i];

		if (s->request != NULL && (request_gone(s->request) || (clock_mono_ms() - s->sent_ms > PULSE_MS && !request_stream_put(s->request, ":\n\n", 3))))
			stream_end(s);
		else if (s->request != NULL && clock_mono_ms() - s->sent_ms > PULSE_MS)
			s->sent_ms = clock_mono_ms();
		any = any || s->request != NULL;
	}
	return any;
}

void
monitor_tick(struct monitor *m)
{
	int64_t now_ms = clock_mono_ms();
	bool streams = has_streams(m), sample = now_ms >= m->sample_due_ms;
	struct task *t;

	if (streams)
		note_interest(m);
	if (sample || (streams && now_ms >= m->look_due_ms))
		look(m, sample);
	if (m->counting || now_ms < m->counts_due_ms || (m->counts.len > 0 && now_ms - m->wanted_ms > COUNTS_MIN_MS))
		return;
	t = task_new(m, NULL, work_counts, finish_counts);
	m->counting = task_put(&m->slow, t, NULL);
}

/* --- reading --- */

static void
handle_state(struct request *request, void *arg)
{
	struct monitor *m = arg;

	note_interest(m);
	if (m->version > 0 && !m->trouble && clock_mono_ms() - m->state_ms < FRESH_MS)
		request_reply(request, 200, "application/json", m->state.data, m->state.len);
	else
		(void)task_put(&m->quick, task_new(m, request, work_look, finish_state), request);
}

static bool
enter(struct task *t, struct db *db)
{
	struct node_identity node;

	return schema_enter(db, t->m->conf, &node, &t->e);
}

static bool
work_review(struct task *t, struct db *db)
{
	return enter(t, db) && review_json(db, t->m->conf, &t->answer, &t->e);
}

static void
handle_review(struct request *request, void *arg)
{
	struct monitor *m = arg;

	(void)task_put(&m->quick, task_new(m, request, work_review, finish_answer), request);
}

static bool
work_history(struct task *t, struct db *db)
{
	return enter(t, db) && history_json(db, &t->answer, &t->e);
}

static void
handle_history(struct request *request, void *arg)
{
	struct monitor *m = arg;

	(void)task_put(&m->quick, task_new(m, request, work_history, finish_answer), request);
}

static bool
work_status(struct task *t, struct db *db)
{
	struct report report;

	if (!report_read(db, t->m->conf, NULL, &report, &t->e))
		return false;
	report_json(&report, &t->answer);
	report_free(&report);
	return true;
}

static void
handle_status(struct request *request, void *arg)
{
	struct monitor *m = arg;

	(void)task_put(&m->slow, task_new(m, request, work_status, finish_answer), request);
}

static bool
work_metrics(struct task *t, struct db *db)
{
	struct report report;

	if (!report_read_quick(db, t->m->conf, &t->tables, &report, &t->e))
		return false;
	metrics_put(&report, &t->totals, db_server_version(db), &t->answer);
	metrics_put_trees(buf_cstr(&t->counts), &t->answer);
	report_free(&report);
	return true;
}

/* A database that is away is a number, too: what the daemon itself knows is told all the same. */
static void
finish_metrics(struct task *t)
{
	struct monitor *m = t->m;
	int64_t rest = t->took_ms * MONITOR_SHARE;

	if (!t->ok) {
		log_debug(NULL, "metrics without the database: %s", t->e.msg);
		buf_reset(&t->answer);
		metrics_put(NULL, NULL, NULL, &t->answer);
	}
	buf_reset(&m->metrics);
	buf_put(&m->metrics, t->answer.data, t->answer.len);
	m->metrics_until_ms = clock_mono_ms() + (rest > LOOK_MAX_MS ? LOOK_MAX_MS : rest);
	t->ok = buf_check(&t->answer, "the metrics", &t->e);
	finish_answer(t);
}

/* Whoever asks too often gets the last answer once more. */
static void
handle_metrics(struct request *request, void *arg)
{
	struct monitor *m = arg;
	struct task *t;

	note_interest(m);
	if (m->metrics.len > 0 && clock_mono_ms() < m->metrics_until_ms) {
		request_reply(request, 200, METRICS_TYPE, m->metrics.data, m->metrics.len);
		return;
	}
	t = task_new(m, request, work_metrics, finish_metrics);
	if (t != NULL)
		t->type = METRICS_TYPE;
	(void)task_put(&m->quick, t, request);
}

static void
handle_events(struct request *request, void *arg)
{
	struct monitor *m = arg;
	struct stream *s = NULL;

	(void)has_streams(m); /* those that have gone make room */
	for (size_t i = 0; i < MONITOR_STREAMS_MAX && s == NULL; i++)
		if (m->streams[i].request == NULL)
			s = &m->streams[i];
	if (s == NULL) {
		request_fail(request, 503, "busy", "too many pages are open");
		return;
	}
	note_interest(m);
	if (!request_stream(request, "text/event-stream") || !request_stream_put(request, "retry: 2000\n\n", 13)) {
		request_stream_end(request);
		return;
	}
	*s = (struct stream){ .request = request, .sent_ms = clock_mono_ms() };
	if (m->version > 0 && clock_mono_ms() - m->state_ms < LOOK_MAX_MS)
		stream_send(m, s);
	look(m, false);
}

/* --- the page --- */

static bool
work_page(struct task *t, struct db *db)
{
	struct buf state, review;
	bool ok;

	buf_init(&state, STATE_MAX);
	buf_init(&review, REVIEW_TEXT_MAX);
	ok = put_state(t, db, &state) && review_json(db, t->m->conf, &review, &t->e) && page_render(buf_cstr(&state), buf_cstr(&review), t->token, &t->answer, &t->e);
	buf_free(&state);
	buf_free(&review);
	return ok;
}

/* A database that is away: the page says so, and comes to life when it is back. */
static void
finish_page(struct task *t)
{
	struct err e;

	if (!t->ok) {
		buf_reset(&t->answer);
		if (!page_render(NULL, NULL, t->token, &t->answer, &e)) {
			finish_answer(t);
			return;
		}
	}
	request_reply(t->request, 200, "text/html; charset=utf-8", t->answer.data, t->answer.len);
}

static void
handle_page(struct request *request, void *arg)
{
	struct monitor *m = arg;
	struct task *t = task_new(m, request, work_page, finish_page);

	note_interest(m);
	if (t != NULL)
		request_token(request, t->token);
	(void)task_put(&m->quick, t, request);
}

static void
send_asset(struct request *request, const char *name, const char *type)
{
	const struct asset *a = asset_find(name);

	if (a == NULL)
		request_fail(request, 404, "missing", "not built in");
	else
		request_reply(request, 200, type, a->data, a->len);
}

static void
handle_script(struct request *request, void *arg)
{
	(void)arg;
	send_asset(request, "web/monitor.js", "text/javascript; charset=utf-8");
}

static void
handle_style(struct request *request, void *arg)
{
	(void)arg;
	send_asset(request, "web/monitor.css", "text/css; charset=utf-8");
}

static void
handle_texts(struct request *request, void *arg)
{
	(void)arg;
	send_asset(request, "web/texts.json", "application/json");
}

static void
handle_icon(struct request *request, void *arg)
{
	(void)arg;
	send_asset(request, "web/icon.svg", "image/svg+xml");
}

static void
handle_healthz(struct request *request, void *arg)
{
	(void)arg;
	request_reply(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

/* --- the door --- */

static void
reply_login(struct request *request, int status, const char *wrong)
{
	struct buf out;
	struct err e;

	buf_init(&out, PAGE_MAX);
	if (page_login(wrong, &out, &e))
		request_reply(request, status, "text/html; charset=utf-8", out.data, out.len);
	else
		request_fail(request, 503, "page", "%s", e.msg);
	buf_free(&out);
}

static void
handle_door(struct request *request, void *arg)
{
	(void)arg;
	reply_login(request, 200, NULL);
}

/* The body of the form: "key=...". A key is hexadecimal, which no form has to write in another way; blanks around one
 * that was pasted are "+". */
static void
handle_login(struct request *request, void *arg)
{
	char key[129 + 1] = "";
	unsigned wait_s;
	size_t len, n;
	const char *body = request_body(request, &len);

	(void)arg;
	if (len > 4 && memcmp(body, "key=", 4) == 0) {
		for (body += 4, len -= 4; len > 0 && *body == '+'; body++)
			len--;
		for (n = 0; n < len && n < sizeof key - 1 && body[n] != '&' && body[n] != '+'; n++)
			key[n] = body[n];
		key[n] = '\0';
	}
	if (request_login(request, key, &wait_s)) {
		log_info(NULL, "signed in on the page from %s", request_address(request));
		request_redirect(request, "/");
		return;
	}
	log_warning(NULL, "%s on the page from %s", wait_s > 0 ? "a key too soon after wrong ones" : "a wrong key", request_address(request));
	reply_login(request, wait_s > 0 ? 429 : 401, wait_s > 0 ? "login.wait" : "login.wrong");
}

static void
handle_logout(struct request *request, void *arg)
{
	(void)arg;
	request_logout(request);
	request_reply(request, 200, "application/json", "{}\n", 3);
}

/* --- acting --- */

static void
wish_drain(struct monitor *m)
{
	if (m->wishes.drain != NULL)
		m->wishes.drain(m->wishes.arg);
}

static bool
work_action(struct task *t, struct db *db)
{
	bool ok = action_run(&t->action, db, t->m->conf, &t->e);

	action_json(&t->action, &t->answer);
	return ok;
}

static int
status_of(const struct err *e)
{
	switch (e->code) {
	case ERR_USAGE:
	case ERR_INPUT:
		return 400;
	case ERR_DB_LOST:
		return 503;
	case ERR_HELD:
	case ERR_DB_REJECTED:
	case ERR_DB_DUPLICATE:
	case ERR_DB_BUSY:
		return 409;
	default:
		return 500;
	}
}

static void
finish_action(struct task *t)
{
	struct monitor *m = t->m;

	if (t->ok)
		request_reply(t->request, 200, "application/json", t->answer.data, t->answer.len);
	else
		request_fail(t->request, status_of(&t->e), "not_done", "%s", t->e.msg);
	if (t->action.drain)
		wish_drain(m);
	if (t->action.reload && m->wishes.reload != NULL)
		m->wishes.reload(m->wishes.arg);
	m->look_due_ms = 0;
	m->counts_due_ms = 0;
}

static void
take_action(struct request *request, struct monitor *m, enum action_kind kind)
{
	struct task *t = task_new(m, request, work_action, finish_action);
	size_t len;
	const char *body = request_body(request, &len);
	struct err e;

	if (t != NULL && !action_parse(kind, body, len, &t->action, &e)) {
		request_fail(request, 400, "bad_action", "%s", e.msg);
		task_free(t);
		return;
	}
	if (t != NULL)
		(void)snprintf(t->action.caller, sizeof t->action.caller, "%s", request_address(request));
	(void)task_put(&m->slow, t, request);
}

#define HANDLE(name, kind) \
	static void \
	handle_##name(struct request *request, void *arg) \
	{ \
		take_action(request, arg, kind); \
	}

HANDLE(resolve, ACTION_RESOLVE)
HANDLE(resolve_many, ACTION_RESOLVE_MANY)
HANDLE(retry, ACTION_RETRY)
HANDLE(discard, ACTION_DISCARD)
HANDLE(allow, ACTION_ALLOW)
HANDLE(drain, ACTION_DRAIN)
HANDLE(pause, ACTION_PAUSE)
HANDLE(resume, ACTION_RESUME)

/* For scripts; nothing is noted. */
static void
handle_trigger(struct request *request, void *arg)
{
	wish_drain(arg);
	request_reply(request, 202, "application/json", "{\"draining\":true}\n", 18);
}

const struct route monitor_routes[] = {
	{ "GET", "/healthz", AUTH_OPEN, 0, handle_healthz },
	{ "GET", "/monitor.css", AUTH_OPEN, 0, handle_style }, /* the form for the key is made of these */
	{ "GET", "/icon.svg", AUTH_OPEN, 0, handle_icon },
	{ "GET", LOGIN_PATH, AUTH_OPEN, 0, handle_door },
	{ "POST", LOGIN_PATH, AUTH_LOGIN, 1024, handle_login },
	{ "POST", "/logout", AUTH_MONITOR, 1024, handle_logout },
	{ "GET", "/", AUTH_PAGE, 0, handle_page },
	{ "GET", "/monitor.js", AUTH_MONITOR, 0, handle_script },
	{ "GET", "/texts.json", AUTH_MONITOR, 0, handle_texts },
	{ "GET", "/api/status", AUTH_MONITOR, 0, handle_status },
	{ "GET", "/metrics", AUTH_METRICS, 0, handle_metrics },
	{ "GET", "/api/monitor/state", AUTH_MONITOR, 0, handle_state },
	{ "GET", "/api/monitor/events", AUTH_MONITOR, 0, handle_events },
	{ "GET", "/api/monitor/review", AUTH_MONITOR, 0, handle_review },
	{ "GET", "/api/monitor/history", AUTH_MONITOR, 0, handle_history },
	{ "POST", "/api/monitor/resolve", AUTH_MONITOR, ACTION_BODY_MAX, handle_resolve },
	{ "POST", "/api/monitor/resolve-many", AUTH_MONITOR, ACTION_BODY_MAX, handle_resolve_many },
	{ "POST", "/api/monitor/retry", AUTH_MONITOR, ACTION_BODY_MAX, handle_retry },
	{ "POST", "/api/monitor/discard", AUTH_MONITOR, ACTION_BODY_MAX, handle_discard },
	{ "POST", "/api/monitor/allow", AUTH_MONITOR, ACTION_BODY_MAX, handle_allow },
	{ "POST", "/api/monitor/drain", AUTH_MONITOR, ACTION_BODY_MAX, handle_drain },
	{ "POST", "/api/monitor/pause", AUTH_MONITOR, ACTION_BODY_MAX, handle_pause },
	{ "POST", "/api/monitor/resume", AUTH_MONITOR, ACTION_BODY_MAX, handle_resume },
	{ "POST", "/api/trigger", AUTH_MONITOR, 1024, handle_trigger },
};
const size_t monitor_nroutes = sizeof monitor_routes / sizeof monitor_routes[0];

/* --- beginning and end --- */

bool
monitor_new(const struct conf *conf, struct monitor **out, struct err *e)
{
	struct monitor *m = calloc(1, sizeof *m);

	*out = NULL;
	if (m == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the monitor");
	m->conf = m->quick.conf = m->slow.conf = conf;
	buf_init(&m->state, STATE_MAX);
	buf_init(&m->counts, REPORT_TEXT_MAX);
	buf_init(&m->metrics, METRICS_TEXT_MAX);
	if (!jobs_new("monitor", &m->quick, &m->quick.jobs, e) || !jobs_new("counts", &m->slow, &m->slow.jobs, e)) {
		monitor_free(m);
		return false;
	}
	*out = m;
	return true;
}

void
monitor_free(struct monitor *m)
{
	if (m == NULL)
		return;
	jobs_free(m->quick.jobs);
	jobs_free(m->slow.jobs);
	monitor_stop(m);
	db_close(m->quick.db);
	db_close(m->slow.db);
	buf_free(&m->state);
	buf_free(&m->counts);
	buf_free(&m->metrics);
	free(m);
}

void
monitor_stop(struct monitor *m)
{
	for (size_t i = 0; i < MONITOR_STREAMS_MAX; i++)
		stream_end(&m->streams[i]);
}

void
monitor_fds(const struct monitor *m, int fds[MONITOR_FDS])
{
	fds[0] = jobs_fd(m->quick.jobs);
	fds[1] = jobs_fd(m->slow.jobs);
}

void
monitor_finish(struct monitor *m)
{
	jobs_finish(m->quick.jobs);
	jobs_finish(m->slow.jobs);
}

void
monitor_on_wish(struct monitor *m, const struct monitor_wishes *wishes)
{
	m->wishes = *wishes;
}
