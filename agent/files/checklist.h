/* manifest.sha256 of a snapshot: one line a file, as sha256sum writes and checks it, in the order of the bytes of the
 * paths. Lives here: writing a line, and finding a path while going forward. */
#ifndef TANDEM_FILES_CHECKLIST_H
#define TANDEM_FILES_CHECKLIST_H

#include <stdbool.h>
#include <stdio.h>

#include "files/content.h"

#define CHECKLIST_NAME "manifest.sha256"
#define CHECKLIST_FOLDER "files/" /* stands before every path */

/* Append a line. False: ferror says why. */
MUST_CHECK bool checklist_put(FILE *out, const unsigned char sha[CONTENT_BYTES], const char *path);

struct checklist;

/* Takes the stream over; NULL: an empty list. */
MUST_CHECK bool checklist_new(FILE *in, struct checklist **out, struct err *e);
void checklist_free(struct checklist *c);
/* The hash of path, when it is listed. Each call asks for a path behind that of the call before. */
bool checklist_find(struct checklist *c, const char *path, unsigned char sha[CONTENT_BYTES]);

/* The next path that is listed before that one (NULL: before the end) and was never asked for, one a call; NULL: no more.
 * Until the next call. */
const char *checklist_passed(struct checklist *c, const char *before);

/* Is there any line not asked for yet? */
bool checklist_any(struct checklist *c);

/* About how many files it lists, guessed from how far it has been read after done of them; 0: not known. */
uint64_t checklist_about(const struct checklist *c, uint64_t done);

#endif
