/* The second look. Lives here: what is known of a key on both sides, whether that is a difference, who wins,
 * the orders that follow. Not here: how suspects are found (sync/compare), writing (sync/repair). */
#include "sync/doubt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/rekey.h"
#include "change/moved.h"
#include "change/trace.h"
#include "sync/repair.h"

/* --- looking --- */

/* Everything known of one suspect. */
struct finding {
	const char *ours, *theirs; /* the key as spelled there; NULL: no such record */
	size_t ours_len, theirs_len;
	bool equal, same_key;
	const struct trace *here, *there;
	const unsigned char *sum; /* of ours */
};

/* What the second look reads. */
struct second_look {
	struct digest_list here, there;
	struct digest_list old; /* the key of before of the peer's rows, where it was asked for */
	struct table view;	/* our table with that key */
	struct trace *here_traces, *there_traces;
	struct mark acked;
};

static void
look_free(struct second_look *s)
{
	digest_list_free(&s->here);
	digest_list_free(&s->there);
	digest_list_free(&s->old);
	free(s->here_traces);
	free(s->there_traces);
	mark_free(&s->acked);
}

static bool
take_fact(struct asker *a, struct second_look *s, struct err *e)
{
	struct trace *t = &s->there_traces[s->there.n];
	struct compare_fact f;

	if (!compare_parse_fact(&a->reader, &f, e))
		return false;
	if (s->there.n == a->suspects.n)
		return ask_got_too_much(a, e);
	t->fresh = f.fresh;
	if (f.changed_at != NULL) {
		(void)snprintf(t->changed_at, sizeof t->changed_at, "%s", f.changed_at);
		(void)snprintf(t->node, sizeof t->node, "%s", f.node);
	}
	return digest_list_add(&s->there, f.key == NULL ? "" : f.key, f.key_len, f.key == NULL ? NULL : f.sum, e) &&
	    digest_list_add(&s->old, f.old == NULL ? "" : f.old, f.old_len, f.old == NULL ? NULL : f.sum, e);
}

static bool
is_rekeyed(const struct asker *a)
{
	return a->watch != NULL && a->watch->was != NULL;
}

static struct rekey_scope
rekey_of(const struct asker *a)
{
	return (struct rekey_scope){ .db = a->l->db, .database = a->digest.database, .self = a->l->node->name, .table = a->table };
}

/* One suspect's key, with the one that our row had before where that matters. */
static bool
put_key(struct asker *a, const struct second_look *s, const char *key, size_t len, struct err *e)
{
	const struct rekey_scope scope = rekey_of(a);
	bool found = false, ok = true;
	struct buf old;

	buf_init(&old, CATALOG_KEY_BYTES);
	if (is_rekeyed(a))
		ok = rekey_old_key(&scope, &s->view, key, len, &old, &found, e);
	compare_put_key(&a->question, key, len, found ? buf_cstr(&old) : NULL, old.len);
	buf_free(&old);
	return ok;
}

static bool
look_there(struct asker *a, struct second_look *s, struct err *e)
{
	const struct digest_list *keys = &a->suspects;
	bool more, any;

	while (s->there.n < keys->n) {
		size_t before = s->there.n;

		if (!ask_begin(a, ASK_KEYS, e))
			return false;
		for (size_t i = before; i < keys->n && i - before < COMPARE_ITEMS && ask_has_room(a); i++)
			if (!put_key(a, s, digest_key(keys, &keys->rows[i]), keys->rows[i].key_len, e))
				return false;
		if (!ask_send(a, &more, e))
			return false;
		while (compare_next(&a->reader, &any, e) && any)
			if (!take_fact(a, s, e))
				return false;
		if (any || a->reader.left > 0)
			return false;
		if (s->there.n == before)
			return ask_got_nothing(a, e);
	}
	return true;
}

/* Records of the peer that this node has refused, or that wait there: it has them still to bring, whatever its own
 * books say by now. */
struct refused_here {
	const char *table;
	const struct digest_list *keys;
	struct place {
		uint64_t hash;
		size_t at;
	} *places; /* sorted by hash */
	struct trace *there;
};

static int
by_hash(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool
note_refused(const char *table, const char *key, size_t key_len, uint64_t seen_before, void *arg, struct err *e)
{
	const struct refused_here *r = arg;
	struct place wanted = { .hash = record_hash(table, key, key_len) }, *found;

	(void)seen_before;
	(void)e;
	if (strcmp(table, r->table) != 0 || r->keys->n == 0)
		return true;
	found = bsearch(&wanted, r->places, r->keys->n, sizeof wanted, by_hash);
	while (found != NULL && found > r->places && found[-1].hash == wanted.hash)
		found--; /* the same key may have been asked for twice */
	for (; found != NULL && found < r->places + r->keys->n && found->hash == wanted.hash; found++)
		r->there[found->at].fresh = true;
	return true;
}

static bool
look_at_refused(struct asker *a, struct second_look *s, struct err *e)
{
	struct refused_here r = { .table = a->table->name, .keys = &a->suspects, .there = s->there_traces };
	bool ok;

	r.places = calloc(a->suspects.n + 1, sizeof *r.places);
	if (r.places == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a comparison");
	for (size_t i = 0; i < a->suspects.n; i++)
		r.places[i] = (struct place){ record_hash(r.table, digest_key(r.keys, &r.keys->rows[i]), r.keys->rows[i].key_len), i };
	qsort(r.places, a->suspects.n, sizeof *r.places, by_hash);
	ok = unsettled_visit(a->l->db, a->l->peer->name, note_refused, &r, e);
	free(r.places);
	return ok;
}

/* What our queue knows. Whose records win anyway has no need of it, however much is on its way. */
static bool
look_here(struct asker *a, struct second_look *s, struct err *e)
{
	struct trace_question how = { .db = a->l->db, .table = a->table->name, .self = a->l->node->name, .peer = a->l->peer->name, .seen = &s->acked,
		.versions = a->act == COMPARE_MERGE };

	if (a->act != COMPARE_MINE)
		return trace_find(&how, &a->suspects, &s->here_traces, e);
	s->here_traces = calloc(a->suspects.n + 1, sizeof *s->here_traces);
	return s->here_traces != NULL || err_set(e, ERR_MEMORY, "out of memory for a comparison");
}

/* Rows of the peer that are not here: gone here, or here under another key, while the key of before was in force. */
static bool
tell_rekeyed(struct asker *a, struct second_look *s, struct err *e)
{
	const struct rekey_scope scope = rekey_of(a);
	bool ok = true;

	if (!is_rekeyed(a))
		return true;
	if (!db_begin(a->l->db, e))
		return false;
	for (size_t i = 0; ok && i < s->here.n; i++) {
		const struct digest_row *there = &s->there.rows[i], *old = &s->old.rows[i];
		bool ours = false;

		if (s->here.rows[i].there || !there->there || !old->there)
			continue;
		ok = rekey_resolve(&scope, digest_key(&s->old, old), old->key_len, digest_key(&s->there, there), there->key_len, &ours, e);
		s->here_traces[i].fresh = s->here_traces[i].fresh || ours;
	}
	if (ok && db_commit(a->l->db, e))
		return true;
	db_rollback(a->l->db);
	return false;
}

/* First how far each side has the other's changes, then our rows, then what the peer has, then our queue: so a change
 * that is made or that arrives meanwhile is in one of the two queues behind those positions, and no difference. (Our
 * rows after the peer's: what it changed in between, and brought, would be here and not in its answer.) */
static bool
look_again(struct asker *a, struct second_look *s, struct err *e)
{
	struct link *l = a->l;
	struct peer_state state;
	bool found;

	if (is_rekeyed(a) && !rekey_view(a->table, a->watch->was, &s->view))
		return err_set(e, ERR_PEER_REFUSED, "table %s was altered once more", a->table->name);
	s->there_traces = calloc(a->suspects.n + 1, sizeof *s->there_traces);
	if (s->there_traces == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a comparison");
	if (!peer_load(l->db, l->peer->name, &state, e) || !queue_load_mark(l->db, state.acked_epoch, &s->acked, &found, e) ||
	    !cursor_load(l->db, l->peer->name, false, &a->seen, e) || !moved_is_dirty(l->db, l->peer->name, a->table->name, &a->dirty, e))
		return false;
	return digest_find(&a->digest, &a->suspects, 0, &s->here, e) && look_there(a, s, e) && look_at_refused(a, s, e) && look_here(a, s, e) &&
	    tell_rekeyed(a, s, e);
}

static struct finding
find(const struct second_look *s, size_t i)
{
	const struct digest_row *here = &s->here.rows[i], *there = &s->there.rows[i];
	struct finding f = { .here = &s->here_traces[i], .there = &s->there_traces[i] };

	if (here->there) {
		f.ours = digest_key(&s->here, here);
		f.sum = here->sum;
		f.ours_len = here->key_len;
	}
	if (there->there) {
		f.theirs = digest_key(&s->there, there);
		f.theirs_len = there->key_len;
	}
	f.same_key = f.ours != NULL && f.theirs != NULL && f.ours_len == f.theirs_len && memcmp(f.ours, f.theirs, f.ours_len) == 0;
	f.equal = (f.ours == NULL && f.theirs == NULL) || (f.same_key && memcmp(here->sum, there->sum, DIGEST_BYTES) == 0);
	return f;
}

static bool
fills(const struct asker *a)
{
	return a->watch != NULL && a->watch->filler != NULL;
}

/* --- acting --- */

/* Versions to be overwritten here, then keys to be queued there. */
struct orders {
	struct repair_item *queue;	/* here */
	size_t nqueue;
	struct repair_loser *keep;	/* here */
	size_t nkeep;
	struct finding *fetch;		/* queued there */
	size_t nfetch;
	struct finding *spare;		/* kept there */
	size_t nspare;
	struct repair_loser *unseen;	/* kept here, though nothing that is done now overwrites it */
	size_t nunseen;
};

static void
order_mine(const struct asker *a, struct orders *o, const struct finding *f)
{
	struct repair_item *item;

	/* Not here, and changed there meanwhile: it comes by itself. A delete would lose against it, and count as one
	 * of a mass deletion all the same. Gone there: its delete comes, or what the triggers there could not name is told
	 * when that side compares. If neither side can tell, the row stays. */
	if (f->there->fresh && (f->ours == NULL || (f->theirs == NULL && !a->dirty)))
		return;
	item = &o->queue[o->nqueue++];
	*item = (struct repair_item){ .key = f->ours, .key_len = f->ours_len, .oldest = f->there->fresh };
	item->operation = f->theirs == NULL ? OP_INSERT : OP_UPDATE;
	if (f->ours == NULL) {
		item->operation = OP_DELETE;
		item->key = f->theirs;
		item->key_len = f->theirs_len;
	} else if (f->theirs != NULL && !f->same_key) {
		item->old_key = f->theirs;
		item->old_key_len = f->theirs_len;
	}
}

static struct repair_loser
loser_here(const struct asker *a, const struct finding *f)
{
	return (struct repair_loser){ .database = a->digest.database, .table = a->table, .self = a->l->node->name, .peer = a->l->peer->name, .key = f->ours,
		.key_len = f->ours_len, .there = f->theirs != NULL };
}

static void
order_theirs(const struct asker *a, struct orders *o, const struct finding *f)
{
	o->fetch[o->nfetch++] = *f;
	if (f->ours != NULL)
		o->keep[o->nkeep++] = loser_here(a, f);
}

/* A missing row is never taken for a delete; of two versions the later one that is known wins, and if none is,
 * that of the side which does not ask. */
static void
order_merge(const struct asker *a, struct orders *o, const struct finding *f)
{
	const char *here = f->here->changed_at, *there = f->there->changed_at;

	if (f->theirs == NULL) {
		order_mine(a, o, f);
		return;
	}
	if (f->ours == NULL || here[0] == '\0' || version_compare(here, f->here->node, there, f->there->node) < 0) {
		order_theirs(a, o, f);
		return;
	}
	order_mine(a, o, f);
	o->spare[o->nspare++] = *f;
}

/* A record of ours or theirs that is sent whole would take the place of what the other side has counted meanwhile: its
 * difference arrives first, and what differs then is another comparison's. */
static bool
counts_meanwhile(const struct asker *a, const struct finding *f)
{
	if (a->watch == NULL || !a->watch->spare_counters || a->table->ncounters == 0 || f->ours == NULL || f->theirs == NULL)
		return false;
	return a->act == COMPARE_MINE ? f->there->fresh : f->here->fresh || f->there->fresh;
}

/* A record that is only there and on its way here: who fills need not wait for it. */
static bool
is_fetched_now(const struct asker *a, const struct finding *f, enum compare_kind kind)
{
	return fills(a) && a->act == COMPARE_MERGE && kind == COMPARE_BUSY && f->ours == NULL && !f->here->fresh;
}

static void
order(const struct asker *a, struct orders *o, const struct finding *f, enum compare_kind kind)
{
	if (a->act == COMPARE_MINE)
		order_mine(a, o, f);
	else if (a->act == COMPARE_THEIRS)
		order_theirs(a, o, f);
	else if (is_fetched_now(a, f, kind))
		order_theirs(a, o, f);
	else if (a->act == COMPARE_MERGE && kind != COMPARE_BUSY)
		order_merge(a, o, f);
}

/* Keys for the peer to keep or to queue. */
static bool
tell(struct asker *a, enum compare_ask what, const struct finding *list, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		bool more;

		if (!ask_begin(a, what, e))
			return false;
		for (size_t told = 0; at < n && told < COMPARE_ITEMS && ask_has_room(a); at++, told++) {
			const struct finding *f = &list[at];
			bool other = what == ASK_QUEUE && f->ours != NULL && f->theirs != NULL && !f->same_key;

			compare_put_key(&a->question, f->theirs != NULL ? f->theirs : f->ours, f->theirs != NULL ? f->theirs_len : f->ours_len,
			    other ? f->ours : NULL, f->ours_len);
		}
		if (!ask_send(a, &more, e))
			return false;
	}
	return true;
}

/* The peer's versions are brought over at once, by whoever fills; it keeps what they overwrite. */
static bool
take_now(struct asker *a, const struct orders *o, struct err *e)
{
	const struct compare_filler *filler = a->watch->filler;
	struct compare_take *items = calloc(o->nfetch + 1, sizeof *items);
	bool ok;

	if (items == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a comparison");
	for (size_t i = 0; i < o->nfetch; i++) {
		const struct finding *f = &o->fetch[i];

		items[i] = (struct compare_take){ .ours = f->ours, .ours_len = f->ours_len, .theirs = f->theirs, .theirs_len = f->theirs_len,
			.changed_at = f->there->changed_at, .node = f->there->node };
		if (f->ours != NULL)
			memcpy(items[i].sum, f->sum, sizeof items[i].sum);
	}
	ok = o->nfetch == 0 || filler->take(a, items, o->nfetch, filler->arg, e);
	free(items);
	return ok;
}

static bool
queue_ours(struct asker *a, const struct orders *o, bool keep, struct err *e)
{
	struct db *db = a->l->db;
	bool ok = db_begin(db, e);

	for (size_t i = 0; ok && i < o->nunseen; i++)
		ok = repair_keep(db, &o->unseen[i], e);
	for (size_t i = 0; ok && keep && i < o->nkeep; i++)
		ok = repair_keep(db, &o->keep[i], e);
	ok = ok && repair_queue(db, a->table->name, o->queue, o->nqueue, e);
	if (ok && db_commit(db, e))
		return true;
	db_rollback(db);
	return false;
}

/* What loses is kept before anything is queued that overwrites it. */
static bool
carry_out(struct asker *a, const struct orders *o, struct err *e)
{
	if (!tell(a, ASK_KEEP, o->spare, o->nspare, e) || !queue_ours(a, o, !fills(a), e) ||
	    !(fills(a) ? take_now(a, o, e) : tell(a, ASK_QUEUE, o->fetch, o->nfetch, e)))
		return false;
	a->out->queued += o->nqueue + (fills(a) ? 0 : o->nfetch);
	return true;
}

/* --- judging --- */

static void
report(struct asker *a, const struct finding *f, enum compare_kind kind)
{
	uint64_t *const count[COMPARE_KINDS] = { &a->out->only_here, &a->out->only_there, &a->out->different, &a->out->busy, &a->out->pending };

	++*count[kind];
	if (a->watch != NULL && a->watch->record != NULL)
		a->watch->record(kind, f->ours != NULL ? f->ours : f->theirs, f->ours != NULL ? f->ours_len : f->theirs_len, a->watch->arg);
}

static enum compare_kind
kind_of(const struct asker *a, const struct finding *f)
{
	if (f->there->fresh)
		return COMPARE_BUSY;
	if (f->here->fresh && a->act != COMPARE_MINE)
		return COMPARE_PENDING;
	return f->theirs == NULL ? COMPARE_ONLY_HERE : f->ours == NULL ? COMPARE_ONLY_THERE : COMPARE_DIFFERENT;
}

/* Two spellings of one key are two suspects and one finding: that of our spelling. */
static bool
is_twin(const struct asker *a, const struct finding *f, size_t i)
{
	const struct digest_row *suspect = &a->suspects.rows[i];

	return f->ours != NULL && f->theirs != NULL && !f->same_key &&
	    (suspect->key_len != f->ours_len || memcmp(digest_key(&a->suspects, suspect), f->ours, f->ours_len) != 0);
}

/* A change of one side alone will be written over what the other has, without a conflict: the link has begun since that
 * was captured, so it counts as seen. Who fills is sent nothing until it has looked; else the other side looks too, and
 * sees to what is here. */
static void
keep_unseen(const struct asker *a, struct orders *o, const struct finding *f)
{
	if (a->watch == NULL || !a->watch->keep_unseen || f->here->fresh == f->there->fresh)
		return;
	if (f->here->fresh && f->theirs != NULL)
		o->spare[o->nspare++] = *f;
	if (f->there->fresh && f->ours != NULL && fills(a) && a->act == COMPARE_MERGE)
		o->unseen[o->nunseen++] = loser_here(a, f);
}

static void
judge(struct asker *a, const struct second_look *s, struct orders *o)
{
	for (size_t i = 0; i < a->suspects.n; i++) {
		struct finding f = find(s, i);
		enum compare_kind kind;

		if (f.equal || is_twin(a, &f, i))
			continue;
		kind = kind_of(a, &f);
		report(a, &f, kind);
		keep_unseen(a, o, &f);
		/* Whoever fills leaves alone what is on its way from here: a live change is later than any copy. */
		if (counts_meanwhile(a, &f) || (fills(a) && f.here->fresh))
			continue;
		if (kind != COMPARE_PENDING || a->act == COMPARE_THEIRS)
			order(a, o, &f, kind);
	}
}

static bool
act(struct asker *a, const struct second_look *s, struct err *e)
{
	size_t n = a->suspects.n + 1;
	struct orders o = { .queue = calloc(n, sizeof *o.queue), .keep = calloc(n, sizeof *o.keep), .fetch = calloc(n, sizeof *o.fetch), .spare = calloc(n, sizeof *o.spare),
		.unseen = calloc(n, sizeof *o.unseen) };
	bool ok = o.queue != NULL && o.keep != NULL && o.fetch != NULL && o.spare != NULL && o.unseen != NULL;

	if (!ok)
		(void)err_set(e, ERR_MEMORY, "out of memory for a comparison");
	else {
		judge(a, s, &o);
		ok = o.nqueue + o.nfetch + o.nspare + o.nunseen == 0 || carry_out(a, &o, e);
	}
	free(o.queue);
	free(o.keep);
	free(o.fetch);
	free(o.spare);
	free(o.unseen);
	return ok;
}

bool
doubt_settle(struct asker *a, struct err *e)
{
	struct second_look s;
	bool ok;

	if (a->suspects.n == 0)
		return true;
	memset(&s, 0, sizeof s);
	digest_list_init(&s.here, DIGEST_SQL_MAX);
	digest_list_init(&s.there, DIGEST_SQL_MAX);
	digest_list_init(&s.old, DIGEST_SQL_MAX);
	ok = look_again(a, &s, e) && act(a, &s, e);
	look_free(&s);
	digest_list_reset(&a->suspects);
	return ok;
}

bool
doubt_add(struct asker *a, const struct digest_list *l, const struct digest_row *row, struct err *e)
{
	if (a->suspects.n >= COMPARE_ITEMS && !doubt_settle(a, e))
		return false;
	return digest_list_add(&a->suspects, digest_key(l, row), row->key_len, row->sum, e);
}
