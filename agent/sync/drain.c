/* One peer's drain. Lives here: the order of the steps, the peer's lock. Not here: the conversation
 * (sync/link), what a group is (sync/group), what an answer means (sync/settle), when to run (app/verbs, app/serve). */
#include "sync/drain.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/preference.h"
#include "base/clock.h"
#include "base/log.h"
#include "change/filling.h"
#include "change/moved.h"
#include "change/renewal.h"
#include "sync/define.h"
#include "sync/drift.h"
#include "sync/link.h"
#include "sync/parting.h"
#include "sync/settle.h"

enum {
	HELLO_TRIES = 3, /* in one run: the first, one for a stale session, one for another position */
	STARTUP_PAUSE_MS = 1000, /* between two looks for a startup that was cut */
	STARTUP_WAIT_S = 60, /* for a drain that is running */
	BACKLOG_ROWS = 20 * 1000, /* changes that are sent before a startup: it looks each record up among those that are not */
	TABLES_SHOWN = 6,    /* tables of a group that its line in the log names ... */
	TABLE_SHOWN_MAX = 64, /* ... and bytes of each name */
	TABLES_TEXT_MAX = TABLES_SHOWN * (TABLE_SHOWN_MAX + 24) + 32
};

struct drain {
	const struct conf *conf;
	const struct conf_peer *peer;
	const atomic_bool *stop;
	struct db *db;
	struct node_identity node;
	struct link link;
	struct carry_asked asked; /* about upload folders */
	struct group groups[2]; /* one on its way, one being built; what is known of the tables stays */
	struct mark quiet;  /* everything this contains has been found to be nothing for the peer */
	bool has_quiet;
	int64_t look_at; /* for drift, not before */
	bool allow_deletes; /* a person's yes to whatever is found */
	bool fill_blank; /* a node that has never been filled fills itself */
	int64_t startup_at; /* for a startup to go on with, not before */
	drain_reach_fn *reach; /* NULL: a peer without a url is not reached */
	void *reach_arg;
	drain_progress_fn *progress; /* or NULL */
	void *progress_arg;
	uint64_t first_id, last_id; /* of the queue, when this run began to send: progress is told by them */
};

bool
drain_new(const struct conf *conf, const struct conf_peer *peer, const atomic_bool *stop, struct drain **out, struct err *e)
{
	struct drain *d = calloc(1, sizeof *d);

	*out = NULL;
	if (d == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a drain");
	d->conf = conf;
	d->peer = peer;
	d->stop = stop;
	*out = d;
	return true;
}

static void
disconnect(struct drain *d)
{
	if (d->db != NULL) {
		for (size_t i = 0; i < 2; i++)
			group_free(&d->groups[i]);
	}
	db_close(d->db);
	d->db = NULL;
	if (d->has_quiet)
		mark_free(&d->quiet);
	d->has_quiet = false;
}

void
drain_use_shelf(struct drain *d, struct shelf *shelf)
{
	d->link.shelf = shelf;
}

void
drain_use_guest(struct drain *d, struct guest *guest)
{
	d->link.guest = guest;
}

bool
drain_has_way(const struct drain *d)
{
	return client_has_way(d->peer, d->link.shelf);
}

void
drain_free(struct drain *d)
{
	if (d == NULL)
		return;
	disconnect(d);
	client_free(d->link.client);
	free(d);
}

/* Seen on every new connection: after a restart the server may have forgotten its numbering. */
static bool
keep_numbering(struct drain *d, struct err *e)
{
	enum numbering_state state;
	struct numbering is;

	if (!numbering_keep(d->db, d->node.name, &state, &is, e))
		return false;
	if (state == NUMBERING_RESTORED)
		log_info(NULL, "the server had lost its numbering of new rows in a restart: auto_increment_increment=%llu and auto_increment_offset=%llu are set again",
		    (unsigned long long)is.increment, (unsigned long long)is.offset);
	else if (state == NUMBERING_LOST)
		log_warning(NULL, "the server has lost its numbering of new rows in a restart and this account may not set it again: agent --check says what to do");
	return true;
}

/* The peers of agent.conf, no others. Whoever left can be forgotten later: nothing is wrong until then. */
static bool
know_peers(struct drain *d, struct err *e)
{
	struct err later = { 0 };

	if (!parting_forget(d->db, d->conf, NULL, NULL, &later))
		log_debug(NULL, "peers that left agent.conf are forgotten later: %s", later.msg);
	return peer_register(d->db, d->peer->name, e) && parting_return(d->db, d->conf, d->peer->name, e);
}

static bool
connect_db(struct drain *d, struct err *e)
{
	if (d->db != NULL && db_is_lost(d->db))
		disconnect(d);
	if (d->db != NULL)
		return true;
	if (!db_open(&d->conf->database, &d->db, e))
		return false;
	d->link = (struct link){ .conf = d->conf, .peer = d->peer, .node = &d->node, .stop = d->stop, .db = d->db, .client = d->link.client, .shelf = d->link.shelf, .guest = d->link.guest, .rehearsing = d->link.rehearsing };
	for (size_t i = 0; i < 2; i++)
		group_init(&d->groups[i], d->db, d->conf, &d->node, d->peer->name);
	if (schema_enter(d->db, d->conf, &d->node, e) &&
	    (d->link.rehearsing || (know_peers(d, e) && keep_numbering(d, e))))
		return true;
	disconnect(d);
	return false;
}

static bool
stopped(const struct drain *d)
{
	return d->stop != NULL && atomic_load(d->stop);
}

/* --- is there anything? --- */

/* The usual case of a daemon with nothing to do: one query. */
static bool
is_quiet(struct drain *d, bool *quiet, struct err *e)
{
	uint64_t high, late;

	*quiet = false;
	if (!d->has_quiet)
		return true;
	if (!queue_peek(d->db, &d->quiet, &high, &late, e))
		return false;
	*quiet = high <= d->quiet.high && late == 0;
	return true;
}

static bool
is_owed(struct drain *d, bool *owed, struct err *e)
{
	uint64_t n = 0;

	if (!db_number(d->db, "SELECT 1 FROM sync_owed WHERE peer=? AND state IN ('retry','waiting') LIMIT 1", DB_ARGS(db_text(d->peer->name)), &n, NULL, e))
		return false;
	*owed = n > 0;
	return *owed || moved_is_due(d->db, d->peer->name, true, owed, e);
}

/* What no trigger saw; in a daemon at a rhythm that costs next to nothing. */
static bool
look_for_drift(struct drain *d, bool now, struct err *e)
{
	int64_t began = clock_mono_ms(), took;
	bool moved = false;

	if (!now && began < d->look_at)
		return true;
	if (!drift_look(d->db, d->conf, &d->node, &moved, e))
		return err_prefix(e, "looking at the tables");
	took = clock_mono_ms() - began;
	log_debug(d->peer->name, "looked at the tables in %lld ms", (long long)took);
	if (moved)
		d->look_at = began + took + DRIFT_AGAIN_MS;
	else
		d->look_at = began + (took * DRIFT_SHARE > DRIFT_PAUSE_MS ? took * DRIFT_SHARE : DRIFT_PAUSE_MS);
	return true;
}

/* A startup that was cut, or that has to begin by itself. */
static bool
startup_is_wanted(struct drain *d, bool *wanted, struct err *e)
{
	if (!startup_is_due(d->db, d->peer->name, wanted, e))
		return false;
	if (*wanted || !d->fill_blank)
		return true;
	if (!startup_is_blank(d->db, d->conf, wanted, e))
		return false;
	d->fill_blank = *wanted; /* once rows are here they stay the app's, and what peers send is taken */
	return *wanted || filling_decided(d->db, e);
}

static bool
look_for_startup(struct drain *d, bool *wanted, struct err *e)
{
	int64_t now = clock_mono_ms();

	*wanted = false;
	if (now < d->startup_at)
		return true;
	d->startup_at = now + STARTUP_PAUSE_MS;
	return startup_is_wanted(d, wanted, e);
}

bool
drain_look(struct drain *d, bool retry, bool *pending, struct err *e)
{
	struct peer_state state;
	struct mark acked = { 0 };
	uint64_t high = 0, late = 0;
	bool found = false, quiet, ok;

	*pending = false;
	if (!connect_db(d, e) || !look_for_startup(d, pending, e))
		return false;
	if (*pending)
		return true;
	if (!look_for_drift(d, false, e) || !moved_is_due(d->db, d->peer->name, retry, pending, e) || !is_quiet(d, &quiet, e))
		return false;
	if (*pending)
		return true;
	if (quiet)
		return !retry || is_owed(d, pending, e);
	if (!peer_load(d->db, d->peer->name, &state, e) || !queue_load_mark(d->db, state.acked_epoch, &acked, &found, e))
		return false;
	ok = !found || queue_peek(d->db, &acked, &high, &late, e);
	*pending = !found || high > acked.high || late > 0; /* not found: group_build explains it */
	mark_free(&acked);
	return ok && (*pending || !retry || is_owed(d, pending, e));
}

/* --- sending --- */

/* A group on its way, in a thread of its own while the next one is built. */
struct sending {
	struct link *link;
	struct group *group;
	struct buf answer;
	int status;
	bool ok;
	struct err e;
	char tables[TABLES_TEXT_MAX]; /* for the log */
};

/* "orders 3, riders 2": what the group has of which tables. */
static void
put_tables(const struct group *g, char out[TABLES_TEXT_MAX])
{
	const struct collapse *c = &g->collapse;
	uint64_t *records = log_wants(LOG_LEVEL_INFO) ? calloc(c->ntables + 1, sizeof *records) : NULL;
	size_t shown = 0, more = 0, len = 0;

	out[0] = '\0';
	for (size_t i = 0; records != NULL && i < c->n; i++)
		records[c->entries[i].table] += c->entries[i].send;
	for (size_t i = 0; records != NULL && i < c->ntables; i++) {
		if (records[i] == 0)
			continue;
		if (shown == TABLES_SHOWN) {
			more++;
			continue;
		}
		len += (size_t)snprintf(out + len, TABLES_TEXT_MAX - len, "%s%.*s %llu", shown++ == 0 ? "" : ", ", TABLE_SHOWN_MAX,
		    collapse_table_name(c, i), (unsigned long long)records[i]);
	}
	if (more > 0)
		(void)snprintf(out + len, TABLES_TEXT_MAX - len, " and %zu more", more);
	free(records);
}

static void *
send_main(void *arg)
{
	struct sending *s = arg;

	s->ok = link_send(s->link, s->group, &s->status, &s->answer, &s->e);
	return NULL;
}

/* What the peer made of the group. *again: it stands elsewhere; after a new hello there is another try. */
static bool
take_answer(struct drain *d, struct sending *s, struct drain_report *report, bool *again, struct err *e)
{
	struct settled settled;

	*again = false;
	if (!s->ok) {
		*e = s->e;
		return false;
	}
	if (link_is_elsewhere(s->status, &s->answer)) {
		*again = true;
		client_close(d->link.client);
		return true;
	}
	if (s->status != 200)
		return link_refused(&d->link, s->status, &s->answer, e);
	if (!settle_answer(d->db, d->conf, d->node.name, d->peer->name, &s->answer, &settled, e))
		return e->code == ERR_HELD ? link_hold_until_anew(&d->link, e) : false;
	report->groups++;
	report->records += settled.applied;
	report->refused += settled.refused;
	report->parked += settled.parked;
	log_info(d->peer->name, "Sync success: %llu records up to epoch %llu, %llu refused (%s)", (unsigned long long)settled.applied,
	    (unsigned long long)s->group->upto.epoch, (unsigned long long)settled.refused, s->tables);
	return true;
}

/* The ids that are behind us say about how many records are still to come. */
static void
tell_progress(struct drain *d, const struct group *g, const struct drain_report *report)
{
	uint64_t done, all;

	if (d->progress == NULL)
		return;
	if (d->last_id == 0) {
		struct err ignored; /* then nobody knows how much it is */

		d->first_id = g->base.high;
		if (!db_number(d->db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, &d->last_id, NULL, &ignored))
			d->last_id = g->upto.high;
	}
	done = g->upto.high > d->first_id ? g->upto.high - d->first_id : 0;
	all = d->last_id > d->first_id ? d->last_id - d->first_id : 0;
	d->progress(report->records, done > 0 && all > done && report->records > 0 ? (uint64_t)((double)report->records * (double)all / (double)done) : 0, d->progress_arg);
}

static void
remember_quiet(struct drain *d, struct group *g)
{
	if (d->has_quiet)
		mark_free(&d->quiet);
	d->quiet = g->upto;
	memset(&g->upto, 0, sizeof g->upto);
	d->has_quiet = true;
}

static bool
build(struct drain *d, struct group *g, const struct build_options *how, enum group_result *result, struct err *e)
{
	g->allow_deletes = d->allow_deletes;
	if (group_build(g, how, result, e))
		return true;
	return e->code == ERR_HELD ? link_hold(&d->link, e) : false;
}

/* Send one group, and meanwhile build the part that follows it. *next_ready: it stands in next. */
static bool
send_one(struct drain *d, struct group *g, struct group *next, struct drain_report *report, bool *again, bool *next_ready, struct err *e)
{
	struct sending s = { .link = &d->link, .group = g };
	struct build_options how = { .after = g->upto.epoch };
	enum group_result result = GROUP_NOTHING;
	uint64_t refused = report->refused;
	pthread_t thread;
	bool threaded, ok;

	put_tables(g, s.tables);
	log_info(d->peer->name, "Sync queued: epoch %llu, %llu records, %llu bytes (%s)", (unsigned long long)g->upto.epoch, (unsigned long long)g->records,
	    (unsigned long long)group_size(g), s.tables);
	buf_init(&s.answer, MESSAGE_ANSWER_MAX);
	threaded = (!g->last_part || report->groups > 0) && pthread_create(&thread, NULL, send_main, &s) == 0;
	if (!threaded)
		(void)send_main(&s);
	else {
		struct err ahead;

		next->allow_deletes = d->allow_deletes;
		*next_ready = !g->last_part && group_build(next, &how, &result, &ahead) && result == GROUP_READY;
		/* While the peer applies: the statuses of the parts before. */
		if (report->groups > 0 && !settle_statuses(d->db, d->conf, &ahead))
			log_debug(d->peer->name, "statuses later: %s", ahead.msg);
		(void)pthread_join(thread, NULL);
	}
	ok = take_answer(d, &s, report, again, e);
	if (ok)
		tell_progress(d, g, report);
	/* What was refused just now must be listed in the next group: build it again. */
	*next_ready = *next_ready && ok && !*again && report->refused == refused;
	if (!ok)
		client_close(d->link.client); /* whether it was applied is unknown: the next hello tells */
	buf_free(&s.answer);
	return ok;
}

/* Rows with one unique value that a table's rule decides and that were left over, as by a crash. */
static bool
decide_rivals(struct drain *d, struct err *e)
{
	struct catalog *c = NULL;
	bool due, ok;

	if (!preference_is_due(d->db, d->peer->name, &due, e))
		return false;
	if (!due)
		return true;
	ok = catalog_read(d->db, d->conf, &c, e) && preference_decide(d->db, &d->node, c, d->peer->name, e);
	catalog_free(c);
	return ok;
}

/* Tables that moved, before anything is sent from them. */
static bool
compare_moved(struct drain *d, bool retry, struct err *e)
{
	struct catalog *c = NULL;
	bool due, ok;

	if (!moved_is_due(d->db, d->peer->name, retry, &due, e))
		return false;
	if (!due)
		return true;
	/* Altered tables are what this is about: no definition of a second ago will do. */
	ok = catalog_read(d->db, d->conf, &c, e) && drift_settle(&d->link, c, retry, e) && link_open(&d->link, e);
	catalog_free(c);
	return ok;
}

/* Groups until nothing is left. A stale session (the peer was restarted) costs one new hello. */
static bool
send_all(struct drain *d, bool retry, struct drain_report *report, struct err *e)
{
	struct group *g = &d->groups[0], *next = &d->groups[1];
	const struct build_options how = { .retry = retry };
	bool ready = false, compared = false, again;
	int hellos = 0;

	for (;;) {
		enum group_result result = GROUP_READY;
		bool last, next_ready = false;

		if (stopped(d))
			return err_set(e, ERR_STOPPED, "stopped");
		if ((d->link.client == NULL || !client_is_open(d->link.client)) && hellos++ >= HELLO_TRIES)
			return err_set(e, ERR_PEER, "peer %s does not come to a common position", d->peer->name);
		if (!link_open(&d->link, e) || (!compared && !compare_moved(d, retry, e)) || (!ready && !build(d, g, &how, &result, e)))
			return false;
		compared = true;
		if (result == GROUP_NOTHING) { /* what held the link is gone: a deletion that was taken back, say */
			remember_quiet(d, g);
			return g->state.held[0] == '\0' || peer_hold(d->db, d->peer->name, "", e);
		}
		last = g->last_part;
		ready = false;
		if (!send_one(d, g, next, report, &again, &next_ready, e)) {
			if (client_unauthorised(d->link.client) && hellos < HELLO_TRIES)
				continue;
			return false;
		}
		if (next_ready) {
			struct group *sent = g;

			g = next;
			next = sent;
			ready = true;
		}
		if (last && !again) { /* what is written meanwhile is the next run's: a busy app keeps no drain for ever */
			remember_quiet(d, g);
			return true;
		}
	}
}

static bool
send_everything(struct drain *d, bool retry, struct drain_report *report, struct err *e)
{
	bool ok = send_all(d, false, report, e) && is_owed(d, &report->owed, e);

	/* After everything else: what was refused, once more. */
	if (ok && retry && report->owed)
		ok = send_all(d, true, report, e) && is_owed(d, &report->owed, e);
	group_drop(&d->groups[0]);
	group_drop(&d->groups[1]);
	return ok;
}

static bool
note_outcome(struct drain *d, bool ok, struct err *e)
{
	struct err other;

	if (ok || e->code == ERR_STOPPED || d->db == NULL || db_is_lost(d->db))
		return ok;
	if (!peer_failed(d->db, d->peer->name, e->msg, &other))
		log_warning(d->peer->name, "cannot note the error for --status: %s", other.msg);
	return false;
}

/* --- the peer's lock --- */

static void
lock_name(const struct drain *d, char out[64])
{
	/* Per node and peer, at most 64 characters: 6 + 16 + 1 + 32. */
	(void)snprintf(out, 64, "tandem.%.16s.%s", d->node.token, d->peer->name);
}

static bool
take_lock(struct drain *d, unsigned wait_s, bool *taken, struct err *e)
{
	char name[64];
	uint64_t got = 0;

	lock_name(d, name);
	if (!db_number(d->db, "SELECT GET_LOCK(?, ?)", DB_ARGS(db_text(name), db_u64(wait_s)), &got, NULL, e))
		return false;
	*taken = got == 1;
	return true;
}

static void
release_lock(struct drain *d)
{
	char name[64];
	uint64_t ignored;
	struct err e;

	lock_name(d, name);
	if (db_is_lost(d->db))
		return; /* the server has released it with the connection */
	if (!db_number(d->db, "SELECT RELEASE_LOCK(?)", DB_ARGS(db_text(name)), &ignored, NULL, &e))
		log_warning(d->peer->name, "cannot release the drain lock: %s", e.msg);
}

/* The link began anew, or has to: only a hello can say so. */
static bool
say_anew(struct drain *d, struct err *e)
{
	struct renewal r;

	if (!witness_reread(d->db, &d->node, e) || !renewal_load(d->db, d->peer->name, &r, e))
		return false;
	if (d->link.client != NULL && (r.needed || (r.id[0] != '\0' && !r.told)))
		client_close(d->link.client);
	return true;
}

/* Before anything is sent: what the peer has got of a node that is being filled is compared first. */
static bool
fill_first(struct drain *d, struct err *e)
{
	const struct startup_options how = { 0 };
	struct startup_report report;
	bool asked = d->fill_blank, wanted;

	if (!startup_is_wanted(d, &wanted, e) || (wanted && !startup_run(&d->link, &how, &report, e)) || (asked && !filling_decided(d->db, e)))
		return false;
	d->fill_blank = false;
	return true;
}

/* With the drain's lock: a group that is built meanwhile would not know the tables. */
bool
drain_define(struct drain *d, bool copy, uint64_t *created, struct err *e)
{
	bool taken = false, ok;

	*created = 0;
	if (!connect_db(d, e) || !take_lock(d, STARTUP_WAIT_S, &taken, e))
		return false;
	if (!taken)
		return err_set(e, ERR_DB_BUSY, "another drain to peer %s has been running for %d s; try again when it is done", d->peer->name, STARTUP_WAIT_S);
	ok = witness_reread(d->db, &d->node, e) && startup_meet(&d->link, copy, e) && define_missing(&d->link, created, e);
	release_lock(d);
	return ok;
}

/* Does so much wait for a peer that has had changes of ours before? */
static bool
has_backlog(struct drain *d, bool *yes, struct err *e)
{
	uint64_t high = 0, late = 0;
	struct peer_state state;
	struct mark acked = { 0 };
	bool found = false, ok;

	*yes = false;
	if (!peer_load(d->db, d->peer->name, &state, e))
		return false;
	if (state.fresh)
		return true;
	ok = queue_load_mark(d->db, state.acked_epoch, &acked, &found, e) && (!found || queue_peek(d->db, &acked, &high, &late, e));
	*yes = ok && found && high > acked.high && high - acked.high > BACKLOG_ROWS;
	mark_free(&acked);
	return ok;
}

/* What cannot be sent, since the link has to begin anew, or for whatever other reason, is compared like everything else. */
static bool
send_backlog(struct drain *d, struct err *e)
{
	struct drain_report report = { 0 };
	bool yes;

	if (!has_backlog(d, &yes, e))
		return false;
	if (!yes)
		return true;
	if (send_everything(d, false, &report, e))
		log_info(d->peer->name, "before the startup: %llu records that waited here are sent", (unsigned long long)report.records);
	else if (e->code == ERR_STOPPED || db_is_lost(d->db))
		return false;
	else
		log_info(d->peer->name, "what waits here is compared, not sent: %s", e->msg);
	err_clear(e);
	return true;
}

bool
drain_startup(struct drain *d, const struct startup_options *how, struct startup_report *report, struct err *e)
{
	bool taken = false, ok;

	if (!connect_db(d, e) || !look_for_drift(d, true, e) || !take_lock(d, STARTUP_WAIT_S, &taken, e))
		return false;
	if (!taken)
		return err_set(e, ERR_DB_BUSY, "another drain to peer %s has been running for %d s; try again when it is done", d->peer->name, STARTUP_WAIT_S);
	ok = witness_reread(d->db, &d->node, e) && (how->copy || send_backlog(d, e)) && startup_run(&d->link, how, report, e);
	ok = note_outcome(d, ok, e);
	release_lock(d);
	return ok;
}

bool
drain_prospect(struct drain *d, struct prospect *p, struct err *e)
{
	d->link.rehearsing = true;
	return connect_db(d, e) && prospect_look(&d->link, p, e);
}

void
drain_watch(struct drain *d, drain_progress_fn *progress, void *arg)
{
	d->progress = progress;
	d->progress_arg = arg;
}

void
drain_fill_blank(struct drain *d)
{
	d->fill_blank = true;
}

bool
drain_run(struct drain *d, bool retry, struct drain_report *report, struct err *e)
{
	bool taken = false, ok;

	memset(report, 0, sizeof *report);
	if (!connect_db(d, e) || !take_lock(d, 0, &taken, e))
		return false;
	if (!taken) {
		report->busy = true;
		return true;
	}
	if (d->has_quiet)
		mark_free(&d->quiet);
	d->has_quiet = false;
	d->last_id = 0;
	ok = say_anew(d, e) && link_tell_links(&d->link, e) && fill_first(d, e) && decide_rivals(d, e) &&
	    send_everything(d, retry, report, e);
	ok = note_outcome(d, ok, e);
	release_lock(d);
	return ok;
}

/* Under the lock of draining: the session is one for both. */
bool
drain_files(struct drain *d, struct carry_report *report, struct err *e)
{
	bool taken = false, ok;

	memset(report, 0, sizeof *report);
	if (!connect_db(d, e) || !take_lock(d, 0, &taken, e))
		return false;
	if (!taken) {
		report->owed = true;
		return true;
	}
	ok = say_anew(d, e) && link_tell_links(&d->link, e) && link_open(&d->link, e) && carry_send(&d->link, &d->asked, report, e);
	if (!ok && d->link.client != NULL)
		client_close(d->link.client);
	ok = note_outcome(d, ok, e);
	release_lock(d);
	return ok;
}

void
drain_allow_deletes(struct drain *d)
{
	d->allow_deletes = true;
}

bool
drain_needs_person(struct drain *d, bool *yes, struct err *e)
{
	struct peer_state state;
	uint64_t parked, held, marked;

	if (!connect_db(d, e) || !peer_load(d->db, d->peer->name, &state, e) || !owed_count(d->db, d->peer->name, "parked", &parked, e) ||
	    !moved_count(d->db, d->peer->name, &held, &marked, e))
		return false;
	*yes = parked > 0 || held > 0 || state.held[0] != '\0';
	return true;
}

struct quiet_search {
	const char *peer;
	bool relevant;
};

static bool
note_relevant(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct quiet_search *q = arg;

	(void)e;
	q->relevant = *stop = c->via == NULL || strcmp(c->via, q->peer) != 0;
	return true;
}

/* When all that was marked since the peer's last acknowledgement came from the peer itself, there will be no
 * further acknowledgement: remember it, so that statuses and the purge do not wait for one. */
static bool
note_quiet(struct drain *d, const struct mark *last, struct err *e)
{
	struct quiet_search q = { .peer = d->peer->name };
	struct peer_state state;
	struct mark from = { 0 };
	bool found = false, ok;

	if (!peer_load(d->db, d->peer->name, &state, e))
		return false;
	if (last->epoch <= state.acked_epoch || last->epoch <= state.quiet_epoch)
		return true;
	if (!queue_load_mark(d->db, state.quiet_epoch > state.acked_epoch ? state.quiet_epoch : state.acked_epoch, &from, &found, e))
		return false;
	if (!found)
		return true; /* the next group explains it */
	ok = queue_visit(d->db, &from, last, note_relevant, &q, e);
	mark_free(&from);
	return ok && (q.relevant || peer_quiet(d->db, d->peer->name, last->epoch, e));
}

bool
drain_tidy(struct drain *d, struct err *e)
{
	struct mark last = { 0 };
	bool ok;

	if (!connect_db(d, e) || !queue_last_mark(d->db, &last, e))
		return false;
	ok = queue_probe_holes(d->db, &last, e) && note_quiet(d, &last, e) && settle_statuses(d->db, d->conf, e);
	mark_free(&last);
	return ok;
}

/* What the peer has found goes to what it found before, as far as there is room. */
static void
add_findings(struct drain_preview *out, const struct rehearsal_head *head, const char *at, const char *end)
{
	const char *newline;

	out->head.judged += head->judged;
	out->head.conflicts += head->conflicts;
	out->head.refused += head->refused;
	out->head.all = out->head.all && head->all;
	for (; out->listed < REHEARSAL_LISTED && at < end && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; at = newline + 1) {
		buf_put(&out->lines, at, (size_t)(newline - at) + 1);
		out->listed++;
	}
}

static bool
take_rehearsal(struct drain *d, int status, struct buf *answer, struct drain_preview *out, struct err *e)
{
	char *newline = answer->len == 0 ? NULL : memchr(answer->data, '\n', answer->len);
	struct rehearsal_head head;

	if (link_is_elsewhere(status, answer))
		return err_set(e, ERR_PEER, "peer %s stands elsewhere than this node knows: an answer got lost, or a drain is running; the next drain takes that up", d->peer->name);
	if (status != 200)
		return link_refused(&d->link, status, answer, e);
	if (newline == NULL || !rehearsal_parse_head(answer->data, (size_t)(newline - answer->data), &head, e))
		return err_set(e, ERR_PEER, "peer %s answers in an unknown way: is it a newer agent?", d->peer->name);
	add_findings(out, &head, newline + 1, answer->data + answer->len);
	return buf_check(&out->lines, "a rehearsal's answer", e);
}

void
drain_on_reach(struct drain *d, drain_reach_fn *reach, void *arg)
{
	d->reach = reach;
	d->reach_arg = arg;
}

static bool
ask_peer(struct drain *d, struct group *g, struct drain_preview *out, struct err *e)
{
	struct buf answer;
	int status = 0;
	bool ok;

	if (d->peer->paused)
		return err_set(e, ERR_PEER, "the link is paused here ([peer %s] paused)", d->peer->name);
	if (d->link.guest == NULL && d->peer->url[0] == '\0' && d->reach != NULL && !d->reach(d, d->reach_arg, e))
		return false;
	if (!link_open(&d->link, e))
		return false;
	buf_init(&answer, MESSAGE_ANSWER_MAX);
	ok = link_send(&d->link, g, &status, &answer, e);
	if (!ok && client_not_found(d->link.client))
		(void)err_set(e, ERR_PEER_REFUSED, "the agent of peer %s is older than this one and cannot be asked", d->peer->name);
	ok = ok && take_rehearsal(d, status, &answer, out, e);
	buf_free(&answer);
	return ok;
}

/* One group was built. What the peer does not say of one it is not asked about later ones. */
static void
look_at_group(struct drain *d, struct group *g, struct drain_preview *out)
{
	out->groups++;
	out->bytes += group_size(g);
	if (out->over[0] == '\0')
		memcpy(out->over, g->over, sizeof out->over);
	if (out->why_not.code != ERR_NONE)
		return;
	if (ask_peer(d, g, out, &out->why_not))
		out->asked = true;
	else
		out->head.all = false;
}

/* Group after group, each from where the one before ended. Nothing is stored, and no transaction is open while the peer
 * is asked. */
static bool
look_at_groups(struct drain *d, const struct group_watch *watch, struct drain_preview *out, struct err *e)
{
	struct build_options how = { .watch = watch, .retry = true };
	enum group_result result = GROUP_NOTHING;
	struct group *g = &d->groups[0];
	struct mark end = { 0 };
	bool ok, last = false;

	while ((ok = group_build(g, &how, &result, e)) && result == GROUP_READY) {
		watch->keep(watch->arg);
		look_at_group(d, g, out);
		last = g->last_part;
		how.retry = how.retry && !g->fresh && !last; /* it has what was refused before, and says so once */
		mark_free(&end);
		end = g->upto;
		memset(&g->upto, 0, sizeof g->upto);
		how.onward = &end;
		if (last)
			break;
	}
	mark_free(&end);
	group_drop(g);
	return ok;
}

bool
drain_preview(struct drain *d, const struct group_watch *watch, struct drain_preview *out, struct err *e)
{
	memset(out, 0, sizeof *out);
	out->head.all = true;
	buf_init(&out->lines, REHEARSAL_ANSWER_MAX * 2);
	d->link.rehearsing = true;
	if (!connect_db(d, e))
		return false;
	d->groups[0].allow_deletes = d->allow_deletes;
	return look_at_groups(d, watch, out, e);
}
