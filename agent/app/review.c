/* Conflicts and parked records for the page. Not here: what is done to them (app/action). */
#include "app/review.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/audit.h"
#include "app/conflicts.h"
#include "apply/kept.h"
#include "base/text.h"
#include "files/beneath.h"
#include "files/beside.h"

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

/* --- a file in conflict --- */

/* A path may have any byte. */
static void
put_path(struct buf *out, const char *name, const struct buf *path)
{
	char shown[REVIEW_VALUE_MAX * 4];

	buf_fmt(out, "\"%s\":", name);
	if (path->len == 0)
		buf_str(out, "null");
	else
		line_quote(out, shown, text_escape(path->data, path->len, shown, sizeof shown));
}

/* A column of the list as a person reads it. */
static void
put_fact(const char *name, const struct line_value *v, struct buf *out)
{
	char text[64];

	text[0] = '\0';
	if (v->data != NULL && strcmp(name, "mtime_ns") == 0)
		conflicts_time(v, text, sizeof text);
	else if (v->data != NULL && strcmp(name, "mode") == 0)
		(void)snprintf(text, sizeof text, "%lo", strtoul(v->data, NULL, 10));
	if (text[0] != '\0')
		line_quote(out, text, strlen(text));
	else if (v->data != NULL && strcmp(name, "content") == 0 && v->len > 1) {
		struct line_value hash = { v->data + 1, v->len - 1 };

		put_value(out, &hash);
	} else
		put_value(out, v);
}

static void
put_facts(struct buf *out, const struct kept *local, const struct kept *remote)
{
	static const char *const names[] = { "size", "mtime_ns", "mode", "content", "link" };
	const struct kept *sides[] = { local, remote };
	bool first = true;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct line_value *v[] = { kept_value(local, names[i]), kept_value(remote, names[i]) };

		if ((v[0] == NULL || v[0]->data == NULL) && (v[1] == NULL || v[1]->data == NULL))
			continue;
		buf_fmt(out, "%s{\"name\":\"%s\"", first ? "" : ",", names[i]);
		first = false;
		for (size_t k = 0; k < 2; k++)
			if (v[k] != NULL && !beside_is_gone(sides[k])) {
				buf_fmt(out, ",\"%s\":", k == 0 ? "local" : "remote");
				put_fact(names[i], v[k], out);
			}
		buf_fmt(out, ",\"differs\":%s}", kept_same(v[0], v[1]) ? "false" : "true");
	}
}

/* Where the version that does not stand would be beside the other; nothing: it is a deletion or a directory. */
static void
find_beside(const struct inbox_conflict *c, const struct kept *lost, const char *node, struct buf *to)
{
	const struct line_value *path = kept_value(lost, "path"), *content = kept_value(lost, "content"), *mtime = kept_value(lost, "mtime_ns");

	if (strcmp(conflicts_kept(c), "local") != 0 && strcmp(conflicts_kept(c), "remote") != 0)
		return;
	if (path != NULL && content != NULL && content->len > 1 && mtime != NULL)
		beside_name(to, path->data, node, strtoll(mtime->data, NULL, 10));
}

/* "file" and "columns" of a row of a folder's list. */
static bool
put_file(const struct inbox_conflict *c, const struct conf_tree *t, struct buf *out, struct err *e)
{
	struct kept local = { 0 }, remote = { 0 };
	bool local_lost = strcmp(conflicts_kept(c), "remote") == 0, ok = kept_parse(&c->local, &local, e) && kept_parse(&c->remote, &remote, e);
	const struct line_value *path = ok ? kept_value(c->local.row != NULL ? &local : &remote, "path") : NULL;
	struct buf where, beside;

	buf_init(&where, BENEATH_PATH_MAX * 2);
	buf_init(&beside, BENEATH_PATH_MAX * 2);
	if (path != NULL && path->data != NULL)
		buf_put(&where, path->data, path->len);
	if (ok)
		find_beside(c, local_lost ? &local : &remote, local_lost ? c->local.node : c->remote.node, &beside);
	buf_str(out, ",\"file\":{\"tree\":");
	line_quote(out, t->name, strlen(t->name));
	buf_char(out, ',');
	put_path(out, "path", &where);
	buf_char(out, ',');
	put_path(out, "beside", &beside);
	buf_fmt(out, ",\"gone\":{\"local\":%s,\"remote\":%s}},\"columns\":[", ok && beside_is_gone(&local) ? "true" : "false", ok && beside_is_gone(&remote) ? "true" : "false");
	if (ok)
		put_facts(out, &local, &remote);
	buf_char(out, ']');
	kept_free(&local);
	kept_free(&remote);
	buf_free(&where);
	buf_free(&beside);
	return ok;
}

struct review {
	const struct conf *conf;
	struct buf *out;
};

static bool
put_conflict(const struct inbox_conflict *c, void *arg, struct err *e)
{
	const struct review *r = arg;
	const struct conf_tree *tree = conf_tree_of_listing(r->conf, c->table);
	struct buf *out = r->out;

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
	if (tree != NULL && !put_file(c, tree, out, e))
		return false;
	if (tree == NULL)
		buf_str(out, ",\"file\":null,\"columns\":");
	if (tree == NULL && !put_columns(c, out, e))
		return false;
	buf_char(out, '}');
	return true;
}

/* The undecided ones first, then the newest. */
static const char sql_conflicts[] =
    "(SELECT id, 0 FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL ORDER BY id DESC LIMIT ?)"
    " UNION ALL (SELECT id, 1 FROM sync_conflict WHERE verdict<>'ask' OR resolved_at IS NOT NULL ORDER BY id DESC LIMIT ?) ORDER BY 2, 1 DESC LIMIT ?";

static bool
put_conflicts(struct db *db, const struct conf *conf, struct buf *out, struct err *e)
{
	struct review r = { .conf = conf, .out = out };
	const struct db_arg most = db_u64(REVIEW_CONFLICTS);
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_conflicts, DB_ARGS(most, most, most), &rows, e))
		return false;
	buf_char(out, '[');
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const struct inbox_filter f = { .id = db_rows_u64(rows, 0), .most = 1 };

		if (!(ok = inbox_visit(db, &f, put_conflict, &r, e)))
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
review_json(struct db *db, const struct conf *conf, struct buf *out, struct err *e)
{
	bool ok;

	buf_str(out, "{\"conflicts\":");
	ok = put_conflicts(db, conf, out, e);
	buf_str(out, ",\"parked\":");
	ok = ok && put_parked(db, out, e);
	buf_str(out, ",\"audit\":");
	ok = ok && audit_json(db, out, e);
	buf_str(out, "}\n");
	return ok && buf_check(out, "the review", e);
}
