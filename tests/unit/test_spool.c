/* The spool: lines in and out through memory and file, frames one behind the other, damage. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "seed.h"
#include "wire/line.h"
#include "wire/spool.h"

static char folder[64]; /* a fresh one for this run, removed at its end */

static struct spool *
make(void)
{
	struct spool *s;
	struct err e;

	assert_true(spool_new(folder, &s, &e));
	return s;
}

static void
write_text(struct spool *s, const char *text)
{
	struct err e;

	assert_true(spool_write(s, text, strlen(text), &e));
}

static void
finish(struct spool *s)
{
	struct err e;

	assert_true(spool_finish(s, &e));
}

static void
begin(struct spool *s)
{
	struct err e;

	assert_true(spool_rewind(s, &e));
}

static void
expect_n(struct spool *s, const char *want, size_t want_len)
{
	struct err e;
	char *line;
	size_t len;

	if (!spool_line(s, &line, &len, &e))
		fail_msg("%s", e.msg);
	assert_non_null(line);
	assert_int_equal(len, want_len);
	assert_memory_equal(line, want, len);
	assert_int_equal(line[len], '\0');
	memset(line, 'x', len); /* it may be written to */
}

static void
expect(struct spool *s, const char *want)
{
	expect_n(s, want, strlen(want));
}

static void
expect_end(struct spool *s)
{
	struct err e;
	size_t len;
	char *line;

	for (int i = 0; i < 2; i++) {
		if (!spool_line(s, &line, &len, &e))
			fail_msg("%s", e.msg);
		assert_null(line);
	}
}

/* All compressed bytes. */
static char *
take_bytes(struct spool *s, size_t *size)
{
	struct err e;
	char *bytes;
	size_t got;

	*size = (size_t)spool_size(s);
	bytes = malloc(*size + 1);
	assert_non_null(bytes);
	for (size_t at = 0; at < *size; at += got) {
		assert_true(spool_get(s, at, bytes + at, *size - at, &got, &e));
		assert_true(got > 0);
	}
	return bytes;
}

static struct spool *
from_bytes(const char *bytes, size_t len)
{
	struct spool *s = make();
	struct err e;

	assert_true(spool_put(s, bytes, len, &e));
	begin(s);
	return s;
}

/* Read to the end or the first error; true when it ended well. */
static bool
read_all(struct spool *s, uint64_t *lines, struct err *e)
{
	char *line;
	size_t len;

	*lines = 0;
	while (spool_line(s, &line, &len, e)) {
		if (line == NULL)
			return true;
		++*lines;
	}
	return false;
}

static bool
folder_is_empty(void)
{
	DIR *d = opendir(folder);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n == 2; /* . and .. */
}

/* --- in and out --- */

static void
test_lines(void **state)
{
	struct spool *s = make();

	(void)state;
	write_text(s, "one\n\ntw");
	write_text(s, "");
	write_text(s, "o\nthree\n");
	finish(s);
	assert_int_equal(spool_plain_size(s), 15);
	begin(s);
	expect(s, "one");
	expect(s, "");
	expect(s, "two");
	expect(s, "three");
	expect_end(s);
	spool_free(s);
}

static void
test_nothing(void **state)
{
	struct spool *s = make();

	(void)state;
	finish(s);
	assert_int_equal(spool_size(s), 0);
	assert_int_equal(spool_plain_size(s), 0);
	begin(s);
	expect_end(s);
	spool_free(s);
	spool_free(NULL);
}

static void
test_nul_bytes(void **state)
{
	static const char text[] = "a\0b\n\0\n\xff\n";
	struct spool *s = make();
	struct err e;

	(void)state;
	assert_true(spool_write(s, text, sizeof text - 1, &e));
	finish(s);
	begin(s);
	expect_n(s, "a\0b", 3);
	expect_n(s, "\0", 1);
	expect_n(s, "\xff", 1);
	expect_end(s);
	spool_free(s);
}

static void
test_twice(void **state)
{
	struct spool *s = make();

	(void)state;
	write_text(s, "one\ntwo\nthree\n");
	finish(s);
	for (int i = 0; i < 3; i++) {
		begin(s);
		expect(s, "one");
		expect(s, "two");
		if (i != 1) { /* once stopped in the middle */
			expect(s, "three");
			expect_end(s);
		}
	}
	spool_free(s);
}

static void
test_two_frames(void **state)
{
	struct spool *s = make();

	(void)state;
	write_text(s, "one\ntw");
	finish(s);
	finish(s);
	write_text(s, "o\nthree\n");
	finish(s);
	begin(s);
	expect(s, "one");
	expect(s, "two");
	expect(s, "three");
	expect_end(s);
	spool_free(s);
}

/* Lines of one length, so many that the plain text has the given size. */
static void
round_trip_of(size_t plain, size_t each)
{
	struct spool *s = make();
	char *text = malloc(each + 1);
	uint64_t lines;
	struct err e;
	size_t n = plain / each;

	assert_non_null(text);
	memset(text, 'x', each);
	text[each - 1] = '\n';
	for (size_t i = 0; i < n; i++)
		assert_true(spool_write(s, text, each, &e));
	finish(s);
	begin(s);
	if (!read_all(s, &lines, &e))
		fail_msg("%zu lines of %zu bytes: %s", n, each, e.msg);
	assert_int_equal(lines, n);
	free(text);
	spool_free(s);
}

static void
test_sizes(void **state)
{
	static const size_t kib[] = { 1, 127, 128, 129, 130, 200, 255, 256, 257, 300, 384, 385, 400, 511, 512, 513, 640, 1000, 3000 };

	(void)state;
	for (size_t i = 0; i < sizeof kib / sizeof kib[0]; i++) {
		round_trip_of(kib[i] * 1024, 64);
		round_trip_of(kib[i] * 1024, 1000);
		round_trip_of(kib[i] * 1024, kib[i] * 1024);
	}
}

/* A frame whose blocks have the given size, as another version of zstd may cut them: n lines of 64 bytes. */
static char *
frame_of_blocks(size_t n, size_t block, size_t *size)
{
	ZSTD_CCtx *pack = ZSTD_createCCtx();
	size_t plain = n * 64, room = plain + 1024 * 1024;
	char *text = malloc(plain), *out = malloc(room);
	ZSTD_outBuffer to = { out, room, 0 };

	assert_true(pack != NULL && text != NULL && out != NULL);
	memset(text, 'x', plain);
	for (size_t i = 0; i < n; i++)
		text[i * 64 + 63] = '\n';
	for (size_t at = 0; at < plain; at += block) {
		ZSTD_inBuffer in = { text + at, plain - at < block ? plain - at : block, 0 };

		assert_int_equal(ZSTD_compressStream2(pack, &to, &in, plain - at <= block ? ZSTD_e_end : ZSTD_e_flush), 0);
	}
	*size = to.pos;
	(void)ZSTD_freeCCtx(pack);
	free(text);
	return out;
}

static void
test_block_sizes(void **state)
{
	static const size_t kib[] = { 1, 3, 64, 90, 100, 127, 128 };

	(void)state;
	for (size_t i = 0; i < sizeof kib / sizeof kib[0]; i++)
		for (size_t n = 1500; n < 8000; n += 500) {
			struct spool *s;
			struct err e;
			uint64_t lines;
			size_t size;
			char *bytes = frame_of_blocks(n, kib[i] * 1024, &size);

			s = from_bytes(bytes, size);
			if (!read_all(s, &lines, &e))
				fail_msg("%zu lines in blocks of %zu KiB: %s", n, kib[i], e.msg);
			assert_int_equal(lines, n);
			spool_free(s);
			free(bytes);
		}
}

/* Numbered lines that hardly compress, in frames of some thousands. */
static void
fill_large(struct spool *s, size_t lines, size_t frame)
{
	struct seed random = { 7 };
	struct err e;
	char line[200];

	for (size_t i = 0; i < lines; i++) {
		size_t len = (size_t)snprintf(line, sizeof line, "%zu", i);

		while (len < 120)
			line[len++] = (char)('0' + seed_below(&random, 64));
		line[len++] = '\n';
		assert_true(spool_write(s, line, len, &e));
		if (i % frame == frame - 1)
			finish(s);
	}
	finish(s);
}

static void
check_large(struct spool *s, size_t lines)
{
	char want[24], *line;
	struct err e;
	size_t len;

	begin(s);
	for (size_t i = 0; i < lines; i++) {
		if (!spool_line(s, &line, &len, &e))
			fail_msg("line %zu: %s", i, e.msg);
		assert_non_null(line);
		(void)snprintf(want, sizeof want, "%zu", i);
		assert_int_equal(len, 120);
		assert_memory_equal(line, want, strlen(want));
	}
	expect_end(s);
}

static void
test_file(void **state)
{
	enum { LINES = 60000 };
	struct spool *s = make(), *copy;
	char *bytes;
	size_t size;

	(void)state;
	fill_large(s, LINES, 7000);
	assert_true(spool_size(s) > SPOOL_MEMORY * 2);
	assert_int_equal(spool_plain_size(s), LINES * 121);
	assert_true(folder_is_empty());
	check_large(s, LINES);
	check_large(s, LINES);
	bytes = take_bytes(s, &size);
	spool_free(s);
	copy = make();
	for (size_t at = 0, n; at < size; at += n) {
		struct err e;

		n = size - at < 1000003 ? size - at : 1000003;
		assert_true(spool_put(copy, bytes + at, n, &e));
	}
	assert_int_equal(spool_size(copy), size);
	check_large(copy, LINES);
	spool_free(copy);
	free(bytes);
	assert_true(folder_is_empty());
}

static void
test_memory_limit(void **state)
{
	char *bytes = calloc(1, SPOOL_MEMORY), got[4];
	struct spool *s;
	struct err e;
	size_t n;

	(void)state;
	assert_non_null(bytes);
	assert_true(spool_new("/nowhere/at/all", &s, &e));
	assert_true(spool_put(s, bytes, SPOOL_MEMORY - 1, &e));
	assert_true(spool_put(s, "a", 1, &e)); /* full to the last byte, no file needed */
	assert_int_equal(spool_size(s), SPOOL_MEMORY);
	assert_true(spool_get(s, SPOOL_MEMORY - 2, got, sizeof got, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(got[1], 'a');
	assert_false(spool_put(s, "b", 1, &e));
	assert_int_equal(e.code, ERR_IO);
	assert_non_null(strstr(e.msg, "state_dir"));
	assert_non_null(strstr(e.msg, "/nowhere/at/all"));
	spool_free(s);
	free(bytes);
}

static void
test_long_folder_name(void **state)
{
	char *bytes = calloc(1, SPOOL_MEMORY + 1), name[5000];
	struct spool *s;
	struct err e;

	(void)state;
	assert_non_null(bytes);
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_true(spool_new(name, &s, &e));
	assert_false(spool_put(s, bytes, SPOOL_MEMORY + 1, &e));
	assert_int_equal(e.code, ERR_CONFIG);
	spool_free(s);
	free(bytes);
}

static void
test_get(void **state)
{
	struct spool *s = make();
	struct err e;
	char got[16];
	size_t n;

	(void)state;
	assert_true(spool_get(s, 0, got, sizeof got, &n, &e));
	assert_int_equal(n, 0);
	assert_true(spool_put(s, "abcdef", 6, &e));
	assert_true(spool_get(s, 0, got, 3, &n, &e));
	assert_int_equal(n, 3);
	assert_memory_equal(got, "abc", 3);
	assert_true(spool_get(s, 4, got, sizeof got, &n, &e));
	assert_int_equal(n, 2);
	assert_memory_equal(got, "ef", 2);
	assert_true(spool_get(s, 6, got, sizeof got, &n, &e));
	assert_int_equal(n, 0);
	assert_true(spool_get(s, UINT64_MAX, got, sizeof got, &n, &e));
	assert_int_equal(n, 0);
	spool_free(s);
}

/* --- damage --- */

static void
test_truncated(void **state)
{
	struct spool *s = make();
	char *bytes;
	size_t size;

	(void)state;
	write_text(s, "one\ntwo\n");
	finish(s);
	write_text(s, "three\n");
	finish(s);
	bytes = take_bytes(s, &size);
	spool_free(s);
	for (size_t len = 1; len < size; len++) {
		struct err e;
		uint64_t lines;
		bool ok;

		s = from_bytes(bytes, len);
		ok = read_all(s, &lines, &e);
		if (ok)
			assert_int_equal(lines, 2); /* cut between the frames: what counts lines tells */
		else
			assert_int_equal(e.code, ERR_INPUT);
		spool_free(s);
	}
	free(bytes);
}

static void
test_garbage(void **state)
{
	static const char *const bad[] = { "one\ntwo\n", "{\"group\":\"1\"}\n", "\x1f\x8b\x08", "\x28\xb5\x2f\xfe", "x" };
	struct spool *s = make();
	struct err e;
	uint64_t lines;
	char *bytes;
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct spool *g = from_bytes(bad[i], strlen(bad[i]));

		assert_false(read_all(g, &lines, &e));
		assert_int_equal(e.code, ERR_INPUT);
		spool_free(g);
	}
	write_text(s, "one\n");
	finish(s);
	bytes = take_bytes(s, &size);
	assert_true(spool_put(s, "garbage behind", 14, &e));
	begin(s);
	expect(s, "one");
	assert_false(read_all(s, &lines, &e));
	assert_int_equal(e.code, ERR_INPUT);
	spool_free(s);
	free(bytes);
}

static void
test_random_damage(void **state)
{
	struct seed *random = *state;
	struct spool *s = make();
	char *bytes, *copy;
	size_t size;

	fill_large(s, 300, 100);
	bytes = take_bytes(s, &size);
	spool_free(s);
	copy = malloc(size);
	assert_non_null(copy);
	for (int round = 0; round < 300; round++) {
		uint64_t lines;
		struct err e;

		memcpy(copy, bytes, size);
		for (size_t i = 0, n = 1 + seed_below(random, 4); i < n; i++)
			copy[seed_below(random, size)] = (char)seed_next(random);
		s = from_bytes(copy, size);
		if (!read_all(s, &lines, &e))
			assert_true(e.code == ERR_INPUT || e.code == ERR_LIMIT);
		spool_free(s);
	}
	free(copy);
	free(bytes);
}

static void
test_large_window(void **state)
{
	/* A frame header that wants a window of 2 GiB: magic, descriptor, window descriptor. */
	static const char frame[] = "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
	struct spool *s = from_bytes(frame, sizeof frame - 1);
	struct err e;
	uint64_t lines;

	(void)state;
	assert_false(read_all(s, &lines, &e));
	assert_int_equal(e.code, ERR_INPUT);
	spool_free(s);
}

static void
test_no_end(void **state)
{
	struct spool *s = make();
	struct err e;
	char *line;
	size_t len;

	(void)state;
	write_text(s, "one\ntwo");
	finish(s);
	begin(s);
	expect(s, "one");
	assert_false(spool_line(s, &line, &len, &e));
	assert_int_equal(e.code, ERR_INPUT);
	spool_free(s);
}

static void
test_long_line(void **state)
{
	enum { STEP = 1024 * 1024, ROOM = 4 * 1024 * 1024 };
	char *block = malloc(STEP);
	struct spool *s = make();
	uint64_t lines;
	struct err e;

	(void)state;
	assert_non_null(block);
	memset(block, 'x', STEP);
	for (size_t n = 0; n < (size_t)LINE_BYTES_MAX + ROOM; n += STEP)
		assert_true(spool_write(s, block, STEP, &e));
	write_text(s, "\n");
	finish(s);
	assert_true(spool_size(s) < SPOOL_MEMORY); /* a bomb: little to receive */
	begin(s);
	assert_false(read_all(s, &lines, &e));
	assert_int_equal(e.code, ERR_LIMIT);
	assert_int_equal(lines, 0);
	spool_free(s);
	free(block);
}

static int
make_folder(void **state)
{
	const char *base = getenv("TMPDIR");

	(void)state;
	(void)snprintf(folder, sizeof folder, "%s/spool-test-XXXXXX", base == NULL || strlen(base) > 40 ? "/tmp" : base);
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }
#define RANDOM(text, f) { text, f, NULL, NULL, &seed }

int
main(void)
{
	struct seed seed = seed_choose();
	const struct CMUnitTest tests[] = {
		NAMED("lines come out as they went in", test_lines),
		NAMED("an empty spool has no lines", test_nothing),
		NAMED("lines may hold any byte but the newline", test_nul_bytes),
		NAMED("a spool can be read again, from the middle too", test_twice),
		NAMED("two frames one behind the other are one text", test_two_frames),
		NAMED("every size around zstd's blocks is read to its end", test_sizes),
		NAMED("blocks of every size are read to their end", test_block_sizes),
		NAMED("a large spool goes through a file without a name", test_file),
		NAMED("memory is filled to its limit; then a missing state_dir is named", test_memory_limit),
		NAMED("a state_dir with too long a name is refused", test_long_folder_name),
		NAMED("pieces are copied from any offset", test_get),
		NAMED("a truncated spool is an error or ends between frames", test_truncated),
		NAMED("garbage is refused, also behind a frame", test_garbage),
		RANDOM("a damaged spool is refused or read to its end", test_random_damage),
		NAMED("a frame that wants a large window is refused", test_large_window),
		NAMED("a last line without an end is refused", test_no_end),
		NAMED("a line above the limit is refused", test_long_line),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("spool", tests, make_folder, remove_folder);
}
