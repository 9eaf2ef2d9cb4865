/* Lock, look, judge, write. The order matters: only after the row is locked (and an app's open
 * transaction on it has ended) does the look at the queue see everything concurrent; READ COMMITTED, so
 * that the look is not an old snapshot. Writing is one bulk statement for a span of records; a span that
 * fails is rolled back to its savepoint and halved until the record at fault stands alone. */
#include "apply/careful.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/record.h"

enum {
	WRITE_NOTHING = TARGET_SHAPES /* the verdict leaves the row as it is */
};

/* One record of a chunk. Its line is copied into the chunk's memory. */
struct item {
	size_t number;
	uint64_t hash;
	struct record_meta meta;
	struct line_value *values;
	struct line_value *local; /* the row as it is here, in the section's order; NULL = absent */
	bool old_here;		  /* the row under meta.old_key exists */
	bool done;
	int shape;		  /* enum target_shape or WRITE_NOTHING */
	struct decision decision;
	size_t look_from, look_n; /* its concurrent changes in the look */
	char local_changed_at[QUEUE_TIME_LEN + 1];
	char local_node[CONF_NAME_MAX + 1];
	size_t concurrent;
};

/* A block of memory that is given back as a whole. */
struct block {
	struct block *next;
	char data[];
};

struct careful {
	struct pass *pass;
	struct pass_reader *reader;
	struct target target;
	bool open;
	struct item items[CAREFUL_RECORDS];
	size_t n;
	size_t bytes;
	struct block *blocks;
	struct item *sorted[CAREFUL_RECORDS]; /* by hash, to find a row's record */
	struct mark marks[8];		      /* marks of own seens, loaded once */
	size_t nmarks;
	uint64_t *todo;		      /* numbers of the records of this round; NULL = all */
	size_t ntodo, at_todo;
	struct refused_list deferred; /* failed in this round; tried again after the others */
};

/* --- memory --- */

static void *
take_memory(struct careful *c, size_t len, struct err *e)
{
	struct block *b = malloc(sizeof *b + len);

	if (b == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for records");
		return NULL;
	}
	b->next = c->blocks;
	c->blocks = b;
	c->bytes += len;
	return b->data;
}

static void
give_back(struct careful *c)
{
	while (c->blocks != NULL) {
		struct block *next = c->blocks->next;

		free(c->blocks);
		c->blocks = next;
	}
	c->n = 0;
	c->bytes = 0;
}

/* Copy values (and the texts behind them) into the chunk's memory. */
static struct line_value *
copy_values(struct careful *c, const struct line_value *from, size_t n, struct err *e)
{
	size_t total = n * sizeof *from;
	struct line_value *to;
	char *at;

	for (size_t i = 0; i < n; i++)
		total += from[i].data == NULL ? 0 : from[i].len + 1;
	to = take_memory(c, total, e);
	if (to == NULL)
		return NULL;
	at = (char *)(to + n);
	for (size_t i = 0; i < n; i++) {
		to[i] = from[i];
		if (from[i].data == NULL)
			continue;
		to[i].data = memcpy(at, from[i].data, from[i].len + 1);
		at += from[i].len + 1;
	}
	return to;
}

/* --- marks of own seens --- */

/* The mark that counts as seen for the item: the group's, or the one its own seen names. */
static bool
mark_of(struct careful *c, const struct item *item, const struct mark **out, struct err *e)
{
	bool found;

	*out = &c->pass->seen;
	if (!item->meta.has_seen || item->meta.seen == c->pass->seen.epoch)
		return true;
	for (size_t i = 0; i < c->nmarks; i++) {
		if (c->marks[i].epoch == item->meta.seen) {
			*out = &c->marks[i];
			return true;
		}
	}
	if (c->nmarks == sizeof c->marks / sizeof c->marks[0])
		mark_free(&c->marks[--c->nmarks]);
	if (!queue_load_mark(c->pass->db, item->meta.seen, &c->marks[c->nmarks], &found, e))
		return false;
	if (!found)
		return err_set(e, ERR_PEER_REFUSED, "a record's seen epoch is not kept any more");
	*out = &c->marks[c->nmarks++];
	return true;
}

/* --- locking --- */

static int
by_item_hash(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static struct item *
find_item(struct careful *c, const char *key, size_t len)
{
	struct item wanted = { .hash = record_hash(c->target.table->name, key, len) }, *w = &wanted, **found;

	found = bsearch(&w, c->sorted, c->n, sizeof *c->sorted, by_item_hash);
	return found == NULL ? NULL : *found;
}

/* The locked row's columns in the section's order. */
static bool
take_local_row(struct careful *c, struct item *item, const struct db_rows *rows, struct err *e)
{
	size_t n = c->target.table->ncolumns;
	struct line_value *cells = calloc(n + 1, sizeof *cells);

	if (cells == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	for (size_t i = 0; i < n; i++) {
		const char *text = db_rows_text(rows, 1 + c->target.map[i]);

		memcpy(&cells[i].data, &text, sizeof text);
		cells[i].len = text == NULL ? 0 : db_rows_len(rows, 1 + c->target.map[i]);
	}
	item->local = copy_values(c, cells, n, e);
	free(cells);
	return item->local != NULL;
}

static const char *
key_of_item(size_t i, size_t *len, void *arg)
{
	struct careful *c = arg;

	*len = c->items[i].meta.key_len;
	return c->items[i].meta.key;
}

static bool
lock_rows(struct careful *c, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, RECORD_SQL_MAX);
	record_select(&sql, c->target.database, c->target.table);
	ok = record_put_keys(c->pass->db, &sql, c->target.table, c->n, key_of_item, c) || err_set(e, ERR_INPUT, "table %s: a malformed key", c->target.table->name);
	buf_str(&sql, " FOR UPDATE");
	ok = ok && buf_check(&sql, "a list of keys", e) && db_stream(c->pass->db, sql.data, sql.len, &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct item *item = find_item(c, db_rows_text(rows, 0), db_rows_len(rows, 0));

		if (item != NULL && !(ok = take_local_row(c, item, rows, e)))
			break;
	}
	while (!ok && rows != NULL && more && db_rows_next(rows, &more, NULL) && more)
		;
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* Lock the row under an old key of a record whose key has changed. */
static bool
lock_old_row(struct careful *c, struct item *item, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, c->target.database, c->target.table->name);
	buf_str(&sql, " FORCE INDEX (PRIMARY) WHERE ");
	ok = (record_put_match(c->pass->db, &sql, c->target.table, item->meta.old_key, item->meta.old_key_len) ||
		 err_set(e, ERR_INPUT, "table %s: a malformed key", c->target.table->name));
	buf_str(&sql, " FOR UPDATE");
	ok = ok && buf_check(&sql, "a key", e) && db_query(c->pass->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	item->old_here = ok && db_rows_count(rows) > 0;
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* --- judging --- */

static bool
same_content(const struct careful *c, const struct item *item)
{
	if (item->meta.operation == 'd')
		return item->local == NULL;
	if (item->local == NULL)
		return false;
	for (size_t i = 0; i < c->target.table->ncolumns; i++) {
		const struct line_value *a = &item->values[i], *b = &item->local[i];

		if ((a->data == NULL) != (b->data == NULL) || a->len != b->len ||
		    (a->len > 0 && memcmp(a->data, b->data, a->len) != 0))
			return false;
	}
	return true;
}

static const char *
node_of(const struct careful *c, const struct item *item)
{
	return item->meta.origin == NULL ? c->pass->peer : item->meta.origin;
}

/* Gather the item's concurrent local changes into facts. */
static bool
find_concurrent(struct careful *c, struct item *item, struct facts *f, struct err *e)
{
	const struct mark *seen;

	if (!mark_of(c, item, &seen, e))
		return false;
	look_find(&c->pass->look, item->hash, &item->look_from, &item->look_n);
	for (size_t i = 0; i < item->look_n; i++) {
		const struct local_change *lc = &c->pass->look.changes[item->look_from + i];

		if (mark_contains(seen, lc->id))
			continue;
		if (f->concurrent++ == 0 || version_compare(lc->changed_at, lc->node, item->local_changed_at, item->local_node) > 0) {
			memcpy(item->local_changed_at, lc->changed_at, sizeof item->local_changed_at);
			memcpy(item->local_node, lc->node, sizeof item->local_node);
		}
		f->local_whole = f->local_whole || lc->whole;
		f->local_inserted = f->local_inserted || lc->operation == OP_INSERT;
	}
	f->local_changed_at = item->local_changed_at;
	f->local_node = item->local_node;
	item->concurrent = f->concurrent;
	return true;
}

/* How the incoming version is written, given what is here. */
static int
shape_for(const struct item *item, bool same)
{
	if (item->meta.operation == 'd')
		return item->local == NULL ? (int)WRITE_NOTHING : (int)TARGET_DELETE;
	if (item->local != NULL)
		return same ? (int)WRITE_NOTHING : (int)TARGET_UPDATE;
	return item->old_here ? (int)TARGET_MOVE : (int)TARGET_INSERT;
}

static bool
judge_item(struct careful *c, struct item *item, struct err *e)
{
	struct facts f = {
		.changed_at = item->meta.changed_at,
		.node = node_of(c, item),
		.whole = item->meta.whole || item->meta.operation != 'u',
		.inserted = item->meta.operation == 'i',
		.here = item->local != NULL,
		.counter_key = c->target.table->auto_increment,
	};

	f.same = same_content(c, item);
	if (!find_concurrent(c, item, &f, e))
		return false;
	item->decision = conflict_judge(c->pass->conf->sync.conflict, &f);
	item->shape = item->decision.verdict == VERDICT_APPLY ? shape_for(item, f.same) : (int)WRITE_NOTHING;
	return true;
}

static bool
put_aside(struct careful *c, const struct item *item, enum refusal_kind kind, const struct err *why, struct err *e)
{
	const char *text = why->msg;
	struct refused r = {
		.number = item->number,
		.key_len = item->meta.key_len,
		.kind = kind,
	};

	/* Not the reader's section: a chunk is applied when the next section has been read already. */
	memcpy(&r.table, &c->target.table->name, sizeof r.table);
	memcpy(&r.key, &item->meta.key, sizeof r.key);
	memcpy(&r.reason, &text, sizeof r.reason);
	r.db_errno = why->db_errno;
	return refused_add(kind == REFUSED ? &c->deferred : &c->pass->refused, &r, e);
}

/* --- outcomes --- */

static void
put_row_json(struct buf *out, const struct careful *c, const struct line_value *values)
{
	buf_char(out, '{');
	for (size_t i = 0; i < c->target.table->ncolumns; i++) {
		const char *name = c->target.table->columns[c->target.map[i]].name;
		struct buf one;

		buf_str(out, i > 0 ? "," : "");
		line_quote(out, name, strlen(name));
		buf_char(out, ':');
		buf_init(&one, LINE_BYTES_MAX);
		if (values[i].data == NULL)
			buf_str(&one, "null");
		else
			line_text(&one, values[i].data, values[i].len);
		buf_put(out, one.data, one.len);
		out->failed = out->failed || one.failed;
		buf_free(&one);
	}
	buf_char(out, '}');
}

/* Keep both versions whole. */
static bool
keep_conflict(struct careful *c, const struct item *item, struct err *e)
{
	static const char *const verdict[] = { "apply", "keep", "ask" };
	struct buf local, remote;
	bool ok;

	buf_init(&local, DB_SQL_MAX / 4);
	buf_init(&remote, DB_SQL_MAX / 4);
	if (item->local != NULL)
		put_row_json(&local, c, item->local);
	if (item->meta.operation != 'd')
		put_row_json(&remote, c, item->values);
	ok = buf_check(&local, "a kept version", e) && buf_check(&remote, "a kept version", e) &&
	    db_exec(c->pass->db, "INSERT INTO sync_conflict (peer, table_name, record_id, policy, verdict, local_changed_at, local_origin,"
				 " local_row, remote_changed_at, remote_origin, remote_row) VALUES (?, ?, ?, 'newer', ?, ?, ?, ?, ?, ?, ?)",
		DB_ARGS(db_text(c->pass->peer), db_text(c->target.table->name), db_bytes(item->meta.key, item->meta.key_len),
		    db_text(verdict[item->decision.verdict]), db_text(item->local_changed_at), db_text(item->local_node),
		    db_text_n(local.data, local.len), db_text(item->meta.changed_at), db_text(node_of(c, item)), db_text_n(remote.data, remote.len)), e);
	buf_free(&local);
	buf_free(&remote);
	return ok;
}

/* The concurrent local changes lost: nobody is sent them any more. */
static bool
supersede(struct careful *c, const struct item *item, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];
	const struct mark *seen;

	if (!mark_of(c, item, &seen, e))
		return false;
	for (size_t i = 0; i < item->look_n; i++) {
		const struct local_change *lc = &c->pass->look.changes[item->look_from + i];

		if (!mark_contains(seen, lc->id) &&
		    !db_exec(c->pass->db, "UPDATE sync_queue SET status='superseded' WHERE id=?", DB_ARGS(db_u64(lc->id)), e))
			return false;
	}
	return peer_record_hash(c->target.table->name, item->meta.key, item->meta.key_len, hash, e) &&
	    db_exec(c->pass->db, "DELETE FROM sync_owed WHERE record_hash=?", DB_ARGS(db_bytes(hash, sizeof hash)), e);
}

static bool
relay_item(struct careful *c, const struct item *item, struct err *e)
{
	bool incoming = item->decision.verdict == VERDICT_APPLY;
	bool present = incoming ? item->meta.operation != 'd' : item->local != NULL;
	struct relay r = {
		.table = c->target.table->name,
		.key = item->meta.key,
		.key_len = item->meta.key_len,
		.changed_at = incoming ? item->meta.changed_at : item->local_changed_at,
		.node = incoming ? node_of(c, item) : item->local_node,
		.whole = item->meta.whole,
		.requeue = item->decision.requeue,
	};

	if (!incoming && !item->decision.requeue)
		return true; /* our own change is still on its way to everybody */
	r.operation = !present ? OP_DELETE : item->meta.operation == 'i' || r.requeue ? OP_INSERT : OP_UPDATE;
	return pass_relay(c->pass, &r, e);
}

/* The item is written (or left as it is): everything that follows from its verdict. */
static bool
finish_item(struct careful *c, struct item *item, struct err *e)
{
	item->done = true;
	c->pass->applied++;
	if (item->decision.conflict && !keep_conflict(c, item, e))
		return false;
	if (item->decision.supersede && item->concurrent > 0 && !supersede(c, item, e))
		return false;
	return relay_item(c, item, e);
}

/* --- writing --- */

static bool
put_span(struct careful *c, size_t from, size_t to, struct err *e)
{
	for (size_t i = from; i < to; i++) {
		struct item *item = &c->items[i];

		if (item->done || item->shape == WRITE_NOTHING)
			continue;
		if (!target_put(&c->target, (enum target_shape)item->shape, &item->meta, item->values, e))
			return false;
		if (item->shape == TARGET_UPDATE && item->old_here) { /* both keys are here: the old one goes */
			struct record_meta old = item->meta;

			old.key = item->meta.old_key;
			old.key_len = item->meta.old_key_len;
			if (!target_put(&c->target, TARGET_DELETE, &old, NULL, e))
				return false;
		}
	}
	return target_flush(&c->target, e);
}

static bool
is_refusal(const struct err *e)
{
	return e->code == ERR_DB_DUPLICATE || e->code == ERR_DB_REJECTED;
}

/* Write the records [from, to); halve on refusal. Recursion is as deep as a chunk can be halved. */
static bool
write_span(struct careful *c, size_t from, size_t to, struct err *e)
{
	size_t half = from + (to - from) / 2;

	if (from == to || (to - from == 1 && c->items[from].done))
		return true;
	if (!db_exec(c->pass->db, "SAVEPOINT span", DB_NO_ARGS, e))
		return false;
	if (put_span(c, from, to, e)) {
		for (size_t i = from; i < to; i++)
			if (!c->items[i].done && !finish_item(c, &c->items[i], e))
				return false;
		return true;
	}
	target_forget(&c->target);
	if (!is_refusal(e))
		return false;
	if (to - from == 1) {
		c->items[from].done = true;
		if (!put_aside(c, &c->items[from], REFUSED, e, e))
			return false;
	}
	if (!db_exec(c->pass->db, "ROLLBACK TO SAVEPOINT span", DB_NO_ARGS, e))
		return false;
	return to - from == 1 || (write_span(c, from, half, e) && write_span(c, half, to, e));
}

/* --- chunks --- */

static bool
judge_chunk(struct careful *c, struct err *e)
{
	for (size_t i = 0; i < c->n; i++) {
		struct item *item = &c->items[i];
		struct err why = { 0 };

		if (!judge_item(c, item, e))
			return false;
		if (item->decision.verdict == VERDICT_ASK) {
			item->done = true;
			(void)err_set(&why, ERR_DB_DUPLICATE, "table %s: both nodes gave the key %.*s to different rows; give each node its own auto_increment_offset",
			    c->target.table->name, (int)(item->meta.key_len < 64 ? item->meta.key_len : 64), item->meta.key);
			if (!put_aside(c, item, REFUSED_COLLISION, &why, e))
				return false;
		} else if (item->shape != WRITE_NOTHING && item->shape != TARGET_DELETE && target_too_large(&c->target, item->values, why.msg)) {
			item->done = true;
			if (!put_aside(c, item, REFUSED, &why, e))
				return false;
		}
	}
	return true;
}

static bool
apply_chunk(struct careful *c, struct err *e)
{
	bool ok = true;

	if (c->n == 0)
		return true;
	for (size_t i = 0; i < c->n; i++)
		c->sorted[i] = &c->items[i];
	qsort(c->sorted, c->n, sizeof *c->sorted, by_item_hash);
	ok = lock_rows(c, e);
	for (size_t i = 0; ok && i < c->n; i++)
		if (c->items[i].meta.old_key != NULL)
			ok = lock_old_row(c, &c->items[i], e);
	ok = ok && look_refresh(&c->pass->look, c->pass->db, e) && judge_chunk(c, e) && write_span(c, 0, c->n, e);
	give_back(c);
	return ok;
}

static size_t
chunk_limit(const struct careful *c)
{
	size_t keys = record_keys_at_once(c->target.table);

	return keys < CAREFUL_RECORDS ? keys : CAREFUL_RECORDS;
}

static bool
add_item(struct careful *c, struct err *e)
{
	struct pass_reader *r = c->reader;
	struct item *item = &c->items[c->n];
	struct line_value *copy = copy_values(c, r->values, r->nvalues, e);

	if (copy == NULL)
		return false;
	memset(item, 0, sizeof *item);
	item->number = r->number;
	/* The texts of meta were taken from these values; take them again from the copy. The parsed meta
	 * object has been overwritten by its own strings, so those are copied apart. */
	item->meta = r->meta;
	item->meta.key = copy[1].data;
	item->meta.changed_at = copy[2].data;
	if (r->meta.origin != NULL)
		item->meta.origin = copy[3].data + (r->meta.origin - r->values[3].data);
	if (r->meta.via != NULL)
		item->meta.via = copy[3].data + (r->meta.via - r->values[3].data);
	if (r->meta.old_key != NULL)
		item->meta.old_key = copy[3].data + (r->meta.old_key - r->values[3].data);
	item->values = copy + RECORD_FIXED;
	item->hash = record_hash(c->target.table->name, item->meta.key, item->meta.key_len);
	c->n++;
	return c->n < chunk_limit(c) && c->bytes < CAREFUL_BYTES ? true : apply_chunk(c, e);
}

/* --- rounds --- */

static bool
close_section(struct careful *c, struct err *e)
{
	bool ok;

	if (!c->open)
		return true;
	ok = apply_chunk(c, e);
	target_close(&c->target);
	c->open = false;
	return ok;
}

static bool
open_section(struct careful *c, struct err *e)
{
	if (!close_section(c, e))
		return false;
	if (c->reader->table == NULL)
		return true; /* its records wait */
	c->open = target_open(&c->target, c->pass->db, c->pass->catalog->database, c->reader->table, &c->reader->section, e);
	return c->open;
}

static bool
is_wanted(struct careful *c)
{
	if (c->todo == NULL)
		return true;
	while (c->at_todo < c->ntodo && c->todo[c->at_todo] < c->reader->number)
		c->at_todo++;
	return c->at_todo < c->ntodo && c->todo[c->at_todo] == c->reader->number;
}

static bool
take_record(struct careful *c, struct err *e)
{
	struct pass_reader *r = c->reader;
	struct refused waiting = { .number = r->number, .table = r->section.table, .reason = r->reason, .kind = REFUSED_WAITING };

	if (r->meta.operation == 'o')
		return c->todo != NULL || pass_note_owed(c->pass, r, e);
	if (!is_wanted(c))
		return true;
	if (r->table != NULL)
		return add_item(c, e);
	memcpy(&waiting.key, &r->meta.key, sizeof waiting.key);
	waiting.key_len = r->meta.key_len;
	return refused_add(&c->pass->refused, &waiting, e);
}

static bool
one_round(struct careful *c, struct err *e)
{
	enum pass_line what = PASS_END;

	if (!pass_begin(c->pass, c->reader, e))
		return false;
	do {
		if (!pass_next(c->pass, c->reader, &what, e))
			return false;
		if (what == PASS_SECTION && !open_section(c, e))
			return false;
		if (what == PASS_RECORD && !take_record(c, e))
			return false;
	} while (what != PASS_END);
	return close_section(c, e);
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The next round takes what was put aside in this one. */
static bool
next_todo(struct careful *c, struct err *e)
{
	uint64_t *todo = calloc(c->deferred.n + 1, sizeof *todo);

	if (todo == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for refusals");
	for (size_t i = 0; i < c->deferred.n; i++)
		todo[i] = c->deferred.items[i].number;
	qsort(todo, c->deferred.n, sizeof *todo, by_number);
	free(c->todo);
	c->todo = todo;
	c->ntodo = c->deferred.n;
	c->at_todo = 0;
	refused_free(&c->deferred);
	return true;
}

enum {
	NO_PARENT = 1452 /* the server's number for a row whose parent is missing */
};

static bool
parent_is_open(const struct careful *c, const struct refused *r)
{
	const struct table *t = catalog_table(c->pass->catalog, r->table);

	for (size_t i = 0; t != NULL && i < t->nparents; i++)
		if (c->pass->open_tables[t->parents[i]])
			return true;
	return false;
}

/* A record whose parent itself waits or was refused is not at fault: it waits, without attempts. The
 * server names the constraint and not the row, so any open record of a parent table counts. */
static bool
excuse_children(struct careful *c, struct err *e)
{
	bool moved = true;

	for (size_t i = 0; i < c->pass->refused.n; i++)
		if (!pass_open_table(c->pass, c->pass->refused.items[i].table, e))
			return false;
	for (size_t i = 0; i < c->deferred.n; i++)
		if (c->deferred.items[i].db_errno != NO_PARENT && !pass_open_table(c->pass, c->deferred.items[i].table, e))
			return false;
	while (moved) {
		moved = false;
		for (size_t i = 0; i < c->deferred.n; i++) {
			struct refused *r = &c->deferred.items[i];

			if (r->db_errno != NO_PARENT || r->kind != REFUSED || c->pass->open_tables == NULL || !parent_is_open(c, r))
				continue;
			r->kind = REFUSED_WAITING;
			moved = true;
			if (!pass_open_table(c->pass, r->table, e))
				return false;
		}
	}
	return true;
}

/* Rounds as long as they bring something: a record whose parent came later in the group, or whose
 * unique value was set free later, goes in the second one. */
static bool
all_rounds(struct careful *c, struct err *e)
{
	size_t before = SIZE_MAX;

	if (!one_round(c, e))
		return false;
	while (c->deferred.n > 0 && c->deferred.n < before) {
		before = c->deferred.n;
		if (!next_todo(c, e) || !one_round(c, e))
			return false;
	}
	if (!excuse_children(c, e))
		return false;
	for (size_t i = 0; i < c->deferred.n; i++)
		if (!refused_add(&c->pass->refused, &c->deferred.items[i], e))
			return false;
	return pass_relay_flush(c->pass, e);
}

/* Name every record to the look and find the oldest epoch that counts as seen for one of them. */
static bool
survey(struct pass *p, struct pass_reader *r, uint64_t *oldest, struct err *e)
{
	enum pass_line what = PASS_END;

	*oldest = p->seen.epoch;
	if (!pass_begin(p, r, e))
		return false;
	do {
		if (!pass_next(p, r, &what, e))
			return false;
		if (what != PASS_RECORD || r->meta.operation == 'o')
			continue;
		if (r->meta.has_seen && r->meta.seen < *oldest)
			*oldest = r->meta.seen;
		if (!look_expect(&p->look, record_hash(r->section.table, r->meta.key, r->meta.key_len), e))
			return false;
	} while (what != PASS_END);
	return true;
}

bool
careful_apply(struct pass *p, struct pass_reader *r, struct err *e)
{
	struct careful *c = calloc(1, sizeof *c);
	struct mark seen = { 0 };
	uint64_t oldest = 0;
	bool found = false, ok;

	if (c == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	c->pass = p;
	c->reader = r;
	ok = survey(p, r, &oldest, e) && queue_load_mark(p->db, oldest, &seen, &found, e);
	if (ok && !found)
		ok = err_set(e, ERR_PEER_REFUSED, "a record's seen epoch is not kept any more");
	if (ok) {
		look_begin(&p->look, &seen);
		ok = all_rounds(c, e);
	}
	if (c->open)
		target_close(&c->target);
	give_back(c);
	refused_free(&c->deferred);
	for (size_t i = 0; i < c->nmarks; i++)
		mark_free(&c->marks[i]);
	free(c->todo);
	free(c);
	return ok;
}
