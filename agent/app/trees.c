/* The upload folders for people. Read from the lists alone: the folders themselves are not looked at. */
#include "app/trees.h"

#include <stdio.h>
#include <string.h>

#include "app/strays.h"
#include "base/measure.h"
#include "base/text.h"
#include "db/schema.h"
#include "files/after.h"
#include "files/progress.h"
#include "files/tree.h"
#include "wire/line.h"

enum {
	TREES_TEXT_MAX = 16 * 1024 * 1024,
	FAILED_SHOWN = 20, /* paths that wait, named one by one */
	PATH_SHOWN = 400
};

/* So begins what is wrong with a folder; what the brake says names none. */
#define OF_FOLDER "tree "

static const char sql_failed[] = "SELECT path, error FROM sync_file_local WHERE tree=? AND state<>'ok' ORDER BY path LIMIT ?";

struct view {
	struct db *db;
	const struct conf *conf;
	const struct conf_tree *tree;
	struct tree_state state;
	struct listing_counts n;
	char after[AFTER_ERROR_MAX]; /* how its command failed, or "" */
	bool listed; /* its list is there */
	size_t put;  /* transfers */
	bool json, orphans;
	struct buf *out;
};

/* What is to travel from here to the list, or from the list to here. */
static uint64_t
unlike(const struct view *v)
{
	return v->n.gone + v->n.changed + v->n.deletions + v->n.missing;
}

static bool
in_step(const struct view *v)
{
	return v->state.looked && v->state.held[0] == '\0' && v->n.failed == 0 && unlike(v) == 0;
}

static bool
read_view(struct view *v, struct err *e)
{
	struct listing *l = NULL;
	bool ok;

	memset(&v->n, 0, sizeof v->n);
	v->after[0] = '\0';
	ok = tree_state_read(v->db, v->tree->name, &v->state, e);
	v->listed = ok && listing_new(v->db, v->conf, v->tree, &l, e);
	if (ok && !v->listed && e->code == ERR_DB_MISSING) {
		(void)snprintf(v->state.held, sizeof v->state.held, "%s", "it has no list in the database yet: run agent --install");
		err_clear(e);
		return true;
	}
	ok = ok && v->listed && listing_count(l, &v->n, e) && after_failure(v->db, v->tree->name, v->after, e);
	listing_free(l);
	return ok;
}

static bool
needs_person(const struct view *v)
{
	return v->state.held[0] != '\0' || v->n.failed > 0 || v->after[0] != '\0';
}

/* The command after which a held folder goes on. */
static const char *
remedy(const struct view *v)
{
	if (v->state.held[0] == '\0')
		return "";
	if (strstr(v->state.held, "agent --install") != NULL)
		return "agent --install";
	return strncmp(v->state.held, OF_FOLDER, sizeof OF_FOLDER - 1) == 0 ? "agent --drain" : "agent --drain --allow-deletes";
}

static void
put_failed(struct view *v, const struct db_rows *rows, bool first)
{
	char path[PATH_SHOWN], why[PATH_SHOWN];

	if (v->json) {
		buf_str(v->out, first ? "{\"path\":" : ",{\"path\":");
		if (line_is_utf8(db_rows_text(rows, 0), db_rows_len(rows, 0)))
			line_quote(v->out, db_rows_text(rows, 0), db_rows_len(rows, 0));
		else {
			(void)text_escape(db_rows_text(rows, 0), db_rows_len(rows, 0), path, sizeof path);
			line_quote(v->out, path, strlen(path));
		}
		buf_str(v->out, ",\"why\":");
		line_quote(v->out, db_rows_text(rows, 1), db_rows_len(rows, 1));
		buf_char(v->out, '}');
		return;
	}
	(void)text_escape(db_rows_text(rows, 0), db_rows_len(rows, 0), path, sizeof path);
	(void)text_escape(db_rows_text(rows, 1), db_rows_len(rows, 1), why, sizeof why);
	buf_fmt(v->out, "  waits: %s: %s\n", path, why);
}

static bool
put_all_failed(struct view *v, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, first = true, ok;

	ok = db_query(v->db, sql_failed, DB_ARGS(db_text(v->tree->name), db_u64(FAILED_SHOWN)), &rows, e);
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		put_failed(v, rows, first);
		first = false;
	}
	db_rows_free(rows);
	return ok;
}

static void
put_number(struct buf *out, const char *name, uint64_t n)
{
	buf_fmt(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void
put_word(struct buf *out, const char *name, const char *text)
{
	buf_fmt(out, ",\"%s\":", name);
	if (text[0] == '\0')
		buf_str(out, "null");
	else
		line_quote(out, text, strlen(text));
}

/* What is missing here is known exactly, to the peer's what it said last. */
static uint64_t
seconds_left(const struct view *v, const struct progress *p)
{
	uint64_t bytes = p->peer[0] == '\0' ? v->n.to_come : p->left_bytes;

	return p->bytes_per_second == 0 ? 0 : bytes / p->bytes_per_second;
}

static bool
put_transfer_json(void *arg, const struct progress *p, struct err *e)
{
	struct view *v = arg;

	(void)e;
	buf_str(v->out, v->put++ == 0 ? "{\"peer\":" : ",{\"peer\":");
	if (p->peer[0] == '\0')
		buf_str(v->out, "null");
	else
		line_quote(v->out, p->peer, strlen(p->peer));
	buf_fmt(v->out, ",\"moving\":%s", p->moving ? "true" : "false");
	put_number(v->out, "contents", p->contents);
	put_number(v->out, "bytes", p->bytes);
	put_number(v->out, "left_contents", p->left_contents);
	put_number(v->out, "left_bytes", p->left_bytes);
	if (p->moving) {
		put_number(v->out, "bytes_per_second", p->bytes_per_second);
		put_number(v->out, "seconds_left", seconds_left(v, p));
	} else
		buf_str(v->out, ",\"bytes_per_second\":null,\"seconds_left\":null");
	put_word(v->out, "last_success", p->last_success);
	buf_char(v->out, '}');
	return true;
}

static bool
put_json(struct view *v, struct err *e)
{
	const struct strays_view strays = { v->db, v->conf, v->tree, v->orphans };
	const struct listing_counts *n = &v->n;
	bool ok;

	buf_str(v->out, "{\"name\":");
	line_quote(v->out, v->tree->name, strlen(v->tree->name));
	buf_str(v->out, ",\"path\":");
	line_quote(v->out, v->tree->path, strlen(v->tree->path));
	buf_fmt(v->out, ",\"mode\":\"%s\",\"sends\":%s,\"looked\":%s,\"held\":", v->tree->mode_text, conf_tree_sends(v->conf, v->tree) ? "true" : "false",
	    v->state.looked ? "true" : "false");
	line_quote(v->out, v->state.held, strlen(v->state.held));
	put_word(v->out, "remedy", remedy(v));
	buf_fmt(v->out, ",\"in_step\":%s", in_step(v) ? "true" : "false");
	put_number(v->out, "files", n->here);
	put_number(v->out, "bytes", n->here_bytes);
	put_number(v->out, "listed_files", n->listed);
	put_number(v->out, "listed_bytes", n->listed_bytes);
	put_number(v->out, "missing", n->missing + n->gone);
	put_number(v->out, "changed", n->changed);
	put_number(v->out, "unlisted", n->deletions);
	put_number(v->out, "pending", unlike(v));
	put_number(v->out, "pending_bytes", n->to_come);
	put_number(v->out, "failed", n->failed);
	buf_str(v->out, ",\"transfers\":[");
	v->put = 0;
	ok = progress_read(v->db, v->tree->name, put_transfer_json, v, e);
	buf_str(v->out, "],\"waiting\":[");
	ok = ok && put_all_failed(v, e);
	buf_str(v->out, "],\"after_error\":");
	line_quote(v->out, v->after, strlen(v->after));
	ok = ok && strays_put_json(&strays, v->out, e);
	buf_char(v->out, '}');
	return ok;
}

static bool
put_transfer_text(void *arg, const struct progress *p, struct err *e)
{
	struct view *v = arg;
	char size[MEASURE_MAX], left[MEASURE_MAX], rate[MEASURE_MAX], span[MEASURE_MAX], age[MEASURE_MAX];

	(void)e;
	buf_fmt(v->out, "  %s%s: last complete %s", p->peer[0] == '\0' ? "from the peers" : "to ", p->peer, measure_age(p->last_success, age));
	if (p->moving)
		buf_fmt(v->out, "; %s so far, %s left, %s/s, %s to go", measure_size(p->bytes, size), measure_size(p->peer[0] == '\0' ? v->n.to_come : p->left_bytes, left),
		    measure_size(p->bytes_per_second, rate), measure_span(seconds_left(v, p), span));
	else if (p->left_contents > 0)
		buf_fmt(v->out, "; %s left", measure_size(p->left_bytes, left));
	buf_char(v->out, '\n');
	return true;
}

static bool
put_text(struct view *v, struct err *e)
{
	const struct strays_view strays = { v->db, v->conf, v->tree, v->orphans };
	const struct listing_counts *n = &v->n;

	buf_fmt(v->out, "tree %s: %s, %s\n  %llu files here, %llu bytes; %llu in the list, %llu bytes\n", v->tree->name, v->tree->mode_text,
	    conf_tree_sends(v->conf, v->tree) ? "sends what changes here" : "takes what changes elsewhere", (unsigned long long)n->here,
	    (unsigned long long)n->here_bytes, (unsigned long long)n->listed, (unsigned long long)n->listed_bytes);
	if (v->state.held[0] != '\0')
		buf_fmt(v->out, "  held: %s\n  to go on: %s\n", v->state.held, remedy(v));
	else if (!v->state.looked)
		buf_str(v->out, "  not looked at yet: run agent --drain\n");
	if (v->after[0] != '\0')
		buf_fmt(v->out, "  the command of after failed: %s\n", v->after);
	if (unlike(v) > 0)
		buf_fmt(v->out, "  %llu files of the list are not here, %llu are here in another version, %llu are here alone\n", (unsigned long long)n->missing + n->gone,
		    (unsigned long long)n->changed, (unsigned long long)n->deletions);
	else if (in_step(v))
		buf_str(v->out, "  in step with its list\n");
	return progress_read(v->db, v->tree->name, put_transfer_text, v, e) && put_all_failed(v, e) && strays_put_text(&strays, v->out, e);
}

static bool
put_trees(struct view *v, bool *person, struct err *e)
{
	bool ok = true;

	buf_str(v->out, v->json ? "{\"trees\":[" : "");
	for (size_t i = 0; ok && i < v->conf->ntrees; i++) {
		v->tree = &v->conf->trees[i];
		ok = read_view(v, e);
		if (ok && v->json && i > 0)
			buf_char(v->out, ',');
		ok = ok && (v->json ? put_json : put_text)(v, e);
		*person = *person || needs_person(v);
	}
	buf_str(v->out, v->json ? "]}\n" : v->conf->ntrees == 0 ? "agent.conf has no [tree]\n" : "");
	return ok && buf_check(v->out, "the folders' state", e);
}

enum exit_code
trees_run(const struct cli *cli, const struct conf *conf, struct err *e)
{
	struct node_identity node;
	struct db *db = NULL;
	struct buf out;
	struct view v = { .conf = conf, .json = cli->json, .orphans = cli->orphans, .out = &out };
	bool person = false, ok;

	buf_init(&out, TREES_TEXT_MAX);
	ok = db_open(&conf->database, &db, e) && schema_enter(db, conf, &node, e);
	v.db = db;
	ok = ok && put_trees(&v, &person, e);
	if (ok && (cli->json || !cli->quiet))
		(void)fwrite(buf_cstr(&out), 1, out.len, stdout);
	buf_free(&out);
	db_close(db);
	return !ok ? cli_exit_code(e) : person ? EXIT_PERSON : EXIT_DONE;
}

bool
trees_put_json(struct db *db, const struct conf *conf, struct buf *out, uint64_t *waiting, struct err *e)
{
	struct view v = { .db = db, .conf = conf, .out = out, .json = true };
	bool ok = true;

	buf_char(out, '[');
	for (size_t i = 0; ok && i < conf->ntrees; i++) {
		v.tree = &conf->trees[i];
		buf_str(out, i > 0 ? "," : "");
		ok = read_view(&v, e) && put_json(&v, e);
		*waiting += ok && needs_person(&v);
	}
	buf_char(out, ']');
	return ok;
}

bool
trees_complain(struct db *db, const struct conf *conf, struct err *e)
{
	struct view v = { .db = db, .conf = conf };
	char line[ERR_MSG_MAX * 2];

	for (size_t i = 0; i < conf->ntrees; i++) {
		v.tree = &conf->trees[i];
		if (!tree_state_read(db, v.tree->name, &v.state, e))
			return false;
		if (v.state.held[0] == '\0')
			continue;
		if (strncmp(v.state.held, OF_FOLDER, sizeof OF_FOLDER - 1) == 0) /* it names the folder, and what to do */
			(void)snprintf(line, sizeof line, "%s", v.state.held);
		else
			(void)snprintf(line, sizeof line, "tree %s is held: %s; %s lets it go on", v.tree->name, v.state.held, remedy(&v));
		cli_complain(line);
	}
	return true;
}
