/* The doctor. Lives here: findings and their remedies. Not here: mending anything (--install does). */
#include "app/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app/findings.h"
#include "app/install.h"
#include "app/survey.h"
#include "base/clock.h"
#include "capture/guard.h"
#include "capture/trigger.h"
#include "change/moved.h"
#include "change/peer.h"
#include "files/marker.h"
#include "files/tree.h"
#include "net/client.h"
#include "net/tls.h"
#include "sync/drift.h"
#include "wire/message.h"

enum {
	DOCTOR_TEXT_MAX = 64 * 1024,
	PROGRAM_PATH_MAX = 1024
};

struct doctor {
	const struct cli *cli;
	const struct conf *conf;
	struct db *db;
	struct catalog *catalog;
	struct node_identity node;
	bool installed;
	struct numbering *peers; /* in conf's order */
	size_t unreachable;
	struct findings found;
	bool *is_new; /* by the catalog's index: not enrolled yet */
};

/* --- schema and tables --- */

/* Without the schema below them, triggers of ours let no write of the app pass. */
static bool
check_orphans(struct doctor *d, struct err *e)
{
	size_t triggers = 0;

	if (!trigger_count(d->db, d->conf, &triggers, e))
		return false;
	if (triggers > 0)
		findings_add(&d->found, SEVERITY_PROBLEM, "run agent --install, which makes it anew (the peers then begin anew, too), or agent --uninstall, which removes the triggers",
		    "the sync schema %s is missing or incomplete, and %zu triggers of Tandem are there: every write of the app to their tables fails",
		    d->conf->database.sync_database, triggers);
	return true;
}

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
		findings_add(&d->found, SEVERITY_OK, NULL, "sync schema %s, node %s", d->conf->database.sync_database, d->node.name);
		return survey_schema(d->db, d->conf, &d->found, e);
	}
	if (e->code != ERR_DB_MISSING && e->code != ERR_DB_ACCESS)
		return false;
	findings_add(&d->found, e->code == ERR_DB_MISSING ? SEVERITY_WARNING : SEVERITY_PROBLEM, NULL, "%s", e->msg);
	err_clear(e);
	return check_orphans(d, e);
}

static void
check_table(struct doctor *d, const struct table *t)
{
	if (t->problem != NULL && !t->view) /* views are counted in a note (app/survey) */
		findings_add(&d->found, t->undecided ? SEVERITY_PROBLEM : SEVERITY_WARNING, t->remedy, "table %s is not replicated: it %s", t->name, t->problem);
}

/* A misspelt column would go unheeded: rows would be seen before their files. */
static void
check_file_column(struct doctor *d, const struct table *t)
{
	struct conf_file_column file;

	if (!conf_file_column(d->conf, t->name, &file))
		return;
	for (size_t i = 0; i < t->ncolumns; i++)
		if (strcmp(t->columns[i].name, file.column) == 0)
			return;
	findings_add(&d->found, SEVERITY_PROBLEM, "correct the name, as the server writes it", "[table %s] file is heeded for no row: the table has no column %s", t->name, file.column);
}

/* A misspelt section would go unheeded, its rule for conflicts too. */
static void
check_sections(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->ntables; i++) {
		const char *name = d->conf->tables[i].name, *there = NULL;
		const struct table *found = catalog_table(d->catalog, name);

		if (found != NULL) {
			check_file_column(d, found);
			continue;
		}
		for (size_t k = 0; k < d->catalog->ntables && there == NULL; k++)
			there = strcasecmp(d->catalog->tables[k].name, name) == 0 ? d->catalog->tables[k].name : NULL;
		if (there != NULL)
			findings_add(&d->found, SEVERITY_WARNING, "write the name as the server does", "section [table %s] of agent.conf is heeded for no table: it is called %s here", name, there);
		else
			findings_add(&d->found, SEVERITY_WARNING, "correct the name, or take the section out", "section [table %s] of agent.conf is heeded for no table: [sync] tables and exclude leave none of that name", name);
	}
}

static bool
check_tables(struct doctor *d, struct err *e)
{
	size_t usable = 0;

	if (!catalog_read(d->db, d->conf, &d->catalog, e) || !install_judge_keys(d->catalog, e))
		return false;
	if (!guard_judge(d->db, d->conf, d->catalog, e))
		return false;
	for (size_t i = 0; i < d->catalog->ntables; i++) {
		const struct table *t = &d->catalog->tables[i];

		if (d->cli->table != NULL && strcmp(d->cli->table, t->name) != 0)
			continue;
		check_table(d, t);
		usable += t->problem == NULL;
	}
	check_sections(d);
	if (d->catalog->ntables == 0)
		findings_add(&d->found, SEVERITY_WARNING, "check [database] name and [sync] tables", "no table of database %s is chosen", d->conf->database.name);
	else
		findings_add(&d->found, SEVERITY_OK, NULL, "%zu tables can be replicated", usable);
	return true;
}

static void
wrong_guard(const char *table, const char *trigger, bool guarded, void *arg)
{
	struct doctor *d = arg;

	findings_add(&d->found, SEVERITY_PROBLEM, "run agent --install", "trigger %s of the app on table %s is %s", trigger, table,
	    guarded ? "not guarded: it would fire again where a change arrives" : "still guarded, agent.conf does not say so");
}

static void
wrong_trigger(const struct table *t, const char *what, void *arg)
{
	struct doctor *d = arg;

	/* A parent that is not replicated is none of the catalog's usable tables. */
	const struct table *known = catalog_table(d->catalog, t->name);

	if (known == NULL || !d->is_new[known - d->catalog->tables])
		findings_add(&d->found, SEVERITY_PROBLEM, "run agent --install", "a trigger of table %s is %s", t->name, what);
}

/* Tables that came after --install: one line each, not one a trigger. */
static bool
check_new_tables(struct doctor *d, struct err *e)
{
	if (!drift_find_new(d->db, d->catalog, &d->is_new, e))
		return false;
	for (size_t i = 0; i < d->catalog->ntables; i++)
		if (d->is_new[i])
			findings_add(&d->found, SEVERITY_PROBLEM, "run agent --install", "table %s is new and not replicated yet", d->catalog->tables[i].name);
	return true;
}

static bool
say_moved(const struct moved *m, void *arg, struct err *e)
{
	struct doctor *d = arg;
	struct buf text;

	(void)e;
	buf_init(&text, DOCTOR_TEXT_MAX);
	moved_put_sentence(&text, m);
	findings_add(&d->found, strcmp(m->state, "held") == 0 ? SEVERITY_PROBLEM : SEVERITY_WARNING, "agent --status says more", "%s", buf_cstr(&text));
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
	if (known == 0 && d->catalog->ntables > 0)
		findings_add(&d->found, SEVERITY_WARNING, "GRANT PROCESS ON *.* to the account that runs --install, and run it again",
		    "TRUNCATE and exchanged partitions cannot be noticed: the account that installed may not see InnoDB's table ids");
	return true;
}

/* --- peers --- */

static void
add_oneway(const char *table, const char *finding, const char *remedy, void *arg)
{
	(void)table;
	findings_add(arg, SEVERITY_WARNING, remedy, "%s", finding);
}

static void
peer_answered(struct doctor *d, size_t at, int status, const struct buf *answer, int64_t asked_us)
{
	const struct conf_peer *peer = &d->conf->peers[at];
	const char *newline = memchr(buf_cstr(answer), '\n', answer->len);
	struct message_error m;
	struct welcome w;
	struct err e;
	int64_t skew;

	if (status != 200 || newline == NULL || !message_parse_welcome(buf_cstr(answer), (size_t)(newline - buf_cstr(answer)), &w, &e)) {
		if (message_parse_error(buf_cstr(answer), answer->len, &m, &e))
			findings_add(&d->found, SEVERITY_PROBLEM, "look at that laptop's agent", "peer %s answers: %s", peer->name, m.text);
		else
			findings_add(&d->found, SEVERITY_PROBLEM, "bring both agents to the same version", "peer %s answers in an unknown way (HTTP %d)", peer->name, status);
		return;
	}
	if (w.version != MESSAGE_VERSION) {
		findings_add(&d->found, SEVERITY_PROBLEM, "bring both agents to the same version", "peer %s speaks protocol version %llu, this agent %d", peer->name, (unsigned long long)w.version, MESSAGE_VERSION);
		return;
	}
	if (strcmp(w.node, peer->name) != 0 || strcmp(w.incarnation, d->node.incarnation) == 0) {
		findings_add(&d->found, SEVERITY_PROBLEM, "check [peer] name and url", strcmp(w.node, peer->name) != 0 ? "%s is node '%s'" : "%s is this very database (node '%s')", peer->url, w.node);
		return;
	}
	if (w.numbering.increment != 0)
		d->peers[at] = w.numbering;
	if (w.tells_oneway)
		(void)oneway_judge(d->conf, peer->name, w.oneway, add_oneway, &d->found);
	skew = ((int64_t)w.clock_us - (asked_us + clock_wall_us()) / 2) / 1000;
	if ((skew < 0 ? -skew : skew) > d->conf->sync.max_clock_skew_ms)
		findings_add(&d->found, SEVERITY_PROBLEM, "set both clocks", "the clock of peer %s differs by %lld s", peer->name, (long long)(skew / 1000));
	else
		findings_add(&d->found, SEVERITY_OK, NULL, "peer %s answers, clocks differ by %lld ms", peer->name, (long long)skew);
}

static void
check_peer(struct doctor *d, size_t at)
{
	const struct conf_peer *peer = &d->conf->peers[at];
	struct hello h = { .version = MESSAGE_VERSION };
	struct client *client = NULL;
	struct buf body, answer;
	struct err e = { 0 };
	const char *nonce;
	int64_t asked_us = clock_wall_us();
	int status = 0;

	buf_init(&body, MESSAGE_HEADER_MAX);
	buf_init(&answer, MESSAGE_ANSWER_MAX);
	if (client_new(d->conf->node.name, peer, d->conf->sync.timeout_ms, NULL, &client, &e) && (nonce = client_hello_nonce(client, &e)) != NULL &&
	    numbering_read(d->db, &h.numbering, &e)) {
		(void)snprintf(h.node, sizeof h.node, "%s", d->conf->node.name);
		(void)snprintf(h.incarnation, sizeof h.incarnation, "%s", d->node.incarnation);
		(void)snprintf(h.nonce, sizeof h.nonce, "%s", nonce);
		h.tells_oneway = true;
		oneway_put(d->conf, h.oneway);
		message_put_hello(&body, &h);
		if (client_call(client, "POST", "/api/sync/hello", buf_cstr(&body), body.len, &status, &answer, &e))
			peer_answered(d, at, status, &answer, asked_us);
	}
	if (status == 0) {
		d->unreachable++;
		findings_add(&d->found, SEVERITY_WARNING, "changes wait until it can be reached; start agent --serve there", "peer %s: %s", peer->name, e.msg);
	}
	client_free(client);
	buf_free(&body);
	buf_free(&answer);
}

/* One that cannot be called: what it said when it came last. */
static bool
check_caller(struct doctor *d, const struct conf_peer *peer, struct err *e)
{
	char told[ONEWAY_MAX];

	findings_add(&d->found, SEVERITY_NOTE, "pull = yes there, and agent --serve here", "peer %s has no url: it comes for what is here", peer->name);
	if (!oneway_known(d->db, peer->name, told, e))
		return false;
	(void)oneway_judge(d->conf, peer->name, told, add_oneway, &d->found);
	return true;
}

static bool
check_peers(struct doctor *d, struct err *e)
{
	if (d->conf->npeers == 0)
		findings_add(&d->found, SEVERITY_WARNING, "add a [peer NAME] section to agent.conf", "there is no peer");
	if (!d->installed)
		return (d->peers = calloc(d->conf->npeers + 1, sizeof *d->peers)) != NULL || err_set(e, ERR_MEMORY, "out of memory for the peers");
	if (!survey_peers(d->db, d->conf, &d->peers, e))
		return false;
	for (size_t i = 0; i < d->conf->npeers; i++) {
		const struct conf_peer *peer = &d->conf->peers[i];

		if (d->cli->peer != NULL && strcmp(d->cli->peer, peer->name) != 0)
			continue;
		if (peer->url[0] != '\0')
			check_peer(d, i);
		else if (!check_caller(d, peer, e))
			return false;
	}
	return true;
}

/* This node's TLS key, which the peers' agent.conf must name; what travels readable. */
static void
check_tls(struct doctor *d)
{
	struct tls_identity id;
	struct err e;

	for (size_t i = 0; i < d->conf->npeers; i++) {
		const struct conf_peer *peer = &d->conf->peers[i];

		if (peer->seal || peer->tls_pin[0] != '\0')
			continue;
		if (strncmp(peer->url, "http://", 7) == 0)
			findings_add(&d->found, SEVERITY_NOTE, "tls = on there, and https with its tls_pin here; or seal = yes on both laptops",
			    "what is sent to peer %s is signed but not encrypted (http url)", peer->name);
		else if (peer->url[0] == '\0' && !d->conf->node.tls)
			findings_add(&d->found, SEVERITY_NOTE, "tls = on here, and its tls_pin there; or seal = yes on both laptops",
			    "what peer %s fetches is signed but not encrypted here (tls = off), and can be read where TLS ends on the way", peer->name);
		else if (peer->url[0] != '\0')
			findings_add(&d->found, SEVERITY_WARNING, "seal = yes in the [peer] sections of both laptops; or a tls_pin, if TLS does not end on the way",
			    "whoever ends TLS on the way to peer %s can read what is sent (no tls_pin, no seal)", peer->name);
	}
	if (!d->conf->node.tls)
		return;
	if (!tls_identity(d->conf, &id, &e)) {
		findings_add(&d->found, SEVERITY_PROBLEM, "see to the file", "no TLS: %s", e.msg);
		return;
	}
	findings_add(&d->found, SEVERITY_OK, NULL, "this node's TLS key, for the peers: tls_pin = %s", id.pin);
	tls_identity_free(&id);
}

/* The command for when a person is needed had better be there then. */
static void
check_notify(struct doctor *d)
{
	char path[PROGRAM_PATH_MAX];

	(void)snprintf(path, sizeof path, "%.*s", (int)strcspn(d->conf->sync.notify, " \t"), d->conf->sync.notify);
	if (path[0] != '\0' && access(path, X_OK) != 0)
		findings_add(&d->found, SEVERITY_WARNING, "see to the file, or change [sync] notify: nobody would be told when a person is needed",
		    "the program %s cannot be run: %s", path, strerror(errno));
}

/* The folder itself and its mark, as the next look will find them. */
static void
check_folder(struct doctor *d, const struct conf_tree *t)
{
	struct beneath *root = NULL;
	struct marker mark;
	struct err e = { 0 };
	enum fate f = beneath_open(t->path, &root, &e);

	if (f != FATE_DONE)
		findings_add(&d->found, SEVERITY_PROBLEM, "mount its disk, or correct path in agent.conf", "the folder of tree %s is not there: %s", t->name, e.msg);
	else if (access(t->path, R_OK | W_OK | X_OK) != 0)
		findings_add(&d->found, SEVERITY_PROBLEM, "give the agent's account the folder, or the rights of its group (chown, chmod)", "the agent may not write into the folder of tree %s: %s",
		    t->name, strerror(errno));
	else if (d->installed && marker_read(root, &mark, &e) != FATE_DONE)
		findings_add(&d->found, SEVERITY_PROBLEM, "mount its disk; if it is the right folder: agent --install", "the folder of tree %s is not set up: %s", t->name, e.msg);
	else
		findings_add(&d->found, SEVERITY_OK, NULL, "folder of tree %s: %s", t->name, t->path);
	beneath_close(root);
}

static bool
check_trees(struct doctor *d, struct err *e)
{
	char program[PROGRAM_PATH_MAX];
	struct tree_state state;

	for (size_t i = 0; i < d->conf->ntrees; i++) {
		const struct conf_tree *t = &d->conf->trees[i];

		check_folder(d, t);
		(void)snprintf(program, sizeof program, "%.*s", (int)strcspn(t->after, " \t"), t->after);
		if (program[0] != '\0' && access(program, X_OK) != 0)
			findings_add(&d->found, SEVERITY_WARNING, "see to the file, or change after in agent.conf", "the command of tree %s cannot be run: %s: %s", t->name, program, strerror(errno));
		if (d->installed && !tree_state_read(d->db, t->name, &state, e))
			return false;
		if (d->installed && state.held[0] != '\0')
			findings_add(&d->found, SEVERITY_WARNING, "agent --trees says what lets it go on", "tree %s was held at the last look: %s", t->name, state.held);
	}
	return true;
}

static bool
check_all(struct doctor *d, struct err *e)
{
	check_tls(d);
	check_notify(d);
	if (!survey_server(d->db, d->conf, &d->found, e) || !check_schema(d, e) || !check_tables(d, e) || !survey_app(d->db, d->conf, &d->found, e) ||
	    !guard_verify(d->db, d->conf, d->catalog, d->installed ? &d->node : NULL, wrong_guard, d, e))
		return false;
	if (d->installed && !check_new_tables(d, e))
		return false;
	if (d->installed && !trigger_verify(d->db, d->conf, d->catalog, &d->node, wrong_trigger, d, e))
		return false;
	if (d->installed && !check_moved(d, e))
		return false;
	return check_trees(d, e) && check_peers(d, e) && survey_numbering(d->db, d->conf, d->catalog, d->peers, &d->found, e);
}

enum exit_code
doctor_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct doctor d = { .cli = cli, .conf = conf };
	enum exit_code code = EXIT_DONE;

	if (cli->peer != NULL && conf_peer(conf, cli->peer) == NULL)
		return cli_exit_code((err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path), e));

	if (!db_open(&conf->database, &d.db, e) || !check_all(&d, e))
		code = cli_exit_code(e);
	else if (d.found.memory)
		code = cli_exit_code((err_set(e, ERR_MEMORY, "out of memory for the findings"), e));
	else if (d.found.count[SEVERITY_PROBLEM] > 0)
		code = EXIT_FAILED;
	else if (d.unreachable > 0)
		code = EXIT_PEER;
	if (cli->json)
		findings_print_json(&d.found);
	else
		findings_print(&d.found, cli->colour, cli->quiet);
	findings_free(&d.found);
	free(d.peers);
	free(d.is_new);
	catalog_free(d.catalog);
	db_close(d.db);
	return code;
}
