/* --init: writes a first agent.conf. */
#ifndef TANDEM_APP_INIT_H
#define TANDEM_APP_INIT_H

#include "app/cli.h"

/* Write the commented example to cli->config (default ./agent.conf), mode 0600, with a fresh
 * monitor_key, the host's name as node name and a commented [peer] section with a fresh key.
 * Never overwrites: an existing file is ERR_CONFIG. */
enum exit_code init_run(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
