/* The table of sessions: counters, age, room for new ones, and that nothing forgotten comes back. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "net/session.h"

enum { ANNA, CARL, PEERS = 40 };

static const char *
name_of(size_t peer)
{
	static char text[16];

	(void)snprintf(text, sizeof text, "peer%zu", peer);
	return text;
}

static struct sessions *
table(void)
{
	struct sessions *t;
	struct err e;

	assert_true(sessions_new(PEERS, &t, &e));
	return t;
}

/* The id of hello number n of that peer at that time. */
static void
make(const struct sessions *t, size_t peer, unsigned n, int64_t now_ms, char id[SIGN_SESSION_MAX])
{
	char nonce[SIGN_NONCE_BYTES * 2 + 1];

	(void)snprintf(nonce, sizeof nonce, "%032x", n);
	sessions_make(t, name_of(peer), nonce, now_ms, id);
}

static enum session_verdict
use(struct sessions *t, size_t peer, const char *id, uint64_t counter, int64_t now_ms,
    struct session **out)
{
	const struct session_call call = { .peer = peer, .name = name_of(peer), .id = id,
		.counter = counter, .now_ms = now_ms };
	struct session *ignored;

	return sessions_use(t, &call, out == NULL ? &ignored : out);
}

static void
test_counters(void **state)
{
	struct sessions *t = table();
	char id[SIGN_SESSION_MAX];

	(void)state;
	make(t, ANNA, 1, 1000, id);
	assert_int_equal(use(t, ANNA, id, 0, 1000, NULL), SESSION_REPLAYED);
	assert_int_equal(use(t, ANNA, id, 1, 1000, NULL), SESSION_GOOD);
	assert_int_equal(use(t, ANNA, id, 1, 1001, NULL), SESSION_REPLAYED);
	assert_int_equal(use(t, ANNA, id, 2, 1002, NULL), SESSION_GOOD);
	assert_int_equal(use(t, ANNA, id, 9, 1003, NULL), SESSION_GOOD);
	assert_int_equal(use(t, ANNA, id, 8, 1004, NULL), SESSION_REPLAYED);
	assert_int_equal(use(t, ANNA, id, UINT64_MAX, 1005, NULL), SESSION_GOOD);
	assert_int_equal(use(t, ANNA, id, UINT64_MAX, 1006, NULL), SESSION_REPLAYED);
	sessions_free(t);
}

static void
test_foreign_ids(void **state)
{
	struct sessions *t = table(), *other = table();
	char id[SIGN_SESSION_MAX];

	(void)state;
	make(t, ANNA, 1, 1000, id);
	assert_int_equal(use(t, CARL, id, 1, 1000, NULL), SESSION_STALE);
	assert_int_equal(use(other, ANNA, id, 1, 1000, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, "", 1, 1000, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, "0.0.0", 1, 1000, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, id, 1, 1000, NULL), SESSION_GOOD);
	assert_int_equal(use(t, CARL, id, 2, 1000, NULL), SESSION_STALE);
	sessions_free(t);
	sessions_free(other);
}

static void
test_age(void **state)
{
	struct sessions *t = table();
	char id[SIGN_SESSION_MAX];

	(void)state;
	make(t, ANNA, 1, 1000, id);
	assert_int_equal(use(t, ANNA, id, 1, 1000 + SIGN_NONCE_AGE_MS + 1, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, id, 1, 999, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, id, 1, 1000 + SIGN_NONCE_AGE_MS, NULL), SESSION_GOOD);
	/* Once begun it may become as old as it likes. */
	assert_int_equal(use(t, ANNA, id, 2, INT64_C(1000000000000), NULL), SESSION_GOOD);
	sessions_free(t);
}

static void
test_many_short_callers(void **state)
{
	struct sessions *t = table();
	char first[SIGN_SESSION_MAX], id[SIGN_SESSION_MAX];
	struct session *s;

	(void)state;
	make(t, ANNA, 0, 1000, first);
	assert_int_equal(use(t, ANNA, first, 1, 1000, NULL), SESSION_GOOD);
	for (unsigned n = 1; n <= SESSIONS_PER_PEER * 3; n++) {
		make(t, ANNA, n, 1000 + n, id);
		assert_int_equal(use(t, ANNA, id, 1, 1000 + n, &s), SESSION_GOOD);
		session_hold(s);
		session_release(s); /* a caller that came and went */
	}
	/* Forgotten, young enough to begin, and yet it must not: its requests would be replays. */
	assert_int_equal(use(t, ANNA, first, 1, 2000, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, first, 2, 2000, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, id, 1, 2000, NULL), SESSION_REPLAYED);
	assert_int_equal(use(t, ANNA, id, 2, 2000, NULL), SESSION_GOOD);
	sessions_free(t);
}

static void
test_live_ones_stay(void **state)
{
	struct sessions *t = table();
	char id[SESSIONS_PER_PEER + 1][SIGN_SESSION_MAX];
	struct session *s[SESSIONS_PER_PEER + 1];

	(void)state;
	for (unsigned n = 0; n < SESSIONS_PER_PEER; n++) {
		make(t, ANNA, n, 1000 + n, id[n]);
		assert_int_equal(use(t, ANNA, id[n], 1, 1000 + n, &s[n]), SESSION_GOOD);
		session_hold(s[n]);
	}
	make(t, ANNA, 99, 3000, id[SESSIONS_PER_PEER]);
	assert_int_equal(use(t, ANNA, id[SESSIONS_PER_PEER], 1, 3000, NULL), SESSION_FULL);
	for (unsigned n = 0; n < SESSIONS_PER_PEER; n++)
		assert_int_equal(use(t, ANNA, id[n], 2, 3001, NULL), SESSION_GOOD);
	/* Another peer is not concerned. */
	make(t, CARL, 1, 3000, id[0]);
	assert_int_equal(use(t, CARL, id[0], 1, 3000, NULL), SESSION_GOOD);
	/* One that nobody holds any more makes room. */
	session_release(s[3]);
	assert_int_equal(use(t, ANNA, id[SESSIONS_PER_PEER], 1, 3002, NULL), SESSION_GOOD);
	assert_int_equal(use(t, ANNA, id[3], 3, 3003, NULL), SESSION_STALE);
	assert_int_equal(use(t, ANNA, id[4], 3, 3003, NULL), SESSION_GOOD);
	sessions_free(t);
}

static void
test_full_table(void **state)
{
	struct sessions *t = table();
	char id[SIGN_SESSION_MAX], first[SIGN_SESSION_MAX];
	struct session *s, *held = NULL;
	size_t made = 0;

	(void)state;
	for (size_t peer = 0; made < SESSIONS_MAX; peer++)
		for (unsigned n = 0; n < SESSIONS_PER_PEER && made < SESSIONS_MAX; n++, made++) {
			make(t, peer, n, 1000, id);
			assert_int_equal(use(t, peer, id, 1, 1000 + (int64_t)made, &s), SESSION_GOOD);
			session_hold(s);
			if (made == 0) {
				held = s;
				(void)snprintf(first, sizeof first, "%s", id);
			}
		}
	make(t, PEERS - 1, 1, 5000, id);
	assert_int_equal(use(t, PEERS - 1, id, 1, 5000, NULL), SESSION_FULL);
	session_release(held);
	assert_int_equal(use(t, PEERS - 1, id, 1, 5000, NULL), SESSION_GOOD);
	assert_int_equal(use(t, 0, first, 2, 5001, NULL), SESSION_STALE);
	sessions_free(t);
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("a counter is good once and only upwards", test_counters),
		NAMED("an id of another peer or another boot is stale", test_foreign_ids),
		NAMED("a session must begin soon after hello and may then live long", test_age),
		NAMED("any number of short callers gets in and no forgotten session comes back", test_many_short_callers),
		NAMED("a session that a connection holds is never forgotten", test_live_ones_stay),
		NAMED("a full table of live sessions takes no more", test_full_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
