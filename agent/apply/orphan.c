/* Orphans. Lives here: finding rows whose parent is missing. The rows written are looked at by key,
 * and their parents locked: an app's open transaction may have removed one (at REPEATABLE READ its
 * gap lock makes the insert wait, at READ COMMITTED nothing does). The children of rows removed are
 * found by a look at their whole table, no key of theirs is known here; an app that adds such a
 * child waits for the removed row. Not here: what is done about it (apply/knot). */
#include "apply/orphan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/record.h"

enum {
	NAME_BYTES = 64 * 4 + 1, /* of an identifier */
	ORPHANS_NAMED = 100	 /* more at once: all records of the table are at fault */
};

/* A foreign key, and the parts of the statements that look at it: child c, parent p. */
struct reference {
	char name[NAME_BYTES];
	char child_schema[NAME_BYTES], child[NAME_BYTES];
	char parent_schema[NAME_BYTES], parent[NAME_BYTES];
	struct buf columns; /* ,`a`,`b`: the child's, those of its key left out */
	struct buf join;    /* p.`id`=c.`a` AND ... */
	struct buf whole;   /* c.`a` IS NOT NULL AND ... */
	struct buf missing; /* p.`id` IS NULL */
};

struct search {
	struct pass *pass;
	struct refused_list *refused;
	size_t *at_fault;
	struct reference ref;
	size_t *members; /* indexes of the child's tied records */
	size_t nmembers;
};

/* --- who is at fault --- */

static bool
is_tied_in(const struct refused *r, const char *table)
{
	return r->tied && strcmp(r->table, table) == 0;
}

static void
list_members(struct search *s, const char *schema, const char *table)
{
	s->nmembers = 0;
	if (strcmp(schema, s->pass->catalog->database) != 0)
		return;
	for (size_t i = 0; i < s->refused->n; i++)
		if (is_tied_in(&s->refused->items[i], table))
			s->members[s->nmembers++] = i;
}

static void
leave_out(struct search *s, struct refused *r)
{
	r->tied = false;
	++*s->at_fault;
}

static void
leave_members_out(struct search *s)
{
	for (size_t i = 0; i < s->nmembers; i++)
		if (s->refused->items[s->members[i]].tied)
			leave_out(s, &s->refused->items[s->members[i]]);
}

static bool
leave_key_out(struct search *s, const char *key, size_t len)
{
	for (size_t i = 0; i < s->nmembers; i++) {
		struct refused *r = &s->refused->items[s->members[i]];

		if (r->key_len != len || memcmp(r->key, key, len) != 0)
			continue;
		if (r->tied)
			leave_out(s, r);
		return true;
	}
	return false;
}

/* --- the rows written --- */

static void
put_column(struct buf *to, const char *alias, const char *name, const char *after)
{
	buf_str(to, alias);
	db_quote_name(to, name);
	buf_str(to, after);
}

struct batch {
	const struct search *search;
	size_t from;
};

static const char *
key_of_member(size_t i, size_t *len, void *arg)
{
	const struct batch *b = arg;
	const struct search *s = b->search;
	const struct refused *r = &s->refused->items[s->members[b->from + i]];

	*len = r->key_len;
	return r->key;
}

static void
put_join(struct buf *sql, const struct reference *ref)
{
	buf_str(sql, " LEFT JOIN ");
	template_table(sql, ref->parent_schema, ref->parent);
	buf_fmt(sql, " AS p ON %s WHERE %s AND %s", buf_cstr(&ref->join), buf_cstr(&ref->whole),
	    buf_cstr(&ref->missing));
}

/* The keys of those of n members that have no parent. The derived table keeps the keys' columns
 * from being mistaken for the parent's. */
static bool
put_written(struct buf *sql, const struct table *t, struct batch *b, size_t n)
{
	const struct reference *ref = &b->search->ref;
	bool ok;

	buf_str(sql, "SELECT ");
	template_key(sql, t, "c.");
	buf_str(sql, " FROM (SELECT ");
	for (size_t i = 0; i < t->nkey; i++)
		put_column(sql, i > 0 ? "," : "", t->columns[t->key[i]].name, "");
	buf_str(sql, buf_cstr(&ref->columns));
	buf_str(sql, " FROM ");
	template_table(sql, ref->child_schema, ref->child);
	buf_str(sql, " FORCE INDEX (PRIMARY)");
	ok = record_put_keys(b->search->pass->db, sql, t, n, key_of_member, b);
	buf_str(sql, ") AS c");
	put_join(sql, ref);
	buf_fmt(sql, " LIMIT %d LOCK IN SHARE MODE", ORPHANS_NAMED);
	return ok;
}

static bool
look_at_batch(struct search *s, const struct table *t, size_t from, struct err *e)
{
	size_t most = record_keys_at_once(t), left = s->nmembers - from;
	struct batch b = { s, from };
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, named = true, ok;

	buf_init(&sql, RECORD_SQL_MAX);
	ok = put_written(&sql, t, &b, left < most ? left : most) ||
	    err_set(e, ERR_INPUT, "table %s: a malformed key", t->name);
	ok = ok && buf_check(&sql, "a list of keys", e) &&
	    db_query(s->pass->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	if (ok)
		named = db_rows_count(rows) < ORPHANS_NAMED;
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		named = leave_key_out(s, db_rows_text(rows, 0), db_rows_len(rows, 0)) && named;
	if (!named)
		leave_members_out(s);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

static bool
look_at_written(struct search *s, struct err *e)
{
	const struct table *t = catalog_table(s->pass->catalog, s->ref.child);

	list_members(s, s->ref.child_schema, s->ref.child);
	for (size_t from = 0; t != NULL && from < s->nmembers; from += record_keys_at_once(t))
		if (!look_at_batch(s, t, from, e))
			return false;
	return true;
}

/* --- the rows removed --- */

static bool
look_at_children(struct search *s, struct err *e)
{
	const struct reference *ref = &s->ref;
	uint64_t any = 0;
	struct buf sql;
	bool ok;

	list_members(s, ref->parent_schema, ref->parent);
	if (s->nmembers == 0)
		return true;
	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, ref->child_schema, ref->child);
	buf_str(&sql, " AS c");
	put_join(&sql, ref);
	buf_str(&sql, " LIMIT 1");
	ok = buf_check(&sql, "a foreign key", e) &&
	    db_number(s->pass->db, buf_cstr(&sql), DB_NO_ARGS, &any, NULL, e);
	if (ok && any != 0)
		leave_members_out(s);
	buf_free(&sql);
	return ok;
}

/* --- foreign keys --- */

/* Other databases of the server as well: their rows may be children or parents of ours. */
static const char sql_references[] =
    "SELECT CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME, REFERENCED_TABLE_SCHEMA,"
    " REFERENCED_TABLE_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME"
    " FROM information_schema.KEY_COLUMN_USAGE"
    " WHERE REFERENCED_TABLE_NAME IS NOT NULL AND (TABLE_SCHEMA=? OR REFERENCED_TABLE_SCHEMA=?)"
    " ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION";

static bool
is_same(const struct reference *ref, const struct db_rows *rows)
{
	return strcmp(ref->name, db_rows_text(rows, 0)) == 0 &&
	    strcmp(ref->child_schema, db_rows_text(rows, 1)) == 0 &&
	    strcmp(ref->child, db_rows_text(rows, 2)) == 0;
}

static void
copy_name(char to[NAME_BYTES], const char *from)
{
	(void)snprintf(to, NAME_BYTES, "%s", from);
}

static void
begin_reference(struct reference *ref, const struct db_rows *rows)
{
	copy_name(ref->name, db_rows_text(rows, 0));
	copy_name(ref->child_schema, db_rows_text(rows, 1));
	copy_name(ref->child, db_rows_text(rows, 2));
	copy_name(ref->parent_schema, db_rows_text(rows, 3));
	copy_name(ref->parent, db_rows_text(rows, 4));
	buf_reset(&ref->columns);
	buf_reset(&ref->join);
	buf_reset(&ref->whole);
	buf_reset(&ref->missing);
}

static bool
is_in_key(const struct search *s, const char *column)
{
	const struct table *t = catalog_table(s->pass->catalog, s->ref.child);
	size_t at;

	return t != NULL && table_column(t, column, strlen(column), &at) && t->columns[at].in_key;
}

static void
add_column(struct search *s, const struct db_rows *rows)
{
	const char *column = db_rows_text(rows, 5), *parent = db_rows_text(rows, 6);
	struct reference *ref = &s->ref;
	bool first = ref->join.len == 0;

	if (first)
		put_column(&ref->missing, "p.", parent, " IS NULL");
	if (!is_in_key(s, column))
		put_column(&ref->columns, ",", column, "");
	put_column(&ref->join, first ? "p." : " AND p.", parent, "=");
	put_column(&ref->join, "c.", column, "");
	put_column(&ref->whole, first ? "c." : " AND c.", column, " IS NOT NULL");
}

static bool
look_at_reference(struct search *s, struct err *e)
{
	if (s->ref.join.len == 0)
		return true; /* before the first one */
	if (!look_at_written(s, e))
		return false;
	/* Those found would be found again, and the parents are not at fault. */
	return *s->at_fault > 0 || look_at_children(s, e);
}

static bool
look_at_all(struct search *s, struct err *e)
{
	struct db_arg database = db_text(s->pass->catalog->database);
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(s->pass->db, sql_references, DB_ARGS(database, database), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		if (!is_same(&s->ref, rows)) {
			if (!(ok = look_at_reference(s, e)))
				break;
			begin_reference(&s->ref, rows);
		}
		add_column(s, rows);
	}
	db_rows_free(rows);
	return ok && look_at_reference(s, e);
}

bool
orphan_leave_out(struct pass *p, struct refused_list *refused, size_t *n, struct err *e)
{
	struct search s = { .pass = p, .refused = refused, .at_fault = n };
	bool ok;

	buf_init(&s.ref.columns, TEMPLATE_SQL_MAX);
	buf_init(&s.ref.join, TEMPLATE_SQL_MAX);
	buf_init(&s.ref.whole, TEMPLATE_SQL_MAX);
	buf_init(&s.ref.missing, TEMPLATE_SQL_MAX);
	s.members = calloc(refused->n + 1, sizeof *s.members);
	ok = s.members != NULL ? look_at_all(&s, e)
			       : err_set(e, ERR_MEMORY, "out of memory for refusals");
	free(s.members);
	buf_free(&s.ref.columns);
	buf_free(&s.ref.join);
	buf_free(&s.ref.whole);
	buf_free(&s.ref.missing);
	return ok;
}
