/* app/edit: [peer] sections come and go, and not one other byte of agent.conf changes. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/edit.h"

#define KEY "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define KEY2 "b1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define PIN "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define HEAD "; Anna's  \n[node]\nname = anna\nmonitor_key = 0123456789abcdef0123456789abcdef\n\n[database]\nuser = u\nname = shop\n"
#define BERTA "[peer berta]\n; at home\nurl = https://berta:8440\nkey = " KEY "\n"
#define CLEO "[peer cleo]\nurl = https://cleo:8440\nkey = " KEY2 "\n"
#define TAIL "\n; of the log\n[log]\nlevel = info\n"

static char dir[] = "/tmp/tandem-test-XXXXXX";
static char path[64];

static int
make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof path, "%s/agent.conf", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir); /* fails when a draft was left */
}

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_int_equal(fclose(f), 0);
}

static void
assert_file(const char *want)
{
	char text[4096];
	struct stat st;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	assert_int_equal(fstat(fileno(f), &st), 0);
	(void)fclose(f);
	assert_string_equal(text, want);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static struct conf_peer
peer(const char *name, const char *pin)
{
	struct conf_peer p = { .name = (char *)(uintptr_t)name, .url = (char *)(uintptr_t)"https://berta:8440",
		.tls_pin = (char *)(uintptr_t)pin };
	static const char hex[] = KEY;

	for (size_t i = 0; i < CONF_KEY_BYTES; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &p.key[i]), 1);
	return p;
}

static void
key_two(unsigned char key[CONF_KEY_BYTES])
{
	struct conf_peer p = peer("x", "");

	memcpy(key, p.key, CONF_KEY_BYTES);
	key[0] = 0xb1;
}

static void
test_what_is_added_goes_without_a_trace(void **state)
{
	static const char *const texts[] = { HEAD, HEAD TAIL, HEAD CLEO TAIL "; the end\n", HEAD "\r\n; with CR\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct conf_peer berta = peer("berta", PIN);
		char want[4096];
		struct err e;

		write_file(texts[i]);
		assert_true(edit_try_peer(path, &berta, &e));
		assert_file(texts[i]);
		assert_true(edit_add_peer(path, &berta, &e));
		(void)snprintf(want, sizeof want, "%s\n[peer berta]\nurl = https://berta:8440\nkey = " KEY "\ntls_pin = " PIN "\n", texts[i]);
		assert_file(want);
		assert_true(edit_remove_peer(path, "berta", &e));
		assert_file(texts[i]);
	}
}

static void
test_a_file_without_a_last_newline_gets_one(void **state)
{
	struct conf_peer berta = peer("berta", "");
	struct err e;

	berta.seal = true;

	(void)state;
	write_file(HEAD "[log]\nlevel = info");
	assert_true(edit_add_peer(path, &berta, &e));
	assert_file(HEAD "[log]\nlevel = info\n\n[peer berta]\nurl = https://berta:8440\nkey = " KEY "\nseal = yes\n");
}

static void
test_a_section_goes_from_anywhere_and_nothing_else(void **state)
{
	struct err e;

	(void)state;
	write_file(HEAD "\n" BERTA TAIL CLEO);
	assert_true(edit_remove_peer(path, "berta", &e));
	assert_file(HEAD TAIL CLEO);
	write_file(HEAD "\n" BERTA "tls_pin = " PIN "\n; of cleo\n" CLEO);
	assert_true(edit_remove_peer(path, "berta", &e));
	assert_file(HEAD "; of cleo\n" CLEO);
	write_file(HEAD BERTA CLEO TAIL);
	assert_true(edit_remove_peer(path, "cleo", &e));
	assert_file(HEAD BERTA TAIL);
}

static void
test_a_name_is_a_whole_name(void **state)
{
	static const char *const names[] = { "bert", "berta2", "Berta", "node", "", "erta", "berta]", "*" };

	(void)state;
	write_file(HEAD BERTA);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		unsigned char key[CONF_KEY_BYTES];
		struct err e;

		key_two(key);
		assert_false(edit_remove_peer(path, names[i], &e));
		assert_int_equal(e.code, ERR_USAGE);
		assert_false(edit_set_key(path, names[i], key, &e));
		assert_int_equal(e.code, ERR_USAGE);
		assert_file(HEAD BERTA);
	}
}

static void
test_a_key_is_replaced_in_its_place(void **state)
{
	unsigned char key[CONF_KEY_BYTES];
	struct err e;

	(void)state;
	key_two(key);
	write_file(HEAD BERTA "paused = yes\n\n[peer cleo]\nurl = https://cleo:8440\nkey = c1" "b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90\n" TAIL);
	assert_true(edit_set_key(path, "berta", key, &e));
	assert_file(HEAD "[peer berta]\n; at home\nurl = https://berta:8440\nkey = " KEY2
	    "\npaused = yes\n\n[peer cleo]\nurl = https://cleo:8440\nkey = c1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90\n" TAIL);
}

/* A result that agent --serve would refuse does not take the file's place. */
static void
test_a_file_that_would_be_wrong_is_not_written(void **state)
{
	struct conf_peer berta = peer("berta", ""), bad = peer("ber ta", ""), cleo = peer("cleo", "");
	unsigned char key[CONF_KEY_BYTES];
	struct err e;

	(void)state;
	write_file(HEAD BERTA);
	assert_false(edit_add_peer(path, &berta, &e)); /* twice */
	assert_false(edit_try_peer(path, &berta, &e));
	assert_false(edit_add_peer(path, &bad, &e));
	assert_false(edit_add_peer(path, &cleo, &e)); /* berta's key */
	assert_int_equal(e.code, ERR_CONFIG);
	assert_file(HEAD BERTA);
	key_two(key);
	write_file(HEAD BERTA CLEO);
	assert_false(edit_set_key(path, "berta", key, &e)); /* cleo's key */
	assert_file(HEAD BERTA CLEO);
	assert_int_equal(chmod(path, 0644), 0);
	assert_false(edit_remove_peer(path, "berta", &e));
	assert_int_equal(chmod(path, 0600), 0);
	assert_file(HEAD BERTA CLEO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_added_goes_without_a_trace),
		cmocka_unit_test(test_a_file_without_a_last_newline_gets_one),
		cmocka_unit_test(test_a_section_goes_from_anywhere_and_nothing_else),
		cmocka_unit_test(test_a_name_is_a_whole_name),
		cmocka_unit_test(test_a_key_is_replaced_in_its_place),
		cmocka_unit_test(test_a_file_that_would_be_wrong_is_not_written),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
