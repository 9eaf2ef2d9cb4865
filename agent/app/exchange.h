/* One turn with one peer, as --drain takes it: records, contents of upload folders, what it has for this node. Not here:
 * what is printed of it (app/verbs, app/order). */
#ifndef TANDEM_APP_EXCHANGE_H
#define TANDEM_APP_EXCHANGE_H

#include "sync/carry.h"
#include "sync/drain.h"
#include "sync/fetch.h"

struct exchange {
	struct drain_report sent;
	struct fetch_report fetched;
	struct carry_report files;
	bool waits; /* there is something for a peer that comes for it */
};

MUST_CHECK bool exchange_send(const struct conf *conf, struct drain *d, struct exchange *to, struct err *e);
/* What the peer has for us, where it is fetched. */
MUST_CHECK bool exchange_fetch(const struct conf *conf, const struct conf_peer *peer, struct fetch_report *report, struct err *e);

/* The commands of [tree] after, where no daemon runs that would do it: what came with this call is told before it ends. */
void exchange_after(const struct conf *conf);

#endif
