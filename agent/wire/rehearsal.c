/* The lines of a rehearsal's answer. Lives here: their form, strictly read. Not here: what is found
 * (apply/rehearse), what people see of it (app/preview). */
#include "wire/rehearsal.h"

#include <string.h>

#include "change/mark.h"

enum { HEAD_VALUES = 6, REFUSAL_VALUES = 4 };

void
rehearsal_put_head(struct buf *out, const struct rehearsal_head *h)
{
	line_begin(out);
	line_word(out, "rehearsed");
	line_word(out, "1");
	line_number(out, h->judged);
	line_word(out, h->all ? "all" : NULL);
	line_number(out, h->conflicts);
	line_number(out, h->refused);
	line_end(out);
}

static bool
is_conflict(const char *kind)
{
	return strcmp(kind, "conflict") == 0;
}

void
rehearsal_put_finding(struct buf *out, const struct rehearsal_finding *f)
{
	line_begin(out);
	line_word(out, f->kind);
	line_word(out, f->table);
	line_text(out, f->key, f->key_len);
	if (is_conflict(f->kind)) {
		line_word(out, f->verdict);
		line_word(out, f->rule);
		line_word(out, f->local_changed_at);
		line_word(out, f->local_node);
		line_word(out, f->remote_changed_at);
		line_word(out, f->remote_node);
	} else
		line_word(out, f->reason);
	line_end(out);
}

/* --- reading --- */

static bool
malformed(struct err *e)
{
	return err_set(e, ERR_INPUT, "a malformed line in a rehearsal's answer");
}

static bool
is_word(const struct line_value *v, size_t most)
{
	return line_is_text(v) && v->len <= most;
}

static bool
one_of(const struct line_value *v, const char *const *words)
{
	for (; *words != NULL; words++)
		if (line_is_word(v, *words))
			return true;
	return false;
}

bool
rehearsal_parse_head(char *line, size_t len, struct rehearsal_head *out, struct err *e)
{
	struct line_value v[REHEARSAL_VALUES];
	size_t n = 0;

	memset(out, 0, sizeof *out);
	if (!line_parse(line, len, v, REHEARSAL_VALUES, &n, e))
		return false;
	if (n != HEAD_VALUES || !one_of(&v[0], (const char *const[]){ "rehearsed", NULL }) || !one_of(&v[1], (const char *const[]){ "1", NULL }) ||
	    (v[3].data != NULL && !one_of(&v[3], (const char *const[]){ "all", NULL })))
		return malformed(e);
	for (size_t i = 2; i < HEAD_VALUES; i++)
		if (i != 3 && !is_word(&v[i], MESSAGE_REASON_MAX))
			return malformed(e);
	out->all = v[3].data != NULL;
	return (mark_parse_u64(v[2].data, &out->judged) && mark_parse_u64(v[4].data, &out->conflicts) && mark_parse_u64(v[5].data, &out->refused)) || malformed(e);
}

bool
rehearsal_parse_finding(char *line, size_t len, struct rehearsal_finding *out, struct err *e)
{
	static const char *const kinds[] = { "conflict", "refused", "waiting", NULL }, *const verdicts[] = { "apply", "keep", "merge", "ask", NULL };
	struct line_value v[REHEARSAL_VALUES];
	size_t n = 0;

	memset(out, 0, sizeof *out);
	if (!line_parse(line, len, v, REHEARSAL_VALUES, &n, e))
		return false;
	if (n < REFUSAL_VALUES || !one_of(&v[0], kinds) || v[2].data == NULL || n != (is_conflict(v[0].data) ? (size_t)REHEARSAL_VALUES : (size_t)REFUSAL_VALUES))
		return malformed(e);
	for (size_t i = 1; i < n; i++)
		if (i != 2 && !is_word(&v[i], MESSAGE_REASON_MAX))
			return malformed(e);
	*out = (struct rehearsal_finding){ .kind = v[0].data, .table = v[1].data, .key = v[2].data, .key_len = v[2].len };
	if (!is_conflict(out->kind)) {
		out->reason = v[3].data;
		return true;
	}
	if (!one_of(&v[3], verdicts))
		return malformed(e);
	out->verdict = v[3].data;
	out->rule = v[4].data;
	out->local_changed_at = v[5].data;
	out->local_node = v[6].data;
	out->remote_changed_at = v[7].data;
	out->remote_node = v[8].data;
	return true;
}
