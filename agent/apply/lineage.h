/* One record under several keys: the key it has there, the one it had before, and the one it was given here.
 * Changes under all of them are judged as changes of one record. */
#ifndef TANDEM_APPLY_LINEAGE_H
#define TANDEM_APPLY_LINEAGE_H

#include "apply/chunk.h"

/* Lock and read the row under the key that the record had before. */
MUST_CHECK bool lineage_lock_old(struct chunk *c, struct item *item, struct err *e);
/* The record is not here under the keys that its sender knows: has this node given it another one? *followed:
 * yes, and that row is locked and read; the queue must be looked at again. */
MUST_CHECK bool lineage_follow(struct chunk *c, struct item *item, bool *followed, struct err *e);

/* Is it more than a record under its own key? */
bool lineage_is_linked(const struct item *item);
/* The row that stands for the record here; NULL: none. */
struct line_value *lineage_row(const struct item *item);
/* How the row is written and under which key, after the verdict: pure. same: content and key are as they should
 * be. True: what is written is the row that old_local is, under meta.key. */
bool lineage_shape(struct item *item, bool same);
/* The same, with the row to write. */
MUST_CHECK bool lineage_plan(struct chunk *c, struct item *item, bool same, struct err *e);
/* What is queued: the record under its final key, and the end of its other keys, for every peer. Pure. */
void lineage_requeue(const struct item *item, const struct relay *r, bool present, struct relay_list *to);

#endif
