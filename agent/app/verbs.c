/* The table of verbs, and the short ones' work. */
#include "config.h"

#include "app/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/backup.h"
#include "app/completion.h"
#include "app/conflicts.h"
#include "app/doctor.h"
#include "app/exchange.h"
#include "app/explain.h"
#include "app/init.h"
#include "app/install.h"
#include "app/notice.h"
#include "app/order.h"
#include "app/pair.h"
#include "app/parked.h"
#include "app/preview.h"
#include "app/progress.h"
#include "app/report.h"
#include "app/rotate.h"
#include "app/running.h"
#include "app/serve.h"
#include "app/startup.h"
#include "app/status.h"
#include "app/trees.h"
#include "app/verify.h"
#include "app/visitor.h"
#include "base/clock.h"
#include "base/log.h"
#include "change/moved.h"
#include "change/allowance.h"
#include "change/renewal.h"
#include "files/tend.h"
#include "files/tree.h"
#include "sync/parting.h"
#include "wire/line.h"

enum {
	WAIT_FOREVER_S = 365 * 24 * 3600,
	WAIT_STEP_MS = 50
};

/* --- drain --- */

/* For people or as JSON. */
static void
print_drained(const struct cli *cli, const struct conf_peer *peer, const struct exchange *to, enum exit_code code, const struct err *e)
{
	const struct drain_report *report = &to->sent;

	if (cli->json) {
		(void)printf("{\"name\":\"%s\",\"exit_code\":%d,\"busy\":%s,\"groups\":%llu,\"records\":%llu,\"refused\":%llu,\"fetched\":%llu,\"contents\":%llu,\"error\":", peer->name, (int)code,
		    report->busy ? "true" : "false", (unsigned long long)report->groups, (unsigned long long)report->records, (unsigned long long)report->refused,
		    (unsigned long long)to->fetched.records, (unsigned long long)to->files.contents);
		if (e->msg[0] == '\0')
			(void)fputs("null", stdout);
		else
			cli_put_quoted(e->msg);
		(void)fputs("}", stdout);
	} else if (report->busy)
		cli_say(cli, INK_PLAIN, "another drain to peer %s is running", peer->name);
	else if (report->groups > 0)
		cli_say(cli, report->refused > 0 ? INK_WARN : INK_PLAIN, "peer %s: %llu records sent, %llu refused", peer->name, (unsigned long long)report->records,
		    (unsigned long long)report->refused);
	if (to->fetched.groups > 0)
		cli_say(cli, to->fetched.refused > 0 ? INK_WARN : INK_PLAIN, "peer %s: %llu records fetched, %llu refused here", peer->name, (unsigned long long)to->fetched.records, (unsigned long long)to->fetched.refused);
	if (to->files.contents > 0)
		cli_say(cli, INK_PLAIN, "peer %s: %llu contents of upload folders sent, %llu bytes", peer->name, (unsigned long long)to->files.contents, (unsigned long long)to->files.bytes);
	if (to->waits)
		cli_say(cli, INK_PLAIN, "peer %s has no url here: what is for it waits until it comes for it (agent --serve must run here)", peer->name);
}

/* The exit code that says most: an error before a person, a person before "not reached". */
static enum exit_code
worse(enum exit_code a, enum exit_code b)
{
	static const int rank[] = { [EXIT_DONE] = 0, [EXIT_PEER] = 1, [EXIT_PERSON] = 2, [EXIT_FAILED] = 3, [EXIT_USAGE] = 4, [EXIT_DATABASE] = 5 };

	return rank[a] >= rank[b] ? a : b;
}

static enum exit_code
drain_one(const struct cli *cli, const struct conf *conf, struct drain *d, const struct conf_peer *peer, struct progress *progress, struct err *e)
{
	struct exchange to = { .waits = false };
	enum exit_code code = EXIT_DONE;
	bool person = false;
	struct err later = { 0 };

	/* What cannot be sent is no reason not to fetch: a peer that refuses may have what mends it. */
	if (!exchange_send(conf, d, &to, e)) {
		code = cli_exit_code(e);
		if (peer->pull && code != EXIT_DATABASE && code != EXIT_PEER && !exchange_fetch(conf, peer, &to.fetched, &later))
			log_warning(peer->name, "%s", later.msg);
	} else if (!exchange_fetch(conf, peer, &to.fetched, e) || (!to.sent.busy && !drain_needs_person(d, &person, e)))
		code = cli_exit_code(e);
	else if (person)
		code = EXIT_PERSON;
	progress_clear(progress);
	print_drained(cli, peer, &to, code, e);
	/* Statuses are for people: a failure to set them now is mended by the next drain. */
	if (code != EXIT_DATABASE && !to.sent.busy && !drain_tidy(d, &later))
		log_warning(peer->name, "statuses are not up to date: %s", later.msg);
	return code;
}

/* What a terminal shows while a backlog is sent. */
static void
show_sending(uint64_t records, uint64_t about, void *arg)
{
	progress_show(arg, records, about, "records sent");
}

/* The way to a peer that comes itself; found when there is something to ask it. */
struct way {
	const struct cli *cli;
	const struct conf *conf;
	const struct conf_peer *peer;
	struct guest *guest;
};

static bool
find_way(struct drain *d, void *arg, struct err *e)
{
	struct way *way = arg;

	if (!visitor_wait(way->cli, way->conf, way->peer, NULL, &way->guest, e))
		return false;
	drain_use_guest(d, way->guest);
	return true;
}

static enum exit_code
drain_peer(const struct cli *cli, const struct conf *conf, const struct conf_peer *peer, struct err *e)
{
	struct way way = { cli, conf, peer, NULL };
	struct drain *d = NULL;
	struct progress progress;
	enum exit_code code;

	if (!drain_new(conf, peer, NULL, &d, e))
		return cli_exit_code(e);
	drain_on_reach(d, find_way, &way);
	progress_init(&progress, cli->quiet);
	progress_begin(&progress, peer->name);
	drain_watch(d, show_sending, &progress);
	if (cli->allow_deletes)
		drain_allow_deletes(d);
	code = cli->dry_run ? preview_peer(cli, conf, d, peer, e) : drain_one(cli, conf, d, peer, &progress, e);
	drain_free(d);
	guest_free(way.guest);
	return code;
}

static bool
peer_is_chosen(const struct cli *cli, const struct conf_peer *peer)
{
	/* A dry run names the paused ones, too. */
	return cli->peer == NULL ? !peer->paused || cli->dry_run : strcmp(cli->peer, peer->name) == 0;
}

static bool
enter(const struct conf *conf, struct db **db, struct err *e)
{
	struct node_identity node;

	return db_open(&conf->database, db, e) && schema_enter(*db, conf, &node, e);
}

/* A person's yes counts before anything is sent: the peer may be away. */
static bool
allow_deletes(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct db *db = NULL;
	bool ok = enter(conf, &db, e);

	for (size_t i = 0; ok && i < conf->npeers; i++) {
		char waiting[ALLOWANCE_TEXT_MAX];

		if (!peer_is_chosen(cli, &conf->peers[i]))
			continue;
		ok = allowance_waiting(db, conf->peers[i].name, waiting, e) && allowance_allow(db, conf->peers[i].name, e);
		if (ok && waiting[0] != '\0')
			cli_say(cli, INK_GOOD, "peer %s may delete here what was held back, with its next drain", conf->peers[i].name);
	}
	db_close(db);
	return ok;
}

/* agent.conf names no peer. Where there were some that is a state like any other, and their leaving is noted;
 * else the file is not complete. */
static enum exit_code
drain_nobody(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct err unknown;
	struct db *db = NULL;
	bool left = false;
	bool ok = enter(conf, &db, &unknown) && (cli->dry_run || parting_forget(db, conf, NULL, NULL, &unknown)) && renewal_any_left(db, &left, &unknown);

	db_close(db);
	if (!ok || !left)
		return cli_exit_code((err_set(e, ERR_CONFIG, "there is no peer: add a [peer NAME] section to %s", conf->path), e));
	if (cli->json)
		(void)puts("{\"peers\":[]}");
	else
		cli_say(cli, INK_PLAIN, "no peer is left in %s: nothing is sent, and nothing waits", conf->path);
	return EXIT_DONE;
}

/* What changed in the upload folders since the last time. */
static bool
look_at_folders(const struct cli *cli, const struct conf *conf, bool *person, struct err *e)
{
	struct tended look;
	struct db *db = NULL;
	bool ok;

	if (conf->ntrees == 0 || cli->dry_run)
		return true;
	ok = enter(conf, &db, e);
	for (size_t i = 0; ok && cli->allow_deletes && i < conf->ntrees; i++)
		ok = tree_allow(db, conf->trees[i].name, e);
	ok = ok && tend_all(db, conf, TREE_LOCK_MS, &look, e);
	*person = ok && look.held;
	if (*person)
		ok = trees_complain(db, conf, e);
	db_close(db);
	return ok;
}

static enum exit_code
drain_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	enum exit_code code = EXIT_DONE;
	bool first = true, person = false;

	if (cli->peer != NULL && conf_peer(conf, cli->peer) == NULL)
		return cli_exit_code((err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path), e));
	if (conf->npeers == 0)
		return drain_nobody(cli, conf, e);
	if (cli->allow_deletes && !cli->dry_run && !allow_deletes(cli, conf, e))
		return cli_exit_code(e);
	if (!look_at_folders(cli, conf, &person, e))
		return cli_exit_code(e);
	code = person ? EXIT_PERSON : EXIT_DONE;
	for (size_t i = 0; i < conf->npeers; i++) {
		struct err one = { 0 };
		enum exit_code c;

		if (!peer_is_chosen(cli, &conf->peers[i]))
			continue;
		if (cli->json)
			(void)fputs(first ? "{\"peers\":[" : ",", stdout);
		first = false;
		c = drain_peer(cli, conf, &conf->peers[i], &one);
		if (one.msg[0] != '\0' && c != EXIT_DONE) {
			if (e->msg[0] != '\0')
				cli_complain(e->msg);
			*e = one;
		}
		code = worse(c, code);
	}
	if (cli->json)
		(void)puts(first ? "{\"peers\":[]}" : "]}");
	if (!cli->dry_run) {
		exchange_after(conf);
		notice_look(conf);
	}
	return code;
}

/* --- status, parked --- */

typedef void put_fn(const struct report *r, struct screen *s);
typedef void json_fn(const struct report *r, struct buf *out);

static bool
print_report(const struct cli *cli, const struct report *r, put_fn *put, json_fn *json, struct err *e)
{
	struct screen s;
	bool ok;

	if (cli->quiet && !cli->json)
		return true;
	screen_init(&s, cli->colour, REPORT_TEXT_MAX * 4);
	if (cli->json)
		json(r, &s.out);
	else
		put(r, &s);
	ok = screen_print(&s, e);
	screen_free(&s);
	return ok;
}

static enum exit_code
report_verb(const struct cli *cli, const struct conf *conf, put_fn *put, json_fn *json, struct err *e)
{
	enum exit_code code = EXIT_DONE;
	struct report report;
	struct db *db = NULL;

	if (!db_open(&conf->database, &db, e) || !report_read(db, conf, cli->peer, &report, e))
		code = cli_exit_code(e);
	else {
		if (!print_report(cli, &report, put, json, e))
			code = EXIT_FAILED;
		else if (report_needs_person(&report))
			code = EXIT_PERSON;
		report_free(&report);
	}
	db_close(db);
	return code;
}

static enum exit_code
status_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	return report_verb(cli, conf, status_put, report_json, e);
}

static enum exit_code
parked_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	return report_verb(cli, conf, status_put_parked, report_parked_json, e);
}

/* --- retry, discard --- */

static bool
parse_id(const struct cli *cli, uint64_t *id, struct err *e)
{
	if (cli->argument != NULL && strcmp(cli->argument, "all") == 0 && strcmp(cli->verb->name, "retry") == 0) {
		*id = 0;
		return true;
	}
	return (cli->argument != NULL && mark_parse_u64(cli->argument, id) && *id > 0) ||
	    err_set(e, ERR_USAGE, "--%s takes the id that --parked shows%s", cli->verb->name, strcmp(cli->verb->name, "retry") == 0 ? ", or all" : "");
}

static enum exit_code
settle_parked(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct parked_order order = { .peer = cli->peer, .again = strcmp(cli->verb->name, "retry") == 0 };
	struct db *db = NULL;
	bool again = order.again, ok;
	uint64_t n = 0;

	ok = parse_id(cli, &order.id, e) && enter(conf, &db, e) && parked_settle(db, conf, &order, &n, e);
	db_close(db);
	if (ok && cli->json)
		(void)printf("{\"%s\":%llu}\n", again ? "retried" : "discarded", (unsigned long long)n);
	else if (ok && again)
		cli_say(cli, n > 0 ? INK_GOOD : INK_PLAIN, "%llu records will be sent again at the next drain", (unsigned long long)n);
	else if (ok)
		cli_say(cli, INK_WARN, "discarded: the peer keeps its own version; the record is not in step until its next change");
	return ok ? EXIT_DONE : cli_exit_code(e);
}

/* --- wait --- */

/* Has everything arrived, does a person have to look? */
struct arrival {
	bool there, person;
	uint64_t left; /* changes that are not there */
};

/* Is everything up to the id at every peer (or the chosen one)? */
static bool
all_there(struct db *db, const struct cli *cli, const struct conf *conf, uint64_t upto, struct arrival *a, struct err *e)
{
	a->there = true;
	a->left = 0;
	for (size_t i = 0; i < conf->npeers; i++) {
		struct peer_state state;
		struct mark acked = { 0 };
		uint64_t pending = 0, owed = 0, parked = 0, held = 0, moved = 0, undecided = 0;
		bool found = false, ok;

		if (cli->peer != NULL && strcmp(cli->peer, conf->peers[i].name) != 0)
			continue;
		ok = peer_load(db, conf->peers[i].name, &state, e) && queue_load_mark(db, state.acked_epoch, &acked, &found, e) &&
		    queue_count_between(db, &acked, upto, conf->peers[i].name, &pending, e) &&
		    db_number(db, "SELECT COUNT(*) FROM sync_owed WHERE peer=? AND state IN ('retry','waiting')", DB_ARGS(db_text(conf->peers[i].name)), &owed, NULL, e) &&
		    owed_count(db, conf->peers[i].name, "parked", &parked, e) && moved_count(db, conf->peers[i].name, &held, &moved, e) &&
		    db_number(db, "SELECT COUNT(*) FROM sync_undecided WHERE peer=? AND decision IS NULL", DB_ARGS(db_text(conf->peers[i].name)), &undecided, NULL, e);
		mark_free(&acked);
		if (!ok)
			return false;
		a->there = a->there && pending + owed + moved == 0;
		a->left += pending + owed;
		a->person = a->person || parked + held + undecided > 0 || state.held[0] != '\0';
	}
	return true;
}

static enum exit_code
wait_for_peers(struct db *db, const struct cli *cli, const struct conf *conf, int64_t seconds, struct err *e)
{
	int64_t until = clock_mono_ms() + seconds * 1000;
	struct arrival a = { 0 };
	struct progress progress;
	uint64_t upto, most = 0;

	if (cli->peer != NULL && conf_peer(conf, cli->peer) == NULL)
		return cli_exit_code((err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path), e));

	if (!db_number(db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, &upto, NULL, e))
		return cli_exit_code(e);
	progress_init(&progress, cli->quiet);
	progress_begin(&progress, "waiting for the peers");
	for (;;) {
		bool ok = all_there(db, cli, conf, upto, &a, e);

		/* What other drains bring while we look is not counted back. */
		most = a.left > most ? a.left : most;
		if (!ok || a.person || a.there || clock_mono_ms() >= until)
			progress_clear(&progress);
		else
			progress_show(&progress, most - a.left, most, "changes have arrived");
		if (!ok)
			return cli_exit_code(e);
		if (a.person) {
			(void)err_set(e, ERR_HELD, "a person has to look: agent --status, --parked and --conflicts say at what");
			return EXIT_PERSON;
		}
		if (a.there)
			return EXIT_DONE;
		if (clock_mono_ms() >= until) {
			(void)err_set(e, ERR_PEER, "not everything is at every peer yet; is agent --serve running, or a drain due?");
			return EXIT_PEER;
		}
		clock_nap_ms(WAIT_STEP_MS);
	}
}

static enum exit_code
wait_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	uint64_t seconds = WAIT_FOREVER_S;
	struct db *db = NULL;
	enum exit_code code;

	if (cli->argument != NULL && (!mark_parse_u64(cli->argument, &seconds) || seconds > WAIT_FOREVER_S))
		return cli_exit_code((err_set(e, ERR_USAGE, "--wait takes a number of seconds"), e));
	if (!enter(conf, &db, e))
		code = cli_exit_code(e);
	else
		code = wait_for_peers(db, cli, conf, (int64_t)seconds, e);
	db_close(db);
	if (cli->json)
		(void)printf("{\"arrived\":%s}\n", code == EXIT_DONE ? "true" : "false");
	else if (code == EXIT_DONE)
		cli_say(cli, INK_GOOD, "every peer has everything: safe to close the lid");
	return code;
}

static enum exit_code
completion_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	(void)conf;
	return completion_print(verb_table, cli->argument, e) ? EXIT_DONE : EXIT_USAGE;
}

/* --- reload --- */

/* The file has been found good by then. */
static enum exit_code
reload_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	bool told = running_reload(conf);

	if (!told)
		return cli_exit_code((err_set(e, ERR_IO, "no agent --serve runs with this state_dir (%s)", conf->node.state_dir), e));
	if (cli->json)
		(void)puts("{\"reloaded\":true}");
	else
		cli_say(cli, INK_GOOD, "agent --serve has been told to read agent.conf again");
	return EXIT_DONE;
}

const struct verb verb_table[] = {
	{ "init", NULL, false, init_run, "write a first agent.conf with fresh keys; never overwrites" },
	{ "check", NULL, true, doctor_run, "look at database, tables, triggers, folders and peers; each finding with its remedy" },
	{ "install", NULL, true, install_run, "put the sync schema and the triggers in place; repeat after changing tables" },
	{ "uninstall", NULL, true, uninstall_run, "remove triggers and sync schema; the app's database is as it was" },
	{ "drain", NULL, true, drain_verb, "send what is pending to every peer, once; for cron and Task Scheduler" },
	{ "pair", "[LINE]", true, pair_run, "trust another node: prints a line for it, or takes the line that it printed" },
	{ "unpair", "NAME", true, unpair_run, "trust a peer no longer: its section of agent.conf goes" },
	{ "rotate", "NAME", true, rotate_run, "a new key for the pair, on both nodes" },
	{ "serve", NULL, true, serve_run, "the daemon: receive, show the page, drain by itself" },
	{ "reload", NULL, true, reload_verb, "have the running --serve read agent.conf again: peers added, paused, removed" },
	{ "status", NULL, true, status_verb, "pending changes and last success of each peer" },
	{ "trees", NULL, true, trees_run, "upload folders: files and bytes, what waits and why" },
	{ "push", "TREE", true, push_run, "send what is new or changed in an upload folder, once; deletes nothing" },
	{ "pull", "TREE", true, pull_run, "bring what peers have of an upload folder and this node not, once; deletes nothing" },
	{ "startup", NULL, true, startup_verb, "bring this node up to a peer's state: first fill, or after a loss" },
	{ "verify", NULL, true, verify_run, "compare the tables with each peer record by record; --repair makes them equal" },
	{ "parked", NULL, true, parked_verb, "changes that a peer refused as often as allowed" },
	{ "retry", "ID|all", true, settle_parked, "send parked changes again" },
	{ "discard", "ID", true, settle_parked, "give a parked change up" },
	{ "conflicts", NULL, true, conflicts_run, "records that both sides changed: both versions, and which one stayed" },
	{ "resolve", "ID|all", true, resolve_run, "make one version of a conflict stand, on every node" },
	{ "explain", "TABLE KEY", true, explain_run, "one record's life: captured, sent, applied, refused, in conflict" },
	{ "wait", "[SECONDS]", true, wait_verb, "return when every peer has everything committed here up to now" },
	{ "backup", "TREE", true, backup_run, "a dated snapshot of an upload folder; old ones go by [tree] backup_keep" },
	{ "restore", "TREE [SNAPSHOT] [PATH]", true, restore_verb, "bring files back from a snapshot; without one: list them" },
	{ "completion", "bash|zsh|fish", false, completion_verb, "a script that lets the shell complete verbs and options" },
	{ NULL, NULL, false, NULL, NULL },
};
