/* Contents on their way into a tree: ROOT/.sync/tmp/HASH, filled block by block, each verified, then
 * given its looks, brought to the disk and published under its path in one rename. The file is its own
 * memory of what is there: when it is opened again, its blocks are compared with their hashes, so a crash
 * at any moment leaves nothing to be believed. Nobody ever writes into a file that has a public name. */
#ifndef TANDEM_FILES_STORE_H
#define TANDEM_FILES_STORE_H

#include "files/content.h"
#include "files/trash.h"

struct store;

/* What a published file looks like. Setuid, setgid and sticky are never taken. */
struct store_look {
	unsigned mode;	  /* permission bits */
	bool own_uid, own_gid; /* set owner, group */
	unsigned uid, gid;
	int64_t mtime_ns;
};

/* What stands at the path as far as the caller knows. */
struct store_expect {
	bool nothing;		 /* no object */
	struct file_facts facts; /* else: this one; ino, size and mtime are compared */
};

/* What a publication put out of its place. */
struct store_displaced {
	bool any;
	bool expected; /* it was what the caller expected; else it lost a conflict */
	struct file_facts facts;
};

/* Begin or go on with a content. c->blocks must be known where it has more than one block; c is borrowed
 * until store_free. FATE_FULL when the disk has not room for it and min_free bytes more. */
MUST_CHECK enum fate store_open(const struct beneath *b, const struct content *c, uint64_t min_free, struct store **out, struct err *e);
/* Close it; the file stays for the next time. */
void store_free(struct store *s);
/* Close and remove it. */
void store_discard(struct store *s);
bool store_has(const struct store *s, size_t block);
size_t store_missing(const struct store *s);
/* Write a block; FATE_CORRUPT when it is not the one that belongs there. Zeros become a hole. */
MUST_CHECK enum fate store_put(struct store *s, size_t block, const void *data, size_t len, struct err *e);
/* Take all blocks that an open file has in the same places: shared with it where the file system can,
 * else copied. What does not fit is left missing. */
MUST_CHECK enum fate store_take(struct store *s, int fd, struct err *e);

/* Owner, group, mode and time on the finished file. *owner_refused (may be NULL): owner or group could not
 * be set (no privilege), all else was. */
MUST_CHECK enum fate store_dress(struct store *s, const struct store_look *look, bool *owner_refused, struct err *e);
/* How the file stands now, wherever it is. */
MUST_CHECK bool store_facts(const struct store *s, struct file_facts *out);
/* Begin to write many to the disk, then wait for each: costs little more than one. */
void store_flush(struct store *s);
MUST_CHECK enum fate store_sync(struct store *s, struct err *e);
/* Where what was displaced goes. */
struct store_bins {
	struct trash *replaced; /* the object that was expected */
	struct trash *lost;	/* any other: the loser of a conflict */
};
/* Give it its public name; its directory must be there. Expecting nothing: FATE_EXISTS when something is there, and
 * nothing happened. Expecting an object: both change places in one step (a directory too), and what came out is looked at
 * and put into one of the bins; so nothing is ever gone. FATE_GONE when nothing is there: then expect nothing. name: where
 * the displaced object is now. The directory is brought to the disk by the caller, once for many (beneath_sync). */
MUST_CHECK enum fate store_publish(struct store *s, const char *path, const struct store_expect *expect,
    const struct store_bins *bins, struct store_displaced *out, struct buf *name, struct err *e);

/* After a crash: an object that had just been put out of its place goes to lost, as "recovered/HASH"; nobody knows its
 * path any more. To be called before anything is published. */
MUST_CHECK enum fate store_recover(const struct beneath *b, struct trash *lost, uint64_t *recovered, struct err *e);
/* Remove contents on their way that nobody touched since before_us. */
MUST_CHECK enum fate store_purge(const struct beneath *b, int64_t before_us, uint64_t *removed, struct err *e);

#endif
