/* Numbering of new rows. Lives here: reading, remembering and restoring a server's setting, and the plan
 * for several nodes. Not here: who tells whom (wire/message, sync/link), what is printed (app/doctor). */
#include "db/numbering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REMEDY_MAX = 1024
};

/* --- this server --- */

static const char sql_read[] = "SELECT @@global.auto_increment_increment, @@global.auto_increment_offset, @@global.lower_case_table_names";

static void
take(struct numbering *out, const struct db_rows *rows, size_t column)
{
	out->increment = db_rows_u64(rows, column);
	out->offset = db_rows_u64(rows, column + 1);
	out->letter_case = db_rows_u64(rows, column + 2);
}

bool
numbering_read(struct db *db, struct numbering *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, sql_read, DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		take(out, rows, 0);
	db_rows_free(rows);
	return ok;
}

static bool
is_same(const struct numbering *a, const struct numbering *b)
{
	return a->increment == b->increment && a->offset == b->offset && a->letter_case == b->letter_case;
}

/* --- remembering --- */

static const char sql_known[] = "SELECT auto_increment_increment, auto_increment_offset, lower_case_table_names FROM sync_numbering WHERE node=?";
static const char sql_note[] =
    "INSERT INTO sync_numbering (node, auto_increment_increment, auto_increment_offset, lower_case_table_names)"
    " VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE auto_increment_increment=VALUES(auto_increment_increment),"
    " auto_increment_offset=VALUES(auto_increment_offset), lower_case_table_names=VALUES(lower_case_table_names)";

bool
numbering_known(struct db *db, const char *node, struct numbering *out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	memset(out, 0, sizeof *out);
	ok = db_query(db, sql_known, DB_ARGS(db_text(node)), &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		take(out, rows, 0);
	db_rows_free(rows);
	return ok;
}

static bool
store(struct db *db, const char *node, const struct numbering *n, struct err *e)
{
	return db_exec(db, sql_note, DB_ARGS(db_text(node), db_u64(n->increment), db_u64(n->offset), db_u64(n->letter_case)), e);
}

bool
numbering_note(struct db *db, const char *peer, const struct numbering *n, struct err *e)
{
	struct numbering known;

	if (n->increment == 0)
		return true; /* an older agent does not tell */
	return numbering_known(db, peer, &known, e) && (is_same(&known, n) || store(db, peer, n, e));
}

/* --- keeping it over a restart --- */

/* Was the server started since we were here last? Says so once in each of its lives. */
static bool
is_another_life(struct db *db, bool *other, struct err *e)
{
	uint64_t n = 0;

	if (!db_number(db, "SELECT COUNT(*) FROM sync_life", DB_NO_ARGS, &n, NULL, e))
		return false;
	*other = n == 0;
	return true;
}

static bool
been_here(struct db *db, struct err *e)
{
	return db_exec(db, "INSERT IGNORE INTO sync_life VALUES (1)", DB_NO_ARGS, e);
}

static bool
restore(struct db *db, const struct numbering *want, enum numbering_state *state, struct err *e)
{
	*state = NUMBERING_RESTORED;
	if (db_exec(db, "SET GLOBAL auto_increment_increment=?, GLOBAL auto_increment_offset=?", DB_ARGS(db_u64(want->increment), db_u64(want->offset)), e))
		return been_here(db, e);
	if (e->code != ERR_DB_ACCESS)
		return false;
	err_clear(e);
	*state = NUMBERING_LOST; /* until a person sets it: this life of the server stays unseen */
	return true;
}

bool
numbering_keep(struct db *db, const char *node, enum numbering_state *state, struct numbering *is, struct err *e)
{
	struct numbering known;
	bool other;

	*state = NUMBERING_KEPT;
	if (!numbering_read(db, is, e) || !numbering_known(db, node, &known, e) || !is_another_life(db, &other, e))
		return false;
	if (other && is->increment <= 1 && known.increment > 1) {
		known.letter_case = is->letter_case;
		*is = known;
		return restore(db, is, state, e);
	}
	return (!other || been_here(db, e)) && (is_same(is, &known) || store(db, node, is, e));
}

/* --- the plan for several nodes --- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct numbered_node *)a)->name, ((const struct numbered_node *)b)->name);
}

/* One step for all: room for every node, and none has to go back. */
static uint64_t
plan_increment(const struct numbered_node *nodes, size_t n)
{
	uint64_t increment = n < 2 ? 2 : n;

	for (size_t i = 0; i < n; i++)
		if (nodes[i].is.increment > increment)
			increment = nodes[i].is.increment;
	return increment;
}

static bool
is_taken(const uint64_t *offsets, size_t n, uint64_t offset)
{
	for (size_t i = 0; i < n; i++)
		if (offsets[i] == offset)
			return true;
	return false;
}

/* Nodes that fit keep their place, in the order of names; the others take the lowest that is free. */
static void
plan_offsets(const struct numbered_node *nodes, size_t n, uint64_t increment, uint64_t *offsets)
{
	for (size_t i = 0; i < n; i++) {
		const struct numbering *is = &nodes[i].is;

		offsets[i] = is->increment == increment && is->offset <= increment && !is_taken(offsets, i, is->offset) ? is->offset : 0;
	}
	for (size_t i = 0; i < n; i++)
		for (uint64_t free_one = 1; offsets[i] == 0; free_one++)
			if (!is_taken(offsets, n, free_one))
				offsets[i] = free_one;
}

static void
explain(const struct numbered_node *nodes, size_t n, size_t i, uint64_t increment, char *out, size_t size)
{
	const struct numbering *is = &nodes[i].is;
	unsigned long long step = is->increment, first = is->offset;

	if (step == 1)
		(void)snprintf(out, size, "node %s numbers new rows 1, 2, 3, ...: laptops apart give one number to different rows", nodes[i].name);
	else if (step != increment)
		(void)snprintf(out, size, "node %s numbers new rows in steps of %llu, which does not fit %zu nodes or the steps of the others (%llu): laptops apart give one number to different rows",
		    nodes[i].name, step, n, (unsigned long long)increment);
	else if (first > step)
		(void)snprintf(out, size, "node %s has auto_increment_offset=%llu above auto_increment_increment=%llu, which the server ignores", nodes[i].name, first, step);
	else
		(void)snprintf(out, size, "node %s numbers new rows as another node does (auto_increment_offset=%llu): laptops apart give one number to different rows", nodes[i].name, first);
}

void
numbering_remedy(const char *node, const struct numbering *want, char *out, size_t size)
{
	unsigned long long step = want->increment, first = want->offset;

	(void)snprintf(out, size,
	    "on %s run SET GLOBAL auto_increment_increment=%llu, GLOBAL auto_increment_offset=%llu (connections made from then on have it: restart the app)"
	    " and, so that it outlives a restart of the server, write the three lines [mariadb] / auto_increment_increment=%llu / auto_increment_offset=%llu"
	    " into /etc/mysql/mariadb.conf.d/60-tandem.cnf (XAMPP: at the end of xampp\\mysql\\bin\\my.ini or /opt/lampp/etc/my.cnf)",
	    node, step, first, step, first);
}

bool
numbering_judge(struct numbered_node *nodes, size_t n, numbering_advice *say, void *arg)
{
	uint64_t increment = plan_increment(nodes, n), *offsets = calloc(n, sizeof *offsets);
	char finding[REMEDY_MAX], remedy[REMEDY_MAX];
	bool fine = offsets != NULL;

	if (offsets == NULL)
		return false;
	qsort(nodes, n, sizeof *nodes, by_name);
	plan_offsets(nodes, n, increment, offsets);
	for (size_t i = 0; i < n; i++) {
		struct numbering want = { .increment = increment, .offset = offsets[i] };

		if (nodes[i].is.increment == 0 || (nodes[i].is.increment == increment && nodes[i].is.offset == offsets[i]))
			continue;
		explain(nodes, n, i, increment, finding, sizeof finding);
		numbering_remedy(nodes[i].name, &want, remedy, sizeof remedy);
		say(finding, remedy, arg);
		fine = false;
	}
	free(offsets);
	return fine;
}
