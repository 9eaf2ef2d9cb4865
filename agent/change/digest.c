/* Reading keys and checksums. Lives here: the SELECTs over ranges and keys, the checksum's expression, lists of
 * what was read. Not here: what is asked of whom (sync/compare, sync/inspect), the wire (wire/compare). */
#include "change/digest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/text.h"
#include "change/record.h"

enum {
	STATEMENT_TIMEOUT = 1969, /* the server's error when max_statement_time is over */
	BYTES_PLAIN = 1024,	  /* longer text enters a row's checksum as a hash */
	SHA1_DIGITS = 40,
	CRC32C_MAJOR = 10,	  /* the first MariaDB that has CRC32C, and CRC32 of two */
	CRC32C_MINOR = 8,
	FACTORS_MAX = 32,	  /* columns of a row's factor: as many calls within each other, which cost the server stack */
	PRODUCT_BYTES = 8	  /* of a quick sum; the rest are zeros */
};

static_assert(DIGEST_SUM_ROWS * SHA1_DIGITS <= 1024 * 1024, "a range's checksums fit into group_concat_max_len");

/* --- lists --- */

void
digest_list_init(struct digest_list *l, size_t text_max)
{
	memset(l, 0, sizeof *l);
	buf_init(&l->text, text_max);
}

void
digest_list_free(struct digest_list *l)
{
	free(l->rows);
	buf_free(&l->text);
	l->rows = NULL;
	l->n = l->cap = 0;
}

void
digest_list_reset(struct digest_list *l)
{
	l->n = 0;
	buf_reset(&l->text);
}

bool
digest_list_add(struct digest_list *l, const char *key, size_t key_len, const unsigned char *sum, struct err *e)
{
	struct digest_row *row;

	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 64 : l->cap * 2;
		struct digest_row *grown = realloc(l->rows, cap * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a comparison");
		l->rows = grown;
		l->cap = cap;
	}
	row = &l->rows[l->n++];
	memset(row, 0, sizeof *row);
	row->key = l->text.len;
	row->key_len = key_len;
	row->there = sum != NULL;
	if (sum != NULL)
		memcpy(row->sum, sum, sizeof row->sum);
	buf_put(&l->text, key, key_len);
	buf_char(&l->text, '\0');
	return buf_check(&l->text, "the keys of a comparison", e);
}

const char *
digest_key(const struct digest_list *l, const struct digest_row *row)
{
	return l->text.data + row->key;
}

static int
compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

/* A heap sort: qsort has no place for the list whose texts it needs. */
static void
sift(struct digest_list *l, size_t root, size_t end)
{
	for (size_t child; (child = root * 2 + 1) < end; root = child) {
		struct digest_row *a = &l->rows[child], swap;

		if (child + 1 < end && compare_bytes(digest_key(l, a), a->key_len, digest_key(l, a + 1), a[1].key_len) < 0)
			a = &l->rows[++child];
		if (compare_bytes(digest_key(l, &l->rows[root]), l->rows[root].key_len, digest_key(l, a), a->key_len) >= 0)
			return;
		swap = l->rows[root];
		l->rows[root] = *a;
		*a = swap;
	}
}

void
digest_list_sort(struct digest_list *l)
{
	for (size_t i = l->n / 2; i-- > 0;)
		sift(l, i, l->n);
	for (size_t end = l->n; end-- > 1;) {
		struct digest_row swap = l->rows[0];

		l->rows[0] = l->rows[end];
		l->rows[end] = swap;
		sift(l, 0, end);
	}
}

struct digest_row *
digest_list_find(const struct digest_list *l, const char *key, size_t key_len)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = compare_bytes(digest_key(l, &l->rows[mid]), l->rows[mid].key_len, key, key_len);

		if (c == 0)
			return &l->rows[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

bool
digest_sum_equal(const struct digest_sum *a, const struct digest_sum *b)
{
	return a->rows == b->rows && memcmp(a->sum, b->sum, sizeof a->sum) == 0;
}

/* --- the checksum --- */

bool
digest_has_quick(const struct db *db)
{
	char *end;
	unsigned long major = strtoul(db_server_version(db), &end, 10), minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

	return major > CRC32C_MAJOR || (major == CRC32C_MAJOR && minor >= CRC32C_MINOR);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(const struct column *const *)a)->name, (*(const struct column *const *)b)->name);
}

/* Does the text of every value end with digits behind a point? DECIMAL(5,2), DATETIME(3). */
static bool
has_fraction(const struct column *col)
{
	const char *comma = strchr(col->type, ',');

	if (strncmp(col->type, "decimal(", 8) == 0)
		return comma != NULL && comma[1] != '0';
	return strncmp(col->type, "time(", 5) == 0 || strncmp(col->type, "datetime(", 9) == 0 || strncmp(col->type, "timestamp(", 10) == 0;
}

/* Bytes of the column's own charset, which must be said where the server would join another one to them. */
static void
put_octets(struct buf *sql, const struct column *col, bool convert)
{
	buf_str(sql, convert ? "CONVERT(" : "");
	db_quote_name(sql, col->name);
	buf_str(sql, convert ? " USING binary)" : "");
}

static bool
may_be_long(const struct column *col)
{
	return col->octets == 0 || col->octets > BYTES_PLAIN; /* 0: a geometry */
}

/* The raw bytes, or the hash of a long value. (CAST AS BINARY takes longer than CONVERT.) */
static void
put_raw(struct buf *sql, const struct column *col, bool convert)
{
	bool long_ones = may_be_long(col);

	if (long_ones) {
		buf_str(sql, "IF(LENGTH(");
		db_quote_name(sql, col->name);
		buf_fmt(sql, ")>%d,SHA1(", BYTES_PLAIN);
		db_quote_name(sql, col->name);
		buf_str(sql, "),");
	}
	put_octets(sql, col, convert);
	buf_str(sql, long_ones ? ")" : "");
}

/* Text and bytes: their length before them, so that no charset is converted, no text can be taken for two, and a row's
 * parts together are not more than the server joins. */
static void
put_bytes(struct buf *sql, const struct column *col)
{
	buf_str(sql, col->nullable ? "IFNULL(LENGTH(" : "LENGTH(");
	db_quote_name(sql, col->name);
	buf_str(sql, col->nullable ? "),'-'),':',IFNULL(" : "),':',");
	put_raw(sql, col, true);
	buf_str(sql, col->nullable ? ",''),','" : ",','");
}

static bool
is_bytes(const struct column *col)
{
	return col->kind == COLUMN_TEXT || col->kind == COLUMN_CHARS || col->kind == COLUMN_BYTES;
}

/* A number, date or time as text. */
static void
put_value(struct buf *sql, const struct column *col)
{
	bool cast = col->kind == COLUMN_BIT || col->kind == COLUMN_TYPED;

	buf_str(sql, cast ? "CAST(" : "");
	template_read(sql, col);
	buf_str(sql, !cast ? "" : col->kind == COLUMN_BIT ? " AS UNSIGNED)" : " AS CHAR)");
}

/* Numbers and times have no comma in them and are never "-" alone. What a wider type would only write with more zeros is
 * written without them. */
static void
put_part(struct buf *sql, const struct column *col)
{
	bool fraction = has_fraction(col);

	if (is_bytes(col)) {
		put_bytes(sql, col);
		return;
	}
	buf_str(sql, col->nullable ? "IFNULL(" : "");
	buf_str(sql, fraction ? "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM " : "");
	put_value(sql, col);
	buf_str(sql, fraction ? "))" : "");
	buf_str(sql, col->nullable ? ",'-'),','" : ",','");
}

/* The table's columns by their names. Free the list. */
static bool
sort_columns(const struct table *t, const struct column ***out, struct err *e)
{
	const struct column **sorted = *out = calloc(t->ncolumns + 1, sizeof(const struct column *));

	if (sorted == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a comparison");
	for (size_t i = 0; i < t->ncolumns; i++)
		sorted[i] = &t->columns[i];
	qsort(sorted, t->ncolumns, sizeof(const struct column *), by_name);
	return true;
}

/* "SHA1(...)" of a row. */
static bool
put_checksum(struct buf *sql, const struct table *t, struct err *e)
{
	const struct column **sorted;

	if (!sort_columns(t, &sorted, e))
		return false;
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_str(sql, i == 0 ? "SHA1(CONCAT(" : ",");
		put_part(sql, sorted[i]);
	}
	free(sorted);
	buf_str(sql, "))");
	return true;
}

/* --- the quick way --- */

/* Must the server be kept from converting some columns' texts into others' charset? */
static bool
mixes_charsets(const struct table *t)
{
	const char *charset = NULL;

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *col = &t->columns[i];

		if (!is_bytes(col))
			continue;
		if (col->kind != COLUMN_TEXT || (charset != NULL && strcmp(charset, col->charset) != 0))
			return true;
		charset = col->charset;
	}
	return false;
}

/* A column in the list of what is joined; last: a text that ends where the row ends, and needs no length. */
struct quick_part {
	const struct column *column;
	bool convert, last;
};

/* Each value has its place, NULL too: nothing for a number or time, "-" as the length of a text, which then has no bytes.
 * Where the last text is NULL, there is no comma before it. */
static void
put_quick_part(struct buf *sql, const struct quick_part *part)
{
	const struct column *col = part->column;

	buf_str(sql, col->nullable && !(is_bytes(col) && part->last) ? "IFNULL(" : "");
	if (!is_bytes(col)) {
		put_value(sql, col);
		buf_str(sql, col->nullable ? ",'')" : "");
		return;
	}
	if (!part->last) {
		buf_str(sql, "LENGTH(");
		db_quote_name(sql, col->name);
		buf_str(sql, col->nullable ? "),'-')," : "),");
	}
	put_raw(sql, col, part->convert);
}

/* "CONCAT_WS(...)" of a row: numbers and times, then texts. From what it gives, each value could be read again. */
static void
put_joined(struct buf *sql, const struct table *t, const struct column *const *sorted)
{
	struct quick_part part = { .convert = mixes_charsets(t) };
	size_t texts = 0, n = 0;

	for (size_t i = 0; i < t->ncolumns; i++)
		texts += is_bytes(sorted[i]);
	buf_str(sql, "CONCAT_WS(','");
	for (int text = 0; text < 2; text++)
		for (size_t i = 0; i < t->ncolumns; i++) {
			if (is_bytes(sorted[i]) != (text == 1))
				continue;
			n += (size_t)text;
			part.column = sorted[i];
			part.last = n == texts && !may_be_long(sorted[i]);
			buf_char(sql, ',');
			put_quick_part(sql, &part);
		}
	buf_char(sql, ')');
}

/* Does the column enter a row's factor? The key does, and what has bytes as it is. (A geometry has none.) */
static bool
is_factor(const struct table *t, const struct column *col)
{
	for (size_t i = 0; i < t->nkey; i++)
		if (&t->columns[t->key[i]] == col)
			return true;
	return is_bytes(col) && col->octets != 0;
}

/* "CRC32C(so_far,col)" */
static void
put_chained(struct buf *out, const struct column *col, size_t n, const struct buf *so_far)
{
	buf_fmt(out, "%s(%s%s%s", n % 2 == 0 ? "CRC32" : "CRC32C", buf_cstr(so_far), n > 0 ? "," : "", col->nullable ? "IFNULL(" : "");
	if (is_bytes(col))
		db_quote_name(out, col->name);
	else
		put_value(out, col);
	buf_str(out, col->nullable ? ",''))" : ")");
}

/* "CRC32(CRC32C(id,name),note)": each of the two begins where the other one has ended, so that what one column has at its end
 * is not the same at the beginning of the next one. A whole number is a beginning as it is. */
static void
put_factor(struct buf *sql, const struct table *t, const struct column *const *sorted)
{
	struct buf so_far, next;
	bool bare = false;
	size_t n = 0;

	buf_init(&so_far, DIGEST_SQL_MAX);
	buf_init(&next, DIGEST_SQL_MAX);
	for (size_t i = 0; i < t->ncolumns && n < FACTORS_MAX; i++) {
		const struct column *col = sorted[i];

		if (!is_factor(t, col))
			continue;
		buf_reset(&next);
		bare = n == 0 && col->integer;
		if (bare)
			db_quote_name(&next, col->name);
		else
			put_chained(&next, col, n, &so_far);
		buf_reset(&so_far);
		buf_put(&so_far, next.data, next.len);
		n++;
	}
	buf_fmt(sql, bare ? "CRC32(%s)" : "%s", buf_cstr(&so_far)); /* of 32 bits, as whatever it is multiplied with */
	sql->failed = sql->failed || so_far.failed || next.failed;
	buf_free(&so_far);
	buf_free(&next);
}

/* One number of 64 bits for each row: the CRC32C of the joined row, times an odd factor of its key and texts; and the
 * exclusive or over all rows. Without the factor, rows of one length that are changed alike would hide each other.
 *
 * What the sum does not see: of records that differ in a text of the factor, one in 2^60; of those that differ elsewhere
 * alone, one in 2^32, and none where all that differs lies within four bytes, or is no more than five bits of a short row. Several
 * records of a range hide each other as seldom. Of a thousand that differ in numbers alone, each in a range of its own, one is
 * missed once in four million times. (Nobody is kept out by this sum: who could plant a collision could as well answer wrongly.) */
static bool
put_quick_sum(struct buf *sql, const struct table *t, struct err *e)
{
	const struct column **sorted;

	if (!sort_columns(t, &sorted, e))
		return false;
	buf_str(sql, "BIT_XOR(CRC32C(");
	put_joined(sql, t, sorted);
	buf_str(sql, ")*(");
	put_factor(sql, t, sorted);
	buf_str(sql, "|1))");
	free(sorted);
	return true;
}

static void
put_from(struct buf *sql, const struct digest *d)
{
	buf_str(sql, " FROM ");
	template_table(sql, d->database, d->table->name);
	buf_str(sql, " FORCE INDEX (PRIMARY)");
}

/* "SET STATEMENT ... FOR SELECT key, sum FROM table FORCE INDEX (PRIMARY)" */
static bool
put_select(struct buf *sql, const struct digest *d, struct err *e)
{
	buf_fmt(sql, "SET STATEMENT max_statement_time=%d FOR SELECT ", DIGEST_STATEMENT_S);
	template_key(sql, d->table, "");
	buf_char(sql, ',');
	if (!put_checksum(sql, d->table, e))
		return false;
	put_from(sql, d);
	return true;
}

/* --- bounds --- */

static bool
is_number(const char *s, size_t len, const char *letters)
{
	enum { NUMBER_MAX = 70 }; /* DECIMAL(65,30) with sign, point and leading zero */

	return len > 0 && len <= NUMBER_MAX && strlen(s) == len && strspn(s, letters) == len;
}

static bool
is_text(const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n)
		if ((n = text_utf8(s + i, len - i, NULL)) == 0)
			return false;
	return true;
}

static bool
part_is_sound(const struct column *col, const char *s, size_t len)
{
	static const char whole[] = "0123456789", sign[] = "-0123456789", real[] = "+-.e0123456789E";

	switch (col->kind) {
	case COLUMN_PLAIN:
		return is_number(s, len, col->integer ? sign : "+-.e0123456789E: ");
	case COLUMN_TYPED:
		return is_number(s, len, "0123456789abcdefABCDEF:.-");
	case COLUMN_TEXT: /* a column of ASCII may hold any bytes */
		return len <= col->octets && (strcmp(col->charset, "ascii") == 0 || is_text(s, len));
	case COLUMN_CHARS:
	case COLUMN_BYTES:
		return len % 2 == 0 && len <= col->octets * 2 && strlen(s) == len && strspn(s, "0123456789ABCDEF") == len;
	case COLUMN_BIT:
	case COLUMN_CHOICE:
		return is_number(s, len, whole);
	case COLUMN_FLOAT:
	case COLUMN_TIMESTAMP:
		return is_number(s, len, real);
	}
	return false;
}

static size_t
part_length(const struct table *t, const struct buf *parts, const size_t *at, size_t i)
{
	size_t end = i + 1 < t->nkey ? at[i + 1] : parts->len;

	return end - at[i] - 1; /* the NUL */
}

bool
digest_key_is_sound(const struct table *t, const char *key, size_t len)
{
	size_t at[CATALOG_KEY_COLUMNS];
	struct buf parts;
	bool ok;

	buf_init(&parts, CATALOG_KEY_BYTES * 4);
	ok = len <= CATALOG_KEY_BYTES && template_split_key(t, key, len, &parts, at);
	for (size_t i = 0; ok && i < t->nkey; i++)
		ok = part_is_sound(&t->columns[t->key[i]], parts.data + at[i], part_length(t, &parts, at, i));
	buf_free(&parts);
	return ok;
}

bool
digest_range_is_inverted(const struct table *t, const struct digest_range *r)
{
	bool low_minus, high_minus;

	if (r->low == NULL || r->high == NULL)
		return false;
	if (compare_bytes(r->low, r->low_len, r->high, r->high_len) == 0)
		return true;
	if (t->nkey != 1 || !t->columns[t->key[0]].integer)
		return false;
	low_minus = r->low[0] == '-';
	high_minus = r->high[0] == '-';
	if (low_minus != high_minus)
		return high_minus;
	if (r->low_len != r->high_len)
		return (r->low_len > r->high_len) != low_minus;
	return (memcmp(r->low, r->high, r->low_len) > 0) != low_minus;
}

/* A key taken apart, for a condition. */
struct bound {
	const struct digest *d;
	struct buf parts;
	size_t at[CATALOG_KEY_COLUMNS];
};

static void
put_compared(struct buf *sql, const struct bound *b, size_t i, const char *sign)
{
	const struct column *col = &b->d->table->columns[b->d->table->key[i]];

	db_quote_name(sql, col->name);
	buf_str(sql, sign);
	record_put_operand(b->d->db, sql, col, b->parts.data + b->at[i], part_length(b->d->table, &b->parts, b->at, i));
}

/* "(a>=A AND ((a>A) OR (a=A AND b>B)))": the first comparison is there for the optimizer, which then reads one
 * range of the key and no more. Parts are compared as the columns compare. */
static void
put_bound(struct buf *sql, const struct bound *b, bool below)
{
	size_t n = b->d->table->nkey;

	if (n == 1) {
		put_compared(sql, b, 0, below ? "<=" : ">");
		return;
	}
	buf_char(sql, '(');
	put_compared(sql, b, 0, below ? "<=" : ">=");
	buf_str(sql, " AND (");
	for (size_t i = 0; i < n; i++) {
		buf_str(sql, i > 0 ? " OR (" : "(");
		for (size_t j = 0; j < i; j++) {
			put_compared(sql, b, j, "=");
			buf_str(sql, " AND ");
		}
		put_compared(sql, b, i, !below ? ">" : i + 1 == n ? "<=" : "<");
		buf_char(sql, ')');
	}
	buf_str(sql, "))");
}

static bool
put_limit(struct buf *sql, const struct digest *d, const char *key, size_t len, bool below, struct err *e)
{
	struct bound b = { .d = d };
	bool ok;

	buf_init(&b.parts, CATALOG_KEY_BYTES * 4);
	ok = template_split_key(d->table, key, len, &b.parts, b.at);
	if (ok)
		put_bound(sql, &b, below);
	buf_free(&b.parts);
	return ok || err_set(e, ERR_INPUT, "table %s: a malformed key", d->table->name);
}

/* " WHERE ..." */
static bool
put_where(struct buf *sql, const struct digest *d, const struct digest_range *r, struct err *e)
{
	if (r->low != NULL || r->high != NULL)
		buf_str(sql, " WHERE ");
	if (r->low != NULL && !put_limit(sql, d, r->low, r->low_len, false, e))
		return false;
	if (r->low != NULL && r->high != NULL)
		buf_str(sql, " AND ");
	return r->high == NULL || put_limit(sql, d, r->high, r->high_len, true, e);
}

/* " ORDER BY ..." */
static void
put_order(struct buf *sql, const struct table *t, const char *way)
{
	for (size_t i = 0; i < t->nkey; i++) {
		buf_str(sql, i == 0 ? " ORDER BY " : ",");
		db_quote_name(sql, t->columns[t->key[i]].name);
		buf_str(sql, way);
	}
}

bool
digest_put_range(const struct digest *d, struct buf *sql, const struct digest_range *r, uint64_t limit, struct err *e)
{
	if (!put_where(sql, d, r, e))
		return false;
	put_order(sql, d->table, "");
	buf_fmt(sql, " LIMIT %llu", (unsigned long long)limit);
	return buf_check(sql, "a statement that compares", e);
}

/* --- reading --- */

static bool
take_row(struct digest_list *to, const struct db_rows *row, struct err *e)
{
	unsigned char sum[DIGEST_BYTES];
	const char *key = db_rows_text(row, 0), *hex = db_rows_text(row, 1);

	if (key == NULL || hex == NULL || !hex_read(hex, DIGEST_BYTES, sum))
		return err_set(e, ERR_INTERNAL, "a row has no checksum");
	return digest_list_add(to, key, db_rows_len(row, 0), sum, e);
}

static bool
timed(bool ok, struct err *e)
{
	if (!ok && e->db_errno == STATEMENT_TIMEOUT)
		e->code = ERR_DB_BUSY;
	return ok;
}

static bool
read_rows(const struct digest *d, const struct buf *sql, struct digest_list *to, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_stream(d->db, sql->data, sql->len, &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		if (!(ok = take_row(to, rows, e)))
			break;
	while (!ok && rows != NULL && more && db_rows_next(rows, &more, NULL) && more)
		; /* empty the result: the connection stays usable */
	db_rows_free(rows);
	return timed(ok, e);
}

bool
digest_scan(const struct digest *d, const struct digest_range *r, uint64_t limit, struct digest_list *out, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, DIGEST_SQL_MAX);
	ok = put_select(&sql, d, e) && digest_put_range(d, &sql, r, limit, e) && read_rows(d, &sql, out, e);
	buf_free(&sql);
	return ok;
}

/* "SHA1(...)" of a range. Rows are read in the order of the primary key, so they are joined in that order; if they were not,
 * equal ranges would be looked at row by row and found equal then. */
static bool
put_hash_sum(struct buf *sql, const struct table *t, struct err *e)
{
	buf_str(sql, "SHA1(GROUP_CONCAT(");
	if (!put_checksum(sql, t, e))
		return false;
	buf_str(sql, " SEPARATOR ''))");
	return true;
}

/* "SET STATEMENT ... FOR SELECT COUNT(*), sum FROM ... WHERE ..." */
static bool
put_sum(struct buf *sql, const struct digest *d, const struct digest_range *r, struct err *e)
{
	buf_fmt(sql, "SET STATEMENT max_statement_time=%d FOR SELECT COUNT(*),", DIGEST_SUM_S);
	if (!(d->quick ? put_quick_sum : put_hash_sum)(sql, d->table, e))
		return false;
	put_from(sql, d);
	if (!put_where(sql, d, r, e))
		return false;
	buf_fmt(sql, " LIMIT ROWS EXAMINED %d", (d->quick ? DIGEST_QUICK_ROWS : DIGEST_SUM_ROWS) * 2);
	return buf_check(sql, "a statement that compares", e);
}

/* Of more rows the server may have cut the text of their checksums. */
static uint64_t
most_rows(const struct digest *d)
{
	uint64_t packet = db_packet_max(d->db) / SHA1_DIGITS;

	if (d->quick)
		return DIGEST_QUICK_ROWS;
	return packet < DIGEST_SUM_ROWS ? packet : DIGEST_SUM_ROWS;
}

static bool
too_many(struct err *e)
{
	return err_set(e, ERR_DB_BUSY, "a range of too many rows");
}

/* The lowest bytes of n, the highest of them first. */
static void
put_be(unsigned char *out, uint64_t n, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (unsigned char)(n >> (bytes - 1 - i) * 8);
}

static bool
take_total(const struct digest *d, const struct db_rows *row, struct digest_sum *out, struct err *e)
{
	out->rows = db_rows_u64(row, 0);
	if (out->rows > most_rows(d))
		return too_many(e);
	if (d->quick) {
		put_be(out->sum, db_rows_u64(row, 1), PRODUCT_BYTES);
		return true;
	}
	return out->rows == 0 || (db_rows_text(row, 1) != NULL && hex_read(db_rows_text(row, 1), DIGEST_BYTES, out->sum)) ||
	    err_set(e, ERR_INTERNAL, "a range has no checksum");
}

/* The server sums up: what would go from it to the agent row by row costs more than the checksums. */
bool
digest_sum_up(const struct digest *d, const struct digest_range *r, struct digest_sum *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;
	struct buf sql;

	memset(out, 0, sizeof *out);
	buf_init(&sql, DIGEST_SQL_MAX);
	ok = put_sum(&sql, d, r, e) && timed(db_query(d->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e), e);
	/* Of a row that it cannot join, and of what it cuts off, the server only warns. */
	ok = ok && (more && !db_warned(d->db) ? take_total(d, rows, out, e) : too_many(e));
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

bool
digest_bound(const struct digest *d, const struct digest_range *r, uint64_t rows, struct buf *key, bool *found, struct err *e)
{
	struct db_rows *result = NULL;
	struct buf sql;
	bool ok;

	*found = false;
	buf_reset(key);
	buf_init(&sql, DIGEST_SQL_MAX);
	buf_fmt(&sql, "SET STATEMENT max_statement_time=%d FOR SELECT ", DIGEST_STATEMENT_S);
	template_key(&sql, d->table, "");
	put_from(&sql, d);
	ok = put_where(&sql, d, r, e);
	put_order(&sql, d->table, rows == 0 ? " DESC" : "");
	buf_fmt(&sql, " LIMIT %llu,1", (unsigned long long)(rows == 0 ? 0 : rows - 1));
	ok = ok && buf_check(&sql, "a statement that compares", e) && db_query(d->db, buf_cstr(&sql), DB_NO_ARGS, &result, e) && db_rows_next(result, found, e);
	if (ok && *found)
		buf_put(key, db_rows_text(result, 0), db_rows_len(result, 0));
	db_rows_free(result);
	buf_free(&sql);
	return timed(ok, e) && buf_check(key, "a key", e);
}

/* --- by key --- */

struct key_part {
	const struct digest_list *keys;
	size_t from;
};

static const char *
key_of(size_t i, size_t *len, void *arg)
{
	const struct key_part *part = arg;
	const struct digest_row *row = &part->keys->rows[part->from + i];

	*len = row->key_len;
	return digest_key(part->keys, row);
}

static bool
find_some(const struct digest *d, const struct digest_list *keys, size_t from, size_t n, struct digest_list *found, struct err *e)
{
	struct key_part part = { keys, from };
	struct buf sql;
	bool ok;

	buf_init(&sql, DIGEST_SQL_MAX);
	ok = put_select(&sql, d, e) &&
	    (record_put_keys(d->db, &sql, d->table, n, key_of, &part) || err_set(e, ERR_INPUT, "table %s: a malformed key", d->table->name)) &&
	    buf_check(&sql, "a list of keys", e) && read_rows(d, &sql, found, e);
	buf_free(&sql);
	return ok;
}

/* May two texts name one row? */
static bool
has_spellings(const struct table *t)
{
	for (size_t i = 0; i < t->nkey; i++) {
		const struct column *col = &t->columns[t->key[i]];

		if (col->kind == COLUMN_TEXT || col->kind == COLUMN_CHARS || col->kind == COLUMN_TYPED || (col->kind == COLUMN_PLAIN && !col->integer))
			return true;
	}
	return false;
}

/* The row under exactly this key, else the one that the collation finds under it. */
static bool
find_one(const struct digest *d, const struct digest_list *keys, size_t i, const struct digest_list *found, struct digest_list *out, struct err *e)
{
	const struct digest_row *asked = &keys->rows[i];
	const struct digest_row *row = digest_list_find(found, digest_key(keys, asked), asked->key_len);
	size_t before = out->n;

	if (row != NULL)
		return digest_list_add(out, digest_key(found, row), row->key_len, row->sum, e);
	if (has_spellings(d->table) && !find_some(d, keys, i, 1, out, e))
		return false;
	assert(out->n <= before + 1);
	return out->n > before || digest_list_add(out, "", 0, NULL, e);
}

size_t
digest_next_rows(size_t rows, int64_t ms, size_t max)
{
	if (ms > DIGEST_QUICK_MS)
		return rows > 1 ? rows / 2 : 1;
	return rows * 2 < max ? rows * 2 : max;
}

/* The rows of the keys from from on. */
static bool
find_chunk(const struct digest *d, const struct digest_list *keys, size_t from, size_t n, struct digest_list *out, struct err *e)
{
	struct digest_list found;
	bool ok;

	digest_list_init(&found, DIGEST_SQL_MAX);
	ok = find_some(d, keys, from, n, &found, e);
	digest_list_sort(&found);
	for (size_t i = from; ok && i < from + n; i++)
		ok = find_one(d, keys, i, &found, out, e);
	digest_list_free(&found);
	return ok;
}

bool
digest_find(const struct digest *d, const struct digest_list *keys, int64_t until_ms, struct digest_list *out, struct err *e)
{
	size_t step = DIGEST_FIRST_ROWS, n;

	for (size_t from = 0; from < keys->n; from += n) {
		int64_t start = clock_mono_ms();

		if (from > 0 && until_ms > 0 && start >= until_ms)
			break;
		n = keys->n - from < step ? keys->n - from : step;
		if (!find_chunk(d, keys, from, n, out, e))
			return false;
		step = digest_next_rows(step, clock_mono_ms() - start, record_keys_at_once(d->table));
	}
	return true;
}
