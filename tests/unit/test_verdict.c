/* files/verdict: what becomes of a path, for every mode and every way in which three contents can be alike. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "files/verdict.h"

/* One letter a content: '-' nothing, '.' not even a row of it, 'd' a directory, any other a file. */
static struct what
of(char letter)
{
	unsigned char hash[CONTENT_BYTES];
	struct what w = { .len = 0 };

	memset(hash, letter, sizeof hash);
	if (letter == 'd')
		what_set(&w, 'd', NULL);
	else if (letter != '-' && letter != '.')
		what_set(&w, 'f', hash);
	return w;
}

/* Folder, list, base. */
static enum verdict_act
judge(enum tree_mode mode, bool sends, const char *three)
{
	const struct standing s = { .here = of(three[0]), .listed = of(three[1]), .base = of(three[2]), .row = three[1] != '.' };

	return verdict_judge(mode, sends, &s);
}

static void
what_is_alike_is_left_alone_in_every_mode(void **state)
{
	(void)state;
	for (int mode = TREE_MIRROR; mode <= TREE_PULL; mode++)
		for (int sends = 0; sends < 2; sends++) {
			assert_int_equal(judge((enum tree_mode)mode, sends, "aaa"), VERDICT_NOTHING);
			assert_int_equal(judge((enum tree_mode)mode, sends, "---"), VERDICT_NOTHING);
			assert_int_equal(judge((enum tree_mode)mode, sends, "aab"), VERDICT_AGREE);
			assert_int_equal(judge((enum tree_mode)mode, sends, "dd-"), VERDICT_AGREE);
			assert_int_equal(judge((enum tree_mode)mode, sends, "--a"), VERDICT_AGREE);
		}
}

static void
a_mirror_has_one_author(void **state)
{
	static const char *const unlike[] = { "ab-", "aba", "abb", "abc", "a--", "a-a", "-a-", "-aa", "-ab", "da-", "ad-" };

	(void)state;
	for (size_t i = 0; i < sizeof unlike / sizeof unlike[0]; i++) {
		assert_int_equal(judge(TREE_MIRROR, true, unlike[i]), VERDICT_TELL);
		assert_int_equal(judge(TREE_MIRROR, false, unlike[i]), VERDICT_TAKE);
	}
}

static void
push_and_pull_delete_nothing(void **state)
{
	(void)state;
	assert_int_equal(judge(TREE_PUSH, true, "a--"), VERDICT_TELL);
	assert_int_equal(judge(TREE_PUSH, true, "aba"), VERDICT_TELL);
	assert_int_equal(judge(TREE_PUSH, true, "-aa"), VERDICT_NOTHING);
	assert_int_equal(judge(TREE_PULL, false, "-a-"), VERDICT_TAKE);
	assert_int_equal(judge(TREE_PULL, false, "abb"), VERDICT_TAKE);
	assert_int_equal(judge(TREE_PULL, false, "a--"), VERDICT_NOTHING);
	assert_int_equal(judge(TREE_PULL, false, "a-a"), VERDICT_NOTHING);
}

static void
of_two_sides_the_one_that_changed_counts_and_a_change_beats_a_deletion(void **state)
{
	struct standing s = { .here = of('a'), .listed = of('b'), .base = of('c'), .row = true };

	(void)state;
	assert_int_equal(judge(TREE_TWO_WAY, true, "a--"), VERDICT_TELL);
	assert_int_equal(judge(TREE_TWO_WAY, true, "abb"), VERDICT_TELL);
	assert_int_equal(judge(TREE_TWO_WAY, true, "-bb"), VERDICT_TELL); /* deleted here */
	assert_int_equal(judge(TREE_TWO_WAY, true, "aba"), VERDICT_TAKE);
	assert_int_equal(judge(TREE_TWO_WAY, true, "-a-"), VERDICT_TAKE);
	assert_int_equal(judge(TREE_TWO_WAY, true, "a-a"), VERDICT_TAKE); /* deleted there */
	assert_int_equal(judge(TREE_TWO_WAY, true, "a-b"), VERDICT_TELL); /* deleted there, changed here */
	assert_int_equal(judge(TREE_TWO_WAY, true, "-ab"), VERDICT_TAKE); /* changed there, deleted here */
	assert_int_equal(verdict_judge(TREE_TWO_WAY, true, &s), VERDICT_TELL);
	s = (struct standing){ .here = of('a'), .base = of('a'), .row = true, .unseen = true };
	assert_int_equal(verdict_judge(TREE_TWO_WAY, true, &s), VERDICT_TELL); /* deleted there unseen, after it was told */
	s = (struct standing){ .here = of('a'), .listed = of('b'), .base = of('c'), .row = true };
	s.theirs = true;
	assert_int_equal(verdict_judge(TREE_TWO_WAY, true, &s), VERDICT_TAKE);
}

static void
a_list_that_lost_its_rows_deletes_nothing(void **state)
{
	(void)state;
	assert_int_equal(judge(TREE_MIRROR, false, "a.a"), VERDICT_NOTHING);
	assert_int_equal(judge(TREE_MIRROR, false, "a.b"), VERDICT_NOTHING);
	assert_int_equal(judge(TREE_TWO_WAY, true, "a.a"), VERDICT_TELL);
	assert_int_equal(judge(TREE_TWO_WAY, true, "a.b"), VERDICT_TELL);
	assert_int_equal(judge(TREE_MIRROR, false, "a.-"), VERDICT_TAKE); /* made on the wrong side */
	assert_int_equal(judge(TREE_TWO_WAY, true, "a.-"), VERDICT_TELL);
}

static void
only_well_formed_contents_are_read(void **state)
{
	unsigned char bytes[WHAT_MAX + 1] = { 'f' };
	struct what w;

	(void)state;
	assert_true(what_read(&w, bytes, WHAT_MAX));
	assert_int_equal(what_kind(&w), 'f');
	assert_false(what_read(&w, bytes, WHAT_MAX - 1));
	assert_false(what_read(&w, bytes, WHAT_MAX + 1));
	assert_true(what_read(&w, "d", 1));
	assert_false(what_read(&w, "f", 1));
	bytes[0] = 'x';
	assert_false(what_read(&w, bytes, WHAT_MAX));
	bytes[0] = 'd';
	assert_false(what_read(&w, bytes, WHAT_MAX));
	assert_true(what_read(&w, "", 0));
	assert_int_equal(what_kind(&w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_alike_is_left_alone_in_every_mode), cmocka_unit_test(a_mirror_has_one_author),
		cmocka_unit_test(push_and_pull_delete_nothing), cmocka_unit_test(of_two_sides_the_one_that_changed_counts_and_a_change_beats_a_deletion),
		cmocka_unit_test(a_list_that_lost_its_rows_deletes_nothing), cmocka_unit_test(only_well_formed_contents_are_read),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
