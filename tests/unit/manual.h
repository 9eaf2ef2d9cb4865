/* A page of docs/ for a unit test that compares it with the program. */
#ifndef TANDEM_TESTS_MANUAL_H
#define TANDEM_TESTS_MANUAL_H

#include <stdio.h>
#include <stdlib.h>

enum {
	MANUAL_MAX = 200 * 1000
};

/* docs/NAME below the source tree, behind an empty line so that every line has one before it; the caller frees it. NULL
 * where the tests run without the sources. */
static inline char *
manual_read(const char *page)
{
	const char *top = getenv("srcdir"); /* set by make check */
	char name[1000], *text;
	FILE *f;
	size_t n;

	(void)snprintf(name, sizeof name, "%s/docs/%s", top == NULL ? "." : top, page);
	f = fopen(name, "r");
	if (f == NULL)
		return NULL;
	text = calloc(1, MANUAL_MAX);
	assert_non_null(text);
	text[0] = '\n';
	n = fread(text + 1, 1, MANUAL_MAX - 2, f);
	assert_true(n > 0 && n < MANUAL_MAX - 2);
	(void)fclose(f);
	return text;
}

#endif
