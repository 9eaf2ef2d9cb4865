/* A folder of its own for a unit test, removed afterwards; and files in it. */
#ifndef TANDEM_TESTS_SCRATCH_H
#define TANDEM_TESTS_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int
scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

/* A new folder; free the name with scratch_drop. In TMPDIR, else in memory, else /tmp. */
static inline char *
scratch_new(void)
{
	const char *where = getenv("TMPDIR");
	char name[4096];

	if (where == NULL)
		where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(name, sizeof name, "%s/tandem-unit-XXXXXX", where);
	return mkdtemp(name) == NULL ? NULL : strdup(name);
}

static inline void
scratch_drop(char *folder)
{
	if (folder != NULL)
		(void)nftw(folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(folder);
}

/* FOLDER/NAME in a buffer that the next call takes again. */
static inline const char *
scratch_path(const char *folder, const char *name)
{
	static char path[8192];

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

/* Write text to FOLDER/NAME, over what is there. */
static inline int
scratch_write(const char *folder, const char *name, const char *text)
{
	int fd = open(scratch_path(folder, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		(void)close(fd);
	return ok;
}

/* Does FOLDER/NAME hold exactly text? */
static inline int
scratch_holds(const char *folder, const char *name, const char *text)
{
	char got[4096];
	int fd = open(scratch_path(folder, name), O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof got);

	if (fd >= 0)
		(void)close(fd);
	return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

#endif
