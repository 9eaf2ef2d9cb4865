/* The careful way: lock, look, judge and write record by record, in chunks; what is refused is
 * named and the rest goes on. */
#ifndef TANDEM_APPLY_CAREFUL_H
#define TANDEM_APPLY_CAREFUL_H

#include "apply/pass.h"

/* Everything ends applied, kept, or in p->refused. An error ends the attempt; the caller rolls
 * back. */
MUST_CHECK bool careful_apply(struct pass *p, struct pass_reader *r, struct err *e);

#endif
