/* Files that hold secrets, agent.conf and the TLS key: may one be used, reading it whole, making it,
 * putting a new text in its place. Not here: what stands in them. */
#ifndef TANDEM_BASE_PRIVATE_H
#define TANDEM_BASE_PRIVATE_H

#include <stddef.h>

#include "base/err.h"

/* The whole file, with a NUL behind it. Refused (ERR_CONFIG, with the remedy): a symbolic link,
 * anything but a regular file, a file of another user, one that others may read or write, one above
 * max bytes. what: what the file is, for messages. missing: the remedy when there is none. Free with
 * private_free. */
MUST_CHECK bool private_read(const char *path, const char *what, const char *missing, size_t max,
    char **text, size_t *len, struct err *e);
/* Overwritten first. text may be NULL. */
void private_free(char *text, size_t len);

/* Make the file, mode 0600, whole or not at all. One that is there already is left alone: then
 * *exists is true, and so is the result. */
MUST_CHECK bool private_create(const char *path, const void *data, size_t len, bool *exists,
    struct err *e);

/* Put data in the place of the file that is there, whole or not at all; mode and owner stay. */
MUST_CHECK bool private_replace(const char *path, const void *data, size_t len, struct err *e);

#endif
