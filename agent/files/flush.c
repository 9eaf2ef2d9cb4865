/* A counter that threads take numbers from; the caller is one of them. */
#include "files/flush.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct flushing {
	flush_one *one;
	void *arg;
	struct flushed *out;
	size_t n;
	atomic_size_t next;
};

static void *
work(void *arg)
{
	struct flushing *f = arg;
	size_t i;

	while ((i = atomic_fetch_add(&f->next, 1)) < f->n)
		f->out[i].fate = f->one(f->arg, i, &f->out[i].err);
	return NULL;
}

void
flush_all(size_t n, flush_one *one, void *arg, struct flushed *out)
{
	struct flushing f = { .one = one, .arg = arg, .out = out, .n = n };
	pthread_t threads[FLUSH_THREADS - 1];
	size_t started = 0;

	while (started < FLUSH_THREADS - 1 && started + 1 < n && pthread_create(&threads[started], NULL, work, &f) == 0)
		started++;
	(void)work(&f);
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
}

/* --- directories --- */

struct directories {
	const struct beneath *b;
	char **path;
};

static enum fate
sync_one(void *arg, size_t i, struct err *e)
{
	const struct directories *d = arg;

	return beneath_sync(d->b, d->path[i], e);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The parents of n paths, sorted, each once. */
static size_t
find_parents(char *text, size_t len, char **out)
{
	size_t n = 0, each = 0;

	for (size_t at = 0; at < len; n++) {
		size_t whole = strlen(text + at);
		char *slash = strrchr(text + at, '/');

		out[n] = text + at;
		*(slash == NULL ? text + at : slash) = '\0';
		at += whole + 1;
	}
	qsort(out, n, sizeof *out, by_text);
	for (size_t i = 0; i < n; i++)
		if (each == 0 || strcmp(out[each - 1], out[i]) != 0)
			out[each++] = out[i];
	return each;
}

bool
flush_parents(const struct beneath *b, const struct buf *paths, struct err *e)
{
	struct directories d = { .b = b };
	struct flushed *results = NULL;
	size_t n = 0;
	char *text;
	bool ok;

	for (size_t i = 0; i < paths->len; i++)
		n += paths->data[i] == '\0';
	if (n == 0)
		return true;
	text = malloc(paths->len);
	d.path = calloc(n, sizeof *d.path);
	results = calloc(n, sizeof *results);
	ok = text != NULL && d.path != NULL && results != NULL;
	if (ok) {
		memcpy(text, paths->data, paths->len);
		flush_all(find_parents(text, paths->len, d.path), sync_one, &d, results);
	}
	free(results);
	free(d.path);
	free(text);
	return ok || err_set(e, ERR_MEMORY, "out of memory for a tree");
}
