/* How contents of upload folders travel, for people: how much, how fast, what is left (sync_carried). Not here: the
 * travelling (sync/carry). */
#ifndef TANDEM_FILES_PROGRESS_H
#define TANDEM_FILES_PROGRESS_H

#include "base/clock.h"
#include "base/conf.h"
#include "db/db.h"

enum {
	PROGRESS_PAUSE_S = 30 /* without anything that moved: the stretch is over */
};

/* peer: to whom; "" = to this node. */
struct progress_of {
	const char *tree, *peer;
};

/* An answer says what is missing: none is the end of it. */
MUST_CHECK bool progress_left(struct db *db, const struct progress_of *of, uint64_t contents, uint64_t bytes, struct err *e);
/* So much went, or came. */
MUST_CHECK bool progress_moved(struct db *db, const struct progress_of *of, uint64_t contents, uint64_t bytes, struct err *e);

struct progress {
	char peer[CONF_NAME_MAX + 1];
	bool moving; /* something moved lately, and something is left */
	uint64_t contents, bytes; /* of the last stretch */
	uint64_t left_contents, left_bytes;
	uint64_t bytes_per_second;
	char last_success[CLOCK_TEXT_MAX]; /* "" = never */
};
typedef bool progress_visit(void *arg, const struct progress *p, struct err *e);
MUST_CHECK bool progress_read(struct db *db, const char *tree, progress_visit *visit, void *arg, struct err *e);

#endif
