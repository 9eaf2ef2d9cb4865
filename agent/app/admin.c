/* What only an administrator of the database may. Lives here: his password, the agent's account and its
 * rights, a server's setting for the length of a call. Not here: what the agent does by itself.
 *
 * The administrator's connection serves what is named here and the app's own triggers of other accounts
 * (capture/guard). Everything that is made belongs to the agent's account, which runs without him later. */
#include "config.h"

#include "app/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/private.h"
#include "base/text.h"

enum {
	PASSWORD_FILE_MAX = 4096,
	PASSWORD_MAX = 1024,	/* of a prompt; the server takes far less */
	GIVEN_MAX = 16 * 1024,	/* four statements with names of 64 characters */
	CANNOT_CREATE = 1396	/* CREATE USER: it is there already */
};

/* --- connecting --- */

/* The first line of a file of the administrator's own. */
static bool
open_with_file(const struct cli *cli, const struct conf *conf, struct admin *a, struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	bool ok;

	if (!private_read(cli->admin_password_file, "password file", "--admin-password-file names a file that is there",
		PASSWORD_FILE_MAX, &text, &len, e))
		return false;
	text[strcspn(text, "\r\n")] = '\0';
	ok = db_open_as(&conf->database, cli->admin_user, text, &a->db, e);
	private_free(text, len);
	return ok;
}

/* Ask, and show nothing of what is typed. The echo goes before the prompt comes: who answers at once is not overheard,
 * nor is his answer thrown away. The signals of the terminal work; one that kills leaves it without echo as with every
 * such prompt. */
static bool
read_hidden(const char *user, char *line, int size)
{
	struct termios before, hidden;
	bool ok;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	hidden = before;
	hidden.c_lflag &= (tcflag_t)~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
		return false;
	(void)fprintf(stderr, "password of the database administrator %s: ", user);
	(void)fflush(stderr);
	ok = fgets(line, size, stdin) != NULL;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	return ok;
}

static bool
open_with_prompt(const struct cli *cli, const struct conf *conf, struct admin *a, struct err *e)
{
	char password[PASSWORD_MAX];
	bool ok;

	if (!read_hidden(cli->admin_user, password, (int)sizeof password))
		return err_set(e, ERR_USAGE, "no password was given; --admin-password-file names a file with it");
	password[strcspn(password, "\r\n")] = '\0';
	ok = db_open_as(&conf->database, cli->admin_user, password, &a->db, e);
	text_wipe(password, sizeof password);
	return ok;
}

bool
admin_open(const struct cli *cli, const struct conf *conf, struct admin *a, struct err *e)
{
	memset(a, 0, sizeof *a);
	buf_init(&a->given, GIVEN_MAX);
	if (cli->admin_user == NULL)
		return true;
	if (strcmp(cli->admin_user, conf->database.user) == 0)
		return err_set(e, ERR_USAGE, "--admin-user and [database] user are both %s: give the agent a user of its own, which need not exist yet",
		    cli->admin_user);
	if (cli->admin_password_file != NULL)
		return open_with_file(cli, conf, a, e);
	if (db_open_as(&conf->database, cli->admin_user, NULL, &a->db, e))
		return true;
	if (e->code != ERR_DB_ACCESS)
		return false;
	if (isatty(STDIN_FILENO) != 1)
		return err_prefix(e, "no password in ~/.my.cnf that fits, and no terminal to ask at; --admin-password-file names a file with it");
	err_clear(e);
	return open_with_prompt(cli, conf, a, e);
}

/* --- the agent's account --- */

/* USER@HOST as the server has it, quoted. *found false: [database] user cannot log in. */
static bool
find_account(struct db *admin, const struct conf *conf, struct buf *account, bool *found, struct err *e)
{
	struct db *agent = NULL;
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*found = db_open(&conf->database, &agent, e);
	if (!*found && e->code != ERR_DB_ACCESS)
		return false;
	err_clear(e);
	/* How the agent will be seen when it comes the way that the administrator came. */
	ok = db_query(*found ? agent : admin,
		 *found ? "SELECT SUBSTRING_INDEX(CURRENT_USER(),'@',1), SUBSTRING_INDEX(CURRENT_USER(),'@',-1)"
			: "SELECT '', SUBSTRING_INDEX(USER(),'@',-1)", DB_NO_ARGS, &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok && more) {
		/* An account without a name lets everybody in: it is not the agent's. */
		*found = *found && db_rows_len(rows, 0) > 0;
		db_quote(admin, account, conf->database.user, strlen(conf->database.user));
		buf_char(account, '@');
		db_quote(admin, account, db_rows_text(rows, 1), db_rows_len(rows, 1));
		ok = buf_check(account, "an account", e);
	}
	db_rows_free(rows);
	db_close(agent);
	return ok;
}

static bool
create_account(struct admin *a, const struct conf *conf, const char *account, struct err *e)
{
	struct buf sql;
	bool ok;

	if (conf->database.password[0] == '\0')
		return err_set(e, ERR_CONFIG, "[database] password of %s is empty: write one that nobody guesses, the new account gets it", conf->path);
	buf_init(&sql, GIVEN_MAX);
	(void)buf_room(&sql, GIVEN_MAX); /* at once: a buffer that grows leaves copies of the password behind */
	buf_fmt(&sql, "CREATE USER %s IDENTIFIED BY ", account);
	db_quote(a->db, &sql, conf->database.password, strlen(conf->database.password));
	ok = buf_check(&sql, "a statement", e) && db_exec_text(a->db, sql.data, sql.len, e);
	if (!ok && e->db_errno == CANNOT_CREATE)
		(void)err_prefix(e, "account %s is there and has another password: put that into [database] password, or change it with ALTER USER", account);
	text_wipe(sql.data, sql.cap);
	buf_free(&sql);
	return ok;
}

/* In a GRANT, _ and % in a database's name stand for other characters unless there is a \ before them. */
static void
put_pattern(struct buf *sql, const char *database)
{
	buf_char(sql, '`');
	for (const char *p = database; *p != '\0'; p++) {
		if (*p == '_' || *p == '%' || *p == '\\')
			buf_char(sql, '\\');
		if (*p == '`')
			buf_char(sql, '`');
		buf_char(sql, *p);
	}
	buf_char(sql, '`');
}

/* The three of docs/security.md (tests/e2e/test_rights.py compares them). */
static bool
give(struct admin *a, bool dry_run, const char *rights, const char *database, const char *account, struct err *e)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, GIVEN_MAX);
	buf_fmt(&sql, "GRANT %s ON ", rights);
	if (database == NULL)
		buf_char(&sql, '*');
	else
		put_pattern(&sql, database);
	buf_fmt(&sql, ".* TO %s", account);
	ok = buf_check(&sql, "a statement", e);
	if (ok && !dry_run && !db_exec_text(a->db, sql.data, sql.len, e))
		ok = err_prefix(e, "the administrator may not %s", buf_cstr(&sql));
	buf_fmt(&a->given, "%s\n", buf_cstr(&sql));
	buf_free(&sql);
	return ok;
}

static bool
require_database(struct admin *a, const char *name, struct err *e)
{
	return db_use(a->db, name, e) || err_prefix(e, "check [database] name");
}

bool
admin_provide(struct admin *a, const struct cli *cli, const struct conf *conf, bool *ready, struct err *e)
{
	const struct conf_database *db = &conf->database;
	bool found = true, ok;
	struct buf account;

	*ready = true;
	if (a->db == NULL)
		return true;
	buf_init(&account, GIVEN_MAX);
	ok = require_database(a, db->name, e) && find_account(a->db, conf, &account, &found, e);
	if (ok && !found) {
		ok = cli->dry_run || create_account(a, conf, buf_cstr(&account), e);
		buf_fmt(&a->given, "CREATE USER %s\n", buf_cstr(&account));
	}
	ok = ok && give(a, cli->dry_run, "SELECT, INSERT, UPDATE, DELETE, TRIGGER", db->name, buf_cstr(&account), e) &&
	    give(a, cli->dry_run, "ALL", db->sync_database, buf_cstr(&account), e) &&
	    give(a, cli->dry_run, "PROCESS", NULL, buf_cstr(&account), e) && buf_check(&a->given, "what was granted", e);
	*ready = found || !cli->dry_run;
	buf_free(&account);
	return ok;
}

/* --- a setting of the server, for this call --- */

bool
admin_permit_triggers(struct admin *a, struct err *e)
{
	uint64_t wanting = 0;

	if (a->db == NULL)
		return true;
	if (!db_number(a->db, "SELECT @@global.log_bin+0=1 AND @@global.log_bin_trust_function_creators+0=0", DB_NO_ARGS, &wanting, NULL, e))
		return false;
	if (wanting == 0)
		return true;
	a->trusting = db_exec(a->db, "SET GLOBAL log_bin_trust_function_creators=1", DB_NO_ARGS, e);
	return a->trusting;
}

void
admin_close(struct admin *a)
{
	struct err ignored;

	if (a->trusting && !db_exec(a->db, "SET GLOBAL log_bin_trust_function_creators=0", DB_NO_ARGS, &ignored))
		(void)fprintf(stderr, "agent: log_bin_trust_function_creators of the server is still on\n");
	db_close(a->db);
	buf_free(&a->given);
	memset(a, 0, sizeof *a);
}
