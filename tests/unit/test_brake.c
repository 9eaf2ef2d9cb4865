/* The brake on mass deletion in a tree, row by row. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files/brake.h"

static void
test_verdicts(void **state)
{
	static const struct {
		struct brake_facts f;
		enum brake_verdict want;
	} rows[] = {
		{ { .known = 0 }, BRAKE_PASS },
		{ { .known = 1000, .present = 1000 }, BRAKE_PASS },
		{ { .known = 1000, .present = 900, .deleted = 100 }, BRAKE_PASS }, /* exactly 10 % */
		{ { .known = 1000, .present = 899, .deleted = 101 }, BRAKE_HELD },
		{ { .known = 100, .present = 50, .deleted = 50 }, BRAKE_PASS }, /* exactly 50 files */
		{ { .known = 100, .present = 49, .deleted = 51 }, BRAKE_HELD },
		{ { .known = 100, .present = 49, .deleted = 51, .allowed = true }, BRAKE_PASS },
		{ { .known = 3, .present = 0, .deleted = 3 }, BRAKE_HELD }, /* emptied, however small */
		{ { .known = 3, .present = 0, .deleted = 3, .allowed = true }, BRAKE_PASS },
		{ { .known = 3, .present = 0, .deleted = 0 }, BRAKE_PASS }, /* what was not read is not deleted */
		{ { .known = 1000, .present = 1000, .changed = 500 }, BRAKE_PASS },
		{ { .known = 1000, .present = 1000, .changed = 501 }, BRAKE_HELD },
		{ { .known = 20, .present = 20, .changed = 20 }, BRAKE_PASS },
		{ { .known = 30, .present = 30, .changed = 21 }, BRAKE_HELD },
		{ { .known = UINT64_MAX, .present = 1, .deleted = UINT64_MAX - 1 }, BRAKE_HELD },
		{ { .known = 9, .present = 9, .marker_missing = true, .allowed = true }, BRAKE_OFFLINE }, /* no yes helps */
		{ { .known = 9, .present = 9, .root_unread = true, .allowed = true }, BRAKE_OFFLINE },
		{ { .known = 9, .present = 9, .other_filesystem = true }, BRAKE_OFFLINE },
		{ { .known = 9, .present = 9, .older_generation = true }, BRAKE_UNION },
		{ { .known = 100, .present = 1, .deleted = 99, .older_generation = true }, BRAKE_UNION },
		{ { .known = 100, .present = 1, .deleted = 99, .older_generation = true, .marker_missing = true }, BRAKE_OFFLINE },
	};
	const struct brake_limit limit = { .files = 50, .percent = 10 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char why[BRAKE_TEXT_MAX];
		enum brake_verdict got = brake_judge(&limit, &rows[i].f, why);

		if (got != rows[i].want)
			fail_msg("row %zu: %d (%s)", i, (int)got, why);
		assert_int_equal(why[0] == '\0', got == BRAKE_PASS);
	}
}

static void
test_off_never_holds_a_part(void **state)
{
	struct brake_facts f = { .known = 1000, .present = 1, .deleted = 999 };
	const struct brake_limit l = { .files = UINT64_MAX, .percent = 100 };
	char why[BRAKE_TEXT_MAX];

	(void)state;
	assert_int_equal(brake_judge(&l, &f, why), BRAKE_PASS);
	f.present = 0;
	f.deleted = 1000;
	assert_int_equal(brake_judge(&l, &f, why), BRAKE_HELD); /* emptied: still */
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("what passes, what is held", test_verdicts),
		NAMED("without a limit only an emptied folder is held", test_off_never_holds_a_part),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("brake", tests, NULL, NULL);
}
