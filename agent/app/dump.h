/* A consistent dump of the application's database by MariaDB's own mariadb-dump, into an open file. The agent's own tables
 * are not in it: an old queue must not come back. */
#ifndef TANDEM_APP_DUMP_H
#define TANDEM_APP_DUMP_H

#include "base/conf.h"

/* Runs it and waits for its end. The dump is of the moment at which it begins. directory: for a file with the password
 * that has no name any more when the program reads it. */
MUST_CHECK bool dump_run(const struct conf_database *db, const char *directory, int out, struct err *e);

#endif
