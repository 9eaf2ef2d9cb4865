/* Links that begin anew, and whether this node's positions still are its own. Tables sync_renewal, sync_witness. */
#ifndef TANDEM_CHANGE_RENEWAL_H
#define TANDEM_CHANGE_RENEWAL_H

#include "change/peer.h"
#include "db/catalog.h"

enum { RENEWAL_ID_LEN = 32 /* hex digits */ };

struct renewal {
	char id[RENEWAL_ID_LEN + 1]; /* "" = none */
	bool told;   /* the peer knows of it */
	bool needed; /* a person has to begin the link anew */
	bool left;   /* it was a peer, and its section of agent.conf went: the link begins anew when it is back */
};

MUST_CHECK bool renewal_load(struct db *db, const char *peer, struct renewal *out, struct err *e);
/* The peer knows of it. */
MUST_CHECK bool renewal_told(struct db *db, const char *peer, const char *id, struct err *e);
/* Begin the link with the peer anew, in one transaction: positions and debts are forgotten, everything captured up
 * to now counts as said, and all tables of c (NULL: none, a startup compares them) are marked, to be compared and
 * merged before anything more is sent. id:
 * the beginning that the peer names, NULL: a new one (a person's). One that was taken before changes nothing;
 * *news = false. */
MUST_CHECK bool renewal_begin(struct db *db, const struct catalog *c, const char *peer, const char *id, bool *news, struct err *e);

/* The peer is none any more: positions and debts are forgotten, and that there was a link is remembered. In the
 * caller's transaction. */
MUST_CHECK bool renewal_leave(struct db *db, const char *peer, struct err *e);
/* Has any peer left, and not come back? */
MUST_CHECK bool renewal_any_left(struct db *db, bool *any, struct err *e);
/* A mark of all that is visible, in a transaction of its own. */
MUST_CHECK bool renewal_mark_all(struct db *db, struct err *e);

/* Note which tables the sync schema has now. */
MUST_CHECK bool witness_note(struct db *db, struct err *e);
/* Are they the ones that were noted? If not (a dump was loaded, a table emptied), the node gets another incarnation
 * at once, so that no peer takes its positions for the old ones, and every link is held until a person begins it
 * anew. node: its incarnation is read
 * anew. Silent where the account that installed may not see the ids. */
MUST_CHECK bool witness_check(struct db *db, struct node_identity *node, struct err *e);
/* Cheap: only read the incarnation again; another connection of this node's agents may have found it changed. */
MUST_CHECK bool witness_reread(struct db *db, struct node_identity *node, struct err *e);

#endif
