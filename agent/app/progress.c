/* Progress on a terminal. Not here: what is printed at the end (the verbs). */
#include "app/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/measure.h"
#include "base/text.h"

enum {
	STEP_MS = 500,
	LINE_MAX = 512,
	WIDTH_UNKNOWN = 80
};

void
progress_init(struct progress *p, bool quiet)
{
	memset(p, 0, sizeof *p);
	p->on = !quiet && isatty(STDERR_FILENO) == 1;
}

void
progress_begin(struct progress *p, const char *what)
{
	if (strcmp(p->what, what) == 0 && p->n > 0)
		return;
	(void)text_escape(what, strlen(what), p->what, sizeof p->what);
	p->n = 0;
}

/* A second, of the last few. */
static uint64_t
rate_of(const struct progress *p)
{
	const struct progress_sample *last = &p->samples[(p->n - 1) % PROGRESS_SAMPLES], *first = &p->samples[p->n <= PROGRESS_SAMPLES ? 0 : p->n % PROGRESS_SAMPLES];
	int64_t ms = last->at_ms - first->at_ms;

	return ms <= 0 || last->done < first->done ? 0 : (last->done - first->done) * 1000 / (uint64_t)ms;
}

static size_t
put_line(const struct progress *p, uint64_t done, uint64_t about, const char *unit, char *out, size_t size)
{
	char n[MEASURE_MAX], of[MEASURE_MAX], speed[MEASURE_MAX], left[MEASURE_MAX];
	uint64_t rate = rate_of(p);
	size_t used;

	used = (size_t)snprintf(out, size, "%s: %s", p->what, measure_count(done, n));
	if (about > done)
		used += (size_t)snprintf(out + used, size - used, " of about %s", measure_count(about, of));
	used += (size_t)snprintf(out + used, size - used, " %s", unit);
	if (about > done)
		used += (size_t)snprintf(out + used, size - used, " (%llu %%)", (unsigned long long)((double)done * 100.0 / (double)about));
	if (rate > 0)
		used += (size_t)snprintf(out + used, size - used, ", %s a second", measure_count(rate, speed));
	if (rate > 0 && about > done)
		used += (size_t)snprintf(out + used, size - used, ", about %s left", measure_span((about - done) / rate, left));
	return used;
}

void
progress_show(struct progress *p, uint64_t done, uint64_t about, const char *unit)
{
	struct winsize size = { 0 };
	char line[LINE_MAX];
	int64_t now;
	size_t width, len;

	if (!p->on)
		return;
	now = clock_mono_ms();
	if (p->n == 0)
		p->samples[p->n++] = (struct progress_sample){ now, done };
	if (now - p->shown_ms < STEP_MS)
		return;
	p->samples[p->n++ % PROGRESS_SAMPLES] = (struct progress_sample){ now, done };
	p->shown_ms = now;
	p->shown = true;
	len = put_line(p, done, about, unit, line, sizeof line);
	/* A line that wraps could not be written over. */
	width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH_UNKNOWN;
	for (; len > 0 && text_width(line, len) >= width; len--)
		;
	(void)fprintf(stderr, "\r%.*s\033[K", (int)len, line);
}

void
progress_clear(struct progress *p)
{
	if (p->shown)
		(void)fputs("\r\033[K", stderr);
	p->shown = false;
	p->shown_ms = 0;
}
