/* The local changes that a group's sender had not seen: found after the group's rows are locked, kept
 * in memory by record for the group's records only. */
#ifndef TANDEM_APPLY_LOOK_H
#define TANDEM_APPLY_LOOK_H

#include "apply/conflict.h"
#include "change/collapse.h"

/* One local change of a record of the group. */
struct local_change {
	uint64_t hash;
	uint64_t id;
	char changed_at[QUEUE_TIME_LEN + 1];
	char node[CONF_NAME_MAX + 1];
	enum operation operation; /* an insert that only gives a record another key counts as an update */
	bool whole;
	bool decided; /* put there by a verdict or a person */
	bool weak; /* nothing was changed on purpose (capture/mask) */
	struct versions versions; /* of its columns, where the table's rule is merge or it has counters */
	bool reborn;   /* it began or ended the record, or gave it its key */
	char *difference; /* of its counters; NULL: none. Owned */
	bool arrived;  /* an app has given a record this key */
	uint64_t link; /* 0: none */
};

/* A local delete of a record that may turn out to be half of a change of key. */
struct parted {
	uint64_t id, hash;
};

/* A record that was given another key here. */
struct moved {
	uint64_t from; /* hash of the key before */
	uint64_t id;   /* of the change */
	uint64_t hash; /* of the key now */
	char *key;
	size_t key_len;
};

struct look {
	const char *self; /* this node */
	const struct catalog *catalog;
	const char *peer; /* changes that came from it are no surprise to it */
	struct mark looked;
	const struct mark *seen; /* what the header states; NULL: removed is not wanted */
	char **removed;		 /* tables in which rows were deleted here unseen */
	size_t nremoved;
	uint64_t *hashes; /* of the group's records; sorted by look_begin */
	size_t nhashes, hashes_cap;
	struct local_change *changes; /* in order of id */
	size_t n, cap;
	struct parted *parted; /* sorted by id */
	size_t nparted, parted_cap;
	struct moved *moved; /* sorted by from, then id; what they lead to is looked for as well */
	size_t nmoved, moved_cap;
	uint64_t *also; /* hashes of those, sorted */
	bool any;    /* of look_any */
	bool sorted; /* changes are ordered by hash, then id */
};

void look_init(struct look *l, const struct catalog *catalog, const char *self, const char *peer);
void look_free(struct look *l);
/* Name a record of the group. */
MUST_CHECK bool look_expect(struct look *l, uint64_t hash, struct err *e);
/* Was it named? After look_begin. */
bool look_names(const struct look *l, uint64_t hash);
/* Start from the oldest mark that counts as seen for any record. Takes the mark over. */
void look_begin(struct look *l, struct mark *seen);
/* Is there any local change at all that seen does not contain? The usual answer is no, and then nothing
 * needs sorting. */
MUST_CHECK bool look_any(struct look *l, struct db *db, const struct mark *seen, bool *any, struct err *e);
/* Take in one change of the queue, if it is of interest. */
MUST_CHECK bool look_take(struct look *l, const struct change *c, struct err *e);
/* Take in what has become visible. */
MUST_CHECK bool look_refresh(struct look *l, struct db *db, struct err *e);
/* The changes of a record that seen does not contain: *from and *n in l->changes (all of its hash; the
 * caller leaves out those that seen contains). */
void look_find(struct look *l, uint64_t hash, size_t *from, size_t *n);
/* The last key that was given to the record with this hash, or NULL. Valid until the look is refreshed. */
const struct moved *look_moved(const struct look *l, uint64_t hash);

#endif
