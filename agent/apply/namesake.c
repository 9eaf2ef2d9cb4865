/* Finding what hangs on a number given twice. Not here: that it was given twice (apply/conflict). Only rows
 * numbered by AUTO_INCREMENT can be namesakes, so keys of whole numbers are enough to look for. */
#include "apply/namesake.h"

#include <string.h>

bool
namesake_look(struct pass *p, struct err *e)
{
	uint64_t n = 0;
	bool ok = db_number(p->db, "SELECT 1 FROM sync_unsettled WHERE peer=? AND kind='collision' LIMIT 1", DB_ARGS(db_text(p->peer)), &n, NULL, e);

	p->namesakes = n > 0;
	return ok;
}

/* The record's value of a column that holds a whole number; NULL when it is NULL or anything else. */
static const char *
whole_number(const struct chunk *c, const struct item *item, const char *column)
{
	const struct table *t = c->target.table;

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *col = &t->columns[c->target.map[i]];

		if (strcmp(col->name, column) == 0)
			return col->integer ? item->values[i].data : NULL;
	}
	return NULL;
}

static const char *
child_column(const struct foreign_key *k, const char *referenced)
{
	for (size_t i = 0; i < k->ncolumns; i++)
		if (strcmp(k->referenced[i], referenced) == 0)
			return k->columns[i];
	return NULL;
}

/* The key of the row that the record points at. False: not by its key, or not by whole numbers, or nowhere. */
static bool
parent_key(const struct chunk *c, const struct item *item, const struct foreign_key *k, const struct table *parent, struct buf *key)
{
	buf_reset(key);
	for (size_t i = 0; i < parent->nkey; i++) {
		const char *column = child_column(k, parent->columns[parent->key[i]].name);
		const char *value = column == NULL ? NULL : whole_number(c, item, column);

		if (value == NULL)
			return false;
		buf_fmt(key, "%s%s", i == 0 ? "" : ",", value);
	}
	return !key->failed;
}

/* Refused in this group, or in one before. */
static bool
is_namesake(const struct pass *p, const char *table, const struct buf *key, bool *is, struct err *e)
{
	unsigned char hash[PEER_HASH_BYTES];
	uint64_t n = 0;

	for (size_t i = 0; i < p->refused.n; i++) {
		const struct refused *r = &p->refused.items[i];

		*is = r->kind == REFUSED_COLLISION && strcmp(r->table, table) == 0 && r->key_len == key->len && memcmp(r->key, key->data, key->len) == 0;
		if (*is)
			return true;
	}
	if (!peer_record_hash(table, key->data, key->len, hash, e) ||
	    !db_number(p->db, "SELECT 1 FROM sync_unsettled WHERE peer=? AND record_hash=? AND kind='collision'", DB_ARGS(db_text(p->peer), db_bytes(hash, sizeof hash)), &n, NULL, e))
		return false;
	*is = n > 0;
	return true;
}

bool
namesake_parent(const struct chunk *c, const struct item *item, const char **parent, struct err *e)
{
	const struct catalog *catalog = c->pass->catalog;
	struct buf key;
	bool ok = true, is = false;

	*parent = NULL;
	if (!c->pass->namesakes)
		return true;
	buf_init(&key, CATALOG_KEY_BYTES);
	for (size_t i = 0; ok && !is && i < catalog->nkeys; i++) {
		const struct foreign_key *k = &catalog->keys[i];
		const struct table *to = strcmp(k->child, c->target.table->name) == 0 ? catalog_table(catalog, k->parent) : NULL;

		if (to == NULL || !to->auto_increment || !parent_key(c, item, k, to, &key))
			continue;
		ok = is_namesake(c->pass, to->name, &key, &is, e);
		if (is)
			*parent = to->name;
	}
	buf_free(&key);
	return ok;
}
