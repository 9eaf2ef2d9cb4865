/* The app database's tables as this server describes them: columns, primary keys, foreign keys,
 * and why a table cannot be replicated. A snapshot read from information_schema; names that come
 * from elsewhere are looked up here by exact bytes and only the names found here enter SQL. */
#ifndef TANDEM_DB_CATALOG_H
#define TANDEM_DB_CATALOG_H

#include "base/conf.h"
#include "db/db.h"

enum {
	CATALOG_KEY_COLUMNS = 32,  /* columns of an index, the server's limit */
	CATALOG_KEY_BYTES = 3072,  /* record_id's width: text of the widest key that fits */
	CATALOG_COLUMNS = 4096,	   /* columns of a table, the server's limit */
	CATALOG_TRUST_MS = 1000	   /* DDL is noticed this late at most; what it breaks meanwhile is refused and tried again */
};

/* How a column's values travel and how its key text is made (capture/template). */
enum column_kind {
	COLUMN_PLAIN,	  /* number, date, time: text as the server prints it */
	COLUMN_TYPED,	  /* UUID, INET4, INET6: text, but stored into VARBINARY they turn into bytes */
	COLUMN_TEXT,	  /* character data in a UTF-8 or ASCII charset: its bytes */
	COLUMN_CHARS,	  /* character data in another charset: raw bytes */
	COLUMN_BYTES,	  /* BINARY, BLOB, GEOMETRY: raw bytes */
	COLUMN_BIT,	  /* value as raw bytes, key as number */
	COLUMN_FLOAT,	  /* read as double: the text form of FLOAT loses digits */
	COLUMN_TIMESTAMP, /* key as seconds since 1970: text depends on the session's time zone */
	COLUMN_CHOICE	  /* ENUM, SET: number */
};

struct column {
	char *name;
	char *type;    /* "varchar(40) utf8mb4_general_ci": what both sides compare */
	char *charset, *collation; /* "" unless character data */
	enum column_kind kind;
	size_t octets; /* of character and binary data: the longest value; else 0 */
	bool in_key;
	bool integer;  /* TINYINT to BIGINT: its text is a plain number */
	bool exact;    /* TINYINT to BIGINT, DECIMAL */
	bool nullable; /* a NULL from elsewhere can be stored */
	bool stamped;  /* ON UPDATE CURRENT_TIMESTAMP: the server sets it by itself */
	bool counts;   /* [table] add: its changes add up */
	unsigned scale; /* of a DECIMAL: digits behind the point */
	bool choose_one; /* ENUM: index 0 is stored only with a warning (db/bulk) */
};

enum fk_action { FK_RESTRICT, FK_CASCADE, FK_SET_NULL }; /* NO ACTION and SET DEFAULT do what RESTRICT does */

/* A foreign key between two tables of the app's database, replicated or not: what is not replicated can
 * still cascade into what is. */
struct foreign_key {
	char *name;
	char *child, *parent;
	char **columns;	   /* of the child */
	char **referenced; /* of the parent, in the same order */
	size_t ncolumns;
	enum fk_action on_delete, on_update;
};

struct table {
	char *name;
	struct column *columns; /* base columns only: generated ones are computed by each side */
	size_t ncolumns;
	size_t key[CATALOG_KEY_COLUMNS]; /* indexes into columns, in key order */
	size_t nkey;
	size_t *parents; /* indexes of tables referenced by foreign keys, itself left out */
	size_t nparents;
	bool self_reference;
	bool auto_increment; /* the key has an AUTO_INCREMENT column */
	char *row_end; /* system-versioned with columns of its own for it: the one that ends a row, or NULL */
	uint64_t checks; /* one number for its CHECKs, whatever their order and names; 0: none */
	size_t rank;   /* parents have a lower rank than children, circles aside */
	enum conf_policy policy; /* [table] conflict, else [sync]'s */
	char preferred[CONF_NAME_MAX + 1]; /* of "prefer NODE", else "" */
	size_t ncounters; /* columns that count */
	bool stamped;	  /* it has columns that the server sets by itself, outside the key */
	char *problem; /* why it cannot be replicated, or NULL */
	char *remedy;
	bool quiet;	/* no trigger of the app fires for the agent (capture/guard) */
	bool rekeyed;	/* its key is not as it was noted: what is pending cannot be told yet (apply/rekey) */
	bool view;	/* the problem asks nothing of anybody: the tables below it are replicated */
	bool undecided; /* the problem is the app's triggers (capture/guard): ours stay until a person has decided */
};

struct catalog {
	char *database;
	struct table *tables; /* sorted by name, bytewise; wanted ones only */
	size_t ntables;
	size_t *order; /* indexes of tables by rank */
	struct foreign_key *keys; /* of the whole database, by child, then name */
	size_t nkeys;
	uint64_t fingerprint; /* of the definitions it was read from */
	int64_t checked_ms;   /* when they were last found to be the same */
	bool keys_judged;     /* rekeyed was judged, and of no table it holds; boundaries: of the look (apply/rekey) */
	uint64_t boundaries;
	int64_t guarded_ms;   /* the look after which the app's triggers were judged (capture/guard); -1: none yet */
};

/* Read the tables of conf's database that [sync] tables and exclude name. Unusable ones are there,
 * with their problem. Free with catalog_free. */
MUST_CHECK bool catalog_read(struct db *db, const struct conf *conf, struct catalog **out, struct err *e);
/* Read *c if it is NULL, or again when the definitions have changed since; a look is trusted for
 * CATALOG_TRUST_MS. */
MUST_CHECK bool catalog_refresh(struct db *db, const struct conf *conf, struct catalog **c, struct err *e);
/* The next catalog_refresh looks, however short ago the last look was. c may be NULL. */
void catalog_doubt(struct catalog *c);
void catalog_free(struct catalog *c);

/* How values of information_schema's DATA_TYPE travel. A type that is not known is not guessed: false. */
bool catalog_kind(const char *data_type, const char *charset, enum column_kind *kind);

/* The table of exactly that name, usable or not, or NULL. */
const struct table *catalog_table(const struct catalog *c, const char *name);
/* The column of exactly that name; *at is its index. False when there is none. */
bool table_column(const struct table *t, const char *name, size_t len, size_t *at);

/* The table's rule for conflicts as people read it and both sides compare it: "prefer anna, add = stock". */
void table_rule(const struct table *t, struct buf *out);

#endif
