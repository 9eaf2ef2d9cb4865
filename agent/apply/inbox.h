/* The conflicts that are kept: adding one, reading them, and making the version that lost the winner. */
#ifndef TANDEM_APPLY_INBOX_H
#define TANDEM_APPLY_INBOX_H

#include "db/catalog.h"
#include "db/schema.h"
#include "wire/line.h"

enum {
	INBOX_KEPT_DAYS = 90, /* a decided conflict is kept so long, or retention_days if that is more */
	INBOX_ROW_MAX = 1024 * 1024 * 1024
};

/* One side's version of a record. */
struct inbox_version {
	const char *changed_at;
	const char *node;
	const char *row; /* JSON object, NULL: deleted there */
	size_t row_len;
	uint64_t checks; /* of the table where the row was (struct table's); not read by inbox_visit */
};

/* One row of sync_conflict. Texts borrowed from the reader. */
struct inbox_conflict {
	uint64_t id;
	const char *happened_at;
	const char *peer;
	const char *table;
	const char *key;
	size_t key_len;
	const char *rule;    /* the policy that decided */
	const char *verdict; /* apply: the remote version stayed; keep: the local one; ask: nobody decided */
	struct inbox_version local, remote;
	const char *resolved_at; /* NULL: no person has decided, or had to */
	const char *resolution;	 /* local, remote; NULL: it ended by itself */
};

struct inbox_filter {
	const char *peer;  /* NULL: all */
	const char *table; /* NULL: all */
	const char *key;   /* NULL: all */
	uint64_t id;	   /* 0: all */
	uint64_t most;	   /* newest first */
	bool undecided_first;
};

/* Keep a conflict, in the transaction that is open: peer, table, key, rule, verdict and both versions of *c (the
 * rest is not read). Versions of any size. */
MUST_CHECK bool inbox_keep(struct db *db, const struct inbox_conflict *c, struct err *e);

/* Keep other versions in the place of those of an earlier one; of its local version alone; and a person has
 * decided it, here or elsewhere. */
enum inbox_keep { INBOX_LOCAL, INBOX_REMOTE };
MUST_CHECK bool inbox_renew(struct db *db, uint64_t id, const struct inbox_conflict *c, struct err *e);
MUST_CHECK bool inbox_renew_local(struct db *db, uint64_t id, const struct inbox_version *local, struct err *e);
/* Is that the remote version which is kept? Compared is as much as one statement carries. */
MUST_CHECK bool inbox_is_remote(struct db *db, uint64_t id, const struct inbox_version *v, bool *is, struct err *e);
MUST_CHECK bool inbox_end(struct db *db, uint64_t id, enum inbox_keep which, struct err *e);

/* The peer has taken a record of ours that it had refused: what was open about it, or about the row of its that
 * wanted the same unique value, has ended (which version stands the next group from there tells). */
MUST_CHECK bool inbox_accepted(struct db *db, const char *peer, const char *table, const char *key, size_t key_len, struct err *e);

/* A row as it is kept. map: the i-th value's column in the table; NULL: the catalog's order. */
void inbox_put_row(struct buf *out, const struct table *t, const size_t *map, const struct line_value *values);
/* The same of a row read with record_select. */
void inbox_put_read(struct buf *out, const struct table *t, const struct db_rows *row);

/* Called for each, one in memory at a time. */
typedef bool inbox_visitor(const struct inbox_conflict *c, void *arg, struct err *e);
MUST_CHECK bool inbox_visit(struct db *db, const struct inbox_filter *f, inbox_visitor *visit, void *arg, struct err *e);

/* A kept row's names and values, alternating: pairs points into text (overwritten; len bytes, a NUL behind them).
 * max: room in pairs, in values. */
MUST_CHECK bool inbox_parse_row(char *text, size_t len, struct line_value *pairs, size_t max, size_t *n, struct err *e);

/* A person decides: the chosen version is written here, as a new change of this node for every peer. What
 * stands in the record now is kept as a conflict of its own when it is neither of the two. ERR_USAGE: no such
 * conflict. ERR_DB_REJECTED, ERR_DB_DUPLICATE: the server does not take it; nothing was changed. */
MUST_CHECK bool inbox_resolve(struct db *db, const struct node_identity *node, const struct catalog *catalog, uint64_t id, enum inbox_keep keep, struct err *e);

/* A table's rule decides about two rows with one unique value: the row of here stays, as when a person keeps
 * "local", with the version that the preferred node gave it. ERR_USAGE: that row is not in the way any more. */
struct inbox_preference {
	uint64_t id;
	const char *node;	/* the preferred one */
	const char *changed_at; /* when it wrote the row */
	const char *rival;	/* the row's key */
	size_t rival_len;
};
MUST_CHECK bool inbox_prefer(struct db *db, const struct node_identity *node, const struct catalog *catalog, const struct inbox_preference *p, struct err *e);
/* The rule's name in a conflict that it has decided so. */
extern const char inbox_rule_preferred[];
/* Is it about two rows, of which only one can have a unique value? */
bool inbox_is_unique(const struct inbox_conflict *c);

/* The undecided ones that the filter (peer, table) lets through, the oldest first. Free *ids. */
MUST_CHECK bool inbox_undecided(struct db *db, const struct inbox_filter *f, uint64_t **ids, size_t *n, struct err *e);

/* Remove at most so many that were decided more than a day ago, the oldest first; *removed: how many, 0: there are no more. */
MUST_CHECK bool inbox_purge_early(struct db *db, uint64_t most, uint64_t *removed, struct err *e);
/* Remove what has been kept long enough; undecided ones stay. */
MUST_CHECK bool inbox_purge(struct db *db, unsigned retention_days, struct err *e);

#endif
