/* Knots: records that can only go together. Unique values swapped or rotated in one transaction, a
 * circle of deletes, two new rows that need each other: each is refused as long as the others have
 * not been written. */
#ifndef TANDEM_APPLY_KNOT_H
#define TANDEM_APPLY_KNOT_H

#include "apply/chunk.h"

enum {
	KNOT_TRIES = 8 /* each leaves out what was at fault in the one before */
};

/* Try to write the refused records that may be tied together: their rows here are removed and the
 * new ones inserted, without foreign key checks, which are made up for afterwards. Only records
 * whose verdict is to apply and that have no concurrent local change take part. What went is taken
 * out of refused (which is sorted by number); otherwise everything is as it was. */
MUST_CHECK bool knot_untie(
    struct chunk *c, struct pass_reader *r, struct refused_list *refused, struct err *e);

#endif
