/* --serve: the daemon. */
#ifndef TANDEM_APP_SERVE_H
#define TANDEM_APP_SERVE_H

#include "app/cli.h"

enum exit_code serve_run(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
