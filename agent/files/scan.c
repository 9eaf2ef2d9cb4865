/* Walking and noting. A file whose size, times and inode are those of the last look is not read, unless it had changed
 * so shortly before that look that another change could not be told by its times. */
#include "files/scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	US_MS = 1000,
	NS_MS = 1000 * 1000,
	UNREAD_MAX = 1024, /* subtrees that could not be read; more: nothing counts as gone */
	BEGINNING_BITS_MAX = 24 /* 64 MiB of memory; above 16 million files more of them share one */
};

struct scan {
	struct tree *tree;
	struct known_file *known; /* sorted by id */
	size_t nknown;
	uint32_t *first;	  /* of each beginning of an id, where those that have it begin */
	unsigned shift;
	char *unread[UNREAD_MAX];
	size_t nunread;
	bool blind; /* more was unread than we can remember */
	int64_t wall_ms;
	struct scan_report *report;
};

/* --- what is known --- */

static uint32_t
beginning(const unsigned char id[LISTING_ID], unsigned shift)
{
	return (uint32_t)((((uint64_t)id[0] << 24) | ((uint64_t)id[1] << 16) | ((uint64_t)id[2] << 8) | id[3]) >> shift);
}

/* Ids are hashes: so many beginnings as there are ids leave one or two to compare, where a search by halves would wait for
 * memory at every step. */
static bool
index_known(struct scan *s, struct err *e)
{
	unsigned bits = 0;
	uint32_t at = 0;

	while (bits < BEGINNING_BITS_MAX && ((size_t)1 << bits) < s->nknown)
		bits++;
	s->shift = 32 - bits;
	s->first = malloc((((size_t)1 << bits) + 1) * sizeof *s->first);
	if (s->first == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree's files");
	for (size_t b = 0; b <= (size_t)1 << bits; b++) {
		while (at < s->nknown && beginning(s->known[at].id, s->shift) < b)
			at++;
		s->first[b] = at;
	}
	return true;
}

static struct known_file *
find_known(const struct scan *s, const unsigned char id[LISTING_ID])
{
	uint32_t b = beginning(id, s->shift);

	for (uint32_t i = s->first[b]; i < s->first[b + 1]; i++)
		if (memcmp(id, s->known[i].id, LISTING_ID) == 0)
			return &s->known[i];
	return NULL;
}

/* --- one entry --- */

static bool
looks_unchanged(const struct known_file *k, const struct file_facts *f)
{
	if (k->kind != f->type || k->mode != (f->mode & 0777U) || k->uid != f->uid || k->gid != f->gid)
		return false;
	return f->type == 'd' || (k->ino == f->ino && k->size == f->size && k->mtime_ns == f->mtime_ns && k->ctime_ns == f->ctime_ns);
}

static bool
is_unchanged(const struct known_file *k, const struct file_facts *f)
{
	return looks_unchanged(k, f) && (f->type == 'd' || !k->racy);
}

/* A file that nobody can be seen to have open: has it been left alone for long enough? */
static bool
is_settled(const struct scan *s, const struct file_facts *f)
{
	int64_t changed = (f->ctime_ns > f->mtime_ns ? f->ctime_ns : f->mtime_ns) / NS_MS;

	return changed > s->wall_ms || s->wall_ms - changed >= s->tree->t->settle_ms;
}

/* Read a file. *ready false: somebody writes to it, or it went; it is looked at another time. */
static bool
read_file(struct scan *s, const struct walk_entry *w, struct local_file *out, bool *ready, struct err *e)
{
	struct content d = { .size = 0 };
	struct content_read how;
	enum fate f = content_path(s->tree->root, w->path, &d, &how, e);
	bool ok = true;

	*ready = f == FATE_DONE && (how.leased || is_settled(s, &how.facts));
	if (f == FATE_FAILED || f == FATE_DENIED) {
		log_warning(NULL, "tree %s: %s", s->tree->t->name, e->msg);
		s->report->waiting = true;
		ok = listing_fail(s->tree->list, w->path, w->len, e->msg, e);
	}
	/* What may not be read is tried with every look, and is no reason for the next one. */
	s->report->later += f != FATE_GONE && f != FATE_DENIED && f != FATE_FAILED && !*ready;
	if (!*ready)
		goto out;
	what_set(&out->content, 'f', d.id);
	out->facts = how.facts;
	out->racy = how.racy;
	s->report->read++;
	if (d.nblocks > 1)
		ok = listing_put_blocks(s->tree->list, &d, e);
out:
	content_free(&d);
	return ok;
}

static bool
note(struct scan *s, const struct walk_entry *w, struct err *e)
{
	struct local_file f = { .path = w->path, .len = w->len, .facts = *w->facts, .link = w->link };
	unsigned char hash[CONTENT_BYTES];
	bool ready = true;

	if (w->facts->type == 'f' && !read_file(s, w, &f, &ready, e))
		return false;
	if (!ready)
		return true;
	if (w->link != NULL) {
		if (!content_block(w->link, strlen(w->link), hash, e))
			return false;
		what_set(&f.content, 'l', hash);
	} else if (w->facts->type == 'd')
		what_set(&f.content, 'd', NULL);
	s->report->changed = true;
	return listing_note(s->tree->list, &f, e);
}

/* Nothing has changed there. It may have begun to wait for something that it need not wait for any more: then the list has
 * come to what stands there. */
static bool
pass(struct scan *s, const struct walk_entry *w, const struct known_file *k, struct err *e)
{
	bool right;

	if (!k->failed)
		return true;
	return listing_is_right(s->tree->list, w->path, w->len, &right, e) && (!right || listing_fail(s->tree->list, w->path, w->len, "", e));
}

static bool
on_entry(void *arg, const struct walk_entry *w, struct err *e)
{
	struct scan *s = arg;
	unsigned char id[LISTING_ID];
	struct known_file *k;

	if (!listing_id(w->path, w->len, id, e))
		return false;
	k = find_known(s, id);
	if (k != NULL)
		k->seen = true;
	return k != NULL && is_unchanged(k, w->facts) ? pass(s, w, k, e) : note(s, w, e);
}

static bool
on_unread(void *arg, const char *path, enum fate why, struct err *e)
{
	struct scan *s = arg;

	log_warning(NULL, "tree %s: %s cannot be read (%s); nothing below it counts as deleted", s->tree->t->name, path[0] == '\0' ? "the folder" : path, fate_word(why));
	if (s->nunread == UNREAD_MAX || path[0] == '\0') {
		s->blind = true;
		return true;
	}
	s->unread[s->nunread] = strdup(path);
	return s->unread[s->nunread++] != NULL || err_set(e, ERR_MEMORY, "out of memory for a tree");
}

/* --- what is gone --- */

static bool
is_covered(const struct scan *s, const char *path)
{
	for (size_t i = 0; i < s->nunread; i++) {
		size_t n = strlen(s->unread[i]);

		if (strncmp(path, s->unread[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return false;
}

/* Ids that were not seen, as far as it is known what became of them. */
struct missing {
	struct scan *scan;
	unsigned char *ids; /* gone */
	size_t n;
	unsigned char *left; /* left out on purpose by now: nobody's business */
	size_t nleft;
};

static bool
sort_out(void *arg, const unsigned char id[LISTING_ID], const char *path, bool directory, struct err *e)
{
	struct missing *m = arg;

	(void)e;
	if (exclude_path(m->scan->tree->exclude, path, directory)) {
		memcpy(m->left + m->nleft++ * LISTING_ID, id, LISTING_ID);
		return true;
	}
	if (is_covered(m->scan, path))
		return true;
	memcpy(m->ids + m->n++ * LISTING_ID, id, LISTING_ID);
	return true;
}

static bool
note_missing(struct scan *s, struct err *e)
{
	struct missing m = { .scan = s };
	unsigned char *unseen;
	size_t n = 0;
	bool ok;

	for (size_t i = 0; i < s->nknown; i++)
		n += !s->known[i].seen && s->known[i].kind != '\0';
	if (n == 0 || s->blind)
		return true;
	unseen = malloc(3 * n * LISTING_ID);
	if (unseen == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	m.ids = unseen + n * LISTING_ID;
	m.left = m.ids + n * LISTING_ID;
	n = 0;
	for (size_t i = 0; i < s->nknown; i++)
		if (!s->known[i].seen && s->known[i].kind != '\0')
			memcpy(unseen + n++ * LISTING_ID, s->known[i].id, LISTING_ID);
	ok = listing_paths(s->tree->list, unseen, n, sort_out, &m, e) && listing_gone(s->tree->list, m.ids, m.n, e) &&
	    listing_drop(s->tree->list, m.left, m.nleft, e);
	s->report->gone = m.n;
	s->report->changed = s->report->changed || m.n > 0;
	free(unseen);
	return ok;
}

/* --- public --- */

static bool
walk(struct scan *s, struct err *e)
{
	const struct walk w = { .tree = s->tree->root, .exclude = s->tree->exclude, .arg = s, .entry = on_entry, .unread = on_unread };

	return walk_run(&w, &s->report->seen, e) && listing_flush(s->tree->list, e);
}

bool
scan_run(struct tree *t, struct scan_report *out, struct err *e)
{
	struct scan *s = calloc(1, sizeof *s);
	bool ok;

	memset(out, 0, sizeof *out);
	if (s == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	s->tree = t;
	s->report = out;
	s->wall_ms = clock_wall_us() / US_MS;
	ok = listing_known(t->list, &s->known, &s->nknown, e) && index_known(s, e) && walk(s, e);
	for (size_t i = 0; i < s->nknown; i++)
		out->waiting = out->waiting || s->known[i].failed;
	/* Unmounted meanwhile: what was not seen may be there all the same. */
	if (ok && !beneath_still_there(t->root))
		ok = err_set(e, ERR_HELD, "tree %s: the folder went away while it was looked at", t->t->name);
	ok = ok && note_missing(s, e) && db_exec(t->db, "UPDATE sync_tree SET looked_at=SYSDATE(6) WHERE tree=?", DB_ARGS(db_text(t->t->name)), e);
	for (size_t i = 0; i < s->nunread; i++)
		free(s->unread[i]);
	free(s->known);
	free(s->first);
	free(s);
	return ok;
}

/* One that was heard of. */
static bool
scan_heard(struct scan *s, const char *path, const unsigned char id[LISTING_ID], bool *wide, struct err *e)
{
	const struct known_file *k = find_known(s, id);
	struct file_facts facts;
	const struct walk_entry w = { .path = path, .len = strlen(path), .facts = &facts };
	enum fate f;

	if (exclude_path(s->tree->exclude, path, false))
		return true;
	f = beneath_look(s->tree->root, path, &facts, e);
	if (f == FATE_GONE && (k == NULL || k->kind == '\0')) { /* came and went: a temporary name */
		err_clear(e);
		return true;
	}
	if (f == FATE_DONE && k != NULL && is_unchanged(k, &facts)) /* we have published it */
		return true;
	*wide = f != FATE_DONE || facts.type != 'f' || (k != NULL && k->kind != '\0' && !looks_unchanged(k, &facts));
	return *wide || note(s, &w, e);
}

bool
scan_paths(struct tree *t, const struct buf *paths, const unsigned char *ids, size_t n, struct scan_report *out, bool *wide, struct err *e)
{
	struct scan s = { .tree = t, .report = out, .wall_ms = clock_wall_us() / US_MS };
	size_t at = 0;
	bool ok;

	*wide = false;
	memset(out, 0, sizeof *out);
	ok = listing_known_of(t->list, ids, n, &s.known, &s.nknown, e) && index_known(&s, e);
	for (size_t i = 0; ok && !*wide && i < n; i++) {
		ok = scan_heard(&s, paths->data + at, ids + i * LISTING_ID, wide, e);
		at += strlen(paths->data + at) + 1;
	}
	ok = ok && listing_flush(t->list, e);
	free(s.known);
	free(s.first);
	return ok;
}

bool
scan_path(struct tree *t, const char *path, size_t len, struct err *e)
{
	struct scan_report report = { .read = 0 };
	struct scan s = { .tree = t, .report = &report, .wall_ms = clock_wall_us() / US_MS };
	char link[BENEATH_PATH_MAX + 1];
	struct file_facts facts;
	unsigned char id[LISTING_ID];
	enum fate f = beneath_look(t->root, path, &facts, e);
	struct walk_entry w = { .path = path, .len = len, .facts = &facts };

	if (f == FATE_GONE)
		return listing_id(path, len, id, e) && listing_gone(t->list, id, 1, e);
	if (f == FATE_DONE && facts.type == 'l') {
		f = beneath_link(t->root, path, link, e);
		w.link = link;
	}
	if (f != FATE_DONE || strchr("fdl", facts.type) == NULL)
		return true; /* what cannot be carried is not noted either */
	return note(&s, &w, e) && listing_flush(t->list, e);
}
