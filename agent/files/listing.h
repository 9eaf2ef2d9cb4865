/* The SQL of a tree: its list (sync_file_NAME, in the app's database, replicated), what stands in the folder here
 * (sync_file_local) and the folder's own row (sync_tree). Not here: what follows from a difference (files/verdict),
 * the folder itself (files/tree). */
#ifndef TANDEM_FILES_LISTING_H
#define TANDEM_FILES_LISTING_H

#include "base/disk.h"
#include "db/db.h"
#include "files/verdict.h"

enum {
	LISTING_ID = 16,	 /* bytes of SHA-256 of the path: the same key on all nodes, whatever the collation */
	LISTING_PAGE = 500,	 /* rows looked at, and written, in one go */
	LISTING_ERROR_MAX = 512
};

struct listing;
struct bulk;

/* Does the list exist? ERR_DB_MISSING with the remedy when not. db is in the sync schema, and borrowed like the rest. */
MUST_CHECK bool listing_new(struct db *db, const struct conf *conf, const struct conf_tree *tree, struct listing **out, struct err *e);
void listing_free(struct listing *l);
/* Create the list of a tree in the app's database. */
MUST_CHECK bool listing_create(struct db *db, const struct conf *conf, const struct conf_tree *tree, struct err *e);
/* Drop the lists of all trees, also of those that have left agent.conf, and name none twice. */
MUST_CHECK bool listing_drop_all(struct db *db, const struct conf *conf, struct err *e);

MUST_CHECK bool listing_id(const char *path, size_t len, unsigned char out[LISTING_ID], struct err *e);

/* What stands at a path here. */
struct local_file {
	const char *path;
	size_t len;
	struct what content;
	struct file_facts facts;
	bool racy;	  /* to be read again at the next look, whatever its times say */
	const char *link; /* of a link, else NULL */
	bool agreed;	  /* it is what the list says: base as well */
};
/* Remember it; written with the next flush. */
MUST_CHECK bool listing_note(struct listing *l, const struct local_file *f, struct err *e);
MUST_CHECK bool listing_flush(struct listing *l, struct err *e);
/* Nothing stands there any more; ids one after the other. */
MUST_CHECK bool listing_gone(struct listing *l, const unsigned char *ids, size_t n, struct err *e);
/* Nothing is known of them any more. */
MUST_CHECK bool listing_drop(struct listing *l, const unsigned char *ids, size_t n, struct err *e);
/* The paths of ids. */
typedef bool listing_path_visit(void *arg, const unsigned char id[LISTING_ID], const char *path, bool directory, struct err *e);
MUST_CHECK bool listing_paths(struct listing *l, const unsigned char *ids, size_t n, listing_path_visit *visit, void *arg, struct err *e);
/* Folder and list agree that nothing is there: no row is needed here. */
MUST_CHECK bool listing_forget_gone(struct listing *l, struct err *e);
/* The list's content is that of the folder: base follows. */
MUST_CHECK bool listing_agree(struct listing *l, const unsigned char id[LISTING_ID], struct err *e);
/* Why a path waits, "" = it does not any more. */
MUST_CHECK bool listing_fail(struct listing *l, const char *path, size_t len, const char *why, struct err *e);
/* Is what stands there as the list says? Then there is nothing to wait for. */
MUST_CHECK bool listing_is_right(struct listing *l, const char *path, size_t len, bool *yes, struct err *e);
/* Paths that wait may be tried once more. */
MUST_CHECK bool listing_try_again(struct listing *l, struct err *e);

/* One path at which folder and list, or the looks of both, differ. Texts live during the call. */
struct listing_row {
	unsigned char id[LISTING_ID];
	const char *path;
	size_t len;
	struct standing s;
	bool failed;		  /* it was tried since the last look, and waits */
	bool chmodded;		  /* the permissions were changed here since they were the list's */
	bool here;		  /* there is a row of what stands here */
	bool elsewhere;		  /* the list's content is here already, at another path or in the trash */
	struct file_facts facts;  /* then */
	const char *link_here;
	uint64_t size;		  /* the list's, as the following */
	int64_t mtime_ns;
	unsigned mode;
	const char *link;
	const char *node;
};
typedef bool listing_visit(void *arg, const struct listing_row *row, struct err *e);
/* What counts as a difference beside content. */
struct listing_looks {
	bool listed_mode;	 /* the mode must be the list's */
	unsigned file_mode, dir_mode; /* else these */
	bool own_uid, own_gid;
	unsigned uid, gid;
};
/* Is there none, by two checksums over folder and list (one error in 2^64)? That takes a quarter of the time that looking
 * for differences does. False: look closer; as always where the server has no CRC32C. */
MUST_CHECK bool listing_is_alike(struct listing *l, const struct listing_looks *looks, bool *alike, struct err *e);
/* Is there any? */
MUST_CHECK bool listing_is_unlike(struct listing *l, const struct listing_looks *looks, bool *any, struct err *e);
/* Visit all of them; the visitor may write through the listing. */
MUST_CHECK bool listing_unlike(struct listing *l, const struct listing_looks *looks, listing_visit *visit, void *arg, struct err *e);
/* Those of at most LISTING_PAGE ids, one after the other. */
MUST_CHECK bool listing_unlike_of(struct listing *l, const struct listing_looks *looks, const unsigned char *ids, size_t n, listing_visit *visit, void *arg, struct err *e);
/* Files that the list has deleted, unchanged here, whose content it names at another path. */
MUST_CHECK bool listing_leaving(struct listing *l, listing_visit *visit, void *arg, struct err *e);
/* Those rows whose list names one of these contents (at most LISTING_PAGE) and whose folder has another. */
MUST_CHECK bool listing_wanting(struct listing *l, const struct what *c, size_t n, listing_visit *visit, void *arg, struct err *e);
/* The paths here that have one of these contents (at most LISTING_PAGE), as far as the list names it anywhere. Of a row only
 * path, len and s.listed, which is the content. */
MUST_CHECK bool listing_having(struct listing *l, const struct what *c, size_t n, listing_visit *visit, void *arg, struct err *e);

/* A path here with that content (not without, unless it is ""), into path. *found. */
MUST_CHECK bool listing_find(struct listing *l, const struct what *c, struct buf *path, bool *found, struct err *e);

/* Write into the list what stands here; put in with listing_tell, sent by listing_tell_flush in one transaction with
 * what was agreed. */
MUST_CHECK bool listing_tell(struct listing *l, const struct listing_row *row, const char *node, struct err *e);
MUST_CHECK bool listing_tell_flush(struct listing *l, struct err *e);

/* Numbers for the brake and for people. */
struct listing_counts {
	uint64_t here, here_bytes;	/* files in the folder */
	uint64_t listed, listed_bytes;	/* files in the list */
	uint64_t deletions; /* files here that the list does not have, their content nowhere in it */
	uint64_t gone;	    /* files of the list that are not here, their content nowhere here */
	uint64_t missing;   /* files of the list that never were here */
	uint64_t to_come;   /* bytes of files of the list that are not here, or in another version */
	uint64_t changed;   /* files in both with other contents */
	uint64_t edited;    /* of these, changed here alone since both agreed */
	uint64_t failed;    /* paths with an error */
};
MUST_CHECK bool listing_count(struct listing *l, struct listing_counts *out, struct err *e);

/* What lies in the trash, by content: it need not come again. */
MUST_CHECK bool listing_trashed(struct listing *l, const struct what *c, const char *name, struct err *e);
MUST_CHECK bool listing_find_trashed(struct listing *l, const struct what *c, struct buf *name, bool *found, struct err *e);
/* Those put there before that are gone by now. */
MUST_CHECK bool listing_forget_trashed(struct listing *l, int64_t older_s, struct err *e);

/* Does a row of the application here name the file ([table] file)? Then it may not go yet. */
MUST_CHECK bool listing_is_named(struct listing *l, const struct conf *conf, const char *path, bool *named, struct err *e);

/* Blocks of large contents. blocks: of nblocks hashes; found false: not known here. Free with free. */
MUST_CHECK bool listing_put_blocks(struct listing *l, const struct content *d, struct err *e);
MUST_CHECK bool listing_get_blocks(struct listing *l, const unsigned char hash[CONTENT_BYTES], uint64_t size, struct content *out, bool *found, struct err *e);

/* All rows of what stands here, as facts alone, by id. */
struct known_file {
	unsigned char id[LISTING_ID];
	uint64_t ino, size;
	int64_t mtime_ns, ctime_ns;
	unsigned mode, uid, gid;
	char kind; /* 'f', 'd', 'l'; 0: gone */
	bool racy;
	bool failed; /* it waits */
	bool seen; /* the caller's */
};
MUST_CHECK bool listing_known(struct listing *l, struct known_file **out, size_t *n, struct err *e);
/* Of at most LISTING_PAGE ids, one after the other. */
MUST_CHECK bool listing_known_of(struct listing *l, const unsigned char *ids, size_t nids, struct known_file **out, size_t *n, struct err *e);

#endif
