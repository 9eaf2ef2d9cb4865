/* Changed columns. Lives here: the comparison of a row before and after in a trigger, the form of
 * changed_columns and difference. Not here: what else a trigger does (capture/body), what a change's columns
 * mean for its version (change/versions). */
#include "capture/mask.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
	WORD_BITS = 64 /* of BIGINT UNSIGNED */
};

/* --- masks in memory --- */

bool
mask_has(const struct mask *m, size_t column)
{
	return column < MASK_COLUMNS && (m->bits[column / 8] & (0x80u >> column % 8)) != 0;
}

void
mask_set(struct mask *m, size_t column)
{
	assert(column < MASK_COLUMNS);
	m->bits[column / 8] = (unsigned char)(m->bits[column / 8] | 0x80u >> column % 8);
}

void
mask_all(struct mask *m, const struct table *t)
{
	memset(m, 0, sizeof *m);
	for (size_t i = 0; i < t->ncolumns && i < MASK_COLUMNS; i++)
		if (!t->columns[i].in_key && !t->columns[i].counts)
			mask_set(m, i);
}

bool
mask_is_empty(const struct mask *m)
{
	static const struct mask none;

	return memcmp(m, &none, sizeof none) == 0;
}

bool
mask_is_wanted(const struct table *t)
{
	return (t->policy == POLICY_MERGE || t->ncounters > 0) && t->ncolumns <= MASK_COLUMNS;
}

size_t
mask_counters(const struct table *t, size_t out[MASK_COLUMNS])
{
	size_t n = 0;

	for (size_t i = 0; i < t->ncolumns && i < MASK_COLUMNS; i++)
		if (t->columns[i].counts)
			out[n++] = i;
	return n;
}

/* --- layout --- */

static uint64_t
hash_text(uint64_t h, const char *text)
{
	do
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	while (*text++ != '\0');
	return h;
}

static size_t
bit_bytes(const struct table *t)
{
	return (t->ncolumns - t->nkey + 7) / 8;
}

size_t
mask_layout(const struct table *t, unsigned char out[MASK_LAYOUT_BYTES])
{
	size_t room = MASK_BYTES - bit_bytes(t), n = room < MASK_LAYOUT_BYTES ? room : MASK_LAYOUT_BYTES;
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < t->ncolumns; i++) {
		h = hash_text(h, t->columns[i].name);
		h = hash_text(h, t->columns[i].in_key ? "key" : t->columns[i].counts ? "add" : "");
	}
	h ^= h >> 32;
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)(h >> 8 * i);
	return n;
}

/* Has the mask only columns that the server sets by itself? */
static bool
is_weak(const struct table *t, const struct mask *m)
{
	for (size_t i = 0; i < t->ncolumns && i < MASK_COLUMNS; i++)
		if (mask_has(m, i) && !t->columns[i].stamped)
			return false;
	return true;
}

enum mask_what
mask_read(const struct table *t, const char *bytes, size_t len, struct mask *out)
{
	unsigned char layout[MASK_LAYOUT_BYTES];
	size_t n = mask_layout(t, layout), bit = 8 * n;

	memset(out, 0, sizeof *out);
	if (bytes == NULL || (len != n && len != n + bit_bytes(t)) || memcmp(bytes, layout, n) != 0) {
		mask_all(out, t);
		return MASK_UNKNOWN;
	}
	for (size_t i = 0; i < t->ncolumns && i < MASK_COLUMNS; i++) {
		if (t->columns[i].in_key)
			continue;
		if (len == n ? t->columns[i].stamped : ((unsigned char)bytes[bit / 8] & (0x80u >> bit % 8)) != 0)
			mask_set(out, i);
		bit++;
	}
	return is_weak(t, out) ? MASK_WEAK : MASK_TOLD;
}

void
mask_write(const struct table *t, const struct mask *m, struct buf *out)
{
	unsigned char bytes[MASK_BYTES] = { 0 };
	size_t n = mask_layout(t, bytes), bit = 8 * n;

	for (size_t i = 0; i < t->ncolumns && i < MASK_COLUMNS; i++) {
		if (t->columns[i].in_key)
			continue;
		if (mask_has(m, i))
			bytes[bit / 8] = (unsigned char)(bytes[bit / 8] | 0x80u >> bit % 8);
		bit++;
	}
	buf_put(out, bytes, n + bit_bytes(t));
}

/* --- comparing in a trigger --- */

static void
put_column(struct buf *sql, const char *prefix, const struct column *col, const char *after)
{
	buf_str(sql, prefix);
	db_quote_name(sql, col->name);
	buf_str(sql, after);
}

static void
put_pair(struct buf *sql, const struct column *col, const char *before, const char *after)
{
	buf_str(sql, before);
	put_column(sql, "OLD.", col, after);
	buf_str(sql, "<=>");
	buf_str(sql, before);
	put_column(sql, "NEW.", col, after);
}

void
mask_put_same(struct buf *sql, const struct column *col)
{
	switch (col->kind) {
	case COLUMN_TEXT: /* a collation calls 'a' and 'A' equal, and 'a' and 'a ' */
	case COLUMN_CHARS:
	case COLUMN_BYTES:
	case COLUMN_TYPED:
		put_pair(sql, col, "BINARY ", "");
		break;
	case COLUMN_CHOICE: /* an ENUM's '' may be the number 0 or a member */
		put_pair(sql, col, "CAST(", " AS UNSIGNED)");
		break;
	case COLUMN_PLAIN:
	case COLUMN_BIT:
	case COLUMN_FLOAT:
	case COLUMN_TIMESTAMP:
		put_pair(sql, col, "", "");
		break;
	}
}

/* UNHEX('layout') */
static void
put_layout(struct buf *sql, const struct table *t)
{
	unsigned char layout[MASK_LAYOUT_BYTES];
	size_t n = mask_layout(t, layout);

	buf_str(sql, "UNHEX('");
	buf_hex(sql, layout, n);
	buf_str(sql, "')");
}

/* Without bits: IF(nothing changed,UNHEX('layout'),NULL) */
static void
put_weak(struct buf *sql, const struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (t->columns[i].in_key || t->columns[i].stamped)
			continue;
		buf_str(sql, n++ > 0 ? " AND " : "IF(");
		mask_put_same(sql, &t->columns[i]);
	}
	if (n > 0)
		buf_char(sql, ',');
	put_layout(sql, t);
	if (n > 0)
		buf_str(sql, ",NULL)");
}

/* With bits: CONCAT(UNHEX('layout'),UNHEX(LPAD(HEX((NOT(same))<<7|...),2,'0')),...). They come in words of 64, the
 * last one has as many bytes as it needs. */
static void
put_bits(struct buf *sql, const struct table *t)
{
	size_t bytes = bit_bytes(t), bit = 0, n = 0, width = 0;

	buf_str(sql, "CONCAT(");
	put_layout(sql, t);
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (t->columns[i].in_key)
			continue;
		if (bit % WORD_BITS == 0) {
			if (bit > 0)
				buf_fmt(sql, "%s),%zu,'0'))", n == 0 ? "0" : "", width * 2);
			width = bytes - bit / 8 < WORD_BITS / 8 ? bytes - bit / 8 : WORD_BITS / 8;
			buf_str(sql, ",UNHEX(LPAD(HEX(");
			n = 0;
		}
		if (!t->columns[i].counts) {
			buf_str(sql, n++ > 0 ? "|(NOT(" : "(NOT(");
			mask_put_same(sql, &t->columns[i]);
			buf_fmt(sql, "))<<%zu", width * 8 - 1 - bit % WORD_BITS);
		}
		bit++;
	}
	if (bit > 0)
		buf_fmt(sql, "%s),%zu,'0'))", n == 0 ? "0" : "", width * 2);
	buf_char(sql, ')');
}

void
mask_put_known(struct buf *sql, const struct table *t, const struct mask *m)
{
	struct buf bytes;

	if (!mask_is_wanted(t)) {
		buf_str(sql, "NULL");
		return;
	}
	buf_init(&bytes, MASK_BYTES);
	mask_write(t, m, &bytes);
	buf_str(sql, "UNHEX('");
	buf_hex(sql, bytes.data, bytes.len);
	buf_str(sql, "')");
	sql->failed = sql->failed || bytes.failed;
	buf_free(&bytes);
}

void
mask_put_columns(struct buf *sql, const struct table *t)
{
	(mask_is_wanted(t) ? put_bits : put_weak)(sql, t);
}

/* --- differences --- */

/* The counters are the same before and after. */
static void
put_counted_same(struct buf *sql, const struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (!t->columns[i].counts)
			continue;
		buf_str(sql, n++ > 0 ? " AND " : "");
		mask_put_same(sql, &t->columns[i]);
	}
}

/* Exact, whatever the type: DECIMAL of 65 digits. What does not fit even there is error 1690, and then
 * nothing is told. */
void
mask_put_difference(struct buf *sql, const struct table *t)
{
	size_t n = 0;

	if (t->ncounters == 0) {
		buf_str(sql, "NULL");
		return;
	}
	buf_str(sql, "IF(");
	put_counted_same(sql, t);
	buf_str(sql, ",NULL,IFNULL(CONCAT(");
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *col = &t->columns[i];
		char after[40];

		if (!col->counts)
			continue;
		(void)snprintf(after, sizeof after, " AS DECIMAL(65,%u))", col->scale);
		buf_str(sql, n++ > 0 ? ",',',CAST(" : "CAST(");
		put_column(sql, "NEW.", col, after);
		buf_str(sql, "-CAST(");
		put_column(sql, "OLD.", col, after);
	}
	buf_str(sql, "),'" MASK_NO_DIFFERENCE "'))");
}
