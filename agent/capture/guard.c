/* Guarding the app's triggers on the server. Lives here: which trigger is to be guarded, replacing it in
 * place, what stands in the way. Not here: the text (capture/wrap), our own triggers (capture/trigger). */
#include "capture/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "capture/wrap.h"

enum {
	CONNECTION_LOST = 2013 /* the client library's CR_SERVER_LOST: the connection is given up */
};

/* In the order in which they fire; ours are among them, since a place is told by a neighbour. The server finds
 * a database by EVENT_OBJECT_SCHEMA; asked for TRIGGER_SCHEMA it reads those of all databases. What costs is
 * that it parses every trigger, about 25 us each. */
static const char sql_list[] =
    "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, LEFT(ACTION_STATEMENT, ?), RIGHT(ACTION_STATEMENT, ?)"
    " FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA=?"
    " ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER";

struct app_trigger {
	char *table;
	char *name;
	char event[24]; /* "BEFORE INSERT" */
	bool ours;
	bool guarded; /* begins as a guarded one */
	bool whole;   /* and ends as one */
	char token[SCHEMA_TOKEN_LEN + 1];
};

struct list {
	struct app_trigger *items;
	size_t n;
};

static void
list_free(struct list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].table);
		free(list->items[i].name);
	}
	free(list->items);
	memset(list, 0, sizeof *list);
}

static bool
list_add(struct list *list, const struct db_rows *rows, struct err *e)
{
	struct app_trigger *t = &list->items[list->n++];

	t->table = strdup(db_rows_text(rows, 0));
	t->name = strdup(db_rows_text(rows, 1));
	if (t->table == NULL || t->name == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the list of triggers");
	(void)snprintf(t->event, sizeof t->event, "%s %s", db_rows_text(rows, 2), db_rows_text(rows, 3));
	t->ours = body_is_our_trigger(t->name);
	t->guarded = !t->ours && wrap_begins(db_rows_text(rows, 4), t->token);
	t->whole = t->guarded && wrap_ends(db_rows_text(rows, 5));
	return true;
}

static bool
list_read(struct db *db, const struct conf *conf, struct list *list, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(list, 0, sizeof *list);
	if (!db_query(db, sql_list, DB_ARGS(db_u64(WRAP_HEAD), db_u64(WRAP_TAIL), db_text(conf->database.name)), &rows, e))
		return false;
	list->items = calloc(db_rows_count(rows) + 1, sizeof *list->items);
	ok = list->items != NULL || err_set(e, ERR_MEMORY, "out of memory for the list of triggers");
	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = list_add(list, rows, e);
	db_rows_free(rows);
	if (!ok)
		list_free(list);
	return ok;
}

/* --- what is wanted --- */

static struct table *
usable_table(const struct catalog *c, const char *name)
{
	const struct table *t = catalog_table(c, name);

	return t == NULL || (t->problem != NULL && !t->undecided) ? NULL : &c->tables[t - c->tables];
}

static bool
wants_guard(const struct conf *conf, const struct catalog *c, const struct app_trigger *t)
{
	return usable_table(c, t->table) != NULL && strcmp(conf_app_triggers(conf, t->table), "guard") == 0;
}

static bool
is_right(const struct app_trigger *t, bool guard, const char *token)
{
	return guard ? t->whole && token != NULL && strcmp(t->token, token) == 0 : !t->guarded;
}

/* The table is not replicated until a person has done what remedy says. */
static bool
set_problem(struct table *t, const char *problem, const char *remedy, struct err *e)
{
	free(t->problem);
	free(t->remedy);
	t->problem = strdup(problem);
	t->remedy = strdup(remedy);
	t->undecided = true;
	return (t->problem != NULL && t->remedy != NULL) || err_set(e, ERR_MEMORY, "out of memory for a table's problem");
}

/* The app's triggers among n of one table are named; false: there are none. */
static bool
join_names(const struct app_trigger *items, size_t n, char names[GUARD_NAMES_MAX])
{
	size_t used = 0;

	names[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (items[i].ours)
			continue;
		if (used + strlen(items[i].name) + sizeof ", , ..." > GUARD_NAMES_MAX) {
			(void)snprintf(names + used, GUARD_NAMES_MAX - used, ", ...");
			break;
		}
		used += (size_t)snprintf(names + used, GUARD_NAMES_MAX - used, "%s%s", used == 0 ? "" : ", ", items[i].name);
	}
	return names[0] != '\0';
}

static bool
set_undecided(struct table *t, const char *names, struct err *e)
{
	char problem[GUARD_NAMES_MAX + 80], remedy[512];

	(void)snprintf(problem, sizeof problem, "has triggers of the app and agent.conf does not say what to do with them: %s", names);
	(void)snprintf(remedy, sizeof remedy, "add \"app_triggers = guard\" (they fire for the app alone, and what they write is replicated) or"
					      " \"app_triggers = run\" (they also fire when a change arrives) to a section [table %s] of agent.conf, or to [sync] for all tables", t->name);
	return set_problem(t, problem, remedy, e);
}

/* What was said before is judged anew: the app may have dropped its triggers. */
static void
forget_problems(struct catalog *c)
{
	for (size_t i = 0; i < c->ntables; i++) {
		struct table *t = &c->tables[i];

		t->quiet = true;
		if (!t->undecided)
			continue;
		free(t->problem);
		free(t->remedy);
		t->problem = t->remedy = NULL;
		t->undecided = false;
	}
}

static bool
judge(const struct conf *conf, struct catalog *c, const struct list *list, struct err *e)
{
	char names[GUARD_NAMES_MAX];

	forget_problems(c);
	for (size_t i = 0, n; i < list->n; i += n) {
		const char *name = list->items[i].table;
		struct table *t = usable_table(c, name);

		for (n = 1; i + n < list->n && strcmp(list->items[i + n].table, name) == 0;)
			n++;
		if (t == NULL || !join_names(&list->items[i], n, names))
			continue;
		t->quiet = strcmp(conf_app_triggers(conf, name), "guard") == 0;
		if (conf_app_triggers(conf, name)[0] == '\0' && !set_undecided(t, names, e))
			return false;
	}
	return true;
}

/* --- replacing one trigger --- */

/* A trigger keeps settings of the session that makes it. Ours are put back from user variables. */
static const char sql_keep[] =
    "SET @tandem_mode=@@sql_mode, @tandem_client=@@character_set_client, @tandem_connection=@@collation_connection, @tandem_wait=@@lock_wait_timeout";
static const char sql_back[] =
    "SET sql_mode=@tandem_mode, character_set_client=@tandem_client, collation_connection=@tandem_connection, lock_wait_timeout=@tandem_wait";

struct original {
	struct buf text; /* CREATE ..., in the trigger's own character set */
	char mode[1024];
	char charset[64], collation[64], database_collation[64];
};

struct change {
	struct db *db;
	const struct conf *conf;
	const struct list *list;
	size_t at;	   /* of the trigger in list */
	const char *token; /* guard it; NULL: take the guard off */
	bool hopeless;	   /* no other try will do, a person must look */
	struct original was;
	struct wrap parts;
};

static bool
read_settings(struct change *ch, struct err *e)
{
	static const char sql[] = "SELECT SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION FROM information_schema.TRIGGERS"
				  " WHERE EVENT_OBJECT_SCHEMA=? AND EVENT_OBJECT_TABLE=? AND TRIGGER_NAME=?";
	const struct app_trigger *t = &ch->list->items[ch->at];
	struct original *was = &ch->was;
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(ch->db, sql, DB_ARGS(db_text(ch->conf->database.name), db_text(t->table), db_text(t->name)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && !more)
		ok = err_set(e, ERR_DB_BUSY, "it was dropped meanwhile");
	if (ok && db_rows_len(rows, 0) >= sizeof was->mode)
		ok = err_set(e, ERR_LIMIT, "its sql_mode is longer than %zu bytes", sizeof was->mode);
	if (ok) {
		(void)snprintf(was->mode, sizeof was->mode, "%s", db_rows_text(rows, 0));
		(void)snprintf(was->charset, sizeof was->charset, "%s", db_rows_text(rows, 1));
		(void)snprintf(was->collation, sizeof was->collation, "%s", db_rows_text(rows, 2));
		(void)snprintf(was->database_collation, sizeof was->database_collation, "%s", db_rows_text(rows, 3));
	}
	db_rows_free(rows);
	return ok;
}

/* The CREATE statement, byte for byte as the app sent it. */
static bool
read_text(struct change *ch, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SHOW CREATE TRIGGER ");
	template_table(&sql, ch->conf->database.name, ch->list->items[ch->at].name);
	ok = buf_check(&sql, "a statement", e) && db_query(ch->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	buf_reset(&ch->was.text);
	if (ok && (!more || db_rows_text(rows, 2) == NULL))
		ok = err_set(e, ERR_DB_ACCESS, "its text may not be read: grant TRIGGER on its table to [database] user");
	if (ok)
		buf_put(&ch->was.text, db_rows_text(rows, 2), db_rows_len(rows, 2));
	db_rows_free(rows);
	buf_free(&sql);
	return ok && buf_check(&ch->was.text, "a trigger", e);
}

/* A name in the character set that the trigger's statement is sent in. */
static bool
put_name(struct change *ch, const char *name, struct buf *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;
	char sql[256];

	(void)snprintf(sql, sizeof sql, "SELECT CONVERT(q USING %s), CONVERT(CONVERT(q USING %s) USING utf8mb4)=BINARY q FROM (SELECT CONCAT('`',REPLACE(?,'`','``'),'`') q) n",
	    ch->was.charset, ch->was.charset);
	ok = db_query(ch->db, sql, DB_ARGS(db_text(name)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && (!more || db_rows_u64(rows, 1) == 0)) {
		ch->hopeless = true;
		ok = err_set(e, ERR_DB, "the name of trigger %s cannot be written in its character set %s", name, ch->was.charset);
	}
	if (ok)
		buf_put(out, db_rows_text(rows, 0), db_rows_len(rows, 0));
	db_rows_free(rows);
	return ok;
}

/* CREATE OR REPLACE moves a trigger to the end: it has to stand before the one that follows it now. */
static bool
put_place(struct change *ch, struct buf *place, struct err *e)
{
	const struct app_trigger *t = &ch->list->items[ch->at], *next = t + 1;

	if (ch->at + 1 == ch->list->n || strcmp(next->table, t->table) != 0 || strcmp(next->event, t->event) != 0)
		return true;
	buf_str(place, "PRECEDES ");
	return put_name(ch, next->name, place, e) && buf_check(place, "a statement", e);
}

/* The server takes the database's own collation from the database, so it cannot be given back. */
static bool
check_collation(struct change *ch, struct err *e)
{
	uint64_t same = 0;

	if (!db_number(ch->db, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME=? AND DEFAULT_COLLATION_NAME=?",
		DB_ARGS(db_text(ch->conf->database.name), db_text(ch->was.database_collation)), &same, NULL, e))
		return false;
	if (same > 0)
		return true;
	ch->hopeless = true;
	return err_set(e, ERR_DB, "it was made while the database's collation was %s, and would behave otherwise now: make it anew", ch->was.database_collation);
}

/* One try. The text is read again each time: the app may have replaced its trigger while we waited. */
static bool
replace(struct change *ch, struct err *e)
{
	struct buf sql, place;
	struct err back;
	const char *why;
	bool ok;

	buf_init(&sql, DB_SQL_MAX);
	buf_init(&place, 1024);
	ok = read_settings(ch, e) && check_collation(ch, e) && put_place(ch, &place, e) && read_text(ch, e);
	if (ok && (why = wrap_read(buf_cstr(&ch->was.text), ch->was.text.len, &ch->parts)) != NULL) {
		ch->hopeless = true;
		ok = err_set(e, ERR_DB, "it %s: make it anew", why);
	}
	if (!ok)
		goto out;
	wrap_put(&sql, ch->was.text.data, &ch->parts, buf_cstr(&place), strstr(ch->was.mode, "IGNORE_SPACE") != NULL, ch->token);
	ok = buf_check(&sql, "a trigger", e) && db_exec(ch->db, sql_keep, DB_NO_ARGS, e) &&
	    db_exec(ch->db, "SET lock_wait_timeout=?, sql_mode=?, character_set_client=?, collation_connection=?",
		DB_ARGS(db_u64(GUARD_WAIT_S), db_text(ch->was.mode), db_text(ch->was.charset), db_text(ch->was.collation)), e);
	ok = ok && db_exec_text(ch->db, sql.data, sql.len, e);
	/* A connection that keeps another sql_mode or character set would write wrong values. */
	if (!db_exec(ch->db, sql_back, DB_NO_ARGS, &back))
		ok = db_fail(ch->db, CONNECTION_LOST, "the session's settings could not be put back", e);
out:
	buf_free(&sql);
	buf_free(&place);
	return ok;
}

/* What a person can do about a refusal. */
static bool
explain(const struct change *ch, struct err *e)
{
	const struct app_trigger *t = &ch->list->items[ch->at];

	if (e->db_errno == 1227)
		(void)err_prefix(e, "it belongs to another account: run --install (or --uninstall) with --admin-user, or GRANT SET USER ON *.* (SUPER before MariaDB 10.5) to [database] user");
	else if (e->db_errno == 1419)
		(void)err_prefix(e, "the binary log is on: run this with --admin-user, or SET GLOBAL log_bin_trust_function_creators=1 (needed for this command alone)");
	return err_prefix(e, "trigger %s of the app on table %s", t->name, t->table);
}

static bool
change_one(struct change *ch, int tries, struct err *e)
{
	bool ok = false;

	buf_init(&ch->was.text, DB_SQL_MAX);
	for (int try = 0; !ok && try < tries; try++) {
		ok = replace(ch, e);
		if (!ok && e->code != ERR_DB_BUSY)
			break;
	}
	buf_free(&ch->was.text);
	return ok || explain(ch, e);
}

/* --- all of them --- */

struct work {
	struct db *db;
	const struct conf *conf;
	struct catalog *c; /* NULL: nothing is to be guarded */
	const char *token;
	bool only_set; /* take no guard away */
	int tries;
	struct guard_report *report;
};

/* A table with a trigger that a person must see to is not replicated; anything else stops the work. */
static bool
set_aside(const struct work *w, const struct change *ch, struct err *e)
{
	struct table *t = w->c == NULL ? NULL : usable_table(w->c, ch->list->items[ch->at].table);
	char problem[ERR_MSG_MAX + 80];

	if (t == NULL || (!ch->hopeless && (e->code == ERR_DB_LOST || e->code == ERR_DB_BUSY || e->code == ERR_MEMORY || e->code == ERR_LIMIT)))
		return false;
	(void)snprintf(problem, sizeof problem, "has a trigger of the app that cannot be %s: %s", ch->token != NULL ? "guarded" : "given back", e->msg);
	err_clear(e);
	return set_problem(t, problem, "mend that and run agent --install again, or exclude the table", e);
}

static bool
is_work(const struct work *w, const struct app_trigger *t)
{
	bool guard = w->c != NULL && wants_guard(w->conf, w->c, t);

	return !t->ours && !is_right(t, guard, w->token) && (guard || !w->only_set);
}

static bool
make_right(const struct work *w, const struct list *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct app_trigger *t = &list->items[i];
		bool guard = w->c != NULL && wants_guard(w->conf, w->c, t);
		struct change ch = { .db = w->db, .conf = w->conf, .list = list, .at = i, .token = guard ? w->token : NULL };

		if (!is_work(w, t)) {
			w->report->right += !t->ours && guard;
			continue;
		}
		if (!change_one(&ch, w->tries, e)) {
			if (!set_aside(w, &ch, e))
				return false;
			continue;
		}
		w->report->set += guard;
		w->report->removed += !guard;
		if (w->only_set)
			log_warning(NULL, "trigger %s of the app on table %s was new or changed: it is guarded now", t->name, t->table);
	}
	return true;
}

/* Names and places must be what they were; somebody else's DDL in between is the only way. */
static bool
check_order(const struct work *w, const struct list *before, struct err *e)
{
	struct list now = { 0 };
	bool ok = list_read(w->db, w->conf, &now, e);

	for (size_t i = 0; ok && i < before->n; i++)
		if (i >= now.n || strcmp(now.items[i].name, before->items[i].name) != 0)
			ok = err_set(e, ERR_DB_BUSY, "the triggers of table %s were changed by somebody else meanwhile: run this again", before->items[i].table);
	list_free(&now);
	return ok;
}

/* A trigger's text names its table without the database, so the session must be there; and back again. */
static bool
make_right_there(const struct work *w, const struct list *list, struct err *e)
{
	char *home = NULL;
	struct db_rows *rows = NULL;
	struct err back;
	bool more = false, ok;

	ok = db_query(w->db, "SELECT DATABASE()", DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more && db_rows_text(rows, 0) != NULL && (home = strdup(db_rows_text(rows, 0))) == NULL)
		ok = err_set(e, ERR_MEMORY, "out of memory for a name");
	db_rows_free(rows);
	ok = ok && db_use(w->db, w->conf->database.name, e) && make_right(w, list, e) && check_order(w, list, e);
	if (home != NULL && !db_use(w->db, home, &back))
		ok = db_fail(w->db, CONNECTION_LOST, "the session could not go back to its database", e);
	free(home);
	return ok;
}

static bool
work_through(const struct work *w, struct err *e)
{
	struct list list = { 0 };
	size_t n = 0;
	bool ok;

	memset(w->report, 0, sizeof *w->report);
	ok = list_read(w->db, w->conf, &list, e) && (w->c == NULL || judge(w->conf, w->c, &list, e));
	for (size_t i = 0; ok && i < list.n; i++)
		n += is_work(w, &list.items[i]);
	/* With nothing to do nothing is asked: a running agent comes here every second. */
	ok = ok && (n > 0 ? make_right_there(w, &list, e) : make_right(w, &list, e));
	list_free(&list);
	return ok;
}

bool
guard_install(struct db *db, const struct conf *conf, struct catalog *c, const struct node_identity *node, struct guard_report *report, struct err *e)
{
	const struct work w = { .db = db, .conf = conf, .c = c, .token = node->token, .tries = GUARD_TRIES, .report = report };

	return work_through(&w, e);
}

bool
guard_refresh(struct db *db, const struct conf *conf, struct catalog *c, const struct node_identity *node, struct err *e)
{
	struct guard_report report;
	const struct work w = { .db = db, .conf = conf, .c = c, .token = node->token, .only_set = true, .tries = 1, .report = &report };

	if (c->guarded_ms == c->checked_ms)
		return true;
	if (!work_through(&w, e))
		return false;
	c->guarded_ms = c->checked_ms;
	return true;
}

bool
guard_judge(struct db *db, const struct conf *conf, struct catalog *c, struct err *e)
{
	struct list list = { 0 };
	bool ok = list_read(db, conf, &list, e) && judge(conf, c, &list, e);

	list_free(&list);
	return ok;
}

bool
guard_verify(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, guard_wrong_fn *wrong, void *arg, struct err *e)
{
	struct list list = { 0 };
	bool ok = list_read(db, conf, &list, e);

	for (size_t i = 0; ok && i < list.n; i++) {
		const struct app_trigger *t = &list.items[i];
		bool guard = wants_guard(conf, c, t);

		if (!t->ours && !is_right(t, guard, node == NULL ? NULL : node->token))
			wrong(t->table, t->name, guard, arg);
	}
	list_free(&list);
	return ok;
}

bool
guard_waiting(struct db *db, const struct conf *conf, const struct node_identity *node, guard_waiting_fn *waiting, void *arg, struct err *e)
{
	struct list list = { 0 };
	bool ok = list_read(db, conf, &list, e);

	for (size_t i = 0; ok && i < list.n; i++) {
		const struct app_trigger *t = &list.items[i];
		const char *chosen = conf_app_triggers(conf, t->table);

		if (!t->ours && conf_wants_table(conf, t->table) && strcmp(chosen, "run") != 0 && (chosen[0] == '\0' || !is_right(t, true, node->token)))
			waiting(t->table, t->name, chosen[0] != '\0', arg);
	}
	list_free(&list);
	return ok;
}

bool
guard_remove_all(struct db *db, const struct conf *conf, size_t *removed, struct err *e)
{
	struct guard_report report;
	const struct work w = { .db = db, .conf = conf, .tries = GUARD_TRIES, .report = &report };
	bool ok = work_through(&w, e);

	*removed = report.removed;
	return ok;
}

bool
guard_count(struct db *db, const struct conf *conf, size_t *n, struct err *e)
{
	struct list list = { 0 };
	bool ok = list_read(db, conf, &list, e);

	*n = 0;
	for (size_t i = 0; ok && i < list.n; i++)
		*n += list.items[i].guarded;
	list_free(&list);
	return ok;
}
