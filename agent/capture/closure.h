/* What foreign keys do to other rows: ON DELETE and ON UPDATE with CASCADE or SET NULL change children
 * without firing their triggers, so the parent's triggers look for those children and enqueue them.
 * Pure: text made from the catalog. */
#ifndef TANDEM_CAPTURE_CLOSURE_H
#define TANDEM_CAPTURE_CLOSURE_H

#include "capture/template.h"

enum {
	CLOSURE_DEPTH = 15,  /* the server refuses a cascade that goes deeper (error 193 of InnoDB) */
	CLOSURE_LOOPS = 512, /* of one body: each loop costs the server about 30 kB for each open copy of the table */
	CLOSURE_STEPS = 100000 /* looked at while a body is made, dead ends included: a second's work at most */
};

/* Which trigger of the parent a piece of closure belongs to. */
enum closure_part {
	CLOSURE_BEFORE_DELETE, /* children that are deleted or set to NULL, and what follows from that */
	CLOSURE_BEFORE_UPDATE, /* children that cannot be found any more once the parent has changed */
	CLOSURE_AFTER_UPDATE   /* children that have followed the parent's new values */
};

/* Append the block "BEGIN ... END;" that captures what a change of table does to other tables; nothing
 * when it does nothing to a replicated one. table need not be replicated itself. */
void closure_put(struct buf *sql, const struct catalog *c, const char *table, enum closure_part part, const char *sync_database);

/* Give every table a problem that is changed through more paths of foreign keys than one body can hold:
 * it cannot be captured wholly. */
MUST_CHECK bool closure_judge(struct catalog *c, struct err *e);

#endif
