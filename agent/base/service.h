/* What a service manager is told of the daemon: the protocol of sd_notify(3), one datagram to $NOTIFY_SOCKET. Its own
 * few lines and not libsystemd: the protocol is stable by promise and this is all that is needed of it, and the library
 * would bring itself and three more (lzma, lz4, gcrypt) into a process that holds keys and listens on a network. */
#ifndef TANDEM_BASE_SERVICE_H
#define TANDEM_BASE_SERVICE_H

#include <stdint.h>

/* Look whether there is somebody to tell. Call once, before threads: what this reads is taken out of the environment,
 * so that no command that is run later speaks in our place. */
void service_begin(void);
/* Everything listens; at the start, and after service_reloading. */
void service_ready(void);
/* agent.conf is read again; up to limit_ms may pass until service_ready, without a sign of life. */
void service_reloading(int64_t limit_ms);
void service_stopping(void);
/* One line for people ("systemctl status"); control characters are left out. */
void service_status(const char *line);
/* How often service_alive is to be called by what is to be alive; 0: nobody watches. */
int64_t service_watch_ms(void);
void service_alive(void);

#endif
