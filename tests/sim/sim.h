/* The simulation of the protocol's decisions: nodes in one process, each with a store in memory, and a network that
 * loses, doubles, delays and reorders. Every decision is the program's own function (libtandem.a); what lives here is
 * what a server, a line and people do. Not simulated: foreign keys, types, definitions, signatures. */
#ifndef TANDEM_TESTS_SIM_H
#define TANDEM_TESTS_SIM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdint.h>

#include "apply/chunk.h"
#include "change/collapse.h"
#include "change/mark.h"
#include "change/peer.h"
#include "wire/message.h"

enum {
	NODES_MAX = 4,
	TABLES = 3,
	KEYS = 64,	  /* 1 to KEYS - 1; people use the first few */
	PEOPLE_KEYS = 5,
	CELLS = 2,	  /* contents of a row: each value is written once only, so that it can be followed */
	OPEN_MAX = 2,	  /* transactions open at a node */
	WRITES_MAX = 6,	  /* queue rows of one transaction */
	KEPT_ROWS = 4096, /* contents written in one schedule, at most */
	DECIDED_MAX = 16, /* conflicts decided by a rule that a node remembers both versions of: the last ones */
	RECORDS_MAX = 3 * KEYS,
	RELAYS = 4 * RECORDS_MAX, /* of one group */
	MAX_ATTEMPTS = 3,
	NAME_MAX_LEN = 4,
	KEY_MAX_LEN = 4,
	COLUMNS = 2 + CELLS + 1, /* key, contents, unique value, counter */
	TOLD_BYTES = 16,
	VERSIONS_LEN = 256,
	DIFFERENCE_LEN = 24,
	FIRST_STOCK = 100,
	COUNTED_KEYS = 3, /* records that are never deleted and keep their key: all sales of them count */
	NOBODY = -1
};

/* What a table is: keys that people choose; keys of AUTO_INCREMENT; a column with unique values. */
enum table_kind { TABLE_PLAIN, TABLE_COUNTED, TABLE_UNIQUE };

/* Rules of the protocol, broken on purpose: the simulation must notice each. */
enum wrong {
	RIGHT,
	WRONG_NO_REQUEUE,     /* a whole record's verdict is not queued again */
	WRONG_KEEPER_REQUEUES, /* only by the side whose version stays */
	WRONG_WATERMARK,      /* ids below the highest count as seen */
	WRONG_REFUSED_SEEN,   /* a refused record counts as seen */
	WRONG_PURGE_ON_ACK,   /* what is acknowledged is purged */
	WRONG_RESEND,	      /* a group that was applied is applied again */
	WRONG_INCARNATION,    /* nobody asks which life of a database this is */
	WRONG_STAMP,	      /* an epoch's number is enough */
	WRONG_LOSER_DROPPED,  /* the version that lost is not kept */
	WRONG_ECHO,	      /* what was applied is queued like an app's change */
	WRONG_POSITION_FIRST, /* the cursor is stored before the rows */
	WRONG_ANSWER_FIRST,   /* the answer leaves before the commit */
	WRONG_LOOK_FIRST,     /* rows are looked at without waiting for who writes them */
	WRONG_BLIND,	      /* whatever arrives is written */
	WRONG_PREFER_LAST,    /* who judges does not ask which node is preferred */
	WRONG_DECIDED_ALL,    /* a decision counts as having seen what was refused for another reason */
	WRONG_ONE_TIME,	      /* merge: one time for all columns of a record */
	WRONG_VALUE_WINS,     /* add: a counter's value is taken where both sides counted */
	WRONG_DIFFERENCE_LOST, /* add: a change that lost its columns does not count any more */
	WRONG_COUNTED_TWICE,  /* add: a value brings what a later group tells of once more */
	WRONG_RETRY_FORGETS,  /* a retry tells of the record only, not of the changes that it stands for */
	WRONGS
};
extern const char *const wrong_names[WRONGS];
enum { POLICY_ADD = POLICY_MANUAL + 1, POLICIES }; /* counters, the other columns by newer */
extern const char *const policy_names[POLICIES];

struct row {
	bool here;
	uint32_t cells[CELLS];
	uint32_t value; /* of the unique column, 0: NULL */
	int64_t stock;	/* the counter, where the table has one */
};

/* What an update tells of single columns, as sync_queue and the wire have it. */
struct told {
	bool any;
	char columns[TOLD_BYTES];
	size_t columns_len;
	char versions[VERSIONS_LEN];   /* "": none */
	char difference[DIFFERENCE_LEN]; /* "": none */
};

/* A row of sync_queue. */
struct queued {
	uint64_t id;
	int table, key;
	enum operation operation;
	char changed_at[QUEUE_TIME_LEN + 1];
	int origin, via; /* a node's number or NOBODY */
	bool whole;
	struct told told;
	uint64_t link;
	enum { PENDING, SYNCED, SUPERSEDED } status;
	bool error;   /* last_error is set */
	bool visible; /* committed */
};

/* A row of sync_owed. */
struct debt {
	int table, key;
	const char *state;
	unsigned attempts;
	uint64_t last_id;
	enum operation first;
	char changed_at[QUEUE_TIME_LEN + 1];
	int origin, via;
	bool whole;
	uint64_t link;
	uint64_t sent_epoch;
	uint64_t ids[64];
	size_t nids;
};

/* A row of sync_unsettled. */
struct unsettled {
	int table, key;
	uint64_t seen_before;
	bool asked; /* refused last because a person is asked, and not for another reason */
};

/* A row of sync_undecided, with the version that the peer holds. */
struct undecided {
	int table, key;
	int local_key; /* under which the record is here, 0: it is not */
	int rival;     /* another row here, which has its unique value; 0: none */
	char changed_at[QUEUE_TIME_LEN + 1];
	int node;
	struct row row;
	uint64_t decision; /* 0: none yet */
};

struct refused_record {
	int table, key;
	bool counted;
	bool asked; /* a person is */
};

/* What a group is answered; kept with the cursor. */
struct reply {
	int status;
	char code[16];
	struct answer_header header;
	struct refused_record refused[RECORDS_MAX];
	size_t nrefused;
};

/* One side of a link. */
struct side {
	bool linked;
	struct peer_state state; /* sync_peer */
	bool has_sent_seen;
	uint64_t sent_seen;
	struct cursor_state cursor; /* sync_cursor */
	struct reply *answer;	    /* kept for it */
	struct debt *owed;
	size_t nowed;
	struct unsettled *unsettled;
	size_t nunsettled;
	struct undecided *undecided;
	size_t nundecided;
};

/* A conflict that a rule has decided. */
struct decided {
	int table, key;
	struct row versions[2];
};

/* Everything that a backup of a database holds. */
struct store {
	char incarnation[SCHEMA_INCARNATION_LEN + 1];
	struct row rows[TABLES][KEYS];
	uint64_t next_id;
	int next_key; /* AUTO_INCREMENT */
	struct queued *queue;
	size_t nqueue, queue_cap;
	struct mark *marks;
	size_t nmarks, marks_cap;
	struct id_set dead; /* holes found dead */
	uint64_t settled_epoch;
	struct side sides[NODES_MAX];
	bool kept[KEPT_ROWS]; /* contents in sync_conflict */
	struct decided decided[DECIDED_MAX];
	size_t ndecided; /* ever */
};

/* A write inside an open transaction. */
struct write {
	int table, key;
	struct row row;
	struct queued change;
};
struct transaction {
	bool open;
	struct write writes[WRITES_MAX];
	size_t n;
};

enum waiting { IDLE, WAITS_WELCOME, WAITS_ANSWER };
struct caller { /* this node's drain to one peer */
	enum waiting waits;
	uint64_t request; /* whose answer counts */
	bool retry;
	bool last;  /* nothing is left behind the group that was sent */
	int hellos; /* of this drain */
};

struct node {
	int number;
	char name[NAME_MAX_LEN];
	int64_t skew_us;
	struct store store;
	struct store *backup; /* NULL: none was made */
	struct transaction open[OPEN_MAX];
	struct caller callers[NODES_MAX];
	bool restored; /* and not mended yet */
};

/* One record of a group on its way. */
struct sent {
	int table;
	char operation;
	char key[KEY_MAX_LEN], old_key[KEY_MAX_LEN]; /* "": none */
	char changed_at[QUEUE_TIME_LEN + 1];
	char origin[NAME_MAX_LEN], via[NAME_MAX_LEN];
	bool whole, has_seen, weak;
	uint64_t seen;
	struct told told; /* versions and difference in the wire's form */
	struct row row;
};

struct group_sent {
	struct group_header header;
	struct sent records[RECORDS_MAX];
	size_t n;
};

enum kind { HELLO, WELCOME, GROUP, ANSWER };
struct letter {
	enum kind kind;
	int from, to;
	uint64_t request;
	bool copy; /* delivered once already */
	struct welcome welcome;
	struct reply *reply;	  /* of an answer, or kept and given with a welcome; NULL: none */
	struct group_sent *group;
};

struct world {
	uint64_t seed, random;
	const uint8_t *choices; /* instead of chance, while there are any */
	size_t nchoices;
	enum wrong wrong;
	struct node nodes[NODES_MAX];
	int n;
	int64_t now_us;
	struct letter *letters;
	size_t nletters, letters_cap;
	uint64_t requests;
	bool chaos;	  /* the line, the power and the tables are unkind */
	bool collide;	  /* both give the same AUTO_INCREMENT numbers */
	bool set_back;	  /* a node was, once */
	bool restores;	  /* a node may be set back to its backup */
	bool revises;	  /* people take versions that have lost */
	bool skewed;
	bool codec;	  /* records travel as lines */
	enum conf_policy policy;
	bool adds; /* TABLE_PLAIN has a counter */
	int64_t sold[COUNTED_KEYS + 1]; /* of its first records: what people added, committed */
	struct catalog catalog; /* of all nodes */
	struct table tables[TABLES]; /* by name */
	struct column columns[TABLES][COLUMNS];
	uint64_t group_rows; /* 0: no limit */
	double refuse;	  /* share of writes that a server refuses */
	/* what is known of every content ever written */
	uint32_t contents;
	bool replaced[KEPT_ROWS]; /* by somebody who had it in front of him */
	bool gone[KEPT_ROWS];	  /* only on a disk that was set back */
	uint32_t values;	  /* of the unique column, handed out by a person who ends a quarrel */
	int held;		  /* links that were held, ever */
	char failure[512];	  /* "": none */
	bool trace;
	/* what happened, for the figures */
	unsigned long groups, conflicts, refusals, lost, crashes, cuts, purged, mended, moves;
};

extern const char *const table_names[TABLES];

/* --- chance (world.c) --- */
uint64_t chance_next(struct world *w);
size_t chance_below(struct world *w, size_t n);
bool chance(struct world *w, double share);
void chance_hex(struct world *w, char *out, size_t digits);
void fail(struct world *w, const char *format, ...) PRINTF_FMT(2, 3);
void note(struct world *w, const char *format, ...) PRINTF_FMT(2, 3);
/* Of errors that can only be the simulation's own. */
void must(bool ok, const struct err *e);
void node_time(const struct world *w, const struct node *n, char out[QUEUE_TIME_LEN + 1]);

/* --- stores (store.c) --- */
void store_init(struct world *w, struct store *s);
void store_free(struct store *s);
void store_copy(const struct store *from, struct store *to);
void side_reset(struct side *side, const struct mark *at);
struct queued *store_enqueue(struct store *s, const struct queued *q);
/* The end of a key, told again by itself: of is the change that left it, with the next id (queue_tell_end). */
void store_tell_end(struct store *s, struct queued *of);
struct queued *store_queued(const struct store *s, uint64_t id);
const struct mark *store_mark(const struct store *s, uint64_t epoch);
const struct mark *store_last_mark(const struct store *s);
void store_add_mark(struct store *s, struct mark *m); /* takes it over */
/* A queue row as the program sees it. texts: room for the key. */
struct change store_change(const struct world *w, const struct queued *q, char key[KEY_MAX_LEN]);
struct debt *store_debt(struct side *side, int table, int key);
void store_drop_debt(struct side *side, struct debt *d);
struct undecided *store_undecided(struct side *side, int table, int key);
struct undecided *store_add_undecided(struct side *side, int table, int key);
void store_drop_undecided(struct side *side, struct undecided *u);
/* The rows that an owed record stands for. */
void store_mark_rows(struct store *s, const struct debt *d, int status);
/* Another row with the unique value? */
bool store_has_value(const struct store *s, uint32_t value, int but);
/* Its key; 0: there is none. */
int store_find_value(const struct store *s, uint32_t value, int but);
int key_number(const char *key);
int node_number(const char *name); /* NOBODY: NULL or "" */
int table_number(const char *name);
void keep_row(struct store *s, const struct row *row);
bool same_row(const struct row *a, const struct row *b);
const struct table *table_of(const struct world *w, int table);
/* The row's values as texts, and back. */
enum { VALUE_LEN = 24 };
void row_values(int key, const struct row *row, char texts[COLUMNS][VALUE_LEN], struct line_value values[COLUMNS]);
void row_read(const struct line_value values[COLUMNS], struct row *row);
/* What a change of these columns tells. */
void told_of(const struct world *w, int table, const struct mask *columns, int64_t difference, struct told *out);

/* --- sending (sender.c) --- */
enum built { BUILT_NOTHING, BUILT_GROUP, BUILT_HELD };
enum built sender_build(struct world *w, struct node *n, int peer, bool retry, struct group_sent *out);
/* false: the link is held */
bool sender_welcome(struct world *w, struct node *n, const struct letter *l);
bool sender_answer(struct world *w, struct node *n, int peer, const struct reply *r);
void sender_tidy(struct world *w, struct node *n, bool purge);

/* --- receiving (receiver.c) --- */
void receiver_welcome(struct world *w, struct node *n, int peer, struct letter *out);
/* false: not now, ask again */
bool receiver_apply(struct world *w, struct node *n, int peer, const struct group_sent *g, struct reply *out);

/* --- people (people.c) --- */
void people_write(struct world *w, struct node *n);
void people_finish(struct world *w, struct node *n, bool commit);
bool people_lock(const struct node *n, int table, int key);
/* A person at a ends what the program may not between a and b. False: there was nothing. */
bool people_decide(struct world *w, int a, int b);
/* One decision, of one record, about what a peer has sent. */
void people_resolve(struct world *w, struct node *n, int peer);
/* The other version of a conflict that a rule has decided is taken after all, or the same one once more. */
void people_revise(struct world *w, struct node *n);
/* A counted record is sent whole, as --verify --repair does. */
void people_repair(struct world *w, struct node *n);
void people_mend(struct world *w, struct node *n);

/* --- the end (oracle.c) --- */
void oracle_named(struct world *w);
bool oracle_equal(const struct world *w);
void oracle_final(struct world *w);

/* One schedule; what failed is in w->failure. */
/* policy: -1: any. */
void world_run(struct world *w, uint64_t seed, int nodes, int policy, enum wrong wrong, bool trace);
/* One schedule in which these bytes choose what happens, and chance when they are used up. */
void world_play(struct world *w, const uint8_t *choices, size_t n, enum wrong wrong);
void world_drop_letters(struct world *w);
/* A backup from before a link began anew is not restored any more: its node could not be told from one that never
 * met the other. */
void world_drop_backup(struct node *n);
/* One drain without any trouble; true: something was sent. */
bool world_drain(struct world *w, int from, int to);

#endif
