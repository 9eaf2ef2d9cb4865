/* Records that a peer has refused, and key changes on their way: the decisions, pure. Not here: sync_owed
 * (change/peer), the group and the answer themselves (sync/group, sync/settle). */
#ifndef TANDEM_CHANGE_DEBT_H
#define TANDEM_CHANGE_DEBT_H

#include "change/peer.h"

/* A group about to be built, for what is owed. */
struct debt_group {
	uint64_t acked, base, upto; /* epochs; base: what the group follows, acked unless it is sent ahead of an answer */
	bool retry;	/* what was refused is tried again */
	bool fresh;	/* upto is made by this group */
	bool last_part;
};
/* Is an owed record in the state tried with this group, though nothing new is to be said of it? One that went out in a
 * group whose answer has not come goes with each later one from the same base: whichever of them the peer takes, its
 * answer speaks of the record. */
bool debt_is_due(const struct debt_group *g, const char *state, uint64_t sent_epoch);
/* The epoch that an owed record counts as sent with: the first of the groups without an answer that carry it; 0: it is
 * in none of them. sent: this group carries it. */
uint64_t debt_sent_epoch(const struct debt_group *g, uint64_t before, bool sent);
/* Does the answer to the group after from, up to upto, speak of it? named: it names it as refused. */
bool debt_is_answered(uint64_t sent_epoch, uint64_t from, uint64_t upto, bool named);
/* What the peer has not accepted goes along with the record's later changes. *entry: the record's, or NULL; then
 * its new one. */
MUST_CHECK bool debt_merge(struct collapse *c, const struct owed *o, struct entry **entry, struct err *e);
/* The same in three parts, where more than the owed record is added: what the entry (or NULL) was before; the owed
 * record, with what it tells of its columns (NULL: all of them); what is known of the entry now. */
struct debt_before {
	uint64_t newest, link;
	bool decided, came;
};
struct debt_before debt_before(const struct entry *entry, const struct owed *o);
MUST_CHECK bool debt_add(struct collapse *c, const struct owed *o, const struct buf *told, struct err *e);
void debt_note(struct entry *entry, const struct owed *o, const struct debt_before *before);
/* What a peer has under the key that an owed record came from, where another key has been left for the record's since: its
 * end goes by itself, since the group tells of the other key. The change that holds the key; 0: there is none. Another key
 * it is only where before->link holds another one: who told of the move twice has left one key. */
uint64_t debt_forsaken(const struct debt_before *before, const struct owed *o);
/* Which state follows a refusal that makes it so many attempts. counted: it was one. */
const char *debt_state(unsigned attempts, unsigned max_attempts, bool counted);

/* One step back from the record of the entry, whose key was that of old (or NULL) before, at the offset; exists: there is a
 * record under old now. *link: the change that left that key; then where the record came from in turn, or 0. */
void debt_step_back(struct entry *entry, struct entry *old, size_t key, size_t key_len, bool exists, uint64_t *link);
/* The record is gone, and the peer may have it under the key from before, whose end nothing else tells. */
bool debt_left_behind(const struct entry *entry);

#endif
