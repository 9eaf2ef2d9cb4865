/* Tables that travel one way ([table] direction), as peers tell each other at hello, and which of them then travel
 * no way at all. */
#ifndef TANDEM_CHANGE_ONEWAY_H
#define TANDEM_CHANGE_ONEWAY_H

#include "base/conf.h"
#include "db/db.h"

enum {
	ONEWAY_MAX = 16 * 1024, /* the text that names the tables; more than that are not told */
	ONEWAY_TEXT_MAX = 512
};

/* The text for peers: a line for each table, "send NAME", "receive NAME", or "relay NAME": received, and there are other
 * peers who may bring what this node passes on. Pure. */
void oneway_put(const struct conf *conf, char out[ONEWAY_MAX]);

typedef void oneway_advice(const char *table, const char *finding, const char *remedy, void *arg);
/* Name each table that both nodes only send, or both only receive while nobody else is there to bring it. told: the
 * peer's text. Returns whether nothing had to be said. Pure. */
bool oneway_judge(const struct conf *conf, const char *peer, const char *told, oneway_advice *say, void *arg);

/* Remember what a peer has told; *news: it told something else before. */
MUST_CHECK bool oneway_note(struct db *db, const char *peer, const char *told, bool *news, struct err *e);
/* What it told last; "": nothing, or an older agent, which does not tell. */
MUST_CHECK bool oneway_known(struct db *db, const char *peer, char out[ONEWAY_MAX], struct err *e);
/* Note it, and write into the log what is to be said of it, when that is news. */
MUST_CHECK bool oneway_take(struct db *db, const struct conf *conf, const char *peer, const char *told, struct err *e);

#endif
