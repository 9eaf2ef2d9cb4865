/* The page as HTML, so that it can be read without JavaScript: web/index.html with the words of web/texts.json
 * and what the JSON of the state and of the review say. Pure. */
#ifndef TANDEM_APP_PAGE_H
#define TANDEM_APP_PAGE_H

#include "base/buf.h"

enum {
	PAGE_MAX = 16 * 1024 * 1024
};

/* state, review: JSON as the page's scripts get it; NULL: the database did not answer. token: "" or what actions
 * need. */
MUST_CHECK bool page_render(const char *state, const char *review, const char *token, struct buf *out, struct err *e);
/* The form for the key. wrong: a word of web/texts.json that says why it is shown again, or NULL. */
MUST_CHECK bool page_login(const char *wrong, struct buf *out, struct err *e);

#endif
