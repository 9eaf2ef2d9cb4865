/* Rehearsing. Lives here: what would become of each record of a group, as far as reading can tell. Not here: the
 * verdicts (apply/judge and below, which do not lock then), the answer's form (wire/rehearsal). */
#include "apply/rehearse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/careful.h"
#include "apply/family.h"
#include "apply/fit.h"
#include "apply/inbox.h"
#include "apply/judge.h"
#include "apply/namesake.h"
#include "apply/outcome.h"
#include "apply/preference.h"
#include "apply/rival.h"
#include "apply/round.h"
#include "apply/undecided.h"
#include "base/clock.h"

struct rehearsal {
	struct pass *pass;
	struct pass_reader *reader;
	struct chunk *chunk;
	struct rehearsal_head head;
	struct buf lines;
	size_t listed;
	bool *brought; /* by the catalog's index: the group has rows of the table */
	const struct table *looked_at; /* has_unique is about this table */
	bool has_unique;
	struct item *pairs[CHUNK_RECORDS]; /* of this chunk: another row here has its unique value */
	struct digest_list rivals;	   /* the keys of those rows */
	int64_t until_ms;
};

/* --- findings --- */

static void
list(struct rehearsal *r, const struct rehearsal_finding *f)
{
	bool conflict = strcmp(f->kind, "conflict") == 0;

	if (conflict)
		r->head.conflicts++;
	else
		r->head.refused++;
	if (r->listed++ < REHEARSAL_LISTED)
		rehearsal_put_finding(&r->lines, f);
}

static struct rehearsal_finding
refusal_of(const struct chunk *c, const struct item *item, const char *kind, const char *reason)
{
	return (struct rehearsal_finding){ .kind = kind, .table = c->target.table->name, .key = item->meta.key, .key_len = item->meta.key_len, .reason = reason };
}

static struct rehearsal_finding
conflict_of(const struct chunk *c, const struct item *item, const char *verdict, const char *rule, const char *local_changed_at, const char *local_node)
{
	return (struct rehearsal_finding){ .kind = "conflict", .table = c->target.table->name, .key = item->meta.key, .key_len = item->meta.key_len,
		.verdict = verdict, .rule = rule, .local_changed_at = local_changed_at, .local_node = local_node,
		.remote_changed_at = item->meta.changed_at, .remote_node = judge_node(c, item) };
}

static void
list_conflict(struct rehearsal *r, const struct chunk *c, const struct item *item)
{
	static const char *const verdict[] = { "apply", "keep", "ask" };
	const char *rule = item->rule != NULL ? item->rule : item->decision.verdict != VERDICT_ASK ? outcome_rule(c, item) : undecided_is_collision(c, item) ? "collision" : "manual";
	struct rehearsal_finding f = conflict_of(c, item, verdict[item->decision.verdict], rule, item->local_changed_at, item->local_node);

	list(r, &f);
}

/* --- what the server would refuse --- */

/* *found: another row has its unique value, and is noted. */
static bool
find_rival(struct rehearsal *r, struct chunk *c, struct item *item, bool *found, struct err *e)
{
	const struct table *t = c->target.table;
	const struct line_value *values[CATALOG_COLUMNS];
	const struct rival_question q = { c->pass->db, c->target.database, t, values, item->meta.key, item->meta.key_len, item->meta.old_key, item->meta.old_key_len };
	struct db_rows *rival = NULL;
	bool ok = true;

	*found = false;
	if (r->looked_at != t && !rival_possible(&q, &r->has_unique, e))
		return false;
	r->looked_at = t;
	if (!r->has_unique)
		return true;
	for (size_t i = 0; i < t->ncolumns; i++)
		values[c->target.map[i]] = &item->values[i];
	if (!rival_find(&q, &rival, e))
		return false;
	/* One that the group changes as well may have given the value up by then. */
	if (rival != NULL && !look_names(&c->pass->look, record_hash(t->name, db_rows_text(rival, 0), db_rows_len(rival, 0)))) {
		*found = true;
		r->pairs[r->rivals.n] = item;
		ok = digest_list_add(&r->rivals, db_rows_text(rival, 0), db_rows_len(rival, 0), NULL, e);
	}
	db_rows_free(rival);
	return ok;
}

static void
list_pair(struct rehearsal *r, const struct chunk *c, size_t i, const struct trace *ours)
{
	const struct item *item = r->pairs[i];
	enum preference stays = ours == NULL ? PREFERENCE_ASK : preference_of(c->target.table->preferred, judge_node(c, item), ours);
	struct rehearsal_finding f;
	char text[MESSAGE_REASON_MAX];

	if (stays == PREFERENCE_ASK) {
		(void)snprintf(text, sizeof text, "table %s: record %.200s has its value of a unique key; a person decides", c->target.table->name, digest_key(&r->rivals, &r->rivals.rows[i]));
		f = refusal_of(c, item, "refused", text);
	} else
		f = conflict_of(c, item, stays == PREFERENCE_OURS ? "keep" : "apply", inbox_rule_preferred, ours->changed_at, ours->node);
	list(r, &f);
}

/* The chunk's records that another row has the unique value of: each side would keep its own, unless the rule
 * decides. */
static bool
list_pairs(struct rehearsal *r, const struct chunk *c, struct err *e)
{
	struct trace *ours = NULL;
	bool ok = true;

	if (r->rivals.n > 0 && c->target.table->policy == POLICY_PREFER)
		ok = preference_trace(c->pass->db, c->pass->conf->node.name, c->target.table->name, c->pass->peer, &r->rivals, &ours, e);
	if (!ok && (e->code == ERR_LIMIT || e->code == ERR_HELD)) { /* then a person looks, for the time being */
		err_clear(e);
		ok = true;
	}
	for (size_t i = 0; ok && i < r->rivals.n; i++)
		list_pair(r, c, i, ours == NULL ? NULL : &ours[i]);
	digest_list_reset(&r->rivals);
	free(ours);
	return ok;
}

/* A parent that is not here, and that the group does not bring. */
static bool
find_orphan(struct rehearsal *r, struct chunk *c, const struct item *item, char text[MESSAGE_REASON_MAX], const char **reason, struct err *e)
{
	const struct catalog *catalog = c->pass->catalog;
	const struct table *t = c->target.table;
	const struct line_value *values[CATALOG_COLUMNS];
	const struct rival_question q = { c->pass->db, c->target.database, t, values, item->meta.key, item->meta.key_len, NULL, 0 };

	for (size_t i = 0; i < t->ncolumns; i++)
		values[c->target.map[i]] = &item->values[i];
	for (size_t i = 0; *reason == NULL && i < catalog->nkeys; i++) {
		const struct foreign_key *k = &catalog->keys[i];
		const struct table *parent = strcmp(k->child, t->name) == 0 ? catalog_table(catalog, k->parent) : NULL;
		bool there = true;

		if (parent == NULL || r->brought[parent - catalog->tables])
			continue;
		if (!rival_parent(&q, k, parent, &there, e))
			return false;
		if (there)
			continue;
		(void)snprintf(text, MESSAGE_REASON_MAX, "table %s: the row of table %s that it belongs to is not there", t->name, parent->name);
		*reason = text;
	}
	return true;
}

static bool
look_at_written(struct rehearsal *r, struct chunk *c, struct item *item, struct err *e)
{
	const char *parent = NULL, *reason = NULL, *kind = "refused";
	char text[MESSAGE_REASON_MAX];
	bool rival = false;

	if (!namesake_parent(c, item, &parent, e))
		return false;
	if (parent != NULL) {
		(void)snprintf(text, sizeof text, "table %s: it belongs to a row of %s whose number both nodes gave to different rows", c->target.table->name, parent);
		kind = "waiting";
		reason = text;
	} else if (target_too_large(&c->target, item->values, text))
		reason = text;
	else if (!fit_nulls(c->target.table, c->target.map, item->values, text)) {
		kind = "waiting";
		reason = text;
	} else if (c->pass->header.follows) {
		; /* the groups before may bring the parent, and set the value free */
	} else if (!find_rival(r, c, item, &rival, e) || (!rival && !find_orphan(r, c, item, text, &reason, e)))
		return false;
	if (reason != NULL) {
		const struct rehearsal_finding f = refusal_of(c, item, kind, reason);

		list(r, &f);
	}
	return true;
}

/* Rows that hang on it, and that no foreign key takes along. */
static void
look_at_deleted(struct rehearsal *r, struct chunk *c, struct item *item)
{
	const struct kin_list *kin = family_kin(c->pass->family);
	char text[MESSAGE_REASON_MAX];

	for (size_t i = item->kin_from; i < item->kin_from + item->kin_n; i++) {
		struct rehearsal_finding f = refusal_of(c, item, "refused", text);

		if (kin->items[i].row == NULL || kin->items[i].fate != KIN_STAYS || look_names(&c->pass->look, kin->items[i].hash))
			continue;
		(void)snprintf(text, sizeof text, "table %s: rows of table %s belong to it", c->target.table->name, kin->items[i].table->name);
		list(r, &f);
		return;
	}
}

static bool
visit(struct chunk *c, void *arg, struct err *e)
{
	struct rehearsal *r = arg;

	for (size_t i = 0; i < c->n && r->head.all; i++) {
		struct item *item = &c->items[i];

		r->head.judged++;
		if (item->decision.conflict || item->decision.verdict == VERDICT_ASK)
			list_conflict(r, c, item);
		if (item->decision.verdict == VERDICT_ASK) {
			c->pass->namesakes = c->pass->namesakes || undecided_is_collision(c, item);
			continue;
		}
		if (item->shape == TARGET_DELETE && !c->pass->header.follows)
			look_at_deleted(r, c, item);
		else if (item->shape != TARGET_DELETE && item->shape != WRITE_NOTHING && !look_at_written(r, c, item, e))
			return false;
		if (!family_done(c->pass->family, item, e))
			return false;
		r->head.all = clock_mono_ms() < r->until_ms;
	}
	return list_pairs(r, c, e);
}

/* --- the whole --- */

/* Tables that the group brings rows of. */
static bool
note_brought(struct rehearsal *r, struct err *e)
{
	const struct catalog *catalog = r->pass->catalog;
	enum pass_line what = PASS_END;

	r->brought = calloc(catalog->ntables + 1, sizeof *r->brought);
	if (r->brought == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	if (!pass_begin(r->pass, r->reader, e))
		return false;
	do {
		if (!pass_next(r->pass, r->reader, &what, e))
			return false;
		if (what == PASS_RECORD && r->reader->table != NULL && (r->reader->meta.operation == 'i' || r->reader->meta.operation == 'u'))
			r->brought[r->reader->table - catalog->tables] = true;
	} while (what != PASS_END);
	return true;
}

/* What waits because its table is not here, or another one. */
static void
list_waiting(struct rehearsal *r)
{
	for (size_t i = 0; i < r->pass->refused.n; i++) {
		const struct refused *from = &r->pass->refused.items[i];
		const struct rehearsal_finding f = { .kind = "waiting", .table = from->table, .key = from->key, .key_len = from->key_len, .reason = from->reason };

		r->head.judged++;
		list(r, &f);
	}
}

bool
rehearse_run(struct pass *p, struct pass_reader *reader, struct buf *out, struct err *e)
{
	struct rehearsal r = { .pass = p, .reader = reader, .head = { .all = true }, .until_ms = clock_mono_ms() + REHEARSE_WORK_MS };
	struct round d = { .reader = reader, .visit = visit, .arg = &r };
	bool ok;

	buf_init(&r.lines, REHEARSAL_ANSWER_MAX);
	digest_list_init(&r.rivals, (size_t)CHUNK_RECORDS * CATALOG_KEY_BYTES * 2);
	r.chunk = d.chunk = chunk_new(p, e);
	p->family = family_new(p, e);
	ok = r.chunk != NULL && p->family != NULL && careful_survey(p, reader, e) && note_brought(&r, e) && round_run(&d, e);
	if (ok) {
		list_waiting(&r);
		rehearsal_put_head(out, &r.head);
		buf_put(out, r.lines.data, r.lines.len);
		ok = buf_check(&r.lines, "a rehearsal's answer", e) && buf_check(out, "a rehearsal's answer", e);
	}
	chunk_free(r.chunk);
	family_free(p->family);
	p->family = NULL;
	free(r.brought);
	digest_list_free(&r.rivals);
	buf_free(&r.lines);
	return ok;
}
