/* Removing a folder with all that is in it, for good: old batches of the trash, old snapshots. Nothing that people see
 * passes here. */
#ifndef TANDEM_FILES_SWEEP_H
#define TANDEM_FILES_SWEEP_H

#include "files/beneath.h"

/* May this object (a file or link) be removed for good? */
typedef bool sweep_may_go(void *arg, const char *path, const struct file_facts *facts);

struct sweep {
	sweep_may_go *may_go; /* NULL: all of it */
	void *arg;
	uint64_t files, bytes, kept; /* added to */
};

/* Remove path and what is in it; directories with something kept in them stay. A crash leaves a part. */
MUST_CHECK enum fate sweep_remove(const struct beneath *b, const char *path, struct sweep *s, struct err *e);

#endif
