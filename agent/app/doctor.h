/* --check: looks at everything that must be so, and names each finding with its remedy. */
#ifndef TANDEM_APP_DOCTOR_H
#define TANDEM_APP_DOCTOR_H

#include "app/cli.h"

enum exit_code doctor_run(const struct cli *cli, const struct conf *conf, struct err *e);

#endif
