/* The brake on mass deletion in a tree: may what a pass found be told to others, or done here? Pure. The
 * facts come from a walk compared with what was known before; deletions that are renames (their content
 * was found at a new path) are taken out before counting. */
#ifndef TANDEM_FILES_BRAKE_H
#define TANDEM_FILES_BRAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	BRAKE_CHANGED_PERCENT = 50, /* of the files changed in one pass: encrypted, or a chmod of all */
	BRAKE_CHANGED_LEAST = 20,   /* files: below, half of a tree is an ordinary day */
	BRAKE_TEXT_MAX = 256
};

/* max_delete = "50 files, 10%": held when both are passed, so the larger of them counts. */
struct brake_limit {
	uint64_t files;
	unsigned percent; /* 100: never more */
};

/* What a pass came to. */
struct brake_facts {
	bool marker_missing;	/* no mark of the tree, or another one */
	bool other_filesystem;	/* st_dev or f_fsid of the root is not the remembered one */
	bool older_generation;	/* the tree was restored, and something would be told or deleted */
	bool root_unread;	/* the root could not be read */
	uint64_t known;		/* files known before */
	uint64_t present;	/* files found now */
	uint64_t deleted;	/* known and not found, without renames and without unread subtrees */
	uint64_t changed;	/* known and found with another content or look */
	bool allowed;		/* a person said yes to what is held */
};

enum brake_verdict {
	BRAKE_PASS,
	BRAKE_OFFLINE, /* this is not the tree: do nothing with it */
	BRAKE_UNION,   /* an older copy: nothing is told or deleted until a person has looked */
	BRAKE_HELD     /* the tree, but too much at once: nothing is queued until a person says yes */
};

/* Rows of the verdict in the order in which they are asked. */
enum brake_verdict brake_judge(const struct brake_limit *limit, const struct brake_facts *facts, char why[BRAKE_TEXT_MAX]);

#endif
