/* Installing, verifying and removing triggers. The texts come from capture/template. Triggers are
 * replaced in one statement, never dropped and created: writes in between would be lost. */
#include "capture/trigger.h"

#include <stdlib.h>
#include <string.h>

#include "capture/definer.h"

/* Every trigger of the database that has one of our names: table, name, body, mode, account; and between them the
 * app's BEFORE UPDATE triggers, in the order in which they run. */
static const char sql_ours[] =
    "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_STATEMENT, SQL_MODE, DEFINER FROM information_schema.TRIGGERS"
    " WHERE EVENT_OBJECT_SCHEMA=? AND (TRIGGER_NAME LIKE 'tandem\\___\\_%' OR (EVENT_MANIPULATION='UPDATE' AND ACTION_TIMING='BEFORE'))"
    " ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER";
/* As the server lists them, whatever the order they were given in. */
static const char trigger_sql_mode[] = "NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES";

struct found {
	char *table;
	char *name;
	char *body;
	char *sql_mode;
	char *definer;
	bool orphan;   /* its account is gone */
	bool followed; /* by a trigger of the app for BEFORE UPDATE */
	bool wanted;
};

struct found_list {
	struct found *items;
	size_t n;
};

static void
found_free(struct found_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].table);
		free(list->items[i].name);
		free(list->items[i].body);
		free(list->items[i].sql_mode);
		free(list->items[i].definer);
	}
	free(list->items);
}

static bool
found_read(struct db *db, const struct conf *conf, struct found_list *list, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = false;

	memset(list, 0, sizeof *list);
	if (!db_query(db, sql_ours, DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	list->items = calloc(db_rows_count(rows) + 1, sizeof *list->items);
	while (list->items != NULL && (ok = db_rows_next(rows, &more, e)) && more) {
		struct found *f = &list->items[list->n];

		if (!body_is_our_trigger(db_rows_text(rows, 1))) {
			if (list->n > 0 && strcmp(f[-1].table, db_rows_text(rows, 0)) == 0)
				f[-1].followed = true;
			continue;
		}
		list->n++;
		f->table = strdup(db_rows_text(rows, 0));
		f->name = strdup(db_rows_text(rows, 1));
		f->body = strdup(db_rows_text(rows, 2));
		f->sql_mode = strdup(db_rows_text(rows, 3));
		f->definer = strdup(db_rows_text(rows, 4));
		if (f->table == NULL || f->name == NULL || f->body == NULL || f->sql_mode == NULL || f->definer == NULL) {
			ok = err_set(e, ERR_MEMORY, "out of memory for the list of triggers");
			break;
		}
	}
	db_rows_free(rows);
	return ok;
}

/* The same, and whose accounts are gone. */
static bool
found_judge(struct db *db, const struct conf *conf, struct found_list *list, struct err *e)
{
	struct buf gone;
	bool ok;

	buf_init(&gone, DEFINER_LIST_MAX);
	ok = found_read(db, conf, list, e) && definer_find_gone(db, conf, &gone, e);
	for (size_t i = 0; ok && i < list->n; i++)
		list->items[i].orphan = definer_is_in(&gone, list->items[i].definer);
	buf_free(&gone);
	return ok;
}

static struct found *
found_find(struct found_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

struct scope {
	struct db *db;
	const struct conf *conf;
	const struct catalog *catalog;
	const struct node_identity *node;
	struct trigger_report *report;
	int tries; /* of one statement */
	const char *account; /* whose the triggers shall be; NULL: anybody's who is there */
	trigger_wrong_fn *wrong;
	void *wrong_arg;
};

/* For each table and event that needs one: the trigger there is (or NULL) and the body it should have. Of a
 * table that is not replicated, a parent of others, only the name is set. */
struct site {
	const struct table *table;
	enum capture_event event;
	struct found *found;
	const char *body;
};
typedef bool visit_fn(const struct scope *s, const struct site *site, struct err *e);

/* NULL when the trigger is as it should be, else what is wrong. */
static const char *
judge(const struct scope *s, const struct site *site)
{
	const struct found *f = site->found;

	if (f == NULL)
		return "missing";
	if (strcmp(f->table, site->table->name) != 0)
		return "on another table";
	if (strcmp(f->body, site->body) != 0)
		return "altered or out of date";
	if (strcmp(f->sql_mode, trigger_sql_mode) != 0)
		return "created under another sql_mode";
	if (f->orphan)
		return "of an account that is gone, so that the app's writes fail (error 1449)";
	if (s->account != NULL && strcmp(f->definer, s->account) != 0)
		return "of another account";
	/* What the app's triggers make of NEW decides whether children follow. */
	if (site->event == CAPTURE_BEFORE_UPDATE && f->followed)
		return "followed by a trigger of the app that may change the row";
	return NULL;
}

/* --- changing --- */

/* Run DDL on a table that the app may be busy with: short waits, several tries. */
static bool
run_ddl(struct db *db, const struct buf *sql, const char *table, int tries, struct err *e)
{
	for (int try = 0; try < tries; try++) {
		if (db_exec_text(db, sql->data, sql->len, e))
			return true;
		if (e->db_errno == 1419)
			(void)err_prefix(e, "the binary log is on: run --install with --admin-user, or SET GLOBAL log_bin_trust_function_creators=1 (needed for this command alone)");
		if (e->code != ERR_DB_BUSY)
			return err_prefix(e, "table %s", table);
	}
	return err_prefix(e, "table %s is in use by a long transaction; try again when it has ended", table);
}

static bool
put_trigger(const struct scope *s, const struct site *site, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	body_trigger(&sql, s->conf->database.name, site->table->name, site->event, site->body);
	ok = buf_check(&sql, "a trigger", e) && run_ddl(s->db, &sql, site->table->name, s->tries, e);
	buf_free(&sql);
	return ok;
}

static bool
drop_trigger(struct db *db, const struct conf *conf, const struct found *f, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "DROP TRIGGER IF EXISTS ");
	template_table(&sql, conf->database.name, f->name);
	ok = buf_check(&sql, "a statement", e) && run_ddl(db, &sql, f->table, TRIGGER_TRIES, e);
	buf_free(&sql);
	return ok;
}

static bool
visit_table(const struct scope *s, const struct table *t, bool own, struct found_list *list, visit_fn *visit, struct err *e)
{
	struct body_scope bodies = { s->catalog, s->conf->database.sync_database, s->node->token };
	char name[TEMPLATE_NAME_MAX];
	struct buf body;
	bool ok = true;

	buf_init(&body, TEMPLATE_SQL_MAX);
	for (size_t i = 0; ok && i < CAPTURE_EVENTS; i++) {
		struct found *f;

		buf_reset(&body);
		body_trigger_text(&body, &bodies, t->name, (enum capture_event)i, own);
		if (!(ok = buf_check(&body, "a trigger", e)) || body.len == 0)
			continue;
		body_trigger_name(t->name, (enum capture_event)i, name);
		f = found_find(list, name);
		if (f != NULL)
			f->wanted = true;
		ok = visit(s, &(struct site){ t, (enum capture_event)i, f, buf_cstr(&body) }, e);
	}
	buf_free(&body);
	return ok;
}

/* One that stands on another table (renamed, swapped) cannot be replaced from here; that table's writes are
 * not this one's. */
static bool
mend_one(const struct scope *s, const struct site *site, struct err *e)
{
	if (judge(s, site) == NULL)
		return true;
	if (site->found != NULL && strcmp(site->found->table, site->table->name) != 0 && !drop_trigger(s->db, s->conf, site->found, e))
		return false;
	return put_trigger(s, site, e);
}

static bool
install_one(const struct scope *s, const struct site *site, struct err *e)
{
	bool right = judge(s, site) == NULL;

	*(right ? &s->report->right : &s->report->installed) += 1;
	if (s->report->step != NULL)
		s->report->step(s->report, s->report->arg);
	return right || mend_one(s, site, e);
}

static bool
verify_one(const struct scope *s, const struct site *site, struct err *e)
{
	const char *what = judge(s, site);

	(void)e;
	if (what != NULL)
		s->wrong(site->table, what, s->wrong_arg);
	return true;
}

/* Are the table's own rows captured? One that waits for a decision stays as it was. */
static bool
is_captured(const struct table *t, struct found_list *list)
{
	char name[TEMPLATE_NAME_MAX];

	body_trigger_name(t->name, CAPTURE_INSERT, name);
	return t->problem == NULL || (t->undecided && found_find(list, name) != NULL);
}

/* Is it the first foreign key of a parent that is not replicated itself? */
static bool
is_bare_parent(const struct catalog *c, size_t key)
{
	const struct table *t = catalog_table(c, c->keys[key].parent);

	for (size_t i = 0; i < key; i++)
		if (strcmp(c->keys[i].parent, c->keys[key].parent) == 0)
			return false;
	return t == NULL || (t->problem != NULL && !t->undecided);
}

static bool
visit_all(const struct scope *s, struct found_list *list, visit_fn *visit, struct err *e)
{
	const struct catalog *c = s->catalog;

	for (size_t i = 0; i < c->ntables; i++) {
		const struct table *t = &c->tables[i];

		if ((t->problem == NULL || t->undecided) && !visit_table(s, t, is_captured(t, list), list, visit, e))
			return false;
	}
	for (size_t i = 0; i < c->nkeys; i++)
		if (is_bare_parent(c, i) && !visit_table(s, &(struct table){ .name = c->keys[i].parent }, false, list, visit, e))
			return false;
	return true;
}

/* Routines are made anew by every --install, so triggers are this account's as well: one that is dropped later
 * takes all of them or none. */
static bool
own_account(struct db *db, char **out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(db, "SELECT CURRENT_USER()", DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);

	if (ok && more && (*out = strdup(db_rows_text(rows, 0))) == NULL)
		ok = err_set(e, ERR_MEMORY, "out of memory for the list of triggers");
	db_rows_free(rows);
	return ok;
}

bool
trigger_install(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, struct trigger_report *report, struct err *e)
{
	struct scope s = { .db = db, .conf = conf, .catalog = c, .node = node, .report = report, .tries = TRIGGER_TRIES };
	struct found_list list = { 0 };
	char *account = NULL;
	bool ok;

	report->installed = report->right = report->removed = 0;
	ok = own_account(db, &account, e) && found_judge(db, conf, &list, e) &&
	    db_exec(db, "SET sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO', lock_wait_timeout=?", DB_ARGS(db_u64(TRIGGER_WAIT_S)), e) &&
	    (s.account = account, visit_all(&s, &list, install_one, e));
	for (size_t i = 0; ok && i < list.n; i++) {
		const struct table *t = catalog_table(c, list.items[i].table);

		if (list.items[i].wanted || (t != NULL && t->undecided))
			continue;
		ok = drop_trigger(db, conf, &list.items[i], e);
		report->removed++;
	}
	found_free(&list);
	free(account);
	return ok;
}

/* False: the connection is lost. */
static bool
mend_table(const struct scope *s, const struct table *t, struct found_list *list, int wait_s, struct err *e)
{
	if (t->problem != NULL || wait_s == TRIGGER_SKIP)
		return true;
	if (!db_exec(s->db, "SET lock_wait_timeout=?", DB_ARGS(db_u64((uint64_t)wait_s)), e) || !visit_table(s, t, t->ncolumns > 0 && is_captured(t, list), list, mend_one, e))
		return !db_is_lost(s->db); /* busy: it is found not right, and tried again */
	return true;
}

bool
trigger_mend(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, trigger_wait_fn *wait, void *arg, struct err *e)
{
	struct scope s = { .db = db, .conf = conf, .catalog = c, .node = node, .tries = 1 };
	struct found_list list = { 0 };
	bool ok;

	ok = found_judge(db, conf, &list, e) && db_exec(db, "SET sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'", DB_NO_ARGS, e);
	for (size_t i = 0; ok && i < c->ntables; i++)
		ok = mend_table(&s, &c->tables[i], &list, wait(&c->tables[i], arg), e);
	for (size_t i = 0; ok && i < c->nkeys; i++) {
		const struct table parent = { .name = c->keys[i].parent };

		if (is_bare_parent(c, i))
			ok = mend_table(&s, &parent, &list, wait(&parent, arg), e);
	}
	found_free(&list);
	return ok;
}

bool
trigger_remove_all(struct db *db, const struct conf *conf, size_t *removed, struct err *e)
{
	struct found_list list = { 0 };
	bool ok;

	*removed = 0;
	ok = found_read(db, conf, &list, e) && db_exec(db, "SET lock_wait_timeout=?", DB_ARGS(db_u64(TRIGGER_WAIT_S)), e);
	for (size_t i = 0; ok && i < list.n; i++, ++*removed)
		ok = drop_trigger(db, conf, &list.items[i], e);
	found_free(&list);
	return ok;
}

bool
trigger_count(struct db *db, const struct conf *conf, size_t *n, struct err *e)
{
	struct found_list list = { 0 };
	bool ok = found_read(db, conf, &list, e);

	*n = list.n;
	found_free(&list);
	return ok;
}

bool
trigger_verify(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, trigger_wrong_fn *wrong, void *arg, struct err *e)
{
	struct scope s = { .db = db, .conf = conf, .catalog = c, .node = node, .wrong = wrong, .wrong_arg = arg };
	struct found_list list = { 0 };
	bool ok;

	ok = found_judge(db, conf, &list, e) && visit_all(&s, &list, verify_one, e);
	found_free(&list);
	return ok;
}
