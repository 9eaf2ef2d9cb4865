/* agent.conf. Lives here: the table of sections and options, filling struct conf from it, and what
 * options may not say together. Not here: the file's permissions and lines (conf_file), what a
 * value of each kind may be (conf_value), writing a first file (app/init).
 *
 * To add an option: a field in conf.h, a row below, a paragraph in agent.conf.example. */
#include "config.h"

#include "base/conf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/conf_file.h"
#include "base/conf_value.h"
#include "base/logfile.h"
#include "base/text.h"

enum {
	SCHEMA_NAME_MAX = 64, /* characters of a MariaDB identifier; also bytes here */
	TEXT_MAX = 1024,      /* bytes of a host, a path, a command */
	TABLE_NAME_MAX = 256, /* bytes of 64 characters */
	MS_S = 1000,
	MS_H = 3600 * MS_S,
	MS_D = 24 * MS_H,
	STATE_DIR_MAX = 4096,
	OWNER_MAX = 64, /* bytes of an account's name */
	KEEP_TRASH_DAYS = 3650
};

static const char listing_head[] = "sync_file_";

/* --- the table ------------------------------------------------------------------------------ */

/* Where a section's values lie. */
enum home { HOME_NODE, HOME_DATABASE, HOME_SYNC, HOME_PEER, HOME_TABLE, HOME_TREE, HOME_LOG };

static const struct section {
	const char *kind;
	bool named; /* [peer NAME]: any number of them, each with a name */
	enum home home;
} sections[] = {
	[HOME_NODE] = { "node", false, HOME_NODE },
	[HOME_DATABASE] = { "database", false, HOME_DATABASE },
	[HOME_SYNC] = { "sync", false, HOME_SYNC },
	[HOME_PEER] = { "peer", true, HOME_PEER },
	[HOME_TABLE] = { "table", true, HOME_TABLE },
	[HOME_TREE] = { "tree", true, HOME_TREE },
	[HOME_LOG] = { "log", false, HOME_LOG },
};

enum {
	SECTIONS = sizeof sections / sizeof sections[0]
};

#define AT(section, field) .offset = offsetof(struct conf_##section, field)
/* section, name, default (NULL: must be given), help */
#define INFO(s, n, d, h) .info = { .section = (s), .name = (n), .fallback = (d), .help = (h) }
#define SECRET(s, n, d, h) .info = { .section = (s), .name = (n), .fallback = (d), .help = (h), .secret = true }

static const struct conf_option_row options[] = {
	{ INFO("node", "name", NULL, "this laptop's name, unlike every peer's"),
	    .kind = CONF_NODE_NAME, AT(node, name) },
	{ INFO("node", "state_dir", "", "directory for the agent's own files (spool)"),
	    .kind = CONF_PATH, AT(node, state_dir), .max = TEXT_MAX },
	{ INFO("node", "listen", "127.0.0.1:8440", "address that peers connect to"),
	    .kind = CONF_ADDRESS, AT(node, listen) },
	{ INFO("node", "tls", "on", "TLS on the listen address"),
	    .kind = CONF_BOOL, AT(node, tls) },
	{ INFO("node", "monitor", "127.0.0.1:8441", "address of the page for people"),
	    .kind = CONF_ADDRESS, AT(node, monitor) },
	{ SECRET("node", "monitor_key", NULL, "password of the page, 32 hexadecimal digits or more"),
	    .kind = CONF_HEX, AT(node, monitor_key), .min = 32, .max = 128 },
	{ SECRET("node", "metrics_key", "", "password of /metrics alone, 32 hexadecimal digits or more; empty: monitor_key"),
	    .kind = CONF_HEX, AT(node, metrics_key), .min = 32, .max = 128 },

	{ INFO("database", "host", "127.0.0.1", "the MariaDB server's host"),
	    .kind = CONF_TEXT, AT(database, host), .min = 1, .max = TEXT_MAX },
	{ INFO("database", "port", "3306", "the MariaDB server's port"),
	    .kind = CONF_NUMBER, AT(database, port), .min = 1, .max = 65535 },
	{ INFO("database", "socket", "", "the MariaDB server's socket; used instead of host and port"),
	    .kind = CONF_PATH, AT(database, socket), .max = 107 /* sun_path */ },
	{ INFO("database", "user", NULL, "the agent's account at the server"),
	    .kind = CONF_TEXT, AT(database, user), .min = 1, .max = 128 },
	{ SECRET("database", "password", "", "the account's password"),
	    .kind = CONF_TEXT, AT(database, password), .max = TEXT_MAX },
	{ INFO("database", "name", NULL, "the application's database"),
	    .kind = CONF_TEXT, AT(database, name), .min = 1, .max = SCHEMA_NAME_MAX },
	{ INFO("database", "sync_database", "", "database for the agent's own tables; empty: NAME_sync"),
	    .kind = CONF_TEXT, AT(database, sync_database), .max = SCHEMA_NAME_MAX },

	{ INFO("sync", "tables", "*", "tables to replicate: names with * and ?, between commas"),
	    .kind = CONF_LIST, AT(sync, tables), .min = 1, .max = CONF_VALUE_MAX },
	{ INFO("sync", "exclude", "", "tables not to replicate, the same way"),
	    .kind = CONF_LIST, AT(sync, exclude), .max = CONF_VALUE_MAX },
	{ INFO("sync", "interval", "20ms", "how often --serve looks for new changes"),
	    .kind = CONF_DURATION, AT(sync, interval_ms), .min = 1, .max = MS_H },
	{ INFO("sync", "timeout", "30s", "how long a peer's answer may take"),
	    .kind = CONF_DURATION, AT(sync, timeout_ms), .min = 100, .max = MS_H },
	{ INFO("sync", "max_attempts", "3", "how often a change may be refused before it is parked"),
	    .kind = CONF_NUMBER, AT(sync, max_attempts), .min = 1, .max = 1000 },
	{ INFO("sync", "retention_days", "30", "how long changes are kept after they were sent"),
	    .kind = CONF_DAYS, AT(sync, retention_days), .min = 1, .max = 3650 },
	{ INFO("sync", "conflict", "newer", "who wins a conflict"),
	    .kind = CONF_POLICY },
	{ INFO("sync", "max_clock_skew", "30s", "how far two clocks may differ"),
	    .kind = CONF_DURATION, AT(sync, max_clock_skew_ms), .min = 100, .max = MS_D },
	{ INFO("sync", "notify", "", "command to run when a person is needed"),
	    .kind = CONF_COMMAND, AT(sync, notify), .max = TEXT_MAX },
	{ INFO("sync", "notify_after", "1d", "how long nothing may have reached a peer before that is a reason, too"),
	    .kind = CONF_DURATION, AT(sync, notify_after_ms), .min = MS_S, .max = 365 * (int64_t)MS_D },
	{ INFO("sync", "group_rows", "100000", "records sent at once before a group is cut"),
	    .kind = CONF_NUMBER, AT(sync, group_rows), .min = 1, .max = 10000000 },
	{ INFO("sync", "max_queue", "100000000", "changes that the queue may hold"),
	    .kind = CONF_NUMBER, AT(sync, max_queue), .min = 1000, .max = 4000000000 },
	{ INFO("sync", "max_conflicts", "1000000", "conflicts that are kept"),
	    .kind = CONF_NUMBER, AT(sync, max_conflicts), .min = 100, .max = 4000000000 },
	{ INFO("sync", "startup", "auto", "whether --serve fills a node that has never been filled"),
	    .kind = CONF_WORD, AT(sync, startup), .choices = "auto|no" },
	{ INFO("sync", "max_delete", "50%, 1000", "deletions that wait for a person's yes"),
	    .kind = CONF_LIMIT },
	{ INFO("sync", "app_triggers", "", "what to do with the application's own triggers, on every table"),
	    .kind = CONF_WORD, AT(sync, app_triggers), .choices = "guard|run|" },

	{ INFO("peer", "url", "", "where the peer listens: https://HOST:PORT; empty: it calls, and fetches what is here (pull = yes there)"),
	    .kind = CONF_URL, AT(peer, url) },
	{ SECRET("peer", "key", NULL, "the pair's key, 64 hexadecimal digits, the same on both laptops"),
	    .kind = CONF_KEY, AT(peer, key) },
	{ INFO("peer", "pull", "no", "fetch the peer's changes over this node's own connection, too"),
	    .kind = CONF_BOOL, AT(peer, pull) },
	{ INFO("peer", "tls_pin", "", "SHA-256 of the public key the peer's TLS must show"),
	    .kind = CONF_PIN, AT(peer, tls_pin) },
	{ INFO("peer", "seal", "no", "encrypt bodies from end to end, where TLS ends elsewhere"),
	    .kind = CONF_BOOL, AT(peer, seal) },
	{ INFO("peer", "paused", "no", "exchange nothing with this peer for now"),
	    .kind = CONF_BOOL, AT(peer, paused) },

	{ INFO("table", "priority", "normal", "which tables stand first inside a group"),
	    .kind = CONF_WORD, AT(table, priority), .choices = "high|normal|low" },
	{ INFO("table", "conflict", "", "who wins a conflict in this table; empty: as [sync]"),
	    .kind = CONF_POLICY_OF_TABLE, AT(table, conflict) },
	{ INFO("table", "add", "", "columns whose changes add up, such as a stock"),
	    .kind = CONF_LIST, AT(table, add), .max = CONF_VALUE_MAX },
	{ INFO("table", "app_triggers", "", "as in [sync], for this table; empty: as [sync]"),
	    .kind = CONF_WORD, AT(table, app_triggers), .choices = "guard|run|" },
	{ INFO("table", "direction", "both", "send this table's changes, receive them, or both"),
	    .kind = CONF_WORD, AT(table, direction), .choices = "both|send|receive" },
	{ INFO("table", "max_delete", "", "as in [sync], for this table; empty: as [sync]"),
	    .kind = CONF_LIMIT_OF_TABLE, AT(table, max_delete) },
	{ INFO("table", "file", "", "which column names files of an upload folder: COLUMN in TREE, with prefix TEXT"),
	    .kind = CONF_FILE_COLUMN, AT(table, file), .max = TEXT_MAX },
	{ INFO("table", "file_wait", "strict", "how long a row waits for its file"),
	    .kind = CONF_FILE_WAIT, AT(table, file_wait) },

	{ INFO("tree", "path", NULL, "the folder, an absolute path"),
	    .kind = CONF_PATH, AT(tree, path), .min = 2, .max = TEXT_MAX },
	{ INFO("tree", "mode", NULL, "which way files go: mirror, two-way, push or pull"),
	    .kind = CONF_WORD, AT(tree, mode_text), .choices = "mirror|two-way|push|pull",  },
	{ INFO("tree", "source", "", "of a mirror: the node whose files count"),
	    .kind = CONF_TEXT, AT(tree, source), .max = CONF_NAME_MAX },
	{ INFO("tree", "conflict", "newer", "of two-way: which file stays when both sides changed it"),
	    .kind = CONF_POLICY_OF_TABLE, AT(tree, conflict) },
	{ INFO("tree", "exclude", "", "what stays out, as in a .gitignore: patterns between commas or on lines of their own"),
	    .kind = CONF_LIST, AT(tree, exclude), .max = CONF_VALUE_MAX },
	{ INFO("tree", "owner", "", "account that owns the files here; empty: the agent's"),
	    .kind = CONF_TEXT, AT(tree, owner), .max = OWNER_MAX },
	{ INFO("tree", "group", "", "group of the files here; empty: the agent's"),
	    .kind = CONF_TEXT, AT(tree, group), .max = OWNER_MAX },
	{ INFO("tree", "file_mode", "", "permissions of files here; empty: as at the sender"),
	    .kind = CONF_MODE, AT(tree, file_mode) },
	{ INFO("tree", "dir_mode", "", "permissions of directories here; empty: as at the sender"),
	    .kind = CONF_MODE, AT(tree, dir_mode) },
	{ INFO("tree", "keep_trash", "30d", "how long replaced and deleted files are kept"),
	    .kind = CONF_DURATION, AT(tree, keep_trash_ms), .min = MS_H, .max = KEEP_TRASH_DAYS * (int64_t)MS_D },
	{ INFO("tree", "max_delete", "50 files, 10%", "deletions in one go, above both of which a person is asked"),
	    .kind = CONF_FILE_LIMIT, AT(tree, max_delete) },
	{ INFO("tree", "settle", "2s", "how long a file must be left alone before it is sent"),
	    .kind = CONF_DURATION, AT(tree, settle_ms), .min = 1, .max = MS_H },
	{ INFO("tree", "after", "", "command to run here after files have arrived; reads their paths"),
	    .kind = CONF_COMMAND, AT(tree, after), .max = TEXT_MAX },
	{ INFO("tree", "backup_to", "", "directory that agent --backup makes snapshots in; empty: snapshots in state_dir"),
	    .kind = CONF_PATH, AT(tree, backup_to), .max = TEXT_MAX },
	{ INFO("tree", "backup_keep", "7 days, 4 weeks, at least 3", "which snapshots stay"),
	    .kind = CONF_KEEP, AT(tree, backup_keep) },

	{ INFO("log", "level", "info", "error, warning, info or debug"),
	    .kind = CONF_LEVEL, AT(log, level) },
	{ INFO("log", "target", "stderr", "stderr, syslog or file PATH"),
	    .kind = CONF_TARGET, AT(log, target), .min = 1, .max = TEXT_MAX },
	{ INFO("log", "max_size", "10M", "size at which the log file is put aside as PATH.1"),
	    .kind = CONF_SIZE, AT(log, max_bytes), .min = 4096, .max = (int64_t)1 << 40 },
	{ INFO("log", "keep", "4", "how many log files that were put aside are kept"),
	    .kind = CONF_NUMBER, AT(log, keep), .min = 0, .max = LOGFILE_KEEP_MAX },
};

enum {
	OPTIONS = sizeof options / sizeof options[0]
};

const struct conf_option_info *
conf_option(size_t i)
{
	return i < OPTIONS ? &options[i].info : NULL;
}

/* --- filling struct conf --------------------------------------------------------------------- */

/* What the file has said so far. */
struct parse {
	struct conf *conf;
	const char *path;
	const struct section *open; /* NULL before the first section */
	unsigned open_line;
	unsigned seen[SECTIONS];   /* line of each section that stands once, 0: not yet */
	unsigned given[OPTIONS];   /* line of each option of the open section, 0: not yet */
	unsigned peer_line[CONF_PEERS_MAX];
	unsigned tree_line[CONF_TREES_MAX];
	bool tls_given; /* [node] says tls = ... */
	size_t table_room;
};

/* The struct that holds the open section's values. */
static void *
home_of(struct conf *c, enum home home)
{
	switch (home) {
	case HOME_NODE:
		return &c->node;
	case HOME_DATABASE:
		return &c->database;
	case HOME_SYNC:
		return &c->sync;
	case HOME_PEER:
		return &c->peers[c->npeers - 1];
	case HOME_TABLE:
		return &c->tables[c->ntables - 1];
	case HOME_TREE:
		return &c->trees[c->ntrees - 1];
	case HOME_LOG:
		return &c->log;
	}
	return NULL;
}

static bool
belongs(const struct conf_option_row *o, const struct section *s)
{
	return strcmp(o->info.section, s->kind) == 0;
}

/* "[peer anna]" or "[node]", for messages. */
static void
section_text(const struct parse *p, const struct section *s, char *out, size_t size)
{
	const char *name = "";

	if (s->home == HOME_PEER)
		name = p->conf->peers[p->conf->npeers - 1].name;
	else if (s->home == HOME_TABLE)
		name = p->conf->tables[p->conf->ntables - 1].name;
	else if (s->home == HOME_TREE)
		name = p->conf->trees[p->conf->ntrees - 1].name;
	(void)snprintf(out, size, "[%s%s%.80s]", s->kind, s->named ? " " : "", name);
}

/* Fill section s with the defaults of what was not given; what has none is missing. */
static bool
complete(struct parse *p, const struct section *s, unsigned line, struct err *e)
{
	void *base = home_of(p->conf, s->home);
	char text[128];

	for (size_t i = 0; i < OPTIONS; i++) {
		const struct conf_option_row *o = &options[i];

		if (!belongs(o, s) || p->given[i] != 0)
			continue;
		section_text(p, s, text, sizeof text);
		if (o->info.fallback == NULL)
			return conf_file_fail(e, p->path, line, "%s has no %s; add \"%s = ...\" (%s)", text,
			    o->info.name, o->info.name, o->info.help);
		if (!conf_value_set(o, base, o->info.fallback, e))
			return err_prefix(e, "default of %s %s", text, o->info.name);
	}
	memset(p->given, 0, sizeof p->given);
	return true;
}

static bool
close_section(struct parse *p, struct err *e)
{
	const struct section *s = p->open;

	p->open = NULL;
	return s == NULL || complete(p, s, p->open_line, e);
}

static bool
no_memory(const struct parse *p, struct err *e)
{
	return err_set(e, ERR_MEMORY, "out of memory for %s", p->path);
}

static bool
add_peer(struct parse *p, unsigned line, const char *name, struct err *e)
{
	struct conf *c = p->conf;

	if (!conf_name_ok(name))
		return conf_file_fail(e, p->path, line,
		    "a peer's name must be 1 to %d letters, digits, dots, underscores or hyphens, not \"%.60s\"", CONF_NAME_MAX, name);
	for (size_t i = 0; i < c->npeers; i++)
		if (strcasecmp(c->peers[i].name, name) == 0)
			return conf_file_fail(e, p->path, line,
			    "[peer %s] was given in line %u already; each peer has one section, capitals do not count", name, p->peer_line[i]);
	if (c->npeers == CONF_PEERS_MAX)
		return conf_file_fail(e, p->path, line, "more than %d peers; let some of them link to another node", CONF_PEERS_MAX);
	c->peers[c->npeers].name = strdup(name);
	if (c->peers[c->npeers].name == NULL)
		return no_memory(p, e);
	c->peers[c->npeers].conf = c;
	p->peer_line[c->npeers++] = line;
	return true;
}

static bool
add_table(struct parse *p, unsigned line, const char *name, struct err *e)
{
	struct conf *c = p->conf;

	if (strlen(name) > TABLE_NAME_MAX)
		return conf_file_fail(e, p->path, line, "a table's name has at most 64 characters; correct [table %.60s...]", name);
	for (size_t i = 0; i < c->ntables; i++)
		if (strcmp(c->tables[i].name, name) == 0)
			return conf_file_fail(e, p->path, line, "[table %s] was given before; put its options into one section", name);
	if (c->ntables == CONF_TABLES_MAX)
		return conf_file_fail(e, p->path, line, "more than %d [table] sections; drop those that only repeat defaults", CONF_TABLES_MAX);
	if (c->ntables == p->table_room) {
		size_t room = p->table_room == 0 ? 16 : p->table_room * 2;
		struct conf_table *t = realloc(c->tables, room * sizeof *t);

		if (t == NULL)
			return no_memory(p, e);
		c->tables = t;
		p->table_room = room;
	}
	memset(&c->tables[c->ntables], 0, sizeof c->tables[0]);
	c->tables[c->ntables].name = strdup(name);
	if (c->tables[c->ntables].name == NULL)
		return no_memory(p, e);
	c->ntables++;
	return true;
}

static bool
add_tree(struct parse *p, unsigned line, const char *name, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	struct conf *c = p->conf;

	if (strlen(name) > CONF_NAME_MAX || strspn(name, allowed) != strlen(name))
		return conf_file_fail(e, p->path, line, "a tree's name must be 1 to %d lower-case letters, digits or underscores, not \"%.60s\"", CONF_NAME_MAX, name);
	if (conf_tree(c, name) != NULL)
		return conf_file_fail(e, p->path, line, "[tree %s] was given before; put its options into one section", name);
	if (c->ntrees == CONF_TREES_MAX)
		return conf_file_fail(e, p->path, line, "more than %d [tree] sections; let one of them be the folder above", CONF_TREES_MAX);
	c->trees[c->ntrees].name = strdup(name);
	if (c->trees[c->ntrees].name == NULL)
		return no_memory(p, e);
	p->tree_line[c->ntrees++] = line;
	return true;
}

static const struct section *
find_section(const char *kind)
{
	for (size_t i = 0; i < SECTIONS; i++)
		if (strcmp(sections[i].kind, kind) == 0)
			return &sections[i];
	return NULL;
}

static bool
unknown_section(const struct parse *p, unsigned line, const char *kind, struct err *e)
{
	return conf_file_fail(e, p->path, line,
	    "unknown section [%.60s]; there are [node], [database], [sync], [peer NAME], [table NAME], [tree NAME] and [log]", kind);
}

static bool
begin_section(void *arg, unsigned line, const char *kind, const char *name, struct err *e)
{
	struct parse *p = arg;
	const struct section *s = find_section(kind);
	size_t i;

	if (!close_section(p, e))
		return false;
	if (s == NULL)
		return unknown_section(p, line, kind, e);
	i = (size_t)(s - sections);
	if (s->named && name[0] == '\0')
		return conf_file_fail(e, p->path, line, "[%s] needs a name: [%s NAME]", kind, kind);
	if (!s->named && name[0] != '\0')
		return conf_file_fail(e, p->path, line, "[%s] takes no name; write [%s]", kind, kind);
	if (!s->named && p->seen[i] != 0)
		return conf_file_fail(e, p->path, line, "[%s] was given in line %u already; put its options into one section", kind, p->seen[i]);
	if (s->home == HOME_PEER && !add_peer(p, line, name, e))
		return false;
	if (s->home == HOME_TABLE && !add_table(p, line, name, e))
		return false;
	if (s->home == HOME_TREE && !add_tree(p, line, name, e))
		return false;
	p->seen[i] = line;
	p->open = s;
	p->open_line = line;
	return true;
}

/* An option's index in the table, OPTIONS when the section has none of that name. */
static size_t
find_option(const struct section *s, const char *name)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (belongs(&options[i], s) && strcmp(options[i].info.name, name) == 0)
			return i;
	return OPTIONS;
}

static bool
unknown_option(const struct parse *p, unsigned line, const char *name, struct err *e)
{
	char names[256];
	size_t used = 0;

	for (size_t i = 0; i < OPTIONS; i++)
		if (belongs(&options[i], p->open) && used < sizeof names)
			used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used == 0 ? "" : ", ", options[i].info.name);
	return conf_file_fail(e, p->path, line, "unknown option \"%.40s\"; [%s] has %s", name, p->open->kind, names);
}

static bool
take_option(void *arg, unsigned line, const char *name, const char *value, struct err *e)
{
	struct parse *p = arg;
	struct err why;
	size_t i;

	if (p->open == NULL)
		return conf_file_fail(e, p->path, line, "option \"%.40s\" stands before any section; put it behind [node] or another one", name);
	i = find_option(p->open, name);
	if (i == OPTIONS)
		return unknown_option(p, line, name, e);
	if (p->given[i] != 0)
		return conf_file_fail(e, p->path, line, "%s was given in line %u already; keep one of the two", name, p->given[i]);
	p->given[i] = line;
	if (p->open->home == HOME_NODE && strcmp(name, "tls") == 0)
		p->tls_given = true;
	if (conf_value_set(&options[i], home_of(p->conf, p->open->home), value, &why))
		return true;
	if (why.code == ERR_MEMORY)
		return no_memory(p, e);
	return conf_file_fail(e, p->path, line, "%s", why.msg);
}

static bool
is_list(void *arg, const char *name)
{
	const struct parse *p = arg;
	size_t i = p->open == NULL ? OPTIONS : find_option(p->open, name);

	return i < OPTIONS && options[i].kind == CONF_LIST;
}

/* --- what options may not say together --------------------------------------------------------- */

static bool
check_url(const struct parse *p, size_t i, struct err *e)
{
	const struct conf_peer *a = &p->conf->peers[i];

	if (a->url[0] == '\0')
		return !a->pull || conf_file_fail(e, p->path, p->peer_line[i],
					"[peer %s] has pull = yes but no url: where would its changes be fetched? add url, or remove pull", a->name);
	if (a->tls_pin[0] != '\0' && strncmp(a->url, "https:", 6) != 0)
		return conf_file_fail(e, p->path, p->peer_line[i],
		    "[peer %s] has a tls_pin but an http url: nothing would check it; use https or remove tls_pin", a->name);
	/* agent.conf of a version without TLS: neither go on readable nor stop talking unasked. */
	return p->tls_given || strncmp(a->url, "https:", 6) == 0 ||
	    conf_file_fail(e, p->path, p->peer_line[i],
		"[peer %s] has an http url, but TLS is on unless [node] says otherwise: write tls = off into [node] to go on without; "
		"or, on both laptops, remove the section and pair anew (agent --pair)", a->name);
}

static bool
check_peers(const struct parse *p, struct err *e)
{
	const struct conf *c = p->conf;

	for (size_t i = 0; i < c->npeers; i++) {
		const struct conf_peer *a = &c->peers[i];

		if (strcasecmp(a->name, c->node.name) == 0)
			return conf_file_fail(e, p->path, p->peer_line[i],
			    "[peer %s] has the name of this node; [node] name and every peer's name must differ", a->name);
		if (!check_url(p, i, e))
			return false;
		for (size_t j = 0; j < i; j++)
			if (memcmp(c->peers[j].key, a->key, CONF_KEY_BYTES) == 0)
				return conf_file_fail(e, p->path, p->peer_line[i],
				    "[peer %s] has the key of [peer %s]; each pair needs a key of its own (openssl rand -hex 32)",
				    a->name, c->peers[j].name);
	}
	return true;
}

/* Is one of two absolute paths the other, or above it? */
static bool
paths_meet(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), n = la < lb ? la : lb;

	return strncmp(a, b, n) == 0 && (la == lb || (la < lb ? b : a)[n] == '/');
}

/* A path is compared with others and stored: one way to write it alone. */
static bool
check_tree_path(const struct parse *p, size_t i, struct err *e)
{
	const struct conf *c = p->conf;
	struct conf_tree *t = &c->trees[i];
	size_t len = strlen(t->path);

	while (len > 1 && t->path[len - 1] == '/')
		t->path[--len] = '\0';
	if (len < 2 || strstr(t->path, "//") != NULL || strstr(t->path, "/./") != NULL || strstr(t->path, "/../") != NULL ||
	    (len >= 2 && strcmp(t->path + len - 2, "/.") == 0) || (len >= 3 && strcmp(t->path + len - 3, "/..") == 0))
		return conf_file_fail(e, p->path, p->tree_line[i], "[tree %s] path must be a folder below / without //, . or .. in it, not \"%.80s\"", t->name, t->path);
	if (paths_meet(t->path, c->node.state_dir))
		return conf_file_fail(e, p->path, p->tree_line[i], "[tree %s] path and [node] state_dir lie within each other; the agent's own files do not travel", t->name);
	for (size_t j = 0; j < i; j++)
		if (paths_meet(t->path, c->trees[j].path))
			return conf_file_fail(e, p->path, p->tree_line[i], "[tree %s] and [tree %s] lie within each other; a file belongs to one tree", t->name, c->trees[j].name);
	return true;
}

static bool
check_tree_mode(const struct parse *p, struct conf_tree *t, unsigned line, struct err *e)
{
	static const char *const modes[] = { [TREE_MIRROR] = "mirror", [TREE_TWO_WAY] = "two-way", [TREE_PUSH] = "push", [TREE_PULL] = "pull" };
	struct conf_rule rule;

	while (strcmp(modes[t->mode], t->mode_text) != 0)
		t->mode++;
	if (t->mode == TREE_MIRROR && t->source[0] == '\0')
		return conf_file_fail(e, p->path, line, "[tree %s] is a mirror: add source = NODE, the node whose files count", t->name);
	if (t->mode != TREE_MIRROR && t->source[0] != '\0')
		return conf_file_fail(e, p->path, line, "[tree %s] is no mirror: remove source", t->name);
	if (t->source[0] != '\0' && !conf_name_ok(t->source))
		return conf_file_fail(e, p->path, line, "[tree %s] source must be a node's name, not \"%.60s\"", t->name, t->source);
	if (!conf_value_rule(t->conflict, &rule) || rule.policy == POLICY_MERGE || rule.policy == POLICY_MANUAL)
		return conf_file_fail(e, p->path, line, "[tree %s] conflict must be newer or prefer NODE, not \"%.60s\"", t->name, t->conflict);
	if (rule.policy == POLICY_PREFER && t->mode != TREE_TWO_WAY)
		return conf_file_fail(e, p->path, line, "[tree %s] has conflict = %.60s, which is for mode = two-way alone", t->name, t->conflict);
	return true;
}

static bool
check_files(const struct parse *p, struct err *e)
{
	const struct conf *c = p->conf;

	for (size_t i = 0; i < c->ntrees; i++)
		if (!check_tree_path(p, i, e) || !check_tree_mode(p, &c->trees[i], p->tree_line[i], e))
			return false;
	for (size_t i = 0; i < c->ntables; i++) {
		struct conf_file_column column;

		if (c->tables[i].file[0] != '\0' && !conf_file_column(c, c->tables[i].name, &column))
			return conf_file_fail(e, p->path, 0, "[table %s] file names a tree that no [tree] section describes: \"%.80s\"", c->tables[i].name, c->tables[i].file);
	}
	return true;
}

static bool
settle_sync_database(struct parse *p, struct err *e)
{
	static const char tail[] = "_sync";
	struct conf_database *d = &p->conf->database;
	size_t len = strlen(d->name);

	if (d->sync_database[0] == '\0') {
		char *name;

		if (len + sizeof tail - 1 > SCHEMA_NAME_MAX)
			return conf_file_fail(e, p->path, 0, "[database] name with \"_sync\" is longer than 64 bytes; add sync_database");
		name = malloc(len + sizeof tail);
		if (name == NULL)
			return no_memory(p, e);
		memcpy(name, d->name, len);
		memcpy(name + len, tail, sizeof tail);
		free(d->sync_database);
		d->sync_database = name;
	}
	if (strcasecmp(d->sync_database, d->name) == 0)
		return conf_file_fail(e, p->path, 0,
		    "[database] sync_database must differ from name: a restore of the application would bring an old queue back");
	return true;
}

/* state_dir left empty: the place that the system has for such files. */
static bool
settle_state_dir(struct parse *p, struct err *e)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct conf_node *n = &p->conf->node;
	char path[STATE_DIR_MAX];
	int made;

	if (n->state_dir[0] != '\0')
		return true;
	if (xdg != NULL && xdg[0] == '/')
		made = snprintf(path, sizeof path, "%s/tandem", xdg);
	else if (geteuid() == 0)
		made = snprintf(path, sizeof path, "/var/lib/tandem");
	else if (home != NULL && home[0] == '/')
		made = snprintf(path, sizeof path, "%s/.local/state/tandem", home);
	else
		made = -1;
	if (made < 0 || (size_t)made >= sizeof path)
		return conf_file_fail(e, p->path, 0, "[node] state_dir is empty and no home directory is known; set state_dir");
	free(n->state_dir);
	n->state_dir = strdup(path);
	return n->state_dir != NULL || no_memory(p, e);
}

static bool
settle_identity(struct parse *p, struct err *e)
{
	static const char tail[] = "/tls.pem";
	struct conf_node *n = &p->conf->node;
	size_t size = strlen(n->state_dir) + sizeof tail;

	n->identity = malloc(size);
	if (n->identity == NULL)
		return no_memory(p, e);
	(void)snprintf(n->identity, size, "%s%s", n->state_dir, tail);
	return true;
}

static bool
check_whole(struct parse *p, struct err *e)
{
	const struct conf *c = p->conf;

	for (size_t i = 0; i < SECTIONS; i++)
		if (!sections[i].named && p->seen[i] == 0 && !complete(p, &sections[i], 0, e))
			return false;
	if (strcmp(c->node.listen, c->node.monitor) == 0)
		return conf_file_fail(e, p->path, 0, "[node] listen and monitor are the same address; give monitor another port");
	return check_peers(p, e) && settle_sync_database(p, e) && settle_state_dir(p, e) && settle_identity(p, e) && check_files(p, e);
}

/* --- public ---------------------------------------------------------------------------------- */

static struct conf *
conf_new(const char *path)
{
	struct conf *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->path = strdup(path);
	/* All at once: an array that grows leaves copies of keys behind. */
	c->peers = calloc(CONF_PEERS_MAX, sizeof *c->peers);
	c->trees = calloc(CONF_TREES_MAX, sizeof *c->trees);
	if (c->path == NULL || c->peers == NULL || c->trees == NULL) {
		conf_free(c);
		return NULL;
	}
	return c;
}

bool
conf_load(const char *path, struct conf **out, struct err *e)
{
	struct parse p = { .path = path };
	const struct conf_sink sink = { path, &p, begin_section, take_option, is_list };
	char *text = NULL;
	size_t len = 0;
	bool ok = false;

	p.conf = conf_new(path);
	if (p.conf == NULL) {
		no_memory(&p, e);
		goto out;
	}
	if (!conf_file_read(path, &text, &len, e) || !conf_file_parse(text, len, &sink, e))
		goto out;
	if (!close_section(&p, e) || !check_whole(&p, e))
		goto out;
	*out = p.conf;
	p.conf = NULL;
	ok = true;
out:
	conf_file_free(text, len);
	conf_free(p.conf);
	return ok;
}

static void
free_section(enum home home, void *base)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (belongs(&options[i], &sections[home]))
			conf_value_free(&options[i], base);
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	free_section(HOME_NODE, &c->node);
	free(c->node.identity);
	free_section(HOME_DATABASE, &c->database);
	free_section(HOME_SYNC, &c->sync);
	free_section(HOME_LOG, &c->log);
	for (size_t i = 0; i < c->npeers; i++) {
		free_section(HOME_PEER, &c->peers[i]);
		free(c->peers[i].name);
	}
	for (size_t i = 0; i < c->ntables; i++) {
		free_section(HOME_TABLE, &c->tables[i]);
		free(c->tables[i].name);
	}
	for (size_t i = 0; i < c->ntrees; i++) {
		free_section(HOME_TREE, &c->trees[i]);
		free(c->trees[i].name);
	}
	free(c->peers);
	free(c->tables);
	free(c->trees);
	free(c->path);
	free(c);
}

const struct conf_peer *
conf_peer(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->npeers; i++)
		if (strcmp(c->peers[i].name, name) == 0)
			return &c->peers[i];
	return NULL;
}

const struct conf_table *
conf_table(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->ntables; i++)
		if (strcmp(c->tables[i].name, name) == 0)
			return &c->tables[i];
	return NULL;
}

const struct conf_tree *
conf_tree(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->ntrees; i++)
		if (strcmp(c->trees[i].name, name) == 0)
			return &c->trees[i];
	return NULL;
}

bool
conf_tree_sends(const struct conf *c, const struct conf_tree *t)
{
	if (t->mode == TREE_MIRROR)
		return strcmp(t->source, c->node.name) == 0;
	return t->mode != TREE_PULL;
}

bool
conf_tree_takes(const struct conf *c, const struct conf_tree *t)
{
	return t->mode == TREE_MIRROR ? !conf_tree_sends(c, t) : t->mode != TREE_PUSH;
}

void
conf_tree_listing(const struct conf_tree *t, char out[CONF_LISTING_MAX])
{
	(void)snprintf(out, CONF_LISTING_MAX, "%s%s", listing_head, t->name);
}

const struct conf_tree *
conf_tree_of_listing(const struct conf *c, const char *table)
{
	size_t head = sizeof listing_head - 1;

	return strncmp(table, listing_head, head) == 0 ? conf_tree(c, table + head) : NULL;
}

bool
conf_file_column(const struct conf *c, const char *table, struct conf_file_column *out)
{
	const struct conf_table *t = conf_table(c, table);
	struct conf_file_text text;

	if (t == NULL || t->file[0] == '\0' || !conf_value_file_column(t->file, &text) || text.column_len >= sizeof out->column)
		return false;
	(void)snprintf(out->column, sizeof out->column, "%.*s", (int)text.column_len, text.column);
	out->prefix = text.prefix;
	if (!conf_value_file_wait(t->file_wait, &out->wait_ms))
		return false;
	for (size_t i = 0; i < c->ntrees; i++)
		if (strlen(c->trees[i].name) == text.tree_len && strncmp(c->trees[i].name, text.tree, text.tree_len) == 0) {
			out->tree = &c->trees[i];
			return true;
		}
	return false;
}

/* A folder's rule is its section's, and not that of rows in general: a mirror has one author. */
static void
rule_of_tree(const struct conf_tree *tree, struct conf_rule *out)
{
	if (tree->mode == TREE_MIRROR)
		*out = (struct conf_rule){ POLICY_PREFER, tree->source };
	else
		(void)conf_value_rule(tree->conflict, out);
}

void
conf_rule(const struct conf *c, const char *table, struct conf_rule *out)
{
	const struct conf_table *t = conf_table(c, table);
	const struct conf_tree *tree = conf_tree_of_listing(c, table);

	*out = (struct conf_rule){ c->sync.conflict, c->sync.conflict_node };
	if (tree != NULL) {
		rule_of_tree(tree, out);
		return;
	}
	if (t != NULL && t->conflict[0] != '\0')
		(void)conf_value_rule(t->conflict, out);
}

enum conf_direction
conf_direction(const struct conf *c, const char *table)
{
	const struct conf_table *t = conf_table(c, table);

	if (t == NULL || strcmp(t->direction, "both") == 0)
		return DIRECTION_BOTH;
	return strcmp(t->direction, "send") == 0 ? DIRECTION_SEND : DIRECTION_RECEIVE;
}

unsigned
conf_priority(const struct conf *c, const char *table)
{
	static const char *const levels[CONF_PRIORITIES] = { "high", "normal", "low" };
	const struct conf_table *t = conf_table(c, table);
	unsigned level = 0;

	while (t != NULL && level + 1 < CONF_PRIORITIES && strcmp(t->priority, levels[level]) != 0)
		level++;
	return t == NULL ? 1 : level;
}

const char *
conf_app_triggers(const struct conf *c, const char *table)
{
	const struct conf_table *t = conf_table(c, table);

	return t == NULL || t->app_triggers[0] == '\0' ? c->sync.app_triggers : t->app_triggers;
}

void
conf_max_delete(const struct conf *c, const char *table, struct conf_limit *out)
{
	const struct conf_table *t = conf_table(c, table);

	if (t == NULL || t->max_delete[0] == '\0' || !conf_value_limit(t->max_delete, out))
		*out = c->sync.max_delete;
}

/* Does the pattern of plen bytes match all of name? After a failure behind a *, that * is tried
 * again one character further on: no recursion, so no pattern takes more than plen * name steps. */
static bool
match_one(const char *pattern, size_t plen, const char *name)
{
	const char *end = pattern + plen, *star = NULL, *again = NULL;
	size_t left = strlen(name);

	while (left > 0) {
		size_t n = text_utf8(name, left, NULL);

		n = n == 0 ? 1 : n;
		if (pattern < end && *pattern == '*') {
			star = ++pattern;
			again = name;
			continue;
		}
		if (pattern < end && *pattern == '?') {
			pattern++;
		} else if (pattern < end && *pattern == *name) {
			pattern++;
			n = 1;
		} else if (star != NULL) {
			left += (size_t)(name - again);
			n = text_utf8(again, left, NULL);
			n = n == 0 ? 1 : n;
			name = again;
			again += n;
			pattern = star;
		} else {
			return false;
		}
		name += n;
		left -= n;
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

bool
conf_match(const char *patterns, const char *name)
{
	for (const char *p = patterns; *p != '\0';) {
		size_t n;

		p += strspn(p, ", \t");
		n = strcspn(p, ",");
		while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
			n--;
		if (n > 0 && match_one(p, n, name))
			return true;
		p += strcspn(p, ",");
	}
	return false;
}

bool
conf_wants_table(const struct conf *c, const char *table)
{
	return conf_tree_of_listing(c, table) != NULL || (conf_match(c->sync.tables, table) && !conf_match(c->sync.exclude, table));
}
