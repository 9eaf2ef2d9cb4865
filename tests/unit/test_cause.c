/* app/cause: when a person is needed, and what he is told. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "app/cause.h"

#define GIB ((uint64_t)1024 * 1024 * 1024)

static struct conf conf = { .sync = { .notify_after_ms = 24 * 3600 * 1000 } };
static struct report_peer peer;
static struct report report;
static struct cause_look look;
static struct cause causes[CAUSES_MAX];

static int
begin(void **state)
{
	(void)state;
	memset(&peer, 0, sizeof peer);
	memset(&report, 0, sizeof report);
	(void)snprintf(peer.name, sizeof peer.name, "bert");
	report.peers = &peer;
	report.npeers = 1;
	report.free_bytes = UINT64_MAX;
	report.max_queue = report.max_conflicts = 1000000;
	look = (struct cause_look){ .conf = &conf, .since = "", .now_us = report_time_us("2026-11-21 12:00:00.000000"), .counted = true };
	return 0;
}

static void
finds_one(enum cause_kind kind, const char *subject, const char *text)
{
	char said[CAUSE_TEXT_MAX];

	assert_int_equal(cause_find(&report, &look, causes), 1);
	assert_int_equal(causes[0].kind, kind);
	cause_subject(&causes[0], said, sizeof said);
	assert_string_equal(said, subject);
	if (strstr(causes[0].text, text) == NULL)
		fail_msg("%s", causes[0].text);
}

static void
nothing_is_no_cause(void **state)
{
	(void)state;
	peer.pending = 1000;
	peer.failures = 10;
	peer.retry = peer.waiting = peer.discarded = 3;
	assert_int_equal(cause_find(&report, &look, causes), 0);
}

static void
each_cause_says_which_peer_and_what_to_do(void **state)
{
	char remedy[CAUSE_TEXT_MAX];

	(void)state;
	(void)snprintf(peer.held, sizeof peer.held, "the clocks differ\n\x1b[2J by a day");
	finds_one(CAUSE_HELD, "the link with bert is held", "the clocks differ\\n\\x1b[2J by a day");
	peer.held[0] = '\0';
	(void)snprintf(peer.deletes, sizeof peer.deletes, "table t would lose 99 records");
	finds_one(CAUSE_DELETES, "deletions of bert wait for a yes", "would lose 99");
	cause_remedy(&causes[0], remedy, sizeof remedy);
	assert_string_equal(remedy, "if they are right: agent --drain --allow-deletes --peer bert");
	peer.deletes[0] = '\0';
	peer.tables_held = 2;
	finds_one(CAUSE_TABLE, "a table waits (bert)", "2 tables");
	peer.tables_held = 0;
	peer.undecided = peer.parked = 2; /* the records that wait for the decision are parked with it */
	finds_one(CAUSE_CONFLICT, "conflicts with bert wait for a decision", "2 conflicts");
	peer.parked = 3;
	assert_int_equal(cause_find(&report, &look, causes), 2);
	peer.undecided = 0;
	finds_one(CAUSE_PARKED, "changes that bert refused are parked", "3 records");
}

static void
a_peer_is_silent_when_something_waits_and_tries_fail_for_long(void **state)
{
	(void)state;
	peer.failures = 3;
	peer.lag_ms = 24 * 3600 * 1000;
	(void)snprintf(peer.last_success, sizeof peer.last_success, "2026-11-20 12:00:00.000000");
	(void)snprintf(peer.last_error_at, sizeof peer.last_error_at, "2026-11-21 11:59:00.000000");
	(void)snprintf(peer.last_error, sizeof peer.last_error, "refused the connection");
	finds_one(CAUSE_SILENT, "bert has taken nothing for too long", "waited for 24 h; last success: 2026-11-20 12:00:00.000000; last error: refused");
	assert_false(causes[0].old);
	look.since = "2026-11-21 11:59:30.000000"; /* this daemon has not tried yet: it lasts, and is not told of */
	finds_one(CAUSE_SILENT, "bert has taken nothing for too long", "24 h");
	assert_true(causes[0].old);
	peer.paused = true;
	assert_int_equal(cause_find(&report, &look, causes), 0);
	peer.paused = false;
	peer.lag_ms--; /* it waits for less long */
	assert_int_equal(cause_find(&report, &look, causes), 0);
	peer.lag_ms++;
	(void)snprintf(peer.last_success, sizeof peer.last_success, "2026-11-20 12:00:01.000000"); /* something came through since */
	assert_int_equal(cause_find(&report, &look, causes), 0);
	peer.last_success[0] = '\0';
	finds_one(CAUSE_SILENT, "bert has taken nothing for too long", "last success: never");
}

static void
a_disk_that_wavers_is_told_once(void **state)
{
	(void)state;
	report.queue_bytes = GIB;
	assert_int_equal(cause_find(&report, &look, causes), 0);
	report.queue_bytes = GIB + GIB / 20;
	finds_one(CAUSE_DISK, "the disk fills up (here)", "the queue has 1075 MiB");
	report.queue_bytes = GIB - GIB / 20;
	assert_int_equal(cause_find(&report, &look, causes), 0); /* not enough to begin with ... */
	look.disk_known = true;
	finds_one(CAUSE_DISK, "the disk fills up (here)", "972 MiB"); /* ... nor to end */
	report.queue_bytes = GIB / 2;
	assert_int_equal(cause_find(&report, &look, causes), 0);
	look.disk_known = false;
	report.free_bytes = GIB / 2;
	finds_one(CAUSE_DISK, "the disk fills up (here)", "512 MiB are free");
	report.free_bytes = UINT64_MAX;
	report.synced = 800001;
	finds_one(CAUSE_DISK, "the disk fills up (here)", "holds 800001 changes, max_queue allows 1000000");
	report.synced = 790000;
	assert_int_equal(cause_find(&report, &look, causes), 0);
	look.disk_known = true;
	finds_one(CAUSE_DISK, "the disk fills up (here)", "790000");
	report.synced = 0;
	report.conflicts = 900000;
	finds_one(CAUSE_DISK, "the disk fills up (here)", "900000 conflicts are kept");
}

static void
what_was_not_counted_is_neither_there_nor_gone(void **state)
{
	(void)state;
	report.dirty_tables = 1;
	finds_one(CAUSE_TABLE, "a table waits (here)", "1 tables were altered");
	look.counted = false;
	assert_int_equal(cause_find(&report, &look, causes), 0);
	assert_false(cause_is_quick(CAUSE_TABLE, ""));
	assert_true(cause_is_quick(CAUSE_TABLE, "bert"));
	assert_false(cause_is_quick(CAUSE_DISK, ""));
	for (int k = 0; k < CAUSES; k++)
		assert_in_range(strlen(cause_word((enum cause_kind)k)), 1, 16); /* as wide as its column */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, begin)
	const struct CMUnitTest tests[] = { T(nothing_is_no_cause), T(each_cause_says_which_peer_and_what_to_do),
		T(a_peer_is_silent_when_something_waits_and_tries_fail_for_long), T(a_disk_that_wavers_is_told_once),
		T(what_was_not_counted_is_neither_there_nor_gone) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
