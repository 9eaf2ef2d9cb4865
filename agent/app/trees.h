/* --trees: what travels of the upload folders, what waits and why. */
#ifndef TANDEM_APP_TREES_H
#define TANDEM_APP_TREES_H

#include "app/cli.h"
#include "db/db.h"

enum exit_code trees_run(const struct cli *cli, const struct conf *conf, struct err *e);

/* What --trees --json has, as the array alone: for the status, the page and the metrics. db is in the sync schema. Counts
 * whole lists: not for the quick half of a page. *waiting grows by those that a person has to look at. */
MUST_CHECK bool trees_put_json(struct db *db, const struct conf *conf, struct buf *out, uint64_t *waiting, struct err *e);

/* On standard error: each folder that is held, why, and the command that ends it. */
MUST_CHECK bool trees_complain(struct db *db, const struct conf *conf, struct err *e);

#endif
