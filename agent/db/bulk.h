/* Many rows through one prepared statement: arrays are bound to its parameters, so a thousand
 * rows cost one round trip. Used for applying groups and for filling the sync schema. */
#ifndef TANDEM_DB_BULK_H
#define TANDEM_DB_BULK_H

#include "db/db.h"

struct bulk;

enum {
	BULK_ROWS = 2000,	     /* rows a round trip; more brought nothing in trials */
	BULK_CELLS = 64 * 1024,	     /* values a round trip: bounds the arrays of wide tables */
	BULK_BYTES = 2 * 1024 * 1024 /* and no more bytes than this, unless one row alone is larger */
};

/* Prepare sql with nparams '?'. binary[i]: the i-th value is raw bytes that the server must not
 * convert (NULL: all are utf8mb4 text). */
MUST_CHECK bool bulk_new(struct db *db, const char *sql, size_t nparams, const bool *binary, struct bulk **out, struct err *e);
void bulk_free(struct bulk *b);

/* Append one row of nparams values; data == NULL is SQL NULL. Bytes are copied. */
MUST_CHECK bool bulk_add(struct bulk *b, const struct db_arg *values, struct err *e);
/* The row just added holds n values that the server stores only with a warning (an ENUM's index 0), so that
 * the rows must give so many warnings 1265 and no other. */
void bulk_forgive(struct bulk *b, size_t n);
size_t bulk_rows(const struct bulk *b);
/* Forget the rows gathered. */
void bulk_forget(struct bulk *b);
bool bulk_is_full(const struct bulk *b);
/* Run the statement over the rows gathered since the last time, and forget them (also on error). *affected:
 * rows changed or, for UPDATE, matched. A warning of the server that is not
 * forgiven is an error (ERR_DB_REJECTED). */
MUST_CHECK bool bulk_run(struct bulk *b, uint64_t *affected, struct err *e);

#endif
