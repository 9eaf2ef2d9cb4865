/* Files that the list has under another path now: they are renamed, not made anew. Not here: what is wanted at all
 * (files/arrive), contents that stay at their old path, too (files/store takes them from there). */
#ifndef TANDEM_FILES_MOVING_H
#define TANDEM_FILES_MOVING_H

#include "files/after.h"
#include "files/store.h"
#include "files/tree.h"

struct moving;

/* Borrowed, t open for as long; placed hears of the paths first. */
MUST_CHECK bool moving_new(struct tree *t, struct placed *placed, struct moving **out, struct err *e);
void moving_free(struct moving *m);
/* Is there a file that leaves its path, unchanged since it was looked at, with the content, mode and time that row wants?
 * Then it is renamed, and *done. Nothing stands at row's path as far as it is known; what does is left alone. */
MUST_CHECK bool moving_try(struct moving *m, const struct listing_row *row, const struct store_look *look, bool *done, struct err *e);
/* Bring the renames to the disk, and then into the rows. What leaves is asked for anew after that. */
MUST_CHECK bool moving_finish(struct moving *m, struct err *e);

#endif
