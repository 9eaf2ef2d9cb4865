/* What follows from the verdict about a record, once it is written or left as it is. */
#ifndef TANDEM_APPLY_OUTCOME_H
#define TANDEM_APPLY_OUTCOME_H

#include "apply/chunk.h"

/* What decides about the item, as people read it. */
const char *outcome_rule(const struct chunk *c, const struct item *item);
/* Count the item as applied; keep what lost, supersede local changes, queue it for other peers. */
MUST_CHECK bool outcome_finish(struct chunk *c, struct item *item, struct err *e);

/* The rows here that a conflict about the item may cost; there are two when the record's old and new key are both
 * in use, and one of them ends. NULL: there is no row. Pure. */
size_t outcome_losers(const struct item *item, struct line_value *rows[2]);
/* What the queue is told for the other peers, and for all of them when the verdict says requeue: pure. node: who made
 * the incoming version. */
void outcome_relays(const char *table, const char *node, const struct item *item, struct relay_list *to);

#endif
