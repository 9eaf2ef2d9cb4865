/* SQL text made from identifiers: quoting, key expressions, value expressions. Pure: no connection. */
#ifndef TANDEM_CAPTURE_TEMPLATE_H
#define TANDEM_CAPTURE_TEMPLATE_H

#include "base/buf.h"
#include "db/catalog.h"

enum {
	TEMPLATE_SQL_MAX = 1024 * 1024, /* one statement made here */
	TEMPLATE_NAME_MAX = 65		/* an identifier of 64 bytes and a NUL */
};

/* `database`.`table` */
void template_table(struct buf *sql, const char *database, const char *table);

/* The primary key as one text (docs/protocol.md, keys): each part in a form that does not depend on
 * the session; parts of a composite key joined by ',' with '\' and ',' of character data escaped by
 * '\'. prefix: "NEW.", "OLD." or "". */
void template_key(struct buf *sql, const struct table *t, const char *prefix);
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
