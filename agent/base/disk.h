/* Files: writing all of something, and what Linux offers beyond POSIX. Lives here: the calls themselves and what
 * stands in for them elsewhere (ENOSYS, or the plain way). Not here: which path, whose tree (files/). Each function sets errno. */
#ifndef TANDEM_BASE_DISK_H
#define TANDEM_BASE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the file system says of one object. Times in nanoseconds since 1970. */
struct file_facts {
	char type; /* f, d, l; c, b, p, s for what is never carried */
	bool mount; /* another file system, or another part of one, is mounted here */
	unsigned mode; /* permission bits with setuid, setgid and sticky */
	unsigned uid, gid;
	unsigned links;
	uint64_t dev, ino, size;
	uint64_t allocated; /* bytes on the disk: less than size where there are holes */
	int64_t mtime_ns, ctime_ns;
};

/* All of it, at the end or at a place. ENOSPC when a part alone went in. */
bool disk_write(int fd, const void *data, size_t len);
bool disk_write_at(int fd, const void *data, size_t len, uint64_t at);

/* A name in an open directory, links not followed; name "": the open file itself. */
bool disk_look(int directory, const char *name, struct file_facts *out);
/* openat2 beneath directory, through no symbolic link. ENOSYS: do it part by part. */
int disk_open_beneath(int directory, const char *path, int flags, mode_t mode);
/* Rename that never overwrites, and one in which both change places. EINVAL or ENOSYS: not on this file system. */
bool disk_rename_new(int from_dir, const char *from, int to_dir, const char *to);
bool disk_exchange(int a_dir, const char *a, int b_dir, const char *b);
/* Has nobody the file open for writing (also as a map)? False with EAGAIN: somebody has; with another
 * errno: it cannot be told. fd was opened for reading alone. */
bool disk_no_writer(int fd);
/* Where data begins and the hole behind it, from at on. No data behind at: ENXIO. Where holes cannot be seen all
 * is data. */
bool disk_data(int fd, uint64_t at, uint64_t size, uint64_t *begin, uint64_t *end);
/* Make len bytes of to what they are in from, without a copy. */
bool disk_share(int from, int to, uint64_t at, uint64_t len);
/* Free the space of a range; it reads as zeros then. */
bool disk_punch(int fd, uint64_t at, uint64_t len);
/* Bring what was written to the disk without waiting for it. */
void disk_begin_write(int fd);
/* Wait until all that was written to the file system of fd is on the disk. */
bool disk_sync_all(int fd);
/* Reading from front to back. */
void disk_sequential(int fd);
/* f_fsid, and the bytes that are free for us. */
bool disk_filesystem(int fd, uint64_t *fsid, uint64_t *free_bytes);

#endif
