/* HTML of the page. Lives here: templates, escaping, plain tables of what web/monitor.js shows in more beautiful
 * ways. Everything that is put in is escaped; a template is gone through once, so that nothing that was put in is
 * taken for a template. */
#include "app/page.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/asset.h"
#include "base/measure.h"

enum {
	NAME_MAX_BYTES = 40, /* of a word or a part in a template */
	CELL_MAX = 2000	     /* bytes of a value in a table */
};

struct page {
	struct buf *out;
	struct json_object *texts, *state, *review; /* the latter two NULL: not known */
	const char *token, *wrong;
};

/* --- escaping, words --- */

static void
put_html(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		switch (text[i]) {
		case '&':
			buf_str(out, "&amp;");
			break;
		case '<':
			buf_str(out, "&lt;");
			break;
		case '>':
			buf_str(out, "&gt;");
			break;
		case '"':
			buf_str(out, "&quot;");
			break;
		case '\'':
			buf_str(out, "&#39;");
			break;
		case '\0':
			buf_str(out, "\xef\xbf\xbd");
			break;
		default:
			buf_char(out, text[i]);
		}
}

static struct json_object *
member(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	if (o != NULL)
		(void)json_object_object_get_ex(o, name, &value);
	return value;
}

static const char *
text_of(struct json_object *o, const char *name)
{
	struct json_object *value = member(o, name);

	return value == NULL ? "" : json_object_get_string(value);
}

static void
put_text(struct page *p, const char *text)
{
	size_t len = strlen(text);

	put_html(p->out, text, len < CELL_MAX ? len : CELL_MAX);
	if (len > CELL_MAX)
		buf_str(p->out, "\xe2\x80\xa6");
}

/* A word; its {name}s are put in from values. */
static void
put_word(struct page *p, const char *key, struct json_object *values)
{
	const char *text = text_of(p->texts, key), *end;
	char name[NAME_MAX_BYTES];

	for (; *text != '\0'; text++) {
		end = *text == '{' ? strchr(text, '}') : NULL;
		if (end == NULL || end - text >= NAME_MAX_BYTES) {
			put_html(p->out, text, 1);
			continue;
		}
		(void)snprintf(name, sizeof name, "%.*s", (int)(end - text - 1), text + 1);
		put_text(p, text_of(values, name));
		text = end;
	}
}

static void
put_word_of(struct page *p, const char *prefix, const char *name, struct json_object *values)
{
	char key[2 * NAME_MAX_BYTES];

	(void)snprintf(key, sizeof key, "%s%s", prefix, name);
	put_word(p, key, values);
}

/* --- tables --- */

/* A column: its head, where its value is. An inner word: the value is a name that texts explain. */
struct column {
	const char *head;
	const char *member;
	const char *words; /* prefix, or NULL */
};

static void
put_heads(struct page *p, const struct column *columns, size_t n)
{
	buf_str(p->out, "<table><thead><tr>");
	for (size_t i = 0; i < n; i++) {
		buf_str(p->out, "<th scope=\"col\">");
		put_word(p, columns[i].head, NULL);
		buf_str(p->out, "</th>");
	}
	buf_str(p->out, "</tr></thead><tbody>");
}

static void
put_table(struct page *p, struct json_object *rows, const struct column *columns, size_t n, const char *empty)
{
	size_t count = rows == NULL ? 0 : json_object_array_length(rows);

	if (count == 0) {
		buf_str(p->out, "<p class=\"empty\">");
		put_word(p, empty, NULL);
		buf_str(p->out, "</p>");
		return;
	}
	put_heads(p, columns, n);
	for (size_t r = 0; r < count; r++) {
		struct json_object *row = json_object_array_get_idx(rows, r);

		buf_str(p->out, "<tr>");
		for (size_t i = 0; i < n; i++) {
			buf_str(p->out, "<td>");
			if (columns[i].words != NULL)
				put_word_of(p, columns[i].words, text_of(row, columns[i].member), NULL);
			else
				put_text(p, text_of(row, columns[i].member));
			buf_str(p->out, "</td>");
		}
		buf_str(p->out, "</tr>");
	}
	buf_str(p->out, "</tbody></table>");
}

#define COLUMNS(c) c, sizeof(c) / sizeof(c)[0]

/* --- parts --- */

static const char *
headline(const struct page *p)
{
	return p->state == NULL ? "unknown" : text_of(p->state, "headline");
}

static void
put_list(struct page *p, struct json_object *list, const char *words, struct json_object *values)
{
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		buf_str(p->out, "<p class=\"advice\">");
		put_word_of(p, words, json_object_get_string(json_object_array_get_idx(list, i)), values);
		buf_str(p->out, "</p>");
	}
}

static void
put_fact(struct page *p, const char *word, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	buf_str(p->out, "<dt>");
	put_word(p, word, NULL);
	buf_str(p->out, "</dt><dd>");
	put_text(p, value);
	buf_str(p->out, "</dd>");
}

/* Tables that wait for a choice: what happened, and the commands. */
static void
put_moved(struct page *p, struct json_object *list)
{
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i), *choices = member(one, "choices");
		struct json_object *values = json_object_new_object();

		json_object_object_add(values, "table", json_object_get(member(one, "table")));
		json_object_object_add(values, "what", json_object_get(member(one, member(one, "message") == NULL ? "what" : "message")));
		json_object_object_add(values, "n", json_object_get(member(one, "records")));
		buf_str(p->out, "<p class=\"advice warn\">");
		put_word(p, "tables.waiting", values);
		buf_str(p->out, "</p><ul class=\"choices\">");
		json_object_put(values);
		for (size_t k = 0; choices != NULL && k < json_object_array_length(choices); k++) {
			buf_str(p->out, "<li>");
			put_text(p, text_of(json_object_array_get_idx(choices, k), "choice"));
			buf_str(p->out, ": <code>");
			put_text(p, text_of(json_object_array_get_idx(choices, k), "command"));
			buf_str(p->out, "</code></li>");
		}
		buf_str(p->out, "</ul>");
	}
}

static void
put_facts(struct page *p, struct json_object *peer)
{
	buf_str(p->out, "<dl>");
	put_fact(p, "peer.success", text_of(peer, "last_success"));
	put_fact(p, "peer.error", text_of(peer, "last_error"));
	buf_str(p->out, "</dl>");
}

static void
put_advice(struct page *p, struct json_object *peer)
{
	static const char *const warnings[] = { "held", "held_back" };
	struct json_object *reasons = member(peer, "reasons");

	for (size_t i = 0; i < 2; i++)
		if (member(peer, warnings[i]) != NULL) {
			buf_str(p->out, "<p class=\"advice warn\">");
			put_text(p, text_of(peer, warnings[i]));
			buf_str(p->out, "</p>");
		}
	put_list(p, member(peer, "advice"), "advice.", NULL);
	put_moved(p, member(peer, "moved_tables"));
	for (size_t i = 0; reasons != NULL && i < json_object_array_length(reasons); i++) {
		buf_str(p->out, "<p class=\"advice\">");
		put_text(p, json_object_get_string(json_object_array_get_idx(reasons, i)));
		buf_str(p->out, "</p>");
	}
}

static void
put_peer(struct page *p, struct json_object *peer)
{
	const char *state = text_of(peer, "state"); /* one of our own words */

	buf_str(p->out, "<article class=\"card\"><div class=\"top\"><h3>");
	put_text(p, text_of(peer, "name"));
	buf_fmt(p->out, "</h3><span class=\"pill %s\">", state);
	put_word_of(p, "state.", state, NULL);
	buf_str(p->out, "</span></div><p class=\"big\">");
	put_text(p, text_of(peer, "pending"));
	buf_str(p->out, " <small>");
	put_word(p, "peer.pending", NULL);
	buf_str(p->out, "</small></p><p class=\"lid\">");
	put_word(p, json_object_get_boolean(member(peer, "in_step")) ? "lid.safe" : strcmp(state, "sending") == 0 ? "lid.open" : "lid.not", NULL);
	buf_str(p->out, "</p>");
	put_facts(p, peer);
	put_advice(p, peer);
	buf_str(p->out, "</article>");
}

static void
put_peers(struct page *p)
{
	struct json_object *peers = member(p->state, "peers");

	for (size_t i = 0; peers != NULL && i < json_object_array_length(peers); i++)
		put_peer(p, json_object_array_get_idx(peers, i));
}

/* --- conflicts: both versions side by side --- */

static const char *const sides[] = { "local", "remote" };

static void
put_side_head(struct page *p, struct json_object *conflict, const char *side)
{
	struct json_object *version = member(conflict, side), *values = json_object_new_object();
	const char *kept = text_of(conflict, "kept");

	buf_str(p->out, "<th scope=\"col\">");
	put_word_of(p, "conflicts.", side, NULL);
	if (strcmp(kept, side) == 0 || strcmp(kept, "both") == 0) {
		buf_str(p->out, "<span class=\"stands\"> \xc2\xb7 ");
		put_word(p, "conflicts.stands", NULL);
		buf_str(p->out, "</span>");
	}
	json_object_object_add(values, "node", json_object_get(member(version, "node")));
	json_object_object_add(values, "at", json_object_get(member(version, "changed_at")));
	buf_str(p->out, "<small>");
	put_word(p, "conflicts.who", values);
	buf_str(p->out, "</small></th>");
	json_object_put(values);
}

static void
put_side_value(struct page *p, struct json_object *conflict, struct json_object *column, const char *side)
{
	struct json_object *value = NULL;
	const char *word = NULL;

	if (json_object_get_boolean(member(member(conflict, side), "deleted")) || json_object_get_boolean(member(member(member(conflict, "file"), "gone"), side)))
		word = "conflicts.deleted";
	else if (!json_object_object_get_ex(column, side, &value))
		word = "conflicts.absent";
	else if (value == NULL)
		word = "conflicts.null";
	buf_str(p->out, word == NULL ? "<td>" : "<td><span class=\"nothing\">");
	if (word == NULL)
		put_text(p, json_object_get_string(value));
	else
		put_word(p, word, NULL);
	buf_str(p->out, word == NULL ? "</td>" : "</span></td>");
}

static void
put_column(struct page *p, struct json_object *conflict, struct json_object *column)
{
	bool both = !json_object_get_boolean(member(member(conflict, "local"), "deleted")) && !json_object_get_boolean(member(member(conflict, "remote"), "deleted"));
	bool marked = both && json_object_get_boolean(member(column, "differs"));

	buf_str(p->out, marked ? "<tr class=\"differs\"><th scope=\"row\">" : "<tr><th scope=\"row\">");
	if (member(conflict, "file") != NULL)
		put_word_of(p, "conflicts.of_", text_of(column, "name"), NULL);
	else
		put_text(p, text_of(column, "name"));
	if (marked) {
		buf_str(p->out, "<span class=\"hide\"> (");
		put_word(p, "conflicts.differs", NULL);
		buf_str(p->out, ")</span>");
	}
	buf_str(p->out, "</th>");
	for (size_t i = 0; i < 2; i++)
		put_side_value(p, conflict, column, sides[i]);
	buf_str(p->out, "</tr>");
}

static void
put_versus(struct page *p, struct json_object *conflict)
{
	struct json_object *columns = member(conflict, "columns");

	if (columns == NULL) {
		buf_str(p->out, "<p class=\"empty\">");
		put_word(p, "conflicts.large", NULL);
		buf_str(p->out, "</p>");
		return;
	}
	buf_str(p->out, "<div class=\"wide\"><table class=\"versus\"><thead><tr><th scope=\"col\">");
	put_word(p, "conflicts.column", NULL);
	buf_str(p->out, "</th>");
	for (size_t i = 0; i < 2; i++)
		put_side_head(p, conflict, sides[i]);
	buf_str(p->out, "</tr></thead><tbody>");
	for (size_t i = 0; i < json_object_array_length(columns); i++)
		put_column(p, conflict, json_object_array_get_idx(columns, i));
	buf_str(p->out, "</tbody></table></div>");
}

/* What each decision about a file does. */
static void
put_meaning(struct page *p, bool beside, struct json_object *values)
{
	buf_str(p->out, "<p class=\"meaning\">");
	put_word(p, "conflicts.file_one", values);
	if (beside) {
		buf_char(p->out, ' ');
		put_word(p, "conflicts.file_both", values);
	}
	buf_str(p->out, "</p>");
}

static void
put_conflict(struct page *p, struct json_object *conflict)
{
	bool open = json_object_get_boolean(member(conflict, "undecided"));
	struct json_object *values = json_object_new_object(), *file = member(conflict, "file");
	bool beside = member(file, "beside") != NULL;

	json_object_object_add(values, "table", json_object_get(member(conflict, "table")));
	json_object_object_add(values, "record", json_object_get(member(conflict, "record_id")));
	json_object_object_add(values, "rule", json_object_get(member(conflict, "rule")));
	json_object_object_add(values, "peer", json_object_get(member(conflict, "peer")));
	json_object_object_add(values, "at", json_object_get(member(conflict, "at")));
	json_object_object_add(values, "path", json_object_get(member(file, "path")));
	json_object_object_add(values, "tree", json_object_get(member(file, "tree")));
	json_object_object_add(values, "beside", json_object_get(member(file, "beside")));
	buf_fmt(p->out, "<details%s><summary><h3>", open ? " open" : "");
	put_word(p, file == NULL ? "conflicts.title" : "conflicts.file", values);
	buf_str(p->out, "</h3><span class=\"by\">");
	put_word(p, "conflicts.rule", values);
	buf_fmt(p->out, "</span><span class=\"pill %s\">", open ? "person" : "decided");
	put_word(p, open ? "conflicts.undecided" : "conflicts.decided", NULL);
	buf_str(p->out, "</span></summary><div>");
	put_versus(p, conflict);
	if (file != NULL)
		put_meaning(p, beside, values);
	buf_fmt(p->out, "<p><code>agent --resolve %s --keep local|remote%s</code></p></div></details>", text_of(conflict, "id"), beside ? "|both" : "");
	json_object_put(values);
}

static void
put_conflicts(struct page *p)
{
	struct json_object *list = member(p->review, "conflicts");
	size_t n = list == NULL ? 0 : json_object_array_length(list);

	if (n == 0) {
		buf_str(p->out, "<p class=\"empty\">");
		put_word(p, "conflicts.none", NULL);
		buf_str(p->out, "</p>");
	}
	for (size_t i = 0; i < n; i++)
		put_conflict(p, json_object_array_get_idx(list, i));
}

static void
put_parked(struct page *p)
{
	static const struct column columns[] = { { "parked.id", "id", NULL }, { "parked.peer", "peer", NULL }, { "parked.table", "table", NULL },
		{ "parked.record", "record_id", NULL }, { "parked.attempts", "attempts", NULL }, { "parked.reason", "reason", NULL } };

	put_table(p, member(p->review, "parked"), COLUMNS(columns), "parked.none");
}

static void
put_activity(struct page *p)
{
	static const struct column columns[] = { { "activity.at", "at", NULL }, { "activity.peer", "peer", NULL }, { "activity.direction", "direction", "activity." },
		{ "activity.records", "records", NULL }, { "activity.refused", "refused", NULL } };

	put_table(p, member(p->state, "activity"), COLUMNS(columns), "activity.none");
}

static void
put_audit(struct page *p)
{
	static const struct column columns[] = { { "audit.at", "at", NULL }, { "audit.action", "action", "audit." }, { "audit.peer", "peer", NULL },
		{ "audit.subject", "subject", NULL }, { "audit.reason", "reason", NULL }, { "audit.result", "error", NULL } };

	put_table(p, member(p->review, "audit"), COLUMNS(columns), "audit.none");
}

static void
put_stat(struct page *p, const char *name, const char *text)
{
	buf_str(p->out, "<div><dt>");
	put_word_of(p, "counts.", name, NULL);
	buf_str(p->out, "</dt><dd>");
	put_text(p, text);
	buf_str(p->out, "</dd></div>");
}

static void
put_counts(struct page *p)
{
	static const char *const sizes[] = { "queue_bytes", "conflict_bytes", "free_bytes" };
	struct json_object *counts = member(p->state, "counts"), *queue = member(counts, "queue");
	char text[MEASURE_MAX];

	if (counts == NULL) {
		buf_str(p->out, "<p class=\"empty\">");
		put_word(p, "counts.wait", NULL);
		buf_str(p->out, "</p>");
		return;
	}
	buf_str(p->out, "<dl class=\"stats\">");
	json_object_object_foreach(queue, name, n) {
		put_stat(p, name, json_object_get_string(n));
	}
	put_stat(p, "conflicts", text_of(counts, "conflicts"));
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (member(counts, sizes[i]) != NULL)
			put_stat(p, sizes[i], measure_size(json_object_get_uint64(member(counts, sizes[i])), text));
	buf_str(p->out, "</dl>");
}

/* Each replicated table, and how it travels. */
static void
put_tables(struct page *p)
{
	static const struct column columns[] = { { "counts.table", "table", NULL }, { "counts.changes", "pending", NULL }, { "tables.priority", "priority", "tables." },
		{ "tables.direction", "direction", "tables." }, { "conflicts.policy", "rule", NULL } };
	struct json_object *counts = member(p->state, "counts"), *list = member(counts, "tables"), *pending = member(counts, "pending_by_table");

	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i), *n = member(pending, text_of(one, "table"));

		json_object_object_add(one, "pending", n == NULL ? json_object_new_int(0) : json_object_get(n));
	}
	if (counts != NULL)
		put_table(p, list, COLUMNS(columns), "tables.none");
}

/* A cell with a word about the folder. */
static void
put_tree_cell(struct page *p, const char *word, struct json_object *values)
{
	buf_str(p->out, "<td>");
	put_word(p, word, values);
	buf_str(p->out, "</td>");
}

static void
add_size(struct json_object *values, const char *name, struct json_object *bytes)
{
	char text[MEASURE_MAX];

	json_object_object_add(values, name, json_object_new_string(measure_size(json_object_get_uint64(bytes), text)));
}

/* On its way: to whom, how fast, how long still; else when it was complete last. */
static void
put_transfers(struct page *p, struct json_object *list)
{
	char text[MEASURE_MAX];

	buf_str(p->out, "<td>");
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i), *values = json_object_new_object();
		const char *word = json_object_get_boolean(member(one, "moving")) ? "moving" : member(one, "last_success") != NULL ? "complete" : "never";

		json_object_object_add(values, "peer", json_object_get(member(one, "peer")));
		json_object_object_add(values, "at", json_object_get(member(one, "last_success")));
		add_size(values, "done", member(one, "bytes"));
		add_size(values, "rate", member(one, "bytes_per_second"));
		json_object_object_add(values, "left", json_object_new_string(measure_span(json_object_get_uint64(member(one, "seconds_left")), text)));
		buf_str(p->out, "<p>");
		put_word(p, member(one, "peer") == NULL ? "trees.from" : "trees.to", values);
		buf_char(p->out, ' ');
		put_word_of(p, "trees.", word, values);
		buf_str(p->out, "</p>");
		json_object_put(values);
	}
	buf_str(p->out, "</td>");
}

static const char *
tree_state(struct json_object *tree)
{
	if (text_of(tree, "held")[0] != '\0')
		return "trees.held";
	if (json_object_get_int64(member(tree, "failed")) > 0)
		return "trees.waits";
	return json_object_get_boolean(member(tree, "in_step")) ? "trees.in_step" : "trees.differs";
}

static void
put_tree(struct page *p, struct json_object *tree)
{
	add_size(tree, "size", member(tree, "bytes"));
	add_size(tree, "listed_size", member(tree, "listed_bytes"));
	add_size(tree, "pending_size", member(tree, "pending_bytes"));
	buf_str(p->out, "<tr><td>");
	put_text(p, text_of(tree, "name"));
	buf_str(p->out, "</td>");
	put_tree_cell(p, tree_state(tree), tree);
	put_tree_cell(p, "trees.files", tree);
	put_tree_cell(p, "trees.listed", tree);
	put_tree_cell(p, "trees.open", tree);
	put_transfers(p, member(tree, "transfers"));
	buf_str(p->out, "</tr>");
}

/* The upload folders, as they were counted last. */
static void
put_trees(struct page *p)
{
	static const struct column columns[] = { { "trees.name", NULL, NULL }, { "trees.state", NULL, NULL }, { "trees.here", NULL, NULL }, { "trees.list", NULL, NULL },
		{ "trees.pending", NULL, NULL }, { "trees.way", NULL, NULL } };
	struct json_object *counts = member(p->state, "counts"), *list = member(counts, "trees");
	size_t n = list == NULL ? 0 : json_object_array_length(list);

	if (n == 0) {
		buf_str(p->out, "<p class=\"empty\">");
		put_word(p, counts == NULL ? "counts.wait" : "trees.none", NULL);
		buf_str(p->out, "</p>");
		return;
	}
	put_heads(p, columns, sizeof columns / sizeof columns[0]);
	for (size_t i = 0; i < n; i++)
		put_tree(p, json_object_array_get_idx(list, i));
	buf_str(p->out, "</tbody></table>");
}

static void
put_setup(struct page *p)
{
	struct json_object *list = member(p->state, "configuration");
	static const struct column columns[] = { { "setup.option", NULL, NULL }, { "setup.value", NULL, NULL } };

	put_heads(p, columns, 2);
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		buf_str(p->out, "<tr>");
		for (size_t k = 0; k < 2; k++) {
			buf_str(p->out, "<td>");
			put_text(p, json_object_get_string(json_object_array_get_idx(json_object_array_get_idx(list, i), k)));
			buf_str(p->out, "</td>");
		}
		buf_str(p->out, "</tr>");
	}
	buf_str(p->out, "</tbody></table>");
}

static void
put_versions(struct page *p)
{
	struct json_object *versions = member(p->state, "versions");

	if (versions == NULL)
		return;
	json_object_object_foreach(versions, name, v) {
		put_text(p, name);
		buf_char(p->out, ' ');
		put_text(p, json_object_get_string(v));
		buf_char(p->out, ' ');
	}
}

static void
put_token(struct page *p)
{
	put_text(p, p->token);
}

static void
put_node(struct page *p)
{
	put_text(p, text_of(p->state, "node"));
	buf_str(p->out, p->state == NULL ? "" : " \xc2\xb7 ");
	put_text(p, text_of(p->state, "database"));
}

static void
put_hero_class(struct page *p)
{
	put_text(p, headline(p));
}

static void
put_headline(struct page *p)
{
	put_word_of(p, "headline.", headline(p), NULL);
}

static void
put_sentence(struct page *p)
{
	put_word_of(p, "sentence.", headline(p), NULL);
}

static bool
is_lid_safe(const struct page *p)
{
	return json_object_get_boolean(member(p->state, "lid_safe"));
}

static void
put_lid_class(struct page *p)
{
	buf_str(p->out, is_lid_safe(p) ? "safe" : "");
}

static void
put_lid(struct page *p)
{
	const char *is = headline(p);
	bool moving = strcmp(is, "sending") == 0 || strcmp(is, "filling") == 0;

	if (strcmp(is, "unknown") != 0 && strcmp(is, "alone") != 0)
		put_word(p, is_lid_safe(p) ? "lid.yes" : moving ? "lid.wait" : "lid.later", NULL);
}

static void
put_startup(struct page *p)
{
	struct json_object *is = member(p->state, "startup");

	if (is == NULL)
		return;
	json_object_object_add(is, "n", json_object_get(member(is, "records")));
	buf_str(p->out, "<p>");
	put_word(p, "startup.is", is);
	buf_str(p->out, "</p>");
}

/* One thing to do; values: what the word names. */
static void
put_item(struct page *p, const char *name, struct json_object *values)
{
	buf_str(p->out, "<li>");
	put_word_of(p, "todo.", name, values);
	buf_str(p->out, "</li>");
}

static void
put_peer_items(struct page *p, struct json_object *peer)
{
	static const char *const names[] = { "deletes", "held", "tables", "undecided", "parked" };
	struct json_object *advice = member(peer, "advice"), *values = json_object_new_object();

	json_object_object_add(values, "peer", json_object_get(member(peer, "name")));
	for (size_t i = 0; advice != NULL && i < json_object_array_length(advice); i++)
		for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
			if (strcmp(json_object_get_string(json_object_array_get_idx(advice, i)), names[k]) == 0) {
				json_object_object_add(values, "n", json_object_get(member(peer, names[k])));
				put_item(p, names[k], values);
			}
	json_object_put(values);
}

/* What concerns tables; the cards say what else is to be done. */
static void
put_table_items(struct page *p, struct json_object *counts)
{
	struct json_object *fresh = member(counts, "new_tables"), *triggers = member(counts, "app_triggers"), *numbering = member(counts, "numbering"),
	    *oneway = member(counts, "directions");

	if (json_object_get_int64(member(counts, "dirty_tables")) > 0)
		put_item(p, "dirty", NULL);
	for (size_t i = 0; fresh != NULL && i < json_object_array_length(fresh); i++) {
		struct json_object *values = json_object_new_object();

		json_object_object_add(values, "table", json_object_get(json_object_array_get_idx(fresh, i)));
		put_item(p, "new_table", values);
		json_object_put(values);
	}
	for (size_t i = 0; triggers != NULL && i < json_object_array_length(triggers); i++)
		put_item(p, "triggers", json_object_array_get_idx(triggers, i));
	if (numbering != NULL && json_object_array_length(numbering) > 0)
		put_item(p, "numbering", NULL);
	for (size_t i = 0; oneway != NULL && i < json_object_array_length(oneway); i++)
		put_item(p, "oneway", json_object_array_get_idx(oneway, i));
}

static void
put_tree_items(struct page *p, struct json_object *trees)
{
	for (size_t i = 0; trees != NULL && i < json_object_array_length(trees); i++) {
		struct json_object *tree = json_object_array_get_idx(trees, i);

		if (text_of(tree, "held")[0] != '\0')
			put_item(p, "tree_held", tree);
		if (json_object_get_int64(member(tree, "failed")) > 0)
			put_item(p, "tree_waits", tree);
		if (text_of(tree, "after_error")[0] != '\0')
			put_item(p, "tree_after", tree);
	}
}

static void
put_todo(struct page *p)
{
	struct json_object *peers = member(p->state, "peers");
	size_t before;

	buf_str(p->out, "<ul>");
	before = p->out->len;
	for (size_t i = 0; peers != NULL && i < json_object_array_length(peers); i++)
		put_peer_items(p, json_object_array_get_idx(peers, i));
	put_table_items(p, member(p->state, "counts"));
	put_tree_items(p, member(member(p->state, "counts"), "trees"));
	if (p->out->len == before)
		buf_cut(p->out, before - (sizeof "<ul>" - 1));
	else
		buf_str(p->out, "</ul>");
}

static void
put_wrong(struct page *p)
{
	if (p->wrong != NULL)
		put_word(p, p->wrong, NULL);
}

static const struct {
	const char *name;
	void (*put)(struct page *p);
} parts[] = {
	{ "token", put_token }, { "node", put_node }, { "hero_class", put_hero_class }, { "headline", put_headline }, { "sentence", put_sentence },
	{ "lid", put_lid }, { "lid_class", put_lid_class }, { "startup", put_startup }, { "tables", put_tables }, { "trees", put_trees },
	{ "todo", put_todo }, { "peers", put_peers }, { "conflicts", put_conflicts }, { "parked", put_parked }, { "counts", put_counts },
	{ "activity", put_activity }, { "audit", put_audit }, { "setup", put_setup }, { "versions", put_versions }, { "wrong", put_wrong },
};

/* --- templates --- */

/* What stands between the braces: a word, or with ">" a part. */
static void
put_inside(struct page *p, const char *name)
{
	if (name[0] != '>') {
		put_word(p, name, NULL);
		return;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (strcmp(parts[i].name, name + 1) == 0)
			parts[i].put(p);
}

static bool
render(struct page *p, const char *template_name, struct err *e)
{
	const struct asset *a = asset_find(template_name), *texts = asset_find("web/texts.json");
	const char *at, *open, *end;
	char name[NAME_MAX_BYTES];

	if (a == NULL || texts == NULL)
		return err_set(e, ERR_INTERNAL, "%s is not built in", template_name);
	p->texts = json_tokener_parse((const char *)texts->data);
	for (at = (const char *)a->data; (open = strstr(at, "{{")) != NULL; at = end + 2) {
		buf_put(p->out, at, (size_t)(open - at));
		end = strstr(open, "}}");
		if (end == NULL || end - open - 2 >= NAME_MAX_BYTES)
			break;
		(void)snprintf(name, sizeof name, "%.*s", (int)(end - open - 2), open + 2);
		put_inside(p, name);
	}
	buf_str(p->out, at);
	json_object_put(p->texts);
	return (p->texts != NULL && open == NULL) ? buf_check(p->out, "the page", e) : err_set(e, ERR_INTERNAL, "%s or web/texts.json is malformed", template_name);
}

bool
page_render(const char *state, const char *review, const char *token, struct buf *out, struct err *e)
{
	struct page p = { .out = out, .token = token, .state = state == NULL ? NULL : json_tokener_parse(state), .review = review == NULL ? NULL : json_tokener_parse(review) };
	bool ok = render(&p, "web/index.html", e);

	json_object_put(p.state);
	json_object_put(p.review);
	return ok;
}

bool
page_login(const char *wrong, struct buf *out, struct err *e)
{
	struct page p = { .out = out, .token = "", .wrong = wrong };

	return render(&p, "web/login.html", e);
}
