/* Positions and debts. Lives here: the SQL of sync_peer, sync_cursor, sync_owed, sync_unsettled.
 * Not here: deciding what to do about them (sync/). */
#include "change/peer.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/allowance.h"

static void
set_text(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text == NULL ? "" : text);
}

/* --- sync_peer --- */

bool
peer_register(struct db *db, const char *peer, struct err *e)
{
	uint64_t there = 0;

	/* Looked for first: an INSERT waits for whoever applies a group of the peer and has these rows locked. */
	if (!db_number(db, "SELECT 1 FROM sync_cursor c JOIN sync_peer p ON p.peer=c.peer WHERE c.peer=?", DB_ARGS(db_text(peer)), &there, NULL, e))
		return false;
	if (there == 1)
		return true;
	return db_exec(db, "INSERT IGNORE INTO sync_cursor (peer) VALUES (?)", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "INSERT IGNORE INTO sync_peer (peer, acked_epoch, acked_stamp, floor_epoch, start_epoch)"
			" SELECT ?, epoch, stamp, epoch, epoch FROM sync_epoch ORDER BY epoch LIMIT 1", DB_ARGS(db_text(peer)), e);
}

bool
peer_forget(struct db *db, const char *peer, struct err *e)
{
	return allowance_forget(db, peer, e) && db_exec(db, "DELETE FROM sync_peer WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_cursor WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_owed WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_unsettled WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_drift WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_lapsed WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_link WHERE told_by=? OR (told_by='' AND other=?)", DB_ARGS(db_text(peer), db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_renewal WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_direction WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_numbering WHERE node=?", DB_ARGS(db_text(peer)), e);
}

bool
peer_reset(struct db *db, const char *peer, struct err *e)
{
	return peer_forget(db, peer, e) &&
	    db_exec(db, "INSERT INTO sync_cursor (peer) VALUES (?)", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "INSERT INTO sync_peer (peer, acked_epoch, acked_stamp, floor_epoch, start_epoch)"
			" SELECT ?, epoch, stamp, epoch, epoch FROM sync_epoch ORDER BY epoch DESC LIMIT 1", DB_ARGS(db_text(peer)), e);
}

bool
peer_load(struct db *db, const char *peer, struct peer_state *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, "SELECT incarnation, acked_epoch, acked_stamp, floor_epoch, held, start_epoch, quiet_epoch, last_success IS NULL, sent_seen IS NOT NULL,"
			  " EXISTS (SELECT 1 FROM sync_lapsed l WHERE l.peer=p.peer) FROM sync_peer p WHERE peer=?",
		 DB_ARGS(db_text(peer)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && !more)
		ok = err_set(e, ERR_DB_MISSING, "peer %s is not registered: run agent --install", peer);
	else if (ok) {
		set_text(out->incarnation, sizeof out->incarnation, db_rows_text(rows, 0));
		out->acked_epoch = db_rows_u64(rows, 1);
		set_text(out->acked_stamp, sizeof out->acked_stamp, db_rows_text(rows, 2));
		out->floor_epoch = db_rows_u64(rows, 3);
		set_text(out->held, sizeof out->held, db_rows_text(rows, 4));
		out->start_epoch = db_rows_u64(rows, 5);
		out->quiet_epoch = db_rows_u64(rows, 6);
		out->fresh = db_rows_u64(rows, 7) != 0;
		out->unanswered = db_rows_u64(rows, 8) != 0;
		out->lapsed = db_rows_u64(rows, 9) != 0;
	}
	db_rows_free(rows);
	return ok;
}

bool
peer_met(struct db *db, const char *peer, const char *incarnation, int64_t skew_ms, struct err *e)
{
	char skew[24];

	(void)snprintf(skew, sizeof skew, "%lld", (long long)skew_ms);
	return db_exec(db, "UPDATE sync_peer SET incarnation=?, clock_skew_ms=? WHERE peer=?",
	    DB_ARGS(db_text(incarnation), db_text(skew), db_text(peer)), e);
}

bool
peer_hold(struct db *db, const char *peer, const char *reason, struct err *e)
{
	return db_exec(db, "UPDATE sync_peer SET held=NULLIF(LEFT(?,500),'') WHERE peer=?", DB_ARGS(db_text(reason), db_text(peer)), e);
}

bool
peer_failed(struct db *db, const char *peer, const char *message, struct err *e)
{
	return db_exec(db, "UPDATE sync_peer SET last_error=LEFT(?,500), last_error_at=NOW(6), failures=failures+1 WHERE peer=?",
	    DB_ARGS(db_text(message), db_text(peer)), e);
}

bool
peer_works(struct db *db, const char *peer, struct err *e)
{
	return db_exec(db, "UPDATE sync_peer SET last_error=NULL, failures=0 WHERE peer=?", DB_ARGS(db_text(peer)), e);
}

/* --- sync_cursor --- */

bool
cursor_load(struct db *db, const char *peer, bool for_update, struct cursor_state *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, for_update ? "SELECT incarnation, epoch, stamp FROM sync_cursor WHERE peer=? FOR UPDATE" :
				       "SELECT incarnation, epoch, stamp FROM sync_cursor WHERE peer=?",
		 DB_ARGS(db_text(peer)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && !more)
		ok = err_set(e, ERR_DB_MISSING, "peer %s is not registered: run agent --install", peer);
	else if (ok) {
		set_text(out->incarnation, sizeof out->incarnation, db_rows_text(rows, 0));
		out->epoch = db_rows_u64(rows, 1);
		set_text(out->stamp, sizeof out->stamp, db_rows_text(rows, 2));
	}
	db_rows_free(rows);
	return ok;
}

bool
cursor_lock_all(struct db *db, struct err *e)
{
	struct db_rows *rows = NULL;
	bool ok = db_query(db, "SELECT peer FROM sync_cursor FOR UPDATE", DB_NO_ARGS, &rows, e);

	db_rows_free(rows);
	return ok;
}

bool
cursor_answer(struct db *db, const char *peer, struct buf *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, "SELECT answer FROM sync_cursor WHERE peer=?", DB_ARGS(db_text(peer)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more && db_rows_text(rows, 0) != NULL)
		buf_put(out, db_rows_text(rows, 0), db_rows_len(rows, 0));
	db_rows_free(rows);
	return ok && buf_check(out, "a kept answer", e);
}

bool
cursor_floor(struct db *db, const char *peer, uint64_t *floor, struct err *e)
{
	return db_number(db, "SELECT LEAST(c.epoch, IFNULL(p.sent_seen, c.epoch),"
			     " IFNULL((SELECT MIN(seen_before) FROM sync_unsettled u WHERE u.peer=c.peer), c.epoch))"
			     " FROM sync_cursor c JOIN sync_peer p ON p.peer=c.peer WHERE c.peer=?",
	    DB_ARGS(db_text(peer)), floor, NULL, e);
}

/* --- owed and unsettled --- */

bool
peer_record_hash(const char *table, const char *key, size_t key_len, unsigned char out[PEER_HASH_BYTES], struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, table, strlen(table) + 1) == 1 && EVP_DigestUpdate(ctx, key, key_len) == 1 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok || err_set(e, ERR_INTERNAL, "MD5 is not available in this OpenSSL");
}

static void
take_owed(const struct db_rows *rows, struct owed *o)
{
	*o = (struct owed){
		.table = db_rows_text(rows, 0),
		.key = db_rows_text(rows, 1),
		.key_len = db_rows_len(rows, 1),
		.state = db_rows_text(rows, 2),
		.attempts = (unsigned)db_rows_u64(rows, 3),
		.last_error = db_rows_text(rows, 4),
		.last_id = db_rows_u64(rows, 5),
		.first = (enum operation)db_rows_u64(rows, 6),
		.changed_at = db_rows_text(rows, 7),
		.origin = db_rows_text(rows, 8),
		.via = db_rows_text(rows, 9),
		.whole = db_rows_u64(rows, 10) != 0,
		.link = db_rows_u64(rows, 11),
		.sent_epoch = db_rows_u64(rows, 12),
		.queue_ids = db_rows_text(rows, 13),
	};
}

bool
owed_visit(struct db *db, const char *peer, owed_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT table_name, record_id, state, attempts, last_error, last_id, first_operation+0, changed_at,"
			  " origin, via, whole, link, sent_epoch, queue_ids FROM sync_owed WHERE peer=? ORDER BY last_id",
		DB_ARGS(db_text(peer)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct owed o;

		take_owed(rows, &o);
		if (!(ok = visit(&o, arg, e)))
			break;
	}
	db_rows_free(rows);
	return ok;
}

static const char sql_removed[] =
    "SELECT DISTINCT o.table_name FROM sync_owed o JOIN sync_queue q ON q.id=o.last_id"
    " WHERE o.peer=? AND o.state<>'discarded' AND (q.operation='delete' OR o.link IS NOT NULL)";

bool
owed_visit_removed(struct db *db, const char *peer, table_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, sql_removed, DB_ARGS(db_text(peer)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = visit(db_rows_text(rows, 0), arg, e);
	db_rows_free(rows);
	return ok;
}

bool
owed_count(struct db *db, const char *peer, const char *state, uint64_t *out, struct err *e)
{
	return db_number(db, "SELECT COUNT(*) FROM sync_owed WHERE peer=? AND state=?", DB_ARGS(db_text(peer), db_text(state)), out, NULL, e);
}

static bool
visit_epochs(struct db *db, const char *sql, const char *peer, unsettled_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(db, sql, DB_ARGS(db_text(peer)), &rows, e);

	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = visit(db_rows_text(rows, 0), db_rows_text(rows, 1), db_rows_len(rows, 1), db_rows_u64(rows, 2), arg, e);
	db_rows_free(rows);
	return ok;
}

bool
unsettled_visit(struct db *db, const char *peer, unsettled_visitor *visit, void *arg, struct err *e)
{
	return visit_epochs(db, "SELECT table_name, record_id, seen_before FROM sync_unsettled WHERE peer=?", peer, visit, arg, e);
}

/* The newest mark before the change: few steps back, since what is owed is young. */
static const char sql_left[] =
    "SELECT o.table_name, q.record_id, (SELECT m.epoch FROM sync_epoch m WHERE m.high_id<o.link ORDER BY m.epoch DESC LIMIT 1) AS epoch"
    " FROM sync_owed o JOIN sync_queue q ON q.id=o.link AND q.table_name=o.table_name WHERE o.peer=? AND o.state<>'discarded' HAVING epoch IS NOT NULL";

bool
owed_visit_left(struct db *db, const char *peer, unsettled_visitor *visit, void *arg, struct err *e)
{
	return visit_epochs(db, sql_left, peer, visit, arg, e);
}

/* --- over all peers --- */

/* The age of what waits is that of the first mark that the peer has not: the server's time, not that of a change, which
 * may have come late from elsewhere. */
static const char sql_lapsed[] =
    "SELECT p.peer FROM sync_peer p WHERE p.peer NOT IN (SELECT peer FROM sync_lapsed)"
    " AND (SELECT e.marked_at FROM sync_epoch e WHERE e.epoch>GREATEST(p.acked_epoch, p.quiet_epoch) ORDER BY e.epoch LIMIT 1) < NOW(6) - INTERVAL ? DAY";

bool
peer_find_lapsed(struct db *db, unsigned days, peer_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_lapsed, DB_ARGS(db_u64(days)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (!(ok = visit(db_rows_text(rows, 0), arg, e)))
			break;
	db_rows_free(rows);
	return ok;
}

bool
peer_lapse(struct db *db, const char *peer, const char *reason, struct err *e)
{
	return db_begin(db, e) && db_exec(db, "INSERT IGNORE INTO sync_lapsed (peer) VALUES (?)", DB_ARGS(db_text(peer)), e) && peer_hold(db, peer, reason, e) && db_commit(db, e);
}

bool
peer_quiet(struct db *db, const char *peer, uint64_t epoch, struct err *e)
{
	return db_exec(db, "UPDATE sync_peer SET quiet_epoch=? WHERE peer=? AND quiet_epoch<?", DB_ARGS(db_u64(epoch), db_text(peer), db_u64(epoch)), e);
}

bool
peer_all_have(struct db *db, uint64_t *epoch, struct err *e)
{
	/* Where all have lapsed, nobody is left who needs anything. */
	return db_number(db, "SELECT IFNULL((SELECT MIN(GREATEST(acked_epoch, quiet_epoch)) FROM sync_peer WHERE peer NOT IN (SELECT peer FROM sync_lapsed)),"
			     " (SELECT MAX(epoch) FROM sync_epoch WHERE EXISTS (SELECT 1 FROM sync_lapsed)))", DB_NO_ARGS, epoch, NULL, e);
}

/* A peer judges by what its groups state as seen (floor). Where that has reached what was acknowledged, the
 * changes behind it that came from the peer itself are of no use to it. */
uint64_t
peer_rows_from(const struct peer_state *s)
{
	if (s->floor_epoch < s->acked_epoch)
		return s->floor_epoch;
	return s->quiet_epoch > s->acked_epoch ? s->quiet_epoch : s->acked_epoch;
}

uint64_t
peer_marks_from(const struct peer_state *s)
{
	return s->floor_epoch < s->acked_epoch ? s->floor_epoch : s->acked_epoch;
}

/* The lowest of all peers, and not above what is settled. */
static bool
needed_from(struct db *db, uint64_t (*from)(const struct peer_state *), uint64_t *epoch, struct err *e)
{
	struct db_rows *rows = NULL;
	uint64_t peers = 0;
	bool more = false, ok;

	ok = db_number(db, "SELECT settled_epoch FROM sync_node", DB_NO_ARGS, epoch, NULL, e) &&
	    db_number(db, "SELECT COUNT(*) FROM sync_peer", DB_NO_ARGS, &peers, NULL, e) &&
	    db_query(db, "SELECT acked_epoch, floor_epoch, quiet_epoch FROM sync_peer WHERE peer NOT IN (SELECT peer FROM sync_lapsed)", DB_NO_ARGS, &rows, e);
	if (ok && peers == 0)
		*epoch = 0;
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct peer_state s = { .acked_epoch = db_rows_u64(rows, 0), .floor_epoch = db_rows_u64(rows, 1), .quiet_epoch = db_rows_u64(rows, 2) };

		if (from(&s) < *epoch)
			*epoch = from(&s);
	}
	db_rows_free(rows);
	return ok;
}

bool
peer_rows_needed_from(struct db *db, uint64_t *epoch, struct err *e)
{
	return needed_from(db, peer_rows_from, epoch, e);
}

bool
peer_marks_needed_from(struct db *db, uint64_t *epoch, struct err *e)
{
	return needed_from(db, peer_marks_from, epoch, e);
}
