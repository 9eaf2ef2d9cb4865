/* wire/seal: the bytes of the protocol; another key or use, one bit, one byte less: nothing is opened. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/seal.h"

enum { TEXT_MAX = 4 * 1024 * 1024 + 256 };

static unsigned char key[SIGN_KEY_BYTES];

static int
make_key(void **state)
{
	unsigned char pair[SIGN_KEY_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof pair; i++)
		pair[i] = (unsigned char)i;
	sign_direction_key(pair, "anna", "ben", key);
	return 0;
}

static bool
opens(const unsigned char *k, enum seal_use use, const void *body, size_t len, const char *want)
{
	unsigned char *copy = malloc(len + 1); /* exactly so long that reading further is found */
	size_t n = 1;
	bool ok;

	assert_non_null(copy);
	memcpy(copy, body, len);
	ok = seal_open(k, use, copy, len, &n);
	if (ok) {
		assert_int_equal(n, strlen(want));
		assert_memory_equal(copy + SEAL_HEAD_BYTES, want, n);
	} else
		assert_int_equal(n, 0);
	free(copy);
	return ok;
}

/* Made by another program (tests/lab/seal.py), with the salt 20 21 ... 3f. */
static void
test_the_bytes_are_those_of_the_protocol(void **state)
{
	static const char *const hex[] = {
		[SEAL_REQUEST] = "74616e64656d2d7365616c310a202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
				 "6f970164c9bbb26fb86a26c2e4f90bcc6460de05e135",
		[SEAL_ANSWER] = "74616e64656d2d7365616c310a202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
				"247104d36656420115edd3a195bba4dd5f606ddf09c3",
	};

	(void)state;
	for (int use = SEAL_REQUEST; use <= SEAL_ANSWER; use++) {
		unsigned char body[SEAL_EXTRA + 6];

		assert_int_equal(strlen(hex[use]), 2 * sizeof body);
		for (size_t i = 0; i < sizeof body; i++)
			assert_int_equal(sscanf(hex[use] + 2 * i, "%2hhx", &body[i]), 1);
		assert_true(seal_is(body, sizeof body));
		assert_true(opens(key, (enum seal_use)use, body, sizeof body, "hello\n"));
		assert_false(opens(key, use == SEAL_REQUEST ? SEAL_ANSWER : SEAL_REQUEST, body, sizeof body, ""));
	}
}

static void
test_what_is_sealed_is_opened_whatever_its_length(void **state)
{
	static const size_t lengths[] = { 0, 1, 63, 64, 65, 1000, TEXT_MAX };
	char *text = malloc(TEXT_MAX + 1);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct buf b, again;
		struct err e;

		memset(text, 'x', lengths[i]);
		text[lengths[i]] = '\0';
		buf_init(&b, lengths[i] + SEAL_EXTRA);
		buf_init(&again, lengths[i] + SEAL_EXTRA);
		assert_true(seal_put(key, SEAL_REQUEST, text, lengths[i], &b, &e));
		assert_int_equal(b.len, lengths[i] + SEAL_EXTRA);
		assert_true(opens(key, SEAL_REQUEST, b.data, b.len, text));
		/* the same text never gives the same bytes, in no place behind the magic */
		assert_true(seal_put(key, SEAL_REQUEST, text, lengths[i], &again, &e));
		assert_memory_not_equal(b.data + 13, again.data + 13, SEAL_SALT_BYTES);
		assert_memory_not_equal(b.data + SEAL_HEAD_BYTES, again.data + SEAL_HEAD_BYTES, lengths[i] + SEAL_TAG_BYTES);
		buf_free(&b);
		buf_free(&again);
	}
	free(text);
}

static void
test_every_bit_counts_and_no_byte_may_be_missing(void **state)
{
	unsigned char other[SIGN_KEY_BYTES];
	struct buf b;
	struct err e;

	(void)state;
	buf_init(&b, 200);
	assert_true(seal_put(key, SEAL_ANSWER, "hello\n", 6, &b, &e));
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << bit % 8));
		assert_false(opens(key, SEAL_ANSWER, b.data, b.len, ""));
		b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << bit % 8));
	}
	for (size_t n = 0; n < b.len; n++)
		assert_false(opens(key, SEAL_ANSWER, b.data, n, ""));
	buf_char(&b, '\0');
	assert_false(opens(key, SEAL_ANSWER, b.data, b.len, "")); /* nor one too many */
	buf_cut(&b, b.len - 1);
	for (size_t i = 0; i < sizeof key; i++) {
		memcpy(other, key, sizeof key);
		other[i] ^= 1;
		assert_false(opens(other, SEAL_ANSWER, b.data, b.len, ""));
	}
	assert_true(opens(key, SEAL_ANSWER, b.data, b.len, "hello\n"));
	buf_free(&b);
}

static void
test_no_room_is_an_error(void **state)
{
	struct buf b;
	struct err e;

	(void)state;
	buf_init(&b, SEAL_EXTRA + 5);
	assert_false(seal_put(key, SEAL_REQUEST, "hello\n", 6, &b, &e));
	assert_int_equal(e.code, ERR_MEMORY);
	buf_free(&b);
}

/* What stands at the beginning of every other body. */
static void
test_no_other_body_looks_sealed(void **state)
{
	static const char *const others[] = { "", "{\"hello\":\"1\"}", "{", "tandem-offer1,a", "tandem-rotate1,0", "tandem-seal1", "tandem-seal2\n" };

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_false(seal_is(others[i], strlen(others[i])));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_bytes_are_those_of_the_protocol),
		cmocka_unit_test(test_what_is_sealed_is_opened_whatever_its_length),
		cmocka_unit_test(test_every_bit_counts_and_no_byte_may_be_missing),
		cmocka_unit_test(test_no_room_is_an_error),
		cmocka_unit_test(test_no_other_body_looks_sealed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_key, NULL);
}
