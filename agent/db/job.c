/* The worker. Lives here: the line of jobs, its thread, the waking pipe. Not here: what jobs do
 * (sync/receive, app/monitor). */
#include "db/job.h"

#include <fcntl.h>
#include <mysql.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct item {
	job_run *run;
	job_done *done;
	void *job;
};

struct jobs {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	void *worker;
	struct item waiting[JOBS_WAITING_MAX];
	size_t nwaiting;
	struct item finished[JOBS_WAITING_MAX + 1];
	size_t nfinished;
	bool running, stop;
	int pipe[2];
};

static void
notify(const struct jobs *j)
{
	/* A full pipe means the loop is woken anyway. */
	if (write(j->pipe[1], "", 1) < 0)
		return;
}

static void *
work(void *arg)
{
	struct jobs *j = arg;

	(void)mysql_thread_init();
	(void)pthread_mutex_lock(&j->lock);
	while (!j->stop) {
		struct item item;

		/* A finished job keeps its place until the loop has taken it: the lists cannot overflow. */
		if (j->nwaiting == 0 || j->nfinished > JOBS_WAITING_MAX) {
			(void)pthread_cond_wait(&j->wake, &j->lock);
			continue;
		}
		item = j->waiting[0];
		memmove(&j->waiting[0], &j->waiting[1], --j->nwaiting * sizeof item);
		j->running = true;
		(void)pthread_mutex_unlock(&j->lock);
		item.run(item.job, j->worker);
		(void)pthread_mutex_lock(&j->lock);
		j->running = false;
		j->finished[j->nfinished++] = item;
		notify(j);
	}
	(void)pthread_mutex_unlock(&j->lock);
	mysql_thread_end();
	return NULL;
}

static bool
start_thread(struct jobs *j)
{
	sigset_t all, old;
	bool ok;

	/* Signals are the main thread's business. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	ok = pthread_create(&j->thread, NULL, work, j) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ok;
}

bool
jobs_new(const char *name, void *worker, struct jobs **out, struct err *e)
{
	struct jobs *j = calloc(1, sizeof *j);

	*out = NULL;
	if (j == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for worker %s", name);
	j->worker = worker;
	if (pipe2(j->pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
		free(j);
		return err_errno(e, ERR_IO, "worker %s", name);
	}
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->wake, NULL);
	if (!start_thread(j)) {
		(void)close(j->pipe[0]);
		(void)close(j->pipe[1]);
		free(j);
		return err_set(e, ERR_IO, "cannot start the thread of worker %s", name);
	}
	*out = j;
	return true;
}

void
jobs_free(struct jobs *j)
{
	if (j == NULL)
		return;
	(void)pthread_mutex_lock(&j->lock);
	j->stop = true;
	(void)pthread_cond_signal(&j->wake);
	(void)pthread_mutex_unlock(&j->lock);
	(void)pthread_join(j->thread, NULL);
	jobs_finish(j);
	for (size_t i = 0; i < j->nwaiting; i++)
		j->waiting[i].done(j->waiting[i].job);
	(void)close(j->pipe[0]);
	(void)close(j->pipe[1]);
	(void)pthread_mutex_destroy(&j->lock);
	(void)pthread_cond_destroy(&j->wake);
	free(j);
}

int
jobs_fd(const struct jobs *j)
{
	return j->pipe[0];
}

bool
jobs_put(struct jobs *j, job_run *run, job_done *done, void *job)
{
	bool room;

	(void)pthread_mutex_lock(&j->lock);
	room = j->nwaiting < JOBS_WAITING_MAX;
	if (room)
		j->waiting[j->nwaiting++] = (struct item){ run, done, job };
	(void)pthread_cond_signal(&j->wake);
	(void)pthread_mutex_unlock(&j->lock);
	return room;
}

void
jobs_finish(struct jobs *j)
{
	struct item finished[JOBS_WAITING_MAX + 1];
	char bytes[64];
	size_t n;

	while (read(j->pipe[0], bytes, sizeof bytes) > 0)
		;
	(void)pthread_mutex_lock(&j->lock);
	n = j->nfinished;
	memcpy(finished, j->finished, n * sizeof *finished);
	j->nfinished = 0;
	(void)pthread_cond_signal(&j->wake);
	(void)pthread_mutex_unlock(&j->lock);
	for (size_t i = 0; i < n; i++)
		finished[i].done(finished[i].job);
}

size_t
jobs_pending(struct jobs *j)
{
	size_t n;

	(void)pthread_mutex_lock(&j->lock);
	n = j->nwaiting + j->running;
	(void)pthread_mutex_unlock(&j->lock);
	return n;
}
