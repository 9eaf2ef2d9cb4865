/* One peer's drain. Lives here: the order of the steps, the peer's lock, hello. Not here: what a group
 * is (sync/group), what an answer means (sync/settle), when to run (app/verbs, app/serve). */
#include "sync/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/client.h"
#include "sync/settle.h"

enum {
	HELLO_TRIES = 2,	/* a stale session is answered 401: one new hello, nothing else */
	POSITION_TRIES = 3	/* the peer's position turned out to be another one */
};

struct drain {
	const struct conf *conf;
	const struct conf_peer *peer;
	const atomic_bool *stop;
	struct db *db;
	struct node_identity node;
	struct client *client;
	struct group group; /* keeps what is known of the tables from run to run */
	struct mark quiet;  /* everything this contains has been found to be nothing for the peer */
	bool has_quiet;
};

bool
drain_new(const struct conf *conf, const struct conf_peer *peer, const atomic_bool *stop, struct drain **out, struct err *e)
{
	struct drain *d = calloc(1, sizeof *d);

	*out = NULL;
	if (d == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a drain");
	d->conf = conf;
	d->peer = peer;
	d->stop = stop;
	*out = d;
	return true;
}

static void
disconnect(struct drain *d)
{
	if (d->db != NULL)
		group_free(&d->group);
	db_close(d->db);
	d->db = NULL;
	if (d->has_quiet)
		mark_free(&d->quiet);
	d->has_quiet = false;
}

void
drain_free(struct drain *d)
{
	if (d == NULL)
		return;
	disconnect(d);
	client_free(d->client);
	free(d);
}

static bool
connect_db(struct drain *d, struct err *e)
{
	if (d->db != NULL && db_is_lost(d->db))
		disconnect(d);
	if (d->db != NULL)
		return true;
	if (!db_open(&d->conf->database, &d->db, e))
		return false;
	group_init(&d->group, d->db, d->conf, &d->node, d->peer->name);
	if (schema_enter(d->db, d->conf, &d->node, e) && peer_register(d->db, d->peer->name, e))
		return true;
	disconnect(d);
	return false;
}

static bool
stopped(const struct drain *d)
{
	return d->stop != NULL && atomic_load(d->stop);
}

/* --- is there anything? --- */

/* The usual case of a daemon with nothing to do: one query. */
static bool
is_quiet(struct drain *d, bool *quiet, struct err *e)
{
	uint64_t high, late;

	*quiet = false;
	if (!d->has_quiet)
		return true;
	if (!queue_peek(d->db, &d->quiet, &high, &late, e))
		return false;
	*quiet = high <= d->quiet.high && late == 0;
	return true;
}

static bool
is_owed(struct drain *d, bool *owed, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(d->db, "SELECT 1 FROM sync_owed WHERE peer=? AND state IN ('retry','waiting') LIMIT 1", DB_ARGS(db_text(d->peer->name)), &n, NULL, e);

	*owed = n > 0;
	return ok;
}

bool
drain_look(struct drain *d, bool retry, bool *pending, struct err *e)
{
	struct peer_state state;
	struct mark acked = { 0 };
	uint64_t high = 0, late = 0;
	bool found = false, quiet, ok;

	*pending = false;
	if (!connect_db(d, e) || !is_quiet(d, &quiet, e))
		return false;
	if (quiet)
		return !retry || is_owed(d, pending, e);
	if (!peer_load(d->db, d->peer->name, &state, e) || !queue_load_mark(d->db, state.acked_epoch, &acked, &found, e))
		return false;
	ok = !found || queue_peek(d->db, &acked, &high, &late, e);
	*pending = !found || high > acked.high || late > 0; /* not found: group_build explains it */
	mark_free(&acked);
	return ok && (*pending || !retry || is_owed(d, pending, e));
}

/* --- hello --- */

static bool
hold(struct drain *d, struct err *e)
{
	struct err other;

	if (!peer_hold(d->db, d->peer->name, e->msg, &other))
		log_warning(d->peer->name, "cannot note that the link is held: %s", other.msg);
	return false;
}

/* A signed answer that is not 200: what the peer says, in its words. */
static bool
refused(struct drain *d, int status, const struct buf *answer, struct err *e)
{
	struct message_error m;

	if (!message_parse_error(buf_cstr(answer), answer->len, &m, e))
		return err_set(e, ERR_PEER, "%s answered HTTP %d without a reason", d->peer->url, status);
	if (strcmp(m.code, "incarnation") == 0 || strcmp(m.code, "fork") == 0 || strcmp(m.code, "too_old") == 0 || strcmp(m.code, "identity") == 0) {
		(void)err_set(e, ERR_HELD, "peer %s refuses (%s): %s", d->peer->name, m.code, m.text);
		return hold(d, e);
	}
	if (status == 503)
		return err_set(e, ERR_PEER, "peer %s cannot apply now: %s", d->peer->name, m.text);
	return err_set(e, ERR_PEER_REFUSED, "peer %s refuses (HTTP %d, %s): %s", d->peer->name, status, m.code, m.text);
}

static bool
check_clock(struct drain *d, const struct welcome *w, int64_t before_us, int64_t *skew_ms, struct err *e)
{
	int64_t after_us = clock_wall_us(), middle = before_us + (after_us - before_us) / 2;
	int64_t skew = (int64_t)w->clock_us - middle, doubt = (after_us - before_us) / 2;
	int64_t size = skew < 0 ? -skew : skew;

	*skew_ms = skew / 1000;
	if ((size - doubt) / 1000 <= d->conf->sync.max_clock_skew_ms)
		return true;
	return err_set(e, ERR_HELD, "the clocks of %s and %s differ by %lld s, more than max_clock_skew: set both clocks, then the link goes on by itself",
	    d->node.name, d->peer->name, (long long)(size / 1000000));
}

/* Is the peer who it was, and does it know us as who we are? */
static bool
check_identity(struct drain *d, const struct peer_state *state, const struct welcome *w, struct err *e)
{
	if (w->version != MESSAGE_VERSION)
		return err_set(e, ERR_PEER_REFUSED, "peer %s speaks protocol version %llu, this agent %d: bring both to the same version",
		    d->peer->name, (unsigned long long)w->version, MESSAGE_VERSION);
	if (strcmp(w->node, d->peer->name) != 0)
		return err_set(e, ERR_HELD, "%s is node '%s', not '%s': check [peer] name and url", d->peer->url, w->node, d->peer->name);
	if (strcmp(w->incarnation, d->node.incarnation) == 0)
		return err_set(e, ERR_HELD, "%s is this very database (or a copy of it): check [peer] url", d->peer->url);
	if (state->incarnation[0] != '\0' && strcmp(state->incarnation, w->incarnation) != 0) {
		(void)err_set(e, ERR_HELD, "peer %s has a new database (restored, reinstalled or another machine): make both databases equal, then run agent --install --peer %s here", d->peer->name, d->peer->name);
		return hold(d, e);
	}
	if (w->knows[0] != '\0' && strcmp(w->knows, d->node.incarnation) != 0) {
		(void)err_set(e, ERR_HELD, "peer %s knew another database under this node's name: make both databases equal, then run agent --install --peer %s there", d->peer->name, d->node.name);
		return hold(d, e);
	}
	if (w->cursor.epoch < state->acked_epoch && w->knows[0] != '\0') {
		(void)err_set(e, ERR_HELD, "peer %s went back: it has changes up to epoch %llu and had acknowledged %llu (restored from a backup?)", d->peer->name,
		    (unsigned long long)w->cursor.epoch, (unsigned long long)state->acked_epoch);
		return hold(d, e);
	}
	return true;
}

/* The welcome's first line says who and where; the lines behind it are the answer kept for that place. */
static bool
take_welcome(struct drain *d, struct buf *answer, int64_t before_us, struct err *e)
{
	char *newline = memchr(answer->data, '\n', answer->len);
	struct peer_state state;
	struct settled settled;
	struct welcome w;
	int64_t skew_ms = 0;

	if (newline == NULL || !message_parse_welcome(answer->data, (size_t)(newline - answer->data), &w, e))
		return err_set(e, ERR_PEER, "%s answered hello in an unknown way: is it a newer agent?", d->peer->url);
	if (!peer_load(d->db, d->peer->name, &state, e) || !check_identity(d, &state, &w, e) || !check_clock(d, &w, before_us, &skew_ms, e) ||
	    !peer_met(d->db, d->peer->name, w.incarnation, skew_ms, e) || !client_open(d->client, w.session, e))
		return false;
	if (state.held[0] != '\0' && !peer_hold(d->db, d->peer->name, "", e))
		return false;
	buf_drop(answer, (size_t)(newline - answer->data) + 1);
	if (answer->len == 0)
		return true;
	/* An answer of ours got lost: it counts now. */
	if (!settle_answer(d->db, d->conf, d->node.name, d->peer->name, answer, &settled, e))
		return e->code == ERR_HELD ? hold(d, e) : false;
	return true;
}

static bool
say_hello(struct drain *d, struct err *e)
{
	struct hello h = { .version = MESSAGE_VERSION };
	struct buf body, answer;
	const char *nonce;
	int64_t before_us;
	int status = 0;
	bool ok = false;

	buf_init(&body, MESSAGE_HEADER_MAX);
	buf_init(&answer, MESSAGE_ANSWER_MAX);
	client_close(d->client);
	nonce = client_hello_nonce(d->client, e);
	if (nonce == NULL)
		goto out;
	(void)snprintf(h.node, sizeof h.node, "%s", d->node.name);
	memcpy(h.incarnation, d->node.incarnation, sizeof h.incarnation);
	(void)snprintf(h.nonce, sizeof h.nonce, "%s", nonce);
	message_put_hello(&body, &h);
	before_us = clock_wall_us();
	if (!buf_check(&body, "hello", e) || !client_call(d->client, "POST", "/api/sync/hello", body.data, body.len, &status, &answer, e))
		goto out;
	ok = status == 200 ? take_welcome(d, &answer, before_us, e) : refused(d, status, &answer, e);
out:
	if (!ok)
		client_close(d->client);
	buf_free(&body);
	buf_free(&answer);
	return ok;
}

/* --- sending --- */

/* All pieces of a group; the last one is answered with what became of it. */
static bool
send_pieces(struct drain *d, struct group *g, int *status, struct buf *answer, struct err *e)
{
	uint64_t size = group_size(g), at = 0;
	struct buf body;
	bool ok = true;

	buf_init(&body, MESSAGE_BODY_MAX + MESSAGE_ENVELOPE_MAX);
	for (uint64_t piece = 0; ok && (at < size || piece == 0); piece++) {
		bool last = size - at <= MESSAGE_BODY_MAX;
		size_t want = last ? (size_t)(size - at) : (size_t)MESSAGE_BODY_MAX, have = 0;

		buf_reset(&body);
		message_put_envelope(&body, piece, last);
		ok = buf_room(&body, want) != NULL || buf_check(&body, "a message", e);
		while (ok && have < want) {
			size_t got = 0;

			ok = group_get(g, at + have, body.data + body.len, want - have, &got, e) && (got > 0 || err_set(e, ERR_IO, "a spool file is too short"));
			have += got;
			body.len += got;
		}
		buf_reset(answer);
		ok = ok && client_call(d->client, "POST", "/api/sync/receive", body.data, body.len, status, answer, e);
		at += want;
		if (ok && *status != 200)
			break;
	}
	buf_free(&body);
	return ok;
}

/* 409: the peer stands elsewhere than this group assumes; hello tells where. */
static bool
is_position_problem(int status, const struct buf *answer)
{
	struct message_error m;
	struct err ignored;

	return status == 409 && message_parse_error(buf_cstr(answer), answer->len, &m, &ignored) &&
	    (strcmp(m.code, "ahead") == 0 || strcmp(m.code, "behind") == 0 || strcmp(m.code, "piece") == 0);
}

static bool
send_group(struct drain *d, struct group *g, struct drain_report *report, bool *again, struct err *e)
{
	struct settled settled;
	struct buf answer;
	int status = 0;
	bool ok;

	*again = false;
	buf_init(&answer, MESSAGE_ANSWER_MAX);
	log_debug(d->peer->name, "sending epoch %llu: %llu records, %llu bytes", (unsigned long long)g->upto.epoch, (unsigned long long)g->records, (unsigned long long)group_size(g));
	ok = send_pieces(d, g, &status, &answer, e);
	if (ok && is_position_problem(status, &answer)) {
		*again = true;
		client_close(d->client);
	} else if (ok && status != 200)
		ok = refused(d, status, &answer, e);
	else if (ok) {
		ok = settle_answer(d->db, d->conf, d->node.name, d->peer->name, &answer, &settled, e);
		if (!ok && e->code == ERR_HELD)
			(void)hold(d, e);
		if (ok) {
			report->groups++;
			report->records += settled.applied;
			report->refused += settled.refused;
			report->parked += settled.parked;
			log_info(d->peer->name, "Sync success: %llu records up to epoch %llu, %llu refused", (unsigned long long)settled.applied,
			    (unsigned long long)g->upto.epoch, (unsigned long long)settled.refused);
		}
	}
	buf_free(&answer);
	return ok;
}

static void
remember_quiet(struct drain *d, struct group *g)
{
	if (d->has_quiet)
		mark_free(&d->quiet);
	d->quiet = g->upto;
	memset(&g->upto, 0, sizeof g->upto);
	d->has_quiet = true;
}

/* One group; *more: there may be another. */
static bool
one_group(struct drain *d, struct group *g, bool retry, struct drain_report *report, bool *more, struct err *e)
{
	enum group_result result;
	bool again = false, last;

	*more = false;
	if (!group_build(g, retry, &result, e)) {
		if (e->code == ERR_HELD)
			(void)hold(d, e);
		return false;
	}
	if (result == GROUP_NOTHING) {
		remember_quiet(d, g);
		return true;
	}
	last = g->last_part;
	if (!send_group(d, g, report, &again, e)) {
		/* Whether it was applied is unknown: the next hello tells. */
		client_close(d->client);
		return false;
	}
	*more = again || !last || !retry;
	return true;
}

static bool
open_session(struct drain *d, struct err *e)
{
	if (d->client == NULL && !client_new(d->node.name, d->peer, d->conf->sync.timeout_ms, d->stop, &d->client, e))
		return false;
	return client_is_open(d->client) || say_hello(d, e);
}

/* Groups until nothing is left. A stale session (the peer was restarted) costs one new hello. */
static bool
send_all(struct drain *d, struct group *g, bool retry, struct drain_report *report, struct err *e)
{
	int hellos = 0;
	bool more = true;

	while (more) {
		if (stopped(d))
			return err_set(e, ERR_STOPPED, "stopped");
		if (!client_is_open(d->client) && hellos++ >= POSITION_TRIES)
			return err_set(e, ERR_PEER, "peer %s does not come to a common position", d->peer->name);
		if (!open_session(d, e))
			return false;
		if (one_group(d, g, retry, report, &more, e)) {
			if (more)
				continue;
			break;
		}
		if (!client_unauthorised(d->client) || hellos >= HELLO_TRIES)
			return false;
		more = true;
	}
	return true;
}

static bool
send_everything(struct drain *d, bool retry, struct drain_report *report, struct err *e)
{
	struct group *g = &d->group;
	bool ok;

	ok = open_session(d, e) && send_all(d, g, false, report, e) && is_owed(d, &report->owed, e);
	/* After everything else: what was refused, once more. */
	if (ok && retry && report->owed)
		ok = send_all(d, g, true, report, e) && is_owed(d, &report->owed, e);
	group_drop(g);
	return ok;
}

static bool
note_outcome(struct drain *d, bool ok, struct err *e)
{
	struct err other;

	if (ok || e->code == ERR_STOPPED || d->db == NULL || db_is_lost(d->db))
		return ok;
	if (!peer_failed(d->db, d->peer->name, e->msg, &other))
		log_warning(d->peer->name, "cannot note the error for --status: %s", other.msg);
	return false;
}

/* --- the peer's lock --- */

static void
lock_name(const struct drain *d, char out[64])
{
	/* Per node and peer, at most 64 characters: 6 + 16 + 1 + 32. */
	(void)snprintf(out, 64, "tandem.%.16s.%s", d->node.token, d->peer->name);
}

static bool
take_lock(struct drain *d, bool *taken, struct err *e)
{
	char name[64];
	uint64_t got = 0;

	lock_name(d, name);
	if (!db_number(d->db, "SELECT GET_LOCK(?, 0)", DB_ARGS(db_text(name)), &got, NULL, e))
		return false;
	*taken = got == 1;
	return true;
}

static void
release_lock(struct drain *d)
{
	char name[64];
	uint64_t ignored;
	struct err e;

	lock_name(d, name);
	if (db_is_lost(d->db))
		return; /* the server has released it with the connection */
	if (!db_number(d->db, "SELECT RELEASE_LOCK(?)", DB_ARGS(db_text(name)), &ignored, NULL, &e))
		log_warning(d->peer->name, "cannot release the drain lock: %s", e.msg);
}

bool
drain_run(struct drain *d, bool retry, struct drain_report *report, struct err *e)
{
	bool taken = false, ok;

	memset(report, 0, sizeof *report);
	if (!connect_db(d, e) || !take_lock(d, &taken, e))
		return false;
	if (!taken) {
		report->busy = true;
		return true;
	}
	if (d->has_quiet)
		mark_free(&d->quiet);
	d->has_quiet = false;
	ok = send_everything(d, retry, report, e);
	ok = note_outcome(d, ok, e);
	release_lock(d);
	return ok;
}

bool
drain_tidy(struct drain *d, struct err *e)
{
	struct mark last = { 0 };
	bool ok;

	if (!connect_db(d, e) || !queue_last_mark(d->db, &last, e))
		return false;
	ok = queue_probe_holes(d->db, &last, e) && settle_statuses(d->db, d->conf, e);
	mark_free(&last);
	return ok;
}

bool
drain_preview(struct drain *d, group_preview_fn *visit, void *arg, struct err *e)
{
	return connect_db(d, e) && group_preview(&d->group, visit, arg, e);
}
