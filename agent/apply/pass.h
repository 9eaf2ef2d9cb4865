/* What the two ways of applying a group share: the group's facts, the list of what was refused, the
 * rows that go into our own queue for other peers. */
#ifndef TANDEM_APPLY_PASS_H
#define TANDEM_APPLY_PASS_H

#include "apply/look.h"
#include "apply/target.h"
#include "apply/tie.h"
#include "change/peer.h"
#include "wire/spool.h"

/* The server's numbers for refusals that may end with another record of the group. */
enum {
	REFUSED_DUPLICATE = 1062,    /* a unique value that another row has */
	REFUSED_HAS_CHILDREN = 1451, /* a row that others point at */
	REFUSED_NO_PARENT = 1452     /* a row that points at none */
};

enum refusal_kind { REFUSED, REFUSED_WAITING, REFUSED_COLLISION, REFUSED_UNDECIDED };

/* Something open between us and the peer about a record (apply/undecided): a debt, or a conflict. */
struct dispute {
	uint64_t hash;
	uint64_t owed_id;  /* the newest change of ours that it has refused */
	uint64_t conflict; /* 0: it is a debt */
	bool decided;	   /* here, by a person; the peer has not acknowledged that yet */
	uint64_t decision; /* then: the change of ours that it is */
	char changed_at[QUEUE_TIME_LEN + 1], node[CONF_NAME_MAX + 1]; /* then: the peer's version that the decision has seen */
	bool rival;	   /* another row has the record's unique value */
};

struct refused {
	size_t number; /* of the record in the group */
	char *table;
	char *key;
	size_t key_len;
	char *reason;
	unsigned db_errno; /* of the server's refusal, 0 = ours */
	enum refusal_kind kind;
	bool after_children; /* a delete that waits for changes of its children (apply/family) */
	bool tied; /* takes part in the knot that is being tried (apply/knot) */
};

struct refused_list {
	struct refused *items;
	size_t n, cap;
};

void refused_free(struct refused_list *l);
/* Take the tied ones out. */
void refused_drop_tied(struct refused_list *l);
MUST_CHECK bool refused_add(struct refused_list *l, const struct refused *r, struct err *e);

/* A key that a record of ours had before the peer refused it under another one: what the peer says of that key has seen
 * no more than the epoch. */
struct left_key {
	uint64_t hash, epoch;
};

/* One group being applied in one transaction. */
struct pass {
	struct db *db;
	const struct conf *conf;
	const struct catalog *catalog;
	struct tie_list ties; /* of the catalog */
	const char *peer;
	bool relay; /* other peers want it too */
	bool rehearsal; /* judged only: nothing is locked and nothing written */
	struct group_header header;
	struct spool *spool;
	struct cursor_state cursor; /* before this group */
	struct mark seen;	    /* our mark that the header states as seen */
	struct queue_times times;   /* late: no change can have been made after it */
	uint64_t start_epoch;	    /* ours, where the link began */
	struct look look;
	struct bulk *relays;
	struct refused_list refused;
	uint64_t *owed; /* hashes of records that the sender lists as still owed */
	size_t nowed, owed_cap;
	uint64_t *unsettled; /* hashes of the records of the sender that were unsettled before; sorted */
	size_t nunsettled;
	bool unsettled_read;
	bool *open_tables; /* by the catalog's index: records of it are refused or owed */
	uint64_t *lost; /* by the catalog's index: records removed here; NULL = none */
	struct family *family; /* careful way: the children of what is deleted (apply/family) */
	bool tying; /* a knot is being tried: foreign keys are not checked */
	struct dispute *disputes; /* sorted by hash (apply/undecided) */
	size_t ndisputes;
	struct left_key *left; /* few, if any (apply/undecided) */
	size_t nleft;
	bool anew;	/* the link with the peer began anew, once */
	bool rivals;	/* pairs of rows with one unique value were opened or renewed */
	bool namesakes; /* some numbers were given to different rows here and there (apply/namesake) */
	uint64_t applied;
};

void pass_free(struct pass *p);
/* The tables as they are now. The catalog outlives the pass. */
MUST_CHECK bool pass_use(struct pass *p, const struct catalog *c, struct err *e);
/* Empty for the other way. */
void pass_reset(struct pass *p);

/* The next line of the group, sorted out. */
enum pass_line { PASS_END, PASS_SECTION, PASS_RECORD };
struct pass_reader {
	struct section section;	    /* of the records that follow */
	const struct table *table;  /* here, or NULL with reason */
	size_t key_at[CATALOG_KEY_COLUMNS]; /* which value each whole number of the key is; SIZE_MAX: no whole number */
	char reason[MESSAGE_REASON_MAX];
	struct line_value values[LINE_VALUES_MAX];
	size_t nvalues;
	struct record_meta meta;
	size_t number; /* of the record, from 0 */
};
/* Rewind, read the header. */
MUST_CHECK bool pass_begin(struct pass *p, struct pass_reader *r, struct err *e);
MUST_CHECK bool pass_next(
    struct pass *p, struct pass_reader *r, enum pass_line *what, struct err *e);
void pass_reader_free(struct pass_reader *r);
/* Remember a record that is listed as owed. One that never came here (its table is held there) is unsettled like
 * one that was refused: what goes back of it has not seen the sender's change. */
MUST_CHECK bool pass_note_owed(struct pass *p, const struct pass_reader *r, struct err *e);
/* The decision of ours that has seen the peer's version of the record, and that the peer had not seen when it sent
 * that; NULL: none. seen: what counts as seen for the record. */
const struct dispute *pass_decided(const struct pass *p, uint64_t hash, const struct mark *seen, const char *changed_at, const char *node);
/* The first dispute about the record with this hash (others follow it), or NULL. */
const struct dispute *pass_dispute(const struct pass *p, uint64_t hash);
/* Has a record left that key, and the peer has refused it under its next one? *epoch: what it has seen at most. */
bool pass_left(const struct pass *p, uint64_t hash, uint64_t *epoch);
/* What a SELECT of rows that are judged ends with. */
const char *pass_lock(const struct pass *p);
/* Remember that records of the table are refused or owed. */
MUST_CHECK bool pass_open_table(struct pass *p, const char *name, struct err *e);
MUST_CHECK bool pass_note_open(struct pass *p, uint64_t hash, struct err *e);
/* Count records removed from the table, for max_delete. */
MUST_CHECK bool pass_note_lost(struct pass *p, const struct table *t, uint64_t records, struct err *e);

/* Queue an applied record for the other peers (does nothing when there are none), and run what is
 * gathered. requeue: for every peer, the sender included, as whole. */
struct relay {
	const char *table;
	enum operation operation;
	const char *key;
	size_t key_len;
	const char *changed_at;
	const char *node;
	bool whole;
	bool requeue;
	bool linked; /* the one relayed just before is the key this record had */
	const char *columns; /* what an update tells (apply/columns); NULL: nothing */
	size_t columns_len;
	const char *versions;
	const char *difference;
};
enum { RELAYS_MAX = 8 }; /* for one record: two for each of its keys, and its own */
struct relay_list {
	struct relay items[RELAYS_MAX];
	size_t n;
};
MUST_CHECK bool pass_relay(struct pass *p, const struct relay *r, struct err *e);
/* The same at once, so that a rollback to a savepoint takes it back. */
MUST_CHECK bool pass_queue(struct pass *p, const struct relay *r, struct err *e);
/* A time for a version made now by this node, later than another one whatever the clocks say. */
MUST_CHECK bool pass_now_after(struct pass *p, const char *changed_at, char out[QUEUE_TIME_LEN + 1], struct err *e);
MUST_CHECK bool pass_relay_flush(struct pass *p, struct err *e);

#endif
