/* Building and reading messages. Lives here: every JSON object on the wire. Not here: record lines'
 * own coding (wire/line), signing (wire/sign), what anybody does about them (apply/, sync/). */
#include "config.h"

#include "wire/message.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "wire/strict.h"

enum {
	NAME_CHARACTERS = 64 /* of an identifier, as the server counts */
};

/* --- writing --- */

static void
put_pair(struct buf *out, const char *name, const char *text)
{
	char last = out->len > 0 ? out->data[out->len - 1] : '\0';

	if (last != '{')
		buf_char(out, ',');
	buf_fmt(out, "\"%s\":", name);
	line_quote(out, text, strlen(text));
}

static void
put_number(struct buf *out, const char *name, uint64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	put_pair(out, name, text);
}

static void
put_position(struct buf *out, const char *name, const struct position *p)
{
	buf_fmt(out, ",\"%s\":{", name);
	put_number(out, "epoch", p->epoch);
	put_pair(out, "stamp", p->stamp);
	buf_char(out, '}');
}

/* Text that may have been cut inside a character, or that a server quoted from a value: what is no
 * UTF-8 becomes '?', and at most max bytes are taken, whole characters. */
static void
put_plain(struct buf *out, const char *text, size_t max)
{
	for (size_t n, done = 0; *text != '\0'; text += n, done += n) {
		for (n = 1; n < 4 && text[n] != '\0' && !line_is_utf8(text, n); n++)
			;
		if (!line_is_utf8(text, n))
			n = 1;
		if (done + n > max)
			return;
		if (n == 1 && !line_is_utf8(text, 1))
			buf_char(out, '?');
		else
			buf_put(out, text, n);
	}
}

/* --- reading --- */

/* Exactly one JSON object and nothing else. Free with json_object_put. */
static bool
parse_object(const char *text, size_t len, struct json_object **out, struct err *e)
{
	struct json_tokener *tok;
	struct json_object *o;
	bool ok;

	*out = NULL;
	if (len > MESSAGE_HEADER_MAX)
		return err_set(e, ERR_LIMIT, "a message's header is longer than %d bytes", MESSAGE_HEADER_MAX);
	if (!line_is_utf8(text, len) || memchr(text, '\0', len) != NULL)
		return err_set(e, ERR_INPUT, "a message is not UTF-8 text");
	if (!strict_is_json(text, len))
		return err_set(e, ERR_INPUT, "a message is not a JSON object");
	tok = json_tokener_new_ex(STRICT_DEPTH);
	if (tok == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a message");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text, (int)len);
	ok = o != NULL && json_tokener_get_error(tok) == json_tokener_success &&
	    json_tokener_get_parse_end(tok) == len && json_object_is_type(o, json_type_object);
	json_tokener_free(tok);
	if (!ok) {
		json_object_put(o);
		return err_set(e, ERR_INPUT, "a message is not a JSON object");
	}
	*out = o;
	return true;
}

static bool
missing(const char *name, struct err *e)
{
	return err_set(e, ERR_INPUT, "a message's field \"%s\" is missing or malformed", name);
}

static bool
get_text(struct json_object *o, const char *name, char *out, size_t size, struct err *e)
{
	struct json_object *v;
	size_t len;

	if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
		return missing(name, e);
	len = (size_t)json_object_get_string_len(v);
	if (len >= size || memchr(json_object_get_string(v), '\0', len) != NULL)
		return missing(name, e);
	memcpy(out, json_object_get_string(v), len + 1);
	return true;
}

static bool
get_number(struct json_object *o, const char *name, uint64_t *out, struct err *e)
{
	char text[24];

	if (!get_text(o, name, text, sizeof text, e))
		return false;
	return mark_parse_u64(text, out) || missing(name, e);
}

/* The message's own version, which stands first. */
static bool
get_version(struct json_object *o, const char *name, struct err *e)
{
	uint64_t version;

	if (!get_number(o, name, &version, e))
		return false;
	return version == MESSAGE_VERSION || err_set(e, ERR_INPUT, "a message of version %llu; this agent knows %d", (unsigned long long)version, MESSAGE_VERSION);
}

static bool
get_bool(struct json_object *o, const char *name, bool *out, struct err *e)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_boolean))
		return missing(name, e);
	*out = json_object_get_boolean(v);
	return true;
}

static bool
get_hex(struct json_object *o, const char *name, char *out, size_t len, bool may_be_empty, struct err *e)
{
	if (!get_text(o, name, out, len + 1, e))
		return false;
	return hex_is(out, len) || (may_be_empty && out[0] == '\0') || missing(name, e);
}

static bool
get_position(struct json_object *o, const char *name, struct position *p, struct err *e)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_object))
		return missing(name, e);
	return get_number(v, "epoch", &p->epoch, e) && get_hex(v, "stamp", p->stamp, MARK_STAMP_LEN, true, e);
}

/* --- hello and welcome --- */

/* Optional: agents that do not know the field ignore it, and older ones do not send it. */
static void
put_numbering(struct buf *out, const struct numbering *n)
{
	if (n->increment == 0)
		return;
	buf_str(out, ",\"numbering\":{");
	put_number(out, "increment", n->increment);
	put_number(out, "offset", n->offset);
	put_number(out, "letter_case", n->letter_case);
	buf_char(out, '}');
}

static bool
get_numbering(struct json_object *o, struct numbering *n, struct err *e)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, "numbering", &v))
		return true;
	if (!json_object_is_type(v, json_type_object) || !get_number(v, "increment", &n->increment, e) || !get_number(v, "offset", &n->offset, e) ||
	    !get_number(v, "letter_case", &n->letter_case, e) || n->increment - 1 >= NUMBERING_MAX || n->offset - 1 >= NUMBERING_MAX || n->letter_case > 2)
		return missing("numbering", e);
	return true;
}

void
message_put_hello(struct buf *out, const struct hello *h)
{
	buf_char(out, '{');
	put_number(out, "hello", h->version);
	put_pair(out, "node", h->node);
	put_pair(out, "incarnation", h->incarnation);
	put_pair(out, "nonce", h->nonce);
	put_numbering(out, &h->numbering);
	if (h->anew[0] != '\0')
		put_pair(out, "anew", h->anew);
	if (h->filling)
		buf_str(out, ",\"filling\":true");
	if (h->links[0] != '\0')
		put_pair(out, "links", h->links);
	if (h->tells_oneway)
		put_pair(out, "one_way", h->oneway);
	buf_str(out, h->rehearsal ? ",\"rehearsal\":true}\n" : "}\n");
}

/* Optional, as numbering. */
static bool
get_anew(struct json_object *o, char out[33], struct err *e)
{
	return !json_object_object_get_ex(o, "anew", NULL) || get_hex(o, "anew", out, 32, false, e);
}

static bool
get_links(struct json_object *o, char out[RING_LINKS_MAX], struct err *e)
{
	return !json_object_object_get_ex(o, "links", NULL) || get_text(o, "links", out, RING_LINKS_MAX, e);
}

/* Optional; "" is an answer too: nothing travels one way any more. */
static bool
get_oneway(struct json_object *o, bool *tells, char out[ONEWAY_MAX], struct err *e)
{
	*tells = json_object_object_get_ex(o, "one_way", NULL);
	return !*tells || get_text(o, "one_way", out, ONEWAY_MAX, e);
}

static size_t
without_newline(const char *text, size_t len)
{
	return len > 0 && text[len - 1] == '\n' ? len - 1 : len;
}

bool
message_parse_hello(const char *text, size_t len, struct hello *h, struct err *e)
{
	struct json_object *o;
	bool ok;

	memset(h, 0, sizeof *h);
	if (!parse_object(text, without_newline(text, len), &o, e))
		return false;
	ok = get_number(o, "hello", &h->version, e) && get_text(o, "node", h->node, sizeof h->node, e) &&
	    get_hex(o, "incarnation", h->incarnation, SCHEMA_INCARNATION_LEN, false, e) &&
	    get_hex(o, "nonce", h->nonce, sizeof h->nonce - 1, false, e) && get_numbering(o, &h->numbering, e) && get_anew(o, h->anew, e) &&
	    get_links(o, h->links, e) && get_oneway(o, &h->tells_oneway, h->oneway, e) && (!json_object_object_get_ex(o, "rehearsal", NULL) || get_bool(o, "rehearsal", &h->rehearsal, e)) &&
	    (!json_object_object_get_ex(o, "filling", NULL) || get_bool(o, "filling", &h->filling, e));
	json_object_put(o);
	return ok;
}

void
message_put_welcome(struct buf *out, const struct welcome *w)
{
	buf_char(out, '{');
	put_number(out, "welcome", w->version);
	put_pair(out, "node", w->node);
	put_pair(out, "incarnation", w->incarnation);
	put_pair(out, "session", w->session);
	put_pair(out, "knows", w->knows);
	put_position(out, "cursor", &w->cursor);
	put_number(out, "clock", w->clock_us);
	put_numbering(out, &w->numbering);
	if (w->anew[0] != '\0')
		put_pair(out, "anew", w->anew);
	if (w->filling)
		buf_str(out, ",\"filling\":true");
	if (w->links[0] != '\0')
		put_pair(out, "links", w->links);
	if (w->tells_oneway)
		put_pair(out, "one_way", w->oneway);
	if (w->has_acked)
		put_position(out, "acked", &w->acked);
	buf_str(out, "}\n");
}

bool
message_parse_welcome(const char *text, size_t len, struct welcome *w, struct err *e)
{
	struct json_object *o;
	bool ok;

	memset(w, 0, sizeof *w);
	if (!parse_object(text, len, &o, e))
		return false;
	ok = get_number(o, "welcome", &w->version, e) && get_text(o, "node", w->node, sizeof w->node, e) &&
	    get_hex(o, "incarnation", w->incarnation, SCHEMA_INCARNATION_LEN, false, e) &&
	    get_text(o, "session", w->session, sizeof w->session, e) &&
	    get_hex(o, "knows", w->knows, SCHEMA_INCARNATION_LEN, true, e) &&
	    get_position(o, "cursor", &w->cursor, e) && get_number(o, "clock", &w->clock_us, e) && get_numbering(o, &w->numbering, e) && get_anew(o, w->anew, e) &&
	    (!json_object_object_get_ex(o, "filling", NULL) || get_bool(o, "filling", &w->filling, e)) && get_links(o, w->links, e) &&
	    get_oneway(o, &w->tells_oneway, w->oneway, e);
	w->has_acked = ok && json_object_object_get_ex(o, "acked", NULL);
	ok = ok && (!w->has_acked || get_position(o, "acked", &w->acked, e));
	json_object_put(o);
	return ok;
}

/* --- groups and answers --- */

void
message_put_group(struct buf *out, const struct group_header *g)
{
	buf_char(out, '{');
	put_number(out, "group", MESSAGE_VERSION);
	put_pair(out, "node", g->node);
	put_pair(out, "incarnation", g->incarnation);
	put_position(out, "base", &g->base);
	put_position(out, "upto", &g->upto);
	put_pair(out, "seen_incarnation", g->seen_incarnation);
	put_position(out, "seen", &g->seen);
	buf_fmt(out, ",\"start\":%s,\"last\":%s%s", g->start ? "true" : "false", g->last ? "true" : "false", g->follows ? ",\"follows\":true" : "");
	put_number(out, "records", g->records);
	buf_str(out, "}\n");
}

bool
message_parse_group(const char *text, size_t len, struct group_header *g, struct err *e)
{
	struct json_object *o;
	bool ok;

	memset(g, 0, sizeof *g);
	if (!parse_object(text, len, &o, e))
		return false;
	ok = get_version(o, "group", e) && get_text(o, "node", g->node, sizeof g->node, e) &&
	    get_hex(o, "incarnation", g->incarnation, SCHEMA_INCARNATION_LEN, false, e) &&
	    get_position(o, "base", &g->base, e) && get_position(o, "upto", &g->upto, e) &&
	    get_hex(o, "seen_incarnation", g->seen_incarnation, SCHEMA_INCARNATION_LEN, true, e) &&
	    get_position(o, "seen", &g->seen, e) && get_bool(o, "start", &g->start, e) && get_bool(o, "last", &g->last, e) &&
	    (!json_object_object_get_ex(o, "follows", NULL) || get_bool(o, "follows", &g->follows, e)) && get_number(o, "records", &g->records, e);
	json_object_put(o);
	if (ok && g->upto.epoch <= g->base.epoch)
		return err_set(e, ERR_INPUT, "a group that ends before it begins");
	return ok;
}

void
message_put_answer(struct buf *out, const struct answer_header *a)
{
	buf_char(out, '{');
	put_number(out, "answer", MESSAGE_VERSION);
	put_position(out, "cursor", &a->cursor);
	put_number(out, "applied", a->applied);
	put_number(out, "refused", a->refused);
	put_number(out, "floor", a->floor);
	buf_str(out, "}\n");
}

bool
message_parse_answer(const char *text, size_t len, struct answer_header *a, struct err *e)
{
	struct json_object *o;
	bool ok;

	memset(a, 0, sizeof *a);
	if (!parse_object(text, len, &o, e))
		return false;
	ok = get_version(o, "answer", e) && get_position(o, "cursor", &a->cursor, e) &&
	    get_number(o, "applied", &a->applied, e) && get_number(o, "refused", &a->refused, e) &&
	    get_number(o, "floor", &a->floor, e);
	json_object_put(o);
	return ok;
}

/* --- sections --- */

/* Left out for the rule that agents follow who do not know of rules. */
static void
put_rule(struct buf *out, const struct table *t)
{
	struct buf rule;

	if (t->policy == POLICY_NEWER && t->ncounters == 0)
		return;
	buf_init(&rule, MESSAGE_HEADER_MAX);
	table_rule(t, &rule);
	buf_str(out, ",\"rule\":");
	line_quote(out, buf_cstr(&rule), rule.len);
	out->failed = out->failed || rule.failed;
	buf_free(&rule);
}

void
message_put_section(struct buf *out, const struct table *t)
{
	buf_char(out, '{');
	put_pair(out, "table", t->name);
	buf_str(out, ",\"columns\":[");
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_str(out, i > 0 ? ",[" : "[");
		line_quote(out, t->columns[i].name, strlen(t->columns[i].name));
		buf_char(out, ',');
		line_quote(out, t->columns[i].type, strlen(t->columns[i].type));
		buf_char(out, ']');
	}
	for (size_t i = 0; i < t->nkey; i++) {
		buf_str(out, i > 0 ? "," : "],\"key\":[");
		line_quote(out, t->columns[t->key[i]].name, strlen(t->columns[t->key[i]].name));
	}
	buf_char(out, ']');
	if (t->checks != 0)
		put_number(out, "checks", t->checks);
	put_rule(out, t);
	buf_str(out, "}\n");
}

void
message_section_free(struct section *s)
{
	for (size_t i = 0; i < s->ncolumns; i++) {
		if (s->names != NULL)
			free(s->names[i]);
		if (s->types != NULL)
			free(s->types[i]);
	}
	for (size_t i = 0; i < s->nkey; i++)
		free(s->key[i]);
	free(s->names);
	free(s->types);
	free(s->key);
	free(s->rule);
	memset(s, 0, sizeof *s);
}

static bool
get_column(struct json_object *pair, struct section *s, size_t i, struct err *e)
{
	struct json_object *name, *type;

	if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
		return missing("columns", e);
	name = json_object_array_get_idx(pair, 0);
	type = json_object_array_get_idx(pair, 1);
	if (!json_object_is_type(name, json_type_string) || !json_object_is_type(type, json_type_string))
		return missing("columns", e);
	if (strlen(json_object_get_string(name)) != (size_t)json_object_get_string_len(name) ||
	    strlen(json_object_get_string(type)) != (size_t)json_object_get_string_len(type))
		return missing("columns", e);
	s->names[i] = strdup(json_object_get_string(name));
	s->types[i] = strdup(json_object_get_string(type));
	return (s->names[i] != NULL && s->types[i] != NULL) || err_set(e, ERR_MEMORY, "out of memory for a message");
}

static bool
get_columns(struct json_object *o, struct section *s, struct err *e)
{
	struct json_object *list;

	if (!json_object_object_get_ex(o, "columns", &list) || !json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) > CATALOG_COLUMNS)
		return missing("columns", e);
	s->ncolumns = json_object_array_length(list);
	s->names = calloc(s->ncolumns + 1, sizeof *s->names);
	s->types = calloc(s->ncolumns + 1, sizeof *s->types);
	if (s->names == NULL || s->types == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a message");
	for (size_t i = 0; i < s->ncolumns; i++)
		if (!get_column(json_object_array_get_idx(list, i), s, i, e))
			return false;
	return true;
}

/* May be missing: not every agent says it. */
static bool
get_key(struct json_object *o, struct section *s, struct err *e)
{
	struct json_object *list;
	size_t n;

	if (!json_object_object_get_ex(o, "key", &list))
		return true;
	if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) > CATALOG_KEY_COLUMNS)
		return missing("key", e);
	n = json_object_array_length(list);
	s->key = calloc(n + 1, sizeof *s->key);
	for (size_t i = 0; s->key != NULL && i < n; i++) {
		struct json_object *name = json_object_array_get_idx(list, i);

		if (!json_object_is_type(name, json_type_string) || strlen(json_object_get_string(name)) != (size_t)json_object_get_string_len(name))
			return missing("key", e);
		s->key[i] = strdup(json_object_get_string(name));
		if (s->key[i] == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a message");
		s->nkey++;
	}
	return s->key != NULL || err_set(e, ERR_MEMORY, "out of memory for a message");
}

/* As get_key; nor does a table without CHECKs say it. */
static bool
get_checks(struct json_object *o, struct section *s, struct err *e)
{
	return !json_object_object_get_ex(o, "checks", NULL) || get_number(o, "checks", &s->checks, e);
}

/* Can it be the name of a table at all? A longer one would not fit into our own tables either. */
static bool
is_table_name(const char *name, struct err *e)
{
	size_t characters = 0;

	for (; *name != '\0'; name++)
		characters += ((unsigned char)*name & 0xc0) != 0x80;
	return (characters > 0 && characters <= NAME_CHARACTERS) || err_set(e, ERR_INPUT, "a table's name that no table can have");
}

/* Not said: `newer`. */
static bool
get_rule(struct json_object *o, struct section *s, struct err *e)
{
	struct json_object *rule;

	if (!json_object_object_get_ex(o, "rule", &rule))
		return true;
	if (!json_object_is_type(rule, json_type_string) || strlen(json_object_get_string(rule)) != (size_t)json_object_get_string_len(rule))
		return missing("rule", e);
	s->rule = strdup(json_object_get_string(rule));
	return s->rule != NULL || err_set(e, ERR_MEMORY, "out of memory for a message");
}

bool
message_parse_section(const char *text, size_t len, struct section *s, struct err *e)
{
	struct json_object *o;
	bool ok;

	memset(s, 0, sizeof *s);
	if (!parse_object(text, len, &o, e))
		return false;
	ok = get_text(o, "table", s->table, sizeof s->table, e) && is_table_name(s->table, e) && get_columns(o, s, e) && get_key(o, s, e) && get_checks(o, s, e) && get_rule(o, s, e);
	json_object_put(o);
	if (!ok)
		message_section_free(s);
	return ok;
}

bool
message_is_header(const char *line, size_t len)
{
	return len > 0 && line[0] == '{';
}

/* --- envelopes --- */

void
message_put_envelope(struct buf *out, uint64_t piece, bool last)
{
	buf_char(out, '{');
	put_number(out, "piece", piece);
	buf_fmt(out, ",\"last\":%s}\n", last ? "true" : "false");
}

bool
message_parse_envelope(const char *body, size_t len, uint64_t *piece, bool *last, size_t *payload_at, struct err *e)
{
	const char *newline = memchr(body, '\n', len < MESSAGE_ENVELOPE_MAX ? len : MESSAGE_ENVELOPE_MAX);
	struct json_object *o;
	bool ok;

	if (newline == NULL)
		return err_set(e, ERR_INPUT, "a body without its envelope line");
	if (!parse_object(body, (size_t)(newline - body), &o, e))
		return false;
	ok = get_number(o, "piece", piece, e) && get_bool(o, "last", last, e);
	json_object_put(o);
	*payload_at = (size_t)(newline - body) + 1;
	return ok;
}

/* --- records --- */

/* What is seldom there stands in one JSON object in a string, null when it is empty. */
static void
put_meta(struct buf *line, const struct record_meta *m)
{
	struct buf meta;

	if (m->origin == NULL && m->via == NULL && m->old_key == NULL && m->columns == NULL && m->difference == NULL && !m->weak &&
	    !m->has_seen && !m->has_children && !m->whole) {
		line_null(line);
		return;
	}
	buf_init(&meta, MESSAGE_HEADER_MAX);
	buf_char(&meta, '{');
	if (m->origin != NULL)
		put_pair(&meta, "node", m->origin);
	if (m->via != NULL)
		put_pair(&meta, "via", m->via);
	if (m->whole)
		put_pair(&meta, "whole", "1");
	if (m->has_seen)
		put_number(&meta, "seen", m->seen);
	if (m->has_children)
		put_number(&meta, "children", m->children);
	if (m->weak)
		put_pair(&meta, "weak", "1");
	if (m->columns != NULL)
		put_pair(&meta, "columns", m->columns);
	if (m->difference != NULL)
		put_pair(&meta, "difference", m->difference);
	if (m->old_key != NULL) { /* in hexadecimal: a key need not be UTF-8 */
		buf_str(&meta, meta.len > 1 ? ",\"old\":\"" : "\"old\":\"");
		buf_hex(&meta, m->old_key, m->old_key_len);
		buf_char(&meta, '"');
	}
	buf_char(&meta, '}');
	if (meta.failed)
		line->failed = true;
	else
		line_text(line, meta.data, meta.len);
	buf_free(&meta);
}

void
message_put_record(struct buf *line, const struct record_meta *m)
{
	line_begin(line);
	line_text(line, &m->operation, 1);
	line_text(line, m->key, m->key_len);
	if (m->operation == 'o')
		return;
	line_text(line, m->changed_at, strlen(m->changed_at));
	put_meta(line, m);
}

static bool
parse_old_key(struct json_object *old, char *to, struct record_meta *m, struct err *e)
{
	const char *hex = json_object_get_string(old);
	size_t len = json_object_is_type(old, json_type_string) ? (size_t)json_object_get_string_len(old) : 1;

	if (len % 2 != 0 || !hex_read(hex, len / 2, to))
		return missing("old", e);
	to[len / 2] = '\0';
	m->old_key = to;
	m->old_key_len = len / 2;
	return true;
}

/* "name":"1" or nothing. */
static bool
parse_flag(struct json_object *o, const char *name, bool *flag, struct err *e)
{
	char text[2];

	*flag = json_object_object_get_ex(o, name, NULL);
	return !*flag || (get_text(o, name, text, sizeof text, e) && strcmp(text, "1") == 0) || missing(name, e);
}

/* A text of any length, if it is there, copied to *to, which moves behind it. */
static bool
parse_long(struct json_object *o, const char *name, char **to, const char **out, size_t *len, struct err *e)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, name, &v))
		return true;
	if (!json_object_is_type(v, json_type_string) || strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
		return missing(name, e);
	*len = (size_t)json_object_get_string_len(v);
	*out = memcpy(*to, json_object_get_string(v), *len + 1);
	*to += *len + 1;
	return true;
}

/* The strings of the meta object are copied back over its own text, which is long enough. */
static bool
parse_meta(const struct line_value *v, struct record_meta *m, struct err *e)
{
	struct json_object *o, *old;
	char *to = v->data, text[CONF_NAME_MAX + 1];
	size_t len;
	bool ok = true;

	if (!parse_object(v->data, v->len, &o, e))
		return false;
	if (json_object_object_get_ex(o, "node", NULL) && (ok = get_text(o, "node", text, sizeof text, e))) {
		m->origin = memcpy(to, text, strlen(text) + 1);
		to += strlen(text) + 1;
	}
	if (ok && json_object_object_get_ex(o, "via", NULL) && (ok = get_text(o, "via", text, sizeof text, e))) {
		m->via = memcpy(to, text, strlen(text) + 1);
		to += strlen(text) + 1;
	}
	ok = ok && parse_flag(o, "whole", &m->whole, e) && parse_flag(o, "weak", &m->weak, e) &&
	    parse_long(o, "columns", &to, &m->columns, &m->columns_len, e) && parse_long(o, "difference", &to, &m->difference, &len, e);
	m->has_seen = ok && json_object_object_get_ex(o, "seen", NULL);
	if (m->has_seen)
		ok = get_number(o, "seen", &m->seen, e);
	m->has_children = ok && json_object_object_get_ex(o, "children", NULL);
	if (m->has_children)
		ok = get_number(o, "children", &m->children, e);
	if (ok && json_object_object_get_ex(o, "old", &old))
		ok = parse_old_key(old, to, m, e);
	json_object_put(o);
	return ok;
}

/* Two digits. */
static unsigned
pair_of(const char *digits)
{
	return (unsigned)(digits[0] - '0') * 10 + (unsigned)(digits[1] - '0');
}

/* Is there such a moment, and does a TIMESTAMP hold it? What does not would fail at every try. */
static bool
is_moment(const char *t)
{
	static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned year = pair_of(t) * 100 + pair_of(t + 2), month = pair_of(t + 5), day = pair_of(t + 8);
	bool leap = year % 4 == 0; /* 2000 is one, and no other hundred is within */

	if (strncmp(t, "1970-01-01 00:00:01", 19) < 0 || strncmp(t, "2038-01-19 03:14:07", 19) > 0)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days[month - 1] + (month == 2 && leap))
		return false;
	return pair_of(t + 11) < 24 && pair_of(t + 14) < 60 && pair_of(t + 17) < 60;
}

/* "2026-11-21 02:03:04.123456": versions compare as text, so the form must be exact. */
static bool
is_time(const struct line_value *v)
{
	static const char form[] = "dddd-dd-dd dd:dd:dd.dddddd";

	if (v->data == NULL || v->len != QUEUE_TIME_LEN)
		return false;
	for (size_t i = 0; i < QUEUE_TIME_LEN; i++)
		if (form[i] == 'd' ? v->data[i] < '0' || v->data[i] > '9' : v->data[i] != form[i])
			return false;
	return is_moment(v->data);
}

bool
message_parse_record(const struct line_value *values, size_t n, struct record_meta *m, struct err *e)
{
	memset(m, 0, sizeof *m);
	if (n < 2 || values[0].data == NULL || values[0].len != 1 || values[1].data == NULL ||
	    memchr("iudo", values[0].data[0], 4) == NULL)
		return err_set(e, ERR_INPUT, "a record line without operation and key");
	m->operation = values[0].data[0];
	m->key = values[1].data;
	m->key_len = values[1].len;
	if (m->operation == 'o')
		return n == 2 || err_set(e, ERR_INPUT, "an owed record with values");
	if (n < RECORD_FIXED || !is_time(&values[2]))
		return err_set(e, ERR_INPUT, "a record line without its time");
	m->changed_at = values[2].data;
	return values[3].data == NULL || parse_meta(&values[3], m, e);
}

/* --- refusals --- */

void
message_put_refusal(struct buf *out, const struct refusal *r)
{
	struct buf reason;

	buf_init(&reason, MESSAGE_REASON_MAX);
	put_plain(&reason, r->reason, MESSAGE_REASON_MAX);
	line_begin(out);
	line_text(out, r->table, strlen(r->table));
	line_text(out, r->key, r->key_len);
	line_text(out, r->counted ? "refused" : "waiting", 7);
	line_text(out, buf_cstr(&reason), reason.len);
	line_end(out);
	out->failed = out->failed || reason.failed;
	buf_free(&reason);
}

bool
message_parse_refusal(char *line, size_t len, struct refusal *r, struct err *e)
{
	struct line_value v[4];
	size_t n;

	if (!line_parse(line, len, v, 4, &n, e))
		return false;
	if (n != 4 || v[0].data == NULL || v[1].data == NULL || v[2].data == NULL || v[3].data == NULL ||
	    strlen(v[0].data) != v[0].len || strlen(v[2].data) != v[2].len || strlen(v[3].data) != v[3].len ||
	    (strcmp(v[2].data, "refused") != 0 && strcmp(v[2].data, "waiting") != 0))
		return err_set(e, ERR_INPUT, "malformed refusal in an answer");
	*r = (struct refusal){ v[0].data, v[1].data, v[1].len, v[3].data, strcmp(v[2].data, "refused") == 0 };
	return true;
}

/* --- errors --- */

void
message_put_error(struct buf *out, const char *code, const char *text, const struct position *cursor)
{
	struct buf plain;

	buf_init(&plain, MESSAGE_REASON_MAX);
	put_plain(&plain, text, MESSAGE_REASON_MAX);
	buf_char(out, '{');
	put_pair(out, "error", code);
	put_pair(out, "message", buf_cstr(&plain));
	buf_free(&plain);
	if (cursor != NULL)
		put_position(out, "cursor", cursor);
	buf_str(out, "}\n");
}

/* As get_text, but what is too long is cut. */
static bool
get_cut(struct json_object *o, const char *name, char *out, size_t size, struct err *e)
{
	struct json_object *v;
	size_t len;

	if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
		return missing(name, e);
	len = (size_t)json_object_get_string_len(v);
	if (memchr(json_object_get_string(v), '\0', len) != NULL)
		return missing(name, e);
	if (len >= size)
		for (len = size - 1; len > 0 && !line_is_utf8(json_object_get_string(v), len); len--)
			;
	memcpy(out, json_object_get_string(v), len);
	out[len] = '\0';
	return true;
}

bool
message_parse_error(const char *text, size_t len, struct message_error *m, struct err *e)
{
	const char *newline = memchr(text, '\n', len);
	struct json_object *o;
	bool ok;

	memset(m, 0, sizeof *m);
	if (!parse_object(text, newline == NULL ? len : (size_t)(newline - text), &o, e))
		return false;
	ok = get_cut(o, "error", m->code, sizeof m->code, e) && get_cut(o, "message", m->text, sizeof m->text, e);
	m->has_cursor = ok && json_object_object_get_ex(o, "cursor", NULL);
	if (m->has_cursor)
		ok = get_position(o, "cursor", &m->cursor, e);
	json_object_put(o);
	return ok;
}
