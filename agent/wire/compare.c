/* Building and reading the messages of a comparison. Not here: what is read and asked (sync/compare,
 * sync/inspect), checksums (change/digest). */
#include "wire/compare.h"

#include <string.h>

#include "base/hex.h"

static const char *const ask_name[ASKS] = { "sums", "fast", "rows", "keys", "keep", "queue", "fill", "fetch", "again" };

/* --- parts of lines --- */

static void
put_sum(struct buf *out, const unsigned char sum[DIGEST_BYTES])
{
	struct buf hex;

	buf_init(&hex, DIGEST_BYTES * 2);
	buf_hex(&hex, sum, DIGEST_BYTES);
	line_text(out, buf_cstr(&hex), hex.len);
	out->failed = out->failed || hex.failed;
	buf_free(&hex);
}

static bool
is_hex(const struct line_value *v, size_t len)
{
	return line_is_text(v) && hex_is(v->data, len);
}

static bool
take_sum(const struct line_value *v, unsigned char out[DIGEST_BYTES])
{
	return is_hex(v, 2 * DIGEST_BYTES) && hex_read(v->data, DIGEST_BYTES, out);
}

static bool
malformed(const char *what, struct err *e)
{
	return err_set(e, ERR_INPUT, "a comparison's %s is malformed", what);
}

static bool
is_key(const struct line_value *v)
{
	return v->data != NULL && v->len <= CATALOG_KEY_BYTES;
}

/* --- reading lines --- */

void
compare_reader_init(struct compare_reader *r, char *data, size_t len)
{
	*r = (struct compare_reader){ .at = data, .left = len };
}

/* Cut the next line off; NULL at the end. */
static bool
cut_line(struct compare_reader *r, char **line, size_t *len, struct err *e)
{
	char *newline = r->left == 0 ? NULL : memchr(r->at, '\n', r->left);

	*line = NULL;
	*len = 0;
	if (r->left == 0)
		return true;
	if (newline == NULL)
		return malformed("last line", e);
	*line = r->at;
	*len = (size_t)(newline - r->at);
	r->left -= *len + 1;
	r->at = newline + 1;
	return true;
}

bool
compare_next(struct compare_reader *r, bool *more, struct err *e)
{
	char *line;
	size_t len;

	*more = false;
	r->n = 0;
	if (!cut_line(r, &line, &len, e))
		return false;
	if (line == NULL)
		return true;
	*more = true;
	return line_parse(line, len, r->values, COMPARE_LINE_VALUES, &r->n, e);
}

/* --- questions --- */

void
compare_put_question(struct buf *out, const struct compare_question *q, const struct table *t)
{
	line_begin(out);
	line_word(out, "compare");
	line_number(out, MESSAGE_VERSION);
	line_word(out, ask_name[q->ask]);
	line_word(out, q->incarnation);
	line_number(out, q->seen.epoch);
	line_word(out, q->seen.stamp);
	line_word(out, q->versions ? "versions" : NULL);
	if (q->was != NULL)
		line_word(out, q->was);
	line_end(out);
	message_put_section(out, t);
	line_begin(out);
	for (size_t i = 0; i < t->nkey; i++)
		line_word(out, t->columns[t->key[i]].name);
	line_end(out);
}

static bool
parse_first(const struct compare_reader *r, struct compare_question *q, struct err *e)
{
	const struct line_value *v = r->values;

	memset(q, 0, sizeof *q);
	if ((r->n != 7 && r->n != 8) || !line_is_word(&v[0], "compare") || !line_is_word(&v[1], "1"))
		return malformed("first line", e);
	while (q->ask < ASKS && !line_is_word(&v[2], ask_name[q->ask]))
		q->ask++;
	if (q->ask == ASKS)
		return malformed("question", e);
	if (!is_hex(&v[3], 0) && !is_hex(&v[3], SCHEMA_INCARNATION_LEN))
		return malformed("incarnation", e);
	if (!line_get_number(&v[4], &q->seen.epoch) || (!is_hex(&v[5], 0) && !is_hex(&v[5], MARK_STAMP_LEN)))
		return malformed("position", e);
	if ((v[6].data != NULL && !line_is_word(&v[6], "versions")) || (r->n == 8 && !line_is_text(&v[7])))
		return malformed("first line", e);
	memcpy(q->incarnation, v[3].data, v[3].len + 1);
	memcpy(q->seen.stamp, v[5].data, v[5].len + 1);
	q->versions = v[6].data != NULL;
	q->was = r->n == 8 ? v[7].data : NULL;
	return true;
}

static bool
parse_key_columns(struct compare_reader *r, struct compare_head *h, struct err *e)
{
	char *line;
	size_t len;

	if (!cut_line(r, &line, &len, e))
		return false;
	if (line == NULL || !line_parse(line, len, h->key, CATALOG_KEY_COLUMNS, &h->nkey, e))
		return malformed("list of key columns", e);
	for (size_t i = 0; i < h->nkey; i++)
		if (!line_is_text(&h->key[i]))
			return malformed("list of key columns", e);
	return true;
}

bool
compare_parse_question(struct compare_reader *r, struct compare_head *h, struct err *e)
{
	char *line;
	size_t len;
	bool more;

	memset(h, 0, sizeof *h);
	if (!compare_next(r, &more, e) || !parse_first(r, &h->question, e) || !cut_line(r, &line, &len, e))
		return false;
	if (line == NULL)
		return malformed("table", e);
	if (!message_parse_section(line, len, &h->section, e))
		return false;
	if (parse_key_columns(r, h, e))
		return true;
	message_section_free(&h->section);
	return false;
}

static void
put_open(struct buf *out, const char *key, size_t len)
{
	if (key == NULL)
		line_null(out);
	else
		line_text(out, key, len);
}

void
compare_put_range(struct buf *out, const struct digest_range *r)
{
	line_begin(out);
	put_open(out, r->low, r->low_len);
	put_open(out, r->high, r->high_len);
	line_end(out);
}

bool
compare_parse_range(const struct compare_reader *r, struct digest_range *out, struct err *e)
{
	const struct line_value *v = r->values;

	if (r->n != 2 || (v[0].data != NULL && !is_key(&v[0])) || (v[1].data != NULL && !is_key(&v[1])))
		return malformed("range", e);
	*out = (struct digest_range){ .low = v[0].data, .low_len = v[0].len, .high = v[1].data, .high_len = v[1].len };
	return true;
}

void
compare_put_key(struct buf *out, const char *key, size_t key_len, const char *other, size_t other_len)
{
	line_begin(out);
	line_text(out, key, key_len);
	if (other != NULL)
		line_text(out, other, other_len);
	line_end(out);
}

bool
compare_parse_key(const struct compare_reader *r, struct line_value *key, struct line_value *other, struct err *e)
{
	const struct line_value *v = r->values;

	if (r->n < 1 || r->n > 2 || !is_key(&v[0]) || (r->n == 2 && !is_key(&v[1])))
		return malformed("key", e);
	*key = v[0];
	*other = r->n == 2 ? v[1] : (struct line_value){ NULL, 0 };
	return true;
}

/* --- definitions --- */

static const char definitions[] = "[\"compare\",\"1\",\"definitions\"]\n";

void
compare_put_definitions(struct buf *out)
{
	buf_str(out, definitions);
}

bool
compare_is_definitions(const char *data, size_t len)
{
	return len == sizeof definitions - 1 && memcmp(data, definitions, len) == 0;
}

void
compare_put_definition(struct buf *out, const char *table, const char *text, size_t len)
{
	line_begin(out);
	line_word(out, table);
	line_text(out, text, len);
	line_end(out);
}

bool
compare_parse_definition(const struct compare_reader *r, struct line_value *table, struct line_value *text, struct err *e)
{
	if (r->n != 2 || !line_is_text(&r->values[0]) || r->values[0].len == 0 || r->values[1].data == NULL)
		return malformed("definition", e);
	*table = r->values[0];
	*text = r->values[1];
	return true;
}

/* --- answers --- */

void
compare_put_answer(struct buf *out, bool more)
{
	line_begin(out);
	line_word(out, "compared");
	line_number(out, MESSAGE_VERSION);
	line_word(out, more ? "more" : NULL);
	line_end(out);
}

bool
compare_parse_answer(struct compare_reader *r, bool *more, struct err *e)
{
	const struct line_value *v = r->values;
	bool any;

	if (!compare_next(r, &any, e))
		return false;
	if (r->n != 3 || !line_is_word(&v[0], "compared") || !line_is_word(&v[1], "1") || (v[2].data != NULL && !line_is_word(&v[2], "more")))
		return malformed("answer", e);
	*more = v[2].data != NULL;
	return true;
}

void
compare_put_sum(struct buf *out, const struct digest_sum *sum)
{
	line_begin(out);
	if (sum != NULL) {
		line_number(out, sum->rows);
		put_sum(out, sum->sum);
	}
	line_end(out);
}

bool
compare_parse_sum(const struct compare_reader *r, struct digest_sum *out, bool *known, struct err *e)
{
	const struct line_value *v = r->values;

	memset(out, 0, sizeof *out);
	*known = r->n > 0;
	if (r->n == 0)
		return true;
	return (r->n == 2 && line_get_number(&v[0], &out->rows) && take_sum(&v[1], out->sum)) || malformed("sum", e);
}

void
compare_put_row(struct buf *out, const char *key, size_t key_len, const unsigned char sum[DIGEST_BYTES])
{
	line_begin(out);
	line_text(out, key, key_len);
	put_sum(out, sum);
	line_end(out);
}

bool
compare_parse_row(const struct compare_reader *r, struct digest_list *out, struct err *e)
{
	const struct line_value *v = r->values;
	unsigned char sum[DIGEST_BYTES];

	if (r->n != 2 || !is_key(&v[0]) || !take_sum(&v[1], sum))
		return malformed("row", e);
	return digest_list_add(out, v[0].data, v[0].len, sum, e);
}

void
compare_put_last(struct buf *out, const char *key, size_t key_len, uint64_t about)
{
	line_begin(out);
	put_open(out, key, key_len);
	line_number(out, about);
	line_end(out);
}

bool
compare_parse_last(struct compare_reader *r, struct line_value *key, uint64_t *about, struct err *e)
{
	bool any;

	if (!compare_next(r, &any, e))
		return false;
	if (!any || r->n != 2 || (r->values[0].data != NULL && !is_key(&r->values[0])) ||
	    !line_get_number(&r->values[1], about))
		return malformed("page of rows", e);
	*key = r->values[0];
	return true;
}

void
compare_put_fact(struct buf *out, const struct compare_fact *f)
{
	line_begin(out);
	put_open(out, f->key, f->key_len);
	if (f->key == NULL)
		line_null(out);
	else
		put_sum(out, f->sum);
	line_word(out, f->fresh ? "fresh" : NULL);
	line_word(out, f->changed_at);
	line_word(out, f->node);
	if (f->old != NULL)
		line_text(out, f->old, f->old_len);
	line_end(out);
}

bool
compare_parse_fact(const struct compare_reader *r, struct compare_fact *out, struct err *e)
{
	const struct line_value *v = r->values;

	memset(out, 0, sizeof *out);
	if ((r->n != 5 && r->n != 6) || (r->n == 6 && !is_key(&v[5])) || (v[2].data != NULL && !line_is_word(&v[2], "fresh")))
		return malformed("fact", e);
	if (v[0].data != NULL && (!is_key(&v[0]) || !take_sum(&v[1], out->sum)))
		return malformed("fact", e);
	if ((v[3].data == NULL) != (v[4].data == NULL) ||
	    (v[3].data != NULL && (!line_is_text(&v[3]) || v[3].len != QUEUE_TIME_LEN || !line_is_text(&v[4]) || v[4].len > CONF_NAME_MAX)))
		return malformed("fact", e);
	out->key = v[0].data;
	out->key_len = v[0].len;
	out->fresh = v[2].data != NULL;
	out->changed_at = v[3].data;
	out->node = v[4].data;
	if (r->n == 6) {
		out->old = v[5].data;
		out->old_len = v[5].len;
	}
	return true;
}
