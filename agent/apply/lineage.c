/* Records whose keys change. Lives here: finding the row, what is written under which key, what the others are
 * told. Not here: the verdict (apply/conflict), the statements (apply/target). */
#include "apply/lineage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "apply/judge.h"
#include "change/record.h"

enum {
	KEYS_MAX = 3 /* there, before, here */
};

/* --- finding it --- */

/* The row under a key, locked, in the section's order; *out stays NULL when there is none, or only one that the
 * collation takes for it: a key that gets another spelling is one row, not two. */
static bool
lock_row(struct chunk *c, const char *key, size_t key_len, struct line_value **out, struct err *e)
{
	const struct table *t = c->target.table;
	struct line_value *cells = calloc(t->ncolumns + 1, sizeof *cells);
	struct db_rows *rows = NULL;
	bool more = false, ok = cells != NULL || err_set(e, ERR_MEMORY, "out of memory for a record");
	struct buf sql;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	record_select(&sql, c->target.database, t);
	buf_str(&sql, " WHERE ");
	ok = ok && (record_put_match(c->pass->db, &sql, t, key, key_len) || err_set(e, ERR_INPUT, "table %s: a malformed key", t->name));
	buf_str(&sql, pass_lock(c->pass));
	ok = ok && buf_check(&sql, "a key", e) && db_query(c->pass->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	more = ok && more && db_rows_len(rows, 0) == key_len && memcmp(db_rows_text(rows, 0), key, key_len) == 0;
	for (size_t i = 0; more && i < t->ncolumns; i++) {
		const char *text = db_rows_text(rows, 1 + c->target.map[i]);

		memcpy(&cells[i].data, &text, sizeof text); /* only read */
		cells[i].len = text == NULL ? 0 : db_rows_len(rows, 1 + c->target.map[i]);
	}
	if (more)
		ok = (*out = chunk_copy(c, cells, t->ncolumns, e)) != NULL;
	db_rows_free(rows);
	buf_free(&sql);
	free(cells);
	return ok;
}

static void
add_hash(struct item *item, uint64_t hash)
{
	for (size_t i = 0; i < item->nalso; i++)
		if (item->also[i] == hash)
			return;
	if (item->nalso < ITEM_HASHES && hash != item->hash)
		item->also[item->nalso++] = hash;
}

bool
lineage_lock_old(struct chunk *c, struct item *item, struct err *e)
{
	const struct record_meta *m = &item->meta;

	item->old_local = NULL;
	if (!lock_row(c, m->old_key, m->old_key_len, &item->old_local, e))
		return false;
	item->old_here = item->old_local != NULL;
	add_hash(item, record_hash(c->target.table->name, m->old_key, m->old_key_len));
	return true;
}

/* Keys are followed as far as hashes can be remembered; a circle ends there too. */
bool
lineage_follow(struct chunk *c, struct item *item, bool *followed, struct err *e)
{
	const struct record_meta *m = &item->meta;
	const struct moved *to;
	const struct mark *seen;
	uint64_t hash = m->old_key == NULL ? item->hash : record_hash(c->target.table->name, m->old_key, m->old_key_len);
	size_t hops = 0;

	if (item->local != NULL || item->old_here || item->now_local != NULL || (m->operation == 'i' && m->old_key == NULL))
		return true;
	if (!judge_seen(c, item, &seen, e))
		return false;
	while (item->nalso < ITEM_HASHES && (to = look_moved(&c->pass->look, hash)) != NULL && !mark_contains(seen, to->id)) {
		struct line_value key = { .data = to->key, .len = to->key_len }, *copy = chunk_copy(c, &key, 1, e);

		if (copy == NULL || !lock_row(c, to->key, to->key_len, &item->now_local, e))
			return false;
		add_hash(item, to->hash);
		if (item->now_local != NULL) {
			item->now_key = copy->data;
			item->now_key_len = copy->len;
			*followed = true;
			return true;
		}
		if (hash == to->hash || ++hops >= ITEM_HASHES)
			return true;
		hash = to->hash;
	}
	return true;
}

bool
lineage_is_linked(const struct item *item)
{
	return item->meta.old_key != NULL || item->now_key != NULL;
}

struct line_value *
lineage_row(const struct item *item)
{
	if (item->local != NULL && item->old_local != NULL)
		return item->version_of_old ? item->old_local : item->local;
	return item->local != NULL ? item->local : item->old_local != NULL ? item->old_local : item->now_local;
}

/* --- writing it --- */

/* The row as it is here, under the key that it gets. */
static struct line_value *
with_new_key(struct chunk *c, const struct item *item, const struct line_value *row, struct err *e)
{
	const struct table *t = c->target.table;
	struct line_value *cells = calloc(t->ncolumns + 1, sizeof *cells), *copy;

	if (cells == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for a record");
		return NULL;
	}
	for (size_t i = 0; i < t->ncolumns; i++)
		cells[i] = t->columns[c->target.map[i]].in_key ? item->values[i] : row[i];
	copy = chunk_copy(c, cells, t->ncolumns, e);
	free(cells);
	return copy;
}

/* The incoming version is written. */
static void
plan_apply(struct item *item, bool same)
{
	const struct record_meta *m = &item->meta;

	if (item->now_key != NULL && m->old_key == NULL) { /* what they changed, or deleted, has another key here */
		item->shape = m->operation == 'd' ? (int)TARGET_DELETE : (int)TARGET_UPDATE;
		item->at_key = item->now_key;
		item->at_key_len = item->now_key_len;
		return;
	}
	if (m->operation == 'd')
		item->shape = item->local == NULL ? (int)WRITE_NOTHING : (int)TARGET_DELETE;
	else if (item->local != NULL)
		item->shape = same ? (int)WRITE_NOTHING : (int)TARGET_UPDATE;
	else
		item->shape = item->old_here || item->now_key != NULL ? (int)TARGET_MOVE : (int)TARGET_INSERT;
	item->drop_old = item->local != NULL && item->old_here;
}

/* The local version stays: under the key that the record has there, unless it was given one here. */
static bool
plan_keep(struct item *item)
{
	bool of_old = item->old_here && lineage_row(item) == item->old_local;

	item->drop_old = item->local != NULL && item->old_here;
	if (of_old)
		item->shape = item->local != NULL ? (int)TARGET_UPDATE : (int)TARGET_MOVE;
	return of_old;
}

bool
lineage_shape(struct item *item, bool same)
{
	item->shape = WRITE_NOTHING;
	if (item->decision.verdict == VERDICT_ASK)
		return false;
	if (item->decision.verdict == VERDICT_KEEP)
		return plan_keep(item);
	plan_apply(item, same);
	return false;
}

bool
lineage_plan(struct chunk *c, struct item *item, bool same, struct err *e)
{
	if (!lineage_shape(item, same))
		return true;
	item->write = with_new_key(c, item, item->old_local, e);
	return item->write != NULL;
}

/* --- telling of it --- */

struct name {
	const char *key;
	size_t len;
};

static bool
same_name(struct name a, struct name b)
{
	return a.len == b.len && memcmp(a.key, b.key, a.len) == 0;
}

/* Under which key the record is after the verdict. */
static struct name
final_name(const struct item *item)
{
	bool here = item->now_key != NULL && (item->decision.verdict == VERDICT_KEEP || item->meta.old_key == NULL);

	return here ? (struct name){ item->now_key, item->now_key_len } : (struct name){ item->meta.key, item->meta.key_len };
}

/* Its other keys; the last one is where the row of most others comes from. */
static size_t
other_names(const struct item *item, struct name final, struct name out[KEYS_MAX])
{
	const struct name all[KEYS_MAX] = {
		{ item->meta.old_key, item->meta.old_key_len },
		{ item->meta.key, item->meta.key_len },
		{ item->now_key, item->now_key_len },
	};
	size_t n = 0;

	for (size_t i = 0; i < KEYS_MAX; i++)
		if (all[i].key != NULL && !same_name(all[i], final))
			out[n++] = all[i];
	return n;
}

static void
tell(struct relay_list *to, const struct relay *r, struct name name, enum operation operation, bool linked)
{
	struct relay *one = &to->items[to->n++];

	assert(to->n <= RELAYS_MAX);
	*one = *r;
	one->key = name.key;
	one->key_len = name.len;
	one->operation = operation;
	one->linked = linked;
}

/* Each key is linked to the final one, so that what others still change under any of them finds the record. On
 * the wire goes the last link alone. */
void
lineage_requeue(const struct item *item, const struct relay *r, bool present, struct relay_list *to)
{
	struct name final = final_name(item), others[KEYS_MAX];
	size_t n = other_names(item, final, others);

	for (size_t i = 0; i < n; i++) {
		tell(to, r, others[i], OP_DELETE, false);
		if (present)
			tell(to, r, final, OP_INSERT, true);
	}
	if (!present || n == 0)
		tell(to, r, final, present ? OP_INSERT : OP_DELETE, false);
}
