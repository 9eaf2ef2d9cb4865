/* Parents that are not replicated. Lives here: which tables hang on them, the SQL of sync_parent. Not here: the triggers
 * themselves (capture/trigger), what follows from a mark (sync/drift). */
#include "sync/bare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/moved.h"

static const char sql_noted[] = "SELECT table_name, triggers FROM sync_parent ORDER BY table_name";

static const char *
triggers_of(const struct identity_list *now, const char *table)
{
	for (size_t i = 0; i < now->nbare; i++)
		if (strcmp(now->bare[i].table, table) == 0)
			return now->bare[i].triggers;
	return "";
}

bool
bare_has_triggers(const struct identity_list *now, const char *table)
{
	return triggers_of(now, table)[0] != '\0';
}

/* Is it a parent that is not replicated? */
static bool
is_bare(const struct catalog *c, const char *table)
{
	const struct table *t = catalog_table(c, table);

	for (size_t i = 0; i < c->nkeys; i++)
		if (strcmp(c->keys[i].parent, table) == 0)
			return t == NULL || t->problem != NULL;
	return false;
}

bool
bare_is_news(struct db *db, const struct identity_list *now, bool *news, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*news = false;
	if (!db_query(db, sql_noted, DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		*news = *news || strcmp(db_rows_text(rows, 1), triggers_of(now, db_rows_text(rows, 0))) != 0;
	db_rows_free(rows);
	return ok;
}

/* --- what hangs on a parent --- */

typedef bool child_fn(const struct table *t, void *arg, struct err *e);

/* The keys over which a change of the parent goes on, also through tables that are not replicated: true in reached. */
static void
reach(const struct catalog *c, const char *parent, bool *reached)
{
	bool grew = true;

	while (grew) {
		grew = false;
		for (size_t i = 0; i < c->nkeys; i++) {
			const struct foreign_key *k = &c->keys[i];
			bool from = strcmp(k->parent, parent) == 0;

			for (size_t j = 0; !from && j < c->nkeys; j++)
				from = reached[j] && strcmp(c->keys[j].child, k->parent) == 0;
			if (!from || reached[i] || (k->on_delete == FK_RESTRICT && k->on_update == FK_RESTRICT))
				continue;
			reached[i] = grew = true;
		}
	}
}

static bool
visit_children(const struct catalog *c, const char *parent, child_fn *visit, void *arg, struct err *e)
{
	bool *reached = calloc(c->nkeys + 1, sizeof *reached), ok = true;

	if (reached == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for foreign keys");
	reach(c, parent, reached);
	for (size_t i = 0; ok && i < c->nkeys; i++) {
		const struct table *t = reached[i] ? catalog_table(c, c->keys[i].child) : NULL;

		if (t != NULL && t->problem == NULL)
			ok = visit(t, arg, e);
	}
	free(reached);
	return ok;
}

struct judging {
	struct db *db;
	const struct conf *conf;
	const char *parent;
};

static bool
mark_child(const struct table *t, void *arg, struct err *e)
{
	const struct judging *j = arg;
	char reason[200];

	(void)snprintf(reason, sizeof reason, "the triggers of table %.64s, which is not replicated and changes it, were dropped or altered", j->parent);
	return moved_mark_all(j->db, j->conf, t->name, MOVED_LOOK, reason, e);
}

bool
bare_judge(struct db *db, const struct conf *conf, const struct catalog *c, const struct identity_list *now, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_noted, DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct judging j = { db, conf, db_rows_text(rows, 0) };

		if (is_bare(c, j.parent) && strcmp(db_rows_text(rows, 1), triggers_of(now, j.parent)) != 0 && !(ok = visit_children(c, j.parent, mark_child, &j, e)))
			break;
	}
	db_rows_free(rows);
	return ok;
}

/* --- noting --- */

static bool
free_child(const struct table *t, void *arg, struct err *e)
{
	return moved_ready(arg, t->name, e);
}

/* Is the name a line of the text? */
static bool
is_line(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name))
		if ((at == text || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

/* Those that are no parents any more, or replicated by now. */
static bool
forget_others(struct db *db, const struct catalog *c, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_noted, DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (!is_bare(c, db_rows_text(rows, 0)) &&
		    !(ok = db_exec(db, "DELETE FROM sync_parent WHERE table_name=?", DB_ARGS(db_text(db_rows_text(rows, 0))), e)))
			break;
	db_rows_free(rows);
	return ok;
}

bool
bare_note(struct db *db, const struct catalog *c, const struct identity_list *now, const char *wrong, struct err *e)
{
	bool ok = forget_others(db, c, e);

	for (size_t i = 0; ok && i < now->nbare; i++) {
		const struct identity *parent = &now->bare[i];

		if (!is_bare(c, parent->table) || is_line(wrong, parent->table))
			continue;
		ok = db_exec(db, "REPLACE INTO sync_parent (table_name, triggers) VALUES (?, ?)", DB_ARGS(db_text(parent->table), db_text(parent->triggers)), e) &&
		    visit_children(c, parent->table, free_child, db, e);
	}
	return ok;
}
