/* The process and its surroundings. Lives here: descriptors, umask, signals, core dumps,
 * environment, directories. Not here: threads (db/job), the event loop's signals (app/). */
#include "config.h"

#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#if defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer)
#define UNDER_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__) /* gcc */
#define UNDER_ADDRESS_SANITIZER
#endif

enum {
	DIRECTORY_MODE = 0700
};

/* Read by libcurl and libssl behind our back. */
static const char *const unwanted[] = {
	"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ftp_proxy", "FTP_PROXY",
	"all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "ws_proxy", "WS_PROXY", "wss_proxy",
	"WSS_PROXY", "SSLKEYLOGFILE",
};

/* open gives the lowest free number, so the loop fills exactly the holes. */
static void
fill_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			_exit(EXIT_FAILURE); /* nowhere to say why */
}

static void
forbid_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	/* The leak checker of sanitized builds reads its own process as a debugger does. */
#if defined(__linux__) && !defined(UNDER_ADDRESS_SANITIZER)
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void
process_prepare(void)
{
	fill_descriptors();
	(void)umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	forbid_dumps();
	for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++)
		(void)unsetenv(unwanted[i]);
}

static bool
make_one(const char *path, const char *whole, struct err *e)
{
	struct stat st;
	int why;

	if (mkdir(path, DIRECTORY_MODE) == 0)
		return true;
	why = errno; /* not always EEXIST for one that exists: EROFS, EACCES */
	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ||
		    err_set(e, ERR_CONFIG, "%s is no directory; %s cannot be made", path, whole);
	errno = why;
	return err_errno(e, ERR_CONFIG, "cannot make the directory %s", whole);
}

bool
process_make_directory(const char *path, struct err *e)
{
	char *part = strdup(path);
	bool ok = true;

	if (part == NULL)
		return err_set(e, ERR_MEMORY, "out of memory");
	for (char *p = part; ok && *p != '\0'; p++) {
		if (*p != '/' || p == part)
			continue;
		*p = '\0';
		ok = make_one(part, path, e);
		*p = '/';
	}
	if (ok)
		ok = make_one(part, path, e);
	free(part);
	return ok;
}

void
process_trim_memory(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}
