/* Paths beneath the root of a tree. The root is opened once; from then on every path is resolved by
 * the kernel beneath that descriptor, through no symbolic link, so that no name, link or race leads
 * outside. A path here is relative, without a / at either end, its parts parted by one / each, none
 * of them empty, . or ..; any other byte may stand in it. "" is the root itself, where allowed.
 * The folder .sync in the root is the agent's own: these functions reach it like any other; walks
 * leave it out. Not here: what stands in .sync (marker, trash, store). */
#ifndef TANDEM_FILES_BENEATH_H
#define TANDEM_FILES_BENEATH_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/disk.h" /* struct file_facts */
#include "base/err.h"
#include "files/fate.h"

#define BENEATH_OWN ".sync" /* the agent's own folder in the root */

enum {
	BENEATH_NAME_MAX = 255,	 /* bytes of one part; what Linux file systems have */
	BENEATH_PATH_MAX = 4096	 /* bytes of a path; the manifest's column */
};

struct beneath;

/* Open the root, an absolute path. FATE_OFFLINE when it is not there or no directory. */
MUST_CHECK enum fate beneath_open(const char *root, struct beneath **out, struct err *e);
void beneath_close(struct beneath *b);
/* As given to beneath_open. Borrowed. */
const char *beneath_path(const struct beneath *b);
/* The root's descriptor, for tools that need one. */
int beneath_descriptor(const struct beneath *b);
/* Does the root's path still lead to the directory that was opened (nothing mounted over it, not
 * renamed away)? */
bool beneath_still_there(const struct beneath *b);
/* The file system of the root: st_dev and f_fsid, to be remembered and compared. */
void beneath_filesystem(const struct beneath *b, uint64_t *dev, uint64_t *fsid);
/* Walk by components even where openat2 is there; for tests. */
void beneath_without_openat2(struct beneath *b);

/* Is it a path as above, no part longer than BENEATH_NAME_MAX, not in .sync? From a peer nothing else
 * may be taken. */
bool beneath_path_ok(const char *path, size_t len);

/* As open(2) beneath the root; O_NOFOLLOW, O_CLOEXEC and O_NONBLOCK are added. *fd to be closed. */
MUST_CHECK enum fate beneath_file(const struct beneath *b, const char *path, int flags, mode_t mode, int *fd, struct err *e);
/* The directory that path lies in; *leaf points to its last part. make: missing directories are made
 * with that mode (0: not). *fd to be closed. */
MUST_CHECK enum fate beneath_parent(const struct beneath *b, const char *path, mode_t make, int *fd, const char **leaf, struct err *e);

/* Look without following a link. */
MUST_CHECK enum fate beneath_look(const struct beneath *b, const char *path, struct file_facts *out, struct err *e);
/* Where a symbolic link points: out has room for BENEATH_PATH_MAX + 1 bytes and gets a NUL. */
MUST_CHECK enum fate beneath_link(const struct beneath *b, const char *path, char *out, struct err *e);
/* Does a link at path with that target stay inside the tree? Pure: relative and not above the root. */
bool beneath_link_stays(const char *path, const char *target);
MUST_CHECK enum fate beneath_make_link(const struct beneath *b, const char *path, const char *target, struct err *e);

/* The names in a directory, in no order, each with its NUL; without . and .. */
MUST_CHECK enum fate beneath_list(const struct beneath *b, const char *directory, struct buf *names, struct err *e);

/* Make one directory; its parents must be there. FATE_EXISTS when something is. */
MUST_CHECK enum fate beneath_make_directory(const struct beneath *b, const char *path, mode_t mode, struct err *e);
/* Make a directory somebody's, which root alone may. */
MUST_CHECK enum fate beneath_give_directory(const struct beneath *b, const char *path, uid_t owner, gid_t group, struct err *e);
/* Remove an empty directory (FATE_EXISTS when it is not), or a file. Content of people goes to the
 * trash instead (trash.h). */
MUST_CHECK enum fate beneath_remove_directory(const struct beneath *b, const char *path, struct err *e);
MUST_CHECK enum fate beneath_remove_file(const struct beneath *b, const char *path, struct err *e);

enum beneath_move {
	MOVE_NEW,     /* FATE_EXISTS when something stands at to; never overwrites */
	MOVE_OVER,    /* of our own files: to is overwritten */
	MOVE_EXCHANGE /* both must be there; they change places, whatever they are */
};
/* Rename inside the tree. Where the file system cannot exchange, it is done in two steps: what stands
 * at to goes to from's name by way of a third one. */
MUST_CHECK enum fate beneath_move(const struct beneath *b, const char *from, const char *to, enum beneath_move how, struct err *e);
/* fsync of the directory ("" the root): names in it survive a power cut. */
MUST_CHECK enum fate beneath_sync(const struct beneath *b, const char *directory, struct err *e);

#endif
