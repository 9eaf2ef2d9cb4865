/* The page's state. Lives here: what matters most, and which advice fits what. Not here: reading it (app/report),
 * its words (web/texts.json), its looks (web/). */
#include "config.h"

#include "app/outlook.h"

#include <event2/event.h>
#include <mysql.h>
#include <stdio.h>
#include <string.h>

#include "wire/line.h"

/* --- advice --- */

/* What a last error says, and the advice for it: the first that fits. */
static const struct {
	const char *sign;
	const char *advice;
} errors[] = {
	{ "name of the host is not known", "name" },
	{ "refused the connection", "not_running" },
	{ "cannot be reached", "away" },
	{ "no connection after", "away" },
	{ "no answer for", "away" },
	{ "is too slow", "slow" },
	{ "TLS", "tls" },
	{ "certificate", "tls" },
	{ "not signed", "key" },
	{ "HTTP 401", "key" },
	{ "bring both to the same version", "version" },
	{ "newer agent", "version" },
	{ "this link is paused here", "paused_there" }, /* in the peer's words */
	{ "cannot apply now", "later" },
};

const char *
outlook_error_advice(const struct report_peer *p)
{
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (strstr(p->last_error, errors[i].sign) != NULL)
			return errors[i].advice;
	return "again";
}

static bool
holds_deletes(const struct report_peer *p)
{
	return p->deletes[0] != '\0' || strstr(p->held, "--allow-deletes") != NULL;
}

static void
put_advice(struct buf *out, const char *name)
{
	buf_fmt(out, "%s\"%s\"", out->data[out->len - 1] == '[' ? "" : ",", name);
}

/* What a person can do, the most urgent first. */
static void
put_all_advice(const struct report_peer *p, struct buf *out)
{
	buf_str(out, ",\"advice\":[");
	if (holds_deletes(p))
		put_advice(out, "deletes");
	else if (p->held[0] != '\0')
		put_advice(out, "held");
	if (p->tables_held > 0)
		put_advice(out, "tables");
	if (p->undecided > 0)
		put_advice(out, "undecided");
	if (p->parked > 0)
		put_advice(out, "parked");
	if (p->paused)
		put_advice(out, "paused");
	if (p->failures > 0 && p->last_error[0] != '\0' && p->held[0] == '\0')
		put_advice(out, outlook_error_advice(p));
	if (p->retry + p->waiting > 0 && p->undecided == 0) /* else the decision is what they wait for */
		put_advice(out, "refused");
	if (p->refused_here > 0 && p->undecided == 0)
		put_advice(out, "refused_here");
	if (p->discarded > 0)
		put_advice(out, "discarded");
	if (p->tables_moved > p->tables_held)
		put_advice(out, "moved");
	buf_char(out, ']');
}

/* --- what matters most --- */

static bool
needs_person(const struct report_peer *p)
{
	return p->held[0] != '\0' || p->deletes[0] != '\0' || p->parked + p->undecided + p->tables_held > 0;
}

const char *
outlook_state(const struct report_peer *p)
{
	if (needs_person(p))
		return "person";
	if (p->paused && !p->in_step)
		return "paused";
	if (p->in_step)
		return "in_step";
	return p->failures > 0 ? "away" : "sending";
}

/* The worst of all peers. */
const char *
outlook_headline(const struct report *r)
{
	static const char *const order[] = { "person", "away", "paused", "filling", "sending" };

	if (r->npeers == 0)
		return "alone";
	if (r->dirty_tables + r->waiting_tables + r->waiting_trees > 0)
		return "person";
	for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
		for (size_t i = 0; i < r->npeers; i++)
			if (strcmp(r->peers[i].filling ? "filling" : outlook_state(&r->peers[i]), order[k]) == 0)
				return order[k];
	return "in_step";
}

static bool
is_lid_safe(const struct report *r)
{
	for (size_t i = 0; i < r->npeers; i++)
		if (!r->peers[i].in_step)
			return false;
	return r->npeers > 0;
}

static void
put_peers(const struct report *r, struct buf *out)
{
	buf_str(out, ",\"peers\":[");
	for (size_t i = 0; i < r->npeers; i++) {
		const struct report_peer *p = &r->peers[i];

		buf_str(out, i > 0 ? "," : "");
		report_put_peer(p, out);
		buf_fmt(out, ",\"state\":\"%s\",\"pending_about\":%s,\"lag_ms\":%llu,\"deletes_held\":%s", outlook_state(p),
		    p->pending_about ? "true" : "false", (unsigned long long)p->lag_ms, holds_deletes(p) ? "true" : "false");
		put_all_advice(p, out);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

/* A startup that has not come to its end: how many tables are filled, and which one is being. */
static bool
put_startup(struct db *db, const struct filling *f, struct buf *out, struct err *e)
{
	struct db_rows *rows = NULL;
	uint64_t done, tables;
	bool more = false, ok;

	if (!f->any) {
		buf_str(out, ",\"startup\":null");
		return true;
	}
	ok = db_number(db, "SELECT COUNT(*) FROM sync_startup_table WHERE peer=? AND done=1", DB_ARGS(db_text(f->peer)), &done, NULL, e) &&
	    db_number(db, "SELECT COUNT(*) FROM sync_table", DB_NO_ARGS, &tables, NULL, e) &&
	    db_query(db, "SELECT table_name, records FROM sync_startup_table WHERE peer=? AND done=0 ORDER BY table_name LIMIT 1", DB_ARGS(db_text(f->peer)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok) {
		buf_fmt(out, ",\"startup\":{\"peer\":\"%s\",\"records\":%llu,\"done\":%llu,\"tables\":%llu,\"table\":", f->peer, (unsigned long long)f->records,
		    (unsigned long long)done, (unsigned long long)tables);
		if (more)
			line_quote(out, db_rows_text(rows, 0), db_rows_len(rows, 0));
		else
			buf_str(out, "null");
		buf_fmt(out, ",\"here\":%llu}", (unsigned long long)(more ? db_rows_u64(rows, 1) : 0));
	}
	db_rows_free(rows);
	return ok;
}

/* Numbers that change when the lists to review do. */
static bool
put_revisions(struct db *db, struct buf *out, struct err *e)
{
	uint64_t conflicts = 0, audit = 0;

	if (!db_number(db, "SELECT MAX(id) FROM sync_conflict", DB_NO_ARGS, &conflicts, NULL, e) ||
	    !db_number(db, "SELECT MAX(id) FROM sync_audit", DB_NO_ARGS, &audit, NULL, e))
		return false;
	buf_fmt(out, ",\"last_conflict\":%llu,\"last_audit\":%llu", (unsigned long long)conflicts, (unsigned long long)audit);
	return true;
}

bool
outlook_put(struct db *db, const struct conf *conf, const struct report *r, const char *counts, struct buf *out, struct err *e)
{
	buf_fmt(out, "{\"node\":\"%s\",\"version\":\"%s\",\"database\":", r->node.name, PACKAGE_VERSION);
	line_quote(out, conf->database.name, strlen(conf->database.name));
	buf_fmt(out, ",\"headline\":\"%s\",\"lid_safe\":%s", outlook_headline(r), is_lid_safe(r) ? "true" : "false");
	put_peers(r, out);
	if (!put_startup(db, &r->filling, out, e) || !put_revisions(db, out, e))
		return false;
	buf_fmt(out, ",\"versions\":{\"agent\":\"%s\",\"mariadb\":", PACKAGE_VERSION);
	line_quote(out, db_server_version(db), strlen(db_server_version(db)));
	buf_fmt(out, ",\"libmariadb\":\"%s\",\"libevent\":\"%s\"},\"counts\":%s,\"configuration\":", mysql_get_client_info(), event_get_version(),
	    counts == NULL ? "null" : counts);
	outlook_configuration(conf, out);
	buf_fmt(out, ",\"activity\":%s}", buf_cstr(&r->activity));
	return buf_check(out, "the state", e);
}

static const char *const rules[] = { [POLICY_NEWER] = "newer", [POLICY_PREFER] = "prefer", [POLICY_MERGE] = "merge", [POLICY_MANUAL] = "manual" };

/* How the replicated tables travel: what agent.conf says of them. */
static bool
put_tables(struct db *db, const struct conf *conf, struct buf *out, struct err *e)
{
	static const char *const directions[] = { [DIRECTION_BOTH] = "both", [DIRECTION_SEND] = "send", [DIRECTION_RECEIVE] = "receive" };
	static const char *const priorities[CONF_PRIORITIES] = { "high", "normal", "low" };
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!db_query(db, "SELECT table_name FROM sync_table ORDER BY table_name LIMIT ?", DB_ARGS(db_u64(OUTLOOK_TABLES)), &rows, e))
		return false;
	buf_str(out, ",\"tables\":[");
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const char *name = db_rows_text(rows, 0);
		struct conf_rule rule;

		conf_rule(conf, name, &rule);
		buf_str(out, out->data[out->len - 1] == '[' ? "{\"table\":" : ",{\"table\":");
		line_quote(out, name, strlen(name));
		buf_fmt(out, ",\"priority\":\"%s\",\"direction\":\"%s\",\"rule\":\"%s%s%s\"}", priorities[conf_priority(conf, name)], directions[conf_direction(conf, name)],
		    rules[rule.policy], rule.node[0] == '\0' ? "" : " ", rule.node);
	}
	buf_char(out, ']');
	db_rows_free(rows);
	return ok;
}

void
outlook_line(const struct report *r, struct buf *out)
{
	size_t in_step = 0;
	uint64_t pending = 0;
	bool about = false;

	for (size_t i = 0; i < r->npeers; i++) {
		in_step += r->peers[i].in_step;
		pending += r->peers[i].pending;
		about = about || r->peers[i].pending_about;
	}
	if (r->npeers == 0)
		buf_str(out, "no peers");
	else if (in_step == r->npeers)
		buf_fmt(out, "in step with %zu of %zu peers", in_step, r->npeers);
	else
		buf_fmt(out, "in step with %zu of %zu peers; %s%llu changes pending", in_step, r->npeers, about ? "about " : "", (unsigned long long)pending);
	for (size_t i = 0; i < r->npeers; i++)
		if (needs_person(&r->peers[i]))
			buf_fmt(out, "; %s needs a person", r->peers[i].name);
}

bool
outlook_counts(struct db *db, const struct conf *conf, const struct report *r, struct buf *out, struct err *e)
{
	buf_fmt(out, "{\"database\":");
	line_quote(out, r->database, strlen(r->database));
	report_put_counts(r, out);
	if (!put_tables(db, conf, out, e))
		return false;
	buf_char(out, '}');
	return true;
}

/* --- configuration --- */

static void
put_option(struct buf *out, const char *name, const char *value)
{
	buf_str(out, out->data[out->len - 1] == '[' ? "[" : ",[");
	line_quote(out, name, strlen(name));
	buf_char(out, ',');
	line_quote(out, value == NULL ? "" : value, value == NULL ? 0 : strlen(value));
	buf_char(out, ']');
}

static void
put_number(struct buf *out, const char *name, long long n, const char *unit)
{
	char text[64];

	(void)snprintf(text, sizeof text, "%lld%s", n, unit);
	put_option(out, name, text);
}

/* What a person asks for; secrets have no row here. */
void
outlook_configuration(const struct conf *conf, struct buf *out)
{
	char name[CONF_NAME_MAX + 16];

	buf_char(out, '[');
	put_option(out, "file", conf->path);
	put_option(out, "node name", conf->node.name);
	put_option(out, "listen", conf->node.listen);
	put_option(out, "tls", conf->node.tls ? "on" : "off");
	put_option(out, "monitor", conf->node.monitor);
	put_option(out, "database", conf->database.name);
	put_option(out, "sync_database", conf->database.sync_database);
	put_option(out, "tables", conf->sync.tables);
	put_option(out, "exclude", conf->sync.exclude);
	put_option(out, "conflict", rules[conf->sync.conflict]);
	put_number(out, "interval", conf->sync.interval_ms, " ms");
	put_number(out, "max_attempts", conf->sync.max_attempts, "");
	put_number(out, "retention_days", conf->sync.retention_days, "");
	put_number(out, "max_clock_skew", conf->sync.max_clock_skew_ms, " ms");
	for (size_t i = 0; i < conf->npeers; i++) {
		(void)snprintf(name, sizeof name, "peer %s", conf->peers[i].name);
		put_option(out, name, conf->peers[i].url);
	}
	buf_char(out, ']');
}
