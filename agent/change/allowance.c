/* Counting deletions. Lives here: the rule of max_delete and its SQL. Not here: which records a group takes away
 * (sync/group, apply/pass), what a held link means (sync/link). */
#include "change/allowance.h"

#include <stdio.h>
#include <string.h>

#include "capture/template.h"

static const char *const side_name[] = { "sent", "applied" };

/* --- the rule --- */

uint64_t
allowance_bound(const struct conf_limit *limit)
{
	uint64_t bound = (uint64_t)limit->rows * 100 / limit->percent;

	return bound > ALLOWANCE_SMALL ? bound : ALLOWANCE_SMALL + 1;
}

bool
allowance_exceeds(const struct conf_limit *limit, uint64_t lost, uint64_t had)
{
	if (limit->rows == 0 || lost == 0)
		return false; /* switched off */
	return lost > limit->rows || (had > ALLOWANCE_SMALL && lost * 100 > had * limit->percent);
}

/* --- counting --- */

/* Records of the table now, but no more than bound. */
static bool
count_records(struct db *db, const struct conf *conf, const char *table, uint64_t bound, uint64_t *now, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT COUNT(*) FROM (SELECT 1 FROM ");
	template_table(&sql, conf->database.name, table);
	buf_fmt(&sql, " LIMIT %llu) some", (unsigned long long)bound);
	ok = buf_check(&sql, "a statement", e) && db_number(db, buf_cstr(&sql), DB_NO_ARGS, now, NULL, e);
	buf_free(&sql);
	return ok;
}

static const char sql_window[] =
    "SELECT IFNULL(SUM(records), 0), IFNULL(MAX(had), 0) FROM sync_deletion WHERE peer=? AND direction=? AND table_name=?"
    " AND happened_at > GREATEST(NOW(6) - INTERVAL ? SECOND, IFNULL((SELECT allowed_at FROM sync_allowance a WHERE a.peer=?), '2000-01-01'))";

/* One group's losses of one table against its limit. */
struct judgement {
	struct db *db;
	const struct conf *conf;
	const char *peer;
	enum allowance_side side;
	uint64_t epoch;
};

/* What the window holds so far; *had becomes the most that the table had in it. */
static bool
read_window(const struct judgement *j, const char *table, uint64_t *lost, uint64_t *had, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(j->db, sql_window, DB_ARGS(db_text(j->peer), db_text(side_name[j->side]), db_text(table), db_u64(ALLOWANCE_WINDOW_S), db_text(j->peer)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok && more) {
		*lost += db_rows_u64(rows, 0);
		*had = db_rows_u64(rows, 1) > *had ? db_rows_u64(rows, 1) : *had;
	}
	db_rows_free(rows);
	return ok;
}

static bool
note_loss(const struct judgement *j, const struct allowance_loss *loss, uint64_t had, struct err *e)
{
	return db_exec(j->db, "INSERT INTO sync_deletion (peer, direction, epoch, table_name, records, had, happened_at) VALUES (?, ?, ?, ?, ?, ?, NOW(6))",
	    DB_ARGS(db_text(j->peer), db_text(side_name[j->side]), db_u64(j->epoch), db_text(loss->table), db_u64(loss->records), db_u64(had)), e);
}

static bool
judge_loss(const struct judgement *j, const struct allowance_loss *loss, char reason[ALLOWANCE_TEXT_MAX], struct err *e)
{
	uint64_t lost = loss->records, had, most, now = 0;
	struct conf_limit limit;

	conf_max_delete(j->conf, loss->table, &limit);
	if (limit.rows == 0)
		return true;
	if (!count_records(j->db, j->conf, loss->table, allowance_bound(&limit), &now, e))
		return false;
	most = had = now + loss->records;
	/* The most that it had within the hour: a table in which rows come and go all the time has no more than that. */
	if (!read_window(j, loss->table, &lost, &most, e) || !note_loss(j, loss, had, e))
		return false;
	if (allowance_exceeds(&limit, lost, most) && reason[0] == '\0')
		(void)snprintf(reason, ALLOWANCE_TEXT_MAX, "table %s would lose %llu of its %s%llu records within an hour (max_delete is %u%%, %u)", loss->table,
		    (unsigned long long)lost, now < allowance_bound(&limit) ? "" : "more than ", (unsigned long long)most, limit.percent, limit.rows);
	return true;
}

bool
allowance_check(struct db *db, const struct conf *conf, const char *peer, enum allowance_side side, uint64_t base, uint64_t epoch,
    const struct allowance_loss *losses, size_t n, char reason[ALLOWANCE_TEXT_MAX], struct err *e)
{
	const struct judgement j = { db, conf, peer, side, epoch };

	reason[0] = '\0';
	if (n == 0)
		return true;
	if (!db_exec(db, "DELETE FROM sync_deletion WHERE peer=? AND direction=? AND (epoch>? OR happened_at < NOW(6) - INTERVAL ? SECOND)",
		DB_ARGS(db_text(peer), db_text(side_name[side]), db_u64(base), db_u64(ALLOWANCE_WINDOW_S)), e))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!judge_loss(&j, &losses[i], reason, e))
			return false;
	return true;
}

/* --- a person's yes --- */

bool
allowance_covered(struct db *db, const char *peer, uint64_t *upto_id, struct err *e)
{
	return db_number(db, "SELECT allowed_id FROM sync_allowance WHERE peer=?", DB_ARGS(db_text(peer)), upto_id, NULL, e);
}

bool
allowance_granted(struct db *db, const char *peer, bool *granted, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(db, "SELECT 1 FROM sync_allowance WHERE peer=? AND granted_at > NOW(6) - INTERVAL ? SECOND", DB_ARGS(db_text(peer), db_u64(ALLOWANCE_GRANT_S)), &n,
	    NULL, e);

	*granted = n != 0;
	return ok;
}

bool
allowance_applied(struct db *db, const char *peer, bool used, struct err *e)
{
	return db_exec(db, "UPDATE sync_allowance SET waiting=NULL, allowed_at=IF(?, NOW(6), allowed_at), granted_at=IF(?, NULL, granted_at)"
			   " WHERE peer=? AND (waiting IS NOT NULL OR granted_at IS NOT NULL)", DB_ARGS(db_u64(used), db_u64(used), db_text(peer)), e);
}

bool
allowance_wait(struct db *db, const char *peer, const char *reason, struct err *e)
{
	return db_exec(db, "INSERT INTO sync_allowance (peer, waiting) VALUES (?, LEFT(?, 500)) ON DUPLICATE KEY UPDATE waiting=VALUES(waiting)",
	    DB_ARGS(db_text(peer), db_text(reason)), e);
}

bool
allowance_waiting(struct db *db, const char *peer, char out[ALLOWANCE_TEXT_MAX], struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	out[0] = '\0';
	ok = db_query(db, "SELECT waiting FROM sync_allowance WHERE peer=? AND waiting IS NOT NULL", DB_ARGS(db_text(peer)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		(void)snprintf(out, ALLOWANCE_TEXT_MAX, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

bool
allowance_allow(struct db *db, const char *peer, struct err *e)
{
	return db_exec(db, "INSERT IGNORE INTO sync_allowance (peer) VALUES (?)", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "UPDATE sync_allowance SET granted_at=IF(waiting IS NULL, granted_at, NOW(6)), waiting=NULL, allowed_at=NOW(6),"
			" allowed_id=(SELECT IFNULL(MAX(id), 0) FROM sync_queue) WHERE peer=?", DB_ARGS(db_text(peer)), e);
}

bool
allowance_forget(struct db *db, const char *peer, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_allowance WHERE peer=?", DB_ARGS(db_text(peer)), e) &&
	    db_exec(db, "DELETE FROM sync_deletion WHERE peer=?", DB_ARGS(db_text(peer)), e);
}
