/* A call fails that never fails: the n-th of its kind in this process, once. Lives here: stand-ins
 * for the fallible calls of libc and the libraries, put in their places by the linker (--wrap) when
 * the agent is linked once more as tests/torture/agent. Not here: what is done with it
 * (scripts/torture). The agent itself has no trace of this.
 *
 * TANDEM_TORTURE=KIND:N   the N-th call of the kind fails; kinds: see below
 * TANDEM_TORTURE_LOG=FILE what failed, with the way there, is appended; without TANDEM_TORTURE the
 *                         number of calls of each kind, when the process ends in order */
#include "config.h"

#include <curl/curl.h>
#include <errno.h>
#include <errmsg.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <execinfo.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <mysql.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum kind {
	KIND_ALLOC,	/* memory, and what libraries make of it: there is none */
	KIND_FILES,	/* open, read, write, fsync and the like: the disk is full */
	KIND_SQL,	/* a statement: refused, the table space is full */
	KIND_BUSY,	/* a statement: lock wait timeout, which takes back this statement alone */
	KIND_LOST,	/* the connection to the database ends before a statement */
	KIND_UNSURE, /* the connection ends when the statement is done, before the answer is read */
	KIND_NET,	/* the connection to a peer ends */
	KIND_THREAD, /* no thread can be started */
	KINDS
};

enum {
	DEPTH = 24, /* frames of the way there that are noted */
	NO_SPACE = 1114, /* ER_RECORD_FILE_FULL */
	LOCK_WAIT = 1205, /* ER_LOCK_WAIT_TIMEOUT */
};

static const char *const names[KINDS] = { "alloc", "files", "sql", "busy", "lost", "unsure", "net", "thread" };
static unsigned long counts[KINDS];
static enum kind chosen = KINDS;
static unsigned long chosen_n;
static const char *note_path;
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* What mysql_errno() has to say of a statement that never was. */
static _Thread_local unsigned sql_errno;

/* The linker's names: the real function, and what stands in its place. */
#define REAL(type, name, ...) \
	extern type __real_##name(__VA_ARGS__); \
	extern type __wrap_##name(__VA_ARGS__)

static void
note_counts(void)
{
	char line[128];
	int fd = open(note_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	for (int i = 0; fd >= 0 && i < KINDS; i++) {
		int len = snprintf(line, sizeof line, "%s %lu\n", names[i], counts[i]);

		if (write(fd, line, (size_t)len) != len)
			break;
	}
	if (fd >= 0)
		(void)close(fd);
}

static void
begin(void)
{
	const char *wish = getenv("TANDEM_TORTURE"), *colon = wish == NULL ? NULL : strchr(wish, ':');

	note_path = getenv("TANDEM_TORTURE_LOG");
	for (int i = 0; colon != NULL && i < KINDS; i++)
		if (strlen(names[i]) == (size_t)(colon - wish) && strncmp(wish, names[i], strlen(names[i])) == 0)
			chosen = (enum kind)i;
	if (chosen != KINDS)
		chosen_n = strtoul(colon + 1, NULL, 10);
	else if (note_path != NULL)
		(void)atexit(note_counts);
}

static void
note_way(enum kind kind, const char *what)
{
	void *frames[DEPTH];
	char line[128];
	int fd = note_path == NULL ? -1 : open(note_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int len = snprintf(line, sizeof line, "failed: %s %lu, %s\n", names[kind], chosen_n, what);

	if (fd < 0)
		return;
	if (write(fd, line, (size_t)len) == len)
		backtrace_symbols_fd(frames, backtrace(frames, DEPTH), fd);
	(void)close(fd);
}

/* Is it this call's turn to fail? */
static bool
fails(enum kind kind, const char *what)
{
	static _Thread_local bool inside;
	bool turn;

	if (inside)
		return false;
	inside = true;
	(void)pthread_once(&once, begin);
	turn = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_RELAXED) == chosen_n && kind == chosen;
	if (turn)
		note_way(kind, what);
	inside = false;
	return turn;
}

/* --- memory --- */

REAL(void *, malloc, size_t);
REAL(void *, calloc, size_t, size_t);
REAL(void *, realloc, void *, size_t);
REAL(char *, strdup, const char *);
REAL(char *, strndup, const char *, size_t);

static void *
no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

void *
__wrap_malloc(size_t n)
{
	return fails(KIND_ALLOC, "malloc") ? no_memory() : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails(KIND_ALLOC, "calloc") ? no_memory() : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return fails(KIND_ALLOC, "realloc") ? no_memory() : __real_realloc(p, n);
}

char *
__wrap_strdup(const char *s)
{
	return fails(KIND_ALLOC, "strdup") ? no_memory() : __real_strdup(s);
}

char *
__wrap_strndup(const char *s, size_t n)
{
	return fails(KIND_ALLOC, "strndup") ? no_memory() : __real_strndup(s, n);
}

/* What a library makes, and cannot without memory: the call is not made at all. */
#define MAKER(type, name, declared, passed) \
	extern type __real_##name declared; \
	extern type __wrap_##name declared; \
	type __wrap_##name declared \
	{ \
		return fails(KIND_ALLOC, #name) ? no_memory() : __real_##name passed; \
	} \
	extern type __wrap_##name declared

MAKER(MYSQL *, mysql_init, (MYSQL *m), (m));
MAKER(MYSQL_STMT *, mysql_stmt_init, (MYSQL *m), (m));
MAKER(struct json_object *, json_object_new_object, (void), ());
MAKER(struct json_object *, json_object_new_string, (const char *s), (s));
MAKER(struct json_tokener *, json_tokener_new_ex, (int depth), (depth));
MAKER(const char *, json_object_to_json_string_ext, (struct json_object *o, int flags), (o, flags));
MAKER(CURL *, curl_easy_init, (void), ());
MAKER(CURLM *, curl_multi_init, (void), ());
MAKER(struct curl_slist *, curl_slist_append, (struct curl_slist *l, const char *s), (l, s));
MAKER(ZSTD_CCtx *, ZSTD_createCCtx, (void), ());
MAKER(ZSTD_DCtx *, ZSTD_createDCtx, (void), ());
MAKER(EVP_MD_CTX *, EVP_MD_CTX_new, (void), ());
MAKER(struct event_base *, event_base_new, (void), ());
MAKER(struct event *, event_new, (struct event_base *b, evutil_socket_t fd, short what, event_callback_fn f, void *arg), (b, fd, what, f, arg));
MAKER(struct evhttp *, evhttp_new, (struct event_base *b), (b));
MAKER(struct evbuffer *, evbuffer_new, (void), ());

REAL(unsigned char *, evbuffer_pullup, struct evbuffer *, ev_ssize_t);

/* A buffer that is in one piece already takes no memory, and cannot fail. */
unsigned char *
__wrap_evbuffer_pullup(struct evbuffer *b, ev_ssize_t n)
{
	bool whole = evbuffer_get_contiguous_space(b) == evbuffer_get_length(b);

	return !whole && fails(KIND_ALLOC, "evbuffer_pullup") ? no_memory() : __real_evbuffer_pullup(b, n);
}

/* The same for calls that say -1, or another number, when there is no memory. */
#define TAKER(kind, type, name, declared, passed, failure) \
	extern type __real_##name declared; \
	extern type __wrap_##name declared; \
	type __wrap_##name declared \
	{ \
		return fails(kind, #name) ? (failure) : __real_##name passed; \
	} \
	extern type __wrap_##name declared

TAKER(KIND_ALLOC, int, json_object_object_add, (struct json_object *o, const char *k, struct json_object *v), (o, k, v), -1);
TAKER(KIND_ALLOC, int, evhttp_add_header, (struct evkeyvalq *h, const char *k, const char *v), (h, k, v), -1);
TAKER(KIND_ALLOC, int, evbuffer_add, (struct evbuffer *b, const void *data, size_t n), (b, data, n), -1);
TAKER(KIND_ALLOC, int, evbuffer_add_buffer, (struct evbuffer *to, struct evbuffer *from), (to, from), -1);
TAKER(KIND_ALLOC, CURLMcode, curl_multi_add_handle, (CURLM *m, CURL *c), (m, c), CURLM_OUT_OF_MEMORY);
TAKER(KIND_ALLOC, int, EVP_DigestInit_ex, (EVP_MD_CTX *c, const EVP_MD *md, ENGINE *g), (c, md, g), 0);

/* --- threads --- */

TAKER(KIND_THREAD, int, pthread_create, (pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg), (t, a, f, arg), EAGAIN);

/* --- files --- */

static int
no_space(void)
{
	errno = ENOSPC;
	return -1;
}

TAKER(KIND_FILES, ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n), no_space());
TAKER(KIND_FILES, ssize_t, read, (int fd, void *data, size_t n), (fd, data, n), no_space());
TAKER(KIND_FILES, ssize_t, pread, (int fd, void *data, size_t n, off_t at), (fd, data, n, at), no_space());
TAKER(KIND_FILES, int, fsync, (int fd), (fd), no_space());
TAKER(KIND_FILES, int, mkostemp, (char *path, int flags), (path, flags), no_space());
TAKER(KIND_FILES, int, unlink, (const char *path), (path), no_space());
TAKER(KIND_FILES, int, mkdir, (const char *path, mode_t mode), (path, mode), no_space());
TAKER(KIND_FILES, int, pipe2, (int fds[2], int flags), (fds, flags), no_space());
TAKER(KIND_FILES, ssize_t, getrandom, (void *to, size_t n, unsigned flags), (to, n, flags), no_space());
TAKER(KIND_FILES, int, fflush, (FILE *f), (f), no_space());

extern int __real_open(const char *, int, ...);
extern int __wrap_open(const char *, int, ...);

int
__wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return fails(KIND_FILES, "open") ? no_space() : __real_open(path, flags, mode);
}

/* --- the database --- */

REAL(int, mysql_real_query, MYSQL *, const char *, unsigned long);
REAL(int, mysql_stmt_prepare, MYSQL_STMT *, const char *, unsigned long);
REAL(int, mysql_stmt_execute, MYSQL_STMT *);
REAL(MYSQL_RES *, mysql_store_result, MYSQL *);
REAL(MYSQL *, mysql_real_connect, MYSQL *, const char *, const char *, const char *, const char *, unsigned, const char *, unsigned long);
REAL(unsigned, mysql_errno, MYSQL *);
REAL(const char *, mysql_error, MYSQL *);
REAL(unsigned, mysql_stmt_errno, MYSQL_STMT *);
REAL(const char *, mysql_stmt_error, MYSQL_STMT *);

/* Before a statement: has it failed already? */
static bool
refused(MYSQL *m, const char *what)
{
	sql_errno = 0;
	if (fails(KIND_SQL, what))
		sql_errno = NO_SPACE;
	if (fails(KIND_BUSY, what))
		sql_errno = LOCK_WAIT;
	if (fails(KIND_LOST, what))
		(void)shutdown(mysql_get_socket(m), SHUT_RDWR);
	return sql_errno != 0;
}

/* After a statement that went well: is its answer lost? The connection is, then. */
static bool
unsure(MYSQL *m, const char *what)
{
	if (!fails(KIND_UNSURE, what))
		return false;
	(void)shutdown(mysql_get_socket(m), SHUT_RDWR);
	sql_errno = CR_SERVER_LOST;
	return true;
}

int
__wrap_mysql_real_query(MYSQL *m, const char *sql, unsigned long len)
{
	int code;

	if (refused(m, "mysql_real_query"))
		return 1;
	code = __real_mysql_real_query(m, sql, len);
	return code == 0 && unsure(m, "mysql_real_query") ? 1 : code;
}

int
__wrap_mysql_stmt_prepare(MYSQL_STMT *s, const char *sql, unsigned long len)
{
	return refused(s->mysql, "mysql_stmt_prepare") ? 1 : __real_mysql_stmt_prepare(s, sql, len);
}

int
__wrap_mysql_stmt_execute(MYSQL_STMT *s)
{
	int code;

	if (refused(s->mysql, "mysql_stmt_execute"))
		return 1;
	code = __real_mysql_stmt_execute(s);
	return code == 0 && unsure(s->mysql, "mysql_stmt_execute") ? 1 : code;
}

MYSQL_RES *
__wrap_mysql_store_result(MYSQL *m)
{
	if (fails(KIND_ALLOC, "mysql_store_result")) {
		/* As the library does: nobody will read the rows, so the connection is no good. */
		(void)shutdown(mysql_get_socket(m), SHUT_RDWR);
		sql_errno = CR_OUT_OF_MEMORY;
		return NULL;
	}
	return __real_mysql_store_result(m);
}

MYSQL *
__wrap_mysql_real_connect(MYSQL *m, const char *host, const char *user, const char *password, const char *db, unsigned port,
    const char *path, unsigned long flags)
{
	sql_errno = 0;
	if (fails(KIND_LOST, "mysql_real_connect")) {
		sql_errno = CR_CONNECTION_ERROR;
		return NULL;
	}
	return __real_mysql_real_connect(m, host, user, password, db, port, path, flags);
}

unsigned
__wrap_mysql_errno(MYSQL *m)
{
	return sql_errno != 0 ? sql_errno : __real_mysql_errno(m);
}

const char *
__wrap_mysql_error(MYSQL *m)
{
	return sql_errno != 0 ? "torture" : __real_mysql_error(m);
}

unsigned
__wrap_mysql_stmt_errno(MYSQL_STMT *s)
{
	return sql_errno != 0 ? sql_errno : __real_mysql_stmt_errno(s);
}

const char *
__wrap_mysql_stmt_error(MYSQL_STMT *s)
{
	return sql_errno != 0 ? "torture" : __real_mysql_stmt_error(s);
}

/* --- the line to a peer --- */

extern CURLMcode __real_curl_multi_poll(CURLM *, struct curl_waitfd[], unsigned, int, int *);
extern CURLMcode __wrap_curl_multi_poll(CURLM *, struct curl_waitfd[], unsigned, int, int *);
REAL(void, evhttp_send_reply, struct evhttp_request *, int, const char *, struct evbuffer *);

/* Between two looks at the line it breaks. The library tells nobody which socket it uses just now:
 * all connections of this process to a TCP port end, as when a cable is pulled. */
static void
cut_lines(void)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_storage to;
		socklen_t len = sizeof to;

		if (getpeername(fd, (struct sockaddr *)&to, &len) == 0 && to.ss_family == AF_INET)
			(void)shutdown(fd, SHUT_RDWR);
	}
}

CURLMcode
__wrap_curl_multi_poll(CURLM *m, struct curl_waitfd fds[], unsigned n, int ms, int *ready)
{
	if (fails(KIND_NET, "curl_multi_poll"))
		cut_lines();
	return __real_curl_multi_poll(m, fds, n, ms, ready);
}

void
__wrap_evhttp_send_reply(struct evhttp_request *r, int code, const char *reason, struct evbuffer *body)
{
	if (fails(KIND_NET, "evhttp_send_reply"))
		cut_lines();
	__real_evhttp_send_reply(r, code, reason, body);
}
