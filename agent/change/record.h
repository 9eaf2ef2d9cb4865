/* Current rows of collapsed records, read by key. */
#ifndef TANDEM_CHANGE_RECORD_H
#define TANDEM_CHANGE_RECORD_H

#include "capture/template.h"
#include "change/collapse.h"

enum {
	RECORD_KEYS = 1000,	     /* keys of one IN list */
	RECORD_COMPOSITE_KEYS = 250, /* keys of one OR list */
	RECORD_SQL_MAX = 64 * 1024 * 1024 /* 1,000 keys of 3,072 bytes, escaped, many times over */
};

/* Sees one existing record: the row's first column is the key's text, then the table's columns in
 * the catalog's order. */
typedef bool record_visitor(struct entry *entry, const struct db_rows *row, void *arg, struct err *e);

/* What a part of a key is compared with, as template_key_operand writes it, with the part in it. */
void record_put_operand(struct db *db, struct buf *sql, const struct column *col, const char *part, size_t len);

/* SELECT key, columns FROM table FORCE INDEX (PRIMARY) */
void record_select(struct buf *sql, const char *database, const struct table *t);
/* The same for conditions on other columns than the key. */
void record_select_any(struct buf *sql, const char *database, const struct table *t);
/* Can the text be a key of the table? Not when it was recorded under another form of the key. */
bool record_key_fits(const struct table *t, const char *key, size_t key_len);
/* Append a condition for one key's text: "(`a`='1' AND `b`='x')". False: malformed key. */
bool record_put_match(struct db *db, struct buf *sql, const struct table *t, const char *key, size_t key_len);
/* Append " WHERE ..." for n keys. The i-th key is what key_of returns. False: malformed key. */
typedef const char *record_key_fn(size_t i, size_t *len, void *arg);
bool record_put_keys(struct db *db, struct buf *sql, const struct table *t, size_t n, record_key_fn *key_of, void *arg);
/* Keys of one statement for this table. */
size_t record_keys_at_once(const struct table *t);

/* What to read: entries of c, all of one table. */
struct record_batch {
	const char *database;
	const struct table *table;
	struct collapse *collapse;
	const size_t *indexes; /* into collapse->entries */
	size_t n;
};

/* Read the batch's records; visit may also see entries of the collapse that are not in the batch (keys that
 * lie close together are read as a range). Entries that are not seen get absent = true. */
MUST_CHECK bool record_read(struct db *db, const struct record_batch *batch, record_visitor *visit, void *arg, struct err *e);

#endif
