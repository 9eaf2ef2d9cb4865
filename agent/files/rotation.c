/* The snapshots that there are. Lives here: their names, which stay, removing the others. */
#include "config.h"

#include "files/rotation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "files/sweep.h"

#define REMOVING ".removing"

enum {
	NAMES_MAX = 1 << 26,
	WEEK = 7,
	MONDAY = 3 /* 1970-01-01 was a Thursday */
};

bool
rotation_form(const char *name, const char *tail)
{
	static const char form[] = "dddd-dd-dd_dddddd";
	size_t i;

	for (i = 0; form[i] != '\0'; i++)
		if (form[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != form[i])
			return false;
	return strcmp(name + i, tail) == 0;
}

bool
rotation_name_ok(const char *name)
{
	return rotation_form(name, "");
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

enum fate
rotation_list(const struct beneath *to, const char *tail, char (**names)[SNAPSHOT_NAME], size_t *n, struct err *e)
{
	struct buf all;
	size_t count = 0;
	enum fate f;

	*names = NULL;
	*n = 0;
	buf_init(&all, NAMES_MAX);
	f = beneath_list(to, "", &all, e);
	for (size_t at = 0; at < all.len; at += strlen(all.data + at) + 1)
		count += rotation_form(all.data + at, tail);
	*names = f == FATE_DONE ? calloc(count + 1, sizeof **names) : NULL;
	if (f == FATE_DONE && *names == NULL)
		f = (err_set(e, ERR_MEMORY, "out of memory for the names of snapshots"), FATE_FAILED);
	for (size_t at = 0; f == FATE_DONE && at < all.len; at += strlen(all.data + at) + 1)
		if (rotation_form(all.data + at, tail))
			memcpy((*names)[(*n)++], all.data + at, SNAPSHOT_NAME - 1);
	buf_free(&all);
	if (*n > 0)
		qsort(*names, *n, sizeof **names, by_name);
	return f;
}

/* --- which go ----------------------------------------------------------------------------------- */

/* Days since 1970 of the date in a name (Howard Hinnant's days_from_civil). */
static long
day_of(const char *name)
{
	long y = strtol(name, NULL, 10), m = strtol(name + 5, NULL, 10), d = strtol(name + 8, NULL, 10), era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void
rotation_choose(const char (*names)[SNAPSHOT_NAME], size_t n, const struct conf_keep *keep, bool *go)
{
	long day = -1, week = -1; /* of the last one that was kept for them */
	unsigned days = 0, weeks = 0;

	for (size_t i = n; i > 0; i--) {
		long this_day = day_of(names[i - 1]), this_week = (this_day + MONDAY) / WEEK;
		bool stays = i == n || n - i < keep->least;

		if (this_day != day && days < keep->days) {
			day = this_day;
			days++;
			stays = true;
		}
		if (this_week != week && weeks < keep->weeks) {
			week = this_week;
			weeks++;
			stays = true;
		}
		go[i - 1] = !stays;
	}
}

/* First it loses its name, so that no half of it is ever taken for a snapshot. */
static enum fate
remove_one(const struct beneath *to, const char *name, struct err *e)
{
	struct sweep sweep = { .may_go = NULL };
	char gone[SNAPSHOT_FOLDER];
	enum fate f;

	(void)snprintf(gone, sizeof gone, "%.*s" REMOVING, SNAPSHOT_NAME - 1, name);
	f = beneath_move(to, name, gone, MOVE_NEW, e);
	return f == FATE_DONE ? sweep_remove(to, gone, &sweep, e) : f;
}

enum fate
rotation_remove(const struct beneath *to, const char *tail, size_t except, struct err *e)
{
	struct sweep sweep = { .may_go = NULL };
	char (*names)[SNAPSHOT_NAME];
	size_t n;
	enum fate f = rotation_list(to, tail, &names, &n, e);

	for (size_t i = 0; f == FATE_DONE && i + except < n; i++) {
		char folder[SNAPSHOT_FOLDER];

		(void)snprintf(folder, sizeof folder, "%s%s", names[i], tail);
		f = sweep_remove(to, folder, &sweep, e);
	}
	free(names);
	return f;
}

enum fate
rotation_prune(const struct beneath *to, const struct conf_keep *keep, bool dry_run, uint64_t *pruned, struct err *e)
{
	char (*names)[SNAPSHOT_NAME];
	bool *go;
	size_t n;
	enum fate f = rotation_list(to, "", &names, &n, e);

	*pruned = 0;
	if (f != FATE_DONE)
		return f;
	go = calloc(n + 1, sizeof *go);
	if (go == NULL)
		f = (err_set(e, ERR_MEMORY, "out of memory for the names of snapshots"), FATE_FAILED);
	else
		rotation_choose((const char (*)[SNAPSHOT_NAME])names, n, keep, go);
	for (size_t i = 0; f == FATE_DONE && i < n; i++) {
		if (!go[i])
			continue;
		if (!dry_run)
			f = remove_one(to, names[i], e);
		*pruned += f == FATE_DONE;
	}
	if (f == FATE_DONE && !dry_run)
		f = rotation_remove(to, REMOVING, 0, e);
	free(go);
	free(names);
	return f;
}
