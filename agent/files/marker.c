/* The mark of a tree. Lives here: the file .sync/tree, the folders beside it, the lock. The text is
 *
 *	tandem tree 1
 *	id 0123456789abcdef0123456789abcdef
 *	generation 1
 */
#include "config.h"

#include "files/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hex.h"

#define MARK BENEATH_OWN "/tree"
#define DRAFT BENEATH_OWN "/tree.new"
#define LOCK BENEATH_OWN "/lock"

enum {
	OWN_MODE = 0700,
	MARK_MAX = 256, /* bytes of the text, with room */
	HEX_ID = MARKER_ID_BYTES * 2,
	DIGITS_MAX = 19 /* of a generation: no more than fit 64 bits */
};

static const char *const folders[] = { BENEATH_OWN, BENEATH_OWN "/trash", BENEATH_OWN "/conflict", BENEATH_OWN "/tmp" };

static bool
parse(const char *text, struct marker *out)
{
	char hex[HEX_ID + 2], generation[DIGITS_MAX + 1];
	int used = 0;

	if (sscanf(text, "tandem tree 1\nid %33s\ngeneration %19[0-9]\n%n", hex, generation, &used) != 2)
		return false;
	out->generation = strtoull(generation, NULL, 10);
	return used > 0 && text[used] == '\0' && out->generation > 0 && strlen(hex) == HEX_ID && hex_read(hex, MARKER_ID_BYTES, out->id);
}

/* The agent's folder is ours alone: in a folder that others write, marks and temporaries mean nothing. */
static enum fate
check_own(const struct beneath *b, struct err *e)
{
	struct file_facts facts;
	enum fate f = beneath_look(b, BENEATH_OWN, &facts, e);

	if (f != FATE_DONE)
		return f;
	if (facts.type != 'd')
		return fate_set(e, FATE_KIND, "is no directory:", BENEATH_OWN);
	if (facts.uid != geteuid() || (facts.mode & 077) != 0) {
		(void)err_set(e, ERR_HELD, "%s/" BENEATH_OWN " must belong to the agent's user alone (mode 700); it has mode %o and belongs to user %u",
		    beneath_path(b), facts.mode, facts.uid);
		return FATE_DENIED;
	}
	return FATE_DONE;
}

enum fate
marker_read(const struct beneath *b, struct marker *out, struct err *e)
{
	char text[MARK_MAX + 1];
	enum fate f;
	ssize_t n;
	int fd;

	f = beneath_file(b, MARK, O_RDONLY, 0, &fd, e);
	if (f == FATE_GONE) {
		(void)err_set(e, ERR_HELD, "%s has no mark of a tree (" MARK "); is the right disk mounted there?", beneath_path(b));
		return FATE_OFFLINE;
	}
	if (f != FATE_DONE)
		return f;
	n = read(fd, text, MARK_MAX);
	(void)close(fd);
	if (n < 0)
		return fate_errno(e, "cannot read", MARK);
	text[n] = '\0';
	if (parse(text, out))
		return FATE_DONE;
	(void)err_set(e, ERR_HELD, "the mark of the tree %s (" MARK ") cannot be understood", beneath_path(b));
	return FATE_OFFLINE;
}

static enum fate
write_draft(const struct beneath *b, const struct buf *text, struct err *e)
{
	enum fate f;
	int fd;

	f = beneath_file(b, DRAFT, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, e);
	if (f != FATE_DONE)
		return f;
	if (!disk_write(fd, text->data, text->len) || fsync(fd) != 0)
		f = fate_errno(e, "cannot write", DRAFT);
	(void)close(fd);
	return f;
}

/* Whole or not at all. */
static enum fate
write_mark(const struct beneath *b, const struct marker *m, enum beneath_move how, struct err *e)
{
	struct buf text;
	enum fate f;

	f = check_own(b, e);
	if (f != FATE_DONE)
		return f;
	buf_init(&text, MARK_MAX);
	buf_str(&text, "tandem tree 1\nid ");
	buf_hex(&text, m->id, sizeof m->id);
	buf_fmt(&text, "\ngeneration %" PRIu64 "\n", m->generation);
	f = buf_check(&text, "the mark of a tree", e) ? write_draft(b, &text, e) : FATE_FAILED;
	buf_free(&text);
	if (f == FATE_DONE)
		f = beneath_move(b, DRAFT, MARK, how, e);
	return f == FATE_DONE ? beneath_sync(b, BENEATH_OWN, e) : f;
}

static enum fate
make_folders(const struct beneath *b, struct err *e)
{
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		enum fate f = beneath_make_directory(b, folders[i], OWN_MODE, e);

		if (f != FATE_DONE && f != FATE_EXISTS)
			return f;
	}
	return check_own(b, e);
}

enum fate
marker_make(const struct beneath *b, struct marker *out, struct err *e)
{
	struct file_facts facts;
	enum fate f = make_folders(b, e);

	if (f != FATE_DONE)
		return f;
	f = beneath_look(b, MARK, &facts, e);
	if (f == FATE_DONE)
		return marker_read(b, out, e);
	if (f != FATE_GONE)
		return f;
	out->generation = 1;
	if (!clock_random(out->id, sizeof out->id, e))
		return FATE_FAILED;
	f = write_mark(b, out, MOVE_NEW, e);
	return f == FATE_DONE ? beneath_sync(b, "", e) : f;
}

enum fate
marker_raise(const struct beneath *b, const struct marker *m, struct err *e)
{
	return write_mark(b, m, MOVE_OVER, e);
}

enum fate
marker_lock(const struct beneath *b, int *fd, struct err *e)
{
	enum fate f = beneath_file(b, LOCK, O_RDWR | O_CREAT, 0600, fd, e);

	if (f != FATE_DONE)
		return f;
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return FATE_DONE;
	f = errno == EWOULDBLOCK ? fate_set(e, FATE_BUSY, "another agent works on the tree", beneath_path(b)) : fate_errno(e, "cannot lock", LOCK);
	(void)close(*fd);
	*fd = -1;
	return f;
}

static bool
lies_in(const char *inner, const char *outer)
{
	size_t n = strlen(outer);

	while (n > 0 && outer[n - 1] == '/')
		n--;
	return strncmp(inner, outer, n) == 0 && (inner[n] == '\0' || inner[n] == '/');
}

bool
marker_nested(const char *root, const char *other)
{
	return lies_in(root, other) || lies_in(other, root);
}
