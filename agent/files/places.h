/* Paths of many contents, found with one question instead of one for each: which paths here have them, or want them. In
 * memory, for as long as one message is worked on. Not here: the questions (files/listing). */
#ifndef TANDEM_FILES_PLACES_H
#define TANDEM_FILES_PLACES_H

#include "files/listing.h"

struct place {
	struct listing_row row; /* its path is the place's own; no other text lives on */
	char *path;
	bool taken; /* the user's */
};

struct places {
	struct place *list;
	size_t n, cap;
	bool sorted;
};

/* A visitor of a listing; arg: the places. */
MUST_CHECK bool places_add(void *arg, const struct listing_row *row, struct err *e);
/* The first place of the list's content c that is not taken, or NULL. */
struct place *places_find(struct places *p, const struct what *c);
/* The next one after it. */
struct place *places_next(struct places *p, const struct place *one);
/* Forget all; also an empty one. */
void places_clear(struct places *p);

#endif
