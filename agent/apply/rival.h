/* The row that stands in a record's way: another one with its value of a unique key. */
#ifndef TANDEM_APPLY_RIVAL_H
#define TANDEM_APPLY_RIVAL_H

#include "change/record.h"
#include "wire/line.h"

struct rival_question {
	struct db *db;
	const char *database;
	const struct table *table;
	const struct line_value *const *values; /* by the catalog's columns; NULL: not known */
	const char *key;			/* of the record itself */
	size_t key_len;
	const char *old_key;			/* the key that it had before, or NULL */
	size_t old_key_len;
};

/* *rows: the row as record_select reads it, at its first row, or NULL: none was found. A unique key over a
 * generated column is not looked at, since no version carries its value. Free with db_rows_free. */
MUST_CHECK bool rival_find(const struct rival_question *q, struct db_rows **rows, struct err *e);
/* The same for the primary key, locked: the row whose key the values name, where that is another one than key. */
MUST_CHECK bool rival_under_key(const struct rival_question *q, struct db_rows **rows, struct err *e);
/* Has the table a unique key beside the primary one? */
MUST_CHECK bool rival_possible(const struct rival_question *q, bool *possible, struct err *e);
/* Is the row there that the record points at by the foreign key? True also where that cannot be told. */
MUST_CHECK bool rival_parent(const struct rival_question *q, const struct foreign_key *k, const struct table *parent, bool *there, struct err *e);

#endif
