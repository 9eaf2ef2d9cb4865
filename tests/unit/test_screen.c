/* base/screen, base/sheet, base/measure, and the width of text: what people read on a terminal or in a pipe. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/measure.h"
#include "base/sheet.h"
#include "base/text.h"

enum { OUT_MAX = 64 * 1024 };

static struct screen
terminal(size_t width)
{
	struct screen s;

	screen_init(&s, SCREEN_NEVER, OUT_MAX);
	s.width = width;
	return s;
}

static void
assert_shows(struct screen *s, const char *wanted)
{
	assert_string_equal(buf_cstr(&s->out), wanted);
	screen_free(s);
}

static size_t
width(const char *text)
{
	return text_width(text, strlen(text));
}

static void
wide_characters_take_two_columns_and_marks_none(void **state)
{
	(void)state;
	assert_int_equal(width("riders"), 6);
	assert_int_equal(width("J\xc3\xbcrgen"), 6);
	assert_int_equal(width("e\xcc\x81t\xc3\xa9"), 3);		 /* e and a mark */
	assert_int_equal(width("\xe9\xa8\x8e\xe6\x89\x8b"), 4);		 /* two of Han */
	assert_int_equal(width("\xf0\x9f\x90\xb4"), 2);			 /* a horse */
	assert_int_equal(width(""), 0);
}

static void
a_line_ends_at_a_blank_or_where_it_must(void **state)
{
	(void)state;
	assert_int_equal(text_fold("one two three", 13, 7), 7);
	assert_int_equal(text_fold("one two three", 13, 8), 7);
	assert_int_equal(text_fold("one two three", 13, 6), 3);
	assert_int_equal(text_fold("abcdefghij", 10, 4), 4);
	assert_int_equal(text_fold("abc", 3, 80), 3);
	assert_int_equal(text_fold("\xe9\xa8\x8e\xe6\x89\x8b", 6, 3), 3); /* the second one does not fit whole */
	assert_int_equal(text_fold("\xe9\xa8\x8e", 3, 1), 3);		  /* at least one, or it would never end */
	assert_int_equal(text_fold("", 0, 4), 0);
}

static void
an_item_folds_below_its_text_on_a_terminal_alone(void **state)
{
	const struct screen_item item = { .indent = 2, .column = 8, .lead = "held:" };
	struct screen s = terminal(24);

	(void)state;
	screen_item(&s, &item, "a clock was wrong here");
	assert_shows(&s, "  held: a clock was\n        wrong here\n");
	s = terminal(0);
	screen_item(&s, &item, "a clock was wrong here");
	assert_shows(&s, "  held: a clock was wrong here\n");
	s = terminal(24);
	screen_item(&s, &(struct screen_item){ .column = 4, .lead = "longer than that:" }, "text of it");
	assert_shows(&s, "longer than that:\n  text of it\n");
}

static void
nothing_that_is_printed_steers_a_terminal(void **state)
{
	static const struct sheet_column columns[] = { { "t\033[2Jable", false, true }, { "n", true, false } };
	struct screen s = terminal(60);
	struct sheet t;

	(void)state;
	screen_fmt(&s, INK_BAD, "%s", "a\033[31m\nb\xe2\x80\xae");
	assert_shows(&s, "a\\x1b[31m\\nb\\u202e\n");
	s = terminal(60);
	sheet_init(&t, columns, 2);
	sheet_cell(&t, INK_PLAIN, "x\ry\xff");
	sheet_cell(&t, INK_PLAIN, "1");
	sheet_put(&t, &s);
	sheet_free(&t);
	assert_shows(&s, "t\\x1b[2Jable  n\nx\\ry\\xff      1\n");
}

static void
colours_stand_around_text_and_do_not_count(void **state)
{
	static const struct sheet_column columns[] = { { "a", false, false }, { "b", true, false } };
	struct screen s = terminal(60);
	struct sheet t;

	(void)state;
	s.colour = true;
	screen_line(&s, INK_GOOD, "in step");
	assert_shows(&s, "\033[32min step\033[0m\n");
	s = terminal(60);
	s.colour = true;
	sheet_init(&t, columns, 2);
	sheet_cell(&t, INK_BAD, "bert");
	sheet_cell(&t, INK_PLAIN, "12");
	sheet_put(&t, &s);
	sheet_free(&t);
	assert_shows(&s, "\033[2ma\033[0m      \033[2mb\033[0m\n\033[1;31mbert\033[0m  12\n");
}

static const struct sheet_column riders[] = { { "rider", false, false }, { "n", true, false }, { "note", false, true } };

static void
fill(struct sheet *t)
{
	sheet_init(t, riders, 3);
	sheet_cell(t, INK_PLAIN, "J\xc3\xbcrgen");
	sheet_cell(t, INK_PLAIN, "7");
	sheet_cell(t, INK_PLAIN, "rides on Mondays and on Tuesdays");
	sheet_cell(t, INK_PLAIN, "\xe9\xa8\x8e\xe6\x89\x8b");
	sheet_fmt(t, INK_PLAIN, "%d", 1234);
	sheet_cell(t, INK_PLAIN, NULL);
}

static void
columns_are_aligned_by_what_is_seen_and_fold_where_it_is_narrow(void **state)
{
	struct screen s = terminal(80);
	struct sheet t;

	(void)state;
	fill(&t);
	sheet_put(&t, &s);
	assert_shows(&s, "rider      n  note\nJ\xc3\xbcrgen     7  rides on Mondays and on Tuesdays\n\xe9\xa8\x8e\xe6\x89\x8b    1234\n");
	s = terminal(34);
	sheet_put(&t, &s);
	assert_shows(&s, "rider      n  note\nJ\xc3\xbcrgen     7  rides on Mondays and\n              on Tuesdays\n\xe9\xa8\x8e\xe6\x89\x8b    1234\n");
	s = terminal(24); /* no room for columns: one value a line */
	sheet_put(&t, &s);
	assert_shows(&s, "rider  J\xc3\xbcrgen\nn      7\nnote   rides on Mondays\n       and on Tuesdays\n\nrider  \xe9\xa8\x8e\xe6\x89\x8b\nn      1234\n");
	sheet_free(&t);
}

static void
a_long_cell_does_not_push_all_lines_of_a_pipe_apart(void **state)
{
	static const struct sheet_column columns[] = { { "key", false, true }, { "n", false, false } };
	struct screen s = terminal(0);
	char key[201];
	struct sheet t;

	(void)state;
	memset(key, 'k', sizeof key - 1);
	key[200] = '\0';
	sheet_init(&t, columns, 2);
	sheet_cell(&t, INK_PLAIN, key);
	sheet_cell(&t, INK_PLAIN, "1");
	sheet_cell(&t, INK_PLAIN, "short");
	sheet_cell(&t, INK_PLAIN, "2");
	sheet_put(&t, &s);
	sheet_free(&t);
	assert_non_null(strstr(buf_cstr(&s.out), "kkk  1\n"));
	assert_non_null(strstr(buf_cstr(&s.out), "\nshort                                             2\n"));
	screen_free(&s);
}

static void
numbers_are_readable(void **state)
{
	char out[MEASURE_MAX];

	(void)state;
	assert_string_equal(measure_size(0, out), "0 bytes");
	assert_string_equal(measure_size(1, out), "1 byte");
	assert_string_equal(measure_size(1023, out), "1023 bytes");
	assert_string_equal(measure_size(1024, out), "1.0 KiB");
	assert_string_equal(measure_size(3355443, out), "3.2 MiB");
	assert_string_equal(measure_size(1024 * 1024 - 1, out), "1.0 MiB");
	assert_string_equal(measure_size(UINT64_C(48) << 30, out), "48 GiB");
	assert_string_equal(measure_size(UINT64_MAX, out), "16384 PiB");
	assert_string_equal(measure_count(0, out), "0");
	assert_string_equal(measure_count(999, out), "999");
	assert_string_equal(measure_count(1000, out), "1,000");
	assert_string_equal(measure_count(UINT64_MAX, out), "18,446,744,073,709,551,615");
	assert_string_equal(measure_span(0, out), "less than 1 s");
	assert_string_equal(measure_span(90, out), "90 s");
	assert_string_equal(measure_span(150, out), "2 min");
	assert_string_equal(measure_span(7200, out), "2 h");
	assert_string_equal(measure_span(5 * 86400, out), "5 days");
}

/* A time of the database, so many seconds from now. */
static const char *
in(int64_t seconds, char text[MEASURE_MAX])
{
	time_t t = (time_t)(clock_wall_us() / 1000000 + seconds);
	struct tm tm;

	(void)strftime(text, MEASURE_MAX, "%Y-%m-%d %H:%M:%S.123456", gmtime_r(&t, &tm));
	return text;
}

static void
ages_are_told_from_now_and_old_ones_as_a_date(void **state)
{
	char out[MEASURE_MAX], text[MEASURE_MAX];

	(void)state;
	assert_string_equal(measure_age(NULL, out), "never");
	assert_string_equal(measure_age("", out), "never");
	assert_string_equal(measure_age(in(0, text), out), "just now");
	assert_string_equal(measure_age(in(-7300, text), out), "2 h ago");
	assert_string_equal(measure_age(in(-3 * 86400, text), out), "3 days ago");
	assert_string_equal(measure_age("2020-01-02 03:04:05.678901", out), "2020-01-02 03:04 UTC");
	assert_string_equal(measure_age("no time at all", out), "no time at all UTC");
	assert_memory_equal(measure_age(in(3600, text), out), text, 16); /* its clock is ahead */
}

/* stdout is no terminal here. */
static void
colours_are_for_terminals_or_for_whoever_asks(void **state)
{
	struct screen s;

	(void)state;
	screen_init(&s, SCREEN_AUTO, OUT_MAX);
	assert_false(s.colour);
	assert_int_equal(s.width, 0);
	screen_init(&s, SCREEN_ALWAYS, OUT_MAX);
	assert_true(s.colour);
	assert_int_equal(s.width, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wide_characters_take_two_columns_and_marks_none),
		cmocka_unit_test(a_line_ends_at_a_blank_or_where_it_must),
		cmocka_unit_test(an_item_folds_below_its_text_on_a_terminal_alone),
		cmocka_unit_test(nothing_that_is_printed_steers_a_terminal),
		cmocka_unit_test(colours_stand_around_text_and_do_not_count),
		cmocka_unit_test(columns_are_aligned_by_what_is_seen_and_fold_where_it_is_narrow),
		cmocka_unit_test(a_long_cell_does_not_push_all_lines_of_a_pipe_apart),
		cmocka_unit_test(numbers_are_readable),
		cmocka_unit_test(ages_are_told_from_now_and_old_ones_as_a_date),
		cmocka_unit_test(colours_are_for_terminals_or_for_whoever_asks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
