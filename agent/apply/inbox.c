/* Kept conflicts. Lives here: the SQL of sync_conflict after the verdict, a person's decision. Not here:
 * keeping them (apply/outcome), showing them (app/conflicts). */
#include "apply/inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/fit.h"
#include "apply/rival.h"
#include "capture/body.h"
#include "capture/mask.h"
#include "change/peer.h"
#include "change/record.h"
#include "db/bulk.h"

enum {
	INBOX_PAIRS = 2 * CATALOG_COLUMNS,
	RESOLVE_TRIES = 5, /* each waits for locks as long as any session of the agent */
	PURGE_AT_ONCE = 1000 /* conflicts; a statement that holds no locks for long */
};

/* --- keeping --- */

static const char sql_keep[] =
    "INSERT INTO sync_conflict (peer, table_name, record_id, policy, verdict, local_changed_at, local_origin, local_row,"
    " remote_changed_at, remote_origin, remote_row) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/* What one statement carries of a version: quoted, a byte can take two, and there are two versions. */
static size_t
piece_size(const struct db *db)
{
	return (size_t)(db_packet_max(db) / 8);
}

static struct db_arg
first_piece(const struct db *db, const struct inbox_version *v)
{
	return v->row == NULL ? db_null() : db_text_n(v->row, v->row_len < piece_size(db) ? v->row_len : piece_size(db));
}

static bool
keep_rest(struct db *db, uint64_t id, const char *side, const struct inbox_version *v, struct err *e)
{
	size_t size = piece_size(db);
	uint64_t part = 1;

	for (size_t at = size; v->row != NULL && at < v->row_len; at += size, part++) {
		size_t len = v->row_len - at < size ? v->row_len - at : size;

		if (!db_exec(db, "INSERT INTO sync_conflict_part (conflict, side, part, data) VALUES (?, ?, ?, ?)",
			DB_ARGS(db_u64(id), db_text(side), db_u64(part), db_text_n(v->row + at, len)), e))
			return false;
	}
	return true;
}

/* In front of the pieces: with what CHECKs the row was taken where it was. */
static bool
keep_checks(struct db *db, uint64_t id, const char *side, const struct inbox_version *v, struct err *e)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)v->checks);
	return v->row == NULL || v->checks == 0 ||
	    db_exec(db, "INSERT INTO sync_conflict_part (conflict, side, part, data) VALUES (?, ?, 0, ?)", DB_ARGS(db_u64(id), db_text(side), db_text(text)), e);
}

/* What one statement could not carry. */
static bool
keep_more(struct db *db, uint64_t id, const char *side, const struct inbox_version *v, struct err *e)
{
	return keep_checks(db, id, side, v, e) && keep_rest(db, id, side, v, e);
}

bool
inbox_keep(struct db *db, const struct inbox_conflict *c, struct err *e)
{
	size_t size = piece_size(db);
	uint64_t id;

	if (!db_exec(db, sql_keep,
		DB_ARGS(db_text(c->peer), db_text(c->table), db_bytes(c->key, c->key_len), db_text(c->rule), db_text(c->verdict),
		    db_text(c->local.changed_at), db_text(c->local.node), first_piece(db, &c->local), db_text(c->remote.changed_at),
		    db_text(c->remote.node), first_piece(db, &c->remote)), e))
		return false;
	if (c->local.row_len <= size && c->remote.row_len <= size && c->local.checks == 0 && c->remote.checks == 0)
		return true;
	return db_number(db, "SELECT LAST_INSERT_ID()", DB_NO_ARGS, &id, NULL, e) && keep_more(db, id, "local", &c->local, e) &&
	    keep_more(db, id, "remote", &c->remote, e);
}

bool
inbox_renew(struct db *db, uint64_t id, const struct inbox_conflict *c, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_conflict_part WHERE conflict=?", DB_ARGS(db_u64(id)), e) &&
	    db_exec(db, "UPDATE sync_conflict SET policy=?, local_changed_at=?, local_origin=?, local_row=?, remote_changed_at=?, remote_origin=?, remote_row=? WHERE id=?",
		DB_ARGS(db_text(c->rule), db_text(c->local.changed_at), db_text(c->local.node), first_piece(db, &c->local), db_text(c->remote.changed_at),
		    db_text(c->remote.node), first_piece(db, &c->remote), db_u64(id)), e) &&
	    keep_more(db, id, "local", &c->local, e) && keep_more(db, id, "remote", &c->remote, e);
}

bool
inbox_renew_local(struct db *db, uint64_t id, const struct inbox_version *local, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_conflict_part WHERE conflict=? AND side='local'", DB_ARGS(db_u64(id)), e) &&
	    db_exec(db, "UPDATE sync_conflict SET local_row=? WHERE id=?", DB_ARGS(first_piece(db, local), db_u64(id)), e) && keep_more(db, id, "local", local, e);
}

bool
inbox_is_remote(struct db *db, uint64_t id, const struct inbox_version *v, bool *is, struct err *e)
{
	uint64_t n = 0;

	if (!db_number(db, "SELECT EXISTS (SELECT 1 FROM sync_conflict WHERE id=? AND remote_row<=>?)", DB_ARGS(db_u64(id), first_piece(db, v)), &n, NULL, e))
		return false;
	*is = n != 0;
	return true;
}

bool
inbox_end(struct db *db, uint64_t id, enum inbox_keep which, struct err *e)
{
	return db_exec(db, "UPDATE sync_conflict SET resolved_at=NOW(6), resolution=? WHERE id=?", DB_ARGS(db_text(which == INBOX_LOCAL ? "local" : "remote"), db_u64(id)), e);
}

#define SQL_ACCEPTED " WHERE u.peer=? AND u.decision IS NULL AND c.table_name=? AND ((u.rival_id IS NULL AND u.record_hash=?) OR u.rival_id=?)"

bool
inbox_accepted(struct db *db, const char *peer, const char *table, const char *key, size_t key_len, struct err *e)
{
	static const char *const sql[] = {
		"UPDATE sync_undecided u STRAIGHT_JOIN sync_conflict c ON c.id=u.conflict SET c.resolved_at=NOW(6)" SQL_ACCEPTED,
		"DELETE u FROM sync_undecided u STRAIGHT_JOIN sync_conflict c ON c.id=u.conflict" SQL_ACCEPTED,
	};
	unsigned char hash[PEER_HASH_BYTES];
	bool ok = peer_record_hash(table, key, key_len, hash, e);

	for (size_t i = 0; ok && i < sizeof sql / sizeof sql[0]; i++)
		ok = db_exec(db, sql[i], DB_ARGS(db_text(peer), db_text(table), db_bytes(hash, sizeof hash), db_bytes(key, key_len)), e);
	return ok;
}

static void
put_column(struct buf *out, const char *name, const char *data, size_t len)
{
	struct buf one;

	if (out->len > 0 && out->data[out->len - 1] != '{')
		buf_char(out, ',');
	line_quote(out, name, strlen(name));
	buf_char(out, ':');
	buf_init(&one, LINE_BYTES_MAX);
	if (data == NULL)
		buf_str(&one, "null");
	else
		line_text(&one, data, len);
	buf_put(out, one.data, one.len);
	out->failed = out->failed || one.failed;
	buf_free(&one);
}

void
inbox_put_row(struct buf *out, const struct table *t, const size_t *map, const struct line_value *values)
{
	buf_char(out, '{');
	for (size_t i = 0; i < t->ncolumns; i++)
		put_column(out, t->columns[map == NULL ? i : map[i]].name, values[i].data, values[i].len);
	buf_char(out, '}');
}

void
inbox_put_read(struct buf *out, const struct table *t, const struct db_rows *row)
{
	buf_char(out, '{');
	for (size_t i = 0; i < t->ncolumns; i++)
		put_column(out, t->columns[i].name, db_rows_text(row, 1 + i), db_rows_text(row, 1 + i) == NULL ? 0 : db_rows_len(row, 1 + i));
	buf_char(out, '}');
}

/* --- reading --- */

/* One conflict being read: the row of sync_conflict, and versions that had to be put together. */
struct reading {
	struct db *db;
	struct db_rows *rows;
	struct buf local, remote;
};

static const char sql_one[] =
    "SELECT id, happened_at, peer, table_name, record_id, policy, verdict, local_changed_at, local_origin, local_row,"
    " remote_changed_at, remote_origin, remote_row, resolved_at, resolution FROM sync_conflict WHERE id=?";

static struct inbox_version
take_version(const struct db_rows *rows, size_t at)
{
	return (struct inbox_version){
		.changed_at = db_rows_text(rows, at),
		.node = db_rows_text(rows, at + 1),
		.row = db_rows_text(rows, at + 2),
		.row_len = db_rows_text(rows, at + 2) == NULL ? 0 : db_rows_len(rows, at + 2),
	};
}

static void
take_conflict(const struct db_rows *rows, struct inbox_conflict *c)
{
	*c = (struct inbox_conflict){
		.id = db_rows_u64(rows, 0),
		.happened_at = db_rows_text(rows, 1),
		.peer = db_rows_text(rows, 2),
		.table = db_rows_text(rows, 3),
		.key = db_rows_text(rows, 4),
		.key_len = db_rows_len(rows, 4),
		.rule = db_rows_text(rows, 5),
		.verdict = db_rows_text(rows, 6),
		.local = take_version(rows, 7),
		.remote = take_version(rows, 10),
		.resolved_at = db_rows_text(rows, 13),
		.resolution = db_rows_text(rows, 14),
	};
}

/* Each piece by itself: a row of the answer has the same limit as a statement. */
static bool
join_pieces(struct reading *r, uint64_t id, const char *side, struct inbox_version *v, struct err *e)
{
	struct buf *whole = strcmp(side, "local") == 0 ? &r->local : &r->remote;
	bool more = true;

	if (v->row == NULL)
		return true;
	buf_put(whole, v->row, v->row_len);
	for (uint64_t part = 1; more; part++) {
		struct db_rows *rows = NULL;
		bool ok = db_query(r->db, "SELECT data FROM sync_conflict_part WHERE conflict=? AND side=? AND part=?",
			      DB_ARGS(db_u64(id), db_text(side), db_u64(part)), &rows, e) && db_rows_next(rows, &more, e);

		if (ok && more)
			buf_put(whole, db_rows_text(rows, 0), db_rows_len(rows, 0));
		db_rows_free(rows);
		if (!ok)
			return false;
	}
	v->row = buf_cstr(whole);
	v->row_len = whole->len;
	return buf_check(whole, "a kept version", e);
}

static bool
visit_one(struct reading *r, uint64_t id, bool in_pieces, inbox_visitor *visit, void *arg, struct err *e)
{
	struct inbox_conflict c;
	bool more = false;

	if (!db_query(r->db, sql_one, DB_ARGS(db_u64(id)), &r->rows, e) || !db_rows_next(r->rows, &more, e))
		return false;
	if (!more)
		return true; /* purged meanwhile */
	take_conflict(r->rows, &c);
	if (in_pieces && (!join_pieces(r, id, "local", &c.local, e) || !join_pieces(r, id, "remote", &c.remote, e)))
		return false;
	return visit(&c, arg, e);
}

static bool
list_ids(struct db *db, const struct inbox_filter *f, struct db_rows **rows, struct err *e)
{
	const struct db_arg values[] = { db_text(f->peer), db_text(f->table), db_text(f->key), f->id == 0 ? db_null() : db_u64(f->id) };
	static const char *const column[] = { "peer", "table_name", "record_id", "id" };
	struct db_arg args[sizeof values / sizeof values[0] + 1];
	size_t nargs = 0;
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT id, EXISTS (SELECT 1 FROM sync_conflict_part p WHERE p.conflict=c.id) FROM sync_conflict c WHERE 1");
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		if (values[i].kind == DB_KIND_NULL)
			continue;
		buf_fmt(&sql, " AND %s=?", column[i]);
		args[nargs++] = values[i];
	}
	buf_fmt(&sql, " ORDER BY %sid DESC LIMIT ?", f->undecided_first ? "verdict='ask' AND resolved_at IS NULL DESC, " : "");
	args[nargs++] = db_u64(f->most);
	ok = buf_check(&sql, "a statement", e) && db_query(db, buf_cstr(&sql), args, nargs, rows, e);
	buf_free(&sql);
	return ok;
}

bool
inbox_visit(struct db *db, const struct inbox_filter *f, inbox_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *ids = NULL;
	bool more = false, ok;

	if (!list_ids(db, f, &ids, e))
		return false;
	while ((ok = db_rows_next(ids, &more, e)) && more) {
		struct reading r = { .db = db };

		buf_init(&r.local, INBOX_ROW_MAX);
		buf_init(&r.remote, INBOX_ROW_MAX);
		ok = visit_one(&r, db_rows_u64(ids, 0), db_rows_u64(ids, 1) != 0, visit, arg, e);
		db_rows_free(r.rows);
		buf_free(&r.local);
		buf_free(&r.remote);
		if (!ok)
			break;
	}
	db_rows_free(ids);
	return ok;
}

/* {"a":"1","b":null} becomes ["a","1","b",null], which the decoder of record lines reads: names and values
 * hold no bracket, brace or colon outside of their quotes. */
static void
object_to_array(char *text, size_t len)
{
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && text[i] == '{')
			text[i] = '[';
		else if (!quoted && text[i] == '}')
			text[i] = ']';
		else if (!quoted && text[i] == ':')
			text[i] = ',';
	}
}

bool
inbox_parse_row(char *text, size_t len, struct line_value *pairs, size_t max, size_t *n, struct err *e)
{
	object_to_array(text, len);
	if (!line_parse(text, len, pairs, max, n, e))
		return err_prefix(e, "a kept version in sync_conflict");
	for (size_t i = 0; i < *n; i += 2)
		if (pairs[i].data == NULL || *n % 2 != 0)
			return err_set(e, ERR_INTERNAL, "a kept version in sync_conflict is malformed");
	return true;
}

/* --- a person's decision --- */

static const char rule_unique[] = "unique";
const char inbox_rule_preferred[] = "unique, prefer";

struct decider {
	struct db *db;
	const struct catalog *catalog;
	const struct table *table;
	uint64_t id;
	enum inbox_keep keep;
	uint64_t checks; /* of the table where the chosen version was */
	bool found;
	bool here;	/* the record exists now */
	bool unique;	/* the local version is another row, which has the record's unique value */
	bool decided;	/* by a person before, here or elsewhere */
	bool asked;	/* no rule could choose */
	bool counts;	/* the record has counters: a person has changed its other columns, and no sale is lost */
	char now[32];	/* the decision's time: later than both versions, whatever the clocks say */
	const char *author; /* whose decision it is; NULL: this node's */
	struct db_rows *rival; /* the row that has the value now */
	struct db_rows *twin;  /* the record as it was kept, under its other key */
	char table_name[65 * 4];
	struct buf key;
	struct buf versions[2]; /* as kept: the local row, the remote one */
	bool deleted[2];
	char changed_at[2][32], node[2][CONF_NAME_MAX + 1], peer[CONF_NAME_MAX + 1];
	struct buf current; /* the row as it is now, in the same form */
	struct line_value *pairs; /* of the chosen row, pointing into chosen */
	size_t npairs;
	struct buf chosen;
};

bool
inbox_is_unique(const struct inbox_conflict *c)
{
	return strcmp(c->rule, rule_unique) == 0 || strcmp(c->rule, inbox_rule_preferred) == 0;
}

static bool
copy_conflict(const struct inbox_conflict *c, void *arg, struct err *e)
{
	struct decider *d = arg;
	const struct inbox_version *from[] = { &c->local, &c->remote };

	d->found = true;
	d->unique = inbox_is_unique(c);
	d->decided = c->resolved_at != NULL;
	d->asked = strcmp(c->verdict, "ask") == 0;
	(void)snprintf(d->table_name, sizeof d->table_name, "%s", c->table);
	(void)snprintf(d->peer, sizeof d->peer, "%s", c->peer);
	buf_put(&d->key, c->key, c->key_len);
	for (size_t i = 0; i < 2; i++) {
		d->deleted[i] = from[i]->row == NULL;
		if (from[i]->row != NULL)
			buf_put(&d->versions[i], from[i]->row, from[i]->row_len);
		(void)snprintf(d->changed_at[i], sizeof d->changed_at[i], "%s", from[i]->changed_at);
		(void)snprintf(d->node[i], sizeof d->node[i], "%s", from[i]->node);
	}
	return buf_check(&d->key, "a record's key", e) && buf_check(&d->versions[0], "a kept version", e) && buf_check(&d->versions[1], "a kept version", e);
}

static bool
load_checks(struct decider *d, struct err *e)
{
	return db_number(d->db, "SELECT data FROM sync_conflict_part WHERE conflict=? AND side=? AND part=0",
	    DB_ARGS(db_u64(d->id), db_text(d->keep == INBOX_LOCAL ? "local" : "remote")), &d->checks, NULL, e);
}

static bool
load_conflict(struct decider *d, struct err *e)
{
	const struct inbox_filter f = { .id = d->id, .most = 1 };

	if (!inbox_visit(d->db, &f, copy_conflict, d, e))
		return false;
	if (!d->found)
		return err_set(e, ERR_USAGE, "there is no conflict %llu; agent --conflicts lists them", (unsigned long long)d->id);
	d->table = catalog_table(d->catalog, d->table_name);
	if (d->table == NULL || d->table->problem != NULL)
		return err_set(e, ERR_USAGE, "table %s %s", d->table_name, d->table == NULL ? "is not replicated any more" : d->table->problem);
	return load_checks(d, e);
}

static bool
lock_record(struct decider *d, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	record_select(&sql, d->catalog->database, d->table);
	buf_str(&sql, " WHERE ");
	ok = record_put_match(d->db, &sql, d->table, d->key.data, d->key.len) ||
	    err_set(e, ERR_USAGE, "the key of table %s has changed since this conflict", d->table_name);
	buf_str(&sql, " FOR UPDATE");
	ok = ok && buf_check(&sql, "a key", e) && db_query(d->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &d->here, e);
	if (ok && d->here)
		inbox_put_read(&d->current, d->table, rows);
	ok = ok && buf_check(&d->current, "a record", e);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* The chosen version's value of a column; false: that version has no such column. */
static bool
chosen_value(const struct decider *d, const struct column *col, const struct line_value **out)
{
	for (size_t i = 0; i < d->npairs; i += 2) {
		if (strcmp(d->pairs[i].data, col->name) != 0)
			continue;
		*out = &d->pairs[i + 1];
		return true;
	}
	return false;
}

/* A statement and what it binds. Values are bound: written into the text they would take twice their room. */
struct statement {
	struct buf sql;
	struct db_arg args[CATALOG_COLUMNS];
	bool binary[CATALOG_COLUMNS];
	size_t n;
	size_t warned; /* values that the server stores only with a warning */
};

/* " SET a=?, b=?" of every column that the chosen version has. */
static void
put_assignments(struct decider *d, struct statement *st)
{
	const char *word = " SET ";

	for (size_t i = 0; i < d->table->ncolumns; i++) {
		const struct column *col = &d->table->columns[i];
		const struct line_value *value;

		if ((d->counts && col->counts) || !chosen_value(d, col, &value))
			continue; /* the column came later: it keeps what it has, or gets its default */
		buf_str(&st->sql, word);
		db_quote_name(&st->sql, col->name);
		buf_char(&st->sql, '=');
		template_write(&st->sql, col);
		st->args[st->n] = db_text_n(value->data, value->len);
		st->binary[st->n++] = template_binds_raw(col);
		st->warned += template_warns(col, value->data) ? 1 : 0;
		word = ", ";
	}
}

static bool
run_statement(struct decider *d, struct statement *st, struct err *e)
{
	struct bulk *bulk = NULL;
	uint64_t affected;
	bool ok;

	if (st->n == 0)
		return db_exec_text(d->db, st->sql.data, st->sql.len, e);
	ok = bulk_new(d->db, buf_cstr(&st->sql), st->n, st->binary, &bulk, e) && bulk_add(bulk, st->args, e);
	if (ok)
		bulk_forgive(bulk, st->warned);
	ok = ok && bulk_run(bulk, &affected, e);
	bulk_free(bulk);
	return ok;
}

/* As apply/span does: what a server took with the CHECKs of this one is taken. */
static bool
run_unchecked(struct decider *d, struct statement *st, struct err *e)
{
	bool ok;

	if (!fit_lifts_checks(d->table, d->checks, e))
		return false;
	ok = db_checks(d->db, false, e) && run_statement(d, st, e);
	return db_checks(d->db, true, ok ? e : NULL) && ok;
}

static bool
write_record(struct decider *d, struct err *e)
{
	bool gone = d->deleted[d->keep], moves = d->twin != NULL, ok = true;
	struct statement *st;

	if (gone && !d->here)
		return true;
	st = calloc(1, sizeof *st);
	if (st == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a statement");
	buf_init(&st->sql, TEMPLATE_SQL_MAX);
	buf_str(&st->sql, gone ? "DELETE FROM " : d->here || moves ? "UPDATE " : "INSERT INTO ");
	template_table(&st->sql, d->catalog->database, d->table->name);
	if (!gone)
		put_assignments(d, st);
	if (d->here || moves) {
		buf_str(&st->sql, " WHERE ");
		ok = record_put_match(d->db, &st->sql, d->table, moves ? db_rows_text(d->twin, 0) : d->key.data, moves ? db_rows_len(d->twin, 0) : d->key.len);
	}
	ok = ok && buf_check(&st->sql, "a record", e) && (run_statement(d, st, e) || run_unchecked(d, st, e));
	buf_free(&st->sql);
	free(st);
	return ok || err_prefix(e, "table %s", d->table_name);
}

static bool
take_time(struct decider *d, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(d->db, "SELECT GREATEST(NOW(6), CAST(? AS DATETIME(6)) + INTERVAL 1 MICROSECOND, CAST(? AS DATETIME(6)) + INTERVAL 1 MICROSECOND)",
		 DB_ARGS(db_text(d->changed_at[0]), db_text(d->changed_at[1])), &rows, e) && db_rows_next(rows, &more, e) && more;
	if (ok)
		(void)snprintf(d->now, sizeof d->now, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

static bool
same_text(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* What the decision replaces, unless it is kept already. */
static bool
keep_current(struct decider *d, const struct node_identity *node, struct err *e)
{
	const struct buf *chosen = &d->versions[d->keep];
	struct inbox_conflict c = {
		.peer = d->peer,
		.table = d->table_name,
		.key = d->key.data,
		.key_len = d->key.len,
		.rule = "resolve",
		.verdict = "apply",
		.local = { d->now, node->name, d->here ? d->current.data : NULL, d->current.len, d->table->checks },
		.remote = { d->changed_at[d->keep], d->node[d->keep], d->deleted[d->keep] ? NULL : chosen->data, chosen->len, d->checks },
	};

	for (size_t i = 0; i < 2; i++)
		if (d->deleted[i] == !d->here && same_text(&d->versions[i], &d->current))
			return true;
	return inbox_keep(d->db, &c, e);
}

/* --- what is queued for it --- */

static bool
add_ids(struct buf *ids, struct db_rows *rows, struct err *e)
{
	bool more = false, ok;

	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (db_rows_text(rows, 0) != NULL && db_rows_len(rows, 0) > 0)
			buf_fmt(ids, "%s%s", ids->len > 0 ? "," : "", db_rows_text(rows, 0));
	return ok;
}

/* Earlier changes of a record that are not everywhere yet: the decision takes their place. One that gave the
 * record its key is left, since the peers must hear of that. */
static bool
supersede(struct decider *d, const char *key, size_t len, const unsigned char *hash, struct err *e)
{
	struct db_rows *owed = NULL, *rows = NULL;
	struct buf ids;
	bool ok;

	buf_init(&ids, INBOX_ROW_MAX);
	ok = db_query(d->db, "SELECT queue_ids FROM sync_owed WHERE record_hash=? AND link IS NULL", DB_ARGS(db_bytes(hash, PEER_HASH_BYTES)), &owed, e) &&
	    add_ids(&ids, owed, e) &&
	    db_query(d->db, "SELECT id FROM sync_queue WHERE id > (SELECT MIN(high_id) FROM sync_peer p JOIN sync_epoch m ON m.epoch=p.acked_epoch)"
			    " AND table_name=? AND record_id=? AND status='pending' AND link IS NULL", DB_ARGS(db_text(d->table_name), db_bytes(key, len)), &rows, e) &&
	    add_ids(&ids, rows, e) && buf_check(&ids, "a record's changes", e) && (ids.len == 0 || queue_mark_rows(d->db, buf_cstr(&ids), "superseded", 0, NULL, e)) &&
	    db_exec(d->db, "DELETE FROM sync_owed WHERE record_hash=? AND link IS NULL", DB_ARGS(db_bytes(hash, PEER_HASH_BYTES)), e);
	db_rows_free(owed);
	db_rows_free(rows);
	buf_free(&ids);
	return ok;
}

/* A decision has seen both versions: nothing of the record is owed any more, and every peer gets it whole. What a peer
 * has an undecided version of is settled, since that is kept. What came later, and was refused for another reason,
 * nobody has looked at. An update even where the row is new: two inserts under one automatic number would be two rows,
 * and somebody may decide on the other side at the same time. */
static bool
queue_record(struct decider *d, const char *key, size_t len, const char *operation, uint64_t link, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];

	return peer_record_hash(d->table_name, key, len, hash, e) && supersede(d, key, len, hash, e) &&
	    db_exec(d->db, "DELETE FROM sync_unsettled WHERE record_hash=? AND kind IN ('collision','manual')",
		DB_ARGS(db_bytes(hash, sizeof hash)), e) &&
	    db_exec(d->db, "INSERT INTO sync_queue (id, table_name, operation, record_id, changed_at, whole, origin, link) VALUES (NEXTVAL(sync_sequence), ?, ?, ?, ?, 1, ?, ?)",
		DB_ARGS(db_text(d->table_name), db_text(operation), db_bytes(key, len), db_text(d->now), db_text(d->author), link == 0 ? db_null() : db_u64(link)), e);
}

static bool
queue_gone(struct decider *d, const char *key, size_t len, bool gone, struct err *e)
{
	return queue_record(d, key, len, gone ? "delete" : "update", 0, e);
}

static bool
queue_own(struct decider *d, bool gone, struct err *e)
{
	return queue_gone(d, d->key.data, d->key.len, gone, e);
}

/* The record has had another key until now, here or there: told as any changed key is. */
static bool
queue_moved(struct decider *d, const struct line_value *from, const struct line_value *to, struct err *e)
{
	uint64_t link;

	return queue_record(d, from->data, from->len, "delete", 0, e) && db_number(d->db, "SELECT LASTVAL(sync_sequence)", DB_NO_ARGS, &link, NULL, e) &&
	    queue_record(d, to->data, to->len, "insert", link, e);
}

static bool
parse_version(struct decider *d, enum inbox_keep from, struct err *e)
{
	d->npairs = 0;
	if (d->deleted[from])
		return true;
	if (d->pairs == NULL && (d->pairs = calloc(INBOX_PAIRS, sizeof *d->pairs)) == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	buf_reset(&d->chosen);
	buf_put(&d->chosen, d->versions[from].data, d->versions[from].len);
	(void)buf_cstr(&d->chosen);
	return buf_check(&d->chosen, "a kept version", e) && inbox_parse_row(d->chosen.data, d->chosen.len, d->pairs, INBOX_PAIRS, &d->npairs, e);
}

static bool
parse_chosen(struct decider *d, struct err *e)
{
	enum inbox_keep from = d->unique ? INBOX_REMOTE : d->keep; /* the record's own version says which value it is about */

	if (!parse_version(d, from, e))
		return false;
	return d->deleted[from] || d->npairs > 0 || err_set(e, ERR_USAGE, "conflict %llu: only the version that was overwritten is kept; the other one is what the repair brought", (unsigned long long)d->id);
}

/* Does writing the chosen version make foreign keys act? Then the triggers have to see it. */
static bool
has_actions(const struct decider *d)
{
	bool gone = d->unique || d->deleted[d->keep] || d->twin != NULL;

	for (size_t i = 0; i < d->catalog->nkeys; i++)
		if (strcmp(d->catalog->keys[i].parent, d->table_name) == 0 &&
		    (gone || d->catalog->keys[i].on_update != FK_RESTRICT))
			return true;
	return false;
}

/* Usually the triggers stay silent: the decision is queued here, and the app's own triggers have nothing to add
 * to it. */
static bool
mute_triggers(struct decider *d, const struct node_identity *node, struct err *e)
{
	char skip[TEMPLATE_NAME_MAX], sql[128];
	int len;

	body_skip_variable(node->token, skip);
	len = snprintf(sql, sizeof sql, has_actions(d) ? "SET @%s=NULL" : "SET @%s=1", skip);
	return db_exec_text(d->db, sql, (size_t)len, e);
}

/* --- another row has the record's unique value, or its other key --- */

typedef bool rival_fn(const struct rival_question *q, struct db_rows **rows, struct err *e);

/* The row here that the chosen version leads to. */
static bool
find_by(struct decider *d, rival_fn *find, struct db_rows **rows, struct err *e)
{
	struct rival_question q = { .db = d->db, .database = d->catalog->database, .table = d->table, .key = d->key.data, .key_len = d->key.len };
	const struct line_value **values = calloc(d->table->ncolumns + 1, sizeof *values);
	bool ok;

	if (values == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	for (size_t i = 0; i < d->table->ncolumns; i++)
		if (!chosen_value(d, &d->table->columns[i], &values[i]))
			values[i] = NULL;
	q.values = values;
	ok = find(&q, rows, e);
	free(values);
	return ok;
}

static bool
find_rival(struct decider *d, struct err *e)
{
	return find_by(d, rival_find, &d->rival, e);
}

/* Has the peer never had the row? Then nothing of it is lost there when it goes here. */
static bool
rival_is_new(struct decider *d, bool *is, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];
	uint64_t n = 0;

	if (!peer_record_hash(d->table_name, db_rows_text(d->rival, 0), db_rows_len(d->rival, 0), hash, e) ||
	    !db_number(d->db, "SELECT EXISTS (SELECT 1 FROM sync_owed WHERE peer=? AND record_hash=? AND first_operation='insert' AND link IS NULL)"
			      " OR EXISTS (SELECT 1 FROM sync_queue WHERE id > (SELECT m.high_id FROM sync_peer p JOIN sync_epoch m ON m.epoch=p.acked_epoch WHERE p.peer=?)"
			      " AND table_name=? AND record_id=? AND operation='insert' AND link IS NULL AND via IS NULL)",
		DB_ARGS(db_text(d->peer), db_bytes(hash, sizeof hash), db_text(d->peer), db_text(d->table_name), db_bytes(db_rows_text(d->rival, 0), db_rows_len(d->rival, 0))),
		&n, NULL, e))
		return false;
	*is = n != 0;
	return true;
}

/* What is kept of here is the row as it is now. */
static bool
renew_kept(struct decider *d, const struct db_rows *now, struct err *e)
{
	struct inbox_version last = { .checks = d->table->checks };
	struct buf row;
	bool ok;

	buf_init(&row, INBOX_ROW_MAX);
	inbox_put_read(&row, d->table, now);
	last.row = row.data;
	last.row_len = row.len;
	ok = buf_check(&row, "a record", e) && inbox_renew_local(d->db, d->id, &last, e);
	buf_free(&row);
	return ok;
}

static bool
delete_row(struct decider *d, const struct db_rows *now, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "DELETE FROM ");
	template_table(&sql, d->catalog->database, d->table->name);
	buf_str(&sql, " WHERE ");
	ok = record_put_match(d->db, &sql, d->table, db_rows_text(now, 0), db_rows_len(now, 0)) || err_set(e, ERR_INTERNAL, "table %s: a malformed key", d->table_name);
	ok = ok && buf_check(&sql, "a record", e) && db_exec_text(d->db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok || err_prefix(e, "table %s", d->table_name);
}

/* Our row goes, and the record takes its value. */
static bool
drop_rival(struct decider *d, struct err *e)
{
	bool new_here = false;

	if (!rival_is_new(d, &new_here, e))
		return false;
	if (!new_here && !d->decided)
		return err_set(e, ERR_HELD, "the row of table %s that has the value here is on %s as well and must not go: run agent --resolve on %s, with --keep local", d->table_name, d->peer, d->peer);
	return renew_kept(d, d->rival, e) && delete_row(d, d->rival, e) && queue_gone(d, db_rows_text(d->rival, 0), db_rows_len(d->rival, 0), true, e);
}

/* Ours stays as it is and travels again; the record goes back to what it is here, or goes. */
static bool
insist(struct decider *d, struct err *e)
{
	if (d->rival == NULL)
		return err_set(e, ERR_USAGE, "conflict %llu: no row has that value here any more; run agent --retry all on %s and drain there", (unsigned long long)d->id, d->peer);
	return queue_own(d, !d->here, e) && queue_gone(d, db_rows_text(d->rival, 0), db_rows_len(d->rival, 0), false, e);
}

static bool
decide_unique(struct decider *d, const struct node_identity *node, struct err *e)
{
	if (!find_rival(d, e))
		return false;
	if (d->keep == INBOX_LOCAL)
		return insist(d, e);
	return (d->rival == NULL || drop_rival(d, e)) && keep_current(d, node, e) && write_record(d, e) && queue_own(d, false, e);
}

/* An ordinary edit of all columns but the counters: what was counted, here or there, goes on adding up. */
static bool
queue_edit(struct decider *d, struct err *e)
{
	struct mask columns;
	struct buf told;
	bool ok;

	mask_all(&columns, d->table);
	buf_init(&told, MASK_BYTES);
	mask_write(d->table, &columns, &told);
	ok = buf_check(&told, "a record's columns", e) &&
	    db_exec(d->db, "INSERT INTO sync_queue (id, table_name, operation, record_id, changed_at, changed_columns) VALUES (NEXTVAL(sync_sequence), ?, 'update', ?, ?, ?)",
		DB_ARGS(db_text(d->table_name), db_bytes(d->key.data, d->key.len), db_text(d->now), db_bytes(told.data, told.len)), e);
	buf_free(&told);
	return ok;
}

/* A key that lost or won: the record may be under the other one. What has been changed since may be another record. */
static bool
find_twin(struct decider *d, struct err *e)
{
	struct buf row;
	bool ok;

	if (d->unique || d->here || d->deleted[INBOX_LOCAL] || (d->asked && !d->decided))
		return true;
	if (!parse_version(d, INBOX_LOCAL, e) || !find_by(d, rival_under_key, &d->twin, e))
		return false;
	if (d->twin == NULL)
		return true;
	buf_init(&row, INBOX_ROW_MAX);
	inbox_put_read(&row, d->table, d->twin);
	ok = buf_check(&row, "a record", e);
	if (ok && !same_text(&row, &d->versions[INBOX_LOCAL])) {
		db_rows_free(d->twin);
		d->twin = NULL;
	}
	buf_free(&row);
	return ok;
}

/* It gets the key of the version that is chosen. */
static bool
decide_twin(struct decider *d, struct err *e)
{
	const char *text = db_rows_text(d->twin, 0);
	struct line_value here = { .len = db_rows_len(d->twin, 0) }, there = { d->key.data, d->key.len };

	memcpy(&here.data, &text, sizeof text); /* only read */
	if (d->keep == INBOX_LOCAL)
		return queue_moved(d, &there, &here, e);
	if (d->deleted[INBOX_REMOTE])
		return delete_row(d, d->twin, e) && queue_gone(d, here.data, here.len, true, e);
	return write_record(d, e) && queue_moved(d, &here, &there, e);
}

/* A version that lost may have another key than the one that stayed: then the record goes back to that. */
static bool
queue_written(struct decider *d, struct err *e)
{
	struct line_value from = { d->key.data, d->key.len }, to;
	struct db_rows *moved = NULL;
	const char *text;
	bool ok = d->deleted[d->keep] || find_by(d, rival_under_key, &moved, e);

	if (ok && moved != NULL) {
		text = db_rows_text(moved, 0);
		memcpy(&to.data, &text, sizeof text); /* only read */
		to.len = db_rows_len(moved, 0);
		ok = queue_moved(d, &from, &to, e);
	} else if (ok)
		ok = d->counts ? queue_edit(d, e) : queue_own(d, d->deleted[d->keep], e);
	db_rows_free(moved);
	return ok;
}

static bool
decide_version(struct decider *d, const struct node_identity *node, struct err *e)
{
	if (d->twin != NULL)
		return decide_twin(d, e);
	d->counts = mask_is_wanted(d->table) && d->table->ncounters > 0 && d->here && !d->deleted[d->keep] && !d->asked;
	return keep_current(d, node, e) && write_record(d, e) && queue_written(d, e);
}

static bool
decide(struct decider *d, const struct node_identity *node, struct err *e)
{
	return db_begin(d->db, e) && load_conflict(d, e) && take_time(d, e) && lock_record(d, e) && find_twin(d, e) && mute_triggers(d, node, e) && parse_chosen(d, e) &&
	    (d->unique ? decide_unique : decide_version)(d, node, e) && inbox_end(d->db, d->id, d->keep, e) &&
	    db_exec(d->db, "UPDATE sync_undecided SET decision=LASTVAL(sync_sequence) WHERE conflict=?", DB_ARGS(db_u64(d->id)), e) && db_commit(d->db, e);
}

/* The server does not take the version: nothing was changed, and it is no trouble of the database. */
static bool
explain_refusal(const struct decider *d, struct err *e)
{
	const struct err why = *e;

	if (e->code != ERR_DB_REJECTED && e->code != ERR_DB_DUPLICATE)
		return false;
	return err_set(e, ERR_HELD, "conflict %llu: %.300s; nothing was changed: change what stands in its way, or keep the other version", (unsigned long long)d->id, why.msg);
}

static void
decider_init(struct decider *d)
{
	buf_init(&d->key, CATALOG_KEY_BYTES * 2);
	buf_init(&d->versions[0], INBOX_ROW_MAX);
	buf_init(&d->versions[1], INBOX_ROW_MAX);
	buf_init(&d->current, INBOX_ROW_MAX);
	buf_init(&d->chosen, INBOX_ROW_MAX);
}

static void
decider_free(struct decider *d)
{
	db_rows_free(d->rival);
	db_rows_free(d->twin);
	free(d->pairs);
	buf_free(&d->key);
	buf_free(&d->versions[0]);
	buf_free(&d->versions[1]);
	buf_free(&d->current);
	buf_free(&d->chosen);
}

static bool
resolve_once(struct db *db, const struct node_identity *node, const struct catalog *catalog, uint64_t id, enum inbox_keep keep, struct err *e)
{
	struct decider d = { .db = db, .catalog = catalog, .id = id, .keep = keep };
	bool ok;

	decider_init(&d);
	ok = decide(&d, node, e) || explain_refusal(&d, e);
	if (!ok)
		db_rollback(db);
	decider_free(&d);
	return ok;
}

bool
inbox_resolve(struct db *db, const struct node_identity *node, const struct catalog *catalog, uint64_t id, enum inbox_keep keep, struct err *e)
{
	for (int tries = 1;; tries++) {
		if (resolve_once(db, node, catalog, id, keep, e))
			return true;
		/* A deadlock with the app, or with a group that is applied just now. */
		if (e->code != ERR_DB_BUSY || tries >= RESOLVE_TRIES || db_is_lost(db))
			return false;
	}
}

/* --- a rule's decision --- */

static bool
is_still_rival(const struct decider *d, const struct inbox_preference *p)
{
	return d->rival != NULL && db_rows_len(d->rival, 0) == p->rival_len && memcmp(db_rows_text(d->rival, 0), p->rival, p->rival_len) == 0;
}

/* No app's table is written: the row stays, and what goes goes elsewhere. */
static bool
prefer(struct decider *d, const struct inbox_preference *p, struct err *e)
{
	if (!db_begin(d->db, e) || !load_conflict(d, e) || !parse_chosen(d, e) || !lock_record(d, e) || !find_rival(d, e))
		return false;
	if (!is_still_rival(d, p))
		return err_set(e, ERR_USAGE, "another row has the value now, or none");
	return insist(d, e) && inbox_end(d->db, d->id, INBOX_LOCAL, e) &&
	    db_exec(d->db, "UPDATE sync_conflict SET policy=?, verdict='keep', local_changed_at=?, local_origin=? WHERE id=?",
		DB_ARGS(db_text(inbox_rule_preferred), db_text(p->changed_at), db_text(p->node), db_u64(d->id)), e) &&
	    db_exec(d->db, "UPDATE sync_undecided SET decision=LASTVAL(sync_sequence) WHERE conflict=?", DB_ARGS(db_u64(d->id)), e) && db_commit(d->db, e);
}

bool
inbox_prefer(struct db *db, const struct node_identity *node, const struct catalog *catalog, const struct inbox_preference *p, struct err *e)
{
	struct decider d = { .db = db, .catalog = catalog, .id = p->id, .keep = INBOX_LOCAL };
	bool ok;

	decider_init(&d);
	d.author = strcmp(p->node, node->name) == 0 ? NULL : p->node;
	(void)snprintf(d.now, sizeof d.now, "%s", p->changed_at);
	ok = prefer(&d, p, e) || explain_refusal(&d, e);
	if (!ok)
		db_rollback(db);
	decider_free(&d);
	return ok;
}

bool
inbox_undecided(struct db *db, const struct inbox_filter *f, uint64_t **ids, size_t *n, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*n = 0;
	*ids = NULL;
	if (!db_query(db, "SELECT id FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL AND peer=IFNULL(?, peer) AND table_name=IFNULL(?, table_name) ORDER BY id",
		DB_ARGS(db_text(f->peer), db_text(f->table)), &rows, e))
		return false;
	*ids = calloc(db_rows_count(rows) + 1, sizeof **ids);
	ok = *ids != NULL || err_set(e, ERR_MEMORY, "out of memory for conflicts");
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		(*ids)[(*n)++] = db_rows_u64(rows, 0);
	db_rows_free(rows);
	return ok;
}

/* What is old enough, and then its further pieces: found first, so that nothing that is being kept meanwhile can
 * be taken for a rest. */
static bool
purge_batch(struct db *db, uint64_t days, uint64_t most, uint64_t *removed, struct err *e)
{
	struct db_rows *ids = NULL;
	struct buf list;
	bool ok;

	buf_init(&list, TEMPLATE_SQL_MAX);
	ok = db_query(db, "SELECT id FROM sync_conflict WHERE IFNULL(resolved_at, happened_at) < NOW(6) - INTERVAL ? DAY AND (verdict<>'ask' OR resolved_at IS NOT NULL) ORDER BY id LIMIT ?",
		 DB_ARGS(db_u64(days), db_u64(most < PURGE_AT_ONCE ? most : PURGE_AT_ONCE)), &ids, e) && add_ids(&list, ids, e);
	*removed = ok ? db_rows_count(ids) : 0;
	if (ok && list.len > 0) {
		struct buf sql;

		buf_init(&sql, TEMPLATE_SQL_MAX);
		buf_fmt(&sql, "DELETE c, p FROM sync_conflict c LEFT JOIN sync_conflict_part p ON p.conflict=c.id WHERE c.id IN (%s)", buf_cstr(&list));
		ok = buf_check(&list, "a list of conflicts", e) && buf_check(&sql, "a list of conflicts", e) && db_exec_text(db, sql.data, sql.len, e);
		buf_free(&sql);
	}
	db_rows_free(ids);
	buf_free(&list);
	return ok;
}

bool
inbox_purge_early(struct db *db, uint64_t most, uint64_t *removed, struct err *e)
{
	enum { EARLY_DAYS = 1 };

	return purge_batch(db, EARLY_DAYS, most, removed, e);
}

bool
inbox_purge(struct db *db, unsigned retention_days, struct err *e)
{
	uint64_t days = retention_days > INBOX_KEPT_DAYS ? retention_days : INBOX_KEPT_DAYS, oldest, removed;
	bool due;

	/* Rows are appended in time: while the oldest one that no person has to decide is young enough to stay, there is
	 * nothing to do. What is undecided is left out by its ids, so that it makes nobody read the others. */
	if (!db_number(db, "SELECT id FROM (SELECT id, IFNULL(resolved_at, happened_at) AS since FROM sync_conflict WHERE verdict<>'ask' OR resolved_at IS NOT NULL"
			   " ORDER BY id LIMIT 1) oldest WHERE since < NOW(6) - INTERVAL ? DAY",
		DB_ARGS(db_u64(days)), &oldest, &due, e))
		return false;
	return !due || purge_batch(db, days, PURGE_AT_ONCE, &removed, e);
}
