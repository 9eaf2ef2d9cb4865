/* The sending side. Lives here: what sync/group, sync/link and sync/settle read and write, around the decisions that
 * they share with this: mark_see, queue_cut_mark, collapse, debt, position. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "apply/position.h"
#include "change/debt.h"

struct builder {
	struct world *w;
	struct node *n;
	int peer;
	struct side *side;
	bool retry;
	struct collapse collapse;
	struct mark base, upto; /* base is borrowed */
	const struct mark *last;
	bool fresh, last_part, retries;
	struct owed_key {
		int table, key;
		bool sent;
	} owed[RECORDS_MAX];
	size_t nowed;
	struct group_sent *out;
};

/* --- the mark --- */

static bool
contains(const struct mark *m, uint64_t id)
{
	return mark_contains(m, id);
}

/* The mark of everything visible, after last. */
static bool
next_mark(struct world *w, struct store *s, const struct mark *last, struct mark *out)
{
	bool grew = false;
	struct err e;

	memset(out, 0, sizeof *out);
	out->epoch = last->epoch + 1;
	out->high = last->high;
	must(id_set_copy(&last->holes, &out->holes, &e), &e);
	for (size_t i = 0; i < s->nqueue; i++) {
		if (!s->queue[i].visible || contains(last, s->queue[i].id))
			continue;
		must(mark_see(out, s->queue[i].id, &e), &e);
		grew = true;
	}
	for (size_t i = 0; i < s->dead.n; i++)
		for (uint64_t id = s->dead.ranges[i].low; id <= s->dead.ranges[i].high; id++)
			if (id <= last->high)
				must(id_set_remove(&out->holes, id, &e), &e);
	if (w->wrong == WRONG_WATERMARK)
		id_set_free(&out->holes);
	return grew;
}

/* Collapse what upto contains and base does not, as queue_visit gives it. False: more than limit records; *last_id is
 * that of the last change taken in. */
static bool
collapse_between(struct builder *b, uint64_t limit, uint64_t *last_id)
{
	struct store *s = &b->n->store;
	char key[KEY_MAX_LEN];
	struct err e;

	for (size_t i = 0; i < s->nqueue; i++) {
		const struct queued *q = &s->queue[i];
		struct change c = store_change(b->w, q, key);

		if (!q->visible || q->status == SUPERSEDED || !contains(&b->upto, q->id) || contains(&b->base, q->id))
			continue;
		if (limit > 0 && b->collapse.n >= limit && (c.link == 0 || c.link != *last_id) && collapse_find(&b->collapse, c.table, c.key, c.key_len) == NULL)
			return false;
		*last_id = q->id;
		must(collapse_add(&b->collapse, &c, &e), &e);
	}
	return true;
}

/* Too much, and older epochs end within it: end at the newest of those that fits. */
static void
end_at_epoch(struct builder *b, uint64_t last_id)
{
	struct store *s = &b->n->store;
	const struct mark *to = store_mark(s, b->base.epoch + 1);
	uint64_t ignored = 0;
	struct err e;

	for (size_t i = 0; i < s->nmarks; i++)
		if (s->marks[i].epoch > b->base.epoch && s->marks[i].epoch <= b->last->epoch && s->marks[i].high <= last_id)
			to = &s->marks[i];
	mark_free(&b->upto);
	if (to == NULL) {
		fail(b->w, "an epoch is missing at %s", b->n->name);
		return;
	}
	b->upto = *to;
	must(id_set_copy(&to->holes, &b->upto.holes, &e), &e);
	collapse_reset(&b->collapse);
	b->fresh = false;
	(void)collapse_between(b, 0, &ignored);
}

static void
mark_and_collapse(struct builder *b)
{
	uint64_t last_id = 0;
	struct err e;

	b->fresh = next_mark(b->w, &b->n->store, b->last, &b->upto);
	if (!b->fresh) {
		mark_free(&b->upto);
		b->upto = *b->last;
		must(id_set_copy(&b->last->holes, &b->upto.holes, &e), &e);
	}
	b->last_part = collapse_between(b, b->w->group_rows, &last_id);
	if (b->last_part)
		return;
	b->w->cuts++;
	if (b->fresh && b->base.epoch == b->last->epoch)
		must(queue_cut_mark(b->last, &b->upto, last_id, &e), &e);
	else
		end_at_epoch(b, last_id);
}

/* --- owed --- */

static struct debt_group
debt_group(const struct builder *b)
{
	return (struct debt_group){ b->side->state.acked_epoch, b->base.epoch, b->upto.epoch, b->retry, b->fresh, b->last_part };
}

static const char *
node_name(const struct world *w, int number)
{
	return number == NOBODY ? NULL : w->nodes[number].name;
}

/* Where single columns count, the rows of the queue tell what an owed record is about (sync/group, merge_owed). */
static void
merge_owed(struct builder *b, const struct debt *d, const struct owed *o, struct entry **entry)
{
	const struct mask none = { { 0 } };
	struct debt_before before = debt_before(*entry, o);
	const struct table *t = table_of(b->w, d->table);
	char key[KEY_MAX_LEN];
	struct buf told;
	struct err e;

	if (!mask_is_wanted(t) || b->w->wrong == WRONG_RETRY_FORGETS) {
		must(debt_merge(&b->collapse, o, entry, &e), &e);
		return;
	}
	for (size_t i = 0; i < b->n->store.nqueue; i++) {
		const struct queued *q = &b->n->store.queue[i];
		struct change c = store_change(b->w, q, key);

		for (size_t k = 0; k < d->nids; k++)
			if (d->ids[k] == q->id && q->status != SUPERSEDED)
				must(collapse_add(&b->collapse, &c, &e), &e);
	}
	buf_init(&told, MASK_BYTES);
	mask_write(t, &none, &told);
	*entry = collapse_find(&b->collapse, o->table, o->key, o->key_len);
	before.decided = *entry != NULL && (*entry)->decided;
	if (*entry == NULL || !(*entry)->send || o->whole)
		must(debt_add(&b->collapse, o, &told, &e), &e);
	buf_free(&told);
	*entry = collapse_find(&b->collapse, o->table, o->key, o->key_len);
	debt_note(*entry, o, &before);
}

/* Two keys were left for one: the group tells of the later. */
static void
end_forsaken(struct builder *b, const struct entry *entry, const struct owed *o, int table)
{
	struct debt_before before = debt_before(entry, o);
	const struct queued *from = store_queued(&b->n->store, debt_forsaken(&before, o)), *other = store_queued(&b->n->store, before.link);
	struct queued again;

	if (from == NULL || from->table != table || (other != NULL && other->key == from->key))
		return;
	again = *from;
	store_tell_end(&b->n->store, &again);
	store_debt(b->side, table, key_number(o->key))->link = 0;
}

static void
take_owed(struct builder *b, const struct debt *d)
{
	char key[KEY_MAX_LEN];
	size_t len = (size_t)snprintf(key, sizeof key, "%d", d->key);
	struct entry *entry = collapse_find(&b->collapse, table_names[d->table], key, len);
	bool has_news = entry != NULL && entry->send;
	const struct debt_group now = debt_group(b);
	struct owed_key *to = &b->owed[b->nowed++];
	const struct owed o = { .table = table_names[d->table], .key = key, .key_len = len, .state = d->state, .last_id = d->last_id, .first = d->first,
		.changed_at = d->changed_at, .origin = node_name(b->w, d->origin), .via = node_name(b->w, d->via), .whole = d->whole, .link = d->link };

	*to = (struct owed_key){ d->table, d->key, false };
	if (!has_news && !debt_is_due(&now, d->state, d->sent_epoch))
		return;
	b->retries = b->retries || (!has_news && b->last_part);
	end_forsaken(b, entry, &o, d->table);
	merge_owed(b, d, &o, &entry);
	to->sent = true;
}

/* --- records --- */

static const struct row *
row_of(const struct builder *b, const struct entry *entry)
{
	return &b->n->store.rows[table_number(collapse_table_name(&b->collapse, entry->table))][key_number(collapse_text(&b->collapse, entry->key))];
}

/* The key that a changed key came from, followed back to one that the peer has. */
static void
resolve_link(struct builder *b, struct entry *entry)
{
	enum { HOPS_MAX = 64 };
	struct store *s = &b->n->store;
	int table = table_number(collapse_table_name(&b->collapse, entry->table));
	uint64_t link = entry->link;

	for (int hops = 0; link != 0 && hops < HOPS_MAX; hops++) {
		const struct queued *q = store_queued(s, link);
		struct entry *old = NULL;
		bool exists = true;
		size_t at = 0, len = 0;
		char key[KEY_MAX_LEN];

		if (q != NULL && q->visible && q->table == table) {
			len = (size_t)snprintf(key, sizeof key, "%d", q->key);
			at = collapse_keep(&b->collapse, key, len);
			old = collapse_find(&b->collapse, table_names[table], key, len);
			exists = old != NULL ? !old->absent : s->rows[table][q->key].here;
		}
		debt_step_back(entry, old, at, len, exists, &link);
	}
}

/* What the record says of single columns (sync/group, put_columns). */
static void
put_columns(const struct builder *b, const struct entry *entry, struct sent *to)
{
	struct buf text;

	to->weak = entry->weak && !entry->whole && to->operation == 'u';
	if (to->operation != 'u' || (to->whole && (!entry->decided || entry->reborn || table_of(b->w, to->table)->ncounters == 0)) || entry->versions == NULL || !mask_is_wanted(table_of(b->w, to->table)))
		return;
	buf_init(&text, VERSIONS_LEN);
	versions_put(&text, entry->versions, NULL, COLUMNS);
	to->told.any = true;
	(void)snprintf(to->told.versions, sizeof to->told.versions, "%s", buf_cstr(&text));
	buf_free(&text);
	if (entry->difference != NULL && strcmp(entry->difference, "0") != 0)
		(void)snprintf(to->told.difference, sizeof to->told.difference, "%d:%s", COLUMNS - 1, entry->difference);
}

/* What was counted after upto comes with a later group: it is not in the value of this one. */
static int64_t
counted_later(const struct builder *b, int table, int key)
{
	const struct store *s = &b->n->store;
	int64_t sum = 0;

	for (size_t i = 0; i < s->nqueue; i++) {
		const struct queued *q = &s->queue[i];

		if (q->table == table && q->key == key && q->visible && q->status != SUPERSEDED && q->via != b->peer && !contains(&b->upto, q->id))
			sum += strtoll(q->told.difference, NULL, 10);
	}
	return b->w->wrong == WRONG_COUNTED_TWICE ? 0 : sum;
}

/* A row travels as it is now, also at an epoch that does not contain its last change. Set back to a backup with that
 * epoch and without that change, a node could not be told from one that was never set back. */
static void
note_newer_row(struct builder *b, int table, int key)
{
	const struct store *s = &b->n->store;

	for (size_t i = s->nqueue; i-- > 0;)
		if (s->queue[i].table == table && s->queue[i].key == key && s->queue[i].visible) {
			if (!contains(&b->upto, s->queue[i].id))
				world_drop_backup(b->n);
			return;
		}
}

static void
put(struct builder *b, const struct entry *entry, char operation)
{
	const struct collapse *c = &b->collapse;
	const char *origin = collapse_text(c, entry->origin), *via = collapse_text(c, entry->via), *old = collapse_text(c, entry->old_key);
	struct sent *to = &b->out->records[b->out->n++];

	memset(to, 0, sizeof *to);
	to->table = table_number(collapse_table_name(c, entry->table));
	to->operation = operation;
	(void)snprintf(to->key, sizeof to->key, "%s", collapse_text(c, entry->key));
	(void)snprintf(to->old_key, sizeof to->old_key, "%s", old == NULL ? "" : old);
	(void)snprintf(to->changed_at, sizeof to->changed_at, "%s", collapse_text(c, entry->changed_at));
	(void)snprintf(to->origin, sizeof to->origin, "%s", origin == NULL ? "" : origin);
	(void)snprintf(to->via, sizeof to->via, "%s", via == NULL ? "" : via);
	to->whole = (entry->whole && operation == 'u') || entry->decided;
	to->row = *row_of(b, entry);
	to->row.stock -= counted_later(b, to->table, key_number(to->key));
	put_columns(b, entry, to);
	note_newer_row(b, to->table, key_number(to->key));
	for (size_t i = 0; i < b->side->nunsettled && b->w->wrong != WRONG_REFUSED_SEEN; i++) {
		const struct unsettled *u = &b->side->unsettled[i];

		if (u->table != to->table || (u->key != key_number(to->key) && (old == NULL || u->key != key_number(old))))
			continue;
		to->seen = to->has_seen && to->seen < u->seen_before ? to->seen : u->seen_before;
		to->has_seen = true;
	}
}

/* The end of the key that the peer has a record under which is gone. */
static void
end_old_key(struct builder *b, const struct entry *entry)
{
	const struct queued *from = debt_left_behind(entry) ? store_queued(&b->n->store, entry->link) : NULL;
	struct queued q;

	if (from == NULL || from->key == key_number(collapse_text(&b->collapse, entry->key)))
		return;
	q = (struct queued){ .id = b->n->store.next_id++, .table = from->table, .key = from->key, .operation = OP_DELETE,
		.origin = node_number(collapse_text(&b->collapse, entry->origin)), .via = NOBODY, .whole = true, .visible = true };
	memcpy(q.changed_at, collapse_text(&b->collapse, entry->changed_at), QUEUE_TIME_LEN + 1);
	(void)store_enqueue(&b->n->store, &q); /* the queue may have moved */
	store_debt(b->side, q.table, key_number(collapse_text(&b->collapse, entry->key)))->link = 0;
}

/* Still owed, deletes, then updates and inserts, of each table those with a new key last. */
static void
put_all(struct builder *b)
{
	struct collapse *c = &b->collapse;

	for (size_t i = 0; i < c->n; i++)
		c->entries[i].absent = c->entries[i].send && !row_of(b, &c->entries[i])->here;
	for (size_t i = 0; i < c->n; i++)
		if (c->entries[i].send && c->entries[i].link != 0 && !c->entries[i].absent)
			resolve_link(b, &c->entries[i]);
	for (size_t i = 0; i < b->nowed; i++) {
		const struct owed_key *o = &b->owed[i];

		if (o->sent)
			continue;
		b->out->records[b->out->n] = (struct sent){ .table = o->table, .operation = 'o' };
		(void)snprintf(b->out->records[b->out->n++].key, KEY_MAX_LEN, "%d", o->key);
	}
	for (size_t i = 0; i < c->n; i++)
		if (c->entries[i].send && !c->entries[i].done && c->entries[i].absent) {
			put(b, &c->entries[i], 'd');
			end_old_key(b, &c->entries[i]);
		}
	for (size_t table = 0; table < c->ntables; table++)
		for (int linked = 0; linked < 2; linked++)
			for (size_t i = 0; i < c->n; i++) {
				struct entry *entry = &c->entries[i];

				if (entry->table == table && entry->send && !entry->done && !entry->absent && (entry->link != 0) == (linked != 0))
					put(b, entry, entry->first == OP_INSERT ? 'i' : 'u');
			}
}

static bool
has_records(const struct collapse *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->entries[i].send)
			return true;
	return false;
}

static void
put_head(struct builder *b)
{
	struct group_header *h = &b->out->header;

	memset(h, 0, sizeof *h);
	h->start = b->side->state.fresh;
	h->last = b->last_part;
	(void)snprintf(h->node, sizeof h->node, "%s", b->n->name);
	memcpy(h->incarnation, b->n->store.incarnation, sizeof h->incarnation);
	h->base.epoch = b->base.epoch;
	memcpy(h->base.stamp, b->base.stamp, sizeof h->base.stamp);
	h->upto.epoch = b->upto.epoch;
	memcpy(h->upto.stamp, b->upto.stamp, sizeof h->upto.stamp);
	memcpy(h->seen_incarnation, b->side->cursor.incarnation, sizeof h->seen_incarnation);
	h->seen.epoch = b->side->cursor.epoch;
	memcpy(h->seen.stamp, b->side->cursor.stamp, sizeof h->seen.stamp);
}

static void
note_sent(struct builder *b)
{
	const struct debt_group now = debt_group(b);

	for (size_t i = 0; i < b->side->nowed; i++) {
		struct debt *d = &b->side->owed[i];

		d->sent_epoch = debt_sent_epoch(&now, d->sent_epoch, b->owed[i].sent);
	}
	b->side->has_sent_seen = true;
	b->side->sent_seen = b->side->cursor.epoch;
	for (size_t i = 0; i < b->side->nunsettled; i++)
		if (b->side->unsettled[i].seen_before < b->side->sent_seen)
			b->side->sent_seen = b->side->unsettled[i].seen_before;
}

static void
store_upto(struct builder *b)
{
	struct mark copy = b->upto;
	struct err e;

	chance_hex(b->w, b->upto.stamp, MARK_STAMP_LEN);
	memcpy(copy.stamp, b->upto.stamp, sizeof copy.stamp);
	must(id_set_copy(&b->upto.holes, &copy.holes, &e), &e);
	store_add_mark(&b->n->store, &copy);
}

static enum built
build(struct builder *b)
{
	struct store *s = &b->n->store;
	const struct mark *base = store_mark(s, b->side->state.acked_epoch);

	if (base == NULL || (b->w->wrong != WRONG_STAMP && strcmp(base->stamp, b->side->state.acked_stamp) != 0))
		return BUILT_HELD;
	b->base = *base;
	b->last = store_last_mark(s);
	mark_and_collapse(b);
	for (size_t i = 0; i < b->side->nowed; i++)
		take_owed(b, &b->side->owed[i]);
	if (!has_records(&b->collapse) && b->last_part)
		return BUILT_NOTHING;
	if (!b->fresh && b->retries) { /* an epoch that no earlier group can have had */
		mark_free(&b->upto);
		(void)next_mark(b->w, s, b->last, &b->upto);
		b->fresh = true;
	}
	if (b->fresh) {
		b->base.holes = (struct id_set){ 0 }; /* the marks may move in memory; only its position is needed now */
		store_upto(b);
	}
	put_head(b);
	put_all(b);
	note_sent(b);
	return BUILT_GROUP;
}

enum built
sender_build(struct world *w, struct node *n, int peer, bool retry, struct group_sent *out)
{
	struct builder b = { .w = w, .n = n, .peer = peer, .side = &n->store.sides[peer], .retry = retry, .out = out };
	enum built built;

	out->n = 0;
	collapse_init(&b.collapse, n->name, w->nodes[peer].name);
	b.collapse.catalog = &w->catalog;
	built = build(&b);
	collapse_free(&b.collapse);
	mark_free(&b.upto);
	return built;
}

/* --- the answer --- */

struct settle {
	struct world *w;
	struct node *n;
	int peer;
	struct side *side;
	const struct reply *reply;
	const struct mark *from, *upto;
	struct collapse collapse;
	bool known[RECORDS_MAX];
	uint64_t links[RECORDS_MAX]; /* of refused records: where they were before, as the peer knows it */
};

static const struct refused_record *
find_note(const struct settle *s, int table, int key)
{
	for (size_t i = 0; i < s->reply->nrefused; i++)
		if (s->reply->refused[i].table == table && s->reply->refused[i].key == key)
			return &s->reply->refused[i];
	return NULL;
}

static bool
in_group(const struct settle *s, const struct queued *q)
{
	return q->visible && q->status != SUPERSEDED && contains(s->upto, q->id) && !contains(s->from, q->id);
}

static bool
is_counted(const struct settle *s, const struct refused_record *r)
{
	return r->counted && !s->upto->cut;
}

static void
add_id(struct debt *d, uint64_t id)
{
	for (size_t i = 0; i < d->nids; i++)
		if (d->ids[i] == id)
			return;
	if (d->nids < sizeof d->ids / sizeof *d->ids)
		d->ids[d->nids++] = id;
}

/* The queue rows of a record in this group. */
static size_t
add_group_ids(const struct settle *s, struct debt *d)
{
	const struct store *store = &s->n->store;
	size_t found = 0;

	for (size_t i = 0; i < store->nqueue; i++) {
		const struct queued *q = &store->queue[i];

		if (q->table != d->table || q->key != d->key || !in_group(s, q))
			continue;
		add_id(d, q->id);
		found++;
	}
	return found;
}

static void
mark_rows(const struct settle *s, const struct debt *d, bool accepted)
{
	for (size_t i = 0; i < d->nids; i++) {
		struct queued *q = store_queued(&s->n->store, d->ids[i]);

		if (q == NULL || q->status == SUPERSEDED)
			continue;
		q->status = accepted ? SYNCED : PENDING;
		q->error = !accepted;
	}
}

/* The peer has taken our version, of the record or of the row that has its unique value (inbox_accepted). */
static void
accept_undecided(struct side *side, const struct debt *d)
{
	for (size_t i = side->nundecided; i-- > 0;) {
		struct undecided *u = &side->undecided[i];

		if (u->decision == 0 && u->table == d->table && (u->rival == 0 ? u->key : u->rival) == d->key)
			store_drop_undecided(side, u);
	}
}

static void
settle_owed(struct settle *s)
{
	for (size_t i = 0; i < s->side->nowed;) {
		struct debt *d = &s->side->owed[i];
		const struct refused_record *r = find_note(s, d->table, d->key);

		if (!debt_is_answered(d->sent_epoch, s->from->epoch, s->upto->epoch, r != NULL)) {
			i++;
			continue;
		}
		if (r == NULL) {
			accept_undecided(s->side, d);
			mark_rows(s, d, true);
			store_drop_debt(s->side, d);
			continue;
		}
		s->known[r - s->reply->refused] = true;
		if (add_group_ids(s, d) > 0)
			d->attempts = 0;
		d->attempts += is_counted(s, r);
		d->state = debt_state(d->attempts, MAX_ATTEMPTS, is_counted(s, r));
		mark_rows(s, d, false);
		i++;
	}
}

/* How the record that left its key with the change a came there in this group; 0: it did not, or the peer may know it so. */
static uint64_t
group_link(const struct settle *s, const struct queued *a)
{
	const struct store *store = &s->n->store;
	const struct queued *first = NULL, *came = NULL;

	for (size_t i = 0; i < store->nqueue; i++) {
		const struct queued *q = &store->queue[i];

		if (contains(s->from, q->id) || q->id >= a->id || q->table != a->table || q->key != a->key || q->status == SUPERSEDED || q->via == s->peer)
			continue;
		first = first == NULL ? q : first;
		came = q->link != 0 ? q : came;
	}
	if (came == NULL)
		return 0;
	if (!came->whole && came->via == NOBODY)
		return came->link;
	return first->operation == OP_INSERT && !first->whole && first->via == NOBODY ? came->link : 0;
}

static uint64_t
first_link(const struct settle *s, int table, uint64_t link)
{
	enum { HOPS_MAX = 64 };
	struct store *store = &s->n->store;

	for (int hops = 0; link != 0 && hops < HOPS_MAX; hops++) {
		const struct queued *a = store_queued(store, link);
		const struct debt *d = a == NULL || a->table != table ? NULL : store_debt(s->side, table, a->key);
		uint64_t before = d == NULL ? 0 : d->link; /* the peer never had it under that key */

		if (before == 0 && a != NULL && a->table == table)
			before = group_link(s, a);
		if (before == 0)
			return link;
		link = before;
	}
	return link;
}

static void
insert_debt(struct settle *s, const struct refused_record *r, const struct entry *entry, uint64_t link)
{
	const struct collapse *c = &s->collapse;
	struct debt *d;

	s->side->owed = realloc(s->side->owed, (s->side->nowed + 1) * sizeof *s->side->owed);
	if (s->side->owed == NULL)
		abort();
	d = &s->side->owed[s->side->nowed++];
	*d = (struct debt){ .table = r->table, .key = r->key, .attempts = is_counted(s, r), .last_id = entry->last_id, .first = entry->first,
		.origin = node_number(collapse_text(c, entry->origin)), .via = node_number(collapse_text(c, entry->via)), .whole = entry->whole,
		.link = link, .sent_epoch = s->upto->epoch };
	d->state = debt_state(d->attempts, MAX_ATTEMPTS, is_counted(s, r));
	(void)snprintf(d->changed_at, sizeof d->changed_at, "%s", collapse_text(c, entry->changed_at));
	(void)add_group_ids(s, d);
	mark_rows(s, d, false);
}

/* Newer changes of an owed record raise what it carries. */
static void
raise_debt(struct settle *s, const struct refused_record *r, const struct entry *entry, uint64_t link)
{
	const struct collapse *c = &s->collapse;
	struct debt *d = store_debt(s->side, r->table, r->key);
	const char *changed_at = collapse_text(c, entry->changed_at);

	d->last_id = entry->last_id > d->last_id ? entry->last_id : d->last_id;
	if (strcmp(changed_at, d->changed_at) >= 0) {
		d->origin = node_number(collapse_text(c, entry->origin));
		d->via = node_number(collapse_text(c, entry->via));
		memcpy(d->changed_at, changed_at, sizeof d->changed_at);
	}
	d->whole = d->whole || entry->whole;
	d->link = link != 0 ? link : d->link;
}

static const struct entry *
refused_entry(const struct settle *s, const struct refused_record *r)
{
	char key[KEY_MAX_LEN];
	size_t len = (size_t)snprintf(key, sizeof key, "%d", r->key);

	return collapse_find(&s->collapse, table_names[r->table], key, len);
}

static void
settle_refusals(struct settle *s)
{
	struct store *store = &s->n->store;
	char key[KEY_MAX_LEN];
	struct err e;

	for (size_t i = 0; s->reply->nrefused > 0 && i < store->nqueue; i++) {
		const struct queued *q = &store->queue[i];
		struct change c = store_change(s->w, q, key);

		if (in_group(s, q) && find_note(s, q->table, q->key) != NULL)
			must(collapse_add(&s->collapse, &c, &e), &e);
	}
	for (size_t i = 0; i < s->reply->nrefused; i++) {
		const struct entry *entry = refused_entry(s, &s->reply->refused[i]);

		s->links[i] = entry == NULL ? 0 : first_link(s, s->reply->refused[i].table, entry->link);
	}
	settle_owed(s);
	for (size_t i = 0; i < s->reply->nrefused; i++) {
		const struct refused_record *r = &s->reply->refused[i];
		const struct entry *entry = refused_entry(s, r);

		if (entry == NULL || !entry->send)
			continue;
		if (s->known[i])
			raise_debt(s, r, entry, s->links[i]);
		else if (store_debt(s->side, r->table, r->key) == NULL)
			insert_debt(s, r, entry, s->links[i]);
		else
			fail(s->w, "%s: record %d of %s was refused and is owed already", s->n->name, r->key, table_names[r->table]);
	}
}

/* The last id of which every group that may still come from the peer has heard. */
static uint64_t
heard_id(const struct settle *s)
{
	const struct mark *floor = store_mark(&s->n->store, s->reply->header.floor);

	if (s->reply->header.floor >= s->upto->epoch)
		return s->upto->high;
	return floor == NULL ? 0 : floor->high;
}

static void
forget_decisions(struct settle *s)
{
	for (size_t i = 0; i < s->side->nundecided;) {
		struct undecided *u = &s->side->undecided[i];

		if (u->decision != 0 && u->decision <= heard_id(s))
			store_drop_undecided(s->side, u);
		else
			i++;
	}
}

/* A 200 only. */
static bool
settle(struct world *w, struct node *n, int peer, const struct reply *r)
{
	struct settle s = { .w = w, .n = n, .peer = peer, .side = &n->store.sides[peer], .reply = r };
	struct peer_state *state = &s.side->state;
	struct standing where;

	s.upto = store_mark(&n->store, r->header.cursor.epoch);
	where = position_of_answer(&r->header.cursor, state, s.upto);
	if (where.kind == STANDING_REFUSED && w->wrong == WRONG_STAMP && s.upto != NULL)
		where.kind = STANDING_NEXT;
	if (where.kind != STANDING_NEXT)
		return where.kind == STANDING_APPLIED;
	s.from = store_mark(&n->store, state->acked_epoch);
	if (s.from == NULL)
		return false;
	collapse_init(&s.collapse, n->name, w->nodes[peer].name);
	settle_refusals(&s);
	collapse_free(&s.collapse);
	forget_decisions(&s);
	state->acked_epoch = s.upto->epoch;
	memcpy(state->acked_stamp, s.upto->stamp, sizeof state->acked_stamp);
	state->floor_epoch = r->header.floor;
	state->fresh = false;
	s.side->has_sent_seen = false;
	return true;
}

bool
sender_welcome(struct world *w, struct node *n, const struct letter *l)
{
	struct peer_state *state = &n->store.sides[l->from].state;

	if (w->wrong != WRONG_INCARNATION && position_of_welcome(&l->welcome, n->store.incarnation, state) != MEETING_FINE)
		return false;
	memcpy(state->incarnation, l->welcome.incarnation, sizeof state->incarnation);
	return l->reply == NULL || settle(w, n, l->from, l->reply);
}

bool
sender_answer(struct world *w, struct node *n, int peer, const struct reply *r)
{
	if (r->status == 200)
		return settle(w, n, peer, r);
	return strcmp(r->code, "ahead") == 0 || strcmp(r->code, "behind") == 0;
}

/* --- statuses and purge --- */

static bool
is_open(const struct node *n, uint64_t id)
{
	for (int i = 0; i < OPEN_MAX; i++)
		for (size_t k = 0; n->open[i].open && k < n->open[i].n; k++)
			if (n->open[i].writes[k].change.id == id)
				return true;
	return false;
}

/* Two empty probes, sixty seconds apart, are taken to be right. */
static void
probe_holes(struct node *n)
{
	struct store *s = &n->store;
	const struct mark *last = store_last_mark(s);
	struct err e;

	for (size_t i = 0; i < last->holes.n; i++)
		for (uint64_t id = last->holes.ranges[i].low; id <= last->holes.ranges[i].high; id++)
			if (!is_open(n, id) && store_queued(s, id) == NULL)
				must(id_set_add(&s->dead, id, &e), &e);
}

/* All that was marked since the peer's last word came from the peer itself. */
static void
note_quiet(struct node *n, int peer)
{
	struct store *s = &n->store;
	struct peer_state *state = &s->sides[peer].state;
	const struct mark *last = store_last_mark(s);
	const struct mark *from = store_mark(s, state->quiet_epoch > state->acked_epoch ? state->quiet_epoch : state->acked_epoch);

	if (last->epoch <= state->acked_epoch || last->epoch <= state->quiet_epoch || from == NULL)
		return;
	for (size_t i = 0; i < s->nqueue; i++) {
		const struct queued *q = &s->queue[i];

		if (q->visible && q->status != SUPERSEDED && contains(last, q->id) && !contains(from, q->id) && q->via != peer)
			return;
	}
	state->quiet_epoch = last->epoch;
}

static void
settle_statuses(struct node *n)
{
	struct store *s = &n->store;
	uint64_t all_have = UINT64_MAX;
	const struct mark *now;

	for (int i = 0; i < NODES_MAX; i++) {
		const struct peer_state *p = &s->sides[i].state;
		uint64_t has = p->quiet_epoch > p->acked_epoch ? p->quiet_epoch : p->acked_epoch;

		if (s->sides[i].linked && has < all_have)
			all_have = has;
	}
	now = store_mark(s, all_have);
	if (now == NULL || all_have <= s->settled_epoch)
		return;
	for (size_t i = 0; i < s->nqueue; i++)
		if (contains(now, s->queue[i].id) && s->queue[i].status == PENDING && !s->queue[i].error)
			s->queue[i].status = SYNCED;
	s->settled_epoch = all_have;
}

static uint64_t
needed_from(struct world *w, const struct store *s, uint64_t (*from)(const struct peer_state *))
{
	uint64_t epoch = s->settled_epoch;

	for (int i = 0; i < NODES_MAX; i++) {
		uint64_t its = w->wrong == WRONG_PURGE_ON_ACK ? s->sides[i].state.acked_epoch : from(&s->sides[i].state);

		if (s->sides[i].linked && its < epoch)
			epoch = its;
	}
	return epoch;
}

/* Does an owed record lead back to the key by it? */
static bool
is_linked(const struct store *s, uint64_t id)
{
	for (int i = 0; i < NODES_MAX; i++)
		for (size_t k = 0; k < s->sides[i].nowed; k++)
			if (s->sides[i].owed[k].link == id)
				return true;
	return false;
}

static void
purge_rows(struct world *w, struct store *s, const struct mark *keep)
{
	size_t left = 0;

	for (size_t i = 0; i < s->nqueue; i++) {
		if (contains(keep, s->queue[i].id) && s->queue[i].visible && s->queue[i].status != PENDING && !is_linked(s, s->queue[i].id)) {
			w->purged++;
			continue;
		}
		s->queue[left++] = s->queue[i];
	}
	s->nqueue = left;
}

static void
purge_marks(struct store *s, uint64_t from)
{
	size_t left = 0;

	for (size_t i = 0; i < s->nmarks; i++) {
		if (s->marks[i].epoch < from)
			mark_free(&s->marks[i]);
		else
			s->marks[left++] = s->marks[i];
	}
	s->nmarks = left;
}

void
sender_tidy(struct world *w, struct node *n, bool purge)
{
	struct store *s = &n->store;
	const struct mark *keep;

	probe_holes(n);
	for (int i = 0; i < w->n; i++)
		if (s->sides[i].linked)
			note_quiet(n, i);
	settle_statuses(n);
	if (!purge)
		return;
	keep = store_mark(s, needed_from(w, s, peer_rows_from));
	if (keep != NULL)
		purge_rows(w, s, keep);
	purge_marks(s, needed_from(w, s, peer_marks_from));
}
