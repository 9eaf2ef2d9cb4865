/* Guarding an app's trigger: finding its body in every way of writing CREATE TRIGGER, the guarded text,
 * and the way back. What a server makes of it is in tests/e2e/test_app_triggers.py. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "capture/wrap.h"
#include "seed.h"

#define TOKEN "0123456789abcdef"
#define OTHER "fedcba9876543210"
#define HEAD "CREATE DEFINER=`a`@`localhost` TRIGGER t BEFORE INSERT ON x FOR EACH ROW"
#define GUARD(token, body) " IF @tandem_skip_" token " IS NULL THEN" body "\n;END IF"

static void
puts_text(const char *text, const char *place, bool ignore_space, const char *token, const char *expected)
{
	struct wrap w;
	struct buf sql;

	assert_null(wrap_read(text, strlen(text), &w));
	buf_init(&sql, 1024 * 1024);
	wrap_put(&sql, text, &w, place, ignore_space, token);
	assert_string_equal(buf_cstr(&sql), expected);
	buf_free(&sql);
}

/* Guarded and read again the body is the app's own, to the byte. */
static void
comes_back(const char *text, const char *body)
{
	struct wrap w, again;
	struct buf sql, back;

	assert_null(wrap_read(text, strlen(text), &w));
	assert_int_equal(w.body_end - w.body, strlen(body));
	assert_memory_equal(text + w.body, body, strlen(body));
	buf_init(&sql, 1024 * 1024);
	buf_init(&back, 1024 * 1024);
	wrap_put(&sql, text, &w, "", false, TOKEN);
	/* The server does not keep OR REPLACE. */
	buf_str(&back, "CREATE");
	buf_str(&back, buf_cstr(&sql) + strlen("CREATE OR REPLACE"));
	assert_null(wrap_read(back.data, back.len, &again));
	assert_string_equal(again.token, TOKEN);
	assert_int_equal(again.body_end - again.body, strlen(body));
	assert_memory_equal(back.data + again.body, body, strlen(body));
	buf_reset(&sql);
	wrap_put(&sql, back.data, &again, "", false, NULL);
	buf_reset(&back);
	wrap_put(&back, text, &w, "", false, NULL);
	assert_string_equal(buf_cstr(&sql), buf_cstr(&back));
	buf_free(&sql);
	buf_free(&back);
}

static void
test_guarded_text(void **state)
{
	(void)state;
	puts_text(HEAD " SET NEW.a=1", "", false, TOKEN, "CREATE OR REPLACE DEFINER=`a`@`localhost` TRIGGER t BEFORE INSERT ON x FOR EACH ROW" GUARD(TOKEN, " SET NEW.a=1"));
	puts_text(HEAD " SET NEW.a=1", "PRECEDES `z`", false, TOKEN,
	    "CREATE OR REPLACE DEFINER=`a`@`localhost` TRIGGER t BEFORE INSERT ON x FOR EACH ROW PRECEDES `z`" GUARD(TOKEN, " SET NEW.a=1"));
}

/* What the server makes of these is that the blanks behind ROW stay. */
static void
test_place(void **state)
{
	(void)state;
	puts_text("CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW\n  BEGIN END", "PRECEDES `z`", false, NULL,
	    "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON x FOR EACH ROW PRECEDES `z`\n  BEGIN END");
	puts_text("CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW\n  BEGIN END", "PRECEDES `z`", true, NULL,
	    "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON x FOR EACH ROW\n  PRECEDES `z`BEGIN END");
	puts_text("CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW/*c*/BEGIN END", "PRECEDES `z`", true, NULL,
	    "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON x FOR EACH ROW/**/PRECEDES `z`/*c*/BEGIN END");
	puts_text("CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW\n  BEGIN END", "PRECEDES `z`", true, TOKEN,
	    "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON x FOR EACH ROW PRECEDES `z`IF @tandem_skip_" TOKEN " IS NULL THEN\n  BEGIN END\n;END IF");
}

static void
test_another_token(void **state)
{
	(void)state;
	puts_text(HEAD GUARD(OTHER, " SET NEW.a=1"), "", false, TOKEN,
	    "CREATE OR REPLACE DEFINER=`a`@`localhost` TRIGGER t BEFORE INSERT ON x FOR EACH ROW" GUARD(TOKEN, " SET NEW.a=1"));
	puts_text(HEAD GUARD(OTHER, " SET NEW.a=1"), "", false, NULL, "CREATE OR REPLACE DEFINER=`a`@`localhost` TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET NEW.a=1");
}

static void
test_heads(void **state)
{
	(void)state;
	comes_back("CREATE DEFINER=`root`@`%` trigger /* c1 */ a /*c2*/ before -- x\n insert on t # y\n for each row set new.b=1 /* tail */ -- tail2",
	    " set new.b=1 /* tail */ -- tail2");
	comes_back("CREATE DEFINER=\"a\"\"b\"@\"h\" TRIGGER \"for each row\" AFTER DELETE ON `d`.`it``s \"x\"`\nFOR\tEACH\nROW`l`:BEGIN END `l`", "`l`:BEGIN END `l`");
	comes_back("CREATE DEFINER=`r\xc3\xb6l` TRIGGER \xc3\xa4 . b AFTER UPDATE ON t9$_ FOR EACH ROW/*x*/BEGIN END", "/*x*/BEGIN END");
	comes_back("CREATE TRIGGER if BEFORE INSERT ON x FOR EACH ROW SET @a=1", " SET @a=1");
	comes_back(HEAD "\n\n\tBEGIN DECLARE EXIT HANDLER FOR 1054 BEGIN END; SET NEW.s='IF @tandem_skip_'; END", "\n\n\tBEGIN DECLARE EXIT HANDLER FOR 1054 BEGIN END; SET NEW.s='IF @tandem_skip_'; END");
	comes_back("CREATE DEFINER=`a`@`b` TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET NEW.s='\xe9\\'", " SET NEW.s='\xe9\\'");
}

/* OR REPLACE does not go with it. */
static void
test_if_not_exists(void **state)
{
	(void)state;
	puts_text("CREATE DEFINER=`a`@`b` TRIGGER if  not /**/ exists t BEFORE INSERT ON x FOR EACH ROW SET NEW.a=1", "", false, TOKEN,
	    "CREATE OR REPLACE DEFINER=`a`@`b` TRIGGER t BEFORE INSERT ON x FOR EACH ROW" GUARD(TOKEN, " SET NEW.a=1"));
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"", "CREATE", "CREATE TRIGGER", "SELECT 1", "CREATE DEFINER=`a TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a=1",
		"CREATE TRIGGER t BEFORE TRUNCATE ON x FOR EACH ROW SET @a=1", "CREATE TRIGGER t BEFORE INSERT OR UPDATE ON x FOR EACH ROW SET @a=1",
		"CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROWS SET @a=1", "CREATE TRIGGER IF NOT t BEFORE INSERT ON x FOR EACH ROW SET @a=1",
		"CREATE TRIGGER t /* BEFORE INSERT ON x FOR EACH ROW SET @a=1", "CREATE TRIGGER `t BEFORE INSERT ON x FOR EACH ROW",
		" CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a=1", "/**/CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a=1",
	};
	struct wrap w;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_string_equal(wrap_read(bad[i], strlen(bad[i]), &w), "is written in a way that the agent cannot read");
	assert_non_null(wrap_read(HEAD " SET @a='\0'", sizeof HEAD " SET @a='\0'" - 1, &w));
	assert_string_equal(wrap_read(HEAD " IF @tandem_skip_" TOKEN " IS NULL THEN SET @a=1; END IF", strlen(HEAD " IF @tandem_skip_" TOKEN " IS NULL THEN SET @a=1; END IF"), &w),
	    "begins as a guarded one but does not end as one");
}

static void
test_known_by_text(void **state)
{
	char token[SCHEMA_TOKEN_LEN + 1];

	(void)state;
	assert_true(wrap_begins("IF @tandem_skip_" TOKEN " IS NULL THEN SET", token));
	assert_string_equal(token, TOKEN);
	assert_false(wrap_begins("IF @tandem_skip_" TOKEN "0 IS NULL THEN SET", token));
	assert_false(wrap_begins("IF @tandem_skip_0123 IS NULL THEN SET", token));
	assert_false(wrap_begins("IF @tandem_skip_" TOKEN, token));
	assert_false(wrap_begins("BEGIN IF @tandem_skip_" TOKEN " IS NULL THEN", token));
	assert_false(wrap_begins("", token));
	assert_string_equal(token, "");
	assert_true(wrap_ends("\n;END IF"));
	assert_true(wrap_ends("SET @a=1\n;END IF"));
	assert_false(wrap_ends("; END IF"));
	assert_false(wrap_ends(""));
}

/* Cut anywhere, or with any byte changed, a text is refused or read: nothing is read past its end. */
static void
test_damaged(void **state)
{
	static const char text[] = "CREATE DEFINER=`a`@`b` TRIGGER /*x*/ IF NOT EXISTS `d`.`t` BEFORE INSERT ON x -- y\n FOR EACH ROW" GUARD(TOKEN, " BEGIN END");
	struct seed *seed = *state;
	struct wrap w;

	for (size_t n = 0; n <= sizeof text; n++) {
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, text, n);
		copy[n] = '\0';
		if (n > 0)
			copy[seed_below(seed, n)] = "`\"/*-# \n@.=\xff"[seed_below(seed, 12)];
		if (wrap_read(copy, n, &w) == NULL)
			assert_true(w.exists <= w.exists_end && w.exists_end <= w.row_end && w.row_end <= w.body && w.body <= w.body_end && w.body_end <= n);
		free(copy);
	}
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }
#define RANDOM(text, f) { text, f, NULL, NULL, &seed }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		NAMED("a guarded trigger has a fixed text around its body", test_guarded_text),
		NAMED("a guard of another installation is replaced or taken off", test_another_token),
		NAMED("the place stands where the server takes it out without a trace", test_place),
		NAMED("every way of writing the head is read and the body comes back", test_heads),
		NAMED("IF NOT EXISTS goes, since OR REPLACE comes", test_if_not_exists),
		NAMED("what cannot be read is refused", test_refused),
		NAMED("a guarded trigger is known by its text", test_known_by_text),
		RANDOM("a damaged text is never read past its end", test_damaged),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("wrap", tests, NULL, NULL);
}
