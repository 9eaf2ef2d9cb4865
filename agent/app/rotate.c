/* A new key for a pair. Lives here: both sides of --rotate. Not here: pairing for the first time
 * (app/pair), agent.conf's text (app/edit).
 *
 * The new key is made here, kept in a file of state_dir, sent to the peer inside pinned TLS, written
 * there, then here. Whatever is cut in between, the same call again ends it: it asks with the new key
 * first, then with the old one. Until both have it drains fail with 401 and nothing is lost: what was
 * not acknowledged stays pending. */
#include "config.h"

#include "app/rotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/edit.h"
#include "app/pair.h"
#include "app/running.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/private.h"
#include "base/text.h"
#include "net/client.h"

enum {
	KEY_HEX = CONF_KEY_BYTES * 2,
	KEY_PATH_MAX = 4096
};

static const char head[] = "tandem-rotate1,";

static bool
path_of(const struct conf *conf, const char *peer, char path[KEY_PATH_MAX])
{
	return (size_t)snprintf(path, KEY_PATH_MAX, "%s/rotate-%s", conf->node.state_dir, peer) < KEY_PATH_MAX;
}

void
rotate_forget(const struct conf *conf, const char *peer)
{
	char path[KEY_PATH_MAX];

	if (path_of(conf, peer, path))
		(void)unlink(path);
}

/* Exactly 64 lower-case hexadecimal digits, not all zero. */
static bool
parse_key(const char *hex, size_t len, unsigned char key[CONF_KEY_BYTES])
{
	unsigned any = 0;

	if (len != KEY_HEX || !hex_read(hex, CONF_KEY_BYTES, key))
		return false;
	for (size_t i = 0; i < CONF_KEY_BYTES; i++)
		any |= key[i];
	return any != 0;
}

/* --- the side that is asked --- */

bool
rotate_answer(const struct conf *conf, struct request *r, const void *body, size_t len)
{
	unsigned char key[CONF_KEY_BYTES];
	char peer[CONF_NAME_MAX + 1];
	struct err e;
	bool ok = false;

	(void)snprintf(peer, sizeof peer, "%s", request_peer(r));
	if (!conf->node.tls)
		request_fail(r, 403, "plain", "a key does not travel readable: unpair and pair anew");
	else if (len <= sizeof head - 1 || memcmp(body, head, sizeof head - 1) != 0 ||
	    !parse_key((const char *)body + sizeof head - 1, len - (sizeof head - 1), key))
		request_fail(r, 400, "key", "this is no new key");
	else if (!edit_set_key(conf->path, peer, key, &e)) {
		log_error(peer, "its new key cannot be written: %s", e.msg);
		request_fail(r, 500, "failed", "the new key could not be written; the log says why");
	} else {
		log_info(peer, "has a new key with us");
		request_reply(r, 200, "application/x-tandem", "", 0);
		ok = true;
	}
	text_wipe(key, sizeof key);
	return ok;
}

/* --- the side that asks --- */

/* The key that is on its way, or a new one. */
static bool
next_key(const char *path, unsigned char key[CONF_KEY_BYTES], bool *resumed, struct err *e)
{
	char hex[KEY_HEX + 1], *text = NULL;
	size_t len = 0;
	bool exists, ok;

	*resumed = access(path, F_OK) == 0;
	if (*resumed) {
		ok = private_read(path, "key", "try again", KEY_HEX, &text, &len, e) &&
		    (parse_key(text, len, key) || err_set(e, ERR_INPUT, "%s holds no key: remove it", path));
		private_free(text, len);
		return ok;
	}
	if (!clock_random(key, CONF_KEY_BYTES, e))
		return false;
	for (size_t i = 0; i < CONF_KEY_BYTES; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", key[i]);
	ok = private_create(path, hex, KEY_HEX, &exists, e) && (!exists || err_set(e, ERR_IO, "another agent --rotate is at work"));
	text_wipe(hex, sizeof hex);
	return ok;
}

/* Tell the peer the new key, signed with the key in peer. */
static bool
tell(const struct conf *conf, const struct conf_peer *peer, const unsigned char key[CONF_KEY_BYTES], struct err *e)
{
	struct client *c = NULL;
	struct buf body, answer;
	int status = 0;
	bool ok;

	buf_init(&body, PAIR_BODY_MAX);
	buf_init(&answer, CLIENT_ANSWER_MAX);
	buf_str(&body, head);
	buf_hex(&body, key, CONF_KEY_BYTES);
	ok = buf_check(&body, "a key", e) && client_new(conf->node.name, peer, conf->sync.timeout_ms, NULL, &c, e) &&
	    client_call(c, "POST", PAIR_PATH, buf_cstr(&body), body.len, &status, &answer, e) &&
	    (status == 200 || err_set(e, ERR_PEER_REFUSED, "peer %s did not take the new key (HTTP %d): its log says why", peer->name, status));
	client_free(c);
	text_wipe(body.data, body.cap);
	buf_free(&body);
	buf_free(&answer);
	return ok;
}

static bool
rotate(const struct conf *conf, const struct conf_peer *peer, const char *path, struct err *e)
{
	struct conf_peer renewed = *peer;
	bool resumed, ok;

	ok = next_key(path, renewed.key, &resumed, e) &&
	    ((resumed && tell(conf, &renewed, renewed.key, e)) || tell(conf, peer, renewed.key, e)) &&
	    edit_set_key(conf->path, peer->name, renewed.key, e);
	if (ok)
		(void)unlink(path);
	text_wipe(renewed.key, sizeof renewed.key);
	return ok;
}

enum exit_code
rotate_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	const struct conf_peer *peer = conf_peer(conf, cli->argument);
	char path[KEY_PATH_MAX];
	bool ok, told;

	if (peer == NULL)
		return cli_exit_code((err_set(e, ERR_USAGE, "there is no [peer %s] in %s", cli->argument, conf->path), e));
	if (peer->tls_pin[0] == '\0')
		return cli_exit_code((err_set(e, ERR_CONFIG, "[peer %s] has no tls_pin, and a key does not travel readable: agent --unpair and agent --pair on both laptops",
		    peer->name), e));
	ok = (path_of(conf, peer->name, path) || err_set(e, ERR_CONFIG, "[node] state_dir is too long")) && rotate(conf, peer, path, e);
	if (!ok)
		return cli_exit_code(e);
	told = running_reload(conf);
	if (cli->json)
		(void)printf("{\"rotated\":\"%s\"}\n", peer->name);
	else
		cli_say(cli, INK_GOOD, "the pair with %s has a new key%s", peer->name, told ? ", and agent --serve has been told" : "");
	return EXIT_DONE;
}
