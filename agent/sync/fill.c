/* Filling. Lives here: pages of rows, fetched while the one before is written; what is done with a page that cannot
 * be written as it is; single records. Not here: which ranges and records (sync/compare, sync/doubt), reading them on
 * the other side (sync/offer), the order of tables (sync/startup). */
#include "sync/fill.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/fit.h"
#include "apply/target.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/body.h"
#include "change/filling.h"
#include "change/record.h"
#include "change/trace.h"
#include "sync/doubt.h"
#include "sync/repair.h"
#include "wire/spool.h"

enum {
	PAGE_TRIES = 6,	     /* the app holds a lock */
	PAGE_NAP_MS = 200,
	PIECE_ROWS = 100,    /* of a page in which something is refused; then row by row */
	LEFT_BYTES = 64 * 1024 * 1024
};

/* What becomes of one row of a page. */
enum fate {
	FATE_WRITE,
	FATE_REFUSED, /* with others of its piece, or alone */
	FATE_LEFT,    /* the peer sends it as a change */
	FATE_SKIP,    /* it stands here */
	FATE_OURS     /* the app has changed it here: that change will replace it there */
};

struct fill {
	const struct conf *conf;
	const struct node_identity *node;
	const char *peer;
	struct db *db;
	const char *database;
	const struct table *table;
	struct section section;
	struct target target;
	bool open;
	struct line_value *values; /* of one line */
	struct digest_list left;   /* keys to be sent by the peer */
	struct digest_list keys;   /* of the page being written */
	unsigned char *fates;	   /* of its rows */
	size_t fates_cap;
	bool keep_unseen; /* as the comparison */
	bool looks;	  /* at records of the page, before it counts as done */
	struct fill_counts counts;
	void (*progress)(void *arg);
	void *progress_arg;
};

/* Rows as they came. */
struct page {
	struct spool *spool;
	struct buf last;
	bool any, more;
	uint64_t about;
};

/* --- life --- */

static bool
prepare(struct fill *f, struct err *e)
{
	char skip[TEMPLATE_NAME_MAX], sql[128];
	int len;

	body_skip_variable(f->node->token, skip);
	len = snprintf(sql, sizeof sql, "SET @%s=1, foreign_key_checks=0", skip);
	return db_use(f->db, f->conf->database.sync_database, e) && db_exec_text(f->db, sql, (size_t)len, e);
}

bool
fill_new(const struct conf *conf, const struct node_identity *node, const char *peer, struct fill **out, struct err *e)
{
	struct fill *f = calloc(1, sizeof *f);

	*out = NULL;
	if (f == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for filling");
	f->conf = conf;
	f->node = node;
	f->peer = peer;
	digest_list_init(&f->left, LEFT_BYTES);
	digest_list_init(&f->keys, LEFT_BYTES);
	f->values = calloc(LINE_VALUES_MAX, sizeof *f->values);
	if ((f->values != NULL || err_set(e, ERR_MEMORY, "out of memory for filling")) && db_open(&conf->database, &f->db, e) && prepare(f, e)) {
		*out = f;
		return true;
	}
	fill_free(f);
	return false;
}

static void
close_table(struct fill *f)
{
	if (f->open)
		target_close(&f->target);
	f->open = false;
	message_section_free(&f->section);
}

void
fill_free(struct fill *f)
{
	if (f == NULL)
		return;
	close_table(f);
	digest_list_free(&f->left);
	digest_list_free(&f->keys);
	free(f->fates);
	free(f->values);
	db_close(f->db);
	free(f);
}

bool
fill_use(struct fill *f, const struct catalog *c, const struct table *t, struct err *e)
{
	struct buf text;
	bool ok;

	close_table(f);
	f->database = c->database;
	f->table = t;
	memset(&f->counts, 0, sizeof f->counts);
	digest_list_reset(&f->left);
	buf_init(&text, MESSAGE_HEADER_MAX);
	message_put_section(&text, t);
	ok = buf_check(&text, "a table", e) && message_parse_section(text.data, text.len - 1, &f->section, e) &&
	    target_open(&f->target, f->db, c->database, t, &f->section, e);
	f->open = ok;
	buf_free(&text);
	return ok;
}

struct fill_counts
fill_counts(const struct fill *f)
{
	return f->counts;
}

void
fill_watch(struct fill *f, void (*progress)(void *arg), void *arg)
{
	f->progress = progress;
	f->progress_arg = arg;
}

/* --- fetching --- */

static void
page_free(struct page *p)
{
	spool_free(p->spool);
	buf_free(&p->last);
	memset(p, 0, sizeof *p);
}

/* The asker's answer as a page: what stands behind the answer's first line. */
static bool
page_take(struct fill *f, struct asker *a, bool more, struct page *p, struct err *e)
{
	struct line_value last;

	memset(p, 0, sizeof *p);
	buf_init(&p->last, CATALOG_KEY_BYTES + 1);
	p->more = more;
	if (!compare_parse_last(&a->reader, &last, &p->about, e))
		return false;
	p->any = last.data != NULL;
	if (p->any)
		buf_put(&p->last, last.data, last.len);
	return buf_check(&p->last, "a key", e) && spool_new(f->conf->node.state_dir, &p->spool, e) && spool_put(p->spool, a->reader.at, a->reader.left, e);
}

static bool
ask_range(struct asker *a, const struct digest_range *r, struct err *e)
{
	if (!ask_begin(a, ASK_FILL, e))
		return false;
	compare_put_range(&a->question, r);
	return true;
}

/* The next page, beside the writing of the one before: no database is touched here. */
struct fetching {
	struct fill *fill;
	struct asker *asker;
	struct digest_range range;
	struct page page;
	bool ok;
	struct err e;
};

static void *
fetch_main(void *arg)
{
	struct fetching *f = arg;
	bool more = false;

	f->ok = ask_try(f->asker, &more, &f->e) && page_take(f->fill, f->asker, more, &f->page, &f->e);
	return NULL;
}

/* With a new hello where it is needed. */
static bool
fetch_page(struct fill *f, struct asker *a, const struct digest_range *r, struct page *p, struct err *e)
{
	bool more = false;

	return ask_range(a, r, e) && ask_send(a, &more, e) && page_take(f, a, more, p, e);
}

/* --- judging a row --- */

static bool
grow_fates(struct fill *f, struct err *e)
{
	size_t cap = f->fates_cap == 0 ? 1024 : f->fates_cap * 2;
	unsigned char *grown;

	if (f->keys.n < f->fates_cap)
		return true;
	grown = realloc(f->fates, cap);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a page of rows");
	f->fates = grown;
	f->fates_cap = cap;
	return true;
}

/* Can it be written like this at all? */
static enum fate
fate_of(struct fill *f, size_t n, const struct digest_range *skip)
{
	char reason[MESSAGE_REASON_MAX];
	const struct line_value *v = f->values;

	if (skip != NULL && skip->high_len == v[0].len && memcmp(skip->high, v[0].data, v[0].len) == 0)
		return FATE_SKIP;
	if (n == 1 || target_too_large(&f->target, v + 1, reason) || !fit_nulls(f->table, f->target.map, v + 1, reason))
		return FATE_LEFT;
	return FATE_WRITE;
}

static bool
next_row(struct fill *f, struct page *p, bool *any, size_t *n, struct err *e)
{
	char *line;
	size_t len;

	*any = false;
	if (!spool_line(p->spool, &line, &len, e))
		return false;
	if (line == NULL)
		return true;
	*any = true;
	if (!line_parse(line, len, f->values, LINE_VALUES_MAX, n, e))
		return false;
	if ((*n != 1 && *n != 1 + f->table->ncolumns) || f->values[0].data == NULL || !digest_key_is_sound(f->table, f->values[0].data, f->values[0].len))
		return err_set(e, ERR_INPUT, "table %s: peer %s sends a row that is none", f->table->name, f->peer);
	return true;
}

static bool
put_row(struct fill *f, struct err *e)
{
	const struct record_meta m = { .operation = 'i', .key = f->values[0].data, .key_len = f->values[0].len };

	return target_put(&f->target, TARGET_INSERT, &m, f->values + 1, e);
}

static const unsigned char no_sum[DIGEST_BYTES];

/* All rows of the page into keys and fates. */
static bool
read_fates(struct fill *f, struct page *p, const struct digest_range *skip, struct err *e)
{
	bool any;
	size_t n;

	digest_list_reset(&f->keys);
	if (!spool_rewind(p->spool, e))
		return false;
	for (;;) {
		if (!next_row(f, p, &any, &n, e) || (any && !grow_fates(f, e)))
			return false;
		if (!any)
			return true;
		f->fates[f->keys.n] = (unsigned char)fate_of(f, n, skip);
		if (!digest_list_add(&f->keys, f->values[0].data, f->values[0].len, no_sum, e))
			return false;
	}
}

/* --- has one of them changed here? --- */

/* Nearly always nothing of the table is on its way to the peer: one look at the queue's end says so. */
static bool
any_pending(struct fill *f, const struct mark *acked, bool *any, struct err *e)
{
	uint64_t from = acked->holes.n > 0 && acked->holes.ranges[0].low <= acked->high ? acked->holes.ranges[0].low - 1 : acked->high, n = 0;

	if (!db_number(f->db, "SELECT 1 FROM sync_queue WHERE id>? AND table_name=? AND (via IS NULL OR via<>?) LIMIT 1",
		DB_ARGS(db_u64(from), db_text(f->table->name), db_text(f->peer)), &n, NULL, e))
		return false;
	if (n == 0 && !db_number(f->db, "SELECT 1 FROM sync_owed WHERE peer=? AND table_name=? LIMIT 1", DB_ARGS(db_text(f->peer), db_text(f->table->name)), &n, NULL, e))
		return false;
	*any = n > 0;
	return true;
}

/* Rows that the app has changed here and that the peer has not got are not touched: theirs is the later version.
 * Looked at after the rows were written, so that nothing can come in between. *found: there are some. */
static bool
look_at_queue(struct fill *f, bool *found, struct err *e)
{
	struct trace_question how = { .db = f->db, .table = f->table->name, .self = f->node->name, .peer = f->peer };
	struct mark acked = { 0 };
	struct trace *traces = NULL;
	struct peer_state state;
	bool kept, any = false, ok;

	*found = false;
	ok = peer_load(f->db, f->peer, &state, e) && queue_load_mark(f->db, state.acked_epoch, &acked, &kept, e) && any_pending(f, &acked, &any, e);
	how.seen = &acked;
	if (ok && any)
		ok = trace_find(&how, &f->keys, &traces, e);
	for (size_t i = 0; ok && any && i < f->keys.n; i++) {
		if (!traces[i].fresh || f->fates[i] == FATE_SKIP)
			continue;
		*found = *found || f->fates[i] == FATE_WRITE;
		f->fates[i] = FATE_OURS;
	}
	free(traces);
	mark_free(&acked);
	return ok;
}

/* --- writing a page --- */

/* The whole page in one go. */
static bool
write_all(struct fill *f, struct page *p, struct err *e)
{
	bool any;
	size_t n;

	if (!spool_rewind(p->spool, e))
		return false;
	for (size_t i = 0;; i++) {
		if (!next_row(f, p, &any, &n, e))
			return false;
		if (!any)
			return target_flush(&f->target, e);
		if (f->fates[i] == FATE_WRITE && !put_row(f, e))
			return false;
	}
}

static bool
is_refusal(const struct err *e)
{
	return e->code == ERR_DB_DUPLICATE || e->code == ERR_DB_REJECTED;
}

/* Rows from..to of the page, gathered in the target. What is refused gets another fate, alone or with its piece. */
static bool
end_piece(struct fill *f, size_t from, size_t to, enum fate wanted, size_t piece, struct err *e)
{
	if (target_flush(&f->target, e))
		return db_exec(f->db, "RELEASE SAVEPOINT piece", DB_NO_ARGS, e);
	if (!is_refusal(e))
		return false;
	log_debug(f->peer, "table %s: %zu rows are not taken: %s", f->table->name, to - from, e->msg);
	err_clear(e);
	target_forget(&f->target);
	for (size_t i = from; i < to; i++)
		if (f->fates[i] == wanted)
			f->fates[i] = piece == 1 ? FATE_LEFT : FATE_REFUSED;
	return db_exec(f->db, "ROLLBACK TO SAVEPOINT piece", DB_NO_ARGS, e);
}

/* Rows of one fate in pieces, each of which is taken or not. */
static bool
write_pieces(struct fill *f, struct page *p, enum fate wanted, size_t piece, struct err *e)
{
	size_t from = 0, n;
	bool any = true;

	if (!spool_rewind(p->spool, e) || !db_exec(f->db, "SAVEPOINT piece", DB_NO_ARGS, e))
		return false;
	for (size_t i = 0; any; i++) {
		if (!next_row(f, p, &any, &n, e) || (any && f->fates[i] == (unsigned char)wanted && !put_row(f, e)))
			return false;
		if (any && i + 1 - from < piece)
			continue;
		if (!end_piece(f, from, any ? i + 1 : i, wanted, piece, e) || !db_exec(f->db, "SAVEPOINT piece", DB_NO_ARGS, e))
			return false;
		from = i + 1;
	}
	return true;
}

/* Something in the page is refused: whoever it is, the peer sends it as a change, and it is judged as one. */
static bool
write_slowly(struct fill *f, struct page *p, struct err *e)
{
	return write_pieces(f, p, FATE_WRITE, PIECE_ROWS, e) && write_pieces(f, p, FATE_REFUSED, 1, e);
}

static bool
note_progress(struct fill *f, const struct page *p, uint64_t rows, bool frontier, struct err *e)
{
	const char *table = f->table->name;
	struct filling_table at;

	if (frontier && p->any)
		return filling_table_note(f->db, f->peer, table, buf_cstr(&p->last), p->last.len, rows, e);
	/* Where it is remembered to stand stays where it is. */
	return filling_table_load(f->db, f->peer, table, &at, e) &&
	    (!at.begun || filling_table_note(f->db, f->peer, table, at.key, at.key_len, rows, e));
}

static bool
try_page(struct fill *f, struct page *p, bool slowly, bool *again, uint64_t *rows, struct err *e)
{
	if (!db_begin(f->db, e) || !(slowly ? write_slowly(f, p, e) : write_all(f, p, e)) || !look_at_queue(f, again, e))
		return false;
	*rows = 0;
	if (*again) {
		db_rollback(f->db);
		return true;
	}
	for (size_t i = 0; i < f->keys.n; i++)
		*rows += f->fates[i] == FATE_WRITE || (slowly && f->fates[i] == FATE_REFUSED);
	return true;
}

static bool
gather_left(struct fill *f, struct err *e)
{
	for (size_t i = 0; i < f->keys.n; i++)
		if (f->fates[i] == FATE_LEFT && !digest_list_add(&f->left, digest_key(&f->keys, &f->keys.rows[i]), f->keys.rows[i].key_len, no_sum, e))
			return false;
	return true;
}

/* One transaction a page: its rows, and how far that brings the table. */
static bool
write_page(struct fill *f, struct page *p, const struct digest_range *skip, bool frontier, struct err *e)
{
	bool slowly = false, again = true, ok = read_fates(f, p, skip, e);
	uint64_t rows = 0;

	for (int tries = 1; ok && again;) {
		ok = try_page(f, p, slowly, &again, &rows, e);
		if (ok)
			continue;
		db_rollback(f->db);
		target_forget(&f->target);
		if (db_is_lost(f->db) || (!is_refusal(e) && (e->code != ERR_DB_BUSY || tries++ >= PAGE_TRIES)))
			return false;
		if (is_refusal(e))
			slowly = true;
		else
			clock_nap_ms(PAGE_NAP_MS);
		err_clear(e);
		ok = again = true;
	}
	f->looks = f->keep_unseen && memchr(f->fates, FATE_OURS, f->keys.n) != NULL;
	ok = ok && gather_left(f, e) && (f->left.n > 0 || f->looks || note_progress(f, p, rows, frontier, e)) && db_commit(f->db, e);
	if (!ok)
		db_rollback(f->db);
	f->counts.copied += ok ? rows : 0;
	return ok;
}

/* What could not be written becomes a change of the peer's. */
static bool
order_left(struct fill *f, struct asker *a, struct err *e)
{
	for (size_t at = 0; at < f->left.n;) {
		bool more;

		if (!ask_begin(a, ASK_QUEUE, e))
			return false;
		for (size_t told = 0; at < f->left.n && told < COMPARE_ITEMS && ask_has_room(a); at++, told++)
			compare_put_key(&a->question, digest_key(&f->left, &f->left.rows[at]), f->left.rows[at].key_len, NULL, 0);
		if (!ask_send(a, &more, e))
			return false;
	}
	f->counts.left += f->left.n;
	digest_list_reset(&f->left);
	return true;
}

/* What the app has changed here meanwhile differs from what is there: is that to be kept? */
static bool
look_at_ours(struct fill *f, struct asker *a, struct err *e)
{
	for (size_t i = 0; i < f->keys.n; i++)
		if (f->fates[i] == FATE_OURS && !doubt_add(a, &f->keys, &f->keys.rows[i], e))
			return false;
	return doubt_settle(a, e);
}

/* --- a range --- */

/* A range that is being filled. */
struct ranging {
	struct asker *asker;
	const struct digest_range *range;
	const struct digest_range *skip; /* its upper bound stands here; NULL: it does not */
	bool frontier;
};

/* The page that follows p is fetched meanwhile, where there is one. */
static bool
write_and_fetch(struct fill *f, const struct ranging *r, struct page *p, struct page *next, struct err *e)
{
	struct fetching ahead = { .fill = f, .asker = r->asker, .range = *r->range };
	pthread_t thread;
	bool threaded, ok;

	ahead.range.low = buf_cstr(&p->last);
	ahead.range.low_len = p->last.len;
	threaded = p->more && ask_range(r->asker, &ahead.range, e) && pthread_create(&thread, NULL, fetch_main, &ahead) == 0;
	ok = write_page(f, p, r->skip, r->frontier, e);
	if (threaded)
		(void)pthread_join(thread, NULL);
	if (ok && (f->left.n > 0 || f->looks))
		ok = order_left(f, r->asker, e) && (!f->looks || look_at_ours(f, r->asker, e)) && note_progress(f, p, 0, r->frontier, e);
	if (ok && p->more && !ahead.ok) {
		page_free(&ahead.page);
		ok = fetch_page(f, r->asker, &ahead.range, &ahead.page, e);
	}
	*next = ahead.page;
	return ok;
}

static bool
fill_range(struct asker *a, const struct digest_range *r, bool skip_high, bool frontier, void *arg, struct err *e)
{
	const struct ranging how = { .asker = a, .range = r, .skip = skip_high ? r : NULL, .frontier = frontier };
	struct fill *f = arg;
	struct page page = { 0 }, next;
	bool ok = fetch_page(f, a, r, &page, e), more = ok && page.any;

	f->keep_unseen = a->watch->keep_unseen;
	while (ok && more) {
		f->counts.about = page.about;
		ok = write_and_fetch(f, &how, &page, &next, e);
		a->out->records += f->keys.n;
		more = page.more && next.any;
		page_free(&page);
		page = next;
		if (f->progress != NULL)
			f->progress(f->progress_arg);
		if (ok && a->l->stop != NULL && atomic_load(a->l->stop))
			ok = err_set(e, ERR_STOPPED, "stopped");
	}
	page_free(&page);
	return ok;
}

/* --- single records --- */

/* Lock what is here of the records, and see that it still is what was compared. still[i]. */
static const char *
key_of_ours(size_t i, size_t *len, void *arg)
{
	const struct digest_list *keys = arg;

	*len = keys->rows[i].key_len;
	return digest_key(keys, &keys->rows[i]);
}

static bool
lock_ours(struct fill *f, struct digest_list *ours, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, DIGEST_SQL_MAX);
	record_select(&sql, f->database, f->table);
	ok = (record_put_keys(f->db, &sql, f->table, ours->n, key_of_ours, ours) || err_set(e, ERR_INPUT, "table %s: a malformed key", f->table->name));
	buf_str(&sql, " FOR UPDATE");
	ok = ok && buf_check(&sql, "a list of keys", e) && db_query(f->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* The records that are taken together. */
struct takes {
	const struct compare_take *items;
	size_t n;
	bool *off; /* changed meanwhile, or not taken: left alone */
};

static bool
find_unchanged(struct fill *f, struct takes *t, struct err *e)
{
	const struct digest d = { .db = f->db, .database = f->database, .table = f->table };
	struct digest_list keys, now;
	bool ok = true;

	digest_list_init(&keys, LEFT_BYTES);
	digest_list_init(&now, LEFT_BYTES);
	for (size_t i = 0; ok && i < t->n; i++) {
		const struct compare_take *c = &t->items[i];

		ok = digest_list_add(&keys, c->ours != NULL ? c->ours : c->theirs, c->ours != NULL ? c->ours_len : c->theirs_len, no_sum, e);
	}
	ok = ok && lock_ours(f, &keys, e) && digest_find(&d, &keys, 0, &now, e);
	for (size_t i = 0; ok && i < t->n; i++)
		t->off[i] = t->off[i] || now.rows[i].there != (t->items[i].ours != NULL) ||
		    (now.rows[i].there && memcmp(now.rows[i].sum, t->items[i].sum, DIGEST_BYTES) != 0);
	digest_list_free(&keys);
	digest_list_free(&now);
	return ok;
}

/* Kept whole, then gone. */
static bool
remove_ours(struct fill *f, const struct compare_take *c, struct err *e)
{
	const struct repair_loser loser = { .database = f->database, .table = f->table, .self = f->node->name, .peer = f->peer, .key = c->ours, .key_len = c->ours_len,
		.there = c->theirs != NULL };
	const struct record_meta m = { .operation = 'd', .key = c->ours, .key_len = c->ours_len };

	return c->ours == NULL || (repair_keep(f->db, &loser, e) && target_put(&f->target, TARGET_DELETE, &m, NULL, e));
}

static bool
write_theirs(struct fill *f, struct page *p, const struct takes *t, struct err *e)
{
	bool any;
	size_t n;

	if (!spool_rewind(p->spool, e))
		return false;
	for (;;) {
		size_t i = 0;

		if (!next_row(f, p, &any, &n, e))
			return false;
		if (!any)
			return target_flush(&f->target, e);
		while (i < t->n && !(t->items[i].theirs != NULL && t->items[i].theirs_len == f->values[0].len && memcmp(t->items[i].theirs, f->values[0].data, f->values[0].len) == 0))
			i++;
		if (i == t->n || t->off[i])
			continue;
		if (fate_of(f, n, NULL) != FATE_WRITE)
			return err_set(e, ERR_DB_REJECTED, "table %s: a row that is too large", f->table->name);
		if (!put_row(f, e))
			return false;
	}
}

/* One record for the other peers, that has taken the place of ours. */
static struct repair_item
item_for_others(const struct fill *f, const struct compare_take *c)
{
	const bool known = c->changed_at[0] != '\0', respelled = c->ours != NULL && (c->ours_len != c->theirs_len || memcmp(c->ours, c->theirs, c->ours_len) != 0);

	return (struct repair_item){ .operation = c->ours == NULL ? OP_INSERT : OP_UPDATE, .key = c->theirs, .key_len = c->theirs_len, .old_key = respelled ? c->ours : NULL,
		.old_key_len = c->ours_len, .via = f->peer, .changed_at = known ? c->changed_at : NULL,
		.origin = !known ? f->peer : strcmp(c->node, f->node->name) == 0 ? NULL : c->node };
}

/* Other peers have not seen what was taken: what they change meanwhile must find it in the queue, and is judged against
 * it. Counters are compared with them (sync/startup): a record that travels whole would take the place of what they
 * have counted. */
static bool
tell_others(struct fill *f, const struct takes *t, struct err *e)
{
	struct repair_item *items;
	size_t n = 0;
	bool ok;

	if (f->conf->npeers < 2 || f->table->ncounters > 0)
		return true;
	items = calloc(t->n + 1, sizeof *items);
	if (items == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for records");
	for (size_t i = 0; i < t->n; i++)
		if (!t->off[i] && t->items[i].theirs != NULL)
			items[n++] = item_for_others(f, &t->items[i]);
	ok = repair_queue(f->db, f->table->name, items, n, e);
	free(items);
	return ok;
}

static bool
take_once(struct fill *f, struct page *p, struct takes *t, struct err *e)
{
	if (!db_begin(f->db, e) || !find_unchanged(f, t, e))
		return false;
	for (size_t i = 0; i < t->n; i++)
		if (!t->off[i] && !remove_ours(f, &t->items[i], e))
			return false;
	return target_flush(&f->target, e) && (p->spool == NULL || write_theirs(f, p, t, e)) && tell_others(f, t, e) && db_commit(f->db, e);
}

static bool
leave_for_peer(struct fill *f, const struct compare_take *c, struct err *e)
{
	const char *key = c->theirs != NULL ? c->theirs : c->ours;

	return digest_list_add(&f->left, key, c->theirs != NULL ? c->theirs_len : c->ours_len, no_sum, e);
}

/* One by one where they are not taken together. */
static bool
take_singly(struct fill *f, struct page *p, struct takes *t, struct err *e)
{
	for (size_t i = 0; i < t->n; i++) {
		struct takes one = { .items = &t->items[i], .n = 1, .off = &t->off[i] };

		if (t->off[i] || take_once(f, p, &one, e))
			continue;
		db_rollback(f->db);
		target_forget(&f->target);
		if (!is_refusal(e))
			return false;
		err_clear(e);
		t->off[i] = true;
		if (!leave_for_peer(f, &t->items[i], e))
			return false;
	}
	return true;
}

static bool
take_some(struct fill *f, struct asker *a, struct page *p, struct takes *t, struct err *e)
{
	bool ok;

	for (int tries = 1; !(ok = take_once(f, p, t, e)) && e->code == ERR_DB_BUSY && tries < PAGE_TRIES && !db_is_lost(f->db); tries++) {
		db_rollback(f->db);
		target_forget(&f->target);
		err_clear(e);
		clock_nap_ms(PAGE_NAP_MS);
	}
	if (!ok) {
		db_rollback(f->db);
		target_forget(&f->target);
		if (!is_refusal(e))
			return false;
		err_clear(e);
		if (!take_singly(f, p, t, e))
			return false;
	}
	for (size_t i = 0; i < t->n; i++) {
		f->counts.copied += !t->off[i] && t->items[i].theirs != NULL;
		f->counts.removed += !t->off[i] && t->items[i].theirs == NULL;
	}
	return order_left(f, a, e);
}

static bool
fetch_rows(struct fill *f, struct asker *a, const struct takes *t, struct page *p, struct err *e)
{
	size_t asked = 0;
	bool more = false;

	memset(p, 0, sizeof *p);
	if (!ask_begin(a, ASK_FETCH, e))
		return false;
	for (size_t i = 0; i < t->n; i++) {
		if (t->items[i].theirs == NULL)
			continue;
		compare_put_key(&a->question, t->items[i].theirs, t->items[i].theirs_len, NULL, 0);
		asked++;
	}
	return asked == 0 || (ask_send(a, &more, e) && page_take(f, a, more, p, e));
}

/* As many as one question holds. */
static bool
take_part(struct fill *f, struct asker *a, const struct compare_take *items, size_t n, struct err *e)
{
	struct takes t = { .items = items, .n = n, .off = calloc(n + 1, sizeof *t.off) };
	struct page page = { 0 };
	bool ok = (t.off != NULL || err_set(e, ERR_MEMORY, "out of memory for records")) && fetch_rows(f, a, &t, &page, e) && take_some(f, a, &page, &t, e);

	page_free(&page);
	free(t.off);
	return ok;
}

static bool
fill_take(struct asker *a, const struct compare_take *items, size_t n, void *arg, struct err *e)
{
	struct fill *f = arg;
	bool ok = true;

	for (size_t at = 0; ok && at < n; at += COMPARE_FETCH_ITEMS)
		ok = take_part(f, a, items + at, n - at < COMPARE_FETCH_ITEMS ? n - at : COMPARE_FETCH_ITEMS, e);
	return ok;
}

static bool
fill_passed(struct asker *a, const char *key, size_t key_len, void *arg, struct err *e)
{
	struct fill *f = arg;

	(void)a;
	return filling_table_note(f->db, f->peer, f->table->name, key, key_len, 0, e);
}

void
fill_filler(struct fill *f, const char *low, size_t low_len, struct compare_filler *out)
{
	*out = (struct compare_filler){ .fill = fill_range, .take = fill_take, .passed = fill_passed, .low = low, .low_len = low_len, .arg = f };
}
