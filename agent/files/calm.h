/* Have folder and list changed since they were found alike? By when the server last wrote to the two tables, so that a look
 * at which nothing was new need not read them again. Not here: finding them alike (files/listing). */
#ifndef TANDEM_FILES_CALM_H
#define TANDEM_FILES_CALM_H

#include "base/conf.h"
#include "db/db.h"

enum { CALM_STATE_MAX = 255 };

struct calm {
	char state[CALM_STATE_MAX + 1]; /* how they stand now; "": this cannot be told yet */
	bool known;			/* so they stood when they were alike */
};

/* looks: what is looked for, in words; another one asks anew. To be read before the tables are. db is in the sync schema. */
MUST_CHECK bool calm_read(struct db *db, const struct conf *conf, const struct conf_tree *t, const char *looks, struct calm *out, struct err *e);
/* They are alike. */
MUST_CHECK bool calm_note(struct db *db, const struct conf_tree *t, const struct calm *c, struct err *e);

#endif
