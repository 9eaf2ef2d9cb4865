/* What people did on the page. Table sync_audit. */
#ifndef TANDEM_APP_AUDIT_H
#define TANDEM_APP_AUDIT_H

#include "db/db.h"

enum {
	AUDIT_KEPT = 1000,  /* rows */
	AUDIT_SHOWN = 50,
	AUDIT_TEXT_MAX = 255 /* characters of subject and reason */
};

struct audit {
	const char *caller;
	const char *action;
	const char *peer, *subject, *reason, *error; /* each NULL: none */
	uint64_t records;
};

MUST_CHECK bool audit_add(struct db *db, const struct audit *a, struct err *e);
/* A JSON array, newest first: at, caller, action, peer, subject, reason, records, error. */
MUST_CHECK bool audit_json(struct db *db, struct buf *out, struct err *e);

#endif
