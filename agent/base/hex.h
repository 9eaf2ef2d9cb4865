/* Bytes as hexadecimal digits and back. Written and read in lower case alone, so that one value has one text. Pure.
 * Not here: into a buffer that grows (buf_hex). */
#ifndef TANDEM_BASE_HEX_H
#define TANDEM_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of data as 2 * len digits in out, and a NUL behind them. */
void hex_write(const void *data, size_t len, char *out);
/* The len bytes that 2 * len digits say; false when one is none (a NUL is none: nothing behind it is read). What
 * stands behind them is not looked at. */
bool hex_read(const char *digits, size_t len, void *out);
/* What a digit says, or -1. */
int hex_digit(char c);
/* Is text n such digits and no more? */
bool hex_is(const char *text, size_t n);

#endif
