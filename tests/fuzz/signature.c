/* The headers of a signed request and the page's key, without a connection: one header a line. What is
 * taken has the exact alphabets and lengths; no session is ours, no key fits. */
#include "config.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <string.h>

#include "base/conf.h"
#include "fuzz.h"
#include "net/gate.h"
#include "wire/sign.h"

static void
ignore(struct evhttp_request *req, void *arg)
{
	(void)req;
	(void)arg;
}

/* "Name: value" lines, as evhttp would have put them into the list. */
static void
take_headers(struct evhttp_request *req, char *text)
{
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char *colon = strstr(line, ": ");

		if (colon == NULL)
			continue;
		*colon = '\0';
		(void)evhttp_add_header(evhttp_request_get_input_headers(req), line, colon + 2);
	}
}

static void
judge(struct evhttp_request *req)
{
	static const unsigned char boot[SIGN_KEY_BYTES] = { 7 };
	struct gate_signature sig;
	int64_t age_ms;

	for (enum auth auth = AUTH_HELLO; auth <= AUTH_PEER; auth++) {
		if (!gate_signature(req, auth, &sig))
			continue;
		MUST(gate_is_name(sig.from) && gate_is_name(sig.to) && gate_is_mac(sig.mac));
		MUST(strlen(sig.from) <= CONF_NAME_MAX && strlen(sig.session) < SIGN_SESSION_MAX);
		MUST((auth == AUTH_HELLO) == (sig.session[0] == '\0') && (auth == AUTH_HELLO) == (sig.counter == 0));
		MUST(!sign_session_ours(boot, sig.from, sig.session, 1000, &age_ms));
		MUST(!sign_equal(sig.mac, "x"));
	}
	MUST(!gate_has_key(req, "4b1f0a6d9be24c37a64f09b8a7be1fd3"));
	MUST(!gate_has_key(req, ""));
	(void)gate_form(req);
	(void)gate_origin(req);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct evhttp_request *req = evhttp_request_new(ignore, NULL);
	char *text = malloc(len + 1);

	MUST(req != NULL && text != NULL);
	memcpy(text, data, len);
	text[len] = '\0';
	take_headers(req, text);
	req->major = req->minor = 1;
	if (evhttp_find_header(evhttp_request_get_input_headers(req), "Host") == NULL)
		(void)evhttp_add_header(evhttp_request_get_input_headers(req), "Host", "a");
	judge(req);
	evhttp_request_free(req);
	free(text);
	return 0;
}
