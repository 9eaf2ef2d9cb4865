/* Bulk application of a group without surprises. Not here: any decision about a single record
 * (apply/careful). */
#include "apply/quick.h"

#include "apply/attachment.h"
#include "apply/columns.h"
#include "apply/family.h"
#include "apply/fit.h"
#include "apply/namesake.h"
#include "apply/tally.h"
#include "apply/undecided.h"

struct quick {
	struct pass *pass;
	struct pass_reader *reader;
	struct target target;
	bool open;
	struct attachment file; /* of the table, while open */
	bool cascades; /* the server would change other rows when one of the table is deleted */
	bool follows;  /* or when other columns than the key change */
	struct buf keys; /* of deletes that wait until it is known that no children remain */
	size_t at[RECORD_KEYS + 1]; /* where each begins in keys */
	size_t nkeys;
	struct columns_texts texts; /* of the record that is relayed */
};

static enum target_shape
shape_of(char operation)
{
	return operation == 'd' ? TARGET_DELETE : operation == 'i' ? TARGET_INSERT : TARGET_UPDATE;
}

/* Records that need more than one bulk statement: moved keys, an own seen, values too large, counters (the row that
 * is here tells whether they add up). */
static bool
is_plain(const struct quick *q)
{
	const struct record_meta *m = &q->reader->meta;
	const struct line_value *values = q->reader->values + RECORD_FIXED;
	char reason[MESSAGE_REASON_MAX];

	return m->old_key == NULL && !m->has_seen && !m->has_children && !(q->follows && m->operation == 'u') && !tally_is_wanted(q->target.table, m) &&
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

	return columns_pass_on(q->pass, &r, &q->target, m, &q->texts, e) && pass_relay(q->pass, &r, e);
}

/* --- deletes of parents --- */

static const char *
key_of_parent(size_t i, size_t *len, void *arg)
{
	const struct quick *q = arg;

	*len = q->at[i + 1] - q->at[i] - 1;
	return q->keys.data + q->at[i];
}

/* Delete what was gathered, if nothing hangs on it. */
static bool
delete_parents(struct quick *q, bool *careful, struct err *e)
{
	struct kin_parents of = { q->target.table, q->nkeys, key_of_parent, q };
	bool alone = true;
	uint64_t here = 0;

	if (q->nkeys == 0)
		return true;
	if (!buf_check(&q->keys, "a list of keys", e) || !family_alone(q->pass, &of, &alone, &here, e))
		return false;
	*careful = !alone;
	for (size_t i = 0; alone && i < q->nkeys; i++) {
		struct record_meta m = { .operation = 'd' };

		m.key = key_of_parent(i, &m.key_len, q);
		if (!target_put(&q->target, TARGET_DELETE, &m, NULL, e))
			return false;
	}
	q->nkeys = 0;
	buf_reset(&q->keys);
	/* Counted here: of rows that point at each other one delete may take several. */
	return target_flush(&q->target, e) && pass_note_lost(q->pass, q->target.table, here, e);
}

static bool
gather_parent(struct quick *q, bool *careful, struct err *e)
{
	const struct record_meta *m = &q->reader->meta;

	q->at[q->nkeys] = q->keys.len;
	buf_put(&q->keys, m->key, m->key_len);
	buf_char(&q->keys, '\0');
	q->at[++q->nkeys] = q->keys.len;
	return q->nkeys < record_keys_at_once(q->target.table) || delete_parents(q, careful, e);
}

static bool
put_record(struct quick *q, bool *careful, struct err *e)
{
	const struct record_meta *m = &q->reader->meta;

	if (q->cascades && m->operation == 'd')
		return gather_parent(q, careful, e);
	return target_put(&q->target, shape_of(m->operation), m, q->reader->values + RECORD_FIXED, e);
}

static bool
write_record(struct quick *q, bool *careful, struct err *e)
{
	const struct record_meta *m = &q->reader->meta;

	q->pass->applied++;
	return look_expect(&q->pass->look, record_hash(q->target.table->name, m->key, m->key_len), e) &&
	    put_record(q, careful, e) && relay_record(q, e);
}

static bool
close_section(struct quick *q, bool *careful, struct err *e)
{
	bool ok;

	if (!q->open)
		return true;
	ok = delete_parents(q, careful, e);
	if (ok && !*careful)
		ok = target_flush(&q->target, e) && pass_note_lost(q->pass, q->target.table, q->cascades ? 0 : q->target.deleted, e);
	target_close(&q->target);
	q->open = false;
	return ok;
}

static bool
open_section(struct quick *q, struct err *e)
{
	q->cascades = family_cascades(q->pass, q->reader->table);
	q->follows = family_follows(q->pass, q->reader->table);
	q->open = target_open(&q->target, q->pass->db, q->pass->catalog->database, q->reader->table, &q->reader->section, e);
	if (q->open)
		attachment_of(q->pass, q->reader->table, q->target.map, &q->file);
	return q->open;
}

/* *careful = true: leave it at that. */
static bool
take_line(struct quick *q, enum pass_line what, bool *careful, struct err *e)
{
	if (what == PASS_SECTION) {
		if (!close_section(q, careful, e) || *careful)
			return *careful;
		if (q->reader->section.ncolumns == 0) /* a list of owed records alone */
			return true;
		*careful = q->reader->table == NULL;
		return *careful || open_section(q, e);
	}
	if (q->reader->meta.operation == 'o')
		return pass_note_owed(q->pass, q->reader, e);
	if (q->file.any && !attachment_waits(q->pass, &q->file, &q->reader->meta, q->reader->values + RECORD_FIXED, q->reader->reason, careful, e))
		return false;
	*careful = *careful || !is_plain(q) || (q->pass->ndisputes > 0 && undecided_concerns(q->pass, record_hash(q->target.table->name, q->reader->meta.key, q->reader->meta.key_len)));
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

	buf_init(&q.keys, RECORD_SQL_MAX);
	columns_texts_init(&q.texts);
	if (!namesake_look(p, e) || !undecided_look(p, e))
		return false;
	*careful = p->namesakes;
	if (*careful)
		return true;
	ok = pass_begin(p, r, e) && write_all(&q, careful, e);
	if (q.open)
		target_close(&q.target);
	buf_free(&q.keys);
	columns_texts_free(&q.texts);
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
