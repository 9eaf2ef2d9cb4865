/* The looks of --check that need no peer. Lives here: what a server or an app can have that surprises.
 * Not here: tables and triggers of ours (app/doctor), how findings are shown (app/findings). */
#include "app/survey.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/asset.h"

enum {
	OLDEST_MAJOR = 10, /* MariaDB 10.4, the one in XAMPP */
	OLDEST_MINOR = 4
};

/* --- server --- */

static void
look_at_version(struct db *db, struct findings *f)
{
	const char *version = db_server_version(db);
	unsigned major = 0, minor = 0;

	if (sscanf(version, "%u.%u", &major, &minor) != 2 || strstr(version, "MariaDB") == NULL)
		findings_add(f, SEVERITY_PROBLEM, "use MariaDB 10.4 or later", "the server says it is %s", version);
	else if (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR))
		findings_add(f, SEVERITY_PROBLEM, "update it to 10.4 or later", "MariaDB %s is too old", version);
	else
		findings_add(f, SEVERITY_OK, NULL, "server %s", version);
}

static bool
look_at_settings(struct db *db, struct findings *f, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, "SELECT @@global.innodb_flush_log_at_trx_commit+0, @@global.log_bin+0, @@global.log_bin_trust_function_creators+0, @@global.read_only+0, @@global.binlog_format='STATEMENT'",
		 DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more) {
		if (db_rows_u64(rows, 0) != 1)
			findings_add(f, SEVERITY_WARNING, "set innodb_flush_log_at_trx_commit=1 in the server's configuration",
			    "after a power cut the server may forget commits that a peer already has (innodb_flush_log_at_trx_commit=%llu)", (unsigned long long)db_rows_u64(rows, 0));
		if (db_rows_u64(rows, 1) != 0 && db_rows_u64(rows, 2) == 0)
			findings_add(f, SEVERITY_WARNING, "run --install with --admin-user, or SET GLOBAL log_bin_trust_function_creators=1",
			    "the binary log is on, so that --install may be refused (error 1419)");
		if (db_rows_u64(rows, 1) != 0 && db_rows_u64(rows, 4) != 0)
			findings_add(f, SEVERITY_PROBLEM, "SET GLOBAL binlog_format=MIXED (the default), and set it in the server's configuration",
			    "the binary log is written as STATEMENT, which the server refuses for the agent's transactions and for the app's writes that are captured (error 1665)");
		if (db_rows_u64(rows, 3) != 0)
			findings_add(f, SEVERITY_PROBLEM, "SET GLOBAL read_only=0, and take read_only out of the server's configuration",
			    "the server is read_only: neither the app nor a peer's changes can be written");
	}
	db_rows_free(rows);
	return ok;
}

/* The triggers do not run for what a replica's own thread writes, and the queue would be the master's. */
static bool
look_at_replication(struct db *db, struct findings *f, struct err *e)
{
	static const char running[] = "SELECT VARIABLE_VALUE='ON' FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME='SLAVE_RUNNING'";
	struct db_rows *rows = NULL;
	uint64_t replica = 0;

	if (db_query(db, "SHOW ALL SLAVES STATUS", DB_NO_ARGS, &rows, e)) {
		replica = db_rows_count(rows) > 0;
		db_rows_free(rows);
	} else if (e->code != ERR_DB_ACCESS)
		return false;
	else {
		err_clear(e);
		if (!db_number(db, running, DB_NO_ARGS, &replica, NULL, e))
			return false;
	}
	if (replica != 0)
		findings_add(f, SEVERITY_PROBLEM,
		    "end it with STOP ALL SLAVES and RESET SLAVE ALL, or run the agent at the master; a replica must leave out the sync schema (replicate_wild_ignore_table)",
		    "this server is a replica of another one: what that one sends is not captured here, and its queue would be sent again");
	return true;
}

static bool
has_privilege(struct db *db, const char *privilege, const char *database, bool *has, struct err *e)
{
	uint64_t n = 0;

	if (!db_number(db, "SELECT (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE=?)"
			   " + (SELECT COUNT(*) FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE=? AND ? LIKE TABLE_SCHEMA)",
		DB_ARGS(db_text(privilege), db_text(privilege), db_text(database)), &n, NULL, e))
		return false;
	*has = n > 0;
	return true;
}

/* What a thief of agent.conf could do with the account beside the agent's work. */
static bool
look_at_excess(struct db *db, struct findings *f, struct err *e)
{
	static const char *const needless[] = { "FILE", "SUPER", "SHUTDOWN", "CREATE USER" };
	char found[128] = "";
	bool has;

	for (size_t i = 0; i < sizeof needless / sizeof needless[0]; i++) {
		if (!has_privilege(db, needless[i], "", &has, e))
			return false;
		if (has)
			(void)snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", found[0] == '\0' ? "" : ", ", needless[i]);
	}
	if (found[0] != '\0')
		findings_add(f, SEVERITY_WARNING, "give [database] user an account of its own with the rights in docs/security.md, or REVOKE them",
		    "the agent's account may do what the agent does not need: %s", found);
	return true;
}

static bool
look_at_privileges(struct db *db, const struct conf *conf, struct findings *f, struct err *e)
{
	static const char *const needed[] = { "SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER" };
	char missing[128] = "";
	bool has;

	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
		/* Global, or on the database; grants on single tables are found out at --install. */
		if (!has_privilege(db, needed[i], conf->database.name, &has, e))
			return false;
		if (!has)
			(void)snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s%s", missing[0] == '\0' ? "" : ", ", needed[i]);
	}
	if (missing[0] != '\0')
		findings_add(f, SEVERITY_PROBLEM, "GRANT them to the account of [database] user", "the account lacks %s on database %s", missing, conf->database.name);
	else
		findings_add(f, SEVERITY_OK, NULL, "privileges on database %s", conf->database.name);
	if (!has_privilege(db, "PROCESS", "", &has, e))
		return false;
	if (!has)
		findings_add(f, SEVERITY_NOTE, "GRANT PROCESS ON *.* to the account of [database] user",
		    "without the privilege PROCESS it is harder to notice that a table was emptied by TRUNCATE or swapped for another");
	return true;
}

bool
survey_server(struct db *db, const struct conf *conf, struct findings *f, struct err *e)
{
	look_at_version(db, f);
	return look_at_settings(db, f, e) && look_at_replication(db, f, e) && look_at_privileges(db, conf, f, e) && look_at_excess(db, f, e);
}

/* --- sync schema --- */

static bool
object_exists(struct db *db, const char *name, bool *there, struct err *e)
{
	uint64_t n = 0;

	if (!db_number(db, "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=?)"
			   " + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=DATABASE() AND ROUTINE_NAME=?)",
		DB_ARGS(db_text(name), db_text(name)), &n, NULL, e))
		return false;
	*there = n > 0;
	return true;
}

static void
say_missing(const struct conf *conf, const char *name, struct findings *f)
{
	if (strcmp(name, "sync_queue") == 0)
		findings_add(f, SEVERITY_PROBLEM,
		    "bring it back (RENAME TABLE, or from a backup); or run agent --uninstall, which lets the app write again and gives up what waited, then make the databases equal and run agent --install",
		    "the sync schema %s lacks %s: every write of the app to a replicated table fails", conf->database.sync_database, name);
	else if (strcmp(name, "enqueue") == 0 || strcmp(name, "sync_sequence") == 0)
		findings_add(f, SEVERITY_PROBLEM, "run agent --install, which makes it anew without losing anything",
		    "the sync schema %s lacks %s: every write of the app to a replicated table fails", conf->database.sync_database, name);
	else
		findings_add(f, SEVERITY_PROBLEM, "run agent --install", "the sync schema %s lacks %s: the agent cannot work", conf->database.sync_database, name);
}

/* Changes nothing (no id is 0), but has to wait for whoever keeps writers away, and does not wait. */
static bool
look_for_locks(struct db *db, const struct conf *conf, struct findings *f, struct err *e)
{
	if (db_exec(db, "SET STATEMENT lock_wait_timeout=0 FOR DELETE FROM sync_queue WHERE id=0", DB_NO_ARGS, e))
		return true;
	if (e->code != ERR_DB_BUSY)
		return false;
	err_clear(e);
	findings_add(f, SEVERITY_PROBLEM, "find it with SHOW FULL PROCESSLIST and end it (KILL)",
	    "another session keeps writers away from %s.sync_queue (LOCK TABLES ... READ, a backup, an ALTER): every write of the app to a replicated table waits",
	    conf->database.sync_database);
	return true;
}

bool
survey_schema(struct db *db, const struct conf *conf, struct findings *f, struct err *e)
{
	const struct asset *order = asset_find("sql/install.order");
	const char *p = order == NULL ? "" : (const char *)order->data;
	bool there, whole = true;
	char name[65];

	while (*p != '\0') {
		size_t len = strcspn(p, "\n");

		(void)snprintf(name, sizeof name, "%.*s", (int)len, p);
		p += len;
		p += strspn(p, "\n");
		if (!object_exists(db, name, &there, e))
			return false;
		if (there)
			continue;
		say_missing(conf, name, f);
		whole = false;
	}
	return !whole || look_for_locks(db, conf, f, e);
}

/* --- the app's database --- */

static const char sql_events[] = "SELECT EVENT_NAME, @@global.event_scheduler FROM information_schema.EVENTS WHERE EVENT_SCHEMA=? AND STATUS='ENABLED' ORDER BY 1";

static bool
look_at_events(struct db *db, const struct conf *conf, struct findings *f, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_events, DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		bool runs = strcmp(db_rows_text(rows, 1), "ON") == 0;

		findings_add(f, runs ? SEVERITY_WARNING : SEVERITY_NOTE, "ALTER EVENT ... DISABLE it on all laptops but one, unless its effect may happen on each",
		    "event %s is enabled%s: it runs on every laptop that has it, and what each run writes is replicated", db_rows_text(rows, 0),
		    runs ? "" : " (the event scheduler is off here)");
	}
	db_rows_free(rows);
	return ok;
}

static bool
look_at_definitions(struct db *db, const struct conf *conf, struct findings *f, struct err *e)
{
	uint64_t views, routines;

	if (!db_number(db, "SELECT COUNT(*) FROM information_schema.VIEWS WHERE TABLE_SCHEMA=?", DB_ARGS(db_text(conf->database.name)), &views, NULL, e) ||
	    !db_number(db, "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=?", DB_ARGS(db_text(conf->database.name)), &routines, NULL, e))
		return false;
	findings_add(f, SEVERITY_NOTE, NULL,
	    "rows are replicated; definitions of tables, views (%llu here), routines (%llu), triggers and events, accounts and temporary tables are not: change those on every laptop",
	    (unsigned long long)views, (unsigned long long)routines);
	return true;
}

bool
survey_app(struct db *db, const struct conf *conf, struct findings *f, struct err *e)
{
	return look_at_events(db, conf, f, e) && look_at_definitions(db, conf, f, e);
}

/* --- numbering --- */

bool
survey_peers(struct db *db, const struct conf *conf, struct numbering **out, struct err *e)
{
	*out = calloc(conf->npeers + 1, sizeof **out);
	if (*out == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the peers");
	for (size_t i = 0; i < conf->npeers; i++)
		if (!numbering_known(db, conf->peers[i].name, &(*out)[i], e)) {
			free(*out);
			*out = NULL;
			return false;
		}
	return true;
}

static void
add_advice(const char *finding, const char *remedy, void *arg)
{
	findings_add(arg, SEVERITY_WARNING, remedy, "%s", finding);
}

static bool
has_capitals(const struct catalog *c)
{
	for (size_t i = 0; i < c->ntables; i++)
		for (const char *p = c->tables[i].name; *p != '\0'; p++)
			if (isupper((unsigned char)*p))
				return true;
	return false;
}

/* One writes table Riders as it is, the other as riders: neither finds the other's. */
static void
judge_letters(const struct conf *conf, const struct catalog *c, const struct numbering *own, const struct numbering *peers, struct findings *f)
{
	for (size_t i = 0; i < conf->npeers; i++)
		if (peers[i].increment != 0 && peers[i].letter_case != own->letter_case && has_capitals(c))
			findings_add(f, SEVERITY_WARNING, "give tables names in small letters; lower_case_table_names itself can only be chosen for an empty server",
			    "lower_case_table_names is %llu here and %llu at peer %s: they do not agree on table names with capitals", (unsigned long long)own->letter_case,
			    (unsigned long long)peers[i].letter_case, conf->peers[i].name);
}

static bool
numbers_rows(const struct catalog *c)
{
	for (size_t i = 0; i < c->ntables; i++)
		if (c->tables[i].auto_increment && c->tables[i].problem == NULL)
			return true;
	return false;
}

bool
survey_numbering(struct db *db, const struct conf *conf, const struct catalog *c, const struct numbering *peers, struct findings *f, struct err *e)
{
	struct numbered_node *nodes = calloc(conf->npeers + 1, sizeof *nodes);
	struct numbering own;
	bool ok;

	if (nodes == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the peers");
	ok = numbering_read(db, &own, e);
	if (ok && conf->npeers > 0) {
		nodes[0] = (struct numbered_node){ conf->node.name, own };
		for (size_t i = 0; i < conf->npeers; i++)
			nodes[i + 1] = (struct numbered_node){ conf->peers[i].name, peers[i] };
		judge_letters(conf, c, &own, peers, f);
		if (numbers_rows(c) && numbering_judge(nodes, conf->npeers + 1, add_advice, f))
			findings_add(f, SEVERITY_OK, NULL, "new rows get numbers of their own on each laptop (auto_increment_increment=%llu, auto_increment_offset=%llu here)",
			    (unsigned long long)own.increment, (unsigned long long)own.offset);
	}
	free(nodes);
	return ok;
}
