/* Fetching what a peer has for this node over a connection of our own, for peers that cannot call us: each errand is run
 * here as if the peer had called, and the answer brought back. Holds a connection to the database and a session. */
#ifndef TANDEM_SYNC_FETCH_H
#define TANDEM_SYNC_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/err.h"

struct fetch;

struct fetch_report {
	bool busy; /* another process of this node fetches from the peer: nothing was done */
	uint64_t groups;
	uint64_t records; /* applied here */
	uint64_t refused;
};

/* conf and peer borrowed. stop may be NULL. Connects when first needed. */
MUST_CHECK bool fetch_new(const struct conf *conf, const struct conf_peer *peer, const atomic_bool *stop, struct fetch **out, struct err *e);
void fetch_free(struct fetch *f);
/* once: until there is nothing. Else until stop is set, waiting for what comes. An error is noted in sync_peer for
 * --status and returned; what had come is applied. */
MUST_CHECK bool fetch_run(struct fetch *f, bool once, struct fetch_report *report, struct err *e);

#endif
