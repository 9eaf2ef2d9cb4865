/* One reading of a group: its records come to a visitor in judged chunks, all of them or those that
 * are still to do. */
#ifndef TANDEM_APPLY_ROUND_H
#define TANDEM_APPLY_ROUND_H

#include "apply/chunk.h"

typedef bool round_visitor(struct chunk *c, void *arg, struct err *e);

struct round {
	struct chunk *chunk;
	struct pass_reader *reader;
	round_visitor *visit;
	void *arg;
	const size_t *todo; /* numbers of the records to visit, ascending; NULL = all */
	size_t ntodo;
	size_t at; /* in todo; round_run begins at 0 */
};

/* The first round (todo is NULL) also notes what the group lists as owed, and what waits here
 * because its table does not fit. */
MUST_CHECK bool round_run(struct round *d, struct err *e);

#endif
