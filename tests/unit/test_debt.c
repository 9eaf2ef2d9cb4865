/* What a peer has not accepted: when it is tried again, with which epoch it counts as sent, and of which answers
 * speak. The rest of change/debt is simulated (tests/sim). */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "change/debt.h"

enum { ACKED = 5, UPTO = 8 };

static struct debt_group
group(bool retry, bool fresh, bool last_part)
{
	return (struct debt_group){ ACKED, ACKED, UPTO, retry, fresh, last_part };
}

static const struct {
	const char *name, *state;
	uint64_t sent_epoch;
	bool retry, fresh, last_part, due;
} cases[] = {
	{ "refused, and tried again", "retry", 3, true, true, true, true },
	{ "refused, and nobody asks", "retry", 3, false, true, true, false },
	{ "waits for another record", "waiting", 3, true, false, true, true },
	{ "parked", "parked", 3, true, true, true, false },
	{ "discarded", "discarded", 7, true, true, true, false },
	{ "on its way without an answer, nobody asks", "retry", 7, false, true, true, true },
	{ "parked while on its way", "parked", 7, false, true, true, true },
	{ "the group ends at an older epoch", "retry", 3, true, false, false, false },
	{ "it does, and so did one that had the record", "retry", UPTO, false, false, false, true },
	{ "it does, and one before it had the record", "retry", ACKED + 1, false, false, false, true },
	{ "it does, and only one beyond it had the record", "retry", UPTO + 1, true, false, false, false },
	{ "the first part of a new group", "retry", 3, true, true, false, true },
};

static void
test_due(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct debt_group g = group(cases[i].retry, cases[i].fresh, cases[i].last_part);

		if (debt_is_due(&g, cases[i].state, cases[i].sent_epoch) != cases[i].due)
			fail_msg("%s", cases[i].name);
	}
}

/* Whichever of the groups without an answer the peer has taken: if its answer speaks of a record, the group had it. */
static void
test_answers(void **state)
{
	(void)state;
	for (uint64_t before = 0; before <= UPTO + 2; before++)
		for (unsigned bits = 0; bits < 8; bits++) {
			struct debt_group g = group((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0);
			bool sent = debt_is_due(&g, "retry", before);
			uint64_t epoch = debt_sent_epoch(&g, before, sent);

			if (!sent)
				assert_false(debt_is_answered(epoch, ACKED, UPTO, false));
			else
				assert_true(debt_is_answered(epoch, ACKED, UPTO, false));
			if (before > ACKED && before <= UPTO) /* an earlier one had it as well */
				assert_true(sent);
			assert_true(debt_is_answered(epoch, ACKED, UPTO, true)); /* refused by name */
		}
}

static void
test_states(void **state)
{
	(void)state;
	assert_string_equal(debt_state(0, 3, false), "waiting");
	assert_string_equal(debt_state(2, 3, true), "retry");
	assert_string_equal(debt_state(3, 3, true), "parked");
	assert_string_equal(debt_state(3, 3, false), "parked");
}

enum { LEFT = 17, KEY_AT = 40, KEY_LEN = 2 }; /* the change that left the key; where its text stands */

static const struct {
	const char *name;
	bool any, exists; /* changes of that key in the group; a row under it */
	enum operation first;
	uint64_t link;
	bool told;
	uint64_t next; /* where to look next */
	bool from;     /* the record came from that key, as the peer knows it */
	bool owed;     /* the peer has refused it under that key */
	bool came;     /* by a change that the peer does not know */
	bool ends;     /* what the peer has there is told of by itself */
	bool decided;  /* somebody has decided about that key */
} steps[] = {
	{ "the peer has it under that key", true, false, OP_DELETE, 0, false, 0, true, false, false, false, false },
	{ "nothing is known of that key", false, false, OP_DELETE, 0, false, 0, true, false, false, false, false },
	{ "another row is there", true, true, OP_UPDATE, 0, false, 0, false, false, false, true, false },
	{ "it was born there", true, false, OP_INSERT, 0, false, 0, false, false, false, true, false },
	{ "it came there from another key", true, false, OP_INSERT, LEFT - 6, false, LEFT - 6, false, false, true, false, false },
	{ "it came there from another key, and the peer has it", true, false, OP_INSERT, LEFT - 6, true, 0, true, false, false, false, false },
	{ "another row came there from another key, and ended", true, false, OP_INSERT, LEFT + 6, false, 0, false, false, true, true, false },
	{ "another row came there since, and ended", true, false, OP_DELETE, LEFT + 6, false, 0, false, false, false, true, false },
	{ "it came there from another key, and was refused there", true, false, OP_INSERT, LEFT - 6, false, LEFT - 6, false, true, true, true, false },
	{ "it came there from another key, and another row was there before", true, false, OP_DELETE, LEFT - 6, false, LEFT - 6, false, false, true, true, false },
	{ "the peer has brought it there, and it ended", true, false, OP_DELETE, LEFT - 6, false, 0, true, false, false, false, false },
	{ "it came there from another key, and the peer's own row there has lost", true, false, OP_INSERT, LEFT - 6, false, LEFT - 6, false, false, true, true, true },
};

static void
test_steps(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct entry entry = { .link = LEFT }, old = { .first = steps[i].first, .link = steps[i].link, .told = steps[i].told, .owed = steps[i].owed, .came = steps[i].came,
			.decided = steps[i].decided };
		uint64_t link = LEFT;

		debt_step_back(&entry, steps[i].any ? &old : NULL, KEY_AT, KEY_LEN, steps[i].exists, &link);
		if (link != steps[i].next || (entry.old_key == KEY_AT) != steps[i].from)
			fail_msg("%s", steps[i].name);
		/* What ended under the key is part of the move, or it is told by itself. */
		if (steps[i].any && old.done == steps[i].ends)
			fail_msg("%s: its end", steps[i].name);
	}
}

/* A record that the peer has refused was here under the key when another one came there: the group tells of that one's
 * way, and what is left under the first one's earlier key ends by itself. */
static void
test_forsaken(void **state)
{
	const struct owed came = { .link = LEFT, .last_id = LEFT + 1 }, born = { .last_id = LEFT + 1 };
	struct entry entry = { .link = LEFT + 9 };
	struct debt_before news = debt_before(&entry, &came), none = debt_before(NULL, &came);

	(void)state;
	assert_int_equal(debt_forsaken(&news, &came), LEFT);
	assert_int_equal(debt_forsaken(&news, &born), 0);
	assert_int_equal(debt_forsaken(&none, &came), 0);
	entry.link = LEFT;
	news = debt_before(&entry, &came);
	assert_int_equal(debt_forsaken(&news, &came), 0);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("what is owed is tried when it may be, and goes on with what it went out with", test_due),
		NAMED("an answer speaks of a record only if the group had it", test_answers),
		NAMED("attempts end in parking", test_states),
		NAMED("a changed key leads back to the key by which the peer knows the record, and to no other record", test_steps),
		NAMED("of two keys that were left for one, the earlier ends by itself", test_forsaken),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("debt", tests, NULL, NULL);
}
