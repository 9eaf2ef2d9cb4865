/* A sorted array: filled whole, then asked. */
#include "files/places.h"

#include <stdlib.h>
#include <string.h>

enum {
	FIRST = 64
};

static int
compare(const struct what *a, const struct what *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->bytes, b->bytes, a->len);
}

static int
by_content(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = compare(&x->row.s.listed, &y->row.s.listed);

	return order != 0 ? order : strcmp(x->path, y->path);
}

static bool
grow(struct places *p, struct err *e)
{
	size_t cap = p->cap == 0 ? FIRST : p->cap * 2;
	struct place *list;

	if (p->n < p->cap)
		return true;
	list = realloc(p->list, cap * sizeof *list);
	if (list == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree's paths");
	p->list = list;
	p->cap = cap;
	return true;
}

bool
places_add(void *arg, const struct listing_row *row, struct err *e)
{
	struct places *p = arg;
	struct place *one;

	if (!grow(p, e))
		return false;
	one = &p->list[p->n];
	*one = (struct place){ .row = *row, .path = strndup(row->path, row->len) };
	if (one->path == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree's paths");
	one->row.path = one->path;
	one->row.link = one->row.link_here = one->row.node = NULL;
	p->n++;
	p->sorted = false;
	return true;
}

static struct place *
free_from(struct places *p, size_t i, const struct what *c)
{
	for (; i < p->n && what_same(&p->list[i].row.s.listed, c); i++)
		if (!p->list[i].taken)
			return &p->list[i];
	return NULL;
}

struct place *
places_find(struct places *p, const struct what *c)
{
	size_t low = 0, high = p->n;

	if (!p->sorted && p->n > 1)
		qsort(p->list, p->n, sizeof *p->list, by_content);
	p->sorted = true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&p->list[middle].row.s.listed, c) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return free_from(p, low, c);
}

struct place *
places_next(struct places *p, const struct place *one)
{
	return free_from(p, (size_t)(one - p->list) + 1, &one->row.s.listed);
}

void
places_clear(struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->list[i].path);
	free(p->list);
	*p = (struct places){ .list = NULL };
}
