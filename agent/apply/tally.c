/* Drift of counters. Not here: adding up where both sides counted (apply/merge). */
#include "config.h"

#include "apply/tally.h"

#include "apply/columns.h"
#include "base/decimal.h"
#include "base/log.h"

bool
tally_is_wanted(const struct table *t, const struct record_meta *m)
{
	return t->ncounters > 0 && m->operation == 'u' && !m->whole && m->old_key == NULL;
}

/* Is before + difference = after? One of them NULL: both have to be. */
static bool
adds_up(const struct line_value *before, const char *difference, size_t len, const struct line_value *after)
{
	struct buf sum, less, rest;
	bool minus, same;

	if (before->data == NULL || after->data == NULL)
		return before->data == after->data;
	buf_init(&sum, DECIMAL_DIGITS * 2);
	buf_init(&less, DECIMAL_DIGITS * 2);
	buf_init(&rest, DECIMAL_DIGITS * 2);
	minus = after->len > 0 && after->data[0] == '-';
	buf_str(&less, minus ? "" : "-");
	buf_put(&less, after->data + minus, after->len - minus);
	same = decimal_add(&sum, before->data, before->len, len == 0 ? "0" : difference, len == 0 ? 1 : len) &&
	    decimal_add(&rest, sum.data, sum.len, less.data, less.len) && decimal_is_zero(rest.data, rest.len);
	buf_free(&sum);
	buf_free(&less);
	buf_free(&rest);
	return same;
}

static void
tell(const struct chunk *c, const struct item *item, const char *counter, const struct line_value *before, const struct line_value *after)
{
	enum { SHOWN = 64 }; /* bytes of the key */
	int len = (int)(item->meta.key_len < SHOWN ? item->meta.key_len : SHOWN);

	log_warning(c->pass->peer, "table %s, record %.*s: %s was %.*s here, which is not what it was there before the change; it is now %.*s as there",
	    c->target.table->name, len, item->meta.key, counter,
	    before->data == NULL ? 4 : (int)before->len, before->data == NULL ? "NULL" : before->data,
	    after->data == NULL ? 4 : (int)after->len, after->data == NULL ? "NULL" : after->data);
}

void
tally_check(struct chunk *c, const struct item *item)
{
	const struct target *to = &c->target;

	if (!tally_is_wanted(to->table, &item->meta) || item->concurrent > 0 || item->local == NULL || item->now_key != NULL ||
	    item->decision.verdict != VERDICT_APPLY)
		return;
	for (size_t i = 0; i < to->table->ncolumns; i++) {
		const struct column *col = &to->table->columns[to->map[i]];
		const char *number = NULL;
		size_t len = col->counts ? columns_find_difference(item->meta.difference, i, &number) : 0;

		if (col->counts && !adds_up(&item->local[i], number, len, &item->values[i])) {
			tell(c, item, col->name, &item->local[i], &item->values[i]);
			return; /* one line a record */
		}
	}
}
