/* The invitation of this node: one at most, in a file of state_dir, so that agent --pair and the
 * daemon, whichever listens, know of the same one. */
#ifndef TANDEM_APP_INVITATION_H
#define TANDEM_APP_INVITATION_H

#include <stdint.h>

#include "base/conf.h"
#include "wire/pairing.h"

struct invitation {
	struct offer line;		     /* as it was printed */
	char nonce[PAIRING_SECRET_HEX + 1];  /* ours, in the answer */
	char joiner[PAIRING_SECRET_HEX + 1]; /* nonce of who used it; "-" while nobody has */
	char by[CONF_NAME_MAX + 1];	     /* who used it; "-" */
	int64_t made_ms;		     /* clock_mono_ms */
};

/* Put it in the place of any other. */
MUST_CHECK bool invitation_save(const struct conf *conf, const struct invitation *in, struct err *e);
/* The one that is there and not too old; false when there is none. */
bool invitation_load(const struct conf *conf, struct invitation *out);
void invitation_remove(const struct conf *conf);

#endif
