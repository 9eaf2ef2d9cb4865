/* Sets of id ranges, and marks made of them. Not here: reading or writing sync_epoch
 * (change/queue). */
#include "config.h"

#include "change/mark.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"

void
id_set_free(struct id_set *s)
{
	free(s->ranges);
	memset(s, 0, sizeof *s);
}

static bool
reserve(struct id_set *s, struct err *e)
{
	size_t cap = s->cap == 0 ? 8 : s->cap * 2;
	struct id_range *grown;

	if (s->n >= MARK_HOLES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d gaps in the queue's ids", MARK_HOLES_MAX);
	if (s->n < s->cap)
		return true;
	grown = realloc(s->ranges, cap * sizeof *grown);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the queue's marks");
	s->ranges = grown;
	s->cap = cap;
	return true;
}

bool
id_set_append(struct id_set *s, uint64_t low, uint64_t high, struct err *e)
{
	assert(low <= high);
	if (s->n > 0) {
		struct id_range *last = &s->ranges[s->n - 1];

		assert(last->high < low);
		if (last->high + 1 == low) {
			last->high = high;
			return true;
		}
	}
	if (!reserve(s, e))
		return false;
	s->ranges[s->n++] = (struct id_range){ low, high };
	return true;
}

/* Index of the first range whose high end is not below id; s->n if there is none. */
static size_t
first_not_below(const struct id_set *s, uint64_t id)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->ranges[mid].high < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool
id_set_contains(const struct id_set *s, uint64_t id)
{
	size_t i = first_not_below(s, id);

	return i < s->n && s->ranges[i].low <= id;
}

static bool
insert_at(struct id_set *s, size_t i, struct id_range range, struct err *e)
{
	if (!reserve(s, e))
		return false;
	memmove(&s->ranges[i + 1], &s->ranges[i], (s->n - i) * sizeof *s->ranges);
	s->ranges[i] = range;
	s->n++;
	return true;
}

static void
delete_at(struct id_set *s, size_t i)
{
	memmove(&s->ranges[i], &s->ranges[i + 1], (s->n - i - 1) * sizeof *s->ranges);
	s->n--;
}

bool
id_set_add(struct id_set *s, uint64_t id, struct err *e)
{
	size_t i = first_not_below(s, id);
	bool joins_left = i > 0 && s->ranges[i - 1].high + 1 == id;
	bool joins_right = i < s->n && s->ranges[i].low == id + 1;

	if (i < s->n && s->ranges[i].low <= id)
		return true;
	if (joins_left && joins_right) {
		s->ranges[i - 1].high = s->ranges[i].high;
		delete_at(s, i);
	} else if (joins_left)
		s->ranges[i - 1].high = id;
	else if (joins_right)
		s->ranges[i].low = id;
	else
		return insert_at(s, i, (struct id_range){ id, id }, e);
	return true;
}

bool
id_set_remove(struct id_set *s, uint64_t id, struct err *e)
{
	size_t i = first_not_below(s, id);
	struct id_range *r;
	uint64_t high;

	if (i == s->n || s->ranges[i].low > id)
		return true;
	r = &s->ranges[i];
	high = r->high;
	if (r->low == id && r->high == id)
		delete_at(s, i);
	else if (r->low == id)
		r->low++;
	else if (r->high == id)
		r->high--;
	else {
		if (!insert_at(s, i + 1, (struct id_range){ id + 1, high }, e))
			return false;
		s->ranges[i].high = id - 1; /* r may have moved */
	}
	return true;
}

bool
id_set_copy(const struct id_set *from, struct id_set *to, struct err *e)
{
	memset(to, 0, sizeof *to);
	if (from->n == 0)
		return true;
	to->ranges = calloc(from->n, sizeof *to->ranges);
	if (to->ranges == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the queue's marks");
	memcpy(to->ranges, from->ranges, from->n * sizeof *to->ranges);
	to->n = to->cap = from->n;
	return true;
}

void
id_set_format(const struct id_set *s, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct id_range *r = &s->ranges[i];

		buf_fmt(out, "%s%llu", i > 0 ? "," : "", (unsigned long long)r->low);
		if (r->high != r->low)
			buf_fmt(out, "-%llu", (unsigned long long)r->high);
	}
}

/* A number at *p, which moves past it. */
static bool
take_u64(const char **p, uint64_t *out)
{
	const char *start = *p;
	uint64_t n = 0;

	for (; **p >= '0' && **p <= '9'; ++*p) {
		unsigned digit = (unsigned)(**p - '0');

		if (n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return *p > start;
}

bool
mark_parse_u64(const char *text, uint64_t *out)
{
	return take_u64(&text, out) && *text == '\0';
}

bool
id_set_parse(const char *text, struct id_set *out, struct err *e)
{
	const char *p = text;

	memset(out, 0, sizeof *out);
	while (*p != '\0') {
		uint64_t low, high;

		if (!take_u64(&p, &low))
			goto bad;
		high = low;
		if (*p == '-' && (p++, !take_u64(&p, &high)))
			goto bad;
		if (low > high || (out->n > 0 && out->ranges[out->n - 1].high >= low))
			goto bad;
		if (!id_set_append(out, low, high, e))
			goto fail;
		if (*p == ',' && p[1] != '\0')
			p++;
		else if (*p != '\0')
			goto bad;
	}
	return true;
bad:
	(void)err_set(e, ERR_INPUT, "malformed list of ids in sync_epoch");
fail:
	id_set_free(out);
	return false;
}

void
mark_free(struct mark *m)
{
	id_set_free(&m->holes);
	memset(m, 0, sizeof *m);
}

bool
mark_see(struct mark *m, uint64_t id, struct err *e)
{
	if (id <= m->high)
		return id_set_remove(&m->holes, id, e);
	if (id != m->high + 1 && !plant_is(PLANT_WATERMARK) && !id_set_append(&m->holes, m->high + 1, id - 1, e))
		return false;
	m->high = id;
	return true;
}

bool
mark_contains(const struct mark *m, uint64_t id)
{
	return id <= m->high && !id_set_contains(&m->holes, id);
}
