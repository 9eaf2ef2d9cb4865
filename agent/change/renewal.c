/* Beginning anew. Lives here: the SQL of sync_renewal and sync_witness. Not here: telling the peer (sync/link,
 * sync/receive), comparing (sync/drift). */
#include "change/renewal.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "change/moved.h"
#include "change/queue.h"

enum {
	RENEWAL_TRIES = 5, /* another agent made the same epoch, or applies just now */
	BORN_BYTES = 1024 * 1024, /* of one INSERT; a server takes 16 MiB if nobody has set it lower */
	WITNESS_TEXT_MAX = 160, /* two names of tables and a few words */
	DEFINER_IS_GONE = 1449	/* the account that installed was dropped */
};

/* In the place of an id, which is longer: the peer left. */
static const char left_mark[] = "left";

bool
renewal_load(struct db *db, const char *peer, struct renewal *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, "SELECT renewal, told FROM sync_renewal WHERE peer=?", DB_ARGS(db_text(peer)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more) {
		(void)snprintf(out->id, sizeof out->id, "%s", db_rows_text(rows, 0));
		out->told = db_rows_u64(rows, 1) != 0;
		out->needed = out->id[0] == '\0';
		out->left = strcmp(out->id, left_mark) == 0;
		if (out->left) /* no beginning that anybody could name */
			out->id[0] = '\0';
	}
	db_rows_free(rows);
	return ok;
}

bool
renewal_told(struct db *db, const char *peer, const char *id, struct err *e)
{
	return db_exec(db, "UPDATE sync_renewal SET told=1 WHERE peer=? AND renewal=?", DB_ARGS(db_text(peer), db_text(id)), e);
}

/* --- beginning --- */

/* A mark of all that is visible: what was captured before the beginning is the comparison's, not a group's. */
static bool
mark_all_seen(struct db *db, struct err *e)
{
	struct mark last = { 0 }, next = { 0 };
	bool grew = false;
	bool ok = queue_last_mark(db, &last, e) && queue_next_mark(db, &last, &next, &grew, e) && (!grew || queue_store_mark(db, &next, e));

	mark_free(&last);
	mark_free(&next);
	return ok;
}

static bool
mark_tables(struct db *db, const struct catalog *c, const char *peer, struct err *e)
{
	const struct table *t;
	bool news;

	for (size_t i = 0; c != NULL && i < c->ntables; i++) {
		t = &c->tables[i];
		if (t->problem == NULL && !moved_mark(db, peer, &(struct moved){ .table = t->name, .act = MOVED_LOOK, .reason = MOVED_ANEW }, true, &news, e))
			return false;
	}
	return true;
}

/* --- rows that the peer has never had --- */

/* Rows of tables whose keys the server numbers, made here since the peer acknowledged anything, that are still here: a
 * node that went back gives numbers once more, and the peer may have other rows under them. They are told again as
 * what they are, with their version, behind the mark: so they arrive as inserts, which never overwrite another row. */
static const char sql_born[] =
    "SELECT f.table_name, f.record_id, IFNULL(l.origin, (SELECT name FROM sync_node)), l.changed_at"
    " FROM (SELECT MIN(q.id) AS first_id, MAX(q.id) AS last_id FROM sync_queue q FORCE INDEX (PRIMARY)"
    "  WHERE q.id > (SELECT m.high_id FROM sync_peer p JOIN sync_epoch m ON m.epoch=p.acked_epoch WHERE p.peer=?)"
    "  AND q.record_id IS NOT NULL AND q.status<>'superseded' AND q.table_name IN (";
static const char sql_born_end[] =
    ") GROUP BY q.table_name, q.record_id) g JOIN sync_queue f ON f.id=g.first_id JOIN sync_queue l ON l.id=g.last_id"
    " WHERE f.operation='insert' AND f.link IS NULL AND f.whole=0 AND l.operation<>'delete' AND (f.via IS NULL OR f.via<>?)";

/* And those that the peer has refused: it has acknowledged the refusal, not the row. */
static const char sql_born_refused[] =
    " UNION SELECT o.table_name, o.record_id, IFNULL(o.origin, (SELECT name FROM sync_node)), o.changed_at FROM sync_owed o"
    " WHERE o.peer=? AND o.first_operation='insert' AND o.link IS NULL AND o.whole=0 AND o.table_name IN (";

/* The tables' names, quoted; false: there are none. */
static bool
put_numbered(struct db *db, const struct catalog *c, struct buf *sql)
{
	size_t before = sql->len;

	for (size_t i = 0; c != NULL && i < c->ntables; i++) { /* a startup compares all rows itself */
		const struct table *t = &c->tables[i];

		if (!t->auto_increment || t->problem != NULL)
			continue;
		buf_str(sql, sql->len == before ? "" : ",");
		db_quote(db, sql, t->name, strlen(t->name));
	}
	return sql->len > before;
}

static bool
flush_born(struct db *db, struct buf *sql, struct err *e)
{
	bool ok = sql->len == 0 || (buf_check(sql, "rows that are told again", e) && db_exec_text(db, sql->data, sql->len, e));

	buf_reset(sql);
	return ok;
}

/* Read first and written then: one statement would lock the queue's end, and the app's writes with it. */
static bool
write_born(struct db *db, struct db_rows *rows, struct err *e)
{
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, BORN_BYTES * 2);
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		buf_str(&sql, sql.len == 0 ? "INSERT INTO sync_queue (id, table_name, operation, record_id, origin, changed_at) VALUES " : ",");
		buf_str(&sql, "(NEXTVAL(sync_sequence),");
		db_quote(db, &sql, db_rows_text(rows, 0), db_rows_len(rows, 0));
		buf_str(&sql, ",'insert',x'");
		buf_hex(&sql, db_rows_text(rows, 1), db_rows_len(rows, 1));
		buf_fmt(&sql, "','%s','%s')", db_rows_text(rows, 2), db_rows_text(rows, 3));
		if (sql.len > BORN_BYTES && !(ok = flush_born(db, &sql, e)))
			break;
	}
	ok = ok && flush_born(db, &sql, e);
	buf_free(&sql);
	return ok;
}

static bool
tell_born(struct db *db, const struct catalog *c, const char *peer, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok = true;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, sql_born);
	if (put_numbered(db, c, &sql)) {
		buf_str(&sql, sql_born_end);
		buf_str(&sql, sql_born_refused);
		(void)put_numbered(db, c, &sql);
		buf_char(&sql, ')');
		ok = buf_check(&sql, "a statement", e) && db_query(db, buf_cstr(&sql), DB_ARGS(db_text(peer), db_text(peer), db_text(peer)), &rows, e) && write_born(db, rows, e);
		db_rows_free(rows);
	}
	buf_free(&sql);
	return ok;
}

/* Rows that another peer has refused as well say so again. */
static bool
keep_owed(struct db *db, const char *peer, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, "SELECT x.queue_ids, IF(x.state='parked', 'failed', 'pending'), x.attempts, x.last_error FROM sync_owed o"
			  " JOIN sync_owed x ON x.record_hash=o.record_hash AND x.peer<>o.peer AND x.state<>'discarded' WHERE o.peer=?", DB_ARGS(db_text(peer)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = queue_mark_rows(db, db_rows_text(rows, 0), db_rows_text(rows, 1), (unsigned)db_rows_u64(rows, 2), db_rows_text(rows, 3), e);
	db_rows_free(rows);
	return ok;
}

/* What the peer had refused is compared, not tried again: its rows would say pending for ever. Of one record each peer
 * may have refused other rows. */
static bool
release_owed(struct db *db, const char *peer, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, "SELECT queue_ids FROM sync_owed WHERE peer=?", DB_ARGS(db_text(peer)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = queue_release_rows(db, db_rows_text(rows, 0), e);
	db_rows_free(rows);
	return ok && keep_owed(db, peer, e);
}

static bool
begin_once(struct db *db, const struct catalog *c, const char *peer, const char *id, bool told, bool *news, struct err *e)
{
	struct renewal known;

	if (!db_begin_snapshot(db, e) || !renewal_load(db, peer, &known, e))
		return false;
	*news = strcmp(known.id, id) != 0;
	if (!*news)
		return db_commit(db, e);
	return mark_all_seen(db, e) && tell_born(db, c, peer, e) && release_owed(db, peer, e) && peer_reset(db, peer, e) && mark_tables(db, c, peer, e) &&
	    db_exec(db, "REPLACE INTO sync_renewal (peer, renewal, told) VALUES (?, ?, ?)", DB_ARGS(db_text(peer), db_text(id), db_u64(told)), e) && db_commit(db, e);
}

bool
renewal_begin(struct db *db, const struct catalog *c, const char *peer, const char *id, bool *news, struct err *e)
{
	char fresh[RENEWAL_ID_LEN + 1];
	bool told = id != NULL;

	if (!told && !schema_random_hex(fresh, RENEWAL_ID_LEN / 2, e))
		return false;
	for (int tries = 1;; tries++) {
		if (begin_once(db, c, peer, told ? id : fresh, told, news, e))
			return true;
		db_rollback(db);
		if (tries >= RENEWAL_TRIES || db_is_lost(db) || (e->code != ERR_DB_DUPLICATE && e->code != ERR_DB_BUSY))
			return false;
	}
}

bool
renewal_leave(struct db *db, const char *peer, struct err *e)
{
	return release_owed(db, peer, e) && peer_forget(db, peer, e) &&
	    db_exec(db, "REPLACE INTO sync_renewal (peer, renewal, told) VALUES (?, ?, 1)", DB_ARGS(db_text(peer), db_text(left_mark)), e);
}

bool
renewal_any_left(struct db *db, bool *any, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(db, "SELECT EXISTS (SELECT 1 FROM sync_renewal WHERE renewal=?)", DB_ARGS(db_text(left_mark)), &n, NULL, e);

	*any = n != 0;
	return ok;
}

bool
renewal_mark_all(struct db *db, struct err *e)
{
	for (int tries = 1;; tries++) {
		if (db_begin_snapshot(db, e) && mark_all_seen(db, e) && db_commit(db, e))
			return true;
		db_rollback(db);
		if (tries >= RENEWAL_TRIES || db_is_lost(db) || (e->code != ERR_DB_DUPLICATE && e->code != ERR_DB_BUSY))
			return false;
	}
}

/* --- is it still this node? --- */

#define WITNESSED "'sync_node','sync_queue','sync_epoch','sync_peer','sync_cursor','sync_owed','sync_unsettled'"
/* The ids are one text, "name=18/name=19"; as the purge of the queue never empties it by TRUNCATE, nothing but
 * people's commands changes them. */
static const char sql_ids[] =
    "SELECT t.TABLE_NAME AS name, CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(CONCAT('/', i.ids), CONCAT('/', t.TABLE_NAME, '='), -1), '/', 1) AS UNSIGNED) AS id"
    " FROM information_schema.TABLES t JOIN (SELECT table_ids(DATABASE()) AS ids LIMIT 1) i"
    " WHERE t.TABLE_SCHEMA=DATABASE() AND t.TABLE_NAME IN (" WITNESSED ") AND i.ids IS NOT NULL";

#define WHOLE "SET STATEMENT group_concat_max_len=67108864 FOR "

/* The account that installed may not see the ids, or is gone: then nothing is known. */
static bool
are_hidden(struct err *e)
{
	if (e->code != ERR_DB_ACCESS && e->db_errno != DEFINER_IS_GONE)
		return false;
	err_clear(e);
	return true;
}

bool
witness_note(struct db *db, struct err *e)
{
	char sql[1024];
	int len = snprintf(sql, sizeof sql, WHOLE "REPLACE INTO sync_witness (table_name, table_id) %s", sql_ids);

	return db_exec_text(db, sql, (size_t)len, e) || are_hidden(e);
}

/* The names of the tables that are others than noted; "" when none is. */
static bool
find_others(struct db *db, char out[WITNESS_TEXT_MAX], struct err *e)
{
	struct db_rows *rows = NULL;
	char sql[1024];
	bool more = false, ok;
	size_t used = 0, n = 0;

	(void)snprintf(sql, sizeof sql, WHOLE "SELECT n.name FROM (%s) n JOIN sync_witness w ON w.table_name=n.name WHERE n.id<>w.table_id ORDER BY n.name", sql_ids);

	out[0] = '\0';
	if (!db_query(db, sql, DB_NO_ARGS, &rows, e))
		return are_hidden(e);
	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (n++ < 2)
			used += (size_t)snprintf(out + used, WITNESS_TEXT_MAX - used, "%s%.40s", used > 0 ? ", " : "", db_rows_text(rows, 0));
	if (n > 2)
		(void)snprintf(out + used, WITNESS_TEXT_MAX - used, " and %zu more", n - 2);
	db_rows_free(rows);
	return ok;
}

/* Every link waits for a person. */
static bool
require_all(struct db *db, const char *what, struct err *e)
{
	return db_exec(db, "REPLACE INTO sync_renewal (peer, renewal, told) SELECT peer, '', 0 FROM sync_peer", DB_NO_ARGS, e) &&
	    db_exec(db, "UPDATE sync_peer SET held=CONCAT('the sync schema of this node was restored from a dump, or tables of it were emptied or made anew (', ?,"
			"'): run agent --install --peer ', peer, ' here: the link begins anew, all tables are compared and merged')", DB_ARGS(db_text(what)), e);
}

bool
witness_reread(struct db *db, struct node_identity *node, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(db, "SELECT incarnation FROM sync_node", DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);

	if (ok && more)
		(void)snprintf(node->incarnation, sizeof node->incarnation, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

/* One agent at a time gives the node its new incarnation; whoever comes second finds it done. */
static bool
take_incarnation(struct db *db, char what[WITNESS_TEXT_MAX], struct err *e)
{
	char incarnation[SCHEMA_INCARNATION_LEN + 1];
	uint64_t locked;

	if (!schema_random_hex(incarnation, SCHEMA_INCARNATION_LEN / 2, e) || !db_begin(db, e) ||
	    !db_number(db, "SELECT one FROM sync_node FOR UPDATE", DB_NO_ARGS, &locked, NULL, e) || !find_others(db, what, e))
		return false;
	if (what[0] == '\0')
		return db_commit(db, e);
	return db_exec(db, "UPDATE sync_node SET incarnation=?", DB_ARGS(db_text(incarnation)), e) && require_all(db, what, e) && witness_note(db, e) && db_commit(db, e);
}

bool
witness_check(struct db *db, struct node_identity *node, struct err *e)
{
	char what[WITNESS_TEXT_MAX];

	if (!find_others(db, what, e))
		return false;
	if (what[0] == '\0')
		return witness_reread(db, node, e);
	if (!take_incarnation(db, what, e)) {
		db_rollback(db);
		return false;
	}
	if (what[0] != '\0')
		log_warning(NULL, "the sync schema was restored from a dump, or tables of it were emptied or made anew (%s): every link is held until it begins anew"
				  " (agent --install --peer NAME)", what);
	return witness_reread(db, node, e);
}
