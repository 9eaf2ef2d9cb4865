/* Putting a folder right. Files are gathered, written to the disk together, and then given their names one after the
 * other; their rows follow in one statement. A crash in between leaves files that the next look finds to be right. */
#include "files/arrive.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "files/after.h"
#include "files/apart.h"
#include "files/aside.h"
#include "files/flush.h"
#include "files/moving.h"
#include "files/places.h"
#include "files/scan.h"
#include "files/tell.h"
#include "files/trash.h"

enum {
	GROUP = 128,		 /* files on their way at once: each is an open descriptor */
	UNWRITTEN_MAX = 1000,	 /* a row before its file lasts would be read as a person's doing: written by us, before they must */
	PARENT_MODE = 0755,	 /* of directories that the list has not named yet */
	FREE_LEAST = 16 * 1024 * 1024, /* bytes of the disk that are left alone */
	SETTLE_MS = 5000,	 /* then whoever asked gets an answer and asks again: its patience ends at [sync] timeout */
	DIRECTORIES_MAX = 100 * 1000 /* removed in one go; the rest in the next */
};

/* A content that is coming, with the hashes of its blocks. */
struct half {
	struct store *store;
	struct content content;
	struct listing_row row; /* of the path that it is for, where a peer brings it */
	char *path;
};

/* A file on its way: all there, not yet under its name. */
struct incoming {
	struct half *half;
	char *path;
	struct what content;
	struct what was; /* what it takes the place of */
	struct store_expect expect;
	struct store_look look;
};

struct arrival {
	struct tree *tree;
	struct trash *replaced, *lost;
	struct placed *placed; /* for the command of after */
	struct incoming group[GROUP];
	size_t n;
	struct arrive_report tally;
	arrive_wish *wish;
	void *wish_arg;
	const unsigned char *ids; /* of the paths that this settling is about; NULL: of all */
	size_t nids;
	int64_t until_ms; /* of a settling that somebody waits for */
	bool busy; /* the last settling found something to do */
	bool removing; /* the second round */
	bool removals; /* it is needed */
	char **directories; /* to be removed when they are empty */
	size_t ndirectories;
	/* A large content that comes in several calls stays open: opening it reads all that is there. */
	struct half *large;
	bool large_asked; /* for more of it, in this settling */
	struct places expected; /* which paths want what comes */
	struct moving *moving;
	struct flushed synced[GROUP];
	size_t unwritten; /* files published whose rows are not written */
	struct buf unsynced; /* and their paths: the directories have to last first */
	bool owner_said;
	uint64_t mended; /* the last conflict of rows that was looked at before this settling */
};

bool
arrive_new(struct tree *t, struct arrival **out, struct err *e)
{
	struct arrival *a = calloc(1, sizeof *a);
	int64_t now = clock_wall_us();

	*out = NULL;
	if (a == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	a->tree = t;
	buf_init(&a->unsynced, (size_t)(UNWRITTEN_MAX + GROUP) * (BENEATH_PATH_MAX + 1));
	if (placed_new(t->db, t->t, &a->placed, e) && moving_new(t, a->placed, &a->moving, e) && trash_new(t->root, TRASH_DELETED, "replaced", now, &a->replaced, e) &&
	    trash_new(t->root, TRASH_CONFLICT, "unexpected", now, &a->lost, e)) {
		*out = a;
		return true;
	}
	arrive_free(a);
	return false;
}

static void
half_free(struct half *h)
{
	if (h == NULL)
		return;
	store_free(h->store);
	content_free(&h->content);
	free(h->path);
	free(h);
}

static void
drop_group(struct arrival *a)
{
	for (size_t i = 0; i < a->n; i++) {
		half_free(a->group[i].half);
		free(a->group[i].path);
	}
	a->n = 0;
}

static void
close_large(struct arrival *a)
{
	half_free(a->large);
	a->large = NULL;
}

static void
drop_directories(struct arrival *a)
{
	for (size_t i = 0; i < a->ndirectories; i++)
		free(a->directories[i]);
	free(a->directories);
	a->directories = NULL;
	a->ndirectories = 0;
}

void
arrive_free(struct arrival *a)
{
	if (a == NULL)
		return;
	drop_group(a);
	close_large(a);
	drop_directories(a);
	places_clear(&a->expected);
	moving_free(a->moving);
	buf_free(&a->unsynced);
	trash_free(a->replaced);
	trash_free(a->lost);
	placed_free(a->placed);
	free(a);
}

/* --- one path that does not come to its end --- */

/* It waits, with the reason; what stands there now is looked at again, since it may be the reason. */
static bool
park(struct arrival *a, const char *path, enum fate f, const struct err *why, struct err *e)
{
	char text[LISTING_ERROR_MAX];
	bool right;

	if (f == FATE_CHANGED || f == FATE_EXISTS || f == FATE_GONE) {
		if (!scan_path(a->tree, path, strlen(path), e))
			return false;
		if (f != FATE_EXISTS)
			return true; /* the next look judges anew */
		if (!listing_is_right(a->tree->list, path, strlen(path), &right, e))
			return false;
		if (right)
			return true; /* somebody here was quicker */
	}
	a->tally.failed++;
	(void)snprintf(text, sizeof text, "%s: %.400s", fate_word(f), why->msg);
	log_debug(NULL, "tree %s: %s", a->tree->t->name, text);
	return listing_fail(a->tree->list, path, strlen(path), text, e);
}

/* A link that leads out, a pipe: looks do not see such things, and they stand in the way all the same. They go to the
 * conflicts; a file or a directory there is for the next look. */
static enum fate
clear_stranger(struct arrival *a, const char *path, struct err *e)
{
	struct file_facts facts;
	struct buf name;
	enum fate f = beneath_look(a->tree->root, path, &facts, e);

	if (f != FATE_DONE)
		return f;
	if (facts.type == 'f' || facts.type == 'd')
		return fate_set(e, FATE_EXISTS, "something stands at", path);
	buf_init(&name, BENEATH_PATH_MAX);
	f = trash_put(a->lost, path, path, &name, NULL, e);
	buf_free(&name);
	return f;
}

/* --- looks --- */

static struct store_look
look_of(const struct arrival *a, const struct listing_row *row)
{
	const struct listing_looks *k = &a->tree->looks;
	bool file = what_kind(&row->s.listed) == 'f';
	unsigned mode = file ? k->file_mode : k->dir_mode;

	return (struct store_look){ .mode = mode != 0 ? mode : row->mode, .own_uid = k->own_uid, .own_gid = k->own_gid, .uid = k->uid, .gid = k->gid, .mtime_ns = row->mtime_ns };
}

/* What stands at the path now is as the list says. */
static bool
note_right(struct arrival *a, const char *path, const struct what *c, const char *link, struct err *e)
{
	struct local_file f = { .path = path, .len = strlen(path), .content = *c, .link = link, .agreed = true };
	enum fate fate = beneath_look(a->tree->root, path, &f.facts, e);

	if (fate != FATE_DONE)
		return park(a, path, fate, e, e);
	f.racy = true; /* whoever writes within this tick of the clock must be seen */
	return listing_note(a->tree->list, &f, e);
}

/* A file of ours that has its name now. It is looked at by its descriptor: another program's in its place is another inode
 * to the next look. Whoever writes into ours gives it another time than the one that was set, so it need not be read again
 * to know what it holds. */
static bool
note_published(struct arrival *a, const struct incoming *in, struct err *e)
{
	struct local_file f = { .path = in->path, .len = strlen(in->path), .content = in->content, .agreed = true };

	if (!store_facts(in->half->store, &f.facts))
		return note_right(a, in->path, &in->content, NULL, e);
	f.racy = f.facts.size != in->half->content.size || f.facts.mtime_ns != in->look.mtime_ns || content_time_is_near(f.facts.mtime_ns);
	return listing_note(a->tree->list, &f, e);
}

/* Owner and mode of what is right otherwise. */
static bool
dress(struct arrival *a, const struct listing_row *row, struct err *e)
{
	struct store_look look = look_of(a, row);
	enum fate f;
	int fd = -1;

	f = beneath_file(a->tree->root, row->path, O_RDONLY, 0, &fd, e);
	if (f != FATE_DONE)
		return park(a, row->path, f, e, e);
	if ((look.own_uid || look.own_gid) && fchown(fd, look.own_uid ? look.uid : (uid_t)-1, look.own_gid ? look.gid : (gid_t)-1) != 0)
		f = fate_errno(e, "cannot set the owner of", row->path);
	if (fchmod(fd, look.mode) != 0)
		f = fate_errno(e, "cannot set the permissions of", row->path);
	(void)close(fd);
	if (f != FATE_DONE)
		return park(a, row->path, f, e, e);
	a->tally.written++;
	return note_right(a, row->path, &row->s.listed, NULL, e);
}

/* --- files --- */

static enum fate
make_parent(struct arrival *a, const char *path, struct err *e)
{
	const char *leaf;
	int fd;
	enum fate f = beneath_parent(a->tree->root, path, PARENT_MODE, &fd, &leaf, e);

	if (f == FATE_DONE)
		(void)close(fd);
	return f;
}

static bool
publish(struct arrival *a, struct incoming *in, struct buf *name, struct err *e)
{
	const struct store_bins bins = { a->replaced, a->lost };
	struct store_displaced out;
	enum fate f;

	f = store_publish(in->half->store, in->path, &in->expect, &bins, &out, name, e);
	if (f == FATE_GONE && in->expect.nothing && (f = make_parent(a, in->path, e)) == FATE_DONE)
		f = store_publish(in->half->store, in->path, &in->expect, &bins, &out, name, e);
	if (f == FATE_EXISTS && in->expect.nothing && clear_stranger(a, in->path, e) == FATE_DONE)
		f = store_publish(in->half->store, in->path, &in->expect, &bins, &out, name, e);
	if (f != FATE_DONE)
		return park(a, in->path, f, e, e);
	a->tally.written++;
	if (out.any && out.expected && !listing_trashed(a->tree->list, &in->was, buf_cstr(name), e))
		return false;
	if (out.any && !out.expected)
		log_warning(NULL, "tree %s: %s had been changed here meanwhile; that version is in %s", a->tree->t->name, in->path, buf_cstr(name));
	/* What was not known by its content, or has others in it. */
	if (out.any && (!out.expected || what_kind(&in->was) == 'd') && !aside_remember(a->tree->root, a->tree->list, buf_cstr(name), e))
		return false;
	return note_published(a, in, e);
}

static bool
write_rows(struct arrival *a, struct err *e)
{
	bool ok = buf_check(&a->unsynced, "paths of a tree", e) && flush_parents(a->tree->root, &a->unsynced, e);

	a->unwritten = 0;
	buf_reset(&a->unsynced);
	return ok && listing_flush(a->tree->list, e);
}

static enum fate
sync_file(void *arg, size_t i, struct err *e)
{
	const struct arrival *a = arg;

	return store_sync(a->group[i].half->store, e);
}

/* Give the gathered files their names. */
static bool
finish_group(struct arrival *a, struct err *e)
{
	struct buf name;
	bool ok = true;

	buf_init(&name, BENEATH_PATH_MAX);
	for (size_t i = 0; i < a->n; i++)
		store_flush(a->group[i].half->store);
	for (size_t i = 0; ok && i < a->n; i++)
		ok = placed_add(a->placed, a->group[i].path, e);
	ok = ok && placed_flush(a->placed, e);
	if (ok)
		flush_all(a->n, sync_file, a, a->synced);
	for (size_t i = 0; ok && i < a->n; i++) {
		struct incoming *in = &a->group[i];

		buf_reset(&name);
		ok = a->synced[i].fate == FATE_DONE ? publish(a, in, &name, e) : park(a, in->path, a->synced[i].fate, &a->synced[i].err, e);
		buf_put(&a->unsynced, in->path, strlen(in->path) + 1);
	}
	buf_free(&name);
	a->unwritten += a->n;
	drop_group(a);
	return ok && (a->unwritten < UNWRITTEN_MAX || write_rows(a, e));
}

static bool
is_on_its_way(const struct arrival *a, const struct what *c)
{
	for (size_t i = 0; i < a->n; i++)
		if (what_same(&a->group[i].content, c))
			return true;
	return false;
}

/* A whole content joins the group. Takes it over. */
static bool
join(struct arrival *a, struct half *half, const struct listing_row *row, struct err *e)
{
	const struct store_look look = look_of(a, row);
	struct incoming *in = &a->group[a->n];
	uint64_t fsid;
	bool refused = false;
	enum fate f = store_dress(half->store, &look, &refused, e);

	if (refused && !a->owner_said) {
		log_warning(NULL, "tree %s: owner or group cannot be set by this account; all else works", a->tree->t->name);
		a->owner_said = true;
	}
	if (f != FATE_DONE) { /* row may be the content's own */
		bool ok = park(a, row->path, f, e, e);

		half_free(half);
		return ok;
	}
	*in = (struct incoming){ .half = half, .path = strdup(row->path), .content = row->s.listed, .was = row->s.here, .look = look };
	in->expect.nothing = row->s.here.len == 0;
	in->expect.facts = row->facts;
	beneath_filesystem(a->tree->root, &in->expect.facts.dev, &fsid); /* not remembered: it changes with every boot */
	if (in->path == NULL) {
		half_free(half);
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	}
	a->n++;
	return a->n < GROUP || finish_group(a, e);
}

/* From a file here that has (some of) it. */
static enum fate
take_from(struct arrival *a, struct store *store, const char *path, struct err *e)
{
	enum fate f;
	int fd = -1;

	f = beneath_file(a->tree->root, path, O_RDONLY, 0, &fd, e);
	if (f != FATE_DONE)
		return FATE_DONE; /* then it must come from elsewhere */
	f = store_take(store, fd, e);
	(void)close(fd);
	return f;
}

/* What is here already is not asked for: the same content elsewhere, blocks of what stands at the path. */
static enum fate
take_what_is_here(struct arrival *a, struct store *store, const struct listing_row *row, struct err *e)
{
	struct buf path;
	bool found = false;
	enum fate f = FATE_DONE;

	buf_init(&path, BENEATH_PATH_MAX);
	if (store_missing(store) > 0) {
		if (!listing_find(a->tree->list, &row->s.listed, &path, &found, e))
			f = FATE_FAILED;
		else if (found)
			f = take_from(a, store, buf_cstr(&path), e);
	}
	if (f == FATE_DONE && store_missing(store) > 0) {
		if (!listing_find_trashed(a->tree->list, &row->s.listed, &path, &found, e))
			f = FATE_FAILED;
		else if (found)
			f = take_from(a, store, buf_cstr(&path), e);
	}
	if (f == FATE_DONE && store_missing(store) > 0 && what_kind(&row->s.here) == 'f' && content_count(row->size) > 1)
		f = take_from(a, store, row->path, e);
	buf_free(&path);
	return f;
}

/* The content of a row, as far as it has come; *known false: not even its blocks' hashes are here. */
static enum fate
half_open(struct arrival *a, const unsigned char hash[CONTENT_BYTES], uint64_t size, struct half **out, bool *known, struct err *e)
{
	struct half *h = calloc(1, sizeof *h);
	enum fate f = FATE_FAILED;

	*known = false;
	*out = NULL;
	if (h == NULL)
		(void)err_set(e, ERR_MEMORY, "out of memory for a file");
	else if (listing_get_blocks(a->tree->list, hash, size, &h->content, known, e))
		f = *known ? store_open(a->tree->root, &h->content, FREE_LEAST, &h->store, e) : FATE_DONE;
	if (f == FATE_DONE && *known)
		*out = h;
	else
		half_free(h);
	return f;
}

static bool
want(struct arrival *a, const struct arrive_want *w, struct err *e)
{
	a->tally.wants++;
	return a->wish == NULL || a->wish(a->wish_arg, w, e);
}

static bool
want_list(struct arrival *a, const struct listing_row *row, struct err *e)
{
	struct arrive_want w = { .size = row->size, .list = true };

	memcpy(w.hash, row->s.listed.bytes + 1, sizeof w.hash);
	return want(a, &w, e);
}

/* The first run of blocks that are not there. */
static bool
want_blocks(struct arrival *a, const struct half *h, struct err *e)
{
	struct arrive_want w = { .size = h->content.size };

	memcpy(w.hash, h->content.id, sizeof w.hash);
	for (; w.from < h->content.nblocks && store_has(h->store, w.from); w.from++)
		;
	for (; w.from + w.count < h->content.nblocks && w.count < ARRIVE_RUN && !store_has(h->store, w.from + w.count); w.count++)
		;
	return want(a, &w, e);
}

/* The half that a peer brings next: it stays open. Takes it over; the row's texts are copied. */
static bool
keep_large(struct arrival *a, struct half *h, const struct listing_row *row, struct err *e)
{
	char *path = strdup(row->path);

	if (path == NULL) {
		if (h != a->large)
			half_free(h);
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	}
	if (h != a->large)
		close_large(a);
	free(h->path);
	a->large = h;
	h->path = path;
	h->row = *row;
	h->row.path = path;
	h->row.link = h->row.link_here = h->row.node = NULL;
	a->large_asked = true;
	return true;
}

static bool
is_large(const struct arrival *a, const struct listing_row *row)
{
	return a->large != NULL && what_kind(&row->s.listed) == 'f' && memcmp(a->large->content.id, row->s.listed.bytes + 1, CONTENT_BYTES) == 0;
}

/* The rest of a content of which not all is here. Takes half over. */
static bool
want_rest(struct arrival *a, struct half *half, const struct listing_row *row, struct err *e)
{
	bool ok = want_blocks(a, half, e);

	if (ok && a->wish != NULL && half->content.nblocks > 1 && !a->large_asked)
		return keep_large(a, half, row, e);
	half_free(half);
	return ok;
}

/* One block, and it is nowhere here. */
static bool
want_small(struct arrival *a, const struct listing_row *row, struct err *e)
{
	struct arrive_want w = { .size = row->size, .count = 1 };

	memcpy(w.hash, row->s.listed.bytes + 1, sizeof w.hash);
	return want(a, &w, e);
}

/* Nothing is at the path, and the content is here. Where a folder deletes nothing it moves nothing. */
static bool
may_move(const struct arrival *a, const struct listing_row *row)
{
	return row->elsewhere && row->s.here.len == 0 && a->tree->mode != TREE_PULL;
}

static bool
want_file(struct arrival *a, const struct listing_row *row, struct err *e)
{
	struct half *h = NULL;
	bool known = false, done = false, ok;
	enum fate f;

	if (may_move(a, row)) {
		const struct store_look look = look_of(a, row);

		if (!moving_try(a->moving, row, &look, &done, e))
			return false;
		a->tally.written += done;
		if (done)
			return true;
	}
	if (a->tally.wants >= ARRIVE_WANTS) { /* enough for one answer; there will be another */
		a->tally.wants++;
		return true;
	}
	if (content_count(row->size) == 1 && !row->elsewhere && !is_on_its_way(a, &row->s.listed))
		return want_small(a, row, e);
	if (is_large(a, row) && a->large_asked)
		return true; /* a second path takes it from the first one */
	if (is_large(a, row) && !row->elsewhere) /* more of what has begun to come, for whichever path wants it by now */
		return keep_large(a, a->large, row, e) && want_blocks(a, a->large, e);
	if (is_large(a, row))
		close_large(a); /* it is about to be whole without the peer */
	if (is_on_its_way(a, &row->s.listed) && (!finish_group(a, e) || !write_rows(a, e)))
		return false;
	f = half_open(a, row->s.listed.bytes + 1, row->size, &h, &known, e);
	if (f == FATE_DONE && !known)
		return want_list(a, row, e);
	if (f == FATE_DONE)
		f = take_what_is_here(a, h->store, row, e);
	if (f == FATE_DONE && store_missing(h->store) == 0)
		return join(a, h, row, e);
	if (f == FATE_DONE)
		return want_rest(a, h, row, e);
	ok = park(a, row->path, f, e, e);
	half_free(h);
	return ok;
}

/* --- directories, links --- */

/* One path that is about to change. */
static bool
announce(struct arrival *a, const char *path, struct err *e)
{
	return placed_add(a->placed, path, e) && placed_flush(a->placed, e);
}

/* What stands in the way of something of another kind goes to the trash. */
static enum fate
clear_place(struct arrival *a, const struct listing_row *row, struct err *e)
{
	struct buf name;
	enum fate f = FATE_DONE;

	buf_init(&name, BENEATH_PATH_MAX);
	if (row->s.here.len > 0)
		f = trash_put(a->replaced, row->path, row->path, &name, NULL, e);
	if (row->s.here.len > 0 && f == FATE_DONE && !aside_remember(a->tree->root, a->tree->list, buf_cstr(&name), e))
		f = FATE_FAILED;
	buf_free(&name);
	return f == FATE_GONE ? FATE_DONE : f;
}

static bool
make_directory(struct arrival *a, const struct listing_row *row, struct err *e)
{
	struct store_look look = look_of(a, row);
	struct listing_row made = *row;
	struct file_facts facts;
	const char *leaf;
	enum fate f = FATE_DONE;
	int fd = -1;

	if (what_kind(&row->s.here) != 'd') {
		if (!announce(a, row->path, e))
			return false;
		f = clear_place(a, row, e);
		if (f == FATE_DONE)
			f = beneath_parent(a->tree->root, row->path, PARENT_MODE, &fd, &leaf, e);
		if (f == FATE_DONE) {
			(void)close(fd);
			f = beneath_make_directory(a->tree->root, row->path, look.mode, e);
		}
		if (f == FATE_EXISTS && clear_stranger(a, row->path, e) == FATE_DONE)
			f = beneath_make_directory(a->tree->root, row->path, look.mode, e);
		/* Made on the way to a file below it. */
		if (f == FATE_EXISTS && beneath_look(a->tree->root, row->path, &facts, e) == FATE_DONE && facts.type == 'd')
			f = FATE_DONE;
	}
	if (f != FATE_DONE)
		return park(a, row->path, f, e, e);
	made.s.here = made.s.listed;
	return dress(a, &made, e);
}

/* Does the row say where it leads to, as its content says, and not out of the folder? */
static bool
check_link(const struct listing_row *row, bool *may, struct err *e)
{
	unsigned char hash[CONTENT_BYTES];
	struct what c;

	*may = false;
	if (row->link == NULL)
		return true;
	if (!content_block(row->link, strlen(row->link), hash, e))
		return false;
	what_set(&c, 'l', hash);
	*may = what_same(&c, &row->s.listed) && beneath_link_stays(row->path, row->link);
	return true;
}

static bool
make_link(struct arrival *a, const struct listing_row *row, struct err *e)
{
	const char *leaf;
	enum fate f;
	int fd = -1;
	bool may;

	if (!check_link(row, &may, e) || !announce(a, row->path, e))
		return false;
	if (!may)
		f = fate_set(e, FATE_ESCAPES, "this link may not be made:", row->path);
	else
		f = clear_place(a, row, e);
	if (f == FATE_DONE)
		f = beneath_parent(a->tree->root, row->path, PARENT_MODE, &fd, &leaf, e);
	if (f == FATE_DONE) {
		(void)close(fd);
		f = beneath_make_link(a->tree->root, row->path, row->link, e);
	}
	if (f != FATE_DONE)
		return park(a, row->path, f, e, e);
	a->tally.written++;
	return note_right(a, row->path, &row->s.listed, row->link, e);
}

/* --- deletions --- */

static bool
remember_directory(struct arrival *a, const char *path, struct err *e)
{
	if (a->directories == NULL)
		a->directories = calloc(DIRECTORIES_MAX, sizeof *a->directories);
	if (a->directories == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	if (a->ndirectories == DIRECTORIES_MAX)
		return true;
	a->directories[a->ndirectories] = strdup(path);
	return a->directories[a->ndirectories++] != NULL || err_set(e, ERR_MEMORY, "out of memory for a tree");
}

static bool
is_as_known(const struct file_facts *a, const struct file_facts *b)
{
	return a->type == b->type && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static bool
remove_file(struct arrival *a, const struct listing_row *row, struct err *e)
{
	struct file_facts facts;
	struct buf name;
	bool named = false, ok = true;
	enum fate f;

	/* The rows that dropped it come first. */
	if (!listing_is_named(a->tree->list, a->tree->conf, row->path, &named, e))
		return false;
	if (named)
		return true;
	if (!announce(a, row->path, e))
		return false;
	f = beneath_look(a->tree->root, row->path, &facts, e);

	if (f == FATE_DONE && !is_as_known(&facts, &row->facts))
		f = FATE_CHANGED;
	buf_init(&name, BENEATH_PATH_MAX);
	if (f == FATE_DONE)
		f = trash_put(a->replaced, row->path, row->path, &name, NULL, e);
	if (f == FATE_DONE)
		ok = listing_trashed(a->tree->list, &row->s.here, buf_cstr(&name), e);
	buf_free(&name);
	if (!ok)
		return false;
	if (f != FATE_DONE && f != FATE_GONE)
		return park(a, row->path, f, e, e);
	a->tally.removed++;
	return listing_gone(a->tree->list, row->id, 1, e);
}

static int
deeper_first(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

static bool
remove_directories(struct arrival *a, struct err *e)
{
	bool ok = true;

	if (a->ndirectories > 1)
		qsort(a->directories, a->ndirectories, sizeof *a->directories, deeper_first);
	for (size_t i = 0; ok && i < a->ndirectories; i++) {
		enum fate f = beneath_remove_directory(a->tree->root, a->directories[i], e);

		if (f == FATE_DONE || f == FATE_GONE) {
			a->tally.removed++;
			ok = announce(a, a->directories[i], e) && scan_path(a->tree, a->directories[i], strlen(a->directories[i]), e);
		} /* not empty: what is left out keeps it */
	}
	drop_directories(a);
	return ok;
}

/* --- each row --- */

static bool
is_sound(const struct listing_row *row, struct err *e)
{
	unsigned char id[LISTING_ID];

	return beneath_path_ok(row->path, row->len) && strlen(row->path) == row->len && listing_id(row->path, row->len, id, e) && memcmp(id, row->id, LISTING_ID) == 0;
}

static bool
put_right(struct arrival *a, const struct listing_row *row, struct err *e)
{
	switch (what_kind(&row->s.listed)) {
	case 'd':
		return make_directory(a, row, e);
	case 'l':
		return make_link(a, row, e);
	case 'f':
		return what_same(&row->s.here, &row->s.listed) ? dress(a, row, e) : want_file(a, row, e);
	default:
		return true;
	}
}

static bool
take_away(struct arrival *a, const struct listing_row *row, struct err *e)
{
	if (row->s.listed.len > 0)
		return true;
	return what_kind(&row->s.here) == 'd' ? remember_directory(a, row->path, e) : remove_file(a, row, e);
}

/* Is it time to answer whoever asked? Not before anything was done, so that each answer is a step. */
static bool
is_enough(const struct arrival *a)
{
	if (a->wish == NULL)
		return false;
	return a->tally.wants > ARRIVE_WANTS || (a->tally.written + a->tally.removed + a->tally.wants > 0 && clock_mono_ms() >= a->until_ms);
}

/* The list took the other side's version while this node had told another one. Where the other side changed permissions
 * alone, this node's content comes back into the list; until then what stands here stays. */
static bool
is_undecided(struct arrival *a, const struct listing_row *row, bool *yes, struct err *e)
{
	*yes = false;
	return a->tree->mode != TREE_TWO_WAY || !row->s.unseen || row->s.here.len == 0 || apart_since(a->tree, a->mended, yes, e);
}

static bool
on_unlike(void *arg, const struct listing_row *row, struct err *e)
{
	struct arrival *a = arg;
	enum verdict_act act = verdict_judge(a->tree->mode, a->tree->sends, &row->s);
	bool directory = what_kind(row->s.listed.len > 0 ? &row->s.listed : &row->s.here) == 'd', undecided;

	if (is_enough(a)) {
		a->tally.more = true;
		return err_set(e, ERR_STOPPED, "stopped"); /* enough for one answer */
	}
	/* Alike in content: what differs is how it looks. */
	if ((act == VERDICT_NOTHING || act == VERDICT_AGREE) && row->s.listed.len > 0 && what_same(&row->s.here, &row->s.listed) && !a->removing) {
		if (!listing_agree(a->tree->list, row->id, e))
			return false;
		act = tree_tells_mode(a->tree, row) ? VERDICT_NOTHING : VERDICT_TAKE;
	}
	if (act == VERDICT_TAKE && row->failed) { /* one try between two looks: its content would come over and over */
		a->tally.failed++;
		return true;
	}
	if (act != VERDICT_TAKE || exclude_path(a->tree->exclude, row->path, directory))
		return true;
	if (!is_sound(row, e)) {
		a->tally.failed++;
		return true;
	}
	if (!is_undecided(a, row, &undecided, e))
		return false;
	if (undecided) {
		a->tally.more = true;
		return true;
	}
	a->removals = a->removals || row->s.listed.len == 0;
	return a->removing ? take_away(a, row, e) : put_right(a, row, e);
}

/* As far as one answer goes. */
static bool
visit_unlike(struct arrival *a, struct err *e)
{
	bool ok = a->ids == NULL ? listing_unlike(a->tree->list, &a->tree->looks, on_unlike, a, e) :
				   listing_unlike_of(a->tree->list, &a->tree->looks, a->ids, a->nids, on_unlike, a, e);

	if (ok)
		return true;
	if (!a->tally.more || e->code != ERR_STOPPED)
		return false;
	err_clear(e);
	return true;
}

/* Deletions come last, so that a content that moved is still there to be taken. */
static bool
remove_all(struct arrival *a, struct err *e)
{
	struct listing_counts n;
	bool ok;

	if (a->tree->mode == TREE_PULL)
		return true;
	if (!a->removals)
		return tell_brake(a->tree, 0, 0, 0, &a->tally.held, e) && listing_forget_gone(a->tree->list, e);
	if (!listing_count(a->tree->list, &n, e) || !tell_brake(a->tree, n.here, n.deletions, 0, &a->tally.held, e))
		return false;
	if (a->tally.held)
		return true;
	a->removing = true;
	ok = visit_unlike(a, e) && remove_directories(a, e) && listing_forget_gone(a->tree->list, e) &&
	    (a->tally.more || db_exec(a->tree->db, "UPDATE sync_tree SET allowed=0 WHERE tree=? AND allowed<>0", DB_ARGS(db_text(a->tree->t->name)), e));
	a->removing = false;
	return ok;
}

static bool
settle(struct arrival *a, struct err *e)
{
	bool alike = false;

	/* Not asked where there was something to do a moment ago: looking for it says it, too. */
	if (a->ids == NULL && !a->busy && a->large == NULL && !listing_is_alike(a->tree->list, &a->tree->looks, &alike, e))
		return false;
	if (alike)
		return remove_all(a, e);
	return visit_unlike(a, e) && moving_finish(a->moving, e) && finish_group(a, e) && write_rows(a, e) && listing_tell_flush(a->tree->list, e) &&
	    (a->tally.more || (a->ids != NULL ? listing_forget_gone(a->tree->list, e) : remove_all(a, e)));
}

bool
arrive_settle(struct arrival *a, arrive_wish *wish, void *arg, struct arrive_report *out, struct err *e)
{
	bool ok;

	a->until_ms = clock_mono_ms() + SETTLE_MS;
	a->tally = (struct arrive_report){ 0 };
	a->removals = a->large_asked = false;
	a->wish = wish;
	a->wish_arg = arg;
	ok = apart_mend_news(a->tree, &a->mended, e) && settle(a, e);
	a->busy = a->tally.written + a->tally.removed + a->tally.wants > 0 || a->tally.more;
	if (!ok)
		drop_group(a);
	if (!ok || (!a->large_asked && !a->tally.more))
		close_large(a); /* nobody wants it any more */
	*out = a->tally;
	return ok;
}

bool
arrive_settle_of(struct arrival *a, const unsigned char *ids, size_t n, arrive_wish *wish, void *arg, struct arrive_report *out, bool *wide, struct err *e)
{
	bool ok;

	a->ids = ids;
	a->nids = n;
	ok = arrive_settle(a, wish, arg, out, e);
	a->ids = NULL;
	*wide = a->removals;
	return ok;
}

/* --- what comes --- */

bool
arrive_expect(struct arrival *a, const unsigned char (*hashes)[CONTENT_BYTES], size_t n, struct err *e)
{
	struct what page[LISTING_PAGE];
	bool ok = true;

	places_clear(&a->expected);
	for (size_t from = 0; ok && from < n; from += LISTING_PAGE) {
		size_t k = n - from < LISTING_PAGE ? n - from : (size_t)LISTING_PAGE;

		for (size_t i = 0; i < k; i++)
			what_set(&page[i], 'f', hashes[from + i]);
		ok = listing_wanting(a->tree->list, page, k, places_add, &a->expected, e);
	}
	return ok;
}

/* A path that wants the content. One that has had its try and waits would have it come over and over, and nobody else get it. */
static struct place *
place_for(struct arrival *a, const struct what *c, struct err *e)
{
	struct place *p;

	while ((p = places_find(&a->expected, c)) != NULL) {
		p->taken = true;
		if (!p->row.failed && is_sound(&p->row, e))
			return p;
	}
	return NULL;
}

/* The size that the list gives it. */
static bool
first_size(void *arg, const struct listing_row *row, struct err *e)
{
	(void)e;
	*(uint64_t *)arg = row->size + 1; /* 0: nobody wants it */
	return true;
}

/* Only what the list names and the folder lacks is written at all. */
static bool
open_wanted(struct arrival *a, const unsigned char hash[CONTENT_BYTES], bool *wanted, struct err *e)
{
	struct what c;
	struct place *p;
	bool known = false;
	enum fate f;

	*wanted = a->large != NULL && memcmp(a->large->content.id, hash, CONTENT_BYTES) == 0;
	if (*wanted)
		return true;
	close_large(a);
	what_set(&c, 'f', hash);
	p = is_on_its_way(a, &c) ? NULL : place_for(a, &c, e);
	if (p == NULL)
		return true;
	f = half_open(a, hash, p->row.size, &a->large, &known, e);
	*wanted = f == FATE_DONE && known;
	if (*wanted) {
		a->large->row = p->row;
		a->large->path = p->path; /* the half's own from here on */
		p->path = NULL;
		return true;
	}
	return f == FATE_DONE || err_set(e, ERR_IO, "tree %s: %.400s", a->tree->t->name, e->msg);
}

bool
arrive_block(struct arrival *a, const unsigned char hash[CONTENT_BYTES], size_t at, const void *data, size_t len, struct err *e)
{
	const struct content *want;
	struct half *whole;
	bool wanted;
	enum fate f = FATE_DONE;

	if (!open_wanted(a, hash, &wanted, e))
		return false;
	if (!wanted)
		return true;
	want = &a->large->content;
	if (want->nblocks > 0 && (at >= want->nblocks || len != content_length(want->size, at)))
		return err_set(e, ERR_INPUT, "a block of a file has a wrong place or length");
	if (want->nblocks > 0)
		f = store_put(a->large->store, at, data, len, e);
	if (f == FATE_CORRUPT)
		return err_set(e, ERR_INPUT, "a block of a file is not what its hash says");
	if (f != FATE_DONE)
		return err_set(e, ERR_IO, "tree %s: %.400s", a->tree->t->name, e->msg);
	if (store_missing(a->large->store) > 0)
		return true;
	whole = a->large;
	a->large = NULL;
	return join(a, whole, &whole->row, e);
}

bool
arrive_list(struct arrival *a, const unsigned char hash[CONTENT_BYTES], const void *blocks, size_t len, struct err *e)
{
	struct content d = { .nblocks = len / CONTENT_BYTES };
	unsigned char id[CONTENT_BYTES];
	struct what c;
	uint64_t size = 0;
	bool ok;

	what_set(&c, 'f', hash);
	if (!listing_wanting(a->tree->list, &c, 1, first_size, &size, e))
		return false;
	if (size == 0)
		return true;
	d.size = size - 1;
	if (len % CONTENT_BYTES != 0 || d.nblocks != content_count(d.size) || d.nblocks < 2)
		return err_set(e, ERR_INPUT, "the list of a file's blocks has a wrong length");
	d.blocks = malloc(len);
	if (d.blocks == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a file's blocks");
	memcpy(d.blocks, blocks, len);
	memcpy(d.id, hash, CONTENT_BYTES);
	ok = content_id(d.size, (const unsigned char(*)[CONTENT_BYTES])d.blocks, d.nblocks, id, e);
	if (ok && memcmp(id, hash, CONTENT_BYTES) != 0)
		ok = err_set(e, ERR_INPUT, "the list of a file's blocks is not what its hash says");
	ok = ok && listing_put_blocks(a->tree->list, &d, e);
	content_free(&d);
	return ok;
}

bool
arrive_is_amidst(const struct arrival *a)
{
	return a->large != NULL;
}

bool
arrive_finish(struct arrival *a, struct arrive_report *out, struct err *e)
{
	bool ok = finish_group(a, e) && write_rows(a, e);

	*out = a->tally;
	a->tally = (struct arrive_report){ 0 };
	return ok;
}
