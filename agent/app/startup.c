/* --startup. Lives here: which peer, what a terminal shows meanwhile, what is printed at the end. Not here: the work
 * (sync/startup). */
#include "app/startup.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/install.h"
#include "base/clock.h"
#include "base/log.h"
#include "sync/drain.h"
#include "wire/line.h"

enum {
	PROGRESS_MS = 500,
	WHY_QUOTED_MAX = 8 * ERR_MSG_MAX
};

/* What a terminal shows. */
struct display {
	int64_t start_ms, shown_ms;
	int64_t table_ms; /* when the table began */
	size_t done;	  /* tables before it */
	bool shown;
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
	int64_t now = clock_mono_ms(), ms;
	uint64_t rate;

	if (d->table_ms == 0 || d->done != p->done) {
		d->table_ms = now;
		d->done = p->done;
	}
	if (now - d->shown_ms < PROGRESS_MS)
		return;
	d->shown_ms = now;
	d->shown = true;
	ms = now - d->table_ms;
	rate = ms > 0 ? p->records * 1000 / (uint64_t)ms : 0;
	(void)fprintf(stderr, "\rtable %zu of %zu, %s: %llu records", p->done + 1, p->tables, p->table, (unsigned long long)p->records);
	if (p->about > p->records)
		(void)fprintf(stderr, " of about %llu", (unsigned long long)p->about);
	(void)fprintf(stderr, ", %llu a second", (unsigned long long)rate);
	if (rate > 0 && p->about > p->records)
		(void)fprintf(stderr, ", about %llu s left", (unsigned long long)((p->about - p->records) / rate));
	(void)fputs("\033[K", stderr);
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
print_text(const struct conf_peer *peer, const struct startup_report *r, const struct display *d)
{
	(void)printf("filled from peer %s: %llu tables, %llu rows copied in %.1f s\n", peer->name, (unsigned long long)r->tables, (unsigned long long)r->copied,
	    (double)(clock_mono_ms() - d->start_ms) / 1000.0);
	if (r->removed > 0)
		(void)printf("  %llu rows that only this node had are kept in the conflict store (agent --conflicts)\n", (unsigned long long)r->removed);
	if (r->sent > 0)
		(void)printf("  %llu records that only this node has, or has in a later version, are sent with the next drain\n", (unsigned long long)r->sent);
	if (r->coming > 0)
		(void)printf("  %llu records come with the next drain of %s\n", (unsigned long long)r->coming, peer->name);
	if (r->failed > 0)
		(void)printf("  %llu tables could not be filled; agent --status names them: %s\n", (unsigned long long)r->failed, r->why);
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
	how.progress = !cli->quiet && !cli->json && isatty(STDERR_FILENO) == 1 ? show : NULL;
	code = drain_new(conf, peer, &interrupted, &d, e) && (!cli->create_tables || create_tables(cli, conf, d, e)) && drain_startup(d, &how, &report, e) ? EXIT_DONE : cli_exit_code(e);
	if (display.shown)
		(void)fputs("\r\033[K", stderr);
	if (code != EXIT_DONE && e->code == ERR_STOPPED)
		(void)err_set(e, ERR_STOPPED, "stopped; agent --startup --peer %s goes on where it was", peer->name);
	if (code == EXIT_DONE && report.failed > 0)
		code = EXIT_PERSON;
	if (cli->json)
		print_json(peer, &report, code, e);
	else if (!cli->quiet && e->code == ERR_NONE)
		print_text(peer, &report, &display);
	drain_free(d);
	return code;
}
