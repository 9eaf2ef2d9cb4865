/* A version for each column of a record: when, by whom, and whether on purpose. Pure. Columns that were written
 * last by one change stand together, so a record usually has one or two of these. As text (in
 * sync_queue.versions and on the wire), with the columns' bits in hexadecimal, the first column highest:
 *
 *	BITS,TIME,NODE[,weak][;...] */
#ifndef TANDEM_CHANGE_VERSIONS_H
#define TANDEM_CHANGE_VERSIONS_H

#include "capture/mask.h"
#include "change/queue.h"

enum {
	VERSIONS_TEXT_MAX = 1024 * 1024 /* 1,024 columns, each written by another change */
};

/* One version, and the columns it is of. */
struct column_version {
	struct mask columns;
	char changed_at[QUEUE_TIME_LEN + 1];
	char node[CONF_NAME_MAX + 1];
	bool weak; /* not written on purpose (capture/mask) */
};

struct versions {
	struct column_version *items;
	size_t n, cap;
};

void versions_free(struct versions *v);
/* Raise the version of these columns, each where it is greater than the column's own. */
MUST_CHECK bool versions_raise(struct versions *v, const struct column_version *with, struct err *e);
MUST_CHECK bool versions_raise_all(struct versions *v, const struct versions *with, struct err *e);
/* The column's version, or NULL: it did not change. */
const struct column_version *versions_of(const struct versions *v, size_t column);
/* Take columns out. */
void versions_drop(struct versions *v, const struct mask *columns);
/* All columns that have one. */
void versions_columns(const struct versions *v, struct mask *out);

/* The greatest of them, or NULL. */
const struct column_version *versions_greatest(const struct versions *v);

/* Compare: <0, 0, >0. On purpose goes first, then the time, then the node's name. */
int versions_compare(const struct column_version *a, const struct column_version *b);

/* Raise the versions by an update as it stands in the queue: its own versions, or one for the columns that it
 * tells, or for all. self: this node. */
MUST_CHECK bool versions_of_change(struct versions *v, const struct table *t, const struct change *c, const char *self, struct err *e);

/* map: where the i-th of n columns of the text lies in memory; NULL: at i. */
void versions_put(struct buf *out, const struct versions *v, const size_t *map, size_t n);
MUST_CHECK bool versions_parse(struct versions *v, const char *text, size_t len, const size_t *map, size_t n, struct err *e);

#endif
