/* Trash and conflict folders. Lives here: batches, their names, putting in, taking back, purging by the date in the
 * name. The time in names is UTC, so that no clock change makes two of one. */
#include "config.h"

#include "files/trash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files/sweep.h"

enum {
	FOLDER_MAX = 128,  /* ".sync/conflict/", date, reason */
	REASON_MAX = 64,
	DATE_LEN = 17,	   /* "2026-11-21_163000" */
	OWN_MODE = 0700,
	TWINS_MAX = 1000,  /* objects of one path in one batch, each in a folder with ~2, ~3 ... behind its name */
	NAMES_MAX = 1 << 26,
	US_PER_S = 1000000
};

struct trash {
	const struct beneath *b;
	char folder[FOLDER_MAX];
};

static const char *
area_folder(enum trash_area area)
{
	return area == TRASH_DELETED ? BENEATH_OWN "/trash" : BENEATH_OWN "/conflict";
}

bool
trash_new(const struct beneath *b, enum trash_area area, const char *reason, int64_t wall_us, struct trash **out, struct err *e)
{
	struct trash *t = calloc(1, sizeof *t);
	time_t now = (time_t)(wall_us / US_PER_S);
	char date[DATE_LEN + 1];
	struct tm tm;

	*out = NULL;
	assert(strlen(reason) <= REASON_MAX && reason[strspn(reason, "abcdefghijklmnopqrstuvwxyz-")] == '\0');
	if (t == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a batch of the trash");
	if (gmtime_r(&now, &tm) == NULL || strftime(date, sizeof date, "%Y-%m-%d_%H%M%S", &tm) != DATE_LEN) {
		free(t);
		return err_set(e, ERR_INTERNAL, "this clock's year has no four digits");
	}
	t->b = b;
	(void)snprintf(t->folder, sizeof t->folder, "%s/%s_%s", area_folder(area), date, reason);
	*out = t;
	return true;
}

void
trash_free(struct trash *t)
{
	free(t);
}

const char *
trash_folder(const struct trash *t)
{
	return t->folder;
}

/* The place of path in the batch's n-th folder. */
static bool
place(const struct trash *t, unsigned n, const char *path, struct buf *name, struct err *e)
{
	buf_reset(name);
	buf_str(name, t->folder);
	if (n > 1)
		buf_fmt(name, "~%u", n);
	buf_char(name, '/');
	buf_str(name, path);
	return buf_check(name, "a path in the trash", e);
}

enum fate
trash_put(struct trash *t, const char *from, const char *path, struct buf *name, struct file_facts *facts, struct err *e)
{
	enum fate f = FATE_EXISTS;

	/* FATE_KIND: a file stands where a directory of the path should be. */
	for (unsigned n = 1; (f == FATE_EXISTS || f == FATE_KIND) && n <= TWINS_MAX; n++) {
		const char *leaf;
		int fd;

		if (!place(t, n, path, name, e))
			return FATE_FAILED;
		f = beneath_parent(t->b, buf_cstr(name), OWN_MODE, &fd, &leaf, e);
		if (f != FATE_DONE)
			continue;
		(void)close(fd);
		f = beneath_move(t->b, from, buf_cstr(name), MOVE_NEW, e);
	}
	if (f == FATE_DONE && facts != NULL)
		f = beneath_look(t->b, buf_cstr(name), facts, e);
	return f;
}

enum fate
trash_restore(const struct beneath *b, const char *name, const char *path, mode_t directories, struct err *e)
{
	const char *leaf;
	enum fate f;
	int fd;

	f = beneath_parent(b, path, directories, &fd, &leaf, e);
	if (f != FATE_DONE)
		return f;
	(void)close(fd);
	return beneath_move(b, name, path, MOVE_NEW, e);
}

/* --- purging ----------------------------------------------------------------------------------- */

struct purge {
	trash_may_go *may_go;
	void *arg;
};

static bool
ask_purge(void *arg, const char *path, const struct file_facts *facts)
{
	const struct purge *p = arg;

	return p->may_go == NULL || p->may_go(p->arg, path, facts);
}

/* Does a batch's name begin with a date before that one (both as text)? What does not look like one of ours stays. */
static bool
is_before(const char *name, const char *date)
{
	static const char form[] = "dddd-dd-dd_dddddd";

	for (size_t i = 0; i < DATE_LEN; i++)
		if (form[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != form[i])
			return false;
	return name[DATE_LEN] == '_' && strncmp(name, date, DATE_LEN) < 0;
}

enum fate
trash_purge(const struct beneath *b, enum trash_area area, int64_t before_us, trash_may_go *may_go, void *arg, struct trash_purged *out, struct err *e)
{
	struct purge p = { .may_go = may_go, .arg = arg };
	struct sweep s = { .may_go = ask_purge, .arg = &p };
	time_t before = (time_t)(before_us / US_PER_S);
	char date[DATE_LEN + 1];
	struct buf names;
	struct tm tm;
	enum fate f;

	*out = (struct trash_purged){ .files = 0 };
	if (gmtime_r(&before, &tm) == NULL || strftime(date, sizeof date, "%Y-%m-%d_%H%M%S", &tm) != DATE_LEN)
		return FATE_DONE; /* before any year that a batch can have */
	buf_init(&names, NAMES_MAX);
	f = beneath_list(b, area_folder(area), &names, e);
	for (size_t at = 0; f == FATE_DONE && at < names.len; at += strlen(names.data + at) + 1) {
		char path[FOLDER_MAX + BENEATH_NAME_MAX + 2];

		if (!is_before(names.data + at, date))
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", area_folder(area), names.data + at);
		f = sweep_remove(b, path, &s, e);
	}
	buf_free(&names);
	*out = (struct trash_purged){ .files = s.files, .bytes = s.bytes, .kept = s.kept };
	return f;
}
