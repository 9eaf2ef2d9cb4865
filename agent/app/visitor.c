/* Waiting for a peer that comes itself. Lives here: how long, and what is said meanwhile. Not here: the way to it
 * (net/hatch). */
#include "app/visitor.h"

#include <stdio.h>
#include <string.h>

enum {
	SAY_MS = 1000, /* who serves waits at the shelf already: nothing is said before that */
	PATIENCE = 3   /* timeouts: a peer that was cut off comes again within a minute (app/serve) */
};

/* Both sides of a comparison are told the same; what would be sent from here, or filled here, is told here alone. */
static bool
is_told_there(const struct cli *cli)
{
	return strcmp(cli->verb->name, "verify") == 0;
}

static bool
wait_for(const struct cli *cli, struct guest *g, const struct conf_peer *peer, int64_t ms, struct err *e)
{
	char session[SIGN_SESSION_MAX];
	bool came;

	if (!guest_wait(g, SAY_MS, &came, session, e))
		return false;
	if (came)
		return true;
	cli_say(cli, INK_PLAIN, "waiting up to %g s for peer %s, which has no url here and comes itself", (double)ms / 1000.0, peer->name);
	(void)fflush(stdout);
	if (!guest_wait(g, ms, &came, session, e))
		return false;
	return came || err_set(e, ERR_PEER, "peer %s has no url here and comes itself, and has not come within %g s: does agent --serve run there, and has its agent.conf a url and"
					    " pull = yes for this node?%s%s%s", peer->name, (double)ms / 1000.0, is_told_there(cli) ? " The same command at " : "",
				       is_told_there(cli) ? peer->name : "", is_told_there(cli) ? " needs no waiting" : "");
}

bool
visitor_wait(const struct cli *cli, const struct conf *conf, const struct conf_peer *peer, const atomic_bool *stop, struct guest **out, struct err *e)
{
	*out = NULL;
	if (peer->url[0] != '\0')
		return true;
	if (!guest_new(conf, peer, is_told_there(cli), stop, out, e))
		return false;
	if (wait_for(cli, *out, peer, PATIENCE * conf->sync.timeout_ms, e))
		return true;
	guest_free(*out);
	*out = NULL;
	return false;
}
