/* Tables on a terminal. Lives here: how wide columns are, and what happens when they are too wide. Not here: colours and
 * single lines (base/screen). */
#include "base/sheet.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum {
	BETWEEN = 2,	 /* blanks between two columns */
	LEAST = 16,	 /* columns that folded text needs to be read */
	PAD_MAX = 48,	 /* no cell is padded to more: one that is longer pushes the rest of its line */
	CELL_MAX = 4096	 /* of sheet_fmt */
};

void
sheet_init(struct sheet *t, const struct sheet_column *columns, size_t n)
{
	assert(n > 0 && n <= SHEET_COLUMNS);
	*t = (struct sheet){ .columns = columns, .ncolumns = n };
	for (size_t c = 0; c < n; c++) {
		t->heads[c] = screen_escape(columns[c].head);
		t->no_memory = t->no_memory || t->heads[c] == NULL;
	}
}

void
sheet_free(struct sheet *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i].text);
	for (size_t c = 0; c < t->ncolumns; c++) {
		free(t->heads[c]);
		t->heads[c] = NULL;
	}
	free(t->cells);
	t->cells = NULL;
	t->n = 0;
}

void
sheet_cell(struct sheet *t, enum ink ink, const char *text)
{
	struct sheet_cell *grown = t->cells;
	char *escaped;

	/* Grown in powers of two. */
	if ((t->n & (t->n - 1)) == 0)
		grown = realloc(t->cells, (t->n == 0 ? 1 : 2 * t->n) * sizeof *grown);
	if (grown == NULL) {
		t->no_memory = true;
		return;
	}
	t->cells = grown;
	escaped = screen_escape(text == NULL ? "" : text);
	if (escaped == NULL) {
		t->no_memory = true;
		return;
	}
	grown[t->n++] = (struct sheet_cell){ escaped, ink };
}

void
sheet_fmt(struct sheet *t, enum ink ink, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	sheet_cell(t, ink, text);
}

/* --- widths --- */

static size_t
width_of(const char *text)
{
	return text_width(text, strlen(text));
}

static void
natural_widths(const struct sheet *t, size_t width[SHEET_COLUMNS])
{
	for (size_t c = 0; c < t->ncolumns; c++)
		width[c] = width_of(t->heads[c]);
	for (size_t i = 0; i < t->n; i++) {
		size_t w = width_of(t->cells[i].text);

		if (w > width[i % t->ncolumns])
			width[i % t->ncolumns] = w;
	}
}

static size_t
sum_of(const struct sheet *t, const size_t width[SHEET_COLUMNS])
{
	size_t sum = t->indent + BETWEEN * (t->ncolumns - 1);

	for (size_t c = 0; c < t->ncolumns; c++)
		sum += width[c];
	return sum;
}

/* Take from the widest of the columns that fold, until all fits. False: too narrow for columns. */
static bool
squeeze(const struct sheet *t, size_t room, size_t width[SHEET_COLUMNS])
{
	while (sum_of(t, width) > room) {
		size_t widest = SHEET_COLUMNS;

		for (size_t c = 0; c < t->ncolumns; c++)
			if (t->columns[c].folds && width[c] > LEAST && (widest == SHEET_COLUMNS || width[c] > width[widest]))
				widest = c;
		if (widest == SHEET_COLUMNS)
			return false;
		width[widest]--;
	}
	return true;
}

/* --- printing --- */

/* One row, or the heads. */
struct line {
	const char *rest[SHEET_COLUMNS]; /* what is still to be printed of each cell */
	enum ink ink[SHEET_COLUMNS];
};

/* One printed line of a row: of each cell what fits, from where the line before ended. */
static bool
put_line(const struct sheet *t, struct screen *s, struct line *l, const size_t width[SHEET_COLUMNS])
{
	size_t owed = t->indent; /* blanks before the next text; none at the end of a line */
	bool more = false;

	for (size_t c = 0; c < t->ncolumns; c++) {
		const char *text = l->rest[c];
		size_t len = strlen(text), n = s->width == 0 ? len : text_fold(text, len, width[c]), w = text_width(text, n);
		size_t pad = width[c] > w ? width[c] - w : 0;

		if (t->columns[c].right)
			owed += pad;
		if (n > 0) {
			screen_blanks(s, owed);
			screen_put(s, l->ink[c], text, n);
			owed = 0;
		}
		owed += (t->columns[c].right ? 0 : pad) + BETWEEN;
		l->rest[c] = text + n + strspn(text + n, " ");
		more = more || *l->rest[c] != '\0';
	}
	screen_end(s);
	return more;
}

static void
put_heads(const struct sheet *t, struct screen *s, const size_t width[SHEET_COLUMNS])
{
	struct line l;

	for (size_t c = 0; c < t->ncolumns; c++) {
		l.rest[c] = t->heads[c];
		l.ink[c] = INK_FAINT;
	}
	while (put_line(t, s, &l, width))
		;
}

static void
put_columns(const struct sheet *t, struct screen *s, const size_t width[SHEET_COLUMNS])
{
	put_heads(t, s, width);
	for (size_t i = 0; i + t->ncolumns <= t->n; i += t->ncolumns) {
		struct line l;

		for (size_t c = 0; c < t->ncolumns; c++) {
			l.rest[c] = t->cells[i + c].text;
			l.ink[c] = t->cells[i + c].ink;
		}
		while (put_line(t, s, &l, width))
			;
	}
}

/* Head and value, one a line. */
static void
put_cards(const struct sheet *t, struct screen *s)
{
	size_t column = 0;

	for (size_t c = 0; c < t->ncolumns; c++)
		column = width_of(t->heads[c]) > column ? width_of(t->heads[c]) : column;
	for (size_t i = 0; i < t->n; i++) {
		size_t c = i % t->ncolumns;
		struct screen_item item = { .indent = t->indent, .column = t->indent + column + BETWEEN, .lead_ink = INK_FAINT, .ink = t->cells[i].ink, .lead = t->heads[c] };

		if (c == 0 && i > 0)
			screen_gap(s);
		if (t->cells[i].text[0] != '\0')
			screen_item(s, &item, t->cells[i].text);
	}
}

void
sheet_put(const struct sheet *t, struct screen *s)
{
	size_t width[SHEET_COLUMNS] = { 0 };

	if (t->no_memory) {
		s->out.failed = s->out.no_memory = true;
		return;
	}
	natural_widths(t, width);
	if (s->width > 0 && sum_of(t, width) > s->width && !squeeze(t, s->width, width)) {
		put_cards(t, s);
		return;
	}
	for (size_t c = 0; s->width == 0 && c < t->ncolumns; c++)
		width[c] = width[c] > PAD_MAX ? PAD_MAX : width[c];
	put_columns(t, s, width);
}
