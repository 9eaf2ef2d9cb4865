/* One direction now: what a person orders of an upload folder beside its mode. The SQL of sync_order: a pull that
 * lasts, contents that are missing, peers that asked to be asked. Not here: what an order does (files/verdict by the
 * mode, files/tree), the verbs (app/order). */
#ifndef TANDEM_FILES_ORDER_H
#define TANDEM_FILES_ORDER_H

#include "db/db.h"

enum {
	ORDER_LASTS_S = 30 /* a pull whose process is gone is over after this; it is renewed more often */
};

/* The folder takes what its list says, for ORDER_LASTS_S from now. */
MUST_CHECK bool order_pull(struct db *db, const char *tree, struct err *e);
MUST_CHECK bool order_end(struct db *db, const char *tree, struct err *e);
MUST_CHECK bool order_stands(struct db *db, const char *tree, bool *yes, struct err *e);

/* Contents are missing here that nobody is about to bring: the peers are told with their next call. */
MUST_CHECK bool order_want(struct db *db, const char *tree, struct err *e);
/* Are they to be told: because of that, or of a pull? */
MUST_CHECK bool order_wants(struct db *db, const char *tree, bool *yes, struct err *e);
/* A peer of which that is true wants to be asked what it needs: soon, not at the next turn. */
MUST_CHECK bool order_come(struct db *db, const char *tree, struct err *e);
/* Is there reason to call the peers now: something is missing here, or a peer asked for it (which is over with this)? */
MUST_CHECK bool order_calls(struct db *db, bool *wants, bool *comes, struct err *e);

#endif
