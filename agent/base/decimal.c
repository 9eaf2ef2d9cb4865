/* Decimal sums. Lives here: adding two texts. Not here: what is added (change/collapse, apply/). */
#include "base/decimal.h"

#include <string.h>

/* A number as digits, the lowest last, with SCALE of them behind the point. */
struct number {
	unsigned char digits[2 * DECIMAL_DIGITS + 1];
	bool negative;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
decimal_is(const char *text, size_t len)
{
	size_t i = len > 0 && text[0] == '-', digits = 0, behind = 0;
	bool point = false;

	for (; i < len; i++) {
		if (text[i] == '.' && !point && digits > 0) {
			point = true;
			continue;
		}
		if (!is_digit(text[i]))
			return false;
		digits++;
		behind += point;
	}
	return digits > 0 && digits <= DECIMAL_DIGITS && (!point || behind > 0);
}

bool
decimal_is_zero(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] >= '1' && text[i] <= '9')
			return false;
	return true;
}

static size_t
scale_of(const char *text, size_t len)
{
	const char *point = memchr(text, '.', len);

	return point == NULL ? 0 : len - (size_t)(point - text) - 1;
}

/* Digits right-aligned, with room for scale of them behind the point. */
static void
take(struct number *n, const char *text, size_t len, size_t scale)
{
	size_t at = sizeof n->digits - (scale - scale_of(text, len));

	memset(n, 0, sizeof *n);
	n->negative = text[0] == '-';
	while (len-- > 0)
		if (is_digit(text[len]))
			n->digits[--at] = (unsigned char)(text[len] - '0');
}

static void
sum(struct number *a, const struct number *b)
{
	int carry = 0;

	for (size_t i = sizeof a->digits; i-- > 0;) {
		int d = a->digits[i] + b->digits[i] + carry;

		a->digits[i] = (unsigned char)(d % 10);
		carry = d / 10;
	}
}

/* *a - *b, of which *a is not the smaller. */
static void
difference(struct number *a, const struct number *b)
{
	int borrow = 0;

	for (size_t i = sizeof a->digits; i-- > 0;) {
		int d = a->digits[i] - b->digits[i] - borrow;

		borrow = d < 0;
		a->digits[i] = (unsigned char)(d < 0 ? d + 10 : d);
	}
}

static bool
put(struct buf *out, const struct number *n, size_t scale)
{
	size_t first = 0, point = sizeof n->digits - scale;
	bool zero = true;

	while (first + 1 < point && n->digits[first] == 0)
		first++;
	for (size_t i = first; i < sizeof n->digits; i++)
		zero = zero && n->digits[i] == 0;
	if (sizeof n->digits - first > DECIMAL_DIGITS)
		return false;
	if (n->negative && !zero)
		buf_char(out, '-');
	for (size_t i = first; i < sizeof n->digits; i++) {
		if (i == point)
			buf_char(out, '.');
		buf_char(out, (char)('0' + n->digits[i]));
	}
	return true;
}

bool
decimal_add(struct buf *out, const char *a, size_t alen, const char *b, size_t blen)
{
	struct number x, y;
	size_t scale;

	if (!decimal_is(a, alen) || !decimal_is(b, blen))
		return false;
	scale = scale_of(a, alen) > scale_of(b, blen) ? scale_of(a, alen) : scale_of(b, blen);
	take(&x, a, alen, scale);
	take(&y, b, blen, scale);
	if (x.negative == y.negative) {
		sum(&x, &y);
	} else if (memcmp(x.digits, y.digits, sizeof x.digits) >= 0) {
		difference(&x, &y);
	} else {
		difference(&y, &x);
		x = y;
	}
	return put(out, &x, scale);
}
