/* Spans. Lives here: which statement a record gets, finding the one at fault. Not here: why it is
 * written (apply/judge), what else follows (apply/outcome). */
#include "apply/span.h"

#include <stdio.h>
#include <string.h>

#include "apply/attachment.h"
#include "apply/cascade.h"
#include "apply/fit.h"
#include "apply/follow.h"
#include "apply/namesake.h"
#include "apply/outcome.h"
#include "apply/undecided.h"

/* --- refusals --- */

bool
span_is_refusal(const struct err *e)
{
	return e->code == ERR_DB_DUPLICATE || e->code == ERR_DB_REJECTED;
}

static bool
put_aside(struct chunk *c, struct item *item, struct refused_list *to, const struct err *why,
    struct err *e)
{
	const char *text = why->msg;
	struct refused r = {
		.number = item->number,
		.key_len = item->meta.key_len,
		.kind = item->decision.verdict != VERDICT_ASK ? REFUSED : undecided_is_collision(c, item) ? REFUSED_COLLISION : REFUSED_UNDECIDED,
		.db_errno = why->db_errno,
	};

	item->done = true;
	/* Not the reader's section: the next one may have been read already. */
	memcpy(&r.table, &c->target.table->name, sizeof r.table);
	memcpy(&r.key, &item->meta.key, sizeof r.key);
	memcpy(&r.reason, &text, sizeof r.reason);
	return refused_add(to, &r, e);
}

/* It is not at fault, and no other record of the group can help. */
static bool
put_waiting_aside(struct chunk *c, struct item *item, char *why, struct err *e)
{
	struct refused r = {
		.number = item->number,
		.table = c->target.table->name,
		.key_len = item->meta.key_len,
		.reason = why,
		.kind = REFUSED_WAITING,
	};

	item->done = true;
	memcpy(&r.key, &item->meta.key, sizeof r.key);
	return refused_add(&c->pass->refused, &r, e);
}

/* Each side keeps its own until a person decides. */
static bool
put_undecided_aside(struct chunk *c, struct item *item, struct err *e)
{
	enum { SHOWN = 64 }; /* bytes of the key */
	int len = (int)(item->meta.key_len < SHOWN ? item->meta.key_len : SHOWN);
	const char *table = c->target.table->name, *key = item->meta.key;
	struct err why = { 0 };

	if (undecided_is_collision(c, item)) {
		c->pass->namesakes = true;
		(void)err_set(&why, ERR_DB_DUPLICATE, "table %s: both nodes gave the key %.*s to different rows; give each node its own auto_increment_offset (agent --conflicts)", table, len, key);
	} else
		(void)err_set(&why, ERR_DB_DUPLICATE, "table %s: both nodes changed record %.*s, and a person decides: agent --conflicts shows both versions", table, len, key);
	return undecided_keep(c, item, e) && put_aside(c, item, &c->pass->refused, &why, e);
}

/* It points at a row there and would point at another one here. */
static bool
put_child_aside(struct chunk *c, struct item *item, const char *parent, struct err *e)
{
	char text[MESSAGE_REASON_MAX];
	struct refused r = { .number = item->number, .key_len = item->meta.key_len, .reason = text, .kind = REFUSED_WAITING };

	(void)snprintf(text, sizeof text, "table %s: it belongs to a row of %s whose number both nodes gave to different rows", c->target.table->name, parent);
	item->done = true;
	memcpy(&r.table, &c->target.table->name, sizeof r.table);
	memcpy(&r.key, &item->meta.key, sizeof r.key);
	return refused_add(&c->pass->refused, &r, e);
}

/* Its children here have changes of their own in the group. It is not at fault. */
static bool
put_parent_aside(struct chunk *c, struct item *item, struct refused_list *to, struct err *e)
{
	char text[MESSAGE_REASON_MAX];
	struct refused r = {
		.number = item->number,
		.table = c->target.table->name,
		.key_len = item->meta.key_len,
		.reason = text,
		.db_errno = REFUSED_HAS_CHILDREN,
		.after_children = true,
	};

	(void)snprintf(text, sizeof text, "table %s: rows of table %s still belong to it here, and changes of them come first", c->target.table->name, item->waits_for->name);
	item->done = true;
	memcpy(&r.key, &item->meta.key, sizeof r.key);
	return refused_add(to, &r, e);
}

/* A row whose file has not come. */
static bool
put_early_aside(struct chunk *c, struct item *item, const struct attachment *file, bool *waits, struct err *e)
{
	char text[MESSAGE_REASON_MAX];

	return attachment_waits(c->pass, file, &item->meta, item->values, text, waits, e) && (!*waits || put_waiting_aside(c, item, text, e));
}

/* What is not written at all. */
static bool
put_unwritable_aside(struct chunk *c, struct refused_list *refused, struct err *e)
{
	struct attachment file;

	attachment_of(c->pass, c->target.table, c->target.map, &file);
	for (size_t i = 0; i < c->n; i++) {
		struct item *item = &c->items[i];
		bool early = false;
		const char *parent;
		struct err why = { 0 };

		if (item->waits_for != NULL) {
			if (!put_parent_aside(c, item, refused, e))
				return false;
			continue;
		}
		if (item->decision.verdict == VERDICT_ASK) {
			if (!put_undecided_aside(c, item, e))
				return false;
			continue;
		}
		if (item->shape == WRITE_NOTHING || item->shape == TARGET_DELETE)
			continue;
		if (!namesake_parent(c, item, &parent, e) || (parent != NULL && !put_child_aside(c, item, parent, e)))
			return false;
		if (parent == NULL && file.any && !put_early_aside(c, item, &file, &early, e))
			return false;
		if (parent != NULL || early)
			continue;
		if (target_too_large(&c->target, item->values, why.msg)) {
			if (!put_aside(c, item, refused, &why, e))
				return false;
		} else if (!fit_nulls(c->target.table, c->target.map, item->values, why.msg) &&
		    !put_waiting_aside(c, item, why.msg, e))
			return false;
	}
	return true;
}

/* --- writing --- */

static bool
put_item(struct chunk *c, struct item *item, struct err *e)
{
	struct record_meta m = item->meta, old = item->meta;

	if (item->at_key != NULL) {
		m.key = item->at_key;
		m.key_len = item->at_key_len;
	}
	if (item->shape == (int)TARGET_MOVE && !item->old_here) { /* from the key that it was given here */
		m.old_key = item->now_key;
		m.old_key_len = item->now_key_len;
	}
	if (!cascade_write(c, item, e) || !follow_find(c, item, e) ||
	    (item->shape != WRITE_NOTHING && !target_put(&c->target, (enum target_shape)item->shape, &m, item->write == NULL ? item->values : item->write, e)))
		return false;
	if (!item->drop_old)
		return true;
	old.key = item->meta.old_key; /* both keys are here: the old one goes */
	old.key_len = item->meta.old_key_len;
	return target_put(&c->target, TARGET_DELETE, &old, NULL, e);
}

static bool
put_span(struct chunk *c, size_t from, size_t to, struct err *e)
{
	for (size_t i = from; i < to; i++)
		if (!c->items[i].done && (c->items[i].shape != WRITE_NOTHING || c->items[i].drop_old) &&
		    !put_item(c, &c->items[i], e))
			return false;
	return target_flush(&c->target, e);
}

static bool
finish_span(struct chunk *c, size_t from, size_t to, struct err *e)
{
	for (size_t i = from; i < to; i++)
		if (!c->items[i].done && !outcome_finish(c, &c->items[i], e))
			return false;
	return true;
}

/* What the sender's server took is taken as it is. */
static bool
put_unchecked(struct chunk *c, size_t from, size_t to, struct err *e)
{
	struct db *db = c->pass->db;
	bool ok;

	target_forget(&c->target);
	ok = db_exec(db, "ROLLBACK TO SAVEPOINT span", DB_NO_ARGS, e) && db_checks(db, false, e) && put_span(c, from, to, e);
	return db_checks(db, true, ok ? e : NULL) && ok;
}

struct span {
	struct chunk *chunk;
	struct refused_list *refused;
};

/* Write the records [from, to); halve on refusal. Recursion is as deep as a chunk can be halved. */
static bool
write_span(const struct span *s, size_t from, size_t to, struct err *e)
{
	struct chunk *c = s->chunk;
	size_t half = from + (to - from) / 2;
	bool alone = to - from == 1;

	if (from == to || (alone && c->items[from].done))
		return true;
	if (!db_exec(c->pass->db, "SAVEPOINT span", DB_NO_ARGS, e))
		return false;
	if (put_span(c, from, to, e) || (fit_lifts_checks(c->target.table, c->target.checks, e) && put_unchecked(c, from, to, e)))
		return finish_span(c, from, to, e);
	target_forget(&c->target);
	if (!span_is_refusal(e) || (alone && !put_aside(c, &c->items[from], s->refused, e, e)) ||
	    !db_exec(c->pass->db, "ROLLBACK TO SAVEPOINT span", DB_NO_ARGS, e))
		return false;
	return alone || (write_span(s, from, half, e) && write_span(s, half, to, e));
}

bool
span_write(struct chunk *c, struct refused_list *refused, struct err *e)
{
	struct span s = { c, refused };

	return put_unwritable_aside(c, refused, e) && write_span(&s, 0, c->n, e);
}
