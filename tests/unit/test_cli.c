/* app/cli and app/init, and base/process: the command line, exit codes, --help, the first agent.conf. */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/cli.h"
#include "app/init.h"
#include "app/verbs.h"
#include "base/conf.h"
#include "base/process.h"
#include "manual.h"

static char dir[] = "/tmp/tandem-test-XXXXXX";
static char output[20000]; /* what the last captured call wrote to stdout */
static struct cli cli;
static struct err e;

static enum exit_code
do_nothing(const struct cli *c, const struct conf *conf, struct err *err)
{
	(void)c;
	(void)conf;
	(void)err;
	return EXIT_DONE;
}

static const struct verb verbs[] = {
	{ "init", NULL, false, init_run, "write agent.conf" },
	{ "install", NULL, true, do_nothing, "start recording" },
	{ "drain", NULL, true, do_nothing, "send once" },
	{ "status", NULL, true, do_nothing, "how far is it" },
	{ "check", NULL, true, do_nothing, "how far is it" },
	{ "retry", "ID|all", true, do_nothing, "try parked changes again" },
	{ "explain", "TABLE KEY", true, do_nothing, "one record's life" },
	{ "resolve", "ID", true, do_nothing, "decide" },
	{ "restore", "TREE [SNAPSHOT] [PATH]", true, do_nothing, "bring files back" },
	{ "wait", "[SECONDS]", true, do_nothing, "until the peers have everything" },
	{ NULL, NULL, false, NULL, NULL },
};

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL || chdir(dir) != 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	return chdir("/") != 0 || rmdir(dir) != 0;
}

static char *words[20]; /* of the last parse: the result points into them */

static void
forget_words(void)
{
	for (size_t i = 0; words[i] != NULL; i++) {
		free(words[i]);
		words[i] = NULL;
	}
}

static int
clean(void **state)
{
	(void)state;
	(void)unlink("agent.conf");
	forget_words();
	return unsetenv("AGENT_CONF");
}

/* Parse "agent" and the words given, the last one NULL. */
static bool
parse(const char *word, ...)
{
	int argc = 0;
	va_list ap;

	forget_words();
	words[argc++] = strdup("agent");
	va_start(ap, word);
	for (const char *w = word; w != NULL; w = va_arg(ap, const char *))
		words[argc++] = strdup(w);
	va_end(ap);
	memset(&e, 0, sizeof e);
	return cli_parse(argc, words, verbs, &cli, &e);
}

#define ACCEPTS(...) assert_true(parse(__VA_ARGS__, NULL))
#define REFUSES(want, ...) \
	do { \
		assert_false(parse(__VA_ARGS__, NULL)); \
		assert_int_equal(e.code, ERR_USAGE); \
		if (strstr(e.msg, want) == NULL) \
			fail_msg("wanted %s, got %s", want, e.msg); \
	} while (0)

/* --- words ------------------------------------------------------------------------------------ */

static void
a_verb_is_found(void **state)
{
	(void)state;
	ACCEPTS("--drain");
	assert_string_equal(cli.verb->name, "drain");
	assert_null(cli.argument);
	assert_null(cli.peer);
	assert_false(cli.json || cli.quiet || cli.verbose || cli.dry_run || cli.allow_deletes);
}

static void
options_may_stand_before_and_behind_the_verb(void **state)
{
	(void)state;
	ACCEPTS("--json", "--peer", "anna", "--drain", "-q", "--allow-deletes", "--dry-run", "--config=/x/y");
	assert_string_equal(cli.verb->name, "drain");
	assert_string_equal(cli.peer, "anna");
	assert_string_equal(cli.config, "/x/y");
	assert_true(cli.json && cli.quiet && cli.dry_run && cli.allow_deletes);
	assert_false(cli.verbose);
}

static void
values_follow_as_next_word_or_behind_equals(void **state)
{
	(void)state;
	ACCEPTS("--check", "--table=a=b", "--peer=-x", "--config", "c", "--assets", "d", "--verbose");
	assert_string_equal(cli.table, "a=b");
	assert_string_equal(cli.peer, "-x");
	assert_string_equal(cli.config, "c");
	assert_true(cli.verbose);
}

static void
a_verbs_argument_is_needed_or_may_be_left_out(void **state)
{
	(void)state;
	ACCEPTS("--retry", "all");
	assert_string_equal(cli.argument, "all");
	ACCEPTS("--wait=30");
	assert_string_equal(cli.argument, "30");
	ACCEPTS("--wait");
	assert_null(cli.argument);
	ACCEPTS("--wait", "--json");
	assert_null(cli.argument);
	assert_true(cli.json);
	REFUSES("--retry needs ID|all; write agent --retry ID|all", "--retry");
	REFUSES("--retry needs ID|all", "--retry", "--json");
	REFUSES("--retry has an empty argument", "--retry", "");
	REFUSES("--drain takes no argument", "--drain=now");
}

static void
a_verb_may_take_two_arguments(void **state)
{
	(void)state;
	ACCEPTS("--explain", "orders", "7,a");
	assert_string_equal(cli.argument, "orders");
	assert_string_equal(cli.second, "7,a");
	ACCEPTS("--explain=orders", "-7", "--json");
	assert_string_equal(cli.second, "-7");
	assert_true(cli.json);
	REFUSES("--explain needs TABLE KEY", "--explain", "orders");
	REFUSES("--explain needs TABLE KEY", "--explain", "orders", "--json");
	REFUSES("--explain needs TABLE KEY", "--explain");
	REFUSES("unknown word", "--explain", "orders", "7", "8");
	ACCEPTS("--resolve", "3", "--keep", "local");
	assert_string_equal(cli.keep, "local");
	assert_null(cli.second);
	REFUSES("--status does not take --keep", "--status", "--keep", "local");
}

static void
a_verb_may_take_arguments_that_may_be_left_out(void **state)
{
	(void)state;
	ACCEPTS("--restore", "uploads", "latest", "photos/a.jpg", "--dry-run", "--from", "/mnt");
	assert_string_equal(cli.argument, "uploads");
	assert_string_equal(cli.second, "latest");
	assert_string_equal(cli.third, "photos/a.jpg");
	assert_string_equal(cli.from, "/mnt");
	ACCEPTS("--restore", "uploads", "latest", "--json");
	assert_string_equal(cli.second, "latest");
	assert_null(cli.third);
	ACCEPTS("--restore", "uploads", "latest", "-q");
	assert_true(cli.quiet && cli.third == NULL);
	ACCEPTS("--restore", "uploads", "-q");
	assert_true(cli.quiet && cli.second == NULL);
	ACCEPTS("--restore", "uploads", "latest", "-rf"); /* a file's name */
	assert_string_equal(cli.third, "-rf");
	ACCEPTS("--explain", "orders", "-q"); /* a key */
	assert_string_equal(cli.second, "-q");
	ACCEPTS("--restore=uploads");
	assert_null(cli.second);
	REFUSES("--restore needs TREE [SNAPSHOT] [PATH]", "--restore");
	REFUSES("unknown word", "--restore", "uploads", "latest", "a", "b");
	REFUSES("--restore does not take --to", "--restore", "uploads", "--to", "/mnt");
}

static void
no_words_at_all_are_answered_with_a_hint(void **state)
{
	static char *argv[] = { NULL };

	(void)state;
	assert_false(cli_parse(0, argv, verbs, &cli, &e));
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.msg, "agent --help"));
	assert_false(parse(NULL));
	assert_non_null(strstr(e.msg, "nothing to do"));
	REFUSES("nothing to do", "--json");
}

static void
two_verbs_are_refused_by_name(void **state)
{
	(void)state;
	REFUSES("one verb a call: --drain and --status were both given", "--drain", "--status");
	REFUSES("--drain was given twice", "--drain", "--drain");
	REFUSES("--peer was given twice", "--peer", "a", "--drain", "--peer=b");
	REFUSES("--quiet was given twice", "--drain", "-q", "--quiet");
}

static void
a_misspelt_word_is_named_with_the_nearest(void **state)
{
	char *longer = calloc(1, 1000001);

	(void)state;
	REFUSES("unknown word \"--drian\"; did you mean --drain?", "--drian");
	REFUSES("unknown word \"--statu\"; did you mean --status?", "--statu");
	REFUSES("unknown word \"drain\"; did you mean --drain?", "drain");
	REFUSES("unknown word \"-drain\"; did you mean --drain?", "-drain");
	REFUSES("unknown word \"--jason=1\"; did you mean --json?", "--drain", "--jason=1");
	REFUSES("unknown word \"--frobnicate\"; agent --help shows all", "--frobnicate");
	REFUSES("unknown word \"-x\"; agent --help", "-x");
	REFUSES("unknown word \"--\"; agent --help", "--");
	REFUSES("unknown word \"-\"; agent --help", "-");
	REFUSES("unknown word \"\"; agent --help", "");
	REFUSES("unknown word \"now\"", "--drain", "now");
	REFUSES("unknown word \"\xff\xfe\"", "\xff\xfe");
	assert_non_null(longer);
	memset(longer, 'x', 1000000);
	REFUSES("unknown word \"xxxx", longer);
	free(longer);
}

static void
an_option_without_its_value_is_refused(void **state)
{
	(void)state;
	REFUSES("--config needs FILE; write --config FILE", "--drain", "--config");
	REFUSES("--config needs FILE", "--config", "--drain");
	REFUSES("--config needs FILE", "--drain", "--config=");
	REFUSES("--peer needs NAME", "--drain", "--peer", "");
	REFUSES("--json takes no argument", "--drain", "--json=1");
}

static void
an_option_that_the_verb_does_not_take_is_refused(void **state)
{
	(void)state;
	REFUSES("--status does not take --allow-deletes", "--status", "--allow-deletes");
	REFUSES("--status does not take --dry-run", "--dry-run", "--status");
	REFUSES("--init does not take --peer", "--init", "--peer", "anna");
	REFUSES("--drain does not take --table", "--drain", "--table", "t");
	REFUSES("-q and -v contradict each other", "--drain", "-q", "-v");
}

static void
the_file_is_found_in_its_order(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(setenv("AGENT_CONF", "", 1), 0);
	ACCEPTS("--drain");
	if (access("/etc/agent.conf", F_OK) != 0)
		assert_string_equal(cli.config, "./agent.conf");
	fd = open("agent.conf", O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	ACCEPTS("--drain");
	assert_string_equal(cli.config, "./agent.conf");
	assert_int_equal(setenv("AGENT_CONF", "/env/agent.conf", 1), 0);
	ACCEPTS("--drain");
	assert_string_equal(cli.config, "/env/agent.conf");
	ACCEPTS("--drain", "--config", "x.conf");
	assert_string_equal(cli.config, "x.conf");
}

/* --- what is printed --------------------------------------------------------------------------- */

static int saved_stdout;

static void
capture(void)
{
	int fd = open("output", O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	(void)fflush(stdout);
	saved_stdout = dup(STDOUT_FILENO);
	assert_true(saved_stdout >= 0);
	assert_true(dup2(fd, STDOUT_FILENO) >= 0);
	(void)close(fd);
}

static void
release(void)
{
	ssize_t n;

	(void)fflush(stdout);
	(void)lseek(STDOUT_FILENO, 0, SEEK_SET);
	n = read(STDOUT_FILENO, output, sizeof output - 1);
	output[n < 0 ? 0 : n] = '\0';
	(void)dup2(saved_stdout, STDOUT_FILENO);
	(void)close(saved_stdout);
	(void)unlink("output");
}

static void
help_shows_verbs_options_files_and_exit_codes(void **state)
{
	static const char *const want[] = { "Usage: agent --VERB", "  --retry ID|all            try parked changes again",
		"--wait [SECONDS]", "-q, --quiet", "--config FILE", "-h, --help", "(--install, --drain, --restore)", "$AGENT_CONF", "  0  done",
		"  5  something needs a person", "Example:" };
	bool ok;

	(void)state;
	capture();
	ok = parse("--drain", "--help", NULL);
	release();
	assert_true(ok);
	assert_null(cli.verb);
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
		if (strstr(output, want[i]) == NULL)
			fail_msg("no \"%s\" in %s", want[i], output);
	for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (strstr(line, SYSCONFDIR) == NULL) /* as long as whoever configured it likes */
			assert_true(strlen(line) <= 100);
}

static void
version_names_the_libraries(void **state)
{
	static const char *const want[] = { "agent " PACKAGE_VERSION " (Tandem)\n", "libmariadb 3.", "libevent 2.", "libcurl ",
		"json-c 0.", "zstd 1.", "OpenSSL 3." };
	bool ok;

	(void)state;
	capture();
	ok = parse("--version", NULL);
	release();
	assert_true(ok);
	assert_null(cli.verb);
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
		if (strstr(output, want[i]) == NULL)
			fail_msg("no \"%s\" in %s", want[i], output);
}

static void
every_error_has_its_exit_code(void **state)
{
	static const enum exit_code want[] = {
		[ERR_NONE] = EXIT_DONE, [ERR_INTERNAL] = EXIT_FAILED, [ERR_MEMORY] = EXIT_FAILED, [ERR_LIMIT] = EXIT_FAILED,
		[ERR_USAGE] = EXIT_USAGE, [ERR_CONFIG] = EXIT_USAGE, [ERR_IO] = EXIT_FAILED, [ERR_INPUT] = EXIT_FAILED,
		[ERR_AUTH] = EXIT_FAILED, [ERR_STOPPED] = EXIT_FAILED, [ERR_PEER] = EXIT_PEER,
		[ERR_PEER_REFUSED] = EXIT_FAILED, [ERR_HELD] = EXIT_PERSON, [ERR_DB] = EXIT_DATABASE,
		[ERR_DB_LOST] = EXIT_DATABASE, [ERR_DB_ACCESS] = EXIT_DATABASE, [ERR_DB_MISSING] = EXIT_DATABASE,
		[ERR_DB_BUSY] = EXIT_DATABASE, [ERR_DB_DUPLICATE] = EXIT_DATABASE, [ERR_DB_REJECTED] = EXIT_DATABASE,
		[ERR_DB_FULL] = EXIT_DATABASE,
	};

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		struct err some = { .code = (enum err_code)i };

		assert_int_equal(cli_exit_code(&some), want[i]);
	}
}

/* --- --init --------------------------------------------------------------------------------------- */

static char text[20000]; /* of agent.conf */

static void
read_conf(void)
{
	FILE *f = fopen("agent.conf", "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	(void)fclose(f);
}

static enum exit_code
init(bool json, bool quiet)
{
	const struct cli c = { .verb = &verbs[0], .config = "./agent.conf", .json = json, .quiet = quiet };
	enum exit_code code;

	memset(&e, 0, sizeof e);
	capture();
	code = init_run(&c, NULL, &e);
	release();
	return code;
}

static void
init_writes_a_private_file_that_loads(void **state)
{
	struct conf *conf = NULL;
	struct stat st;
	mode_t old = umask(0);
	enum exit_code code = init(false, false);

	(void)state;
	(void)umask(old);
	assert_int_equal(code, EXIT_DONE);
	assert_int_equal(stat("agent.conf", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	if (!conf_load("./agent.conf", &conf, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(strlen(conf->node.monitor_key), 64);
	assert_true(strlen(conf->node.name) >= 1);
	assert_int_equal(conf->npeers, 0);
	conf_free(conf);
	assert_non_null(strstr(output, "./agent.conf is written"));
	assert_non_null(strstr(output, "agent --check"));
	assert_non_null(strstr(output, "agent --install"));
}

static void
the_peer_section_is_ready_when_its_comments_are_removed(void **state)
{
	struct conf *conf = NULL;
	FILE *f;

	(void)state;
	assert_int_equal(init(false, true), EXIT_DONE);
	assert_string_equal(output, "");
	read_conf();
	f = fopen("agent.conf", "w");
	assert_non_null(f);
	for (char *p = text; *p != '\0';) {
		size_t len = strcspn(p, "\n");
		bool peer = strncmp(p, "; [peer", 7) == 0 || strncmp(p, "; url =", 7) == 0 || strncmp(p, "; key =", 7) == 0;

		(void)fprintf(f, "%.*s\n", (int)len - (peer ? 2 : 0), p + (peer ? 2 : 0));
		p += len + (p[len] != '\0');
	}
	(void)fclose(f);
	if (!conf_load("./agent.conf", &conf, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(conf->npeers, 1);
	conf_free(conf);
}

static void
two_inits_make_different_secrets(void **state)
{
	char first[sizeof text];

	(void)state;
	assert_int_equal(init(false, true), EXIT_DONE);
	read_conf();
	memcpy(first, text, sizeof first);
	assert_null(strstr(first, "00000000000000000000000000000000"));
	assert_int_equal(unlink("agent.conf"), 0);
	assert_int_equal(init(false, true), EXIT_DONE);
	read_conf();
	assert_string_not_equal(first, text);
	assert_memory_not_equal(strstr(first, "\nmonitor_key = "), strstr(text, "\nmonitor_key = "), 60);
	assert_memory_not_equal(strstr(first, "\n; key = "), strstr(text, "\n; key = "), 60);
}

static void
init_never_overwrites(void **state)
{
	(void)state;
	assert_int_equal(init(false, true), EXIT_DONE);
	read_conf();
	assert_int_equal(init(false, false), EXIT_USAGE);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "agent.conf exists already; --init never overwrites"));
	assert_string_equal(output, "");
	assert_int_equal(unlink("agent.conf"), 0);
	assert_int_equal(symlink("elsewhere", "agent.conf"), 0);
	assert_int_equal(init(false, false), EXIT_USAGE);
	assert_int_not_equal(access("elsewhere", F_OK), 0);
}

static void
init_answers_in_json_without_secrets(void **state)
{
	char key[40];

	(void)state;
	assert_int_equal(init(true, false), EXIT_DONE);
	assert_non_null(strstr(output, "\"config\":\"./agent.conf\""));
	assert_non_null(strstr(output, "\"node\":\""));
	read_conf();
	(void)snprintf(key, sizeof key, "%.32s", strstr(text, "\nmonitor_key = ") + 15);
	assert_null(strstr(output, key));
}

static void
init_names_a_directory_that_is_not_there(void **state)
{
	const struct cli c = { .verb = &verbs[0], .config = "no/such/agent.conf" };

	(void)state;
	assert_int_equal(init_run(&c, NULL, &e), EXIT_USAGE);
	assert_non_null(strstr(e.msg, "cannot make no/such/agent.conf: "));
}

/* --- the process ------------------------------------------------------------------------------------ */

static void
a_private_directory_is_made_with_those_above_it(void **state)
{
	char path[200];
	struct stat st;
	int fd;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/a/b//c/", dir);
	for (int i = 0; i < 2; i++)
		assert_true(process_make_directory(path, &e));
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	fd = open("a/file", O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_false(process_make_directory("a/file/x", &e));
	assert_non_null(strstr(e.msg, "a/file is no directory"));
	assert_false(process_make_directory("/proc/nothing", &e));
	assert_non_null(strstr(e.msg, "cannot make the directory /proc/nothing"));
	assert_int_equal(unlink("a/file") | rmdir("a/b/c") | rmdir("a/b") | rmdir("a"), 0);
}

static void
the_process_is_prepared(void **state)
{
	mode_t old = umask(022);

	(void)state;
	assert_int_equal(setenv("https_proxy", "http://evil:3128", 1), 0);
	assert_int_equal(setenv("SSLKEYLOGFILE", "/tmp/keys", 1), 0);
	process_prepare();
	assert_null(getenv("https_proxy"));
	assert_null(getenv("SSLKEYLOGFILE"));
	assert_int_equal(umask(old), 077);
}

/* --- the manual page ---------------------------------------------------------------------------------- */

/* The next "-word" of a line ".It Fl -a , -b Ar c", without its hyphen; *p goes on behind it. False at the end. */
static bool
next_item(const char **p, char *word, size_t size)
{
	static const char head[] = "\n.It Fl ";

	for (const char *at = *p; (at = strstr(at, " -")) != NULL; at++) {
		const char *line = at;

		while (*line != '\n')
			line--;
		if (strncmp(line, head, sizeof head - 1) != 0)
			continue;
		(void)snprintf(word, size, "%.*s", (int)strcspn(at + 2, " \n"), at + 2);
		*p = at + 2;
		return true;
	}
	return false;
}

static bool
in_manual(const char *manual, const char *name)
{
	char word[64];

	while (next_item(&manual, word, sizeof word))
		if (strcmp(word, name) == 0)
			return true;
	return false;
}

static bool
is_verb_or_option(const char *name)
{
	struct cli_option o;

	for (const struct verb *v = verb_table; v->name != NULL; v++)
		if (strcmp(v->name, name) == 0)
			return true;
	for (size_t i = 0; cli_option(i, &o); i++)
		if (strcmp(o.name, name) == 0)
			return true;
	return false;
}

static void
the_manual_page_has_every_verb_and_option_and_no_other(void **state)
{
	char *manual = manual_read("agent.8"), word[64];
	const char *p = manual;
	struct cli_option o;

	(void)state;
	if (manual == NULL)
		skip();
	for (const struct verb *v = verb_table; v->name != NULL; v++)
		if (!in_manual(manual, v->name))
			fail_msg("docs/agent.8 lacks .It Fl -%s", v->name);
	for (size_t i = 0; cli_option(i, &o); i++)
		if (!in_manual(manual, o.name))
			fail_msg("docs/agent.8 lacks .It Fl -%s", o.name);
	while (next_item(&p, word, sizeof word))
		if (!is_verb_or_option(word))
			fail_msg("docs/agent.8 has -%s, which agent does not take", word);
	free(manual);
}

#define T(name) cmocka_unit_test_teardown(name, clean)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_verb_is_found), T(options_may_stand_before_and_behind_the_verb), T(values_follow_as_next_word_or_behind_equals),
		T(a_verbs_argument_is_needed_or_may_be_left_out),
		T(a_verb_may_take_two_arguments), T(no_words_at_all_are_answered_with_a_hint),
		T(a_verb_may_take_arguments_that_may_be_left_out), T(no_words_at_all_are_answered_with_a_hint),
		T(two_verbs_are_refused_by_name), T(a_misspelt_word_is_named_with_the_nearest),
		T(an_option_without_its_value_is_refused), T(an_option_that_the_verb_does_not_take_is_refused),
		T(the_file_is_found_in_its_order), T(help_shows_verbs_options_files_and_exit_codes), T(version_names_the_libraries),
		T(every_error_has_its_exit_code), T(init_writes_a_private_file_that_loads),
		T(the_peer_section_is_ready_when_its_comments_are_removed), T(two_inits_make_different_secrets),
		T(init_never_overwrites), T(init_answers_in_json_without_secrets), T(init_names_a_directory_that_is_not_there),
		T(a_private_directory_is_made_with_those_above_it), T(the_process_is_prepared),
		T(the_manual_page_has_every_verb_and_option_and_no_other),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
