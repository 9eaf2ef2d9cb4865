/* The log file. Lives here: opening, appending, putting aside. Not here: what a line says (base/log). */
#include "base/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"

enum {
	LOG_MODE = 0600,    /* lines name tables, records and addresses */
	SUFFIX_MAX = 16,    /* ".1000" and a NUL */
	AGAIN_PART = 8	    /* after a failure it is tried again when the file has grown by this part of its limit */
};

struct logfile {
	pthread_mutex_t lock;
	char *path;
	uint64_t max;
	unsigned keep;
	int fd;
	struct stat is; /* of fd */
	uint64_t aside_at; /* size from which it is put aside */
};

static bool
open_one(const char *path, int *fd, struct stat *is, struct err *e)
{
	/* O_NONBLOCK: a FIFO in the file's place must not stop us at start. */
	*fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, LOG_MODE);
	if (*fd < 0 && errno == ELOOP)
		return err_set(e, ERR_CONFIG, "log file %s is a symbolic link; name the file itself in [log] target", path);
	if (*fd < 0)
		return err_errno(e, ERR_CONFIG, "cannot write the log file %s of [log] target", path);
	if (fstat(*fd, is) == 0 && S_ISREG(is->st_mode))
		return true;
	(void)close(*fd);
	*fd = -1;
	return err_set(e, ERR_CONFIG, "log file %s is not a regular file; change [log] target", path);
}

bool
logfile_open(const char *path, uint64_t max_bytes, unsigned keep, struct logfile **out, struct err *e)
{
	struct logfile *f = calloc(1, sizeof *f);

	*out = NULL;
	if (f == NULL || (f->path = strdup(path)) == NULL) {
		free(f);
		return err_set(e, ERR_MEMORY, "out of memory for the log");
	}
	f->max = f->aside_at = max_bytes;
	f->keep = keep;
	if (!open_one(path, &f->fd, &f->is, e)) {
		free(f->path);
		free(f);
		return false;
	}
	(void)pthread_mutex_init(&f->lock, NULL);
	*out = f;
	return true;
}

void
logfile_close(struct logfile *f)
{
	if (f == NULL)
		return;
	(void)close(f->fd);
	(void)pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f);
}

/* Go on with what has the name now, made when nothing has. What cannot be opened is no reason to lose the old one. */
static void
renew(struct logfile *f)
{
	struct stat is;
	int fd;

	if (!open_one(f->path, &fd, &is, NULL))
		return;
	(void)close(f->fd);
	f->fd = fd;
	f->is = is;
	f->aside_at = f->max;
}

static bool
is_ours(const struct logfile *f, struct stat *now)
{
	return lstat(f->path, now) == 0 && now->st_dev == f->is.st_dev && now->st_ino == f->is.st_ino;
}

/* PATH.n becomes PATH.(n + 1), from the end; PATH.0 is PATH. */
static bool
shift(const struct logfile *f)
{
	size_t size = strlen(f->path) + SUFFIX_MAX;
	char *from = malloc(size), *to = malloc(size);
	bool ok = from != NULL && to != NULL;

	for (unsigned n = f->keep; ok && n > 0; n--) {
		(void)snprintf(from, size, n == 1 ? "%s" : "%s.%u", f->path, n - 1);
		(void)snprintf(to, size, "%s.%u", f->path, n);
		ok = rename(from, to) == 0 || (n > 1 && errno == ENOENT);
	}
	free(from);
	free(to);
	return ok;
}

/* Under a lock on the file itself: another program may be at it, and then it is not ours any more. */
static void
put_aside(struct logfile *f)
{
	struct stat now;
	bool done;

	while (flock(f->fd, LOCK_EX) != 0)
		if (errno != EINTR)
			return;
	done = !is_ours(f, &now) || (f->keep == 0 ? unlink(f->path) == 0 : shift(f));
	(void)flock(f->fd, LOCK_UN);
	if (done)
		renew(f);
	else
		f->aside_at = (uint64_t)now.st_size + f->max / AGAIN_PART;
}

void
logfile_put(struct logfile *f, const char *line, size_t len)
{
	struct stat now;

	(void)pthread_mutex_lock(&f->lock);
	if (!is_ours(f, &now))
		renew(f);
	else if (f->max > 0 && (uint64_t)now.st_size > 0 && (uint64_t)now.st_size + len > f->aside_at)
		put_aside(f);
	(void)disk_write(f->fd, line, len);
	(void)pthread_mutex_unlock(&f->lock);
}
