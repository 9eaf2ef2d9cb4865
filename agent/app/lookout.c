/* One loop over all folders; each has its clock. */
#include "app/lookout.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/schema.h"
#include "files/after.h"
#include "files/glance.h"
#include "files/order.h"
#include "files/tend.h"
#include "files/watch.h"

enum {
	LOOK_MS = 1000, /* between two looks, and no more than a hundredth of the time */
	LOOK_SHARE = 100,
	LOOK_MAX_MS = 60 * 60 * 1000,
	LOOK_HEARD_SHARE = 10, /* when something was heard */
	LOOK_STEP_MS = 20,
	WANT_MS = 2000, /* doubles */
	WANT_MAX_MS = 10 * 60 * 1000,
	AFTER_MS = 200,  /* between two looks whether a batch is over */
	ORDERS_MS = 250, /* between two looks whether somebody lacks something */
	ORDERED_MS = 3000,
	NAP_STEP_MS = 50 /* stopping waits no longer */
};

/* One tree's looks: soon after something was heard, else by the clock. */
struct folder {
	struct watch *watch;
	int64_t at;   /* the next look by the clock */
	int64_t rest; /* not before, whatever is heard: looks take a tenth of the time at most */
	int64_t glance; /* the same of glances at what was heard of */
	bool heard;
	int64_t want_at, want_ms; /* when the peers are told that contents are missing here; 0: none are */
};

static bool
has_stopped(const struct lookout *l)
{
	return atomic_load(l->stop);
}

static void
nap(const struct lookout *l, int64_t ms)
{
	for (; ms > 0 && !has_stopped(l); ms -= NAP_STEP_MS)
		clock_nap_ms(ms < NAP_STEP_MS ? ms : NAP_STEP_MS);
}

static bool
connect_again(const struct conf *conf, struct db **db, struct err *e)
{
	struct node_identity node;

	if (*db != NULL && !db_is_lost(*db))
		return true;
	db_close(*db);
	*db = NULL;
	if (db_open(&conf->database, db, e) && schema_enter(*db, conf, &node, e))
		return true;
	db_close(*db);
	*db = NULL;
	return false;
}

/* --- looking --- */

/* What is on its way has come by then; else somebody has it who does not know that it is missing here. */
static void
note_wants(struct folder *f, const struct conf_tree *tree, bool wants, struct db *db)
{
	int64_t now = clock_mono_ms();
	struct err e;

	if (!wants) {
		f->want_at = 0;
		return;
	}
	if (f->want_at == 0) {
		f->want_ms = WANT_MS;
		f->want_at = now + f->want_ms;
	} else if (now >= f->want_at) {
		if (!order_want(db, tree->name, &e))
			log_debug(NULL, "tree %s: %s", tree->name, e.msg);
		f->want_ms = f->want_ms * 2 < WANT_MAX_MS ? f->want_ms * 2 : WANT_MAX_MS;
		f->want_at = now + f->want_ms;
	}
	f->at = f->at < f->want_at ? f->at : f->want_at;
}

static void
look_at(const struct lookout *l, struct folder *f, const struct conf_tree *tree, struct db *db)
{
	struct tended look = { .busy = false };
	int64_t began = clock_mono_ms(), took, pause;
	struct err e = { 0 };

	f->heard = false;
	if (f->watch != NULL)
		watch_forget(f->watch);
	if (!tend_one(db, l->conf, tree, f->watch, 0, &look, &e))
		log_warning(NULL, "tree %s: %s", tree->name, e.msg);
	took = clock_mono_ms() - began;
	pause = took * LOOK_SHARE < LOOK_MS ? LOOK_MS : took * LOOK_SHARE;
	f->rest = began + took + took * LOOK_HEARD_SHARE;
	/* What a person decides about two versions changes the list alone. */
	if (tree->mode != TREE_TWO_WAY && f->watch != NULL && watch_is_whole(f->watch) && !look.held)
		pause = LOOK_MAX_MS;
	if (look.busy)
		pause = tree->settle_ms / 2 + LOOK_STEP_MS;
	else if (pause > LOOK_MAX_MS)
		pause = LOOK_MAX_MS;
	f->at = began + took + pause;
	note_wants(f, tree, look.wants, db);
}

/* New files are told without a look at the whole tree. False: that is called for. */
static bool
glance_at(struct folder *f, const struct lookout *l, const struct conf_tree *tree, struct db *db)
{
	const struct buf *paths = f->watch == NULL ? NULL : watch_paths(f->watch);
	struct glance glance = { .busy = false };
	int64_t began = clock_mono_ms(), now;
	struct err e = { 0 };

	if (paths == NULL)
		return false;
	if (!glance_run(db, l->conf, tree, paths, &glance, &e)) {
		log_warning(NULL, "tree %s: %s", tree->name, e.msg);
		return false;
	}
	if (glance.wide)
		return false;
	now = clock_mono_ms();
	if (glance.busy) {
		f->glance = now + tree->settle_ms / 2 + LOOK_STEP_MS; /* still heard */
		return true;
	}
	watch_forget(f->watch);
	f->heard = false;
	f->glance = now + (now - began) * LOOK_HEARD_SHARE;
	return true;
}

/* What is due of looks and glances. */
static void
see_to(const struct lookout *l, struct folder *f, const struct conf_tree *tree, struct db *db)
{
	int64_t now = clock_mono_ms();
	bool whole = now >= f->at;

	if (!whole) {
		if (!f->heard || now < f->glance || glance_at(f, l, tree, db))
			return;
		f->glance = f->rest; /* until then another glance would say the same */
	}
	if (now >= f->rest)
		look_at(l, f, tree, db);
}

static void
look_round(const struct lookout *l, struct folder *all, struct db **db)
{
	int64_t now = clock_mono_ms();
	struct err e = { 0 };

	for (size_t i = 0; i < l->conf->ntrees; i++) {
		struct folder *f = &all[i];

		f->heard = (f->watch != NULL && watch_heard(f->watch)) || f->heard;
		if ((now < f->at && !f->heard) || (now < f->rest && now < f->glance))
			continue;
		if (connect_again(l->conf, db, &e))
			see_to(l, f, &l->conf->trees[i], *db);
		else
			f->rest = f->glance = now + LOOK_MS; /* the drains say what is wrong with the database */
	}
}

/* Something is missing here or at a peer: then the peers are called at once, not at the next turn. */
static void
look_for_orders(const struct lookout *l, struct db **db, int64_t *at)
{
	bool wants = false, comes = false;
	struct err e;

	if (clock_mono_ms() < *at)
		return;
	*at = clock_mono_ms() + ORDERS_MS;
	if (!connect_again(l->conf, db, &e) || !order_calls(*db, &wants, &comes, &e))
		return; /* the drains say what is wrong with the database */
	if (wants || comes)
		l->call(l->arg);
	if (wants) /* it lasts: that the peers know of it is enough for some seconds */
		*at += ORDERED_MS;
}

void
lookout_run(const struct lookout *l)
{
	struct folder *all = calloc(l->conf->ntrees, sizeof *all);
	struct db *db = NULL;
	int64_t orders_at = 0;
	struct err e;

	for (size_t i = 0; all != NULL && i < l->conf->ntrees; i++)
		if (!watch_new(&l->conf->trees[i], &all[i].watch, &e))
			log_warning(NULL, "%s", e.msg);
	while (all != NULL && !has_stopped(l)) {
		look_round(l, all, &db);
		look_for_orders(l, &db, &orders_at);
		nap(l, LOOK_STEP_MS);
	}
	for (size_t i = 0; all != NULL && i < l->conf->ntrees; i++)
		watch_free(all[i].watch);
	free(all);
	db_close(db);
}

/* --- commands --- */

void
lookout_commands(const struct lookout *l)
{
	struct db *db = NULL;
	struct err e;

	while (!has_stopped(l)) {
		for (size_t i = 0; i < l->conf->ntrees; i++) {
			const struct after_order o = { .conf = l->conf, .tree = &l->conf->trees[i], .stop = l->stop };

			if (o.tree->after[0] == '\0' || has_stopped(l))
				continue;
			if (connect_again(l->conf, &db, &e) && !after_run(db, &o, &e) && !db_is_lost(db))
				log_warning(NULL, "tree %s: %s", o.tree->name, e.msg);
		}
		nap(l, AFTER_MS);
	}
	db_close(db);
}

bool
lookout_has_commands(const struct conf *conf)
{
	for (size_t i = 0; i < conf->ntrees; i++)
		if (conf->trees[i].after[0] != '\0')
			return true;
	return false;
}
