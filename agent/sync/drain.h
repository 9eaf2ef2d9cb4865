/* Sending what is pending to one peer: look, hello, mark and read, send, settle. Used by --drain once and
 * by --serve again and again; holds a connection to the database and a session with the peer. */
#ifndef TANDEM_SYNC_DRAIN_H
#define TANDEM_SYNC_DRAIN_H

#include <stdatomic.h>

#include "base/conf.h"
#include "db/schema.h"
#include "sync/carry.h"
#include "sync/group.h"
#include "sync/prospect.h"
#include "sync/startup.h"
#include "wire/rehearsal.h"

struct drain;
struct guest;
struct shelf;

struct drain_report {
	bool busy;	    /* another drain holds this peer's lock: nothing was done */
	uint64_t groups;
	uint64_t records;   /* applied there */
	uint64_t refused;
	uint64_t parked;
	bool owed;	    /* records wait to be tried again */
};

/* conf and peer borrowed. stop may be NULL. Connects when first needed. */
MUST_CHECK bool drain_new(const struct conf *conf, const struct conf_peer *peer, const atomic_bool *stop, struct drain **out, struct err *e);
void drain_free(struct drain *d);
/* The peer may also come and fetch: where what is for it is laid down. */
void drain_use_shelf(struct drain *d, struct shelf *shelf);
/* The same of the daemon that runs beside this process (net/hatch). */
void drain_use_guest(struct drain *d, struct guest *guest);
/* Is there a way to the peer now? False: it has no url, and is not waiting at the shelf. */
bool drain_has_way(const struct drain *d);

/* Told while a backlog is sent: records that the peer has by now, and about how many there will be (0: not known yet). */
typedef void drain_progress_fn(uint64_t records, uint64_t about, void *arg);
void drain_watch(struct drain *d, drain_progress_fn *progress, void *arg);

/* Is there anything for the peer? One or two cheap queries. retry: count records that were refused. */
MUST_CHECK bool drain_look(struct drain *d, bool retry, bool *pending, struct err *e);
/* Send until nothing is pending. retry: at the end, once more what was refused. An error is noted in
 * sync_peer for --status and returned. ERR_PEER: not reached, nothing lost. */
MUST_CHECK bool drain_run(struct drain *d, bool retry, struct drain_report *report, struct err *e);
/* Ask the peer what it needs of upload folders, and bring it. As drain_run, an error is noted. */
MUST_CHECK bool drain_files(struct drain *d, struct carry_report *report, struct err *e);
/* Fill this node from the peer, or go on with that; waits for a drain that is running. */
MUST_CHECK bool drain_startup(struct drain *d, const struct startup_options *how, struct startup_report *report, struct err *e);
/* What that would do; nothing is changed, here or there. */
MUST_CHECK bool drain_prospect(struct drain *d, struct prospect *p, struct err *e);
/* Create the tables that are missing here from the peer's definitions; copy: what for is --startup --force. */
MUST_CHECK bool drain_define(struct drain *d, bool copy, uint64_t *created, struct err *e);
/* The startup without being asked where this node has never been filled ([sync] startup = auto). */
void drain_fill_blank(struct drain *d);
/* A person says yes to all deletes that this drain finds. */
void drain_allow_deletes(struct drain *d);
/* Does somebody have to look: is anything parked, or the link held? */
MUST_CHECK bool drain_needs_person(struct drain *d, bool *yes, struct err *e);
/* Statuses and purge, when there is time. */
MUST_CHECK bool drain_tidy(struct drain *d, struct err *e);
/* What drain_run would send, and what the peer would make of it. Changes nothing, here or there. */
struct drain_preview {
	uint64_t bytes; /* of the groups as they would be sent, compressed */
	uint64_t groups;
	char over[ALLOWANCE_TEXT_MAX]; /* its deletions would be held, "" = they would not */
	bool asked;	/* the peer has answered: head and lines are its */
	struct err why_not; /* else, or about the rest */
	struct rehearsal_head head; /* of all groups */
	uint64_t listed;
	struct buf lines; /* its findings (wire/rehearsal), one a line; free with buf_free */
};
/* How a peer that cannot be called is reached: called before the first question of a preview, to find a guest. */
typedef bool drain_reach_fn(struct drain *d, void *arg, struct err *e);
void drain_on_reach(struct drain *d, drain_reach_fn *reach, void *arg);
MUST_CHECK bool drain_preview(struct drain *d, const struct group_watch *watch, struct drain_preview *out, struct err *e);

#endif
