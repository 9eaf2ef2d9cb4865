/* Orders stand in the database: agent --pull is one of several processes that work on the folder. */
#include "files/order.h"

#include <string.h>

enum {
	WANT_LASTS_S = 5 /* as long as a call to every peer takes */
};

static const char pull[] = "pull", want[] = "want", come[] = "come";

static const char sql_put[] =
    "INSERT INTO sync_order (tree, what, until) VALUES (?,?,SYSDATE(6) + INTERVAL ? SECOND)"
    " ON DUPLICATE KEY UPDATE until=VALUES(until)";

bool
order_pull(struct db *db, const char *tree, struct err *e)
{
	return db_exec(db, sql_put, DB_ARGS(db_text(tree), db_text(pull), db_u64(ORDER_LASTS_S)), e);
}

bool
order_end(struct db *db, const char *tree, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_order WHERE tree=? AND what=?",
	    DB_ARGS(db_text(tree), db_text(pull)), e);
}

/* Is there an order of the folder for which sql, which asks for tree and what, finds a row? */
static bool
is_any(struct db *db, const char *sql, const char *tree, const char *what, bool *yes, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(db, sql, DB_ARGS(db_text(tree), db_text(what)), &n, NULL, e);

	*yes = n > 0;
	return ok;
}

bool
order_stands(struct db *db, const char *tree, bool *yes, struct err *e)
{
	return is_any(db, "SELECT 1 FROM sync_order WHERE tree=? AND what=? AND until > SYSDATE(6)",
	    tree, pull, yes, e);
}

bool
order_want(struct db *db, const char *tree, struct err *e)
{
	return db_exec(db, sql_put, DB_ARGS(db_text(tree), db_text(want), db_u64(WANT_LASTS_S)), e);
}

bool
order_wants(struct db *db, const char *tree, bool *yes, struct err *e)
{
	return is_any(db, "SELECT 1 FROM sync_order WHERE tree=? AND what<>? AND until > SYSDATE(6)"
	    " LIMIT 1", tree, come, yes, e);
}

bool
order_come(struct db *db, const char *tree, struct err *e)
{
	return db_exec(db, sql_put, DB_ARGS(db_text(tree), db_text(come), db_u64(ORDER_LASTS_S)), e);
}

bool
order_calls(struct db *db, bool *wants, bool *comes, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, "SELECT what FROM sync_order WHERE until > SYSDATE(6)", DB_NO_ARGS, &rows, e);
	*wants = *comes = false;
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		bool is_come = strcmp(db_rows_text(rows, 0), come) == 0;

		*wants = *wants || !is_come;
		*comes = *comes || is_come;
	}
	db_rows_free(rows);
	if (!ok || !*comes)
		return ok;
	return db_exec(db, "DELETE FROM sync_order WHERE what=?", DB_ARGS(db_text(come)), e);
}
