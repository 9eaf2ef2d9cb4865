/* Running a command. Lives here: starting it, words, pipes, waiting. Not here: when and what for (app/notice, app/dump). posix_spawn, since
 * a fork of a process with threads may not do much before exec. */
#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

enum {
	LOOK_MS = 20,  /* between two looks whether it has ended */
	HEARD_MAX = 64, /* pieces of what it says that are read between two: who never stops talking is ended in time, too */
	SAID_MAX = 300 /* the end of what it said, for the message */
};

/* One run. */
struct run {
	const struct command *c;
	pid_t pid;
	int in, out; /* our ends; -1: closed */
	size_t given;
	char said[SAID_MAX + 1];
	size_t nsaid;
	int status; /* waitpid's */
};

static void
drop(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* --- beginning --- */

/* The words of text, which is cut up. */
static bool
split(char *text, char *words[COMMAND_WORDS_MAX + 1], struct err *e)
{
	char *rest = NULL;
	size_t n = 0;

	for (char *w = strtok_r(text, " \t", &rest); w != NULL; w = strtok_r(NULL, " \t", &rest)) {
		if (n == COMMAND_WORDS_MAX)
			return err_set(e, ERR_CONFIG, "more than %d words: put them into a script", COMMAND_WORDS_MAX);
		words[n++] = w;
	}
	words[n] = NULL;
	return n > 0 || err_set(e, ERR_CONFIG, "no command");
}

static bool
names_same(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n + 1) == 0;
}

/* Our environment with the settings in it; the array alone is the caller's. */
static char **
make_environment(const struct command *c)
{
	size_t n = 0, used = 0;
	char **all;

	while (environ[n] != NULL)
		n++;
	all = calloc(n + COMMAND_SETTINGS_MAX + 1, sizeof *all);
	for (size_t i = 0; all != NULL && i < n; i++) {
		bool ours = false;

		for (size_t k = 0; c->settings[k] != NULL; k++)
			ours = ours || names_same(c->settings[k], environ[i]);
		if (!ours)
			all[used++] = environ[i];
	}
	for (size_t k = 0; all != NULL && c->settings[k] != NULL && k < COMMAND_SETTINGS_MAX; k++)
		memcpy(&all[used++], &c->settings[k], sizeof *all); /* exec takes texts that it never changes as not constant */
	return all;
}

int
command_start(pid_t *pid, char *const words[], char *const env[], const int *files, int nfiles, bool group)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t how;
	sigset_t all, none;
	int why = 0;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&how) != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	for (int i = 0; i < nfiles && why == 0; i++)
		why = posix_spawn_file_actions_adddup2(&actions, files[i], i);
	why = why != 0 ? why : posix_spawn_file_actions_addclosefrom_np(&actions, nfiles);
	why = why != 0 ? why : posix_spawnattr_setflags(&how, (short)((group ? POSIX_SPAWN_SETPGROUP : 0) | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
	why = why != 0 ? why : posix_spawnattr_setpgroup(&how, 0);
	why = why != 0 ? why : posix_spawnattr_setsigdefault(&how, &all);
	why = why != 0 ? why : posix_spawnattr_setsigmask(&how, &none);
	why = why != 0 ? why : posix_spawnp(pid, words[0], &actions, &how, words, env == NULL ? environ : env);
	(void)posix_spawnattr_destroy(&how);
	(void)posix_spawn_file_actions_destroy(&actions);
	return why;
}

static bool
begin(struct run *r, char *const words[], struct err *e)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	char **env = make_environment(r->c);
	bool ok = false;
	int why;

	if (env == NULL) {
		(void)err_set(e, ERR_MEMORY, "out of memory for a command");
		goto out;
	}
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || fcntl(in[1], F_SETFL, O_NONBLOCK) != 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) != 0) {
		(void)err_errno(e, ERR_IO, "no pipe to it");
		goto out;
	}
	why = command_start(&r->pid, words, env, (const int[]){ in[0], out[1], out[1] }, 3, true);
	if (why != 0) {
		errno = why;
		(void)err_errno(e, ERR_IO, "%s cannot be run", words[0]);
		goto out;
	}
	r->in = in[1];
	r->out = out[0];
	in[1] = out[0] = -1;
	ok = true;
out:
	for (int i = 0; i < 2; i++) {
		drop(&in[i]);
		drop(&out[i]);
	}
	free(env);
	return ok;
}

/* --- while it runs --- */

static void
give(struct run *r)
{
	ssize_t n = write(r->in, r->c->input + r->given, r->c->input_len - r->given);

	if (n > 0)
		r->given += (size_t)n;
	if (r->given == r->c->input_len || (n < 0 && errno != EAGAIN && errno != EINTR)) /* who does not read it need not */
		drop(&r->in);
}

/* Keep the end of what it says. */
static void
hear(struct run *r)
{
	char text[512];
	ssize_t n = 1;

	for (int i = 0; i < HEARD_MAX && (n = read(r->out, text, sizeof text)) > 0; i++) {
		size_t len = (size_t)n, keep;

		if (len > SAID_MAX)
			len = SAID_MAX;
		keep = r->nsaid + len > SAID_MAX ? SAID_MAX - len : r->nsaid;
		memmove(r->said, r->said + (r->nsaid - keep), keep);
		memcpy(r->said + keep, text + ((size_t)n - len), len);
		r->nsaid = keep + len;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		drop(&r->out);
}

static bool
has_ended(struct run *r)
{
	pid_t got = waitpid(r->pid, &r->status, WNOHANG);

	return got == r->pid || (got < 0 && errno == ECHILD);
}

static void
kill_all(struct run *r)
{
	(void)kill(-r->pid, SIGKILL);
	while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
		continue;
}

/* Until its end. What it left running in the background may keep the pipe open, and is not waited for. */
static bool
wait_for(struct run *r, struct err *e)
{
	int64_t until = clock_mono_ms() + r->c->limit_ms;

	while (!has_ended(r)) {
		struct pollfd fds[2] = { { .fd = r->in, .events = POLLOUT }, { .fd = r->out, .events = POLLIN } };

		if (r->c->stop != NULL && atomic_load(r->c->stop)) {
			kill_all(r);
			return err_set(e, ERR_STOPPED, "stopped");
		}
		if (clock_mono_ms() >= until) {
			kill_all(r);
			return err_set(e, ERR_IO, "it took longer than %lld s and was ended", (long long)(r->c->limit_ms / 1000));
		}
		if (r->in < 0 && r->out < 0) /* nothing to poll: it closed both, and lives on */
			clock_nap_ms(LOOK_MS);
		else
			(void)poll(fds, 2, LOOK_MS);
		if (fds[0].revents != 0)
			give(r);
		if (fds[1].revents != 0)
			hear(r);
	}
	if (r->out >= 0)
		hear(r);
	return true;
}

static bool
judge(struct run *r, struct err *e)
{
	while (r->nsaid > 0 && (r->said[r->nsaid - 1] == '\n' || r->said[r->nsaid - 1] == ' '))
		r->nsaid--;
	r->said[r->nsaid] = '\0';
	if (WIFSIGNALED(r->status))
		return err_set(e, ERR_IO, "it was ended by signal %d: %s", WTERMSIG(r->status), r->said);
	if (WEXITSTATUS(r->status) != 0)
		return err_set(e, ERR_IO, "it ended with %d: %s", WEXITSTATUS(r->status), r->said);
	return true;
}

bool
command_run(const struct command *c, struct err *e)
{
	struct run r = { .c = c, .in = -1, .out = -1 };
	char *words[COMMAND_WORDS_MAX + 1], *text = strdup(c->text);
	bool ok;

	if (text == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a command");
	ok = split(text, words, e) && begin(&r, words, e) && wait_for(&r, e) && judge(&r, e);
	drop(&r.in);
	drop(&r.out);
	free(text);
	return ok;
}
