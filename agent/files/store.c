/* Contents on their way into a tree. Lives here: the temporary by hash, its blocks, its looks, its publication.
 *
 * A publication over another object takes two renames: the temporary becomes .sync/tmp/out-HASH, and that changes places
 * with the public path. So whatever a crash leaves under HASH is the new content, and what it leaves under out-HASH is told
 * apart by its hash: the new content, or the displaced object, which store_recover keeps. */
#include "config.h"

#include "files/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER BENEATH_OWN "/tmp/"
#define OUT "out-"
#define EXCHANGED "exchange-" /* of beneath_move, where the file system cannot exchange */

enum {
	NAME_MAX_ = sizeof FOLDER + sizeof OUT + CONTENT_HEX,
	TMP_MODE = 0600,
	CARRIED = 0777, /* permission bits that are taken from a peer */
	NAMES_MAX = 1 << 28,
	US_PER_S = 1000000,
	NS_PER_S = 1000000000,
	NS_PER_US = 1000
};

struct store {
	const struct beneath *b;
	const struct content *c;
	int fd;
	char name[NAME_MAX_]; /* where it is now */
	char out[NAME_MAX_];
	bool *have; /* one a block */
	size_t missing;
	char *block; /* room for the largest block */
};

static const unsigned char *
hash_of(const struct store *s, size_t i)
{
	return s->c->nblocks > 1 ? s->c->blocks[i] : s->c->id;
}

static void
mark(struct store *s, size_t i, bool there)
{
	if (s->have[i] == there)
		return;
	s->have[i] = there;
	s->missing += there ? (size_t)-1 : 1;
}

static enum fate
read_at(int fd, uint64_t at, char *out, size_t len, bool *whole, struct err *e)
{
	size_t got = 0;

	*whole = false;
	while (got < len) {
		ssize_t n = pread(fd, out + got, len - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fate_errno(e, "cannot read", "a content on its way");
		if (n == 0)
			return FATE_DONE;
		got += (size_t)n;
	}
	*whole = true;
	return FATE_DONE;
}

/* Does block i of the file have the hash that belongs there? Leaves it in s->block. */
static enum fate
fits(struct store *s, int fd, size_t i, bool *yes, struct err *e)
{
	size_t len = content_length(s->c->size, i);
	unsigned char hash[CONTENT_BYTES];
	enum fate f = read_at(fd, (uint64_t)i * CONTENT_BLOCK, s->block, len, yes, e);

	if (f != FATE_DONE || !*yes)
		return f;
	if (!content_block(s->block, len, hash, e))
		return FATE_FAILED;
	*yes = memcmp(hash, hash_of(s, i), CONTENT_BYTES) == 0;
	return FATE_DONE;
}

/* What is there already: blocks with data are read, the others are zeros. */
static enum fate
look_over(struct store *s, struct err *e)
{
	uint64_t data = 0, hole = 0;
	enum fate f = FATE_DONE;

	for (size_t i = 0; f == FATE_DONE && i < s->c->nblocks; i++) {
		uint64_t at = (uint64_t)i * CONTENT_BLOCK;
		size_t len = content_length(s->c->size, i);
		bool there = false;

		if (at >= hole && !disk_data(s->fd, at, s->c->size, &data, &hole))
			data = hole = UINT64_MAX;
		if (data >= at + len)
			there = content_is_zeros(hash_of(s, i), len);
		else
			f = fits(s, s->fd, i, &there, e);
		mark(s, i, there);
	}
	return f;
}

/* One that a crash left with its public owner may not be ours to write: begin anew. */
static enum fate
open_temporary(struct store *s, struct err *e)
{
	enum fate f = beneath_file(s->b, s->name, O_RDWR | O_CREAT, TMP_MODE, &s->fd, e);

	if (f == FATE_DENIED && beneath_remove_file(s->b, s->name, e) == FATE_DONE)
		f = beneath_file(s->b, s->name, O_RDWR | O_CREAT, TMP_MODE, &s->fd, e);
	return f;
}

static enum fate
make_room(struct store *s, uint64_t min_free, struct err *e)
{
	uint64_t fsid, room, need;
	struct file_facts facts;

	if (!disk_look(s->fd, "", &facts) || !disk_filesystem(s->fd, &fsid, &room))
		return fate_errno(e, "cannot look at", s->name);
	need = s->c->size > facts.allocated ? s->c->size - facts.allocated : 0;
	if (room < min_free || room - min_free < need)
		return fate_set(e, FATE_FULL, "cannot take a content into", beneath_path(s->b));
	if (ftruncate(s->fd, (off_t)s->c->size) != 0)
		return fate_errno(e, "cannot make", s->name);
	return FATE_DONE;
}

enum fate
store_open(const struct beneath *b, const struct content *c, uint64_t min_free, struct store **out, struct err *e)
{
	struct store *s = calloc(1, sizeof *s);
	char hex[CONTENT_HEX];
	enum fate f;

	*out = NULL;
	assert(c->nblocks == content_count(c->size) && (c->nblocks <= 1 || c->blocks != NULL));
	if (s == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a content"), FATE_FAILED;
	s->b = b;
	s->c = c;
	s->fd = -1;
	s->missing = c->nblocks;
	s->have = calloc(c->nblocks + 1, sizeof *s->have);
	s->block = malloc(c->nblocks > 1 ? CONTENT_BLOCK : (size_t)c->size + 1);
	content_hex(c->id, hex);
	(void)snprintf(s->name, sizeof s->name, FOLDER "%s", hex);
	(void)snprintf(s->out, sizeof s->out, FOLDER OUT "%s", hex);
	if (s->have == NULL || s->block == NULL)
		f = (err_set(e, ERR_MEMORY, "out of memory for a content"), FATE_FAILED);
	else
		f = open_temporary(s, e);
	if (f == FATE_DONE)
		f = make_room(s, min_free, e);
	if (f == FATE_DONE)
		f = look_over(s, e);
	if (f != FATE_DONE) {
		store_free(s);
		return f;
	}
	*out = s;
	return FATE_DONE;
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s->have);
	free(s->block);
	free(s);
}

void
store_discard(struct store *s)
{
	struct err ignored;

	if (s != NULL && beneath_remove_file(s->b, s->name, &ignored) == FATE_DONE)
		errno = 0; /* what could not be removed is purged by age */
	store_free(s);
}

bool
store_has(const struct store *s, size_t block)
{
	return block < s->c->nblocks && s->have[block];
}

size_t
store_missing(const struct store *s)
{
	return s->missing;
}

/* --- blocks ------------------------------------------------------------------------------------- */

static enum fate
write_block(struct store *s, size_t i, const char *data, size_t len, struct err *e)
{
	uint64_t at = (uint64_t)i * CONTENT_BLOCK;

	if (content_all_zero(data, len) && disk_punch(s->fd, at, len)) {
		mark(s, i, true);
		return FATE_DONE;
	}
	mark(s, i, false);
	if (!disk_write_at(s->fd, data, len, at))
		return fate_errno(e, "cannot write", s->name);
	mark(s, i, true);
	return FATE_DONE;
}

enum fate
store_put(struct store *s, size_t block, const void *data, size_t len, struct err *e)
{
	unsigned char hash[CONTENT_BYTES];

	if (block >= s->c->nblocks || len != content_length(s->c->size, block))
		return fate_set(e, FATE_CORRUPT, "a block does not belong to", s->name);
	if (!content_block(data, len, hash, e))
		return FATE_FAILED;
	if (memcmp(hash, hash_of(s, block), CONTENT_BYTES) != 0)
		return fate_set(e, FATE_CORRUPT, "a block does not belong to", s->name);
	return write_block(s, block, data, len, e);
}

/* Block i from the file: shared and then looked at, or read, looked at and written. */
static enum fate
take_block(struct store *s, int fd, size_t i, bool *sharing, struct err *e)
{
	uint64_t at = (uint64_t)i * CONTENT_BLOCK;
	size_t len = content_length(s->c->size, i);
	bool yes = false;
	enum fate f;

	if (*sharing && disk_share(fd, s->fd, at, len)) {
		f = fits(s, s->fd, i, &yes, e);
		mark(s, i, yes);
		return f;
	}
	*sharing = false;
	f = fits(s, fd, i, &yes, e);
	if (f == FATE_DONE && yes)
		f = write_block(s, i, s->block, len, e);
	return f;
}

enum fate
store_take(struct store *s, int fd, struct err *e)
{
	bool sharing = true;
	enum fate f = FATE_DONE;

	for (size_t i = 0; f == FATE_DONE && i < s->c->nblocks; i++)
		if (!s->have[i])
			f = take_block(s, fd, i, &sharing, e);
	return f;
}

/* --- looks ----------------------------------------------------------------------------------------- */

static struct timespec
time_of(int64_t ns)
{
	int64_t s = ns / NS_PER_S, rest = ns % NS_PER_S;

	if (rest < 0) {
		rest += NS_PER_S;
		s--;
	}
	return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)rest };
}

/* Owner and group apart: who may not set the owner may often set the group. */
static bool
set_owner(int fd, const struct store_look *look)
{
	bool ok = !look->own_gid || fchown(fd, (uid_t)-1, look->gid) == 0;

	return (!look->own_uid || fchown(fd, look->uid, (gid_t)-1) == 0) && ok;
}

enum fate
store_dress(struct store *s, const struct store_look *look, bool *owner_refused, struct err *e)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(look->mtime_ns) };
	bool owned;

	/* Mode and time while it is surely ours. */
	if (fchmod(s->fd, look->mode & CARRIED) != 0 || futimens(s->fd, times) != 0)
		return fate_errno(e, "cannot set mode and time of", s->name);
	owned = set_owner(s->fd, look);
	if (owner_refused != NULL)
		*owner_refused = !owned && errno == EPERM;
	if (!owned && errno != EPERM)
		return fate_errno(e, "cannot set the owner of", s->name);
	return FATE_DONE;
}

bool
store_facts(const struct store *s, struct file_facts *out)
{
	return disk_look(s->fd, "", out);
}

void
store_flush(struct store *s)
{
	disk_begin_write(s->fd);
}

enum fate
store_sync(struct store *s, struct err *e)
{
	return fsync(s->fd) == 0 ? FATE_DONE : fate_errno(e, "cannot bring to the disk", s->name);
}

/* --- publication --------------------------------------------------------------------------------- */

/* A rename moves ctime, so it does not count. */
static bool
is_expected(const struct file_facts *a, const struct file_facts *b)
{
	return a->type == b->type && a->dev == b->dev && a->ino == b->ino && (a->type == 'd' || (a->size == b->size && a->mtime_ns == b->mtime_ns));
}

static enum fate
publish_over(struct store *s, const char *path, const struct store_expect *expect, const struct store_bins *bins, struct store_displaced *out,
    struct buf *name, struct err *e)
{
	enum fate f = beneath_move(s->b, s->name, s->out, MOVE_NEW, e);

	if (f != FATE_DONE)
		return f;
	f = beneath_move(s->b, s->out, path, MOVE_EXCHANGE, e);
	if (f != FATE_DONE) {
		struct err ignored;

		if (beneath_move(s->b, s->out, s->name, MOVE_NEW, &ignored) != FATE_DONE)
			f = FATE_FAILED;
		return f;
	}
	f = beneath_look(s->b, s->out, &out->facts, e);
	if (f != FATE_DONE)
		return f;
	out->any = true;
	out->expected = is_expected(&out->facts, &expect->facts);
	return trash_put(out->expected ? bins->replaced : bins->lost, s->out, path, name, &out->facts, e);
}

enum fate
store_publish(struct store *s, const char *path, const struct store_expect *expect, const struct store_bins *bins, struct store_displaced *out,
    struct buf *name, struct err *e)
{
	*out = (struct store_displaced){ .any = false };
	if (s->missing > 0)
		return fate_set(e, FATE_CORRUPT, "not complete:", s->name);
	if (expect->nothing)
		return beneath_move(s->b, s->name, path, MOVE_NEW, e);
	return publish_over(s, path, expect, bins, out, name, e);
}

/* --- afterwards ------------------------------------------------------------------------------------ */

/* Into lost, under the name that it has among the temporaries. */
static enum fate
keep_it(const char *name, struct trash *lost, uint64_t *recovered, struct err *e)
{
	char path[sizeof "recovered/" + NAME_MAX_];
	struct buf where;
	enum fate f;

	(void)snprintf(path, sizeof path, "recovered/%s", strrchr(name, '/') + 1);
	buf_init(&where, (size_t)BENEATH_PATH_MAX * 2);
	f = trash_put(lost, name, path, &where, NULL, e);
	buf_free(&where);
	*recovered += f == FATE_DONE;
	return f;
}

/* out-HASH: the content of that hash was not published, anything else was displaced. */
static enum fate
recover_one(const struct beneath *b, const char *name, const char *hex, struct trash *lost, uint64_t *recovered, struct err *e)
{
	unsigned char id[CONTENT_BYTES];
	struct content_read how;
	struct content c;
	enum fate f = content_path(b, name, &c, &how, e);
	bool ours = f == FATE_DONE && content_parse(hex, id) && memcmp(id, c.id, sizeof id) == 0;

	content_free(&c);
	return ours ? beneath_remove_file(b, name, e) : keep_it(name, lost, recovered, e);
}

enum fate
store_recover(const struct beneath *b, struct trash *lost, uint64_t *recovered, struct err *e)
{
	struct buf names;
	enum fate f;

	*recovered = 0;
	buf_init(&names, NAMES_MAX);
	f = beneath_list(b, BENEATH_OWN "/tmp", &names, e);
	for (size_t at = 0; f == FATE_DONE && at < names.len; at += strlen(names.data + at) + 1) {
		const char *hex = names.data + at + (strlen(names.data + at) < sizeof OUT ? 0 : sizeof OUT - 1);
		char name[NAME_MAX_];

		(void)snprintf(name, sizeof name, FOLDER "%.*s", (int)(sizeof OUT + CONTENT_HEX), names.data + at);
		if (strncmp(names.data + at, EXCHANGED, sizeof EXCHANGED - 1) == 0)
			f = keep_it(name, lost, recovered, e);
		else if (strncmp(names.data + at, OUT, sizeof OUT - 1) == 0 && strlen(hex) == CONTENT_HEX - 1)
			f = recover_one(b, name, hex, lost, recovered, e);
	}
	buf_free(&names);
	return f;
}

enum fate
store_purge(const struct beneath *b, int64_t before_us, uint64_t *removed, struct err *e)
{
	struct buf names;
	enum fate f;

	*removed = 0;
	buf_init(&names, NAMES_MAX);
	f = beneath_list(b, BENEATH_OWN "/tmp", &names, e);
	for (size_t at = 0; f == FATE_DONE && at < names.len; at += strlen(names.data + at) + 1) {
		unsigned char id[CONTENT_BYTES];
		struct file_facts facts;
		char name[NAME_MAX_];

		if (strlen(names.data + at) != CONTENT_HEX - 1 || !content_parse(names.data + at, id))
			continue;
		(void)snprintf(name, sizeof name, FOLDER "%.*s", CONTENT_HEX, names.data + at);
		f = beneath_look(b, name, &facts, e);
		if (f != FATE_DONE || facts.ctime_ns / NS_PER_US >= before_us)
			continue;
		f = beneath_remove_file(b, name, e);
		*removed += f == FATE_DONE;
	}
	buf_free(&names);
	return f;
}
