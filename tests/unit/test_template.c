/* SQL text from identifiers: quoting, key expressions of every kind, splitting keys, widths,
 * triggers' names. What a server makes of the triggers is in tests/sql. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/body.h"
#include "seed.h"

#define BACKSLASH "CHAR(92 USING utf8mb4)"
#define BACKSLASHES BACKSLASH ",REPEAT(" BACKSLASH ",2)),',',CONCAT(" BACKSLASH ",','))"
#define TOKEN "0123456789abcdef"
#define NAME_64 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789ab"

enum { COLUMNS = 4 };

struct shape {
	struct table table;
	struct column columns[COLUMNS];
};

/* A literal as the catalog's strings, which nobody writes to. */
static char *
borrow(const char *text)
{
	char *p;

	memcpy(&p, &text, sizeof p);
	return p;
}

static void
begin(struct shape *s, const char *name)
{
	memset(s, 0, sizeof *s);
	s->table.name = borrow(name);
	s->table.columns = s->columns;
}

static void
key_column(struct shape *s, const char *name, enum column_kind kind)
{
	assert_true(s->table.ncolumns < COLUMNS);
	s->columns[s->table.ncolumns] = (struct column){ .name = borrow(name), .type = borrow(""), .charset = borrow(""), .kind = kind, .in_key = true };
	s->table.key[s->table.nkey++] = s->table.ncolumns++;
}

static struct shape
one(const char *name, const char *column, enum column_kind kind)
{
	struct shape s;

	begin(&s, name);
	key_column(&s, column, kind);
	s.table.columns = NULL; /* see of() */
	return s;
}

/* The table of a copied shape. */
static const struct table *
of(struct shape *s)
{
	s->table.columns = s->columns;
	return &s->table;
}

static void
assert_sql(struct buf *sql, const char *want)
{
	assert_false(sql->failed);
	assert_string_equal(buf_cstr(sql), want);
	buf_free(sql);
}

static void
assert_key(struct shape *s, const char *prefix, const char *want)
{
	struct buf sql;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	template_key(&sql, of(s), prefix);
	assert_sql(&sql, want);
}

static void
assert_match(struct shape *s, const char *want)
{
	struct buf sql;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	template_key_match(&sql, of(s));
	assert_sql(&sql, want);
}

/* --- names --- */

static void
test_table_names(void **state)
{
	struct buf sql;

	(void)state;
	buf_init(&sql, TEMPLATE_SQL_MAX);
	template_table(&sql, "app", "t");
	assert_sql(&sql, "`app`.`t`");
	template_table(&sql, "a`p.p", "`t``'\"\\;-- ");
	assert_sql(&sql, "`a``p.p`.```t````'\"\\;-- `");
	template_table(&sql, NAME_64, NAME_64);
	assert_sql(&sql, "`" NAME_64 "`.`" NAME_64 "`");
}

static void
test_skip_variable(void **state)
{
	char name[TEMPLATE_NAME_MAX];

	(void)state;
	body_skip_variable(TOKEN, name);
	assert_string_equal(name, "tandem_skip_" TOKEN);
}

/* --- keys --- */

static const struct {
	enum column_kind kind;
	const char *single, *composite, *operand, *match;
} kinds[] = {
	{ COLUMN_PLAIN, "CAST(NEW.`a` AS CHAR)", "CAST(NEW.`a` AS CHAR)", "?", "`a`=?" },
	{ COLUMN_TYPED, "CAST(NEW.`a` AS CHAR)", "CAST(NEW.`a` AS CHAR)", "?", "`a`=?" },
	{ COLUMN_TEXT, "NEW.`a`", "REPLACE(REPLACE(NEW.`a`," BACKSLASHES "", "?", "`a`=?" },
	{ COLUMN_CHARS, "HEX(NEW.`a`)", "HEX(NEW.`a`)", "CONVERT(UNHEX(?) USING latin1) COLLATE latin1_german2_ci",
	    "`a`=CONVERT(UNHEX(?) USING latin1) COLLATE latin1_german2_ci" },
	{ COLUMN_BYTES, "HEX(NEW.`a`)", "HEX(NEW.`a`)", "UNHEX(?)", "`a`=UNHEX(?)" },
	{ COLUMN_BIT, "CAST(NEW.`a` AS UNSIGNED)", "CAST(NEW.`a` AS UNSIGNED)", "CAST(? AS UNSIGNED)", "`a`=CAST(? AS UNSIGNED)" },
	{ COLUMN_FLOAT, "CAST(NEW.`a`+0e0 AS CHAR)", "CAST(NEW.`a`+0e0 AS CHAR)", "CAST(? AS DOUBLE)", "`a`+0e0=CAST(? AS DOUBLE)" },
	{ COLUMN_TIMESTAMP, "CAST(IFNULL(UNIX_TIMESTAMP(NEW.`a`),0) AS CHAR)", "CAST(IFNULL(UNIX_TIMESTAMP(NEW.`a`),0) AS CHAR)",
	    "IFNULL(FROM_UNIXTIME(NULLIF(CAST(? AS DECIMAL(20,6)),0)),'0000-00-00 00:00:00')",
	    "`a`=IFNULL(FROM_UNIXTIME(NULLIF(CAST(? AS DECIMAL(20,6)),0)),'0000-00-00 00:00:00')" },
	{ COLUMN_CHOICE, "CAST(NEW.`a` AS UNSIGNED)", "CAST(NEW.`a` AS UNSIGNED)", "CAST(CAST(? AS UNSIGNED) AS SIGNED)", "`a`=CAST(CAST(? AS UNSIGNED) AS SIGNED)" },
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void
test_keys(void **state)
{
	char want[500];

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct shape s = one("t", "a", kinds[i].kind);

		s.columns[0].charset = borrow("latin1");
		s.columns[0].collation = borrow("latin1_german2_ci");
		assert_key(&s, "NEW.", kinds[i].single);
		assert_match(&s, kinds[i].match);
		key_column(&s, "b", COLUMN_PLAIN);
		(void)snprintf(want, sizeof want, "CONCAT(%s,',',CAST(NEW.`b` AS CHAR))", kinds[i].composite);
		assert_key(&s, "NEW.", want);
		(void)snprintf(want, sizeof want, "%s AND `b`=?", kinds[i].match);
		assert_match(&s, want);
	}
}

static void
test_key_order(void **state)
{
	struct shape s;

	(void)state;
	begin(&s, "t");
	key_column(&s, "a", COLUMN_PLAIN);
	key_column(&s, "b", COLUMN_BYTES);
	key_column(&s, "c", COLUMN_TEXT);
	s.table.key[0] = 2; /* the key's order, not the table's */
	s.table.key[1] = 0;
	s.table.nkey = 2;
	assert_key(&s, "", "CONCAT(REPLACE(REPLACE(`c`," BACKSLASHES ",',',CAST(`a` AS CHAR))");
	assert_match(&s, "`c`=? AND `a`=?");
}

static void
test_key_names(void **state)
{
	struct shape s = one("t", "a`b", COLUMN_PLAIN), quotes = one("t", "a'b\"c\\d;?", COLUMN_BYTES), wide = one("t", NAME_64, COLUMN_TEXT);

	(void)state;
	assert_key(&s, "OLD.", "CAST(OLD.`a``b` AS CHAR)");
	assert_match(&s, "`a``b`=?");
	assert_key(&quotes, "", "HEX(`a'b\"c\\d;?`)");
	assert_key(&wide, "NEW.", "NEW.`" NAME_64 "`");
}

/* --- splitting --- */

static void
split(struct shape *s, const char *key, size_t len, const char *const *want, const size_t *want_len)
{
	size_t parts[CATALOG_KEY_COLUMNS];
	struct buf out;
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, key, len);
	buf_init(&out, 10000);
	if (!template_split_key(of(s), copy, len, &out, parts))
		fail_msg("refused: %.*s", (int)len, key);
	for (size_t i = 0; i < s->table.nkey; i++) {
		size_t end = i + 1 < s->table.nkey ? parts[i + 1] : out.len;

		assert_int_equal(end - parts[i] - 1, want_len[i]);
		assert_memory_equal(out.data + parts[i], want[i], want_len[i]);
		assert_int_equal(out.data[end - 1], '\0');
	}
	free(copy);
	buf_free(&out);
}

static void
test_split_single(void **state)
{
	static const char *const keys[] = { "", "1", "a,b", "a\\", "\\,", "a\\,b", ",", "a\0b" };
	static const size_t lengths[] = { 0, 1, 3, 2, 2, 4, 1, 3 };
	struct shape s = one("t", "a", COLUMN_TEXT);

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		split(&s, keys[i], lengths[i], &keys[i], &lengths[i]); /* as it is: nothing is escaped */
}

static void
test_split_composite(void **state)
{
	struct shape s = one("t", "a", COLUMN_TEXT);

	(void)state;
	key_column(&s, "b", COLUMN_PLAIN);
	split(&s, "a,1", 3, (const char *const[]){ "a", "1" }, (const size_t[]){ 1, 1 });
	split(&s, ",", 1, (const char *const[]){ "", "" }, (const size_t[]){ 0, 0 });
	split(&s, "\\,,1", 4, (const char *const[]){ ",", "1" }, (const size_t[]){ 1, 1 });
	split(&s, "\\\\,1", 4, (const char *const[]){ "\\", "1" }, (const size_t[]){ 1, 1 });
	split(&s, "\\\\\\,,1", 6, (const char *const[]){ "\\,", "1" }, (const size_t[]){ 2, 1 });
	split(&s, "a\0,1", 4, (const char *const[]){ "a\0", "1" }, (const size_t[]){ 2, 1 });
}

static void
test_split_malformed(void **state)
{
	static const char *const bad[] = { "", "1", "1,2,3", "1\\,2", "1,2\\", "1,2\\\\\\", "1,2,", ",,", "\\" };
	struct shape s = one("t", "a", COLUMN_TEXT);
	size_t parts[CATALOG_KEY_COLUMNS];

	(void)state;
	key_column(&s, "b", COLUMN_TEXT);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct buf out;

		buf_init(&out, 1000);
		if (template_split_key(of(&s), bad[i], strlen(bad[i]), &out, parts))
			fail_msg("accepted: %s", bad[i]);
		buf_free(&out);
	}
}

static void
test_split_full(void **state)
{
	struct shape s = one("t", "a", COLUMN_TEXT);
	size_t parts[CATALOG_KEY_COLUMNS];
	struct buf out;

	(void)state;
	for (size_t max = 3; max < 5; max++)
		for (int composite = 0; composite < 2; composite++) {
			if (composite == 1 && s.table.nkey == 1)
				key_column(&s, "b", COLUMN_TEXT);
			buf_init(&out, max);
			assert_int_equal(template_split_key(of(&s), composite ? "a,b" : "abc", 3, &out, parts), max == 4);
			buf_free(&out);
			s.table.nkey = s.table.ncolumns = 1;
		}
}

/* What the trigger's CONCAT and REPLACE make of the parts. */
static void
join(struct buf *key, char parts[COLUMNS][16], const size_t *lengths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_char(key, ',');
		for (size_t k = 0; k < lengths[i]; k++) {
			if (n > 1 && (parts[i][k] == ',' || parts[i][k] == '\\'))
				buf_char(key, '\\');
			buf_char(key, parts[i][k]);
		}
	}
}

static void
test_split_random(void **state)
{
	static const char letters[] = "\\,ab\0\xc3\xa9'";
	struct seed *random = *state;

	for (int round = 0; round < 5000; round++) {
		size_t n = 1 + seed_below(random, COLUMNS), lengths[COLUMNS];
		char parts[COLUMNS][16];
		const char *want[COLUMNS];
		struct shape s;
		struct buf key;

		begin(&s, "t");
		for (size_t i = 0; i < n; i++) {
			key_column(&s, "a", COLUMN_TEXT);
			lengths[i] = seed_below(random, 9);
			for (size_t k = 0; k < lengths[i]; k++)
				parts[i][k] = letters[seed_below(random, sizeof letters - 1)];
			want[i] = parts[i];
		}
		buf_init(&key, 1000);
		join(&key, parts, lengths, n);
		split(&s, buf_cstr(&key), key.len, want, lengths);
		buf_free(&key);
	}
}

/* --- widths --- */

static size_t
width(struct shape *s)
{
	return template_key_width(of(s));
}

static void
test_widths(void **state)
{
	struct shape text = one("t", "a", COLUMN_TEXT), bytes = one("t", "a", COLUMN_BYTES), chars = one("t", "a", COLUMN_CHARS);
	struct shape plain = one("t", "a", COLUMN_PLAIN), typed = one("t", "a", COLUMN_TYPED);

	(void)state;
	text.columns[0].octets = 255 * 4;
	bytes.columns[0].octets = chars.columns[0].octets = 255;
	assert_int_equal(width(&text), 255 * 4);
	assert_int_equal(width(&bytes), 255 * 2);
	assert_int_equal(width(&chars), 255 * 2);
	assert_true(width(&plain) >= 68); /* DECIMAL(65,30) with sign and point, and DOUBLE */
	assert_true(width(&typed) >= 39); /* INET6 */
	for (size_t i = 0; i < KINDS; i++) {
		struct shape s = one("t", "a", kinds[i].kind);

		if (kinds[i].kind == COLUMN_TEXT || kinds[i].kind == COLUMN_BYTES || kinds[i].kind == COLUMN_CHARS)
			continue;
		assert_true(width(&s) >= 24); /* -2.2250738585072014e-308 */
		assert_true(width(&s) < CATALOG_KEY_BYTES / CATALOG_KEY_COLUMNS);
	}
}

static void
test_composite_widths(void **state)
{
	struct shape s = one("t", "a", COLUMN_BYTES);

	(void)state;
	s.columns[0].octets = 10;
	key_column(&s, "b", COLUMN_BYTES);
	s.columns[1].octets = 5;
	assert_int_equal(width(&s), 20 + 1 + 10);
}

/* In a composite key each ',' and '\' takes two bytes: of ASCII text every byte may be one. */
static void
test_escaped_width(void **state)
{
	struct shape s = one("t", "a", COLUMN_TEXT);

	(void)state;
	s.columns[0].octets = 1600;
	s.columns[0].charset = borrow("ascii");
	assert_int_equal(width(&s), 1600); /* alone it is not escaped */
	key_column(&s, "b", COLUMN_BYTES);
	assert_true(width(&s) >= 3200 + 1);
	s.columns[0].charset = borrow("utf8mb4");
	assert_true(width(&s) >= 1600 + 1); /* 400 characters, at most 800 bytes with escapes */
}

/* --- values --- */

static void
test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct shape s = one("t", "a`b", kinds[i].kind);
		const struct column *col = s.columns;
		struct buf sql;

		buf_init(&sql, 1000);
		template_read(&sql, col);
		assert_sql(&sql, col->kind == COLUMN_CHOICE ? "CAST(`a``b` AS UNSIGNED)" : col->kind == COLUMN_FLOAT ? "`a``b`+0e0" : "`a``b`");
		template_write(&sql, col);
		assert_sql(&sql, col->kind == COLUMN_CHOICE ? "CAST(? AS UNSIGNED)" : "?");
		assert_int_equal(template_is_binary(col), col->kind == COLUMN_CHARS || col->kind == COLUMN_BYTES || col->kind == COLUMN_BIT);
	}
}

/* --- triggers --- */

static void
assert_name(const char *table, enum capture_event event, const char *want)
{
	char name[TEMPLATE_NAME_MAX];

	body_trigger_name(table, event, name);
	assert_string_equal(name, want);
	assert_true(body_is_our_trigger(name));
}

static void
test_trigger_names(void **state)
{
	(void)state;
	assert_name("t", CAPTURE_INSERT, "tandem_ai_t");
	assert_name("t", CAPTURE_UPDATE, "tandem_au_t");
	assert_name("t", CAPTURE_DELETE, "tandem_ad_t");
	assert_name("we`ird", CAPTURE_INSERT, "tandem_ai_we`ird");
	/* 54 bytes fit, 55 do not. */
	assert_name("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz01", CAPTURE_INSERT,
	    "tandem_ai_abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz01");
	/* FNV-1a of the name, computed by another implementation. */
	assert_name("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz012", CAPTURE_INSERT, "tandem_ai_#2b8956d1bca5b9dc");
	assert_name(NAME_64, CAPTURE_INSERT, "tandem_ai_#498d7c9715d272cd");
	assert_name(NAME_64, CAPTURE_UPDATE, "tandem_au_#498d7c9715d272cd");
	assert_name(NAME_64, CAPTURE_DELETE, "tandem_ad_#498d7c9715d272cd");
}

static void
test_our_triggers(void **state)
{
	(void)state;
	assert_true(body_is_our_trigger("tandem_ai_x"));
	assert_false(body_is_our_trigger("tandem_ai"));
	assert_false(body_is_our_trigger("tandem_ax_x"));
	assert_true(body_is_our_trigger("tandem_bu_x"));
	assert_true(body_is_our_trigger("tandem_bd_x"));
	assert_false(body_is_our_trigger("tandem_bi_x"));
	assert_false(body_is_our_trigger("xtandem_ai_x"));
	assert_false(body_is_our_trigger(""));
}

static void
assert_trigger(struct shape *s, enum capture_event event, const char *want)
{
	struct buf sql, body;

	struct catalog c = { .tables = &s->table, .ntables = 1 };
	struct body_scope scope = { &c, "sy`nc", TOKEN };

	(void)of(s);
	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_init(&body, TEMPLATE_SQL_MAX);
	body_trigger_text(&body, &scope, s->table.name, event, true);
	body_trigger(&sql, "app", s->table.name, event, buf_cstr(&body));
	buf_free(&body);
	assert_sql(&sql, want);
}

static void
test_triggers(void **state)
{
	struct shape s = one("o'b\\t", "id", COLUMN_PLAIN);

	(void)state;
	assert_trigger(&s, CAPTURE_INSERT,
	    "CREATE OR REPLACE TRIGGER `app`.`tandem_ai_o'b\\t` AFTER INSERT ON `app`.`o'b\\t` FOR EACH ROW IF @tandem_skip_" TOKEN
	    " IS NULL THEN BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " CALL `sy``nc`.enqueue(CONVERT(x'6f27625c74' USING utf8mb4),'dirty',NULL,NULL,NULL,0);"
	    " CALL `sy``nc`.enqueue(CONVERT(x'6f27625c74' USING utf8mb4),'insert',CAST(NEW.`id` AS CHAR),NULL,NULL,0); END; END IF");
	assert_trigger(&s, CAPTURE_DELETE,
	    "CREATE OR REPLACE TRIGGER `app`.`tandem_ad_o'b\\t` AFTER DELETE ON `app`.`o'b\\t` FOR EACH ROW IF @tandem_skip_" TOKEN
	    " IS NULL THEN BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " CALL `sy``nc`.enqueue(CONVERT(x'6f27625c74' USING utf8mb4),'dirty',NULL,NULL,NULL,0);"
	    " CALL `sy``nc`.enqueue(CONVERT(x'6f27625c74' USING utf8mb4),'delete',CAST(OLD.`id` AS CHAR),NULL,NULL,0); END; END IF");
}

static void
test_update_trigger(void **state)
{
	struct shape s = one("t", "a", COLUMN_TEXT);

	(void)state;
	key_column(&s, "b", COLUMN_PLAIN);
	assert_trigger(&s, CAPTURE_UPDATE,
	    "CREATE OR REPLACE TRIGGER `app`.`tandem_au_t` AFTER UPDATE ON `app`.`t` FOR EACH ROW IF @tandem_skip_" TOKEN
	    " IS NULL THEN BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS " CALL `sy``nc`.enqueue('t','dirty',NULL,NULL,NULL,0);"
	    " IF BINARY OLD.`a`<=>BINARY NEW.`a` AND OLD.`b`<=>NEW.`b` THEN"
	    " CALL `sy``nc`.enqueue('t','update',CONCAT(REPLACE(REPLACE(NEW.`a`," BACKSLASHES ",',',CAST(NEW.`b` AS CHAR)),NULL,NULL,0); ELSE"
	    " CALL `sy``nc`.enqueue('t','delete',CONCAT(REPLACE(REPLACE(OLD.`a`," BACKSLASHES ",',',CAST(OLD.`b` AS CHAR)),NULL,NULL,0);"
	    " CALL `sy``nc`.enqueue('t','insert',CONCAT(REPLACE(REPLACE(NEW.`a`," BACKSLASHES ",',',CAST(NEW.`b` AS CHAR)),NULL,NULL,1);"
	    " END IF; END; END IF");
}

/* Table "p" with a child "c" that has its parent's key in its own. */
static void
test_closure_triggers(void **state)
{
	struct shape c = one("c", "pid", COLUMN_PLAIN), p = one("p", "id", COLUMN_PLAIN);
	char *columns[] = { borrow("pid") }, *referenced[] = { borrow("id") };
	struct foreign_key key = { .name = borrow("f"), .child = borrow("c"), .parent = borrow("p"), .columns = columns,
		.referenced = referenced, .ncolumns = 1, .on_delete = FK_CASCADE, .on_update = FK_CASCADE };
	struct table tables[2];
	struct catalog catalog = { .tables = tables, .ntables = 2, .keys = &key, .nkeys = 1 };
	struct body_scope scope = { &catalog, "s", TOKEN };
	struct buf sql;

	(void)state;
	key_column(&c, "n", COLUMN_PLAIN);
	c.columns[0].type = p.columns[0].type = borrow("int(11)");
	tables[0] = *of(&c);
	tables[1] = *of(&p);
	buf_init(&sql, TEMPLATE_SQL_MAX);
	body_trigger_text(&sql, &scope, "p", CAPTURE_BEFORE_DELETE, true);
	assert_string_equal(buf_cstr(&sql),
	    "IF @tandem_skip_" TOKEN " IS NULL THEN IF @@foreign_key_checks THEN BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS
	    " BEGIN CALL `s`.enqueue('c','dirty',NULL,NULL,NULL,0); END; FOR r1 IN (SELECT CONCAT(CAST(c.`pid` AS CHAR),',',CAST(c.`n` AS CHAR))"
	    " AS k FROM `c` c WHERE c.`pid`=OLD.`id` LIMIT 18446744073709551615 LOCK IN SHARE MODE) DO"
	    " CALL `s`.enqueue('c','delete',r1.k,NULL,NULL,0); END FOR; END; END IF; END IF");
	buf_reset(&sql);
	body_trigger_text(&sql, &scope, "p", CAPTURE_UPDATE, true);
	assert_non_null(strstr(buf_cstr(&sql),
	    " IF @@foreign_key_checks THEN BEGIN DECLARE EXIT HANDLER FOR " TEMPLATE_STALE_ERRORS
	    " BEGIN CALL `s`.enqueue('c','dirty',NULL,NULL,NULL,0); END; IF NOT (OLD.`id`<=>NEW.`id` AND BINARY OLD.`id`<=>BINARY NEW.`id`) THEN"
	    " FOR r1 IN (SELECT CONCAT(CAST(c.`pid` AS CHAR),',',CAST(c.`n` AS CHAR)) AS k,CONCAT(CAST(OLD.`id` AS CHAR),',',CAST(c.`n` AS CHAR)) AS o"
	    " FROM `c` c WHERE c.`pid`=NEW.`id` LIMIT 18446744073709551615) DO IF BINARY r1.o<=>BINARY r1.k THEN"
	    " CALL `s`.enqueue('c','update',r1.k,NULL,NULL,0); ELSE CALL `s`.enqueue('c','delete',r1.o,NULL,NULL,0);"
	    " CALL `s`.enqueue('c','insert',r1.k,NULL,NULL,1); END IF; END FOR; END IF; END; END IF; END IF"));
	/* Nothing that needs a look before an update, and nothing at all for the child. */
	buf_reset(&sql);
	body_trigger_text(&sql, &scope, "p", CAPTURE_BEFORE_UPDATE, true);
	body_trigger_text(&sql, &scope, "c", CAPTURE_BEFORE_DELETE, true);
	assert_int_equal(sql.len, 0);
	buf_free(&sql);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }
#define RANDOM(text, f) { text, f, NULL, NULL, &seed }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		NAMED("names are quoted whatever they hold", test_table_names),
		NAMED("the skip variable carries the token", test_skip_variable),
		NAMED("each kind of key has its form, alone and composite", test_keys),
		NAMED("a key's parts stand in the key's order", test_key_order),
		NAMED("column names are quoted in keys", test_key_names),
		NAMED("a single key is taken as it is", test_split_single),
		NAMED("a composite key is split and unescaped", test_split_composite),
		NAMED("a key with another number of parts is refused", test_split_malformed),
		NAMED("parts that do not fit are refused", test_split_full),
		RANDOM("random keys come back from joining and splitting", test_split_random),
		NAMED("the width is that of the widest key", test_widths),
		NAMED("widths of parts add up", test_composite_widths),
		NAMED("the width of a composite key counts its escapes", test_escaped_width),
		NAMED("each kind of column is read and written in its form", test_values),
		NAMED("a trigger's name fits 64 bytes and is stable", test_trigger_names),
		NAMED("our triggers are known by name", test_our_triggers),
		NAMED("the insert and delete triggers are what the design says", test_triggers),
		NAMED("the update trigger tells a key change", test_update_trigger),
		NAMED("a parent's triggers look for what foreign keys change", test_closure_triggers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
