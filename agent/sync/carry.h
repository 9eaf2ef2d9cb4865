/* Upload folders between two nodes. The sending half: ask the peer what contents it needs, and bring them; the node that
 * has contents calls, whichever way calls go (net/shelf), so one kind of call serves both. The receiving half: what a peer
 * asks and brings. And the look at this node's own folders. */
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

/* Look at all trees here, tell their lists, put right what needs no peer. Peers are told with the next call
 * what is missing. Errors of one tree are logged and stand in sync_tree; false is the database's. */
struct carry_look {
	bool changed; /* something is to be told */
	bool held;    /* a tree waits for a person */
	bool wants;   /* contents are missing here */
	bool busy;    /* files that are being written, or a tree that another agent works in: look again soon */
};
MUST_CHECK bool carry_look_here(struct db *db, const struct conf *conf, int64_t wait_ms, struct carry_look *out, struct err *e);
/* The same at one tree. w: watches its directories, new ones included, before the look; may be NULL. Adds to *out. */
struct watch;
MUST_CHECK bool carry_look_one(struct db *db, const struct conf *conf, const struct conf_tree *c, struct watch *w, int64_t wait_ms, struct carry_look *out, struct err *e);

/* A peer's call. A folder into which a large content comes stays open between calls of one worker. */
struct landing;
MUST_CHECK bool landing_new(const struct conf *conf, struct landing **out, struct err *e);
void landing_free(struct landing *l);
/* Does this call bring contents? Then what it is answered says nothing of them: the next question does. */
bool landing_is_put(const char *body, size_t len);
MUST_CHECK bool landing_take(struct landing *l, struct db *db, const char *body, size_t len, struct buf *answer, struct err *e);

#endif
