/* What is owed, and what goes back. Not here: the SQL. */
#include "change/debt.h"

#include <string.h>

bool
debt_is_due(const struct debt_group *g, const char *state, uint64_t sent_epoch)
{
	/* A group that ends at an older epoch may not be given a newer one (ensure_fresh). It takes only what went out up
	 * to there before: the answer to either of the two speaks of that. */
	if (!g->fresh && !g->last_part && (sent_epoch <= g->base || sent_epoch > g->upto))
		return false;
	if (sent_epoch > g->base)
		return strcmp(state, "discarded") != 0;
	return g->retry && (strcmp(state, "retry") == 0 || strcmp(state, "waiting") == 0);
}

uint64_t
debt_sent_epoch(const struct debt_group *g, uint64_t before, bool sent)
{
	if (sent)
		return before > g->acked && before < g->upto ? before : g->upto;
	/* The answer of an earlier group up to the same epoch, or beyond, must not be taken for a yes to it. */
	return before > g->base && before <= g->upto ? 0 : before;
}

bool
debt_is_answered(uint64_t sent_epoch, uint64_t from, uint64_t upto, bool named)
{
	return named || (sent_epoch > from && sent_epoch <= upto);
}

struct debt_before
debt_before(const struct entry *entry, const struct owed *o)
{
	if (entry == NULL)
		return (struct debt_before){ .newest = o->last_id };
	return (struct debt_before){ entry->last_id, entry->link, entry->decided, entry->came };
}

bool
debt_add(struct collapse *c, const struct owed *o, const struct buf *told, struct err *e)
{
	struct change change = {
		.id = o->last_id,
		.operation = o->first,
		.table = o->table,
		.key = o->key,
		.key_len = o->key_len,
		.changed_at = o->changed_at,
		.origin = o->origin,
		.via = o->via,
		.whole = o->whole,
		.columns = told == NULL ? NULL : told->data,
		.columns_len = told == NULL ? 0 : told->len,
	};

	return collapse_add(c, &change, e);
}

void
debt_note(struct entry *entry, const struct owed *o, const struct debt_before *before)
{
	entry->first = o->first;
	entry->told = false; /* it was refused: the peer does not have it under this key */
	entry->decided = before->decided; /* what is owed is whole for other reasons, too */
	entry->last_id = before->newest > o->last_id ? before->newest : o->last_id;
	entry->owed = true;
	entry->link = before->link == 0 ? o->link : before->link;
	entry->came = before->link == 0 ? o->link != 0 : before->came;
}

bool
debt_merge(struct collapse *c, const struct owed *o, struct entry **entry, struct err *e)
{
	struct debt_before before = debt_before(*entry, o);

	if (!debt_add(c, o, NULL, e))
		return false;
	*entry = collapse_find(c, o->table, o->key, o->key_len);
	debt_note(*entry, o, &before);
	return true;
}

uint64_t
debt_forsaken(const struct debt_before *before, const struct owed *o)
{
	return before->link == 0 || before->link == o->link ? 0 : o->link;
}

const char *
debt_state(unsigned attempts, unsigned max_attempts, bool counted)
{
	if (attempts >= max_attempts)
		return "parked";
	return counted ? "retry" : "waiting";
}

void
debt_step_back(struct entry *entry, struct entry *old, size_t key, size_t key_len, bool exists, uint64_t *link)
{
	uint64_t left = *link;

	*link = 0;
	if (exists)
		return; /* another record has that key now: no move, an ordinary update */
	/* Another record had it since, and came from elsewhere: what ended it is told by itself. */
	if (old != NULL && old->link > left)
		return;
	/* Born here since the peer's last word: a row of its own under that key is another one and must not be
	 * moved. The delete goes by itself. */
	if (old != NULL && old->first == OP_INSERT && old->link == 0)
		return;
	/* It came there in this group, or the peer has refused it there. What the peer has under that key is what was there
	 * before, and its end is told by itself. */
	if (old != NULL && old->link != 0 && (old->came || (old->first == OP_INSERT && !old->told))) {
		*link = old->link;
		/* So is a decision about that key: the peer has a row of its own there. */
		old->done = old->first == OP_INSERT && !old->told && !old->owed && !old->decided;
		return;
	}
	if (old != NULL)
		old->done = true; /* its delete is part of the move */
	entry->old_key = key;
	entry->old_key_len = key_len;
}

bool
debt_left_behind(const struct entry *entry)
{
	return entry->absent && entry->owed && entry->link != 0;
}
