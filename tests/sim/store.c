/* What a node's server holds. Not here: what it means. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

const char *const table_names[TABLES] = { "plain", "counted", "single" };

static void *
again(void *p, size_t size)
{
	void *grown = realloc(p, size == 0 ? 1 : size);

	if (grown == NULL)
		abort();
	return grown;
}

static void *
copy_of(const void *p, size_t size)
{
	return size == 0 ? NULL : memcpy(again(NULL, size), p, size);
}

void
store_init(struct world *w, struct store *s)
{
	struct mark first = { 0 };

	memset(s, 0, sizeof *s);
	chance_hex(w, s->incarnation, SCHEMA_INCARNATION_LEN);
	s->next_id = 1;
	chance_hex(w, first.stamp, MARK_STAMP_LEN);
	store_add_mark(s, &first);
}

static void
side_free(struct side *side)
{
	free(side->answer);
	free(side->owed);
	free(side->unsettled);
	free(side->undecided);
}

void
side_reset(struct side *side, const struct mark *at)
{
	side_free(side);
	memset(side, 0, sizeof *side);
	side->linked = true;
	side->state.acked_epoch = side->state.floor_epoch = side->state.start_epoch = at->epoch;
	memcpy(side->state.acked_stamp, at->stamp, sizeof at->stamp);
	side->state.fresh = true;
}

void
store_free(struct store *s)
{
	for (size_t i = 0; i < s->nmarks; i++)
		mark_free(&s->marks[i]);
	for (int i = 0; i < NODES_MAX; i++)
		side_free(&s->sides[i]);
	id_set_free(&s->dead);
	free(s->marks);
	free(s->queue);
	memset(s, 0, sizeof *s);
}

void
store_copy(const struct store *from, struct store *to)
{
	struct err e;

	*to = *from;
	to->queue = copy_of(from->queue, from->nqueue * sizeof *from->queue);
	to->queue_cap = to->nqueue;
	to->marks = copy_of(from->marks, from->nmarks * sizeof *from->marks);
	to->marks_cap = to->nmarks;
	for (size_t i = 0; i < from->nmarks; i++)
		must(id_set_copy(&from->marks[i].holes, &to->marks[i].holes, &e), &e);
	must(id_set_copy(&from->dead, &to->dead, &e), &e);
	for (int i = 0; i < NODES_MAX; i++) {
		const struct side *side = &from->sides[i];

		to->sides[i].answer = side->answer == NULL ? NULL : copy_of(side->answer, sizeof *side->answer);
		to->sides[i].owed = copy_of(side->owed, side->nowed * sizeof *side->owed);
		to->sides[i].unsettled = copy_of(side->unsettled, side->nunsettled * sizeof *side->unsettled);
		to->sides[i].undecided = copy_of(side->undecided, side->nundecided * sizeof *side->undecided);
	}
}

/* In order of ids, which are taken before the transaction that they belong to ends. */
struct queued *
store_enqueue(struct store *s, const struct queued *q)
{
	size_t at = s->nqueue;

	if (s->nqueue == s->queue_cap) {
		s->queue_cap = s->queue_cap == 0 ? 64 : s->queue_cap * 2;
		s->queue = again(s->queue, s->queue_cap * sizeof *s->queue);
	}
	while (at > 0 && s->queue[at - 1].id > q->id)
		at--;
	memmove(&s->queue[at + 1], &s->queue[at], (s->nqueue - at) * sizeof *s->queue);
	s->queue[at] = *q;
	s->nqueue++;
	return &s->queue[at];
}

void
store_tell_end(struct store *s, struct queued *of)
{
	of->id = s->next_id++;
	of->operation = OP_DELETE;
	of->via = NOBODY;
	of->link = 0;
	of->status = PENDING;
	of->error = false;
	(void)store_enqueue(s, of);
}

struct queued *
store_queued(const struct store *s, uint64_t id)
{
	for (size_t i = 0; i < s->nqueue; i++)
		if (s->queue[i].id == id)
			return &s->queue[i];
	return NULL;
}

const struct mark *
store_mark(const struct store *s, uint64_t epoch)
{
	for (size_t i = s->nmarks; i-- > 0;)
		if (s->marks[i].epoch == epoch)
			return &s->marks[i];
	return NULL;
}

const struct mark *
store_last_mark(const struct store *s)
{
	return &s->marks[s->nmarks - 1];
}

void
store_add_mark(struct store *s, struct mark *m)
{
	if (s->nmarks == s->marks_cap) {
		s->marks_cap = s->marks_cap == 0 ? 16 : s->marks_cap * 2;
		s->marks = again(s->marks, s->marks_cap * sizeof *s->marks);
	}
	s->marks[s->nmarks++] = *m;
	memset(m, 0, sizeof *m);
}

static const char *
name_of(const struct world *w, int number)
{
	return number == NOBODY ? NULL : w->nodes[number].name;
}

struct change
store_change(const struct world *w, const struct queued *q, char key[KEY_MAX_LEN])
{
	int len = snprintf(key, KEY_MAX_LEN, "%d", q->key);

	return (struct change){
		.id = q->id,
		.operation = q->operation,
		.table = table_names[q->table],
		.key = key,
		.key_len = (size_t)len,
		.changed_at = q->changed_at,
		.origin = name_of(w, q->origin),
		.via = name_of(w, q->via),
		.whole = q->whole,
		.link = q->link,
		.columns = q->told.any ? q->told.columns : NULL,
		.columns_len = q->told.columns_len,
		.versions = q->told.versions[0] == '\0' ? NULL : q->told.versions,
		.versions_len = strlen(q->told.versions),
		.difference = q->told.difference[0] == '\0' ? NULL : q->told.difference,
	};
}

struct debt *
store_debt(struct side *side, int table, int key)
{
	for (size_t i = 0; i < side->nowed; i++)
		if (side->owed[i].table == table && side->owed[i].key == key)
			return &side->owed[i];
	return NULL;
}

void
store_drop_debt(struct side *side, struct debt *d)
{
	size_t i = (size_t)(d - side->owed);

	memmove(d, d + 1, (side->nowed - i - 1) * sizeof *d);
	side->nowed--;
}

struct undecided *
store_undecided(struct side *side, int table, int key)
{
	for (size_t i = 0; i < side->nundecided; i++)
		if (side->undecided[i].table == table && side->undecided[i].key == key)
			return &side->undecided[i];
	return NULL;
}

struct undecided *
store_add_undecided(struct side *side, int table, int key)
{
	struct undecided *u = store_undecided(side, table, key);

	if (u == NULL) {
		side->undecided = again(side->undecided, (side->nundecided + 1) * sizeof *side->undecided);
		u = &side->undecided[side->nundecided++];
	}
	*u = (struct undecided){ .table = table, .key = key };
	return u;
}

void
store_drop_undecided(struct side *side, struct undecided *u)
{
	size_t i = (size_t)(u - side->undecided);

	memmove(u, u + 1, (side->nundecided - i - 1) * sizeof *u);
	side->nundecided--;
}

void
store_mark_rows(struct store *s, const struct debt *d, int status)
{
	for (size_t i = 0; i < d->nids; i++) {
		struct queued *q = store_queued(s, d->ids[i]);

		if (q == NULL || q->status == SUPERSEDED)
			continue;
		q->status = status;
		q->error = false;
	}
}

int
store_find_value(const struct store *s, uint32_t value, int but)
{
	for (int key = 1; value != 0 && key < KEYS; key++)
		if (key != but && s->rows[TABLE_UNIQUE][key].here && s->rows[TABLE_UNIQUE][key].value == value)
			return key;
	return 0;
}

bool
store_has_value(const struct store *s, uint32_t value, int but)
{
	return store_find_value(s, value, but) != 0;
}

int
key_number(const char *key)
{
	int n = 0;

	for (; *key != '\0'; key++)
		n = n * 10 + (*key - '0');
	return n;
}

int
node_number(const char *name)
{
	return name == NULL || name[0] == '\0' ? NOBODY : name[1] - '0';
}

int
table_number(const char *name)
{
	for (int i = 0; i < TABLES; i++)
		if (strcmp(table_names[i], name) == 0)
			return i;
	abort();
}

void
keep_row(struct store *s, const struct row *row)
{
	for (int i = 0; i < CELLS; i++)
		s->kept[row->cells[i]] = true;
}

bool
same_row(const struct row *a, const struct row *b)
{
	if (!a->here || !b->here)
		return a->here == b->here;
	return memcmp(a->cells, b->cells, sizeof a->cells) == 0 && a->value == b->value && a->stock == b->stock;
}

const struct table *
table_of(const struct world *w, int table)
{
	return catalog_table(&w->catalog, table_names[table]);
}

void
row_values(int key, const struct row *row, char texts[COLUMNS][VALUE_LEN], struct line_value values[COLUMNS])
{
	(void)snprintf(texts[0], VALUE_LEN, "%d", key);
	for (int i = 0; i < CELLS; i++)
		(void)snprintf(texts[1 + i], VALUE_LEN, "%" PRIu32, row->cells[i]);
	(void)snprintf(texts[1 + CELLS], VALUE_LEN, "%" PRIu32, row->value);
	(void)snprintf(texts[2 + CELLS], VALUE_LEN, "%" PRId64, row->stock);
	for (int i = 0; i < COLUMNS; i++)
		values[i] = (struct line_value){ texts[i], strlen(texts[i]) };
}

void
row_read(const struct line_value values[COLUMNS], struct row *row)
{
	for (int i = 0; i < CELLS; i++)
		row->cells[i] = (uint32_t)strtoul(values[1 + i].data, NULL, 10);
	row->value = (uint32_t)strtoul(values[1 + CELLS].data, NULL, 10);
	row->stock = strtoll(values[2 + CELLS].data, NULL, 10);
	row->here = true;
}

void
told_of(const struct world *w, int table, const struct mask *columns, int64_t difference, struct told *out)
{
	const struct table *t = table_of(w, table);
	struct buf bytes;

	memset(out, 0, sizeof *out);
	if (!mask_is_wanted(t))
		return;
	buf_init(&bytes, TOLD_BYTES);
	mask_write(t, columns, &bytes);
	memcpy(out->columns, bytes.data, bytes.len);
	out->columns_len = bytes.len;
	out->any = true;
	buf_free(&bytes);
	if (t->ncounters > 0 && difference != 0)
		(void)snprintf(out->difference, sizeof out->difference, "%" PRId64, difference);
}
