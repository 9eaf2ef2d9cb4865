/* Outcomes. Lives here: the kept conflict, superseded local changes, the relay. Not here: the
 * verdict (apply/judge), the row itself (apply/span). */
#include "config.h"

#include "apply/outcome.h"

#include <string.h>

#include "apply/family.h"
#include "apply/inbox.h"
#include "apply/judge.h"
#include "base/plant.h"

/* --- the conflict --- */

/* Keep both versions whole. */
static bool
keep_conflict(struct chunk *c, const struct item *item, struct err *e)
{
	static const char *const verdict[] = { "apply", "keep", "ask" };
	const struct record_meta *m = &item->meta;
	struct buf local, remote;
	bool ok;

	buf_init(&local, INBOX_ROW_MAX);
	buf_init(&remote, INBOX_ROW_MAX);
	if (item->local != NULL)
		inbox_put_row(&local, c->target.table, c->target.map, item->local);
	if (m->operation != 'd')
		inbox_put_row(&remote, c->target.table, c->target.map, item->values);
	ok = buf_check(&local, "a kept version", e) && buf_check(&remote, "a kept version", e) &&
	    inbox_keep(c->pass->db, &(struct inbox_conflict){
		.peer = c->pass->peer,
		.table = c->target.table->name,
		.key = m->key,
		.key_len = m->key_len,
		.rule = item->kept ? "child" : "newer",
		.verdict = verdict[item->decision.verdict],
		.local = { item->local_changed_at, item->local_node, local.data, local.len, c->target.table->checks },
		.remote = { m->changed_at, judge_node(c, item), remote.data, remote.len, c->target.checks },
	    }, e);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

/* --- the losers --- */

/* The concurrent local changes lost: nobody is sent them any more. */
static bool
supersede(struct chunk *c, const struct item *item, struct err *e)
{
	const char *table = c->target.table->name;
	unsigned char hash[PEER_HASH_BYTES];
	const struct mark *seen;

	if (!judge_seen(c, item, &seen, e))
		return false;
	for (size_t i = 0; i < item->look_n; i++) {
		const struct local_change *lc = &c->pass->look.changes[item->look_from + i];

		if (!mark_contains(seen, lc->id) &&
		    !db_exec(c->pass->db, "UPDATE sync_queue SET status='superseded' WHERE id=?",
			DB_ARGS(db_u64(lc->id)), e))
			return false;
	}
	return peer_record_hash(table, item->meta.key, item->meta.key_len, hash, e) &&
	    db_exec(c->pass->db, "DELETE FROM sync_owed WHERE record_hash=?",
		DB_ARGS(db_bytes(hash, sizeof hash)), e);
}

/* --- the other peers --- */

static bool
relay_item(struct chunk *c, const struct item *item, struct err *e)
{
	bool incoming = item->decision.verdict == VERDICT_APPLY;
	bool present = incoming ? item->meta.operation != 'd' : item->local != NULL;
	struct relay r = {
		.table = c->target.table->name,
		.key = item->meta.key,
		.key_len = item->meta.key_len,
		.changed_at = incoming ? item->meta.changed_at : item->local_changed_at,
		.node = incoming ? judge_node(c, item) : item->local_node,
		.whole = item->meta.whole,
		.requeue = item->decision.requeue,
	};

	if (!incoming && !item->decision.requeue)
		return true; /* our own change is still on its way to everybody */
	if (!present)
		r.operation = OP_DELETE;
	else
		r.operation = item->meta.operation == 'i' || r.requeue ? OP_INSERT : OP_UPDATE;
	if (incoming && item->meta.old_key != NULL) { /* the others move their row as well */
		struct relay old = r;

		old.key = item->meta.old_key;
		old.key_len = item->meta.old_key_len;
		old.operation = OP_DELETE;
		r.operation = OP_INSERT;
		r.linked = true;
		if (!pass_relay(c->pass, &old, e))
			return false;
	}
	return pass_relay(c->pass, &r, e);
}

bool
outcome_finish(struct chunk *c, struct item *item, struct err *e)
{
	item->done = true;
	c->pass->applied++;
	if (item->shape == TARGET_DELETE && !pass_note_lost(c->pass, c->target.table, 1, e))
		return false;
	if (item->decision.conflict && !plant_is(PLANT_LOSER_DROPPED) && !keep_conflict(c, item, e))
		return false;
	if (item->decision.supersede && item->concurrent > 0 && !supersede(c, item, e))
		return false;
	return family_relay(c, item, e) && relay_item(c, item, e);
}
