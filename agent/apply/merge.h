/* The rule merge, and `newer` where columns add up: two updates of one record, compared column by column, each with its own version. Whole records
 * (inserts, deletes, changed keys, earlier verdicts) are not merged: apply/conflict judges them. */
#ifndef TANDEM_APPLY_MERGE_H
#define TANDEM_APPLY_MERGE_H

#include "apply/chunk.h"

/* What is known of one column. Versions are NULL where that side did not change it. */
struct merge_facts {
	const struct column_version *theirs, *ours;
	bool same;    /* both hold the same value */
	bool stamped; /* the server sets it by itself: a value that nobody chose cannot be lost */
};

struct merge_verdict {
	bool take;     /* the incoming value is written, with its version */
	bool conflict; /* a value loses: it is kept */
};

/* Pure, so that both sides decide alike. */
struct merge_verdict merge_judge(const struct merge_facts *f);

/* A record that was merged. */
struct merged {
	bool counted_there;	 /* counters begin from the incoming values: the record is whole, or the later one of two that are */
	struct versions won;	 /* columns of the incoming version that were taken */
	struct mask lost;	 /* columns that unseen local changes have lost */
	struct mask kept;	 /* columns that the incoming version has lost */
	struct line_value *local, *remote; /* the result with either side's values where they conflict */
	struct column_version local_version, remote_version; /* the greatest of those that conflict */
	const char *verdict;	 /* which side's values stayed where they conflict */
};

/* Can the item be merged? facts as for conflict_judge. */
bool merge_is_possible(const struct chunk *c, const struct item *item, const struct facts *f);
/* Judge and merge: fills in item->merged and item->decision; item->values becomes what is written. *same: that
 * is the row as it is. */
MUST_CHECK bool merge_item(struct chunk *c, struct item *item, const struct facts *f, bool *same, struct err *e);
void merged_free(struct merged *m);

/* What the item's unseen local changes have lost is not sent any more. */
MUST_CHECK bool merge_supersede(struct chunk *c, const struct item *item, struct err *e);
/* Queue what was taken for the other peers. r: as of a record that is relayed. */
MUST_CHECK bool merge_relay(struct chunk *c, const struct item *item, struct relay *r, struct err *e);

#endif
