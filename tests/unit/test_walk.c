/* Walks over a tree, and what contents are called. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/log.h"
#include "files/content.h"
#include "files/walk.h"
#include "files/watch.h"
#include "scratch.h"

struct seen {
	char text[8192]; /* every path, one a line; unread ones as ?PATH */
	char last[BENEATH_PATH_MAX + 1];
	size_t n;
	bool ordered;
};

static bool
note_entry(void *arg, const struct walk_entry *entry, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	assert_int_equal(entry->len, strlen(entry->path));
	assert_int_equal(entry->link != NULL, entry->facts->type == 'l');
	s->ordered = s->ordered && (s->n == 0 || strcmp(s->last, entry->path) < 0);
	memcpy(s->last, entry->path, entry->len + 1);
	s->n++;
	if (strlen(s->text) + entry->len + 2 < sizeof s->text) {
		memcpy(s->text + strlen(s->text), entry->path, entry->len + 1);
		memcpy(s->text + strlen(s->text), "\n", 2);
	}
	return true;
}

static bool
note_unread(void *arg, const char *path, enum fate why, struct err *e)
{
	struct seen *s = arg;
	char line[64];

	(void)e;
	(void)snprintf(line, sizeof line, "?%.40s %s\n", path, fate_word(why));
	memcpy(s->text + strlen(s->text), line, strlen(line) + 1);
	return true;
}

/* The whole tree as that user; seen is to be freed. */
static struct seen *
walk_as(uid_t user, const char *root, const char *patterns, struct walk_counts *counts)
{
	uid_t was = geteuid();
	struct seen *s = calloc(1, sizeof *s);
	struct walk w = { .arg = s, .entry = note_entry, .unread = note_unread };
	struct exclude *x;
	struct beneath *b;
	struct err e;

	assert_non_null(s);
	s->ordered = true;
	assert_int_equal(beneath_open(root, &b, &e), FATE_DONE);
	assert_true(exclude_new(patterns, true, &x, &e));
	w.tree = b;
	w.exclude = x;
	assert_true(user == was || seteuid(user) == 0);
	assert_true(walk_run(&w, counts, &e));
	assert_true(user == was || seteuid(was) == 0);
	exclude_free(x);
	beneath_close(b);
	return s;
}

static struct seen *
walk(const char *root, const char *patterns, struct walk_counts *counts)
{
	return walk_as(geteuid(), root, patterns, counts);
}

static void
make(const char *root, const char *const *paths)
{
	for (; *paths != NULL; paths++) {
		size_t n = strlen(*paths);

		if ((*paths)[n - 1] == '/')
			assert_int_equal(mkdir(scratch_path(root, *paths), 0755), 0);
		else
			assert_true(scratch_write(root, *paths, "text"));
	}
}

static void
test_order(void **state)
{
	static const char *const paths[] = { "b", "a/", "a/x", "a.b", "a-/", "a-/z", "a0", "a!/", "a!/b/", "a!/b/c", ".sync/", ".sync/tree", "x.tmp", "skip/", "skip/me", NULL };
	char *root = scratch_new();
	struct walk_counts c;
	struct seen *s;

	(void)state;
	make(root, paths);
	s = walk(root, "skip/", &c);
	assert_string_equal(s->text, "a\na!\na!/b\na!/b/c\na-\na-/z\na.b\na/x\na0\nb\n");
	assert_true(s->ordered);
	assert_true(c.files == 6 && c.directories == 4 && c.excluded == 2 && c.bytes == 24 && c.unread == 0);
	free(s);
	scratch_drop(root);
}

static void
test_kinds(void **state)
{
	char *root = scratch_new();
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct walk_counts c;
	struct seen *s;

	(void)state;
	assert_int_equal(mkfifo(scratch_path(root, "fifo"), 0600), 0);
	(void)snprintf(sun.sun_path, sizeof sun.sun_path, "%.90s/socket", root);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(symlink("file", scratch_path(root, "inside")), 0);
	assert_int_equal(symlink("/etc", scratch_path(root, "absolute")), 0);
	assert_int_equal(symlink("../x", scratch_path(root, "above")), 0);
	assert_int_equal(symlink("self", scratch_path(root, "self")), 0);
	s = walk(root, "", &c);
	assert_string_equal(s->text, "inside\nself\n");
	assert_true(c.fifos == 1 && c.sockets == 1 && c.escaping == 2 && c.links == 2 && c.files == 0);
	(void)close(fd);
	free(s);
	scratch_drop(root);
}

/* Deeper than descriptors last, with names that lie behind what is deep. */
static void
test_depth(void **state)
{
	enum { DEEP = 1500 };
	char *root = scratch_new();
	struct beneath *b;
	struct walk_counts c;
	struct seen *s;
	char path[DEEP * 2 + 8];
	const char *leaf;
	struct err e;
	int fd;

	(void)state;
	assert_int_equal(beneath_open(root, &b, &e), FATE_DONE);
	for (size_t i = 0; i < DEEP; i++)
		memcpy(path + 2 * i, "d/", 3);
	memcpy(path + (size_t)DEEP * 2, "f", 2);
	assert_int_equal(beneath_parent(b, path, 0755, &fd, &leaf, &e), FATE_DONE);
	(void)close(fd);
	for (size_t i = 0; i < DEEP; i += 100) {
		memcpy(path + 2 * i, "e", 2);
		assert_int_equal(beneath_file(b, path, O_CREAT | O_WRONLY, 0600, &fd, &e), FATE_DONE);
		(void)close(fd);
		memcpy(path + 2 * i, "d/", 2);
	}
	s = walk(root, "", &c);
	assert_true(c.directories == DEEP && c.files == DEEP / 100 && c.unread == 0 && s->ordered);
	free(s);
	beneath_close(b);
	for (size_t i = DEEP; i > 0; i--) { /* nftw would go no deeper than PATH_MAX */
		assert_int_equal(beneath_open(root, &b, &e), FATE_DONE);
		memcpy(path + 2 * i - 2, "e", 2);
		if ((i - 1) % 100 == 0)
			assert_int_equal(beneath_remove_file(b, path, &e), FATE_DONE);
		memcpy(path + 2 * i - 2, "d", 2);
		assert_int_equal(beneath_remove_directory(b, path, &e), FATE_DONE);
		memcpy(path + 2 * i - 2, "d/", 2);
		beneath_close(b);
	}
	scratch_drop(root);
}

static void
test_unread(void **state)
{
	enum { NOBODY = 65534 };
	static const char *const paths[] = { "a/", "a/x", "closed/", "closed/y", "z", NULL };
	char *root = scratch_new();
	struct walk_counts c;
	struct seen *s;

	(void)state;
	make(root, paths);
	assert_int_equal(chmod(root, 0755), 0);
	assert_int_equal(chmod(scratch_path(root, "closed"), 0), 0);
	s = walk_as(geteuid() == 0 ? NOBODY : geteuid(), root, "", &c); /* root may read everything */
	assert_string_equal(s->text, "a\na/x\nclosed\n?closed denied\nz\n");
	assert_int_equal(c.unread, 1);
	assert_int_equal(chmod(scratch_path(root, "closed"), 0700), 0);
	free(s);
	scratch_drop(root);
}

static void
test_many(void **state)
{
	enum { FILES = 4000, ROOM = 500 };
	char *root = scratch_new(), name[64];
	struct timespec from, to;
	struct walk_counts c;
	struct seen *s;

	(void)state;
	for (int i = 0; i < FILES; i++) {
		int fd;

		(void)snprintf(name, sizeof name, "d%d", i / ROOM);
		if (i % ROOM == 0)
			assert_int_equal(mkdir(scratch_path(root, name), 0755), 0);
		(void)snprintf(name, sizeof name, "d%d/photo-%d.jpg", i / ROOM, i);
		fd = open(scratch_path(root, name), O_CREAT | O_WRONLY, 0600);
		assert_true(fd >= 0);
		(void)close(fd);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	s = walk(root, "", &c);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	(void)printf("# %d files in %ld ms\n", FILES, (long)(to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	assert_true(c.files == FILES && c.directories == FILES / ROOM && s->ordered);
	free(s);
	scratch_drop(root);
}

/* --- contents --------------------------------------------------------------------------------- */

static void
assert_id(const char *root, const char *name, const char *want, struct content_read *how)
{
	char hex[CONTENT_HEX];
	struct beneath *b;
	struct content d;
	struct err e;

	assert_int_equal(beneath_open(root, &b, &e), FATE_DONE);
	assert_int_equal(content_path(b, name, &d, how, &e), FATE_DONE);
	content_hex(d.id, hex);
	assert_string_equal(hex, want);
	assert_int_equal(d.nblocks, content_count(d.size));
	content_free(&d);
	beneath_close(b);
}

/* The ids were computed with hashlib from the words of digest.h. */
static void
test_ids(void **state)
{
	char *root = scratch_new(), *big = malloc(CONTENT_BLOCK + 1);
	struct content_read how;
	int fd;

	(void)state;
	assert_true(scratch_write(root, "empty", "") && scratch_write(root, "abc", "abc"));
	assert_id(root, "empty", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &how);
	assert_id(root, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", &how);
	assert_true(how.racy); /* written just now */
	memset(big, 'x', CONTENT_BLOCK + 1);
	fd = open(scratch_path(root, "big"), O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, big, CONTENT_BLOCK), CONTENT_BLOCK);
	assert_id(root, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", &how);
	(void)close(fd);
	assert_id(root, "big", "8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b", &how);
	fd = open(scratch_path(root, "big"), O_APPEND | O_WRONLY);
	assert_int_equal(write(fd, "x", 1), 1);
	(void)close(fd);
	assert_id(root, "big", "baa6703f22cde965ba5157c8c68db9eaa8d8d45f981b592b21aa6a23fed123cb", &how);
	fd = open(scratch_path(root, "sparse"), O_CREAT | O_WRONLY, 0600);
	assert_int_equal(ftruncate(fd, (off_t)1 << 30), 0);
	assert_int_equal(pwrite(fd, "end", 3, ((off_t)1 << 30) - 3), 3);
	(void)close(fd);
	assert_id(root, "sparse", "fc31ce2be639209ea999c80f5498674ef822a4984dc835934424c476d4048c0a", &how);
	free(big);
	scratch_drop(root);
}

static void
test_zeros(void **state)
{
	char *zeros = calloc(1, CONTENT_BLOCK);
	unsigned char hash[CONTENT_BYTES], again[CONTENT_BYTES];
	char hex[CONTENT_HEX];
	struct err e;

	(void)state;
	assert_true(content_block(zeros, CONTENT_BLOCK, hash, &e) && content_is_zeros(hash, CONTENT_BLOCK) && !content_is_zeros(hash, 7));
	assert_true(content_block(zeros, 7, hash, &e) && content_is_zeros(hash, 7) && !content_is_zeros(hash, CONTENT_BLOCK));
	assert_true(content_all_zero(zeros, CONTENT_BLOCK) && content_all_zero(zeros, 1) && content_all_zero(zeros, 0));
	zeros[CONTENT_BLOCK - 1] = 1;
	assert_false(content_all_zero(zeros, CONTENT_BLOCK));
	content_hex(hash, hex);
	assert_true(content_parse(hex, again) && memcmp(hash, again, sizeof hash) == 0);
	hex[3] = 'A';
	assert_false(content_parse(hex, again) || content_parse("", again) || content_parse("../../etc/passwd", again));
	free(zeros);
}

/* Somebody has it open: for writing, or as a map that may be written. */
static void
test_writers(void **state)
{
	char *root = scratch_new();
	struct content_read how;
	struct beneath *b;
	struct content d;
	struct err e;
	void *map;
	int fd;

	(void)state;
	assert_true(scratch_write(root, "f", "text"));
	assert_int_equal(beneath_open(root, &b, &e), FATE_DONE);
	assert_int_equal(content_path(b, "f", &d, &how, &e), FATE_DONE);
	if (!how.leased) { /* no leases on this file system */
		beneath_close(b);
		scratch_drop(root);
		skip();
	}
	fd = open(scratch_path(root, "f"), O_RDWR);
	assert_int_equal(content_path(b, "f", &d, &how, &e), FATE_BUSY);
	map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	assert_int_equal(content_path(b, "f", &d, &how, &e), FATE_BUSY);
	(void)munmap(map, 4);
	assert_int_equal(content_path(b, "f", &d, &how, &e), FATE_DONE);
	content_free(&d);
	assert_int_equal(content_path(b, "none", &d, &how, &e), FATE_GONE);
	assert_int_equal(mkdir(scratch_path(root, "d"), 0700), 0);
	assert_int_equal(content_path(b, "d", &d, &how, &e), FATE_KIND);
	assert_int_equal(mkfifo(scratch_path(root, "p"), 0600), 0);
	assert_int_equal(content_path(b, "p", &d, &how, &e), FATE_KIND);
	beneath_close(b);
	scratch_drop(root);
}

static void
test_no_watch(void **state)
{
	char *root = scratch_new(), target[300], said[500] = "";
	char name[] = "uploads";
	struct conf_tree tree = { .name = name };
	struct rlimit had, none;
	struct watch *w = NULL;
	struct err e;
	FILE *log;

	(void)state;
	(void)snprintf(target, sizeof target, "file %.200s/log", root);
	assert_true(log_open(&(struct log_options){ .level = LOG_LEVEL_INFO, .target = target }, &e));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = had;
	none.rlim_cur = 0; /* as where the system has no more of them for this user: EMFILE */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_true(watch_new(&tree, &w, &e));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
	assert_false(watch_heard(w));
	assert_false(watch_is_whole(w));
	watch_free(w);
	log_close();
	log = fopen(scratch_path(root, "log"), "r");
	assert_non_null(log);
	assert_true(fread(said, 1, sizeof said - 1, log) > 0);
	(void)fclose(log);
	assert_non_null(strstr(said, "tree uploads: changes are found by looking now and then (Too many open files"));
	assert_non_null(strstr(said, "fs.inotify.max_user_instances"));
	scratch_drop(root);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("a walk tells every path in the order of its bytes", test_order),
		NAMED("devices, sockets and links that lead out are counted, not told", test_kinds),
		NAMED("a tree deeper than descriptors last", test_depth),
		NAMED("a directory that may not be read is named", test_unread),
		NAMED("many files", test_many),
		NAMED("contents have the ids that docs and sha256sum give them", test_ids),
		NAMED("zeros are known by their hash", test_zeros),
		NAMED("a file that somebody writes is not named", test_writers),
		NAMED("that changes are not heard of is said, and why", test_no_watch),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
