/* The messages by which two nodes compare one table: questions and answers, lines of the record codec around a
 * section line. Pure. docs/protocol.md shows each one. */
#ifndef TANDEM_WIRE_COMPARE_H
#define TANDEM_WIRE_COMPARE_H

#include "change/digest.h"
#include "wire/message.h"

enum {
	COMPARE_BODY_MAX = MESSAGE_BODY_MAX,  /* a question: the widest section line and COMPARE_ITEMS keys */
	COMPARE_ANSWER_MAX = 4 * 1024 * 1024, /* an answer; what does not fit is asked for again */
	COMPARE_ITEMS = 1000,		      /* ranges or keys of one question */
	COMPARE_PAGE_ROWS = 1000,	      /* rows of one list */
	COMPARE_RANGE_ROWS = 200 * 1000,      /* rows of one range that is listed */
	COMPARE_LINE_VALUES = 8,
	COMPARE_FETCH_ITEMS = 200,	      /* keys whose rows are asked for at once */
	COMPARE_FILL_BYTES = 4 * 1024 * 1024  /* of a page of rows, before compression; a larger row does not travel like this */
};

/* What is asked. */
enum compare_ask {
	ASK_SUMS,  /* of ranges: count and sum */
	ASK_QUICK, /* the same in the quick way (change/digest), which not every node has */
	ASK_ROWS,  /* of one range: keys and checksums, a page of them */
	ASK_KEYS,  /* of keys: key as spelled there, checksum, what the queue knows */
	ASK_KEEP,  /* keep the versions of these keys in sync_conflict, they are going to lose */
	ASK_QUEUE, /* queue the versions of these keys as new changes */
	ASK_FILL,  /* of one range: whole rows, a page of them */
	ASK_FETCH, /* of keys: whole rows, those that fit into a page */
	ASK_AGAIN, /* a person has decided here: if the table is held there, look at it again */
	ASKS
};

struct compare_question {
	enum compare_ask ask;
	char incarnation[SCHEMA_INCARNATION_LEN + 1]; /* of the node that is asked, as known to the asker; "" = never met */
	struct position seen; /* its last epoch that the asker has applied */
	bool versions;	      /* ASK_KEYS: who changed the record last, and when */
	const char *was;      /* ASK_KEYS: the key of before, where it was altered ("id int(11)"), or NULL */
};

/* The two lines before the items: question and section; the key's columns stand in a third. */
void compare_put_question(struct buf *out, const struct compare_question *q, const struct table *t);
/* One item. */
void compare_put_range(struct buf *out, const struct digest_range *r);
/* other: for ASK_QUEUE, how the asker spells the key; for ASK_KEYS with was, the key that the asker's row had then; or NULL. */
void compare_put_key(struct buf *out, const char *key, size_t key_len, const char *other, size_t other_len);

/* A body taken apart line by line, in place. Items are what is left after the head. */
struct compare_reader {
	char *at;
	size_t left;
	struct line_value values[COMPARE_LINE_VALUES];
	size_t n;
};
/* data is overwritten and borrowed. */
void compare_reader_init(struct compare_reader *r, char *data, size_t len);
/* *more = false at the end. */
MUST_CHECK bool compare_next(struct compare_reader *r, bool *more, struct err *e);
/* The head of a question. Free the section with message_section_free; key_columns are values of the third line. */
struct compare_head {
	struct compare_question question;
	struct section section;
	struct line_value key[CATALOG_KEY_COLUMNS];
	size_t nkey;
};
MUST_CHECK bool compare_parse_question(struct compare_reader *r, struct compare_head *h, struct err *e);
/* The current line as an item. */
MUST_CHECK bool compare_parse_range(const struct compare_reader *r, struct digest_range *out, struct err *e);
MUST_CHECK bool compare_parse_key(const struct compare_reader *r, struct line_value *key, struct line_value *other, struct err *e);

/* All definitions of the asked node's tables: a question without a table. The answer: its first line, then a line
 * [NAME, TEXT] for each. */
void compare_put_definitions(struct buf *out);
bool compare_is_definitions(const char *data, size_t len);
void compare_put_definition(struct buf *out, const char *table, const char *text, size_t len);
MUST_CHECK bool compare_parse_definition(const struct compare_reader *r, struct line_value *table, struct line_value *text, struct err *e);

/* Answers: a first line that says whether more follows when asked again, then one line an item. */
void compare_put_answer(struct buf *out, bool more);
MUST_CHECK bool compare_parse_answer(struct compare_reader *r, bool *more, struct err *e);
/* sum NULL: the range has more than DIGEST_SUM_ROWS rows, or takes too long. */
void compare_put_sum(struct buf *out, const struct digest_sum *sum);
MUST_CHECK bool compare_parse_sum(const struct compare_reader *r, struct digest_sum *out, bool *known, struct err *e);
void compare_put_row(struct buf *out, const char *key, size_t key_len, const unsigned char sum[DIGEST_BYTES]);
MUST_CHECK bool compare_parse_row(const struct compare_reader *r, struct digest_list *out, struct err *e);
/* What ASK_KEYS answers for one key. */
struct compare_fact {
	const char *key; /* as spelled there; NULL = no such record */
	size_t key_len;
	unsigned char sum[DIGEST_BYTES];
	bool fresh;
	const char *changed_at, *node; /* NULL = not known */
	const char *old;	       /* the key that the row had before, when asked for; or NULL */
	size_t old_len;
};
/* The second line of an answer that holds whole rows: the key of the page's last row, NULL where there is none, and
 * about how many rows the table has. What
 * follows is a spool's bytes (wire/spool): a record line each row, its key and then the values of the columns in the
 * order of the question's; the key alone where the row is too large for a page. */
void compare_put_last(struct buf *out, const char *key, size_t key_len, uint64_t about);
MUST_CHECK bool compare_parse_last(struct compare_reader *r, struct line_value *key, uint64_t *about, struct err *e);
void compare_put_fact(struct buf *out, const struct compare_fact *f);
MUST_CHECK bool compare_parse_fact(const struct compare_reader *r, struct compare_fact *out, struct err *e);

#endif
