/* base/conf: agent.conf as file, lines, values and whole; wildcards; the example is complete. */
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

#include "base/asset.h"
#include "base/conf.h"
#include "manual.h"

#define KEY "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define KEY2 "b1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define NODE "[node]\nname = anna\nmonitor_key = 0123456789abcdef0123456789abcdef\n" /* 3 lines */
#define DATABASE "[database]\nuser = u\nname = shop\n"			       /* 3 lines */
#define BASE NODE DATABASE
#define PEER "[peer berta]\nurl = https://berta:8440\nkey = " KEY "\n" /* 3 lines */

static char dir[] = "/tmp/tandem-test-XXXXXX";
static char path[64];
static struct conf *conf; /* of the last load that went well */

static int
make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof path, "%s/agent.conf", dir);
	return setenv("XDG_STATE_HOME", "/var/state", 1);
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int
after(void **state)
{
	(void)state;
	conf_free(conf);
	conf = NULL;
	(void)unlink(path);
	return 0;
}

static void
write_file(const void *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void
accept_bytes(const void *text, size_t len)
{
	struct err e = { .code = ERR_NONE };

	conf_free(conf);
	conf = NULL;
	write_file(text, len, 0600);
	if (!conf_load(path, &conf, &e))
		fail_msg("refused: %s", e.msg);
}

static void
accepts(const char *text)
{
	accept_bytes(text, strlen(text));
}

/* Refused with "PATH:LINE: " (line 0: "PATH: ") and want somewhere behind it; the base's secrets
 * must never be in the message. */
static void
refuse_bytes(const void *text, size_t len, unsigned line, const char *want)
{
	struct conf *c = NULL;
	struct err e = { .code = ERR_NONE };
	char head[100];

	write_file(text, len, 0600);
	if (conf_load(path, &c, &e)) {
		conf_free(c);
		fail_msg("accepted, but wanted: %s", want);
	}
	if (line == 0)
		(void)snprintf(head, sizeof head, "%s: ", path);
	else
		(void)snprintf(head, sizeof head, "%s:%u: ", path, line);
	assert_null(c);
	assert_int_equal(e.code, ERR_CONFIG);
	if (strncmp(e.msg, head, strlen(head)) != 0 || strstr(e.msg + strlen(head), want) == NULL)
		fail_msg("wanted %s...%s, got %s", head, want, e.msg);
	assert_null(strstr(e.msg, "0123456789abcdef"));
	assert_null(strstr(e.msg, "a1b2c3d4"));
	assert_null(strstr(e.msg, "hunter2"));
}

static void
refuses(const char *text, unsigned line, const char *want)
{
	refuse_bytes(text, strlen(text), line, want);
}

/* --- the file -------------------------------------------------------------------------------- */

static void
a_missing_file_names_the_way_to_make_one(void **state)
{
	struct err e;

	(void)state;
	assert_false(conf_load(path, &conf, &e));
	assert_int_equal(e.code, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "agent --init"));
}

static void
a_file_that_others_may_touch_is_refused(void **state)
{
	static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0610, 0644, 0666, 0777 };
	struct err e;
	char want[200];

	(void)state;
	(void)snprintf(want, sizeof want, "agent.conf is readable by others: chmod 600 %s", path);
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		write_file(BASE, sizeof BASE - 1, modes[i]);
		assert_false(conf_load(path, &conf, &e));
		assert_non_null(strstr(e.msg, want));
	}
	write_file(BASE, sizeof BASE - 1, 0400);
	assert_true(conf_load(path, &conf, &e));
}

static void
a_file_of_another_user_is_refused(void **state)
{
	struct err e;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file(BASE, sizeof BASE - 1, 0600);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_false(conf_load(path, &conf, &e));
	assert_non_null(strstr(e.msg, "belongs to user 12345"));
}

static void
a_symbolic_link_is_refused(void **state)
{
	char real[100];
	struct err e;

	(void)state;
	write_file(BASE, sizeof BASE - 1, 0600);
	(void)snprintf(real, sizeof real, "%s.real", path);
	assert_int_equal(rename(path, real), 0);
	assert_int_equal(symlink(real, path), 0);
	assert_false(conf_load(path, &conf, &e));
	assert_non_null(strstr(e.msg, "symbolic link"));
	assert_int_equal(unlink(real), 0);
}

static void
a_fifo_is_refused_and_not_waited_for(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)alarm(10);
	assert_false(conf_load(path, &conf, &e));
	(void)alarm(0);
	assert_non_null(strstr(e.msg, "not a regular file"));
}

static void
a_directory_is_refused(void **state)
{
	struct err e;

	(void)state;
	assert_false(conf_load(dir, &conf, &e));
	assert_non_null(strstr(e.msg, "is a directory"));
}

static void
a_big_file_is_refused_unread(void **state)
{
	struct err e;

	(void)state;
	write_file(BASE, sizeof BASE - 1, 0600);
	assert_int_equal(truncate(path, 1024 * 1024 + 1), 0);
	assert_false(conf_load(path, &conf, &e));
	assert_non_null(strstr(e.msg, "is larger than 1048576 bytes"));
}

static void
a_long_path_leaves_room_for_the_message(void **state)
{
	char longer[1000];
	struct err e;

	(void)state;
	memset(longer, 'x', sizeof longer);
	longer[0] = '/';
	longer[sizeof longer - 1] = '\0';
	assert_false(conf_load(longer, &conf, &e));
	assert_non_null(strstr(e.msg, "xxx: cannot be opened: "));
}

/* --- bytes and lines -------------------------------------------------------------------------- */

static void
an_empty_file_lacks_everything(void **state)
{
	(void)state;
	refuses("", 0, "[node] has no name; add \"name = ...\"");
	refuses("\n\n; nothing\n", 0, "[node] has no name");
}

static void
a_byte_order_mark_and_dos_line_ends_are_read(void **state)
{
	(void)state;
	accepts("\xEF\xBB\xBF[node]\r\nname = anna\r\nmonitor_key = 0123456789abcdef0123456789abcdef\r\n"
		"\r\n[database]\r\nuser = u\r\nname = shop\r\npassword = s3cret\r\n");
	assert_string_equal(conf->node.name, "anna");
	assert_string_equal(conf->database.password, "s3cret");
}

static void
a_file_without_a_last_line_end_is_read(void **state)
{
	(void)state;
	accepts(BASE "password = last");
	assert_string_equal(conf->database.password, "last");
	accepts(BASE "[log]");
}

static void
bytes_that_are_no_text_are_refused_with_their_line(void **state)
{
	static const char nul[] = NODE "# a\0b\n" DATABASE, nul_value[] = BASE "password = a\0b\n";

	(void)state;
	refuse_bytes(nul, sizeof nul - 1, 4, "NUL byte at column 4");
	refuse_bytes(nul_value, sizeof nul_value - 1, 7, "NUL byte at column 13");
	refuses(BASE "password = a\x1b[2J\n", 7, "control character 0x1b");
	refuses(BASE "password = a\rb\n", 7, "control character 0x0d");
	refuses(BASE "password = a\x7f\n", 7, "control character 0x7f");
	refuses(BASE "password = caf\xe9\n", 7, "byte 0xe9 at column 15 is not UTF-8");
	refuses("\xff\xfe[node]\n", 1, "byte 0xff");
	accepts(BASE "password = caf\xc3\xa9\n");
	assert_string_equal(conf->database.password, "caf\xc3\xa9");
}

static void
lines_that_say_nothing_are_refused(void **state)
{
	(void)state;
	refuses(NODE "what is this\n" DATABASE, 4, "expected \"option = value\"");
	refuses(BASE "hunter2\n", 7, "expected \"option = value\"");
	refuses(BASE "password = x\nhunter2", 8, "expected \"option = value\"");
	refuses(BASE "= x\n", 7, "unknown option \"\"");
	refuses("name = anna\n" BASE, 1, "\"name\" stands before any section");
	refuses(BASE "[peer berta\n", 7, "a section line is");
	refuses(BASE "[]\n", 7, "a section line is");
	refuses(BASE "[log] ; behind\n", 7, "a section line is");
}

static void
comments_stand_on_lines_of_their_own(void **state)
{
	(void)state;
	accepts("; one\n# two\n   ; three\n" BASE "password = a;b#c\n");
	assert_string_equal(conf->database.password, "a;b#c");
	refuses(BASE "password = hunter2 ; secret\n", 7, "a ; behind a blank");
	refuses(BASE "[sync]\ntables = a,\n  b ; c\n", 9, "a ; behind a blank");
}

static void
spaces_around_names_and_values_do_not_count(void **state)
{
	(void)state;
	accepts(BASE "password=x y\nhost\t=\t db.local \t\n[ peer   berta ]\nurl=https://b:1\nkey:" KEY "\n");
	assert_string_equal(conf->database.password, "x y");
	assert_string_equal(conf->database.host, "db.local");
	assert_string_equal(conf->peers[0].name, "berta");
}

static void
lists_continue_on_indented_lines(void **state)
{
	(void)state;
	accepts(BASE "[sync]\ntables = orders,\n\titems\n; between\n\n  cust*, x\nexclude = tmp_*\n");
	assert_string_equal(conf->sync.tables, "orders,, items, cust*, x");
	assert_string_equal(conf->sync.exclude, "tmp_*");
	assert_true(conf_wants_table(conf, "items"));
	assert_true(conf_wants_table(conf, "customers"));
	assert_false(conf_wants_table(conf, "order"));
	accepts(BASE "[sync]\ntables =\n  one\n  two\n");
	assert_true(conf_wants_table(conf, "one"));
	assert_true(conf_wants_table(conf, "two"));
	assert_false(conf_wants_table(conf, "onetwo"));
}

static void
an_indented_line_continues_nothing_else(void **state)
{
	(void)state;
	refuses(NODE "[database]\nuser = u\n  name = shop\n", 6, "begin in the first column");
	refuses(BASE "password = a\n  hunter2\n", 8, "an indented line continues a list, and none stands before it");
	refuses(BASE "[sync]\n  a, b\n", 8, "continues a list");
	refuses(BASE "[sync]\ntables = a\n[log]\n  b\n", 10, "continues a list");
	refuses(BASE "[sync]\ntables = a\n [log]\n", 9, "begin in the first column");
	refuses(" [node]\n", 1, "begin in the first column");
}

/* BASE and "[sync]\ntables = " and a list of n names of 10 bytes, in one line. */
static char *
long_list(size_t n, const char *glue)
{
	char *text = malloc(1000 + n * 20);
	size_t len;

	assert_non_null(text);
	len = (size_t)snprintf(text, 1000, "%s[sync]\ntables = ", BASE);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, 20, "%stab%04zu", i == 0 ? "" : glue, i);
	(void)snprintf(text + len, 2, "\n");
	return text;
}

static void
a_long_line_is_read_whole(void **state)
{
	static const char *const glue[] = { ",", ", ", " , ", ",  " };

	(void)state;
	for (size_t g = 0; g < sizeof glue / sizeof glue[0]; g++) {
		for (size_t n = 10; n < 330; n += 7) {
			char *text = long_list(n, glue[g]), *value = strstr(text, "tab0000");

			accepts(text);
			value[strlen(value) - 1] = '\0';
			assert_string_equal(conf->sync.tables, value);
			free(text);
		}
	}
}

static void
a_long_password_is_not_cut(void **state)
{
	char text[2000], want[1025];

	(void)state;
	for (size_t n = 150; n <= 1024; n++) {
		for (size_t i = 0; i < n; i++) /* all that libinih could misread */
			want[i] = "ab;=#[]:x"[(i * 7 + n) % 9];
		want[0] = '=';
		want[n] = '\0';
		(void)snprintf(text, sizeof text, "%spassword = %s\n", BASE, want);
		accepts(text);
		assert_string_equal(conf->database.password, want);
	}
}

static void
lines_have_a_limit_that_is_told(void **state)
{
	char *text = malloc(70000), *at;

	(void)state;
	assert_non_null(text);
	at = text + snprintf(text, 1000, "%s[sync]\n", BASE);
	memset(at, 'x', 5000);
	memcpy(at, "tables = ", 9);
	at[4096] = '\n';
	at[4097] = '\0';
	accepts(text);
	assert_int_equal(strlen(conf->sync.tables), 4096 - 9);
	at[4096] = 'x';
	at[4097] = '\n';
	at[4098] = '\0';
	refuses(text, 8, "line of 4097 bytes, at most 4096 are read; a list may continue on the next line, indented");
	memset(at + 20, ' ', 300);
	refuses(text, 8, "line of 4097 bytes");
	at[1000] = '\n';
	at[1001] = '\0';
	refuses(text, 8, "too many blanks in a row");
	free(text);
}

static void
a_value_over_many_lines_has_a_limit(void **state)
{
	char *text = malloc(80000);
	size_t len;

	(void)state;
	assert_non_null(text);
	len = (size_t)snprintf(text, 1000, "%s[sync]\ntables = a\n", BASE);
	while (len < 70000)
		len += (size_t)snprintf(text + len, 200, "  some_table_with_a_longer_name_%zu\n", len);
	refuses(text, 8, "tables is longer than 65536 bytes");
	free(text);
}

static void
a_long_section_name_is_not_cut(void **state)
{
	char text[2000], name[400];

	(void)state;
	memset(name, 't', sizeof name);
	name[256] = '\0';
	(void)snprintf(text, sizeof text, "%s[table %s]\npriority = normal\n", BASE, name);
	accepts(text);
	assert_int_equal(conf->ntables, 1);
	assert_string_equal(conf->tables[0].name, name);
	name[256] = 't';
	name[257] = '\0';
	(void)snprintf(text, sizeof text, "%s[table %s]\n", BASE, name);
	refuses(text, 7, "a table's name has at most 64 characters");
	name[257] = 't';
	name[399] = '\0';
	(void)snprintf(text, sizeof text, "%s[table %s]\n", BASE, name);
	refuses(text, 7, "at most 320 bytes");
}

/* --- sections and options -------------------------------------------------------------------- */

static void
unknown_and_doubled_words_are_refused(void **state)
{
	(void)state;
	refuses(BASE "[snyc]\n", 7, "unknown section [snyc]; there are [node], [database]");
	refuses(BASE "pasword = hunter2\n", 7, "unknown option \"pasword\"; [database] has host, port, socket, user, password");
	refuses(BASE "Host = x\n", 7, "unknown option \"Host\"");
	refuses(BASE "[log]\nhost = x\n", 8, "unknown option \"host\"; [log] has level, target, max_size, keep");
	refuses(BASE "a_name_that_is_so_long_that_libinih_would_cut_it_somewhere_in_the_middle = x\n", 7, "unknown option");
	refuses(BASE "host = a\nport = 1\nhost = a\n", 9, "host was given in line 7 already");
	refuses(BASE "[node]\n", 7, "[node] was given in line 1 already");
	refuses(BASE PEER "[peer berta]\n", 10, "[peer berta] was given in line 7 already");
	refuses(BASE PEER "[peer BERTA]\n", 10, "was given in line 7 already");
	refuses(BASE "[table a]\n[table a]\n", 8, "[table a] was given before");
	refuses(BASE "[peer]\n", 7, "[peer] needs a name: [peer NAME]");
	refuses(BASE "[log x]\n", 7, "[log] takes no name");
	refuses(BASE "[tree]\n", 7, "[tree] needs a name: [tree NAME]");
}

static void
missing_options_are_named_with_their_section(void **state)
{
	(void)state;
	refuses("[node]\nmonitor_key = 0123456789abcdef0123456789abcdef\n" DATABASE, 1, "[node] has no name");
	refuses("[node]\nname = anna\n" DATABASE, 1, "[node] has no monitor_key; add \"monitor_key = ...\" (password of the page");
	refuses(NODE, 0, "[database] has no user");
	refuses(NODE "[database]\nname = shop\n", 4, "[database] has no user");
	refuses(NODE "[database]\nuser = u\n", 4, "[database] has no name");
	refuses(BASE "[peer berta]\n", 7, "[peer berta] has no key");
	refuses(BASE "[peer berta]\nurl = https://b\n[log]\n", 7, "[peer berta] has no key");
	accepts(BASE PEER "[peer carl]\nkey = " KEY2 "\n"); /* it calls, and fetches */
	accepts(BASE PEER "[peer carl]\nurl =\nkey = " KEY2 "\ntls_pin = sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	refuses(BASE PEER "[peer carl]\npull = yes\nkey = " KEY2 "\n", 10, "[peer carl] has pull = yes but no url");
	refuses(BASE PEER "[peer carl]\nkey = " KEY "\n", 10, "[peer carl] has the key of [peer berta]");
}

static void
too_many_peers_are_refused(void **state)
{
	char *text = malloc(100000);
	size_t len;

	(void)state;
	assert_non_null(text);
	len = (size_t)snprintf(text, 1000, "%s", BASE);
	for (unsigned i = 1; i <= 64; i++)
		len += (size_t)snprintf(text + len, 200, "[peer p%u]\nurl = https://p%u:8440\nkey = %064x\n", i, i, i);
	accepts(text);
	assert_int_equal(conf->npeers, 64);
	assert_string_equal(conf_peer(conf, "p64")->url, "https://p64:8440");
	assert_int_equal(conf_peer(conf, "p64")->key[31], 64);
	(void)snprintf(text + len, 200, "[peer p65]\n");
	refuses(text, 7 + 64 * 3, "more than 64 peers");
	free(text);
}

static void
many_tables_are_read(void **state)
{
	char *text = malloc(200000);
	size_t len;

	(void)state;
	assert_non_null(text);
	len = (size_t)snprintf(text, 1000, "%s", BASE);
	for (unsigned i = 0; i < 4096; i++)
		len += (size_t)snprintf(text + len, 200, "[table t%u]\n%s", i, i == 4000 ? "direction = both\n" : "");
	accepts(text);
	assert_int_equal(conf->ntables, 4096);
	assert_string_equal(conf->tables[4095].name, "t4095");
	assert_string_equal(conf->tables[4095].priority, "normal");
	assert_string_equal(conf->tables[4000].direction, "both");
	(void)snprintf(text + len, 200, "[table one_more]\n");
	refuses(text, 7 + 4097, "more than 4096 [table] sections");
	free(text);
}

/* --- values ---------------------------------------------------------------------------------- */

static void
what_is_not_given_has_its_default(void **state)
{
	(void)state;
	accepts(BASE PEER "[table t]\n");
	assert_string_equal(conf->path, path);
	assert_string_equal(conf->node.state_dir, "/var/state/tandem");
	assert_string_equal(conf->node.listen, "127.0.0.1:8440");
	assert_string_equal(conf->node.monitor, "127.0.0.1:8441");
	assert_true(conf->node.tls);
	assert_string_equal(conf->node.identity, "/var/state/tandem/tls.pem");
	assert_string_equal(conf->database.host, "127.0.0.1");
	assert_int_equal(conf->database.port, 3306);
	assert_string_equal(conf->database.socket, "");
	assert_string_equal(conf->database.password, "");
	assert_string_equal(conf->database.sync_database, "shop_sync");
	assert_string_equal(conf->sync.tables, "*");
	assert_string_equal(conf->sync.exclude, "");
	assert_int_equal(conf->sync.interval_ms, 20);
	assert_int_equal(conf->sync.timeout_ms, 30000);
	assert_int_equal(conf->sync.max_attempts, 3);
	assert_int_equal(conf->sync.retention_days, 30);
	assert_int_equal(conf->sync.conflict, POLICY_NEWER);
	assert_string_equal(conf->sync.conflict_node, "");
	assert_int_equal(conf->sync.max_clock_skew_ms, 30000);
	assert_string_equal(conf->sync.notify, "");
	assert_int_equal(conf->sync.notify_after_ms, 24 * 3600 * 1000);
	assert_int_equal(conf->sync.group_rows, 100000);
	assert_int_equal(conf->sync.max_queue, 100000000);
	assert_int_equal(conf->sync.max_conflicts, 1000000);
	assert_int_equal(conf->sync.max_delete.percent, 50);
	assert_int_equal(conf->sync.max_delete.rows, 1000);
	assert_int_equal(conf->npeers, 1);
	assert_false(conf->peers[0].pull);
	assert_false(conf->peers[0].paused);
	assert_string_equal(conf->peers[0].tls_pin, "");
	assert_int_equal(conf->peers[0].key[0], 0xa1);
	assert_int_equal(conf->peers[0].key[31], 0x90);
	assert_int_equal(conf->log.level, LOG_LEVEL_INFO);
	assert_string_equal(conf->log.target, "stderr");
	assert_int_equal(conf->log.max_bytes, 10 * 1024 * 1024);
	assert_int_equal(conf->log.keep, 4);
	assert_string_equal(conf->tables[0].priority, "normal");
	assert_string_equal(conf->tables[0].direction, "both");
	assert_ptr_equal(conf_peer(conf, "berta"), &conf->peers[0]);
	assert_null(conf_peer(conf, "Berta"));
	assert_null(conf_peer(conf, "nobody"));
}

static void
names_have_few_letters(void **state)
{
	static const char *const bad[] = { "", "a b", "a/b", "\xc3\xa4", "a'b", "a@b", "123456789012345678901234567890123" };
	char text[500];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "[node]\nname = %s\n", bad[i]);
		refuses(text, 2, "name must be 1 to 32 letters");
		(void)snprintf(text, sizeof text, "%s[peer %s]\n", BASE, bad[i]);
		refuses(text, 7, bad[i][0] == '\0' ? "needs a name" : "a peer's name must be 1 to 32");
	}
	accepts("[node]\nname = A.b_c-9\nmonitor_key = 0123456789ABCDEF0123456789abcdef\n" DATABASE);
}

static void
numbers_have_bounds(void **state)
{
	static const char *const bad[] = { "70000", "0", "-1", "1e9", "0x10", "3306 ", "3306a", "", "99999999999999999999", "3,306" };
	char text[500];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		bool same = strcmp(bad[i], "3306 ") == 0; /* trimmed */

		(void)snprintf(text, sizeof text, "%sport = %s\n", BASE, bad[i]);
		if (same)
			accepts(text);
		else
			refuses(text, 7, "port must be a number from 1 to 65535, not \"");
	}
	refuses(BASE "[sync]\ngroup_rows = 10000001\n", 8, "from 1 to 10000000");
	accepts(BASE "port = 65535\n[sync]\nmax_attempts = 1\n");
	assert_int_equal(conf->database.port, 65535);
}

static void
a_duration_needs_its_unit(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = { { "1ms", 1 }, { "20ms", 20 }, { "30s", 30000 }, { "5m", 300000 }, { "1h", 3600000 } };
	static const char *const bad[] = { "20", "20 ms", "1.5s", "-1s", "s", "", "20MS", "2h", "61m", "0ms", "1d",
		"20msx", "99999999999999999999ms", "106751991167301d" };
	char text[500];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[sync]\ninterval = %s\n", BASE, good[i].text);
		accepts(text);
		assert_int_equal(conf->sync.interval_ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[sync]\ninterval = %s\n", BASE, bad[i]);
		refuses(text, 8, "interval must be a duration from 1ms to 1h with its unit (ms, s, m, h or d), not \"");
	}
	refuses(BASE "[sync]\nmax_clock_skew = 30\n", 8, "from 100ms to 1d");
}

static void
days_may_leave_their_unit_out(void **state)
{
	(void)state;
	accepts(BASE "[sync]\nretention_days = 7\n");
	assert_int_equal(conf->sync.retention_days, 7);
	accepts(BASE "[sync]\nretention_days = 365d\n");
	assert_int_equal(conf->sync.retention_days, 365);
	refuses(BASE "[sync]\nretention_days = 7h\n", 8, "a number of days from 1 to 3650");
	refuses(BASE "[sync]\nretention_days = 0\n", 8, "a number of days from 1 to 3650");
}

static void
a_switch_is_on_or_off(void **state)
{
	static const char *const yes[] = { "on", "yes", "true" }, *const no[] = { "off", "no", "false" };
	char text[500];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(text, sizeof text, "%s%spaused = %s\n", BASE, PEER, yes[i]);
		accepts(text);
		assert_true(conf->peers[0].paused);
		(void)snprintf(text, sizeof text, "%s%spaused = %s\npull = %s\n", BASE, PEER, no[i], no[i]);
		accepts(text);
		assert_false(conf->peers[0].paused);
	}
	refuses(BASE PEER "paused = maybe\n", 10, "paused must be on or off (yes, no, true, false are read too), not \"maybe\"");
	refuses(BASE PEER "paused = 1\n", 10, "paused must be on or off");
	refuses(BASE PEER "paused =\n", 10, "paused must be on or off");
}

static void
an_address_has_host_and_port(void **state)
{
	static const char *const good[] = { "0.0.0.0:1", "[::1]:65535", "[::]:8440", "laptop-1.local:8440" };
	static const char *const bad[] = { "8440", ":8440", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:-1", "127.0.0.1:84x", "::1:8440", "[::1]", "[]:1", "*:8440", "a b:1", "http://a:1", "", "\xc3\xa4:1",
		"a:1:2", "-a:1" };
	char text[500];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		(void)snprintf(text, sizeof text, "%slisten = %s\n%s", NODE, good[i], DATABASE);
		accepts(text);
		assert_string_equal(conf->node.listen, good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "%smonitor = %s\n%s", NODE, bad[i], DATABASE);
		refuses(text, 4, "monitor must be HOST:PORT with a port from 1 to 65535");
	}
}

static void
a_url_is_scheme_host_and_port_alone(void **state)
{
	static const struct {
		const char *text, *stored;
	} good[] = {
		{ "http://berta", "http://berta" }, { "http://berta/", "http://berta" },
		{ "https://berta.example:443/", "https://berta.example:443" }, { "http://[fe80::1]:8440", "http://[fe80::1]:8440" },
		{ "http://10.0.0.1:65535", "http://10.0.0.1:65535" },
	};
	static const struct {
		const char *text, *want;
	} bad[] = {
		{ "berta:8440", "must be http://HOST:PORT" }, { "file:///etc/passwd", "must be http://HOST:PORT" },
		{ "ftp://berta", "must be http://HOST:PORT" }, { "HTTP://berta", "must be http://HOST:PORT" },
		{ "http://", "must be http" }, { "http:///", "must be http" }, { "http://u:hunter2@berta", "must not hold a user" },
		{ "http://berta?api_key=hunter2", "must not hold a query" }, { "http://berta/?k=hunter2", "must not hold a query" },
		{ "http://berta#x", "must not hold a query" }, { "http://berta/api", "without a path" }, { "http://berta//", "without a path" },
		{ "http://berta:0", "the port from 1 to 65535" }, { "http://berta:65536", "the port from" }, { "http://berta:", "the port from" },
		{ "http://berta:80x", "the port from" }, { "http://berta:000000080", "the port from" }, { "http://b\xc3\xa4r", "without a path" },
		{ "http://berta\\@evil", "must not hold a user" }, { "http://be rta", "without a path" },
	};
	char text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[peer berta]\nkey = %s\nurl = %s\n", NODE "tls = off\n" DATABASE, KEY, good[i].text);
		accepts(text);
		assert_string_equal(conf->peers[0].url, good[i].stored);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[peer berta]\nkey = %s\nurl = %s\n", BASE, KEY, bad[i].text);
		refuses(text, 9, bad[i].want);
	}
}

static void
a_key_is_64_digits_of_ones_own(void **state)
{
	char text[1000];

	(void)state;
	(void)snprintf(text, sizeof text, "%s[peer b]\nurl = https://b\nkey = %.63s\n", BASE, KEY);
	refuses(text, 9, "key must be exactly 64 hexadecimal digits");
	refuses(BASE "[peer b]\nurl = https://b\nkey = " KEY "0\n", 9, "key must be exactly 64");
	refuses(BASE "[peer b]\nurl = https://b\nkey = " KEY " " KEY "\n", 9, "key must be exactly 64");
	(void)snprintf(text, sizeof text, "%s[peer b]\nurl = https://b\nkey = %.63sg\n", BASE, KEY);
	refuses(text, 9, "key must be exactly 64");
	(void)snprintf(text, sizeof text, "%s[peer b]\nurl = https://b\nkey = %064d\n", BASE, 0);
	refuses(text, 9, "not the example's zeros");
	refuses(BASE PEER "[peer carl]\nurl = https://c\nkey = " KEY "\n", 10, "[peer carl] has the key of [peer berta]");
	accepts(BASE PEER "[peer carl]\nurl = https://c\nkey = " KEY2 "\n");
	assert_int_equal(conf->npeers, 2);
}

static void
a_monitor_key_is_long_and_not_the_examples(void **state)
{
	(void)state;
	refuses("[node]\nname = a\nmonitor_key = a1b2c3d4\n", 3, "monitor_key must be 32 to 128 hexadecimal digits");
	refuses("[node]\nname = a\nmonitor_key = 00000000000000000000000000000000\n", 3, "not the example's zeros");
	refuses("[node]\nname = a\nmonitor_key = hunter2hunter2hunter2hunter2hunter2\n", 3, "monitor_key must be 32");
	refuses("[node]\nname = a\nmonitor_key =\n", 3, "monitor_key must be 32");
}

static void
secrets_are_never_in_a_message(void **state)
{
	char text[3000];

	(void)state; /* refuses() looks for hunter2 and the keys */
	(void)snprintf(text, sizeof text, "%spassword = hunter2%01050d\n", BASE, 1);
	refuses(text, 7, "password must be 0 to 1024 bytes long");
	refuses(BASE PEER "key = hunter2\n", 10, "key was given in line 9 already");
	refuses(BASE "[peer b]\nkey = hunter2\n", 8, "key must be exactly 64");
}

static void
policies_are_read_but_not_all_are_there_yet(void **state)
{
	static const char *const later[] = { "prefer berta", "prefer  berta", "manual" };
	static const enum conf_policy policies[] = { POLICY_PREFER, POLICY_PREFER, POLICY_MANUAL };
	struct conf_rule rule;
	static const char *const bad[] = { "older", "prefer", "prefer ", "prefer a b", "preferberta", "Newer", "" };
	char text[500];

	(void)state;
	accepts(BASE "[sync]\nconflict = newer\n[table t]\nconflict = newer\n");
	accepts(BASE "[sync]\nconflict = merge\n[table t]\nconflict = newer\n[table u]\nconflict =\n");
	conf_rule(conf, "t", &rule);
	assert_int_equal(rule.policy, POLICY_NEWER);
	conf_rule(conf, "u", &rule);
	assert_int_equal(rule.policy, POLICY_MERGE);
	conf_rule(conf, "v", &rule);
	assert_int_equal(rule.policy, POLICY_MERGE);
	for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[sync]\nconflict = %s\n[table t]\nconflict = newer\n", BASE, later[i]);
		accepts(text);
		conf_rule(conf, "u", &rule);
		assert_int_equal(rule.policy, policies[i]);
		assert_string_equal(rule.node, policies[i] == POLICY_PREFER ? "berta" : "");
		conf_rule(conf, "t", &rule);
		assert_int_equal(rule.policy, POLICY_NEWER);
		assert_string_equal(rule.node, "");
		(void)snprintf(text, sizeof text, "%s[table t]\nconflict = %s\n", BASE, later[i]);
		accepts(text);
		conf_rule(conf, "t", &rule);
		assert_int_equal(rule.policy, policies[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[sync]\nconflict = %s\n", BASE, bad[i]);
		refuses(text, 8, "conflict must be newer, prefer NODE, merge or manual");
	}
}

static void
what_this_version_lacks_is_said(void **state)
{
	(void)state;
	accepts(BASE PEER "pull = yes\n");
	refuses(BASE "[table t]\napp_triggers = ask\n", 8, "app_triggers must be one of guard|run| or empty");
	accepts(BASE "[table t]\ndirection = send\n[table u]\ndirection = receive\npriority = low\n");
	assert_int_equal(conf_direction(conf, "t"), DIRECTION_SEND);
	assert_int_equal(conf_direction(conf, "u"), DIRECTION_RECEIVE);
	assert_int_equal(conf_direction(conf, "v"), DIRECTION_BOTH);
	assert_int_equal(conf_priority(conf, "t"), conf_priority(conf, "v"));
	assert_true(conf_priority(conf, "u") > conf_priority(conf, "v"));
	refuses(BASE "[table t]\ndirection = up\n", 8, "direction must be one of both|send|receive, not \"up\"");
	accepts(NODE "tls = no\n" DATABASE "[table t]\ndirection = both\nadd = a, b\npriority = normal\n");
	refuses(BASE "[sync]\napp_triggers = ask\n", 8, "app_triggers must be one of guard|run| or empty");
	accepts(BASE "[table t]\napp_triggers = guard\n[table u]\napp_triggers = run\n[table v]\napp_triggers =\n");
	accepts(BASE "[table t]\npriority = high\n");
	assert_true(conf_priority(conf, "t") < conf_priority(conf, "v"));
	refuses(BASE "[table t]\npriority = urgent\n", 8, "priority must be one of high|normal|low");
	refuses(BASE "[sync]\nnotify = mail\n", 8, "notify must be empty, or a program's absolute path");
	accepts(BASE "[sync]\nnotify = /usr/bin/mail -s Tandem me@example.org\nnotify_after = 36h\n");
	assert_string_equal(conf->sync.notify, "/usr/bin/mail -s Tandem me@example.org");
	assert_int_equal(conf->sync.notify_after_ms, 36 * 3600 * 1000);
}

static void
a_deletion_limit_is_a_share_and_a_number(void **state)
{
	static const char *const bad[] = { "50", "50%", "1000", "50%,", "0%, 1000", "101%, 1000", "50%, 0", "50, 1000",
		"50%, 1000, 3", "50%, 10 00", "-1%, 5", "" };
	struct conf_limit limit;
	char text[500];

	(void)state;
	accepts(BASE "[sync]\nmax_delete = 50%, 1000\n");
	assert_int_equal(conf->sync.max_delete.percent, 50);
	assert_int_equal(conf->sync.max_delete.rows, 1000);
	accepts(BASE "[sync]\nmax_delete = 7%,12\n[table t]\nmax_delete = off\n[table u]\nmax_delete =\n");
	conf_max_delete(conf, "u", &limit);
	assert_true(limit.percent == 7 && limit.rows == 12);
	conf_max_delete(conf, "t", &limit);
	assert_int_equal(limit.rows, 0);
	conf_max_delete(conf, "other", &limit);
	assert_int_equal(limit.rows, 12);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[sync]\nmax_delete = %s\n", BASE, bad[i]);
		refuses(text, 8, "max_delete must be a share from 1% to 100%, a comma and a number");
		(void)snprintf(text, sizeof text, "%s[table t]\nmax_delete = %s\n", BASE, bad[i]);
		if (bad[i][0] == '\0')
			accepts(text);
		else
			refuses(text, 8, "max_delete must be a share");
	}
}

static void
the_choice_for_triggers_of_a_table_goes_before_that_for_all(void **state)
{
	(void)state;
	accepts(BASE "[sync]\napp_triggers = guard\n[table t]\napp_triggers = run\n[table u]\napp_triggers =\n");
	assert_string_equal(conf_app_triggers(conf, "t"), "run");
	assert_string_equal(conf_app_triggers(conf, "u"), "guard");
	assert_string_equal(conf_app_triggers(conf, "other"), "guard");
	accepts(BASE "[table t]\napp_triggers = run\n");
	assert_string_equal(conf_app_triggers(conf, "other"), "");
}

static void
a_key_for_metrics_may_be_left_out(void **state)
{
	(void)state;
	accepts(BASE);
	assert_string_equal(conf->node.metrics_key, "");
	accepts(NODE "metrics_key = 00112233445566778899aabbccddeeff\n" DATABASE);
	assert_string_equal(conf->node.metrics_key, "00112233445566778899aabbccddeeff");
	refuses(NODE "metrics_key = 0011\n" DATABASE, 4, "metrics_key must be 32 to 128 hexadecimal digits");
	refuses(NODE "metrics_key = 00000000000000000000000000000000\n" DATABASE, 4, "a secret of your own");
	refuses("[node]\nname = anna\nmonitor_key =\n" DATABASE, 3, "monitor_key must be 32 to 128");
}

static void
log_options_are_judged(void **state)
{
	static const char *const sizes[] = { "", "0", "4095", "3K", "-1M", "1T", "10MB", "10 M", "1025G", "99999999999999999999G", "K" };
	char text[500];

	(void)state;
	accepts(BASE "[log]\nlevel = debug\ntarget = file /var/log/agent.log\n");
	assert_int_equal(conf->log.level, LOG_LEVEL_DEBUG);
	assert_string_equal(conf->log.target, "file /var/log/agent.log");
	accepts(BASE "[log]\ntarget = syslog\n");
	refuses(BASE "[log]\nlevel = loud\n", 8, "level must be error, warning, info or debug, not \"loud\"");
	refuses(BASE "[log]\ntarget = file agent.log\n", 8, "target must be stderr, syslog or");
	refuses(BASE "[log]\ntarget = printer\n", 8, "target must be stderr, syslog or");
	accepts(BASE "[log]\nmax_size = 512K\nkeep = 0\n");
	assert_int_equal(conf->log.max_bytes, 512 * 1024);
	assert_int_equal(conf->log.keep, 0);
	accepts(BASE "[log]\nmax_size = 4096\n");
	assert_int_equal(conf->log.max_bytes, 4096);
	accepts(BASE "[log]\nmax_size = 1024G\n");
	assert_int_equal(conf->log.max_bytes, (int64_t)1 << 40);
	accepts(BASE "[log]\nmax_size = off\n");
	assert_int_equal(conf->log.max_bytes, 0);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		(void)snprintf(text, sizeof text, "%s[log]\nmax_size = %s\n", BASE, sizes[i]);
		refuses(text, 8, "max_size must be a size of 4K or more, such as 512K, 10M or 1G, or off");
	}
	refuses(BASE "[log]\nkeep = 1001\n", 8, "keep must be a number from 0 to 1000");
}

static void
paths_are_absolute(void **state)
{
	(void)state;
	refuses(NODE "state_dir = spool\n", 4, "state_dir must be an absolute path");
	refuses(BASE "socket = ~/mysql.sock\n", 7, "socket must be an absolute path");
	accepts(NODE "state_dir = /srv/t\n" DATABASE "socket = /run/mysqld/mysqld.sock\n");
	assert_string_equal(conf->node.state_dir, "/srv/t");
	assert_string_equal(conf->database.socket, "/run/mysqld/mysqld.sock");
}

static void
the_state_directory_follows_the_environment(void **state)
{
	struct err e;

	(void)state;
	write_file(BASE, sizeof BASE - 1, 0600);
	assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
	assert_int_equal(setenv("HOME", "/home/anna", 1), 0);
	assert_true(conf_load(path, &conf, &e));
	assert_string_equal(conf->node.state_dir, geteuid() == 0 ? "/var/lib/tandem" : "/home/anna/.local/state/tandem");
	assert_int_equal(setenv("XDG_STATE_HOME", "/var/state", 1), 0);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void
options_that_contradict_each_other_are_refused(void **state)
{
	(void)state;
	refuses(BASE "[peer anna]\nurl = https://b\nkey = " KEY "\n", 7, "[peer anna] has the name of this node");
	refuses(BASE "[peer ANNA]\nurl = https://b\nkey = " KEY "\n", 7, "has the name of this node");
	refuses(BASE "sync_database = shop\n", 0, "[database] sync_database must differ from name");
	refuses(BASE "sync_database = SHOP\n", 0, "[database] sync_database must differ from name");
	refuses(NODE "[database]\nuser = u\nname = a123456789b123456789c123456789d123456789e123456789f123456789\n", 0,
	    "[database] name with \"_sync\" is longer than 64 bytes");
	refuses(NODE "listen = 127.0.0.1:9000\nmonitor = 127.0.0.1:9000\n" DATABASE, 0, "[node] listen and monitor are the same");
	refuses(BASE "[peer berta]\nurl = http://b\nkey = " KEY "\ntls_pin = sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 7,
	    "[peer berta] has a tls_pin but an http url");
	refuses(BASE PEER "seal = maybe\n", 10, "seal");
	accepts(BASE PEER "seal = yes\n");
	assert_true(conf->peers[0].seal);
	accepts(BASE PEER);
	assert_false(conf->peers[0].seal);
	refuses(BASE PEER "tls_pin = sha1//AAAA\n", 10, "tls_pin must be empty or sha256//");
	accepts(BASE "[peer berta]\nurl = https://b\nkey = " KEY "\ntls_pin = sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
}

static void
a_file_from_before_tls_must_say_what_it_wants(void **state)
{
	static const char plain[] = "[peer berta]\nurl = http://b\nkey = " KEY "\n";
	char text[1000];

	(void)state;
	(void)snprintf(text, sizeof text, "%s%s", BASE, plain);
	refuses(text, 7, "write tls = off into [node] to go on without");
	(void)snprintf(text, sizeof text, "%stls = off\n%s%s", NODE, DATABASE, plain);
	accepts(text);
	assert_false(conf->node.tls);
	(void)snprintf(text, sizeof text, "%stls = on\n%s%s", NODE, DATABASE, plain);
	accepts(text);
	assert_true(conf->node.tls);
}

static void
wildcards_match_as_people_expect(void **state)
{
	static const struct {
		const char *patterns, *name;
		bool want;
	} c[] = {
		{ "*", "orders", true }, { "*", "", true }, { "", "orders", false }, { " , ,", "orders", false },
		{ "orders", "orders", true }, { "orders", "order", false }, { "order", "orders", false }, { "Orders", "orders", false },
		{ "ord*", "orders", true }, { "*ers", "orders", true }, { "o*r*s", "orders", true }, { "o*x*s", "orders", false },
		{ "order?", "orders", true }, { "order?", "order", false }, { "??????", "orders", true }, { "?????", "orders", false },
		{ "a, b ,\tc", "b", true }, { "a, b ,\tc", "c", true }, { "a,b", "a,b", false }, { "a,,b", "b", true },
		{ "**a**", "xax", true }, { "*a*b*c", "aXbXbXc", true }, { "tmp_*, log", "tmp_x", true }, { "tmp_*, log", "xtmp_", false },
		{ "a?c", "a\xc3\xa4" "c", true }, { "a??c", "a\xc3\xa4" "c", false }, { "*\xa4" "c", "a\xc3\xa4" "c", false },
		{ "my table", "my table", true }, { "*ab", "aab", true }, { "*aab", "aaaab", true }, { "?*?", "a", false },
	};
	char longest[5000];

	(void)state;
	for (size_t i = 0; i < sizeof c / sizeof c[0]; i++)
		if (conf_match(c[i].patterns, c[i].name) != c[i].want)
			fail_msg("\"%s\" against \"%s\"", c[i].patterns, c[i].name);
	memset(longest, 'a', sizeof longest); /* a pattern that makes naive matchers take for ever */
	longest[sizeof longest - 1] = '\0';
	assert_false(conf_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", longest));
}

static void
a_table_is_wanted_when_named_and_not_excluded(void **state)
{
	(void)state;
	accepts(BASE "[sync]\nexclude = tmp_*, secret\n");
	assert_true(conf_wants_table(conf, "orders"));
	assert_false(conf_wants_table(conf, "tmp_1"));
	assert_false(conf_wants_table(conf, "secret"));
}

/* The example's line for option o, in its section: "name = default" or "; name = default". */
static bool
in_example(const char *example, const struct conf_option_info *o)
{
	char section[50] = "", line[300], want[300];

	(void)snprintf(want, sizeof want, "%s =%s%s", o->name, o->fallback != NULL && o->fallback[0] == '\0' ? "" : " ",
	    o->fallback == NULL ? "" : o->fallback);
	for (const char *p = example; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		const char *text = line;

		(void)snprintf(line, sizeof line, "%.*s", (int)strcspn(p, "\n"), p);
		text += strncmp(line, "; ", 2) == 0 ? 2 : 0;
		if (text[0] == '[')
			(void)snprintf(section, sizeof section, "%.*s", (int)strcspn(text + 1, " ]"), text + 1);
		if (strcmp(section, o->section) != 0)
			continue;
		if (o->fallback == NULL ? strncmp(text, want, strlen(want)) == 0 : strcmp(text, want) == 0)
			return true;
	}
	return false;
}

static void
the_example_has_every_option_with_its_default(void **state)
{
	const struct asset *a = asset_find("agent.conf.example");
	size_t n = 0;

	(void)state;
	assert_non_null(a);
	for (const struct conf_option_info *o; (o = conf_option(n)) != NULL; n++) {
		if (!in_example((const char *)a->data, o))
			fail_msg("[%s] %s = %s", o->section, o->name, o->fallback == NULL ? "..." : o->fallback);
		assert_true(strlen(o->help) > 5);
	}
	assert_int_equal(n, 63);
	assert_null(conf_option(n + 1));
}

/* The example with every "; option" and "; [section]" made active, and keys that are no zeros. */
static char *
active_example(void)
{
	const struct asset *a = asset_find("agent.conf.example");
	char *text = calloc(1, a->len * 2), *out = text;
	bool eq;

	assert_non_null(text);
	for (const char *p = (const char *)a->data; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t len = strcspn(p, "\n"), word = strspn(p + 2, "abcdefghijklmnopqrstuvwxyz_");

		eq = len > 2 && p[0] == ';' && word > 0 && strncmp(p + 2 + word, " =", 2) == 0;
		if (p[0] == ';' && !eq && (len < 3 || p[2] != '['))
			continue;
		if (p[0] == ';') {
			p += 2;
			len -= 2;
		}
		out += snprintf(out, len + 2, "%.*s\n", (int)len, p);
	}
	for (char *z = text; (z = strstr(z, "00000000000000000000000000000000")) != NULL;)
		*z = '1';
	/* The one thing that has no default that fits every mode. */
	out = strstr(text, "\nsource =\n");
	assert_non_null(out);
	out += strlen("\nsource =");
	memmove(out + 5, out, strlen(out) + 1);
	memcpy(out, " anna", 5);
	return text;
}

static void
the_example_is_valid_once_its_keys_are_fresh(void **state)
{
	const struct asset *a = asset_find("agent.conf.example");
	char *text = active_example();
	unsigned line = 1;

	(void)state;
	for (const char *p = (const char *)a->data, *key = strstr(p, "\nmonitor_key"); p <= key; p++)
		line += *p == '\n';
	refuse_bytes(a->data, a->len, line, "monitor_key must be a secret of your own, not the example's zeros");
	accepts(text);
	assert_int_equal(conf->npeers, 1);
	assert_int_equal(conf->ntables, 1);
	assert_int_equal(conf->ntrees, 1);
	assert_string_equal(conf->database.sync_database, "app_sync");
	free(text);
}

static void
the_manual_page_has_every_option_with_its_default(void **state)
{
	char *text = manual_read("agent.conf.5"), item[200];

	(void)state;
	if (text == NULL)
		skip();
	for (size_t i = 0; conf_option(i) != NULL; i++) {
		const struct conf_option_info *o = conf_option(i);
		const char *from, *end, *at;

		(void)snprintf(item, sizeof item, "\n.Ss [%s%s", o->section,
		    strcmp(o->section, "peer") == 0 || strcmp(o->section, "table") == 0 || strcmp(o->section, "tree") == 0 ? " NAME]" : "]");
		from = strstr(text, item);
		if (from == NULL)
			fail_msg("no section %s", item);
		end = strstr(from, "\n.El");
		if (o->fallback == NULL || o->fallback[0] == '\0')
			(void)snprintf(item, sizeof item, "\n.It Ic %s Pq %s\n", o->name, o->fallback == NULL ? "required" : "empty");
		else
			(void)snprintf(item, sizeof item, "\n.It Ic %s No = Li %s\n", o->name, o->fallback);
		at = strstr(from, item);
		if (at == NULL || at > end)
			fail_msg("[%s] lacks %s", o->section, item);
	}
	free(text);
}

/* Nothing stands there that the table has not. */
static void
the_manual_page_has_no_other_option(void **state)
{
	char *text = manual_read("agent.conf.5"), name[64];
	size_t items = 0, options = 0;

	(void)state;
	if (text == NULL)
		skip();
	while (conf_option(options) != NULL)
		options++;
	for (const char *p = text; (p = strstr(p, "\n.It Ic ")) != NULL; items++) {
		bool known = false;

		p += strlen("\n.It Ic ");
		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(p, " \n"), p);
		for (size_t i = 0; i < options; i++)
			known = known || strcmp(conf_option(i)->name, name) == 0;
		if (!known)
			fail_msg("docs/agent.conf.5 has %s, which is no option", name);
	}
	assert_int_equal(items, options);
	free(text);
}

/* --- upload folders -------------------------------------------------------------------------- */

#define TREE BASE "[tree uploads]\npath = /srv/uploads\nmode = mirror\nsource = anna\n"

static void
a_tree_is_read_with_its_defaults(void **state)
{
	const struct conf_tree *t;
	struct conf_rule rule;
	char listing[CONF_LISTING_MAX];

	(void)state;
	accepts(TREE "[sync]\ntables = orders\n");
	t = conf_tree(conf, "uploads");
	assert_non_null(t);
	assert_string_equal(t->path, "/srv/uploads");
	assert_int_equal(t->mode, TREE_MIRROR);
	assert_int_equal(t->max_delete.rows, 50);
	assert_int_equal(t->max_delete.percent, 10);
	assert_int_equal(t->keep_trash_ms, 30LL * 86400 * 1000);
	assert_int_equal(t->file_mode, 0);
	assert_true(conf_tree_sends(conf, t));
	assert_false(conf_tree_takes(conf, t));
	/* Its list is replicated whatever [sync] tables says, under the folder's own rule. */
	conf_tree_listing(t, listing);
	assert_string_equal(listing, "sync_file_uploads");
	assert_true(conf_wants_table(conf, listing));
	assert_false(conf_wants_table(conf, "sync_file_other"));
	conf_rule(conf, listing, &rule);
	assert_int_equal(rule.policy, POLICY_PREFER);
	assert_string_equal(rule.node, "anna");
	assert_null(conf_tree(conf, "other"));
}

static void
a_tree_names_a_folder_of_its_own(void **state)
{
	(void)state;
	accepts(BASE "[tree a]\npath = /srv/a///\nmode = mirror\nsource = bea\n[tree b]\npath = /srv/ab\nmode = mirror\nsource = anna\n");
	assert_string_equal(conf->trees[0].path, "/srv/a");
	assert_true(conf_tree_takes(conf, &conf->trees[0]));
	refuses(TREE "[tree b]\npath = /srv/uploads/in\nmode = mirror\nsource = anna\n", 11, "[tree b] and [tree uploads] lie within each other");
	refuses(TREE "[tree b]\npath = /srv\nmode = mirror\nsource = anna\n", 11, "lie within each other");
	refuses(TREE "[tree uploads]\n", 11, "[tree uploads] was given before");
	refuses(BASE "[tree Up]\n", 7, "lower-case letters, digits or underscores");
	refuses(BASE "[tree a]\npath = /\nmode = mirror\nsource = x\n", 8, "path must be");
	refuses(BASE "[tree a]\npath = srv\n", 8, "an absolute path");
	refuses(BASE "[tree a]\npath = /srv/../etc\nmode = mirror\nsource = x\n", 7, "without //, . or ..");
	refuses(BASE "[tree a]\npath = /srv/..\nmode = mirror\nsource = x\n", 7, "without //, . or ..");
	refuses(BASE "[tree a]\nmode = mirror\n", 7, "[tree a] has no path");
}

static void
what_a_tree_says_must_fit_together(void **state)
{
	(void)state;
	refuses(BASE "[tree a]\npath = /srv/a\nmode = mirror\n", 7, "add source = NODE");
	refuses(BASE "[tree a]\npath = /srv/a\nmode = sideways\n", 9, "mode must be one of mirror|two-way|push|pull");
	refuses(TREE "conflict = merge\n", 7, "conflict must be newer or prefer NODE");
	refuses(TREE "conflict = prefer bea\n", 7, "for mode = two-way alone");
	refuses(TREE "file_mode = 4755\n", 11, "three octal digits");
	refuses(TREE "file_mode = 064\n", 11, "three octal digits");
	refuses(TREE "max_delete = 50%, 1000\n", 11, "50 files, 10%");
	accepts(TREE "file_mode = 664\ndir_mode = 0775\nmax_delete = off\nexclude = *.tmp\n  cache/\n");
	assert_int_equal(conf->trees[0].file_mode, 0664);
	assert_int_equal(conf->trees[0].dir_mode, 0775);
	assert_int_equal(conf->trees[0].max_delete.rows, 0);
	assert_string_equal(conf->trees[0].exclude, "*.tmp, cache/");
	accepts(TREE "backup_keep = 0 days, 12 weeks, at least 1\nbackup_to = /mnt/disk\n");
	assert_true(conf->trees[0].backup_keep.days == 0 && conf->trees[0].backup_keep.weeks == 12 && conf->trees[0].backup_keep.least == 1);
	assert_string_equal(conf->trees[0].backup_to, "/mnt/disk");
	refuses(TREE "backup_keep = 7 days\n", 11, "backup_keep must be like");
	refuses(TREE "backup_keep = 7 days, 4 weeks, at least 0\n", 11, "at least 3");
	refuses(TREE "backup_keep = 7 days, 4 weeks, at least 99999\n", 11, "at least 3");
}

static void
freeing_nothing_is_allowed(void **state)
{
	(void)state;
	conf_free(NULL);
}

#define T(name) cmocka_unit_test_teardown(name, after)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_missing_file_names_the_way_to_make_one), T(a_file_that_others_may_touch_is_refused),
		T(a_file_of_another_user_is_refused), T(a_symbolic_link_is_refused), T(a_fifo_is_refused_and_not_waited_for),
		T(a_directory_is_refused), T(a_big_file_is_refused_unread), T(a_long_path_leaves_room_for_the_message),
		T(an_empty_file_lacks_everything), T(a_byte_order_mark_and_dos_line_ends_are_read),
		T(a_file_without_a_last_line_end_is_read), T(bytes_that_are_no_text_are_refused_with_their_line),
		T(lines_that_say_nothing_are_refused), T(comments_stand_on_lines_of_their_own),
		T(spaces_around_names_and_values_do_not_count), T(lists_continue_on_indented_lines),
		T(an_indented_line_continues_nothing_else), T(a_long_line_is_read_whole), T(a_long_password_is_not_cut),
		T(lines_have_a_limit_that_is_told), T(a_value_over_many_lines_has_a_limit), T(a_long_section_name_is_not_cut),
		T(unknown_and_doubled_words_are_refused), T(missing_options_are_named_with_their_section),
		T(too_many_peers_are_refused), T(many_tables_are_read), T(what_is_not_given_has_its_default),
		T(names_have_few_letters), T(numbers_have_bounds), T(a_duration_needs_its_unit), T(days_may_leave_their_unit_out),
		T(a_switch_is_on_or_off), T(an_address_has_host_and_port), T(a_url_is_scheme_host_and_port_alone),
		T(a_key_is_64_digits_of_ones_own), T(a_monitor_key_is_long_and_not_the_examples), T(secrets_are_never_in_a_message),
		T(policies_are_read_but_not_all_are_there_yet), T(what_this_version_lacks_is_said),
		T(a_deletion_limit_is_a_share_and_a_number), T(the_choice_for_triggers_of_a_table_goes_before_that_for_all),
		T(log_options_are_judged), T(a_key_for_metrics_may_be_left_out), T(paths_are_absolute),
		T(the_state_directory_follows_the_environment), T(options_that_contradict_each_other_are_refused),
		T(a_file_from_before_tls_must_say_what_it_wants),
		T(wildcards_match_as_people_expect), T(a_table_is_wanted_when_named_and_not_excluded),
		T(the_example_has_every_option_with_its_default), T(the_example_is_valid_once_its_keys_are_fresh),
		T(the_manual_page_has_every_option_with_its_default), T(the_manual_page_has_no_other_option), T(a_tree_is_read_with_its_defaults),
		T(a_tree_names_a_folder_of_its_own), T(what_a_tree_says_must_fit_together), T(freeing_nothing_is_allowed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
