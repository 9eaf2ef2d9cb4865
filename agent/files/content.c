/* Names of contents. Lives here: SHA-256 over blocks, holes, and reading a file between two looks at it. */
#include "config.h"

#include "files/content.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"

enum {
	TRIES = 3,   /* of a file that changes while it is read */
	NAP_MS = 20, /* between them; who writes for longer is tried again at the next pass */
	HELPED = 16, /* blocks from which on a file is hashed by two threads: reading takes as long as hashing, or less */
	SIZE_BYTES = 8,
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000
};

static const char prefix[] = { 'm', 'b', '1' };

/* SHA-256 of CONTENT_BLOCK zeros. */
static const unsigned char zeros_hash[CONTENT_BYTES] = {
	0x30, 0xe1, 0x49, 0x55, 0xeb, 0xf1, 0x35, 0x22, 0x66, 0xdc, 0x2f, 0xf8, 0x06, 0x7e, 0x68, 0x10,
	0x46, 0x07, 0xe7, 0x50, 0xab, 0xb9, 0xd3, 0xb3, 0x65, 0x82, 0xb8, 0xaf, 0x90, 0x9f, 0xcb, 0x58,
};

void
content_free(struct content *d)
{
	free(d->blocks);
	d->blocks = NULL;
}

bool
content_block(const void *data, size_t len, unsigned char out[CONTENT_BYTES], struct err *e)
{
	return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1 || err_set(e, ERR_INTERNAL, "SHA-256 is not available");
}

bool
content_id(uint64_t size, const unsigned char (*blocks)[CONTENT_BYTES], size_t nblocks, unsigned char out[CONTENT_BYTES], struct err *e)
{
	unsigned char big_end[SIZE_BYTES];
	EVP_MD_CTX *ctx;
	bool ok;

	assert(nblocks == content_count(size));
	if (nblocks == 0)
		return content_block("", 0, out, e);
	if (nblocks == 1) {
		memcpy(out, blocks[0], CONTENT_BYTES);
		return true;
	}
	for (size_t i = 0; i < SIZE_BYTES; i++)
		big_end[i] = (unsigned char)(size >> (8 * (SIZE_BYTES - 1 - i)));
	ctx = EVP_MD_CTX_new();
	ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, prefix, sizeof prefix) == 1 &&
	    EVP_DigestUpdate(ctx, big_end, sizeof big_end) == 1 && EVP_DigestUpdate(ctx, blocks, nblocks * CONTENT_BYTES) == 1 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok || err_set(e, ERR_INTERNAL, "SHA-256 is not available");
}

size_t
content_count(uint64_t size)
{
	return (size_t)(size / CONTENT_BLOCK + (size % CONTENT_BLOCK != 0));
}

size_t
content_length(uint64_t size, size_t i)
{
	uint64_t at = (uint64_t)i * CONTENT_BLOCK;

	if (at >= size)
		return 0;
	return size - at < CONTENT_BLOCK ? (size_t)(size - at) : CONTENT_BLOCK;
}

bool
content_all_zero(const void *data, size_t len)
{
	const unsigned char *p = data;

	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

bool
content_is_zeros(const unsigned char hash[CONTENT_BYTES], size_t len)
{
	unsigned char own[CONTENT_BYTES];
	void *zeros;
	bool same;

	if (len == CONTENT_BLOCK)
		return memcmp(hash, zeros_hash, CONTENT_BYTES) == 0;
	zeros = calloc(1, len == 0 ? 1 : len);
	same = zeros != NULL && content_block(zeros, len, own, NULL) && memcmp(hash, own, CONTENT_BYTES) == 0;
	free(zeros);
	return same;
}

void
content_hex(const unsigned char id[CONTENT_BYTES], char out[CONTENT_HEX])
{
	hex_write(id, CONTENT_BYTES, out);
}

bool
content_parse(const char *hex, unsigned char out[CONTENT_BYTES])
{
	return hex_read(hex, CONTENT_BYTES, out) && hex[CONTENT_HEX - 1] == '\0';
}

/* --- a file ------------------------------------------------------------------------------------ */

/* Does anybody have the open file open for writing (also as a map)? *known false: cannot be told. */
static bool
is_written(int fd, bool *known)
{
	bool nobody = disk_no_writer(fd);

	*known = nobody || errno == EAGAIN;
	return !nobody && *known;
}

/* What is being read. */
struct reading {
	int fd;
	const char *path;
	uint64_t size;
	char *block;		/* room for the largest block of this file */
	uint64_t data, hole;	/* the last stretch of data that was found */
};

/* Is nothing but a hole in [at, at + len)? */
static bool
in_hole(struct reading *r, uint64_t at, size_t len)
{
	if (at >= r->hole && !disk_data(r->fd, at, r->size, &r->data, &r->hole))
		r->data = r->hole = UINT64_MAX; /* no data behind */
	return r->data >= at + len;
}

/* len bytes from at on; FATE_CHANGED when there are less. */
static enum fate
read_block(struct reading *r, uint64_t at, size_t len, struct err *e)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(r->fd, r->block + got, len - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fate_errno(e, "cannot read", r->path);
		if (n == 0)
			return fate_set(e, FATE_CHANGED, "cannot read", r->path);
		got += (size_t)n;
	}
	return FATE_DONE;
}

static enum fate
hash_block(struct reading *r, size_t i, unsigned char out[CONTENT_BYTES], struct err *e)
{
	uint64_t at = (uint64_t)i * CONTENT_BLOCK;
	size_t len = content_length(r->size, i);
	enum fate f;

	if (len == CONTENT_BLOCK && in_hole(r, at, len)) {
		memcpy(out, zeros_hash, CONTENT_BYTES);
		return FATE_DONE;
	}
	f = read_block(r, at, len, e);
	if (f == FATE_DONE && !content_block(r->block, len, out, e))
		f = FATE_FAILED;
	return f;
}

/* Blocks that threads take one after the other, so that the disk reads on in one direction. */
struct hashing {
	const struct reading *r;
	unsigned char (*hashes)[CONTENT_BYTES];
	size_t n;
	atomic_size_t next;
	atomic_bool failed;
};

struct hasher {
	struct hashing *all;
	enum fate fate;
	struct err e;
};

static void *
hash_some(void *arg)
{
	struct hasher *h = arg;
	struct reading own = *h->all->r;
	size_t i;

	own.block = malloc(h->all->n > 1 ? CONTENT_BLOCK : (size_t)own.size + 1);
	h->fate = FATE_DONE;
	if (own.block == NULL) {
		(void)err_set(&h->e, ERR_MEMORY, "out of memory for hashing");
		h->fate = FATE_FAILED;
	}
	while (h->fate == FATE_DONE && !atomic_load(&h->all->failed) && (i = atomic_fetch_add(&h->all->next, 1)) < h->all->n)
		h->fate = hash_block(&own, i, h->all->hashes[i], &h->e);
	if (h->fate != FATE_DONE)
		atomic_store(&h->all->failed, true);
	free(own.block);
	return NULL;
}

static enum fate
hash_blocks(const struct reading *r, unsigned char (*hashes)[CONTENT_BYTES], size_t n, struct err *e)
{
	struct hashing all = { .r = r, .hashes = hashes, .n = n };
	struct hasher mine = { .all = &all }, other = { .all = &all, .fate = FATE_DONE };
	pthread_t thread;
	bool helped = n >= HELPED && pthread_create(&thread, NULL, hash_some, &other) == 0;

	(void)hash_some(&mine);
	if (helped)
		(void)pthread_join(thread, NULL);
	if (mine.fate != FATE_DONE)
		return *e = mine.e, mine.fate;
	if (other.fate != FATE_DONE)
		*e = other.e;
	return other.fate;
}

static enum fate
hash_all(struct reading *r, struct content *out, struct err *e)
{
	unsigned char one[1][CONTENT_BYTES], (*hashes)[CONTENT_BYTES] = one;
	enum fate f = FATE_FAILED;

	out->size = r->size;
	out->nblocks = content_count(r->size);
	if (out->nblocks > CONTENT_BLOCKS_MAX)
		return err_set(e, ERR_LIMIT, "a file is larger than %d MiB", CONTENT_BLOCKS_MAX), FATE_FAILED;
	if (out->nblocks > 1) {
		hashes = out->blocks = malloc(out->nblocks * CONTENT_BYTES);
		disk_sequential(r->fd);
	}
	if (hashes == NULL)
		(void)err_set(e, ERR_MEMORY, "out of memory for hashing");
	else
		f = hash_blocks(r, hashes, out->nblocks, e);
	if (f == FATE_DONE && !content_id(r->size, (const unsigned char (*)[CONTENT_BYTES])hashes, out->nblocks, out->id, e))
		f = FATE_FAILED;
	return f;
}

static bool
same_state(const struct file_facts *a, const struct file_facts *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* Did it change so lately that another change could leave the same times? */
static bool
is_racy(const struct file_facts *facts, int64_t begun_us)
{
	int64_t since = (begun_us / 1000 - CONTENT_RACY_MS) * NS_PER_MS;

	return facts->mtime_ns >= since || facts->ctime_ns >= since;
}

bool
content_time_is_near(int64_t mtime_ns)
{
	int64_t window_ms = mtime_ns % NS_PER_S == 0 ? CONTENT_RACY_MS : CONTENT_TICK_MS;

	return mtime_ns >= (clock_wall_us() / 1000 - window_ms) * NS_PER_MS;
}

enum fate
content_begin(int fd, const char *path, struct content_read *how, struct err *e)
{
	int64_t begun_us = clock_wall_us();
	bool known;

	if (!disk_look(fd, "", &how->facts))
		return fate_errno(e, "cannot look at", path);
	if (how->facts.type != 'f')
		return fate_set(e, FATE_KIND, "cannot read", path);
	if (is_written(fd, &known))
		return fate_set(e, FATE_BUSY, "is being written:", path);
	how->leased = known;
	how->racy = is_racy(&how->facts, begun_us);
	return FATE_DONE;
}

enum fate
content_end(int fd, const char *path, const struct content_read *how, struct err *e)
{
	struct file_facts after;
	bool known;

	if (!disk_look(fd, "", &after))
		return fate_errno(e, "cannot look at", path);
	if (!same_state(&how->facts, &after))
		return fate_set(e, FATE_CHANGED, "cannot read", path);
	if (how->leased && is_written(fd, &known))
		return fate_set(e, FATE_BUSY, "is being written:", path);
	return FATE_DONE;
}

enum fate
content_file(int fd, const char *path, struct content *out, struct content_read *how, struct err *e)
{
	struct reading r = { .fd = fd, .path = path };
	enum fate f;

	*out = (struct content){ .blocks = NULL };
	f = content_begin(fd, path, how, e);
	if (f != FATE_DONE)
		return f;
	r.size = how->facts.size;
	f = hash_all(&r, out, e);
	if (f == FATE_DONE)
		f = content_end(fd, path, how, e);
	if (f != FATE_DONE)
		content_free(out);
	return f;
}

enum fate
content_path(const struct beneath *b, const char *path, struct content *out, struct content_read *how, struct err *e)
{
	enum fate f = FATE_CHANGED;

	*out = (struct content){ .blocks = NULL };
	for (int i = 0; f == FATE_CHANGED && i < TRIES; i++) {
		int fd;

		if (i > 0)
			clock_nap_ms(NAP_MS);
		f = beneath_file(b, path, O_RDONLY, 0, &fd, e);
		if (f != FATE_DONE)
			return f;
		f = content_file(fd, path, out, how, e);
		(void)close(fd);
	}
	return f;
}
