/* Do the columns that a sender names hold here what it has there? Texts of types alone: no connection,
 * no state. docs/types.md has the list that fit_holds follows. */
#ifndef TANDEM_APPLY_FIT_H
#define TANDEM_APPLY_FIT_H

#include "db/catalog.h"
#include "wire/message.h"

/* Does every column of the table stand in the section and the other way round, and does each type here
 * hold every value of the type there? Else reason (MESSAGE_REASON_MAX bytes) names table, column and both
 * definitions. */
bool fit_table(const struct table *t, const struct section *s, char *reason);

/* Does a column of the type `here` hold every value of the type `there` exactly? For a column of the primary
 * key both must also write a value into the key's text in the same way. Types as in struct column. */
bool fit_holds(const char *here, const char *there, bool in_key);

struct fit_value {
	const char *data; /* NULL = SQL NULL */
	size_t len;
};

/* Are two values of a column of the type `here` the same, though one was written by a narrower type
 * ('1.50' and '1.500')? */
bool fit_same(const char *here, struct fit_value a, struct fit_value b);

/* A server's refusal: is it a CHECK that the server where the row comes from has just so, and did not hold against
 * it there (a session may turn CHECKs off)? Then the row is written without CHECKs. there: of the table there. Not
 * where triggers of the app fire: what they write is held to its CHECKs. */
bool fit_lifts_checks(const struct table *t, uint64_t there, const struct err *why);

/* No NULL for a column that is NOT NULL here? Else reason as above: the column differs there. The i-th value
 * is of the column map[i]. */
bool fit_nulls(const struct table *t, const size_t *map, const struct line_value *values, char *reason);

#endif
