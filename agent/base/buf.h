/* A byte buffer that knows its maximum. Appending never fails loudly: the first
 * append that does not fit (or finds no memory) marks the buffer failed, later
 * ones do nothing, and buf_check turns that into an error once, at the end. */
#ifndef TANDEM_BASE_BUF_H
#define TANDEM_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct buf {
	char *data; /* len bytes and a NUL behind them; NULL while empty */
	size_t len;
	size_t cap;
	size_t max; /* limit for len */
	bool failed;
	bool no_memory; /* failed because of malloc, not of max */
};

/* An empty buffer that will hold at most max bytes. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* Release the memory; b may be used again with the same max. */
void buf_free(struct buf *b);
/* Empty it, keep the memory, forget a failure. */
void buf_reset(struct buf *b);

void buf_put(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_FMT(2, 3);
/* Lower-case hexadecimal of the bytes. */
void buf_hex(struct buf *b, const void *data, size_t len);
/* Make room for len more bytes and return where they go, or NULL (then failed).
 * The caller sets b->len itself after filling. */
char *buf_room(struct buf *b, size_t len);
/* Forget everything behind the first len bytes (len <= b->len). */
void buf_cut(struct buf *b, size_t len);
/* Drop the first n bytes (n <= len). */
void buf_drop(struct buf *b, size_t n);

/* True while nothing failed; else fills e with ERR_MEMORY or ERR_LIMIT, naming what. */
MUST_CHECK bool buf_check(const struct buf *b, const char *what, struct err *e);
/* The bytes as a C string; "" while empty. Borrowed. */
const char *buf_cstr(const struct buf *b);

#endif
