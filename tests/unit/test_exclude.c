/* Patterns of what is left alone: a table, and git as the reference for random ones. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "files/exclude.h"
#include "scratch.h"
#include "seed.h"

enum {
	ROUNDS = 60,	 /* a call of git each */
	PATTERNS = 4,	 /* lines of one round */
	TEXT_MAX = 64
};

static void
test_table(void **state)
{
	static const struct {
		const char *patterns, *path;
		bool directory, out;
	} rows[] = {
		{ "", "a", false, false }, { "a", "a", false, true }, { "a", "d/a", false, true }, { "a", "ab", false, false },
		{ "/a", "a", false, true }, { "/a", "d/a", false, false }, { "d/a", "d/a", false, true }, { "d/a", "e/d/a", false, false },
		{ "a/", "a", true, true }, { "a/", "a", false, false }, { "a/", "d/a", true, true }, { "a/", "a/x", false, true },
		{ "*.jpg", "x.jpg", false, true }, { "*.jpg", "d/.jpg", false, true }, { "*.jpg", "x.jpg.txt", false, false },
		{ "d/*", "d/x", false, true }, { "d/*", "d/x/y", false, true }, { "d/*.c", "d/x/y.c", false, false },
		{ "**/x", "x", false, true }, { "**/x", "d/e/x", false, true }, { "d/**", "d", true, false }, { "d/**", "d/e/f", false, true },
		{ "d/**/f", "d/f", false, true }, { "d/**/f", "d/e/g/f", false, true }, { "d/**/f", "df", false, false },
		{ "*\n!keep", "keep", false, false }, { "*\n!keep", "other", false, true }, { "d\n!d/keep", "d/keep", false, true },
		{ "*.log\n!a.log\na.log", "a.log", false, true }, { "# a", "# a", false, false }, { "\\# a", "# a", false, true },
		{ "\\!a", "!a", false, true }, { "a ", "a", false, true }, { "a\\ ", "a ", false, true }, { "a\r\nb\r\n", "b", false, true },
		{ "[abc]x", "bx", false, true }, { "[!abc]x", "bx", false, false }, { "[^abc]x", "dx", false, true }, { "[a-c]", "b", false, true },
		{ "[]]", "]", false, true }, { "[a", "[a", false, false }, { "\\[a", "[a", false, true }, { "[[:digit:]]", "7", false, true },
		{ "[[:nothing:]]", "7", false, false }, { "?", "\xff", false, true }, { "a\\", "a\\", false, false }, { "\xc3\xa9*", "\xc3\xa9t\xc3\xa9", false, true },
		{ "*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, false },
		{ "**/a/**/a/**/a/**/b", "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/c", false, false },
		{ "", ".sync", true, true }, { "!.sync", ".sync/tree", false, true }, { "", "d/.sync", true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct exclude *x;
		struct err e;

		assert_true(exclude_new(rows[i].patterns, false, &x, &e));
		if (exclude_path(x, rows[i].path, rows[i].directory) != rows[i].out)
			fail_msg("%s against %s", rows[i].path, rows[i].patterns);
		exclude_free(x);
	}
}

static void
test_defaults(void **state)
{
	static const char *const out[] = { "a.tmp", "d/movie.part", "x.crdownload", ".~lock.a.odt#", "~$a.docx", "d/.a.c.swp", ".x.swo", "4913", ".nfs0001", ".DS_Store",
		"Thumbs.db", "d/.gitkeep" };
	static const char *const in[] = { "a.jpg", "part", "tmp", "a.tmp.jpg", "swp", "49130", "~a" };
	struct exclude *x;
	struct err e;

	(void)state;
	assert_true(exclude_new("!keep.tmp\n", true, &x, &e));
	for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
		if (!exclude_path(x, out[i], false))
			fail_msg("%s", out[i]);
	for (size_t i = 0; i < sizeof in / sizeof in[0]; i++)
		if (exclude_path(x, in[i], false))
			fail_msg("%s", in[i]);
	assert_false(exclude_path(x, "d/keep.tmp", false));
	exclude_free(x);
}

static void
test_limit(void **state)
{
	char *lines = malloc((size_t)EXCLUDE_PATTERNS_MAX * 2 + 3);
	struct exclude *x;
	struct err e;

	(void)state;
	assert_non_null(lines);
	for (size_t i = 0; i <= EXCLUDE_PATTERNS_MAX; i++)
		memcpy(lines + 2 * i, "a\n", 3);
	assert_false(exclude_new(lines, false, &x, &e));
	assert_int_equal(e.code, ERR_CONFIG);
	assert_null(x);
	lines[2 * EXCLUDE_PATTERNS_MAX] = '\0';
	assert_true(exclude_new(lines, false, &x, &e));
	exclude_free(x);
	free(lines);
}

/* --- git ------------------------------------------------------------------------------------------- */

static const char *const names[] = { "a", "b", "ab", "a.b", "c", "a]", "-" };

/* Directories up to three deep, a file in each place. */
static void
make_tree(const char *folder, struct buf *paths)
{
	char path[TEXT_MAX];

	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 5; j++)
			for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
				(void)snprintf(path, sizeof path, "d%s", names[i]);
				(void)mkdir(scratch_path(folder, path), 0755);
				(void)snprintf(path, sizeof path, "d%s/%s", names[i], names[j]);
				(void)mkdir(scratch_path(folder, path), 0755);
				(void)snprintf(path, sizeof path, "d%s/%s/%s", names[i], names[j], names[k]);
				assert_true(scratch_write(folder, path, ""));
				buf_put(paths, path, strlen(path) + 1);
			}
	for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
		assert_true(scratch_write(folder, names[k], ""));
		buf_put(paths, names[k], strlen(names[k]) + 1);
	}
	for (size_t i = 0; i < 5; i++) {
		(void)snprintf(path, sizeof path, "d%s", names[i]);
		buf_put(paths, path, strlen(path) + 1);
		for (size_t j = 0; j < 5; j++) {
			(void)snprintf(path, sizeof path, "d%s/%s", names[i], names[j]);
			buf_put(paths, path, strlen(path) + 1);
		}
	}
}

static void
random_pattern(struct seed *r, char *out)
{
	static const char *const pieces[] = { "a", "b", "c", "d", ".", "*", "**", "?", "/", "/", "[ab]", "[!a]", "[a-c]", "\\", "]", "[", "-", "ab", "d*", "**/", "/**", "/**/", "[]a]",
		"[[:alpha:]]", " " };
	size_t n = 1 + seed_below(r, 5);

	out[0] = '\0';
	if (seed_below(r, 5) == 0)
		memcpy(out, "!", 2);
	for (size_t i = 0; i < n; i++) {
		const char *p = pieces[seed_below(r, sizeof pieces / sizeof pieces[0])];

		memcpy(out + strlen(out), p, strlen(p) + 1);
	}
}

/* Where git does not do what it documents: ** beside other characters, and \\ before a /, are taken out. */
static void
tame(char *s)
{
	size_t to = s[0] == '!', from = to;

	while (s[from] != '\0') {
		size_t stars = strspn(s + from, "*");
		bool part = (to == 0 || s[to - 1] == '/' || (to == 1 && s[0] == '!')) && (s[from + stars] == '\0' || s[from + stars] == '/');

		if (stars > 1 && !part) {
			from += stars - 1;
			continue;
		}
		if (s[from] == '\\' && (s[from + 1] == '/' || s[from + 1] == '*')) {
			from++;
			continue;
		}
		for (size_t n = stars > 0 ? stars : 1; n > 0; n--)
			s[to++] = s[from++];
	}
	s[to] = '\0';
}

/* git ARGS in folder; in and out are files there. False: git is not there. */
static bool
run_git(const char *folder, const char *const *args, const char *in, const char *out)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		int from, to;

		if (chdir(folder) != 0)
			_exit(127);
		from = open(in, O_RDONLY);
		to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		(void)dup2(from, 0);
		(void)dup2(to, 1);
		(void)dup2(to, 2);
		(void)setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
		(void)setenv("HOME", folder, 1);
		(void)execvp("git", (char *const *)(uintptr_t)args);
		_exit(127);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child);
	return WIFEXITED(status) && WEXITSTATUS(status) <= 1;
}

static size_t
read_whole(const char *folder, const char *name, char *out, size_t size)
{
	int fd = open(scratch_path(folder, name), O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, out, size - 1);
	(void)close(fd);
	assert_true(n >= 0 && (size_t)n < size - 1);
	out[n] = '\0';
	return (size_t)n;
}

/* Is path in the list of NUL-ended ones? */
static bool
listed(const char *list, size_t len, const char *path)
{
	for (const char *p = list; p < list + len; p += strlen(p) + 1)
		if (strcmp(p, path) == 0)
			return true;
	return false;
}

static void
compare(const char *folder, const char *lines, const struct buf *paths)
{
	static const char *const args[] = { "git", "check-ignore", "--no-index", "-z", "--stdin", NULL };
	static char ignored[1 << 16];
	struct exclude *x;
	struct stat st;
	struct err e;
	size_t n;

	assert_true(scratch_write(folder, ".gitignore", lines));
	assert_true(run_git(folder, args, ".git/paths", ".git/ignored"));
	n = read_whole(folder, ".git/ignored", ignored, sizeof ignored);
	assert_true(exclude_new(lines, false, &x, &e));
	for (const char *p = paths->data; p < paths->data + paths->len; p += strlen(p) + 1) {
		bool want = listed(ignored, n, p);

		assert_int_equal(stat(scratch_path(folder, p), &st), 0);
		if (exclude_path(x, p, S_ISDIR(st.st_mode)) != want)
			fail_msg("git %s \"%s\" by\n%s", want ? "ignores" : "takes", p, lines);
	}
	exclude_free(x);
}

static void
test_git(void **state)
{
	static const char *const init[] = { "git", "init", "-q", NULL };
	char *folder = scratch_new();
	struct buf paths;
	FILE *list;

	assert_non_null(folder);
	if (!run_git(folder, init, "/dev/null", "/dev/null")) {
		scratch_drop(folder);
		skip();
	}
	buf_init(&paths, 1 << 16);
	make_tree(folder, &paths);
	list = fopen(scratch_path(folder, ".git/paths"), "w");
	assert_true(list != NULL && fwrite(paths.data, 1, paths.len, list) == paths.len && fclose(list) == 0);
	for (int round = 0; round < ROUNDS; round++) {
		char lines[PATTERNS * TEXT_MAX] = "", one[TEXT_MAX];

		for (int i = 0; i < PATTERNS; i++) {
			random_pattern(*state, one);
			tame(one);
			memcpy(lines + strlen(lines), one, strlen(one) + 1);
			memcpy(lines + strlen(lines), "\n", 2);
		}
		compare(folder, lines, &paths);
	}
	buf_free(&paths);
	scratch_drop(folder);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		NAMED("what patterns leave out", test_table),
		NAMED("what is always left out, unless it is taken back", test_defaults),
		NAMED("lines have a limit", test_limit),
		{ "random patterns leave out what git ignores", test_git, NULL, NULL, &seed },
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("exclude", tests, NULL, NULL);
}
