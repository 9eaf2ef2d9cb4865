/* Numbers for people. Not here: alignment and colours (base/screen, base/sheet). */
#include "base/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum {
	NOW_S = 5, /* an age below it is "just now" */
	MINUTE_S = 60,
	HOUR_S = 60 * MINUTE_S,
	DAY_S = 24 * HOUR_S,
	TWICE = 2, /* a unit is used from twice of it on: "90 s", not "1 min" */
	OLD_S = 31 * DAY_S /* from here on a date says more */
};

const char *
measure_size(uint64_t bytes, char out[MEASURE_MAX])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		(void)snprintf(out, MEASURE_MAX, "%llu byte%s", (unsigned long long)bytes, bytes == 1 ? "" : "s");
		return out;
	}
	/* Half of the last digit below: 1023.99 KiB is 1.0 MiB. */
	for (; n >= 1023.5 && unit + 1 < sizeof units / sizeof units[0]; unit++)
		n /= 1024;
	(void)snprintf(out, MEASURE_MAX, n < 9.95 ? "%.1f %s" : "%.0f %s", n, units[unit]);
	return out;
}

const char *
measure_count(uint64_t n, char out[MEASURE_MAX])
{
	char digits[MEASURE_MAX];
	size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), used = 0;

	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
	return out;
}

const char *
measure_span(uint64_t seconds, char out[MEASURE_MAX])
{
	static const struct {
		uint64_t size;
		const char *name;
	} units[] = { { DAY_S, "days" }, { HOUR_S, "h" }, { MINUTE_S, "min" } };

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (seconds >= TWICE * units[i].size) {
			(void)snprintf(out, MEASURE_MAX, "%llu %s", (unsigned long long)(seconds / units[i].size), units[i].name);
			return out;
		}
	(void)snprintf(out, MEASURE_MAX, seconds == 0 ? "less than 1 s" : "%llu s", (unsigned long long)seconds);
	return out;
}

/* "2026-11-21 02:03:04[.123456]" */
static int
parse(const char *utc, int64_t *seconds)
{
	struct tm tm;

	memset(&tm, 0, sizeof tm);
	if (strptime(utc, "%Y-%m-%d %H:%M:%S", &tm) == NULL)
		return 0;
	*seconds = (int64_t)timegm(&tm);
	return 1;
}

const char *
measure_age(const char *utc, char out[MEASURE_MAX])
{
	char span[MEASURE_MAX];
	int64_t then, age;

	if (utc == NULL || utc[0] == '\0') {
		(void)snprintf(out, MEASURE_MAX, "never");
		return out;
	}
	age = parse(utc, &then) ? clock_wall_us() / 1000000 - then : OLD_S;
	if (age >= OLD_S || age < -NOW_S)
		(void)snprintf(out, MEASURE_MAX, "%.16s UTC", utc);
	else if (age < NOW_S)
		(void)snprintf(out, MEASURE_MAX, "just now");
	else
		(void)snprintf(out, MEASURE_MAX, "%s ago", measure_span((uint64_t)age, span));
	return out;
}
