/* Who has shown the page's key: cookies that say so, the token that an action needs beside the cookie, and
 * the brake on wrong keys. Pure but for chance and the clock: not here are headers (net/gate) and answers
 * (net/request). A cookie holds its own end and is authenticated with a key made of monitor_key, so that
 * it outlives a restart of the agent, and ends for everybody when monitor_key is changed. */
#ifndef TANDEM_NET_LOGIN_H
#define TANDEM_NET_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "wire/sign.h"

enum {
	LOGIN_HOURS = 12,	    /* a cookie is good for a working day */
	LOGIN_NONCE_HEX = 32,
	LOGIN_VALUE_MAX = 128,	    /* END.NONCE.MAC and a NUL: 20 + 1 + 32 + 1 + 64 + 1 */
	LOGIN_NAME_MAX = CONF_NAME_MAX + 32, /* tandem_PORT_NODE and a NUL */
	LOGIN_PLACES_MAX = 64,	    /* addresses whose wrong keys are remembered */
	LOGIN_ENDED_MAX = 64,	    /* cookies that were given back before their end */
	LOGIN_FREE_FORM = 5,	    /* wrong keys in the form before the brake */
	LOGIN_FREE_HEADER = 200,    /* wrong keys in headers: a script with an old key is no attack */
	LOGIN_WAIT_MAX_S = 60,	    /* the longest wait after a wrong key */
	LOGIN_FORGET_MS = 10 * 60 * 1000 /* wrong keys of an address are forgotten so long after the last */
};

enum login_way { LOGIN_FORM, LOGIN_HEADER, LOGIN_WAYS };

/* One address and what it got wrong. */
struct login_place {
	char address[64];
	unsigned wrong[LOGIN_WAYS];
	int64_t last_ms[LOGIN_WAYS], until_ms[LOGIN_WAYS];
};

struct login {
	unsigned char key[SIGN_MAC_BYTES];
	char name[LOGIN_NAME_MAX]; /* of the cookie: cookies know no ports, so it says which page it is of */
	struct login_place places[LOGIN_PLACES_MAX];
	char ended[LOGIN_ENDED_MAX][SIGN_MAC_HEX + 1];
	size_t nended;
};

/* For one node's page on that port. */
void login_init(struct login *l, const char *node, const char *monitor_key, unsigned port);

/* A fresh cookie's value. */
MUST_CHECK bool login_make(const struct login *l, int64_t now_s, char out[LOGIN_VALUE_MAX], struct err *e);
/* Is there a good one among the cookies of a Cookie header? Its value is copied to out. */
MUST_CHECK bool login_find(const struct login *l, const char *cookies, int64_t now_s, char out[LOGIN_VALUE_MAX]);
/* The token that goes with a cookie: what a page of another site cannot know. */
void login_token(const struct login *l, const char *value, char out[SIGN_MAC_HEX + 1]);
/* It was given back: good no more, until the agent ends (then it ends by itself within LOGIN_HOURS). */
void login_end(struct login *l, const char *value);

/* Seconds that the address has to wait until its next key is looked at; 0: none. */
unsigned login_wait_s(const struct login *l, const char *address, enum login_way way, int64_t now_ms);
/* Its key was wrong; was right. */
void login_wrong(struct login *l, const char *address, enum login_way way, int64_t now_ms);
void login_right(struct login *l, const char *address, enum login_way way);

#endif
