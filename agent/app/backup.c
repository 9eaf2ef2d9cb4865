/* --backup TREE, --restore TREE [SNAPSHOT] [PATH]. */
#include "config.h"

#include "app/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/dump.h"
#include "app/progress.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "files/marker.h"
#include "files/restore.h"
#include "files/snapshot.h"
#include "wire/line.h"

enum {
	PATH_SPACE = 8192, /* bytes of a directory in agent.conf or on the command line, with what is put behind it */
	LOCK_TRIES = 100,  /* another agent's work on the folder is waited for: 10 s */
	LOCK_NAP_MS = 100,
	JSON_MAX = 1 << 26,
	DUMP_MODE = 0600,
	ESCAPE_MAX = 12 /* bytes that text_escape makes of one at most, with room */
};

/* The tree of the call, opened. */
struct work {
	const struct cli *cli;
	const struct conf *conf;
	const struct conf_tree *tree;
	struct beneath *root;
	struct beneath *to;
	struct buf json; /* what is told of single paths */
	uint64_t told;
	struct progress progress;
};

static enum exit_code
exit_of(enum fate f, const struct err *e)
{
	if (f == FATE_DONE)
		return EXIT_DONE;
	return f == FATE_OFFLINE ? EXIT_PERSON : cli_exit_code(e);
}

/* --- what both need ------------------------------------------------------------------------------ */

/* Without a / at its end, and absolute. */
static bool
resolve(const char *given, char out[PATH_SPACE], struct err *e)
{
	char here[PATH_SPACE / 2] = "";
	size_t len;

	if (given[0] != '/' && getcwd(here, sizeof here) == NULL)
		return err_errno(e, ERR_IO, "cannot tell the current directory");
	if (snprintf(out, PATH_SPACE, "%s%s%s", here, given[0] == '/' ? "" : "/", given) >= PATH_SPACE)
		return err_set(e, ERR_USAGE, "the directory's name is too long");
	for (len = strlen(out); len > 1 && out[len - 1] == '/'; len--)
		out[len - 1] = '\0';
	return true;
}

/* Where path leads when links are followed, as far as there is anything yet. */
static void
follow_links(const char *path, char out[PATH_SPACE])
{
	char part[PATH_SPACE], *real = NULL;
	size_t len = strlen(path);

	memcpy(part, path, len + 1);
	while ((real = realpath(part, NULL)) == NULL && len > 0) {
		while (len > 0 && part[len - 1] != '/')
			len--;
		while (len > 0 && part[len - 1] == '/')
			len--;
		part[len] = '\0';
	}
	if (snprintf(out, PATH_SPACE, "%s%s", real == NULL ? "" : real, path + len) >= PATH_SPACE)
		(void)snprintf(out, PATH_SPACE, "%s", path);
	free(real);
}

/* A snapshot in the folder would be an upload of its own, and hold the ones before it. */
static bool
is_apart(const char *place, const char *folder, struct err *e)
{
	char real_place[PATH_SPACE], real_folder[PATH_SPACE];

	follow_links(place, real_place);
	follow_links(folder, real_folder);
	return (!marker_nested(place, folder) && !marker_nested(real_place, real_folder)) ||
	    err_set(e, ERR_USAGE, "%s and the folder %s lie within each other: a snapshot would hold itself", place, folder);
}

/* The directory of all snapshots: of the call, of the tree, or in state_dir. */
static bool
choose_place(const struct work *w, const char *given, char out[PATH_SPACE], struct err *e)
{
	char fallback[PATH_SPACE / 2];

	if (snprintf(fallback, sizeof fallback, "%s/snapshots", w->conf->node.state_dir) >= (int)sizeof fallback)
		return err_set(e, ERR_CONFIG, "[node] state_dir is too long");
	if (given == NULL)
		given = w->tree->backup_to[0] != '\0' ? w->tree->backup_to : fallback;
	return resolve(given, out, e) && is_apart(out, w->tree->path, e);
}

/* Of a place that a person named only the tree's own directory is made: where a disk is not mounted, the snapshots would
 * fill the one below. */
static bool
is_there(const struct work *w, const char *given, const char *place, struct err *e)
{
	struct stat st;

	if (given == NULL && w->tree->backup_to[0] == '\0')
		return true;
	return stat(place, &st) == 0 || (errno != ENOENT && errno != ENOTDIR) || err_set(e, ERR_CONFIG, "there is no directory %s: is its disk mounted? if it is meant, make it (mkdir)", place);
}

static enum fate
open_work(struct work *w, const char *given, bool make, struct err *e)
{
	char place[PATH_SPACE];
	enum fate f;

	w->tree = conf_tree(w->conf, w->cli->argument);
	if (w->tree == NULL)
		return err_set(e, ERR_USAGE, "there is no [tree %.60s] in %s", w->cli->argument, w->conf->path), FATE_FAILED;
	if (!choose_place(w, given, place, e) || (make && !is_there(w, given, place, e)))
		return FATE_FAILED;
	f = beneath_open(w->tree->path, &w->root, e);
	if (f != FATE_DONE)
		return f;
	f = snapshot_place(place, w->tree->name, make, &w->to, e);
	if (f == FATE_OFFLINE && !make)
		f = (err_set(e, ERR_USAGE, "there are no snapshots of %s in %s; --from DIR says where they are", w->tree->name, place), FATE_GONE);
	return f;
}

static void
close_work(struct work *w)
{
	beneath_close(w->root);
	beneath_close(w->to);
	buf_free(&w->json);
}

/* One path as an object of a JSON list, or as a line for people; what is no text in it is escaped. */
static void
tell_path(struct work *w, const char *path, const char *what, const char *why)
{
	size_t len = strlen(path);
	char *shown = malloc(len * ESCAPE_MAX + 1);

	if (shown == NULL)
		return;
	(void)text_escape(path, len, shown, len * ESCAPE_MAX + 1);
	if (w->cli->json) {
		buf_str(&w->json, w->told++ == 0 ? "{\"path\":" : ",{\"path\":");
		line_quote(&w->json, line_is_utf8(path, len) ? path : shown, strlen(line_is_utf8(path, len) ? path : shown));
		buf_fmt(&w->json, ",\"state\":\"%s\",\"reason\":\"%s\"}", what, why);
	} else if (!w->cli->quiet) {
		progress_clear(&w->progress);
		(void)printf("%s%s%s%s: %s\n", what, why[0] == '\0' ? "" : " (", why, why[0] == '\0' ? "" : ")", shown);
	}
	free(shown);
}

static void
show_files(void *arg, uint64_t files, uint64_t about)
{
	struct work *w = arg;

	progress_show(&w->progress, files, about, "files");
}

/* One backup of a place at a time. *busy: another one is at work. */
static enum fate
lock_place(const struct beneath *to, int *fd, bool *busy, struct err *e)
{
	enum fate f = beneath_file(to, "lock", O_RDWR | O_CREAT, DUMP_MODE, fd, e);

	if (f != FATE_DONE || flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return f;
	*busy = errno == EWOULDBLOCK;
	return *busy ? FATE_DONE : fate_errno(e, "cannot lock", "lock");
}

/* --- --backup -------------------------------------------------------------------------------------- */

static void
note_skipped(void *arg, const char *path, enum fate why)
{
	tell_path(arg, path, "not as it is", fate_word(why));
}

/* The rows first, then the files: a file that changed since is named (later.txt). */
static enum fate
dump_rows(const struct work *w, const struct snapshot *s, struct err *e)
{
	char path[SNAPSHOT_FOLDER + 16];
	enum fate f;
	int fd;

	(void)snprintf(path, sizeof path, "%s/database.sql", snapshot_folder(s));
	f = beneath_file(w->to, path, O_WRONLY | O_CREAT | O_EXCL, DUMP_MODE, &fd, e);
	if (f != FATE_DONE)
		return f;
	if (!dump_run(&w->conf->database, w->conf->node.state_dir, fd, e))
		f = FATE_FAILED;
	(void)close(fd);
	return f;
}

static void
print_backup(struct work *w, const struct snapshot *s, const struct snapshot_counts *c, uint64_t pruned)
{
	if (w->cli->json) {
		(void)printf("{\"tree\":\"%s\",\"snapshot\":\"%s\",\"previous\":\"%s\",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"linked\":%" PRIu64
			     ",\"copied\":%" PRIu64 ",\"copied_bytes\":%" PRIu64 ",\"older\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"changed_since_dump\":%" PRIu64
			     ",\"pruned\":%" PRIu64 ",\"paths\":[%s]}\n",
		    w->tree->name, snapshot_name(s), snapshot_previous(s), c->files, c->bytes, c->linked, c->copied, c->copied_bytes, c->older, c->skipped, c->later,
		    pruned, buf_cstr(&w->json));
		return;
	}
	if (w->cli->quiet)
		return;
	(void)printf("%s %s: %" PRIu64 " files, %" PRIu64 " bytes; %" PRIu64 " copied (%" PRIu64 " bytes), %" PRIu64 " shared with the snapshot before\n",
	    w->cli->dry_run ? "would make" : "snapshot", snapshot_name(s), c->files, c->bytes, c->copied, c->copied_bytes, c->linked);
	if (c->older + c->skipped > 0)
		(void)printf("%" PRIu64 " could not be read: of %" PRIu64 " the version before was kept, %" PRIu64 " are missing; old snapshots stay\n", c->older + c->skipped,
		    c->older, c->skipped);
	if (c->later > 0)
		(void)printf("%" PRIu64 " files changed after the dump of the database began: later.txt names them\n", c->later);
	if (pruned > 0)
		(void)printf("%" PRIu64 " old snapshots %s\n", pruned, w->cli->dry_run ? "would be removed" : "removed");
}

/* Fill, finish, prune. Old snapshots stay while a new one lacks something. */
static enum fate
complete(struct work *w, struct snapshot *s, struct snapshot_counts *c, uint64_t *pruned, struct err *e)
{
	enum fate f = FATE_DONE;

	if (w->cli->with_database && !w->cli->dry_run)
		f = dump_rows(w, s, e);
	if (f == FATE_DONE)
		f = snapshot_fill(s, c, e);
	if (f == FATE_DONE && !w->cli->dry_run)
		f = snapshot_finish(s, e);
	if (f == FATE_DONE && c->older + c->skipped == 0)
		f = rotation_prune(w->to, &w->tree->backup_keep, w->cli->dry_run, pruned, e);
	return f;
}

static enum fate
back_up(struct work *w, bool *person, struct err *e)
{
	struct snapshot_order o = { .tree = w->root, .to = w->to, .dry_run = w->cli->dry_run, .arg = w, .skipped = note_skipped, .far = show_files };
	struct snapshot_counts c = { .files = 0 };
	struct exclude *x = NULL;
	struct snapshot *s = NULL;
	uint64_t pruned = 0;
	enum fate f = FATE_FAILED;

	if (!exclude_of_option(w->tree->exclude, &x, e))
		return f;
	o.exclude = x;
	o.since_us = w->cli->with_database ? clock_wall_us() : 0;
	f = snapshot_begin(&o, clock_wall_us(), &s, e);
	if (f == FATE_DONE)
		f = complete(w, s, &c, &pruned, e);
	progress_clear(&w->progress);
	if (f == FATE_DONE)
		print_backup(w, s, &c, pruned);
	*person = c.older + c.skipped > 0;
	if (f == FATE_FULL)
		(void)err_prefix(e, "the disk of %s is full; what was copied is used by the next --backup", beneath_path(w->to));
	snapshot_free(s);
	exclude_free(x);
	return f;
}

/* As a second --drain does: it is being done. */
static void
print_busy(const struct work *w)
{
	if (w->cli->json)
		(void)printf("{\"tree\":\"%s\",\"busy\":true}\n", w->tree->name);
	else if (!w->cli->quiet)
		(void)printf("another --backup of %s is running\n", w->tree->name);
}

enum exit_code
backup_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct work w = { .cli = cli, .conf = conf };
	bool person = false, busy = false;
	enum fate f;
	int lock = -1;

	buf_init(&w.json, JSON_MAX);
	progress_init(&w.progress, cli->quiet);
	progress_begin(&w.progress, cli->argument);
	f = open_work(&w, cli->to, true, e);
	if (f == FATE_DONE)
		f = lock_place(w.to, &lock, &busy, e);
	if (f == FATE_DONE && busy)
		print_busy(&w);
	else if (f == FATE_DONE)
		f = back_up(&w, &person, e);
	if (lock >= 0)
		(void)close(lock);
	close_work(&w);
	if (f == FATE_DONE) /* of single paths; they were told */
		err_clear(e);
	return f == FATE_DONE && person ? EXIT_PERSON : exit_of(f, e);
}

/* --- --restore ------------------------------------------------------------------------------------- */

static enum fate
list_snapshots(const struct work *w, struct err *e)
{
	char (*names)[SNAPSHOT_NAME];
	size_t n;
	enum fate f = rotation_list(w->to, "", &names, &n, e);

	if (f != FATE_DONE)
		return f;
	if (w->cli->json)
		(void)printf("{\"tree\":\"%s\",\"snapshots\":[", w->tree->name);
	for (size_t i = 0; i < n; i++) {
		if (w->cli->json)
			(void)printf("%s\"%s\"", i == 0 ? "" : ",", names[i]);
		else if (!w->cli->quiet)
			(void)puts(names[i]);
	}
	if (w->cli->json)
		(void)puts("]}");
	else if (n == 0 && !w->cli->quiet)
		(void)printf("no snapshot of %s in %s\n", w->tree->name, beneath_path(w->to));
	free(names);
	return f;
}

/* "latest", or a name as the list shows it. */
static enum fate
choose_snapshot(const struct work *w, char out[SNAPSHOT_NAME], struct err *e)
{
	char (*names)[SNAPSHOT_NAME];
	bool latest = strcmp(w->cli->second, "latest") == 0, found = false;
	size_t n;
	enum fate f = rotation_list(w->to, "", &names, &n, e);

	for (size_t i = 0; f == FATE_DONE && i < n; i++)
		if (latest || strcmp(names[i], w->cli->second) == 0) {
			memcpy(out, names[i], SNAPSHOT_NAME);
			found = true;
		}
	free(names);
	if (f == FATE_DONE && !found)
		return err_set(e, ERR_USAGE, "there is no snapshot %.60s in %s; agent --restore %s lists them", w->cli->second, beneath_path(w->to), w->tree->name), FATE_GONE;
	return f;
}

static void
note_restored(void *arg, const char *path, enum restore_act act, enum fate why)
{
	static const char *const words[] = { "new", "replaced", "same", "corrupt in the snapshot", "failed" };
	struct work *w = arg;

	if (w->cli->json || w->cli->dry_run || w->cli->verbose || act == RESTORE_CORRUPT || act == RESTORE_FAILED)
		tell_path(w, path, words[act], why == FATE_DONE ? "" : fate_word(why));
}

static void
print_restore(const struct work *w, const struct restore_order *o, const struct restore_counts *c)
{
	if (w->cli->json)
		(void)printf("{\"tree\":\"%s\",\"snapshot\":\"%s\",\"new\":%" PRIu64 ",\"replaced\":%" PRIu64 ",\"same\":%" PRIu64 ",\"corrupt\":%" PRIu64
			     ",\"failed\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"paths\":[%s]}\n",
		    w->tree->name, o->name, c->made, c->replaced, c->same, c->corrupt, c->failed, c->bytes, buf_cstr(&w->json));
	else if (!w->cli->quiet)
		(void)printf("%s %s: %" PRIu64 " new, %" PRIu64 " replaced, %" PRIu64 " the same%s\n", w->cli->dry_run ? "would restore" : "restored", o->name, c->made, c->replaced,
		    c->same, c->replaced > 0 && !w->cli->dry_run ? "; what stood there is in .sync/trash" : "");
}

/* The folder must be the tree, and nobody else's at the moment. */
static enum fate
hold_tree(const struct work *w, int *lock, struct err *e)
{
	struct marker mark;
	enum fate f = marker_read(w->root, &mark, e);

	if (f == FATE_OFFLINE)
		(void)err_prefix(e, "agent --install sets a folder up");
	if (f != FATE_DONE || w->cli->dry_run)
		return f;
	f = FATE_BUSY;
	for (int i = 0; f == FATE_BUSY && i < LOCK_TRIES; i++) {
		if (i > 0)
			clock_nap_ms(LOCK_NAP_MS);
		f = marker_lock(w->root, lock, e);
	}
	return f;
}

/* A path of the snapshot, as people write it: a / at its end does no harm. */
static enum fate
choose_path(const struct work *w, char out[BENEATH_PATH_MAX + 1], struct err *e)
{
	const char *given = w->cli->third == NULL ? "" : w->cli->third;
	size_t len = strlen(given);

	while (len > 0 && given[len - 1] == '/')
		len--;
	if (w->cli->third != NULL && !beneath_path_ok(given, len)) /* nor an empty one: a script's empty variable is not all files */
		return err_set(e, ERR_USAGE, "PATH is one of the folder, without a / at its begin and without . and ..: photos/a.jpg"), FATE_BAD_NAME;
	memcpy(out, given, len);
	out[len] = '\0';
	return FATE_DONE;
}

static enum fate
restore(struct work *w, bool *person, struct err *e)
{
	char name[SNAPSHOT_NAME], path[BENEATH_PATH_MAX + 1];
	struct restore_order o = { .tree = w->root, .to = w->to, .name = name, .path = path, .dry_run = w->cli->dry_run, .arg = w, .act = note_restored, .far = show_files };
	struct restore_counts c = { .made = 0 };
	enum fate f = choose_snapshot(w, name, e);
	int lock = -1;

	if (f == FATE_DONE)
		f = choose_path(w, path, e);
	if (f == FATE_DONE)
		f = hold_tree(w, &lock, e);
	if (f == FATE_DONE) {
		o.wall_us = clock_wall_us();
		f = restore_run(&o, &c, e);
		progress_clear(&w->progress);
		if (f == FATE_DONE)
			print_restore(w, &o, &c);
	}
	*person = c.corrupt + c.failed > 0;
	if (lock >= 0)
		(void)close(lock);
	return f;
}

enum exit_code
restore_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct work w = { .cli = cli, .conf = conf };
	bool person = false;
	enum fate f;

	buf_init(&w.json, JSON_MAX);
	progress_init(&w.progress, cli->quiet);
	progress_begin(&w.progress, cli->argument);
	f = open_work(&w, cli->from, false, e);
	if (f == FATE_DONE)
		f = cli->second == NULL ? list_snapshots(&w, e) : restore(&w, &person, e);
	close_work(&w);
	if (f == FATE_DONE) /* of single paths; they were told */
		err_clear(e);
	return f == FATE_DONE && person ? EXIT_PERSON : exit_of(f, e);
}
