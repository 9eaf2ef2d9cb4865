/* What a person reviews on the page: kept conflicts with both versions side by side, and parked records, as JSON
 * that stays small whatever the rows hold. The command line shows them whole (app/conflicts). */
#ifndef TANDEM_APP_REVIEW_H
#define TANDEM_APP_REVIEW_H

#include "base/conf.h"
#include "db/db.h"

enum {
	REVIEW_CONFLICTS = 50,	   /* listed: the undecided ones first, then the newest */
	REVIEW_PARKED = 200,
	REVIEW_VALUE_MAX = 400,	   /* bytes shown of a value */
	REVIEW_ROW_MAX = 4 * 1024 * 1024, /* larger versions are not taken apart: --conflicts shows them */
	REVIEW_TEXT_MAX = 16 * 1024 * 1024
};

/* {"conflicts":[...],"parked":[...],"audit":[...]} (docs/protocol.md, the page's server). */
MUST_CHECK bool review_json(struct db *db, const struct conf *conf, struct buf *out, struct err *e);

#endif
