/* The receiving side: hello, and the pieces of groups. Handlers run on the loop's thread; the database
 * work runs on a worker. */
#ifndef TANDEM_SYNC_RECEIVE_H
#define TANDEM_SYNC_RECEIVE_H

#include "db/job.h"
#include "net/server.h"

struct receive;
struct shelf;
struct shelves;

/* conf borrowed. The worker connects to the database when first needed and again when it was lost. */
MUST_CHECK bool receive_new(const struct conf *conf, struct receive **out, struct err *e);
void receive_free(struct receive *r);
/* Pipes for the loop: call receive_finish when one is readable, and a few times a second. */
enum {
	RECEIVE_FDS = 6
};
void receive_fds(const struct receive *r, int fds[RECEIVE_FDS]);
void receive_finish(struct receive *r);
/* Is a group being applied? */
bool receive_is_busy(const struct receive *r);

/* Where a peer fetches what this node has for it. */
struct shelf *receive_shelf(struct receive *r, const char *peer);
struct shelves *receive_shelves(struct receive *r);
/* Peers that wait for something to fetch are sent away: the node is stopping. */
void receive_stop_waiting(struct receive *r);

/* Route handlers; arg is the struct receive. */
void receive_hello(struct request *request, void *arg);
void receive_group(struct request *request, void *arg);
/* A group that is judged and not applied. */
void receive_rehearsal(struct request *request, void *arg);
void receive_verify(struct request *request, void *arg);
/* Contents of upload folders. */
void receive_files(struct request *request, void *arg);
/* A peer fetches what this node has for it, and brings the answers. */
void receive_download(struct request *request, void *arg);
void receive_acknowledge(struct request *request, void *arg);

#endif
