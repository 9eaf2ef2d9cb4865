/* Taking files back from a snapshot. A walk over the snapshot's files/ beside its list of hashes; each file goes into the
 * tree as any other content does: into .sync/tmp, then under its name in one step (store). */
#include "config.h"

#include "files/restore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/checklist.h"
#include "files/store.h"
#include "files/walk.h"

enum {
	PERMISSIONS = 0777,
	DIR_MODE = 0755, /* of a directory above what is taken back, when it is not there */
	PLACE_MAX = 64	 /* "2026-11-21_163000/manifest.sha256" */
};

struct restoring {
	const struct restore_order *o;
	struct beneath *from; /* the snapshot's files/ */
	struct checklist *list;
	struct trash *trash;
	struct buf name;
	struct restore_counts counts;
	uint64_t files; /* that were looked at */
	bool found;
};

static void
tell(struct restoring *r, const char *path, enum restore_act act, enum fate f)
{
	r->counts.made += act == RESTORE_NEW;
	r->counts.replaced += act == RESTORE_REPLACE;
	r->counts.same += act == RESTORE_SAME;
	r->counts.corrupt += act == RESTORE_CORRUPT;
	r->counts.failed += act == RESTORE_FAILED;
	if (act != RESTORE_SAME && r->o->act != NULL)
		r->o->act(r->o->arg, path, act, f);
}

/* Is path what was asked for, or in it? */
static bool
wanted(const struct restoring *r, const char *path)
{
	size_t len = strlen(r->o->path);

	return len == 0 || (strncmp(path, r->o->path, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

/* What stands at the path now; type 0: nothing. */
static enum fate
look(const struct restoring *r, const char *path, struct file_facts *now, struct err *e)
{
	enum fate f = beneath_look(r->o->tree, path, now, e);

	if (f == FATE_GONE || f == FATE_KIND) /* a file stands where a directory above should be: told when it is made */
		*now = (struct file_facts){ .type = '\0' };
	return f == FATE_GONE || f == FATE_KIND ? FATE_DONE : f;
}

static enum fate
make_parents(const struct restoring *r, const char *path, struct err *e)
{
	const char *leaf;
	enum fate f;
	int fd;

	f = beneath_parent(r->o->tree, path, DIR_MODE, &fd, &leaf, e);
	if (f == FATE_DONE)
		(void)close(fd);
	return f;
}

/* Out of the way, into the trash. */
static enum fate
displace(struct restoring *r, const char *path, struct err *e)
{
	return trash_put(r->trash, path, path, &r->name, NULL, e);
}

/* --- files ---------------------------------------------------------------------------------------- */

/* Has the live file that content? A different size tells at once. */
static bool
is_same(struct restoring *r, const char *path, const struct file_facts *now, const struct file_facts *then, const struct content *c)
{
	struct content_read how;
	struct content live;
	struct err ignored;
	bool same;

	if (now->type != 'f' || now->size != then->size || (now->mode & PERMISSIONS) != (then->mode & PERMISSIONS) || now->mtime_ns != then->mtime_ns)
		return false;
	if (content_path(r->o->tree, path, &live, &how, &ignored) != FATE_DONE)
		return false;
	same = memcmp(live.id, c->id, CONTENT_BYTES) == 0;
	content_free(&live);
	return same;
}

static enum fate
put_content(struct restoring *r, const char *path, int fd, const struct content *c, const struct file_facts *then, const struct file_facts *now, struct err *e)
{
	const struct store_look as = { .mode = then->mode, .own_uid = geteuid() == 0, .own_gid = geteuid() == 0, .uid = then->uid, .gid = then->gid,
		.mtime_ns = then->mtime_ns };
	const struct store_expect expect = { .nothing = now->type == '\0', .facts = *now };
	const struct store_bins bins = { r->trash, r->trash };
	struct store_displaced displaced;
	struct store *s;
	enum fate f = store_open(r->o->tree, c, 0, &s, e);

	if (f != FATE_DONE)
		return f;
	f = store_take(s, fd, e);
	if (f == FATE_DONE)
		f = store_dress(s, &as, NULL, e);
	if (f == FATE_DONE)
		f = store_sync(s, e);
	if (f == FATE_DONE)
		f = make_parents(r, path, e);
	if (f == FATE_DONE)
		f = store_publish(s, path, &expect, &bins, &displaced, &r->name, e);
	if (f == FATE_DONE)
		store_free(s);
	else
		store_discard(s);
	return f;
}

/* Reads the snapshot's file twice: for sha256sum's hash and for our own id. */
static enum fate
read_file(const char *path, int fd, const unsigned char want[CONTENT_BYTES], struct content *c, struct err *e)
{
	unsigned char got[CONTENT_BYTES];
	struct content_read how;
	enum fate f = snapshot_sha256(fd, path, got, e);

	if (f != FATE_DONE)
		return f;
	if (memcmp(want, got, CONTENT_BYTES) != 0)
		return fate_set(e, FATE_CORRUPT, "the snapshot has another content than its list says:", path);
	return content_file(fd, path, c, &how, e);
}

static enum fate
restore_open(struct restoring *r, const struct walk_entry *entry, int fd, const unsigned char want[CONTENT_BYTES], struct err *e)
{
	struct content c = { .blocks = NULL };
	struct file_facts now;
	enum fate f = read_file(entry->path, fd, want, &c, e);

	if (f == FATE_DONE)
		f = look(r, entry->path, &now, e);
	if (f == FATE_DONE && is_same(r, entry->path, &now, entry->facts, &c)) {
		tell(r, entry->path, RESTORE_SAME, f);
		content_free(&c);
		return FATE_DONE;
	}
	if (f == FATE_DONE && !r->o->dry_run)
		f = put_content(r, entry->path, fd, &c, entry->facts, &now, e);
	content_free(&c);
	if (f == FATE_DONE) {
		r->counts.bytes += entry->facts->size;
		tell(r, entry->path, now.type == '\0' ? RESTORE_NEW : RESTORE_REPLACE, f);
	}
	return f;
}

static enum fate
restore_file(struct restoring *r, const struct walk_entry *entry, struct err *e)
{
	unsigned char want[CONTENT_BYTES];
	enum fate f;
	int fd;

	if (!checklist_find(r->list, entry->path, want))
		return fate_set(e, FATE_CORRUPT, "the snapshot's list does not have", entry->path);
	f = beneath_file(r->from, entry->path, O_RDONLY, 0, &fd, e);
	if (f != FATE_DONE)
		return f;
	f = restore_open(r, entry, fd, want, e);
	(void)close(fd);
	return f;
}

/* --- directories and links -------------------------------------------------------------------------- */

static enum fate
make_directory(struct restoring *r, const struct walk_entry *entry, struct err *e)
{
	enum fate f = make_parents(r, entry->path, e);

	if (f == FATE_DONE)
		f = beneath_make_directory(r->o->tree, entry->path, entry->facts->mode & PERMISSIONS, e);
	return f != FATE_DONE || geteuid() != 0 ? f : beneath_give_directory(r->o->tree, entry->path, entry->facts->uid, entry->facts->gid, e);
}

static enum fate
make_link(struct restoring *r, const struct walk_entry *entry, struct err *e)
{
	enum fate f = make_parents(r, entry->path, e);

	return f == FATE_DONE ? beneath_make_link(r->o->tree, entry->path, entry->link, e) : f;
}

/* Is the link that stands there the same one? */
static bool
same_link(struct restoring *r, const struct walk_entry *entry)
{
	char *target = malloc(BENEATH_PATH_MAX + 1);
	struct err ignored;
	bool same = target != NULL && beneath_link(r->o->tree, entry->path, target, &ignored) == FATE_DONE && strcmp(target, entry->link) == 0;

	free(target);
	return same;
}

static enum fate
restore_other(struct restoring *r, const struct walk_entry *entry, struct err *e)
{
	bool directory = entry->facts->type == 'd';
	struct file_facts now;
	enum fate f = look(r, entry->path, &now, e);

	if (f != FATE_DONE)
		return f;
	if (now.type == entry->facts->type && (directory || same_link(r, entry))) {
		tell(r, entry->path, RESTORE_SAME, f);
		return f;
	}
	if (!r->o->dry_run && now.type != '\0')
		f = displace(r, entry->path, e);
	if (f == FATE_DONE && !r->o->dry_run)
		f = directory ? make_directory(r, entry, e) : make_link(r, entry, e);
	if (f == FATE_DONE)
		tell(r, entry->path, now.type == '\0' ? RESTORE_NEW : RESTORE_REPLACE, f);
	return f;
}

/* --- all of it ---------------------------------------------------------------------------------------- */

/* What the list has before that path (NULL: the end) and the snapshot no more. */
static void
tell_lost(struct restoring *r, const char *before)
{
	for (const char *path; (path = checklist_passed(r->list, before)) != NULL;)
		if (wanted(r, path)) {
			r->found = true;
			tell(r, path, RESTORE_CORRUPT, FATE_GONE);
		}
}

static bool
restore_entry(void *arg, const struct walk_entry *entry, struct err *e)
{
	struct restoring *r = arg;
	struct err why;
	enum fate f;

	(void)e;
	if (!wanted(r, entry->path))
		return true;
	r->found = true;
	tell_lost(r, entry->path);
	f = entry->facts->type == 'f' ? restore_file(r, entry, &why) : restore_other(r, entry, &why);
	if (f != FATE_DONE)
		tell(r, entry->path, f == FATE_CORRUPT ? RESTORE_CORRUPT : RESTORE_FAILED, f);
	r->files += entry->facts->type == 'f';
	if (r->o->far != NULL) /* the list is read over what was not asked for */
		r->o->far(r->o->arg, r->files, r->o->path[0] == '\0' ? checklist_about(r->list, r->files) : 0);
	return true;
}

static bool
note_unread(void *arg, const char *path, enum fate why, struct err *e)
{
	struct restoring *r = arg;

	(void)e;
	if (wanted(r, path))
		tell(r, path, RESTORE_FAILED, why);
	return true;
}

static enum fate
open_list(struct restoring *r, struct err *e)
{
	char path[PLACE_MAX];
	FILE *in;
	enum fate f;
	int fd;

	(void)snprintf(path, sizeof path, "%s/" CHECKLIST_NAME, r->o->name);
	f = beneath_file(r->o->to, path, O_RDONLY, 0, &fd, e);
	if (f != FATE_DONE)
		return f;
	in = fdopen(fd, "r");
	if (in == NULL) {
		(void)close(fd);
		return fate_errno(e, "cannot open", path);
	}
	return checklist_new(in, &r->list, e) ? FATE_DONE : FATE_FAILED;
}

static enum fate
open_snapshot(struct restoring *r, struct err *e)
{
	struct buf path;
	enum fate f = FATE_FAILED;

	buf_init(&path, (size_t)BENEATH_PATH_MAX * 2);
	buf_fmt(&path, "%s/%s/files", beneath_path(r->o->to), r->o->name);
	if (buf_check(&path, "the folder of a snapshot", e))
		f = beneath_open(buf_cstr(&path), &r->from, e);
	buf_free(&path);
	return f == FATE_DONE ? open_list(r, e) : f;
}

enum fate
restore_run(const struct restore_order *o, struct restore_counts *out, struct err *e)
{
	struct restoring r = { .o = o };
	struct walk w = { .arg = &r, .entry = restore_entry, .unread = note_unread };
	struct walk_counts walked;
	enum fate f = open_snapshot(&r, e);

	buf_init(&r.name, (size_t)BENEATH_PATH_MAX * 2);
	if (f == FATE_DONE && !trash_new(o->tree, TRASH_DELETED, "restore", o->wall_us, &r.trash, e))
		f = FATE_FAILED;
	w.tree = r.from;
	if (f == FATE_DONE && !walk_run(&w, &walked, e))
		f = FATE_FAILED;
	if (f == FATE_DONE)
		tell_lost(&r, NULL);
	if (f == FATE_DONE && !r.found && o->path[0] != '\0')
		f = (err_set(e, ERR_IO, "the snapshot %s does not have %s", o->name, o->path), FATE_GONE);
	if (f == FATE_DONE && !o->dry_run && !disk_sync_all(beneath_descriptor(o->tree)))
		f = fate_errno(e, "cannot bring to the disk", beneath_path(o->tree));
	*out = r.counts;
	trash_free(r.trash);
	checklist_free(r.list);
	beneath_close(r.from);
	buf_free(&r.name);
	return f;
}
