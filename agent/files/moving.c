/* Renames gathered, their directories brought to the disk once, then the rows. A crash before the rows leaves what the next
 * look finds to be right; a row that came before its rename lasts would be read as a person's doing. */
#include "files/moving.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/flush.h"
#include "files/places.h"

enum {
	LEAVING_MAX = 50 * 1000, /* files considered at once; others are copied and then deleted */
	BATCH = 2000,
	PARENT_MODE = 0755 /* of directories that the list has not named yet */
};

struct moved {
	char *from, *to;
	unsigned char from_id[LISTING_ID];
	struct what content;
};

struct moving {
	struct tree *tree;
	struct placed *placed;
	struct places leaving; /* by content */
	bool read;
	struct moved batch[BATCH];
	size_t n;
};

bool
moving_new(struct tree *t, struct placed *placed, struct moving **out, struct err *e)
{
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	(*out)->tree = t;
	(*out)->placed = placed;
	return true;
}

static void
drop_batch(struct moving *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->batch[i].from);
		free(m->batch[i].to);
	}
	m->n = 0;
}

void
moving_free(struct moving *m)
{
	if (m == NULL)
		return;
	drop_batch(m);
	places_clear(&m->leaving);
	free(m);
}

/* --- what leaves --- */

static bool
add_leaving(void *arg, const struct listing_row *row, struct err *e)
{
	struct moving *m = arg;
	struct listing_row keyed = *row;

	if (m->leaving.n >= LEAVING_MAX || verdict_judge(m->tree->mode, m->tree->sends, &row->s) != VERDICT_TAKE ||
	    exclude_path(m->tree->exclude, row->path, false) || !beneath_path_ok(row->path, row->len))
		return true;
	keyed.s.listed = row->s.here; /* found by what it has */
	return places_add(&m->leaving, &keyed, e);
}

static bool
is_as_known(const struct file_facts *a, const struct file_facts *b)
{
	return a->type == b->type && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static bool
looks_right(const struct file_facts *f, const struct store_look *look)
{
	return f->mtime_ns == look->mtime_ns && (f->mode & 0777U) == look->mode && (!look->own_uid || f->uid == look->uid) && (!look->own_gid || f->gid == look->gid);
}

/* A file that may go from its path to another one. */
static bool
choose(struct moving *m, const struct listing_row *row, const struct store_look *look, struct place **out, struct err *e)
{
	struct file_facts facts;
	struct place *p;
	bool named;

	*out = NULL;
	if (!m->read && !listing_leaving(m->tree->list, add_leaving, m, e))
		return false;
	m->read = true;
	for (p = places_find(&m->leaving, &row->s.listed); p != NULL; p = places_next(&m->leaving, p)) {
		if (!looks_right(&p->row.facts, look))
			continue;
		p->taken = true;
		/* A row of the application may still name it there. */
		if (!listing_is_named(m->tree->list, m->tree->conf, p->path, &named, e))
			return false;
		if (!named && beneath_look(m->tree->root, p->path, &facts, e) == FATE_DONE && is_as_known(&facts, &p->row.facts))
			break;
	}
	*out = p;
	return true;
}

static enum fate
rename_it(struct moving *m, const char *from, const char *to, struct err *e)
{
	enum fate f = beneath_move(m->tree->root, from, to, MOVE_NEW, e);
	const char *leaf;
	int fd;

	if (f != FATE_GONE || beneath_parent(m->tree->root, to, PARENT_MODE, &fd, &leaf, e) != FATE_DONE)
		return f;
	(void)close(fd);
	return beneath_move(m->tree->root, from, to, MOVE_NEW, e);
}

/* --- afterwards --- */

/* Each directory once. */
static bool
sync_directories(struct moving *m, struct err *e)
{
	struct buf paths;
	bool ok;

	buf_init(&paths, (size_t)BATCH * 2 * (BENEATH_PATH_MAX + 1));
	for (size_t i = 0; i < m->n; i++) {
		buf_put(&paths, m->batch[i].from, strlen(m->batch[i].from) + 1);
		buf_put(&paths, m->batch[i].to, strlen(m->batch[i].to) + 1);
	}
	ok = buf_check(&paths, "paths of a tree", e) && flush_parents(m->tree->root, &paths, e);
	buf_free(&paths);
	return ok;
}

static bool
note_moved(struct moving *m, const struct moved *one, struct err *e)
{
	struct local_file f = { .path = one->to, .len = strlen(one->to), .content = one->content, .agreed = true, .racy = true };

	if (beneath_look(m->tree->root, one->to, &f.facts, e) == FATE_DONE)
		return listing_note(m->tree->list, &f, e);
	err_clear(e); /* taken away again: the next look sees that */
	return true;
}

static bool
settle_batch(struct moving *m, struct err *e)
{
	unsigned char *ids;
	bool ok;

	if (m->n == 0)
		return true;
	ids = malloc(m->n * LISTING_ID);
	ok = ids != NULL ? sync_directories(m, e) : err_set(e, ERR_MEMORY, "out of memory for a tree");

	for (size_t i = 0; ok && i < m->n; i++) {
		memcpy(ids + i * LISTING_ID, m->batch[i].from_id, LISTING_ID);
		ok = note_moved(m, &m->batch[i], e);
	}
	ok = ok && listing_flush(m->tree->list, e) && listing_gone(m->tree->list, ids, m->n, e);
	free(ids);
	drop_batch(m);
	return ok;
}

/* --- public --- */

bool
moving_try(struct moving *m, const struct listing_row *row, const struct store_look *look, bool *done, struct err *e)
{
	struct moved *one = &m->batch[m->n];
	struct place *p;
	enum fate f;

	*done = false;
	if (!choose(m, row, look, &p, e))
		return false;
	if (p == NULL)
		return true;
	if (!placed_add(m->placed, p->path, e) || !placed_add(m->placed, row->path, e) || !placed_flush(m->placed, e))
		return false;
	f = rename_it(m, p->path, row->path, e);
	if (f != FATE_DONE) {
		err_clear(e); /* a content that is taken from there then */
		return true;
	}
	*one = (struct moved){ .from = p->path, .to = strdup(row->path), .content = row->s.listed };
	memcpy(one->from_id, p->row.id, LISTING_ID);
	p->path = NULL;
	m->n++;
	*done = true;
	if (one->to == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	return m->n < BATCH || settle_batch(m, e);
}

bool
moving_finish(struct moving *m, struct err *e)
{
	bool ok = settle_batch(m, e);

	places_clear(&m->leaving);
	m->read = false;
	return ok;
}
