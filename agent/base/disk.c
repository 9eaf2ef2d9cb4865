/* Files. Lives here: writing to the end; the calls of Linux, and what stands in for them elsewhere. */
#include "config.h"

#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#endif

enum {
	PERMISSIONS = 07777,
	SECTOR = 512,	 /* what st_blocks counts */
	TRIES = 8	 /* openat2 says EAGAIN when a rename crosses its way */
};

static const int64_t ns_per_s = 1000000000;

/* A full disk takes a part first and says so at the next. */
static bool
write_from(int fd, const char *data, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = at < 0 ? write(fd, data, len) : pwrite(fd, data, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
		at += at < 0 ? 0 : n;
	}
	return true;
}

bool
disk_write(int fd, const void *data, size_t len)
{
	return write_from(fd, data, len, -1);
}

bool
disk_write_at(int fd, const void *data, size_t len, uint64_t at)
{
	return write_from(fd, data, len, (off_t)at);
}

static char
type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 'f';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	case S_IFIFO:
		return 'p';
	default:
		return 's';
	}
}

#if defined(__linux__) && defined(STATX_BASIC_STATS)

bool
disk_look(int directory, const char *name, struct file_facts *out)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == '\0' ? AT_EMPTY_PATH : 0);
	struct statx st;

	if (statx(directory, name, flags, STATX_BASIC_STATS, &st) != 0)
		return false;
	*out = (struct file_facts){ .type = type_of(st.stx_mode), .mode = st.stx_mode & PERMISSIONS,
		.uid = st.stx_uid, .gid = st.stx_gid, .links = st.stx_nlink,
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor), .ino = st.stx_ino, .size = st.stx_size,
		.allocated = st.stx_blocks * SECTOR,
		.mtime_ns = st.stx_mtime.tv_sec * ns_per_s + st.stx_mtime.tv_nsec,
		.ctime_ns = st.stx_ctime.tv_sec * ns_per_s + st.stx_ctime.tv_nsec };
#ifdef STATX_ATTR_MOUNT_ROOT
	out->mount = (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#endif
	return true;
}

int
disk_open_beneath(int directory, const char *path, int flags, mode_t mode)
{
	struct open_how how;
	long fd = -1;

	memset(&how, 0, sizeof how);
	how.flags = (unsigned)flags;
	how.mode = (flags & O_CREAT) != 0 ? mode : 0;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	errno = EAGAIN;
	for (int i = 0; fd < 0 && errno == EAGAIN && i < TRIES; i++)
		fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
	return (int)fd;
}

bool
disk_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
	return syscall(SYS_renameat2, from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0;
}

bool
disk_exchange(int a_dir, const char *a, int b_dir, const char *b)
{
	return syscall(SYS_renameat2, a_dir, a, b_dir, b, RENAME_EXCHANGE) == 0;
}

/* A lease is held for a moment only: a program that opens the file for writing would wait for its end. */
bool
disk_no_writer(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
		return false;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

bool
disk_share(int from, int to, uint64_t at, uint64_t len)
{
	struct file_clone_range range = { .src_fd = from, .src_offset = at, .src_length = len, .dest_offset = at };

	return ioctl(to, FICLONERANGE, &range) == 0;
}

bool
disk_punch(int fd, uint64_t at, uint64_t len)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) == 0;
}

void
disk_begin_write(int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

bool
disk_sync_all(int fd)
{
	return syncfs(fd) == 0;
}

#else

bool
disk_look(int directory, const char *name, struct file_facts *out)
{
	struct stat st;

	if ((name[0] == '\0' ? fstat(directory, &st) : fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW)) != 0)
		return false;
	*out = (struct file_facts){ .type = type_of(st.st_mode), .mode = st.st_mode & PERMISSIONS,
		.uid = st.st_uid, .gid = st.st_gid, .links = (unsigned)st.st_nlink,
		.dev = (uint64_t)st.st_dev, .ino = (uint64_t)st.st_ino, .size = (uint64_t)st.st_size,
		.allocated = (uint64_t)st.st_blocks * SECTOR,
		.mtime_ns = st.st_mtime * ns_per_s, .ctime_ns = st.st_ctime * ns_per_s };
	return true;
}

static bool
not_here(void)
{
	errno = ENOSYS;
	return false;
}

int
disk_open_beneath(int directory, const char *path, int flags, mode_t mode)
{
	(void)directory, (void)path, (void)flags, (void)mode;
	(void)not_here();
	return -1;
}

bool
disk_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
	(void)from_dir, (void)from, (void)to_dir, (void)to;
	return not_here();
}

bool
disk_exchange(int a_dir, const char *a, int b_dir, const char *b)
{
	(void)a_dir, (void)a, (void)b_dir, (void)b;
	return not_here();
}

bool
disk_no_writer(int fd)
{
	(void)fd;
	return not_here();
}

bool
disk_share(int from, int to, uint64_t at, uint64_t len)
{
	(void)from, (void)to, (void)at, (void)len;
	return not_here();
}

bool
disk_punch(int fd, uint64_t at, uint64_t len)
{
	(void)fd, (void)at, (void)len;
	return not_here();
}

void
disk_begin_write(int fd)
{
	(void)fd;
}

bool
disk_sync_all(int fd)
{
	(void)fd;
	sync();
	return true;
}

#endif

bool
disk_data(int fd, uint64_t at, uint64_t size, uint64_t *begin, uint64_t *end)
{
#ifdef SEEK_DATA
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);
	off_t hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);

	if (data < 0 && errno == ENXIO)
		return false;
	if (data >= 0 && hole >= 0) {
		*begin = (uint64_t)data;
		*end = (uint64_t)hole;
		return true;
	}
#endif
	(void)fd;
	*begin = at;
	*end = size;
	errno = ENXIO;
	return at < size;
}

void
disk_sequential(int fd)
{
#ifdef POSIX_FADV_SEQUENTIAL
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
#else
	(void)fd;
#endif
}

bool
disk_filesystem(int fd, uint64_t *fsid, uint64_t *free_bytes)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) != 0)
		return false;
	*fsid = v.f_fsid;
	*free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return true;
}
