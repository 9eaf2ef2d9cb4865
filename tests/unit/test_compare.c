/* The messages of a comparison: every one there and back, everything malformed refused; keys, ranges and
 * definitions judged; lists and sums. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/definition.h"

enum {
	TEXT_MAX = 1024 * 1024
};

static char name_id[] = "id", name_v[] = "v", name_b[] = "b", type_int[] = "int(11)", type_text[] = "varchar(40) utf8mb4_general_ci",
	    type_bytes[] = "varbinary(8)", utf8[] = "utf8mb4", none[] = "", name_t[] = "t";

/* t (id int, v varchar(40), b varbinary(8)); the key: the first nkey of the columns in order. */
struct sample {
	struct column columns[3];
	struct table table;
};

static void
sample_init(struct sample *s, size_t nkey, const size_t *key)
{
	memset(s, 0, sizeof *s);
	s->columns[0] = (struct column){ .name = name_id, .type = type_int, .charset = none, .kind = COLUMN_PLAIN, .integer = true };
	s->columns[1] = (struct column){ .name = name_v, .type = type_text, .charset = utf8, .kind = COLUMN_TEXT, .octets = 160 };
	s->columns[2] = (struct column){ .name = name_b, .type = type_bytes, .charset = none, .kind = COLUMN_BYTES, .octets = 8 };
	s->table = (struct table){ .name = name_t, .columns = s->columns, .ncolumns = 3, .nkey = nkey };
	memcpy(s->table.key, key, nkey * sizeof *key);
}

static const size_t by_id[] = { 0 }, by_v[] = { 1 }, by_both[] = { 0, 1 }, by_bytes[] = { 2 };

/* A reader over a copy of exactly the text's length, so that a read beside it is seen. */
struct body {
	char *data;
	struct compare_reader reader;
};

static void
open_body(struct body *b, const char *text, size_t len)
{
	b->data = malloc(len > 0 ? len : 1);
	assert_non_null(b->data);
	if (len > 0)
		memcpy(b->data, text, len);
	compare_reader_init(&b->reader, b->data, len);
}

/* --- questions --- */

static void
a_question_comes_back_as_it_was(void **state)
{
	static const enum compare_ask asks[] = { ASK_SUMS, ASK_QUICK, ASK_ROWS, ASK_KEYS, ASK_KEEP, ASK_QUEUE, ASK_FILL, ASK_FETCH, ASK_AGAIN };
	struct sample s;

	(void)state;
	sample_init(&s, 2, by_both);
	for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
		struct compare_question q = { .ask = asks[i], .seen = { .epoch = i * 77 }, .versions = i % 2 == 1, .was = i % 2 == 0 ? "id int(11), a, b varchar(3)" : NULL };
		struct compare_head h;
		struct err e = { 0 };
		struct buf out;
		struct body b;
		bool more;

		(void)snprintf(q.incarnation, sizeof q.incarnation, "%s", i == 0 ? "" : "0123456789abcdef0123456789abcdef");
		(void)snprintf(q.seen.stamp, sizeof q.seen.stamp, "%s", i == 0 ? "" : "0123456789abcdef");
		buf_init(&out, TEXT_MAX);
		compare_put_question(&out, &q, &s.table);
		open_body(&b, out.data, out.len);
		assert_true(compare_parse_question(&b.reader, &h, &e));
		assert_int_equal(h.question.ask, q.ask);
		assert_string_equal(h.question.incarnation, q.incarnation);
		assert_string_equal(h.question.seen.stamp, q.seen.stamp);
		assert_true(h.question.seen.epoch == q.seen.epoch && h.question.versions == q.versions);
		assert_int_equal(h.question.was == NULL, q.was == NULL);
		assert_true(q.was == NULL || strcmp(h.question.was, q.was) == 0);
		assert_string_equal(h.section.table, "t");
		assert_int_equal(h.nkey, 2);
		assert_string_equal(h.key[1].data, "v");
		assert_true(compare_next(&b.reader, &more, &e) && !more);
		message_section_free(&h.section);
		free(b.data);
		buf_free(&out);
	}
}

static void
the_last_key_of_a_page_comes_back_as_it_was(void **state)
{
	static const struct {
		const char *key;
		size_t len;
		uint64_t about;
	} lasts[] = { { "17", 2, 0 }, { NULL, 0, UINT64_MAX }, { "a\"\0b", 4, 5 }, { "", 0, 1 } };
	static const char *const wrong[] = { "", "[]\n", "[\"1\"]\n", "[\"1\",\"x\"]\n", "[\"1\",null]\n", "[\"1\",\"-1\"]\n", "[\"1\",\"1\",\"1\"]\n" };

	(void)state;
	for (size_t i = 0; i < sizeof lasts / sizeof lasts[0]; i++) {
		struct line_value key;
		uint64_t about = 7;
		struct err e = { 0 };
		struct buf out;
		struct body b;

		buf_init(&out, TEXT_MAX);
		compare_put_last(&out, lasts[i].key, lasts[i].len, lasts[i].about);
		open_body(&b, out.data, out.len);
		assert_true(compare_parse_last(&b.reader, &key, &about, &e));
		assert_true((key.data == NULL) == (lasts[i].key == NULL) && key.len == lasts[i].len && about == lasts[i].about);
		assert_true(key.data == NULL || memcmp(key.data, lasts[i].key, key.len) == 0);
		free(b.data);
		buf_free(&out);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct line_value key;
		uint64_t about;
		struct err e = { 0 };
		struct body b;

		open_body(&b, wrong[i], strlen(wrong[i]));
		assert_false(compare_parse_last(&b.reader, &key, &about, &e));
		free(b.data);
	}
}

static void
malformed_questions_are_refused(void **state)
{
	static const char section[] = "{\"table\":\"t\",\"columns\":[[\"id\",\"int(11)\"]]}\n";
	static const char *const texts[] = {
		"", "\n", "[]\n", "{}\n", "[\"compare\"]\n", "[\"compare\",\"1\",\"sums\",\"\",\"0\",\"\",null]",
		"[\"compare\",\"2\",\"sums\",\"\",\"0\",\"\",null]\n", "[\"compare\",\"1\",\"all\",\"\",\"0\",\"\",null]\n",
		"[\"compare\",\"1\",null,\"\",\"0\",\"\",null]\n", "[\"compare\",\"1\",\"sums\",\"x\",\"0\",\"\",null]\n",
		"[\"compare\",\"1\",\"sums\",\"\",\"-1\",\"\",null]\n", "[\"compare\",\"1\",\"sums\",\"\",\"99999999999999999999\",\"\",null]\n",
		"[\"compare\",\"1\",\"sums\",\"\",\"0\",\"0123\",null]\n", "[\"compare\",\"1\",\"sums\",\"\",\"0\",\"\",\"yes\"]\n",
		"[\"compare\",\"1\",\"sums\",\"\",\"0\",\"\",null,null]\n", "[\"compare\",\"1\",\"sums\\u0000\",\"\",\"0\",\"\",null]\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct compare_head h;
		struct err e = { 0 };
		struct buf all;
		struct body b;

		buf_init(&all, TEXT_MAX);
		buf_str(&all, texts[i]);
		if (strlen(texts[i]) > 20)
			buf_str(&all, section);
		open_body(&b, all.data, all.len);
		assert_false(compare_parse_question(&b.reader, &h, &e));
		assert_true(e.code == ERR_INPUT || e.code == ERR_LIMIT);
		free(b.data);
		buf_free(&all);
	}
}

static void
any_damage_to_a_question_is_refused_or_read_without_harm(void **state)
{
	struct compare_question q = { .ask = ASK_KEYS, .seen = { .epoch = 5, .stamp = "0123456789abcdef" } };
	struct sample s;
	struct buf out;

	(void)state;
	sample_init(&s, 2, by_both);
	buf_init(&out, TEXT_MAX);
	compare_put_question(&out, &q, &s.table);
	compare_put_key(&out, "1,a", 3, "1,A", 3);
	for (size_t i = 0; i < out.len * 8; i++) {
		struct line_value key, other;
		struct compare_head h;
		struct err e = { 0 };
		struct body b;
		bool more = true;

		open_body(&b, out.data, i % 16 == 0 ? i / 8 : out.len);
		if (i / 8 < out.len && i % 16 != 0)
			b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << (i % 8)));
		if (compare_parse_question(&b.reader, &h, &e)) {
			if (compare_next(&b.reader, &more, &e) && more && compare_parse_key(&b.reader, &key, &other, &e))
				assert_true(key.len <= CATALOG_KEY_BYTES);
			message_section_free(&h.section);
		} else
			assert_int_not_equal(e.code, ERR_NONE);
		free(b.data);
	}
	buf_free(&out);
}

/* --- items and answers --- */

static void
ranges_and_keys_come_back_as_they_were(void **state)
{
	const struct digest_range ranges[] = { { NULL, NULL, 0, 0 }, { NULL, "", 0, 0 }, { "a\0b", "\xff\xfe", 3, 2 } };
	struct err e = { 0 };
	struct buf out;
	struct body b;
	bool more;

	(void)state;
	buf_init(&out, TEXT_MAX);
	for (size_t i = 0; i < 3; i++)
		compare_put_range(&out, &ranges[i]);
	compare_put_key(&out, "k", 1, NULL, 0);
	compare_put_key(&out, "", 0, "\"[]\n", 4);
	open_body(&b, out.data, out.len);
	for (size_t i = 0; i < 3; i++) {
		struct digest_range r;

		assert_true(compare_next(&b.reader, &more, &e) && more && compare_parse_range(&b.reader, &r, &e));
		assert_true((r.low == NULL) == (ranges[i].low == NULL) && (r.high == NULL) == (ranges[i].high == NULL));
		assert_true(r.low == NULL || (r.low_len == ranges[i].low_len && memcmp(r.low, ranges[i].low, r.low_len) == 0));
		assert_true(r.high == NULL || (r.high_len == ranges[i].high_len && memcmp(r.high, ranges[i].high, r.high_len) == 0));
	}
	for (size_t i = 0; i < 2; i++) {
		struct line_value key, other;

		assert_true(compare_next(&b.reader, &more, &e) && more && compare_parse_key(&b.reader, &key, &other, &e));
		assert_int_equal(key.len, i == 0 ? 1 : 0);
		assert_true((other.data == NULL) == (i == 0));
		assert_true(i == 0 || memcmp(other.data, "\"[]\n", 4) == 0);
	}
	assert_true(compare_next(&b.reader, &more, &e) && !more);
	free(b.data);
	buf_free(&out);
}

static void
answers_come_back_as_they_were(void **state)
{
	static const unsigned char checksum[DIGEST_BYTES] = { 1, 2, 255 };
	struct digest_sum sum = { .rows = 12345, .sum = { 3, 7, 254 } }, back;
	struct compare_fact gone = { .fresh = true }, there = { .key = "a,b", .key_len = 3, .sum = { 9 }, .changed_at = "2026-11-21 02:03:04.123456", .node = "bert", .old = "7\\,", .old_len = 3 }, f;
	struct digest_list rows;
	struct err e = { 0 };
	struct buf out;
	struct body b;
	bool more, known;

	(void)state;
	buf_init(&out, TEXT_MAX);
	digest_list_init(&rows, TEXT_MAX);
	compare_put_answer(&out, true);
	compare_put_sum(&out, &sum);
	compare_put_sum(&out, NULL);
	compare_put_row(&out, "key", 3, checksum);
	compare_put_fact(&out, &gone);
	compare_put_fact(&out, &there);
	open_body(&b, out.data, out.len);
	assert_true(compare_parse_answer(&b.reader, &more, &e) && more);
	assert_true(compare_next(&b.reader, &more, &e) && compare_parse_sum(&b.reader, &back, &known, &e) && known);
	assert_true(digest_sum_equal(&sum, &back));
	assert_true(compare_next(&b.reader, &more, &e) && compare_parse_sum(&b.reader, &back, &known, &e) && !known);
	assert_true(compare_next(&b.reader, &more, &e) && compare_parse_row(&b.reader, &rows, &e));
	assert_string_equal(digest_key(&rows, &rows.rows[0]), "key");
	assert_memory_equal(rows.rows[0].sum, checksum, DIGEST_BYTES);
	assert_true(compare_next(&b.reader, &more, &e) && compare_parse_fact(&b.reader, &f, &e));
	assert_null(f.old);
	assert_true(f.key == NULL && f.fresh && f.changed_at == NULL);
	assert_true(compare_next(&b.reader, &more, &e) && compare_parse_fact(&b.reader, &f, &e));
	assert_true(f.old_len == there.old_len && memcmp(f.old, there.old, f.old_len) == 0);
	assert_true(f.key_len == 3 && !f.fresh && f.sum[0] == 9);
	assert_string_equal(f.changed_at, there.changed_at);
	assert_string_equal(f.node, "bert");
	digest_list_free(&rows);
	free(b.data);
	buf_free(&out);
}

static void
malformed_answers_are_refused(void **state)
{
	static const char *const facts[] = {
		"[]", "[null,null,null,null]", "[\"k\",null,null,null,null]", "[\"k\",\"00\",null,null,null]",
		"[null,null,\"yes\",null,null]", "[null,null,null,\"2026-11-21 02:03:04.123456\",null]", "[null,null,null,null,\"anna\"]",
		"[null,null,null,\"now\",\"anna\"]", "[null,null,null,\"2026-11-21 02:03:04.123456\",\"a-name-that-is-longer-than-thirty-two-letters\"]",
	};
	static const char *const sums[] = { "[null]", "[\"1\"]", "[\"-1\",\"00000000000000000000000000000000\"]", "[\"1\",\"0000000000000000000000000000000G\"]",
		"[\"1\",\"00000000000000000000000000000000\",null]" };

	(void)state;
	for (size_t i = 0; i < sizeof facts / sizeof facts[0] + sizeof sums / sizeof sums[0]; i++) {
		bool is_fact = i < sizeof facts / sizeof facts[0];
		const char *text = is_fact ? facts[i] : sums[i - sizeof facts / sizeof facts[0]];
		struct compare_fact f;
		struct digest_sum sum;
		struct err e = { 0 };
		char line[256];
		struct body b;
		bool more, known;

		(void)snprintf(line, sizeof line, "%s\n", text);
		open_body(&b, line, strlen(line));
		assert_true(compare_next(&b.reader, &more, &e) && more);
		assert_false(is_fact ? compare_parse_fact(&b.reader, &f, &e) : compare_parse_sum(&b.reader, &sum, &known, &e));
		assert_int_equal(e.code, ERR_INPUT);
		free(b.data);
	}
}

/* --- keys and ranges --- */

static void
only_what_can_be_a_key_becomes_sql(void **state)
{
	static const struct {
		const size_t *key;
		size_t nkey;
		const char *text;
		size_t len;
		bool sound;
	} cases[] = {
		{ by_id, 1, "7", 1, true }, { by_id, 1, "-7", 2, true }, { by_id, 1, "", 0, false }, { by_id, 1, "7 OR 1", 6, false },
		{ by_id, 1, "7\0", 2, false }, { by_id, 1, "0x7", 3, false }, { by_v, 1, "", 0, true }, { by_v, 1, "a\0b", 3, true },
		{ by_v, 1, "\xff", 1, false }, { by_v, 1, "\xed\xa0\x80", 3, false }, { by_both, 2, "7,a", 3, true }, { by_both, 2, "7,a\\,b", 6, true },
		{ by_both, 2, "7", 1, false }, { by_both, 2, "7,a,b", 5, false }, { by_both, 2, "7,a\\", 4, false }, { by_both, 2, ",a", 2, false },
		{ by_bytes, 1, "00FF", 4, true }, { by_bytes, 1, "", 0, true }, { by_bytes, 1, "0", 1, false }, { by_bytes, 1, "00ff", 4, false },
		{ by_bytes, 1, "000000000000000000", 18, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sample s;

		sample_init(&s, cases[i].nkey, cases[i].key);
		assert_int_equal(digest_key_is_sound(&s.table, cases[i].text, cases[i].len), cases[i].sound);
	}
}

static void
whole_numbers_tell_whether_a_range_is_inverted(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s, 1, by_id);
	for (int low = -120; low <= 120; low += 7) {
		for (int high = -120; high <= 120; high += 3) {
			char a[16], b[16];
			struct digest_range r = { .low = a, .high = b };

			r.low_len = (size_t)snprintf(a, sizeof a, "%d", low);
			r.high_len = (size_t)snprintf(b, sizeof b, "%d", high);
			assert_int_equal(digest_range_is_inverted(&s.table, &r), low >= high);
		}
	}
	assert_false(digest_range_is_inverted(&s.table, &(struct digest_range){ NULL, NULL, 0, 0 }));
}

/* --- lists and sums --- */

static void
a_sorted_list_finds_every_key(void **state)
{
	enum { KEYS = 3000 };
	const unsigned char sum[DIGEST_BYTES] = { 0 };
	struct digest_list l;
	struct err e = { 0 };

	(void)state;
	digest_list_init(&l, TEXT_MAX);
	for (unsigned i = 0; i < KEYS; i++) {
		char key[16];
		int len = snprintf(key, sizeof key, "%u", (i * 7919U) % KEYS);

		assert_true(digest_list_add(&l, key, (size_t)len, sum, &e));
	}
	digest_list_sort(&l);
	for (size_t i = 1; i < l.n; i++)
		assert_true(strcmp(digest_key(&l, &l.rows[i - 1]), digest_key(&l, &l.rows[i])) < 0);
	for (unsigned i = 0; i < KEYS; i++) {
		char key[16];
		int len = snprintf(key, sizeof key, "%u", i);
		const struct digest_row *row = digest_list_find(&l, key, (size_t)len);

		assert_non_null(row);
		assert_string_equal(digest_key(&l, row), key);
	}
	assert_null(digest_list_find(&l, "x", 1));
	digest_list_free(&l);
}

static void
sums_are_equal_with_their_counts(void **state)
{
	const struct digest_sum one = { .rows = 1, .sum = { 7 } }, same = one, more = { .rows = 2, .sum = { 7 } }, other = { .rows = 1, .sum = { 7, 1 } };

	(void)state;
	assert_true(digest_sum_equal(&one, &same));
	assert_false(digest_sum_equal(&one, &more));
	assert_false(digest_sum_equal(&one, &other));
}

/* --- definitions --- */

static bool
fits(const struct table *t, const char *section, const char *key, char *reason)
{
	const struct definition_sides sides = { .here = "anna", .there = "bert" };
	struct compare_head h;
	struct err e = { 0 };
	struct buf text;
	struct body b;
	bool ok;

	buf_init(&text, TEXT_MAX);
	buf_fmt(&text, "[\"compare\",\"1\",\"sums\",\"\",\"0\",\"\",null]\n{\"table\":\"t\",\"columns\":[%s]}\n[%s]\n", section, key);
	open_body(&b, text.data, text.len);
	assert_true(compare_parse_question(&b.reader, &h, &e));
	ok = definition_fits(t, &h, &sides, reason);
	message_section_free(&h.section);
	free(b.data);
	buf_free(&text);
	return ok;
}

static void
definitions_fit_whatever_the_order_and_the_width(void **state)
{
#define ID "[\"id\",\"int(11)\"]"
#define V "[\"v\",\"varchar(40) utf8mb4_general_ci\"]"
#define B "[\"b\",\"varbinary(8)\"]"
	static const struct {
		const char *section, *key;
		const char *said; /* NULL: fits */
	} cases[] = {
		{ ID "," V "," B, "\"id\"", NULL },
		{ B "," V "," ID, "\"id\"", NULL },
		{ "[\"id\",\"bigint(20)\"],[\"v\",\"varchar(80) utf8mb4_general_ci\"],[\"b\",\"varbinary(99)\"]", "\"id\"", NULL },
		{ "[\"id\",\"int(10) unsigned\"]," V "," B, "\"id\"", "column id is int(10) unsigned at bert" },
		{ "[\"id\",\"int(11) unsigned zerofill\"]," V "," B, "\"id\"", "column id is int(11) unsigned zerofill at bert and int(11) at anna" },
		{ ID ",[\"v\",\"varchar(40) utf8mb4_bin\"]," B, "\"id\"", "utf8mb4_bin at bert" },
		{ ID "," V ",[\"b\",\"binary(9)\"]", "\"id\"", "column b is binary(9) at bert and varbinary(8) at anna" },
		{ ID "," V, "\"id\"", "column b is missing at bert and varbinary(8) at anna" },
		{ ID "," V "," B ",[\"c\",\"date\"]", "\"id\"", "column c is date at bert and missing at anna" },
		{ ID "," V "," B "," B, "\"id\"", "named twice" },
		{ ID "," V "," B, "\"v\"", "its primary key is (v) at bert and (id) at anna" },
		{ ID "," V "," B, "\"id\",\"v\"", "(id, v) at bert" },
		{ "", "\"id\"", "column id is missing at bert" },
	};
	struct sample s;

	(void)state;
	sample_init(&s, 1, by_id);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char reason[MESSAGE_REASON_MAX] = "";

		assert_int_equal(fits(&s.table, cases[i].section, cases[i].key, reason), cases[i].said == NULL);
		if (cases[i].said != NULL)
			assert_non_null(strstr(reason, cases[i].said));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_comes_back_as_it_was),
		cmocka_unit_test(the_last_key_of_a_page_comes_back_as_it_was),
		cmocka_unit_test(malformed_questions_are_refused),
		cmocka_unit_test(any_damage_to_a_question_is_refused_or_read_without_harm),
		cmocka_unit_test(ranges_and_keys_come_back_as_they_were),
		cmocka_unit_test(answers_come_back_as_they_were),
		cmocka_unit_test(malformed_answers_are_refused),
		cmocka_unit_test(only_what_can_be_a_key_becomes_sql),
		cmocka_unit_test(whole_numbers_tell_whether_a_range_is_inverted),
		cmocka_unit_test(a_sorted_list_finds_every_key),
		cmocka_unit_test(sums_are_equal_with_their_counts),
		cmocka_unit_test(definitions_fit_whatever_the_order_and_the_width),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
