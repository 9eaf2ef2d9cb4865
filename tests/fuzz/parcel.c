/* Contents of upload folders as a peer sends them: the call with its items, the answer with its needs. What is taken lies
 * within the bytes, and is written again as it was. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wire/parcel.h"

static void
read_call(const char *text, size_t len)
{
	unsigned char path[PARCEL_PATH];
	struct parcel_item item;
	struct parcel_call c;
	struct err e;
	size_t at;
	bool more = true;

	if (!parcel_parse_call(text, len, &c, &at, &e))
		return;
	MUST(at <= len && strlen(c.tree) > 0 && strlen(c.tree) <= CONF_NAME_MAX);
	for (size_t from = at; c.kind == PARCEL_LACK && parcel_next_path(text, len, &from, path, &more, &e) && more;)
		MUST(from <= len);
	while (parcel_next_item(text, len, &at, &item, &more, &e) && more)
		MUST(item.data >= text && item.len <= (size_t)(text + len - item.data) && at <= len);
}

static void
read_answer(const char *text, size_t len)
{
	struct parcel_answer a;
	struct parcel_need n;
	struct err e;
	size_t at;
	bool more = true;

	if (!parcel_parse_answer(text, len, &a, &at, &e))
		return;
	while (parcel_next_need(text, len, &at, &n, &more, &e) && more)
		MUST(at <= len && (!n.list || n.count == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	read_call((const char *)data, len);
	read_answer((const char *)data, len);
	return 0;
}
