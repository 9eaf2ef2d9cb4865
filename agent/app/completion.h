/* What a shell completes after "agent". Lives here: the scripts for bash, zsh and fish, made from the
 * tables of verbs and options. Not here: the tables (app/verbs, app/cli), installing the scripts
 * (Makefile.am). */
#ifndef TANDEM_APP_COMPLETION_H
#define TANDEM_APP_COMPLETION_H

#include "app/cli.h"

/* The script for a shell ("bash", "zsh", "fish") on stdout; verbs ends with name == NULL. Another
 * word: ERR_USAGE. */
MUST_CHECK bool completion_print(const struct verb *verbs, const char *shell, struct err *e);

#endif
