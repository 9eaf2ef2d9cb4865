/* What is printed for people: lines and items that fold on a terminal, and colours, on a terminal only (or where they
 * are asked for). In a pipe or a file lines are as long as they are. All text is escaped here: nothing that comes from
 * a database, a peer or a file steers a terminal. */
#ifndef TANDEM_BASE_SCREEN_H
#define TANDEM_BASE_SCREEN_H

#include "base/buf.h"

enum screen_colour { SCREEN_AUTO, SCREEN_ALWAYS, SCREEN_NEVER };
enum ink { INK_PLAIN, INK_GOOD, INK_WARN, INK_BAD, INK_FAINT, INK_STRONG, INKS };

struct screen {
	struct buf out;
	size_t width; /* columns of the terminal; 0: no terminal */
	bool colour;
};

/* For what goes to stdout: up to max bytes. auto: colours on a terminal where NO_COLOR is not set. */
void screen_init(struct screen *s, enum screen_colour when, size_t max);
void screen_free(struct screen *s);
/* Write what has been put and forget it; called again and again where there is much. */
MUST_CHECK bool screen_print(struct screen *s, struct err *e);

/* A line. */
void screen_line(struct screen *s, enum ink ink, const char *text);
void screen_fmt(struct screen *s, enum ink ink, const char *fmt, ...) PRINTF_FMT(3, 4);
/* An empty one. */
void screen_gap(struct screen *s);
/* A lead and what it introduces: indent blanks, the lead, the text from a column on; what is folded stands below the
 * text. A lead longer than its column pushes the text. */
struct screen_item {
	size_t indent, column;
	enum ink lead_ink, ink;
	const char *lead; /* or NULL */
};
void screen_item(struct screen *s, const struct screen_item *item, const char *text);
void screen_item_fmt(struct screen *s, const struct screen_item *item, const char *fmt, ...) PRINTF_FMT(3, 4);

/* For base/sheet: text (escaped already) in its colour; blanks; an end of line. */
void screen_put(struct screen *s, enum ink ink, const char *text, size_t len);
void screen_blanks(struct screen *s, size_t n);
void screen_end(struct screen *s);
/* text escaped, as a string to be freed; NULL: out of memory. */
char *screen_escape(const char *text);

#endif
