/* A group on its way: compressed lines in memory, above a limit in an unlinked 0600 file. The sender
 * fills one inside the snapshot and sends it in pieces afterwards; the receiver fills one from the
 * pieces and reads its lines when the last one has come. */
#ifndef TANDEM_WIRE_SPOOL_H
#define TANDEM_WIRE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct spool;

enum {
	SPOOL_MEMORY = 2 * 1024 * 1024 /* held in memory; more goes to the file */
};
#define SPOOL_BYTES_MAX ((uint64_t)16 * 1024 * 1024 * 1024) /* compressed bytes of one group */

/* directory: where the file would be made (state_dir). */
MUST_CHECK bool spool_new(const char *directory, struct spool **out, struct err *e);
void spool_free(struct spool *s);

/* Receiver: append bytes as they came. */
MUST_CHECK bool spool_put(struct spool *s, const void *data, size_t len, struct err *e);
/* Sender: compress and append; finish ends the compressed frame (another may follow). */
MUST_CHECK bool spool_write(struct spool *s, const void *data, size_t len, struct err *e);
MUST_CHECK bool spool_finish(struct spool *s, struct err *e);
/* Compressed bytes so far. */
uint64_t spool_size(const struct spool *s);
/* Bytes written by spool_write before compression. */
uint64_t spool_plain_size(const struct spool *s);
/* Copy at most len bytes from an offset. */
MUST_CHECK bool spool_get(struct spool *s, uint64_t offset, void *out, size_t len, size_t *got, struct err *e);

/* Read lines from the beginning: decompressed, without the newline. The line may be written to and
 * lives until the next call. *line = NULL at the end. */
MUST_CHECK bool spool_rewind(struct spool *s, struct err *e);
MUST_CHECK bool spool_line(struct spool *s, char **line, size_t *len, struct err *e);

#endif
