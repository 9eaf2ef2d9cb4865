/* Where a group, or an answer, stands against what is known here: pure, so that the simulation asks the same
 * functions. Positions are (incarnation, epoch, stamp). */
#ifndef TANDEM_APPLY_POSITION_H
#define TANDEM_APPLY_POSITION_H

#include "change/peer.h"
#include "wire/message.h"

enum standing_kind {
	STANDING_NEXT,	  /* it follows what is here */
	STANDING_APPLIED, /* it was taken before: the same answer again */
	STANDING_REFUSED  /* it does not belong here: code and text say why */
};

struct standing {
	enum standing_kind kind;
	const char *code; /* of a 409; NULL unless refused */
	const char *text;
};

/* The group against the cursor of its sender. */
struct standing position_of_group(const struct group_header *h, const struct cursor_state *cur);
/* What the group states as seen against this node: its incarnation, and its mark of that epoch (NULL: not kept). floor:
 * what the sender has told that it will state at least. Who states less was set back, and of what was changed here since
 * nothing may be left but the mark; or the group was begun just before, then it is built anew. */
struct standing position_of_seen(const struct group_header *h, const char *incarnation, const struct mark *seen, uint64_t floor);
/* What a record states as seen is at least where the link began here: a sender that has received nothing since has
 * seen that. */
void position_raise_seen(struct record_meta *m, uint64_t start_epoch);
/* An answer's cursor against the peer's acknowledgement, and this node's mark of that epoch (NULL: there is none).
 * Refused: the peer has received another history; there is no code. */
struct standing position_of_answer(const struct position *cursor, const struct peer_state *state, const struct mark *upto);

/* Who answers hello, against who answered before. */
enum meeting {
	MEETING_FINE,
	MEETING_SELF,	 /* this very database, or a copy of it */
	MEETING_NEW,	 /* the peer has another database than before */
	MEETING_FORGOTTEN, /* the peer knew another database under this node's name */
	MEETING_BACK	 /* the peer has less than it had acknowledged */
};
enum meeting position_of_welcome(const struct welcome *w, const char *own_incarnation, const struct peer_state *state);

#endif
