/* The audit list: adding to it, reading it. Not here: the actions (app/action). */
#include "app/audit.h"

#include <string.h>

#include "wire/line.h"

bool
audit_add(struct db *db, const struct audit *a, struct err *e)
{
	return db_exec(db, "INSERT INTO sync_audit (caller, action, peer, subject, reason, records, error) VALUES (?, ?, ?, LEFT(?, 255), LEFT(?, 255), ?, LEFT(?, 512))",
		   DB_ARGS(db_text(a->caller), db_text(a->action), db_text(a->peer), db_text(a->subject), db_text(a->reason), db_u64(a->records), db_text(a->error)), e) &&
	    db_exec(db, "DELETE FROM sync_audit WHERE id + ? <= (SELECT * FROM (SELECT MAX(id) FROM sync_audit) m)", DB_ARGS(db_u64(AUDIT_KEPT)), e);
}

bool
audit_json(struct db *db, struct buf *out, struct err *e)
{
	static const char *const names[] = { "at", "caller", "action", "peer", "subject", "reason", "error" };
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT records, happened_at, caller, action, peer, subject, reason, error FROM sync_audit ORDER BY id DESC LIMIT ?",
		DB_ARGS(db_u64(AUDIT_SHOWN)), &rows, e))
		return false;
	buf_char(out, '[');
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		buf_fmt(out, "%s{\"records\":%s", out->data[out->len - 1] == '[' ? "" : ",", db_rows_text(rows, 0));
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
			line_member(out, names[i], db_rows_text(rows, i + 1), db_rows_len(rows, i + 1));
		buf_char(out, '}');
	}
	buf_char(out, ']');
	db_rows_free(rows);
	return ok;
}
