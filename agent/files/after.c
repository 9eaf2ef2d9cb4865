/* Paths wait in sync_after until a command has taken them. */
#include "files/after.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/log.h"
#include "db/bulk.h"

enum {
	VALUES = 2,
	INPUT_MAX = AFTER_PATHS_MAX * 4097,
	SETTING_MAX = 5000, /* a name and a path */
	US_MS = 1000
};

/* --- before they are put in place --- */

struct placed {
	const char *tree;
	struct bulk *add;
};

bool
placed_new(struct db *db, const struct conf_tree *t, struct placed **out, struct err *e)
{
	static const bool binary[VALUES] = { [1] = true };

	*out = NULL;
	if (t->after[0] == '\0')
		return true;
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	(*out)->tree = t->name;
	return bulk_new(db, "INSERT INTO sync_after (tree, path) VALUES (?,?)", VALUES, binary, &(*out)->add, e);
}

void
placed_free(struct placed *p)
{
	if (p == NULL)
		return;
	bulk_free(p->add);
	free(p);
}

bool
placed_add(struct placed *p, const char *path, struct err *e)
{
	if (p == NULL)
		return true;
	return bulk_add(p->add, (const struct db_arg[VALUES]){ db_text(p->tree), db_bytes(path, strlen(path)) }, e);
}

bool
placed_flush(struct placed *p, struct err *e)
{
	uint64_t ignored;

	return p == NULL || bulk_rows(p->add) == 0 || bulk_run(p->add, &ignored, e);
}

/* --- is it time? --- */

struct batch {
	const struct after_order *o;
	struct db *db;
	uint64_t upto;
	uint64_t tries; /* so far, in vain */
	struct buf paths;
	uint64_t n;
};

static const char sql_due[] =
    "SELECT MAX(id) FROM (SELECT id, at FROM sync_after WHERE tree=? ORDER BY id LIMIT ?) b"
    " HAVING ?=1 OR MIN(at) < SYSDATE(6) - INTERVAL ? MICROSECOND"
    " OR NOT EXISTS (SELECT 1 FROM (SELECT at FROM sync_after WHERE tree=? ORDER BY id DESC LIMIT 1) l"
    " WHERE l.at > SYSDATE(6) - INTERVAL ? MICROSECOND)";

/* After a failure it is tried again when something new came, or later. */
static const char sql_rests[] =
    "SELECT 1 FROM sync_after_run r WHERE r.tree=? AND r.tries>0 AND r.ended_at > SYSDATE(6) - INTERVAL ? SECOND"
    " AND NOT EXISTS (SELECT 1 FROM sync_after a WHERE a.tree=r.tree AND a.at > r.ended_at)";

static bool
is_due(struct batch *b, bool *due, struct err *e)
{
	const struct db_arg tree = db_text(b->o->tree->name);
	uint64_t any = 0, rests = 0;

	*due = false;
	/* The usual answer, by a key alone. */
	if (!db_number(b->db, "SELECT 1 FROM sync_after WHERE tree=? LIMIT 1", DB_ARGS(tree), &any, NULL, e))
		return false;
	if (any == 0)
		return true;
	if (!b->o->now && !db_number(b->db, sql_rests, DB_ARGS(tree, db_u64(AFTER_RETRY_S)), &rests, NULL, e))
		return false;
	if (rests > 0)
		return true;
	b->upto = 0;
	if (!db_number(b->db, sql_due, DB_ARGS(tree, db_u64(AFTER_PATHS_MAX), db_u64(b->o->now),
		db_u64((uint64_t)AFTER_LONGEST_MS * US_MS), tree, db_u64((uint64_t)AFTER_QUIET_MS * US_MS)),
		&b->upto, NULL, e))
		return false;
	*due = b->upto > 0;
	return true;
}

/* --- running --- */

static bool
read_paths(struct batch *b, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(b->db, "SELECT DISTINCT path FROM sync_after WHERE tree=? AND id<=? ORDER BY path",
	    DB_ARGS(db_text(b->o->tree->name), db_u64(b->upto)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		buf_put(&b->paths, db_rows_text(rows, 0), db_rows_len(rows, 0));
		buf_char(&b->paths, '\0');
		b->n++;
	}
	db_rows_free(rows);
	return ok && buf_check(&b->paths, "the paths of a batch", e) &&
	    db_number(b->db, "SELECT tries FROM sync_after_run WHERE tree=?", DB_ARGS(db_text(b->o->tree->name)),
		&b->tries, NULL, e);
}

static bool
run(const struct batch *b, struct err *e)
{
	char node[SETTING_MAX], tree[SETTING_MAX], path[SETTING_MAX];
	const char *const settings[] = { node, tree, path, NULL };
	const struct command c = { .text = b->o->tree->after, .settings = settings, .input = b->paths.data,
		.input_len = b->paths.len, .limit_ms = AFTER_LIMIT_MS, .stop = b->o->stop };

	(void)snprintf(node, sizeof node, "TANDEM_NODE=%s", b->o->conf->node.name);
	(void)snprintf(tree, sizeof tree, "TANDEM_TREE=%s", b->o->tree->name);
	(void)snprintf(path, sizeof path, "TANDEM_PATH=%s", b->o->tree->path);
	return command_run(&c, e);
}

static bool
forget(const struct batch *b, struct err *e)
{
	return db_exec(b->db, "DELETE FROM sync_after WHERE tree=? AND id<=?",
	    DB_ARGS(db_text(b->o->tree->name), db_u64(b->upto)), e);
}

static bool
remember(const struct batch *b, uint64_t tries, const char *error, struct err *e)
{
	return db_exec(b->db, "INSERT INTO sync_after_run (tree, ended_at, tries, error)"
	    " VALUES (?,SYSDATE(6),?,LEFT(?,512))"
	    " ON DUPLICATE KEY UPDATE ended_at=VALUES(ended_at), tries=VALUES(tries), error=VALUES(error)",
	    DB_ARGS(db_text(b->o->tree->name), db_u64(tries), db_text(error)), e);
}

/* What came while it ran is news, and is not to rest with what failed. */
static bool
renew_later(const struct batch *b, struct err *e)
{
	return db_exec(b->db, "UPDATE sync_after SET at=SYSDATE(6) WHERE tree=? AND id>?",
	    DB_ARGS(db_text(b->o->tree->name), db_u64(b->upto)), e);
}

static bool
run_batch(struct batch *b, struct err *e)
{
	const char *name = b->o->tree->name;
	struct err why = { 0 };

	if (!read_paths(b, e))
		return false;
	if (run(b, &why)) {
		log_info(NULL, "tree %s: the command of after was told of %llu paths", name, (unsigned long long)b->n);
		return forget(b, e) && remember(b, 0, "", e);
	}
	if (why.code == ERR_STOPPED) /* the next life tells them */
		return true;
	if (b->tries + 1 < AFTER_TRIES_MAX) {
		log_error(NULL, "tree %s: the command of after failed, the %llu files stay as they are: %s",
		    name, (unsigned long long)b->n, why.msg);
		return remember(b, b->tries + 1, why.msg, e) && renew_later(b, e);
	}
	log_error(NULL, "tree %s: the command of after failed, the %llu files stay as they are: %s;"
	    " it is not told of them again", name, (unsigned long long)b->n, why.msg);
	return remember(b, 0, why.msg, e) && forget(b, e);
}

/* One process at a time: the name is of this server's session, and goes with it. */
static const char sql_lock[] = "SELECT GET_LOCK(CONCAT('tandem.a.', MD5(CONCAT(DATABASE(), '/', ?))), 0)";
static const char sql_unlock[] = "SELECT RELEASE_LOCK(CONCAT('tandem.a.', MD5(CONCAT(DATABASE(), '/', ?))))";

bool
after_run(struct db *db, const struct after_order *o, struct err *e)
{
	const struct db_arg tree = db_text(o->tree->name);
	struct batch b = { .o = o, .db = db };
	uint64_t got = 0, ignored;
	bool due = false, ok;
	struct err other;

	if (o->tree->after[0] == '\0')
		return true;
	if (!is_due(&b, &due, e))
		return false;
	if (!due)
		return true;
	if (!db_number(db, sql_lock, DB_ARGS(tree), &got, NULL, e))
		return false;
	if (got != 1) /* another process is at it */
		return true;
	buf_init(&b.paths, INPUT_MAX);
	ok = is_due(&b, &due, e) && (!due || run_batch(&b, e)); /* another one may just have told them */
	buf_free(&b.paths);
	if (!db_is_lost(db) && !db_number(db, sql_unlock, DB_ARGS(tree), &ignored, NULL, &other))
		log_warning(NULL, "tree %s: %s", o->tree->name, other.msg);
	return ok;
}

bool
after_failure(struct db *db, const char *tree, char out[AFTER_ERROR_MAX], struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, "SELECT error FROM sync_after_run WHERE tree=?", DB_ARGS(db_text(tree)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	out[0] = '\0';
	if (ok && more)
		(void)snprintf(out, AFTER_ERROR_MAX, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}
