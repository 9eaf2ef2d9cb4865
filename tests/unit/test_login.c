/* The page's cookies and the brake on wrong keys. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "net/login.h"

#define KEY "0123456789abcdef0123456789abcdef"
enum { NOW_S = 1800000000 };

static struct login page;
static char value[LOGIN_VALUE_MAX], found[LOGIN_VALUE_MAX], text[1024];

static int
set_up(void **state)
{
	struct err e;

	(void)state;
	login_init(&page, "anna", KEY, 8441);
	return login_make(&page, NOW_S, value, &e) ? 0 : -1;
}

static bool
shown(const char *before, const char *name, const char *cookie, int64_t now_s)
{
	(void)snprintf(text, sizeof text, "%s%s=%s", before, name, cookie);
	return login_find(&page, text, now_s, found);
}

static void
test_good(void **state)
{
	(void)state;
	assert_string_equal(page.name, "tandem_8441_anna");
	assert_true(shown("", page.name, value, NOW_S));
	assert_string_equal(found, value);
	assert_true(shown("other=1; x; ", page.name, value, NOW_S + LOGIN_HOURS * 3600 - 1));
	/* Another app of this host may set one of the same name: the good one counts. */
	assert_true(shown("tandem_8441_anna=spoiled; ", page.name, value, NOW_S));
}

static void
test_bad(void **state)
{
	struct login other;
	char cookie[LOGIN_VALUE_MAX + 200];

	(void)state;
	assert_false(login_find(&page, "", NOW_S, found));
	assert_false(shown("", page.name, "", NOW_S));
	assert_false(shown("", "tandem_8442_anna", value, NOW_S));
	assert_false(shown("", page.name, value, NOW_S + LOGIN_HOURS * 3600));
	assert_false(shown("", page.name, value, NOW_S - 1)); /* a clock that went back does not prolong it */
	for (size_t i = 0; value[i] != '\0'; i++) {
		(void)snprintf(cookie, sizeof cookie, "%s", value);
		cookie[i] = cookie[i] == '1' ? '2' : '1';
		assert_false(shown("", page.name, cookie, NOW_S));
	}
	(void)snprintf(cookie, sizeof cookie, "%s%0150d", value, 0);
	assert_false(shown("", page.name, cookie, NOW_S));
	login_init(&other, "anna", "ff" KEY, 8441); /* the key was changed: everybody is out */
	(void)snprintf(text, sizeof text, "%s=%s", other.name, value);
	assert_false(login_find(&other, text, NOW_S, found));
}

static void
test_restart(void **state)
{
	struct login again;

	(void)state;
	login_init(&again, "anna", KEY, 8441);
	(void)snprintf(text, sizeof text, "%s=%s", again.name, value);
	assert_true(login_find(&again, text, NOW_S, found));
}

static void
test_end(void **state)
{
	(void)state;
	login_end(&page, value);
	assert_false(shown("", page.name, value, NOW_S));
	for (int i = 0; i < 3 * LOGIN_ENDED_MAX; i++) {
		struct err e;

		assert_true(login_make(&page, NOW_S, value, &e));
		login_end(&page, value);
		assert_false(shown("", page.name, value, NOW_S));
	}
}

static void
test_token(void **state)
{
	char a[SIGN_MAC_HEX + 1], b[SIGN_MAC_HEX + 1], second[LOGIN_VALUE_MAX];
	struct err e;

	(void)state;
	assert_true(login_make(&page, NOW_S, second, &e));
	login_token(&page, value, a);
	login_token(&page, second, b);
	assert_string_not_equal(a, b);
	assert_null(strstr(value, a)); /* the token is not what the cookie shows */
	login_token(&page, value, b);
	assert_true(sign_equal(a, b));
}

static void
test_brake(void **state)
{
	int64_t now = 1000;

	(void)state;
	for (int i = 0; i < LOGIN_FREE_FORM - 1; i++)
		login_wrong(&page, "127.0.0.1", LOGIN_FORM, now);
	assert_int_equal(login_wait_s(&page, "127.0.0.1", LOGIN_FORM, now), 0);
	login_wrong(&page, "127.0.0.1", LOGIN_FORM, now);
	assert_int_equal(login_wait_s(&page, "127.0.0.1", LOGIN_FORM, now), 1);
	assert_int_equal(login_wait_s(&page, "127.0.0.1", LOGIN_FORM, now + 1000), 0);
	for (int i = 0; i < 20; i++)
		login_wrong(&page, "127.0.0.1", LOGIN_FORM, now);
	assert_int_equal(login_wait_s(&page, "127.0.0.1", LOGIN_FORM, now), LOGIN_WAIT_MAX_S);
	assert_int_equal(login_wait_s(&page, "127.0.0.1", LOGIN_HEADER, now), 0); /* the other way stays open */
	assert_int_equal(login_wait_s(&page, "192.0.2.1", LOGIN_FORM, now), 0);	  /* and the others */
	login_wrong(&page, "127.0.0.1", LOGIN_FORM, now + LOGIN_FORGET_MS + 1);
	assert_int_equal(login_wait_s(&page, "127.0.0.1", LOGIN_FORM, now + LOGIN_FORGET_MS + 1), 0);
	login_right(&page, "127.0.0.1", LOGIN_FORM);
	assert_int_equal(login_wait_s(&page, "127.0.0.1", LOGIN_FORM, now), 0);
}

static void
test_places(void **state)
{
	char address[32];

	(void)state;
	for (int i = 0; i < 20; i++)
		login_wrong(&page, "192.0.2.1", LOGIN_FORM, 100000);
	for (int i = 0; i < LOGIN_PLACES_MAX - 1; i++) {
		(void)snprintf(address, sizeof address, "198.51.100.%d", i);
		login_wrong(&page, address, LOGIN_FORM, 200000);
	}
	assert_true(login_wait_s(&page, "192.0.2.1", LOGIN_FORM, 100001) > 0);
	login_wrong(&page, "203.0.113.1", LOGIN_FORM, 200000); /* no more room: the quietest is forgotten */
	assert_int_equal(login_wait_s(&page, "192.0.2.1", LOGIN_FORM, 100001), 0);
}

int
main(void)
{
#define NAMED(name, function) { name, function, set_up, NULL, NULL }
	const struct CMUnitTest tests[] = {
		NAMED("a cookie that was made here is good for its hours", test_good),
		NAMED("any other cookie is not", test_bad),
		NAMED("a restart of the agent ends no cookie", test_restart),
		NAMED("a cookie that was given back is good no more", test_end),
		NAMED("each cookie has a token of its own", test_token),
		NAMED("wrong keys make their address wait, longer each time", test_brake),
		NAMED("the addresses that are remembered are bounded", test_places),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
