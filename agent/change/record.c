/* Reading records by key. Lives here: the SELECTs over primary keys, for sending and for locking.
 * Not here: their form on the wire (sync/group), writing them (apply/). */
#include "change/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
record_select_any(struct buf *sql, const char *database, const struct table *t)
{
	buf_str(sql, "SELECT ");
	template_key(sql, t, "");
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_char(sql, ',');
		template_read(sql, &t->columns[i]);
	}
	buf_str(sql, " FROM ");
	template_table(sql, database, t->name);
}

void
record_select(struct buf *sql, const char *database, const struct table *t)
{
	record_select_any(sql, database, t);
	/* A PRIMARY key is always there; the optimizer would scan a small table and lock all of it. */
	buf_str(sql, " FORCE INDEX (PRIMARY)");
}

size_t
record_keys_at_once(const struct table *t)
{
	return t->nkey == 1 ? RECORD_KEYS : RECORD_COMPOSITE_KEYS;
}

void
record_put_operand(struct db *db, struct buf *sql, const struct column *col, const char *part, size_t len)
{
	struct buf operand;
	const char *mark;

	buf_init(&operand, 256);
	template_key_operand(&operand, col);
	mark = operand.failed ? NULL : strchr(buf_cstr(&operand), '?');
	if (mark == NULL) { /* no memory for it: then the statement is not whole, either */
		sql->failed = sql->no_memory = true;
	} else {
		buf_put(sql, operand.data, (size_t)(mark - operand.data));
		db_quote(db, sql, part, len);
		buf_str(sql, mark + 1);
	}
	buf_free(&operand);
}

static size_t
part_length(const struct table *t, const struct buf *parts, const size_t *at, size_t i)
{
	size_t end = i + 1 < t->nkey ? at[i + 1] : parts->len;

	return end - at[i] - 1; /* the NUL */
}

static void
put_key_column(struct buf *sql, const struct column *col)
{
	db_quote_name(sql, col->name);
	if (col->kind == COLUMN_FLOAT)
		buf_str(sql, "+0e0");
}

bool
record_put_match(struct db *db, struct buf *sql, const struct table *t, const char *key, size_t key_len)
{
	size_t at[CATALOG_KEY_COLUMNS];
	struct buf parts;
	bool ok;

	buf_init(&parts, CATALOG_KEY_BYTES * 4);
	ok = template_split_key(t, key, key_len, &parts, at);
	for (size_t i = 0; ok && i < t->nkey; i++) {
		const struct column *col = &t->columns[t->key[i]];

		buf_str(sql, i == 0 ? "(" : " AND ");
		put_key_column(sql, col);
		buf_char(sql, '=');
		record_put_operand(db, sql, col, parts.data + at[i], part_length(t, &parts, at, i));
	}
	buf_char(sql, ')');
	buf_free(&parts);
	return ok;
}

bool
record_put_keys(struct db *db, struct buf *sql, const struct table *t, size_t n, record_key_fn *key_of, void *arg)
{
	bool single = t->nkey == 1;
	size_t len;

	buf_str(sql, " WHERE ");
	if (single) {
		put_key_column(sql, &t->columns[t->key[0]]);
		buf_str(sql, " IN (");
	}
	for (size_t i = 0; i < n; i++) {
		const char *key = key_of(i, &len, arg);

		if (i > 0)
			buf_str(sql, single ? "," : " OR ");
		if (single)
			record_put_operand(db, sql, &t->columns[t->key[0]], key, len);
		else if (!record_put_match(db, sql, t, key, len))
			return false;
	}
	if (single)
		buf_char(sql, ')');
	return true;
}

struct batch_part {
	const struct record_batch *batch;
	size_t from;
};

static const char *
key_of_entry(size_t i, size_t *len, void *arg)
{
	const struct batch_part *part = arg;
	const struct collapse *c = part->batch->collapse;
	const struct entry *entry = &c->entries[part->batch->indexes[part->from + i]];

	*len = entry->key_len;
	return collapse_text(c, entry->key);
}

static bool
visit_part(struct db *db, const struct record_batch *batch, const struct buf *sql, record_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_stream(db, sql->data, sql->len, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct entry *entry = collapse_find(batch->collapse, batch->table->name, db_rows_text(rows, 0), db_rows_len(rows, 0));

		/* Another spelling of the key under the column's collation is another entry's business. */
		if (entry == NULL)
			continue;
		entry->absent = false;
		if (!(ok = visit(entry, rows, arg, e)))
			break;
	}
	while (!ok && more && db_rows_next(rows, &more, NULL) && more)
		; /* empty the result: the connection stays usable */
	db_rows_free(rows);
	return ok;
}

/* --- integer keys --- */

/* A key's number: the whole text must be one, in the form the server prints. */
static bool
key_number(const char *text, size_t len, int64_t *out)
{
	char again[24], *end;

	if (len == 0 || len >= sizeof again)
		return false;
	*out = strtoll(text, &end, 10);
	(void)snprintf(again, sizeof again, "%lld", (long long)*out);
	return end == text + len && strcmp(again, text) == 0;
}

static int
by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Digits, with a sign perhaps: also what only BIGINT UNSIGNED holds. */
static bool
is_number(const char *text, size_t len)
{
	size_t sign = len > 0 && text[0] == '-';

	for (size_t i = sign; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return len > sign;
}

bool
record_key_fits(const struct table *t, const char *key, size_t key_len)
{
	size_t at[CATALOG_KEY_COLUMNS];
	struct buf parts;
	bool ok;

	if (t->nkey == 1)
		return !t->columns[t->key[0]].integer || is_number(key, key_len);
	buf_init(&parts, CATALOG_KEY_BYTES * 4);
	ok = template_split_key(t, key, key_len, &parts, at);
	for (size_t i = 0; ok && i < t->nkey; i++)
		ok = !t->columns[t->key[i]].integer || is_number(parts.data + at[i], part_length(t, &parts, at, i));
	buf_free(&parts);
	return ok;
}

/* All keys as sorted numbers, or NULL when the table's key is not one integer (or one does not fit). */
static int64_t *
key_numbers(const struct record_batch *batch)
{
	const struct collapse *c = batch->collapse;
	int64_t *numbers;

	if (batch->table->nkey != 1 || !batch->table->columns[batch->table->key[0]].integer)
		return NULL;
	numbers = calloc(batch->n + 1, sizeof *numbers);
	for (size_t i = 0; numbers != NULL && i < batch->n; i++) {
		const struct entry *entry = &c->entries[batch->indexes[i]];

		if (!key_number(collapse_text(c, entry->key), entry->key_len, &numbers[i])) {
			free(numbers);
			return NULL;
		}
	}
	if (numbers != NULL && batch->n > 1)
		qsort(numbers, batch->n, sizeof *numbers, by_number);
	return numbers;
}

/* Keys that lie close together are read as one range, which costs a third of a list; rows between them
 * that are not asked for are few and passed over. */
static void
put_numbers(struct buf *sql, const struct table *t, const int64_t *numbers, size_t n)
{
	uint64_t span = (uint64_t)numbers[n - 1] - (uint64_t)numbers[0];

	buf_str(sql, " WHERE ");
	put_key_column(sql, &t->columns[t->key[0]]);
	if (span < n + n / 4) {
		buf_fmt(sql, " BETWEEN %lld AND %lld", (long long)numbers[0], (long long)numbers[n - 1]);
		return;
	}
	buf_str(sql, " IN (");
	for (size_t i = 0; i < n; i++)
		buf_fmt(sql, "%s%lld", i > 0 ? "," : "", (long long)numbers[i]);
	buf_char(sql, ')');
}

/* --- reading --- */

/* The statement for the keys from the from-th on. */
static bool
put_part(struct db *db, const struct record_batch *batch, const int64_t *numbers, size_t from, struct buf *sql, struct err *e)
{
	size_t step = record_keys_at_once(batch->table);
	struct batch_part part = { batch, from };
	size_t n = batch->n - from < step ? batch->n - from : step;

	buf_reset(sql);
	record_select(sql, batch->database, batch->table);
	if (numbers != NULL)
		put_numbers(sql, batch->table, numbers + from, n);
	else if (!record_put_keys(db, sql, batch->table, n, key_of_entry, &part))
		return err_set(e, ERR_INTERNAL, "a malformed record_id of table %s in sync_queue", batch->table->name);
	return buf_check(sql, "a list of keys", e);
}

bool
record_read(struct db *db, const struct record_batch *batch, record_visitor *visit, void *arg, struct err *e)
{
	size_t step = record_keys_at_once(batch->table);
	int64_t *numbers = key_numbers(batch);
	struct buf sql;
	bool ok = true;

	buf_init(&sql, RECORD_SQL_MAX);
	for (size_t i = 0; i < batch->n; i++)
		batch->collapse->entries[batch->indexes[i]].absent = true;
	for (size_t from = 0; ok && from < batch->n; from += step)
		ok = put_part(db, batch, numbers, from, &sql, e) && visit_part(db, batch, &sql, visit, arg, e);
	buf_free(&sql);
	free(numbers);
	return ok;
}
