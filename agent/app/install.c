/* Putting the sync schema and the triggers in place, and taking them away. */
#include "app/install.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin.h"
#include "app/progress.h"
#include "app/survey.h"
#include "capture/guard.h"
#include "capture/trigger.h"
#include "change/renewal.h"
#include "files/tree.h"
#include "sync/drift.h"
#include "sync/parting.h"
#include "wire/line.h"

bool
install_judge_keys(struct catalog *c, struct err *e)
{
	for (size_t i = 0; i < c->ntables; i++) {
		struct table *t = &c->tables[i];

		if (t->problem == NULL && template_key_width(t) > CATALOG_KEY_BYTES) {
			t->problem = strdup("has a primary key that is too wide");
			t->remedy = strdup("use a shorter key, or add it to [sync] exclude");
		}
	}
	return closure_judge(c, e);
}

/* Can the account read it? A broken view is no question of privileges. */
static bool
is_readable(struct db *db, const struct conf *conf, const char *table, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT * FROM ");
	template_table(&sql, conf->database.name, table);
	buf_str(&sql, " LIMIT 0");
	ok = buf_check(&sql, "a statement", e) && db_exec_text(db, sql.data, sql.len, e);
	ok = ok || (e->code != ERR_DB_ACCESS && e->code != ERR_DB_LOST);
	buf_free(&sql);
	return ok;
}

/* A trigger runs with the agent's privileges: without SELECT the app's own writes would fail in it. Those of
 * parents read their children, replicated or not. */
static bool
check_readable(struct db *db, const struct conf *conf, const struct catalog *c, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; ok && i < c->ntables; i++)
		/* Columns and keys of a table that may not be read are not shown: it seems to have no key. */
		if (c->tables[i].problem == NULL || c->tables[i].nkey == 0)
			ok = is_readable(db, conf, c->tables[i].name, e);
	for (size_t i = 0; ok && i < c->nkeys; i++)
		if (c->keys[i].on_delete != FK_RESTRICT || c->keys[i].on_update != FK_RESTRICT)
			ok = is_readable(db, conf, c->keys[i].child, e) && is_readable(db, conf, c->keys[i].parent, e);
	return ok || err_prefix(e, "grant SELECT on every table to [database] user, or exclude the table");
}

static bool
enroll(struct db *db, const struct catalog *c, struct err *e)
{
	for (size_t i = 0; i < c->ntables; i++)
		if (c->tables[i].problem == NULL && !db_exec(db, "INSERT IGNORE INTO sync_table (table_name) VALUES (?)", DB_ARGS(db_text(c->tables[i].name)), e))
			return false;
	return true;
}

struct parting_print {
	const struct cli *cli;
	const struct conf *conf;
};

static void
print_parting(const char *peer, void *arg)
{
	const struct parting_print *to = arg;

	cli_say(to->cli, INK_PLAIN, "peer %s is no longer in %s: forgotten", peer, to->conf->path);
}

static bool
register_peers(struct db *db, const struct cli *cli, const struct conf *conf, const struct catalog *c, struct err *e)
{
	struct parting_print told = { cli, conf };
	bool news;

	if (cli->peer != NULL && conf_peer(conf, cli->peer) == NULL)
		return err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path);
	if (!parting_forget(db, conf, print_parting, &told, e))
		return false;
	for (size_t i = 0; i < conf->npeers; i++)
		if (!peer_register(db, conf->peers[i].name, e) || !parting_return(db, conf, conf->peers[i].name, e))
			return false;
	if (cli->peer == NULL)
		return true;
	if (!renewal_begin(db, c, cli->peer, NULL, &news, e))
		return false;
	cli_say(cli, INK_GOOD, "the link with peer %s begins anew: with the next drain all tables are compared and merged", cli->peer);
	return true;
}

static void
put_table_json(struct buf *out, const struct table *t)
{
	buf_str(out, out->len > 0 ? ",{\"table\":" : "{\"table\":");
	line_quote(out, t->name, strlen(t->name));
	buf_str(out, ",\"problem\":");
	line_quote(out, t->problem, strlen(t->problem));
	buf_str(out, ",\"remedy\":");
	line_quote(out, t->remedy, strlen(t->remedy));
	buf_char(out, '}');
}

/* What was done, on the app's database. */
struct done {
	struct trigger_report ours;
	struct guard_report apps;
	const struct buf *given; /* to the agent's account; NULL without an administrator */
};

/* What an administrator has given to the agent's account, one statement a line. */
static void
print_given(const struct cli *cli, const struct buf *given)
{
	if (given->len == 0 || cli->quiet || cli->json)
		return;
	(void)printf("%s:\n", cli->dry_run ? "the agent's account would be given" : "the agent's account has been given what it needs, and no more");
	for (const char *p = given->data; *p != '\0'; p += strcspn(p, "\n") + 1)
		(void)printf("  %.*s\n", (int)strcspn(p, "\n"), p);
}

static void
put_given_json(struct buf *out, const struct buf *given)
{
	if (given == NULL || given->len == 0)
		return;
	buf_str(out, ",\"given\":[");
	for (const char *p = given->data; *p != '\0'; p += strcspn(p, "\n") + 1) {
		buf_str(out, p == given->data ? "" : ",");
		line_quote(out, p, strcspn(p, "\n"));
	}
	buf_char(out, ']');
}

static void
print_counts(const struct cli *cli, const struct done *done, size_t usable, const struct buf *json, const char *given)
{
	const struct trigger_report *r = &done->ours;
	const struct guard_report *g = &done->apps;

	if (cli->json)
		(void)printf("{\"tables\":%zu,\"triggers_set\":%zu,\"triggers_right\":%zu,\"triggers_removed\":%zu,\"app_triggers_guarded\":%zu,"
			     "\"app_triggers_right\":%zu,\"app_triggers_restored\":%zu,\"not_replicated\":[%s]%s}\n",
		    usable, r->installed, r->right, r->removed, g->set, g->right, g->removed, buf_cstr(json), given);
	if (cli->dry_run)
		cli_say(cli, INK_PLAIN, "%zu tables can be replicated", usable);
	else
		cli_say(cli, INK_GOOD, "%zu tables are replicated (%zu triggers set, %zu were right, %zu removed)", usable, r->installed, r->right, r->removed);
	if (g->set + g->right + g->removed > 0)
		cli_say(cli, INK_PLAIN, "triggers of the app: %zu guarded now, %zu were guarded, %zu have their own text again", g->set, g->right, g->removed);
}

static void
print_tables(const struct cli *cli, const struct catalog *c, const struct done *done)
{
	size_t usable = 0;
	struct buf json, given;

	buf_init(&json, 16 * 1024 * 1024);
	buf_init(&given, 64 * 1024);
	put_given_json(&given, done->given);
	for (size_t i = 0; i < c->ntables; i++) {
		usable += c->tables[i].problem == NULL;
		if (c->tables[i].problem != NULL)
			put_table_json(&json, &c->tables[i]);
	}
	print_counts(cli, done, usable, &json, buf_cstr(&given));
	for (size_t i = 0; !cli->json && !cli->quiet && i < c->ntables; i++)
		if (c->tables[i].problem != NULL && !c->tables[i].view)
			cli_say(cli, INK_WARN, "not replicated: table %s %s: %s", c->tables[i].name, c->tables[i].problem, c->tables[i].remedy);
	buf_free(&json);
	buf_free(&given);
}

static void
print_wrong(const struct table *t, const char *what, void *arg)
{
	const struct cli *cli = arg;

	cli_say(cli, INK_PLAIN, "would mend: a trigger of table %s is %s", t->name, what);
}

static void
print_wrong_guard(const char *table, const char *trigger, bool guarded, void *arg)
{
	const struct cli *cli = arg;

	cli_say(cli, INK_PLAIN, "would %s trigger %s of the app on table %s", guarded ? "guard" : "take the guard off", trigger, table);
}

static bool
is_without_choice(const struct conf *conf, const struct table *t)
{
	return t->undecided && conf_app_triggers(conf, t->name)[0] == '\0';
}

/* What to write into agent.conf, ready to be copied. */
static void
print_choices(const struct cli *cli, const struct conf *conf, const struct catalog *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->ntables; i++) {
		const struct table *t = &c->tables[i];

		if (!is_without_choice(conf, t))
			continue;
		if (n++ == 0) {
			cli_say(cli, INK_PLAIN, "%s", "");
			cli_say(cli, INK_WARN, "The app's own triggers need a choice. guard: they fire for the app alone, and what they write is replicated.");
			cli_say(cli, INK_PLAIN, "run: they also fire when a change arrives. Add one of the two lines to [sync] of %s, for all tables, or for each:", conf->path);
		}
		cli_say(cli, INK_PLAIN, "%s", "");
		cli_say(cli, INK_STRONG, "[table %s]", t->name);
		cli_say(cli, INK_PLAIN, "app_triggers = guard");
		cli_say(cli, INK_PLAIN, "app_triggers = run");
	}
}

/* Tables that wait for a person because of the app's triggers: the others are replicated, but this is no
 * success. */
static bool
refuse_undecided(const struct cli *cli, const struct conf *conf, const struct catalog *c, struct err *e)
{
	char names[256] = "";
	size_t n = 0, used = 0;

	for (size_t i = 0; i < c->ntables; i++) {
		if (!c->tables[i].undecided)
			continue;
		if (used + strlen(c->tables[i].name) + 8 < sizeof names)
			used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", n == 0 ? "" : ", ", c->tables[i].name);
		n++;
	}
	if (n == 0)
		return true;
	if (!cli->json && !cli->quiet)
		print_choices(cli, conf, c);
	return err_set(e, ERR_HELD, "%zu table%s with triggers of the app %s not replicated: %s; --check says what to do", n, n == 1 ? "" : "s",
	    n == 1 ? "is" : "are", names);
}

/* What --install would do, changing nothing. */
static bool
preview(struct db *db, const struct cli *cli, const struct conf *conf, const struct admin *admin, struct err *e)
{
	const struct done none = { .given = &admin->given };
	struct node_identity node;
	struct catalog *c = NULL;
	struct cli shown = *cli;
	bool installed, ok;

	if (!db_use(db, conf->database.name, e))
		return err_prefix(e, "check [database] name");
	if (!catalog_read(db, conf, &c, e))
		return false;
	if (!install_judge_keys(c, e) || !guard_judge(db, conf, c, e)) {
		catalog_free(c);
		return false;
	}
	installed = schema_enter(db, conf, &node, e);
	ok = installed || e->code == ERR_DB_MISSING || e->code == ERR_DB_ACCESS;
	if (ok && !installed)
		cli_say(cli, INK_PLAIN, "would create the sync schema %s and the triggers of every table below", conf->database.sync_database);
	if (ok && installed)
		ok = trigger_verify(db, conf, c, &node, print_wrong, &shown, e);
	ok = ok && guard_verify(db, conf, c, installed ? &node : NULL, print_wrong_guard, &shown, e);
	if (ok)
		print_tables(cli, c, &none);
	ok = ok && refuse_undecided(cli, conf, c, e);
	catalog_free(c);
	return ok;
}

/* Remember how this server numbers new rows, and say where laptops would give one number twice. */
static bool
look_at_numbering(struct db *db, const struct cli *cli, const struct conf *conf, const struct catalog *c, struct err *e)
{
	struct numbering *peers = NULL, is;
	struct findings found = { 0 };
	enum numbering_state state;
	bool ok = numbering_keep(db, conf->node.name, &state, &is, e) && survey_peers(db, conf, &peers, e) && survey_numbering(db, conf, c, peers, &found, e);

	if (ok && !cli->json && found.count[SEVERITY_WARNING] > 0)
		findings_print(&found, cli->colour, cli->quiet);
	findings_free(&found);
	free(peers);
	return ok;
}

/* Changes that a wrong clock has dated. */
static bool
restamp(struct db *db, const struct cli *cli, const struct conf *conf, struct err *e)
{
	uint64_t n;

	if (!queue_restamp(db, conf->sync.max_clock_skew_ms, &n, e))
		return false;
	if (n > 0)
		cli_say(cli, INK_PLAIN, "%llu changes that a wrong clock had dated have the present time now", (unsigned long long)n);
	return true;
}

/* Three for each table, most of the time. */
struct setting {
	struct progress progress;
	uint64_t about;
};

static void
show_setting(const struct trigger_report *r, void *arg)
{
	struct setting *to = arg;

	progress_show(&to->progress, r->installed + r->right, to->about, "triggers");
}

static bool
set_triggers(struct db *db, const struct cli *cli, const struct conf *conf, const struct catalog *c, const struct node_identity *node, struct trigger_report *r, struct err *e)
{
	struct setting to = { .about = 0 };
	struct trigger_report done = { .step = show_setting, .arg = &to };
	bool ok;

	progress_init(&to.progress, cli->quiet);
	progress_begin(&to.progress, "our triggers");
	for (size_t i = 0; i < c->ntables; i++)
		to.about += c->tables[i].problem == NULL ? CAPTURE_DELETE + 1 : 0;
	ok = trigger_install(db, conf, c, node, &done, e);
	progress_clear(&to.progress);
	*r = (struct trigger_report){ .installed = done.installed, .right = done.right, .removed = done.removed };
	return ok;
}

/* The folders' own tables, before the tables are read: they are replicated like the rest. */
static bool
set_up_trees(struct db *db, struct db *over, const struct conf *conf, struct err *e)
{
	for (size_t i = 0; i < conf->ntrees; i++)
		if (!tree_set_up(db, over, conf, &conf->trees[i], e))
			return false;
	return true;
}

static bool
install(struct db *db, const struct cli *cli, const struct conf *conf, const struct admin *admin, struct err *e)
{
	struct catalog *c = NULL;
	struct node_identity node;
	struct drift_facts *facts = NULL;
	struct done done = { .given = &admin->given };
	/* Triggers of other accounts are for an administrator to replace. */
	struct db *over = admin->db != NULL ? admin->db : db;
	bool created, ok;

	if (!db_use(db, conf->database.name, e))
		return err_prefix(e, "check [database] name");
	ok = schema_install(db, conf, &created, e) && schema_enter(db, conf, &node, e) && witness_check(db, &node, e) && restamp(db, cli, conf, e) && set_up_trees(db, over, conf, e) && catalog_read(db, conf, &c, e);
	if (ok) {
		ok = install_judge_keys(c, e) && guard_install(over, conf, c, &node, &done.apps, e) && check_readable(db, conf, c, e) &&
		    drift_before_install(db, conf, &node, c, &facts, e) && (created || drift_mark_new(facts, e)) &&
		    set_triggers(db, cli, conf, c, &node, &done.ours, e) && enroll(db, c, e) &&
		    register_peers(db, cli, conf, c, e) && drift_after_install(facts, e) && witness_note(db, e);
	}
	if (ok && c->ntables > 0 && !drift_sees_ids(facts))
		cli_say(cli, INK_WARN, "TRUNCATE cannot be noticed: GRANT PROCESS ON *.* to the account that runs --install, and run it again");
	drift_facts_free(facts);
	if (ok && created)
		cli_say(cli, INK_GOOD, "sync schema %s installed for node %s", conf->database.sync_database, node.name);
	if (ok)
		print_tables(cli, c, &done);
	ok = ok && look_at_numbering(db, cli, conf, c, e) && refuse_undecided(cli, conf, c, e);
	catalog_free(c);
	return ok;
}

enum exit_code
install_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct db *db = NULL;
	struct admin admin;
	bool ready = false, ok;

	ok = admin_open(cli, conf, &admin, e) && admin_provide(&admin, cli, conf, &ready, e);
	if (ok)
		print_given(cli, &admin.given);
	if (ok && ready)
		ok = db_open(&conf->database, &db, e) && (cli->dry_run || admin_permit_triggers(&admin, e)) &&
		    (cli->dry_run ? preview : install)(db, cli, conf, &admin, e);
	db_close(db);
	admin_close(&admin);
	return ok ? EXIT_DONE : cli_exit_code(e);
}

static bool
uninstall_preview(struct db *db, const struct cli *cli, const struct conf *conf, struct err *e)
{
	size_t ours, apps;

	if (!trigger_count(db, conf, &ours, e) || !guard_count(db, conf, &apps, e))
		return false;
	if (cli->json)
		(void)printf("{\"triggers\":%zu,\"app_triggers\":%zu}\n", ours, apps);
	else
		cli_say(cli, INK_WARN, "would remove %zu triggers and the sync schema %s with everything pending in it, and take the guard off %zu triggers of the app", ours,
		    conf->database.sync_database, apps);
	return true;
}

static bool
uninstall(struct db *db, const struct cli *cli, const struct conf *conf, const struct admin *admin, struct err *e)
{
	size_t ours, apps;

	if (cli->dry_run)
		return uninstall_preview(db, cli, conf, e);
	/* Ours first: should the sync schema be broken, the app can write again from here on. And before
	 * the schema, without which the app's writes would fail. */
	if (!trigger_remove_all(db, conf, &ours, e))
		return false;
	if (!guard_remove_all(admin->db != NULL ? admin->db : db, conf, &apps, e))
		return err_prefix(e, "%zu triggers of the agent removed, then", ours);
	if (!listing_drop_all(admin->db != NULL ? admin->db : db, conf, e))
		return false;
	if (!schema_drop(db, conf, e))
		return false;
	if (cli->json)
		(void)printf("{\"triggers_removed\":%zu,\"app_triggers_restored\":%zu}\n", ours, apps);
	else
		cli_say(cli, INK_GOOD, "%zu triggers and the sync schema %s removed, %zu triggers of the app have their own text again; database %s is as it was", ours,
		    conf->database.sync_database, apps, conf->database.name);
	return true;
}

enum exit_code
uninstall_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct db *db = NULL;
	struct admin admin;
	bool ok = admin_open(cli, conf, &admin, e) && db_open(&conf->database, &db, e) && (cli->dry_run || admin_permit_triggers(&admin, e)) &&
	    uninstall(db, cli, conf, &admin, e);

	db_close(db);
	admin_close(&admin);
	return ok ? EXIT_DONE : cli_exit_code(e);
}
