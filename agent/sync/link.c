/* The conversation with one peer: hello, who it is, sending a group's pieces, what its refusals mean.
 * Not here: what to send (sync/group), when (sync/drain), what an answer changes (sync/settle). */
#include "config.h"

#include "sync/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/plant.h"
#include "sync/settle.h"

bool
link_hold(struct link *l, struct err *e)
{
	struct err other;

	if (!l->rehearsing && !peer_hold(l->db, l->peer->name, e->msg, &other))
		log_warning(l->peer->name, "cannot note that the link is held: %s", other.msg);
	return false;
}

/* A signed answer that is not 200: what the peer says, in its words. */
bool
link_refused(struct link *l, int status, const struct buf *answer, struct err *e)
{
	struct message_error m;

	if (!message_parse_error(buf_cstr(answer), answer->len, &m, e))
		return err_set(e, ERR_PEER, "%s answered HTTP %d without a reason", l->peer->url, status);
	if (strcmp(m.code, "incarnation") == 0 || strcmp(m.code, "fork") == 0 || strcmp(m.code, "too_old") == 0 || strcmp(m.code, "deletes") == 0 || strcmp(m.code, "identity") == 0) {
		(void)err_set(e, ERR_HELD, "peer %s refuses (%s): %s", l->peer->name, m.code, m.text);
		return link_hold(l, e);
	}
	if (status == 503)
		return err_set(e, ERR_PEER, "peer %s cannot apply now: %s", l->peer->name, m.text);
	return err_set(e, ERR_PEER_REFUSED, "peer %s refuses (HTTP %d, %s): %s", l->peer->name, status, m.code, m.text);
}

static bool
check_clock(struct link *l, const struct welcome *w, int64_t before_us, int64_t *skew_ms, struct err *e)
{
	int64_t after_us = clock_wall_us(), middle = before_us + (after_us - before_us) / 2;
	int64_t skew = (int64_t)w->clock_us - middle, doubt = (after_us - before_us) / 2;
	int64_t size = skew < 0 ? -skew : skew;

	*skew_ms = skew / 1000;
	if ((size - doubt) / 1000 <= l->conf->sync.max_clock_skew_ms)
		return true;
	return err_set(e, ERR_HELD, "the clocks of %s and %s differ by %lld s, more than max_clock_skew: set both clocks, then the link goes on by itself",
	    l->node->name, l->peer->name, (long long)(size / 1000000));
}

/* Is the peer who it was, and does it know us as who we are? */
static bool
check_identity(struct link *l, const struct peer_state *state, const struct welcome *w, struct err *e)
{
	if (w->version != MESSAGE_VERSION)
		return err_set(e, ERR_PEER_REFUSED, "peer %s speaks protocol version %llu, this agent %d: bring both to the same version",
		    l->peer->name, (unsigned long long)w->version, MESSAGE_VERSION);
	if (strcmp(w->node, l->peer->name) != 0)
		return err_set(e, ERR_HELD, "%s is node '%s', not '%s': check [peer] name and url", l->peer->url, w->node, l->peer->name);
	if (strcmp(w->incarnation, l->node->incarnation) == 0)
		return err_set(e, ERR_HELD, "%s is this very database (or a copy of it): check [peer] url", l->peer->url);
	if (plant_is(PLANT_INCARNATION))
		return true;
	if (state->incarnation[0] != '\0' && strcmp(state->incarnation, w->incarnation) != 0) {
		(void)err_set(e, ERR_HELD, "peer %s has a new database (restored, reinstalled or another machine): make both databases equal, then run agent --install --peer %s here", l->peer->name, l->peer->name);
		return link_hold(l, e);
	}
	if (w->knows[0] != '\0' && strcmp(w->knows, l->node->incarnation) != 0) {
		(void)err_set(e, ERR_HELD, "peer %s knew another database under this node's name: make both databases equal, then run agent --install --peer %s there", l->peer->name, l->node->name);
		return link_hold(l, e);
	}
	/* Only a link that begins anew on both sides may find nothing there. */
	if (w->cursor.epoch < state->acked_epoch && !(state->fresh && w->knows[0] == '\0')) {
		(void)err_set(e, ERR_HELD, "peer %s went back: it has changes up to epoch %llu and had acknowledged %llu (restored from a backup?): make both databases equal, then run agent --install --peer NAME on both", l->peer->name,
		    (unsigned long long)w->cursor.epoch, (unsigned long long)state->acked_epoch);
		return link_hold(l, e);
	}
	return true;
}

/* The welcome's first line says who and where; the lines behind it are the answer kept for that place. */
static bool
take_welcome(struct link *l, struct buf *answer, int64_t before_us, struct err *e)
{
	char *newline = memchr(answer->data, '\n', answer->len);
	struct peer_state state;
	struct settled settled;
	struct welcome w;
	int64_t skew_ms = 0;

	if (newline == NULL || !message_parse_welcome(answer->data, (size_t)(newline - answer->data), &w, e))
		return err_set(e, ERR_PEER, "%s answered hello in an unknown way: is it a newer agent?", l->peer->url);
	if (!peer_load(l->db, l->peer->name, &state, e) || !check_identity(l, &state, &w, e) || !check_clock(l, &w, before_us, &skew_ms, e))
		return false;
	if (l->rehearsing)
		return client_open(l->client, w.session, e);
	if (!peer_met(l->db, l->peer->name, w.incarnation, skew_ms, e) || !numbering_note(l->db, l->peer->name, &w.numbering, e) || !client_open(l->client, w.session, e))
		return false;
	buf_drop(answer, (size_t)(newline - answer->data) + 1);
	if (answer->len == 0)
		return true;
	/* An answer of ours got lost: it counts now. */
	if (!settle_answer(l->db, l->conf, l->node->name, l->peer->name, answer, &settled, e))
		return e->code == ERR_HELD ? link_hold(l, e) : false;
	return true;
}

static bool
say_hello(struct link *l, struct err *e)
{
	struct hello h = { .version = MESSAGE_VERSION, .rehearsal = l->rehearsing };
	struct buf body, answer;
	const char *nonce;
	int64_t before_us;
	int status = 0;
	bool ok = false;

	buf_init(&body, MESSAGE_HEADER_MAX);
	buf_init(&answer, MESSAGE_ANSWER_MAX);
	client_close(l->client);
	nonce = client_hello_nonce(l->client, e);
	if (nonce == NULL || !numbering_read(l->db, &h.numbering, e))
		goto out;
	(void)snprintf(h.node, sizeof h.node, "%s", l->node->name);
	memcpy(h.incarnation, l->node->incarnation, sizeof h.incarnation);
	(void)snprintf(h.nonce, sizeof h.nonce, "%s", nonce);
	message_put_hello(&body, &h);
	before_us = clock_wall_us();
	if (!buf_check(&body, "hello", e) || !client_call(l->client, "POST", "/api/sync/hello", body.data, body.len, &status, &answer, e))
		goto out;
	ok = status == 200 ? take_welcome(l, &answer, before_us, e) : link_refused(l, status, &answer, e);
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
	if (l->client == NULL && !client_new(l->node->name, l->peer, l->conf->sync.timeout_ms, l->stop, &l->client, e))
		return false;
	return client_is_open(l->client) || say_hello(l, e);
}
