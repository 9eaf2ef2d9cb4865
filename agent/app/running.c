/* The running daemon. Lives here: the lock that it holds in state_dir, from which the system tells its
 * process id as long as it lives (a file with a number in it would go on naming a dead one). Not here:
 * what the daemon does on SIGHUP (app/serve). */
#include "config.h"

#include "app/running.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/log.h"

enum {
	LOCK_PATH_MAX = 4096
};

static int
open_lock(const struct conf *conf, int flags)
{
	char path[LOCK_PATH_MAX];

	if ((size_t)snprintf(path, sizeof path, "%s/serve.lock", conf->node.state_dir) >= sizeof path)
		return -1;
	return open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, S_IRUSR | S_IWUSR);
}

void
running_begin(const struct conf *conf)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_lock(conf, O_CREAT);

	/* The descriptor stays open: closing it would end the lock. */
	if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0)
		log_warning(NULL, "%s/serve.lock: %s; agent --pair will not find this daemon", conf->node.state_dir, strerror(errno));
}

static pid_t
holder(const struct conf *conf)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_lock(conf, 0);
	pid_t pid = 0;

	if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		pid = lock.l_pid;
	if (fd >= 0)
		(void)close(fd);
	return pid;
}

bool
running_is(const struct conf *conf)
{
	return holder(conf) > 0;
}

bool
running_reload(const struct conf *conf)
{
	pid_t pid = holder(conf);

	return pid > 0 && kill(pid, SIGHUP) == 0;
}
