/* Ceilings. Lives here: when one is near, when it is passed, what goes then and in which order. Not here: what goes in
 * its own time (sync/settle), what people are told of sizes (app/report). */
#include "sync/ceiling.h"

#include <stdatomic.h>
#include <stdio.h>

#include "apply/inbox.h"
#include "base/clock.h"
#include "base/log.h"
#include "change/peer.h"
#include "change/queue.h"
#include "change/renewal.h"

enum {
	REST_SHARE = 100,   /* a count rests so many times as long as it took */
	REST_MIN_MS = 1000,
	CONFLICTS_MS = 500, /* of one removal: changes are to be sent meanwhile */
	PERCENT = 100
};

/* When to count again, and what has been said, in this process: each of its threads drains to another peer, and all ask. */
static atomic_int_fast64_t rest_until_ms;
static atomic_bool said_queue, said_conflicts;

bool
ceiling_is_near(uint64_t n, unsigned most)
{
	return n > (uint64_t)most * CEILING_WARN_PERCENT / PERCENT;
}

/* The distance of the ids is never too low and costs nothing; where it is not enough to know, rows are counted. */
static bool
count_rows(struct db *db, const char *distance, const char *rows, unsigned most, uint64_t *n, struct err *e)
{
	return db_number(db, distance, DB_NO_ARGS, n, NULL, e) && (!ceiling_is_near(*n, most) || db_number(db, rows, DB_NO_ARGS, n, NULL, e));
}

/* Once when it comes near, and again when it has been far from it meanwhile. */
static void
warn(atomic_bool *said, uint64_t n, unsigned most, const char *what, const char *option)
{
	if (!ceiling_is_near(n, most))
		atomic_store(said, false);
	else if (!atomic_exchange(said, true))
		log_warning(NULL, "%llu %s are kept, and [sync] %s allows %u: agent --status says what to do before it is reached", (unsigned long long)n, what, option, most);
}

/* --- the queue --- */

/* Of those that something waits for and that have taken nothing for an hour, the one that has waited longest. */
static const char sql_furthest[] =
    "SELECT peer FROM sync_peer WHERE peer NOT IN (SELECT peer FROM sync_lapsed) AND GREATEST(acked_epoch, quiet_epoch) < (SELECT MAX(epoch) FROM sync_epoch)"
    " AND (last_success IS NULL OR last_success < NOW(6) - INTERVAL 1 HOUR) ORDER BY GREATEST(acked_epoch, quiet_epoch), peer LIMIT 1";

static bool
furthest_behind(struct db *db, char peer[CONF_NAME_MAX + 1], struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	peer[0] = '\0';
	ok = db_query(db, sql_furthest, DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		(void)snprintf(peer, CONF_NAME_MAX + 1, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

/* What nobody has been sent has to be in a mark, else it would be kept for the peer that is given up. */
static bool
give_up(struct db *db, const struct conf *conf, uint64_t n, struct err *e)
{
	char peer[CONF_NAME_MAX + 1], text[ERR_MSG_MAX];

	if (!renewal_mark_all(db, e) || !furthest_behind(db, peer, e))
		return false;
	if (peer[0] == '\0')
		return true;
	(void)snprintf(text, sizeof text, "the queue holds %llu changes (max_queue = %u) and peer %s takes none: what waited for it is given up. Run agent --startup there when it"
					  " is back, or agent --install --peer %s here: the link begins anew, all tables are compared and merged",
	    (unsigned long long)n, conf->sync.max_queue, peer, peer);
	log_warning(peer, "%s", text);
	return peer_lapse(db, peer, text, e);
}

/* Whatever nobody needs, however young. */
static bool
purge_early(struct db *db, uint64_t *removed, struct err *e)
{
	struct mark keep = { 0 };
	uint64_t epoch;
	bool found = false, ok;

	*removed = 0;
	if (!peer_rows_needed_from(db, &epoch, e) || !queue_load_mark(db, epoch, &keep, &found, e))
		return false;
	ok = !found || queue_purge(db, &keep, 0, removed, e);
	mark_free(&keep);
	return ok;
}

static bool
keep_queue(struct db *db, const struct conf *conf, struct err *e)
{
	uint64_t n, removed;

	if (!count_rows(db, "SELECT IFNULL(MAX(id)-MIN(id)+1, 0) FROM sync_queue", "SELECT COUNT(*) FROM sync_queue", conf->sync.max_queue, &n, e))
		return false;
	warn(&said_queue, n, conf->sync.max_queue, "changes", "max_queue");
	if (n <= conf->sync.max_queue)
		return true;
	if (!purge_early(db, &removed, e))
		return false;
	if (removed == 0)
		return give_up(db, conf, n, e);
	log_warning(NULL, "the queue holds %llu changes (max_queue = %u): %llu that every peer has are removed before retention_days", (unsigned long long)n,
	    conf->sync.max_queue, (unsigned long long)removed);
	return true;
}

/* --- conflicts --- */

static bool
keep_conflicts(struct db *db, const struct conf *conf, struct err *e)
{
	int64_t until = clock_mono_ms() + CONFLICTS_MS;
	unsigned most = conf->sync.max_conflicts;
	uint64_t n, surplus, removed = 0, now;
	bool ok = count_rows(db, "SELECT IFNULL(MAX(id)-MIN(id)+1, 0) FROM sync_conflict", "SELECT COUNT(*) FROM sync_conflict", most, &n, e);

	if (!ok)
		return false;
	warn(&said_conflicts, n, most, "conflicts", "max_conflicts");
	surplus = n > most ? n - most : 0;
	for (now = 1; ok && now > 0 && removed < surplus && clock_mono_ms() < until; removed += now)
		ok = inbox_purge_early(db, surplus - removed, &now, e);
	if (removed > 0)
		log_warning(NULL, "%llu conflicts are kept (max_conflicts = %u): the oldest %llu that were decided more than a day ago are removed before their time",
		    (unsigned long long)n, most, (unsigned long long)removed);
	return ok;
}

bool
ceiling_keep(struct db *db, const struct conf *conf, struct err *e)
{
	int64_t began = clock_mono_ms(), took, rest;

	if (began < atomic_load(&rest_until_ms))
		return true;
	if (!keep_queue(db, conf, e) || !keep_conflicts(db, conf, e))
		return false;
	took = clock_mono_ms() - began;
	rest = took * REST_SHARE > REST_MIN_MS ? took * REST_SHARE : REST_MIN_MS;
	atomic_store(&rest_until_ms, clock_mono_ms() + rest);
	return true;
}
