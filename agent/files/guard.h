/* The brake on mass deletion in a tree: may what a pass found be told to others, or done here? Pure. The
 * facts come from a walk compared with what was known before; deletions that are renames (their content
 * was found at a new path) are taken out before counting. */
#ifndef TANDEM_FILES_GUARD_H
#define TANDEM_FILES_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	GUARD_CHANGED_PERCENT = 50, /* of the files changed in one pass: encrypted, or a chmod of all */
	GUARD_CHANGED_LEAST = 20,   /* files: below, half of a tree is an ordinary day */
	GUARD_TEXT_MAX = 256
};

/* max_delete = "50 files, 10%". */
struct guard_limit {
	uint64_t files;
	unsigned percent; /* 100 and more: no limit by share */
};

/* What a pass came to. */
struct guard_facts {
	bool marker_missing;	/* no mark of the tree, or another one */
	bool other_filesystem;	/* st_dev or f_fsid of the root is not the remembered one */
	bool older_generation;	/* database or tree was restored */
	bool root_unread;	/* the root could not be read */
	uint64_t known;		/* files known before */
	uint64_t present;	/* files found now */
	uint64_t deleted;	/* known and not found, without renames and without unread subtrees */
	uint64_t changed;	/* known and found with another content or look */
	bool allowed;		/* a person said yes to what is held */
};

enum guard_verdict {
	GUARD_PASS,
	GUARD_OFFLINE, /* this is not the tree: do nothing with it */
	GUARD_UNION,   /* exchange what is new, delete nothing, until a person has looked */
	GUARD_HELD     /* the tree, but too much at once: nothing is queued until a person says yes */
};

/* Rows of the verdict in the order in which they are asked. */
enum guard_verdict guard_judge(const struct guard_limit *limit, const struct guard_facts *facts, char why[GUARD_TEXT_MAX]);
const char *guard_word(enum guard_verdict v);

/* "50 files, 10%", "50 files", "10%", "off". Both given: held when BOTH are passed (the larger of them counts). */
bool guard_parse(const char *text, struct guard_limit *out);

/* Is path in one of the subtrees (or one of them itself)? For what was not read and for lost mounts: nothing
 * in it is deleted. */
bool guard_covers(const char *const *subtrees, size_t n, const char *path);

#endif
