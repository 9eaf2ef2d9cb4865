/* What ON DELETE would do, done by the agent itself: each child's last version is kept, and every peer told. */
#ifndef TANDEM_APPLY_CASCADE_H
#define TANDEM_APPLY_CASCADE_H

#include "apply/family.h"

/* Before the item's row goes: its children, the deepest first, each kept and queued for every peer unless the
 * group brings its delete. */
MUST_CHECK bool cascade_write(struct chunk *c, const struct item *item, struct err *e);
/* Afterwards: children are counted as removed, or sent again with the parent that stays. */
MUST_CHECK bool cascade_finish(struct chunk *c, const struct item *item, struct err *e);

#endif
