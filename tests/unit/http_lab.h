/* What the tests of HTTP share: a world in which ben serves peers and a page, and raw connections to
 * it. Everything runs in one thread: whoever waits turns the event loop. */
#ifndef TANDEM_TESTS_HTTP_LAB_H
#define TANDEM_TESTS_HTTP_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "net/server.h"

enum {
	LAB_BODY_MAX = 4 * 1024 * 1024 + 4096, /* a peer's body and its envelope */
	LAB_WAIT_MS = 5000,		       /* for anything that must happen soon */
	LAB_PEER_ROUTES = 5
};

extern struct event_base *lab_base;
extern struct server *lab_peers, *lab_page;
extern char lab_ben[], lab_anna[];
extern struct conf_peer lab_known[2]; /* anna and carl, as ben knows them */
extern struct conf lab_conf;	      /* ben's */
extern const struct route lab_peer_routes[LAB_PEER_ROUTES];

extern struct request *lab_kept; /* GET /api/sync/download waits here for its answer */
extern unsigned lab_handled;	 /* requests that reached a handler */
extern size_t lab_answer_bytes;	 /* of GET /api/sync/status; 0 = "{}" */
extern char lab_last_peer[64];

/* cmocka's set up and tear down: both servers run with their usual limits. */
int lab_set_up(void **state);
int lab_tear_down(void **state);
void lab_stop(void);
/* Both servers anew, with these limits; 0 = the usual ones. */
void lab_restart(int64_t grace_ms, int64_t idle_ms);

void lab_turn(void);
void lab_turn_for(int64_t ms);

/* What came back on a raw connection. */
struct reply {
	char text[16384];
	size_t len;
	int status; /* of the first answer; 0 = none */
	bool closed;
	const char *body;
};

int lab_dial(unsigned port);
/* Send all, turning the loop while the server's buffers are full; false when it has closed. */
bool lab_push(int fd, const void *data, size_t len);
/* Read until the server closes, or an answer that leaves the connection open is whole. */
void lab_pull(int fd, struct reply *r);
/* Read until the server closes. */
void lab_pull_all(int fd, struct reply *r);
/* One exchange of raw bytes on a connection of its own; returns the status. */
int lab_exchange(unsigned port, const void *data, size_t len, struct reply *r);

#endif
