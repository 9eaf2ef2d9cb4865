/* Contents on their way into a tree, their publication, trash and conflict folders. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "files/marker.h"
#include "files/store.h"
#include "scratch.h"
#include "seed.h"

enum {
	KILLS = 25,
	HUNTED = 100000 /* versions; more than come within milliseconds */
};

static const int64_t wall_us = 1795276200000000; /* 2026-11-21 15:50:00 UTC */
#define BATCH "2026-11-21_155000"

struct world {
	char *root;
	struct beneath *b;
	struct trash *replaced, *lost;
	struct store_bins bins;
	struct buf name;
	struct err e;
};

static struct world
begin(void)
{
	struct world w = { .root = scratch_new() };
	struct marker m;

	assert_int_equal(beneath_open(w.root, &w.b, &w.e), FATE_DONE);
	assert_int_equal(marker_make(w.b, &m, &w.e), FATE_DONE);
	assert_true(trash_new(w.b, TRASH_DELETED, "replaced", wall_us, &w.replaced, &w.e));
	assert_true(trash_new(w.b, TRASH_CONFLICT, "lost", wall_us, &w.lost, &w.e));
	w.bins = (struct store_bins){ w.replaced, w.lost };
	buf_init(&w.name, 1 << 14);
	return w;
}

static void
end(struct world *w)
{
	trash_free(w->replaced);
	trash_free(w->lost);
	beneath_close(w->b);
	buf_free(&w->name);
	scratch_drop(w->root);
}

/* What a content of that text is called. */
static struct content
content_of(const char *text)
{
	struct content c = { .size = strlen(text), .nblocks = strlen(text) > 0 };
	struct err e;

	assert_true(content_block(text, c.size, c.id, &e));
	return c;
}

/* A finished temporary of that text. */
static struct store *
finished(struct world *w, struct content *c, const char *text)
{
	const struct store_look look = { .mode = 06664, .mtime_ns = 1500000000123456789 };
	struct store *s;

	*c = content_of(text);
	assert_int_equal(store_open(w->b, c, 0, &s, &w->e), FATE_DONE);
	if (store_missing(s) > 0)
		assert_int_equal(store_put(s, 0, text, strlen(text), &w->e), FATE_DONE);
	assert_int_equal(store_dress(s, &look, NULL, &w->e), FATE_DONE);
	store_flush(s);
	assert_int_equal(store_sync(s, &w->e), FATE_DONE);
	return s;
}

static enum fate
publish(struct world *w, const char *text, const char *path, const struct store_expect *expect, struct store_displaced *out)
{
	struct content c;
	struct store *s = finished(w, &c, text);
	enum fate f = store_publish(s, path, expect, &w->bins, out, &w->name, &w->e);

	if (f == FATE_DONE)
		store_free(s);
	else
		store_discard(s);
	return f;
}

static struct store_expect
as_it_is(struct world *w, const char *path)
{
	struct store_expect x = { .nothing = false };

	assert_int_equal(beneath_look(w->b, path, &x.facts, &w->e), FATE_DONE);
	return x;
}

static size_t
temporaries(struct world *w)
{
	struct buf names;
	size_t n = 0;

	buf_init(&names, 1 << 20);
	assert_int_equal(beneath_list(w->b, ".sync/tmp", &names, &w->e), FATE_DONE);
	for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1)
		n++;
	buf_free(&names);
	return n;
}

static void
test_new(void **state)
{
	const struct store_expect nothing = { .nothing = true };
	struct world w = begin();
	struct store_displaced out;
	struct file_facts facts;

	(void)state;
	assert_int_equal(publish(&w, "one", "photo.jpg", &nothing, &out), FATE_DONE);
	assert_true(scratch_holds(w.root, "photo.jpg", "one") && !out.any);
	assert_int_equal(beneath_look(w.b, "photo.jpg", &facts, &w.e), FATE_DONE);
	assert_true(facts.mode == 0664 && facts.mtime_ns == 1500000000123456789); /* no setuid */
	assert_int_equal(publish(&w, "two", "photo.jpg", &nothing, &out), FATE_EXISTS);
	assert_true(scratch_holds(w.root, "photo.jpg", "one"));
	assert_int_equal(publish(&w, "", "empty", &nothing, &out), FATE_DONE);
	assert_true(scratch_holds(w.root, "empty", ""));
	assert_int_equal(temporaries(&w), 0);
	end(&w);
}

static void
test_replace(void **state)
{
	struct world w = begin();
	struct store_displaced out;
	struct store_expect x;

	(void)state;
	assert_true(scratch_write(w.root, "f", "old"));
	x = as_it_is(&w, "f");
	assert_int_equal(publish(&w, "new", "f", &x, &out), FATE_DONE);
	assert_true(out.any && out.expected && scratch_holds(w.root, "f", "new"));
	assert_string_equal(buf_cstr(&w.name), ".sync/trash/" BATCH "_replaced/f");
	assert_true(scratch_holds(w.root, buf_cstr(&w.name), "old"));
	/* An application wrote meanwhile: its version is the loser of a conflict. */
	assert_true(scratch_write(w.root, "f", "theirs"));
	assert_int_equal(publish(&w, "newer", "f", &x, &out), FATE_DONE);
	assert_true(out.any && !out.expected && scratch_holds(w.root, "f", "newer"));
	assert_string_equal(buf_cstr(&w.name), ".sync/conflict/" BATCH "_lost/f");
	assert_true(scratch_holds(w.root, buf_cstr(&w.name), "theirs"));
	assert_int_equal(beneath_remove_file(w.b, "f", &w.e), FATE_DONE);
	assert_int_equal(publish(&w, "again", "f", &x, &out), FATE_GONE);
	assert_int_equal(access(scratch_path(w.root, "f"), F_OK), -1);
	assert_int_equal(temporaries(&w), 0);
	end(&w);
}

static void
test_file_for_directory(void **state)
{
	struct world w = begin();
	struct store_displaced out;
	struct store_expect x;

	(void)state;
	assert_int_equal(mkdir(scratch_path(w.root, "d"), 0755), 0);
	assert_true(scratch_write(w.root, "d/inside", "kept"));
	x = as_it_is(&w, "d");
	assert_int_equal(publish(&w, "file", "d", &x, &out), FATE_DONE);
	assert_true(scratch_holds(w.root, "d", "file") && out.expected);
	assert_true(scratch_holds(w.root, ".sync/trash/" BATCH "_replaced/d/inside", "kept"));
	end(&w);
}

/* A content of several blocks, one of them zeros. */
static void
big_content(struct content *c, char **data)
{
	struct err e;

	*c = (struct content){ .size = 3 * (uint64_t)CONTENT_BLOCK + 5, .nblocks = 4 };
	*data = calloc(1, c->size);
	c->blocks = calloc(c->nblocks, CONTENT_BYTES);
	memset(*data, 'a', CONTENT_BLOCK);
	memset(*data + 2 * (size_t)CONTENT_BLOCK, 'c', CONTENT_BLOCK);
	memcpy(*data + 3 * (size_t)CONTENT_BLOCK, "tail!", 5);
	for (size_t i = 0; i < c->nblocks; i++)
		assert_true(content_block(*data + i * CONTENT_BLOCK, content_length(c->size, i), c->blocks[i], &e));
	assert_true(content_id(c->size, (const unsigned char (*)[CONTENT_BYTES])c->blocks, c->nblocks, c->id, &e));
}

static void
test_blocks(void **state)
{
	const struct store_expect nothing = { .nothing = true };
	struct world w = begin();
	struct store_displaced out;
	struct content_read how;
	struct file_facts facts;
	struct content c, got;
	struct store *s;
	char *data;

	(void)state;
	big_content(&c, &data);
	assert_int_equal(store_open(w.b, &c, 0, &s, &w.e), FATE_DONE);
	assert_true(store_missing(s) == 3 && store_has(s, 1)); /* the hole is there already */
	assert_int_equal(store_put(s, 2, data, CONTENT_BLOCK, &w.e), FATE_CORRUPT); /* another block's */
	assert_int_equal(store_put(s, 2, data + 2 * (size_t)CONTENT_BLOCK, 7, &w.e), FATE_CORRUPT);
	assert_int_equal(store_put(s, 4, data, CONTENT_BLOCK, &w.e), FATE_CORRUPT);
	assert_int_equal(store_put(s, 2, data + 2 * (size_t)CONTENT_BLOCK, CONTENT_BLOCK, &w.e), FATE_DONE);
	assert_int_equal(store_publish(s, "big", &nothing, &w.bins, &out, &w.name, &w.e), FATE_CORRUPT); /* not complete */
	store_free(s);
	/* It is gone on with; what was spoilt meanwhile is missing again. */
	assert_int_equal(store_open(w.b, &c, 0, &s, &w.e), FATE_DONE);
	assert_true(store_missing(s) == 2 && store_has(s, 2) && !store_has(s, 0));
	assert_int_equal(store_put(s, 0, data, CONTENT_BLOCK, &w.e), FATE_DONE);
	assert_int_equal(store_put(s, 3, data + 3 * (size_t)CONTENT_BLOCK, 5, &w.e), FATE_DONE);
	assert_int_equal(store_missing(s), 0);
	assert_int_equal(store_publish(s, "big", &nothing, &w.bins, &out, &w.name, &w.e), FATE_DONE);
	store_free(s);
	assert_int_equal(content_path(w.b, "big", &got, &how, &w.e), FATE_DONE);
	assert_memory_equal(got.id, c.id, CONTENT_BYTES);
	assert_int_equal(beneath_look(w.b, "big", &facts, &w.e), FATE_DONE);
	assert_true(facts.allocated < facts.size); /* the hole stayed one */
	content_free(&got);
	content_free(&c);
	free(data);
	end(&w);
}

static void
test_take(void **state)
{
	struct world w = begin();
	struct content c;
	struct store *s;
	char *data;
	int fd;

	(void)state;
	big_content(&c, &data);
	fd = open(scratch_path(w.root, "old"), O_CREAT | O_RDWR, 0600);
	data[5] = 'X'; /* the first block is another one there */
	assert_int_equal(write(fd, data, c.size), c.size);
	data[5] = 'a';
	assert_int_equal(store_open(w.b, &c, 0, &s, &w.e), FATE_DONE);
	assert_int_equal(store_take(s, fd, &w.e), FATE_DONE);
	assert_true(store_missing(s) == 1 && !store_has(s, 0));
	(void)close(fd);
	store_discard(s);
	assert_int_equal(temporaries(&w), 0);
	assert_int_equal(store_open(w.b, &c, UINT64_MAX, &s, &w.e), FATE_FULL); /* not all of the disk */
	content_free(&c);
	free(data);
	end(&w);
}

/* After a crash: the new content, a displaced file, a displaced directory, one from a file system without exchange. */
static void
test_recover(void **state)
{
	struct world w = begin();
	struct content mine = content_of("mine"), other = content_of("other"), third = content_of("third");
	char name[128], hex[CONTENT_HEX];
	uint64_t n;

	(void)state;
	content_hex(mine.id, hex);
	(void)snprintf(name, sizeof name, ".sync/tmp/out-%s", hex);
	assert_true(scratch_write(w.root, name, "mine"));
	content_hex(other.id, hex);
	(void)snprintf(name, sizeof name, ".sync/tmp/out-%s", hex);
	assert_true(scratch_write(w.root, name, "displaced"));
	content_hex(third.id, hex);
	(void)snprintf(name, sizeof name, ".sync/tmp/out-%s", hex);
	assert_int_equal(mkdir(scratch_path(w.root, name), 0755), 0);
	assert_true(scratch_write(w.root, ".sync/tmp/exchange-0123456789abcdef", "aside"));
	assert_int_equal(store_recover(w.b, w.lost, &n, &w.e), FATE_DONE);
	assert_int_equal(n, 3);
	assert_int_equal(temporaries(&w), 0);
	assert_true(scratch_holds(w.root, ".sync/conflict/" BATCH "_lost/recovered/exchange-0123456789abcdef", "aside"));
	content_hex(other.id, hex);
	(void)snprintf(name, sizeof name, ".sync/conflict/" BATCH "_lost/recovered/out-%s", hex);
	assert_true(scratch_holds(w.root, name, "displaced"));
	end(&w);
}

/* One version after the other over the same path, until somebody ends it. */
static void
publish_for_ever(struct world *w)
{
	for (unsigned i = 1;; i++) {
		struct store_expect x = as_it_is(w, "f");
		struct store_displaced out;
		char text[32];

		(void)snprintf(text, sizeof text, "version %08u", i);
		assert_int_equal(publish(w, text, "f", &x, &out), FATE_DONE);
	}
}

struct hunt {
	bool found[HUNTED];
	unsigned newest, twice, other;
};

static struct hunt hunt; /* nftw has no argument */

static int
hunt_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char text[32] = "";
	unsigned n = HUNTED;
	FILE *f = type == FTW_F && st->st_size == sizeof "version 00000000" - 1 ? fopen(path, "r") : NULL;

	(void)at;
	if (f == NULL)
		return 0;
	if (fgets(text, sizeof text, f) != NULL && strncmp(text, "version ", 8) == 0)
		n = (unsigned)strtoul(text + 8, NULL, 10);
	(void)fclose(f);
	hunt.other += n >= HUNTED;
	if (n < HUNTED) {
		hunt.twice += hunt.found[n];
		hunt.found[n] = true;
		hunt.newest = n > hunt.newest ? n : hunt.newest;
	}
	return 0;
}

/* Killed at any moment: the path has a whole version, and every older one is kept somewhere. */
static void
test_kills(void **state)
{
	for (int round = 0; round < KILLS; round++) {
		struct world w = begin();
		struct timespec nap = { 0, (long)(1 + seed_below(*state, 8000)) * 1000 };
		char live[32] = "";
		uint64_t n;
		pid_t child;
		FILE *f;

		assert_true(scratch_write(w.root, "f", "version 00000000"));
		child = fork();
		if (child == 0) {
			publish_for_ever(&w);
			_exit(0);
		}
		(void)nanosleep(&nap, NULL);
		(void)kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_int_equal(store_recover(w.b, w.lost, &n, &w.e), FATE_DONE);
		assert_int_equal(store_purge(w.b, INT64_MAX, &n, &w.e), FATE_DONE);
		assert_int_equal(temporaries(&w), 0);
		f = fopen(scratch_path(w.root, "f"), "r");
		assert_true(f != NULL && fgets(live, sizeof live, f) != NULL && strlen(live) == sizeof "version 00000000" - 1);
		(void)fclose(f);
		memset(&hunt, 0, sizeof hunt);
		assert_int_equal(nftw(w.root, hunt_one, 16, FTW_PHYS), 0);
		assert_true(hunt.other == 0 && hunt.twice == 0 && hunt.newest == strtoul(live + 8, NULL, 10));
		for (unsigned i = 0; i < hunt.newest; i++)
			if (!hunt.found[i])
				fail_msg("version %u of %u is gone", i, hunt.newest);
		end(&w);
	}
}

static void
test_purge_temporaries(void **state)
{
	struct world w = begin();
	struct content c;
	uint64_t n;

	(void)state;
	store_free(finished(&w, &c, "half"));
	assert_true(scratch_write(w.root, ".sync/tmp/note", "not ours"));
	assert_int_equal(store_purge(w.b, 0, &n, &w.e), FATE_DONE);
	assert_int_equal(n, 0);
	assert_int_equal(store_purge(w.b, INT64_MAX, &n, &w.e), FATE_DONE);
	assert_int_equal(n, 1);
	assert_int_equal(temporaries(&w), 1);
	end(&w);
}

static void
test_trash(void **state)
{
	struct world w = begin();
	struct file_facts facts;
	struct trash *t;

	(void)state;
	assert_true(trash_new(w.b, TRASH_DELETED, "deleted", wall_us, &t, &w.e));
	assert_int_equal(mkdir(scratch_path(w.root, "a"), 0755), 0);
	assert_true(scratch_write(w.root, "a/b", "1"));
	assert_int_equal(trash_put(t, "a/b", "a/b", &w.name, &facts, &w.e), FATE_DONE);
	assert_string_equal(buf_cstr(&w.name), ".sync/trash/" BATCH "_deleted/a/b");
	assert_int_equal(facts.size, 1);
	assert_true(scratch_write(w.root, "a/b", "2")); /* the same path once more in the same pass */
	assert_int_equal(trash_put(t, "a/b", "a/b", &w.name, NULL, &w.e), FATE_DONE);
	assert_string_equal(buf_cstr(&w.name), ".sync/trash/" BATCH "_deleted~2/a/b");
	assert_int_equal(trash_put(t, "a/b", "a/b", &w.name, NULL, &w.e), FATE_GONE);
	assert_true(scratch_write(w.root, "a/x", "file") && scratch_write(w.root, "y", "below"));
	assert_int_equal(trash_put(t, "a/x", "x", &w.name, NULL, &w.e), FATE_DONE);
	assert_int_equal(trash_put(t, "y", "x/y", &w.name, NULL, &w.e), FATE_DONE); /* where x is a file */
	assert_true(scratch_holds(w.root, ".sync/trash/" BATCH "_deleted~2/x/y", "below"));
	assert_int_equal(trash_restore(w.b, ".sync/trash/" BATCH "_deleted~2/a/b", "n/e/w", 0755, &w.e), FATE_DONE);
	assert_true(scratch_holds(w.root, "n/e/w", "2"));
	assert_int_equal(trash_restore(w.b, ".sync/trash/" BATCH "_deleted/a/b", "n/e/w", 0755, &w.e), FATE_EXISTS);
	trash_free(t);
	end(&w);
}

static bool
keep_late(void *arg, const char *name, const struct file_facts *facts)
{
	(void)arg, (void)facts;
	return strstr(name, "late") == NULL;
}

static void
test_purge_trash(void **state)
{
	static const int64_t day_us = 86400000000;
	struct world w = begin();
	struct trash_purged p;
	struct trash *old;

	(void)state;
	assert_true(trash_new(w.b, TRASH_DELETED, "deleted", wall_us - 40 * day_us, &old, &w.e));
	assert_int_equal(mkdir(scratch_path(w.root, "d"), 0755), 0);
	assert_true(scratch_write(w.root, "d/gone", "gone") && scratch_write(w.root, "d/late", "l") && scratch_write(w.root, "young", "y"));
	assert_int_equal(symlink("/etc", scratch_path(w.root, "d/link")), 0);
	assert_int_equal(trash_put(old, "d", "d", &w.name, NULL, &w.e), FATE_DONE);
	assert_int_equal(trash_put(w.replaced, "young", "young", &w.name, NULL, &w.e), FATE_DONE);
	assert_int_equal(mkdir(scratch_path(w.root, ".sync/trash/my own folder"), 0755), 0);
	assert_int_equal(trash_purge(w.b, TRASH_DELETED, wall_us - 30 * day_us, keep_late, NULL, &p, &w.e), FATE_DONE);
	assert_true(p.files == 2 && p.kept == 1);
	assert_true(scratch_holds(w.root, ".sync/trash/2026-10-12_155000_deleted/d/late", "l"));
	assert_int_equal(trash_purge(w.b, TRASH_DELETED, wall_us - 30 * day_us, NULL, NULL, &p, &w.e), FATE_DONE);
	assert_int_equal(access(scratch_path(w.root, ".sync/trash/2026-10-12_155000_deleted"), F_OK), -1);
	assert_true(scratch_holds(w.root, ".sync/trash/" BATCH "_replaced/young", "y"));
	assert_int_equal(access(scratch_path(w.root, ".sync/trash/my own folder"), F_OK), 0);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	trash_free(old);
	end(&w);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		NAMED("a new file appears whole, and never over another", test_new),
		NAMED("what is replaced goes to the trash, what nobody expected to the conflicts", test_replace),
		NAMED("a file takes the place of a full directory in one step", test_file_for_directory),
		NAMED("blocks are taken when they fit, and found again", test_blocks),
		NAMED("blocks of an older version are used again", test_take),
		NAMED("what a crash left is told apart", test_recover),
		{ "killed at any moment, no version is lost", test_kills, NULL, NULL, &seed },
		NAMED("temporaries are purged by age", test_purge_temporaries),
		NAMED("what is put into the trash keeps its path", test_trash),
		NAMED("trash is purged by the date of its batch", test_purge_trash),
	};

	(void)umask(077);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
