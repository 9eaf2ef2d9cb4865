/* The verdict of every policy, first of all `newer`: every combination of facts against the rules of the design,
 * and that both sides decide alike. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "apply/conflict.h"

#define T1 "2026-11-21 02:03:04.000001"
#define T2 "2026-11-21 02:03:04.000002"

enum { OLDER, TIE_LOST, TIE_WON, NEWER, SAME_VERSION, ORDERS };

static const struct {
	const char *time, *node, *local_time, *local_node;
	bool wins;
} orders[ORDERS] = {
	[OLDER] = { T1, "z", T2, "a", false },
	[TIE_LOST] = { T1, "a", T1, "b", false },
	[TIE_WON] = { T1, "b", T1, "a", true },
	[NEWER] = { T2, "a", T1, "z", true },
	[SAME_VERSION] = { T1, "a", T1, "a", false },
};

enum { WHOLE = 1, INSERTED = 2, HERE = 4, SAME = 8, COUNTER = 16, LOCAL_WHOLE = 32, LOCAL_INSERTED = 64, REMOVED = 128, LOCAL_MADE = 256, DECIDED = 512, LOCAL_DECIDED = 1024, LOCAL_THEIRS = 2048, ALL = 4096 };

static struct facts
facts(unsigned bits, size_t order, size_t concurrent)
{
	return (struct facts){
		.preferred = "",
		.changed_at = orders[order].time,
		.node = orders[order].node,
		.whole = (bits & WHOLE) != 0,
		.inserted = (bits & INSERTED) != 0,
		.here = (bits & HERE) != 0,
		.same = (bits & SAME) != 0,
		.counter_key = (bits & COUNTER) != 0,
		.concurrent = concurrent,
		.local_changed_at = orders[order].local_time,
		.local_node = orders[order].local_node,
		.local_whole = (bits & LOCAL_WHOLE) != 0,
		.local_inserted = (bits & LOCAL_INSERTED) != 0,
		.removed = (bits & REMOVED) != 0,
		.local_made = (bits & LOCAL_MADE) != 0,
		.decided = (bits & DECIDED) != 0,
		.local_decided = (bits & LOCAL_DECIDED) != 0,
		.local_theirs = (bits & LOCAL_THEIRS) != 0,
	};
}

static void
expect(const struct facts *f, struct decision want)
{
	struct decision d = conflict_judge(POLICY_NEWER, f);

	assert_int_equal(d.verdict, want.verdict);
	assert_int_equal(d.conflict, want.conflict);
	assert_int_equal(d.requeue, want.requeue);
	assert_int_equal(d.supersede, want.supersede);
}

static void
test_no_concurrent(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < ALL; bits++)
		for (size_t order = 0; order < ORDERS; order++) {
			struct facts f = facts(bits, order, 0);

			f.local_changed_at = f.local_node = ""; /* nothing local is looked at */
			expect(&f, (struct decision){ VERDICT_APPLY, false, false, false });
		}
}

/* The rules, said in another way than the program says them. */
static struct decision
by_the_rules(unsigned bits, bool wins)
{
	bool collision = (bits & COUNTER) && (bits & INSERTED) && (bits & LOCAL_INSERTED) && (bits & HERE) && !((bits & DECIDED) && (bits & LOCAL_DECIDED));

	if (bits & SAME) /* equal content is no conflict. What both ended under one number both tell; all of a record is more than some */
		return (struct decision){ wins ? VERDICT_APPLY : VERDICT_KEEP, false, false,
			wins && !((bits & COUNTER) && (bits & REMOVED)) && ((bits & WHOLE) || !(bits & LOCAL_WHOLE)) };
	if (collision)
		return (struct decision){ VERDICT_ASK, false, false, false };
	if ((bits & COUNTER) && (bits & HERE) && (bits & REMOVED) && (bits & LOCAL_MADE))
		return (bits & LOCAL_THEIRS) ? (struct decision){ VERDICT_APPLY, true, true, true } : (struct decision){ VERDICT_KEEP, false, false, false };
	if ((bits & COUNTER) && (bits & INSERTED) && !(bits & HERE) && !(bits & LOCAL_DECIDED) && (!(bits & DECIDED) || (bits & LOCAL_INSERTED)))
		return (struct decision){ VERDICT_APPLY, false, (bits & LOCAL_INSERTED) != 0, true };
	if ((bits & WHOLE) || (bits & LOCAL_WHOLE) || !(bits & HERE))
		return (struct decision){ wins ? VERDICT_APPLY : VERDICT_KEEP, true, true, true };
	return (struct decision){ wins ? VERDICT_APPLY : VERDICT_KEEP, true, false, wins };
}

static void
test_every_combination(void **state)
{
	(void)state;
	for (size_t concurrent = 1; concurrent < 4; concurrent++)
		for (unsigned bits = 0; bits < ALL; bits++)
			for (size_t order = 0; order < ORDERS; order++) {
				struct facts f = facts(bits, order, concurrent);

				expect(&f, by_the_rules(bits, orders[order].wins));
			}
}

/* What nobody meant to change loses against everything that somebody did, and nothing is lost with it. */
static void
test_weak(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < ALL; bits++)
		for (size_t order = 0; order < ORDERS; order++)
			for (unsigned weak = 1; weak < 4; weak++) {
				struct facts f = facts(bits, order, 1);
				bool wins = weak == 3 ? orders[order].wins : weak == 2;
				struct decision want = by_the_rules(bits, wins);

				f.weak = (weak & 1) != 0;
				f.local_weak = (weak & 2) != 0;
				want.conflict = false;
				expect(&f, want);
			}
}

static const struct {
	const char *name;
	unsigned bits;
	size_t order;
	struct decision want;
} cases[] = {
	{ "update against older update", HERE, NEWER, { VERDICT_APPLY, true, false, true } },
	{ "update against newer update", HERE, OLDER, { VERDICT_KEEP, true, false, false } },
	{ "two updates at one time, greater node", HERE, TIE_WON, { VERDICT_APPLY, true, false, true } },
	{ "two updates at one time, lesser node", HERE, TIE_LOST, { VERDICT_KEEP, true, false, false } },
	{ "both made the same of it, later", HERE | SAME, NEWER, { VERDICT_APPLY, false, false, true } },
	{ "both made the same of it, earlier", HERE | SAME, OLDER, { VERDICT_KEEP, false, false, false } },
	{ "both deleted it", SAME | WHOLE | LOCAL_WHOLE, NEWER, { VERDICT_APPLY, false, false, true } },
	{ "both deleted a number that both had given", SAME | WHOLE | LOCAL_WHOLE | REMOVED | COUNTER, NEWER, { VERDICT_APPLY, false, false, false } },
	{ "update of what a verdict here made the same", HERE | SAME | LOCAL_WHOLE, NEWER, { VERDICT_APPLY, false, false, false } },
	{ "update against newer delete", LOCAL_WHOLE, OLDER, { VERDICT_KEEP, true, true, true } },
	{ "update against older delete", LOCAL_WHOLE, NEWER, { VERDICT_APPLY, true, true, true } },
	{ "delete against older update", HERE | WHOLE, NEWER, { VERDICT_APPLY, true, true, true } },
	{ "delete against newer update", HERE | WHOLE, OLDER, { VERDICT_KEEP, true, true, true } },
	{ "update of a record that is missing here", 0, OLDER, { VERDICT_KEEP, true, true, true } },
	{ "insert against insert, no counter", HERE | WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_INSERTED, NEWER, { VERDICT_APPLY, true, true, true } },
	{ "insert against insert of one number", HERE | WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_INSERTED | COUNTER, NEWER,
	    { VERDICT_ASK, false, false, false } },
	{ "insert against insert of one number, older", HERE | WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_INSERTED | COUNTER, OLDER,
	    { VERDICT_ASK, false, false, false } },
	{ "insert against insert of one number, decided on one side", HERE | WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_INSERTED | COUNTER | DECIDED, NEWER,
	    { VERDICT_ASK, false, false, false } },
	{ "insert against insert of one number, decided on both sides", HERE | WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_INSERTED | COUNTER | DECIDED | LOCAL_DECIDED, NEWER,
	    { VERDICT_APPLY, true, true, true } },
	{ "insert against insert of one number, same content", HERE | WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_INSERTED | COUNTER | SAME, NEWER,
	    { VERDICT_APPLY, false, false, true } },
	{ "insert of a number that was deleted here", WHOLE | INSERTED | LOCAL_WHOLE | COUNTER, OLDER, { VERDICT_APPLY, false, false, true } },
	{ "insert of a number that was made and deleted here", WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_INSERTED | COUNTER, OLDER,
	    { VERDICT_APPLY, false, true, true } },
	{ "insert of a number whose end was decided here", WHOLE | INSERTED | LOCAL_WHOLE | LOCAL_DECIDED | COUNTER, OLDER, { VERDICT_KEEP, true, true, true } },
	{ "a verdict's insert of a number that was deleted here", WHOLE | INSERTED | LOCAL_WHOLE | COUNTER | DECIDED, OLDER, { VERDICT_KEEP, true, true, true } },
	{ "delete of a number that was given anew here", HERE | WHOLE | REMOVED | LOCAL_WHOLE | LOCAL_INSERTED | LOCAL_MADE | COUNTER, NEWER,
	    { VERDICT_KEEP, false, false, false } },
	{ "delete of its own row under a number that was given here before", HERE | WHOLE | REMOVED | LOCAL_WHOLE | LOCAL_INSERTED | LOCAL_MADE | LOCAL_THEIRS | COUNTER, OLDER,
	    { VERDICT_APPLY, true, true, true } },
	{ "delete of a key that was made anew here, no counter", HERE | WHOLE | REMOVED | LOCAL_WHOLE | LOCAL_INSERTED | LOCAL_MADE, NEWER,
	    { VERDICT_APPLY, true, true, true } },
	{ "update of a number that was updated here", HERE | COUNTER, NEWER, { VERDICT_APPLY, true, false, true } },
	{ "verdict's whole version against update", HERE | WHOLE, NEWER, { VERDICT_APPLY, true, true, true } },
	{ "the version that is here already", HERE | SAME, SAME_VERSION, { VERDICT_KEEP, false, false, false } },
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct facts f = facts(cases[i].bits, cases[i].order, 1);
		struct decision d = conflict_judge(POLICY_NEWER, &f);

		if (d.verdict != cases[i].want.verdict || d.conflict != cases[i].want.conflict || d.requeue != cases[i].want.requeue ||
		    d.supersede != cases[i].want.supersede)
			fail_msg("%s", cases[i].name);
	}
}

/* Seen from the other side the facts change places: exactly one version wins, or both sides ask. */
static void
test_both_sides(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < ALL; bits++)
		for (size_t order = 0; order < ORDERS; order++) {
			struct facts here = facts(bits, order, 1), there = here;
			struct decision a, b;

			if (here.removed || here.local_made)
				continue; /* who made or deleted which row: test_one_number_after_a_delete */
			if (here.counter_key && (here.inserted || here.local_inserted) && !here.here)
				continue;
			if (order == SAME_VERSION || (!here.here && !here.whole) || (here.inserted && !here.whole) || (here.local_inserted && !here.local_whole))
				continue;
			there.changed_at = here.local_changed_at;
			there.node = here.local_node;
			there.whole = here.local_whole;
			there.inserted = here.local_inserted;
			there.local_changed_at = here.changed_at;
			there.local_node = here.node;
			there.local_whole = here.whole;
			there.local_inserted = here.inserted;
			a = conflict_judge(POLICY_NEWER, &here);
			b = conflict_judge(POLICY_NEWER, &there);
			if (a.verdict == VERDICT_ASK)
				assert_int_equal(b.verdict, VERDICT_ASK);
			else
				assert_int_equal(a.verdict == VERDICT_APPLY, b.verdict == VERDICT_KEEP);
			assert_int_equal(a.conflict, b.conflict);
			assert_int_equal(a.requeue, b.requeue);
		}
}

/* A delete on one side and a row made on the other under one number have nothing to do with each other. */
static bool
another_row(const struct facts *f)
{
	return f->counter_key && ((f->removed && f->local_made && f->here) || (f->inserted && !f->here && (!f->decided || f->local_inserted)));
}

static void
test_one_number_after_a_delete(void **state)
{
	(void)state;
	for (size_t order = 0; order < ORDERS; order++) {
		struct facts maker = facts(HERE | COUNTER | WHOLE | REMOVED | LOCAL_WHOLE | LOCAL_INSERTED | LOCAL_MADE, order, 1);
		struct facts deleter = facts(COUNTER | WHOLE | INSERTED | LOCAL_WHOLE, order, 1);

		assert_int_equal(conflict_judge(POLICY_NEWER, &maker).verdict, VERDICT_KEEP);
		assert_int_equal(conflict_judge(POLICY_NEWER, &deleter).verdict, VERDICT_APPLY);
	}
}

/* After one side went back: a row that its node had not had before, under the number of another one, is a person's,
 * whatever the policy; nothing else is, as nobody else has changed the record. */
static void
test_a_number_given_once_more(void **state)
{
	static const enum conf_policy policies[] = { POLICY_NEWER, POLICY_PREFER, POLICY_MERGE, POLICY_MANUAL };

	(void)state;
	for (unsigned bits = 0; bits < ALL; bits++)
		for (unsigned more = 0; more < 4; more++)
			for (size_t p = 0; p < sizeof policies / sizeof policies[0]; p++) {
				struct facts f = facts(bits, NEWER, 0);
				struct decision d;

				f.anew = (more & 1) != 0;
				f.born = (more & 2) != 0;
				d = conflict_judge(policies[p], &f);
				assert_int_equal(d.verdict, f.anew && f.born && f.counter_key && f.here && !f.same ? VERDICT_ASK : VERDICT_APPLY);
				assert_false(d.conflict || d.requeue || d.supersede);
			}
}

/* --- the other policies --- */

static const struct {
	const char *node, *local_node;
	bool decided, wins; /* decided: by preference alone */
} preferences[] = {
	{ "p", "a", true, true },
	{ "a", "p", true, false },
	{ "p", "p", false, false },
	{ "a", "b", false, false },
};

/* Everything but who wins is as with `newer`: the preferred node stands in the later one's place. */
static void
test_prefer(void **state)
{
	(void)state;
	for (size_t p = 0; p < sizeof preferences / sizeof preferences[0]; p++)
		for (unsigned bits = 0; bits < ALL; bits++)
			for (size_t order = 0; order < ORDERS; order++) {
				struct facts f = facts(bits, order, 1), as_newer;
				struct decision a, b;

				f.node = preferences[p].node;
				f.local_node = preferences[p].local_node;
				f.preferred = "p";
				as_newer = f;
				if (preferences[p].decided) {
					as_newer.changed_at = preferences[p].wins ? T2 : T1;
					as_newer.local_changed_at = preferences[p].wins ? T1 : T2;
				}
				a = conflict_judge(POLICY_PREFER, &f);
				b = conflict_judge(POLICY_NEWER, &as_newer);
				assert_memory_equal(&a, &b, sizeof a);
			}
}

/* From both sides: the preferred node's version stays, or both ask. */
static void
test_prefer_both_sides(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < ALL; bits++)
		for (size_t order = 0; order < ORDERS; order++) {
			struct facts here = facts(bits, order, 1), there;

			if ((bits & (SAME | COUNTER)) || !here.here)
				continue;
			here.preferred = here.node = "p";
			here.local_node = "z";
			there = here;
			there.changed_at = here.local_changed_at;
			there.node = "z";
			there.whole = here.local_whole;
			there.local_changed_at = here.changed_at;
			there.local_node = "p";
			there.local_whole = here.whole;
			assert_int_equal(conflict_judge(POLICY_PREFER, &here).verdict, VERDICT_APPLY);
			assert_int_equal(conflict_judge(POLICY_PREFER, &there).verdict, VERDICT_KEEP);
		}
}

/* `manual` asks exactly where `newer` would keep a loser, and asks on both sides; of two decisions the later one
 * stands, and who deletes his own row under a number that was given before is not asked. */
static void
test_manual(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < ALL; bits++)
		for (size_t order = 0; order < ORDERS; order++) {
			struct facts f = facts(bits, order, 1);
			struct decision newer = conflict_judge(POLICY_NEWER, &f), d = conflict_judge(POLICY_MANUAL, &f);
			bool own = f.counter_key && f.removed && f.local_made && f.local_theirs && f.here && !f.same;

			if (newer.conflict && !own && !(f.decided && f.local_decided)) {
				assert_int_equal(d.verdict, VERDICT_ASK);
				assert_false(d.conflict || d.requeue || d.supersede);
			} else
				assert_memory_equal(&d, &newer, sizeof d);
		}
}

static void
test_weak_loses_with_every_policy(void **state)
{
	(void)state;
	for (enum conf_policy policy = POLICY_NEWER; policy <= POLICY_MANUAL; policy++)
		for (size_t order = 0; order < ORDERS; order++) {
			struct facts f = facts(HERE, order, 1);

			f.preferred = f.local_node;
			f.local_weak = true;
			assert_int_equal(conflict_judge(policy, &f).verdict, VERDICT_APPLY);
			assert_false(conflict_judge(policy, &f).conflict);
			f.preferred = f.node;
			f.local_weak = false;
			f.weak = true;
			assert_int_equal(conflict_judge(policy, &f).verdict, VERDICT_KEEP);
		}
}

/* A version is never lost: if the local one loses, it is kept as a conflict or equal to the other. */
static void
test_nothing_is_lost(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < ALL; bits++)
		for (size_t order = 0; order < ORDERS; order++) {
			struct facts f = facts(bits, order, 1);
			struct decision d = conflict_judge(POLICY_NEWER, &f);

			if (d.verdict != VERDICT_ASK && !f.same && !another_row(&f))
				assert_true(d.conflict);
			if (d.supersede && d.verdict == VERDICT_KEEP)
				assert_true(d.requeue); /* else the winner would never travel */
			if (d.verdict == VERDICT_ASK)
				assert_false(d.supersede || d.requeue);
		}
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("what nobody changed here is applied", test_no_concurrent),
		NAMED("every combination of facts is judged by the rules", test_every_combination),
		NAMED("a change that nobody meant wins over none that somebody did", test_weak),
		NAMED("the cases people ask about", test_cases),
		NAMED("both sides decide alike", test_both_sides),
		NAMED("a delete has nothing to do with another row of that number", test_one_number_after_a_delete),
		NAMED("a number that was given once more is a person's business", test_a_number_given_once_more),
		NAMED("prefer differs from newer in who wins alone", test_prefer),
		NAMED("prefer decides alike on both sides", test_prefer_both_sides),
		NAMED("manual asks where newer would let a version lose", test_manual),
		NAMED("what nobody meant to change loses with every policy", test_weak_loses_with_every_policy),
		NAMED("no version is lost", test_nothing_is_lost),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("conflict", tests, NULL, NULL);
}
