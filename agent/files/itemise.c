/* One row at a time. */
#include "files/itemise.h"

#include <stdio.h>
#include <string.h>

enum {
	AT_DIRECTION, AT_KIND, AT_CONTENT, AT_SIZE, AT_TIME, AT_MODE, AT_OWNER, AT_GROUP
};

static unsigned
mode_wanted(const struct listing_row *row, const struct listing_looks *k)
{
	unsigned fixed = what_kind(&row->s.listed) == 'f' ? k->file_mode : k->dir_mode;

	return k->listed_mode || fixed == 0 ? row->mode : fixed;
}

static void
put_looks(bool push, const struct listing_row *row, const struct listing_looks *k, char *to)
{
	char kind = what_kind(&row->s.listed);

	if (kind != 'l' && row->facts.mode != (push ? row->mode : mode_wanted(row, k)))
		to[AT_MODE] = 'p';
	if (!push && k->own_uid && row->facts.uid != k->uid)
		to[AT_OWNER] = 'o';
	if (!push && k->own_gid && row->facts.gid != k->gid)
		to[AT_GROUP] = 'g';
}

static void
put_content(const struct listing_row *row, char *to)
{
	bool file = what_kind(&row->s.here) == 'f';

	if (file && row->facts.size != row->size)
		to[AT_SIZE] = 's';
	if (file && row->facts.mtime_ns != row->mtime_ns)
		to[AT_TIME] = 't';
	if (to[AT_SIZE] == '.' && to[AT_TIME] == '.')
		to[AT_CONTENT] = 'c';
}

bool
itemise(bool push, const struct listing_row *row, const struct listing_looks *looks, struct item *out)
{
	const struct what *from = push ? &row->s.here : &row->s.listed, *to = push ? &row->s.listed : &row->s.here;
	char kind = what_kind(from);
	bool alike = what_same(from, to);

	*out = (struct item){ .kind = kind };
	if (kind == '\0')
		return false;
	(void)snprintf(out->letters, sizeof out->letters, "%c%c.........", alike ? '.' : kind != 'f' ? 'c' : push ? '<' : '>', kind == 'l' ? 'L' : kind);
	if (!alike && what_kind(to) != kind)
		memset(out->letters + AT_CONTENT, '+', ITEMISE_MAX - 1 - AT_CONTENT);
	else {
		if (!alike)
			put_content(row, out->letters);
		put_looks(push, row, looks, out->letters);
	}
	out->overwrites = !alike && to->len > 0 && what_kind(to) != 'd';
	return !alike || strcmp(out->letters + AT_CONTENT, ".........") != 0;
}
