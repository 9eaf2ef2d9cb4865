/* files/beside: the path of a version that lost; files/itemise: rsync's letters. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "files/beside.h"
#include "files/itemise.h"

static const int64_t when_ns = INT64_C(1795278600) * 1000000000 + 5; /* 2026-11-21 16:30:00 */

static void
check_name(const char *path, const char *want)
{
	struct buf out;

	buf_init(&out, 8192);
	beside_name(&out, path, "bert", when_ns);
	assert_string_equal(buf_cstr(&out), want);
	buf_free(&out);
}

static void
the_name_beside_has_node_and_time_before_the_extension(void **state)
{
	(void)state;
	check_name("photo.jpg", "photo.conflict-20261121-163000-bert.jpg");
	check_name("a.b/c", "a.b/c.conflict-20261121-163000-bert");
	check_name("a/.hidden", "a/.hidden.conflict-20261121-163000-bert");
	check_name("a/x.tar.gz", "a/x.tar.conflict-20261121-163000-bert.gz");
	check_name("x.no extension at all", "x.no extension at all.conflict-20261121-163000-bert");
}

static void
a_long_name_is_cut_between_characters_and_a_date_may_be_before_1970(void **state)
{
	char path[4 + 255 + 1] = "dir/", want[300];
	struct buf out;

	(void)state;
	for (size_t i = 4; i + 1 < sizeof path; i += 2) /* e with an accent: two bytes each, and one byte over */
		memcpy(path + i, "\xc3\xa9", 2);
	memcpy(path + sizeof path - 6, "x.jpg", 6);
	buf_init(&out, 8192);
	beside_name(&out, path, "bert", when_ns);
	assert_true(out.len - 4 <= 255 && out.len - 4 >= 253);
	memcpy(want, buf_cstr(&out), out.len + 1);
	assert_non_null(strstr(want, "\xc3\xa9.conflict-20261121-163000-bert.jpg"));
	buf_reset(&out);
	beside_name(&out, "a", "bert", INT64_C(-1000000000));
	assert_string_equal(buf_cstr(&out), "a.conflict-19691231-235959-bert");
	buf_free(&out);
}

static struct listing_row
row_of(char here, char listed)
{
	static const unsigned char one[CONTENT_BYTES] = { 1 }, two[CONTENT_BYTES] = { 2 };
	struct listing_row row = { .size = 10, .mtime_ns = 20, .mode = 0644, .facts = { .size = 10, .mtime_ns = 20, .mode = 0644, .uid = 5, .gid = 6 } };

	if (here != 0)
		what_set(&row.s.here, here, here == 'd' ? NULL : one);
	if (listed != 0)
		what_set(&row.s.listed, listed, listed == 'd' ? NULL : two);
	return row;
}

static void
check_letters(bool push, const struct listing_row *row, const struct listing_looks *k, const char *want, bool overwrites)
{
	struct item item;

	assert_int_equal(itemise(push, row, k, &item), want != NULL);
	if (want == NULL)
		return;
	assert_string_equal(item.letters, want);
	assert_int_equal(item.overwrites, overwrites);
}

static void
letters_are_those_of_rsync(void **state)
{
	const struct listing_looks sends = { .listed_mode = true }, takes = { .file_mode = 0664, .dir_mode = 0775, .own_uid = true, .uid = 5, .own_gid = true, .gid = 7 };
	struct listing_row row = row_of('f', 0);

	(void)state;
	check_letters(true, &row, &sends, "<f+++++++++", false);
	check_letters(false, &row, &sends, NULL, false); /* a pull deletes nothing */
	row = row_of(0, 'f');
	check_letters(true, &row, &sends, NULL, false);
	check_letters(false, &row, &takes, ">f+++++++++", false);
	row = row_of('f', 'f');
	check_letters(true, &row, &sends, "<fc........", true);
	check_letters(false, &row, &takes, ">fc..p.g...", true);
	row.size = 11;
	row.mtime_ns = 21;
	check_letters(true, &row, &sends, "<f.st......", true);
	row.s.listed = row.s.here;
	check_letters(true, &row, &sends, NULL, false); /* alike: time alone is nothing */
	row.facts.mode = 0600;
	check_letters(true, &row, &sends, ".f...p.....", false);
	row = row_of('d', 'f');
	check_letters(true, &row, &sends, "cd+++++++++", true);
	check_letters(false, &row, &sends, ">f+++++++++", false);
	row = row_of('l', 'l');
	check_letters(true, &row, &sends, "cLc........", true);
	row = row_of('l', 0);
	check_letters(true, &row, &sends, "cL+++++++++", false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_name_beside_has_node_and_time_before_the_extension),
		cmocka_unit_test(a_long_name_is_cut_between_characters_and_a_date_may_be_before_1970),
		cmocka_unit_test(letters_are_those_of_rsync),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
