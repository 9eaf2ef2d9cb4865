/* The process at the operating system: what must be so before any other code runs, and what
 * differs between platforms there. */
#ifndef TANDEM_BASE_PROCESS_H
#define TANDEM_BASE_PROCESS_H

#include "base/err.h"

/* Call first in main. File descriptors 0 to 2 are open (a socket or database must not become
 * stdout), new files are private, SIGPIPE is ignored, no core is written and no other process of
 * this user may read the memory (keys), and no environment variable leads connections through a
 * proxy or writes TLS keys. */
void process_prepare(void);

/* Give freed memory back to the system (after a large group); does nothing where there is no way. */
void process_trim_memory(void);

/* Make the directory and the missing ones above it, mode 0700. One that exists is left alone. */
MUST_CHECK bool process_make_directory(const char *path, struct err *e);

#endif
