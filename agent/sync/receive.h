/* The receiving side: hello, and the pieces of groups. Handlers run on the loop's thread; the database
 * work runs on a worker. */
#ifndef TANDEM_SYNC_RECEIVE_H
#define TANDEM_SYNC_RECEIVE_H

#include "db/job.h"
#include "net/server.h"

struct receive;

/* conf borrowed. The worker connects to the database when first needed and again when it was lost. */
MUST_CHECK bool receive_new(const struct conf *conf, struct receive **out, struct err *e);
void receive_free(struct receive *r);
/* The workers' pipes, for the loop: call receive_finish when one is readable. */
enum {
	RECEIVE_FDS = 4
};
void receive_fds(const struct receive *r, int fds[RECEIVE_FDS]);
void receive_finish(struct receive *r);
/* Is a group being applied? */
bool receive_is_busy(const struct receive *r);

/* Route handlers; arg is the struct receive. */
void receive_hello(struct request *request, void *arg);
void receive_group(struct request *request, void *arg);
/* A group that is judged and not applied. */
void receive_rehearsal(struct request *request, void *arg);
void receive_verify(struct request *request, void *arg);

#endif
