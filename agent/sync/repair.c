/* Writing a comparison's outcome. Not here: what differs and who wins (sync/compare). */
#include "sync/repair.h"

#include <stdio.h>
#include <string.h>

#include "apply/inbox.h"
#include "base/clock.h"
#include "wire/line.h"

enum {
	STATEMENT_BYTES = 1024 * 1024 /* of one INSERT; a server takes 16 MiB if nobody has set it lower */
};

#define OLDEST "'2000-01-01 00:00:00'" /* the default of changed_at: no app has written then */
#define UNKNOWN "'2000-01-01 00:00:00.000001'"

/* changed_at, origin, via. */
static void
put_version(struct db *db, struct buf *sql, const struct repair_item *item)
{
	if (item->via == NULL) {
		buf_fmt(sql, "%s,NULL,NULL", item->oldest ? OLDEST : item->unknown ? UNKNOWN : "NOW(6)");
		return;
	}
	if (item->changed_at == NULL)
		buf_str(sql, OLDEST);
	else
		db_quote(db, sql, item->changed_at, strlen(item->changed_at));
	buf_char(sql, ',');
	if (item->origin == NULL)
		buf_str(sql, "NULL");
	else
		db_quote(db, sql, item->origin, strlen(item->origin));
	buf_char(sql, ',');
	db_quote(db, sql, item->via, strlen(item->via));
}

static void
put_item(struct db *db, struct buf *sql, const char *table, const struct repair_item *item)
{
	static const char *const name[] = { NULL, "insert", "update", "delete" };

	buf_str(sql, "NEXTVAL(sync_sequence),");
	db_quote(db, sql, table, strlen(table));
	buf_fmt(sql, ",'%s',x'", name[item->operation]);
	buf_hex(sql, item->key, item->key_len);
	buf_str(sql, "',");
	put_version(db, sql, item);
	buf_str(sql, ",1)");
}

static bool
run(struct db *db, struct buf *sql, struct err *e)
{
	bool ok = sql->len == 0 || (buf_check(sql, "records to be queued", e) && db_exec_text(db, sql->data, sql->len, e));

	buf_reset(sql);
	return ok;
}

#define INSERT_ROW "INSERT INTO sync_queue (link, id, table_name, operation, record_id, changed_at, origin, via, whole) VALUES ("

/* As when the app changes the key's spelling: the old key goes, the new one is linked to it. */
static bool
queue_moved(struct db *db, struct buf *sql, const char *table, const struct repair_item *item, struct err *e)
{
	struct repair_item old = *item, new = *item;

	old.operation = OP_DELETE;
	old.key = item->old_key;
	old.key_len = item->old_key_len;
	new.operation = OP_INSERT;
	buf_str(sql, INSERT_ROW "NULL,");
	put_item(db, sql, table, &old);
	if (!run(db, sql, e))
		return false;
	buf_str(sql, INSERT_ROW "LASTVAL(sync_sequence),");
	put_item(db, sql, table, &new);
	return run(db, sql, e);
}

bool
repair_queue(struct db *db, const char *table, const struct repair_item *items, size_t n, struct err *e)
{
	struct buf sql;
	bool ok = true;

	buf_init(&sql, STATEMENT_BYTES * 2);
	for (size_t i = 0; ok && i < n; i++) {
		if (sql.len > STATEMENT_BYTES || items[i].old_key != NULL)
			ok = run(db, &sql, e);
		if (ok && items[i].old_key != NULL)
			ok = queue_moved(db, &sql, table, &items[i], e);
		else if (ok) {
			buf_str(&sql, sql.len == 0 ? INSERT_ROW "NULL," : ",(NULL,");
			put_item(db, &sql, table, &items[i]);
		}
	}
	ok = ok && run(db, &sql, e);
	buf_free(&sql);
	return ok;
}

/* --- keeping --- */

/* When nobody knows when a version was made. */
static const char long_ago[] = "2000-01-01 00:00:00.000000";

static bool
keep_row(struct db *db, const struct repair_loser *l, const struct db_rows *row, const char *now, struct err *e)
{
	struct inbox_conflict c = { .peer = l->peer, .table = l->table->name, .key = l->key, .key_len = l->key_len, .rule = "repair", .verdict = "apply",
		.local = { .changed_at = long_ago, .node = l->self }, .remote = { .changed_at = now, .node = l->peer } };
	struct buf local;
	bool ok;

	buf_init(&local, INBOX_ROW_MAX);
	inbox_put_read(&local, l->table, row);
	c.local.row = local.data;
	c.local.row_len = local.len;
	c.local.checks = l->table->checks;
	if (l->there) {
		c.remote.row = "{}";
		c.remote.row_len = 2;
	}
	ok = buf_check(&local, "a kept version", e) && inbox_keep(db, &c, e);
	buf_free(&local);
	return ok;
}

static bool
read_now(struct db *db, char now[CLOCK_TEXT_MAX], struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(db, "SELECT NOW(6)", DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);

	(void)snprintf(now, CLOCK_TEXT_MAX, "%s", ok && more ? db_rows_text(rows, 0) : "");
	db_rows_free(rows);
	return ok;
}

bool
repair_keep(struct db *db, const struct repair_loser *l, struct err *e)
{
	struct db_rows *rows = NULL;
	char now[CLOCK_TEXT_MAX];
	struct buf sql;
	bool more = false, ok;

	if (!read_now(db, now, e))
		return false;
	buf_init(&sql, TEMPLATE_SQL_MAX);
	record_select(&sql, l->database, l->table);
	buf_str(&sql, " WHERE ");
	ok = (record_put_match(db, &sql, l->table, l->key, l->key_len) || err_set(e, ERR_INPUT, "table %s: a malformed key", l->table->name)) &&
	    buf_check(&sql, "a key", e) && db_query(db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	ok = ok && (!more || keep_row(db, l, rows, now, e));
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}
