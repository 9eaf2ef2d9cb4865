/* One peer's drain. Lives here: the order of the steps, the peer's lock. Not here: the conversation
 * (sync/link), what a group is (sync/group), what an answer means (sync/settle), when to run (app/verbs, app/serve). */
#include "sync/drain.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "change/moved.h"
#include "change/renewal.h"
#include "sync/drift.h"
#include "sync/link.h"
#include "sync/settle.h"

enum {
	HELLO_TRIES = 3 /* in one run: the first, one for a stale session, one for another position */
};

struct drain {
	const struct conf *conf;
	const struct conf_peer *peer;
	const atomic_bool *stop;
	struct db *db;
	struct node_identity node;
	struct link link;
	struct group groups[2]; /* one on its way, one being built; what is known of the tables stays */
	struct mark quiet;  /* everything this contains has been found to be nothing for the peer */
	bool has_quiet;
	int64_t look_at; /* for drift, not before */
	bool allow_deletes; /* a person's yes to whatever is found */
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

static bool
connect_db(struct drain *d, struct err *e)
{
	if (d->db != NULL && db_is_lost(d->db))
		disconnect(d);
	if (d->db != NULL)
		return true;
	if (!db_open(&d->conf->database, &d->db, e))
		return false;
	d->link = (struct link){ .conf = d->conf, .peer = d->peer, .node = &d->node, .stop = d->stop, .db = d->db, .client = d->link.client, .rehearsing = d->link.rehearsing };
	for (size_t i = 0; i < 2; i++)
		group_init(&d->groups[i], d->db, d->conf, &d->node, d->peer->name);
	if (schema_enter(d->db, d->conf, &d->node, e) &&
	    (d->link.rehearsing || (peer_register(d->db, d->peer->name, e) && keep_numbering(d, e))))
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

bool
drain_look(struct drain *d, bool retry, bool *pending, struct err *e)
{
	struct peer_state state;
	struct mark acked = { 0 };
	uint64_t high = 0, late = 0;
	bool found = false, quiet, ok;

	*pending = false;
	if (!connect_db(d, e) || !look_for_drift(d, false, e) || !moved_is_due(d->db, d->peer->name, retry, pending, e) || !is_quiet(d, &quiet, e))
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
};

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
	log_info(d->peer->name, "Sync success: %llu records up to epoch %llu, %llu refused", (unsigned long long)settled.applied,
	    (unsigned long long)s->group->upto.epoch, (unsigned long long)settled.refused);
	return true;
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

	log_debug(d->peer->name, "sending epoch %llu: %llu records, %llu bytes", (unsigned long long)g->upto.epoch, (unsigned long long)g->records,
	    (unsigned long long)group_size(g));
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
	/* What was refused just now must be listed in the next group: build it again. */
	*next_ready = *next_ready && ok && !*again && report->refused == refused;
	if (!ok)
		client_close(d->link.client); /* whether it was applied is unknown: the next hello tells */
	buf_free(&s.answer);
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
take_lock(struct drain *d, bool *taken, struct err *e)
{
	char name[64];
	uint64_t got = 0;

	lock_name(d, name);
	if (!db_number(d->db, "SELECT GET_LOCK(?, 0)", DB_ARGS(db_text(name)), &got, NULL, e))
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

bool
drain_run(struct drain *d, bool retry, struct drain_report *report, struct err *e)
{
	bool taken = false, ok;

	memset(report, 0, sizeof *report);
	if (!connect_db(d, e) || !take_lock(d, &taken, e))
		return false;
	if (!taken) {
		report->busy = true;
		return true;
	}
	if (d->has_quiet)
		mark_free(&d->quiet);
	d->has_quiet = false;
	ok = say_anew(d, e) && send_everything(d, retry, report, e);
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

/* The peer's answer: its first line taken off, the findings stay in lines. */
static bool
take_rehearsal(struct drain *d, int status, struct drain_preview *out, struct err *e)
{
	struct buf *lines = &out->lines;
	char *newline = lines->len == 0 ? NULL : memchr(lines->data, '\n', lines->len);

	if (link_is_elsewhere(status, lines))
		return err_set(e, ERR_PEER, "peer %s stands elsewhere than this node knows: an answer got lost, or a drain is running; the next drain takes that up", d->peer->name);
	if (status != 200)
		return link_refused(&d->link, status, lines, e);
	if (newline == NULL || !rehearsal_parse_head(lines->data, (size_t)(newline - lines->data), &out->head, e))
		return err_set(e, ERR_PEER, "peer %s answers in an unknown way: is it a newer agent?", d->peer->name);
	buf_drop(lines, (size_t)(newline - lines->data) + 1);
	return true;
}

static bool
ask_peer(struct drain *d, struct group *g, struct drain_preview *out, struct err *e)
{
	int status = 0;

	if (d->peer->paused)
		return err_set(e, ERR_PEER, "the link is paused here ([peer %s] paused)", d->peer->name);
	if (!link_open(&d->link, e))
		return false;
	if (!link_send(&d->link, g, &status, &out->lines, e)) {
		if (client_not_found(d->link.client))
			return err_set(e, ERR_PEER_REFUSED, "the agent of peer %s is older than this one and cannot be asked", d->peer->name);
		return false;
	}
	return take_rehearsal(d, status, out, e);
}

bool
drain_preview(struct drain *d, const struct group_watch *watch, struct drain_preview *out, struct err *e)
{
	const struct build_options how = { .watch = watch, .retry = true };
	struct group *g = &d->groups[0];
	enum group_result result = GROUP_NOTHING;
	bool ok;

	memset(out, 0, sizeof *out);
	buf_init(&out->lines, MESSAGE_ANSWER_MAX);
	d->link.rehearsing = true;
	if (!connect_db(d, e))
		return false;
	g->allow_deletes = d->allow_deletes;
	ok = group_build(g, &how, &result, e);
	if (ok && result == GROUP_READY) {
		out->bytes = group_size(g);
		out->more = !g->last_part;
		memcpy(out->over, g->over, sizeof out->over);
		out->asked = ask_peer(d, g, out, &out->why_not);
	}
	group_drop(g);
	return ok;
}
