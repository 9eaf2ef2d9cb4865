/* Undecided records. Lives here: opening, renewing and ending what a person has to decide, dropping debts that a
 * decision made elsewhere has ended. Not here: the verdict (apply/conflict), a decision made here (apply/inbox). */
#include "apply/undecided.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/inbox.h"
#include "apply/judge.h"
#include "apply/lineage.h"
#include "apply/rival.h"

/* When nobody knows when a version was made. */
static const char long_ago[] = "2000-01-01 00:00:00.000000";

/* --- what is open --- */

static int
by_hash(const void *a, const void *b)
{
	const struct dispute *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool
add(struct pass *p, const struct dispute *d, struct err *e)
{
	if ((p->ndisputes & (p->ndisputes - 1)) == 0) { /* room doubles at powers of two */
		struct dispute *grown = realloc(p->disputes, (p->ndisputes == 0 ? 1 : p->ndisputes * 2) * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for undecided records");
		p->disputes = grown;
	}
	p->disputes[p->ndisputes++] = *d;
	return true;
}

static bool
add_owed(const struct owed *o, void *arg, struct err *e)
{
	return add(arg, &(struct dispute){ .hash = record_hash(o->table, o->key, o->key_len), .owed_id = o->last_id }, e);
}

static bool
add_conflicts(struct pass *p, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(p->db, "SELECT c.table_name, c.record_id, c.id, u.rival_id IS NOT NULL, IFNULL(u.decision, 0), c.remote_changed_at, c.remote_origin"
			     " FROM sync_undecided u JOIN sync_conflict c ON c.id=u.conflict WHERE u.peer=?", DB_ARGS(db_text(p->peer)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct dispute d = {
			.hash = record_hash(db_rows_text(rows, 0), db_rows_text(rows, 1), db_rows_len(rows, 1)),
			.conflict = db_rows_u64(rows, 2),
			.rival = db_rows_u64(rows, 3) != 0,
			.decided = db_rows_u64(rows, 4) != 0,
			.decision = db_rows_u64(rows, 4),
		};

		(void)snprintf(d.changed_at, sizeof d.changed_at, "%s", db_rows_text(rows, 5));
		(void)snprintf(d.node, sizeof d.node, "%s", db_rows_text(rows, 6));
		ok = add(p, &d, e);
	}
	db_rows_free(rows);
	return ok;
}

static bool
add_left(const char *table, const char *key, size_t key_len, uint64_t epoch, void *arg, struct err *e)
{
	struct pass *p = arg;

	if ((p->nleft & (p->nleft - 1)) == 0) { /* as above */
		struct left_key *grown = realloc(p->left, (p->nleft == 0 ? 1 : p->nleft * 2) * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for owed records");
		p->left = grown;
	}
	p->left[p->nleft++] = (struct left_key){ record_hash(table, key, key_len), epoch };
	return true;
}

static void
forget(struct pass *p)
{
	free(p->disputes);
	free(p->left);
	p->disputes = NULL;
	p->left = NULL;
	p->ndisputes = p->nleft = 0;
}

bool
undecided_look(struct pass *p, struct err *e)
{
	uint64_t any = 0;

	forget(p);
	if (!db_number(p->db, "SELECT EXISTS (SELECT 1 FROM sync_owed WHERE peer=?) OR EXISTS (SELECT 1 FROM sync_undecided WHERE peer=?)",
		DB_ARGS(db_text(p->peer), db_text(p->peer)), &any, NULL, e))
		return false;
	if (any == 0)
		return true;
	if (!owed_visit(p->db, p->peer, add_owed, p, e) || !owed_visit_left(p->db, p->peer, add_left, p, e) || !add_conflicts(p, e))
		return false;
	if (p->ndisputes > 1)
		qsort(p->disputes, p->ndisputes, sizeof *p->disputes, by_hash);
	return true;
}

bool
undecided_concerns(const struct pass *p, uint64_t hash)
{
	uint64_t epoch;

	return pass_dispute(p, hash) != NULL || pass_left(p, hash, &epoch);
}

bool
undecided_owes(const struct pass *p, uint64_t hash)
{
	const struct dispute *d = pass_dispute(p, hash), *end = p->disputes + p->ndisputes;

	for (; d != NULL && d < end && d->hash == hash; d++)
		if (d->owed_id != 0)
			return true;
	return false;
}

bool
undecided_is_collision(const struct chunk *c, const struct item *item)
{
	return c->target.table->auto_increment && item->meta.operation == 'i' && item->local != NULL;
}

/* --- keeping --- */

/* What is open for the record. */
static bool
find_open(const struct pass *p, const unsigned char *hash, uint64_t *id, bool *found, bool *earlier, struct err *e)
{
	struct db_rows *rows = NULL;
	bool ok = db_query(p->db, "SELECT c.id, c.happened_at < (SELECT r.since FROM sync_renewal r WHERE r.peer=u.peer) FROM sync_undecided u"
				  " JOIN sync_conflict c ON c.id=u.conflict WHERE u.peer=? AND u.record_hash=? AND c.resolved_at IS NULL",
		      DB_ARGS(db_text(p->peer), db_bytes(hash, PEER_HASH_BYTES)), &rows, e) && db_rows_next(rows, found, e);

	*earlier = ok && *found && db_rows_u64(rows, 1) != 0;
	*id = ok && *found ? db_rows_u64(rows, 0) : 0;
	db_rows_free(rows);
	return ok;
}

/* Since the link began anew the peer's version may be another row under the same number, and the one that is kept may be
 * nowhere else any more. It stays as it is, at its end. */
static bool
leave_earlier(const struct pass *p, const struct inbox_conflict *c, uint64_t id, bool *found, struct err *e)
{
	bool same;

	if (!inbox_is_remote(p->db, id, &c->remote, &same, e))
		return false;
	*found = same;
	return same || db_exec(p->db, "UPDATE sync_conflict SET resolved_at=NOW(6) WHERE id=?", DB_ARGS(db_u64(id)), e);
}

/* The row of *c that is open for the record already, renewed; or a new one. */
static bool
keep(struct pass *p, const struct inbox_conflict *c, const struct db_arg *rival, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];
	bool found, earlier;
	uint64_t id;

	if (!peer_record_hash(c->table, c->key, c->key_len, hash, e) || !find_open(p, hash, &id, &found, &earlier, e) ||
	    (earlier && !leave_earlier(p, c, id, &found, e)))
		return false;
	if (found ? !inbox_renew(p->db, id, c, e) : !inbox_keep(p->db, c, e) || !db_number(p->db, "SELECT LAST_INSERT_ID()", DB_NO_ARGS, &id, NULL, e))
		return false;
	return db_exec(p->db, "REPLACE INTO sync_undecided (peer, record_hash, conflict, decision, rival_id) VALUES (?, ?, ?, NULL, ?)",
	    DB_ARGS(db_text(p->peer), db_bytes(hash, sizeof hash), db_u64(id), *rival), e);
}

static struct inbox_conflict
conflict_of(const struct chunk *c, const struct item *item, const char *rule)
{
	const struct record_meta *m = &item->meta;

	return (struct inbox_conflict){
		.peer = c->pass->peer,
		.table = c->target.table->name,
		.key = m->key,
		.key_len = m->key_len,
		.rule = rule,
		.verdict = "ask",
		.local = { .changed_at = item->local_changed_at, .node = item->local_node, .checks = c->target.table->checks },
		.remote = { .changed_at = m->changed_at, .node = judge_node(c, item), .checks = c->target.checks },
	};
}

static void
put_version(struct buf *row, struct inbox_version *to, const struct table *t, const size_t *map, const struct line_value *values)
{
	buf_init(row, INBOX_ROW_MAX);
	if (values != NULL)
		inbox_put_row(row, t, map, values);
	to->row = row->data;
	to->row_len = row->len;
}

/* The row here has not been told as news since the link began anew: the peer hears of it, and has it to decide, too. */
static bool
tell_own(struct chunk *c, const struct item *item, struct err *e)
{
	return item->concurrent > 0 || c->pass->rehearsal ||
	    db_exec(c->pass->db, "INSERT INTO sync_queue (id, table_name, operation, record_id, changed_at) VALUES (NEXTVAL(sync_sequence), ?, 'insert', ?, NOW(6))",
		DB_ARGS(db_text(c->target.table->name), db_bytes(item->meta.key, item->meta.key_len)), e);
}

bool
undecided_keep(struct chunk *c, const struct item *item, struct err *e)
{
	struct inbox_conflict kept = conflict_of(c, item, undecided_is_collision(c, item) ? "collision" : "manual");
	const struct db_arg none = db_null();
	struct buf local, remote;
	bool ok;

	put_version(&local, &kept.local, c->target.table, c->target.map, lineage_row(item));
	put_version(&remote, &kept.remote, c->target.table, c->target.map, item->meta.operation == 'd' ? NULL : item->values);
	ok = buf_check(&local, "a kept version", e) && buf_check(&remote, "a kept version", e) && keep(c->pass, &kept, &none, e) && tell_own(c, item, e);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

static bool
find_rival(struct chunk *c, const struct item *item, struct db_rows **rows, struct err *e)
{
	const struct table *t = c->target.table;
	struct rival_question q = { c->pass->db, c->target.database, t, NULL, item->meta.key, item->meta.key_len, item->meta.old_key, item->meta.old_key_len };
	const struct line_value **values = calloc(t->ncolumns + 1, sizeof *values);
	bool ok;

	if (values == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	for (size_t i = 0; i < t->ncolumns; i++)
		values[c->target.map[i]] = &item->values[i];
	q.values = values;
	ok = rival_find(&q, rows, e);
	free(values);
	return ok;
}

/* Who wrote the row here and when, where that is still known: a row that was refused there is owed. */
static bool
rival_version(struct chunk *c, const struct db_rows *rival, struct inbox_version *to, struct db_rows **rows, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];
	bool more = false;

	to->changed_at = long_ago;
	to->node = c->pass->conf->node.name;
	if (!peer_record_hash(c->target.table->name, db_rows_text(rival, 0), db_rows_len(rival, 0), hash, e) ||
	    !db_query(c->pass->db, "SELECT changed_at, origin FROM sync_owed WHERE peer=? AND record_hash=?", DB_ARGS(db_text(c->pass->peer), db_bytes(hash, sizeof hash)), rows, e) ||
	    !db_rows_next(*rows, &more, e))
		return false;
	if (more)
		to->changed_at = db_rows_text(*rows, 0);
	if (more && db_rows_text(*rows, 1) != NULL)
		to->node = db_rows_text(*rows, 1);
	return true;
}

bool
undecided_keep_rival(struct chunk *c, const struct item *item, bool *asked, struct err *e)
{
	const struct table *t = c->target.table;
	struct inbox_conflict kept = conflict_of(c, item, "unique");
	struct db_rows *rival = NULL, *version = NULL;
	struct buf remote, local;
	bool ok = find_rival(c, item, &rival, e);

	*asked = ok && rival != NULL;
	if (!*asked)
		return ok; /* refused as before; the reason names the key */
	buf_init(&local, INBOX_ROW_MAX);
	inbox_put_read(&local, t, rival);
	kept.local.row = local.data;
	kept.local.row_len = local.len;
	put_version(&remote, &kept.remote, t, c->target.map, item->values);
	ok = rival_version(c, rival, &kept.local, &version, e) && buf_check(&local, "a kept version", e) && buf_check(&remote, "a kept version", e);
	if (ok) {
		const struct db_arg key = db_bytes(db_rows_text(rival, 0), db_rows_len(rival, 0));

		ok = keep(c->pass, &kept, &key, e);
		c->pass->rivals = true;
	}
	db_rows_free(version);
	db_rows_free(rival);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

/* --- ending --- */

/* The peer's version has seen ours, which it had refused: nothing is owed any more. Where that was under a new key, the end
 * of the one before went with it, and has to be told by itself. */
static bool
end_debt(struct chunk *c, const struct item *item, uint64_t last_id, struct err *e)
{
	/* With more peers the rows may still be on their way to another one; superseded ones are never sent. */
	const char *status = c->pass->conf->npeers > 1 ? "synced" : "superseded", *table = c->target.table->name;
	struct db *db = c->pass->db;
	unsigned char hash[PEER_HASH_BYTES];
	const struct mark *seen;
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!judge_seen(c, item, &seen, e))
		return false;
	if (!mark_contains(seen, last_id))
		return true;
	ok = peer_record_hash(table, item->meta.key, item->meta.key_len, hash, e) &&
	    db_query(db, "DELETE FROM sync_owed WHERE peer=? AND record_hash=? RETURNING queue_ids, IFNULL(link, 0)",
		DB_ARGS(db_text(c->pass->peer), db_bytes(hash, sizeof hash)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		ok = queue_mark_rows(db, db_rows_text(rows, 0), status, 0, NULL, e) && (db_rows_u64(rows, 1) == 0 || queue_tell_end(db, table, db_rows_u64(rows, 1), e));
	db_rows_free(rows);
	return ok;
}

static bool
end_conflict(struct chunk *c, const struct item *item, const struct dispute *d, struct err *e)
{
	bool stays = item->decision.verdict == VERDICT_KEEP || item->shape == WRITE_NOTHING || (d->rival && item->meta.operation == 'd');
	struct inbox_version local = { .checks = c->target.table->checks };
	struct buf row;
	bool ok = true;

	/* What is overwritten now may be newer than what was kept. */
	put_version(&row, &local, c->target.table, c->target.map, lineage_row(item));
	if (!stays && !d->rival)
		ok = buf_check(&row, "a kept version", e) && inbox_renew_local(c->pass->db, d->conflict, &local, e);
	buf_free(&row);
	return ok && inbox_end(c->pass->db, d->conflict, stays ? INBOX_LOCAL : INBOX_REMOTE, e) &&
	    db_exec(c->pass->db, "DELETE FROM sync_undecided WHERE conflict=?", DB_ARGS(db_u64(d->conflict)), e);
}

bool
undecided_end(struct chunk *c, const struct item *item, struct err *e)
{
	const struct pass *p = c->pass;
	const struct dispute *d = pass_dispute(p, item->hash), *end = p->disputes + p->ndisputes;

	for (; d != NULL && d < end && d->hash == item->hash; d++)
		if (!d->decided && (d->conflict != 0 ? !end_conflict(c, item, d, e) : !end_debt(c, item, d->owed_id, e)))
			return false;
	return true;
}
