/* Messages: each one there and back and in its exact form, each field judged strictly, records'
 * facts and refusals with odd keys. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

#define INCARNATION "00112233445566778899aabbccddeeff"
#define OTHER "ffeeddccbbaa99887766554433221100"
#define STAMP "0123456789abcdef"
#define NODE_32 "abcdefghijklmnopqrstuvwxyz012345"
#define TIME "2026-11-21 02:03:04.123456"

/* --- one message of each kind --- */

static void
put_hello(struct buf *out)
{
	message_put_hello(out, &(struct hello){ .node = NODE_32, .incarnation = INCARNATION, .nonce = OTHER, .version = 1 });
}

static void
put_numbered(struct buf *out)
{
	message_put_hello(out, &(struct hello){ .node = NODE_32, .incarnation = INCARNATION, .nonce = OTHER, .numbering = { 3, 2, 1 }, .version = 1 });
}

static bool
parse_numbered(const char *text, size_t len, struct err *e)
{
	struct hello h;

	if (!message_parse_hello(text, len, &h, e))
		return false;
	assert_int_equal(h.numbering.increment, 3);
	assert_int_equal(h.numbering.offset, 2);
	assert_int_equal(h.numbering.letter_case, 1);
	return true;
}

static void
put_oneway(struct buf *out)
{
	message_put_hello(out, &(struct hello){ .node = NODE_32, .incarnation = INCARNATION, .nonce = OTHER, .tells_oneway = true, .oneway = "send a\nrelay b \"c\"\n", .version = 1 });
}

static bool
parse_oneway(const char *text, size_t len, struct err *e)
{
	struct hello h;

	if (!message_parse_hello(text, len, &h, e))
		return false;
	assert_true(h.tells_oneway);
	assert_string_equal(h.oneway, "send a\nrelay b \"c\"\n");
	return true;
}

static bool
parse_hello(const char *text, size_t len, struct err *e)
{
	struct hello h;

	if (!message_parse_hello(text, len, &h, e))
		return false;
	assert_string_equal(h.node, NODE_32);
	assert_string_equal(h.incarnation, INCARNATION);
	assert_string_equal(h.nonce, OTHER);
	assert_int_equal(h.version, 1);
	return true;
}

static void
put_welcome(struct buf *out)
{
	message_put_welcome(out, &(struct welcome){ .node = "ben", .incarnation = INCARNATION, .session = "a.1.b", .knows = OTHER,
		.cursor = { 7, STAMP }, .version = 1, .clock_us = UINT64_MAX });
}

static void
put_anew(struct buf *out)
{
	message_put_hello(out, &(struct hello){ .node = NODE_32, .incarnation = INCARNATION, .nonce = OTHER, .anew = INCARNATION, .filling = true, .version = 1 });
}

static bool
parse_anew(const char *text, size_t len, struct err *e)
{
	struct hello h;

	if (!message_parse_hello(text, len, &h, e))
		return false;
	assert_string_equal(h.anew, INCARNATION);
	assert_true(h.filling);
	return true;
}

static void
put_acked(struct buf *out)
{
	message_put_welcome(out, &(struct welcome){ .node = "ben", .incarnation = INCARNATION, .session = "a.1.b", .knows = OTHER,
		.cursor = { 7, STAMP }, .version = 1, .clock_us = 5, .anew = OTHER, .filling = true, .acked = { 8, STAMP }, .has_acked = true });
}

static bool
parse_acked(const char *text, size_t len, struct err *e)
{
	struct welcome w;

	if (!message_parse_welcome(text, len, &w, e))
		return false;
	assert_string_equal(w.anew, OTHER);
	assert_true(w.filling);
	assert_true(w.has_acked);
	assert_int_equal(w.acked.epoch, 8);
	assert_string_equal(w.acked.stamp, STAMP);
	return true;
}

static bool
parse_welcome(const char *text, size_t len, struct err *e)
{
	struct welcome w;

	if (!message_parse_welcome(text, len, &w, e))
		return false;
	assert_string_equal(w.node, "ben");
	assert_string_equal(w.incarnation, INCARNATION);
	assert_string_equal(w.session, "a.1.b");
	assert_string_equal(w.knows, OTHER);
	assert_int_equal(w.cursor.epoch, 7);
	assert_string_equal(w.cursor.stamp, STAMP);
	assert_int_equal(w.version, 1);
	assert_true(w.clock_us == UINT64_MAX);
	return true;
}

static void
put_group(struct buf *out)
{
	message_put_group(out, &(struct group_header){ .node = "anna", .incarnation = INCARNATION, .base = { 3, STAMP },
		.upto = { 4, "fedcba9876543210" }, .seen_incarnation = OTHER, .seen = { 9, STAMP }, .last = true, .records = 12 });
}

static bool
parse_group(const char *text, size_t len, struct err *e)
{
	struct group_header g;

	if (!message_parse_group(text, len, &g, e))
		return false;
	assert_string_equal(g.node, "anna");
	assert_string_equal(g.incarnation, INCARNATION);
	assert_int_equal(g.base.epoch, 3);
	assert_string_equal(g.base.stamp, STAMP);
	assert_int_equal(g.upto.epoch, 4);
	assert_string_equal(g.upto.stamp, "fedcba9876543210");
	assert_string_equal(g.seen_incarnation, OTHER);
	assert_int_equal(g.seen.epoch, 9);
	assert_string_equal(g.seen.stamp, STAMP);
	assert_false(g.start);
	assert_true(g.last);
	assert_int_equal(g.records, 12);
	return true;
}

static void
put_answer(struct buf *out)
{
	message_put_answer(out, &(struct answer_header){ .cursor = { 4, STAMP }, .applied = 10, .refused = 2, .floor = 1 });
}

static bool
parse_answer(const char *text, size_t len, struct err *e)
{
	struct answer_header a;

	if (!message_parse_answer(text, len, &a, e))
		return false;
	assert_int_equal(a.cursor.epoch, 4);
	assert_string_equal(a.cursor.stamp, STAMP);
	assert_int_equal(a.applied, 10);
	assert_int_equal(a.refused, 2);
	assert_int_equal(a.floor, 1);
	return true;
}

static void
put_error(struct buf *out)
{
	message_put_error(out, "behind", "say \"hello\"\n", &(struct position){ 4, STAMP });
}

static bool
parse_error(const char *text, size_t len, struct err *e)
{
	struct message_error m;

	if (!message_parse_error(text, len, &m, e))
		return false;
	assert_string_equal(m.code, "behind");
	assert_string_equal(m.text, "say \"hello\"\n");
	assert_true(m.has_cursor);
	assert_int_equal(m.cursor.epoch, 4);
	assert_string_equal(m.cursor.stamp, STAMP);
	return true;
}

static void
put_section(struct buf *out)
{
	char id[] = "id", int_type[] = "int(11)", name[] = "na\"me", text_type[] = "varchar(40) utf8mb4_bin", table[] = "or`der\\s";
	struct column columns[] = { { .name = id, .type = int_type }, { .name = name, .type = text_type } };

	message_put_section(out, &(struct table){ .name = table, .columns = columns, .ncolumns = 2, .nkey = 2, .key = { 1, 0 } });
}

static bool
parse_section(const char *text, size_t len, struct err *e)
{
	struct section s;

	if (!message_parse_section(text, len, &s, e)) {
		assert_null(s.names);
		assert_null(s.types);
		return false;
	}
	assert_string_equal(s.table, "or`der\\s");
	assert_int_equal(s.ncolumns, 2);
	assert_string_equal(s.names[0], "id");
	assert_string_equal(s.types[0], "int(11)");
	assert_string_equal(s.names[1], "na\"me");
	assert_string_equal(s.types[1], "varchar(40) utf8mb4_bin");
	assert_int_equal(s.nkey, 2);
	assert_string_equal(s.key[0], "na\"me");
	assert_string_equal(s.key[1], "id");
	message_section_free(&s);
	return true;
}

enum field_type { NUMBER = 1, HEX, HEX_OR_NOTHING, TEXT, BOOLEAN, POSITION, COLUMNS };

struct field {
	const char *name, *inside; /* the object that holds it, or NULL */
	enum field_type type;
};

static const struct kind {
	const char *name, *text;
	void (*put)(struct buf *out);
	bool (*parse)(const char *text, size_t len, struct err *e);
	struct field fields[17];
} kinds[] = {
	{ "hello", "{\"hello\":\"1\",\"node\":\"" NODE_32 "\",\"incarnation\":\"" INCARNATION "\",\"nonce\":\"" OTHER "\"}\n", put_hello,
	    parse_hello, { { "hello", NULL, NUMBER }, { "node", NULL, TEXT }, { "incarnation", NULL, HEX }, { "nonce", NULL, HEX } } },
	{ "hello with its numbering",
	    "{\"hello\":\"1\",\"node\":\"" NODE_32 "\",\"incarnation\":\"" INCARNATION "\",\"nonce\":\"" OTHER
	    "\",\"numbering\":{\"increment\":\"3\",\"offset\":\"2\",\"letter_case\":\"1\"}}\n",
	    put_numbered, parse_numbered, { { "hello", NULL, NUMBER }, { "increment", "numbering", NUMBER }, { "offset", "numbering", NUMBER }, { "letter_case", "numbering", NUMBER } } },
	{ "hello with tables that travel one way",
	    "{\"hello\":\"1\",\"node\":\"" NODE_32 "\",\"incarnation\":\"" INCARNATION "\",\"nonce\":\"" OTHER "\",\"one_way\":\"send a\\nrelay b \\\"c\\\"\\n\"}\n",
	    put_oneway, parse_oneway, { { "hello", NULL, NUMBER }, { "nonce", NULL, HEX } } },
	{ "welcome",
	    "{\"welcome\":\"1\",\"node\":\"ben\",\"incarnation\":\"" INCARNATION "\",\"session\":\"a.1.b\",\"knows\":\"" OTHER
	    "\",\"cursor\":{\"epoch\":\"7\",\"stamp\":\"" STAMP "\"},\"clock\":\"18446744073709551615\"}\n",
	    put_welcome, parse_welcome,
	    { { "welcome", NULL, NUMBER }, { "node", NULL, TEXT }, { "incarnation", NULL, HEX }, { "session", NULL, TEXT },
		{ "knows", NULL, HEX_OR_NOTHING }, { "cursor", NULL, POSITION }, { "epoch", "cursor", NUMBER },
		{ "stamp", "cursor", HEX_OR_NOTHING }, { "clock", NULL, NUMBER } } },
	{ "hello of a link that begins anew",
	    "{\"hello\":\"1\",\"node\":\"" NODE_32 "\",\"incarnation\":\"" INCARNATION "\",\"nonce\":\"" OTHER "\",\"anew\":\"" INCARNATION "\",\"filling\":true}\n",
	    put_anew, parse_anew, { { "hello", NULL, NUMBER }, { "nonce", NULL, HEX } } },
	{ "welcome with what was acknowledged",
	    "{\"welcome\":\"1\",\"node\":\"ben\",\"incarnation\":\"" INCARNATION "\",\"session\":\"a.1.b\",\"knows\":\"" OTHER
	    "\",\"cursor\":{\"epoch\":\"7\",\"stamp\":\"" STAMP "\"},\"clock\":\"5\",\"anew\":\"" OTHER "\",\"filling\":true,\"acked\":{\"epoch\":\"8\",\"stamp\":\"" STAMP "\"}}\n",
	    put_acked, parse_acked, { { "clock", NULL, NUMBER }, { "epoch", "acked", NUMBER }, { "stamp", "acked", HEX_OR_NOTHING } } },
	{ "group",
	    "{\"group\":\"1\",\"node\":\"anna\",\"incarnation\":\"" INCARNATION "\",\"base\":{\"epoch\":\"3\",\"stamp\":\"" STAMP
	    "\"},\"upto\":{\"epoch\":\"4\",\"stamp\":\"fedcba9876543210\"},\"seen_incarnation\":\"" OTHER
	    "\",\"seen\":{\"epoch\":\"9\",\"stamp\":\"" STAMP "\"},\"start\":false,\"last\":true,\"records\":\"12\"}\n",
	    put_group, parse_group,
	    { { "group", NULL, NUMBER }, { "node", NULL, TEXT }, { "incarnation", NULL, HEX }, { "base", NULL, POSITION },
		{ "epoch", "base", NUMBER }, { "stamp", "base", HEX_OR_NOTHING }, { "upto", NULL, POSITION }, { "epoch", "upto", NUMBER },
		{ "stamp", "upto", HEX_OR_NOTHING }, { "seen_incarnation", NULL, HEX_OR_NOTHING }, { "seen", NULL, POSITION },
		{ "epoch", "seen", NUMBER }, { "stamp", "seen", HEX_OR_NOTHING }, { "start", NULL, BOOLEAN },
		{ "last", NULL, BOOLEAN }, { "records", NULL, NUMBER } } },
	{ "answer", "{\"answer\":\"1\",\"cursor\":{\"epoch\":\"4\",\"stamp\":\"" STAMP "\"},\"applied\":\"10\",\"refused\":\"2\",\"floor\":\"1\"}\n",
	    put_answer, parse_answer,
	    { { "answer", NULL, NUMBER }, { "cursor", NULL, POSITION }, { "epoch", "cursor", NUMBER }, { "stamp", "cursor", HEX_OR_NOTHING },
		{ "applied", NULL, NUMBER }, { "refused", NULL, NUMBER }, { "floor", NULL, NUMBER } } },
	{ "error", "{\"error\":\"behind\",\"message\":\"say \\\"hello\\\"\\n\",\"cursor\":{\"epoch\":\"4\",\"stamp\":\"" STAMP "\"}}\n", put_error,
	    parse_error, { { "error", NULL, TEXT }, { "message", NULL, TEXT }, { "epoch", "cursor", NUMBER }, { "stamp", "cursor", HEX_OR_NOTHING } } },
	{ "section", "{\"table\":\"or`der\\\\s\",\"columns\":[[\"id\",\"int(11)\"],[\"na\\\"me\",\"varchar(40) utf8mb4_bin\"]],\"key\":[\"na\\\"me\",\"id\"]}\n", put_section,
	    parse_section, { { "table", NULL, TEXT }, { "columns", NULL, COLUMNS } } },
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Parse an exact copy, so that a read behind the text is seen. */
static bool
parse_copy(const struct kind *k, const char *text, size_t len, struct err *e)
{
	char *copy = malloc(len > 0 ? len : 1);
	bool ok;

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, text, len);
	err_clear(e);
	ok = k->parse(copy, len, e);
	free(copy);
	return ok;
}

static void
refuse_n(const struct kind *k, const char *text, size_t len)
{
	struct err e;

	if (parse_copy(k, text, len, &e))
		fail_msg("%s accepted: %.*s", k->name, (int)len, text);
	assert_true(e.code == ERR_INPUT || e.code == ERR_LIMIT);
	assert_true(e.msg[0] != '\0');
}

static size_t
length(const struct kind *k)
{
	return strlen(k->text) - 1; /* without its newline */
}

/* Where the value of a field begins and ends in the kind's text. */
static void
locate(const struct kind *k, const struct field *f, size_t *from, size_t *to)
{
	const char *at = k->text, *end;
	char name[40];
	int depth = 0;
	bool quoted = false;

	if (f->inside != NULL) {
		(void)snprintf(name, sizeof name, "\"%s\":{", f->inside);
		at = strstr(at, name);
		assert_non_null(at);
	}
	(void)snprintf(name, sizeof name, "\"%s\":", f->name);
	at = strstr(at, name);
	assert_non_null(at);
	at += strlen(name);
	for (end = at;; end++) {
		if (*end == '\\')
			end++;
		else if (*end == '"')
			quoted = !quoted;
		else if (!quoted && (*end == '{' || *end == '['))
			depth++;
		else if (!quoted && depth > 0 && (*end == '}' || *end == ']'))
			depth--;
		else if (!quoted && depth == 0 && (*end == ',' || *end == '}'))
			break;
	}
	*from = (size_t)(at - k->text);
	*to = (size_t)(end - k->text);
}

/* The kind's text with another value for the field is refused. */
static void
refuse_value(const struct kind *k, const struct field *f, const char *value)
{
	struct buf text;
	size_t from, to;

	locate(k, f, &from, &to);
	buf_init(&text, 8 * 1024 * 1024);
	buf_put(&text, k->text, from);
	buf_str(&text, value);
	buf_put(&text, k->text + to, length(k) - to);
	refuse_n(k, text.data, text.len);
	buf_free(&text);
}

static void
refuse_values(const struct kind *k, const struct field *f, const char *const *values)
{
	for (; *values != NULL; values++)
		refuse_value(k, f, *values);
}

/* --- every message --- */

static void
test_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct err e;
		struct buf out;

		buf_init(&out, 10000);
		kinds[i].put(&out);
		assert_string_equal(buf_cstr(&out), kinds[i].text);
		assert_true(message_is_header(out.data, out.len));
		if (!parse_copy(&kinds[i], out.data, out.len - 1, &e))
			fail_msg("%s: %s", kinds[i].name, e.msg);
		buf_free(&out);
	}
}

static void
test_missing(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		for (const struct field *f = kinds[i].fields; f->name != NULL; f++) {
			struct buf text;
			size_t from, to;

			locate(&kinds[i], f, &from, &to);
			buf_init(&text, 10000);
			buf_put(&text, kinds[i].text, length(&kinds[i]));
			text.data[from - 3] ^= 2; /* another name */
			refuse_n(&kinds[i], text.data, text.len);
			buf_free(&text);
		}
}

static void
test_wrong_types(void **state)
{
	static const char *const always[] = { "null", "1", "-1", "0", "1.5", "1e3", "NaN", "Infinity", "[]", "{}", "[\"1\"]",
		"{\"epoch\":1,\"stamp\":\"\"}", "", "'1'", NULL };
	static const char *const no_bool[] = { "true", "false", NULL };
	static const char *const no_text[] = { "\"\"", "\"1\"", "\"true\"", NULL };

	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		for (const struct field *f = kinds[i].fields; f->name != NULL; f++) {
			for (const char *const *v = always; *v != NULL; v++)
				if (f->type != COLUMNS || strcmp(*v, "[]") != 0)
					refuse_value(&kinds[i], f, *v);
			if (f->type != BOOLEAN)
				refuse_values(&kinds[i], f, no_bool);
			if (f->type == BOOLEAN || f->type == POSITION || f->type == COLUMNS)
				refuse_values(&kinds[i], f, no_text);
		}
}

static void
test_numbers(void **state)
{
	static const char *const bad[] = { "\"\"", "\"-1\"", "\"+1\"", "\" 1\"", "\"1 \"", "\"1.0\"", "\"1e1\"", "\"0x1\"", "\"1,0\"",
		"\"18446744073709551616\"", "\"99999999999999999999999999\"", "\"1\\u0000\"", "\"\\u0000\"", "\"\xd9\xa1\"", NULL };

	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		for (const struct field *f = kinds[i].fields; f->name != NULL; f++)
			if (f->type == NUMBER)
				refuse_values(&kinds[i], f, bad);
}

static void
test_hex(void **state)
{
	static const char *const bad[] = { "\"0\"", "\"" STAMP "0\"", "\"" INCARNATION "0\"", "\"0123456789ABCDEF\"",
		"\"00112233445566778899AABBCCDDEEFF\"", "\"0123456789abcdeg\"", "\"00112233445566778899aabbccddeefg\"",
		"\"0123456789abcde\\u0000\"", "\"0123456789abcdef\\u0000\"", "\"\\u0000\"", "\" 123456789abcdef\"", NULL };

	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		for (const struct field *f = kinds[i].fields; f->name != NULL; f++) {
			if (f->type == HEX || f->type == HEX_OR_NOTHING)
				refuse_values(&kinds[i], f, bad);
			if (f->type == HEX)
				refuse_value(&kinds[i], f, "\"\"");
		}
}

static void
test_texts(void **state)
{
	char *longer = malloc(1003);

	(void)state;
	assert_non_null(longer);
	(void)snprintf(longer, 1003, "\"%0*d\"", 1000, 0);
	for (size_t i = 0; i < KINDS; i++)
		for (const struct field *f = kinds[i].fields; f->name != NULL; f++) {
			if (f->type != TEXT)
				continue;
			refuse_value(&kinds[i], f, "\"a\\u0000\"");
			refuse_value(&kinds[i], f, "\"\\u0000a\"");
			refuse_value(&kinds[i], f, "\"\xff\"");
			refuse_value(&kinds[i], f, "\"\xc0\xaf\"");
			refuse_value(&kinds[i], f, "\"\xed\xa0\x80\"");
			if (kinds[i].parse != parse_error) /* cut there, see below */
				refuse_value(&kinds[i], f, longer);
		}
	refuse_value(&kinds[0], &kinds[0].fields[1], "\"" NODE_32 "6\"");
	free(longer);
}

static void
test_around(void **state)
{
	static const char deep[] = "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}";
	static const char *const behind[] = { "x", "}", "{}", ",", "\n{}", " x", "null" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];
		struct buf text;

		for (size_t j = 0; j < sizeof behind / sizeof behind[0]; j++) {
			if (k->parse == parse_error && behind[j][0] == '\n')
				continue; /* lines may follow an error */
			buf_init(&text, 10000);
			buf_put(&text, k->text, length(k));
			buf_str(&text, behind[j]);
			refuse_n(k, text.data, text.len);
			buf_free(&text);
		}
		for (size_t len = 0; len < length(k); len++)
			refuse_n(k, k->text, len);
		assert_true(parse_copy(k, k->text, length(k), &e));
		refuse_n(k, "   ", 3);
		refuse_n(k, "\0", 1);
		refuse_n(k, "[]", 2);
		refuse_n(k, "{}", 2);
		refuse_n(k, "null", 4);
		refuse_n(k, "\"\"", 2);
		refuse_n(k, "\xef\xbb\xbf{}", 5);
		refuse_n(k, deep, sizeof deep - 1);
		refuse_n(k, "/**/{}", 6);
	}
}

static void
test_too_long(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct buf text;
		struct err e;

		buf_init(&text, MESSAGE_HEADER_MAX * 2);
		buf_put(&text, kinds[i].text, length(&kinds[i]) - 1);
		buf_str(&text, ",\"more\":\"");
		while (text.len <= MESSAGE_HEADER_MAX)
			buf_put(&text, "0123456789012345678901234567890123456789012345678901234567890123", 64);
		buf_str(&text, "\"}");
		assert_false(parse_copy(&kinds[i], text.data, text.len, &e));
		assert_int_equal(e.code, ERR_LIMIT);
		buf_free(&text);
	}
}

/* What is decided about doubled and unknown fields: newer versions may add some, none may come twice. */
static void
test_more_fields(void **state)
{
	struct buf text;
	struct err e;

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		buf_init(&text, 10000);
		buf_str(&text, "{\"more\":[1,null,{\"a\":2}],");
		buf_put(&text, kinds[i].text + 1, length(&kinds[i]) - 1);
		assert_true(parse_copy(&kinds[i], text.data, text.len, &e));
		buf_reset(&text);
		buf_fmt(&text, "{\"%s\":\"\",", kinds[i].fields[0].name);
		buf_put(&text, kinds[i].text + 1, length(&kinds[i]) - 1);
		refuse_n(&kinds[i], text.data, text.len);
		buf_reset(&text);
		buf_put(&text, kinds[i].text, length(&kinds[i]) - 1);
		buf_fmt(&text, ",\"%s\":null}", kinds[i].fields[0].name);
		refuse_n(&kinds[i], text.data, text.len);
		buf_free(&text);
	}
}

/* --- single ones --- */

static void
test_hello_newline(void **state)
{
	struct err e;

	(void)state;
	assert_true(parse_copy(&kinds[0], kinds[0].text, strlen(kinds[0].text), &e));
}

static void
test_welcome_empty(void **state)
{
	struct welcome w = { .node = "", .incarnation = INCARNATION, .session = "" }, got;
	struct err e;
	struct buf out;

	(void)state;
	memset(w.session, 'x', sizeof w.session - 1);
	buf_init(&out, 1000);
	message_put_welcome(&out, &w);
	assert_true(message_parse_welcome(out.data, out.len - 1, &got, &e));
	assert_string_equal(got.session, w.session);
	assert_string_equal(got.knows, "");
	assert_string_equal(got.cursor.stamp, "");
	assert_int_equal(got.cursor.epoch, 0);
	buf_free(&out);
}

static void
test_group_order(void **state)
{
	struct group_header g = { .node = "a", .incarnation = INCARNATION, .base = { 5, STAMP }, .upto = { 5, STAMP } }, got;
	struct err e;
	struct buf out;

	(void)state;
	for (int i = 0; i < 3; i++) {
		static const uint64_t upto[] = { 5, 4, 6 };

		g.upto.epoch = upto[i];
		buf_init(&out, 1000);
		message_put_group(&out, &g);
		assert_int_equal(message_parse_group(out.data, out.len - 1, &got, &e), i == 2);
		buf_free(&out);
	}
	assert_false(got.last);
	assert_string_equal(got.seen_incarnation, "");
}

static void
test_sections(void **state)
{
	static const char *const bad[] = { "[null]", "[[]]", "[[\"a\"]]", "[[\"a\",\"b\",\"c\"]]", "[[\"a\",null]]", "[[null,\"a\"]]",
		"[[\"a\",1]]", "[{\"a\":\"b\"}]", "[\"a\",\"b\"]", "[[[\"a\"],\"b\"]]", "[[\"id\",\"int\"],[\"a\"]]", NULL };
	const struct kind *k = &kinds[5];
	struct section s;
	struct err e;

	(void)state;
	refuse_values(k, &k->fields[1], bad);
	assert_true(message_parse_section("{\"table\":\"t\",\"columns\":[]}", 26, &s, &e));
	assert_int_equal(s.ncolumns, 0);
	message_section_free(&s);
	message_section_free(&s);
}

/* An older agent does not name the key. */
static void
test_section_key(void **state)
{
	static const char *const bad[] = { "7", "\"id\"", "[7]", "[[\"id\"]]", "[\"i\\u0000d\"]", "{}", "null" };
	struct section s;
	struct err e;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "{\"table\":\"t\",\"columns\":[[\"id\",\"int\"]],\"key\":%s}", bad[i]);
		assert_false(message_parse_section(text, strlen(text), &s, &e));
	}
	(void)snprintf(text, sizeof text, "{\"table\":\"t\",\"columns\":[[\"id\",\"int\"]]}");
	assert_true(message_parse_section(text, strlen(text), &s, &e));
	assert_int_equal(s.nkey, 0);
	message_section_free(&s);
}

/* Nor does it tell of CHECKs, and nobody does where there are none. */
static void
test_section_rule(void **state)
{
	char id[] = "id", type[] = "int", stock[] = "stock", box[] = "box", name[] = "t";
	struct column columns[] = { { .name = id, .type = type }, { .name = stock, .type = type, .counts = true }, { .name = box, .type = type, .counts = true } };
	struct table t = { .name = name, .columns = columns, .ncolumns = 3, .nkey = 1 };
	static const char bad[] = "{\"table\":\"t\",\"columns\":[[\"id\",\"int\"]],\"rule\":5}";
	struct section s;
	struct buf out;
	struct err e;

	(void)state;
	buf_init(&out, MESSAGE_HEADER_MAX);
	message_put_section(&out, &t);
	assert_null(strstr(buf_cstr(&out), "rule"));
	buf_reset(&out);
	t.policy = POLICY_PREFER;
	(void)snprintf(t.preferred, sizeof t.preferred, "anna");
	t.ncounters = 2;
	message_put_section(&out, &t);
	assert_true(message_parse_section(out.data, out.len - 1, &s, &e));
	assert_string_equal(s.rule, "prefer anna, add = box, stock");
	message_section_free(&s);
	buf_free(&out);
	assert_false(message_parse_section(bad, strlen(bad), &s, &e));
}

static void
test_section_checks(void **state)
{
	static const char *const bad[] = { "7", "\"\"", "\"-1\"", "\"0x7\"", "\"18446744073709551616\"", "[]", "null" };
	char id[] = "id", type[] = "int(11)", name[] = "t", text[128];
	struct column column = { .name = id, .type = type };
	struct table t = { .name = name, .columns = &column, .ncolumns = 1, .nkey = 1 };
	const uint64_t said[] = { 0, 1, UINT64_MAX };
	struct section s;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "{\"table\":\"t\",\"columns\":[[\"id\",\"int\"]],\"checks\":%s}", bad[i]);
		assert_false(message_parse_section(text, strlen(text), &s, &e));
	}
	for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
		struct buf out;

		t.checks = said[i];
		buf_init(&out, MESSAGE_HEADER_MAX);
		message_put_section(&out, &t);
		assert_int_equal(strstr(buf_cstr(&out), "checks") != NULL, said[i] != 0);
		assert_true(message_parse_section(out.data, out.len - 1, &s, &e));
		assert_true(s.checks == said[i]);
		message_section_free(&s);
		buf_free(&out);
	}
}

static void
test_section_nul(void **state)
{
	static const char *const bad[] = { "[[\"a\\u0000b\",\"int\"]]", "[[\"a\",\"int\\u0000\"]]", NULL };

	(void)state;
	refuse_values(&kinds[5], &kinds[5].fields[1], bad);
}

static void
test_section_columns(void **state)
{
	struct section s;
	struct buf text;
	struct err e;

	(void)state;
	for (size_t n = CATALOG_COLUMNS; n <= CATALOG_COLUMNS + 1; n++) {
		buf_init(&text, MESSAGE_HEADER_MAX);
		buf_str(&text, "{\"table\":\"t\",\"columns\":[");
		for (size_t i = 0; i < n; i++)
			buf_fmt(&text, "%s[\"c%zu\",\"int\"]", i > 0 ? "," : "", i);
		buf_str(&text, "]}");
		assert_int_equal(message_parse_section(text.data, text.len, &s, &e), n == CATALOG_COLUMNS);
		message_section_free(&s);
		buf_free(&text);
	}
}

static void
test_section_name_width(void **state)
{
	static const char *const letters[] = { "x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\xb2" };
	char name[65 * 4 + 1], text[400];
	struct section s;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
		for (size_t n = 0; n <= 65; n++) { /* 64 characters, of up to 4 bytes each */
			name[0] = '\0';
			for (size_t k = 0; k < n; k++)
				memcpy(name + k * strlen(letters[i]), letters[i], strlen(letters[i]) + 1);
			(void)snprintf(text, sizeof text, "{\"table\":\"%s\",\"columns\":[]}", name);
			assert_int_equal(message_parse_section(text, strlen(text), &s, &e), n >= 1 && n <= 64);
			message_section_free(&s);
		}
}

static void
test_is_header(void **state)
{
	(void)state;
	assert_true(message_is_header("{", 1));
	assert_false(message_is_header("[", 1));
	assert_false(message_is_header("{", 0));
	assert_false(message_is_header(" {", 2));
}

/* --- errors --- */

static void
test_errors(void **state)
{
	struct message_error m;
	struct err e;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	message_put_error(&out, "busy", "", NULL);
	assert_string_equal(buf_cstr(&out), "{\"error\":\"busy\",\"message\":\"\"}\n");
	assert_true(message_parse_error(out.data, out.len, &m, &e));
	assert_string_equal(m.code, "busy");
	assert_false(m.has_cursor);
	buf_str(&out, "{\"more\":1}\n"); /* lines behind are not looked at */
	assert_true(message_parse_error(out.data, out.len, &m, &e));
	buf_free(&out);
	assert_false(message_parse_error("", 0, &m, &e));
	assert_false(message_parse_error("\n", 1, &m, &e));
	assert_false(message_parse_error("<html>", 6, &m, &e));
}

static void
test_long_errors(void **state)
{
	char code[100], text[ERR_MSG_MAX * 2];
	struct message_error m;
	struct err e;
	struct buf out;

	(void)state;
	memset(code, 'c', sizeof code - 1);
	code[sizeof code - 1] = '\0';
	memset(text, 't', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	buf_init(&out, 10000);
	message_put_error(&out, code, text, NULL);
	assert_true(message_parse_error(out.data, out.len, &m, &e));
	assert_int_equal(strlen(m.code), sizeof m.code - 1);
	assert_int_equal(strlen(m.text), sizeof m.text - 1);
	buf_free(&out);
}

/* An error text quotes what the server said, cut at a byte's limit: it must arrive all the same. */
static void
test_error_not_utf8(void **state)
{
	struct message_error m;
	struct err e;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	message_put_error(&out, "refused", "cut \xc3", NULL);
	assert_true(message_parse_error(out.data, out.len, &m, &e));
	assert_string_equal(m.code, "refused");
	assert_memory_equal(m.text, "cut ", 4);
	buf_free(&out);
}

/* --- envelopes --- */

static void
test_envelopes(void **state)
{
	static const uint64_t pieces[] = { 0, 1, 4096, UINT64_MAX };
	struct err e;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (int last = 0; last < 2; last++) {
			uint64_t piece = 5;
			bool got = last == 0;
			size_t at = 0;
			struct buf body;

			buf_init(&body, 1000);
			message_put_envelope(&body, pieces[i], last == 1);
			assert_true(body.len <= MESSAGE_ENVELOPE_MAX);
			buf_put(&body, "\0\n{\xff", 4);
			assert_true(message_parse_envelope(body.data, body.len, &piece, &got, &at, &e));
			assert_true(piece == pieces[i]);
			assert_int_equal(got, last);
			assert_int_equal(body.len - at, 4);
			assert_memory_equal(body.data + at, "\0\n{\xff", 4);
			buf_free(&body);
		}
}

static void
test_bad_envelopes(void **state)
{
	static const char *const bad[] = { "", "\n", "{}\n", "{\"piece\":\"0\",\"last\":true}", "{\"piece\":0,\"last\":true}\n",
		"{\"piece\":\"0\",\"last\":\"true\"}\n", "{\"piece\":\"0\",\"last\":1}\n", "{\"piece\":\"-1\",\"last\":true}\n",
		"{\"piece\":\"0\"}\n", "{\"last\":true}\n", "{\"piece\":\"0\",\"last\":true}x\n",
		"{\"piece\":\"18446744073709551616\",\"last\":true}\n", "[\"0\",true]\n", "\n{\"piece\":\"0\",\"last\":true}\n" };
	size_t at;
	uint64_t piece;
	bool last;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (message_parse_envelope(bad[i], strlen(bad[i]), &piece, &last, &at, &e))
			fail_msg("accepted: %s", bad[i]);
	assert_false(message_parse_envelope("{\"piece\":\"0\",\"last\":true}\0\n", 27, &piece, &last, &at, &e));
}

static void
test_envelope_limit(void **state)
{
	static const char head[] = "{\"piece\":\"0\",\"last\":true,\"x\":\"";
	size_t at;
	uint64_t piece;
	bool last;
	struct err e;

	(void)state;
	for (size_t len = MESSAGE_ENVELOPE_MAX - 1; len <= MESSAGE_ENVELOPE_MAX + 2; len++) { /* with the newline */
		struct buf body;

		buf_init(&body, 1000);
		buf_str(&body, head);
		while (body.len < len - 3)
			buf_char(&body, 'x');
		buf_str(&body, "\"}\n");
		assert_int_equal(body.len, len);
		assert_int_equal(message_parse_envelope(body.data, body.len, &piece, &last, &at, &e), len <= MESSAGE_ENVELOPE_MAX);
		buf_free(&body);
	}
}

/* --- records --- */

struct record {
	char *line;
	struct line_value v[8];
	size_t n;
	struct record_meta m;
};

/* Parse a line's text into r; its memory is freed by the caller. */
static bool
parse_record(struct record *r, const char *text, size_t len, struct err *e)
{
	r->line = malloc(len > 0 ? len : 1);
	assert_non_null(r->line);
	memcpy(r->line, text, len);
	assert_true(line_parse(r->line, len, r->v, 8, &r->n, e));
	return message_parse_record(r->v, r->n, &r->m, e);
}

static void
assert_text(const char *got, const char *want)
{
	if (want == NULL)
		assert_null(got);
	else {
		assert_non_null(got);
		assert_string_equal(got, want);
	}
}

static void
record_round_trip(const struct record_meta *m, const char *want_line)
{
	struct record r;
	struct buf line;
	struct err e;

	buf_init(&line, 1024 * 1024);
	message_put_record(&line, m);
	if (m->operation != 'o') {
		line_text(&line, "1", 1);
		line_null(&line);
	}
	line_end(&line);
	assert_false(line.failed);
	if (want_line != NULL)
		assert_string_equal(buf_cstr(&line), want_line);
	if (!parse_record(&r, line.data, line.len - 1, &e))
		fail_msg("%s: %s", buf_cstr(&line), e.msg);
	assert_int_equal(r.n, m->operation == 'o' ? 2 : RECORD_FIXED + 2);
	assert_int_equal(r.m.operation, m->operation);
	assert_int_equal(r.m.key_len, m->key_len);
	assert_memory_equal(r.m.key, m->key, m->key_len);
	assert_text(r.m.changed_at, m->changed_at);
	assert_text(r.m.origin, m->origin);
	assert_text(r.m.via, m->via);
	assert_int_equal(r.m.whole, m->whole);
	assert_int_equal(r.m.weak, m->weak);
	assert_text(r.m.columns, m->columns);
	assert_text(r.m.difference, m->difference);
	assert_int_equal(r.m.columns_len, m->columns == NULL ? 0 : strlen(m->columns));
	assert_int_equal(r.m.has_seen, m->has_seen);
	assert_true(r.m.seen == m->seen);
	assert_int_equal(r.m.old_key == NULL, m->old_key == NULL);
	assert_int_equal(r.m.old_key_len, m->old_key_len);
	if (m->old_key != NULL)
		assert_memory_equal(r.m.old_key, m->old_key, m->old_key_len);
	free(r.line);
	buf_free(&line);
}

static void
test_records(void **state)
{
	(void)state;
	record_round_trip(&(struct record_meta){ .operation = 'i', .key = "1", .key_len = 1, .changed_at = TIME },
	    "[\"i\",\"1\",\"" TIME "\",null,\"1\",null]\n");
	record_round_trip(&(struct record_meta){ .operation = 'u', .key = "", .key_len = 0, .changed_at = TIME }, NULL);
	record_round_trip(&(struct record_meta){ .operation = 'd', .key = "a,\\,b\0c", .key_len = 7, .changed_at = TIME, .whole = true },
	    "[\"d\",\"a,\\\\,b\\u0000c\",\"" TIME "\",\"{\\\"whole\\\":\\\"1\\\"}\",\"1\",null]\n");
	record_round_trip(&(struct record_meta){ .operation = 'o', .key = "\xff,7", .key_len = 3 }, "[\"o\",[\"/yw3\"]]\n");
}

/* All optional parts, in every selection of them. */
static void
test_record_parts(void **state)
{
	static const char old[] = "\"\\{}[],:'\n\t\0\x01\x7f\xc3\xa9\xf0\x9f\x98\x80 \\u0041";

	(void)state;
	for (unsigned parts = 0; parts < 256; parts++) {
		struct record_meta m = { .operation = 'u', .key = "k", .key_len = 1, .changed_at = TIME };

		if (parts & 1)
			m.origin = NODE_32;
		if (parts & 2)
			m.via = "b";
		m.whole = (parts & 4) != 0;
		if (parts & 8) {
			m.has_seen = true;
			m.seen = UINT64_MAX;
		}
		if (parts & 16) {
			m.old_key = old;
			m.old_key_len = sizeof old - 1;
		}
		m.weak = (parts & 32) != 0;
		if (parts & 64)
			m.columns = "c0," TIME ",anna;20," TIME ",bert,weak";
		if (parts & 128)
			m.difference = "3:-5,7:0.25";
		record_round_trip(&m, parts == 31 ? NULL : parts != 0 ? NULL : "[\"u\",\"k\",\"" TIME "\",null,\"1\",null]\n");
	}
}

static void
test_old_keys(void **state)
{
	char *wide = malloc(CATALOG_KEY_BYTES);
	struct record_meta m = { .operation = 'i', .key = "k", .key_len = 1, .changed_at = TIME, .old_key = "" };

	(void)state;
	assert_non_null(wide);
	record_round_trip(&m, NULL);
	memset(wide, 1, CATALOG_KEY_BYTES); /* six characters each when escaped, twice */
	m.old_key = wide;
	m.old_key_len = CATALOG_KEY_BYTES;
	record_round_trip(&m, NULL);
	m.key = wide;
	m.key_len = CATALOG_KEY_BYTES;
	record_round_trip(&m, NULL);
	for (int c = 0; c < 128; c++) {
		char one = (char)c;

		m.old_key = &one;
		m.old_key_len = 1;
		record_round_trip(&m, NULL);
	}
	free(wide);
}

static void
refuse_record(const char *line, size_t len)
{
	struct record r;
	struct err e;
	bool ok = parse_record(&r, line, len, &e);

	free(r.line);
	if (ok)
		fail_msg("accepted: %s", line);
	assert_int_equal(e.code, ERR_INPUT);
}

static void
test_bad_records(void **state)
{
	static const char *const bad[] = { "[]", "[\"i\"]", "[null,\"k\",\"" TIME "\",null]", "[\"i\",null,\"" TIME "\",null]",
		"[\"\",\"k\",\"" TIME "\",null]", "[\"x\",\"k\",\"" TIME "\",null]", "[\"I\",\"k\",\"" TIME "\",null]",
		"[\"iu\",\"k\",\"" TIME "\",null]", "[\"i\",\"k\"]", "[\"i\",\"k\",\"" TIME "\"]", "[\"i\",\"k\",null,null]",
		"[\"i\",\"k\",\"\",null]", "[\"i\",\"k\",\"2026-11-21 02:03:04\",null]", "[\"i\",\"k\",\"" TIME "0\",null]",
		"[\"o\",\"k\",\"" TIME "\"]", "[\"o\",\"k\",null]", "[\"o\"]", "[\"o\",null]" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuse_record(bad[i], strlen(bad[i]));
}

static void
test_record_nul_operation(void **state)
{
	static const char line[] = "[\"\\u0000\",\"k\",\"" TIME "\",null]";

	(void)state;
	refuse_record(line, sizeof line - 1);
}

/* The text's order is the order of time, so it must have the form of one. */
static void
test_record_times(void **state)
{
	static const char *const bad[] = { "zzzzzzzzzzzzzzzzzzzzzzzzzz", "2026-11-21T02:03:04.123456", "2026-11-21 02:03:04,123456",
		"2026-11-21 02:03:04.12345 ", "2026-11-21 02:03:04.12345x", "+026-11-21 02:03:04.123456", "2026-11-21 02:03:04.\\u000023456",
		"2026-02-29 00:00:00.000000", "2026-04-31 00:00:00.000000", "2026-00-01 00:00:00.000000", "2026-13-01 00:00:00.000000",
		"2026-01-00 00:00:00.000000", "2026-01-01 24:00:00.000000", "2026-01-01 00:60:00.000000", "2026-01-01 00:00:60.000000",
		"0000-00-00 00:00:00.000000", "1970-01-01 00:00:00.999999", "2038-01-19 03:14:08.000000", "9999-12-31 23:59:59.999999" };
	static const char *const good[] = { "1970-01-01 00:00:01.000000", "2038-01-19 03:14:07.999999", "2000-02-29 23:59:59.999999",
		"2024-02-29 00:00:00.000000" };
	struct line_value values[RECORD_FIXED] = { 0 };
	struct record_meta m;
	struct err e;
	char line[100];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(line, sizeof line, "[\"i\",\"k\",\"%s\",null]", bad[i]);
		refuse_record(line, strlen(line));
	}
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		size_t n;

		(void)snprintf(line, sizeof line, "[\"i\",\"k\",\"%s\",null]", good[i]);
		assert_true(line_parse(line, strlen(line), values, RECORD_FIXED, &n, &e));
		assert_true(message_parse_record(values, n, &m, &e));
	}
}

static void
refuse_meta(const char *meta)
{
	struct buf line;

	buf_init(&line, 10000);
	buf_str(&line, "[\"i\",\"k\",\"" TIME "\",");
	line_quote(&line, meta, strlen(meta));
	buf_char(&line, ']');
	refuse_record(line.data, line.len);
	buf_free(&line);
}

static void
test_bad_meta(void **state)
{
	static const char *const bad[] = { "", " ", "null", "[]", "{", "{} x", "{}{}", "x", "{\"node\":1}", "{\"node\":null}", "{\"node\":[]}",
		"{\"node\":\"" NODE_32 "6\"}", "{\"node\":\"a\\u0000\"}", "{\"via\":1}", "{\"via\":null}", "{\"via\":\"" NODE_32 "6\"}",
		"{\"via\":\"\\u0000\"}", "{\"seen\":1}", "{\"seen\":\"\"}", "{\"seen\":\"-1\"}", "{\"seen\":null}",
		"{\"seen\":\"18446744073709551616\"}", "{\"node\":1,\"seen\":\"1\"}", "{\"node\":1,\"old\":\"1\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuse_meta(bad[i]);
}

static void
test_bad_whole(void **state)
{
	static const char *const bad[] = { "{\"whole\":null}", "{\"whole\":false}", "{\"whole\":1}", "{\"whole\":\"0\"}", "{\"whole\":\"\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuse_meta(bad[i]);
}

static void
test_bad_old_type(void **state)
{
	(void)state;
	refuse_meta("{\"old\":1}");
	refuse_meta("{\"old\":{\"a\":\"b\"}}");
	refuse_meta("{\"old\":[\"a\"]}");
	refuse_meta("{\"old\":false}");
}

static void
test_bad_old_null(void **state)
{
	(void)state;
	refuse_meta("{\"old\":null}");
}

/* --- refusals --- */

static void
refusal_round_trip(const struct refusal *r)
{
	struct refusal got;
	struct buf line;
	struct err e;
	char *copy;

	buf_init(&line, 100000);
	message_put_refusal(&line, r);
	assert_false(line.failed);
	assert_int_equal(line.data[line.len - 1], '\n');
	copy = malloc(line.len - 1);
	assert_non_null(copy);
	memcpy(copy, line.data, line.len - 1);
	if (!message_parse_refusal(copy, line.len - 1, &got, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(got.table, r->table);
	assert_int_equal(got.key_len, r->key_len);
	assert_memory_equal(got.key, r->key, r->key_len);
	assert_int_equal(got.counted, r->counted);
	if (strlen(r->reason) <= MESSAGE_REASON_MAX)
		assert_string_equal(got.reason, r->reason);
	else
		assert_memory_equal(got.reason, r->reason, strlen(got.reason));
	assert_true(strlen(got.reason) <= MESSAGE_REASON_MAX);
	free(copy);
	buf_free(&line);
}

static void
test_refusals(void **state)
{
	char every[256], reason[MESSAGE_REASON_MAX * 2];

	(void)state;
	for (int c = 0; c < 256; c++)
		every[c] = (char)c;
	refusal_round_trip(&(struct refusal){ "t", "1", 1, "Duplicate entry 'a' for key \"b\"", true });
	refusal_round_trip(&(struct refusal){ "t", "", 0, "", false });
	refusal_round_trip(&(struct refusal){ "ta`\"b\\le;", "a\0b", 3, "line\nline", true });
	refusal_round_trip(&(struct refusal){ "t", every, sizeof every, "x", false });
	refusal_round_trip(&(struct refusal){ "t", every, 128, "\xc3\xa9", true });
	memset(reason, 'r', sizeof reason - 1);
	reason[sizeof reason - 1] = '\0';
	refusal_round_trip(&(struct refusal){ "t", "1", 1, reason, true });
}

/* It is stored as text by the other side: half a character would be refused by its server. */
static void
test_reason_is_text(void **state)
{
	char reason[MESSAGE_REASON_MAX + 10] = "";
	struct refusal got;
	struct buf line;
	struct err e;

	(void)state;
	memset(reason, 'r', MESSAGE_REASON_MAX - 1);
	memcpy(reason + MESSAGE_REASON_MAX - 1, "\xc3\xa9", 3);
	buf_init(&line, 10000);
	message_put_refusal(&line, &(struct refusal){ "t", "1", 1, reason, true });
	assert_true(message_parse_refusal(line.data, line.len - 1, &got, &e));
	assert_true(line_is_utf8(got.reason, strlen(got.reason)));
	assert_true(strlen(got.reason) >= MESSAGE_REASON_MAX - 1);
	buf_reset(&line);
	message_put_refusal(&line, &(struct refusal){ "t", "1", 1, "cut \xc3", true });
	assert_true(message_parse_refusal(line.data, line.len - 1, &got, &e));
	assert_true(line_is_utf8(got.reason, strlen(got.reason)));
	assert_memory_equal(got.reason, "cut ", 4);
	buf_free(&line);
}

static void
refuse_refusal(const char *text)
{
	struct refusal got;
	struct err e;
	char *copy = strdup(text);
	bool ok;

	assert_non_null(copy);
	ok = message_parse_refusal(copy, strlen(text), &got, &e);
	free(copy);
	if (ok)
		fail_msg("accepted: %s", text);
}

static void
test_bad_refusals(void **state)
{
	static const char *const bad[] = { "", "[]", "{}", "[\"t\",\"1\",\"refused\"]", "[\"t\",\"1\",\"refused\",\"r\",\"x\"]",
		"[null,\"1\",\"refused\",\"r\"]", "[\"t\",null,\"refused\",\"r\"]", "[\"t\",\"1\",null,\"r\"]", "[\"t\",\"1\",\"refused\",null]",
		"[\"t\",\"1\",\"refused\",\"r\"]\n", "[\"t\",\"1\",\"refused\",\"r\"" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuse_refusal(bad[i]);
}

static void
test_refusal_words(void **state)
{
	(void)state;
	refuse_refusal("[\"t\",\"1\",\"other\",\"r\"]");
	refuse_refusal("[\"t\",\"1\",\"\",\"r\"]");
	refuse_refusal("[\"t\",\"1\",\"refused\\u0000\",\"r\"]");
	refuse_refusal("[\"t\\u0000x\",\"1\",\"refused\",\"r\"]");
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("every message has its form and comes back as it was", test_round_trips),
		NAMED("a message without one of its fields is refused", test_missing),
		NAMED("a field of another type is refused, JSON numbers among them", test_wrong_types),
		NAMED("numbers are digits that fit 64 bits", test_numbers),
		NAMED("ids and stamps are lower-case hex of their length", test_hex),
		NAMED("texts with a NUL, without UTF-8 or too long are refused", test_texts),
		NAMED("nothing stands around a message, and none is cut", test_around),
		NAMED("a message above the limit is refused before it is read", test_too_long),
		NAMED("unknown fields are skipped, of doubled ones the last counts", test_more_fields),
		NAMED("a hello may end with its newline", test_hello_newline),
		NAMED("a welcome to a stranger has an empty position", test_welcome_empty),
		NAMED("a group ends behind its beginning", test_group_order),
		NAMED("malformed columns are refused, a table without any is not", test_sections),
		NAMED("a column with a NUL in its name or type is refused", test_section_nul),
		NAMED("a key in a section is names or missing", test_section_key),
		NAMED("a section names its table's rule, and only another one than newer", test_section_rule),
		NAMED("the number of CHECKs in a section is a number or missing", test_section_checks),
		NAMED("a section holds as many columns as a server allows", test_section_columns),
		NAMED("a section's table has a name of 1 to 64 characters", test_section_name_width),
		NAMED("a header begins with a brace", test_is_header),
		NAMED("an error comes back, with or without a position", test_errors),
		NAMED("an error's long texts are cut", test_long_errors),
		NAMED("an error text that is no UTF-8 arrives", test_error_not_utf8),
		NAMED("an envelope comes back and the payload stands behind it", test_envelopes),
		NAMED("malformed envelopes are refused", test_bad_envelopes),
		NAMED("an envelope has at most its limit", test_envelope_limit),
		NAMED("a record's facts come back", test_records),
		NAMED("every selection of optional facts comes back", test_record_parts),
		NAMED("old keys may hold any character and be as wide as a key", test_old_keys),
		NAMED("malformed records are refused", test_bad_records),
		NAMED("a NUL is no operation", test_record_nul_operation),
		NAMED("a record's time has the form of a time", test_record_times),
		NAMED("malformed facts are refused", test_bad_meta),
		NAMED("whole is 1 or not there", test_bad_whole),
		NAMED("an old key that is no text is refused", test_bad_old_type),
		NAMED("refusals come back, with any key", test_refusals),
		NAMED("a refusal's reason is text also when it was cut", test_reason_is_text),
		NAMED("malformed refusals are refused", test_bad_refusals),
		NAMED("a refusal says refused or waiting", test_refusal_words),
		NAMED("an old key that is null is refused", test_bad_old_null),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
