/* The brake on mass deletion in a tree. Lives here: the verdict from the facts, and reading max_delete. */
#include "config.h"

#include "files/brake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WHOLE = 100,	/* percent */
	WORD = 16	/* bytes of a part of max_delete that can mean something */
};

const char *
brake_word(enum brake_verdict v)
{
	static const char *const words[] = {
		[BRAKE_PASS] = "pass", [BRAKE_OFFLINE] = "offline", [BRAKE_UNION] = "union", [BRAKE_HELD] = "held"
	};

	return words[v];
}

/* Is part more than percent of whole? */
static bool
above(uint64_t part, uint64_t whole, unsigned percent)
{
	return part > whole / WHOLE * percent + whole % WHOLE * percent / WHOLE;
}

static enum brake_verdict
say(enum brake_verdict v, char why[BRAKE_TEXT_MAX], const char *text)
{
	(void)snprintf(why, BRAKE_TEXT_MAX, "%s", text);
	return v;
}

/* Too much at once, of what is surely the tree. */
static enum brake_verdict
judge_amount(const struct brake_limit *limit, const struct brake_facts *f, char why[BRAKE_TEXT_MAX])
{
	if (f->allowed)
		return say(BRAKE_PASS, why, "");
	if (f->deleted > 0 && f->present == 0) {
		(void)snprintf(why, BRAKE_TEXT_MAX, "the folder is empty, %" PRIu64 " files were in it", f->known);
		return BRAKE_HELD;
	}
	if (f->deleted > limit->files && above(f->deleted, f->known, limit->percent)) {
		(void)snprintf(why, BRAKE_TEXT_MAX, "%" PRIu64 " of %" PRIu64 " files were deleted, more than max_delete", f->deleted, f->known);
		return BRAKE_HELD;
	}
	if (f->changed > BRAKE_CHANGED_LEAST && above(f->changed, f->known, BRAKE_CHANGED_PERCENT)) {
		(void)snprintf(why, BRAKE_TEXT_MAX, "%" PRIu64 " of %" PRIu64 " files changed at once", f->changed, f->known);
		return BRAKE_HELD;
	}
	return say(BRAKE_PASS, why, "");
}

enum brake_verdict
brake_judge(const struct brake_limit *limit, const struct brake_facts *f, char why[BRAKE_TEXT_MAX])
{
	if (f->marker_missing)
		return say(BRAKE_OFFLINE, why, "the tree's mark (.sync/tree) is missing or another one; is the right disk mounted?");
	if (f->root_unread)
		return say(BRAKE_OFFLINE, why, "the folder cannot be read");
	if (f->other_filesystem)
		return say(BRAKE_OFFLINE, why, "the folder lies on another file system than before");
	if (f->older_generation)
		return say(BRAKE_UNION, why, "the database or the folder was restored: nothing is deleted until a person has looked");
	return judge_amount(limit, f, why);
}

/* A number and what follows it. */
static bool
parse_part(const char *text, size_t len, struct brake_limit *out, bool *files, bool *percent)
{
	char word[WORD], *behind;
	unsigned long n;

	if (len == 0 || len >= sizeof word || text[0] < '0' || text[0] > '9')
		return false;
	memcpy(word, text, len);
	word[len] = '\0';
	n = strtoul(word, &behind, 10);
	if (strcmp(behind, "%") == 0 && !*percent && n <= WHOLE) {
		out->percent = (unsigned)n;
		return *percent = true;
	}
	behind += strspn(behind, " ");
	if ((*behind == '\0' || strcmp(behind, "files") == 0 || strcmp(behind, "file") == 0) && !*files) {
		out->files = n;
		return *files = true;
	}
	return false;
}

bool
brake_parse(const char *text, struct brake_limit *out)
{
	bool files = false, percent = false;

	*out = (struct brake_limit){ .files = UINT64_MAX, .percent = WHOLE };
	if (strcmp(text, "off") == 0)
		return true;
	for (const char *p = text;;) {
		size_t len;

		p += strspn(p, " ");
		len = strcspn(p, ",");
		while (len > 0 && p[len - 1] == ' ')
			len--;
		if (!parse_part(p, len, out, &files, &percent))
			return false;
		p += strcspn(p, ",");
		if (*p == '\0')
			break;
		p++;
	}
	/* One given alone decides alone. */
	if (!files)
		out->files = 0;
	if (!percent)
		out->percent = 0;
	return true;
}

bool
brake_covers(const char *const *subtrees, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(subtrees[i]);

		if (len == 0 || (strncmp(path, subtrees[i], len) == 0 && (path[len] == '/' || path[len] == '\0')))
			return true;
	}
	return false;
}
