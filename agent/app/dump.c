/* mariadb-dump. Lives here: running it without a shell, its account in a file that nobody can open, what it says when it
 * fails. */
#include "config.h"

#include "app/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/command.h"
#include "base/disk.h"
#include "base/text.h"

enum {
	CHILD_FILES = 4,
	ACCOUNT_MAX = 8192,
	COMPLAINT_MAX = 300 /* bytes of what it says on stderr that go into our message */
};

/* A value of an option file: quoted, and what quotes would not keep escaped. */
static void
put_value(struct buf *out, const char *name, const char *value)
{
	buf_fmt(out, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			buf_char(out, '\\');
		buf_char(out, *value);
	}
	buf_str(out, "\"\n");
}

/* A file of ours without a name; mode 0600. */
static int
unnamed(const char *directory, struct err *e)
{
	char path[4096];
	int fd;

	if (snprintf(path, sizeof path, "%s/dump-XXXXXX", directory) >= (int)sizeof path)
		return err_set(e, ERR_CONFIG, "[node] state_dir is too long"), -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, ERR_IO, "cannot make a file in [node] state_dir %s", directory), -1;
	(void)unlink(path);
	return fd;
}

static int
write_account(const struct conf_database *db, const char *directory, struct err *e)
{
	struct buf text;
	int fd = unnamed(directory, e);
	bool ok;

	if (fd < 0)
		return -1;
	buf_init(&text, ACCOUNT_MAX);
	buf_str(&text, "[client]\n");
	put_value(&text, "user", db->user);
	put_value(&text, "password", db->password);
	if (db->socket[0] != '\0')
		put_value(&text, "socket", db->socket);
	else {
		put_value(&text, "host", db->host);
		buf_fmt(&text, "port=%u\nprotocol=tcp\n", db->port);
	}
	ok = buf_check(&text, "the account of mariadb-dump", e) &&
	    (disk_write_at(fd, text.data, text.len, 0) || err_errno(e, ERR_IO, "cannot write a file in [node] state_dir"));
	if (text.data != NULL)
		text_wipe(text.data, text.len);
	buf_free(&text);
	if (ok)
		return fd;
	(void)close(fd);
	return -1;
}

/* What the child has of ours: nothing to read, the dump as stdout, complaints as stderr, its account as descriptor 3. */
static bool
start(const char *program, const struct conf_database *db, const int fds[CHILD_FILES], pid_t *child)
{
	char defaults[] = "--defaults-file=/dev/fd/3", *database = db->name;
	char single[] = "--single-transaction", quick[] = "--quick", triggers[] = "--triggers", hex[] = "--hex-blob", charset[] = "--default-character-set=utf8mb4", *name = strdup(program), end[] = "--";
	char *argv[] = { name, defaults, single, quick, triggers, hex, charset, end, database, NULL };
	int why = name == NULL ? ENOMEM : command_start(child, argv, NULL, fds, CHILD_FILES, false);

	free(name);
	errno = why;
	return why == 0;
}

static int
got(int fd, struct err *e)
{
	if (fd < 0)
		(void)err_errno(e, ERR_IO, "no descriptor for mariadb-dump");
	return fd;
}

/* The same file under a number above those that the child's are given. */
static int
raised(int fd, struct err *e)
{
	int high = fd < 0 ? -1 : got(fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FILES), e);

	if (fd >= 0)
		(void)close(fd);
	return high;
}

static bool
complain(int complaints, int status, struct err *e)
{
	char said[COMPLAINT_MAX + 1] = "", line[COMPLAINT_MAX * 2];
	ssize_t n = pread(complaints, said, COMPLAINT_MAX, 0);

	said[n < 0 ? 0 : n] = '\0';
	said[strcspn(said, "\n")] = '\0';
	(void)text_escape(said, strlen(said), line, COMPLAINT_MAX);
	return err_set(e, ERR_DB, "mariadb-dump failed (%s %d): %s", WIFSIGNALED(status) ? "signal" : "exit code",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), line);
}

bool
dump_run(const struct conf_database *db, const char *directory, int out, struct err *e)
{
	static const char *const programs[] = { "mariadb-dump", "mysqldump" };
	int fds[CHILD_FILES] = { raised(got(open("/dev/null", O_RDONLY | O_CLOEXEC), e), e), raised(got(fcntl(out, F_DUPFD_CLOEXEC, 0), e), e),
		raised(unnamed(directory, e), e), raised(write_account(db, directory, e), e) };
	bool ok = false;
	pid_t child = -1;
	int status = 0;

	for (size_t i = 0; i < CHILD_FILES; i++)
		if (fds[i] < 0)
			goto out;
	for (size_t i = 0; !ok && i < sizeof programs / sizeof programs[0]; i++)
		ok = start(programs[i], db, fds, &child);
	if (!ok) {
		(void)err_errno(e, ERR_CONFIG, "mariadb-dump cannot be run; on Debian: apt-get install mariadb-client");
		goto out;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	ok = (WIFEXITED(status) && WEXITSTATUS(status) == 0) || complain(fds[2], status, e);
out:
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	return ok;
}
