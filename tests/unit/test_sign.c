/* Message authentication: vectors computed with another implementation (Python's hmac and
 * hashlib), every field in the MAC, strictness of texts, session ids. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "wire/sign.h"

#define NONCE "00112233445566778899aabbccddeeff"
#define AB_16 "abababababababab"
#define AB_32 AB_16 AB_16
#define SESSION NONCE ".123456." AB_32 AB_32

static void
pair_key(unsigned char key[SIGN_KEY_BYTES])
{
	for (unsigned char i = 0; i < SIGN_KEY_BYTES; i++)
		key[i] = i;
}

static void
key_of(const char *sender, const char *receiver, unsigned char out[SIGN_KEY_BYTES])
{
	unsigned char pair[SIGN_KEY_BYTES];

	pair_key(pair);
	sign_direction_key(pair, sender, receiver, out);
}

static struct sign_request
sample(void)
{
	return (struct sign_request){ .method = "POST",
		.path = "/api/sync/receive",
		.sender = "anna",
		.receiver = "ben",
		.session = SESSION,
		.counter = 7,
		.body = "hello\n",
		.body_len = 6 };
}

static void
assert_request(struct sign_request r, const char *want)
{
	unsigned char key[SIGN_KEY_BYTES];
	char mac[SIGN_MAC_HEX + 1];

	key_of("anna", "ben", key);
	sign_request_mac(key, &r, mac);
	assert_string_equal(mac, want);
}

static void
test_direction_keys(void **state)
{
	static const unsigned char ab[SIGN_KEY_BYTES] = { 0x47, 0xc2, 0x12, 0x9e, 0x49, 0xaa, 0x7c, 0x0c,
		0x0f, 0xf6, 0x8f, 0xc3, 0xeb, 0x08, 0xbf, 0xa6, 0xdb, 0x53, 0x81, 0x69, 0x22, 0xed, 0x1a,
		0xcf, 0xdc, 0x2e, 0x93, 0xed, 0x81, 0x67, 0xb4, 0xcd };
	static const unsigned char ba[SIGN_KEY_BYTES] = { 0x36, 0xa3, 0x49, 0x92, 0xa0, 0x96, 0xa3, 0xa8,
		0x4c, 0x3d, 0x2d, 0xc3, 0x62, 0xa5, 0xfa, 0x64, 0x2f, 0x63, 0x7c, 0x3c, 0x3a, 0x94, 0xdd,
		0x87, 0x78, 0x8c, 0x63, 0xe9, 0x80, 0x7d, 0x8a, 0xae };
	unsigned char key[SIGN_KEY_BYTES];

	(void)state;
	key_of("anna", "ben", key);
	assert_memory_equal(key, ab, sizeof ab);
	key_of("ben", "anna", key);
	assert_memory_equal(key, ba, sizeof ba);
}

static void
test_request_vectors(void **state)
{
	struct sign_request r = sample();

	(void)state;
	assert_request(r, "cc02ae6dea42c814654d37f9564084053a4435b51f7a0ac7bcf33db807f3dfd4");
	r = (struct sign_request){ .method = "GET", .path = "/api/sync/status", .sender = "anna",
		.receiver = "ben", .session = "" };
	assert_request(r, "bc5163ea21879126af4e4f6c5476dec9d109884324143fb549a0cfcc7dc5e35e");
	r = (struct sign_request){ .method = "POST", .path = "/api/sync/hello", .sender = "anna",
		.receiver = "ben", .session = "", .counter = UINT64_MAX, .body = "\0\n\xff", .body_len = 3 };
	assert_request(r, "c785a793cf97910940470216ebca3c01ff68ee2c1d672919c7c8e1a65f6d7949");
}

static void
test_response_vectors(void **state)
{
	unsigned char key[SIGN_KEY_BYTES];
	char mac[SIGN_MAC_HEX + 1];

	(void)state;
	key_of("ben", "anna", key);
	sign_response_mac(key, 200, "cc02ae6dea42c814654d37f9564084053a4435b51f7a0ac7bcf33db807f3dfd4",
	    "hello\n", 6, mac);
	assert_string_equal(mac, "8c89fe80757e880de2342f318269084d58d50c96ddd70646aa4ce14c5df17721");
	sign_response_mac(key, 401, "bc5163ea21879126af4e4f6c5476dec9d109884324143fb549a0cfcc7dc5e35e",
	    NULL, 0, mac);
	assert_string_equal(mac, "088801e696e70a800ac43299e092b6d95eb783c98f7e5bcdd2c0fa5bb887ae83");
}

/* The MAC of r differs from the sample's. */
static void
assert_changed(struct sign_request r)
{
	unsigned char key[SIGN_KEY_BYTES];
	struct sign_request was = sample();
	char a[SIGN_MAC_HEX + 1], b[SIGN_MAC_HEX + 1];

	key_of("anna", "ben", key);
	sign_request_mac(key, &was, a);
	sign_request_mac(key, &r, b);
	assert_false(sign_equal(a, b));
}

/* Flip one bit of every byte of *field in turn. */
static void
assert_each_byte(struct sign_request *r, const char **field)
{
	char copy[256];
	const char *was = *field;

	for (size_t i = 0; i < strlen(was); i++) {
		(void)snprintf(copy, sizeof copy, "%s", was);
		copy[i] = (char)(copy[i] ^ 1);
		*field = copy;
		assert_changed(*r);
	}
	*field = was;
}

static void
test_every_byte_counts(void **state)
{
	struct sign_request r = sample();

	(void)state;
	assert_each_byte(&r, &r.method);
	assert_each_byte(&r, &r.path);
	assert_each_byte(&r, &r.sender);
	assert_each_byte(&r, &r.receiver);
	assert_each_byte(&r, &r.session);
	r.counter = 8;
	assert_changed(r);
	r = sample();
	r.body = "hello\r";
	assert_changed(r);
	r = sample();
	r.body_len = 5;
	assert_changed(r);
}

static void
test_fields_do_not_run_together(void **state)
{
	struct sign_request r = sample();

	(void)state;
	r.sender = "ann";
	r.receiver = "aben";
	assert_changed(r);
	r = sample();
	r.method = "POS";
	r.path = "T/api/sync/receive";
	assert_changed(r);
}

static void
test_other_direction(void **state)
{
	unsigned char ab[SIGN_KEY_BYTES], ba[SIGN_KEY_BYTES];
	struct sign_request r = sample();
	char a[SIGN_MAC_HEX + 1], b[SIGN_MAC_HEX + 1];

	(void)state;
	key_of("anna", "ben", ab);
	key_of("ben", "anna", ba);
	sign_request_mac(ab, &r, a);
	sign_request_mac(ba, &r, b);
	assert_false(sign_equal(a, b));
}

static void
test_response_fields(void **state)
{
	unsigned char key[SIGN_KEY_BYTES];
	char a[SIGN_MAC_HEX + 1], b[SIGN_MAC_HEX + 1];

	(void)state;
	key_of("ben", "anna", key);
	sign_response_mac(key, 200, AB_32 AB_32, "body", 4, a);
	sign_response_mac(key, 201, AB_32 AB_32, "body", 4, b);
	assert_false(sign_equal(a, b));
	sign_response_mac(key, 200, AB_32 AB_16 "abababababababac", "body", 4, b);
	assert_false(sign_equal(a, b));
	sign_response_mac(key, 200, AB_32 AB_32, "bodz", 4, b);
	assert_false(sign_equal(a, b));
	sign_response_mac(key, 200, AB_32 AB_32, "body", 3, b);
	assert_false(sign_equal(a, b));
	sign_response_mac(key, 200, AB_32 AB_32, "body", 4, b);
	assert_true(sign_equal(a, b));
}

static void
test_equal_is_strict(void **state)
{
	(void)state;
	assert_true(sign_equal(AB_32 AB_32, AB_32 AB_32));
	assert_false(sign_equal(AB_32 AB_32, AB_32));
	assert_false(sign_equal(AB_32, AB_32));
	assert_false(sign_equal("", ""));
	assert_false(sign_equal(AB_32 AB_32 "a", AB_32 AB_32 "a"));
	assert_false(sign_equal("AB" AB_32 AB_16 "ababababababab",
	    "AB" AB_32 AB_16 "ababababababab"));
	assert_false(sign_equal(AB_32 AB_16 "abababababababaa", AB_32 AB_32));
}

static void
test_nonces(void **state)
{
	char a[SIGN_NONCE_BYTES * 2 + 1], b[SIGN_NONCE_BYTES * 2 + 1];
	struct err e;

	(void)state;
	assert_true(sign_nonce(a, &e));
	assert_true(sign_nonce(b, &e));
	assert_int_equal(strlen(a), 32);
	assert_int_equal(strspn(a, "0123456789abcdef"), 32);
	assert_string_not_equal(a, b);
}

static void
boot_key(unsigned char boot[SIGN_KEY_BYTES])
{
	memset(boot, 0xa5, SIGN_KEY_BYTES);
}

static void
test_session_vector(void **state)
{
	unsigned char boot[SIGN_KEY_BYTES];
	char id[SIGN_SESSION_MAX];

	(void)state;
	boot_key(boot);
	sign_session_make(boot, "anna", NONCE, 123456, id);
	assert_string_equal(id,
	    NONCE ".123456.109e6caaa54f4c7804980fcedc14c5062a1775e2f1d18bab5135db2e3eedb64a");
}

static void
test_session_round_trip(void **state)
{
	unsigned char boot[SIGN_KEY_BYTES];
	char id[SIGN_SESSION_MAX];
	int64_t age = 0;

	(void)state;
	boot_key(boot);
	sign_session_make(boot, "anna", NONCE, 1000, id);
	assert_true(sign_session_ours(boot, "anna", id, 1000, &age));
	assert_int_equal(age, 0);
	assert_true(sign_session_ours(boot, "anna", id, 1000 + SIGN_NONCE_AGE_MS + 1, &age));
	assert_int_equal(age, SIGN_NONCE_AGE_MS + 1);
	assert_false(sign_session_ours(boot, "ben", id, 1000, &age));
	assert_false(sign_session_ours(boot, "anna", id, 999, &age));
	boot[0] ^= 1;
	assert_false(sign_session_ours(boot, "anna", id, 1000, &age));
}

static void
test_session_altered(void **state)
{
	unsigned char boot[SIGN_KEY_BYTES];
	char id[SIGN_SESSION_MAX], copy[SIGN_SESSION_MAX];
	int64_t age;

	(void)state;
	boot_key(boot);
	sign_session_make(boot, "anna", NONCE, 987654321, id);
	for (size_t i = 0; i < strlen(id); i++) {
		memcpy(copy, id, sizeof copy);
		copy[i] = (char)(copy[i] ^ 1);
		assert_false(sign_session_ours(boot, "anna", copy, 987654321, &age));
		memcpy(copy, id, sizeof copy);
		copy[i] = (char)toupper((unsigned char)copy[i]);
		assert_int_equal(sign_session_ours(boot, "anna", copy, 987654321, &age), copy[i] == id[i]);
		copy[i] = '\0';
		assert_false(sign_session_ours(boot, "anna", copy, 987654321, &age));
	}
}

static void
test_session_malformed(void **state)
{
	static const char *const bad[] = { "", ".", "..", "...", NONCE, NONCE ".", NONCE ".1", NONCE ".1.",
		NONCE ".-1." AB_32 AB_32, NONCE ".99999999999999999999." AB_32 AB_32,
		NONCE "." AB_32 AB_32 ".1", "x" NONCE ".1." AB_32 AB_32, NONCE ".1." AB_32 AB_32 ".",
		NONCE ".1x." AB_32 AB_32 };
	unsigned char boot[SIGN_KEY_BYTES];
	char id[SIGN_SESSION_MAX];
	int64_t age;

	(void)state;
	boot_key(boot);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(sign_session_ours(boot, "anna", bad[i], INT64_MAX, &age));
	sign_session_make(boot, "anna", "short", 1, id);
	assert_string_equal(id, "");
	sign_session_make(boot, "anna", NONCE "0", 1, id);
	assert_string_equal(id, "");
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("the key of a direction is what the protocol says", test_direction_keys),
		NAMED("request MACs agree with an independent implementation", test_request_vectors),
		NAMED("response MACs agree with an independent implementation", test_response_vectors),
		NAMED("every byte of every request field changes the MAC", test_every_byte_counts),
		NAMED("neighbouring fields do not run together", test_fields_do_not_run_together),
		NAMED("the other direction has another MAC", test_other_direction),
		NAMED("every field of a response changes the MAC", test_response_fields),
		NAMED("truncated, longer and upper-case MACs are never equal", test_equal_is_strict),
		NAMED("nonces are 32 hex digits and differ", test_nonces),
		NAMED("a session id is what the protocol says", test_session_vector),
		NAMED("a session id is known to its boot, for its peer, with its age", test_session_round_trip),
		NAMED("an altered session id is not ours", test_session_altered),
		NAMED("malformed session ids are not ours", test_session_malformed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
