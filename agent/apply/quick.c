/* Bulk application of a group without surprises. Not here: any decision about a single record
 * (apply/careful). */
#include "apply/quick.h"

#include "apply/family.h"
#include "apply/fit.h"
#include "apply/namesake.h"
#include "change/record.h"

struct quick {
	struct pass *pass;
	struct pass_reader *reader;
	struct target target;
	bool open;
	bool parent; /* the open table's rows take others along: its deletes are held until that was looked at */
	struct buf held; /* their keys */
	size_t ends[RECORD_KEYS];
	size_t nheld;
};

/* --- deletes that take others along --- */

static const char *
held_key(size_t i, size_t *len, void *arg)
{
	const struct quick *q = arg;
	size_t from = i == 0 ? 0 : q->ends[i - 1];

	*len = q->ends[i] - from;
	return buf_cstr(&q->held) + from;
}

static bool
release(struct quick *q, bool *careful, struct err *e)
{
	size_t n = q->nheld;

	if (n == 0)
		return true;
	if (!family_left(q->pass, q->target.table, n, held_key, q, careful, e))
		return false;
	for (size_t i = 0; !*careful && i < n; i++) {
		struct record_meta m = { .operation = 'd' };

		m.key = held_key(i, &m.key_len, q);
		if (!target_put(&q->target, TARGET_DELETE, &m, NULL, e))
			return false;
	}
	q->nheld = 0;
	buf_reset(&q->held);
	return true;
}

static bool
hold(struct quick *q, const struct record_meta *m, bool *careful, struct err *e)
{
	buf_put(&q->held, m->key, m->key_len);
	if (!buf_check(&q->held, "a list of keys", e))
		return false;
	q->ends[q->nheld++] = q->held.len;
	return q->nheld < record_keys_at_once(q->target.table) || release(q, careful, e);
}

/* --- records --- */

static enum target_shape
shape_of(char operation)
{
	return operation == 'd' ? TARGET_DELETE : operation == 'i' ? TARGET_INSERT : TARGET_UPDATE;
}

/* Records that need more than one bulk statement: moved keys, an own seen, values too large. */
static bool
is_plain(const struct quick *q)
{
	const struct record_meta *m = &q->reader->meta;
	const struct line_value *values = q->reader->values + RECORD_FIXED;
	char reason[MESSAGE_REASON_MAX];

	return m->old_key == NULL && !m->has_seen &&
	    (m->operation == 'd' || (!target_too_large(&q->target, values, reason) &&
					fit_nulls(q->target.table, q->target.map, values, reason)));
}

static bool
relay_record(struct quick *q, struct err *e)
{
	const struct record_meta *m = &q->reader->meta;
	struct relay r = {
		.table = q->target.table->name,
		.operation = m->operation == 'd' ? OP_DELETE : m->operation == 'i' ? OP_INSERT : OP_UPDATE,
		.key = m->key,
		.key_len = m->key_len,
		.changed_at = m->changed_at,
		.node = m->origin == NULL ? q->pass->peer : m->origin,
		.whole = m->whole,
	};

	return pass_relay(q->pass, &r, e);
}

static bool
write_record(struct quick *q, bool *careful, struct err *e)
{
	const struct record_meta *m = &q->reader->meta;
	bool held = q->parent && m->operation == 'd';

	q->pass->applied++;
	return look_expect(&q->pass->look, record_hash(q->target.table->name, m->key, m->key_len), e) && relay_record(q, e) &&
	    (held ? hold(q, m, careful, e) : target_put(&q->target, shape_of(m->operation), m, q->reader->values + RECORD_FIXED, e));
}

static bool
close_section(struct quick *q, bool *careful, struct err *e)
{
	bool ok;

	if (!q->open)
		return true;
	if (!release(q, careful, e) || *careful)
		return *careful;
	ok = target_flush(&q->target, e) && pass_note_lost(q->pass, q->target.table, q->target.deleted, e);
	target_close(&q->target);
	q->open = false;
	return ok;
}

static bool
open_section(struct quick *q, bool *careful, struct err *e)
{
	if (!close_section(q, careful, e) || *careful)
		return *careful;
	q->parent = family_follows(q->pass->catalog, q->reader->table);
	q->open = target_open(&q->target, q->pass->db, q->pass->catalog->database, q->reader->table, &q->reader->section, e);
	return q->open;
}

/* *careful = true: leave it at that. */
static bool
take_line(struct quick *q, enum pass_line what, bool *careful, struct err *e)
{
	if (what == PASS_SECTION) {
		if (q->reader->section.ncolumns == 0) /* a list of owed records alone */
			return close_section(q, careful, e);
		*careful = q->reader->table == NULL;
		return *careful || open_section(q, careful, e);
	}
	if (q->reader->meta.operation == 'o')
		return pass_note_owed(q->pass, q->reader, e);
	*careful = !is_plain(q);
	return *careful || write_record(q, careful, e);
}

static bool
write_all(struct quick *q, bool *careful, struct err *e)
{
	enum pass_line what;

	for (;;) {
		if (!pass_next(q->pass, q->reader, &what, e))
			return false;
		if (what == PASS_END)
			return close_section(q, careful, e) && (*careful || pass_relay_flush(q->pass, e));
		if (!take_line(q, what, careful, e) || *careful)
			return !*careful ? false : true;
	}
}

bool
quick_apply(struct pass *p, struct pass_reader *r, bool *careful, struct err *e)
{
	struct quick q = { .pass = p, .reader = r };
	struct mark seen = p->seen;
	bool any, ok;

	if (!namesake_look(p, e))
		return false;
	*careful = p->namesakes;
	if (*careful)
		return true;
	buf_init(&q.held, RECORD_SQL_MAX);
	ok = pass_begin(p, r, e) && write_all(&q, careful, e);
	if (q.open)
		target_close(&q.target);
	buf_free(&q.held);
	if (!ok && (e->code == ERR_DB_DUPLICATE || e->code == ERR_DB_REJECTED)) {
		*careful = true;
		return true;
	}
	if (!ok || *careful)
		return ok;
	if (!look_any(&p->look, p->db, &p->seen, &any, e))
		return false;
	if (!any)
		return true;
	if (!id_set_copy(&p->seen.holes, &seen.holes, e))
		return false;
	look_begin(&p->look, &seen);
	if (!look_refresh(&p->look, p->db, e))
		return false;
	*careful = p->look.n > 0;
	return true;
}
