/* The command line: one table of verbs, one of options; parsing, --help, --version, exit codes.
 * Lives here: words on the command line. Not here: what the verbs do (app/verbs, app/serve, ...). */
#ifndef TANDEM_APP_CLI_H
#define TANDEM_APP_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "base/err.h"
#include "base/screen.h"

/* The contract's exit codes. */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,	    /* wrong usage or configuration */
	EXIT_DATABASE = 3,  /* database not usable */
	EXIT_PEER = 4,	    /* a peer could not be reached; nothing lost */
	EXIT_PERSON = 5	    /* parked, conflict or held: somebody must look */
};

struct cli;
/* Does the verb's work, prints its result to stdout; an error is returned in e and printed by main.
 * conf is NULL for verbs that need none (--init). */
typedef enum exit_code verb_run(const struct cli *cli, const struct conf *conf, struct err *e);

struct verb {
	const char *name;     /* "drain" */
	const char *argument; /* "ID|all", "[SECONDS]" (optional), "TABLE KEY" (two), "TREE [SNAPSHOT] [PATH]" or NULL */
	bool needs_conf;
	verb_run *run;
	const char *help; /* one line */
};

struct cli {
	const struct verb *verb; /* NULL: --help or --version was answered */
	const char *argument;	 /* NULL when not given */
	const char *second;	 /* of a verb that takes two; NULL otherwise */
	const char *third;	 /* of a verb that takes three; NULL otherwise */
	const char *config;	 /* resolved path: --config, $AGENT_CONF, ./agent.conf, SYSCONFDIR/agent.conf */
	const char *peer;	 /* --peer NAME or NULL */
	const char *table;	 /* --table NAME or NULL */
	bool json;
	bool quiet;
	bool verbose;
	enum screen_colour colour; /* --color */
	bool dry_run;
	bool allow_deletes;
	const char *keep;	 /* --keep local|remote or NULL */
	bool repair;
	const char *from; /* --from NODE or DIR or NULL */
	const char *to;	  /* --to DIR or NULL */
	bool with_database;
	bool orphans;
	bool yes; /* --yes: do not ask */
	bool force;
	bool create_tables;
	const char *url;  /* --url URL or NULL */
	const char *admin_user;		 /* --admin-user NAME or NULL */
	const char *admin_password_file; /* --admin-password-file FILE or NULL */
};

/* Parse argv. Two verbs, an unknown word, an option that the verb does not take: ERR_USAGE with a
 * one-line message that names the remedy. verbs ends with name == NULL. */
MUST_CHECK bool cli_parse(int argc, char **argv, const struct verb *verbs, struct cli *out, struct err *e);
/* --help: every verb, option, file and exit code. */
void cli_help(const struct verb *verbs);
/* An option as --help names it; texts are constants. */
struct cli_option {
	const char *name;
	char letter;	      /* 0: none */
	const char *argument; /* NULL: takes none */
	const char *help;
};
/* The i-th option; false behind the last one. */
bool cli_option(size_t i, struct cli_option *out);
/* Does that verb take the i-th option? NULL: does every verb? */
bool cli_takes(size_t i, const char *verb);
/* An error's line on stderr. Text of errors comes from files, servers and peers: nothing of it steers the terminal. */
void cli_complain(const char *text);
/* A line of a result on stdout, escaped like that and folded on a terminal; nothing with -q or --json. */
void cli_say(const struct cli *cli, enum ink ink, const char *fmt, ...) PRINTF_FMT(3, 4);
/* A JSON string on stdout. */
void cli_put_quoted(const char *text);
/* The log as agent.conf (NULL: none is read), -q and -v want it; as log_open. */
MUST_CHECK bool cli_open_log(const struct cli *cli, const struct conf *conf, struct err *e);
/* The exit code that an error means. */
enum exit_code cli_exit_code(const struct err *e);

#endif
