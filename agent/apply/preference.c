/* Preferred rows. Lives here: which undecided pairs of rows with one unique value a table's rule decides. Not here: the
 * decision itself (apply/inbox), opening what is undecided (apply/undecided). */
#include "apply/preference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/inbox.h"
#include "base/log.h"
#include "change/peer.h"

enum preference
preference_of(const char *preferred, const char *node, const struct trace *ours)
{
	bool theirs_is = strcmp(node, preferred) == 0, ours_is = strcmp(ours->node, preferred) == 0;

	if (!ours->fresh || theirs_is == ours_is)
		return PREFERENCE_ASK;
	return ours_is ? PREFERENCE_OURS : PREFERENCE_THEIRS;
}

bool
preference_trace(struct db *db, const char *self, const char *table, const char *peer, const struct digest_list *rows, struct trace **out, struct err *e)
{
	struct trace_question q = { .db = db, .table = table, .self = self, .peer = peer };
	struct mark acked = { 0 };
	struct peer_state state;
	bool found = false, ok;

	*out = NULL;
	ok = peer_load(db, peer, &state, e) && queue_load_mark(db, state.acked_epoch, &acked, &found, e) &&
	    (found || err_set(e, ERR_HELD, "the epoch that %s has acknowledged is not kept any more", peer));
	q.seen = &acked;
	ok = ok && trace_find(&q, rows, out, e);
	mark_free(&acked);
	return ok;
}

/* The open pairs of one table, and what is known of the rows here. */
struct choice {
	struct db *db;
	const struct node_identity *node;
	const struct catalog *catalog;
	const struct table *table;
	const char *peer;
	uint64_t ids[PREFERENCES_AT_ONCE];
	struct digest_list rivals;
};

static bool
choose_one(const struct choice *c, size_t i, const struct trace *t, struct err *e)
{
	const struct digest_row *row = &c->rivals.rows[i];
	const struct inbox_preference p = {
		.id = c->ids[i],
		.node = c->table->preferred,
		.changed_at = t->changed_at,
		.rival = digest_key(&c->rivals, row),
		.rival_len = row->key_len,
	};
	struct err why = { 0 };

	if (!t->fresh || strcmp(t->node, c->table->preferred) != 0 || inbox_prefer(c->db, c->node, c->catalog, &p, &why))
		return true;
	if (why.code == ERR_USAGE || why.code == ERR_HELD) { /* a person's, as before */
		log_debug(c->peer, "conflict %llu stays undecided: %s", (unsigned long long)p.id, why.msg);
		return true;
	}
	*e = why;
	return false;
}

static bool
choose(struct choice *c, struct err *e)
{
	struct trace *traces = NULL;
	bool ok = preference_trace(c->db, c->node->name, c->table->name, c->peer, &c->rivals, &traces, e);

	for (size_t i = 0; ok && i < c->rivals.n; i++)
		ok = choose_one(c, i, &traces[i], e);
	free(traces);
	if (!ok && (e->code == ERR_LIMIT || e->code == ERR_HELD)) { /* too much is on its way: later */
		err_clear(e);
		return true;
	}
	return ok;
}

/* What the preferred node itself wants is not decided here: the other side has its row, or a person looks. */
static bool
read_open(struct choice *c, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	digest_list_reset(&c->rivals);
	ok = db_query(c->db, "SELECT c.id, u.rival_id FROM sync_undecided u JOIN sync_conflict c ON c.id=u.conflict WHERE u.peer=? AND u.decision IS NULL"
			     " AND u.rival_id IS NOT NULL AND c.table_name=? AND c.resolved_at IS NULL AND c.remote_origin<>? ORDER BY c.id LIMIT ?",
		 DB_ARGS(db_text(c->peer), db_text(c->table->name), db_text(c->table->preferred), db_u64(PREFERENCES_AT_ONCE)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		c->ids[c->rivals.n] = db_rows_u64(rows, 0);
		ok = digest_list_add(&c->rivals, db_rows_text(rows, 1), db_rows_len(rows, 1), NULL, e);
	}
	db_rows_free(rows);
	return ok;
}

static bool
choose_in_tables(struct choice *c, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; ok && i < c->catalog->ntables; i++) {
		c->table = &c->catalog->tables[i];
		if (c->table->policy == POLICY_PREFER && c->table->problem == NULL)
			ok = read_open(c, e) && (c->rivals.n == 0 || choose(c, e));
	}
	return ok;
}

static bool
is_rule(const struct catalog *c)
{
	for (size_t i = 0; i < c->ntables; i++)
		if (c->tables[i].policy == POLICY_PREFER && c->tables[i].problem == NULL)
			return true;
	return false;
}

bool
preference_is_due(struct db *db, const char *peer, bool *due, struct err *e)
{
	uint64_t any = 0;
	bool ok = db_number(db, "SELECT EXISTS (SELECT 1 FROM sync_undecided WHERE peer=? AND rival_id IS NOT NULL AND decision IS NULL)", DB_ARGS(db_text(peer)), &any, NULL, e);

	*due = any != 0;
	return ok;
}

bool
preference_decide(struct db *db, const struct node_identity *node, const struct catalog *catalog, const char *peer, struct err *e)
{
	struct choice *c;
	bool due = false, ok;

	if (!is_rule(catalog))
		return true;
	if (!preference_is_due(db, peer, &due, e))
		return false;
	if (!due)
		return true;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for conflicts");
	*c = (struct choice){ .db = db, .node = node, .catalog = catalog, .peer = peer };
	digest_list_init(&c->rivals, (size_t)PREFERENCES_AT_ONCE * CATALOG_KEY_BYTES * 2);
	ok = choose_in_tables(c, e);
	digest_list_free(&c->rivals);
	free(c);
	return ok;
}
