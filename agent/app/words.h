/* The words of the page (web/texts.json), for those that the command line says as well: one text in one place. */
#ifndef TANDEM_APP_WORDS_H
#define TANDEM_APP_WORDS_H

struct words;

/* NULL: out of memory (then every word is empty). */
struct words *words_open(void);
void words_close(struct words *w);
/* The word of a prefix and a name ("advice.", "away"); "" where there is none. Borrowed. */
const char *words_get(const struct words *w, const char *prefix, const char *name);

#endif
