/* Encoding and decoding of record lines. Lives here: JSON of this one shape. Not here: header lines
 * and answers, which are ordinary JSON (wire/message, json-c). */
#include "wire/line.h"

#include <stdint.h>
#include <string.h>

#include "change/mark.h"

static const char base64_digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* --- UTF-8 --- */

/* Length of the sequence at p (at most left bytes), 0 if it is malformed. */
static size_t
utf8_length(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	/* The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF. */
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool
line_is_utf8(const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *)data;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_length(p + i, len - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* --- encoding --- */

void
line_begin(struct buf *line)
{
	buf_char(line, '[');
}

static void
separate(struct buf *line)
{
	if (line->len > 0 && line->data[line->len - 1] != '[')
		buf_char(line, ',');
}

void
line_null(struct buf *line)
{
	separate(line);
	buf_put(line, "null", 4);
}

void
line_word(struct buf *line, const char *text)
{
	if (text == NULL)
		line_null(line);
	else
		line_text(line, text, strlen(text));
}

void
line_number(struct buf *line, uint64_t n)
{
	separate(line);
	buf_fmt(line, "\"%llu\"", (unsigned long long)n);
}

void
line_end(struct buf *line)
{
	buf_put(line, "]\n", 2);
}

static void
put_escape(struct buf *out, unsigned char c)
{
	switch (c) {
	case '"':
		buf_put(out, "\\\"", 2);
		break;
	case '\\':
		buf_put(out, "\\\\", 2);
		break;
	case '\n':
		buf_put(out, "\\n", 2);
		break;
	default:
		buf_fmt(out, "\\u%04x", c);
	}
}

void
line_quote(struct buf *out, const char *data, size_t len)
{
	size_t from = 0;

	buf_char(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_put(out, data + from, i - from);
		put_escape(out, c);
		from = i + 1;
	}
	buf_put(out, data + from, len - from);
	buf_char(out, '"');
}

void
line_member(struct buf *out, const char *name, const char *text, size_t len)
{
	buf_fmt(out, ",\"%s\":", name);
	if (text == NULL)
		buf_str(out, "null");
	else
		line_quote(out, text, len);
}

void
line_text(struct buf *line, const char *data, size_t len)
{
	if (!line_is_utf8(data, len)) {
		line_bytes(line, data, len);
		return;
	}
	separate(line);
	line_quote(line, data, len);
}

static void
put_base64(struct buf *out, const unsigned char *p, size_t len)
{
	char *to = buf_room(out, (len + 2) / 3 * 4);

	if (to == NULL)
		return;
	out->len += (len + 2) / 3 * 4;
	for (; len >= 3; p += 3, len -= 3) {
		*to++ = base64_digit[p[0] >> 2];
		*to++ = base64_digit[(p[0] & 3) << 4 | p[1] >> 4];
		*to++ = base64_digit[(p[1] & 15) << 2 | p[2] >> 6];
		*to++ = base64_digit[p[2] & 63];
	}
	if (len > 0) {
		unsigned char second = len > 1 ? p[1] : 0;

		*to++ = base64_digit[p[0] >> 2];
		*to++ = base64_digit[(p[0] & 3) << 4 | second >> 4];
		*to++ = len > 1 ? base64_digit[(second & 15) << 2] : '=';
		*to++ = '=';
	}
	*to = '\0';
}

void
line_bytes(struct buf *line, const char *data, size_t len)
{
	separate(line);
	buf_put(line, "[\"", 2);
	put_base64(line, (const unsigned char *)data, len);
	buf_put(line, "\"]", 2);
}

/* --- decoding --- */

struct cursor {
	char *at, *end;
};

static bool
take(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
		return false;
	c->at += n;
	return true;
}

/* Four hex digits, or -1. */
static int32_t
take_hex4(struct cursor *c)
{
	int32_t n = 0;

	if (c->end - c->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char d = *c->at++;

		n <<= 4;
		if (d >= '0' && d <= '9')
			n |= d - '0';
		else if (d >= 'a' && d <= 'f')
			n |= d - 'a' + 10;
		else if (d >= 'A' && d <= 'F')
			n |= d - 'A' + 10;
		else
			return -1;
	}
	return n;
}

static char *
put_utf8(char *to, int32_t u)
{
	if (u < 0x80)
		*to++ = (char)u;
	else if (u < 0x800) {
		*to++ = (char)(0xc0 | u >> 6);
		*to++ = (char)(0x80 | (u & 63));
	} else if (u < 0x10000) {
		*to++ = (char)(0xe0 | u >> 12);
		*to++ = (char)(0x80 | (u >> 6 & 63));
		*to++ = (char)(0x80 | (u & 63));
	} else {
		*to++ = (char)(0xf0 | u >> 18);
		*to++ = (char)(0x80 | (u >> 12 & 63));
		*to++ = (char)(0x80 | (u >> 6 & 63));
		*to++ = (char)(0x80 | (u & 63));
	}
	return to;
}

/* A \u escape, surrogate pairs joined; -1 for a lone half. */
static int32_t
take_unicode(struct cursor *c)
{
	int32_t u = take_hex4(c), low;

	if (u < 0xd800 || u > 0xdfff)
		return u;
	if (u > 0xdbff || !take(c, "\\u"))
		return -1;
	low = take_hex4(c);
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	return 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
}

/* What stands behind a backslash; *to moves on. */
static bool
take_escape(struct cursor *c, char **to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int32_t u;

	if (c->at == c->end)
		return false;
	if (*c->at == 'u') {
		c->at++;
		u = take_unicode(c);
		if (u < 0)
			return false;
		*to = put_utf8(*to, u);
		return true;
	}
	found = *c->at == '\0' ? NULL : strchr(from, *c->at);
	if (found == NULL)
		return false;
	c->at++;
	*(*to)++ = into[found - from];
	return true;
}

/* A string whose opening quote is taken; decoded where it stands. The closing quote becomes the NUL. */
static bool
take_string(struct cursor *c, struct line_value *v)
{
	char *to = c->at;

	v->data = to;
	while (c->at < c->end) {
		unsigned char ch = (unsigned char)*c->at;
		size_t n;

		if (ch == '"') {
			c->at++;
			v->len = (size_t)(to - v->data);
			*to = '\0';
			return true;
		}
		if (ch == '\\') {
			c->at++;
			if (!take_escape(c, &to))
				return false;
			continue;
		}
		if (ch < 0x20)
			return false;
		n = utf8_length((const unsigned char *)c->at, (size_t)(c->end - c->at));
		if (n == 0)
			return false;
		for (; n > 0; n--)
			*to++ = *c->at++;
	}
	return false;
}

static int
base64_value(char d)
{
	if (d >= 'A' && d <= 'Z')
		return d - 'A';
	if (d >= 'a' && d <= 'z')
		return d - 'a' + 26;
	if (d >= '0' && d <= '9')
		return d - '0' + 52;
	return d == '+' ? 62 : d == '/' ? 63 : -1;
}

/* Canonical base64 only: whole quadruples, right padding, no stray bits. In place. */
static bool
decode_base64(struct line_value *v)
{
	unsigned char *to = (unsigned char *)v->data;
	size_t pad = 0;

	if (v->len % 4 != 0)
		return false;
	while (pad < 2 && pad < v->len && v->data[v->len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < v->len; i += 4) {
		size_t keep = i + 4 == v->len ? 3 - pad : 3;
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k > keep ? 0 : base64_value(v->data[i + k]);

			if (d < 0)
				return false;
			bits = bits << 6 | (uint32_t)d;
		}
		if ((keep == 1 && (bits & 0xffff) != 0) || (keep == 2 && (bits & 0xff) != 0))
			return false;
		for (size_t k = 0; k < keep; k++)
			*to++ = (unsigned char)(bits >> (16 - 8 * k));
	}
	v->len = (size_t)(to - (unsigned char *)v->data);
	v->data[v->len] = '\0';
	return true;
}

static bool
take_value(struct cursor *c, struct line_value *v)
{
	v->data = NULL;
	v->len = 0;
	if (take(c, "null"))
		return true;
	if (take(c, "\""))
		return take_string(c, v);
	if (take(c, "[\""))
		return take_string(c, v) && take(c, "]") && decode_base64(v);
	return false;
}

bool
line_parse(char *line, size_t len, struct line_value *values, size_t max, size_t *n, struct err *e)
{
	struct cursor c = { line, line + len };

	*n = 0;
	if (!take(&c, "["))
		return err_set(e, ERR_INPUT, "a record line is not a JSON array");
	if (take(&c, "]"))
		return c.at == c.end || err_set(e, ERR_INPUT, "bytes behind a record line");
	for (;;) {
		if (*n == max)
			return err_set(e, ERR_LIMIT, "a record line has more than %zu values", max);
		if (!take_value(&c, &values[*n]))
			return err_set(e, ERR_INPUT, "malformed value in a record line");
		++*n;
		if (take(&c, "]"))
			break;
		if (!take(&c, ","))
			return err_set(e, ERR_INPUT, "malformed record line");
	}
	return c.at == c.end || err_set(e, ERR_INPUT, "bytes behind a record line");
}

/* --- values --- */

bool
line_is_text(const struct line_value *v)
{
	return v->data != NULL && strlen(v->data) == v->len;
}

bool
line_is_word(const struct line_value *v, const char *word)
{
	return line_is_text(v) && strcmp(v->data, word) == 0;
}

bool
line_get_number(const struct line_value *v, uint64_t *out)
{
	return line_is_text(v) && mark_parse_u64(v->data, out);
}

bool
line_parse_short(const char *text, size_t len, size_t *at, struct line_short *out)
{
	size_t left = len - *at, n;
	const char *newline = left == 0 ? NULL : memchr(text + *at, '\n', left < LINE_SHORT_MAX ? left : (size_t)LINE_SHORT_MAX);
	struct err ignored;

	if (newline == NULL)
		return false;
	n = (size_t)(newline - (text + *at));
	memcpy(out->text, text + *at, n);
	out->text[n] = '\0';
	*at += n + 1;
	if (!line_parse(out->text, n, out->values, LINE_WORDS_MAX, &out->n, &ignored))
		return false;
	for (size_t i = 0; i < out->n; i++)
		if (out->values[i].data != NULL && !line_is_text(&out->values[i]))
			return false;
	return true;
}
