/* Counters of a cut group. Not here: where a group ends (sync/group). */
#include "sync/later.h"

#include <string.h>

#include "base/decimal.h"

struct reading {
	struct later *later;
	const struct collapse *group;
};

void
later_init(struct later *l, const struct collapse *group)
{
	collapse_init(&l->changes, group->self, group->peer);
}

void
later_free(struct later *l)
{
	collapse_free(&l->changes);
}

static bool
take_change(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct reading *r = arg;

	(void)stop;
	if (c->key == NULL || c->difference == NULL || collapse_find(r->group, c->table, c->key, c->key_len) == NULL)
		return true;
	return collapse_add(&r->later->changes, c, e);
}

static bool
has_counters(const struct catalog *c)
{
	for (size_t i = 0; c != NULL && i < c->ntables; i++)
		if (c->tables[i].ncounters > 0)
			return true;
	return false;
}

bool
later_read(struct later *l, struct db *db, const struct collapse *group, const struct mark *upto, struct err *e)
{
	struct reading r = { l, group };
	struct mark last = { 0 }, now = { 0 };
	bool grew = false, ok;

	if (!has_counters(group->catalog))
		return true;
	l->changes.catalog = group->catalog;
	ok = queue_last_mark(db, &last, e) && queue_next_mark(db, &last, &now, &grew, e) && queue_visit(db, upto, &now, take_change, &r, e);
	mark_free(&last);
	mark_free(&now);
	return ok;
}

/* The counter's number in the list. */
static size_t
find_number(const struct table *t, size_t column, const char *list, const char **number)
{
	for (size_t i = 0; i < column; i++)
		if (t->columns[i].counts) {
			list += strcspn(list, ",");
			list += *list == ',';
		}
	*number = list;
	return strcspn(list, ",");
}

const char *
later_take_off(const struct later *l, const struct table *t, const char *key, size_t key_len, size_t column, const char *value, size_t *len, struct buf *room)
{
	const struct entry *entry = l->changes.n == 0 || !t->columns[column].counts ? NULL : collapse_find(&l->changes, t->name, key, key_len);
	struct buf less;
	const char *number;
	size_t n;
	bool ok;

	if (entry == NULL || entry->difference == NULL || value == NULL)
		return NULL;
	n = find_number(t, column, entry->difference, &number);
	buf_init(&less, DECIMAL_DIGITS * 2);
	if (n > 0 && number[0] == '-')
		buf_put(&less, number + 1, n - 1);
	else {
		buf_char(&less, '-');
		buf_put(&less, number, n);
	}
	buf_reset(room);
	ok = decimal_add(room, value, *len, less.data, less.len);
	if (less.failed)
		room->failed = room->no_memory = true;
	buf_free(&less);
	if (!ok)
		return NULL; /* not what the triggers write: then values must do */
	*len = room->len;
	return buf_cstr(room);
}
