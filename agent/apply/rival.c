/* Finding rivals. Lives here: which unique keys a table has, the row that has a record's value of one. Not here:
 * what becomes of the two (apply/undecided, apply/inbox). */
#include "apply/rival.h"

#include <string.h>

#include "capture/template.h"

/* A value as the column compares it: the counterpart of template_write for conditions. */
static void
put_operand(struct buf *sql, const struct column *col)
{
	switch (col->kind) {
	case COLUMN_PLAIN:
	case COLUMN_TYPED:
	case COLUMN_BYTES:
	case COLUMN_TIMESTAMP:
		buf_char(sql, '?');
		break;
	case COLUMN_TEXT:
		buf_str(sql, template_binds_raw(col) ? "CONVERT(? USING ascii)" : "?");
		break;
	case COLUMN_CHARS:
		buf_fmt(sql, "CONVERT(? USING %s)", col->charset);
		break;
	case COLUMN_BIT: /* its bytes, as a number */
		buf_str(sql, "CONV(HEX(?),16,10)+0");
		break;
	case COLUMN_CHOICE:
		buf_str(sql, "CAST(CAST(? AS UNSIGNED) AS SIGNED)");
		break;
	case COLUMN_FLOAT:
		buf_str(sql, "CAST(? AS DOUBLE)");
		break;
	}
}

/* One unique key as a condition being built. */
struct condition {
	struct buf sql;
	struct db_arg args[CATALOG_KEY_COLUMNS];
	size_t n;
	bool usable; /* every column has a value here: NULLs are equal to nothing */
};

static void
add_value(struct condition *to, const struct column *col, const struct line_value *value, uint64_t prefix)
{
	buf_str(&to->sql, to->n > 0 ? " AND " : "");
	buf_str(&to->sql, prefix > 0 ? "LEFT(" : "");
	db_quote_name(&to->sql, col->name);
	if (prefix > 0)
		buf_fmt(&to->sql, ",%llu)=LEFT(", (unsigned long long)prefix);
	else
		buf_str(&to->sql, col->kind == COLUMN_FLOAT ? "+0e0=" : "=");
	put_operand(&to->sql, col);
	if (prefix > 0)
		buf_fmt(&to->sql, ",%llu)", (unsigned long long)prefix);
	to->args[to->n++] = template_binds_raw(col) ? db_bytes(value->data, value->len) : db_text_n(value->data, value->len);
}

static void
add_column(struct condition *to, const struct rival_question *q, const char *name, size_t len, uint64_t prefix)
{
	size_t at;

	if (!table_column(q->table, name, len, &at) || q->values[at] == NULL || q->values[at]->data == NULL || to->n == CATALOG_KEY_COLUMNS)
		to->usable = false;
	else
		add_value(to, &q->table->columns[at], q->values[at], prefix);
}

static bool
look_for(const struct rival_question *q, const struct condition *c, const char *lock, struct db_rows **rows, struct err *e)
{
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, RECORD_SQL_MAX);
	record_select_any(&sql, q->database, q->table);
	buf_str(&sql, " WHERE ");
	buf_put(&sql, c->sql.data, c->sql.len);
	buf_str(&sql, lock);
	ok = buf_check(&sql, "a unique value", e) && db_query(q->db, buf_cstr(&sql), c->args, c->n, rows, e);
	/* Several: one that has the record's own key is no rival. */
	while (ok && (ok = db_rows_next(*rows, &more, e)) && more) {
		const char *key = db_rows_text(*rows, 0);
		size_t len = db_rows_len(*rows, 0);

		if ((len != q->key_len || memcmp(key, q->key, len) != 0) &&
		    (q->old_key == NULL || len != q->old_key_len || memcmp(key, q->old_key, len) != 0))
			break;
	}
	buf_free(&sql);
	if (ok && more)
		return true;
	db_rows_free(*rows);
	*rows = NULL;
	return ok;
}

static const char sql_unique[] =
    "SELECT INDEX_NAME, IFNULL(COLUMN_NAME, ''), IFNULL(SUB_PART, 0), SEQ_IN_INDEX FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA=? AND TABLE_NAME=? AND NON_UNIQUE=0 AND INDEX_NAME<>'PRIMARY' ORDER BY INDEX_NAME, SEQ_IN_INDEX";

bool
rival_find(const struct rival_question *q, struct db_rows **rows, struct err *e)
{
	struct condition c = { .usable = false };
	struct db_rows *columns = NULL;
	bool more = false, ok;

	*rows = NULL;
	buf_init(&c.sql, TEMPLATE_SQL_MAX);
	ok = db_query(q->db, sql_unique, DB_ARGS(db_text(q->database), db_text(q->table->name)), &columns, e);
	while (ok && *rows == NULL) {
		ok = db_rows_next(columns, &more, e);
		if (ok && (!more || db_rows_u64(columns, 3) == 1)) { /* the key before is complete */
			ok = !c.usable || c.n == 0 || look_for(q, &c, "", rows, e);
			buf_reset(&c.sql);
			c.n = 0;
			c.usable = true;
		}
		if (!ok || !more)
			break;
		add_column(&c, q, db_rows_text(columns, 1), db_rows_len(columns, 1), db_rows_u64(columns, 2));
	}
	db_rows_free(columns);
	buf_free(&c.sql);
	return ok;
}

bool
rival_under_key(const struct rival_question *q, struct db_rows **rows, struct err *e)
{
	struct condition c = { .usable = true };
	bool ok;

	*rows = NULL;
	buf_init(&c.sql, TEMPLATE_SQL_MAX);
	for (size_t i = 0; i < q->table->nkey && c.usable; i++) {
		const char *name = q->table->columns[q->table->key[i]].name;

		add_column(&c, q, name, strlen(name), 0);
	}
	ok = !c.usable || look_for(q, &c, " FOR UPDATE", rows, e);
	buf_free(&c.sql);
	return ok;
}

bool
rival_possible(const struct rival_question *q, bool *possible, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(q->db, "SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=? AND TABLE_NAME=? AND NON_UNIQUE=0 AND INDEX_NAME<>'PRIMARY' LIMIT 1",
	    DB_ARGS(db_text(q->database), db_text(q->table->name)), &n, NULL, e);

	*possible = n != 0;
	return ok;
}

bool
rival_parent(const struct rival_question *q, const struct foreign_key *k, const struct table *parent, bool *there, struct err *e)
{
	struct condition c = { .usable = true };
	struct buf sql;
	uint64_t n = 0;
	bool ok = true;

	*there = true;
	buf_init(&c.sql, TEMPLATE_SQL_MAX);
	buf_init(&sql, TEMPLATE_SQL_MAX);
	for (size_t i = 0; i < k->ncolumns; i++) {
		size_t from, to;

		if (!table_column(q->table, k->columns[i], strlen(k->columns[i]), &from) || !table_column(parent, k->referenced[i], strlen(k->referenced[i]), &to) ||
		    q->values[from]->data == NULL || c.n == CATALOG_KEY_COLUMNS)
			c.usable = false; /* generated, or NULL: it points at nothing */
		else if (c.usable)
			add_value(&c, &parent->columns[to], q->values[from], 0);
	}
	if (c.usable) {
		buf_str(&sql, "SELECT 1 FROM ");
		template_table(&sql, q->database, parent->name);
		buf_str(&sql, " WHERE ");
		buf_put(&sql, c.sql.data, c.sql.len);
		buf_str(&sql, " LIMIT 1");
		ok = buf_check(&sql, "a foreign key", e) && db_number(q->db, buf_cstr(&sql), c.args, c.n, &n, NULL, e);
		*there = n != 0;
	}
	buf_free(&c.sql);
	buf_free(&sql);
	return ok;
}
