/* Names, keys and values as SQL. Lives here: the forms that both sides agree on. Not here: trigger bodies
 * (capture/body), running any of it (capture/trigger, change/record, apply/). */
#include "capture/template.h"

#include <assert.h>
#include <string.h>

#define BACKSLASH "CHAR(92 USING utf8mb4)"

void
template_table(struct buf *sql, const char *database, const char *table)
{
	db_quote_name(sql, database);
	buf_char(sql, '.');
	db_quote_name(sql, table);
}

/* A string literal. One that would need an escape is written in hexadecimal: information_schema shows
 * literals unescaped, and bodies are compared with what it shows. */
static void
put_literal(struct buf *sql, const char *text)
{
	if (strpbrk(text, "'\\") != NULL) {
		buf_str(sql, "CONVERT(x'");
		buf_hex(sql, text, strlen(text));
		buf_str(sql, "' USING utf8mb4)");
		return;
	}
	buf_char(sql, '\'');
	buf_str(sql, text);
	buf_char(sql, '\'');
}

void
template_enqueue(struct buf *sql, const char *sync_database, const char *table, const char *operation)
{
	buf_str(sql, "CALL ");
	db_quote_name(sql, sync_database);
	buf_str(sql, ".enqueue(");
	put_literal(sql, table);
	buf_fmt(sql, ",'%s',", operation);
}

/* --- keys --- */

static void
put_name(struct buf *sql, const char *prefix, const char *name)
{
	buf_str(sql, prefix);
	db_quote_name(sql, name);
}

/* A column of ASCII text may hold bytes above 127 all the same. Whatever converts it makes question marks
 * of them; read and written as raw bytes they stay. */
static bool
is_ascii(const struct column *col)
{
	return col->kind == COLUMN_TEXT && strcmp(col->charset, "ascii") == 0;
}

/* One part of the key in its session-independent text form: of the column itself, or of another one
 * that holds its value. */
static void
put_key_part(struct buf *sql, const struct column *col, const char *prefix, const char *name, bool composite)
{
	static const struct {
		const char *before, *after;
	} form[] = {
		/* As CHAR: what a number passed to VARBINARY looks like (ZEROFILL, digits behind the point)
		 * is not what SELECT shows. */
		[COLUMN_PLAIN] = { "CAST(", " AS CHAR)" },
		[COLUMN_TYPED] = { "CAST(", " AS CHAR)" },
		[COLUMN_TEXT] = { "", "" },
		[COLUMN_CHARS] = { "HEX(", ")" },
		[COLUMN_BYTES] = { "HEX(", ")" },
		[COLUMN_BIT] = { "CAST(", " AS UNSIGNED)" },
		[COLUMN_FLOAT] = { "CAST(", "+0e0 AS CHAR)" },
		/* For a TIMESTAMP of zeros UNIX_TIMESTAMP is NULL in a trigger and 0 in a SELECT. */
		[COLUMN_TIMESTAMP] = { "CAST(IFNULL(UNIX_TIMESTAMP(", "),0) AS CHAR)" },
		[COLUMN_CHOICE] = { "CAST(", " AS UNSIGNED)" },
	};
	bool escape = composite && col->kind == COLUMN_TEXT;

	if (escape)
		buf_str(sql, is_ascii(col) ? "REPLACE(REPLACE(CAST(" : "REPLACE(REPLACE(");
	buf_str(sql, form[col->kind].before);
	put_name(sql, prefix, name);
	buf_str(sql, form[col->kind].after);
	if (escape && is_ascii(col))
		buf_str(sql, " AS BINARY)");
	if (escape) /* no backslash in the text: information_schema shows literals unescaped, and bodies are compared */
		buf_str(sql, "," BACKSLASH ",REPEAT(" BACKSLASH ",2)),',',CONCAT(" BACKSLASH ",','))");
}

void
template_key_of(struct buf *sql, const struct table *t, const char *const prefixes[], const char *const names[])
{
	assert(t->nkey > 0);
	if (t->nkey > 1)
		buf_str(sql, "CONCAT(");
	for (size_t i = 0; i < t->nkey; i++) {
		if (i > 0)
			buf_str(sql, ",',',");
		put_key_part(sql, &t->columns[t->key[i]], prefixes[i], names[i], t->nkey > 1);
	}
	if (t->nkey > 1)
		buf_char(sql, ')');
}

void
template_key(struct buf *sql, const struct table *t, const char *prefix)
{
	const char *prefixes[CATALOG_KEY_COLUMNS], *names[CATALOG_KEY_COLUMNS];

	for (size_t i = 0; i < t->nkey; i++) {
		prefixes[i] = prefix;
		names[i] = t->columns[t->key[i]].name;
	}
	template_key_of(sql, t, prefixes, names);
}

bool
template_split_key(const struct table *t, const char *key, size_t len, struct buf *out, size_t parts[CATALOG_KEY_COLUMNS])
{
	size_t n = 0;

	buf_reset(out);
	parts[n++] = 0;
	if (t->nkey == 1) {
		buf_put(out, key, len);
		buf_char(out, '\0');
		return !out->failed;
	}
	for (size_t i = 0; i < len; i++) {
		if (key[i] == ',') {
			if (n == t->nkey)
				return false;
			buf_char(out, '\0');
			parts[n++] = out->len;
			continue;
		}
		if (key[i] == '\\' && ++i == len)
			return false;
		buf_char(out, key[i]);
	}
	buf_char(out, '\0');
	return n == t->nkey && !out->failed;
}

/* What CONVERT gives has the charset's default collation and insists on it as much as a column does on
 * its own: they cannot be compared (error 1267) unless the column's is named. */
static void
put_converted(struct buf *sql, const char *hex, const struct column *col)
{
	buf_fmt(sql, "CONVERT(UNHEX(%s) USING %s) COLLATE %s", hex, col->charset, col->collation);
}

void
template_key_operand(struct buf *sql, const struct column *col)
{
	switch (col->kind) {
	case COLUMN_PLAIN:
	case COLUMN_TYPED:
		buf_char(sql, '?');
		break;
	case COLUMN_TEXT:
		if (is_ascii(col))
			put_converted(sql, "HEX(?)", col);
		else
			buf_char(sql, '?');
		break;
	case COLUMN_CHARS:
		put_converted(sql, "?", col);
		break;
	case COLUMN_BYTES:
		buf_str(sql, "UNHEX(?)");
		break;
	case COLUMN_BIT:
		buf_str(sql, "CAST(? AS UNSIGNED)");
		break;
	case COLUMN_CHOICE: /* a SET compares as a signed number: its 64th member is the sign */
		buf_str(sql, "CAST(CAST(? AS UNSIGNED) AS SIGNED)");
		break;
	case COLUMN_FLOAT:
		buf_str(sql, "CAST(? AS DOUBLE)");
		break;
	case COLUMN_TIMESTAMP: /* second 0 is the zero value: 1970-01-01 00:00:00 cannot be stored */
		buf_str(sql, "IFNULL(FROM_UNIXTIME(NULLIF(CAST(? AS DECIMAL(20,6)),0)),'0000-00-00 00:00:00')");
		break;
	}
}

void
template_key_match(struct buf *sql, const struct table *t)
{
	for (size_t i = 0; i < t->nkey; i++) {
		const struct column *col = &t->columns[t->key[i]];

		if (i > 0)
			buf_str(sql, " AND ");
		db_quote_name(sql, col->name);
		if (col->kind == COLUMN_FLOAT)
			buf_str(sql, "+0e0");
		buf_char(sql, '=');
		template_key_operand(sql, col);
	}
}

size_t
template_key_width(const struct table *t)
{
	enum {
		PLAIN_WIDTH = 70,  /* DECIMAL(65,30) with sign, point and leading zero */
		NUMBER_WIDTH = 26  /* 64-bit number, double or seconds with microseconds */
	};
	size_t width = t->nkey - 1;

	for (size_t i = 0; i < t->nkey; i++) {
		const struct column *col = &t->columns[t->key[i]];

		if (col->kind == COLUMN_TEXT)
			/* Escaped, ',' and '\' take two bytes: no more than any character of UTF-8 may. */
			width += t->nkey > 1 && strcmp(col->charset, "ascii") == 0 ? col->octets * 2 : col->octets;
		else if (col->kind == COLUMN_CHARS || col->kind == COLUMN_BYTES)
			width += col->octets * 2;
		else
			width += col->kind == COLUMN_PLAIN || col->kind == COLUMN_TYPED ? PLAIN_WIDTH : NUMBER_WIDTH;
	}
	return width;
}

/* --- values --- */

void
template_read(struct buf *sql, const struct column *col)
{
	if (col->kind == COLUMN_CHOICE)
		buf_str(sql, "CAST(");
	db_quote_name(sql, col->name);
	if (col->kind == COLUMN_CHOICE)
		buf_str(sql, " AS UNSIGNED)");
	if (col->kind == COLUMN_FLOAT)
		buf_str(sql, "+0e0");
}

void
template_write(struct buf *sql, const struct column *col)
{
	buf_str(sql, col->kind == COLUMN_CHOICE ? "CAST(? AS UNSIGNED)" : "?");
}

bool
template_is_binary(const struct column *col)
{
	/* Character data is raw as well: the bytes are those of the column's own charset. */
	return col->kind == COLUMN_CHARS || col->kind == COLUMN_BYTES || col->kind == COLUMN_BIT;
}

bool
template_warns(const struct column *col, const char *value)
{
	return col->choose_one && value != NULL && strcmp(value, "0") == 0;
}

bool
template_binds_raw(const struct column *col)
{
	return template_is_binary(col) || is_ascii(col);
}
