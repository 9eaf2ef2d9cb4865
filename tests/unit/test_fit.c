/* Which type holds every value of which, which values are the same in a wider type, and what is said when a
 * table does not fit. That the values of the list really arrive is in tests/e2e/test_types.py. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "apply/fit.h"

enum side { VALUE = 1, KEY = 2, BACK = 4 };

#define GENERAL " utf8mb4_general_ci"

/* What the narrow type's values may go to: as a value, as a key, and the other way round too. */
static const struct {
	const char *wide, *narrow;
	unsigned holds;
} pairs[] = {
	/* integers */
	{ "int(11)", "int(10)", VALUE | KEY | BACK },
	{ "tinyint(4)", "tinyint(1)", VALUE | KEY | BACK },
	{ "smallint(6)", "tinyint(4)", VALUE | KEY },
	{ "mediumint(9)", "smallint(6)", VALUE | KEY },
	{ "bigint(20)", "int(11)", VALUE | KEY },
	{ "int(10) unsigned", "smallint(5) unsigned", VALUE | KEY },
	{ "bigint(20)", "int(10) unsigned", VALUE | KEY },
	{ "int(11)", "int(10) unsigned", 0 },
	{ "bigint(20)", "bigint(20) unsigned", 0 },
	{ "bigint(20) unsigned", "int(11)", 0 },
	{ "int(10) unsigned zerofill", "smallint(5) unsigned", 0 },
	{ "bigint(20)", "int(10) unsigned zerofill", 0 },
	{ "int(10) unsigned zerofill", "int(10) unsigned zerofill", VALUE | KEY | BACK },
	/* decimals */
	{ "decimal(12,2)", "decimal(10,2)", VALUE | KEY },
	{ "decimal(12,4)", "decimal(10,2)", VALUE },
	{ "decimal(10,3)", "decimal(10,2)", 0 },
	{ "decimal(12,2)", "decimal(10,2) unsigned", VALUE | KEY },
	{ "decimal(12,2) unsigned", "decimal(10,2)", 0 },
	{ "decimal(10,0)", "int(11)", VALUE },
	{ "decimal(12,2)", "int(11)", VALUE },
	{ "decimal(9,0)", "int(11)", 0 },
	{ "decimal(20,0)", "bigint(20) unsigned", VALUE },
	{ "decimal(19,0)", "bigint(20) unsigned", 0 },
	{ "decimal(3,0)", "tinyint(4)", VALUE },
	{ "decimal(7,0)", "mediumint(8) unsigned", 0 },
	{ "int(11)", "decimal(2,0)", 0 },
	/* reals */
	{ "double", "float", VALUE },
	{ "double", "float(10,3)", VALUE },
	{ "double", "float unsigned", VALUE },
	{ "double unsigned", "float", 0 },
	{ "double(20,5)", "float", 0 },
	{ "double", "double(20,5)", VALUE },
	{ "float", "float(10,3)", VALUE | KEY },
	{ "float", "double", BACK },
	{ "double", "int(11)", 0 },
	{ "double", "decimal(5,2)", 0 },
	/* texts */
	{ "varchar(50)" GENERAL, "varchar(40)" GENERAL, VALUE | KEY },
	{ "char(50)" GENERAL, "char(40)" GENERAL, VALUE | KEY },
	{ "varchar(50)" GENERAL, "char(50)" GENERAL, VALUE | KEY },
	{ "char(255)" GENERAL, "varchar(5)" GENERAL, 0 },
	{ "text" GENERAL, "varchar(16000)" GENERAL, VALUE | KEY },
	{ "tinytext" GENERAL, "varchar(63)" GENERAL, VALUE | KEY },
	{ "tinytext" GENERAL, "varchar(64)" GENERAL, 0 },
	{ "varchar(255)" GENERAL, "tinytext" GENERAL, VALUE | KEY },
	{ "varchar(254)" GENERAL, "tinytext" GENERAL, 0 },
	{ "mediumtext" GENERAL, "text" GENERAL, VALUE | KEY },
	{ "longtext" GENERAL, "mediumtext" GENERAL, VALUE | KEY },
	{ "varchar(16000)" GENERAL, "text" GENERAL, BACK },
	{ "varchar(40) utf8mb4_bin", "varchar(40)" GENERAL, 0 },
	{ "varchar(40)" GENERAL, "varchar(40) latin1_swedish_ci", 0 },
	{ "varchar(40) utf8mb4_unicode_ci", "varchar(40) utf8mb3_unicode_ci", VALUE | KEY },
	{ "varchar(40) utf8mb4_unicode_ci", "varchar(40) utf8mb3_bin", 0 },
	{ "varchar(40) utf8mb3_bin", "varchar(40) utf8_bin", VALUE | KEY | BACK },
	{ "varchar(40) utf8mb4_bin", "varchar(30) utf8_bin", VALUE | KEY },
	{ "varchar(40) utf8mb4_bin", "varchar(40) ascii_bin", 0 },
	{ "varchar(40) /*M!100301 COMPRESSED*/" GENERAL, "varchar(40)" GENERAL, VALUE | KEY | BACK },
	/* bytes */
	{ "varbinary(50)", "varbinary(40)", VALUE | KEY },
	{ "varbinary(50)", "binary(50)", VALUE | KEY },
	{ "binary(5)", "binary(4)", 0 },
	{ "binary(4)", "varbinary(4)", BACK },
	{ "blob", "varbinary(60000)", VALUE | KEY },
	{ "tinyblob", "binary(255)", VALUE | KEY },
	{ "tinyblob", "varbinary(256)", BACK },
	{ "varbinary(255)", "tinyblob", VALUE | KEY | BACK },
	{ "longblob", "blob /*M!100301 COMPRESSED*/", VALUE | KEY },
	{ "text" GENERAL, "blob", 0 },
	{ "varbinary(40)", "varchar(10)" GENERAL, 0 },
	/* moments */
	{ "datetime(6)", "datetime", VALUE },
	{ "datetime(6)", "datetime(3)", VALUE },
	{ "timestamp(6)", "timestamp", VALUE },
	{ "time(3)", "time", VALUE },
	{ "datetime", "date", VALUE },
	{ "datetime(6)", "date", VALUE },
	{ "timestamp", "date", 0 },
	{ "datetime", "timestamp", 0 },
	{ "timestamp", "datetime", 0 },
	{ "datetime", "time", 0 },
	{ "smallint(6)", "year(4)", 0 },
	/* members */
	{ "enum('a','b','c')" GENERAL, "enum('a','b')" GENERAL, VALUE | KEY },
	{ "enum('a','b,c')" GENERAL, "enum('a','b')" GENERAL, 0 },
	{ "enum('a','b''c')" GENERAL, "enum('a','b')" GENERAL, 0 },
	{ "enum('a','b','')" GENERAL, "enum('a','b')" GENERAL, VALUE | KEY },
	{ "enum('b','a')" GENERAL, "enum('a','b')" GENERAL, 0 },
	{ "enum('x','a','b')" GENERAL, "enum('a','b')" GENERAL, 0 },
	{ "enum('a)',') utf8mb4_bin')" GENERAL, "enum('a)')" GENERAL, VALUE | KEY },
	{ "enum('a','b') utf8mb4_bin", "enum('a')" GENERAL, 0 },
	{ "set('a','b')" GENERAL, "set('a')" GENERAL, VALUE | KEY },
	{ "set('a','b')" GENERAL, "enum('a')" GENERAL, 0 },
	/* others */
	{ "bit(9)", "bit(8)", VALUE | KEY },
	{ "bigint(20)", "bit(8)", 0 },
	{ "geometry", "point", VALUE },
	{ "point", "linestring", 0 },
	{ "inet6", "inet4", 0 },
	{ "uuid", "uuid", VALUE | KEY | BACK },
	{ "varbinary(16)", "uuid", 0 },
	/* what is not known holds only itself */
	{ "vector(3)", "vector(3)", VALUE | KEY | BACK },
	{ "vector(4)", "vector(3)", 0 },
};

static void
test_every_pair(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		const char *wide = pairs[i].wide, *narrow = pairs[i].narrow;
		unsigned found = (fit_holds(wide, narrow, false) ? VALUE : 0u) | (fit_holds(wide, narrow, true) ? KEY : 0u) |
		    (fit_holds(narrow, wide, false) ? BACK : 0u);

		if (found != pairs[i].holds) {
			(void)fprintf(stderr, "%s for %s: %u, expected %u\n", wide, narrow, found, pairs[i].holds);
			wrong++;
		}
		assert_true(fit_holds(wide, wide, true));
		assert_true(fit_holds(narrow, narrow, true));
	}
	assert_int_equal(wrong, 0);
}

/* Types come from the line: whatever they say, they are read to their end and no further. */
static void
test_malformed_types(void **state)
{
	static const char *const texts[] = { "", " ", "(", ")", "int(", "int)", "int()", "int(x)", "int(1", "int(1,2,3)", "int(1,)",
		"int(11) ", "int(11)  unsigned", "int(11)unsigned", "varchar", "varchar(5) /*", "varchar(-1) utf8mb4_bin", "enum",
		"enum(", "enum()", "enum(')", "decimal", "decimal(2)", "decimal(2,5)", "decimal(99999999999999999999,1)", "bit", "bit()",
		"datetime()", "char(1) utf8mb4", "blob(3)", "int(11) /*x*/ /*y" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
			(void)fit_holds(texts[i], texts[k], k % 2 == 0);
		assert_false(fit_holds("int(11)", texts[i], false) && strncmp(texts[i], "int(11)", 7) != 0);
		assert_true(fit_holds(texts[i], texts[i], true));
		for (size_t n = 0; n < sizeof pairs / sizeof pairs[0]; n++) {
			(void)fit_holds(pairs[n].wide, texts[i], false);
			(void)fit_holds(texts[i], pairs[n].narrow, true);
		}
		(void)fit_same(texts[i], (struct fit_value){ "1.0", 3 }, (struct fit_value){ "1", 1 });
	}
}

static const struct {
	const char *type, *a, *b;
	bool same;
} values[] = {
	{ "decimal(12,4)", "1.50", "1.5000", true },
	{ "decimal(12,4)", "1.50", "1.5001", false },
	{ "decimal(12,4)", "7", "7.0000", true },
	{ "double", "7.00000", "7", true },
	{ "decimal(12,4)", "-7", "7.0000", false },
	{ "decimal(12,4)", "-0.50", "-0.5000", true },
	{ "decimal(12,4)", "0", "0.0000", true },
	{ "decimal(12,4)", "100", "1.0000", false },
	{ "decimal(12,4)", "100", "100.0000", true },
	{ "decimal(12,0)", "10", "1", false },
	{ "bigint(20)", "10", "1", false },
	{ "bigint(20)", "", "0", true },
	{ "double", "1e10", "1e1", false },
	{ "double", "1.5e20", "1.5e2", false },
	{ "double", "0.10000", "0.1", true },
	{ "datetime(6)", "2024-01-01 10:00:00", "2024-01-01 10:00:00.000000", true },
	{ "datetime(6)", "2024-01-01 10:00:00.5", "2024-01-01 10:00:00.500000", true },
	{ "datetime(6)", "2024-01-01 10:00:00", "2024-01-01 10:00:00.000001", false },
	{ "datetime", "2024-01-01", "2024-01-01 00:00:00", true },
	{ "datetime(6)", "2024-01-01 00:00:00.000000", "2024-01-01", true },
	{ "datetime", "2024-01-01", "2024-01-01 00:00:01", false },
	{ "datetime", "2024-01-01", "2024-01-02 00:00:00", false },
	{ "time(3)", "10:00:00", "10:00:00.000", true },
	{ "time(3)", "10:00:00", "10:00:10", false },
	{ "time(3)", "", "10:00:10", false },
	{ "varchar(9) utf8mb4_bin", "1.50", "1.5", false },
	{ "varchar(9) utf8mb4_bin", "a ", "a", false },
	{ "vector(3)", "1.0", "1", false },
};

static void
test_values_that_are_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct fit_value a = { values[i].a, strlen(values[i].a) }, b = { values[i].b, strlen(values[i].b) };

		if (fit_same(values[i].type, a, b) != values[i].same || fit_same(values[i].type, b, a) != values[i].same)
			fail_msg("%s: %s and %s", values[i].type, values[i].a, values[i].b);
		assert_true(fit_same(values[i].type, a, a));
		assert_false(fit_same(values[i].type, a, (struct fit_value){ NULL, 0 }));
	}
	assert_true(fit_same("int(11)", (struct fit_value){ NULL, 0 }, (struct fit_value){ NULL, 0 }));
	assert_true(fit_same("bit(16)", (struct fit_value){ "\5", 1 }, (struct fit_value){ "\0\5", 2 }));
	assert_true(fit_same("bit(16)", (struct fit_value){ "\0", 1 }, (struct fit_value){ "\0\0", 2 }));
	assert_false(fit_same("bit(16)", (struct fit_value){ "\5", 1 }, (struct fit_value){ "\5\0", 2 }));
}

/* --- tables --- */

enum { COLUMNS = 3 };

/* A literal as strings that nobody writes to. */
static char *
borrow(const char *text)
{
	char *p;

	memcpy(&p, &text, sizeof p);
	return p;
}

struct lab {
	struct column columns[COLUMNS];
	struct table table;
	struct section section;
	char *names[COLUMNS], *types[COLUMNS];
	char reason[MESSAGE_REASON_MAX];
};

/* goods (id int, name varchar(40), price decimal(8,2)) with key id, as both sides have it. */
static void
begin(struct lab *l)
{
	static const char *const names[COLUMNS] = { "id", "name", "price" };
	static const char *const types[COLUMNS] = { "int(11)", "varchar(40) utf8mb4_bin", "decimal(8,2)" };

	memset(l, 0, sizeof *l);
	for (size_t i = 0; i < COLUMNS; i++) {
		l->columns[i] = (struct column){ .name = borrow(names[i]), .type = borrow(types[i]), .charset = borrow(""), .in_key = i == 0,
			.nullable = i == 2 };
		l->names[i] = borrow(names[i]);
		l->types[i] = borrow(types[i]);
	}
	l->table = (struct table){ .name = borrow("goods"), .columns = l->columns, .ncolumns = COLUMNS, .nkey = 1 };
	l->section = (struct section){ .table = "goods", .ncolumns = COLUMNS, .names = l->names, .types = l->types };
}

static void
refused(struct lab *l, const char *reason)
{
	assert_false(fit_table(&l->table, &l->section, l->reason));
	assert_string_equal(l->reason, reason);
}

static void
test_tables(void **state)
{
	struct lab l;

	(void)state;
	begin(&l);
	assert_true(fit_table(&l.table, &l.section, l.reason));
	l.names[0] = borrow("price"); /* the order does not matter */
	l.types[0] = borrow("decimal(8,2)");
	l.names[2] = borrow("id");
	l.types[2] = borrow("int(11)");
	assert_true(fit_table(&l.table, &l.section, l.reason));
	l.names[0] = borrow("name");
	l.types[0] = borrow("varchar(40) utf8mb4_bin");
	refused(&l, "table goods differs: column name is named twice there and varchar(40) utf8mb4_bin here");

	begin(&l);
	l.types[2] = borrow("decimal(7,1)");
	assert_true(fit_table(&l.table, &l.section, l.reason));
	l.types[2] = borrow("decimal(9,2)");
	refused(&l, "table goods differs: column price is decimal(9,2) there and decimal(8,2) here");

	begin(&l);
	l.columns[0].type = borrow("bigint(20)");
	assert_true(fit_table(&l.table, &l.section, l.reason));
	l.columns[0].type = borrow("decimal(20,0)"); /* holds every value, but this is the key */
	refused(&l, "table goods differs: column id is int(11) there and decimal(20,0) here");

	begin(&l);
	l.names[1] = borrow("Name");
	refused(&l, "table goods differs: column Name is varchar(40) utf8mb4_bin there and missing here");
	begin(&l);
	l.section.ncolumns--;
	refused(&l, "table goods differs: column price is missing there and decimal(8,2) here");
	l.section.ncolumns++;
	l.table.ncolumns--;
	refused(&l, "table goods differs: column price is decimal(8,2) there and missing here");
}

static void
test_nulls(void **state)
{
	static const size_t map[COLUMNS] = { 2, 0, 1 };
	struct line_value row[COLUMNS];
	struct lab l;

	(void)state;
	begin(&l);
	for (size_t i = 0; i < COLUMNS; i++)
		row[i] = (struct line_value){ borrow("1"), 1 };
	assert_true(fit_nulls(&l.table, map, row, l.reason));
	row[0].data = NULL;
	assert_true(fit_nulls(&l.table, map, row, l.reason));
	row[2].data = NULL;
	assert_false(fit_nulls(&l.table, map, row, l.reason));
	assert_string_equal(l.reason, "table goods differs: column name is NULL there and varchar(40) utf8mb4_bin NOT NULL here");
}

/* Only a row that broke the very CHECKs that both have, where none of the app's triggers would write too. */
static void
test_checks_that_are_lifted(void **state)
{
	static const struct {
		unsigned db_errno;
		uint64_t here, there;
		bool quiet, lifts;
	} cases[] = {
		{ 4025, 7, 7, true, true }, { 4025, 7, 7, false, false }, { 4025, 7, 8, true, false }, { 4025, 7, 0, true, false },
		{ 4025, 0, 0, true, false }, { 4025, 0, 7, true, false }, { 1452, 7, 7, true, false }, { 0, 7, 7, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct table t = { .checks = cases[i].here, .quiet = cases[i].quiet };
		const struct err why = { .db_errno = cases[i].db_errno };

		assert_int_equal(fit_lifts_checks(&t, cases[i].there, &why), cases[i].lifts);
	}
}

/* However long the names and types are, both definitions are in the reason, and it is UTF-8. */
static void
test_reasons_are_whole(void **state)
{
	enum { LONG = 4000 };
	static char here[LONG + 1], there[LONG + 1], name[256 + 1];
	struct lab l;

	(void)state;
	begin(&l);
	for (size_t i = 0; i < LONG; i++)
		memcpy(&here[i], i % 2 == 0 ? "\xc3" : "\xbc", 1);
	memset(there, 'x', LONG);
	for (size_t i = 0; i < 256; i += 4)
		memcpy(name + i, "\xf0\x9f\x98\x80", 4);
	l.table.name = name;
	l.columns[1].name = l.names[1] = name;
	l.columns[1].type = here;
	l.types[1] = there;
	assert_false(fit_table(&l.table, &l.section, l.reason));
	assert_non_null(strstr(l.reason, "... there and \xc3\xbc"));
	assert_non_null(strstr(l.reason, "... here"));
	assert_true(line_is_utf8(l.reason, strlen(l.reason)));
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("a type holds what the list says, as value and as key", test_every_pair),
		NAMED("malformed types are read to their end and no further", test_malformed_types),
		NAMED("values of a widened column are compared as values", test_values_that_are_the_same),
		NAMED("tables that differ are named with both definitions", test_tables),
		NAMED("a NULL does not fit a column that is NOT NULL", test_nulls),
		NAMED("CHECKs are lifted where both tables have the same and no trigger fires", test_checks_that_are_lifted),
		NAMED("reasons name both definitions, however long they are", test_reasons_are_whole),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
