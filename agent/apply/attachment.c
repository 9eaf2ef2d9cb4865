/* The barrier between rows and files, on the receiving side alone: the row is refused without being counted, as one whose
 * parent is missing, and comes again; the sender needs to know nothing of it. */
#include "apply/attachment.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/text.h"
#include "capture/template.h"

enum {
	VALUE_MAX = 1024 * 1024 * 1024, /* no column holds more than the server's max_allowed_packet */
	SHOWN = 200, /* bytes of a path in a reason */
	MS_S = 1000
};

void
attachment_of(const struct pass *p, const struct table *t, const size_t *map, struct attachment *out)
{
	*out = (struct attachment){ .any = false };
	/* Where the files come from nothing has to come first. */
	if (!conf_file_column(p->conf, t->name, &out->file) || out->file.wait_ms == 0 || !conf_tree_takes(p->conf, out->file.tree))
		return;
	for (; out->at < t->ncolumns && strcmp(t->columns[map[out->at]].name, out->file.column) != 0; out->at++)
		;
	out->any = out->at < t->ncolumns;
	if (out->any && t->columns[map[out->at]].kind == COLUMN_CHARS)
		out->charset = t->columns[map[out->at]].charset;
}

/* The value as UTF-8, as paths are; nothing for NULL. */
static bool
read_value(const struct pass *p, const struct attachment *a, const struct line_value *v, struct buf *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;
	char sql[128];

	if (v->data == NULL)
		return true;
	if (a->charset == NULL) {
		buf_put(out, v->data, v->len);
		return buf_check(out, "a value", e);
	}
	(void)snprintf(sql, sizeof sql, "SELECT CONVERT(CONVERT(? USING %s) USING utf8mb4)", a->charset);
	ok = db_query(p->db, sql, DB_ARGS(db_bytes(v->data, v->len)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more && db_rows_text(rows, 0) != NULL)
		buf_put(out, db_rows_text(rows, 0), db_rows_len(rows, 0));
	db_rows_free(rows);
	return ok && buf_check(out, "a value", e);
}

/* The path that a value names, or NULL: it names none of the tree. */
static const char *
path_of(const struct attachment *a, struct buf *v)
{
	const char *text = buf_cstr(v);
	size_t prefix = strlen(a->file.prefix);

	if (strlen(text) != v->len || v->len <= prefix || memcmp(text, a->file.prefix, prefix) != 0)
		return NULL;
	text += prefix + (text[prefix] == '/');
	return text[0] == '\0' ? NULL : text;
}

/* Does the file stand here as the list says, or has the row waited long enough? */
static bool
may_go(const struct pass *p, const struct attachment *a, const char *path, const char *changed_at, bool *go, struct err *e)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char listing[CONF_LISTING_MAX];
	uint64_t n = 0;
	struct buf sql;
	bool ok;

	if (EVP_Digest(path, strlen(path), hash, NULL, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_INTERNAL, "SHA-256 is not available");
	conf_tree_listing(a->file.tree, listing);
	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT 1 FROM sync_file_local l JOIN ");
	template_table(&sql, p->conf->database.name, listing);
	buf_str(&sql, " m ON m.path_id=l.path_id AND m.content=l.content WHERE l.tree=? AND l.path_id=? AND LEFT(l.content,1)='f'");
	if (a->file.wait_ms > 0)
		buf_fmt(&sql, " UNION ALL SELECT 1 FROM DUAL WHERE ? < SYSDATE(6) - INTERVAL %lld SECOND", (long long)(a->file.wait_ms / MS_S));
	buf_str(&sql, " LIMIT 1");
	ok = buf_check(&sql, "a statement", e);
	if (ok && a->file.wait_ms > 0)
		ok = db_number(p->db, buf_cstr(&sql), DB_ARGS(db_text(a->file.tree->name), db_bytes(hash, 16), db_text(changed_at)), &n, NULL, e);
	else if (ok)
		ok = db_number(p->db, buf_cstr(&sql), DB_ARGS(db_text(a->file.tree->name), db_bytes(hash, 16)), &n, NULL, e);
	buf_free(&sql);
	*go = n > 0;
	return ok;
}

bool
attachment_waits(const struct pass *p, const struct attachment *a, const struct record_meta *m, const struct line_value *values,
    char reason[MESSAGE_REASON_MAX], bool *waits, struct err *e)
{
	const char *path;
	char shown[SHOWN];
	bool go = true, ok;
	struct buf value;

	*waits = false;
	if (!a->any || m->operation == 'd')
		return true;
	buf_init(&value, VALUE_MAX);
	ok = read_value(p, a, &values[a->at], &value, e);
	path = ok ? path_of(a, &value) : NULL;
	if (path != NULL)
		ok = may_go(p, a, path, m->changed_at, &go, e);
	*waits = ok && !go;
	if (*waits) {
		(void)text_escape(path, strlen(path), shown, sizeof shown);
		(void)snprintf(reason, MESSAGE_REASON_MAX, "waits for its file: %s is not in tree %s there yet", shown, a->file.tree->name);
	}
	buf_free(&value);
	return ok;
}
