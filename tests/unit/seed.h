/* Random numbers of the unit tests: printed as a TAP comment, replayed with TANDEM_SEED. */
#ifndef TANDEM_TESTS_SEED_H
#define TANDEM_TESTS_SEED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct seed {
	uint64_t state;
};

/* From TANDEM_SEED, else from the clock; says which. */
static inline struct seed
seed_choose(void)
{
	const char *given = getenv("TANDEM_SEED");
	struct timespec now;
	struct seed s;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	s.state = given != NULL ? strtoull(given, NULL, 10) : ((uint64_t)now.tv_sec ^ (uint64_t)now.tv_nsec) & 0x7fffffff;
	(void)printf("# replay with TANDEM_SEED=%" PRIu64 "\n", s.state);
	(void)fflush(stdout);
	return s;
}

/* splitmix64 */
static inline uint64_t
seed_next(struct seed *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0 to n - 1. */
static inline size_t
seed_below(struct seed *s, size_t n)
{
	return (size_t)(seed_next(s) % n);
}

#endif
