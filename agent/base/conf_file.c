/* The file agent.conf and its lines. Lives here: bytes, lines, continuation. Not here: owner and mode
 * of the file (private), which options exist (conf) and what a value may be (conf_value).
 *
 * libinih does the INI grammar, but it has limits that must not be met silently: lines above
 * INI_MAX_LINE (200 bytes in most builds) are cut, names of sections above 49 bytes too, an
 * indented line is glued to whatever option stands before it, " ;" ends a value (a password!), and
 * an empty section is not reported. So the lines pass through hand_line() first: it checks the
 * bytes, counts, reads section lines itself, refuses what libinih would misread, and cuts a long
 * line into pieces that libinih takes for continuation lines and the handler glues together. */
#include "config.h"

#include "base/conf_file.h"

#include <assert.h>
#include <ini.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/private.h"
#include "base/text.h"

enum {
	INI_SIZE_MIN = 80,  /* smallest line buffer of libinih that we work with */
	PATH_SHOWN = 160,   /* bytes of a path in a message: room is left for the message */
	SECTION_MAX = 320   /* bytes between [ and ]: a kind and a table's name of 64 characters */
};

struct reader {
	const char *at, *end; /* what is left of the file */
	const struct conf_sink *sink;
	struct err *e;
	unsigned number;	      /* of the line in hand, from 1 */
	char line[CONF_LINE_MAX + 1]; /* the line in hand */
	size_t len, handed;	      /* its bytes, and how many of them libinih has */
	bool failed;
	bool expect;  /* libinih was given an option: the handler must be called before more is read */
	bool indented; /* the line in hand continues a list */
	unsigned option_line; /* where the open option began; 0: none is open */
	char option[64];
	struct buf value; /* of the open option */
};

bool
conf_file_fail(struct err *e, const char *path, unsigned line, const char *fmt, ...)
{
	size_t len = strlen(path);
	const char *shown = len > PATH_SHOWN ? path + len - PATH_SHOWN : path;
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (line == 0)
		return err_set(e, ERR_CONFIG, "%s%s: %s", shown == path ? "" : "...", shown, text);
	return err_set(e, ERR_CONFIG, "%s%s:%u: %s", shown == path ? "" : "...", shown, line, text);
}

/* --- the file ------------------------------------------------------------------------- */

bool
conf_file_read(const char *path, char **text, size_t *len, struct err *e)
{
	return private_read(path, "agent.conf", "agent --init writes one, --config names another", CONF_FILE_MAX,
	    text, len, e);
}

void
conf_file_free(char *text, size_t len)
{
	private_free(text, len);
}

/* --- lines ------------------------------------------------------------------------------ */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

#define REFUSE(r, ...) ((r)->failed = true, conf_file_fail((r)->e, (r)->sink->path, (r)->number, __VA_ARGS__))

static bool
check_bytes(struct reader *r)
{
	size_t n;

	for (size_t i = 0; i < r->len; i += n) {
		unsigned char c = (unsigned char)r->line[i];

		n = text_utf8(r->line + i, r->len - i, NULL);
		if (n == 0)
			return REFUSE(r, "byte 0x%02x at column %zu is not UTF-8; save the file as UTF-8", c, i + 1);
		if (c == '\0')
			return REFUSE(r, "NUL byte at column %zu; save the file as plain UTF-8 text", i + 1);
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return REFUSE(r, "control character 0x%02x at column %zu; remove it", c, i + 1);
	}
	return true;
}

/* Put the next line of the file into r->line, without line end; false at the end or when refused. */
static bool
take_line(struct reader *r)
{
	const char *lf = memchr(r->at, '\n', (size_t)(r->end - r->at));
	const char *stop = lf == NULL ? r->end : lf;
	size_t len = (size_t)(stop - r->at);

	if (r->at == r->end)
		return false;
	r->number++;
	if (len > 0 && stop[-1] == '\r')
		len--;
	if (len > CONF_LINE_MAX)
		return REFUSE(r, "line of %zu bytes, at most %d are read; a list may continue on the next line, indented",
		    len, CONF_LINE_MAX);
	memcpy(r->line, r->at, len);
	r->line[len] = '\0';
	r->len = len;
	r->handed = 0;
	r->at = lf == NULL ? r->end : lf + 1;
	return check_bytes(r);
}

/* The open option is complete: tell the sink. */
static bool
close_option(struct reader *r)
{
	unsigned line = r->option_line;

	r->option_line = 0;
	if (line == 0 || r->failed)
		return !r->failed;
	if (r->value.failed) {
		r->failed = true;
		return conf_file_fail(r->e, r->sink->path, line, "%s is longer than %d bytes", r->option, CONF_VALUE_MAX);
	}
	if (!r->sink->option(r->sink->arg, line, r->option, buf_cstr(&r->value), r->e))
		r->failed = true;
	return !r->failed;
}

/* "[kind name]" in r->line. The line is then cut to "[kind]" for libinih. */
static bool
take_section(struct reader *r)
{
	char text[SECTION_MAX + 1], *kind, *name;
	size_t len = r->len;

	if (!close_option(r))
		return false;
	while (is_blank(r->line[len - 1]))
		len--;
	if (len < 3 || r->line[len - 1] != ']')
		return REFUSE(r, "a section line is [name] and nothing behind it; comments go on lines of their own");
	if (len - 2 > SECTION_MAX)
		return REFUSE(r, "a section's name has at most %d bytes", SECTION_MAX);
	memcpy(text, r->line + 1, len - 2);
	text[len - 2] = '\0';
	kind = text + strspn(text, " \t");
	for (size_t n = strlen(text); n > 0 && is_blank(text[n - 1]); n--)
		text[n - 1] = '\0';
	name = kind + strcspn(kind, " \t");
	if (*name != '\0')
		*name++ = '\0';
	name += strspn(name, " \t");
	if (!r->sink->section(r->sink->arg, r->number, kind, name, r->e)) {
		r->failed = true;
		return false;
	}
	r->len = (size_t)snprintf(r->line, sizeof r->line, "[%.40s]", kind);
	return true;
}

/* Is r->line one that may be given to libinih as (part of) an option? */
static bool
take_option(struct reader *r)
{
	const char *text = r->line + strspn(r->line, " \t");

	r->indented = text > r->line;
	for (const char *p = text; *p != '\0'; p++)
		if (is_blank(p[0]) && p[1] == ';')
			return REFUSE(r, "a ; behind a blank would begin a comment; comments go on lines of their own, and no value has one");
	if (!r->indented)
		return close_option(r);
	if (*text == '[' || strchr(text, '=') != NULL)
		return REFUSE(r, "sections and options begin in the first column; remove the blanks before this one");
	if (r->option_line == 0 || !r->sink->is_list(r->sink->arg, r->option))
		return REFUSE(r, "an indented line continues a list, and none stands before it; remove the blanks");
	return true;
}

/* The next line that means something, into r->line; false at the end or when refused. */
static bool
next_line(struct reader *r)
{
	while (take_line(r)) {
		const char *text = r->line + strspn(r->line, " \t");

		if (*text == '\0' || *text == ';' || *text == '#')
			continue;
		return r->line[0] == '[' ? take_section(r) : take_option(r);
	}
	return false;
}

/* Where to cut what is left of the line so that at most room bytes come before, and libinih, which
 * trims blanks and sees comments, gives both pieces back unchanged. 0: nowhere. */
static size_t
cut(const char *text, size_t room)
{
	for (size_t n = room; n > 0; n--)
		if (!is_blank(text[n - 1]) && !is_blank(text[n]) && text[n] != ';' && text[n] != '#')
			return n;
	return 0;
}

/* libinih's fgets: the next line, or the next piece of a long one behind a blank. */
static char *
hand_line(char *out, int size, void *arg)
{
	struct reader *r = arg;
	size_t room, n, lead;

	assert(size >= INI_SIZE_MIN);
	if (r->failed)
		return NULL;
	if (r->expect) {
		REFUSE(r, "expected \"option = value\"; comments begin with ; or #");
		return NULL;
	}
	if (r->handed == r->len && !next_line(r))
		return NULL;
	lead = r->handed > 0;
	room = (size_t)size - 2 - lead; /* 2: line feed and NUL */
	n = r->len - r->handed;
	if (n > room)
		n = cut(r->line + r->handed, room);
	if (n == 0) {
		REFUSE(r, "too many blanks in a row");
		return NULL;
	}
	r->expect = r->line[0] != '[';
	out[0] = ' ';
	memcpy(out + lead, r->line + r->handed, n);
	memcpy(out + lead + n, "\n", 2);
	r->handed += n;
	return out;
}

/* libinih's handler: a whole line's option, or one more piece of it. */
static int
take_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;

	(void)section; /* cut at 49 bytes by libinih; the sink knows the true one */
	if (r->failed)
		return 1;
	r->expect = false;
	if (r->option_line == 0) {
		if (strlen(name) >= sizeof r->option)
			return REFUSE(r, "unknown option \"%.60s...\"; agent --init writes a file with all options", name);
		(void)snprintf(r->option, sizeof r->option, "%s", name);
		r->option_line = r->number;
		buf_reset(&r->value);
	} else if (r->indented) {
		buf_str(&r->value, ", "); /* the line's end separates as a comma does */
		r->indented = false;	  /* further pieces of this line are glued */
	}
	buf_str(&r->value, value);
	return 1;
}

bool
conf_file_parse(const char *text, size_t len, const struct conf_sink *sink, struct err *e)
{
	static const char bom[] = "\xEF\xBB\xBF";
	struct reader *r = calloc(1, sizeof *r);
	bool ok = false;

	if (r == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for %s", sink->path);
	r->at = text;
	r->end = text + len;
	if (len >= sizeof bom - 1 && memcmp(text, bom, sizeof bom - 1) == 0)
		r->at += sizeof bom - 1;
	r->sink = sink;
	r->e = e;
	buf_init(&r->value, CONF_VALUE_MAX);
	/* All room at once: a buffer that grows leaves copies of secrets behind. */
	if (buf_room(&r->value, CONF_VALUE_MAX) == NULL) {
		err_set(e, ERR_MEMORY, "out of memory for %s", sink->path);
		goto out;
	}
	if (ini_parse_stream(hand_line, r, take_pair, r) == -2 && !r->failed) {
		err_set(e, ERR_MEMORY, "out of memory for %s", sink->path);
		goto out;
	}
	ok = close_option(r);
out:
	text_wipe(r->value.data, r->value.cap);
	buf_free(&r->value);
	text_wipe(r, sizeof *r);
	free(r);
	return ok;
}
