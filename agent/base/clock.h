/* Time and chance come through here, so that tests can see where they enter and
 * other platforms have one place to fill. */
#ifndef TANDEM_BASE_CLOCK_H
#define TANDEM_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	CLOCK_TEXT_MAX = 80 /* "2026-11-21 02:03:04.123456" and a NUL, with room */
};

/* Milliseconds that only go forward; they keep running over a suspend where the
 * platform can tell. No relation to the wall clock. */
int64_t clock_mono_ms(void);
/* Wall clock, microseconds since 1970 UTC. */
int64_t clock_wall_us(void);
/* Sleep at most ms; returns early when a signal comes. */
void clock_nap_ms(int64_t ms);
/* len unpredictable bytes from the operating system. */
MUST_CHECK bool clock_random(void *out, size_t len, struct err *e);

#endif
