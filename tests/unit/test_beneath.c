/* Paths beneath a root, by openat2 and part by part; the mark of a tree. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "files/marker.h"
#include "scratch.h"

enum {
	RACE_ROUNDS = 2000, /* at least ... */
	RACE_MS = 60 * 1000 /* ... and until each side has won, for so long at most */
};

/* A tree, and a folder beside it that must stay as it is. */
struct world {
	char *base;
	char *root;
	struct beneath *b;
	struct err e;
};

static struct world
begin(bool parts_only)
{
	struct world w = { .base = scratch_new() };

	assert_non_null(w.base);
	w.root = strdup(scratch_path(w.base, "root"));
	assert_int_equal(mkdir(w.root, 0755), 0);
	assert_int_equal(mkdir(scratch_path(w.base, "outside"), 0755), 0);
	assert_true(scratch_write(w.base, "outside/secret", "secret"));
	assert_int_equal(beneath_open(w.root, &w.b, &w.e), FATE_DONE);
	if (parts_only)
		beneath_without_openat2(w.b);
	return w;
}

static void
end(struct world *w)
{
	assert_true(scratch_holds(w->base, "outside/secret", "secret"));
	beneath_close(w->b);
	free(w->root);
	scratch_drop(w->base);
}

static enum fate
make_file(struct world *w, const char *path, const char *text)
{
	enum fate f;
	int fd;

	f = beneath_file(w->b, path, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, &w->e);
	if (f != FATE_DONE)
		return f;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
	return FATE_DONE;
}

static void
test_forms(void **state)
{
	static const char *const good[] = { "a", "a/b", "...", ".a", "a..", "\n", "\xff\xfe", " ", "-", "*", "a\\b", ".synced/a", "a/.sync", "'\"$(id)" };
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/../b", "../a", "a/..", ".sync", ".sync/tree", ".sync/tmp/x" };
	char name[BENEATH_NAME_MAX + 2], path[BENEATH_PATH_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!beneath_path_ok(good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (beneath_path_ok(bad[i], strlen(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	assert_false(beneath_path_ok("a\0b", 3));
	memset(name, 'n', sizeof name);
	assert_true(beneath_path_ok(name, BENEATH_NAME_MAX));
	assert_false(beneath_path_ok(name, BENEATH_NAME_MAX + 1));
	for (size_t i = 0; i < sizeof path; i++)
		path[i] = i % 2 == 0 ? 'p' : '/';
	assert_true(beneath_path_ok(path, BENEATH_PATH_MAX - 1));
	assert_false(beneath_path_ok(path, BENEATH_PATH_MAX + 1));
}

static void
test_links_that_stay(void **state)
{
	static const struct {
		const char *path, *target;
		bool stays;
	} rows[] = {
		{ "l", "a", true }, { "l", "a/b", true }, { "l", "..", false }, { "l", "/etc", false }, { "l", "", false },
		{ "d/l", "../a", true }, { "d/l", "../../a", false }, { "d/l", "..", true }, { "d/e/l", "../../a", true },
		{ "l", "a/../..", false }, { "l", "a/../b", true }, { "l", "./a", true }, { "l", "a//b", true }, { "d/l", "x/../../../a", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (beneath_link_stays(rows[i].path, rows[i].target) != rows[i].stays)
			fail_msg("%s -> %s", rows[i].path, rows[i].target);
}

static void
escapes(struct world *w)
{
	struct file_facts facts;
	const char *leaf;
	int fd = -1;

	assert_int_equal(symlink("../outside", scratch_path(w->root, "out")), 0);
	assert_int_equal(symlink("../outside/secret", scratch_path(w->root, "leaf")), 0);
	assert_int_equal(symlink(".", scratch_path(w->root, "self")), 0);
	assert_int_equal(beneath_file(w->b, "out/secret", O_RDONLY, 0, &fd, &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_file(w->b, "leaf", O_RDONLY, 0, &fd, &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_file(w->b, "self/x", O_WRONLY | O_CREAT, 0644, &fd, &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_file(w->b, "out/new", O_WRONLY | O_CREAT, 0644, &fd, &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_parent(w->b, "out/d/e", 0755, &fd, &leaf, &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_make_directory(w->b, "out/d", 0755, &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_remove_file(w->b, "out/secret", &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_move(w->b, "out/secret", "mine", MOVE_NEW, &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_make_link(w->b, "out/l", "x", &w->e), FATE_ESCAPES);
	assert_int_equal(beneath_file(w->b, "../outside/secret", O_RDONLY, 0, &fd, &w->e), FATE_BAD_NAME);
	assert_int_equal(beneath_file(w->b, "/etc/passwd", O_RDONLY, 0, &fd, &w->e), FATE_BAD_NAME);
	assert_int_equal(beneath_look(w->b, "a/../../outside", &facts, &w->e), FATE_BAD_NAME);
	assert_int_equal(beneath_look(w->b, "leaf", &facts, &w->e), FATE_DONE); /* the link itself */
	assert_int_equal(facts.type, 'l');
	assert_int_equal(beneath_remove_file(w->b, "leaf", &w->e), FATE_DONE); /* the link, not what it names */
}

static void
everyday(struct world *w)
{
	struct file_facts facts;
	char target[BENEATH_PATH_MAX + 1];
	const char *leaf;
	int fd;

	assert_int_equal(beneath_parent(w->b, "d/e/f", 0775, &fd, &leaf, &w->e), FATE_DONE);
	assert_string_equal(leaf, "f");
	(void)close(fd);
	assert_int_equal(beneath_look(w->b, "d/e", &facts, &w->e), FATE_DONE);
	assert_true(facts.type == 'd' && facts.mode == 0775); /* whatever the umask is */
	assert_int_equal(make_file(w, "d/e/f", "one"), FATE_DONE);
	assert_int_equal(make_file(w, "d/e/f", "two"), FATE_EXISTS);
	assert_int_equal(make_file(w, "n/o", "x"), FATE_GONE);
	assert_int_equal(make_file(w, "d/e/f/g", "x"), FATE_KIND);
	assert_int_equal(beneath_look(w->b, "d/e/f", &facts, &w->e), FATE_DONE);
	assert_true(facts.type == 'f' && facts.size == 3 && facts.links == 1);
	assert_int_equal(make_file(w, "g", "gg"), FATE_DONE);
	assert_int_equal(beneath_move(w->b, "g", "d/e/f", MOVE_NEW, &w->e), FATE_EXISTS);
	assert_int_equal(beneath_move(w->b, "g", "d/e/f", MOVE_EXCHANGE, &w->e), FATE_DONE);
	assert_true(scratch_holds(w->root, "d/e/f", "gg") && scratch_holds(w->root, "g", "one"));
	assert_int_equal(beneath_move(w->b, "g", "d", MOVE_EXCHANGE, &w->e), FATE_DONE); /* a file and a full directory */
	assert_true(scratch_holds(w->root, "d", "one") && scratch_holds(w->root, "g/e/f", "gg"));
	assert_int_equal(beneath_move(w->b, "g", "n", MOVE_EXCHANGE, &w->e), FATE_GONE);
	assert_int_equal(beneath_remove_directory(w->b, "g", &w->e), FATE_EXISTS); /* not empty */
	assert_int_equal(beneath_make_link(w->b, "g/l", "../d", &w->e), FATE_DONE);
	assert_int_equal(beneath_link(w->b, "g/l", target, &w->e), FATE_DONE);
	assert_string_equal(target, "../d");
	assert_int_equal(beneath_link(w->b, "d", target, &w->e), FATE_KIND);
	assert_int_equal(beneath_sync(w->b, "g/e", &w->e), FATE_DONE);
	assert_int_equal(beneath_look(w->b, "", &facts, &w->e), FATE_DONE);
	assert_int_equal(facts.type, 'd');
}

static void
hostile_names(struct world *w)
{
	char name[BENEATH_NAME_MAX + 2];

	memset(name, 'x', sizeof name);
	name[BENEATH_NAME_MAX] = '\0';
	for (unsigned c = 1; c < 256; c++) {
		char one[4] = { (char)c, 'a', (char)c, '\0' };

		if (c != '/' && make_file(w, one, "x") != FATE_DONE)
			fail_msg("byte %u: %s", c, w->e.msg);
	}
	assert_int_equal(make_file(w, name, "long"), FATE_DONE);
	name[BENEATH_NAME_MAX] = 'x';
	name[BENEATH_NAME_MAX + 1] = '\0';
	assert_int_equal(make_file(w, name, "longer"), FATE_TOO_LONG);
	assert_null(strchr(w->e.msg, '\n'));
}

/* Parts of 200 bytes, up to BENEATH_PATH_MAX and above PATH_MAX with the root before it. */
static void
long_paths(struct world *w)
{
	char path[BENEATH_PATH_MAX + 1];
	struct file_facts facts;
	const char *leaf;
	int fd;

	memset(path, 'd', sizeof path);
	for (size_t i = 200; i < BENEATH_PATH_MAX; i += 200)
		path[i] = '/';
	path[BENEATH_PATH_MAX] = '\0';
	assert_int_equal(beneath_parent(w->b, path, 0755, &fd, &leaf, &w->e), FATE_DONE);
	(void)close(fd);
	assert_int_equal(make_file(w, path, "deep"), FATE_DONE);
	assert_int_equal(beneath_look(w->b, path, &facts, &w->e), FATE_DONE);
	assert_int_equal(facts.size, 4);
	assert_int_equal(beneath_move(w->b, path, "up", MOVE_NEW, &w->e), FATE_DONE);
	assert_true(scratch_holds(w->root, "up", "deep"));
}

#define BOTH_WAYS(name)				\
	static void				\
	test_##name(void **state)		\
	{					\
		for (int i = 0; i < 2; i++) {	\
			struct world w = begin(i == 1); \
						\
			(void)state;		\
			name(&w);		\
			end(&w);		\
		}				\
	}
BOTH_WAYS(escapes)
BOTH_WAYS(everyday)
BOTH_WAYS(hostile_names)
BOTH_WAYS(long_paths)

/* One thread turns the directory into a link that leads out and back, all the time. */
struct race {
	const char *root;
	atomic_bool stop;
};

static void *
swap_directory(void *arg)
{
	struct race *r = arg;
	char dir[8192], aside[8192], link[8192];

	(void)snprintf(dir, sizeof dir, "%s/d", r->root);
	(void)snprintf(aside, sizeof aside, "%s/aside", r->root);
	(void)snprintf(link, sizeof link, "%s/link", r->root);
	while (!atomic_load(&r->stop)) {
		(void)rename(dir, aside);
		(void)rename(link, dir);
		(void)rename(dir, link);
		(void)rename(aside, dir);
	}
	return NULL;
}

static void
races(struct world *w)
{
	struct race r = { .root = w->root };
	int64_t until = clock_mono_ms() + RACE_MS;
	size_t done = 0, refused = 0;
	pthread_t t;

	assert_int_equal(mkdir(scratch_path(w->root, "d"), 0755), 0);
	assert_true(scratch_write(w->root, "d/secret", "mine"));
	assert_true(scratch_write(w->root, "new", "new"));
	assert_int_equal(symlink("../outside", scratch_path(w->root, "link")), 0);
	assert_int_equal(pthread_create(&t, NULL, swap_directory, &r), 0);
	/* On a busy machine the other thread may rest for many rounds. */
	for (int i = 0; i < RACE_ROUNDS || ((done == 0 || refused == 0) && clock_mono_ms() < until); i++) {
		int fd = -1;

		if (beneath_file(w->b, "d/secret", O_RDONLY, 0, &fd, &w->e) == FATE_DONE) {
			char got[8] = "";

			assert_true(read(fd, got, sizeof got) == 4 && memcmp(got, "mine", 4) == 0);
			(void)close(fd);
			done++;
		}
		/* Into the directory, and away, whatever it is just then. */
		assert_true(scratch_write(w->root, "new", "new"));
		if (beneath_move(w->b, "new", "d/new", MOVE_NEW, &w->e) != FATE_DONE)
			refused++;
		if (beneath_remove_file(w->b, "d/new", &w->e) != FATE_DONE)
			refused++;
	}
	atomic_store(&r.stop, true);
	(void)pthread_join(t, NULL);
	assert_true(done > 0 && refused > 0); /* else there was no race */
	assert_int_equal(access(scratch_path(w->base, "outside/new"), F_OK), -1);
}
BOTH_WAYS(races)

static void
test_root(void **state)
{
	struct world w = begin(false);
	struct beneath *other;
	uint64_t dev, fsid;

	(void)state;
	beneath_filesystem(w.b, &dev, &fsid);
	assert_true(dev != 0);
	assert_true(beneath_still_there(w.b));
	assert_int_equal(rename(w.root, scratch_path(w.base, "moved")), 0);
	assert_false(beneath_still_there(w.b));
	assert_int_equal(mkdir(w.root, 0755), 0);
	assert_false(beneath_still_there(w.b)); /* another directory of that name */
	assert_int_equal(beneath_open(scratch_path(w.base, "none"), &other, &w.e), FATE_OFFLINE);
	assert_int_equal(beneath_open(scratch_path(w.base, "outside/secret"), &other, &w.e), FATE_OFFLINE);
	assert_null(other);
	end(&w);
}

static void
test_mark(void **state)
{
	struct world w = begin(false);
	struct marker m, again;
	struct stat st;

	(void)state;
	assert_int_equal(marker_read(w.b, &m, &w.e), FATE_OFFLINE);
	assert_int_equal(w.e.code, ERR_HELD);
	assert_int_equal(marker_make(w.b, &m, &w.e), FATE_DONE);
	assert_int_equal(m.generation, 1);
	assert_int_equal(stat(scratch_path(w.root, ".sync"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(scratch_write(w.root, ".sync/tree", "tandem tree 1\nid 00112233445566778899aabbccddeeff\ngeneration 7\n"));
	assert_int_equal(marker_make(w.b, &again, &w.e), FATE_DONE); /* keeps it */
	assert_true(again.generation == 7 && again.id[1] == 0x11 && memcmp(again.id, m.id, sizeof m.id) != 0);
	assert_int_equal(access(scratch_path(w.root, ".sync/tree.new"), F_OK), -1);
	assert_true(scratch_write(w.root, ".sync/tree", "tandem tree 1\nid 00\ngeneration 1\n"));
	assert_int_equal(marker_read(w.b, &m, &w.e), FATE_OFFLINE);
	assert_true(scratch_write(w.root, ".sync/tree", "tandem tree 2\nid 00112233445566778899aabbccddeeff\ngeneration 1\n"));
	assert_int_equal(marker_read(w.b, &m, &w.e), FATE_OFFLINE);
	assert_int_equal(chmod(scratch_path(w.root, ".sync"), 0755), 0);
	assert_int_equal(marker_make(w.b, &again, &w.e), FATE_DENIED);
	end(&w);
}

static void
test_mark_behind_a_link(void **state)
{
	struct world w = begin(false);
	struct marker m;

	(void)state;
	assert_int_equal(symlink("../outside", scratch_path(w.root, ".sync")), 0);
	assert_true(marker_make(w.b, &m, &w.e) != FATE_DONE);
	assert_int_equal(marker_read(w.b, &m, &w.e), FATE_ESCAPES);
	assert_int_equal(access(scratch_path(w.base, "outside/tmp"), F_OK), -1);
	end(&w);
}

static void
test_lock(void **state)
{
	struct world w = begin(false);
	struct beneath *other;
	struct marker m;
	int first, second;

	(void)state;
	assert_int_equal(marker_make(w.b, &m, &w.e), FATE_DONE);
	assert_int_equal(beneath_open(w.root, &other, &w.e), FATE_DONE);
	assert_int_equal(marker_lock(w.b, &first, &w.e), FATE_DONE);
	assert_int_equal(marker_lock(other, &second, &w.e), FATE_BUSY);
	(void)close(first);
	assert_int_equal(marker_lock(other, &second, &w.e), FATE_DONE);
	(void)close(second);
	beneath_close(other);
	end(&w);
}

static void
test_nested(void **state)
{
	(void)state;
	assert_true(marker_nested("/a/b", "/a/b") && marker_nested("/a", "/a/b") && marker_nested("/a/b", "/a/") && marker_nested("/", "/a"));
	assert_false(marker_nested("/a/b", "/a/bc") || marker_nested("/a/b", "/a/c") || marker_nested("/ab", "/a"));
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("what is a path of a tree", test_forms),
		NAMED("which links stay in the tree", test_links_that_stay),
		NAMED("no link and no name leads outside", test_escapes),
		NAMED("files, directories, links and renames", test_everyday),
		NAMED("names of every byte and of 255 bytes", test_hostile_names),
		NAMED("paths of 4096 bytes", test_long_paths),
		NAMED("a directory that becomes a link meanwhile leads nowhere else", test_races),
		NAMED("a root that is another one now is noticed", test_root),
		NAMED("the mark is made once, read and written whole", test_mark),
		NAMED("an agent's folder that is a link is not entered", test_mark_behind_a_link),
		NAMED("one agent at a time has a tree", test_lock),
		NAMED("roots that lie in each other", test_nested),
	};

	(void)umask(077);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("beneath", tests, NULL, NULL);
}
