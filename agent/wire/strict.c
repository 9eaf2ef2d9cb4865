/* A look at JSON before it is parsed. Lives here: its grammar, and what two readers could differ about. Not
 * here: values (json-c, wire/message), UTF-8 (wire/line). Depth is bounded, so recursion is, too. */
#include "config.h"

#include "wire/strict.h"

#include <string.h>

struct scan {
	const char *at, *end;
	size_t values;
};

/* A key of an object: plain characters, compared as they are written. */
struct key {
	const char *text;
	size_t len;
};

static bool scan_value(struct scan *s, unsigned depth);

static void
skip_blanks(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static bool
take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool
take_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return false;
	s->at += len;
	return true;
}

/* The four digits behind \u. */
static bool
take_code(struct scan *s, unsigned *code)
{
	*code = 0;
	if (s->end - s->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *s->at++;

		if (c >= '0' && c <= '9')
			*code = *code * 16 + (unsigned)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			*code = *code * 16 + (unsigned)((c | 0x20) - 'a') + 10;
		else
			return false;
	}
	return true;
}

/* Behind a backslash. A surrogate comes as a pair or not at all. */
static bool
scan_escape(struct scan *s)
{
	unsigned code, low;
	char c;

	if (s->at == s->end)
		return false;
	c = *s->at++;
	if (c != 'u')
		return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
	if (!take_code(s, &code))
		return false;
	if (code < 0xd800 || code > 0xdfff)
		return true;
	return code <= 0xdbff && take_word(s, "\\u") && take_code(s, &low) && low >= 0xdc00 && low <= 0xdfff;
}

/* A string; *plain: nothing in it was escaped. */
static bool
scan_string(struct scan *s, bool *plain)
{
	*plain = true;
	if (!take(s, '"'))
		return false;
	while (s->at < s->end) {
		unsigned char c = (unsigned char)*s->at++;

		if (c == '"')
			return true;
		if (c < 0x20)
			return false;
		if (c != '\\')
			continue;
		*plain = false;
		if (!scan_escape(s))
			return false;
	}
	return false;
}

static bool
scan_digits(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > from;
}

static bool
scan_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		(void)take(s, '-');
	return scan_digits(s);
}

static bool
scan_array(struct scan *s, unsigned depth)
{
	skip_blanks(s);
	if (take(s, ']'))
		return true;
	do {
		if (!scan_value(s, depth))
			return false;
	} while (take(s, ','));
	return take(s, ']');
}

static bool
is_new(const struct key *keys, size_t n, const struct key *key)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].len == key->len && memcmp(keys[i].text, key->text, key->len) == 0)
			return false;
	return true;
}

static bool
scan_object(struct scan *s, unsigned depth)
{
	struct key keys[STRICT_KEYS];
	bool plain;

	skip_blanks(s);
	if (take(s, '}'))
		return true;
	for (size_t n = 0; n < STRICT_KEYS; n++) {
		skip_blanks(s);
		keys[n].text = s->at;
		if (!scan_string(s, &plain) || !plain)
			return false;
		keys[n].len = (size_t)(s->at - keys[n].text);
		skip_blanks(s);
		if (!is_new(keys, n, &keys[n]) || !take(s, ':') || !scan_value(s, depth))
			return false;
		if (!take(s, ','))
			return take(s, '}');
	}
	return false;
}

/* A value and the blanks around it. */
static bool
scan_value(struct scan *s, unsigned depth)
{
	bool plain, ok;

	if (s->values++ == STRICT_VALUES)
		return false;
	skip_blanks(s);
	if (take(s, '{'))
		ok = depth > 0 && scan_object(s, depth - 1);
	else if (take(s, '['))
		ok = depth > 0 && scan_array(s, depth - 1);
	else if (s->at < s->end && *s->at == '"')
		ok = scan_string(s, &plain);
	else
		ok = take_word(s, "true") || take_word(s, "false") || take_word(s, "null") || scan_number(s);
	skip_blanks(s);
	return ok;
}

bool
strict_is_json(const char *text, size_t len)
{
	struct scan s = { .at = text, .end = text + len };

	return scan_value(&s, STRICT_DEPTH) && s.at == s.end;
}
