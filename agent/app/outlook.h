/* What the page says of this node, as one JSON object that is cheap to make anew every second: the report's quick
 * half, with the answer to "are we in step, and what is to be done" in words that web/texts.json explains. */
#ifndef TANDEM_APP_OUTLOOK_H
#define TANDEM_APP_OUTLOOK_H

#include "app/report.h"

/* counts: what outlook_counts made before, or NULL while it is not known. */
MUST_CHECK bool outlook_put(struct db *db, const struct conf *conf, const struct report *r, const char *counts, struct buf *out, struct err *e);
/* The same as one line for people: "in step with 1 of 2 peers; 3 changes pending". */
void outlook_line(const struct report *r, struct buf *out);
/* The dear half: counts over whole tables, and this node's configuration. */
void outlook_counts(const struct report *r, struct buf *out);
/* Options of agent.conf without secrets, as a JSON array of [name, value]. */
void outlook_configuration(const struct conf *conf, struct buf *out);

#endif
