/* app/metrics and base/count: a report as text for Prometheus, labels, events that are counted. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/metrics.h"
#include "base/count.h"

static struct buf out;

static int
begin(void **state)
{
	(void)state;
	buf_init(&out, METRICS_TEXT_MAX);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

/* Does the text have that line, once? */
static void
has_line(const char *line)
{
	char whole[512];
	const char *at;

	(void)snprintf(whole, sizeof whole, "\n%s\n", line);
	at = strstr(buf_cstr(&out), whole);
	if (at == NULL || strstr(at + 1, whole) != NULL)
		fail_msg("not once: %s\n%s", line, buf_cstr(&out));
}

static void
a_label_cannot_end_its_quotes_or_its_line(void **state)
{
	(void)state;
	metrics_put_label(&out, "a\"b\\c\nd\xff" "e\xc3\xa4");
	assert_string_equal(buf_cstr(&out), "a\\\"b\\\\c\\nd?e\xc3\xa4");
}

static void
a_report_becomes_numbers(void **state)
{
	struct report_peer peers[2] = { { .name = "bert", .pending = 12000, .lag_ms = 90500, .parked = 2, .retry = 1, .undecided = 3,
		.records_sent = 5, .last_success = "2026-11-21 02:03:04.500000", .held = "the clocks differ", .clock_skew_ms = "-1250" },
		{ .name = "cleo", .in_step = true } };
	struct report r = { .peers = peers, .npeers = 2, .queue_bytes = 1048576, .free_bytes = UINT64_MAX, .synced = 7 };
	struct metrics_counts counts = { 0 };

	(void)state;
	(void)snprintf(r.node.name, sizeof r.node.name, "anna");
	metrics_put(&r, &counts, "10.11.6-\"x\"", &out);
	has_line("tandem_database_up 1");
	has_line("tandem_peer_in_step{peer=\"bert\"} 0");
	has_line("tandem_peer_in_step{peer=\"cleo\"} 1");
	has_line("tandem_peer_pending_changes{peer=\"bert\"} 12000");
	has_line("tandem_peer_oldest_pending_age_seconds{peer=\"bert\"} 90.5");
	has_line("tandem_peer_last_success_timestamp_seconds{peer=\"bert\"} 1795226584.5");
	has_line("tandem_peer_last_success_timestamp_seconds{peer=\"cleo\"} 0");
	has_line("tandem_peer_owed_records{peer=\"bert\",state=\"parked\"} 2");
	has_line("tandem_peer_owed_records{peer=\"bert\",state=\"retry\"} 1");
	has_line("tandem_peer_open_conflicts{peer=\"bert\"} 3");
	has_line("tandem_peer_held{peer=\"bert\"} 1");
	has_line("tandem_peer_held{peer=\"cleo\"} 0");
	has_line("tandem_peer_clock_skew_seconds{peer=\"bert\"} -1.25");
	assert_null(strstr(buf_cstr(&out), "tandem_peer_clock_skew_seconds{peer=\"cleo\"}"));
	has_line("tandem_peer_records_sent_total{peer=\"bert\"} 5");
	assert_non_null(strstr(buf_cstr(&out), "mariadb=\"10.11.6-\\\"x\\\"\",node=\"anna\"} 1\n"));
	assert_null(strstr(buf_cstr(&out), "clocks differ")); /* texts are no labels */
	assert_null(strstr(buf_cstr(&out), "tandem_queue_bytes")); /* nothing was counted yet */
	metrics_take(&r, &counts);
	buf_reset(&out);
	metrics_put(&r, &counts, "10.11.6", &out);
	has_line("tandem_queue_bytes 1048576");
	has_line("tandem_queue_changes{status=\"synced\"} 7");
	assert_null(strstr(buf_cstr(&out), "\ntandem_state_dir_free_bytes")); /* not known */
}

static void
without_a_database_what_the_daemon_knows_is_told(void **state)
{
	(void)state;
	count_add(COUNT_SENDING_FAILED, "bert", err_word(ERR_PEER));
	count_add(COUNT_SENDING_FAILED, "bert", err_word(ERR_PEER));
	count_add(COUNT_RECEIVING_FAILED, "bert", err_word(ERR_DB_LOST));
	count_add(COUNT_HTTP_REFUSED, "page", "401");
	metrics_put(NULL, NULL, NULL, &out);
	has_line("tandem_database_up 0");
	has_line("tandem_peer_errors_total{direction=\"out\",peer=\"bert\",code=\"peer\"} 2");
	has_line("tandem_peer_errors_total{direction=\"in\",peer=\"bert\",code=\"db_lost\"} 1");
	has_line("tandem_http_refused_total{door=\"page\",status=\"401\"} 1");
	has_line("# TYPE tandem_peer_errors_total counter");
	assert_null(strstr(buf_cstr(&out), "tandem_peer_in_step"));
}

static void
the_table_of_counts_has_an_end(void **state)
{
	struct count *rows = calloc(COUNT_ROWS_MAX, sizeof *rows);
	uint64_t sum = 0;
	char name[32];
	size_t n;

	(void)state;
	assert_non_null(rows);
	for (unsigned i = 0; i < 3 * COUNT_ROWS_MAX; i++) {
		(void)snprintf(name, sizeof name, "peer%u", i);
		count_add(COUNT_REFUSED, name, "retry");
	}
	count_add(COUNT_NOTIFIED, "", "done");
	n = count_read(rows);
	assert_in_range(n, 1, COUNT_ROWS_MAX);
	for (size_t i = 0; i < n; i++)
		if (rows[i].kind == COUNT_REFUSED)
			sum += rows[i].n;
	assert_int_equal(sum, 3 * COUNT_ROWS_MAX); /* none is lost */
	assert_int_equal(rows[n - 1].kind, COUNT_NOTIFIED);
	free(rows);
}

static void
every_error_has_a_word(void **state)
{
	(void)state;
	for (int i = 0; i <= ERR_DB_FULL; i++)
		assert_non_null(err_word((enum err_code)i));
	assert_string_equal(err_word(ERR_DB_FULL), "db_full");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(a_label_cannot_end_its_quotes_or_its_line), T(a_report_becomes_numbers),
		T(without_a_database_what_the_daemon_knows_is_told), T(every_error_has_a_word), T(the_table_of_counts_has_an_end) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
