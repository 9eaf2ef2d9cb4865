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
	uint64_t lost, now;
	bool exceeds;
} cases[] = {
	{ { 50, 1000 }, 0, 0, false },
	{ { 50, 1000 }, 50, 0, false },	 /* a small table may lose everything */
	{ { 50, 1000 }, 51, 0, true },
	{ { 50, 1000 }, 26, 25, true },	 /* 26 of 51 */
	{ { 50, 1000 }, 26, 26, false }, /* 26 of 52 is no more than half */
	{ { 50, 1000 }, 25, 25, false }, /* of 50 */
	{ { 50, 1000 }, 1000, 1000, false },
	{ { 50, 1000 }, 1000, 999, true },
	{ { 50, 1000 }, 1001, 1000000, true },
	{ { 10, 1000 }, 11, 89, true },
	{ { 10, 1000 }, 10, 90, false },
	{ { 1, 1000 }, 1, 98, true },
	{ { 1, 1000 }, 1, 99, false },
	{ { 100, 1000 }, 1000, 0, false }, /* only the number counts */
	{ { 100, 1000 }, 1001, 0, true },
	{ { 100, 0 }, 1000000, 0, false }, /* off */
	{ { 33, 1000000000 }, 1000000000, 2030303031, false },
	{ { 33, 1000000000 }, 1000000000, 2030303030, true },
};

static void
a_share_and_a_number_say_what_is_too_much(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (allowance_exceeds(&cases[i].limit, cases[i].lost, cases[i].now) != cases[i].exceeds)
			fail_msg("case %zu", i);
}

static void
so_many_records_are_enough_and_one_less_is_not(void **state)
{
	(void)state;
	for (unsigned percent = 1; percent <= 100; percent++) {
		const struct conf_limit limit = { percent, 1000000 };

		for (uint64_t lost = 60; lost < 400; lost += 7) {
			uint64_t enough = allowance_enough(&limit, lost);

			assert_false(allowance_exceeds(&limit, lost, enough));
			if (enough > 0)
				assert_true(allowance_exceeds(&limit, lost, enough - 1));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_and_a_number_say_what_is_too_much),
		cmocka_unit_test(so_many_records_are_enough_and_one_less_is_not),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
