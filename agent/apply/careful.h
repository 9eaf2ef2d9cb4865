/* The careful way: lock, look, judge and write record by record, in chunks; what is refused is
 * named and the rest goes on. */
#ifndef TANDEM_APPLY_CAREFUL_H
#define TANDEM_APPLY_CAREFUL_H

#include "apply/pass.h"

/* Everything ends applied, kept, or in p->refused. An error ends the attempt; the caller rolls
 * back. */
MUST_CHECK bool careful_apply(struct pass *p, struct pass_reader *r, struct err *e);
/* What comes before judging: names every record of the group to the look and to p->family, and finds what is open
 * between us and the peer. */
MUST_CHECK bool careful_survey(struct pass *p, struct pass_reader *r, struct err *e);

#endif
