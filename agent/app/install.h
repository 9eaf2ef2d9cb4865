/* --install and --uninstall. */
#ifndef TANDEM_APP_INSTALL_H
#define TANDEM_APP_INSTALL_H

#include "app/cli.h"
#include "db/catalog.h"

/* Give tables whose key does not fit record_id, or whose changes by foreign keys cannot be followed, a
 * problem. */
MUST_CHECK bool install_judge_keys(struct catalog *c, struct err *e);

enum exit_code install_run(const struct cli *cli, const struct conf *conf, struct err *e);
enum exit_code uninstall_run(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
