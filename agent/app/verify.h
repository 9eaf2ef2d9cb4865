/* --verify: compares the tables with the peers, and with --repair sets going what makes them equal. */
#ifndef TANDEM_APP_VERIFY_H
#define TANDEM_APP_VERIFY_H

#include "app/cli.h"

enum exit_code verify_run(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
