/* Rounds. Lives here: from the group's lines to chunks. Not here: what is done with a chunk (the
 * visitor), how many rounds there are (apply/careful). */
#include "apply/round.h"

#include <string.h>

#include "apply/judge.h"

static bool
visit_chunk(struct round *d, struct err *e)
{
	bool ok;

	if (d->chunk->n == 0)
		return true;
	ok = judge_chunk(d->chunk, e) && d->visit(d->chunk, d->arg, e);
	chunk_clear(d->chunk);
	return ok;
}

static bool
close_section(struct round *d, struct err *e)
{
	bool ok = visit_chunk(d, e);

	chunk_close(d->chunk);
	return ok;
}

static bool
open_section(struct round *d, struct err *e)
{
	if (!close_section(d, e))
		return false;
	if (d->reader->table == NULL)
		return true; /* its records wait */
	return chunk_open(d->chunk, d->reader, e);
}

static bool
is_wanted(struct round *d)
{
	if (d->todo == NULL)
		return true;
	while (d->at < d->ntodo && d->todo[d->at] < d->reader->number)
		d->at++;
	return d->at < d->ntodo && d->todo[d->at] == d->reader->number;
}

static bool
note_waiting(struct round *d, struct err *e)
{
	struct pass_reader *r = d->reader;
	struct refused waiting = {
		.number = r->number,
		.table = r->section.table,
		.key_len = r->meta.key_len,
		.reason = r->reason,
		.kind = REFUSED_WAITING,
	};

	memcpy(&waiting.key, &r->meta.key, sizeof waiting.key);
	return refused_add(&d->chunk->pass->refused, &waiting, e);
}

static bool
take_record(struct round *d, struct err *e)
{
	struct pass_reader *r = d->reader;

	if (r->meta.operation == 'o')
		return d->todo != NULL || pass_note_owed(d->chunk->pass, r, e);
	if (!is_wanted(d))
		return true;
	if (r->table == NULL)
		return note_waiting(d, e);
	if (!chunk_add(d->chunk, r, e))
		return false;
	return !chunk_is_full(d->chunk) || visit_chunk(d, e);
}

bool
round_run(struct round *d, struct err *e)
{
	struct pass *p = d->chunk->pass;
	enum pass_line what = PASS_END;

	d->at = 0;
	if (!pass_begin(p, d->reader, e))
		return false;
	do {
		if (!pass_next(p, d->reader, &what, e))
			return false;
		if (what == PASS_SECTION && !open_section(d, e))
			return false;
		if (what == PASS_RECORD && !take_record(d, e))
			return false;
	} while (what != PASS_END);
	return close_section(d, e);
}
