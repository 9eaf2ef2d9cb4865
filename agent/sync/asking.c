/* Questions under way. Lives here: the thread that calls, who has to wait for whom. Not here: what is asked (sync/compare),
 * the call itself and what its answer means (sync/ask). */
#include "sync/asking.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

struct asking {
	struct asker asker; /* a copy with a question and an answer of its own */
	pthread_t thread;
	bool threaded; /* and not joined yet */
	atomic_bool done;
	bool ok;
	int64_t ms;
	struct err e;
};

bool
asking_new(const struct asker *a, struct asking **out, struct err *e)
{
	struct asking *q = *out = calloc(1, sizeof *q);

	if (q == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a question");
	q->asker = *a;
	q->asker.called = false;
	buf_init(&q->asker.question, COMPARE_BODY_MAX);
	buf_init(&q->asker.answer, COMPARE_ANSWER_MAX * 2);
	atomic_init(&q->done, false);
	return true;
}

struct asker *
asking_asker(struct asking *q)
{
	return &q->asker;
}

static void *
asking_main(void *arg)
{
	struct asking *q = arg;

	(void)pthread_mutex_lock(q->asker.line);
	q->ms = -clock_mono_ms();
	q->ok = ask_call(&q->asker, &q->e);
	q->ms += clock_mono_ms();
	(void)pthread_mutex_unlock(q->asker.line);
	atomic_store(&q->done, true);
	return NULL;
}

void
asking_start(struct asking *q)
{
	q->threaded = pthread_create(&q->thread, NULL, asking_main, q) == 0;
	if (!q->threaded)
		atomic_store(&q->done, true);
}

bool
asking_is_done(const struct asking *q)
{
	return atomic_load(&q->done);
}

void
asking_end(struct asking *q)
{
	if (q->threaded)
		(void)pthread_join(q->thread, NULL);
	q->threaded = false;
}

bool
asking_was_answered(const struct asking *q)
{
	return q->ok && q->asker.status == 200;
}

int64_t
asking_ms(const struct asking *q)
{
	return q->ms;
}

bool
asking_take(struct asking *q, struct asker *a, bool *more, struct err *e)
{
	struct buf question = a->question, answer = a->answer;

	a->question = q->asker.question;
	a->answer = q->asker.answer;
	a->status = q->asker.status;
	a->called = q->asker.called;
	a->unknown = q->asker.unknown;
	a->not_found = q->asker.not_found;
	q->asker.question = question;
	q->asker.answer = answer;
	*e = q->e;
	return ask_take(a, q->ok, more, e);
}

void
asking_free(struct asking *q)
{
	if (q == NULL)
		return;
	asking_end(q);
	buf_free(&q->asker.question);
	buf_free(&q->asker.answer);
	free(q);
}
