/* Guarding an app's trigger. Lives here: finding a trigger's body in its CREATE statement, the text
 * around it. Not here: which triggers are guarded, and the server (capture/guard).
 *
 * The guarded form of "... FOR EACH ROW<body>" is
 *
 *	... FOR EACH ROW IF @tandem_skip_TOKEN IS NULL THEN<body>
 *	;END IF
 *
 * The body stands there byte for byte with the comments and blanks around it. The line's end ends a
 * comment that the body may end with; a body carries no semicolon at its end, since the server keeps
 * none. */
#include "capture/wrap.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char guard_head[] = "IF @tandem_skip_";
static const char guard_then[] = " IS NULL THEN";
static const char guard_tail[] = "\n;END IF";

static_assert(sizeof guard_tail - 1 == WRAP_TAIL, "what is compared is the whole");
static_assert(sizeof guard_head + SCHEMA_TOKEN_LEN + sizeof guard_then <= WRAP_HEAD, "the first bytes hold it");

struct scan {
	const char *text;
	size_t len, at;
};

static bool
scan_is(const struct scan *s, const char *what)
{
	size_t n = strlen(what);

	return s->len - s->at >= n && memcmp(s->text + s->at, what, n) == 0;
}

/* Up to behind the next what, or to the end. */
static void
scan_past(struct scan *s, const char *what)
{
	while (s->at < s->len && !scan_is(s, what))
		s->at++;
	s->at += s->at < s->len ? strlen(what) : 0;
}

/* Blanks and comments. The server has resolved executable comments before it stored the text. */
static void
scan_blanks(struct scan *s)
{
	for (;;) {
		if (s->at < s->len && isspace((unsigned char)s->text[s->at]))
			s->at++;
		else if (scan_is(s, "/*"))
			scan_past(s, "*/");
		else if (scan_is(s, "#") || (scan_is(s, "--") && s->len - s->at > 2 && (unsigned char)s->text[s->at + 2] <= ' '))
			scan_past(s, "\n");
		else
			return;
	}
}

/* Bytes from 0x80 on are parts of letters. */
static bool
in_name(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* One of the words ("BEFORE|AFTER") and what stands before it. */
static bool
scan_word(struct scan *s, const char *words)
{
	size_t end, n;

	scan_blanks(s);
	for (end = s->at; end < s->len && in_name(s->text[end]);)
		end++;
	n = end - s->at;
	for (const char *w = words; n > 0; w += strcspn(w, "|") + 1) {
		if (strcspn(w, "|") == n && strncasecmp(w, s->text + s->at, n) == 0) {
			s->at = end;
			return true;
		}
		if (w[strcspn(w, "|")] == '\0')
			break;
	}
	return false;
}

static bool
scan_char(struct scan *s, char c)
{
	scan_blanks(s);
	if (s->at == s->len || s->text[s->at] != c)
		return false;
	s->at++;
	return true;
}

/* A name, bare or quoted. Double quotes stand for nothing else before the body. */
static bool
scan_name(struct scan *s)
{
	char quote;
	size_t from;

	scan_blanks(s);
	quote = s->at < s->len ? s->text[s->at] : '\0';
	if (quote != '`' && quote != '"') {
		for (from = s->at; s->at < s->len && in_name(s->text[s->at]);)
			s->at++;
		return s->at > from;
	}
	for (s->at++; s->at < s->len; s->at++) {
		if (s->text[s->at] != quote)
			continue;
		s->at++;
		if (s->at == s->len || s->text[s->at] != quote)
			return true;
	}
	return false;
}

/* `database`.`name` or `name` */
static bool
scan_path(struct scan *s)
{
	return scan_name(s) && (!scan_char(s, '.') || scan_name(s));
}

static bool
scan_definer(struct scan *s)
{
	if (!scan_word(s, "DEFINER"))
		return true;
	return scan_char(s, '=') && scan_name(s) && (!scan_char(s, '@') || scan_name(s));
}

static bool
scan_exists(struct scan *s, struct wrap *out)
{
	struct scan ahead = *s;

	out->exists = out->exists_end = s->at;
	/* A trigger may be called "if": then no NOT follows. */
	if (!scan_word(&ahead, "IF") || !scan_word(&ahead, "NOT"))
		return true;
	if (!scan_word(&ahead, "EXISTS"))
		return false;
	*s = ahead;
	out->exists_end = s->at;
	return true;
}

/* The server's text begins with the word itself; wrap_put counts on that. */
static bool
scan_create(struct scan *s)
{
	return scan_word(s, "CREATE") && s->at == sizeof "CREATE" - 1;
}

static bool
scan_head(struct scan *s, struct wrap *out)
{
	return scan_create(s) && scan_definer(s) && scan_word(s, "TRIGGER") && scan_exists(s, out) && scan_path(s) &&
	    scan_word(s, "BEFORE|AFTER") && scan_word(s, "INSERT|UPDATE|DELETE") && scan_word(s, "ON") && scan_path(s) &&
	    scan_word(s, "FOR") && scan_word(s, "EACH") && scan_word(s, "ROW");
}

bool
wrap_begins(const char *body, char token[SCHEMA_TOKEN_LEN + 1])
{
	const size_t n = sizeof guard_head - 1;

	token[0] = '\0';
	if (strncmp(body, guard_head, n) != 0 || strspn(body + n, "0123456789abcdef") != SCHEMA_TOKEN_LEN ||
	    strncmp(body + n + SCHEMA_TOKEN_LEN, guard_then, sizeof guard_then - 1) != 0)
		return false;
	memcpy(token, body + n, SCHEMA_TOKEN_LEN);
	token[SCHEMA_TOKEN_LEN] = '\0';
	return true;
}

bool
wrap_ends(const char *tail)
{
	size_t len = strlen(tail);

	return len >= sizeof guard_tail - 1 && strcmp(tail + len - (sizeof guard_tail - 1), guard_tail) == 0;
}

const char *
wrap_read(const char *text, size_t len, struct wrap *out)
{
	struct scan s = { text, len, 0 };

	memset(out, 0, sizeof *out);
	if (memchr(text, '\0', len) != NULL || !scan_head(&s, out))
		return "is written in a way that the agent cannot read";
	out->row_end = out->body = s.at;
	out->body_end = len;
	scan_blanks(&s);
	if (!wrap_begins(text + s.at, out->token))
		return NULL;
	if (!wrap_ends(text + s.at))
		return "begins as a guarded one but does not end as one";
	out->body = s.at + sizeof guard_head - 1 + SCHEMA_TOKEN_LEN + sizeof guard_then - 1;
	out->body_end = len - (sizeof guard_tail - 1);
	return NULL;
}

/* The server stores the statement without the place: it cuts from behind ROW to behind the place's name. With
 * IGNORE_SPACE the blanks behind ROW belong to ROW. The blanks that the app has there must come out of
 * that as they were. (A bare name and a word that touches it would leave a trigger behind that nobody
 * can use, "ROWbegin": the place's name is always quoted.) */
static void
put_place(struct buf *sql, const char *blanks, size_t n, const char *place, bool ignore_space)
{
	if (place[0] != '\0' && !ignore_space)
		buf_fmt(sql, " %s", place);
	buf_put(sql, blanks, n);
	if (place[0] != '\0' && ignore_space)
		buf_fmt(sql, "%s%s", n == 0 ? "/**/" : "", place);
}

void
wrap_put(struct buf *sql, const char *text, const struct wrap *w, const char *place, bool ignore_space, const char *token)
{
	static const char create[] = "CREATE";
	const size_t n = sizeof create - 1;
	size_t body = w->body;

	while (token == NULL && body < w->body_end && isspace((unsigned char)text[body]))
		body++;
	buf_str(sql, "CREATE OR REPLACE");
	buf_put(sql, text + n, w->exists - n);
	buf_put(sql, text + w->exists_end, w->row_end - w->exists_end);
	if (token != NULL) {
		put_place(sql, " ", 1, place, ignore_space);
		buf_fmt(sql, "%s%s%s", guard_head, token, guard_then);
	} else
		put_place(sql, text + w->body, body - w->body, place, ignore_space);
	buf_put(sql, text + body, w->body_end - body);
	if (token != NULL)
		buf_str(sql, guard_tail);
}
