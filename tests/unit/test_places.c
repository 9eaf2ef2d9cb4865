/* Paths of many contents in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "files/places.h"

static void
add(struct places *p, unsigned char first, const char *path)
{
	unsigned char hash[CONTENT_BYTES] = { first };
	struct listing_row row = { .path = path, .len = strlen(path), .link = "gone with the row" };
	struct err e;

	what_set(&row.s.listed, 'f', hash);
	assert_true(places_add(p, &row, &e));
}

static const char *
take(struct places *p, unsigned char first)
{
	unsigned char hash[CONTENT_BYTES] = { first };
	struct what c;
	struct place *found;

	what_set(&c, 'f', hash);
	found = places_find(p, &c);
	if (found == NULL)
		return NULL;
	found->taken = true;
	assert_null(found->row.link);
	assert_ptr_equal(found->row.path, found->path);
	return found->path;
}

static void
test_each_place_of_a_content_is_taken_once(void **state)
{
	struct places p = { .list = NULL };

	(void)state;
	add(&p, 7, "b");
	add(&p, 3, "z");
	add(&p, 7, "a");
	assert_null(take(&p, 5));
	assert_string_equal(places_next(&p, &p.list[1])->path, "b");
	assert_null(places_next(&p, &p.list[2]));
	assert_string_equal(take(&p, 7), "a");
	assert_string_equal(take(&p, 7), "b");
	assert_null(take(&p, 7));
	assert_string_equal(take(&p, 3), "z");
	places_clear(&p);
	assert_null(take(&p, 3));
}

static void
test_a_thousand_contents_are_found_in_any_order(void **state)
{
	struct places p = { .list = NULL };
	char path[16];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(path, sizeof path, "%03u", i * 7919 % 1000);
		add(&p, (unsigned char)(i % 250), path);
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_non_null(take(&p, (unsigned char)(i * 13 % 250)));
	assert_null(take(&p, 13));
	places_clear(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_place_of_a_content_is_taken_once),
		cmocka_unit_test(test_a_thousand_contents_are_found_in_any_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
