/* --serve: the daemon. */
#ifndef TANDEM_APP_SERVE_H
#define TANDEM_APP_SERVE_H

#include "app/cli.h"
#include "net/server.h"

/* What peers may call. */
extern const struct route peer_routes[];
extern const size_t npeer_routes;

enum exit_code serve_run(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
