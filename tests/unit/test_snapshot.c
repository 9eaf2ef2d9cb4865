/* Which snapshots stay, and their lists of hashes. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files/checklist.h"
#include "files/snapshot.h"
#include <string.h>

enum {
	MANY = 16
};

static void
test_choice(void **state)
{
	static const struct {
		struct conf_keep keep;
		const char *stay; /* - goes, + stays, one a snapshot of the list below */
	} rows[] = {
		{ { 0, 0, 1 }, "---------+" },
		{ { 0, 0, 0 }, "---------+" }, /* the newest stays in any case */
		{ { 0, 0, 3 }, "-------+++" },
		{ { 1, 0, 1 }, "---------+" },
		{ { 2, 0, 1 }, "-------+-+" }, /* the newest of each day */
		{ { 3, 0, 1 }, "------++-+" },
		{ { 100, 0, 1 }, "+-++++++-+" },
		{ { 0, 1, 1 }, "---------+" },
		{ { 0, 2, 1 }, "------+--+" }, /* Sunday and Monday are two weeks */
		{ { 0, 3, 1 }, "----+-+--+" }, /* over the end of a year */
		{ { 0, 9, 1 }, "+--++-+--+" },
		{ { 2, 3, 4 }, "----+-++++" },
	};
	static const char names[][SNAPSHOT_NAME] = {
		"2023-03-01_120000", /* a Wednesday */
		"2024-02-28_120000", "2024-02-28_130000", "2024-02-29_120000", /* leap year; Wednesday, Thursday */
		"2024-12-29_120000", /* a Sunday */
		"2024-12-30_120000", "2025-01-05_235959", /* Monday to Sunday, one week */
		"2025-01-06_000000", "2025-01-07_090000", "2025-01-07_100000", /* Monday, Tuesday */
	};
	enum { N = sizeof names / sizeof names[0] };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char got[N + 1] = "";
		bool go[N];

		rotation_choose(names, N, &rows[i].keep, go);
		for (size_t k = 0; k < N; k++)
			got[k] = go[k] ? '-' : '+';
		if (strcmp(got, rows[i].stay) != 0)
			fail_msg("row %zu: %s, not %s", i, got, rows[i].stay);
	}
}

static void
test_stopped(void **state)
{
	const struct conf_keep keep = { 7, 4, 3 };
	static const char old[][SNAPSHOT_NAME] = { "2001-01-01_000000", "2001-01-02_000000" };
	bool go[2] = { true, true };

	(void)state;
	rotation_choose(old, 2, &keep, go); /* years ago, and still the last there are */
	assert_false(go[0] || go[1]);
	rotation_choose(old, 0, &keep, go);
	rotation_choose(old, 1, &keep, go);
	assert_false(go[0]);
}

static void
test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "2026-11-21", "2026-11-21_163000.partial", "2026-11-21 163000", "x026-11-21_163000", "2026-11-21_1630000" };

	(void)state;
	assert_true(rotation_name_ok("2026-11-21_163000"));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(rotation_name_ok(bad[i]));
}

static void
test_lists(void **state)
{
	static const char *const paths[] = { "a", "a\nb", "a\rb", "a/ b ", "a\\n", "d/\xff", "z" };
	unsigned char sha[CONTENT_BYTES], got[CONTENT_BYTES];
	struct checklist *c;
	struct err e;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		memset(sha, (int)i, sizeof sha);
		assert_true(checklist_put(f, sha, paths[i]));
	}
	(void)fputs("no line of ours\n", f);
	rewind(f);
	assert_true(checklist_new(f, &c, &e));
	assert_true(checklist_any(c));
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		memset(sha, (int)i, sizeof sha);
		if (i == 5)
			assert_false(checklist_find(c, "b", got)); /* between two that are there */
		if (i != 2 && !(checklist_find(c, paths[i], got) && memcmp(got, sha, sizeof sha) == 0)) /* one is passed over */
			fail_msg("%s", paths[i]);
	}
	assert_false(checklist_find(c, "zz", got) || checklist_any(c));
	checklist_free(c);
}

static void
test_passed(void **state)
{
	static const char *const paths[] = { "a", "b", "c", "d", "e" };
	unsigned char sha[CONTENT_BYTES] = { 0 };
	struct checklist *c;
	struct err e;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		assert_true(checklist_put(f, sha, paths[i]));
	rewind(f);
	assert_true(checklist_new(f, &c, &e));
	assert_null(checklist_passed(c, "a"));
	assert_true(checklist_find(c, "a", sha));
	assert_string_equal(checklist_passed(c, "d"), "b");
	assert_string_equal(checklist_passed(c, "d"), "c");
	assert_null(checklist_passed(c, "d"));
	assert_true(checklist_find(c, "d", sha));
	assert_string_equal(checklist_passed(c, NULL), "e");
	assert_null(checklist_passed(c, NULL));
	checklist_free(c);
}

static void
test_no_list(void **state)
{
	unsigned char got[CONTENT_BYTES];
	struct checklist *c;
	struct err e;

	(void)state;
	assert_true(checklist_new(NULL, &c, &e));
	assert_false(checklist_any(c) || checklist_find(c, "a", got));
	assert_null(checklist_passed(c, NULL));
	checklist_free(c);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("the newest of days and weeks stay", test_choice),
		NAMED("when backups have stopped nothing goes", test_stopped),
		NAMED("names of snapshots", test_names),
		NAMED("a list of hashes is read back", test_lists),
		NAMED("what was not asked for of a list is told", test_passed),
		NAMED("where there is no list nothing is found", test_no_list),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
