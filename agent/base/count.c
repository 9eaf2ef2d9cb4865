/* Counting events. Lives here: one table under one lock. Not here: what is worth counting (sync/, net/, app/), how
 * it is shown (app/metrics). Nothing is kept over the process's end: whoever adds rates up expects that. */
#include "base/count.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct count rows[COUNT_ROWS_MAX];
static size_t nrows;

static struct count *
find(enum count_kind kind, const char *name, const char *word)
{
	for (size_t i = 0; i < nrows; i++)
		if (rows[i].kind == kind && strcmp(rows[i].name, name) == 0 && strcmp(rows[i].word, word) == 0)
			return &rows[i];
	return NULL;
}

static struct count *
make(enum count_kind kind, const char *name, const char *word)
{
	struct count *c = find(kind, name, word);

	if (c != NULL || nrows == COUNT_ROWS_MAX)
		return c;
	c = &rows[nrows++];
	c->kind = kind;
	(void)snprintf(c->name, sizeof c->name, "%s", name);
	(void)snprintf(c->word, sizeof c->word, "%s", word);
	return c;
}

void
count_add(enum count_kind kind, const char *name, const char *word)
{
	enum { OTHERS = COUNT_NOTIFIED + 1 }; /* a place for one row of each kind is left free */
	char n[COUNT_WORD_MAX], w[COUNT_WORD_MAX];
	struct count *c;

	(void)snprintf(n, sizeof n, "%s", name);
	(void)snprintf(w, sizeof w, "%s", word);
	(void)pthread_mutex_lock(&lock);
	c = nrows < COUNT_ROWS_MAX - OTHERS ? make(kind, n, w) : find(kind, n, w);
	if (c == NULL)
		c = make(kind, "", "other");
	if (c != NULL)
		c->n++;
	(void)pthread_mutex_unlock(&lock);
}

static int
compare(const void *a, const void *b)
{
	const struct count *x = a, *y = b;
	int by;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	by = strcmp(x->name, y->name);
	return by != 0 ? by : strcmp(x->word, y->word);
}

size_t
count_read(struct count *out)
{
	size_t n;

	(void)pthread_mutex_lock(&lock);
	n = nrows;
	memcpy(out, rows, n * sizeof *out);
	(void)pthread_mutex_unlock(&lock);
	qsort(out, n, sizeof *out, compare);
	return n;
}
