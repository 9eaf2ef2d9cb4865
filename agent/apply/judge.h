/* What is to be done with the records of a chunk: their rows here are locked, concurrent changes
 * looked for, each record judged. */
#ifndef TANDEM_APPLY_JUDGE_H
#define TANDEM_APPLY_JUDGE_H

#include "apply/chunk.h"

/* Fills in what each item says about here, its decision and its shape. */
MUST_CHECK bool judge_chunk(struct chunk *c, struct err *e);

/* The mark that counts as seen for the item: the group's, or the one its own seen names. */
MUST_CHECK bool judge_seen(
    struct chunk *c, const struct item *item, const struct mark **out, struct err *e);
/* What both sides know of the item's record, its rows and other keys being found: pure. preferred: the node of the
 * rule `prefer`, or "". The caller adds what only
 * the table tells: counter_key and same. */
void judge_facts(struct look *l, struct item *item, const struct mark *seen, const char *preferred, struct facts *f);
/* Is the record the same here and there? same_content: the row under the key it has there is. */
bool judge_is_same(const struct item *item, bool same_content);
/* The node that made the incoming version. */
const char *judge_node(const struct chunk *c, const struct item *item);

/* Does the i-th value of the section hold the same in both, as far as the column's type here tells? */
bool judge_same_value(const struct target *to, size_t i, const struct line_value *a, const struct line_value *b);

#endif
