/* Many changes of one record become one entry: what a group says about it. Pure, in bounded memory:
 * the caller stops adding at group_rows entries. */
#ifndef TANDEM_CHANGE_COLLAPSE_H
#define TANDEM_CHANGE_COLLAPSE_H

#include "change/versions.h"

/* What is known of one record. Texts are offsets into the collapse's arena, 0 = none. */
struct entry {
	uint64_t hash;
	uint64_t last_id;   /* id of its newest change */
	size_t table;	    /* index in collapse_table_name */
	size_t key, key_len;
	size_t changed_at;  /* version: the greatest (changed_at, node) of its changes */
	size_t origin;	    /* node of the version; 0 = this node */
	size_t via;	    /* peer that brought the version; 0 = made here */
	size_t old_key, old_key_len; /* key the record had before, when it changed */
	uint64_t link;	    /* while collapsing: id of the change that holds the old key */
	enum operation first; /* operation of its oldest change here */
	struct versions *versions; /* of its columns, where the table's rule is merge or it has counters; owned */
	char *difference; /* of its counters, summed up: decimal texts with ',' between; NULL: none. Owned */
	struct buf *ids;    /* of its changes, "12,15", where it has versions; owned */
	bool weak;	    /* the version is: nothing was changed on purpose (capture/mask) */
	bool told;	    /* that one is of a verdict or came from elsewhere: the peer may have the record as it is named */
	bool came;	    /* link: the change that brought it here from another key is one that the peer does not know */
	bool whole;
	bool decided; /* among them is what a verdict or a person has put in the record's place */
	bool reborn;  /* among them is one that began or ended the record, or gave it its key */
	bool send;	    /* at least one change is not from the peer itself */
	bool owed;	    /* the peer has refused it before */
	bool tried;	    /* it was sent before just as it is now */
	bool absent;	    /* set by the reader: the record does not exist now */
	bool done;	    /* set by the reader: its line is written */
};

enum {
	COLLAPSE_NODES = 256 /* names kept once; far above a tree of laptops */
};

struct collapse {
	struct entry *entries;
	size_t n, cap;
	size_t *slots; /* open addressing: index + 1 */
	size_t nslots;
	struct buf arena;
	size_t *tables; /* offsets of table names */
	size_t ntables, tables_cap;
	size_t nodes[COLLAPSE_NODES]; /* offsets of nodes' names, each kept once */
	size_t nnodes;
	const char *self;
	const char *peer; /* changes that came by it are not sent back */
	const struct catalog *catalog; /* NULL: columns and differences are not looked at */
};

enum {
	COLLAPSE_ARENA_MAX = 1024 * 1024 * 1024
};

void collapse_init(struct collapse *c, const char *self, const char *peer);
void collapse_free(struct collapse *c);
/* Forget all entries, keep the memory. */
void collapse_reset(struct collapse *c);

/* Take one change in, oldest first. Dirty ones are the caller's. */
MUST_CHECK bool collapse_add(struct collapse *c, const struct change *change, struct err *e);
/* The entry of a record, or NULL. table and key as bytes. */
struct entry *collapse_find(const struct collapse *c, const char *table, const char *key, size_t key_len);

const char *collapse_text(const struct collapse *c, size_t offset); /* NULL for 0 */
const char *collapse_table_name(const struct collapse *c, size_t table);
/* Index of a table name that occurs, or SIZE_MAX. */
size_t collapse_table_index(const struct collapse *c, const char *table);
/* Store a text of the caller's in the arena. */
size_t collapse_keep(struct collapse *c, const char *text, size_t len);

/* The hash under which a record is known in memory (table and key). */
uint64_t record_hash(const char *table, const char *key, size_t key_len);
/* Compare two versions: <0, 0, >0. Equal times are decided by the node's name. */
int version_compare(const char *changed_at_a, const char *node_a, const char *changed_at_b, const char *node_b);
/* The same where versions of one node are above all others (conflict = prefer NODE). "": of none. */
int version_compare_for(const char *preferred, const char *changed_at_a, const char *node_a, const char *changed_at_b, const char *node_b);

#endif
