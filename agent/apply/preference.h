/* Two rows with one unique value where the table's rule is `prefer NODE`: the row that NODE wrote stays. */
#ifndef TANDEM_APPLY_PREFERENCE_H
#define TANDEM_APPLY_PREFERENCE_H

#include "change/trace.h"
#include "db/schema.h"

enum {
	PREFERENCES_AT_ONCE = 200 /* a peer may be waiting for an answer; the next drain goes on */
};

enum preference { PREFERENCE_ASK, PREFERENCE_OURS, PREFERENCE_THEIRS };
/* Which row stays: the peer's record, which the node wrote, or ours, of which the queue knows that much? Pure. */
enum preference preference_of(const char *preferred, const char *node, const struct trace *ours);
/* What the queue knows of rows of the table that the peer may not have accepted; to be freed. */
MUST_CHECK bool preference_trace(struct db *db, const char *self, const char *table, const char *peer, const struct digest_list *rows, struct trace **out, struct err *e);

/* Is anything open with the peer that such a rule could decide? One short query. */
MUST_CHECK bool preference_is_due(struct db *db, const char *peer, bool *due, struct err *e);
/* Decide what the peer's records and rows of here are undecided about, as a person would with --keep local, wherever
 * the row of here is the preferred node's and the peer has not accepted it. No transaction may be open. What the
 * server does not take is left to a person. Costs nothing where no table has the rule. */
MUST_CHECK bool preference_decide(struct db *db, const struct node_identity *node, const struct catalog *catalog, const char *peer, struct err *e);

#endif
