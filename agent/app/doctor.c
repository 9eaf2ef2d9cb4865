/* The doctor. Lives here: findings and their remedies. Not here: mending anything (--install does). */
#include "app/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/install.h"
#include "base/clock.h"
#include "capture/guard.h"
#include "capture/trigger.h"
#include "change/moved.h"
#include "change/peer.h"
#include "net/client.h"
#include "wire/message.h"

enum {
	OLDEST_MAJOR = 10, /* MariaDB 10.4, the one in XAMPP */
	OLDEST_MINOR = 4,
	DOCTOR_TEXT_MAX = 64 * 1024
};

enum severity { FINE, WARNING, PROBLEM };

struct doctor {
	const struct cli *cli;
	const struct conf *conf;
	struct db *db;
	struct catalog *catalog;
	struct node_identity node;
	bool installed;
	size_t found[3];
	size_t unreachable;
	struct buf json;
};

/* One line a finding: what, and what to do about it. */
static void PRINTF_FMT(4, 5)
say(struct doctor *d, enum severity severity, const char *remedy, const char *fmt, ...)
{
	static const char *const word[] = { "ok", "warning", "problem" };
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->found[severity]++;
	if (d->cli->json) {
		buf_fmt(&d->json, "%s{\"severity\":\"%s\",\"finding\":", d->json.len > 0 ? "," : "", word[severity]);
		line_quote(&d->json, text, strlen(text));
		buf_str(&d->json, ",\"remedy\":");
		if (remedy == NULL)
			buf_str(&d->json, "null");
		else
			line_quote(&d->json, remedy, strlen(remedy));
		buf_char(&d->json, '}');
	} else if (severity != FINE || !d->cli->quiet)
		(void)printf("%-8s %s%s%s\n", word[severity], text, remedy == NULL ? "" : ": ", remedy == NULL ? "" : remedy);
}

/* --- server --- */

static void
check_version(struct doctor *d)
{
	const char *version = db_server_version(d->db);
	unsigned major = 0, minor = 0;

	if (sscanf(version, "%u.%u", &major, &minor) != 2 || strstr(version, "MariaDB") == NULL)
		say(d, PROBLEM, "use MariaDB 10.4 or later", "the server says it is %s", version);
	else if (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR))
		say(d, PROBLEM, "update it to 10.4 or later", "MariaDB %s is too old", version);
	else
		say(d, FINE, NULL, "server %s", version);
}

static bool
setting(struct doctor *d, const char *name, uint64_t *out, struct err *e)
{
	char sql[128];

	(void)snprintf(sql, sizeof sql, "SELECT @@%s+0", name);
	return db_number(d->db, sql, DB_NO_ARGS, out, NULL, e);
}

static bool
check_settings(struct doctor *d, struct err *e)
{
	uint64_t flush, increment, log_bin, trust;

	if (!setting(d, "innodb_flush_log_at_trx_commit", &flush, e) || !setting(d, "auto_increment_increment", &increment, e) ||
	    !setting(d, "log_bin", &log_bin, e) || !setting(d, "log_bin_trust_function_creators", &trust, e))
		return false;
	if (flush != 1)
		say(d, WARNING, "set innodb_flush_log_at_trx_commit=1 in the server's configuration",
		    "after a power cut the server may forget commits that a peer already has (innodb_flush_log_at_trx_commit=%llu)", (unsigned long long)flush);
	if (increment == 1 && d->conf->npeers > 0)
		say(d, WARNING, "give each laptop its own auto_increment_offset and both the same auto_increment_increment (2 or more) in the server's configuration",
		    "this server numbers new rows 1, 2, 3, ...: two laptops apart give one number to different rows");
	if (log_bin != 0 && trust == 0)
		say(d, WARNING, "SET GLOBAL log_bin_trust_function_creators=1, or run --install with an administrator's account",
		    "the binary log is on, so that --install may be refused (error 1419)");
	return true;
}

/* --- schema and tables --- */

static bool
check_schema(struct doctor *d, struct err *e)
{
	if (!db_use(d->db, d->conf->database.name, e)) {
		if (e->code == ERR_DB_MISSING)
			(void)err_set(e, ERR_DB_MISSING, "database %s does not exist: check [database] name", d->conf->database.name);
		return false;
	}
	d->installed = schema_enter(d->db, d->conf, &d->node, e);
	if (d->installed) {
		say(d, FINE, NULL, "sync schema %s, node %s", d->conf->database.sync_database, d->node.name);
		return true;
	}
	if (e->code != ERR_DB_MISSING && e->code != ERR_DB_ACCESS)
		return false;
	say(d, e->code == ERR_DB_MISSING ? WARNING : PROBLEM, NULL, "%s", e->msg);
	err_clear(e);
	return true;
}

static void
check_table(struct doctor *d, const struct table *t)
{
	if (t->problem != NULL)
		say(d, t->undecided ? PROBLEM : WARNING, t->remedy, "table %s is not replicated: it %s", t->name, t->problem);
}

static bool
check_tables(struct doctor *d, struct err *e)
{
	size_t usable = 0;

	if (!catalog_read(d->db, d->conf, &d->catalog, e))
		return false;
	install_judge_keys(d->catalog);
	if (!guard_judge(d->db, d->conf, d->catalog, e))
		return false;
	for (size_t i = 0; i < d->catalog->ntables; i++) {
		const struct table *t = &d->catalog->tables[i];

		if (d->cli->table != NULL && strcmp(d->cli->table, t->name) != 0)
			continue;
		check_table(d, t);
		usable += t->problem == NULL;
	}
	if (d->catalog->ntables == 0)
		say(d, WARNING, "check [database] name and [sync] tables", "no table of database %s is chosen", d->conf->database.name);
	else
		say(d, FINE, NULL, "%zu tables can be replicated", usable);
	return true;
}

static void
wrong_guard(const char *table, const char *trigger, bool guarded, void *arg)
{
	say(arg, PROBLEM, "run agent --install", "trigger %s of the app on table %s is %s", trigger, table,
	    guarded ? "not guarded: it would fire again where a change arrives" : "still guarded, agent.conf does not say so");
}

static bool
check_app_triggers(struct doctor *d, struct err *e)
{
	return guard_verify(d->db, d->conf, d->catalog, d->installed ? &d->node : NULL, wrong_guard, d, e);
}

static void
wrong_trigger(const struct table *t, const char *what, void *arg)
{
	say(arg, PROBLEM, "run agent --install", "a trigger of table %s is %s", t->name, what);
}

static bool
say_moved(const struct moved *m, void *arg, struct err *e)
{
	struct buf text;

	(void)e;
	buf_init(&text, DOCTOR_TEXT_MAX);
	moved_put_sentence(&text, m);
	say(arg, strcmp(m->state, "held") == 0 ? PROBLEM : WARNING, "agent --status says more", "%s", buf_cstr(&text));
	buf_free(&text);
	return true;
}

/* What no trigger saw. */
static bool
check_moved(struct doctor *d, struct err *e)
{
	uint64_t known = 0;

	for (size_t i = 0; i < d->conf->npeers; i++)
		if (!moved_visit(d->db, d->conf->peers[i].name, say_moved, d, e))
			return false;
	if (!db_number(d->db, "SELECT COUNT(*) FROM sync_identity WHERE ids<>''", DB_NO_ARGS, &known, NULL, e))
		return false;
	if (known == 0)
		say(d, WARNING, "GRANT PROCESS ON *.* to the account that runs --install, and run it again",
		    "TRUNCATE and exchanged partitions cannot be noticed: the account that installed may not see InnoDB's table ids");
	return true;
}

/* --- privileges --- */

static bool
check_privileges(struct doctor *d, struct err *e)
{
	static const char *const needed[] = { "SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER" };
	char missing[128] = "";

	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
		uint64_t has;

		/* Global, or on the database; grants on single tables are found out at --install. */
		if (!db_number(d->db, "SELECT (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE=?)"
				      " + (SELECT COUNT(*) FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE=? AND ? LIKE TABLE_SCHEMA)",
			DB_ARGS(db_text(needed[i]), db_text(needed[i]), db_text(d->conf->database.name)), &has, NULL, e))
			return false;
		if (has == 0)
			(void)snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s%s", missing[0] == '\0' ? "" : ", ", needed[i]);
	}
	if (missing[0] != '\0')
		say(d, PROBLEM, "GRANT them to the account of [database] user", "the account lacks %s on database %s", missing, d->conf->database.name);
	else
		say(d, FINE, NULL, "privileges on database %s", d->conf->database.name);
	return true;
}

/* --- peers --- */

static void
peer_answered(struct doctor *d, const struct conf_peer *peer, int status, const struct buf *answer, int64_t asked_us)
{
	const char *newline = memchr(buf_cstr(answer), '\n', answer->len);
	struct message_error m;
	struct welcome w;
	struct err e;
	int64_t skew;

	if (status != 200 || newline == NULL || !message_parse_welcome(buf_cstr(answer), (size_t)(newline - buf_cstr(answer)), &w, &e)) {
		if (message_parse_error(buf_cstr(answer), answer->len, &m, &e))
			say(d, PROBLEM, "look at that laptop's agent", "peer %s answers: %s", peer->name, m.text);
		else
			say(d, PROBLEM, "bring both agents to the same version", "peer %s answers in an unknown way (HTTP %d)", peer->name, status);
		return;
	}
	if (w.version != MESSAGE_VERSION) {
		say(d, PROBLEM, "bring both agents to the same version", "peer %s speaks protocol version %llu, this agent %d", peer->name, (unsigned long long)w.version, MESSAGE_VERSION);
		return;
	}
	if (strcmp(w.node, peer->name) != 0 || strcmp(w.incarnation, d->node.incarnation) == 0) {
		say(d, PROBLEM, "check [peer] name and url", strcmp(w.node, peer->name) != 0 ? "%s is node '%s'" : "%s is this very database (node '%s')", peer->url, w.node);
		return;
	}
	skew = ((int64_t)w.clock_us - (asked_us + clock_wall_us()) / 2) / 1000;
	if ((skew < 0 ? -skew : skew) > d->conf->sync.max_clock_skew_ms)
		say(d, PROBLEM, "set both clocks", "the clock of peer %s differs by %lld s", peer->name, (long long)(skew / 1000));
	else
		say(d, FINE, NULL, "peer %s answers, clocks differ by %lld ms", peer->name, (long long)skew);
}

static void
check_peer(struct doctor *d, const struct conf_peer *peer)
{
	struct hello h = { .version = MESSAGE_VERSION };
	struct client *client = NULL;
	struct buf body, answer;
	struct err e = { 0 };
	const char *nonce;
	int64_t asked_us = clock_wall_us();
	int status = 0;

	buf_init(&body, MESSAGE_HEADER_MAX);
	buf_init(&answer, MESSAGE_ANSWER_MAX);
	if (client_new(d->conf->node.name, peer, d->conf->sync.timeout_ms, NULL, &client, &e) && (nonce = client_hello_nonce(client, &e)) != NULL) {
		(void)snprintf(h.node, sizeof h.node, "%s", d->conf->node.name);
		(void)snprintf(h.incarnation, sizeof h.incarnation, "%s", d->node.incarnation);
		(void)snprintf(h.nonce, sizeof h.nonce, "%s", nonce);
		message_put_hello(&body, &h);
		if (client_call(client, "POST", "/api/sync/hello", buf_cstr(&body), body.len, &status, &answer, &e))
			peer_answered(d, peer, status, &answer, asked_us);
	}
	if (status == 0) {
		d->unreachable++;
		say(d, WARNING, "changes wait until it can be reached; start agent --serve there", "peer %s: %s", peer->name, e.msg);
	}
	client_free(client);
	buf_free(&body);
	buf_free(&answer);
}

static bool
check_all(struct doctor *d, struct err *e)
{
	check_version(d);
	if (!check_settings(d, e) || !check_schema(d, e) || !check_privileges(d, e) || !check_tables(d, e) || !check_app_triggers(d, e))
		return false;
	if (d->installed && !trigger_verify(d->db, d->conf, d->catalog, &d->node, wrong_trigger, d, e))
		return false;
	if (d->installed && !check_moved(d, e))
		return false;
	for (size_t i = 0; i < d->conf->npeers; i++)
		if (d->installed && (d->cli->peer == NULL || strcmp(d->cli->peer, d->conf->peers[i].name) == 0))
			check_peer(d, &d->conf->peers[i]);
	if (d->conf->npeers == 0)
		say(d, WARNING, "add a [peer NAME] section to agent.conf", "there is no peer");
	return true;
}

enum exit_code
doctor_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct doctor d = { .cli = cli, .conf = conf };
	enum exit_code code = EXIT_DONE;

	if (cli->peer != NULL && conf_peer(conf, cli->peer) == NULL)
		return cli_exit_code((err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path), e));

	buf_init(&d.json, 4 * 1024 * 1024);
	if (!db_open(&conf->database, &d.db, e) || !check_all(&d, e))
		code = cli_exit_code(e);
	else if (d.found[PROBLEM] > 0)
		code = EXIT_FAILED;
	else if (d.unreachable > 0)
		code = EXIT_PEER;
	if (cli->json)
		(void)printf("{\"findings\":[%s]}\n", buf_cstr(&d.json));
	catalog_free(d.catalog);
	db_close(d.db);
	buf_free(&d.json);
	return code;
}
