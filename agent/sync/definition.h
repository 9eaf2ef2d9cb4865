/* Can one table be compared with another node's, by what each says of its columns? */
#ifndef TANDEM_SYNC_DEFINITION_H
#define TANDEM_SYNC_DEFINITION_H

#include "wire/compare.h"

/* here: this node's name; there: that of the node which asked. */
struct definition_sides {
	const char *here, *there;
};

/* The same columns in any order, the same primary key, and types of which one holds what the other one has. Else
 * reason (MESSAGE_REASON_MAX) names table, column and both definitions. */
bool definition_fits(const struct table *t, const struct compare_head *h, const struct definition_sides *who, char *reason);
/* Of two that fit: are all types the same, too? */
bool definition_is_same(const struct table *t, const struct section *s);

#endif
