/* Dated copies of a tree: DIR/NAME/2026-11-21_163000 (UTC) with files/ (the tree), manifest.sha256 (what sha256sum -c
 * reads), snapshot.txt, and what the caller puts beside them. While one is being made its name ends in .partial; what an
 * interrupted one has got is used by the next. A file that is the same as in the snapshot before is a hard link to it;
 * never to the live tree. Not here: which tree, what is printed (app/backup), which there are (rotation),
 * taking files back (restore). */
#ifndef TANDEM_FILES_SNAPSHOT_H
#define TANDEM_FILES_SNAPSHOT_H

#include "base/buf.h"
#include "files/beneath.h"
#include "files/exclude.h"
#include "files/rotation.h"

struct snapshot_counts {
	uint64_t files, bytes;		/* in the snapshot */
	uint64_t directories, links;
	uint64_t linked;		/* files shared with the snapshot before */
	uint64_t copied, copied_bytes;
	uint64_t older;			/* being written just now: the version of the snapshot before was taken */
	uint64_t skipped;		/* being written or unreadable, and in no snapshot before */
	uint64_t later;			/* changed since since_us */
};

struct snapshot_order {
	const struct beneath *tree;
	const struct exclude *exclude;
	const struct beneath *to; /* the tree's folder of snapshots (snapshot_place) */
	int64_t since_us;	  /* files that changed after this are counted and listed in later.txt; 0: none */
	bool dry_run;		  /* count by size and time, write nothing */
	void *arg;
	/* Hears of every file or directory that could not be taken as it is, and why. */
	void (*skipped)(void *arg, const char *path, enum fate why);
	/* How far it is, after every file; about 0: not known. Or NULL. */
	void (*far)(void *arg, uint64_t files, uint64_t about);
};

struct snapshot;

/* Open (and make) DIR/NAME. */
MUST_CHECK enum fate snapshot_place(const char *dir, const char *name, bool make, struct beneath **out, struct err *e);
/* A new .partial, named by wall_us or the next second that is free. FATE_OFFLINE: the tree's mark is missing or not that of
 * the snapshot before. o is borrowed. */
MUST_CHECK enum fate snapshot_begin(const struct snapshot_order *o, int64_t wall_us, struct snapshot **out, struct err *e);
/* Its folder, beneath order.to: for what the caller puts beside files/. */
const char *snapshot_folder(const struct snapshot *s);
/* The name that it will have, and that of the one before ("" for the first). */
const char *snapshot_name(const struct snapshot *s);
const char *snapshot_previous(const struct snapshot *s);
/* Take every file. FATE_OFFLINE: nothing is there, and something was in the snapshot before. FATE_FULL and others: stopped;
 * what was taken is used next time. */
MUST_CHECK enum fate snapshot_fill(struct snapshot *s, struct snapshot_counts *out, struct err *e);
/* All of it to the disk, then its name; what interrupted ones left is removed. */
MUST_CHECK enum fate snapshot_finish(struct snapshot *s, struct err *e);
/* Close; one that was not finished stays .partial. */
void snapshot_free(struct snapshot *s);

/* SHA-256 of an open file's whole content, as sha256sum says it. */
MUST_CHECK enum fate snapshot_sha256(int fd, const char *path, unsigned char out[32], struct err *e);

#endif
