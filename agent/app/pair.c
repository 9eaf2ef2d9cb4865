/* Pairing. Lives here: making a line, taking one, answering one. Not here: its bytes (wire/pairing),
 * the file that remembers it (app/invitation), agent.conf's text (app/edit), a new key for a pair
 * that is there (app/rotate).
 *
 * Who prints the line waits; who listens on its listen address answers: the daemon if one runs, else
 * --pair itself. The line is used once: it is marked before agent.conf is touched. Only the one who
 * used it gets the same answer again, for when it was lost on the way. */
#include "config.h"

#include "app/pair.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/edit.h"
#include "app/invitation.h"
#include "app/rotate.h"
#include "app/running.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "net/address.h"
#include "net/client.h"

enum {
	WRONG_MAX = 5,	   /* tries with another secret; then the line is worth nothing */
	LOOK_MS = 100,	   /* how often --pair looks whether its line was used */
	LINGER_MS = 2000,  /* for the other side to ask again when the answer was lost */
	CALL_TRIES = 3
};

struct pair {
	const struct conf *conf;
	void (*changed)(void *arg);
	void *arg;
	unsigned wrong; /* tries ... */
	int64_t wrong_of; /* ... at the invitation made then */
};

/* --- the side that is asked --- */

bool
pair_new(const struct conf *conf, void (*changed)(void *arg), void *arg, struct pair **out, struct err *e)
{
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for pairing");
	**out = (struct pair){ .conf = conf, .changed = changed, .arg = arg };
	return true;
}

void
pair_free(struct pair *p)
{
	free(p);
}

static bool
is_open(void *arg)
{
	const struct pair *p = arg;
	struct invitation in;
	bool open = invitation_load(p->conf, &in);

	text_wipe(&in, sizeof in);
	return open;
}

static bool
open_key(void *arg, unsigned char key[CONF_KEY_BYTES])
{
	const struct pair *p = arg;
	struct invitation in;
	bool open = invitation_load(p->conf, &in);

	if (open)
		pairing_call_key(in.line.secret, key);
	text_wipe(&in, sizeof in);
	return open;
}

/* A secret of 128 bits is not found by trying; whoever tries may as well be stopped and seen. */
static void
on_wrong(void *arg)
{
	struct pair *p = arg;
	struct invitation in;

	if (!invitation_load(p->conf, &in))
		return;
	p->wrong = p->wrong_of == in.made_ms ? p->wrong + 1 : 1;
	p->wrong_of = in.made_ms;
	text_wipe(&in, sizeof in);
	if (p->wrong < WRONG_MAX)
		return;
	log_warning(NULL, "the line of agent --pair is worth nothing any more: %d tries with a wrong one", WRONG_MAX);
	invitation_remove(p->conf);
}

struct server_pairing
pair_door(struct pair *p, struct tls_door *door)
{
	if (door != NULL)
		tls_door_let_strangers(door, is_open, p);
	return (struct server_pairing){ .open = open_key, .wrong = on_wrong, .arg = p };
}

static void
reply_offer(struct request *r, const struct invitation *in)
{
	struct offer ours = in->line;
	struct buf body;

	memcpy(ours.secret, in->nonce, sizeof ours.secret);
	buf_init(&body, PAIRING_TEXT_MAX);
	pairing_put_offer(&body, &ours);
	request_reply(r, body.failed ? 503 : 200, "application/x-tandem", buf_cstr(&body), body.len);
	buf_free(&body);
}

/* TLS that ends at both laptops has a pin on each side. Where one has none, on some stretch of the way in one
 * direction somebody else could read; and both must do alike. */
static bool
needs_seal(const struct offer *a, const struct offer *b)
{
	return a->pin[0] == '\0' || b->pin[0] == '\0';
}

/* Mark the invitation, then write the section. */
static bool
take_in(const struct pair *p, struct invitation *in, const struct offer *theirs, struct err *e)
{
	struct offer ours = in->line;
	struct conf_peer peer = { .name = (char[CONF_NAME_MAX + 1]){ "" } };
	char url[PAIRING_URL_MAX], pin[PAIRING_PIN_MAX];
	bool ok;

	memcpy(ours.secret, in->nonce, sizeof ours.secret);
	memcpy(in->joiner, theirs->secret, sizeof in->joiner);
	memcpy(in->by, theirs->node, sizeof in->by);
	memcpy(peer.name, theirs->node, sizeof theirs->node);
	memcpy(url, theirs->url, sizeof url);
	memcpy(pin, theirs->pin, sizeof pin);
	peer.url = url;
	peer.tls_pin = pin;
	peer.seal = needs_seal(&in->line, theirs);
	pairing_pair_key(in->line.secret, &ours, theirs, peer.key);
	ok = invitation_save(p->conf, in, e) && edit_add_peer(p->conf->path, &peer, e);
	if (!ok)
		invitation_remove(p->conf);
	text_wipe(peer.key, sizeof peer.key);
	text_wipe(&ours, sizeof ours);
	return ok;
}

static void
answer_newcomer(struct pair *p, struct request *r, const void *body, size_t len)
{
	struct invitation in;
	struct offer theirs;
	struct err e;
	char name[CONF_NAME_MAX + 1];

	(void)snprintf(name, sizeof name, "%s", request_peer(r));
	if (!pairing_parse_offer(body, len, &theirs, &e) || strcmp(theirs.node, name) != 0)
		request_fail(r, 400, "offer", "this is no offer to pair of node %s", name);
	else if (!invitation_load(p->conf, &in))
		request_fail(r, 409, "over", "the line is not valid any more: agent --pair makes a new one");
	else if (strcmp(in.joiner, theirs.secret) == 0)
		reply_offer(r, &in); /* the answer was lost */
	else if (in.joiner[0] != '-')
		request_fail(r, 409, "used", "the line was used before: agent --pair makes a new one");
	else if (strcasecmp(name, p->conf->node.name) == 0 || conf_peer(p->conf, name) != NULL)
		request_fail(r, 409, "name", "node %s has a [peer %s] already, or this name itself: agent --unpair %s there, if it is the same laptop",
		    p->conf->node.name, name, name);
	else if (!take_in(p, &in, &theirs, &e)) {
		log_error(name, "pairing failed: %s", e.msg);
		request_fail(r, 500, "failed", "node %s could not write its agent.conf; its log says why", p->conf->node.name);
	} else {
		log_info(name, "paired: it %s%s", theirs.url[0] == '\0' ? "cannot be called, and fetches what is here" : "is reached at ", theirs.url);
		reply_offer(r, &in);
		p->changed(p->arg);
	}
	text_wipe(&in, sizeof in);
}

void
pair_answer(struct request *r, void *arg)
{
	struct pair *p = arg;
	size_t len;
	const void *body = request_body(r, &len);

	if (request_is_newcomer(r))
		answer_newcomer(p, r, body, len);
	else if (rotate_answer(p->conf, r, body, len))
		p->changed(p->arg);
}

/* --- where this node is reached --- */

/* The address of this computer from which it would talk to the host, without talking to it. */
static bool
local_address(const char *host, char out[ADDRESS_HOST_MAX])
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM };
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof ss;
	struct addrinfo *found = NULL;
	int fd = -1;
	bool ok;

	ok = getaddrinfo(host, "9", &hints, &found) == 0 &&
	    (fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
	    getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&ss, len, out, ADDRESS_HOST_MAX, NULL, 0, NI_NUMERICHOST) == 0;
	if (fd >= 0)
		(void)close(fd);
	if (found != NULL)
		freeaddrinfo(found);
	return ok;
}

/* The host of "http(s)://HOST[:PORT]". */
static void
host_of(const char *url, char out[ADDRESS_HOST_MAX])
{
	const char *p = strstr(url, "://");
	size_t len;

	p = p == NULL ? url : p + 3;
	len = *p == '[' ? strcspn(++p, "]") : strcspn(p, ":/");
	(void)snprintf(out, ADDRESS_HOST_MAX, "%.*s", (int)len, p);
}

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

/* --url: the address itself, or none. */
static bool
given_url(const char *url, const char *towards, struct offer *out, struct err *e)
{
	if (strcmp(url, "none") == 0)
		return towards != NULL || err_set(e, ERR_USAGE, "--url none is for the other node, which takes the line: whoever prints it must have an address");
	if ((size_t)snprintf(out->url, sizeof out->url, "%s", url) >= sizeof out->url || strpbrk(url, ",@ \n") != NULL)
		return err_set(e, ERR_USAGE, "--url must be https://HOST:PORT or http://HOST:PORT");
	return true;
}

/* This node as the other one will write it down, without url where nobody can call it. towards: the other's url, or NULL. */
static bool
make_offer(const struct cli *cli, const struct conf *conf, const char *towards, struct offer *out, struct err *e)
{
	/* RFC 5737: an address that is nobody's, so the way to it is the way out of here. */
	char host[ADDRESS_HOST_MAX] = "192.0.2.1", local[ADDRESS_HOST_MAX];
	struct tls_identity id = { 0 };
	struct address a;

	memset(out, 0, sizeof *out);
	(void)snprintf(out->node, sizeof out->node, "%s", conf->node.name);
	if (!sign_nonce(out->secret, e) || !address_parse(conf->node.listen, "listen", &a, e) || (conf->node.tls && !tls_identity(conf, &id, e)))
		return false;
	(void)snprintf(out->pin, sizeof out->pin, "%s", id.pin);
	tls_identity_free(&id);
	if (cli->url != NULL)
		return given_url(cli->url, towards, out, e);
	if (towards != NULL)
		host_of(towards, host);
	if (strcmp(a.host, "0.0.0.0") == 0 || strcmp(a.host, "::") == 0) {
		if (!local_address(host, local))
			return err_set(e, ERR_CONFIG, "this computer's address is not known: is it connected? --url says it");
		(void)snprintf(a.host, sizeof a.host, "%s", local);
	} else if (towards != NULL && is_loopback(a.host) && !is_loopback(host)) {
		(void)fprintf(stderr, "agent: [node] listen = %s: no other laptop reaches that, so this one will fetch what %s has for it (pull = yes); "
		    "0.0.0.0:%u lets others in, --url names a tunnel\n", conf->node.listen, host, a.port);
		return true;
	} else if (towards == NULL && is_loopback(a.host))
		(void)fprintf(stderr, "agent: [node] listen = %s: no other laptop reaches that; 0.0.0.0:%u lets others in, --url names a tunnel\n", conf->node.listen, a.port);
	(void)snprintf(out->url, sizeof out->url, strchr(a.host, ':') != NULL ? "%s://[%.256s]:%u" : "%s://%.256s:%u", conf->node.tls ? "https" : "http", a.host, a.port);
	return true;
}

/* --- --pair: print a line, wait --- */

struct waiting {
	const struct conf *conf;
	struct event_base *base;
	struct server *server; /* NULL when a daemon answers */
	struct tls_door *tls;
	struct pair *pair;
	struct invitation made;
	int64_t used_ms; /* when it was seen to be used; 0: not yet */
	char by[CONF_NAME_MAX + 1];
	bool interrupted;
};

static void
on_changed(void *arg)
{
	(void)arg;
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *w = arg;
	struct invitation in;
	bool there = invitation_load(w->conf, &in) && in.made_ms == w->made.made_ms;

	(void)fd;
	(void)what;
	if (there && in.joiner[0] != '-' && w->used_ms == 0) {
		w->used_ms = clock_mono_ms();
		memcpy(w->by, in.by, sizeof w->by);
	}
	if (!there || (w->used_ms != 0 && clock_mono_ms() - w->used_ms > LINGER_MS))
		(void)event_base_loopbreak(w->base);
	text_wipe(&in, sizeof in);
}

static void
on_interrupt(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *w = arg;

	(void)fd;
	(void)what;
	w->interrupted = true;
	(void)event_base_loopbreak(w->base);
}

static const struct route pair_routes[] = {
	{ "POST", PAIR_PATH, AUTH_PAIR, PAIR_BODY_MAX, pair_answer },
};

static bool
listen_for_pairing(struct waiting *w, struct err *e)
{
	struct server_options o = { .base = w->base, .conf = w->conf, .address = w->conf->node.listen, .routes = pair_routes,
		.nroutes = sizeof pair_routes / sizeof pair_routes[0] };

	if (running_is(w->conf))
		return true;
	if ((w->conf->node.tls && !tls_door_new(w->conf, &w->tls, e)) || !pair_new(w->conf, on_changed, NULL, &w->pair, e))
		return false;
	o.tls = w->tls;
	o.pairing = pair_door(w->pair, w->tls);
	return server_new(&o, &w->server, e);
}

static void
print_line(const struct cli *cli, const struct offer *line)
{
	struct buf b;

	buf_init(&b, PAIRING_TEXT_MAX);
	pairing_put_line(&b, line);
	if (cli->json)
		(void)printf("{\"line\":\"%s\"}\n", buf_cstr(&b));
	else
		(void)printf("%s\n", buf_cstr(&b));
	(void)fflush(stdout);
	if (!cli->quiet && !cli->json)
		(void)fprintf(stderr, "On the other laptop, within 10 minutes: agent --pair and this line. It is a secret until then. Waiting ...\n");
	text_wipe(b.data, b.cap);
	buf_free(&b);
}

/* Print the line when its end by a signal is prepared, and wait until it was used or is over. */
static bool
wait_for_other(struct waiting *w, const struct cli *cli, struct err *e)
{
	static const struct timeval often = { 0, LOOK_MS * 1000 };
	struct event *look = event_new(w->base, -1, EV_PERSIST, on_look, w), *ints[2];
	bool ok;

	ints[0] = evsignal_new(w->base, SIGINT, on_interrupt, w);
	ints[1] = evsignal_new(w->base, SIGTERM, on_interrupt, w);
	ok = look != NULL && ints[0] != NULL && ints[1] != NULL && event_add(look, &often) == 0 && event_add(ints[0], NULL) == 0 &&
	    event_add(ints[1], NULL) == 0;
	if (ok)
		print_line(cli, &w->made.line);
	ok = ok && event_base_dispatch(w->base) >= 0;
	if (!ok)
		(void)err_set(e, ERR_MEMORY, "out of memory for the event loop");
	else if (w->used_ms == 0)
		ok = err_set(e, ERR_STOPPED, w->interrupted ? "interrupted: the line is worth nothing any more" :
		    "nobody has used the line: it was valid for 10 minutes, or somebody tried with wrong ones");
	if (look != NULL)
		event_free(look);
	for (size_t i = 0; i < 2; i++)
		if (ints[i] != NULL)
			event_free(ints[i]);
	return ok;
}

static enum exit_code
invite(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct waiting w = { .conf = conf, .base = event_base_new() };
	bool ok = w.base != NULL || err_set(e, ERR_MEMORY, "out of memory for the event loop");

	ok = ok && make_offer(cli, conf, NULL, &w.made.line, e) && sign_nonce(w.made.nonce, e);
	if (ok) {
		w.made.made_ms = clock_mono_ms();
		memcpy(w.made.joiner, "-", 2);
		memcpy(w.made.by, "-", 2);
		ok = listen_for_pairing(&w, e) && invitation_save(conf, &w.made, e);
	}
	if (ok) {
		ok = wait_for_other(&w, cli, e);
		invitation_remove(conf);
	}
	if (ok && cli->json)
		(void)printf("{\"paired\":\"%s\"}\n", w.by);
	else if (ok)
		cli_say(cli, INK_GOOD, "paired with %s: it is in %s", w.by, conf->path);
	server_free(w.server);
	tls_door_free(w.tls);
	pair_free(w.pair);
	if (w.base != NULL)
		event_base_free(w.base);
	text_wipe(&w.made, sizeof w.made);
	return ok ? EXIT_DONE : cli_exit_code(e);
}

/* --- --pair LINE --- */

/* What the answer says when it is not the other's offer. */
static bool
refused(int status, const struct buf *answer, struct err *e)
{
	static const char head[] = "\"message\":\"";
	const char *text = strstr(buf_cstr(answer), head);
	size_t len = text == NULL ? 0 : strcspn(text + sizeof head - 1, "\"");

	return err_set(e, ERR_PEER_REFUSED, "refused (HTTP %d): %.*s", status, (int)len, text == NULL ? "" : text + sizeof head - 1);
}

static bool
call(struct client *c, const struct offer *ours, const struct conf_peer *peer, struct offer *theirs, struct err *e)
{
	struct buf body, answer;
	int status = 0;
	bool ok = false;

	buf_init(&body, PAIRING_TEXT_MAX);
	buf_init(&answer, CLIENT_ANSWER_MAX);
	pairing_put_offer(&body, ours);
	for (int i = 0; !ok && i < CALL_TRIES && !client_unauthorised(c); i++)
		ok = client_call(c, "POST", PAIR_PATH, buf_cstr(&body), body.len, &status, &answer, e);
	if (!ok && client_unauthorised(c))
		(void)err_set(e, ERR_AUTH, "%s knows no such line: it is wrong, older than 10 minutes, or was used; agent --pair there makes a new one", peer->url);
	else if (ok && status != 200)
		ok = refused(status, &answer, e);
	else if (ok)
		ok = pairing_parse_offer(buf_cstr(&answer), answer.len, theirs, e);
	buf_free(&body);
	buf_free(&answer);
	return ok;
}

/* Ask, and write the section. The peer's url and pin are those of the line, which a person brought. */
static bool
join(const struct conf *conf, const struct offer *line, const struct offer *ours, struct conf_peer *peer, struct err *e)
{
	struct client *c = NULL;
	struct offer theirs;
	bool ok;

	/* Would agent.conf take it? Asked first, with the wrong key: there is no way back from the call. */
	if (!clock_random(peer->key, sizeof peer->key, e) || !edit_try_peer(conf->path, peer, e))
		return false;
	pairing_call_key(line->secret, peer->key);
	ok = client_new(conf->node.name, peer, conf->sync.timeout_ms, NULL, &c, e) && call(c, ours, peer, &theirs, e);
	client_free(c);
	if (!ok)
		return false;
	pairing_pair_key(line->secret, &theirs, ours, peer->key);
	peer->seal = needs_seal(line, ours); /* not before: the two offers are no secret, and not sealed */
	if (strcmp(theirs.node, line->node) == 0 && edit_add_peer(conf->path, peer, e))
		return true;
	return err_prefix(e, "run agent --unpair %s on %s, which has written this node down; here it failed", conf->node.name, line->node);
}

/* The line: the argument, whose place among the arguments is wiped at once, or the standard input. */
static bool
read_line(const struct cli *cli, struct offer *line, struct err *e)
{
	char text[PAIRING_TEXT_MAX] = "";
	bool ok;

	if (strcmp(cli->argument, "-") == 0) {
		if (fgets(text, sizeof text, stdin) != NULL)
			text[strcspn(text, "\r\n")] = '\0';
	} else {
		(void)snprintf(text, sizeof text, "%s", cli->argument);
		text_wipe((void *)(uintptr_t)cli->argument, strlen(cli->argument));
	}
	ok = pairing_parse_line(text, line, e);
	text_wipe(text, sizeof text);
	return ok;
}

static enum exit_code
accept_line(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct offer line, ours;
	struct conf_peer peer = { .name = line.node, .url = line.url, .tls_pin = line.pin, .conf = conf };
	bool ok = read_line(cli, &line, e);

	if (ok && (strcasecmp(line.node, conf->node.name) == 0 || conf_peer(conf, line.node) != NULL))
		ok = err_set(e, ERR_USAGE, "%s is this node itself or a peer already; agent --unpair %s, if it was set up anew", line.node, line.node);
	ok = ok && make_offer(cli, conf, line.url, &ours, e);
	peer.pull = ok && ours.url[0] == '\0';
	ok = ok && join(conf, &line, &ours, &peer, e);
	if (ok) {
		bool told = running_reload(conf);

		if (cli->json)
			(void)printf("{\"paired\":\"%s\"}\n", line.node);
		else
			cli_say(cli, INK_GOOD, "paired with %s: it is in %s%s%s", line.node, conf->path, peer.pull ? ", with pull = yes" : "", told ? ", and agent --serve has been told" : "");
	}
	text_wipe(&line, sizeof line);
	text_wipe(peer.key, sizeof peer.key);
	return ok ? EXIT_DONE : cli_exit_code(e);
}

enum exit_code
pair_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	return cli->argument == NULL ? invite(cli, conf, e) : accept_line(cli, conf, e);
}

enum exit_code
unpair_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	bool told;

	if (!edit_remove_peer(conf->path, cli->argument, e))
		return cli_exit_code(e);
	rotate_forget(conf, cli->argument);
	told = running_reload(conf);
	if (cli->json)
		(void)printf("{\"unpaired\":\"%s\"}\n", cli->argument);
	else
		cli_say(cli, INK_GOOD, "%s is no peer any more%s", cli->argument, told ? ", and agent --serve has been told" : "");
	return EXIT_DONE;
}
