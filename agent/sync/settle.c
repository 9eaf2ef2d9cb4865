/* Settling. The same path for an answer just received and for one that was lost and is given again in
 * hello: everything needed is read from the queue and sync_owed. */
#include "sync/settle.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/inbox.h"
#include "apply/position.h"
#include "base/count.h"
#include "base/log.h"
#include "change/debt.h"
#include "sync/ceiling.h"

enum {
	ACTIVITY_KEPT = 500, /* rows of sync_activity */
	SETTLE_TRIES = 4     /* on lock waits and deadlocks with a group that is being applied; then the next drain */
};

/* One refused record. */
struct refusal_note {
	uint64_t hash;
	struct refusal refusal; /* points into the answer */
	struct buf ids;	       /* "12,15": its rows in the queue */
	uint64_t link;	       /* of a record with a new key: the change that holds the key by which the peer knows it */
	bool known;	       /* owed before */
};

struct settle {
	struct db *db;
	const struct conf *conf;
	const char *self;
	const char *peer;
	struct peer_state state;
	struct mark from, upto;
	struct answer_header header;
	struct refusal_note *notes; /* sorted by hash */
	size_t n;
	struct collapse collapse;
	bool undecided; /* a person has something to decide between us and the peer */
	struct settled *out;
};

/* --- reading the answer --- */

static int
by_hash(const void *a, const void *b)
{
	const struct refusal_note *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool
add_note(struct settle *s, char *line, size_t len, struct err *e)
{
	struct refusal_note *note;
	void *grown;

	if ((s->n & (s->n - 1)) == 0) { /* room doubles at powers of two */
		grown = realloc(s->notes, (s->n == 0 ? 1 : s->n * 2) * sizeof *s->notes);
		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for an answer");
		s->notes = grown;
	}
	note = &s->notes[s->n];
	memset(note, 0, sizeof *note);
	buf_init(&note->ids, 16 * 1024 * 1024);
	if (!message_parse_refusal(line, len, &note->refusal, e))
		return false;
	note->hash = record_hash(note->refusal.table, note->refusal.key, note->refusal.key_len);
	s->n++;
	return true;
}

static bool
read_answer(struct settle *s, struct buf *answer, struct err *e)
{
	char *at = answer->data, *end = answer->data + answer->len;
	bool first = true;

	while (at < end) {
		char *newline = memchr(at, '\n', (size_t)(end - at));

		if (newline == NULL)
			return err_set(e, ERR_INPUT, "the peer's answer ends in the middle of a line");
		if (first ? !message_parse_answer(at, (size_t)(newline - at), &s->header, e) : !add_note(s, at, (size_t)(newline - at), e))
			return false;
		first = false;
		at = newline + 1;
	}
	if (first || s->n != s->header.refused)
		return err_set(e, ERR_INPUT, "the peer's answer is not whole");
	if (s->n > 1)
		qsort(s->notes, s->n, sizeof *s->notes, by_hash);
	for (size_t i = 1; i < s->n; i++)
		if (s->notes[i].hash == s->notes[i - 1].hash)
			return err_set(e, ERR_INPUT, "the peer's answer refuses one record twice");
	return true;
}

static struct refusal_note *
find_note(struct settle *s, const char *table, const char *key, size_t key_len)
{
	struct refusal_note wanted = { .hash = record_hash(table, key, key_len) };

	return s->n == 0 ? NULL : bsearch(&wanted, s->notes, s->n, sizeof wanted, by_hash);
}

/* --- positions --- */

static bool
load_positions(struct settle *s, bool *old, struct err *e)
{
	struct standing where;
	bool found;

	*old = false;
	if (!peer_load(s->db, s->peer, &s->state, e) || !queue_load_mark(s->db, s->header.cursor.epoch, &s->upto, &found, e))
		return false;
	where = position_of_answer(&s->header.cursor, &s->state, found ? &s->upto : NULL);
	*old = where.kind == STANDING_APPLIED;
	if (*old)
		return true;
	if (where.kind == STANDING_REFUSED)
		return err_set(e, ERR_HELD, "peer %s has received changes that this node does not know (restored from a backup, or a copy of this laptop runs as well?)", s->peer);
	if (!queue_load_mark(s->db, s->state.acked_epoch, &s->from, &found, e))
		return false;
	return found || err_set(e, ERR_HELD, "the position of peer %s is not kept any more", s->peer);
}

/* --- refusals --- */

static bool
collect_ids(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct settle *s = arg;
	struct refusal_note *note = c->key == NULL ? NULL : find_note(s, c->table, c->key, c->key_len);

	(void)stop;
	if (note == NULL)
		return true;
	buf_fmt(&note->ids, "%s%llu", note->ids.len > 0 ? "," : "", (unsigned long long)c->id);
	return buf_check(&note->ids, "a record's changes", e) && collapse_add(&s->collapse, c, e);
}

/* A refusal of a group that is only a part is no attempt: what it needs may come in the next part. */
static bool
is_counted(const struct settle *s, const struct refusal_note *note)
{
	return note->refusal.counted && !s->upto.cut;
}

static const char *
state_after(const struct settle *s, const struct refusal_note *note, unsigned attempts)
{
	if (attempts >= s->conf->sync.max_attempts)
		return "parked";
	return is_counted(s, note) ? "retry" : "waiting";
}

static bool
report(struct settle *s, const struct refusal_note *note, const char *state, unsigned attempts)
{
	log_warning(s->peer, "Sync refused: table %s record %s: %s (%s, attempt %u of %u)", note->refusal.table, note->refusal.key,
	    note->refusal.reason, state, attempts, s->conf->sync.max_attempts);
	count_add(COUNT_REFUSED, s->peer, state);
	s->out->parked += strcmp(state, "parked") == 0;
	return true;
}

/* A record that was owed before: refused again, or accepted. */
static bool
settle_owed(const struct owed *o, void *arg, struct err *e)
{
	struct settle *s = arg;
	struct refusal_note *note = find_note(s, o->table, o->key, o->key_len);
	unsigned char md5[PEER_HASH_BYTES];
	unsigned attempts;
	const char *state;

	if (!debt_is_answered(o->sent_epoch, s->from.epoch, s->upto.epoch, note != NULL))
		return true; /* not in this group */
	if (!peer_record_hash(o->table, o->key, o->key_len, md5, e))
		return false;
	if (note == NULL)
		return (!s->undecided || inbox_accepted(s->db, s->peer, o->table, o->key, o->key_len, e)) && queue_mark_rows(s->db, o->queue_ids, "synced", o->attempts, NULL, e) &&
		    db_exec(s->db, "DELETE FROM sync_owed WHERE peer=? AND record_hash=?", DB_ARGS(db_text(s->peer), db_bytes(md5, sizeof md5)), e);
	note->known = true;
	/* A later change of the record takes the place of a parked one: its attempts begin anew. */
	attempts = note->ids.len > 0 ? 0 : o->attempts;
	attempts += is_counted(s, note);
	state = state_after(s, note, attempts);
	if (note->ids.len > 0)
		buf_char(&note->ids, ',');
	buf_str(&note->ids, o->queue_ids);
	return buf_check(&note->ids, "a record's changes", e) && report(s, note, state, attempts) &&
	    queue_mark_rows(s->db, buf_cstr(&note->ids), strcmp(state, "parked") == 0 ? "failed" : "pending", attempts, note->refusal.reason, e) &&
	    db_exec(s->db, "UPDATE sync_owed SET state=?, attempts=?, last_error=LEFT(?, 500), refused_at=NOW(6), queue_ids=? WHERE peer=? AND record_hash=?",
		DB_ARGS(db_text(state), db_u64(attempts), db_text(note->refusal.reason), db_text(buf_cstr(&note->ids)), db_text(s->peer), db_bytes(md5, sizeof md5)), e);
}

/* Newer changes of an owed record raise what it carries. Assignments run from left to right: the version
 * is compared before it is set. */
static bool
raise_owed(struct settle *s, const struct entry *entry, uint64_t link, const unsigned char *md5, struct err *e)
{
	const struct collapse *c = &s->collapse;
	const char *changed_at = collapse_text(c, entry->changed_at);

	return db_exec(s->db, "UPDATE sync_owed SET last_id=GREATEST(last_id, ?), origin=IF(? >= changed_at, ?, origin), via=IF(? >= changed_at, ?, via),"
			      " changed_at=GREATEST(changed_at, ?), whole=GREATEST(whole, ?), link=IFNULL(?, link) WHERE peer=? AND record_hash=?",
	    DB_ARGS(db_u64(entry->last_id), db_text(changed_at), db_text(collapse_text(c, entry->origin)), db_text(changed_at), db_text(collapse_text(c, entry->via)),
		db_text(changed_at), db_u64(entry->whole), link == 0 ? db_null() : db_u64(link), db_text(s->peer), db_bytes(md5, PEER_HASH_BYTES)), e);
}

/* *link: that of the record under the key that the change holds, which the peer had refused under it. */
static bool
owed_link(struct settle *s, const char *table, uint64_t change, uint64_t *link, struct err *e)
{
	struct db_rows *rows = NULL;
	unsigned char md5[PEER_HASH_BYTES];
	bool more = false, ok;

	ok = db_query(s->db, "SELECT record_id FROM sync_queue WHERE id=? AND table_name=?", DB_ARGS(db_u64(change), db_text(table)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		ok = peer_record_hash(table, db_rows_text(rows, 0), db_rows_len(rows, 0), md5, e) &&
		    db_number(s->db, "SELECT link FROM sync_owed WHERE peer=? AND record_hash=? AND link IS NOT NULL", DB_ARGS(db_text(s->peer), db_bytes(md5, sizeof md5)), link, NULL, e);
	db_rows_free(rows);
	return ok;
}

/* *link: of the newest change of the same record in this group before that one, which brought a record to this key: that is
 * the one which left it. 0: none did; or the peer may know the record as it is named, since a verdict or another node told
 * of it (struct entry, told and came). */
static bool
group_link(struct settle *s, const char *table, uint64_t change, uint64_t *link, struct err *e)
{
	uint64_t from = s->from.holes.n > 0 ? s->from.holes.ranges[0].low : s->from.high + 1;
	struct db_rows *rows = NULL;
	bool more = false, made_here = false, first = true, ok;

	ok = db_query(s->db, "SELECT b.id, IFNULL(b.link, 0), b.whole OR b.via IS NOT NULL, b.operation='insert' FROM sync_queue a"
			     " STRAIGHT_JOIN sync_queue b FORCE INDEX (PRIMARY) ON b.id>=? AND b.id<a.id AND b.table_name=a.table_name AND b.record_id=a.record_id"
			     " AND b.status<>'superseded' AND NOT b.via<=>? WHERE a.id=? AND a.table_name=? ORDER BY b.id",
		 DB_ARGS(db_u64(from), db_text(s->peer), db_u64(change), db_text(table)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		bool told = db_rows_u64(rows, 2) != 0;

		if (mark_contains(&s->from, db_rows_u64(rows, 0)))
			continue;
		if (first)
			made_here = !told && db_rows_u64(rows, 3) != 0;
		first = false;
		if (db_rows_u64(rows, 1) != 0)
			*link = told && !made_here ? 0 : db_rows_u64(rows, 1);
	}
	db_rows_free(rows);
	return ok;
}

/* A key that changed twice, in the group or while the peer refused the record: the peer knows it by the first one, and
 * a later try must name that. *link: id of the change that holds it. */
static bool
first_link(struct settle *s, const char *table, uint64_t *link, struct err *e)
{
	enum { HOPS_MAX = 64 }; /* as group.c follows them */

	for (int hops = 0; *link != 0 && hops < HOPS_MAX; hops++) {
		uint64_t before = 0;

		if (!owed_link(s, table, *link, &before, e) || (before == 0 && !group_link(s, table, *link, &before, e)))
			return false;
		if (before == 0) /* the peer had it under this key, or it was made under it */
			return true;
		*link = before;
	}
	return true;
}

static const struct entry *
entry_of(const struct settle *s, const struct refusal *r)
{
	const struct entry *entry = collapse_find(&s->collapse, r->table, r->key, r->key_len);

	return entry != NULL && entry->send ? entry : NULL;
}

/* While what was owed before is still known. */
static bool
find_links(struct settle *s, struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		struct refusal_note *note = &s->notes[i];
		const struct entry *entry = entry_of(s, &note->refusal);

		note->link = entry == NULL ? 0 : entry->link;
		if (!first_link(s, note->refusal.table, &note->link, e))
			return false;
	}
	return true;
}

static bool
insert_owed(struct settle *s, const struct refusal_note *note, const struct entry *entry, const unsigned char *md5, struct err *e)
{
	const struct collapse *c = &s->collapse;
	unsigned attempts = is_counted(s, note);
	const char *state = state_after(s, note, attempts);

	return report(s, note, state, attempts) &&
	    queue_mark_rows(s->db, buf_cstr(&note->ids), strcmp(state, "parked") == 0 ? "failed" : "pending", attempts, note->refusal.reason, e) &&
	    db_exec(s->db, "INSERT INTO sync_owed (peer, record_hash, table_name, record_id, state, attempts, last_error, refused_at, last_id,"
			   " first_operation, changed_at, origin, via, whole, link, sent_epoch, queue_ids)"
			   " VALUES (?, ?, ?, ?, ?, ?, LEFT(?, 500), NOW(6), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		DB_ARGS(db_text(s->peer), db_bytes(md5, PEER_HASH_BYTES), db_text(note->refusal.table), db_bytes(note->refusal.key, note->refusal.key_len),
		    db_text(state), db_u64(attempts), db_text(note->refusal.reason), db_u64(entry->last_id), db_u64(entry->first),
		    db_text(collapse_text(c, entry->changed_at)), db_text(collapse_text(c, entry->origin)), db_text(collapse_text(c, entry->via)),
		    db_u64(entry->whole), note->link == 0 ? db_null() : db_u64(note->link), db_u64(s->upto.epoch), db_text(buf_cstr(&note->ids))), e);
}

/* A change that was sent, and superseded here before the answer came: queue_visit leaves it out. */
static bool
is_superseded(struct settle *s, const struct refusal *r)
{
	uint64_t n = 0;
	struct err ignored;

	return db_number(s->db, "SELECT 1 FROM sync_queue WHERE id<=? AND status='superseded' AND table_name=? AND record_id=? LIMIT 1",
		   DB_ARGS(db_u64(s->upto.high), db_text(r->table), db_bytes(r->key, r->key_len)), &n, NULL, &ignored) && n == 1;
}

static bool
settle_refusal(struct settle *s, const struct refusal_note *note, struct err *e)
{
	const struct refusal *r = &note->refusal;
	const struct entry *entry = entry_of(s, r);
	unsigned char md5[PEER_HASH_BYTES];

	if (entry == NULL) /* nothing new: it must have been owed before, or has lost meanwhile to what came from the peer */
		return note->known || is_superseded(s, r) || err_set(e, ERR_INPUT, "the peer refuses record %s of table %s, which it was not sent", r->key, r->table);
	if (!peer_record_hash(r->table, r->key, r->key_len, md5, e))
		return false;
	return note->known ? raise_owed(s, entry, note->link, md5, e) : insert_owed(s, note, entry, md5, e);
}

static bool
settle_refusals(struct settle *s, struct err *e)
{
	uint64_t any = 0, undecided = 0;

	if (!db_number(s->db, "SELECT 1 FROM sync_owed WHERE peer=? AND (? > 0 OR sent_epoch BETWEEN ? AND ?) LIMIT 1",
		DB_ARGS(db_text(s->peer), db_u64(s->n), db_u64(s->from.epoch + 1), db_u64(s->upto.epoch)), &any, NULL, e) ||
	    (any != 0 && !db_number(s->db, "SELECT 1 FROM sync_undecided WHERE peer=? LIMIT 1", DB_ARGS(db_text(s->peer)), &undecided, NULL, e)))
		return false;
	s->undecided = undecided != 0;
	if (s->n > 0 && !(queue_visit(s->db, &s->from, &s->upto, collect_ids, s, e) && find_links(s, e)))
		return false;
	if (any != 0 && !owed_visit(s->db, s->peer, settle_owed, s, e))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!settle_refusal(s, &s->notes[i], e))
			return false;
	return true;
}

/* --- the whole --- */

/* The last id of which every group that may still come from the peer has heard: one that it built before it had ours is
 * perhaps on its way, and says so with its floor. */
static bool
heard_id(const struct settle *s, uint64_t *id, struct err *e)
{
	*id = s->upto.high;
	if (s->header.floor >= s->upto.epoch)
		return true;
	*id = 0;
	return db_number(s->db, "SELECT high_id FROM sync_epoch WHERE epoch=?", DB_ARGS(db_u64(s->header.floor)), id, NULL, e);
}

/* Decisions that the peer's groups have heard of now. Looked at without locks first: a group that is being applied may hold
 * rows of the table for long. */
static bool
forget_decisions(struct settle *s, struct err *e)
{
	uint64_t any = 0, id;

	return heard_id(s, &id, e) && db_number(s->db, "SELECT 1 FROM sync_undecided WHERE peer=? AND decision<=? LIMIT 1", DB_ARGS(db_text(s->peer), db_u64(id)), &any, NULL, e) &&
	    (any == 0 || db_exec(s->db, "DELETE FROM sync_undecided WHERE peer=? AND decision<=?", DB_ARGS(db_text(s->peer), db_u64(id)), e));
}

static bool
write_books(struct settle *s, struct err *e)
{
	return settle_refusals(s, e) && forget_decisions(s, e) &&
	    db_exec(s->db, "UPDATE sync_peer SET acked_epoch=?, acked_stamp=?, floor_epoch=?, sent_seen=NULL, records_sent=records_sent+?,"
			   " last_success=NOW(6), last_error=NULL, failures=0, held=NULL WHERE peer=?",
		DB_ARGS(db_u64(s->upto.epoch), db_text(s->upto.stamp), db_u64(s->header.floor), db_u64(s->header.applied), db_text(s->peer)), e) &&
	    db_exec(s->db, "INSERT INTO sync_activity (peer, direction, epoch, records, refused, milliseconds) VALUES (?, 'sent', ?, ?, ?, 0)",
		DB_ARGS(db_text(s->peer), db_u64(s->upto.epoch), db_u64(s->header.applied), db_u64(s->header.refused)), e);
}

static void
settle_free(struct settle *s)
{
	for (size_t i = 0; i < s->n; i++)
		buf_free(&s->notes[i].ids);
	free(s->notes);
	mark_free(&s->from);
	mark_free(&s->upto);
	collapse_free(&s->collapse);
}

/* As after read_answer. */
static void
settle_reset(struct settle *s)
{
	for (size_t i = 0; i < s->n; i++) {
		buf_reset(&s->notes[i].ids);
		s->notes[i].known = false;
	}
	mark_free(&s->from);
	mark_free(&s->upto);
	collapse_reset(&s->collapse);
	memset(s->out, 0, sizeof *s->out);
}

static bool
settle_once(struct settle *s, bool *old, struct err *e)
{
	return db_begin(s->db, e) && load_positions(s, old, e) && (*old || write_books(s, e)) && db_commit(s->db, e);
}

bool
settle_answer(struct db *db, const struct conf *conf, const char *self, const char *peer, struct buf *answer, struct settled *out, struct err *e)
{
	struct settle s = { .db = db, .conf = conf, .self = self, .peer = peer, .out = out };
	bool old = false, ok;

	memset(out, 0, sizeof *out);
	collapse_init(&s.collapse, self, peer);
	ok = read_answer(&s, answer, e);
	for (int tries = 1; ok && !(ok = settle_once(&s, &old, e)); tries++) {
		db_rollback(db);
		if (e->code != ERR_DB_BUSY || db_is_lost(db) || tries >= SETTLE_TRIES)
			break;
		settle_reset(&s);
		ok = true;
	}
	out->applied = old ? 0 : s.header.applied;
	out->refused = old ? 0 : s.header.refused;
	settle_free(&s);
	return ok;
}

/* --- statuses and purge --- */

static bool
settle_to(struct db *db, uint64_t from, uint64_t to, struct err *e)
{
	struct mark before = { 0 }, now = { 0 };
	bool found = false, ok;

	ok = queue_load_mark(db, from, &before, &found, e) && found && queue_load_mark(db, to, &now, &found, e) && found &&
	    queue_settle(db, &before, &now, e) && db_exec(db, "UPDATE sync_node SET settled_epoch=?", DB_ARGS(db_u64(to)), e);
	mark_free(&before);
	mark_free(&now);
	if (!ok && !found)
		return err_set(e, ERR_DB_MISSING, "an epoch is missing in sync_epoch: the sync schema was damaged");
	return ok;
}

bool
settle_again(struct db *db, struct err *e)
{
	struct mark before = { 0 }, now = { 0 };
	uint64_t settled, first;
	bool found = false, ok;

	if (!db_number(db, "SELECT settled_epoch FROM sync_node", DB_NO_ARGS, &settled, NULL, e) ||
	    !db_number(db, "SELECT MIN(id) FROM sync_queue", DB_NO_ARGS, &first, NULL, e) || !queue_load_mark(db, settled, &now, &found, e))
		return false;
	before.high = first > 0 ? first - 1 : 0;
	ok = !found || queue_settle(db, &before, &now, e);
	mark_free(&now);
	return ok;
}

bool
settle_newest(struct db *db, struct err *e)
{
	struct mark last = { 0 };
	uint64_t settled;
	bool ok = db_number(db, "SELECT settled_epoch FROM sync_node", DB_NO_ARGS, &settled, NULL, e) && queue_last_mark(db, &last, e) &&
	    (last.epoch <= settled || settle_to(db, settled, last.epoch, e));

	mark_free(&last);
	return ok;
}

void
settle_put_lapsed(char *out, size_t size, const char *peer, unsigned days)
{
	(void)snprintf(out, size, "peer %s has taken nothing for %u days (retention_days), and what waited for it is given up: run agent --startup there when it is back,"
				  " or agent --install --peer %s here: the link begins anew, all tables are compared and merged", peer, days, peer);
}

static bool
give_up(const char *peer, void *arg, struct err *e)
{
	struct settle *s = arg;
	char text[ERR_MSG_MAX];

	settle_put_lapsed(text, sizeof text, peer, s->conf->sync.retention_days);
	log_warning(peer, "%s", text);
	return peer_lapse(s->db, peer, text, e);
}

/* What nobody sends is marked once a day, so that its age is known. */
static bool
mark_of_the_day(struct db *db, struct err *e)
{
	struct mark last = { 0 }, next = { 0 };
	bool grew = false, ok;
	uint64_t due;

	if (!db_number(db, "SELECT 1 FROM (SELECT marked_at FROM sync_epoch ORDER BY epoch DESC LIMIT 1) l WHERE marked_at < NOW(6) - INTERVAL 1 DAY", DB_NO_ARGS, &due, NULL, e))
		return false;
	if (due == 0)
		return true;
	ok = db_begin_snapshot(db, e) && queue_last_mark(db, &last, e) && queue_next_mark(db, &last, &next, &grew, e) &&
	    (!grew || queue_store_mark(db, &next, e)) && db_commit(db, e);
	if (!ok)
		db_rollback(db);
	mark_free(&last);
	mark_free(&next);
	if (!ok && e->code == ERR_DB_DUPLICATE) { /* a drain has just made it */
		err_clear(e);
		return true;
	}
	return ok;
}

static bool
purge(struct db *db, const struct conf *conf, struct err *e)
{
	struct mark keep = { 0 };
	uint64_t rows_from, marks_from, removed, revived = 0;
	bool found = false, ok;

	if (!peer_rows_needed_from(db, &rows_from, e) || !peer_marks_needed_from(db, &marks_from, e) || !queue_load_mark(db, rows_from, &keep, &found, e))
		return false;
	ok = !found || (queue_bury_holes(db, &keep, &revived, e) && queue_purge(db, &keep, conf->sync.retention_days, &removed, e));
	if (revived > 0)
		log_warning(NULL, "%llu changes were committed by transactions that had been taken for dead; they are sent now", (unsigned long long)revived);
	mark_free(&keep);
	/* Marks below what anybody may still name go with time; the oldest one needed stays. */
	return ok && inbox_purge(db, conf->sync.retention_days, e) &&
	    db_exec(db, "DELETE FROM sync_epoch WHERE epoch<? AND marked_at < NOW(6) - INTERVAL ? DAY ORDER BY epoch LIMIT 10000",
		DB_ARGS(db_u64(marks_from), db_u64(conf->sync.retention_days)), e) &&
	    db_exec(db, "DELETE FROM sync_activity WHERE id + ? <= (SELECT * FROM (SELECT MAX(id) FROM sync_activity) m)", DB_ARGS(db_u64(ACTIVITY_KEPT)), e);
}

bool
settle_statuses(struct db *db, const struct conf *conf, struct err *e)
{
	struct settle s = { .db = db, .conf = conf };
	uint64_t settled, all_have;

	if (!mark_of_the_day(db, e) || !peer_find_lapsed(db, conf->sync.retention_days, give_up, &s, e) ||
	    !db_number(db, "SELECT settled_epoch FROM sync_node", DB_NO_ARGS, &settled, NULL, e) || !peer_all_have(db, &all_have, e))
		return false;
	if (all_have > settled && !settle_to(db, settled, all_have, e))
		return false;
	return purge(db, conf, e) && ceiling_keep(db, conf, e);
}
