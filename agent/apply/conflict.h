/* The verdict about one record: a pure function of both sides' facts, so that both sides decide
 * alike. Whole records alone; apply/merge has what `merge` does
 * with columns, and without them it judges as `newer` does. docs/design.md has the rules and why. */
#ifndef TANDEM_APPLY_CONFLICT_H
#define TANDEM_APPLY_CONFLICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"

enum verdict {
	VERDICT_APPLY, /* the incoming version is written */
	VERDICT_KEEP,  /* the local version stays */
	VERDICT_ASK    /* each side keeps its own until a person decides */
};

struct facts {
	const char *preferred;	/* node whose versions are above all others (POLICY_PREFER), else "" */
	const char *changed_at; /* incoming version */
	const char *node;
	bool weak;		/* incoming: nothing was changed on purpose (capture/mask) */
	bool whole;		/* incoming: insert, delete, key change, or replaced by a verdict */
	bool decided;		/* incoming: a verdict or a person has put it in the record's place */
	bool edit;		/* incoming: whole, and yet no more than an edit of all columns (counters add up) */
	bool inserted;		/* incoming: the group says insert */
	bool removed;		/* incoming: a delete */
	bool born;		/* incoming: an insert by an app, of no changed key, and no verdict's */
	bool anew;		/* the link began anew: one side may have gone back, and have given numbers once more */
	bool here;		/* the record exists here */
	bool same;		/* both sides' content is equal (both absent counts) */
	bool counter_key;	/* the key is numbered by AUTO_INCREMENT */
	size_t concurrent;	/* local changes that the sender had not seen */
	const char *local_changed_at; /* the greatest version among them */
	const char *local_node;
	bool local_weak;	/* that version is */
	bool local_whole;	/* any of them is whole */
	bool local_reborn;	/* any of them began or ended the record, or gave it its key */
	bool local_decided;	/* any of them is such a one. Where both are, no person is asked again: the later one stands */
	bool local_inserted;	/* any of them is an insert */
	bool local_made;	/* the oldest of them is: the record began here */
	bool local_theirs;	/* the newest of them put an earlier row of the incoming version's own node here */
};

struct decision {
	enum verdict verdict;
	bool conflict; /* a version loses: keep it in sync_conflict */
	bool requeue;  /* queue the record again, whole, with the winner's version, for every peer */
	bool supersede; /* the concurrent local changes are not sent any more */
};

struct decision conflict_judge(enum conf_policy policy, const struct facts *f);

#endif
