/* Text for people. Lives here: UTF-8, escaping, how wide text is and where a line of it ends, misspelt words,
 * wiping. Not here: the file format of agent.conf (conf_file), the line format of the log (log), colours (screen). */
#include "base/text.h"

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum {
	WORD_MAX = 31 /* longest word text_distance looks at: its table stays on the stack */
};

/* Ranges of characters that a terminal does not show as one visible thing in reading order. */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{ 0x00, 0x1f }, { 0x7f, 0x9f }, /* controls of ASCII and of Latin-1 */
	{ 0xad, 0xad },			/* soft hyphen */
	{ 0x61c, 0x61c },		/* Arabic letter mark */
	{ 0x180e, 0x180e }, { 0x200b, 0x200f }, /* zero width, direction marks */
	{ 0x2028, 0x202e },		/* line and paragraph separators, embeddings, overrides */
	{ 0x2060, 0x206f },		/* joiners, isolates */
	{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff }, /* BOM, annotations, tags */
};

size_t
text_utf8(const char *s, size_t len, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* by length */
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	size_t n;

	if (len == 0)
		return 0;
	n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	c = n == 1 ? p[0] : p[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fU);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	if (code != NULL)
		*code = c;
	return n;
}

size_t
text_next(const char **s, size_t *left, const char **at)
{
	size_t n = text_utf8(*s, *left, NULL);

	*at = *s;
	if (n == 0 && *left > 0) {
		*at = "?";
		n = 1;
	}
	*s += n;
	*left -= n;
	return n;
}

static int
is_hidden(uint32_t code)
{
	for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
		if (code >= hidden[i].first && code <= hidden[i].last)
			return 1;
	return 0;
}

/* How the character at in is shown; *taken bytes of it are used up. Returns the length of the
 * text in shown. */
static size_t
show(const char *in, size_t len, size_t *taken, char shown[16])
{
	uint32_t code = 0;
	size_t n = text_utf8(in, len, &code);
	int made;

	*taken = n == 0 ? 1 : n;
	if (n > 0 && !is_hidden(code)) {
		memcpy(shown, in, n);
		return n;
	}
	if (code == '\n' || code == '\r' || code == '\t')
		made = snprintf(shown, 16, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
	else if (n <= 1)
		made = snprintf(shown, 16, "\\x%02x", (unsigned)(unsigned char)in[0]);
	else if (code > 0xffff)
		made = snprintf(shown, 16, "\\u{%x}", (unsigned)code);
	else
		made = snprintf(shown, 16, "\\u%04x", (unsigned)code);
	return made < 0 ? 0 : (size_t)made;
}

size_t
text_escape(const char *in, size_t len, char *out, size_t size)
{
	static const char cut[] = "...";
	size_t used = 0, safe = 0; /* safe: where "..." still fits */

	for (size_t i = 0, taken; i < len; i += taken) {
		char shown[16];
		size_t n = show(in + i, len - i, &taken, shown);

		if (n >= size - used) {
			size_t dots = size - 1 - safe < sizeof cut - 1 ? size - 1 - safe : sizeof cut - 1;

			memcpy(out + safe, cut, dots);
			used = safe + dots;
			break;
		}
		memcpy(out + used, shown, n);
		used += n;
		if (used + sizeof cut <= size)
			safe = used;
	}
	out[used] = '\0';
	return used;
}

/* --- on a terminal --- */

/* The C library knows how wide characters are, in a locale of UTF-8 alone; the program itself has none. */
static locale_t utf8_locale;
static pthread_once_t utf8_once = PTHREAD_ONCE_INIT;

static void
make_locale(void)
{
	utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* Columns of the first character; *taken: its bytes. Marks that stand on another character have none. */
static size_t
first_width(const char *s, size_t len, size_t *taken)
{
	uint32_t code = 0;
	size_t n = text_utf8(s, len, &code);
	int width = n == 0 || utf8_locale == (locale_t)0 ? 1 : wcwidth((wchar_t)code);

	*taken = n == 0 ? 1 : n;
	return width < 0 ? 1 : (size_t)width;
}

static locale_t
enter_locale(void)
{
	(void)pthread_once(&utf8_once, make_locale);
	return utf8_locale == (locale_t)0 ? (locale_t)0 : uselocale(utf8_locale);
}

static void
leave_locale(locale_t before)
{
	if (before != (locale_t)0)
		(void)uselocale(before);
}

size_t
text_width(const char *s, size_t len)
{
	locale_t before = enter_locale();
	size_t width = 0;

	for (size_t i = 0, taken; i < len; i += taken)
		width += first_width(s + i, len - i, &taken);
	leave_locale(before);
	return width;
}

size_t
text_fold(const char *s, size_t len, size_t width)
{
	locale_t before = enter_locale();
	size_t used = 0, blank = 0, i = 0;

	for (size_t taken; i < len; i += taken) {
		used += first_width(s + i, len - i, &taken);
		if (s[i] == ' ')
			blank = i; /* may hang over the edge: it is not printed */
		else if (used > width && i > 0)
			break;
	}
	leave_locale(before);
	if (i >= len)
		return len;
	return blank > 0 ? blank : i;
}

static size_t
least3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

size_t
text_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return la > lb ? la : lb;
	for (size_t i = 0; i <= la; i++) {
		for (size_t j = 0; j <= lb; j++) {
			if (i == 0 || j == 0) {
				row[i][j] = i + j;
				continue;
			}
			row[i][j] = least3(row[i - 1][j] + 1, row[i][j - 1] + 1,
			    row[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    row[i - 2][j - 2] + 1 < row[i][j])
				row[i][j] = row[i - 2][j - 2] + 1;
		}
	}
	return row[la][lb];
}

void
text_wipe(void *p, size_t len)
{
	volatile unsigned char *v = p;

	for (size_t i = 0; v != NULL && i < len; i++)
		v[i] = 0;
}
