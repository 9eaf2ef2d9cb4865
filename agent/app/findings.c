/* A list of findings and its two printed forms. Not here: finding anything (app/doctor, app/survey). */
#include "app/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/line.h"

enum {
	COLUMN = 9,			     /* behind "warning " and a blank */
	FINDING_MAX = 2048,		     /* one finding's text */
	FINDINGS_JSON_MAX = 64 * 1024 * 1024 /* a line of 1 KiB for each of 65,536 tables */
};

static const char *const word[SEVERITIES] = { "ok", "note", "warning", "problem" };

void
findings_add(struct findings *f, enum severity severity, const char *remedy, const char *fmt, ...)
{
	struct finding *grown = realloc(f->items, (f->n + 1) * sizeof *grown), *item;
	char text[FINDING_MAX];
	va_list ap;

	f->count[severity]++;
	if (grown == NULL) {
		f->memory = true;
		return;
	}
	f->items = grown;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	item = &grown[f->n];
	item->severity = severity;
	item->text = strdup(text);
	item->remedy = remedy == NULL ? NULL : strdup(remedy);
	if (item->text == NULL || (remedy != NULL && item->remedy == NULL)) {
		free(item->text);
		free(item->remedy);
		f->memory = true;
		return;
	}
	f->n++;
}

typedef void each_fn(const struct finding *item, void *arg);

/* The worst first. */
static void
visit(const struct findings *f, each_fn *each, void *arg)
{
	for (int severity = SEVERITIES - 1; severity >= 0; severity--)
		for (size_t i = 0; i < f->n; i++)
			if ((int)f->items[i].severity == severity)
				each(&f->items[i], arg);
}

static void
put_json(const struct finding *item, void *arg)
{
	struct buf *out = arg;

	buf_fmt(out, "%s{\"severity\":\"%s\",\"finding\":", out->len > 0 ? "," : "", word[item->severity]);
	line_quote(out, item->text, strlen(item->text));
	buf_str(out, ",\"remedy\":");
	if (item->remedy == NULL)
		buf_str(out, "null");
	else
		line_quote(out, item->remedy, strlen(item->remedy));
	buf_char(out, '}');
}

void
findings_print_json(const struct findings *f)
{
	struct buf out;

	buf_init(&out, FINDINGS_JSON_MAX);
	visit(f, put_json, &out);
	(void)printf("{\"findings\":[%s]}\n", buf_cstr(&out));
	buf_free(&out);
}

struct printer {
	struct screen screen;
	bool quiet;
};

/* In a pipe one line each, for grep; on a terminal the remedy stands below. */
static void
put_one(const struct finding *item, void *arg)
{
	static const enum ink inks[SEVERITIES] = { INK_GOOD, INK_FAINT, INK_WARN, INK_BAD };
	struct printer *p = arg;
	struct screen_item line = { .column = COLUMN, .lead_ink = inks[item->severity], .lead = word[item->severity] };

	if (item->severity <= SEVERITY_NOTE && p->quiet)
		return;
	if (p->screen.width > 0 || item->remedy == NULL) {
		screen_item(&p->screen, &line, item->text);
		line = (struct screen_item){ .indent = COLUMN, .column = COLUMN + 3, .lead_ink = INK_FAINT, .ink = INK_STRONG, .lead = "->" };
		if (item->remedy != NULL)
			screen_item(&p->screen, &line, item->remedy);
	} else
		screen_item_fmt(&p->screen, &line, "%s: %s", item->text, item->remedy);
}

void
findings_print(const struct findings *f, enum screen_colour colour, bool quiet)
{
	struct printer p = { .quiet = quiet };
	struct err e;

	screen_init(&p.screen, colour, FINDINGS_JSON_MAX);
	visit(f, put_one, &p);
	if (!screen_print(&p.screen, &e))
		(void)printf("%s\n", e.msg);
	screen_free(&p.screen);
}

void
findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->items[i].text);
		free(f->items[i].remedy);
	}
	free(f->items);
}
