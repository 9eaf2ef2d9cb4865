/* Records that a peer has refused, and key changes on their way: the decisions, pure. Not here: sync_owed
 * (change/peer), the group and the answer themselves (sync/group, sync/settle). */
#ifndef TANDEM_CHANGE_DEBT_H
#define TANDEM_CHANGE_DEBT_H

#include "change/peer.h"

/* Is an owed record in the state tried with this group, though nothing new is to be said of it? */
bool debt_is_due(const char *state, bool retry, bool fresh, bool last_part);
/* What the peer has not accepted goes along with the record's later changes. *entry: the record's, or NULL; then
 * its new one. */
MUST_CHECK bool debt_merge(struct collapse *c, const struct owed *o, struct entry **entry, struct err *e);
/* Which state follows a refusal that makes it so many attempts. counted: it was one. */
const char *debt_state(unsigned attempts, unsigned max_attempts, bool counted);

/* One step back from the record of the entry, whose key was that of old (or NULL) before, at the offset; exists: there is a
 * record under old now. *link: where that one came from in turn, or 0. */
void debt_step_back(struct entry *entry, struct entry *old, size_t key, size_t key_len, bool exists, uint64_t *link);

#endif
