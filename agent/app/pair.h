/* --pair and --unpair: two nodes come to trust each other by one line that a person carries. */
#ifndef TANDEM_APP_PAIR_H
#define TANDEM_APP_PAIR_H

#include "app/cli.h"
#include "net/server.h"
#include "net/tls.h"

#define PAIR_PATH "/api/sync/pair"

enum {
	PAIR_BODY_MAX = 1024 /* an offer, or a new key */
};

struct pair;

enum exit_code pair_run(const struct cli *cli, const struct conf *conf, struct err *e);
enum exit_code unpair_run(const struct cli *cli, const struct conf *conf, struct err *e);

/* The side that is asked, in the daemon or in --pair itself. changed is called when agent.conf has
 * another peer or key. conf borrowed. */
MUST_CHECK bool pair_new(const struct conf *conf, void (*changed)(void *arg), void *arg,
    struct pair **out, struct err *e);
void pair_free(struct pair *p);
/* For the server; the door (may be NULL) lets strangers in while an invitation is open. */
struct server_pairing pair_door(struct pair *p, struct tls_door *door);
/* Handler of POST PAIR_PATH. */
void pair_answer(struct request *r, void *arg);

#endif
