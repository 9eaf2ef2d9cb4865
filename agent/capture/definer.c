/* Accounts that are gone. Lives here: finding them. Not here: making their triggers anew (capture/trigger). */
#include "capture/definer.h"

#include <string.h>

#include "base/conf.h"

static const char sql_of_all[] =
    "SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=? AND ROUTINE_NAME IN ('enqueue', 'table_ids')"
    " UNION SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=? AND TRIGGER_NAME LIKE 'tandem\\___\\_%'"
    " EXCEPT SELECT CONCAT(User, '@', Host) FROM mysql.global_priv";
static const char sql_of_routine[] =
    "SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=? AND ROUTINE_NAME='table_ids'";

static bool
put_all(struct db_rows *rows, struct buf *out, struct err *e)
{
	bool more = false, ok;

	while ((ok = db_rows_next(rows, &more, e)) && more)
		buf_fmt(out, "%s\n", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok && buf_check(out, "the accounts that are gone", e);
}

/* Does the routine of the account that installed run? A routine that is missing, or may not be called, tells
 * nothing. */
static bool
try_routine(struct db *db, const struct conf *conf, bool *gone, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool ok;

	buf_init(&sql, 1024);
	buf_str(&sql, "SELECT ");
	db_quote_name(&sql, conf->database.sync_database);
	buf_str(&sql, ".table_ids('')");
	ok = buf_check(&sql, "a statement", e) && db_query(db, buf_cstr(&sql), DB_NO_ARGS, &rows, e);
	db_rows_free(rows);
	buf_free(&sql);
	*gone = !ok && e->db_errno == DEFINER_GONE;
	if (!ok && db_is_lost(db))
		return false;
	err_clear(e);
	return true;
}

bool
definer_find_gone(struct db *db, const struct conf *conf, struct buf *out, struct err *e)
{
	const char *sync = conf->database.sync_database;
	struct db_rows *rows = NULL;
	bool gone;

	if (db_query(db, sql_of_all, DB_ARGS(db_text(sync), db_text(conf->database.name)), &rows, e))
		return put_all(rows, out, e);
	if (e->code != ERR_DB_ACCESS)
		return false;
	err_clear(e);
	if (!try_routine(db, conf, &gone, e))
		return false;
	return !gone || (db_query(db, sql_of_routine, DB_ARGS(db_text(sync)), &rows, e) && put_all(rows, out, e));
}

bool
definer_is_in(const struct buf *list, const char *account)
{
	size_t len = strlen(account);

	for (const char *at = buf_cstr(list); (at = strstr(at, account)) != NULL; at += len)
		if ((at == buf_cstr(list) || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

bool
definer_count(struct db *db, const struct conf *conf, const struct buf *list, uint64_t *n, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*n = 0;
	if (!db_query(db, "SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=? AND TRIGGER_NAME LIKE 'tandem\\___\\_%'", DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		*n += definer_is_in(list, db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}
