/* Counters (`add`) without a conflict: what the record here held before and the difference that was sent should make
 * the value that was sent. Where they do not, the two databases had drifted apart. */
#ifndef TANDEM_APPLY_TALLY_H
#define TANDEM_APPLY_TALLY_H

#include "apply/chunk.h"

/* Can only the row that is here tell whether the record's counters add up? */
bool tally_is_wanted(const struct table *t, const struct record_meta *m);
/* Log a counter of a record that was written as it came, and that did not add up. The value that
 * was sent is taken. */
void tally_check(struct chunk *c, const struct item *item);

#endif
