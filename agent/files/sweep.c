/* Removing a folder with all that is in it. Each path is resolved beneath the root anew, so no descriptor is held while
 * what lies deeper is removed, and nothing that becomes a link meanwhile leads elsewhere. */
#include "config.h"

#include "files/sweep.h"

#include <string.h>

enum {
	NAMES_MAX = 1 << 30 /* bytes of the names of one directory */
};

static enum fate
remove_leaf(const struct beneath *b, const struct buf *path, const struct file_facts *facts, struct sweep *s, struct err *e)
{
	enum fate f;

	if (s->may_go != NULL && !s->may_go(s->arg, buf_cstr(path), facts)) {
		s->kept++;
		return FATE_DONE;
	}
	f = beneath_remove_file(b, buf_cstr(path), e);
	s->files += f == FATE_DONE;
	s->bytes += f == FATE_DONE ? facts->size : 0;
	return f;
}

/* path is put back as it was. */
static enum fate
remove_any(const struct beneath *b, struct buf *path, struct sweep *s, struct err *e)
{
	uint64_t kept = s->kept;
	struct file_facts facts;
	struct buf names;
	size_t len = path->len;
	enum fate f = beneath_look(b, buf_cstr(path), &facts, e);

	if (f != FATE_DONE)
		return f == FATE_GONE ? FATE_DONE : f;
	if (facts.type != 'd')
		return remove_leaf(b, path, &facts, s, e);
	buf_init(&names, NAMES_MAX);
	f = beneath_list(b, buf_cstr(path), &names, e);
	for (size_t at = 0; f == FATE_DONE && at < names.len; at += strlen(names.data + at) + 1) {
		buf_char(path, '/');
		buf_str(path, names.data + at);
		f = buf_check(path, "a path", e) ? remove_any(b, path, s, e) : FATE_FAILED;
		buf_cut(path, len);
	}
	buf_free(&names);
	if (f == FATE_DONE && s->kept == kept)
		f = beneath_remove_directory(b, buf_cstr(path), e);
	return f;
}

enum fate
sweep_remove(const struct beneath *b, const char *path, struct sweep *s, struct err *e)
{
	struct buf whole;
	enum fate f;

	buf_init(&whole, (size_t)BENEATH_PATH_MAX * 4); /* a path of the tree below a folder of ours, with room */
	buf_str(&whole, path);
	f = buf_check(&whole, "a path", e) ? remove_any(b, &whole, s, e) : FATE_FAILED;
	buf_free(&whole);
	return f;
}
