/* Rows that hang on other rows by a foreign key: are there any, which are they. */
#ifndef TANDEM_APPLY_KIN_H
#define TANDEM_APPLY_KIN_H

#include "apply/chunk.h"
#include "change/record.h"

/* Parents: rows of one table, named by their keys. */
struct kin_parents {
	const struct table *table;
	size_t n;
	record_key_fn *key_of;
	void *arg;
};

enum kin_fate {
	KIN_STAYS,   /* nothing is done to it: RESTRICT, the server will refuse the parent's delete */
	KIN_OWN,     /* its own delete is in the group and comes later: deleted now, its record does the rest */
	KIN_DELETED, /* CASCADE */
	KIN_NULLED   /* SET NULL */
};

/* A child, locked. Its texts are the chunk's. */
struct kin {
	const struct foreign_key *by;
	const struct table *table;
	const char *key;
	size_t key_len;
	uint64_t hash;
	size_t from; /* of the list: children of one record */
	struct line_value *row; /* all columns, in the catalog's order; NULL = it hung there no more when it was locked */
	enum kin_fate fate;
	bool concurrent; /* changed here unseen by the sender, or kept earlier in this group */
	bool gone;	 /* by cascade_write */
	size_t up;	 /* the child above it in the list; SIZE_MAX: none (apply/follow) */
	const char *new_key; /* the key that it has got (apply/follow) */
	size_t new_len;
};

struct kin_list {
	struct kin *items;
	size_t n, cap;
	size_t *slots; /* open addressing: index + 1 */
	size_t nslots;
};

void kin_list_free(struct kin_list *list);
/* Forget the items, keep the memory. */
void kin_list_reset(struct kin_list *list);

/* Lock the parents; *here: how many there are. An app that adds a child waits from now on. */
MUST_CHECK bool kin_lock_parents(struct pass *p, const struct kin_parents *of, uint64_t *here, struct err *e);
/* Does a row hang on one of the parents by the tie? Of a tie within one table, the parents themselves do not
 * count. */
MUST_CHECK bool kin_any(struct pass *p, const struct tie *tie, const struct kin_parents *of, bool *any, struct err *e);
/* Append the rows that hang on the (locked) parents by the tie, locked and read; those that the list holds
 * from the from-th on are left out. */
MUST_CHECK bool kin_find(struct chunk *c, const struct tie *tie, const struct kin_parents *of, struct kin_list *list, size_t from, struct err *e);

#endif
