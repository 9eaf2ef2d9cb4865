/* Where displaced objects go: ROOT/.sync/trash, and ROOT/.sync/conflict for what lost a conflict. A batch
 * is one folder in it, named by date and reason, and what is put in keeps its own path there, so that a
 * person finds it without the database: .sync/trash/2026-11-21_163000_deleted/photos/a.jpg.
 * Which content lies where, by hash, is the database's business. */
#ifndef TANDEM_FILES_TRASH_H
#define TANDEM_FILES_TRASH_H

#include "base/buf.h"
#include "files/beneath.h"

enum trash_area { TRASH_DELETED, TRASH_CONFLICT }; /* .sync/trash, .sync/conflict */

struct trash;

/* A batch: what one pass displaces for one reason (letters and hyphens). Its folder is made with the
 * first object. wall_us: now. */
MUST_CHECK bool trash_new(const struct beneath *b, enum trash_area area, const char *reason, int64_t wall_us, struct trash **out, struct err *e);
void trash_free(struct trash *t);
/* Its first folder, a path beneath the root. */
const char *trash_folder(const struct trash *t);
/* Move what stands at from (in the tree, or a temporary in .sync) into the batch, under the path it had in
 * the tree. name gets where it is now, a path beneath the root. A directory goes with all in it. facts
 * (may be NULL) are those after the move: an old inode that somebody still writes to shows by them. */
MUST_CHECK enum fate trash_put(struct trash *t, const char *from, const char *path, struct buf *name, struct file_facts *facts, struct err *e);
/* Put it back where it was, or at another path; FATE_EXISTS when something stands there. */
MUST_CHECK enum fate trash_restore(const struct beneath *b, const char *name, const char *path, mode_t directories, struct err *e);

/* May this object be removed for good? For one that was written to after it was put there: no. */
typedef bool trash_may_go(void *arg, const char *name, const struct file_facts *facts);
struct trash_purged {
	uint64_t files, bytes, kept;
};
/* Remove batches of the area whose date is older than before_us. may_go NULL: all of it. */
MUST_CHECK enum fate trash_purge(const struct beneath *b, enum trash_area area, int64_t before_us, trash_may_go *may_go, void *arg, struct trash_purged *out, struct err *e);

#endif
