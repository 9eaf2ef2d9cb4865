/* What every fuzz target has: one function that takes bytes from anybody. Built with libFuzzer by
 * scripts/fuzz; in make check replay.c gives each target its corpus once. A target aborts when what
 * must hold does not; memory errors are the sanitizers' to find. */
#ifndef TANDEM_FUZZ_FUZZ_H
#define TANDEM_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's name for it. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* As assert, in every build. */
#define MUST(condition) \
	do { \
		if (!(condition)) { \
			(void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#endif
