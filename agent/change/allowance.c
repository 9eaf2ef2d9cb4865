/* Counting deletions. Lives here: the rule of max_delete and its SQL. Not here: which records a group takes away
 * (sync/group, apply/pass), what a held link means (sync/link). */
#include "change/allowance.h"

#include <stdio.h>
#include <string.h>

#include "capture/template.h"

enum {
	TIDY_ROWS = 200 /* old rows removed with one group: its transaction stays short */
};

static const char *const side_name[] = { "sent", "applied" };

/* --- the rule --- */

uint64_t
allowance_bound(const struct conf_limit *limit, uint64_t lost)
{
	uint64_t bound;

	if (limit->rows == 0 || lost > limit->rows || limit->percent >= 100)
		return 0;
	bound = lost * 100 / limit->percent;
	return (bound > ALLOWANCE_SMALL ? bound : ALLOWANCE_SMALL) + 1;
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
count_records(const struct allowance *a, const char *table, uint64_t bound, uint64_t *now, struct err *e)
{
	struct buf sql;
	bool ok;

	*now = 0;
	if (bound == 0)
		return true;
	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT COUNT(*) FROM (SELECT 1 FROM ");
	template_table(&sql, a->conf->database.name, table);
	buf_fmt(&sql, " LIMIT %llu) some", (unsigned long long)bound);
	ok = buf_check(&sql, "a statement", e) && db_number(a->db, buf_cstr(&sql), DB_NO_ARGS, now, NULL, e);
	buf_free(&sql);
	return ok;
}

static const char sql_window[] =
    "SELECT IFNULL(SUM(records), 0), IFNULL(MAX(had), 0), IFNULL(MIN(had)=0, 0) FROM sync_deletion"
    " WHERE peer=? AND direction=? AND table_name=? AND epoch<=?"
    " AND happened_at > GREATEST(NOW(6) - INTERVAL ? SECOND, IFNULL((SELECT allowed_at FROM sync_allowance a WHERE a.peer=?), '2000-01-01'))";

/* What is known of a table's last hour. */
struct window {
	uint64_t lost; /* this group's among them */
	uint64_t had;  /* the most it had, as far as it was counted */
	bool many;     /* before one of the groups it had more than mattered then, and was not counted on */
};

static bool
read_window(const struct allowance *a, const struct allowance_loss *loss, struct window *w, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(w, 0, sizeof *w);
	ok = db_query(a->db, sql_window, DB_ARGS(db_text(a->peer), db_text(side_name[a->side]), db_text(loss->table), db_u64(a->base), db_u64(ALLOWANCE_WINDOW_S),
		db_text(a->peer)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		*w = (struct window){ db_rows_u64(rows, 0), db_rows_u64(rows, 1), db_rows_u64(rows, 2) != 0 };
	w->lost += loss->records;
	db_rows_free(rows);
	return ok;
}

static bool
note_loss(const struct allowance *a, const struct allowance_loss *loss, uint64_t had, struct err *e)
{
	return db_exec(a->db, "INSERT INTO sync_deletion (peer, direction, epoch, table_name, records, had, happened_at) VALUES (?, ?, ?, ?, ?, ?, NOW(6))"
			      " ON DUPLICATE KEY UPDATE records=VALUES(records), had=VALUES(had), happened_at=VALUES(happened_at)",
	    DB_ARGS(db_text(a->peer), db_text(side_name[a->side]), db_u64(a->epoch), db_text(loss->table), db_u64(loss->records), db_u64(had)), e);
}

/* The most that the table had within the hour. A table in which rows come and go all the time has no more than
 * that; where it was not counted, what it lost is added to what is left. */
static uint64_t
most_of(const struct window *w, uint64_t now, uint64_t records)
{
	uint64_t had = now + (w->many ? w->lost : records);

	return had > w->had ? had : w->had;
}

static bool
explain(const struct allowance *a, const struct allowance_loss *loss, const struct window *w, const struct conf_limit *limit, char *reason, struct err *e)
{
	struct window shown = *w;
	uint64_t now;

	if (!count_records(a, loss->table, ALLOWANCE_SHOWN, &now, e))
		return false;
	shown.many = w->many || w->lost > limit->rows || limit->percent >= 100; /* not counted before */
	(void)snprintf(reason, ALLOWANCE_TEXT_MAX, "table %s would lose %llu of its %s%llu records within an hour (max_delete is %u%%, %u)", loss->table,
	    (unsigned long long)w->lost, now < ALLOWANCE_SHOWN ? "" : "more than ", (unsigned long long)most_of(&shown, now, loss->records), limit->percent, limit->rows);
	return true;
}

static bool
judge_loss(const struct allowance *a, const struct allowance_loss *loss, char *reason, struct err *e)
{
	struct conf_limit limit;
	struct window w;
	uint64_t bound, now;
	bool all; /* all records were counted */

	conf_max_delete(a->conf, loss->table, &limit);
	if (limit.rows == 0)
		return true;
	if (!read_window(a, loss, &w, e))
		return false;
	bound = allowance_bound(&limit, w.lost);
	if (!count_records(a, loss->table, bound, &now, e))
		return false;
	all = now < bound && !a->part;
	w.many = w.many || !all;
	if (!note_loss(a, loss, all ? now + loss->records : 0, e))
		return false;
	if (reason[0] != '\0' || !allowance_exceeds(&limit, w.lost, most_of(&w, now, loss->records)))
		return true;
	return explain(a, loss, &w, &limit, reason, e);
}

bool
allowance_check(const struct allowance *a, const struct allowance_loss *losses, size_t n, char reason[ALLOWANCE_TEXT_MAX], struct err *e)
{
	reason[0] = '\0';
	if (n > 0 && !allowance_tidy(a, e))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!judge_loss(a, &losses[i], reason, e))
			return false;
	return true;
}

/* Found without locks and removed by their whole keys: the sender's transaction is REPEATABLE READ, where a range
 * would lock the gaps that other peers and the applying side insert into. */
bool
allowance_tidy(const struct allowance *a, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(a->db, "SELECT epoch, table_name FROM sync_deletion WHERE peer=? AND direction=? AND (epoch>? OR happened_at < NOW(6) - INTERVAL ? SECOND)"
			     " ORDER BY epoch DESC LIMIT ?",
		DB_ARGS(db_text(a->peer), db_text(side_name[a->side]), db_u64(a->base), db_u64(ALLOWANCE_WINDOW_S), db_u64(TIDY_ROWS)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (!(ok = db_exec(a->db, "DELETE FROM sync_deletion WHERE peer=? AND direction=? AND epoch=? AND table_name=?",
			DB_ARGS(db_text(a->peer), db_text(side_name[a->side]), db_u64(db_rows_u64(rows, 0)), db_text(db_rows_text(rows, 1))), e)))
			break;
	db_rows_free(rows);
	return ok;
}

/* --- a person's yes --- */

bool
allowance_covered(struct db *db, const char *peer, uint64_t *upto_id, struct err *e)
{
	return db_number(db, "SELECT allowed_id FROM sync_allowance WHERE peer=?", DB_ARGS(db_text(peer)), upto_id, NULL, e);
}

bool
allowance_cover(struct db *db, const char *peer, uint64_t upto_id, struct err *e)
{
	return db_exec(db, "UPDATE sync_allowance SET allowed_id=GREATEST(allowed_id, ?) WHERE peer=?", DB_ARGS(db_u64(upto_id), db_text(peer)), e);
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
allowance_applied(struct db *db, const char *peer, bool last, struct err *e)
{
	return db_exec(db, "UPDATE sync_allowance SET waiting=NULL, allowed_at=IF(? AND granted_at IS NOT NULL, NOW(6), allowed_at),"
			   " granted_at=IF(?, NULL, granted_at) WHERE peer=?", DB_ARGS(db_u64(last), db_u64(last), db_text(peer)), e);
}

bool
allowance_is_quiet(struct db *db, bool *quiet, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(db, "SELECT 1 FROM sync_allowance WHERE waiting IS NOT NULL OR granted_at IS NOT NULL LIMIT 1", DB_NO_ARGS, &n, NULL, e);

	*quiet = n == 0;
	return ok;
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
