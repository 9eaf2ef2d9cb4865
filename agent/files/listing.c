/* Statements over sync_file_NAME, sync_file_local and sync_blob. Differences are read in pages by key, each page whole
 * before its rows are visited, so that a visitor may write. */
#include "files/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/asset.h"
#include "capture/template.h"
#include "change/digest.h"
#include "db/bulk.h"
#include "files/calm.h"
#include "wire/line.h"

enum {
	SQL_MAX = 16 * 1024,
	IDS_SQL_MAX = 256 * 1024,
	NUMBER_MAX = 24,
	LOOKS_MAX = 96, /* seven numbers */
	NOTE_VALUES = 14,
	TELL_VALUES = 10,
	FIND_TRIES = 4, /* paths with one content, of which the first may have changed since it was seen */
	OWN_TOLD = 1,
	OWN_CHMODDED = 2,
	BLOCKS_SQL_MAX = 2 * CONTENT_BLOCKS_MAX * CONTENT_BYTES + 4096
};

/* Paths that one statement is gathered for. */
struct gathered {
	unsigned char ids[LISTING_PAGE * LISTING_ID];
	size_t n;
};

struct listing {
	struct db *db;
	const struct conf *conf;
	const struct conf_tree *of;
	const char *tree; /* its name */
	struct buf table; /* the list, quoted, with its database */
	struct bulk *note, *tell;
	struct gathered own, agree;
};

static bool
find_table(struct listing *l, const struct conf *conf, const struct conf_tree *tree, struct err *e)
{
	char name[CONF_LISTING_MAX];
	uint64_t n = 0;

	conf_tree_listing(tree, name);
	buf_init(&l->table, SQL_MAX);
	template_table(&l->table, conf->database.name, name);
	if (!buf_check(&l->table, "a table's name", e) ||
	    !db_number(l->db, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=? AND TABLE_NAME=?", DB_ARGS(db_text(conf->database.name), db_text(name)), &n, NULL, e))
		return false;
	return n > 0 || err_set(e, ERR_DB_MISSING, "tree %s has no list in the database yet (table %s): run agent --install", tree->name, name);
}

/* own is a set: 1 this node has put base into the list, 2 somebody here has changed the permissions since. The latter ends
 * when they are told, or set as the list says. */
static const char sql_agree[] = "UPDATE sync_file_local FORCE INDEX (PRIMARY) SET base=content, own=own&2 WHERE tree=? AND path_id IN (";
static const char sql_own[] = "UPDATE sync_file_local FORCE INDEX (PRIMARY) SET base=content, own=1 WHERE tree=? AND path_id IN (";

static const char sql_note[] =
    "INSERT INTO sync_file_local (tree, path_id, path, content, base, size, mtime_ns, ctime_ns, ino, mode, uid, gid, racy, link)"
    " VALUES (?,?,?,?,IFNULL(?,''),?,?,?,?,?,?,?,?,?)"
    " ON DUPLICATE KEY UPDATE own=IF(VALUES(base)='', own|IF(content<>'' AND mode<>VALUES(mode),2,0), 0), base=IF(VALUES(base)='', base, VALUES(base)), content=VALUES(content), size=VALUES(size), mtime_ns=VALUES(mtime_ns),"
    " ctime_ns=VALUES(ctime_ns), ino=VALUES(ino), mode=VALUES(mode), uid=VALUES(uid), gid=VALUES(gid), racy=VALUES(racy), link=VALUES(link),"
    " state='ok', error=''";

static bool
prepare(struct listing *l, struct err *e)
{
	static const bool note[NOTE_VALUES] = { [1] = true, [2] = true, [3] = true, [4] = true, [13] = true };
	static const bool tell[TELL_VALUES] = { [0] = true, [1] = true, [2] = true, [6] = true, [8] = true, [9] = true };
	struct buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_fmt(&sql, "INSERT INTO %s (path_id, path, content, size, mtime_ns, mode, link, node, base, previous) VALUES (?,?,?,?,?,?,?,?,?,?)"
	    " ON DUPLICATE KEY UPDATE content=VALUES(content), size=VALUES(size), mtime_ns=VALUES(mtime_ns), mode=VALUES(mode), link=VALUES(link),"
	    " base=IF(node=VALUES(node), base, VALUES(base)), previous=VALUES(previous), node=VALUES(node)", buf_cstr(&l->table));
	ok = buf_check(&sql, "a statement", e) && bulk_new(l->db, sql_note, NOTE_VALUES, note, &l->note, e) &&
	    bulk_new(l->db, buf_cstr(&sql), TELL_VALUES, tell, &l->tell, e);
	buf_free(&sql);
	return ok;
}

bool
listing_new(struct db *db, const struct conf *conf, const struct conf_tree *tree, struct listing **out, struct err *e)
{
	struct listing *l = calloc(1, sizeof *l);

	*out = NULL;
	if (l == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a tree");
	l->db = db;
	l->conf = conf;
	l->of = tree;
	l->tree = tree->name;
	if (find_table(l, conf, tree, e) && prepare(l, e)) {
		*out = l;
		return true;
	}
	listing_free(l);
	return false;
}

void
listing_free(struct listing *l)
{
	if (l == NULL)
		return;
	bulk_free(l->note);
	bulk_free(l->tell);
	buf_free(&l->table);
	free(l);
}

/* --- the table --- */

bool
listing_create(struct db *db, const struct conf *conf, const struct conf_tree *tree, struct err *e)
{
	static const char head[] = "CREATE TABLE IF NOT EXISTS sync_file ";
	const struct asset *a = asset_find("sql/sync_file.sql");
	const char *at = a == NULL ? NULL : strstr((const char *)a->data, head);
	char name[CONF_LISTING_MAX];
	struct buf sql;
	bool ok;

	if (at == NULL)
		return err_set(e, ERR_INTERNAL, "sql/sync_file.sql is not built in");
	conf_tree_listing(tree, name);
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "CREATE TABLE IF NOT EXISTS ");
	template_table(&sql, conf->database.name, name);
	buf_char(&sql, ' ');
	buf_str(&sql, at + sizeof head - 1);
	ok = buf_check(&sql, "a statement", e) && db_exec_text(db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok || err_prefix(e, "tree %s: creating table %s (the account needs CREATE on %s, or give --admin-user)", tree->name, name, conf->database.name);
}

static bool
drop_one(struct db *db, const char *database, const char *name, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "DROP TABLE IF EXISTS ");
	template_table(&sql, database, name);
	ok = buf_check(&sql, "a statement", e) && db_exec_text(db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok;
}

/* By their columns too: a table of the app may happen to have such a name. */
static const char sql_lists[] =
    "SELECT TABLE_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? AND TABLE_NAME LIKE 'sync\\_file\\_%'"
    " GROUP BY TABLE_NAME HAVING GROUP_CONCAT(COLUMN_NAME ORDER BY ORDINAL_POSITION)='path_id,path,content,size,mtime_ns,mode,link,node,base,previous'";

bool
listing_drop_all(struct db *db, const struct conf *conf, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(db, sql_lists, DB_ARGS(db_text(conf->database.name)), &rows, e);

	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = drop_one(db, conf->database.name, db_rows_text(rows, 0), e);
	db_rows_free(rows);
	return ok;
}

bool
listing_id(const char *path, size_t len, unsigned char out[LISTING_ID], struct err *e)
{
	unsigned char hash[CONTENT_BYTES];

	if (!content_block(path, len, hash, e))
		return false;
	memcpy(out, hash, LISTING_ID);
	return true;
}

/* --- what stands here --- */

static struct db_arg
number(char text[NUMBER_MAX], uint64_t n)
{
	(void)snprintf(text, NUMBER_MAX, "%llu", (unsigned long long)n);
	return db_text(text);
}

static struct db_arg
signed_number(char text[NUMBER_MAX], int64_t n)
{
	(void)snprintf(text, NUMBER_MAX, "%lld", (long long)n);
	return db_text(text);
}

static bool
run(struct bulk *b, struct err *e)
{
	uint64_t ignored;

	return bulk_run(b, &ignored, e);
}

bool
listing_note(struct listing *l, const struct local_file *f, struct err *e)
{
	unsigned char id[LISTING_ID];
	char t[8][NUMBER_MAX];
	const struct file_facts *x = &f->facts;

	if (!listing_id(f->path, f->len, id, e))
		return false;
	if (!bulk_add(l->note,
		(const struct db_arg[NOTE_VALUES]){ db_text(l->tree), db_bytes(id, sizeof id), db_bytes(f->path, f->len),
		    db_bytes(f->content.bytes, f->content.len), f->agreed ? db_bytes(f->content.bytes, f->content.len) : db_null(), number(t[0], x->size),
		    signed_number(t[1], x->mtime_ns), signed_number(t[2], x->ctime_ns), number(t[3], x->ino), number(t[4], x->mode & 0777U),
		    number(t[5], x->uid), number(t[6], x->gid), number(t[7], f->racy), f->link == NULL ? db_null() : db_bytes(f->link, strlen(f->link)) }, e))
		return false;
	return !bulk_is_full(l->note) || run(l->note, e);
}

bool
listing_flush(struct listing *l, struct err *e)
{
	return run(l->note, e);
}

/* HEAD and the ids of one page. */
static void
put_ids(struct buf *sql, const char *head, const unsigned char *ids, size_t n)
{
	buf_str(sql, head);
	for (size_t i = 0; i < n; i++) {
		buf_str(sql, i == 0 ? "x'" : ",x'");
		buf_hex(sql, ids + i * LISTING_ID, LISTING_ID);
		buf_char(sql, '\'');
	}
	buf_char(sql, ')');
}

/* A statement over ids, a page of them at a time. */
static bool
over_ids(struct listing *l, const char *head, const unsigned char *ids, size_t n, struct err *e)
{
	bool ok = true;

	for (size_t from = 0; ok && from < n; from += LISTING_PAGE) {
		struct buf sql;

		buf_init(&sql, IDS_SQL_MAX);
		put_ids(&sql, head, ids + from * LISTING_ID, n - from < LISTING_PAGE ? n - from : (size_t)LISTING_PAGE);
		ok = buf_check(&sql, "a statement", e) && db_exec(l->db, buf_cstr(&sql), DB_ARGS(db_text(l->tree)), e);
		buf_free(&sql);
	}
	return ok;
}

static bool
over_gathered(struct listing *l, const char *head, struct gathered *g, struct err *e)
{
	size_t n = g->n;

	g->n = 0;
	return over_ids(l, head, g->ids, n, e);
}

static void
gather(struct gathered *g, const unsigned char id[LISTING_ID])
{
	memcpy(g->ids + g->n++ * LISTING_ID, id, LISTING_ID);
}

bool
listing_drop(struct listing *l, const unsigned char *ids, size_t n, struct err *e)
{
	return over_ids(l, "DELETE FROM sync_file_local WHERE tree=? AND path_id IN (", ids, n, e);
}

bool
listing_paths(struct listing *l, const unsigned char *ids, size_t n, listing_path_visit *visit, void *arg, struct err *e)
{
	bool ok = true;

	for (size_t from = 0; ok && from < n; from += LISTING_PAGE) {
		struct db_rows *rows = NULL;
		bool more = false;
		struct buf sql;

		buf_init(&sql, IDS_SQL_MAX);
		put_ids(&sql, "SELECT path_id, path, content='d' FROM sync_file_local WHERE tree=? AND path_id IN (", ids + from * LISTING_ID,
		    n - from < LISTING_PAGE ? n - from : (size_t)LISTING_PAGE);
		ok = buf_check(&sql, "a statement", e) && db_query(l->db, buf_cstr(&sql), DB_ARGS(db_text(l->tree)), &rows, e);
		while (ok && (ok = db_rows_next(rows, &more, e)) && more)
			ok = visit(arg, (const unsigned char *)db_rows_text(rows, 0), db_rows_text(rows, 1), db_rows_u64(rows, 2) != 0, e);
		db_rows_free(rows);
		buf_free(&sql);
	}
	return ok;
}

bool
listing_gone(struct listing *l, const unsigned char *ids, size_t n, struct err *e)
{
	return over_ids(l, "UPDATE sync_file_local SET content='', link=NULL WHERE tree=? AND path_id IN (", ids, n, e);
}

bool
listing_forget_gone(struct listing *l, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_fmt(&sql, "DELETE l FROM sync_file_local l FORCE INDEX (content) LEFT JOIN %s m FORCE INDEX (PRIMARY) ON m.path_id=l.path_id WHERE l.tree=? AND l.content='' AND IFNULL(m.content,'')=''", buf_cstr(&l->table));
	ok = buf_check(&sql, "a statement", e) && db_exec(l->db, buf_cstr(&sql), DB_ARGS(db_text(l->tree)), e);
	buf_free(&sql);
	return ok;
}

bool
listing_agree(struct listing *l, const unsigned char id[LISTING_ID], struct err *e)
{
	gather(&l->agree, id);
	return l->agree.n < LISTING_PAGE || over_gathered(l, sql_agree, &l->agree, e);
}

bool
listing_is_right(struct listing *l, const char *path, size_t len, bool *yes, struct err *e)
{
	unsigned char id[LISTING_ID];
	uint64_t right = 0;
	struct buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_fmt(&sql, "SELECT l.content=m.content AND (LEFT(l.content,1)='l' OR l.mode=m.mode&511) FROM sync_file_local l JOIN %s m ON m.path_id=l.path_id WHERE l.tree=? AND l.path_id=?", buf_cstr(&l->table));
	ok = listing_id(path, len, id, e) && buf_check(&sql, "a statement", e) &&
	    db_number(l->db, buf_cstr(&sql), DB_ARGS(db_text(l->tree), db_bytes(id, sizeof id)), &right, NULL, e);
	buf_free(&sql);
	*yes = right != 0;
	return ok;
}

bool
listing_fail(struct listing *l, const char *path, size_t len, const char *why, struct err *e)
{
	unsigned char id[LISTING_ID];

	return listing_id(path, len, id, e) &&
	    db_exec(l->db, "INSERT INTO sync_file_local (tree, path_id, path, content, state, error) VALUES (?,?,?,'',IF(?='','ok','failed'),?)"
			   " ON DUPLICATE KEY UPDATE state=VALUES(state), error=VALUES(error)",
		DB_ARGS(db_text(l->tree), db_bytes(id, sizeof id), db_bytes(path, len), db_text(why), db_text(why)), e);
}

bool
listing_try_again(struct listing *l, struct err *e)
{
	return db_exec(l->db, "UPDATE sync_file_local SET state='again' WHERE tree=? AND state='failed'", DB_ARGS(db_text(l->tree)), e);
}

/* --- differences --- */

/* Every join names its index: while a table is filled for the first time its statistics still say that it is empty, and the
 * server would rather read it whole for each page, which takes minutes where it should take milliseconds. */

#define LOCAL_COLUMNS "l.path_id, l.path, l.content, l.base, l.size, l.mtime_ns, l.ctime_ns, l.ino, l.mode, l.uid, l.gid, l.link"
#define LISTED_COLUMNS "m.content, m.size, m.mtime_ns, m.mode, m.link, m.node, m.base, m.previous"
#define ELSEWHERE "EXISTS (SELECT 1 FROM sync_file_local o FORCE INDEX (content) WHERE o.tree='%s' AND o.content=m.content) OR EXISTS (SELECT 1 FROM sync_trash o FORCE INDEX (content) WHERE o.tree='%s' AND o.content=m.content)"

/* Is the column that content? */
static bool
is_value(const struct db_rows *r, size_t column, const struct what *w)
{
	return db_rows_len(r, column) == w->len && (w->len == 0 || memcmp(db_rows_text(r, column), w->bytes, w->len) == 0);
}

/* The row's columns begin with those of LOCAL_COLUMNS; of a path that is not here the path and nothing. */
static bool
read_row(const struct db_rows *r, struct listing_row *out, struct err *e)
{
	memset(out, 0, sizeof *out);
	if (db_rows_len(r, 0) != LISTING_ID || !what_read(&out->s.here, db_rows_text(r, 2), db_rows_len(r, 2)) ||
	    !what_read(&out->s.base, db_rows_text(r, 3), db_rows_len(r, 3)) ||
	    !what_read(&out->s.listed, db_rows_text(r, 12) == NULL ? "" : db_rows_text(r, 12), db_rows_len(r, 12)))
		return err_set(e, ERR_DB, "a row of a tree's list is not as an agent writes it");
	memcpy(out->id, db_rows_text(r, 0), LISTING_ID);
	out->path = db_rows_text(r, 1);
	out->len = db_rows_len(r, 1);
	out->facts = (struct file_facts){ .type = what_kind(&out->s.here), .size = db_rows_u64(r, 4), .ino = db_rows_u64(r, 7), .mode = (unsigned)db_rows_u64(r, 8),
		.uid = (unsigned)db_rows_u64(r, 9), .gid = (unsigned)db_rows_u64(r, 10) };
	out->facts.mtime_ns = strtoll(db_rows_text(r, 5), NULL, 10);
	out->facts.ctime_ns = strtoll(db_rows_text(r, 6), NULL, 10);
	out->link_here = db_rows_text(r, 11);
	out->s.row = db_rows_text(r, 12) != NULL;
	out->size = db_rows_u64(r, 13);
	out->mtime_ns = db_rows_text(r, 14) == NULL ? 0 : strtoll(db_rows_text(r, 14), NULL, 10);
	out->mode = (unsigned)db_rows_u64(r, 15) & 0777U;
	out->link = db_rows_text(r, 16);
	out->node = db_rows_text(r, 17);
	out->s.unseen = (db_rows_u64(r, 21) & OWN_TOLD) != 0 && !is_value(r, 18, &out->s.here) && !is_value(r, 19, &out->s.here);
	out->chmodded = (db_rows_u64(r, 21) & OWN_CHMODDED) != 0;
	out->here = db_rows_u64(r, 20) != 0;
	out->elsewhere = db_rows_u64(r, 22) != 0;
	out->failed = db_rows_u64(r, 23) != 0;
	return true;
}

/* A page at a time: sql has one '?' for the tree and one for the key it begins after. */
static bool
visit_pages(struct listing *l, const char *sql, listing_visit *visit, void *arg, struct err *e)
{
	unsigned char last[LISTING_ID] = { 0 };
	size_t last_len = 0, n = LISTING_PAGE;
	bool ok = true;

	while (ok && n == LISTING_PAGE) {
		struct db_rows *rows = NULL;
		bool more = false;

		n = 0;
		ok = db_query(l->db, sql, DB_ARGS(db_text(l->tree), db_bytes(last, last_len)), &rows, e);
		while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
			struct listing_row row;

			n++;
			ok = read_row(rows, &row, e);
			if (ok) {
				memcpy(last, row.id, LISTING_ID);
				last_len = LISTING_ID;
				ok = visit(arg, &row, e);
			}
		}
		db_rows_free(rows);
	}
	return ok;
}

static void
put_looks(struct buf *sql, const struct listing_looks *k)
{
	buf_str(sql, "LEFT(m.content,1) IN ('f','d') AND (l.mode<>");
	if (k->listed_mode)
		buf_str(sql, "m.mode&511");
	else
		buf_fmt(sql, "IF(LEFT(m.content,1)='f',%s%u,%s%u)", k->file_mode == 0 ? "m.mode&511+" : "", k->file_mode, k->dir_mode == 0 ? "m.mode&511+" : "", k->dir_mode);
	if (k->own_uid)
		buf_fmt(sql, " OR l.uid<>%u", k->uid);
	if (k->own_gid)
		buf_fmt(sql, " OR l.gid<>%u", k->gid);
	buf_char(sql, ')');
}

/* Of what stands here, or did. */
static void
put_unlike_here(struct listing *l, struct buf *here, const struct listing_looks *looks, const unsigned char *ids, size_t n)
{
	buf_fmt(here, "SELECT " LOCAL_COLUMNS ", " LISTED_COLUMNS ", 1, l.own, " ELSEWHERE ", l.state='failed' FROM sync_file_local l FORCE INDEX (PRIMARY) LEFT JOIN %s m FORCE INDEX (PRIMARY) ON m.path_id=l.path_id"
	    " WHERE l.tree=? AND l.path_id>?", l->tree, l->tree, buf_cstr(&l->table));
	if (ids != NULL)
		put_ids(here, " AND l.path_id IN (", ids, n);
	buf_str(here, " AND (m.path_id IS NULL OR l.content<>m.content OR l.base<>m.content OR (");
	put_looks(here, looks);
	buf_fmt(here, ")) ORDER BY l.path_id LIMIT %d", LISTING_PAGE);
}

/* Of what the list has and nobody has here. */
static void
put_unlike_away(struct listing *l, struct buf *away, const unsigned char *ids, size_t n)
{
	buf_fmt(away, "SELECT m.path_id, m.path, '', '', 0, 0, 0, 0, 0, 0, 0, NULL, " LISTED_COLUMNS ", 0, 0, " ELSEWHERE ", 0 FROM %s m FORCE INDEX (PRIMARY)"
	    " LEFT JOIN sync_file_local l FORCE INDEX (PRIMARY) ON l.tree=? AND l.path_id=m.path_id WHERE m.path_id>?", l->tree, l->tree, buf_cstr(&l->table));
	if (ids != NULL)
		put_ids(away, " AND m.path_id IN (", ids, n);
	buf_fmt(away, " AND l.path_id IS NULL AND m.content<>'' ORDER BY m.path_id LIMIT %d", LISTING_PAGE);
}

bool
listing_unlike_of(struct listing *l, const struct listing_looks *looks, const unsigned char *ids, size_t n, listing_visit *visit, void *arg, struct err *e)
{
	struct buf here, away;
	bool ok;

	if (n == 0)
		return true;
	buf_init(&here, IDS_SQL_MAX);
	buf_init(&away, IDS_SQL_MAX);
	put_unlike_here(l, &here, looks, ids, n);
	put_unlike_away(l, &away, ids, n);
	ok = buf_check(&here, "a statement", e) && buf_check(&away, "a statement", e) && visit_pages(l, buf_cstr(&here), visit, arg, e) &&
	    visit_pages(l, buf_cstr(&away), visit, arg, e);
	buf_free(&here);
	buf_free(&away);
	return ok;
}

bool
listing_unlike(struct listing *l, const struct listing_looks *looks, listing_visit *visit, void *arg, struct err *e)
{
	struct buf here, away;
	bool ok;

	buf_init(&here, SQL_MAX);
	buf_init(&away, SQL_MAX);
	put_unlike_here(l, &here, looks, NULL, 0);
	put_unlike_away(l, &away, NULL, 0);
	ok = buf_check(&here, "a statement", e) && buf_check(&away, "a statement", e) && visit_pages(l, buf_cstr(&here), visit, arg, e) &&
	    visit_pages(l, buf_cstr(&away), visit, arg, e);
	buf_free(&here);
	buf_free(&away);
	return ok;
}

bool
listing_leaving(struct listing *l, listing_visit *visit, void *arg, struct err *e)
{
	const char *table = buf_cstr(&l->table);
	struct buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_fmt(&sql, "SELECT " LOCAL_COLUMNS ", " LISTED_COLUMNS ", 1, l.own, 0, 0 FROM sync_file_local l FORCE INDEX (PRIMARY) JOIN %s m FORCE INDEX (PRIMARY) ON m.path_id=l.path_id WHERE l.tree=? AND l.path_id>?"
	    " AND LEFT(l.content,1)='f' AND l.base=l.content AND m.content='' AND EXISTS (SELECT 1 FROM %s o FORCE INDEX (content) WHERE o.content=l.content) ORDER BY l.path_id LIMIT %d",
	    table, table, LISTING_PAGE);
	ok = buf_check(&sql, "a statement", e) && visit_pages(l, buf_cstr(&sql), visit, arg, e);
	buf_free(&sql);
	return ok;
}

/* What of the looks is compared with the list's: the mode, or nothing. */
static void
put_mode(struct buf *sql, const struct listing_looks *k, const char *mode)
{
	buf_fmt(sql, "CASE LEFT(content,1) WHEN 'f' THEN %s WHEN 'd' THEN %s ELSE '' END", k->listed_mode || k->file_mode == 0 ? mode : "''",
	    k->listed_mode || k->dir_mode == 0 ? mode : "''");
}

/* And what needs no list to be seen. */
static void
put_wrong(struct buf *sql, const struct listing_looks *k)
{
	buf_str(sql, "base<>content OR content=''");
	if (!k->listed_mode && k->file_mode != 0)
		buf_fmt(sql, " OR (LEFT(content,1)='f' AND mode<>%u)", k->file_mode);
	if (!k->listed_mode && k->dir_mode != 0)
		buf_fmt(sql, " OR (LEFT(content,1)='d' AND mode<>%u)", k->dir_mode);
	if (k->own_uid)
		buf_fmt(sql, " OR (LEFT(content,1) IN ('f','d') AND uid<>%u)", k->uid);
	if (k->own_gid)
		buf_fmt(sql, " OR (LEFT(content,1) IN ('f','d') AND gid<>%u)", k->gid);
}

static void
put_text(struct buf *sql, const struct listing_looks *k, const char *mode)
{
	buf_str(sql, "(CONCAT(path_id,content,");
	put_mode(sql, k, mode);
	buf_str(sql, "))");
}

/* Two checksums of 32 bits for each path. Their exclusive or alone would be blind for two paths whose contents change places;
 * that of their products is not. With the first ones beside it, a difference that is not shown is one in 2^64. The text is
 * put together three times: a user variable that holds it does so from a connection's second question on. */
static void
put_sums(struct buf *sql, const struct listing_looks *k, const char *mode)
{
	buf_str(sql, "SELECT COUNT(*), IFNULL(BIT_XOR(CRC32");
	put_text(sql, k, mode);
	buf_str(sql, "*CRC32C");
	put_text(sql, k, mode);
	buf_str(sql, "),0), IFNULL(BIT_XOR(CRC32");
	put_text(sql, k, mode);
	buf_str(sql, "),0)");
}

/* Each row is read once, in the order in which it lies there. */
static bool
compare_sums(struct listing *l, const struct listing_looks *k, bool *alike, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT h.*, m.* FROM (");
	put_sums(&sql, k, "mode");
	buf_str(&sql, ", IFNULL(SUM(");
	put_wrong(&sql, k);
	buf_str(&sql, "),0) FROM sync_file_local WHERE tree=?) h, (");
	put_sums(&sql, k, "mode&511");
	buf_fmt(&sql, " FROM %s WHERE content<>'') m", buf_cstr(&l->table));
	ok = buf_check(&sql, "a statement", e) && db_query(l->db, buf_cstr(&sql), DB_ARGS(db_text(l->tree)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		*alike = db_rows_u64(rows, 3) == 0 && db_rows_u64(rows, 0) == db_rows_u64(rows, 4) && db_rows_u64(rows, 1) == db_rows_u64(rows, 5) &&
		    db_rows_u64(rows, 2) == db_rows_u64(rows, 6);
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

bool
listing_is_alike(struct listing *l, const struct listing_looks *k, bool *alike, struct err *e)
{
	char looks[LOOKS_MAX];
	struct calm calm;

	*alike = false;
	if (!digest_has_quick(l->db))
		return true;
	(void)snprintf(looks, sizeof looks, "%d %o %o %d %u %d %u", k->listed_mode, k->file_mode, k->dir_mode, k->own_uid, k->uid, k->own_gid, k->gid);
	if (!calm_read(l->db, l->conf, l->of, looks, &calm, e))
		return false;
	*alike = calm.known;
	return calm.known || (compare_sums(l, k, alike, e) && (!*alike || calm_note(l->db, l->of, &calm, e)));
}

static bool
stop_at_first(void *arg, const struct listing_row *row, struct err *e)
{
	(void)row;
	*(bool *)arg = true;
	return err_set(e, ERR_STOPPED, "stopped");
}

bool
listing_is_unlike(struct listing *l, const struct listing_looks *looks, bool *any, struct err *e)
{
	bool alike;

	*any = false;
	if (!listing_is_alike(l, looks, &alike, e))
		return false;
	if (alike)
		return true;
	if (listing_unlike(l, looks, stop_at_first, any, e))
		return true;
	if (!*any || e->code != ERR_STOPPED)
		return false;
	err_clear(e); /* what ended the search early is nobody's trouble */
	return true;
}

/* x'..',x'..') of contents. */
static void
put_contents(struct buf *sql, const struct what *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_str(sql, i == 0 ? "x'" : ",x'");
		buf_hex(sql, c[i].bytes, c[i].len);
		buf_char(sql, '\'');
	}
	buf_char(sql, ')');
}

bool
listing_wanting(struct listing *l, const struct what *c, size_t n, listing_visit *visit, void *arg, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, IDS_SQL_MAX);
	buf_str(&sql, "SELECT m.path_id, m.path, IFNULL(l.content,''), IFNULL(l.base,''), IFNULL(l.size,0), IFNULL(l.mtime_ns,0), IFNULL(l.ctime_ns,0), IFNULL(l.ino,0),"
	    " IFNULL(l.mode,0), IFNULL(l.uid,0), IFNULL(l.gid,0), l.link, " LISTED_COLUMNS ", l.path_id IS NOT NULL, IFNULL(l.own,0), 0, IFNULL(l.state='failed',0)");
	buf_fmt(&sql, " FROM %s m FORCE INDEX (content) LEFT JOIN sync_file_local l FORCE INDEX (PRIMARY) ON l.tree=? AND l.path_id=m.path_id WHERE m.path_id>? AND m.content IN (", buf_cstr(&l->table));
	put_contents(&sql, c, n);
	buf_fmt(&sql, " AND (l.path_id IS NULL OR l.content<>m.content) ORDER BY m.path_id LIMIT %d", LISTING_PAGE);
	ok = buf_check(&sql, "a statement", e) && visit_pages(l, buf_cstr(&sql), visit, arg, e);
	buf_free(&sql);
	return ok;
}

/* A path at which the content lies, by a statement that asks for tree and content. */
static bool
find_path(struct listing *l, const char *sql, const struct what *c, struct buf *path, bool *found, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*found = false;
	buf_reset(path);
	ok = db_query(l->db, sql, DB_ARGS(db_text(l->tree), db_bytes(c->bytes, c->len)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more) {
		buf_put(path, db_rows_text(rows, 0), db_rows_len(rows, 0));
		*found = true;
	}
	db_rows_free(rows);
	return ok && buf_check(path, "a path", e);
}

bool
listing_find(struct listing *l, const struct what *c, struct buf *path, bool *found, struct err *e)
{
	return find_path(l, "SELECT path FROM sync_file_local WHERE tree=? AND content=? LIMIT 1", c, path, found, e);
}

bool
listing_having(struct listing *l, const struct what *c, size_t n, listing_visit *visit, void *arg, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;
	struct buf sql;

	buf_init(&sql, IDS_SQL_MAX);
	buf_fmt(&sql, "SELECT l.path, l.content FROM sync_file_local l FORCE INDEX (content) WHERE l.tree=? AND EXISTS (SELECT 1 FROM %s m FORCE INDEX (content) WHERE m.content=l.content)"
	    " AND l.content IN (", buf_cstr(&l->table));
	put_contents(&sql, c, n);
	ok = buf_check(&sql, "a statement", e) && db_query(l->db, buf_cstr(&sql), DB_ARGS(db_text(l->tree)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct listing_row row = { .path = db_rows_text(rows, 0), .len = db_rows_len(rows, 0) };

		ok = (what_read(&row.s.listed, db_rows_text(rows, 1), db_rows_len(rows, 1)) || err_set(e, ERR_DB, "a row of a tree's list is not as an agent writes it")) &&
		    visit(arg, &row, e);
	}
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* --- telling --- */

bool
listing_tell(struct listing *l, const struct listing_row *row, const char *node, struct err *e)
{
	const struct what *c = &row->s.here;
	bool gone = c->len == 0;
	char t[3][NUMBER_MAX];

	if (!bulk_add(l->tell,
		(const struct db_arg[TELL_VALUES]){ db_bytes(row->id, LISTING_ID), db_bytes(row->path, row->len), db_bytes(c->bytes, c->len),
		    number(t[0], what_kind(c) == 'f' ? row->facts.size : 0), signed_number(t[1], gone ? 0 : row->facts.mtime_ns), number(t[2], gone ? 0 : row->facts.mode & 0777U),
		    row->link_here == NULL ? db_null() : db_bytes(row->link_here, strlen(row->link_here)), db_text(node),
		    db_bytes(row->s.base.bytes, row->s.base.len), db_bytes(row->s.listed.bytes, row->s.listed.len) }, e))
		return false;
	gather(&l->own, row->id);
	return l->own.n < LISTING_PAGE || listing_tell_flush(l, e);
}

bool
listing_tell_flush(struct listing *l, struct err *e)
{
	if (bulk_rows(l->tell) == 0)
		return over_gathered(l, sql_agree, &l->agree, e);
	if (!db_begin(l->db, e))
		return false;
	if (run(l->tell, e) && over_gathered(l, sql_own, &l->own, e) && over_gathered(l, sql_agree, &l->agree, e) && db_commit(l->db, e))
		return true;
	db_rollback(l->db);
	return false;
}

/* --- counting --- */

static bool
count_one(struct listing *l, const char *sql, uint64_t *a, uint64_t *b, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = strchr(sql, '?') == NULL ? db_query(l->db, sql, DB_NO_ARGS, &rows, e) : db_query(l->db, sql, DB_ARGS(db_text(l->tree)), &rows, e);
	ok = ok && db_rows_next(rows, &more, e);
	if (ok && more) {
		*a = db_rows_u64(rows, 0);
		if (b != NULL)
			*b = db_rows_u64(rows, 1);
	}
	db_rows_free(rows);
	return ok;
}

bool
listing_count(struct listing *l, struct listing_counts *out, struct err *e)
{
	const char *table = buf_cstr(&l->table);
	struct buf listed, deletions, gone, missing, changed, edited;
	uint64_t changed_bytes = 0;
	bool ok;

	memset(out, 0, sizeof *out);
	buf_init(&listed, SQL_MAX);
	buf_init(&deletions, SQL_MAX);
	buf_init(&gone, SQL_MAX);
	buf_init(&missing, SQL_MAX);
	buf_init(&changed, SQL_MAX);
	buf_init(&edited, SQL_MAX);
	buf_fmt(&listed, "SELECT COUNT(*), IFNULL(SUM(size),0) FROM %s WHERE LEFT(content,1)='f'", table);
	buf_fmt(&deletions, "SELECT COUNT(*) FROM sync_file_local l FORCE INDEX (PRIMARY) LEFT JOIN %s m FORCE INDEX (PRIMARY) ON m.path_id=l.path_id WHERE l.tree=? AND LEFT(l.content,1)='f'"
	    " AND IFNULL(m.content,'')='' AND NOT EXISTS (SELECT 1 FROM %s o FORCE INDEX (content) WHERE o.content=l.content)", table, table);
	buf_fmt(&gone, "SELECT COUNT(*) FROM %s m FORCE INDEX (PRIMARY) JOIN sync_file_local l FORCE INDEX (PRIMARY) ON l.tree=? AND l.path_id=m.path_id WHERE LEFT(m.content,1)='f'"
	    " AND l.content='' AND NOT EXISTS (SELECT 1 FROM sync_file_local o FORCE INDEX (content) WHERE o.tree=l.tree AND o.content=m.content)", table);
	buf_fmt(&missing, "SELECT COUNT(*), IFNULL(SUM(m.size),0) FROM %s m FORCE INDEX (PRIMARY) LEFT JOIN sync_file_local l FORCE INDEX (PRIMARY) ON l.tree=? AND l.path_id=m.path_id WHERE LEFT(m.content,1)='f'"
	    " AND l.path_id IS NULL", table);
	buf_fmt(&changed, "SELECT COUNT(*), IFNULL(SUM(m.size),0) FROM sync_file_local l FORCE INDEX (PRIMARY) JOIN %s m FORCE INDEX (PRIMARY) ON m.path_id=l.path_id WHERE l.tree=? AND LEFT(m.content,1)='f' AND l.content<>m.content AND l.content<>''", table);
	buf_fmt(&edited, "SELECT COUNT(*) FROM sync_file_local l FORCE INDEX (PRIMARY) JOIN %s m FORCE INDEX (PRIMARY) ON m.path_id=l.path_id WHERE l.tree=? AND LEFT(m.content,1)='f' AND l.content<>m.content AND l.content<>'' AND l.base=m.content", table);
	ok = buf_check(&listed, "a statement", e) && buf_check(&deletions, "a statement", e) && buf_check(&gone, "a statement", e) && buf_check(&missing, "a statement", e) && buf_check(&changed, "a statement", e) && buf_check(&edited, "a statement", e) &&
	    count_one(l, "SELECT COUNT(*), IFNULL(SUM(size),0) FROM sync_file_local WHERE tree=? AND LEFT(content,1)='f'", &out->here, &out->here_bytes, e) &&
	    count_one(l, buf_cstr(&listed), &out->listed, &out->listed_bytes, e) && count_one(l, buf_cstr(&deletions), &out->deletions, NULL, e) &&
	    count_one(l, buf_cstr(&gone), &out->gone, NULL, e) &&
	    count_one(l, buf_cstr(&missing), &out->missing, &out->to_come, e) && count_one(l, buf_cstr(&changed), &out->changed, &changed_bytes, e) &&
	    count_one(l, buf_cstr(&edited), &out->edited, NULL, e) &&
	    count_one(l, "SELECT COUNT(*) FROM sync_file_local WHERE tree=? AND state<>'ok'", &out->failed, NULL, e);
	out->to_come += changed_bytes;
	buf_free(&listed);
	buf_free(&deletions);
	buf_free(&gone);
	buf_free(&missing);
	buf_free(&changed);
	buf_free(&edited);
	return ok;
}

/* --- trash --- */

bool
listing_trashed(struct listing *l, const struct what *c, const char *name, struct err *e)
{
	return what_kind(c) != 'f' || db_exec(l->db, "INSERT INTO sync_trash (tree, content, name) VALUES (?,?,?)",
	    DB_ARGS(db_text(l->tree), db_bytes(c->bytes, c->len), db_bytes(name, strlen(name))), e);
}

bool
listing_find_trashed(struct listing *l, const struct what *c, struct buf *name, bool *found, struct err *e)
{
	return find_path(l, "SELECT name FROM sync_trash WHERE tree=? AND content=? ORDER BY id DESC LIMIT 1", c, name, found, e);
}

bool
listing_forget_trashed(struct listing *l, int64_t older_s, struct err *e)
{
	return db_exec(l->db, "DELETE FROM sync_trash WHERE tree=? AND name LIKE '.sync/trash/%' AND moved_at < SYSDATE(6) - INTERVAL ? SECOND",
	    DB_ARGS(db_text(l->tree), db_u64((uint64_t)older_s)), e);
}

/* --- rows that name files --- */

static bool
names(struct listing *l, const struct conf *conf, const char *table, const struct conf_file_column *file, const char *path, bool *named, struct err *e)
{
	struct buf sql, one, two;
	uint64_t n = 0;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_init(&one, SQL_MAX);
	buf_init(&two, SQL_MAX);
	buf_fmt(&one, "%s%s", file->prefix, path);
	buf_fmt(&two, "%s/%s", file->prefix, path);
	buf_str(&sql, "SELECT 1 FROM ");
	template_table(&sql, conf->database.name, table);
	buf_str(&sql, " WHERE ");
	db_quote_name(&sql, file->column);
	buf_str(&sql, " IN (?,?) LIMIT 1");
	ok = buf_check(&sql, "a statement", e) && buf_check(&one, "a path", e) && buf_check(&two, "a path", e) &&
	    db_number(l->db, buf_cstr(&sql), DB_ARGS(db_text_n(one.data, one.len), db_text_n(two.data, two.len)), &n, NULL, e);
	buf_free(&sql);
	buf_free(&one);
	buf_free(&two);
	*named = n > 0;
	return ok || e->code == ERR_DB_MISSING; /* no such table here: nothing in it names the file */
}

bool
listing_is_named(struct listing *l, const struct conf *conf, const char *path, bool *named, struct err *e)
{
	struct conf_file_column file;

	*named = false;
	for (size_t i = 0; i < conf->ntables && !*named; i++) {
		if (conf->tables[i].file[0] == '\0' || !conf_file_column(conf, conf->tables[i].name, &file) || file.wait_ms == 0 || strcmp(file.tree->name, l->tree) != 0)
			continue;
		/* No text of a column holds what is no UTF-8. */
		if (line_is_utf8(path, strlen(path)) && !names(l, conf, conf->tables[i].name, &file, path, named, e))
			return false;
	}
	return true;
}

/* --- blocks --- */

bool
listing_put_blocks(struct listing *l, const struct content *d, struct err *e)
{
	return db_exec(l->db, "INSERT IGNORE INTO sync_blob (hash, size, blocks) VALUES (?,?,?)",
	    DB_ARGS(db_bytes(d->id, CONTENT_BYTES), db_u64(d->size), db_bytes(d->blocks, d->nblocks * CONTENT_BYTES)), e);
}

bool
listing_get_blocks(struct listing *l, const unsigned char hash[CONTENT_BYTES], uint64_t size, struct content *out, bool *found, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	*found = false;
	memcpy(out->id, hash, CONTENT_BYTES);
	out->size = size;
	out->nblocks = content_count(size);
	if (out->nblocks <= 1) {
		*found = true;
		return true;
	}
	ok = db_query(l->db, "SELECT blocks FROM sync_blob WHERE hash=? AND size=?", DB_ARGS(db_bytes(hash, CONTENT_BYTES), db_u64(size)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more && db_rows_len(rows, 0) == out->nblocks * CONTENT_BYTES) {
		out->blocks = malloc(out->nblocks * CONTENT_BYTES);
		if (out->blocks == NULL)
			ok = err_set(e, ERR_MEMORY, "out of memory for a file's blocks");
		else
			memcpy(out->blocks, db_rows_text(rows, 0), out->nblocks * CONTENT_BYTES);
		*found = ok;
	}
	db_rows_free(rows);
	return ok;
}

/* --- all that is known --- */

static void
read_known(const struct db_rows *rows, struct known_file *f)
{
	memset(f, 0, sizeof *f);
	memcpy(f->id, db_rows_text(rows, 0), LISTING_ID);
	f->ino = db_rows_u64(rows, 1);
	f->size = db_rows_u64(rows, 2);
	f->mtime_ns = strtoll(db_rows_text(rows, 3), NULL, 10);
	f->ctime_ns = strtoll(db_rows_text(rows, 4), NULL, 10);
	f->mode = (unsigned)db_rows_u64(rows, 5);
	f->uid = (unsigned)db_rows_u64(rows, 6);
	f->gid = (unsigned)db_rows_u64(rows, 7);
	f->kind = db_rows_len(rows, 8) == 0 ? '\0' : db_rows_text(rows, 8)[0];
	f->racy = db_rows_u64(rows, 9) != 0;
	f->failed = db_rows_u64(rows, 10) != 0;
}

/* Takes rows over. */
static bool
gather_known(struct db_rows *rows, struct known_file **out, size_t *n, struct err *e)
{
	struct known_file *list = NULL;
	size_t have = 0, cap = 0;
	bool more = false, ok;

	while ((ok = db_rows_next(rows, &more, e)) && more) {
		if (have == cap) {
			size_t room = cap == 0 ? 1024 : cap * 2;
			struct known_file *grown = realloc(list, room * sizeof *list);

			if (grown == NULL) {
				ok = err_set(e, ERR_MEMORY, "out of memory for a tree's files");
				break;
			}
			list = grown;
			cap = room;
		}
		read_known(rows, &list[have++]);
	}
	db_rows_free(rows);
	if (!ok) {
		free(list);
		return false;
	}
	*out = list;
	*n = have;
	return true;
}

#define KNOWN_COLUMNS "path_id, ino, size, mtime_ns, ctime_ns, mode, uid, gid, LEFT(content,1), racy, state<>'ok'"

bool
listing_known(struct listing *l, struct known_file **out, size_t *n, struct err *e)
{
	static const char sql[] = "SELECT " KNOWN_COLUMNS " FROM sync_file_local WHERE tree='%s' ORDER BY path_id";
	char text[sizeof sql + CONF_NAME_MAX];
	struct db_rows *rows = NULL;

	/* A tree's name has letters, digits and _ alone (conf). */
	(void)snprintf(text, sizeof text, sql, l->tree);
	return db_stream(l->db, text, strlen(text), &rows, e) && gather_known(rows, out, n, e);
}

bool
listing_known_of(struct listing *l, const unsigned char *ids, size_t nids, struct known_file **out, size_t *n, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	*out = NULL;
	*n = 0;
	if (nids == 0)
		return true;
	buf_init(&sql, IDS_SQL_MAX);
	put_ids(&sql, "SELECT " KNOWN_COLUMNS " FROM sync_file_local FORCE INDEX (PRIMARY) WHERE tree=? AND path_id IN (", ids, nids);
	buf_str(&sql, " ORDER BY path_id");
	ok = buf_check(&sql, "a statement", e) && db_query(l->db, buf_cstr(&sql), DB_ARGS(db_text(l->tree)), &rows, e) && gather_known(rows, out, n, e);
	buf_free(&sql);
	return ok;
}
