/* One connection to the server. Every statement of the program goes through here: values are
 * quoted in one place, errors get a type, the text is logged by nobody else. Callers never see
 * a MYSQL *. A connection belongs to one thread at a time. */
#ifndef TANDEM_DB_DB_H
#define TANDEM_DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"

struct db;
struct db_rows;

enum {
	DB_SQL_MAX = 256 * 1024 * 1024, /* one statement's text; the server's max_allowed_packet is
					   asked first where values are large */
	DB_LOCK_WAIT_S = 5,		/* innodb_lock_wait_timeout of the agent: it yields, the app does not */
	DB_META_WAIT_S = 5,		/* lock_wait_timeout (metadata locks) */
	DB_WARNINGS_MAX = 8192,		/* warnings that are listed while not strict */
	DB_CONNECT_S = 10,
	DB_SILENCE_S = 900		/* a statement without an answer for so long is a lost connection */
};

enum db_kind { DB_KIND_NULL, DB_KIND_TEXT, DB_KIND_BYTES, DB_KIND_NUMBER };

/* One value for a '?' of a statement. Borrowed. */
struct db_arg {
	enum db_kind kind;
	const char *data;
	size_t len;
	uint64_t number;
};

struct db_arg db_null(void);
struct db_arg db_text(const char *text); /* NULL pointer = SQL NULL */
struct db_arg db_text_n(const char *text, size_t len);
struct db_arg db_bytes(const void *data, size_t len); /* written as x'..' */
struct db_arg db_u64(uint64_t n);

#define DB_ARGS(...) \
	(const struct db_arg[]){ __VA_ARGS__ }, \
	    sizeof((const struct db_arg[]){ __VA_ARGS__ }) / sizeof(struct db_arg)
#define DB_NO_ARGS NULL, 0

/* Connect and set the session up (UTC, utf8mb4, raw bytes in results, strict, READ COMMITTED,
 * short lock waits). No database is chosen. */
MUST_CHECK bool db_open(const struct conf_database *conf, struct db **out, struct err *e);
/* The same at the same server as another user. password NULL: what the [client] section of ~/.my.cnf says,
 * or none (a Unix socket that knows its user). */
MUST_CHECK bool db_open_as(const struct conf_database *conf, const char *user, const char *password, struct db **out, struct err *e);
void db_close(struct db *db);
/* Choose the default database. ERR_DB_MISSING when it does not exist. */
MUST_CHECK bool db_use(struct db *db, const char *name, struct err *e);

/* Run a statement without rows; each '?' outside quotes is replaced by the next argument. */
MUST_CHECK bool db_exec(struct db *db, const char *sql, const struct db_arg *args, size_t nargs, struct err *e);
/* Run a statement text of any bytes, without arguments. */
MUST_CHECK bool db_exec_text(struct db *db, const char *sql, size_t len, struct err *e);
/* Rows changed (or matched, for UPDATE) by the last statement. */
uint64_t db_affected(const struct db *db);
/* The last statement had warnings. */
bool db_warned(const struct db *db);

/* A SELECT. db_query holds all rows in memory; db_stream reads row by row from the server, and
 * nothing else may run on the connection until db_rows_free. */
MUST_CHECK bool db_query(struct db *db, const char *sql, const struct db_arg *args, size_t nargs, struct db_rows **out, struct err *e);
MUST_CHECK bool db_stream(struct db *db, const char *sql, size_t len, struct db_rows **out, struct err *e);
/* The next row: true with *more saying whether there is one; false is a lost connection. */
MUST_CHECK bool db_rows_next(struct db_rows *rows, bool *more, struct err *e);
size_t db_rows_count(const struct db_rows *rows); /* of db_query only */
/* The current row's value: NULL for SQL NULL; a NUL stands behind the bytes. Borrowed. */
const char *db_rows_text(const struct db_rows *rows, size_t column);
size_t db_rows_len(const struct db_rows *rows, size_t column);
uint64_t db_rows_u64(const struct db_rows *rows, size_t column); /* 0 for NULL */
void db_rows_free(struct db_rows *rows);

/* The server's clock, microseconds since 1970 UTC: the one that changes are dated by. */
MUST_CHECK bool db_clock_us(struct db *db, int64_t *us, struct err *e);
/* First column of the first row as a number; *found says whether there was a non-NULL one. */
MUST_CHECK bool db_number(struct db *db, const char *sql, const struct db_arg *args, size_t nargs, uint64_t *out, bool *found, struct err *e);

MUST_CHECK bool db_begin(struct db *db, struct err *e);		 /* READ COMMITTED */
MUST_CHECK bool db_begin_snapshot(struct db *db, struct err *e); /* REPEATABLE READ, snapshot taken now */
MUST_CHECK bool db_begin_reading(struct db *db, struct err *e);	 /* the same, and the server refuses to write */
MUST_CHECK bool db_commit(struct db *db, struct err *e);
/* Roll everything back; a failure means the connection is lost and with it the transaction. */
void db_rollback(struct db *db);

/* Does the server refuse what it would have to alter (as set at connect), or does it warn? While it warns,
 * SHOW WARNINGS lists up to DB_WARNINGS_MAX. */
MUST_CHECK bool db_strict(struct db *db, bool strict, struct err *e);

/* CHECKs of tables: on (as set at connect) or off. A connection on which they cannot be put back on counts as
 * lost. e may be NULL. */
MUST_CHECK bool db_checks(struct db *db, bool on, struct err *e);

/* Append a quoted value or identifier to SQL text being built. */
void db_quote(struct db *db, struct buf *sql, const char *data, size_t len);
void db_quote_name(struct buf *sql, const char *name);
/* The server's max_allowed_packet at connect, bytes. */
uint64_t db_packet_max(const struct db *db);
const char *db_server_version(const struct db *db);
/* Is the connection known to be unusable? (it must be closed and opened anew) */
bool db_is_lost(const struct db *db);

/* The library's handle, for db/bulk only; and the funnel's error filling, also for whoever must give a
 * connection up as lost (apply/knot). */
struct st_mysql *db_handle(struct db *db);
bool db_fail(struct db *db, unsigned number, const char *message, struct err *e);

#endif
