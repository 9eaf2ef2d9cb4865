/* A walk over a tree. Lives here: reading directories, their order, what is left out and counted.
 *
 * The names of a directory are read and sorted before anything in it is looked at; then each entry is looked at, told and
 * entered. To give the order of whole paths, a directory stands in the list twice: under its name, where it is told, and
 * under its name and a /, where it is entered ("a" < "a.b" < "a/x"). Its descriptor stays open while what lies below it
 * is walked, down to a depth; below that it is closed and opened again, so that deep trees cost no descriptors. */
#include "config.h"

#include "files/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	OPEN_DEPTH = 64,   /* directories held open at once, of 1024 descriptors that a process has at least */
	NAMES_MAX = 1 << 30 /* bytes of the names of one directory */
};

/* The names of one directory: NUL-ended, where each begins, and which are to be entered. */
struct listing {
	struct buf text;
	char **names;
	bool *enter;
	size_t n;
};

struct state {
	const struct walk *w;
	struct walk_counts *counts;
	struct err *e;
	char path[BENEATH_PATH_MAX + BENEATH_NAME_MAX + 2];
	size_t len; /* of the directory's path in it */
	char link[BENEATH_PATH_MAX + 1];
	unsigned depth;
};

static bool
tell_unread(struct state *s, enum fate why)
{
	s->counts->unread++;
	return s->w->unread == NULL || s->w->unread(s->w->arg, s->path, why, s->e);
}

/* A name that vanished meanwhile is no error: nobody can say when it was there. */
static bool
tell_error(struct state *s)
{
	enum fate why = fate_of_errno(errno);

	return why == FATE_GONE || tell_unread(s, why);
}

static bool
tell(struct state *s, size_t len, const char *link, const struct file_facts *facts)
{
	const struct walk_entry entry = { .path = s->path, .len = len, .link = link, .facts = facts };

	s->counts->files += facts->type == 'f';
	s->counts->bytes += facts->type == 'f' ? facts->size : 0;
	s->counts->directories += facts->type == 'd';
	s->counts->links += facts->type == 'l';
	return s->w->entry == NULL || s->w->entry(s->w->arg, &entry, s->e);
}

/* A name of the directory, put behind its path; the length of both. */
static size_t
join(struct state *s, const char *name)
{
	size_t n = strlen(name), at = s->len;

	if (at > 0)
		s->path[at++] = '/';
	memcpy(s->path + at, name, n + 1);
	return at + n;
}

static bool
visit_link(struct state *s, int dir, const char *name, const struct file_facts *facts)
{
	ssize_t n = readlinkat(dir, name, s->link, BENEATH_PATH_MAX);

	if (n < 0)
		return tell_error(s);
	s->link[n] = '\0';
	if (!beneath_link_stays(s->path, s->link)) {
		s->counts->escaping++;
		return true;
	}
	return tell(s, strlen(s->path), s->link, facts);
}

/* One name: look, leave out or tell. *enter: a directory that is to be walked. */
static bool
visit(struct state *s, int dir, const char *name, bool *enter)
{
	struct file_facts facts;
	size_t len = join(s, name);

	*enter = false;
	if (len > BENEATH_PATH_MAX)
		return tell_unread(s, FATE_TOO_LONG);
	if (!disk_look(dir, name, &facts))
		return tell_error(s);
	if (exclude_entry(s->w->exclude, s->path, facts.type == 'd')) {
		s->counts->excluded += strcmp(s->path, BENEATH_OWN) != 0;
		return true;
	}
	switch (facts.type) {
	case 'd':
		*enter = true;
		return tell(s, len, NULL, &facts);
	case 'f':
		return tell(s, len, NULL, &facts);
	case 'l':
		return visit_link(s, dir, name, &facts);
	case 'p':
		s->counts->fifos++;
		return true;
	case 's':
		s->counts->sockets++;
		return true;
	default:
		s->counts->devices++;
		return true;
	}
}

/* --- the names of a directory ------------------------------------------------------------------- */

static int
by_bytes(const void *a, const void *b)
{
	char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void
listing_free(struct listing *l)
{
	buf_free(&l->text);
	free(l->names);
	free(l->enter);
}

/* Each name, and each directory once more with a / behind it. Where the file system does not say what is a directory,
 * every name may be one. */
static bool
read_names(DIR *d, struct listing *l)
{
	struct dirent *entry;

	errno = 0;
	while ((entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		buf_put(&l->text, name, strlen(name) + 1);
		l->n++;
		if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) {
			buf_put(&l->text, name, strlen(name));
			buf_put(&l->text, "/", 2);
			l->n++;
		}
	}
	return errno == 0;
}

static bool
sort_names(struct listing *l, struct err *e)
{
	char *p = l->text.data;

	if (!buf_check(&l->text, "the names of a directory", e))
		return false;
	l->names = malloc((l->n + 1) * sizeof *l->names);
	l->enter = calloc(l->n + 1, sizeof *l->enter);
	if (l->names == NULL || l->enter == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the names of a directory");
	for (size_t i = 0; i < l->n; i++, p += strlen(p) + 1)
		l->names[i] = p;
	qsort(l->names, l->n, sizeof *l->names, by_bytes);
	return true;
}

/* Read the open directory. *told: it could not be read, and this was told. */
static bool
list(struct state *s, int fd, struct listing *l, bool *told)
{
	int twin = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* readdir takes a descriptor over */
	DIR *d = twin < 0 ? NULL : fdopendir(twin);
	bool ok = true;

	*l = (struct listing){ .names = NULL };
	buf_init(&l->text, NAMES_MAX);
	*told = d == NULL || !read_names(d, l);
	if (*told)
		ok = tell_error(s);
	if (d != NULL)
		(void)closedir(d);
	else if (twin >= 0)
		(void)close(twin);
	return ok && (*told || sort_names(l, s->e));
}

/* --- descending ----------------------------------------------------------------------------------- */

static bool walk_directory(struct state *s, int fd);

/* The name was told as a directory: its second place in the list is to be entered. */
static void
mark_to_enter(struct listing *l, const char *name)
{
	char second[BENEATH_NAME_MAX + 2], *key = second, **at;

	if (strlen(name) > BENEATH_NAME_MAX)
		return;
	(void)snprintf(second, sizeof second, "%s/", name);
	at = bsearch(&key, l->names, l->n, sizeof *l->names, by_bytes);
	if (at != NULL) /* NULL: it became a directory just now */
		l->enter[at - l->names] = true;
}

/* Walk the directory of that name (its / is behind it). By now it may be something else: then it is not entered. Below
 * OPEN_DEPTH *fd is closed. */
static bool
enter(struct state *s, int *fd, char *name)
{
	size_t before = s->len, n = strlen(name) - 1;
	bool ok;
	int child;

	name[n] = '\0';
	s->len = join(s, name);
	child = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	name[n] = '/'; /* the list is searched in order */
	if (child < 0)
		ok = errno == ELOOP || errno == ENOTDIR ? tell_unread(s, FATE_CHANGED) : tell_error(s);
	else {
		if (s->depth >= OPEN_DEPTH) {
			(void)close(*fd);
			*fd = -1;
		}
		s->depth++;
		ok = walk_directory(s, child); /* closes it */
		s->depth--;
	}
	s->len = before;
	s->path[before] = '\0';
	return ok;
}

/* The directory may have been closed while what lies below it was walked. */
static bool
reopen(struct state *s, int *fd)
{
	struct err ignored;
	enum fate f;

	if (*fd >= 0)
		return true;
	s->path[s->len] = '\0';
	f = beneath_file(s->w->tree, s->path, O_RDONLY | O_DIRECTORY, 0, fd, &ignored);
	return f == FATE_DONE || f == FATE_GONE || tell_unread(s, f);
}

/* Takes fd over. s->path is the directory's. */
static bool
walk_directory(struct state *s, int fd)
{
	struct listing l;
	bool told, ok = list(s, fd, &l, &told);

	for (size_t i = 0; ok && !told && i < l.n; i++) {
		char *name = l.names[i];
		bool directory = false;

		if (name[strlen(name) - 1] == '/' && !l.enter[i])
			continue;
		ok = reopen(s, &fd);
		if (!ok || fd < 0) /* told, or gone */
			break;
		if (l.enter[i])
			ok = enter(s, &fd, name);
		else
			ok = visit(s, fd, name, &directory);
		if (ok && directory)
			mark_to_enter(&l, name);
	}
	listing_free(&l);
	if (fd >= 0)
		(void)close(fd);
	return ok;
}

bool
walk_run(const struct walk *w, struct walk_counts *counts, struct err *e)
{
	struct state *s = calloc(1, sizeof *s);
	enum fate f;
	bool ok;
	int fd;

	*counts = (struct walk_counts){ .files = 0 };
	if (s == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a walk");
	s->w = w;
	s->counts = counts;
	s->e = e;
	f = beneath_file(w->tree, "", O_RDONLY | O_DIRECTORY, 0, &fd, e);
	ok = f == FATE_DONE ? walk_directory(s, fd) : tell_unread(s, f);
	free(s);
	return ok;
}
