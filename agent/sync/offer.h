/* Whole rows for a peer that fills itself from this node: pages of a range, rows of given keys. */
#ifndef TANDEM_SYNC_OFFER_H
#define TANDEM_SYNC_OFFER_H

#include "wire/compare.h"

/* What is read for whom. */
struct offer {
	struct digest digest;
	const struct section *asked; /* the asker's columns, in its order */
	const char *state_dir;
	int64_t until_ms; /* of clock_mono_ms: a page ends then, if it has a row */
};

/* Can a table of the asker's columns take every row of ours? Else reason (MESSAGE_REASON_MAX) says which not. */
bool offer_fits(const struct offer *o, const char *asker, char *reason);
/* The first rows of the range, as the body of an answer after its first line. *more: there are further ones. */
MUST_CHECK bool offer_range(const struct offer *o, const struct digest_range *r, struct buf *out, bool *more, struct err *e);
/* The rows of these keys, as they are spelled here; rows for which there is no room travel as keys alone. */
MUST_CHECK bool offer_keys(const struct offer *o, const struct digest_list *keys, struct buf *out, struct err *e);

#endif
