/* Exact sums of decimal numbers as text: counters' differences have up to 65 digits, more than any number of C. */
#ifndef TANDEM_BASE_DECIMAL_H
#define TANDEM_BASE_DECIMAL_H

#include "base/buf.h"

enum {
	DECIMAL_DIGITS = 160 /* of one number, before and behind the point: a sum may outgrow the server's 65 */
};

/* "-12.50": an optional sign, digits, perhaps a point and digits. At most DECIMAL_DIGITS of them. */
bool decimal_is(const char *text, size_t len);
/* Append a + b. False: one of them is no such number, or the sum is too long. */
MUST_CHECK bool decimal_add(struct buf *out, const char *a, size_t alen, const char *b, size_t blen);
bool decimal_is_zero(const char *text, size_t len);

#endif
