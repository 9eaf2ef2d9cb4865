/* Looking at one tree after the other. */
#include "files/tend.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "files/arrive.h"
#include "files/order.h"
#include "files/scan.h"
#include "files/tell.h"

enum {
	TEMPORARY_DAYS = 7 /* that half a content is kept */
};

/* What was changed here and is not this node's to change is put right without a peer, as far as that goes. */
static bool
put_right(struct tree *t, struct tended *out, struct err *e)
{
	struct arrival *a = NULL;
	struct arrive_report report = { .held = false };
	bool ok = arrive_new(t, &a, e) && arrive_settle(a, NULL, NULL, &report, e);

	arrive_free(a);
	out->held = out->held || report.held;
	out->wants = out->wants || report.wants > 0;
	return ok;
}

/* Is what was put into the trash still written to, by a program that has had it open ever since? Then it stays. */
static bool
is_at_rest(void *arg, const char *name, const struct file_facts *facts)
{
	const int64_t *before_us = arg;

	(void)name;
	return facts->mtime_ns / 1000 < *before_us;
}

/* What was kept long enough, and what began to come and was given up. */
static bool
tidy(struct tree *t, struct err *e)
{
	int64_t now = clock_wall_us(), before = now - t->t->keep_trash_ms * 1000;
	struct trash_purged purged;
	uint64_t removed;

	if (trash_purge(t->root, TRASH_DELETED, before, is_at_rest, &before, &purged, e) != FATE_DONE ||
	    store_purge(t->root, now - (int64_t)TEMPORARY_DAYS * 86400 * 1000000, &removed, e) != FATE_DONE)
		log_warning(NULL, "tree %s: %s", t->t->name, e->msg);
	return listing_forget_trashed(t->list, t->t->keep_trash_ms / 1000, e);
}

static bool
look_at(struct tree *t, struct tended *out, struct err *e)
{
	struct scan_report scan;
	struct tell_report tell;

	if (!scan_run(t, &scan, e) || (scan.waiting && !listing_try_again(t->list, e)) || !tell_run(t, &tell, e) || !tidy(t, e))
		return false;
	out->changed = out->changed || tell.told > 0;
	out->held = out->held || tell.held;
	out->busy = out->busy || scan.later > 0;
	return tell.held || tell.alike || !t->takes || put_right(t, out, e);
}

bool
tend_one(struct db *db, const struct conf *conf, const struct conf_tree *c, struct watch *w, int64_t wait_ms, struct tended *out, struct err *e)
{
	char why[ERR_MSG_MAX];
	struct tree *t = NULL;
	enum fate f = tree_open(db, conf, c, wait_ms, &t, e);
	bool ok = f == FATE_DONE;

	if (ok && w != NULL)
		watch_renew(w, t);
	ok = ok && look_at(t, out, e);
	tree_close(t);
	if (ok)
		return true;
	if (db_is_lost(db))
		return false;
	if (f == FATE_BUSY) {
		out->busy = true;
		err_clear(e);
		return true;
	}
	/* One tree's trouble is not another's. */
	log_warning(NULL, "%s", e->msg);
	out->held = true;
	(void)snprintf(why, sizeof why, "%s", e->msg);
	err_clear(e);
	return tree_hold(db, c->name, why, e);
}

bool
tend_all(struct db *db, const struct conf *conf, int64_t wait_ms, struct tended *out, struct err *e)
{
	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < conf->ntrees; i++) {
		bool before = out->wants;

		out->wants = false;
		if (!tend_one(db, conf, &conf->trees[i], NULL, wait_ms, out, e) || (out->wants && !order_want(db, conf->trees[i].name, e)))
			return false;
		out->wants = out->wants || before;
	}
	return true;
}
