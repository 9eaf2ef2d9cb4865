/* What seems to differ is looked at once more, on both sides and with both queues; then it is counted, and acted
 * upon. */
#ifndef TANDEM_SYNC_DOUBT_H
#define TANDEM_SYNC_DOUBT_H

#include "sync/ask.h"

/* One more key that seems to differ: a row of l. */
MUST_CHECK bool doubt_add(struct asker *a, const struct digest_list *l, const struct digest_row *row, struct err *e);
/* Look at those that have gathered. */
MUST_CHECK bool doubt_settle(struct asker *a, struct err *e);

#endif
