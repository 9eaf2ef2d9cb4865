/* What would happen to a path, in the letters of rsync --itemize-changes: `>f+++++++++` comes and is new, `<f.st......`
 * goes and replaces one of another size and time. Pure. Not here: which paths (files/listing). */
#ifndef TANDEM_FILES_ITEMISE_H
#define TANDEM_FILES_ITEMISE_H

#include "files/listing.h"

enum {
	ITEMISE_MAX = 12 /* letters and NUL */
};

struct item {
	char letters[ITEMISE_MAX];
	bool overwrites; /* a file or link goes out of its place */
	char kind;	 /* 'f', 'd', 'l': what stands there then */
};

/* push: from the folder into the list; else the other way. False: nothing happens to it. As content decides and not
 * size or time, c is there where these two are equal. */
bool itemise(bool push, const struct listing_row *row, const struct listing_looks *looks, struct item *out);

#endif
