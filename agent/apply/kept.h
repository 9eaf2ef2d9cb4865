/* A version that is kept of a conflict, taken apart into its columns. */
#ifndef TANDEM_APPLY_KEPT_H
#define TANDEM_APPLY_KEPT_H

#include "apply/inbox.h"

struct kept {
	struct buf text;	  /* a copy that pairs point into */
	struct line_value *pairs; /* name, value, name, value */
	size_t n;		  /* values in pairs; 0: the record was deleted */
};

/* to is to be freed whatever comes of it. */
MUST_CHECK bool kept_parse(const struct inbox_version *v, struct kept *to, struct err *e);
void kept_free(struct kept *k);
/* A column's value; NULL: no such column. */
const struct line_value *kept_value(const struct kept *k, const char *name);
/* The same value? What is not there is like nothing. */
bool kept_same(const struct line_value *a, const struct line_value *b);

#endif
