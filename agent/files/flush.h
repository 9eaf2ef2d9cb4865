/* Many things brought to the disk at once. An fsync mostly waits, for the disk and for those of others: several threads wait
 * together, and the disk writes what they wait for in one go. Not here: what is flushed, and what follows from a failure. */
#ifndef TANDEM_FILES_FLUSH_H
#define TANDEM_FILES_FLUSH_H

#include <stddef.h>

#include "base/buf.h"
#include "files/beneath.h"

enum {
	FLUSH_THREADS = 16 /* more brought little in trials, on an idle disk and on a busy one */
};

/* How one of them ended. */
struct flushed {
	enum fate fate;
	struct err err;
};
/* Bring the i-th to the disk; from any thread, each i once. */
typedef enum fate flush_one(void *arg, size_t i, struct err *e);

/* All n; out has n. Threads that cannot be had are done without. */
void flush_all(size_t n, flush_one *one, void *arg, struct flushed *out);

/* The directories in which these paths lie, NUL-terminated one after the other, each once. One that is gone again has nothing
 * that has to last. */
MUST_CHECK bool flush_parents(const struct beneath *b, const struct buf *paths, struct err *e);

#endif
