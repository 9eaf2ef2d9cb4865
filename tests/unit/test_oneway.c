/* Directions of tables: what is told to peers, which of them do not fit together. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "change/oneway.h"

static struct conf_peer peers[2] = { { .name = (char[]){ "bert" } }, { .name = (char[]){ "cleo" } } };
static struct conf_table tables[3] = {
	{ .name = (char[]){ "price list" }, .direction = (char[]){ "send" } },
	{ .name = (char[]){ "note" }, .direction = (char[]){ "both" } },
	{ .name = (char[]){ "sale" }, .direction = (char[]){ "receive" } },
};
static struct conf conf = { .node = { .name = (char[]){ "anna" } }, .peers = peers, .tables = tables, .ntables = 3 };

static char said[4096];

static void
note(const char *table, const char *finding, const char *remedy, void *arg)
{
	(void)arg;
	(void)snprintf(said + strlen(said), sizeof said - strlen(said), "%s: %s; %s\n", table, finding, remedy);
}

static const char *
judged(size_t npeers, const char *told)
{
	bool fine;

	said[0] = '\0';
	conf.npeers = npeers;
	fine = oneway_judge(&conf, "bert", told, note, NULL);
	assert_int_equal(fine, said[0] == '\0');
	return said;
}

static void
a_node_tells_its_tables_and_whether_others_may_bring_what_it_receives(void **state)
{
	char text[ONEWAY_MAX];

	(void)state;
	conf.npeers = 1;
	oneway_put(&conf, text);
	assert_string_equal(text, "send price list\nreceive sale\n");
	conf.npeers = 2;
	oneway_put(&conf, text);
	assert_string_equal(text, "send price list\nrelay sale\n");
}

static void
what_fits_together_is_not_named(void **state)
{
	(void)state;
	assert_string_equal(judged(1, ""), "");
	assert_string_equal(judged(1, "receive price list\nsend sale\nsend note\n"), "");
	/* Somebody else may bring it, there or here. */
	assert_string_equal(judged(1, "relay sale\n"), "");
	assert_string_equal(judged(2, "receive sale\n"), "");
	/* Another table, a longer or shorter word or name, and what is none of our lines. */
	assert_string_equal(judged(1, "send price\nsend price list2\nsender price list\n send price list\nsend\n\nsend \nprice list\n"), "");
}

static void
what_does_not_is_named_with_its_remedy(void **state)
{
	(void)state;
	(void)judged(2, "send price list");
	assert_non_null(strstr(said, "price list: table price list has direction = send on both nodes, anna and bert: neither takes what the other writes"));
	assert_non_null(strstr(said, "write direction = receive into [table price list] of one of the two"));
	(void)judged(1, "send sale\nreceive sale\nreceive note\n");
	assert_non_null(strstr(said, "sale: table sale has direction = receive on both nodes, anna and bert: nobody sends it; write direction = send"));
	assert_null(strstr(said, "note"));
}

static void
more_tables_than_the_text_holds_are_left_out_whole(void **state)
{
	static struct conf_table many[2000];
	struct conf large = { .tables = many, .ntables = 2000, .npeers = 1 };
	char text[ONEWAY_MAX];

	(void)state;
	for (size_t i = 0; i < large.ntables; i++)
		many[i] = tables[0];
	oneway_put(&large, text);
	assert_true(strlen(text) > ONEWAY_MAX - 32);
	assert_string_equal(text + strlen(text) - strlen("send price list\n"), "send price list\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_tells_its_tables_and_whether_others_may_bring_what_it_receives),
		cmocka_unit_test(what_fits_together_is_not_named),
		cmocka_unit_test(what_does_not_is_named_with_its_remedy),
		cmocka_unit_test(more_tables_than_the_text_holds_are_left_out_whole),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
