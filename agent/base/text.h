/* Text that people read or wrote: UTF-8, escaping for one line of a terminal or log, width and folding, the
 * nearest word to a misspelt one, wiping secrets. Pure; no format of the wire or of SQL. */
#ifndef TANDEM_BASE_TEXT_H
#define TANDEM_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Length (1 to 4) of the valid UTF-8 character at s, or 0: shortest form only, no surrogate,
 * nothing above U+10FFFF. *code may be NULL. */
size_t text_utf8(const char *s, size_t len, uint32_t *code);

/* The next character of *s (*left bytes), which moves behind it: its length, 0 at the end. *at: where it stands;
 * a "?" in its place for a byte that is no UTF-8. */
size_t text_next(const char **s, size_t *left, const char **at);

/* in as one printable line in out (size > 0 bytes with the NUL): control characters, bytes that
 * are no UTF-8 and characters that hide or reorder text are escaped, all else stays. What does
 * not fit is cut and "..." shows it. Returns the length of out. */
size_t text_escape(const char *in, size_t len, char *out, size_t size);

/* Columns that valid, printable UTF-8 takes on a terminal: wide characters take two, marks on another one none. */
size_t text_width(const char *s, size_t len);

/* How many bytes stand on the first line, folded to width columns: up to a blank (which stands on no line), else as
 * many characters as fit; at least one character. */
size_t text_fold(const char *s, size_t len, size_t width);

/* How many letters must be put in, taken out, changed or swapped with the next one to turn a
 * into b. Words longer than 31 bytes are not compared: the answer is then the longer length. */
size_t text_distance(const char *a, const char *b);

/* Overwrite with zeros in a way that the compiler keeps. p may be NULL. */
void text_wipe(void *p, size_t len);

#endif
