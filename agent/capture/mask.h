/* Which columns an UPDATE changed, as the triggers tell it, and back. Pure.
 *
 * sync_queue.changed_columns of an update is NULL (not told: all of them), or the table's layout and, where the
 * table's rule wants it, one bit for each base column outside the key, in the table's order, the first one
 * highest. The layout alone, or bits of nothing but columns that the server sets by itself (ON UPDATE
 * CURRENT_TIMESTAMP), say that nothing was changed on purpose: a weak change, which loses against every
 * other. Counters ([table] add) have no bit; difference holds how much each changed, as decimal texts in the table's
 * order with ',' between them, '?' where that cannot be told, NULL where none did. */
#ifndef TANDEM_CAPTURE_MASK_H
#define TANDEM_CAPTURE_MASK_H

#include "capture/template.h"

enum {
	MASK_BYTES = 128, /* columns of a table, as bits: InnoDB has 1,017 */
	MASK_COLUMNS = 8 * MASK_BYTES,
	MASK_LAYOUT_BYTES = 4 /* fewer where the bits leave less room */
};

#define MASK_NO_DIFFERENCE "?" /* the counters' differences are not known: the change is whole */

/* Columns by their index in struct table. */
struct mask {
	unsigned char bits[MASK_BYTES];
};

bool mask_has(const struct mask *m, size_t column);
void mask_set(struct mask *m, size_t column);
/* All that can change without the record getting another key; counters left out. */
void mask_all(struct mask *m, const struct table *t);
bool mask_is_empty(const struct mask *m);

/* Do the table's updates tell their columns? */
bool mask_is_wanted(const struct table *t);
/* What stands before the bits: a number for names and order of the columns and for which of them are
 * counters. What was captured under another layout cannot be told. */
size_t mask_layout(const struct table *t, unsigned char out[MASK_LAYOUT_BYTES]);
/* The counters of the table, in its order: how many, and their indexes into columns. */
size_t mask_counters(const struct table *t, size_t out[MASK_COLUMNS]);

/* What changed_columns says. */
enum mask_what { MASK_UNKNOWN, MASK_WEAK, MASK_TOLD };
/* *out: the columns; of MASK_UNKNOWN all but the counters. bytes NULL: unknown. */
enum mask_what mask_read(const struct table *t, const char *bytes, size_t len, struct mask *out);
/* changed_columns for a mask: layout and bits. */
void mask_write(const struct table *t, const struct mask *m, struct buf *out);

/* "OLD.`a`<=>NEW.`a`": has the column the same bytes before and after? */
void mask_put_same(struct buf *sql, const struct column *col);
/* changed_columns and difference of an update that left the key alone, as SQL in its trigger. An update that
 * changed nothing is queued as well, as a weak change: a column that came since the triggers were made is not
 * compared. */
/* changed_columns of an update of which the columns are known: NULL where the table tells none. */
void mask_put_known(struct buf *sql, const struct table *t, const struct mask *m);
void mask_put_columns(struct buf *sql, const struct table *t);
void mask_put_difference(struct buf *sql, const struct table *t);

#endif
