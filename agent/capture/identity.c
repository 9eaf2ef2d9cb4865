/* Facts about tables. Lives here: reading, noting and comparing them. Not here: what is done about a
 * difference (sync/drift), what triggers should be like (capture/trigger). */
#include "capture/identity.h"

#include <stdlib.h>
#include <string.h>

#include "capture/definer.h"

static int
by_table(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;

	return strcmp(x->table, y->table);
}

const struct identity *
identity_find(const struct identity_list *l, const char *table)
{
	struct identity key = { 0 };

	memcpy(&key.table, &table, sizeof table); /* only read by by_table */
	return l->n == 0 ? NULL : bsearch(&key, l->items, l->n, sizeof key, by_table);
}

void
identity_free(struct identity_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->items[i].table);
		free(l->items[i].ids);
		free(l->items[i].created);
		free(l->items[i].triggers);
		free(l->items[i].key);
	}
	for (size_t i = 0; i < l->nbare; i++) {
		free(l->bare[i].table);
		free(l->bare[i].triggers);
	}
	free(l->bare);
	free(l->items);
	memset(l, 0, sizeof *l);
}

/* Room for n tables. */
static bool
make_room(struct identity_list *l, size_t n, struct err *e)
{
	memset(l, 0, sizeof *l);
	l->items = calloc(n + 1, sizeof *l->items);
	return l->items != NULL || err_set(e, ERR_MEMORY, "out of memory for the tables' identities");
}

static bool
set_text(char **to, const char *text, struct err *e)
{
	free(*to);
	*to = strdup(text == NULL ? "" : text);
	return *to != NULL || err_set(e, ERR_MEMORY, "out of memory for the tables' identities");
}

/* --- as the server says --- */

/* The ids that belong to a table: "t=18" or "t#P#p0=20/t#P#p1=21". Names are in the spelling of files,
 * which knows neither '/', '=' nor '#'. */
static bool
find_ids(const char *all, const char *file, char **out, struct err *e)
{
	size_t len = strlen(file);
	struct buf ids;
	bool ok;

	buf_init(&ids, IDENTITY_TEXT_MAX);
	for (const char *at = all; at != NULL && *at != '\0';) {
		const char *end = strchr(at, '/');
		size_t n = end == NULL ? strlen(at) : (size_t)(end - at);

		if (n > len && strncmp(at, file, len) == 0 && (at[len] == '=' || at[len] == '#')) {
			if (ids.len > 0)
				buf_char(&ids, '/');
			buf_put(&ids, at + len, n - len);
		}
		at = end == NULL ? NULL : end + 1;
	}
	ok = buf_check(&ids, "the ids of a table", e) && set_text(out, buf_cstr(&ids), e);
	buf_free(&ids);
	return ok;
}

static const char sql_tables[] =
    "SELECT TABLE_NAME, CAST(CONVERT(TABLE_NAME USING filename) AS BINARY), CREATE_TIME FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA=? AND TABLE_TYPE<>'VIEW' AND TABLE_TYPE<>'SEQUENCE' ORDER BY BINARY TABLE_NAME";

static bool
take_tables(struct identity_list *l, const struct conf *conf, const char *ids, struct db_rows *rows, struct err *e)
{
	bool more = false, ok;

	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct identity *to = &l->items[l->n];

		if (!conf_wants_table(conf, db_rows_text(rows, 0)))
			continue;
		l->n++;
		if (!set_text(&to->table, db_rows_text(rows, 0), e) || !find_ids(ids, db_rows_text(rows, 1), &to->ids, e) ||
		    !set_text(&to->created, db_rows_text(rows, 2), e) || !set_text(&to->triggers, "", e) || !set_text(&to->key, "", e))
			return false;
	}
	return ok;
}

static bool
read_tables(struct db *db, const struct conf *conf, const char *ids, struct identity_list *l, struct err *e)
{
	struct db_rows *rows = NULL;
	bool ok;

	if (!db_query(db, sql_tables, DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	ok = make_room(l, db_rows_count(rows), e) && take_tables(l, conf, ids, rows, e);
	db_rows_free(rows);
	l->ids_known = ids[0] != '\0';
	return ok;
}

static struct identity *
find_mine(struct identity_list *l, const char *table)
{
	const struct identity *found = identity_find(l, table);

	return found == NULL ? NULL : &l->items[found - l->items];
}

static const char sql_columns[] =
    "SELECT TABLE_NAME, SUM(CRC32(CONCAT_WS('|', ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, COLUMN_KEY, EXTRA, GENERATION_EXPRESSION)))"
    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? GROUP BY BINARY TABLE_NAME";
static const char sql_checks[] =
    "SELECT TABLE_NAME, SUM(CRC32(CONCAT_WS('|', CONSTRAINT_NAME, CHECK_CLAUSE))) FROM information_schema.CHECK_CONSTRAINTS"
    " WHERE CONSTRAINT_SCHEMA=? GROUP BY BINARY TABLE_NAME";
static const char sql_references[] =
    "SELECT TABLE_NAME, SUM(CRC32(CONCAT_WS('|', CONSTRAINT_NAME, REFERENCED_TABLE_NAME, UNIQUE_CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE)))"
    " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA=? GROUP BY BINARY TABLE_NAME";

static bool
add_sums(struct db *db, const char *sql, const struct conf *conf, struct identity_list *l, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql, DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct identity *to = find_mine(l, db_rows_text(rows, 0));

		if (to != NULL)
			to->columns += db_rows_u64(rows, 1);
	}
	db_rows_free(rows);
	return ok;
}

static bool
read_columns(struct db *db, const struct conf *conf, struct identity_list *l, struct err *e)
{
	return add_sums(db, sql_columns, conf, l, e) && add_sums(db, sql_checks, conf, l, e) && add_sums(db, sql_references, conf, l, e);
}

static const char sql_triggers[] =
    "SELECT EVENT_OBJECT_TABLE, CONCAT_WS(' ', TRIGGER_NAME, CREATED, DEFINER, MD5(ACTION_STATEMENT), SQL_MODE) FROM information_schema.TRIGGERS"
    " WHERE TRIGGER_SCHEMA=? AND TRIGGER_NAME LIKE 'tandem\\_%' ORDER BY BINARY TRIGGER_NAME";

static bool
add_trigger(struct identity *to, const char *text, struct err *e)
{
	struct buf all;
	bool ok;

	buf_init(&all, IDENTITY_TEXT_MAX);
	buf_fmt(&all, "%s%s\n", to->triggers, text);
	ok = buf_check(&all, "a table's triggers", e) && set_text(&to->triggers, buf_cstr(&all), e);
	buf_free(&all);
	return ok;
}

static struct identity *
find_bare(struct identity_list *l, const char *table, struct err *e)
{
	struct identity *grown;

	for (size_t i = 0; i < l->nbare; i++)
		if (strcmp(l->bare[i].table, table) == 0)
			return &l->bare[i];
	grown = realloc(l->bare, (l->nbare + 1) * sizeof *grown);
	if (grown == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for the tables' identities");
		return NULL;
	}
	l->bare = grown;
	grown += l->nbare++;
	memset(grown, 0, sizeof *grown);
	return set_text(&grown->table, table, e) && set_text(&grown->triggers, "", e) ? grown : NULL;
}

static bool
read_triggers(struct db *db, const struct conf *conf, struct identity_list *l, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_triggers, DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct identity *to = find_mine(l, db_rows_text(rows, 0));

		if (to == NULL)
			to = find_bare(l, db_rows_text(rows, 0), e);
		if (!(ok = to != NULL && add_trigger(to, db_rows_text(rows, 1), e)))
			break;
	}
	db_rows_free(rows);
	return ok;
}

/* Empty when the account that installed may not see them, or is gone. */
static bool
read_ids(struct db *db, const struct conf *conf, struct buf *ids, bool *orphan, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(db, "SET STATEMENT group_concat_max_len=67108864 FOR SELECT table_ids(?)", DB_ARGS(db_text(conf->database.name)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok && more && db_rows_text(rows, 0) != NULL)
		buf_str(ids, db_rows_text(rows, 0));
	db_rows_free(rows);
	*orphan = !ok && e->db_errno == DEFINER_GONE;
	if (*orphan || (!ok && e->code == ERR_DB_ACCESS)) {
		err_clear(e);
		return true;
	}
	return ok && buf_check(ids, "the ids of tables", e);
}

bool
identity_read(struct db *db, const struct conf *conf, unsigned what, struct identity_list *out, struct err *e)
{
	struct buf ids;
	bool orphan = false, ok;

	memset(out, 0, sizeof *out);
	buf_init(&ids, IDENTITY_TEXT_MAX);
	ok = read_ids(db, conf, &ids, &orphan, e) && read_tables(db, conf, buf_cstr(&ids), out, e) &&
	    ((what & IDENTITY_COLUMNS) == 0 || read_columns(db, conf, out, e)) && ((what & IDENTITY_TRIGGERS) == 0 || read_triggers(db, conf, out, e));
	buf_free(&ids);
	out->orphan = orphan;
	if (!ok)
		identity_free(out);
	return ok;
}

/* --- can triggers have changed? --- */

/* The server counts a statement when it begins, so one that waits for a lock is counted and has changed nothing yet: only
 * when nothing else runs the number stands for what can be read. The event scheduler always runs. */
static const char sql_statements[] =
    "SELECT SUM(IF(VARIABLE_NAME='THREADS_RUNNING', 0, VARIABLE_VALUE)),"
    " SUM(IF(VARIABLE_NAME='THREADS_RUNNING', VARIABLE_VALUE, 0)) <= 1 + (@@event_scheduler='ON'), (SELECT statements FROM sync_calm WHERE one=1)"
    " FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN ('THREADS_RUNNING','COM_CREATE_TRIGGER','COM_DROP_TRIGGER')";

bool
identity_is_calm(struct db *db, uint64_t *statements, bool *settled, bool *calm, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(db, sql_statements, DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);

	*settled = *calm = false;
	if (ok && more) {
		*statements = db_rows_u64(rows, 0);
		*settled = db_rows_u64(rows, 1) != 0;
		*calm = db_rows_text(rows, 2) != NULL && db_rows_u64(rows, 2) == *statements;
	}
	db_rows_free(rows);
	return ok;
}

bool
identity_note_calm(struct db *db, uint64_t statements, struct err *e)
{
	return db_exec(db, "REPLACE INTO sync_calm (one, statements) VALUES (1, ?)", DB_ARGS(db_u64(statements)), e);
}

bool
identity_take_triggers(struct identity_list *now, const struct identity_list *was, struct err *e)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct identity *noted = identity_find(was, now->items[i].table);

		if (noted != NULL && !set_text(&now->items[i].triggers, noted->triggers, e))
			return false;
	}
	return true;
}

/* --- as noted --- */

bool
identity_load(struct db *db, struct identity_list *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	if (!db_query(db, "SELECT table_name, ids, created, columns, triggers, key_columns, boundary, noted_at < NULLIF(created, '') + INTERVAL 2 SECOND FROM sync_identity ORDER BY table_name", DB_NO_ARGS, &rows, e))
		return false;
	ok = make_room(out, db_rows_count(rows), e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct identity *to = &out->items[out->n++];

		to->columns = db_rows_u64(rows, 3);
		to->boundary = db_rows_u64(rows, 6);
		out->young = out->young || db_rows_u64(rows, 7) != 0;
		ok = set_text(&to->table, db_rows_text(rows, 0), e) && set_text(&to->ids, db_rows_text(rows, 1), e) &&
		    set_text(&to->created, db_rows_text(rows, 2), e) && set_text(&to->triggers, db_rows_text(rows, 4), e) &&
		    set_text(&to->key, db_rows_text(rows, 5), e);
	}
	db_rows_free(rows);
	if (!ok)
		identity_free(out);
	return ok;
}

bool
identity_grown(struct db *db, struct err *e)
{
	return db_exec(db, "UPDATE sync_identity SET noted_at=NOW(6) WHERE noted_at < NULLIF(created, '') + INTERVAL 2 SECOND"
			   " AND NOW(6) >= NULLIF(created, '') + INTERVAL 2 SECOND", DB_NO_ARGS, e);
}

void
identity_put_key(struct buf *out, const struct table *t)
{
	for (size_t i = 0; i < t->nkey; i++)
		buf_fmt(out, "%s%s %s", i > 0 ? ", " : "", t->columns[t->key[i]].name, t->columns[t->key[i]].type);
}

bool
identity_note(struct db *db, const struct identity *now, const char *triggers, const char *key, struct err *e)
{
	return db_exec(db, "INSERT INTO sync_identity (table_name, ids, created, columns, key_columns, triggers) VALUES (?, ?, ?, ?, ?, ?)"
			   " ON DUPLICATE KEY UPDATE ids=VALUES(ids), created=IF(VALUES(created)='', created, VALUES(created)), columns=VALUES(columns), key_columns=VALUES(key_columns),"
			   " triggers=VALUES(triggers), noted_at=NOW(6)",
	    DB_ARGS(db_text(now->table), db_text(now->ids), db_text(now->created), db_u64(now->columns), db_text(key), db_text(triggers)), e);
}

bool
identity_forget(struct db *db, const char *table, struct err *e)
{
	return db_exec(db, "DELETE FROM sync_identity WHERE table_name=?", DB_ARGS(db_text(table)), e);
}

/* --- what it means --- */

bool
identity_knows_more(const struct identity *was, const struct identity *now)
{
	return (was->ids[0] == '\0' && now->ids[0] != '\0') || (was->created[0] == '\0' && now->created[0] != '\0');
}

static size_t
count(const char *text, char of)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == of;
	return n;
}

/* What one side does not know tells nothing. */
static bool
same_known(const char *was, const char *now)
{
	return was[0] == '\0' || now[0] == '\0' || strcmp(was, now) == 0;
}

static bool
same_ids(const struct identity *was, const struct identity *now)
{
	return same_known(was->ids, now->ids);
}

/* The server does not say when it could not open the table at that moment. */
static bool
same_age(const struct identity *was, const struct identity *now)
{
	return same_known(was->created, now->created);
}

static const char *
say_replaced(const struct identity *was, const struct identity *now)
{
	if (now->triggers[0] == '\0')
		return same_ids(was, now) && same_age(was, now) ? "its triggers were dropped" :
											"it was recreated or swapped: its triggers are gone";
	if (count(now->triggers, '\n') < count(was->triggers, '\n'))
		return "some of its triggers were dropped";
	return !same_age(was, now) || !same_ids(was, now) ? "it was recreated or restored from a dump: its triggers are not this agent's" :
							 "its triggers were altered or created anew by somebody else";
}

enum identity_change
identity_compare(const struct identity *was, const struct identity *now, const char **what)
{
	if (strcmp(was->triggers, now->triggers) != 0) {
		*what = say_replaced(was, now);
		return IDENTITY_REPLACED;
	}
	if (!same_age(was, now) || (now->columns != 0 && was->columns != now->columns)) {
		*what = now->columns != 0 && was->columns != now->columns ? "its definition was altered" : "it was altered, rebuilt or renamed";
		return IDENTITY_ALTERED;
	}
	if (!same_ids(was, now)) {
		*what = count(was->ids, '=') != count(now->ids, '=') ? "its partitions were altered" : "it was emptied (TRUNCATE), or its partitions were emptied or exchanged";
		return IDENTITY_TRUNCATED;
	}
	*what = "";
	return IDENTITY_SAME;
}
