/* Keys and checksums of rows: what two nodes tell each other to find out where a table differs. A row's
 * checksum covers its base columns in the order of their names, each in its wire form, so that it is the same
 * on both sides whatever the columns' order, the session or the charset. */
#ifndef TANDEM_CHANGE_DIGEST_H
#define TANDEM_CHANGE_DIGEST_H

#include "capture/template.h"

enum {
	DIGEST_BYTES = 16,	     /* of SHA1's 20, which processors know and servers are quicker with than with MD5 */
	DIGEST_STATEMENT_S = 5,	     /* longest time of one statement; it holds no lock */
	DIGEST_SUM_S = 1,	     /* the same of one that sums up a range: a longer one is taken in parts */
	DIGEST_SUM_ROWS = 25 * 1000, /* of such a range: their checksums, 40 digits each, are one text of at most 1 MiB (db/db) */
	DIGEST_QUICK_ROWS = 50 * 1000, /* the same in the quick way, which joins nothing: what takes well below DIGEST_SUM_S */
	DIGEST_FIRST_ROWS = 50,	     /* of a statement whose rows may be of any size; then as many as are quick */
	DIGEST_QUICK_MS = 100,
	DIGEST_SQL_MAX = 64 * 1024 * 1024
};

/* One row: its key's text (an offset into the list's), or no row (there = false). */
struct digest_row {
	size_t key, key_len;
	unsigned char sum[DIGEST_BYTES];
	bool there;
};

struct digest_list {
	struct digest_row *rows;
	size_t n, cap;
	struct buf text; /* the keys, each ended by a NUL */
};

/* text_max: bytes of all keys together. */
void digest_list_init(struct digest_list *l, size_t text_max);
void digest_list_free(struct digest_list *l);
void digest_list_reset(struct digest_list *l);
/* sum NULL: there is no such row. */
MUST_CHECK bool digest_list_add(struct digest_list *l, const char *key, size_t key_len, const unsigned char *sum, struct err *e);
const char *digest_key(const struct digest_list *l, const struct digest_row *row);
/* Sort by the bytes of the keys, and find in a list so sorted. */
void digest_list_sort(struct digest_list *l);
struct digest_row *digest_list_find(const struct digest_list *l, const char *key, size_t key_len);

/* The table that is read. Borrowed. */
struct digest {
	struct db *db;
	const char *database;
	const struct table *table;
	bool quick; /* ranges are summed up in the quick way */
};

/* Can this server sum up in the quick way (CRC32C)? Both sides of a comparison must, and their columns' types be the same:
 * it takes values as the columns print them, which costs less than half. */
bool digest_has_quick(const struct db *db);

/* Rows above low up to high, in the order of the primary key; NULL is open. */
struct digest_range {
	const char *low, *high;
	size_t low_len, high_len;
};

/* How many rows a range has, and what their checksums come to. */
struct digest_sum {
	uint64_t rows;
	unsigned char sum[DIGEST_BYTES];
};
bool digest_sum_equal(const struct digest_sum *a, const struct digest_sum *b);

/* Could this be a key of the table? What comes from elsewhere must pass here before it becomes SQL. */
bool digest_key_is_sound(const struct table *t, const char *key, size_t len);
/* True when the bounds are known to stand the wrong way round (whole numbers; others just hold nothing). */
bool digest_range_is_inverted(const struct table *t, const struct digest_range *r);

/* Append " WHERE ... ORDER BY ... LIMIT ..." for the range's first rows. */
MUST_CHECK bool digest_put_range(const struct digest *d, struct buf *sql, const struct digest_range *r, uint64_t limit, struct err *e);
/* Append the range's first rows, at most limit, to out. ERR_DB_BUSY: it took longer than DIGEST_STATEMENT_S. */
MUST_CHECK bool digest_scan(const struct digest *d, const struct digest_range *r, uint64_t limit, struct digest_list *out, struct err *e);
/* The range's count and sum. ERR_DB_BUSY: it took longer than DIGEST_SUM_S, or has more than DIGEST_SUM_ROWS (quick:
 * DIGEST_QUICK_ROWS). */
MUST_CHECK bool digest_sum_up(const struct digest *d, const struct digest_range *r, struct digest_sum *out, struct err *e);
/* The key of the range's rows-th row, 0: of its last one. *found = false: it has fewer. ERR_DB_BUSY as above. */
MUST_CHECK bool digest_bound(const struct digest *d, const struct digest_range *r, uint64_t rows, struct buf *key, bool *found, struct err *e);
/* out gets one row for each of keys, in the same order: the row that the column's own collation finds under
 * that key, with the key as it is spelled here; or none. Ends early, at one key at least, when it is until_ms of
 * clock_mono_ms (0: never). */
MUST_CHECK bool digest_find(const struct digest *d, const struct digest_list *keys, int64_t until_ms, struct digest_list *out, struct err *e);
/* Rows of the next statement: at most twice as many as rows, which took ms. */
size_t digest_next_rows(size_t rows, int64_t ms, size_t max);

#endif
