/* Sets of ids against a naive model, their text form, and what a mark contains. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/mark.h"
#include "seed.h"

enum {
	MODEL = 80, /* ids of the model: few, so that ranges meet, join and split */
	ROUNDS = 200,
	STEPS = 200
};

/* The set's form: disjoint, ascending, never touching. */
static void
assert_form(const struct id_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		assert_true(s->ranges[i].low <= s->ranges[i].high);
		if (i > 0)
			assert_true(s->ranges[i - 1].high < UINT64_MAX && s->ranges[i - 1].high + 1 < s->ranges[i].low);
	}
}

static void
assert_set(const struct id_set *s, const char *want)
{
	struct buf text;

	assert_form(s);
	buf_init(&text, 100000);
	id_set_format(s, &text);
	assert_string_equal(buf_cstr(&text), want);
	buf_free(&text);
}

static struct id_set
parse(const char *text)
{
	struct id_set s;
	struct err e;

	if (!id_set_parse(text, &s, &e))
		fail_msg("refused: %s", text);
	return s;
}

static void
assert_model(const struct id_set *s, const bool *model, uint64_t base)
{
	struct id_set again;
	struct buf text;
	struct err e;

	assert_form(s);
	for (size_t i = 0; i < MODEL; i++)
		if (id_set_contains(s, base + i) != model[i])
			fail_msg("%" PRIu64, base + i);
	buf_init(&text, 100000);
	id_set_format(s, &text);
	assert_true(id_set_parse(buf_cstr(&text), &again, &e));
	assert_int_equal(again.n, s->n);
	if (s->n > 0)
		assert_memory_equal(again.ranges, s->ranges, s->n * sizeof *s->ranges);
	id_set_free(&again);
	buf_free(&text);
}

static void
random_steps(struct seed *random, uint64_t base)
{
	bool model[MODEL] = { false };
	struct id_set s = { 0 }, copy;
	struct err e;

	for (int step = 0; step < STEPS; step++) {
		size_t i = seed_below(random, MODEL);

		model[i] = seed_below(random, 2) == 0;
		assert_true(model[i] ? id_set_add(&s, base + i, &e) : id_set_remove(&s, base + i, &e));
		if (step % 20 == 0)
			assert_model(&s, model, base);
	}
	assert_true(id_set_copy(&s, &copy, &e));
	assert_model(&copy, model, base);
	for (size_t i = 0; i < MODEL; i++)
		assert_true(id_set_remove(&s, base + i, &e));
	assert_int_equal(s.n, 0);
	assert_model(&copy, model, base); /* its own memory */
	assert_true(id_set_add(&copy, base, &e));
	id_set_free(&copy);
	id_set_free(&s);
}

static void
test_model(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		random_steps(*state, 0);
		random_steps(*state, UINT64_MAX - MODEL + 1);
		random_steps(*state, seed_next(*state) >> 1);
	}
}

static void
test_model_append(void **state)
{
	struct seed *random = *state;

	for (int round = 0; round < ROUNDS; round++) {
		bool model[MODEL] = { false };
		struct id_set s = { 0 };
		struct err e;

		for (size_t low = seed_below(random, 4); low < MODEL;) {
			size_t high = low + seed_below(random, 5);

			if (high >= MODEL)
				high = MODEL - 1;
			assert_true(id_set_append(&s, low, high, &e));
			memset(model + low, true, high - low + 1);
			low = high + 1 + seed_below(random, 4);
		}
		assert_model(&s, model, 0);
		id_set_free(&s);
	}
}

static void
test_joins_and_splits(void **state)
{
	struct id_set s = { 0 };
	struct err e;

	(void)state;
	assert_set(&s, "");
	assert_false(id_set_contains(&s, 0));
	assert_true(id_set_remove(&s, 5, &e));
	assert_true(id_set_add(&s, 5, &e) && id_set_add(&s, 7, &e) && id_set_add(&s, 5, &e));
	assert_set(&s, "5,7");
	assert_true(id_set_add(&s, 6, &e));
	assert_set(&s, "5-7");
	assert_true(id_set_remove(&s, 6, &e));
	assert_set(&s, "5,7");
	assert_true(id_set_append(&s, 8, 10, &e));
	assert_set(&s, "5,7-10");
	assert_true(id_set_append(&s, 12, 12, &e));
	assert_set(&s, "5,7-10,12");
	assert_true(id_set_remove(&s, 7, &e) && id_set_remove(&s, 10, &e) && id_set_remove(&s, 5, &e));
	assert_set(&s, "8-9,12");
	id_set_free(&s);
	assert_int_equal(s.n, 0);
	assert_true(id_set_add(&s, 1, &e)); /* it may be used again */
	id_set_free(&s);
}

static void
test_ends_of_the_numbers(void **state)
{
	struct id_set s = { 0 };
	struct err e;

	(void)state;
	assert_true(id_set_add(&s, UINT64_MAX, &e) && id_set_add(&s, 0, &e) && id_set_add(&s, UINT64_MAX, &e));
	assert_set(&s, "0,18446744073709551615");
	assert_true(id_set_add(&s, UINT64_MAX - 1, &e) && id_set_add(&s, 1, &e));
	assert_set(&s, "0-1,18446744073709551614-18446744073709551615");
	assert_true(id_set_remove(&s, UINT64_MAX, &e) && id_set_remove(&s, 0, &e));
	assert_set(&s, "1,18446744073709551614");
	id_set_free(&s);
	assert_true(id_set_append(&s, 0, UINT64_MAX, &e));
	assert_set(&s, "0-18446744073709551615");
	assert_true(id_set_add(&s, 0, &e) && id_set_add(&s, UINT64_MAX, &e));
	assert_true(id_set_remove(&s, 9, &e));
	assert_set(&s, "0-8,10-18446744073709551615");
	id_set_free(&s);
}

static void
test_texts(void **state)
{
	static const char *const good[] = { "", "0", "1-5,9", "1,3,5-6", "0-18446744073709551615", "18446744073709551615" };
	struct id_set s;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		s = parse(good[i]);
		assert_set(&s, good[i]);
		id_set_free(&s);
	}
	s = parse("1-2,3,4-4"); /* touching ones become one */
	assert_set(&s, "1-4");
	id_set_free(&s);
}

static void
test_malformed_texts(void **state)
{
	static const char *const bad[] = { ",", "-", "1-", "-1", "1,", ",1", "1,,2", "1-2-3", "2-1", "1,1", "2,1", "1-3,3", "1-3,2-5", "a", "1a",
		"1 ", " 1", "1, 2", "1;2", "+1", "1.0", "0x1", "18446744073709551616", "1-18446744073709551616",
		"18446744073709551615,18446744073709551615", "0-18446744073709551615,0", "1\n" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct id_set s = { 0 };
		struct err e;

		if (id_set_parse(bad[i], &s, &e))
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.code, ERR_INPUT);
		assert_null(s.ranges);
		assert_int_equal(s.n, 0);
	}
}

static void
test_numbers(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "a", "18446744073709551616", "28446744073709551615",
		"99999999999999999999", "184467440737095516150", "1,2" };
	uint64_t n;

	(void)state;
	assert_true(mark_parse_u64("0", &n) && n == 0);
	assert_true(mark_parse_u64("18446744073709551615", &n) && n == UINT64_MAX);
	assert_true(mark_parse_u64("18446744073709551610", &n) && n == UINT64_MAX - 5);
	assert_true(mark_parse_u64("9223372036854775808", &n) && n == (uint64_t)INT64_MAX + 1);
	assert_true(mark_parse_u64("007", &n) && n == 7);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (mark_parse_u64(bad[i], &n))
			fail_msg("accepted: %s", bad[i]);
}

static void
test_marks(void **state)
{
	struct mark m = { .epoch = 1, .high = 10 };

	(void)state;
	m.holes = parse("3,5-7,10");
	assert_true(mark_contains(&m, 1) && mark_contains(&m, 2) && mark_contains(&m, 4) && mark_contains(&m, 8) && mark_contains(&m, 9));
	assert_false(mark_contains(&m, 3) || mark_contains(&m, 5) || mark_contains(&m, 6) || mark_contains(&m, 7) || mark_contains(&m, 10));
	assert_false(mark_contains(&m, 11) || mark_contains(&m, UINT64_MAX));
	mark_free(&m);
	assert_false(mark_contains(&m, 1));
	m.high = UINT64_MAX;
	assert_true(mark_contains(&m, UINT64_MAX) && mark_contains(&m, 1));
	m.holes = parse("18446744073709551615");
	assert_false(mark_contains(&m, UINT64_MAX));
	assert_true(mark_contains(&m, UINT64_MAX - 1));
	mark_free(&m);
}

static void
fill(struct id_set *s)
{
	struct err e;

	for (uint64_t i = 1; i <= MARK_HOLES_MAX; i++)
		assert_true(id_set_append(s, i * 10, i * 10 + 2, &e));
}

static void
test_limit(void **state)
{
	struct id_set s = { 0 };
	struct err e;

	(void)state;
	fill(&s);
	assert_false(id_set_append(&s, UINT64_MAX, UINT64_MAX, &e));
	assert_int_equal(e.code, ERR_LIMIT);
	assert_false(id_set_add(&s, 5, &e));
	assert_int_equal(e.code, ERR_LIMIT);
	assert_true(id_set_add(&s, 9, &e)); /* needs no new range */
	assert_int_equal(s.n, MARK_HOLES_MAX);
	id_set_free(&s);
}

static void
test_limit_keeps_the_set(void **state)
{
	struct id_set s = { 0 };
	struct err e;

	(void)state;
	fill(&s);
	assert_false(id_set_remove(&s, 51, &e)); /* would split a range */
	assert_int_equal(e.code, ERR_LIMIT);
	assert_int_equal(s.n, MARK_HOLES_MAX);
	assert_true(id_set_contains(&s, 50) && id_set_contains(&s, 51) && id_set_contains(&s, 52));
	id_set_free(&s);
}

static void
test_limit_of_a_copy(void **state)
{
	struct id_set s = { 0 }, copy;
	uint64_t id = UINT64_MAX / 2;
	struct err e;

	(void)state;
	fill(&s);
	assert_true(id_set_remove(&s, 10, &e) && id_set_remove(&s, 11, &e) && id_set_remove(&s, 12, &e));
	assert_true(id_set_copy(&s, &copy, &e));
	while (copy.n <= MARK_HOLES_MAX && id_set_append(&copy, id, id, &e))
		id += 2;
	assert_int_equal(copy.n, MARK_HOLES_MAX);
	id_set_free(&copy);
	id_set_free(&s);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }
#define RANDOM(text, f) { text, f, NULL, NULL, &seed }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		RANDOM("adding and taking out agrees with a naive model", test_model),
		RANDOM("appending ranges agrees with a naive model", test_model_append),
		NAMED("ranges join and split", test_joins_and_splits),
		NAMED("0 and 2^64-1 are ids like any other", test_ends_of_the_numbers),
		NAMED("a set's text comes back", test_texts),
		NAMED("malformed texts are refused", test_malformed_texts),
		NAMED("a number is digits that fit 64 bits", test_numbers),
		NAMED("a mark contains the ids up to its end that are no holes", test_marks),
		NAMED("a set has a limit", test_limit),
		NAMED("a set that cannot be split stays as it was", test_limit_keeps_the_set),
		NAMED("a copy has the same limit", test_limit_of_a_copy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("mark", tests, NULL, NULL);
}
