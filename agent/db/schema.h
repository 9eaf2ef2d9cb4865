/* The sync schema: creating it from sql/, checking its version, this node's identity in it. */
#ifndef TANDEM_DB_SCHEMA_H
#define TANDEM_DB_SCHEMA_H

#include "db/db.h"

enum {
	SCHEMA_VERSION = 2,	     /* of the tables under sql/ */
	SCHEMA_INCARNATION_LEN = 32, /* hex digits */
	SCHEMA_TOKEN_LEN = 16,	     /* hex digits, also of stamps */
	SCHEMA_STAMP_LEN = 16
};

struct node_identity {
	char name[CONF_NAME_MAX + 1];
	char incarnation[SCHEMA_INCARNATION_LEN + 1];
	char token[SCHEMA_TOKEN_LEN + 1];
};

/* Create what is missing of the sync schema, bring an older one up to SCHEMA_VERSION, and give the node its identity; *created says whether
 * it was new. Leaves the connection in the sync database. */
MUST_CHECK bool schema_install(struct db *db, const struct conf *conf, bool *created, struct err *e);
/* Create what is missing of the sync schema and make its routines anew, under this connection's account, which is in
 * the sync database. */
MUST_CHECK bool schema_renew(struct db *db, struct err *e);
/* Drop the sync schema. */
MUST_CHECK bool schema_drop(struct db *db, const struct conf *conf, struct err *e);
/* Enter the sync database and read this node's identity. ERR_DB_MISSING with the remedy when it is
 * not installed, ERR_CONFIG when it belongs to a node of another name or another program version. */
MUST_CHECK bool schema_enter(struct db *db, const struct conf *conf, struct node_identity *node, struct err *e);
/* n random bytes as 2n hex digits and a NUL. */
MUST_CHECK bool schema_random_hex(char *out, size_t nbytes, struct err *e);

#endif
