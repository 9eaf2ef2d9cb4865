/* A question on its way in a thread of its own, while the asker reads its own rows. One may wait behind another: the peer
 * gets it as soon as it has answered the first. */
#ifndef TANDEM_SYNC_ASKING_H
#define TANDEM_SYNC_ASKING_H

#include "sync/ask.h"

struct asking;

/* Nothing is sent yet. a is borrowed for as long as the question is under way. */
MUST_CHECK bool asking_new(const struct asker *a, struct asking **out, struct err *e);
/* Whose question is to be filled, with ask_begin and items. No database is touched for it but by ask_begin. */
struct asker *asking_asker(struct asking *q);
/* Send it. A thread that cannot be had is no error: asking_take asks then. */
void asking_start(struct asking *q);
bool asking_is_done(const struct asking *q);
/* Wait for it; the way to the peer is free then, unless another one is under way. */
void asking_end(struct asking *q);
/* Ended: was it answered, and not refused? */
bool asking_was_answered(const struct asking *q);
/* Ended: how long the peer took. */
int64_t asking_ms(const struct asking *q);
/* Ended: a gets question and answer, as after ask_send. Where no session was left it is asked once more: no other question may
 * be under way then. */
MUST_CHECK bool asking_take(struct asking *q, struct asker *a, bool *more, struct err *e);
/* Waits for it. NULL is nothing. */
void asking_free(struct asking *q);

#endif
