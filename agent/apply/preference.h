/* Two rows with one unique value where the table's rule is `prefer NODE`: the row that NODE wrote stays. */
#ifndef TANDEM_APPLY_PREFERENCE_H
#define TANDEM_APPLY_PREFERENCE_H

#include "db/catalog.h"
#include "db/schema.h"

enum {
	PREFERENCES_AT_ONCE = 200 /* a peer may be waiting for an answer; the next drain goes on */
};

/* Is anything open with the peer that such a rule could decide? One short query. */
MUST_CHECK bool preference_is_due(struct db *db, const char *peer, bool *due, struct err *e);
/* Decide what the peer's records and rows of here are undecided about, as a person would with --keep local, wherever
 * the row of here is the preferred node's and the peer has not accepted it. No transaction may be open. What the
 * server does not take is left to a person. Costs nothing where no table has the rule. */
MUST_CHECK bool preference_decide(struct db *db, const struct node_identity *node, const struct catalog *catalog, const char *peer, struct err *e);

#endif
