/* The plan that keeps nodes from giving one number to two rows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "db/numbering.h"

struct said {
	size_t n;
	char text[4096];
};

static void
hear(const char *finding, const char *remedy, void *arg)
{
	struct said *s = arg;

	s->n++;
	assert_in_range(strlen(s->text) + strlen(finding) + strlen(remedy), 1, sizeof s->text - 4);
	strncat(s->text, finding, sizeof s->text - strlen(s->text) - 1);
	strncat(s->text, " | ", sizeof s->text - strlen(s->text) - 1);
	strncat(s->text, remedy, sizeof s->text - strlen(s->text) - 1);
}

static struct said
judge(struct numbered_node *nodes, size_t n)
{
	struct said s = { 0 };

	bool fine = numbering_judge(nodes, n, hear, &s);

	assert_int_equal(fine, s.n == 0);
	return s;
}

static void
test_two_that_differ_need_nothing(void **state)
{
	struct numbered_node nodes[] = { { "ben", { 2, 1, 0 } }, { "anna", { 2, 2, 0 } } };

	(void)state;
	assert_int_equal(judge(nodes, 2).n, 0);
}

static void
test_both_ends_give_the_same_advice(void **state)
{
	struct numbered_node here[] = { { "anna", { 2, 1, 0 } }, { "ben", { 2, 1, 0 } } }, there[] = { { "ben", { 2, 1, 0 } }, { "anna", { 2, 1, 0 } } };
	struct said a = judge(here, 2), b = judge(there, 2);

	(void)state;
	assert_int_equal(a.n, 1);
	assert_string_equal(a.text, b.text);
	assert_non_null(strstr(a.text, "on ben run SET GLOBAL auto_increment_increment=2, GLOBAL auto_increment_offset=2"));
}

static void
test_a_server_without_numbering_gets_the_place_that_is_free(void **state)
{
	struct numbered_node nodes[] = { { "anna", { 1, 1, 0 } }, { "ben", { 3, 1, 0 } }, { "carl", { 3, 3, 0 } } };
	struct said s = judge(nodes, 3);

	(void)state;
	assert_int_equal(s.n, 1);
	assert_non_null(strstr(s.text, "node anna numbers new rows 1, 2, 3"));
	assert_non_null(strstr(s.text, "auto_increment_increment=3, GLOBAL auto_increment_offset=2"));
}

static void
test_the_step_has_room_for_every_node(void **state)
{
	struct numbered_node nodes[] = { { "anna", { 2, 1, 0 } }, { "ben", { 2, 2, 0 } }, { "carl", { 0, 0, 0 } } };
	struct said s = judge(nodes, 3);

	(void)state;
	assert_int_equal(s.n, 2); /* of carl nothing is known yet */
	assert_non_null(strstr(s.text, "on anna run SET GLOBAL auto_increment_increment=3, GLOBAL auto_increment_offset=1"));
	assert_non_null(strstr(s.text, "on ben run SET GLOBAL auto_increment_increment=3, GLOBAL auto_increment_offset=2"));
}

static void
test_an_offset_above_the_step_is_none(void **state)
{
	struct numbered_node nodes[] = { { "anna", { 2, 3, 0 } }, { "ben", { 2, 2, 0 } } };
	struct said s = judge(nodes, 2);

	(void)state;
	assert_int_equal(s.n, 1);
	assert_non_null(strstr(s.text, "the server ignores"));
	assert_non_null(strstr(s.text, "auto_increment_offset=1 into"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_that_differ_need_nothing),
		cmocka_unit_test(test_both_ends_give_the_same_advice),
		cmocka_unit_test(test_a_server_without_numbering_gets_the_place_that_is_free),
		cmocka_unit_test(test_the_step_has_room_for_every_node),
		cmocka_unit_test(test_an_offset_above_the_step_is_none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
