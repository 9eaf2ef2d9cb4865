/* One table that records are written to: the section's columns matched with the table as it is here,
 * and a prepared statement for each shape of change. Never REPLACE, never ON DUPLICATE KEY UPDATE: both
 * touch another row through a secondary unique key. */
#ifndef TANDEM_APPLY_TARGET_H
#define TANDEM_APPLY_TARGET_H

#include "capture/template.h"
#include "db/bulk.h"
#include "wire/message.h"

enum target_shape { TARGET_DELETE, TARGET_UPDATE, TARGET_MOVE, TARGET_INSERT, TARGET_SHAPES };

struct target {
	struct db *db;
	const char *database;
	const struct table *table;
	size_t *map; /* i-th value on the wire -> column of the table */
	uint64_t checks; /* of the table there (struct table's) */
	bool *widened; /* is its type here another one than there? */
	struct bulk *bulks[TARGET_SHAPES];
	struct db_arg *args;
	struct buf parts; /* key parts of the record being added */
	uint64_t deleted; /* rows that deletes have removed */
};

/* The section must fit the table (apply/fit). */
MUST_CHECK bool target_open(struct target *to, struct db *db, const char *database, const struct table *t, const struct section *s, struct err *e);
void target_close(struct target *to);

/* Gather one record; full statements run at once. MOVE: the row of meta's old key becomes this one. */
MUST_CHECK bool target_put(struct target *to, enum target_shape shape, const struct record_meta *m, const struct line_value *values, struct err *e);
/* Run what is gathered: deletes, updates, moves, inserts. ERR_DB_REJECTED also when the number of rows
 * does not fit; the caller rolls back. */
MUST_CHECK bool target_flush(struct target *to, struct err *e);
/* Forget what is gathered (after a rollback). */
void target_forget(struct target *to);
/* Would the record's statement be larger than the server takes? */
bool target_too_large(const struct target *to, const struct line_value *values, char *reason);

#endif
