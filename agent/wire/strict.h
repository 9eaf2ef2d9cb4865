/* JSON that every program reads alike. json-c takes the last of two equal keys, cuts a key at an escaped NUL,
 * takes NaN, single quotes, raw control characters and half surrogates; this looks first. Pure. */
#ifndef TANDEM_WIRE_STRICT_H
#define TANDEM_WIRE_STRICT_H

#include <stdbool.h>
#include <stddef.h>

enum {
	STRICT_DEPTH = 6,     /* objects and arrays inside one another */
	STRICT_KEYS = 64,     /* of one object; the longest message has 15 */
	STRICT_VALUES = 65536 /* in all; a table of 4,096 columns has a header of 16,000 */
};

/* Is it one JSON value of RFC 8259 and nothing else, without doubled keys or escapes in keys, within these
 * limits? The bytes must be UTF-8 already. */
bool strict_is_json(const char *text, size_t len);

#endif
