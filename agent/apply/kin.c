/* Finding children. Lives here: the statements that look from parents to children. Not here: what becomes
 * of either (apply/family). Children are looked for without locks, locked by their primary keys and read
 * again: a locking join could wait for rows that do not concern it when the optimizer scans a small table. */
#include "apply/kin.h"

#include <stdlib.h>
#include <string.h>

/* --- statements --- */

/* What the i-th step refers to, as columns `tandem 0`, `tandem 1`, ... */
static void
put_referenced(struct buf *sql, const struct foreign_key *k)
{
	for (size_t i = 0; i < k->ncolumns; i++) {
		buf_str(sql, i > 0 ? "," : "");
		db_quote_name(sql, k->referenced[i]);
		buf_fmt(sql, " AS `tandem %zu`", i);
	}
}

static void
put_on(struct buf *sql, const struct foreign_key *k)
{
	for (size_t i = 0; i < k->ncolumns; i++) {
		buf_str(sql, i == 0 ? " ON " : " AND ");
		db_quote_name(sql, k->columns[i]);
		buf_fmt(sql, "=p.`tandem %zu`", i);
	}
}

/* " FROM (the referenced columns) AS p STRAIGHT_JOIN child ON ..." up to the child of the first n steps. False: a
 * malformed key. */
static bool
put_join(struct buf *sql, struct pass *p, const struct tie *tie, size_t n, const struct kin_parents *of)
{
	bool ok = true;

	buf_str(sql, " FROM (SELECT ");
	put_referenced(sql, tie->steps[n - 1]);
	if (n > 1)
		ok = put_join(sql, p, tie, n - 1, of);
	else {
		buf_str(sql, " FROM ");
		template_table(sql, p->catalog->database, of->table->name);
		buf_str(sql, " FORCE INDEX (PRIMARY)");
		ok = record_put_keys(p->db, sql, of->table, of->n, of->key_of, of->arg);
	}
	buf_str(sql, ") AS p STRAIGHT_JOIN ");
	template_table(sql, p->catalog->database, tie->steps[n - 1]->child);
	put_on(sql, tie->steps[n - 1]);
	return ok;
}

static bool
malformed_key(const struct table *t, struct err *e)
{
	return err_set(e, ERR_INPUT, "table %s: a malformed key", t->name);
}

bool
kin_lock_parents(struct pass *p, const struct kin_parents *of, uint64_t *here, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, p->catalog->database, of->table->name);
	buf_str(&sql, " FORCE INDEX (PRIMARY)");
	ok = record_put_keys(p->db, &sql, of->table, of->n, of->key_of, of->arg) || malformed_key(of->table, e);
	buf_str(&sql, pass_lock(p));
	ok = ok && buf_check(&sql, "a list of keys", e) && db_query(p->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	*here = ok ? db_rows_count(rows) : 0;
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

bool
kin_any(struct pass *p, const struct tie *tie, const struct kin_parents *of, bool *any, struct err *e)
{
	uint64_t n = 0;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	buf_str(&sql, "SELECT 1");
	ok = put_join(&sql, p, tie, tie->n, of);
	if (ok && tie->child == of->table) {
		buf_str(&sql, " WHERE NOT EXISTS (SELECT 1 FROM (SELECT 1 AS `tandem`) AS one"); /* a WHERE of its own for the keys */
		ok = record_put_keys(p->db, &sql, of->table, of->n, of->key_of, of->arg);
		buf_char(&sql, ')');
	}
	buf_str(&sql, " LIMIT 1");
	ok = (ok || malformed_key(of->table, e)) && buf_check(&sql, "a list of keys", e) && db_number(p->db, buf_cstr(&sql), DB_NO_ARGS, &n, NULL, e);
	*any = n > 0;
	buf_free(&sql);
	return ok;
}

/* --- the list --- */

void
kin_list_free(struct kin_list *list)
{
	free(list->items);
	free(list->slots);
	memset(list, 0, sizeof *list);
}

void
kin_list_reset(struct kin_list *list)
{
	list->n = 0;
	if (list->slots != NULL)
		memset(list->slots, 0, list->nslots * sizeof *list->slots);
}

/* The slot of a child of the record whose children begin at from, or the free one where it belongs. */
static size_t *
slot_of(const struct kin_list *list, size_t from, const struct table *t, uint64_t hash)
{
	size_t i = (size_t)(hash + from * 0x9e3779b97f4a7c15u) & (list->nslots - 1);

	for (;; i = (i + 1) & (list->nslots - 1)) {
		const struct kin *kin = list->slots[i] == 0 ? NULL : &list->items[list->slots[i] - 1];

		if (kin == NULL || (kin->hash == hash && kin->from == from && kin->table == t))
			return &list->slots[i];
	}
}

static struct kin *
list_find(const struct kin_list *list, size_t from, const struct table *t, uint64_t hash)
{
	size_t slot = list->nslots == 0 ? 0 : *slot_of(list, from, t, hash);

	return slot == 0 ? NULL : &list->items[slot - 1];
}

static bool
list_grow(struct kin_list *list, struct err *e)
{
	size_t cap = list->cap == 0 ? 16 : list->cap * 2;
	struct kin *grown;
	size_t *slots;

	if (list->n < list->cap)
		return true;
	grown = realloc(list->items, cap * sizeof *grown);
	if (grown != NULL)
		list->items = grown;
	slots = calloc(cap * 2, sizeof *slots);
	if (grown == NULL || slots == NULL) {
		free(slots);
		return err_set(e, ERR_MEMORY, "out of memory for the children of a record");
	}
	free(list->slots);
	list->slots = slots;
	list->nslots = cap * 2;
	list->cap = cap;
	for (size_t i = 0; i < list->n; i++)
		*slot_of(list, list->items[i].from, list->items[i].table, list->items[i].hash) = i + 1;
	return true;
}

/* The current row: its key, then its columns. */
static struct line_value *
copy_row(struct chunk *c, const struct db_rows *rows, size_t n, struct err *e)
{
	struct line_value *cells = calloc(n, sizeof *cells), *copy;

	if (cells == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for the children of a record");
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		const char *text = db_rows_text(rows, i);

		memcpy(&cells[i].data, &text, sizeof text); /* only read */
		cells[i].len = text == NULL ? 0 : db_rows_len(rows, i);
	}
	copy = chunk_copy(c, cells, n, e);
	free(cells);
	return copy;
}

static bool
list_add(struct chunk *c, const struct foreign_key *k, const struct table *t, const struct db_rows *rows, struct kin_list *list, size_t from, struct err *e)
{
	uint64_t hash = record_hash(t->name, db_rows_text(rows, 0), db_rows_len(rows, 0));
	struct line_value *cells;

	if (list_find(list, from, t, hash) != NULL)
		return true;
	cells = copy_row(c, rows, 1 + t->ncolumns, e);
	if (cells == NULL || !list_grow(list, e))
		return false;
	list->items[list->n++] = (struct kin){ .by = k, .table = t, .key = cells[0].data, .key_len = cells[0].len, .hash = hash, .from = from, .row = cells + 1 };
	*slot_of(list, from, t, hash) = list->n;
	return true;
}

/* --- locking --- */

struct part {
	const struct kin_list *list;
	size_t from;
};

static const char *
key_of_kin(size_t i, size_t *len, void *arg)
{
	const struct part *part = arg;
	const struct kin *kin = &part->list->items[part->from + i];

	*len = kin->key_len;
	return kin->key;
}

static bool
same_value(const struct line_value *a, const struct line_value *b)
{
	if (a->data == NULL || b->data == NULL)
		return a->data == b->data;
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Does the row still hang where it hung before it was locked? Generated columns are not read; what they are
 * made of decides nothing here. */
static bool
still_hangs(const struct kin *kin, const struct line_value *row)
{
	for (size_t i = 0; i < kin->by->ncolumns; i++) {
		const char *name = kin->by->columns[i];
		size_t at;

		if (table_column(kin->table, name, strlen(name), &at) && !same_value(&kin->row[at], &row[at]))
			return false;
	}
	return true;
}

/* What is locked and still hangs there gets its row as it is now; the others stay without one. */
static bool
take_locked(struct chunk *c, struct db_rows *rows, const struct table *t, struct kin_list *list, size_t from, struct line_value **locked, struct err *e)
{
	bool more = false, ok;

	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct kin *kin = list_find(list, list->items[from].from, t, record_hash(t->name, db_rows_text(rows, 0), db_rows_len(rows, 0)));
		struct line_value *cells;

		if (kin == NULL)
			continue;
		cells = copy_row(c, rows, 1 + t->ncolumns, e);
		if (cells == NULL)
			return false;
		if (still_hangs(kin, cells + 1))
			locked[kin - list->items] = cells + 1;
	}
	return ok;
}

static bool
lock_part(struct chunk *c, const struct table *t, struct kin_list *list, size_t from, struct line_value **locked, struct err *e)
{
	size_t most = record_keys_at_once(t), n = list->n - from < most ? list->n - from : most;
	struct part part = { list, from };
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	record_select(&sql, c->pass->catalog->database, t);
	ok = record_put_keys(c->pass->db, &sql, t, n, key_of_kin, &part) || malformed_key(t, e);
	buf_str(&sql, pass_lock(c->pass));
	ok = ok && buf_check(&sql, "a list of keys", e) && db_query(c->pass->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) &&
	    take_locked(c, rows, t, list, from, locked, e);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

static bool
lock_added(struct chunk *c, const struct table *t, struct kin_list *list, size_t from, struct err *e)
{
	struct line_value **locked = calloc(list->n + 1, sizeof *locked);
	bool ok = locked != NULL || err_set(e, ERR_MEMORY, "out of memory for the children of a record");

	for (size_t i = from; ok && i < list->n; i += record_keys_at_once(t))
		ok = lock_part(c, t, list, i, locked, e);
	for (size_t i = from; ok && i < list->n; i++)
		list->items[i].row = locked[i];
	free(locked);
	return ok;
}

/* Rows of tables in between: an app that hangs something on them waits from now on. */
static bool
lock_between(struct pass *p, const struct tie *tie, size_t n, const struct kin_parents *of, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	buf_str(&sql, "SELECT 1");
	ok = put_join(&sql, p, tie, n, of) || malformed_key(of->table, e);
	buf_str(&sql, " FOR UPDATE");
	ok = ok && buf_check(&sql, "a list of keys", e) && db_query(p->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

bool
kin_find(struct chunk *c, const struct tie *tie, const struct kin_parents *of, struct kin_list *list, size_t from, struct err *e)
{
	const struct table *t = tie->child;
	size_t added = list->n;
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok = true;

	for (size_t n = 1; ok && n < tie->n; n++)
		ok = lock_between(c->pass, tie, n, of, e);
	if (!ok)
		return false;
	buf_init(&sql, RECORD_SQL_MAX);
	buf_str(&sql, "SELECT ");
	template_key(&sql, t, "");
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_char(&sql, ',');
		template_read(&sql, &t->columns[i]);
	}
	ok = put_join(&sql, c->pass, tie, tie->n, of) || malformed_key(of->table, e);
	ok = ok && buf_check(&sql, "a list of keys", e) && db_query(c->pass->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = list_add(c, tie_key(tie), t, rows, list, from, e);
	db_rows_free(rows);
	buf_free(&sql);
	return ok && lock_added(c, t, list, added, e);
}
