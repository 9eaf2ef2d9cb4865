/* One schedule: chance, the line, the power, and how it all comes to rest. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEPS_LEAST = 60,
	STEPS_SPREAD = 140,
	REST_ROUNDS = 60,  /* exchanges of every link until nothing moves any more */
	PERSON_ROUNDS = 40, /* times that a person decides */
	LETTERS_MAX = 10000, /* of one drain without any trouble: some hundred groups at most */
	HELLO_TRIES = 3
};

const char *const wrong_names[WRONGS] = { "none", "no-requeue", "keeper-requeues", "watermark", "refused-seen", "purge-on-acknowledgement", "resend-applies",
	"incarnation", "stamp", "loser-dropped", "echo", "position-first", "answer-first", "look-first", "blind", "prefer-last", "decided-all", "one-time", "value-wins", "difference-lost", "counted-twice", "retry-forgets" };

const char *const policy_names[POLICIES] = { "newer", "prefer", "merge", "manual", "add" };

/* --- chance --- */

static uint64_t
draw(struct world *w) /* splitmix64 */
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* The next of the bytes that choose, if somebody gave some (tests/fuzz/schedule.c): 0 to all ones, evenly. */
uint64_t
chance_next(struct world *w)
{
	if (w->nchoices == 0)
		return draw(w);
	w->nchoices--;
	return *w->choices++ * (UINT64_MAX / UINT8_MAX);
}

size_t
chance_below(struct world *w, size_t n)
{
	return (size_t)(chance_next(w) % n);
}

bool
chance(struct world *w, double share)
{
	return (double)(chance_next(w) >> 11) < share * 9007199254740992.0; /* 2^53 */
}

void
chance_hex(struct world *w, char *out, size_t digits)
{
	for (size_t i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[draw(w) % 16]; /* never chosen: two equal ones do not happen */
	out[digits] = '\0';
}

void
fail(struct world *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (w->failure[0] == '\0')
		(void)vsnprintf(w->failure, sizeof w->failure, format, args);
	va_end(args);
	note(w, "FAILED: %s", w->failure);
}

void
note(struct world *w, const char *format, ...)
{
	va_list args;

	if (!w->trace)
		return;
	va_start(args, format);
	(void)fputs("#   ", stdout);
	(void)vprintf(format, args);
	(void)fputc('\n', stdout);
	va_end(args);
}

void
must(bool ok, const struct err *e)
{
	if (ok)
		return;
	(void)fprintf(stderr, "simulate: %s\n", e->msg);
	abort();
}

/* Every clock is wrong in its own way; two may show the same microsecond. */
void
node_time(const struct world *w, const struct node *n, char out[QUEUE_TIME_LEN + 1])
{
	uint64_t t = (uint64_t)(w->now_us + n->skew_us);
	unsigned parts[] = { (unsigned)(t / 3600000000 % 24), (unsigned)(t / 60000000 % 60), (unsigned)(t / 1000000 % 60), (unsigned)(t % 1000000) };
	char text[QUEUE_TIME_LEN + 20];

	(void)snprintf(text, sizeof text, "2026-11-21 %02u:%02u:%02u.%06u", parts[0], parts[1], parts[2], parts[3]);
	memcpy(out, text, QUEUE_TIME_LEN);
	out[QUEUE_TIME_LEN] = '\0';
}

/* --- the line --- */

static void *
copied(const void *p, size_t size)
{
	void *to = p == NULL ? NULL : malloc(size);

	if (p == NULL)
		return NULL;
	if (to == NULL)
		abort();
	return memcpy(to, p, size);
}

static void
letter_free(struct letter *l)
{
	free(l->reply);
	free(l->group);
}

void
world_drop_letters(struct world *w)
{
	for (size_t i = 0; i < w->nletters; i++)
		letter_free(&w->letters[i]);
	w->nletters = 0;
}

void
world_drop_backup(struct node *n)
{
	if (n->backup != NULL)
		store_free(n->backup);
	free(n->backup);
	n->backup = NULL;
}

static void
post(struct world *w, struct letter *l)
{
	if (w->chaos && chance(w, 0.12)) {
		letter_free(l);
		return;
	}
	if (w->nletters == w->letters_cap) {
		w->letters_cap = w->letters_cap == 0 ? 32 : w->letters_cap * 2;
		w->letters = realloc(w->letters, w->letters_cap * sizeof *w->letters);
		if (w->letters == NULL)
			abort();
	}
	w->letters[w->nletters++] = *l;
}

/* A record as it would travel: a line of the program's codec and back. */
static void
through_line(struct sent *s)
{
	const struct record_meta out = { .operation = s->operation, .key = s->key, .key_len = strlen(s->key), .changed_at = s->changed_at, .origin = s->origin[0] == '\0' ? NULL : s->origin,
		.via = s->via[0] == '\0' ? NULL : s->via, .old_key = s->old_key[0] == '\0' ? NULL : s->old_key, .old_key_len = strlen(s->old_key), .whole = s->whole,
		.has_seen = s->has_seen, .seen = s->seen, .weak = s->weak, .columns = s->told.any ? s->told.versions : NULL,
		.difference = s->told.difference[0] == '\0' ? NULL : s->told.difference };
	struct line_value values[RECORD_FIXED + 1];
	struct record_meta in;
	struct sent back = { .table = s->table, .row = s->row };
	struct buf line;
	size_t n;
	struct err e;

	buf_init(&line, MESSAGE_HEADER_MAX);
	message_put_record(&line, &out);
	line_end(&line);
	must(buf_check(&line, "a record", &e) && line_parse(line.data, line.len - 1, values, RECORD_FIXED + 1, &n, &e) && message_parse_record(values, n, &in, &e), &e);
	back.operation = in.operation;
	(void)snprintf(back.key, sizeof back.key, "%s", in.key);
	if (in.operation != 'o') {
		(void)snprintf(back.changed_at, sizeof back.changed_at, "%s", in.changed_at);
		(void)snprintf(back.origin, sizeof back.origin, "%s", in.origin == NULL ? "" : in.origin);
		(void)snprintf(back.via, sizeof back.via, "%s", in.via == NULL ? "" : in.via);
		(void)snprintf(back.old_key, sizeof back.old_key, "%s", in.old_key == NULL ? "" : in.old_key);
		back.whole = in.whole;
		back.has_seen = in.has_seen;
		back.seen = in.seen;
		back.weak = in.weak;
		back.told.any = in.columns != NULL;
		(void)snprintf(back.told.versions, sizeof back.told.versions, "%.*s", (int)in.columns_len, in.columns == NULL ? "" : in.columns);
		(void)snprintf(back.told.difference, sizeof back.told.difference, "%s", in.difference == NULL ? "" : in.difference);
	}
	*s = back;
	buf_free(&line);
}

static void
through_codec(struct group_sent *g)
{
	struct group_header back;
	struct buf line;
	struct err e;

	buf_init(&line, MESSAGE_HEADER_MAX);
	message_put_group(&line, &g->header);
	must(buf_check(&line, "a header", &e) && message_parse_group(line.data, line.len - 1, &back, &e), &e);
	g->header = back;
	buf_free(&line);
	for (size_t i = 0; i < g->n; i++)
		through_line(&g->records[i]);
}

/* --- holding and mending --- */

static void
held(struct world *w, int a, int b)
{
	struct node *n = w->nodes[a].restored ? &w->nodes[a] : w->nodes[b].restored ? &w->nodes[b] : NULL;

	w->held++;
	note(w, "the link of %s and %s is held", w->nodes[a].name, w->nodes[b].name);
	if (n == NULL)
		fail(w, "the link of %s and %s is held, and there is no reason", w->nodes[a].name, w->nodes[b].name);
	else
		people_mend(w, n);
}

/* --- one exchange --- */

static void
call(struct world *w, int from, int to, bool retry)
{
	struct caller *c = &w->nodes[from].callers[to];
	struct letter l = { .kind = HELLO, .from = from, .to = to, .request = ++w->requests };

	c->waits = WAITS_WELCOME;
	c->request = l.request;
	c->retry = retry;
	post(w, &l);
}

static void
send_group(struct world *w, struct node *n, int to)
{
	struct caller *c = &n->callers[to];
	struct letter l = { .kind = GROUP, .from = n->number, .to = to };
	enum built built;

	l.group = malloc(sizeof *l.group);
	if (l.group == NULL)
		abort();
	built = sender_build(w, n, to, c->retry, l.group);
	c->waits = IDLE;
	if (built != BUILT_GROUP) {
		free(l.group);
		if (built == BUILT_HELD)
			held(w, n->number, to);
		return;
	}
	if (w->codec)
		through_codec(l.group);
	note(w, "%s sends to %s epochs %" PRIu64 " to %" PRIu64 ": %zu records%s", n->name, w->nodes[to].name, l.group->header.base.epoch, l.group->header.upto.epoch, l.group->n, c->retry ? ", retry" : "");
	c->waits = WAITS_ANSWER;
	c->last = l.group->header.last;
	l.request = c->request = ++w->requests;
	post(w, &l);
}

static void
crash(struct world *w, struct node *n)
{
	note(w, "%s crashes", n->name);
	w->crashes++;
	people_finish(w, n, false);
	memset(n->callers, 0, sizeof n->callers);
}

/* A group that is applied while the power fails, before the commit: nothing of it stays, unless a rule is wrong. */
static void
crash_before(struct world *w, struct node *n, const struct letter *l)
{
	struct store before;
	struct reply *reply;

	if (w->wrong == WRONG_POSITION_FIRST || w->wrong == WRONG_ANSWER_FIRST) {
		store_copy(&n->store, &before);
		reply = malloc(sizeof *reply);
		if (reply == NULL)
			abort();
		if (!receiver_apply(w, n, l->from, l->group, reply) || reply->status != 200)
			free(reply);
		else if (w->wrong == WRONG_POSITION_FIRST) {
			before.sides[l->from].cursor = n->store.sides[l->from].cursor;
			free(before.sides[l->from].answer);
			before.sides[l->from].answer = reply;
		} else {
			struct letter answer = { .kind = ANSWER, .from = l->to, .to = l->from, .request = l->request, .reply = reply };

			post(w, &answer);
		}
		store_free(&n->store);
		n->store = before;
	}
	crash(w, n);
}

static void
take_group(struct world *w, struct node *n, const struct letter *l)
{
	struct letter answer = { .kind = ANSWER, .from = l->to, .to = l->from, .request = l->request };

	if (w->chaos && chance(w, 0.04)) {
		crash_before(w, n, l);
		return;
	}
	answer.reply = malloc(sizeof *answer.reply);
	if (answer.reply == NULL)
		abort();
	if (!receiver_apply(w, n, l->from, l->group, answer.reply)) {
		letter_free(&answer); /* 503 */
		return;
	}
	note(w, "%s answers %s: %d %s, epoch %" PRIu64 ", %zu refused", n->name, w->nodes[l->from].name, answer.reply->status, answer.reply->code, answer.reply->header.cursor.epoch, answer.reply->nrefused);
	if (w->chaos && chance(w, 0.04)) {
		letter_free(&answer);
		crash(w, n);
		return;
	}
	post(w, &answer);
}

static bool
is_awaited(const struct node *n, const struct letter *l, enum waiting waits)
{
	return n->callers[l->from].waits == waits && n->callers[l->from].request == l->request;
}

static void
take_answer(struct world *w, struct node *n, const struct letter *l)
{
	struct caller *c = &n->callers[l->from];
	bool elsewhere = l->reply->status != 200;

	c->waits = IDLE;
	if (!sender_answer(w, n, l->from, l->reply))
		held(w, n->number, l->from);
	else if (elsewhere && c->hellos++ < HELLO_TRIES)
		call(w, n->number, l->from, c->retry);
	else if (!elsewhere && !c->last)
		send_group(w, n, l->from);
}

static void
take_welcome(struct world *w, struct node *n, const struct letter *l)
{
	n->callers[l->from].waits = IDLE;
	if (!sender_welcome(w, n, l))
		held(w, n->number, l->from);
	else
		send_group(w, n, l->from);
}

static void
deliver(struct world *w, const struct letter *l)
{
	struct node *n = &w->nodes[l->to];
	struct letter welcome = { .kind = WELCOME, .from = l->to, .to = l->from, .request = l->request };

	switch (l->kind) {
	case HELLO:
		receiver_welcome(w, n, l->from, &welcome);
		post(w, &welcome);
		break;
	case WELCOME:
		if (is_awaited(n, l, WAITS_WELCOME))
			take_welcome(w, n, l);
		break;
	case GROUP:
		take_group(w, n, l);
		break;
	case ANSWER:
		if (is_awaited(n, l, WAITS_ANSWER))
			take_answer(w, n, l);
	}
}

/* Any letter on its way, not the oldest; a request may come twice. */
static void
deliver_one(struct world *w)
{
	size_t i = w->chaos ? chance_below(w, w->nletters) : 0;
	struct letter l = w->letters[i];
	bool twice = w->chaos && (l.kind == GROUP || l.kind == HELLO) && chance(w, 0.12);

	if (twice) {
		w->letters[i].copy = true;
		l.reply = copied(l.reply, sizeof *l.reply);
		l.group = copied(l.group, sizeof *l.group);
	} else {
		memmove(&w->letters[i], &w->letters[i + 1], (w->nletters - i - 1) * sizeof l);
		w->nletters--;
	}
	deliver(w, &l);
	letter_free(&l);
}

/* --- the power --- */

static bool
is_elsewhere(const struct world *w, const struct node *n, uint32_t content)
{
	for (int i = 0; i < w->n; i++) {
		const struct store *s = &w->nodes[i].store;

		if (i == n->number)
			continue;
		if (s->kept[content])
			return true;
		for (int table = 0; table < TABLES; table++)
			for (int key = 1; key < KEYS; key++)
				for (int k = 0; k < CELLS; k++)
					if (s->rows[table][key].here && s->rows[table][key].cells[k] == content)
						return true;
	}
	return false;
}

static bool
is_in(const struct store *s, uint32_t content)
{
	for (int table = 0; table < TABLES; table++)
		for (int key = 1; key < KEYS; key++)
			for (int k = 0; k < CELLS; k++)
				if (s->rows[table][key].here && s->rows[table][key].cells[k] == content)
					return true;
	return s->kept[content];
}

/* A request may come twice, but not into two lives of a database: its session counts. */
static void
drop_copies(struct world *w)
{
	size_t left = 0;

	for (size_t i = 0; i < w->nletters; i++) {
		if (w->letters[i].copy)
			letter_free(&w->letters[i]);
		else
			w->letters[left++] = w->letters[i];
	}
	w->nletters = left;
}

static void
restore(struct world *w, struct node *n)
{
	drop_copies(w);
	note(w, "%s is set back to its backup", n->name);
	people_finish(w, n, false);
	for (uint32_t c = 1; c <= w->contents; c++)
		if ((!is_in(n->backup, c) && !is_elsewhere(w, n, c)) || (n->store.kept[c] && !n->backup->kept[c]))
			w->gone[c] = true;
	store_free(&n->store);
	n->store = *n->backup;
	free(n->backup);
	n->backup = NULL;
	memset(n->callers, 0, sizeof n->callers);
	n->restored = w->set_back = true;
}

static bool
all_mended(const struct world *w)
{
	for (int i = 0; i < w->n; i++)
		if (w->nodes[i].restored)
			return false;
	return true;
}

static void
back_up(struct world *w, struct node *n)
{
	if (n->backup != NULL) {
		if (all_mended(w))
			restore(w, n);
		return;
	}
	n->backup = malloc(sizeof *n->backup);
	if (n->backup == NULL)
		abort();
	store_copy(&n->store, n->backup);
	note(w, "%s is backed up", n->name);
}

/* --- the schedule --- */

static int
any_peer(struct world *w, const struct node *n)
{
	int peer;

	do
		peer = (int)chance_below(w, (size_t)w->n);
	while (!n->store.sides[peer].linked);
	return peer;
}

static void
step(struct world *w)
{
	struct node *n = &w->nodes[chance_below(w, (size_t)w->n)];
	size_t what = chance_below(w, 100);
	int peer = any_peer(w, n);

	w->now_us += (int64_t)chance_below(w, 1000);
	if (what < 4 && w->policy == POLICY_MANUAL)
		people_resolve(w, n, peer);
	else if (what < 3 && w->adds)
		people_repair(w, n);
	else if (what < 38)
		people_write(w, n);
	else if (what < 41)
		people_finish(w, n, !chance(w, 0.3));
	else if (what < 56) {
		if (n->callers[peer].waits == IDLE || chance(w, 0.3)) {
			n->callers[peer].hellos = 0;
			call(w, n->number, peer, chance(w, 0.5));
		}
	} else if (what < 93) {
		if (w->nletters > 0)
			deliver_one(w);
	} else if (what < 97)
		sender_tidy(w, n, chance(w, 0.6));
	else if (what < 98)
		crash(w, n);
	else if (w->restores)
		back_up(w, n);
	else if (w->revises)
		people_revise(w, n);
}

static void
connect(struct world *w, int a, int b)
{
	side_reset(&w->nodes[a].store.sides[b], store_last_mark(&w->nodes[a].store));
	side_reset(&w->nodes[b].store.sides[a], store_last_mark(&w->nodes[b].store));
}

static void
describe(struct world *w, int at, int table)
{
	static const char *const names[COLUMNS] = { "id", "a", "b", "value", "stock" };
	struct table *t = &w->tables[at];
	struct column *columns = w->columns[at];

	for (int i = 0; i < COLUMNS; i++)
		memcpy(&columns[i].name, &names[i], sizeof names[i]); /* only read */
	columns[0].in_key = true;
	columns[COLUMNS - 1].counts = columns[COLUMNS - 1].exact = w->adds && table == TABLE_PLAIN;
	memcpy(&t->name, &table_names[table], sizeof t->name); /* only read */
	t->columns = columns;
	t->ncolumns = COLUMNS;
	t->nkey = 1;
	t->ncounters = columns[COLUMNS - 1].counts;
	t->auto_increment = table == TABLE_COUNTED;
	t->policy = w->policy;
}

/* What conf and catalog say of the tables: one rule for all of them. */
static void
set_rule(struct world *w, int policy)
{
	static const int policies[] = { POLICY_NEWER, POLICY_NEWER, POLICY_PREFER, POLICY_MERGE, POLICY_MANUAL, POLICY_ADD };
	static const int by_name[TABLES] = { TABLE_COUNTED, TABLE_PLAIN, TABLE_UNIQUE };
	uint64_t kind = w->seed * 0x9e3779b97f4a7c15u >> 40; /* not of chance: one seed is one course of events under every rule */

	w->revises = (kind >> 16) % 2 == 0;
	if (policy < 0)
		policy = policies[kind % (sizeof policies / sizeof *policies)];
	w->adds = policy == POLICY_ADD;
	w->policy = w->adds ? (kind >> 8) % 2 == 0 ? POLICY_NEWER : POLICY_MERGE : (enum conf_policy)policy;
	for (int i = 0; i < TABLES; i++) {
		describe(w, i, by_name[i]);
		if (w->policy == POLICY_PREFER)
			(void)snprintf(w->tables[i].preferred, sizeof w->tables[i].preferred, "n%d", (int)(kind >> 8) % w->n);
	}
	w->catalog = (struct catalog){ .tables = w->tables, .ntables = TABLES };
	note(w, "conflict = %s%s%s%s", policy_names[w->policy], w->policy == POLICY_PREFER ? " " : "", w->tables[0].preferred, w->adds ? ", add = stock" : "");
}

/* Rows that all have from the beginning. */
static void
first_rows(struct world *w)
{
	for (int key = 1; w->adds && key <= COUNTED_KEYS; key++) {
		struct row row = { .here = true, .stock = FIRST_STOCK };

		for (int i = 0; i < CELLS; i++)
			row.cells[i] = ++w->contents;
		for (int i = 0; i < w->n; i++)
			w->nodes[i].store.rows[TABLE_PLAIN][key] = row;
	}
}

static void
set_up(struct world *w)
{
	bool star = chance(w, 0.5);

	for (int i = 0; i < w->n; i++) {
		struct node *n = &w->nodes[i];

		n->number = i;
		n->name[0] = 'n';
		n->name[1] = (char)('0' + i);
		n->name[2] = '\0';
		store_init(w, &n->store);
		n->skew_us = w->skewed ? (int64_t)chance_below(w, 60000) : 0;
	}
	first_rows(w);
	for (int i = 1; i < w->n; i++)
		connect(w, star ? 0 : i - 1, i);
}

static void
choose(struct world *w)
{
	w->collide = chance(w, 0.25);
	w->restores = chance(w, 0.25);
	w->skewed = chance(w, 0.8);
	w->codec = chance(w, 0.1);
	w->group_rows = chance(w, 0.3) ? 1 + chance_below(w, 4) : 0;
	w->refuse = chance(w, 0.5) ? 0.12 : 0;
	note(w, "%d nodes%s%s%s, group_rows %" PRIu64 "%s", w->n, w->collide ? ", one numbering" : "", w->restores ? ", restores" : "", w->skewed ? ", skewed clocks" : "", w->group_rows, w->refuse > 0 ? ", refusals" : "");
}

/* --- coming to rest --- */

bool
world_drain(struct world *w, int from, int to)
{
	unsigned long before = w->groups + w->mended;

	w->now_us += 1000;
	w->nodes[from].callers[to].hellos = 0;
	call(w, from, to, true);
	for (int i = 0; w->nletters > 0 && w->failure[0] == '\0'; i++) {
		if (i == LETTERS_MAX)
			fail(w, "a drain from %s to %s has no end", w->nodes[from].name, w->nodes[to].name);
		deliver_one(w);
	}
	return w->groups + w->mended > before;
}

/* Every link both ways, until a whole round sends nothing. */
static void
rest(struct world *w)
{
	bool busy = true;

	for (int round = 0; busy && w->failure[0] == '\0'; round++) {
		busy = false;
		for (int a = 0; a < w->n; a++)
			for (int b = 0; b < w->n; b++)
				if (w->nodes[a].store.sides[b].linked)
					busy = world_drain(w, a, b) || busy;
		if (busy && round > REST_ROUNDS)
			fail(w, "after %d rounds the nodes still have something to say", REST_ROUNDS);
	}
}

static bool
is_owing(const struct world *w)
{
	for (int i = 0; i < w->n; i++)
		for (int k = 0; k < w->n; k++)
			if (w->nodes[i].store.sides[k].nowed > 0)
				return true;
	return false;
}

/* One person at a time, at one link: the others see what came of it. */
static void
decide_somewhere(struct world *w, int round)
{
	note(w, "people decide");
	for (int i = 0; i < w->n * w->n; i++) {
		int at = (i + round) % (w->n * w->n), a = at / w->n, b = at % w->n;

		if (w->nodes[a].store.sides[b].linked && people_decide(w, a, b))
			return;
	}
}

static void
come_to_rest(struct world *w)
{
	w->chaos = false;
	note(w, "from here on all goes well");
	for (int i = 0; i < w->n; i++) {
		people_finish(w, &w->nodes[i], true);
		memset(w->nodes[i].callers, 0, sizeof w->nodes[i].callers);
	}
	world_drop_letters(w);
	rest(w);
	for (int round = 0; round < PERSON_ROUNDS && w->failure[0] == '\0' && (is_owing(w) || !oracle_equal(w)); round++) {
		oracle_named(w);
		decide_somewhere(w, round);
		rest(w);
	}
}

static void
tear_down(struct world *w)
{
	for (int i = 0; i < w->n; i++) {
		store_free(&w->nodes[i].store);
		world_drop_backup(&w->nodes[i]);
	}
	world_drop_letters(w);
	free(w->letters);
	w->letters = NULL;
}

static void
run(struct world *w, int nodes, int policy)
{
	size_t steps;

	w->chaos = true;
	w->now_us = 10 * 3600000000; /* ten o'clock */
	(void)draw(w);
	w->n = nodes != 0 ? nodes : 2 + (int)chance_below(w, NODES_MAX - 1);
	choose(w);
	set_rule(w, policy);
	set_up(w);
	steps = STEPS_LEAST + chance_below(w, STEPS_SPREAD);
	for (size_t i = 0; i < steps && w->failure[0] == '\0'; i++)
		step(w);
	if (w->failure[0] == '\0')
		come_to_rest(w);
	if (w->failure[0] == '\0')
		oracle_final(w);
	tear_down(w);
}

void
world_run(struct world *w, uint64_t seed, int nodes, int policy, enum wrong wrong, bool trace)
{
	memset(w, 0, sizeof *w);
	w->seed = w->random = seed;
	w->wrong = wrong;
	w->trace = trace;
	run(w, nodes, policy);
}

void
world_play(struct world *w, const uint8_t *choices, size_t n, enum wrong wrong)
{
	memset(w, 0, sizeof *w);
	w->seed = n > 0 ? choices[0] : 0; /* chooses the rule */
	w->choices = choices;
	w->nchoices = n;
	w->wrong = wrong;
	run(w, 0, -1);
}
