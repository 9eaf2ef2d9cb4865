/* Parents that are not replicated, whose triggers tell what their foreign keys do to tables that are: noticed when those
 * triggers are not as they were noted. Table sync_parent. */
#ifndef TANDEM_SYNC_BARE_H
#define TANDEM_SYNC_BARE_H

#include "capture/identity.h"

/* Are the triggers of a noted parent other ones now? */
MUST_CHECK bool bare_is_news(struct db *db, const struct identity_list *now, bool *news, struct err *e);
bool bare_has_triggers(const struct identity_list *now, const char *table);
/* Mark the tables that hang on such parents for a look: not ready before their triggers stand again. */
MUST_CHECK bool bare_judge(struct db *db, const struct conf *conf, const struct catalog *c, const struct identity_list *now, struct err *e);
/* Note the parents whose triggers are right by now; wrong: the names of others, a line each. What hangs on them may be
 * compared. */
MUST_CHECK bool bare_note(struct db *db, const struct catalog *c, const struct identity_list *now, const char *wrong, struct err *e);

#endif
