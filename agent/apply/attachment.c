/* The barrier between rows and files, on the receiving side alone: the row is refused without being counted, as one whose
 * parent is missing, and comes again; the sender needs to know nothing of it. */
#include "apply/attachment.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/text.h"
#include "capture/template.h"

enum {
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
}

/* The path that a value names, or NULL: it names none of the tree. */
static const char *
path_of(const struct attachment *a, const struct line_value *v)
{
	size_t prefix = strlen(a->file.prefix);

	if (v->data == NULL || strlen(v->data) != v->len || v->len <= prefix || memcmp(v->data, a->file.prefix, prefix) != 0)
		return NULL;
	return v->data + prefix + (v->data[prefix] == '/');
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
	const char *path = a->any && m->operation != 'd' ? path_of(a, &values[a->at]) : NULL;
	char shown[SHOWN];
	bool go = true;

	*waits = false;
	if (path == NULL)
		return true;
	if (!may_go(p, a, path, m->changed_at, &go, e))
		return false;
	*waits = !go;
	if (*waits) {
		(void)text_escape(path, strlen(path), shown, sizeof shown);
		(void)snprintf(reason, MESSAGE_REASON_MAX, "waits for its file: %s is not in tree %s there yet", shown, a->file.tree->name);
	}
	return true;
}
