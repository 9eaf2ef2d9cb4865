/* A log file that several threads and programs append to whole lines, and that is put aside when it has grown: PATH
 * becomes PATH.1, that PATH.2, and so on, the last one goes. Whoever else renames or removes it (logrotate, a person) is
 * noticed with the next line: nobody has to send a signal. */
#ifndef TANDEM_BASE_LOGFILE_H
#define TANDEM_BASE_LOGFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	LOGFILE_KEEP_MAX = 1000 /* files put aside */
};

struct logfile;

/* max_bytes 0: never put aside. Refused (ERR_CONFIG): what cannot be written, links, what is no regular file. */
MUST_CHECK bool logfile_open(const char *path, uint64_t max_bytes, unsigned keep, struct logfile **out, struct err *e);
void logfile_close(struct logfile *f);
/* One line with its line feed, in one write(2). What cannot be written (disk full) is lost: there is nobody to tell. */
void logfile_put(struct logfile *f, const char *line, size_t len);

#endif
