/* SQL text made from identifiers: quoting, key expressions, value expressions. Pure: no connection. */
#ifndef TANDEM_CAPTURE_TEMPLATE_H
#define TANDEM_CAPTURE_TEMPLATE_H

#include "base/buf.h"
#include "db/catalog.h"

enum {
	TEMPLATE_SQL_MAX = 1024 * 1024, /* one statement made here */
	TEMPLATE_NAME_MAX = 65		/* an identifier of 64 bytes and a NUL */
};

/* What a trigger's body may meet when columns were changed under it, and then takes as a sign that the table
 * has to be compared; an app's write must not fail of it. A column that is gone (1054), a table (1146), or a
 * key whose type no longer fits the form of before: wrong bytes (1300, 1366, 1977), wrong value (1264, 1265,
 * 1292, 1411, 1690, 1916, 1918), too long (1406), no such operation (4078, 4079), collations that do not mix
 * (1267, 1270, 1271). Never SQLEXCEPTION: it would hide a queue that cannot be written. */
#define TEMPLATE_STALE_ERRORS "1054,1146,1264,1265,1267,1270,1271,1292,1300,1366,1406,1411,1690,1916,1918,1977,4078,4079"

/* `database`.`table` */
void template_table(struct buf *sql, const char *database, const char *table);

/* CALL `sync`.enqueue('table','operation', -- the caller goes on with the key. */
void template_enqueue(struct buf *sql, const char *sync_database, const char *table, const char *operation);

/* The primary key as one text (docs/protocol.md, keys): each part in a form that does not depend on
 * the session; parts of a composite key joined by ',' with '\' and ',' of character data escaped by
 * '\'. prefix: "NEW.", "OLD." or "". */
void template_key(struct buf *sql, const struct table *t, const char *prefix);
/* The same made from other columns that hold the values: part i is prefixes[i] and names[i]. */
void template_key_of(struct buf *sql, const struct table *t, const char *const prefixes[], const char *const names[]);
/* Split such a text into its parts. parts[i] are offsets into out, which receives the unescaped
 * parts, each ended by a NUL. False: the text does not have t->nkey parts. */
bool template_split_key(const struct table *t, const char *key, size_t len, struct buf *out, size_t parts[CATALOG_KEY_COLUMNS]);
/* What stands for key part i in a comparison with the column: text with one '?' that takes the
 * part's text. */
void template_key_operand(struct buf *sql, const struct column *col);
/* "`a`=? AND `b`=UNHEX(?)": compare the whole key, one '?' a part. */
void template_key_match(struct buf *sql, const struct table *t);

/* The expression that reads a column for the wire, and the one (with one '?') that writes it. */
void template_read(struct buf *sql, const struct column *col);
void template_write(struct buf *sql, const struct column *col);
/* Do the column's values travel as raw bytes? */
bool template_is_binary(const struct column *col);
/* Does the server store the value only with a warning (an ENUM's index 0)? bulk_forgive knows. */
bool template_warns(const struct column *col, const char *value);
/* Are they bound as such when written? */
bool template_binds_raw(const struct column *col);

/* The widest text that the key can have, in bytes. */
size_t template_key_width(const struct table *t);

#endif
