/* Installing and entering the sync schema. Not here: triggers on the app's tables (capture/). */
#include "db/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/asset.h"
#include "base/clock.h"
#include "base/hex.h"

enum {
	TABLES_SQL_MAX = 8192 /* the names of all tables, each of 30 bytes at most */
};

bool
schema_random_hex(char *out, size_t nbytes, struct err *e)
{
	unsigned char raw[64];

	if (nbytes > sizeof raw)
		return err_set(e, ERR_INTERNAL, "too many random digits asked for");
	if (!clock_random(raw, nbytes, e))
		return false;
	hex_write(raw, nbytes, out);
	return true;
}

static bool
create_database(struct db *db, const char *name, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, 1024);
	buf_str(&sql, "CREATE DATABASE IF NOT EXISTS ");
	db_quote_name(&sql, name);
	buf_str(&sql, " CHARACTER SET utf8mb4");
	ok = buf_check(&sql, "a statement", e) && db_exec_text(db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok;
}

/* Run sql/NAME.sql for every line of sql/install.order. */
static bool
create_objects(struct db *db, struct err *e)
{
	const struct asset *order = asset_find("sql/install.order");
	const char *p = order == NULL ? "" : (const char *)order->data;
	char path[128];

	while (*p != '\0') {
		size_t len = strcspn(p, "\n");
		const struct asset *object;

		(void)snprintf(path, sizeof path, "sql/%.*s.sql", (int)len, p);
		p += len;
		p += strspn(p, "\n");
		object = asset_find(path);
		if (object == NULL)
			return err_set(e, ERR_INTERNAL, "%s is not built in", path);
		if (!db_exec_text(db, (const char *)object->data, object->len, e)) {
			if (e->db_errno == 1419)
				(void)err_prefix(e, "the binary log is on: run --install with --admin-user, or SET GLOBAL log_bin_trust_function_creators=1 (needed for this command alone)");
			return err_prefix(e, "%s", path);
		}
	}
	return true;
}

static bool
give_identity(struct db *db, const struct conf *conf, struct err *e)
{
	char incarnation[SCHEMA_INCARNATION_LEN + 1], token[SCHEMA_TOKEN_LEN + 1], stamp[SCHEMA_STAMP_LEN + 1];

	if (!schema_random_hex(incarnation, SCHEMA_INCARNATION_LEN / 2, e) ||
	    !schema_random_hex(token, SCHEMA_TOKEN_LEN / 2, e) || !schema_random_hex(stamp, SCHEMA_STAMP_LEN / 2, e))
		return false;
	/* Epoch 0 contains nothing: the position of a peer that has received nothing yet. */
	return db_begin(db, e) &&
	    db_exec(db, "INSERT IGNORE INTO sync_epoch (epoch, high_id, holes, stamp) VALUES (0, 0, '', ?)", DB_ARGS(db_text(stamp)), e) &&
	    db_exec(db, "INSERT INTO sync_node (one, name, incarnation, token, schema_version) VALUES (1, ?, ?, ?, ?)",
		DB_ARGS(db_text(conf->node.name), db_text(incarnation), db_text(token), db_u64(SCHEMA_VERSION)), e) &&
	    db_commit(db, e);
}

/* sql/migration_N.sql brings tables of version N-1 to N. A crash before the number is written makes it run again. New
 * tables are create_objects' business. */
static bool
migrate(struct db *db, uint64_t to, struct err *e)
{
	const struct asset *step;
	char path[64];

	(void)snprintf(path, sizeof path, "sql/migration_%llu.sql", (unsigned long long)to);
	step = asset_find(path);
	if (step == NULL)
		return err_set(e, ERR_INTERNAL, "%s is not built in", path);
	return (db_exec_text(db, (const char *)step->data, step->len, e) || err_prefix(e, "%s", path)) &&
	    db_exec(db, "UPDATE sync_node SET schema_version=?", DB_ARGS(db_u64(to)), e);
}

/* From the version that is there to the one that this agent works with, one step a version. */
static bool
upgrade(struct db *db, const struct conf *conf, struct err *e)
{
	uint64_t version = 0;

	if (!db_number(db, "SELECT schema_version FROM sync_node", DB_NO_ARGS, &version, NULL, e))
		return false;
	if (version > SCHEMA_VERSION)
		return err_set(e, ERR_CONFIG, "the sync schema %s was made by a newer agent (version %llu, this one works with %d): use that agent",
		    conf->database.sync_database, (unsigned long long)version, SCHEMA_VERSION);
	while (version < SCHEMA_VERSION)
		if (!migrate(db, ++version, e))
			return false;
	return true;
}

/* A table whose rows are changes on their way is not silently made anew, empty. */
static bool
refuse_loss(struct db *db, const struct conf *conf, struct err *e)
{
	static const char *const keeps[] = { "sync_queue", "sync_epoch", "sync_owed" };
	uint64_t there;

	if (!db_number(db, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME='sync_node'", DB_NO_ARGS, &there, NULL, e))
		return false;
	if (there == 0 || !db_number(db, "SELECT COUNT(*) FROM sync_node", DB_NO_ARGS, &there, NULL, e))
		return there == 0;
	for (size_t i = 0; there > 0 && i < sizeof keeps / sizeof keeps[0]; i++) {
		uint64_t n;

		if (!db_number(db, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=?", DB_ARGS(db_text(keeps[i])), &n, NULL, e))
			return false;
		if (n == 0)
			return err_set(e, ERR_DB, "table %s.%s is gone, and what waited in it: bring it back (RENAME TABLE, or from a backup), or give it up: agent --uninstall,"
						  " make the databases equal, agent --install", conf->database.sync_database, keeps[i]);
	}
	return true;
}

/* A sequence that was lost and made anew must not give ids below a mark: they would never be sent. */
static bool
advance_sequence(struct db *db, struct err *e)
{
	char sql[96];
	uint64_t high;

	if (!db_number(db, "SELECT GREATEST((SELECT IFNULL(MAX(id), 0) FROM sync_queue), (SELECT IFNULL(MAX(high_id), 0) FROM sync_epoch))", DB_NO_ARGS, &high, NULL, e))
		return false;
	(void)snprintf(sql, sizeof sql, "DO SETVAL(sync_sequence, %llu)", (unsigned long long)high); /* forward only */
	return high == 0 || db_exec(db, sql, DB_NO_ARGS, e);
}

/* Routines and triggers keep the sql_mode of the session that creates them. */
bool
schema_renew(struct db *db, struct err *e)
{
	return db_exec(db, "SET sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'", DB_NO_ARGS, e) && create_objects(db, e);
}

bool
schema_install(struct db *db, const struct conf *conf, bool *created, struct err *e)
{
	const char *name = conf->database.sync_database;
	uint64_t nodes = 0;

	*created = false;
	if (!db_use(db, name, e)) {
		if (e->code != ERR_DB_MISSING && e->code != ERR_DB_ACCESS)
			return false;
		if (!create_database(db, name, e))
			return err_prefix(e, "creating database %s (create it and give [database] user all privileges on it)", name);
		if (!db_use(db, name, e))
			return false;
	}
	if (!refuse_loss(db, conf, e))
		return false;
	if (!schema_renew(db, e) || !advance_sequence(db, e))
		return err_prefix(e, "installing the sync schema %s", name);
	if (!db_number(db, "SELECT COUNT(*) FROM sync_node", DB_NO_ARGS, &nodes, NULL, e))
		return false;
	*created = nodes == 0;
	return nodes == 0 ? give_identity(db, conf, e) : upgrade(db, conf, e);
}

bool
schema_drop(struct db *db, const struct conf *conf, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, 1024);
	buf_str(&sql, "DROP DATABASE IF EXISTS ");
	db_quote_name(&sql, conf->database.sync_database);
	ok = buf_check(&sql, "a statement", e) && db_exec_text(db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok;
}

static bool
not_installed(const struct conf *conf, struct err *e)
{
	return err_set(e, ERR_DB_MISSING, "the sync schema %s is missing or incomplete: run agent --install", conf->database.sync_database);
}

/* What can wait for the next --install: notices are not sent, the rate of contents is not shown. And what no agent was
 * ever without: where that is gone every write of the app fails, which --check has to say. */
static bool
is_spared(const char *name, size_t len)
{
	static const char *const spared[] = { "sync_notice", "sync_carried", "sync_queue", "sync_sequence" };

	for (size_t i = 0; i < sizeof spared / sizeof spared[0]; i++)
		if (strlen(spared[i]) == len && memcmp(spared[i], name, len) == 0)
			return true;
	return false;
}

/* How many tables sql/install.order names, and their names in quotes. */
static size_t
put_tables(struct buf *out)
{
	static const char prefix[] = "sync_";
	const struct asset *order = asset_find("sql/install.order");
	size_t n = 0;

	for (const char *p = order == NULL ? "" : (const char *)order->data; *p != '\0';) {
		size_t len = strcspn(p, "\n");

		if (strncmp(p, prefix, sizeof prefix - 1) == 0 && !is_spared(p, len))
			buf_fmt(out, "%s'%.*s'", n++ == 0 ? "" : ",", (int)len, p);
		p += len;
		p += strspn(p, "\n");
	}
	return n;
}

/* Tables that came without altering what a version had: an agent that was replaced by this one made none. */
static bool
has_newest(struct db *db, const struct conf *conf, struct err *e)
{
	uint64_t there = 0;
	struct buf sql;
	size_t n;
	bool ok;

	buf_init(&sql, TABLES_SQL_MAX);
	buf_str(&sql, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME IN (");
	n = put_tables(&sql);
	buf_char(&sql, ')');
	ok = buf_check(&sql, "a statement", e) && db_number(db, buf_cstr(&sql), DB_NO_ARGS, &there, NULL, e);
	buf_free(&sql);
	if (!ok)
		return false;
	return there == n || err_set(e, ERR_CONFIG, "the sync schema %s was made by an older agent: run agent --install; what is pending stays", conf->database.sync_database);
}

bool
schema_enter(struct db *db, const struct conf *conf, struct node_identity *node, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = false;

	if (!db_use(db, conf->database.sync_database, e) ||
	    !db_query(db, "SELECT name, incarnation, token, schema_version FROM sync_node", DB_NO_ARGS, &rows, e) ||
	    !db_rows_next(rows, &more, e)) {
		if (e->code == ERR_DB_MISSING)
			(void)not_installed(conf, e);
		goto out;
	}
	if (!more) {
		(void)not_installed(conf, e);
		goto out;
	}
	(void)snprintf(node->name, sizeof node->name, "%s", db_rows_text(rows, 0));
	(void)snprintf(node->incarnation, sizeof node->incarnation, "%s", db_rows_text(rows, 1));
	(void)snprintf(node->token, sizeof node->token, "%s", db_rows_text(rows, 2));
	if (db_rows_u64(rows, 3) != SCHEMA_VERSION)
		ok = err_set(e, ERR_CONFIG, "the sync schema %s has version %llu, this agent works with %d: run agent --install",
		    conf->database.sync_database, (unsigned long long)db_rows_u64(rows, 3), SCHEMA_VERSION);
	else if (strcmp(node->name, conf->node.name) != 0)
		ok = err_set(e, ERR_CONFIG, "the sync schema %s belongs to node '%s', [node] name says '%s': give it its old name, or --uninstall first",
		    conf->database.sync_database, node->name, conf->node.name);
	else
		ok = true;
out:
	db_rows_free(rows);
	return ok && has_newest(db, conf, e);
}
