/* Samples for the page's graphs. Every sample goes into one bucket of each span, so that nothing has to be rolled
 * up later; while nothing happens only every HISTORY_QUIET_S. */
#include "app/history.h"

#include <stdio.h>
#include <string.h>

static const struct span {
	const char *name;
	unsigned step_s;
	unsigned kept_s;
} spans[HISTORY_SPANS] = {
	{ "hour", HISTORY_STEP_S, 3600 },
	{ "day", 300, 24 * 3600 },
	{ "month", 7200, 30 * 24 * 3600 },
};

static const char sql_note[] =
    "INSERT INTO sync_history (step_s, at, peer, pending, sent, applied, lag_ms) VALUES (?, UNIX_TIMESTAMP() DIV ? * ?, ?, ?, ?, ?, ?)"
    " ON DUPLICATE KEY UPDATE pending=GREATEST(pending, VALUES(pending)), sent=sent+VALUES(sent), applied=applied+VALUES(applied),"
    " lag_ms=GREATEST(lag_ms, VALUES(lag_ms))";

/* The peer's place, or NULL when there is no room. */
static struct history_peer *
find_peer(struct history *h, const char *name)
{
	for (size_t i = 0; i < HISTORY_PEERS_MAX; i++) {
		if (h->peers[i].name[0] == '\0')
			(void)snprintf(h->peers[i].name, sizeof h->peers[i].name, "%s", name);
		if (strcmp(h->peers[i].name, name) == 0)
			return &h->peers[i];
	}
	return NULL;
}

static bool
note_peer(struct db *db, const struct report_peer *p, const struct history_peer *was, struct err *e)
{
	/* Below the last sample: the link has begun anew, counting with it. */
	uint64_t sent = was->known && p->records_sent > was->sent ? p->records_sent - was->sent : 0;
	uint64_t applied = was->known && p->records_applied > was->applied ? p->records_applied - was->applied : 0;

	for (size_t i = 0; i < HISTORY_SPANS; i++)
		if (!db_exec(db, sql_note, DB_ARGS(db_u64(spans[i].step_s), db_u64(spans[i].step_s), db_u64(spans[i].step_s), db_text(p->name),
			db_u64(p->pending), db_u64(sent), db_u64(applied), db_u64(p->lag_ms)), e))
			return false;
	return true;
}

static bool
purge(struct db *db, struct err *e)
{
	for (size_t i = 0; i < HISTORY_SPANS; i++)
		if (!db_exec(db, "DELETE FROM sync_history WHERE step_s=? AND at < UNIX_TIMESTAMP() - ?", DB_ARGS(db_u64(spans[i].step_s), db_u64(spans[i].kept_s)), e))
			return false;
	return true;
}

bool
history_note(struct history *h, struct db *db, const struct report *r, struct err *e)
{
	int64_t now_ms = clock_mono_ms();
	bool due = h->written_ms == 0 || now_ms - h->written_ms >= HISTORY_QUIET_S * 1000, ok = true;

	for (size_t i = 0; i < r->npeers && i < HISTORY_PEERS_MAX; i++) {
		const struct report_peer *p = &r->peers[i];
		struct history_peer *was = find_peer(h, p->name);
		bool busy = p->pending > 0 || (was != NULL && was->known && (was->sent != p->records_sent || was->applied != p->records_applied));

		due = due || busy;
	}
	if (!due)
		return true;
	ok = db_begin(db, e);
	for (size_t i = 0; ok && i < r->npeers; i++) {
		const struct report_peer *p = &r->peers[i];
		struct history_peer *was = find_peer(h, p->name);

		if (was == NULL)
			continue;
		ok = note_peer(db, p, was, e);
		was->sent = p->records_sent;
		was->applied = p->records_applied;
		was->known = true;
	}
	ok = ok && purge(db, e) && db_commit(db, e);
	if (!ok)
		db_rollback(db);
	h->written_ms = now_ms;
	return ok;
}

static bool
put_span(struct db *db, const struct span *s, struct buf *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT at, SUM(pending), SUM(sent), SUM(applied), MAX(lag_ms) FROM sync_history WHERE step_s=? AND at >= UNIX_TIMESTAMP() - ? GROUP BY at ORDER BY at",
		DB_ARGS(db_u64(s->step_s), db_u64(s->kept_s)), &rows, e))
		return false;
	buf_fmt(out, ",\"%s\":{\"step\":%u,\"span\":%u,\"points\":[", s->name, s->step_s, s->kept_s);
	while ((ok = db_rows_next(rows, &more, e)) && more)
		buf_fmt(out, "%s[%s,%s,%s,%s,%s]", out->data[out->len - 1] == '[' ? "" : ",", db_rows_text(rows, 0), db_rows_text(rows, 1), db_rows_text(rows, 2),
		    db_rows_text(rows, 3), db_rows_text(rows, 4));
	buf_str(out, "]}");
	db_rows_free(rows);
	return ok;
}

bool
history_json(struct db *db, struct buf *out, struct err *e)
{
	uint64_t now = 0;
	bool ok = db_number(db, "SELECT UNIX_TIMESTAMP()", DB_NO_ARGS, &now, NULL, e);

	buf_fmt(out, "{\"now\":%llu", (unsigned long long)now);
	for (size_t i = 0; ok && i < HISTORY_SPANS; i++)
		ok = put_span(db, &spans[i], out, e);
	buf_str(out, "}\n");
	return ok;
}
