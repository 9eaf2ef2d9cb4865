/* Causes. Lives here: when there is one, its words. Not here: telling somebody, and only once (app/notice). */
#include "config.h"

#include "app/cause.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum {
	MINUTE_MS = 60 * 1000,
	HOUR_MS = 60 * MINUTE_MS,
	CALM_PERCENT = 90 /* a disk's cause ends below this share of where it begins: sizes waver */
};

static const struct {
	const char *word, *subject, *remedy;
} told[CAUSES] = {
	[CAUSE_HELD] = { "held", "the link with %s is held", "agent --status says what to do" },
	[CAUSE_DELETES] = { "deletes", "deletions of %s wait for a yes", "if they are right: agent --drain --allow-deletes --peer %s" },
	[CAUSE_PARKED] = { "parked", "changes that %s refused are parked", "agent --parked lists them; agent --retry or --discard" },
	[CAUSE_CONFLICT] = { "conflict", "conflicts with %s wait for a decision", "agent --conflicts shows both versions; agent --resolve" },
	[CAUSE_TABLE] = { "table", "a table waits (%s)", "agent --status names it and the choices" },
	[CAUSE_SILENT] = { "silent", "%s has taken nothing for too long", "is it switched on and reachable? agent --check" },
	[CAUSE_DISK] = { "disk", "the disk fills up (%s)", "agent --status says with what" },
};

const char *
cause_word(enum cause_kind kind)
{
	return told[kind].word;
}

/* The text with the peer in its hole, if it has one. */
static void
fill(const char *text, const char *peer, char *out, size_t size)
{
	const char *hole = strstr(text, "%s");

	if (hole == NULL)
		(void)snprintf(out, size, "%s", text);
	else
		(void)snprintf(out, size, "%.*s%s%s", (int)(hole - text), text, peer[0] == '\0' ? "here" : peer, hole + 2);
}

void
cause_subject(const struct cause *c, char *out, size_t size)
{
	fill(told[c->kind].subject, c->peer, out, size);
}

void
cause_remedy(const struct cause *c, char *out, size_t size)
{
	fill(told[c->kind].remedy, c->peer, out, size);
}

/* A table's cause is seen with the peers (it moved) and by counting (it is new, or altered). */
bool
cause_is_quick(enum cause_kind kind, const char *peer)
{
	return kind != CAUSE_DISK && !(kind == CAUSE_TABLE && peer[0] == '\0');
}

struct finder {
	struct cause *out;
	size_t n;
};

static void add(struct finder *f, enum cause_kind kind, const char *peer, const char *fmt, ...) PRINTF_FMT(4, 5);

static void
add(struct finder *f, enum cause_kind kind, const char *peer, const char *fmt, ...)
{
	struct cause *c = &f->out[f->n++];
	char text[CAUSE_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->kind = kind;
	c->peer = peer;
	c->old = false;
	(void)text_escape(text, strlen(text), c->text, sizeof c->text); /* one line, nothing that steers a terminal */
}

/* Something waits, trying fails, and nothing has come through for so long. */
static bool
is_silent(const struct report_peer *p, const struct cause_look *look)
{
	uint64_t allowed_ms = (uint64_t)look->conf->sync.notify_after_ms;
	int64_t success_us = report_time_us(p->last_success);

	return !p->paused && p->failures > 0 && p->lag_ms >= allowed_ms &&
	    look->now_us - success_us >= (int64_t)allowed_ms * 1000;
}

static void
find_of_peer(struct finder *f, const struct report_peer *p, const struct cause_look *look)
{
	if (p->held[0] != '\0')
		add(f, CAUSE_HELD, p->name, "%s", p->held);
	if (p->deletes[0] != '\0')
		add(f, CAUSE_DELETES, p->name, "%s", p->deletes);
	/* A record that waits for a decision is refused until then, and so parked as well: that is one cause. */
	if (p->parked > p->undecided)
		add(f, CAUSE_PARKED, p->name, "%llu records", (unsigned long long)(p->parked - p->undecided));
	if (p->undecided > 0)
		add(f, CAUSE_CONFLICT, p->name, "%llu conflicts", (unsigned long long)p->undecided);
	if (p->tables_held > 0)
		add(f, CAUSE_TABLE, p->name, "%llu tables differ from those of %s; nothing is sent from them", (unsigned long long)p->tables_held, p->name);
	if (is_silent(p, look)) {
		add(f, CAUSE_SILENT, p->name, "the oldest change has waited for %llu %s; last success: %s; last error: %s",
		    (unsigned long long)(p->lag_ms / (p->lag_ms < HOUR_MS ? MINUTE_MS : HOUR_MS)), p->lag_ms < HOUR_MS ? "min" : "h",
		    p->last_success[0] == '\0' ? "never" : p->last_success, p->last_error);
		f->out[f->n - 1].old = strcmp(p->last_error_at, look->since) < 0;
	}
}

static void
find_counted(struct finder *f, const struct report *r, const struct cause_look *look)
{
	char disk[CAUSE_TEXT_MAX];

	if (r->dirty_tables > 0)
		add(f, CAUSE_TABLE, "", "%llu tables were altered under their triggers", (unsigned long long)r->dirty_tables);
	else if (r->waiting_why[0] != '\0')
		add(f, CAUSE_TABLE, "", "%s", r->waiting_why);
	if (report_disk(r, look->disk_known ? CALM_PERCENT : 100, disk, sizeof disk))
		add(f, CAUSE_DISK, "", "%s", disk);
}

size_t
cause_find(const struct report *r, const struct cause_look *look, struct cause *out)
{
	struct finder f = { .out = out };

	for (size_t i = 0; i < r->npeers; i++)
		find_of_peer(&f, &r->peers[i], look);
	if (look->counted)
		find_counted(&f, r, look);
	return f.n;
}
