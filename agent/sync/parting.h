/* Peers that left agent.conf, and those that came back. */
#ifndef TANDEM_SYNC_PARTING_H
#define TANDEM_SYNC_PARTING_H

#include "base/conf.h"
#include "db/db.h"

typedef void parting_notice(const char *peer, void *arg);

/* Forget every peer that has no section in agent.conf: its position holds back neither statuses nor the purge any
 * more, and what only it was owed is settled. Whoever is forgotten is noticed (notice may be NULL) and logged.
 * Costs one short query when nobody has left. */
MUST_CHECK bool parting_forget(struct db *db, const struct conf *conf, parting_notice *notice, void *arg, struct err *e);
/* The peer had left and is back: the link begins anew, as by --install --peer. Costs one short query when not. */
MUST_CHECK bool parting_return(struct db *db, const struct conf *conf, const char *peer, struct err *e);

#endif
