/* --status and --parked for people. Lives here: order, words, tables. Not here: reading (app/report), which state and
 * which advice (app/outlook), JSON (app/report). Lists are taken from the report's JSON, so that both say the same. */
#include "app/status.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "app/outlook.h"
#include "app/words.h"
#include "base/measure.h"
#include "base/sheet.h"
#include "change/moved.h"
#include "sync/ceiling.h"

enum {
	LABEL = 16, /* where the text behind a label begins */
	BEHIND = 2,
	SENTENCE_MAX = 64 * 1024
};

/* --- states --- */

/* The worst first. */
static const struct {
	const char *state;
	const char *text;
	enum ink ink;
} states[] = {
	{ "person", "needs you", INK_BAD },
	{ "away", "not in step: not reached", INK_WARN },
	{ "paused", "paused", INK_WARN },
	{ "sending", "not in step yet", INK_PLAIN },
	{ "in_step", "in step", INK_GOOD },
};
enum { STATES = sizeof states / sizeof states[0] };

static size_t
rank_of(const char *state)
{
	size_t i = 0;

	while (i + 1 < STATES && strcmp(states[i].state, state) != 0)
		i++;
	return i;
}

/* What all of it comes to. */
static const struct {
	const char *headline;
	const char *text;
	enum ink ink;
} headlines[] = {
	{ "person", "needs you: what to do stands below", INK_BAD },
	{ "away", "not in step: a peer cannot be reached; nothing is lost, what waits is sent when it is back", INK_WARN },
	{ "paused", "paused: what changes here waits until the peer is resumed", INK_WARN },
	{ "filling", "not in step yet: this node is being filled", INK_PLAIN },
	{ "sending", "not in step yet: changes wait for the next drain, or are on their way", INK_PLAIN },
	{ "in_step", "in step: everything committed here is at every peer, safe to close the lid", INK_GOOD },
	{ "alone", "no peers: agent --pair trusts another laptop", INK_WARN },
};

static void
put_headline(const struct report *r, struct screen *s)
{
	const char *is = report_needs_person(r) ? "person" : outlook_headline(r);

	screen_fmt(s, INK_STRONG, "node %s, database %s", r->node.name, r->database);
	for (size_t i = 0; i < sizeof headlines / sizeof headlines[0]; i++)
		if (strcmp(headlines[i].headline, is) == 0)
			screen_line(s, headlines[i].ink, headlines[i].text);
}

/* --- lists of the report --- */

static struct json_object *
parse(const struct buf *json)
{
	return json->len == 0 ? NULL : json_tokener_parse(buf_cstr(json));
}

static size_t
length(struct json_object *list)
{
	return list == NULL ? 0 : json_object_array_length(list);
}

static const char *
text_of(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(o, name, &value) && value != NULL ? json_object_get_string(value) : NULL;
}

/* The same where it is never null. */
static const char *
word_of(struct json_object *o, const char *name)
{
	const char *text = text_of(o, name);

	return text == NULL ? "" : text;
}

static uint64_t
number_of(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(o, name, &value) ? json_object_get_uint64(value) : 0;
}

/* --- a peer --- */

static const struct screen_item plain = { .indent = BEHIND, .column = BEHIND + LABEL };

static struct screen_item
labelled(const char *label, enum ink ink)
{
	struct screen_item item = plain;

	item.lead = label;
	item.lead_ink = ink == INK_PLAIN ? INK_FAINT : ink;
	return item;
}

#define PUT(s, ink, label, ...) do { const struct screen_item item_ = labelled(label, ink); screen_item_fmt(s, &item_, __VA_ARGS__); } while (0)

static void
put_reasons(const struct report_peer *p, struct screen *s)
{
	struct json_object *reasons = parse(&p->reasons);

	for (size_t i = 0; i < length(reasons); i++)
		PUT(s, INK_PLAIN, i == 0 ? "because:" : "", "%s", json_object_get_string(json_object_array_get_idx(reasons, i)));
	json_object_put(reasons);
}

static void
put_choices(struct json_object *choices, struct screen *s)
{
	for (size_t i = 0; i < length(choices); i++) {
		struct json_object *one = json_object_array_get_idx(choices, i);
		const struct screen_item item = { .indent = BEHIND + LABEL, .column = BEHIND + LABEL + 19, .lead = word_of(one, "choice"), .lead_ink = INK_FAINT, .ink = INK_STRONG };

		screen_item(s, &item, word_of(one, "command"));
	}
}

static void
put_moved(const struct report_peer *p, struct screen *s)
{
	struct json_object *list = parse(&p->moved), *choices;
	struct buf sentence;

	buf_init(&sentence, SENTENCE_MAX);
	for (size_t i = 0; i < length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const struct moved m = { .table = word_of(one, "table"), .state = word_of(one, "state"), .reason = word_of(one, "what"),
			.message = text_of(one, "message"), .records = number_of(one, "records") };
		bool held = strcmp(m.state, "held") == 0;

		buf_reset(&sentence);
		moved_put_sentence(&sentence, &m);
		PUT(s, held ? INK_BAD : INK_PLAIN, held ? "held:" : "waiting:", "%s", buf_cstr(&sentence));
		if (json_object_object_get_ex(one, "choices", &choices))
			put_choices(choices, s);
	}
	buf_free(&sentence);
	json_object_put(list);
	if (p->tables_held > 0)
		PUT(s, INK_PLAIN, "", "or at once, without losing a record of either side: agent --verify --repair --peer %s", p->name);
}

static void
put_refused(const struct report_peer *p, struct screen *s)
{
	const struct {
		uint64_t n;
		const char *what;
	} kinds[] = { { p->parked, "parked (agent --parked)" }, { p->retry, "to be tried again" }, { p->waiting, "waiting" }, { p->discarded, "discarded" } };
	struct buf text;

	buf_init(&text, SENTENCE_MAX);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].n > 0)
			buf_fmt(&text, "%s%llu %s", text.len > 0 ? ", " : "", (unsigned long long)kinds[i].n, kinds[i].what);
	if (text.len > 0)
		PUT(s, p->parked > 0 ? INK_BAD : INK_PLAIN, "refused there:", "%s", buf_cstr(&text));
	buf_free(&text);
	put_reasons(p, s);
	if (p->undecided > 0)
		PUT(s, INK_BAD, "NOT DECIDED:", "%llu conflict%s (agent --conflicts)", (unsigned long long)p->undecided, p->undecided == 1 ? "" : "s");
	if (p->refused_here > 0)
		PUT(s, INK_PLAIN, "refused here:", "%llu of its records (agent --parked there)", (unsigned long long)p->refused_here);
}

static void
put_error(const struct report_peer *p, const struct words *w, struct screen *s)
{
	char age[MEASURE_MAX];
	bool now = p->failures > 0;

	if (p->last_error[0] == '\0' || (p->held[0] != '\0' && strcmp(p->held, p->last_error) == 0))
		return;
	PUT(s, now ? INK_WARN : INK_PLAIN, "last error:", "%s (%s%s)", p->last_error, measure_age(p->last_error_at, age), now ? "" : ", over since");
	if (now && p->held[0] == '\0')
		PUT(s, INK_STRONG, "what to do:", "%s", words_get(w, "advice.", outlook_error_advice(p)));
}

/* Is there more to say than its row in the table? */
static bool
has_details(const struct report_peer *p)
{
	return p->held[0] != '\0' || p->deletes[0] != '\0' || p->retry + p->waiting + p->parked + p->discarded + p->undecided + p->refused_here + p->tables_moved > 0 ||
	    p->last_error[0] != '\0' || p->url[0] == '\0' || p->paused;
}

static void
put_details(const struct report_peer *p, const struct words *w, struct screen *s)
{
	if (!has_details(p))
		return;
	screen_gap(s);
	screen_fmt(s, INK_STRONG, "%s (%s)", p->name, p->url[0] == '\0' ? "no url: it comes for what is here" : p->url);
	if (p->held[0] != '\0')
		PUT(s, INK_BAD, "held:", "%s", p->held);
	if (p->deletes[0] != '\0')
		PUT(s, INK_BAD, "held back:", "its deletions here: %s", p->deletes);
	if (p->paused)
		PUT(s, INK_WARN, "paused:", "paused = yes in its section of agent.conf; take that out, and what waits is sent");
	if (p->url[0] == '\0' && p->pending > 0)
		PUT(s, INK_PLAIN, "pending:", "%llu, to be fetched by it", (unsigned long long)p->pending);
	put_refused(p, s);
	put_moved(p, s);
	put_error(p, w, s);
}

/* --- all peers --- */

static int
compare_peers(const void *a, const void *b)
{
	const struct report_peer *const *x = a, *const *y = b;
	size_t rx = rank_of(outlook_state(*x)), ry = rank_of(outlook_state(*y));

	if (rx != ry)
		return rx < ry ? -1 : 1;
	return *x < *y ? -1 : *x > *y; /* else as in agent.conf */
}

static void
put_row(const struct report_peer *p, struct sheet *t)
{
	size_t state = rank_of(outlook_state(p));
	char text[MEASURE_MAX];

	sheet_cell(t, INK_STRONG, p->name);
	sheet_cell(t, states[state].ink, states[state].text);
	sheet_cell(t, INK_PLAIN, measure_count(p->pending, text));
	sheet_cell(t, INK_PLAIN, measure_count(p->records_sent, text));
	sheet_cell(t, INK_PLAIN, measure_count(p->records_applied, text));
	sheet_cell(t, INK_PLAIN, measure_age(p->last_success, text));
	sheet_cell(t, INK_PLAIN, measure_age(p->last_applied, text));
}

static void
put_peers(const struct report *r, const struct words *w, struct screen *s)
{
	static const struct sheet_column columns[] = { { "peer", false, false }, { "state", false, true }, { "pending", true, false }, { "sent", true, false },
		{ "received", true, false }, { "last success", false, false }, { "last received", false, false } };
	const struct report_peer **order = calloc(r->npeers + 1, sizeof *order);
	struct sheet t;

	if (order == NULL) {
		s->out.failed = s->out.no_memory = true;
		return;
	}
	sheet_init(&t, columns, sizeof columns / sizeof columns[0]);
	for (size_t i = 0; i < r->npeers; i++)
		order[i] = &r->peers[i];
	qsort(order, r->npeers, sizeof *order, compare_peers);
	for (size_t i = 0; i < r->npeers; i++)
		put_row(order[i], &t);
	if (r->npeers > 0) {
		screen_gap(s);
		sheet_put(&t, s);
	}
	for (size_t i = 0; i < r->npeers; i++)
		put_details(order[i], w, s);
	sheet_free(&t);
	free(order);
}

/* --- the node --- */

static void
put_ceilings(const struct report *r, struct screen *s)
{
	uint64_t changes = r->pending + r->synced + r->failed + r->superseded;

	if (ceiling_is_near(changes, r->max_queue))
		screen_fmt(s, INK_WARN, "WARNING: the queue holds %llu changes, max_queue allows %u. Above it changes that every peer has go before retention_days, then the peer that has"
		    " waited longest is given up and begins anew: bring it home, or agent --unpair, or raise max_queue", (unsigned long long)changes, r->max_queue);
	if (ceiling_is_near(r->conflicts, r->max_conflicts))
		screen_fmt(s, INK_WARN, "WARNING: %llu conflicts are kept, max_conflicts allows %u. Above it those that were decided more than a day ago go, the oldest first;"
		    " decide (agent --conflicts), or raise max_conflicts", (unsigned long long)r->conflicts, r->max_conflicts);
}

/* Said well before a disk is full: an app's write that cannot be recorded fails. */
static void
put_stored(const struct report *r, struct screen *s)
{
	const struct screen_item item = { .column = LABEL, .lead = "stored:", .lead_ink = INK_FAINT };
	char queue[MEASURE_MAX], conflicts[MEASURE_MAX], room[MEASURE_MAX];
	bool known = r->free_bytes != UINT64_MAX;

	screen_item_fmt(s, &item, "queue %s, conflicts %s%s%s", measure_size(r->queue_bytes, queue), measure_size(r->conflict_bytes, conflicts),
	    known ? "; free in state_dir: " : "", known ? measure_size(r->free_bytes, room) : "");
	if (r->queue_bytes > REPORT_STORED_WARN)
		screen_line(s, INK_WARN, "WARNING: the queue is large: is a peer away, paused or held, or a record parked? A peer that does not come back: agent --unpair");
	if (r->conflict_bytes > REPORT_STORED_WARN)
		screen_line(s, INK_WARN, "WARNING: many or large versions are kept of conflicts: decided ones go after 90 days (or retention_days), undecided ones when they are decided");
	put_ceilings(r, s);
	if (r->free_bytes < REPORT_FREE_WARN)
		screen_line(s, INK_WARN, "WARNING: little room for groups on their way (state_dir); a group that finds none waits");
}

static void
put_queue(const struct report *r, struct screen *s)
{
	const struct screen_item queue = { .column = LABEL, .lead = "queue:", .lead_ink = INK_FAINT }, conflicts = { .column = LABEL, .lead = "conflicts:", .lead_ink = INK_FAINT },
	    tables = { .column = LABEL, .lead = "pending in:", .lead_ink = INK_FAINT };
	char a[MEASURE_MAX], b[MEASURE_MAX], c[MEASURE_MAX], d[MEASURE_MAX];
	struct json_object *by_table = parse(&r->tables);
	struct buf text;

	screen_item_fmt(s, &queue, "%s pending, %s synced, %s failed, %s superseded", measure_count(r->pending, a), measure_count(r->synced, b),
	    measure_count(r->failed, c), measure_count(r->superseded, d));
	buf_init(&text, REPORT_TEXT_MAX);
	if (by_table != NULL) {
		json_object_object_foreach(by_table, name, n) {
			buf_fmt(&text, "%s%s %s", text.len > 0 ? ", " : "", name, measure_count(json_object_get_uint64(n), a));
		}
	}
	if (text.len > 0)
		screen_item(s, &tables, buf_cstr(&text));
	buf_free(&text);
	json_object_put(by_table);
	screen_item_fmt(s, &conflicts, "%s kept, %s not decided", measure_count(r->conflicts, a), measure_count(r->undecided, b));
}

/* What is to be done about tables and numbers. */
static void
put_findings(const struct report *r, struct screen *s)
{
	struct json_object *numbering = parse(&r->numbering), *fresh = parse(&r->new_tables), *triggers = parse(&r->app_triggers), *oneway = parse(&r->oneway);

	if (r->dirty_tables > 0)
		screen_fmt(s, INK_BAD, "%llu tables were altered under their triggers and wrote meanwhile: run agent --install, which names them, then compare them with the peer",
		    (unsigned long long)r->dirty_tables);
	for (size_t i = 0; i < length(fresh); i++)
		screen_fmt(s, INK_BAD, "table %s is new and not replicated yet: run agent --install", json_object_get_string(json_object_array_get_idx(fresh, i)));
	for (size_t i = 0; i < length(triggers); i++) {
		struct json_object *one = json_object_array_get_idx(triggers, i);
		const char *problem = word_of(one, "problem");

		screen_fmt(s, INK_BAD, "table %s is not replicated: trigger %s of the app %s (agent --check)", word_of(one, "table"), word_of(one, "trigger"),
		    strcmp(problem, "not guarded") == 0 ? "is not guarded: run agent --install" : "has no app_triggers in agent.conf");
	}
	for (size_t i = 0; i < length(numbering); i++) {
		struct json_object *one = json_object_array_get_idx(numbering, i);

		screen_fmt(s, INK_WARN, "warning: %s: %s", word_of(one, "finding"), word_of(one, "remedy"));
	}
	for (size_t i = 0; i < length(oneway); i++) {
		struct json_object *one = json_object_array_get_idx(oneway, i);

		screen_fmt(s, INK_WARN, "warning: %s: %s", word_of(one, "finding"), word_of(one, "remedy"));
	}
	json_object_put(oneway);
	json_object_put(numbering);
	json_object_put(fresh);
	json_object_put(triggers);
}

static bool
is_true(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(o, name, &value) && json_object_get_boolean(value);
}

static void
put_transfer(struct json_object *one, struct screen *s)
{
	const char *peer = word_of(one, "peer");
	char size[MEASURE_MAX], rate[MEASURE_MAX], span[MEASURE_MAX], age[MEASURE_MAX];

	if (is_true(one, "moving"))
		screen_fmt(s, INK_PLAIN, "  %s%s: %s so far, %s/s, %s to go", peer[0] == '\0' ? "from the peers" : "to ", peer, measure_size(number_of(one, "bytes"), size),
		    measure_size(number_of(one, "bytes_per_second"), rate), measure_span(number_of(one, "seconds_left"), span));
	else
		screen_fmt(s, INK_FAINT, "  %s%s: last complete %s", peer[0] == '\0' ? "from the peers" : "to ", peer, measure_age(text_of(one, "last_success"), age));
}

/* One upload folder: what is there, whether it is in step, and the command that ends what holds it. */
static void
put_tree(struct json_object *one, struct screen *s)
{
	const char *held = word_of(one, "held"), *after = word_of(one, "after_error");
	char files[MEASURE_MAX], size[MEASURE_MAX], listed[MEASURE_MAX], n[MEASURE_MAX], bytes[MEASURE_MAX];
	struct json_object *transfers = NULL;

	screen_fmt(s, held[0] != '\0' ? INK_BAD : is_true(one, "in_step") ? INK_GOOD : INK_WARN, "tree %s: %s files here, %s; %s in its list%s", word_of(one, "name"),
	    measure_count(number_of(one, "files"), files), measure_size(number_of(one, "bytes"), size), measure_count(number_of(one, "listed_files"), listed),
	    is_true(one, "in_step") ? ", in step" : "");
	if (held[0] != '\0')
		screen_fmt(s, INK_BAD, "tree %s is held: %s (%s lets it go on)", word_of(one, "name"), held, word_of(one, "remedy"));
	if (number_of(one, "pending") > 0)
		screen_fmt(s, INK_WARN, "  %s files differ from the list, %s to come", measure_count(number_of(one, "pending"), n), measure_size(number_of(one, "pending_bytes"), bytes));
	if (number_of(one, "failed") > 0)
		screen_fmt(s, INK_BAD, "  %s paths wait (agent --trees says why)", measure_count(number_of(one, "failed"), n));
	if (after[0] != '\0')
		screen_fmt(s, INK_BAD, "  the command of after failed: %s", after);
	(void)json_object_object_get_ex(one, "transfers", &transfers);
	for (size_t i = 0; i < length(transfers); i++)
		put_transfer(json_object_array_get_idx(transfers, i), s);
}

static void
put_trees(const struct report *r, struct screen *s)
{
	struct json_object *trees = parse(&r->trees);

	if (length(trees) > 0)
		screen_gap(s);
	for (size_t i = 0; i < length(trees); i++)
		put_tree(json_object_array_get_idx(trees, i), s);
	json_object_put(trees);
}

void
status_put(const struct report *r, struct screen *s)
{
	struct words *w = words_open();

	put_headline(r, s);
	put_findings(r, s);
	if (r->filling.any)
		screen_fmt(s, INK_WARN, "this node is being filled from %s: %llu rows so far (agent --startup --peer %s goes on)", r->filling.peer,
		    (unsigned long long)r->filling.records, r->filling.peer);
	put_peers(r, w, s);
	put_trees(r, s);
	screen_gap(s);
	put_queue(r, s);
	put_stored(r, s);
	words_close(w);
}

/* --- parked --- */

void
status_put_parked(const struct report *r, struct screen *s)
{
	static const struct sheet_column columns[] = { { "id", true, false }, { "peer", false, false }, { "table", false, true }, { "record", false, true },
		{ "tries", true, false }, { "refused", false, false }, { "reason", false, true } };
	struct json_object *parked = parse(&r->parked);
	struct sheet t;

	if (length(parked) == 0) {
		screen_line(s, INK_GOOD, "nothing is parked");
		json_object_put(parked);
		return;
	}
	sheet_init(&t, columns, sizeof columns / sizeof columns[0]);
	for (size_t i = 0; i < length(parked); i++) {
		struct json_object *one = json_object_array_get_idx(parked, i);
		char age[MEASURE_MAX];

		sheet_cell(&t, INK_STRONG, text_of(one, "id"));
		sheet_cell(&t, INK_PLAIN, text_of(one, "peer"));
		sheet_cell(&t, INK_PLAIN, word_of(one, "table"));
		sheet_cell(&t, INK_PLAIN, text_of(one, "record_id"));
		sheet_cell(&t, INK_PLAIN, text_of(one, "attempts"));
		sheet_cell(&t, INK_FAINT, measure_age(text_of(one, "refused_at"), age));
		sheet_cell(&t, INK_PLAIN, text_of(one, "reason"));
	}
	sheet_put(&t, s);
	if (length(parked) == REPORT_PARKED_MAX)
		screen_fmt(s, INK_WARN, "only the first %d are shown", REPORT_PARKED_MAX);
	screen_line(s, INK_FAINT, "agent --retry ID|all tries again; agent --discard ID gives up: the peer keeps its own");
	sheet_free(&t);
	json_object_put(parked);
}
