/* What a startup would do, table by table, while nothing is changed on either side. */
#ifndef TANDEM_SYNC_PROSPECT_H
#define TANDEM_SYNC_PROSPECT_H

#include "sync/compare.h"

struct prospect_table {
	const char *table;
	bool missing;		     /* here: nothing is counted */
	struct compare_result found; /* only_there would be copied */
	const char *problem;	     /* why it cannot be told; NULL: it is */
};

typedef void prospect_visitor(const struct prospect_table *t, void *arg);

struct prospect {
	bool copy;		  /* in: as with --force */
	prospect_visitor *visit;  /* in: for each table, parents first, then those that are missing here */
	void (*progress)(const char *table, uint64_t records, void *arg); /* in; or NULL */
	void *arg;
	bool goes_on;		  /* out: one that was cut would go on */
	bool anew;		  /* out: the link would begin anew, because: */
	char why[ERR_MSG_MAX];
};

/* The link is rehearsing (sync/link.h), and not open yet. */
MUST_CHECK bool prospect_look(struct link *l, struct prospect *p, struct err *e);

#endif
