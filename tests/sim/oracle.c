/* What must hold at the end. Not here: getting there (world.c). */
#include "sim.h"

static bool
is_unsettled(const struct world *w, int at, int of, int table, int key)
{
	const struct side *side = &w->nodes[at].store.sides[of];

	for (size_t i = 0; i < side->nunsettled; i++)
		if (side->unsettled[i].table == table && side->unsettled[i].key == key)
			return true;
	return false;
}

/* Does the debt speak of the record, under its key or one that it had before? */
static bool
speaks_of(const struct world *w, int from, const struct debt *d, int table, int key)
{
	uint64_t link = d->link;

	if (d->table != table)
		return false;
	for (int hops = 0; d->key != key && link != 0 && hops < KEYS; hops++) {
		const struct queued *q = store_queued(&w->nodes[from].store, link);

		if (q != NULL && q->key == key)
			return true;
		link = q == NULL ? 0 : q->link;
	}
	return d->key == key;
}

/* One side owes it, the other one has refused it; or, of a record with another key there, the version that was to
 * replace it is refused in turn. */
static bool
is_named(struct world *w, int from, int to, int table, int key)
{
	struct side *side = &w->nodes[from].store.sides[to];

	for (size_t i = 0; i < side->nowed; i++)
		if (speaks_of(w, from, &side->owed[i], table, key) && (is_unsettled(w, to, from, table, side->owed[i].key) ||
			(store_debt(&w->nodes[to].store.sides[from], table, side->owed[i].key) != NULL && is_unsettled(w, from, to, table, side->owed[i].key))))
			return true;
	return false;
}

/* For who reads the trace. */
static void
list_debts(struct world *w, int a, int b)
{
	struct side *side = &w->nodes[a].store.sides[b];

	for (size_t i = 0; i < side->nowed; i++)
		note(w, "%s owes %s %s %d: %s, link %" PRIu64 ", %srefused there", w->nodes[a].name, w->nodes[b].name, table_names[side->owed[i].table], side->owed[i].key, side->owed[i].state,
		    side->owed[i].link, is_unsettled(w, b, a, side->owed[i].table, side->owed[i].key) ? "" : "not ");
}

/* A record that differs over a link is named as not in step on both ends. */
static void
check_link(struct world *w, int a, int b)
{
	for (int table = 0; table < TABLES; table++)
		for (int key = 1; key < KEYS; key++) {
			if (same_row(&w->nodes[a].store.rows[table][key], &w->nodes[b].store.rows[table][key]) || is_named(w, a, b, table, key) || is_named(w, b, a, table, key))
				continue;
			fail(w, "record %d of %s differs between %s and %s, and nobody says so", key, table_names[table], w->nodes[a].name, w->nodes[b].name);
			list_debts(w, a, b);
			list_debts(w, b, a);
		}
}

void
oracle_named(struct world *w)
{
	for (int a = 0; a < w->n; a++)
		for (int b = a + 1; b < w->n; b++)
			if (w->nodes[a].store.sides[b].linked)
				check_link(w, a, b);
}

bool
oracle_equal(const struct world *w)
{
	for (int i = 1; i < w->n; i++)
		for (int table = 0; table < TABLES; table++)
			for (int key = 1; key < KEYS; key++)
				if (!same_row(&w->nodes[0].store.rows[table][key], &w->nodes[i].store.rows[table][key]))
					return false;
	return true;
}

static bool
is_live(const struct world *w, uint32_t content)
{
	for (int table = 0; table < TABLES; table++)
		for (int key = 1; key < KEYS; key++)
			for (int i = 0; i < CELLS; i++)
				if (w->nodes[0].store.rows[table][key].here && w->nodes[0].store.rows[table][key].cells[i] == content)
					return true;
	return false;
}

static bool
is_kept(const struct world *w, uint32_t content)
{
	for (int i = 0; i < w->n; i++)
		if (w->nodes[i].store.kept[content])
			return true;
	return false;
}

/* Each sale once. Where a node was restored some are gone, and who mends it takes values. */
static void
check_counters(struct world *w)
{
	for (int key = 1; w->adds && !w->set_back && key <= COUNTED_KEYS; key++) {
		const struct row *row = &w->nodes[0].store.rows[TABLE_PLAIN][key];

		if (!row->here || row->stock != FIRST_STOCK + w->sold[key])
			fail(w, "the counter of record %d is %" PRId64 ", and should be %" PRId64, key, row->stock, FIRST_STOCK + w->sold[key]);
	}
}

void
oracle_final(struct world *w)
{
	if (!oracle_equal(w)) {
		fail(w, "the nodes differ at the end");
		for (int table = 0; table < TABLES; table++)
			for (int key = 1; key < KEYS; key++)
				for (int i = 0; i < w->n; i++) {
					const struct row *row = &w->nodes[i].store.rows[table][key];

					if (!same_row(row, &w->nodes[(i + 1) % w->n].store.rows[table][key]))
						note(w, "at the end %s has %s %d: %s %" PRIu32 " %" PRIu32 ", value %" PRIu32, w->nodes[i].name, table_names[table], key, row->here ? "here" : "absent",
						    row->cells[0], row->cells[1], row->value);
				}
		return;
	}
	for (uint32_t c = 1; c <= w->contents; c++)
		if (!w->replaced[c] && !w->gone[c] && !is_live(w, c) && !is_kept(w, c)) {
			fail(w, "content %" PRIu32 " was written and is nowhere: nobody replaced it knowingly, no conflict keeps it", c);
			w->lost++;
		}
	check_counters(w);
	for (int i = 0; i < w->n; i++)
		for (int k = 0; k < w->n; k++)
			if (w->nodes[i].store.sides[k].nowed > 0)
				fail(w, "%s still owes %s a record", w->nodes[i].name, w->nodes[k].name);
}
