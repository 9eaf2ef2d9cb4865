/* Parents whose keys change. Lives here: whether their children let them, which children get new keys, and what
 * these are. Not here: parents that are deleted (apply/family); children that keep their
 * keys: when changes of them are pending, they travel as they are by then. */
#include "apply/follow.h"

#include <stdlib.h>
#include <string.h>

static const char *
key_of_one(size_t i, size_t *len, void *arg)
{
	const struct line_value *key = arg;

	(void)i;
	*len = key->len;
	return key->data;
}

/* --- rows that lose their key --- */

/* Would the row's going from its old key hurt a child by this foreign key? Where children follow a new key the
 * server may change them. */
static bool
is_hurt(const struct item *item, const struct tie *tie)
{
	return item->drop_old || (tie->n == 1 && tie_key(tie)->on_update == FK_RESTRICT);
}

static bool
find_hurt(struct chunk *c, struct item *item, struct err *e)
{
	struct kin_list *list = family_kin(c->pass->family);
	const struct tie_list *ties = &c->pass->ties;
	struct line_value old = { .len = item->meta.old_key_len };
	struct kin_parents of = { c->target.table, 1, key_of_one, &old };

	memcpy(&old.data, &item->meta.old_key, sizeof old.data); /* only read */
	item->kin_from = list->n;
	for (size_t i = 0; i < ties->n; i++)
		if (tie_is_of(&ties->items[i], c->target.table) && is_hurt(item, &ties->items[i]) &&
		    !kin_find(c, &ties->items[i], &of, list, item->kin_from, e))
			return false;
	item->kin_n = list->n - item->kin_from;
	return true;
}

/* A row with children that nobody moves keeps its key, and the record under the new key is one of its own. */
static bool
decide(struct chunk *c, struct item *item, struct err *e)
{
	const struct kin_list *list = family_kin(c->pass->family);
	bool wins;

	if (!family_weigh(c, item, &wins, e))
		return false;
	for (size_t i = item->kin_from; item->drop_old && i < item->kin_from + item->kin_n; i++)
		wins = wins || list->items[i].row != NULL; /* the old row would go, and all of them with it */
	item->split = wins && item->waits_for == NULL;
	if (!item->split)
		return true;
	item->drop_old = false;
	if (item->shape == (int)TARGET_MOVE)
		item->shape = TARGET_INSERT;
	return true;
}

static bool
loses_key(const struct item *item)
{
	return item->drop_old || (item->shape == (int)TARGET_MOVE && item->old_here);
}

bool
follow_judge(struct chunk *c, struct err *e)
{
	bool any = false;

	for (size_t i = 0; i < c->n; i++) {
		struct item *item = &c->items[i];

		if (loses_key(item) && !find_hurt(c, item, e))
			return false;
		any = any || (loses_key(item) && item->kin_n > 0);
	}
	if (!any)
		return true;
	if (!family_look(c, e))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (loses_key(&c->items[i]) && !decide(c, &c->items[i], e))
			return false;
	return true;
}

/* --- children that follow --- */

/* Does the primary key of the child contain a column of the foreign key? */
static bool
is_in_key(const struct table *t, const struct foreign_key *k)
{
	size_t at;

	for (size_t i = 0; i < k->ncolumns; i++)
		if (table_column(t, k->columns[i], strlen(k->columns[i]), &at) && t->columns[at].in_key)
			return true;
	return false;
}

/* Are all columns that it references in the parent's primary key, so that this tells what becomes of them? */
static bool
refers_to_key(const struct foreign_key *k, const struct table *parent)
{
	size_t at;

	for (size_t i = 0; i < k->ncolumns; i++)
		if (!table_column(parent, k->referenced[i], strlen(k->referenced[i]), &at) || !parent->columns[at].in_key)
			return false;
	return true;
}

/* Which foreign keys act: those that reference something that changes. changed: by the parent's columns; NULL: its key
 * does, and perhaps all else. */
static bool
acts(const struct tie *tie, const struct table *parent, const bool *changed)
{
	const struct foreign_key *k = tie_key(tie);
	size_t at;

	if (tie->n != 1 || k->on_update != FK_CASCADE || !tie_is_of(tie, parent) || !is_in_key(tie->child, k))
		return false;
	for (size_t i = 0; changed != NULL && i < k->ncolumns; i++)
		if (table_column(parent, k->referenced[i], strlen(k->referenced[i]), &at) && changed[at])
			return true;
	return changed == NULL;
}

/* Append the children of one row that will get another key. */
static bool
find_of(struct chunk *c, const struct table *parent, const bool *changed, struct line_value key, size_t from, size_t up, struct err *e)
{
	const struct tie_list *ties = &c->pass->ties;
	struct kin_list *list = family_kin(c->pass->family);
	struct kin_parents of = { parent, 1, key_of_one, &key };
	size_t first = list->n;

	for (size_t i = 0; i < ties->n; i++) {
		const struct tie *tie = &ties->items[i];

		if (acts(tie, parent, changed) && !kin_find(c, tie, &of, list, from, e))
			return false;
	}
	for (size_t i = first; i < list->n; i++)
		list->items[i].up = up;
	return true;
}

/* The children of the item's row, and theirs. */
static bool
find_all(struct chunk *c, struct item *item, const bool *changed, struct line_value key, struct err *e)
{
	struct kin_list *list = family_kin(c->pass->family);

	item->kin_from = list->n;
	if (!find_of(c, c->target.table, changed, key, item->kin_from, SIZE_MAX, e))
		return false;
	for (size_t i = item->kin_from; i < list->n; i++) {
		const struct kin *kin = &list->items[i];

		memcpy(&key.data, &kin->key, sizeof kin->key);
		key.len = kin->key_len;
		if (kin->row != NULL && !find_of(c, kin->table, NULL, key, item->kin_from, i, e))
			return false;
	}
	item->kin_n = list->n - item->kin_from;
	return true;
}

/* Which columns of the row that is here get another value: only those that foreign keys may reference matter. */
static bool
find_changed(struct chunk *c, struct item *item, struct err *e)
{
	const struct line_value *now = item->write == NULL ? item->values : item->write;
	const struct table *t = c->target.table;
	struct line_value key = { .len = item->meta.key_len };
	bool *changed, ok = true, any = false;

	if (item->local == NULL || !family_follows(c->pass, t))
		return true;
	changed = calloc(t->ncolumns + 1, sizeof *changed);
	if (changed == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the children of a record");
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct line_value *was = &item->local[i];

		changed[c->target.map[i]] = was->len != now[i].len || (was->data == NULL) != (now[i].data == NULL) ||
		    (was->data != NULL && memcmp(was->data, now[i].data, was->len) != 0);
		any = any || changed[c->target.map[i]];
	}
	memcpy(&key.data, &item->meta.key, sizeof item->meta.key); /* only read */
	if (any)
		ok = find_all(c, item, changed, key, e);
	free(changed);
	return ok;
}

bool
follow_find(struct chunk *c, struct item *item, struct err *e)
{
	struct line_value key = { .len = item->old_here ? item->meta.old_key_len : item->now_key_len };
	const char *text = item->old_here ? item->meta.old_key : item->now_key;

	if (item->shape == (int)TARGET_UPDATE)
		return find_changed(c, item, e);
	if (item->shape != (int)TARGET_MOVE)
		return true;
	memcpy(&key.data, &text, sizeof text); /* only read */
	return find_all(c, item, NULL, key, e);
}

/* --- new keys --- */

/* A key's parts as texts. */
struct parts {
	const struct table *table;
	struct buf text;
	size_t at[CATALOG_KEY_COLUMNS];
};

static bool
split(struct parts *p, const struct table *t, const char *key, size_t len)
{
	p->table = t;
	buf_init(&p->text, CATALOG_KEY_BYTES * 4);
	return template_split_key(t, key, len, &p->text, p->at);
}

static void
put_part(struct buf *out, const struct parts *p, size_t i, bool escape)
{
	size_t end = (i + 1 < p->table->nkey ? p->at[i + 1] : p->text.len) - 1;

	for (size_t at = p->at[i]; at < end; at++) {
		if (escape && (p->text.data[at] == '\\' || p->text.data[at] == ','))
			buf_char(out, '\\');
		buf_char(out, p->text.data[at]);
	}
}

static size_t
part_of(const struct table *t, const char *column)
{
	for (size_t i = 0; i < t->nkey; i++)
		if (strcmp(t->columns[t->key[i]].name, column) == 0)
			return i;
	return SIZE_MAX;
}

/* The part of the parent's key that the child's key part repeats, or SIZE_MAX. */
static size_t
repeated(const struct foreign_key *k, const struct table *parent, const char *column)
{
	for (size_t i = 0; i < k->ncolumns; i++)
		if (strcmp(k->columns[i], column) == 0)
			return part_of(parent, k->referenced[i]);
	return SIZE_MAX;
}

static bool
is_column_of(const struct foreign_key *k, const char *column)
{
	for (size_t i = 0; i < k->ncolumns; i++)
		if (strcmp(k->columns[i], column) == 0)
			return true;
	return false;
}

/* The child's key, with the parent's new values. */
static bool
new_key(const struct kin *kin, const struct table *parent, const char *parent_key, size_t parent_len, struct buf *out)
{
	struct parts own, above;
	bool ok = split(&own, kin->table, kin->key, kin->key_len);

	ok = split(&above, parent, parent_key, parent_len) && ok;

	for (size_t i = 0; ok && i < kin->table->nkey; i++) {
		const struct column *col = &kin->table->columns[kin->table->key[i]];
		size_t from = repeated(kin->by, parent, col->name);
		bool escape = kin->table->nkey > 1 && col->kind == COLUMN_TEXT;

		if (i > 0)
			buf_char(out, ',');
		put_part(out, from == SIZE_MAX ? &own : &above, from == SIZE_MAX ? i : from, escape);
	}
	buf_free(&own.text);
	buf_free(&above.text);
	return ok;
}

/* The columns of the foreign key hold what the parent has by now. */
static void
put_parent(struct buf *sql, const struct kin *kin)
{
	for (size_t i = 0; i < kin->by->ncolumns; i++) {
		buf_str(sql, i > 0 ? " AND c." : " ON c.");
		db_quote_name(sql, kin->by->columns[i]);
		buf_fmt(sql, "=p.`tandem %zu`", i);
	}
}

static void
put_referenced(struct buf *sql, const struct kin *kin)
{
	buf_str(sql, " FROM (SELECT ");
	for (size_t i = 0; i < kin->by->ncolumns; i++) {
		buf_str(sql, i > 0 ? "," : "");
		db_quote_name(sql, kin->by->referenced[i]);
		buf_fmt(sql, " AS `tandem %zu`", i);
	}
}

/* SELECT the child's key: by what the parent has now, and by its other key columns. */
static bool
put_lookup(struct chunk *c, struct buf *sql, const struct kin *kin, const struct table *parent, struct line_value parent_key, struct parts *own, struct db_arg *args, size_t *n)
{
	bool ok;

	buf_str(sql, "SELECT ");
	template_key(sql, kin->table, "c.");
	put_referenced(sql, kin);
	buf_str(sql, " FROM ");
	template_table(sql, c->pass->catalog->database, parent->name);
	buf_str(sql, " FORCE INDEX (PRIMARY)");
	ok = record_put_keys(c->pass->db, sql, parent, 1, key_of_one, &parent_key);
	buf_str(sql, ") AS p STRAIGHT_JOIN ");
	template_table(sql, c->pass->catalog->database, kin->table->name);
	buf_str(sql, " AS c");
	put_parent(sql, kin);
	for (size_t i = 0; i < kin->table->nkey; i++) {
		const struct column *col = &kin->table->columns[kin->table->key[i]];
		size_t end = (i + 1 < kin->table->nkey ? own->at[i + 1] : own->text.len) - 1;

		if (is_column_of(kin->by, col->name))
			continue;
		buf_str(sql, " AND c.");
		db_quote_name(sql, col->name);
		buf_str(sql, col->kind == COLUMN_FLOAT ? "+0e0=" : "=");
		template_key_operand(sql, col);
		args[(*n)++] = db_text_n(own->text.data + own->at[i], end - own->at[i]);
	}
	return ok;
}

/* The child's key where it repeats something else than the parent's: only the server knows it. "": it is not there. */
static bool
read_new_key(struct chunk *c, const struct kin *kin, const struct table *parent, struct line_value parent_key, struct buf *out, struct err *e)
{
	struct db_arg args[CATALOG_KEY_COLUMNS];
	struct db_rows *rows = NULL;
	struct parts own;
	struct buf sql;
	size_t n = 0;
	bool more = false, ok;

	buf_init(&sql, RECORD_SQL_MAX);
	ok = (split(&own, kin->table, kin->key, kin->key_len) && put_lookup(c, &sql, kin, parent, parent_key, &own, args, &n)) ||
	    err_set(e, ERR_INTERNAL, "table %s: a malformed key", kin->table->name);
	ok = ok && buf_check(&sql, "a key", e) && db_query(c->pass->db, buf_cstr(&sql), args, n, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		buf_put(out, db_rows_text(rows, 0), db_rows_len(rows, 0));
	db_rows_free(rows);
	buf_free(&own.text);
	buf_free(&sql);
	return ok;
}

/* --- telling --- */

static bool
tell(struct chunk *c, const struct item *item, const struct kin *kin, struct err *e)
{
	char now[QUEUE_TIME_LEN + 1];
	struct relay r = {
		.table = kin->table->name,
		.operation = OP_DELETE,
		.key = kin->key,
		.key_len = kin->key_len,
		.changed_at = now,
		.node = c->pass->conf->node.name,
		.requeue = true,
	};

	if (family_brings(c->pass->family, record_hash(kin->table->name, kin->new_key, kin->new_len)))
		return true;
	if (!pass_now_after(c->pass, item->meta.changed_at, now, e) || !pass_relay(c->pass, &r, e))
		return false;
	r.operation = OP_INSERT;
	r.key = kin->new_key;
	r.key_len = kin->new_len;
	r.linked = true;
	return pass_relay(c->pass, &r, e);
}

/* Another column was changed, or the row is gone. */
static bool
is_as_before(const struct kin *kin)
{
	return kin->new_len == 0 || (kin->new_len == kin->key_len && memcmp(kin->new_key, kin->key, kin->key_len) == 0);
}

static bool
take_new_key(struct chunk *c, const struct item *item, struct kin *kin, struct err *e)
{
	const struct kin *up = kin->up == SIZE_MAX ? NULL : &family_kin(c->pass->family)->items[kin->up];
	const struct table *parent = up == NULL ? c->target.table : up->table;
	const char *text = up == NULL ? item->meta.key : up->new_key;
	struct line_value *copy = NULL, above = { .len = up == NULL ? item->meta.key_len : up->new_len };
	struct buf key;
	bool ok;

	memcpy(&above.data, &text, sizeof text); /* only read */
	buf_init(&key, CATALOG_KEY_BYTES * 2);
	ok = refers_to_key(kin->by, parent) ? new_key(kin, parent, text, above.len, &key) || err_set(e, ERR_INTERNAL, "table %s: a malformed key", kin->table->name)
					    : read_new_key(c, kin, parent, above, &key, e);
	ok = ok && buf_check(&key, "a key", e) && (copy = chunk_copy(c, &(struct line_value){ .data = key.data, .len = key.len }, 1, e)) != NULL;
	if (ok) {
		kin->new_key = copy->data;
		kin->new_len = copy->len;
	}
	buf_free(&key);
	return ok;
}

/* The row that stays under its old key is sent again, to the sender as well. */
static bool
tell_of_split(struct chunk *c, const struct item *item, struct err *e)
{
	char now[QUEUE_TIME_LEN + 1];

	return pass_now_after(c->pass, item->meta.changed_at, now, e) && pass_relay(c->pass, &(struct relay){
		.table = c->target.table->name,
		.operation = OP_UPDATE,
		.key = item->meta.old_key,
		.key_len = item->meta.old_key_len,
		.changed_at = now,
		.node = c->pass->conf->node.name,
		.requeue = true,
	    }, e);
}

bool
follow_finish(struct chunk *c, const struct item *item, struct err *e)
{
	struct kin_list *list = family_kin(c->pass->family);

	if (item->split)
		return tell_of_split(c, item, e);
	if (item->shape != (int)TARGET_MOVE && item->shape != (int)TARGET_UPDATE)
		return true;
	for (size_t i = item->kin_from; i < item->kin_from + item->kin_n; i++) {
		struct kin *kin = &list->items[i];

		if (kin->row != NULL && (!take_new_key(c, item, kin, e) || (!is_as_before(kin) && !tell(c, item, kin, e))))
			return false;
	}
	return true;
}
