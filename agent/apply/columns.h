/* What a record of a group says of single columns, for tables whose rule is merge or that have counters: read from
 * its line, put into the queue for other peers. */
#ifndef TANDEM_APPLY_COLUMNS_H
#define TANDEM_APPLY_COLUMNS_H

#include "apply/pass.h"
#include "change/versions.h"

/* Raise the versions by those of an update that is no whole record; one that names none changed all columns. node:
 * who made the record's own version. */
MUST_CHECK bool columns_read(const struct target *to, const struct record_meta *m, const char *node, struct versions *out, struct err *e);
/* The differences of its counters, as sync_queue.difference has them: decimal texts in the table's order with ','
 * between them. Nothing when it brings none. */
MUST_CHECK bool columns_difference(const struct target *to, const struct record_meta *m, struct buf *out, struct err *e);

/* "3:-5,7:0.25": the number of the counter at that place of the section; its length, 0: none. */
size_t columns_find_difference(const char *text, size_t place, const char **number);

/* Texts behind a struct relay. */
struct columns_texts {
	struct buf columns, versions, difference;
};
void columns_texts_init(struct columns_texts *c);
void columns_texts_free(struct columns_texts *c);

/* What a relayed update tells: the columns with their versions, the counters' differences (NULL or "": none). */
MUST_CHECK bool columns_tell(struct relay *r, const struct table *t, const struct versions *v, const char *difference, struct columns_texts *texts, struct err *e);
/* Of a whole record that is an edit of all columns: the counters' differences. */
MUST_CHECK bool columns_tell_whole(struct relay *r, const struct target *to, const struct record_meta *m, struct columns_texts *texts, struct err *e);
/* The same for a record as it came. Nothing where nobody needs it. */
MUST_CHECK bool columns_pass_on(struct pass *p, struct relay *r, const struct target *to, const struct record_meta *m, struct columns_texts *texts, struct err *e);

#endif
