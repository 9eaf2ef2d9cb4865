/* The daemon's own upload folders: when they are looked at, when peers are to be called because of them, and the
 * commands of [tree] after. Not here: the threads (app/serve), a look (sync/carry), a command (files/after). */
#ifndef TANDEM_APP_LOOKOUT_H
#define TANDEM_APP_LOOKOUT_H

#include <stdatomic.h>

#include "base/conf.h"

struct lookout {
	const struct conf *conf;
	const atomic_bool *stop;
	void (*call)(void *arg); /* something is missing here or at a peer: call the peers now */
	void *arg;
};

/* Look until stop. The thread has set the database's library up, as for the next. */
void lookout_run(const struct lookout *l);
/* Run commands until stop; on a thread of its own, since one may take minutes. */
void lookout_commands(const struct lookout *l);
/* Is there any? */
bool lookout_has_commands(const struct conf *conf);

#endif
