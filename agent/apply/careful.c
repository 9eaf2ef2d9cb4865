/* The careful way's rounds. Lives here: reading the group as often as it brings something, excusing
 * the children of what waits. Not here: one round (apply/round), writing (apply/span), records that
 * can only go together (apply/knot). */
#include "apply/careful.h"

#include <stdlib.h>

#include "apply/family.h"
#include "apply/knot.h"
#include "apply/namesake.h"
#include "apply/round.h"
#include "apply/span.h"
#include "apply/undecided.h"
#include "change/renewal.h"

struct careful {
	struct chunk *chunk;
	struct pass *pass;
	struct pass_reader *reader;
	size_t *todo; /* numbers of the records of this round; NULL = all */
	size_t ntodo;
	struct refused_list deferred; /* failed in this round; tried again after the others */
};

/* --- rounds --- */

static bool
write_chunk(struct chunk *c, void *arg, struct err *e)
{
	struct careful *all = arg;

	return span_write(c, &all->deferred, e);
}

static bool
one_round(struct careful *c, struct err *e)
{
	struct round d = {
		.chunk = c->chunk,
		.reader = c->reader,
		.visit = write_chunk,
		.arg = c,
		.todo = c->todo,
		.ntodo = c->ntodo,
	};

	return round_run(&d, e);
}

static int
by_number(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

/* The next round takes what was put aside in this one. */
static bool
next_todo(struct careful *c, struct err *e)
{
	size_t *todo = calloc(c->deferred.n + 1, sizeof *todo);

	if (todo == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for refusals");
	for (size_t i = 0; i < c->deferred.n; i++)
		todo[i] = c->deferred.items[i].number;
	qsort(todo, c->deferred.n, sizeof *todo, by_number);
	free(c->todo);
	c->todo = todo;
	c->ntodo = c->deferred.n;
	refused_free(&c->deferred);
	return true;
}

/* --- excuses --- */

static bool
parent_is_open(const struct careful *c, const struct refused *r)
{
	const struct table *t = catalog_table(c->pass->catalog, r->table);

	for (size_t i = 0; t != NULL && i < t->nparents; i++)
		if (c->pass->open_tables[t->parents[i]])
			return true;
	return t != NULL && t->self_reference && c->pass->open_tables[t - c->pass->catalog->tables];
}

static bool
open_table(const char *table, void *arg, struct err *e)
{
	return pass_open_table(arg, table, e);
}

/* Rows that were deleted here, or got another key, unseen by the sender or not taken by it: when it takes that in, it
 * brings the parent back (apply/family) or lets its child follow. */
static bool
open_removed(struct careful *c, struct err *e)
{
	const struct look *l = &c->pass->look;

	for (size_t i = 0; i < l->nremoved; i++)
		if (!pass_open_table(c->pass, l->removed[i], e))
			return false;
	return c->pass->ndisputes == 0 || owed_visit_removed(c->pass->db, c->pass->peer, open_table, c->pass, e);
}

/* Tables whose records wait or are at fault themselves. */
static bool
open_tables(struct careful *c, struct err *e)
{
	const struct refused_list *refused = &c->pass->refused, *deferred = &c->deferred;

	for (size_t i = 0; i < refused->n; i++)
		if (!pass_open_table(c->pass, refused->items[i].table, e))
			return false;
	for (size_t i = 0; i < deferred->n; i++)
		if (deferred->items[i].db_errno != REFUSED_NO_PARENT &&
		    !pass_open_table(c->pass, deferred->items[i].table, e))
			return false;
	return true;
}

/* A record whose parent itself waits or was refused is not at fault: it waits, without attempts.
 * The server names the constraint and not the row, so any open record of a parent table counts. */
static bool
excuse_children(struct careful *c, struct err *e)
{
	bool moved = true;

	if (!open_tables(c, e) || !open_removed(c, e))
		return false;
	for (size_t i = 0; i < c->deferred.n; i++)
		if (c->deferred.items[i].after_children)
			c->deferred.items[i].kind = REFUSED_WAITING;
	while (moved && c->pass->open_tables != NULL) {
		moved = false;
		for (size_t i = 0; i < c->deferred.n; i++) {
			struct refused *r = &c->deferred.items[i];

			if (r->db_errno != REFUSED_NO_PARENT || r->kind != REFUSED ||
			    !parent_is_open(c, r))
				continue;
			r->kind = REFUSED_WAITING;
			moved = true;
			if (!pass_open_table(c->pass, r->table, e))
				return false;
		}
	}
	return true;
}

/* The records of which a person is asked, in the group's order. */
struct rivals {
	size_t *asked, n;
};

static bool
visit_rivals(struct chunk *c, void *arg, struct err *e)
{
	struct rivals *to = arg;

	for (size_t i = 0; i < c->n; i++) {
		bool asked = false;

		if (c->items[i].decision.verdict != VERDICT_APPLY || c->items[i].meta.operation == 'd')
			continue;
		if (!undecided_keep_rival(c, &c->items[i], &asked, e))
			return false;
		if (asked)
			to->asked[to->n++] = c->items[i].number;
	}
	return true;
}

/* Records refused in the end for a unique value: each side keeps its own until a person decides. In a group that
 * was cut the rest may bring what is missing. */
static bool
keep_rivals(struct careful *c, struct err *e)
{
	struct rivals rivals = { .asked = calloc(c->deferred.n + 1, sizeof *rivals.asked) };
	struct round d = { .chunk = c->chunk, .reader = c->reader, .visit = visit_rivals, .arg = &rivals };
	size_t *todo = calloc(c->deferred.n + 1, sizeof *todo), n = 0;
	bool ok = todo != NULL && rivals.asked != NULL;

	if (!ok)
		(void)err_set(e, ERR_MEMORY, "out of memory for refusals");
	for (size_t i = 0; ok && c->pass->header.last && i < c->deferred.n; i++)
		if (c->deferred.items[i].db_errno == REFUSED_DUPLICATE)
			todo[n++] = c->deferred.items[i].number;
	if (n > 1)
		qsort(todo, n, sizeof *todo, by_number);
	d.todo = todo;
	d.ntodo = n;
	ok = ok && (n == 0 || round_run(&d, e));
	for (size_t i = 0; rivals.n > 0 && i < c->deferred.n; i++) /* both versions are kept: a decision has seen this one */
		if (bsearch(&c->deferred.items[i].number, rivals.asked, rivals.n, sizeof *rivals.asked, by_number) != NULL)
			c->deferred.items[i].kind = REFUSED_UNDECIDED;
	free(rivals.asked);
	free(todo);
	return ok;
}

/* Rounds as long as they bring something: a record whose parent came later in the group, or whose
 * unique value was set free later, goes in the second one. Then what can only go together. */
static bool
all_rounds(struct careful *c, struct err *e)
{
	size_t before = SIZE_MAX;

	if (!one_round(c, e))
		return false;
	while (c->deferred.n > 0 && c->deferred.n < before) {
		before = c->deferred.n;
		if (!next_todo(c, e) || !one_round(c, e))
			return false;
		if (c->deferred.n == before && !knot_untie(c->chunk, c->reader, &c->deferred, e))
			return false;
	}
	if (!keep_rivals(c, e) || !excuse_children(c, e))
		return false;
	for (size_t i = 0; i < c->deferred.n; i++)
		if (!refused_add(&c->pass->refused, &c->deferred.items[i], e))
			return false;
	return pass_relay_flush(c->pass, e);
}

static bool
expect(struct pass *p, const struct pass_reader *r, struct err *e)
{
	uint64_t hash = record_hash(r->section.table, r->meta.key, r->meta.key_len);

	if (!family_expect(p->family, r->table, hash, r->meta.operation))
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	return look_expect(&p->look, hash, e) &&
	    (r->meta.old_key == NULL || look_expect(&p->look, record_hash(r->section.table, r->meta.old_key, r->meta.old_key_len), e));
}

static void
lower(const struct pass *p, const char *table, const char *key, size_t len, uint64_t *oldest)
{
	uint64_t left;

	if (p->nleft > 0 && key != NULL && pass_left(p, record_hash(table, key, len), &left) && left < *oldest)
		*oldest = left;
}

/* Name every record to the look and find the oldest epoch that counts as seen for one of them. */
static bool
survey(struct pass *p, struct pass_reader *r, uint64_t *oldest, struct err *e)
{
	enum pass_line what = PASS_END;

	*oldest = p->seen.epoch;
	if (!pass_begin(p, r, e))
		return false;
	do {
		if (!pass_next(p, r, &what, e))
			return false;
		if (what != PASS_RECORD || r->meta.operation == 'o')
			continue;
		if (r->meta.has_seen && r->meta.seen < *oldest)
			*oldest = r->meta.seen;
		lower(p, r->section.table, r->meta.key, r->meta.key_len, oldest);
		lower(p, r->section.table, r->meta.old_key, r->meta.old_key_len, oldest);
		if (!expect(p, r, e))
			return false;
	} while (what != PASS_END);
	family_ready(p->family);
	return true;
}

bool
careful_survey(struct pass *p, struct pass_reader *r, struct err *e)
{
	struct mark seen = { 0 };
	struct renewal link;
	uint64_t oldest = 0;
	bool found = false;

	if (!renewal_load(p->db, p->peer, &link, e))
		return false;
	p->anew = link.id[0] != '\0';
	if (!namesake_look(p, e) || !undecided_look(p, e) || !survey(p, r, &oldest, e) || !queue_load_mark(p->db, oldest, &seen, &found, e))
		return false;
	if (!found)
		return err_set(e, ERR_PEER_REFUSED, "a record's seen epoch is not kept any more");
	look_begin(&p->look, &seen);
	p->look.seen = &p->seen;
	return true;
}

bool
careful_apply(struct pass *p, struct pass_reader *r, struct err *e)
{
	struct careful c = { .pass = p, .reader = r };
	bool ok;

	c.chunk = chunk_new(p, e);
	p->family = family_new(p, e);
	ok = c.chunk != NULL && p->family != NULL && careful_survey(p, r, e) && all_rounds(&c, e);
	chunk_free(c.chunk);
	family_free(p->family);
	p->family = NULL;
	refused_free(&c.deferred);
	free(c.todo);
	return ok;
}
