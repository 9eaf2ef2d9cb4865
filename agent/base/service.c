/* The service manager. Lives here: its socket, its words. Not here: when they are said (app/serve). */
#include "base/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

enum {
	STATUS_MAX = 240,
	TOLD_MAX = 512
};

/* Set by service_begin before there are threads. */
static struct {
	struct sockaddr_un address;
	socklen_t len; /* 0: nobody is to be told */
	uint64_t watch_us;
	bool patient; /* the time between two signs of life was made longer */
} manager;

/* An absolute path, or @ and a name that is in no file system. */
static void
set_address(const char *path)
{
	size_t len = path == NULL ? 0 : strlen(path);

	if (len < 2 || len >= sizeof manager.address.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	manager.address.sun_family = AF_UNIX;
	memcpy(manager.address.sun_path, path, len + 1);
	manager.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		manager.address.sun_path[0] = '\0';
	else
		manager.len++;
}

void
service_begin(void)
{
	const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	set_address(getenv("NOTIFY_SOCKET"));
	if (us != NULL && (pid == NULL || strtoumax(pid, NULL, 10) == (uintmax_t)getpid()))
		manager.watch_us = strtoumax(us, NULL, 10);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

/* A manager that does not listen is no reason to do anything else. */
static void
tell(const char *text)
{
	int fd;

	if (manager.len == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	while (sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&manager.address, manager.len) < 0 && errno == EINTR)
		continue;
	(void)close(fd);
}

void
service_ready(void)
{
	char text[TOLD_MAX] = "READY=1";

	if (manager.patient)
		(void)snprintf(text, sizeof text, "READY=1\nWATCHDOG_USEC=%" PRIu64, manager.watch_us);
	manager.patient = false;
	tell(text);
}

void
service_reloading(int64_t limit_ms)
{
	char text[TOLD_MAX] = "RELOADING=1";
	uint64_t limit_us = (uint64_t)limit_ms * 1000;

	manager.patient = manager.watch_us > 0 && manager.watch_us < limit_us;
	if (manager.patient)
		(void)snprintf(text, sizeof text, "RELOADING=1\nWATCHDOG_USEC=%" PRIu64, limit_us);
	tell(text);
}

void
service_stopping(void)
{
	tell("STOPPING=1");
}

void
service_status(const char *line)
{
	char text[TOLD_MAX] = "STATUS=", *at = text + strlen(text);

	(void)text_escape(line, strlen(line), at, STATUS_MAX);
	tell(text);
}

int64_t
service_watch_ms(void)
{
	return manager.len == 0 || manager.watch_us == 0 ? 0 : manager.watch_us < 4000 ? 1 : (int64_t)(manager.watch_us / 2000);
}

void
service_alive(void)
{
	tell("WATCHDOG=1");
}
