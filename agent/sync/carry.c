/* Upload folders on the way. Lives here: the order of asking, reading and bringing. Not here: answering (sync/land), the
 * form of the lines (wire/parcel). */
#include "sync/carry.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "files/order.h"
#include "files/places.h"
#include "files/progress.h"
#include "files/tree.h"
#include "wire/parcel.h"

enum {
	VAIN_MAX = 100,	      /* times that the peer asks for just the same again, though it was brought: it cannot keep it */
	ROUNDS_MAX = 1000000, /* questions about one tree in one run: each brings something, or is the last */
	WHOLE_MS = 10 * 60 * 1000 /* between two questions about a whole tree at least */
};

static const char path_files[] = "/api/sync/files";

struct carrying;

/* A body that is on the line while the next one is read. */
struct shipment {
	struct carrying *c;
	bool threaded, under_way;
	pthread_t thread;
	struct buf body, answer;
	uint64_t put, put_bytes;
	bool ok; /* how it went */
	struct err e;
};

struct carrying {
	struct link *link;
	struct tree *tree;
	struct carry_asked *asked;
	struct carry_report *report;
	uint64_t told; /* every change up to this id is the peer's by now */
	unsigned char paths[PARCEL_PATHS_MAX * PARCEL_PATH]; /* that the question is about; none: about the whole tree */
	size_t npaths;
	struct buf body, answer;
	struct buf last; /* the answer before */
	unsigned vain;	  /* how often it was the same */
	uint64_t put; /* items in body */
	uint64_t put_bytes;
	struct shipment ship;
	uint64_t brought; /* since the last question */
	struct parcel_need page[LISTING_PAGE]; /* of the answer's needs */
	size_t npage;
	struct places sources; /* where they stand here */
	/* The content in hand. */
	struct content content;
	bool have;
	int fd;
	char *block;
};

/* One call; answer->state is the peer's. needs: where its items begin in text. */
static bool
call(const struct carrying *c, const struct buf *body, struct buf *text, struct parcel_answer *answer, size_t *needs, struct err *e)
{
	struct client *client = c->link->client;
	int status = 0;

	buf_reset(text);
	if (!buf_check(body, "a message", e))
		return false;
	if (!client_call(client, "POST", path_files, body->data, body->len, &status, text, e)) {
		if (!client_not_found(client))
			return false;
		answer->state = PARCEL_NONE; /* an older agent: it has no trees */
		err_clear(e);
		return true;
	}
	if (status != 200)
		return link_refused(c->link, status, text, e);
	return parcel_parse_answer(buf_cstr(text), text->len, answer, needs, e);
}

static void
begin_body(struct carrying *c, enum parcel_kind kind)
{
	struct parcel_call head = { .kind = kind };

	(void)snprintf(head.tree, sizeof head.tree, "%s", c->tree->t->name);
	buf_reset(&c->body);
	parcel_put_call(&c->body, &head);
	c->put = c->put_bytes = 0;
}

static void *
ship_main(void *arg)
{
	struct shipment *s = arg;
	struct parcel_answer answer;
	size_t at;

	s->ok = call(s->c, &s->body, &s->answer, &answer, &at, &s->e);
	return NULL;
}

/* Wait for what is on the line. */
static bool
await_shipment(struct carrying *c, struct err *e)
{
	struct shipment *s = &c->ship;

	if (!s->under_way)
		return true;
	if (s->threaded)
		(void)pthread_join(s->thread, NULL);
	s->under_way = false;
	if (!s->ok)
		*e = s->e;
	c->brought += s->put;
	return s->ok && progress_moved(c->link->db, &(struct progress_of){ c->tree->t->name, c->link->peer->name }, s->put, s->put_bytes, e);
}

/* The body goes on the line; reading goes on meanwhile. */
static bool
send_body(struct carrying *c, struct err *e)
{
	struct shipment *s = &c->ship;
	struct buf empty = s->body;

	if (c->put == 0)
		return true;
	if (!await_shipment(c, e))
		return false;
	s->body = c->body;
	s->put = c->put;
	s->put_bytes = c->put_bytes;
	c->body = empty;
	s->under_way = true;
	s->threaded = pthread_create(&s->thread, NULL, ship_main, s) == 0;
	if (!s->threaded)
		(void)ship_main(s);
	begin_body(c, PARCEL_PUT);
	return true;
}

static bool
put_item(struct carrying *c, const struct parcel_item *item, struct err *e)
{
	if (c->body.len + PARCEL_LINE_MAX + item->len > CARRY_BODY_MAX && !send_body(c, e))
		return false;
	parcel_put_item(&c->body, item);
	c->put++;
	c->put_bytes += item->len;
	c->report->contents++;
	c->report->bytes += item->len;
	return true;
}

static void
let_go(struct carrying *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	content_free(&c->content);
	memset(&c->content, 0, sizeof c->content);
	c->have = false;
}

/* Take a content in hand: its blocks' hashes, and a file here that has it. */
static bool
take_up(struct carrying *c, const struct parcel_need *n, struct err *e)
{
	const struct place *source;
	struct what what;
	bool found = false;

	if (c->have && memcmp(c->content.id, n->hash, CONTENT_BYTES) == 0)
		return true;
	let_go(c);
	what_set(&what, 'f', n->hash);
	source = places_find(&c->sources, &what);
	if (source != NULL && !listing_get_blocks(c->tree->list, n->hash, n->size, &c->content, &found, e))
		return false;
	if (found && beneath_file(c->tree->root, source->path, O_RDONLY, 0, &c->fd, e) != FATE_DONE) {
		c->fd = -1;
		found = false;
	}
	c->have = found;
	return true;
}

/* Read a block and make sure that it is the one that is meant. *whole false: the file is not what it was any more. */
static bool
read_block(struct carrying *c, size_t i, size_t *len, bool *whole, struct err *e)
{
	unsigned char hash[CONTENT_BYTES];
	size_t have = 0;

	*len = content_length(c->content.size, i);
	while (have < *len) {
		ssize_t n = pread(c->fd, c->block + have, *len - have, (off_t)(i * (uint64_t)CONTENT_BLOCK + have));

		if (n <= 0)
			break;
		have += (size_t)n;
	}
	*whole = have == *len;
	if (!*whole)
		return true;
	if (!content_block(c->block, *len, hash, e))
		return false;
	*whole = memcmp(hash, c->content.nblocks <= 1 ? c->content.id : c->content.blocks[i], CONTENT_BYTES) == 0;
	return true;
}

static bool
bring_list(struct carrying *c, const struct parcel_need *n, struct err *e)
{
	struct parcel_item item = { .list = true, .data = (const char *)c->content.blocks, .len = c->content.nblocks * CONTENT_BYTES };

	memcpy(item.hash, n->hash, sizeof item.hash);
	if (item.data == NULL || item.len > PARCEL_LIST_MAX)
		return true;
	return put_item(c, &item, e);
}

static bool
bring(struct carrying *c, const struct parcel_need *n, struct err *e)
{
	struct parcel_item item = { .data = c->block };

	if (!take_up(c, n, e))
		return false;
	if (!c->have)
		return true;
	if (n->list)
		return bring_list(c, n, e);
	memcpy(item.hash, n->hash, sizeof item.hash);
	for (uint64_t i = n->from; i < n->from + n->count && (i < c->content.nblocks || i == 0); i++) {
		bool whole = true;

		item.at = i;
		if (c->content.nblocks > 0 && !read_block(c, (size_t)i, &item.len, &whole, e))
			return false;
		if (!whole) {
			log_debug(c->link->peer->name, "tree %s: a file changed since it was looked at; it is sent after the next look", c->tree->t->name);
			return true;
		}
		if (!put_item(c, &item, e))
			return false;
	}
	return true;
}

/* What the list does not name is nobody's to ask for. */
static bool
bring_page(struct carrying *c, struct err *e)
{
	struct what contents[LISTING_PAGE];
	bool ok;

	for (size_t i = 0; i < c->npage; i++)
		what_set(&contents[i], 'f', c->page[i].hash);
	places_clear(&c->sources);
	ok = c->npage == 0 || listing_having(c->tree->list, contents, c->npage, places_add, &c->sources, e);
	for (size_t i = 0; ok && i < c->npage; i++)
		ok = bring(c, &c->page[i], e);
	c->npage = 0;
	return ok;
}

/* What an answer needs: for people, before it is brought. */
static bool
note_needs(struct carrying *c, size_t at, struct err *e)
{
	uint64_t contents = 0, bytes = 0;
	struct parcel_need n;
	bool more = true, ok;

	while ((ok = parcel_next_need(buf_cstr(&c->answer), c->answer.len, &at, &n, &more, e)) && more) {
		contents++;
		bytes += parcel_left(&n);
	}
	return ok && progress_left(c->link->db, &(struct progress_of){ c->tree->t->name, c->link->peer->name }, contents, bytes, e);
}

/* Bring what the answer needs, from at on. */
static bool
bring_needs(struct carrying *c, size_t at, size_t *needs, struct err *e)
{
	bool more = true, ok;

	begin_body(c, PARCEL_PUT);
	c->npage = 0;
	while ((ok = parcel_next_need(buf_cstr(&c->answer), c->answer.len, &at, &c->page[c->npage], &more, e)) && more) {
		(*needs)++;
		if (++c->npage == LISTING_PAGE && !bring_page(c, e))
			return false;
	}
	return ok && bring_page(c, e) && send_body(c, e);
}

/* The question. One about paths that an older agent refuses is one about the whole tree. */
static bool
ask(struct carrying *c, struct parcel_answer *answer, size_t *at, struct err *e)
{
	begin_body(c, c->npaths > 0 ? PARCEL_LACK : PARCEL_WANT);
	for (size_t i = 0; i < c->npaths; i++)
		parcel_put_path(&c->body, c->paths + i * PARCEL_PATH);
	if (call(c, &c->body, &c->answer, answer, at, e))
		return true;
	if (c->npaths == 0 || e->code != ERR_PEER_REFUSED)
		return false;
	log_debug(c->link->peer->name, "%s", e->msg);
	err_clear(e);
	c->npaths = 0;
	return ask(c, answer, at, e);
}

/* Ask once, bring what can be brought. */
static bool
one_round(struct carrying *c, struct parcel_answer *answer, size_t *needs, struct err *e)
{
	struct err line;
	bool ok;
	size_t at = 0;

	*needs = 0;
	c->brought = 0;
	if (!ask(c, answer, &at, e))
		return false;
	if (answer->state != PARCEL_READY)
		return true;
	ok = note_needs(c, at, e) && bring_needs(c, at, needs, e);
	/* Whatever went wrong meanwhile: the client is free again. */
	if (!await_shipment(c, ok ? e : &line))
		ok = false;
	return ok;
}

/* This node lacks something, or pulls: the peer shall ask what is needed here. One that is too old for that asks when it comes to it. */
static bool
have_it_come(struct carrying *c, struct err *e)
{
	struct parcel_answer answer;
	bool wants;
	size_t at;

	if (!order_wants(c->link->db, c->tree->t->name, &wants, e))
		return false;
	if (!wants)
		return true;
	begin_body(c, PARCEL_COME);
	if (call(c, &c->body, &c->answer, &answer, &at, e))
		return true;
	if (e->code != ERR_PEER_REFUSED)
		return false;
	log_debug(c->link->peer->name, "%s", e->msg);
	err_clear(e);
	return true;
}

/* Rows and other folders wait behind this one. */
static bool
is_in_vain(struct carrying *c, size_t needs)
{
	bool same = needs > 0 && c->last.len == c->answer.len && memcmp(buf_cstr(&c->last), buf_cstr(&c->answer), c->answer.len) == 0;

	c->vain = same ? c->vain + 1 : 0;
	buf_reset(&c->last);
	buf_put(&c->last, buf_cstr(&c->answer), c->answer.len);
	if (c->vain == VAIN_MAX)
		log_warning(c->link->peer->name, "tree %s: the peer cannot keep what it asks for; its agent --trees says why", c->tree->t->name);
	return c->vain >= VAIN_MAX;
}

/* What was told since the id that the peer was asked up to, if that can be said in one question. */
static bool
find_paths(struct carrying *c, uint64_t after, struct err *e)
{
	char list[CONF_LISTING_MAX];
	struct db_rows *rows = NULL;
	bool more = false, ok;

	conf_tree_listing(c->tree->t, list);
	ok = db_query(c->link->db, "SELECT DISTINCT UNHEX(record_id) FROM sync_queue FORCE INDEX (PRIMARY) WHERE id>? AND id<=? AND table_name=? AND NOT via<=>? LIMIT ?",
	    DB_ARGS(db_u64(after), db_u64(c->told), db_text(list), db_text(c->link->peer->name), db_u64(PARCEL_PATHS_MAX + 1)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		if (c->npaths == PARCEL_PATHS_MAX || db_rows_len(rows, 0) != PARCEL_PATH) {
			c->npaths = 0;
			break;
		}
		memcpy(c->paths + c->npaths++ * PARCEL_PATH, db_rows_text(rows, 0), PARCEL_PATH);
	}
	db_rows_free(rows);
	return ok;
}

/* What the question will be about. Nothing new is a question about the whole tree: the peer may have called for it. */
static bool
choose_question(struct carrying *c, const struct carry_asked_tree *asked, struct err *e)
{
	c->npaths = 0;
	return asked->whole_ms == 0 || clock_mono_ms() >= asked->whole_ms + WHOLE_MS || find_paths(c, asked->upto, e);
}

static bool
send_tree(struct carrying *c, struct carry_asked_tree *asked, struct err *e)
{
	const struct carry_asked_tree before = *asked;
	struct parcel_answer answer = { .state = PARCEL_READY };
	size_t needs = 1;

	*asked = (struct carry_asked_tree){ .upto = 0 }; /* until it has gone well */
	if (!have_it_come(c, e) || !choose_question(c, &before, e))
		return false;
	c->vain = 0;
	buf_reset(&c->last);
	for (int round = 0; round < ROUNDS_MAX; round++) {
		if (c->link->stop != NULL && atomic_load(c->link->stop))
			return err_set(e, ERR_STOPPED, "stopped");
		if (!one_round(c, &answer, &needs, e))
			return false;
		/* Asked again where the peer has more to do, but not for what cannot be brought. */
		if (answer.state != PARCEL_READY || (needs == 0 ? !answer.more : c->brought == 0) || is_in_vain(c, needs))
			break;
	}
	let_go(c);
	if (answer.state == PARCEL_READY && needs == 0)
		*asked = (struct carry_asked_tree){ .upto = c->told, .whole_ms = c->npaths == 0 ? clock_mono_ms() : before.whole_ms };
	c->report->owed = c->report->owed || answer.state == PARCEL_BUSY || needs > 0;
	return true;
}

static bool
send_trees(struct carrying *c, struct err *e)
{
	const struct conf *conf = c->link->conf;

	for (size_t i = 0; i < conf->ntrees; i++) {
		enum fate f = tree_open(c->link->db, conf, &conf->trees[i], -1, &c->tree, e);
		bool ok = f != FATE_FAILED;

		if (f == FATE_DONE)
			ok = send_tree(c, &c->asked->trees[i], e);
		else {
			log_debug(c->link->peer->name, "%s", e->msg);
			c->report->owed = true;
		}
		tree_close(c->tree);
		if (!ok)
			return false;
	}
	return true;
}

/* The peer has taken every change up to *id. One that was not visible yet when others were told comes later: it is left to
 * the next question. */
static bool
find_told(struct link *l, uint64_t *id, struct err *e)
{
	struct peer_state state;
	struct mark acked = { .epoch = 0 };
	bool found = false, ok;

	*id = 0;
	ok = peer_load(l->db, l->peer->name, &state, e) && queue_load_mark(l->db, state.acked_epoch, &acked, &found, e);
	if (ok && found)
		*id = acked.holes.n > 0 ? acked.holes.ranges[0].low - 1 : acked.high;
	mark_free(&acked);
	return ok;
}

bool
carry_send(struct link *l, struct carry_asked *asked, struct carry_report *out, struct err *e)
{
	struct carrying c = { .link = l, .asked = asked, .report = out, .fd = -1 };
	bool ok;

	memset(out, 0, sizeof *out);
	buf_init(&c.body, CARRY_BODY_MAX);
	buf_init(&c.answer, PARCEL_NEEDS_BYTES);
	buf_init(&c.last, PARCEL_NEEDS_BYTES);
	buf_init(&c.ship.body, CARRY_BODY_MAX);
	buf_init(&c.ship.answer, PARCEL_NEEDS_BYTES);
	c.ship.c = &c;
	c.block = malloc(CONTENT_BLOCK);
	ok = c.block != NULL ? find_told(l, &c.told, e) && send_trees(&c, e) : err_set(e, ERR_MEMORY, "out of memory for files");
	let_go(&c);
	free(c.block);
	places_clear(&c.sources);
	buf_free(&c.body);
	buf_free(&c.answer);
	buf_free(&c.last);
	buf_free(&c.ship.body);
	buf_free(&c.ship.answer);
	return ok;
}
