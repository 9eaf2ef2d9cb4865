/* base/: the bounded buffer, errors as values, text for people, the log. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/disk.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/text.h"

/* --- buf ------------------------------------------------------------------------------------ */

static void
an_empty_buffer_is_an_empty_string(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_string_equal(buf_cstr(&b), "");
	assert_true(buf_check(&b, "it", NULL));
	buf_put(&b, "", 0);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void
a_buffer_holds_exactly_its_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	buf_str(&b, "abc");
	buf_char(&b, 'd');
	buf_char(&b, 'e');
	assert_false(b.failed);
	assert_string_equal(buf_cstr(&b), "abcde");
	buf_char(&b, 'f');
	assert_true(b.failed);
	assert_string_equal(buf_cstr(&b), "abcde");
	buf_free(&b);
}

static void
a_failed_buffer_takes_nothing_until_reset(void **state)
{
	struct err e;
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	buf_str(&b, "abcdef");
	buf_str(&b, "x");
	assert_int_equal(b.len, 0);
	assert_null(buf_room(&b, 1));
	assert_false(buf_check(&b, "the line", &e));
	assert_int_equal(e.code, ERR_LIMIT);
	assert_string_equal(e.msg, "the line is longer than the limit of 4 bytes");
	buf_reset(&b);
	buf_str(&b, "ok");
	assert_true(buf_check(&b, "the line", &e));
	assert_string_equal(buf_cstr(&b), "ok");
	buf_free(&b);
}

static void
a_huge_length_does_not_wrap_around(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_str(&b, "abc");
	assert_null(buf_room(&b, SIZE_MAX));
	buf_reset(&b);
	assert_null(buf_room(&b, SIZE_MAX - 2));
	buf_reset(&b);
	buf_hex(&b, "x", SIZE_MAX / 2 + 1);
	assert_true(b.failed);
	buf_free(&b);
}

static void
bytes_and_hexadecimal_and_formats_are_appended(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_put(&b, "a\0b", 3);
	buf_hex(&b, "\x00\xff\x7e", 3);
	buf_fmt(&b, "%s=%d", "n", 42);
	assert_int_equal(b.len, 13);
	assert_memory_equal(b.data, "a\0b00ff7en=42", 14);
	for (int i = 0; i < 100; i++)
		buf_fmt(&b, "%d", i % 10);
	assert_int_equal(b.len, 113);
	assert_int_equal(b.data[113], '\0');
	buf_free(&b);
}

static void
hexadecimal_digits_are_read_as_they_are_written(void **state)
{
	static const char *const wrong[] = { "", "0", "0g", "g0", "0A", "A0", " 0", "0:", "/0", "`0" };
	unsigned char all[256], back[256];
	char text[2 * sizeof all + 1];

	(void)state;
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (unsigned char)i;
	hex_write(all, sizeof all, text);
	assert_int_equal(strlen(text), sizeof text - 1);
	assert_memory_equal(text, "000102", 6);
	assert_true(hex_is(text, sizeof text - 1));
	assert_false(hex_is(text, sizeof text - 2));
	assert_false(hex_is(text, sizeof text));
	assert_true(hex_read(text, sizeof all, back));
	assert_memory_equal(back, all, sizeof all);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_false(hex_read(wrong[i], 1, back));
	assert_true(hex_read("ffgg", 1, back)); /* what stands behind is the caller's */
}

static void
dropping_from_the_front_keeps_the_rest(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 20);
	buf_drop(&b, 0);
	buf_str(&b, "abcdef");
	buf_drop(&b, 2);
	assert_string_equal(buf_cstr(&b), "cdef");
	buf_drop(&b, 4);
	assert_string_equal(buf_cstr(&b), "");
	buf_free(&b);
}

static void
cutting_keeps_the_front(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_cut(&b, 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_str(&b, "one two");
	buf_cut(&b, 3);
	assert_string_equal(buf_cstr(&b), "one");
	buf_str(&b, "!");
	assert_string_equal(buf_cstr(&b), "one!");
	buf_cut(&b, 4);
	assert_int_equal(b.len, 4);
	buf_free(&b);
}

static void
a_freed_buffer_can_be_used_again(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 20);
	buf_str(&b, "abc");
	buf_free(&b);
	assert_int_equal(b.max, 20);
	buf_str(&b, "def");
	assert_string_equal(buf_cstr(&b), "def");
	buf_free(&b);
}

/* --- disk ------------------------------------------------------------------------------------ */

static void
what_is_written_in_part_is_gone_on_with_and_then_told(void **state)
{
	struct rlimit had, small;
	char text[1500], back[sizeof text];
	FILE *f = tmpfile();
	int fd;

	(void)state;
	assert_non_null(f);
	fd = fileno(f);
	memset(text, 'x', sizeof text);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &had), 0);
	small = had;
	small.rlim_cur = 1000; /* as a disk that is full: 1,000 bytes go in, the rest does not */
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	errno = 0;
	assert_false(disk_write(fd, text, sizeof text));
	assert_int_equal(errno, EFBIG);
	assert_int_equal(lseek(fd, 0, SEEK_END), 1000);
	assert_false(disk_write_at(fd, text, 2, 999));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &had), 0);
	assert_true(disk_write_at(fd, "end", 3, 999));
	assert_true(disk_write(fd, "!", 0));
	assert_int_equal(pread(fd, back, sizeof back, 0), 1002);
	assert_memory_equal(back + 998, "xend", 4);
	assert_false(disk_write(-1, "x", 1));
	(void)fclose(f);
}

/* --- err ------------------------------------------------------------------------------------ */

static void
an_error_is_set_prefixed_and_cleared(void **state)
{
	struct err e;

	(void)state;
	assert_false(err_set(&e, ERR_INPUT, "line %d", 3));
	assert_int_equal(e.code, ERR_INPUT);
	assert_int_equal(e.db_errno, 0);
	assert_false(err_prefix(&e, "file %s", "x"));
	assert_string_equal(e.msg, "file x: line 3");
	assert_int_equal(e.code, ERR_INPUT);
	err_clear(&e);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(e.msg, "");
}

static void
an_error_number_is_told_in_words(void **state)
{
	struct err e;

	(void)state;
	errno = ENOENT;
	assert_false(err_errno(&e, ERR_IO, "open %s", "y"));
	assert_string_equal(e.msg, "open y: No such file or directory");
}

static void
a_long_error_is_cut_and_never_overflows(void **state)
{
	char text[2 * ERR_MSG_MAX];
	struct err e;

	(void)state;
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	assert_false(err_set(&e, ERR_IO, "%s", text));
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_false(err_prefix(&e, "%s", text));
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	errno = EIO;
	assert_false(err_errno(&e, ERR_IO, "%s", text));
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
}

static void
nobody_has_to_ask_for_the_error(void **state)
{
	(void)state;
	assert_false(err_set(NULL, ERR_IO, "x"));
	assert_false(err_errno(NULL, ERR_IO, "x"));
	assert_false(err_prefix(NULL, "x"));
	err_clear(NULL);
}

/* --- text ----------------------------------------------------------------------------------- */

static void
utf8_is_read_in_its_shortest_form_alone(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		uint32_t code;
	} c[] = {
		{ "A", 1, 'A' }, { "\xc3\xa4", 2, 0xe4 }, { "\xe2\x82\xac", 3, 0x20ac },
		{ "\xf0\x9f\x98\x80", 4, 0x1f600 }, { "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
		{ "\xc0\x80", 0, 0 }, { "\xc1\xbf", 0, 0 }, { "\xe0\x9f\xbf", 0, 0 }, /* overlong */
		{ "\xf0\x8f\xbf\xbf", 0, 0 }, { "\xed\xa0\x80", 0, 0 }, /* surrogate */
		{ "\xf4\x90\x80\x80", 0, 0 }, { "\xf5\x80\x80\x80", 0, 0 }, { "\x80", 0, 0 }, { "\xff", 0, 0 },
		{ "\xe2\x28\xa1", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
		uint32_t code = 0;

		assert_int_equal(text_utf8(c[i].bytes, strlen(c[i].bytes), &code), c[i].len);
		assert_int_equal(code, c[i].code);
		if (c[i].len > 1)
			assert_int_equal(text_utf8(c[i].bytes, c[i].len - 1, &code), 0);
	}
	assert_int_equal(text_utf8("", 0, NULL), 0);
	assert_int_equal(text_utf8("\0", 1, NULL), 1);
}

static void
escaping(const char *in, const char *want)
{
	char out[200];
	size_t len = text_escape(in, strlen(in), out, sizeof out);

	assert_string_equal(out, want);
	assert_int_equal(len, strlen(want));
}

static void
what_a_terminal_would_obey_is_escaped(void **state)
{
	(void)state;
	escaping("plain text, \xc3\xa4\xe2\x82\xac", "plain text, \xc3\xa4\xe2\x82\xac");
	escaping("a\nb\rc\td", "a\\nb\\rc\\td");
	escaping("\x1b[31mred\x7f", "\\x1b[31mred\\x7f");
	escaping("\xc2\x9b" "31m", "\\u009b31m");
	escaping("\xe2\x80\xae" "txt.exe", "\\u202etxt.exe");
	escaping("\xe2\x81\xa6\xe2\x80\xa8", "\\u2066\\u2028");
	escaping("\xf3\xa0\x81\x81", "\\u{e0041}");
	escaping("bad \xff\xc3(", "bad \\xff\\xc3(");
}

static void
escaped_text_is_cut_with_dots_and_never_overflows(void **state)
{
	char out[16];

	(void)state;
	for (size_t size = 1; size <= sizeof out; size++) {
		size_t len = text_escape("abc\x1b" "def\xe2\x80\xaeghijklmnop", 20, out, size);

		assert_true(len < size);
		assert_int_equal(out[len], '\0');
	}
	assert_string_equal(out, "abc\\x1bdef...");
	assert_int_equal(text_escape("abcd", 4, out, 5), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(text_escape("abcde", 5, out, 5), 4);
	assert_string_equal(out, "a...");
}

static void
the_distance_of_words_counts_slips(void **state)
{
	(void)state;
	assert_int_equal(text_distance("drain", "drain"), 0);
	assert_int_equal(text_distance("drian", "drain"), 1);
	assert_int_equal(text_distance("statsu", "status"), 1);
	assert_int_equal(text_distance("chek", "check"), 1);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("abcdefghijklmnopqrstuvwxyzabcdefghijk", "a"), 37);
}

/* --- log ------------------------------------------------------------------------------------ */

static char dir[] = "/tmp/tandem-test-XXXXXX";

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static const char *
at(const char *name)
{
	static char path[200];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

/* What the log file has, and remove it. */
static size_t
slurp(const char *name, char *out, size_t size)
{
	FILE *f = fopen(at(name), "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	(void)fclose(f);
	assert_int_equal(unlink(at(name)), 0);
	return n;
}

static void
open_log(enum log_level level)
{
	char target[220];
	struct err e;

	(void)snprintf(target, sizeof target, "file %s", at("log"));
	assert_true(log_open(&(struct log_options){ .level = level, .target = target }, &e));
}

static void
a_log_line_has_time_level_and_peer(void **state)
{
	char text[1000];

	(void)state;
	open_log(LOG_LEVEL_INFO);
	log_info("anna", "sent %d changes", 3);
	log_warning(NULL, "clock differs");
	log_debug(NULL, "not wanted");
	log_close();
	(void)slurp("log", text, sizeof text);
	assert_int_equal(text[4], '-');
	assert_int_equal(text[10], 'T');
	assert_int_equal(text[19], '.');
	assert_memory_equal(text + 23, "Z info peer=anna sent 3 changes\n", 32);
	assert_memory_equal(text + 55 + 23, "Z warning clock differs\n", 25);
}

static void
the_level_can_change_afterwards(void **state)
{
	char text[1000];

	(void)state;
	open_log(LOG_LEVEL_ERROR);
	assert_false(log_wants(LOG_LEVEL_WARNING));
	log_warning(NULL, "one");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_wants(LOG_LEVEL_DEBUG));
	log_debug(NULL, "two");
	log_close();
	(void)slurp("log", text, sizeof text);
	assert_null(strstr(text, "one"));
	assert_non_null(strstr(text, " debug two\n"));
}

static void
hostile_text_stays_one_line(void **state)
{
	char text[9000], longer[8000];

	(void)state;
	memset(longer, '\x01', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	open_log(LOG_LEVEL_INFO);
	log_info("an\nna", "table %s", "x\n2026-01-01T00:00:00.000Z error forged\x1b[2J\xe2\x80\xae");
	log_info(longer, "%s", longer);
	log_close();
	(void)slurp("log", text, sizeof text);
	assert_non_null(strstr(text, "peer=an\\nna table x\\n2026-01-01T00:00:00.000Z error forged\\x1b[2J\\u202e\n"));
	assert_int_equal(strchr(strchr(text, '\n') + 1, '\n') - text, strlen(text) - 1); /* two lines */
	assert_true(strlen(strchr(text, '\n') + 1) <= 4096);
}

static void
a_log_file_is_private_appended_and_no_link(void **state)
{
	char text[1000], target[220];
	struct stat st;
	struct err e;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_log(LOG_LEVEL_INFO);
		log_info(NULL, "line %d", i);
		log_close();
	}
	assert_int_equal(stat(at("log"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)slurp("log", text, sizeof text);
	assert_non_null(strstr(text, "line 0\n"));
	assert_non_null(strstr(text, "line 1\n"));
	(void)snprintf(target, sizeof target, "file %s", at("log"));
	assert_int_equal(symlink("/dev/null", at("log")), 0);
	assert_false(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = target }, &e));
	assert_non_null(strstr(e.msg, "symbolic link"));
	assert_int_equal(unlink(at("log")), 0);
	assert_int_equal(mkfifo(at("log"), 0600), 0);
	assert_false(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = target }, &e));
	assert_int_equal(unlink(at("log")), 0);
}

static void
an_unusable_target_is_refused(void **state)
{
	struct err e;

	(void)state;
	assert_false(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = "printer" }, &e));
	assert_int_equal(e.code, ERR_CONFIG);
	assert_false(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = "file /nonexistent/dir/log" }, &e));
	assert_int_equal(e.code, ERR_CONFIG);
	assert_true(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = "stderr" }, &e));
	log_close();
}

enum {
	THREADS = 4,
	LINES = 500
};

static void *
log_a_lot(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("anna", "thread %d says something that is a bit longer, number %d", *(int *)arg, i);
	return NULL;
}

static void
lines_of_several_threads_do_not_mix(void **state)
{
	static char text[THREADS * LINES * 150];
	pthread_t thread[THREADS];
	int number[THREADS], lines = 0;

	(void)state;
	open_log(LOG_LEVEL_INFO);
	for (int i = 0; i < THREADS; i++) {
		number[i] = i;
		assert_int_equal(pthread_create(&thread[i], NULL, log_a_lot, &number[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	log_close();
	(void)slurp("log", text, sizeof text);
	for (char *p = text, *lf; (lf = strchr(p, '\n')) != NULL; p = lf + 1) {
		lines++;
		assert_memory_equal(p + 23, "Z info peer=anna thread ", 24);
	}
	assert_int_equal(lines, THREADS * LINES);
}

/* Log so many numbered lines of 100 bytes to a file of so many kept ones. */
static void
log_numbers(int n, uint64_t max_bytes, unsigned keep)
{
	char target[220];
	struct err e;

	(void)snprintf(target, sizeof target, "file %s", at("log"));
	assert_true(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = target, .max_bytes = max_bytes, .keep = keep }, &e));
	for (int i = 0; i < n; i++)
		log_info(NULL, "%0*d", 100 - 30, i);
	log_close();
}

static void
a_log_file_is_put_aside_when_it_has_grown(void **state)
{
	char text[10000];

	(void)state;
	log_numbers(100, 1000, 3); /* 9 or 10 lines of 100 bytes in each file */
	assert_int_equal(access(at("log.4"), F_OK), -1);
	for (int i = 3; i >= 0; i--) {
		char name[16];
		size_t len;

		(void)snprintf(name, sizeof name, i == 0 ? "log" : "log.%d", i);
		len = slurp(name, text, sizeof text);
		assert_in_range(len, 100, 1000);
		if (i == 0)
			assert_non_null(strstr(text, "00099\n")); /* the newest is in the file itself */
		else
			assert_in_range(len, 900, 1000);
	}
	log_numbers(30, 1000, 0); /* nothing is kept */
	assert_int_equal(access(at("log.1"), F_OK), -1);
	assert_in_range(slurp("log", text, sizeof text), 100, 1000);
	log_numbers(30, 0, 3); /* no limit */
	assert_in_range(slurp("log", text, sizeof text), 2900, 3100);
	assert_int_equal(access(at("log.1"), F_OK), -1);
}

/* As logrotate does it, and as people do: the next line goes into a new file. */
static void
a_log_file_that_was_taken_away_is_made_anew(void **state)
{
	char text[1000], from[200];

	(void)state;
	open_log(LOG_LEVEL_INFO);
	log_info(NULL, "before");
	(void)snprintf(from, sizeof from, "%s", at("log"));
	assert_int_equal(rename(from, at("log.old")), 0);
	log_info(NULL, "after");
	(void)slurp("log.old", text, sizeof text);
	assert_non_null(strstr(text, "before"));
	assert_null(strstr(text, "after"));
	(void)slurp("log", text, sizeof text); /* which removes it */
	assert_non_null(strstr(text, "after"));
	assert_int_equal(symlink("/dev/null", at("log")), 0);
	log_info(NULL, "not through a link"); /* nowhere, rather than there */
	assert_int_equal(unlink(at("log")), 0);
	log_info(NULL, "again");
	log_close();
	(void)slurp("log", text, sizeof text);
	assert_non_null(strstr(text, "again"));
}

/* A folder that nobody may rename in: lines are not lost. (root may, so a folder stands in the way.) */
static void
a_log_file_that_cannot_be_put_aside_grows(void **state)
{
	char text[10000];

	(void)state;
	assert_int_equal(mkdir(at("log.1"), 0700), 0);
	assert_int_equal(mkdir(at("log.1/x"), 0700), 0);
	log_numbers(30, 1000, 1);
	assert_in_range(slurp("log", text, sizeof text), 2900, 3100);
	assert_int_equal(rmdir(at("log.1/x")), 0);
	assert_int_equal(rmdir(at("log.1")), 0);
}

/* Several programs, each putting aside: no line is lost, none is doubled, none is cut. */
static void
programs_share_a_log_file_that_is_put_aside(void **state)
{
	enum { PROGRAMS = 3, LINES_EACH = 300, KEPT = 200 };
	static bool seen[PROGRAMS][LINES_EACH];
	char text[10000], name[16];
	int lines = 0, status;

	(void)state;
	for (int p = 0; p < PROGRAMS; p++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			char target[220];

			(void)snprintf(target, sizeof target, "file %s", at("log"));
			if (!log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = target, .max_bytes = 4000, .keep = KEPT }, NULL))
				_exit(1);
			for (int i = 0; i < LINES_EACH; i++)
				log_info(NULL, "program %d line %d, which is rather long so that files fill up", p, i);
			log_close();
			_exit(0);
		}
	}
	for (int p = 0; p < PROGRAMS; p++)
		assert_true(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (int i = 0; i <= KEPT; i++) {
		(void)snprintf(name, sizeof name, i == 0 ? "log" : "log.%d", i);
		if (access(at(name), F_OK) != 0)
			continue;
		(void)slurp(name, text, sizeof text);
		for (char *line = text, *lf; (lf = strchr(line, '\n')) != NULL; line = lf + 1) {
			int p, n;

			assert_int_equal(sscanf(line + 23, "Z info program %d line %d, which", &p, &n), 2);
			assert_false(seen[p][n]);
			seen[p][n] = true;
			lines++;
		}
	}
	assert_int_equal(lines, PROGRAMS * LINES_EACH);
}

/* Where systemd reads our stderr it wants the priority, and knows the time. */
static void
lines_for_the_journal_have_their_priority(void **state)
{
	char text[1000], stream[64];
	struct stat st;
	struct err e;
	int kept = dup(STDERR_FILENO), fd = open(at("err"), O_WRONLY | O_CREAT | O_APPEND, 0600);

	(void)state;
	assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO && fstat(fd, &st) == 0);
	(void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	assert_true(log_open(&(struct log_options){ .level = LOG_LEVEL_DEBUG, .target = "stderr" }, &e));
	log_error("anna", "no\n<0>way");
	log_debug(NULL, "small");
	log_close();
	assert_int_equal(setenv("JOURNAL_STREAM", "1:1", 1), 0); /* inherited, and not our stderr */
	assert_true(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = "stderr" }, &e));
	log_info(NULL, "plain");
	log_close();
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	(void)close(kept);
	(void)close(fd);
	(void)slurp("err", text, sizeof text);
	assert_ptr_equal(strstr(text, "<3>error peer=anna no\\n<0>way\n<7>debug small\n20"), text);
	assert_non_null(strstr(text, "Z info plain\n"));
}

static void
logging_keeps_errno(void **state)
{
	char text[1000];

	(void)state;
	open_log(LOG_LEVEL_INFO);
	errno = ENOSPC;
	log_info(NULL, "x");
	assert_int_equal(errno, ENOSPC);
	log_close();
	(void)slurp("log", text, sizeof text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_an_empty_string),
		cmocka_unit_test(a_buffer_holds_exactly_its_maximum),
		cmocka_unit_test(a_failed_buffer_takes_nothing_until_reset),
		cmocka_unit_test(a_huge_length_does_not_wrap_around),
		cmocka_unit_test(bytes_and_hexadecimal_and_formats_are_appended),
		cmocka_unit_test(hexadecimal_digits_are_read_as_they_are_written),
		cmocka_unit_test(dropping_from_the_front_keeps_the_rest),
		cmocka_unit_test(cutting_keeps_the_front),
		cmocka_unit_test(a_freed_buffer_can_be_used_again),
		cmocka_unit_test(what_is_written_in_part_is_gone_on_with_and_then_told),
		cmocka_unit_test(an_error_is_set_prefixed_and_cleared),
		cmocka_unit_test(an_error_number_is_told_in_words),
		cmocka_unit_test(a_long_error_is_cut_and_never_overflows),
		cmocka_unit_test(nobody_has_to_ask_for_the_error),
		cmocka_unit_test(utf8_is_read_in_its_shortest_form_alone),
		cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
		cmocka_unit_test(escaped_text_is_cut_with_dots_and_never_overflows),
		cmocka_unit_test(the_distance_of_words_counts_slips),
		cmocka_unit_test(a_log_line_has_time_level_and_peer),
		cmocka_unit_test(the_level_can_change_afterwards),
		cmocka_unit_test(hostile_text_stays_one_line),
		cmocka_unit_test(a_log_file_is_private_appended_and_no_link),
		cmocka_unit_test(an_unusable_target_is_refused),
		cmocka_unit_test(lines_of_several_threads_do_not_mix),
		cmocka_unit_test(a_log_file_is_put_aside_when_it_has_grown),
		cmocka_unit_test(a_log_file_that_was_taken_away_is_made_anew),
		cmocka_unit_test(a_log_file_that_cannot_be_put_aside_grows),
		cmocka_unit_test(programs_share_a_log_file_that_is_put_aside),
		cmocka_unit_test(lines_for_the_journal_have_their_priority),
		cmocka_unit_test(logging_keeps_errno),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
