/* Array binding. Lives here: gathering rows column by column and one COM_STMT_BULK_EXECUTE for
 * them. Not here: which statement and why (apply/, change/). */
#include "db/bulk.h"

#include <assert.h>
#include <mysql.h>
#include <stdlib.h>
#include <string.h>

enum {
	BULK_FORGIVEN = 1000, /* and the columns of one row more: fits DB_WARNINGS_MAX */
	WARN_TRUNCATED = 1265 /* the server's warning for the index 0 of an ENUM */
};

static_assert(BULK_FORGIVEN + 4096 < DB_WARNINGS_MAX, "all warnings of a statement are listed");

struct cell {
	size_t at; /* offset in the arena */
	unsigned long len;
	bool null;
};

struct bulk {
	struct db *db;
	MYSQL_STMT *stmt;
	size_t nparams;
	bool *binary;
	struct cell *cells; /* row after row, nparams each */
	size_t rows, rows_cap;
	size_t forgiven; /* warnings that the rows must give, no more and no less */
	struct buf arena;
	char **pointers; /* the same cells column by column, as the library wants them */
	unsigned long *lengths;
	char *indicators;
	size_t bound_cap; /* rows that the three arrays hold */
};

static bool
fail_stmt(struct bulk *b, struct err *e)
{
	return db_fail(b->db, mysql_stmt_errno(b->stmt), mysql_stmt_error(b->stmt), e);
}

bool
bulk_new(struct db *db, const char *sql, size_t nparams, const bool *binary, struct bulk **out, struct err *e)
{
	struct bulk *b = calloc(1, sizeof *b);

	*out = NULL;
	if (b == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a prepared statement");
	b->db = db;
	b->nparams = nparams;
	buf_init(&b->arena, DB_SQL_MAX);
	b->binary = calloc(nparams, sizeof *b->binary);
	b->stmt = mysql_stmt_init(db_handle(db));
	if (b->binary == NULL || b->stmt == NULL) {
		bulk_free(b);
		return err_set(e, ERR_MEMORY, "out of memory for a prepared statement");
	}
	if (binary != NULL)
		memcpy(b->binary, binary, nparams * sizeof *binary);
	if (mysql_stmt_prepare(b->stmt, sql, (unsigned long)strlen(sql)) != 0) {
		(void)fail_stmt(b, e);
		bulk_free(b);
		return false;
	}
	assert(mysql_stmt_param_count(b->stmt) == nparams);
	*out = b;
	return true;
}

void
bulk_free(struct bulk *b)
{
	if (b == NULL)
		return;
	if (b->stmt != NULL)
		(void)mysql_stmt_close(b->stmt);
	free(b->binary);
	free(b->cells);
	free(b->pointers);
	free(b->lengths);
	free(b->indicators);
	buf_free(&b->arena);
	free(b);
}

static bool
grow_cells(struct bulk *b, struct err *e)
{
	size_t cap = b->rows_cap == 0 ? 16 : b->rows_cap * 2;
	struct cell *cells;

	if (b->rows < b->rows_cap)
		return true;
	cells = realloc(b->cells, cap * b->nparams * sizeof *cells);
	if (cells == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for rows");
	b->cells = cells;
	b->rows_cap = cap;
	return true;
}

bool
bulk_add(struct bulk *b, const struct db_arg *values, struct err *e)
{
	struct cell *cell;

	if (!grow_cells(b, e))
		return false;
	cell = b->cells + b->rows * b->nparams;
	for (size_t i = 0; i < b->nparams; i++, cell++) {
		assert(values[i].kind != DB_KIND_NUMBER);
		cell->null = values[i].kind == DB_KIND_NULL;
		cell->at = b->arena.len;
		cell->len = (unsigned long)values[i].len;
		if (!cell->null)
			buf_put(&b->arena, values[i].data, values[i].len);
	}
	if (!buf_check(&b->arena, "rows for one statement", e))
		return false;
	b->rows++;
	return true;
}

void
bulk_forgive(struct bulk *b, size_t n)
{
	b->forgiven += n;
}

size_t
bulk_rows(const struct bulk *b)
{
	return b->rows;
}

bool
bulk_is_full(const struct bulk *b)
{
	size_t limit = BULK_BYTES;

	if (db_packet_max(b->db) / 2 < limit)
		limit = (size_t)(db_packet_max(b->db) / 2);
	return b->rows >= BULK_ROWS || b->forgiven >= BULK_FORGIVEN || (b->rows + 1) * b->nparams > BULK_CELLS || b->arena.len >= limit;
}

static bool
grow_bound(struct bulk *b, struct err *e)
{
	size_t n = b->rows * b->nparams;

	if (b->rows <= b->bound_cap)
		return true;
	free(b->pointers);
	free(b->lengths);
	free(b->indicators);
	b->bound_cap = 0;
	b->pointers = calloc(n, sizeof *b->pointers);
	b->lengths = calloc(n, sizeof *b->lengths);
	b->indicators = calloc(n, 1);
	if (b->pointers == NULL || b->lengths == NULL || b->indicators == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for rows");
	b->bound_cap = b->rows;
	return true;
}

/* Lay the cells out column by column and bind them. */
static bool
bind_columns(struct bulk *b, struct err *e)
{
	static char empty[1];
	MYSQL_BIND *bind = calloc(b->nparams, sizeof *bind);
	unsigned int rows = (unsigned int)b->rows;
	bool ok;

	if (bind == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for rows");
	for (size_t i = 0; i < b->nparams; i++) {
		size_t base = i * b->rows;

		for (size_t r = 0; r < b->rows; r++) {
			const struct cell *cell = &b->cells[r * b->nparams + i];

			b->pointers[base + r] = b->arena.data == NULL ? empty : b->arena.data + cell->at;
			b->lengths[base + r] = cell->len;
			b->indicators[base + r] = cell->null ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
		}
		bind[i].buffer_type = b->binary[i] ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
		bind[i].buffer = &b->pointers[base];
		bind[i].length = &b->lengths[base];
		bind[i].u.indicator = &b->indicators[base];
	}
	(void)mysql_stmt_attr_set(b->stmt, STMT_ATTR_ARRAY_SIZE, &rows);
	ok = mysql_stmt_bind_param(b->stmt, bind) == 0;
	free(bind);
	return ok || fail_stmt(b, e);
}

void
bulk_forget(struct bulk *b)
{
	b->rows = 0;
	b->forgiven = 0;
	if (b->arena.cap > 4 * (size_t)BULK_BYTES)
		buf_free(&b->arena); /* one huge value must not stay for the life of the statement */
	buf_reset(&b->arena);
}

static bool
altered(struct err *e)
{
	return err_set(e, ERR_DB_REJECTED, "the server altered a value and only warned");
}

static bool
run_rows(struct bulk *b, uint64_t *affected, struct err *e)
{
	if (mysql_stmt_execute(b->stmt) != 0)
		return fail_stmt(b, e);
	*affected = (uint64_t)mysql_stmt_affected_rows(b->stmt);
	return true;
}

/* Are the warnings of the last statement the forgiven ones and nothing else? */
static bool
only_forgiven(struct bulk *b, struct err *e)
{
	struct db_rows *rows = NULL;
	size_t n = 0;
	bool more = false, ok, known = true;

	if (!db_query(b->db, "SHOW WARNINGS", DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		known = known && db_rows_u64(rows, 1) == WARN_TRUNCATED;
		n++;
	}
	db_rows_free(rows);
	return ok && ((known && n == b->forgiven) || altered(e));
}

/* The strict mode knows no way to write the index 0 of an ENUM. Without it the server writes what it can and
 * warns of each value that it altered: one warning for each 0 is right, one more is a refusal. */
static bool
run_lenient(struct bulk *b, uint64_t *affected, struct err *e)
{
	struct err other = { 0 };
	bool ok = db_strict(b->db, false, e) && run_rows(b, affected, e) && only_forgiven(b, e);

	return db_strict(b->db, true, ok ? e : &other) && ok;
}

static bool
run_strict(struct bulk *b, uint64_t *affected, struct err *e)
{
	return run_rows(b, affected, e) && (mysql_stmt_warning_count(b->stmt) == 0 || altered(e));
}

bool
bulk_run(struct bulk *b, uint64_t *affected, struct err *e)
{
	bool ok;

	*affected = 0;
	if (b->rows == 0)
		return true;
	ok = grow_bound(b, e) && bind_columns(b, e) && (b->forgiven > 0 ? run_lenient(b, affected, e) : run_strict(b, affected, e));
	bulk_forget(b);
	return ok;
}
