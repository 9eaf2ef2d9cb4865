/* What a peer asks of upload folders, and what it brings. Lives here: answering. Not here: what is missing and how it is
 * written (files/arrive), the form of the lines (wire/parcel). */
#include "sync/land.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "files/arrive.h"
#include "files/order.h"
#include "files/progress.h"
#include "sync/carry.h"
#include "wire/parcel.h"

enum {
	LAND_WAIT_MS = 5000 /* for whoever works in the folder; the caller's patience is longer */
};

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

/* What a question is about; n 0: the whole tree. */
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
	all->bytes += parcel_left(&n);
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
	buf_init(&needs.lines, PARCEL_NEEDS_BYTES);
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
