/* The queue's SQL. Lives here: sync_queue, sync_epoch, sync_hole. Not here: what a group is made of
 * (change/collapse), who has what (change/peer). */
#include "config.h"

#include "change/queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/mask.h"
#include "change/peer.h"

enum {
	HOLES_A_QUERY = 200, /* ranges of one OR list */
	QUEUE_SQL_MAX = 16 * 1024 * 1024
};

/* --- reading --- */

#define QUEUE_COLUMNS \
	"id, operation+0, table_name, record_id, changed_at, origin, via, whole, link, changed_columns, versions, difference"

static void
take_change(const struct db_rows *rows, struct change *c)
{
	c->id = db_rows_u64(rows, 0);
	c->operation = (enum operation)db_rows_u64(rows, 1);
	c->table = db_rows_text(rows, 2);
	c->key = db_rows_text(rows, 3);
	c->key_len = c->key == NULL ? 0 : db_rows_len(rows, 3);
	c->changed_at = db_rows_text(rows, 4);
	c->origin = db_rows_text(rows, 5);
	c->via = db_rows_text(rows, 6);
	c->whole = db_rows_u64(rows, 7) != 0;
	c->link = db_rows_u64(rows, 8);
	c->columns = db_rows_text(rows, 9);
	c->columns_len = c->columns == NULL ? 0 : db_rows_len(rows, 9);
	c->versions = db_rows_text(rows, 10);
	c->versions_len = c->versions == NULL ? 0 : db_rows_len(rows, 10);
	c->difference = db_rows_text(rows, 11);
	if (c->difference != NULL && strcmp(c->difference, MASK_NO_DIFFERENCE) == 0) {
		c->difference = NULL;
		c->whole = true; /* only the values can tell */
	}
}

/* The rows of one query, those that upto does not contain left out. *last: id of the last row. */
static bool
visit_rows(struct db_rows *rows, const struct mark *upto, queue_visitor *visit, void *arg, uint64_t *last, bool *stop, struct err *e)
{
	bool more = false;

	while (!*stop) {
		struct change c;

		if (!db_rows_next(rows, &more, e))
			return false;
		if (!more)
			break;
		take_change(rows, &c);
		*last = c.id;
		if (mark_contains(upto, c.id) && !visit(&c, arg, stop, e))
			return false;
	}
	return true;
}

static bool
visit_range(struct db *db, const struct id_range *range, const struct mark *upto, queue_visitor *visit, void *arg, bool *stop, struct err *e)
{
	uint64_t from = range->low;

	while (!*stop && from <= range->high) {
		struct db_rows *rows = NULL;
		uint64_t last = range->high;
		size_t n;
		bool ok;

		if (!db_query(db, "SELECT " QUEUE_COLUMNS " FROM sync_queue FORCE INDEX (PRIMARY)"
				  " WHERE id BETWEEN ? AND ? AND status<>'superseded' ORDER BY id LIMIT ?",
			DB_ARGS(db_u64(from), db_u64(range->high), db_u64(QUEUE_READ_ROWS)), &rows, e))
			return false;
		n = db_rows_count(rows);
		ok = visit_rows(rows, upto, visit, arg, &last, stop, e);
		db_rows_free(rows);
		if (!ok)
			return false;
		if (n < QUEUE_READ_ROWS)
			break;
		from = last + 1;
	}
	return true;
}

bool
queue_visit(struct db *db, const struct mark *after, const struct mark *upto, queue_visitor *visit, void *arg, struct err *e)
{
	bool stop = false;

	for (size_t i = 0; i < after->holes.n && !stop; i++)
		if (!visit_range(db, &after->holes.ranges[i], upto, visit, arg, &stop, e))
			return false;
	if (stop || after->high >= upto->high)
		return true;
	return visit_range(db, &(struct id_range){ after->high + 1, upto->high }, upto, visit, arg, &stop, e);
}

/* --- looking for what came since --- */

struct looker {
	struct mark *looked;
	queue_visitor *visit;
	void *arg;
};

static bool
look_at(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct looker *l = arg;
	struct mark *m = l->looked;

	if (c->id > m->high) {
		if (c->id != m->high + 1 && !id_set_append(&m->holes, m->high + 1, c->id - 1, e))
			return false;
		m->high = c->id;
	} else if (!id_set_remove(&m->holes, c->id, e))
		return false;
	return l->visit(c, l->arg, stop, e);
}

bool
queue_look(struct db *db, struct mark *looked, queue_visitor *visit, void *arg, struct err *e)
{
	struct looker l = { looked, visit, arg };
	const struct mark all = { .high = UINT64_MAX };
	struct id_set holes;
	bool stop = false, ok;

	if (!id_set_copy(&looked->holes, &holes, e))
		return false;
	ok = true;
	for (size_t i = 0; ok && i < holes.n; i++)
		ok = visit_range(db, &holes.ranges[i], &all, look_at, &l, &stop, e);
	id_set_free(&holes);
	return ok && visit_range(db, &(struct id_range){ looked->high + 1, UINT64_MAX }, &all, look_at, &l, &stop, e);
}

/* --- marks --- */

static bool
take_mark(struct db_rows *rows, struct mark *out, bool *found, struct err *e)
{
	memset(out, 0, sizeof *out);
	if (!db_rows_next(rows, found, e) || !*found)
		return *found;
	out->epoch = db_rows_u64(rows, 0);
	out->high = db_rows_u64(rows, 1);
	(void)snprintf(out->stamp, sizeof out->stamp, "%s", db_rows_text(rows, 3));
	out->cut = db_rows_u64(rows, 4) != 0;
	return id_set_parse(db_rows_text(rows, 2), &out->holes, e);
}

bool
queue_last_mark(struct db *db, struct mark *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool found = false, ok;

	if (!db_query(db, "SELECT epoch, high_id, holes, stamp, cut FROM sync_epoch ORDER BY epoch DESC LIMIT 1", DB_NO_ARGS, &rows, e))
		return false;
	ok = take_mark(rows, out, &found, e);
	db_rows_free(rows);
	if (!ok && !found)
		return err_set(e, ERR_DB_MISSING, "sync_epoch is empty: the sync schema was damaged; run agent --uninstall and --install");
	return ok;
}

bool
queue_load_mark(struct db *db, uint64_t epoch, struct mark *out, bool *found, struct err *e)
{
	struct db_rows *rows = NULL;
	bool ok;

	*found = false;
	memset(out, 0, sizeof *out);
	if (!db_query(db, "SELECT epoch, high_id, holes, stamp, cut FROM sync_epoch WHERE epoch=?", DB_ARGS(db_u64(epoch)), &rows, e))
		return false;
	err_clear(e);
	ok = take_mark(rows, out, found, e);
	db_rows_free(rows);
	return ok || (e->code == ERR_NONE && !*found);
}

bool
queue_epoch_below(struct db *db, uint64_t after, uint64_t upto, uint64_t id, uint64_t *epoch, struct err *e)
{
	return db_number(db, "SELECT MAX(epoch) FROM sync_epoch WHERE epoch>? AND epoch<=? AND high_id<=?",
	    DB_ARGS(db_u64(after), db_u64(upto), db_u64(id)), epoch, NULL, e);
}

/* " WHERE id BETWEEN a AND b OR ..." over at most HOLES_A_QUERY ranges from the i-th on. */
static size_t
put_ranges(struct buf *sql, const struct id_set *s, size_t i)
{
	size_t end = s->n - i < HOLES_A_QUERY ? s->n : i + HOLES_A_QUERY;

	for (const char *word = " WHERE"; i < end; i++, word = " OR")
		buf_fmt(sql, "%s id BETWEEN %llu AND %llu", word, (unsigned long long)s->ranges[i].low, (unsigned long long)s->ranges[i].high);
	return end;
}

/* Take the visible ids of last's holes out of holes; *late counts them. */
static bool
drop_visible(struct db *db, const struct id_set *of, struct id_set *holes, uint64_t *late, struct err *e)
{
	struct buf sql;
	bool ok = true;

	*late = 0;
	buf_init(&sql, QUEUE_SQL_MAX);
	for (size_t i = 0; ok && i < of->n;) {
		struct db_rows *rows = NULL;
		bool more = false;

		buf_reset(&sql);
		buf_str(&sql, "SELECT id FROM sync_queue FORCE INDEX (PRIMARY)");
		i = put_ranges(&sql, of, i);
		ok = buf_check(&sql, "a list of holes", e) && db_query(db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
		while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
			++*late;
			if (holes != NULL)
				ok = id_set_remove(holes, db_rows_u64(rows, 0), e);
		}
		db_rows_free(rows);
	}
	buf_free(&sql);
	return ok;
}

/* Dead ranges leave the holes of the next mark. */
static bool
drop_dead(struct db *db, struct id_set *holes, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (holes->n == 0)
		return true;
	if (!db_query(db, "SELECT low, high FROM sync_hole WHERE dead=1 AND high>=? AND low<=?",
		DB_ARGS(db_u64(holes->ranges[0].low), db_u64(holes->ranges[holes->n - 1].high)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		uint64_t high = db_rows_u64(rows, 1);

		for (uint64_t id = db_rows_u64(rows, 0); ok && id <= high; id++)
			ok = id_set_remove(holes, id, e);
	}
	db_rows_free(rows);
	return ok;
}

/* Append the gaps among the ids above last->high, and find the highest. */
static bool
find_gaps(struct db *db, uint64_t above, struct mark *next, struct err *e)
{
	struct db_rows *rows = NULL;
	char sql[128];
	bool more = false, ok;
	int len = snprintf(sql, sizeof sql, "SELECT id FROM sync_queue FORCE INDEX (PRIMARY) WHERE id>%llu ORDER BY id", (unsigned long long)above);

	if (!db_stream(db, sql, (size_t)len, &rows, e))
		return false;
	next->high = above;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (!(ok = mark_see(next, db_rows_u64(rows, 0), e)))
			break;
	while (!ok && more && db_rows_next(rows, &more, NULL) && more)
		; /* drain the result, so that the connection stays usable */
	db_rows_free(rows);
	return ok;
}

bool
queue_next_mark(struct db *db, const struct mark *last, struct mark *out, bool *grew, struct err *e)
{
	struct db_rows *rows = NULL;
	uint64_t late = 0, count = 0, high = 0;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	out->epoch = last->epoch + 1;
	out->high = last->high;
	if (!id_set_copy(&last->holes, &out->holes, e) || !drop_visible(db, &last->holes, &out->holes, &late, e) ||
	    !drop_dead(db, &out->holes, e))
		goto fail;
	ok = db_query(db, "SELECT COUNT(*), IFNULL(MAX(id),0) FROM sync_queue FORCE INDEX (PRIMARY) WHERE id>?",
		 DB_ARGS(db_u64(last->high)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more) {
		count = db_rows_u64(rows, 0);
		high = db_rows_u64(rows, 1);
	}
	db_rows_free(rows);
	if (!ok)
		goto fail;
	if (count > 0 && high - last->high == count)
		out->high = high; /* no gap: the usual case, without reading the ids */
	else if (count > 0 && !find_gaps(db, last->high, out, e))
		goto fail;
	*grew = late > 0 || count > 0;
	return true;
fail:
	mark_free(out);
	return false;
}

bool
queue_cut_mark(const struct mark *last, struct mark *next, uint64_t id, struct err *e)
{
	uint64_t high = id > last->high ? id : last->high;
	struct id_set holes = { 0 };

	for (size_t i = 0; i < next->holes.n && next->holes.ranges[i].low <= high; i++) {
		struct id_range r = next->holes.ranges[i];

		if (!id_set_append(&holes, r.low, r.high < high ? r.high : high, e))
			goto fail;
	}
	for (size_t i = 0; i < last->holes.n; i++) {
		struct id_range r = last->holes.ranges[i];

		for (uint64_t n = r.low > id ? r.low : id + 1; n <= r.high; n++)
			if (!id_set_add(&holes, n, e))
				goto fail;
	}
	id_set_free(&next->holes);
	next->holes = holes;
	next->high = high;
	next->cut = true;
	return true;
fail:
	id_set_free(&holes);
	return false;
}

bool
queue_store_mark(struct db *db, struct mark *next, struct err *e)
{
	struct buf holes;
	bool ok;

	buf_init(&holes, DB_SQL_MAX / 4);
	id_set_format(&next->holes, &holes);
	ok = buf_check(&holes, "a mark", e) && schema_random_hex(next->stamp, MARK_STAMP_LEN / 2, e) &&
	    db_exec(db, "INSERT INTO sync_epoch (epoch, high_id, holes, stamp, cut, marked_at) VALUES (?, ?, ?, ?, ?, NOW(6))",
		DB_ARGS(db_u64(next->epoch), db_u64(next->high), db_text(buf_cstr(&holes)), db_text(next->stamp), db_u64(next->cut)), e);
	buf_free(&holes);
	return ok;
}

bool
queue_peek(struct db *db, const struct mark *last, uint64_t *high, uint64_t *late, struct err *e)
{
	return db_number(db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, high, NULL, e) &&
	    drop_visible(db, &last->holes, NULL, late, e);
}

/* --- times --- */

static const char sql_times[] =
    "SELECT n.t, n.t + INTERVAL ? MICROSECOND, IF(e.marked_at > n.t + INTERVAL ? MICROSECOND, NULL, e.marked_at - INTERVAL ? MICROSECOND)"
    " FROM (SELECT NOW(6) AS t) n LEFT JOIN sync_epoch e ON e.epoch=?";

bool
queue_times(struct db *db, uint64_t after_epoch, int64_t skew_ms, struct queue_times *out, struct err *e)
{
	uint64_t skew = (uint64_t)skew_ms * 1000, early = skew + (uint64_t)CLOCK_STATEMENT_S * 1000000;
	char *const to[] = { out->now, out->late, out->early };
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, sql_times, DB_ARGS(db_u64(skew), db_u64(skew), db_u64(early), db_u64(after_epoch)), &rows, e) && db_rows_next(rows, &more, e);
	for (size_t i = 0; ok && more && i < 3; i++)
		(void)snprintf(to[i], QUEUE_TIME_LEN + 1, "%s", db_rows_text(rows, i) == NULL ? "" : db_rows_text(rows, i));
	db_rows_free(rows);
	return ok;
}

/* Not while a group is applied: a version of ours that wins is queued again there with its time, which was read before.
 * Read, and only then written by id: an UPDATE that searches would wait for the app's open transactions. What is
 * relayed, or was decided here, keeps the time of the version that it is. A time to come is one whoever has the change
 * by now: it would win against everything. */
static const char sql_impossible[] =
    "SELECT q.id FROM sync_queue q WHERE q.status<>'superseded' AND (q.changed_at > NOW(6) + INTERVAL ? MICROSECOND OR (q.status='pending' AND q.whole=0 AND"
    " q.origin IS NULL AND q.via IS NULL AND q.changed_at < (SELECT MAX(e.marked_at) FROM sync_epoch e WHERE e.high_id < q.id AND e.marked_at <= NOW(6) + INTERVAL ? MICROSECOND)"
    " - INTERVAL ? MICROSECOND)) ORDER BY q.id";
/* What peers have refused carries its time with it. */
static const char sql_owed[] = "UPDATE sync_owed SET changed_at=NOW(6) WHERE changed_at > NOW(6) + INTERVAL ? MICROSECOND";

bool
queue_restamp(struct db *db, int64_t skew_ms, uint64_t *n, struct err *e)
{
	uint64_t skew = (uint64_t)skew_ms * 1000, early = skew + (uint64_t)CLOCK_STATEMENT_S * 1000000;
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*n = 0;
	ok = db_begin(db, e) && cursor_lock_all(db, e) && db_query(db, sql_impossible, DB_ARGS(db_u64(skew), db_u64(skew), db_u64(early)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		ok = db_exec(db, "UPDATE sync_queue SET changed_at=NOW(6) WHERE id=?", DB_ARGS(db_u64(db_rows_u64(rows, 0))), e);
		++*n;
	}
	db_rows_free(rows);
	ok = ok && db_exec(db, sql_owed, DB_ARGS(db_u64(skew)), e) && db_commit(db, e);
	if (!ok)
		db_rollback(db);
	return ok;
}

/* --- holes --- */

/* Is no row of an open transaction in the range? A locking read would meet it; NOWAIT makes it answer
 * at once, and one statement in autocommit holds nothing afterwards. */
static bool
probe_range(struct db *db, struct id_range r, bool *empty, struct err *e)
{
	struct db_rows *rows = NULL;

	*empty = false;
	if (!db_query(db, "SELECT id FROM sync_queue FORCE INDEX (PRIMARY) WHERE id BETWEEN ? AND ? LIMIT 1 FOR UPDATE NOWAIT",
		DB_ARGS(db_u64(r.low), db_u64(r.high)), &rows, e)) {
		if (e->code != ERR_DB_BUSY)
			return false;
		err_clear(e);
		return true;
	}
	*empty = db_rows_count(rows) == 0;
	db_rows_free(rows);
	return true;
}

/* When the server started, on our forward-only clock, give or take a second. */
static bool
server_start(struct db *db, int64_t now_ms, int64_t *start_s, struct err *e)
{
	uint64_t uptime;

	if (!db_number(db, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME='UPTIME'", DB_NO_ARGS, &uptime, NULL, e))
		return false;
	*start_s = now_ms / 1000 - (int64_t)uptime;
	return true;
}

/* An earlier empty probe of exactly this range, old enough and in the same life of server and clock? */
static bool
earlier_probe(struct db *db, struct id_range r, int64_t now_ms, int64_t start_s, bool *dead, bool *known, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*dead = *known = false;
	ok = db_query(db, "SELECT high, probed_ms, server_start FROM sync_hole WHERE low=?", DB_ARGS(db_u64(r.low)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok && more && db_rows_u64(rows, 0) == r.high) {
		int64_t age = now_ms - (int64_t)db_rows_u64(rows, 1);
		int64_t drift = (int64_t)strtoll(db_rows_text(rows, 2), NULL, 10) - start_s;

		*known = drift >= -2 && drift <= 2 && age >= 0;
		*dead = *known && age >= QUEUE_PROBE_AGE_MS;
	}
	db_rows_free(rows);
	return ok;
}

static bool
probe_one(struct db *db, struct id_range r, int64_t now_ms, int64_t start_s, struct err *e)
{
	char start[24];
	bool empty, dead, known;

	if (!probe_range(db, r, &empty, e))
		return false;
	if (!empty)
		return db_exec(db, "DELETE FROM sync_hole WHERE low=?", DB_ARGS(db_u64(r.low)), e);
	if (!earlier_probe(db, r, now_ms, start_s, &dead, &known, e))
		return false;
	if (dead)
		return db_exec(db, "UPDATE sync_hole SET dead=1 WHERE low=?", DB_ARGS(db_u64(r.low)), e);
	if (known)
		return true; /* the first probe's time counts */
	(void)snprintf(start, sizeof start, "%lld", (long long)start_s);
	return db_exec(db, "REPLACE INTO sync_hole (low, high, probed_ms, server_start, dead) VALUES (?, ?, ?, ?, 0)",
	    DB_ARGS(db_u64(r.low), db_u64(r.high), db_u64((uint64_t)now_ms), db_text(start)), e);
}

bool
queue_probe_holes(struct db *db, const struct mark *last, struct err *e)
{
	int64_t now_ms = clock_mono_ms(), start_s;

	if (last->holes.n == 0)
		return true;
	if (!server_start(db, now_ms, &start_s, e))
		return false;
	for (size_t i = 0; i < last->holes.n; i++)
		if (!probe_one(db, last->holes.ranges[i], now_ms, start_s, e))
			return false;
	return true;
}

/* --- counting, settling, purging --- */

bool
queue_count_between(struct db *db, const struct mark *after, uint64_t upto, const char *not_via, uint64_t *count, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, QUEUE_SQL_MAX);
	buf_str(&sql, "SELECT COUNT(*) FROM sync_queue FORCE INDEX (PRIMARY) WHERE status<>'superseded' AND (via IS NULL OR via<>?) AND (id BETWEEN ? AND ?");
	for (size_t i = 0; i < after->holes.n && i < HOLES_A_QUERY; i++)
		buf_fmt(&sql, " OR id BETWEEN %llu AND %llu", (unsigned long long)after->holes.ranges[i].low, (unsigned long long)after->holes.ranges[i].high);
	buf_char(&sql, ')');
	ok = buf_check(&sql, "a list of holes", e) &&
	    db_number(db, buf_cstr(&sql), DB_ARGS(db_text(not_via), db_u64(after->high + 1), db_u64(upto)), count, NULL, e);
	buf_free(&sql);
	return ok;
}

static const char sql_oldest[] =
    "SELECT GREATEST(TIMESTAMPDIFF(MICROSECOND, changed_at, NOW(6)), 0) DIV 1000 + 1 FROM sync_queue FORCE INDEX (PRIMARY)"
    " WHERE id>? AND status<>'superseded' AND (via IS NULL OR via<>?) ORDER BY id LIMIT 1";

bool
queue_estimate_after(struct db *db, const struct mark *after, const char *not_via, struct queue_estimate *out, struct err *e)
{
	uint64_t high = 0;
	bool found = false;

	memset(out, 0, sizeof *out);
	out->exact = true;
	if (!db_number(db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, &high, &found, e))
		return false;
	if (high <= after->high + QUEUE_COUNT_IDS && !queue_count_between(db, after, high, not_via, &out->count, e))
		return false;
	if (high <= after->high || (high <= after->high + QUEUE_COUNT_IDS && out->count == 0))
		return true;
	if (!db_number(db, sql_oldest, DB_ARGS(db_u64(after->high), db_text(not_via)), &out->oldest_ms, &found, e))
		return false;
	if (!found) /* all of them came from there; what became visible below the mark is left */
		return queue_count_between(db, after, after->high, not_via, &out->count, e);
	if (high > after->high + QUEUE_COUNT_IDS) {
		out->count = high - after->high;
		out->exact = false;
	}
	return true;
}

bool
queue_count_after(struct db *db, const struct mark *after, const char *not_via, uint64_t *count, struct err *e)
{
	return queue_count_between(db, after, UINT64_MAX, not_via, count, e);
}

/* " AND NOT (id BETWEEN ..)" for the holes between two ids. */
static void
put_without_holes(struct buf *sql, const struct mark *m, uint64_t low, uint64_t high)
{
	for (size_t i = 0; i < m->holes.n; i++) {
		const struct id_range *r = &m->holes.ranges[i];

		if (r->high >= low && r->low <= high)
			buf_fmt(sql, " AND id NOT BETWEEN %llu AND %llu", (unsigned long long)r->low, (unsigned long long)r->high);
	}
}

static bool
settle_step(struct db *db, const struct mark *now, uint64_t low, uint64_t high, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, QUEUE_SQL_MAX);
	/* A row with last_error is owed to somebody: sync_owed decides over it. */
	buf_fmt(&sql, "UPDATE sync_queue FORCE INDEX (PRIMARY) SET status='synced', synced_at=NOW(6)"
		      " WHERE id BETWEEN %llu AND %llu AND status='pending' AND last_error IS NULL", (unsigned long long)low, (unsigned long long)high);
	put_without_holes(&sql, now, low, high);
	ok = buf_check(&sql, "a list of holes", e) && db_exec_text(db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok;
}

static bool
settle_range(struct db *db, const struct mark *now, struct id_range r, struct err *e)
{
	while (r.low <= r.high) {
		uint64_t end = r.high - r.low < QUEUE_STEP_IDS ? r.high : r.low + QUEUE_STEP_IDS;

		if (!settle_step(db, now, r.low, end, e))
			return false;
		r.low = end + 1;
	}
	return true;
}

bool
queue_settle(struct db *db, const struct mark *before, const struct mark *now, struct err *e)
{
	for (size_t i = 0; i < before->holes.n; i++)
		if (!settle_range(db, now, before->holes.ranges[i], e))
			return false;
	if (now->high <= before->high)
		return true;
	return settle_range(db, now, (struct id_range){ before->high + 1, now->high }, e);
}

static bool
purge_step(struct db *db, const struct mark *keep, struct id_range r, unsigned days, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, QUEUE_SQL_MAX);
	buf_fmt(&sql, "DELETE FROM sync_queue WHERE id BETWEEN %llu AND %llu AND status IN ('synced','superseded')"
		      " AND changed_at < NOW(6) - INTERVAL %u DAY AND synced_at < NOW(6) - INTERVAL %u DAY",
	    (unsigned long long)r.low, (unsigned long long)r.high, days, days);
	/* By these an owed record is told under the key that the peer knows. */
	buf_str(&sql, " AND id NOT IN (SELECT link FROM sync_owed WHERE link IS NOT NULL)");
	put_without_holes(&sql, keep, r.low, r.high);
	ok = buf_check(&sql, "a list of holes", e) && db_exec_text(db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok;
}

bool
queue_purge(struct db *db, const struct mark *keep, unsigned days, uint64_t *removed, struct err *e)
{
	int64_t until = clock_mono_ms() + QUEUE_PURGE_MS;
	uint64_t low = 0, high;
	bool found;

	*removed = 0;
	do {
		/* Rows are appended in time: where the next one is young enough to stay, there is nothing more to do. Ids that
		 * no row has, and rows that stay, are passed over. */
		if (!db_number(db, "SELECT id FROM (SELECT id, changed_at FROM sync_queue WHERE id>=? ORDER BY id LIMIT 1) oldest WHERE changed_at < NOW(6) - INTERVAL ? DAY",
			DB_ARGS(db_u64(low), db_u64(days)), &low, &found, e))
			return false;
		if (!found || low > keep->high)
			return true;
		high = keep->high - low < QUEUE_STEP_IDS ? keep->high : low + QUEUE_STEP_IDS;
		if (!purge_step(db, keep, (struct id_range){ low, high }, days, e))
			return false;
		*removed += db_affected(db);
		low = high + 1;
	} while (clock_mono_ms() < until);
	return true;
}

bool
queue_bury_holes(struct db *db, const struct mark *keep, uint64_t *revived, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*revived = 0;
	if (!db_query(db, "SELECT low, high FROM sync_hole WHERE dead=1 AND high<=?", DB_ARGS(db_u64(keep->high)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct db_arg low = db_u64(db_rows_u64(rows, 0)), high = db_u64(db_rows_u64(rows, 1));

		if (!mark_contains(keep, low.number))
			continue; /* no mark has left it out yet */
		ok = db_exec(db, "UPDATE sync_queue FORCE INDEX (PRIMARY) SET id=NEXTVAL(sync_sequence) WHERE id BETWEEN ? AND ?", DB_ARGS(low, high), e);
		*revived += ok ? db_affected(db) : 0;
		if (!ok || !(ok = db_exec(db, "DELETE FROM sync_hole WHERE low=?", DB_ARGS(low), e)))
			break;
	}
	db_rows_free(rows);
	return ok;
}

/* "12,15,13": not sorted where owed rows and new ones were joined. */
static bool
parse_ids(const char *ids, struct id_set *set, struct err *e)
{
	for (const char *p = ids; *p != '\0';) {
		char *end;
		uint64_t id = strtoull(p, &end, 10);

		if (end == p)
			return err_set(e, ERR_INTERNAL, "malformed list of ids in sync_owed");
		if (!id_set_add(set, id, e))
			return false;
		p = *end == ',' ? end + 1 : end;
	}
	return true;
}

bool
queue_visit_ids(struct db *db, const char *ids, queue_visitor *visit, void *arg, struct err *e)
{
	const struct mark all = { .high = UINT64_MAX };
	struct id_set set = { 0 };
	bool ok = parse_ids(ids, &set, e), stop = false;

	for (size_t i = 0; ok && i < set.n; i++)
		ok = visit_range(db, &set.ranges[i], &all, visit, arg, &stop, e);
	id_set_free(&set);
	return ok;
}

/* The ids of a range that lie all within the mark, or all outside, a statement each. */
static bool
release_range(struct db *db, const struct mark *settled, struct id_range r, struct err *e)
{
	while (r.low <= r.high) {
		bool passed = mark_contains(settled, r.low);
		uint64_t end = r.low;

		while (end < r.high && mark_contains(settled, end + 1) == passed)
			end++;
		if (!db_exec(db, "UPDATE sync_queue FORCE INDEX (PRIMARY) SET status=?, attempt_count=0, last_error=NULL, synced_at=IF(?, NOW(6), synced_at)"
				 " WHERE id BETWEEN ? AND ? AND status IN ('pending','failed')",
			DB_ARGS(db_text(passed ? "synced" : "pending"), db_u64(passed), db_u64(r.low), db_u64(end)), e))
			return false;
		r.low = end + 1;
	}
	return true;
}

bool
queue_release_rows(struct db *db, const char *ids, struct err *e)
{
	struct mark settled = { 0 };
	struct id_set set = { 0 };
	uint64_t epoch = 0;
	bool found = false, ok;

	ok = parse_ids(ids, &set, e) && db_number(db, "SELECT settled_epoch FROM sync_node", DB_NO_ARGS, &epoch, NULL, e) &&
	    queue_load_mark(db, epoch, &settled, &found, e);
	for (size_t i = 0; ok && i < set.n; i++)
		ok = release_range(db, &settled, set.ranges[i], e);
	mark_free(&settled);
	id_set_free(&set);
	return ok;
}

bool
queue_tell_end(struct db *db, const char *table, uint64_t id, struct err *e)
{
	return db_exec(db, "INSERT INTO sync_queue (id, table_name, operation, record_id, origin, changed_at, whole)"
			   " SELECT NEXTVAL(sync_sequence), table_name, 'delete', record_id, origin, changed_at, whole FROM sync_queue WHERE id=? AND table_name=?",
	    DB_ARGS(db_u64(id), db_text(table)), e);
}

bool
queue_mark_rows(struct db *db, const char *ids, const char *status, unsigned attempts, const char *reason, struct err *e)
{
	struct id_set set = { 0 };
	bool ok = parse_ids(ids, &set, e);

	for (size_t i = 0; ok && i < set.n; i++)
		ok = db_exec(db, "UPDATE sync_queue FORCE INDEX (PRIMARY) SET status=?, attempt_count=?, last_error=LEFT(?, 500),"
				 " synced_at=IF(? = 'synced', NOW(6), DEFAULT(synced_at)) WHERE id BETWEEN ? AND ? AND status<>'superseded'",
		    DB_ARGS(db_text(status), db_u64(attempts), db_text(reason), db_text(status), db_u64(set.ranges[i].low), db_u64(set.ranges[i].high)), e);
	id_set_free(&set);
	return ok;
}
