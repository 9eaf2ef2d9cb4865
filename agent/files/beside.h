/* Both versions of a file that two sides changed: the one that lost gets a path of its own beside the other. Not here:
 * choosing one of them (apply/inbox). */
#ifndef TANDEM_FILES_BESIDE_H
#define TANDEM_FILES_BESIDE_H

#include "base/buf.h"
#include "base/conf.h"
#include "db/db.h"

/* "album/photo.jpg" -> "album/photo.conflict-20261121-163000-bert.jpg", by who wrote the version and the file's time
 * (UTC): the same on every node. A name that would be too long is shortened in front of that. Pure. */
void beside_name(struct buf *out, const char *path, const char *node, int64_t mtime_ns);

/* Decide a kept conflict so; the file comes with the next look, from the trash of whoever has it. path gets its new path.
 * ERR_USAGE: no such conflict, no file of a folder, or nothing that could stand beside. */
MUST_CHECK bool beside_keep(struct db *db, const struct conf *conf, uint64_t id, struct buf *path, struct err *e);

#endif
