/* Only where folder and list were alike up to now as far as is known: a tree that is held, restored, ordered or not yet
 * looked at wants the whole look. */
#include "files/glance.h"

#include <string.h>

#include "base/log.h"
#include "files/scan.h"
#include "files/tell.h"

struct heard {
	unsigned char ids[LISTING_PAGE * LISTING_ID];
	size_t n;
};

/* *all false: more than can be asked for at once. */
static bool
name_all(const struct buf *paths, struct heard *h, bool *all, struct err *e)
{
	*all = true;
	for (size_t at = 0; at < paths->len; at += strlen(paths->data + at) + 1) {
		*all = h->n < LISTING_PAGE;
		if (!*all)
			return true;
		if (!listing_id(paths->data + at, strlen(paths->data + at), h->ids + h->n * LISTING_ID, e))
			return false;
		h->n++;
	}
	return true;
}

static bool
is_ready(struct tree *t, bool *ready, struct err *e)
{
	struct tree_state state;

	if (!tree_state_read(t->db, t->t->name, &state, e))
		return false;
	*ready = !t->restored && !t->ordered && state.looked && state.held[0] == '\0';
	return true;
}

static bool
look(struct tree *t, const struct buf *paths, struct glance *out, struct err *e)
{
	struct heard h = { .n = 0 };
	struct scan_report scan;
	struct tell_report tell;
	bool ready, all;

	if (!is_ready(t, &ready, e) || !name_all(paths, &h, &all, e))
		return false;
	out->wide = !ready || !all;
	if (out->wide)
		return true;
	if (!scan_paths(t, paths, h.ids, h.n, &scan, &out->wide, e))
		return false;
	out->busy = scan.later > 0;
	if (out->wide || !scan.changed)
		return true;
	return tell_new(t, h.ids, h.n, &tell, &out->wide, e);
}

bool
glance_run(struct db *db, const struct conf *conf, const struct conf_tree *c, const struct buf *paths, struct glance *out, struct err *e)
{
	struct tree *t = NULL;
	enum fate f = tree_open(db, conf, c, 0, &t, e);
	bool ok = f == FATE_DONE && look(t, paths, out, e);

	tree_close(t);
	if (f == FATE_DONE)
		return ok;
	/* What is wrong with it, the look at the whole tree says. */
	log_debug(NULL, "%s", e->msg);
	err_clear(e);
	out->busy = f == FATE_BUSY;
	out->wide = f != FATE_BUSY;
	return true;
}
