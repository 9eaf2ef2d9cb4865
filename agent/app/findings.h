/* What --check has found: collected, then printed with the worst first. */
#ifndef TANDEM_APP_FINDINGS_H
#define TANDEM_APP_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/screen.h"

enum severity {
	SEVERITY_OK,
	SEVERITY_NOTE,	  /* nothing is wrong, but not everybody knows it */
	SEVERITY_WARNING, /* bites later */
	SEVERITY_PROBLEM, /* does not work */
	SEVERITIES
};

struct finding {
	enum severity severity;
	char *text;
	char *remedy; /* or NULL */
};

struct findings {
	struct finding *items;
	size_t n;
	size_t count[SEVERITIES];
	bool memory; /* ran out of it */
};

/* One finding and what to do about it (NULL: nothing). */
void findings_add(struct findings *f, enum severity severity, const char *remedy, const char *fmt, ...) PRINTF_FMT(4, 5);
/* {"findings":[...]}, or for people, one line each in a pipe; quiet leaves out what asks for nothing. Within one severity in the
 * order they were added. */
void findings_print_json(const struct findings *f);
void findings_print(const struct findings *f, enum screen_colour colour, bool quiet);
void findings_free(struct findings *f);

#endif
