/* inotify. A directory that appears may be full before it is watched; it is the next look that finds what is in it, and
 * directories are watched anew before that look. */
#include "files/watch.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"
#include "files/walk.h"

enum {
	EVENTS_BYTES = 16 * 1024
};

#define HEARD (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MODIFY)

struct watch {
	const struct conf_tree *tree;
	int fd;
	bool whole; /* every directory is watched */
	bool stale; /* directories came, or events were lost: watch all anew */
	bool said;
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
	*w = (struct watch){ .tree = t, .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .stale = true };
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
	free(w);
}

/* Path is below the root; "" the root itself. */
static void
add(struct watch *w, const char *path)
{
	struct buf full;

	buf_init(&full, 2 * (size_t)BENEATH_PATH_MAX);
	buf_fmt(&full, "%s%s%s", w->tree->path, path[0] == '\0' ? "" : "/", path);
	/* A directory that went is no matter; the look finds that. */
	if (!full.failed && inotify_add_watch(w->fd, buf_cstr(&full), HEARD | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK) < 0 && errno != ENOENT && errno != ENOTDIR)
		give_up(w, errno);
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
			p += sizeof x + x.len;
			any = any || (x.mask & IN_IGNORED) == 0;
			/* A new directory, lost events, the root itself gone: what is watched is not the tree any more. */
			if ((x.mask & (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED)) != 0 || ((x.mask & IN_ISDIR) != 0 && (x.mask & (IN_CREATE | IN_MOVED_TO)) != 0))
				w->stale = true;
		}
	}
	return any;
}
