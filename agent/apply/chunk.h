/* A chunk: some records of one table that are locked, judged and written together. Their lines are
 * copied, since the reader goes on. */
#ifndef TANDEM_APPLY_CHUNK_H
#define TANDEM_APPLY_CHUNK_H

#include "apply/pass.h"

enum {
	CHUNK_RECORDS = 500,		/* locked, judged and written together */
	CHUNK_BYTES = 4 * 1024 * 1024,	/* of their lines, unless one alone is longer */
	CHUNK_MARKS = 8,		/* marks of own seens kept loaded; few differ in a group */
	ITEM_HASHES = 8,		/* further keys of a record that are followed; a row seldom changes its key twice */
	WRITE_NOTHING = TARGET_SHAPES	/* the verdict leaves the row as it is */
};

/* One record of a chunk. Its texts are the chunk's. */
struct item {
	size_t number;
	uint64_t hash;
	struct record_meta meta;
	struct line_value *values;
	struct line_value *local; /* the row as it is here, in the section's order; NULL = absent */
	bool old_here;		  /* the row under meta.old_key exists */
	struct line_value *old_local; /* that row */
	const char *now_key;	  /* the key that the record was given here, unseen by the sender; NULL: none */
	size_t now_key_len;
	struct line_value *now_local; /* its row */
	uint64_t also[ITEM_HASHES]; /* of the record's other keys */
	size_t nalso;
	bool version_of_old; /* the greatest local version is of one of them */
	bool changed_as_old; /* any concurrent change is */
	const char *at_key;  /* the row that is deleted or updated; NULL: meta.key */
	size_t at_key_len;
	struct line_value *write; /* what is written; NULL: values */
	bool drop_old;	     /* the row under meta.old_key goes as well */
	bool old_stays;	     /* it does not, and is a record of its own from here on */
	bool done;
	int shape; /* enum target_shape or WRITE_NOTHING */
	struct decision decision;
	char local_changed_at[QUEUE_TIME_LEN + 1];
	char local_node[CONF_NAME_MAX + 1];
	bool local_weak;
	size_t concurrent;
	size_t kin_from, kin_n; /* its children that are still here, in the family's list */
	const struct table *waits_for; /* the group has changes of its children in there that come first */
	bool split;		/* the row under meta.old_key stays beside the new one, because of its children */
	const char *rule;	/* what decided; NULL: the policy */
	struct merged *merged;	/* column by column (apply/merge); NULL: not so. Owned */
};

struct chunk {
	struct pass *pass;
	struct target target; /* of the section, while open */
	bool open;
	struct item items[CHUNK_RECORDS];
	size_t n;
	size_t bytes;
	struct block *blocks;
	struct item *sorted[CHUNK_RECORDS]; /* by hash, to find a row's record */
	struct mark marks[CHUNK_MARKS];	    /* of own seens, loaded once */
	size_t nmarks;
};

/* NULL: out of memory. */
struct chunk *chunk_new(struct pass *p, struct err *e);
void chunk_free(struct chunk *c);

/* The section whose records follow; its table is here. */
MUST_CHECK bool chunk_open(struct chunk *c, const struct pass_reader *r, struct err *e);
void chunk_close(struct chunk *c);

/* Take the reader's record in. */
MUST_CHECK bool chunk_add(struct chunk *c, const struct pass_reader *r, struct err *e);
bool chunk_is_full(const struct chunk *c);
/* Forget the records. */
void chunk_clear(struct chunk *c);

/* Copy values and the texts behind them into the chunk's memory. NULL: out of memory. */
struct line_value *chunk_copy(
    struct chunk *c, const struct line_value *from, size_t n, struct err *e);

#endif
