/* The files built into the program: agent.conf.example, sql/ and web/, made by scripts/embed.
 * --assets DIR, to read them from disk while developing, has no effect yet. */
#ifndef TANDEM_BASE_ASSET_H
#define TANDEM_BASE_ASSET_H

#include <stddef.h>

struct asset {
	const char *name; /* path below the top of the source tree: "sql/sync_queue.sql" */
	const unsigned char *data; /* a NUL stands behind the last byte */
	size_t len;
};

extern const struct asset asset_table[]; /* ends with name == NULL */

/* The asset of that name, or NULL. */
const struct asset *asset_find(const char *name);

#endif
