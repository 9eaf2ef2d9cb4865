/* --startup. Lives here: which peer, what a terminal shows meanwhile, what is printed at the end. Not here: the work
 * (sync/startup). */
#include "app/startup.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app/install.h"
#include "app/progress.h"
#include "app/visitor.h"
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
	if (created > 0)
		cli_say(cli, INK_GOOD, "%llu tables created", (unsigned long long)created);
	quiet.quiet = true; /* where a run before this one was killed, its tables have no triggers yet */
	quiet.json = false;
	quiet.peer = NULL;
	return install_run(&quiet, conf, e) == EXIT_DONE;
}

/* --- the dry run --- */

/* What is found is printed table by table. */
struct outlook {
	const struct cli *cli;
	const struct conf_peer *peer;
	struct progress progress;
	uint64_t copied;
	size_t failed, missing, tables;
};

static void
put_text(const char *name, const char *text)
{
	struct buf out;

	buf_init(&out, WHY_QUOTED_MAX);
	line_quote(&out, text, strlen(text));
	(void)printf("\"%s\":%s", name, text[0] == '\0' ? "null" : buf_cstr(&out));
	buf_free(&out);
}

static void
print_table_json(const struct outlook *o, const struct prospect_table *t)
{
	const struct compare_result *r = &t->found;

	(void)fputs(o->tables > 0 ? ",{" : "{", stdout);
	put_text("table", t->table);
	(void)printf(",\"missing\":%s,\"records\":%llu,\"missing_here\":%llu,\"missing_there\":%llu,\"different\":%llu,\"busy\":%llu,\"pending\":%llu,",
	    t->missing ? "true" : "false", (unsigned long long)r->records, (unsigned long long)r->only_there, (unsigned long long)r->only_here,
	    (unsigned long long)r->different, (unsigned long long)r->busy, (unsigned long long)r->pending);
	put_text("error", t->problem == NULL ? "" : t->problem);
	(void)putchar('}');
}

static void
print_line(const struct cli *cli, uint64_t n, const char *what, const char *whose)
{
	if (n > 0)
		cli_say(cli, INK_PLAIN, "  %llu %s%s", (unsigned long long)n, what, whose);
}

static void
print_table(const struct outlook *o, const struct prospect_table *t)
{
	const struct compare_result *r = &t->found;
	const char *peer = o->peer->name;
	struct cli loud = *o->cli;
	bool equal = r->only_there + r->only_here + r->different + r->busy + r->pending == 0;

	loud.quiet = false; /* a problem is said to those, too, who want quiet */
	if (t->missing || t->problem != NULL) {
		cli_say(&loud, t->problem != NULL ? INK_BAD : INK_WARN, "%s: %s", t->table,
		    t->problem != NULL ? t->problem : o->cli->create_tables ? "missing here: created, and all its rows copied" : "missing here: not filled without --create-tables");
		return;
	}
	cli_say(o->cli, equal ? INK_GOOD : INK_PLAIN, "%s: %llu rows here%s", t->table, (unsigned long long)r->records, equal ? ", equal" : "");
	print_line(o->cli, r->only_there, "to be copied from ", peer);
	if (o->cli->force) {
		print_line(o->cli, r->only_here, "only here: removed, and kept in the conflict store", "");
		print_line(o->cli, r->different + r->busy + r->pending, "that differ: replaced, ours are kept; from ", peer);
		return;
	}
	print_line(o->cli, r->only_here, "only here: they stay, and are sent to ", peer);
	print_line(o->cli, r->different, "that differ: the later version that is known stays, else that of ", peer);
	print_line(o->cli, r->busy, "changed there: they come as changes of ", peer);
	print_line(o->cli, r->pending, "changed here and not sent yet: they stay, and are sent to ", peer);
}

static void
on_table(const struct prospect_table *t, void *arg)
{
	struct outlook *o = arg;

	progress_clear(&o->progress);
	if (o->cli->json)
		print_table_json(o, t);
	else if (!o->cli->quiet || t->problem != NULL)
		print_table(o, t);
	o->tables++;
	o->copied += t->found.only_there;
	o->failed += t->problem != NULL;
	o->missing += t->missing;
}

static void
on_look(const char *table, uint64_t records, void *arg)
{
	struct outlook *o = arg;

	progress_begin(&o->progress, table);
	progress_show(&o->progress, records, 0, "records");
}

static void
print_end(const struct outlook *o, const struct prospect *p, enum exit_code code, const struct err *e)
{
	if (o->cli->json) {
		(void)printf("],\"begins_anew\":%s,\"goes_on\":%s,", p->anew ? "true" : "false", p->goes_on ? "true" : "false");
		put_text("why", p->why);
		(void)printf(",\"exit_code\":%d,", (int)code);
		put_text("error", e->msg);
		(void)puts("}");
		return;
	}
	if (o->cli->quiet || e->code != ERR_NONE)
		return;
	if (p->anew)
		cli_say(o->cli, INK_WARN, "the link would begin anew: %s", p->why);
	if (p->goes_on)
		cli_say(o->cli, INK_PLAIN, "a startup that was cut would go on");
	cli_say(o->cli, INK_STRONG, "%llu rows would be copied from peer %s, and %zu tables are missing here; nothing was changed", (unsigned long long)o->copied, o->peer->name, o->missing);
}

/* A drain with a way to the peer. */
static bool
begin(const struct cli *cli, const struct conf *conf, const struct conf_peer *peer, struct drain **d, struct guest **g, struct err *e)
{
	*g = NULL;
	if (!drain_new(conf, peer, &interrupted, d, e) || !visitor_wait(cli, conf, peer, &interrupted, g, e))
		return false;
	drain_use_guest(*d, *g);
	return true;
}

/* What would be done, while nothing is. */
static enum exit_code
foretell(const struct cli *cli, const struct conf *conf, const struct conf_peer *peer, struct err *e)
{
	struct outlook o = { .cli = cli, .peer = peer };
	struct prospect p = { .copy = cli->force, .visit = on_table, .arg = &o };
	struct drain *d = NULL;
	struct guest *g;
	enum exit_code code;

	progress_init(&o.progress, cli->quiet || cli->json);
	p.progress = on_look;
	if (cli->json)
		(void)printf("{\"peer\":\"%s\",\"dry_run\":true,\"tables\":[", peer->name);
	code = begin(cli, conf, peer, &d, &g, e) && drain_prospect(d, &p, e) ? EXIT_DONE : cli_exit_code(e);
	progress_clear(&o.progress);
	if (code == EXIT_DONE && o.failed > 0)
		code = EXIT_PERSON;
	print_end(&o, &p, code, e);
	drain_free(d);
	guest_free(g);
	return code;
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
	struct guest *g;

	if (peer == NULL)
		return cli_exit_code(e);
	catch_signals();
	if (cli->dry_run)
		return foretell(cli, conf, peer, e);
	progress_init(&display.progress, cli->quiet || cli->json);
	how.progress = show;
	code = begin(cli, conf, peer, &d, &g, e) && (!cli->create_tables || create_tables(cli, conf, d, e)) && drain_startup(d, &how, &report, e) ? EXIT_DONE : cli_exit_code(e);
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
	guest_free(g);
	return code;
}
