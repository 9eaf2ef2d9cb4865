/* What a person does on the page. Each is parsed strictly, done, and noted in the audit list, whatever came of
 * it. Runs on a worker with a connection of its own. */
#ifndef TANDEM_APP_ACTION_H
#define TANDEM_APP_ACTION_H

#include "base/conf.h"
#include "db/db.h"

enum {
	ACTION_BODY_MAX = 4096,
	ACTION_MOST = 500 /* conflicts decided by one request; the answer says how many are left */
};

enum action_kind { ACTION_RESOLVE, ACTION_RESOLVE_MANY, ACTION_RETRY, ACTION_DISCARD, ACTION_ALLOW, ACTION_DRAIN, ACTION_PAUSE, ACTION_RESUME };
enum action_keep { ACTION_KEEP_LOCAL, ACTION_KEEP_REMOTE, ACTION_KEEP_NEWER, ACTION_KEEP_BOTH };

struct action {
	enum action_kind kind;
	enum action_keep keep;
	uint64_t id;			/* of a conflict, of a parked record; 0: all (retry) */
	char peer[CONF_NAME_MAX + 1];	/* "": any */
	char table[65 * 4], rule[41];	/* "": any */
	char reason[256];
	char caller[64];
	/* What came of it. */
	uint64_t records, left;
	bool drain;  /* there may be something to send now */
	bool reload; /* agent.conf has changed */
};

/* The body is a JSON object with the members that the kind needs, and no others. */
MUST_CHECK bool action_parse(enum action_kind kind, const char *body, size_t len, struct action *out, struct err *e);
/* Do it. Also when it fails it is noted. */
MUST_CHECK bool action_run(struct action *a, struct db *db, const struct conf *conf, struct err *e);
/* {"did":"retry","records":3,"left":0,"peer":"bert"} */
void action_json(const struct action *a, struct buf *out);

#endif
