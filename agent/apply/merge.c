/* Merging. Lives here: the verdict for a column, the merged row, what each side's changes keep of their columns.
 * Not here: finding concurrent changes (apply/judge), writing the row (apply/span), keeping the conflict
 * (apply/outcome). */
#include "apply/merge.h"

#include <stdlib.h>
#include <string.h>

#include "apply/columns.h"
#include "apply/judge.h"
#include "base/decimal.h"

/* --- the rule --- */

struct merge_verdict
merge_judge(const struct merge_facts *f)
{
	struct merge_verdict v = { .take = f->theirs != NULL };
	const struct column_version *loser;

	if (f->theirs == NULL || f->ours == NULL)
		return v;
	v.take = versions_compare(f->theirs, f->ours) > 0;
	loser = v.take ? f->ours : f->theirs;
	/* One version that came over two ways is no conflict, equal values are none. */
	v.conflict = versions_compare(f->theirs, f->ours) != 0 && !f->same && !f->stamped && !loser->weak;
	return v;
}

bool
merge_is_possible(const struct chunk *c, const struct item *item, const struct facts *f)
{
	const struct table *t = c->target.table;

	if (!mask_is_wanted(t) || f->concurrent == 0 || item->local == NULL)
		return false;
	/* With counters a whole record on one side is an edit of all columns, unless it began or ended meanwhile. */
	return (!f->whole || (f->edit && t->ncounters > 0)) && (!f->local_whole || (!f->local_reborn && t->ncounters > 0));
}

void
merged_free(struct merged *m)
{
	if (m != NULL)
		versions_free(&m->won);
	free(m);
}

/* --- one record --- */

/* The versions of the record's columns in the local changes that the sender had not seen. */
static bool
read_ours(struct chunk *c, const struct item *item, struct versions *out, struct err *e)
{
	struct look *l = &c->pass->look;
	const struct mark *seen;
	size_t from, n;

	if (!judge_seen(c, item, &seen, e))
		return false;
	look_find(l, item->hash, &from, &n);
	for (size_t i = from; i < from + n; i++)
		if (!mark_contains(seen, l->changes[i].id) && !versions_raise_all(out, &l->changes[i].versions, e))
			return false;
	return true;
}

static void
note_conflict(struct merged *m, const struct merge_facts *f, bool take)
{
	const char *stayed = take ? "apply" : "keep";

	if (m->verdict == NULL || versions_compare(f->ours, &m->local_version) > 0)
		m->local_version = *f->ours;
	if (m->verdict == NULL || versions_compare(f->theirs, &m->remote_version) > 0)
		m->remote_version = *f->theirs;
	m->verdict = m->verdict == NULL || strcmp(m->verdict, stayed) == 0 ? stayed : "merge";
}

/* The counter's place among those of the table. */
static size_t
counter_place(const struct table *t, size_t column)
{
	size_t place = 0;

	for (size_t i = 0; i < column; i++)
		place += t->columns[i].counts;
	return place;
}

/* A whole record's counter: its value, and what was counted here unseen by its sender. */
static bool
add_own(struct chunk *c, const struct item *item, size_t i, struct line_value *rows[3], struct err *e)
{
	struct look *l = &c->pass->look;
	size_t place = counter_place(c->target.table, c->target.map[i]), from, n;
	struct line_value value = item->values[i], *kept = &value;
	const struct mark *seen;
	struct buf sum;
	bool ok = judge_seen(c, item, &seen, e);

	buf_init(&sum, DECIMAL_DIGITS * 2);
	look_find(l, item->hash, &from, &n);
	for (size_t k = from; ok && value.data != NULL && k < from + n; k++) {
		const char *number = l->changes[k].difference;

		if (mark_contains(seen, l->changes[k].id) || number == NULL)
			continue;
		for (size_t skip = place; skip > 0 && *number != '\0'; skip--)
			number += strcspn(number, ",") + (number[strcspn(number, ",")] == ',');
		buf_reset(&sum);
		ok = decimal_add(&sum, value.data, value.len, number, strcspn(number, ",")) || err_set(e, ERR_INPUT, "table %s: a counter that is no number", c->target.table->name);
		value = (struct line_value){ sum.data, sum.len };
		kept = ok ? chunk_copy(c, &value, 1, e) : NULL;
		ok = kept != NULL;
		if (ok)
			value = *kept;
	}
	buf_free(&sum);
	for (size_t k = 0; ok && k < 3; k++)
		rows[k][i] = value;
	return ok;
}

/* Counters: what was added there is added to what they hold here. rows as in merge_row. */
static bool
add_counters(struct chunk *c, const struct item *item, struct line_value *rows[3], struct err *e)
{
	const struct target *to = &c->target;
	struct buf sum;
	bool ok = true;

	buf_init(&sum, DECIMAL_DIGITS * 2);
	for (size_t i = 0; ok && i < to->table->ncolumns; i++) {
		const struct line_value *here = &item->local[i];
		const char *number = NULL;
		size_t len = to->table->columns[to->map[i]].counts && here->data != NULL ? columns_find_difference(item->meta.difference, i, &number) : 0;
		struct line_value added, *kept;

		if (item->merged->counted_there && to->table->columns[to->map[i]].counts) {
			ok = add_own(c, item, i, rows, e);
			continue;
		}

		if (len == 0)
			continue;
		buf_reset(&sum);
		ok = decimal_add(&sum, here->data, here->len, number, len) || err_set(e, ERR_INPUT, "table %s: a counter that is no number", to->table->name);
		added = (struct line_value){ sum.data, sum.len };
		kept = ok ? chunk_copy(c, &added, 1, e) : NULL;
		ok = kept != NULL;
		for (size_t k = 0; ok && k < 3; k++)
			rows[k][i] = *kept;
	}
	buf_free(&sum);
	return ok;
}

/* Column by column: the row that is written, and for people the same with each side's values. rows: three of the
 * table's width. */
static void
merge_row(const struct chunk *c, const struct item *item, const struct versions *theirs, const struct versions *ours, struct merged *m, struct line_value *rows[3])
{
	const struct target *to = &c->target;

	for (size_t i = 0; i < to->table->ncolumns; i++) {
		size_t column = to->map[i];
		struct merge_facts f = {
			.theirs = versions_of(theirs, column),
			.ours = versions_of(ours, column),
			.same = judge_same_value(to, i, &item->values[i], &item->local[i]),
			.stamped = to->table->columns[column].stamped,
		};
		struct merge_verdict v = merge_judge(&f);

		for (size_t k = 0; k < 3; k++)
			rows[k][i] = v.take ? item->values[i] : item->local[i];
		if (v.take && f.ours != NULL)
			mask_set(&m->lost, column);
		if (!v.take && f.theirs != NULL)
			mask_set(&m->kept, column);
		if (!v.conflict)
			continue;
		rows[1][i] = item->local[i];
		rows[2][i] = item->values[i];
		note_conflict(m, &f, v.take);
	}
}

static bool
copy_rows(struct chunk *c, struct item *item, struct line_value *rows[3], bool *same, struct err *e)
{
	size_t n = c->target.table->ncolumns;

	*same = true;
	for (size_t i = 0; i < n; i++)
		*same = *same && judge_same_value(&c->target, i, &rows[0][i], &item->local[i]);
	item->merged->local = chunk_copy(c, rows[1], n, e);
	item->merged->remote = item->merged->local == NULL ? NULL : chunk_copy(c, rows[2], n, e);
	if (item->merged->remote == NULL)
		return false;
	item->values = chunk_copy(c, rows[0], n, e);
	return item->values != NULL;
}

/* With both sides' versions at hand. */
static bool
merge_versions(struct chunk *c, struct item *item, const struct versions *ours, bool *same, struct err *e)
{
	size_t n = c->target.table->ncolumns;
	struct line_value *all = calloc(3 * n + 1, sizeof *all), *rows[3];
	struct merged *m = item->merged;
	bool ok;

	if (all == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	for (size_t i = 0; i < 3; i++)
		rows[i] = all + i * n;
	merge_row(c, item, &m->won, ours, m, rows);
	versions_drop(&m->won, &m->kept);
	ok = add_counters(c, item, rows, e) && copy_rows(c, item, rows, same, e);
	free(all);
	return ok;
}

bool
merge_item(struct chunk *c, struct item *item, const struct facts *f, bool *same, struct err *e)
{
	struct versions ours = { 0 };
	bool ok;

	item->merged = calloc(1, sizeof *item->merged);
	if (item->merged == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	item->merged->counted_there = f->whole && (!f->local_whole || version_compare(f->changed_at, f->node, f->local_changed_at, f->local_node) > 0);
	ok = columns_read(&c->target, &item->meta, f->node, &item->merged->won, e) && read_ours(c, item, &ours, e) && merge_versions(c, item, &ours, same, e);
	versions_free(&ours);
	item->decision = (struct decision){ .verdict = VERDICT_APPLY, .conflict = ok && item->merged->verdict != NULL };
	return ok;
}

/* --- what follows --- */

/* A local change without the columns that it has lost. */
static bool
shrink(struct chunk *c, const struct local_change *lc, const struct mask *lost, struct err *e)
{
	const struct table *t = c->target.table;
	struct versions left = { 0 };
	struct columns_texts texts;
	struct relay told = { 0 };
	bool ok;

	columns_texts_init(&texts);
	ok = versions_raise_all(&left, &lc->versions, e);
	versions_drop(&left, lost);
	ok = ok && columns_tell(&told, t, &left, NULL, &texts, e) &&
	    db_exec(c->pass->db, "UPDATE sync_queue SET changed_columns=?, versions=?, status=IF(? AND difference IS NULL AND NOT whole, 'superseded', status) WHERE id=?",
		DB_ARGS(db_bytes(told.columns, told.columns_len), db_text(told.versions), db_u64(left.n == 0), db_u64(lc->id)), e);
	versions_free(&left);
	columns_texts_free(&texts);
	return ok;
}

static bool
has_lost(const struct local_change *lc, const struct mask *lost)
{
	struct mask columns;

	versions_columns(&lc->versions, &columns);
	for (size_t i = 0; i < MASK_BYTES; i++)
		if ((columns.bits[i] & lost->bits[i]) != 0)
			return true;
	return false;
}

bool
merge_supersede(struct chunk *c, const struct item *item, struct err *e)
{
	struct look *l = &c->pass->look;
	const struct mark *seen;
	size_t from, n;

	if (mask_is_empty(&item->merged->lost))
		return true;
	if (!judge_seen(c, item, &seen, e))
		return false;
	look_find(l, item->hash, &from, &n);
	for (size_t i = from; i < from + n; i++) {
		struct local_change *lc = &l->changes[i];

		if (mark_contains(seen, lc->id) || !has_lost(lc, &item->merged->lost))
			continue;
		if (!shrink(c, lc, &item->merged->lost, e))
			return false;
	}
	return true;
}

bool
merge_relay(struct chunk *c, const struct item *item, struct relay *r, struct err *e)
{
	const struct column_version *greatest = versions_greatest(&item->merged->won);
	struct columns_texts texts;
	bool ok;

	if (!c->pass->relay)
		return true;
	columns_texts_init(&texts);
	if (item->meta.whole) {
		ok = columns_tell_whole(r, &c->target, &item->meta, &texts, e) && pass_relay(c->pass, r, e);
		columns_texts_free(&texts);
		return ok;
	}
	ok = columns_difference(&c->target, &item->meta, &texts.difference, e) &&
	    columns_tell(r, c->target.table, &item->merged->won, buf_cstr(&texts.difference), &texts, e);
	if (ok && (greatest != NULL || r->difference != NULL)) {
		if (greatest != NULL) {
			r->changed_at = greatest->changed_at;
			r->node = greatest->node;
		}
		ok = pass_relay(c->pass, r, e);
	}
	columns_texts_free(&texts);
	return ok;
}
