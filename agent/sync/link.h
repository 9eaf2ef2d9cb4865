/* The conversation with one peer. */
#ifndef TANDEM_SYNC_LINK_H
#define TANDEM_SYNC_LINK_H

#include <stdatomic.h>

#include "net/client.h"
#include "sync/group.h"

struct link {
	const struct conf *conf;
	const struct conf_peer *peer;
	const struct node_identity *node;
	const atomic_bool *stop;
	struct db *db; /* borrowed */
	struct client *client;
	struct shelf *shelf; /* where the peer fetches what is for it, or NULL; borrowed */
	struct guest *guest; /* the same in the daemon that runs beside this process (net/hatch) */
	char told[RING_LINKS_MAX]; /* of links, in the last hello */
	bool rehearsing; /* nothing is noted here or there, whatever is said */
	bool fetching;	 /* the same, and only who the peer is matters: positions are the fetched calls' business */
	bool filling; /* this node fills itself: where the link begins anew, the peer need not compare */
	bool anew_helps; /* the last ERR_HELD was one that ends when the link begins anew */
};

/* Make sure that there is a session: hello if there is none. Checks who the peer is and whom it takes us
 * for, both clocks, and takes in an answer that got lost. ERR_HELD: the link waits for a person. */
MUST_CHECK bool link_open(struct link *l, struct err *e);
/* Send all pieces of a group. Touches neither the database nor the group's marks, so that it may run beside
 * the building of another group. On true, *status and answer are the peer's signed ones. */
MUST_CHECK bool link_send(struct link *l, struct group *g, int *status, struct buf *answer, struct err *e);
/* 409: the peer stands elsewhere than the group assumes; a new hello tells where. */
bool link_is_elsewhere(int status, const struct buf *answer);
/* Has anything changed of what is told of links? Then the next call is a hello, which goes before the changes. */
MUST_CHECK bool link_tell_links(struct link *l, struct err *e);
/* A signed answer that is not 200, in the peer's words. Returns false. */
bool link_refused(struct link *l, int status, const struct buf *answer, struct err *e);
/* Note that the link waits for a person, with e's message. Returns false. */
bool link_hold(struct link *l, struct err *e);
/* The same where positions or identities do not fit: adds the command that begins the link anew. */
bool link_hold_until_anew(struct link *l, struct err *e);

#endif
