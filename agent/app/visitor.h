/* Peers without a url, which come themselves: how a verb that asks its peer (--verify, --startup, --drain --dry-run) reaches one. */
#ifndef TANDEM_APP_VISITOR_H
#define TANDEM_APP_VISITOR_H

#include <stdatomic.h>

#include "app/cli.h"
#include "net/hatch.h"

/* Wait until the peer has come to the daemon that runs here. *out: the way to it, NULL for a peer that is called; free it
 * with guest_free. ERR_PEER: no daemon runs here, or the peer has not come. stop: may be NULL. */
MUST_CHECK bool visitor_wait(const struct cli *cli, const struct conf *conf, const struct conf_peer *peer, const atomic_bool *stop, struct guest **out, struct err *e);

#endif
