/* Conflicts and parked records for the page. Not here: what is done to them (app/action). */
#include "app/review.h"

#include <stdlib.h>
#include <string.h>

#include "app/audit.h"
#include "app/conflicts.h"
#include "apply/kept.h"
#include "base/text.h"

enum { HEX_SHOWN = 32 /* bytes of a value that is no text */ };

/* --- one value --- */

static size_t
whole_characters(const char *text, size_t len, size_t most)
{
	size_t at = 0;

	while (at < len) {
		size_t n = text_utf8(text + at, len - at, NULL);

		if (n == 0 || at + n > most)
			break;
		at += n;
	}
	return at;
}

static void
put_value(struct buf *out, const struct line_value *v)
{
	struct buf shown;
	size_t n;

	if (v->data == NULL) {
		buf_str(out, "null");
		return;
	}
	buf_init(&shown, REVIEW_VALUE_MAX * 4);
	if (line_is_utf8(v->data, v->len)) {
		n = whole_characters(v->data, v->len, REVIEW_VALUE_MAX);
		buf_put(&shown, v->data, n);
	} else {
		n = v->len < HEX_SHOWN ? v->len : HEX_SHOWN;
		buf_str(&shown, "0x");
		buf_hex(&shown, v->data, n);
	}
	if (n < v->len)
		buf_fmt(&shown, "\xe2\x80\xa6 (%zu bytes)", v->len);
	line_quote(out, buf_cstr(&shown), shown.len);
	buf_free(&shown);
}

/* --- both versions --- */

/* A side without the column (or without the row) has no member for it. */
static void
put_column(struct buf *out, const struct line_value *name, const struct line_value *local, const struct line_value *remote)
{
	buf_str(out, out->data[out->len - 1] == '[' ? "{\"name\":" : ",{\"name\":");
	line_quote(out, name->data, name->len);
	if (local != NULL) {
		buf_str(out, ",\"local\":");
		put_value(out, local);
	}
	if (remote != NULL) {
		buf_str(out, ",\"remote\":");
		put_value(out, remote);
	}
	buf_fmt(out, ",\"differs\":%s}", kept_same(local, remote) ? "false" : "true");
}

static bool
put_columns(const struct inbox_conflict *c, struct buf *out, struct err *e)
{
	struct kept local = { 0 }, remote = { 0 };
	bool ok;

	if (c->local.row_len > REVIEW_ROW_MAX || c->remote.row_len > REVIEW_ROW_MAX) {
		buf_str(out, "null");
		return true;
	}
	ok = kept_parse(&c->local, &local, e) && kept_parse(&c->remote, &remote, e);
	buf_char(out, '[');
	for (size_t i = 0; ok && i < local.n; i += 2)
		put_column(out, &local.pairs[i], &local.pairs[i + 1], kept_value(&remote, local.pairs[i].data));
	for (size_t i = 0; ok && i < remote.n; i += 2)
		if (kept_value(&local, remote.pairs[i].data) == NULL)
			put_column(out, &remote.pairs[i], NULL, &remote.pairs[i + 1]);
	buf_char(out, ']');
	kept_free(&local);
	kept_free(&remote);
	return ok;
}

/* --- lists --- */

static void
put_text(struct buf *out, const char *name, const char *text, size_t len)
{
	line_member(out, name, text, text == NULL ? 0 : whole_characters(text, len, REVIEW_VALUE_MAX));
}

static void
put_side(struct buf *out, const char *name, const struct inbox_version *v)
{
	buf_fmt(out, ",\"%s\":{\"deleted\":%s", name, v->row == NULL ? "true" : "false");
	put_text(out, "node", v->node, strlen(v->node));
	put_text(out, "changed_at", v->changed_at, strlen(v->changed_at));
	buf_char(out, '}');
}

static bool
put_conflict(const struct inbox_conflict *c, void *arg, struct err *e)
{
	struct buf *out = arg;

	buf_fmt(out, "%s{\"id\":%llu,\"undecided\":%s", out->data[out->len - 1] == '[' ? "" : ",", (unsigned long long)c->id,
	    conflicts_is_undecided(c) ? "true" : "false");
	put_text(out, "at", c->happened_at, strlen(c->happened_at));
	put_text(out, "peer", c->peer, strlen(c->peer));
	put_text(out, "table", c->table, strlen(c->table));
	put_text(out, "record_id", c->key, c->key_len);
	put_text(out, "rule", c->rule, strlen(c->rule));
	put_text(out, "kept", conflicts_kept(c), strlen(conflicts_kept(c)));
	put_text(out, "resolved_at", c->resolved_at, c->resolved_at == NULL ? 0 : strlen(c->resolved_at));
	put_side(out, "local", &c->local);
	put_side(out, "remote", &c->remote);
	buf_str(out, ",\"columns\":");
	if (!put_columns(c, out, e))
		return false;
	buf_char(out, '}');
	return true;
}

/* The undecided ones first, then the newest. */
static const char sql_conflicts[] =
    "(SELECT id, 0 FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL ORDER BY id DESC LIMIT ?)"
    " UNION ALL (SELECT id, 1 FROM sync_conflict WHERE verdict<>'ask' OR resolved_at IS NOT NULL ORDER BY id DESC LIMIT ?) ORDER BY 2, 1 DESC LIMIT ?";

static bool
put_conflicts(struct db *db, struct buf *out, struct err *e)
{
	const struct db_arg most = db_u64(REVIEW_CONFLICTS);
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_conflicts, DB_ARGS(most, most, most), &rows, e))
		return false;
	buf_char(out, '[');
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const struct inbox_filter f = { .id = db_rows_u64(rows, 0), .most = 1 };

		if (!(ok = inbox_visit(db, &f, put_conflict, out, e)))
			break;
	}
	buf_char(out, ']');
	db_rows_free(rows);
	return ok;
}

static bool
put_parked(struct db *db, struct buf *out, struct err *e)
{
	static const char *const names[] = { "peer", "table", "record_id", "reason", "refused_at" };
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT last_id, attempts, peer, table_name, record_id, last_error, refused_at FROM sync_owed WHERE state='parked' ORDER BY last_id LIMIT ?",
		DB_ARGS(db_u64(REVIEW_PARKED)), &rows, e))
		return false;
	buf_char(out, '[');
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		buf_fmt(out, "%s{\"id\":%s,\"attempts\":%s", out->data[out->len - 1] == '[' ? "" : ",", db_rows_text(rows, 0), db_rows_text(rows, 1));
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
			put_text(out, names[i], db_rows_text(rows, i + 2), db_rows_len(rows, i + 2));
		buf_char(out, '}');
	}
	buf_char(out, ']');
	db_rows_free(rows);
	return ok;
}

bool
review_json(struct db *db, struct buf *out, struct err *e)
{
	bool ok;

	buf_str(out, "{\"conflicts\":");
	ok = put_conflicts(db, out, e);
	buf_str(out, ",\"parked\":");
	ok = ok && put_parked(db, out, e);
	buf_str(out, ",\"audit\":");
	ok = ok && audit_json(db, out, e);
	buf_str(out, "}\n");
	return ok && buf_check(out, "the review", e);
}
