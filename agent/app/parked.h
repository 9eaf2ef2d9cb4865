/* A person's word on parked records: again, or never. */
#ifndef TANDEM_APP_PARKED_H
#define TANDEM_APP_PARKED_H

#include "base/conf.h"
#include "db/db.h"

struct parked_order {
	const char *peer; /* NULL: every peer */
	uint64_t id;	  /* of the record's last change; 0: all */
	bool again;	  /* send it again; else the peer keeps its own */
};

/* In the sync schema, outside any transaction. *n: records it was done to. ERR_USAGE: nothing parked has the id. */
MUST_CHECK bool parked_settle(struct db *db, const struct conf *conf, const struct parked_order *order, uint64_t *n, struct err *e);

#endif
