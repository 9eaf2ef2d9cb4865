/* A walk over what was put aside, hashing each file. Not here: the trash itself (files/trash). */
#include "files/aside.h"

#include <string.h>

enum {
	NAMES_MAX = 1 << 26,
	ASIDE_PATH_MAX = BENEATH_PATH_MAX * 4 /* a path of the tree below a folder of ours, with room */
};

static bool
remember_file(const struct beneath *root, struct listing *list, const char *name, struct err *e)
{
	struct content d = { .size = 0 };
	struct content_read how;
	struct what c;
	bool ok = true;

	if (content_path(root, name, &d, &how, e) == FATE_DONE) {
		what_set(&c, 'f', d.id);
		ok = listing_trashed(list, &c, name, e) && (d.nblocks < 2 || listing_put_blocks(list, &d, e));
	} else
		err_clear(e);
	content_free(&d);
	return ok;
}

/* path is put back as it was. */
static bool
remember_any(const struct beneath *root, struct listing *list, struct buf *path, struct err *e)
{
	struct file_facts facts;
	struct buf names;
	size_t len = path->len;
	bool ok = true;

	if (beneath_look(root, buf_cstr(path), &facts, e) != FATE_DONE) {
		err_clear(e);
		return true;
	}
	if (facts.type != 'd')
		return facts.type != 'f' || remember_file(root, list, buf_cstr(path), e);
	buf_init(&names, NAMES_MAX);
	if (beneath_list(root, buf_cstr(path), &names, e) != FATE_DONE)
		err_clear(e);
	for (size_t at = 0; ok && at < names.len; at += strlen(names.data + at) + 1) {
		buf_char(path, '/');
		buf_str(path, names.data + at);
		ok = buf_check(path, "a path", e) && remember_any(root, list, path, e);
		buf_cut(path, len);
	}
	buf_free(&names);
	return ok;
}

bool
aside_remember(const struct beneath *root, struct listing *list, const char *name, struct err *e)
{
	struct buf path;
	bool ok;

	buf_init(&path, ASIDE_PATH_MAX);
	buf_str(&path, name);
	ok = buf_check(&path, "a path", e) && remember_any(root, list, &path, e);
	buf_free(&path);
	return ok;
}
