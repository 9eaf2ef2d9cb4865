/* Counting deletions. Lives here: the rule of max_delete and its SQL. Not here: which records a group takes away
 * (sync/group, apply/pass), what a held link means (sync/link). */
#include "change/allowance.h"

#include <stdio.h>
#include <string.h>

#include "capture/template.h"

static const char *const side_name[] = { "sent", "applied" };

/* --- the rule --- */

uint64_t
allowance_enough(const struct conf_limit *limit, uint64_t lost)
{
	uint64_t kept_percent = 100 - limit->percent;

	/* lost is a smaller part than percent of (now + lost); no multiplication can overflow: lost <= 2^32. */
	return limit->percent == 0 || limit->percent >= 100 ? 0 : (lost * kept_percent + limit->percent - 1) / limit->percent;
}

bool
allowance_exceeds(const struct conf_limit *limit, uint64_t lost, uint64_t now)
{
	if (limit->rows == 0 || lost == 0)
		return false; /* switched off */
	if (lost > limit->rows)
		return true;
	return now + lost > ALLOWANCE_SMALL && now < allowance_enough(limit, lost);
}

/* --- counting --- */

/* Records of the table now, but no more than most: only whether there are enough matters. */
static bool
count_records(struct db *db, const struct conf *conf, const char *table, uint64_t most, uint64_t *now, struct err *e)
{
	struct buf sql;
	bool ok;

	*now = 0;
	if (most == 0)
		return true;
	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT COUNT(*) FROM (SELECT 1 FROM ");
	template_table(&sql, conf->database.name, table);
	buf_fmt(&sql, " LIMIT %llu) some", (unsigned long long)most);
	ok = buf_check(&sql, "a statement", e) && db_number(db, buf_cstr(&sql), DB_NO_ARGS, now, NULL, e);
	buf_free(&sql);
	return ok;
}

static const char sql_window[] =
    "SELECT IFNULL(SUM(records), 0) FROM sync_deletion WHERE peer=? AND direction=? AND table_name=?"
    " AND happened_at > GREATEST(NOW(6) - INTERVAL ? SECOND, IFNULL((SELECT allowed_at FROM sync_allowance a WHERE a.peer=?), '2000-01-01'))";

static bool
judge_loss(struct db *db, const struct conf *conf, const char *peer, enum allowance_side side, const struct allowance_loss *loss, char reason[ALLOWANCE_TEXT_MAX],
    struct err *e)
{
	struct conf_limit limit;
	uint64_t before = 0, lost, now, enough;

	conf_max_delete(conf, loss->table, &limit);
	if (limit.rows == 0)
		return true;
	if (!db_number(db, sql_window, DB_ARGS(db_text(peer), db_text(side_name[side]), db_text(loss->table), db_u64(ALLOWANCE_WINDOW_S), db_text(peer)), &before, NULL, e))
		return false;
	lost = before + loss->records;
	enough = lost > limit.rows ? 0 : allowance_enough(&limit, lost);
	/* One more than a small table has, so that a small one is told from one that lost nearly everything. */
	if (!count_records(db, conf, loss->table, enough > ALLOWANCE_SMALL ? enough : ALLOWANCE_SMALL + 1, &now, e))
		return false;
	if (allowance_exceeds(&limit, lost, now))
		(void)snprintf(reason, ALLOWANCE_TEXT_MAX, "table %s would lose %llu records within an hour (it would have %llu%s left; max_delete is %u%%, %u)", loss->table,
		    (unsigned long long)lost, (unsigned long long)now, lost > limit.rows && now > ALLOWANCE_SMALL ? " or more" : "", limit.percent, limit.rows);
	return true;
}

static bool
note_loss(struct db *db, const char *peer, enum allowance_side side, uint64_t epoch, const struct allowance_loss *loss, struct err *e)
{
	return db_exec(db, "INSERT INTO sync_deletion (peer, direction, epoch, table_name, records, happened_at) VALUES (?, ?, ?, ?, ?, NOW(6))"
			   " ON DUPLICATE KEY UPDATE records=VALUES(records), happened_at=VALUES(happened_at)",
	    DB_ARGS(db_text(peer), db_text(side_name[side]), db_u64(epoch), db_text(loss->table), db_u64(loss->records)), e);
}

bool
allowance_check(struct db *db, const struct conf *conf, const char *peer, enum allowance_side side, uint64_t base, uint64_t epoch,
    const struct allowance_loss *losses, size_t n, char reason[ALLOWANCE_TEXT_MAX], struct err *e)
{
	reason[0] = '\0';
	if (n == 0)
		return true;
	if (!db_exec(db, "DELETE FROM sync_deletion WHERE peer=? AND direction=? AND (epoch>? OR happened_at < NOW(6) - INTERVAL ? SECOND)",
		DB_ARGS(db_text(peer), db_text(side_name[side]), db_u64(base), db_u64(ALLOWANCE_WINDOW_S)), e))
		return false;
	for (size_t i = 0; i < n && reason[0] == '\0'; i++)
		if (!judge_loss(db, conf, peer, side, &losses[i], reason, e))
			return false;
	for (size_t i = 0; i < n; i++)
		if (!note_loss(db, peer, side, epoch, &losses[i], e))
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
