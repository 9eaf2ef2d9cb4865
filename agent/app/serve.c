/* The daemon. Lives here: the event loop, its signals, one draining thread a peer. Not here: what they
 * do (sync/drain, sync/receive, app/lookout, app/monitor). The loop's thread never touches a database. */
#include "config.h"

#include "app/serve.h"

#include <event2/event.h>
#include <malloc.h>
#include <mysql.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "app/lookout.h"
#include "app/monitor.h"
#include "app/notice.h"
#include "app/pair.h"
#include "app/running.h"
#include "base/clock.h"
#include "base/count.h"
#include "base/log.h"
#include "base/process.h"
#include "base/service.h"
#include "net/hatch.h"
#include "net/shelf.h"
#include "net/tls.h"
#include "sync/carry.h"
#include "sync/drain.h"
#include "sync/fetch.h"
#include "sync/parting.h"
#include "sync/startup.h"
#include "sync/receive.h"
#include "wire/compare.h"
#include "wire/errand.h"
#include "wire/seal.h"

enum {
	BACKOFF_FIRST_MS = 500,	       /* after a failure; doubles, with jitter */
	BACKOFF_MAX_MS = 60 * 1000,    /* so that a peer coming home waits a minute at most */
	RETRY_FIRST_MS = 2000,	       /* records that were refused */
	RETRY_MAX_MS = 5 * 60 * 1000,
	TIDY_MS = 10 * 1000,	       /* statuses, purge, holes: this long after the last work */
	STOP_WAIT_MS = 30 * 1000,      /* for the group being applied at SIGTERM */
	FIRST_SETTLE_MS = 200,	       /* statuses soon after a burst, for people who look */
	VISIT_LOOK_MS = 250,	       /* peers that wait for something to fetch, and for how long */
	IDLE_SHARE = 8,		       /* a look that found nothing and took longer than the interval: rest so many times as long ... */
	IDLE_MAX_MS = 2000,	       /* ... and no longer than this, since what is committed meanwhile waits */
	RELOAD_MAX_MS = (DB_SILENCE_S + 60) * 1000, /* nobody waits longer for a database, nor this for a worker */
	FILES_AGAIN_MS = 1000,	       /* what a peer still needs of upload folders, or is not ready for; doubles */
	FILES_AGAIN_MAX_MS = 60 * 1000,
	FILES_IDLE_MS = 10 * 60 * 1000, /* nothing is known to be missing there: asked all the same */
	PAIRED_WAIT_MS = 300	       /* between pairing and reading agent.conf again: its answer is on its way */
};

const struct route peer_routes[] = {
	{ "POST", "/api/sync/hello", AUTH_HELLO, 64 * 1024, receive_hello },
	{ "POST", "/api/sync/receive", AUTH_PEER, MESSAGE_BODY_MAX + MESSAGE_ENVELOPE_MAX + SEAL_EXTRA, receive_group },
	{ "POST", "/api/sync/rehearse", AUTH_PEER, MESSAGE_BODY_MAX + MESSAGE_ENVELOPE_MAX + SEAL_EXTRA, receive_rehearsal },
	{ "POST", "/api/sync/verify", AUTH_PEER, COMPARE_BODY_MAX + SEAL_EXTRA, receive_verify },
	{ "POST", "/api/sync/files", AUTH_PEER, CARRY_BODY_MAX + SEAL_EXTRA, receive_files },
	{ "GET", "/api/sync/download", AUTH_PEER, 0, receive_download },
	{ "POST", "/api/sync/acknowledge", AUTH_PEER, MESSAGE_BODY_MAX + ERRAND_LINE_MAX + SEAL_EXTRA, receive_acknowledge },
	{ "POST", PAIR_PATH, AUTH_PAIR, PAIR_BODY_MAX, pair_answer },
};
const size_t npeer_routes = sizeof peer_routes / sizeof peer_routes[0];

/* One peer's draining thread, or the one that fetches from it, or (peer NULL) one of those for upload folders. */
struct pump {
	struct pump *others; /* that began before this one */
	size_t nothers;
	const struct conf *conf;
	const struct conf_peer *peer;
	const atomic_bool *stop;
	struct shelf *shelf; /* where the peer fetches */
	atomic_bool kick; /* drain now, whatever the backoff says */
	pthread_t thread;
	bool started;
	int64_t backoff_ms;
	int64_t retry_ms, retry_at;
	int64_t tidy_at;
	int64_t look_ms; /* that the last look took */
	bool owed;
	int64_t files_at, files_ms; /* when the peer is asked what it needs of upload folders; the pause if it is not served then */
	atomic_bool files_kick;	    /* the peer has just come to the shelf: it is asked now */
};

struct serve {
	const struct conf *conf;
	struct event_base *base;
	struct receive *receive;
	struct monitor *monitor;
	struct notice *notice; /* NULL without [sync] notify */
	struct server *peers, *people;
	struct tls_door *tls; /* of peers; NULL when tls = off */
	struct pair *pair;
	struct hatch *hatch; /* NULL: it could not be opened */
	struct conf *next; /* agent.conf as it was read again; then everything begins anew with it */
	struct pump *pumps; /* of each peer one, and of some one more, that fetches */
	size_t npumps;
	atomic_bool stop;
	struct event *events[RECEIVE_FDS + MONITOR_FDS + 7]; /* workers, their clock, monitor, its tick, three signals, sign of life, stopping */
	size_t nevents;
	int64_t stopping_since;
};

/* --- draining threads --- */

static bool
pump_stopped(const struct pump *p)
{
	return atomic_load(p->stop);
}

/* Sleep in short steps, so that stopping and kicking are quick. */
static void
pump_nap(struct pump *p, int64_t ms)
{
	enum { STEP_MS = 50 };
	int64_t until = clock_mono_ms() + ms;

	for (;;) {
		int64_t left = until - clock_mono_ms();

		if (left <= 0 || pump_stopped(p))
			return;
		if (atomic_exchange(&p->kick, false)) { /* as agent --drain: what was refused is tried, too */
			p->owed = true;
			p->retry_at = 0;
			return;
		}
		clock_nap_ms(left < STEP_MS ? left : STEP_MS);
	}
}

static void
pump_failed(struct pump *p, const struct err *e)
{
	unsigned char chance = 128;
	struct err ignored;

	if (e->code == ERR_STOPPED)
		return;
	count_add(COUNT_SENDING_FAILED, p->peer->name, err_word(e->code));
	log_warning(p->peer->name, "%s", e->msg);
	p->backoff_ms = p->backoff_ms == 0 ? BACKOFF_FIRST_MS : p->backoff_ms * 2;
	if (p->backoff_ms > BACKOFF_MAX_MS)
		p->backoff_ms = BACKOFF_MAX_MS;
	/* Jitter of a quarter either way: laptops that came home together do not knock together. */
	if (!clock_random(&chance, 1, &ignored))
		chance = 128;
	pump_nap(p, p->backoff_ms * (192 + chance / 2) / 256);
}

static void
plan_retry(struct pump *p, const struct drain_report *report, bool retried)
{
	p->owed = report->owed;
	if (!p->owed || (report->records > 0 && !retried))
		p->retry_ms = 0;
	if (retried || p->retry_ms == 0)
		p->retry_ms = p->retry_ms == 0 ? RETRY_FIRST_MS : p->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : p->retry_ms * 2;
	p->retry_at = clock_mono_ms() + p->retry_ms;
}

/* Upload folders: ask what the peer needs and bring it. */
static bool
pump_files(struct pump *p, struct drain *d, struct err *e)
{
	struct carry_report report;

	if (p->conf->ntrees == 0 || !drain_has_way(d) || (!atomic_exchange(&p->files_kick, false) && clock_mono_ms() < p->files_at))
		return true;
	p->files_at = clock_mono_ms() + FILES_AGAIN_MAX_MS; /* should it fail: the backoff decides */
	if (!drain_files(d, &report, e))
		return false;
	if (!report.owed || report.contents > 0)
		p->files_ms = FILES_AGAIN_MS;
	if (report.contents > 0)
		p->retry_at = 0; /* rows that waited for their files */
	p->files_at = clock_mono_ms() + (report.owed ? p->files_ms : FILES_IDLE_MS);
	if (report.owed && report.contents == 0)
		p->files_ms = p->files_ms * 2 > FILES_AGAIN_MAX_MS ? FILES_AGAIN_MAX_MS : p->files_ms * 2;
	return true;
}

/* Look, and drain when there is something. */
static bool
pump_once(struct pump *p, struct drain *d, bool *worked, struct err *e)
{
	int64_t began = clock_mono_ms();
	bool retry = p->owed && began >= p->retry_at, pending;
	uint64_t visit = shelf_visit(p->shelf, NULL);
	struct drain_report report;

	*worked = false;
	if (!drain_look(d, retry, &pending, e))
		return false;
	p->look_ms = clock_mono_ms() - began;
	if (pending && drain_has_way(d)) {
		if (!drain_run(d, retry, &report, e))
			return false;
		*worked = report.groups > 0;
		if (!report.busy)
			plan_retry(p, &report, retry);
		if (report.groups > 0) {
			p->files_at = 0;
			p->files_ms = FILES_AGAIN_MS;
		}
	}
	if (!pump_files(p, d, e))
		return false;
	if (!pending)
		shelf_nothing(p->shelf, visit);
	return true;
}

static void
pump_tidy(struct pump *p, struct drain *d)
{
	struct err e = { 0 };

	if (clock_mono_ms() < p->tidy_at)
		return;
	p->tidy_at = clock_mono_ms() + TIDY_MS;
	if (!drain_tidy(d, &e)) /* statuses can wait; changes cannot */
		log_warning(p->peer->name, "statuses are not up to date: %s", e.msg);
}

/* A look passes by what a transaction that has not ended has written, each time: it is not to slow that down. */
static int64_t
rest_of(const struct pump *p)
{
	int64_t interval = p->conf->sync.interval_ms, rest = p->look_ms * IDLE_SHARE;

	if (p->look_ms <= interval)
		return interval;
	return rest < IDLE_MAX_MS ? rest : interval < IDLE_MAX_MS ? IDLE_MAX_MS : interval;
}

static bool
pump_step(struct pump *p, struct drain *d, struct err *e)
{
	bool worked = false, ok = pump_once(p, d, &worked, e);

	if (ok)
		p->backoff_ms = 0;
	if (worked) {
		p->tidy_at = clock_mono_ms() + FIRST_SETTLE_MS;
		process_trim_memory(); /* a large group's memory goes back to the laptop */
	} else
		pump_tidy(p, d); /* a peer that is away must not keep the disk from being freed */
	if (!ok)
		return false;
	if (!worked)
		pump_nap(p, rest_of(p));
	return true;
}

static void *
pump_main(void *arg)
{
	struct pump *p = arg;
	struct drain *d = NULL;
	struct err e = { 0 };

	(void)mysql_thread_init();
	p->owed = true; /* what an earlier run left behind */
	p->tidy_at = clock_mono_ms() + FIRST_SETTLE_MS;
	if (!drain_new(p->conf, p->peer, p->stop, &d, &e))
		log_error(p->peer->name, "%s", e.msg);
	else if (strcmp(p->conf->sync.startup, "auto") == 0)
		drain_fill_blank(d);
	if (d != NULL)
		drain_use_shelf(d, p->shelf);
	while (d != NULL && !pump_stopped(p)) {
		err_clear(&e);
		if (!pump_step(p, d, &e))
			pump_failed(p, &e);
	}
	drain_free(d);
	mysql_thread_end();
	return NULL;
}

static void *
fetch_main(void *arg)
{
	struct pump *p = arg;
	struct fetch *f = NULL;
	struct err e = { 0 };

	(void)mysql_thread_init();
	if (!fetch_new(p->conf, p->peer, p->stop, &f, &e))
		log_error(p->peer->name, "%s", e.msg);
	while (f != NULL && !pump_stopped(p)) {
		struct fetch_report report;

		err_clear(&e);
		if (fetch_run(f, false, &report, &e))
			pump_nap(p, BACKOFF_FIRST_MS); /* an agent --drain fetches just now */
		else {
			if (report.groups > 0)
				p->backoff_ms = 0;
			pump_failed(p, &e);
		}
	}
	fetch_free(f);
	mysql_thread_end();
	return NULL;
}

/* The peer has begun to fetch: what waited for a better time is tried now. */
static void
on_visit(void *arg)
{
	struct pump *p = arg;

	atomic_store(&p->files_kick, true);
	atomic_store(&p->kick, true);
}

/* --- upload folders --- */

static void
call_others(void *arg)
{
	const struct pump *p = arg;

	for (size_t i = 0; i < p->nothers; i++)
		on_visit(&p->others[i]);
}

static void *
look_main(void *arg)
{
	struct pump *p = arg;

	(void)mysql_thread_init();
	lookout_run(&(struct lookout){ .conf = p->conf, .stop = p->stop, .call = call_others, .arg = p });
	mysql_thread_end();
	return NULL;
}

static void *
commands_main(void *arg)
{
	const struct pump *p = arg;

	(void)mysql_thread_init();
	lookout_commands(&(struct lookout){ .conf = p->conf, .stop = p->stop });
	mysql_thread_end();
	return NULL;
}

static bool
start_pump(struct serve *s, const struct conf_peer *peer, void *(*run)(void *), struct err *e)
{
	struct pump *p = &s->pumps[s->npumps];

	p->others = s->pumps;
	p->nothers = s->npumps;
	p->conf = s->conf;
	p->peer = peer;
	p->stop = &s->stop;
	p->shelf = peer == NULL ? NULL : receive_shelf(s->receive, peer->name);
	if (run == pump_main)
		shelf_on_visit(p->shelf, on_visit, p);
	if (pthread_create(&p->thread, NULL, run, p) != 0)
		return err_set(e, ERR_IO, "cannot start the thread of %s%s", peer == NULL ? "upload folders" : "peer ", peer == NULL ? "" : peer->name);
	p->started = true;
	s->npumps++;
	return true;
}

static bool
start_pumps(struct serve *s, struct err *e)
{
	s->pumps = calloc(2 * s->conf->npeers + 3, sizeof *s->pumps);
	if (s->pumps == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the peers");
	for (size_t i = 0; i < s->conf->npeers; i++) {
		const struct conf_peer *peer = &s->conf->peers[i];

		if (!peer->paused && (!start_pump(s, peer, pump_main, e) || (peer->pull && !start_pump(s, peer, fetch_main, e))))
			return false;
	}
	if (lookout_has_commands(s->conf) && !start_pump(s, NULL, commands_main, e))
		return false;
	return s->conf->ntrees == 0 || start_pump(s, NULL, look_main, e); /* the last: it knows all others */
}

static void
kick_pumps(void *arg)
{
	struct serve *s = arg;

	for (size_t i = 0; i < s->npumps; i++)
		atomic_store(&s->pumps[i].kick, true);
}

/* --- the loop --- */

static void
on_receive(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	(void)fd;
	(void)what;
	receive_finish(s->receive);
}

static void
on_monitor(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	(void)fd;
	(void)what;
	monitor_finish(s->monitor);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	(void)fd;
	(void)what;
	if (s->stopping_since == 0)
		monitor_tick(s->monitor);
}

/* On the loop, so that a loop that stands still gives none. */
static void
on_alive(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	service_alive();
}

static void
on_status(const char *line, void *arg)
{
	(void)arg;
	service_status(line);
}

/* Leave when nothing is being answered any more, or after STOP_WAIT_MS. */
static void
on_stopping(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;
	bool busy = server_busy(s->peers) + server_busy(s->people) > 0 || receive_is_busy(s->receive);

	(void)fd;
	(void)what;
	if (!busy || clock_mono_ms() - s->stopping_since > STOP_WAIT_MS)
		(void)event_base_loopbreak(s->base);
}

static bool
add_event(struct serve *s, struct event *ev, const struct timeval *tv, struct err *e)
{
	if (ev == NULL || event_add(ev, tv) != 0) {
		if (ev != NULL)
			event_free(ev);
		return err_set(e, ERR_MEMORY, "out of memory for the event loop");
	}
	s->events[s->nevents++] = ev;
	return true;
}

static void
stop(struct serve *s)
{
	static const struct timeval often = { 0, 20 * 1000 };
	struct err e;

	s->stopping_since = clock_mono_ms();
	atomic_store(&s->stop, true);
	monitor_stop(s->monitor);
	server_stop_accepting(s->peers);
	server_stop_accepting(s->people);
	receive_stop_waiting(s->receive);
	if (!add_event(s, event_new(s->base, -1, EV_PERSIST, on_stopping, s), &often, &e))
		(void)event_base_loopbreak(s->base);
}

static void
on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	(void)what;
	conf_free(s->next); /* stopping is stronger than reading again */
	s->next = NULL;
	service_stopping();
	if (s->stopping_since != 0)
		return;
	log_info(NULL, "signal %d: stopping", (int)fd);
	stop(s);
}

/* Between two lives nobody listens: what comes then waits for the next one. Threads are made while signals are
 * held, and never take one. */
static void
hold_signals(bool hold)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* SIGHUP, or somebody was paired: begin anew with agent.conf as it is now, if it is good. */
static void
on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;
	struct conf *next = NULL;
	struct err e;

	(void)fd;
	(void)what;
	if (s->stopping_since != 0 && s->next == NULL)
		return;
	if (!conf_load(s->conf->path, &next, &e)) {
		log_error(NULL, "going on with agent.conf as it was: %s", e.msg);
		return;
	}
	log_info(NULL, "agent.conf is read again");
	conf_free(s->next); /* once more, while the first time was under way */
	s->next = next;
	if (s->stopping_since != 0)
		return;
	service_reloading(RELOAD_MAX_MS);
	stop(s);
}

static void
on_paired(void *arg)
{
	static const struct timeval soon = { 0, PAIRED_WAIT_MS * 1000 };
	struct serve *s = arg;

	(void)event_base_once(s->base, -1, EV_TIMEOUT, on_reload, s, &soon);
}

/* When a service manager wants to see signs of life. */
static bool
watch_ourselves(struct serve *s, struct err *e)
{
	int64_t ms = service_watch_ms();
	const struct timeval often = { ms / 1000, ms % 1000 * 1000 };

	return ms == 0 || add_event(s, event_new(s->base, -1, EV_PERSIST, on_alive, s), &often, e);
}

static bool
watch(struct serve *s, struct err *e)
{
	static const struct timeval second = { MONITOR_TICK_MS / 1000, MONITOR_TICK_MS % 1000 * 1000 };
	static const struct timeval now_and_then = { 0, VISIT_LOOK_MS * 1000 };
	int fds[RECEIVE_FDS], monitor[MONITOR_FDS];

	receive_fds(s->receive, fds);
	monitor_fds(s->monitor, monitor);
	for (size_t i = 0; i < RECEIVE_FDS; i++)
		if (!add_event(s, event_new(s->base, fds[i], EV_READ | EV_PERSIST, on_receive, s), NULL, e))
			return false;
	for (size_t i = 0; i < MONITOR_FDS; i++)
		if (!add_event(s, event_new(s->base, monitor[i], EV_READ | EV_PERSIST, on_monitor, s), NULL, e))
			return false;
	return add_event(s, event_new(s->base, -1, EV_PERSIST, on_tick, s), &second, e) &&
	    add_event(s, event_new(s->base, -1, EV_PERSIST, on_receive, s), &now_and_then, e) &&
	    add_event(s, evsignal_new(s->base, SIGTERM, on_signal, s), NULL, e) && add_event(s, evsignal_new(s->base, SIGINT, on_signal, s), NULL, e) &&
	    add_event(s, evsignal_new(s->base, SIGHUP, on_reload, s), NULL, e) && watch_ourselves(s, e);
}

static bool
listen_all(struct serve *s, struct err *e)
{
	struct server_options peers = { .base = s->base, .conf = s->conf, .address = s->conf->node.listen, .routes = peer_routes,
		.nroutes = npeer_routes, .arg = s->receive };
	struct server_options people = { .base = s->base, .conf = s->conf, .address = s->conf->node.monitor, .routes = monitor_routes,
		.nroutes = monitor_nroutes, .arg = s->monitor };

	if ((s->conf->node.tls && !tls_door_new(s->conf, &s->tls, e)) || !pair_new(s->conf, on_paired, s, &s->pair, e))
		return false;
	peers.tls = s->tls;
	peers.pairing = pair_door(s->pair, s->tls);
	return server_new(&peers, &s->peers, e) && server_new(&people, &s->people, e);
}

/* A database that is away is waited for; one that is there but not installed is the user's to mend. */
static bool
check_database(const struct conf *conf, struct err *e)
{
	struct node_identity node;
	struct db *db = NULL;
	struct err later = { 0 };
	bool fills = strcmp(conf->sync.startup, "auto") == 0, ok;

	/* Before anybody can call. */
	if (fills)
		startup_await_later();
	ok = db_open(&conf->database, &db, e) && schema_enter(db, conf, &node, e) && (!fills || startup_await(db, conf, e));
	/* Here, since a node whose last peer left, or with paused ones alone, never drains. */
	if (ok && !parting_forget(db, conf, NULL, NULL, &later))
		log_warning(NULL, "peers that left agent.conf are not forgotten yet: %s", later.msg);
	db_close(db);
	if (ok || e->code == ERR_DB_LOST) {
		if (!ok)
			log_warning(NULL, "%s; waiting for it", e->msg);
		err_clear(e);
		return true;
	}
	return false;
}

static bool
start(struct serve *s, struct err *e)
{
	s->base = event_base_new();
	if (s->base == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the event loop");
	if (!check_database(s->conf, e) || !receive_new(s->conf, &s->receive, e) || !monitor_new(s->conf, &s->monitor, e))
		return false;
	monitor_on_wish(s->monitor, &(struct monitor_wishes){ kick_pumps, on_paired, on_status, s });
	if (!listen_all(s, e) || !watch(s, e) || !start_pumps(s, e) || !notice_new(s->conf, &s->notice, e))
		return false;
	hatch_open(s->conf, receive_shelves(s->receive), &s->stop, &s->hatch);
	hold_signals(false);
	return true;
}

static void
finish(struct serve *s)
{
	atomic_store(&s->stop, true);
	for (size_t i = 0; i < s->npumps; i++)
		if (s->pumps[i].started)
			(void)pthread_join(s->pumps[i].thread, NULL);
	hatch_close(s->hatch);
	notice_free(s->notice);
	/* Workers answer what they had begun; then the servers close. */
	receive_free(s->receive);
	monitor_free(s->monitor);
	server_free(s->peers);
	server_free(s->people);
	tls_door_free(s->tls);
	pair_free(s->pair);
	for (size_t i = 0; i < s->nevents; i++)
		event_free(s->events[i]);
	if (s->base != NULL)
		event_base_free(s->base);
	free(s->pumps);
}

/* One life: until a signal. *next: agent.conf, when it is to begin anew. */
static bool
serve_once(const struct conf *conf, struct conf **next, struct err *e)
{
	struct serve s = { .conf = conf };
	bool ok;

	atomic_init(&s.stop, false);
	ok = start(&s, e);
	if (ok) {
		log_info(NULL, "agent %s up: node %s, peers at %s://%s, page at http://%s/, libmariadb %s, libevent %s", PACKAGE_VERSION, conf->node.name,
		    conf->node.tls ? "https" : "http", conf->node.listen, conf->node.monitor, mysql_get_client_info(), event_get_version());
		service_ready();
		ok = event_base_dispatch(s.base) >= 0 || err_set(e, ERR_INTERNAL, "the event loop failed");
		hold_signals(true);
		(void)event_base_loop(s.base, EVLOOP_NONBLOCK); /* a signal that came with the end */
	}
	finish(&s);
	*next = s.next;
	return ok;
}

enum exit_code
serve_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct conf *own = NULL, *next = NULL;
	struct err later;
	bool ok;

	/* Two arenas are enough for threads that mostly sleep; each more costs memory at rest. */
	(void)mallopt(M_ARENA_MAX, 2);
	running_begin(conf);
	service_begin();
	hold_signals(true);
	do {
		ok = serve_once(own != NULL ? own : conf, &next, e);
		conf_free(own);
		own = next;
		/* Nobody else runs between two lives. */
		if (ok && own != NULL && !cli_open_log(cli, own, &later))
			log_error(NULL, "the log stays as it was: %s", later.msg);
	} while (ok && own != NULL);
	conf_free(own);
	if (ok)
		log_info(NULL, "stopped");
	return ok ? EXIT_DONE : cli_exit_code(e);
}
