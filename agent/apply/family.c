/* Parents and what hangs on them. Lives here: finding the rows, whether one of them keeps its parent, removing
 * them one by one. Not here: the versions of one record (apply/conflict), children that arrive without their
 * parent (apply/careful). Tables that are not replicated are left to the server: there is nothing to keep of
 * them, and nothing to tell anybody. */
#include "apply/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/inbox.h"
#include "apply/judge.h"

enum {
	FAMILY_DEPTH = 15 /* the server refuses a cascade that goes deeper */
};

/* --- foreign keys --- */

/* The replicated table whose rows hang on those of t by the key, or NULL. */
static const struct table *
child_of(const struct catalog *c, const struct foreign_key *k, const struct table *t)
{
	const struct table *child = strcmp(k->parent, t->name) == 0 ? catalog_table(c, k->child) : NULL;

	return child != NULL && child->problem == NULL ? child : NULL;
}

bool
family_follows(const struct catalog *c, const struct table *t)
{
	for (size_t i = 0; i < c->nkeys; i++)
		if (c->keys[i].on_delete != FK_RESTRICT && child_of(c, &c->keys[i], t) != NULL)
			return true;
	return false;
}

/* FROM the parent's rows whose condition follows: " FROM (SELECT `id` FROM parent FORCE INDEX (PRIMARY)". The
 * derived table keeps the columns of the two from being mistaken for each other. */
static void
put_parents(struct buf *sql, const struct catalog *c, const struct foreign_key *k)
{
	for (size_t i = 0; i < k->ncolumns; i++) {
		buf_str(sql, i == 0 ? " FROM (SELECT " : ",");
		db_quote_name(sql, k->referenced[i]);
	}
	buf_str(sql, " FROM ");
	template_table(sql, c->database, k->parent);
	buf_str(sql, " FORCE INDEX (PRIMARY)");
}

static void
put_children(struct buf *sql, const struct catalog *c, const struct foreign_key *k)
{
	buf_str(sql, ") AS p STRAIGHT_JOIN ");
	template_table(sql, c->database, k->child);
	for (size_t i = 0; i < k->ncolumns; i++) {
		buf_str(sql, i == 0 ? " AS c ON c." : " AND c.");
		db_quote_name(sql, k->columns[i]);
		buf_str(sql, "=p.");
		db_quote_name(sql, k->referenced[i]);
	}
}

static bool
malformed_key(const struct table *t, struct err *e)
{
	return err_set(e, ERR_INPUT, "table %s: a malformed key", t->name);
}

/* --- the quick look --- */

/* The rows about to be deleted. */
struct doomed {
	struct pass *pass;
	const struct table *table;
	size_t n;
	record_key_fn *key_of;
	void *arg;
};

/* After this no app can hang another row on them; what it has not committed yet is waited for. */
static bool
lock_doomed(const struct doomed *d, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, d->pass->catalog->database, d->table->name);
	buf_str(&sql, " FORCE INDEX (PRIMARY)");
	ok = record_put_keys(d->pass->db, &sql, d->table, d->n, d->key_of, d->arg) || malformed_key(d->table, e);
	buf_str(&sql, " FOR UPDATE");
	ok = ok && buf_check(&sql, "a list of keys", e) && db_query(d->pass->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* Of a table that refers to itself: a row that is deleted anyway is no surprise. */
static void
put_not_doomed(struct buf *sql, const struct doomed *d)
{
	size_t len;

	buf_str(sql, " WHERE CAST(");
	template_key(sql, d->table, "c.");
	buf_str(sql, " AS BINARY) NOT IN (");
	for (size_t i = 0; i < d->n; i++) {
		const char *key = d->key_of(i, &len, d->arg);

		buf_str(sql, i == 0 ? "x'" : ",x'");
		buf_hex(sql, key, len);
		buf_char(sql, '\'');
	}
	buf_char(sql, ')');
}

static bool
ask_key(const struct doomed *d, const struct foreign_key *k, bool *any, struct err *e)
{
	uint64_t one = 0;
	struct buf sql;
	bool ok;

	buf_init(&sql, RECORD_SQL_MAX);
	buf_str(&sql, "SELECT 1");
	put_parents(&sql, d->pass->catalog, k);
	ok = record_put_keys(d->pass->db, &sql, d->table, d->n, d->key_of, d->arg) || malformed_key(d->table, e);
	put_children(&sql, d->pass->catalog, k);
	if (strcmp(k->child, k->parent) == 0)
		put_not_doomed(&sql, d);
	buf_str(&sql, " LIMIT 1");
	ok = ok && buf_check(&sql, "a list of keys", e) && db_number(d->pass->db, buf_cstr(&sql), DB_NO_ARGS, &one, NULL, e);
	*any = one != 0;
	buf_free(&sql);
	return ok;
}

bool
family_left(struct pass *p, const struct table *t, size_t n, record_key_fn *key_of, void *arg, bool *any, struct err *e)
{
	const struct doomed d = { p, t, n, key_of, arg };

	*any = false;
	if (!lock_doomed(&d, e))
		return false;
	for (size_t i = 0; !*any && i < p->catalog->nkeys; i++) {
		const struct foreign_key *k = &p->catalog->keys[i];

		if (k->on_delete != FK_RESTRICT && child_of(p->catalog, k, t) != NULL && !ask_key(&d, k, any, e))
			return false;
	}
	return true;
}

/* --- finding what hangs on one record --- */

struct row {
	const struct table *table;
	const char *key;
	size_t key_len;
};

struct walk {
	struct chunk *chunk;
	struct item *item;
	const struct table *path[FAMILY_DEPTH]; /* from the item's table down */
	size_t depth;
};

static bool
same_row(const struct row *a, const struct table *t, const char *key, size_t len)
{
	return a->table == t && a->key_len == len && memcmp(a->key, key, len) == 0;
}

/* Only where a table comes twice on the way can a row. */
static bool
been_here(const struct walk *w, const struct row *r)
{
	bool circle = false;

	for (size_t i = 0; i < w->depth; i++)
		circle = circle || w->path[i] == r->table;
	if (!circle)
		return false;
	if (same_row(r, w->path[0], w->item->meta.key, w->item->meta.key_len))
		return true;
	for (const struct kin *k = w->item->kin; k != NULL; k = k->next)
		if (same_row(r, k->table, k->key, k->key_len))
			return true;
	return false;
}

/* The app may be changing the row: what it does is in the queue when the lock is ours. */
static bool
lock_row(struct walk *w, const struct row *r, bool *here, struct err *e)
{
	struct db *db = w->chunk->pass->db;
	uint64_t one = 0;
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, w->chunk->pass->catalog->database, r->table->name);
	buf_str(&sql, " FORCE INDEX (PRIMARY) WHERE ");
	ok = record_put_match(db, &sql, r->table, r->key, r->key_len) || malformed_key(r->table, e);
	buf_str(&sql, " FOR UPDATE");
	ok = ok && buf_check(&sql, "a key", e) && db_number(db, buf_cstr(&sql), DB_NO_ARGS, &one, NULL, e);
	*here = one != 0;
	buf_free(&sql);
	return ok;
}

static enum kin_fate
fate_of(const struct walk *w, const struct foreign_key *by, const struct row *r)
{
	static const enum kin_fate fates[] = { KIN_STAYS, KIN_DELETED, KIN_NULLED };
	const struct item *other = r->table == w->path[0] ? judge_find(w->chunk, r->key, r->key_len) : NULL;

	if (other != NULL && other->meta.key_len == r->key_len && memcmp(other->meta.key, r->key, r->key_len) == 0 && other->shape == TARGET_DELETE)
		return KIN_OWN;
	return fates[by->on_delete];
}

/* Put in front: so what hangs on a row stands before it. */
static struct kin *
add_kin(struct walk *w, const struct foreign_key *by, const struct row *r, struct err *e)
{
	struct kin *kin = chunk_memory(w->chunk, sizeof *kin + r->key_len + 1, e);
	char *key = (char *)(kin + 1);

	if (kin == NULL)
		return NULL;
	memcpy(key, r->key, r->key_len + 1);
	*kin = (struct kin){
		.next = w->item->kin,
		.table = r->table,
		.by = by,
		.fate = fate_of(w, by, r),
		.key = key,
		.key_len = r->key_len,
		.hash = record_hash(r->table->name, key, r->key_len),
	};
	kin->told = look_expects(&w->chunk->pass->look, kin->hash);
	w->item->kin = kin;
	return kin;
}

static bool find_kin(struct walk *w, const struct row *parent, struct err *e);

static bool
take_child(struct walk *w, const struct foreign_key *by, const struct row *r, struct err *e)
{
	struct kin *kin;
	bool here = false;

	if (been_here(w, r))
		return true;
	if (!lock_row(w, r, &here, e))
		return false;
	if (!here)
		return true;
	kin = add_kin(w, by, r, e);
	if (kin == NULL)
		return false;
	if (kin->fate != KIN_DELETED && kin->fate != KIN_OWN)
		return true;
	return find_kin(w, &(struct row){ r->table, kin->key, kin->key_len }, e);
}

static bool
find_children(struct walk *w, const struct row *parent, const struct foreign_key *by, struct err *e)
{
	const struct pass *p = w->chunk->pass;
	struct row r = { .table = child_of(p->catalog, by, parent->table) };
	struct db_rows *rows = NULL;
	bool more = false, ok;
	struct buf sql;

	if (r.table == NULL)
		return true;
	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT ");
	template_key(&sql, r.table, "c.");
	put_parents(&sql, p->catalog, by);
	buf_str(&sql, " WHERE ");
	ok = record_put_match(p->db, &sql, parent->table, parent->key, parent->key_len) || malformed_key(parent->table, e);
	put_children(&sql, p->catalog, by);
	ok = ok && buf_check(&sql, "a key", e) && db_query(p->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	buf_free(&sql);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		r.key = db_rows_text(rows, 0);
		r.key_len = db_rows_len(rows, 0);
		ok = take_child(w, by, &r, e);
	}
	db_rows_free(rows);
	return ok;
}

/* Recursion is as deep as the server's own cascades may be. */
static bool
find_kin(struct walk *w, const struct row *parent, struct err *e)
{
	const struct catalog *c = w->chunk->pass->catalog;
	bool ok = true;

	if (w->depth == FAMILY_DEPTH)
		return true;
	w->path[w->depth++] = parent->table;
	for (size_t i = 0; ok && i < c->nkeys; i++)
		ok = find_children(w, parent, &c->keys[i], e);
	w->depth--;
	return ok;
}

/* --- judging --- */

/* The sender of the group has not this change of ours: not seen, or refused by it. */
static bool
is_unknown(struct chunk *c, struct look *look, const struct mark *seen, const struct kin *kin, bool *yes, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];
	size_t from, n;
	uint64_t one = 0;

	look_find(look, kin->hash, &from, &n);
	for (size_t i = 0; i < n; i++)
		if (!mark_contains(seen, look->changes[from + i].id))
			return (*yes = true);
	if (!peer_record_hash(kin->table->name, kin->key, kin->key_len, hash, e) ||
	    !db_number(c->pass->db, "SELECT 1 FROM sync_owed WHERE peer=? AND record_hash=? AND state<>'discarded'", DB_ARGS(db_text(c->pass->peer), db_bytes(hash, sizeof hash)), &one, NULL, e))
		return false;
	*yes = one != 0;
	return true;
}

/* The version of what follows from the delete: a new one of this node, later than the delete. */
static bool
take_time(struct chunk *c, struct item *item, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(c->pass->db, "SELECT GREATEST(NOW(6), TIMESTAMP(?) + INTERVAL 1 MICROSECOND)", DB_ARGS(db_text(item->meta.changed_at)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok && more && db_rows_text(rows, 0) != NULL)
		(void)snprintf(item->kin_changed_at, sizeof item->kin_changed_at, "%s", db_rows_text(rows, 0));
	else if (ok)
		ok = err_set(e, ERR_INPUT, "a record's time is none");
	db_rows_free(rows);
	return ok;
}

/* The parent stays, and is sent again whole. */
static void
keep_parent(const struct chunk *c, struct item *item)
{
	memcpy(item->local_changed_at, item->kin_changed_at, sizeof item->local_changed_at);
	(void)snprintf(item->local_node, sizeof item->local_node, "%s", c->pass->conf->node.name);
	item->decision = (struct decision){ .verdict = VERDICT_KEEP, .conflict = true, .requeue = true, .supersede = true };
	item->shape = WRITE_NOTHING;
	item->kept = true;
	item->kin = NULL;
}

/* While other records of the group are still to come that may take a child away, the verdict waits. */
static bool
judge_parent(struct chunk *c, struct item *item, struct look *look, struct err *e)
{
	const struct mark *seen;
	bool unknown = false;

	if (!judge_seen(c, item, &seen, e))
		return false;
	for (const struct kin *k = item->kin; k != NULL; k = k->next) {
		if (k->fate == KIN_OWN)
			continue;
		if (c->pass->first_round && k->told)
			item->later = true;
		if (!unknown && !is_unknown(c, look, seen, k, &unknown, e))
			return false;
	}
	if (item->later) {
		item->kin = NULL;
		return true;
	}
	if (!take_time(c, item, e))
		return false;
	if (unknown)
		keep_parent(c, item);
	return true;
}

static bool
is_parent(const struct item *item)
{
	return item->shape == TARGET_DELETE && item->decision.verdict == VERDICT_APPLY;
}

/* The local changes of everything that was found, since the oldest epoch that counts as seen. */
static bool
look_at_kin(struct chunk *c, struct look *look, struct err *e)
{
	const struct mark *oldest = NULL, *seen;
	struct mark from;

	for (size_t i = 0; i < c->n; i++) {
		if (c->items[i].kin == NULL)
			continue;
		if (!judge_seen(c, &c->items[i], &seen, e))
			return false;
		if (oldest == NULL || seen->epoch < oldest->epoch)
			oldest = seen;
		for (const struct kin *k = c->items[i].kin; k != NULL; k = k->next)
			if (!look_expect(look, k->hash, e))
				return false;
	}
	from = *oldest;
	if (!id_set_copy(&oldest->holes, &from.holes, e))
		return false;
	look_begin(look, &from);
	return look_refresh(look, c->pass->db, e);
}

static bool
find_all(struct chunk *c, bool *any, struct err *e)
{
	for (size_t i = 0; i < c->n; i++) {
		struct item *item = &c->items[i];
		struct walk w = { .chunk = c, .item = item };

		if (!is_parent(item))
			continue;
		if (!find_kin(&w, &(struct row){ c->target.table, item->meta.key, item->meta.key_len }, e))
			return false;
		*any = *any || item->kin != NULL;
	}
	return true;
}

/* What was kept earlier in the group stands in the queue as a change of ours once the relay is run, so it
 * counts like any other change that the sender has not seen. */
bool
family_judge(struct chunk *c, struct err *e)
{
	struct look look;
	bool any = false, ok;

	if (!pass_relay_flush(c->pass, e) || !find_all(c, &any, e))
		return false;
	if (!any)
		return true;
	look_init(&look, c->pass->conf->node.name, c->pass->peer);
	ok = look_at_kin(c, &look, e);
	for (size_t i = 0; ok && i < c->n; i++)
		if (c->items[i].kin != NULL)
			ok = judge_parent(c, &c->items[i], &look, e);
	look_free(&look);
	return ok;
}

/* --- removing --- */

/* The row as JSON; empty when it is gone. */
static bool
read_row(struct chunk *c, const struct kin *kin, struct buf *json, struct err *e)
{
	struct line_value *cells = calloc(kin->table->ncolumns + 1, sizeof *cells);
	struct db *db = c->pass->db;
	struct db_rows *rows = NULL;
	bool more = false, ok;
	struct buf sql;

	if (cells == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	buf_init(&sql, TEMPLATE_SQL_MAX);
	record_select(&sql, c->pass->catalog->database, kin->table);
	buf_str(&sql, " WHERE ");
	ok = record_put_match(db, &sql, kin->table, kin->key, kin->key_len) || malformed_key(kin->table, e);
	ok = ok && buf_check(&sql, "a key", e) && db_query(db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	for (size_t i = 0; ok && more && i < kin->table->ncolumns; i++) {
		const char *text = db_rows_text(rows, 1 + i);

		memcpy(&cells[i].data, &text, sizeof text);
		cells[i].len = text == NULL ? 0 : db_rows_len(rows, 1 + i);
	}
	if (ok && more)
		inbox_put_row(json, kin->table, NULL, cells);
	db_rows_free(rows);
	buf_free(&sql);
	free(cells);
	return ok && buf_check(json, "a kept version", e);
}

static bool
write_kin(struct chunk *c, const struct kin *kin, struct err *e)
{
	const char *database = c->pass->catalog->database;
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, kin->fate == KIN_DELETED ? "DELETE FROM " : "UPDATE ");
	template_table(&sql, database, kin->table->name);
	for (size_t i = 0; kin->fate == KIN_NULLED && i < kin->by->ncolumns; i++) {
		buf_str(&sql, i == 0 ? " SET " : ",");
		db_quote_name(&sql, kin->by->columns[i]);
		buf_str(&sql, "=NULL");
	}
	buf_str(&sql, " WHERE ");
	ok = record_put_match(c->pass->db, &sql, kin->table, kin->key, kin->key_len) || malformed_key(kin->table, e);
	ok = ok && buf_check(&sql, "a statement", e) && db_exec_text(c->pass->db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok;
}

/* When a row was made that no queue knows any more, nobody knows. */
static const char long_ago[] = "2000-01-01 00:00:00.000000";

static bool
keep_kin(struct chunk *c, const struct item *item, const struct kin *kin, const struct buf rows[2], struct err *e)
{
	return inbox_keep(c->pass->db, &(struct inbox_conflict){
		.peer = c->pass->peer,
		.table = kin->table->name,
		.key = kin->key,
		.key_len = kin->key_len,
		.rule = "cascade",
		.verdict = "apply",
		.local = { long_ago, c->pass->conf->node.name, rows[0].data, rows[0].len },
		.remote = { item->meta.changed_at, judge_node(c, item), rows[1].data, rows[1].len },
	    }, e);
}

/* In a circle, or when it had to wait for another record, a row that the group deletes too is still here. That
 * is no news to anybody: kept and queued as a change of ours, it would stand against its own delete. */
static bool
remove_one(struct chunk *c, const struct item *item, struct kin *kin, struct err *e)
{
	struct buf rows[2];
	bool ok;

	if (kin->told)
		return write_kin(c, kin, e);
	buf_init(&rows[0], INBOX_ROW_MAX);
	buf_init(&rows[1], INBOX_ROW_MAX);
	ok = read_row(c, kin, &rows[0], e);
	kin->gone = ok && rows[0].len > 0;
	if (kin->gone)
		ok = write_kin(c, kin, e) && (kin->fate == KIN_DELETED || read_row(c, kin, &rows[1], e)) && keep_kin(c, item, kin, rows, e);
	buf_free(&rows[0]);
	buf_free(&rows[1]);
	return ok;
}

bool
family_remove(struct chunk *c, const struct item *item, struct err *e)
{
	for (struct kin *k = item->kin; k != NULL; k = k->next)
		if ((k->fate == KIN_DELETED || k->fate == KIN_NULLED) && !remove_one(c, item, k, e))
			return false;
	return true;
}

bool
family_relay(struct chunk *c, const struct item *item, struct err *e)
{
	for (const struct kin *k = item->kin; k != NULL; k = k->next) {
		struct relay r = {
			.table = k->table->name,
			.operation = k->fate == KIN_DELETED ? OP_DELETE : OP_UPDATE,
			.key = k->key,
			.key_len = k->key_len,
			.changed_at = item->kin_changed_at,
			.node = c->pass->conf->node.name,
			.requeue = true,
		};

		if (k->gone && ((k->fate == KIN_DELETED && !pass_note_lost(c->pass, k->table, 1, e)) || !pass_relay(c->pass, &r, e)))
			return false;
	}
	return true;
}
