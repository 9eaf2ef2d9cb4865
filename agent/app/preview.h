/* --drain --dry-run: what would be sent to a peer, and what the peer would make of it. */
#ifndef TANDEM_APP_PREVIEW_H
#define TANDEM_APP_PREVIEW_H

#include "app/cli.h"
#include "sync/drain.h"

enum {
	PREVIEW_LISTED = 10000 /* records listed with -v or --json; the others are counted */
};

/* One peer's part of the output. */
enum exit_code preview_peer(const struct cli *cli, const struct conf *conf, struct drain *d, const struct conf_peer *peer, struct err *e);

#endif
