/* The mark of a tree: ROOT/.sync/tree with a random id and a generation. A root without it, or with
 * another one, is not the tree (not mounted, replaced, restored): then nothing is deleted anywhere.
 * The agent makes it once, when a person sets the tree up, and never again by itself; its generation rises. Also here: the
 * lock that lets one agent at a time work on a tree. */
#ifndef TANDEM_FILES_MARKER_H
#define TANDEM_FILES_MARKER_H

#include "files/beneath.h"

enum {
	MARKER_ID_BYTES = 16
};

struct marker {
	unsigned char id[MARKER_ID_BYTES];
	uint64_t generation;
};

/* .sync (0700) with trash, conflict and tmp in it, and a new mark, generation 1. An old mark is kept
 * and read. Only for the verb that sets a tree up. */
MUST_CHECK enum fate marker_make(const struct beneath *b, struct marker *out, struct err *e);
/* The same mark with another generation, on the disk when this returns. */
MUST_CHECK enum fate marker_raise(const struct beneath *b, const struct marker *m, struct err *e);
/* FATE_OFFLINE when there is none or it cannot be understood. */
MUST_CHECK enum fate marker_read(const struct beneath *b, struct marker *out, struct err *e);
/* Take the tree for this process: FATE_BUSY when another agent has it. Until the descriptor closes. */
MUST_CHECK enum fate marker_lock(const struct beneath *b, int *fd, struct err *e);
/* Does root lie in one of the others, or one of them in root? Pure; both absolute, without links. */
bool marker_nested(const char *root, const char *other);

#endif
