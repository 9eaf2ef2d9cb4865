/* Contents of upload folders on the line. Lives here: the form of the lines, strictly read. */
#include "wire/parcel.h"

#include <stdio.h>
#include <string.h>

#include "change/mark.h"
#include "wire/line.h"

enum {
	VALUES_MAX = 4,
	HEX = 2 * PARCEL_HASH
};

static const char version[] = "1";
static const char *const calls[] = { [PARCEL_WANT] = "want", [PARCEL_PUT] = "put", [PARCEL_COME] = "come" };
static const char *const states[] = { [PARCEL_READY] = "ready", [PARCEL_BUSY] = "busy", [PARCEL_NONE] = "none" };

/* --- writing --- */

static void
put_text(struct buf *out, const char *text)
{
	if (text == NULL)
		line_null(out);
	else
		line_text(out, text, strlen(text));
}

static void
put_number(struct buf *out, uint64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	put_text(out, text);
}

static void
put_hash(struct buf *out, const unsigned char hash[PARCEL_HASH])
{
	static const char digit[] = "0123456789abcdef";
	char text[HEX + 1];

	for (size_t i = 0; i < PARCEL_HASH; i++) {
		text[2 * i] = digit[hash[i] >> 4];
		text[2 * i + 1] = digit[hash[i] & 15];
	}
	text[HEX] = '\0';
	put_text(out, text);
}

void
parcel_put_call(struct buf *out, const struct parcel_call *c)
{
	line_begin(out);
	put_text(out, calls[c->kind]);
	put_text(out, version);
	put_text(out, c->tree);
	line_end(out);
}

void
parcel_put_item(struct buf *out, const struct parcel_item *item)
{
	line_begin(out);
	put_hash(out, item->hash);
	if (item->list)
		put_text(out, NULL);
	else
		put_number(out, item->at);
	put_number(out, item->len);
	line_end(out);
	buf_put(out, item->data, item->len);
}

void
parcel_put_answer(struct buf *out, const struct parcel_answer *a)
{
	line_begin(out);
	put_text(out, states[a->state]);
	put_text(out, version);
	put_text(out, a->more ? "more" : NULL);
	line_end(out);
}

void
parcel_put_need(struct buf *out, const struct parcel_need *n)
{
	line_begin(out);
	put_hash(out, n->hash);
	put_number(out, n->size);
	if (n->list) {
		put_text(out, NULL);
		put_text(out, NULL);
	} else {
		put_number(out, n->from);
		put_number(out, n->count);
	}
	line_end(out);
}

/* --- reading --- */

struct words {
	char text[PARCEL_LINE_MAX];
	struct line_value values[VALUES_MAX];
	size_t n;
};

static bool
malformed(struct err *e)
{
	return err_set(e, ERR_INPUT, "a malformed line about contents of a tree");
}

/* The line at *at, taken apart; *at moves behind it. */
static bool
read_line(const char *text, size_t len, size_t *at, struct words *w)
{
	size_t left = len - *at, n;
	const char *newline = left == 0 ? NULL : memchr(text + *at, '\n', left < PARCEL_LINE_MAX ? left : (size_t)PARCEL_LINE_MAX);
	struct err ignored;

	if (newline == NULL)
		return false;
	n = (size_t)(newline - (text + *at));
	memcpy(w->text, text + *at, n);
	w->text[n] = '\0';
	*at += n + 1;
	if (!line_parse(w->text, n, w->values, VALUES_MAX, &w->n, &ignored))
		return false;
	for (size_t i = 0; i < w->n; i++) /* a value with a NUL in it would be read as a shorter one */
		if (w->values[i].data != NULL && strlen(w->values[i].data) != w->values[i].len)
			return false;
	return true;
}

static bool
is_word(const struct words *w, size_t i, const char *word)
{
	return w->values[i].data != NULL && strcmp(w->values[i].data, word) == 0;
}

static bool
get_number(const struct words *w, size_t i, uint64_t *out)
{
	return w->values[i].data != NULL && mark_parse_u64(w->values[i].data, out);
}

static int
nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
get_hash(const struct words *w, size_t i, unsigned char out[PARCEL_HASH])
{
	const char *text = w->values[i].data;

	if (text == NULL || w->values[i].len != HEX)
		return false;
	for (size_t k = 0; k < PARCEL_HASH; k++) {
		int a = nibble(text[2 * k]), b = nibble(text[2 * k + 1]);

		if (a < 0 || b < 0)
			return false;
		out[k] = (unsigned char)(a << 4 | b);
	}
	return true;
}

static bool
check_version(const struct words *w, struct err *e)
{
	return (w->values[1].data != NULL && is_word(w, 1, version)) ||
	    err_set(e, ERR_PEER_REFUSED, "contents of trees are spoken of in version %s here and another one there: bring both agents to the same version", version);
}

bool
parcel_parse_call(const char *text, size_t len, struct parcel_call *c, size_t *at, struct err *e)
{
	struct words w;

	memset(c, 0, sizeof *c);
	*at = 0;
	if (!read_line(text, len, at, &w) || w.n != 3 || w.values[0].data == NULL)
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	while (c->kind < PARCEL_COME && !is_word(&w, 0, calls[c->kind]))
		c->kind++;
	if (!is_word(&w, 0, calls[c->kind]) || w.values[2].data == NULL || w.values[2].len == 0 || w.values[2].len >= sizeof c->tree ||
	    (c->kind != PARCEL_PUT && *at != len))
		return malformed(e);
	memcpy(c->tree, w.values[2].data, w.values[2].len + 1);
	return true;
}

bool
parcel_next_item(const char *text, size_t len, size_t *at, struct parcel_item *item, bool *more, struct err *e)
{
	struct words w;
	uint64_t n = 0;

	memset(item, 0, sizeof *item);
	*more = *at < len;
	if (!*more)
		return true;
	if (!read_line(text, len, at, &w) || w.n != 3 || !get_hash(&w, 0, item->hash) || !get_number(&w, 2, &n))
		return malformed(e);
	item->list = w.values[1].data == NULL;
	if ((!item->list && !get_number(&w, 1, &item->at)) || n > (item->list ? PARCEL_LIST_MAX : PARCEL_BLOCK_MAX) || n > len - *at)
		return malformed(e);
	item->data = text + *at;
	item->len = (size_t)n;
	*at += item->len;
	return true;
}

bool
parcel_parse_answer(const char *text, size_t len, struct parcel_answer *a, size_t *at, struct err *e)
{
	struct words w;

	memset(a, 0, sizeof *a);
	*at = 0;
	if (!read_line(text, len, at, &w) || w.n != 3 || w.values[0].data == NULL)
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	while (a->state < PARCEL_NONE && !is_word(&w, 0, states[a->state]))
		a->state++;
	a->more = is_word(&w, 2, "more");
	return (is_word(&w, 0, states[a->state]) && (a->more || w.values[2].data == NULL)) || malformed(e);
}

bool
parcel_next_need(const char *text, size_t len, size_t *at, struct parcel_need *n, bool *more, struct err *e)
{
	struct words w;

	memset(n, 0, sizeof *n);
	*more = *at < len;
	if (!*more)
		return true;
	if (!read_line(text, len, at, &w) || w.n != 4 || !get_hash(&w, 0, n->hash) || !get_number(&w, 1, &n->size))
		return malformed(e);
	n->list = w.values[2].data == NULL && w.values[3].data == NULL;
	return n->list || (get_number(&w, 2, &n->from) && get_number(&w, 3, &n->count)) || malformed(e);
}
