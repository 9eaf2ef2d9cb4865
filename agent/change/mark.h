/* A mark on the queue: which ids an epoch contains. Pure. A mark contains every id up to high
 * except its holes: ids that were not visible when the mark was made (open transactions, rolled
 * back ones, ids skipped by a crash). */
#ifndef TANDEM_CHANGE_MARK_H
#define TANDEM_CHANGE_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	MARK_STAMP_LEN = 16,	     /* hex digits */
	MARK_HOLES_MAX = 1024 * 1024 /* ranges; a crash leaves one, a rollback one a transaction at most */
};

struct id_range {
	uint64_t low, high; /* both inside */
};

struct id_set { /* disjoint ranges, ascending */
	struct id_range *ranges;
	size_t n, cap;
};

void id_set_free(struct id_set *s);
/* Append a range that lies above all others; touching ranges become one. */
MUST_CHECK bool id_set_append(struct id_set *s, uint64_t low, uint64_t high, struct err *e);
bool id_set_contains(const struct id_set *s, uint64_t id);
/* Add or take out one id anywhere. */
MUST_CHECK bool id_set_add(struct id_set *s, uint64_t id, struct err *e);
MUST_CHECK bool id_set_remove(struct id_set *s, uint64_t id, struct err *e);
MUST_CHECK bool id_set_copy(const struct id_set *from, struct id_set *to, struct err *e);
/* "1-5,9" and back. An empty set is "". */
void id_set_format(const struct id_set *s, struct buf *out);
MUST_CHECK bool id_set_parse(const char *text, struct id_set *out, struct err *e);

struct mark {
	uint64_t epoch;
	uint64_t high;
	struct id_set holes;
	char stamp[MARK_STAMP_LEN + 1];
	bool cut;
};

void mark_free(struct mark *m);
/* An id is visible: a late one leaves the holes, a new one raises the mark and leaves a hole for what is missing
 * below it. */
MUST_CHECK bool mark_see(struct mark *m, uint64_t id, struct err *e);
/* Does the mark contain the id? */
bool mark_contains(const struct mark *m, uint64_t id);

/* Digits only, no sign, no space, fits 64 bits: the form of every number on the wire. */
MUST_CHECK bool mark_parse_u64(const char *text, uint64_t *out);

#endif
