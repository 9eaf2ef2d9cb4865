/* The monitor address: the page, its data and its actions, /api/status, /metrics, /healthz. Reads the database on a worker of
 * its own, so that it answers while a group is applied; what takes long (counting whole tables, actions) has another.
 * A page that is open costs about a hundredth of a core: how often it looks follows from how long a look takes. */
#ifndef TANDEM_APP_MONITOR_H
#define TANDEM_APP_MONITOR_H

#include "db/job.h"
#include "net/server.h"

struct monitor;

enum {
	MONITOR_FDS = 2,
	MONITOR_TICK_MS = 1000,	  /* monitor_tick is called so often */
	MONITOR_STREAMS_MAX = 8,  /* open pages: a browser keeps one for each visible tab */
	MONITOR_SHARE = 100	  /* a look that took n ms is followed by so many times n ms without one */
};

MUST_CHECK bool monitor_new(const struct conf *conf, struct monitor **out, struct err *e);
void monitor_free(struct monitor *m);
/* The daemon stops: what has no end ends now. */
void monitor_stop(struct monitor *m);
/* Readable when monitor_finish has something to do. */
void monitor_fds(const struct monitor *m, int fds[MONITOR_FDS]);
void monitor_finish(struct monitor *m);
/* What is due: looking for pages that are open, a sample for the graphs. */
void monitor_tick(struct monitor *m);
/* Somebody wants the queue to be drained now; agent.conf was changed; a line for people says something new. */
struct monitor_wishes {
	void (*drain)(void *arg);
	void (*reload)(void *arg);
	void (*status)(const char *line, void *arg);
	void *arg;
};
void monitor_on_wish(struct monitor *m, const struct monitor_wishes *wishes);

/* Routes whose arg is the struct monitor. */
extern const struct route monitor_routes[];
extern const size_t monitor_nroutes;

#endif
