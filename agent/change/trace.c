/* Looking records up in the queue, which has no index for that: one bounded pass over its end. Not here: marks
 * themselves (change/queue), judging conflicts (apply/). */
#include "change/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


struct search {
	const struct trace_question *q;
	struct trace *traces; /* sorted by hash */
	size_t n;
	uint64_t unseen; /* changes met that the mark does not contain */
};

static int
by_hash(const void *a, const void *b)
{
	const struct trace *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static int
by_place(const void *a, const void *b)
{
	const struct trace *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static void
note_version(struct trace *t, const char *changed_at, const char *node)
{
	if (t->changed_at[0] != '\0' && version_compare(changed_at, node, t->changed_at, t->node) <= 0)
		return;
	(void)snprintf(t->changed_at, sizeof t->changed_at, "%s", changed_at);
	(void)snprintf(t->node, sizeof t->node, "%s", node);
}

static void
note(struct search *s, struct trace *t, const struct change *c)
{
	if (!mark_contains(s->q->seen, c->id) && (c->via == NULL || strcmp(c->via, s->q->peer) != 0))
		t->fresh = true;
	note_version(t, c->changed_at, c->origin == NULL ? s->q->self : c->origin);
}

static bool
visit(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct search *s = arg;
	struct trace wanted, *found;

	(void)stop;
	if (!mark_contains(s->q->seen, c->id) && s->unseen++ >= TRACE_UNSEEN_MAX)
		return err_set(e, ERR_LIMIT, "more than %d changes are still on their way to %s; compare when they have arrived (agent --drain)", TRACE_UNSEEN_MAX, s->q->peer);
	if (c->key == NULL || strcmp(c->table, s->q->table) != 0 || s->n == 0)
		return true;
	wanted.hash = record_hash(c->table, c->key, c->key_len);
	found = bsearch(&wanted, s->traces, s->n, sizeof wanted, by_hash);
	if (found == NULL)
		return true;
	/* The same key may have been asked for twice. */
	while (found > s->traces && found[-1].hash == wanted.hash)
		found--;
	for (; found < s->traces + s->n && found->hash == wanted.hash; found++)
		note(s, found, c);
	return true;
}

/* Where the pass begins: at what the mark does not contain, or further back. */
static bool
start(const struct trace_question *q, struct mark *from, struct err *e)
{
	const struct id_set *holes = &q->seen->holes;
	uint64_t last = 0;
	bool ok = true;

	*from = (struct mark){ .high = q->seen->high };
	if (q->versions && !db_number(q->db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, &last, NULL, e))
		return false;
	if (q->versions && last < from->high + TRACE_ROWS_MAX)
		from->high = last > TRACE_ROWS_MAX ? last - TRACE_ROWS_MAX : 0;
	for (size_t i = 0; ok && i < holes->n && holes->ranges[i].low <= from->high; i++)
		ok = id_set_append(&from->holes, holes->ranges[i].low, holes->ranges[i].high < from->high ? holes->ranges[i].high : from->high, e);
	return ok;
}

/* A record that the peer has not accepted, or that is not even sent (its table waits), has not been seen there,
 * whatever the marks say. */
static bool
visit_owed(const struct owed *o, void *arg, struct err *e)
{
	struct search *s = arg;
	struct trace wanted = { .hash = record_hash(o->table, o->key, o->key_len) }, *found;

	(void)e;
	if (s->n == 0 || strcmp(o->table, s->q->table) != 0 || strcmp(o->state, "discarded") == 0)
		return true;
	found = bsearch(&wanted, s->traces, s->n, sizeof wanted, by_hash);
	while (found != NULL && found > s->traces && found[-1].hash == wanted.hash)
		found--;
	for (; found != NULL && found < s->traces + s->n && found->hash == wanted.hash; found++) {
		found->fresh = true;
		note_version(found, o->changed_at, o->origin == NULL ? s->q->self : o->origin);
	}
	return true;
}

bool
trace_find(const struct trace_question *q, const struct digest_list *keys, struct trace **out, struct err *e)
{
	struct search s = { .q = q, .n = keys->n };
	struct mark from = { 0 };
	bool ok;

	*out = NULL;
	s.traces = calloc(keys->n + 1, sizeof *s.traces);
	if (s.traces == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a comparison");
	for (size_t i = 0; i < keys->n; i++) {
		s.traces[i].at = i;
		s.traces[i].fresh = q->dirty;
		s.traces[i].hash = record_hash(q->table, digest_key(keys, &keys->rows[i]), keys->rows[i].key_len);
	}
	qsort(s.traces, s.n, sizeof *s.traces, by_hash);
	ok = start(q, &from, e) && queue_look(q->db, &from, visit, &s, e) && owed_visit(q->db, q->peer, visit_owed, &s, e);
	mark_free(&from);
	qsort(s.traces, s.n, sizeof *s.traces, by_place);
	if (!ok)
		free(s.traces);
	else
		*out = s.traces;
	return ok;
}
