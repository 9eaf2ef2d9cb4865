/* Collapsing the queue: a hash table of records over one arena. Lives here: which version a record
 * has in a group. Not here: its current state (change/record). */
#include "change/collapse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"

enum {
	SLOTS_FIRST = 1024,
	COLLAPSE_IDS_MAX = 16 * 1024 * 1024, /* a million changes of one record */
	COLLAPSE_DIFFERENCE_MAX = 1024 * 1024 /* 1,016 counters of DECIMAL_DIGITS */
};

uint64_t
record_hash(const char *table, const char *key, size_t key_len)
{
	uint64_t h = 14695981039346656037u;

	for (; *table != '\0'; table++)
		h = (h ^ (unsigned char)*table) * 1099511628211u;
	h = (h ^ 0xff) * 1099511628211u; /* no name contains this byte: "a","bc" is not "ab","c" */
	for (size_t i = 0; i < key_len; i++)
		h = (h ^ (unsigned char)key[i]) * 1099511628211u;
	/* FNV's low bits are weak for short keys: mix once. */
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ (h >> 29);
}

int
version_compare(const char *changed_at_a, const char *node_a, const char *changed_at_b, const char *node_b)
{
	int order = strcmp(changed_at_a, changed_at_b); /* fixed width: text order is time order */

	return order != 0 ? order : strcmp(node_a, node_b);
}

int
version_compare_for(const char *preferred, const char *changed_at_a, const char *node_a, const char *changed_at_b, const char *node_b)
{
	bool a = strcmp(node_a, preferred) == 0, b = strcmp(node_b, preferred) == 0;

	return a != b ? a - b : version_compare(changed_at_a, node_a, changed_at_b, node_b);
}

void
collapse_init(struct collapse *c, const char *self, const char *peer)
{
	memset(c, 0, sizeof *c);
	buf_init(&c->arena, COLLAPSE_ARENA_MAX);
	c->self = self;
	c->peer = peer;
}

static void
drop_owned(struct collapse *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->entries[i].versions != NULL)
			versions_free(c->entries[i].versions);
		free(c->entries[i].versions);
		if (c->entries[i].ids != NULL)
			buf_free(c->entries[i].ids);
		free(c->entries[i].ids);
		free(c->entries[i].difference);
	}
	c->n = 0;
}

void
collapse_free(struct collapse *c)
{
	drop_owned(c);
	free(c->entries);
	free(c->slots);
	free(c->tables);
	buf_free(&c->arena);
	memset(c, 0, sizeof *c);
}

void
collapse_reset(struct collapse *c)
{
	drop_owned(c);
	c->ntables = 0;
	c->nnodes = 0;
	buf_reset(&c->arena);
	if (c->slots != NULL)
		memset(c->slots, 0, c->nslots * sizeof *c->slots);
}

const char *
collapse_text(const struct collapse *c, size_t offset)
{
	return offset == 0 ? NULL : c->arena.data + offset;
}

size_t
collapse_keep(struct collapse *c, const char *text, size_t len)
{
	size_t at;

	if (c->arena.len == 0)
		buf_char(&c->arena, '\0'); /* offset 0 means none */
	at = c->arena.len;
	buf_put(&c->arena, text, len);
	buf_char(&c->arena, '\0');
	return at;
}

/* --- tables --- */

const char *
collapse_table_name(const struct collapse *c, size_t table)
{
	assert(table < c->ntables);
	return c->arena.data + c->tables[table];
}

size_t
collapse_table_index(const struct collapse *c, const char *table)
{
	/* The newest first: changes of one table come in runs, and there are few tables. */
	for (size_t i = c->ntables; i-- > 0;)
		if (strcmp(collapse_table_name(c, i), table) == 0)
			return i;
	return SIZE_MAX;
}

static bool
table_index(struct collapse *c, const char *table, size_t *out, struct err *e)
{
	*out = collapse_table_index(c, table);
	if (*out != SIZE_MAX)
		return true;
	if (c->ntables == c->tables_cap) {
		size_t cap = c->tables_cap == 0 ? 32 : c->tables_cap * 2;
		size_t *grown = realloc(c->tables, cap * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a group");
		c->tables = grown;
		c->tables_cap = cap;
	}
	c->tables[c->ntables] = collapse_keep(c, table, strlen(table));
	*out = c->ntables++;
	return buf_check(&c->arena, "a group's keys", e);
}

/* --- entries --- */

static size_t *
slot_of(const struct collapse *c, uint64_t hash, const char *table, const char *key, size_t key_len)
{
	size_t i = (size_t)hash & (c->nslots - 1);

	for (;; i = (i + 1) & (c->nslots - 1)) {
		const struct entry *entry;

		if (c->slots[i] == 0)
			return &c->slots[i];
		entry = &c->entries[c->slots[i] - 1];
		if (entry->hash == hash && entry->key_len == key_len && memcmp(c->arena.data + entry->key, key, key_len) == 0 &&
		    strcmp(collapse_table_name(c, entry->table), table) == 0)
			return &c->slots[i];
	}
}

static bool
grow_slots(struct collapse *c, struct err *e)
{
	size_t nslots = c->nslots == 0 ? SLOTS_FIRST : c->nslots * 2;
	size_t *slots;

	if (c->n * 2 < c->nslots)
		return true;
	slots = calloc(nslots, sizeof *slots);
	if (slots == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	free(c->slots);
	c->slots = slots;
	c->nslots = nslots;
	for (size_t n = 0; n < c->n; n++) {
		size_t i = (size_t)c->entries[n].hash & (nslots - 1);

		while (slots[i] != 0)
			i = (i + 1) & (nslots - 1);
		slots[i] = n + 1;
	}
	return true;
}

static bool
grow_entries(struct collapse *c, struct err *e)
{
	size_t cap = c->cap == 0 ? SLOTS_FIRST : c->cap * 2;
	struct entry *grown;

	if (c->n < c->cap)
		return true;
	grown = realloc(c->entries, cap * sizeof *grown);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	c->entries = grown;
	c->cap = cap;
	return true;
}

struct entry *
collapse_find(const struct collapse *c, const char *table, const char *key, size_t key_len)
{
	size_t slot;

	if (c->nslots == 0)
		return NULL;
	slot = *slot_of(c, record_hash(table, key, key_len), table, key, key_len);
	return slot == 0 ? NULL : &c->entries[slot - 1];
}

static bool
new_entry(struct collapse *c, const struct change *change, uint64_t hash, struct entry **out, struct err *e)
{
	struct entry *entry;

	if (!grow_entries(c, e))
		return false;
	entry = &c->entries[c->n];
	memset(entry, 0, sizeof *entry);
	if (!table_index(c, change->table, &entry->table, e))
		return false;
	entry->hash = hash;
	entry->key = collapse_keep(c, change->key, change->key_len);
	entry->key_len = change->key_len;
	entry->first = change->operation;
	c->n++;
	*out = entry;
	return buf_check(&c->arena, "a group's keys", e);
}

/* A node's name in the arena: kept once, so that memory does not grow with the number of changes. */
static size_t
keep_node(struct collapse *c, const char *name)
{
	size_t at;

	if (name == NULL)
		return 0;
	for (size_t i = 0; i < c->nnodes; i++)
		if (strcmp(collapse_text(c, c->nodes[i]), name) == 0)
			return c->nodes[i];
	at = collapse_keep(c, name, strlen(name));
	if (c->nnodes < COLLAPSE_NODES && !c->arena.failed)
		c->nodes[c->nnodes++] = at;
	return at;
}

/* The node whose versions are above all others in the entry's table, "": of none. */
static const char *
preferred_node(const struct collapse *c, const struct entry *entry)
{
	const struct table *t = c->catalog == NULL ? NULL : catalog_table(c->catalog, collapse_table_name(c, entry->table));

	return t == NULL ? "" : t->preferred;
}

/* A newer version takes the entry over; a weak one only a weak one. */
static void
raise_version(struct collapse *c, struct entry *entry, const struct change *change, bool weak)
{
	const char *node = change->origin == NULL ? c->self : change->origin;
	const char *had_node = entry->origin == 0 ? c->self : collapse_text(c, entry->origin);

	if (entry->changed_at != 0 && (weak != entry->weak ? weak :
	    version_compare_for(preferred_node(c, entry), change->changed_at, node, collapse_text(c, entry->changed_at), had_node) <= 0))
		return;
	entry->weak = weak;
	if (entry->changed_at == 0)
		entry->changed_at = collapse_keep(c, change->changed_at, strlen(change->changed_at));
	else
		memcpy(c->arena.data + entry->changed_at, change->changed_at, strlen(change->changed_at));
	entry->origin = keep_node(c, change->origin);
	entry->via = keep_node(c, change->via);
}

/* --- single columns --- */

/* had + more, number by number. False: they are not what the triggers write, or longer than a sum may be. */
static bool
sum_lists(struct buf *sum, const char *had, const char *more)
{
	for (;;) {
		size_t a = strcspn(had, ","), b = strcspn(more, ",");

		if (!decimal_add(sum, had, a, more, b) || (had[a] == '\0') != (more[b] == '\0'))
			return false;
		if (had[a] == '\0')
			return true;
		buf_char(sum, ',');
		had += a + 1;
		more += b + 1;
	}
}

static bool
add_difference(struct entry *entry, const char *more, struct err *e)
{
	struct buf sum;
	bool ok;

	buf_init(&sum, COLLAPSE_DIFFERENCE_MAX);
	if (entry->difference == NULL)
		buf_str(&sum, more);
	else if (!sum_lists(&sum, entry->difference, more)) {
		buf_reset(&sum);
		entry->whole = true; /* then values must do */
	}
	ok = buf_check(&sum, "a counter's difference", e);
	free(entry->difference);
	entry->difference = ok && sum.len > 0 ? strdup(buf_cstr(&sum)) : NULL;
	if (ok && sum.len > 0 && entry->difference == NULL)
		ok = err_set(e, ERR_MEMORY, "out of memory for a group");
	buf_free(&sum);
	return ok;
}

/* Which rows of the queue the entry stands for: an owed record is read from them again. */
static bool
keep_id(struct entry *entry, uint64_t id, struct err *e)
{
	if (entry->versions == NULL)
		entry->versions = calloc(1, sizeof *entry->versions);
	if (entry->ids == NULL && (entry->ids = malloc(sizeof *entry->ids)) != NULL)
		buf_init(entry->ids, COLLAPSE_IDS_MAX);
	if (entry->versions == NULL || entry->ids == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	buf_fmt(entry->ids, "%s%llu", entry->ids->len > 0 ? "," : "", (unsigned long long)id);
	return buf_check(entry->ids, "a record's changes", e);
}

/* What the change says of single columns. *weak: nothing was changed on purpose. */
static bool
add_columns(struct collapse *c, struct entry *entry, const struct change *change, bool *weak, struct err *e)
{
	const struct table *t = c->catalog == NULL ? NULL : catalog_table(c->catalog, change->table);
	struct mask told;

	*weak = false;
	if (t != NULL && mask_is_wanted(t) && !keep_id(entry, change->id, e))
		return false;
	if (t == NULL || change->operation != OP_UPDATE || (change->whole && t->ncounters == 0))
		return true;
	*weak = !change->whole && mask_read(t, change->columns, change->columns_len, &told) == MASK_WEAK;
	if (!mask_is_wanted(t))
		return true;
	return versions_of_change(entry->versions, t, change, c->self, e) &&
	    (change->difference == NULL || add_difference(entry, change->difference, e));
}

static bool
from_peer(const struct collapse *c, const struct change *change)
{
	/* Not by origin: a verdict's requeue of the peer's own version must reach the peer as well. */
	return change->via != NULL && strcmp(change->via, c->peer) == 0;
}

bool
collapse_add(struct collapse *c, const struct change *change, struct err *e)
{
	uint64_t hash = record_hash(change->table, change->key, change->key_len);
	struct entry *entry;
	size_t *slot;
	bool weak;

	assert(change->key != NULL);
	assert(strlen(change->changed_at) == QUEUE_TIME_LEN);
	if (!grow_slots(c, e))
		return false;
	slot = slot_of(c, hash, change->table, change->key, change->key_len);
	if (*slot != 0)
		entry = &c->entries[*slot - 1];
	else {
		if (!new_entry(c, change, hash, &entry, e))
			return false;
		*slot = c->n;
	}
	entry->last_id = change->id;
	if (change->link != 0) {
		entry->link = change->link;
		entry->came = !from_peer(c, change) && !change->whole && change->via == NULL;
	}
	if (from_peer(c, change))
		return true;
	if (!entry->send) { /* what the peer sent itself it has */
		entry->first = change->operation;
		entry->told = change->whole || change->via != NULL;
	}
	entry->send = true;
	if (change->operation != OP_UPDATE || change->whole)
		entry->whole = true;
	entry->decided = entry->decided || change->whole;
	entry->reborn = entry->reborn || change->operation != OP_UPDATE;
	if (!add_columns(c, entry, change, &weak, e))
		return false;
	raise_version(c, entry, change, weak);
	return buf_check(&c->arena, "a group's keys", e);
}
