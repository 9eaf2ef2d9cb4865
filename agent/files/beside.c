/* A new row of the folder's list names the content that lost; from there on it is like any file. */
#include "files/beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apply/kept.h"
#include "capture/template.h"
#include "files/beneath.h"
#include "files/listing.h"

enum {
	NAME_MAX_BYTES = 255,
	SUFFIX_MAX = 96,
	EXTENSION_MAX = 16, /* longer ones are part of the name */
	SQL_MAX = 16 * 1024,
	NS_S = 1000 * 1000 * 1000
};

void
beside_name(struct buf *out, const char *path, const char *node, int64_t mtime_ns)
{
	const char *slash = strrchr(path, '/'), *leaf = slash == NULL ? path : slash + 1;
	const char *dot = strrchr(leaf, '.');
	char date[32] = "", suffix[SUFFIX_MAX];
	time_t at = (time_t)(mtime_ns / NS_S);
	size_t stem, more;
	struct tm tm;

	if (dot == NULL || dot == leaf || strlen(dot) > EXTENSION_MAX)
		dot = leaf + strlen(leaf);
	if (gmtime_r(&at, &tm) == NULL || strftime(date, sizeof date, "%Y%m%d-%H%M%S", &tm) == 0)
		date[0] = '\0';
	more = (size_t)snprintf(suffix, sizeof suffix, ".conflict-%s-%.32s", date, node);
	for (stem = (size_t)(dot - leaf); stem + more + strlen(dot) > NAME_MAX_BYTES; stem--)
		;
	while (stem > 0 && ((unsigned char)leaf[stem] & 0xc0) == 0x80) /* no half character */
		stem--;
	buf_put(out, path, (size_t)(leaf - path) + stem);
	buf_str(out, suffix);
	buf_str(out, dot);
}

/* --- deciding --- */

struct keeping {
	struct db *db;
	const struct conf *conf;
	struct buf *path;
	bool found;
	enum inbox_keep stays;
};

static struct db_arg
bytes_of(const struct kept *v, const char *name)
{
	const struct line_value *value = kept_value(v, name);

	return value == NULL || value->data == NULL ? db_null() : db_bytes(value->data, value->len);
}

/* A row of that path that is there is left alone: it is this very version, or what became of it. */
static bool
add_row(const struct keeping *k, const struct conf_tree *t, const struct kept *v, struct err *e)
{
	unsigned char id[LISTING_ID];
	char name[CONF_LISTING_MAX];
	struct buf sql;
	bool ok;

	if (!listing_id(k->path->data, k->path->len, id, e))
		return false;
	conf_tree_listing(t, name);
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "INSERT INTO ");
	template_table(&sql, k->conf->database.name, name);
	buf_str(&sql, " (path_id, path, content, size, mtime_ns, mode, link, node)"
	    " VALUES (?,?,?,?,?,?,?,?)"
	    " ON DUPLICATE KEY UPDATE size=IF(content='',VALUES(size),size),"
	    " mtime_ns=IF(content='',VALUES(mtime_ns),mtime_ns), mode=IF(content='',VALUES(mode),mode),"
	    " link=IF(content='',VALUES(link),link), node=IF(content='',VALUES(node),node),"
	    " content=IF(content='',VALUES(content),content)");
	ok = buf_check(&sql, "a statement", e) &&
	    db_exec(k->db, buf_cstr(&sql),
		DB_ARGS(db_bytes(id, sizeof id), db_bytes(k->path->data, k->path->len), bytes_of(v, "content"),
		    bytes_of(v, "size"), bytes_of(v, "mtime_ns"), bytes_of(v, "mode"), bytes_of(v, "link"),
		    db_text(k->conf->node.name)), e);
	buf_free(&sql);
	return ok;
}

static bool
refuse(struct err *e)
{
	return err_set(e, ERR_USAGE, "one of the two versions is a deletion or a directory: there is"
	    " nothing that could stand beside the other; say --keep local or remote");
}

bool
beside_is_gone(const struct kept *version)
{
	const struct line_value *content = kept_value(version, "content");

	return content == NULL || content->len == 0;
}

/* Is it of a file or link? */
static bool
can_stand(const struct kept *v)
{
	const struct line_value *path = kept_value(v, "path"), *content = kept_value(v, "content");
	const struct line_value *mtime = kept_value(v, "mtime_ns");

	return path != NULL && path->data != NULL && mtime != NULL && mtime->data != NULL &&
	    content != NULL && content->data != NULL && content->len > 0 && content->data[0] != 'd';
}

static bool
put_beside(const struct keeping *k, const struct conf_tree *t, const char *node,
    const struct kept *v, struct err *e)
{
	const struct line_value *path;

	if (!can_stand(v))
		return refuse(e);
	path = kept_value(v, "path");
	if (!beneath_path_ok(path->data, path->len))
		return err_set(e, ERR_DB, "a row of a tree's list is not as an agent writes it");
	beside_name(k->path, path->data, node, strtoll(kept_value(v, "mtime_ns")->data, NULL, 10));
	if (!buf_check(k->path, "a path", e))
		return false;
	if (k->path->len > BENEATH_PATH_MAX)
		return err_set(e, ERR_USAGE, "the path beside it would be longer than %d bytes",
		    BENEATH_PATH_MAX);
	return add_row(k, t, v, e);
}

static bool
on_conflict(const struct inbox_conflict *c, void *arg, struct err *e)
{
	struct keeping *k = arg;
	const struct conf_tree *t = conf_tree_of_listing(k->conf, c->table);
	const char *verdict = strcmp(c->verdict, "apply") == 0 ? "remote" : "local";
	const char *stays = c->resolution != NULL ? c->resolution : verdict;
	const struct inbox_version *lost, *stands;
	struct kept v = { 0 }, other = { 0 };
	bool ok;

	k->found = true;
	if (t == NULL)
		return err_set(e, ERR_USAGE, "both can stay of files in upload folders alone: a record of"
		    " table %.60s has one version; say --keep local or remote", c->table);
	k->stays = strcmp(stays, "remote") == 0 ? INBOX_REMOTE : INBOX_LOCAL;
	lost = k->stays == INBOX_REMOTE ? &c->local : &c->remote;
	stands = k->stays == INBOX_REMOTE ? &c->remote : &c->local;
	ok = kept_parse(lost, &v, e) && kept_parse(stands, &other, e) &&
	    (!beside_is_gone(&other) || refuse(e)) && put_beside(k, t, lost->node, &v, e);
	kept_free(&v);
	kept_free(&other);
	return ok;
}

#define VERSION(side) "CONVERT(" side "_row USING utf8mb4)"
/* A person who chooses the deletion knows the version against it, which would stay against one that does not
 * (files/verdict). Compact, as rows are kept. */
#define KNOW(chosen, other) \
	"UPDATE sync_conflict SET " chosen "_row=JSON_COMPACT(JSON_SET(" VERSION(chosen) ",'$.previous',JSON_EXTRACT(" VERSION(other) ",'$.content')))" \
	" WHERE id=? AND table_name LIKE 'sync\\_file\\_%' AND " chosen "_row IS NOT NULL AND " other "_row IS NOT NULL" \
	" AND JSON_VALUE(" VERSION(chosen) ",'$.content')=''"

bool
beside_resolve(struct db *db, const struct node_identity *node, const struct catalog *catalog, uint64_t id, enum inbox_keep keep, struct err *e)
{
	return db_exec(db, keep == INBOX_LOCAL ? KNOW("local", "remote") : KNOW("remote", "local"), DB_ARGS(db_u64(id)), e) &&
	    inbox_resolve(db, node, catalog, id, keep, e);
}

bool
beside_keep(struct db *db, const struct conf *conf, uint64_t id, struct buf *path, struct err *e)
{
	const struct inbox_filter f = { .id = id, .most = 1 };
	struct keeping k = { .db = db, .conf = conf, .path = path };
	bool ok;

	if (!db_begin(db, e))
		return false;
	ok = inbox_visit(db, &f, on_conflict, &k, e);
	if (ok && !k.found)
		ok = err_set(e, ERR_USAGE, "there is no conflict %llu (agent --conflicts lists them)",
		    (unsigned long long)id);
	if (ok && inbox_end(db, id, k.stays, e) && db_commit(db, e))
		return true;
	db_rollback(db);
	return false;
}
