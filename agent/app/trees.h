/* --trees: what travels of the upload folders, what waits and why. */
#ifndef TANDEM_APP_TREES_H
#define TANDEM_APP_TREES_H

#include "app/cli.h"
#include "db/db.h"

enum exit_code trees_run(const struct cli *cli, const struct conf *conf, struct err *e);

/* For --status: one line a tree that is held or has paths that wait; nothing for those in step. db is in the sync
 * schema. */
MUST_CHECK bool trees_put_waiting(struct db *db, const struct conf *conf, struct buf *out, struct err *e);

#endif
