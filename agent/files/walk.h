/* A walk over a tree: everything that is carried, in the order of the bytes of its path, one entry at
 * a time; in memory are the names of the directories that are open. Order: strcmp of the whole path,
 * so that "a", "a.b", "a/x" come like this, and a sorted list can be merged with it.
 * Not here: what an entry means (a manifest, a snapshot). */
#ifndef TANDEM_FILES_WALK_H
#define TANDEM_FILES_WALK_H

#include "files/beneath.h"
#include "files/exclude.h"

struct walk_entry {
	const char *path; /* relative to the root; lives during the call */
	size_t len;
	const char *link; /* of type l: where it points; else NULL */
	const struct file_facts *facts; /* type f, d or l */
};

/* What was seen, and what was left out. */
struct walk_counts {
	uint64_t files, directories, links, bytes;
	uint64_t excluded; /* entries; what lies below them is not looked at */
	uint64_t devices, fifos, sockets;
	uint64_t escaping; /* symbolic links that lead out of the tree */
	uint64_t unread;   /* directories and entries that could not be read */
};

struct walk {
	const struct beneath *tree;
	const struct exclude *exclude; /* NULL: nothing but .sync */
	void *arg;
	/* false ends the walk; e was filled. */
	bool (*entry)(void *arg, const struct walk_entry *entry, struct err *e);
	/* This path and everything below was not read: nothing about it is known, above all not that
	 * something is gone. "" for the whole tree. What vanished during the walk is not told here. */
	bool (*unread)(void *arg, const char *path, enum fate why, struct err *e);
};

/* False: a callback said no, or no memory. Each callback may be NULL. counts is set in any case. */
MUST_CHECK bool walk_run(const struct walk *w, struct walk_counts *counts, struct err *e);

#endif
