/* The SQL of sync_carried. */
#include "files/progress.h"

#include <stdio.h>
#include <string.h>

static const char sql_left[] =
    "INSERT INTO sync_carried (tree, peer, left_contents, left_bytes, done_at) VALUES (?,?,?,?,IF(?=0,SYSDATE(6),NULL))"
    " ON DUPLICATE KEY UPDATE left_contents=VALUES(left_contents), left_bytes=VALUES(left_bytes), done_at=IFNULL(VALUES(done_at), done_at)";

/* One statement says whether the stretch goes on, and adds: began_at is set last, from moved_at as it was. */
static const char sql_moved[] =
    "INSERT INTO sync_carried (tree, peer, began_at, moved_at, contents, bytes) VALUES (?,?,SYSDATE(6),SYSDATE(6),?,?)"
    " ON DUPLICATE KEY UPDATE contents=IF((moved_at IS NULL OR moved_at < SYSDATE(6) - INTERVAL ? SECOND), 0, contents) + VALUES(contents),"
    " bytes=IF((moved_at IS NULL OR moved_at < SYSDATE(6) - INTERVAL ? SECOND), 0, bytes) + VALUES(bytes),"
    " left_contents=IF(left_contents < VALUES(contents), 0, left_contents - VALUES(contents)),"
    " left_bytes=IF(left_bytes < VALUES(bytes), 0, left_bytes - VALUES(bytes)),"
    " began_at=IF((moved_at IS NULL OR moved_at < SYSDATE(6) - INTERVAL ? SECOND), SYSDATE(6), began_at), moved_at=SYSDATE(6)";

static const char sql_read[] =
    "SELECT peer, contents, bytes, left_contents, left_bytes, done_at,"
    " IFNULL(moved_at > SYSDATE(6) - INTERVAL ? SECOND, 0) AND left_contents > 0,"
    " IFNULL(bytes DIV GREATEST(TIMESTAMPDIFF(MICROSECOND, began_at, moved_at) / 1000000, 0.1), 0)"
    " FROM sync_carried WHERE tree=? ORDER BY peer";

/* For people only: an agent that is newer than its sync schema works without it until agent --install. */
static bool
is_missing(struct err *e)
{
	if (e->code != ERR_DB_MISSING)
		return false;
	err_clear(e);
	return true;
}

bool
progress_left(struct db *db, const struct progress_of *of, uint64_t contents, uint64_t bytes, struct err *e)
{
	return db_exec(db, sql_left, DB_ARGS(db_text(of->tree), db_text(of->peer), db_u64(contents), db_u64(bytes), db_u64(contents)), e) || is_missing(e);
}

bool
progress_moved(struct db *db, const struct progress_of *of, uint64_t contents, uint64_t bytes, struct err *e)
{
	return db_exec(db, sql_moved, DB_ARGS(db_text(of->tree), db_text(of->peer), db_u64(contents), db_u64(bytes), db_u64(PROGRESS_PAUSE_S),
	    db_u64(PROGRESS_PAUSE_S), db_u64(PROGRESS_PAUSE_S)), e) || is_missing(e);
}

bool
progress_read(struct db *db, const char *tree, progress_visit *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(db, sql_read, DB_ARGS(db_u64(PROGRESS_PAUSE_S), db_text(tree)), &rows, e);

	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct progress p = { .contents = db_rows_u64(rows, 1), .bytes = db_rows_u64(rows, 2), .left_contents = db_rows_u64(rows, 3),
			.left_bytes = db_rows_u64(rows, 4), .moving = db_rows_u64(rows, 6) != 0, .bytes_per_second = db_rows_u64(rows, 7) };

		(void)snprintf(p.peer, sizeof p.peer, "%s", db_rows_text(rows, 0));
		(void)snprintf(p.last_success, sizeof p.last_success, "%s", db_rows_text(rows, 5) == NULL ? "" : db_rows_text(rows, 5));
		ok = visit(arg, &p, e);
	}
	db_rows_free(rows);
	return ok || is_missing(e);
}
