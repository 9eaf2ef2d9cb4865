/* How the values of each type travel. What a server says of real tables is in tests/e2e. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "db/catalog.h"

static const struct {
	const char *type, *charset;
	enum column_kind kind;
} known[] = {
	{ "tinyint", "", COLUMN_PLAIN }, { "bigint", "", COLUMN_PLAIN }, { "decimal", "", COLUMN_PLAIN },
	{ "double", "", COLUMN_PLAIN }, { "year", "", COLUMN_PLAIN }, { "time", "", COLUMN_PLAIN },
	{ "float", "", COLUMN_FLOAT }, { "bit", "", COLUMN_BIT }, { "timestamp", "", COLUMN_TIMESTAMP },
	{ "enum", "utf8mb4", COLUMN_CHOICE }, { "set", "latin1", COLUMN_CHOICE }, { "uuid", "", COLUMN_TYPED },
	{ "inet4", "", COLUMN_TYPED }, { "inet6", "", COLUMN_TYPED }, { "char", "utf8mb4", COLUMN_TEXT },
	{ "varchar", "utf8mb3", COLUMN_TEXT }, { "text", "utf8", COLUMN_TEXT }, { "longtext", "ascii", COLUMN_TEXT },
	{ "varchar", "latin1", COLUMN_CHARS }, { "text", "utf16", COLUMN_CHARS }, { "char", "later1", COLUMN_CHARS },
	{ "binary", "", COLUMN_BYTES }, { "longblob", "", COLUMN_BYTES }, { "geometrycollection", "", COLUMN_BYTES },
};

static void
test_known_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		enum column_kind kind;

		assert_true(catalog_kind(known[i].type, known[i].charset, &kind));
		assert_int_equal(kind, known[i].kind);
	}
}

static void
test_types_of_later_servers_are_not_guessed(void **state)
{
	static const char *const unknown[] = { "vector", "xmltype", "mysql_json", "", "INT", "int2", "varchar2" };

	(void)state;
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
		enum column_kind kind;

		assert_false(catalog_kind(unknown[i], "", &kind));
		assert_false(catalog_kind(unknown[i], "utf8mb4", &kind));
	}
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("every known type has a kind", test_known_types),
		NAMED("types of later servers are not guessed", test_types_of_later_servers_are_not_guessed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
