/* Clocks and randomness of the operating system. Not here: timers of the event
 * loop (net/, app/serve). */
#include "base/clock.h"

#include <sys/random.h>
#include <time.h>

enum {
	MS_PER_S = 1000,
	US_PER_S = 1000000,
	NS_PER_MS = 1000000
};

int64_t
clock_mono_ms(void)
{
	struct timespec ts;

#ifdef CLOCK_BOOTTIME
	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
#else
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
#endif
	return (int64_t)ts.tv_sec * MS_PER_S + ts.tv_nsec / NS_PER_MS;
}

int64_t
clock_wall_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

void
clock_nap_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / MS_PER_S, .tv_nsec = (ms % MS_PER_S) * NS_PER_MS };

	(void)nanosleep(&ts, NULL);
}

bool
clock_random(void *out, size_t len, struct err *e)
{
	unsigned char *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n <= 0)
			return err_errno(e, ERR_IO, "random bytes");
		p += n;
		len -= (size_t)n;
	}
	return true;
}
