/* Lives here: the SQL of sync_startup and sync_startup_table. Not here: what is filled in which order (sync/startup),
 * with what (sync/fill). */
#include "change/filling.h"

#include <stdio.h>
#include <string.h>

/* The row of nobody says since when the daemon of a node without rows has not asked its peers yet. Clocks may be set:
 * a time to come counts for nothing. */
#define AWAITING "peer='' AND began_at BETWEEN NOW(6) - INTERVAL " FILLING_AWAIT_S " SECOND AND NOW(6)"

bool
filling_load(struct db *db, struct filling *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, "SELECT peer, copy, records FROM sync_startup WHERE state='filling' OR (" AWAITING ") ORDER BY peer DESC LIMIT 1", DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more) {
		(void)snprintf(out->peer, sizeof out->peer, "%s", db_rows_text(rows, 0));
		out->any = out->peer[0] != '\0';
		out->awaited = !out->any;
		out->copy = db_rows_u64(rows, 1) != 0;
		out->records = db_rows_u64(rows, 2);
	}
	db_rows_free(rows);
	return ok;
}

bool
filling_await(struct db *db, struct err *e)
{
	return db_exec(db, "REPLACE INTO sync_startup (peer, state) VALUES ('', 'done')", DB_NO_ARGS, e);
}

bool
filling_decided(struct db *db, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_startup WHERE peer=''", DB_NO_ARGS, e);
}

bool
filling_is_known(struct db *db, bool *known, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(db, "SELECT COUNT(*) FROM sync_startup WHERE peer<>''", DB_NO_ARGS, &n, NULL, e);

	*known = n > 0;
	return ok;
}

bool
filling_begin(struct db *db, const char *peer, bool copy, struct err *e)
{
	struct filling now;
	bool ok = db_begin(db, e) && cursor_lock_all(db, e) && filling_load(db, &now, e);

	if (ok && now.any && strcmp(now.peer, peer) != 0)
		ok = err_set(e, ERR_USAGE, "this node is being filled from peer %s: run agent --startup --peer %s to its end first", now.peer, now.peer);
	ok = ok && db_exec(db, "DELETE FROM sync_startup_table WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "REPLACE INTO sync_startup (peer, state, copy) VALUES (?, 'filling', ?)", DB_ARGS(db_text(peer), db_u64(copy)), e) && db_commit(db, e);
	if (!ok)
		db_rollback(db);
	return ok;
}

bool
filling_end(struct db *db, const char *peer, struct err *e)
{
	return db_exec(db, "UPDATE sync_startup SET state='done', ended_at=NOW(6) WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_startup_table WHERE peer=?", DB_ARGS(db_text(peer)), e);
}

bool
filling_table_load(struct db *db, const char *peer, const char *table, struct filling_table *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, "SELECT last_key, records, done FROM sync_startup_table WHERE peer=? AND table_name=?", DB_ARGS(db_text(peer), db_text(table)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok && more) {
		out->begun = db_rows_text(rows, 0) != NULL;
		out->key_len = db_rows_len(rows, 0);
		if (out->begun)
			memcpy(out->key, db_rows_text(rows, 0), out->key_len + 1);
		out->records = db_rows_u64(rows, 1);
		out->done = db_rows_u64(rows, 2) != 0;
	}
	db_rows_free(rows);
	return ok;
}

bool
filling_table_note(struct db *db, const char *peer, const char *table, const char *key, size_t key_len, uint64_t records, struct err *e)
{
	return db_exec(db, "INSERT INTO sync_startup_table (peer, table_name, last_key, records, done) VALUES (?, ?, ?, ?, ?)"
			   " ON DUPLICATE KEY UPDATE last_key=IFNULL(VALUES(last_key), last_key), records=records+VALUES(records), done=VALUES(done)",
		   DB_ARGS(db_text(peer), db_text(table), key == NULL ? db_null() : db_bytes(key, key_len), db_u64(records), db_u64(key == NULL)), e) &&
	    (records == 0 || db_exec(db, "UPDATE sync_startup SET records=records+? WHERE peer=?", DB_ARGS(db_u64(records), db_text(peer)), e));
}
