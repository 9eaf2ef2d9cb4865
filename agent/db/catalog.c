/* Reading information_schema. Lives here: what tables are like. Not here: what is done about it
 * (capture/trigger installs, app/verbs reports). */
#include "db/catalog.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
	CATALOG_PROBLEM_MAX = 512 /* a problem's text: names of 64 characters in it */
};

/* --- small helpers --- */

static char *
copy(const char *text)
{
	return strdup(text == NULL ? "" : text);
}

static bool
no_memory(struct err *e)
{
	return err_set(e, ERR_MEMORY, "out of memory for the list of tables");
}

static void
set_problem(struct table *t, const char *problem, const char *remedy)
{
	if (t->problem != NULL)
		return; /* the first one is the one to mend first */
	t->problem = copy(problem);
	t->remedy = copy(remedy);
}

static int
by_name(const void *a, const void *b)
{
	const struct table *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct table *
find(const struct catalog *c, const char *name)
{
	struct table key = { 0 };
	const void *found;

	memcpy(&key.name, &name, sizeof name); /* only read by by_name */
	if (c->ntables == 0)
		return NULL;
	found = bsearch(&key, c->tables, c->ntables, sizeof key, by_name);
	return found == NULL ? NULL : &c->tables[(const struct table *)found - c->tables];
}

const struct table *
catalog_table(const struct catalog *c, const char *name)
{
	return find(c, name);
}

bool
table_column(const struct table *t, const char *name, size_t len, size_t *at)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (strlen(t->columns[i].name) == len && memcmp(t->columns[i].name, name, len) == 0) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* --- tables --- */

static const char sql_tables[] =
    "SELECT TABLE_NAME, TABLE_TYPE, IFNULL(ENGINE,'') FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA=? ORDER BY TABLE_NAME";

static void
judge_table(struct table *t, const char *type, const char *engine)
{
	char text[128];

	t->view = strcmp(type, "VIEW") == 0;
	if (t->view)
		set_problem(t, "is a view", "nothing to do: the tables below it are replicated");
	else if (strcmp(type, "SEQUENCE") == 0)
		set_problem(t, "is a sequence", "sequences are not replicated; give each laptop its own range, and add it to [sync] exclude");
	else if (strcmp(type, "BASE TABLE") != 0 && strcmp(type, "SYSTEM VERSIONED") != 0)
		set_problem(t, "is not a plain table", "add it to [sync] exclude");
	else if (strcmp(engine, "InnoDB") != 0) {
		(void)snprintf(text, sizeof text, "uses the engine %s, whose writes do not roll back", engine);
		set_problem(t, text, "ALTER TABLE it to ENGINE=InnoDB, or add it to [sync] exclude");
	}
}

static bool
read_tables(struct db *db, const struct conf *conf, struct catalog *c, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = false;

	if (!db_query(db, sql_tables, DB_ARGS(db_text(conf->database.name)), &rows, e))
		return false;
	c->tables = calloc(db_rows_count(rows) + 1, sizeof *c->tables);
	if (c->tables == NULL) {
		(void)no_memory(e);
		goto out;
	}
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct table *t = &c->tables[c->ntables];

		if (!conf_wants_table(conf, db_rows_text(rows, 0)))
			continue;
		t->name = copy(db_rows_text(rows, 0));
		if (t->name == NULL) {
			ok = no_memory(e);
			goto out;
		}
		c->ntables++;
		judge_table(t, db_rows_text(rows, 1), db_rows_text(rows, 2));
	}
	qsort(c->tables, c->ntables, sizeof *c->tables, by_name);
out:
	db_rows_free(rows);
	return ok;
}

/* --- columns --- */

static bool
is_one_of(const char *word, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

bool
catalog_kind(const char *data_type, const char *charset, enum column_kind *kind)
{
	static const char *const utf8[] = { "utf8mb4", "utf8mb3", "utf8", "ascii", NULL };
	static const struct {
		enum column_kind kind;
		const char *types[16];
	} known[] = {
		{ COLUMN_PLAIN, { "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "double", "date", "time",
				    "datetime", "year" } },
		{ COLUMN_FLOAT, { "float" } },
		{ COLUMN_BIT, { "bit" } },
		{ COLUMN_TIMESTAMP, { "timestamp" } },
		{ COLUMN_CHOICE, { "enum", "set" } },
		{ COLUMN_TYPED, { "uuid", "inet4", "inet6" } },
		{ COLUMN_TEXT, { "char", "varchar", "tinytext", "text", "mediumtext", "longtext" } },
		{ COLUMN_BYTES, { "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob" } },
		{ COLUMN_BYTES, { "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
				    "multipolygon", "geometrycollection" } },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!is_one_of(data_type, known[i].types))
			continue;
		*kind = known[i].kind;
		if (*kind == COLUMN_TEXT && !is_one_of(charset, utf8))
			*kind = COLUMN_CHARS;
		return true;
	}
	return false;
}

static const char sql_columns[] =
    "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IFNULL(CHARACTER_SET_NAME,''),"
    " IFNULL(COLLATION_NAME,''), IFNULL(GENERATION_EXPRESSION,''),"
    " IFNULL(CHARACTER_OCTET_LENGTH,0), EXTRA, IS_NULLABLE='YES', IFNULL(NUMERIC_SCALE,0)"
    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? ORDER BY TABLE_NAME, ORDINAL_POSITION";

/* Each side computes its own; when its row began and ended belongs to each side's own history. */
static bool
pass_generated(struct table *t, const struct db_rows *rows, struct err *e)
{
	if (strcmp(db_rows_text(rows, 6), "ROW END") != 0)
		return true;
	t->row_end = copy(db_rows_text(rows, 1));
	return t->row_end != NULL || no_memory(e);
}

static void
judge_type(struct table *t, struct column *col, const char *data_type)
{
	char text[CATALOG_PROBLEM_MAX];

	if (catalog_kind(data_type, col->charset, &col->kind))
		return;
	(void)snprintf(text, sizeof text, "has the column %.256s of the type %.64s, which this version does not know", col->name, data_type);
	set_problem(t, text, "give the column another type, or add the table to [sync] exclude");
}

static struct column *
new_column(struct table *t, struct err *e)
{
	struct column *grown;

	if (t->ncolumns == CATALOG_COLUMNS) {
		(void)err_set(e, ERR_LIMIT, "table %s has more than %d columns", t->name, CATALOG_COLUMNS);
		return NULL;
	}
	grown = realloc(t->columns, (t->ncolumns + 1) * sizeof *grown);
	if (grown == NULL) {
		(void)no_memory(e);
		return NULL;
	}
	t->columns = grown;
	grown += t->ncolumns++;
	memset(grown, 0, sizeof *grown);
	return grown;
}

static bool
add_column(struct table *t, const struct db_rows *rows, struct err *e)
{
	static const char *const integers[] = { "tinyint", "smallint", "mediumint", "int", "bigint", NULL };
	const char *data_type = db_rows_text(rows, 3);
	struct column *col;
	struct buf type;

	if (db_rows_text(rows, 6)[0] != '\0')
		return pass_generated(t, rows, e);
	col = new_column(t, e);
	if (col == NULL)
		return false;
	buf_init(&type, 1024 * 1024);
	buf_str(&type, db_rows_text(rows, 2));
	if (db_rows_text(rows, 5)[0] != '\0')
		buf_fmt(&type, " %s", db_rows_text(rows, 5));
	col->name = copy(db_rows_text(rows, 1));
	col->type = type.failed ? NULL : copy(buf_cstr(&type)); /* another type here than there would hold back the table alone */
	col->charset = copy(db_rows_text(rows, 4));
	col->collation = copy(db_rows_text(rows, 5));
	buf_free(&type);
	if (col->name == NULL || col->type == NULL || col->charset == NULL || col->collation == NULL)
		return no_memory(e);
	col->octets = (size_t)db_rows_u64(rows, 7);
	col->integer = is_one_of(data_type, integers);
	col->choose_one = strcmp(data_type, "enum") == 0;
	col->nullable = db_rows_u64(rows, 9) == 1;
	col->stamped = strstr(db_rows_text(rows, 8), "on update") != NULL;
	col->exact = col->integer || strcmp(data_type, "decimal") == 0;
	col->scale = (unsigned)db_rows_u64(rows, 10);
	if (strstr(db_rows_text(rows, 8), "auto_increment") != NULL)
		t->auto_increment = true;
	judge_type(t, col, data_type);
	return true;
}

static bool
read_columns(struct db *db, struct catalog *c, struct err *e)
{
	struct db_rows *rows = NULL;
	struct table *t = NULL;
	bool more = false, ok = false;

	if (!db_query(db, sql_columns, DB_ARGS(db_text(c->database)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		if (t == NULL || strcmp(t->name, db_rows_text(rows, 0)) != 0)
			t = find(c, db_rows_text(rows, 0));
		if (t != NULL && !(ok = add_column(t, rows, e)))
			break;
	}
	db_rows_free(rows);
	return ok;
}

/* --- primary keys --- */

static const char sql_keys[] =
    "SELECT TABLE_NAME, COLUMN_NAME, IFNULL(SUB_PART,'') FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA=? AND INDEX_NAME='PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX";

static void
add_key_column(struct table *t, const char *name, const char *prefix)
{
	size_t at;

	if (t->row_end != NULL && strcmp(t->row_end, name) == 0)
		return; /* the same in every current row; the server put it there */
	if (!table_column(t, name, strlen(name), &at)) {
		set_problem(t, "has a generated column in its primary key", "use a plain column as key, or add the table to [sync] exclude");
		return;
	}
	if (prefix[0] != '\0')
		set_problem(t, "has only a prefix of a column in its primary key", "put the whole column into the key, or add the table to [sync] exclude");
	assert(t->nkey < CATALOG_KEY_COLUMNS);
	t->columns[at].in_key = true;
	t->key[t->nkey++] = at;
}

static bool
read_keys(struct db *db, struct catalog *c, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_keys, DB_ARGS(db_text(c->database)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct table *t = find(c, db_rows_text(rows, 0));

		if (t != NULL && t->nkey < CATALOG_KEY_COLUMNS)
			add_key_column(t, db_rows_text(rows, 1), db_rows_text(rows, 2));
	}
	db_rows_free(rows);
	for (size_t i = 0; i < c->ntables; i++) {
		/* A DELETE by such a key, or two of them in one SELECT, bring MariaDB 10.11 down; 31 do not. */
		if (c->tables[i].nkey == CATALOG_KEY_COLUMNS)
			set_problem(&c->tables[i], "has 32 columns in its primary key, which crashes the server", "use a shorter key, or add the table to [sync] exclude");
		if (c->tables[i].nkey == 0)
			set_problem(&c->tables[i], "has no primary key", "give it one (ALTER TABLE ... ADD PRIMARY KEY), or add it to [sync] exclude");
	}
	return ok;
}

/* --- the rule for conflicts --- */

/* One name of [table] add. */
static void
judge_counter(struct table *t, const char *name, size_t len)
{
	static const char remedy[] = "name plain whole or DECIMAL columns outside the primary key, or take it out of [table] add";
	char text[CATALOG_PROBLEM_MAX];
	const char *why = NULL;
	size_t at;

	if (!table_column(t, name, len, &at))
		why = "which it does not have (a generated column does not count)";
	else if (!t->columns[at].exact)
		why = "whose values are not exact numbers";
	else if (t->columns[at].in_key)
		why = "which belongs to its primary key";
	if (why != NULL) {
		(void)snprintf(text, sizeof text, "is to add up the column %.*s, %s", (int)(len > 256 ? 256 : len), name, why);
		set_problem(t, text, remedy);
		return;
	}
	t->ncounters += !t->columns[at].counts;
	t->columns[at].counts = true;
}

static void
judge_counters(struct table *t, const char *list)
{
	for (const char *p = list; *p != '\0';) {
		size_t n;

		p += strspn(p, ", \t");
		n = strcspn(p, ",");
		while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
			n--;
		if (n > 0)
			judge_counter(t, p, n);
		p += strcspn(p, ",");
	}
}

static void
judge_rules(const struct conf *conf, struct catalog *c)
{
	for (size_t i = 0; i < c->ntables; i++) {
		struct table *t = &c->tables[i];
		const struct conf_table *section = conf_table(conf, t->name);
		struct conf_rule rule;

		conf_rule(conf, t->name, &rule);
		t->policy = rule.policy;
		(void)snprintf(t->preferred, sizeof t->preferred, "%s", rule.node);
		if (section != NULL)
			judge_counters(t, section->add);
		if (t->ncounters > 0 && (t->policy == POLICY_PREFER || t->policy == POLICY_MANUAL))
			set_problem(t, "is to add up columns, which does not go together with conflict = prefer or manual", "choose conflict = newer or merge for it, or take add out");
		for (size_t k = 0; k < t->ncolumns; k++)
			t->stamped = t->stamped || (t->columns[k].stamped && !t->columns[k].in_key);
	}
}

/* The counter that follows in the order of names: the columns may stand in another order there. NULL: none. */
static const char *
next_counter(const struct table *t, const char *after)
{
	const char *next = NULL;

	for (size_t i = 0; t->ncounters > 0 && i < t->ncolumns; i++) {
		const struct column *col = &t->columns[i];

		if (col->counts && strcmp(col->name, after) > 0 && (next == NULL || strcmp(col->name, next) < 0))
			next = col->name;
	}
	return next;
}

void
table_rule(const struct table *t, struct buf *out)
{
	static const char *const name[] = { [POLICY_NEWER] = "newer", [POLICY_PREFER] = "prefer ", [POLICY_MERGE] = "merge", [POLICY_MANUAL] = "manual" };
	const char *between = ", add = ";

	buf_fmt(out, "%s%s", name[t->policy], t->preferred);
	for (const char *c = next_counter(t, ""); c != NULL; c = next_counter(t, c)) {
		buf_fmt(out, "%s%s", between, c);
		between = ", ";
	}
}

/* --- checks --- */

static const char sql_checks[] =
    "SELECT TABLE_NAME, CONV(LEFT(MD5(CHECK_CLAUSE),16),16,10) FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA=?";

static bool
read_checks(struct db *db, struct catalog *c, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_checks, DB_ARGS(db_text(c->database)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		struct table *t = find(c, db_rows_text(rows, 0));

		if (t != NULL)
			t->checks += db_rows_u64(rows, 1);
	}
	db_rows_free(rows);
	return ok;
}

/* --- foreign keys and order --- */

static const char sql_foreign_keys[] =
    "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.REFERENCED_TABLE_NAME, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME,"
    " r.DELETE_RULE, r.UPDATE_RULE, k.REFERENCED_TABLE_SCHEMA=k.TABLE_SCHEMA"
    " FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r"
    " ON r.CONSTRAINT_SCHEMA=k.CONSTRAINT_SCHEMA AND r.TABLE_NAME=k.TABLE_NAME AND r.CONSTRAINT_NAME=k.CONSTRAINT_NAME"
    " WHERE k.TABLE_SCHEMA=? AND k.REFERENCED_TABLE_NAME IS NOT NULL"
    " ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";

static enum fk_action
action_of(const char *rule)
{
	if (strcmp(rule, "CASCADE") == 0)
		return FK_CASCADE;
	return strcmp(rule, "SET NULL") == 0 ? FK_SET_NULL : FK_RESTRICT;
}

static struct foreign_key *
new_key(struct catalog *c, const struct db_rows *rows, struct err *e)
{
	struct foreign_key *grown = realloc(c->keys, (c->nkeys + 1) * sizeof *grown), *k;

	if (grown == NULL) {
		(void)no_memory(e);
		return NULL;
	}
	c->keys = grown;
	k = &grown[c->nkeys];
	memset(k, 0, sizeof *k);
	c->nkeys++;
	k->child = copy(db_rows_text(rows, 0));
	k->name = copy(db_rows_text(rows, 1));
	k->parent = copy(db_rows_text(rows, 2));
	k->on_delete = action_of(db_rows_text(rows, 5));
	k->on_update = action_of(db_rows_text(rows, 6));
	k->columns = calloc(CATALOG_KEY_COLUMNS, sizeof *k->columns);
	k->referenced = calloc(CATALOG_KEY_COLUMNS, sizeof *k->referenced);
	if (k->child != NULL && k->name != NULL && k->parent != NULL && k->columns != NULL && k->referenced != NULL)
		return k;
	(void)no_memory(e);
	return NULL;
}

/* A parent in another database carries no trigger of ours: what it does to its children is not seen. */
static void
judge_foreign_parent(struct catalog *c, const struct db_rows *rows)
{
	struct table *t = find(c, db_rows_text(rows, 0));

	if (t != NULL && (action_of(db_rows_text(rows, 5)) != FK_RESTRICT || action_of(db_rows_text(rows, 6)) != FK_RESTRICT))
		set_problem(t, "is changed by a foreign key to a table of another database",
		    "make that foreign key ON DELETE RESTRICT ON UPDATE RESTRICT, or add the table to [sync] exclude");
}

static bool
take_key_column(struct catalog *c, const struct db_rows *rows, struct err *e)
{
	struct foreign_key *k = c->nkeys == 0 ? NULL : &c->keys[c->nkeys - 1];

	if (db_rows_u64(rows, 7) == 0) {
		judge_foreign_parent(c, rows);
		return true;
	}
	if (k == NULL || strcmp(k->child, db_rows_text(rows, 0)) != 0 || strcmp(k->name, db_rows_text(rows, 1)) != 0)
		k = new_key(c, rows, e);
	if (k == NULL)
		return false;
	if (k->ncolumns == CATALOG_KEY_COLUMNS)
		return err_set(e, ERR_LIMIT, "foreign key %s has more than %d columns", k->name, CATALOG_KEY_COLUMNS);
	k->columns[k->ncolumns] = copy(db_rows_text(rows, 3));
	k->referenced[k->ncolumns] = copy(db_rows_text(rows, 4));
	k->ncolumns++;
	return (k->columns[k->ncolumns - 1] != NULL && k->referenced[k->ncolumns - 1] != NULL) || no_memory(e);
}

static bool
add_parent(struct catalog *c, struct table *t, const char *parent_name, struct err *e)
{
	const struct table *parent = find(c, parent_name);
	size_t *grown;

	if (parent == NULL)
		return true; /* not replicated: no order to keep */
	if (parent == t) {
		t->self_reference = true;
		return true;
	}
	for (size_t i = 0; i < t->nparents; i++)
		if (t->parents[i] == (size_t)(parent - c->tables))
			return true;
	grown = realloc(t->parents, (t->nparents + 1) * sizeof *grown);
	if (grown == NULL)
		return no_memory(e);
	t->parents = grown;
	t->parents[t->nparents++] = (size_t)(parent - c->tables);
	return true;
}

static bool
read_foreign_keys(struct db *db, struct catalog *c, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, sql_foreign_keys, DB_ARGS(db_text(c->database)), &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more)
		if (!(ok = take_key_column(c, rows, e)))
			break;
	db_rows_free(rows);
	for (size_t i = 0; ok && i < c->nkeys; i++) {
		struct table *t = find(c, c->keys[i].child);

		ok = t == NULL || add_parent(c, t, c->keys[i].parent, e);
	}
	return ok;
}

/* Raise ranks until every child stands above its parents. A circle never settles: after as many
 * rounds as there are tables the rest keeps what it has (records that wait for a parent are tried
 * again at the end of a group). */
static void
rank_tables(struct catalog *c)
{
	bool moved = true;

	for (size_t round = 0; moved && round < c->ntables; round++) {
		moved = false;
		for (size_t i = 0; i < c->ntables; i++) {
			struct table *t = &c->tables[i];

			for (size_t p = 0; p < t->nparents; p++) {
				size_t above = c->tables[t->parents[p]].rank + 1;

				if (t->rank < above && above <= c->ntables) {
					t->rank = above;
					moved = true;
				}
			}
		}
	}
}

static bool
order_tables(struct catalog *c, struct err *e)
{
	size_t n = 0;

	rank_tables(c);
	c->order = calloc(c->ntables + 1, sizeof *c->order);
	if (c->order == NULL)
		return no_memory(e);
	for (size_t rank = 0; rank <= c->ntables; rank++)
		for (size_t i = 0; i < c->ntables; i++)
			if (c->tables[i].rank == rank)
				c->order[n++] = i;
	assert(n == c->ntables);
	return true;
}

/* --- whole --- */

/* One number over all definitions: cheaper than reading them. Each question is answered by the server's own
 * dictionary; triggers are nobody's business here, and times of creation are not asked for, since they count
 * only seconds. */
static const char sql_fingerprint[] =
    "SELECT (SELECT IFNULL(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, COLUMN_KEY, EXTRA, GENERATION_EXPRESSION, IS_NULLABLE))), 0)"
    " + COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=d.name)"
    " + (SELECT IFNULL(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, TABLE_TYPE, ENGINE))), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA=d.name)"
    " + (SELECT IFNULL(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, COLUMN_NAME, SEQ_IN_INDEX, SUB_PART))), 0) FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA=d.name AND INDEX_NAME='PRIMARY')"
    " + (SELECT IFNULL(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME))), 0)"
    " FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA=d.name AND REFERENCED_TABLE_NAME IS NOT NULL)"
    " + (SELECT IFNULL(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE))), 0)"
    " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA=d.name)"
    " + (SELECT IFNULL(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, CHECK_CLAUSE))), 0) FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA=d.name)"
    " FROM (SELECT ? name) d";

static bool
fingerprint(struct db *db, const struct conf *conf, uint64_t *out, struct err *e)
{
	return db_number(db, sql_fingerprint, DB_ARGS(db_text(conf->database.name)), out, NULL, e);
}

bool
catalog_refresh(struct db *db, const struct conf *conf, struct catalog **c, struct err *e)
{
	int64_t now_ms = clock_mono_ms();
	uint64_t now;

	if (*c != NULL && now_ms - (*c)->checked_ms < CATALOG_TRUST_MS)
		return true;
	if (!fingerprint(db, conf, &now, e))
		return false;
	if (*c != NULL && (*c)->fingerprint == now) {
		(*c)->checked_ms = now_ms;
		return true;
	}
	catalog_free(*c);
	*c = NULL;
	if (!catalog_read(db, conf, c, e))
		return false;
	(*c)->fingerprint = now;
	(*c)->checked_ms = now_ms;
	return true;
}

void
catalog_doubt(struct catalog *c)
{
	if (c != NULL)
		c->checked_ms -= CATALOG_TRUST_MS;
}

bool
catalog_read(struct db *db, const struct conf *conf, struct catalog **out, struct err *e)
{
	struct catalog *c = calloc(1, sizeof *c);

	*out = NULL;
	if (c == NULL || (c->database = copy(conf->database.name)) == NULL) {
		catalog_free(c);
		return no_memory(e);
	}
	c->guarded_ms = -1;
	if (!read_tables(db, conf, c, e) || !read_columns(db, c, e) || !read_keys(db, c, e))
		goto fail;
	judge_rules(conf, c);
	if (!read_checks(db, c, e) || !read_foreign_keys(db, c, e) || !order_tables(c, e))
		goto fail;
	*out = c;
	return true;
fail:
	catalog_free(c);
	return err_prefix(e, "reading the tables of database %s", conf->database.name);
}

static void
table_free(struct table *t)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		free(t->columns[i].name);
		free(t->columns[i].type);
		free(t->columns[i].charset);
		free(t->columns[i].collation);
	}
	free(t->columns);
	free(t->parents);
	free(t->name);
	free(t->row_end);
	free(t->problem);
	free(t->remedy);
}

static void
foreign_key_free(struct foreign_key *k)
{
	for (size_t i = 0; i < k->ncolumns; i++) {
		free(k->columns[i]);
		free(k->referenced[i]);
	}
	free(k->columns);
	free(k->referenced);
	free(k->name);
	free(k->child);
	free(k->parent);
}

void
catalog_free(struct catalog *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->nkeys; i++)
		foreign_key_free(&c->keys[i]);
	free(c->keys);
	for (size_t i = 0; i < c->ntables; i++)
		table_free(&c->tables[i]);
	free(c->tables);
	free(c->order);
	free(c->database);
	free(c);
}
