/* Files that hold secrets. Lives here: owner, mode and kind of a file, reading and writing it whole.
 * Not here: lines and options (conf_file), keys and certificates (net/tls).
 *
 * Nothing is ever written into a file that has its name already: the text goes into a new file
 * beside it, to the disk, and then under the name, by link (which overwrites nothing) or rename. So
 * a power cut leaves the old text or the new one. */
#include "config.h"

#include "base/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/text.h"

enum {
	DRAFT_TAIL = 8,	  /* ".XXXXXX" and a NUL */
	PATH_SHOWN = 160  /* bytes of a path in a message: room is left for the message */
};

/* "PATH: text", a long path cut to its end. */
static bool fail(struct err *e, const char *path, const char *fmt, ...) PRINTF_FMT(3, 4);

static bool
fail(struct err *e, const char *path, const char *fmt, ...)
{
	size_t len = strlen(path);
	bool cut = len > PATH_SHOWN;
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(e, ERR_CONFIG, "%s%s: %s", cut ? "..." : "", cut ? path + len - PATH_SHOWN : path, text);
}

/* --- reading ---------------------------------------------------------------------------- */

static bool
judge_file(int fd, const char *path, const char *what, size_t max, size_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(e, path, "cannot be read: %s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail(e, path, "is a directory, no %s; name the file in it", what);
	if (!S_ISREG(st.st_mode))
		return fail(e, path, "is not a regular file, so no %s", what);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return fail(e, path, "belongs to user %lu, the agent runs as %lu; chown it or run as its owner",
		    (unsigned long)st.st_uid, (unsigned long)geteuid());
	if ((st.st_mode & 077) != 0)
		return fail(e, path, "%s is readable by others: chmod 600 %s", what, path);
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return fail(e, path, "is larger than %zu bytes; this is no %s", max, what);
	*size = (size_t)st.st_size;
	return true;
}

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
static bool
open_file(const char *path, const char *missing, int *fd, struct err *e)
{
	*fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (*fd >= 0)
		return true;
	if (errno == ENOENT)
		return fail(e, path, "does not exist; %s", missing);
	if (errno == ELOOP)
		return fail(e, path, "is a symbolic link; put or name the file itself");
	return fail(e, path, "cannot be opened: %s", strerror(errno));
}

bool
private_read(const char *path, const char *what, const char *missing, size_t max, char **text,
    size_t *len, struct err *e)
{
	bool ok = false;
	char *data = NULL;
	size_t size = 0, used = 0;
	ssize_t n = 1;
	int fd = -1;

	if (!open_file(path, missing, &fd, e) || !judge_file(fd, path, what, max, &size, e))
		goto out;
	data = calloc(1, size + 1);
	if (data == NULL) {
		err_set(e, ERR_MEMORY, "out of memory for %s", path);
		goto out;
	}
	while (used < size && n > 0) {
		n = read(fd, data + used, size - used);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			used += (size_t)n;
	}
	if (n < 0) {
		fail(e, path, "cannot be read: %s", strerror(errno));
		goto out;
	}
	*text = data;
	*len = used;
	data = NULL;
	ok = true;
out:
	private_free(data, size);
	if (fd >= 0)
		(void)close(fd);
	return ok;
}

void
private_free(char *text, size_t len)
{
	text_wipe(text, text == NULL ? 0 : len);
	free(text);
}

/* --- writing ---------------------------------------------------------------------------- */

/* The new name survives a power cut only when its directory is on disk too. Not every file system
 * can; then the file is there all the same. */
static void
sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	int fd = dir == NULL ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	free(dir);
}

/* A new file beside path with the data, on the disk, with like's owner and mode (like NULL: ours,
 * 0600). *draft is its name, to be freed, and to be unlinked unless it was renamed. */
static bool
write_draft(const char *path, const void *data, size_t len, const struct stat *like, char **draft,
    struct err *e)
{
	size_t size = strlen(path) + DRAFT_TAIL;
	char *name = malloc(size);
	bool ok;
	int fd;

	*draft = NULL;
	if (name == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for %s", path);
	(void)snprintf(name, size, "%s.XXXXXX", path);
	fd = mkostemp(name, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		free(name);
		return err_errno(e, ERR_CONFIG, "cannot make %s", path);
	}
	ok = (like == NULL || ((like->st_uid == geteuid() || fchown(fd, like->st_uid, (gid_t)-1) == 0) &&
	    (like->st_gid == getegid() || fchown(fd, (uid_t)-1, like->st_gid) == 0) &&
	    fchmod(fd, like->st_mode & 0700) == 0)) && disk_write(fd, data, len) && fsync(fd) == 0;
	if (!ok)
		err_errno(e, ERR_IO, "cannot write %s", path);
	if (close(fd) != 0 && ok)
		ok = err_errno(e, ERR_IO, "cannot write %s", path);
	if (!ok) {
		(void)unlink(name);
		free(name);
		return false;
	}
	*draft = name;
	return true;
}

bool
private_create(const char *path, const void *data, size_t len, bool *exists, struct err *e)
{
	struct stat st;
	char *draft;
	bool ok;

	*exists = lstat(path, &st) == 0;
	if (*exists)
		return true;
	if (!write_draft(path, data, len, NULL, &draft, e))
		return false;
	ok = link(draft, path) == 0; /* unlike rename, never over a file that somebody made meanwhile */
	*exists = !ok && errno == EEXIST;
	if (!ok && !*exists)
		err_errno(e, ERR_IO, "cannot make %s", path);
	(void)unlink(draft);
	free(draft);
	if (ok)
		sync_directory(path);
	return ok || *exists;
}

bool
private_replace(const char *path, const void *data, size_t len, struct err *e)
{
	struct stat st;
	char *draft;
	bool ok;

	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_CONFIG, "%s is no file that can be replaced", path);
	if (!write_draft(path, data, len, &st, &draft, e))
		return false;
	ok = rename(draft, path) == 0;
	if (!ok) {
		err_errno(e, ERR_IO, "cannot replace %s", path);
		(void)unlink(draft);
	}
	free(draft);
	if (ok)
		sync_directory(path);
	return ok;
}
