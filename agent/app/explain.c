/* One record's life: captured, sent, applied, refused, in conflict. Lives here: gathering and printing. Not
 * here: any decision. */
#include "app/explain.h"

#include <string.h>

#include "app/conflicts.h"
#include "base/measure.h"
#include "base/sheet.h"
#include "change/peer.h"
#include "change/record.h"

enum {
	OUT_MAX = 64 * 1024 * 1024
};

struct explain {
	const struct cli *cli;
	const struct conf *conf;
	struct db *db;
	struct catalog *catalog;
	const char *table, *key;
	uint64_t newest; /* id of the newest change, 0 = none */
	struct screen screen; /* text; or in its buffer alone, JSON */
	struct buf *out;
};

static void
put_rows_column(struct buf *out, const char *name, const struct db_rows *rows, size_t column)
{
	const char *text = db_rows_text(rows, column);

	line_member(out, name, text, text == NULL ? 0 : db_rows_len(rows, column));
}

/* --- the record --- */

static bool
is_here(struct explain *x, const struct table *t, bool *here, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, x->catalog->database, t->name);
	buf_str(&sql, " WHERE ");
	ok = record_put_match(x->db, &sql, t, x->key, strlen(x->key)) ||
	    err_set(e, ERR_USAGE, "\"%s\" is no key of table %s: a key of several columns is written with commas between them", x->key, t->name);
	ok = ok && buf_check(&sql, "a key", e) && db_query(x->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	*here = ok && db_rows_count(rows) > 0;
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

static bool
put_record(struct explain *x, struct err *e)
{
	const struct table *t = catalog_table(x->catalog, x->table);
	bool here;

	if (t == NULL)
		return err_set(e, ERR_USAGE, "table %s is not there, or not chosen by [sync] tables and exclude", x->table);
	if (t->problem != NULL)
		return err_set(e, ERR_USAGE, "table %s is not replicated: it %s", x->table, t->problem);
	if (!is_here(x, t, &here, e))
		return false;
	if (x->cli->json) {
		buf_str(x->out, "{\"table\":");
		line_quote(x->out, x->table, strlen(x->table));
		line_member(x->out, "record_id", x->key, strlen(x->key));
		buf_fmt(x->out, ",\"here\":%s", here ? "true" : "false");
		return true;
	}
	screen_fmt(&x->screen, INK_STRONG, "table %s, record %s: %s", x->table, x->key, here ? "is here" : "is not here");
	return true;
}

/* --- changes --- */

static const char sql_changes[] =
    "SELECT id, operation, changed_at, origin, via, status, attempt_count, last_error, synced_at, link IS NOT NULL FROM sync_queue"
    " WHERE table_name=? AND record_id=? ORDER BY id DESC LIMIT ?";

static void
put_change_json(struct explain *x, const struct db_rows *rows, bool first)
{
	bool synced = strcmp(db_rows_text(rows, 5), "synced") == 0;

	buf_fmt(x->out, "%s{\"id\":%s", first ? "" : ",", db_rows_text(rows, 0));
	put_rows_column(x->out, "operation", rows, 1);
	put_rows_column(x->out, "changed_at", rows, 2);
	put_rows_column(x->out, "origin", rows, 3);
	put_rows_column(x->out, "via", rows, 4);
	put_rows_column(x->out, "status", rows, 5);
	buf_fmt(x->out, ",\"attempts\":%s", db_rows_text(rows, 6));
	put_rows_column(x->out, "reason", rows, 7);
	line_member(x->out, "synced_at", synced ? db_rows_text(rows, 8) : NULL, synced ? strlen(db_rows_text(rows, 8)) : 0);
	buf_fmt(x->out, ",\"key_changed\":%s}", db_rows_u64(rows, 9) != 0 ? "true" : "false");
}

static const struct sheet_column change_columns[] = { { "changed", false, false }, { "at (UTC)", false, false }, { "change", false, true }, { "by", false, true },
	{ "state", false, false }, { "", false, true } };

static void
put_change(struct sheet *t, const struct db_rows *rows)
{
	const char *origin = db_rows_text(rows, 3), *via = db_rows_text(rows, 4), *why = db_rows_text(rows, 7), *status = db_rows_text(rows, 5);
	char age[MEASURE_MAX];

	sheet_cell(t, INK_PLAIN, measure_age(db_rows_text(rows, 2), age));
	sheet_fmt(t, INK_FAINT, "%.19s", db_rows_text(rows, 2));
	sheet_fmt(t, INK_STRONG, "%s%s", db_rows_text(rows, 1), db_rows_u64(rows, 9) != 0 ? " (key changed)" : "");
	sheet_fmt(t, INK_PLAIN, "%s%s%s", origin == NULL ? "this node" : origin, via == NULL ? "" : ", came by ", via == NULL ? "" : via);
	sheet_cell(t, strcmp(status, "failed") == 0 ? INK_BAD : strcmp(status, "synced") == 0 ? INK_GOOD : INK_PLAIN, status);
	if (strcmp(status, "synced") == 0)
		sheet_cell(t, INK_FAINT, measure_age(db_rows_text(rows, 8), age));
	else
		sheet_cell(t, INK_PLAIN, why);
}

static bool
put_changes(struct explain *x, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, first = true, ok;
	struct sheet t;

	if (!db_query(x->db, sql_changes, DB_ARGS(db_text(x->table), db_bytes(x->key, strlen(x->key)), db_u64(EXPLAIN_CHANGES)), &rows, e))
		return false;
	sheet_init(&t, change_columns, sizeof change_columns / sizeof change_columns[0]);
	if (x->cli->json)
		buf_str(x->out, ",\"changes\":[");
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		if (first)
			x->newest = db_rows_u64(rows, 0);
		if (x->cli->json)
			put_change_json(x, rows, first);
		else
			put_change(&t, rows);
		first = false;
	}
	if (x->cli->json)
		buf_char(x->out, ']');
	else if (first)
		screen_line(&x->screen, INK_PLAIN, "no change of it is in the queue (any more)");
	else {
		screen_gap(&x->screen);
		sheet_put(&t, &x->screen);
	}
	sheet_free(&t);
	db_rows_free(rows);
	return ok;
}

/* --- peers --- */

static bool
find_debt(struct explain *x, const char *sql, const char *peer, struct db_rows **rows, bool *found, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];

	*found = false;
	return peer_record_hash(x->table, x->key, strlen(x->key), hash, e) &&
	    db_query(x->db, sql, DB_ARGS(db_text(peer), db_bytes(hash, sizeof hash)), rows, e) && db_rows_next(*rows, found, e);
}

static void
put_debt_json(struct explain *x, const char *name, const struct db_rows *rows, bool found)
{
	line_member(x->out, name, found ? db_rows_text(rows, 0) : NULL, found ? db_rows_len(rows, 0) : 0);
	buf_fmt(x->out, ",\"%s_because\":", name);
	if (!found || db_rows_text(rows, 1) == NULL)
		buf_str(x->out, "null");
	else
		line_quote(x->out, db_rows_text(rows, 1), db_rows_len(rows, 1));
}

static void
put_debt(struct buf *note, const char *name, const struct db_rows *rows)
{
	const char *why = db_rows_text(rows, 1);

	buf_fmt(note, "%s%s: %s%s%s", note->len > 0 ? "; " : "", strcmp(name, "owed") == 0 ? "refused there" : "its version is refused here", db_rows_text(rows, 0),
	    why == NULL ? "" : ": ", why == NULL ? "" : why);
}

static bool
put_debts(struct explain *x, const char *peer, struct buf *note, struct err *e)
{
	static const struct {
		const char *name, *sql;
	} kinds[] = {
		{ "owed", "SELECT state, last_error FROM sync_owed WHERE peer=? AND record_hash=?" },
		{ "refused", "SELECT kind, reason FROM sync_unsettled WHERE peer=? AND record_hash=?" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct db_rows *rows = NULL;
		bool found, ok = find_debt(x, kinds[i].sql, peer, &rows, &found, e);

		if (ok && x->cli->json)
			put_debt_json(x, kinds[i].name, rows, found);
		else if (ok && found)
			put_debt(note, kinds[i].name, rows);
		db_rows_free(rows);
		if (!ok)
			return false;
	}
	return true;
}

static bool
put_peer(struct explain *x, const char *peer, struct sheet *t, struct err *e)
{
	struct peer_state state;
	struct mark acked = { 0 };
	bool found = false, has, ok;
	struct buf note;

	if (!peer_load(x->db, peer, &state, e) || !queue_load_mark(x->db, state.acked_epoch, &acked, &found, e))
		return false;
	has = x->newest == 0 || (found && mark_contains(&acked, x->newest));
	mark_free(&acked);
	buf_init(&note, OUT_MAX);
	if (x->cli->json)
		buf_fmt(x->out, "%s{\"peer\":\"%s\",\"has_newest\":%s", x->out->data[x->out->len - 1] == '[' ? "" : ",", peer, has ? "true" : "false");
	ok = put_debts(x, peer, &note, e);
	if (x->cli->json)
		buf_char(x->out, '}');
	else {
		sheet_cell(t, INK_STRONG, peer);
		sheet_cell(t, has ? INK_GOOD : INK_PLAIN, x->newest == 0 ? "nothing is on its way" : has ? "has the newest change" : "the newest change waits for it");
		sheet_cell(t, INK_WARN, buf_cstr(&note));
	}
	buf_free(&note);
	return ok;
}

static bool
put_peers(struct explain *x, struct err *e)
{
	static const struct sheet_column columns[] = { { "peer", false, false }, { "newest change", false, true }, { "", false, true } };
	struct sheet t;
	bool ok = true;

	sheet_init(&t, columns, sizeof columns / sizeof columns[0]);
	if (x->cli->json)
		buf_str(x->out, ",\"peers\":[");
	for (size_t i = 0; ok && i < x->conf->npeers; i++)
		ok = peer_register(x->db, x->conf->peers[i].name, e) && put_peer(x, x->conf->peers[i].name, &t, e);
	if (x->cli->json)
		buf_char(x->out, ']');
	else if (ok && t.n > 0) {
		screen_gap(&x->screen);
		sheet_put(&t, &x->screen);
	}
	sheet_free(&t);
	return ok;
}

/* --- conflicts --- */

struct conflict_list {
	struct explain *x;
	struct sheet sheet;
};

static bool
put_conflict(const struct inbox_conflict *c, void *arg, struct err *e)
{
	struct conflict_list *l = arg;
	bool open = conflicts_is_undecided(c);
	char age[MEASURE_MAX];

	(void)e;
	if (l->x->cli->json) {
		buf_fmt(l->x->out, "%s%llu", l->x->out->data[l->x->out->len - 1] == '[' ? "" : ",", (unsigned long long)c->id);
		return true;
	}
	sheet_fmt(&l->sheet, INK_STRONG, "%llu", (unsigned long long)c->id);
	sheet_cell(&l->sheet, INK_PLAIN, measure_age(c->happened_at, age));
	sheet_cell(&l->sheet, INK_PLAIN, c->peer);
	sheet_cell(&l->sheet, INK_PLAIN, c->rule);
	sheet_cell(&l->sheet, open ? INK_BAD : INK_PLAIN, open ? "NOT DECIDED" : conflicts_kept(c));
	sheet_fmt(&l->sheet, INK_FAINT, "%s of %.19s against %s of %.19s", c->local.node, c->local.changed_at, c->remote.node, c->remote.changed_at);
	return true;
}

static bool
put_conflicts(struct explain *x, struct err *e)
{
	static const struct sheet_column columns[] = { { "conflict", true, false }, { "when", false, false }, { "with", false, false }, { "rule", false, true },
		{ "stands", false, false }, { "versions (UTC)", false, true } };
	const struct inbox_filter f = { .table = x->table, .key = x->key, .most = CONFLICTS_LISTED };
	struct conflict_list l = { .x = x };
	bool ok;

	sheet_init(&l.sheet, columns, sizeof columns / sizeof columns[0]);
	if (x->cli->json)
		buf_str(x->out, ",\"conflicts\":[");
	ok = inbox_visit(x->db, &f, put_conflict, &l, e);
	if (x->cli->json)
		buf_str(x->out, "]}\n");
	else if (ok && l.sheet.n > 0) {
		screen_gap(&x->screen);
		sheet_put(&l.sheet, &x->screen);
	}
	sheet_free(&l.sheet);
	return ok;
}

enum exit_code
explain_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct explain x = { .cli = cli, .conf = conf, .table = cli->argument, .key = cli->second };
	struct node_identity node;
	bool ok;

	screen_init(&x.screen, cli->colour, OUT_MAX);
	x.out = &x.screen.out;
	ok = db_open(&conf->database, &x.db, e) && schema_enter(x.db, conf, &node, e) && catalog_read(x.db, conf, &x.catalog, e) &&
	    put_record(&x, e) && put_changes(&x, e) && put_peers(&x, e) && put_conflicts(&x, e);
	if (ok && (cli->json || !cli->quiet))
		ok = screen_print(&x.screen, e);
	catalog_free(x.catalog);
	db_close(x.db);
	screen_free(&x.screen);
	return ok ? EXIT_DONE : cli_exit_code(e);
}
