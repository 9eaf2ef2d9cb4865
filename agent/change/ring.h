/* Who is linked to whom, as far as nodes have told each other, and whether a link of ours closes a ring. */
#ifndef TANDEM_CHANGE_RING_H
#define TANDEM_CHANGE_RING_H

#include "base/buf.h"
#include "base/conf.h"
#include "db/db.h"

enum {
	RING_CLAIMS_MAX = 512,	      /* of all nodes together; twenty spokes make forty */
	RING_LINKS_MAX = 16 * 1024,   /* the text that names them */
	RING_TEXT_MAX = 400	      /* a sentence with the nodes of a ring */
};

/* One node's word that it is linked to another. */
struct ring_claim {
	char told_by[CONF_NAME_MAX + 1]; /* "" = this node itself */
	char claimant[CONF_NAME_MAX + 1];
	char other[CONF_NAME_MAX + 1];
	uint64_t since; /* milliseconds since 1970 */
};

/* Does the link between self and peer close a ring? A link counts when neither of its nodes is known not to have it; of
 * each ring the newest link closes it. Pure; every node that knows the same finds the same. path: "" or the nodes of
 * the ring, in order. */
void ring_find(const struct ring_claim *claims, size_t n, const char *self, const char *peer, char path[RING_TEXT_MAX]);

/* The text for a peer: "claimant>other@since", with semicolons between. Notes that this node is linked to the peer. */
MUST_CHECK bool ring_put(struct db *db, const struct conf *conf, const char *peer, char out[RING_LINKS_MAX], struct err *e);
/* What the peer has told takes the place of what it told before. What is malformed in it is left out. */
MUST_CHECK bool ring_take(struct db *db, const char *self, const char *peer, const char *text, struct err *e);
/* The link waits for nothing of the kind any more. */
MUST_CHECK bool ring_release(struct db *db, const char *peer, struct err *e);
/* As ring_find, with what is known. reason: "" or a sentence with what to do. */
MUST_CHECK bool ring_check(struct db *db, const struct conf *conf, const char *peer, char reason[RING_TEXT_MAX], struct err *e);

#endif
