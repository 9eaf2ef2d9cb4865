/* --startup. Lives here: which peer, what a terminal shows meanwhile, what is printed at the end. Not here: the work
 * (sync/startup). */
#include "app/startup.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app/install.h"
#include "app/progress.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/measure.h"
#include "base/screen.h"
#include "sync/drain.h"
#include "wire/line.h"

enum {
	WHY_QUOTED_MAX = 8 * ERR_MSG_MAX
};

/* What a terminal shows. */
struct display {
	int64_t start_ms;
	struct progress progress;
};

static atomic_bool interrupted;

static void
on_signal(int signal)
{
	(void)signal;
	atomic_store(&interrupted, true);
}

static void
show(const struct startup_progress *p, void *arg)
{
	struct display *d = arg;
	char what[PROGRESS_WHAT_MAX];

	(void)snprintf(what, sizeof what, "table %zu of %zu, %s", p->done + 1, p->tables, p->table);
	progress_begin(&d->progress, what);
	progress_show(&d->progress, p->records, p->about, "records");
}

static void
print_json(const struct conf_peer *peer, const struct startup_report *r, enum exit_code code, const struct err *e)
{
	const char *why = e->msg[0] != '\0' ? e->msg : r->why;
	struct buf text;

	buf_init(&text, WHY_QUOTED_MAX);
	line_quote(&text, why, strlen(why));
	(void)printf("{\"peer\":\"%s\",\"exit_code\":%d,\"tables\":%llu,\"copied\":%llu,\"removed\":%llu,\"sent\":%llu,\"coming\":%llu,\"failed\":%llu,\"error\":%s}\n",
	    peer->name, (int)code, (unsigned long long)r->tables, (unsigned long long)r->copied, (unsigned long long)r->removed, (unsigned long long)r->sent,
	    (unsigned long long)r->coming, (unsigned long long)r->failed, why[0] == '\0' ? "null" : buf_cstr(&text));
	buf_free(&text);
}

static void
print_text(const struct conf_peer *peer, const struct startup_report *r, const struct display *d, struct screen *s)
{
	const struct screen_item item = { .indent = 2, .column = 2 }, bad = { .indent = 2, .column = 2, .ink = INK_BAD };
	char n[MEASURE_MAX], m[MEASURE_MAX];

	screen_fmt(s, INK_GOOD, "filled from peer %s: %s tables, %s rows copied in %.1f s", peer->name, measure_count(r->tables, n), measure_count(r->copied, m),
	    (double)(clock_mono_ms() - d->start_ms) / 1000.0);
	if (r->removed > 0)
		screen_item_fmt(s, &item, "%s rows that only this node had are kept in the conflict store (agent --conflicts)", measure_count(r->removed, n));
	if (r->sent > 0)
		screen_item_fmt(s, &item, "%s records that only this node has, or has in a later version, are sent with the next drain", measure_count(r->sent, n));
	if (r->coming > 0)
		screen_item_fmt(s, &item, "%s records come with the next drain of %s", measure_count(r->coming, n), peer->name);
	if (r->failed > 0)
		screen_item_fmt(s, &bad, "%s tables could not be filled; agent --status names them: %s", measure_count(r->failed, n), r->why);
}

static bool
print_report(const struct cli *cli, const struct conf_peer *peer, const struct startup_report *r, const struct display *d, struct err *e)
{
	struct screen s;
	bool ok;

	screen_init(&s, cli->colour, WHY_QUOTED_MAX);
	print_text(peer, r, d, &s);
	ok = screen_print(&s, e);
	screen_free(&s);
	return ok;
}

/* --peer, or the only one there is. */
static const struct conf_peer *
choose_peer(const struct cli *cli, const struct conf *conf, struct err *e)
{
	const struct conf_peer *peer = cli->peer == NULL ? NULL : conf_peer(conf, cli->peer);

	if (conf->npeers == 0)
		(void)err_set(e, ERR_CONFIG, "there is no peer: add a [peer NAME] section to %s", conf->path);
	else if (cli->peer != NULL && peer == NULL)
		(void)err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->peer, conf->path);
	else if (cli->peer == NULL && conf->npeers > 1)
		(void)err_set(e, ERR_USAGE, "there are %zu peers: say which one fills this node, with --peer NAME", conf->npeers);
	else if (cli->peer == NULL)
		peer = &conf->peers[0];
	return peer;
}

/* Tables as they are there, and our triggers on them. */
static bool
create_tables(const struct cli *cli, const struct conf *conf, struct drain *d, struct err *e)
{
	struct cli quiet = *cli;
	uint64_t created;

	if (!drain_define(d, cli->force, &created, e))
		return false;
	if (created == 0)
		return true;
	if (!cli->quiet && !cli->json)
		(void)printf("%llu tables created\n", (unsigned long long)created);
	quiet.quiet = true;
	quiet.json = false;
	quiet.peer = NULL;
	return install_run(&quiet, conf, e) == EXIT_DONE;
}

/* A person's Ctrl-C ends between two pages; nothing is lost by a harder end either. */
static void
catch_signals(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof sa);
	sa.sa_handler = on_signal;
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
}

enum exit_code
startup_verb(const struct cli *cli, const struct conf *conf, struct err *e)
{
	const struct conf_peer *peer = choose_peer(cli, conf, e);
	struct display display = { .start_ms = clock_mono_ms() };
	struct startup_options how = { .copy = cli->force, .asked = true, .arg = &display };
	struct startup_report report = { 0 };
	struct drain *d = NULL;
	enum exit_code code;

	if (peer == NULL)
		return cli_exit_code(e);
	catch_signals();
	progress_init(&display.progress, cli->quiet || cli->json);
	how.progress = show;
	code = drain_new(conf, peer, &interrupted, &d, e) && (!cli->create_tables || create_tables(cli, conf, d, e)) && drain_startup(d, &how, &report, e) ? EXIT_DONE : cli_exit_code(e);
	progress_clear(&display.progress);
	if (code != EXIT_DONE && e->code == ERR_STOPPED)
		(void)err_set(e, ERR_STOPPED, "stopped; agent --startup --peer %s goes on where it was", peer->name);
	if (code == EXIT_DONE && report.failed > 0)
		code = EXIT_PERSON;
	if (cli->json)
		print_json(peer, &report, code, e);
	else if (!cli->quiet && e->code == ERR_NONE && !print_report(cli, peer, &report, &display, e))
		code = EXIT_FAILED;
	drain_free(d);
	return code;
}
