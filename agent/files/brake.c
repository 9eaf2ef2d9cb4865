/* The brake on mass deletion in a tree. Lives here: the verdict from the facts. */
#include "config.h"

#include "files/brake.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	WHOLE = 100 /* percent */
};

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
		return say(BRAKE_UNION, why, "the folder is an older copy of itself (restored?): nothing is told or deleted until a person has looked; agent --pull brings back what is newer");
	return judge_amount(limit, f, why);
}
