/* Bytes of a stranger on a connection: the first one chooses the door, the rest is sent. Nothing that
 * wants a secret may be reached, at most one request that fails is answered, and the server goes on. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/http_lab.h"
#include "fuzz.h"

/* Answers other than 100 Continue. */
static unsigned
answers(const struct reply *r)
{
	unsigned n = 0;

	for (const char *at = r->text; (at = strstr(at, "HTTP/1.1 ")) != NULL; at += 9)
		n += at[9] != '1';
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;
	static struct reply r;
	bool page = len > 0 && data[0] % 2 == 1;
	unsigned before;
	int fd;

	if (!ready)
		ready = lab_set_up(NULL) == 0;
	if (len == 0)
		return 0;
	before = lab_handled;
	fd = lab_dial(server_port(page ? lab_page : lab_peers));
	(void)lab_push(fd, data + 1, len - 1);
	(void)shutdown(fd, SHUT_WR);
	lab_pull_all(fd, &r);
	(void)close(fd);
	MUST(r.closed);
	MUST(strstr(r.text, "X-Tandem-Mac: ") == NULL);
	/* Without a secret only the sign of life is answered with 200. */
	MUST(page || lab_handled == before);
	MUST(lab_handled == before || memmem(data, len, "/healthz", 8) != NULL);
	MUST(page || answers(&r) <= 1);
	return 0;
}
