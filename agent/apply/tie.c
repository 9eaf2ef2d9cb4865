/* Ways from parents to children. Lives here: finding them in the catalog. Not here: rows (apply/kin). */
#include "apply/tie.h"

#include <stdlib.h>
#include <string.h>

const struct table *
tie_table(const struct catalog *c, const char *name)
{
	const struct table *t = catalog_table(c, name);

	return t == NULL || t->problem != NULL ? NULL : t;
}

static bool
add(struct tie_list *l, const struct tie *tie, struct err *e)
{
	struct tie *grown;

	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : l->cap * 2;
		grown = realloc(l->items, l->cap * sizeof *grown);
		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for the foreign keys");
		l->items = grown;
	}
	l->items[l->n++] = *tie;
	return true;
}

/* Put a step in front of the tie. */
static void
prepend(struct tie *tie, const struct foreign_key *k)
{
	memmove(&tie->steps[1], &tie->steps[0], tie->n * sizeof tie->steps[0]);
	tie->steps[0] = k;
	tie->n++;
}

/* Upward from the tie's first step, until a replicated parent is there. */
static bool
climb(const struct catalog *c, const struct tie *from, struct tie_list *out, struct err *e)
{
	const char *parent = from->steps[0]->parent;

	if (tie_table(c, parent) != NULL)
		return add(out, from, e);
	for (size_t i = 0; from->n < TIE_STEPS && i < c->nkeys; i++) {
		struct tie longer = *from;

		if (strcmp(c->keys[i].child, parent) != 0 || c->keys[i].on_delete != FK_CASCADE)
			continue;
		prepend(&longer, &c->keys[i]);
		if (!climb(c, &longer, out, e))
			return false;
	}
	return true;
}

bool
tie_find_all(const struct catalog *c, struct tie_list *out, struct err *e)
{
	out->n = 0;
	for (size_t i = 0; i < c->nkeys; i++) {
		struct tie tie = { .steps = { &c->keys[i] }, .n = 1, .child = tie_table(c, c->keys[i].child) };

		if (tie.child != NULL && !climb(c, &tie, out, e))
			return false;
	}
	return true;
}

void
tie_free(struct tie_list *l)
{
	free(l->items);
	memset(l, 0, sizeof *l);
}

bool
tie_is_of(const struct tie *tie, const struct table *parent)
{
	return strcmp(tie->steps[0]->parent, parent->name) == 0;
}

bool
tie_hangs(const struct tie_list *l, const struct table *child)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].child == child)
			return true;
	return false;
}

const struct foreign_key *
tie_key(const struct tie *tie)
{
	return tie->steps[tie->n - 1];
}
