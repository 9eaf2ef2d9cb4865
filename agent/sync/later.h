/* What was counted after the end of a group that was cut: a row travels as it is now, and its counters would bring
 * what a later group tells of once more. */
#ifndef TANDEM_SYNC_LATER_H
#define TANDEM_SYNC_LATER_H

#include "change/collapse.h"

struct later {
	struct collapse changes; /* of the group's records; none where nothing was counted */
};

void later_init(struct later *l, const struct collapse *group);
void later_free(struct later *l);
/* In the group's snapshot: the differences of its records' changes that upto does not contain. */
MUST_CHECK bool later_read(struct later *l, struct db *db, const struct collapse *group, const struct mark *upto, struct err *e);
/* A counter's value without them; *len is that of value before and after. NULL: as it was. The text is in room. */
const char *later_take_off(const struct later *l, const struct table *t, const char *key, size_t key_len, size_t column, const char *value, size_t *len, struct buf *room);

#endif
