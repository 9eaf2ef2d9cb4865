/* Actions of the page. Lives here: parsing, the order of the steps, the audit. Not here: what retrying, deciding or
 * allowing does (app/parked, apply/inbox, change/allowance), sending (the daemon's threads). */
#include "app/action.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/audit.h"
#include "app/edit.h"
#include "app/parked.h"
#include "apply/inbox.h"
#include "base/log.h"
#include "capture/guard.h"
#include "change/allowance.h"
#include "files/beneath.h"
#include "files/beside.h"
#include "files/tend.h"
#include "wire/line.h"

enum {
	JSON_DEPTH = 4,
	FOLLOW_MS = 2000 /* how long a folder that somebody else works on is waited for */
};

/* Members: which a kind must have (m), may have (o). */
enum member { M_ID, M_PEER, M_KEEP, M_TABLE, M_RULE, M_REASON, MEMBERS };
static const char *const member_names[MEMBERS] = { "id", "peer", "keep", "table", "rule", "reason" };
static const struct {
	const char *name;
	const char *members; /* one letter for each of MEMBERS */
} kinds[] = {
	[ACTION_RESOLVE] = { "resolve", "m-m---" },
	[ACTION_RESOLVE_MANY] = { "resolve_many", "-omoo-" },
	[ACTION_RETRY] = { "retry", "mo----" },
	[ACTION_DISCARD] = { "discard", "mm---m" },
	[ACTION_ALLOW] = { "allow", "-m----" },
	[ACTION_DRAIN] = { "drain", "------" },
	[ACTION_PAUSE] = { "pause", "-m----" },
	[ACTION_RESUME] = { "resume", "-m----" },
};
static const char *const keep_names[] = { [ACTION_KEEP_LOCAL] = "local", [ACTION_KEEP_REMOTE] = "remote", [ACTION_KEEP_NEWER] = "newer", [ACTION_KEEP_BOTH] = "both" };
enum { KEEPS = sizeof keep_names / sizeof keep_names[0] };
static_assert(sizeof "m-m---" == MEMBERS + 1, "a letter for each member");

/* --- parsing --- */

static bool
take_text(const char *name, struct json_object *value, char *out, size_t size, struct err *e)
{
	const char *text = json_object_get_string(value);
	size_t len = (size_t)json_object_get_string_len(value);

	if (!json_object_is_type(value, json_type_string) || len == 0 || len >= size || strlen(text) != len)
		return err_set(e, ERR_INPUT, "%s is no text of 1 to %zu bytes", name, size - 1);
	(void)snprintf(out, size, "%s", text);
	return true;
}

static bool
take_keep(struct json_object *value, enum action_kind kind, enum action_keep *out, struct err *e)
{
	enum action_keep other = kind == ACTION_RESOLVE ? ACTION_KEEP_NEWER : ACTION_KEEP_BOTH; /* the one that it does not know */

	for (int i = 0; i < KEEPS && json_object_is_type(value, json_type_string); i++)
		if (i != (int)other && strcmp(json_object_get_string(value), keep_names[i]) == 0) {
			*out = (enum action_keep)i;
			return true;
		}
	return err_set(e, ERR_INPUT, "keep is local, remote or %s", kind == ACTION_RESOLVE ? "both" : "newer");
}

static bool
take_id(struct json_object *value, bool all, uint64_t *out, struct err *e)
{
	int64_t n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;

	*out = (uint64_t)n;
	return n > 0 || (n == 0 && all) || err_set(e, ERR_INPUT, "id is no number of a record");
}

static bool
take_member(struct action *a, int member, struct json_object *value, struct err *e)
{
	switch (member) {
	case M_ID:
		return take_id(value, a->kind == ACTION_RETRY, &a->id, e);
	case M_PEER:
		return take_text("peer", value, a->peer, sizeof a->peer, e);
	case M_KEEP:
		return take_keep(value, a->kind, &a->keep, e);
	case M_TABLE:
		return take_text("table", value, a->table, sizeof a->table, e);
	case M_RULE:
		return take_text("rule", value, a->rule, sizeof a->rule, e);
	default:
		return take_text("reason", value, a->reason, sizeof a->reason, e);
	}
}

static bool
take_members(struct action *a, struct json_object *o, struct err *e)
{
	int known = 0;

	for (int m = 0; m < MEMBERS; m++) {
		struct json_object *value;
		char want = kinds[a->kind].members[m];
		bool there = json_object_object_get_ex(o, member_names[m], &value);

		if (want == 'm' && !there)
			return err_set(e, ERR_INPUT, "%s is missing", member_names[m]);
		if (want == '-' || !there)
			continue;
		known++;
		if (!take_member(a, m, value, e))
			return false;
	}
	return known == json_object_object_length(o) || err_set(e, ERR_INPUT, "there is a member that %s does not know", kinds[a->kind].name);
}

bool
action_parse(enum action_kind kind, const char *body, size_t len, struct action *out, struct err *e)
{
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);
	struct json_object *o;
	bool ok;

	memset(out, 0, sizeof *out);
	out->kind = kind;
	if (tok == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for an action");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, body, (int)len);
	ok = (o != NULL && json_tokener_get_parse_end(tok) == len && json_object_is_type(o, json_type_object)) ||
	    err_set(e, ERR_INPUT, "the body is no JSON object");
	ok = ok && take_members(out, o, e);
	json_object_put(o);
	json_tokener_free(tok);
	return ok;
}

/* --- deciding conflicts --- */

static bool
read_catalog(struct db *db, const struct conf *conf, struct node_identity *node, struct catalog **out, struct err *e)
{
	return schema_enter(db, conf, node, e) && catalog_read(db, conf, out, e) && guard_refresh(db, conf, *out, node, e);
}

static const char sql_many[] =
    "SELECT id, local_changed_at > remote_changed_at OR (local_changed_at = remote_changed_at AND local_origin > remote_origin) FROM sync_conflict"
    " WHERE verdict='ask' AND resolved_at IS NULL AND peer=IFNULL(?, peer) AND table_name=IFNULL(?, table_name) AND policy=IFNULL(?, policy)"
    " AND id > ? ORDER BY id LIMIT ?";

static const char *
or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

/* One by one, each a decision of its own: what one does not take keeps no other from being decided. */
static bool
resolve_rows(struct action *a, struct db *db, const struct node_identity *node, const struct catalog *catalog, struct db_rows *rows, struct err *e)
{
	bool more = false, whole = true;

	while (db_rows_next(rows, &more, e) && more) {
		bool local = a->keep == ACTION_KEEP_LOCAL || (a->keep == ACTION_KEEP_NEWER && db_rows_u64(rows, 1) != 0);
		struct err one = { 0 };

		if (beside_resolve(db, node, catalog, db_rows_u64(rows, 0), local ? INBOX_LOCAL : INBOX_REMOTE, &one)) {
			a->records++;
			continue;
		}
		a->left++;
		if (whole)
			*e = one;
		whole = false;
		if (one.code != ERR_HELD && one.code != ERR_USAGE)
			break;
	}
	return whole;
}

static bool
resolve_many(struct action *a, struct db *db, const struct node_identity *node, const struct catalog *catalog, struct err *e)
{
	struct db_rows *rows = NULL;
	uint64_t n = 0;
	bool ok = db_query(db, sql_many, DB_ARGS(db_text(or_null(a->peer)), db_text(or_null(a->table)), db_text(or_null(a->rule)), db_u64(0), db_u64(ACTION_MOST)), &rows, e) &&
	    resolve_rows(a, db, node, catalog, rows, e);

	db_rows_free(rows);
	if (ok && db_number(db, "SELECT COUNT(*) FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL AND peer=IFNULL(?, peer) AND table_name=IFNULL(?, table_name)"
				" AND policy=IFNULL(?, policy)", DB_ARGS(db_text(or_null(a->peer)), db_text(or_null(a->table)), db_text(or_null(a->rule))), &n, NULL, e))
		a->left = n;
	return ok;
}

/* Of a file: the version that lost stands beside the other from now on. */
static bool
resolve_both(struct action *a, struct db *db, const struct conf *conf, struct err *e)
{
	struct buf path;
	bool ok;

	buf_init(&path, BENEATH_PATH_MAX * 2);
	ok = beside_keep(db, conf, a->id, &path, e);
	buf_free(&path);
	return ok;
}

/* What was decided about a file stands in its list now; the folder follows, at the latest with its next look. */
static void
follow_list(const struct action *a, struct db *db, const struct conf *conf)
{
	struct tended look;
	struct err e;
	uint64_t about = 0;

	if (conf->ntrees == 0 || !db_number(db, "SELECT COUNT(*) FROM sync_conflict WHERE id=? AND table_name LIKE 'sync\\_file\\_%'", DB_ARGS(db_u64(a->id)), &about, NULL, &e))
		return;
	if (about > 0 && !tend_all(db, conf, FOLLOW_MS, &look, &e))
		log_warning(NULL, "%s", e.msg);
}

static bool
resolve(struct action *a, struct db *db, const struct conf *conf, struct err *e)
{
	struct catalog *catalog = NULL;
	struct node_identity node;
	bool ok;

	a->drain = true;
	if (!read_catalog(db, conf, &node, &catalog, e))
		ok = false;
	else if (a->kind == ACTION_RESOLVE_MANY)
		ok = resolve_many(a, db, &node, catalog, e);
	else {
		enum inbox_keep keep = a->keep == ACTION_KEEP_LOCAL ? INBOX_LOCAL : INBOX_REMOTE;

		ok = a->keep == ACTION_KEEP_BOTH ? resolve_both(a, db, conf, e) : beside_resolve(db, &node, catalog, a->id, keep, e);
		a->records = ok ? 1 : 0;
	}
	catalog_free(catalog);
	if (ok)
		follow_list(a, db, conf);
	return ok;
}

/* --- the others --- */

static bool
settle_parked(struct action *a, struct db *db, const struct conf *conf, struct err *e)
{
	struct parked_order order = { .peer = or_null(a->peer), .id = a->id, .again = a->kind == ACTION_RETRY };

	a->drain = true;
	return parked_settle(db, conf, &order, &a->records, e);
}

static bool
set_paused(struct action *a, const struct conf *conf, struct err *e)
{
	a->reload = edit_set_paused(conf->path, a->peer, a->kind == ACTION_PAUSE, e);
	return a->reload;
}

static bool
do_it(struct action *a, struct db *db, const struct conf *conf, struct err *e)
{
	if (a->peer[0] != '\0' && conf_peer(conf, a->peer) == NULL)
		return err_set(e, ERR_USAGE, "there is no [peer] of that name in agent.conf");
	switch (a->kind) {
	case ACTION_RESOLVE:
	case ACTION_RESOLVE_MANY:
		return resolve(a, db, conf, e);
	case ACTION_RETRY:
	case ACTION_DISCARD:
		return settle_parked(a, db, conf, e);
	case ACTION_ALLOW:
		a->drain = true;
		return allowance_allow(db, a->peer, e);
	case ACTION_DRAIN:
		a->drain = true;
		return true;
	case ACTION_PAUSE:
	case ACTION_RESUME:
		return set_paused(a, conf, e);
	}
	return err_set(e, ERR_INTERNAL, "an unknown action");
}

static void
put_subject(const struct action *a, char *out, size_t size)
{
	out[0] = '\0';
	if (a->kind == ACTION_RESOLVE)
		(void)snprintf(out, size, "%llu: %s", (unsigned long long)a->id, keep_names[a->keep]);
	else if (a->kind == ACTION_RESOLVE_MANY)
		(void)snprintf(out, size, "%s %s: %s", a->table[0] == '\0' ? "*" : a->table, a->rule, keep_names[a->keep]);
	else if (a->kind == ACTION_RETRY || a->kind == ACTION_DISCARD)
		(void)snprintf(out, size, a->id == 0 ? "*" : "%llu", (unsigned long long)a->id);
}

bool
action_run(struct action *a, struct db *db, const struct conf *conf, struct err *e)
{
	struct node_identity node;
	struct err other;
	char subject[400];
	bool ok = schema_enter(db, conf, &node, e) && do_it(a, db, conf, e);
	struct audit note = { .caller = a->caller, .action = kinds[a->kind].name, .peer = or_null(a->peer), .reason = or_null(a->reason),
		.records = a->records, .error = ok ? NULL : e->msg };

	put_subject(a, subject, sizeof subject);
	note.subject = or_null(subject);
	log_info(or_null(a->peer), "%s on the page (%s) by %s: %s", note.action, subject, a->caller, ok ? "done" : e->msg);
	if (!db_use(db, conf->database.sync_database, &other) || !audit_add(db, &note, &other))
		log_warning(NULL, "the audit list of the page: %s", other.msg);
	return ok;
}

void
action_json(const struct action *a, struct buf *out)
{
	buf_fmt(out, "{\"did\":\"%s\",\"records\":%llu,\"left\":%llu,\"peer\":", kinds[a->kind].name, (unsigned long long)a->records, (unsigned long long)a->left);
	if (a->peer[0] == '\0')
		buf_str(out, "null");
	else
		line_quote(out, a->peer, strlen(a->peer));
	buf_str(out, "}\n");
}
