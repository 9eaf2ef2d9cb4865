/* A peer's calls. Lives here: who is greeted how, gathering pieces, handing groups to apply. Not here: requests and
 * worker threads (sync/receive), calls that are fetched (sync/fetch), comparing (sync/inspect). */
#include "sync/handle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/apply.h"
#include "base/clock.h"
#include "base/log.h"
#include "change/filling.h"
#include "change/renewal.h"
#include "sync/parting.h"
#include "sync/startup.h"

enum {
	WITNESS_PAUSE_MS = 1000 /* it costs more than a small group */
};

/* One group at a time in a process: two would only wait for each other's rows, and hold two groups in memory. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

void
handler_disconnect(struct handler *h)
{
	applier_free(h->applier);
	h->applier = NULL;
	db_close(h->db);
	h->db = NULL;
}

bool
handler_connect(struct handler *h, struct err *e)
{
	if (h->db != NULL && !db_is_lost(h->db))
		return true;
	handler_disconnect(h);
	if (db_open(&h->conf->database, &h->db, e) && schema_enter(h->db, h->conf, &h->node, e) && witness_check(h->db, &h->node, e) &&
	    startup_await_now(h->db, h->conf, e))
		return true;
	handler_disconnect(h);
	return false;
}

/* What a step works on. */
struct step {
	const char *peer;
	const struct hello *hello;
	struct spool *spool;
	int *status;
	struct buf *answer;
	struct welcome welcome;
	const char *no; /* why a hello is turned away: a code of docs/protocol.md, with the reason; NULL: it is not */
	char reason[ERR_MSG_MAX];
};

typedef bool step_fn(struct handler *h, struct step *s, struct err *e);

/* On a connection that may have died while idle: once more on a fresh one. */
static bool
with_connection(struct handler *h, struct step *s, step_fn *run, struct err *e)
{
	for (int tries = 0; tries < 2; tries++) {
		if (!handler_connect(h, e))
			return false;
		if (run(h, s, e))
			return true;
		if (!db_is_lost(h->db)) {
			db_rollback(h->db);
			return false;
		}
	}
	return false;
}

int
handle_failure(const struct err *e, const char **code)
{
	bool theirs = e->code == ERR_INPUT || e->code == ERR_PEER_REFUSED || e->code == ERR_LIMIT;

	*code = theirs ? "content" : "unavailable";
	return theirs ? 422 : 503;
}

/* --- hello --- */

bool
handle_read_hello(const void *body, size_t len, const char *peer, struct hello *out, struct turned_away *no)
{
	struct err e = { 0 };

	*no = (struct turned_away){ .status = 400, .code = "malformed" };
	if (!message_parse_hello(body, len, out, &e)) {
		(void)snprintf(no->text, sizeof no->text, "%s", e.msg);
		return false;
	}
	if (out->version != MESSAGE_VERSION) {
		*no = (struct turned_away){ .status = 409, .code = "version" };
		(void)snprintf(no->text, sizeof no->text, "this agent speaks protocol version %d, the caller %llu: bring both to the same version", MESSAGE_VERSION,
		    (unsigned long long)out->version);
		return false;
	}
	if (strcmp(out->node, peer) == 0)
		return true;
	*no = (struct turned_away){ .status = 403, .code = "identity", .text = "the key belongs to another node" };
	return false;
}

/* A beginning of this node's that the caller has not been told of: it was the peer's section that came back, or
 * a person has asked for it here and nothing was sent since. */
static bool
name_renewal(struct handler *h, struct step *s, struct err *e)
{
	struct renewal known;
	struct filling now;

	if (!parting_return(h->db, h->conf, s->peer, e) || !renewal_load(h->db, s->peer, &known, e) || !filling_load(h->db, &now, e))
		return false;
	if (known.told)
		return true;
	memcpy(s->welcome.anew, known.id, sizeof s->welcome.anew);
	s->welcome.filling = known.id[0] != '\0' && now.any && strcmp(now.peer, s->peer) == 0;
	return true;
}

/* The caller says that the link begins anew: here too, once. */
static bool
take_renewal(struct handler *h, struct step *s, struct err *e)
{
	struct catalog *c = NULL;
	bool news = false, ok;

	if (s->hello->anew[0] == '\0')
		return name_renewal(h, s, e);
	ok = (s->hello->filling || catalog_read(h->db, h->conf, &c, e)) && renewal_begin(h->db, c, s->peer, s->hello->anew, &news, e);
	if (ok && news)
		log_info(s->peer, s->hello->filling ? "the peer fills itself from this node; the link begins anew" :
						      "the link begins anew, as was asked for there: all tables are compared and merged");
	memcpy(s->welcome.anew, s->hello->anew, sizeof s->welcome.anew);
	catalog_free(c);
	return ok;
}

/* What the caller knows of links, and what is told to it; does this one close a ring? */
static bool
take_links(struct handler *h, struct step *s, struct err *e)
{
	if (!ring_take(h->db, h->node.name, s->peer, s->hello->links, e) || !ring_put(h->db, h->conf, s->peer, s->welcome.links, e) ||
	    !ring_check(h->db, h->conf, s->peer, s->reason, e))
		return false;
	if (s->reason[0] == '\0')
		return ring_release(h->db, s->peer, e);
	s->no = "ring";
	return peer_hold(h->db, s->peer, s->reason, e);
}

/* Which tables travel one way, there and here. */
static bool
take_oneway(struct handler *h, struct step *s, struct err *e)
{
	s->welcome.tells_oneway = true;
	oneway_put(h->conf, s->welcome.oneway);
	return !s->hello->tells_oneway || oneway_take(h->db, h->conf, s->peer, s->hello->oneway, e);
}

/* What the caller has acknowledged of our changes, where it ever did. */
static bool
take_acked(struct handler *h, struct step *s, struct err *e)
{
	struct welcome *to = &s->welcome;
	struct peer_state state;

	if (!peer_load(h->db, s->peer, &state, e))
		return false;
	/* It may have missed anything; what it has missed is not kept. The caller's own hold says what to do. */
	if (state.lapsed && s->no == NULL) {
		s->no = "too_old";
		(void)snprintf(s->reason, sizeof s->reason, "node %s was away from here for so long that what waited for it was given up", s->peer);
	}
	to->has_acked = !state.fresh;
	to->acked.epoch = state.acked_epoch;
	memcpy(to->acked.stamp, state.acked_stamp, sizeof to->acked.stamp);
	return true;
}

static bool
fill_welcome(struct handler *h, struct step *s, struct err *e)
{
	struct cursor_state cursor;
	struct welcome *to = &s->welcome;
	int64_t clock_us;

	buf_reset(s->answer);
	s->no = NULL;
	*s->status = 200;
	/* Of a rehearsal nothing is noted. */
	if (!witness_check(h->db, &h->node, e) ||
	    (!s->hello->rehearsal && (!peer_register(h->db, s->peer, e) || !take_renewal(h, s, e) || !numbering_note(h->db, s->peer, &s->hello->numbering, e) ||
					!take_oneway(h, s, e) || !take_links(h, s, e) || !take_acked(h, s, e))))
		return false;
	if (!cursor_load(h->db, s->peer, false, &cursor, e) || !numbering_read(h->db, &to->numbering, e))
		return false;
	to->version = MESSAGE_VERSION;
	memcpy(to->node, h->node.name, sizeof to->node);
	memcpy(to->incarnation, h->node.incarnation, sizeof to->incarnation);
	memcpy(to->knows, cursor.incarnation, sizeof to->knows);
	to->cursor.epoch = cursor.epoch;
	memcpy(to->cursor.stamp, cursor.stamp, sizeof to->cursor.stamp);
	if (!db_clock_us(h->db, &clock_us, e))
		return false;
	to->clock_us = (uint64_t)clock_us;
	message_put_welcome(s->answer, to);
	if (s->no == NULL)
		return cursor_answer(h->db, s->peer, s->answer, e);
	*s->status = 409;
	buf_reset(s->answer);
	message_put_error(s->answer, s->no, s->reason, NULL);
	return true;
}

bool
handle_hello(struct handler *h, const struct greeting *g, int *status, struct buf *answer, struct err *e)
{
	struct step *s = calloc(1, sizeof *s); /* large: the links of all nodes */
	bool ok;

	if (s == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a hello");
	s->peer = g->peer;
	s->hello = g->hello;
	s->status = status;
	s->answer = answer;
	(void)snprintf(s->welcome.session, sizeof s->welcome.session, "%s", g->session);
	ok = with_connection(h, s, fill_welcome, e);
	free(s);
	return ok;
}

/* --- groups --- */

static bool
apply_step(struct handler *h, struct step *s, struct err *e)
{
	int64_t now = clock_mono_ms();

	if (!(now >= h->witness_at ? witness_check : witness_reread)(h->db, &h->node, e))
		return false;
	h->witness_at = now >= h->witness_at ? now + WITNESS_PAUSE_MS : h->witness_at;
	if (h->applier == NULL && !applier_new(h->db, h->conf, &h->node, &h->applier, e))
		return false;
	return apply_group(h->applier, s->peer, s->spool, s->status, s->answer, e);
}

static bool
rehearse_step(struct handler *h, struct step *s, struct err *e)
{
	if (h->applier == NULL && !applier_new(h->db, h->conf, &h->node, &h->applier, e))
		return false;
	return apply_rehearse(h->applier, s->peer, s->spool, s->status, s->answer, e);
}

bool
handle_group(struct handler *h, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e)
{
	struct step s = { .peer = peer, .spool = spool, .status = status, .answer = answer };
	bool ok;

	(void)pthread_mutex_lock(&one_at_a_time);
	ok = with_connection(h, &s, apply_step, e);
	(void)pthread_mutex_unlock(&one_at_a_time);
	return ok;
}

bool
handle_rehearsal(struct handler *h, const char *peer, struct spool *spool, int *status, struct buf *answer, struct err *e)
{
	struct step s = { .peer = peer, .spool = spool, .status = status, .answer = answer };

	return with_connection(h, &s, rehearse_step, e);
}

/* --- pieces --- */

void
gather_free(struct gathering *g)
{
	spool_free(g->spool);
	g->spool = NULL;
	g->pieces = 0;
}

/* Start anew: an earlier group that was not finished is dropped. */
static bool
gather_begin(struct gathering *g, const char *session, struct err *e)
{
	gather_free(g);
	(void)snprintf(g->session, sizeof g->session, "%s", session);
	return spool_new(g->directory, &g->spool, e);
}

bool
gather_piece(struct gathering *g, const char *session, const void *body, size_t len, enum gathered *out, struct err *e)
{
	uint64_t piece;
	size_t at;
	bool last;

	if (!message_parse_envelope(body, len, &piece, &last, &at, e))
		return false;
	if (piece == 0 && !gather_begin(g, session, e))
		return false;
	if (g->spool == NULL || g->pieces != piece || strcmp(g->session, session) != 0) {
		*out = GATHERED_MISSING;
		return true;
	}
	g->pieces++;
	*out = last ? GATHERED_WHOLE : GATHERED_MORE;
	return spool_put(g->spool, (const char *)body + at, len - at, e);
}
