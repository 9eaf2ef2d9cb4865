/* Upload folders between two nodes, the sending half: ask the peer what contents it needs, and bring them; the node that
 * has contents calls, whichever way calls go (net/shelf), so one kind of call serves both. Not here: the receiving half
 * (sync/land), the look at this node's own folders (files/tend). */
#ifndef TANDEM_SYNC_CARRY_H
#define TANDEM_SYNC_CARRY_H

#include "sync/link.h"

enum {
	CARRY_BODY_MAX = MESSAGE_BODY_MAX + MESSAGE_ENVELOPE_MAX /* of a call: some blocks and their lines */
};

struct carry_report {
	uint64_t contents; /* whole contents or blocks that were brought */
	uint64_t bytes;
	bool owed;	   /* the peer still needs something, or is busy: ask again */
};

/* Up to which change of a tree's list the peer was asked, and has answered that it needs nothing: later questions are about
 * what was told since. Of one peer; zeros: nothing is known. */
struct carry_asked_tree {
	uint64_t upto;	  /* id in the queue */
	int64_t whole_ms; /* when it was asked about the whole tree; 0: it has to be */
};
struct carry_asked {
	struct carry_asked_tree trees[CONF_TREES_MAX];
};
/* Ask about every tree of agent.conf and bring what is needed. The link is open. */
MUST_CHECK bool carry_send(struct link *l, struct carry_asked *asked, struct carry_report *out, struct err *e);

#endif
