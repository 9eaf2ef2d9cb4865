/* Names in rows become ids of paths as in the list, so that either side is found by a key; the same rule as apply/attachment
 * reads a value by. */
#include "files/stray.h"

#include <string.h>

#include "base/buf.h"
#include "capture/template.h"

enum {
	SQL_MAX = 256 * 1024
};

/* Is there such a column here? Without --install of the application there is none. */
static bool
exists(struct db *db, const struct conf *conf, const char *table, const char *column, bool *yes, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(db, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? AND TABLE_NAME=? AND COLUMN_NAME=?",
	    DB_ARGS(db_text(conf->database.name), db_text(table), db_text(column)), &n, NULL, e);

	*yes = n > 0;
	return ok;
}

/* SELECT v (the value), id (of its path) of the rows that name a file. By bytes: a prefix has no collation. */
static void
put_names(struct buf *sql, const struct conf *conf, const char *table, const struct conf_file_column *file)
{
	size_t len = strlen(file->prefix);

	buf_fmt(sql, "SELECT v, UNHEX(LEFT(SHA2(IF(LEFT(r,1)='/',SUBSTRING(r,2),r),256),32)) AS id FROM (SELECT v, SUBSTRING(v,%zu) AS r FROM (SELECT CAST(CONVERT(", len + 1);
	db_quote_name(sql, file->column);
	buf_str(sql, " USING utf8mb4) AS BINARY) AS v FROM ");
	template_table(sql, conf->database.name, table);
	buf_fmt(sql, ") a WHERE LEFT(v,%zu)=x'", len);
	buf_hex(sql, file->prefix, len);
	buf_str(sql, "') b WHERE r<>''");
}

typedef bool each_fn(void *arg, const char *table, const struct conf_file_column *file, struct err *e);

/* The tables that name files of this folder. */
static bool
each_table(struct db *db, const struct conf *conf, const struct conf_tree *t, each_fn *visit, void *arg, struct err *e)
{
	for (size_t i = 0; i < conf->ntables; i++) {
		const char *table = conf->tables[i].name;
		struct conf_file_column file;
		bool there;

		if (conf->tables[i].file[0] == '\0' || !conf_file_column(conf, table, &file) || file.tree != t)
			continue;
		if (!exists(db, conf, table, file.column, &there, e) || (there && !visit(arg, table, &file, e)))
			return false;
	}
	return true;
}

/* --- files --- */

struct names {
	struct buf sql;
	const struct conf *conf;
	bool any;
};

static bool
add_names(void *arg, const char *table, const struct conf_file_column *file, struct err *e)
{
	struct names *n = arg;

	(void)e;
	buf_str(&n->sql, n->any ? " UNION SELECT id FROM (" : "SELECT id FROM (");
	n->any = true;
	put_names(&n->sql, n->conf, table, file);
	buf_str(&n->sql, ") x");
	return true;
}

/* HEAD, the files that no row names, TAIL. any: whether there is a table at all. */
static bool
put_files(struct db *db, const struct conf *conf, const struct conf_tree *t, struct buf *sql, bool *any, struct err *e)
{
	struct names n = { .conf = conf };
	bool ok;

	buf_init(&n.sql, SQL_MAX);
	ok = each_table(db, conf, t, add_names, &n, e) && buf_check(&n.sql, "a statement", e);
	buf_fmt(sql, " FROM sync_file_local l LEFT JOIN (%s) n ON n.id=l.path_id WHERE l.tree=? AND LEFT(l.content,1)='f' AND n.id IS NULL", buf_cstr(&n.sql));
	*any = n.any;
	buf_free(&n.sql);
	return ok && buf_check(sql, "a statement", e);
}

static bool
count_files(struct db *db, const struct conf *conf, const struct conf_tree *t, struct stray_counts *out, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT COUNT(*), IFNULL(SUM(l.size),0)");
	ok = put_files(db, conf, t, &sql, &out->known, e);
	if (ok && out->known) {
		ok = db_query(db, buf_cstr(&sql), DB_ARGS(db_text(t->name)), &rows, e) && db_rows_next(rows, &more, e);
		out->files = ok && more ? db_rows_u64(rows, 0) : 0;
		out->bytes = ok && more ? db_rows_u64(rows, 1) : 0;
		db_rows_free(rows);
	}
	buf_free(&sql);
	return ok;
}

/* --- rows --- */

static void
put_rows(struct buf *sql, const struct conf *conf, const char *table, const struct conf_file_column *file)
{
	buf_str(sql, " FROM (");
	put_names(sql, conf, table, file);
	buf_str(sql, ") n LEFT JOIN sync_file_local l FORCE INDEX (PRIMARY) ON l.tree=? AND l.path_id=n.id AND LEFT(l.content,1)='f' WHERE l.path_id IS NULL");
}

struct counting {
	struct db *db;
	const struct conf *conf;
	const struct conf_tree *tree;
	struct stray_counts *out;
};

static bool
count_rows(void *arg, const char *table, const struct conf_file_column *file, struct err *e)
{
	struct counting *c = arg;
	uint64_t n = 0;
	struct buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT COUNT(*)");
	put_rows(&sql, c->conf, table, file);
	ok = buf_check(&sql, "a statement", e) && db_number(c->db, buf_cstr(&sql), DB_ARGS(db_text(c->tree->name)), &n, NULL, e);
	buf_free(&sql);
	c->out->rows += n;
	return ok;
}

bool
stray_count(struct db *db, const struct conf *conf, const struct conf_tree *t, struct stray_counts *out, struct err *e)
{
	struct counting c = { db, conf, t, out };

	memset(out, 0, sizeof *out);
	return count_files(db, conf, t, out, e) && (!out->known || each_table(db, conf, t, count_rows, &c, e));
}

/* --- one by one --- */

struct listing {
	struct counting c;
	uint64_t most;
	stray_visit *visit;
	void *arg;
};

static bool
visit_rows(const struct listing *l, const char *table, struct buf *sql, struct err *e)
{
	const struct conf_tree *t = l->c.tree;
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = buf_check(sql, "a statement", e) && db_query(l->c.db, buf_cstr(sql), DB_ARGS(db_text(t->name), db_u64(l->most)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		const struct stray s = { .table = table, .text = db_rows_text(rows, 0), .len = db_rows_len(rows, 0), .bytes = db_rows_u64(rows, 1) };

		ok = l->visit(l->arg, &s, e);
	}
	db_rows_free(rows);
	return ok;
}

static bool
list_rows(void *arg, const char *table, const struct conf_file_column *file, struct err *e)
{
	const struct listing *l = arg;
	struct buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT n.v, 0");
	put_rows(&sql, l->c.conf, table, file);
	buf_str(&sql, " ORDER BY n.v LIMIT ?");
	ok = visit_rows(l, table, &sql, e);
	buf_free(&sql);
	return ok;
}

bool
stray_list(struct db *db, const struct conf *conf, const struct conf_tree *t, uint64_t most, stray_visit *visit, void *arg, struct err *e)
{
	struct listing l = { .c = { .db = db, .conf = conf, .tree = t }, .most = most, .visit = visit, .arg = arg };
	struct buf sql;
	bool known, ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT l.path, l.size");
	ok = put_files(db, conf, t, &sql, &known, e);
	buf_str(&sql, " ORDER BY l.path LIMIT ?");
	ok = ok && (!known || visit_rows(&l, NULL, &sql, e));
	buf_free(&sql);
	return ok && (!known || each_table(db, conf, t, list_rows, &l, e));
}
