/* Asking. Lives here: what stands before the items, sending, what an answer that is none means. Not here: what
 * is asked and why (sync/compare, sync/doubt). */
#include "sync/ask.h"

#include <string.h>

enum {
	QUESTION_ROOM = 64 * 1024, /* left free for one more item */
	HELLO_TRIES = 2
};

/* What was seen of the peer matters where its queue is asked as well. */
bool
ask_begin(struct asker *a, enum compare_ask ask, struct err *e)
{
	struct compare_question q = { .ask = ask, .versions = ask == ASK_KEYS && a->act == COMPARE_MERGE,
		.was = ask == ASK_KEYS && a->watch != NULL ? a->watch->was : NULL };
	struct cursor_state cursor;

	if (ask != ASK_SUMS && ask != ASK_QUICK && ask != ASK_ROWS && ask != ASK_FILL && ask != ASK_FETCH) {
		if (ask == ASK_KEYS)
			cursor = a->seen;
		else if (!cursor_load(a->l->db, a->l->peer->name, false, &cursor, e))
			return false;
		memcpy(q.incarnation, cursor.incarnation, sizeof q.incarnation);
		memcpy(q.seen.stamp, cursor.stamp, sizeof q.seen.stamp);
		q.seen.epoch = cursor.epoch;
	}
	buf_reset(&a->question);
	compare_put_question(&a->question, &q, a->table);
	return true;
}

bool
ask_has_room(const struct asker *a)
{
	return a->question.len + QUESTION_ROOM <= COMPARE_BODY_MAX;
}

static bool
call(struct asker *a, struct err *e)
{
	bool ok;

	a->called = true;
	ok = client_call(a->l->client, "POST", "/api/sync/verify", a->question.data, a->question.len, &a->status, &a->answer, e);
	a->unknown = !ok && client_unauthorised(a->l->client);
	a->not_found = !ok && client_not_found(a->l->client);
	return ok;
}

bool
ask_call(struct asker *a, struct err *e)
{
	a->called = false;
	if (!client_is_open(a->l->client))
		return err_set(e, ERR_PEER, "no session with peer %s", a->l->peer->name);
	return buf_check(&a->question, "a question", e) && call(a, e);
}

bool
ask_try(struct asker *a, bool *more, struct err *e)
{
	if (!ask_call(a, e))
		return false;
	if (a->status != 200)
		return err_set(e, ERR_PEER, "peer %s answered HTTP %d", a->l->peer->name, a->status);
	compare_reader_init(&a->reader, a->answer.data, a->answer.len);
	return compare_parse_answer(&a->reader, more, e);
}

static bool
judge(struct asker *a, bool answered, bool *more, struct err *e)
{
	struct link *l = a->l;

	if (!answered && a->not_found)
		return err_set(e, ERR_PEER_REFUSED, "peer %s cannot compare: its agent is older than this one; bring both to the same version", l->peer->name);
	if (!answered)
		return false;
	if (a->status != 200)
		return link_refused(l, a->status, &a->answer, e);
	compare_reader_init(&a->reader, a->answer.data, a->answer.len);
	return compare_parse_answer(&a->reader, more, e);
}

bool
ask_send(struct asker *a, bool *more, struct err *e)
{
	struct link *l = a->l;
	bool ok = false;

	if (l->stop != NULL && atomic_load(l->stop))
		return err_set(e, ERR_STOPPED, "stopped");
	if (!buf_check(&a->question, "a question", e))
		return false;
	for (int tries = 0; !ok && tries < HELLO_TRIES; tries++) {
		if (!link_open(l, e))
			return false;
		ok = call(a, e);
		if (ok || !a->unknown)
			break;
		client_close(l->client); /* the peer was restarted: hello, and once more */
	}
	return judge(a, ok, more, e);
}

bool
ask_take(struct asker *a, bool called, bool *more, struct err *e)
{
	if (called || (a->called && !a->unknown))
		return judge(a, called, more, e);
	err_clear(e);
	client_close(a->l->client);
	return ask_send(a, more, e);
}

bool
ask_got_nothing(const struct asker *a, struct err *e)
{
	return err_set(e, ERR_PEER, "peer %s answers a comparison with nothing", a->l->peer->name);
}

bool
ask_got_too_much(const struct asker *a, struct err *e)
{
	return err_set(e, ERR_PEER, "peer %s answers a comparison with more than was asked", a->l->peer->name);
}
