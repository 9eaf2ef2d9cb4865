/* Statements that write records. Not here: which record gets which (apply/quick, apply/careful). */
#include "apply/target.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PACKET_SLACK = 64 * 1024 /* what a statement needs beside its values; a quarter where packets are small */
};

/* --- statements --- */

static void
put_insert(struct buf *sql, const struct target *to)
{
	const struct table *t = to->table;

	buf_str(sql, "INSERT INTO ");
	template_table(sql, to->database, t->name);
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_char(sql, i == 0 ? '(' : ',');
		db_quote_name(sql, t->columns[to->map[i]].name);
	}
	buf_str(sql, ") VALUES ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_char(sql, i == 0 ? '(' : ',');
		template_write(sql, &t->columns[to->map[i]]);
	}
	buf_char(sql, ')');
}

/* Every base column is set, so that ON UPDATE CURRENT_TIMESTAMP has no say. */
static void
put_update(struct buf *sql, const struct target *to, bool with_key)
{
	const struct table *t = to->table;
	const char *word = " SET ";

	buf_str(sql, "UPDATE ");
	template_table(sql, to->database, t->name);
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *col = &t->columns[to->map[i]];

		if (col->in_key && !with_key)
			continue;
		buf_str(sql, word);
		db_quote_name(sql, col->name);
		buf_char(sql, '=');
		template_write(sql, col);
		word = ",";
	}
	if (word[0] != ',') { /* nothing but a key: the row must merely be there */
		buf_str(sql, word);
		db_quote_name(sql, t->columns[t->key[0]].name);
		buf_char(sql, '=');
		db_quote_name(sql, t->columns[t->key[0]].name);
	}
	buf_str(sql, " WHERE ");
	template_key_match(sql, t);
}

/* Can the collation of the key take two spellings for one? */
static bool
has_spellings(const struct table *t)
{
	for (size_t i = 0; i < t->nkey; i++)
		if (t->columns[t->key[i]].kind == COLUMN_TEXT)
			return true;
	return false;
}

/* The end of one spelling of a key is not that of the row that has another one by now. */
static void
put_delete(struct buf *sql, const struct target *to)
{
	buf_str(sql, "DELETE FROM ");
	template_table(sql, to->database, to->table->name);
	buf_str(sql, " WHERE ");
	template_key_match(sql, to->table);
	if (has_spellings(to->table)) {
		buf_str(sql, " AND CAST(");
		template_key(sql, to->table, "");
		buf_str(sql, " AS BINARY)=?");
	}
}

/* Which values a shape binds before the key parts, and whether as raw bytes. */
static size_t
bound_values(const struct target *to, enum target_shape shape, const struct line_value *values, bool *binary)
{
	const struct table *t = to->table;
	size_t n = 0;

	if (shape == TARGET_DELETE)
		return 0;
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *col = &t->columns[to->map[i]];

		if (shape == TARGET_UPDATE && col->in_key)
			continue;
		if (binary != NULL)
			binary[n] = template_binds_raw(col);
		if (values != NULL)
			to->args[n] = db_text_n(values[i].data, values[i].len);
		n++;
	}
	return n;
}

static bool
open_shape(struct target *to, enum target_shape shape, struct err *e)
{
	bool *binary = calloc(to->table->ncolumns + to->table->nkey + 1, sizeof *binary);
	struct buf sql;
	size_t n;
	bool ok;

	if (binary == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a statement");
	buf_init(&sql, TEMPLATE_SQL_MAX);
	n = bound_values(to, shape, NULL, binary);
	if (shape == TARGET_INSERT)
		put_insert(&sql, to);
	else if (shape == TARGET_DELETE)
		put_delete(&sql, to);
	else
		put_update(&sql, to, shape == TARGET_MOVE);
	if (shape != TARGET_INSERT)
		n += to->table->nkey;
	if (shape == TARGET_DELETE && has_spellings(to->table))
		binary[n++] = true;
	ok = buf_check(&sql, "a statement", e) && bulk_new(to->db, buf_cstr(&sql), n, binary, &to->bulks[shape], e);
	buf_free(&sql);
	free(binary);
	return ok;
}

bool
target_open(struct target *to, struct db *db, const char *database, const struct table *t, const struct section *s, struct err *e)
{
	memset(to, 0, sizeof *to);
	to->db = db;
	to->database = database;
	to->table = t;
	buf_init(&to->parts, CATALOG_KEY_BYTES * 4);
	to->map = calloc(t->ncolumns + 1, sizeof *to->map);
	to->widened = calloc(t->ncolumns + 1, sizeof *to->widened);
	to->args = calloc(t->ncolumns + t->nkey + 1, sizeof *to->args);
	if (to->map == NULL || to->widened == NULL || to->args == NULL) {
		target_close(to);
		return err_set(e, ERR_MEMORY, "out of memory for a statement");
	}
	assert(s->ncolumns == t->ncolumns);
	to->checks = s->checks;
	for (size_t i = 0; i < s->ncolumns; i++) {
		(void)table_column(t, s->names[i], strlen(s->names[i]), &to->map[i]);
		to->widened[i] = strcmp(s->types[i], t->columns[to->map[i]].type) != 0;
	}
	return true;
}

void
target_close(struct target *to)
{
	for (size_t i = 0; i < TARGET_SHAPES; i++)
		bulk_free(to->bulks[i]);
	free(to->map);
	free(to->widened);
	free(to->args);
	buf_free(&to->parts);
	memset(to, 0, sizeof *to);
}

/* --- writing --- */

static bool
run_shape(struct target *to, enum target_shape shape, struct err *e)
{
	size_t rows = to->bulks[shape] == NULL ? 0 : bulk_rows(to->bulks[shape]);
	uint64_t affected;

	if (rows == 0)
		return true;
	if (!bulk_run(to->bulks[shape], &affected, e))
		return false;
	if (shape == TARGET_DELETE)
		to->deleted += affected; /* a record that is already gone is as it should be */
	if (shape == TARGET_DELETE || affected == rows)
		return true;
	return err_set(e, ERR_DB_REJECTED, "table %s: %zu records, %llu rows", to->table->name, rows, (unsigned long long)affected);
}

/* Values that the server stores with a warning: the index 0 of an ENUM. */
static size_t
count_warned(const struct target *to, enum target_shape shape, const struct line_value *values)
{
	const struct table *t = to->table;
	size_t n = 0;

	for (size_t i = 0; shape != TARGET_DELETE && i < t->ncolumns; i++) {
		const struct column *col = &t->columns[to->map[i]];

		if (!(shape == TARGET_UPDATE && col->in_key) && template_warns(col, values[i].data))
			n++;
	}
	return n;
}

bool
target_put(struct target *to, enum target_shape shape, const struct record_meta *m, const struct line_value *values, struct err *e)
{
	size_t at[CATALOG_KEY_COLUMNS], n;
	const char *key = shape == TARGET_MOVE ? m->old_key : m->key;
	size_t key_len = shape == TARGET_MOVE ? m->old_key_len : m->key_len;

	if (to->bulks[shape] == NULL && !open_shape(to, shape, e))
		return false;
	n = bound_values(to, shape, values, NULL);
	if (shape != TARGET_INSERT) {
		if (!template_split_key(to->table, key, key_len, &to->parts, at))
			return err_set(e, ERR_INPUT, "table %s: a malformed key", to->table->name);
		for (size_t i = 0; i < to->table->nkey; i++) {
			size_t end = i + 1 < to->table->nkey ? at[i + 1] : to->parts.len;

			to->args[n++] = db_text_n(to->parts.data + at[i], end - at[i] - 1);
		}
		if (shape == TARGET_DELETE && has_spellings(to->table))
			to->args[n++] = db_bytes(key, key_len);
	}
	if (!bulk_add(to->bulks[shape], to->args, e))
		return false;
	bulk_forgive(to->bulks[shape], count_warned(to, shape, values));
	return !bulk_is_full(to->bulks[shape]) || run_shape(to, shape, e);
}

bool
target_flush(struct target *to, struct err *e)
{
	for (size_t i = 0; i < TARGET_SHAPES; i++)
		if (!run_shape(to, (enum target_shape)i, e))
			return false;
	return true;
}

void
target_forget(struct target *to)
{
	for (size_t i = 0; i < TARGET_SHAPES; i++)
		if (to->bulks[i] != NULL)
			bulk_forget(to->bulks[i]);
}

bool
target_too_large(const struct target *to, const struct line_value *values, char *reason)
{
	uint64_t bytes = 0, most = db_packet_max(to->db), slack = most / 4 < PACKET_SLACK ? most / 4 : PACKET_SLACK;

	for (size_t i = 0; i < to->table->ncolumns; i++)
		bytes += values[i].len;
	if (bytes + slack < most)
		return false;
	(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s: a record of %llu bytes is larger than the server takes here: raise max_allowed_packet (now %llu)",
	    to->table->name, (unsigned long long)bytes, (unsigned long long)most);
	return true;
}
