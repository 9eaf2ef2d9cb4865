/* Columns on the way. Lives here: the wire's form, where columns are known by their place in the section, and the
 * queue's, where it is the table's. Not here: which version wins (apply/conflict). */
#include "apply/columns.h"

#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"

enum {
	DIFFERENCE_MAX = 1024 * 1024 /* 1,016 counters of DECIMAL_DIGITS */
};

bool
columns_read(const struct target *to, const struct record_meta *m, const char *node, struct versions *out, struct err *e)
{
	struct column_version all = { .weak = m->weak };

	if (m->columns != NULL)
		return versions_parse(out, m->columns, m->columns_len, to->map, to->table->ncolumns, e);
	mask_all(&all.columns, to->table);
	memcpy(all.changed_at, m->changed_at, sizeof all.changed_at);
	memcpy(all.node, node, strlen(node) + 1);
	return versions_raise(out, &all, e);
}

/* --- differences --- */

size_t
columns_find_difference(const char *text, size_t place, const char **number)
{
	while (text != NULL && *text != '\0') {
		char *after;
		unsigned long at = strtoul(text, &after, 10);
		size_t len = strcspn(text, ",");

		if (*after == ':' && at == place) {
			*number = after + 1;
			return len - (size_t)(after + 1 - text);
		}
		text += len + (text[len] == ',');
	}
	return 0;
}

/* Nothing but numbers for counters of the table. */
static bool
is_wellformed(const struct target *to, const char *text)
{
	while (*text != '\0') {
		char *after;
		unsigned long at = strtoul(text, &after, 10);
		size_t len = strcspn(text, ","), number = len - (size_t)(after + 1 - text);

		if (after == text || *after != ':' || at >= to->table->ncolumns || !to->table->columns[to->map[at]].counts ||
		    !decimal_is(after + 1, number))
			return false;
		text += len + (text[len] == ',');
	}
	return true;
}

bool
columns_difference(const struct target *to, const struct record_meta *m, struct buf *out, struct err *e)
{
	const struct table *t = to->table;
	bool first = true;

	buf_reset(out);
	if (m->difference == NULL || t->ncounters == 0)
		return true;
	if (!is_wellformed(to, m->difference))
		return err_set(e, ERR_INPUT, "table %s: malformed differences, or of columns that do not add up here", t->name);
	for (size_t i = 0; i < t->ncolumns; i++) {
		const char *number = NULL;
		size_t len = 0;

		if (!t->columns[i].counts)
			continue;
		for (size_t k = 0; k < t->ncolumns && number == NULL; k++)
			if (to->map[k] == i)
				len = columns_find_difference(m->difference, k, &number);
		if (!first)
			buf_char(out, ',');
		first = false;
		buf_put(out, number == NULL ? "0" : number, number == NULL ? 1 : len);
	}
	return buf_check(out, "a record's differences", e);
}

/* --- relaying --- */

void
columns_texts_init(struct columns_texts *c)
{
	buf_init(&c->columns, MASK_BYTES);
	buf_init(&c->versions, VERSIONS_TEXT_MAX);
	buf_init(&c->difference, DIFFERENCE_MAX);
}

void
columns_texts_free(struct columns_texts *c)
{
	buf_free(&c->columns);
	buf_free(&c->versions);
	buf_free(&c->difference);
}

bool
columns_tell(struct relay *r, const struct table *t, const struct versions *v, const char *difference, struct columns_texts *texts, struct err *e)
{
	struct mask columns;

	buf_reset(&texts->columns);
	buf_reset(&texts->versions);
	versions_columns(v, &columns);
	mask_write(t, &columns, &texts->columns);
	versions_put(&texts->versions, v, NULL, t->ncolumns);
	r->columns = texts->columns.data;
	r->columns_len = texts->columns.len;
	r->versions = buf_cstr(&texts->versions);
	r->difference = difference != NULL && difference[0] != '\0' ? difference : NULL;
	return buf_check(&texts->columns, "a record's columns", e) && buf_check(&texts->versions, "the versions of a record's columns", e);
}

/* Nothing was changed on purpose: the layout alone says so. */
static bool
tell_weak(struct relay *r, const struct table *t, struct columns_texts *texts, struct err *e)
{
	unsigned char layout[MASK_LAYOUT_BYTES];

	buf_reset(&texts->columns);
	buf_put(&texts->columns, layout, mask_layout(t, layout));
	r->columns = texts->columns.data;
	r->columns_len = texts->columns.len;
	return buf_check(&texts->columns, "a record's columns", e);
}

bool
columns_tell_whole(struct relay *r, const struct target *to, const struct record_meta *m, struct columns_texts *texts, struct err *e)
{
	if (!columns_difference(to, m, &texts->difference, e))
		return false;
	r->difference = texts->difference.len > 0 ? buf_cstr(&texts->difference) : NULL;
	return true;
}

bool
columns_pass_on(struct pass *p, struct relay *r, const struct target *to, const struct record_meta *m, struct columns_texts *texts, struct err *e)
{
	struct versions v = { 0 };
	bool ok;

	if (!p->relay || r->requeue || r->operation != OP_UPDATE || (m->whole && m->columns == NULL))
		return true;
	if (m->whole)
		return columns_tell_whole(r, to, m, texts, e);
	if (!mask_is_wanted(to->table))
		return !m->weak || tell_weak(r, to->table, texts, e);
	ok = columns_read(to, m, r->node, &v, e) && columns_difference(to, m, &texts->difference, e) &&
	    columns_tell(r, to->table, &v, buf_cstr(&texts->difference), texts, e);
	versions_free(&v);
	return ok;
}
