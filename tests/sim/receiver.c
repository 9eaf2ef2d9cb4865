/* The receiving side. Lives here: what apply/ reads and writes, around the decisions that it shares with this:
 * position, look, judge_facts, conflict_judge, merge_item, lineage_shape, outcome_relays, columns_pass_on. The quick way has the same outcome by
 * its own check and is not here; nor are families. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "apply/columns.h"
#include "apply/judge.h"
#include "apply/lineage.h"
#include "apply/merge.h"
#include "apply/outcome.h"
#include "apply/position.h"

enum because { WRITTEN, COLLISION, WAITING, REFUSED_NOW };

/* A record of the group while it is judged and written. */
struct work {
	const struct sent *sent;
	struct item item;
	struct line_value values[COLUMNS], local[COLUMNS];
	char texts[COLUMNS][VALUE_LEN], local_texts[COLUMNS][VALUE_LEN]; /* behind them */
	struct line_value old_local, now_local; /* only their addresses say something */
	struct row merged; /* what is written, column by column */
	char now_key[KEY_MAX_LEN];
	struct row losers[2]; /* the rows here that a conflict may cost */
	size_t nlosers;
	bool rekey;
	bool done, refused;
	enum because because;
};

struct receiving {
	struct world *w;
	struct node *n;
	struct store *s;
	int peer;
	struct side *side;
	const struct group_sent *g;
	const struct mark *seen;
	struct look look;
	struct work *works;
	size_t nworks;
	struct queued relays[RELAYS];
	bool linked[RELAYS]; /* to the relay before */
	size_t nrelays;
	struct reply *out;
	struct pass pass;     /* as much of them as apply/merge and apply/columns look at */
	struct chunk *chunk;
	size_t map[COLUMNS];
	bool widened[COLUMNS];
};

/* --- hello --- */

void
receiver_welcome(struct world *w, struct node *n, int peer, struct letter *out)
{
	const struct side *side = &n->store.sides[peer];
	struct welcome *to = &out->welcome;

	(void)w;
	memset(to, 0, sizeof *to);
	to->version = MESSAGE_VERSION;
	(void)snprintf(to->node, sizeof to->node, "%s", n->name);
	memcpy(to->incarnation, n->store.incarnation, sizeof to->incarnation);
	memcpy(to->knows, side->cursor.incarnation, sizeof to->knows);
	to->cursor.epoch = side->cursor.epoch;
	memcpy(to->cursor.stamp, side->cursor.stamp, sizeof to->cursor.stamp);
	if (side->answer == NULL)
		return;
	out->reply = malloc(sizeof *out->reply);
	if (out->reply == NULL)
		abort();
	*out->reply = *side->answer;
}

/* --- unsettled --- */

static struct unsettled *
find_unsettled(struct side *side, int table, int key)
{
	for (size_t i = 0; i < side->nunsettled; i++)
		if (side->unsettled[i].table == table && side->unsettled[i].key == key)
			return &side->unsettled[i];
	return NULL;
}

static struct unsettled *
add_unsettled(struct receiving *r, int table, int key)
{
	struct side *side = r->side;
	struct unsettled *known = find_unsettled(side, table, key);

	if (known != NULL)
		return known;
	side->unsettled = realloc(side->unsettled, (side->nunsettled + 1) * sizeof *side->unsettled);
	if (side->unsettled == NULL)
		abort();
	side->unsettled[side->nunsettled] = (struct unsettled){ table, key, side->cursor.epoch, false };
	return &side->unsettled[side->nunsettled++];
}

static bool
is_open_record(const struct receiving *r, int table, int key)
{
	for (size_t i = 0; i < r->out->nrefused; i++)
		if (r->out->refused[i].table == table && r->out->refused[i].key == key)
			return true;
	for (size_t i = 0; i < r->g->n; i++)
		if (r->g->records[i].operation == 'o' && r->g->records[i].table == table && key_number(r->g->records[i].key) == key)
			return true;
	return false;
}

static void
forget_settled(struct receiving *r)
{
	struct side *side = r->side;
	size_t left = 0;

	for (size_t i = 0; i < side->nunsettled; i++)
		if (is_open_record(r, side->unsettled[i].table, side->unsettled[i].key))
			side->unsettled[left++] = side->unsettled[i];
	side->nunsettled = left;
}

/* --- finding what is here --- */

static uint64_t
hash_of(int table, const char *key)
{
	return record_hash(table_names[table], key, strlen(key));
}

static void
add_hash(struct item *item, uint64_t hash)
{
	for (size_t i = 0; i < item->nalso; i++)
		if (item->also[i] == hash)
			return;
	if (item->nalso < ITEM_HASHES && hash != item->hash)
		item->also[item->nalso++] = hash;
}

/* Our newest epoch before a record left the key that the peer owes us word of (owed_visit_left, lower_seen); NULL: none did. */
static const struct mark *
left_at(const struct receiving *r, int table, const char *key)
{
	const struct mark *found = NULL;

	for (size_t i = 0; key[0] != '\0' && i < r->side->nowed; i++) {
		const struct debt *d = &r->side->owed[i];
		const struct queued *q = d->table != table || d->link == 0 ? NULL : store_queued(r->s, d->link);
		const struct mark *m = NULL;

		for (size_t k = 0; q != NULL && q->table == table && q->key == key_number(key) && k < r->s->nmarks; k++)
			if (r->s->marks[k].high < d->link)
				m = &r->s->marks[k];
		if (m != NULL && (found == NULL || m->epoch < found->epoch))
			found = m;
	}
	return found;
}

static const struct mark *
seen_of(const struct receiving *r, const struct work *work)
{
	struct record_meta own = { .has_seen = work->sent->has_seen, .seen = work->sent->seen };
	const char *keys[] = { work->sent->key, work->sent->old_key };
	const struct mark *m;

	for (size_t i = 0; i < 2; i++) {
		m = r->s->rows[work->sent->table][key_number(keys[i])].here ? NULL : left_at(r, work->sent->table, keys[i]);
		if (m == NULL || m->epoch >= (own.has_seen ? own.seen : r->seen->epoch))
			continue;
		own.has_seen = true;
		own.seen = m->epoch;
	}
	position_raise_seen(&own, r->side->state.start_epoch);
	m = own.has_seen ? store_mark(r->s, own.seen) : r->seen;
	return m == NULL ? r->seen : m;
}

/* To the key that the record was given here (lineage_follow). */
static void
follow(struct receiving *r, struct work *work)
{
	struct item *item = &work->item;
	const struct mark *seen = seen_of(r, work);
	const struct moved *to;
	uint64_t hash = item->meta.old_key == NULL ? item->hash : hash_of(work->sent->table, work->sent->old_key);
	int hops = 0;

	if (item->local != NULL || item->old_here || (item->meta.operation == 'i' && item->meta.old_key == NULL))
		return;
	while (item->nalso < ITEM_HASHES && (to = look_moved(&r->look, hash)) != NULL && !mark_contains(seen, to->id)) {
		add_hash(item, to->hash);
		if (r->s->rows[work->sent->table][key_number(to->key)].here) {
			item->now_local = &work->now_local;
			(void)snprintf(work->now_key, sizeof work->now_key, "%s", to->key);
			item->now_key = work->now_key;
			item->now_key_len = strlen(work->now_key);
			return;
		}
		if (hash == to->hash || ++hops >= ITEM_HASHES)
			return;
		hash = to->hash;
	}
}

static void
find_here(struct receiving *r, struct work *work)
{
	const struct sent *sent = work->sent;
	const struct row *rows = r->s->rows[sent->table];
	struct item *item = &work->item;

	merged_free(item->merged);
	memset(item, 0, sizeof *item);
	item->meta = (struct record_meta){ .operation = sent->operation, .key = sent->key, .key_len = strlen(sent->key), .changed_at = sent->changed_at,
		.origin = sent->origin[0] == '\0' ? NULL : sent->origin, .via = sent->via[0] == '\0' ? NULL : sent->via, .whole = sent->whole,
		.has_seen = sent->has_seen, .seen = sent->seen, .weak = sent->weak, .columns = sent->told.any ? sent->told.versions : NULL,
		.columns_len = strlen(sent->told.versions), .difference = sent->told.difference[0] == '\0' ? NULL : sent->told.difference };
	row_values(key_number(sent->key), &sent->row, work->texts, work->values);
	item->values = work->values;
	item->hash = hash_of(sent->table, sent->key);
	if (rows[key_number(sent->key)].here) {
		row_values(key_number(sent->key), &rows[key_number(sent->key)], work->local_texts, work->local);
		item->local = work->local;
	}
	if (sent->old_key[0] != '\0') {
		item->meta.old_key = sent->old_key;
		item->meta.old_key_len = strlen(sent->old_key);
		item->old_here = rows[key_number(sent->old_key)].here;
		item->old_local = item->old_here ? &work->old_local : NULL;
		add_hash(item, hash_of(sent->table, sent->old_key));
	}
	follow(r, work);
}

/* The row that an address stands for. */
static const struct row *
row_of(const struct receiving *r, const struct work *work, const struct line_value *which)
{
	static const struct row none;
	const char *key = which == NULL ? NULL : which == work->local ? work->sent->key : which == &work->old_local ? work->sent->old_key : work->now_key;

	return key == NULL ? &none : &r->s->rows[work->sent->table][key_number(key)];
}

/* --- judging --- */

static bool
is_same_content(const struct receiving *r, const struct work *work)
{
	const struct row *row = &r->s->rows[work->sent->table][key_number(work->sent->key)];

	return work->sent->operation == 'd' ? !row->here : row->here && same_row(row, &work->sent->row);
}

/* pass_is_decided */
static bool
is_decided(struct receiving *r, const struct work *work, const struct facts *f)
{
	const struct undecided *u = store_undecided(r->side, work->sent->table, key_number(work->sent->key));

	return u != NULL && u->decision != 0 && !mark_contains(seen_of(r, work), u->decision) && version_compare(f->changed_at, f->node, u->changed_at, r->w->nodes[u->node].name) <= 0;
}

/* The chunk of the record's table, with what counts as seen for the record. */
static void
use_chunk(struct receiving *r, struct work *work)
{
	struct err e;

	if (r->chunk == NULL) {
		r->chunk = chunk_new(&r->pass, &e);
		must(r->chunk != NULL, &e);
	}
	for (size_t i = 0; i < COLUMNS; i++)
		r->map[i] = i;
	r->chunk->target.table = table_of(r->w, work->sent->table);
	r->chunk->target.map = r->map;
	r->chunk->target.widened = r->widened;
	r->pass.look = r->look;
	r->pass.seen = *seen_of(r, work);
	work->item.meta.has_seen = false; /* that is it */
}

/* Column by column, where the program judges so. */
static bool
judge_columns(struct receiving *r, struct work *work, struct facts *f)
{
	struct item *item = &work->item;
	struct err e;

	use_chunk(r, work);
	if (!merge_is_possible(r->chunk, item, f))
		return false;
	if (r->w->wrong == WRONG_ONE_TIME)
		item->meta.columns = NULL;
	if (r->w->wrong == WRONG_VALUE_WINS)
		item->meta.difference = NULL;
	must(merge_item(r->chunk, item, f, &f->same, &e), &e);
	row_read(item->values, &work->merged);
	return true;
}

/* Is it just what the decision was about? */
static bool
is_decided_row(struct receiving *r, const struct work *work)
{
	struct row row = work->sent->row;

	row.here = work->sent->operation != 'd';
	return same_row(&row, &store_undecided(r->side, work->sent->table, key_number(work->sent->key))->row);
}

static void
judge(struct receiving *r, struct work *work)
{
	struct item *item = &work->item;
	struct line_value *rows[2];
	struct facts f;
	bool decided;

	find_here(r, work);
	judge_facts(&r->look, item, seen_of(r, work), r->w->wrong == WRONG_PREFER_LAST ? "" : r->w->tables[0].preferred, &f);
	f.counter_key = work->sent->table == TABLE_COUNTED;
	f.same = judge_is_same(item, is_same_content(r, work));
	if (r->w->wrong == WRONG_BLIND)
		f.concurrent = 0;
	if (!judge_columns(r, work, &f))
		item->decision = conflict_judge(r->w->policy, &f);
	item->shape = WRITE_NOTHING;
	decided = is_decided(r, work, &f);
	if (decided) /* sent before it heard of that */
		item->decision = (struct decision){ .verdict = VERDICT_KEEP, .conflict = !f.same && item->concurrent > 0 && !is_decided_row(r, work) };
	if (r->w->wrong == WRONG_NO_REQUEUE || (r->w->wrong == WRONG_KEEPER_REQUEUES && item->decision.verdict == VERDICT_APPLY))
		item->decision.requeue = false;
	item->old_stays = decided && item->changed_as_old && item->old_here;
	work->rekey = !(decided && item->changed_as_old) && lineage_shape(item, f.same);
	work->nlosers = outcome_losers(item, rows);
	for (size_t i = 0; i < work->nlosers; i++)
		work->losers[i] = *row_of(r, work, rows[i]);
}

/* --- writing --- */

static bool
put_row(struct receiving *r, int table, int key, const struct row *row)
{
	struct row *to = &r->s->rows[table][key];

	if (table == TABLE_UNIQUE && store_has_value(r->s, row->value, key))
		return false;
	*to = *row;
	to->here = true;
	return true;
}

/* One record's rows; false: the server refuses. Nothing is changed then. */
static bool
write_rows(struct receiving *r, struct work *work)
{
	const struct item *item = &work->item;
	struct row *rows = r->s->rows[work->sent->table], values = work->rekey ? rows[key_number(work->sent->old_key)] : item->merged != NULL ? work->merged : work->sent->row, saved[KEYS];
	int key = key_number(work->sent->key), at = item->at_key == NULL ? key : key_number(item->at_key);

	memcpy(saved, rows, sizeof saved);
	if (item->drop_old) /* the order of the program, update first, fails here where it fails there */
		rows[key_number(work->sent->old_key)].here = false;
	switch (item->shape) {
	case WRITE_NOTHING:
		return true;
	case TARGET_DELETE:
		rows[at].here = false;
		return true;
	case TARGET_MOVE:
		rows[item->old_here ? key_number(work->sent->old_key) : key_number(work->now_key)].here = false;
		at = key;
		r->w->moves++;
		break;
	case TARGET_UPDATE:
		break;
	default:
		at = key;
	}
	if (put_row(r, work->sent->table, at, &values))
		return true;
	memcpy(rows, saved, sizeof saved);
	return false;
}

/* The end of a key is told again by itself. */
static void
tell_end(struct receiving *r, const struct queued *of)
{
	struct queued again = *of;

	again.operation = OP_DELETE;
	again.via = NOBODY;
	again.link = 0;
	again.status = PENDING;
	again.error = false;
	r->linked[r->nrelays] = false;
	r->relays[r->nrelays++] = again;
}

/* As outcome.c: of a change of a key that lost, and of another key that the record had here. */
static void
supersede_one(struct receiving *r, struct queued *q, bool other_key)
{
	const struct queued *old = q->link == 0 ? NULL : store_queued(r->s, q->link);

	if (other_key && q->operation == OP_DELETE)
		tell_end(r, q);
	q->status = SUPERSEDED;
	if (old != NULL && old->table == q->table)
		tell_end(r, old);
}

static void
supersede(struct receiving *r, struct work *work)
{
	const struct item *item = &work->item;
	const struct mark *seen = seen_of(r, work);
	size_t from, n;

	for (size_t k = 0; k <= item->nalso; k++) {
		look_find(&r->look, k == 0 ? item->hash : item->also[k - 1], &from, &n);
		for (size_t i = from; i < from + n; i++) {
			struct queued *q = mark_contains(seen, r->look.changes[i].id) ? NULL : store_queued(r->s, r->look.changes[i].id);

			if (q != NULL)
				supersede_one(r, q, k > 0);
		}
	}
	for (int i = 0; i < r->w->n; i++) {
		const char *keys[] = { work->sent->key, work->sent->old_key, work->now_key };

		for (size_t k = 0; k < 3; k++) {
			struct debt *d = keys[k][0] == '\0' ? NULL : store_debt(&r->s->sides[i], work->sent->table, key_number(keys[k]));

			const struct queued *left = d == NULL || d->link == 0 ? NULL : store_queued(r->s, d->link);

			if (left != NULL && left->table == d->table)
				tell_end(r, left);
			if (d != NULL)
				store_drop_debt(&r->s->sides[i], d);
		}
	}
}

static bool
has_other_peers(const struct receiving *r)
{
	int peers = 0;

	for (int i = 0; i < r->w->n; i++)
		peers += r->s->sides[i].linked;
	return peers > 1;
}

/* What a relay tells of columns, as the queue has it. */
static void
take_told(const struct relay *from, struct told *to)
{
	memset(to, 0, sizeof *to);
	(void)snprintf(to->difference, sizeof to->difference, "%s", from->difference == NULL ? "" : from->difference);
	if (from->columns == NULL)
		return;
	to->any = true;
	memcpy(to->columns, from->columns, from->columns_len);
	to->columns_len = from->columns_len;
	(void)snprintf(to->versions, sizeof to->versions, "%s", from->versions == NULL ? "" : from->versions);
}

/* As merge_supersede: what local changes have lost is not sent any more. */
static void
shrink_losers(struct receiving *r, const struct work *work)
{
	const struct table *t = r->chunk->target.table;
	const struct mark *seen = seen_of(r, work);
	size_t from, n;

	look_find(&r->look, work->item.hash, &from, &n);
	for (size_t i = from; i < from + n; i++) {
		const struct local_change *lc = &r->look.changes[i];
		struct queued *q = mark_contains(seen, lc->id) ? NULL : store_queued(r->s, lc->id);
		struct versions left = { 0 };
		struct columns_texts texts;
		struct relay told = { 0 };
		struct told before;
		struct err e;

		if (q == NULL)
			continue;
		before = q->told;
		columns_texts_init(&texts);
		must(versions_raise_all(&left, &lc->versions, &e), &e);
		versions_drop(&left, &work->item.merged->lost);
		must(columns_tell(&told, t, &left, r->w->wrong == WRONG_DIFFERENCE_LOST ? NULL : before.difference, &texts, &e), &e);
		take_told(&told, &q->told);
		if (left.n == 0 && q->told.difference[0] == '\0' && !q->whole)
			q->status = SUPERSEDED;
		versions_free(&left);
		columns_texts_free(&texts);
	}
}

/* As merge_relay. */
static void
relay_merged(struct receiving *r, const struct work *work)
{
	const struct column_version *greatest = versions_greatest(&work->item.merged->won);
	struct queued *to = &r->relays[r->nrelays];
	int origin = work->item.meta.origin == NULL ? r->peer : node_number(work->item.meta.origin);
	struct columns_texts texts;
	struct relay told = { 0 };
	struct err e;

	if (!has_other_peers(r))
		return;
	columns_texts_init(&texts);
	must(columns_difference(&r->chunk->target, &work->item.meta, &texts.difference, &e) &&
	    columns_tell(&told, r->chunk->target.table, &work->item.merged->won, buf_cstr(&texts.difference), &texts, &e), &e);
	if (greatest != NULL || told.difference != NULL || work->sent->whole) {
		if (greatest != NULL && !work->sent->whole)
			origin = node_number(greatest->node);
		*to = (struct queued){ .table = work->sent->table, .key = key_number(work->sent->key), .operation = OP_UPDATE, .origin = origin == r->n->number ? NOBODY : origin,
			.via = r->peer, .visible = true };
		memcpy(to->changed_at, greatest != NULL && !work->sent->whole ? greatest->changed_at : work->sent->changed_at, sizeof to->changed_at);
		to->whole = work->sent->whole;
		if (to->whole)
			told.columns = NULL;
		take_told(&told, &to->told);
		r->linked[r->nrelays++] = false;
	}
	columns_texts_free(&texts);
}

static void
relay(struct receiving *r, struct work *work)
{
	const char *node = work->item.meta.origin == NULL ? r->w->nodes[r->peer].name : work->item.meta.origin;
	struct relay_list list;
	struct columns_texts texts;
	struct err e;

	if (work->item.merged != NULL) {
		relay_merged(r, work);
		return;
	}
	use_chunk(r, work);
	r->pass.relay = has_other_peers(r);
	columns_texts_init(&texts);
	outcome_relays(table_names[work->sent->table], node, &work->item, &list);
	for (size_t i = 0; i < list.n; i++) {
		struct relay *from = &list.items[i];
		int origin = node_number(from->node);

		if (!has_other_peers(r) && !from->requeue && r->w->wrong != WRONG_ECHO)
			continue;
		must(columns_pass_on(&r->pass, from, &r->chunk->target, &work->item.meta, &texts, &e), &e);
		r->linked[r->nrelays] = from->linked;
		r->relays[r->nrelays] = (struct queued){ .table = work->sent->table, .key = key_number(from->key), .operation = from->operation,
			.origin = origin == r->n->number ? NOBODY : origin, .via = from->requeue || r->w->wrong == WRONG_ECHO ? NOBODY : r->peer, .whole = from->whole || from->requeue, .visible = true };
		take_told(from, &r->relays[r->nrelays].told);
		(void)snprintf(r->relays[r->nrelays++].changed_at, QUEUE_TIME_LEN + 1, "%s", from->changed_at);
	}
	columns_texts_free(&texts);
}

/* The key of the row that the verdict is about, 0: none is here. */
static int
key_here(const struct work *work)
{
	const struct line_value *row = lineage_row(&work->item);

	return row == NULL ? 0 : key_number(row == work->local ? work->sent->key : row == &work->old_local ? work->sent->old_key : work->now_key);
}

/* Neither version may go (undecided_keep). */
static void
ask(struct receiving *r, struct work *work)
{
	const struct sent *sent = work->sent;
	struct undecided *u = store_add_undecided(r->side, sent->table, key_number(sent->key));

	u->local_key = key_here(work);
	(void)snprintf(u->changed_at, sizeof u->changed_at, "%s", sent->changed_at);
	u->node = work->item.meta.origin == NULL ? r->peer : node_number(work->item.meta.origin);
	u->row = sent->row;
	u->row.here = sent->operation != 'd';
	for (size_t i = 0; i < work->nlosers; i++)
		if (work->losers[i].here)
			keep_row(r->s, &work->losers[i]);
	if (u->row.here)
		keep_row(r->s, &u->row);
	work->done = work->refused = true;
	work->because = COLLISION;
}

/* Another row has the unique value of a record that was refused for it in the end (undecided_keep_rival). In a group that
 * was cut the rest may bring what is missing. */
static void
ask_of_rival(struct receiving *r, struct work *work)
{
	const struct sent *sent = work->sent;
	int rival = store_find_value(r->s, sent->row.value, key_number(sent->key));
	struct undecided *u;

	if (sent->table != TABLE_UNIQUE || sent->operation == 'd' || !r->g->header.last || work->item.decision.verdict != VERDICT_APPLY || rival == 0 ||
	    (sent->old_key[0] != '\0' && rival == key_number(sent->old_key)))
		return;
	u = store_add_undecided(r->side, sent->table, key_number(sent->key));
	u->rival = rival;
	(void)snprintf(u->changed_at, sizeof u->changed_at, "%s", sent->changed_at);
	u->node = work->item.meta.origin == NULL ? r->peer : node_number(work->item.meta.origin);
	u->row = sent->row;
	u->row.here = true;
	keep_row(r->s, &r->s->rows[sent->table][rival]);
	keep_row(r->s, &u->row);
	work->because = COLLISION;
}

/* A version that has seen ours ends what was open about the record (undecided_end). */
static void
end_undecided(struct receiving *r, const struct work *work)
{
	int table = work->sent->table, key = key_number(work->sent->key);
	struct debt *d = store_debt(r->side, table, key);
	struct undecided *u = store_undecided(r->side, table, key);

	if (d != NULL && mark_contains(seen_of(r, work), d->last_id)) {
		const struct queued *old = d->link == 0 ? NULL : store_queued(r->s, d->link);

		if (old != NULL && old->table == table)
			tell_end(r, old);
		store_mark_rows(r->s, d, has_other_peers(r) ? SYNCED : SUPERSEDED);
		store_drop_debt(r->side, d);
	}
	if (u == NULL || u->decision != 0)
		return;
	for (size_t i = 0; i < work->nlosers; i++) /* what is overwritten now may be newer than what was kept */
		if (work->losers[i].here)
			keep_row(r->s, &work->losers[i]);
	store_drop_undecided(r->side, u);
}

/* What the preferred node wrote never loses to what it had not seen. */
static void
check_preferred(struct receiving *r, const struct work *work)
{
	const struct item *item = &work->item;
	const char *preferred = r->w->tables[0].preferred, *theirs = item->meta.origin == NULL ? r->w->nodes[r->peer].name : item->meta.origin, *ours = item->local_node;
	bool applies = item->decision.verdict == VERDICT_APPLY;

	if (r->w->policy == POLICY_PREFER && item->decision.conflict && strcmp(applies ? ours : theirs, preferred) == 0 && strcmp(applies ? theirs : ours, preferred) != 0)
		fail(r->w, "%s lets %s's version of %s %s lose, which is preferred", r->n->name, preferred, table_names[work->sent->table], work->sent->key);
}

/* Of a record whose key has not changed, in a table without counters: the others are not revised in simulation. */
static void
remember(struct receiving *r, const struct work *work)
{
	struct decided *to = &r->s->decided[r->s->ndecided % DECIDED_MAX];

	if (work->item.meta.old_key != NULL || work->item.now_key != NULL || table_of(r->w, work->sent->table)->ncounters > 0)
		return;
	*to = (struct decided){ work->sent->table, key_number(work->sent->key), { work->losers[0], work->sent->row } };
	to->versions[1].here = work->sent->operation != 'd';
	r->s->ndecided++;
}

static void
finish_record(struct receiving *r, struct work *work)
{
	struct decision *d = &work->item.decision;

	work->done = true;
	/* What the peer has refused is given up: it hears of that by the record. */
	if (d->supersede && work->item.concurrent > 0 && store_debt(r->side, work->sent->table, key_number(work->sent->key)) != NULL)
		d->requeue = d->requeue || r->w->wrong != WRONG_NO_REQUEUE;
	check_preferred(r, work);
	end_undecided(r, work);
	if (d->conflict) {
		r->w->conflicts++;
		if (r->w->wrong != WRONG_LOSER_DROPPED && work->item.merged != NULL) {
			struct row one = { 0 };

			row_read(work->item.merged->local, &one);
			keep_row(r->s, &one);
			row_read(work->item.merged->remote, &one);
			keep_row(r->s, &one);
		} else if (r->w->wrong != WRONG_LOSER_DROPPED) {
			for (size_t i = 0; i < work->nlosers; i++)
				if (work->losers[i].here)
					keep_row(r->s, &work->losers[i]);
			if (work->sent->operation != 'd')
				keep_row(r->s, &work->sent->row);
			remember(r, work);
		}
	}
	note(r->w, "%s: %s %s%s%s (%c %" PRIu32 " %" PRIu32 " from %s, here %s%" PRIu32 " %" PRIu32 "): %s%s%s%s", r->n->name, table_names[work->sent->table], work->sent->key,
	    work->sent->old_key[0] == '\0' ? "" : ", before ", work->sent->old_key, work->sent->operation, work->sent->row.cells[0], work->sent->row.cells[1], r->w->nodes[r->peer].name,
	    work->losers[0].here ? "" : "none ", work->losers[0].cells[0], work->losers[0].cells[1],
	    d->verdict == VERDICT_APPLY ? "apply" : "keep", d->conflict ? ", conflict" : "", d->requeue ? ", requeue" : "", work->item.concurrent > 0 ? ", concurrent" : "");
	if (d->supersede && work->item.concurrent > 0)
		supersede(r, work);
	if (work->item.merged != NULL)
		shrink_losers(r, work);
	relay(r, work);
}

static void
write_one(struct receiving *r, struct work *work)
{
	bool writes = work->item.shape != WRITE_NOTHING && work->item.shape != TARGET_DELETE;

	if (work->item.decision.verdict == VERDICT_ASK) {
		ask(r, work);
		return;
	}
	work->because = REFUSED_NOW;
	if (writes && r->w->chaos && chance(r->w, r->w->refuse)) {
		work->done = work->refused = true;
		return;
	}
	if (write_rows(r, work))
		finish_record(r, work);
}

/* Values that changed places: all that is left, together or not at all (apply/knot). */
static void
untie(struct receiving *r)
{
	struct row saved[KEYS];
	bool ok = true;
	size_t tied = 0;

	memcpy(saved, r->s->rows[TABLE_UNIQUE], sizeof saved);
	for (size_t i = 0; i < r->nworks; i++) {
		struct work *work = &r->works[i];

		if (work->done || work->sent->table != TABLE_UNIQUE)
			continue;
		judge(r, work);
		if (work->item.decision.verdict != VERDICT_APPLY || work->item.concurrent > 0 || work->item.shape != TARGET_UPDATE)
			continue;
		work->refused = true; /* for the moment: it takes part */
		if (work->item.drop_old)
			r->s->rows[TABLE_UNIQUE][key_number(work->sent->old_key)].here = false;
		r->s->rows[TABLE_UNIQUE][key_number(work->sent->key)] = work->sent->row;
		tied++;
	}
	for (int key = 1; key < KEYS; key++)
		ok = ok && !(saved[key].here && store_has_value(r->s, r->s->rows[TABLE_UNIQUE][key].value, key));
	if (!ok || tied < 2)
		memcpy(r->s->rows[TABLE_UNIQUE], saved, sizeof saved);
	for (size_t i = 0; i < r->nworks; i++) {
		if (r->works[i].done || !r->works[i].refused)
			continue;
		r->works[i].refused = false;
		if (ok && tied >= 2)
			finish_record(r, &r->works[i]);
	}
}

/* One round: a table's records are judged together, then written. */
static size_t
one_round(struct receiving *r)
{
	size_t left = 0;

	for (size_t from = 0, to; from < r->nworks; from = to) {
		for (to = from; to < r->nworks && r->works[to].sent->table == r->works[from].sent->table; to++)
			if (!r->works[to].done)
				judge(r, &r->works[to]);
		for (size_t i = from; i < to; i++)
			if (!r->works[i].done)
				write_one(r, &r->works[i]);
		for (size_t i = from; i < to; i++)
			left += !r->works[i].done;
	}
	return left;
}

static void
all_rounds(struct receiving *r)
{
	size_t left = one_round(r), before = SIZE_MAX;

	while (left > 0 && left < before) {
		before = left;
		left = one_round(r);
		if (left > 0 && left == before)
			untie(r);
	}
	for (size_t i = 0; i < r->nworks; i++) {
		struct work *work = &r->works[i];

		if (work->done && !work->refused)
			continue;
		if (!work->done)
			ask_of_rival(r, work);
		r->w->refusals++;
		r->out->refused[r->out->nrefused++] = (struct refused_record){ work->sent->table, key_number(work->sent->key), work->because != WAITING, work->because == COLLISION };
		note(r->w, "%s: %s %s refused (%s)", r->n->name, table_names[work->sent->table], work->sent->key, work->because == COLLISION ? "collision" : "refused");
	}
}

/* --- the group --- */

static void
look_at_queue(struct receiving *r)
{
	struct mark oldest = { 0 };
	const struct mark *from = r->seen;
	char key[KEY_MAX_LEN];
	struct err e;

	look_init(&r->look, &r->w->catalog, r->n->name, r->w->nodes[r->peer].name);
	for (size_t i = 0; i < r->nworks; i++) {
		const struct sent *sent = r->works[i].sent;
		const struct mark *own = seen_of(r, &r->works[i]);

		if (own->epoch < from->epoch)
			from = own;
		must(look_expect(&r->look, hash_of(sent->table, sent->key), &e), &e);
		if (sent->old_key[0] != '\0')
			must(look_expect(&r->look, hash_of(sent->table, sent->old_key), &e), &e);
	}
	must(id_set_copy(&from->holes, &oldest.holes, &e), &e);
	oldest.high = from->high;
	look_begin(&r->look, &oldest);
	r->look.seen = r->seen;
	for (size_t i = 0; i < r->s->nqueue; i++) {
		const struct queued *q = &r->s->queue[i];
		struct change c = store_change(r->w, q, key);

		if (q->visible && q->status != SUPERSEDED && !mark_contains(&r->look.looked, q->id))
			must(look_take(&r->look, &c, &e), &e);
	}
}

static void
flush_relays(struct receiving *r)
{
	for (size_t i = 0; i < r->nrelays; i++) {
		r->relays[i].id = r->s->next_id++;
		r->relays[i].link = r->linked[i] ? r->relays[i].id - 1 : 0;
		(void)store_enqueue(r->s, &r->relays[i]);
	}
}

static uint64_t
floor_of(const struct side *side)
{
	uint64_t floor = side->cursor.epoch;

	if (side->has_sent_seen && side->sent_seen < floor)
		floor = side->sent_seen;
	for (size_t i = 0; i < side->nunsettled; i++)
		if (side->unsettled[i].seen_before < floor)
			floor = side->unsettled[i].seen_before;
	return floor;
}

static void
set_cursor(struct receiving *r)
{
	const struct group_header *h = &r->g->header;
	struct cursor_state *cursor = &r->side->cursor;

	memcpy(cursor->incarnation, h->incarnation, sizeof cursor->incarnation);
	cursor->epoch = h->upto.epoch;
	memcpy(cursor->stamp, h->upto.stamp, sizeof cursor->stamp);
}

static void
finish(struct receiving *r)
{
	forget_settled(r);
	for (size_t i = 0; i < r->out->nrefused; i++)
		add_unsettled(r, r->out->refused[i].table, r->out->refused[i].key)->asked = r->out->refused[i].asked;
	set_cursor(r);
	flush_relays(r);
	r->out->status = 200;
	r->out->header = (struct answer_header){ .cursor = r->g->header.upto, .applied = r->nworks - r->out->nrefused, .refused = r->out->nrefused, .floor = floor_of(r->side) };
	free(r->side->answer);
	r->side->answer = malloc(sizeof *r->side->answer);
	if (r->side->answer == NULL)
		abort();
	*r->side->answer = *r->out;
}

static bool
is_locked(const struct receiving *r)
{
	for (size_t i = 0; i < r->g->n; i++) {
		const struct sent *sent = &r->g->records[i];

		if (sent->operation != 'o' && (people_lock(r->n, sent->table, key_number(sent->key)) ||
			(sent->old_key[0] != '\0' && people_lock(r->n, sent->table, key_number(sent->old_key)))))
			return true;
	}
	return false;
}

static void
take_records(struct receiving *r)
{
	for (size_t i = 0; i < r->g->n; i++)
		if (r->g->records[i].operation != 'o')
			r->works[r->nworks++] = (struct work){ .sent = &r->g->records[i] };
		else
			(void)add_unsettled(r, r->g->records[i].table, key_number(r->g->records[i].key));
}

static void
apply(struct receiving *r)
{
	r->works = calloc(r->g->n + 1, sizeof *r->works);
	if (r->works == NULL)
		abort();
	take_records(r);
	look_at_queue(r);
	all_rounds(r);
	finish(r);
	look_free(&r->look);
	for (size_t i = 0; i < r->nworks; i++)
		merged_free(r->works[i].item.merged);
	if (r->chunk != NULL) {
		chunk_clear(r->chunk);
		free(r->chunk);
	}
	free(r->works);
	r->w->groups++;
}

static bool
refuse(struct receiving *r, struct standing where)
{
	r->out->status = 409;
	(void)snprintf(r->out->code, sizeof r->out->code, "%s", where.code);
	return true;
}

/* Does a record state an epoch as seen that is not kept any more? */
static bool
states_too_old(const struct receiving *r)
{
	for (size_t i = 0; i < r->g->n; i++) {
		struct record_meta own = { .has_seen = r->g->records[i].has_seen, .seen = r->g->records[i].seen };

		position_raise_seen(&own, r->side->state.start_epoch);
		if (own.has_seen && store_mark(r->s, own.seen) == NULL)
			return true;
	}
	return false;
}

/* What the wrong rules overlook. */
static bool
is_overlooked(const struct world *w, const struct standing *where)
{
	if (where->kind == STANDING_APPLIED)
		return w->wrong == WRONG_RESEND;
	if (where->kind != STANDING_REFUSED)
		return false;
	return (w->wrong == WRONG_INCARNATION && strcmp(where->code, "incarnation") == 0) || (w->wrong == WRONG_STAMP && strcmp(where->code, "fork") == 0);
}

bool
receiver_apply(struct world *w, struct node *n, int peer, const struct group_sent *g, struct reply *out)
{
	struct side *side = &n->store.sides[peer];
	struct receiving r = { .w = w, .n = n, .s = &n->store, .peer = peer, .side = side, .g = g, .out = out };
	struct standing where = position_of_group(&g->header, &side->cursor);

	memset(out, 0, sizeof *out);
	if (where.kind == STANDING_REFUSED && !is_overlooked(w, &where))
		return refuse(&r, where);
	if (where.kind == STANDING_APPLIED && !is_overlooked(w, &where)) {
		if (side->answer != NULL)
			*out = *side->answer;
		out->status = 200;
		return true;
	}
	r.seen = store_mark(r.s, g->header.seen.stamp[0] == '\0' ? side->state.start_epoch : g->header.seen.epoch);
	where = position_of_seen(&g->header, n->store.incarnation, r.seen, side->state.floor_epoch);
	if (where.kind == STANDING_REFUSED && (!is_overlooked(w, &where) || r.seen == NULL))
		return refuse(&r, where);
	if (states_too_old(&r)) {
		out->status = 422;
		return true;
	}
	if (is_locked(&r) && w->wrong != WRONG_LOOK_FIRST)
		return false; /* 1205: rolled back, tried again later */
	apply(&r);
	return true;
}
