/* The log. Lives here: levels, the line's form, where it goes. Not here: what is worth a line
 * (sync/, net/, app/), and the terminal's messages of a verb (app/main). */
#include "config.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/logfile.h"
#include "base/text.h"

enum {
	LOG_TEXT_MAX = 2048, /* bytes of one event's text before escaping */
	LOG_LINE_MAX = 4096, /* one line in one write(2): PIPE_BUF on Linux, so that the lines of two
				threads or programs do not mix even in a pipe */
};

static const struct {
	const char *word;
	int priority; /* syslog's */
} level_of[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

/* The one log of the process. What is behind the level is set by log_open while there is one thread. */
static struct {
	atomic_int level;
	struct logfile *file; /* NULL: stderr or syslog */
	bool to_syslog, to_journal;
} state = { .level = LOG_LEVEL_INFO };

/* Is our stderr the stream that systemd made for us? A child's need not be, though the variable is inherited. */
static bool
is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	(void)snprintf(here, sizeof here, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, here) == 0;
}

bool
log_open(const struct log_options *o, struct err *e)
{
	static const char file[] = "file ";

	bool to_stderr = strcmp(o->target, "stderr") == 0, to_syslog = strcmp(o->target, "syslog") == 0;
	struct logfile *next = NULL;

	if (strncmp(o->target, file, sizeof file - 1) == 0) {
		if (!logfile_open(o->target + sizeof file - 1, o->max_bytes, o->keep, &next, e))
			return false;
	} else if (!to_stderr && !to_syslog)
		return err_set(e, ERR_CONFIG, "log target must be stderr, syslog or file PATH, not \"%.60s\"", o->target);
	log_close();
	log_set_level(o->level);
	state.file = next;
	state.to_journal = to_stderr && is_journal();
	state.to_syslog = to_syslog;
	if (to_syslog)
		openlog("agent", LOG_PID, LOG_DAEMON);
	return true;
}

void
log_close(void)
{
	if (state.to_syslog)
		closelog();
	logfile_close(state.file);
	state.file = NULL;
	state.to_syslog = state.to_journal = false;
}

void
log_set_level(enum log_level level)
{
	atomic_store(&state.level, (int)level);
}

bool
log_wants(enum log_level level)
{
	return (int)level <= atomic_load(&state.level);
}

/* "2026-11-21T02:03:04.123Z" */
static void
stamp(char *out, size_t size)
{
	int64_t us = clock_wall_us();
	time_t s = (time_t)(us / 1000000);
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL)
		memset(&tm, 0, sizeof tm);
	(void)snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us / 1000 % 1000));
}

/* A log that cannot be written (disk full, reader gone) has nobody to be told: the line is lost. */
static void
write_line(const char *line, size_t len)
{
	if (state.file != NULL) {
		logfile_put(state.file, line, len);
		return;
	}
	(void)disk_write(STDERR_FILENO, line, len);
}

/* "peer=anna " and the text, escaped; returns the length. */
static size_t
body(char *out, size_t size, const char *peer, const char *text)
{
	size_t len = 0;

	if (peer != NULL && peer[0] != '\0') {
		static const char key[] = "peer=";

		memcpy(out, key, sizeof key - 1);
		len = sizeof key - 1;
		len += text_escape(peer, strlen(peer), out + len, size / 4);
		out[len++] = ' ';
	}
	return len + text_escape(text, strlen(text), out + len, size - len);
}

void
log_line(enum log_level level, const char *peer, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX], line[LOG_LINE_MAX], when[64];
	int saved = errno; /* a caller may log between a failure and its look at errno */
	int made;
	size_t len = 0;
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	made = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (made < 0)
		text[0] = '\0';
	else if ((size_t)made >= sizeof text)
		memcpy(text + sizeof text - 4, "...", 4); /* show the cut */
	if (state.to_journal)
		len = (size_t)snprintf(line, 128, "<%d>%s ", level_of[level].priority, level_of[level].word);
	else if (!state.to_syslog) {
		stamp(when, sizeof when);
		len = (size_t)snprintf(line, 128, "%s %s ", when, level_of[level].word);
	}
	len += body(line + len, sizeof line - len - 1, peer, text); /* 1: the line feed */
	if (state.to_syslog) {
		syslog(level_of[level].priority, "%s", line);
	} else {
		line[len++] = '\n';
		write_line(line, len);
	}
	errno = saved;
}
