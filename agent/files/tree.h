/* One upload folder while it is worked on: the root, its mark, its lock, its list; one agent at a time. Not here:
 * looking (files/scan), telling (files/tell), taking (files/arrive). */
#ifndef TANDEM_FILES_TREE_H
#define TANDEM_FILES_TREE_H

#include "files/beneath.h"
#include "files/exclude.h"
#include "files/listing.h"
#include "files/marker.h"

struct tree {
	const struct conf *conf;
	const struct conf_tree *t;
	struct db *db;
	struct beneath *root;
	struct exclude *exclude;
	struct listing *list;
	struct listing_looks looks;
	enum tree_mode mode; /* that of agent.conf, unless a person has ordered one direction */
	bool sends, takes;
	bool ordered; /* by a person: no brake */
	struct marker mark;
	uint64_t generation; /* that the mark had last */
	bool restored;	     /* it has an older one: this is an older copy of the folder */
	int lock;
};

enum {
	TREE_LOCK_MS = 10 * 1000 /* how long another agent's work on the tree is waited for */
};

/* Open it: is it there, is it the folder that was set up, is nobody else at work in it? Waits for that at most wait_ms;
 * below 0 it is not asked: nothing will be changed. db is in the sync schema; all is borrowed. Free with tree_close. */
MUST_CHECK enum fate tree_open(struct db *db, const struct conf *conf, const struct conf_tree *t, int64_t wait_ms, struct tree **out, struct err *e);
void tree_close(struct tree *t);
/* A person's order, until it is closed or locked again: TREE_PUSH or TREE_PULL, whatever agent.conf says. */
MUST_CHECK bool tree_order(struct tree *t, enum tree_mode mode, struct err *e);
/* Between two steps of a long work others may have the tree; then it must be the same still. */
void tree_unlock(struct tree *t);
MUST_CHECK enum fate tree_lock(struct tree *t, int64_t wait_ms, struct err *e);
/* The mark's generation rises: now, or when it is time to. From then on a copy that was made before is told. What is
 * restored is not any more. */
MUST_CHECK bool tree_raise(struct tree *t, bool now, struct err *e);
/* Where contents are alike and permissions are not: does the list take those of here? Else the folder takes the list's, or
 * those of agent.conf. */
bool tree_tells_mode(const struct tree *t, const struct listing_row *row);
/* For --install: the list, the mark, and the row that remembers them. over: who may create tables. */
MUST_CHECK bool tree_set_up(struct db *db, struct db *over, const struct conf *conf, const struct conf_tree *t, struct err *e);
/* Nothing of it travels, and why; "" = it does. */
MUST_CHECK bool tree_hold(struct db *db, const char *name, const char *why, struct err *e);

/* The state of a tree for people. */
struct tree_state {
	char held[LISTING_ERROR_MAX];
	bool set_up, looked, allowed;
};
MUST_CHECK bool tree_state_read(struct db *db, const char *name, struct tree_state *out, struct err *e);
/* A person's yes to what is held. */
MUST_CHECK bool tree_allow(struct db *db, const char *name, struct err *e);

#endif
