/* --rotate: a new key for a pair that is there. */
#ifndef TANDEM_APP_ROTATE_H
#define TANDEM_APP_ROTATE_H

#include <stddef.h>

#include "app/cli.h"
#include "net/server.h"

enum exit_code rotate_run(const struct cli *cli, const struct conf *conf, struct err *e);
/* The side that is asked, by a peer, signed: answers; true when agent.conf has the new key. */
bool rotate_answer(const struct conf *conf, struct request *r, const void *body, size_t len);
/* Forget a key that was on its way. */
void rotate_forget(const struct conf *conf, const char *peer);

#endif
