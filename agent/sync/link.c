/* The conversation with one peer: hello, who it is, sending a group's pieces, what its refusals mean.
 * Not here: what to send (sync/group), when (sync/drain), what an answer changes (sync/settle). */
#include "config.h"

#include "sync/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apply/position.h"
#include "base/log.h"
#include "base/plant.h"
#include "change/renewal.h"
#include "sync/settle.h"

bool
link_hold(struct link *l, struct err *e)
{
	struct err other;

	if (!l->rehearsing && !peer_hold(l->db, l->peer->name, e->msg, &other))
		log_warning(l->peer->name, "cannot note that the link is held: %s", other.msg);
	return false;
}

/* One of the two databases is not the one that the other has met, or went back. what and the remedy are one
 * sentence, for --status and the log. */
static bool
hold_until_anew(struct link *l, const char *what, struct err *e)
{
	l->anew_helps = true;
	(void)err_set(e, ERR_HELD, "%.300s: run agent --install --peer %s here: the link begins anew, all tables are compared and merged", what, l->peer->name);
	return link_hold(l, e);
}

bool
link_hold_until_anew(struct link *l, struct err *e)
{
	char what[ERR_MSG_MAX];

	(void)snprintf(what, sizeof what, "%s", e->msg);
	return hold_until_anew(l, what, e);
}

/* The peer, in messages: its url, or its name when it comes by itself. */
static const char *
place(const struct link *l)
{
	return l->peer->url[0] == '\0' ? l->peer->name : l->peer->url;
}

/* A signed answer that is not 200: what the peer says, in its words. */
bool
link_refused(struct link *l, int status, const struct buf *answer, struct err *e)
{
	struct message_error m;

	if (!message_parse_error(buf_cstr(answer), answer->len, &m, e))
		return err_set(e, ERR_PEER, "%s answered HTTP %d without a reason", place(l), status);
	if (strcmp(m.code, "incarnation") == 0 || strcmp(m.code, "fork") == 0 || strcmp(m.code, "too_old") == 0) {
		char what[ERR_MSG_MAX];

		(void)snprintf(what, sizeof what, "peer %s refuses (%s): %.240s", l->peer->name, m.code, m.text);
		return hold_until_anew(l, what, e);
	}
	if (strcmp(m.code, "deletes") == 0 || strcmp(m.code, "identity") == 0 || strcmp(m.code, "clock") == 0 || strcmp(m.code, "ring") == 0) {
		(void)err_set(e, ERR_HELD, "peer %s refuses (%s): %s", l->peer->name, m.code, m.text);
		return link_hold(l, e);
	}
	if (status == 503)
		return err_set(e, ERR_PEER, "peer %s cannot apply now: %s", l->peer->name, m.text);
	return err_set(e, ERR_PEER_REFUSED, "peer %s refuses (HTTP %d, %s): %s", l->peer->name, status, m.code, m.text);
}

/* "2026-11-21 02:03:04 UTC" of microseconds since 1970. */
static void
put_time(int64_t us, char out[32])
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		(void)snprintf(out, 32, "%lld s since 1970", (long long)seconds);
}

/* Both database servers' clocks, which the changes are dated by. The hold ends by itself. */
static bool
check_clock(struct link *l, const struct welcome *w, int64_t before_us, int64_t *skew_ms, struct err *e)
{
	int64_t after_us, middle, skew, doubt, size;
	char here[32], there[32];

	if (!db_clock_us(l->db, &after_us, e))
		return false;
	middle = before_us + (after_us - before_us) / 2;
	doubt = (after_us - before_us) / 2;
	skew = (int64_t)w->clock_us - middle;
	size = skew < 0 ? -skew : skew;
	*skew_ms = skew / 1000;
	if ((size - doubt) / 1000 <= l->conf->sync.max_clock_skew_ms)
		return true;
	put_time(middle, here);
	put_time((int64_t)w->clock_us, there);
	(void)err_set(e, ERR_HELD, "the clocks differ by %lld s, more than max_clock_skew (%s has %s, %s has %s): set the clock that is wrong, then the link goes on by itself",
	    (long long)(size / 1000000), l->node->name, here, l->peer->name, there);
	return link_hold(l, e);
}

/* Is the peer who it was? */
static bool
check_peer(struct link *l, const struct welcome *w, struct err *e)
{
	if (w->version != MESSAGE_VERSION)
		return err_set(e, ERR_PEER_REFUSED, "peer %s speaks protocol version %llu, this agent %d: bring both to the same version",
		    l->peer->name, (unsigned long long)w->version, MESSAGE_VERSION);
	if (strcmp(w->node, l->peer->name) != 0) {
		(void)err_set(e, ERR_HELD, "%s is node '%s', not '%s': check [peer] name and url", place(l), w->node, l->peer->name);
		return link_hold(l, e);
	}
	if (strcmp(w->incarnation, l->node->incarnation) == 0) {
		(void)err_set(e, ERR_HELD, "%s is this very database (or a copy of it): check [peer] url", place(l));
		return link_hold(l, e);
	}
	return true;
}

/* Did this node lose what it had of the peer? Its cursor is read after the peer has said what was acknowledged, so
 * a group that is applied just now does not look like it. */
static bool
check_ourselves(struct link *l, const struct welcome *w, struct err *e)
{
	struct cursor_state cursor;
	char what[ERR_MSG_MAX];

	if (!w->has_acked)
		return true;
	if (!cursor_load(l->db, l->peer->name, false, &cursor, e))
		return false;
	if (strcmp(cursor.incarnation, w->incarnation) == 0 &&
	    (cursor.epoch > w->acked.epoch || (cursor.epoch == w->acked.epoch && strcmp(cursor.stamp, w->acked.stamp) == 0)))
		return true;
	(void)snprintf(what, sizeof what, "this node went back: it had acknowledged epoch %llu of peer %s and has %llu (restored from a backup, or a copy of this laptop runs as well?)",
	    (unsigned long long)w->acked.epoch, l->peer->name, (unsigned long long)cursor.epoch);
	return hold_until_anew(l, what, e);
}

/* Does the peer know us as who we are, and do both know the same positions? */
static bool
check_identity(struct link *l, const struct peer_state *state, const struct welcome *w, struct err *e)
{
	char what[ERR_MSG_MAX];

	if (plant_is(PLANT_INCARNATION))
		return true;
	switch (position_of_welcome(w, l->node->incarnation, state)) {
	case MEETING_SELF: /* asked before (check_peer) */
	case MEETING_FINE:
		return check_ourselves(l, w, e);
	case MEETING_NEW:
		(void)snprintf(what, sizeof what, "peer %s has a new database (restored, reinstalled or another machine)", l->peer->name);
		break;
	case MEETING_FORGOTTEN:
		(void)snprintf(what, sizeof what, "peer %s knew another database under this node's name (restored or reinstalled here?)", l->peer->name);
		break;
	case MEETING_BACK:
		(void)snprintf(what, sizeof what, "peer %s went back: it has changes up to epoch %llu and had acknowledged %llu (restored from a backup, or a copy of it runs as well?)", l->peer->name,
		    (unsigned long long)w->cursor.epoch, (unsigned long long)state->acked_epoch);
		break;
	}
	return hold_until_anew(l, what, e);
}

/* A beginning of the link: the one of here, that the peer has taken up, or one of the peer's, that this node takes up. */
static bool
note_renewal(struct link *l, const struct welcome *w, struct err *e)
{
	struct catalog *c = NULL;
	struct renewal known;
	bool news = false, ok;

	if (w->anew[0] == '\0' || l->rehearsing)
		return true;
	if (!renewal_load(l->db, l->peer->name, &known, e))
		return false;
	if (strcmp(known.id, w->anew) == 0)
		return known.told || renewal_told(l->db, l->peer->name, w->anew, e);
	ok = (w->filling || catalog_read(l->db, l->conf, &c, e)) && renewal_begin(l->db, c, l->peer->name, w->anew, &news, e);
	if (ok && news)
		log_info(l->peer->name, w->filling ? "the peer fills itself from this node; the link begins anew" :
						     "the link begins anew, as was asked for there: all tables are compared and merged");
	catalog_free(c);
	return ok;
}

/* What the peer knows of links; does this one close a ring? */
static bool
check_ring(struct link *l, const struct welcome *w, struct err *e)
{
	char reason[RING_TEXT_MAX];

	if (!ring_take(l->db, l->node->name, l->peer->name, w->links, e) || !ring_check(l->db, l->conf, l->peer->name, reason, e))
		return false;
	if (reason[0] == '\0')
		return ring_release(l->db, l->peer->name, e);
	(void)err_set(e, ERR_HELD, "%s", reason);
	return link_hold(l, e);
}

bool
link_tell_links(struct link *l, struct err *e)
{
	char now[RING_LINKS_MAX];

	if (!ring_put(l->db, l->conf, l->peer->name, now, e))
		return false;
	if (l->client != NULL && strcmp(now, l->told) != 0)
		client_close(l->client);
	return true;
}

/* How this node stood when it said hello. */
struct asked {
	int64_t clock_us;
	uint64_t acked_epoch;
};

static bool
note_asked(struct link *l, struct asked *out, struct err *e)
{
	struct peer_state state;

	if (!peer_load(l->db, l->peer->name, &state, e))
		return false;
	out->acked_epoch = state.acked_epoch;
	return db_clock_us(l->db, &out->clock_us, e);
}

/* As the peer can have known this node: another run here (the daemon beside --verify) may get an acknowledgement
 * between the peer's answer and this look, and the answer would seem to come from a peer that went back. */
static bool
load_state(struct link *l, const struct asked *asked, struct peer_state *state, struct err *e)
{
	if (!peer_load(l->db, l->peer->name, state, e))
		return false;
	if (state->acked_epoch > asked->acked_epoch)
		state->acked_epoch = asked->acked_epoch;
	return true;
}

/* The welcome's first line says who and where; the lines behind it are the answer kept for that place. */
static bool
take_welcome(struct link *l, struct buf *answer, const struct asked *asked, struct err *e)
{
	char *newline = memchr(answer->data, '\n', answer->len);
	struct peer_state state;
	struct settled settled;
	struct welcome w;
	int64_t skew_ms = 0;

	if (newline == NULL || !message_parse_welcome(answer->data, (size_t)(newline - answer->data), &w, e))
		return err_set(e, ERR_PEER, "%s answered hello in an unknown way: is it a newer agent?", place(l));
	if (l->fetching)
		return check_peer(l, &w, e) && client_open(l->client, w.session, e);
	if (!check_peer(l, &w, e) || !note_renewal(l, &w, e) || !load_state(l, asked, &state, e) || !check_identity(l, &state, &w, e) ||
	    !check_clock(l, &w, asked->clock_us, &skew_ms, e))
		return false;
	if (l->rehearsing)
		return client_open(l->client, w.session, e);
	if (!check_ring(l, &w, e))
		return false;
	if (!peer_met(l->db, l->peer->name, w.incarnation, skew_ms, e) || !numbering_note(l->db, l->peer->name, &w.numbering, e) ||
	    (w.tells_oneway && !oneway_take(l->db, l->conf, l->peer->name, w.oneway, e)) || !client_open(l->client, w.session, e))
		return false;
	buf_drop(answer, (size_t)(newline - answer->data) + 1);
	if (answer->len == 0)
		return true;
	/* An answer of ours got lost: it counts now. */
	if (!settle_answer(l->db, l->conf, l->node->name, l->peer->name, answer, &settled, e))
		return e->code == ERR_HELD ? link_hold_until_anew(l, e) : false;
	return true;
}

/* A node whose database is another one than its peers have met says nothing until a person has begun the link
 * anew; then hello says so. */
static bool
name_renewal(struct link *l, struct hello *h, struct err *e)
{
	struct renewal r;

	if (l->fetching)
		return true;
	if (!renewal_load(l->db, l->peer->name, &r, e))
		return false;
	if (r.needed)
		return hold_until_anew(l, "the sync schema of this node was restored from a dump, or tables of it were emptied or made anew", e);
	if (!r.told && !l->rehearsing)
		memcpy(h->anew, r.id, sizeof h->anew);
	h->filling = l->filling && h->anew[0] != '\0';
	return true;
}

static bool
say_hello(struct link *l, struct err *e)
{
	struct hello h = { .version = MESSAGE_VERSION, .rehearsal = l->rehearsing };
	struct buf body, answer;
	struct asked asked;
	const char *nonce;
	int status = 0;
	bool ok = false;

	buf_init(&body, MESSAGE_HEADER_MAX);
	buf_init(&answer, MESSAGE_ANSWER_MAX);
	client_close(l->client);
	nonce = client_hello_nonce(l->client, e);
	if (nonce == NULL || (!l->rehearsing && !ring_put(l->db, l->conf, l->peer->name, h.links, e)) || !numbering_read(l->db, &h.numbering, e) || !name_renewal(l, &h, e))
		goto out;
	(void)snprintf(h.node, sizeof h.node, "%s", l->node->name);
	memcpy(h.incarnation, l->node->incarnation, sizeof h.incarnation);
	memcpy(l->told, h.links, sizeof l->told);
	h.tells_oneway = true;
	oneway_put(l->conf, h.oneway);
	(void)snprintf(h.nonce, sizeof h.nonce, "%s", nonce);
	message_put_hello(&body, &h);
	if (!buf_check(&body, "hello", e) || !note_asked(l, &asked, e) || !client_call(l->client, "POST", "/api/sync/hello", body.data, body.len, &status, &answer, e))
		goto out;
	ok = status == 200 ? take_welcome(l, &answer, &asked, e) : link_refused(l, status, &answer, e);
out:
	if (!ok)
		client_close(l->client);
	buf_free(&body);
	buf_free(&answer);
	return ok;
}

/* --- sending --- */

/* All pieces of a group; the last one is answered with what became of it. */
bool
link_send(struct link *l, struct group *g, int *status, struct buf *answer, struct err *e)
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
		ok = ok && client_call(l->client, "POST", l->rehearsing ? "/api/sync/rehearse" : "/api/sync/receive", body.data, body.len, status, answer, e);
		at += want;
		if (ok && *status != 200)
			break;
	}
	buf_free(&body);
	return ok;
}

/* 409: the peer stands elsewhere than this group assumes; hello tells where. */
bool
link_is_elsewhere(int status, const struct buf *answer)
{
	struct message_error m;
	struct err ignored;

	return status == 409 && message_parse_error(buf_cstr(answer), answer->len, &m, &ignored) &&
	    (strcmp(m.code, "ahead") == 0 || strcmp(m.code, "behind") == 0 || strcmp(m.code, "piece") == 0);
}

bool
link_open(struct link *l, struct err *e)
{
	l->anew_helps = false;
	if (l->client == NULL && !client_new(l->node->name, l->peer, l->conf->sync.timeout_ms, l->stop, &l->client, e))
		return false;
	client_use_shelf(l->client, l->shelf);
	client_use_guest(l->client, l->guest);
	return client_is_open(l->client) || say_hello(l, e);
}
