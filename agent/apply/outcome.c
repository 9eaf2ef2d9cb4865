/* Outcomes. Lives here: the kept conflict, superseded local changes, the relay. Not here: the
 * verdict (apply/judge), the row itself (apply/span). */
#include "config.h"

#include "apply/outcome.h"

#include "apply/cascade.h"
#include "apply/columns.h"
#include "apply/follow.h"
#include "apply/inbox.h"
#include "apply/judge.h"
#include "apply/lineage.h"
#include "apply/merge.h"
#include "apply/tally.h"
#include "apply/undecided.h"
#include "base/plant.h"

/* --- the conflict --- */

const char *
outcome_rule(const struct chunk *c, const struct item *item)
{
	static const char *const name[] = { [POLICY_NEWER] = "newer", [POLICY_PREFER] = "prefer", [POLICY_MERGE] = "merge", [POLICY_MANUAL] = "manual" };

	return item->rule != NULL ? item->rule : name[c->target.table->policy];
}

/* Of a merged record: the columns that conflict are the ones in which the two rows differ. */
static bool
keep_columns(struct chunk *c, const struct item *item, struct err *e)
{
	const struct merged *m = item->merged;
	struct buf local, remote;
	bool ok;

	buf_init(&local, INBOX_ROW_MAX);
	buf_init(&remote, INBOX_ROW_MAX);
	inbox_put_row(&local, c->target.table, c->target.map, m->local);
	inbox_put_row(&remote, c->target.table, c->target.map, m->remote);
	ok = buf_check(&local, "a kept version", e) && buf_check(&remote, "a kept version", e) &&
	    inbox_keep(c->pass->db, &(struct inbox_conflict){
		.peer = c->pass->peer,
		.table = c->target.table->name,
		.key = item->meta.key,
		.key_len = item->meta.key_len,
		.rule = outcome_rule(c, item),
		.verdict = m->verdict,
		.local = { m->local_version.changed_at, m->local_version.node, local.data, local.len, c->target.table->checks },
		.remote = { m->remote_version.changed_at, m->remote_version.node, remote.data, remote.len, c->target.checks },
	    }, e);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

size_t
outcome_losers(const struct item *item, struct line_value *rows[2])
{
	rows[0] = lineage_row(item);
	rows[1] = item->local;
	if (item->local == NULL || item->old_local == NULL)
		return 1;
	if (rows[0] == item->local)
		rows[1] = item->old_local;
	return 2;
}

/* Keep the incoming version and a row of ours (NULL: none is here) whole. */
static bool
keep_row(struct chunk *c, const struct item *item, const struct line_value *row, struct err *e)
{
	static const char *const verdict[] = { "apply", "keep", "ask" };
	const struct record_meta *m = &item->meta;
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
		.rule = outcome_rule(c, item),
		.verdict = verdict[item->decision.verdict],
		.local = { item->local_changed_at, item->local_node, local.data, local.len, c->target.table->checks },
		.remote = { m->changed_at, judge_node(c, item), remote.data, remote.len, c->target.checks },
	    }, e);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

static bool
keep_conflict(struct chunk *c, const struct item *item, struct err *e)
{
	struct line_value *rows[2];
	size_t n = outcome_losers(item, rows);

	if (item->merged != NULL)
		return keep_columns(c, item, e);
	for (size_t i = 0; i < n; i++)
		if (!keep_row(c, item, rows[i], e))
			return false;
	return true;
}

/* --- the losers --- */

/* A record whose new key a peer has refused is owed no more: the end of the key that it had there is told by itself. */
static bool
forget_owed(struct chunk *c, const char *key, size_t key_len, struct err *e)
{
	const char *table = c->target.table->name;
	unsigned char hash[PEER_HASH_BYTES];
	struct db_rows *rows = NULL;
	bool more = false, ok;
	uint64_t told = 0;

	ok = peer_record_hash(table, key, key_len, hash, e) &&
	    db_query(c->pass->db, "DELETE FROM sync_owed WHERE record_hash=? RETURNING IFNULL(link, 0), queue_ids", DB_ARGS(db_bytes(hash, sizeof hash)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		uint64_t link = db_rows_u64(rows, 0);

		ok = queue_release_rows(c->pass->db, db_rows_text(rows, 1), e); /* nobody is owed those that have not lost */
		if (!ok || link == 0 || link == told) /* two peers may have refused the same */
			continue;
		ok = queue_tell_end(c->pass->db, table, link, e);
		told = link;
	}
	db_rows_free(rows);
	return ok;
}

/* A change of a key that lost may have been on its way, or refused: then its delete of the old key went with it, and
 * has to be told again by itself. So has the end of another key that the record had here. */
static bool
supersede_one(struct chunk *c, const struct local_change *lc, bool other_key, struct err *e)
{
	struct db *db = c->pass->db;
	const char *table = c->target.table->name;

	if (other_key && lc->operation == OP_DELETE && !queue_tell_end(db, table, lc->id, e))
		return false;
	return db_exec(db, "UPDATE sync_queue SET status='superseded' WHERE id=?", DB_ARGS(db_u64(lc->id)), e) &&
	    (lc->link == 0 || queue_tell_end(db, table, lc->link, e));
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
			if (!mark_contains(seen, l->changes[i].id) && !supersede_one(c, &l->changes[i], k > 0, e))
				return false;
	}
	return forget_owed(c, item->meta.key, item->meta.key_len, e) &&
	    (item->meta.old_key == NULL || forget_owed(c, item->meta.old_key, item->meta.old_key_len, e)) &&
	    (item->now_key == NULL || forget_owed(c, item->now_key, item->now_key_len, e));
}

/* --- the other peers --- */

/* An update says what it says of single columns. */
static bool
relay_one(struct chunk *c, const struct item *item, struct relay *r, struct err *e)
{
	struct columns_texts texts;
	bool ok;

	columns_texts_init(&texts);
	ok = columns_pass_on(c->pass, r, &c->target, &item->meta, &texts, e) && pass_relay(c->pass, r, e);
	columns_texts_free(&texts);
	return ok;
}

/* The keys that a record had go with it. */
static void
relay_moved(const struct item *item, struct relay r, struct relay_list *to)
{
	struct relay old = r;

	old.key = item->meta.old_key;
	old.key_len = item->meta.old_key_len;
	old.operation = OP_DELETE;
	r.operation = OP_INSERT;
	r.linked = true;
	to->items[to->n++] = old;
	to->items[to->n++] = r;
}

/* The row under the old key went although the local version stays: both sides had it under the new one already. */
static void
relay_old(const struct item *item, struct relay r, const char *node, struct relay_list *to)
{
	r.key = item->meta.old_key;
	r.key_len = item->meta.old_key_len;
	r.operation = OP_DELETE;
	r.changed_at = item->meta.changed_at;
	r.node = node;
	to->items[to->n++] = r;
}

/* The row under the old key stays: the peer, which has it under the new one, is told of it as of another record. */
static void
relay_staying(const struct item *item, struct relay r, struct relay_list *to)
{
	r.key = item->meta.old_key;
	r.key_len = item->meta.old_key_len;
	r.operation = OP_INSERT;
	r.requeue = true;
	to->items[to->n++] = r;
}

void
outcome_relays(const char *table, const char *node, const struct item *item, struct relay_list *to)
{
	bool incoming = item->decision.verdict == VERDICT_APPLY;
	bool present = incoming ? item->meta.operation != 'd' : lineage_row(item) != NULL;
	struct relay r = {
		.table = table,
		.key = item->meta.key,
		.key_len = item->meta.key_len,
		.changed_at = incoming ? item->meta.changed_at : item->local_changed_at,
		.node = incoming ? node : item->local_node,
		.whole = item->meta.whole,
		.requeue = item->decision.requeue,
	};

	to->n = 0;
	if (!incoming && !item->decision.requeue) { /* our own change is still on its way to everybody */
		if (item->drop_old)
			relay_old(item, r, node, to);
		if (item->old_stays)
			relay_staying(item, r, to);
		return;
	}
	if (item->decision.requeue && lineage_is_linked(item)) {
		lineage_requeue(item, &r, present, to);
		return;
	}
	if (!present)
		r.operation = OP_DELETE;
	else if (item->rule != NULL)
		r.operation = OP_UPDATE; /* the same record as before, no new one under its number */
	else
		r.operation = item->meta.operation == 'i' || r.requeue ? OP_INSERT : OP_UPDATE;
	if (incoming && item->meta.old_key != NULL) /* the others move their row as well */
		relay_moved(item, r, to);
	else
		to->items[to->n++] = r;
}

static bool
relay_item(struct chunk *c, const struct item *item, struct err *e)
{
	struct relay_list list;

	if (item->merged != NULL)
		return merge_relay(c, item, &(struct relay){
			.table = c->target.table->name,
			.operation = OP_UPDATE,
			.key = item->meta.key,
			.key_len = item->meta.key_len,
			.changed_at = item->meta.changed_at,
			.node = judge_node(c, item),
			.whole = item->meta.whole,
			.requeue = item->decision.requeue,
		    }, e);
	outcome_relays(c->target.table->name, judge_node(c, item), item, &list);
	for (size_t i = 0; i < list.n; i++)
		if (!relay_one(c, item, &list.items[i], e))
			return false;
	return true;
}

bool
outcome_finish(struct chunk *c, struct item *item, struct err *e)
{
	item->done = true;
	c->pass->applied++;
	if (item->shape == TARGET_DELETE && !pass_note_lost(c->pass, c->target.table, 1, e))
		return false;
	/* What the peer has refused is given up: it hears of that by the record, or it would take it for open for ever. */
	if (item->decision.supersede && item->concurrent > 0 && undecided_owes(c->pass, item->hash))
		item->decision.requeue = true;
	if (c->pass->ndisputes > 0 && !undecided_end(c, item, e))
		return false;
	if (item->decision.conflict && !plant_is(PLANT_LOSER_DROPPED) && !keep_conflict(c, item, e))
		return false;
	if (item->decision.supersede && item->concurrent > 0 && !supersede(c, item, e))
		return false;
	if (item->merged != NULL && !merge_supersede(c, item, e))
		return false;
	tally_check(c, item);
	return relay_item(c, item, e) && follow_finish(c, item, e) && cascade_finish(c, item, e) && family_done(c->pass->family, item, e);
}
