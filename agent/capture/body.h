/* The triggers' names and bodies. Pure: no connection, so that golden tests can read every word. */
#ifndef TANDEM_CAPTURE_BODY_H
#define TANDEM_CAPTURE_BODY_H

#include "capture/closure.h"

enum capture_event {
	CAPTURE_INSERT, CAPTURE_UPDATE, CAPTURE_DELETE, /* AFTER: the table's own rows */
	CAPTURE_BEFORE_UPDATE, CAPTURE_BEFORE_DELETE,	/* BEFORE: rows that foreign keys change */
	CAPTURE_EVENTS
};

/* What all bodies of a database are made from. */
struct body_scope {
	const struct catalog *catalog;
	const char *sync_database;
	const char *token;
};

/* The user variable that tells the triggers "this is the agent": without the '@'. */
void body_skip_variable(const char *token, char out[TEMPLATE_NAME_MAX]);

/* Name of the trigger for an event: "tandem_ai_" and the table's name, or a hash of it where the
 * whole would be longer than 64 bytes. */
void body_trigger_name(const char *table, enum capture_event event, char out[TEMPLATE_NAME_MAX]);
/* Is this one of our triggers' names? */
bool body_is_our_trigger(const char *name);
/* Is it a trigger that runs BEFORE the row is written? */
bool body_is_before(enum capture_event event);
/* Append the body of the trigger, as information_schema shows it in ACTION_STATEMENT. own: with what captures
 * the table's own rows; else only what its foreign keys change. Nothing when there is nothing to do. */
void body_trigger_text(struct buf *sql, const struct body_scope *s, const char *table, enum capture_event event, bool own);
/* CREATE OR REPLACE TRIGGER ... with a body that is not empty. */
void body_trigger(struct buf *sql, const char *database, const char *table, enum capture_event event, const char *body);

#endif
