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
/* After a look at paths alone, of which ids (at most LISTING_PAGE) are those. Files that the list does not have are told;
 * there is nothing for the brake to count. *wide: something else is among them, and nothing was told. */
MUST_CHECK bool tell_new(struct tree *t, const unsigned char *ids, size_t n, struct tell_report *out, bool *wide, struct err *e);
/* May so many deletions and changes go through, or does a person have to look first? Holds the tree, or lets it go. */
MUST_CHECK bool tell_brake(struct tree *t, uint64_t known, uint64_t deleted, uint64_t changed, bool *held, struct err *e);

#endif
