/* Text for a terminal or a pipe. Lives here: colours, width, folding. Not here: columns (base/sheet), how numbers
 * look (base/measure), progress (app/progress). */
#include "base/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

enum {
	WIDTH_UNKNOWN = 80, /* a terminal that does not tell */
	WIDTH_LEAST = 20,   /* narrower ones are not heeded: nothing can be read there anyway */
	ESCAPED = 4,	    /* one byte is at most "\xff"; longer escapes stand for more bytes */
	BELOW = 2,	    /* blanks before a text that stands below its lead */
	FMT_MAX = 16 * 1024
};

/* SGR parameters. */
static const char *const sgr[INKS] = { [INK_GOOD] = "32", [INK_WARN] = "33", [INK_BAD] = "1;31", [INK_FAINT] = "2", [INK_STRONG] = "1" };

/* --- what stdout is --- */

static size_t
terminal_width(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return WIDTH_UNKNOWN;
	return size.ws_col < WIDTH_LEAST ? WIDTH_LEAST : size.ws_col;
}

static bool
wants_colour(enum screen_colour when, bool terminal)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when != SCREEN_AUTO)
		return when == SCREEN_ALWAYS;
	return terminal && (no_color == NULL || no_color[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

void
screen_init(struct screen *s, enum screen_colour when, size_t max)
{
	bool terminal = isatty(STDOUT_FILENO) == 1;

	buf_init(&s->out, max);
	s->width = terminal ? terminal_width() : 0;
	s->colour = wants_colour(when, terminal);
}

void
screen_free(struct screen *s)
{
	buf_free(&s->out);
}

bool
screen_print(struct screen *s, struct err *e)
{
	bool ok = buf_check(&s->out, "what is printed", e);

	if (ok)
		(void)fwrite(buf_cstr(&s->out), 1, s->out.len, stdout);
	buf_reset(&s->out);
	return ok;
}

/* --- pieces --- */

void
screen_put(struct screen *s, enum ink ink, const char *text, size_t len)
{
	if (!s->colour || sgr[ink] == NULL || len == 0) {
		buf_put(&s->out, text, len);
		return;
	}
	buf_fmt(&s->out, "\033[%sm", sgr[ink]);
	buf_put(&s->out, text, len);
	buf_str(&s->out, "\033[0m");
}

void
screen_blanks(struct screen *s, size_t n)
{
	while (n-- > 0)
		buf_char(&s->out, ' ');
}

void
screen_end(struct screen *s)
{
	buf_char(&s->out, '\n');
}

char *
screen_escape(const char *text)
{
	size_t len = strlen(text), size = len * ESCAPED + 1;
	char *out = malloc(size);

	if (out != NULL)
		(void)text_escape(text, len, out, size);
	return out;
}

/* --- lines --- */

/* Fold text into the columns from column on; the cursor stands there. */
static void
put_folded(struct screen *s, size_t column, enum ink ink, const char *text)
{
	size_t len = strlen(text), room = s->width > column + WIDTH_LEAST / 2 ? s->width - column : WIDTH_LEAST / 2;

	for (;;) {
		size_t n = s->width == 0 ? len : text_fold(text, len, room);

		screen_put(s, ink, text, n);
		screen_end(s);
		n += strspn(text + n, " ");
		if (n >= len)
			return;
		text += n;
		len -= n;
		screen_blanks(s, column);
	}
}

void
screen_item(struct screen *s, const struct screen_item *item, const char *text)
{
	char *lead = screen_escape(item->lead == NULL ? "" : item->lead), *shown = screen_escape(text);
	size_t at, column = item->column, indent = s->width > 0 && item->indent > s->width / 4 ? s->width / 4 : item->indent;

	if (lead == NULL || shown == NULL) {
		s->out.failed = s->out.no_memory = true;
	} else {
		at = indent + text_width(lead, strlen(lead));
		if (at >= column)
			column = lead[0] == '\0' ? at : at + 1;
		screen_blanks(s, indent);
		if (s->width > 0 && column > s->width / 2) {
			/* So narrow that what hangs would be a thread: below the lead then, a little to the right. */
			column = indent;
			if (lead[0] != '\0') {
				put_folded(s, indent, item->lead_ink, lead);
				column += BELOW;
				at = 0;
			}
		} else
			screen_put(s, item->lead_ink, lead, strlen(lead));
		screen_blanks(s, column > at ? column - at : 0);
		put_folded(s, column, item->ink, shown);
	}
	free(lead);
	free(shown);
}

/* Formatted at leisure: no text of ours is longer, and one that is ends with "...". */
static void put_formatted(struct screen *s, const struct screen_item *item, const char *fmt, va_list ap) PRINTF_FMT(3, 0);

static void
put_formatted(struct screen *s, const struct screen_item *item, const char *fmt, va_list ap)
{
	char text[FMT_MAX];

	if (vsnprintf(text, sizeof text, fmt, ap) >= FMT_MAX)
		memcpy(text + FMT_MAX - 4, "...", 4);
	screen_item(s, item, text);
}

void
screen_item_fmt(struct screen *s, const struct screen_item *item, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_formatted(s, item, fmt, ap);
	va_end(ap);
}

void
screen_line(struct screen *s, enum ink ink, const char *text)
{
	screen_item(s, &(struct screen_item){ .ink = ink }, text);
}

void
screen_fmt(struct screen *s, enum ink ink, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_formatted(s, &(struct screen_item){ .ink = ink }, fmt, ap);
	va_end(ap);
}

void
screen_gap(struct screen *s)
{
	screen_end(s);
}
