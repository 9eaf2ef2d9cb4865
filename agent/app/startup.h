/* --startup: brings this node up to a peer's state. */
#ifndef TANDEM_APP_STARTUP_H
#define TANDEM_APP_STARTUP_H

#include "app/cli.h"

enum exit_code startup_verb(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
