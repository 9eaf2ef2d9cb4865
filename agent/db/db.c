/* The one funnel for SQL. Lives here: connecting, session settings, quoting of values, running
 * statements, typing errors. Not here: what the statements are for. */
#include "db/db.h"

#include <assert.h>
#include <errmsg.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_PATH_MAX = 4096 }; /* PATH_MAX */

struct db {
	MYSQL *mysql;
	uint64_t affected;
	uint64_t packet_max;
	bool lost;
};

struct db_rows {
	struct db *db;
	MYSQL_RES *res;
	MYSQL_ROW row;
	unsigned long *lengths;
	size_t columns;
};

/* The server's and the client library's numbers that somebody acts on; all others are ERR_DB. */
static const struct {
	unsigned number;
	enum err_code code;
} code_of[] = {
	{ CR_CONNECTION_ERROR, ERR_DB_LOST }, { CR_CONN_HOST_ERROR, ERR_DB_LOST },
	{ CR_UNKNOWN_HOST, ERR_DB_LOST }, { CR_SERVER_GONE_ERROR, ERR_DB_LOST },
	{ CR_SERVER_LOST, ERR_DB_LOST }, { CR_SERVER_HANDSHAKE_ERR, ERR_DB_LOST },
	{ CR_SERVER_LOST_EXTENDED, ERR_DB_LOST }, { 1053, ERR_DB_LOST }, /* server shutdown */
	{ 1077, ERR_DB_LOST }, { 1079, ERR_DB_LOST }, { 1152, ERR_DB_LOST },
	{ 1153, ERR_DB_LOST }, /* packet too large: the server hangs up */
	{ 1158, ERR_DB_LOST }, { 1159, ERR_DB_LOST }, { 1160, ERR_DB_LOST }, { 1161, ERR_DB_LOST },
	{ 1040, ERR_DB_LOST },	/* too many connections */
	{ 1927, ERR_DB_LOST },	/* connection was killed */
	{ 1044, ERR_DB_ACCESS }, { 1045, ERR_DB_ACCESS }, { 1130, ERR_DB_ACCESS },
	{ 1142, ERR_DB_ACCESS }, { 1143, ERR_DB_ACCESS }, { 1227, ERR_DB_ACCESS },
	{ 1370, ERR_DB_ACCESS }, { 1419, ERR_DB_ACCESS }, { 1698, ERR_DB_ACCESS },
	{ 1049, ERR_DB_MISSING }, { 1054, ERR_DB_MISSING }, { 1146, ERR_DB_MISSING },
	{ 1305, ERR_DB_MISSING }, { 4091, ERR_DB_MISSING }, { 1932, ERR_DB_MISSING },
	{ 1020, ERR_DB_BUSY },	/* record has changed since last read */
	{ 1205, ERR_DB_BUSY }, { 1213, ERR_DB_BUSY },
	{ 1412, ERR_DB_BUSY },	/* table definition has changed */
	{ 1615, ERR_DB_BUSY },	/* prepared statement needs to be re-prepared */
	{ 1317, ERR_DB_BUSY },	/* query interrupted */
	{ 1969, ERR_DB_BUSY },	/* max_statement_time exceeded */
	{ 1062, ERR_DB_DUPLICATE }, { 1586, ERR_DB_DUPLICATE },
	{ 1048, ERR_DB_REJECTED }, { 1216, ERR_DB_REJECTED }, { 1217, ERR_DB_REJECTED },
	{ 1264, ERR_DB_REJECTED }, { 1265, ERR_DB_REJECTED }, { 1292, ERR_DB_REJECTED },
	{ 1364, ERR_DB_REJECTED }, { 1366, ERR_DB_REJECTED }, { 1406, ERR_DB_REJECTED },
	{ 1411, ERR_DB_REJECTED }, { 1416, ERR_DB_REJECTED }, { 1451, ERR_DB_REJECTED },
	{ 1452, ERR_DB_REJECTED }, { 1526, ERR_DB_REJECTED }, { 1644, ERR_DB_REJECTED },
	{ 1690, ERR_DB_REJECTED }, { 1906, ERR_DB_REJECTED }, { 4025, ERR_DB_REJECTED },
	{ 4078, ERR_DB_REJECTED },
	{ 3, ERR_DB_FULL }, { 1021, ERR_DB_FULL }, { 1037, ERR_DB_FULL }, { 1041, ERR_DB_FULL },
	{ 1114, ERR_DB_FULL }, { 1026, ERR_DB_FULL }, { 1290, ERR_DB_FULL }, /* read_only */
};

struct db_arg
db_null(void)
{
	return (struct db_arg){ .kind = DB_KIND_NULL };
}

struct db_arg
db_text_n(const char *text, size_t len)
{
	return (struct db_arg){ .kind = text == NULL ? DB_KIND_NULL : DB_KIND_TEXT, .data = text, .len = len };
}

struct db_arg
db_text(const char *text)
{
	return db_text_n(text, text == NULL ? 0 : strlen(text));
}

struct db_arg
db_bytes(const void *data, size_t len)
{
	return (struct db_arg){ .kind = data == NULL ? DB_KIND_NULL : DB_KIND_BYTES, .data = data, .len = len };
}

struct db_arg
db_u64(uint64_t n)
{
	return (struct db_arg){ .kind = DB_KIND_NUMBER, .number = n };
}

bool
db_fail(struct db *db, unsigned number, const char *message, struct err *e)
{
	enum err_code code = ERR_DB;

	for (size_t i = 0; i < sizeof code_of / sizeof code_of[0]; i++)
		if (code_of[i].number == number)
			code = code_of[i].code;
	if (code == ERR_DB_LOST)
		db->lost = true;
	(void)err_set(e, code, "%s (error %u)", message, number);
	if (e != NULL)
		e->db_errno = number;
	return false;
}

static bool
fail_last(struct db *db, struct err *e)
{
	return db_fail(db, mysql_errno(db->mysql), mysql_error(db->mysql), e);
}

/* --- connecting --- */

/* ALLOW_INVALID_DATES: what the other side stores must be storable here (mariadb facts 7). */
#define SQL_MODES "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"

bool
db_strict(struct db *db, bool strict, struct err *e)
{
	char sql[160];

	if (strict)
		return db_exec(db, "SET sql_mode='STRICT_ALL_TABLES," SQL_MODES "', max_error_count=DEFAULT", DB_NO_ARGS, e);
	(void)snprintf(sql, sizeof sql, "SET sql_mode='" SQL_MODES "', max_error_count=%d", DB_WARNINGS_MAX);
	return db_exec(db, sql, DB_NO_ARGS, e);
}

bool
db_checks(struct db *db, bool on, struct err *e)
{
	if (!on)
		return db_exec(db, "SET check_constraint_checks=0", DB_NO_ARGS, e);
	if (db_is_lost(db) || db_exec(db, "SET check_constraint_checks=1", DB_NO_ARGS, e))
		return true;
	return db_fail(db, CR_SERVER_LOST, "CHECKs could not be put back on", e);
}

static bool
set_session(struct db *db, struct err *e)
{
	struct buf sql;
	struct db_rows *rows = NULL;
	bool more = false, ok = false;

	buf_init(&sql, 1024);
	/* in_predicate_conversion_threshold: keep long IN lists on the primary key. */
	buf_fmt(&sql,
	    "SET time_zone='+00:00', character_set_results=binary,"
	    " sql_mode='STRICT_ALL_TABLES," SQL_MODES "',"
	    " tx_isolation='READ-COMMITTED', innodb_lock_wait_timeout=%d, lock_wait_timeout=%d,"
	    " foreign_key_checks=1, unique_checks=1, check_constraint_checks=1, sql_select_limit=DEFAULT,"
	    " autocommit=1, in_predicate_conversion_threshold=0, max_statement_time=0,"
	    " group_concat_max_len=1048576",
	    DB_LOCK_WAIT_S, DB_META_WAIT_S);
	if (!buf_check(&sql, "session settings", e) || !db_exec_text(db, sql.data, sql.len, e))
		goto out;
	if (!db_query(db, "SELECT @@max_allowed_packet", DB_NO_ARGS, &rows, e) ||
	    !db_rows_next(rows, &more, e))
		goto out;
	db->packet_max = more ? db_rows_u64(rows, 0) : 0;
	ok = true;
out:
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* What a person can do about a connection that does not come up. */
static bool
explain_connect(const struct conf_database *conf, const char *user, struct err *e)
{
	if (e == NULL)
		return false;
	if (e->code == ERR_DB_ACCESS && user != conf->user)
		return err_prefix(e, "the database server refuses administrator '%s': check --admin-user and its password", user);
	if (e->code == ERR_DB_ACCESS)
		return err_prefix(e, "the database server refuses user '%s': check [database] user and password", conf->user);
	if (conf->socket[0] != '\0')
		return err_prefix(e, "no MariaDB server at socket %s: is it running? check [database] socket", conf->socket);
	return err_prefix(e, "no MariaDB server at %s:%u: is it running? check [database] host and port", conf->host, conf->port);
}

static struct db *
prepare(struct err *e)
{
	struct db *db = calloc(1, sizeof *db);
	unsigned connect_s = DB_CONNECT_S, silence_s = DB_SILENCE_S, infile = 0;

	if (db == NULL || (db->mysql = mysql_init(NULL)) == NULL) {
		free(db);
		(void)err_set(e, ERR_MEMORY, "out of memory for a database connection");
		return NULL;
	}
	(void)mysql_options(db->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	(void)mysql_options(db->mysql, MYSQL_OPT_READ_TIMEOUT, &silence_s);
	(void)mysql_options(db->mysql, MYSQL_OPT_WRITE_TIMEOUT, &silence_s);
	(void)mysql_options(db->mysql, MYSQL_OPT_LOCAL_INFILE, &infile);
	(void)mysql_options(db->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	return db;
}

/* ~/.my.cnf, which the library reads by itself: a password, TLS. Where the server is says agent.conf. */
static void
use_option_file(struct db *db)
{
	const char *home = getenv("HOME");
	char path[OPTION_PATH_MAX];

	if (home == NULL || (size_t)snprintf(path, sizeof path, "%s/.my.cnf", home) >= sizeof path)
		return;
	(void)mysql_options(db->mysql, MYSQL_READ_DEFAULT_FILE, path);
	(void)mysql_options(db->mysql, MYSQL_READ_DEFAULT_GROUP, "client");
}

bool
db_open_as(const struct conf_database *conf, const char *user, const char *password, struct db **out, struct err *e)
{
	struct db *db = prepare(e);
	bool by_socket = conf->socket[0] != '\0';

	*out = NULL;
	if (db == NULL)
		return false;
	if (password == NULL)
		use_option_file(db);
	/* The library takes the socket only when no other host is named, here or in the option file. */
	if (mysql_real_connect(db->mysql, by_socket ? "localhost" : conf->host, user, password, NULL, conf->port,
		by_socket ? conf->socket : NULL, CLIENT_FOUND_ROWS) == NULL) {
		(void)fail_last(db, e);
		(void)explain_connect(conf, user, e);
		db_close(db);
		return false;
	}
	if (!set_session(db, e)) {
		db_close(db);
		return false;
	}
	*out = db;
	return true;
}

bool
db_open(const struct conf_database *conf, struct db **out, struct err *e)
{
	return db_open_as(conf, conf->user, conf->password, out, e);
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	mysql_close(db->mysql);
	free(db);
}

bool
db_use(struct db *db, const char *name, struct err *e)
{
	if (mysql_select_db(db->mysql, name) == 0)
		return true;
	return fail_last(db, e);
}

/* --- statements --- */

void
db_quote(struct db *db, struct buf *sql, const char *data, size_t len)
{
	char *to;

	if (len > SIZE_MAX / 4) {
		sql->failed = true;
		return;
	}
	to = buf_room(sql, len * 2 + 3);
	if (to == NULL)
		return;
	*to++ = '\'';
	to += mysql_real_escape_string(db->mysql, to, data, (unsigned long)len);
	*to++ = '\'';
	*to = '\0';
	sql->len = (size_t)(to - sql->data);
}

void
db_quote_name(struct buf *sql, const char *name)
{
	buf_char(sql, '`');
	for (; *name != '\0'; name++) {
		if (*name == '`')
			buf_char(sql, '`');
		buf_char(sql, *name);
	}
	buf_char(sql, '`');
}

static void
put_arg(struct db *db, struct buf *sql, const struct db_arg *arg)
{
	switch (arg->kind) {
	case DB_KIND_NULL:
		buf_str(sql, "NULL");
		break;
	case DB_KIND_TEXT:
		db_quote(db, sql, arg->data, arg->len);
		break;
	case DB_KIND_BYTES:
		buf_str(sql, "x'");
		buf_hex(sql, arg->data, arg->len);
		buf_char(sql, '\'');
		break;
	case DB_KIND_NUMBER:
		buf_fmt(sql, "%llu", (unsigned long long)arg->number);
		break;
	}
}

/* The statement with its arguments in place. A '?' within '...' or `...` stays: names hold quotes of the other kind. */
static bool
bind_text(struct db *db, struct buf *sql, const char *text, const struct db_arg *args, size_t nargs, struct err *e)
{
	size_t used = 0;
	char quote = '\0';

	/* Without arguments it is a text that may hold quoted values already: nothing in it is a placeholder. */
	if (nargs == 0) {
		buf_str(sql, text);
		return buf_check(sql, "an SQL statement", e);
	}
	for (const char *p = text; *p != '\0'; p++) {
		if (quote == '\0' && (*p == '\'' || *p == '`'))
			quote = *p;
		else if (*p == quote)
			quote = '\0';
		if (*p != '?' || quote != '\0') {
			buf_char(sql, *p);
			continue;
		}
		assert(used < nargs);
		put_arg(db, sql, &args[used++]);
	}
	assert(used == nargs);
	return buf_check(sql, "an SQL statement", e);
}

bool
db_exec_text(struct db *db, const char *sql, size_t len, struct err *e)
{
	if (mysql_real_query(db->mysql, sql, (unsigned long)len) != 0)
		return fail_last(db, e);
	db->affected = (uint64_t)mysql_affected_rows(db->mysql);
	if (mysql_field_count(db->mysql) != 0)
		mysql_free_result(mysql_store_result(db->mysql));
	return true;
}

bool
db_exec(struct db *db, const char *text, const struct db_arg *args, size_t nargs, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, DB_SQL_MAX);
	ok = bind_text(db, &sql, text, args, nargs, e) && db_exec_text(db, sql.data, sql.len, e);
	buf_free(&sql);
	return ok;
}

uint64_t
db_affected(const struct db *db)
{
	return db->affected;
}

bool
db_warned(const struct db *db)
{
	return mysql_warning_count(db->mysql) > 0;
}

/* --- rows --- */

static bool
take_rows(struct db *db, bool store, struct db_rows **out, struct err *e)
{
	struct db_rows *rows = calloc(1, sizeof *rows);

	*out = NULL;
	if (rows == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a result");
	rows->db = db;
	rows->res = store ? mysql_store_result(db->mysql) : mysql_use_result(db->mysql);
	if (rows->res == NULL) {
		free(rows);
		return fail_last(db, e);
	}
	rows->columns = mysql_num_fields(rows->res);
	*out = rows;
	return true;
}

bool
db_query(struct db *db, const char *text, const struct db_arg *args, size_t nargs, struct db_rows **out, struct err *e)
{
	struct buf sql;
	bool ok = false;

	*out = NULL;
	buf_init(&sql, DB_SQL_MAX);
	if (!bind_text(db, &sql, text, args, nargs, e))
		goto out;
	if (mysql_real_query(db->mysql, sql.data, (unsigned long)sql.len) != 0) {
		(void)fail_last(db, e);
		goto out;
	}
	ok = take_rows(db, true, out, e);
out:
	buf_free(&sql);
	return ok;
}

bool
db_stream(struct db *db, const char *sql, size_t len, struct db_rows **out, struct err *e)
{
	*out = NULL;
	if (mysql_real_query(db->mysql, sql, (unsigned long)len) != 0)
		return fail_last(db, e);
	return take_rows(db, false, out, e);
}

bool
db_rows_next(struct db_rows *rows, bool *more, struct err *e)
{
	*more = false;
	rows->row = mysql_fetch_row(rows->res);
	if (rows->row == NULL) {
		if (mysql_errno(rows->db->mysql) != 0)
			return fail_last(rows->db, e);
		return true;
	}
	rows->lengths = mysql_fetch_lengths(rows->res);
	*more = true;
	return true;
}

size_t
db_rows_count(const struct db_rows *rows)
{
	return (size_t)mysql_num_rows(rows->res);
}

const char *
db_rows_text(const struct db_rows *rows, size_t column)
{
	assert(column < rows->columns);
	return rows->row[column];
}

size_t
db_rows_len(const struct db_rows *rows, size_t column)
{
	assert(column < rows->columns);
	return rows->lengths[column];
}

uint64_t
db_rows_u64(const struct db_rows *rows, size_t column)
{
	const char *text = db_rows_text(rows, column);

	return text == NULL ? 0 : strtoull(text, NULL, 10);
}

void
db_rows_free(struct db_rows *rows)
{
	if (rows == NULL)
		return;
	mysql_free_result(rows->res);
	free(rows);
}

bool
db_number(struct db *db, const char *sql, const struct db_arg *args, size_t nargs, uint64_t *out, bool *found, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*out = 0;
	ok = db_query(db, sql, args, nargs, &rows, e) && db_rows_next(rows, &more, e);
	if (ok && more)
		*out = db_rows_u64(rows, 0);
	if (found != NULL)
		*found = ok && more && db_rows_text(rows, 0) != NULL;
	db_rows_free(rows);
	return ok;
}

/* --- transactions --- */

bool
db_begin(struct db *db, struct err *e)
{
	return db_exec(db, "START TRANSACTION", DB_NO_ARGS, e);
}

bool
db_begin_snapshot(struct db *db, struct err *e)
{
	return db_exec(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", DB_NO_ARGS, e) &&
	    db_exec(db, "START TRANSACTION WITH CONSISTENT SNAPSHOT", DB_NO_ARGS, e);
}

bool
db_begin_reading(struct db *db, struct err *e)
{
	return db_exec(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", DB_NO_ARGS, e) &&
	    db_exec(db, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", DB_NO_ARGS, e);
}

bool
db_commit(struct db *db, struct err *e)
{
	return db_exec(db, "COMMIT", DB_NO_ARGS, e);
}

void
db_rollback(struct db *db)
{
	struct err ignored;

	if (!db_exec(db, "ROLLBACK", DB_NO_ARGS, &ignored))
		db->lost = true;
}

uint64_t
db_packet_max(const struct db *db)
{
	return db->packet_max;
}

const char *
db_server_version(const struct db *db)
{
	return mysql_get_server_info(db->mysql);
}

bool
db_is_lost(const struct db *db)
{
	return db->lost;
}

struct st_mysql *
db_handle(struct db *db)
{
	return db->mysql;
}

bool
db_clock_us(struct db *db, int64_t *us, struct err *e)
{
	uint64_t n = 0;
	/* SYSDATE, because NOW is what a session says it is. */
	bool ok = db_number(db, "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED)", DB_NO_ARGS, &n, NULL, e);

	*us = (int64_t)n;
	return ok;
}
