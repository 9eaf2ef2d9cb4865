/* Does agent --serve run for this agent.conf, and telling it that the file has changed. */
#ifndef TANDEM_APP_RUNNING_H
#define TANDEM_APP_RUNNING_H

#include <stdbool.h>

#include "base/conf.h"

/* The daemon: say so until the process ends. A failure is only logged. */
void running_begin(const struct conf *conf);
/* Does one run? */
bool running_is(const struct conf *conf);
/* Have it read agent.conf again; false when none runs. */
bool running_reload(const struct conf *conf);

#endif
