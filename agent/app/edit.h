/* Changes to [peer] sections of agent.conf: comments, order and everything else stay byte for byte,
 * the new file is judged whole before it takes the old one's place, and mode and owner stay. */
#ifndef TANDEM_APP_EDIT_H
#define TANDEM_APP_EDIT_H

#include "base/conf.h"
#include "base/err.h"

/* Append a section: name, url, key, tls_pin ("" for none) and seal of peer. */
MUST_CHECK bool edit_add_peer(const char *path, const struct conf_peer *peer, struct err *e);
/* Would that be taken? Changes nothing. */
MUST_CHECK bool edit_try_peer(const char *path, const struct conf_peer *peer, struct err *e);
/* Take the section out. ERR_USAGE when there is none of that name. */
MUST_CHECK bool edit_remove_peer(const char *path, const char *name, struct err *e);
/* Put another key into the section. */
MUST_CHECK bool edit_set_key(const char *path, const char *name,
    const unsigned char key[CONF_KEY_BYTES], struct err *e);

#endif
