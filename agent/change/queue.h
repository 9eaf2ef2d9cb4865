/* sync_queue and sync_epoch: reading changes by marks, making marks, probing holes, settling
 * statuses and purging. No queue row is ever updated or locked while the app may be writing it:
 * everything is a primary-key range (docs/design.md, marks). */
#ifndef TANDEM_CHANGE_QUEUE_H
#define TANDEM_CHANGE_QUEUE_H

#include "change/mark.h"
#include "db/schema.h"

enum operation { OP_INSERT = 1, OP_UPDATE = 2, OP_DELETE = 3, OP_DIRTY = 4 }; /* the ENUM's numbers */

enum {
	QUEUE_READ_ROWS = 10000,  /* rows held in memory while reading */
	QUEUE_STEP_IDS = 20000,	  /* ids of one settling or purging step: short row locks */
	QUEUE_COUNT_IDS = 10000,  /* counted one by one for a page that is open: about 5 ms */
	QUEUE_PURGE_MS = 500,	  /* of one purge: changes are to be sent meanwhile; the next one goes on */
	QUEUE_PROBE_AGE_MS = 60000, /* two empty probes this far apart call a hole dead */
	QUEUE_TIME_LEN = 26	  /* "2026-11-21 02:03:04.123456" */
};

/* One row of the queue. Borrowed from the reader. */
struct change {
	uint64_t id;
	enum operation operation;
	const char *table;
	const char *key; /* NULL when dirty */
	size_t key_len;
	const char *changed_at;
	const char *origin; /* NULL: made here */
	const char *via;    /* NULL: made here */
	bool whole;
	uint64_t link; /* 0: none */
	const char *columns; /* changed_columns (capture/mask); NULL: not told */
	size_t columns_len;
	const char *versions; /* of single columns (change/versions); NULL: the change's own */
	size_t versions_len;
	const char *difference; /* of counters (capture/mask); NULL: none */
};

/* Sees one change; *stop = true ends the reading. */
typedef bool queue_visitor(const struct change *change, void *arg, bool *stop, struct err *e);

/* Every change that upto contains and after does not, in ascending order of id; superseded ones are
 * left out. */
MUST_CHECK bool queue_visit(struct db *db, const struct mark *after, const struct mark *upto, queue_visitor *visit, void *arg, struct err *e);

/* The rows named in a list of ids ("12,15,13") that are still there, in ascending order of id; superseded ones are
 * left out. */
MUST_CHECK bool queue_visit_ids(struct db *db, const char *ids, queue_visitor *visit, void *arg, struct err *e);

/* Outside a snapshot: every change visible now that looked does not contain; looked then contains
 * them. Called again, only what came since is seen. */
MUST_CHECK bool queue_look(struct db *db, struct mark *looked, queue_visitor *visit, void *arg, struct err *e);

MUST_CHECK bool queue_last_mark(struct db *db, struct mark *out, struct err *e);
/* *found = false when the epoch is not kept any more. */
MUST_CHECK bool queue_load_mark(struct db *db, uint64_t epoch, struct mark *out, bool *found, struct err *e);
/* The newest epoch in (after, upto] whose mark ends at or below the id; 0 if there is none. */
MUST_CHECK bool queue_epoch_below(struct db *db, uint64_t after, uint64_t upto, uint64_t id, uint64_t *epoch, struct err *e);

/* In a snapshot: the mark of everything visible now, as the next epoch after last, not stored yet
 * (no stamp). *grew: it contains more than last. */
MUST_CHECK bool queue_next_mark(struct db *db, const struct mark *last, struct mark *out, bool *grew, struct err *e);
/* Make next end at the id: later ids, and visible ones of last's holes above it, are left for the epoch after. */
MUST_CHECK bool queue_cut_mark(const struct mark *last, struct mark *next, uint64_t id, struct err *e);
/* Store next with a fresh stamp. ERR_DB_DUPLICATE: somebody else made this epoch; roll back, try again. */
MUST_CHECK bool queue_store_mark(struct db *db, struct mark *next, struct err *e);

/* Between which times a change can have been made that came after a mark, as the server's clock and its marks know:
 * not after now, not before the mark (a statement may have begun CLOCK_STATEMENT_S before it), give or take what
 * clocks may differ by. early "": the mark was itself made by a clock that was ahead. */
enum { CLOCK_STATEMENT_S = 3600 };
struct queue_times {
	char early[QUEUE_TIME_LEN + 1], late[QUEUE_TIME_LEN + 1], now[QUEUE_TIME_LEN + 1];
};
MUST_CHECK bool queue_times(struct db *db, uint64_t after_epoch, int64_t skew_ms, struct queue_times *out, struct err *e);
/* Changes of this node that lie outside get the present time. Pending ones only; *n counts them. */
MUST_CHECK bool queue_restamp(struct db *db, int64_t skew_ms, uint64_t *n, struct err *e);

/* A cheap look without a snapshot: the highest visible id, and the number of visible rows at all in
 * last's holes. */
MUST_CHECK bool queue_peek(struct db *db, const struct mark *last, uint64_t *high, uint64_t *late, struct err *e);

/* Probe the holes of the newest mark; those found dead leave it with the next mark. Outside any transaction. */
MUST_CHECK bool queue_probe_holes(struct db *db, const struct mark *last, struct err *e);

struct queue_estimate {
	uint64_t count, oldest_ms;
	bool exact;
};

/* Changes of this node that the mark does not contain, as people count them: pending, not from via. */
MUST_CHECK bool queue_count_after(struct db *db, const struct mark *after, const char *not_via, uint64_t *count, struct err *e);

/* The same for whoever looks every second: exact where few ids lie above the mark, else how many lie there (*exact
 * says which). *oldest_ms: the age of the oldest of them, 0 when there are none. */
MUST_CHECK bool queue_estimate_after(struct db *db, const struct mark *after, const char *not_via, struct queue_estimate *out, struct err *e);

/* The same for ids up to upto only. */
MUST_CHECK bool queue_count_between(struct db *db, const struct mark *after, uint64_t upto, const char *not_via, uint64_t *count, struct err *e);

/* Set status 'synced' on what every peer has: the ids that now contains and before (the mark of the last
 * time) does not. In small steps of one short transaction each. */
MUST_CHECK bool queue_settle(struct db *db, const struct mark *before, const struct mark *now, struct err *e);
/* The rows named in a list of ids are owed to nobody any more: synced where every peer has passed them, else as rows
 * that have not been sent. Not superseded: that a row was born here is known by them. */
MUST_CHECK bool queue_release_rows(struct db *db, const char *ids, struct err *e);
/* Set status, attempts and reason (NULL: none) of the rows named in a list of ids ("12,15,13"), superseded
 * ones left out. */
MUST_CHECK bool queue_mark_rows(struct db *db, const char *ids, const char *status, unsigned attempts, const char *reason, struct err *e);
/* The record of the change with this id is gone under the key that it names: told by a change of its own, with the version
 * of that one. Nothing where that change is not kept, or is of another table. */
MUST_CHECK bool queue_tell_end(struct db *db, const char *table, uint64_t id, struct err *e);
/* Look once more at dead holes that keep contains, before they are forgotten: a row found there (its
 * transaction lived on after all) gets a new id and so is sent. *revived counts them. */
MUST_CHECK bool queue_bury_holes(struct db *db, const struct mark *keep, uint64_t *revived, struct err *e);
/* Delete synced and superseded rows older than days that keep (a mark every peer is beyond) contains, in
 * small steps, for QUEUE_PURGE_MS; *removed counts them. */
MUST_CHECK bool queue_purge(struct db *db, const struct mark *keep, unsigned days, uint64_t *removed, struct err *e);

#endif
