/* What becomes of children when their parent is deleted. Lives here: the decision. Not here: finding the
 * children (apply/kin), deleting them (apply/cascade), the verdict about a record by itself (apply/conflict).
 *
 * A child that was changed here and not seen by the sender wins: the parent stays and is queued whole, for
 * every peer. A child that the group itself changes comes first: the parent waits for the next round. Any
 * other child goes as the foreign key says, explicitly, so that its last version is kept and every peer is
 * told. */
#include "apply/family.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/inbox.h"
#include "apply/judge.h"
#include "apply/lineage.h"

enum own_state { OWN_COMES, OWN_DONE, OWN_KEPT };

/* A record of the group whose table has parents. */
struct own {
	uint64_t hash;
	char operation;
	enum own_state state;
};

struct family {
	struct pass *pass;
	struct own *own; /* sorted by hash */
	size_t nown, own_cap;
	size_t *journal; /* own records in the order in which they were finished */
	size_t njournal, journal_cap;
	struct kin_list kin; /* of the chunk at hand */
	struct look look;    /* local changes of these */
	struct mark below;   /* the mark that one item's `children` names, the last that was asked for */
};

/* --- the group's own records --- */

struct family *
family_new(struct pass *p, struct err *e)
{
	struct family *f = calloc(1, sizeof *f);

	if (f == NULL)
		(void)err_set(e, ERR_MEMORY, "out of memory for a group");
	else
		f->pass = p;
	return f;
}

void
family_free(struct family *f)
{
	if (f == NULL)
		return;
	free(f->own);
	free(f->journal);
	kin_list_free(&f->kin);
	look_free(&f->look);
	mark_free(&f->below);
	free(f);
}

bool
family_expect(struct family *f, const struct table *t, uint64_t hash, char operation)
{
	struct own *grown;

	if (t == NULL || !tie_hangs(&f->pass->ties, t))
		return true;
	if (f->nown == f->own_cap) {
		f->own_cap = f->own_cap == 0 ? 256 : f->own_cap * 2;
		grown = realloc(f->own, f->own_cap * sizeof *grown);
		if (grown == NULL)
			return false;
		f->own = grown;
	}
	f->own[f->nown++] = (struct own){ .hash = hash, .operation = operation };
	return true;
}

static int
by_hash(const void *a, const void *b)
{
	const struct own *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

void
family_ready(struct family *f)
{
	if (f->nown > 1)
		qsort(f->own, f->nown, sizeof *f->own, by_hash);
}

static struct own *
find_own(const struct family *f, uint64_t hash)
{
	struct own wanted = { .hash = hash };

	return f->nown == 0 ? NULL : bsearch(&wanted, f->own, f->nown, sizeof wanted, by_hash);
}

bool
family_names(const struct family *f, uint64_t hash)
{
	return find_own(f, hash) != NULL;
}

bool
family_brings(const struct family *f, uint64_t hash)
{
	const struct own *own = find_own(f, hash);

	return own != NULL && own->operation != 'd';
}

struct kin_list *
family_kin(struct family *f)
{
	return &f->kin;
}

bool
family_done(struct family *f, const struct item *item, struct err *e)
{
	struct own *own = find_own(f, item->hash);
	size_t *grown;

	if (own == NULL)
		return true;
	if (f->njournal == f->journal_cap) {
		f->journal_cap = f->journal_cap == 0 ? 256 : f->journal_cap * 2;
		grown = realloc(f->journal, f->journal_cap * sizeof *grown);
		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a group");
		f->journal = grown;
	}
	f->journal[f->njournal++] = (size_t)(own - f->own);
	own->state = item->decision.verdict == VERDICT_KEEP && lineage_row(item) != NULL ? OWN_KEPT : OWN_DONE;
	return true;
}

size_t
family_mark(const struct family *f)
{
	return f->njournal;
}

void
family_rewind(struct family *f, size_t mark)
{
	while (f->njournal > mark)
		f->own[f->journal[--f->njournal]].state = OWN_COMES;
}

/* --- foreign keys --- */

bool
family_cascades(const struct pass *p, const struct table *t)
{
	for (size_t i = 0; i < p->ties.n; i++)
		if (tie_key(&p->ties.items[i])->on_delete != FK_RESTRICT && tie_is_of(&p->ties.items[i], t))
			return true;
	return false;
}

static bool
is_key_column(const struct table *t, const char *name)
{
	size_t at;

	return table_column(t, name, strlen(name), &at) && t->columns[at].in_key;
}

bool
family_follows(const struct pass *p, const struct table *t)
{
	for (size_t i = 0; i < p->ties.n; i++) {
		const struct foreign_key *k = p->ties.items[i].steps[0];

		if (k->on_update == FK_RESTRICT || p->ties.items[i].n > 1 || !tie_is_of(&p->ties.items[i], t))
			continue;
		for (size_t n = 0; n < k->ncolumns; n++)
			if (!is_key_column(t, k->referenced[n]))
				return true;
	}
	return false;
}

bool
family_alone(struct pass *p, const struct kin_parents *rows, bool *alone, uint64_t *here, struct err *e)
{
	bool any = false, ok = kin_lock_parents(p, rows, here, e);

	for (size_t i = 0; ok && !any && *here > 0 && i < p->ties.n; i++)
		if (tie_key(&p->ties.items[i])->on_delete != FK_RESTRICT && tie_is_of(&p->ties.items[i], rows->table))
			ok = kin_any(p, &p->ties.items[i], rows, &any, e);
	*alone = !any;
	return ok;
}

/* --- the children of a chunk's deletes --- */

bool
family_is_removed(const struct item *item)
{
	return item->decision.verdict == VERDICT_APPLY && item->shape == (int)TARGET_DELETE;
}

struct removed {
	const struct item *items[CHUNK_RECORDS];
	size_t n;
};

static const char *
key_of_removed(size_t i, size_t *len, void *arg)
{
	const struct removed *r = arg;

	*len = r->items[i]->at_key != NULL ? r->items[i]->at_key_len : r->items[i]->meta.key_len;
	return r->items[i]->at_key != NULL ? r->items[i]->at_key : r->items[i]->meta.key;
}

/* Does anything hang on one of the rows that go? Nearly always nothing does. */
static bool
any_children(struct chunk *c, bool *any, struct err *e)
{
	const struct tie_list *ties = &c->pass->ties;
	const struct table *t = c->target.table;
	struct removed r = { .n = 0 };
	struct kin_parents of = { t, 0, key_of_removed, &r };

	*any = false;
	for (size_t i = 0; i < c->n; i++)
		if (family_is_removed(&c->items[i]))
			r.items[r.n++] = &c->items[i];
	of.n = r.n;
	for (size_t i = 0; r.n > 0 && !*any && i < ties->n; i++)
		if (tie_is_of(&ties->items[i], t) && !kin_any(c->pass, &ties->items[i], &of, any, e))
			return false;
	return true;
}

/* What the foreign key does to a child that the group says nothing about. */
static enum kin_fate
fate_of(const struct family *f, const struct kin *kin)
{
	const struct own *own = find_own(f, kin->hash);

	if (own != NULL && own->state == OWN_COMES && own->operation == 'd')
		return KIN_OWN;
	return kin->by->on_delete == FK_CASCADE ? KIN_DELETED : kin->by->on_delete == FK_SET_NULL ? KIN_NULLED : KIN_STAYS;
}

struct level {
	const struct kin_list *list;
	const size_t *indexes;
};

static const char *
key_of_level(size_t i, size_t *len, void *arg)
{
	const struct level *l = arg;

	*len = l->list->items[l->indexes[i]].key_len;
	return l->list->items[l->indexes[i]].key;
}

/* By an earlier record of the group, had it been applied. */
static bool
is_deleted_before(const struct family *f, const struct kin *kin)
{
	const struct own *own = find_own(f, kin->hash);

	return own != NULL && own->state == OWN_DONE && own->operation == 'd';
}

/* Append the children of the parents, all of one table. */
static bool
find_children(struct chunk *c, const struct item *item, const struct kin_parents *of, struct err *e)
{
	struct family *f = c->pass->family;
	const struct tie_list *ties = &c->pass->ties;
	size_t from = f->kin.n;

	for (size_t i = 0; i < ties->n; i++)
		if (tie_is_of(&ties->items[i], of->table) && !kin_find(c, &ties->items[i], of, &f->kin, item->kin_from, e))
			return false;
	for (size_t i = from; i < f->kin.n; i++) {
		struct kin *kin = &f->kin.items[i];

		kin->fate = fate_of(f, kin);
		if (kin->table == c->target.table && kin->hash == item->hash)
			kin->row = NULL; /* it points at itself */
		if (c->pass->rehearsal && is_deleted_before(f, kin))
			kin->row = NULL;
	}
	return true;
}

/* The children of those in [from, to) that go themselves. */
static bool
find_next_level(struct chunk *c, const struct item *item, size_t from, size_t to, struct err *e)
{
	struct family *f = c->pass->family;
	const struct catalog *catalog = c->pass->catalog;
	size_t *indexes = calloc(to - from + 1, sizeof *indexes);
	struct level level = { &f->kin, indexes };
	bool ok = indexes != NULL || err_set(e, ERR_MEMORY, "out of memory for the children of a record");

	for (size_t t = 0; ok && t < catalog->ntables; t++) {
		struct kin_parents of = { &catalog->tables[t], 0, key_of_level, &level };

		for (size_t i = from; ok && i < to; i++) {
			const struct kin *kin = &f->kin.items[i];
			bool goes = kin->row != NULL && (kin->fate == KIN_DELETED || kin->fate == KIN_OWN);

			if (goes && kin->table == of.table)
				indexes[of.n++] = i;
			if (of.n > 0 && (i + 1 == to || of.n == record_keys_at_once(of.table))) {
				ok = find_children(c, item, &of, e);
				of.n = 0;
			}
		}
	}
	free(indexes);
	return ok;
}

static bool
gather(struct chunk *c, struct item *item, struct err *e)
{
	struct family *f = c->pass->family;
	struct removed r = { { item }, 1 };
	struct kin_parents of = { c->target.table, 1, key_of_removed, &r };
	size_t done, end;

	item->kin_from = done = f->kin.n;
	if (!find_children(c, item, &of, e))
		return false;
	for (end = f->kin.n; done < end; done = end, end = f->kin.n)
		if (!find_next_level(c, item, done, end, e))
			return false;
	item->kin_n = f->kin.n - item->kin_from;
	return true;
}

/* --- which of them were changed here --- */

/* The mark that counts as seen for the item's children. */
static bool
seen_below(struct family *f, const struct item *item, const struct mark **out, struct err *e)
{
	bool found = true;

	*out = &f->pass->seen;
	if (!item->meta.has_children || item->meta.children == f->pass->seen.epoch)
		return true;
	*out = &f->below;
	if (f->below.epoch == item->meta.children)
		return true;
	mark_free(&f->below);
	if (!queue_load_mark(f->pass->db, item->meta.children, &f->below, &found, e))
		return false;
	return found || err_set(e, ERR_PEER_REFUSED, "a record's seen epoch is not kept any more");
}

/* After the children are locked: what the queue says of them. */
bool
family_look(struct chunk *c, struct err *e)
{
	struct family *f = c->pass->family;
	const struct mark *seen = &f->pass->seen;
	struct mark oldest = { 0 };
	bool found = true;

	look_free(&f->look);
	look_init(&f->look, f->pass->catalog, f->pass->conf->node.name, f->pass->peer);
	for (size_t i = 0; i < f->kin.n; i++)
		if (!look_expect(&f->look, f->kin.items[i].hash, e))
			return false;
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].kin_n > 0 && c->items[i].meta.has_children && c->items[i].meta.children < seen->epoch &&
		    !seen_below(f, &c->items[i], &seen, e))
			return false;
	if (!queue_load_mark(f->pass->db, seen->epoch, &oldest, &found, e))
		return false;
	if (!found)
		return err_set(e, ERR_PEER_REFUSED, "a record's seen epoch is not kept any more");
	look_begin(&f->look, &oldest);
	return look_refresh(&f->look, f->pass->db, e);
}

static bool
is_concurrent(struct family *f, const struct kin *kin, const struct mark *seen)
{
	const struct own *own = find_own(f, kin->hash);
	size_t from, n;

	if (own != NULL && own->state == OWN_KEPT)
		return true;
	look_find(&f->look, kin->hash, &from, &n);
	for (size_t i = from; i < from + n; i++)
		if (!mark_contains(seen, f->look.changes[i].id))
			return true;
	return false;
}

/* --- the decision --- */

/* The group says something about the child that has to come first. */
static bool
comes_first(const struct family *f, const struct kin *kin)
{
	const struct own *own = find_own(f, kin->hash);

	return own != NULL && own->state == OWN_COMES && (own->operation != 'd' || kin->concurrent) && !f->pass->tying;
}

/* The parent stays: a new version of this node, later than the delete whatever the clocks say. */
static bool
keep_parent(struct chunk *c, struct item *item, struct err *e)
{
	item->decision = (struct decision){ .verdict = VERDICT_KEEP, .conflict = true, .requeue = true, .supersede = true };
	item->rule = "child";
	item->shape = WRITE_NOTHING;
	(void)snprintf(item->local_node, sizeof item->local_node, "%s", c->pass->conf->node.name);
	return pass_now_after(c->pass, item->meta.changed_at, item->local_changed_at, e);
}

/* A child that wins whatever the group says next decides at once: what comes first may itself wait for this parent, in a
 * ring of rows that hang on each other. */
bool
family_weigh(struct chunk *c, struct item *item, bool *wins, struct err *e)
{
	struct family *f = c->pass->family;
	const struct table *first = NULL;
	const struct mark *seen;

	*wins = false;
	if (item->kin_n == 0)
		return true;
	if (!seen_below(f, item, &seen, e))
		return false;
	for (size_t i = item->kin_from; i < item->kin_from + item->kin_n; i++) {
		struct kin *kin = &f->kin.items[i];

		if (kin->row == NULL)
			continue;
		kin->concurrent = is_concurrent(f, kin, seen);
		if (comes_first(f, kin))
			first = kin->table;
		else
			*wins = *wins || kin->concurrent;
	}
	if (!*wins)
		item->waits_for = first;
	return true;
}

static bool
decide(struct chunk *c, struct item *item, struct err *e)
{
	bool wins;

	return family_weigh(c, item, &wins, e) && (!wins || keep_parent(c, item, e));
}

bool
family_judge(struct chunk *c, struct err *e)
{
	bool any;

	kin_list_reset(&c->pass->family->kin);
	if (!any_children(c, &any, e))
		return false;
	if (!any)
		return true;
	for (size_t i = 0; i < c->n; i++)
		if (family_is_removed(&c->items[i]) && !gather(c, &c->items[i], e))
			return false;
	if (!family_look(c, e))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (family_is_removed(&c->items[i]) && !decide(c, &c->items[i], e))
			return false;
	return true;
}
