/* Reading pages of whole rows. Not here: who asks and may (sync/inspect), writing them (sync/fill). */
#include "sync/offer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/fit.h"
#include "base/clock.h"
#include "change/record.h"
#include "wire/spool.h"

enum {
	PAGE_ROWS = 20 * 1000,
	PAGE_PIECE_MS = 100 /* of one statement: so many rows are read at once */
};

/* A page that is being read. */
struct page {
	const struct offer *offer;
	size_t *map; /* i-th column asked for -> column of the table */
	struct spool *spool;
	struct buf line, last;
	size_t rows;
	bool any;
	bool sparing; /* where there is no room for a row, its key goes alone */
};

bool
offer_fits(const struct offer *o, const char *asker, char *reason)
{
	const struct table *t = o->digest.table;

	for (size_t i = 0; i < o->asked->ncolumns; i++) {
		const struct column *col;
		size_t at;

		(void)table_column(t, o->asked->names[i], strlen(o->asked->names[i]), &at); /* the definitions were compared */
		col = &t->columns[at];
		if (strcmp(o->asked->types[i], col->type) == 0 || fit_holds(o->asked->types[i], col->type, col->in_key))
			continue;
		(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s differs: column %s is %.130s here and only %.130s at %s", t->name, col->name, col->type,
		    o->asked->types[i], asker);
		return false;
	}
	return true;
}

/* --- a page --- */

static void
page_close(struct page *p)
{
	free(p->map);
	spool_free(p->spool);
	buf_free(&p->line);
	buf_free(&p->last);
}

static bool
page_open(struct page *p, const struct offer *o, struct err *e)
{
	const struct table *t = o->digest.table;

	memset(p, 0, sizeof *p);
	p->offer = o;
	buf_init(&p->line, LINE_BYTES_MAX);
	buf_init(&p->last, CATALOG_KEY_BYTES + 1);
	p->map = calloc(t->ncolumns + 1, sizeof *p->map);
	if (p->map == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for rows");
	for (size_t i = 0; i < o->asked->ncolumns; i++)
		(void)table_column(t, o->asked->names[i], strlen(o->asked->names[i]), &p->map[i]);
	return spool_new(o->state_dir, &p->spool, e);
}

static uint64_t
page_bytes(const struct page *p)
{
	return spool_plain_size(p->spool);
}

/* Its first line would be longer than a page: known before it is built. */
static bool
is_too_large(const struct page *p, const struct db_rows *row)
{
	uint64_t bytes = p->sparing ? page_bytes(p) : 0;

	for (size_t i = 0; i < p->offer->digest.table->ncolumns; i++)
		bytes += db_rows_len(row, 1 + i);
	return bytes > COMPARE_FILL_BYTES;
}

static bool
put_row(struct page *p, const struct db_rows *row, struct err *e)
{
	const struct table *t = p->offer->digest.table;
	size_t n = is_too_large(p, row) ? 0 : t->ncolumns;

	buf_reset(&p->line);
	line_begin(&p->line);
	line_text(&p->line, db_rows_text(row, 0), db_rows_len(row, 0));
	for (size_t i = 0; i < n; i++) {
		const char *value = db_rows_text(row, 1 + p->map[i]);
		size_t len = db_rows_len(row, 1 + p->map[i]);

		if (value == NULL)
			line_null(&p->line);
		else if (template_is_binary(&t->columns[p->map[i]]))
			line_bytes(&p->line, value, len);
		else
			line_text(&p->line, value, len);
	}
	line_end(&p->line);
	p->rows++;
	p->any = true;
	buf_reset(&p->last);
	buf_put(&p->last, db_rows_text(row, 0), db_rows_len(row, 0));
	return buf_check(&p->line, "a row", e) && buf_check(&p->last, "a key", e) && spool_write(p->spool, p->line.data, p->line.len, e);
}

static bool
is_full(const struct page *p)
{
	return p->rows >= PAGE_ROWS || page_bytes(p) >= COMPARE_FILL_BYTES || (p->rows > 0 && clock_mono_ms() >= p->offer->until_ms);
}

/* One statement's rows. *cut: the page was full before they ended. */
static bool
read_rows(struct page *p, const struct buf *sql, size_t *rows, bool *cut, struct err *e)
{
	struct db_rows *result = NULL;
	bool more = false, ok;

	*rows = 0;
	*cut = false;
	if (!buf_check(sql, "a statement", e) || !db_stream(p->offer->digest.db, sql->data, sql->len, &result, e))
		return false;
	while ((ok = db_rows_next(result, &more, e)) && more) {
		*cut = !p->sparing && is_full(p);
		if (*cut || !(ok = put_row(p, result, e)))
			break;
		++*rows;
	}
	while (more && db_rows_next(result, &more, NULL) && more)
		; /* empty the result: the connection stays usable */
	db_rows_free(result);
	return ok;
}

/* The page's bytes behind its last key. */
static bool
put_page(struct page *p, struct buf *out, struct err *e)
{
	const struct digest *d = &p->offer->digest;
	uint64_t at = 0, size, about = 0;

	if (!db_number(d->db, "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA=? AND TABLE_NAME=?",
		DB_ARGS(db_text(d->database), db_text(d->table->name)), &about, NULL, e))
		return false;
	compare_put_last(out, p->any ? buf_cstr(&p->last) : NULL, p->last.len, about);
	if (!spool_finish(p->spool, e))
		return false;
	size = spool_size(p->spool);
	while (at < size) {
		size_t got = 0;

		if (buf_room(out, (size_t)(size - at)) == NULL)
			break;
		if (!spool_get(p->spool, at, out->data + out->len, (size_t)(size - at), &got, e) || got == 0)
			return err_set(e, ERR_IO, "a spool is too short");
		out->len += got;
		at += got;
	}
	return buf_check(out, "a page of rows", e);
}

/* --- what is asked --- */

static bool
read_range(struct page *p, const struct digest_range *asked, bool *more, struct err *e)
{
	const struct digest *d = &p->offer->digest;
	struct digest_range r = *asked;
	size_t step = DIGEST_FIRST_ROWS, rows = 0;
	bool cut = false, ok = true;
	struct buf sql, low;

	buf_init(&low, CATALOG_KEY_BYTES + 1);
	buf_init(&sql, DIGEST_SQL_MAX);
	for (*more = true; ok && *more && !is_full(p);) {
		int64_t start = clock_mono_ms();

		buf_reset(&sql);
		record_select(&sql, d->database, d->table);
		ok = digest_put_range(d, &sql, &r, step, e) && read_rows(p, &sql, &rows, &cut, e);
		*more = cut || rows == step;
		step = clock_mono_ms() - start > PAGE_PIECE_MS ? step : step * 4 < PAGE_ROWS ? step * 4 : PAGE_ROWS;
		buf_reset(&low);
		buf_put(&low, buf_cstr(&p->last), p->last.len);
		if (p->any) {
			r.low = buf_cstr(&low);
			r.low_len = low.len;
		}
	}
	buf_free(&low);
	buf_free(&sql);
	return ok;
}

bool
offer_range(const struct offer *o, const struct digest_range *r, struct buf *out, bool *more, struct err *e)
{
	struct page p;
	bool ok = page_open(&p, o, e) && read_range(&p, r, more, e) && put_page(&p, out, e);

	page_close(&p);
	return ok;
}

static const char *
key_of(size_t i, size_t *len, void *arg)
{
	const struct digest_list *keys = arg;

	*len = keys->rows[i].key_len;
	return digest_key(keys, &keys->rows[i]);
}

static bool
read_keys(struct page *p, const struct digest_list *keys, struct err *e)
{
	const struct digest *d = &p->offer->digest;
	struct digest_list list = *keys; /* record_put_keys takes no const */
	size_t rows;
	struct buf sql;
	bool cut, ok;

	buf_init(&sql, DIGEST_SQL_MAX);
	record_select(&sql, d->database, d->table);
	ok = record_put_keys(d->db, &sql, d->table, keys->n, key_of, &list) || err_set(e, ERR_INPUT, "table %s: a malformed key", d->table->name);
	ok = ok && read_rows(p, &sql, &rows, &cut, e);
	buf_free(&sql);
	return ok;
}

bool
offer_keys(const struct offer *o, const struct digest_list *keys, struct buf *out, struct err *e)
{
	struct page p;
	bool ok = page_open(&p, o, e);

	p.sparing = true;
	ok = ok && (keys->n == 0 || read_keys(&p, keys, e)) && put_page(&p, out, e);
	page_close(&p);
	return ok;
}
