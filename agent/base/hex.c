/* Hexadecimal digits. Lives here: both ways. */
#include "base/hex.h"

#include <string.h>

static const char digit[] = "0123456789abcdef";

void
hex_write(const void *data, size_t len, char *out)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++) {
		*out++ = digit[p[i] >> 4];
		*out++ = digit[p[i] & 15];
	}
	*out = '\0';
}

int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
hex_read(const char *digits, size_t len, void *out)
{
	unsigned char *to = out;

	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(digits[2 * i]), low = high < 0 ? -1 : hex_digit(digits[2 * i + 1]);

		if (low < 0)
			return false;
		to[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

bool
hex_is(const char *text, size_t n)
{
	return strspn(text, digit) == n && text[n] == '\0';
}
