/* What the page says of this node, as one JSON object that is cheap to make anew every second: the report's quick
 * half, with the answer to "are we in step, and what is to be done" in words that web/texts.json explains. */
#ifndef TANDEM_APP_OUTLOOK_H
#define TANDEM_APP_OUTLOOK_H

#include "app/report.h"

enum {
	OUTLOOK_TABLES = 1000 /* listed with how they travel */
};

/* A peer's state and this node's, in one word each: in_step, sending, away, paused, person; of
 * the node besides filling (a startup has not come to its end) and alone (no peer). */
const char *outlook_state(const struct report_peer *p);
const char *outlook_headline(const struct report *r);
/* Which of the words "advice.*" fits the peer's last error. */
const char *outlook_error_advice(const struct report_peer *p);
/* counts: what outlook_counts made before, or NULL while it is not known. */
MUST_CHECK bool outlook_put(struct db *db, const struct conf *conf, const struct report *r, const char *counts, struct buf *out, struct err *e);
/* The same as one line for people: "in step with 1 of 2 peers; 3 changes pending". */
void outlook_line(const struct report *r, struct buf *out);
/* The dear half: counts over whole tables, and how the tables travel. */
MUST_CHECK bool outlook_counts(struct db *db, const struct conf *conf, const struct report *r, struct buf *out, struct err *e);
/* Options of agent.conf without secrets, as a JSON array of [name, value]. */
void outlook_configuration(const struct conf *conf, struct buf *out);

#endif
