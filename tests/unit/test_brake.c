/* The brake on mass deletion in a tree, row by row. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

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
			fail_msg("row %zu: %s (%s)", i, brake_word(got), why);
		assert_int_equal(why[0] == '\0', got == BRAKE_PASS);
	}
}

static void
test_limits(void **state)
{
	static const struct {
		const char *text;
		uint64_t files;
		unsigned percent;
	} good[] = {
		{ "50 files, 10%", 50, 10 }, { "10%, 50 files", 50, 10 }, { "50, 10%", 50, 10 }, { "50 files", 50, 0 }, { "10%", 0, 10 }, { "1 file", 1, 0 },
		{ "0%", 0, 0 }, { "  50 files ,10%  ", 50, 10 }, { "off", UINT64_MAX, 100 },
	};
	static const char *const bad[] = { "", ",", "50 files,", "-1", "101%", "10 %", "50 fles", "50 files, 60 files", "10%, 20%", "50 files 10%", "on", "+5", "99999999999999999999" };
	struct brake_limit l;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!brake_parse(good[i].text, &l) || l.files != good[i].files || l.percent != good[i].percent)
			fail_msg("%s", good[i].text);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (brake_parse(bad[i], &l))
			fail_msg("accepted: %s", bad[i]);
}

static void
test_off_never_holds_a_part(void **state)
{
	struct brake_facts f = { .known = 1000, .present = 1, .deleted = 999 };
	struct brake_limit l;
	char why[BRAKE_TEXT_MAX];

	(void)state;
	assert_true(brake_parse("off", &l));
	assert_int_equal(brake_judge(&l, &f, why), BRAKE_PASS);
	f.present = 0;
	f.deleted = 1000;
	assert_int_equal(brake_judge(&l, &f, why), BRAKE_HELD); /* emptied: still */
}

static void
test_covers(void **state)
{
	static const char *const some[] = { "a/b", "c" }, *const all[] = { "" };

	(void)state;
	assert_true(brake_covers(some, 2, "a/b") && brake_covers(some, 2, "a/b/x/y") && brake_covers(some, 2, "c/d") && brake_covers(all, 1, "x"));
	assert_false(brake_covers(some, 2, "a") || brake_covers(some, 2, "a/bc") || brake_covers(some, 2, "cc") || brake_covers(some, 0, "c"));
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("what passes, what is held", test_verdicts),
		NAMED("max_delete is a number of files, a share, or both", test_limits),
		NAMED("without a limit only an emptied folder is held", test_off_never_holds_a_part),
		NAMED("what lies in a subtree that was not read", test_covers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("brake", tests, NULL, NULL);
}
