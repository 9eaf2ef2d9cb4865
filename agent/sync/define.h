/* Tables that are missing here, created from a peer's definitions (--startup --create-tables). */
#ifndef TANDEM_SYNC_DEFINE_H
#define TANDEM_SYNC_DEFINE_H

#include "sync/link.h"

/* Create what agent.conf's tables name, the peer has and this node's database has not; foreign keys after all tables.
 * ERR_INPUT: a definition that is not let through (db/blueprint), before anything of that table is created. The link
 * must be open. */
MUST_CHECK bool define_missing(struct link *l, uint64_t *created, struct err *e);
/* Name those tables, and create none. */
MUST_CHECK bool define_look(struct link *l, void (*visit)(const char *table, void *arg), void *arg, struct err *e);
/* The same, whatever their definitions say. */
MUST_CHECK bool define_list(struct link *l, void (*visit)(const char *table, void *arg), void *arg, struct err *e);

#endif
