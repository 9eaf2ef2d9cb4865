/* Bringing this node up to a peer's state: first fill, or after a loss. docs/design.md, startup, has the rules. */
#ifndef TANDEM_SYNC_STARTUP_H
#define TANDEM_SYNC_STARTUP_H

#include "sync/link.h"

/* How far it is. */
struct startup_progress {
	const char *table;
	size_t tables, done;	/* how many there are, and how many are done */
	uint64_t records;	/* of this table, looked at or written */
	uint64_t about;		/* rows that it has there; 0: not known yet */
	uint64_t copied;	/* rows written here, of all tables */
};

struct startup_options {
	bool copy;  /* --force: this node becomes a copy of the peer */
	bool asked; /* a person has; else it begins only where the peer has rows */
	void (*progress)(const struct startup_progress *p, void *arg); /* or NULL */
	void *arg;
};

struct startup_report {
	uint64_t tables;  /* brought up */
	uint64_t copied;  /* rows written here */
	uint64_t removed; /* rows only here that were removed and kept (--force) */
	uint64_t sent;	  /* records only here, or later here, queued for the peer */
	uint64_t coming;  /* records that the peer sends as changes */
	uint64_t failed;  /* tables that could not be compared; the first reason: */
	char why[ERR_MSG_MAX];
};

/* Is there one to go on with, from this peer? */
MUST_CHECK bool startup_is_due(struct db *db, const char *peer, bool *due, struct err *e);
/* Has this node never been filled: nothing exchanged with anybody, no row in any table? */
MUST_CHECK bool startup_is_blank(struct db *db, const struct conf *conf, bool *blank, struct err *e);
/* If so, nothing that peers send is taken until one of them was asked (change/filling). */
MUST_CHECK bool startup_await(struct db *db, const struct conf *conf, struct err *e);
/* The daemon begins while its database is away: whoever reaches it first and takes what peers send calls
 * startup_await_now before, which does nothing where nothing was put off. */
void startup_await_later(void);
MUST_CHECK bool startup_await_now(struct db *db, const struct conf *conf, struct err *e);
/* Open the link for a startup that a person has asked for: where it has to begin anew, it does. */
MUST_CHECK bool startup_meet(struct link *l, bool copy, struct err *e);
/* Run to the end. The link's peer must be reachable; the caller holds its drain's lock. Cut anywhere, the next call
 * goes on. */
MUST_CHECK bool startup_run(struct link *l, const struct startup_options *how, struct startup_report *report, struct err *e);

#endif
