/* How nodes number new rows: auto_increment_increment and auto_increment_offset of this server and of the
 * peers (table sync_numbering), and what must change where so that no two nodes give one number. */
#ifndef TANDEM_DB_NUMBERING_H
#define TANDEM_DB_NUMBERING_H

#include "db/db.h"

enum {
	NUMBERING_MAX = 65535 /* the server's limit of both variables */
};

/* Global values of a server. increment 0: not known. */
struct numbering {
	uint64_t increment, offset;
	uint64_t letter_case; /* lower_case_table_names */
};

struct numbered_node {
	const char *name; /* borrowed */
	struct numbering is;
};

enum numbering_state {
	NUMBERING_KEPT,	   /* as it was, or as a person has set it */
	NUMBERING_RESTORED, /* the server had lost it in a restart: set again */
	NUMBERING_LOST	   /* the same, but the account may not set it */
};

/* This server's global values now. */
MUST_CHECK bool numbering_read(struct db *db, struct numbering *out, struct err *e);
/* Remember a peer's; what is not known is not written. */
MUST_CHECK bool numbering_note(struct db *db, const char *peer, const struct numbering *n, struct err *e);
/* What is remembered of a node; increment 0 when nothing is. */
MUST_CHECK bool numbering_known(struct db *db, const char *node, struct numbering *out, struct err *e);
/* Remember this node's numbering, or, when the server was restarted without it, set it again. *is: what holds
 * now, or with NUMBERING_LOST what should hold. One statement when nothing has changed. */
MUST_CHECK bool numbering_keep(struct db *db, const char *node, enum numbering_state *state, struct numbering *is, struct err *e);

typedef void numbering_advice(const char *finding, const char *remedy, void *arg);
/* Which of the nodes must be numbered otherwise, and how: each distinct offsets below one increment. Sorts
 * nodes by name, so that every node that knows the same comes to the same advice. Returns whether nothing
 * had to be said. Pure. */
bool numbering_judge(struct numbered_node *nodes, size_t n, numbering_advice *say, void *arg);
/* What to do on a server so that it has this numbering, now and after a restart. */
void numbering_remedy(const char *node, const struct numbering *want, char *out, size_t size);

#endif
