/* Our triggers on the app's tables: put in place, compared with what they should be, removed. */
#ifndef TANDEM_CAPTURE_TRIGGER_H
#define TANDEM_CAPTURE_TRIGGER_H

#include "capture/body.h"
#include "db/schema.h"

enum {
	TRIGGER_WAIT_S = 1,   /* metadata lock wait of one try: app writes queue up behind it */
	TRIGGER_TRIES = 30    /* then the busy table is named and left for the next --install */
};

struct trigger_report {
	size_t installed; /* triggers created or replaced */
	size_t right;	  /* found as they should be */
	size_t removed;	  /* of tables that are no longer wanted */
	/* Set by the caller: told after each; or NULL. */
	void (*step)(const struct trigger_report *r, void *arg);
	void *arg;
};

/* Put the triggers on every usable table of c and on every parent whose foreign keys change one, and take
 * ours off where they are not needed. Triggers that are right are not touched. */
MUST_CHECK bool trigger_install(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, struct trigger_report *report, struct err *e);
/* The same in a drain, for some tables; none is taken off. wait says for each (a parent that
 * is not replicated has a name alone) how many seconds of metadata lock
 * wait it may cost, or TRIGGER_SKIP. A table that is busy or whose triggers cannot be made is left as it is. */
enum {
	TRIGGER_SKIP = -1
};
typedef int trigger_wait_fn(const struct table *t, void *arg);
MUST_CHECK bool trigger_mend(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, trigger_wait_fn *wait, void *arg, struct err *e);
/* Remove every trigger of ours from the app's database, also when the sync schema is gone. */
MUST_CHECK bool trigger_remove_all(struct db *db, const struct conf *conf, size_t *removed, struct err *e);

/* How many of ours there are. */
MUST_CHECK bool trigger_count(struct db *db, const struct conf *conf, size_t *n, struct err *e);

/* Called for every trigger that is missing or altered. Of a table that is not replicated itself, but
 * changes others, only the name is set. */
typedef void trigger_wrong_fn(const struct table *t, const char *what, void *arg);
MUST_CHECK bool trigger_verify(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, trigger_wrong_fn *wrong, void *arg, struct err *e);

#endif
