/* How something that was tried with one path ended. One bad path must not stop the others, so these
 * ends are values of their own beside struct err: the caller parks the path, holds the tree or goes
 * on by the value, and shows the message. Not here: doing anything. */
#ifndef TANDEM_FILES_FATE_H
#define TANDEM_FILES_FATE_H

#include "base/err.h"

enum fate {
	FATE_DONE,
	FATE_GONE,	/* no such file or directory (any more) */
	FATE_EXISTS,	/* something stands where nothing should, or a directory is not empty */
	FATE_BUSY,	/* a program has it open for writing, or somebody else has the lock */
	FATE_CHANGED,	/* it changed while it was looked at */
	FATE_ESCAPES,	/* a symbolic link or .. on the way: the path would leave the tree */
	FATE_BAD_NAME,	/* no path of a tree: absolute, empty parts, . or .. */
	FATE_TOO_LONG,	/* the file system cannot have such a name */
	FATE_KIND,	/* a directory where a file was meant, a device, a socket */
	FATE_DENIED,	/* the agent's user may not */
	FATE_READ_ONLY, /* the file system is mounted read-only */
	FATE_FULL,	/* disk or quota */
	FATE_CORRUPT,	/* the content is not what its hash says */
	FATE_OFFLINE,	/* the tree is not there: not mounted, replaced, marker missing */
	FATE_FAILED,	/* anything else: EIO, no memory, no descriptors */
	FATES
};

/* What an errno means. */
enum fate fate_of_errno(int error);
/* "gone", "no room", ...: one word or two for JSON, log and page. */
const char *fate_word(enum fate f);

/* Set e to "WHAT PATH: why" from errno, the path escaped and cut to its end, and return what errno
 * means. what is like "cannot open". */
enum fate fate_errno(struct err *e, const char *what, const char *path);
/* The same where no errno tells it. */
enum fate fate_set(struct err *e, enum fate f, const char *what, const char *path);

#endif
