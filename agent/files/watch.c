/* inotify. A directory that appears may be full before it is watched; it is the next look that finds what is in it, and
 * directories are watched anew before that look. */
#include "files/watch.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"
#include "files/walk.h"

enum {
	EVENTS_BYTES = 16 * 1024,
	NUMBERS_MAX = 16 * 1024 * 1024 /* of directories that were ever watched: the kernel gives no number twice */
};

#define HEARD (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MODIFY)

struct watch {
	const struct conf_tree *tree;
	int fd;
	bool whole; /* every directory is watched */
	bool stale; /* directories came, or events were lost: watch all anew */
	bool said;
	char **directories; /* by the kernel's numbers; NULL: none of ours */
	size_t ndirectories;
	struct buf paths; /* that were heard of */
	size_t npaths;
	size_t last;	  /* where the last of them begins */
	bool wide;	  /* and more than they say */
};

/* What the system has to have more of; "" = that is not it. */
static const char *
hint(int error)
{
	if (error == ENOSPC)
		return ": raise fs.inotify.max_user_watches above the number of directories";
	return error == EMFILE ? ": raise fs.inotify.max_user_instances" : "";
}

static void
give_up(struct watch *w, int error)
{
	w->whole = false;
	if (!w->said)
		log_warning(NULL, "tree %s: changes are found by looking now and then (%s%s)", w->tree->name,
		    strerror(error), hint(error));
	w->said = true;
}

bool
watch_new(const struct conf_tree *t, struct watch **out, struct err *e)
{
	struct watch *w = calloc(1, sizeof *w);

	*out = w;
	if (w == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	*w = (struct watch){ .tree = t, .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .stale = true, .wide = true };
	buf_init(&w->paths, (size_t)WATCH_PATHS_MAX * (BENEATH_PATH_MAX + BENEATH_NAME_MAX + 2));
	if (w->fd < 0)
		give_up(w, errno);
	return true;
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0)
		(void)close(w->fd);
	for (size_t i = 0; i < w->ndirectories; i++)
		free(w->directories[i]);
	free(w->directories);
	buf_free(&w->paths);
	free(w);
}

/* --- which directory --- */

static bool
make_place(struct watch *w, size_t number)
{
	size_t room = w->ndirectories == 0 ? 64 : w->ndirectories;
	char **grown;

	while (room <= number)
		room *= 2;
	if (room == w->ndirectories)
		return true;
	grown = number >= NUMBERS_MAX ? NULL : realloc(w->directories, room * sizeof *grown);
	if (grown == NULL)
		return false;
	memset(grown + w->ndirectories, 0, (room - w->ndirectories) * sizeof *grown);
	w->directories = grown;
	w->ndirectories = room;
	return true;
}

/* One that has no place, or no memory for its name: what is heard of it is looked for in the whole tree. */
static void
name_directory(struct watch *w, int number, const char *path)
{
	if (!make_place(w, (size_t)number))
		return;
	free(w->directories[number]);
	w->directories[number] = path == NULL ? NULL : strdup(path);
}

static const char *
directory_of(const struct watch *w, int number)
{
	return number < 0 || (size_t)number >= w->ndirectories ? NULL : w->directories[number];
}

/* Path is below the root; "" the root itself. */
static void
add(struct watch *w, const char *path)
{
	struct buf full;
	int number = -1;

	buf_init(&full, 2 * (size_t)BENEATH_PATH_MAX);
	buf_fmt(&full, "%s%s%s", w->tree->path, path[0] == '\0' ? "" : "/", path);
	if (!full.failed)
		number = inotify_add_watch(w->fd, buf_cstr(&full), HEARD | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
	/* A directory that went is no matter; the look finds that. */
	if (!full.failed && number < 0 && errno != ENOENT && errno != ENOTDIR)
		give_up(w, errno);
	if (number >= 0)
		name_directory(w, number, path);
	buf_free(&full);
}

static bool
on_entry(void *arg, const struct walk_entry *entry, struct err *e)
{
	struct watch *w = arg;

	(void)e;
	if (entry->facts->type == 'd' && w->whole)
		add(w, entry->path);
	return true;
}

void
watch_renew(struct watch *w, const struct tree *t)
{
	const struct walk all = { .tree = t->root, .exclude = t->exclude, .arg = w, .entry = on_entry };
	struct walk_counts counts;
	struct err e;

	if (w->fd < 0 || !w->stale)
		return;
	w->stale = false;
	w->whole = true;
	add(w, "");
	if (!walk_run(&all, &counts, &e))
		w->whole = false;
}

bool
watch_is_whole(const struct watch *w)
{
	return w->fd >= 0 && w->whole && !w->stale;
}

/* --- what was heard --- */

static bool
is_last(const struct watch *w, const char *path)
{
	return w->npaths > 0 && strcmp(w->paths.data + w->last, path) == 0;
}

/* A file of that name in the directory. */
static void
collect(struct watch *w, const char *directory, const char *name)
{
	char path[BENEATH_PATH_MAX + BENEATH_NAME_MAX + 2];
	int n = snprintf(path, sizeof path, "%s%s%s", directory, directory[0] == '\0' ? "" : "/", name);

	if (n < 0 || n > BENEATH_PATH_MAX || w->npaths == WATCH_PATHS_MAX) {
		w->wide = true;
		return;
	}
	if (is_last(w, path)) /* made, written and closed */
		return;
	w->last = w->paths.len;
	buf_put(&w->paths, path, (size_t)n + 1);
	w->npaths++;
}

/* A new directory, lost events, the root itself gone: what is watched is not the tree any more. */
static bool
is_stale_after(const struct inotify_event *x)
{
	return (x->mask & (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED)) != 0 || ((x->mask & IN_ISDIR) != 0 && (x->mask & (IN_CREATE | IN_MOVED_TO)) != 0);
}

static void
take(struct watch *w, const struct inotify_event *x, const char *name)
{
	const char *directory = directory_of(w, x->wd);

	w->stale = w->stale || is_stale_after(x);
	if ((x->mask & IN_IGNORED) != 0 && directory != NULL)
		name_directory(w, x->wd, NULL);
	if ((x->mask & (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED | IN_ISDIR)) != 0 || directory == NULL || x->len == 0)
		w->wide = true;
	else if (!w->wide)
		collect(w, directory, name);
}

bool
watch_heard(struct watch *w)
{
	alignas(struct inotify_event) char events[EVENTS_BYTES];
	bool any = false;
	ssize_t n;

	while (w->fd >= 0 && (n = read(w->fd, events, sizeof events)) > 0) {
		for (char *p = events; p < events + n;) {
			struct inotify_event x;

			memcpy(&x, p, sizeof x);
			take(w, &x, p + sizeof x); /* the name ends with a NUL */
			p += sizeof x + x.len;
			any = any || (x.mask & IN_IGNORED) == 0;
		}
	}
	return any;
}

const struct buf *
watch_paths(const struct watch *w)
{
	return w->wide || w->paths.failed || !watch_is_whole(w) ? NULL : &w->paths;
}

void
watch_forget(struct watch *w)
{
	buf_reset(&w->paths);
	w->npaths = w->last = 0;
	w->wide = false;
}
