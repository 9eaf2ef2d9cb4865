/* --install and --uninstall. */
#ifndef TANDEM_APP_INSTALL_H
#define TANDEM_APP_INSTALL_H

#include "app/cli.h"

enum exit_code install_run(const struct cli *cli, const struct conf *conf, struct err *e);
enum exit_code uninstall_run(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
