/* Contents of upload folders on the line. Lives here: the form of the lines, strictly read. */
#include "wire/parcel.h"

#include <string.h>

#include "base/hex.h"

enum { HEX = 2 * PARCEL_HASH };

static const char version[] = "1";
static const char *const calls[] = { [PARCEL_WANT] = "want", [PARCEL_PUT] = "put", [PARCEL_COME] = "come", [PARCEL_LACK] = "lack" };
static const char *const states[] = { [PARCEL_READY] = "ready", [PARCEL_BUSY] = "busy", [PARCEL_NONE] = "none" };

/* --- writing --- */

static void
put_hash(struct buf *out, const unsigned char hash[PARCEL_HASH])
{
	char text[HEX + 1];

	hex_write(hash, PARCEL_HASH, text);
	line_word(out, text);
}

void
parcel_put_call(struct buf *out, const struct parcel_call *c)
{
	line_begin(out);
	line_word(out, calls[c->kind]);
	line_word(out, version);
	line_word(out, c->tree);
	line_end(out);
}

void
parcel_put_item(struct buf *out, const struct parcel_item *item)
{
	line_begin(out);
	put_hash(out, item->hash);
	if (item->list)
		line_word(out, NULL);
	else
		line_number(out, item->at);
	line_number(out, item->len);
	line_end(out);
	buf_put(out, item->data, item->len);
}

void
parcel_put_path(struct buf *out, const unsigned char path[PARCEL_PATH])
{
	char text[2 * PARCEL_PATH + 1];

	hex_write(path, PARCEL_PATH, text);
	line_begin(out);
	line_word(out, text);
	line_end(out);
}

void
parcel_put_answer(struct buf *out, const struct parcel_answer *a)
{
	line_begin(out);
	line_word(out, states[a->state]);
	line_word(out, version);
	line_word(out, a->more ? "more" : NULL);
	line_end(out);
}

uint64_t
parcel_left(const struct parcel_need *n)
{
	uint64_t before = n->list || n->from > n->size / PARCEL_BLOCK_MAX ? 0 : n->from * PARCEL_BLOCK_MAX;

	return n->size - before;
}

void
parcel_put_need(struct buf *out, const struct parcel_need *n)
{
	line_begin(out);
	put_hash(out, n->hash);
	line_number(out, n->size);
	if (n->list) {
		line_word(out, NULL);
		line_word(out, NULL);
	} else {
		line_number(out, n->from);
		line_number(out, n->count);
	}
	line_end(out);
}

/* --- reading --- */

static bool
malformed(struct err *e)
{
	return err_set(e, ERR_INPUT, "a malformed line about contents of a tree");
}

static bool
get_hash(const struct line_value *v, unsigned char out[PARCEL_HASH])
{
	return v->data != NULL && v->len == HEX && hex_read(v->data, PARCEL_HASH, out);
}

static bool
check_version(const struct line_short *w, struct err *e)
{
	return line_is_word(&w->values[1], version) ||
	    err_set(e, ERR_PEER_REFUSED, "contents of trees are spoken of in version %s here and another one there: bring both agents to the same version", version);
}

bool
parcel_parse_call(const char *text, size_t len, struct parcel_call *c, size_t *at, struct err *e)
{
	struct line_short w;

	memset(c, 0, sizeof *c);
	*at = 0;
	if (!line_parse_short(text, len, at, &w) || w.n != 3 || w.values[0].data == NULL)
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	while (c->kind < PARCEL_LACK && !line_is_word(&w.values[0], calls[c->kind]))
		c->kind++;
	if (!line_is_word(&w.values[0], calls[c->kind]) || w.values[2].data == NULL || w.values[2].len == 0 || w.values[2].len >= sizeof c->tree ||
	    (c->kind != PARCEL_PUT && c->kind != PARCEL_LACK && *at != len))
		return malformed(e);
	memcpy(c->tree, w.values[2].data, w.values[2].len + 1);
	return true;
}

bool
parcel_next_item(const char *text, size_t len, size_t *at, struct parcel_item *item, bool *more, struct err *e)
{
	struct line_short w;
	uint64_t n = 0;

	memset(item, 0, sizeof *item);
	*more = *at < len;
	if (!*more)
		return true;
	if (!line_parse_short(text, len, at, &w) || w.n != 3 || !get_hash(&w.values[0], item->hash) || !line_get_number(&w.values[2], &n))
		return malformed(e);
	item->list = w.values[1].data == NULL;
	if ((!item->list && !line_get_number(&w.values[1], &item->at)) || n > (item->list ? PARCEL_LIST_MAX : PARCEL_BLOCK_MAX) || n > len - *at)
		return malformed(e);
	item->data = text + *at;
	item->len = (size_t)n;
	*at += item->len;
	return true;
}

bool
parcel_next_path(const char *text, size_t len, size_t *at, unsigned char path[PARCEL_PATH], bool *more, struct err *e)
{
	struct line_short w;

	*more = *at < len;
	if (!*more)
		return true;
	if (!line_parse_short(text, len, at, &w) || w.n != 1 || w.values[0].data == NULL || w.values[0].len != 2 * PARCEL_PATH || !hex_read(w.values[0].data, PARCEL_PATH, path))
		return malformed(e);
	return true;
}

bool
parcel_parse_answer(const char *text, size_t len, struct parcel_answer *a, size_t *at, struct err *e)
{
	struct line_short w;

	memset(a, 0, sizeof *a);
	*at = 0;
	if (!line_parse_short(text, len, at, &w) || w.n != 3 || w.values[0].data == NULL)
		return malformed(e);
	if (!check_version(&w, e))
		return false;
	while (a->state < PARCEL_NONE && !line_is_word(&w.values[0], states[a->state]))
		a->state++;
	a->more = line_is_word(&w.values[2], "more");
	return (line_is_word(&w.values[0], states[a->state]) && (a->more || w.values[2].data == NULL)) || malformed(e);
}

bool
parcel_next_need(const char *text, size_t len, size_t *at, struct parcel_need *n, bool *more, struct err *e)
{
	struct line_short w;

	memset(n, 0, sizeof *n);
	*more = *at < len;
	if (!*more)
		return true;
	if (!line_parse_short(text, len, at, &w) || w.n != 4 || !get_hash(&w.values[0], n->hash) || !line_get_number(&w.values[1], &n->size))
		return malformed(e);
	n->list = w.values[2].data == NULL && w.values[3].data == NULL;
	return n->list || (line_get_number(&w.values[2], &n->from) && line_get_number(&w.values[3], &n->count)) || malformed(e);
}
