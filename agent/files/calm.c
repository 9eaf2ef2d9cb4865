/* InnoDB notes when a transaction that changed a table is committed, to the second, just before others see what it did
 * (UPDATE_TIME). A time that is some seconds old speaks for all that can be read now; a change from now on brings another
 * one. It is kept in memory: NULL after a start of the server until the next change. What is remembered is so, too
 * (ENGINE=MEMORY), since a clock may be set back. And it is not trusted for ever: what is wrong for a reason that nobody
 * has thought of is found within the hour. */
#include "files/calm.h"

#include <stdio.h>
#include <string.h>

enum {
	SETTLED_S = 10,	  /* longer than any commit takes between its time and its being seen */
	TRUSTED_S = 3600
};

static const char sql_read[] =
    "SELECT IFNULL(IF(GREATEST(n.listed, n.here) < SYSDATE() - INTERVAL ? SECOND, CONCAT_WS(' ', n.listed, n.here, ?), ''), ''), k.state FROM"
    " (SELECT (SELECT UPDATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA=? AND TABLE_NAME=?) AS listed,"
    " (SELECT UPDATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA=? AND TABLE_NAME='sync_file_local') AS here) n"
    " LEFT JOIN sync_tree_calm k ON k.tree=? AND k.noted_at BETWEEN SYSDATE(6) - INTERVAL ? SECOND AND SYSDATE(6)";

bool
calm_read(struct db *db, const struct conf *conf, const struct conf_tree *t, const char *looks, struct calm *out, struct err *e)
{
	struct db_rows *rows = NULL;
	char list[CONF_LISTING_MAX];
	bool more = false, ok;

	*out = (struct calm){ .known = false };
	conf_tree_listing(t, list);
	ok = db_query(db, sql_read, DB_ARGS(db_u64(SETTLED_S), db_text(looks), db_text(conf->database.name), db_text(list),
	    db_text(conf->database.sync_database), db_text(t->name), db_u64(TRUSTED_S)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more && db_rows_len(rows, 0) <= CALM_STATE_MAX) {
		(void)snprintf(out->state, sizeof out->state, "%s", db_rows_text(rows, 0));
		out->known = out->state[0] != '\0' && db_rows_text(rows, 1) != NULL && strcmp(db_rows_text(rows, 1), out->state) == 0;
	}
	db_rows_free(rows);
	return ok;
}

bool
calm_note(struct db *db, const struct conf_tree *t, const struct calm *c, struct err *e)
{
	return c->state[0] == '\0' || c->known ||
	    db_exec(db, "REPLACE INTO sync_tree_calm (tree, state) VALUES (?,?)", DB_ARGS(db_text(t->name), db_text(c->state)), e);
}
