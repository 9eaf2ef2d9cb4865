/* Both versions of a file that two sides changed: the one that lost gets a path of its own beside the other. Not here:
 * choosing one of them (apply/inbox). */
#ifndef TANDEM_FILES_BESIDE_H
#define TANDEM_FILES_BESIDE_H

#include "apply/inbox.h"
#include "apply/kept.h"
#include "base/buf.h"
#include "base/conf.h"
#include "db/db.h"

/* "album/photo.jpg" -> "album/photo.conflict-20261121-163000-bert.jpg", by who wrote the version and the file's time
 * (UTC): the same on every node. A name that would be too long is shortened in front of that. Pure. */
void beside_name(struct buf *out, const char *path, const char *node, int64_t mtime_ns);

/* Decide a kept conflict so; the file comes with the next look, from the trash of whoever has it. path gets its new path.
 * ERR_USAGE: no such conflict, no file of a folder, or nothing that could stand beside. */
MUST_CHECK bool beside_keep(struct db *db, const struct conf *conf, uint64_t id, struct buf *path, struct err *e);

/* Of a row of a folder's list: is this version a deletion? */
bool beside_is_gone(const struct kept *version);

/* inbox_resolve, of whatever table. A file's deletion that is chosen is one that knows the other version, and so stands against
 * it. */
MUST_CHECK bool beside_resolve(struct db *db, const struct node_identity *node, const struct catalog *catalog, uint64_t id, enum inbox_keep keep, struct err *e);

#endif
