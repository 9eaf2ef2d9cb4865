/* Looking for concurrent local changes. Lives here: the in-memory index of them. Not here: what
 * they mean for a record (apply/judge). */
#include "apply/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
look_init(struct look *l, const char *self, const char *peer)
{
	memset(l, 0, sizeof *l);
	l->self = self;
	l->peer = peer;
}

void
look_free(struct look *l)
{
	mark_free(&l->looked);
	free(l->hashes);
	free(l->changes);
	memset(l, 0, sizeof *l);
}

bool
look_expect(struct look *l, uint64_t hash, struct err *e)
{
	if (l->nhashes == l->hashes_cap) {
		size_t cap = l->hashes_cap == 0 ? 1024 : l->hashes_cap * 2;
		uint64_t *grown = realloc(l->hashes, cap * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a group's keys");
		l->hashes = grown;
		l->hashes_cap = cap;
	}
	l->hashes[l->nhashes++] = hash;
	return true;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void
look_begin(struct look *l, struct mark *seen)
{
	l->looked = *seen;
	memset(seen, 0, sizeof *seen);
	if (l->nhashes > 1)
		qsort(l->hashes, l->nhashes, sizeof *l->hashes, by_value);
}

bool
look_expects(const struct look *l, uint64_t hash)
{
	return l->nhashes > 0 && bsearch(&hash, l->hashes, l->nhashes, sizeof hash, by_value) != NULL;
}

static bool
grow_changes(struct look *l, struct err *e)
{
	size_t cap = l->cap == 0 ? 64 : l->cap * 2;
	struct local_change *grown;

	if (l->n < l->cap)
		return true;
	grown = realloc(l->changes, cap * sizeof *grown);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for concurrent changes");
	l->changes = grown;
	l->cap = cap;
	return true;
}

static bool
take_local(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct look *l = arg;
	struct local_change *to;
	uint64_t hash;

	(void)stop;
	if (c->key == NULL || (c->via != NULL && strcmp(c->via, l->peer) == 0))
		return true;
	hash = record_hash(c->table, c->key, c->key_len);
	if (!look_expects(l, hash))
		return true;
	if (!grow_changes(l, e))
		return false;
	to = &l->changes[l->n++];
	to->hash = hash;
	to->id = c->id;
	to->operation = c->operation;
	to->whole = c->whole || c->operation != OP_UPDATE;
	(void)snprintf(to->changed_at, sizeof to->changed_at, "%s", c->changed_at);
	(void)snprintf(to->node, sizeof to->node, "%s", c->origin == NULL ? l->self : c->origin);
	l->sorted = false;
	return true;
}

static bool
take_any(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct look *l = arg;

	(void)e;
	if (c->via == NULL || strcmp(c->via, l->peer) != 0)
		l->any = *stop = true;
	return true;
}

bool
look_any(struct look *l, struct db *db, const struct mark *seen, bool *any, struct err *e)
{
	struct mark m = *seen;
	bool ok;

	l->any = false;
	if (!id_set_copy(&seen->holes, &m.holes, e))
		return false;
	ok = queue_look(db, &m, take_any, l, e);
	id_set_free(&m.holes);
	*any = l->any;
	return ok;
}

bool
look_refresh(struct look *l, struct db *db, struct err *e)
{
	return queue_look(db, &l->looked, take_local, l, e);
}

static int
by_hash(const void *a, const void *b)
{
	const struct local_change *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

void
look_find(struct look *l, uint64_t hash, size_t *from, size_t *n)
{
	size_t low = 0, high = l->n;

	if (!l->sorted && l->n > 1)
		qsort(l->changes, l->n, sizeof *l->changes, by_hash);
	l->sorted = true;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->changes[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	*from = low;
	for (*n = 0; low + *n < l->n && l->changes[low + *n].hash == hash; ++*n)
		;
}
