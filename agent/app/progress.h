/* How far long work is: one line on stderr that is written over and over, on a terminal only. */
#ifndef TANDEM_APP_PROGRESS_H
#define TANDEM_APP_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROGRESS_SAMPLES = 16, /* what the rate is taken from: the last eight seconds */
	PROGRESS_WHAT_MAX = 160
};

struct progress {
	bool on;
	bool shown;
	int64_t shown_ms;
	char what[PROGRESS_WHAT_MAX];
	struct progress_sample {
		int64_t at_ms;
		uint64_t done;
	} samples[PROGRESS_SAMPLES];
	size_t n; /* samples taken so far */
};

/* quiet: never shown. */
void progress_init(struct progress *p, bool quiet);
/* Another piece of work, whose rate counts anew: "table 2 of 5, orders". */
void progress_begin(struct progress *p, const char *what);
/* So much of it is done, of about so much (0: not known), in a unit ("records"); cheap, to be called as often as one
 * likes. */
void progress_show(struct progress *p, uint64_t done, uint64_t about, const char *unit);
/* Take the line away, before anything else is printed. */
void progress_clear(struct progress *p);

#endif
