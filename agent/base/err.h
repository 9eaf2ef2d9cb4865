/* Errors as values: one struct filled where the fact is known, prefixed on the
 * way up, printed once by the top layer. Nothing here logs or exits. */
#ifndef TANDEM_BASE_ERR_H
#define TANDEM_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__GNUC__)
#define PRINTF_FMT(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#else
#define PRINTF_FMT(fmt, args)
#define MUST_CHECK
#endif

/* What went wrong, as far as a caller may act on it. */
enum err_code {
	ERR_NONE = 0,
	ERR_INTERNAL,	  /* a promise of our own code broke */
	ERR_MEMORY,	  /* malloc said no */
	ERR_LIMIT,	  /* a named limit was reached */
	ERR_USAGE,	  /* command line */
	ERR_CONFIG,	  /* agent.conf */
	ERR_IO,		  /* file, socket, disk */
	ERR_INPUT,	  /* malformed bytes from somebody else */
	ERR_AUTH,	  /* a signature, key or session does not fit */
	ERR_STOPPED,	  /* asked to stop in the middle of work */
	ERR_PEER,	  /* the peer could not be reached or gave no answer */
	ERR_PEER_REFUSED, /* the peer answered, signed, and said no */
	ERR_HELD,	  /* the link waits for a person */
	ERR_DB,		  /* any other database error */
	ERR_DB_LOST,	  /* connection gone or never there */
	ERR_DB_ACCESS,	  /* wrong account or missing privilege */
	ERR_DB_MISSING,	  /* no such database, table or column */
	ERR_DB_BUSY,	  /* lock wait, deadlock, changed row: try again */
	ERR_DB_DUPLICATE, /* unique key */
	ERR_DB_REJECTED,  /* the row itself is refused (FK, length, range, check) */
	ERR_DB_FULL,	  /* no room left on the server */
};

/* The code as one word, for metrics: "peer", "db_lost". A constant. */
const char *err_word(enum err_code code);

enum {
	ERR_MSG_MAX = 512 /* one line on a terminal or in last_error */
};

struct err {
	enum err_code code;
	unsigned db_errno; /* server's or client's number when code is ERR_DB_*, else 0 */
	char msg[ERR_MSG_MAX];
};

/* Fill e (may be NULL) and return false, so that a caller can write
 * `return err_set(e, ERR_IO, "...")`. A longer text is cut at ERR_MSG_MAX. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_FMT(3, 4);

/* As err_set, with errno's text appended after ": ". */
bool err_errno(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_FMT(3, 4);

/* Put "text: " before the message already there; returns false as well. */
bool err_prefix(struct err *e, const char *fmt, ...) PRINTF_FMT(2, 3);

#ifdef TANDEM_LINT /* for tools that read one file at a time: what these return is known */
#define err_set(...) ((void)err_set(__VA_ARGS__), false)
#define err_errno(...) ((void)err_errno(__VA_ARGS__), false)
#define err_prefix(...) ((void)err_prefix(__VA_ARGS__), false)
#endif

/* Forget what e holds. */
void err_clear(struct err *e);

#endif
