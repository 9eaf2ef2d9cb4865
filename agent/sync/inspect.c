/* Answering. Lives here: the worker, what each question reads. Not here: the asking side (sync/compare), the
 * messages (wire/compare), the reading of rows (change/digest, change/trace). */
#include "sync/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/rekey.h"
#include "base/clock.h"
#include "base/log.h"
#include "change/moved.h"
#include "change/trace.h"
#include "sync/definition.h"
#include "sync/offer.h"
#include "sync/repair.h"
#include "wire/compare.h"

enum {
	INSPECT_WORK_MS = 1500, /* of one question: what is not done by then is asked for again */
	INSPECT_ROOM = 64 * 1024 /* of an answer, left free for one more line: a key escaped to six times its length */
};

struct inspect {
	const struct conf *conf;
	struct jobs *jobs;
	struct db *db;
	struct node_identity node;
	struct catalog *catalog;
};

/* One question being answered. */
struct question {
	struct inspect *inspect;
	struct request *request;
	char peer[CONF_NAME_MAX + 1];
	const void *asked; /* as it came; parsed in a copy, which is written to */
	size_t asked_len;
	struct buf body, answer, items;
	struct compare_reader reader;
	struct compare_head head;
	struct digest digest;
	int64_t until_ms;
	int status; /* of the refusal, with code */
	const char *code;
	bool ok;
	struct err e;
};

/* Refuse with a status and a code of its own. */
static bool
refuse(struct question *q, int status, const char *code, const char *text, struct err *e)
{
	q->status = status;
	q->code = code;
	return err_set(e, ERR_PEER_REFUSED, "%s", text);
}

static bool
is_full(const struct question *q)
{
	return q->items.len + INSPECT_ROOM > COMPARE_ANSWER_MAX || clock_mono_ms() >= q->until_ms;
}

/* --- ranges --- */

static bool
check_range(struct question *q, const struct digest_range *r, struct err *e)
{
	const struct table *t = q->digest.table;

	if ((r->low != NULL && !digest_key_is_sound(t, r->low, r->low_len)) || (r->high != NULL && !digest_key_is_sound(t, r->high, r->high_len)))
		return err_set(e, ERR_INPUT, "table %s: a malformed key", t->name);
	return !digest_range_is_inverted(t, r) || err_set(e, ERR_INPUT, "table %s: a range that ends before it begins", t->name);
}

static bool
sum_range(struct question *q, const struct digest_range *r, struct err *e)
{
	struct digest_sum sum;

	if (digest_sum_up(&q->digest, r, &sum, e))
		compare_put_sum(&q->items, &sum);
	else if (e->code == ERR_DB_BUSY && !db_is_lost(q->digest.db)) {
		err_clear(e);
		compare_put_sum(&q->items, NULL);
	} else
		return false;
	return true;
}

/* As many sums as there is time for; those that are not answered are asked for again. */
static bool
answer_sums(struct question *q, struct err *e)
{
	struct digest_range r;
	bool more, first = true;

	for (size_t n = 0;; n++) {
		if (!compare_next(&q->reader, &more, e))
			return false;
		if (!more)
			return true;
		if (n == COMPARE_ITEMS)
			return err_set(e, ERR_LIMIT, "a comparison of more than %d ranges at once", COMPARE_ITEMS);
		if (!compare_parse_range(&q->reader, &r, e) || !check_range(q, &r, e))
			return false;
		if (!first && is_full(q))
			continue; /* the rest is only judged */
		first = false;
		if (!sum_range(q, &r, e))
			return false;
	}
}

/* The asker asks for sums then. */
static bool
answer_quick(struct question *q, struct err *e)
{
	q->digest.quick = digest_has_quick(q->inspect->db) && definition_is_same(q->digest.table, &q->head.section);
	return q->digest.quick ? answer_sums(q, e) : refuse(q, 422, "sums", "the quick checksums cannot be had for this table", e);
}

/* Rows of any size: as many as there is room and time for, at most a page. r's low bound moves. */
static bool
put_page(struct question *q, struct digest_range *r, bool *more, struct err *e)
{
	struct digest_list page;
	size_t rows = 0, step = DIGEST_FIRST_ROWS, n = 0;
	bool ok = true;

	digest_list_init(&page, DIGEST_SQL_MAX);
	*more = true;
	while (ok && *more && rows < COMPARE_PAGE_ROWS && (rows == 0 || !is_full(q))) {
		int64_t start = clock_mono_ms();

		step = COMPARE_PAGE_ROWS - rows < step ? COMPARE_PAGE_ROWS - rows : step;
		n = page.n;
		ok = digest_scan(&q->digest, r, step, &page, e);
		*more = page.n - n == step;
		for (; ok && n < page.n && (rows == 0 || q->items.len + INSPECT_ROOM <= COMPARE_ANSWER_MAX); n++, rows++)
			compare_put_row(&q->items, digest_key(&page, &page.rows[n]), page.rows[n].key_len, page.rows[n].sum);
		*more = *more || n < page.n;
		if (page.n > 0) {
			r->low = digest_key(&page, &page.rows[page.n - 1]);
			r->low_len = page.rows[page.n - 1].key_len;
		}
		step = digest_next_rows(step, clock_mono_ms() - start, COMPARE_PAGE_ROWS);
	}
	digest_list_free(&page);
	return ok;
}

static bool
answer_rows(struct question *q, bool *more, struct err *e)
{
	struct digest_range r;
	bool any;

	if (!compare_next(&q->reader, &any, e) || (!any && !err_set(e, ERR_INPUT, "a comparison of rows without a range")) ||
	    !compare_parse_range(&q->reader, &r, e) || !check_range(q, &r, e))
		return false;
	if (q->reader.left > 0)
		return err_set(e, ERR_LIMIT, "rows of more than one range at once");
	return put_page(q, &r, more, e);
}

/* --- keys --- */

/* How each key is spelled by the asker (second value of an item; there = false: as here). */
struct key_lists {
	struct digest_list keys, others;
};

static bool
take_key(struct question *q, struct key_lists *l, struct err *e)
{
	static const unsigned char none[DIGEST_BYTES];
	const struct table *t = q->digest.table;
	struct line_value key, other;

	if (!compare_parse_key(&q->reader, &key, &other, e))
		return false;
	if (!digest_key_is_sound(t, key.data, key.len) || (q->head.question.ask != ASK_KEYS && other.data != NULL && !digest_key_is_sound(t, other.data, other.len)))
		return err_set(e, ERR_INPUT, "table %s: a malformed key", t->name);
	return digest_list_add(&l->keys, key.data, key.len, none, e) &&
	    digest_list_add(&l->others, other.data == NULL ? "" : other.data, other.len, other.data == NULL ? NULL : none, e);
}

static bool
take_keys(struct question *q, struct key_lists *l, struct err *e)
{
	bool more;

	for (;;) {
		if (!compare_next(&q->reader, &more, e))
			return false;
		if (!more)
			return true;
		if (l->keys.n == COMPARE_ITEMS)
			return err_set(e, ERR_LIMIT, "a comparison of more than %d keys at once", COMPARE_ITEMS);
		if (!take_key(q, l, e))
			return false;
	}
}

/* What the asker has seen of this node: judged as with a group (docs/protocol.md, 7). */
static bool
load_seen(struct question *q, struct mark *seen, struct err *e)
{
	const struct compare_question *ask = &q->head.question;
	struct inspect *in = q->inspect;
	struct peer_state state;
	bool found = false, start = ask->seen.stamp[0] == '\0';

	if (ask->incarnation[0] != '\0' && strcmp(ask->incarnation, in->node.incarnation) != 0)
		return refuse(q, 409, "incarnation", "the asker knows another database under this name", e);
	if (!peer_load(in->db, q->peer, &state, e) || !queue_load_mark(in->db, start ? state.start_epoch : ask->seen.epoch, seen, &found, e))
		return false;
	if (!found || state.lapsed)
		return refuse(q, 409, "too_old", "what the asker has seen of this node is no longer kept", e);
	if (!start && strcmp(ask->seen.stamp, seen->stamp) != 0)
		return refuse(q, 409, "fork", "the asker has seen another history of this node: restored or cloned database?", e);
	return true;
}

/* The table with the key of before that the asker names; NULL: it was not asked about, or is nothing here. */
static const struct table *
old_view(const struct question *q, struct table *view)
{
	const char *was = q->head.question.was;

	return was != NULL && rekey_view(q->digest.table, was, view) ? view : NULL;
}

/* The asker's row with the i-th key is not here. Was a change of it pending when the key was another? Then it is queued. */
static bool
tell_asker(struct question *q, const struct rekey_scope *s, const struct key_lists *l, size_t i, bool *ours, struct err *e)
{
	const struct digest_row *key = &l->keys.rows[i], *old = &l->others.rows[i];
	char *form = NULL;
	bool ok;

	*ours = false;
	if (!old->there)
		return true;
	ok = rekey_form(s->db, s->table->name, &form, e);
	if (ok && form != NULL && strcmp(form, q->head.question.was) == 0)
		ok = rekey_resolve(s, digest_key(&l->others, old), old->key_len, digest_key(&l->keys, key), key->key_len, ours, e);
	free(form);
	return ok;
}

/* One fact; view: with the key of before of our row. */
static bool
put_fact(struct question *q, const struct table *view, const struct key_lists *l, size_t i, struct compare_fact *f, struct err *e)
{
	const struct rekey_scope s = { .db = q->inspect->db, .database = q->digest.database, .self = q->inspect->node.name, .table = q->digest.table };
	bool found = false, ours = false, ok = true;
	struct buf old;

	buf_init(&old, CATALOG_KEY_BYTES);
	if (view != NULL)
		ok = f->key == NULL ? tell_asker(q, &s, l, i, &ours, e) : rekey_old_key(&s, view, f->key, f->key_len, &old, &found, e);
	f->fresh = f->fresh || ours;
	f->old = found ? buf_cstr(&old) : NULL;
	f->old_len = old.len;
	compare_put_fact(&q->items, f);
	buf_free(&old);
	return ok;
}

/* Writes that the triggers could not name may have been to any of these records: what is here is queued as if they were,
 * so that nothing goes over it unseen. */
static bool
queue_dirty(struct question *q, const struct digest_list *rows, struct err *e)
{
	struct repair_item *items = calloc(rows->n + 1, sizeof *items);
	size_t n = 0;
	bool ok = items != NULL || err_set(e, ERR_MEMORY, "out of memory for a comparison");

	for (size_t i = 0; ok && i < rows->n; i++)
		if (rows->rows[i].there)
			items[n++] = (struct repair_item){ .operation = OP_UPDATE, .key = digest_key(rows, &rows->rows[i]), .key_len = rows->rows[i].key_len, .unknown = true };
	ok = ok && repair_queue(q->inspect->db, q->digest.table->name, items, n, e);
	free(items);
	return ok;
}

/* Rows first, then the queue: a change that came in between is seen at least in the queue. */
static bool
answer_facts(struct question *q, const struct key_lists *l, const struct mark *seen, struct err *e)
{
	struct trace_question how = { .db = q->inspect->db, .table = q->digest.table->name, .self = q->inspect->node.name, .peer = q->peer, .seen = seen,
		.versions = q->head.question.versions };
	struct table with_old;
	const struct table *view = old_view(q, &with_old);
	struct digest_list rows;
	struct trace *traces = NULL;
	bool ok;

	digest_list_init(&rows, DIGEST_SQL_MAX);
	ok = digest_find(&q->digest, &l->keys, q->until_ms, &rows, e) && moved_is_dirty(how.db, q->peer, how.table, &how.dirty, e) && trace_find(&how, &l->keys, &traces, e) && db_begin(how.db, e) && (!how.dirty || queue_dirty(q, &rows, e));
	for (size_t i = 0; ok && i < rows.n && (i == 0 || q->items.len + INSPECT_ROOM <= COMPARE_ANSWER_MAX); i++) {
		const struct digest_row *row = &rows.rows[i];
		struct compare_fact f = { .key = row->there ? digest_key(&rows, row) : NULL, .key_len = row->key_len, .fresh = traces[i].fresh };

		memcpy(f.sum, row->sum, sizeof f.sum);
		if (how.versions && traces[i].changed_at[0] != '\0') {
			f.changed_at = traces[i].changed_at;
			f.node = traces[i].node;
		}
		ok = put_fact(q, view, l, i, &f, e);
	}
	if (!(ok = ok && db_commit(how.db, e)))
		db_rollback(how.db);
	free(traces);
	digest_list_free(&rows);
	return ok;
}

static bool
keep_all(struct question *q, const struct key_lists *l, struct err *e)
{
	for (size_t i = 0; i < l->keys.n; i++) {
		struct repair_loser loser = { .database = q->digest.database, .table = q->digest.table, .self = q->inspect->node.name, .peer = q->peer,
			.key = digest_key(&l->keys, &l->keys.rows[i]), .key_len = l->keys.rows[i].key_len, .there = true };

		if (!repair_keep(q->inspect->db, &loser, e))
			return false;
	}
	return true;
}

static bool
queue_all(struct question *q, const struct key_lists *l, const struct digest_list *rows, struct err *e)
{
	struct repair_item *items = calloc(l->keys.n + 1, sizeof *items);
	bool ok = items != NULL || err_set(e, ERR_MEMORY, "out of memory for a comparison");

	for (size_t i = 0; ok && i < l->keys.n; i++) {
		const struct digest_row *other = &l->others.rows[i];

		items[i] = (struct repair_item){ .operation = rows->rows[i].there ? OP_UPDATE : OP_DELETE, .key = digest_key(&l->keys, &l->keys.rows[i]),
			.key_len = l->keys.rows[i].key_len };
		if (!rows->rows[i].there || !other->there)
			continue;
		items[i].old_key = digest_key(&l->others, other);
		items[i].old_key_len = other->key_len;
	}
	ok = ok && repair_queue(q->inspect->db, q->digest.table->name, items, l->keys.n, e);
	free(items);
	return ok;
}

static bool
answer_writing(struct question *q, const struct key_lists *l, struct err *e)
{
	struct digest_list rows;
	bool ok;

	digest_list_init(&rows, DIGEST_SQL_MAX);
	ok = digest_find(&q->digest, &l->keys, 0, &rows, e) && db_begin(q->inspect->db, e) &&
	    (q->head.question.ask == ASK_KEEP ? keep_all(q, l, e) : queue_all(q, l, &rows, e)) && db_commit(q->inspect->db, e);
	digest_list_free(&rows);
	if (ok)
		log_info(q->peer, "table %s: %zu records %s for a comparison that the peer repairs", q->digest.table->name, l->keys.n,
		    q->head.question.ask == ASK_KEEP ? "kept" : "queued");
	return ok;
}

static bool
answer_keys(struct question *q, struct err *e)
{
	bool facts = q->head.question.ask == ASK_KEYS, ok;
	struct mark seen = { 0 };
	struct key_lists l;

	digest_list_init(&l.keys, COMPARE_BODY_MAX * 2);
	digest_list_init(&l.others, COMPARE_BODY_MAX * 2);
	ok = take_keys(q, &l, e) && load_seen(q, &seen, e) && (facts ? answer_facts(q, &l, &seen, e) : answer_writing(q, &l, e));
	mark_free(&seen);
	digest_list_free(&l.keys);
	digest_list_free(&l.others);
	return ok;
}

/* --- whole rows --- */

static bool
read_page(struct question *q, const struct offer *o, bool *more, struct err *e)
{
	struct key_lists l;
	struct digest_range r;
	bool any, ok;

	if (q->head.question.ask == ASK_FILL) {
		if (!compare_next(&q->reader, &any, e) || (!any && !err_set(e, ERR_INPUT, "rows are asked for without a range")) ||
		    !compare_parse_range(&q->reader, &r, e) || !check_range(q, &r, e))
			return false;
		return offer_range(o, &r, &q->items, more, e);
	}
	digest_list_init(&l.keys, COMPARE_BODY_MAX * 2);
	digest_list_init(&l.others, COMPARE_BODY_MAX * 2);
	ok = take_keys(q, &l, e) && (l.keys.n <= COMPARE_FETCH_ITEMS || err_set(e, ERR_LIMIT, "more than %d rows are asked for at once", COMPARE_FETCH_ITEMS)) &&
	    offer_keys(o, &l.keys, &q->items, e);
	digest_list_free(&l.keys);
	digest_list_free(&l.others);
	return ok;
}

static bool
answer_page(struct question *q, bool *more, struct err *e)
{
	const struct offer o = { .digest = q->digest, .asked = &q->head.section, .state_dir = q->inspect->conf->node.state_dir, .until_ms = q->until_ms };
	char reason[MESSAGE_REASON_MAX];

	return (offer_fits(&o, q->peer, reason) || refuse(q, 422, "definition", reason, e)) && read_page(q, &o, more, e);
}

/* --- definitions --- */

static bool
put_definition(struct question *q, const struct table *t, struct err *e)
{
	struct db *db = q->inspect->db;
	struct db_rows *rows = NULL;
	bool more = false, ok;
	struct buf sql;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SHOW CREATE TABLE ");
	template_table(&sql, q->inspect->catalog->database, t->name);
	ok = buf_check(&sql, "a statement", e) && db_query(db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		compare_put_definition(&q->answer, t->name, db_rows_text(rows, 1), db_rows_len(rows, 1));
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* For a peer that creates the tables it lacks. */
static bool
answer_definitions(struct question *q, struct err *e)
{
	const struct catalog *c = q->inspect->catalog;
	bool ok = true;

	compare_put_answer(&q->answer, false);
	for (size_t i = 0; ok && i < c->ntables; i++)
		ok = c->tables[c->order[i]].problem != NULL || put_definition(q, &c->tables[c->order[i]], e);
	return ok && buf_check(&q->answer, "the tables' definitions", e);
}

/* --- one question --- */

static bool
choose_table(struct question *q, struct err *e)
{
	const struct definition_sides sides = { .here = q->inspect->node.name, .there = q->peer };
	char reason[MESSAGE_REASON_MAX];
	const struct table *t = catalog_table(q->inspect->catalog, q->head.section.table);

	if (t == NULL || t->problem != NULL) {
		(void)snprintf(reason, sizeof reason, "table %.200s %s", q->head.section.table, t == NULL ? "is not replicated there" : t->problem);
		return refuse(q, 422, "table", reason, e);
	}
	if (t->rekeyed) {
		(void)snprintf(reason, sizeof reason, "table %.100s has another primary key at %s since a moment ago: it is asked again when that agent has looked at it", t->name,
		    q->inspect->node.name);
		return refuse(q, 422, "definition", reason, e);
	}
	if (!definition_fits(t, &q->head, &sides, reason))
		return refuse(q, 422, "definition", reason, e);
	q->digest = (struct digest){ .db = q->inspect->db, .database = q->inspect->catalog->database, .table = t };
	return true;
}

static bool
answer_table(struct question *q, struct err *e)
{
	bool more = false, ok;

	ok = choose_table(q, e);
	if (ok && q->head.question.ask == ASK_SUMS)
		ok = answer_sums(q, e);
	else if (ok && q->head.question.ask == ASK_QUICK)
		ok = answer_quick(q, e);
	else if (ok && q->head.question.ask == ASK_ROWS)
		ok = answer_rows(q, &more, e);
	else if (ok && (q->head.question.ask == ASK_FILL || q->head.question.ask == ASK_FETCH))
		ok = answer_page(q, &more, e);
	else if (ok && q->head.question.ask == ASK_AGAIN)
		ok = moved_again(q->inspect->db, q->peer, q->digest.table->name, e);
	else if (ok)
		ok = answer_keys(q, e);
	compare_put_answer(&q->answer, more);
	buf_put(&q->answer, q->items.data, q->items.len);
	return ok && buf_check(&q->items, "a comparison's answer", e) && buf_check(&q->answer, "a comparison's answer", e);
}

static bool
answer(struct question *q, struct err *e)
{
	struct inspect *in = q->inspect;
	bool ok;

	buf_reset(&q->body);
	buf_reset(&q->answer);
	buf_reset(&q->items);
	buf_put(&q->body, q->asked, q->asked_len);
	if (!buf_check(&q->body, "a question", e))
		return false;
	compare_reader_init(&q->reader, q->body.data, q->body.len);
	q->until_ms = clock_mono_ms() + INSPECT_WORK_MS;
	if (compare_is_definitions(q->body.data, q->body.len)) /* asked once: about the tables as they are now */
		catalog_doubt(in->catalog);
	if (!catalog_refresh(in->db, in->conf, &in->catalog, e))
		return false;
	if (compare_is_definitions(q->body.data, q->body.len))
		return answer_definitions(q, e);
	if (!rekey_refresh(in->db, in->catalog, e) || !compare_parse_question(&q->reader, &q->head, e))
		return false;
	ok = answer_table(q, e);
	message_section_free(&q->head.section);
	return ok;
}

static void
disconnect(struct inspect *in)
{
	db_close(in->db);
	in->db = NULL;
}

static bool
connect_db(struct inspect *in, struct err *e)
{
	if (in->db != NULL && !db_is_lost(in->db))
		return true;
	disconnect(in);
	if (db_open(&in->conf->database, &in->db, e) && schema_enter(in->db, in->conf, &in->node, e))
		return true;
	disconnect(in);
	return false;
}

/* A connection may have died while idle: once more on a fresh one. */
static void
answer_connected(struct inspect *in, struct question *q)
{
	for (int tries = 0; tries < 2; tries++) {
		if (!connect_db(in, &q->e))
			return;
		q->ok = answer(q, &q->e);
		if (q->ok || !db_is_lost(in->db)) {
			if (!q->ok)
				db_rollback(in->db);
			return;
		}
	}
}

/* On the worker's thread. */
static void
run(void *job, void *worker)
{
	answer_connected(worker, job);
}

/* --- requests --- */

static struct question *
question_new(struct inspect *in, const char *peer)
{
	struct question *q = calloc(1, sizeof *q);

	if (q == NULL)
		return NULL;
	q->inspect = in;
	(void)snprintf(q->peer, sizeof q->peer, "%s", peer);
	buf_init(&q->body, COMPARE_BODY_MAX);
	buf_init(&q->items, COMPARE_ANSWER_MAX * 2);
	buf_init(&q->answer, COMPARE_ANSWER_MAX * 2 + MESSAGE_ENVELOPE_MAX);
	return q;
}

static void
question_free(struct question *q)
{
	buf_free(&q->body);
	buf_free(&q->answer);
	buf_free(&q->items);
	free(q);
}

/* Status and code of a question that is not answered. */
static void
judge_refusal(struct question *q)
{
	bool theirs = q->e.code == ERR_INPUT || q->e.code == ERR_LIMIT;

	if (q->e.code == ERR_NONE)
		(void)err_set(&q->e, ERR_STOPPED, "stopping");
	if (q->code == NULL || strcmp(q->code, "sums") != 0) /* that is no failure: it is asked in another way */
		log_warning(q->peer, "a comparison is refused: %s", q->e.msg);
	if (q->code != NULL)
		return;
	q->status = theirs ? 422 : 503;
	q->code = theirs ? "content" : "unavailable";
}

/* Back on the loop's thread. */
static void
done(void *job)
{
	struct question *q = job;

	if (q->ok)
		request_reply(q->request, 200, "application/x-tandem", buf_cstr(&q->answer), q->answer.len);
	else {
		judge_refusal(q);
		request_fail(q->request, q->status, q->code, "%s", q->e.msg);
	}
	question_free(q);
}

bool
inspect_now(struct inspect *in, const char *peer, const struct inspect_question *asked, int *status, struct buf *out, struct err *e)
{
	struct question *q = question_new(in, peer);

	if (q == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for comparing");
	q->asked = asked->text;
	q->asked_len = asked->len;
	answer_connected(in, q);
	buf_reset(out);
	*status = 200;
	if (q->ok)
		buf_put(out, q->answer.data, q->answer.len);
	else {
		judge_refusal(q);
		*status = q->status;
		message_put_error(out, q->code, q->e.msg, NULL);
	}
	question_free(q);
	return buf_check(out, "a comparison's answer", e);
}

void
inspect_take(struct inspect *in, struct request *request)
{
	struct question *q = question_new(in, request_peer(request));

	if (q == NULL) {
		request_fail(request, 503, "memory", "out of memory");
		return;
	}
	q->request = request;
	q->asked = request_body(request, &q->asked_len);
	if (jobs_put(in->jobs, run, done, q))
		return;
	request_fail(request, 503, "busy", "too many requests are waiting");
	question_free(q);
}

bool
inspect_new(const struct conf *conf, struct inspect **out, struct err *e)
{
	struct inspect *in = calloc(1, sizeof *in);

	*out = NULL;
	if (in == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for comparing");
	in->conf = conf;
	if (!jobs_new("inspect", in, &in->jobs, e)) {
		free(in);
		return false;
	}
	*out = in;
	return true;
}

void
inspect_free(struct inspect *in)
{
	if (in == NULL)
		return;
	jobs_free(in->jobs);
	disconnect(in);
	catalog_free(in->catalog);
	free(in);
}

int
inspect_fd(const struct inspect *in)
{
	return jobs_fd(in->jobs);
}

void
inspect_finish(struct inspect *in)
{
	jobs_finish(in->jobs);
}
