/* Opening a tree, in an order in which nothing is done to a folder that is not the one that was set up. */
#include "files/tree.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "change/mark.h"
#include "files/aside.h"
#include "files/order.h"
#include "files/store.h"

enum {
	LOCK_STEP_MS = 20,
	RAISE_S = 600, /* a copy that is younger than the last raise is not told from the folder; each costs an fsync */
	NAMES_MAX = 16 * 1024 /* what getpwnam_r needs for the longest entry that we read */
};

static enum fate
failed(struct err *e)
{
	(void)e;
	return FATE_FAILED;
}

/* --- who owns what is written here --- */

static bool
find_owner(const char *name, bool group, unsigned *id, struct err *e)
{
	char text[NAMES_MAX];
	struct passwd user, *found_user = NULL;
	struct group grp, *found_group = NULL;
	uint64_t n;

	if (mark_parse_u64(name, &n) && n < UINT32_MAX) {
		*id = (unsigned)n;
		return true;
	}
	if (group ? getgrnam_r(name, &grp, text, sizeof text, &found_group) == 0 && found_group != NULL :
		    getpwnam_r(name, &user, text, sizeof text, &found_user) == 0 && found_user != NULL) {
		*id = group ? grp.gr_gid : user.pw_uid;
		return true;
	}
	return err_set(e, ERR_CONFIG, "there is no %s \"%s\" on this laptop", group ? "group" : "user", name);
}

static atomic_bool owner_said[CONF_TREES_MAX];

/* Without the privilege to give files away owners stay as they are; said once a run, of each tree. */
static bool
read_looks(struct tree *t, struct err *e)
{
	struct listing_looks *k = &t->looks;
	const struct conf_tree *c = t->t;

	memset(k, 0, sizeof *k);
	k->listed_mode = !t->takes;
	k->file_mode = c->file_mode;
	k->dir_mode = c->dir_mode;
	if (!t->takes)
		return true;
	k->own_uid = c->owner[0] != '\0';
	k->own_gid = c->group[0] != '\0';
	if ((k->own_uid && !find_owner(c->owner, false, &k->uid, e)) || (k->own_gid && !find_owner(c->group, true, &k->gid, e)))
		return err_prefix(e, "[tree %s]", c->name);
	if (geteuid() != 0 && ((k->own_uid && k->uid != geteuid()) || (k->own_gid && k->gid != getegid()))) {
		if (!atomic_exchange(&owner_said[c - t->conf->trees], true))
			log_warning(NULL, "tree %s: only root may give files to another owner or group: they stay with this account; all else works", c->name);
		k->own_uid = k->own_gid = false;
	}
	return true;
}

static bool
set_mode(struct tree *t, enum tree_mode mode, bool ordered, struct err *e)
{
	t->mode = mode;
	t->ordered = ordered;
	t->sends = ordered ? mode == TREE_PUSH : conf_tree_sends(t->conf, t->t);
	t->takes = ordered ? mode == TREE_PULL : conf_tree_takes(t->conf, t->t);
	return read_looks(t, e);
}

bool
tree_order(struct tree *t, enum tree_mode mode, struct err *e)
{
	return set_mode(t, mode, true, e);
}

/* agent --pull makes every process that works on the folder take what the list says, for as long as it lasts. */
static bool
follow_order(struct tree *t, struct err *e)
{
	bool pulled;

	if (!order_stands(t->db, t->t->name, &pulled, e))
		return false;
	return pulled == t->ordered || set_mode(t, pulled ? TREE_PULL : t->t->mode, pulled, e);
}

bool
tree_tells_mode(const struct tree *t, const struct listing_row *row)
{
	char kind = what_kind(&row->s.here);
	unsigned fixed = kind == 'd' ? t->t->dir_mode : t->t->file_mode;

	if (!t->takes)
		return t->sends;
	return t->sends && row->chmodded && fixed == 0 && kind != 'l' && row->facts.mode != row->mode;
}

/* --- is it the folder that was set up? --- */

static enum fate
check_mark(struct tree *t, struct err *e)
{
	struct db_rows *rows = NULL;
	struct marker mark;
	enum fate f = marker_read(t->root, &mark, e);
	bool more = false, same;

	if (f != FATE_DONE)
		return f;
	if (!db_query(t->db, "SELECT marker FROM sync_tree WHERE tree=?", DB_ARGS(db_text(t->t->name)), &rows, e) || !db_rows_next(rows, &more, e)) {
		db_rows_free(rows);
		return failed(e);
	}
	same = more && db_rows_len(rows, 0) == sizeof mark.id && memcmp(db_rows_text(rows, 0), mark.id, sizeof mark.id) == 0;
	db_rows_free(rows);
	if (same)
		return FATE_DONE;
	(void)err_set(e, ERR_HELD, more ? "the folder has the mark of another tree: is the right one mounted? agent --install takes it as it is" :
					  "the folder has not been set up: run agent --install");
	return FATE_OFFLINE;
}

/* Read under the lock, since whoever has it may raise it. A database that is behind is a restored one: by what it knows
 * files are new, or were changed here, and nothing is lost. */
static enum fate
check_age(struct tree *t, struct err *e)
{
	bool found = false;
	enum fate f = marker_read(t->root, &t->mark, e);

	if (f != FATE_DONE)
		return f;
	if (!db_number(t->db, "SELECT generation FROM sync_tree_life WHERE tree=?", DB_ARGS(db_text(t->t->name)), &t->generation, &found, e))
		return FATE_FAILED;
	t->restored = found && t->mark.generation < t->generation;
	if (found && t->mark.generation <= t->generation)
		return FATE_DONE;
	t->generation = t->mark.generation;
	return db_exec(t->db, "INSERT INTO sync_tree_life (tree, generation) VALUES (?,?) ON DUPLICATE KEY UPDATE generation=VALUES(generation)",
		   DB_ARGS(db_text(t->t->name), db_u64(t->generation)), e) ? FATE_DONE : FATE_FAILED;
}

bool
tree_raise(struct tree *t, bool now, struct err *e)
{
	uint64_t due = 1;

	if (!now && !db_number(t->db, "SELECT COUNT(*) FROM sync_tree_life WHERE tree=? AND raised_at < SYSDATE(6) - INTERVAL ? SECOND",
	    DB_ARGS(db_text(t->t->name), db_u64(RAISE_S)), &due, NULL, e))
		return false;
	if (due == 0)
		return true;
	t->mark.generation = t->generation + 1;
	if (marker_raise(t->root, &t->mark, e) != FATE_DONE) {
		log_warning(NULL, "tree %s: %s", t->t->name, e->msg);
		return !now; /* a full disk is no reason to tell nothing */
	}
	t->generation = t->mark.generation;
	t->restored = false;
	return db_exec(t->db, "UPDATE sync_tree_life SET generation=?, raised_at=SYSDATE(6) WHERE tree=?", DB_ARGS(db_u64(t->generation), db_text(t->t->name)), e);
}

/* What a crash left between the two renames of a publication. Nobody else is at work in the tree now. */
static enum fate
recover(struct tree *t, struct err *e)
{
	struct trash *lost;
	uint64_t n = 0;
	enum fate f;

	if (!trash_new(t->root, TRASH_CONFLICT, "recovered", clock_wall_us(), &lost, e))
		return FATE_FAILED;
	f = store_recover(t->root, lost, &n, e);
	if (n > 0)
		log_warning(NULL, "tree %s: %llu files that an interrupted agent had just replaced are kept in .sync/conflict", t->t->name, (unsigned long long)n);
	if (f == FATE_DONE && n > 0 && !aside_remember(t->root, t->list, trash_folder(lost), e))
		f = FATE_FAILED;
	trash_free(lost);
	return f;
}

enum fate
tree_lock(struct tree *t, int64_t wait_ms, struct err *e)
{
	int64_t until = clock_mono_ms() + wait_ms;
	enum fate f = check_mark(t, e);

	if (f == FATE_DONE && !beneath_still_there(t->root))
		f = fate_set(e, FATE_OFFLINE, "another folder stands now at", t->t->path);
	if (f != FATE_DONE)
		return f;
	while ((f = marker_lock(t->root, &t->lock, e)) == FATE_BUSY && clock_mono_ms() < until)
		clock_nap_ms(LOCK_STEP_MS);
	if (f == FATE_DONE)
		f = check_age(t, e);
	if (f == FATE_DONE && !follow_order(t, e))
		return FATE_FAILED;
	return f == FATE_DONE ? recover(t, e) : f;
}

void
tree_unlock(struct tree *t)
{
	if (t->lock >= 0)
		(void)close(t->lock);
	t->lock = -1;
}

void
tree_close(struct tree *t)
{
	if (t == NULL)
		return;
	listing_free(t->list);
	exclude_free(t->exclude);
	beneath_close(t->root);
	tree_unlock(t);
	free(t);
}

enum fate
tree_open(struct db *db, const struct conf *conf, const struct conf_tree *c, int64_t wait_ms, struct tree **out, struct err *e)
{
	struct tree *t = calloc(1, sizeof *t);
	enum fate f;

	*out = NULL;
	if (t == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for a tree");
		return FATE_FAILED;
	}
	*t = (struct tree){ .conf = conf, .t = c, .db = db, .lock = -1 };
	f = listing_new(db, conf, c, &t->list, e) && exclude_of_option(c->exclude, &t->exclude, e) && set_mode(t, c->mode, false, e) ? FATE_DONE : FATE_FAILED;
	if (f == FATE_DONE)
		f = beneath_open(c->path, &t->root, e);
	if (f == FATE_DONE)
		f = wait_ms < 0 ? check_mark(t, e) : tree_lock(t, wait_ms, e);
	if (f == FATE_DONE) {
		*out = t;
		return f;
	}
	(void)err_prefix(e, "tree %s", c->name);
	tree_close(t);
	return f;
}

/* --- setting up --- */

/* What was known of another folder says nothing of this one. */
static bool
remember(struct db *db, const struct beneath *root, const struct conf_tree *t, const struct marker *mark, struct err *e)
{
	uint64_t dev, fsid, same = 0;

	beneath_filesystem(root, &dev, &fsid);
	if (!db_number(db, "SELECT 1 FROM sync_tree WHERE tree=? AND marker=?", DB_ARGS(db_text(t->name), db_bytes(mark->id, sizeof mark->id)), &same, NULL, e))
		return false;
	if (same == 0 && (!db_exec(db, "DELETE FROM sync_file_local WHERE tree=?", DB_ARGS(db_text(t->name)), e) ||
	    !db_exec(db, "DELETE FROM sync_tree_life WHERE tree=?", DB_ARGS(db_text(t->name)), e)))
		return false;
	return db_exec(db, "INSERT INTO sync_tree (tree, marker, fsid) VALUES (?,?,?) ON DUPLICATE KEY UPDATE marker=VALUES(marker), fsid=VALUES(fsid)",
	    DB_ARGS(db_text(t->name), db_bytes(mark->id, sizeof mark->id), db_u64(fsid)), e);
}

bool
tree_set_up(struct db *db, struct db *over, const struct conf *conf, const struct conf_tree *t, struct err *e)
{
	struct beneath *root = NULL;
	struct marker mark;
	bool ok;

	if (!listing_create(over, conf, t, e))
		return false;
	ok = beneath_open(t->path, &root, e) == FATE_DONE && marker_make(root, &mark, e) == FATE_DONE && remember(db, root, t, &mark, e);
	beneath_close(root);
	return ok || err_prefix(e, "tree %s", t->name);
}

/* --- its state --- */

bool
tree_hold(struct db *db, const char *name, const char *why, struct err *e)
{
	return db_exec(db, "UPDATE sync_tree SET held=? WHERE tree=?", DB_ARGS(db_text(why), db_text(name)), e);
}

bool
tree_state_read(struct db *db, const char *name, struct tree_state *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, "SELECT held, looked_at, allowed FROM sync_tree WHERE tree=?", DB_ARGS(db_text(name)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more) {
		out->set_up = true;
		(void)snprintf(out->held, sizeof out->held, "%s", db_rows_text(rows, 0));
		out->looked = db_rows_text(rows, 1) != NULL;
		out->allowed = db_rows_u64(rows, 2) != 0;
	}
	db_rows_free(rows);
	return ok;
}

bool
tree_allow(struct db *db, const char *name, struct err *e)
{
	return db_exec(db, "UPDATE sync_tree SET allowed=1 WHERE tree=? AND held<>''", DB_ARGS(db_text(name)), e);
}
