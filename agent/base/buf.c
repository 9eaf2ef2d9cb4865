/* The bounded byte buffer. Lives here: growth, limits, appending. Not here: any
 * format (JSON in wire/, SQL in db/ and capture/). */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

enum {
	BUF_FIRST = 64 /* first allocation; doubles from there */
};

void
buf_init(struct buf *b, size_t max)
{
	assert(max > 0 && max < SIZE_MAX / 2);
	memset(b, 0, sizeof *b);
	b->max = max;
}

void
buf_free(struct buf *b)
{
	size_t max = b->max;

	free(b->data);
	memset(b, 0, sizeof *b);
	b->max = max;
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	b->no_memory = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* Capacity for need bytes and a NUL; false marks the buffer failed. */
static bool
grow(struct buf *b, size_t need)
{
	size_t cap = b->cap == 0 ? BUF_FIRST : b->cap;
	char *p;

	if (need < b->cap)
		return true;
	while (cap <= need)
		cap *= 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	p = realloc(b->data, cap);
	if (p == NULL) {
		b->failed = b->no_memory = true;
		return false;
	}
	b->data = p;
	b->cap = cap;
	return true;
}

char *
buf_room(struct buf *b, size_t len)
{
	assert(b->max > 0);
	assert(b->len <= b->max);
	if (b->failed)
		return NULL;
	if (len > b->max - b->len) {
		b->failed = true;
		return NULL;
	}
	if (!grow(b, b->len + len))
		return NULL;
	return b->data + b->len;
}

void
buf_put(struct buf *b, const void *data, size_t len)
{
	char *to = buf_room(b, len);

	if (to == NULL)
		return;
	if (len > 0)
		memcpy(to, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_str(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

void
buf_char(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void
buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	if (n < 0 || buf_room(b, (size_t)n) == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_hex(struct buf *b, const void *data, size_t len)
{
	char *to;

	if (len > b->max / 2) {
		b->failed = true;
		return;
	}
	to = buf_room(b, len * 2);
	if (to == NULL)
		return;
	hex_write(data, len, to);
	b->len += len * 2;
}

void
buf_cut(struct buf *b, size_t len)
{
	assert(len <= b->len);
	b->len = len;
	if (b->data != NULL)
		b->data[len] = '\0';
}

void
buf_drop(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

bool
buf_check(const struct buf *b, const char *what, struct err *e)
{
	if (!b->failed)
		return true;
	if (b->no_memory)
		return err_set(e, ERR_MEMORY, "out of memory for %s", what);
	return err_set(e, ERR_LIMIT, "%s is longer than the limit of %zu bytes", what, b->max);
}

const char *
buf_cstr(const struct buf *b)
{
	return b->data == NULL ? "" : b->data;
}
