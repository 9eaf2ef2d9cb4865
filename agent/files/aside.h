/* What was put aside without being known by its content: read, so that it can come back from there. The list may name it: a
 * file that was noticed and told, and then had to give way to one that was on its way already. */
#ifndef TANDEM_FILES_ASIDE_H
#define TANDEM_FILES_ASIDE_H

#include "files/tree.h"

/* name: a file or a directory in .sync/trash or .sync/conflict, a path beneath the root; nothing there is nothing to do. What
 * cannot be read, or is being written still, is left out. */
MUST_CHECK bool aside_remember(const struct beneath *root, struct listing *list, const char *name, struct err *e);

#endif
