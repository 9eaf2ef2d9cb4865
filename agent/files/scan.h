/* A look at a tree: what stands there now goes into sync_file_local. Only what changed since the last look is read. Not
 * here: telling others (files/tell). */
#ifndef TANDEM_FILES_SCAN_H
#define TANDEM_FILES_SCAN_H

#include "files/tree.h"
#include "files/walk.h"

struct scan_report {
	struct walk_counts seen;
	uint64_t read;	/* files whose content was read */
	uint64_t gone;	/* that stood here at the last look */
	uint64_t later; /* files that somebody writes to: at the next look */
	bool changed;	/* anything at all */
	bool waiting;	/* paths that could not be read or written */
};

/* The whole tree. */
MUST_CHECK bool scan_run(struct tree *t, struct scan_report *out, struct err *e);
/* Paths alone, which were heard of; ids (at most LISTING_PAGE) are theirs, one after the other. Files that were not there at
 * the last look are noted. *wide: something else is there, or anything went or changed: the whole tree is to be looked at. */
MUST_CHECK bool scan_paths(struct tree *t, const struct buf *paths, const unsigned char *ids, size_t n, struct scan_report *out, bool *wide, struct err *e);
/* One path alone: what stands there now. */
MUST_CHECK bool scan_path(struct tree *t, const char *path, size_t len, struct err *e);

#endif
