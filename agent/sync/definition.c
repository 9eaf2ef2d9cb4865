/* Judging definitions. Not here: which types hold which (apply/fit), comparing rows (sync/compare). */
#include "sync/definition.h"

#include <stdio.h>
#include <string.h>

#include "apply/fit.h"

static bool
is_date(const char *type)
{
	return strcmp(type, "date") == 0;
}

/* FLOAT(10,3), DOUBLE(20,5): printed with so many digits. */
static bool
has_digits(const char *type)
{
	return strncmp(type, "float(", 6) == 0 || strncmp(type, "double(", 7) == 0;
}

/* One type must hold what the other one has, and both must give a value one checksum (change/digest). */
static bool
types_fit(const char *here, const char *there, bool in_key)
{
	if (strcmp(here, there) == 0)
		return true;
	if (is_date(here) != is_date(there) || has_digits(here) || has_digits(there))
		return false;
	return fit_holds(here, there, in_key) || fit_holds(there, here, in_key);
}

static bool
is_named(const struct section *s, const char *name)
{
	for (size_t i = 0; i < s->ncolumns; i++)
		if (strcmp(s->names[i], name) == 0)
			return true;
	return false;
}

static bool
columns_fit(const struct table *t, const struct section *s, const struct definition_sides *who, char *reason)
{
	for (size_t i = 0; i < s->ncolumns; i++) {
		size_t at;

		if (!table_column(t, s->names[i], strlen(s->names[i]), &at)) {
			(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s differs: column %.150s is %.130s at %s and missing at %s", t->name, s->names[i], s->types[i],
			    who->there, who->here);
			return false;
		}
		if (!types_fit(t->columns[at].type, s->types[i], t->columns[at].in_key)) {
			(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s differs: column %s is %.130s at %s and %.130s at %s", t->name, t->columns[at].name,
			    s->types[i], who->there, t->columns[at].type, who->here);
			return false;
		}
	}
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (is_named(s, t->columns[i].name))
			continue;
		(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s differs: column %s is missing at %s and %.130s at %s", t->name, t->columns[i].name, who->there,
		    t->columns[i].type, who->here);
		return false;
	}
	(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s: a column is named twice", t->name);
	return s->ncolumns == t->ncolumns;
}

bool
definition_fits(const struct table *t, const struct compare_head *h, const struct definition_sides *who, char *reason)
{
	struct buf here, there;
	bool same = h->nkey == t->nkey;

	if (!columns_fit(t, &h->section, who, reason))
		return false;
	for (size_t i = 0; same && i < t->nkey; i++)
		same = strcmp(t->columns[t->key[i]].name, h->key[i].data) == 0;
	if (same)
		return true;
	buf_init(&here, MESSAGE_HEADER_MAX);
	buf_init(&there, MESSAGE_HEADER_MAX);
	for (size_t i = 0; i < t->nkey; i++)
		buf_fmt(&here, "%s%s", i > 0 ? ", " : "", t->columns[t->key[i]].name);
	for (size_t i = 0; i < h->nkey; i++)
		buf_fmt(&there, "%s%s", i > 0 ? ", " : "", h->key[i].data);
	(void)snprintf(reason, MESSAGE_REASON_MAX, "table %s differs: its primary key is (%.150s) at %s and (%.150s) at %s", t->name, buf_cstr(&there), who->there,
	    buf_cstr(&here), who->here);
	buf_free(&here);
	buf_free(&there);
	return false;
}

bool
definition_is_same(const struct table *t, const struct section *s)
{
	for (size_t i = 0; i < s->ncolumns; i++) {
		size_t at;

		if (!table_column(t, s->names[i], strlen(s->names[i]), &at) || strcmp(t->columns[at].type, s->types[i]) != 0)
			return false;
	}
	return true;
}
