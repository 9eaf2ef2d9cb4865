/* wire/parcel: what is written is read back, and nothing else is taken. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/parcel.h"

static const unsigned char hash[PARCEL_HASH] = { 0xab, 0x01, [31] = 0xff };

#define HASH "ab01000000000000000000000000000000000000000000000000000000" "0000ff"

static void
a_call_and_its_items_come_back(void **state)
{
	const struct parcel_call put = { PARCEL_PUT, "uploads" };
	struct parcel_item block = { .at = 7, .data = "\n[\"", .len = 3 }, list = { .list = true, .data = "xy", .len = 2 }, got;
	struct parcel_call c;
	struct buf b;
	struct err e;
	size_t at;
	bool more;

	(void)state;
	memcpy(block.hash, hash, sizeof hash);
	memcpy(list.hash, hash, sizeof hash);
	buf_init(&b, 4096);
	parcel_put_call(&b, &put);
	parcel_put_item(&b, &block);
	parcel_put_item(&b, &list);
	assert_true(buf_check(&b, "a call", &e));
	assert_true(parcel_parse_call(b.data, b.len, &c, &at, &e));
	assert_int_equal(c.kind, PARCEL_PUT);
	assert_string_equal(c.tree, "uploads");
	assert_true(parcel_next_item(b.data, b.len, &at, &got, &more, &e) && more);
	assert_memory_equal(got.hash, hash, sizeof hash);
	assert_true(!got.list && got.at == 7 && got.len == 3 && memcmp(got.data, "\n[\"", 3) == 0);
	assert_true(parcel_next_item(b.data, b.len, &at, &got, &more, &e) && more && got.list && got.len == 2);
	assert_true(parcel_next_item(b.data, b.len, &at, &got, &more, &e) && !more);
	/* A byte less, and the last one is not whole. */
	assert_true(parcel_parse_call(b.data, b.len - 1, &c, &at, &e) && parcel_next_item(b.data, b.len - 1, &at, &got, &more, &e));
	assert_false(parcel_next_item(b.data, b.len - 1, &at, &got, &more, &e));
	buf_free(&b);
}

static void
an_answer_and_its_needs_come_back(void **state)
{
	const struct parcel_answer full = { PARCEL_READY, true };
	struct parcel_need run = { .size = 5000000, .from = 2, .count = 3 }, list = { .size = 5000000, .list = true }, got;
	struct parcel_answer a;
	struct buf b;
	struct err e;
	size_t at;
	bool more;

	(void)state;
	memcpy(run.hash, hash, sizeof hash);
	memcpy(list.hash, hash, sizeof hash);
	buf_init(&b, 4096);
	parcel_put_answer(&b, &full);
	parcel_put_need(&b, &run);
	parcel_put_need(&b, &list);
	assert_true(parcel_parse_answer(b.data, b.len, &a, &at, &e) && a.state == PARCEL_READY && a.more);
	assert_true(parcel_next_need(b.data, b.len, &at, &got, &more, &e) && more && !got.list && got.size == 5000000 && got.from == 2 && got.count == 3);
	assert_true(parcel_next_need(b.data, b.len, &at, &got, &more, &e) && more && got.list);
	assert_true(parcel_next_need(b.data, b.len, &at, &got, &more, &e) && !more);
	buf_free(&b);
}

static void
no_call(const char *text)
{
	struct parcel_call c;
	struct err e;
	size_t at;

	if (parcel_parse_call(text, strlen(text), &c, &at, &e))
		fail_msg("taken: %s", text);
}

static void
no_item(const char *text)
{
	struct parcel_item item;
	struct err e;
	size_t at = 0;
	bool more;

	if (parcel_next_item(text, strlen(text), &at, &item, &more, &e))
		fail_msg("taken: %s", text);
}

static void
nothing_else_is_taken(void **state)
{
	(void)state;
	no_call("");
	no_call("[\"want\",\"1\",\"uploads\"]");
	no_call("[\"want\",\"2\",\"uploads\"]\n");
	no_call("[\"want\",\"1\",\"uploads\"]\nmore");
	no_call("[\"wants\",\"1\",\"uploads\"]\n");
	no_call("[\"want\",\"1\",\"\"]\n");
	no_call("[\"want\",\"1\",\"a-name-of-more-than-thirty-two-bytes\"]\n");
	no_call("[\"want\",\"1\",\"a\\u0000b\"]\n");
	no_call("[\"want\",\"1\",\"a\",\"b\"]\n");
	no_item("[\"" HASH "\",\"0\",\"3\"]\nab");
	no_item("[\"" HASH "\",\"0\",\"18446744073709551615\"]\nab");
	no_item("[\"" HASH "\",\"0\",\"1048577\"]\n");
	no_item("[\"" HASH "0\",\"0\",\"0\"]\n");
	no_item("[\"" HASH "\",\"-1\",\"0\"]\n");
	no_item("[\"AB01\",\"0\",\"0\"]\n");
	no_item("[null,\"0\",\"0\"]\n");
}

static void
a_question_about_paths_comes_back(void **state)
{
	const struct parcel_call lack = { PARCEL_LACK, "uploads" };
	unsigned char path[PARCEL_PATH];
	struct parcel_call c;
	struct buf b;
	struct err e;
	bool more = false;
	size_t at;

	(void)state;
	buf_init(&b, 4096);
	parcel_put_call(&b, &lack);
	parcel_put_path(&b, hash);
	parcel_put_path(&b, hash + PARCEL_PATH);
	assert_true(buf_check(&b, "a call", &e) && parcel_parse_call(b.data, b.len, &c, &at, &e));
	assert_int_equal(c.kind, PARCEL_LACK);
	assert_true(parcel_next_path(b.data, b.len, &at, path, &more, &e) && more);
	assert_memory_equal(path, hash, sizeof path);
	assert_true(parcel_next_path(b.data, b.len, &at, path, &more, &e) && more);
	assert_memory_equal(path, hash + PARCEL_PATH, sizeof path);
	assert_true(parcel_next_path(b.data, b.len, &at, path, &more, &e) && !more);
	/* A digit less, or more. */
	assert_true(parcel_parse_call("[\"lack\",\"1\",\"u\"]\n[\"0\"]\n", 23, &c, &at, &e));
	assert_false(parcel_next_path("[\"lack\",\"1\",\"u\"]\n[\"0\"]\n", 23, &at, path, &more, &e));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_and_its_items_come_back), cmocka_unit_test(an_answer_and_its_needs_come_back), cmocka_unit_test(nothing_else_is_taken),
		cmocka_unit_test(a_question_about_paths_comes_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
