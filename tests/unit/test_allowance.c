/* The rule of max_delete: what is too much. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "change/allowance.h"

static const struct {
	struct conf_limit limit;
	uint64_t lost, had;
	bool exceeds;
} cases[] = {
	{ { 50, 1000 }, 0, 0, false },
	{ { 50, 1000 }, 50, 50, false },   /* a small table may lose everything */
	{ { 50, 1000 }, 500, 50, false },  /* again and again */
	{ { 50, 1000 }, 51, 51, true },
	{ { 50, 1000 }, 26, 51, true },
	{ { 50, 1000 }, 26, 52, false },   /* no more than half */
	{ { 50, 1000 }, 1000, 2000, false },
	{ { 50, 1000 }, 1000, 1999, true },
	{ { 50, 1000 }, 1001, 1000000, true },
	{ { 10, 1000 }, 11, 100, true },
	{ { 10, 1000 }, 10, 100, false },
	{ { 1, 1000 }, 1, 99, true },
	{ { 1, 1000 }, 1, 100, false },
	{ { 100, 1000 }, 1000, 1000, false }, /* only the number counts */
	{ { 100, 1000 }, 1001, 1001, true },
	{ { 100, 0 }, 1000000, 1000000, false }, /* off */
};

static void
a_share_and_a_number_say_what_is_too_much(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (allowance_exceeds(&cases[i].limit, cases[i].lost, cases[i].had) != cases[i].exceeds)
			fail_msg("case %zu", i);
}

static void
counting_no_further_than_the_bound_says_the_same(void **state)
{
	(void)state;
	for (unsigned percent = 1; percent <= 100; percent += 3) {
		const struct conf_limit limit = { percent, 150 };

		for (uint64_t lost = 1; lost < 200; lost++) {
			uint64_t bound = allowance_bound(&limit, lost);

			for (uint64_t left = 0; left < 400; left += 3)
				assert_int_equal(allowance_exceeds(&limit, lost, lost + (left < bound ? left : bound)), allowance_exceeds(&limit, lost, lost + left));
		}
	}
}

static void
little_is_counted_and_nothing_where_the_number_decides(void **state)
{
	(void)state;
	assert_int_equal(allowance_bound(&(struct conf_limit){ 50, 1000 }, 1), ALLOWANCE_SMALL + 1);
	assert_int_equal(allowance_bound(&(struct conf_limit){ 50, 1000 }, 1000), 2001);
	assert_int_equal(allowance_bound(&(struct conf_limit){ 50, 1000 }, 1001), 0);
	assert_int_equal(allowance_bound(&(struct conf_limit){ 50, 1000000000 }, 1), ALLOWANCE_SMALL + 1);
	assert_int_equal(allowance_bound(&(struct conf_limit){ 100, 1000 }, 900), 0);
	assert_int_equal(allowance_bound(&(struct conf_limit){ 100, 0 }, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_and_a_number_say_what_is_too_much),
		cmocka_unit_test(counting_no_further_than_the_bound_says_the_same),
		cmocka_unit_test(little_is_counted_and_nothing_where_the_number_decides),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
