/* Writing a judged chunk: one bulk statement for a span of records; a span that fails is rolled
 * back to its savepoint and halved until the record at fault stands alone. */
#ifndef TANDEM_APPLY_SPAN_H
#define TANDEM_APPLY_SPAN_H

#include "apply/chunk.h"

/* Every record ends applied, kept, in refused (it may go later), or, undecided, in the pass's
 * list. */
MUST_CHECK bool span_write(struct chunk *c, struct refused_list *refused, struct err *e);

/* Did the server refuse the row itself? */
bool span_is_refusal(const struct err *e);

#endif
