/* What a content is called: SHA-256, over blocks of 1 MiB where it is larger than one. Up to one
 * block the id is SHA-256 of the content, as sha256sum says it; above, it is SHA-256 of "mb1", the
 * size (8 bytes, big end first) and the hashes of the blocks in order. Lives here: hashing, and reading
 * a file so that a torn state is never named. Not here: who asks for it. */
#ifndef TANDEM_FILES_CONTENT_H
#define TANDEM_FILES_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files/beneath.h"

enum {
	CONTENT_BYTES = 32,
	CONTENT_HEX = CONTENT_BYTES * 2 + 1, /* with a NUL */
	CONTENT_BLOCK = 1024 * 1024,
	CONTENT_BLOCKS_MAX = 1024 * 1024, /* a file of 1 TiB: 32 MiB of hashes */
	CONTENT_RACY_MS = 2000, /* a file that changed that recently may change again without a new time */
	CONTENT_TICK_MS = 100	/* the same where the file system keeps fractions of a second: more than any tick */
};

struct content {
	unsigned char id[CONTENT_BYTES];
	uint64_t size;
	unsigned char (*blocks)[CONTENT_BYTES]; /* NULL up to one block: the id is the block's hash */
	size_t nblocks;			       /* 0 for an empty file, else size in blocks, rounded up */
};

void content_free(struct content *d);
/* The hash of one block. */
MUST_CHECK bool content_block(const void *data, size_t len, unsigned char out[CONTENT_BYTES], struct err *e);
/* The id from size and blocks' hashes (one block: its hash; none: that of nothing). */
MUST_CHECK bool content_id(uint64_t size, const unsigned char (*blocks)[CONTENT_BYTES], size_t nblocks, unsigned char out[CONTENT_BYTES], struct err *e);
/* How many blocks a size has, how long the i-th is. */
size_t content_count(uint64_t size);
size_t content_length(uint64_t size, size_t i);
/* The hash of a block of that many zeros: a hole, nothing to carry. */
bool content_is_zeros(const unsigned char hash[CONTENT_BYTES], size_t len);
bool content_all_zero(const void *data, size_t len);
/* 64 lower-case digits and a NUL; and back: nothing else is taken. */
void content_hex(const unsigned char id[CONTENT_BYTES], char out[CONTENT_HEX]);
bool content_parse(const char *hex, unsigned char out[CONTENT_BYTES]);

/* How sure a reading is. */
struct content_read {
	struct file_facts facts; /* of the content that was hashed */
	bool racy;   /* it changed within the last seconds: look again at the next pass */
	bool leased; /* the kernel said that nobody had it open for writing, before and after */
};

/* Hash the open file. FATE_BUSY: somebody has it open for writing. FATE_CHANGED: it changed meanwhile.
 * FATE_KIND: no regular file. Where the kernel cannot tell writers (not our file, no lease on this
 * file system) leased is false, and the caller waits until size and times have been still for a while.
 * path is for messages. */
MUST_CHECK enum fate content_file(int fd, const char *path, struct content *out, struct content_read *how, struct err *e);
/* The same by path; a file that changes is tried again a few times. */
MUST_CHECK enum fate content_path(const struct beneath *b, const char *path, struct content *out, struct content_read *how, struct err *e);
/* A file that has this time of change because it was set, and no writer yet: may a write from now on leave it the same? */
bool content_time_is_near(int64_t mtime_ns);
/* For who reads an open file in another way: look before (FATE_KIND, FATE_BUSY) and after (FATE_CHANGED, FATE_BUSY). */
MUST_CHECK enum fate content_begin(int fd, const char *path, struct content_read *how, struct err *e);
MUST_CHECK enum fate content_end(int fd, const char *path, const struct content_read *how, struct err *e);

#endif
