/* Errors as values. Lives here: filling and prefixing struct err. Not here:
 * printing (app/main), logging (base/log), the server's numbers (db/db). */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef err_set
#undef err_errno
#undef err_prefix

static void fill(struct err *e, enum err_code code, const char *fmt, va_list ap) PRINTF_FMT(3, 0);

static void
fill(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
	if (e == NULL)
		return;
	e->code = code;
	e->db_errno = 0;
	(void)vsnprintf(e->msg, sizeof e->msg, fmt, ap);
}

bool
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, code, fmt, ap);
	va_end(ap);
	return false;
}

bool
err_errno(struct err *e, enum err_code code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	fill(e, code, fmt, ap);
	va_end(ap);
	if (e != NULL) {
		size_t len = strlen(e->msg);

		(void)snprintf(e->msg + len, sizeof e->msg - len, ": %s", strerror(saved));
	}
	return false;
}

bool
err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_MSG_MAX];
	va_list ap;
	size_t len;

	if (e == NULL)
		return false;
	memcpy(old, e->msg, sizeof old);
	va_start(ap, fmt);
	(void)vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	(void)snprintf(e->msg + len, sizeof e->msg - len, ": %s", old);
	return false;
}

void
err_clear(struct err *e)
{
	if (e == NULL)
		return;
	e->code = ERR_NONE;
	e->db_errno = 0;
	e->msg[0] = '\0';
}

const char *
err_word(enum err_code code)
{
	static const char *const words[] = {
		[ERR_NONE] = "none", [ERR_INTERNAL] = "internal", [ERR_MEMORY] = "memory", [ERR_LIMIT] = "limit",
		[ERR_USAGE] = "usage", [ERR_CONFIG] = "config", [ERR_IO] = "io", [ERR_INPUT] = "input",
		[ERR_AUTH] = "auth", [ERR_STOPPED] = "stopped", [ERR_PEER] = "peer",
		[ERR_PEER_REFUSED] = "peer_refused", [ERR_HELD] = "held", [ERR_DB] = "db",
		[ERR_DB_LOST] = "db_lost", [ERR_DB_ACCESS] = "db_access", [ERR_DB_MISSING] = "db_missing",
		[ERR_DB_BUSY] = "db_busy", [ERR_DB_DUPLICATE] = "db_duplicate",
		[ERR_DB_REJECTED] = "db_rejected", [ERR_DB_FULL] = "db_full",
	};

	return (size_t)code < sizeof words / sizeof words[0] ? words[code] : "unknown";
}
