/* Definitions of tables from elsewhere: what a server says of its own tables passes, nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "db/blueprint.h"

#define END ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"

static bool
passes(const char *text, const char *name, struct err *e)
{
	const char *definition = NULL;

	return blueprint_check(text, strlen(text), name, &definition, e) && definition[0] == '(';
}

static void
what_a_server_says_of_its_tables_passes(void **state)
{
	static const char *const texts[] = {
		"CREATE TABLE `t` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `v` varchar(40) DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  KEY `v` (`v`(10))\n) ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='it''s; SELECT'",
		"CREATE TABLE `t` (\n  `id` uuid NOT NULL DEFAULT uuid(),\n  `e` enum('a','b''c','d\\\\') CHARACTER SET latin1 COLLATE latin1_bin DEFAULT 'a' COMMENT '/* no */',\n  PRIMARY KEY (`id`)\n" END,
		"CREATE TABLE `t` (\n  `id` int(11) NOT NULL,\n  `s` decimal(10,2) GENERATED ALWAYS AS (`id` * 1.5) STORED,\n  `j` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`j`)),\n  `ts` timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6),\n  `b` bit(3) DEFAULT b'101',\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `s` (`s`,`ts`) USING BTREE,\n  CONSTRAINT `c` CHECK (`id` > 0 and (`s` is null or `s` >= -1))\n" END,
		"CREATE TABLE `t` (\n  `id` int(11) NOT NULL,\n  `p` int(11) DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  CONSTRAINT `f` FOREIGN KEY (`p`) REFERENCES `parent` (`id`) ON DELETE SET NULL ON UPDATE CASCADE\n" END,
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct err e = { 0 };

		if (!passes(texts[i], "t", &e))
			fail_msg("%zu: %s", i, e.msg);
	}
}

static void
anything_else_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{ "", "beginning" },
		{ "DROP TABLE `t`", "beginning" },
		{ "CREATE OR REPLACE TABLE `t` (`id` int(11)" END, "beginning" },
		{ "CREATE TABLE `mysql`.`user` (`id` int(11)" END, "name" },
		{ "CREATE TABLE `tt` (`id` int(11)" END, "name" },
		{ "CREATE TABLE t (`id` int(11)" END, "no name" },
		{ "CREATE TABLE `t` SELECT 1", "no columns" },
		{ "CREATE TABLE `t` LIKE `u`", "no columns" },
		{ "CREATE TABLE `t` (`id` int(11)) ENGINE=MyISAM", "engine" },
		{ "CREATE TABLE `t` (`id` int(11)) ENGINE=FEDERATED CONNECTION='mysql://x'", "engine" },
		{ "CREATE TABLE `t` (`id` int(11)) ENGINE=InnoDB DATA DIRECTORY='/etc'", "option" },
		{ "CREATE TABLE `t` (`id` int(11)) ENGINE=InnoDB CONNECTION='x'", "option" },
		{ "CREATE TABLE `t` (`id` int(11)) DEFAULT CHARSET=utf8mb4", "engine" },
		{ "CREATE TABLE `t` (`id` int(11)" END " SELECT * FROM `mysql`.`user`", "option" },
		{ "CREATE TABLE `t` (`id` int(11)" END " AS SELECT 1", "option" },
		{ "CREATE TABLE `t` (`id` int(11)" END "; DROP DATABASE `app`", "sign" },
		{ "CREATE TABLE `t` (`id` int(11)" END " /*!50100 PARTITION BY HASH (`id`) */", "comment" },
		{ "CREATE TABLE `t` (`id` int(11) -- \n" END, "comment" },
		{ "CREATE TABLE `t` (`id` int(11) # \n" END, "sign" },
		{ "CREATE TABLE `t` (`id` int(11) DEFAULT (sleep(100))" END, "word" },
		{ "CREATE TABLE `t` (`id` int(11) DEFAULT (`sleep`(100))" END, "function" },
		{ "CREATE TABLE `t` (`id` int(11), CONSTRAINT `c` CHECK (`sleep`(1) = 0)" END, "function" },
		{ "CREATE TABLE `t` (`id` int(11) DEFAULT nextval(`mysql`.`s`)" END, "word" },
		{ "CREATE TABLE `t` (`id` int(11) DEFAULT @@version" END, "sign" },
		{ "CREATE TABLE `t` (`id` text DEFAULT load_file('/etc/passwd')" END, "word" },
		{ "CREATE TABLE `t` (`id` int(11), CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `mysql`.`user` (`x`)" END, "sign" },
		{ "CREATE TABLE `t` (`id` int(11) COMMENT 'open" END, "quote" },
		{ "CREATE TABLE `t` (`id` int(11", "no end" },
		{ "CREATE TABLE `t` (,)" END, "empty" },
		{ "CREATE TABLE `t` (`id` int(11)) ENGINE", "value" },
		{ "CREATE TABLE `t` (`id` int(11)) ENGINE=", "value" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct err e = { 0 };

		if (passes(wrong[i].text, "t", &e))
			fail_msg("%s passes", wrong[i].text);
		assert_int_equal(e.code, ERR_INPUT);
		if (strstr(e.msg, wrong[i].why) == NULL)
			fail_msg("%s: %s", wrong[i].text, e.msg);
	}
}

/* Whatever is cut off or put in, it is refused or read without harm. */
static void
damage_does_no_harm(void **state)
{
	static const char text[] = "CREATE TABLE `t` (`id` int(11) DEFAULT 'x''\\\\' COMMENT '', KEY `k` (`id`)) ENGINE=InnoDB COMMENT='a'";
	static const char put[] = "`'\\(),;/*-#@\"\0\n";
	char copy[sizeof text];
	const char *definition;
	struct err e;

	(void)state;
	for (size_t len = 0; len + 1 < sizeof text - sizeof " COMMENT='a'"; len++)
		assert_false(blueprint_check(text, len, "t", &definition, &e));
	for (size_t at = 0; at + 1 < sizeof text; at++)
		for (size_t i = 0; i < sizeof put; i++) {
			memcpy(copy, text, sizeof text);
			copy[at] = put[i];
			/* A sign that ends a statement or hides one can stand in quotes alone. */
			if (blueprint_check(copy, sizeof text - 1, "t", &definition, &e) && strchr(";#@\"", put[i]) != NULL && put[i] != '\0')
				assert_true(memchr(copy, '\'', at) != NULL || memchr(copy, '`', at) != NULL);
		}
}

static void
a_name_with_a_quote_is_that_name(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_true(passes("CREATE TABLE `a``b` (`id` int(11)" END, "a`b", &e));
	assert_false(passes("CREATE TABLE `a``b` (`id` int(11)" END, "a``b", &e));
	assert_false(passes("CREATE TABLE `a` (`id` int(11)" END, "a`b", &e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_server_says_of_its_tables_passes),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(damage_does_no_harm),
		cmocka_unit_test(a_name_with_a_quote_is_that_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
