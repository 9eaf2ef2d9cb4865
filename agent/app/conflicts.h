/* --conflicts and --resolve: the versions that lost, and making one of them the winner. */
#ifndef TANDEM_APP_CONFLICTS_H
#define TANDEM_APP_CONFLICTS_H

#include "app/cli.h"
#include "apply/inbox.h"

enum {
	CONFLICTS_LISTED = 1000, /* the newest ones; more are counted by --status */
	CONFLICTS_SHOWN = 200	 /* bytes of a value on a terminal */
};

/* Does a person have to decide; which side stands: local, remote, both, none. */
bool conflicts_is_undecided(const struct inbox_conflict *c);
const char *conflicts_kept(const struct inbox_conflict *c);

verb_run conflicts_run;
verb_run resolve_run;

#endif
