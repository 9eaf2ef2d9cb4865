/* Taking files back from a snapshot. What stands in their place goes to the trash first; what the snapshot does not have
 * stays. Each file's hash is compared with the snapshot's list before it is taken. Not here: what is printed (app/backup). */
#ifndef TANDEM_FILES_RESTORE_H
#define TANDEM_FILES_RESTORE_H

#include "files/snapshot.h"

/* What happens to one path. */
enum restore_act { RESTORE_NEW, RESTORE_REPLACE, RESTORE_SAME, RESTORE_CORRUPT, RESTORE_FAILED };

struct restore_order {
	const struct beneath *tree; /* with its mark, and locked */
	const struct beneath *to;   /* the tree's folder of snapshots */
	const char *name;	    /* of the snapshot */
	const char *path;	    /* a file or directory in it; "" for all of it */
	int64_t wall_us;	    /* now */
	bool dry_run;
	void *arg;
	/* Hears of every path but what is the same. f: why one failed. */
	void (*act)(void *arg, const char *path, enum restore_act act, enum fate f);
	/* How far it is, after every file; about 0: not known. Or NULL. */
	void (*far)(void *arg, uint64_t files, uint64_t about);
};

struct restore_counts {
	uint64_t made, replaced, same, corrupt, failed, bytes;
};

/* FATE_GONE: the snapshot has no such path. Single paths that fail are told and do not stop the others. */
MUST_CHECK enum fate restore_run(const struct restore_order *o, struct restore_counts *out, struct err *e);

#endif
