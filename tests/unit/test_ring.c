/* Which link of a ring is the one that waits: the newest, the same one for every node that knows the same. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "change/ring.h"

enum { NODES_MAX = 8, ROUNDS = 2000 };

static struct ring_claim claims[RING_CLAIMS_MAX];
static size_t n;

static void
claim(const char *claimant, const char *other, uint64_t since)
{
	struct ring_claim *c = &claims[n++];

	memset(c, 0, sizeof *c);
	(void)snprintf(c->claimant, sizeof c->claimant, "%s", claimant);
	(void)snprintf(c->other, sizeof c->other, "%s", other);
	c->since = since;
}

static void
both(const char *a, const char *b, uint64_t since)
{
	claim(a, b, since);
	claim(b, a, since + 1);
}

static const char *
ring(const char *self, const char *peer)
{
	static char path[RING_TEXT_MAX];

	ring_find(claims, n, self, peer, path);
	return path;
}

static void
a_tree_has_none(void **state)
{
	(void)state;
	n = 0;
	assert_string_equal(ring("anna", "bert"), "");
	both("anna", "bert", 1);
	both("anna", "cleo", 2);
	both("cleo", "dora", 3);
	assert_string_equal(ring("anna", "bert"), "");
	assert_string_equal(ring("cleo", "dora"), "");
}

static void
the_newest_link_of_a_ring_waits_at_both_its_ends(void **state)
{
	(void)state;
	n = 0;
	both("anna", "bert", 10);
	both("bert", "cleo", 30);
	both("cleo", "anna", 20);
	assert_string_equal(ring("bert", "cleo"), "bert - anna - cleo - bert");
	assert_string_equal(ring("cleo", "bert"), "cleo - anna - bert - cleo");
	assert_string_equal(ring("anna", "bert"), "");
	assert_string_equal(ring("anna", "cleo"), "");
}

static void
links_as_old_as_each_other_are_told_apart_by_name(void **state)
{
	(void)state;
	n = 0;
	both("anna", "bert", 10);
	both("bert", "cleo", 10);
	both("anna", "cleo", 10);
	assert_string_equal(ring("cleo", "bert"), "cleo - anna - bert - cleo");
	assert_string_equal(ring("anna", "bert"), "");
	assert_string_equal(ring("anna", "cleo"), "");
}

/* A laptop that moved to another hub: the first hub still names it, but it does not name the hub any more. */
static void
a_link_that_one_side_does_not_have_is_none(void **state)
{
	(void)state;
	n = 0;
	both("hub1", "hub2", 1);
	claim("hub1", "laptop", 2);
	both("hub2", "laptop", 3);
	assert_string_equal(ring("hub2", "laptop"), "");
	claim("laptop", "hub1", 2);
	assert_string_equal(ring("laptop", "hub2"), "laptop - hub1 - hub2 - laptop");
	/* Of a node that has told nothing, the other's word counts. */
	n = 0;
	both("hub1", "hub2", 1);
	claim("hub1", "laptop", 2);
	claim("hub2", "laptop", 3);
	assert_string_equal(ring("hub2", "laptop"), "hub2 - hub1 - laptop - hub2");
}

/* Random links: with those that close rings taken away, what is left connects what was connected, without a ring. */
static void
what_is_left_is_a_tree(void **state)
{
	uint32_t chance = 12345;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		bool linked[NODES_MAX][NODES_MAX] = { { false } };
		char name[NODES_MAX][8];
		size_t part[NODES_MAX], before[NODES_MAX];

		n = 0;
		for (size_t i = 0; i < NODES_MAX; i++) {
			(void)snprintf(name[i], sizeof name[i], "n%zu", i);
			part[i] = before[i] = i;
		}
		for (int link = 0; link < 9; link++) {
			size_t a, b;

			chance = chance * 1664525 + 1013904223;
			a = (chance >> 8) % NODES_MAX;
			b = (chance >> 16) % NODES_MAX;
			if (a == b || linked[a][b] || linked[b][a])
				continue;
			linked[a][b] = true;
			both(name[a], name[b], (chance >> 4) % 5);
			for (size_t i = 0, from = before[b]; i < NODES_MAX; i++)
				if (before[i] == from)
					before[i] = before[a];
		}
		for (size_t a = 0; a < NODES_MAX; a++)
			for (size_t b = 0; b < NODES_MAX; b++) {
				size_t from = part[b];

				if (!linked[a][b])
					continue;
				assert_int_equal(ring(name[a], name[b])[0] == '\0', ring(name[b], name[a])[0] == '\0');
				if (ring(name[a], name[b])[0] != '\0')
					continue;
				assert_int_not_equal(part[a], part[b]);
				for (size_t i = 0; i < NODES_MAX; i++)
					if (part[i] == from)
						part[i] = part[a];
			}
		for (size_t a = 0; a < NODES_MAX; a++)
			for (size_t b = 0; b < NODES_MAX; b++)
				assert_int_equal(part[a] == part[b], before[a] == before[b]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_has_none),
		cmocka_unit_test(the_newest_link_of_a_ring_waits_at_both_its_ends),
		cmocka_unit_test(links_as_old_as_each_other_are_told_apart_by_name),
		cmocka_unit_test(a_link_that_one_side_does_not_have_is_none),
		cmocka_unit_test(what_is_left_is_a_tree),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
