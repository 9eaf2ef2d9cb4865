/* The asking side of a comparison. Lives here: the walk over the table, narrowing, the second look at what seems
 * to differ, what is done about it. Not here: the answering side (sync/inspect), messages (wire/compare), reading
 * (change/digest, change/trace), writing (sync/repair). */
#include "sync/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "change/trace.h"
#include "sync/repair.h"
#include "wire/compare.h"

enum {
	STEP_FIRST = 1000,	/* rows of the first range; then as many as fit into STEP_MS */
	STEP_MIN = 16,
	STEP_MAX = 50 * 1000,
	STEP_MS = 200,		/* of a statement here, or of a range there */
	BATCH_MS = 1000,	/* of reading here before the peer is asked */
	BATCH_ROWS = 200 * 1000,
	FANOUT = 16,		/* a range that differs is cut into so many */
	LEAF_ROWS = 32,		/* a range of so few is listed */
	LEAF_ROWS_MANY = 1000,	/* the same where most ranges differ: narrowing would find nothing equal */
	QUESTION_ROOM = 64 * 1024, /* left free for one more item */
	HELLO_TRIES = 2
};

struct range {
	char *low, *high; /* NULL: open */
	size_t low_len, high_len;
	struct digest_sum sum; /* here */
	bool differs;
};

struct ranges {
	struct range *ranges;
	size_t n, cap;
};

struct asker {
	struct link *l;
	const struct table *table;
	enum compare_act act;
	const struct compare_watch *watch;
	struct compare_result *out;
	struct digest digest;
	struct buf question, answer;
	struct compare_reader reader;
	uint64_t step;
	struct digest_list suspects; /* keys that are looked at once more */
};

/* --- ranges --- */

static void
ranges_free(struct ranges *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->ranges[i].low);
		free(r->ranges[i].high);
	}
	free(r->ranges);
	memset(r, 0, sizeof *r);
}

static bool
copy_key(const char *key, size_t len, char **out)
{
	*out = key == NULL ? NULL : malloc(len + 1);
	if (key == NULL)
		return true;
	if (*out == NULL)
		return false;
	memcpy(*out, key, len);
	(*out)[len] = '\0';
	return true;
}

static bool
ranges_add(struct ranges *r, const struct digest_range *bounds, const struct digest_sum *sum, struct err *e)
{
	struct range *to;

	if (r->n == r->cap) {
		size_t cap = r->cap == 0 ? 64 : r->cap * 2;
		struct range *grown = realloc(r->ranges, cap * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a comparison");
		r->ranges = grown;
		r->cap = cap;
	}
	to = &r->ranges[r->n++];
	memset(to, 0, sizeof *to);
	to->sum = *sum;
	to->low_len = bounds->low_len;
	to->high_len = bounds->high_len;
	return (copy_key(bounds->low, bounds->low_len, &to->low) && copy_key(bounds->high, bounds->high_len, &to->high)) ||
	    err_set(e, ERR_MEMORY, "out of memory for a comparison");
}

static struct digest_range
bounds_of(const struct range *r)
{
	return (struct digest_range){ .low = r->low, .low_len = r->low_len, .high = r->high, .high_len = r->high_len };
}

static struct digest_sum
sum_of(const struct digest_list *l, size_t from, size_t n)
{
	struct digest_sum sum = { 0 };

	for (size_t i = from; i < from + n; i++)
		digest_sum_add(&sum, l->rows[i].sum);
	return sum;
}

/* --- asking --- */

/* Begin a question. What was seen of the peer matters where the queue is asked as well. */
static bool
begin_question(struct asker *a, enum compare_ask ask, struct err *e)
{
	struct compare_question q = { .ask = ask, .versions = ask == ASK_KEYS && a->act == COMPARE_MERGE };
	struct cursor_state cursor;

	if (ask != ASK_SUMS && ask != ASK_ROWS) {
		if (!cursor_load(a->l->db, a->l->peer->name, false, &cursor, e))
			return false;
		memcpy(q.incarnation, cursor.incarnation, sizeof q.incarnation);
		memcpy(q.seen.stamp, cursor.stamp, sizeof q.seen.stamp);
		q.seen.epoch = cursor.epoch;
	}
	buf_reset(&a->question);
	compare_put_question(&a->question, &q, a->table);
	return true;
}

static bool
has_room(const struct asker *a)
{
	return a->question.len + QUESTION_ROOM <= COMPARE_BODY_MAX;
}

/* Send the question; the reader then stands before the answer's items. */
static bool
send_question(struct asker *a, bool *more, struct err *e)
{
	struct link *l = a->l;
	int status = 0;
	bool ok = false;

	if (!buf_check(&a->question, "a question", e))
		return false;
	for (int tries = 0; !ok && tries < HELLO_TRIES; tries++) {
		if (!link_open(l, e))
			return false;
		ok = client_call(l->client, "POST", "/api/sync/verify", a->question.data, a->question.len, &status, &a->answer, e);
		if (ok || !client_unauthorised(l->client))
			break;
		client_close(l->client); /* the peer was restarted: hello, and once more */
	}
	if (!ok && client_not_found(l->client))
		return err_set(e, ERR_PEER_REFUSED, "peer %s cannot compare: its agent is older than this one; bring both to the same version", l->peer->name);
	if (!ok)
		return false;
	if (status != 200)
		return link_refused(l, status, &a->answer, e);
	compare_reader_init(&a->reader, a->answer.data, a->answer.len);
	return compare_parse_answer(&a->reader, more, e);
}

static bool
answered_nothing(const struct asker *a, struct err *e)
{
	return err_set(e, ERR_PEER, "peer %s answers a comparison with nothing", a->l->peer->name);
}

/* --- sums --- */

/* So many rows that reading them takes about STEP_MS. */
static void
adapt(struct asker *a, uint64_t rows, int64_t ms)
{
	uint64_t fit = ms <= 0 ? STEP_MAX : rows * STEP_MS / (uint64_t)ms;

	if (fit > a->step * 2)
		fit = a->step * 2;
	a->step = fit < STEP_MIN ? STEP_MIN : fit > STEP_MAX ? STEP_MAX : fit;
}

static bool
take_sums(struct asker *a, struct ranges *r, size_t *at, struct err *e)
{
	struct digest_sum there;
	bool any, known;

	for (;; ++*at) {
		struct range *range = &r->ranges[*at];

		if (!compare_next(&a->reader, &any, e))
			return false;
		if (!any)
			return true;
		if (*at == r->n)
			return err_set(e, ERR_PEER, "peer %s answers more than was asked", a->l->peer->name);
		if (!compare_parse_sum(&a->reader, &there, &known, e))
			return false;
		range->differs = !known || !digest_sum_equal(&there, &range->sum);
	}
}

/* Ask for the sums of all ranges, in as many questions as it takes. */
static bool
ask_sums(struct asker *a, struct ranges *r, struct err *e)
{
	for (size_t at = 0; at < r->n;) {
		size_t before = at;
		int64_t start = clock_mono_ms();
		uint64_t rows = 0;
		bool more;

		if (!begin_question(a, ASK_SUMS, e))
			return false;
		for (size_t i = at; i < r->n && i - at < COMPARE_ITEMS && has_room(a); i++) {
			struct digest_range bounds = bounds_of(&r->ranges[i]);

			compare_put_range(&a->question, &bounds);
		}
		if (!send_question(a, &more, e) || !take_sums(a, r, &at, e))
			return false;
		if (at == before)
			return answered_nothing(a, e);
		for (size_t i = before; i < at; i++)
			rows += r->ranges[i].sum.rows;
		/* A range there shall take no longer than one here. */
		if ((clock_mono_ms() - start) / (int64_t)(at - before) > STEP_MS)
			adapt(a, rows / (at - before), (clock_mono_ms() - start) / (int64_t)(at - before));
	}
	return true;
}

/* --- the second look --- */

/* Everything known of one suspect. */
struct finding {
	const char *ours, *theirs; /* the key as spelled there; NULL: no such record */
	size_t ours_len, theirs_len;
	bool equal, same_key;
	const struct trace *here, *there;
};

/* What the second look reads. */
struct second_look {
	struct digest_list here, there;
	struct trace *here_traces, *there_traces;
	struct mark acked;
};

static void
look_free(struct second_look *s)
{
	digest_list_free(&s->here);
	digest_list_free(&s->there);
	free(s->here_traces);
	free(s->there_traces);
	mark_free(&s->acked);
}

static bool
take_fact(struct asker *a, struct second_look *s, struct err *e)
{
	struct trace *t = &s->there_traces[s->there.n];
	struct compare_fact f;

	if (!compare_parse_fact(&a->reader, &f, e))
		return false;
	if (s->there.n == a->suspects.n)
		return err_set(e, ERR_PEER, "peer %s answers more than was asked", a->l->peer->name);
	t->fresh = f.fresh;
	if (f.changed_at != NULL) {
		(void)snprintf(t->changed_at, sizeof t->changed_at, "%s", f.changed_at);
		(void)snprintf(t->node, sizeof t->node, "%s", f.node);
	}
	return digest_list_add(&s->there, f.key == NULL ? "" : f.key, f.key_len, f.key == NULL ? NULL : f.sum, e);
}

static bool
look_there(struct asker *a, struct second_look *s, struct err *e)
{
	const struct digest_list *keys = &a->suspects;
	bool more, any;

	while (s->there.n < keys->n) {
		size_t before = s->there.n;

		if (!begin_question(a, ASK_KEYS, e))
			return false;
		for (size_t i = before; i < keys->n && i - before < COMPARE_ITEMS && has_room(a); i++)
			compare_put_key(&a->question, digest_key(keys, &keys->rows[i]), keys->rows[i].key_len, NULL, 0);
		if (!send_question(a, &more, e))
			return false;
		while (compare_next(&a->reader, &any, e) && any)
			if (!take_fact(a, s, e))
				return false;
		if (any || a->reader.left > 0)
			return false;
		if (s->there.n == before)
			return answered_nothing(a, e);
	}
	return true;
}

/* What the peer has of us is read before the peer is asked, our rows after: so no change that travels meanwhile
 * can look like a difference. */
static bool
look_again(struct asker *a, struct second_look *s, struct err *e)
{
	struct link *l = a->l;
	struct trace_question how = { .db = l->db, .table = a->table->name, .self = l->node->name, .peer = l->peer->name, .seen = &s->acked,
		.versions = a->act == COMPARE_MERGE };
	struct peer_state state;
	bool found;

	s->there_traces = calloc(a->suspects.n + 1, sizeof *s->there_traces);
	if (s->there_traces == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a comparison");
	if (!peer_load(l->db, l->peer->name, &state, e) || !queue_load_mark(l->db, state.acked_epoch, &s->acked, &found, e))
		return false;
	return look_there(a, s, e) && digest_find(&a->digest, &a->suspects, &s->here, e) && trace_find(&how, &a->suspects, &s->here_traces, e);
}

static struct finding
find(const struct second_look *s, size_t i)
{
	const struct digest_row *here = &s->here.rows[i], *there = &s->there.rows[i];
	struct finding f = { .here = &s->here_traces[i], .there = &s->there_traces[i] };

	if (here->there) {
		f.ours = digest_key(&s->here, here);
		f.ours_len = here->key_len;
	}
	if (there->there) {
		f.theirs = digest_key(&s->there, there);
		f.theirs_len = there->key_len;
	}
	f.same_key = f.ours != NULL && f.theirs != NULL && f.ours_len == f.theirs_len && memcmp(f.ours, f.theirs, f.ours_len) == 0;
	f.equal = (f.ours == NULL && f.theirs == NULL) || (f.same_key && memcmp(here->sum, there->sum, DIGEST_BYTES) == 0);
	return f;
}

/* --- acting --- */

/* Versions to be overwritten here, then keys to be queued there. */
struct orders {
	struct repair_item *queue;	/* here */
	size_t nqueue;
	struct repair_loser *keep;	/* here */
	size_t nkeep;
	struct finding *fetch;		/* queued there */
	size_t nfetch;
	struct finding *spare;		/* kept there */
	size_t nspare;
};

static void
order_mine(struct orders *o, const struct finding *f)
{
	struct repair_item *item = &o->queue[o->nqueue++];

	*item = (struct repair_item){ .key = f->ours, .key_len = f->ours_len, .oldest = f->there->fresh };
	item->operation = f->theirs == NULL ? OP_INSERT : OP_UPDATE;
	if (f->ours == NULL) {
		item->operation = OP_DELETE;
		item->key = f->theirs;
		item->key_len = f->theirs_len;
	} else if (f->theirs != NULL && !f->same_key) {
		item->old_key = f->theirs;
		item->old_key_len = f->theirs_len;
	}
}

static void
order_theirs(const struct asker *a, struct orders *o, const struct finding *f)
{
	o->fetch[o->nfetch++] = *f;
	if (f->ours != NULL)
		o->keep[o->nkeep++] = (struct repair_loser){ .database = a->digest.database, .table = a->table, .self = a->l->node->name,
			.peer = a->l->peer->name, .key = f->ours, .key_len = f->ours_len, .there = f->theirs != NULL };
}

/* A missing row is never taken for a delete; of two versions the later one that is known wins, and if none is,
 * that of the side which does not ask. */
static void
order_merge(const struct asker *a, struct orders *o, const struct finding *f)
{
	const char *here = f->here->changed_at, *there = f->there->changed_at;

	if (f->theirs == NULL) {
		order_mine(o, f);
		return;
	}
	if (f->ours == NULL || here[0] == '\0' || version_compare(here, f->here->node, there, f->there->node) < 0) {
		order_theirs(a, o, f);
		return;
	}
	order_mine(o, f);
	o->spare[o->nspare++] = *f;
}

static void
order(const struct asker *a, struct orders *o, const struct finding *f, enum compare_kind kind)
{
	if (a->act == COMPARE_MINE)
		order_mine(o, f);
	else if (a->act == COMPARE_THEIRS)
		order_theirs(a, o, f);
	else if (a->act == COMPARE_MERGE && kind != COMPARE_BUSY)
		order_merge(a, o, f);
}

/* Keys for the peer to keep or to queue. */
static bool
tell(struct asker *a, enum compare_ask what, const struct finding *list, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		bool more;

		if (!begin_question(a, what, e))
			return false;
		for (size_t told = 0; at < n && told < COMPARE_ITEMS && has_room(a); at++, told++) {
			const struct finding *f = &list[at];
			bool other = what == ASK_QUEUE && f->ours != NULL && f->theirs != NULL && !f->same_key;

			compare_put_key(&a->question, f->theirs != NULL ? f->theirs : f->ours, f->theirs != NULL ? f->theirs_len : f->ours_len,
			    other ? f->ours : NULL, f->ours_len);
		}
		if (!send_question(a, &more, e))
			return false;
	}
	return true;
}

/* What loses is kept before anything is queued that overwrites it. */
static bool
carry_out(struct asker *a, const struct orders *o, struct err *e)
{
	struct db *db = a->l->db;
	bool ok = tell(a, ASK_KEEP, o->spare, o->nspare, e) && db_begin(db, e);

	for (size_t i = 0; ok && i < o->nkeep; i++)
		ok = repair_keep(db, &o->keep[i], e);
	for (size_t i = 0; ok && i < o->nqueue; i++)
		ok = repair_queue(db, a->table->name, &o->queue[i], e);
	if (!ok || !db_commit(db, e)) {
		db_rollback(db);
		return false;
	}
	if (!tell(a, ASK_QUEUE, o->fetch, o->nfetch, e))
		return false;
	a->out->queued += o->nqueue + o->nfetch;
	return true;
}

/* --- judging --- */

static void
report(struct asker *a, const struct finding *f, enum compare_kind kind)
{
	uint64_t *const count[COMPARE_KINDS] = { &a->out->only_here, &a->out->only_there, &a->out->different, &a->out->busy, &a->out->pending };

	++*count[kind];
	if (a->watch != NULL && a->watch->record != NULL)
		a->watch->record(kind, f->ours != NULL ? f->ours : f->theirs, f->ours != NULL ? f->ours_len : f->theirs_len, a->watch->arg);
}

static enum compare_kind
kind_of(const struct asker *a, const struct finding *f)
{
	if (f->there->fresh)
		return COMPARE_BUSY;
	if (f->here->fresh && a->act != COMPARE_MINE)
		return COMPARE_PENDING;
	return f->theirs == NULL ? COMPARE_ONLY_HERE : f->ours == NULL ? COMPARE_ONLY_THERE : COMPARE_DIFFERENT;
}

/* Two spellings of one key are two suspects and one finding: that of our spelling. */
static bool
is_twin(const struct asker *a, const struct finding *f, size_t i)
{
	const struct digest_row *suspect = &a->suspects.rows[i];

	return f->ours != NULL && f->theirs != NULL && !f->same_key &&
	    (suspect->key_len != f->ours_len || memcmp(digest_key(&a->suspects, suspect), f->ours, f->ours_len) != 0);
}

static void
judge(struct asker *a, const struct second_look *s, struct orders *o)
{
	for (size_t i = 0; i < a->suspects.n; i++) {
		struct finding f = find(s, i);
		enum compare_kind kind;

		if (f.equal || is_twin(a, &f, i))
			continue;
		kind = kind_of(a, &f);
		report(a, &f, kind);
		if (kind != COMPARE_PENDING || a->act == COMPARE_THEIRS)
			order(a, o, &f, kind);
	}
}

static bool
act(struct asker *a, const struct second_look *s, struct err *e)
{
	size_t n = a->suspects.n + 1;
	struct orders o = { .queue = calloc(n, sizeof *o.queue), .keep = calloc(n, sizeof *o.keep), .fetch = calloc(n, sizeof *o.fetch), .spare = calloc(n, sizeof *o.spare) };
	bool ok = o.queue != NULL && o.keep != NULL && o.fetch != NULL && o.spare != NULL;

	if (!ok)
		(void)err_set(e, ERR_MEMORY, "out of memory for a comparison");
	else {
		judge(a, s, &o);
		ok = o.nqueue + o.nfetch == 0 || carry_out(a, &o, e);
	}
	free(o.queue);
	free(o.keep);
	free(o.fetch);
	free(o.spare);
	return ok;
}

/* Look once more at what seemed to differ, and act on what does. */
static bool
settle_suspects(struct asker *a, struct err *e)
{
	struct second_look s;
	bool ok;

	if (a->suspects.n == 0)
		return true;
	memset(&s, 0, sizeof s);
	digest_list_init(&s.here, DIGEST_SQL_MAX);
	digest_list_init(&s.there, DIGEST_SQL_MAX);
	ok = look_again(a, &s, e) && act(a, &s, e);
	look_free(&s);
	digest_list_reset(&a->suspects);
	return ok;
}

/* --- lists --- */

static bool
suspect(struct asker *a, const struct digest_list *l, const struct digest_row *row, struct err *e)
{
	if (a->suspects.n >= COMPARE_ITEMS && !settle_suspects(a, e))
		return false;
	return digest_list_add(&a->suspects, digest_key(l, row), row->key_len, row->sum, e);
}

/* One page of the peer's rows against ours. Of ours, those that were met lose their there. */
static bool
match_page(struct asker *a, struct digest_list *ours, const struct digest_list *page, struct err *e)
{
	for (size_t i = 0; i < page->n; i++) {
		const struct digest_row *row = &page->rows[i];
		struct digest_row *mine = digest_list_find(ours, digest_key(page, row), row->key_len);

		if (mine != NULL)
			mine->there = false;
		if (mine != NULL && memcmp(mine->sum, row->sum, DIGEST_BYTES) == 0)
			continue;
		if (!suspect(a, page, row, e))
			return false;
	}
	return true;
}

static bool
ask_page(struct asker *a, const struct digest_range *bounds, struct digest_list *page, bool *more, struct err *e)
{
	bool any;

	if (!begin_question(a, ASK_ROWS, e))
		return false;
	compare_put_range(&a->question, bounds);
	if (!send_question(a, more, e))
		return false;
	while (compare_next(&a->reader, &any, e) && any)
		if (!compare_parse_row(&a->reader, page, e))
			return false;
	if (any || a->reader.left > 0)
		return false;
	return !*more || page->n > 0 || answered_nothing(a, e);
}

static bool
match_pages(struct asker *a, struct digest_list *ours, struct digest_range bounds, struct err *e)
{
	struct digest_list page;
	char *low = NULL;
	bool more = true, ok = true;

	digest_list_init(&page, COMPARE_ANSWER_MAX);
	while (ok && more) {
		digest_list_reset(&page);
		ok = ask_page(a, &bounds, &page, &more, e) && match_page(a, ours, &page, e);
		if (!ok || !more)
			break;
		free(low);
		bounds.low_len = page.rows[page.n - 1].key_len;
		ok = copy_key(digest_key(&page, &page.rows[page.n - 1]), bounds.low_len, &low) || err_set(e, ERR_MEMORY, "out of memory for a comparison");
		bounds.low = low;
	}
	free(low);
	digest_list_free(&page);
	return ok;
}

/* Both sides' rows of a small range, one by one. */
static bool
list_range(struct asker *a, const struct range *r, struct err *e)
{
	struct digest_range bounds = bounds_of(r);
	struct digest_list ours;
	bool ok;

	digest_list_init(&ours, DIGEST_SQL_MAX);
	ok = digest_scan(&a->digest, &bounds, COMPARE_RANGE_ROWS, &ours, e);
	digest_list_sort(&ours);
	ok = ok && match_pages(a, &ours, bounds, e);
	for (size_t i = 0; ok && i < ours.n; i++)
		if (ours.rows[i].there)
			ok = suspect(a, &ours, &ours.rows[i], e);
	digest_list_free(&ours);
	return ok;
}

/* --- narrowing --- */

/* Cut a range into FANOUT parts of about equally many of our rows. */
static bool
cut_range(struct asker *a, const struct range *r, struct ranges *parts, struct err *e)
{
	struct digest_range bounds = bounds_of(r), part = bounds;
	struct digest_list ours;
	size_t step;
	bool ok;

	digest_list_init(&ours, DIGEST_SQL_MAX);
	ok = digest_scan(&a->digest, &bounds, COMPARE_RANGE_ROWS, &ours, e);
	step = ours.n / FANOUT + 1;
	for (size_t from = 0; ok && (from < ours.n || from == 0); from += step) {
		bool last = ours.n - from <= step;
		size_t n = last ? ours.n - from : step;
		struct digest_sum sum = sum_of(&ours, from, n);
		const struct digest_row *end = last ? NULL : &ours.rows[from + n - 1];

		part.high = last ? bounds.high : digest_key(&ours, end);
		part.high_len = last ? bounds.high_len : end->key_len;
		ok = ranges_add(parts, &part, &sum, e);
		part.low = part.high;
		part.low_len = part.high_len;
		if (last)
			break;
	}
	digest_list_free(&ours);
	return ok;
}

static size_t
leaf_rows(const struct ranges *r)
{
	size_t differing = 0;

	for (size_t i = 0; i < r->n; i++)
		differing += r->ranges[i].differs;
	return r->n >= FANOUT && differing > r->n / 2 ? LEAF_ROWS_MANY : LEAF_ROWS;
}

/* Ranges that differ are cut until they are small, then listed. Each level has at most an FANOUTth of the rows
 * of the one above, so this goes a few levels deep at most. */
static bool
narrow(struct asker *a, struct ranges *r, struct err *e)
{
	struct ranges parts = { 0 };
	size_t leaf;
	bool ok = ask_sums(a, r, e);

	leaf = leaf_rows(r);
	for (size_t i = 0; ok && i < r->n; i++) {
		const struct range *one = &r->ranges[i];

		if (!one->differs)
			continue;
		ok = one->sum.rows <= leaf ? list_range(a, one, e) : cut_range(a, one, &parts, e);
		if (ok && parts.n + FANOUT > COMPARE_ITEMS) {
			ok = narrow(a, &parts, e);
			ranges_free(&parts);
		}
	}
	if (ok && parts.n > 0)
		ok = narrow(a, &parts, e);
	ranges_free(&parts);
	return ok;
}

/* --- the walk --- */

/* The next range of our table above the last one of r. *end: it is open above. */
static bool
next_range(struct asker *a, struct ranges *r, struct digest_range *bounds, struct digest_list *rows, bool *end, struct err *e)
{
	int64_t start = clock_mono_ms();
	struct digest_sum sum;
	bool ok;

	digest_list_reset(rows);
	if (!digest_scan(&a->digest, bounds, a->step, rows, e)) {
		if (e->code != ERR_DB_BUSY || a->step == STEP_MIN || db_is_lost(a->digest.db))
			return false;
		err_clear(e);
		a->step = a->step / FANOUT < STEP_MIN ? STEP_MIN : a->step / FANOUT;
		return true;
	}
	*end = rows->n < a->step;
	sum = sum_of(rows, 0, rows->n);
	if (!*end) {
		bounds->high = digest_key(rows, &rows->rows[rows->n - 1]);
		bounds->high_len = rows->rows[rows->n - 1].key_len;
	}
	ok = ranges_add(r, bounds, &sum, e);
	a->out->records += rows->n;
	adapt(a, rows->n, clock_mono_ms() - start);
	/* The copy in the list lives as long as the batch. */
	*bounds = (struct digest_range){ .low = r->ranges[r->n - 1].high, .low_len = r->ranges[r->n - 1].high_len };
	return ok;
}

static bool
stopped(const struct asker *a)
{
	return a->l->stop != NULL && atomic_load(a->l->stop);
}

/* One batch: some ranges here, then the peer's sums of them. low is taken over and replaced. */
static bool
walk_batch(struct asker *a, char **low, size_t *low_len, bool *end, struct err *e)
{
	struct digest_range bounds = { .low = *low, .low_len = *low_len };
	uint64_t before = a->out->records;
	int64_t start = clock_mono_ms();
	struct ranges batch = { 0 };
	struct digest_list rows;
	char *next = NULL;
	bool ok = true;

	digest_list_init(&rows, DIGEST_SQL_MAX);
	while (ok && !*end && batch.n < COMPARE_ITEMS && (batch.n == 0 || (clock_mono_ms() - start < BATCH_MS && a->out->records - before < BATCH_ROWS)))
		ok = next_range(a, &batch, &bounds, &rows, end, e);
	digest_list_free(&rows);
	ok = ok && narrow(a, &batch, e) && (copy_key(bounds.low, bounds.low_len, &next) || err_set(e, ERR_MEMORY, "out of memory for a comparison"));
	*low_len = bounds.low_len;
	ranges_free(&batch);
	free(*low);
	*low = next;
	if (ok && a->watch != NULL && a->watch->progress != NULL)
		a->watch->progress(a->out->records, a->watch->arg);
	return ok;
}

static bool
walk(struct asker *a, struct err *e)
{
	size_t low_len = 0;
	char *low = NULL;
	bool end = false, ok = true;

	while (ok && !end) {
		ok = stopped(a) ? err_set(e, ERR_STOPPED, "stopped") : walk_batch(a, &low, &low_len, &end, e);
	}
	free(low);
	return ok && settle_suspects(a, e);
}

bool
compare_table_watched(struct link *l, const struct catalog *c, const char *table, enum compare_act what, const struct compare_watch *watch,
    struct compare_result *out, struct err *e)
{
	const struct table *t = catalog_table(c, table);
	struct asker a = { .l = l, .table = t, .act = what, .watch = watch, .out = out, .step = STEP_FIRST,
		.digest = { .db = l->db, .database = c->database, .table = t } };
	bool ok;

	memset(out, 0, sizeof *out);
	if (t == NULL || t->problem != NULL)
		return err_set(e, ERR_USAGE, "table %s %s", table, t == NULL ? "does not exist or is not replicated" : t->problem);
	buf_init(&a.question, COMPARE_BODY_MAX);
	buf_init(&a.answer, COMPARE_ANSWER_MAX * 2);
	digest_list_init(&a.suspects, DIGEST_SQL_MAX);
	ok = walk(&a, e);
	buf_free(&a.question);
	buf_free(&a.answer);
	digest_list_free(&a.suspects);
	return ok;
}

bool
compare_table(struct link *l, const struct catalog *c, const char *table, enum compare_act what, struct compare_result *out, struct err *e)
{
	return compare_table_watched(l, c, table, what, NULL, out, e);
}
