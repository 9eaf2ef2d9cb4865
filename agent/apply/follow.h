/* Parents that get another key. Where children follow (ON UPDATE CASCADE) the server changes them, the agent's
 * session is not captured, and the group does not know those that were made here. Where they may not follow, a
 * child that was made here keeps its parent where it is. */
#ifndef TANDEM_APPLY_FOLLOW_H
#define TANDEM_APPLY_FOLLOW_H

#include "apply/family.h"

/* After the verdicts: rows that would lose the key on which children hang. Such a change waits for records of the
 * group, or the record is split in two: the row stays as it is, the new key gets a row of its own. */
MUST_CHECK bool follow_judge(struct chunk *c, struct err *e);
/* Before the item's row gets its new key. */
MUST_CHECK bool follow_find(struct chunk *c, struct item *item, struct err *e);
/* Afterwards: every peer is told of the children's new keys, unless the group does that. */
MUST_CHECK bool follow_finish(struct chunk *c, const struct item *item, struct err *e);

#endif
