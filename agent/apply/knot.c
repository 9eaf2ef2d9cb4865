/* Untying. Lives here: which records may belong to a knot, the try without foreign key checks and
 * the way back. Not here: proving that no row lost its parent (apply/orphan), single records
 * (apply/span). unique_checks stays on: with both off and an empty table, InnoDB's bulk mode would
 * take back rows of earlier statements. */
#include "apply/knot.h"

#include <errmsg.h>
#include <stdlib.h>
#include <string.h>

#include "apply/cascade.h"
#include "apply/orphan.h"
#include "apply/round.h"
#include "apply/span.h"

struct knot {
	struct chunk *chunk;
	struct pass *pass;
	struct pass_reader *reader;
	struct refused_list *refused; /* sorted by number; the tied ones take part */
	size_t *todo;		      /* their numbers */
	size_t ntodo;
	size_t at_fault; /* records left out because of this try */
	uint64_t *lost;	 /* the pass's counts before this try */
};

/* --- who takes part --- */

static int
by_number(const void *a, const void *b)
{
	const struct refused *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void
leave_out(struct knot *k, size_t number)
{
	struct refused wanted = { .number = number };
	struct refused *r =
	    bsearch(&wanted, k->refused->items, k->refused->n, sizeof wanted, by_number);

	if (r == NULL || !r->tied)
		return;
	r->tied = false;
	k->at_fault++;
}

static bool
may_be_tied(const struct refused *r)
{
	return r->kind == REFUSED &&
	    (r->db_errno == REFUSED_DUPLICATE || r->db_errno == REFUSED_HAS_CHILDREN ||
		r->db_errno == REFUSED_NO_PARENT);
}

/* Tables that have tied records, or whose foreign keys lead to or from such a table, and how many:
 * by the catalog's index. */
static void
count_neighbours(const struct knot *k, size_t *own, size_t *near)
{
	const struct catalog *catalog = k->pass->catalog;

	for (size_t i = 0; i < k->refused->n; i++) {
		const struct refused *r = &k->refused->items[i];

		if (r->tied)
			own[catalog_table(catalog, r->table) - catalog->tables]++;
	}
	for (size_t t = 0; t < catalog->ntables; t++) {
		const struct table *table = &catalog->tables[t];

		for (size_t i = 0; i < table->nparents; i++) {
			near[t] += own[table->parents[i]];
			near[table->parents[i]] += own[t];
		}
	}
}

/* One alone is no knot, unless it points at itself. */
static bool
leave_single_ones_out(struct knot *k, struct err *e)
{
	const struct catalog *catalog = k->pass->catalog;
	size_t *own = calloc(2 * catalog->ntables + 1, sizeof *own);
	size_t *near;

	if (own == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for refusals");
	near = own + catalog->ntables;
	count_neighbours(k, own, near);
	for (size_t i = 0; i < k->refused->n; i++) {
		struct refused *r = &k->refused->items[i];
		const struct table *t = catalog_table(catalog, r->table);

		if (!r->tied || own[t - catalog->tables] > 1 || near[t - catalog->tables] > 0)
			continue;
		r->tied = r->db_errno == REFUSED_HAS_CHILDREN && t->self_reference;
	}
	free(own);
	return true;
}

static bool
list_tied(struct knot *k, struct err *e)
{
	if (!leave_single_ones_out(k, e))
		return false;
	k->ntodo = 0;
	for (size_t i = 0; i < k->refused->n; i++)
		if (k->refused->items[i].tied)
			k->todo[k->ntodo++] = k->refused->items[i].number;
	return true;
}

/* --- removing and writing --- */

/* Whatever is not a plain yes stays out. */
static bool
all_plain(struct knot *k, const struct chunk *c)
{
	bool plain = true;

	for (size_t i = 0; i < c->n; i++) {
		const struct item *item = &c->items[i];

		if (item->decision.verdict == VERDICT_APPLY && item->concurrent == 0)
			continue;
		leave_out(k, item->number);
		plain = false;
	}
	return plain;
}

static bool
put_removals(struct chunk *c, struct err *e)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct item *item = &c->items[i];
		struct record_meta old = item->meta;

		if (item->shape == WRITE_NOTHING)
			continue;
		old.key = item->meta.old_key;
		old.key_len = item->meta.old_key_len;
		lost += item->shape == TARGET_DELETE; /* the writing round finds it gone */
		if (item->local != NULL &&
		    !(cascade_write(c, item, e) && target_put(&c->target, TARGET_DELETE, &item->meta, NULL, e)))
			return false;
		if (item->old_here && !target_put(&c->target, TARGET_DELETE, &old, NULL, e))
			return false;
	}
	return target_flush(&c->target, e) && pass_note_lost(c->pass, c->target.table, lost, e);
}

static bool
remove_chunk(struct chunk *c, void *arg, struct err *e)
{
	struct knot *k = arg;

	if (!all_plain(k, c) || put_removals(c, e))
		return true;
	target_forget(&c->target);
	for (size_t i = 0; i < c->n; i++) /* a trigger of the app says no to one of them */
		leave_out(k, c->items[i].number);
	return span_is_refusal(e);
}

static bool
write_chunk(struct chunk *c, void *arg, struct err *e)
{
	struct knot *k = arg;
	struct refused_list refused = { 0 };
	bool ok = !all_plain(k, c) || span_write(c, &refused, e);

	for (size_t i = 0; i < refused.n; i++)
		leave_out(k, refused.items[i].number);
	refused_free(&refused);
	return ok;
}

static bool
run_round(struct knot *k, round_visitor *visit, struct err *e)
{
	struct round d = {
		.chunk = k->chunk,
		.reader = k->reader,
		.visit = visit,
		.arg = k,
		.todo = k->todo,
		.ntodo = k->ntodo,
	};

	return k->at_fault > 0 || round_run(&d, e);
}

/* --- one try --- */

/* A session whose checks cannot be put back must not be used again. */
static bool
checks_on(struct db *db, struct err *e)
{
	if (db_is_lost(db) || db_exec(db, "SET foreign_key_checks=1", DB_NO_ARGS, e))
		return true;
	return db_fail(db, CR_SERVER_LOST, "foreign key checks could not be put back", e);
}

static bool
without_checks(struct knot *k, struct err *e)
{
	struct db *db = k->pass->db;
	bool ok;

	k->pass->tying = true;
	ok = db_exec(db, "SET foreign_key_checks=0", DB_NO_ARGS, e) &&
	    run_round(k, remove_chunk, e) && run_round(k, write_chunk, e);
	k->pass->tying = false;
	return checks_on(db, ok ? e : NULL) && ok;
}

/* True: done, or, when records were at fault, everything is as it was. */
static bool
try_once(struct knot *k, struct err *e)
{
	struct pass *p = k->pass;
	uint64_t applied = p->applied;
	uint64_t *lost = k->lost;
	size_t finished = family_mark(p->family);

	if (p->lost != NULL)
		memcpy(lost, p->lost, p->catalog->ntables * sizeof *lost);
	else
		memset(lost, 0, p->catalog->ntables * sizeof *lost);
	k->at_fault = 0;
	if (!pass_relay_flush(p, e) || !db_exec(p->db, "SAVEPOINT knot", DB_NO_ARGS, e) ||
	    !without_checks(k, e))
		return false;
	if (k->at_fault == 0 && !orphan_leave_out(p, k->refused, &k->at_fault, e))
		return false;
	if (k->at_fault == 0)
		return true;
	p->applied = applied;
	family_rewind(p->family, finished);
	if (p->lost != NULL)
		memcpy(p->lost, lost, p->catalog->ntables * sizeof *lost);
	if (p->relays != NULL)
		bulk_forget(p->relays);
	return db_exec(p->db, "ROLLBACK TO SAVEPOINT knot", DB_NO_ARGS, e);
}

/* --- the whole --- */

static bool
try_all(struct knot *k, struct err *e)
{
	for (int tries = 0; tries < KNOT_TRIES; tries++) {
		if (!list_tied(k, e))
			return false;
		if (k->ntodo == 0)
			return true;
		if (!try_once(k, e))
			return false;
		if (k->at_fault == 0) {
			refused_drop_tied(k->refused);
			return true;
		}
	}
	return true;
}

bool
knot_untie(struct chunk *c, struct pass_reader *r, struct refused_list *refused, struct err *e)
{
	struct knot k = { .chunk = c, .pass = c->pass, .reader = r, .refused = refused };
	bool ok;

	qsort(refused->items, refused->n, sizeof *refused->items, by_number);
	for (size_t i = 0; i < refused->n; i++)
		refused->items[i].tied = may_be_tied(&refused->items[i]);
	k.todo = calloc(refused->n + 1, sizeof *k.todo);
	k.lost = calloc(c->pass->catalog->ntables + 1, sizeof *k.lost);
	ok = k.todo != NULL && k.lost != NULL ? try_all(&k, e) : err_set(e, ERR_MEMORY, "out of memory for refusals");
	free(k.todo);
	free(k.lost);
	return ok;
}
