/* Numbers always, names when asked for. */
#include "app/strays.h"

#include <string.h>

#include "base/text.h"
#include "files/stray.h"
#include "wire/line.h"

enum {
	SHOWN_MAX = 4 * 4097
};

struct listing {
	struct buf *out;
	bool first;
};

static bool
put_text(void *arg, const struct stray *s, struct err *e)
{
	struct listing *l = arg;
	char text[SHOWN_MAX];

	(void)e;
	(void)text_escape(s->text, s->len, text, sizeof text);
	if (s->table == NULL)
		buf_fmt(l->out, "  no row names: %s\n", text);
	else
		buf_fmt(l->out, "  no file of: %s, table %s\n", text, s->table);
	return true;
}

static bool
put_json(void *arg, const struct stray *s, struct err *e)
{
	struct listing *l = arg;
	char text[SHOWN_MAX];

	(void)e;
	buf_str(l->out, l->first ? "{\"table\":" : ",{\"table\":");
	l->first = false;
	if (s->table == NULL)
		buf_str(l->out, "null");
	else
		line_quote(l->out, s->table, strlen(s->table));
	buf_str(l->out, ",\"name\":");
	if (line_is_utf8(s->text, s->len))
		line_quote(l->out, s->text, s->len);
	else {
		(void)text_escape(s->text, s->len, text, sizeof text);
		line_quote(l->out, text, strlen(text));
	}
	buf_fmt(l->out, ",\"bytes\":%llu}", (unsigned long long)s->bytes);
	return true;
}

bool
strays_put_text(const struct strays_view *v, struct buf *out, struct err *e)
{
	struct listing l = { .out = out };
	struct stray_counts n;

	if (!stray_count(v->db, v->conf, v->tree, &n, e))
		return false;
	if (!n.known)
		return true;
	buf_fmt(out, "  %llu files that no row names, %llu bytes; %llu rows whose file is not here%s\n", (unsigned long long)n.files, (unsigned long long)n.bytes,
	    (unsigned long long)n.rows, !v->list && n.files + n.rows > 0 ? " (--orphans lists them)" : "");
	return !v->list || stray_list(v->db, v->conf, v->tree, STRAYS_LISTED, put_text, &l, e);
}

bool
strays_put_json(const struct strays_view *v, struct buf *out, struct err *e)
{
	struct listing l = { .out = out, .first = true };
	struct stray_counts n;
	bool ok;

	if (!stray_count(v->db, v->conf, v->tree, &n, e))
		return false;
	buf_fmt(out, ",\"named\":%s,\"unnamed\":%llu,\"unnamed_bytes\":%llu,\"dangling\":%llu,\"orphans\":[", n.known ? "true" : "false", (unsigned long long)n.files,
	    (unsigned long long)n.bytes, (unsigned long long)n.rows);
	ok = !v->list || stray_list(v->db, v->conf, v->tree, STRAYS_LISTED, put_json, &l, e);
	buf_char(out, ']');
	return ok;
}
