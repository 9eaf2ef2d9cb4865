/* Hearing of changes in a tree as they happen (inotify). It only says that something changed: what, the next look finds
 * out. Where the kernel does not tell (limits, network file systems) looks come by the clock alone. */
#ifndef TANDEM_FILES_WATCH_H
#define TANDEM_FILES_WATCH_H

#include "files/tree.h"

struct watch;

enum { WATCH_PATHS_MAX = LISTING_PAGE /* names that are remembered; more: the whole tree is looked at */ };

/* t borrowed for this call: the watch keeps to the folder's path. False: no memory; a watch that hears nothing is made
 * all the same. */
MUST_CHECK bool watch_new(const struct conf_tree *t, struct watch **out, struct err *e);
void watch_free(struct watch *w);
/* Hear of every directory of the tree, also of new ones. After a look that found a tree there. */
void watch_renew(struct watch *w, const struct tree *t);
/* Has anything changed since the last time? */
bool watch_heard(struct watch *w);
/* What was heard of since the last watch_forget: paths of files, each ended by a NUL, some more than once. NULL: more than
 * that, or nothing is known of what was before. Borrowed until the next call. */
const struct buf *watch_paths(const struct watch *w);
void watch_forget(struct watch *w);
/* Does it hear of the whole tree? */
bool watch_is_whole(const struct watch *w);

#endif
