/* Tables whose primary key is made of other columns than before. What is pending under the old key is told under the new
 * one: of rows that are here their key today; of rows that are gone the peer knows it, who is asked when the table is
 * compared. Table sync_rekeyed; docs/design.md, drift. */
#ifndef TANDEM_APPLY_REKEY_H
#define TANDEM_APPLY_REKEY_H

#include "capture/template.h"

/* Does a key that was written when the key was as noted ("id int(11), no int(11)", identity_put_key) name the same record
 * today? kept: the table was not rebuilt since, so that a column under another name is the same column. */
bool rekey_is_same(const char *noted, const struct table *t, bool kept);

/* Mark those tables of c whose key is not as it was noted: what is pending here cannot be told yet, so nothing may be
 * applied to them and nothing compared. Cheap when it was asked before and found none. */
MUST_CHECK bool rekey_refresh(struct db *db, struct catalog *c, struct err *e);
/* Has a key been altered and noted since rekey_refresh? Asked behind the look at the queue. */
MUST_CHECK bool rekey_is_news(struct db *db, const struct catalog *c, bool *news, struct err *e);

/* Tell what is pending for the table under its new key, in the caller's transaction; the rows of before are superseded. */
struct rekey_scope {
	struct db *db;
	const char *database, *self;
	const struct table *table;
	const char *noted; /* the key of before */
};
MUST_CHECK bool rekey_carry(const struct rekey_scope *s, struct err *e);

/* The key of before, as noted, while something may be left to be told of: to be freed; NULL: nothing is. */
MUST_CHECK bool rekey_form(struct db *db, const char *table, char **form, struct err *e);
/* t with the key of before, of which a peer may speak: false when the columns of today do not say it. */
bool rekey_view(const struct table *t, const char *form, struct table *view);
/* The key of before of the row with this key, into out; *found: there is such a row. */
MUST_CHECK bool rekey_old_key(const struct rekey_scope *s, const struct table *view, const char *key, size_t key_len, struct buf *out, bool *found, struct err *e);
/* The peer has a row, key, that is not here, and that was old before: if a change of it was pending here, it is queued
 * under this key, in the caller's transaction. *ours: so it was. */
MUST_CHECK bool rekey_resolve(const struct rekey_scope *s, const char *old, size_t old_len, const char *key, size_t key_len, bool *ours, struct err *e);
/* Nothing is left to be compared under this name: forget. */
MUST_CHECK bool rekey_forget(struct db *db, const char *table, struct err *e);

#endif
