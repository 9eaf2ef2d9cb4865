/* Kept versions, taken apart. Not here: reading them (apply/inbox), showing them (app/conflicts, app/review). */
#include "apply/kept.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 2 * CATALOG_COLUMNS };

bool
kept_parse(const struct inbox_version *v, struct kept *to, struct err *e)
{
	buf_init(&to->text, INBOX_ROW_MAX);
	to->n = 0;
	to->pairs = calloc(PAIRS_MAX, sizeof *to->pairs);
	if (to->pairs == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a record");
	if (v->row == NULL)
		return true;
	buf_put(&to->text, v->row, v->row_len);
	(void)buf_cstr(&to->text);
	return buf_check(&to->text, "a kept version", e) && inbox_parse_row(to->text.data, to->text.len, to->pairs, PAIRS_MAX, &to->n, e);
}

void
kept_free(struct kept *k)
{
	buf_free(&k->text);
	free(k->pairs);
}

const struct line_value *
kept_value(const struct kept *k, const char *name)
{
	for (size_t i = 0; i < k->n; i += 2)
		if (strcmp(k->pairs[i].data, name) == 0)
			return &k->pairs[i + 1];
	return NULL;
}

bool
kept_same(const struct line_value *a, const struct line_value *b)
{
	if (a == NULL || b == NULL || (a->data == NULL) != (b->data == NULL))
		return false;
	return a->data == NULL || (a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
}
