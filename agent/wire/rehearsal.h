/* What a node answers to a group that it was only asked about. Pure. docs/protocol.md has the lines. */
#ifndef TANDEM_WIRE_REHEARSAL_H
#define TANDEM_WIRE_REHEARSAL_H

#include "wire/message.h"

enum {
	REHEARSAL_LISTED = 1000,		  /* findings of one answer; the others are counted */
	REHEARSAL_ANSWER_MAX = 16 * 1024 * 1024, /* 1,000 findings with keys of 3,072 bytes, escaped */
	REHEARSAL_VALUES = 9			  /* of a line */
};

struct rehearsal_head {
	uint64_t judged;    /* records */
	bool all;	    /* of the group; false: time was up */
	uint64_t conflicts; /* found, listed or not */
	uint64_t refused;   /* and waiting ones */
};

struct rehearsal_finding {
	const char *kind; /* conflict, refused, waiting */
	const char *table;
	const char *key;
	size_t key_len;
	/* of a conflict */
	const char *verdict; /* apply: the sender's version would stand; keep: the answering node's; merge; ask */
	const char *rule;
	const char *local_changed_at, *local_node, *remote_changed_at, *remote_node; /* local: of the answering node */
	/* of the others */
	const char *reason;
};

void rehearsal_put_head(struct buf *out, const struct rehearsal_head *h);
void rehearsal_put_finding(struct buf *out, const struct rehearsal_finding *f);
/* Lines are overwritten; the finding points into them. */
MUST_CHECK bool rehearsal_parse_head(char *line, size_t len, struct rehearsal_head *out, struct err *e);
MUST_CHECK bool rehearsal_parse_finding(char *line, size_t len, struct rehearsal_finding *out, struct err *e);

#endif
