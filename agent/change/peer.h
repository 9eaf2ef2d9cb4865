/* What is known of each peer: positions, the records it is owed, the ones of its own that are not
 * settled here. Tables sync_peer, sync_cursor, sync_owed, sync_unsettled. */
#ifndef TANDEM_CHANGE_PEER_H
#define TANDEM_CHANGE_PEER_H

#include "change/collapse.h"

enum {
	PEER_TEXT_MAX = 512,
	PEER_HASH_BYTES = 16
};

/* Sending side. */
struct peer_state {
	char incarnation[SCHEMA_INCARNATION_LEN + 1]; /* "" = never met */
	uint64_t acked_epoch;
	char acked_stamp[MARK_STAMP_LEN + 1];
	uint64_t floor_epoch;
	uint64_t start_epoch;
	uint64_t quiet_epoch;
	bool unanswered; /* a group is, or was, on its way to it */
	bool lapsed; /* away for so long that what waited for it was given up */
	bool fresh; /* it has never acknowledged anything since it was registered */
	char held[PEER_TEXT_MAX]; /* "" = not held */
};

/* Receiving side. */
struct cursor_state {
	char incarnation[SCHEMA_INCARNATION_LEN + 1]; /* "" = nothing received yet */
	uint64_t epoch;
	char stamp[MARK_STAMP_LEN + 1];
};

/* Make the peer's rows if they are not there: it starts at the oldest epoch kept. */
MUST_CHECK bool peer_register(struct db *db, const char *peer, struct err *e);
/* Forget a peer: positions, owed and unsettled records. */
MUST_CHECK bool peer_forget(struct db *db, const char *peer, struct err *e);
/* Forget it and register it anew at the newest epoch, in the caller's transaction. */
MUST_CHECK bool peer_reset(struct db *db, const char *peer, struct err *e);
MUST_CHECK bool peer_load(struct db *db, const char *peer, struct peer_state *out, struct err *e);
MUST_CHECK bool peer_met(struct db *db, const char *peer, const char *incarnation, int64_t skew_ms, struct err *e);
/* The link waits for a person; reason "" releases it. */
MUST_CHECK bool peer_hold(struct db *db, const char *peer, const char *reason, struct err *e);
/* Remember what went wrong, for --status. */
MUST_CHECK bool peer_failed(struct db *db, const char *peer, const char *message, struct err *e);
/* What was remembered is over. */
MUST_CHECK bool peer_works(struct db *db, const char *peer, struct err *e);

/* for_update: lock the row for the transaction that applies. */
MUST_CHECK bool cursor_load(struct db *db, const char *peer, bool for_update, struct cursor_state *out, struct err *e);
/* The answer kept for the cursor's position; "" when there is none. */
/* In the transaction that is open: waits for groups that are being applied, each of which holds its peer's cursor;
 * whoever applies after this sees what the transaction has written. */
MUST_CHECK bool cursor_lock_all(struct db *db, struct err *e);
MUST_CHECK bool cursor_answer(struct db *db, const char *peer, struct buf *out, struct err *e);
/* The lowest epoch of the peer that a group of ours to it may still state as seen. */
MUST_CHECK bool cursor_floor(struct db *db, const char *peer, uint64_t *floor, struct err *e);

/* MD5 of table and key, as sync_owed and sync_unsettled are keyed. */
MUST_CHECK bool peer_record_hash(const char *table, const char *key, size_t key_len, unsigned char out[PEER_HASH_BYTES], struct err *e);

/* One row of sync_owed. Texts borrowed from the reader. */
struct owed {
	const char *table;
	const char *key;
	size_t key_len;
	const char *state;
	unsigned attempts;
	const char *last_error;
	uint64_t last_id;
	enum operation first;
	const char *changed_at;
	const char *origin;
	const char *via;
	bool whole;
	uint64_t link; /* 0: none */
	uint64_t sent_epoch;
	const char *queue_ids;
};
typedef bool owed_visitor(const struct owed *o, void *arg, struct err *e);
/* Every record owed to the peer (discarded ones too). */
MUST_CHECK bool owed_visit(struct db *db, const char *peer, owed_visitor *visit, void *arg, struct err *e);
/* The tables of which the peer has not taken a delete, or that a row got another key. */
typedef bool table_visitor(const char *table, void *arg, struct err *e);
MUST_CHECK bool owed_visit_removed(struct db *db, const char *peer, table_visitor *visit, void *arg, struct err *e);
MUST_CHECK bool owed_count(struct db *db, const char *peer, const char *state, uint64_t *out, struct err *e);

/* Epochs of the peer that count as seen for single records: key -> seen_before. */
typedef bool unsettled_visitor(const char *table, const char *key, size_t key_len, uint64_t seen_before, void *arg, struct err *e);
MUST_CHECK bool unsettled_visit(struct db *db, const char *peer, unsettled_visitor *visit, void *arg, struct err *e);
/* The keys that records had before which are owed to the peer, each with our newest epoch before the record left it. */
MUST_CHECK bool owed_visit_left(struct db *db, const char *peer, unsettled_visitor *visit, void *arg, struct err *e);

/* Give up what waits for a peer that has taken nothing for so many days: once for each such peer. */
typedef bool peer_visitor(const char *peer, void *arg, struct err *e);
MUST_CHECK bool peer_find_lapsed(struct db *db, unsigned days, peer_visitor *visit, void *arg, struct err *e);
MUST_CHECK bool peer_lapse(struct db *db, const char *peer, const char *reason, struct err *e);

/* Nothing up to the epoch is for the peer. */
MUST_CHECK bool peer_quiet(struct db *db, const char *peer, uint64_t epoch, struct err *e);
/* The newest epoch whose changes all peers have (or do not need). Lapsed ones do not count, here and below. */
MUST_CHECK bool peer_all_have(struct db *db, uint64_t *epoch, struct err *e);
/* The same for one peer: from which epoch on it needs rows and marks (of a state's acked, floor and quiet). Pure. */
uint64_t peer_rows_from(const struct peer_state *s);
uint64_t peer_marks_from(const struct peer_state *s);
/* The newest epoch below which nobody needs the queue's rows any more, and the one below which nobody
 * names a mark any more. */
MUST_CHECK bool peer_rows_needed_from(struct db *db, uint64_t *epoch, struct err *e);
MUST_CHECK bool peer_marks_needed_from(struct db *db, uint64_t *epoch, struct err *e);

#endif
