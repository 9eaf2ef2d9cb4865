/* Record lines: every byte there and back, UTF-8 and base64 judged strictly, nothing repaired. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seed.h"
#include "wire/line.h"

enum {
	VALUES = 8,
	ROUNDS = 3000
};

/* A parsed line; the text is a copy of exactly its length, so that a read or write beside it is seen. */
struct parsed {
	char *text;
	struct line_value v[VALUES];
	size_t n;
	struct err e;
};

static bool
parse(struct parsed *p, const char *text, size_t len)
{
	p->text = malloc(len > 0 ? len : 1);
	assert_non_null(p->text);
	if (len > 0)
		memcpy(p->text, text, len);
	err_clear(&p->e);
	return line_parse(p->text, len, p->v, VALUES, &p->n, &p->e);
}

static void
refuse_n(const char *text, size_t len)
{
	struct parsed p;

	if (parse(&p, text, len))
		fail_msg("accepted: %.*s", (int)len, text);
	assert_int_equal(p.e.code, ERR_INPUT);
	free(p.text);
}

static void
refuse(const char *text)
{
	refuse_n(text, strlen(text));
}

/* The line has one value, of these bytes. */
static void
gives(const char *line, const char *data, size_t len)
{
	struct parsed p;

	if (!parse(&p, line, strlen(line)))
		fail_msg("refused: %s: %s", line, p.e.msg);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.v[0].len, len);
	assert_memory_equal(p.v[0].data, data, len);
	assert_int_equal(p.v[0].data[len], '\0');
	free(p.text);
}

/* The coded line, parsed, gives the values again. */
static void
assert_round_trip(const struct line_value *v, size_t n, const bool *as_bytes)
{
	struct parsed p;
	struct buf line;

	buf_init(&line, 1024 * 1024);
	line_begin(&line);
	for (size_t i = 0; i < n; i++) {
		if (v[i].data == NULL)
			line_null(&line);
		else if (as_bytes[i])
			line_bytes(&line, v[i].data, v[i].len);
		else
			line_text(&line, v[i].data, v[i].len);
	}
	line_end(&line);
	assert_false(line.failed);
	assert_int_equal(line.data[line.len - 1], '\n');
	assert_null(memchr(line.data, '\n', line.len - 1));
	assert_true(line_is_utf8(line.data, line.len));
	assert_true(parse(&p, line.data, line.len - 1));
	assert_int_equal(p.n, n);
	for (size_t i = 0; i < n; i++) {
		if (v[i].data == NULL) {
			assert_null(p.v[i].data);
			continue;
		}
		assert_int_equal(p.v[i].len, v[i].len);
		assert_memory_equal(p.v[i].data, v[i].data, v[i].len);
		assert_int_equal(p.v[i].data[v[i].len], '\0');
	}
	free(p.text);
	buf_free(&line);
}

/* --- encoding --- */

static void
test_every_byte(void **state)
{
	static const bool ways[2] = { false, true };
	char all[256];

	(void)state;
	for (int c = 0; c < 256; c++) {
		char one = (char)c;
		struct line_value v = { &one, 1 };

		all[c] = one;
		assert_round_trip(&v, 1, &ways[0]);
		assert_round_trip(&v, 1, &ways[1]);
	}
	for (int i = 0; i < 2; i++) {
		struct line_value v = { all, sizeof all };

		assert_round_trip(&v, 1, &ways[i]);
		v.len = 128; /* ASCII alone: as a string */
		assert_round_trip(&v, 1, &ways[i]);
	}
}

static void
assert_coded(const char *data, size_t len, bool bytes, const char *want)
{
	struct buf line;

	buf_init(&line, 1000);
	line_begin(&line);
	if (bytes)
		line_bytes(&line, data, len);
	else
		line_text(&line, data, len);
	line_end(&line);
	assert_string_equal(buf_cstr(&line), want);
	buf_free(&line);
}

static void
test_form(void **state)
{
	(void)state;
	assert_coded("", 0, false, "[\"\"]\n");
	assert_coded("", 0, true, "[[\"\"]]\n");
	assert_coded("a\"b\\c/", 6, false, "[\"a\\\"b\\\\c/\"]\n");
	assert_coded("\n\t\0\x1f\x7f", 5, false, "[\"\\n\\u0009\\u0000\\u001f\x7f\"]\n");
	assert_coded("\xc3\xa9\xf0\x9f\x98\x80", 6, false, "[\"\xc3\xa9\xf0\x9f\x98\x80\"]\n");
	assert_coded("\xff", 1, false, "[[\"/w==\"]]\n");
	assert_coded("a", 1, true, "[[\"YQ==\"]]\n");
	assert_coded("ab", 2, true, "[[\"YWI=\"]]\n");
	assert_coded("abc", 3, true, "[[\"YWJj\"]]\n");
	assert_coded("\xfb\xff\xfe", 3, true, "[[\"+//+\"]]\n");
}

static void
test_values_are_separated(void **state)
{
	struct buf line;

	(void)state;
	buf_init(&line, 1000);
	line_begin(&line);
	line_text(&line, "[", 1);
	line_text(&line, "", 0);
	line_null(&line);
	line_bytes(&line, "\0", 1);
	line_null(&line);
	line_end(&line);
	assert_string_equal(buf_cstr(&line), "[\"[\",\"\",null,[\"AA==\"],null]\n");
	buf_free(&line);
}

static void
test_full_buffer(void **state)
{
	struct err e;
	struct buf line;

	(void)state;
	for (size_t max = 1; max < 24; max++) {
		buf_init(&line, max);
		line_begin(&line);
		line_text(&line, "a\"b", 3);
		line_bytes(&line, "abcd", 4);
		line_end(&line);
		assert_int_equal(buf_check(&line, "a line", &e), max >= 22);
		buf_free(&line);
	}
}

/* --- UTF-8 --- */

static void
put_code(char out[4], uint32_t u, size_t n)
{
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n; i-- > 1; u >>= 6)
		out[i] = (char)(0x80 | (u & 0x3f));
	out[0] = (char)(n == 1 ? u : lead[n] | u);
}

static size_t
right_length(uint32_t u)
{
	return u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
}

static void
test_every_code_point(void **state)
{
	char text[4];

	(void)state;
	for (uint32_t u = 0; u < 0x200000; u++) {
		size_t n = right_length(u);
		bool valid = u <= 0x10ffff && (u < 0xd800 || u > 0xdfff);

		put_code(text, u, n);
		if (line_is_utf8(text, n) != valid)
			fail_msg("U+%04X", u);
		if (n > 1 && line_is_utf8(text, n - 1))
			fail_msg("U+%04X cut is accepted", u);
	}
}

static void
test_overlong(void **state)
{
	char text[4];

	(void)state;
	for (uint32_t u = 0; u < 0x10000; u++)
		for (size_t n = right_length(u) + 1; n <= 4; n++) {
			put_code(text, u, n);
			if (line_is_utf8(text, n))
				fail_msg("U+%04X in %zu bytes", u, n);
		}
}

static void
test_invalid_utf8(void **state)
{
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xc3\x28", "\xc3\xc3",
		"\xe2\x82", "\xe2\x28\xa1", "\xe2\x82\x28", "\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\xbd\xed\xb8\x80",
		"\xf0\x9f\x98", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80",
		"\xfe", "\xff", "a\xff", "\xc3\xa9\xa9" };
	char line[32];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct line_value v = { NULL, strlen(bad[i]) };
		bool text = false;

		assert_false(line_is_utf8(bad[i], v.len));
		(void)snprintf(line, sizeof line, "[\"%s\"]", bad[i]);
		refuse(line);
		(void)snprintf(line, sizeof line, "[\"%s", bad[i]);
		refuse(line);
		memcpy(&v.data, &bad[i], sizeof v.data);
		assert_round_trip(&v, 1, &text); /* as base64 */
	}
}

/* --- strings --- */

static void
test_escapes(void **state)
{
	(void)state;
	gives("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "\"\\/\b\f\n\r\t", 8);
	gives("[\"\\u0041\\u00e9\\u20ac\\uFFFF\"]", "A\xc3\xa9\xe2\x82\xac\xef\xbf\xbf", 9);
	gives("[\"\\u007f\\u0080\\u07ff\\u0800\\ud7ff\\ue000\"]",
	    "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", 14);
	refuse("[\"\\a\"]");
	refuse("[\"\\'\"]");
	refuse("[\"\\U0041\"]");
	refuse("[\"\\x41\"]");
	refuse("[\"\\\"]");
	refuse("[\"\\");
	refuse_n("[\"\\\0\"]", 6);
	for (const char *cut = "[\"\\u004"; strlen(cut) < 8; cut = "[\"\\u0041")
		refuse(cut);
	refuse("[\"\\u004\"]");
	refuse("[\"\\u00g1\"]");
	refuse("[\"\\u-041\"]");
	refuse("[\"\\u 041\"]");
	refuse("[\"\\u+041\"]");
}

static void
test_surrogates(void **state)
{
	(void)state;
	gives("[\"\\ud83d\\ude00\"]", "\xf0\x9f\x98\x80", 4);
	gives("[\"\\uD800\\uDC00\"]", "\xf0\x90\x80\x80", 4);
	gives("[\"\\udbff\\udfff\"]", "\xf4\x8f\xbf\xbf", 4);
	refuse("[\"\\ud800\"]");
	refuse("[\"\\udbff\"]");
	refuse("[\"\\udc00\"]");
	refuse("[\"\\udfff\"]");
	refuse("[\"\\ude00\\ud83d\"]");
	refuse("[\"\\ud83d\\ud83d\"]");
	refuse("[\"\\ud83dx\"]");
	refuse("[\"\\ud83d\\n\"]");
	refuse("[\"\\ud83d\\u0041\"]");
	refuse("[\"\\ud83d\\ude0\"]");
	refuse("[\"\\ud83d\\u");
	refuse("[\"\\ud83d");
}

static void
test_control_characters(void **state)
{
	(void)state;
	for (char c = 0; c < 0x20; c++) {
		char line[5] = { '[', '"', c, '"', ']' };

		refuse_n(line, sizeof line);
	}
	gives("[\"\x7f\"]", "\x7f", 1);
}

static void
test_nul(void **state)
{
	(void)state;
	gives("[\"\\u0000\"]", "\0", 1);
	gives("[\"a\\u0000b\\u0000\"]", "a\0b\0", 4);
	gives("[[\"AGEA\"]]", "\0a\0", 3);
}

/* --- base64 --- */

static void
test_base64(void **state)
{
	static const char *const bad[] = { "A", "AA", "AAA", "AAAAA", "=", "==", "===", "====", "A===", "AA=A",
		"AA==AAAA", "AAA=AAAA", "A=AA", "=AAA", "AAAA====", "AAAAA===", "AB==", "AP==", "A/==", "AAB=", "AA/=",
		"A A=", "AA- ", "-_AA", "AA\\n==", "AAA\\u0000", "AA==\\n", "\xc3\xa9""AA" };
	char line[40];

	(void)state;
	gives("[[\"\"]]", "", 0);
	gives("[[\"AA==\"]]", "\0", 1);
	gives("[[\"AQ==\"]]", "\x01", 1);
	gives("[[\"AAA=\"]]", "\0\0", 2);
	gives("[[\"AAE=\"]]", "\0\x01", 2);
	gives("[[\"////\"]]", "\xff\xff\xff", 3);
	gives("[[\"+/+/AA==\"]]", "\xfb\xff\xbf\0", 4);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(line, sizeof line, "[[\"%s\"]]", bad[i]);
		refuse(line);
	}
}

/* A text of one quadruple is accepted exactly when coding what it says gives it again. */
static void
test_base64_is_canonical(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	(void)state;
	for (size_t c = 0; c < 65; c++)
		for (size_t d = 0; d < 65; d++) {
			char line[16];
			struct parsed p;
			struct buf again;
			bool ok, same = false;

			(void)snprintf(line, sizeof line, "[[\"AB%c%c\"]]", digits[c], digits[d]);
			ok = parse(&p, line, strlen(line));
			if (ok) {
				buf_init(&again, 100);
				line_begin(&again);
				line_bytes(&again, p.v[0].data, p.v[0].len);
				line_end(&again);
				same = strncmp(buf_cstr(&again), line, strlen(line)) == 0;
				buf_free(&again);
			}
			free(p.text);
			assert_int_equal(ok, same);
			assert_int_equal(ok, digits[c] != '=' && (digits[d] != '=' || (c & 3) == 0));
		}
}

/* --- lines --- */

static void
test_malformed_lines(void **state)
{
	static const char *const bad[] = { "", "[", "]", "{}", "\"a\"", "null", "[null", "[null,", "[null,]", "[,null]", "[,]",
		"[null null]", "[null,,null]", "[nul]", "[nulll]", "[Null]", "[true]", "[false]", "[0]", "[1]", "[-1]", "[1.5]",
		"[NaN]", "[a]", "['a']", "[\"a]", "[\"a\",]", "[\"a\"\"b\"]", "[[]]", "[[null]]", "[[\"AAAA\"]", "[[\"AAAA\",\"AAAA\"]]",
		"[[[\"AAAA\"]]]", "[{}]", "[ null]", "[null ]", "[null, null]", " [null]", "\xef\xbb\xbf[null]", "[[\"AAAA\" ]]",
		"[[ \"AAAA\"]]", "[/**/null]" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuse(bad[i]);
	refuse_n("\0[null]", 7);
}

static void
test_trailing_bytes(void **state)
{
	static const char *const behind[] = { "\n", " ", ",", "]", "[", "x", "[null]" };
	char line[32];

	(void)state;
	for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
		(void)snprintf(line, sizeof line, "[null]%s", behind[i]);
		refuse(line);
		(void)snprintf(line, sizeof line, "[]%s", behind[i]);
		refuse(line);
		(void)snprintf(line, sizeof line, "[\"a\"]%s", behind[i]);
		refuse(line);
	}
	refuse_n("[null]\0", 7);
	refuse_n("[]\0", 3);
}

static void
test_every_cut(void **state)
{
	static const char whole[] = "[\"a\\u00e9\\ud83d\\ude00\xc3\xa9\",null,[\"YWI=\"],\"\"]";
	struct parsed p;

	(void)state;
	for (size_t len = 0; len < sizeof whole - 1; len++)
		refuse_n(whole, len);
	assert_true(parse(&p, whole, sizeof whole - 1));
	assert_int_equal(p.n, 4);
	free(p.text);
}

static void
test_empty_array(void **state)
{
	struct parsed p;

	(void)state;
	assert_true(parse(&p, "[]", 2));
	assert_int_equal(p.n, 0);
	free(p.text);
}

static void
test_too_many_values(void **state)
{
	struct buf line;
	struct parsed p;

	(void)state;
	buf_init(&line, 1000);
	line_begin(&line);
	for (int i = 0; i < VALUES; i++)
		line_null(&line);
	buf_char(&line, ']');
	assert_true(parse(&p, line.data, line.len));
	assert_int_equal(p.n, VALUES);
	free(p.text);
	line.data[line.len - 1] = ',';
	buf_str(&line, "null]");
	assert_false(parse(&p, line.data, line.len));
	assert_int_equal(p.e.code, ERR_LIMIT);
	free(p.text);
	buf_free(&line);
}

static void
test_quote(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	line_quote(&out, "", 0);
	line_quote(&out, "\"", 1);
	line_quote(&out, "a\nb", 3);
	assert_string_equal(buf_cstr(&out), "\"\"\"\\\"\"\"a\\nb\"");
	buf_free(&out);
}

/* --- random --- */

static void
fill(struct seed *s, char *data, size_t len)
{
	static const char odd[] = "\"\\[],{}\n\t\0 \x7f\xc3\xa9=+/u0";
	size_t how = seed_below(s, 3);

	for (size_t i = 0; i < len; i++)
		data[i] = how == 0 ? (char)seed_next(s) : how == 1 ? odd[seed_below(s, sizeof odd)] : (char)(32 + seed_below(s, 95));
}

static void
test_random_round_trips(void **state)
{
	struct seed *s = *state;
	char data[VALUES][64];
	struct line_value v[VALUES];
	bool bytes[VALUES];

	for (int round = 0; round < ROUNDS; round++) {
		size_t n = seed_below(s, VALUES + 1);

		for (size_t i = 0; i < n; i++) {
			v[i] = (struct line_value){ data[i], seed_below(s, sizeof data[i]) };
			fill(s, data[i], v[i].len);
			bytes[i] = seed_below(s, 4) == 0;
			if (seed_below(s, 6) == 0)
				v[i].data = NULL;
		}
		assert_round_trip(v, n, bytes);
	}
}

/* Whatever a damaged line says, it is refused or its values can be coded again. */
static void
test_random_damage(void **state)
{
	static const char whole[] = "[\"a\\u00e9\\ud83d\\ude00\xc3\xa9\",null,[\"YWI=\"],\"\\n\"]";
	struct seed *s = *state;

	for (int round = 0; round < ROUNDS * 3; round++) {
		char line[sizeof whole];
		struct parsed p;

		memcpy(line, whole, sizeof whole);
		for (size_t i = 0, n = 1 + seed_below(s, 3); i < n; i++)
			line[seed_below(s, sizeof whole - 1)] = (char)(seed_below(s, 2) == 0 ? seed_next(s) : (uint64_t)whole[seed_below(s, sizeof whole - 1)]);
		if (parse(&p, line, sizeof whole - 1)) {
			bool bytes[VALUES] = { false };

			assert_round_trip(p.v, p.n, bytes);
		}
		free(p.text);
	}
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }
#define RANDOM(text, f) { text, f, NULL, NULL, &seed }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		NAMED("every byte survives as text and as bytes", test_every_byte),
		NAMED("a line looks as the protocol says", test_form),
		NAMED("values are separated whatever they end with", test_values_are_separated),
		NAMED("a line that does not fit is never half a line", test_full_buffer),
		NAMED("of all code points exactly the Unicode ones are UTF-8", test_every_code_point),
		NAMED("overlong forms are no UTF-8", test_overlong),
		NAMED("invalid UTF-8 is refused in a line and sent as base64", test_invalid_utf8),
		NAMED("escapes are decoded, unknown and cut ones refused", test_escapes),
		NAMED("surrogates are joined in pairs and refused alone", test_surrogates),
		NAMED("raw control characters are refused", test_control_characters),
		NAMED("a NUL is kept with its length", test_nul),
		NAMED("malformed base64 is refused", test_base64),
		NAMED("only canonical base64 is accepted", test_base64_is_canonical),
		NAMED("what is no array of nulls, strings and bytes is refused", test_malformed_lines),
		NAMED("bytes behind a line are refused", test_trailing_bytes),
		NAMED("a line cut anywhere is refused", test_every_cut),
		NAMED("an empty array has no values", test_empty_array),
		NAMED("more values than there is room for are refused", test_too_many_values),
		NAMED("a quoted string stands alone", test_quote),
		RANDOM("random lines come back as they were", test_random_round_trips),
		RANDOM("a damaged line is refused or read to the end", test_random_damage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
