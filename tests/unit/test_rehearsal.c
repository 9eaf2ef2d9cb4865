/* The lines of a rehearsal's answer: there and back, everything malformed refused. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/rehearsal.h"

/* A copy of exactly the text's length and the byte that a line leaves behind it, so that a read beside it is seen. */
static char *
copy(const char *text, size_t len)
{
	char *to = malloc(len + 1);

	assert_non_null(to);
	memcpy(to, text, len);
	to[len] = '\n';
	return to;
}

static void
a_head_comes_back_as_it_was(void **state)
{
	const struct rehearsal_head heads[] = { { 0, true, 0, 0 }, { 18446744073709551615u, false, 3, 100000 } };

	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		struct rehearsal_head back;
		struct buf line;
		struct err e;
		char *text;

		buf_init(&line, REHEARSAL_ANSWER_MAX);
		rehearsal_put_head(&line, &heads[i]);
		assert_true(buf_check(&line, "a line", &e));
		text = copy(line.data, line.len - 1);
		assert_true(rehearsal_parse_head(text, line.len - 1, &back, &e));
		assert_true(back.judged == heads[i].judged && back.all == heads[i].all && back.conflicts == heads[i].conflicts && back.refused == heads[i].refused);
		free(text);
		buf_free(&line);
	}
}

static void
findings_come_back_as_they_were(void **state)
{
	static const char key[] = "a,\"\n\xff\0b";
	const struct rehearsal_finding findings[] = {
		{ .kind = "conflict", .table = "t", .key = key, .key_len = sizeof key - 1, .verdict = "keep", .rule = "newer", .local_changed_at = "1", .local_node = "b",
		    .remote_changed_at = "2", .remote_node = "a" },
		{ .kind = "refused", .table = "t`", .key = "", .key_len = 0, .reason = "why \"not\"" },
		{ .kind = "waiting", .table = "t", .key = "7", .key_len = 1, .reason = "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof findings / sizeof findings[0]; i++) {
		const struct rehearsal_finding *f = &findings[i];
		struct rehearsal_finding back;
		struct buf line;
		struct err e;
		char *text;

		buf_init(&line, REHEARSAL_ANSWER_MAX);
		rehearsal_put_finding(&line, f);
		assert_true(buf_check(&line, "a line", &e));
		text = copy(line.data, line.len - 1);
		assert_true(rehearsal_parse_finding(text, line.len - 1, &back, &e));
		assert_string_equal(back.kind, f->kind);
		assert_string_equal(back.table, f->table);
		assert_true(back.key_len == f->key_len && memcmp(back.key, f->key, f->key_len) == 0);
		if (f->reason != NULL)
			assert_string_equal(back.reason, f->reason);
		else {
			assert_string_equal(back.verdict, f->verdict);
			assert_string_equal(back.rule, f->rule);
			assert_string_equal(back.remote_node, f->remote_node);
			assert_string_equal(back.local_changed_at, f->local_changed_at);
		}
		free(text);
		buf_free(&line);
	}
}

static void
malformed_lines_are_refused(void **state)
{
	static const char *const heads[] = {
		"", "[]", "{}", "[\"rehearsed\",\"1\",\"1\",null,\"0\"]", "[\"rehearsed\",\"2\",\"1\",null,\"0\",\"0\"]", "[\"rehearsed\",\"1\",\"-1\",null,\"0\",\"0\"]",
		"[\"rehearsed\",\"1\",null,null,\"0\",\"0\"]", "[\"rehearsed\",\"1\",\"1\",\"some\",\"0\",\"0\"]", "[\"applied\",\"1\",\"1\",null,\"0\",\"0\"]",
		"[\"rehearsed\",\"1\",\"1\",null,\"0\",\"18446744073709551616\"]", "[\"rehearsed\",\"1\",\"1\",null,\"0\",\"0\",\"0\",\"0\",\"0\",\"0\"]",
	};
	static const char *const findings[] = {
		"[]", "[\"refused\",\"t\",\"1\"]", "[\"refused\",\"t\",null,\"x\"]", "[\"refused\",null,\"1\",\"x\"]", "[\"refused\",\"t\",\"1\",null]", "[\"applied\",\"t\",\"1\",\"x\"]",
		"[\"refused\",\"t\",\"1\",\"x\",\"y\"]", "[\"conflict\",\"t\",\"1\",\"apply\"]", "[\"conflict\",\"t\",\"1\",\"win\",\"newer\",\"1\",\"b\",\"2\",\"a\"]",
		"[\"conflict\",\"t\",\"1\",\"keep\",\"newer\",null,\"b\",\"2\",\"a\"]", "[\"conflict\",\"t\\u0000\",\"1\",\"keep\",\"newer\",\"1\",\"b\",\"2\",\"a\"]",
	};
	struct rehearsal_finding f;
	struct rehearsal_head h;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		char *text = copy(heads[i], strlen(heads[i]));

		assert_false(rehearsal_parse_head(text, strlen(heads[i]), &h, &e));
		free(text);
	}
	for (size_t i = 0; i < sizeof findings / sizeof findings[0]; i++) {
		char *text = copy(findings[i], strlen(findings[i]));

		assert_false(rehearsal_parse_finding(text, strlen(findings[i]), &f, &e));
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_comes_back_as_it_was),
		cmocka_unit_test(findings_come_back_as_they_were),
		cmocka_unit_test(malformed_lines_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
