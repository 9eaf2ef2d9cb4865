/* The compressed body of a group, whatever it decompresses to: lines come out, or an error. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wire/line.h"
#include "wire/spool.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct line_value values[LINE_VALUES_MAX];
	struct spool *s = NULL;
	struct err e;
	size_t n, line_len;
	char *line;

	MUST(spool_new("/tmp", &s, &e));
	if (spool_put(s, data, len, &e) && spool_rewind(s, &e))
		for (unsigned i = 0; i < 1000 && spool_line(s, &line, &line_len, &e) && line != NULL; i++) {
			MUST(line[line_len] == '\0' && memchr(line, '\n', line_len) == NULL);
			(void)!line_parse(line, line_len, values, LINE_VALUES_MAX, &n, &e);
		}
	spool_free(s);
	return 0;
}
