/* Upload folders on the way. Lives here: the order of asking, reading and bringing; answering; looking at one tree after
 * the other. Not here: what is missing (files/arrive), the form of the lines (wire/parcel). */
#include "sync/carry.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "files/arrive.h"
#include "files/order.h"
#include "files/places.h"
#include "files/progress.h"
#include "files/scan.h"
#include "files/tell.h"
#include "files/watch.h"
#include "wire/parcel.h"

enum {
	VAIN_MAX = 100,	      /* times that the peer asks for just the same again, though it was brought: it cannot keep it */
	ROUNDS_MAX = 1000000, /* questions about one tree in one run: each brings something, or is the last */
	NEEDS_BYTES_MAX = (PARCEL_NEEDS_MAX + 1) * PARCEL_LINE_MAX,
	TEMPORARY_DAYS = 7, /* that half a content is kept */
	WHOLE_MS = 10 * 60 * 1000, /* between two questions about a whole tree at least */
	LAND_WAIT_MS = 5000 /* for whoever works in the folder; the caller's patience is longer */
};

static const char path_files[] = "/api/sync/files";

/* --- sending --- */

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

/* How much of it is left from the first block that is needed. */
static uint64_t
left_of(const struct parcel_need *n)
{
	uint64_t before = n->list || n->from > n->size / CONTENT_BLOCK ? 0 : n->from * CONTENT_BLOCK;

	return n->size - before;
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
		bytes += left_of(&n);
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
	buf_init(&c.answer, NEEDS_BYTES_MAX);
	buf_init(&c.last, NEEDS_BYTES_MAX);
	buf_init(&c.ship.body, CARRY_BODY_MAX);
	buf_init(&c.ship.answer, NEEDS_BYTES_MAX);
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

/* --- looking --- */

/* What was changed here and is not this node's to change is put right without a peer, as far as that goes. */
static bool
put_right(struct tree *t, struct carry_look *out, struct err *e)
{
	struct arrival *a = NULL;
	struct arrive_report report = { .held = false };
	bool ok = arrive_new(t, &a, e) && arrive_settle(a, NULL, NULL, &report, e);

	arrive_free(a);
	out->held = out->held || report.held;
	out->wants = out->wants || report.wants > 0;
	return ok;
}

/* Is what was put into the trash still written to, by a program that has had it open ever since? Then it stays. */
static bool
is_at_rest(void *arg, const char *name, const struct file_facts *facts)
{
	const int64_t *before_us = arg;

	(void)name;
	return facts->mtime_ns / 1000 < *before_us;
}

/* What was kept long enough, and what began to come and was given up. */
static bool
tidy(struct tree *t, struct err *e)
{
	int64_t now = clock_wall_us(), before = now - t->t->keep_trash_ms * 1000;
	struct trash_purged purged;
	uint64_t removed;

	if (trash_purge(t->root, TRASH_DELETED, before, is_at_rest, &before, &purged, e) != FATE_DONE ||
	    store_purge(t->root, now - (int64_t)TEMPORARY_DAYS * 86400 * 1000000, &removed, e) != FATE_DONE)
		log_warning(NULL, "tree %s: %s", t->t->name, e->msg);
	return listing_forget_trashed(t->list, t->t->keep_trash_ms / 1000, e);
}

static bool
look_at(struct tree *t, struct carry_look *out, struct err *e)
{
	struct scan_report scan;
	struct tell_report tell;

	if (!scan_run(t, &scan, e) || (scan.waiting && !listing_try_again(t->list, e)) || !tell_run(t, &tell, e) || !tidy(t, e))
		return false;
	out->changed = out->changed || tell.told > 0;
	out->held = out->held || tell.held;
	out->busy = out->busy || scan.later > 0;
	return tell.held || tell.alike || !t->takes || put_right(t, out, e);
}

bool
carry_look_one(struct db *db, const struct conf *conf, const struct conf_tree *c, struct watch *w, int64_t wait_ms, struct carry_look *out, struct err *e)
{
	char why[ERR_MSG_MAX];
	struct tree *t = NULL;
	enum fate f = tree_open(db, conf, c, wait_ms, &t, e);
	bool ok = f == FATE_DONE;

	if (ok && w != NULL)
		watch_renew(w, t);
	ok = ok && look_at(t, out, e);
	tree_close(t);
	if (ok)
		return true;
	if (db_is_lost(db))
		return false;
	if (f == FATE_BUSY) {
		out->busy = true;
		err_clear(e);
		return true;
	}
	/* One tree's trouble is not another's. */
	log_warning(NULL, "%s", e->msg);
	out->held = true;
	(void)snprintf(why, sizeof why, "%s", e->msg);
	err_clear(e);
	return tree_hold(db, c->name, why, e);
}

bool
carry_look_here(struct db *db, const struct conf *conf, int64_t wait_ms, struct carry_look *out, struct err *e)
{
	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < conf->ntrees; i++) {
		bool before = out->wants;

		out->wants = false;
		if (!carry_look_one(db, conf, &conf->trees[i], NULL, wait_ms, out, e) || (out->wants && !order_want(db, conf->trees[i].name, e)))
			return false;
		out->wants = out->wants || before;
	}
	return true;
}

/* --- receiving --- */

struct landing {
	const struct conf *conf;
	struct db *db;	       /* that the tree was opened with */
	struct tree *tree;     /* kept while a large content comes */
	struct arrival *arrival;
};

bool
landing_new(const struct conf *conf, struct landing **out, struct err *e)
{
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for files");
	(*out)->conf = conf;
	return true;
}

static void
leave(struct landing *l)
{
	arrive_free(l->arrival);
	l->arrival = NULL;
	tree_close(l->tree);
	l->tree = NULL;
}

void
landing_free(struct landing *l)
{
	if (l == NULL)
		return;
	leave(l);
	free(l);
}

static enum fate
enter(struct landing *l, struct db *db, const struct conf_tree *t, struct err *e)
{
	enum fate f;

	if (l->tree != NULL && (l->db != db || l->tree->t != t))
		leave(l);
	if (l->tree != NULL)
		return tree_lock(l->tree, LAND_WAIT_MS, e);
	f = tree_open(db, l->conf, t, LAND_WAIT_MS, &l->tree, e);
	if (f == FATE_DONE && !arrive_new(l->tree, &l->arrival, e))
		f = FATE_FAILED;
	l->db = db;
	return f;
}

/* What a tree needs, and how much it is. */
struct wishes {
	struct buf lines;
	uint64_t contents, bytes;
};

struct asked_paths {
	unsigned char ids[PARCEL_PATHS_MAX * PARCEL_PATH];
	size_t n;
};

static bool
wish(void *arg, const struct arrive_want *w, struct err *e)
{
	struct wishes *all = arg;
	struct parcel_need n = { .size = w->size, .list = w->list, .from = w->from, .count = w->count };

	(void)e;
	memcpy(n.hash, w->hash, sizeof n.hash);
	if (n.size == 0)
		n.count = 1; /* the empty file: one block of nothing */
	parcel_put_need(&all->lines, &n);
	all->contents++;
	all->bytes += left_of(&n);
	return true;
}

/* For paths of which the peer has told just now, if there are any; else, and where one of them goes, for the whole tree. */
static bool
settle_for(struct landing *l, const struct asked_paths *p, struct wishes *needs, struct arrive_report *report, struct err *e)
{
	bool wide = p->n == 0;

	if (p->n > 0 && !arrive_settle_of(l->arrival, p->ids, p->n, wish, needs, report, &wide, e))
		return false;
	if (!wide)
		return true;
	buf_reset(&needs->lines);
	needs->contents = needs->bytes = 0;
	return arrive_settle(l->arrival, wish, needs, report, e);
}

static bool
answer_want(struct landing *l, const struct asked_paths *p, struct buf *answer, struct err *e)
{
	struct arrive_report report;
	struct parcel_answer head = { .state = PARCEL_READY };
	struct tree_state state;
	struct wishes needs = { .contents = 0 };
	bool ok;

	if (!tree_state_read(l->db, l->tree->t->name, &state, e))
		return false;
	if (!state.looked) {
		head.state = PARCEL_BUSY; /* what stands here is not known yet: it would all be asked for */
		parcel_put_answer(answer, &head);
		return true;
	}
	buf_init(&needs.lines, NEEDS_BYTES_MAX);
	ok = settle_for(l, p, &needs, &report, e) && buf_check(&needs.lines, "what a tree needs", e) &&
	    (report.held || (needs.contents == 0 && report.more) || progress_left(l->db, &(struct progress_of){ l->tree->t->name, "" }, needs.contents, needs.bytes, e));
	head.more = report.more;
	parcel_put_answer(answer, &head);
	buf_put(answer, buf_cstr(&needs.lines), needs.lines.len);
	buf_free(&needs.lines);
	return ok;
}

/* Which paths what comes is for, asked all at once. */
static bool
expect_items(struct landing *l, const char *body, size_t len, size_t at, struct err *e)
{
	struct buf hashes;
	struct parcel_item item;
	bool more = false, ok;

	buf_init(&hashes, CARRY_BODY_MAX);
	while ((ok = parcel_next_item(body, len, &at, &item, &more, e)) && more)
		if (!item.list && (hashes.len == 0 || memcmp(hashes.data + hashes.len - CONTENT_BYTES, item.hash, CONTENT_BYTES) != 0))
			buf_put(&hashes, item.hash, CONTENT_BYTES);
	ok = ok && buf_check(&hashes, "the contents of a message", e) &&
	    arrive_expect(l->arrival, (const unsigned char(*)[CONTENT_BYTES])hashes.data, hashes.len / CONTENT_BYTES, e);
	buf_free(&hashes);
	return ok;
}

static bool
take_items(struct landing *l, const char *body, size_t len, size_t at, struct err *e)
{
	struct arrive_report report;
	struct parcel_item item;
	bool more = false, ok;
	uint64_t contents = 0, bytes = 0;

	if (!expect_items(l, body, len, at, e))
		return false;
	while ((ok = parcel_next_item(body, len, &at, &item, &more, e)) && more) {
		ok = item.list ? arrive_list(l->arrival, item.hash, item.data, item.len, e) :
				 arrive_block(l->arrival, item.hash, (size_t)item.at, item.data, item.len, e);
		if (!ok)
			return false;
		contents++;
		bytes += item.len;
	}
	return ok && arrive_finish(l->arrival, &report, e) && progress_moved(l->db, &(struct progress_of){ l->tree->t->name, "" }, contents, bytes, e);
}

static bool
answer_lack(struct landing *l, const char *body, size_t len, size_t at, struct buf *answer, struct err *e)
{
	struct asked_paths p = { .n = 0 };
	unsigned char id[PARCEL_PATH];
	bool more = false, ok;

	while ((ok = parcel_next_path(body, len, &at, id, &more, e)) && more) {
		if (p.n == PARCEL_PATHS_MAX)
			return err_set(e, ERR_INPUT, "a malformed line about contents of a tree");
		memcpy(p.ids + p.n++ * PARCEL_PATH, id, PARCEL_PATH);
	}
	return ok && answer_want(l, &p, answer, e);
}

static bool
answer_call(struct landing *l, const struct parcel_call *c, const char *body, size_t len, size_t at, struct buf *answer, struct err *e)
{
	static const struct asked_paths all = { .n = 0 };
	const struct parcel_answer ready = { .state = PARCEL_READY };

	if (c->kind == PARCEL_WANT)
		return answer_want(l, &all, answer, e);
	if (c->kind == PARCEL_LACK)
		return answer_lack(l, body, len, at, answer, e);
	parcel_put_answer(answer, &ready);
	return take_items(l, body, len, at, e);
}

static bool
answer_briefly(struct buf *answer, enum parcel_state state, struct err *e)
{
	const struct parcel_answer a = { .state = state };

	parcel_put_answer(answer, &a);
	return buf_check(answer, "an answer", e);
}

bool
landing_is_put(const char *body, size_t len)
{
	struct parcel_call c;
	struct err ignored;
	size_t at;

	return parcel_parse_call(body, len, &c, &at, &ignored) && c.kind == PARCEL_PUT;
}

bool
landing_take(struct landing *l, struct db *db, const char *body, size_t len, struct buf *answer, struct err *e)
{
	const struct conf_tree *t;
	struct parcel_call c;
	bool pulled, ok = true;
	enum fate f;
	size_t at;

	if (!parcel_parse_call(body, len, &c, &at, e))
		return false;
	t = conf_tree(l->conf, c.tree);
	if (c.kind == PARCEL_COME || t == NULL)
		return (t == NULL || order_come(db, t->name, e)) && answer_briefly(answer, t == NULL ? PARCEL_NONE : PARCEL_READY, e);
	if (!order_stands(db, t->name, &pulled, e))
		return false;
	if (!pulled && !conf_tree_takes(l->conf, t))
		return answer_briefly(answer, PARCEL_NONE, e);
	f = enter(l, db, t, e);
	if (f == FATE_DONE)
		ok = answer_call(l, &c, body, len, at, answer, e);
	else if (f != FATE_FAILED) { /* away or in use: later */
		log_debug(NULL, "%s", e->msg);
		ok = answer_briefly(answer, PARCEL_BUSY, e);
	} else
		ok = false;
	if (f != FATE_DONE || !ok || !arrive_is_amidst(l->arrival))
		leave(l);
	else
		tree_unlock(l->tree);
	return ok && buf_check(answer, "an answer", e);
}
