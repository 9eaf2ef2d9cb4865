/* mariadb-dump. Lives here: running it without a shell, its account in a file that nobody can open, what it says when it
 * fails. */
#include "config.h"

#include "app/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/disk.h"
#include "base/text.h"

extern char **environ;

enum {
	CHILD_ACCOUNT = 3,  /* the child's descriptor of the file with its account */
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

/* What the child has of ours: the dump as stdout, complaints as stderr, its account as descriptor 3. dup2 takes close-on-exec
 * off, except from a descriptor onto itself; ours are all above 3 by then. */
static bool
start(const char *program, const struct conf_database *db, const int fds[3], pid_t *child)
{
	char defaults[] = "--defaults-file=/dev/fd/3", *database = db->name;
	char single[] = "--single-transaction", quick[] = "--quick", triggers[] = "--triggers", hex[] = "--hex-blob", charset[] = "--default-character-set=utf8mb4", *name = strdup(program), end[] = "--";
	char *argv[] = { name, defaults, single, quick, triggers, hex, charset, end, database, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all;
	int error = name == NULL ? ENOMEM : posix_spawn_file_actions_init(&actions);

	if (error == 0) {
		(void)sigemptyset(&all);
		(void)sigaddset(&all, SIGPIPE); /* we ignore it, and a child would inherit that */
		(void)posix_spawnattr_init(&attributes);
		(void)posix_spawnattr_setsigdefault(&attributes, &all);
		(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
		(void)posix_spawn_file_actions_adddup2(&actions, fds[0], STDOUT_FILENO);
		(void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
		(void)posix_spawn_file_actions_adddup2(&actions, fds[2], CHILD_ACCOUNT);
		error = posix_spawnp(child, program, &actions, &attributes, argv, environ);
		(void)posix_spawn_file_actions_destroy(&actions);
		(void)posix_spawnattr_destroy(&attributes);
	}
	free(name);
	errno = error;
	return error == 0;
}

/* The same file under a number above those that the child's are given. */
static int
raised(int fd)
{
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, CHILD_ACCOUNT + 1);

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
	int fds[3] = { raised(dup(out)), raised(unnamed(directory, e)), raised(write_account(db, directory, e)) };
	bool ok = false;
	pid_t child = -1;
	int status = 0;

	if (fds[0] < 0 || fds[1] < 0 || fds[2] < 0)
		goto out;
	for (size_t i = 0; !ok && i < sizeof programs / sizeof programs[0]; i++)
		ok = start(programs[i], db, fds, &child);
	if (!ok) {
		(void)err_errno(e, ERR_CONFIG, "mariadb-dump cannot be run; on Debian: apt-get install mariadb-client");
		goto out;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	ok = (WIFEXITED(status) && WEXITSTATUS(status) == 0) || complain(fds[1], status, e);
out:
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	return ok;
}
