/* --conflicts and --resolve: the versions that lost, and making one of them the winner. */
#ifndef TANDEM_APP_CONFLICTS_H
#define TANDEM_APP_CONFLICTS_H

#include "app/cli.h"
#include "apply/inbox.h"
#include "wire/line.h"

enum {
	CONFLICTS_LISTED = 1000, /* the newest ones; more are counted by --status */
	CONFLICTS_SHOWN = 200	 /* bytes of a value on a terminal */
};

/* Does a person have to decide; which side stands: local, remote, both, none. */
bool conflicts_is_undecided(const struct inbox_conflict *c);
const char *conflicts_kept(const struct inbox_conflict *c);
/* mtime_ns of a row of a folder's list as date and time (UTC), or "". */
void conflicts_time(const struct line_value *ns, char *out, size_t size);

verb_run conflicts_run;
verb_run resolve_run;

#endif
