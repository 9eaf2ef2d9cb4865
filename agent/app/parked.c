/* Retrying and discarding parked records, for verbs and page. Not here: listing them (app/report, app/review). */
#include "app/parked.h"

#include <string.h>

#include "change/peer.h"
#include "change/queue.h"

/* What becomes of a parked record: its debt and all its rows in the queue. */
struct outcome {
	struct db *db;
	const char *peer;
	const char *state;
	const char *status;
	uint64_t id, n;
};

static bool
set_outcome(const struct owed *o, void *arg, struct err *e)
{
	struct outcome *to = arg;
	unsigned char md5[PEER_HASH_BYTES];

	if (strcmp(o->state, "parked") != 0 || (to->id != 0 && o->last_id != to->id))
		return true;
	to->n++;
	return peer_record_hash(o->table, o->key, o->key_len, md5, e) &&
	    queue_mark_rows(to->db, o->queue_ids, to->status, 0, o->last_error, e) &&
	    db_exec(to->db, "UPDATE sync_owed SET state=?, attempts=0 WHERE peer=? AND record_hash=?", DB_ARGS(db_text(to->state), db_text(to->peer), db_bytes(md5, sizeof md5)), e);
}

static bool
settle_all(const struct conf *conf, const struct parked_order *order, struct outcome *to, struct err *e)
{
	for (size_t i = 0; i < conf->npeers; i++) {
		to->peer = conf->peers[i].name;
		if ((order->peer == NULL || strcmp(order->peer, to->peer) == 0) && !owed_visit(to->db, to->peer, set_outcome, to, e))
			return false;
	}
	return to->n > 0 || to->id == 0 || err_set(e, ERR_USAGE, "nothing parked has the id %llu; agent --parked lists them", (unsigned long long)to->id);
}

bool
parked_settle(struct db *db, const struct conf *conf, const struct parked_order *order, uint64_t *n, struct err *e)
{
	struct outcome to = { .db = db, .state = order->again ? "retry" : "discarded", .status = order->again ? "pending" : "superseded", .id = order->id };
	bool ok;

	/* With more peers the rows may still be on their way to another one; superseded ones are never sent. */
	if (!order->again && conf->npeers > 1)
		to.status = "synced";
	ok = db_begin(db, e) && settle_all(conf, order, &to, e) && db_commit(db, e);
	if (!ok)
		db_rollback(db);
	*n = ok ? to.n : 0;
	return ok;
}
