/* Statements over sync_conflict and the list. Rows of a list are judged whole, so a chmod and an edit that do not know of each
 * other are a conflict of rows; but a version whose content the other side had before adds nothing but permissions. */
#include "files/apart.h"

#include <string.h>

#include "capture/template.h"

enum {
	SQL_MAX = 16 * 1024,
	NEWS = 1000 /* conflicts that may be new since the last look, which mends all */
};

/* A side's row, and a column of it as the list has it. */
#define ROW(side) "CONVERT(c." side "_row USING utf8mb4)"
#define KEPT(side, column) \
	"IF(JSON_TYPE(JSON_EXTRACT(" ROW(side) ",'$." column "'))='ARRAY', CAST(FROM_BASE64(JSON_VALUE(" ROW(side) ",'$." column "[0]')) AS BINARY)," \
	" CAST(JSON_VALUE(" ROW(side) ",'$." column "') AS BINARY))"
/* Equal as they are kept; of bytes alone, the server takes the quotes off one of two texts. */
#define SAME(a, x, b, y) "JSON_EXTRACT(" ROW(a) ",'$." x "')=JSON_EXTRACT(" ROW(b) ",'$." y "')"
/* Did the side of editor know the content of the other one, and put another in its place? */
#define KNEW(editor, other) "(NOT " SAME(editor, "content", other, "content") " AND (" SAME(editor, "base", other, "content") " OR " SAME(editor, "previous", other, "content") "))"
/* Of this list, after a number, and undecided. Those that files/tell keeps are of contents; they have one time for both sides. */
#define OF_LIST \
	" c.id>? AND c.table_name=? AND c.resolved_at IS NULL AND c.local_row IS NOT NULL AND c.remote_row IS NOT NULL AND c.local_changed_at<>c.remote_changed_at"
/* The version that stands is still the one of side, and no deletion. */
#define STANDS(side) " AND m.content=" KEPT(side, "content") " AND m.content<>'' AND c.verdict=IF('" side "'='local','keep','apply')"
#define JOINED "UPDATE sync_conflict c JOIN %s m ON m.path_id=" KEPT("local", "path_id") " SET "

/* The chmod stands: the edit gets its content back. */
#define EDIT_BACK(stands, editor) \
	JOINED "m.content=" KEPT(editor, "content") ", m.size=" KEPT(editor, "size") ", m.mtime_ns=" KEPT(editor, "mtime_ns") ", m.link=" KEPT(editor, "link") \
	", m.base=" KEPT(stands, "content") ", m.previous=" KEPT(stands, "content") ", m.node=" KEPT(editor, "node") " WHERE" OF_LIST STANDS(stands) \
	" AND " KNEW(editor, stands) " AND " KEPT(editor, "content") "<>''"
/* The edit stands: the chmod gets its permissions back. */
#define MODE_BACK(stands, other) JOINED "m.mode=" KEPT(other, "mode") " WHERE" OF_LIST STANDS(stands) " AND " KNEW(stands, other)

/* An edit that was given back somewhere else, dated there, stands over what its author has done since: that is his own. */
#define GONE_ON(stands, author) \
	"(" KEPT(stands, "node") "=" KEPT(author, "node") " AND NOT " SAME(stands, "content", author, "content") \
	" AND c." author "_origin=" KEPT(author, "node") " AND c." stands "_origin<>" KEPT(stands, "node") ")"
#define LATER_BACK(stands, author) \
	JOINED "m.mode=IF(" KEPT(author, "content") "='', 0, m.mode), m.content=" KEPT(author, "content") ", m.size=" KEPT(author, "size") \
	", m.mtime_ns=" KEPT(author, "mtime_ns") ", m.link=" KEPT(author, "link") ", m.previous=" KEPT(stands, "content") " WHERE" OF_LIST STANDS(stands) " AND " GONE_ON(stands, author)

static const char *const sql_mend[] = { LATER_BACK("local", "remote"), LATER_BACK("remote", "local"), EDIT_BACK("local", "remote"), EDIT_BACK("remote", "local"),
	MODE_BACK("local", "remote"), MODE_BACK("remote", "local") };

static const char sql_forget[] = "DELETE c FROM sync_conflict c WHERE" OF_LIST " AND (" SAME("local", "content", "remote", "content") " OR " KNEW("local", "remote") " OR " KNEW("remote", "local")
	" OR " GONE_ON("local", "remote") " OR " GONE_ON("remote", "local") ")";

static bool
mend_all(struct tree *t, uint64_t after, const char *listing, struct err *e)
{
	struct buf table, sql;
	bool ok = true;

	buf_init(&table, SQL_MAX);
	buf_init(&sql, SQL_MAX);
	template_table(&table, t->conf->database.name, listing);
	for (size_t i = 0; ok && i < sizeof sql_mend / sizeof sql_mend[0]; i++) {
		const char *at = strstr(sql_mend[i], "%s");

		buf_reset(&sql);
		buf_put(&sql, sql_mend[i], (size_t)(at - sql_mend[i]));
		buf_str(&sql, buf_cstr(&table));
		buf_str(&sql, at + 2);
		ok = buf_check(&sql, "a statement", e) && db_exec(t->db, buf_cstr(&sql), DB_ARGS(db_u64(after), db_text(listing)), e);
	}
	buf_free(&table);
	buf_free(&sql);
	return ok && db_exec(t->db, sql_forget, DB_ARGS(db_u64(after), db_text(listing)), e);
}

static bool
newest(struct tree *t, uint64_t *id, struct err *e)
{
	*id = 0;
	return db_number(t->db, "SELECT IFNULL(MAX(id),0) FROM sync_conflict", DB_NO_ARGS, id, NULL, e);
}

static bool
any_after(struct tree *t, uint64_t after, const char *listing, bool *any, struct err *e)
{
	static const char sql_any[] = "SELECT 1 FROM sync_conflict c WHERE" OF_LIST " LIMIT 1";
	uint64_t found = 0;
	bool ok = db_number(t->db, sql_any, DB_ARGS(db_u64(after), db_text(listing)), &found, NULL, e);

	*any = found != 0;
	return ok;
}

static bool
mend_after(struct tree *t, uint64_t after, struct err *e)
{
	char listing[CONF_LISTING_MAX];
	bool any;

	conf_tree_listing(t->t, listing);
	if (!any_after(t, after, listing, &any, e))
		return false;
	if (!any)
		return true;
	if (!db_begin(t->db, e))
		return false;
	if (mend_all(t, after, listing, e) && db_commit(t->db, e))
		return true;
	db_rollback(t->db);
	return false;
}

/* --- public --- */

bool
apart_mend(struct tree *t, struct err *e)
{
	return t->mode != TREE_TWO_WAY || mend_after(t, 0, e);
}

bool
apart_mend_news(struct tree *t, uint64_t *upto, struct err *e)
{
	*upto = 0;
	if (t->mode != TREE_TWO_WAY)
		return true;
	return newest(t, upto, e) && mend_after(t, *upto > NEWS ? *upto - NEWS : 0, e);
}

bool
apart_since(struct tree *t, uint64_t upto, bool *any, struct err *e)
{
	char listing[CONF_LISTING_MAX];

	conf_tree_listing(t->t, listing);
	return any_after(t, upto, listing, any, e);
}
