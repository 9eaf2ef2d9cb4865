/* Metrics. Lives here: names, help and types of all of them, how each field of a report becomes a number. Not here:
 * reading it (app/report), how often (app/monitor), events that are counted while they happen (base/count). */
#include "config.h"

#include "app/metrics.h"

#include <event2/event.h>
#include <json-c/json.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/count.h"
#include "base/text.h"

/* What a field of struct report_peer or struct metrics_counts is, and so what number it becomes. */
enum field {
	FIELD_NUMBER, /* uint64_t */
	FIELD_FLAG,   /* bool */
	FIELD_SAID,   /* text: 1 when it says something */
	FIELD_TIME,   /* text: "2026-11-21 02:03:04.123456", UTC; "" is 0 */
	FIELD_MS,     /* uint64_t of milliseconds */
	FIELD_MS_TEXT /* the same as text, with a sign; "" has no line */
};

/* Rows of one name follow each other, and differ in label. */
struct metric {
	const char *name, *type, *help;
	enum field field;
	size_t offset;
	const char *label; /* beside the peer's; NULL: none */
};

#define PEER(field) offsetof(struct report_peer, field)
static const struct metric of_peer[] = {
	{ "tandem_peer_in_step", "gauge", "1 when everything committed here is at the peer and nothing of it is open.", FIELD_FLAG, PEER(in_step), NULL },
	{ "tandem_peer_paused", "gauge", "1 when agent.conf says paused.", FIELD_FLAG, PEER(paused), NULL },
	{ "tandem_peer_pending_changes", "gauge", "Changes that the peer does not have yet; above 10000 the distance of two ids.", FIELD_NUMBER, PEER(pending), NULL },
	{ "tandem_peer_oldest_pending_age_seconds", "gauge", "Age of the oldest of them, 0 when there are none.", FIELD_MS, PEER(lag_ms), NULL },
	{ "tandem_peer_last_success_timestamp_seconds", "gauge", "When the peer last acknowledged a group, 0 when it never did.", FIELD_TIME, PEER(last_success), NULL },
	{ "tandem_peer_last_applied_timestamp_seconds", "gauge", "When a group of the peer was last applied here, 0 when none was.", FIELD_TIME, PEER(last_applied), NULL },
	{ "tandem_peer_last_error_timestamp_seconds", "gauge", "When an exchange with the peer last failed, 0 when none did.", FIELD_TIME, PEER(last_error_at), NULL },
	{ "tandem_peer_consecutive_failures", "gauge", "Failed tries since the last success.", FIELD_NUMBER, PEER(failures), NULL },
	{ "tandem_peer_held", "gauge", "1 when the link waits for a person.", FIELD_SAID, PEER(held), NULL },
	{ "tandem_peer_held_deletions", "gauge", "1 when deletions of the peer wait here for a person.", FIELD_SAID, PEER(deletes), NULL },
	{ "tandem_peer_held_tables", "gauge", "Tables from which nothing is sent until a person chooses.", FIELD_NUMBER, PEER(tables_held), NULL },
	{ "tandem_peer_moved_tables", "gauge", "Tables from which nothing is sent until they were compared, held ones included.", FIELD_NUMBER, PEER(tables_moved), NULL },
	{ "tandem_peer_open_conflicts", "gauge", "Conflicts with the peer that a person has to decide.", FIELD_NUMBER, PEER(undecided), NULL },
	{ "tandem_peer_owed_records", "gauge", "Records of this node that the peer has refused, by what becomes of them.", FIELD_NUMBER, PEER(retry), "state=\"retry\"" },
	{ "tandem_peer_owed_records", NULL, NULL, FIELD_NUMBER, PEER(waiting), "state=\"waiting\"" },
	{ "tandem_peer_owed_records", NULL, NULL, FIELD_NUMBER, PEER(parked), "state=\"parked\"" },
	{ "tandem_peer_owed_records", NULL, NULL, FIELD_NUMBER, PEER(discarded), "state=\"discarded\"" },
	{ "tandem_peer_refused_here_records", "gauge", "Records of the peer that this node has refused.", FIELD_NUMBER, PEER(refused_here), NULL },
	{ "tandem_peer_clock_skew_seconds", "gauge", "How far the peer's database clock is ahead.", FIELD_MS_TEXT, PEER(clock_skew_ms), NULL },
	{ "tandem_peer_records_sent_total", "counter", "Records that the peer has applied, since the link began.", FIELD_NUMBER, PEER(records_sent), NULL },
	{ "tandem_peer_records_applied_total", "counter", "Records of the peer applied here, since the link began.", FIELD_NUMBER, PEER(records_applied), NULL },
};

#define COUNTS(field) offsetof(struct metrics_counts, field)
static const struct metric of_node[] = {
	{ "tandem_queue_changes", "gauge", "Rows of sync_queue by status.", FIELD_NUMBER, COUNTS(pending), "status=\"pending\"" },
	{ "tandem_queue_changes", NULL, NULL, FIELD_NUMBER, COUNTS(synced), "status=\"synced\"" },
	{ "tandem_queue_changes", NULL, NULL, FIELD_NUMBER, COUNTS(failed), "status=\"failed\"" },
	{ "tandem_queue_changes", NULL, NULL, FIELD_NUMBER, COUNTS(superseded), "status=\"superseded\"" },
	{ "tandem_queue_bytes", "gauge", "Size of sync_queue with its indexes.", FIELD_NUMBER, COUNTS(queue_bytes), NULL },
	{ "tandem_conflict_bytes", "gauge", "Size of the kept versions of conflicts.", FIELD_NUMBER, COUNTS(conflict_bytes), NULL },
	{ "tandem_sync_schema_bytes", "gauge", "Size of all tables of the sync schema, these included.", FIELD_NUMBER, COUNTS(sync_bytes), NULL },
	{ "tandem_conflicts_kept", "gauge", "Conflicts that are kept, decided or not.", FIELD_NUMBER, COUNTS(conflicts), NULL },
	{ "tandem_conflicts_undecided", "gauge", "Of these, those that a person has to decide.", FIELD_NUMBER, COUNTS(undecided), NULL },
	{ "tandem_dirty_tables", "gauge", "Tables that were altered while their writes were captured.", FIELD_NUMBER, COUNTS(dirty_tables), NULL },
	{ "tandem_new_tables", "gauge", "1 when a table that agent.conf asks for waits for agent --install.", FIELD_NUMBER, COUNTS(new_tables), NULL },
};

static const struct counted {
	enum count_kind kind;
	const char *name, *help;
	const char *first, *second; /* labels */
} counted[] = {
	{ COUNT_SENDING_FAILED, "tandem_peer_errors_total", "Exchanges with a peer that failed since the daemon began, by direction and code.", "direction=\"out\",peer", "code" },
	{ COUNT_RECEIVING_FAILED, "tandem_peer_errors_total", NULL, "direction=\"in\",peer", "code" },
	{ COUNT_REFUSED, "tandem_peer_refusals_total", "Times that a peer refused a record since the daemon began, by what became of it.", "peer", "state" },
	{ COUNT_HTTP_REFUSED, "tandem_http_refused_total", "Requests and connections refused since the daemon began.", "door", "status" },
	{ COUNT_NOTIFIED, "tandem_notifications_total", "Runs of the command of [sync] notify since the daemon began.", NULL, "outcome" },
};

/* --- the format --- */

void
metrics_put_label(struct buf *out, const char *text)
{
	size_t left = strlen(text), n;
	const char *at;

	while ((n = text_next(&text, &left, &at)) > 0) {
		if (*at == '\n')
			buf_str(out, "\\n");
		else if (*at == '"' || *at == '\\')
			buf_fmt(out, "\\%c", *at);
		else
			buf_put(out, at, n);
	}
}

static void
put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	if (help != NULL)
		buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_number(struct buf *out, const char *name, const char *type, const char *help, double value)
{
	put_head(out, name, type, help);
	buf_fmt(out, "%s %.16g\n", name, value);
}

static double
value_of(const struct metric *m, const void *base)
{
	const char *at = (const char *)base + m->offset;
	uint64_t n;

	switch (m->field) {
	case FIELD_FLAG:
		return *(const bool *)at ? 1 : 0;
	case FIELD_SAID:
		return at[0] != '\0' ? 1 : 0;
	case FIELD_TIME:
		return (double)report_time_us(at) / 1e6;
	case FIELD_MS_TEXT:
		return strtod(at, NULL) / 1000;
	case FIELD_MS:
	case FIELD_NUMBER:
		break;
	}
	memcpy(&n, at, sizeof n);
	return m->field == FIELD_MS ? (double)n / 1000 : (double)n;
}

/* --- families --- */

static void
put_peers(const struct report *r, struct buf *out)
{
	for (size_t k = 0; k < sizeof of_peer / sizeof of_peer[0]; k++) {
		const struct metric *m = &of_peer[k];

		put_head(out, m->name, m->type, m->help);
		for (size_t i = 0; i < r->npeers; i++) {
			const char *text = (const char *)&r->peers[i] + m->offset;

			if (m->field == FIELD_MS_TEXT && text[0] == '\0')
				continue;
			buf_fmt(out, "%s{peer=\"", m->name);
			metrics_put_label(out, r->peers[i].name);
			buf_fmt(out, "\"%s%s} %.16g\n", m->label == NULL ? "" : ",", m->label == NULL ? "" : m->label, value_of(m, &r->peers[i]));
		}
	}
}

static void
put_counts(const struct metrics_counts *c, struct buf *out)
{
	if (c == NULL || c->at_us == 0)
		return;
	put_number(out, "tandem_counts_timestamp_seconds", "gauge", "When what follows, down to tandem_state_dir_free_bytes, was counted.", (double)c->at_us / 1e6);
	for (size_t k = 0; k < sizeof of_node / sizeof of_node[0]; k++) {
		const struct metric *m = &of_node[k];

		put_head(out, m->name, m->type, m->help);
		buf_fmt(out, "%s%s%s%s %.16g\n", m->name, m->label == NULL ? "" : "{", m->label == NULL ? "" : m->label, m->label == NULL ? "" : "}", value_of(m, c));
	}
	if (c->free_bytes != UINT64_MAX)
		put_number(out, "tandem_state_dir_free_bytes", "gauge", "Room left where groups on their way are kept.", (double)c->free_bytes);
}

static void
put_counted(struct buf *out)
{
	struct count *rows = calloc(COUNT_ROWS_MAX, sizeof *rows);
	size_t n;

	if (rows == NULL)
		return; /* these are missing then, which is no wrong number */
	n = count_read(rows);
	for (size_t k = 0; k < sizeof counted / sizeof counted[0]; k++) {
		const struct counted *c = &counted[k];

		put_head(out, c->name, "counter", c->help);
		for (size_t i = 0; i < n; i++) {
			if (rows[i].kind != c->kind)
				continue;
			buf_fmt(out, "%s{", c->name);
			if (c->first != NULL) {
				buf_fmt(out, "%s=\"", c->first);
				metrics_put_label(out, rows[i].name);
				buf_str(out, "\",");
			}
			buf_fmt(out, "%s=\"", c->second);
			metrics_put_label(out, rows[i].word);
			buf_fmt(out, "\"} %llu\n", (unsigned long long)rows[i].n);
		}
	}
	free(rows);
}

/* As exporters everywhere name it. */
static void
put_process(struct buf *out)
{
	struct timespec used;
	char sizes[128] = "", *resident = sizes; /* in pages: all of its addresses, what is in memory, ... */
	FILE *f = fopen("/proc/self/statm", "re");

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0)
		put_number(out, "process_cpu_seconds_total", "counter", "CPU time of this agent.", (double)used.tv_sec + (double)used.tv_nsec / 1e9);
	if (f != NULL && fgets(sizes, sizeof sizes, f) != NULL && strtoul(sizes, &resident, 10) > 0)
		put_number(out, "process_resident_memory_bytes", "gauge", "Memory of this agent.", (double)strtoul(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE));
	if (f != NULL)
		(void)fclose(f);
}

static void
put_build(const char *node, const char *server, struct buf *out)
{
	put_head(out, "tandem_build_info", "gauge", "Always 1; versions of the agent, its libraries and the database server.");
	buf_fmt(out, "tandem_build_info{version=\"%s\",libmariadb=\"%s\",libevent=\"%s\"", PACKAGE_VERSION, mysql_get_client_info(), event_get_version());
	if (server != NULL) {
		buf_str(out, ",mariadb=\"");
		metrics_put_label(out, server);
		buf_str(out, "\",node=\"");
		metrics_put_label(out, node);
		buf_char(out, '"');
	}
	buf_str(out, "} 1\n");
}

/* --- upload folders --- */

static const struct tree_metric {
	const char *name, *help;
	const char *member, *label; /* of a folder; label: one more, or NULL */
} of_tree[] = {
	{ "tandem_tree_files", "Files of an upload folder, as last looked at, by where.", "files", "where=\"here\"" },
	{ "tandem_tree_files", NULL, "listed_files", "where=\"list\"" },
	{ "tandem_tree_bytes", "Bytes of these.", "bytes", "where=\"here\"" },
	{ "tandem_tree_bytes", NULL, "listed_bytes", "where=\"list\"" },
	{ "tandem_tree_pending_files", "Files in which the folder differs from its list.", "pending", NULL },
	{ "tandem_tree_pending_bytes", "Bytes of the list that are not here.", "pending_bytes", NULL },
	{ "tandem_tree_failed_paths", "Paths that wait, each with a reason that agent --trees tells.", "failed", NULL },
	{ "tandem_tree_held", "1 when a person has to look before anything of the folder travels.", "held", NULL },
	{ "tandem_tree_in_step", "1 when every file of the list is here.", "in_step", NULL },
}, of_transfer[] = {
	{ "tandem_tree_transfer_bytes_per_second", "How fast contents travel to the peer (peer=\"\": to this node); 0: none does.", "bytes_per_second", NULL },
	{ "tandem_tree_transfer_left_bytes", "What the last answer said is missing.", "left_bytes", NULL },
	{ "tandem_tree_last_success_timestamp_seconds", "When nothing was missing last; 0: never.", "last_success", NULL },
};

static struct json_object *
member(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	(void)json_object_object_get_ex(o, name, &value);
	return value;
}

/* A text is 1 when there is one, unless it is a time. */
static double
member_value(struct json_object *o, const char *name)
{
	struct json_object *value = member(o, name);

	if (strcmp(name, "last_success") == 0)
		return value == NULL ? 0 : (double)report_time_us(json_object_get_string(value)) / 1e6;
	if (json_object_is_type(value, json_type_string))
		return json_object_get_string_len(value) > 0 ? 1 : 0;
	return value == NULL ? 0 : json_object_get_double(value);
}

static void
put_tree_value(const struct tree_metric *m, struct json_object *tree, struct json_object *transfer, struct buf *out)
{
	buf_fmt(out, "%s{tree=\"", m->name);
	metrics_put_label(out, json_object_get_string(member(tree, "name")));
	buf_char(out, '"');
	if (transfer != NULL) {
		buf_str(out, ",peer=\"");
		metrics_put_label(out, member(transfer, "peer") == NULL ? "" : json_object_get_string(member(transfer, "peer")));
		buf_char(out, '"');
	}
	buf_fmt(out, "%s%s} %.16g\n", m->label == NULL ? "" : ",", m->label == NULL ? "" : m->label, member_value(transfer != NULL ? transfer : tree, m->member));
}

void
metrics_put_trees(const char *counts, struct buf *out)
{
	struct json_object *all = json_tokener_parse(counts), *trees = all == NULL ? NULL : member(all, "trees");
	size_t n = trees == NULL ? 0 : json_object_array_length(trees);

	for (size_t k = 0; n > 0 && k < sizeof of_tree / sizeof of_tree[0]; k++) {
		put_head(out, of_tree[k].name, "gauge", of_tree[k].help);
		for (size_t i = 0; i < n; i++)
			put_tree_value(&of_tree[k], json_object_array_get_idx(trees, i), NULL, out);
	}
	for (size_t k = 0; n > 0 && k < sizeof of_transfer / sizeof of_transfer[0]; k++) {
		put_head(out, of_transfer[k].name, "gauge", of_transfer[k].help);
		for (size_t i = 0; i < n; i++) {
			struct json_object *tree = json_object_array_get_idx(trees, i), *list = member(tree, "transfers");

			for (size_t j = 0; list != NULL && j < json_object_array_length(list); j++)
				put_tree_value(&of_transfer[k], tree, json_object_array_get_idx(list, j), out);
		}
	}
	json_object_put(all);
}

void
metrics_take(const struct report *r, struct metrics_counts *out)
{
	*out = (struct metrics_counts){ .at_us = clock_wall_us(), .pending = r->pending, .synced = r->synced, .failed = r->failed,
		.superseded = r->superseded, .conflicts = r->conflicts, .undecided = r->undecided, .dirty_tables = r->dirty_tables,
		.new_tables = r->fresh_tables > 0, .queue_bytes = r->queue_bytes, .conflict_bytes = r->conflict_bytes,
		.sync_bytes = r->sync_bytes, .free_bytes = r->free_bytes };
}

void
metrics_put(const struct report *r, const struct metrics_counts *counts, const char *server, struct buf *out)
{
	put_build(r == NULL ? "" : r->node.name, server, out);
	put_process(out);
	put_number(out, "tandem_database_up", "gauge", "1 when the database could be asked; without it only what the daemon itself knows follows.", r != NULL ? 1 : 0);
	if (r != NULL) {
		put_number(out, "tandem_startup_running", "gauge", "1 while this node is being filled from a peer.", r->filling.any ? 1 : 0);
		put_peers(r, out);
		put_counts(counts, out);
	}
	put_counted(out);
}
