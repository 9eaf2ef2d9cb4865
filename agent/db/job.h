/* A worker thread that owns a database connection: the event loop hands it jobs and is woken through a
 * pipe when they are done. The loop's thread never waits for a database. */
#ifndef TANDEM_DB_JOB_H
#define TANDEM_DB_JOB_H

#include "db/db.h"

struct jobs;

enum {
	JOBS_WAITING_MAX = 64 /* jobs in line; more are refused and the caller says "busy" */
};

/* Runs on the worker's thread. worker: what jobs_new was given. */
typedef void job_run(void *job, void *worker);
/* Runs on the loop's thread, from jobs_finish. */
typedef void job_done(void *job);

MUST_CHECK bool jobs_new(const char *name, void *worker, struct jobs **out, struct err *e);
/* Finish the running job, drop the waiting ones through their done function, end the thread. */
void jobs_free(struct jobs *j);
/* Becomes readable when jobs_finish has something to do. */
int jobs_fd(const struct jobs *j);
/* Hand over a job. False: the line is full, nothing was taken. */
MUST_CHECK bool jobs_put(struct jobs *j, job_run *run, job_done *done, void *job);
void jobs_finish(struct jobs *j);
/* Jobs waiting or running. */
size_t jobs_pending(struct jobs *j);

#endif
