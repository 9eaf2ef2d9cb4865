/* Rows and columns for people: aligned by what is seen (wide characters take two columns, marks none), folded where
 * the terminal is narrow, one value a line where it is narrower still. */
#ifndef TANDEM_BASE_SHEET_H
#define TANDEM_BASE_SHEET_H

#include "base/screen.h"

struct sheet_column {
	const char *head;
	bool right; /* numbers */
	bool folds; /* gives way where there is little room */
};

struct sheet_cell {
	char *text; /* escaped */
	enum ink ink;
};

enum {
	SHEET_COLUMNS = 16 /* most */
};

struct sheet {
	const struct sheet_column *columns;
	size_t ncolumns;
	char *heads[SHEET_COLUMNS]; /* escaped */
	struct sheet_cell *cells; /* row by row */
	size_t n;
	size_t indent;
	bool no_memory;
};

/* columns borrowed. */
void sheet_init(struct sheet *t, const struct sheet_column *columns, size_t n);
void sheet_free(struct sheet *t);
/* The next cell, from left to right, row by row. */
void sheet_cell(struct sheet *t, enum ink ink, const char *text);
void sheet_fmt(struct sheet *t, enum ink ink, const char *fmt, ...) PRINTF_FMT(3, 4);
/* Heads and rows onto the screen; rows must be whole. */
void sheet_put(const struct sheet *t, struct screen *s);

#endif
