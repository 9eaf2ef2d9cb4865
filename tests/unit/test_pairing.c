/* wire/pairing: lines and offers are taken whole or not at all; the keys that follow from them. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/pairing.h"

#define SECRET "00112233445566778899aabbccddeeff"
#define PIN "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define LINE "tandem-pair1,anna,https://192.168.0.12:8440," PIN "," SECRET

static bool
takes_line(const char *text)
{
	struct offer o;
	struct err e = { .code = ERR_NONE };
	bool ok = pairing_parse_line(text, &o, &e);

	assert_int_equal(e.code, ok ? ERR_NONE : ERR_USAGE);
	return ok;
}

static bool
takes_offer(const char *text, size_t len)
{
	struct offer o;
	struct err e = { .code = ERR_NONE };
	bool ok = pairing_parse_offer(text, len, &o, &e);

	assert_int_equal(e.code, ok ? ERR_NONE : ERR_INPUT);
	return ok;
}

static void
test_what_is_printed_is_read(void **state)
{
	static const struct offer offers[] = {
		{ "anna", "https://192.168.0.12:8440", PIN, SECRET },
		{ "a", "http://[fe80::1]:1", "", SECRET },
		{ "A.z_0-9", "https://laptop.local", "", SECRET },
		{ "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", "https://x", PIN, SECRET }, /* 32, as long as may be */
	};

	(void)state;
	for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
		struct offer o;
		struct buf b;
		struct err e;

		buf_init(&b, PAIRING_TEXT_MAX);
		pairing_put_line(&b, &offers[i]);
		assert_true(pairing_parse_line(buf_cstr(&b), &o, &e));
		assert_memory_equal(&o, &offers[i], sizeof o);
		assert_false(takes_offer(b.data, b.len)); /* a line is no offer: it is never sent */
		buf_reset(&b);
		pairing_put_offer(&b, &offers[i]);
		assert_true(pairing_parse_offer(b.data, b.len, &o, &e));
		assert_memory_equal(&o, &offers[i], sizeof o);
		assert_false(takes_line(buf_cstr(&b)));
		buf_free(&b);
	}
}

/* A line that was cut, or that grew on its way through a chat. */
static void
test_a_part_of_a_line_is_no_line(void **state)
{
	char text[sizeof LINE + 8];

	(void)state;
	assert_true(takes_line(LINE));
	for (size_t n = 0; n < sizeof LINE - 1; n++) {
		(void)snprintf(text, sizeof text, "%.*s", (int)n, LINE);
		assert_false(takes_line(text));
	}
	for (const char *more = " ,\nf0A\t"; *more != '\0'; more++) {
		(void)snprintf(text, sizeof text, LINE "%c", *more);
		assert_false(takes_line(text));
		(void)snprintf(text, sizeof text, "%c" LINE, *more);
		assert_false(takes_line(text));
	}
}

static void
test_other_forms_are_refused(void **state)
{
	static const char *const wrong[] = {
		"tandem-pair2,anna,https://x," PIN "," SECRET,
		"Tandem-pair1,anna,https://x," PIN "," SECRET,
		"tandem-pair1,,https://x," PIN "," SECRET,
		"tandem-pair1,anna,," PIN "," SECRET,
		"tandem-pair1,an na,https://x," PIN "," SECRET,
		"tandem-pair1,anna]\n[database,https://x," PIN "," SECRET,
		"tandem-pair1,anna,https://x\nkey = 0," PIN "," SECRET,
		"tandem-pair1,anna,https://u:p@x," PIN "," SECRET,
		"tandem-pair1,anna,https://x?api_key=1," PIN "," SECRET,
		"tandem-pair1,anna,https://x,sha256//;," SECRET,
		"tandem-pair1,anna,https://x," PIN ",00112233445566778899AABBCCDDEEFF",
		"tandem-pair1,anna,https://x," PIN ",00112233445566778899aabbccddeef",
		"tandem-pair1,anna,https://x," PIN ",00112233445566778899aabbccddeeff0",
		"tandem-pair1,anna,https://x," PIN "," SECRET "," SECRET,
		"tandem-pair1,nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn,https://x," PIN "," SECRET, /* 33 */
	};
	char url[PAIRING_URL_MAX + 64];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		if (takes_line(wrong[i]))
			fail_msg("taken: %s", wrong[i]);
	(void)snprintf(url, sizeof url, "tandem-pair1,anna,%0*d,," SECRET, PAIRING_URL_MAX - 1, 0);
	assert_true(takes_line(url));
	(void)snprintf(url, sizeof url, "tandem-pair1,anna,%0*d,," SECRET, PAIRING_URL_MAX, 0);
	assert_false(takes_line(url));
}

/* Offers come from the network: any bytes, no NUL behind them. */
static void
test_an_offer_of_other_bytes_is_refused(void **state)
{
	static const char good[] = "tandem-offer1,anna,https://x:1,," SECRET;

	(void)state;
	assert_true(takes_offer(good, sizeof good - 1));
	assert_false(takes_offer(good, sizeof good)); /* with the NUL */
	for (size_t at = 0; at < sizeof good - 1; at++) {
		static const char bytes[] = { '\0', '\n', ' ', ',', '"', '\xff' };
		char text[sizeof good];

		for (size_t i = 0; i < sizeof bytes; i++) {
			memcpy(text, good, sizeof good);
			if (text[at] == bytes[i])
				continue;
			text[at] = bytes[i];
			assert_false(takes_offer(text, sizeof good - 1));
		}
	}
}

static void
assert_hex(const unsigned char key[SIGN_KEY_BYTES], const char *want)
{
	char hex[2 * SIGN_KEY_BYTES + 1];

	for (size_t i = 0; i < SIGN_KEY_BYTES; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", key[i]);
	assert_string_equal(hex, want);
}

/* The vectors were reckoned by another program (Python's hmac). */
static void
test_keys_are_those_of_the_protocol(void **state)
{
	struct offer inviter = { .node = "anna", .secret = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct offer joiner = { .node = "ben", .secret = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" };
	unsigned char key[SIGN_KEY_BYTES], other[SIGN_KEY_BYTES];

	(void)state;
	pairing_call_key(SECRET, key);
	assert_hex(key, "17ccb800dbc2631844e02bdd540a89aa1b133abb2cef26aa0f74c6e33f317841");
	pairing_pair_key(SECRET, &inviter, &joiner, key);
	assert_hex(key, "ac11d8b453aeb2b9d24e0223488df786ac7086883c46242067dbfe7a42b2ba8e");
	/* whoever changes a name, a nonce or the secret gets another key */
	pairing_pair_key(SECRET, &joiner, &inviter, other);
	assert_memory_not_equal(key, other, sizeof key);
	pairing_pair_key("10112233445566778899aabbccddeeff", &inviter, &joiner, other);
	assert_memory_not_equal(key, other, sizeof key);
	joiner.secret[31] = 'c';
	pairing_pair_key(SECRET, &inviter, &joiner, other);
	assert_memory_not_equal(key, other, sizeof key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_printed_is_read),
		cmocka_unit_test(test_a_part_of_a_line_is_no_line),
		cmocka_unit_test(test_other_forms_are_refused),
		cmocka_unit_test(test_an_offer_of_other_bytes_is_refused),
		cmocka_unit_test(test_keys_are_those_of_the_protocol),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
