/* The table of sessions. Lives here: who is live, who may be forgotten, which counter comes next.
 * Not here: MACs (wire/sign), connections (net/guard), HTTP (net/server).
 *
 * Room is made only by forgetting a session that no open connection holds, the one unused for the
 * longest time first. Its id could still be young enough to begin again, which would let its old
 * requests be replayed; so forgetting raises the peer's floor to the time that id was made, and no
 * session made at or before the floor begins any more. The peer that still wanted one of those is
 * told that it is stale and says hello once more. So nothing has to be kept for the dead, however
 * fast short-lived callers come and go. */
#include "config.h"

#include "net/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

struct session {
	char id[SIGN_SESSION_MAX]; /* "" = free place */
	size_t peer;
	uint64_t counter; /* of the last request */
	int64_t made_ms;  /* when hello handed the id out */
	int64_t used_ms;
	unsigned holders;
};

struct sessions {
	unsigned char boot[SIGN_KEY_BYTES];
	size_t npeers;
	int64_t *floor_ms; /* per peer: no session made at or before this begins */
	struct session all[SESSIONS_MAX];
};

bool
sessions_new(size_t npeers, struct sessions **out, struct err *e)
{
	struct sessions *t = calloc(1, sizeof *t);

	assert(npeers > 0);
	*out = NULL;
	if (t != NULL)
		t->floor_ms = calloc(npeers, sizeof *t->floor_ms);
	if (t == NULL || t->floor_ms == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for sessions");
		goto fail;
	}
	t->npeers = npeers;
	for (size_t i = 0; i < npeers; i++)
		t->floor_ms[i] = -1;
	if (!clock_random(t->boot, sizeof t->boot, e))
		goto fail;
	*out = t;
	return true;
fail:
	sessions_free(t);
	return false;
}

void
sessions_free(struct sessions *t)
{
	if (t == NULL)
		return;
	free(t->floor_ms);
	text_wipe(t->boot, sizeof t->boot);
	free(t);
}

void
sessions_make(const struct sessions *t, const char *peer, const char *client_nonce, int64_t now_ms,
    char out[SIGN_SESSION_MAX])
{
	sign_session_make(t->boot, peer, client_nonce, now_ms, out);
}

static struct session *
find(struct sessions *t, size_t peer, const char *id)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (t->all[i].peer == peer && strcmp(t->all[i].id, id) == 0)
			return &t->all[i];
	return NULL;
}

/* The better one to forget of two, either may be NULL. */
static struct session *
older(struct session *a, struct session *b)
{
	if (b->holders > 0)
		return a;
	return a == NULL || b->used_ms < a->used_ms ? b : a;
}

/* A place for one more session of the peer, or NULL while all are live. */
static struct session *
make_room(struct sessions *t, size_t peer)
{
	struct session *place = NULL, *own = NULL, *any = NULL;
	size_t count = 0;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &t->all[i];

		if (s->id[0] == '\0') {
			place = place == NULL ? s : place;
			continue;
		}
		any = older(any, s);
		if (s->peer == peer) {
			count++;
			own = older(own, s);
		}
	}
	if (count < SESSIONS_PER_PEER && place != NULL)
		return place;
	place = count < SESSIONS_PER_PEER ? any : own;
	if (place != NULL && t->floor_ms[place->peer] < place->made_ms)
		t->floor_ms[place->peer] = place->made_ms;
	return place;
}

static enum session_verdict
begin(struct sessions *t, const struct session_call *call, struct session **out)
{
	struct session *s;
	int64_t age_ms, made_ms;

	if (!sign_session_ours(t->boot, call->name, call->id, call->now_ms, &age_ms))
		return SESSION_STALE;
	made_ms = call->now_ms - age_ms;
	if (age_ms > SIGN_NONCE_AGE_MS || made_ms <= t->floor_ms[call->peer])
		return SESSION_STALE;
	if (call->counter == 0)
		return SESSION_REPLAYED; /* counters begin at 1 */
	s = make_room(t, call->peer);
	if (s == NULL)
		return SESSION_FULL;
	memset(s, 0, sizeof *s);
	memcpy(s->id, call->id, strlen(call->id) + 1); /* ours, so it fits */
	s->peer = call->peer;
	s->made_ms = made_ms;
	s->used_ms = call->now_ms;
	s->counter = call->counter;
	*out = s;
	return SESSION_GOOD;
}

enum session_verdict
sessions_use(struct sessions *t, const struct session_call *call, struct session **out)
{
	struct session *s;

	assert(call->peer < t->npeers);
	*out = NULL;
	if (call->id[0] == '\0')
		return SESSION_STALE;
	s = find(t, call->peer, call->id);
	if (s == NULL)
		return begin(t, call, out);
	if (call->counter <= s->counter)
		return SESSION_REPLAYED;
	s->counter = call->counter;
	s->used_ms = call->now_ms;
	*out = s;
	return SESSION_GOOD;
}

void
session_hold(struct session *s)
{
	s->holders++;
}

void
session_release(struct session *s)
{
	assert(s->holders > 0);
	s->holders--;
}
