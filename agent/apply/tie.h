/* From a parent to rows that hang on it: by one foreign key, or by several with tables in between that are not
 * replicated, whose rows the server's own cascade takes along. */
#ifndef TANDEM_APPLY_TIE_H
#define TANDEM_APPLY_TIE_H

#include "db/catalog.h"

enum {
	TIE_STEPS = 5 /* of foreign keys; a longer way through tables that are not replicated is not looked at */
};

struct tie {
	const struct foreign_key *steps[TIE_STEPS]; /* from the parent on; all but the last cascade a delete */
	size_t n;
	const struct table *child;
};

struct tie_list {
	struct tie *items;
	size_t n, cap;
};

/* The table, if it is replicated and can be written; else NULL. */
const struct table *tie_table(const struct catalog *c, const char *name);
/* All ties of replicated tables. The catalog outlives them. Free with tie_free. */
MUST_CHECK bool tie_find_all(const struct catalog *c, struct tie_list *out, struct err *e);
void tie_free(struct tie_list *l);

bool tie_is_of(const struct tie *tie, const struct table *parent);
/* Does any tie lead to the table? */
bool tie_hangs(const struct tie_list *l, const struct table *child);
/* The child's own foreign key, whose actions decide. */
const struct foreign_key *tie_key(const struct tie *tie);

#endif
