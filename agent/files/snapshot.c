/* Dated copies of a tree. Lives here: making one. Not here: which there are and which go (rotation).
 *
 * Every file is read, between two looks (content_begin, content_end), and its SHA-256 decides whether it is the one of the
 * snapshot before: size and time alone would overlook an edit within one tick, and a disk that rots. A copy is read back and
 * compared. What an interrupted snapshot copied is taken over in the same way, by its hash, as a hard link. */
#include "config.h"

#include "files/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "files/checklist.h"
#include "files/content.h"
#include "files/marker.h"
#include "files/rotation.h"
#include "files/walk.h"

#define PARTIAL ".partial"
#define ABOUT "snapshot.txt"
#define LATER "later.txt"
#define NO_ID "none"

enum {
	OWN_MODE = 0700,
	FILE_MODE = 0600,
	PERMISSIONS = 0777,
	TRIES = 3,	     /* of a file that is being written */
	NAP_MS = 200,
	PARTIALS_MAX = 4,    /* interrupted ones that are looked into */
	NAME_TRIES = 100,    /* seconds that are taken already */
	ID_HEX = MARKER_ID_BYTES * 2,
	US_PER_S = 1000000,
	NS_PER_US = 1000,
	NS_PER_S = 1000000000
};

struct snapshot {
	const struct snapshot_order *o;
	char name[SNAPSHOT_NAME];
	char folder[SNAPSHOT_FOLDER];
	char previous[SNAPSHOT_NAME];
	char partials[PARTIALS_MAX][SNAPSHOT_FOLDER]; /* of interrupted ones */
	size_t npartials;
	char id[ID_HEX + 1]; /* of the tree's mark, or NO_ID */
	struct checklist *before; /* hashes of the previous one */
	FILE *list, *later;
	struct buf path; /* where something is in a snapshot */
	char *block;
	struct snapshot_counts counts;
	enum fate failed; /* why the walk was ended */
};

enum fate
snapshot_place(const char *dir, const char *name, bool make, struct beneath **out, struct err *e)
{
	struct buf path;
	enum fate f = FATE_FAILED;

	*out = NULL;
	buf_init(&path, BENEATH_PATH_MAX);
	buf_fmt(&path, "%s/%s", dir, name);
	if (buf_check(&path, "the folder of snapshots", e) && (!make || process_make_directory(buf_cstr(&path), e)))
		f = beneath_open(buf_cstr(&path), out, e);
	buf_free(&path);
	return f;
}

/* --- beginning ---------------------------------------------------------------------------------- */

/* FOLDER/files/PATH in s->path. */
static const char *
place(struct snapshot *s, const char *folder, const char *path)
{
	buf_reset(&s->path);
	buf_fmt(&s->path, "%s/" CHECKLIST_FOLDER, folder);
	buf_str(&s->path, path);
	if (path[0] == '\0')
		buf_cut(&s->path, s->path.len - 1);
	return buf_cstr(&s->path);
}

static enum fate
open_stream(const struct beneath *to, const char *folder, const char *name, bool write, FILE **out, struct err *e)
{
	char path[SNAPSHOT_FOLDER + sizeof CHECKLIST_NAME + 1];
	enum fate f;
	int fd;

	*out = NULL;
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	f = beneath_file(to, path, write ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY, FILE_MODE, &fd, e);
	if (f != FATE_DONE)
		return f;
	*out = fdopen(fd, write ? "w" : "r");
	if (*out == NULL) {
		(void)close(fd);
		return fate_errno(e, "cannot open", path);
	}
	return FATE_DONE;
}

/* What is there: the newest complete one, and a few interrupted ones; older of these are removed. */
static enum fate
look_around(struct snapshot *s, struct err *e)
{
	char (*names)[SNAPSHOT_NAME];
	size_t n;
	enum fate f = rotation_list(s->o->to, "", &names, &n, e);

	if (n > 0)
		memcpy(s->previous, names[n - 1], sizeof s->previous);
	free(names);
	if (f == FATE_DONE && !s->o->dry_run)
		f = rotation_remove(s->o->to, PARTIAL, PARTIALS_MAX, e);
	if (f != FATE_DONE)
		return f;
	f = rotation_list(s->o->to, PARTIAL, &names, &n, e);
	for (size_t i = n; i > 0 && s->npartials < PARTIALS_MAX; i--) /* the newest first */
		(void)snprintf(s->partials[s->npartials++], SNAPSHOT_FOLDER, "%s" PARTIAL, names[i - 1]);
	free(names);
	return f;
}

static bool
read_id(FILE *in, char id[ID_HEX + 1])
{
	return fscanf(in, "tree %32s", id) == 1;
}

/* Somebody took something out of it, or made it: nothing is compared with it, and nothing made beside it. */
static enum fate
not_whole(const struct snapshot *s, enum fate f, struct err *e)
{
	if (f != FATE_GONE)
		return f;
	(void)err_prefix(e, "%s is no whole snapshot: move it away", s->previous);
	e->code = ERR_HELD;
	return FATE_OFFLINE;
}

/* Is it the tree of the snapshot before? One without a mark is taken as it is as long as it never had one. */
static enum fate
check_tree(struct snapshot *s, struct err *e)
{
	char before[ID_HEX + 1] = NO_ID;
	struct marker mark;
	struct err no_mark;
	FILE *about, *list;
	enum fate f = marker_read(s->o->tree, &mark, &no_mark);

	memcpy(s->id, NO_ID, sizeof NO_ID);
	if (f == FATE_DONE)
		for (size_t i = 0; i < MARKER_ID_BYTES; i++)
			(void)snprintf(s->id + 2 * i, 3, "%02x", mark.id[i]);
	if (s->previous[0] == '\0')
		return FATE_DONE;
	f = open_stream(s->o->to, s->previous, ABOUT, false, &about, e);
	if (f != FATE_DONE)
		return not_whole(s, f, e);
	if (!read_id(about, before))
		memcpy(before, NO_ID, sizeof NO_ID);
	(void)fclose(about);
	if (strcmp(before, NO_ID) == 0 || strcmp(before, s->id) == 0) {
		f = open_stream(s->o->to, s->previous, CHECKLIST_NAME, false, &list, e);
		if (f != FATE_DONE)
			return not_whole(s, f, e);
		return checklist_new(list, &s->before, e) ? FATE_DONE : FATE_FAILED;
	}
	(void)err_set(e, ERR_HELD, "%s is not the tree that %s is of (its mark .sync/tree is missing or another one): is the right disk mounted? for a new"
	    " series give another directory", beneath_path(s->o->tree), s->previous);
	return FATE_OFFLINE;
}

/* Both are named by the second; the next free one is taken. */
static enum fate
make_folder(struct snapshot *s, int64_t wall_us, struct err *e)
{
	time_t at = (time_t)(wall_us / US_PER_S);
	struct file_facts facts;
	struct tm tm;

	for (int i = 0; i < NAME_TRIES; i++, at++) {
		enum fate f;

		if (gmtime_r(&at, &tm) == NULL || strftime(s->name, sizeof s->name, "%Y-%m-%d_%H%M%S", &tm) != SNAPSHOT_NAME - 1)
			return err_set(e, ERR_INTERNAL, "this clock's year has no four digits"), FATE_FAILED;
		f = beneath_look(s->o->to, s->name, &facts, e);
		if (f == FATE_DONE || strcmp(s->name, s->previous) <= 0)
			continue;
		(void)snprintf(s->folder, sizeof s->folder, "%s" PARTIAL, s->name);
		if (s->o->dry_run)
			return FATE_DONE;
		f = beneath_make_directory(s->o->to, s->folder, OWN_MODE, e);
		if (f != FATE_EXISTS)
			return f;
	}
	return err_set(e, ERR_HELD, "the clock stands before the newest snapshot, %s: set it right", s->previous), FATE_FAILED;
}

static enum fate
make_streams(struct snapshot *s, struct err *e)
{
	enum fate f = FATE_DONE;

	if (s->before == NULL && !checklist_new(NULL, &s->before, e))
		return FATE_FAILED;
	if (s->o->dry_run)
		return FATE_DONE;
	f = beneath_make_directory(s->o->to, place(s, s->folder, ""), OWN_MODE, e);
	if (f == FATE_DONE)
		f = open_stream(s->o->to, s->folder, CHECKLIST_NAME, true, &s->list, e);
	if (f == FATE_DONE && s->o->since_us > 0)
		f = open_stream(s->o->to, s->folder, LATER, true, &s->later, e);
	return f;
}

enum fate
snapshot_begin(const struct snapshot_order *o, int64_t wall_us, struct snapshot **out, struct err *e)
{
	struct snapshot *s = calloc(1, sizeof *s);
	enum fate f;

	*out = NULL;
	if (s == NULL || (s->block = malloc(CONTENT_BLOCK)) == NULL) {
		free(s);
		return err_set(e, ERR_MEMORY, "out of memory for a snapshot"), FATE_FAILED;
	}
	s->o = o;
	buf_init(&s->path, (size_t)BENEATH_PATH_MAX * 2);
	f = look_around(s, e);
	if (f == FATE_DONE)
		f = check_tree(s, e);
	if (f == FATE_DONE)
		f = make_folder(s, wall_us, e);
	if (f == FATE_DONE)
		f = make_streams(s, e);
	if (f != FATE_DONE) {
		snapshot_free(s);
		return f;
	}
	*out = s;
	return FATE_DONE;
}

void
snapshot_free(struct snapshot *s)
{
	if (s == NULL)
		return;
	if (s->list != NULL)
		(void)fclose(s->list);
	if (s->later != NULL)
		(void)fclose(s->later);
	checklist_free(s->before);
	buf_free(&s->path);
	free(s->block);
	free(s);
}

const char *
snapshot_folder(const struct snapshot *s)
{
	return s->folder;
}

const char *
snapshot_name(const struct snapshot *s)
{
	return s->name;
}

const char *
snapshot_previous(const struct snapshot *s)
{
	return s->previous;
}

/* --- one file ------------------------------------------------------------------------------------- */

/* Read all of fd, hash it and, unless to is negative, write it there; zeros stay holes. */
static enum fate
run_through(int fd, int to, char *block, const char *path, unsigned char sha[CONTENT_BYTES], struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum fate f = FATE_DONE;
	off_t at = 0;
	ssize_t n = 1;

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		f = (err_set(e, ERR_INTERNAL, "SHA-256 is not available"), FATE_FAILED);
	while (f == FATE_DONE && n > 0) {
		n = pread(fd, block, CONTENT_BLOCK, at);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0)
			f = fate_errno(e, "cannot read", path);
		else if (n > 0 && EVP_DigestUpdate(ctx, block, (size_t)n) != 1)
			f = FATE_FAILED;
		else if (n > 0 && to >= 0 && !content_all_zero(block, (size_t)n) && !disk_write_at(to, block, (size_t)n, (uint64_t)at))
			f = fate_errno(e, "cannot copy", path);
		at += n > 0 ? n : 0;
	}
	if (f == FATE_DONE && to >= 0 && ftruncate(to, at) != 0)
		f = fate_errno(e, "cannot copy", path);
	if (f == FATE_DONE && EVP_DigestFinal_ex(ctx, sha, NULL) != 1)
		f = FATE_FAILED;
	EVP_MD_CTX_free(ctx);
	return f;
}

enum fate
snapshot_sha256(int fd, const char *path, unsigned char out[CONTENT_BYTES], struct err *e)
{
	char *block = malloc(CONTENT_BLOCK);
	enum fate f = FATE_FAILED;

	if (block == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for hashing"), f;
	f = run_through(fd, -1, block, path, out, e);
	free(block);
	return f;
}

/* A hard link shares looks, too. */
static bool
looks_alike(const struct file_facts *a, const struct file_facts *b)
{
	return a->type == b->type && a->size == b->size && a->mtime_ns == b->mtime_ns && (a->mode & PERMISSIONS) == (b->mode & PERMISSIONS) &&
	    (geteuid() != 0 || (a->uid == b->uid && a->gid == b->gid));
}

/* The file of an older folder as a hard link in ours. False: it cannot be (too many links, gone): then it is copied. */
static bool
link_from(struct snapshot *s, const char *folder, const char *path)
{
	const char *old_leaf, *new_leaf;
	struct err ignored;
	int old_dir, new_dir;
	bool ok;

	if (beneath_parent(s->o->to, place(s, folder, path), 0, &old_dir, &old_leaf, &ignored) != FATE_DONE)
		return false;
	old_leaf = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
	ok = beneath_parent(s->o->to, place(s, s->folder, path), 0, &new_dir, &new_leaf, &ignored) == FATE_DONE;
	if (ok) {
		ok = linkat(old_dir, old_leaf, new_dir, new_leaf, 0) == 0;
		(void)close(new_dir);
	}
	(void)close(old_dir);
	return ok;
}

/* Is there a file like this one in the folder? *fd (may be NULL) is it, open. */
static bool
find_in(struct snapshot *s, const char *folder, const char *path, const struct file_facts *like, int *fd)
{
	struct file_facts facts;
	struct err ignored;

	if (beneath_look(s->o->to, place(s, folder, path), &facts, &ignored) != FATE_DONE || !looks_alike(&facts, like))
		return false;
	return fd == NULL || beneath_file(s->o->to, place(s, folder, path), O_RDONLY, 0, fd, &ignored) == FATE_DONE;
}

/* A file of that hash in the snapshot before or in an interrupted one becomes ours. The list of the former is believed, of
 * the latter only what is read. */
static bool
take_over(struct snapshot *s, const char *path, const struct file_facts *like, const unsigned char *before, const unsigned char sha[CONTENT_BYTES])
{
	if (before != NULL && memcmp(before, sha, CONTENT_BYTES) == 0 && find_in(s, s->previous, path, like, NULL) && link_from(s, s->previous, path)) {
		s->counts.linked++;
		return true;
	}
	for (size_t i = 0; i < s->npartials; i++) {
		unsigned char got[CONTENT_BYTES];
		struct err ignored;
		bool same;
		int fd;

		if (!find_in(s, s->partials[i], path, like, &fd))
			continue;
		same = run_through(fd, -1, s->block, path, got, &ignored) == FATE_DONE && memcmp(got, sha, CONTENT_BYTES) == 0;
		(void)close(fd);
		if (same && link_from(s, s->partials[i], path))
			return true;
	}
	return false;
}

/* Could there be one to take over, so that reading the file first is worth it? */
static bool
has_elder(struct snapshot *s, const char *path, const struct file_facts *like, bool before)
{
	if (before && find_in(s, s->previous, path, like, NULL))
		return true;
	for (size_t i = 0; i < s->npartials; i++)
		if (find_in(s, s->partials[i], path, like, NULL))
			return true;
	return false;
}

static struct timespec
time_of(int64_t ns)
{
	int64_t s = ns / NS_PER_S, rest = ns % NS_PER_S;

	return rest < 0 ? (struct timespec){ .tv_sec = (time_t)(s - 1), .tv_nsec = (long)(rest + NS_PER_S) } :
			  (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)rest };
}

/* Owner where we may, mode, and last the time: one without it is not complete. */
static enum fate
dress(int fd, const struct file_facts *like, const char *path, struct err *e)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(like->mtime_ns) };

	if ((geteuid() == 0 && fchown(fd, like->uid, like->gid) != 0) || fchmod(fd, like->mode & PERMISSIONS) != 0 || futimens(fd, times) != 0)
		return fate_errno(e, "cannot set mode and time of the copy of", path);
	return FATE_DONE;
}

/* A copy in our folder, read back and compared. */
static enum fate
copy(struct snapshot *s, int from, const char *path, const struct file_facts *like, unsigned char sha[CONTENT_BYTES], struct err *e)
{
	unsigned char again[CONTENT_BYTES];
	struct err ignored;
	enum fate f;
	int to;

	f = beneath_file(s->o->to, place(s, s->folder, path), O_RDWR | O_CREAT | O_EXCL, FILE_MODE, &to, e);
	if (f != FATE_DONE)
		return f;
	f = run_through(from, to, s->block, path, sha, e);
	if (f == FATE_DONE)
		f = run_through(to, -1, s->block, path, again, e);
	if (f == FATE_DONE && memcmp(sha, again, CONTENT_BYTES) != 0)
		f = fate_set(e, FATE_CORRUPT, "the copy differs from", path);
	if (f == FATE_DONE)
		f = dress(to, like, path, e);
	if (f == FATE_DONE)
		disk_begin_write(to);
	(void)close(to);
	if (f != FATE_DONE && beneath_remove_file(s->o->to, place(s, s->folder, path), &ignored) != FATE_DONE)
		f = FATE_FAILED;
	return f;
}

/* The open file into our folder: linked or copied. */
static enum fate
take_open(struct snapshot *s, int fd, const char *path, const unsigned char *before, unsigned char sha[CONTENT_BYTES], struct err *e)
{
	struct content_read how;
	struct err ignored;
	bool linked = false;
	enum fate f = content_begin(fd, path, &how, e);

	if (f == FATE_DONE && has_elder(s, path, &how.facts, before != NULL)) {
		f = run_through(fd, -1, s->block, path, sha, e);
		linked = f == FATE_DONE && take_over(s, path, &how.facts, before, sha);
	}
	if (f == FATE_DONE && !linked)
		f = copy(s, fd, path, &how.facts, sha, e);
	if (f != FATE_DONE)
		return f;
	f = content_end(fd, path, &how, e);
	if (f != FATE_DONE) {
		if (beneath_remove_file(s->o->to, place(s, s->folder, path), &ignored) != FATE_DONE)
			f = FATE_FAILED;
		s->counts.linked -= linked && s->counts.linked > 0;
		return f;
	}
	s->counts.copied += !linked;
	s->counts.copied_bytes += linked ? 0 : how.facts.size;
	return FATE_DONE;
}

/* --- the tree --------------------------------------------------------------------------------------- */

static void
tell_skipped(struct snapshot *s, const char *path, enum fate why)
{
	if (s->o->skipped != NULL)
		s->o->skipped(s->o->arg, path, why);
}

/* One that cannot be read now: the snapshot before has an older version, or it is left out. What concerns our own disk ends
 * the whole. */
static enum fate
make_do(struct snapshot *s, const struct walk_entry *entry, enum fate why, const unsigned char *before)
{
	if (why == FATE_GONE)
		return FATE_GONE;
	if (why == FATE_FULL || why == FATE_READ_ONLY || why == FATE_CORRUPT)
		return why;
	tell_skipped(s, entry->path, why);
	if (before != NULL && link_from(s, s->previous, entry->path)) {
		s->counts.older++;
		return FATE_DONE;
	}
	s->counts.skipped++;
	return FATE_GONE;
}

static enum fate
take_file(struct snapshot *s, const struct walk_entry *entry, struct err *e)
{
	unsigned char sha[CONTENT_BYTES], old[CONTENT_BYTES];
	const unsigned char *before = checklist_find(s->before, entry->path, old) ? old : NULL;
	enum fate f = FATE_BUSY;
	bool older;

	for (int i = 0; (f == FATE_BUSY || f == FATE_CHANGED) && i < TRIES; i++) {
		int fd;

		if (i > 0)
			clock_nap_ms(NAP_MS);
		f = beneath_file(s->o->tree, entry->path, O_RDONLY, 0, &fd, e);
		if (f != FATE_DONE)
			break;
		f = take_open(s, fd, entry->path, before, sha, e);
		(void)close(fd);
	}
	older = f != FATE_DONE;
	if (older)
		f = make_do(s, entry, f, before);
	if (f != FATE_DONE)
		return f == FATE_GONE ? FATE_DONE : f; /* vanished, or left out */
	s->counts.files++;
	s->counts.bytes += entry->facts->size;
	return checklist_put(s->list, older ? old : sha, entry->path) ? FATE_DONE : fate_errno(e, "cannot write", CHECKLIST_NAME);
}

/* Not by content: nothing is read. */
static void
foresee(struct snapshot *s, const struct walk_entry *entry)
{
	unsigned char old[CONTENT_BYTES];
	bool same = checklist_find(s->before, entry->path, old) && find_in(s, s->previous, entry->path, entry->facts, NULL);

	s->counts.files++;
	s->counts.bytes += entry->facts->size;
	s->counts.linked += same;
	s->counts.copied += !same;
	s->counts.copied_bytes += same ? 0 : entry->facts->size;
}

static enum fate
note_later(struct snapshot *s, const struct walk_entry *entry, struct err *e)
{
	int64_t since = s->o->since_us * NS_PER_US;

	if (s->o->since_us == 0 || (entry->facts->mtime_ns < since && entry->facts->ctime_ns < since))
		return FATE_DONE;
	s->counts.later++;
	return s->later == NULL || fprintf(s->later, "%s\n", entry->path) > 0 ? FATE_DONE : fate_errno(e, "cannot write", LATER);
}

static enum fate
take_directory(struct snapshot *s, const struct walk_entry *entry, struct err *e)
{
	/* We must be able to write in it. */
	enum fate f = beneath_make_directory(s->o->to, place(s, s->folder, entry->path), (entry->facts->mode & PERMISSIONS) | OWN_MODE, e);

	return f != FATE_DONE || geteuid() != 0 ? f : beneath_give_directory(s->o->to, buf_cstr(&s->path), entry->facts->uid, entry->facts->gid, e);
}

static bool
take_entry(void *arg, const struct walk_entry *entry, struct err *e)
{
	struct snapshot *s = arg;
	char type = entry->facts->type;
	enum fate f = FATE_DONE;

	s->counts.directories += type == 'd';
	s->counts.links += type == 'l';
	if (type == 'f')
		f = note_later(s, entry, e);
	if (f == FATE_DONE && type == 'f' && s->o->dry_run)
		foresee(s, entry);
	else if (f == FATE_DONE && type == 'f')
		f = take_file(s, entry, e);
	else if (f == FATE_DONE && type == 'd' && !s->o->dry_run)
		f = take_directory(s, entry, e);
	else if (f == FATE_DONE && !s->o->dry_run)
		f = beneath_make_link(s->o->to, place(s, s->folder, entry->path), entry->link, e);
	if (type == 'f' && s->o->far != NULL)
		s->o->far(s->o->arg, s->counts.files, checklist_about(s->before, s->counts.files));
	s->failed = f;
	return f == FATE_DONE;
}

static bool
note_unread(void *arg, const char *path, enum fate why, struct err *e)
{
	struct snapshot *s = arg;

	(void)e;
	s->counts.skipped++;
	tell_skipped(s, path, why);
	return true;
}

enum fate
snapshot_fill(struct snapshot *s, struct snapshot_counts *out, struct err *e)
{
	const struct walk w = { .tree = s->o->tree, .exclude = s->o->exclude, .arg = s, .entry = take_entry, .unread = note_unread };
	bool before = checklist_any(s->before), ok;
	struct walk_counts walked;

	ok = walk_run(&w, &walked, e);
	*out = s->counts;
	if (!ok)
		return s->failed == FATE_DONE ? FATE_FAILED : s->failed;
	if (walked.files > 0 || !before)
		return FATE_DONE;
	(void)err_set(e, ERR_HELD, "%s is empty, and files were in it at %s: is the right disk mounted?", beneath_path(s->o->tree), s->previous);
	return FATE_OFFLINE;
}

/* --- the end ------------------------------------------------------------------------------------------ */

static bool
close_stream(FILE **f)
{
	FILE *stream = *f;

	*f = NULL;
	return stream == NULL || fclose(stream) == 0;
}

static enum fate
write_about(struct snapshot *s, struct err *e)
{
	FILE *about;
	enum fate f = open_stream(s->o->to, s->folder, ABOUT, true, &about, e);

	if (about == NULL)
		return f;
	(void)fprintf(about, "tree %s\nfiles %" PRIu64 "\nbytes %" PRIu64 "\nolder %" PRIu64 "\nskipped %" PRIu64 "\n", s->id, s->counts.files, s->counts.bytes,
	    s->counts.older, s->counts.skipped);
	return close_stream(&about) ? FATE_DONE : fate_errno(e, "cannot write", ABOUT);
}

enum fate
snapshot_finish(struct snapshot *s, struct err *e)
{
	enum fate f = write_about(s, e);

	if (f == FATE_DONE && (!close_stream(&s->list) || !close_stream(&s->later)))
		f = fate_errno(e, "cannot write", CHECKLIST_NAME);
	if (f == FATE_DONE && !disk_sync_all(beneath_descriptor(s->o->to)))
		f = fate_errno(e, "cannot bring to the disk", s->folder);
	if (f == FATE_DONE)
		f = beneath_move(s->o->to, s->folder, s->name, MOVE_NEW, e);
	if (f == FATE_DONE)
		f = beneath_sync(s->o->to, "", e);
	return f == FATE_DONE ? rotation_remove(s->o->to, PARTIAL, 0, e) : f;
}
