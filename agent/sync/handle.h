/* What a node does with a peer's calls: hello, and the pieces of groups. On a thread that owns a connection to the
 * database, whichever way a call came: over a request (sync/receive) or fetched (sync/fetch). */
#ifndef TANDEM_SYNC_HANDLE_H
#define TANDEM_SYNC_HANDLE_H

#include "db/schema.h"
#include "wire/message.h"
#include "wire/sign.h"
#include "wire/spool.h"

struct applier;

/* A connection, with the identity read through it. */
struct handler {
	const struct conf *conf; /* borrowed; all else is handle.c's */
	struct db *db;
	struct node_identity node;
	struct applier *applier; /* where groups are applied or judged */
	int64_t witness_at;	 /* is the sync schema still this node's? not before */
};

/* Connects if it is not connected, or has lost its connection. */
MUST_CHECK bool handler_connect(struct handler *h, struct err *e);
void handler_disconnect(struct handler *h);

/* Why a call is turned away before any work. */
struct turned_away {
	int status;
	const char *code;
	char text[ERR_MSG_MAX];
};

/* Read a hello of peer. False: answer with *no. */
MUST_CHECK bool handle_read_hello(const void *body, size_t len, const char *peer, struct hello *out, struct turned_away *no);
struct greeting {
	const char *peer;
	const struct hello *hello;
	const char *session; /* that it hands out */
};
/* 200 and the welcome, with the kept answer behind it; or 409 and why the link waits. */
MUST_CHECK bool handle_hello(struct handler *h, const struct greeting *g, int *status, struct buf *answer, struct err *e);
/* The whole group that peer has sent; the second only judges it. As apply_group (apply/apply.h). */
typedef bool handle_spool(struct handler *h, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e);
MUST_CHECK bool handle_group(struct handler *h, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e);
MUST_CHECK bool handle_rehearsal(struct handler *h, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e);
/* How a failure of these is answered: 422 (theirs) or 503, and its code. */
int handle_failure(const struct err *e, const char **code);

/* The pieces of the group that a peer is sending. */
struct gathering {
	const char *directory; /* state_dir; borrowed. The rest is zero in the beginning */
	char session[SIGN_SESSION_MAX];
	struct spool *spool;
	uint64_t pieces;
};

enum gathered {
	GATHERED_MORE,	 /* there is more to come */
	GATHERED_WHOLE,	 /* the spool is whole, and the caller's who takes it out */
	GATHERED_MISSING /* the pieces before it are not here (the agent was restarted) */
};
/* Take one piece. */
MUST_CHECK bool gather_piece(struct gathering *g, const char *session, const void *body, size_t len, enum gathered *out, struct err *e);
void gather_free(struct gathering *g);

#endif
