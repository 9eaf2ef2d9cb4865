/* The app's own triggers. Where agent.conf says "guard" they are wrapped so that they do not fire for the
 * agent (capture/wrap): what they write arrives from the peer anyway. Where it says "run" they are as
 * the app wrote them. A table with triggers of the app and no choice is not replicated. */
#ifndef TANDEM_CAPTURE_GUARD_H
#define TANDEM_CAPTURE_GUARD_H

#include "db/catalog.h"
#include "db/schema.h"

enum {
	GUARD_WAIT_S = 1,     /* metadata lock wait of one try: app writes queue up behind it */
	GUARD_TRIES = 30,     /* of --install and --uninstall; then the busy table is named */
	GUARD_NAMES_MAX = 400 /* bytes of trigger names in a message */
};

struct guard_report {
	size_t set;	/* triggers that were guarded now */
	size_t removed; /* that have the app's own text again */
	size_t right;	/* guarded already */
};

/* Make every trigger of the app in the database what agent.conf says. A table of c whose triggers have
 * no choice, or cannot be guarded, gets a problem that says so; what cannot be undone on another table
 * is an error. A trigger is replaced in one statement and keeps its definer, sql_mode, character sets
 * and place in the order. No transaction may be open. The session's settings are as before. */
MUST_CHECK bool guard_install(struct db *db, const struct conf *conf, struct catalog *c, const struct node_identity *node, struct guard_report *report, struct err *e);

/* The same for a running agent, at most once in CATALOG_TRUST_MS for a catalog: guards what the app has
 * made or made anew where the choice is "guard", and takes no guard away. */
MUST_CHECK bool guard_refresh(struct db *db, const struct conf *conf, struct catalog *c, const struct node_identity *node, struct err *e);

/* Only the problems: tables whose triggers have no choice. Changes nothing on the server. */
MUST_CHECK bool guard_judge(struct db *db, const struct conf *conf, struct catalog *c, struct err *e);

/* Called for each trigger that is not as agent.conf says: guarded must it be, or not. */
typedef void guard_wrong_fn(const char *table, const char *trigger, bool guarded, void *arg);
/* node NULL: the sync schema is not there yet. */
MUST_CHECK bool guard_verify(struct db *db, const struct conf *conf, const struct catalog *c, const struct node_identity *node, guard_wrong_fn *wrong, void *arg, struct err *e);

/* Called for each trigger on a wanted table that has no choice (chosen false), or should be guarded and is
 * not. Needs no catalog: cheap enough for every status. */
typedef void guard_waiting_fn(const char *table, const char *trigger, bool chosen, void *arg);
MUST_CHECK bool guard_waiting(struct db *db, const struct conf *conf, const struct node_identity *node, guard_waiting_fn *waiting, void *arg, struct err *e);

/* Give every trigger of the app its own text again, whoever has guarded it and whatever has become of
 * the sync schema. *removed counts them. */
MUST_CHECK bool guard_remove_all(struct db *db, const struct conf *conf, size_t *removed, struct err *e);
MUST_CHECK bool guard_count(struct db *db, const struct conf *conf, size_t *n, struct err *e);

#endif
