/* Numbers as people read them: sizes, counts, spans of time, ages. Pure but for the age, which asks the clock. */
#ifndef TANDEM_BASE_MEASURE_H
#define TANDEM_BASE_MEASURE_H

#include <stdint.h>

enum {
	MEASURE_MAX = 40 /* bytes of any of these texts */
};

/* Each returns out, MEASURE_MAX bytes. */

/* "0 bytes", "512 bytes", "3.2 MiB", "48 GiB" */
const char *measure_size(uint64_t bytes, char out[MEASURE_MAX]);
/* "7", "12,345" */
const char *measure_count(uint64_t n, char out[MEASURE_MAX]);
/* "less than 1 s", "45 s", "3 min", "2 h", "5 days" */
const char *measure_span(uint64_t seconds, char out[MEASURE_MAX]);
/* Of a time of the database (UTC): "just now", "3 min ago", "2 h ago", "5 days ago"; a time to come, or longer ago than a
 * month, as it is, to the minute; NULL or "": "never". */
const char *measure_age(const char *utc, char out[MEASURE_MAX]);

#endif
