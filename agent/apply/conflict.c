/* Judging. Not here: finding the facts (apply/judge), what follows (apply/outcome). */
#include "config.h"

#include "apply/conflict.h"

#include "base/plant.h"
#include "change/collapse.h"

static bool
incoming_is_greater(enum conf_policy policy, const struct facts *f)
{
	const char *preferred = policy == POLICY_PREFER ? f->preferred : "";

	return version_compare_for(preferred, f->changed_at, f->node, f->local_changed_at, f->local_node) > 0;
}

struct decision
conflict_judge(enum conf_policy policy, const struct facts *f)
{
	struct decision d = { .verdict = VERDICT_APPLY };
	bool incoming_wins;

	/* A row that its node had not had before, under the number of another one that is here. */
	if (f->concurrent == 0 && f->anew && f->counter_key && f->born && f->here && !f->same) {
		d.verdict = VERDICT_ASK;
		return d;
	}
	if (f->concurrent == 0)
		return d;
	/* Two laptops gave one number to two different rows: neither may overwrite the other. */
	if (f->counter_key && f->inserted && f->local_inserted && f->here && !f->same && !(f->decided && f->local_decided)) {
		d.verdict = VERDICT_ASK;
		return d;
	}
	/* What began on one side without the other's knowledge is not what the other has deleted, even if
	 * it has the same number; what came from the other is, and may hold what a third one wrote into it. */
	if (f->counter_key && f->removed && f->local_made && f->here && !f->same) {
		d.verdict = f->local_theirs ? VERDICT_APPLY : VERDICT_KEEP;
		d.supersede = d.requeue = f->local_theirs;
		d.conflict = f->local_theirs && !f->weak && !f->local_weak;
		return d;
	}
	/* Nor is what was deleted here under a number that both gave what now comes under it. Both rows may have been on
	 * their way when both were deleted: then each side has the other's now, and hears of it. But what somebody has
	 * decided about here, and deleted then, is not back because it was on its way once more. */
	if (f->counter_key && f->inserted && !f->here && !f->same && !f->local_decided && (!f->decided || f->local_inserted)) {
		d.supersede = true;
		d.requeue = f->local_inserted;
		return d;
	}
	if (policy == POLICY_MANUAL && !f->same && !f->weak && !f->local_weak && !(f->decided && f->local_decided)) {
		d.verdict = VERDICT_ASK;
		return d;
	}
	/* What nobody meant to change never wins over what somebody did. */
	incoming_wins = f->weak != f->local_weak ? f->local_weak : incoming_is_greater(policy, f);
	d.verdict = incoming_wins ? VERDICT_APPLY : VERDICT_KEEP;
	d.supersede = incoming_wins;
	if (f->same) { /* equal content is no conflict, whoever was later */
		/* Of a number that both gave, what ended here may not be what ended there: both are told. And what
		 * says all of a record is not replaced by what says some columns of it. */
		d.supersede = d.supersede && !(f->counter_key && f->removed) && (f->whole || !f->local_whole);
		return d;
	}
	d.conflict = incoming_wins ? !f->local_weak : !f->weak; /* nothing is lost with a weak one */
	/* One compare for the whole record, and the judge queues it again whoever won: with
	 * anything less, chains of three and more nodes diverge. */
	if (f->whole || f->local_whole || !f->here) {
		d.requeue = !plant_is(PLANT_NO_REQUEUE);
		d.supersede = true;
	}
	return d;
}
