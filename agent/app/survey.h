/* Looking at the server and the app's database for what replication does not carry or what bites later.
 * Reads only; each look adds findings with their remedies. */
#ifndef TANDEM_APP_SURVEY_H
#define TANDEM_APP_SURVEY_H

#include "app/findings.h"
#include "db/catalog.h"
#include "db/numbering.h"

/* Version, settings, read_only, native replication, privileges that something needs. */
MUST_CHECK bool survey_server(struct db *db, const struct conf *conf, struct findings *f, struct err *e);
/* Is the sync schema whole and free to be written? The connection is in it. */
MUST_CHECK bool survey_schema(struct db *db, const struct conf *conf, struct findings *f, struct err *e);
/* Events, views, routines: what runs twice or stays at home. */
MUST_CHECK bool survey_app(struct db *db, const struct conf *conf, struct findings *f, struct err *e);
/* Do this node and its peers (in conf's order; increment 0: not known) number new rows without meeting?
 * Silent in a database without AUTO_INCREMENT. */
MUST_CHECK bool survey_numbering(struct db *db, const struct conf *conf, const struct catalog *c, const struct numbering *peers, struct findings *f, struct err *e);
/* What sync_numbering knows of conf's peers, in its order. Free with free. */
MUST_CHECK bool survey_peers(struct db *db, const struct conf *conf, struct numbering **out, struct err *e);

#endif
