/* The command line. Lives here: verbs and options as words, --help, --version, what an error means
 * as exit code. Not here: the verbs' work and their table (app/verbs), printing errors (app/main). */
#include "config.h"

#include "app/cli.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <json-c/json_c_version.h>
#include <mysql.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/log.h"
#include "base/text.h"
#include "wire/line.h"

enum {
	WORD_MAX = 31,	    /* longer words are no verb and no option */
	NEAR = 2,	    /* slips of the finger that still suggest a word */
	COLUMN = 26,	    /* of --help's second column */
	WIDTH = 100,	    /* of --help */
	SAY_MAX = 8192	    /* bytes of a line of cli_say */
};

/* --- options --------------------------------------------------------------------------------- */

enum option_id {
	OPTION_CONFIG, OPTION_JSON, OPTION_QUIET, OPTION_VERBOSE, OPTION_COLOUR, OPTION_PEER, OPTION_TABLE,
	OPTION_DRY_RUN, OPTION_ALLOW_DELETES, OPTION_KEEP, OPTION_REPAIR, OPTION_FROM, OPTION_FORCE,
	OPTION_CREATE_TABLES, OPTION_TO, OPTION_WITH_DATABASE, OPTION_YES, OPTION_ORPHANS, OPTION_URL,
	OPTION_ADMIN_USER, OPTION_ADMIN_PASSWORD, OPTION_ASSETS, OPTION_HELP,
	OPTION_VERSION, OPTIONS
};

static const struct option {
	const char *name;
	char letter;	       /* 0: none */
	const char *argument;  /* NULL: takes none */
	const char *verbs;     /* the verbs that take it, between blanks; NULL: all */
	const char *help;
} options[OPTIONS] = {
	[OPTION_CONFIG] = { "config", 0, "FILE", NULL, "use this agent.conf" },
	[OPTION_JSON] = { "json", 0, NULL, NULL, "print the result as JSON" },
	[OPTION_QUIET] = { "quiet", 'q', NULL, NULL, "print nothing on success, log errors alone" },
	[OPTION_VERBOSE] = { "verbose", 'v', NULL, NULL, "log every step" },
	[OPTION_COLOUR] = { "color", 0, "auto|always|never", NULL, "colours: auto is on a terminal, unless NO_COLOR is set" },
	[OPTION_PEER] = { "peer", 0, "NAME", "check install drain status wait parked conflicts resolve retry discard startup verify",
	    "only this peer" },
	[OPTION_TABLE] = { "table", 0, "NAME", "check conflicts resolve verify", "only this table" },
	/* Only verbs that keep the promise may stand here. */
	[OPTION_DRY_RUN] = { "dry-run", 0, NULL, "install uninstall drain startup verify push pull backup restore",
	    "say what would be done, change nothing" },
	[OPTION_ALLOW_DELETES] = { "allow-deletes", 0, NULL, "drain", "let mass deletes that were held pass, once" },
	[OPTION_KEEP] = { "keep", 0, "local|remote|both", "resolve", "the version that stays; both: of a file in an upload folder" },
	[OPTION_REPAIR] = { "repair", 0, NULL, "verify", "set going what makes both sides equal" },
	[OPTION_FROM] = { "from", 0, "NODE|DIR", "verify restore", "verify: whose records win, of a node; restore: where snapshots are" },
	[OPTION_TO] = { "to", 0, "DIR", "backup", "make the snapshot in DIR" },
	[OPTION_WITH_DATABASE] = { "with-database", 0, NULL, "backup", "put a dump of the application's database into the snapshot" },
	[OPTION_FORCE] = { "force", 0, NULL, "startup", "become a copy: what only this node has is removed, and kept as conflicts" },
	[OPTION_CREATE_TABLES] = { "create-tables", 0, NULL, "startup", "create tables that are missing here as they are there" },
	[OPTION_YES] = { "yes", 'y', NULL, "push pull", "files that stand in the way may be replaced: do not ask" },
	[OPTION_ORPHANS] = { "orphans", 0, NULL, "trees", "list files that no row names and rows whose file is not here" },
	[OPTION_URL] = { "url", 0, "URL", "pair", "where the other node reaches this one; none: it cannot" },
	[OPTION_ADMIN_USER] = { "admin-user", 0, "NAME", "install uninstall", "a database administrator, for this call alone" },
	[OPTION_ADMIN_PASSWORD] = { "admin-password-file", 0, "FILE", "install uninstall", "the administrator's password is in FILE" },
	[OPTION_ASSETS] = { "assets", 0, "DIR", NULL, "for developing; no effect in this version" },
	[OPTION_HELP] = { "help", 'h', NULL, NULL, "this text" },
	[OPTION_VERSION] = { "version", 0, NULL, NULL, "versions of the agent and its libraries" },
};

static const struct exit_help {
	enum exit_code code;
	const char *help;
} exits[] = {
	{ EXIT_DONE, "done" },
	{ EXIT_FAILED, "failed" },
	{ EXIT_USAGE, "wrong usage or configuration" },
	{ EXIT_DATABASE, "the database is not usable" },
	{ EXIT_PEER, "a peer could not be reached; nothing is lost, changes stay pending" },
	{ EXIT_PERSON, "something needs a person: parked, conflict or held" },
};

/* --- words ------------------------------------------------------------------------------------ */

struct scan {
	int argc;
	char **argv;
	int at; /* the next word */
	const struct verb *verbs;
	struct cli *out;
	const char *value[OPTIONS]; /* "" for one without argument; NULL: not given */
};

static const struct verb *
find_verb(const struct verb *verbs, const char *name, size_t len)
{
	for (const struct verb *v = verbs; v->name != NULL; v++)
		if (strlen(v->name) == len && memcmp(v->name, name, len) == 0)
			return v;
	return NULL;
}

/* OPTIONS when there is none of that name. */
static size_t
find_option(const char *name, size_t len)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
			return i;
	return OPTIONS;
}

static size_t
find_letter(char letter)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (options[i].letter != 0 && options[i].letter == letter)
			return i;
	return OPTIONS;
}

static void
keep_nearest(const char *word, const char *name, size_t *best, const char **nearest)
{
	size_t d = text_distance(word, name);

	if (d < *best) {
		*best = d;
		*nearest = name;
	}
}

static bool
unknown(const struct scan *s, const char *word, struct err *e)
{
	char bare[WORD_MAX + 1];
	const char *nearest = NULL, *name = word + strspn(word, "-");
	size_t best, len = strcspn(name, "=");

	(void)snprintf(bare, sizeof bare, "%.*s", len > WORD_MAX ? WORD_MAX : (int)len, name);
	best = len > NEAR ? NEAR + 1 : 0; /* everything is near to a word of two letters */
	for (const struct verb *v = s->verbs; v->name != NULL; v++)
		keep_nearest(bare, v->name, &best, &nearest);
	for (size_t i = 0; i < OPTIONS; i++)
		keep_nearest(bare, options[i].name, &best, &nearest);
	if (nearest != NULL)
		return err_set(e, ERR_USAGE, "unknown word \"%.60s\"; did you mean --%s? (agent --help shows all)", word, nearest);
	return err_set(e, ERR_USAGE, "unknown word \"%.60s\"; agent --help shows all verbs and options", word);
}

/* -q, as against a negative number or a longer word? */
static bool
is_letter(const char *word)
{
	return word[0] == '-' && word[1] != '-' && word[1] != '\0' && word[2] == '\0';
}

/* The argument of a verb or option: behind its = or the next word. A next word that begins with -
 * is taken for an option, not for the argument. NULL when there is none. */
static const char *
take_argument(struct scan *s, const char *equals)
{
	if (equals != NULL)
		return equals + 1;
	if (s->at < s->argc && s->argv[s->at] != NULL && s->argv[s->at][0] != '-')
		return s->argv[s->at++];
	return NULL;
}

/* A verb's second or third argument. A single - may begin it (a negative key), -- may not; nor may one that the verb can
 * do without be an option's letter. */
static const char *
take_next(struct scan *s, const char *before, bool needed)
{
	const char *word = before != NULL && s->at < s->argc ? s->argv[s->at] : NULL;

	if (word == NULL || strncmp(word, "--", 2) == 0 || (!needed && is_letter(word) && find_letter(word[1]) != OPTIONS))
		return NULL;
	s->at++;
	return word;
}

/* How many arguments a verb takes, and how many it cannot do without. */
static size_t
count_arguments(const char *text, bool needed)
{
	size_t n = 0;

	for (const char *p = text; p != NULL; p = strchr(p, ' ')) {
		p += *p == ' ';
		n += !needed || *p != '[';
	}
	return n;
}

static bool
take_verb(struct scan *s, const struct verb *v, const char *equals, struct err *e)
{
	const struct verb *old = s->out->verb;

	if (old != NULL && old != v)
		return err_set(e, ERR_USAGE, "one verb a call: --%s and --%s were both given", old->name, v->name);
	if (old != NULL)
		return err_set(e, ERR_USAGE, "--%s was given twice; once is enough", v->name);
	s->out->verb = v;
	if (v->argument == NULL)
		return equals == NULL || err_set(e, ERR_USAGE, "--%s takes no argument; write --%s alone", v->name, v->name);
	s->out->argument = take_argument(s, equals);
	if (s->out->argument != NULL && s->out->argument[0] == '\0')
		return err_set(e, ERR_USAGE, "--%s has an empty argument; write agent --%s %s", v->name, v->name, v->argument);
	if (count_arguments(v->argument, false) > 1)
		s->out->second = take_next(s, s->out->argument, count_arguments(v->argument, true) > 1);
	if (count_arguments(v->argument, false) > 2)
		s->out->third = take_next(s, s->out->second, count_arguments(v->argument, true) > 2);
	if ((s->out->argument != NULL) + (s->out->second != NULL) < (int)count_arguments(v->argument, true))
		return err_set(e, ERR_USAGE, "--%s needs %s; write agent --%s %s", v->name, v->argument, v->name, v->argument);
	return true;
}

static bool
take_option(struct scan *s, size_t i, const char *equals, struct err *e)
{
	const struct option *o = &options[i];

	if (s->value[i] != NULL)
		return err_set(e, ERR_USAGE, "--%s was given twice; once is enough", o->name);
	s->value[i] = "";
	if (o->argument == NULL && equals != NULL)
		return err_set(e, ERR_USAGE, "--%s takes no argument; write --%s alone", o->name, o->name);
	if (o->argument == NULL)
		return true;
	s->value[i] = take_argument(s, equals);
	if (s->value[i] == NULL || s->value[i][0] == '\0')
		return err_set(e, ERR_USAGE, "--%s needs %s; write --%s %s", o->name, o->argument, o->name, o->argument);
	return true;
}

static bool
take_word(struct scan *s, const char *word, struct err *e)
{
	const char *equals = strchr(word, '=');
	const char *name = word + 2;
	const struct verb *v;
	size_t i = OPTIONS, len;

	if (is_letter(word)) {
		i = find_letter(word[1]);
		return i == OPTIONS ? unknown(s, word, e) : take_option(s, i, NULL, e);
	}
	if (strncmp(word, "--", 2) != 0)
		return unknown(s, word, e);
	len = equals == NULL ? strlen(name) : (size_t)(equals - name);
	v = find_verb(s->verbs, name, len);
	if (v != NULL)
		return take_verb(s, v, equals, e);
	i = find_option(name, len);
	return i == OPTIONS ? unknown(s, word, e) : take_option(s, i, equals, e);
}

/* --- what the words mean together --------------------------------------------------------------- */

static bool
listed(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = words; *p != '\0';) {
		size_t n = strcspn(p, " ");

		if (n == len && memcmp(p, word, n) == 0)
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

static bool
check_options(const struct scan *s, struct err *e)
{
	const char *verb = s->out->verb->name;

	for (size_t i = 0; i < OPTIONS; i++)
		if (s->value[i] != NULL && options[i].verbs != NULL && !listed(options[i].verbs, verb))
			return err_set(e, ERR_USAGE, "--%s does not take --%s; leave it out (agent --help shows who takes it)",
			    verb, options[i].name);
	if (s->value[OPTION_QUIET] != NULL && s->value[OPTION_VERBOSE] != NULL)
		return err_set(e, ERR_USAGE, "-q and -v contradict each other; give one of them");
	if (s->value[OPTION_ADMIN_PASSWORD] != NULL && s->value[OPTION_ADMIN_USER] == NULL)
		return err_set(e, ERR_USAGE, "--admin-password-file goes with --admin-user NAME; give both");
	return true;
}

static bool
take_colour(const char *when, enum screen_colour *out, struct err *e)
{
	static const char *const names[] = { [SCREEN_AUTO] = "auto", [SCREEN_ALWAYS] = "always", [SCREEN_NEVER] = "never" };

	*out = SCREEN_AUTO;
	for (size_t i = 0; when != NULL && i < sizeof names / sizeof names[0]; i++)
		if (strcmp(when, names[i]) == 0) {
			*out = (enum screen_colour)i;
			return true;
		}
	return when == NULL || err_set(e, ERR_USAGE, "--color is auto, always or never, not \"%.20s\"", when);
}

/* --config, else $AGENT_CONF, else ./agent.conf, else the system's. A verb that needs no file
 * (--init) makes one and so never means the system's by chance. */
static const char *
resolve_config(const char *given, bool must_exist)
{
	static const char here[] = "./agent.conf", installed[] = SYSCONFDIR "/agent.conf";
	const char *from_env = getenv("AGENT_CONF");

	if (given != NULL)
		return given;
	if (from_env != NULL && from_env[0] != '\0')
		return from_env;
	if (must_exist && access(here, F_OK) != 0 && access(installed, F_OK) == 0)
		return installed;
	return here;
}

static void
print_version(void)
{
	(void)printf("agent %s (Tandem)\n", PACKAGE_VERSION);
	(void)printf("libmariadb %s, libevent %s, libcurl %s, json-c %s, zstd %s, OpenSSL %s\n",
	    mysql_get_client_info(), event_get_version(), curl_version_info(CURLVERSION_NOW)->version,
	    json_c_version(), ZSTD_versionString(), OpenSSL_version(OPENSSL_VERSION_STRING));
}

bool
cli_parse(int argc, char **argv, const struct verb *verbs, struct cli *out, struct err *e)
{
	struct scan s = { .argc = argc, .argv = argv, .at = 1, .verbs = verbs, .out = out };

	memset(out, 0, sizeof *out);
	while (s.at < argc && argv[s.at] != NULL) {
		const char *word = argv[s.at++];

		if (!take_word(&s, word, e))
			return false;
		if (s.value[OPTION_HELP] == NULL && s.value[OPTION_VERSION] == NULL)
			continue;
		if (s.value[OPTION_HELP] != NULL)
			cli_help(verbs);
		else
			print_version();
		out->verb = NULL;
		return true;
	}
	if (out->verb == NULL)
		return err_set(e, ERR_USAGE, "nothing to do: give a verb, such as agent --status; agent --help shows all");
	if (!check_options(&s, e) || !take_colour(s.value[OPTION_COLOUR], &out->colour, e))
		return false;
	out->config = resolve_config(s.value[OPTION_CONFIG], out->verb->needs_conf);
	out->peer = s.value[OPTION_PEER];
	out->table = s.value[OPTION_TABLE];
	out->json = s.value[OPTION_JSON] != NULL;
	out->quiet = s.value[OPTION_QUIET] != NULL;
	out->verbose = s.value[OPTION_VERBOSE] != NULL;
	out->dry_run = s.value[OPTION_DRY_RUN] != NULL;
	out->keep = s.value[OPTION_KEEP];
	out->allow_deletes = s.value[OPTION_ALLOW_DELETES] != NULL;
	out->repair = s.value[OPTION_REPAIR] != NULL;
	out->from = s.value[OPTION_FROM];
	out->to = s.value[OPTION_TO];
	out->with_database = s.value[OPTION_WITH_DATABASE] != NULL;
	out->create_tables = s.value[OPTION_CREATE_TABLES] != NULL;
	out->force = s.value[OPTION_FORCE] != NULL;
	out->yes = s.value[OPTION_YES] != NULL;
	out->orphans = s.value[OPTION_ORPHANS] != NULL;
	out->url = s.value[OPTION_URL];
	out->admin_user = s.value[OPTION_ADMIN_USER];
	out->admin_password_file = s.value[OPTION_ADMIN_PASSWORD];
	return true;
}

/* --- what people read --- */

void
cli_complain(const char *text)
{
	char line[ERR_MSG_MAX * 2];

	(void)text_escape(text, strlen(text), line, sizeof line);
	(void)fprintf(stderr, "agent: %s\n", line);
}

void
cli_say(const struct cli *cli, enum ink ink, const char *fmt, ...)
{
	char text[SAY_MAX];
	struct screen s;
	struct err e;
	va_list ap;

	if (cli->quiet || cli->json)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	screen_init(&s, cli->colour, 2 * SAY_MAX * SAY_MAX);
	screen_line(&s, ink, text);
	if (!screen_print(&s, &e))
		cli_complain(e.msg);
	screen_free(&s);
}

void
cli_put_quoted(const char *text)
{
	size_t len = strlen(text);
	struct buf out;

	buf_init(&out, 6 * len + 2); /* \u001f */
	line_quote(&out, text, len);
	(void)fputs(buf_cstr(&out), stdout);
	buf_free(&out);
}

bool
cli_open_log(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct log_options o = { .level = LOG_LEVEL_INFO, .target = "stderr" };

	if (conf != NULL)
		o = (struct log_options){ conf->log.level, conf->log.target, (uint64_t)conf->log.max_bytes, conf->log.keep };
	if (cli->quiet)
		o.level = LOG_LEVEL_ERROR;
	if (cli->verbose)
		o.level = LOG_LEVEL_DEBUG;
	return log_open(&o, e);
}

/* --- --help -------------------------------------------------------------------------------------- */

static void
help_line(const char *name, const char *letter, const char *argument, const char *help)
{
	char left[80];

	(void)snprintf(left, sizeof left, "%s--%s%s%s", letter, name, argument == NULL ? "" : " ", argument == NULL ? "" : argument);
	(void)printf("  %-*s %s\n", COLUMN - 1, left, help);
}

/* Those verbs of this program that take an option, folded. */
static void
help_takers(const struct verb *verbs, const char *takers)
{
	int at = printf("  %-*s(", COLUMN, "");
	const char *comma = "";

	for (const struct verb *v = verbs; v->name != NULL; v++) {
		int len = (int)strlen(v->name) + 5; /* with the dashes and a comma, a blank, a bracket */

		if (!listed(takers, v->name))
			continue;
		if (at + len > WIDTH)
			at = printf("%s\n  %-*s ", comma, COLUMN, "") - (int)strlen(comma) - 1;
		else
			at += printf("%s%s", comma, *comma == '\0' ? "" : " ");
		at += printf("--%s", v->name);
		comma = ",";
	}
	(void)printf(")\n");
}

void
cli_help(const struct verb *verbs)
{
	(void)printf("Usage: agent --VERB [ARGUMENT] [OPTION]...\n"
		     "Keeps the MariaDB databases of laptops in step. One verb a call.\n\nVerbs:\n");
	for (const struct verb *v = verbs; v->name != NULL; v++)
		help_line(v->name, "", v->argument, v->help);
	(void)printf("\nOptions (an argument may also follow a =, as in --config=FILE):\n");
	for (size_t i = 0; i < OPTIONS; i++) {
		char letter[8] = "";

		if (options[i].letter != 0)
			(void)snprintf(letter, sizeof letter, "-%c, ", options[i].letter);
		help_line(options[i].name, letter, options[i].argument, options[i].help);
		if (options[i].verbs != NULL)
			help_takers(verbs, options[i].verbs);
	}
	(void)printf("\nFiles: --config FILE, else $AGENT_CONF, else ./agent.conf, else\n  %s/agent.conf\n", SYSCONFDIR);
	(void)printf("\nExit codes:\n");
	for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
		(void)printf("  %d  %s\n", (int)exits[i].code, exits[i].help);
	(void)printf("\nExample:\n"
		     "  agent --init                  write ./agent.conf, then edit it\n"
		     "  agent --check                 is everything ready?\n"
		     "  agent --install               start recording changes\n"
		     "  agent --drain --peer anna     send what anna does not have yet\n");
}

bool
cli_option(size_t i, struct cli_option *out)
{
	if (i >= OPTIONS)
		return false;
	*out = (struct cli_option){ options[i].name, options[i].letter, options[i].argument, options[i].help };
	return true;
}

bool
cli_takes(size_t i, const char *verb)
{
	return options[i].verbs == NULL || (verb != NULL && listed(options[i].verbs, verb));
}

enum exit_code
cli_exit_code(const struct err *e)
{
	switch (e->code) {
	case ERR_NONE:
		return EXIT_DONE;
	case ERR_USAGE:
	case ERR_CONFIG:
		return EXIT_USAGE;
	case ERR_PEER:
		return EXIT_PEER;
	case ERR_HELD:
		return EXIT_PERSON;
	case ERR_DB:
	case ERR_DB_LOST:
	case ERR_DB_ACCESS:
	case ERR_DB_MISSING:
	case ERR_DB_BUSY:
	case ERR_DB_DUPLICATE:
	case ERR_DB_REJECTED:
	case ERR_DB_FULL:
		return EXIT_DATABASE;
	case ERR_INTERNAL:
	case ERR_MEMORY:
	case ERR_LIMIT:
	case ERR_IO:
	case ERR_INPUT:
	case ERR_AUTH:
	case ERR_STOPPED:
	case ERR_PEER_REFUSED:
		return EXIT_FAILED;
	}
	return EXIT_FAILED;
}
