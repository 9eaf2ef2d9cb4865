/* Parents that a peer has deleted, and the rows that hang on them here. The server's own cascade never does
 * work for us: it would take away what somebody here has just written. */
#ifndef TANDEM_APPLY_FAMILY_H
#define TANDEM_APPLY_FAMILY_H

#include "apply/kin.h"

struct family;

/* Of one careful pass. NULL: out of memory. */
struct family *family_new(struct pass *p, struct err *e);
void family_free(struct family *f);
/* Name a record of the group; when all are named, family_ready. */
MUST_CHECK bool family_expect(struct family *f, const struct table *t, uint64_t hash, char operation);
void family_ready(struct family *f);

/* Does the group say something about the record? */
bool family_names(const struct family *f, uint64_t hash);
/* Does it bring a row for it? */
bool family_brings(const struct family *f, uint64_t hash);
/* The children found for the chunk at hand. */
struct kin_list *family_kin(struct family *f);

/* After the verdicts: what becomes of the chunk's deletes because of children that are still here. A delete
 * waits for records of the group, is given up for a child that wins, or is given its children to take along
 * (apply/cascade). */
MUST_CHECK bool family_judge(struct chunk *c, struct err *e);
/* Is the item's row to be deleted? */
bool family_is_removed(const struct item *item);
/* Look at the queue for the children found, which are locked by now. */
MUST_CHECK bool family_look(struct chunk *c, struct err *e);
/* Judge the item's children: does one of them win? Otherwise sets waits_for when changes of one come first. */
MUST_CHECK bool family_weigh(struct chunk *c, struct item *item, bool *wins, struct err *e);
/* The item is done. */
MUST_CHECK bool family_done(struct family *f, const struct item *item, struct err *e);

/* What was finished since the mark is open again: it was rolled back. */
size_t family_mark(const struct family *f);
void family_rewind(struct family *f, size_t mark);

/* Would deleting rows of the table make the server change others (ON DELETE CASCADE, SET NULL)? */
bool family_cascades(const struct pass *p, const struct table *t);
/* Would changing columns that are not the primary key? */
bool family_follows(const struct pass *p, const struct table *t);
/* Lock the rows; *alone: the server would change no others, *here: how many there are. */
MUST_CHECK bool family_alone(struct pass *p, const struct kin_parents *rows, bool *alone, uint64_t *here, struct err *e);

#endif
