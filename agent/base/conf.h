/* agent.conf: one option table drives the parser, the defaults and the
 * check that agent.conf.example is complete. Lives here: reading and judging the
 * file. Not here: writing it (app/init). */
#ifndef TANDEM_BASE_CONF_H
#define TANDEM_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

enum {
	CONF_KEY_BYTES = 32,   /* a pair's key: 256 bits, 64 hex digits in the file */
	CONF_PEERS_MAX = 64,   /* peers of one node */
	CONF_TABLES_MAX = 4096, /* [table] sections */
	CONF_TREES_MAX = 64,   /* [tree] sections */
	CONF_NAME_MAX = 32     /* bytes of a node's or peer's name: [A-Za-z0-9._-] */
};

enum conf_policy { POLICY_NEWER, POLICY_PREFER, POLICY_MERGE, POLICY_MANUAL };

struct conf_node {
	char *name;
	char *state_dir;
	char *listen;  /* HOST:PORT for peers */
	bool tls;
	char *identity; /* state_dir/tls.pem: key and certificate of this node */
	char *monitor; /* HOST:PORT for the page */
	char *monitor_key;
	char *metrics_key; /* "" = monitor_key alone */
};

struct conf_database {
	char *host;
	unsigned port;
	char *socket; /* "" = use host and port */
	char *user;
	char *password;
	char *name;
	char *sync_database; /* default NAME_sync */
};

/* max_delete: a table may lose no more than this share and this many records an hour. rows 0: no limit. */
struct conf_limit {
	unsigned percent;
	unsigned rows;
};

struct conf_sync {
	char *tables;  /* comma list with * and ? */
	char *exclude; /* the same */
	int64_t interval_ms;
	int64_t timeout_ms;
	unsigned max_attempts;
	unsigned retention_days;
	enum conf_policy conflict;
	char *conflict_node; /* of "prefer NODE", else "" */
	int64_t max_clock_skew_ms;
	char *notify; /* "" = none */
	int64_t notify_after_ms;
	unsigned group_rows;
	unsigned max_queue;	/* changes */
	unsigned max_conflicts; /* that are kept */
	char *startup; /* auto, no */
	struct conf_limit max_delete;
	char *app_triggers;
};

struct conf;

struct conf_peer {
	char *name;
	char *url; /* https://HOST[:PORT] or http, no path, no user */
	unsigned char key[CONF_KEY_BYTES];
	bool pull;
	char *tls_pin;
	bool seal; /* bodies are encrypted from end to end */
	bool paused;
	const struct conf *conf; /* that it belongs to; NULL in tests alone */
};

struct conf_table {
	char *name;
	char *priority;
	char *conflict;
	char *add;
	char *app_triggers;
	char *direction;
	char *max_delete;
	char *file;	 /* "COLUMN in TREE [prefix TEXT]", or "" */
	char *file_wait; /* strict, off or a duration */
};

/* backup_keep: which snapshots stay. */
struct conf_keep {
	unsigned days, weeks; /* the newest of each of so many days and weeks that have one */
	unsigned least;	      /* so many of the newest in any case */
};

/* An upload folder (docs/files.md). */
enum tree_mode { TREE_MIRROR, TREE_TWO_WAY, TREE_PUSH, TREE_PULL };

struct conf_tree {
	char *name; /* lower-case letters, digits and _: a part of a table's name */
	char *path; /* absolute, without a / at its end */
	char *mode_text;
	char *source;	/* the node whose files count, in a mirror; else "" */
	char *conflict; /* newer or "prefer NODE", of two-way */
	char *exclude;	/* patterns between commas */
	char *owner, *group; /* of what is written here; "": as it comes */
	unsigned file_mode, dir_mode; /* 0: as at the sender */
	int64_t keep_trash_ms;
	struct conf_limit max_delete; /* rows: files */
	int64_t settle_ms;
	char *after; /* command that gets the changed paths */
	char *backup_to; /* directory of snapshots; "": in state_dir */
	struct conf_keep backup_keep;
	enum tree_mode mode;
};

struct conf_log {
	enum log_level level;
	char *target;
	int64_t max_bytes; /* 0: no limit */
	unsigned keep;
};

struct conf {
	char *path; /* the file it came from */
	struct conf_node node;
	struct conf_database database;
	struct conf_sync sync;
	struct conf_log log;
	struct conf_peer *peers;
	size_t npeers;
	struct conf_table *tables;
	size_t ntables;
	struct conf_tree *trees;
	size_t ntrees;
};

/* Read and judge the file at path. Refused: a file that others may read, a symlink,
 * unknown or doubled keys and sections, bad or missing values; e names file, line and
 * remedy (ERR_CONFIG). On success *out is to be freed with conf_free. */
MUST_CHECK bool conf_load(const char *path, struct conf **out, struct err *e);
void conf_free(struct conf *c);

/* The peer of that name, or NULL. Borrowed. */
const struct conf_peer *conf_peer(const struct conf *c, const char *name);
/* The [table] section of that name, or NULL. Borrowed. */
const struct conf_table *conf_table(const struct conf *c, const char *name);
/* The [tree] section of that name, or NULL. Borrowed. */
const struct conf_tree *conf_tree(const struct conf *c, const char *name);
/* Is this node's folder what counts: does what changes here go to the peers? And may the peers' go here? */
bool conf_tree_sends(const struct conf *c, const struct conf_tree *t);
bool conf_tree_takes(const struct conf *c, const struct conf_tree *t);
/* The table of the app's database that lists a tree's files; and the tree whose list a table is, or NULL. Borrowed. */
enum { CONF_LISTING_MAX = 10 /* sync_file_ */ + CONF_NAME_MAX + 1 };
void conf_tree_listing(const struct conf_tree *t, char out[CONF_LISTING_MAX]);
const struct conf_tree *conf_tree_of_listing(const struct conf *c, const char *table);
/* [table] file: which column names files of which tree. */
struct conf_file_column {
	char column[257];
	const struct conf_tree *tree; /* borrowed */
	const char *prefix; /* what stands before the path in the column; borrowed */
	int64_t wait_ms;    /* how long a row waits for its file; -1: for ever; 0: not at all */
};
/* False: the table names none. */
bool conf_file_column(const struct conf *c, const char *table, struct conf_file_column *out);
/* The rule for conflicts in a table: [table] conflict, else [sync]'s. */
struct conf_rule {
	enum conf_policy policy;
	const char *node; /* of "prefer NODE", else "". Borrowed */
};
void conf_rule(const struct conf *c, const char *table, struct conf_rule *out);
/* Which ways a table's changes go: [table] direction. */
enum conf_direction { DIRECTION_BOTH, DIRECTION_SEND, DIRECTION_RECEIVE };
enum conf_direction conf_direction(const struct conf *c, const char *table);
/* [table] priority: 0 comes first. */
enum { CONF_PRIORITIES = 3 };
unsigned conf_priority(const struct conf *c, const char *table);
/* app_triggers of [table], else of [sync]: "guard", "run", or "" without a choice. Borrowed. */
const char *conf_app_triggers(const struct conf *c, const char *table);
/* max_delete of [table], else of [sync]. */
void conf_max_delete(const struct conf *c, const char *table, struct conf_limit *out);
/* Does the comma list of patterns (* and ?) match name? Spaces around items ignored. */
bool conf_match(const char *patterns, const char *name);
/* Is the table to be replicated by [sync] tables and exclude? */
bool conf_wants_table(const struct conf *c, const char *table);

/* One row of the option table, for --help, the example's test and the man page's. */
struct conf_option_info {
	const char *section; /* "node", "peer", ... */
	const char *name;
	const char *fallback; /* default as text; NULL = must be given */
	const char *help;     /* one line */
	bool secret;
};
/* The i-th option, or NULL past the last. */
const struct conf_option_info *conf_option(size_t i);

#endif
