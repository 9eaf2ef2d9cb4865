/* The accounts that our triggers and routines run as (their DEFINER): when one is gone, every write of the app that
 * fires them fails with error 1449. */
#ifndef TANDEM_CAPTURE_DEFINER_H
#define TANDEM_CAPTURE_DEFINER_H

#include "base/buf.h"
#include "db/db.h"

enum {
	DEFINER_GONE = 1449, /* the server's number */
	DEFINER_LIST_MAX = 1024 * 1024
};

/* Append those that are gone, a line each: "boss@localhost\n". The agent's account may know the server's accounts; if
 * not, only of the one that installed last it is known, by its routine, which does not run any more. */
MUST_CHECK bool definer_find_gone(struct db *db, const struct conf *conf, struct buf *out, struct err *e);
/* How many of our triggers run as one of them. */
MUST_CHECK bool definer_count(struct db *db, const struct conf *conf, const struct buf *list, uint64_t *n, struct err *e);
/* Is the account in the list? */
bool definer_is_in(const struct buf *list, const char *account);

#endif
