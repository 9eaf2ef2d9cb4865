/* Versions of single columns. Lives here: their greatest, their text. Not here: which columns a change touched
 * (capture/mask), which version wins (apply/conflict). */
#include "change/versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "change/collapse.h"

void
versions_free(struct versions *v)
{
	free(v->items);
	memset(v, 0, sizeof *v);
}

int
versions_compare(const struct column_version *a, const struct column_version *b)
{
	if (a->weak != b->weak)
		return a->weak ? -1 : 1;
	return version_compare(a->changed_at, a->node, b->changed_at, b->node);
}

static void
take_out(struct mask *from, const struct mask *what)
{
	for (size_t i = 0; i < MASK_BYTES; i++)
		from->bits[i] = (unsigned char)(from->bits[i] & ~what->bits[i]);
}

static void
put_in(struct mask *to, const struct mask *what)
{
	for (size_t i = 0; i < MASK_BYTES; i++)
		to->bits[i] |= what->bits[i];
}

/* Forget those that are of no column any more. */
static void
tidy(struct versions *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++)
		if (!mask_is_empty(&v->items[i].columns))
			v->items[n++] = v->items[i];
	v->n = n;
}

void
versions_drop(struct versions *v, const struct mask *columns)
{
	for (size_t i = 0; i < v->n; i++)
		take_out(&v->items[i].columns, columns);
	tidy(v);
}

static bool
append(struct versions *v, const struct column_version *one, struct err *e)
{
	size_t cap = v->cap == 0 ? 1 : v->cap * 2;
	struct column_version *grown;

	if (v->n == v->cap) {
		grown = realloc(v->items, cap * sizeof *grown);
		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for the versions of columns");
		v->items = grown;
		v->cap = cap;
	}
	v->items[v->n++] = *one;
	return true;
}

bool
versions_raise(struct versions *v, const struct column_version *with, struct err *e)
{
	struct column_version left = *with;
	struct column_version *same = NULL;

	for (size_t i = 0; i < v->n; i++) {
		int order = versions_compare(&left, &v->items[i]);

		if (order > 0)
			take_out(&v->items[i].columns, &left.columns);
		else
			take_out(&left.columns, &v->items[i].columns);
		if (order == 0)
			same = &v->items[i];
	}
	if (same != NULL)
		put_in(&same->columns, &left.columns);
	tidy(v);
	return same != NULL || mask_is_empty(&left.columns) || append(v, &left, e);
}

bool
versions_raise_all(struct versions *v, const struct versions *with, struct err *e)
{
	for (size_t i = 0; i < with->n; i++)
		if (!versions_raise(v, &with->items[i], e))
			return false;
	return true;
}

const struct column_version *
versions_of(const struct versions *v, size_t column)
{
	for (size_t i = 0; i < v->n; i++)
		if (mask_has(&v->items[i].columns, column))
			return &v->items[i];
	return NULL;
}

void
versions_columns(const struct versions *v, struct mask *out)
{
	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < v->n; i++)
		put_in(out, &v->items[i].columns);
}

const struct column_version *
versions_greatest(const struct versions *v)
{
	const struct column_version *greatest = NULL;

	for (size_t i = 0; i < v->n; i++)
		if (greatest == NULL || versions_compare(&v->items[i], greatest) > 0)
			greatest = &v->items[i];
	return greatest;
}

bool
versions_of_change(struct versions *v, const struct table *t, const struct change *c, const char *self, struct err *e)
{
	struct column_version one = { .weak = false };
	enum mask_what what = mask_read(t, c->columns, c->columns_len, &one.columns);

	if (what != MASK_UNKNOWN && c->versions != NULL)
		return versions_parse(v, c->versions, c->versions_len, NULL, t->ncolumns, e);
	if (mask_is_empty(&one.columns))
		return true;
	one.weak = what == MASK_WEAK;
	(void)snprintf(one.changed_at, sizeof one.changed_at, "%s", c->changed_at);
	(void)snprintf(one.node, sizeof one.node, "%s", c->origin == NULL ? self : c->origin);
	return versions_raise(v, &one, e);
}

/* --- as text --- */

void
versions_put(struct buf *out, const struct versions *v, const size_t *map, size_t n)
{
	for (size_t k = 0; k < v->n; k++) {
		const struct column_version *one = &v->items[k];
		struct mask bits = { 0 };

		for (size_t i = 0; i < n && i < MASK_COLUMNS; i++)
			if (mask_has(&one->columns, map == NULL ? i : map[i]))
				mask_set(&bits, i);
		if (k > 0)
			buf_char(out, ';');
		buf_hex(out, bits.bits, (n + 7) / 8);
		buf_fmt(out, ",%s,%s%s", one->changed_at, one->node, one->weak ? ",weak" : "");
	}
}

static bool
parse_bits(struct mask *to, const char *hex, size_t len, const size_t *map, size_t n)
{
	if (n > MASK_COLUMNS || len != (n + 7) / 8 * 2)
		return false;
	for (size_t i = 0; i < len * 4; i++) {
		int digit = hex_digit(hex[i / 4]);

		if (digit < 0)
			return false;
		if ((digit & 8 >> i % 4) == 0)
			continue;
		if (i >= n || (map == NULL ? i : map[i]) >= MASK_COLUMNS)
			return false;
		mask_set(to, map == NULL ? i : map[i]);
	}
	return true;
}

static bool
is_time(const char *text, size_t len)
{
	static const char form[] = "dddd-dd-dd dd:dd:dd.dddddd";

	for (size_t i = 0; i < len && len == QUEUE_TIME_LEN; i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	return len == QUEUE_TIME_LEN;
}

/* Up to the next comma or the end. */
static size_t
word(const char *text, const char *end)
{
	const char *comma = memchr(text, ',', (size_t)(end - text));

	return (size_t)((comma == NULL ? end : comma) - text);
}

static bool
parse_one(struct column_version *to, const char *text, const char *end, const size_t *map, size_t n)
{
	size_t len = word(text, end);

	memset(to, 0, sizeof *to);
	if (!parse_bits(&to->columns, text, len, map, n) || text + len == end)
		return false;
	text += len + 1;
	len = word(text, end);
	if (!is_time(text, len) || text + len == end)
		return false;
	memcpy(to->changed_at, text, len);
	text += len + 1;
	len = word(text, end);
	if (len > CONF_NAME_MAX)
		return false;
	memcpy(to->node, text, len);
	if (len == 0 || memchr(to->node, ';', len) != NULL)
		return false;
	if (text + len == end)
		return true;
	text += len + 1;
	to->weak = end - text == 4 && memcmp(text, "weak", 4) == 0;
	return to->weak;
}

bool
versions_parse(struct versions *v, const char *text, size_t len, const size_t *map, size_t n, struct err *e)
{
	const char *end = text + len;

	while (text < end) {
		const char *stop = memchr(text, ';', (size_t)(end - text));
		struct column_version one;

		if (!parse_one(&one, text, stop == NULL ? end : stop, map, n))
			return err_set(e, ERR_INPUT, "malformed versions of columns");
		if (!versions_raise(v, &one, e))
			return false;
		text = stop == NULL ? end : stop + 1;
	}
	return true;
}
