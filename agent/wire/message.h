/* The messages between two agents: JSON header lines (json-c, strict) and what they hold. Pure.
 * docs/protocol.md shows each one. Numbers are strings of digits. */
#ifndef TANDEM_WIRE_MESSAGE_H
#define TANDEM_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "change/oneway.h"
#include "change/queue.h"
#include "db/catalog.h"
#include "change/ring.h"
#include "db/numbering.h"
#include "wire/line.h"

#ifndef TANDEM_MESSAGE_VERSION
#define TANDEM_MESSAGE_VERSION 1 /* another one: for a build that tests what two versions say to each other */
#endif

enum {
	MESSAGE_VERSION = TANDEM_MESSAGE_VERSION,
	MESSAGE_BODY_MAX = 4 * 1024 * 1024,  /* payload of one transport body */
	MESSAGE_ENVELOPE_MAX = 256,	     /* the line in front of it */
	MESSAGE_HEADER_MAX = 1024 * 1024,    /* one header line: 4,096 columns with names and types */
	MESSAGE_ANSWER_MAX = 64 * 1024 * 1024, /* 100,000 refusals with reasons */
	MESSAGE_REASON_MAX = 512
};

/* Where somebody stands in somebody's epochs. */
struct position {
	uint64_t epoch;
	char stamp[MARK_STAMP_LEN + 1]; /* "" = unknown (nothing received yet) */
};

struct hello {
	char node[CONF_NAME_MAX + 1];
	char incarnation[SCHEMA_INCARNATION_LEN + 1];
	char nonce[33];
	struct numbering numbering; /* increment 0: not told */
	bool rehearsal; /* nothing is to be noted of this meeting */
	uint64_t version;
	char anew[33]; /* the link begins anew: the id of that beginning; "" = no */
	bool filling;  /* and the caller compares all tables itself: it fills itself from the answering node */
	char links[RING_LINKS_MAX]; /* of all nodes that the caller knows of (change/ring); "" = not told */
	bool tells_oneway;
	char oneway[ONEWAY_MAX]; /* tables that travel one way there (change/oneway) */
};

struct welcome {
	char node[CONF_NAME_MAX + 1];
	char incarnation[SCHEMA_INCARNATION_LEN + 1];
	char session[160];
	char knows[SCHEMA_INCARNATION_LEN + 1]; /* the caller's incarnation as known here; "" = never met */
	struct position cursor;			/* what has been applied from the caller */
	struct numbering numbering;		/* increment 0: not told */
	uint64_t version;
	uint64_t clock_us; /* the database server's clock, microseconds since 1970 UTC */
	char anew[33];		/* the beginning that both sides know; "" = none */
	bool filling;		/* with anew: the answering node fills itself from the caller and compares all tables itself */
	struct position acked;	/* what the caller has acknowledged of the answering node's changes */
	bool has_acked;
	char links[RING_LINKS_MAX]; /* as in hello */
	bool tells_oneway;
	char oneway[ONEWAY_MAX];
};

struct group_header {
	char node[CONF_NAME_MAX + 1];
	char incarnation[SCHEMA_INCARNATION_LEN + 1];
	struct position base, upto;
	char seen_incarnation[SCHEMA_INCARNATION_LEN + 1]; /* of the receiver, as the sender knows it */
	struct position seen;	/* the receiver's epoch that the sender had applied in its snapshot */
	bool start;		/* the sender has no acknowledgement yet: the link begins here */
	bool last;		/* no later part is waiting */
	bool follows;		/* of a rehearsal: groups before this one, which are not applied either, belong to it */
	uint64_t records;
};

/* Answer to a group: a header line, then one line a refused record. */
struct answer_header {
	struct position cursor;
	uint64_t applied;
	uint64_t refused;
	uint64_t floor; /* the lowest epoch of the sender that a group of ours may still state as seen */
};

struct section {
	char table[65 * 4];
	size_t ncolumns;
	char **names; /* owned, as types and key */
	char **types;
	size_t nkey; /* 0: not said */
	char **key;  /* names of the primary key's columns, in its order */
	uint64_t checks; /* struct table's; 0: not said, or none */
	char *rule; /* table_rule's, owned; NULL: not said */
};

/* What a record line says beside values. Borrowed from the line. */
struct record_meta {
	char operation; /* 'i' insert, 'u' update, 'd' delete, 'o' still owed, not sent */
	const char *key;
	size_t key_len;
	const char *changed_at;
	const char *origin; /* NULL: the sender */
	const char *via;
	const char *old_key; /* the key it had before, or NULL */
	size_t old_key_len;
	const char *columns; /* versions of single columns, by their place in the section (change/versions); NULL: none */
	size_t columns_len;
	const char *difference; /* of counters: "3:-5,7:0.25", by their place in the section; NULL: none */
	bool weak; /* the version is, of an update: nothing was changed on purpose (capture/mask) */
	bool whole;
	uint64_t seen;	    /* own seen; meaningful when has_seen */
	bool has_seen;
	uint64_t children;  /* of a delete or a new key: what counts as seen of the record's children; meaningful when has_children */
	bool has_children;
};

enum {
	RECORD_FIXED = 4 /* values of a record line before the columns': operation, key, changed_at, meta */
};

void message_put_hello(struct buf *out, const struct hello *h);
MUST_CHECK bool message_parse_hello(const char *text, size_t len, struct hello *h, struct err *e);
void message_put_welcome(struct buf *out, const struct welcome *w);
MUST_CHECK bool message_parse_welcome(const char *text, size_t len, struct welcome *w, struct err *e);
void message_put_group(struct buf *out, const struct group_header *g);
MUST_CHECK bool message_parse_group(const char *text, size_t len, struct group_header *g, struct err *e);
void message_put_answer(struct buf *out, const struct answer_header *a);
MUST_CHECK bool message_parse_answer(const char *text, size_t len, struct answer_header *a, struct err *e);

void message_put_section(struct buf *out, const struct table *t);
MUST_CHECK bool message_parse_section(const char *text, size_t len, struct section *s, struct err *e);
void message_section_free(struct section *s);
/* Is the line a header ('{') and not a record ('[')? */
bool message_is_header(const char *line, size_t len);

/* Envelope of a transport body: {"piece":"0","last":true} and a newline, then raw bytes. */
void message_put_envelope(struct buf *out, uint64_t piece, bool last);
MUST_CHECK bool message_parse_envelope(const char *body, size_t len, uint64_t *piece, bool *last, size_t *payload_at, struct err *e);

/* The fixed part of a record line, ready for the columns' values. */
void message_put_record(struct buf *line, const struct record_meta *m);
/* From a parsed line's first RECORD_FIXED values (of an "o" line: its only two). */
MUST_CHECK bool message_parse_record(const struct line_value *values, size_t n, struct record_meta *m, struct err *e);

/* One refused record of an answer: table, key, reason, counted as an attempt or not. */
struct refusal {
	const char *table;
	const char *key;
	size_t key_len;
	const char *reason;
	bool counted;
};
void message_put_refusal(struct buf *out, const struct refusal *r);
MUST_CHECK bool message_parse_refusal(char *line, size_t len, struct refusal *r, struct err *e);

/* {"error":CODE,"message":TEXT} and, for 409, the position that is expected. */
void message_put_error(struct buf *out, const char *code, const char *text, const struct position *cursor);
/* code and text are cut to their sizes; cursor as in welcome. */
struct message_error {
	char code[32];
	char text[ERR_MSG_MAX];
	struct position cursor;
	bool has_cursor;
};
MUST_CHECK bool message_parse_error(const char *text, size_t len, struct message_error *m, struct err *e);

#endif
