/* wire/strict: JSON is taken when RFC 8259 and every parser agree about it, and else it is not. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/buf.h"
#include "wire/strict.h"

/* A copy of exactly this size, so that a sanitizer sees a step beyond it. */
static bool
takes_n(const char *text, size_t len)
{
	char *copy = malloc(len == 0 ? 1 : len);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ok = strict_is_json(copy, len);
	free(copy);
	return ok;
}

static void
test_json_is_taken(void **state)
{
	static const char *const good[] = { "{}", "[]", "null", "true", "false", "0", "-0", "10.5e-3", "1E+2", "\"\"", " { \"a\" : [ 1 , null ] } \r\n",
		"{\"a\":{\"b\":{\"c\":[[[]]]}}}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\uDEB2\"", "{\"a\":\"\\u0000\",\"A\":1,\"\":2,\"aa\":3}", "\"\x7f\xc3\xa9\"" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!takes_n(good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
}

static void
test_what_readers_differ_about_is_refused(void **state)
{
	static const char *const bad[] = { "", "   ", "{", "}", "[1", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "'a'",
		"{\"a\":1,\"a\":2}", "{\"b\":{\"a\":1,\"c\":2,\"a\":1}}", "{\"a\\u0000b\":1}", "{\"\\u0061\":1}", "{\"a\\n\":1}", "{1:2}", "{null:1}",
		"NaN", "Infinity", "-Infinity", "nan", "nul", "True", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "--1", "1 2", "{} {}", "{}x", "[]]",
		"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\\u12\"", "\"\\u123g\"", "\"\\x\"", "\"\\", "\"a", "\"\n\"", "\"\x01\"", "\"\x1f\"",
		"/**/{}", "{}//", "\xef\xbb\xbf{}", "{\"a\":1;\"b\":2}", "(1)" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (takes_n(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
	assert_false(takes_n("{}\0", 3));
	assert_false(takes_n("\"\0\"", 3));
	assert_false(takes_n("\"\\\0\"", 4));
}

/* n times head, the middle, n times tail. */
static bool
takes_nested(const char *head, const char *middle, const char *tail, size_t n)
{
	struct buf b;
	bool ok;

	buf_init(&b, 8 * 1024 * 1024);
	for (size_t i = 0; i < n; i++)
		buf_str(&b, head);
	buf_str(&b, middle);
	for (size_t i = 0; i < n; i++)
		buf_str(&b, tail);
	assert_false(b.failed);
	ok = takes_n(buf_cstr(&b), b.len);
	buf_free(&b);
	return ok;
}

static void
test_depth_and_numbers_of_things_are_bounded(void **state)
{
	struct buf b;

	(void)state;
	assert_true(takes_nested("[", "", "]", STRICT_DEPTH));
	assert_false(takes_nested("[", "", "]", STRICT_DEPTH + 1));
	assert_true(takes_nested("{\"a\":", "1", "}", STRICT_DEPTH));
	assert_false(takes_nested("{\"a\":", "1", "}", STRICT_DEPTH + 1));
	assert_false(takes_nested("[", "", "", 1000000));
	buf_init(&b, 8 * 1024 * 1024);
	buf_str(&b, "[0");
	for (size_t i = 1; i < STRICT_VALUES - 1; i++)
		buf_str(&b, ",0");
	buf_str(&b, "]");
	assert_true(takes_n(b.data, b.len));
	buf_cut(&b, b.len - 1);
	buf_str(&b, ",0]");
	assert_false(takes_n(b.data, b.len));
	buf_reset(&b);
	for (size_t i = 0; i < STRICT_KEYS; i++)
		buf_fmt(&b, "%s\"%zu\":0", i == 0 ? "{" : ",", i);
	buf_char(&b, '}');
	assert_true(takes_n(b.data, b.len));
	buf_cut(&b, b.len - 1);
	buf_str(&b, ",\"x\":0}");
	assert_false(takes_n(b.data, b.len));
	buf_free(&b);
}

/* Whatever is taken here json-c takes too, all of it: two readers, one meaning. */
static void
test_what_is_taken_json_c_takes(void **state)
{
	static const char alphabet[] = "{}[]\",:\\u0aE-+.1 \ntruefalsn";
	unsigned long random = 1, taken = 0;

	(void)state;
	for (unsigned long i = 0; i < 400000; i++) {
		char text[12];
		size_t len;

		random = random * 6364136223846793005ul + 1442695040888963407ul;
		len = (random >> 40) % sizeof text;
		for (size_t n = 0; n < len; n++) {
			random = random * 6364136223846793005ul + 1442695040888963407ul;
			text[n] = alphabet[(random >> 33) % (sizeof alphabet - 1)];
		}
		if (takes_n(text, len)) {
			struct json_tokener *tok = json_tokener_new_ex(STRICT_DEPTH + 1);
			struct json_object *o;

			json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
			o = json_tokener_parse_ex(tok, text, (int)len);
			/* a number may go on behind its last digit, so json-c waits for more */
			if (json_tokener_get_error(tok) == json_tokener_continue)
				o = json_tokener_parse_ex(tok, "", -1);
			if (json_tokener_get_error(tok) != json_tokener_success)
				fail_msg("json-c refuses %.*s", (int)len, text);
			json_object_put(o);
			json_tokener_free(tok);
			taken++;
		}
	}
	assert_true(taken > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_is_taken),
		cmocka_unit_test(test_what_readers_differ_about_is_refused),
		cmocka_unit_test(test_depth_and_numbers_of_things_are_bounded),
		cmocka_unit_test(test_what_is_taken_json_c_takes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
