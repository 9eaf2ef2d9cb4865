/* Parents whose keys change. Lives here: whether their children let them, which children get new keys, and what
 * these are. Not here: parents that are deleted (apply/family); children that keep their
 * keys: when changes of them are pending, they travel as they are by then. A child whose key contains columns
 * that reference others than the parent's primary key is not told of. */
#include "apply/follow.h"

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

/* Append the children of one row that will get another key. */
static bool
find_of(struct chunk *c, const struct table *parent, struct line_value key, size_t from, size_t up, struct err *e)
{
	const struct tie_list *ties = &c->pass->ties;
	struct kin_list *list = family_kin(c->pass->family);
	struct kin_parents of = { parent, 1, key_of_one, &key };
	size_t first = list->n;

	for (size_t i = 0; i < ties->n; i++) {
		const struct tie *tie = &ties->items[i];

		if (tie->n == 1 && tie_key(tie)->on_update == FK_CASCADE && tie_is_of(tie, parent) && is_in_key(tie->child, tie_key(tie)) && !kin_find(c, tie, &of, list, from, e))
			return false;
	}
	for (size_t i = first; i < list->n; i++)
		list->items[i].up = up;
	return true;
}

bool
follow_find(struct chunk *c, struct item *item, struct err *e)
{
	struct kin_list *list = family_kin(c->pass->family);
	struct line_value key = { .len = item->old_here ? item->meta.old_key_len : item->now_key_len };
	const char *text = item->old_here ? item->meta.old_key : item->now_key;

	if (item->shape != (int)TARGET_MOVE)
		return true;
	memcpy(&key.data, &text, sizeof text); /* only read */
	item->kin_from = list->n;
	if (!find_of(c, c->target.table, key, item->kin_from, SIZE_MAX, e))
		return false;
	for (size_t i = item->kin_from; i < list->n; i++) {
		const struct kin *kin = &list->items[i];

		memcpy(&key.data, &kin->key, sizeof kin->key);
		key.len = kin->key_len;
		if (kin->row != NULL && !find_of(c, kin->table, key, item->kin_from, i, e))
			return false;
	}
	item->kin_n = list->n - item->kin_from;
	return true;
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

static bool
take_new_key(struct chunk *c, const struct item *item, struct kin *kin, struct err *e)
{
	const struct kin *up = kin->up == SIZE_MAX ? NULL : &family_kin(c->pass->family)->items[kin->up];
	struct line_value *copy = NULL;
	struct buf key;
	bool ok;

	buf_init(&key, CATALOG_KEY_BYTES * 2);
	ok = up == NULL ? new_key(kin, c->target.table, item->meta.key, item->meta.key_len, &key)
			: new_key(kin, up->table, up->new_key, up->new_len, &key);
	ok = (ok || err_set(e, ERR_INTERNAL, "table %s: a malformed key", kin->table->name)) && buf_check(&key, "a key", e) &&
	    (copy = chunk_copy(c, &(struct line_value){ .data = key.data, .len = key.len }, 1, e)) != NULL;
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
	if (item->shape != (int)TARGET_MOVE)
		return true;
	for (size_t i = item->kin_from; i < item->kin_from + item->kin_n; i++) {
		struct kin *kin = &list->items[i];

		if (kin->row != NULL && (!take_new_key(c, item, kin, e) || !tell(c, item, kin, e)))
			return false;
	}
	return true;
}
