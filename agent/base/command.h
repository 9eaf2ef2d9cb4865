/* Programs that are run without a shell. A person's command: its words, with a text on its standard input, a time
 * limit, and what it said when it failed. For [sync] notify; and starting a program alone. */
#ifndef TANDEM_BASE_COMMAND_H
#define TANDEM_BASE_COMMAND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum {
	COMMAND_WORDS_MAX = 64,
	COMMAND_SETTINGS_MAX = 16
};

struct command {
	const char *text; /* words between blanks: no quotes, variables or wildcards; the first an absolute path */
	const char *const *settings; /* "NAME=value" beside the agent's own environment, the same name goes before; ends with NULL */
	const char *input;
	size_t input_len;
	int64_t limit_ms;
	const atomic_bool *stop; /* NULL, or: end it when this becomes true (ERR_STOPPED) */
};

/* Run it and wait. False, with ERR_IO: it could not be started, ended with another code than 0 (with the end of what it
 * said) or took too long; it is then ended together with what it started. No descriptor of ours but its standard ones
 * reaches it, signals are as in a fresh process. Safe from any thread. */
MUST_CHECK bool command_run(const struct command *c, struct err *e);

/* Start a program and return 0, or an errno. A name without / is looked for in PATH; env NULL: ours. Its descriptors are
 * files, in that order from 0 on, each of which is nfiles or more here unless it stands in its place; nothing else that
 * is open here reaches it. group: in a process group of its own, to be ended as one. Its end is the caller's to wait for. */
MUST_CHECK int command_start(pid_t *pid, char *const words[], char *const env[], const int *files, int nfiles, bool group);

#endif
