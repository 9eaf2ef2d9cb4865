/* Tables that moved without their triggers seeing it, one mark for each peer: the SQL of sync_drift, and
 * what the marks say to people. */
#ifndef TANDEM_CHANGE_MOVED_H
#define TANDEM_CHANGE_MOVED_H

#include "db/db.h"

/* The reason of marks whose comparison merges: nothing is left for a person to choose. No later reason takes its place. */
#define MOVED_ANEW "the link began anew"
/* The reason of tables that were enrolled late. What one side alone has is sent; when both have something of their own a
 * person chooses: the rows that an upgrade made on each laptop may be the same under other numbers. Both sides may
 * hold such a table: it is looked at again and again, so that one choice is enough. */
#define MOVED_NEW "it is replicated from now on"

enum moved_act {
	MOVED_MINE, /* what differs travels from here, under the conflict rule */
	MOVED_LOOK  /* the comparison changes nothing; when something differs a person chooses (but for MOVED_ANEW, MOVED_NEW) */
};

struct moved {
	const char *table;
	enum moved_act act;
	const char *state;   /* 'compare', 'held', 'gone' */
	const char *reason;  /* what was noticed */
	const char *message; /* why the last comparison did not come to an end, or NULL */
	const char *since;
	uint64_t records; /* that differ, where held */
};

bool moved_is_anew(const struct moved *m);
bool moved_is_new(const struct moved *m);

/* Mark a table. ready: its triggers stand, it may be compared. *news: it was not marked like this before. A
 * table that waits for a person is not set free by what happens to it later, unless that asks for a look. */
MUST_CHECK bool moved_mark(struct db *db, const char *peer, const struct moved *m, bool ready, bool *news, struct err *e);
/* For all peers, not ready; said in the log where it is news. */
MUST_CHECK bool moved_mark_all(struct db *db, const struct conf *conf, const char *table, enum moved_act act, const char *reason, struct err *e);
/* One whose triggers could not name what was written, unless it is marked already: what differs travels from here. */
MUST_CHECK bool moved_mark_dirty(struct db *db, const char *peer, const char *table, bool *news, struct err *e);
/* Is it marked, and are there such writes? Then any of its records may have changed here. */
MUST_CHECK bool moved_is_dirty(struct db *db, const char *peer, const char *table, bool *dirty, struct err *e);
/* Compared with every peer: such writes, up to the id, are told by now. */
MUST_CHECK bool moved_clean(struct db *db, const char *table, uint64_t upto, struct err *e);
/* The same for one that is not there any more. */
MUST_CHECK bool moved_gone(struct db *db, const char *peer, const char *table, bool *news, struct err *e);
/* The table's triggers stand: for all peers. */
MUST_CHECK bool moved_ready(struct db *db, const char *table, struct err *e);

/* Texts borrowed from the reader; statements may run meanwhile. */
typedef bool moved_visitor(const struct moved *m, void *arg, struct err *e);
/* All marks of the peer, by table. */
MUST_CHECK bool moved_visit(struct db *db, const char *peer, moved_visitor *visit, void *arg, struct err *e);
/* Those to be compared now; retry: also those whose comparison failed before. */
MUST_CHECK bool moved_visit_due(struct db *db, const char *peer, bool retry, moved_visitor *visit, void *arg, struct err *e);
MUST_CHECK bool moved_is_due(struct db *db, const char *peer, bool retry, bool *due, struct err *e);
/* How many wait for a person; how many there are at all. */
MUST_CHECK bool moved_count(struct db *db, const char *peer, uint64_t *held, uint64_t *all, struct err *e);

/* After a comparison: nothing differs (or what does is on its way); a person's; did not come to an end. A mark made
 * anew meanwhile stays. */
MUST_CHECK bool moved_done(struct db *db, const char *peer, const struct moved *m, struct err *e);
MUST_CHECK bool moved_hold(struct db *db, const char *peer, const struct moved *m, uint64_t records, struct err *e);
MUST_CHECK bool moved_note(struct db *db, const char *peer, const struct moved *m, const char *message, struct err *e);
/* Held for a person: compared again. */
MUST_CHECK bool moved_again(struct db *db, const char *peer, const char *table, struct err *e);
/* A person has made the table agree with the peer: its changes are sent again. */
MUST_CHECK bool moved_release(struct db *db, const char *peer, const char *table, struct err *e);

/* The mark in one sentence; and the choices where it is held, each a description and a command. */
void moved_put_sentence(struct buf *out, const struct moved *m);
enum {
	MOVED_CHOICES = 3
};
void moved_put_choice(struct buf *out, const struct moved *m, const char *peer, const char *self, int choice, const char **what);

#endif
