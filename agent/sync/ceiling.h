/* How large the queue and the store of conflicts may become ([sync] max_queue, max_conflicts), and what happens then. */
#ifndef TANDEM_SYNC_CEILING_H
#define TANDEM_SYNC_CEILING_H

#include "base/conf.h"
#include "db/db.h"

enum {
	CEILING_WARN_PERCENT = 80 /* of a ceiling: said from here on */
};

/* Is it time to warn of so many, or too many of them? */
bool ceiling_is_near(uint64_t n, unsigned most);

/* Where a ceiling is passed: changes that nobody needs go before their time; if there are none, the peer that is
 * furthest behind is given up as after retention_days; decided conflicts of more than a day ago go, the oldest first.
 * What is done is written into the log. Costs next to nothing below CEILING_WARN_PERCENT. */
MUST_CHECK bool ceiling_keep(struct db *db, const struct conf *conf, struct err *e);

#endif
