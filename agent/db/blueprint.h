/* A table's definition that came from another node, as text of SHOW CREATE TABLE: taken apart, so that nothing but
 * one InnoDB table in the app's database can come of it. Pure. */
#ifndef TANDEM_DB_BLUEPRINT_H
#define TANDEM_DB_BLUEPRINT_H

#include "base/err.h"

/* Does text define the table of that name and nothing else? Types, keys, CHECKs, generated columns and defaults of words
 * that are known, an InnoDB table without a place or connection of its own. *definition: what stands behind the name,
 * to the end. Else ERR_INPUT names the word. */
MUST_CHECK bool blueprint_check(const char *text, size_t len, const char *name, const char **definition, struct err *e);

#endif
