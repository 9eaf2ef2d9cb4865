/* Rows that name a file ([table] file): they wait until the file stands here, whole and as the folder's list says, so
 * that on every node a row that can be seen has its file. Not here: how files come (files/, sync/carry). */
#ifndef TANDEM_APPLY_ATTACHMENT_H
#define TANDEM_APPLY_ATTACHMENT_H

#include "apply/pass.h"

/* Which column of a table names files; tables without one cost nothing. */
struct attachment {
	bool any;
	struct conf_file_column file;
	size_t at; /* the column's place in the section's values */
	const char *charset; /* of its raw bytes; NULL: they are UTF-8. Borrowed from the table */
};

/* map: which column of the table each value of the section belongs to. */
void attachment_of(const struct pass *p, const struct table *t, const size_t *map, struct attachment *out);
/* Has the record to wait for its file? Then reason says for which. */
MUST_CHECK bool attachment_waits(const struct pass *p, const struct attachment *a, const struct record_meta *m, const struct line_value *values,
    char reason[MESSAGE_REASON_MAX], bool *waits, struct err *e);

#endif
