/* Writing a comparison's outcome. Not here: what differs and who wins (sync/compare). */
#include "sync/repair.h"

#include <string.h>

#include "wire/line.h"

#define OLDEST "'2000-01-01 00:00:00'" /* the default of changed_at: no app has written then */

static const char sql_queue[] =
    "INSERT INTO sync_queue (link, id, table_name, operation, record_id, changed_at, whole)"
    " VALUES (IF(?='1', LASTVAL(sync_sequence), NULL), NEXTVAL(sync_sequence), ?, ?, ?, IF(?='1', " OLDEST ", NOW(6)), 1)";

static bool
queue_one(struct db *db, const char *table, const struct repair_item *item, bool linked, struct err *e)
{
	static const char *const name[] = { NULL, "insert", "update", "delete" };

	return db_exec(db, sql_queue,
	    DB_ARGS(db_text(linked ? "1" : "0"), db_text(table), db_text(name[item->operation]), db_bytes(item->key, item->key_len),
		db_text(item->oldest ? "1" : "0")), e);
}

bool
repair_queue(struct db *db, const char *table, const struct repair_item *item, struct err *e)
{
	struct repair_item one = *item;

	if (item->old_key == NULL)
		return queue_one(db, table, item, false, e);
	/* As when the app changes the key's spelling. */
	one.operation = OP_DELETE;
	one.key = item->old_key;
	one.key_len = item->old_key_len;
	if (!queue_one(db, table, &one, false, e))
		return false;
	one = *item;
	one.operation = OP_INSERT;
	return queue_one(db, table, &one, true, e);
}

/* --- keeping --- */

static void
put_row(struct buf *out, const struct table *t, const struct db_rows *row)
{
	buf_char(out, '{');
	for (size_t i = 0; i < t->ncolumns; i++) {
		const char *value = db_rows_text(row, 1 + i);
		struct buf one;

		buf_str(out, i > 0 ? "," : "");
		line_quote(out, t->columns[i].name, strlen(t->columns[i].name));
		buf_char(out, ':');
		buf_init(&one, LINE_BYTES_MAX);
		if (value == NULL)
			line_null(&one);
		else
			line_text(&one, value, db_rows_len(row, 1 + i));
		buf_put(out, one.data, one.len);
		out->failed = out->failed || one.failed;
		buf_free(&one);
	}
	buf_char(out, '}');
}

static const char sql_keep[] =
    "INSERT INTO sync_conflict (peer, table_name, record_id, policy, verdict,"
    " local_changed_at, local_origin, local_row, remote_changed_at, remote_origin, remote_row)"
    " VALUES (?, ?, ?, 'repair', 'apply', '', ?, ?, NOW(6), ?, ?)";

static bool
keep_row(struct db *db, const struct repair_loser *l, const struct db_rows *row, struct err *e)
{
	struct buf local;
	bool ok;

	buf_init(&local, DB_SQL_MAX / 4);
	put_row(&local, l->table, row);
	ok = buf_check(&local, "a kept version", e) &&
	    db_exec(db, sql_keep,
		DB_ARGS(db_text(l->peer), db_text(l->table->name), db_bytes(l->key, l->key_len), db_text(l->self),
		    db_text_n(local.data, local.len), db_text(l->peer), db_text(l->there ? "{}" : NULL)), e);
	buf_free(&local);
	return ok;
}

bool
repair_keep(struct db *db, const struct repair_loser *l, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	record_select(&sql, l->database, l->table);
	buf_str(&sql, " WHERE ");
	ok = (record_put_match(db, &sql, l->table, l->key, l->key_len) || err_set(e, ERR_INPUT, "table %s: a malformed key", l->table->name)) &&
	    buf_check(&sql, "a key", e) && db_query(db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	ok = ok && (!more || keep_row(db, l, rows, e));
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}
