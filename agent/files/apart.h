/* Conflicts that the queue has kept of a folder's list and that are nobody's to decide: the rows differ, the contents do not,
 * or only one side has changed the content. Not here: conflicts of contents (files/tell). */
#ifndef TANDEM_FILES_APART_H
#define TANDEM_FILES_APART_H

#include "files/tree.h"

/* Decide them: the content of the side that changed it, the permissions of the other. Does nothing but in a two-way tree. */
MUST_CHECK bool apart_mend(struct tree *t, struct err *e);

#endif
