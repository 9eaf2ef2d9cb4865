/* Lines of a peer: the first byte chooses the message. What was read and written again is the same. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wire/compare.h"
#include "wire/errand.h"
#include "wire/message.h"

static struct line_value values[LINE_VALUES_MAX], again[LINE_VALUES_MAX];

/* A record line. */
static void
record(char *line, size_t len)
{
	struct record_meta meta;
	struct buf out;
	struct err e;
	size_t n, m;

	if (!line_parse(line, len, values, LINE_VALUES_MAX, &n, &e))
		return;
	MUST(n <= LINE_VALUES_MAX);
	buf_init(&out, LINE_BYTES_MAX);
	line_begin(&out);
	for (size_t i = 0; i < n; i++)
		if (values[i].data == NULL)
			line_null(&out);
		else
			line_text(&out, values[i].data, values[i].len);
	line_end(&out);
	MUST(!out.failed);
	MUST(line_parse(out.data, out.len - 1, again, LINE_VALUES_MAX, &m, &e) && m == n);
	for (size_t i = 0; i < n; i++) {
		MUST((again[i].data == NULL) == (values[i].data == NULL) && again[i].len == values[i].len);
		MUST(values[i].data == NULL || memcmp(again[i].data, values[i].data, values[i].len) == 0);
	}
	buf_free(&out);
	if (message_parse_record(values, n, &meta, &e))
		MUST(strchr("iudo", meta.operation) != NULL && meta.key != NULL && strlen(meta.key) <= meta.key_len);
}

/* What parses must print as something that parses alike. */
#define AGAIN(kind, type) \
	static void \
	again_##kind(const char *text, size_t len) \
	{ \
		struct type a, b; \
		struct buf out; \
		struct err e; \
		memset(&a, 0, sizeof a); \
		memset(&b, 0, sizeof b); \
		if (!message_parse_##kind(text, len, &a, &e)) \
			return; \
		buf_init(&out, MESSAGE_HEADER_MAX); \
		message_put_##kind(&out, &a); \
		MUST(!out.failed && out.len > 1 && out.data[out.len - 1] == '\n'); \
		MUST(message_parse_##kind(out.data, out.len - 1, &b, &e)); \
		buf_free(&out); \
	}
AGAIN(hello, hello)
AGAIN(welcome, welcome)
AGAIN(group, group_header)
AGAIN(answer, answer_header)

static void
others(char *text, size_t len)
{
	struct message_error error;
	struct section section;
	struct refusal refusal;
	struct errand errand;
	struct errand_reply reply;
	uint64_t piece;
	size_t at;
	bool last;
	struct err e;

	if (message_parse_section(text, len, &section, &e))
		message_section_free(&section);
	if (message_parse_envelope(text, len, &piece, &last, &at, &e))
		MUST(at <= len);
	if (errand_parse(text, len, &errand, &at, &e))
		MUST(at <= len && (errand.kind != ERRAND_CALL || errand.number > 0));
	if (errand_parse_reply(text, len, &reply, &at, &e))
		MUST(at <= len && reply.wait_ms <= ERRAND_WAIT_MAX_MS && reply.status < 600);
	(void)!message_parse_error(text, len, &error, &e);
	(void)!message_parse_refusal(text, len, &refusal, &e); /* overwrites: the last */
}

static void
question(char *text, size_t len)
{
	struct compare_reader r;
	struct compare_head h;
	struct digest_range range;
	struct line_value key, other;
	struct err e;
	bool more;

	compare_reader_init(&r, text, len);
	if (!compare_parse_question(&r, &h, &e))
		return;
	while (compare_next(&r, &more, &e) && more) {
		(void)!compare_parse_range(&r, &range, &e);
		(void)!compare_parse_key(&r, &key, &other, &e);
	}
	message_section_free(&h.section);
}

static void
compare_answer(char *text, size_t len)
{
	struct compare_reader r;
	struct digest_list rows;
	struct digest_sum sum;
	struct compare_fact fact;
	struct err e;
	bool more, known;

	compare_reader_init(&r, text, len);
	if (!compare_parse_answer(&r, &more, &e))
		return;
	digest_list_init(&rows, COMPARE_ANSWER_MAX);
	while (compare_next(&r, &more, &e) && more) {
		(void)!compare_parse_sum(&r, &sum, &known, &e);
		(void)!compare_parse_row(&r, &rows, &e);
		(void)!compare_parse_fact(&r, &fact, &e);
	}
	digest_list_free(&rows);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text;

	if (len == 0)
		return 0;
	text = malloc(len); /* len - 1 bytes and the NUL that every body has behind it */
	MUST(text != NULL);
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	switch (data[0] % 8) {
	case 0: record(text, len - 1); break;
	case 1: again_hello(text, len - 1); break;
	case 2: again_welcome(text, len - 1); break;
	case 3: again_group(text, len - 1); break;
	case 4: again_answer(text, len - 1); break;
	case 5: question(text, len - 1); break;
	case 6: compare_answer(text, len - 1); break;
	default: others(text, len - 1); break;
	}
	free(text);
	return 0;
}
