/* Positions. Lives here: the comparison and the words of a 409. Not here: reading and writing them
 * (change/peer), what is done about it (apply/apply, sync/settle). */
#include "config.h"

#include "apply/position.h"

#include <string.h>

#include "base/plant.h"

static struct standing
refused(const char *code, const char *text)
{
	return (struct standing){ STANDING_REFUSED, code, text };
}

struct standing
position_of_group(const struct group_header *h, const struct cursor_state *cur)
{
	const struct standing next = { .kind = STANDING_NEXT };

	if (cur->incarnation[0] != '\0' && strcmp(cur->incarnation, h->incarnation) != 0 && !plant_is(PLANT_INCARNATION))
		return refused("incarnation", "this is not the database whose changes were received before");
	if (h->upto.epoch <= cur->epoch) {
		if (h->upto.epoch == cur->epoch && strcmp(h->upto.stamp, cur->stamp) != 0)
			return refused("fork", "the same position was received with other content: restored or cloned database?");
		return (struct standing){ .kind = STANDING_APPLIED };
	}
	if (cur->incarnation[0] == '\0' && h->start)
		return next; /* the link begins here, with whatever the sender begins with */
	if (h->base.epoch < cur->epoch)
		return refused("ahead", "the receiver has more than this group starts from");
	if (h->base.epoch > cur->epoch)
		return refused("behind", "the receiver lacks what this group builds on");
	if (strcmp(h->base.stamp, cur->stamp) != 0)
		return refused("fork", "the position before this group has another stamp: restored or cloned database?");
	return next;
}

struct standing
position_of_seen(const struct group_header *h, const char *incarnation, const struct mark *seen, uint64_t floor)
{
	if (h->seen_incarnation[0] != '\0' && strcmp(h->seen_incarnation, incarnation) != 0 && !plant_is(PLANT_INCARNATION))
		return refused("incarnation", "the sender knows another database under this name");
	if (seen == NULL)
		return refused("too_old", "what the sender has seen of this node is no longer kept");
	if (h->seen.stamp[0] != '\0' && strcmp(h->seen.stamp, seen->stamp) != 0)
		return refused("fork", "the sender has seen another history of this node: restored or cloned database?");
	if (seen->epoch < floor)
		return refused("behind", "the sender states less of this node as seen than it has told: restored database?");
	return (struct standing){ .kind = STANDING_NEXT };
}

void
position_raise_seen(struct record_meta *m, uint64_t start_epoch)
{
	if (m->has_seen && m->seen < start_epoch)
		m->seen = start_epoch;
	if (m->has_children && m->children < start_epoch)
		m->children = start_epoch;
}

struct standing
position_of_answer(const struct position *cursor, const struct peer_state *state, const struct mark *upto)
{
	if (cursor->epoch <= state->acked_epoch)
		return (struct standing){ .kind = STANDING_APPLIED };
	if (upto == NULL || strcmp(upto->stamp, cursor->stamp) != 0)
		return refused(NULL, "it has received changes that this node does not know");
	return (struct standing){ .kind = STANDING_NEXT };
}

enum meeting
position_of_welcome(const struct welcome *w, const char *own_incarnation, const struct peer_state *state)
{
	if (strcmp(w->incarnation, own_incarnation) == 0)
		return MEETING_SELF;
	if (plant_is(PLANT_INCARNATION))
		return MEETING_FINE;
	if (state->incarnation[0] != '\0' && strcmp(state->incarnation, w->incarnation) != 0)
		return MEETING_NEW;
	if (w->knows[0] != '\0' && strcmp(w->knows, own_incarnation) != 0)
		return MEETING_FORGOTTEN;
	/* Only a link that begins anew on both sides may find nothing there. */
	if (w->cursor.epoch < state->acked_epoch && !(state->fresh && w->knows[0] == '\0'))
		return MEETING_BACK;
	return MEETING_FINE;
}
