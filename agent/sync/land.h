/* Upload folders between two nodes, the receiving half: what a peer asks and brings. Not here: the sending half
 * (sync/carry). */
#ifndef TANDEM_SYNC_LAND_H
#define TANDEM_SYNC_LAND_H

#include "base/buf.h"
#include "base/conf.h"
#include "db/db.h"

/* A peer's calls. A folder into which a large content comes stays open between calls of one worker. */
struct landing;
MUST_CHECK bool landing_new(const struct conf *conf, struct landing **out, struct err *e);
void landing_free(struct landing *l);
/* Does this call bring contents? Then what it is answered says nothing of them: the next question does. */
bool landing_is_put(const char *body, size_t len);
MUST_CHECK bool landing_take(struct landing *l, struct db *db, const char *body, size_t len, struct buf *answer, struct err *e);

#endif
