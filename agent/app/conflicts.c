/* Kept conflicts for people and programs. Lives here: how they look. Not here: their SQL and the decision
 * (apply/inbox). */
#include "app/conflicts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apply/kept.h"
#include "base/measure.h"
#include "base/sheet.h"
#include "base/text.h"
#include "capture/guard.h"
#include "change/mark.h"
#include "files/beneath.h"
#include "files/beside.h"
#include "files/tend.h"
#include "files/tree.h"

enum {
	HEAD_MAX = 160,		    /* node, age and a few words */
	HASH_SHOWN = 8,		    /* bytes of a content's hash that tell two versions apart */
	FACT_MAX = 64,
	NS_A_S = 1000 * 1000 * 1000,
	TEXT_MAX = 64 * 1024 * 1024 /* one conflict, values cut to CONFLICTS_SHOWN */
};

/* --- differing columns --- */

static const struct line_value deleted; /* marks a side without the row */

static void
put_shown(char *out, size_t size, const struct line_value *v)
{
	char shown[CONFLICTS_SHOWN];

	if (v == NULL)
		(void)snprintf(out, size, "(no such column)");
	else if (v == &deleted)
		(void)snprintf(out, size, "(deleted)");
	else if (v->data == NULL)
		(void)snprintf(out, size, "NULL");
	else {
		(void)text_escape(v->data, v->len, shown, sizeof shown);
		(void)snprintf(out, size, "\"%s\"", shown);
	}
}

static void
name_difference(struct buf *json, const char *name)
{
	buf_str(json, json->data[json->len - 1] == '[' ? "" : ",");
	line_quote(json, name, strlen(name));
}

/* In a row of the table for people. */
static void
show_difference(struct sheet *to, const char *name, const struct line_value *local, const struct line_value *remote)
{
	char shown[2][CONFLICTS_SHOWN + 8];

	put_shown(shown[0], sizeof shown[0], local);
	put_shown(shown[1], sizeof shown[1], remote);
	sheet_cell(to, INK_STRONG, name);
	sheet_cell(to, INK_PLAIN, shown[0]);
	sheet_cell(to, INK_PLAIN, shown[1]);
}

/* Each column that differs, in the order of the local version, then what only the remote one has. */
static void
put_differences(const struct kept *local, const struct kept *remote, struct buf *json, struct sheet *to)
{
	for (size_t i = 0; i < local->n; i += 2) {
		const struct line_value *other = remote->n == 0 ? &deleted : kept_value(remote, local->pairs[i].data);

		if (other != &deleted && kept_same(&local->pairs[i + 1], other))
			continue;
		if (to != NULL)
			show_difference(to, local->pairs[i].data, &local->pairs[i + 1], other);
		else if (other != &deleted)
			name_difference(json, local->pairs[i].data);
	}
	for (size_t i = 0; i < remote->n; i += 2) {
		if (local->n > 0 && kept_value(local, remote->pairs[i].data) != NULL)
			continue;
		if (to != NULL)
			show_difference(to, remote->pairs[i].data, local->n == 0 ? &deleted : NULL, &remote->pairs[i + 1]);
		else if (local->n > 0)
			name_difference(json, remote->pairs[i].data);
	}
}

/* As a JSON array of names. */
static bool
find_differences(const struct inbox_conflict *c, struct buf *json, struct err *e)
{
	struct kept local = { 0 }, remote = { 0 };
	bool ok = kept_parse(&c->local, &local, e) && kept_parse(&c->remote, &remote, e);

	if (ok)
		put_differences(&local, &remote, json, NULL);
	kept_free(&local);
	kept_free(&remote);
	return ok;
}

/* --- a file of an upload folder --- */

#define LISTINGS "sync_file_" /* so begin the names of the folders' lists */

/* A deletion stands against no change that it did not know of (files/verdict), whatever the rule has said of the rows. */
static const char *
kept_of_file(const struct inbox_conflict *c)
{
	struct kept local = { 0 }, remote = { 0 };
	const char *kept = NULL;
	struct err e;

	if (strncmp(c->table, LISTINGS, sizeof LISTINGS - 1) == 0 && kept_parse(&c->local, &local, &e) && kept_parse(&c->remote, &remote, &e) &&
	    beside_is_gone(&local) != beside_is_gone(&remote))
		kept = beside_is_gone(&local) ? "remote" : "local";
	kept_free(&local);
	kept_free(&remote);
	return kept;
}

/* "2026-11-21 16:30:00" of nanoseconds, UTC; "" = there is no such time. */
void
conflicts_time(const struct line_value *ns, char *out, size_t size)
{
	time_t at = (time_t)(strtoll(ns->data, NULL, 10) / NS_A_S);
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL || strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		out[0] = '\0';
}

/* A column of the list as a person reads it. */
static void
put_fact(char *out, size_t size, const char *name, const struct line_value *v)
{
	char shown[CONFLICTS_SHOWN], *p = shown;

	out[0] = '\0';
	if (v == NULL || v->data == NULL)
		return;
	if (strcmp(name, "mtime_ns") == 0)
		conflicts_time(v, out, size);
	else if (strcmp(name, "mode") == 0)
		(void)snprintf(out, size, "%lo", strtoul(v->data, NULL, 10));
	else if (strcmp(name, "content") == 0) {
		for (size_t i = 1; i < v->len && i <= HASH_SHOWN; i++)
			p += snprintf(p, 3, "%02x", (unsigned char)v->data[i]);
		*p = '\0';
		(void)snprintf(out, size, "%s", v->data[0] == 'd' ? "(directory)" : shown);
	} else {
		(void)text_escape(v->data, v->len, shown, sizeof shown);
		(void)snprintf(out, size, "%s", shown);
	}
}

/* What differs, in words for people; --json has the columns as they are. */
static void
put_facts(struct sheet *to, const struct kept *local, const struct kept *remote)
{
	static const struct {
		const char *column, *word;
	} facts[] = { { "size", "bytes" }, { "mtime_ns", "time" }, { "mode", "mode" }, { "link", "leads to" }, { "content", "hash" } };
	const struct kept *sides[] = { local, remote };

	for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
		const struct line_value *v[] = { kept_value(local, facts[i].column), kept_value(remote, facts[i].column) };
		char shown[CONFLICTS_SHOWN + FACT_MAX];

		if (v[0] == NULL || v[1] == NULL || kept_same(v[0], v[1]))
			continue;
		sheet_cell(to, INK_STRONG, facts[i].word);
		for (size_t k = 0; k < 2; k++) {
			put_fact(shown, sizeof shown, facts[i].column, beside_is_gone(sides[k]) ? NULL : v[k]);
			sheet_cell(to, INK_PLAIN, shown);
		}
	}
}

/* --- listing --- */

struct listing {
	const struct cli *cli;
	const struct conf *conf;
	bool files; /* one of an upload folder was shown */
	uint64_t n;
};

bool
conflicts_is_undecided(const struct inbox_conflict *c)
{
	return strcmp(c->verdict, "ask") == 0 && c->resolved_at == NULL;
}

const char *
conflicts_kept(const struct inbox_conflict *c)
{
	const char *of_file;

	if (c->resolution != NULL)
		return c->resolution;
	if (strcmp(c->verdict, "ask") == 0)
		return "none";
	of_file = kept_of_file(c);
	if (of_file != NULL)
		return of_file;
	return strcmp(c->verdict, "apply") == 0 ? "remote" : strcmp(c->verdict, "merge") == 0 ? "both" : "local";
}

static void
put_version_json(struct buf *out, const char *name, const struct inbox_version *v)
{
	buf_fmt(out, ",\"%s\":{\"node\":\"%s\"", name, v->node);
	line_member(out, "changed_at", v->changed_at, strlen(v->changed_at));
	buf_str(out, ",\"row\":");
	if (v->row == NULL)
		buf_str(out, "null");
	else
		buf_put(out, v->row, v->row_len);
	buf_char(out, '}');
}

static bool
put_json(const struct inbox_conflict *c, struct buf *out, struct err *e)
{
	buf_fmt(out, "{\"id\":%llu", (unsigned long long)c->id);
	line_member(out, "at", c->happened_at, strlen(c->happened_at));
	line_member(out, "peer", c->peer, strlen(c->peer));
	line_member(out, "table", c->table, strlen(c->table));
	line_member(out, "record_id", c->key, c->key_len);
	line_member(out, "rule", c->rule, strlen(c->rule));
	buf_fmt(out, ",\"kept\":\"%s\",\"undecided\":%s", conflicts_kept(c), conflicts_is_undecided(c) ? "true" : "false");
	put_version_json(out, "local", &c->local);
	put_version_json(out, "remote", &c->remote);
	buf_str(out, ",\"differs\":");
	buf_char(out, '[');
	if (!find_differences(c, out, e))
		return false;
	buf_char(out, ']');
	line_member(out, "resolved_at", c->resolved_at, c->resolved_at == NULL ? 0 : strlen(c->resolved_at));
	buf_char(out, '}');
	return true;
}

/* "local: anna, 2 h ago (kept)" */
static void
put_head(char *out, size_t size, const char *side, const struct inbox_version *v, bool gone, bool kept)
{
	char age[MEASURE_MAX];

	(void)snprintf(out, size, "%s: %s, %s%s%s", side, v->node, measure_age(v->changed_at, age), gone ? ", deleted" : "", kept ? " (kept)" : "");
}

/* How it came to an end, where the rule alone does not say it. */
static const char *
ending(const struct inbox_conflict *c)
{
	if (conflicts_is_undecided(c))
		return ", NOT DECIDED";
	if (inbox_is_unique(c) && strcmp(c->verdict, "keep") == 0 && strcmp(conflicts_kept(c), "local") == 0)
		return "";
	return c->resolution != NULL ? ", decided by a person" : c->resolved_at != NULL ? ", ended by itself" : "";
}

/* The path of a file that is in conflict, for people; "" = it is no row of a folder's list. */
static bool
file_of(const struct inbox_conflict *c, const struct conf *conf, char *out, size_t size, struct err *e)
{
	const struct inbox_version *v = c->local.row != NULL ? &c->local : &c->remote;
	const struct conf_tree *t = conf_tree_of_listing(conf, c->table);
	const struct line_value *path;
	struct kept p = { 0 };
	char shown[CONFLICTS_SHOWN * 2];
	bool ok;

	out[0] = '\0';
	if (t == NULL)
		return true;
	ok = kept_parse(v, &p, e);
	path = ok ? kept_value(&p, "path") : NULL;
	if (path != NULL && path->data != NULL) {
		(void)text_escape(path->data, path->len, shown, sizeof shown);
		(void)snprintf(out, size, "tree %s, %s", t->name, shown);
	}
	kept_free(&p);
	return ok;
}

/* Both versions side by side. */
static bool
put_versions(const struct inbox_conflict *c, bool file, struct screen *s, struct err *e)
{
	const char *kept = conflicts_kept(c);
	char head[2][HEAD_MAX];
	const struct sheet_column columns[] = { { file ? "file" : "column", false, true }, { head[0], false, true }, { head[1], false, true } };
	struct kept local = { 0 }, remote = { 0 };
	struct sheet t;
	bool ok = kept_parse(&c->local, &local, e) && kept_parse(&c->remote, &remote, e);

	if (ok) {
		put_head(head[0], sizeof head[0], "local", &c->local, c->local.row == NULL || (file && beside_is_gone(&local)), strcmp(kept, "local") == 0);
		put_head(head[1], sizeof head[1], "remote", &c->remote, c->remote.row == NULL || (file && beside_is_gone(&remote)), strcmp(kept, "remote") == 0);
		sheet_init(&t, columns, sizeof columns / sizeof columns[0]);
		t.indent = 2;
		if (file)
			put_facts(&t, &local, &remote);
		else
			put_differences(&local, &remote, NULL, &t);
		sheet_put(&t, s);
		sheet_free(&t);
	}
	kept_free(&local);
	kept_free(&remote);
	return ok;
}

static bool
put_text(const struct inbox_conflict *c, struct listing *l, struct screen *s, struct err *e)
{
	bool open = conflicts_is_undecided(c);
	char key[CONFLICTS_SHOWN * 2], at[MEASURE_MAX], file[CONFLICTS_SHOWN * 3];
	const struct screen_item facts = { .indent = 2, .column = 2, .ink = INK_FAINT };

	if (!file_of(c, l->conf, file, sizeof file, e))
		return false;
	l->files = l->files || file[0] != '\0';
	(void)text_escape(c->key, c->key_len, key, sizeof key);
	if (file[0] != '\0')
		screen_fmt(s, open ? INK_BAD : INK_STRONG, "%llu: %s%s", (unsigned long long)c->id, file, ending(c));
	else
		screen_fmt(s, open ? INK_BAD : INK_STRONG, "%llu: table %s, record %s%s", (unsigned long long)c->id, c->table, key, ending(c));
	screen_item_fmt(s, &facts, "%s, with peer %s, rule %s", measure_age(c->happened_at, at), c->peer, c->rule);
	if (inbox_is_unique(c))
		screen_item(s, &facts, "local is another row, which has the same unique value: only one of the two can have it");
	return put_versions(c, file[0] != '\0', s, e);
}

static bool
print_json(const struct inbox_conflict *c, struct listing *l, struct err *e)
{
	struct buf out;
	bool ok;

	buf_init(&out, INBOX_ROW_MAX);
	if (l->n > 0)
		buf_char(&out, ',');
	ok = put_json(c, &out, e) && buf_check(&out, "a conflict", e);
	if (ok)
		(void)fwrite(buf_cstr(&out), 1, out.len, stdout);
	buf_free(&out);
	return ok;
}

static bool
print_text(const struct inbox_conflict *c, struct listing *l, struct err *e)
{
	struct screen s;
	bool ok;

	if (l->cli->quiet)
		return true;
	screen_init(&s, l->cli->colour, TEXT_MAX);
	if (l->n > 0)
		screen_gap(&s);
	ok = put_text(c, l, &s, e) && screen_print(&s, e);
	screen_free(&s);
	return ok;
}

/* Each conflict is printed and forgotten: the rows can be large. */
static bool
print_one(const struct inbox_conflict *c, void *arg, struct err *e)
{
	struct listing *l = arg;
	bool ok = (l->cli->json ? print_json : print_text)(c, l, e);

	l->n++;
	return ok;
}

static bool
print_end(const struct listing *l, struct err *e)
{
	struct screen s;
	bool ok;

	screen_init(&s, l->cli->colour, TEXT_MAX);
	if (l->n == 0)
		screen_line(&s, INK_GOOD, "no conflicts are kept");
	else {
		screen_gap(&s);
		screen_line(&s, INK_FAINT, "agent --resolve ID --keep local|remote makes the other version the winner");
	}
	if (l->files)
		screen_line(&s, INK_FAINT, "agent --resolve ID --keep both: of a file in an upload folder both stay, the other one beside it");
	if (l->n == CONFLICTS_LISTED)
		screen_fmt(&s, INK_WARN, "only the newest %d are shown, those to be decided first", CONFLICTS_LISTED);
	ok = screen_print(&s, e);
	screen_free(&s);
	return ok;
}

static bool
list(struct db *db, const struct cli *cli, const struct conf *conf, struct err *e)
{
	const struct inbox_filter f = { .peer = cli->peer, .table = cli->table, .most = CONFLICTS_LISTED, .undecided_first = !cli->json };
	struct listing l = { .cli = cli, .conf = conf };
	struct node_identity node;
	bool ok;

	if (!schema_enter(db, conf, &node, e))
		return false;
	if (cli->json)
		(void)fputs("{\"conflicts\":[", stdout);
	ok = inbox_visit(db, &f, print_one, &l, e);
	if (cli->json)
		(void)puts("]}");
	return ok && (cli->json || cli->quiet || print_end(&l, e));
}

enum exit_code
conflicts_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	uint64_t undecided = 0;
	struct db *db = NULL;
	bool ok;

	ok = db_open(&conf->database, &db, e) && list(db, cli, conf, e) &&
	    db_number(db, "SELECT COUNT(*) FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL", DB_NO_ARGS, &undecided, NULL, e);
	db_close(db);
	if (!ok)
		return cli_exit_code(e);
	return undecided > 0 ? EXIT_PERSON : EXIT_DONE;
}

/* --- deciding --- */

static bool
keeps_both(const struct cli *cli)
{
	return cli->keep != NULL && strcmp(cli->keep, "both") == 0;
}

/* *id 0: all that are undecided. */
static bool
parse_decision(const struct cli *cli, uint64_t *id, enum inbox_keep *keep, struct err *e)
{
	*id = 0;
	if (strcmp(cli->argument, "all") != 0 && (!mark_parse_u64(cli->argument, id) || *id == 0))
		return err_set(e, ERR_USAGE, "--resolve takes the id that agent --conflicts shows, or all");
	if (keeps_both(cli))
		return *id != 0 || err_set(e, ERR_USAGE, "--keep both is for one file: agent --resolve ID --keep both");
	if (cli->keep == NULL || (strcmp(cli->keep, "local") != 0 && strcmp(cli->keep, "remote") != 0))
		return err_set(e, ERR_USAGE, "say which version stays: agent --resolve %s --keep local, or --keep remote (agent --conflicts shows both)", cli->argument);
	*keep = strcmp(cli->keep, "local") == 0 ? INBOX_LOCAL : INBOX_REMOTE;
	return true;
}

/* One by one, each a decision of its own: what one does not take keeps no other from being decided. */
static bool
resolve_all(struct db *db, const struct cli *cli, const struct node_identity *node, const struct catalog *catalog, enum inbox_keep keep, uint64_t *done, struct err *e)
{
	const struct inbox_filter f = { .peer = cli->peer, .table = cli->table };
	uint64_t *ids;
	bool whole = true;
	size_t n;

	if (!inbox_undecided(db, &f, &ids, &n, e)) {
		free(ids);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		struct err one = { 0 };

		if (beside_resolve(db, node, catalog, ids[i], keep, &one)) {
			++*done;
			continue;
		}
		if (!whole)
			cli_complain(e->msg);
		*e = one;
		whole = false;
		if (one.code != ERR_HELD && one.code != ERR_USAGE)
			break;
	}
	free(ids);
	return whole;
}

static void
print_resolved(const struct cli *cli, uint64_t id, uint64_t done, bool ok)
{
	if (cli->json && id == 0)
		(void)printf("{\"decided\":%llu,\"keep\":\"%s\"}\n", (unsigned long long)done, cli->keep);
	else if (cli->json && ok)
		(void)printf("{\"resolved\":%llu,\"keep\":\"%s\"}\n", (unsigned long long)id, cli->keep);
	else if (id == 0)
		cli_say(cli, done > 0 ? INK_GOOD : INK_PLAIN, "%llu conflicts: the %s versions stand here now and go to every peer with the next drain", (unsigned long long)done, cli->keep);
	else if (ok)
		cli_say(cli, INK_GOOD, "conflict %llu: the %s version stands here now and goes to every peer with the next drain", (unsigned long long)id, cli->keep);
}

/* Of a file: the version that lost stands beside the other from now on. */
static bool
resolve_both(struct db *db, const struct cli *cli, const struct conf *conf, uint64_t id, struct err *e)
{
	char shown[CONFLICTS_SHOWN * 2];
	struct buf path;
	bool ok;

	buf_init(&path, BENEATH_PATH_MAX * 2);
	ok = beside_keep(db, conf, id, &path, e);
	if (ok && cli->json)
		print_resolved(cli, id, 0, true);
	else if (ok) {
		(void)text_escape(path.data, path.len, shown, sizeof shown);
		cli_say(cli, INK_PLAIN, "conflict %llu: both stay; the other version is %s, and goes to every peer with the next drain", (unsigned long long)id, shown);
	}
	buf_free(&path);
	return ok;
}

static bool
resolve(struct db *db, const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct node_identity node;
	struct catalog *catalog = NULL;
	enum inbox_keep keep = INBOX_LOCAL;
	uint64_t id = 0, done = 0;
	bool ok, ready;

	if (!parse_decision(cli, &id, &keep, e) || !schema_enter(db, conf, &node, e))
		return false;
	if (keeps_both(cli))
		return resolve_both(db, cli, conf, id, e);
	ready = ok = catalog_read(db, conf, &catalog, e) &&
	    guard_refresh(db, conf, catalog, &node, e);
	if (ok)
		ok = id == 0 ? resolve_all(db, cli, &node, catalog, keep, &done, e) : beside_resolve(db, &node, catalog, id, keep, e);
	catalog_free(catalog);
	if (ready)
		print_resolved(cli, id, done, ok);
	return ok;
}

enum exit_code
resolve_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct db *db = NULL;
	struct tended look;
	bool ok = db_open(&conf->database, &db, e) && resolve(db, cli, conf, e);

	/* What was decided about a file stands in its list now; the folder follows. */
	if (ok && conf->ntrees > 0)
		ok = tend_all(db, conf, TREE_LOCK_MS, &look, e);
	db_close(db);
	return ok ? EXIT_DONE : cli_exit_code(e);
}
