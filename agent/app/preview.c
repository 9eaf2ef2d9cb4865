/* The preview of a drain for people and programs. Lives here: counting, printing. Not here: building the group and
 * asking the peer (sync/drain), judging it there (apply/rehearse). */
#include "app/preview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "change/moved.h"
#include "change/peer.h"
#include "db/schema.h"

enum {
	OUT_MAX = 256 * 1024 * 1024,
	SHOWN = 128
};

struct counts {
	uint64_t inserts, updates, deletes, bytes;
};

struct table_count {
	char *name;
	struct counts now, kept; /* with the group that is being built, and before it */
};

struct preview {
	const struct cli *cli;
	const struct conf_peer *peer;
	struct table_count *tables;
	size_t ntables;
	uint64_t records, kept; /* with the group that is being built, and before it */
	size_t list_kept; /* the list's length before it */
	bool failed; /* no memory */
	struct buf list; /* records, as they are printed */
	struct buf open; /* tables that wait and records that are owed */
	size_t nopen;
	struct drain_preview found;
};

/* --- gathering --- */

static void
forget_tables(struct preview *p)
{
	for (size_t i = 0; i < p->ntables; i++)
		free(p->tables[i].name);
	free(p->tables);
	p->tables = NULL;
	p->ntables = 0;
}

static void
begin(void *arg)
{
	struct preview *p = arg;

	for (size_t i = 0; i < p->ntables; i++)
		p->tables[i].now = p->tables[i].kept;
	p->records = p->kept;
	p->list.len = p->list_kept;
}

static void
keep(void *arg)
{
	struct preview *p = arg;

	for (size_t i = 0; i < p->ntables; i++)
		p->tables[i].kept = p->tables[i].now;
	p->kept = p->records;
	p->list_kept = p->list.len;
}

static uint64_t
lost(const char *table, void *arg)
{
	const struct preview *p = arg;

	for (size_t i = 0; i < p->ntables; i++)
		if (strcmp(p->tables[i].name, table) == 0)
			return p->tables[i].kept.deletes;
	return 0;
}

/* Records of a table come in runs: the last one is nearly always it. */
static struct table_count *
count_of(struct preview *p, const char *table)
{
	struct table_count *grown;

	for (size_t i = p->ntables; i-- > 0;)
		if (strcmp(p->tables[i].name, table) == 0)
			return &p->tables[i];
	grown = realloc(p->tables, (p->ntables + 1) * sizeof *grown);
	if (grown == NULL)
		return NULL;
	p->tables = grown;
	grown[p->ntables] = (struct table_count){ .name = strdup(table) };
	return grown[p->ntables].name == NULL ? NULL : &grown[p->ntables++];
}

static void
put_member(struct buf *out, const char *name, const char *text, size_t len)
{
	buf_fmt(out, "%s\"%s\":", out->len > 0 && out->data[out->len - 1] == '{' ? "" : ",", name);
	if (text == NULL)
		buf_str(out, "null");
	else
		line_quote(out, text, len);
}

static void
put_member_text(struct buf *out, const char *name, const char *text)
{
	put_member(out, name, text, text == NULL ? 0 : strlen(text));
}

static void
put_shown(struct buf *out, const char *text, size_t len)
{
	char shown[SHOWN * 2];

	(void)text_escape(text, len, shown, sizeof shown);
	buf_str(out, shown);
}

static void
take_record(const char *table, const struct record_meta *m, size_t bytes, void *arg)
{
	struct preview *p = arg;
	struct table_count *to = count_of(p, table);
	const char *operation = m->operation == 'i' ? "insert" : m->operation == 'd' ? "delete" : "update";

	if (to == NULL) {
		p->failed = true;
		return;
	}
	to->now.bytes += bytes;
	*(m->operation == 'i' ? &to->now.inserts : m->operation == 'd' ? &to->now.deletes : &to->now.updates) += 1;
	if (p->records++ >= PREVIEW_LISTED || (!p->cli->json && !p->cli->verbose))
		return;
	if (p->cli->json) {
		buf_str(&p->list, p->list.len > 0 ? ",{" : "{");
		put_member_text(&p->list, "operation", operation);
		put_member_text(&p->list, "table", table);
		put_member(&p->list, "record_id", m->key, m->key_len);
		buf_char(&p->list, '}');
		return;
	}
	buf_fmt(&p->list, "    %s %s ", operation, table);
	put_shown(&p->list, m->key, m->key_len);
	buf_char(&p->list, '\n');
}

/* --- what is not sent --- */

static bool
put_moved(const struct moved *m, void *arg, struct err *e)
{
	struct preview *p = arg;

	(void)e;
	if (p->cli->json) {
		buf_str(&p->open, p->nopen++ > 0 ? ",{" : "{");
		put_member_text(&p->open, "table", m->table);
		put_member_text(&p->open, "record_id", NULL);
		put_member_text(&p->open, "state", m->state);
		put_member_text(&p->open, "reason", m->message != NULL ? m->message : m->reason);
		buf_char(&p->open, '}');
		return true;
	}
	buf_str(&p->open, "  not sent: ");
	moved_put_sentence(&p->open, m);
	buf_char(&p->open, '\n');
	return true;
}

static bool
put_owed(const struct owed *o, void *arg, struct err *e)
{
	struct preview *p = arg;
	bool again = strcmp(o->state, "retry") == 0 || strcmp(o->state, "waiting") == 0;

	(void)e;
	if (p->nopen++ >= PREVIEW_LISTED)
		return true;
	if (p->cli->json) {
		buf_str(&p->open, p->nopen > 1 ? ",{" : "{");
		put_member_text(&p->open, "table", o->table);
		put_member(&p->open, "record_id", o->key, o->key_len);
		put_member_text(&p->open, "state", o->state);
		put_member_text(&p->open, "reason", o->last_error);
		buf_char(&p->open, '}');
		return true;
	}
	buf_fmt(&p->open, "  %s: table %s record ", again ? "refused before, sent again" : o->state, o->table);
	put_shown(&p->open, o->key, o->key_len);
	buf_fmt(&p->open, ": %s\n", o->last_error == NULL ? "" : o->last_error);
	return true;
}

static bool
read_open(struct preview *p, const struct conf *conf, struct err *e)
{
	struct node_identity node;
	struct db *db = NULL;
	bool ok;

	ok = db_open(&conf->database, &db, e) && schema_enter(db, conf, &node, e) && moved_visit(db, p->peer->name, put_moved, p, e) &&
	    owed_visit(db, p->peer->name, put_owed, p, e);
	db_close(db);
	return ok;
}

/* --- what the peer says --- */

static void
put_finding(struct buf *out, const struct rehearsal_finding *f, const char *peer)
{
	bool conflict = strcmp(f->kind, "conflict") == 0;

	buf_fmt(out, "  %s: table %s record ", conflict ? "conflict" : strcmp(f->kind, "refused") == 0 ? "would be refused" : "would wait", f->table);
	put_shown(out, f->key, f->key_len);
	if (!conflict) {
		buf_fmt(out, ": %s\n", f->reason);
		return;
	}
	buf_fmt(out, ": %s of %s here, %s of %s there: ", f->remote_node, f->remote_changed_at, f->local_node, f->local_changed_at);
	if (strcmp(f->verdict, "ask") == 0)
		buf_fmt(out, "a person decides (%s)\n", f->rule);
	else if (strcmp(f->verdict, "merge") == 0)
		buf_fmt(out, "both are merged (%s)\n", f->rule);
	else
		buf_fmt(out, "%s would stay (%s)\n", strcmp(f->verdict, "apply") == 0 ? "this one" : peer, f->rule);
}

static void
put_finding_json(struct buf *out, const struct rehearsal_finding *f)
{
	buf_char(out, '{');
	put_member_text(out, "kind", f->kind);
	put_member_text(out, "table", f->table);
	put_member(out, "record_id", f->key, f->key_len);
	put_member_text(out, "reason", f->reason);
	/* Seen from here: what is remote there is ours. */
	put_member_text(out, "verdict", f->verdict);
	put_member_text(out, "rule", f->rule);
	put_member_text(out, "here_changed_at", f->remote_changed_at);
	put_member_text(out, "here_node", f->remote_node);
	put_member_text(out, "there_changed_at", f->local_changed_at);
	put_member_text(out, "there_node", f->local_node);
	buf_char(out, '}');
}

/* *person: one of them needs somebody. */
static bool
put_findings(struct preview *p, struct buf *out, bool *person, struct err *e)
{
	char *at = p->found.lines.data, *end = at + p->found.lines.len;
	bool first = true;

	while (at < end) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		struct rehearsal_finding f;

		if (newline == NULL)
			return err_set(e, ERR_INPUT, "the answer of peer %s ends in the middle of a line", p->peer->name);
		if (!rehearsal_parse_finding(at, (size_t)(newline - at), &f, e))
			return false;
		*person = *person || (f.verdict != NULL && strcmp(f.verdict, "ask") == 0);
		if (p->cli->json) {
			buf_str(out, first ? "" : ",");
			put_finding_json(out, &f);
		} else
			put_finding(out, &f, p->peer->name);
		first = false;
		at = newline + 1;
	}
	return true;
}

/* --- printing --- */

/* " in 3 groups", where it is more than one. */
static const char *
in_groups(const struct drain_preview *f, char text[SHOWN])
{
	text[0] = '\0';
	if (f->groups > 1)
		(void)snprintf(text, SHOWN, " in %llu groups", (unsigned long long)f->groups);
	return text;
}

static bool
put_text(struct preview *p, struct buf *out, bool *person, struct err *e)
{
	const struct drain_preview *f = &p->found;
	char groups[SHOWN];

	buf_fmt(out, "to peer %s%s: ", p->peer->name, p->peer->paused ? " (paused)" : "");
	if (p->records == 0)
		buf_str(out, "nothing\n");
	else
		buf_fmt(out, "%llu records, %llu bytes%s\n", (unsigned long long)p->records, (unsigned long long)f->bytes, in_groups(f, groups));
	for (size_t i = 0; i < p->ntables; i++) {
		const struct counts *t = &p->tables[i].kept;

		buf_fmt(out, "  %s: %llu records: %llu inserts, %llu updates, %llu deletes, %llu bytes uncompressed\n", p->tables[i].name,
		    (unsigned long long)t->inserts + t->updates + t->deletes, (unsigned long long)t->inserts, (unsigned long long)t->updates,
		    (unsigned long long)t->deletes, (unsigned long long)t->bytes);
	}
	buf_put(out, p->list.data, p->list.len);
	if (p->records > PREVIEW_LISTED && p->list.len > 0)
		buf_fmt(out, "    and %llu more\n", (unsigned long long)(p->records - PREVIEW_LISTED));
	buf_put(out, p->open.data, p->open.len);
	if (f->over[0] != '\0')
		buf_fmt(out, "  HELD BACK: %s: --allow-deletes lets it go\n", f->over);
	if (f->why_not.msg[0] != '\0')
		buf_fmt(out, "  the peer was not asked%s: %s\n", f->asked ? " about the rest" : "", f->why_not.msg);
	if (!f->asked)
		return true;
	buf_fmt(out, "  peer %s looked at %llu of them%s: %llu conflicts, %llu would not be taken\n", p->peer->name, (unsigned long long)f->head.judged,
	    f->head.all ? "" : " (time was up)", (unsigned long long)f->head.conflicts, (unsigned long long)f->head.refused);
	return put_findings(p, out, person, e);
}

static bool
put_json(struct preview *p, struct buf *out, bool *person, struct err *e)
{
	const struct drain_preview *f = &p->found;
	bool ok = true;

	buf_fmt(out, "\"paused\":%s,\"count\":%llu,\"bytes\":%llu,\"groups\":%llu,\"records\":{", p->peer->paused ? "true" : "false", (unsigned long long)p->records,
	    (unsigned long long)f->bytes, (unsigned long long)f->groups);
	for (size_t i = 0; i < p->ntables; i++) {
		buf_str(out, i > 0 ? "," : "");
		line_quote(out, p->tables[i].name, strlen(p->tables[i].name));
		buf_fmt(out, ":%llu", (unsigned long long)p->tables[i].kept.inserts + p->tables[i].kept.updates + p->tables[i].kept.deletes);
	}
	buf_str(out, "},\"tables\":[");
	for (size_t i = 0; i < p->ntables; i++) {
		const struct counts *t = &p->tables[i].kept;

		buf_str(out, i > 0 ? ",{" : "{");
		put_member_text(out, "table", p->tables[i].name);
		buf_fmt(out, ",\"inserts\":%llu,\"updates\":%llu,\"deletes\":%llu,\"bytes\":%llu}", (unsigned long long)t->inserts, (unsigned long long)t->updates,
		    (unsigned long long)t->deletes, (unsigned long long)t->bytes);
	}
	buf_str(out, "],\"list\":[");
	buf_put(out, p->list.data, p->list.len);
	buf_str(out, "],\"open\":[");
	buf_put(out, p->open.data, p->open.len);
	buf_char(out, ']');
	put_member_text(out, "deletions_held", f->over[0] == '\0' ? NULL : f->over);
	buf_fmt(out, ",\"asked\":%s", f->asked ? "true" : "false");
	put_member_text(out, "not_asked", f->why_not.msg[0] == '\0' ? NULL : f->why_not.msg);
	if (f->asked) {
		buf_fmt(out, ",\"judged\":%llu,\"judged_all\":%s,\"conflicts\":%llu,\"refused\":%llu,\"findings\":[", (unsigned long long)f->head.judged, f->head.all ? "true" : "false",
		    (unsigned long long)f->head.conflicts, (unsigned long long)f->head.refused);
		ok = put_findings(p, out, person, e);
		buf_char(out, ']');
	}
	return ok;
}

/* Nothing has happened: what is needed of a person, or that the peer could not be asked. */
static enum exit_code
outcome(const struct preview *p, bool person)
{
	if (person || p->found.over[0] != '\0')
		return EXIT_PERSON;
	return p->found.why_not.code == ERR_NONE || p->peer->paused ? EXIT_DONE : cli_exit_code(&p->found.why_not);
}

/* Line by line: names and reasons come from databases and the peer. */
static void
print_text(const struct cli *cli, const struct buf *text)
{
	struct screen s;
	struct err e;

	if (cli->quiet)
		return;
	screen_init(&s, cli->colour, OUT_MAX);
	for (const char *line = buf_cstr(text); *line != '\0';) {
		size_t indent = strspn(line, " "), len = strcspn(line + indent, "\n");
		const struct screen_item item = { .indent = indent, .column = indent };

		screen_item_fmt(&s, &item, "%.*s", (int)len, line + indent);
		line += indent + len;
		line += *line == '\n';
	}
	if (!screen_print(&s, &e))
		cli_complain(e.msg);
	screen_free(&s);
}

enum exit_code
preview_peer(const struct cli *cli, const struct conf *conf, struct drain *d, const struct conf_peer *peer, struct err *e)
{
	struct preview p = { .cli = cli, .peer = peer };
	const struct group_watch watch = { begin, take_record, keep, lost, &p };
	bool person = false, ok;
	enum exit_code code;
	struct buf out;

	buf_init(&out, OUT_MAX);
	buf_init(&p.list, OUT_MAX);
	buf_init(&p.open, OUT_MAX);
	if (cli->json)
		buf_fmt(&out, "{\"name\":\"%s\",", peer->name);
	ok = drain_preview(d, &watch, &p.found, e) && (!p.failed || err_set(e, ERR_MEMORY, "out of memory for a preview")) && read_open(&p, conf, e) &&
	    (cli->json ? put_json : put_text)(&p, &out, &person, e) && buf_check(&p.list, "a preview", e) && buf_check(&p.open, "a preview", e);
	code = ok ? outcome(&p, person) : cli_exit_code(e);
	if (cli->json && !ok) {
		buf_reset(&out);
		buf_fmt(&out, "{\"name\":\"%s\"", peer->name);
		put_member_text(&out, "error", e->msg);
	}
	if (cli->json)
		buf_fmt(&out, ",\"exit_code\":%d}", (int)code);
	if (cli->json)
		(void)fwrite(buf_cstr(&out), 1, out.len, stdout);
	else
		print_text(cli, &out);
	if (ok && code == EXIT_PEER)
		*e = p.found.why_not;
	forget_tables(&p);
	buf_free(&p.found.lines);
	buf_free(&p.list);
	buf_free(&p.open);
	buf_free(&out);
	return code;
}
