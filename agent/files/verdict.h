/* What is to be done about one path of a tree: a pure function of what stands in the folder, of what the
 * list says and of what both last agreed on. Not here: doing it (files/tell, files/arrive). */
#ifndef TANDEM_FILES_VERDICT_H
#define TANDEM_FILES_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "files/content.h"

enum {
	WHAT_MAX = 1 + CONTENT_BYTES
};

/* What stands at a path: 'f' and the hash of a file, 'l' and that of a link's target, 'd'; len 0: nothing. */
struct what {
	size_t len;
	unsigned char bytes[WHAT_MAX];
};

bool what_same(const struct what *a, const struct what *b);
/* 'f', 'd', 'l', or 0 for nothing. */
char what_kind(const struct what *c);
/* One of kind with that hash (NULL of a directory). */
void what_set(struct what *c, char kind, const unsigned char hash[CONTENT_BYTES]);
/* Bytes from a database or a peer; false: none that what_set makes. */
MUST_CHECK bool what_read(struct what *c, const void *data, size_t len);

struct standing {
	struct what here;   /* in the folder */
	struct what listed; /* in the list; nothing where it has no row or a deleted one */
	struct what base;   /* that both last agreed on */
	bool row;	       /* the list has a row */
	bool unseen;	       /* what stands here was written here, and whoever wrote the list's version did not know it */
	bool theirs;	       /* where both have changed: the list's version wins */
};

enum verdict_act {
	VERDICT_NOTHING, /* leave it */
	VERDICT_AGREE,	 /* both are alike: remember it */
	VERDICT_TELL,	 /* the list takes what stands in the folder */
	VERDICT_TAKE	 /* the folder takes what the list says */
};

/* sends: this node is where the tree's files come from (conf_tree_sends). */
enum verdict_act verdict_judge(enum tree_mode mode, bool sends, const struct standing *s);

#endif
