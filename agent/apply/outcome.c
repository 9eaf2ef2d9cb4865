/* Outcomes. Lives here: the kept conflict, superseded local changes, the relay. Not here: the
 * verdict (apply/judge), the row itself (apply/span). */
#include "config.h"

#include "apply/outcome.h"

#include "apply/cascade.h"
#include "apply/follow.h"
#include "apply/inbox.h"
#include "apply/judge.h"
#include "apply/lineage.h"
#include "apply/undecided.h"
#include "base/plant.h"

/* --- the conflict --- */

/* Keep both versions whole. */
static bool
keep_conflict(struct chunk *c, const struct item *item, struct err *e)
{
	static const char *const verdict[] = { "apply", "keep", "ask" };
	const struct record_meta *m = &item->meta;
	const struct line_value *row = lineage_row(item);
	struct buf local, remote;
	bool ok;

	buf_init(&local, INBOX_ROW_MAX);
	buf_init(&remote, INBOX_ROW_MAX);
	if (row != NULL)
		inbox_put_row(&local, c->target.table, c->target.map, row);
	if (m->operation != 'd')
		inbox_put_row(&remote, c->target.table, c->target.map, item->values);
	ok = buf_check(&local, "a kept version", e) && buf_check(&remote, "a kept version", e) &&
	    inbox_keep(c->pass->db, &(struct inbox_conflict){
		.peer = c->pass->peer,
		.table = c->target.table->name,
		.key = m->key,
		.key_len = m->key_len,
		.rule = item->rule == NULL ? "newer" : item->rule,
		.verdict = verdict[item->decision.verdict],
		.local = { item->local_changed_at, item->local_node, local.data, local.len, c->target.table->checks },
		.remote = { m->changed_at, judge_node(c, item), remote.data, remote.len, c->target.checks },
	    }, e);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

/* --- the losers --- */

static bool
forget_owed(struct chunk *c, const char *key, size_t key_len, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];

	return peer_record_hash(c->target.table->name, key, key_len, hash, e) &&
	    db_exec(c->pass->db, "DELETE FROM sync_owed WHERE record_hash=?", DB_ARGS(db_bytes(hash, sizeof hash)), e);
}

/* The concurrent local changes lost: nobody is sent them any more. */
static bool
supersede(struct chunk *c, const struct item *item, struct err *e)
{
	struct look *l = &c->pass->look;
	const struct mark *seen;
	size_t from, n;

	if (!judge_seen(c, item, &seen, e))
		return false;
	for (size_t k = 0; k <= item->nalso; k++) {
		look_find(l, k == 0 ? item->hash : item->also[k - 1], &from, &n);
		for (size_t i = from; i < from + n; i++)
			if (!mark_contains(seen, l->changes[i].id) &&
			    !db_exec(c->pass->db, "UPDATE sync_queue SET status='superseded' WHERE id=?", DB_ARGS(db_u64(l->changes[i].id)), e))
				return false;
	}
	return forget_owed(c, item->meta.key, item->meta.key_len, e) &&
	    (item->meta.old_key == NULL || forget_owed(c, item->meta.old_key, item->meta.old_key_len, e)) &&
	    (item->now_key == NULL || forget_owed(c, item->now_key, item->now_key_len, e));
}

/* --- the other peers --- */

static bool
relay_item(struct chunk *c, const struct item *item, struct err *e)
{
	bool incoming = item->decision.verdict == VERDICT_APPLY;
	bool present = incoming ? item->meta.operation != 'd' : lineage_row(item) != NULL;
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
	if (item->decision.requeue && lineage_is_linked(item))
		return lineage_requeue(c, item, &r, present, e);
	if (!present)
		r.operation = OP_DELETE;
	else if (item->rule != NULL)
		r.operation = OP_UPDATE; /* the same record as before, no new one under its number */
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
	if (c->pass->ndisputes > 0 && !undecided_end(c, item, e))
		return false;
	if (item->decision.conflict && !plant_is(PLANT_LOSER_DROPPED) && !keep_conflict(c, item, e))
		return false;
	if (item->decision.supersede && item->concurrent > 0 && !supersede(c, item, e))
		return false;
	return relay_item(c, item, e) && follow_finish(c, item, e) && cascade_finish(c, item, e) && family_done(c->pass->family, item, e);
}
