/* Shared parts of applying. Lives here: reading a group's lines against the local catalog,
 * refusals, relaying. Not here: writing rows (apply/target), judging (apply/judge). */
#include "apply/pass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/fit.h"
#include "apply/position.h"

/* --- refusals --- */

static void
refused_item_free(struct refused *r)
{
	free(r->table);
	free(r->key);
	free(r->reason);
}

void
refused_free(struct refused_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		refused_item_free(&l->items[i]);
	free(l->items);
	memset(l, 0, sizeof *l);
}

void
refused_drop_tied(struct refused_list *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->items[i].tied)
			refused_item_free(&l->items[i]);
		else
			l->items[kept++] = l->items[i];
	}
	l->n = kept;
}

bool
refused_add(struct refused_list *l, const struct refused *r, struct err *e)
{
	struct refused *to;

	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 16 : l->cap * 2;
		struct refused *grown = realloc(l->items, cap * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for refusals");
		l->items = grown;
		l->cap = cap;
	}
	to = &l->items[l->n];
	*to = *r;
	to->table = strdup(r->table);
	to->reason = strdup(r->reason);
	to->key = malloc(r->key_len + 1);
	if (to->table == NULL || to->reason == NULL || to->key == NULL) {
		refused_item_free(to);
		return err_set(e, ERR_MEMORY, "out of memory for refusals");
	}
	memcpy(to->key, r->key, r->key_len);
	to->key[r->key_len] = '\0';
	l->n++;
	return true;
}

/* --- the pass --- */

bool
pass_use(struct pass *p, const struct catalog *c, struct err *e)
{
	p->catalog = c;
	return tie_find_all(c, &p->ties, e);
}

void
pass_reset(struct pass *p)
{
	refused_free(&p->refused);
	bulk_free(p->relays);
	p->relays = NULL;
	look_free(&p->look);
	look_init(&p->look, p->catalog, p->conf->node.name, p->peer);
	p->nowed = 0;
	p->applied = 0;
	free(p->open_tables);
	p->open_tables = NULL;
	free(p->lost);
	p->lost = NULL;
}

void
pass_free(struct pass *p)
{
	refused_free(&p->refused);
	bulk_free(p->relays);
	p->relays = NULL;
	look_free(&p->look);
	mark_free(&p->seen);
	free(p->owed);
	p->owed = NULL;
	free(p->unsettled);
	p->unsettled = NULL;
	free(p->disputes);
	free(p->left);
	p->disputes = NULL;
	p->ndisputes = 0;
	free(p->open_tables);
	p->open_tables = NULL;
	free(p->lost);
	p->lost = NULL;
	tie_free(&p->ties);
}

/* --- reading --- */

void
pass_reader_free(struct pass_reader *r)
{
	message_section_free(&r->section);
}

bool
pass_begin(struct pass *p, struct pass_reader *r, struct err *e)
{
	char *line;
	size_t len;

	message_section_free(&r->section);
	r->table = NULL;
	r->number = SIZE_MAX;
	if (!spool_rewind(p->spool, e) || !spool_line(p->spool, &line, &len, e))
		return false;
	if (line == NULL)
		return err_set(e, ERR_INPUT, "an empty group");
	return message_parse_group(line, len, &p->header, e);
}

/* A record's key text says nothing under another key. */
static bool
same_key(const struct table *t, const struct section *s, char *reason)
{
	bool same = s->nkey == t->nkey;
	struct buf text;

	for (size_t i = 0; same && i < t->nkey; i++)
		same = strcmp(s->key[i], t->columns[t->key[i]].name) == 0;
	if (same || s->nkey == 0)
		return true;
	buf_init(&text, MESSAGE_HEADER_MAX);
	buf_fmt(&text, "table %s differs: its key is (", t->name);
	for (size_t i = 0; i < s->nkey; i++)
		buf_fmt(&text, "%s%s", i > 0 ? ", " : "", s->key[i]);
	buf_str(&text, ") there and (");
	for (size_t i = 0; i < t->nkey; i++)
		buf_fmt(&text, "%s%s", i > 0 ? ", " : "", t->columns[t->key[i]].name);
	buf_str(&text, ") here");
	(void)snprintf(reason, MESSAGE_REASON_MAX, "%s", buf_cstr(&text));
	buf_free(&text);
	return false;
}

/* Where the key's whole numbers stand among the values: they can be compared with the key's text. */
static void
find_key_values(struct pass_reader *r)
{
	const struct table *t = r->table;

	for (size_t k = 0; t != NULL && k < t->nkey; k++) {
		const struct column *col = &t->columns[t->key[k]];

		r->key_at[k] = SIZE_MAX;
		for (size_t i = 0; col->integer && i < r->section.ncolumns; i++)
			if (strcmp(r->section.names[i], col->name) == 0)
				r->key_at[k] = i;
	}
}

/* The same number? The zeros before it may differ (ZEROFILL). */
static bool
same_number(const char *a, size_t a_len, const char *b, size_t b_len)
{
	while (a_len > 1 && *a == '0')
		a++, a_len--;
	while (b_len > 1 && *b == '0')
		b++, b_len--;
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Do the values say the same record as the key? Under the key it is looked up, locked and judged; with other
 * values another row would be written, unseen. */
static bool
key_fits_values(const struct pass_reader *r)
{
	const char *part = r->meta.key, *end = part + r->meta.key_len;

	for (size_t k = 0; k < r->table->nkey; k++) {
		const char *to = part;

		while (to < end && (r->table->nkey == 1 || *to != ','))
			to += r->table->nkey > 1 && *to == '\\' && to + 1 < end ? 2 : 1;
		if (r->key_at[k] != SIZE_MAX) {
			const struct line_value *v = &r->values[RECORD_FIXED + r->key_at[k]];

			if (v->data == NULL || !same_number(part, (size_t)(to - part), v->data, v->len))
				return false;
		}
		part = to < end ? to + 1 : end;
	}
	return true;
}

/* Two sides that judge by different rules would end with different rows. */
static bool
same_rule(const struct table *t, const struct section *s, char *reason, bool *same, struct err *e)
{
	const char *there = s->rule == NULL ? "newer" : s->rule;
	struct buf here;
	bool ok;

	buf_init(&here, MESSAGE_HEADER_MAX);
	table_rule(t, &here);
	ok = buf_check(&here, "a table's rule", e);
	*same = ok && strcmp(buf_cstr(&here), there) == 0;
	if (ok && !*same)
		(void)snprintf(reason, MESSAGE_REASON_MAX, "table %.100s: conflict = %.150s there and %.150s here; make both agent.conf say the same", t->name, there, buf_cstr(&here));
	buf_free(&here);
	return ok;
}

/* A table that only sends takes nothing. */
static bool
is_taken(const struct pass *p, const struct table *t, char *reason)
{
	if (conf_direction(p->conf, t->name) != DIRECTION_SEND)
		return true;
	(void)snprintf(reason, MESSAGE_REASON_MAX, "table %.100s: node %s takes nothing of it ([table %.100s] direction = send there)", t->name, p->conf->node.name, t->name);
	return false;
}

/* Match a section with our own catalog; what does not fit waits, with the reason. */
static bool
take_section(struct pass *p, struct pass_reader *r, const char *line, size_t len, struct err *e)
{
	bool same = true;

	message_section_free(&r->section);
	if (!message_parse_section(line, len, &r->section, e))
		return false;
	r->table = catalog_table(p->catalog, r->section.table);
	if (r->table == NULL)
		(void)snprintf(r->reason, sizeof r->reason, "table %.200s is not replicated here",
		    r->section.table);
	else if (r->table->problem != NULL) {
		(void)snprintf(r->reason, sizeof r->reason, "table %s %s here", r->table->name,
		    r->table->problem);
		r->table = NULL;
	} else if (r->table->rekeyed) {
		(void)snprintf(r->reason, sizeof r->reason, "table %s has another primary key here since a moment ago: its pending changes are told under it first", r->table->name);
		r->table = NULL;
	} else if (!fit_table(r->table, &r->section, r->reason) || !same_key(r->table, &r->section, r->reason))
		r->table = NULL;
	else if (r->section.ncolumns > 0 && !same_rule(r->table, &r->section, r->reason, &same, e))
		return false;
	else if (r->section.ncolumns > 0 && (!same || !is_taken(p, r->table, r->reason)))
		r->table = NULL;
	find_key_values(r);
	return true;
}

static bool
take_record(const struct pass *p, struct pass_reader *r, char *line, size_t len, struct err *e)
{
	if (r->section.names == NULL)
		return err_set(e, ERR_INPUT, "a record before its table");
	if (!line_parse(line, len, r->values, LINE_VALUES_MAX, &r->nvalues, e) ||
	    !message_parse_record(r->values, r->nvalues, &r->meta, e))
		return false;
	position_raise_seen(&r->meta, p->start_epoch);
	r->number++;
	if (r->section.ncolumns == 0 && r->meta.operation != 'o')
		return err_set(e, ERR_INPUT, "a record of table %.200s, whose columns were not named", r->section.table);
	if (r->meta.operation == 'o')
		return true;
	if (strcmp(r->meta.changed_at, p->times.late) > 0)
		return err_set(e, ERR_HELD, "record %.40s of table %.64s was changed at %s UTC, and the clock of %s has %s UTC: when that is right, run agent --install on %s,"
					    " which gives such changes the present time; nothing is lost", r->meta.key, r->section.table, r->meta.changed_at, p->conf->node.name,
		    p->times.now, p->peer);
	if (r->nvalues != RECORD_FIXED + (r->meta.operation == 'd' ? 0 : r->section.ncolumns))
		return err_set(e, ERR_INPUT, "a record of table %.200s has %zu values",
		    r->section.table, r->nvalues);
	if (r->meta.operation != 'd' && r->table != NULL && !key_fits_values(r))
		return err_set(e, ERR_INPUT, "a record of table %.200s whose values are those of another key", r->section.table);
	return true;
}

bool
pass_next(struct pass *p, struct pass_reader *r, enum pass_line *what, struct err *e)
{
	char *line;
	size_t len;

	if (!spool_line(p->spool, &line, &len, e))
		return false;
	if (line == NULL) {
		*what = PASS_END;
		return true;
	}
	if (message_is_header(line, len)) {
		*what = PASS_SECTION;
		return take_section(p, r, line, len, e);
	}
	*what = PASS_RECORD;
	return take_record(p, r, line, len, e);
}

bool
pass_note_open(struct pass *p, uint64_t hash, struct err *e)
{
	if (p->nowed == p->owed_cap) {
		size_t cap = p->owed_cap == 0 ? 64 : p->owed_cap * 2;
		uint64_t *grown = realloc(p->owed, cap * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a group");
		p->owed = grown;
		p->owed_cap = cap;
	}
	p->owed[p->nowed++] = hash;
	return true;
}

bool
pass_note_lost(struct pass *p, const struct table *t, uint64_t records, struct err *e)
{
	if (records == 0)
		return true;
	if (p->lost == NULL)
		p->lost = calloc(p->catalog->ntables + 1, sizeof *p->lost);
	if (p->lost == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	p->lost[t - p->catalog->tables] += records;
	return true;
}

bool
pass_open_table(struct pass *p, const char *name, struct err *e)
{
	const struct table *t = catalog_table(p->catalog, name);

	if (p->open_tables == NULL)
		p->open_tables = calloc(p->catalog->ntables + 1, sizeof *p->open_tables);
	if (p->open_tables == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	if (t != NULL)
		p->open_tables[t - p->catalog->tables] = true;
	return true;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool
take_unsettled(const char *table, const char *key, size_t key_len, uint64_t seen_before, void *arg, struct err *e)
{
	struct pass *p = arg;

	(void)seen_before;
	if ((p->nunsettled & (p->nunsettled - 1)) == 0) { /* room doubles at powers of two */
		uint64_t *grown = realloc(p->unsettled, (p->nunsettled == 0 ? 1 : p->nunsettled * 2) * sizeof *grown);

		if (grown == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for unsettled records");
		p->unsettled = grown;
	}
	p->unsettled[p->nunsettled++] = record_hash(table, key, key_len);
	return true;
}

static bool
is_unsettled(struct pass *p, uint64_t hash, bool *yes, struct err *e)
{
	if (!p->unsettled_read) {
		if (!unsettled_visit(p->db, p->peer, take_unsettled, p, e))
			return false;
		if (p->nunsettled > 1)
			qsort(p->unsettled, p->nunsettled, sizeof *p->unsettled, by_value);
		p->unsettled_read = true;
	}
	*yes = p->nunsettled > 0 && bsearch(&hash, p->unsettled, p->nunsettled, sizeof hash, by_value) != NULL;
	return true;
}

static int
by_dispute(const void *a, const void *b)
{
	const struct dispute *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

const struct dispute *
pass_dispute(const struct pass *p, uint64_t hash)
{
	const struct dispute wanted = { .hash = hash }, *found;

	found = p->ndisputes == 0 ? NULL : bsearch(&wanted, p->disputes, p->ndisputes, sizeof wanted, by_dispute);
	while (found != NULL && found > p->disputes && found[-1].hash == hash)
		found--;
	return found;
}

/* A decision of ours is on its way, and has seen the version that the peer still lists. */
static bool
is_decided(const struct pass *p, uint64_t hash)
{
	const struct dispute *d = pass_dispute(p, hash), *end = p->disputes + p->ndisputes;

	for (; d != NULL && d < end && d->hash == hash; d++)
		if (d->decided)
			return true;
	return false;
}

const struct dispute *
pass_decided(const struct pass *p, uint64_t hash, const struct mark *seen, const char *changed_at, const char *node)
{
	const struct dispute *d = pass_dispute(p, hash), *end = p->disputes + p->ndisputes;

	for (; d != NULL && d < end && d->hash == hash; d++)
		if (d->decided && !mark_contains(seen, d->decision) && version_compare(changed_at, node, d->changed_at, d->node) <= 0)
			return d;
	return NULL;
}

bool
pass_left(const struct pass *p, uint64_t hash, uint64_t *epoch)
{
	bool found = false;

	for (size_t i = 0; i < p->nleft; i++) {
		if (p->left[i].hash != hash || (found && p->left[i].epoch >= *epoch))
			continue;
		*epoch = p->left[i].epoch;
		found = true;
	}
	return found;
}

static bool
note_unseen(const struct pass *p, const struct pass_reader *r, struct err *e)
{
	unsigned char md5[PEER_HASH_BYTES];

	return peer_record_hash(r->section.table, r->meta.key, r->meta.key_len, md5, e) &&
	    db_exec(p->db, "INSERT IGNORE INTO sync_unsettled (peer, record_hash, table_name, record_id, seen_before, kind, reason)"
			   " VALUES (?, ?, ?, ?, ?, 'waiting', 'it waits at the peer')",
		DB_ARGS(db_text(p->peer), db_bytes(md5, sizeof md5), db_text(r->section.table), db_bytes(r->meta.key, r->meta.key_len), db_u64(p->cursor.epoch)), e);
}

const char *
pass_lock(const struct pass *p)
{
	return p->rehearsal ? "" : " FOR UPDATE";
}

bool
pass_note_owed(struct pass *p, const struct pass_reader *r, struct err *e)
{
	uint64_t hash = record_hash(r->section.table, r->meta.key, r->meta.key_len);
	bool known = false;

	if (!pass_open_table(p, r->section.table, e) || !pass_note_open(p, hash, e) || !is_unsettled(p, hash, &known, e))
		return false;
	return known || p->rehearsal || is_decided(p, hash) || note_unseen(p, r, e);
}

/* --- relaying --- */

static const char sql_relay[] =
    "INSERT INTO sync_queue (link, id, table_name, operation, record_id, origin, changed_at, via, whole, changed_columns, versions, difference)"
    " VALUES (IF(?='1', LASTVAL(sync_sequence), NULL), NEXTVAL(sync_sequence), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

static struct db_arg
node_or_null(const struct pass *p, const char *node)
{
	return strcmp(node, p->conf->node.name) == 0 ? db_null() : db_text(node);
}

enum { RELAY_VALUES = 11 };

static void
relay_values(const struct pass *p, const struct relay *r, struct db_arg to[RELAY_VALUES])
{
	static const char *const name[] = { NULL, "insert", "update", "delete" };
	const struct db_arg values[RELAY_VALUES] = {
		db_text(r->linked ? "1" : "0"), db_text(r->table), db_text(name[r->operation]), db_bytes(r->key, r->key_len),
		node_or_null(p, r->node), db_text(r->changed_at),
		r->requeue ? db_null() : db_text(p->peer),
		db_text(r->whole || r->requeue ? "1" : "0"),
		r->columns == NULL ? db_null() : db_bytes(r->columns, r->columns_len), db_text(r->versions), db_text(r->difference)
	};

	memcpy(to, values, sizeof values);
}

bool
pass_relay(struct pass *p, const struct relay *r, struct err *e)
{
	static const bool binary[RELAY_VALUES] = { [3] = true, [8] = true };
	struct db_arg values[RELAY_VALUES];
	uint64_t affected;

	if (!p->relay && !r->requeue)
		return true;
	if (p->relays == NULL && !bulk_new(p->db, sql_relay, RELAY_VALUES, binary, &p->relays, e))
		return false;
	relay_values(p, r, values);
	if (!bulk_add(p->relays, values, e))
		return false;
	return !bulk_is_full(p->relays) || bulk_run(p->relays, &affected, e);
}

bool
pass_queue(struct pass *p, const struct relay *r, struct err *e)
{
	struct db_arg values[RELAY_VALUES];

	relay_values(p, r, values);
	return (!p->relay && !r->requeue) || db_exec(p->db, sql_relay, values, RELAY_VALUES, e);
}

bool
pass_now_after(struct pass *p, const char *changed_at, char out[QUEUE_TIME_LEN + 1], struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	ok = db_query(p->db, "SELECT GREATEST(NOW(6), CAST(? AS DATETIME(6)) + INTERVAL 1 MICROSECOND)", DB_ARGS(db_text(changed_at)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	if (ok)
		(void)snprintf(out, QUEUE_TIME_LEN + 1, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

bool
pass_relay_flush(struct pass *p, struct err *e)
{
	uint64_t affected;

	return p->relays == NULL || bulk_run(p->relays, &affected, e);
}
