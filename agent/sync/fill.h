/* Rows of a peer written here without a queue: whole ranges in bulk, single records in the place of ours. */
#ifndef TANDEM_SYNC_FILL_H
#define TANDEM_SYNC_FILL_H

#include "db/schema.h"
#include "sync/ask.h"

struct fill;

/* Opens a connection of its own: our triggers pass its writes by, and foreign keys are not checked (parents come
 * first, circles cannot; what is new there arrives by itself). conf, node, peer borrowed. */
MUST_CHECK bool fill_new(const struct conf *conf, const struct node_identity *node, const char *peer, struct fill **out, struct err *e);
void fill_free(struct fill *f);
/* The table that is filled next. */
MUST_CHECK bool fill_use(struct fill *f, const struct catalog *c, const struct table *t, struct err *e);
/* For a comparison of that table; low: go on above it. out borrows f and low. */
void fill_filler(struct fill *f, const char *low, size_t low_len, struct compare_filler *out);

struct fill_counts {
	uint64_t copied;   /* rows written here */
	uint64_t removed;  /* rows removed here, kept in sync_conflict */
	uint64_t left;	   /* rows that the peer sends instead: they could not be written like this */
	uint64_t about;	   /* rows of the table there */
};
/* Since fill_use. */
struct fill_counts fill_counts(const struct fill *f);
/* Called now and then while rows come. */
void fill_watch(struct fill *f, void (*progress)(void *arg), void *arg);

#endif
