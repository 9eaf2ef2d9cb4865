/* What the list says and the folder does not have yet: links, directories, deletions and looks at once, contents as they
 * come. Each path by itself: one that cannot be written waits with its reason, the others go on. Not here: where contents
 * come from (sync/carry), who may send them (sync/land). */
#ifndef TANDEM_FILES_ARRIVE_H
#define TANDEM_FILES_ARRIVE_H

#include "files/store.h"
#include "files/tree.h"

struct arrival;

enum {
	ARRIVE_WANTS = 8000, /* contents asked for at once: a question looks through the whole list */
	ARRIVE_RUN = 64	     /* blocks of one content asked for at once */
};

/* A content that is missing here. */
struct arrive_want {
	unsigned char hash[CONTENT_BYTES];
	uint64_t size;
	bool list; /* not it, but the hashes of its blocks: they are not known here */
	size_t from, count; /* blocks; 0, 0 for a content of no block: nothing */
};
typedef bool arrive_wish(void *arg, const struct arrive_want *w, struct err *e);

struct arrive_report {
	uint64_t written, removed, failed;
	uint64_t wants; /* contents that are missing */
	bool more; /* it is not all: settle again */
	bool held; /* deletions wait for a person */
};

/* t borrowed and open for as long as the arrival. */
MUST_CHECK bool arrive_new(struct tree *t, struct arrival **out, struct err *e);
void arrive_free(struct arrival *a);
/* Do everything that needs nothing from others, and name what does. wish NULL: there is nobody to be asked. Else somebody
 * waits: it ends early where more is missing than can be asked for at once, or when it takes long. */
MUST_CHECK bool arrive_settle(struct arrival *a, arrive_wish *wish, void *arg, struct arrive_report *out, struct err *e);
/* The same of at most LISTING_PAGE paths alone, whose ids are one after the other. *wide: something is to be removed among
 * them, and was not: arrive_settle counts that. */
MUST_CHECK bool arrive_settle_of(struct arrival *a, const unsigned char *ids, size_t n, arrive_wish *wish, void *arg, struct arrive_report *out, bool *wide, struct err *e);
/* These contents are about to come: arrive_block takes no other. */
MUST_CHECK bool arrive_expect(struct arrival *a, const unsigned char (*hashes)[CONTENT_BYTES], size_t n, struct err *e);
/* A block came (at: its number), or the list of blocks. What is not wanted is left alone. ERR_INPUT: it is not what its
 * hash says. */
MUST_CHECK bool arrive_block(struct arrival *a, const unsigned char hash[CONTENT_BYTES], size_t at, const void *data, size_t len, struct err *e);
MUST_CHECK bool arrive_list(struct arrival *a, const unsigned char hash[CONTENT_BYTES], const void *blocks, size_t len, struct err *e);
/* Has a large content begun to come? Then this arrival is best kept for the rest of it. */
bool arrive_is_amidst(const struct arrival *a);
/* Publish what is whole. */
MUST_CHECK bool arrive_finish(struct arrival *a, struct arrive_report *out, struct err *e);

#endif
