/* Why a person is needed: causes, seen in a report, and what a person is told of each. Pure. */
#ifndef TANDEM_APP_CAUSE_H
#define TANDEM_APP_CAUSE_H

#include "app/report.h"

enum cause_kind {
	CAUSE_HELD,	/* the link waits for a person */
	CAUSE_DELETES,	/* deletions of the peer wait for a yes */
	CAUSE_PARKED,	/* a peer refused changes as often as allowed */
	CAUSE_CONFLICT, /* conflicts that a person decides */
	CAUSE_TABLE,	/* a table waits: it moved and differs, or is not replicated as agent.conf wants it */
	CAUSE_SILENT,	/* no success for so long */
	CAUSE_DISK,	/* queue or kept versions have grown large, or the disk is small */
	CAUSES
};

enum {
	CAUSE_TEXT_MAX = 512,
	CAUSES_MAX = CONF_PEERS_MAX * CAUSES + CAUSES
};

struct cause {
	enum cause_kind kind;
	const char *peer; /* "" = the whole node; borrowed from the report */
	char text[CAUSE_TEXT_MAX]; /* what it is just now, one line */
	bool old; /* nobody has tried since look's since: it lasts, but it is too early to tell of it */
};

/* What a look needs beside the report. */
struct cause_look {
	const struct conf *conf;
	int64_t now_us;	     /* the database's clock */
	const char *since;   /* failures before this time ("2026-11-21 02:03:04.123456", or "") are old: the daemon was off */
	bool counted;	     /* the report has whole tables and sizes, too */
	bool disk_known;     /* CAUSE_DISK is known already: it ends well below where it began */
};

/* The word of sync_notice and of TANDEM_CAUSE. */
const char *cause_word(enum cause_kind kind);
/* Half a sentence, the peer goes into it ("the link with %s is held"), and what a person does. */
void cause_subject(const struct cause *c, char *out, size_t size);
void cause_remedy(const struct cause *c, char *out, size_t size);
/* Can a look that has not counted see it? */
bool cause_is_quick(enum cause_kind kind, const char *peer);
/* All there are; returns how many. out: CAUSES_MAX. */
size_t cause_find(const struct report *r, const struct cause_look *look, struct cause *out);

#endif
