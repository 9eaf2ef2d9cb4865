/* Rows that hang on a row which a group deletes. The sender's own children came with it as deletes; what is
 * still here is what it did not know of. With a change that it had not seen, such a child keeps its parent;
 * the others go by statements of ours, are kept and relayed. The server's cascade does no work for us. */
#ifndef TANDEM_APPLY_FAMILY_H
#define TANDEM_APPLY_FAMILY_H

#include "apply/chunk.h"
#include "change/record.h"

enum kin_fate {
	KIN_DELETED, /* ON DELETE CASCADE */
	KIN_NULLED,  /* ON DELETE SET NULL */
	KIN_STAYS,   /* the server will refuse to delete the parent */
	KIN_OWN	     /* a record of the same chunk deletes it */
};

/* A row that hangs on a record, or on one that hangs on it. Memory of the chunk. */
struct kin {
	struct kin *next;
	const struct table *table;
	const struct foreign_key *by; /* the one it hangs by */
	enum kin_fate fate;
	const char *key;
	size_t key_len;
	uint64_t hash;
	bool told; /* a record of the group, which says itself what becomes of it */
	bool gone; /* deleted or altered by family_remove, and nobody has said so */
};

/* Does deleting rows of the table change replicated rows of others, or others of its own? */
bool family_follows(const struct catalog *c, const struct table *t);

/* Lock n rows of the table that are about to be deleted. *any: rows of replicated tables would go or be
 * altered with them (those among the n themselves left out). */
MUST_CHECK bool family_left(struct pass *p, const struct table *t, size_t n, record_key_fn *key_of, void *arg, bool *any, struct err *e);

/* The chunk is judged and locked: find what hangs on the rows that it deletes, and turn those verdicts to keep
 * that a child speaks against. */
MUST_CHECK bool family_judge(struct chunk *c, struct err *e);
/* Delete or alter what hangs on the item, and keep each row. Before the item itself goes. */
MUST_CHECK bool family_remove(struct chunk *c, const struct item *item, struct err *e);
/* Queue that for every peer: these are changes of this node. */
MUST_CHECK bool family_relay(struct chunk *c, const struct item *item, struct err *e);

#endif
