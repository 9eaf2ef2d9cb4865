/* Addresses to listen on. Not here: addresses of peers, which libcurl resolves (net/client). */
#include "config.h"

#include "net/address.h"

#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	PORT_MAX = 65535,
	BACKLOG = 128 /* connections that wait for their accept: half of GUARD_CONNS_MAX */
};

static bool
parse_port(const char *text, unsigned *out)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 5 || text[n] != '\0')
		return false;
	*out = (unsigned)strtoul(text, NULL, 10);
	return *out <= PORT_MAX;
}

bool
address_parse(const char *text, const char *option, struct address *out, struct err *e)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t len = colon == NULL ? 0 : (size_t)(colon - text);
	bool bracket = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (bracket) {
		host++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof out->host || !parse_port(colon + 1, &out->port) ||
	    (!bracket && memchr(host, ':', len) != NULL))
		return err_set(e, ERR_CONFIG,
		    "[node] %s = %.100s is not an address: write HOST:PORT, for example 127.0.0.1:8440, "
		    "or [::1]:8440",
		    option, text);
	memcpy(out->host, host, len);
	out->host[len] = '\0';
	return true;
}

/* "127.0.0.1:8440" */
static void
show(const struct address *a, char *out, size_t size)
{
	bool v6 = strchr(a->host, ':') != NULL;

	(void)snprintf(out, size, v6 ? "[%s]:%u" : "%s:%u", a->host, a->port);
}

static bool
read_port(struct evconnlistener *l, struct address *a, struct err *e)
{
	struct sockaddr_storage ss = { 0 };
	const struct sockaddr_in *v4 = (const void *)&ss;
	const struct sockaddr_in6 *v6 = (const void *)&ss;
	socklen_t len = sizeof ss;

	if (getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&ss, &len) != 0)
		return err_errno(e, ERR_IO, "cannot read the port of %s", a->host);
	a->port = ntohs(ss.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
	return true;
}

static bool
fail_bind(const char *where, const char *option, struct err *e)
{
	if (errno == EADDRINUSE)
		return err_set(e, ERR_IO,
		    "%s address %s is in use by another program: stop it or change [node] %s", option,
		    where, option);
	if (errno == EADDRNOTAVAIL)
		return err_set(e, ERR_IO,
		    "%s address %s is not an address of this computer: change [node] %s", option, where,
		    option);
	if (errno == EACCES)
		return err_set(e, ERR_IO,
		    "%s address %s needs a privilege to use: choose a port above 1023 in [node] %s", option,
		    where, option);
	return err_errno(e, ERR_IO, "cannot use the %s address %s", option, where);
}

bool
address_listen(struct event_base *base, struct address *a, const char *option,
    struct evconnlistener **out, struct err *e)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
	struct addrinfo *found = NULL;
	char where[ADDRESS_HOST_MAX + 16], port[8];
	bool ok = false;
	int no;

	*out = NULL;
	show(a, where, sizeof where);
	(void)snprintf(port, sizeof port, "%u", a->port);
	no = getaddrinfo(a->host, port, &hints, &found);
	if (no != 0) {
		(void)err_set(e, ERR_IO, "%s address %s: %s; change [node] %s", option, where,
		    gai_strerror(no), option);
		goto out;
	}
	if (found->ai_family == AF_INET6)
		flags |= LEV_OPT_BIND_IPV6ONLY; /* [::] must not take the IPv4 port as well */
	*out = evconnlistener_new_bind(base, NULL, NULL, flags, BACKLOG, found->ai_addr,
	    (int)found->ai_addrlen);
	if (*out == NULL) {
		ok = fail_bind(where, option, e);
		goto out;
	}
	ok = read_port(*out, a, e);
	if (!ok) {
		evconnlistener_free(*out);
		*out = NULL;
	}
out:
	if (found != NULL)
		freeaddrinfo(found);
	return ok;
}
