/* The triggers' names and bodies. Pure: no connection, so that golden tests can read every word. */
#ifndef TANDEM_CAPTURE_BODY_H
#define TANDEM_CAPTURE_BODY_H

#include "capture/template.h"

enum capture_event { CAPTURE_INSERT, CAPTURE_UPDATE, CAPTURE_DELETE, CAPTURE_EVENTS };

/* The user variable that tells the triggers "this is the agent": without the '@'. */
void body_skip_variable(const char *token, char out[TEMPLATE_NAME_MAX]);

/* Name of the trigger for an event: "tandem_ai_" and the table's name, or a hash of it where the
 * whole would be longer than 64 bytes. */
void body_trigger_name(const char *table, enum capture_event event, char out[TEMPLATE_NAME_MAX]);
/* Is this one of our triggers' names? */
bool body_is_our_trigger(const char *name);
/* The body of the trigger, as information_schema shows it in ACTION_STATEMENT. */
void body_trigger_text(struct buf *sql, const struct table *t, enum capture_event event, const char *sync_database, const char *token);
/* CREATE OR REPLACE TRIGGER ... with that body. */
void body_trigger(struct buf *sql, const char *database, const struct table *t, enum capture_event event, const char *sync_database, const char *token);

#endif
