/* Reading the state of a node; its JSON. Not here: how people read it (app/status), the exit code (app/verbs), HTTP
 * (app/monitor). */
#include "config.h"

#include "app/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "app/install.h"
#include "app/trees.h"
#include "capture/guard.h"
#include "change/moved.h"
#include "change/renewal.h"
#include "sync/ceiling.h"
#include "sync/drift.h"
#include "wire/line.h"

#define MIB ((uint64_t)1024 * 1024)

static void
set_text(char *out, size_t size, const struct db_rows *rows, size_t column)
{
	const char *text = db_rows_text(rows, column);

	(void)snprintf(out, size, "%s", text == NULL ? "" : text);
}

/* --- reading --- */

static const char sql_peer[] =
    "SELECT p.acked_epoch, p.records_sent, p.failures, p.last_success, p.last_error_at, p.last_error, p.held, p.clock_skew_ms,"
    " c.records_applied, c.applied_at, p.quiet_epoch FROM sync_peer p JOIN sync_cursor c ON c.peer=p.peer WHERE p.peer=?";

static bool
read_position(struct db *db, struct report_peer *to, uint64_t *acked, uint64_t *quiet, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, sql_peer, DB_ARGS(db_text(to->name)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more) {
		*acked = db_rows_u64(rows, 0);
		to->records_sent = db_rows_u64(rows, 1);
		to->failures = db_rows_u64(rows, 2);
		set_text(to->last_success, sizeof to->last_success, rows, 3);
		set_text(to->last_error_at, sizeof to->last_error_at, rows, 4);
		set_text(to->last_error, sizeof to->last_error, rows, 5);
		set_text(to->held, sizeof to->held, rows, 6);
		set_text(to->clock_skew_ms, sizeof to->clock_skew_ms, rows, 7);
		to->records_applied = db_rows_u64(rows, 8);
		set_text(to->last_applied, sizeof to->last_applied, rows, 9);
		*quiet = db_rows_u64(rows, 10);
	}
	db_rows_free(rows);
	return ok;
}

/* Why records of ours wait there: each reason once. */
static bool
read_reasons(struct db *db, struct report_peer *to, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	buf_init(&to->reasons, REPORT_TEXT_MAX);
	if (!db_query(db, "SELECT DISTINCT last_error FROM sync_owed WHERE peer=? AND state IN ('retry','waiting') AND last_error IS NOT NULL"
			  " AND table_name NOT IN (SELECT table_name FROM sync_drift WHERE peer=?) ORDER BY 1 LIMIT ?",
		DB_ARGS(db_text(to->name), db_text(to->name), db_u64(REPORT_REASONS_MAX)), &rows, e))
		return false;
	buf_char(&to->reasons, '[');
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		buf_str(&to->reasons, to->reasons.len > 1 ? "," : "");
		line_quote(&to->reasons, db_rows_text(rows, 0), db_rows_len(rows, 0));
	}
	buf_char(&to->reasons, ']');
	db_rows_free(rows);
	return ok;
}

struct moved_reader {
	struct report_peer *to;
	const char *self;
};

static void
put_choices(struct moved_reader *r, const struct moved *m)
{
	struct buf *json = &r->to->moved, command;

	for (int i = 0; i < MOVED_CHOICES; i++) {
		const char *what;

		buf_init(&command, REPORT_TEXT_MAX);
		moved_put_choice(&command, m, r->to->name, r->self, i, &what);
		buf_fmt(json, "%s{\"choice\":\"%s\",\"command\":", i > 0 ? "," : "", what);
		line_quote(json, buf_cstr(&command), command.len);
		buf_char(json, '}');
		buf_free(&command);
	}
}

static bool
take_moved(const struct moved *m, void *arg, struct err *e)
{
	struct moved_reader *r = arg;
	struct buf *json = &r->to->moved;

	(void)e;
	buf_str(json, json->len > 1 ? ",{\"table\":" : "{\"table\":");
	line_quote(json, m->table, strlen(m->table));
	buf_fmt(json, ",\"state\":\"%s\",\"since\":\"%s\",\"records\":%llu,\"what\":", m->state, m->since, (unsigned long long)m->records);
	line_quote(json, m->reason, strlen(m->reason));
	buf_str(json, ",\"message\":");
	if (m->message == NULL)
		buf_str(json, "null");
	else
		line_quote(json, m->message, strlen(m->message));
	buf_str(json, ",\"choices\":[");
	if (strcmp(m->state, "held") == 0)
		put_choices(r, m);
	buf_str(json, "]}");
	return true;
}

static bool
read_moved(struct db *db, struct report_peer *to, const char *self, struct err *e)
{
	struct moved_reader r = { to, self };
	bool ok;

	buf_init(&to->moved, REPORT_TEXT_MAX);
	buf_char(&to->moved, '[');
	ok = moved_visit(db, to->name, take_moved, &r, e) && moved_count(db, to->name, &to->tables_held, &to->tables_moved, e);
	buf_char(&to->moved, ']');
	return ok;
}

/* Nothing up to the quiet epoch is for the peer: with it, what came from there need not be looked through. */
static bool
estimate_pending(struct db *db, struct report_peer *to, const struct mark *acked, uint64_t quiet, struct err *e)
{
	struct queue_estimate pending;
	struct mark mark = { 0 };
	bool found = false, ok = true;

	if (quiet > acked->epoch)
		ok = queue_load_mark(db, quiet, &mark, &found, e);
	ok = ok && queue_estimate_after(db, found ? &mark : acked, to->name, &pending, e);
	mark_free(&mark);
	if (ok) {
		to->pending = pending.count;
		to->pending_about = !pending.exact;
		to->lag_ms = pending.oldest_ms;
	}
	return ok;
}

static bool
count_pending(struct db *db, struct report_peer *to, bool quick, struct err *e)
{
	struct mark acked = { 0 };
	uint64_t epoch = 0, quiet = 0;
	bool found = false, ok;

	ok = read_position(db, to, &epoch, &quiet, e) && queue_load_mark(db, epoch, &acked, &found, e) &&
	    (quick ? estimate_pending(db, to, &acked, quiet, e) : queue_count_after(db, &acked, to->name, &to->pending, e));
	mark_free(&acked);
	return ok;
}

static bool
read_peer(struct db *db, struct report_peer *to, const char *self, bool quick, struct err *e)
{
	bool ok;

	ok = read_reasons(db, to, e) && read_moved(db, to, self, e) && count_pending(db, to, quick, e) && owed_count(db, to->name, "retry", &to->retry, e) &&
	    owed_count(db, to->name, "waiting", &to->waiting, e) && owed_count(db, to->name, "parked", &to->parked, e) &&
	    owed_count(db, to->name, "discarded", &to->discarded, e) &&
	    db_number(db, "SELECT COUNT(*) FROM sync_unsettled WHERE peer=?", DB_ARGS(db_text(to->name)), &to->refused_here, NULL, e) &&
	    db_number(db, "SELECT COUNT(*) FROM sync_undecided WHERE peer=? AND decision IS NULL", DB_ARGS(db_text(to->name)), &to->undecided, NULL, e) &&
	    allowance_waiting(db, to->name, to->deletes, e);
	to->in_step = ok && to->pending + to->retry + to->waiting + to->parked + to->discarded + to->refused_here + to->undecided + to->tables_moved == 0 && to->held[0] == '\0' && to->deletes[0] == '\0';
	return ok;
}

static bool
read_counts(struct db *db, struct report *r, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT status+0, COUNT(*) FROM sync_queue GROUP BY status", DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		uint64_t *const slot[] = { NULL, &r->pending, &r->synced, &r->failed, &r->superseded };

		*slot[db_rows_u64(rows, 0)] = db_rows_u64(rows, 1);
	}
	db_rows_free(rows);
	return ok && db_number(db, "SELECT COUNT(*) FROM sync_conflict", DB_NO_ARGS, &r->conflicts, NULL, e) &&
	    db_number(db, "SELECT COUNT(*) FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL", DB_NO_ARGS, &r->undecided, NULL, e) &&
	    db_number(db, "SELECT COUNT(DISTINCT table_name) FROM sync_queue q WHERE operation='dirty' AND status<>'superseded'"
			  " AND NOT EXISTS (SELECT 1 FROM sync_drift d WHERE d.table_name=q.table_name)", DB_NO_ARGS, &r->dirty_tables, NULL, e);
}

static void
put_pair(struct buf *out, const char *name, const struct db_rows *rows, size_t column)
{
	const char *text = db_rows_text(rows, column);

	buf_fmt(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
	if (text == NULL)
		buf_str(out, "null");
	else
		line_quote(out, text, db_rows_len(rows, column));
}

static void
put_parked(struct report *r, const struct db_rows *rows)
{
	buf_str(&r->parked, r->parked.len > 1 ? ",{" : "{");
	buf_fmt(&r->parked, "\"id\":%s,\"attempts\":%s", db_rows_text(rows, 0), db_rows_text(rows, 4));
	put_pair(&r->parked, "peer", rows, 1);
	put_pair(&r->parked, "table", rows, 2);
	put_pair(&r->parked, "record_id", rows, 3);
	put_pair(&r->parked, "reason", rows, 5);
	put_pair(&r->parked, "refused_at", rows, 6);
	buf_char(&r->parked, '}');
}

static bool
read_parked(struct db *db, const char *only, struct report *r, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT last_id, peer, table_name, record_id, attempts, last_error, refused_at FROM sync_owed WHERE state='parked'"
			  " AND peer=IFNULL(?, peer) ORDER BY last_id LIMIT ?", DB_ARGS(db_text(only), db_u64(REPORT_PARKED_MAX)), &rows, e))
		return false;
	buf_char(&r->parked, '[');
	while ((ok = db_rows_next(rows, &more, e)) && more)
		put_parked(r, rows);
	buf_char(&r->parked, ']');
	db_rows_free(rows);
	return ok;
}

static bool
read_activity(struct db *db, struct report *r, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT happened_at, peer, direction, records, refused, milliseconds FROM sync_activity ORDER BY id DESC LIMIT ?",
		DB_ARGS(db_u64(REPORT_ACTIVITY_MAX)), &rows, e))
		return false;
	buf_char(&r->activity, '[');
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		buf_str(&r->activity, r->activity.len > 1 ? ",{" : "{");
		put_pair(&r->activity, "at", rows, 0);
		put_pair(&r->activity, "peer", rows, 1);
		put_pair(&r->activity, "direction", rows, 2);
		buf_fmt(&r->activity, ",\"records\":%s,\"refused\":%s,\"milliseconds\":%s}", db_rows_text(rows, 3), db_rows_text(rows, 4), db_rows_text(rows, 5));
	}
	buf_char(&r->activity, ']');
	db_rows_free(rows);
	return ok;
}

static bool
read_tables(struct db *db, struct report *r, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT table_name, COUNT(*) FROM sync_queue WHERE status='pending' GROUP BY table_name ORDER BY table_name", DB_NO_ARGS, &rows, e))
		return false;
	buf_char(&r->tables, '{');
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		buf_str(&r->tables, r->tables.len > 1 ? "," : "");
		line_quote(&r->tables, db_rows_text(rows, 0), db_rows_len(rows, 0));
		buf_fmt(&r->tables, ":%s", db_rows_text(rows, 1));
	}
	buf_char(&r->tables, '}');
	db_rows_free(rows);
	return ok;
}

static void
note_app_trigger(const char *table, const char *trigger, bool chosen, void *arg)
{
	struct report *r = arg;

	if (r->waiting_tables++ == 0)
		(void)snprintf(r->waiting_why, sizeof r->waiting_why, "table %s is not replicated: trigger %s of the app %s", table, trigger,
		    chosen ? "is not guarded: run agent --install" : "has no app_triggers in agent.conf (agent --check)");
	buf_str(&r->app_triggers, r->app_triggers.len > 1 ? ",{\"table\":" : "{\"table\":");
	line_quote(&r->app_triggers, table, strlen(table));
	buf_str(&r->app_triggers, ",\"trigger\":");
	line_quote(&r->app_triggers, trigger, strlen(trigger));
	buf_fmt(&r->app_triggers, ",\"problem\":\"%s\"}", chosen ? "not guarded" : "no choice");
}

/* Tables that agent.conf asks for and that --install has not seen. Most of the time there are none, and no table is
 * looked at any closer. */
static bool
any_unknown(struct db *db, const struct conf *conf, bool *any, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*any = false;
	if (!db_query(db, "SELECT i.TABLE_NAME FROM information_schema.TABLES i WHERE i.TABLE_SCHEMA=? AND i.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
			  " AND NOT EXISTS (SELECT 1 FROM sync_table t WHERE t.table_name=CONVERT(i.TABLE_NAME USING utf8mb4) COLLATE utf8mb4_bin)", DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		*any = *any || conf_wants_table(conf, db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

static bool
read_new_tables(struct db *db, const struct conf *conf, struct report *r, struct err *e)
{
	struct catalog *c = NULL;
	bool any = false, *is_new = NULL, ok;

	buf_init(&r->new_tables, REPORT_TEXT_MAX);
	buf_char(&r->new_tables, '[');
	ok = any_unknown(db, conf, &any, e) && (!any || (catalog_read(db, conf, &c, e) && install_judge_keys(c, e) && guard_judge(db, conf, c, e)));
	ok = ok && (!any || drift_find_new(db, c, &is_new, e));
	for (size_t i = 0; ok && any && i < c->ntables; i++) {
		if (!is_new[i])
			continue;
		r->fresh_tables++;
		if (r->waiting_tables++ == 0)
			(void)snprintf(r->waiting_why, sizeof r->waiting_why, "table %s is new and not replicated yet: run agent --install", c->tables[i].name);
		buf_str(&r->new_tables, r->new_tables.len > 1 ? "," : "");
		line_quote(&r->new_tables, c->tables[i].name, strlen(c->tables[i].name));
	}
	buf_char(&r->new_tables, ']');
	free(is_new);
	catalog_free(c);
	return ok;
}

static bool
read_trees(struct db *db, const struct conf *conf, struct report *r, struct err *e)
{
	buf_init(&r->trees, REPORT_TEXT_MAX);
	return trees_put_json(db, conf, &r->trees, &r->waiting_trees, e);
}

static bool
read_app_triggers(struct db *db, const struct conf *conf, struct report *r, struct err *e)
{
	bool ok;

	buf_init(&r->app_triggers, REPORT_TEXT_MAX);
	buf_char(&r->app_triggers, '[');
	ok = guard_waiting(db, conf, &r->node, note_app_trigger, r, e);
	buf_char(&r->app_triggers, ']');
	return ok;
}

static bool
read_peers(struct db *db, const struct conf *conf, const char *only, bool quick, struct report *r, struct err *e)
{
	if (only != NULL && conf_peer(conf, only) == NULL)
		return err_set(e, ERR_USAGE, "there is no [peer %s] in %s", only, conf->path);
	r->peers = calloc(conf->npeers + 1, sizeof *r->peers);
	if (r->peers == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the status");
	for (size_t i = 0; i < conf->npeers; i++) {
		struct report_peer *to = &r->peers[r->npeers];

		if (only != NULL && strcmp(only, conf->peers[i].name) != 0)
			continue;
		r->npeers++;
		(void)snprintf(to->name, sizeof to->name, "%s", conf->peers[i].name);
		to->url = conf->peers[i].url;
		to->paused = conf->peers[i].paused;
		to->pull = conf->peers[i].pull;
		if (!peer_register(db, to->name, e) || !read_peer(db, to, r->node.name, quick, e))
			return false;
		to->in_step = to->in_step && r->dirty_tables == 0;
	}
	return true;
}

static void
put_numbering(const char *finding, const char *remedy, void *arg)
{
	struct report *r = arg;

	buf_str(&r->numbering, r->numbering.len > 1 ? ",{\"finding\":" : "{\"finding\":");
	line_quote(&r->numbering, finding, strlen(finding));
	buf_str(&r->numbering, ",\"remedy\":");
	line_quote(&r->numbering, remedy, strlen(remedy));
	buf_char(&r->numbering, '}');
}

/* Only where it matters; the look at the columns is made when there is something to say. */
static bool
drop_numbering(struct db *db, const struct conf *conf, struct report *r, struct err *e)
{
	uint64_t n = 0;

	if (!db_number(db, "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? AND EXTRA LIKE '%auto_increment%' LIMIT 1",
		DB_ARGS(db_text(conf->database.name)), &n, NULL, e))
		return false;
	if (n == 0) {
		buf_reset(&r->numbering);
		buf_char(&r->numbering, '[');
	}
	return true;
}

static bool
read_numbering(struct db *db, const struct conf *conf, struct report *r, struct err *e)
{
	struct numbered_node *nodes = calloc(conf->npeers + 1, sizeof *nodes);
	bool ok;

	if (nodes == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the status");
	nodes[0].name = conf->node.name;
	ok = numbering_read(db, &nodes[0].is, e);
	for (size_t i = 0; ok && i < conf->npeers; i++) {
		nodes[i + 1].name = conf->peers[i].name;
		ok = numbering_known(db, conf->peers[i].name, &nodes[i + 1].is, e);
	}
	buf_char(&r->numbering, '[');
	if (ok && conf->npeers > 0 && !numbering_judge(nodes, conf->npeers + 1, put_numbering, r))
		ok = drop_numbering(db, conf, r, e);
	buf_char(&r->numbering, ']');
	free(nodes);
	return ok;
}

static void
put_oneway(const char *table, const char *finding, const char *remedy, void *arg)
{
	struct report *r = arg;

	buf_str(&r->oneway, r->oneway.len > 1 ? ",{\"table\":" : "{\"table\":");
	line_quote(&r->oneway, table, strlen(table));
	buf_str(&r->oneway, ",\"finding\":");
	line_quote(&r->oneway, finding, strlen(finding));
	buf_str(&r->oneway, ",\"remedy\":");
	line_quote(&r->oneway, remedy, strlen(remedy));
	buf_char(&r->oneway, '}');
}

/* Directions of tables, as both sides have them. */
static bool
read_oneway(struct db *db, const struct conf *conf, struct report *r, struct err *e)
{
	char told[ONEWAY_MAX];
	bool ok = true;

	buf_char(&r->oneway, '[');
	for (size_t i = 0; ok && i < conf->npeers; i++) {
		ok = oneway_known(db, conf->peers[i].name, told, e);
		if (ok)
			(void)oneway_judge(conf, conf->peers[i].name, told, put_oneway, r);
	}
	buf_char(&r->oneway, ']');
	return ok;
}

/* What may fill a disk. */
static bool
read_stored(struct db *db, const struct conf *conf, struct report *r, struct err *e)
{
	static const char sizes[] = "SELECT IFNULL(SUM(DATA_LENGTH+INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME LIKE ?";
	struct statvfs disk;

	r->free_bytes = statvfs(conf->node.state_dir, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
	return db_number(db, sizes, DB_ARGS(db_text("sync\\_queue")), &r->queue_bytes, NULL, e) &&
	    db_number(db, sizes, DB_ARGS(db_text("sync\\_conflict%")), &r->conflict_bytes, NULL, e) &&
	    db_number(db, sizes, DB_ARGS(db_text("%")), &r->sync_bytes, NULL, e);
}

/* What only this node has is known when the startup is done. */
static void
withhold_while_filling(struct report *r)
{
	for (size_t i = 0; i < r->npeers; i++) {
		r->peers[i].filling = r->filling.any && strcmp(r->filling.peer, r->peers[i].name) == 0;
		r->peers[i].in_step = r->peers[i].in_step && !r->peers[i].filling;
	}
}

static void
prepare(const struct conf *conf, struct report *out)
{
	memset(out, 0, sizeof *out);
	buf_init(&out->parked, REPORT_TEXT_MAX);
	buf_init(&out->activity, REPORT_TEXT_MAX);
	buf_init(&out->tables, REPORT_TEXT_MAX);
	buf_init(&out->numbering, REPORT_TEXT_MAX);
	buf_init(&out->oneway, REPORT_TEXT_MAX);
	out->database = conf->database.name;
	out->max_queue = conf->sync.max_queue;
	out->max_conflicts = conf->sync.max_conflicts;
}

bool
report_read_quick(struct db *db, const struct conf *conf, const struct report_tables *known, struct report *out, struct err *e)
{
	prepare(conf, out);
	out->dirty_tables = known->dirty;
	out->waiting_tables = known->waiting;
	out->waiting_trees = known->trees;
	if (schema_enter(db, conf, &out->node, e) && witness_check(db, &out->node, e) && filling_load(db, &out->filling, e) &&
	    read_peers(db, conf, NULL, true, out, e) && read_activity(db, out, e)) {
		withhold_while_filling(out);
		return true;
	}
	report_free(out);
	return false;
}

bool
report_read_counts(struct db *db, const struct conf *conf, struct report *out, struct err *e)
{
	prepare(conf, out);
	if (schema_enter(db, conf, &out->node, e) && filling_load(db, &out->filling, e) && read_stored(db, conf, out, e) && read_counts(db, out, e) &&
	    read_tables(db, out, e) && read_new_tables(db, conf, out, e) && read_app_triggers(db, conf, out, e) && read_trees(db, conf, out, e) && read_numbering(db, conf, out, e) &&
	    read_oneway(db, conf, out, e))
		return true;
	report_free(out);
	return false;
}

bool
report_read(struct db *db, const struct conf *conf, const char *peer, struct report *out, struct err *e)
{
	prepare(conf, out);
	if (schema_enter(db, conf, &out->node, e) && witness_check(db, &out->node, e) && filling_load(db, &out->filling, e) &&
	    read_stored(db, conf, out, e) && read_counts(db, out, e) && read_peers(db, conf, peer, false, out, e) &&
	    read_parked(db, peer, out, e) && read_activity(db, out, e) && read_tables(db, out, e) &&
	    read_new_tables(db, conf, out, e) && read_app_triggers(db, conf, out, e) && read_trees(db, conf, out, e) && read_numbering(db, conf, out, e) && read_oneway(db, conf, out, e)) {
		withhold_while_filling(out);
		return true;
	}
	report_free(out);
	return false;
}

void
report_free(struct report *r)
{
	for (size_t i = 0; i < r->npeers; i++) {
		buf_free(&r->peers[i].reasons);
		buf_free(&r->peers[i].moved);
	}
	free(r->peers);
	r->peers = NULL;
	buf_free(&r->parked);
	buf_free(&r->activity);
	buf_free(&r->tables);
	buf_free(&r->new_tables);
	buf_free(&r->app_triggers);
	buf_free(&r->trees);
	buf_free(&r->numbering);
	buf_free(&r->oneway);
}

bool
report_needs_person(const struct report *r)
{
	for (size_t i = 0; i < r->npeers; i++)
		if (r->peers[i].parked + r->peers[i].undecided > 0 || r->peers[i].tables_held > 0 || r->peers[i].held[0] != '\0' || r->peers[i].deletes[0] != '\0')
			return true;
	return r->dirty_tables + r->waiting_tables + r->waiting_trees > 0;
}

bool
report_disk(const struct report *r, unsigned percent, char *out, size_t size)
{
	uint64_t stored = REPORT_STORED_WARN * percent / 100, left = REPORT_FREE_WARN * 100 / percent;
	uint64_t changes = r->pending + r->synced + r->failed + r->superseded;

	if (r->queue_bytes > stored)
		(void)snprintf(out, size, "the queue has %llu MiB", (unsigned long long)(r->queue_bytes / MIB));
	else if (r->conflict_bytes > stored)
		(void)snprintf(out, size, "kept versions of conflicts have %llu MiB", (unsigned long long)(r->conflict_bytes / MIB));
	else if (ceiling_is_near(changes * 100 / percent, r->max_queue))
		(void)snprintf(out, size, "the queue holds %llu changes, max_queue allows %u", (unsigned long long)changes, r->max_queue);
	else if (ceiling_is_near(r->conflicts * 100 / percent, r->max_conflicts))
		(void)snprintf(out, size, "%llu conflicts are kept, max_conflicts allows %u", (unsigned long long)r->conflicts, r->max_conflicts);
	else if (r->free_bytes < left)
		(void)snprintf(out, size, "%llu MiB are free in state_dir", (unsigned long long)(r->free_bytes / MIB));
	else
		return false;
	return true;
}

int64_t
report_time_us(const char *text)
{
	struct tm tm = { .tm_isdst = 0 };
	const char *fraction = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);

	return fraction == NULL ? 0 : (int64_t)timegm(&tm) * 1000000 + (int64_t)(strtod(fraction, NULL) * 1e6 + 0.5);
}

/* --- JSON --- */

static void
put_text(struct buf *out, const char *name, const char *text)
{
	line_member(out, name, text[0] == '\0' ? NULL : text, strlen(text));
}

static void
put_number(struct buf *out, const char *name, uint64_t n)
{
	buf_fmt(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

void
report_put_peer(const struct report_peer *p, struct buf *out)
{
	buf_fmt(out, "{\"name\":\"%s\"", p->name);
	put_text(out, "url", p->url);
	buf_fmt(out, ",\"pull\":%s,\"fetched_by_it\":%s", p->pull ? "true" : "false", p->url[0] == '\0' ? "true" : "false");
	buf_fmt(out, ",\"in_step\":%s,\"paused\":%s", p->in_step ? "true" : "false", p->paused ? "true" : "false");
	put_number(out, "pending", p->pending);
	put_number(out, "retry", p->retry);
	put_number(out, "waiting", p->waiting);
	put_number(out, "parked", p->parked);
	put_number(out, "discarded", p->discarded);
	put_number(out, "refused_here", p->refused_here);
	put_number(out, "undecided", p->undecided);
	buf_fmt(out, ",\"reasons\":%s,\"moved_tables\":%s", buf_cstr(&p->reasons), buf_cstr(&p->moved));
	put_number(out, "records_sent", p->records_sent);
	put_number(out, "records_applied", p->records_applied);
	put_number(out, "failures", p->failures);
	put_text(out, "last_success", p->last_success);
	put_text(out, "last_applied", p->last_applied);
	put_text(out, "last_error", p->last_error);
	put_text(out, "last_error_at", p->last_error_at);
	put_text(out, "held", p->held);
	put_text(out, "held_back", p->deletes);
	buf_fmt(out, ",\"clock_skew_ms\":%s", p->clock_skew_ms[0] == '\0' ? "null" : p->clock_skew_ms);
}

void
report_put_counts(const struct report *r, struct buf *out)
{
	buf_fmt(out, ",\"queue\":{\"pending\":%llu,\"synced\":%llu,\"failed\":%llu,\"superseded\":%llu}", (unsigned long long)r->pending,
	    (unsigned long long)r->synced, (unsigned long long)r->failed, (unsigned long long)r->superseded);
	put_number(out, "conflicts", r->conflicts);
	put_number(out, "undecided", r->undecided);
	put_number(out, "dirty_tables", r->dirty_tables);
	put_number(out, "queue_bytes", r->queue_bytes);
	put_number(out, "conflict_bytes", r->conflict_bytes);
	put_number(out, "max_queue", r->max_queue);
	put_number(out, "max_conflicts", r->max_conflicts);
	if (r->free_bytes == UINT64_MAX)
		buf_str(out, ",\"free_bytes\":null");
	else
		put_number(out, "free_bytes", r->free_bytes);
	if (r->filling.any)
		buf_fmt(out, ",\"startup\":{\"peer\":\"%s\",\"copy\":%s,\"records\":%llu}", r->filling.peer, r->filling.copy ? "true" : "false", (unsigned long long)r->filling.records);
	else
		buf_str(out, ",\"startup\":null");
	buf_fmt(out, ",\"new_tables\":%s", buf_cstr(&r->new_tables));
	buf_fmt(out, ",\"app_triggers\":%s,\"pending_by_table\":%s,\"numbering\":%s,\"directions\":%s,\"trees\":%s", buf_cstr(&r->app_triggers), buf_cstr(&r->tables),
	    buf_cstr(&r->numbering), buf_cstr(&r->oneway), buf_cstr(&r->trees));
}

void
report_json(const struct report *r, struct buf *out)
{
	buf_fmt(out, "{\"node\":\"%s\",\"incarnation\":\"%s\"", r->node.name, r->node.incarnation);
	put_text(out, "version", PACKAGE_VERSION);
	put_text(out, "database", r->database);
	buf_str(out, ",\"peers\":[");
	for (size_t i = 0; i < r->npeers; i++) {
		buf_str(out, i > 0 ? "," : "");
		report_put_peer(&r->peers[i], out);
		buf_char(out, '}');
	}
	buf_str(out, "]");
	report_put_counts(r, out);
	buf_fmt(out, ",\"parked\":%s,\"activity\":%s}\n", buf_cstr(&r->parked), buf_cstr(&r->activity));
}

void
report_parked_json(const struct report *r, struct buf *out)
{
	buf_fmt(out, "{\"parked\":%s}\n", buf_cstr(&r->parked));
}
