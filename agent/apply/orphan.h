/* Making up for foreign keys that were not checked while a knot was written. */
#ifndef TANDEM_APPLY_ORPHAN_H
#define TANDEM_APPLY_ORPHAN_H

#include "apply/pass.h"

/* Look at every foreign key whose child or parent table has tied records. Where a row points at no
 * parent, the tied records that can be at fault are untied and counted in *n. */
MUST_CHECK bool orphan_leave_out(
    struct pass *p, struct refused_list *refused, size_t *n, struct err *e);

#endif
