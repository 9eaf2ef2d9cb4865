/* One record a line: a JSON array whose members are null, a string, or ["base64"] for bytes that are
 * no UTF-8 text. Numbers never travel as JSON numbers. Pure. The decoder is strict: what it does not
 * expect it refuses (json-c repairs too much; docs/protocol.md). */
#ifndef TANDEM_WIRE_LINE_H
#define TANDEM_WIRE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	LINE_BYTES_MAX = 256 * 1024 * 1024, /* one record; a value of 128 MiB in base64 and some */
	LINE_VALUES_MAX = 4096 + 8,	    /* the server's columns and what stands before them */
	LINE_SHORT_MAX = 256,		    /* one of words and numbers alone, newline included */
	LINE_WORDS_MAX = 6		    /* values of such a one */
};

struct line_value {
	char *data; /* NULL = null; a NUL stands behind the bytes */
	size_t len;
};

/* Build a line: begin, values, end (which adds the newline). */
void line_begin(struct buf *line);
void line_null(struct buf *line);
/* As a string where the bytes are UTF-8, else as ["base64"]. */
void line_text(struct buf *line, const char *data, size_t len);
/* A text without NUL; null when there is none. */
void line_word(struct buf *line, const char *text);
void line_number(struct buf *line, uint64_t n);
/* Always as ["base64"]. */
void line_bytes(struct buf *line, const char *data, size_t len);
void line_end(struct buf *line);
/* A JSON string alone, quotes included (for the header lines). */
void line_quote(struct buf *out, const char *data, size_t len);
/* One more member of a JSON object that has some: a string, or null where text is NULL. */
void line_member(struct buf *out, const char *name, const char *text, size_t len);

/* Decode in place: line (len bytes, no newline) is overwritten and values point into it. */
MUST_CHECK bool line_parse(char *line, size_t len, struct line_value *values, size_t max, size_t *n, struct err *e);

/* A text, and no NUL in it, behind which it would be cut? */
bool line_is_text(const struct line_value *v);
/* That word? */
bool line_is_word(const struct line_value *v, const char *word);
MUST_CHECK bool line_get_number(const struct line_value *v, uint64_t *out);

/* A line of words and numbers, in front of other lines or bytes. */
struct line_short {
	char text[LINE_SHORT_MAX];
	struct line_value values[LINE_WORDS_MAX]; /* in text; each null or a text */
	size_t n;
};
/* The one at *at of text, which stays as it is; *at moves behind it. */
MUST_CHECK bool line_parse_short(const char *text, size_t len, size_t *at, struct line_short *out);

/* Strict: no overlong form, no surrogate, nothing above U+10FFFF. */
bool line_is_utf8(const char *data, size_t len);

#endif
