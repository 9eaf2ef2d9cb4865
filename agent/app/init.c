/* --init. Lives here: the example with its placeholders replaced, written once, privately. Not
 * here: what the options mean (base/conf), the example's text (agent.conf.example). */
#include "config.h"

#include "app/init.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/asset.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/private.h"
#include "base/text.h"

enum {
	HOST_NAME_SIZE = 256,		  /* HOST_NAME_MAX of POSIX and a NUL */
	MONITOR_KEY_BYTES = 32,		  /* 256 bits; 128 would do */
	SECRET_SIZE = CONF_KEY_BYTES * 2 + 1,
	CONF_SIZE_MAX = 64 * 1024	  /* the example has about 6 KiB */
};

/* Where a value goes: a whole line of the example, found exactly once, cut after its "= ". */
struct placeholder {
	const char *line;
	const char *head;
	const char *value;
};

/* The host's name as a node's: letters, digits, dot, underscore, hyphen. Hosts that have no name of
 * their own get a bit of chance behind it, because two nodes must not have the same. */
static bool
node_name(char out[CONF_NAME_MAX + 1], struct err *e)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	char host[HOST_NAME_SIZE] = "";
	unsigned char chance[2];

	if (gethostname(host, sizeof host - 1) != 0)
		host[0] = '\0';
	host[strcspn(host, ".")] = '\0';
	host[CONF_NAME_MAX] = '\0';
	for (char *p = host; *p != '\0'; p++)
		if (strchr(allowed, *p) == NULL)
			*p = '-';
	if (host[0] != '\0' && strcmp(host, "localhost") != 0) {
		(void)snprintf(out, CONF_NAME_MAX + 1, "%.*s", CONF_NAME_MAX, host);
		return true;
	}
	if (!clock_random(chance, sizeof chance, e))
		return false;
	(void)snprintf(out, CONF_NAME_MAX + 1, "laptop-%02x%02x", chance[0], chance[1]);
	return true;
}

static bool
fresh_hex(char out[SECRET_SIZE], struct err *e)
{
	unsigned char secret[CONF_KEY_BYTES];

	if (!clock_random(secret, sizeof secret, e))
		return false;
	for (size_t i = 0; i < sizeof secret; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", secret[i]);
	text_wipe(secret, sizeof secret);
	return true;
}

/* Is the len bytes at line exactly text? */
static bool
same(const char *line, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(line, text, len) == 0;
}

/* Copy the example to text with every placeholder's line replaced, each exactly once. */
static bool
fill_in(const struct placeholder *places, size_t n, struct buf *text, struct err *e)
{
	const struct asset *example = asset_find("agent.conf.example");
	const char *p, *end;
	size_t replaced = 0;

	if (example == NULL)
		return err_set(e, ERR_INTERNAL, "agent.conf.example is not built in");
	p = (const char *)example->data;
	for (end = p + example->len; p < end;) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((lf == NULL ? end : lf) - p), i = 0;

		while (i < n && !same(p, len, places[i].line))
			i++;
		if (i == n)
			buf_put(text, p, len);
		else
			buf_fmt(text, "%s%s", places[i].head, places[i].value);
		buf_char(text, '\n');
		replaced += i < n;
		p += len + (lf != NULL);
	}
	if (replaced != n)
		return err_set(e, ERR_INTERNAL, "agent.conf.example has %zu of %zu places for fresh values", replaced, n);
	return buf_check(text, "agent.conf", e);
}

#define ZERO32 "00000000000000000000000000000000"

static bool
make_text(const char *node, struct buf *text, struct err *e)
{
	char monitor_key[SECRET_SIZE] = "", key[SECRET_SIZE] = "";
	const struct placeholder places[] = {
		{ "name = laptop", "name = ", node },
		{ "monitor_key = " ZERO32, "monitor_key = ", monitor_key },
		{ "; key = " ZERO32 ZERO32, "; key = ", key },
	};
	bool ok = fresh_hex(monitor_key, e) && fresh_hex(key, e) &&
	    fill_in(places, sizeof places / sizeof places[0], text, e);

	text_wipe(monitor_key, sizeof monitor_key);
	text_wipe(key, sizeof key);
	return ok;
}

static bool
write_new(const char *path, const struct buf *text, struct err *e)
{
	bool exists;

	if (!private_create(path, text->data, text->len, &exists, e))
		return false;
	return !exists || err_set(e, ERR_CONFIG, "%s exists already; --init never overwrites", path);
}

static bool
print_json(const char *path, const char *node, struct err *e)
{
	struct json_object *o = json_object_new_object();
	bool ok = o != NULL && json_object_object_add(o, "config", json_object_new_string(path)) == 0 &&
	    json_object_object_add(o, "node", json_object_new_string(node)) == 0;

	if (ok)
		(void)puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		err_set(e, ERR_MEMORY, "out of memory");
	json_object_put(o);
	return ok;
}

static void
print_next_steps(const char *path, const char *node)
{
	(void)printf("%s is written, for node %s. What to do next:\n"
		     "1. Edit it: name and listen of [node]; user, password and name of [database].\n"
		     "2. agent --pair       prints a line that makes another laptop a peer.\n"
		     "3. agent --check      says what is still missing.\n"
		     "4. agent --install    starts recording changes.\n",
	    path, node);
}

enum exit_code
init_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	char node[CONF_NAME_MAX + 1];
	struct buf text;
	bool ok = false;

	(void)conf; /* there is none yet */
	buf_init(&text, CONF_SIZE_MAX);
	/* All room at once: a buffer that grows leaves copies of keys behind. */
	if (buf_room(&text, CONF_SIZE_MAX) == NULL) {
		err_set(e, ERR_MEMORY, "out of memory");
		goto out;
	}
	if (!node_name(node, e) || !make_text(node, &text, e) || !write_new(cli->config, &text, e))
		goto out;
	ok = !cli->json || cli->quiet || print_json(cli->config, node, e);
	if (!cli->json && !cli->quiet)
		print_next_steps(cli->config, node);
out:
	text_wipe(text.data, text.cap);
	buf_free(&text);
	return ok ? EXIT_DONE : cli_exit_code(e);
}
