/* Lock, look, judge. The order matters: only after the row is locked (and an app's open transaction
 * on it has ended) does the look at the queue see everything concurrent; READ COMMITTED, so that
 * the look is not an old snapshot. Lives here: the records' rows here, the facts about them. Not
 * here: the rule (apply/conflict), what follows from the verdict (apply/span, apply/outcome). */
#include "config.h"

#include "apply/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/family.h"
#include "apply/fit.h"
#include "apply/follow.h"
#include "apply/inbox.h"
#include "apply/lineage.h"
#include "apply/merge.h"
#include "apply/position.h"
#include "apply/undecided.h"
#include "base/plant.h"
#include "change/record.h"

/* --- locking --- */

static int
by_item_hash(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static void
sort_items(struct chunk *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->sorted[i] = &c->items[i];
	qsort(c->sorted, c->n, sizeof *c->sorted, by_item_hash);
}

static struct item *
find_item(struct chunk *c, const char *key, size_t len)
{
	struct item wanted = { .hash = record_hash(c->target.table->name, key, len) };
	struct item *w = &wanted, **found;

	found = bsearch(&w, c->sorted, c->n, sizeof *c->sorted, by_item_hash);
	return found == NULL ? NULL : *found;
}

/* The locked row's columns in the section's order. */
static bool
take_local_row(struct chunk *c, struct item *item, const struct db_rows *rows, struct err *e)
{
	size_t n = c->target.table->ncolumns;
	struct line_value *cells = calloc(n + 1, sizeof *cells);

	if (cells == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	for (size_t i = 0; i < n; i++) {
		const char *text = db_rows_text(rows, 1 + c->target.map[i]);

		memcpy(&cells[i].data, &text, sizeof text);
		cells[i].len = text == NULL ? 0 : db_rows_len(rows, 1 + c->target.map[i]);
	}
	item->local = chunk_copy(c, cells, n, e);
	free(cells);
	return item->local != NULL;
}

static const char *
key_of_item(size_t i, size_t *len, void *arg)
{
	struct chunk *c = arg;

	*len = c->items[i].meta.key_len;
	return c->items[i].meta.key;
}

static bool
malformed_key(const struct chunk *c, struct err *e)
{
	return err_set(e, ERR_INPUT, "table %s: a malformed key", c->target.table->name);
}

static bool
lock_rows(struct chunk *c, struct err *e)
{
	const struct table *t = c->target.table;
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, RECORD_SQL_MAX);
	record_select(&sql, c->target.database, t);
	ok = record_put_keys(c->pass->db, &sql, t, c->n, key_of_item, c) || malformed_key(c, e);
	buf_str(&sql, pass_lock(c->pass));
	ok = ok && buf_check(&sql, "a list of keys", e) &&
	    db_stream(c->pass->db, sql.data, sql.len, &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct item *item = find_item(c, db_rows_text(rows, 0), db_rows_len(rows, 0));

		if (item != NULL && !(ok = take_local_row(c, item, rows, e)))
			break;
	}
	while (!ok && rows != NULL && more && db_rows_next(rows, &more, NULL) && more)
		; /* empty the result: the connection stays usable */
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* --- facts --- */

bool
judge_seen(struct chunk *c, const struct item *item, const struct mark **out, struct err *e)
{
	struct mark *to;
	bool found;

	*out = &c->pass->seen;
	if (!item->meta.has_seen || item->meta.seen == c->pass->seen.epoch)
		return true;
	for (size_t i = 0; i < c->nmarks; i++) {
		if (c->marks[i].epoch == item->meta.seen) {
			*out = &c->marks[i];
			return true;
		}
	}
	if (c->nmarks == CHUNK_MARKS)
		mark_free(&c->marks[--c->nmarks]);
	to = &c->marks[c->nmarks];
	if (!queue_load_mark(c->pass->db, item->meta.seen, to, &found, e))
		return false;
	if (!found)
		return err_set(e, ERR_PEER_REFUSED, "a record's seen epoch is not kept any more");
	c->nmarks++;
	*out = to;
	return true;
}

static const char *
node_of(const struct look *l, const struct item *item)
{
	return item->meta.origin == NULL ? l->peer : item->meta.origin;
}

const char *
judge_node(const struct chunk *c, const struct item *item)
{
	return node_of(&c->pass->look, item);
}

bool
judge_same_value(const struct target *to, size_t i, const struct line_value *a, const struct line_value *b)
{
	if (a->data == NULL || b->data == NULL)
		return a->data == b->data;
	if (a->len == b->len && memcmp(a->data, b->data, a->len) == 0)
		return true;
	return to->widened[i] && fit_same(to->table->columns[to->map[i]].type, (struct fit_value){ a->data, a->len },
				     (struct fit_value){ b->data, b->len });
}

static bool
same_content(const struct chunk *c, const struct item *item)
{
	if (item->meta.operation == 'd')
		return item->local == NULL;
	if (item->local == NULL)
		return false;
	for (size_t i = 0; i < c->target.table->ncolumns; i++) {
		if (!judge_same_value(&c->target, i, &item->values[i], &item->local[i]))
			return false;
	}
	return true;
}

static bool
is_later(const struct local_change *lc, const struct item *item, const char *preferred)
{
	if (lc->weak != item->local_weak)
		return item->local_weak;
	return version_compare_for(preferred, lc->changed_at, lc->node, item->local_changed_at, item->local_node) > 0;
}

/* Ids of concurrent changes. */
struct spread {
	uint64_t first, last;
};

/* One more concurrent change; of_old: under another key than the record has there. */
static void
take_concurrent(struct item *item, struct facts *f, const struct local_change *lc, bool of_old, struct spread *ids)
{
	if (lc->id < ids->first) {
		ids->first = lc->id;
		f->local_made = lc->operation == OP_INSERT;
	}
	if (lc->id > ids->last) {
		ids->last = lc->id;
		f->local_theirs = !of_old && lc->operation == OP_INSERT && strcmp(lc->node, f->node) == 0 && strcmp(lc->changed_at, f->changed_at) < 0;
	}
	if (f->concurrent++ == 0 || is_later(lc, item, f->preferred)) {
		memcpy(item->local_changed_at, lc->changed_at, sizeof lc->changed_at);
		memcpy(item->local_node, lc->node, sizeof lc->node);
		item->local_weak = lc->weak;
		item->version_of_old = of_old;
	}
	item->changed_as_old = item->changed_as_old || of_old;
	f->local_whole = f->local_whole || lc->whole;
	f->local_reborn = f->local_reborn || lc->reborn;
	f->local_decided = f->local_decided || lc->decided;
	/* What came to this number from another one is as much another row as one that began under it. */
	f->local_inserted = f->local_inserted ||
	    (!of_old && (lc->operation == OP_INSERT || (lc->arrived && item->meta.old_key == NULL)));
}

/* Gather the item's concurrent local changes, under all its keys, into facts. */
static void
find_concurrent(struct look *l, struct item *item, const struct mark *seen, struct facts *f)
{
	struct spread ids = { .first = UINT64_MAX };
	size_t from, n;

	for (size_t k = 0; k <= item->nalso; k++) {
		look_find(l, k == 0 ? item->hash : item->also[k - 1], &from, &n);
		for (size_t i = from; i < from + n; i++)
			if (!mark_contains(seen, l->changes[i].id))
				take_concurrent(item, f, &l->changes[i], k > 0, &ids);
	}
	f->local_changed_at = item->local_changed_at;
	f->local_node = item->local_node;
	f->local_weak = item->local_weak;
	item->concurrent = f->concurrent;
}

void
judge_facts(struct look *l, struct item *item, const struct mark *seen, const char *preferred, struct facts *f)
{
	*f = (struct facts){
		.preferred = preferred,
		.changed_at = item->meta.changed_at,
		.node = node_of(l, item),
		.weak = item->meta.weak,
		.decided = item->meta.whole,
		.whole = item->meta.whole || item->meta.operation != 'u' || lineage_is_linked(item),
		.edit = item->meta.whole && item->meta.operation == 'u' && item->meta.columns != NULL && !lineage_is_linked(item),
		.inserted = item->meta.operation == 'i' && (item->meta.old_key == NULL || item->local != NULL),
		.removed = item->meta.operation == 'd',
		.born = item->meta.operation == 'i' && item->meta.old_key == NULL && !item->meta.whole,
	};
	find_concurrent(l, item, seen, f);
	f->here = lineage_row(item) != NULL;
}

bool
judge_is_same(const struct item *item, bool same_content)
{
	return same_content && item->now_key == NULL && !(item->old_here && item->changed_as_old);
}

/* --- judging --- */

/* When nobody knows when a version was made. */
static const char long_ago[] = "2000-01-01 00:00:00.000000";

/* Sent before the peer heard of the decision: the decision stays. By a clock that is behind, an edit may be no later
 * than the version that was decided about: then it is kept. */
static bool
judge_decided(struct chunk *c, struct item *item, const struct dispute *d, const struct facts *f, struct err *e)
{
	struct inbox_version v = { 0 };
	struct buf row;
	bool seen = false, ok;

	buf_init(&row, INBOX_ROW_MAX);
	if (item->meta.operation != 'd') {
		inbox_put_row(&row, c->target.table, c->target.map, item->values);
		v.row = row.data;
		v.row_len = row.len;
	}
	ok = buf_check(&row, "a kept version", e) && inbox_is_remote(c->pass->db, d->conflict, &v, &seen, e);
	buf_free(&row);
	item->decision = (struct decision){ .verdict = VERDICT_KEEP, .conflict = !seen && !f->same && item->concurrent > 0 };
	item->shape = WRITE_NOTHING;
	return ok;
}

/* The decision that a version has not seen, or NULL. A person may have decided after the group looked for decisions and
 * before it had the record: then his change is here, and the books are read again. */
static bool
find_decision(struct chunk *c, const struct item *item, const struct mark *seen, const struct facts *f, const struct dispute **out, struct err *e)
{
	struct pass *p = c->pass;

	*out = p->ndisputes == 0 ? NULL : pass_decided(p, item->hash, seen, f->changed_at, f->node);
	if (*out != NULL || item->decision.verdict != VERDICT_ASK || !f->local_decided)
		return true;
	if (!undecided_look(p, e))
		return false;
	*out = p->ndisputes == 0 ? NULL : pass_decided(p, item->hash, seen, f->changed_at, f->node);
	return true;
}

static bool
judge_item(struct chunk *c, struct item *item, struct err *e)
{
	const struct dispute *d;
	const struct mark *seen;
	struct facts f;

	if (!judge_seen(c, item, &seen, e))
		return false;
	judge_facts(&c->pass->look, item, seen, c->target.table->preferred, &f);
	f.counter_key = c->target.table->auto_increment;
	f.anew = c->pass->anew;
	f.same = judge_is_same(item, same_content(c, item));
	if (!merge_is_possible(c, item, &f))
		item->decision = conflict_judge(c->target.table->policy, &f);
	else if (!merge_item(c, item, &f, &f.same, e))
		return false;
	if (!find_decision(c, item, seen, &f, &d, e) || (d != NULL && !judge_decided(c, item, d, &f, e)))
		return false;
	if (d != NULL && item->changed_as_old) { /* what was written here under its old key no decision was about */
		item->old_stays = item->old_here;
		return true;
	}
	if (item->decision.verdict == VERDICT_ASK && item->concurrent == 0) { /* of a row that nobody has changed since */
		(void)snprintf(item->local_changed_at, sizeof item->local_changed_at, "%s", long_ago);
		(void)snprintf(item->local_node, sizeof item->local_node, "%s", c->pass->conf->node.name);
	}
	return lineage_plan(c, item, f.same, e);
}

/* What the peer says of a key that a record has left here, while it has not taken that, and that no other has now. */
static void
lower_seen(struct chunk *c, struct item *item, const char *key, size_t len)
{
	struct record_meta *m = &item->meta;
	uint64_t left;

	if (!pass_left(c->pass, record_hash(c->target.table->name, key, len), &left) || left >= (m->has_seen ? m->seen : c->pass->seen.epoch))
		return;
	m->has_seen = true;
	m->seen = left;
	position_raise_seen(m, c->pass->start_epoch);
}

static void
lower_all(struct chunk *c)
{
	for (size_t i = 0; c->pass->nleft > 0 && i < c->n; i++) {
		struct item *item = &c->items[i];

		if (item->local == NULL)
			lower_seen(c, item, item->meta.key, item->meta.key_len);
		if (item->meta.old_key != NULL && !item->old_here)
			lower_seen(c, item, item->meta.old_key, item->meta.old_key_len);
	}
}

/* To the rows that were given other keys here. */
static bool
follow_all(struct chunk *c, struct err *e)
{
	bool followed = false;

	for (size_t i = 0; c->pass->look.nmoved > 0 && i < c->n; i++)
		if (!lineage_follow(c, &c->items[i], &followed, e))
			return false;
	return !followed || look_refresh(&c->pass->look, c->pass->db, e);
}

bool
judge_chunk(struct chunk *c, struct err *e)
{
	sort_items(c);
	if (plant_is(PLANT_LOOK_FIRST) && !look_refresh(&c->pass->look, c->pass->db, e))
		return false;
	if (!lock_rows(c, e))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].meta.old_key != NULL && !lineage_lock_old(c, &c->items[i], e))
			return false;
	if (!plant_is(PLANT_LOOK_FIRST) && !look_refresh(&c->pass->look, c->pass->db, e))
		return false;
	lower_all(c);
	if (!follow_all(c, e))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (!judge_item(c, &c->items[i], e))
			return false;
	return family_judge(c, e) && follow_judge(c, e);
}
