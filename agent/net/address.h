/* HOST:PORT as people write it in agent.conf, and a listening socket made from it. */
#ifndef TANDEM_NET_ADDRESS_H
#define TANDEM_NET_ADDRESS_H

#include "base/err.h"

struct event_base;
struct evconnlistener;

enum {
	ADDRESS_HOST_MAX = 256 /* longest DNS name and a NUL */
};

struct address {
	char host[ADDRESS_HOST_MAX]; /* without brackets */
	unsigned port;
};

/* "HOST:PORT" or "[V6]:PORT"; ERR_CONFIG with the remedy otherwise. option: "listen" or
 * "monitor", the word of [node] that the message names. */
MUST_CHECK bool address_parse(const char *text, const char *option, struct address *out, struct err *e);
/* A listener without a callback yet; a->port becomes the real one when it was 0. ERR_IO names the
 * address, the reason and the option to change. */
MUST_CHECK bool address_listen(struct event_base *base, struct address *a, const char *option,
    struct evconnlistener **out, struct err *e);

#endif
