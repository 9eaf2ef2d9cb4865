/* What tables are, so that what no trigger sees is noticed afterwards: InnoDB's ids, time of creation, columns,
 * key, our triggers. As the server says now and as it was noted last; and what the difference means. */
#ifndef TANDEM_CAPTURE_IDENTITY_H
#define TANDEM_CAPTURE_IDENTITY_H

#include "db/catalog.h"

enum {
	IDENTITY_TEXT_MAX = 64 * 1024 * 1024 /* the ids of all partitions of a database; one table's triggers */
};

struct identity {
	char *table;
	char *ids;	  /* of the table or its partitions; "" = not known */
	char *created;	  /* "" = not known */
	uint64_t columns; /* a sum over the definitions of columns, CHECKs and foreign keys; 0 = not read */
	char *triggers;	  /* names, times of creation, definers, hashes of ours; "" = none */
	char *key;	  /* names and types of the primary key, only as noted */
	uint64_t boundary; /* only as noted: see sql/sync_identity.sql */
};

struct identity_list {
	struct identity *items; /* sorted by table, bytewise */
	size_t n;
	struct identity *bare; /* other tables with triggers of ours: parents, or what took their place; table and triggers alone */
	size_t nbare;
	bool ids_known; /* the server showed ids: the installing account has PROCESS */
	bool orphan;	/* the account that installed is gone: its triggers make the app's writes fail */
	bool young;	/* as noted: a table had been altered within the second, so that another ALTER would not show in created */
};

/* What the server says now of the tables that conf wants. The connection is in the sync database. Of what costs most
 * only what is asked for: definitions (none changes without created, except within one second), triggers. */
enum {
	IDENTITY_COLUMNS = 1,
	IDENTITY_TRIGGERS = 2
};
MUST_CHECK bool identity_read(struct db *db, const struct conf *conf, unsigned what, struct identity_list *out, struct err *e);

/* Has no CREATE or DROP TRIGGER begun since identity_note_calm? *statements: how many have; *settled: none is under way,
 * so that what is read after this is what they have left. */
MUST_CHECK bool identity_is_calm(struct db *db, uint64_t *statements, bool *settled, bool *calm, struct err *e);
/* The triggers were found as noted after so many. */
MUST_CHECK bool identity_note_calm(struct db *db, uint64_t statements, struct err *e);
/* Triggers that were not read are those of was. */
MUST_CHECK bool identity_take_triggers(struct identity_list *now, const struct identity_list *was, struct err *e);
/* What was noted. */
MUST_CHECK bool identity_load(struct db *db, struct identity_list *out, struct err *e);
/* All tables were found as noted, definitions and all: those that were young then and are not now. */
MUST_CHECK bool identity_grown(struct db *db, struct err *e);
void identity_free(struct identity_list *l);
const struct identity *identity_find(const struct identity_list *l, const char *table);

/* Names and types of the key's columns in key order: "id int(11), no int(11)". */
void identity_put_key(struct buf *out, const struct table *t);
/* Note how the table is: now, but with the triggers that stand there by now. */
MUST_CHECK bool identity_note(struct db *db, const struct identity *now, const char *triggers, const char *key, struct err *e);
MUST_CHECK bool identity_forget(struct db *db, const char *table, struct err *e);

/* Has the server said by now what it did not say when the table was noted? */
bool identity_knows_more(const struct identity *was, const struct identity *now);

enum identity_change {
	IDENTITY_SAME,
	IDENTITY_TRUNCATED, /* emptied, or partitions were emptied or exchanged: another id, all else as before */
	IDENTITY_ALTERED,   /* our triggers as we left them, the table not */
	IDENTITY_REPLACED   /* our triggers are not as we left them: nobody knows what they did not see */
};

/* What became of the table. *what (static): the words for people. */
enum identity_change identity_compare(const struct identity *was, const struct identity *now, const char **what);

#endif
