/* Peers that left agent.conf: when they are forgotten, and what follows for what they were owed. Not here: the
 * SQL of positions and debts (change/peer), what a beginning is (change/renewal), statuses (sync/settle). */
#include "sync/parting.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "change/filling.h"
#include "change/queue.h"
#include "change/renewal.h"
#include "sync/settle.h"

/* --- leaving --- */

struct release {
	struct db *db;
	uint64_t n;
};

/* What the peer refused is no debt any more. One that a person discarded is settled or superseded already. */
static bool
release_debt(const struct owed *o, void *arg, struct err *e)
{
	struct release *r = arg;

	if (strcmp(o->state, "discarded") == 0)
		return true;
	r->n++;
	return queue_mark_rows(r->db, o->queue_ids, "pending", 0, NULL, e);
}

/* Statuses show the worst of all peers: rows that somebody else is owed too stay as they were. */
static bool
keep_debt(const struct owed *o, void *arg, struct err *e)
{
	struct release *r = arg;

	if (strcmp(o->state, "discarded") == 0)
		return true;
	return queue_mark_rows(r->db, o->queue_ids, strcmp(o->state, "parked") == 0 ? "failed" : "pending", o->attempts, o->last_error, e);
}

static bool
leave_in_transaction(struct db *db, const struct conf *conf, const char *peer, struct err *e)
{
	struct release r = { .db = db };

	if (!owed_visit(db, peer, release_debt, &r, e) || !renewal_leave(db, peer, e))
		return false;
	for (size_t i = 0; r.n > 0 && i < conf->npeers; i++)
		if (!owed_visit(db, conf->peers[i].name, keep_debt, &r, e))
			return false;
	return r.n == 0 || settle_again(db, e);
}

static bool
leave(struct db *db, const struct conf *conf, const char *peer, struct err *e)
{
	if (db_begin(db, e) && leave_in_transaction(db, conf, peer, e) && db_commit(db, e))
		return true;
	db_rollback(db);
	return false;
}

/* Nobody is left to wait for. What is captured from here on waits for the first peer that comes. */
static bool
settle_for_nobody(struct db *db, struct err *e)
{
	return renewal_mark_all(db, e) && settle_newest(db, e);
}

/* A startup from somebody who left will not go on, and until it ends nothing is taken from anybody. */
static bool
end_startup(struct db *db, const struct conf *conf, struct err *e)
{
	struct filling now;

	if (!filling_load(db, &now, e))
		return false;
	if (!now.any || conf_peer(conf, now.peer) != NULL)
		return true;
	log_info(now.peer, "no longer in agent.conf: this node is filled from it no further; agent --startup fills it from another peer");
	return filling_end(db, now.peer, e);
}

bool
parting_forget(struct db *db, const struct conf *conf, parting_notice *notice, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, any = false, ok;

	if (!end_startup(db, conf, e) || !db_query(db, "SELECT peer FROM sync_peer", DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const char *peer = db_rows_text(rows, 0);

		if (conf_peer(conf, peer) != NULL)
			continue;
		if (!(ok = leave(db, conf, peer, e)))
			break;
		any = true;
		log_info(peer, "no longer in agent.conf: forgotten; nothing waits for it");
		if (notice != NULL)
			notice(peer, arg);
	}
	db_rows_free(rows);
	return ok && (!any || conf->npeers > 0 || settle_for_nobody(db, e));
}

/* --- coming back --- */

bool
parting_return(struct db *db, const struct conf *conf, const char *peer, struct err *e)
{
	struct catalog *c = NULL;
	struct renewal known;
	bool news = false, ok;

	if (!renewal_load(db, peer, &known, e))
		return false;
	if (!known.left)
		return true;
	ok = catalog_read(db, conf, &c, e) && renewal_begin(db, c, peer, NULL, &news, e);
	if (ok && news)
		log_info(peer, "it is in agent.conf again: the link begins anew, all tables are compared and merged");
	catalog_free(c);
	return ok;
}
