/* agent.conf as a file: may it be used at all, and which options does its text give? For
 * base/conf alone. The meaning of sections and options is conf's, of values conf_value's. */
#ifndef TANDEM_BASE_CONF_FILE_H
#define TANDEM_BASE_CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
	CONF_FILE_MAX = 1024 * 1024, /* bytes of a file: 4096 [table] sections of 250 bytes */
	CONF_LINE_MAX = 4096,	     /* bytes of a line */
	CONF_VALUE_MAX = 64 * 1024   /* bytes of a value over all its lines: every table named once */
};

/* The whole file, with a NUL behind it. Refused: a symbolic link, anything but a regular file, a
 * file of another user, one that others may read or write, one above CONF_FILE_MAX. Free with
 * conf_file_free, which overwrites it first: it holds secrets. */
MUST_CHECK bool conf_file_read(const char *path, char **text, size_t *len, struct err *e);
void conf_file_free(char *text, size_t len);

/* Who hears what the text says. A callback that returns false has filled e and ends the reading.
 * An option's name and value are trimmed and live only during the call. */
struct conf_sink {
	const char *path; /* for messages */
	void *arg;
	/* [kind] or [kind name]; name is "" for the first. */
	bool (*section)(void *arg, unsigned line, const char *kind, const char *name, struct err *e);
	bool (*option)(void *arg, unsigned line, const char *name, const char *value, struct err *e);
	/* Is the option a list, so that its value may go on in indented lines? */
	bool (*is_list)(void *arg, const char *name);
};

/* Read text with libinih and tell sink. Bad bytes, too long lines and wrong lines are refused as
 * "PATH:LINE: what is wrong; remedy" (ERR_CONFIG). */
MUST_CHECK bool conf_file_parse(const char *text, size_t len, const struct conf_sink *sink, struct err *e);

/* Set e to "PATH:LINE: text" (line 0: "PATH: text"), a long path cut to its end. */
bool conf_file_fail(struct err *e, const char *path, unsigned line, const char *fmt, ...) PRINTF_FMT(4, 5);

#endif
