/* What changed in a tree here goes into its list, and with it to the peers. Not here: looking (files/scan). */
#ifndef TANDEM_FILES_TELL_H
#define TANDEM_FILES_TELL_H

#include "files/tree.h"

struct tell_report {
	uint64_t told;
	bool held; /* too much at once: nothing was told; sync_tree says why */
	bool alike; /* folder and list: there is nothing to do in either direction */
};

/* After a look. Does nothing where this node is not where the files come from. */
MUST_CHECK bool tell_run(struct tree *t, struct tell_report *out, struct err *e);
/* May so many deletions and changes go through, or does a person have to look first? Holds the tree, or lets it go. */
MUST_CHECK bool tell_brake(struct tree *t, uint64_t known, uint64_t deleted, uint64_t changed, bool *held, struct err *e);

#endif
