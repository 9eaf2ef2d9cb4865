/* The asking side of a comparison. Lives here: the walk over the table, sums on both sides at once, narrowing,
 * lists of what is left. Not here: the answering side (sync/inspect), asking (sync/ask), what becomes of
 * what seems to differ (sync/doubt), reading rows (change/digest). */
#include "sync/compare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sync/asking.h"
#include "sync/doubt.h"

enum {
	STEP_FIRST = 1000,	/* rows of the first ranges; then as many as fit into STEP_MS */
	STEP_MIN = 16,
	STEP_MAX = 16 * 1024,	/* a range is two statements here; of one in which a record differs all are looked at again */
	STEP_MAX_QUICK = 32 * 1024,
	STEP_GROWTH = 8,
	STRIDE_MAX = 4,		/* whole numbers for each row: above that bounds are looked up */
	BATCH_FIRST = 4,	/* ranges of the first question */
	STEP_MS = 200,		/* of a statement here, or of a range there */
	BATCH_MS = 1000,	/* of reading on each side for one question */
	BATCH_ROWS = 100 * 1000,
	FANOUT = 16,		/* a range that differs is cut into so many */
	PART_ROWS = 1024,	/* or into more, of so many rows at most */
	PARTS_MAX = DIGEST_QUICK_ROWS / PART_ROWS + 1,
	LEAF_ROWS = 32,		/* a range of so few is listed */
	LEAF_ROWS_MANY = 1000,	/* the same where most ranges differ: narrowing would find nothing equal */
	HTTP_UNPROCESSABLE = 422,
	GAP_ROWS = 100		/* rows that make a gap: fetching one costs as much as looking at so many records one by one */
};

struct range {
	char *low, *high; /* NULL: open */
	size_t low_len, high_len;
	struct digest_sum sum; /* here, once it is summed */
	uint64_t there; /* rows; UINT64_MAX: not known */
	uint64_t about; /* rows it was meant to have */
	bool summed, busy; /* busy: adding it up took too long */
	bool differs;
};

struct ranges {
	struct range *ranges;
	size_t n, cap;
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
ranges_add(struct ranges *r, const struct digest_range *bounds, uint64_t about, struct err *e)
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
	to->about = about;
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

/* How many rows it has there; where that is not known: a sum's rows, which are too many or slow. */
static uint64_t
there_of(const struct range *r)
{
	return r->there == UINT64_MAX ? DIGEST_SUM_ROWS : r->there;
}

/* How many of our rows it has, as far as is known. */
static uint64_t
rows_of(const struct range *r)
{
	return r->busy ? r->about : r->sum.rows;
}

/* The walk over our table: where it is, and the batch that it has found next. */
struct walk {
	char *low; /* the next batch begins above it; NULL: at the beginning */
	size_t low_len;
	struct ranges next;
	bool found, end; /* there is a next one; it is the last */
	struct asking *asking; /* the question about next, which is under way already; NULL: none */
	size_t asked; /* ranges of it */
};

static bool find_batch(struct asker *a, struct walk *w, struct err *e);

/* --- sums --- */

/* So many rows that adding them up takes about STEP_MS, and so many ranges of them that all take BATCH_MS. */
static void
adapt(struct asker *a, uint64_t rows, int64_t ms)
{
	uint64_t took = ms <= 0 ? 1 : (uint64_t)ms, fit = rows * STEP_MS / took, batch = rows * BATCH_MS / took, most;

	if (fit > a->step * STEP_GROWTH)
		fit = a->step * STEP_GROWTH;
	most = a->digest.quick ? STEP_MAX_QUICK : STEP_MAX;
	a->step = fit < STEP_MIN ? STEP_MIN : fit > most ? most : fit;
	batch = (batch > BATCH_ROWS ? BATCH_ROWS : batch) / a->step;
	a->batch = batch < 1 ? 1 : batch > COMPARE_ITEMS ? COMPARE_ITEMS : (size_t)batch;
}

/* Ours of one range. One that takes too long differs, so that it is cut. */
static bool
sum_range(struct asker *a, struct range *r, struct err *e)
{
	struct digest_range bounds = bounds_of(r);

	if (r->summed)
		return true;
	r->summed = true;
	if (digest_sum_up(&a->digest, &bounds, &r->sum, e))
		return true;
	if (e->code != ERR_DB_BUSY || db_is_lost(a->digest.db))
		return false;
	err_clear(e);
	r->busy = true;
	if (a->step > r->about / FANOUT)
		a->step = r->about / FANOUT < STEP_MIN ? STEP_MIN : r->about / FANOUT;
	return true;
}

/* Ours of ranges from..to. */
static bool
sum_ranges(struct asker *a, struct ranges *r, size_t from, size_t to, struct err *e)
{
	int64_t start = clock_mono_ms();
	uint64_t rows = 0;

	for (size_t i = from; i < to; i++) {
		uint64_t more = r->ranges[i].summed ? 0 : 1;

		if (!sum_range(a, &r->ranges[i], e))
			return false;
		rows += more * r->ranges[i].sum.rows;
	}
	if (rows > 0)
		adapt(a, rows, clock_mono_ms() - start);
	return true;
}

static bool
parse_whole(const char *text, size_t len, int64_t *out)
{
	char *end;

	if (text == NULL)
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end == text + len && len > 0;
}

/* How close our keys lie, as the batch shows. */
static void
note_stride(struct asker *a, const struct ranges *r)
{
	int64_t from = 0, to = 0;
	uint64_t rows = 0;

	a->stride = 0;
	for (size_t i = 0; a->counted && i < r->n; i++) {
		const struct range *one = &r->ranges[i];

		if (one->busy)
			return;
		if (rows == 0 && !parse_whole(one->low, one->low_len, &from))
			continue;
		if (parse_whole(one->high, one->high_len, &to))
			rows += one->sum.rows;
	}
	if (rows > 0 && (uint64_t)to - (uint64_t)from <= rows * STRIDE_MAX)
		a->stride = ((uint64_t)to - (uint64_t)from + rows - 1) / rows;
}

/* The question for the sums of as many ranges from from on as it holds; *to: the end of them. */
static bool
put_ranges(struct asker *a, const struct ranges *r, size_t from, size_t *to, struct err *e)
{
	if (!ask_begin(a, a->digest.quick ? ASK_QUICK : ASK_SUMS, e))
		return false;
	for (*to = from; *to < r->n && *to - from < COMPARE_ITEMS && ask_has_room(a); ++*to) {
		struct digest_range bounds = bounds_of(&r->ranges[*to]);

		compare_put_range(&a->question, &bounds);
	}
	return true;
}

static bool
ask_for_sums(struct asker *a, const struct ranges *r, size_t from, size_t *to, struct asking **out, struct err *e)
{
	if (!asking_new(a, out, e))
		return false;
	if (!put_ranges(asking_asker(*out), r, from, to, e)) {
		asking_free(*out);
		*out = NULL;
		return false;
	}
	asking_start(*out);
	return true;
}

/* The next batch, and the question about it: the peer goes on with that when this one is answered. */
static bool
look_ahead(struct asker *a, struct err *e)
{
	struct walk *w = a->ahead;

	if (w == NULL || w->found)
		return true;
	return find_batch(a, w, e) && ask_for_sums(a, &w->next, 0, &w->asked, &w->asking, e);
}

/* The way to the peer is needed for other questions. What it has answered to the one ahead is kept. */
static void
end_ahead(struct asker *a)
{
	if (a->ahead != NULL && a->ahead->asking != NULL)
		asking_end(a->ahead->asking);
}

static void
drop_ahead(struct asker *a)
{
	if (a->ahead == NULL)
		return;
	asking_free(a->ahead->asking);
	a->ahead->asking = NULL;
}

/* Ours of the next batch, while the peer is not done with this one. */
static bool
sum_ahead(struct asker *a, const struct asking *asking, struct err *e)
{
	struct walk *w = a->ahead;
	int64_t start = clock_mono_ms();
	uint64_t rows = 0;

	for (size_t i = 0; w != NULL && i < w->next.n && !asking_is_done(asking); i++) {
		struct range *one = &w->next.ranges[i];

		if (one->summed)
			continue;
		if (!sum_range(a, one, e))
			return false;
		rows += one->sum.rows;
	}
	if (rows > 0)
		adapt(a, rows, clock_mono_ms() - start);
	return true;
}

/* The peer's sums of ranges from..*to, and ours meanwhile. The question may be under way already. */
static bool
ask_and_sum(struct asker *a, struct ranges *r, size_t from, int64_t *ms, struct err *e)
{
	struct asking *asking = a->asking;
	size_t to = a->asked;
	bool more, ok = true;

	a->asking = NULL;
	if (asking == NULL)
		ok = ask_for_sums(a, r, from, &to, &asking, e);
	ok = ok && look_ahead(a, e) && sum_ranges(a, r, from, to, e) && sum_ahead(a, asking, e);
	if (asking != NULL)
		asking_end(asking);
	if (ok && !asking_was_answered(asking))
		drop_ahead(a); /* no session, or a refusal: other questions come first */
	if (ok) {
		*ms = asking_ms(asking);
		ok = asking_take(asking, a, &more, e);
	}
	asking_free(asking);
	return ok;
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
			return ask_got_too_much(a, e);
		if (!compare_parse_sum(&a->reader, &there, &known, e))
			return false;
		range->there = known ? there.rows : UINT64_MAX;
		range->differs = !known || range->busy || !digest_sum_equal(&there, &range->sum);
	}
}

/* Does the peer not know the quick way, or not for this table? Then ours are summed up once more, in the other one. */
static bool
is_too_quick(struct asker *a, struct ranges *r, struct err *e)
{
	if (!a->digest.quick || e->code != ERR_PEER_REFUSED || a->status != HTTP_UNPROCESSABLE)
		return false;
	err_clear(e);
	drop_ahead(a);
	a->digest.quick = false;
	for (size_t i = 0; i < r->n; i++)
		r->ranges[i].summed = false;
	for (size_t i = 0; a->ahead != NULL && i < a->ahead->next.n; i++)
		a->ahead->next.ranges[i].summed = false;
	return true;
}

/* The sums of all ranges on both sides at the same time, in as many questions as it takes. */
static bool
compare_sums(struct asker *a, struct ranges *r, struct err *e)
{
	for (size_t at = 0; at < r->n;) {
		size_t before = at;
		uint64_t rows = 0;
		int64_t ms;

		if (!ask_and_sum(a, r, at, &ms, e)) {
			if (!is_too_quick(a, r, e))
				return false;
			continue;
		}
		if (!take_sums(a, r, &at, e))
			return false;
		if (at == before)
			return ask_got_nothing(a, e);
		for (size_t i = before; i < at; i++)
			rows += r->ranges[i].sum.rows;
		/* A range there shall take no longer than one here. */
		if (rows > 0 && ms / (int64_t)(at - before) > STEP_MS)
			adapt(a, rows, ms);
	}
	return true;
}

/* --- lists --- */

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
		if (!doubt_add(a, page, row, e))
			return false;
	}
	return true;
}

static bool
ends_at(const struct digest_list *page, const struct digest_range *bounds)
{
	const struct digest_row *last = &page->rows[page->n - 1];

	return bounds->low != NULL && bounds->low_len == last->key_len && memcmp(bounds->low, digest_key(page, last), last->key_len) == 0;
}

static bool
ask_page(struct asker *a, const struct digest_range *bounds, struct digest_list *page, bool *more, struct err *e)
{
	bool any;

	if (!ask_begin(a, ASK_ROWS, e))
		return false;
	compare_put_range(&a->question, bounds);
	if (!ask_send(a, more, e))
		return false;
	while (compare_next(&a->reader, &any, e) && any)
		if (!compare_parse_row(&a->reader, page, e))
			return false;
	if (any || a->reader.left > 0)
		return false;
	/* Each page must bring the walk on: the next one begins behind its last key. */
	return !*more || (page->n > 0 && !ends_at(page, bounds)) || ask_got_nothing(a, e);
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
			ok = doubt_add(a, &ours, &ours.rows[i], e);
	digest_list_free(&ours);
	return ok;
}

/* --- filling --- */

static const struct compare_filler *
filler_of(const struct asker *a)
{
	return a->watch == NULL ? NULL : a->watch->filler;
}

/* Has the peer many more rows in the range than we have? */
static bool
is_thin(const struct asker *a, const struct range *r)
{
	return filler_of(a) != NULL && there_of(r) > rows_of(r) && there_of(r) - rows_of(r) > GAP_ROWS;
}

/* Is it worth while to fetch what lies between our rows, gap by gap? */
static bool
is_gap(const struct asker *a, const struct range *r)
{
	return filler_of(a) != NULL && (rows_of(r) == 0 || (is_thin(a, r) && (there_of(r) - rows_of(r)) / (rows_of(r) + 1) >= GAP_ROWS));
}

/* What lies between our rows is fetched; ours are looked at one by one. */
static bool
fill_between(struct asker *a, const struct range *r, struct err *e)
{
	const struct compare_filler *f = filler_of(a);
	struct digest_range whole = bounds_of(r), gap = whole;
	struct digest_list ours;
	bool ok, ends = false;

	digest_list_init(&ours, DIGEST_SQL_MAX);
	ok = digest_scan(&a->digest, &whole, COMPARE_RANGE_ROWS, &ours, e);
	for (size_t i = 0; ok && i < ours.n; i++) {
		gap.high = digest_key(&ours, &ours.rows[i]);
		gap.high_len = ours.rows[i].key_len;
		ok = f->fill(a, &gap, true, false, f->arg, e) && doubt_add(a, &ours, &ours.rows[i], e);
		gap.low = gap.high;
		gap.low_len = gap.high_len;
		ends = whole.high != NULL && gap.low_len == whole.high_len && memcmp(gap.low, whole.high, whole.high_len) == 0;
	}
	gap.high = whole.high;
	gap.high_len = whole.high_len;
	ok = ok && (ends || f->fill(a, &gap, false, false, f->arg, e));
	digest_list_free(&ours);
	return ok;
}

/* frontier: the range stands alone in its batch, so all below it is settled when the suspects are. */
static bool
fill_range(struct asker *a, const struct range *r, bool frontier, struct err *e)
{
	const struct compare_filler *f = filler_of(a);
	struct digest_range bounds = bounds_of(r);

	if (!frontier)
		return fill_between(a, r, e);
	return doubt_settle(a, e) && f->fill(a, &bounds, false, true, f->arg, e);
}

/* --- narrowing --- */

/* The range up to its step-th row of ours. *last: it has fewer, or not one more. */
static bool
cut_part(struct asker *a, struct digest_range *part, uint64_t step, struct buf *key, bool *last, struct err *e)
{
	bool found;

	if (!digest_bound(&a->digest, part, step, key, &found, e))
		return false;
	*last = !found || (part->high != NULL && part->high_len == key->len && memcmp(part->high, buf_cstr(key), key->len) == 0);
	if (found) {
		part->high = buf_cstr(key);
		part->high_len = key->len;
	}
	return true;
}

/* Cut a range into FANOUT parts or more, of about equally many of our rows. */
static bool
cut_range(struct asker *a, const struct range *r, struct ranges *parts, struct err *e)
{
	struct digest_range rest = bounds_of(r);
	uint64_t step = rows_of(r) / FANOUT < PART_ROWS ? rows_of(r) / FANOUT + 1 : PART_ROWS;
	bool last = false, ok = true;
	struct buf key;

	buf_init(&key, CATALOG_KEY_BYTES + 1);
	while (ok && !last) {
		struct digest_range part = rest;

		ok = cut_part(a, &part, step, &key, &last, e) && ranges_add(parts, &part, step, e);
		if (ok) {
			rest.low = parts->ranges[parts->n - 1].high;
			rest.low_len = parts->ranges[parts->n - 1].high_len;
		}
	}
	buf_free(&key);
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

/* A range that differs: filled, listed, or cut for the next level. Where ours lie in a heap beside a large gap, cutting
 * finds the gap. */
static bool
narrow_one(struct asker *a, const struct range *r, size_t leaf, struct ranges *parts, struct err *e)
{
	if (rows_of(r) <= leaf && is_gap(a, r))
		return fill_range(a, r, false, e);
	if (rows_of(r) <= LEAF_ROWS || (rows_of(r) <= leaf && (!is_thin(a, r) || there_of(r) <= LEAF_ROWS_MANY)))
		return list_range(a, r, e);
	return cut_range(a, r, parts, e);
}

/* Ranges that differ are cut until they are small, then listed. Each level has at most an FANOUTth of the rows
 * of the one above, so this goes a few levels deep at most. */
static bool
narrow(struct asker *a, struct ranges *r, struct err *e)
{
	bool frontier = filler_of(a) != NULL && r->n == 1 && r->ranges[0].summed, ok;
	struct ranges parts = { 0 };
	size_t leaf;

	if (frontier) /* nothing here: whatever is there is fetched, sums or not */
		return fill_range(a, &r->ranges[0], true, e);
	ok = compare_sums(a, r, e);
	leaf = leaf_rows(r);
	for (size_t i = 0; ok && i < r->n; i++) {
		const struct range *one = &r->ranges[i];

		if (!one->differs)
			continue;
		end_ahead(a);
		ok = narrow_one(a, one, leaf, &parts, e);
		if (ok && parts.n + PARTS_MAX > COMPARE_ITEMS) {
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

/* Where whole numbers lie close, the bound is reckoned instead of looked up; a range then has no more rows than may be. */
static bool
reckon_bound(const struct asker *a, const struct digest_range *bounds, struct buf *key, bool *found)
{
	uint64_t width = a->step * a->stride, most = a->digest.quick ? DIGEST_QUICK_ROWS : DIGEST_SUM_ROWS;
	int64_t low, high;

	if (a->stride == 0 || !parse_whole(bounds->low, bounds->low_len, &low) || low > a->last_key)
		return false;
	width = width < most ? width : most;
	*found = (uint64_t)a->last_key - (uint64_t)low > width;
	buf_reset(key);
	if (!*found)
		return true;
	high = low + (int64_t)width;
	buf_fmt(key, "%lld", (long long)high);
	return true;
}

/* The upper bound of the next range, above *bounds: the key of our last row in it, or a number there; *found: there is
 * one. Where not, and rows are above, who fills gets the last one's. */
static bool
next_bound(struct asker *a, const struct digest_range *bounds, struct buf *key, bool *found, bool *again, struct err *e)
{
	*again = false;
	if (reckon_bound(a, bounds, key, found))
		return true;
	if (digest_bound(&a->digest, bounds, a->step, key, found, e))
		return *found || filler_of(a) == NULL || digest_bound(&a->digest, bounds, 0, key, found, e);
	*again = e->code == ERR_DB_BUSY && a->step > STEP_MIN && !db_is_lost(a->digest.db);
	if (*again) {
		err_clear(e);
		a->step = a->step / FANOUT < STEP_MIN ? STEP_MIN : a->step / FANOUT;
	}
	return *again;
}

/* The next range of our table above the last one of r. *end: it is open above. Who fills gets what lies above all our
 * rows as a range of its own, and that in a batch of its own (*alone). */
static bool
next_range(struct asker *a, struct ranges *r, struct digest_range *bounds, struct buf *key, bool *end, bool *alone, struct err *e)
{
	bool found = false, again = false;
	struct range *made;

	if (!next_bound(a, bounds, key, &found, &again, e))
		return false;
	*alone = !again && !found && filler_of(a) != NULL;
	if (again || (*alone && r->n > 0))
		return true;
	*end = !found;
	if (found) {
		bounds->high = buf_cstr(key);
		bounds->high_len = key->len;
	}
	if (!ranges_add(r, bounds, a->step, e))
		return false;
	made = &r->ranges[r->n - 1];
	made->summed = *alone; /* nothing is there */
	/* The copy in the list lives as long as the batch. */
	*bounds = (struct digest_range){ .low = made->high, .low_len = made->high_len };
	return true;
}

static bool
stopped(const struct asker *a)
{
	return a->l->stop != NULL && atomic_load(a->l->stop);
}

/* One batch of ranges of our table, from where the walk is. */
static bool
find_batch(struct asker *a, struct walk *w, struct err *e)
{
	struct digest_range bounds = { .low = w->low, .low_len = w->low_len };
	int64_t start = clock_mono_ms();
	bool alone = false, ok = true;
	char *low = NULL;
	struct buf key;

	buf_init(&key, CATALOG_KEY_BYTES + 1);
	while (ok && !w->end && !alone && (w->next.n == 0 || (w->next.n < a->batch && clock_mono_ms() - start < BATCH_MS)))
		ok = next_range(a, &w->next, &bounds, &key, &w->end, &alone, e);
	buf_free(&key);
	ok = ok && (copy_key(bounds.low, bounds.low_len, &low) || err_set(e, ERR_MEMORY, "out of memory for a comparison"));
	free(w->low);
	w->low = low;
	w->low_len = bounds.low_len;
	w->found = ok;
	return ok;
}

/* Compare what the walk has found; the next batch is found meanwhile, but for who fills: the rows there are still to come. */
static bool
compare_batch(struct asker *a, struct walk *w, bool *end, struct err *e)
{
	const struct compare_filler *f = filler_of(a);
	struct ranges batch = w->next;
	const struct range *last = &batch.ranges[batch.n - 1];
	bool ok;

	*end = w->end;
	w->next = (struct ranges){ 0 };
	w->found = false;
	a->asking = w->asking;
	a->asked = w->asked;
	w->asking = NULL;
	a->ahead = f == NULL && !*end ? w : NULL;
	ok = narrow(a, &batch, e);
	a->ahead = NULL;
	note_stride(a, &batch);
	for (size_t i = 0; ok && i < batch.n; i++)
		a->out->records += rows_of(&batch.ranges[i]);
	if (ok && a->watch != NULL && a->watch->progress != NULL)
		a->watch->progress(a->out->records, a->watch->arg);
	if (ok && f != NULL && !*end && last->high != NULL)
		ok = doubt_settle(a, e) && f->passed(a, last->high, last->high_len, f->arg, e);
	ranges_free(&batch);
	return ok;
}

/* Are keys whole numbers, so that bounds can be reckoned? Not where the server prints them with zeros before them. */
static bool
learn_keys(struct asker *a, struct err *e)
{
	const struct column *col = &a->table->columns[a->table->key[0]];
	const struct digest_range all = { 0 };
	struct buf key;
	bool found, ok;

	if (a->table->nkey != 1 || !col->integer || strstr(col->type, "zerofill") != NULL || filler_of(a) != NULL)
		return true;
	buf_init(&key, CATALOG_KEY_BYTES + 1);
	ok = digest_bound(&a->digest, &all, 0, &key, &found, e);
	a->counted = ok && found && parse_whole(buf_cstr(&key), key.len, &a->last_key);
	buf_free(&key);
	return ok;
}

static bool
walk(struct asker *a, struct err *e)
{
	const struct compare_filler *f = filler_of(a);
	struct walk w = { .low_len = f == NULL ? 0 : f->low_len };
	bool end = false, ok = f == NULL || copy_key(f->low, f->low_len, &w.low) || err_set(e, ERR_MEMORY, "out of memory for a comparison");

	ok = ok && learn_keys(a, e);
	while (ok && !end)
		ok = !stopped(a) ? (w.found || find_batch(a, &w, e)) && compare_batch(a, &w, &end, e) : err_set(e, ERR_STOPPED, "stopped");
	asking_free(w.asking);
	ranges_free(&w.next);
	free(w.low);
	return ok && doubt_settle(a, e);
}

static void
asker_init(struct asker *a)
{
	buf_init(&a->question, COMPARE_BODY_MAX);
	buf_init(&a->answer, COMPARE_ANSWER_MAX * 2);
	digest_list_init(&a->suspects, DIGEST_SQL_MAX);
}

static void
asker_free(struct asker *a)
{
	buf_free(&a->question);
	buf_free(&a->answer);
	digest_list_free(&a->suspects);
}

bool
compare_peek(struct link *l, const struct catalog *c, const struct table *t, bool *rows, struct err *e)
{
	struct asker a = { .l = l, .table = t, .digest = { .db = l->db, .database = c->database, .table = t } };
	const struct digest_range all = { 0 };
	struct digest_list page;
	bool more, ok;

	asker_init(&a);
	digest_list_init(&page, COMPARE_ANSWER_MAX);
	ok = ask_page(&a, &all, &page, &more, e);
	*rows = page.n > 0;
	digest_list_free(&page);
	asker_free(&a);
	return ok;
}

bool
compare_may_fill(struct link *l, const struct catalog *c, const struct table *t, struct err *e)
{
	struct asker a = { .l = l, .table = t, .act = COMPARE_LOOK, .digest = { .db = l->db, .database = c->database, .table = t } };
	bool more, ok;

	asker_init(&a);
	ok = ask_begin(&a, ASK_FETCH, e) && ask_send(&a, &more, e); /* no row: definitions are looked at first */
	asker_free(&a);
	return ok;
}

bool
compare_count_there(struct asker *a, const struct digest_range *r, bool skip_high, struct err *e)
{
	struct digest_range rest = *r;
	struct digest_list page;
	char *low = NULL;
	bool more = true, ok = true;

	digest_list_init(&page, COMPARE_ANSWER_MAX);
	while (ok && more) {
		const struct digest_row *last;

		digest_list_reset(&page);
		ok = ask_page(a, &rest, &page, &more, e);
		if (!ok || page.n == 0)
			break;
		last = &page.rows[page.n - 1];
		a->out->only_there += page.n;
		if (skip_high && last->key_len == r->high_len && memcmp(digest_key(&page, last), r->high, r->high_len) == 0)
			a->out->only_there--;
		if (a->watch->progress != NULL)
			a->watch->progress(a->out->records + a->out->only_there, a->watch->arg);
		free(low);
		rest.low_len = last->key_len;
		ok = copy_key(digest_key(&page, last), rest.low_len, &low) || err_set(e, ERR_MEMORY, "out of memory for a comparison");
		rest.low = low;
		if (ok && stopped(a))
			ok = err_set(e, ERR_STOPPED, "stopped");
	}
	free(low);
	digest_list_free(&page);
	return ok;
}

bool
compare_table_watched(struct link *l, const struct catalog *c, const char *table, enum compare_act what, const struct compare_watch *watch,
    struct compare_result *out, struct err *e)
{
	const struct table *t = catalog_table(c, table);
	struct asker a = { .l = l, .table = t, .act = what, .watch = watch, .out = out, .step = STEP_FIRST, .batch = BATCH_FIRST,
		.digest = { .db = l->db, .database = c->database, .table = t } };
	pthread_mutex_t line = PTHREAD_MUTEX_INITIALIZER;
	bool ok;

	memset(out, 0, sizeof *out);
	if (t == NULL || t->problem != NULL)
		return err_set(e, ERR_USAGE, "table %s %s", table, t == NULL ? "does not exist or is not replicated" : t->problem);
	a.digest.quick = digest_has_quick(l->db);
	a.line = &line;
	asker_init(&a);
	ok = walk(&a, e);
	asking_free(a.asking);
	asker_free(&a);
	(void)pthread_mutex_destroy(&line);
	return ok;
}

bool
compare_table(struct link *l, const struct catalog *c, const char *table, enum compare_act what, struct compare_result *out, struct err *e)
{
	return compare_table_watched(l, c, table, what, NULL, out, e);
}

bool
compare_say_settled(struct link *l, const struct catalog *c, const char *table, struct err *e)
{
	const struct table *t = catalog_table(c, table);
	struct asker a = { .l = l, .table = t, .act = COMPARE_LOOK };
	bool more = false, ok;

	if (t == NULL)
		return true;
	buf_init(&a.question, COMPARE_BODY_MAX);
	buf_init(&a.answer, COMPARE_ANSWER_MAX * 2);
	ok = ask_begin(&a, ASK_AGAIN, e) && ask_send(&a, &more, e);
	if (!ok && e->code == ERR_PEER_REFUSED) {
		err_clear(e);
		ok = true;
	}
	buf_free(&a.question);
	buf_free(&a.answer);
	return ok;
}
