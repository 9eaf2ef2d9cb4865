/* In which columns do records differ from the peer's? For people: a few records, looked at once more. */
#ifndef TANDEM_SYNC_UNLIKE_H
#define TANDEM_SYNC_UNLIKE_H

#include "sync/compare.h"

/* One record: the names of its differing columns, n > 0. Borrowed. */
typedef void unlike_visitor(const char *key, size_t key_len, const char *const *columns, size_t n, void *arg);

/* Of at most COMPARE_FETCH_ITEMS keys; records that are equal by now, gone, or too large to be fetched are passed over. */
MUST_CHECK bool unlike_find(struct link *l, const struct catalog *c, const struct table *t, const struct digest_list *keys, unlike_visitor *visit, void *arg,
    struct err *e);

#endif
