/* [sync] notify: a command is run when a person is needed, once for each cause (app/cause), however often it is seen and
 * whoever sees it, the daemon or a drain; again only when the cause had ended and is back. Table sync_notice. */
#ifndef TANDEM_APP_NOTICE_H
#define TANDEM_APP_NOTICE_H

#include <stdatomic.h>

#include "base/conf.h"

enum {
	NOTICE_TRIES_MAX = 3,	      /* a command that fails is run so often ... */
	NOTICE_RETRY_S = 10 * 60,     /* ... this far apart: a laptop without a network cannot mail yet */
	NOTICE_LIMIT_MS = 30 * 1000,  /* for one run */
	NOTICE_LOOK_MS = 2 * 1000,    /* between two looks of the daemon ... */
	NOTICE_COUNT_MS = 60 * 1000,  /* ... at whole tables, too */
	NOTICE_SHARE = 100	      /* at least: so many times as long as the last look took */
};

/* One look, after a drain; does nothing without a command. What goes wrong is logged. */
void notice_look(const struct conf *conf);

struct notice;
/* The daemon's: a thread that looks now and then until it is freed. *out is NULL without a command. */
MUST_CHECK bool notice_new(const struct conf *conf, struct notice **out, struct err *e);
void notice_free(struct notice *n);

#endif
