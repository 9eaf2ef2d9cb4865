/* Types that differ. Lives here: what a type's text says, which type holds which. Not here: what becomes of
 * records that do not fit (apply/pass, apply/round), the types as the server describes them (db/catalog). */
#include "apply/fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum {
	TYPE_ARGS = 2,
	SHOWN = 117,	/* bytes of a name or a type in a reason: two of each fit in MESSAGE_REASON_MAX */
	UTF8_OCTETS = 4, /* the widest character of any charset */
	REFUSED_CHECK = 4025 /* the server's number for a row that breaks a CHECK */
};

/* --- a type's text --- */

enum family { INTEGER, DECIMAL, REAL, BITS, CHARS, BYTES, MEMBERS, MOMENT, GEOMETRY };

/* size: bits of an integer; precision of a real; octets of a TEXT or BLOB, 0 where an argument says it. */
static const struct word {
	const char *word;
	enum family family;
	unsigned long size;
} words[] = {
	{ "tinyint", INTEGER, 8 }, { "smallint", INTEGER, 16 }, { "mediumint", INTEGER, 24 }, { "int", INTEGER, 32 },
	{ "bigint", INTEGER, 64 }, { "decimal", DECIMAL, 0 }, { "float", REAL, 24 }, { "double", REAL, 53 }, { "bit", BITS, 0 },
	{ "char", CHARS, 0 }, { "varchar", CHARS, 0 }, { "tinytext", CHARS, 255 }, { "text", CHARS, 65535 },
	{ "mediumtext", CHARS, 16777215 }, { "longtext", CHARS, 4294967295 }, { "binary", BYTES, 0 }, { "varbinary", BYTES, 0 },
	{ "tinyblob", BYTES, 255 }, { "blob", BYTES, 65535 }, { "mediumblob", BYTES, 16777215 }, { "longblob", BYTES, 4294967295 },
	{ "enum", MEMBERS, 0 }, { "set", MEMBERS, 0 }, { "date", MOMENT, 0 }, { "time", MOMENT, 0 }, { "datetime", MOMENT, 0 },
	{ "timestamp", MOMENT, 0 }, { "geometry", GEOMETRY, 0 }, { "point", GEOMETRY, 0 }, { "linestring", GEOMETRY, 0 },
	{ "polygon", GEOMETRY, 0 }, { "multipoint", GEOMETRY, 0 }, { "multilinestring", GEOMETRY, 0 },
	{ "multipolygon", GEOMETRY, 0 }, { "geometrycollection", GEOMETRY, 0 },
};

struct type {
	const struct word *word;
	unsigned long args[TYPE_ARGS];
	size_t nargs;
	const char *members; /* between the parentheses, as text */
	size_t members_len;
	bool is_unsigned, zerofill;
	const char *collation; /* "" where there is none */
};

static bool
is_word(const struct type *t, const char *word)
{
	return strcmp(t->word->word, word) == 0;
}

/* "10,3" */
static bool
read_args(struct type *t)
{
	const char *at = t->members;
	char *end;

	while (t->nargs < TYPE_ARGS) {
		t->args[t->nargs++] = strtoul(at, &end, 10);
		if (end == at)
			return false;
		if (end == t->members + t->members_len)
			return true;
		if (*end != ',')
			return false;
		at = end + 1;
	}
	return false;
}

/* What stands behind the parentheses: " unsigned zerofill", a comment (COMPRESSED), the collation. */
static bool
read_rest(struct type *t, const char *at)
{
	t->collation = "";
	while (*at == ' ') {
		const char *next;

		at++;
		next = at + strcspn(at, " ");

		if (strncmp(at, "/*", 2) == 0) {
			next = strstr(at, "*/");
			if (next == NULL)
				return false;
			next += 2;
		} else if ((size_t)(next - at) == strlen("unsigned") && strncmp(at, "unsigned", strlen("unsigned")) == 0)
			t->is_unsigned = true;
		else if ((size_t)(next - at) == strlen("zerofill") && strncmp(at, "zerofill", strlen("zerofill")) == 0)
			t->zerofill = true;
		else
			t->collation = at;
		at = next;
	}
	return *at == '\0';
}

/* False: nothing is known of it, so it holds only itself. */
static bool
read_type(struct type *t, const char *text)
{
	size_t len = strcspn(text, "( ");
	const char *close;

	memset(t, 0, sizeof *t);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strlen(words[i].word) == len && memcmp(words[i].word, text, len) == 0)
			t->word = &words[i];
	if (t->word == NULL)
		return false;
	if (text[len] != '(')
		return read_rest(t, text + len);
	close = strrchr(text, ')'); /* members may hold parentheses; nothing behind them does */
	if (close == NULL)
		return false;
	t->members = text + len + 1;
	t->members_len = (size_t)(close - t->members);
	return (t->word->family == MEMBERS || read_args(t)) && read_rest(t, close + 1);
}

/* --- which type holds which: a rule for each family --- */

static bool
sign_holds(const struct type *here, const struct type *there)
{
	return !here->is_unsigned || there->is_unsigned;
}

static bool
integer_holds(const struct type *here, const struct type *there)
{
	unsigned long bits = there->word->size;

	if (there->is_unsigned && !here->is_unsigned)
		bits++;
	return there->word->family == INTEGER && sign_holds(here, there) && here->word->size >= bits;
}

/* Digits in front of the point. */
static unsigned long
whole_digits(const struct type *t)
{
	if (t->word->family == DECIMAL)
		return t->args[0] - t->args[1];
	switch (t->word->size) {
	case 8:
		return 3;
	case 16:
		return 5;
	case 24:
		return t->is_unsigned ? 8 : 7;
	case 32:
		return 10;
	default:
		return t->is_unsigned ? 20 : 19;
	}
}

static bool
decimal_holds(const struct type *here, const struct type *there)
{
	if (there->word->family != DECIMAL && there->word->family != INTEGER)
		return false;
	if (here->nargs != 2 || here->args[1] > here->args[0])
		return false;
	if (there->word->family == DECIMAL && (there->nargs != 2 || there->args[1] > here->args[1] || there->args[1] > there->args[0]))
		return false;
	return sign_holds(here, there) && whole_digits(here) >= whole_digits(there);
}

/* With (M,D) a number is rounded when it is stored: only the same (M,D) does that alike. */
static bool
real_holds(const struct type *here, const struct type *there)
{
	bool rounds = here->nargs > 0 &&
	    (there->nargs != here->nargs || memcmp(there->args, here->args, sizeof here->args) != 0 || here->word != there->word);

	return there->word->family == REAL && sign_holds(here, there) && here->word->size >= there->word->size && !rounds;
}

static bool
bits_hold(const struct type *here, const struct type *there)
{
	return there->word->family == BITS && here->nargs == 1 && there->nargs == 1 && here->args[0] >= there->args[0];
}

/* The collation without its charset; utf8 and utf8mb3 are two names of one. */
static const char *
behind_charset(const char *collation, const char *charset)
{
	size_t len = strlen(charset);

	return strncmp(collation, charset, len) == 0 && collation[len] == '_' ? collation + len : NULL;
}

static const char *
behind_utf8mb3(const char *collation)
{
	const char *rest = behind_charset(collation, "utf8mb3");

	return rest != NULL ? rest : behind_charset(collation, "utf8");
}

/* Another collation would call other values equal in a unique key: it waits, bytes that fit or not. utf8mb4
 * calls those of utf8mb3 equal that utf8mb3 does. */
static bool
collation_holds(const struct type *here, const struct type *there)
{
	const char *narrow = behind_utf8mb3(there->collation), *wide = behind_charset(here->collation, "utf8mb4");

	if (strcmp(here->collation, there->collation) == 0)
		return true;
	if (wide == NULL)
		wide = behind_utf8mb3(here->collation);
	return narrow != NULL && wide != NULL && strcmp(narrow, wide) == 0;
}

/* What a column of characters or bytes takes: size of a TEXT or BLOB, else the argument. */
static bool
length_holds(const struct type *here, const struct type *there, unsigned long unit)
{
	unsigned long most = here->word->size, need = there->word->size;

	if ((most == 0 && here->nargs != 1) || (need == 0 && there->nargs != 1))
		return false;
	if (most == 0)
		return here->args[0] >= (need == 0 ? there->args[0] : need);
	if (need != 0)
		return most >= need;
	/* No row is longer than 65,535 bytes, so no VARCHAR or VARBINARY is. */
	return most >= 65535 || there->args[0] <= most / unit;
}

/* CHAR loses blanks at the end. */
static bool
chars_hold(const struct type *here, const struct type *there)
{
	return there->word->family == CHARS && collation_holds(here, there) && (!is_word(here, "char") || is_word(there, "char")) &&
	    length_holds(here, there, UTF8_OCTETS);
}

/* BINARY puts zeros at the end. */
static bool
bytes_hold(const struct type *here, const struct type *there)
{
	if (is_word(here, "binary"))
		return is_word(there, "binary") && here->nargs == 1 && there->nargs == 1 && here->args[0] == there->args[0];
	return there->word->family == BYTES && length_holds(here, there, 1);
}

/* Members at the end alone: a value travels as its number. */
static bool
members_hold(const struct type *here, const struct type *there)
{
	return here->word == there->word && strcmp(here->collation, there->collation) == 0 && there->members_len > 0 &&
	    here->members_len >= there->members_len && memcmp(here->members, there->members, there->members_len) == 0 &&
	    (here->members_len == there->members_len || here->members[there->members_len] == ',');
}

static bool
moment_holds(const struct type *here, const struct type *there)
{
	unsigned long most = here->nargs > 0 ? here->args[0] : 0, need = there->nargs > 0 ? there->args[0] : 0;

	if (is_word(here, "datetime") && is_word(there, "date"))
		return true;
	return here->word == there->word && most >= need;
}

static bool
geometry_holds(const struct type *here, const struct type *there)
{
	return there->word->family == GEOMETRY && (here->word == there->word || is_word(here, "geometry"));
}

/* Is the value's part of the key the same text on both sides? */
static bool
same_key_text(const struct type *here, const struct type *there)
{
	switch (here->word->family) {
	case INTEGER:
	case CHARS:
	case BYTES:
	case BITS:
	case MEMBERS:
		return here->word->family == there->word->family;
	case DECIMAL:
		return there->word->family == DECIMAL && here->args[1] == there->args[1];
	case REAL: /* the text of a FLOAT is that of its DOUBLE, with (M,D) or without */
		return here->word == there->word && (is_word(here, "float") || here->nargs == there->nargs);
	case MOMENT:
		return here->word == there->word && here->nargs == there->nargs && here->args[0] == there->args[0];
	case GEOMETRY:
		break; /* cannot be a key */
	}
	return false;
}

bool
fit_holds(const char *here, const char *there, bool in_key)
{
	static bool (*const rules[])(const struct type *, const struct type *) = {
		[INTEGER] = integer_holds,
		[DECIMAL] = decimal_holds,
		[REAL] = real_holds,
		[BITS] = bits_hold,
		[CHARS] = chars_hold,
		[BYTES] = bytes_hold,
		[MEMBERS] = members_hold,
		[MOMENT] = moment_holds,
		[GEOMETRY] = geometry_holds,
	};
	struct type a, b;

	if (strcmp(here, there) == 0)
		return true;
	if (!read_type(&a, here) || !read_type(&b, there) || a.zerofill || b.zerofill)
		return false; /* ZEROFILL: the zeros are part of the text */
	return rules[a.word->family](&a, &b) && (!in_key || same_key_text(&a, &b));
}

/* --- values --- */

/* A number without zeros that say nothing. Its sign is taken off. */
static bool
trim_number(struct fit_value *v)
{
	bool minus = v->len > 0 && v->data[0] == '-';

	if (minus) {
		v->data++;
		v->len--;
	}
	while (v->len > 0 && v->data[0] == '0') {
		v->data++;
		v->len--;
	}
	if (v->len > 0 && memchr(v->data, '.', v->len) != NULL && memchr(v->data, 'e', v->len) == NULL) {
		while (v->data[v->len - 1] == '0')
			v->len--;
		if (v->data[v->len - 1] == '.')
			v->len--;
	}
	return minus;
}

static bool
same_bytes(struct fit_value a, struct fit_value b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* A moment without the zeros behind its point. */
static void
trim_fraction(struct fit_value *v)
{
	if (v->len == 0 || memchr(v->data, '.', v->len) == NULL)
		return;
	while (v->data[v->len - 1] == '0')
		v->len--;
	if (v->data[v->len - 1] == '.')
		v->len--;
}

static bool
same_moment(struct fit_value a, struct fit_value b)
{
	static const char midnight[] = " 00:00:00";
	enum { DATE_LEN = 10 };
	size_t at = sizeof midnight - 1;

	trim_fraction(&a);
	trim_fraction(&b);
	if (same_bytes(a, b))
		return true;
	if (a.len > b.len)
		return same_moment(b, a);
	return a.len == DATE_LEN && b.len == DATE_LEN + at && memcmp(a.data, b.data, DATE_LEN) == 0 &&
	    memcmp(b.data + DATE_LEN, midnight, at) == 0;
}

static void
trim_bits(struct fit_value *v)
{
	while (v->len > 0 && v->data[0] == '\0') {
		v->data++;
		v->len--;
	}
}

bool
fit_same(const char *here, struct fit_value a, struct fit_value b)
{
	struct type t;
	bool minus;

	if (a.data == NULL || b.data == NULL)
		return a.data == b.data;
	if (same_bytes(a, b))
		return true;
	if (!read_type(&t, here))
		return false;
	switch (t.word->family) {
	case INTEGER:
	case DECIMAL:
	case REAL:
		minus = trim_number(&a);
		return minus == trim_number(&b) && same_bytes(a, b);
	case MOMENT:
		return same_moment(a, b);
	case BITS:
		trim_bits(&a);
		trim_bits(&b);
		return same_bytes(a, b);
	case CHARS:
	case BYTES:
	case MEMBERS:
	case GEOMETRY:
		break;
	}
	return false;
}

/* --- tables --- */

static void
show(const char *text, char *out, size_t size)
{
	(void)text_escape(text, strlen(text), out, size);
}

/* "table T differs: column C is A there and B here" */
static bool
differs(const struct table *t, const char *column, const char *there, const char *here, char *reason)
{
	char table[SHOWN], name[SHOWN], a[SHOWN], b[SHOWN];

	show(t->name, table, sizeof table);
	show(column, name, sizeof name);
	show(there, a, sizeof a);
	show(here, b, sizeof b);
	(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s differs: column %s is %s there and %s here", table, name, a, b);
	return false;
}

bool
fit_table(const struct table *t, const struct section *s, char *reason)
{
	bool named[CATALOG_COLUMNS] = { false };

	for (size_t i = 0; i < s->ncolumns; i++) {
		const struct column *col;
		size_t at;

		if (!table_column(t, s->names[i], strlen(s->names[i]), &at))
			return differs(t, s->names[i], s->types[i], "missing", reason);
		col = &t->columns[at];
		if (!fit_holds(col->type, s->types[i], col->in_key))
			return differs(t, col->name, s->types[i], col->type, reason);
		if (named[at])
			return differs(t, col->name, "named twice", col->type, reason);
		named[at] = true;
	}
	for (size_t i = 0; i < t->ncolumns; i++)
		if (!named[i])
			return differs(t, t->columns[i].name, "missing", t->columns[i].type, reason);
	return true;
}

bool
fit_lifts_checks(const struct table *t, uint64_t there, const struct err *why)
{
	return why->db_errno == REFUSED_CHECK && t->checks != 0 && there == t->checks && t->quiet;
}

bool
fit_nulls(const struct table *t, const size_t *map, const struct line_value *values, char *reason)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *col = &t->columns[map[i]];
		char here[SHOWN];

		if (values[i].data != NULL || col->nullable)
			continue;
		(void)snprintf(here, sizeof here, "%.100s NOT NULL", col->type);
		return differs(t, col->name, "NULL", here, reason);
	}
	return true;
}
