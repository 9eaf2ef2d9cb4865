/* Looking for concurrent local changes. Lives here: the in-memory index of them. Not here: what
 * they mean for a record (apply/judge). */
#include "apply/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
look_init(struct look *l, const struct catalog *catalog, const char *self, const char *peer)
{
	memset(l, 0, sizeof *l);
	l->catalog = catalog;
	l->self = self;
	l->peer = peer;
}

void
look_free(struct look *l)
{
	mark_free(&l->looked);
	free(l->hashes);
	for (size_t i = 0; i < l->n; i++) {
		versions_free(&l->changes[i].versions);
		free(l->changes[i].difference);
	}
	free(l->changes);
	free(l->parted);
	for (size_t i = 0; i < l->nmoved; i++)
		free(l->moved[i].key);
	free(l->moved);
	free(l->also);
	for (size_t i = 0; i < l->nremoved; i++)
		free(l->removed[i]);
	free(l->removed);
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
look_names(const struct look *l, uint64_t hash)
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
note_removed(struct look *l, const struct change *c, struct err *e)
{
	char **grown, *name;

	if (l->seen == NULL || c->operation != OP_DELETE || mark_contains(l->seen, c->id))
		return true;
	for (size_t i = l->nremoved; i-- > 0;)
		if (strcmp(l->removed[i], c->table) == 0)
			return true;
	name = strdup(c->table);
	grown = realloc(l->removed, (l->nremoved + 1) * sizeof *grown);
	if (grown != NULL)
		l->removed = grown;
	if (name == NULL || grown == NULL) {
		free(name);
		return err_set(e, ERR_MEMORY, "out of memory for concurrent changes");
	}
	l->removed[l->nremoved++] = name;
	return true;
}

/* --- changes of keys --- */

static bool
grow_parted(struct look *l, struct err *e)
{
	size_t cap = l->parted_cap == 0 ? 64 : l->parted_cap * 2;
	struct parted *grown;

	if (l->nparted < l->parted_cap)
		return true;
	grown = realloc(l->parted, cap * sizeof *grown);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for concurrent changes");
	l->parted = grown;
	l->parted_cap = cap;
	return true;
}

/* Ids come nearly in order, so the place is nearly always the end. */
static bool
note_parted(struct look *l, uint64_t id, uint64_t hash, struct err *e)
{
	size_t at = l->nparted;

	if (!grow_parted(l, e))
		return false;
	while (at > 0 && l->parted[at - 1].id > id)
		at--;
	memmove(&l->parted[at + 1], &l->parted[at], (l->nparted - at) * sizeof *l->parted);
	l->parted[at] = (struct parted){ id, hash };
	l->nparted++;
	return true;
}

static int
by_id(const void *a, const void *b)
{
	const struct parted *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static bool
grow_moved(struct look *l, struct err *e)
{
	size_t cap = l->moved_cap == 0 ? 16 : l->moved_cap * 2;
	struct moved *moved;
	uint64_t *also;

	if (l->nmoved < l->moved_cap)
		return true;
	moved = realloc(l->moved, cap * sizeof *moved);
	if (moved != NULL)
		l->moved = moved;
	also = realloc(l->also, cap * sizeof *also);
	if (also != NULL)
		l->also = also;
	if (moved == NULL || also == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for concurrent changes");
	l->moved_cap = cap;
	return true;
}

/* An insert whose link names the delete of a record that is looked for: the record's new key is looked for too. */
static bool
note_moved(struct look *l, const struct change *c, uint64_t hash, struct err *e)
{
	struct parted wanted = { .id = c->link };
	const struct parted *from = l->nparted == 0 ? NULL : bsearch(&wanted, l->parted, l->nparted, sizeof wanted, by_id);
	struct moved to;
	size_t at = l->nmoved;

	if (c->link == 0 || from == NULL)
		return true;
	to = (struct moved){ .from = from->hash, .id = c->id, .hash = hash, .key = malloc(c->key_len + 1), .key_len = c->key_len };
	if (to.key == NULL || !grow_moved(l, e)) {
		free(to.key);
		return err_set(e, ERR_MEMORY, "out of memory for concurrent changes");
	}
	memcpy(to.key, c->key, c->key_len);
	to.key[c->key_len] = '\0';
	while (at > 0 && (l->moved[at - 1].from > to.from || (l->moved[at - 1].from == to.from && l->moved[at - 1].id > to.id)))
		at--;
	memmove(&l->moved[at + 1], &l->moved[at], (l->nmoved - at) * sizeof *l->moved);
	l->moved[at] = to;
	for (at = l->nmoved; at > 0 && l->also[at - 1] > hash; at--)
		l->also[at] = l->also[at - 1];
	l->also[at] = hash;
	l->nmoved++;
	return true;
}

const struct moved *
look_moved(const struct look *l, uint64_t hash)
{
	size_t low = 0, high = l->nmoved;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->moved[mid].from <= hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 && l->moved[low - 1].from == hash ? &l->moved[low - 1] : NULL;
}

static bool
is_expected(const struct look *l, uint64_t hash)
{
	return (l->nhashes > 0 && bsearch(&hash, l->hashes, l->nhashes, sizeof hash, by_value) != NULL) ||
	    (l->nmoved > 0 && bsearch(&hash, l->also, l->nmoved, sizeof hash, by_value) != NULL);
}

/* --- taking changes in --- */

/* What an update says of single columns. */
static bool
take_columns(const struct look *l, const struct change *c, struct local_change *to, struct err *e)
{
	const struct table *t = l->catalog == NULL ? NULL : catalog_table(l->catalog, c->table);
	struct mask told;

	memset(&to->versions, 0, sizeof to->versions);
	to->weak = t != NULL && !to->whole && mask_read(t, c->columns, c->columns_len, &told) == MASK_WEAK;
	to->difference = NULL;
	if (t == NULL || !mask_is_wanted(t) || to->reborn || (to->whole && t->ncounters == 0))
		return true;
	if (c->difference != NULL && (to->difference = strdup(c->difference)) == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for concurrent changes");
	return versions_of_change(&to->versions, t, c, l->self, e);
}

bool
look_take(struct look *l, const struct change *c, struct err *e)
{
	struct local_change *to;
	uint64_t hash;

	if (c->key == NULL || (c->via != NULL && strcmp(c->via, l->peer) == 0))
		return true;
	hash = record_hash(c->table, c->key, c->key_len);
	if (!note_removed(l, c, e) || !note_moved(l, c, hash, e))
		return false;
	if (!is_expected(l, hash))
		return true;
	if (!grow_changes(l, e) || (c->operation == OP_DELETE && !note_parted(l, c->id, hash, e)))
		return false;
	to = &l->changes[l->n++];
	to->hash = hash;
	to->id = c->id;
	to->operation = c->operation == OP_INSERT && c->link != 0 ? OP_UPDATE : c->operation;
	to->whole = c->whole || c->operation != OP_UPDATE;
	to->decided = c->whole;
	to->reborn = c->operation != OP_UPDATE;
	to->link = c->link;
	to->arrived = c->operation == OP_INSERT && c->link != 0 && !c->whole;
	(void)snprintf(to->changed_at, sizeof to->changed_at, "%s", c->changed_at);
	(void)snprintf(to->node, sizeof to->node, "%s", c->origin == NULL ? l->self : c->origin);
	l->sorted = false;
	return take_columns(l, c, to, e);
}

static bool
take_local(const struct change *c, void *arg, bool *stop, struct err *e)
{
	(void)stop;
	return look_take(arg, c, e);
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
