/* Paths beneath a root. The kernel resolves them where openat2 is there; elsewhere the way is walked part by
 * part, each opened with O_NOFOLLOW in the directory before it. Names are made and renamed in the opened parent
 * directory, so that what was checked is what is used. */
#include "config.h"

#include "files/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	THIRD_NAME = 64 /* ".sync/tmp/exchange-" and 16 digits */
};

struct beneath {
	char *path;
	int root;
	bool parts_only; /* no openat2 */
	struct file_facts facts;
	uint64_t fsid;
};

/* --- the root -------------------------------------------------------------------------------- */

enum fate
beneath_open(const char *root, struct beneath **out, struct err *e)
{
	struct beneath *b = calloc(1, sizeof *b);
	uint64_t room;
	int probe;

	*out = NULL;
	if (b == NULL || (b->path = strdup(root)) == NULL) {
		free(b);
		return err_set(e, ERR_MEMORY, "out of memory for a tree"), FATE_FAILED;
	}
	b->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->root < 0 || !disk_look(b->root, "", &b->facts) || !disk_filesystem(b->root, &b->fsid, &room)) {
		enum fate f = fate_errno(e, "cannot open the tree", root);

		beneath_close(b);
		return f == FATE_GONE || f == FATE_KIND ? FATE_OFFLINE : f;
	}
	probe = disk_open_beneath(b->root, ".", O_PATH | O_CLOEXEC, 0);
	b->parts_only = probe < 0;
	if (probe >= 0)
		(void)close(probe);
	*out = b;
	return FATE_DONE;
}

void
beneath_close(struct beneath *b)
{
	if (b == NULL)
		return;
	if (b->root >= 0)
		(void)close(b->root);
	free(b->path);
	free(b);
}

const char *
beneath_path(const struct beneath *b)
{
	return b->path;
}

int
beneath_descriptor(const struct beneath *b)
{
	return b->root;
}

bool
beneath_still_there(const struct beneath *b)
{
	struct file_facts now;
	int fd = open(b->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool same = fd >= 0 && disk_look(fd, "", &now) && now.dev == b->facts.dev && now.ino == b->facts.ino;

	if (fd >= 0)
		(void)close(fd);
	return same;
}

void
beneath_filesystem(const struct beneath *b, uint64_t *dev, uint64_t *fsid)
{
	*dev = b->facts.dev;
	*fsid = b->fsid;
}

void
beneath_without_openat2(struct beneath *b)
{
	b->parts_only = true;
}

/* --- the form of a path ------------------------------------------------------------------------ */

/* Is s[0..len) a name: not empty, not . or .., without / and NUL? */
static bool
part_ok(const char *s, size_t len)
{
	return len > 0 && !(len == 1 && s[0] == '.') && !(len == 2 && s[0] == '.' && s[1] == '.');
}

/* Parts of the right form, whatever their length. */
static bool
form_ok(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!part_ok(path, n))
			return false;
		if (path[n] == '\0')
			return true;
		path += n + 1;
	}
}

bool
beneath_path_ok(const char *path, size_t len)
{
	static const char own[] = BENEATH_OWN;
	size_t first;

	if (len == 0 || len > BENEATH_PATH_MAX || memchr(path, '\0', len) != NULL)
		return false;
	for (size_t at = 0; at <= len;) {
		const char *slash = memchr(path + at, '/', len - at);
		size_t n = slash == NULL ? len - at : (size_t)(slash - (path + at));

		if (!part_ok(path + at, n) || n > BENEATH_NAME_MAX)
			return false;
		at += n + 1;
		if (at == len + 1)
			break;
	}
	first = memchr(path, '/', len) == NULL ? len : (size_t)((const char *)memchr(path, '/', len) - path);
	return first != sizeof own - 1 || memcmp(path, own, first) != 0;
}

bool
beneath_link_stays(const char *path, const char *target)
{
	size_t depth = 0; /* of the directory that the link lies in */

	if (target[0] == '/' || target[0] == '\0')
		return false;
	for (const char *p = path; *p != '\0'; p++)
		depth += *p == '/';
	for (const char *p = target; *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			if (depth == 0)
				return false;
			depth--;
		} else if (part_ok(p, n))
			depth++;
		p += n + (p[n] == '/');
	}
	return true;
}

/* --- opening ----------------------------------------------------------------------------------- */

/* O_DIRECTORY hides that it was a link. */
static void
tell_link(int dir, const char *name)
{
	struct file_facts facts;

	if (errno == ENOTDIR)
		errno = disk_look(dir, name, &facts) && facts.type == 'l' ? ELOOP : ENOTDIR;
}

/* mkdir takes the umask off, which is 077 here. What is there already keeps its mode. */
static bool
make_in(int dir, const char *name, mode_t mode)
{
	bool ok;
	int fd;

	if (mkdirat(dir, name, mode) != 0)
		return false;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ok = fd >= 0 && fchmod(fd, mode) == 0;
	if (fd >= 0)
		(void)close(fd);
	return ok;
}

/* The directory that part (len bytes) names in dir; made with that mode when it is not there and make is not 0. */
static int
open_part(int dir, const char *part, size_t len, mode_t make)
{
	char name[BENEATH_NAME_MAX + 1];
	int fd;

	if (len > BENEATH_NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, part, len);
	name[len] = '\0';
	fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make != 0 && (make_in(dir, name, make) || errno == EEXIST))
		fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		tell_link(dir, name);
	return fd;
}

/* The directory that path lies in, part by part. */
static int
walk_parts(const struct beneath *b, const char *path, mode_t make)
{
	int dir = openat(b->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	while (dir >= 0) {
		const char *slash = strchr(path, '/');
		int next;

		if (slash == NULL)
			break;
		next = open_part(dir, path, (size_t)(slash - path), make);
		(void)close(dir);
		dir = next;
		path = slash + 1;
	}
	return dir;
}

static const char *
leaf_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

enum fate
beneath_parent(const struct beneath *b, const char *path, mode_t make, int *fd, const char **leaf, struct err *e)
{
	size_t len = strlen(path) - strlen(leaf_of(path));
	char parent[PATH_MAX];

	*fd = -1;
	if (!form_ok(path))
		return fate_set(e, FATE_BAD_NAME, "cannot use", path);
	*leaf = leaf_of(path);
	errno = ENOENT;
	if (!b->parts_only && len < sizeof parent) {
		memcpy(parent, path, len);
		parent[len == 0 ? 0 : len - 1] = '\0';
		*fd = disk_open_beneath(b->root, len == 0 ? "." : parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	}
	if (*fd < 0 && (b->parts_only || len >= sizeof parent || (errno == ENOENT && make != 0)))
		*fd = walk_parts(b, path, make);
	if (*fd < 0)
		return fate_errno(e, make != 0 ? "cannot make the directory of" : "cannot reach", path);
	return FATE_DONE;
}

enum fate
beneath_file(const struct beneath *b, const char *path, int flags, mode_t mode, int *fd, struct err *e)
{
	const char *leaf;
	enum fate f;
	int dir;

	*fd = -1;
	flags |= O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	if (path[0] == '\0')
		*fd = openat(b->root, ".", flags, mode);
	else if (!form_ok(path))
		return fate_set(e, FATE_BAD_NAME, "cannot use", path);
	else if (!b->parts_only && strlen(path) < PATH_MAX)
		*fd = disk_open_beneath(b->root, path, flags, mode);
	else {
		f = beneath_parent(b, path, 0, &dir, &leaf, e);
		if (f != FATE_DONE)
			return f;
		*fd = openat(dir, leaf, flags, mode);
		if (*fd < 0)
			tell_link(dir, leaf);
		(void)close(dir);
	}
	return *fd >= 0 ? FATE_DONE : fate_errno(e, "cannot open", path);
}

/* --- looking ------------------------------------------------------------------------------------ */

enum fate
beneath_look(const struct beneath *b, const char *path, struct file_facts *out, struct err *e)
{
	const char *leaf = "";
	enum fate f = FATE_DONE;
	int dir = b->root;

	if (path[0] != '\0')
		f = beneath_parent(b, path, 0, &dir, &leaf, e);
	if (f == FATE_DONE && !disk_look(dir, leaf, out))
		f = fate_errno(e, "cannot look at", path);
	if (dir >= 0 && dir != b->root)
		(void)close(dir);
	return f;
}

enum fate
beneath_link(const struct beneath *b, const char *path, char *out, struct err *e)
{
	const char *leaf;
	enum fate f;
	ssize_t n;
	int dir;

	f = beneath_parent(b, path, 0, &dir, &leaf, e);
	if (f != FATE_DONE)
		return f;
	n = readlinkat(dir, leaf, out, BENEATH_PATH_MAX);
	if (n < 0 && errno == EINVAL) /* no link */
		errno = EISDIR;
	if (n < 0)
		f = fate_errno(e, "cannot read the link", path);
	else
		out[n] = '\0';
	(void)close(dir);
	return f;
}

enum fate
beneath_list(const struct beneath *b, const char *directory, struct buf *names, struct err *e)
{
	struct dirent *entry;
	enum fate f;
	DIR *d;
	int fd;

	f = beneath_file(b, directory, O_RDONLY | O_DIRECTORY, 0, &fd, e);
	if (f != FATE_DONE)
		return f;
	d = fdopendir(fd);
	if (d == NULL) {
		f = fate_errno(e, "cannot read", directory);
		(void)close(fd);
		return f;
	}
	errno = 0;
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			buf_put(names, entry->d_name, strlen(entry->d_name) + 1);
	if (errno != 0)
		f = fate_errno(e, "cannot read", directory);
	(void)closedir(d);
	if (f == FATE_DONE && !buf_check(names, "the names of a directory", e))
		f = FATE_FAILED;
	return f;
}

/* --- changing ------------------------------------------------------------------------------------ */

/* What was done in the opened directory dir has gone well, or not. */
static enum fate
leave(int dir, bool well, const char *what, const char *path, struct err *e)
{
	enum fate f = well ? FATE_DONE : fate_errno(e, what, path);

	(void)close(dir);
	return f;
}

enum fate
beneath_make_link(const struct beneath *b, const char *path, const char *target, struct err *e)
{
	const char *leaf;
	int dir;
	enum fate f = beneath_parent(b, path, 0, &dir, &leaf, e);

	return f != FATE_DONE ? f : leave(dir, symlinkat(target, dir, leaf) == 0, "cannot make the link", path, e);
}

enum fate
beneath_make_directory(const struct beneath *b, const char *path, mode_t mode, struct err *e)
{
	const char *leaf;
	int dir;
	enum fate f = beneath_parent(b, path, 0, &dir, &leaf, e);

	return f != FATE_DONE ? f : leave(dir, make_in(dir, leaf, mode), "cannot make the directory", path, e);
}

enum fate
beneath_give_directory(const struct beneath *b, const char *path, uid_t owner, gid_t group, struct err *e)
{
	int dir;
	enum fate f = beneath_file(b, path, O_RDONLY | O_DIRECTORY, 0, &dir, e);

	return f != FATE_DONE ? f : leave(dir, fchown(dir, owner, group) == 0, "cannot set the owner of", path, e);
}

static enum fate
remove_it(const struct beneath *b, const char *path, int flags, struct err *e)
{
	const char *leaf;
	int dir;
	enum fate f = beneath_parent(b, path, 0, &dir, &leaf, e);

	return f != FATE_DONE ? f : leave(dir, unlinkat(dir, leaf, flags) == 0, "cannot remove", path, e);
}

enum fate
beneath_remove_directory(const struct beneath *b, const char *path, struct err *e)
{
	return remove_it(b, path, AT_REMOVEDIR, e);
}

enum fate
beneath_remove_file(const struct beneath *b, const char *path, struct err *e)
{
	return remove_it(b, path, 0, e);
}

/* Two names, each in its opened directory. */
struct pair {
	int from_dir, to_dir;
	const char *from, *to;
};

/* A file system without the flag: look, then rename. Between the two another program may make the name; such
 * file systems (NFS, some overlays) leave no better way. */
static bool
plain_new(const struct pair *p)
{
	struct file_facts facts;

	if (disk_look(p->to_dir, p->to, &facts)) {
		errno = EEXIST;
		return false;
	}
	return errno == ENOENT && renameat(p->from_dir, p->from, p->to_dir, p->to) == 0;
}

/* to steps aside, from takes its place, to takes from's. A crash between leaves both contents, one of them in
 * .sync/tmp. */
static bool
plain_exchange(const struct beneath *b, const struct pair *p)
{
	char third[THIRD_NAME];
	uint64_t random;

	if (!clock_random(&random, sizeof random, NULL)) {
		errno = EIO;
		return false;
	}
	(void)snprintf(third, sizeof third, BENEATH_OWN "/tmp/exchange-%016llx", (unsigned long long)random);
	if (renameat(p->to_dir, p->to, b->root, third) != 0)
		return false;
	if (renameat(p->from_dir, p->from, p->to_dir, p->to) != 0) {
		int saved = errno;

		(void)renameat(b->root, third, p->to_dir, p->to);
		errno = saved;
		return false;
	}
	return renameat(b->root, third, p->from_dir, p->from) == 0;
}

static bool
rename_pair(const struct beneath *b, const struct pair *p, enum beneath_move how)
{
	bool done;

	if (how == MOVE_OVER)
		return renameat(p->from_dir, p->from, p->to_dir, p->to) == 0;
	done = how == MOVE_NEW ? disk_rename_new(p->from_dir, p->from, p->to_dir, p->to) :
				 disk_exchange(p->from_dir, p->from, p->to_dir, p->to);
	if (done || (errno != EINVAL && errno != ENOSYS))
		return done;
	return how == MOVE_NEW ? plain_new(p) : plain_exchange(b, p);
}

enum fate
beneath_move(const struct beneath *b, const char *from, const char *to, enum beneath_move how, struct err *e)
{
	struct pair p = { .from_dir = -1, .to_dir = -1 };
	enum fate f = beneath_parent(b, from, 0, &p.from_dir, &p.from, e);

	if (f == FATE_DONE)
		f = beneath_parent(b, to, 0, &p.to_dir, &p.to, e);
	if (f == FATE_DONE && !rename_pair(b, &p, how)) {
		f = fate_errno(e, "cannot rename to", to);
		if (f == FATE_ESCAPES) /* EXDEV: another file system is mounted in the tree */
			f = FATE_FAILED;
	}
	if (p.from_dir >= 0)
		(void)close(p.from_dir);
	if (p.to_dir >= 0)
		(void)close(p.to_dir);
	return f;
}

enum fate
beneath_sync(const struct beneath *b, const char *directory, struct err *e)
{
	enum fate f;
	int fd;

	f = beneath_file(b, directory, O_RDONLY | O_DIRECTORY, 0, &fd, e);
	if (f != FATE_DONE)
		return f;
	if (fsync(fd) != 0 && errno != EINVAL && errno != ENOSYS) /* not every file system can */
		f = fate_errno(e, "cannot bring to the disk", directory);
	(void)close(fd);
	return f;
}
