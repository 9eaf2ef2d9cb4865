/* Events counted since the process began, for metrics: by kind, peer and a word that says which. */
#ifndef TANDEM_BASE_COUNT_H
#define TANDEM_BASE_COUNT_H

#include <stddef.h>
#include <stdint.h>

enum count_kind {
	COUNT_SENDING_FAILED,	/* peer, err_word: draining to it, or fetching from it */
	COUNT_RECEIVING_FAILED, /* peer, err_word: what it sent was not applied */
	COUNT_REFUSED,		/* peer, state after it: it refused a record */
	COUNT_HTTP_REFUSED,	/* door ("peers", "page"), status */
	COUNT_NOTIFIED		/* "", what became of the command of [sync] notify */
};

enum {
	COUNT_ROWS_MAX = 1024, /* 64 peers, each with some words; what comes above counts as "other" of nobody */
	COUNT_WORD_MAX = 40    /* bytes of a name and of a word, with the NUL */
};

struct count {
	enum count_kind kind;
	char name[COUNT_WORD_MAX];
	char word[COUNT_WORD_MAX];
	uint64_t n;
};

/* One more. Safe from any thread; longer names and words are cut. */
void count_add(enum count_kind kind, const char *name, const char *word);
/* The rows there are, as they are now, sorted by kind, name and word: copied to out (COUNT_ROWS_MAX), and how many. */
size_t count_read(struct count *out);

#endif
