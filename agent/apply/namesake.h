/* Rows that hang on a number which both nodes gave to different rows: written, they would hang on the wrong
 * one. They wait until a person has given one of the two another number. */
#ifndef TANDEM_APPLY_NAMESAKE_H
#define TANDEM_APPLY_NAMESAKE_H

#include "apply/chunk.h"

/* Are there such numbers between us and the pass's peer? Sets p->namesakes. */
MUST_CHECK bool namesake_look(struct pass *p, struct err *e);
/* Does the record point at one? Then *parent is the table it points into, else NULL. */
MUST_CHECK bool namesake_parent(const struct chunk *c, const struct item *item, const char **parent, struct err *e);

#endif
