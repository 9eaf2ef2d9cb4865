/* The administrator of --admin-user, for one call: gives the agent an account of its own with what it
 * needs, and does what that account may not. Not here: what is installed (app/install). */
#ifndef TANDEM_APP_ADMIN_H
#define TANDEM_APP_ADMIN_H

#include "app/cli.h"
#include "db/db.h"

struct admin {
	struct db *db;	   /* the administrator's connection; NULL without --admin-user */
	struct buf given;  /* what the agent's account was given: statements without passwords, one a line */
	bool trusting;	   /* log_bin_trust_function_creators was put on for this call */
};

/* Connect when there is --admin-user; else a->db stays NULL. The password is in --admin-password-file, or in
 * ~/.my.cnf, or none is needed, or it is asked for when the standard input is a terminal; in this order. */
MUST_CHECK bool admin_open(const struct cli *cli, const struct conf *conf, struct admin *a, struct err *e);
/* See to it that [database] user exists and has the rights of docs/security.md; with --dry-run only say how.
 * *ready: the account can be used (always, unless it would have to be made first). Nothing without an
 * administrator. */
MUST_CHECK bool admin_provide(struct admin *a, const struct cli *cli, const struct conf *conf, bool *ready, struct err *e);
/* A server with a binary log takes triggers from administrators alone, unless told otherwise; from now on and
 * until admin_close it is. */
MUST_CHECK bool admin_permit_triggers(struct admin *a, struct err *e);
/* Safe without admin_open having succeeded. */
void admin_close(struct admin *a);

#endif
