/* Conflicts that the queue has kept of a folder's list and that are nobody's to decide: the rows differ, the contents do not,
 * or only one side has changed the content. Not here: conflicts of contents (files/tell). */
#ifndef TANDEM_FILES_APART_H
#define TANDEM_FILES_APART_H

#include "files/tree.h"

/* Decide them: the content of the side that changed it, the permissions of the other. Does nothing but in a two-way tree. */
MUST_CHECK bool apart_mend(struct tree *t, struct err *e);
/* The same of the newest alone, before anything is taken by the list; *upto: the last one. */
MUST_CHECK bool apart_mend_news(struct tree *t, uint64_t *upto, struct err *e);
/* Has one been kept since? Then what the list says of a path may not be what it will say in a moment. */
MUST_CHECK bool apart_since(struct tree *t, uint64_t upto, bool *any, struct err *e);

#endif
