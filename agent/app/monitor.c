/* The monitor's handlers. Not here: what the state is (app/report), how the page looks (web/). */
#include "app/monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/report.h"
#include "base/asset.h"

struct monitor {
	const struct conf *conf;
	struct db *db; /* the worker's */
	struct jobs *jobs;
	void (*trigger)(void *arg);
	void *trigger_arg;
};

struct task {
	struct request *request;
	struct buf answer;
	bool ok;
	struct err e;
};

bool
monitor_new(const struct conf *conf, struct monitor **out, struct err *e)
{
	struct monitor *m = calloc(1, sizeof *m);

	*out = NULL;
	if (m == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the monitor");
	m->conf = conf;
	if (!jobs_new("monitor", m, &m->jobs, e)) {
		free(m);
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
	jobs_free(m->jobs);
	db_close(m->db);
	free(m);
}

int
monitor_fd(const struct monitor *m)
{
	return jobs_fd(m->jobs);
}

void
monitor_finish(struct monitor *m)
{
	jobs_finish(m->jobs);
}

void
monitor_on_trigger(struct monitor *m, void (*fn)(void *arg), void *arg)
{
	m->trigger = fn;
	m->trigger_arg = arg;
}

/* --- status --- */

static bool
read_status(struct monitor *m, struct task *t)
{
	struct report report;

	if (m->db == NULL && !db_open(&m->conf->database, &m->db, &t->e))
		return false;
	if (!report_read(m->db, m->conf, NULL, &report, &t->e))
		return false;
	report_json(&report, &t->answer);
	report_free(&report);
	return buf_check(&t->answer, "the status", &t->e);
}

static void
run_status(void *job, void *worker)
{
	struct monitor *m = worker;
	struct task *t = job;

	t->ok = read_status(m, t);
	if (t->ok || m->db == NULL || !db_is_lost(m->db))
		return;
	db_close(m->db);
	m->db = NULL;
	t->ok = read_status(m, t); /* the connection died while idle */
}

static void
status_done(void *job)
{
	struct task *t = job;

	if (t->ok)
		request_reply(t->request, 200, "application/json", t->answer.data, t->answer.len);
	else
		request_fail(t->request, 503, "database", "%s", t->e.msg);
	buf_free(&t->answer);
	free(t);
}

static void
handle_status(struct request *request, void *arg)
{
	struct monitor *m = arg;
	struct task *t = calloc(1, sizeof *t);

	if (t == NULL) {
		request_fail(request, 503, "memory", "out of memory");
		return;
	}
	t->request = request;
	buf_init(&t->answer, REPORT_TEXT_MAX * 4);
	if (jobs_put(m->jobs, run_status, status_done, t))
		return;
	request_fail(request, 503, "busy", "too many requests are waiting");
	free(t);
}

/* --- the rest --- */

static void
handle_healthz(struct request *request, void *arg)
{
	(void)arg;
	request_reply(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

static void
handle_trigger(struct request *request, void *arg)
{
	struct monitor *m = arg;

	if (m->trigger != NULL)
		m->trigger(m->trigger_arg);
	request_reply(request, 202, "application/json", "{\"draining\":true}\n", 18);
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
handle_page(struct request *request, void *arg)
{
	(void)arg;
	send_asset(request, "web/index.html", "text/html; charset=utf-8");
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

const struct route monitor_routes[] = {
	{ "GET", "/healthz", AUTH_OPEN, 0, handle_healthz },
	{ "GET", "/", AUTH_MONITOR, 0, handle_page },
	{ "GET", "/monitor.js", AUTH_MONITOR, 0, handle_script },
	{ "GET", "/monitor.css", AUTH_MONITOR, 0, handle_style },
	{ "GET", "/api/status", AUTH_MONITOR, 0, handle_status },
	{ "POST", "/api/trigger", AUTH_MONITOR, 1024, handle_trigger },
};
const size_t monitor_nroutes = sizeof monitor_routes / sizeof monitor_routes[0];
