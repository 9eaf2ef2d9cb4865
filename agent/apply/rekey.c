/* Another primary key. Lives here: reading a noted key against the columns of today, the SQL of sync_rekeyed. Not here:
 * noticing (sync/drift), asking the peer (sync/doubt, sync/inspect). */
#include "apply/rekey.h"

#include <stdlib.h>
#include <string.h>

#include "apply/fit.h"
#include "change/record.h"
#include "db/bulk.h"

enum {
	CARRY_ROWS = 10000, /* of sync_queue, read at once */
	COPY_VALUES = 10
};

/* --- noted keys --- */

/* Does today's column write every value of the noted type as it was written then? */
static bool
writes_the_same(const struct column *col, const char *type, size_t len)
{
	char *text = strndup(type, len);
	bool ok = text != NULL && strstr(text, ", ") == NULL && fit_holds(col->type, text, true);

	free(text);
	return ok;
}

/* A number that is text now: the same characters. The other way round '05' and '5' would be one. */
static bool
is_spelled_out(const struct column *col, const char *type, size_t len)
{
	static const char *const integers[] = { "tinyint", "smallint", "mediumint", "int", "bigint" };

	for (size_t i = 0; col->kind == COLUMN_TEXT && i < sizeof integers / sizeof *integers; i++) {
		size_t n = strlen(integers[i]);

		if (len > n && strncmp(type, integers[i], n) == 0 && type[n] == '(') /* ZEROFILL: its text had zeros, and has them still */
			return true;
	}
	return false;
}

bool
rekey_is_same(const char *noted, const struct table *t, bool kept)
{
	for (size_t i = 0; i < t->nkey; i++) {
		const struct column *col = &t->columns[t->key[i]];
		const char *end = i + 1 < t->nkey ? strstr(noted, ", ") : noted + strlen(noted), *type;
		size_t name = strlen(col->name);

		if (end == NULL)
			return false;
		type = strncmp(noted, col->name, name) == 0 && noted[name] == ' ' ? noted + name + 1 : NULL;
		if (type == NULL && kept) { /* renamed; a name may have blanks */
			size_t len = strlen(col->type);

			type = (size_t)(end - noted) > len && end[-(ptrdiff_t)len - 1] == ' ' ? end - len : NULL;
		}
		if (type == NULL || type >= end || !writes_the_same(col, type, (size_t)(end - type)))
			return false;
		noted = i + 1 < t->nkey ? end + 2 : end;
	}
	return t->nkey > 0;
}

static bool
view_from(const struct table *t, const char *form, struct table *view)
{
	if (view->nkey == CATALOG_KEY_COLUMNS)
		return false;
	for (size_t c = 0; c < t->ncolumns; c++) {
		const struct column *col = &t->columns[c];
		size_t name = strlen(col->name);
		const char *type = form + name + 1, *end;

		if (strncmp(form, col->name, name) != 0 || form[name] != ' ')
			continue;
		end = strstr(type, ", ");
		if (!writes_the_same(col, type, end == NULL ? strlen(type) : (size_t)(end - type)) &&
		    !is_spelled_out(col, type, end == NULL ? strlen(type) : (size_t)(end - type)))
			continue;
		view->key[view->nkey++] = c;
		if (end == NULL || view_from(t, end + 2, view))
			return true;
		view->nkey--;
	}
	return false;
}

bool
rekey_view(const struct table *t, const char *form, struct table *view)
{
	*view = *t;
	view->nkey = 0;
	return view_from(t, form, view);
}

/* --- judging --- */

static const char sql_noted[] = "SELECT table_name, key_columns, boundary FROM sync_identity";

bool
rekey_refresh(struct db *db, struct catalog *c, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (c->keys_judged)
		return true;
	if (!db_query(db, sql_noted, DB_NO_ARGS, &rows, e))
		return false;
	c->keys_judged = true;
	c->boundaries = 0;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const struct table *t = catalog_table(c, db_rows_text(rows, 0));

		c->boundaries += db_rows_u64(rows, 2);
		if (t == NULL || t->problem != NULL)
			continue;
		c->tables[t - c->tables].rekeyed = !rekey_is_same(db_rows_text(rows, 1), t, false);
		c->keys_judged = c->keys_judged && !t->rekeyed;
	}
	db_rows_free(rows);
	return ok;
}

bool
rekey_is_news(struct db *db, const struct catalog *c, bool *news, struct err *e)
{
	uint64_t boundaries = 0;
	bool ok = db_number(db, "SELECT SUM(boundary) FROM sync_identity", DB_NO_ARGS, &boundaries, NULL, e);

	*news = boundaries != c->boundaries;
	return ok;
}

/* --- what is pending --- */

static const char sql_header[] = "INSERT INTO sync_rekeyed (table_name, record_hash, form) VALUES (?, '', ?)";
static const char sql_pending[] =
    "INSERT INTO sync_rekeyed (table_name, record_hash, record_id, changed_at, origin, via)"
    " SELECT table_name, UNHEX(MD5(record_id)), record_id, MAX(changed_at), SUBSTRING(MAX(CONCAT(changed_at, COALESCE(origin, ?))), 27),"
    " IF(COUNT(via)=COUNT(*) AND MIN(via)=MAX(via), MAX(via), NULL) FROM sync_queue"
    " WHERE table_name=? AND status IN ('pending','failed') AND record_id IS NOT NULL GROUP BY record_id";

/* SELECT the key of today and the hash, of records that are here under the key that view makes. */
static bool
select_found(const struct rekey_scope *s, const struct table *view, struct db_rows **rows, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT ");
	template_key(&sql, s->table, "t.");
	buf_str(&sql, ", r.record_hash FROM ");
	template_table(&sql, s->database, s->table->name);
	buf_str(&sql, " AS t STRAIGHT_JOIN sync_rekeyed AS r ON r.table_name=? AND r.record_hash=UNHEX(MD5(");
	template_key(&sql, view, "t.");
	buf_str(&sql, ")) AND r.new_id IS NULL AND r.record_id IS NOT NULL");
	ok = buf_check(&sql, "a key", e) && db_query(s->db, buf_cstr(&sql), DB_ARGS(db_text(s->table->name)), rows, e);
	buf_free(&sql);
	return ok;
}

/* Give them new_id; form: what stands in that column. */
static bool
find_keys(const struct rekey_scope *s, const struct table *view, const char *form, struct err *e)
{
	static const bool binary[] = { true, false, false, true };
	struct db_rows *rows = NULL;
	struct bulk *bulk = NULL;
	uint64_t affected;
	bool more = false, ok;

	ok = select_found(s, view, &rows, e) &&
	    bulk_new(s->db, "UPDATE sync_rekeyed SET new_id=?, form=? WHERE table_name=? AND record_hash=?", 4, binary, &bulk, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		const struct db_arg values[] = { db_bytes(db_rows_text(rows, 0), db_rows_len(rows, 0)), db_text(form), db_text(s->table->name),
			db_bytes(db_rows_text(rows, 1), db_rows_len(rows, 1)) };

		ok = bulk_add(bulk, values, e) && (!bulk_is_full(bulk) || bulk_run(bulk, &affected, e));
	}
	ok = ok && (bulk_rows(bulk) == 0 || bulk_run(bulk, &affected, e));
	bulk_free(bulk);
	db_rows_free(rows);
	return ok;
}

/* Pending rows of the queue with today's key of their record, or NULL. */
static const char sql_rows[] =
    "SELECT q.id, q.operation, r.new_id, q.changed_columns, COALESCE(q.origin, ?), q.changed_at, q.via, q.whole, q.versions, q.difference"
    " FROM sync_queue q FORCE INDEX (PRIMARY) LEFT JOIN sync_rekeyed r ON r.table_name=q.table_name AND r.record_hash=UNHEX(MD5(q.record_id))"
    " WHERE q.id>? AND q.id<=? AND q.table_name=? AND q.status IN ('pending','failed') AND q.operation<>'dirty' ORDER BY q.id LIMIT ?";
/* origin is named even where it is this node: the time is not that of the row (sync/group, clocks). */
static const char sql_copy[] =
    "INSERT INTO sync_queue (id, table_name, operation, record_id, changed_columns, origin, changed_at, via, whole, versions, difference)"
    " VALUES (NEXTVAL(sync_sequence), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

static struct db_arg
bytes_of(const struct db_rows *rows, size_t column)
{
	const char *data = db_rows_text(rows, column);

	return data == NULL ? db_null() : db_bytes(data, db_rows_len(rows, column));
}

/* One page: what has a key today is queued under it, all of it is superseded. */
static bool
copy_page(const struct rekey_scope *s, struct db_rows *rows, struct bulk *copy, struct bulk *old, uint64_t *last, struct err *e)
{
	uint64_t affected;
	bool more = false, ok;

	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const struct db_arg id = db_text(db_rows_text(rows, 0));
		const struct db_arg values[COPY_VALUES] = { db_text(s->table->name), db_text(db_rows_text(rows, 1)), bytes_of(rows, 2), bytes_of(rows, 3),
			db_text(db_rows_text(rows, 4)), db_text(db_rows_text(rows, 5)), db_text(db_rows_text(rows, 6)), db_text(db_rows_text(rows, 7)),
			bytes_of(rows, 8), bytes_of(rows, 9) };

		*last = db_rows_u64(rows, 0);
		if (db_rows_text(rows, 2) != NULL && !(ok = bulk_add(copy, values, e) && (!bulk_is_full(copy) || bulk_run(copy, &affected, e))))
			break;
		if (!(ok = bulk_add(old, &id, e) && (!bulk_is_full(old) || bulk_run(old, &affected, e))))
			break;
	}
	return ok && (bulk_rows(copy) == 0 || bulk_run(copy, &affected, e)) && (bulk_rows(old) == 0 || bulk_run(old, &affected, e));
}

static bool
copy_rows(const struct rekey_scope *s, struct err *e)
{
	static const bool binary[COPY_VALUES] = { [2] = true, [3] = true, [8] = true, [9] = true };
	struct bulk *copy = NULL, *old = NULL;
	uint64_t last = 0, end = 0;
	bool more = true, ok;

	ok = db_number(s->db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, &end, NULL, e) && bulk_new(s->db, sql_copy, COPY_VALUES, binary, &copy, e) &&
	    bulk_new(s->db, "UPDATE sync_queue FORCE INDEX (PRIMARY) SET status='superseded' WHERE id=?", 1, NULL, &old, e);
	while (ok && more) {
		struct db_rows *rows = NULL;

		ok = db_query(s->db, sql_rows, DB_ARGS(db_text(s->self), db_u64(last), db_u64(end), db_text(s->table->name), db_u64(CARRY_ROWS)), &rows, e);
		more = ok && db_rows_count(rows) == CARRY_ROWS;
		ok = ok && copy_page(s, rows, copy, old, &last, e);
		db_rows_free(rows);
	}
	bulk_free(copy);
	bulk_free(old);
	return ok;
}

/* What the new triggers have recorded by now names records as of today; a form says of such an entry that its
 * record_id may be a new key, which is nothing to ask the peer about. */
static bool
tell(const struct rekey_scope *s, struct err *e)
{
	struct db *db = s->db;
	const char *table = s->table->name;
	struct table view;

	if (!rekey_view(s->table, s->noted, &view))
		return copy_rows(s, e);
	return db_exec(db, sql_header, DB_ARGS(db_text(table), db_text(s->noted)), e) &&
	    db_exec(db, sql_pending, DB_ARGS(db_text(s->self), db_text(table)), e) && find_keys(s, &view, NULL, e) && find_keys(s, s->table, "", e) &&
	    copy_rows(s, e) && db_exec(db, "DELETE FROM sync_rekeyed WHERE table_name=? AND form=''", DB_ARGS(db_text(table)), e);
}

bool
rekey_carry(const struct rekey_scope *s, struct err *e)
{
	return db_exec(s->db, "DELETE FROM sync_rekeyed WHERE table_name=?", DB_ARGS(db_text(s->table->name)), e) && tell(s, e);
}

/* --- when the table is compared --- */

bool
rekey_form(struct db *db, const char *table, char **form, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*form = NULL;
	ok = db_query(db, "SELECT form FROM sync_rekeyed WHERE table_name=? AND record_id IS NULL", DB_ARGS(db_text(table)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok && more && (*form = strdup(db_rows_text(rows, 0))) == NULL)
		ok = err_set(e, ERR_MEMORY, "out of memory for a comparison");
	db_rows_free(rows);
	return ok;
}

bool
rekey_old_key(const struct rekey_scope *s, const struct table *view, const char *key, size_t key_len, struct buf *out, bool *found, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	*found = false;
	buf_reset(out);
	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT ");
	template_key(&sql, view, "");
	buf_str(&sql, " FROM ");
	template_table(&sql, s->database, s->table->name);
	buf_str(&sql, " WHERE ");
	ok = (record_put_match(s->db, &sql, s->table, key, key_len) || err_set(e, ERR_INPUT, "table %s: a malformed key", s->table->name)) &&
	    buf_check(&sql, "a key", e) && db_query(s->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, found, e);
	*found = ok && *found && db_rows_text(rows, 0) != NULL;
	if (*found)
		buf_put(out, db_rows_text(rows, 0), db_rows_len(rows, 0));
	db_rows_free(rows);
	buf_free(&sql);
	return ok && buf_check(out, "a key", e);
}

static const char sql_entry[] =
    "SELECT new_id, changed_at, origin, via, form=MD5(?) FROM sync_rekeyed WHERE table_name=? AND record_hash=UNHEX(MD5(?)) AND record_id=? FOR UPDATE";
static const char sql_queue[] =
    "INSERT INTO sync_queue (link, id, table_name, operation, record_id, changed_at, origin, via, whole)"
    " VALUES (IF(?, LASTVAL(sync_sequence), NULL), NEXTVAL(sync_sequence), ?, ?, ?, ?, ?, ?, 1)";

/* Gone here: a delete. Here under another key: linked, as when the app changes a key. */
static bool
queue_told(const struct rekey_scope *s, const struct db_rows *entry, const char *key, size_t key_len, struct err *e)
{
	const char *changed_at = db_rows_text(entry, 1), *origin = db_rows_text(entry, 2), *via = db_rows_text(entry, 3);
	struct db_arg table = db_text(s->table->name);

	if (!db_exec(s->db, sql_queue, DB_ARGS(db_u64(0), table, db_text("delete"), db_bytes(key, key_len), db_text(changed_at), db_text(origin), db_text(via)), e))
		return false;
	return db_rows_text(entry, 0) == NULL ||
	    db_exec(s->db, sql_queue, DB_ARGS(db_u64(1), table, db_text("insert"), bytes_of(entry, 0), db_text(changed_at), db_text(origin), db_text(via)), e);
}

/* Is it known under this key already: its own, or one under which it was queued? */
static bool
is_told(const struct db_rows *entry, const char *key, size_t key_len)
{
	const char *now = db_rows_text(entry, 0);

	return (now != NULL && db_rows_len(entry, 0) == key_len && memcmp(now, key, key_len) == 0) || db_rows_u64(entry, 4) != 0;
}

/* The entry stays, for whoever asks at the same moment: both sides may compare. */
bool
rekey_resolve(const struct rekey_scope *s, const char *old, size_t old_len, const char *key, size_t key_len, bool *ours, struct err *e)
{
	struct db_arg table = db_text(s->table->name), was = db_bytes(old, old_len), there = db_bytes(key, key_len);
	struct db_rows *rows = NULL;
	bool ok = db_query(s->db, sql_entry, DB_ARGS(there, table, was, was), &rows, e) && db_rows_next(rows, ours, e);

	if (!ok)
		*ours = false;
	if (*ours && !is_told(rows, key, key_len))
		ok = queue_told(s, rows, key, key_len, e) &&
		    db_exec(s->db, "UPDATE sync_rekeyed SET form=MD5(?) WHERE table_name=? AND record_hash=UNHEX(MD5(?))", DB_ARGS(there, table, was), e);
	db_rows_free(rows);
	return ok;
}

bool
rekey_forget(struct db *db, const char *table, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_rekeyed WHERE table_name=? AND NOT EXISTS (SELECT 1 FROM sync_drift d WHERE d.table_name=?)",
	    DB_ARGS(db_text(table), db_text(table)), e);
}
