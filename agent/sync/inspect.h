/* The answering side of a comparison: a worker with a connection of its own, so that neither hello nor applying
 * waits for it. One question costs bounded time and memory; only the questions "keep" and "queue" write, and
 * only into this node's sync schema. */
#ifndef TANDEM_SYNC_INSPECT_H
#define TANDEM_SYNC_INSPECT_H

#include "db/job.h"
#include "net/server.h"

struct inspect;

/* conf borrowed. */
MUST_CHECK bool inspect_new(const struct conf *conf, struct inspect **out, struct err *e);
void inspect_free(struct inspect *in);
/* The worker's pipe, for the loop: call inspect_finish when it is readable. */
int inspect_fd(const struct inspect *in);
void inspect_finish(struct inspect *in);
/* Answer a question, later. */
void inspect_take(struct inspect *in, struct request *request);

struct inspect_question {
	const void *text;
	size_t len;
};
/* Answer a question on this thread; not to be mixed with inspect_take on one inspect. True: *status and out are the
 * answer, which may be a refusal. */
MUST_CHECK bool inspect_now(struct inspect *in, const char *peer, const struct inspect_question *asked, int *status, struct buf *out, struct err *e);

#endif
