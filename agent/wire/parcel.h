/* The messages that carry contents of upload folders: what a node needs, and blocks of it. Lines in the codec of records;
 * bytes stand behind the line that names them. Pure. docs/protocol.md, 16. Not here: files (files/), calling (sync/carry). */
#ifndef TANDEM_WIRE_PARCEL_H
#define TANDEM_WIRE_PARCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/conf.h"
#include "wire/line.h"

enum {
	PARCEL_HASH = 32,		  /* bytes of SHA-256 */
	PARCEL_LINE_MAX = LINE_SHORT_MAX,
	PARCEL_BLOCK_MAX = 1024 * 1024,	  /* of one block */
	PARCEL_LIST_MAX = 3 * 1024 * 1024, /* a list of blocks: a file of 96 GiB; a larger one does not travel */
	PARCEL_NEEDS_MAX = 8000,	  /* of one answer */
	PARCEL_NEEDS_BYTES = (PARCEL_NEEDS_MAX + 1) * PARCEL_LINE_MAX,
	PARCEL_PATH = 16,		  /* bytes of the key of a path in its list */
	PARCEL_PATHS_MAX = 500		  /* of one question */
};

enum parcel_kind {
	PARCEL_WANT, /* what of this tree do you need? */
	PARCEL_PUT,  /* here are blocks */
	PARCEL_COME, /* ask me what I need, now */
	PARCEL_LACK  /* what do you need for these paths of it, which were told just now? */
};

struct parcel_call {
	enum parcel_kind kind;
	char tree[CONF_NAME_MAX + 1];
};

void parcel_put_call(struct buf *out, const struct parcel_call *c);
/* *at: where the items of a PARCEL_PUT begin, or the paths of a PARCEL_LACK. */
MUST_CHECK bool parcel_parse_call(const char *text, size_t len, struct parcel_call *c, size_t *at, struct err *e);

/* A block of a content, or the list of its blocks' hashes. */
struct parcel_item {
	unsigned char hash[PARCEL_HASH]; /* of the whole content */
	bool list;
	uint64_t at; /* which block */
	const char *data; /* borrowed */
	size_t len;
};
void parcel_put_item(struct buf *out, const struct parcel_item *item);
/* The item at *at, which moves behind it; *more false at the end. */
MUST_CHECK bool parcel_next_item(const char *text, size_t len, size_t *at, struct parcel_item *item, bool *more, struct err *e);

void parcel_put_path(struct buf *out, const unsigned char path[PARCEL_PATH]);
/* The path at *at, which moves behind it; *more false at the end. */
MUST_CHECK bool parcel_next_path(const char *text, size_t len, size_t *at, unsigned char path[PARCEL_PATH], bool *more, struct err *e);

enum parcel_state {
	PARCEL_READY,
	PARCEL_BUSY, /* later: somebody works in the folder, or it was not looked at yet */
	PARCEL_NONE  /* no such tree, or nothing is taken into it from the caller */
};
struct parcel_answer {
	enum parcel_state state;
	bool more; /* than fits into one answer */
};
void parcel_put_answer(struct buf *out, const struct parcel_answer *a);
MUST_CHECK bool parcel_parse_answer(const char *text, size_t len, struct parcel_answer *a, size_t *at, struct err *e);

/* What is needed: blocks from to from + count of a content, or the list of its blocks. */
struct parcel_need {
	unsigned char hash[PARCEL_HASH];
	uint64_t size;
	bool list;
	uint64_t from, count;
};
/* How much of the content is left from the first block that is needed, in bytes. */
uint64_t parcel_left(const struct parcel_need *n);
void parcel_put_need(struct buf *out, const struct parcel_need *n);
MUST_CHECK bool parcel_next_need(const char *text, size_t len, size_t *at, struct parcel_need *n, bool *more, struct err *e);

#endif
