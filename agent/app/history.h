/* How it went: samples of each peer, for the page's graphs. Table sync_history. */
#ifndef TANDEM_APP_HISTORY_H
#define TANDEM_APP_HISTORY_H

#include "app/report.h"

enum {
	HISTORY_STEP_S = 10,	   /* a sample; the last hour is shown in these */
	HISTORY_QUIET_S = 300,	   /* while nothing happens a sample is written so often: a laptop's disk may sleep */
	HISTORY_SPANS = 3,	   /* hour, day, month */
	HISTORY_PEERS_MAX = CONF_PEERS_MAX
};

/* What the last sample found; zero at the start. */
struct history {
	struct history_peer {
		char name[CONF_NAME_MAX + 1];
		uint64_t sent, applied;
		bool known;
	} peers[HISTORY_PEERS_MAX];
	int64_t written_ms;
};

/* Note what the report says, in the sync schema; old buckets go. */
MUST_CHECK bool history_note(struct history *h, struct db *db, const struct report *r, struct err *e);
/* {"now":S,"hour":{"step":10,"points":[[at,pending,sent,applied,lag_ms],...]},"day":...,"month":...}: of all peers
 * together, the oldest first. */
MUST_CHECK bool history_json(struct db *db, struct buf *out, struct err *e);

#endif
