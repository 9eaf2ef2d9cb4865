/* The monitor address: /healthz, /api/status, the page. Reads the database on a worker of its own, so
 * that it answers while a group is applied. */
#ifndef TANDEM_APP_MONITOR_H
#define TANDEM_APP_MONITOR_H

#include "db/job.h"
#include "net/server.h"

struct monitor;

MUST_CHECK bool monitor_new(const struct conf *conf, struct monitor **out, struct err *e);
void monitor_free(struct monitor *m);
int monitor_fd(const struct monitor *m);
void monitor_finish(struct monitor *m);
/* Called on POST /api/trigger: somebody wants the queue to be drained now. */
void monitor_on_trigger(struct monitor *m, void (*fn)(void *arg), void *arg);

/* Routes whose arg is the struct monitor. */
extern const struct route monitor_routes[];
extern const size_t monitor_nroutes;

#endif
