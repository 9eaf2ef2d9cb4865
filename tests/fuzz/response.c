/* What comes back on a connection to a peer: captive portals, broken proxies, attackers. Nobody here
 * has the key, so no answer is ever believed, and none keeps the client for long. */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "net/client.h"

enum { TIMEOUT_MS = 2000, ANSWER_MAX = 1024 * 1024 };

static int listener;
static pthread_mutex_t answer_lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t answer[ANSWER_MAX];
static size_t answer_len;

/* Take a request, whatever it is, and give the answer. */
static void *
serve(void *arg)
{
	char request[4096];

	(void)arg;
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		(void)recv(fd, request, sizeof request, 0);
		(void)pthread_mutex_lock(&answer_lock);
		(void)send(fd, answer, answer_len, MSG_NOSIGNAL);
		(void)pthread_mutex_unlock(&answer_lock);
		(void)shutdown(fd, SHUT_WR);
		while (recv(fd, request, sizeof request, 0) > 0)
			;
		(void)close(fd);
	}
	return NULL;
}

static unsigned
prepare(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof a;
	pthread_t thread;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(listener >= 0 && bind(listener, (struct sockaddr *)&a, size) == 0 && listen(listener, 8) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&a, &size) == 0);
	MUST(pthread_create(&thread, NULL, serve, NULL) == 0);
	(void)pthread_detach(thread);
	return ntohs(a.sin_port);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char name[] = "ben", url[64];
	static struct conf_peer ben = { .name = name, .url = url, .key = { 1 } };
	static const atomic_bool stop;
	struct client *c;
	struct buf body;
	struct err e;
	int status;

	if (url[0] == '\0')
		(void)snprintf(url, sizeof url, "http://127.0.0.1:%u", prepare());
	(void)pthread_mutex_lock(&answer_lock);
	answer_len = len < ANSWER_MAX ? len : ANSWER_MAX;
	memcpy(answer, data, answer_len);
	(void)pthread_mutex_unlock(&answer_lock);
	buf_init(&body, CLIENT_ANSWER_MAX);
	MUST(client_new("anna", &ben, TIMEOUT_MS, &stop, &c, &e));
	MUST(!client_call(c, "POST", "/api/sync/hello", "{}\n", 3, &status, &body, &e));
	MUST(e.code != ERR_NONE && e.msg[0] != '\0');
	client_free(c);
	buf_free(&body);
	return 0;
}
