/* Foreign key actions as loops. Lives here: which rows follow from a change of a parent, level by level,
 * in the way the server goes. Not here: what surrounds the block (capture/body), keys (capture/template).
 *
 * Each level is a loop over the rows of a child that belong to the row of the level above:
 *	FOR r1 IN (SELECT ... FROM child c WHERE c.fk=OLD.id ...) DO CALL enqueue(...); FOR r2 IN ... END FOR; END FOR;
 * Cursors, because a locking cursor sees what is committed now and is not refused when the app's own
 * statement names the child (FOR UPDATE is); LIMIT, because a session's sql_select_limit would cut a
 * cursor; and every row through the one procedure that names the queue. */
#include "capture/closure.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/mask.h"

enum { VALUES_MAX = 64 }; /* columns of one table that foreign keys reference */

/* Everything, whatever sql_select_limit says. */
#define ALL_ROWS " LIMIT 18446744073709551615"
#define LOCKED " LOCK IN SHARE MODE"

/* One walk through the foreign keys, for one purpose. */
enum pass {
	PASS_DELETED,  /* from a deleted row: deleted children, and those set to NULL with what follows */
	PASS_NULLED,   /* from an updated row, before: children behind an ON UPDATE SET NULL */
	PASS_EMPTIED,  /* before: children that follow to NULL and cannot be found by it afterwards */
	PASS_OLD_KEYS, /* before: keys that cannot be told from the parent's old values alone */
	PASS_FOLLOWED  /* after: children that have the new values, found by them */
};

/* A row of the nest: level 0 is the trigger's own, level n the record rN of the n-th loop. */
struct level {
	const char *table;
	const struct table *captured; /* NULL: not replicated, only passed through */
	bool updated;		      /* else deleted */
	bool nulled;		      /* an ON UPDATE SET NULL lies on the way here */
	const char *values[VALUES_MAX]; /* columns that lead on: fields v0, v1 ... of the record */
	size_t nvalues;
	const char *changed[CATALOG_KEY_COLUMNS]; /* columns that an action writes */
	const char *origin[CATALOG_KEY_COLUMNS];  /* column of level 0 whose value they follow, or NULL */
	size_t nchanged;
};

struct walk {
	const struct catalog *c;
	const char *sync_database;
	struct buf *sql;
	bool *touched; /* by index of c->tables: enqueued somewhere */
	enum pass pass;
	size_t captures, loops, steps;
	bool too_large;
	struct level levels[CLOSURE_DEPTH + 1];
};

/* --- facts --- */

static bool
is_name(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static size_t
name_index(const char *const *names, size_t n, const char *name)
{
	size_t i = 0;

	while (i < n && !is_name(names[i], name))
		i++;
	return i;
}

/* A table that waits for a decision about its own triggers goes on being captured. */
static const struct table *
replicated(const struct catalog *c, const char *name)
{
	const struct table *t = catalog_table(c, name);

	return t == NULL || (t->problem != NULL && !t->undecided) ? NULL : t;
}

/* Is the column written at this level? *origin: where its new value comes from. Of the trigger's own
 * row any column may be. */
static bool
is_changed(const struct level *l, bool root, const char *column, const char **origin)
{
	size_t i = name_index(l->changed, l->nchanged, column);

	*origin = NULL;
	if (root)
		*origin = column;
	else if (i < l->nchanged)
		*origin = l->origin[i];
	return root || i < l->nchanged;
}

/* The server refuses an update that comes back to a table that the same chain has updated. */
static bool
is_updated_above(const struct walk *w, size_t depth, const char *table)
{
	for (size_t i = 0; i <= depth; i++)
		if (w->levels[i].updated && is_name(w->levels[i].table, table))
			return true;
	return false;
}

/* Can a column that key references become NULL? Those of a primary key cannot. */
static bool
may_be_null(const struct catalog *c, const struct foreign_key *key)
{
	const struct table *t = catalog_table(c, key->parent);
	size_t at;

	for (size_t i = 0; i < key->ncolumns; i++)
		if (t == NULL || !table_column(t, key->referenced[i], strlen(key->referenced[i]), &at) || !t->columns[at].in_key)
			return true;
	return false;
}

/* Does a change of the row at this depth reach children through key? */
static bool
passes_on(const struct walk *w, size_t depth, const struct foreign_key *key)
{
	const struct level *l = &w->levels[depth];
	const char *origin;
	bool touched = false;

	if (!is_name(key->parent, l->table))
		return false;
	if (!l->updated)
		return key->on_delete != FK_RESTRICT;
	if (key->on_update == FK_RESTRICT || is_updated_above(w, depth, key->child))
		return false;
	if (key->on_update != FK_CASCADE && w->pass != PASS_DELETED && w->pass != PASS_NULLED)
		return false;
	if (w->pass == PASS_EMPTIED && depth == 0 && !may_be_null(w->c, key))
		return false;
	for (size_t i = 0; i < key->ncolumns; i++)
		touched = is_changed(l, depth == 0, key->referenced[i], &origin) || touched;
	return touched;
}

/* Does the action write the primary key of the level's table with values of level 0? */
static bool
key_changes(const struct level *l)
{
	const char *origin;

	for (size_t i = 0; i < l->captured->nkey; i++)
		if (is_changed(l, false, l->captured->columns[l->captured->key[i]].name, &origin) && origin != NULL)
			return true;
	return false;
}

/* Would the old key, made from the parent's old values, be another text than the true one? Where two
 * foreign keys cascade into the table, both may have moved the same row; and values that are equal
 * under a collation or in another type need not be the same text. */
static bool
old_key_differs(const struct walk *w, const struct level *l)
{
	const struct table *root = catalog_table(w->c, w->levels[0].table);
	const struct table *t = l->captured;
	size_t cascades = 0, at;
	const char *origin;

	for (size_t i = 0; i < w->c->nkeys; i++)
		cascades += w->c->keys[i].on_update == FK_CASCADE && is_name(w->c->keys[i].child, t->name);
	for (size_t i = 0; i < t->nkey; i++) {
		const struct column *col = &t->columns[t->key[i]];

		if (!is_changed(l, false, col->name, &origin) || origin == NULL)
			continue;
		if (cascades > 1 || root == NULL || col->kind == COLUMN_TEXT || col->kind == COLUMN_CHARS)
			return true;
		if (!table_column(root, origin, strlen(origin), &at) || !is_name(root->columns[at].type, col->type))
			return true;
	}
	return false;
}

/* --- levels --- */

/* The columns by which further children are found. */
static void
find_values(struct walk *w, struct level *l)
{
	l->nvalues = 0;
	for (size_t i = 0; i < w->c->nkeys; i++) {
		const struct foreign_key *key = &w->c->keys[i];

		if (!is_name(key->parent, l->table) || (l->updated ? key->on_update : key->on_delete) == FK_RESTRICT)
			continue;
		for (size_t j = 0; j < key->ncolumns; j++) {
			if (name_index(l->values, l->nvalues, key->referenced[j]) < l->nvalues)
				continue;
			if (l->nvalues == VALUES_MAX)
				w->too_large = true;
			else
				l->values[l->nvalues++] = key->referenced[j];
		}
	}
}

static void
begin_level(struct walk *w, size_t depth, const struct foreign_key *key)
{
	const struct level *above = &w->levels[depth - 1];
	struct level *l = &w->levels[depth];
	enum fk_action action = above->updated ? key->on_update : key->on_delete;
	const char *origin = NULL;

	l->table = key->child;
	l->captured = replicated(w->c, key->child);
	l->updated = above->updated || action == FK_SET_NULL;
	l->nulled = above->nulled || action == FK_SET_NULL;
	l->nchanged = 0;
	for (size_t i = 0; l->updated && i < key->ncolumns; i++) {
		if (action == FK_CASCADE && !is_changed(above, depth == 1, key->referenced[i], &origin))
			continue;
		l->changed[l->nchanged] = key->columns[i];
		l->origin[l->nchanged++] = action == FK_CASCADE ? origin : NULL;
	}
	find_values(w, l);
}

/* --- text --- */

static void
put_value(const struct walk *w, size_t depth, const char *column)
{
	const struct level *l = &w->levels[depth];

	if (depth > 0) {
		buf_fmt(w->sql, "r%zu.v%zu", depth, name_index(l->values, l->nvalues, column));
		return;
	}
	buf_str(w->sql, w->pass == PASS_FOLLOWED ? "NEW." : "OLD.");
	db_quote_name(w->sql, column);
}

/* The key that the row had before it followed its parent. */
static void
put_old_key(const struct walk *w, const struct level *l)
{
	const struct table *t = l->captured;
	const char *names[CATALOG_KEY_COLUMNS], *prefixes[CATALOG_KEY_COLUMNS];

	for (size_t i = 0; i < t->nkey; i++) {
		const char *name = t->columns[t->key[i]].name, *origin;

		(void)is_changed(l, false, name, &origin);
		prefixes[i] = origin == NULL ? "c." : "OLD.";
		names[i] = origin == NULL ? name : origin;
	}
	template_key_of(w->sql, t, prefixes, names);
}

/* (SELECT key AS k, old key AS o, values ... FROM child c WHERE c.fk=... ...) */
static void
put_select(const struct walk *w, size_t depth, const struct foreign_key *key)
{
	const struct level *l = &w->levels[depth];
	const char *comma = "";

	buf_str(w->sql, "(SELECT ");
	if (l->captured != NULL) {
		template_key(w->sql, l->captured, "c.");
		buf_str(w->sql, " AS k");
		comma = ",";
	}
	if (l->captured != NULL && w->pass == PASS_FOLLOWED && key_changes(l)) {
		buf_str(w->sql, ",");
		put_old_key(w, l);
		buf_str(w->sql, " AS o");
	}
	for (size_t i = 0; i < l->nvalues; i++, comma = ",") {
		buf_fmt(w->sql, "%sc.", comma);
		db_quote_name(w->sql, l->values[i]);
		buf_fmt(w->sql, " AS v%zu", i);
	}
	buf_str(w->sql, " FROM ");
	db_quote_name(w->sql, l->table);
	buf_str(w->sql, " c WHERE ");
	for (size_t i = 0; i < key->ncolumns; i++) {
		buf_str(w->sql, i > 0 ? " AND c." : "c.");
		db_quote_name(w->sql, key->columns[i]);
		buf_char(w->sql, '=');
		put_value(w, depth - 1, key->referenced[i]);
	}
	/* What has followed was locked by the app's own statement. */
	buf_str(w->sql, w->pass == PASS_FOLLOWED ? ALL_ROWS ")" : ALL_ROWS LOCKED ")");
}

static bool
are_twins(const struct foreign_key *a, const struct foreign_key *b)
{
	return a->on_delete == FK_CASCADE && b->on_delete == FK_CASCADE && is_name(a->child, b->child) && is_name(a->parent, b->parent);
}

/* The next foreign key after this one, in the catalog's order, that deletes rows of the same child. */
static const struct foreign_key *
next_twin(const struct catalog *c, const struct foreign_key *key)
{
	for (const struct foreign_key *k = key + 1; k < c->keys + c->nkeys; k++)
		if (are_twins(key, k))
			return k;
	return NULL;
}

/* Several foreign keys that delete rows of one child are one loop over their union: a table with two
 * references to itself would need a loop for every way through both. */
static void
put_loop(const struct walk *w, size_t depth, const struct foreign_key *key)
{
	const struct foreign_key *twin = w->levels[depth - 1].updated ? NULL : next_twin(w->c, key);
	bool several = twin != NULL;

	buf_fmt(w->sql, several ? "FOR r%zu IN (" : "FOR r%zu IN ", depth);
	put_select(w, depth, key);
	for (; twin != NULL; twin = next_twin(w->c, twin)) {
		buf_str(w->sql, " UNION ");
		put_select(w, depth, twin);
	}
	buf_str(w->sql, several ? ALL_ROWS ") DO " : " DO ");
}

/* An update by a foreign key changes columns of foreign keys alone. */
static void
put_columns(const struct walk *w, const struct table *t)
{
	struct mask m = { { 0 } };
	size_t at;

	for (size_t i = 0; i < w->c->nkeys; i++) {
		const struct foreign_key *k = &w->c->keys[i];

		for (size_t n = 0; is_name(k->child, t->name) && n < k->ncolumns; n++)
			if (table_column(t, k->columns[n], strlen(k->columns[n]), &at))
				mask_set(&m, at);
	}
	mask_put_known(w->sql, t, &m);
}

static void
put_call(const struct walk *w, size_t depth, const char *operation, char field, int linked)
{
	template_enqueue(w->sql, w->sync_database, w->levels[depth].table, operation);
	buf_fmt(w->sql, "r%zu.%c,", depth, field);
	if (strcmp(operation, "update") == 0)
		put_columns(w, w->levels[depth].captured);
	else
		buf_str(w->sql, "NULL");
	buf_fmt(w->sql, ",NULL,%d); ", linked);
}

static void
put_followed(const struct walk *w, size_t depth)
{
	if (!key_changes(&w->levels[depth])) {
		put_call(w, depth, "update", 'k', 0);
		return;
	}
	buf_fmt(w->sql, "IF BINARY r%zu.o<=>BINARY r%zu.k THEN ", depth, depth);
	put_call(w, depth, "update", 'k', 0);
	buf_str(w->sql, "ELSE ");
	put_call(w, depth, "delete", 'o', 0);
	put_call(w, depth, "insert", 'k', 1);
	buf_str(w->sql, "END IF; ");
}

/* Enqueue the row of this level, if this pass is the one that has to. */
static void
put_capture(struct walk *w, size_t depth)
{
	const struct level *l = &w->levels[depth];

	if (l->captured == NULL || (w->pass == PASS_NULLED && !l->nulled) || (w->pass == PASS_EMPTIED && key_changes(l)) ||
	    (w->pass == PASS_OLD_KEYS && (!key_changes(l) || !old_key_differs(w, l))))
		return;
	if (w->pass == PASS_FOLLOWED)
		put_followed(w, depth);
	else
		put_call(w, depth, (w->pass == PASS_DELETED && !l->updated) || w->pass == PASS_OLD_KEYS ? "delete" : "update", 'k', 0);
	w->touched[l->captured - w->c->tables] = true;
	w->captures++;
}

/* IF the parent's referenced columns change, and had children: none references NULL. By bytes as well: 'a'
 * to 'A' is a change of the children. */
static void
put_guard(const struct walk *w, const struct foreign_key *key)
{
	buf_str(w->sql, "IF ");
	for (size_t i = 0; may_be_null(w->c, key) && i < key->ncolumns; i++) {
		buf_str(w->sql, "OLD.");
		db_quote_name(w->sql, key->referenced[i]);
		buf_str(w->sql, " IS NOT NULL AND ");
	}
	buf_str(w->sql, "NOT (");
	for (size_t i = 0; i < key->ncolumns; i++) {
		struct buf name;

		buf_init(&name, TEMPLATE_SQL_MAX);
		db_quote_name(&name, key->referenced[i]);
		buf_fmt(w->sql, "%sOLD.%s<=>NEW.%s AND BINARY OLD.%s<=>BINARY NEW.%s", i > 0 ? " AND " : "", buf_cstr(&name), buf_cstr(&name),
		    buf_cstr(&name), buf_cstr(&name));
		buf_free(&name);
	}
	buf_char(w->sql, ')');
	for (size_t i = 0; w->pass == PASS_EMPTIED && i < key->ncolumns; i++) {
		buf_str(w->sql, i == 0 ? " AND (NEW." : " OR NEW.");
		db_quote_name(w->sql, key->referenced[i]);
		buf_str(w->sql, i + 1 == key->ncolumns ? " IS NULL)" : " IS NULL");
	}
	buf_str(w->sql, " THEN ");
}

/* A row whose children are those of a row above it leads in a circle: IF it is none. True when the text
 * was needed. */
static bool
put_circle_check(const struct walk *w, size_t depth)
{
	const struct level *l = &w->levels[depth];
	bool any = false;

	for (size_t above = 0; !l->updated && above < depth; above++) {
		if (!is_name(w->levels[above].table, l->table))
			continue;
		buf_str(w->sql, any ? " AND NOT (" : "IF NOT (");
		any = true;
		for (size_t i = 0; i < l->nvalues; i++) {
			buf_fmt(w->sql, "%sr%zu.v%zu<=>", i > 0 ? " AND " : "", depth, i);
			put_value(w, above, l->values[i]);
		}
		buf_char(w->sql, ')');
	}
	if (any)
		buf_str(w->sql, " THEN ");
	return any;
}

/* --- walking --- */

static void walk_children(struct walk *w, size_t depth);

/* The loop for one foreign key below the row of depth - 1. What captures nothing is taken back. */
static void
walk_child(struct walk *w, size_t depth, const struct foreign_key *key)
{
	size_t mark = w->sql->len, captures = w->captures, inner, check;
	bool guarded = depth == 1 && w->levels[0].updated, checked;

	begin_level(w, depth, key);
	if (w->levels[depth].captured == NULL && w->levels[depth].nvalues == 0)
		return;
	if (guarded)
		put_guard(w, key);
	put_loop(w, depth, key);
	put_capture(w, depth);
	check = w->sql->len;
	checked = w->levels[depth].nvalues > 0 && put_circle_check(w, depth);
	inner = w->sql->len;
	walk_children(w, depth);
	if (checked && w->sql->len == inner)
		buf_cut(w->sql, check);
	else if (checked)
		buf_str(w->sql, "END IF; ");
	buf_str(w->sql, guarded ? "END FOR; END IF; " : "END FOR; ");
	if (w->captures == captures)
		buf_cut(w->sql, mark);
	else
		w->loops++;
}

static void
walk_children(struct walk *w, size_t depth)
{
	const struct catalog *c = w->c;

	if (depth == CLOSURE_DEPTH)
		return;
	for (size_t i = 0; i < c->nkeys && !w->too_large; i++) {
		bool twin = false;

		if (!passes_on(w, depth, &c->keys[i]))
			continue;
		for (size_t j = 0; !w->levels[depth].updated && j < i; j++)
			twin = twin || are_twins(&c->keys[j], &c->keys[i]);
		if (twin)
			continue; /* in the first one's union */
		w->too_large = ++w->steps > CLOSURE_STEPS || w->loops > CLOSURE_LOOPS;
		walk_child(w, depth + 1, &c->keys[i]);
	}
}

static void
walk_pass(struct walk *w, const char *table, enum pass pass)
{
	w->pass = pass;
	memset(&w->levels[0], 0, sizeof w->levels[0]);
	w->levels[0].table = table;
	w->levels[0].updated = pass != PASS_DELETED;
	walk_children(w, 0);
}

static void
walk_part(struct walk *w, const char *table, enum closure_part part)
{
	switch (part) {
	case CLOSURE_BEFORE_DELETE:
		walk_pass(w, table, PASS_DELETED);
		break;
	case CLOSURE_BEFORE_UPDATE:
		walk_pass(w, table, PASS_NULLED);
		walk_pass(w, table, PASS_EMPTIED);
		walk_pass(w, table, PASS_OLD_KEYS);
		break;
	case CLOSURE_AFTER_UPDATE:
		walk_pass(w, table, PASS_FOLLOWED);
		break;
	}
}

static bool
has_children(const struct catalog *c, const char *table)
{
	for (size_t i = 0; i < c->nkeys; i++)
		if (is_name(c->keys[i].parent, table) && (c->keys[i].on_delete != FK_RESTRICT || c->keys[i].on_update != FK_RESTRICT))
			return true;
	return false;
}

/* NULL: no memory. */
static struct walk *
walk_new(const struct catalog *c, const char *sync_database, struct buf *loops)
{
	struct walk *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->c = c;
	w->sync_database = sync_database;
	w->sql = loops;
	w->touched = calloc(c->ntables + 1, sizeof *w->touched);
	if (w->touched != NULL)
		return w;
	free(w);
	return NULL;
}

static void
walk_free(struct walk *w)
{
	if (w == NULL)
		return;
	free(w->touched);
	free(w);
}

static bool
is_too_large(const struct walk *w)
{
	return w->too_large || w->sql->failed;
}

/* Touch every replicated table that actions can reach from this one, by whatever path; is there one? */
static bool
find_reached(struct walk *w, const char *table)
{
	const struct catalog *c = w->c;
	bool *passed = calloc(c->nkeys + 1, sizeof *passed), grown = true, any = false;

	while (passed != NULL && grown) {
		grown = false;
		for (size_t i = 0; i < c->nkeys; i++) {
			const struct foreign_key *key = &c->keys[i];
			bool reached = is_name(key->parent, table);

			if (passed[i] || (key->on_delete == FK_RESTRICT && key->on_update == FK_RESTRICT))
				continue;
			for (size_t j = 0; !reached && j < c->nkeys; j++)
				reached = passed[j] && is_name(c->keys[j].child, key->parent);
			if (!reached)
				continue;
			passed[i] = grown = true;
			if (replicated(c, key->child) != NULL)
				any = w->touched[replicated(c, key->child) - c->tables] = true;
		}
	}
	any = any || passed == NULL; /* no memory: nothing is known */
	free(passed);
	return any;
}

/* The loops, and before them what happens when they are out of date: every table that they would have
 * named has to be compared. */
static void
put_block(struct buf *sql, const struct walk *w)
{
	buf_str(sql, "BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " BEGIN ");
	for (size_t i = 0; i < w->c->ntables; i++) {
		if (!w->touched[i])
			continue;
		template_enqueue(sql, w->sync_database, w->c->tables[i].name, "dirty");
		buf_str(sql, "NULL,NULL,NULL,0); ");
	}
	buf_str(sql, "END; ");
	buf_put(sql, w->sql->data, w->sql->len);
	buf_str(sql, "END;");
}

void
closure_put(struct buf *sql, const struct catalog *c, const char *table, enum closure_part part, const char *sync_database)
{
	struct buf loops;
	struct walk *w;

	if (!has_children(c, table))
		return;
	buf_init(&loops, sql->max);
	w = walk_new(c, sync_database, &loops);
	if (w == NULL)
		sql->failed = sql->no_memory = true;
	else {
		walk_part(w, table, part);
		/* closure_judge has taken out what would make it too large. */
		if (is_too_large(w))
			sql->failed = sql->failed || find_reached(w, table);
		else if (w->captures > 0)
			put_block(sql, w);
	}
	walk_free(w);
	buf_free(&loops);
}

/* --- judging --- */

static bool
refuse(struct catalog *c, const struct walk *w, const char *parent, struct err *e)
{
	struct buf text;
	bool ok = true;

	buf_init(&text, TEMPLATE_SQL_MAX);
	buf_fmt(&text, "is changed by table %s through more paths of foreign keys than can be followed (%d)", parent, (int)CLOSURE_LOOPS);
	for (size_t i = 0; i < c->ntables; i++) {
		if (!w->touched[i])
			continue;
		free(c->tables[i].problem);
		free(c->tables[i].remedy);
		c->tables[i].undecided = false;
		c->tables[i].problem = strdup(buf_cstr(&text));
		c->tables[i].remedy = strdup("make some of the foreign keys between them ON DELETE RESTRICT ON UPDATE RESTRICT, or add the table to [sync] exclude");
		ok = ok && c->tables[i].problem != NULL && c->tables[i].remedy != NULL;
	}
	buf_free(&text);
	return ok || err_set(e, ERR_MEMORY, "out of memory for the list of tables");
}

static bool
judge_part(struct catalog *c, const char *parent, enum closure_part part, struct err *e)
{
	struct buf loops;
	struct walk *w;
	bool ok;

	buf_init(&loops, TEMPLATE_SQL_MAX / 2); /* half: in a body there is more than this */
	w = walk_new(c, "", &loops);
	if (w == NULL)
		ok = err_set(e, ERR_MEMORY, "out of memory for foreign keys");
	else {
		walk_part(w, parent, part);
		/* A walk that was given up has not met all tables. */
		ok = !is_too_large(w) || !find_reached(w, parent) || refuse(c, w, parent, e);
	}
	walk_free(w);
	buf_free(&loops);
	return ok;
}

bool
closure_judge(struct catalog *c, struct err *e)
{
	for (size_t i = 0; i < c->nkeys; i++) {
		const char *parent = c->keys[i].parent;
		bool seen = !has_children(c, parent);

		for (size_t j = 0; j < i; j++)
			seen = seen || is_name(c->keys[j].parent, parent);
		for (int part = CLOSURE_BEFORE_DELETE; !seen && part <= CLOSURE_AFTER_UPDATE; part++)
			if (!judge_part(c, parent, (enum closure_part)part, e))
				return false;
	}
	return true;
}
