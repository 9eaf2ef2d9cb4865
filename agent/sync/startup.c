/* Startup. Lives here: how it begins and ends, the order of tables, what it leaves for other peers. Not here: comparing
 * (sync/compare), rows (sync/fill), how far it is (change/filling). */
#include "sync/startup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "capture/guard.h"
#include "change/filling.h"
#include "change/moved.h"
#include "change/renewal.h"
#include "sync/compare.h"
#include "sync/fill.h"

/* One startup under way. */
struct startup {
	struct link *link;
	const struct startup_options *how;
	struct startup_report *report;
	struct catalog *catalog;
	struct fill *fill;
	bool anew; /* nothing was exchanged since the link has begun: not even what is here is known to the peer */
	const struct table *table;
	uint64_t before; /* rows written of the tables before this one */
	size_t tables, done;
};

/* --- is there one? --- */

bool
startup_is_due(struct db *db, const char *peer, bool *due, struct err *e)
{
	struct filling f;

	*due = false;
	if (!filling_load(db, &f, e))
		return false;
	*due = f.any && strcmp(f.peer, peer) == 0;
	return true;
}

static bool
has_rows(struct db *db, const struct catalog *c, const struct table *t, bool *rows, struct err *e)
{
	struct buf sql;
	uint64_t n = 0;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, c->database, t->name);
	buf_str(&sql, " LIMIT 1");
	ok = buf_check(&sql, "a statement", e) && db_number(db, buf_cstr(&sql), DB_NO_ARGS, &n, NULL, e);
	buf_free(&sql);
	*rows = n > 0;
	return ok;
}

bool
startup_is_blank(struct db *db, const struct conf *conf, bool *blank, struct err *e)
{
	struct catalog *c = NULL;
	uint64_t met = 0;
	bool known, rows = false, ok;

	*blank = false;
	if (!filling_is_known(db, &known, e) ||
	    !db_number(db, "SELECT (SELECT COUNT(*) FROM sync_cursor WHERE incarnation<>'') + (SELECT COUNT(*) FROM sync_peer WHERE last_success IS NOT NULL)", DB_NO_ARGS,
		&met, NULL, e))
		return false;
	if (known || met > 0)
		return true;
	ok = catalog_read(db, conf, &c, e);
	for (size_t i = 0; ok && !rows && i < c->ntables; i++)
		ok = c->tables[i].problem != NULL || has_rows(db, c, &c->tables[i], &rows, e);
	catalog_free(c);
	*blank = ok && !rows;
	return ok;
}

/* The daemon could not look yet. One daemon a process. */
static atomic_bool await_later;

bool
startup_await(struct db *db, const struct conf *conf, struct err *e)
{
	bool blank, ok = startup_is_blank(db, conf, &blank, e) && (!blank || filling_await(db, e));

	if (ok)
		atomic_store(&await_later, false);
	return ok;
}

void
startup_await_later(void)
{
	atomic_store(&await_later, true);
}

bool
startup_await_now(struct db *db, const struct conf *conf, struct err *e)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	bool ok;

	if (!atomic_load(&await_later))
		return true;
	(void)pthread_mutex_lock(&one);
	ok = !atomic_load(&await_later) || startup_await(db, conf, e);
	(void)pthread_mutex_unlock(&one);
	return ok;
}

/* --- beginning --- */

/* Nothing was ever exchanged with the peer, in either direction. */
static bool
is_fresh(struct link *l, bool *fresh, struct err *e)
{
	struct cursor_state cursor;
	struct peer_state state;

	if (!peer_load(l->db, l->peer->name, &state, e) || !cursor_load(l->db, l->peer->name, false, &cursor, e))
		return false;
	*fresh = state.fresh && cursor.incarnation[0] == '\0';
	return true;
}

/* The peer must answer before anything changes here. *renew: the link begins anew: this node or the peer is not who it
 * was; or nothing was exchanged yet, so that what both have captured so far is compared instead of sent; or the peer's
 * state counts and nothing that waits here does. */
static bool
meet(struct link *l, bool copy, bool *renew, struct err *e)
{
	bool fresh = false;

	*renew = copy;
	if (!link_open(l, e)) {
		if (e->code != ERR_HELD || !l->anew_helps)
			return false;
		log_info(l->peer->name, "%s", e->msg);
		err_clear(e);
		*renew = true;
		return true;
	}
	if (!is_fresh(l, &fresh, e))
		return false;
	*renew = *renew || fresh;
	return true;
}

bool
startup_meet(struct link *l, bool copy, struct err *e)
{
	bool news, ok = true;

	if (link_open(l, e))
		return true;
	if (e->code != ERR_HELD || !l->anew_helps)
		return false;
	err_clear(e);
	l->filling = true;
	ok = filling_begin(l->db, l->peer->name, copy, e) && renewal_begin(l->db, NULL, l->peer->name, NULL, &news, e);
	client_close(l->client);
	ok = ok && link_open(l, e);
	l->filling = false;
	return ok;
}

/* Is there a row at the peer? Two nodes that are new both fill themselves from nothing, and need not begin anew. */
static bool
has_something(struct startup *s, bool *something, struct err *e)
{
	*something = false;
	for (size_t i = 0; !*something && i < s->catalog->ntables; i++)
		if (s->catalog->tables[i].problem == NULL && !compare_peek(s->link, s->catalog, &s->catalog->tables[i], something, e)) {
			if (e->code != ERR_PEER_REFUSED)
				return false;
			err_clear(e); /* defined differently: named when it is filled */
		}
	return true;
}

/* From here on groups of peers are refused until the end. */
static bool
begin(struct startup *s, bool copy, bool *begun, struct err *e)
{
	struct link *l = s->link;
	bool renew, news;

	*begun = true;
	if (!meet(l, copy, &renew, e) || (!s->how->asked && client_is_open(l->client) && !has_something(s, begun, e)))
		return false;
	if (!*begun)
		return true;
	if (!filling_begin(l->db, l->peer->name, copy, e))
		return false;
	if (!renew)
		return true;
	if (!renewal_begin(l->db, NULL, l->peer->name, NULL, &news, e))
		return false;
	client_close(l->client);
	return link_open(l, e);
}

/* One that was cut goes on, unless something else is asked for now, or the link has to begin anew meanwhile. */
static bool
begin_or_go_on(struct startup *s, bool *begun, struct err *e)
{
	struct link *l = s->link;
	struct filling now;

	*begun = true;
	if (!filling_load(l->db, &now, e))
		return false;
	if (!now.any || strcmp(now.peer, l->peer->name) != 0 || (s->how->copy && !now.copy))
		return begin(s, s->how->copy, begun, e);
	s->report->copied = now.records;
	if (link_open(l, e))
		return true;
	if (e->code != ERR_HELD || !l->anew_helps)
		return false;
	err_clear(e);
	return begin(s, now.copy, begun, e);
}

/* --- a table --- */

static void
show(struct startup *s, uint64_t records)
{
	const struct fill_counts n = fill_counts(s->fill);
	const struct startup_progress p = { .table = s->table->name, .tables = s->tables, .done = s->done, .records = records > n.copied ? records : n.copied,
		.about = n.about, .copied = s->report->copied + n.copied };

	if (s->how->progress != NULL)
		s->how->progress(&p, s->how->arg);
}

static void
on_rows(void *arg)
{
	show(arg, 0);
}

static void
on_records(uint64_t records, void *arg)
{
	show(arg, records);
}

static bool
compare_and_fill(struct startup *s, bool copy, struct err *e)
{
	struct link *l = s->link;
	struct compare_filler filler;
	struct compare_watch watch = { .progress = on_records, .filler = &filler, .spare_counters = true, .keep_unseen = s->anew, .arg = s };
	struct compare_result result = { 0 };
	struct filling_table at;
	struct fill_counts n;
	bool ok;

	if (!filling_table_load(l->db, l->peer->name, s->table->name, &at, e))
		return false;
	if (at.done)
		return true;
	if (!fill_use(s->fill, s->catalog, s->table, e))
		return false;
	fill_filler(s->fill, at.begun ? at.key : NULL, at.key_len, &filler);
	ok = link_open(l, e) && compare_table_watched(l, s->catalog, s->table->name, copy ? COMPARE_THEIRS : COMPARE_MERGE, &watch, &result, e);
	n = fill_counts(s->fill);
	s->report->copied += n.copied;
	s->report->removed += n.removed;
	s->report->coming += n.left;
	s->report->sent += result.queued;
	if (!ok)
		return false;
	log_info(l->peer->name, "table %s is filled: %llu rows copied, %llu removed, %llu records queued for the peer, %llu come as changes", s->table->name,
	    (unsigned long long)n.copied, (unsigned long long)n.removed, (unsigned long long)result.queued, (unsigned long long)n.left);
	return filling_table_note(l->db, l->peer->name, s->table->name, NULL, 0, 0, e) && moved_release(l->db, l->peer->name, s->table->name, e);
}

/* It keeps only this table back: definitions that differ. It is compared when they do no longer. */
static bool
put_off(struct startup *s, struct err *e)
{
	struct link *l = s->link;
	bool news;

	if (e->code != ERR_PEER_REFUSED && e->code != ERR_INPUT)
		return false;
	log_warning(l->peer->name, "table %s is not filled: %s", s->table->name, e->msg);
	if (s->report->failed++ == 0)
		(void)snprintf(s->report->why, sizeof s->report->why, "%s", e->msg);
	err_clear(e);
	return moved_mark(l->db, l->peer->name, &(struct moved){ .table = s->table->name, .act = MOVED_LOOK, .reason = MOVED_ANEW }, true, &news, e);
}

/* Parents first. */
static bool
fill_tables(struct startup *s, bool copy, struct err *e)
{
	const struct catalog *c = s->catalog;

	for (size_t i = 0; i < c->ntables; i++)
		s->tables += c->tables[i].problem == NULL;
	for (size_t i = 0; i < c->ntables; i++) {
		s->table = &c->tables[c->order[i]];
		if (s->table->problem != NULL)
			continue;
		if (compare_and_fill(s, copy, e))
			s->report->tables++;
		else if (!put_off(s, e))
			return false;
		s->done++;
	}
	return true;
}

/* --- the end --- */

/* The other peers have not got what was copied: their tables are compared and merged with the next drain. */
static bool
mark_for_others(struct startup *s, struct err *e)
{
	const struct conf *conf = s->link->conf;

	for (size_t i = 0; s->report->copied + s->report->removed > 0 && i < conf->npeers; i++) {
		if (strcmp(conf->peers[i].name, s->link->peer->name) == 0)
			continue;
		if (!peer_register(s->link->db, conf->peers[i].name, e))
			return false;
		for (size_t j = 0; j < s->catalog->ntables; j++) {
			const struct moved m = { .table = s->catalog->tables[j].name, .act = MOVED_LOOK, .reason = MOVED_ANEW };
			bool news;

			if (s->catalog->tables[j].problem == NULL && !moved_mark(s->link->db, conf->peers[i].name, &m, true, &news, e))
				return false;
		}
	}
	return true;
}

bool
startup_run(struct link *l, const struct startup_options *how, struct startup_report *report, struct err *e)
{
	struct startup s = { .link = l, .how = how, .report = report };
	struct filling now;
	bool begun = false, ok;

	memset(report, 0, sizeof *report);
	l->filling = true;
	ok = catalog_read(l->db, l->conf, &s.catalog, e) && guard_refresh(l->db, l->conf, s.catalog, l->node, e) && begin_or_go_on(&s, &begun, e) &&
	    is_fresh(l, &s.anew, e) && filling_load(l->db, &now, e) && (!begun || fill_new(l->conf, l->node, l->peer->name, &s.fill, e));
	if (ok && begun) {
		fill_watch(s.fill, on_rows, &s);
		ok = fill_tables(&s, now.copy, e) && mark_for_others(&s, e) && filling_end(l->db, l->peer->name, e);
	}
	l->filling = false;
	fill_free(s.fill);
	catalog_free(s.catalog);
	if (ok && begun)
		log_info(l->peer->name, "startup is done: %llu rows copied, %llu removed", (unsigned long long)report->copied, (unsigned long long)report->removed);
	return ok;
}
