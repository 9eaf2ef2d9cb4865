/* A group that is judged and not applied. */
#ifndef TANDEM_APPLY_REHEARSE_H
#define TANDEM_APPLY_REHEARSE_H

#include "apply/pass.h"
#include "wire/rehearsal.h"

enum {
	REHEARSE_WORK_MS = 5000 /* then the answer says how far it came: nobody waits for longer */
};

/* p->rehearsal is set, and a transaction that only reads is open: nothing is locked and nothing can change. The
 * answer goes into out. */
MUST_CHECK bool rehearse_run(struct pass *p, struct pass_reader *r, struct buf *out, struct err *e);

#endif
