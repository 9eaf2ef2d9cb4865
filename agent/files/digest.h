/* What a content is called: SHA-256, over blocks of 1 MiB where it is larger than one. Up to one
 * block the id is SHA-256 of the content, as sha256sum says it; above, it is SHA-256 of "mb1", the
 * size (8 bytes, big end first) and the hashes of the blocks in order. Lives here: hashing, and reading
 * a file so that a torn state is never named. Not here: who asks for it. */
#ifndef TANDEM_FILES_DIGEST_H
#define TANDEM_FILES_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files/beneath.h"

enum {
	DIGEST_BYTES = 32,
	DIGEST_HEX = DIGEST_BYTES * 2 + 1, /* with a NUL */
	DIGEST_BLOCK = 1024 * 1024,
	DIGEST_BLOCKS_MAX = 1024 * 1024, /* a file of 1 TiB: 32 MiB of hashes */
	DIGEST_RACY_MS = 2000 /* a file that changed that recently may change again without a new time */
};

struct digest {
	unsigned char id[DIGEST_BYTES];
	uint64_t size;
	unsigned char (*blocks)[DIGEST_BYTES]; /* NULL up to one block: the id is the block's hash */
	size_t nblocks;			       /* 0 for an empty file, else size in blocks, rounded up */
};

void digest_free(struct digest *d);
/* The hash of one block. */
MUST_CHECK bool digest_block(const void *data, size_t len, unsigned char out[DIGEST_BYTES], struct err *e);
/* The id from size and blocks' hashes (one block: its hash; none: that of nothing). */
MUST_CHECK bool digest_id(uint64_t size, const unsigned char (*blocks)[DIGEST_BYTES], size_t nblocks, unsigned char out[DIGEST_BYTES], struct err *e);
/* How many blocks a size has, how long the i-th is. */
size_t digest_count(uint64_t size);
size_t digest_length(uint64_t size, size_t i);
/* The hash of a block of that many zeros: a hole, nothing to carry. */
bool digest_is_zeros(const unsigned char hash[DIGEST_BYTES], size_t len);
bool digest_all_zero(const void *data, size_t len);
/* 64 lower-case digits and a NUL; and back: nothing else is taken. */
void digest_hex(const unsigned char id[DIGEST_BYTES], char out[DIGEST_HEX]);
bool digest_parse(const char *hex, unsigned char out[DIGEST_BYTES]);

/* How sure a reading is. */
struct digest_read {
	struct file_facts facts; /* of the content that was hashed */
	bool racy;   /* it changed within the last seconds: look again at the next pass */
	bool leased; /* the kernel said that nobody had it open for writing, before and after */
};

/* Hash the open file. FATE_BUSY: somebody has it open for writing. FATE_CHANGED: it changed meanwhile.
 * FATE_KIND: no regular file. Where the kernel cannot tell writers (not our file, no lease on this
 * file system) leased is false, and the caller waits until size and times have been still for a while.
 * path is for messages. */
MUST_CHECK enum fate digest_file(int fd, const char *path, struct digest *out, struct digest_read *how, struct err *e);
/* The same by path; a file that changes is tried again a few times. */
MUST_CHECK enum fate digest_path(const struct beneath *b, const char *path, struct digest *out, struct digest_read *how, struct err *e);
/* Does anybody have the open file open for writing (also as a map)? *known false: cannot be told. */
bool digest_is_written(int fd, bool *known);

#endif
