/* Explicit deletes. Lives here: the statements for children that go with their parent, what is kept of them,
 * what the peers are told. Not here: whether they go (apply/family). */
#include "apply/cascade.h"

#include <string.h>

#include "apply/inbox.h"
#include "apply/judge.h"

/* --- writing --- */

static bool
is_own_column(const struct foreign_key *k, const char *name)
{
	for (size_t i = 0; i < k->ncolumns; i++)
		if (strcmp(k->columns[i], name) == 0)
			return true;
	return false;
}

/* Every other column is set to itself, so that ON UPDATE CURRENT_TIMESTAMP has no say: the server's SET NULL
 * at the sender left it alone as well. */
static void
put_nulls(struct buf *sql, const struct kin *kin)
{
	const char *word = " SET ";

	for (size_t i = 0; i < kin->table->ncolumns; i++) {
		const struct column *col = &kin->table->columns[i];

		if (col->in_key)
			continue;
		buf_str(sql, word);
		db_quote_name(sql, col->name);
		buf_char(sql, '=');
		if (is_own_column(kin->by, col->name))
			buf_str(sql, "NULL");
		else
			db_quote_name(sql, col->name);
		word = ",";
	}
}

static bool
change_child(struct chunk *c, struct kin *kin, struct err *e)
{
	struct pass *p = c->pass;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	buf_str(&sql, kin->fate == KIN_NULLED ? "UPDATE " : "DELETE FROM ");
	template_table(&sql, p->catalog->database, kin->table->name);
	if (kin->fate == KIN_NULLED)
		put_nulls(&sql, kin);
	buf_str(&sql, " WHERE ");
	ok = record_put_match(p->db, &sql, kin->table, kin->key, kin->key_len) || err_set(e, ERR_INTERNAL, "table %s: a malformed key", kin->table->name);
	ok = ok && buf_check(&sql, "a key", e) && db_exec_text(p->db, sql.data, sql.len, e);
	kin->gone = ok && db_affected(p->db) > 0;
	buf_free(&sql);
	return ok;
}

/* The row as it is after SET NULL. */
static struct line_value *
nulled_row(struct chunk *c, const struct kin *kin, struct err *e)
{
	struct line_value *row = chunk_copy(c, kin->row, kin->table->ncolumns, e);

	for (size_t i = 0; row != NULL && i < kin->table->ncolumns; i++)
		if (is_own_column(kin->by, kin->table->columns[i].name))
			row[i] = (struct line_value){ .data = NULL };
	return row;
}

static bool
keep_child(struct chunk *c, const struct item *item, const struct kin *kin, struct err *e)
{
	const struct line_value *after = NULL;
	const char *changed_at = item->meta.changed_at;
	struct buf local, remote;
	bool ok = kin->fate == KIN_DELETED || (after = nulled_row(c, kin, e)) != NULL;

	buf_init(&local, INBOX_ROW_MAX);
	buf_init(&remote, INBOX_ROW_MAX);
	if (ok) {
		inbox_put_row(&local, kin->table, NULL, kin->row);
		if (after != NULL)
			inbox_put_row(&remote, kin->table, NULL, after);
	}
	ok = ok && buf_check(&local, "a kept version", e) && buf_check(&remote, "a kept version", e) &&
	    inbox_keep(c->pass->db, &(struct inbox_conflict){
		.peer = c->pass->peer,
		.table = kin->table->name,
		.key = kin->key,
		.key_len = kin->key_len,
		.rule = "cascade",
		.verdict = "apply",
		.local = { changed_at, c->pass->conf->node.name, local.data, local.len },
		.remote = { changed_at, judge_node(c, item), remote.data, remote.len },
	    }, e);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

/* The sender did not name it, so perhaps it has it still: everybody is told. */
static bool
tell_of_child(struct chunk *c, const struct item *item, const struct kin *kin, struct err *e)
{
	return pass_queue(c->pass, &(struct relay){
		.table = kin->table->name,
		.operation = kin->fate == KIN_DELETED ? OP_DELETE : OP_UPDATE,
		.key = kin->key,
		.key_len = kin->key_len,
		.changed_at = item->meta.changed_at,
		.node = judge_node(c, item),
		.requeue = true,
	    }, e);
}

bool
cascade_write(struct chunk *c, const struct item *item, struct err *e)
{
	struct kin_list *list = family_kin(c->pass->family);

	if (!family_is_removed(item))
		return true;
	for (size_t i = item->kin_from + item->kin_n; i-- > item->kin_from;) {
		struct kin *kin = &list->items[i];

		kin->gone = false;
		if (kin->row == NULL || kin->fate == KIN_STAYS)
			continue;
		if (!change_child(c, kin, e))
			return false;
		if (kin->gone && kin->fate != KIN_OWN && (!keep_child(c, item, kin, e) || !tell_of_child(c, item, kin, e)))
			return false;
	}
	return true;
}

/* --- afterwards --- */

/* Its own record counts it, unless that comes after the row has gone. */
static bool
counts_itself(const struct chunk *c, const struct kin *kin)
{
	for (size_t i = 0; kin->table == c->target.table && i < c->n; i++)
		if (c->items[i].hash == kin->hash)
			return true;
	return false;
}

static bool
finish_child(struct chunk *c, const struct item *item, const struct kin *kin, struct err *e)
{
	const struct relay again = {
		.table = kin->table->name,
		.operation = OP_UPDATE,
		.key = kin->key,
		.key_len = kin->key_len,
		.changed_at = item->local_changed_at,
		.node = item->local_node,
		.requeue = true,
	};

	if (kin->gone && kin->fate != KIN_NULLED && !counts_itself(c, kin) && !pass_note_lost(c->pass, kin->table, 1, e))
		return false;
	if (item->decision.verdict != VERDICT_KEEP || kin->row == NULL || kin->concurrent || family_names(c->pass->family, kin->hash))
		return true;
	return pass_relay(c->pass, &again, e);
}

bool
cascade_finish(struct chunk *c, const struct item *item, struct err *e)
{
	const struct kin_list *list = family_kin(c->pass->family);

	if (!family_is_removed(item) && item->rule == NULL)
		return true;
	for (size_t i = item->kin_from; i < item->kin_from + item->kin_n; i++)
		if (!finish_child(c, item, &list->items[i], e))
			return false;
	return true;
}
