/* Marks of tables that moved. Lives here: the SQL of sync_drift and the sentences. Not here: noticing
 * (capture/identity), mending and comparing (sync/drift). */
#include "change/moved.h"

#include <string.h>

#include "base/log.h"

enum {
	DIRTY_ROWS = 10000 /* of sync_queue, read at once */
};

static const char *const act_name[] = { [MOVED_MINE] = "mine", [MOVED_LOOK] = "look" };

static const char sql_mark[] =
    "INSERT INTO sync_drift (peer, table_name, act, state, reason, ready) VALUES (?, ?, ?, 'compare', LEFT(?, 250), ?)"
    " ON DUPLICATE KEY UPDATE reason=IF((state='held' AND VALUES(act)='mine') OR (state='compare' AND reason='" MOVED_ANEW "'), reason, VALUES(reason)),"
    " ready=IF(state='held' AND VALUES(act)='mine', ready, VALUES(ready)),"
    " message=IF(state='held' AND VALUES(act)='mine', message, NULL), since=IF(state='held' AND VALUES(act)='mine', since, NOW(6)),"
    " state=IF(state='held' AND VALUES(act)='mine', 'held', 'compare'), act=IF(VALUES(act)='look', 'look', act)";

bool
moved_is_anew(const struct moved *m)
{
	return m->act == MOVED_LOOK && strcmp(m->reason, MOVED_ANEW) == 0;
}

bool
moved_is_new(const struct moved *m)
{
	return m->act == MOVED_LOOK && strcmp(m->reason, MOVED_NEW) == 0;
}

bool
moved_mark(struct db *db, const char *peer, const struct moved *m, bool ready, bool *news, struct err *e)
{
	uint64_t known;

	if (!db_number(db, "SELECT COUNT(*) FROM sync_drift WHERE peer=? AND table_name=? AND state<>'gone' AND (act='look' OR act=?)",
		DB_ARGS(db_text(peer), db_text(m->table), db_text(act_name[m->act])), &known, NULL, e))
		return false;
	*news = known == 0;
	return db_exec(db, sql_mark, DB_ARGS(db_text(peer), db_text(m->table), db_text(act_name[m->act]), db_text(m->reason), db_u64(ready)), e);
}

bool
moved_mark_all(struct db *db, const struct conf *conf, const char *table, enum moved_act act, const char *reason, struct err *e)
{
	for (size_t i = 0; i < conf->npeers; i++) {
		const char *peer = conf->peers[i].name;
		bool news = false;

		if (!moved_mark(db, peer, &(struct moved){ .table = table, .act = act, .reason = reason }, false, &news, e))
			return false;
		if (news) /* triggers that cannot be put back at once are found wrong again and again: said once */
			log_warning(peer, "table %s: %s; nothing is sent from it until it has been compared", table, reason);
	}
	return true;
}

bool
moved_mark_dirty(struct db *db, const char *peer, const char *table, bool *news, struct err *e)
{
	bool ok = db_exec(db, "INSERT IGNORE INTO sync_drift (peer, table_name, act, state, reason, ready)"
			      " VALUES (?, ?, 'mine', 'compare', 'its triggers could not tell which records were written', 1)", DB_ARGS(db_text(peer), db_text(table)), e);

	*news = ok && db_affected(db) > 0;
	return ok;
}

bool
moved_is_dirty(struct db *db, const char *peer, const char *table, bool *dirty, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(db, "SELECT IF(EXISTS (SELECT 1 FROM sync_drift WHERE peer=? AND table_name=?),"
				" EXISTS (SELECT 1 FROM sync_queue WHERE operation='dirty' AND status<>'superseded' AND table_name=?), 0)",
	    DB_ARGS(db_text(peer), db_text(table), db_text(table)), &n, NULL, e);

	*dirty = n > 0;
	return ok;
}

/* Read first: an UPDATE that searches would wait for the app's open transactions. */
bool
moved_clean(struct db *db, const char *table, uint64_t upto, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT id FROM sync_queue WHERE operation='dirty' AND status<>'superseded' AND table_name=? AND id<=?"
			  " AND NOT EXISTS (SELECT 1 FROM sync_drift d WHERE d.table_name=?) ORDER BY id LIMIT ?",
		DB_ARGS(db_text(table), db_u64(upto), db_text(table), db_u64(DIRTY_ROWS)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (!(ok = db_exec(db, "UPDATE sync_queue SET status='superseded' WHERE id=?", DB_ARGS(db_u64(db_rows_u64(rows, 0))), e)))
			break;
	db_rows_free(rows);
	return ok;
}

bool
moved_gone(struct db *db, const char *peer, const char *table, bool *news, struct err *e)
{
	uint64_t known;

	if (!db_number(db, "SELECT COUNT(*) FROM sync_drift WHERE peer=? AND table_name=? AND state='gone'", DB_ARGS(db_text(peer), db_text(table)), &known, NULL, e))
		return false;
	*news = known == 0;
	return known > 0 || db_exec(db, "INSERT INTO sync_drift (peer, table_name, act, state, reason) VALUES (?, ?, 'mine', 'gone', 'it was dropped or renamed')"
					" ON DUPLICATE KEY UPDATE state='gone', reason=VALUES(reason), since=NOW(6)", DB_ARGS(db_text(peer), db_text(table)), e);
}

bool
moved_ready(struct db *db, const char *table, struct err *e)
{
	return db_exec(db, "UPDATE sync_drift SET ready=1 WHERE table_name=?", DB_ARGS(db_text(table)), e);
}

/* --- reading --- */

#define COLUMNS "SELECT table_name, act+0, state, reason, message, since, records FROM sync_drift"
static const char sql_all[] = COLUMNS " WHERE peer=? ORDER BY table_name";
/* Not before the triggers stand: what is written meanwhile would be missed again. */
static const char sql_due[] = COLUMNS " WHERE peer=? AND ready=1 AND ((state='compare' AND message IS NULL) OR (? AND (state='compare' OR (state='held' AND reason='" MOVED_NEW "'))))"
				      " ORDER BY table_name";

static bool
visit_rows(struct db_rows *rows, moved_visitor *visit, void *arg, struct err *e)
{
	bool more = false, ok;

	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const struct moved m = {
			.table = db_rows_text(rows, 0),
			.act = db_rows_u64(rows, 1) == 1 ? MOVED_MINE : MOVED_LOOK,
			.state = db_rows_text(rows, 2),
			.reason = db_rows_text(rows, 3),
			.message = db_rows_text(rows, 4),
			.since = db_rows_text(rows, 5),
			.records = db_rows_u64(rows, 6),
		};

		if (!(ok = visit(&m, arg, e)))
			break;
	}
	db_rows_free(rows);
	return ok;
}

bool
moved_visit(struct db *db, const char *peer, moved_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;

	return db_query(db, sql_all, DB_ARGS(db_text(peer)), &rows, e) && visit_rows(rows, visit, arg, e);
}

bool
moved_visit_due(struct db *db, const char *peer, bool retry, moved_visitor *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;

	return db_query(db, sql_due, DB_ARGS(db_text(peer), db_u64(retry)), &rows, e) && visit_rows(rows, visit, arg, e);
}

bool
moved_is_due(struct db *db, const char *peer, bool retry, bool *due, struct err *e)
{
	struct db_rows *rows = NULL;
	bool ok = db_query(db, sql_due, DB_ARGS(db_text(peer), db_u64(retry)), &rows, e);

	*due = ok && db_rows_count(rows) > 0;
	db_rows_free(rows);
	return ok;
}

bool
moved_count(struct db *db, const char *peer, uint64_t *held, uint64_t *all, struct err *e)
{
	return db_number(db, "SELECT COUNT(*) FROM sync_drift WHERE peer=? AND state='held'", DB_ARGS(db_text(peer)), held, NULL, e) &&
	    db_number(db, "SELECT COUNT(*) FROM sync_drift WHERE peer=?", DB_ARGS(db_text(peer)), all, NULL, e);
}

/* --- after a comparison --- */

bool
moved_done(struct db *db, const char *peer, const struct moved *m, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_drift WHERE peer=? AND table_name=? AND since=? AND state<>'gone'",
	    DB_ARGS(db_text(peer), db_text(m->table), db_text(m->since)), e);
}

bool
moved_hold(struct db *db, const char *peer, const struct moved *m, uint64_t records, struct err *e)
{
	return db_exec(db, "UPDATE sync_drift SET state='held', message=NULL, records=? WHERE peer=? AND table_name=? AND since=? AND state='compare'",
	    DB_ARGS(db_u64(records), db_text(peer), db_text(m->table), db_text(m->since)), e);
}

bool
moved_note(struct db *db, const char *peer, const struct moved *m, const char *message, struct err *e)
{
	return db_exec(db, "UPDATE sync_drift SET message=LEFT(?, 500) WHERE peer=? AND table_name=? AND since=? AND state='compare'",
	    DB_ARGS(db_text(message), db_text(peer), db_text(m->table), db_text(m->since)), e);
}

bool
moved_again(struct db *db, const char *peer, const char *table, struct err *e)
{
	return db_exec(db, "UPDATE sync_drift SET state='compare', message=NULL, since=NOW(6) WHERE peer=? AND table_name=? AND state='held'",
	    DB_ARGS(db_text(peer), db_text(table)), e);
}

bool
moved_release(struct db *db, const char *peer, const char *table, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_drift WHERE peer=? AND table_name=? AND state<>'gone'", DB_ARGS(db_text(peer), db_text(table)), e);
}

/* --- for people --- */

void
moved_put_sentence(struct buf *out, const struct moved *m)
{
	buf_fmt(out, "table %s: %s; ", m->table, m->reason);
	if (strcmp(m->state, "gone") == 0)
		buf_str(out, "its changes wait until it is back or agent --install is run");
	else if (strcmp(m->state, "held") == 0)
		buf_fmt(out, "%llu records differ; nothing is sent from it until a person has chosen", (unsigned long long)m->records);
	else if (m->message != NULL)
		buf_fmt(out, "its changes wait: %s", m->message);
	else
		buf_str(out, "it is compared with the peer before anything more is sent from it");
}

/* A word for a shell. */
static void
put_word(struct buf *out, const char *text)
{
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == '\0') {
		buf_str(out, text);
		return;
	}
	buf_char(out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			buf_str(out, "'\\''");
		else
			buf_char(out, *text);
	}
	buf_char(out, '\'');
}

void
moved_put_choice(struct buf *out, const struct moved *m, const char *peer, const char *self, int choice, const char **what)
{
	static const char *const name[MOVED_CHOICES] = { "theirs to here", "mine to there", "compare and merge" };

	*what = name[choice];
	buf_str(out, "agent --verify --table ");
	put_word(out, m->table);
	buf_fmt(out, " --peer %s --repair", peer);
	if (choice < 2)
		buf_fmt(out, " --from %s", choice == 0 ? peer : self);
}
