/* Dated copies of a tree: DIR/NAME/2026-11-21_163000 with files/ (the tree) and manifest.sha256 (what
 * sha256sum -c reads) in it. While it is being made it ends in .partial and is gone on with next time. A file
 * that did not change since the previous snapshot is a hard link to it; never to the live tree. Not here: which
 * tree, what is printed (app/backup). */
#ifndef TANDEM_FILES_SNAPSHOT_H
#define TANDEM_FILES_SNAPSHOT_H

#include "base/buf.h"
#include "files/beneath.h"
#include "files/exclude.h"

enum {
	SNAPSHOT_NAME = 18 /* "2026-11-21_163000" and a NUL */
};

struct snapshot_keep {
	unsigned days, weeks, least; /* one of each of the last days and weeks, and that many of the newest */
};

struct snapshot_order {
	const struct beneath *tree;
	const char *tree_name;
	const struct exclude *exclude;
	const char *to;	   /* directory of all trees' snapshots; made when it is not there */
	int64_t wall_us;   /* now */
	bool dry_run;
	/* Hears of every file that could not be taken, and why. */
	void *arg;
	void (*skipped)(void *arg, const char *path, enum fate why);
};

struct snapshot_counts {
	uint64_t files, bytes;	     /* in the snapshot */
	uint64_t linked;	     /* of them shared with the previous one */
	uint64_t copied, copied_bytes;
	uint64_t skipped;	     /* busy, changing, unreadable */
	uint64_t pruned;	     /* old snapshots removed */
	char name[SNAPSHOT_NAME];
	char previous[SNAPSHOT_NAME]; /* "" for the first one */
};

/* Make one. */
MUST_CHECK enum fate snapshot_make(const struct snapshot_order *o, struct snapshot_counts *out, struct err *e);
/* Which of the names (complete snapshots, ascending) go: pure, by the dates in the names. go[i] is set. The
 * newest stays always. */
void snapshot_choose(const char (*names)[SNAPSHOT_NAME], size_t n, const struct snapshot_keep *keep, bool *go);
MUST_CHECK enum fate snapshot_prune(const char *to, const char *tree_name, const struct snapshot_keep *keep, bool dry_run, uint64_t *pruned, struct err *e);
/* The complete ones, ascending. Free with free. */
MUST_CHECK enum fate snapshot_list(const char *to, const char *tree_name, char (**names)[SNAPSHOT_NAME], size_t *n, struct err *e);

#endif
