/* The daemon's hatch: a socket in state_dir, through which another run of the agent on this laptop (agent --verify,
 * --startup, --drain --dry-run) lays errands on the daemon's shelves, for a peer that cannot be called and comes itself (net/shelf). Whoever
 * may connect is this node's own user, or root. */
#ifndef TANDEM_NET_HATCH_H
#define TANDEM_NET_HATCH_H

#include "net/shelf.h"

struct hatch;

/* --- the daemon --- */

/* Begins to listen, in threads of its own. all: borrowed; stop ends what is under way. A hatch that cannot be opened is
 * logged and no error: *out is NULL then. */
void hatch_open(const struct conf *conf, struct shelves *all, const atomic_bool *stop, struct hatch **out);
/* stop must be set. */
void hatch_close(struct hatch *h);

/* --- the other run --- */

struct guest;

/* Come to the hatch of the daemon that runs here. ERR_PEER: none does; either: what is asked can be had at the peer as well, and
 * the message says so. peer, stop (may be NULL): borrowed. While the guest is there, a peer that has come only to look is kept. */
MUST_CHECK bool guest_new(const struct conf *conf, const struct conf_peer *peer, bool either, const atomic_bool *stop, struct guest **out, struct err *e);
void guest_free(struct guest *g);
/* Wait until the peer has come; session is that of its visit. *came = false: not within ms. */
MUST_CHECK bool guest_wait(struct guest *g, int64_t ms, bool *came, char session[SIGN_SESSION_MAX], struct err *e);
/* As shelf_call. */
MUST_CHECK bool guest_call(struct guest *g, const struct shelf_call *call, int *status, struct buf *answer, bool *gone, struct err *e);

#endif
