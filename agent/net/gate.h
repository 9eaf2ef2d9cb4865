/* The request gate: what a request must look like before any handler, key or database sees it.
 * evhttp lets much through that two programs could read in two ways; here each of those is
 * refused. Looks only at the request it is given; not here: deadlines and caps (net/guard),
 * sessions (net/session), answering (net/server). */
#ifndef TANDEM_NET_GATE_H
#define TANDEM_NET_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/server.h"

struct evhttp_request;

enum {
	GATE_HEADER_BYTES = 8192, /* header block with the request line; ours is below 1 KiB */
	GATE_HEADERS_MAX = 40,	  /* a browser sends about 20, our client 10 */
	GATE_PATH_MAX = 128,	  /* our longest path is below 40 */
	GATE_HOST_MAX = 255,	  /* a DNS name with a port */
	GATE_KEY_MAX = 512	  /* Authorization value: 64 digits of a key, base64, a user name */
};

/* Header names of signed messages. */
#define GATE_FROM "X-Tandem-From"
#define GATE_TO "X-Tandem-To"
#define GATE_SESSION "X-Tandem-Session"
#define GATE_COUNTER "X-Tandem-Counter"
#define GATE_MAC "X-Tandem-Mac"
/* Of the page: the token beside the cookie. */
#define GATE_TOKEN "X-Tandem-Token"

/* Why a request is turned away: fixed texts that repeat nothing of it. */
struct refusal {
	int status;
	const char *code;
	const char *message;
};

/* The signature headers of a request; pointers into the request. */
struct gate_signature {
	const char *from;
	const char *to;
	const char *session; /* "" for hello */
	const char *mac;
	uint64_t counter; /* 0 for hello */
};

/* Whose page this is, for the Host check. */
struct gate_place {
	const char *host; /* host part of the configured address */
	const char *local; /* numeric address of our end of the connection */
	unsigned port;
};

/* NULL = passed, in each of these. */

/* Framing: version, path, header names and values, length, what must be there once or never. */
const struct refusal *gate_form(struct evhttp_request *req);
/* The row for method and path. */
const struct refusal *gate_route(struct evhttp_request *req, const struct route *routes,
    size_t nroutes, const struct route **out);
/* Size and content type of the body, as the row wants them. */
const struct refusal *gate_body(struct evhttp_request *req, const struct route *route);
/* Page only: does the Host header name this place? (DNS rebinding) */
const struct refusal *gate_host(struct evhttp_request *req, const struct gate_place *place);
/* Page only: a POST that a page of another site sends through a person's browser. */
const struct refusal *gate_origin(struct evhttp_request *req);

/* Read the signature headers; false unless each that the kind of route needs is there, once, in
 * its exact alphabet and length. */
bool gate_signature(struct evhttp_request *req, enum auth auth, struct gate_signature *out);
/* The same for the form with the key, from which browsers send Origin: null. */
const struct refusal *gate_form_origin(struct evhttp_request *req);
/* Header texts of the page, or NULL: cookies; the token beside them; does it show a key at all? */
const char *gate_cookies(struct evhttp_request *req);
const char *gate_token(struct evhttp_request *req);
bool gate_shows_key(struct evhttp_request *req);
/* Is key the monitor's key? In constant time; an empty one is nobody's. */
bool gate_is_key(const char *given, const char *key);
/* Does the request carry the monitor's key? An empty key is carried by nobody. */
bool gate_has_key(struct evhttp_request *req, const char *key);

/* A node's name: 1 to CONF_NAME_MAX of [A-Za-z0-9._-]. */
bool gate_is_name(const char *s);
/* 64 lower-case hexadecimal digits. */
bool gate_is_mac(const char *s);
/* Session text as hello hands it out (alphabet and length only). */
bool gate_is_session(const char *s);

#endif
