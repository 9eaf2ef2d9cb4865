/* Definitions from elsewhere. Lives here: words, quotes and parentheses of SHOW CREATE TABLE, which of them are let
 * through. What is not known is not guessed: a table with it has to be created by hand. Not here: running the
 * statements (sync/define). */
#include "db/blueprint.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	WORD_SHOWN = 40
};

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_TEXT, TOKEN_NUMBER, TOKEN_SIGN };

struct token {
	enum token_kind kind;
	const char *at;
	size_t len;
};

struct scan {
	const char *at, *end;
	struct token token;
	const char *table;
	struct err *e;
};

/* Words of types, columns, keys, defaults, CHECKs and generated columns. Not: SELECT, LIKE as a source, functions
 * that read files, sleep or lock. */
static const char *const known_words[] = {
	/* types */
	"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "char", "varchar", "binary", "varbinary",
	"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "enum", "set", "date", "time", "datetime",
	"timestamp", "year", "uuid", "inet4", "inet6", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
	"geometrycollection", "unsigned", "zerofill", "signed", "precision",
	/* columns and keys */
	"not", "null", "default", "auto_increment", "comment", "on", "update", "delete", "current_timestamp", "character", "collate", "generated",
	"always", "as", "virtual", "stored", "persistent", "invisible", "check", "constraint", "primary", "unique", "key", "fulltext", "spatial", "index",
	"using", "btree", "hash", "rtree", "foreign", "references", "cascade", "restrict", "no", "action", "asc", "desc", "ignored", "compressed",
	/* expressions */
	"and", "or", "xor", "is", "in", "between", "like", "regexp", "rlike", "div", "mod", "true", "false", "case", "when", "then", "else", "end", "interval",
	"second", "minute", "hour", "day", "week", "month", "quarter", "cast", "convert", "concat", "concat_ws", "upper", "lower", "ucase", "lcase", "trim",
	"ltrim", "rtrim", "both", "leading", "trailing", "from", "left", "right", "substr", "substring", "mid", "replace", "reverse", "lpad", "rpad", "length",
	"char_length", "octet_length", "locate", "instr", "coalesce", "ifnull", "nullif", "if", "greatest", "least", "abs", "ceil", "ceiling", "floor", "round",
	"truncate", "sign", "sqrt", "pow", "power", "now", "curdate", "curtime", "sysdate", "utc_timestamp", "unix_timestamp", "from_unixtime", "date_add",
	"date_sub", "adddate", "subdate", "datediff", "timestampdiff", "dayofmonth", "dayofweek", "dayofyear", "last_day", "date_format", "str_to_date",
	"to_days", "hex", "unhex", "md5", "sha1", "sha2", "crc32", "json_valid", "json_value", "json_query", "json_extract", "json_unquote", "json_length",
	"json_contains", "json_object", "json_array", "st_x", "st_y", "bin", "conv", "format", "ascii", "ord", "field", "elt", "find_in_set", "soundex", "separator"
};

/* Behind the last parenthesis: each with a value. */
static const char *const known_options[] = { "engine", "auto_increment", "charset", "collate", "row_format", "comment", "key_block_size", "stats_persistent",
	"stats_auto_recalc", "stats_sample_pages", "checksum", "delay_key_write", "min_rows", "max_rows", "avg_row_length", "pack_keys" };

static bool
refuse(const struct scan *s, const char *what)
{
	char shown[WORD_SHOWN + 1];

	(void)snprintf(shown, sizeof shown, "%.*s", s->token.len > WORD_SHOWN ? WORD_SHOWN : (int)s->token.len, s->token.at);
	for (char *p = shown; *p != '\0'; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	return err_set(s->e, ERR_INPUT, "table %.64s: its definition has %s (at \"%s\"): create it here by hand", s->table, what, shown);
}

/* --- tokens --- */

/* A quoted text: the quote doubled, or (in texts) a backslash before it. */
static bool
skip_quoted(struct scan *s, char quote)
{
	const char *p = s->at + 1;

	for (; p < s->end && *p != '\0'; p++) {
		if (*p == '\\' && quote == '\'')
			p++;
		else if (*p == quote && p + 1 < s->end && p[1] == quote)
			p++;
		else if (*p == quote)
			break;
	}
	if (p >= s->end || *p == '\0')
		return refuse(s, "a quote that does not end");
	s->at = p + 1;
	return true;
}

static bool
is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static bool
next(struct scan *s)
{
	static const char signs[] = "(),=<>!+-*/%&|^~:";
	const char *from;

	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n'))
		s->at++;
	from = s->at;
	s->token = (struct token){ TOKEN_END, from, 0 };
	if (s->at == s->end)
		return true;
	s->token.len = 1;
	if (*from == '`' || *from == '\'') {
		s->token.kind = *from == '`' ? TOKEN_NAME : TOKEN_TEXT;
		if (!skip_quoted(s, *from))
			return false;
	} else if (is_word_char(*from)) {
		s->token.kind = isdigit((unsigned char)*from) ? TOKEN_NUMBER : TOKEN_WORD;
		while (s->at < s->end && (is_word_char(*s->at) || (s->token.kind == TOKEN_NUMBER && *s->at == '.')))
			s->at++;
	} else if (strchr(signs, *from) != NULL && *from != '\0') {
		s->token.kind = TOKEN_SIGN;
		s->at++;
		/* A comment can hold anything, also what the server runs. */
		if (s->at < s->end && ((*from == '/' && *s->at == '*') || (*from == '-' && *s->at == '-')))
			return refuse(s, "a comment, or partitions");
	} else
		return refuse(s, "a sign that is not known");
	s->token.len = (size_t)(s->at - from);
	return true;
}

static bool
is_word(const struct scan *s, const char *word)
{
	return s->token.kind == TOKEN_WORD && s->token.len == strlen(word) && strncasecmp(s->token.at, word, s->token.len) == 0;
}

static bool
is_sign(const struct scan *s, char sign)
{
	return s->token.kind == TOKEN_SIGN && s->token.at[0] == sign;
}

static bool
is_among(const struct scan *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_word(s, words[i]))
			return true;
	return false;
}

/* Names of charsets and collations stand behind certain words; _utf8mb4'text' before a text. */
static bool
is_charset(const struct scan *s, const struct token *before)
{
	return (before->kind == TOKEN_WORD && ((before->len == 7 && strncasecmp(before->at, "COLLATE", 7) == 0) || (before->len == 3 && strncasecmp(before->at, "SET", 3) == 0) ||
						  (before->len == 7 && strncasecmp(before->at, "CHARSET", 7) == 0) || (before->len == 5 && strncasecmp(before->at, "USING", 5) == 0))) ||
	    (s->token.at[0] == '_' && s->at < s->end && *s->at == '\'');
}

/* b'101' and x'ff': a letter and a text. */
static bool
is_prefix(const struct scan *s)
{
	return s->token.len == 1 && strchr("bxnBXN", s->token.at[0]) != NULL && s->at < s->end && *s->at == '\'';
}

/* --- the definition --- */

static bool
expect_word(struct scan *s, const char *word)
{
	return next(s) && (is_word(s, word) || refuse(s, "another beginning than CREATE TABLE"));
}

static bool
expect_name(struct scan *s)
{
	size_t n = 0;

	if (!next(s))
		return false;
	if (s->token.kind != TOKEN_NAME)
		return refuse(s, "no name");
	for (size_t i = 1; i + 1 < s->token.len; i++) {
		if (s->table[n] == '\0' || s->token.at[i] != s->table[n++])
			return refuse(s, "another name");
		i += s->token.at[i] == '`';
	}
	return s->table[n] == '\0' || refuse(s, "another name");
}

/* One column, key, CHECK: up to the comma or parenthesis that ends it. */
static bool
check_part(struct scan *s)
{
	struct token before = { TOKEN_END, s->at, 0 };
	bool calls = false; /* here a name before a parenthesis would be a function */
	int depth = 0;

	for (;; before = s->token) {
		if (!next(s))
			return false;
		if (s->token.kind == TOKEN_END)
			return refuse(s, "no end");
		if (depth == 0 && (is_sign(s, ',') || is_sign(s, ')')))
			return before.kind != TOKEN_END || refuse(s, "an empty part");
		if (calls && before.kind == TOKEN_NAME && is_sign(s, '('))
			return refuse(s, "a function of its own");
		calls = calls || (before.kind == TOKEN_END && s->token.kind == TOKEN_NAME) || is_word(s, "CHECK");
		depth += is_sign(s, '(');
		depth -= is_sign(s, ')');
		if (s->token.kind == TOKEN_WORD && !is_among(s, known_words, sizeof known_words / sizeof known_words[0]) && !is_charset(s, &before) && !is_prefix(s))
			return refuse(s, "a word that is not known");
	}
}

/* NAME=VALUE, any number of them; DEFAULT before CHARSET. */
static bool
check_options(struct scan *s)
{
	bool innodb = false, engine;

	for (;;) {
		if (!next(s))
			return false;
		if (s->token.kind == TOKEN_END)
			break;
		if (is_word(s, "DEFAULT") && !next(s))
			return false;
		engine = is_word(s, "ENGINE");
		if (!is_among(s, known_options, sizeof known_options / sizeof known_options[0]))
			return refuse(s, "an option that is not known");
		if (!next(s) || !is_sign(s, '=') || !next(s))
			return s->e->code != ERR_NONE ? false : refuse(s, "an option without a value");
		if (s->token.kind != TOKEN_WORD && s->token.kind != TOKEN_NUMBER && s->token.kind != TOKEN_TEXT)
			return refuse(s, "an option without a value");
		if (engine && !is_word(s, "InnoDB"))
			return refuse(s, "another engine than InnoDB");
		innodb = innodb || engine;
	}
	return innodb || refuse(s, "no engine");
}

bool
blueprint_check(const char *text, size_t len, const char *name, const char **definition, struct err *e)
{
	struct scan s = { .at = text, .end = text + len, .token = { TOKEN_END, text, 0 }, .table = name, .e = e };

	err_clear(e);
	if (!expect_word(&s, "CREATE") || !expect_word(&s, "TABLE") || !expect_name(&s) || !next(&s))
		return false;
	if (!is_sign(&s, '('))
		return refuse(&s, "no columns");
	*definition = s.token.at;
	do {
		if (!check_part(&s))
			return false;
	} while (is_sign(&s, ','));
	return check_options(&s);
}
