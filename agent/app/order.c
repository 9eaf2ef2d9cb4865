/* One direction of an upload folder, once: what would happen is listed first, a person says yes to what would be
 * replaced, then it is done and waited for. */
#include "config.h"

#include "app/order.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/exchange.h"
#include "app/progress.h"
#include "app/running.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "files/arrive.h"
#include "files/itemise.h"
#include "files/order.h"
#include "files/scan.h"
#include "files/tell.h"
#include "wire/line.h"

enum {
	ITEMS_MAX = 1024 * 1024 * 1024, /* bytes of the list that a dry run prints */
	SHOWN_MAX = BENEATH_PATH_MAX * 4 + 1,
	STEP_MS = 200,	       /* between two looks whether all has come */
	ASK_MS = 5000,	       /* peers are reminded, and the order is renewed */
	QUIET_MS = 60 * 1000,  /* nothing came for so long: given up */
	QUIET_ALONE_MS = 3000, /* and no peer could be reached, nor does a daemon run here that one could reach */
	QUIET_CLOSED_MS = 10 * 1000, /* they were asked to come, and none runs (yet) that they could come to */
	NAMES_MAX = 64 * 1024 * 1024
};

struct order {
	const struct cli *cli;
	const struct conf *conf;
	const struct conf_tree *tree;
	struct db *db;
	bool push;
	/* What is to be done. */
	struct buf items;
	uint64_t changes, overwritten;
	/* What came of it. */
	uint64_t contents, bytes, left, failed;
	struct err trouble; /* a peer's */
	enum exit_code code;
	bool reached; /* some peer */
	bool fetched; /* from some peer */
	bool waits;   /* what is for one of them, since it comes itself */
};

static void
note_trouble(struct order *o, const struct err *e)
{
	enum exit_code code = cli_exit_code(e);

	if (o->code == EXIT_DONE || (o->code == EXIT_PEER && code != EXIT_PEER)) {
		o->trouble = *e;
		o->code = code;
	}
}

/* --- what is to be done --- */

static void
put_path(struct order *o, const struct listing_row *row, const struct item *item)
{
	const char *link = item->kind != 'l' ? NULL : o->push ? row->link_here : row->link;
	char path[SHOWN_MAX], to[SHOWN_MAX];

	(void)text_escape(row->path, row->len, path, sizeof path);
	if (o->cli->json) {
		buf_fmt(&o->items, "%s{\"letters\":\"%s\",\"path\":", o->items.len > 0 ? "," : "", item->letters);
		if (line_is_utf8(row->path, row->len))
			line_quote(&o->items, row->path, row->len);
		else
			line_quote(&o->items, path, strlen(path));
		buf_char(&o->items, '}');
		return;
	}
	buf_fmt(&o->items, "%s %s%s", item->letters, path, item->kind == 'd' ? "/" : "");
	if (link != NULL) {
		(void)text_escape(link, strlen(link), to, sizeof to);
		buf_fmt(&o->items, " -> %s", to);
	}
	buf_char(&o->items, '\n');
}

struct preview {
	struct order *order;
	struct tree *tree;
};

static bool
on_unlike(void *arg, const struct listing_row *row, struct err *e)
{
	struct preview *p = arg;
	struct item item;

	(void)e;
	if (!itemise(p->order->push, row, &p->tree->looks, &item) || exclude_path(p->tree->exclude, row->path, item.kind == 'd'))
		return true;
	p->order->changes++;
	p->order->overwritten += item.overwrites;
	put_path(p->order, row, &item);
	return true;
}

static bool
open_tree(struct order *o, struct tree **t, struct err *e)
{
	enum fate f;

	*t = NULL;
	f = tree_open(o->db, o->conf, o->tree, TREE_LOCK_MS, t, e);
	if (f == FATE_OFFLINE)
		e->code = ERR_HELD; /* a person has to see to the folder */
	if (f != FATE_DONE)
		return false;
	return tree_order(*t, o->push ? TREE_PUSH : TREE_PULL, e);
}

/* The folder is looked at; of a dry run not even that is remembered. */
static bool
look_ahead(struct order *o, struct err *e)
{
	struct preview p = { .order = o };
	struct scan_report scan;
	bool ok = open_tree(o, &p.tree, e) && (!o->cli->dry_run || db_begin(o->db, e));

	ok = ok && scan_run(p.tree, &scan, e) && listing_unlike(p.tree->list, &p.tree->looks, on_unlike, &p, e) && buf_check(&o->items, "the list of files", e);
	if (o->cli->dry_run)
		db_rollback(o->db);
	tree_close(p.tree);
	return ok;
}

/* On a terminal a person is asked, a script has to have said it. */
static bool
confirm(const struct order *o, struct err *e)
{
	char said[16] = "";

	if (o->overwritten == 0 || o->cli->yes)
		return true;
	if (isatty(STDIN_FILENO) != 1)
		return err_set(e, ERR_USAGE, "%llu files would be replaced %s: nothing was done; --dry-run lists them, --yes says that they may be",
		    (unsigned long long)o->overwritten, o->push ? "at the peers" : "here");
	(void)fprintf(stderr, "tree %s: %llu files would be replaced %s (they are kept in the trash there). Go on? [y/N] ", o->tree->name,
	    (unsigned long long)o->overwritten, o->push ? "at the peers" : "here");
	(void)fflush(stderr);
	if (fgets(said, sizeof said, stdin) != NULL && (strcmp(said, "y\n") == 0 || strcmp(said, "yes\n") == 0))
		return true;
	return err_set(e, ERR_STOPPED, "nothing was done");
}

/* --- push --- */

static bool
tell(struct order *o, struct err *e)
{
	struct tree *t = NULL;
	struct scan_report scan;
	struct tell_report told;
	bool ok = open_tree(o, &t, e) && scan_run(t, &scan, e) && tell_run(t, &told, e);

	tree_close(t);
	o->left = ok ? scan.later : 0;
	return ok;
}

static void
send_to(struct order *o, const struct conf_peer *peer)
{
	struct exchange to = { .waits = false };
	struct drain *d = NULL;
	struct err e = { 0 };

	if (!drain_new(o->conf, peer, NULL, &d, &e) || !exchange_send(o->conf, d, &to, &e))
		note_trouble(o, &e);
	else if (!to.waits)
		o->reached = true;
	o->waits = o->waits || to.waits;
	o->contents += to.files.contents;
	o->bytes += to.files.bytes;
	if (to.waits)
		cli_say(o->cli, INK_PLAIN, "peer %s has no url here: what is for it waits until it comes for it (agent --serve must run here)", peer->name);
	drain_free(d);
}

static bool
push(struct order *o, struct err *e)
{
	if (!tell(o, e))
		return false;
	for (size_t i = 0; i < o->conf->npeers; i++)
		if (!o->conf->peers[i].paused)
			send_to(o, &o->conf->peers[i]);
	return true;
}

/* --- pull --- */

static bool
ignore_wish(void *arg, const struct arrive_want *w, struct err *e)
{
	(void)arg;
	(void)w;
	(void)e;
	return true;
}

/* What comes to the folder from the processes that receive shows in its temporaries. */
static uint64_t
coming(const struct tree *t)
{
	struct file_facts facts;
	uint64_t sum = 0;
	struct buf names, path;
	struct err e;

	buf_init(&names, NAMES_MAX);
	if (beneath_list(t->root, ".sync/tmp", &names, &e) == FATE_DONE)
		for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1) {
			buf_init(&path, BENEATH_PATH_MAX);
			buf_fmt(&path, ".sync/tmp/%s", names.data + at);
			if (beneath_look(t->root, buf_cstr(&path), &facts, &e) == FATE_DONE)
				sum += (uint64_t)facts.mtime_ns + facts.size;
			buf_free(&path);
		}
	buf_free(&names);
	return sum;
}

/* Everything that needs no peer; *left: what does. */
static bool
settle(struct order *o, uint64_t *sign, struct err *e)
{
	struct arrive_report report;
	struct arrival *a = NULL;
	struct tree *t = NULL;
	bool ok = open_tree(o, &t, e) && arrive_new(t, &a, e) && arrive_settle(a, ignore_wish, NULL, &report, e);

	if (ok) {
		o->left = report.wants;
		o->failed = report.failed;
		*sign = coming(t);
	}
	arrive_free(a);
	tree_close(t);
	return ok;
}

/* Fetch where it is fetched; else have the peer ask. */
static void
call_peer(struct order *o, const struct conf_peer *peer)
{
	struct fetch_report fetched;
	struct carry_report carried;
	struct drain *d = NULL;
	struct err e = { 0 };
	bool ok = exchange_fetch(o->conf, peer, &fetched, &e);

	if (ok && !peer->pull) {
		ok = drain_new(o->conf, peer, NULL, &d, &e) && (!drain_has_way(d) || drain_files(d, &carried, &e));
		o->reached = o->reached || (ok && drain_has_way(d));
		drain_free(d);
	} else {
		o->reached = o->reached || ok;
		o->fetched = o->fetched || (ok && peer->pull);
	}
	if (!ok)
		note_trouble(o, &e);
}

static void
call_peers(struct order *o)
{
	o->code = EXIT_DONE;
	for (size_t i = 0; i < o->conf->npeers; i++)
		if (!o->conf->peers[i].paused)
			call_peer(o, &o->conf->peers[i]);
}

/* Can contents come at all: by fetching them, or to a daemon here? */
static bool
has_way(const struct order *o)
{
	return o->fetched || running_is(o->conf);
}

static int64_t
patience(const struct order *o)
{
	return has_way(o) ? QUIET_MS : o->reached ? QUIET_CLOSED_MS : QUIET_ALONE_MS;
}

/* Until all has come, or nothing comes any more. */
static bool
wait_for_all(struct order *o, struct progress *progress, struct err *e)
{
	int64_t ask_at = 0, quiet_since = clock_mono_ms();
	uint64_t sign = 0, before = 0, left = 0;

	for (;;) {
		if (!settle(o, &sign, e))
			return false;
		if (o->left == 0)
			return true;
		progress_show(progress, o->changes > o->left ? o->changes - o->left : 0, o->changes, "files");
		if (clock_mono_ms() >= ask_at) {
			if (!order_pull(o->db, o->tree->name, e))
				return false;
			call_peers(o);
			ask_at = clock_mono_ms() + ASK_MS;
		}
		if (sign != before || o->left != left)
			quiet_since = clock_mono_ms();
		before = sign;
		left = o->left;
		if (clock_mono_ms() - quiet_since >= patience(o))
			return true;
		clock_nap_ms(STEP_MS);
	}
}

static void
give_up(struct order *o)
{
	unsigned long long left = o->left;

	if (has_way(o))
		(void)err_set(&o->trouble, ERR_PEER, "tree %s: %llu contents did not come: no peer that could be reached has them", o->tree->name, left);
	else
		(void)err_set(&o->trouble, ERR_PEER, "tree %s: %llu contents did not come: no agent --serve runs here that peers could bring them to, and none is fetched from (pull = yes)",
		    o->tree->name, left);
	o->code = EXIT_PEER;
}

static bool
pull(struct order *o, struct err *e)
{
	struct progress progress;
	struct err other;
	bool ok;

	progress_init(&progress, o->cli->quiet);
	progress_begin(&progress, o->tree->name);
	ok = order_pull(o->db, o->tree->name, e) && wait_for_all(o, &progress, e);
	progress_clear(&progress);
	if (!order_end(o->db, o->tree->name, &other))
		log_warning(NULL, "tree %s: %s", o->tree->name, other.msg);
	if (ok && o->left == 0 && (o->changes > 0 || o->reached))
		o->code = EXIT_DONE; /* from whom it came is all the same */
	else if (ok && o->left > 0 && o->code == EXIT_DONE)
		give_up(o);
	return ok;
}

/* --- the verbs --- */

static bool
begin(struct order *o, struct err *e)
{
	struct node_identity node;

	o->tree = conf_tree(o->conf, o->cli->argument);
	if (o->tree == NULL)
		return err_set(e, ERR_USAGE, "there is no [tree %.60s] in %s", o->cli->argument, o->conf->path);
	if (o->push && !conf_tree_sends(o->conf, o->tree))
		return err_set(e, ERR_USAGE, "tree %s only takes files on this node (mode = %s): run agent --push there where they come from, or --pull here", o->tree->name,
		    o->tree->mode_text);
	if (o->conf->npeers == 0)
		return err_set(e, ERR_CONFIG, "there is no peer: add a [peer NAME] section to %s", o->conf->path);
	return db_open(&o->conf->database, &o->db, e) && schema_enter(o->db, o->conf, &node, e);
}

static void
print_json(const struct order *o)
{
	(void)printf("{\"tree\":\"%s\",\"direction\":\"%s\",\"dry_run\":%s,\"changes\":[", o->tree->name, o->push ? "push" : "pull", o->cli->dry_run ? "true" : "false");
	(void)fwrite(buf_cstr(&o->items), 1, o->items.len, stdout);
	(void)printf("],\"replaced\":%llu,\"left\":%llu,\"failed\":%llu,\"contents\":%llu,\"bytes\":%llu}\n", (unsigned long long)o->overwritten, (unsigned long long)o->left,
	    (unsigned long long)o->failed, (unsigned long long)o->contents, (unsigned long long)o->bytes);
}

static void
print_files(const struct order *o)
{
	const char *name = o->tree->name, *where = o->push ? "at the peers" : "here";
	unsigned long long changes = o->changes, overwritten = o->overwritten;

	if (o->push && o->changes > 0 && (o->code != EXIT_DONE || o->waits || !o->reached))
		cli_say(o->cli, INK_WARN, "tree %s: %llu paths wait for peers that were not reached", name, changes);
	else if (!o->push && o->left > 0)
		cli_say(o->cli, INK_WARN, "tree %s: %llu of %llu paths pulled", name, changes > o->left ? changes - o->left : 0, changes);
	else if (o->changes > 0)
		cli_say(o->cli, o->left + o->failed > 0 ? INK_WARN : INK_GOOD, "tree %s: %llu paths %s, %llu files replaced %s", name,
		    changes, o->push ? "pushed" : "pulled", overwritten, where);
	else if (o->code == EXIT_DONE) /* else the trouble is told */
		cli_say(o->cli, INK_GOOD, "tree %s: nothing %sto %s", name, o->contents > 0 ? "new " : "", o->push ? "push" : "pull");
}

static void
print_done(const struct order *o)
{
	if (o->cli->json) {
		print_json(o);
		return;
	}
	if (o->cli->quiet)
		return;
	if (o->cli->dry_run) {
		(void)fwrite(buf_cstr(&o->items), 1, o->items.len, stdout);
		return;
	}
	print_files(o);
	if (o->push && o->contents > 0)
		cli_say(o->cli, INK_PLAIN, "%llu contents sent, %llu bytes", (unsigned long long)o->contents, (unsigned long long)o->bytes);
	if (o->push && o->left > 0)
		cli_say(o->cli, INK_WARN, "%llu files are being written, and left for the next time", (unsigned long long)o->left);
	if (!o->push && o->left > 0)
		cli_say(o->cli, INK_WARN, "%llu of them have not come", (unsigned long long)o->left);
	if (o->failed > 0)
		cli_say(o->cli, INK_WARN, "%llu paths wait: agent --trees says why", (unsigned long long)o->failed);
}

/* Rows that peers have for this node come first: they say what there is to be pulled. */
static bool
carry_out(struct order *o, struct err *e)
{
	if (!o->push && !o->cli->dry_run)
		call_peers(o);
	if (!look_ahead(o, e))
		return false;
	if (o->cli->dry_run) {
		o->code = EXIT_DONE;
		return true;
	}
	if (!confirm(o, e))
		return false;
	return o->push ? push(o, e) : pull(o, e);
}

static enum exit_code
order(const struct cli *cli, const struct conf *conf, bool is_push, struct err *e)
{
	struct order o = { .cli = cli, .conf = conf, .push = is_push, .code = EXIT_DONE };
	bool ok;

	buf_init(&o.items, ITEMS_MAX);
	ok = begin(&o, e) && carry_out(&o, e);
	if (ok)
		print_done(&o);
	if (ok && o.code != EXIT_DONE)
		*e = o.trouble;
	buf_free(&o.items);
	db_close(o.db);
	if (ok && !cli->dry_run)
		exchange_after(conf);
	return !ok ? cli_exit_code(e) : o.code != EXIT_DONE ? o.code : o.failed > 0 ? EXIT_PERSON : EXIT_DONE;
}

enum exit_code
push_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	return order(cli, conf, true, e);
}

enum exit_code
pull_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	return order(cli, conf, false, e);
}
