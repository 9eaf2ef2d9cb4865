/* One line an event: time, level, peer, text. Control characters are escaped.
 * Only the top layers (sync/, net/, app/) log; lower ones return struct err. */
#ifndef TANDEM_BASE_LOG_H
#define TANDEM_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines go. */
struct log_options {
	enum log_level level;
	const char *target; /* "stderr", "syslog" or "file PATH"; borrowed during log_open */
	uint64_t max_bytes; /* of a file before it is put aside (base/logfile); 0: never */
	unsigned keep;
};
/* While the process has one thread. What cannot be opened leaves the log as it was. On stderr, when that is the journal
 * of systemd, lines begin with their priority (sd-daemon(3)) and leave the time to it. */
MUST_CHECK bool log_open(const struct log_options *o, struct err *e);
void log_close(void);
/* Lower or raise the level afterwards (-q, -v). */
void log_set_level(enum log_level level);
bool log_wants(enum log_level level);

/* peer may be NULL. Safe from any thread. */
void log_line(enum log_level level, const char *peer, const char *fmt, ...) PRINTF_FMT(3, 4);

#define log_error(peer, ...) log_line(LOG_LEVEL_ERROR, peer, __VA_ARGS__)
#define log_warning(peer, ...) log_line(LOG_LEVEL_WARNING, peer, __VA_ARGS__)
#define log_info(peer, ...) log_line(LOG_LEVEL_INFO, peer, __VA_ARGS__)
#define log_debug(peer, ...) log_line(LOG_LEVEL_DEBUG, peer, __VA_ARGS__)

#endif
