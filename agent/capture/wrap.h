/* The text of an app's trigger, as SHOW CREATE TRIGGER gives it, and its guarded form, which does not
 * fire for the agent. Pure: no connection. The guarded form is the app's own text with a fixed text
 * before its body and one behind it, so that it can be taken off again without any other knowledge. */
#ifndef TANDEM_CAPTURE_WRAP_H
#define TANDEM_CAPTURE_WRAP_H

#include <stdbool.h>
#include <stddef.h>

#include "capture/body.h"
#include "db/schema.h"

/* Where the parts of "CREATE DEFINER=... TRIGGER [IF NOT EXISTS] name ... FOR EACH ROW body" lie. */
struct wrap {
	size_t exists, exists_end; /* IF NOT EXISTS and the blanks before it; equal when it is not there */
	size_t row_end;		   /* behind FOR EACH ROW */
	size_t body, body_end;	   /* the app's own body with all that stands around it */
	char token[SCHEMA_TOKEN_LEN + 1]; /* of the installation that guards it; "": nobody does */
};

/* Find the parts. NULL, or why it cannot be done: half a sentence about the trigger. */
const char *wrap_read(const char *text, size_t len, struct wrap *out);
/* Does this body (ACTION_STATEMENT, or its first WRAP_HEAD bytes) begin as a guarded one? token takes
 * the installation's token. */
enum { WRAP_HEAD = 64, WRAP_TAIL = 8 };
bool wrap_begins(const char *body, char token[SCHEMA_TOKEN_LEN + 1]);
/* And does it end as one? tail: the last WRAP_TAIL characters of it, or more. */
bool wrap_ends(const char *tail);

/* CREATE OR REPLACE with the same definer, name, time and body. place: "" or "PRECEDES `x`", which the
 * server does not keep; ignore_space: the session's sql_mode has IGNORE_SPACE and cuts that out otherwise.
 * token: guard it for that installation; NULL: as the app wrote it. */
void wrap_put(struct buf *sql, const char *text, const struct wrap *w, const char *place, bool ignore_space, const char *token);

#endif
