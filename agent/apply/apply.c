/* One group, one transaction. Lives here: checking where the group belongs, choosing the way, the cursor,
 * the answer. Not here: writing records (apply/quick, apply/careful). */
#include "config.h"

#include "apply/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/careful.h"
#include "apply/position.h"
#include "apply/preference.h"
#include "apply/quick.h"
#include "apply/rehearse.h"
#include "apply/rekey.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/plant.h"
#include "capture/body.h"
#include "capture/guard.h"
#include "change/allowance.h"
#include "change/filling.h"

struct applier {
	struct db *db;
	const struct conf *conf;
	const struct node_identity *node;
	struct catalog *catalog;
	bool watch; /* deletions may be held back, or a yes to some be open: true until found otherwise */
};

bool
applier_new(struct db *db, const struct conf *conf, const struct node_identity *node, struct applier **out, struct err *e)
{
	struct applier *a;
	char skip[TEMPLATE_NAME_MAX], sql[128];
	int len;

	*out = NULL;
	body_skip_variable(node->token, skip);
	len = snprintf(sql, sizeof sql, plant_is(PLANT_ECHO) ? "SET @%s=NULL" : "SET @%s=1", skip);
	if (!db_exec_text(db, sql, (size_t)len, e))
		return false;
	a = calloc(1, sizeof *a);
	if (a == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for applying");
	a->db = db;
	a->conf = conf;
	a->node = node;
	a->watch = true;
	*out = a;
	return true;
}

void
applier_free(struct applier *a)
{
	if (a == NULL)
		return;
	catalog_free(a->catalog);
	free(a);
}

static void
forget_catalog(struct applier *a)
{
	catalog_free(a->catalog);
	a->catalog = NULL;
}

/* --- position --- */

static bool
say_no(struct buf *answer, int *status, const char *code, const char *text, const struct cursor_state *cursor)
{
	struct position p = { .epoch = cursor->epoch };

	memcpy(p.stamp, cursor->stamp, sizeof p.stamp);
	*status = 409;
	message_put_error(answer, code, text, &p);
	return true;
}

/* Where the group stands against the cursor. *answered: the answer is ready and nothing is to be applied. */
static bool
check_cursor(struct pass *p, bool *answered, int *status, struct buf *answer, struct err *e)
{
	struct standing s = position_of_group(&p->header, &p->cursor);

	*answered = s.kind != STANDING_NEXT;
	if (s.kind == STANDING_REFUSED)
		return say_no(answer, status, s.code, s.text, &p->cursor);
	if (s.kind == STANDING_NEXT)
		return true;
	if (p->rehearsal)
		return say_no(answer, status, "ahead", "the group is here already", &p->cursor);
	*status = 200; /* applied before: the same answer again */
	return cursor_answer(p->db, p->peer, answer, e);
}

/* The mark that the sender has seen of us. */
static bool
check_seen(struct pass *p, const struct node_identity *node, bool *answered, int *status, struct buf *answer, struct err *e)
{
	const struct group_header *h = &p->header;
	struct peer_state state;
	struct standing s;
	bool found;

	*answered = true;
	mark_free(&p->seen);
	/* A sender that has received nothing from us has seen what there was when it was registered. */
	if (!peer_load(p->db, p->peer, &state, e) ||
	    !queue_load_mark(p->db, h->seen.stamp[0] == '\0' ? state.start_epoch : h->seen.epoch, &p->seen, &found, e))
		return false;
	p->start_epoch = state.start_epoch;
	s = position_of_seen(h, node->incarnation, found && !state.lapsed ? &p->seen : NULL, state.floor_epoch);
	*answered = s.kind == STANDING_REFUSED;
	return !*answered || say_no(answer, status, s.code, s.text, &p->cursor);
}

/* --- closing the books --- */

/* Forget unsettled records that were settled now: those neither refused again nor listed as owed. */
struct settle_list {
	struct pass *pass;
	unsigned char (*gone)[PEER_HASH_BYTES];
	size_t n;
};

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Hashes of the records that stay unsettled: refused now, or listed as owed. p->owed takes them all. */
static bool
gather_open(struct pass *p, struct err *e)
{
	for (size_t i = 0; i < p->refused.n; i++) {
		const struct refused *r = &p->refused.items[i];

		if (!pass_note_open(p, record_hash(r->table, r->key, r->key_len), e))
			return false;
	}
	if (p->nowed > 1)
		qsort(p->owed, p->nowed, sizeof *p->owed, by_value);
	return true;
}

static bool
collect_gone(const char *table, const char *key, size_t key_len, uint64_t seen_before, void *arg, struct err *e)
{
	struct settle_list *l = arg;
	uint64_t hash = record_hash(table, key, key_len);
	void *grown;

	(void)seen_before;
	if (l->pass->nowed > 0 && bsearch(&hash, l->pass->owed, l->pass->nowed, sizeof hash, by_value) != NULL)
		return true;
	grown = realloc(l->gone, (l->n + 1) * sizeof *l->gone);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for settled records");
	l->gone = grown;
	return peer_record_hash(table, key, key_len, l->gone[l->n++], e);
}

static bool
forget_settled(struct pass *p, struct err *e)
{
	struct settle_list l = { .pass = p };
	uint64_t any = 0;
	bool ok;

	/* Nearly always empty: one look at the index is all. */
	ok = db_number(p->db, "SELECT 1 FROM sync_unsettled WHERE peer=? LIMIT 1", DB_ARGS(db_text(p->peer)), &any, NULL, e);
	if (ok && any != 0)
		ok = gather_open(p, e) && unsettled_visit(p->db, p->peer, collect_gone, &l, e);
	for (size_t i = 0; ok && i < l.n; i++)
		ok = db_exec(p->db, "DELETE FROM sync_unsettled WHERE peer=? AND record_hash=?", DB_ARGS(db_text(p->peer), db_bytes(l.gone[i], PEER_HASH_BYTES)), e);
	free(l.gone);
	return ok;
}

static bool
note_refused(struct pass *p, struct err *e)
{
	static const char *const kind[] = { "refused", "waiting", "collision", "manual" };

	for (size_t i = 0; i < p->refused.n; i++) {
		const struct refused *r = &p->refused.items[i];
		unsigned char hash[PEER_HASH_BYTES];

		/* seen_before of an earlier refusal is not moved by a later one. */
		if (!peer_record_hash(r->table, r->key, r->key_len, hash, e) ||
		    !db_exec(p->db, "INSERT INTO sync_unsettled (peer, record_hash, table_name, record_id, seen_before, kind, reason)"
				    " VALUES (?, ?, ?, ?, ?, ?, LEFT(?, 500)) ON DUPLICATE KEY UPDATE kind=VALUES(kind), reason=VALUES(reason)",
			DB_ARGS(db_text(p->peer), db_bytes(hash, sizeof hash), db_text(r->table), db_bytes(r->key, r->key_len),
			    db_u64(p->cursor.epoch), db_text(kind[r->kind]), db_text(r->reason)), e))
			return false;
	}
	return true;
}

static void
put_answer(const struct pass *p, uint64_t floor, struct buf *answer)
{
	struct answer_header h = { .cursor = p->header.upto, .applied = p->applied, .refused = p->refused.n, .floor = floor };

	message_put_answer(answer, &h);
	for (size_t i = 0; i < p->refused.n; i++) {
		const struct refused *r = &p->refused.items[i];

		message_put_refusal(answer, &(struct refusal){ r->table, r->key, r->key_len, r->reason, r->kind != REFUSED_WAITING });
	}
}

static const char sql_cursor[] =
    "UPDATE sync_cursor SET incarnation=?, epoch=?, stamp=?, seen_epoch=?, answer=?,"
    " records_applied=records_applied+?, applied_at=NOW(6) WHERE peer=?";
static const char sql_activity[] =
    "INSERT INTO sync_activity (peer, direction, epoch, records, refused, milliseconds) VALUES (?, 'applied', ?, ?, ?, ?)";

/* Changes that were told under another key while this went on were not looked for. */
static bool
check_keys(const struct pass *p, struct err *e)
{
	bool news = false;

	return rekey_is_news(p->db, p->catalog, &news, e) && (!news || err_set(e, ERR_DB_BUSY, "a table's primary key was altered meanwhile"));
}

enum {
	REFUSED_SHOWN = 10 /* refused records that get a line in the log */
};

/* What came of the group, as people grep for it. The sender names what was refused, too, and how often it tries. */
static void
log_outcome(const struct pass *p)
{
	for (size_t i = 0; i < p->refused.n && i < REFUSED_SHOWN; i++) {
		const struct refused *r = &p->refused.items[i];

		log_warning(p->peer, "Sync refused here: table %s record %.*s: %s", r->table, (int)r->key_len, r->key, r->reason);
	}
	log_info(p->peer, "Sync applied: %llu records up to epoch %llu, %zu refused", (unsigned long long)p->applied, (unsigned long long)p->header.upto.epoch,
	    p->refused.n);
}

static bool
finish(struct pass *p, int64_t started_ms, struct buf *answer, struct err *e)
{
	const struct group_header *h = &p->header;
	uint64_t floor;

	if (!check_keys(p, e) || !forget_settled(p, e) || !note_refused(p, e) ||
	    !db_exec(p->db, "UPDATE sync_cursor SET epoch=? WHERE peer=?", DB_ARGS(db_u64(h->upto.epoch), db_text(p->peer)), e) ||
	    !cursor_floor(p->db, p->peer, &floor, e))
		return false;
	put_answer(p, floor, answer);
	return buf_check(answer, "an answer", e) &&
	    db_exec(p->db, sql_cursor, DB_ARGS(db_text(h->incarnation), db_u64(h->upto.epoch), db_text(h->upto.stamp), db_u64(h->seen.epoch),
		db_text_n(buf_cstr(answer), answer->len), db_u64(p->applied), db_text(p->peer)), e) &&
	    db_exec(p->db, sql_activity, DB_ARGS(db_text(p->peer), db_u64(h->upto.epoch), db_u64(p->applied), db_u64(p->refused.n),
		db_u64((uint64_t)(clock_mono_ms() - started_ms))), e) &&
	    (plant_is(PLANT_ANSWER_FIRST) || db_commit(p->db, e));
}

/* --- the brake on mass deletion --- */

/* What was removed here, as max_delete counts it. reason "": go on. */
static bool
check_losses(struct pass *p, char reason[ALLOWANCE_TEXT_MAX], struct err *e)
{
	const struct allowance judged = { p->db, p->conf, p->peer, ALLOWANCE_APPLIED, p->cursor.epoch, p->header.upto.epoch, false };
	struct allowance_loss *losses;
	bool yes = false, ok;
	size_t n = 0;

	reason[0] = '\0';
	if (p->lost == NULL)
		return true;
	losses = calloc(p->catalog->ntables + 1, sizeof *losses);
	if (losses == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	for (size_t i = 0; i < p->catalog->ntables; i++)
		if (p->lost[i] > 0)
			losses[n++] = (struct allowance_loss){ p->catalog->tables[i].name, p->lost[i] };
	ok = allowance_check(&judged, losses, n, reason, e) && (reason[0] == '\0' || allowance_granted(p->db, p->peer, &yes, e));
	free(losses);
	if (yes)
		reason[0] = '\0';
	return ok;
}

/* Commit. What waited of the peer, and a yes to it, end with that; most of the time there is neither. */
static bool
finish_watched(struct applier *a, struct pass *p, int64_t started_ms, struct buf *answer, struct err *e)
{
	bool quiet = false;
	struct err ignored;

	if ((a->watch && !allowance_applied(a->db, p->peer, p->header.last, e)) || !finish(p, started_ms, answer, e))
		return false;
	log_outcome(p);
	if (a->watch && allowance_is_quiet(a->db, &quiet, &ignored))
		a->watch = !quiet;
	return true;
}

/* Nothing of the group stays; the sender's link waits, and here --status says why. */
static bool
hold_back(struct applier *a, const struct pass *p, const char *reason, int *status, struct buf *answer, struct err *e)
{
	char text[MESSAGE_REASON_MAX];

	db_rollback(a->db);
	a->watch = true;
	(void)snprintf(text, sizeof text, "%.300s: if that is meant, run agent --drain --allow-deletes --peer %s on %s", reason, p->peer, a->node->name);
	log_warning(p->peer, "its deletions are held back: %s", text);
	return allowance_wait(a->db, p->peer, text, e) && say_no(answer, status, "deletes", text, &p->cursor);
}

/* --- one try --- */

/* While this node fills itself, copied rows must not meet changes of the same rows on their way: these come when it is
 * done. Asked with the cursor locked, for which a startup waits when it begins. */
static bool
check_filling(const struct pass *p, bool *answered, int *status, struct buf *answer, struct err *e)
{
	char text[MESSAGE_REASON_MAX];
	struct filling f;

	if (!filling_load(p->db, &f, e))
		return false;
	/* A peer that is in agent.conf no more can fill nothing. */
	*answered = f.awaited || (f.any && conf_peer(p->conf, f.peer) != NULL);
	if (!*answered)
		return true;
	if (f.awaited)
		(void)snprintf(text, sizeof text, "%s has no rows yet, and asks its peers for them first", p->conf->node.name);
	else
		(void)snprintf(text, sizeof text, "%s is being filled from %s (agent --startup)", p->conf->node.name, f.peer);
	*status = 503;
	message_put_error(answer, "filling", text, NULL);
	return true;
}

static bool
begin(struct applier *a, struct pass *p, bool *answered, int *status, struct buf *answer, struct err *e)
{
	pass_reset(p);
	return db_begin(a->db, e) && queue_times(a->db, 0, a->conf->sync.max_clock_skew_ms, &p->times, e) && cursor_load(a->db, p->peer, true, &p->cursor, e) &&
	    check_filling(p, answered, status, answer, e) && (*answered || check_cursor(p, answered, status, answer, e)) &&
	    (*answered || check_seen(p, a->node, answered, status, answer, e));
}

/* What is known of the tables, as it is now. */
static bool
refresh(struct applier *a, struct err *e)
{
	return catalog_refresh(a->db, a->conf, &a->catalog, e) && guard_refresh(a->db, a->conf, a->catalog, a->node, e) && rekey_refresh(a->db, a->catalog, e);
}

static bool
try_once(struct applier *a, struct pass *p, struct pass_reader *r, int *status, struct buf *answer, struct err *e)
{
	int64_t started_ms = clock_mono_ms();
	bool answered = false, careful = false;
	char reason[ALLOWANCE_TEXT_MAX];

	if (!begin(a, p, &answered, status, answer, e))
		return false;
	if (answered)
		return db_commit(a->db, e);
	if (plant_is(PLANT_POSITION_FIRST) &&
	    (!db_exec(a->db, "UPDATE sync_cursor SET epoch=?, stamp=? WHERE peer=?", DB_ARGS(db_u64(p->header.upto.epoch), db_text(p->header.upto.stamp), db_text(p->peer)), e) ||
		!db_commit(a->db, e) || !db_begin(a->db, e)))
		return false;
	if (!quick_apply(p, r, &careful, e))
		return plant_is(PLANT_NO_ROLLBACK) && e->code == ERR_DB_BUSY && (*status = 200) != 0 && finish(p, started_ms, answer, e);
	if (careful) {
		db_rollback(a->db);
		/* A table may look otherwise than remembered: read it again before refusing anything. */
		forget_catalog(a);
		if (!refresh(a, e))
			return false;
		if (!pass_use(p, a->catalog, e) || !begin(a, p, &answered, status, answer, e))
			return false;
		if (answered)
			return db_commit(a->db, e);
		if (!careful_apply(p, r, e))
			return false;
	}
	if (!check_losses(p, reason, e))
		return false;
	if (reason[0] != '\0')
		return hold_back(a, p, reason, status, answer, e);
	*status = 200;
	return finish_watched(a, p, started_ms, answer, e);
}

static bool
may_try_again(struct applier *a, const struct err *e, int tries)
{
	if (db_is_lost(a->db) || tries >= APPLY_TRIES)
		return false;
	return e->code == ERR_DB_BUSY || e->code == ERR_DB_MISSING;
}

static bool
check_sender(struct pass *p, struct pass_reader *r, struct err *e)
{
	if (!pass_begin(p, r, e))
		return false;
	return strcmp(p->header.node, p->peer) == 0 ||
	    err_set(e, ERR_INPUT, "the group claims to come from %s", p->header.node);
}

/* A rule may decide what was refused for a unique value, as a person would: with changes of its own, which travel as
 * any other. The group is applied; what fails here is tried again by the next drain. */
static void
decide_rivals(struct applier *a, const struct pass *p)
{
	struct err later;

	if (p->rivals && !preference_decide(a->db, a->node, a->catalog, p->peer, &later))
		log_warning(p->peer, "rows with one unique value are decided later: %s", later.msg);
}

bool
apply_group(struct applier *a, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e)
{
	struct pass p = { .db = a->db, .conf = a->conf, .peer = peer, .relay = a->conf->npeers > 1, .spool = spool };
	struct pass_reader *r = calloc(1, sizeof *r);
	bool ok = false;

	if (r == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for applying");
	if (!check_sender(&p, r, e))
		goto out;
	for (int tries = 1; !ok; tries++) {
		/* Before the transaction: guarding a trigger that the app has made anew is DDL. */
		if (!refresh(a, e) || !pass_use(&p, a->catalog, e))
			break;
		buf_reset(answer);
		ok = try_once(a, &p, r, status, answer, e);
		if (ok)
			break;
		db_rollback(a->db);
		if (e->code == ERR_HELD) { /* a time that this clock has not come to */
			log_warning(peer, "its changes are held: %s", e->msg);
			buf_reset(answer);
			ok = say_no(answer, status, "clock", e->msg, &p.cursor);
			break;
		}
		forget_catalog(a);
		if (!may_try_again(a, e, tries))
			break;
	}
	if (ok)
		decide_rivals(a, &p);
out:
	pass_reader_free(r);
	pass_free(&p);
	free(r);
	return ok;
}

static bool
rehearse(struct applier *a, struct pass *p, struct pass_reader *r, int *status, struct buf *answer, struct err *e)
{
	bool answered = false;

	*status = 200;
	if (!check_sender(p, r, e) || !catalog_refresh(a->db, a->conf, &a->catalog, e) || !rekey_refresh(a->db, a->catalog, e) || !pass_use(p, a->catalog, e))
		return false;
	pass_reset(p); /* the look reads what changes say of the tables' columns */
	return db_begin_reading(a->db, e) && queue_times(a->db, 0, a->conf->sync.max_clock_skew_ms, &p->times, e) && cursor_load(a->db, p->peer, false, &p->cursor, e) && check_cursor(p, &answered, status, answer, e) &&
	    (answered || check_seen(p, a->node, &answered, status, answer, e)) && (answered || rehearse_run(p, r, answer, e));
}

bool
apply_rehearse(struct applier *a, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e)
{
	struct pass p = { .db = a->db, .conf = a->conf, .peer = peer, .rehearsal = true, .spool = spool };
	struct pass_reader *r = calloc(1, sizeof *r);
	bool ok;

	if (r == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for rehearsing");
	ok = rehearse(a, &p, r, status, answer, e);
	db_rollback(a->db);
	if (!ok && e->code == ERR_HELD) {
		buf_reset(answer);
		ok = say_no(answer, status, "clock", e->msg, &p.cursor);
	}
	pass_reader_free(r);
	pass_free(&p);
	free(r);
	return ok;
}
