/* Putting the sync schema and the triggers in place, and taking them away. */
#include "app/install.h"

#include <stdio.h>
#include <string.h>

#include "capture/trigger.h"
#include "change/peer.h"

/* Tables whose key does not fit record_id cannot be captured. */
static void
judge_keys(struct catalog *c)
{
	for (size_t i = 0; i < c->ntables; i++) {
		struct table *t = &c->tables[i];

		if (t->problem == NULL && template_key_width(t) > CATALOG_KEY_BYTES) {
			t->problem = strdup("has a primary key that is too wide");
			t->remedy = strdup("use a shorter key, or add it to [sync] exclude");
		}
	}
}

static bool
enroll(struct db *db, const struct catalog *c, struct err *e)
{
	for (size_t i = 0; i < c->ntables; i++)
		if (c->tables[i].problem == NULL &&
		    !db_exec(db, "INSERT INTO sync_table (table_name) VALUES (?) ON DUPLICATE KEY UPDATE dirty=0, note=NULL", DB_ARGS(db_text(c->tables[i].name)), e))
			return false;
	return true;
}

static bool
register_peers(struct db *db, const struct cli *cli, const struct conf *conf, struct err *e)
{
	if (cli->peer != NULL && conf_peer(conf, cli->peer) == NULL)
		return err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path);
	for (size_t i = 0; i < conf->npeers; i++)
		if (!peer_register(db, conf->peers[i].name, e))
			return false;
	if (cli->peer == NULL)
		return true;
	if (!peer_reset(db, cli->peer, e))
		return false;
	(void)printf("peer %s starts anew: what is pending for it was forgotten, both databases must be equal now\n", cli->peer);
	return true;
}

static void
print_tables(const struct cli *cli, const struct catalog *c, const struct trigger_report *r)
{
	size_t usable = 0;

	for (size_t i = 0; i < c->ntables; i++)
		usable += c->tables[i].problem == NULL;
	if (cli->quiet)
		return;
	(void)printf("%zu tables are replicated (%zu triggers set, %zu were right, %zu removed)\n", usable, r->installed, r->right, r->removed);
	for (size_t i = 0; i < c->ntables; i++)
		if (c->tables[i].problem != NULL)
			(void)printf("not replicated: table %s %s: %s\n", c->tables[i].name, c->tables[i].problem, c->tables[i].remedy);
}

static bool
install(struct db *db, const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct catalog *c = NULL;
	struct node_identity node;
	struct trigger_report report;
	bool created, ok;

	if (!db_use(db, conf->database.name, e))
		return err_prefix(e, "check [database] name");
	ok = schema_install(db, conf, &created, e) && schema_enter(db, conf, &node, e) && catalog_read(db, conf, &c, e);
	if (ok) {
		judge_keys(c);
		ok = trigger_install(db, conf, c, &node, &report, e) && enroll(db, c, e) && register_peers(db, cli, conf, e);
	}
	if (ok && created && !cli->quiet)
		(void)printf("sync schema %s installed for node %s\n", conf->database.sync_database, node.name);
	if (ok)
		print_tables(cli, c, &report);
	catalog_free(c);
	return ok;
}

enum exit_code
install_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct db *db = NULL;
	bool ok = db_open(&conf->database, &db, e) && install(db, cli, conf, e);

	db_close(db);
	return ok ? EXIT_DONE : cli_exit_code(e);
}

static bool
uninstall(struct db *db, const struct cli *cli, const struct conf *conf, struct err *e)
{
	size_t removed;

	/* Triggers first: without the schema below them the app's writes would fail. */
	if (!trigger_remove_all(db, conf, &removed, e) || !schema_drop(db, conf, e))
		return false;
	if (!cli->quiet)
		(void)printf("%zu triggers and the sync schema %s removed; database %s is as it was\n", removed, conf->database.sync_database, conf->database.name);
	return true;
}

enum exit_code
uninstall_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct db *db = NULL;
	bool ok = db_open(&conf->database, &db, e) && uninstall(db, cli, conf, e);

	db_close(db);
	return ok ? EXIT_DONE : cli_exit_code(e);
}
