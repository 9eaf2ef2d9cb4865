/* What this node knows of itself and its peers, read from the sync schema: for --status, --parked, the
 * page and /api/status. One struct, so that all of them say the same. */
#ifndef TANDEM_APP_REPORT_H
#define TANDEM_APP_REPORT_H

#include "base/clock.h"
#include "change/allowance.h"
#include "change/filling.h"
#include "change/peer.h"
#include "db/numbering.h"

enum {
	REPORT_PARKED_MAX = 1000,  /* parked records listed */
	REPORT_REASONS_MAX = 5,	   /* reasons listed for each peer */
	REPORT_ACTIVITY_MAX = 20,  /* recent groups listed */
	REPORT_WHY_MAX = 1024,
	REPORT_TEXT_MAX = 4 * 1024 * 1024
};

/* Where the disk becomes a matter for a person. Stored: millions of changes, hundreds of thousands of kept versions: no
 * laptop needs so many, and there is time to look. Free: a group of a hundred thousand records needs a tenth of it. */
#define REPORT_STORED_WARN ((uint64_t)1024 * 1024 * 1024)
#define REPORT_FREE_WARN ((uint64_t)1024 * 1024 * 1024)

struct report_peer {
	char name[CONF_NAME_MAX + 1];
	const char *url; /* borrowed from conf */
	bool paused;
	bool pull;
	uint64_t pending;
	bool pending_about;			    /* report_read_quick: of many, how many ids */
	uint64_t lag_ms;			    /* report_read_quick: how old the oldest is */
	uint64_t retry, waiting, parked, discarded; /* records of ours that it refused */
	uint64_t undecided;			    /* conflicts with it that a person decides */
	uint64_t refused_here;			    /* records of its that we refused */
	uint64_t records_sent, records_applied;
	uint64_t failures;
	char last_success[CLOCK_TEXT_MAX], last_error_at[CLOCK_TEXT_MAX], last_applied[CLOCK_TEXT_MAX];
	char last_error[PEER_TEXT_MAX];
	char held[PEER_TEXT_MAX];
	char deletes[ALLOWANCE_TEXT_MAX]; /* what this node holds back of the peer, "" = nothing */
	char clock_skew_ms[24];
	struct buf reasons;	/* JSON array: why records wait, each reason once */
	struct buf moved;	/* JSON array: tables that nothing is sent from */
	uint64_t tables_moved, tables_held; /* all of them; those that wait for a person */
	bool in_step; /* everything committed here is there */
	bool filling; /* a startup from it has not come to its end */
};

struct report {
	struct node_identity node;
	const char *database; /* borrowed from conf */
	struct report_peer *peers;
	size_t npeers;
	uint64_t pending, synced, failed, superseded; /* rows of sync_queue */
	uint64_t conflicts;
	uint64_t undecided; /* of them: a person decides */
	uint64_t dirty_tables;
	uint64_t fresh_tables;	 /* new ones, not replicated yet */
	uint64_t waiting_tables; /* those, and triggers of the app that nobody has chosen about: not replicated */
	char waiting_why[REPORT_WHY_MAX]; /* the first of them, "" = none */
	uint64_t queue_bytes, conflict_bytes, sync_bytes; /* that their tables take; all of the sync schema */
	unsigned max_queue, max_conflicts;    /* as agent.conf says */
	uint64_t free_bytes; /* where state_dir is; UINT64_MAX: not known */
	struct filling filling; /* a startup that has not come to its end */
	struct buf new_tables; /* JSON array: tables that could be replicated and are not yet */
	struct buf app_triggers; /* JSON array: triggers of the app without a choice, or not guarded */
	uint64_t waiting_trees; /* of the upload folders: a person has to look */
	struct buf trees; /* JSON array: the upload folders (app/trees) */
	struct buf parked;   /* JSON array of parked records */
	struct buf activity; /* JSON array, newest first */
	struct buf tables;   /* JSON object: table -> pending changes */
	struct buf numbering; /* JSON array: nodes whose new rows get numbers that others give, too */
	struct buf oneway; /* JSON array: tables whose directions here and at a peer do not fit together */
};

/* peer: only this one (ERR_USAGE when there is none of that name), or NULL. */
MUST_CHECK bool report_read(struct db *db, const struct conf *conf, const char *peer, struct report *out, struct err *e);
/* Two halves for a page that is open. Quick: peers, parked, activity, a few milliseconds however long the queue is;
 * what the other half knows of tables it is told. Whole tables are counted by the other one. */
struct report_tables {
	uint64_t dirty, waiting; /* dirty_tables, waiting_tables */
	uint64_t trees;		 /* waiting_trees */
};
MUST_CHECK bool report_read_quick(struct db *db, const struct conf *conf, const struct report_tables *known, struct report *out, struct err *e);
MUST_CHECK bool report_read_counts(struct db *db, const struct conf *conf, struct report *out, struct err *e);
/* Of a peer, as JSON without the closing brace; the second half as JSON members, each with a comma before it. */
void report_put_peer(const struct report_peer *p, struct buf *out);
void report_put_counts(const struct report *r, struct buf *out);
void report_free(struct report *r);
/* Does a person have to look? (parked, held, dirty, the app's triggers) */
bool report_needs_person(const struct report *r);
/* Is the disk filling up (of what report_read_counts reads)? Then out says with what. percent: of where that begins. */
bool report_disk(const struct report *r, unsigned percent, char *out, size_t size);
/* A time of the report, "2026-11-21 02:03:04.123456" in UTC, as microseconds since 1970; 0 for "". */
int64_t report_time_us(const char *text);
/* As JSON (docs/protocol.md, status); only parked records. */
void report_json(const struct report *r, struct buf *out);
void report_parked_json(const struct report *r, struct buf *out);

#endif
