/* The rules of the modes. Rows of a list are never removed, only marked as deleted: where there is none of a path that was
 * agreed on, the list was lost or restored, and nothing follows from that for the folder. */
#include "files/verdict.h"

#include <assert.h>
#include <string.h>

bool
what_same(const struct what *a, const struct what *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

char
what_kind(const struct what *c)
{
	return c->len == 0 ? '\0' : (char)c->bytes[0];
}

void
what_set(struct what *c, char kind, const unsigned char hash[CONTENT_BYTES])
{
	assert(kind == 'f' || kind == 'l' || kind == 'd');
	memset(c, 0, sizeof *c);
	c->bytes[0] = (unsigned char)kind;
	c->len = 1;
	if (kind == 'd')
		return;
	memcpy(c->bytes + 1, hash, CONTENT_BYTES);
	c->len = WHAT_MAX;
}

bool
what_read(struct what *c, const void *data, size_t len)
{
	const unsigned char *p = data;

	memset(c, 0, sizeof *c);
	if (len == 0)
		return true;
	if (!(len == 1 && p[0] == 'd') && !(len == WHAT_MAX && (p[0] == 'f' || p[0] == 'l')))
		return false;
	memcpy(c->bytes, p, len);
	c->len = len;
	return true;
}

static bool
has_lost(const struct standing *s)
{
	return !s->row && s->base.len > 0;
}

/* Both sides may write. What only one side has changed since they agreed goes to the other; of two changes, a change
 * wins over a deletion, else the caller has said who wins. */
static enum verdict_act
judge_two_way(const struct standing *s)
{
	if (what_same(&s->listed, &s->base) || has_lost(s))
		return VERDICT_TELL;
	if (what_same(&s->here, &s->base)) /* told, and a deletion that did not know of it came later */
		return s->listed.len == 0 && s->unseen ? VERDICT_TELL : VERDICT_TAKE;
	if (s->here.len == 0 || s->listed.len == 0)
		return s->here.len == 0 ? VERDICT_TAKE : VERDICT_TELL;
	return s->theirs ? VERDICT_TAKE : VERDICT_TELL;
}

enum verdict_act
verdict_judge(enum tree_mode mode, bool sends, const struct standing *s)
{
	if (what_same(&s->here, &s->listed))
		return what_same(&s->base, &s->listed) ? VERDICT_NOTHING : VERDICT_AGREE;
	switch (mode) {
	case TREE_MIRROR:
		return sends ? VERDICT_TELL : has_lost(s) ? VERDICT_NOTHING : VERDICT_TAKE;
	case TREE_TWO_WAY:
		return judge_two_way(s);
	case TREE_PUSH: /* nothing is deleted there */
		return s->here.len == 0 ? VERDICT_NOTHING : VERDICT_TELL;
	case TREE_PULL: /* nor here; what is here alone stays */
		return s->listed.len == 0 ? VERDICT_NOTHING : VERDICT_TAKE;
	}
	return VERDICT_NOTHING;
}
