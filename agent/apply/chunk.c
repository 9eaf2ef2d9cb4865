/* The records of a chunk. Lives here: their memory, beginning and end of a section. Not here: what
 * is done with them (apply/judge, apply/span). */
#include "apply/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "apply/merge.h"
#include "change/record.h"

/* A block of memory that is given back as a whole. */
struct block {
	struct block *next;
	char data[];
};

/* --- memory --- */

static void *
take_memory(struct chunk *c, size_t len, struct err *e)
{
	struct block *b = malloc(sizeof *b + len);

	if (b == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for records");
		return NULL;
	}
	b->next = c->blocks;
	c->blocks = b;
	c->bytes += len;
	return b->data;
}

void
chunk_clear(struct chunk *c)
{
	while (c->blocks != NULL) {
		struct block *next = c->blocks->next;

		free(c->blocks);
		c->blocks = next;
	}
	for (size_t i = 0; i < c->n; i++)
		merged_free(c->items[i].merged);
	c->n = 0;
	c->bytes = 0;
}

struct line_value *
chunk_copy(struct chunk *c, const struct line_value *from, size_t n, struct err *e)
{
	size_t total = n * sizeof *from;
	struct line_value *to;
	char *at;

	for (size_t i = 0; i < n; i++)
		total += from[i].data == NULL ? 0 : from[i].len + 1;
	to = take_memory(c, total, e);
	if (to == NULL)
		return NULL;
	at = (char *)(to + n);
	for (size_t i = 0; i < n; i++) {
		to[i] = from[i];
		if (from[i].data == NULL)
			continue;
		to[i].data = memcpy(at, from[i].data, from[i].len + 1);
		at += from[i].len + 1;
	}
	return to;
}

/* A text of the meta object, in the copy. */
static const char *
moved_text(const struct line_value *copy, const struct pass_reader *r, const char *text)
{
	return text == NULL ? NULL : copy[3].data + (text - r->values[3].data);
}

bool
chunk_add(struct chunk *c, const struct pass_reader *r, struct err *e)
{
	struct item *item = &c->items[c->n];
	struct line_value *copy = chunk_copy(c, r->values, r->nvalues, e);

	if (copy == NULL)
		return false;
	memset(item, 0, sizeof *item);
	item->number = r->number;
	/* The texts of meta were taken from these values; take them again from the copy. The parsed
	 * meta object has been overwritten by its own strings, so those are copied apart. */
	item->meta = r->meta;
	item->meta.key = copy[1].data;
	item->meta.changed_at = copy[2].data;
	item->meta.origin = moved_text(copy, r, r->meta.origin);
	item->meta.via = moved_text(copy, r, r->meta.via);
	item->meta.old_key = moved_text(copy, r, r->meta.old_key);
	item->meta.columns = moved_text(copy, r, r->meta.columns);
	item->meta.difference = moved_text(copy, r, r->meta.difference);
	item->values = copy + RECORD_FIXED;
	item->hash = record_hash(c->target.table->name, item->meta.key, item->meta.key_len);
	c->n++;
	return true;
}

bool
chunk_is_full(const struct chunk *c)
{
	return c->n >= CHUNK_RECORDS || c->n >= record_keys_at_once(c->target.table) ||
	    c->bytes >= CHUNK_BYTES;
}

/* --- the whole --- */

struct chunk *
chunk_new(struct pass *p, struct err *e)
{
	struct chunk *c = calloc(1, sizeof *c);

	if (c == NULL)
		(void)err_set(e, ERR_MEMORY, "out of memory for a group");
	else
		c->pass = p;
	return c;
}

void
chunk_free(struct chunk *c)
{
	if (c == NULL)
		return;
	chunk_close(c);
	for (size_t i = 0; i < c->nmarks; i++)
		mark_free(&c->marks[i]);
	free(c);
}

bool
chunk_open(struct chunk *c, const struct pass_reader *r, struct err *e)
{
	c->open = target_open(&c->target, c->pass->db, c->pass->catalog->database, r->table,
	    &r->section, e);
	return c->open;
}

void
chunk_close(struct chunk *c)
{
	chunk_clear(c);
	if (c->open)
		target_close(&c->target);
	c->open = false;
}
