/* What people and their apps do: writes in transactions that stay open for a while, and the decisions that only a
 * person may take. Not here: anything that the program decides. */
#include "sim.h"

#include <string.h>

bool
people_lock(const struct node *n, int table, int key)
{
	for (int i = 0; i < OPEN_MAX; i++)
		for (size_t k = 0; n->open[i].open && k < n->open[i].n; k++)
			if (n->open[i].writes[k].table == table && n->open[i].writes[k].key == key)
				return true;
	return false;
}

static uint32_t
new_content(struct world *w)
{
	if (w->contents + 1 >= KEPT_ROWS)
		return w->contents;
	return ++w->contents;
}

/* --- one write --- */

static struct write *
add_write(struct world *w, struct node *n, struct transaction *t, int table, int key, enum operation op)
{
	struct write *to = &t->writes[t->n++];

	memset(to, 0, sizeof *to);
	to->table = table;
	to->key = key;
	to->change = (struct queued){ .id = n->store.next_id++, .table = table, .key = key, .operation = op, .origin = NOBODY, .via = NOBODY, .visible = true };
	node_time(w, n, to->change.changed_at);
	return to;
}

/* A value that no row has, also none that is being written; 0: NULL. */
static uint32_t
free_value(struct world *w, const struct node *n)
{
	uint32_t value = (uint32_t)chance_below(w, 6);

	for (int i = 0; i < OPEN_MAX; i++)
		for (size_t k = 0; n->open[i].open && k < n->open[i].n; k++)
			if (n->open[i].writes[k].row.value == value)
				return 0;
	return store_has_value(&n->store, value, 0) ? 0 : value;
}

/* The number that AUTO_INCREMENT gives; 0: none is left. */
static int
next_number(struct world *w, struct node *n)
{
	int step = w->collide ? 1 : NODES_MAX, offset = w->collide ? 1 : 1 + n->number;

	for (int key = KEYS - 1; key >= n->store.next_key; key--)
		if (n->store.rows[TABLE_COUNTED][key].here)
			n->store.next_key = key + 1;
	while (n->store.next_key < 1 || (n->store.next_key - offset) % step != 0)
		n->store.next_key++;
	return n->store.next_key < KEYS / 2 ? n->store.next_key++ : 0;
}

static void
insert_row(struct world *w, struct node *n, struct transaction *t, int table, int key)
{
	uint32_t value = table == TABLE_UNIQUE ? free_value(w, n) : 0;
	struct write *to = add_write(w, n, t, table, key, OP_INSERT);

	to->row.here = true;
	to->row.value = value;
	for (int i = 0; i < CELLS; i++)
		to->row.cells[i] = new_content(w);
}

static void
change_row(struct world *w, struct node *n, struct transaction *t, int table, int key)
{
	uint32_t value = table == TABLE_UNIQUE && chance(w, 0.5) ? free_value(w, n) : n->store.rows[table][key].value;
	struct write *to = add_write(w, n, t, table, key, OP_UPDATE);

	struct mask columns = { { 0 } };
	int64_t sale = 0;
	bool alone = false;
	size_t cell = chance_below(w, CELLS);

	to->row = n->store.rows[table][key];
	if (table_of(w, table)->ncounters > 0 && chance(w, 0.6)) {
		sale = (int64_t)chance_below(w, 9) - 5;
		alone = chance(w, 0.5);
	}
	if (!alone) {
		to->row.cells[cell] = new_content(w);
		mask_set(&columns, 1 + cell);
	}
	if (to->row.value != value)
		mask_set(&columns, 1 + CELLS);
	to->row.value = value;
	to->row.stock += sale;
	told_of(w, table, &columns, sale, &to->change.told);
}

/* As the triggers write it: a delete, and an insert that is linked to it. */
static void
move_row(struct world *w, struct node *n, struct transaction *t, int table, int key, int to_key)
{
	struct write *from = add_write(w, n, t, table, key, OP_DELETE), *to;
	uint64_t link = from->change.id;

	to = add_write(w, n, t, table, to_key, OP_INSERT);
	to->change.link = link;
	to->row = n->store.rows[table][key];
}

static int
pick_key(struct world *w, const struct node *n, int table)
{
	int found = 0;

	if (table != TABLE_COUNTED)
		return 1 + (int)chance_below(w, PEOPLE_KEYS);
	for (int key = 1, seen = 0; key < KEYS; key++)
		if (n->store.rows[table][key].here && chance_below(w, (size_t)++seen) == 0)
			found = key;
	return found;
}

static void
write_row(struct world *w, struct node *n, struct transaction *t)
{
	int table = (int)chance_below(w, TABLES), key = pick_key(w, n, table), to_key;

	if (table == TABLE_COUNTED && (key == 0 || chance(w, 0.25))) {
		key = next_number(w, n);
		if (key == 0)
			return;
	}
	if (people_lock(n, table, key))
		return; /* an app would wait */
	if (w->adds && table == TABLE_PLAIN && key <= COUNTED_KEYS) {
		change_row(w, n, t, table, key);
		return;
	}
	if (!n->store.rows[table][key].here) {
		insert_row(w, n, t, table, key);
		return;
	}
	to_key = table == TABLE_COUNTED ? next_number(w, n) : 1 + (int)chance_below(w, PEOPLE_KEYS);
	if (chance(w, 0.18))
		(void)add_write(w, n, t, table, key, OP_DELETE);
	else if (chance(w, 0.12) && to_key != 0 && to_key != key && !n->store.rows[table][to_key].here && !people_lock(n, table, to_key))
		move_row(w, n, t, table, key, to_key);
	else
		change_row(w, n, t, table, key);
}

/* --- transactions --- */

/* moves: the row goes on living under another key. */
static void
commit_write(struct world *w, struct node *n, const struct write *write, bool moves)
{
	struct row *row = &n->store.rows[write->table][write->key];

	for (int i = 0; i < CELLS && row->here && !moves; i++)
		if (!write->row.here || write->row.cells[i] != row->cells[i])
			w->replaced[row->cells[i]] = true;
	if (w->adds && write->table == TABLE_PLAIN && write->key <= COUNTED_KEYS)
		w->sold[write->key] += write->row.stock - row->stock;
	*row = write->row;
	(void)store_enqueue(&n->store, &write->change);
	note(w, "%s writes %s %d (%s, id %" PRIu64 "): %" PRIu32 " %" PRIu32 ", value %" PRIu32 ", stock %" PRId64, n->name, table_names[write->table], write->key,
	    write->change.operation == OP_INSERT ? "insert" : write->change.operation == OP_UPDATE ? "update" : "delete", write->change.id, row->cells[0], row->cells[1], row->value, row->stock);
}

static void
end(struct world *w, struct node *n, struct transaction *t, bool commit)
{
	for (size_t i = 0; i < t->n; i++) {
		if (commit) {
			commit_write(w, n, &t->writes[i], i + 1 < t->n && t->writes[i + 1].change.link == t->writes[i].change.id);
			continue;
		}
		for (int k = 0; k < CELLS; k++) /* never committed: contents that no other row has */
			if (t->writes[i].row.here && memcmp(&n->store.rows[t->writes[i].table][t->writes[i].key].cells[k], &t->writes[i].row.cells[k], sizeof(uint32_t)) != 0 && t->writes[i].change.link == 0)
				w->gone[t->writes[i].row.cells[k]] = true;
	}
	memset(t, 0, sizeof *t);
}

void
people_finish(struct world *w, struct node *n, bool commit)
{
	for (int i = 0; i < OPEN_MAX; i++)
		if (n->open[i].open)
			end(w, n, &n->open[i], commit);
}

void
people_write(struct world *w, struct node *n)
{
	struct transaction *t = &n->open[chance_below(w, OPEN_MAX)];

	t->open = true;
	if (t->n + 2 <= WRITES_MAX)
		write_row(w, n, t);
	if (chance(w, 0.7))
		end(w, n, t, !chance(w, 0.1));
}

/* --- what only a person may do --- */

static int
unused_key(const struct world *w)
{
	for (int key = KEYS - 1; key > 0; key--) {
		bool used = false;

		for (int i = 0; i < w->n; i++)
			used = used || w->nodes[i].store.rows[TABLE_COUNTED][key].here;
		if (!used)
			return key;
	}
	return 0;
}

/* Earlier changes of the record, where nothing depends on them (inbox.c, supersede). */
static void
replace_changes(struct world *w, struct node *n, int table, int key)
{
	for (int i = 0; i < w->n; i++) {
		struct side *side = &n->store.sides[i];
		struct debt *d = store_debt(side, table, key);
		size_t left = 0;

		if (d != NULL && d->link == 0) {
			store_mark_rows(&n->store, d, SUPERSEDED);
			store_drop_debt(side, d);
		}
		for (size_t k = 0; k < side->nunsettled; k++)
			if (side->unsettled[k].table != table || side->unsettled[k].key != key || (!side->unsettled[k].asked && w->wrong != WRONG_DECIDED_ALL))
				side->unsettled[left++] = side->unsettled[k];
		side->nunsettled = left;
	}
	for (size_t i = 0; i < n->store.nqueue; i++) {
		struct queued *q = &n->store.queue[i];

		if (q->table == table && q->key == key && q->status == PENDING && q->link == 0)
			q->status = SUPERSEDED;
	}
}

/* What was decided about a record, whole, for everybody (inbox.c, queue_record). */
static uint64_t
queue_decided(struct world *w, struct node *n, int table, int key)
{
	struct queued q = { .id = n->store.next_id++, .table = table, .key = key, .origin = NOBODY, .via = NOBODY, .whole = true, .visible = true };

	replace_changes(w, n, table, key);
	q.operation = n->store.rows[table][key].here ? OP_UPDATE : OP_DELETE;
	node_time(w, n, q.changed_at);
	(void)store_enqueue(&n->store, &q);
	return q.id;
}

/* Has the peer never had the row (rival_is_new)? */
static bool
is_new(const struct node *n, const struct side *side, int table, int key)
{
	const struct mark *acked = store_mark(&n->store, side->state.acked_epoch);

	for (size_t i = 0; i < side->nowed; i++)
		if (side->owed[i].table == table && side->owed[i].key == key && side->owed[i].first == OP_INSERT && side->owed[i].link == 0)
			return true;
	for (size_t i = 0; acked != NULL && i < n->store.nqueue; i++) {
		const struct queued *q = &n->store.queue[i];

		if (q->id > acked->high && q->table == table && q->key == key && q->operation == OP_INSERT && q->link == 0 && q->via == NOBODY)
			return true;
	}
	return false;
}

/* Of two rows with one unique value (decide_unique). False: not here, or no more. */
static bool
resolve_unique(struct world *w, struct node *n, const struct side *side, struct undecided *u)
{
	struct row *row = &n->store.rows[u->table][u->key];
	int rival = store_find_value(&n->store, u->row.value, u->key);
	bool remote = chance(w, 0.5);

	if (people_lock(n, u->table, u->key) || (rival != 0 && people_lock(n, u->table, rival)) || (!remote && rival == 0) ||
	    (remote && rival != 0 && !is_new(n, side, u->table, rival)))
		return false;
	note(w, "%s decides single %d against %d, %s stays", n->name, u->key, rival, remote ? "remote" : "local");
	if (!remote) {
		(void)queue_decided(w, n, u->table, u->key);
		u->decision = queue_decided(w, n, u->table, rival);
		return true;
	}
	if (rival != 0) {
		keep_row(&n->store, &n->store.rows[u->table][rival]);
		n->store.rows[u->table][rival].here = false;
		(void)queue_decided(w, n, u->table, rival);
	}
	if (row->here)
		keep_row(&n->store, row);
	*row = u->row;
	u->decision = queue_decided(w, n, u->table, u->key);
	return true;
}

/* agent --resolve ID --keep local|remote (inbox_resolve). False: what was kept does not fit any more. */
static bool
resolve(struct world *w, struct node *n, const struct side *side, struct undecided *u)
{
	struct row *row = &n->store.rows[u->table][u->key];
	bool remote;

	if (u->rival != 0)
		return resolve_unique(w, n, side, u);
	remote = chance(w, 0.5) && !(u->row.here && u->table == TABLE_UNIQUE && store_has_value(&n->store, u->row.value, u->key));
	if (people_lock(n, u->table, u->key))
		return false;
	/* The version from here has another key, under which it still is: the server refuses it a second time. */
	remote = remote || (u->local_key != 0 && u->local_key != u->key && n->store.rows[u->table][u->local_key].here);
	if (row->here)
		keep_row(&n->store, row);
	if (remote)
		*row = u->row;
	u->decision = queue_decided(w, n, u->table, u->key);
	note(w, "%s decides %s %d (id %" PRIu64 "), %s stays: %s%" PRIu32 " %" PRIu32, n->name, table_names[u->table], u->key, u->decision, remote ? "remote" : "local", row->here ? "" : "none ", row->cells[0],
	    row->cells[1]);
	return true;
}

/* rivals: those of unique values alone. */
static bool
resolve_all(struct world *w, struct node *n, int peer, bool rivals)
{
	struct side *side = &n->store.sides[peer];
	bool did = false;

	for (size_t i = 0; i < side->nundecided; i++)
		if (side->undecided[i].decision == 0 && (!rivals || side->undecided[i].rival != 0))
			did = resolve(w, n, side, &side->undecided[i]) || did;
	return did;
}

void
people_resolve(struct world *w, struct node *n, int peer)
{
	struct side *side = &n->store.sides[peer];
	size_t at = side->nundecided == 0 ? 0 : chance_below(w, side->nundecided);

	if (side->nundecided > 0 && side->undecided[at].decision == 0)
		(void)resolve(w, n, side, &side->undecided[at]);
}

void
people_revise(struct world *w, struct node *n)
{
	size_t known = n->store.ndecided < DECIDED_MAX ? n->store.ndecided : DECIDED_MAX;
	const struct decided *d = known == 0 ? NULL : &n->store.decided[chance_below(w, known)];
	const struct row *version = d == NULL ? NULL : &d->versions[chance_below(w, 2)];
	struct row *row;

	if (d == NULL || people_lock(n, d->table, d->key) || (d->table == TABLE_UNIQUE && version->here && store_has_value(&n->store, version->value, d->key)))
		return;
	row = &n->store.rows[d->table][d->key];
	if (row->here)
		keep_row(&n->store, row);
	*row = *version;
	(void)queue_decided(w, n, d->table, d->key);
	note(w, "%s revises %s %d: %s%" PRIu32 " %" PRIu32, n->name, table_names[d->table], d->key, row->here ? "" : "none ", row->cells[0], row->cells[1]);
}

static void
queue_whole(struct world *w, struct node *n, int table, int key, enum operation op)
{
	struct queued q = { .id = n->store.next_id++, .table = table, .key = key, .operation = op,
		.origin = NOBODY, .via = NOBODY, .whole = true, .visible = true };

	node_time(w, n, q.changed_at);
	(void)store_enqueue(&n->store, &q);
}

void
people_repair(struct world *w, struct node *n)
{
	int key = 1 + (int)chance_below(w, COUNTED_KEYS);

	if (!n->store.rows[TABLE_PLAIN][key].here || people_lock(n, TABLE_PLAIN, key))
		return;
	note(w, "%s repairs plain %d, stock %" PRId64, n->name, key, n->store.rows[TABLE_PLAIN][key].stock);
	queue_whole(w, n, TABLE_PLAIN, key, OP_UPDATE);
}

static void
decide_record(struct world *w, struct node *n, int table, int key)
{
	struct transaction *t = &n->open[0];
	struct row *row = &n->store.rows[table][key];
	int to = unused_key(w);

	t->open = true;
	if (table == TABLE_UNIQUE && row->here) {
		struct write *write = add_write(w, n, t, table, key, OP_UPDATE);

		write->row = *row;
		write->row.value = 100 + ++w->values;
	} else if (table == TABLE_COUNTED && row->here && to != 0)
		move_row(w, n, t, table, key, to);
	end(w, n, t, true);
}

bool
people_decide(struct world *w, int a, int b)
{
	struct node *one = &w->nodes[a], *other = &w->nodes[b];
	bool differs = one->store.sides[b].nowed > 0;

	/* Two rows with one unique value are decided about, or one of them gets another value. */
	if (resolve_all(w, one, b, w->policy != POLICY_MANUAL || chance(w, 0.5)))
		return true;
	for (size_t i = 0; i < one->store.sides[b].nowed; i++) { /* agent --retry all */
		one->store.sides[b].owed[i].state = "retry";
		one->store.sides[b].owed[i].attempts = 0;
	}
	for (int table = 0; table < TABLES; table++)
		for (int key = KEYS - 1; key > 0; key--) /* downwards: new numbers come from above */
			if (!same_row(&one->store.rows[table][key], &other->store.rows[table][key])) {
				decide_record(w, one, table, key);
				differs = true;
			}
	return differs;
}

/* --- mending --- */

/* A mark of all that is here, so that nothing is on its way while tables are compared. */
static const struct mark *
mark_all(struct world *w, struct store *s)
{
	const struct mark *last = store_last_mark(s);
	struct mark m = { .epoch = last->epoch + 1, .high = last->high };
	struct err e;

	must(id_set_copy(&last->holes, &m.holes, &e), &e);
	for (size_t i = 0; i < s->nqueue; i++)
		if (!mark_contains(last, s->queue[i].id))
			must(mark_see(&m, s->queue[i].id, &e), &e);
	chance_hex(w, m.stamp, MARK_STAMP_LEN);
	store_add_mark(s, &m);
	return store_last_mark(s);
}

/* The greatest version of a record that a queue still knows. */
static const struct queued *
latest(const struct store *s, int table, int key)
{
	const struct queued *found = NULL;

	for (size_t i = 0; i < s->nqueue; i++)
		if (s->queue[i].table == table && s->queue[i].key == key && (found == NULL || strcmp(s->queue[i].changed_at, found->changed_at) > 0))
			found = &s->queue[i];
	return found;
}

/* Compare and merge, as agent --verify does it: what one side lacks it gets; of two versions the later one. */
static void
merge(struct world *w, struct node *a, struct node *b)
{
	for (int table = 0; table < TABLES; table++)
		for (int key = 1; key < KEYS; key++) {
			const struct row *x = &a->store.rows[table][key], *y = &b->store.rows[table][key];
			const struct queued *of_a = latest(&a->store, table, key), *of_b = latest(&b->store, table, key);
			bool mine = !y->here || (x->here && of_a != NULL && (of_b == NULL || strcmp(of_a->changed_at, of_b->changed_at) > 0));

			if (same_row(x, y))
				continue;
			note(w, "merge: %s %d of %s (%" PRIu32 " %" PRIu32 ") stays", table_names[table], key, mine ? a->name : b->name, mine ? x->cells[0] : y->cells[0], mine ? x->cells[1] : y->cells[1]);
			if (x->here && y->here)
				keep_row(mine ? &b->store : &a->store, mine ? y : x);
			queue_whole(w, mine ? a : b, table, key, (mine ? a : b)->store.rows[table][key].here ? OP_INSERT : OP_DELETE);
		}
}

void
people_mend(struct world *w, struct node *n)
{
	const struct mark *own = mark_all(w, &n->store);

	note(w, "%s is mended", n->name);
	chance_hex(w, n->store.incarnation, SCHEMA_INCARNATION_LEN);
	n->restored = false;
	w->mended++;
	for (int i = 0; i < w->n; i++) {
		struct node *peer = &w->nodes[i];

		if (!n->store.sides[i].linked)
			continue;
		side_reset(&n->store.sides[i], own);
		side_reset(&peer->store.sides[n->number], mark_all(w, &peer->store));
		/* They compare over the link, so each has met the other. */
		memcpy(n->store.sides[i].state.incarnation, peer->store.incarnation, sizeof peer->store.incarnation);
		memcpy(peer->store.sides[n->number].state.incarnation, n->store.incarnation, sizeof n->store.incarnation);
		merge(w, n, peer);
	}
	world_drop_letters(w); /* sessions of before are over */
	for (int i = 0; i < w->n; i++) {
		memset(w->nodes[i].callers, 0, sizeof w->nodes[i].callers);
		world_drop_backup(&w->nodes[i]);
	}
}
