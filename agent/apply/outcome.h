/* What follows from the verdict about a record, once it is written or left as it is. */
#ifndef TANDEM_APPLY_OUTCOME_H
#define TANDEM_APPLY_OUTCOME_H

#include "apply/chunk.h"

/* What decides about the item, as people read it. */
const char *outcome_rule(const struct chunk *c, const struct item *item);
/* Count the item as applied; keep what lost, supersede local changes, queue it for other peers. */
MUST_CHECK bool outcome_finish(struct chunk *c, struct item *item, struct err *e);

#endif
