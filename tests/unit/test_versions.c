/* Sums of decimal texts, versions of single columns, and the verdict of merge: every pair of versions of a column
 * against the rule, both ways round. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "apply/merge.h"
#include "base/decimal.h"
#include "seed.h"

#define T1 "2026-11-21 02:03:04.000001"
#define T2 "2026-11-21 02:03:04.000002"

/* --- decimals --- */

static const struct {
	const char *a, *b, *sum; /* NULL: refused */
} sums[] = {
	{ "0", "0", "0" },
	{ "1", "2", "3" },
	{ "-1", "1", "0" },
	{ "1", "-2", "-1" },
	{ "-5", "3", "-2" },
	{ "-5", "-7", "-12" },
	{ "99", "1", "100" },
	{ "100", "-1", "99" },
	{ "0.25", "-1", "-0.75" },
	{ "-0.00", "0", "0.00" },
	{ "2.50", "2.5", "5.00" },
	{ "000005", "-0007", "-2" },
	{ "18446744073709551615", "18446744073709551615", "36893488147419103230" },
	{ "99999999999999999999999999999999999.999999999999999999999999999999", "0.000000000000000000000000000001",
	    "100000000000000000000000000000000000.000000000000000000000000000000" },
	{ "-99999999999999999999999999999999999.999999999999999999999999999999", "99999999999999999999999999999999999",
	    "-0.999999999999999999999999999999" },
	{ "", "1", NULL },
	{ "-", "1", NULL },
	{ "1.", "1", NULL },
	{ ".5", "1", NULL },
	{ "1e3", "1", NULL },
	{ "+1", "1", NULL },
	{ "1 ", "1", NULL },
	{ "1.2.3", "1", NULL },
	{ "--1", "1", NULL },
};

static void
test_sums(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof sums / sizeof sums[0]; i++) {
		const char *a = sums[i / 2].a, *b = sums[i / 2].b, *first = i % 2 == 0 ? a : b, *second = i % 2 == 0 ? b : a;
		struct buf out;
		bool ok;

		buf_init(&out, 1000);
		ok = decimal_add(&out, first, strlen(first), second, strlen(second));
		assert_int_equal(ok, sums[i / 2].sum != NULL);
		if (ok)
			assert_string_equal(buf_cstr(&out), sums[i / 2].sum);
		buf_free(&out);
	}
}

static void
test_long_sums(void **state)
{
	char nines[DECIMAL_DIGITS + 2];
	struct buf out;

	(void)state;
	memset(nines, '9', sizeof nines);
	nines[DECIMAL_DIGITS] = '\0';
	buf_init(&out, 1000);
	assert_true(decimal_add(&out, nines, DECIMAL_DIGITS, "0", 1));
	assert_string_equal(buf_cstr(&out), nines);
	buf_reset(&out);
	assert_false(decimal_add(&out, nines, DECIMAL_DIGITS, "1", 1)); /* a digit more than there may be */
	nines[DECIMAL_DIGITS] = '9';
	assert_false(decimal_is(nines, DECIMAL_DIGITS + 1));
	buf_free(&out);
}

static void
test_random_sums(void **state)
{
	struct seed *seed = *state;

	for (int i = 0; i < 2000; i++) {
		long long a = (long long)(seed_next(seed) % 2000000) - 1000000, b = (long long)(seed_next(seed) % 2000) - 1000;
		char x[40], y[40], want[40];
		struct buf out;

		(void)snprintf(x, sizeof x, "%lld", a);
		(void)snprintf(y, sizeof y, "%lld", b);
		(void)snprintf(want, sizeof want, "%lld", a + b);
		buf_init(&out, 100);
		assert_true(decimal_add(&out, x, strlen(x), y, strlen(y)));
		assert_string_equal(buf_cstr(&out), want);
		buf_free(&out);
	}
}

/* --- versions --- */

static struct column_version
version(const char *time, const char *node, bool weak, unsigned columns)
{
	struct column_version v = { .weak = weak };

	(void)snprintf(v.changed_at, sizeof v.changed_at, "%s", time);
	(void)snprintf(v.node, sizeof v.node, "%s", node);
	for (size_t i = 0; i < 16; i++)
		if ((columns & 1u << i) != 0)
			mask_set(&v.columns, i);
	return v;
}

static void
raise_by(struct versions *v, struct column_version with)
{
	struct err e;

	assert_true(versions_raise(v, &with, &e));
}

static void
assert_text(const struct versions *v, const char *want)
{
	struct buf out;

	buf_init(&out, VERSIONS_TEXT_MAX);
	versions_put(&out, v, NULL, 10);
	assert_string_equal(buf_cstr(&out), want);
	buf_free(&out);
}

static void
test_each_column_has_its_greatest(void **state)
{
	struct versions v = { 0 };
	struct mask out = { { 0 } };

	(void)state;
	raise_by(&v, version(T1, "anna", false, 1 | 2));
	raise_by(&v, version(T2, "anna", false, 2 | 512));
	assert_text(&v, "8000," T1 ",anna;4040," T2 ",anna");
	raise_by(&v, version(T1, "anna", false, 1 | 2 | 512)); /* again: nothing is greater */
	assert_text(&v, "8000," T1 ",anna;4040," T2 ",anna");
	raise_by(&v, version(T1, "bert", false, 1)); /* of equal times the node's name */
	raise_by(&v, version("2027-01-01 00:00:00.000000", "anna", true, 1 | 4)); /* weak: only where nothing is */
	assert_text(&v, "4040," T2 ",anna;8000," T1 ",bert;2000,2027-01-01 00:00:00.000000,anna,weak");
	assert_string_equal(versions_greatest(&v)->changed_at, T2);
	mask_set(&out, 1);
	mask_set(&out, 9);
	versions_drop(&v, &out);
	assert_int_equal(v.n, 2);
	assert_null(versions_of(&v, 1));
	assert_string_equal(versions_of(&v, 0)->node, "bert");
	versions_free(&v);
}

static void
test_texts_come_back(void **state)
{
	static const char text[] = "4040," T2 ",anna;8000," T1 ",bert;2000," T1 ",anna,weak";
	static const char *const bad[] = { "40," T1 ",anna", "404g," T1 ",anna", "4040,2026-11-21,anna", "4040," T1 ",", "4040," T1, "4040",
		"4040," T1 ",anna,strong", "4040," T1 ",anna,weak,weak", "0001," T1 ",anna", "4040," T1 ",anna;;", ";" };
	static const size_t turned[] = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 };
	struct versions v = { 0 };
	struct err e;

	(void)state;
	assert_true(versions_parse(&v, text, sizeof text - 1, NULL, 10, &e));
	assert_text(&v, text);
	versions_free(&v);
	assert_true(versions_parse(&v, text, sizeof text - 1, turned, 10, &e));
	assert_string_equal(versions_of(&v, 9)->node, "bert");
	assert_string_equal(versions_of(&v, 0)->changed_at, T2);
	versions_free(&v);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (versions_parse(&v, bad[i], strlen(bad[i]), NULL, 10, &e))
			fail_msg("taken: %s", bad[i]);
		versions_free(&v);
	}
}

/* --- merge --- */

enum { NONE, WEAK_1, WEAK_2, OLD, TIE_A, TIE_B, LATE, STATES };

/* What a side can have done to a column, from the lowest version to the greatest. */
static const struct column_version *
state_of(unsigned which, struct column_version out[1])
{
	static const struct {
		const char *time, *node;
		bool weak;
	} states[STATES] = {
		[WEAK_1] = { T1, "a", true }, [WEAK_2] = { T2, "a", true }, [OLD] = { "2026-11-20 00:00:00.000000", "z", false },
		[TIE_A] = { T1, "a", false }, [TIE_B] = { T1, "b", false }, [LATE] = { T2, "a", false },
	};

	if (which == NONE)
		return NULL;
	out[0] = version(states[which].time, states[which].node, states[which].weak, 1);
	return out;
}

static void
test_every_pair(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STATES * STATES * 4; i++) {
		unsigned a = i % STATES, b = i / STATES % STATES;
		struct column_version x, y;
		struct merge_facts here = { .theirs = state_of(a, &x), .ours = state_of(b, &y), .same = (i / STATES / STATES & 1) != 0,
			.stamped = (i / STATES / STATES & 2) != 0 };
		struct merge_facts there = { here.ours, here.theirs, here.same, here.stamped };
		struct merge_verdict v = merge_judge(&here), w = merge_judge(&there);
		unsigned loser = a < b ? a : b;

		assert_int_equal(v.take, a > b); /* the states stand in the order of their versions */
		assert_int_equal(v.conflict, loser > WEAK_2 && a != b && !here.same && !here.stamped);
		/* Both sides end with one value, and both know of the conflict. */
		assert_true(a == b || v.take != w.take);
		assert_int_equal(v.conflict, w.conflict);
	}
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		NAMED("decimal texts are added exactly, others refused", test_sums),
		NAMED("a sum that is too long is refused", test_long_sums),
		{ "random whole numbers add up as the machine's do", test_random_sums, NULL, NULL, &seed },
		NAMED("each column keeps its greatest version", test_each_column_has_its_greatest),
		NAMED("versions come back from their text, malformed ones are refused", test_texts_come_back),
		NAMED("merge: every pair of versions of a column, both ways round", test_every_pair),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
