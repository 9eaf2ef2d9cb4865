/* Building groups. Lives here: from the queue's rows to the lines of a spool. Not here: sending
 * (sync/drain), what follows from the answer (sync/settle). */
#include "config.h"

#include "sync/group.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/rekey.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/plant.h"
#include "change/moved.h"
#include "change/allowance.h"
#include "change/debt.h"
#include "sync/later.h"
#include "sync/settle.h"

enum {
	GROUP_TRIES = 5 /* another drain made the same epoch, or a table was altered under us */
};

struct seen_before {
	uint64_t hash;
	uint64_t epoch;
	size_t table; /* offset in the collapse's arena */
};

/* What is only needed while building. */
struct builder {
	struct group *g;
	const struct group_watch *watch;
	const struct mark *onward; /* build_options, like the next two */
	bool retry;
	uint64_t after;
	uint64_t limit;	   /* records; 0 = none */
	uint64_t last_id;  /* of the last change taken in */
	struct queue_times times; /* that its changes can have */
	bool overflow;	   /* the limit was reached before the end */
	bool retries;	   /* records are in it only because they were refused before */
	struct seen_before *unsettled;
	size_t nunsettled;
	struct owed_key {
		uint64_t hash;
		unsigned char md5[PEER_HASH_BYTES];
		size_t table, key, key_len; /* offsets in the collapse's arena */
		uint64_t sent_epoch;	    /* before this group */
		bool sent;		    /* in this group */
		bool listed;		    /* not discarded */
	} *owed;
	size_t nowed;
	struct record_meta meta; /* of the entry being written */
	struct buf line;
	struct buf columns, difference; /* of the record being written */
	struct later later; /* of a group that was cut */
	struct buf counter;
	struct spool *out;
	const struct table *table; /* being written */
	bool section_open;
	bool orphans;	   /* of its rows' children some were refused here */
	uint64_t children; /* then: what counts as seen of them */
	size_t *indexes; /* of entries of one table */
	size_t *order;	 /* of the catalog's tables */
	struct waiting { /* tables that nothing is sent from */
		char *table;
		char *reason;
	} *waiting;
	size_t nwaiting;
	struct boundary { /* tables whose older rows in the queue hold keys of another form */
		char *table;
		uint64_t id;
	} *boundaries;
	size_t nboundaries;
	char **dirty; /* tables with writes that the triggers could not name */
	size_t ndirty;
};

void
group_init(struct group *g, struct db *db, const struct conf *conf, const struct node_identity *node, const char *peer)
{
	memset(g, 0, sizeof *g);
	g->db = db;
	g->conf = conf;
	g->node = node;
	g->peer = peer;
	collapse_init(&g->collapse, node->name, peer);
}

void
group_drop(struct group *g)
{
	spool_free(g->head);
	spool_free(g->body);
	g->head = g->body = NULL;
	mark_free(&g->base);
	mark_free(&g->last);
	mark_free(&g->upto);
	collapse_free(&g->collapse);
	collapse_init(&g->collapse, g->node->name, g->peer);
	g->records = 0;
}

void
group_free(struct group *g)
{
	group_drop(g);
	collapse_free(&g->collapse);
	catalog_free(g->catalog);
	g->catalog = NULL;
}

/* --- reading the queue --- */

static bool
is_outdated(const struct builder *b, const char *table, uint64_t id)
{
	for (size_t i = 0; i < b->nboundaries; i++)
		if (id <= b->boundaries[i].id && strcmp(table, b->boundaries[i].table) == 0)
			return true;
	return false;
}

/* What a change says of single columns is read with the tables' columns at hand. */
static bool
load_catalog(struct builder *b, struct err *e)
{
	struct group *g = b->g;

	if (g->collapse.catalog != NULL)
		return true;
	if (!catalog_refresh(g->db, g->conf, &g->catalog, e))
		return false;
	g->collapse.catalog = g->catalog;
	return true;
}

/* A clock was wrong when this was written, or a session said so: it would win, or lose, against every edit of the
 * peer. Times have one length and compare as text. */
static bool
check_time(const struct builder *b, const struct change *c, struct err *e)
{
	bool late = strcmp(c->changed_at, b->times.late) > 0;
	bool early = !c->whole && c->origin == NULL && c->via == NULL && c->id > b->g->base.high && strcmp(c->changed_at, b->times.early) < 0;

	if (!late && !early)
		return true;
	return err_set(e, ERR_HELD, "a clock was wrong: by it record %.40s of table %.64s was changed at %s UTC, %s, and the clock of %s has %s UTC now: when it is right,"
				    " run agent --install here, which gives such changes the present time; nothing is lost",
	    c->key, c->table, c->changed_at, late ? "which is to come" : "before what was marked earlier", b->g->node->name, b->times.now);
}

static bool
note_dirty(struct builder *b, const char *table, struct err *e)
{
	char **grown;

	for (size_t i = 0; i < b->ndirty; i++)
		if (strcmp(b->dirty[i], table) == 0)
			return true;
	grown = realloc(b->dirty, (b->ndirty + 1) * sizeof *grown);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	b->dirty = grown;
	grown[b->ndirty] = strdup(table);
	return grown[b->ndirty++] != NULL || err_set(e, ERR_MEMORY, "out of memory for a group");
}

/* Also where nothing else moved: behind the snapshot, whose transaction may have been rolled back. */
static bool
mark_dirty(const struct builder *b, struct err *e)
{
	for (size_t i = 0; b->watch == NULL && i < b->ndirty; i++)
		for (size_t p = 0; conf_wants_table(b->g->conf, b->dirty[i]) && p < b->g->conf->npeers; p++) {
			const char *peer = b->g->conf->peers[p].name;
			bool news;

			if (!moved_mark_dirty(b->g->db, peer, b->dirty[i], &news, e))
				return false;
			if (news)
				log_warning(peer, "table %s: its triggers could not tell which records were written; it is compared", b->dirty[i]);
		}
	return true;
}

static bool
take_change(const struct change *c, void *arg, bool *stop, struct err *e)
{
	struct builder *b = arg;
	struct collapse *col = &b->g->collapse;

	if (!load_catalog(b, e))
		return false;
	if (is_outdated(b, c->table, c->id)) {
		b->last_id = c->id;
		return true;
	}
	if (c->key == NULL) { /* says only "compare this table", which sync/drift does */
		b->last_id = c->id;
		return note_dirty(b, c->table, e);
	}
	/* A key's end and the record under its new key are one statement's, and are not cut apart. */
	if (b->limit > 0 && col->n >= b->limit && (c->link == 0 || c->link != b->last_id) && collapse_find(col, c->table, c->key, c->key_len) == NULL) {
		b->overflow = true;
		*stop = true;
		return true;
	}
	b->last_id = c->id;
	return check_time(b, c, e) && collapse_add(col, c, e);
}

static bool
copy_mark(const struct mark *from, struct mark *to, struct err *e)
{
	mark_free(to);
	*to = *from;
	memset(&to->holes, 0, sizeof to->holes);
	return id_set_copy(&from->holes, &to->holes, e);
}

/* Only looking: the group before, which nobody stored, counts as sent. */
static bool
go_onward(struct builder *b, struct err *e)
{
	struct group *g = b->g;

	return copy_mark(b->onward, &g->base, e) && (g->last.epoch >= b->onward->epoch || copy_mark(b->onward, &g->last, e)) &&
	    queue_times(g->db, g->state.acked_epoch, g->conf->sync.max_clock_skew_ms, &b->times, e);
}

static bool
positions(struct builder *b, struct err *e)
{
	struct group *g = b->g;
	uint64_t base;
	bool found;

	if (!peer_load(g->db, g->peer, &g->state, e) || !cursor_load(g->db, g->peer, false, &g->cursor, e) ||
	    !queue_last_mark(g->db, &g->last, e))
		return false;
	if (g->state.lapsed) {
		char text[ERR_MSG_MAX];

		settle_put_lapsed(text, sizeof text, g->peer, g->conf->sync.retention_days);
		return err_set(e, ERR_HELD, "%s", text);
	}
	if (b->onward != NULL)
		return go_onward(b, e);
	base = b->after == 0 ? g->state.acked_epoch : b->after;
	if (!queue_load_mark(g->db, base, &g->base, &found, e))
		return false;
	if (!found)
		return err_set(e, ERR_HELD, "peer %s was away for so long that changes it needs are no longer kept: run agent --install --peer %s here:"
					    " the link begins anew, all tables are compared and merged", g->peer, g->peer);
	if (b->after == 0 && strcmp(g->base.stamp, g->state.acked_stamp) != 0)
		return err_set(e, ERR_HELD, "this node's history is not the one that peer %s knows (restored from a backup, or a copy of this laptop runs as well?): run agent --install --peer %s here:"
					    " the link begins anew, all tables are compared and merged", g->peer, g->peer);
	return queue_times(g->db, base, g->conf->sync.max_clock_skew_ms, &b->times, e);
}

/* --- tables that wait --- */

static bool
add_waiting(const struct moved *m, void *arg, struct err *e)
{
	struct builder *b = arg;
	struct waiting *grown = realloc(b->waiting, (b->nwaiting + 1) * sizeof *grown), *to;
	struct buf reason;

	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	b->waiting = grown;
	to = &grown[b->nwaiting++];
	buf_init(&reason, MESSAGE_HEADER_MAX);
	if (m->message != NULL)
		buf_str(&reason, m->message);
	else
		moved_put_sentence(&reason, m);
	to->table = strdup(m->table);
	to->reason = strdup(buf_cstr(&reason));
	buf_free(&reason);
	return (to->table != NULL && to->reason != NULL) || err_set(e, ERR_MEMORY, "out of memory for a group");
}

static const char *
waits_for(const struct builder *b, const char *table)
{
	for (size_t i = 0; i < b->nwaiting; i++)
		if (strcmp(b->waiting[i].table, table) == 0)
			return b->waiting[i].reason;
	return NULL;
}

static bool
load_waiting(struct builder *b, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	if (!moved_visit(b->g->db, b->g->peer, add_waiting, b, e) ||
	    !db_query(b->g->db, "SELECT table_name, boundary FROM sync_identity WHERE boundary>0", DB_NO_ARGS, &rows, e))
		return false;
	b->boundaries = calloc(db_rows_count(rows) + 1, sizeof *b->boundaries);
	ok = b->boundaries != NULL || err_set(e, ERR_MEMORY, "out of memory for a group");
	while (ok && (ok = db_rows_next(rows, &more, e)) && more) {
		struct boundary *to = &b->boundaries[b->nboundaries++];

		to->id = db_rows_u64(rows, 1);
		to->table = strdup(db_rows_text(rows, 0));
		ok = to->table != NULL || err_set(e, ERR_MEMORY, "out of memory for a group");
	}
	db_rows_free(rows);
	return ok;
}

/* The group would be too large and older epochs end within it: end at the newest of those that fits. */
static bool
end_at_epoch(struct builder *b, struct err *e)
{
	struct group *g = b->g;
	uint64_t epoch;
	bool found;

	if (!queue_epoch_below(g->db, g->base.epoch, g->last.epoch, b->last_id, &epoch, e))
		return false;
	if (epoch == 0)
		epoch = g->base.epoch + 1;
	mark_free(&g->upto);
	if (!queue_load_mark(g->db, epoch, &g->upto, &found, e))
		return false;
	if (!found)
		return err_set(e, ERR_HELD, "epoch %llu is missing in sync_epoch", (unsigned long long)epoch);
	collapse_reset(&g->collapse);
	b->limit = 0;
	g->fresh = false;
	return queue_visit(g->db, &g->base, &g->upto, take_change, b, e);
}

/* Mark what is visible, and collapse what the peer has not got of it. */
static bool
mark_and_collapse(struct builder *b, struct err *e)
{
	struct group *g = b->g;
	bool grew = false;

	if (!queue_next_mark(g->db, &g->last, &g->upto, &grew, e))
		return false;
	g->fresh = grew;
	if (!grew) {
		mark_free(&g->upto);
		g->upto = g->last;
		memset(&g->last, 0, sizeof g->last);
		g->last.epoch = g->upto.epoch;
	}
	b->limit = g->conf->sync.group_rows;
	if (!queue_visit(g->db, &g->base, &g->upto, take_change, b, e))
		return false;
	g->last_part = !b->overflow;
	if (!b->overflow)
		return true;
	if (g->fresh && g->base.epoch == g->last.epoch)
		return queue_cut_mark(&g->last, &g->upto, b->last_id, e);
	return end_at_epoch(b, e);
}

/* --- owed records --- */

static struct debt_group
debt_group(const struct builder *b)
{
	const struct group *g = b->g;

	return (struct debt_group){ g->state.acked_epoch, g->base.epoch, g->upto.epoch, b->retry, g->fresh, g->last_part };
}

/* Written here, in a table that only receives: it is not sent. What came from a peer goes on to the others. */
static bool
stays_here(const struct builder *b, const char *table, bool own)
{
	return own && conf_direction(b->g->conf, table) == DIRECTION_RECEIVE;
}

static bool
is_due(const struct builder *b, const struct owed *o)
{
	struct debt_group g = debt_group(b);

	return waits_for(b, o->table) == NULL && !stays_here(b, o->table, o->origin == NULL) && debt_is_due(&g, o->state, o->sent_epoch);
}

static bool
take_owed_row(const struct change *c, void *arg, bool *stop, struct err *e)
{
	(void)stop;
	return c->key == NULL || collapse_add(arg, c, e);
}

/* The rows of the queue that an owed record stands for tell its columns and differences. If there are none left,
 * they have lost all of them meanwhile. *told: what is to be added for the record itself then tells, or NULL. */
static bool
take_owed_rows(struct builder *b, const struct owed *o, const struct table *t, struct buf *told, struct err *e)
{
	const struct mask none = { { 0 } };

	mask_write(t, &none, told);
	return buf_check(told, "a record's columns", e) && queue_visit_ids(b->g->db, o->queue_ids, take_owed_row, &b->g->collapse, e);
}

/* The end of the key that an owed record came from is told by itself, once. */
static bool
forget_link(struct builder *b, const char *table, const char *key, size_t key_len, struct err *e)
{
	unsigned char md5[PEER_HASH_BYTES];

	return peer_record_hash(table, key, key_len, md5, e) &&
	    db_exec(b->g->db, "UPDATE sync_owed SET link=NULL WHERE peer=? AND record_hash=?", DB_ARGS(db_text(b->g->peer), db_bytes(md5, sizeof md5)), e);
}

static bool
end_forsaken(struct builder *b, const struct debt_before *before, const struct owed *o, struct err *e)
{
	uint64_t link = debt_forsaken(before, o), same = 0;

	if (link == 0)
		return true;
	if (!db_number(b->g->db, "SELECT 1 FROM sync_queue a JOIN sync_queue b ON b.record_id=a.record_id WHERE a.id=? AND b.id=?",
		DB_ARGS(db_u64(link), db_u64(before->link)), &same, NULL, e))
		return false;
	return same != 0 || (queue_tell_end(b->g->db, o->table, link, e) && forget_link(b, o->table, o->key, o->key_len, e));
}

/* What the peer has not accepted goes along with the record's later changes. Where single columns count, the rows of
 * the queue tell of them. */
static bool
merge_owed(struct builder *b, const struct owed *o, struct entry **entry, struct err *e)
{
	struct collapse *c = &b->g->collapse;
	struct debt_before before = debt_before(*entry, o);
	const struct table *t;
	struct buf told;
	bool ok;

	if (!load_catalog(b, e) || !end_forsaken(b, &before, o, e))
		return false;
	t = catalog_table(c->catalog, o->table);
	if (t == NULL || !mask_is_wanted(t))
		return debt_merge(c, o, entry, e);
	buf_init(&told, MASK_BYTES);
	ok = take_owed_rows(b, o, t, &told, e);
	*entry = collapse_find(c, o->table, o->key, o->key_len);
	before.decided = *entry != NULL && (*entry)->decided;
	if (ok && (*entry == NULL || !(*entry)->send || o->whole)) {
		ok = debt_add(c, o, &told, e);
		*entry = collapse_find(c, o->table, o->key, o->key_len);
	}
	buf_free(&told);
	if (ok)
		debt_note(*entry, o, &before);
	return ok;
}

static bool
forget_owed(struct builder *b, const struct owed *o, struct err *e)
{
	unsigned char md5[PEER_HASH_BYTES];

	return peer_record_hash(o->table, o->key, o->key_len, md5, e) &&
	    db_exec(b->g->db, "DELETE FROM sync_owed WHERE peer=? AND record_hash=?", DB_ARGS(db_text(b->g->peer), db_bytes(md5, sizeof md5)), e);
}

static bool
take_owed(const struct owed *o, void *arg, struct err *e)
{
	struct builder *b = arg;
	struct collapse *c = &b->g->collapse;
	struct entry *entry = collapse_find(c, o->table, o->key, o->key_len);
	bool has_news = entry != NULL && entry->send;
	struct owed_key *key;
	void *grown;

	if (is_outdated(b, o->table, o->last_id)) /* told under the new key by now (apply/rekey) */
		return b->watch != NULL || forget_owed(b, o, e);
	grown = realloc(b->owed, (b->nowed + 1) * sizeof *b->owed);

	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for owed records");
	b->owed = grown;
	key = &b->owed[b->nowed++];
	memset(key, 0, sizeof *key);
	if (has_news || is_due(b, o)) {
		b->retries = b->retries || (!has_news && b->g->last_part);
		if (!merge_owed(b, o, &entry, e))
			return false;
		entry->tried = !has_news && o->sent_epoch != 0 && o->sent_epoch <= b->g->base.epoch;
		key->sent = true;
	}
	key->hash = record_hash(o->table, o->key, o->key_len);
	key->sent_epoch = o->sent_epoch;
	key->listed = strcmp(o->state, "discarded") != 0;
	key->table = collapse_keep(c, o->table, strlen(o->table));
	key->key = collapse_keep(c, o->key, o->key_len);
	key->key_len = o->key_len;
	return peer_record_hash(o->table, o->key, o->key_len, key->md5, e) && buf_check(&c->arena, "owed records", e);
}

/* --- changed keys --- */

/* Is there a record under the key now? */
static bool
key_exists(struct builder *b, const char *key, size_t key_len, bool *exists, struct err *e)
{
	struct db_rows *rows = NULL;
	struct buf sql;
	bool more = false, ok;

	buf_init(&sql, TEMPLATE_SQL_MAX);
	buf_str(&sql, "SELECT ");
	template_key(&sql, b->table, "");
	buf_str(&sql, " FROM ");
	template_table(&sql, b->g->catalog->database, b->table->name);
	buf_str(&sql, " FORCE INDEX (PRIMARY) WHERE ");
	ok = record_put_match(b->g->db, &sql, b->table, key, key_len) || err_set(e, ERR_INTERNAL, "a malformed record_id of table %s in sync_queue", b->table->name);
	ok = ok && buf_check(&sql, "a key", e) && db_query(b->g->db, buf_cstr(&sql), DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);
	/* Not under another spelling, which the collation takes for it: that is where this one went. */
	*exists = ok && more && db_rows_len(rows, 0) == key_len && memcmp(db_rows_text(rows, 0), key, key_len) == 0;
	db_rows_free(rows);
	buf_free(&sql);
	return ok;
}

/* One step back along a link. *link becomes that of the key before (0: this is where it began). */
static bool
follow_link(struct builder *b, struct entry *entry, uint64_t *link, struct err *e)
{
	struct collapse *c = &b->g->collapse;
	struct db_rows *rows = NULL;
	struct entry *old = NULL;
	bool more = false, exists = true, ok;
	size_t key = 0, key_len = 0;
	uint64_t left = *link;

	ok = db_query(b->g->db, "SELECT record_id FROM sync_queue WHERE id=? AND table_name=?", DB_ARGS(db_u64(*link), db_text(b->table->name)), &rows, e) &&
	    db_rows_next(rows, &more, e);
	*link = 0;
	if (ok && more && db_rows_text(rows, 0) != NULL) {
		key_len = db_rows_len(rows, 0);
		key = collapse_keep(c, db_rows_text(rows, 0), key_len);
		old = collapse_find(c, b->table->name, db_rows_text(rows, 0), key_len);
		exists = old != NULL && !old->absent;
	}
	db_rows_free(rows);
	if (!ok || !buf_check(&c->arena, "a group's keys", e))
		return false;
	if (key != 0 && !record_key_fits(b->table, collapse_text(c, key), key_len))
		return true; /* a key of an older form of the table: an ordinary update */
	if (key != 0 && old == NULL && !key_exists(b, collapse_text(c, key), key_len, &exists, e))
		return false;
	*link = left;
	debt_step_back(entry, old, key, key_len, exists, link);
	return true;
}

/* The key that a changed key came from, followed back to one that the peer has. */
static bool
resolve_link(struct builder *b, struct entry *entry, struct err *e)
{
	enum { HOPS_MAX = 64 }; /* a circle of keys ends as ordinary updates */
	uint64_t link = entry->link;

	for (int hops = 0; link != 0 && hops < HOPS_MAX; hops++)
		if (!follow_link(b, entry, &link, e))
			return false;
	return true;
}

/* --- lines --- */

static int
by_unsettled(const void *a, const void *b)
{
	const struct seen_before *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool
take_unsettled(const char *table, const char *key, size_t key_len, uint64_t epoch, void *arg, struct err *e)
{
	struct builder *b = arg;
	void *grown = realloc(b->unsettled, (b->nunsettled + 1) * sizeof *b->unsettled);

	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for unsettled records");
	b->unsettled = grown;
	b->unsettled[b->nunsettled++] = (struct seen_before){ record_hash(table, key, key_len), epoch, collapse_keep(&b->g->collapse, table, strlen(table)) };
	return buf_check(&b->g->collapse.arena, "unsettled records", e);
}

/* The table's header line stands once before its records. */
static bool
open_section(struct builder *b, struct err *e)
{
	struct buf line;
	bool ok;

	if (b->section_open)
		return true;
	b->section_open = true;
	buf_init(&line, MESSAGE_HEADER_MAX);
	message_put_section(&line, b->table);
	ok = buf_check(&line, "a table's header", e) && spool_write(b->out, line.data, line.len, e);
	buf_free(&line);
	return ok;
}

static bool
put_line(struct builder *b, struct err *e)
{
	return buf_check(&b->line, "a record", e) && open_section(b, e) && spool_write(b->out, b->line.data, b->line.len, e);
}

/* The peer's change of the record with this hash was refused here: what counts as seen of it. */
static void
lower_seen(const struct builder *b, uint64_t hash, struct record_meta *m)
{
	struct seen_before wanted = { .hash = hash };
	const struct seen_before *found = NULL;

	if (b->nunsettled > 0 && !plant_is(PLANT_REFUSED_SEEN))
		found = bsearch(&wanted, b->unsettled, b->nunsettled, sizeof wanted, by_unsettled);
	if (found == NULL || (m->has_seen && m->seen <= found->epoch))
		return;
	m->has_seen = true;
	m->seen = found->epoch;
}

/* "3:-5,7:0.25": the counters by their place in the section, which lists all columns in the table's order. */
static void
put_difference(struct buf *out, const struct table *t, const char *difference)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		size_t len;

		if (!t->columns[i].counts)
			continue;
		len = strcspn(difference, ",");
		if (!decimal_is_zero(difference, len))
			buf_fmt(out, "%s%zu:%.*s", out->len > 0 ? "," : "", i, (int)len, difference);
		difference += len + (difference[len] == ',');
	}
}

/* What the record says of single columns, as long as it is not a whole one. */
static bool
put_columns(struct builder *b, const struct entry *entry, struct record_meta *m, struct err *e)
{
	buf_reset(&b->columns);
	buf_reset(&b->difference);
	/* A whole one that has been one record all along is an edit of all columns: counters go on adding up. */
	if (m->operation != 'u' || (m->whole && (!entry->decided || entry->reborn || b->table->ncounters == 0)) || entry->versions == NULL || !mask_is_wanted(b->table))
		return true;
	versions_put(&b->columns, entry->versions, NULL, b->table->ncolumns);
	if (entry->difference != NULL)
		put_difference(&b->difference, b->table, entry->difference);
	m->columns = buf_cstr(&b->columns);
	m->difference = b->difference.len > 0 ? buf_cstr(&b->difference) : NULL;
	return buf_check(&b->columns, "the versions of a record's columns", e) && buf_check(&b->difference, "a record's differences", e);
}

static bool
put_entry(struct builder *b, const struct entry *entry, char operation, struct err *e)
{
	const struct collapse *c = &b->g->collapse;
	struct record_meta m = {
		.operation = operation,
		.key = collapse_text(c, entry->key),
		.key_len = entry->key_len,
		.changed_at = collapse_text(c, entry->changed_at),
		.origin = collapse_text(c, entry->origin),
		.via = collapse_text(c, entry->via),
		.old_key = collapse_text(c, entry->old_key),
		.old_key_len = entry->old_key_len,
		.weak = entry->weak && !entry->whole && operation == 'u',
		.whole = (entry->whole && operation == 'u') || entry->decided,
	};

	if (!put_columns(b, entry, &m, e))
		return false;

	lower_seen(b, entry->hash, &m);
	if (entry->old_key != 0) /* refused under the key that it had then */
		lower_seen(b, record_hash(collapse_table_name(c, entry->table), m.old_key, m.old_key_len), &m);
	if (b->orphans && (operation == 'd' || entry->old_key != 0)) {
		m.has_children = true;
		m.children = b->children;
	}
	b->meta = m;
	buf_reset(&b->line);
	message_put_record(&b->line, &m);
	return true;
}

static bool
put_entry_line(struct builder *b, struct err *e)
{
	if (!put_line(b, e))
		return false;
	if (b->watch != NULL)
		b->watch->record(b->table->name, &b->meta, b->line.len, b->watch->arg);
	return true;
}

/* It is in this group no more: the answer must not be taken for a yes to it. And it is listed as owed, so that the
 * peer knows that it has not seen it. */
static bool
list_withheld(struct builder *b, const struct entry *entry, const unsigned char *md5, struct err *e)
{
	struct owed_key *grown;

	for (size_t i = 0; i < b->nowed; i++) {
		if (memcmp(b->owed[i].md5, md5, PEER_HASH_BYTES) == 0) {
			b->owed[i].sent = false;
			return true;
		}
	}
	grown = realloc(b->owed, (b->nowed + 1) * sizeof *grown);
	if (grown == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for owed records");
	b->owed = grown;
	b->owed[b->nowed] = (struct owed_key){ .hash = entry->hash, .table = b->g->collapse.tables[entry->table], .key = entry->key, .key_len = entry->key_len, .listed = true };
	memcpy(b->owed[b->nowed++].md5, md5, PEER_HASH_BYTES);
	return true;
}

/* What cannot be sent is kept as owed, with the reason; the rest goes on. */
static bool
withhold(struct builder *b, struct entry *entry, const char *state, const char *reason, struct err *e)
{
	struct group *g = b->g;
	const struct collapse *c = &g->collapse;
	const char *table = collapse_table_name(c, entry->table), *key = collapse_text(c, entry->key);
	unsigned char md5[PEER_HASH_BYTES];

	entry->done = true;
	if (!peer_record_hash(table, key, entry->key_len, md5, e) || !list_withheld(b, entry, md5, e))
		return false;
	return db_exec(g->db, "INSERT INTO sync_owed (peer, record_hash, table_name, record_id, state, last_error, refused_at, last_id,"
			   " first_operation, changed_at, origin, via, whole, link, queue_ids) VALUES (?, ?, ?, ?, ?, LEFT(?, 500), NOW(6), ?, ?, ?, ?, ?, ?, ?, ?)"
			   " ON DUPLICATE KEY UPDATE state=VALUES(state), last_error=VALUES(last_error), last_id=VALUES(last_id), changed_at=VALUES(changed_at), sent_epoch=0,"
			   " queue_ids=IF(? OR NOT FIND_IN_SET(VALUES(queue_ids), queue_ids), IF(?, VALUES(queue_ids), CONCAT_WS(',', VALUES(queue_ids), queue_ids)), queue_ids)",
		DB_ARGS(db_text(g->peer), db_bytes(md5, sizeof md5), db_text(table), db_bytes(key, entry->key_len), db_text(state), db_text(reason),
		    db_u64(entry->last_id), db_u64(entry->first), db_text(collapse_text(c, entry->changed_at)),
		    db_text(collapse_text(c, entry->origin)), db_text(collapse_text(c, entry->via)), db_u64(entry->whole),
		    entry->link == 0 ? db_null() : db_u64(entry->link), entry->ids == NULL ? db_u64(entry->last_id) : db_text(buf_cstr(entry->ids)),
		    db_u64(entry->ids != NULL), db_u64(entry->ids != NULL)), e) &&
	    db_exec(g->db, "UPDATE sync_queue SET last_error=LEFT(?, 500) WHERE id=?", DB_ARGS(db_text(reason), db_u64(entry->last_id)), e);
}

struct withheld {
	struct entry *entry;
	struct withheld *next;
};

struct row_writer {
	struct builder *b;
	struct withheld *too_long;
};

static void
put_values(struct builder *b, const struct entry *entry, const struct db_rows *row)
{
	const char *key = collapse_text(&b->g->collapse, entry->key);
	const struct table *t = b->table;
	struct buf *line = &b->line;

	for (size_t i = 0; i < t->ncolumns; i++) {
		const char *value = db_rows_text(row, 1 + i), *counted;
		size_t len = value == NULL ? 0 : db_rows_len(row, 1 + i);

		counted = later_take_off(&b->later, t, key, entry->key_len, i, value, &len, &b->counter);
		value = counted == NULL ? value : counted;
		if (b->counter.no_memory) /* then the value is not what is to be sent */
			line->failed = line->no_memory = true;
		if (value == NULL)
			line_null(line);
		else if (template_is_binary(&t->columns[i]))
			line_bytes(line, value, len);
		else
			line_text(line, value, len);
	}
	line_end(line);
}

static bool
write_row(struct entry *entry, const struct db_rows *row, void *arg, struct err *e)
{
	struct row_writer *w = arg;
	struct builder *b = w->b;

	/* A range of keys also shows records that are not asked for: those that came from the peer itself, and
	 * those met under another spelling of their key in an earlier batch. */
	if (!entry->send || entry->done)
		return true;
	if (entry->link != 0)
		return true; /* written when it is known which keys are gone: write_moved */
	if (!put_entry(b, entry, entry->first == OP_INSERT ? 'i' : 'u', e))
		return false;
	put_values(b, entry, row);
	if (b->line.failed && !b->line.no_memory) {
		struct withheld *h = malloc(sizeof *h);

		if (h == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a group");
		*h = (struct withheld){ entry, w->too_long };
		w->too_long = h; /* no statement may run while rows are being read */
		return true;
	}
	entry->done = true;
	b->g->records++;
	return put_entry_line(b, e);
}

/* --- tables --- */

static size_t
entries_of(struct builder *b, size_t table, bool linked)
{
	const struct collapse *c = &b->g->collapse;
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct entry *entry = &c->entries[i];

		if (entry->table == table && entry->send && !entry->done && (!linked || (entry->link != 0 && !entry->absent)))
			b->indexes[n++] = i;
	}
	return n;
}

static bool
withhold_too_long(struct builder *b, struct row_writer *w, struct err *e)
{
	char reason[MESSAGE_REASON_MAX];
	bool ok = true;

	(void)snprintf(reason, sizeof reason, "table %s: the record is longer than the %d bytes that a message line may have", b->table->name, LINE_BYTES_MAX);
	while (w->too_long != NULL) {
		struct withheld *next = w->too_long->next;

		ok = ok && withhold(b, w->too_long->entry, "parked", reason, e);
		free(w->too_long);
		w->too_long = next;
	}
	return ok;
}

static bool
read_rows(struct builder *b, size_t n, struct err *e)
{
	struct record_batch batch = { b->g->catalog->database, b->table, &b->g->collapse, b->indexes, n };
	struct row_writer w = { .b = b };
	bool ok = n == 0 || record_read(b->g->db, &batch, write_row, &w, e);

	return withhold_too_long(b, &w, e) && ok;
}

/* Records whose key has changed, now that the absent ones are known. */
static bool
write_moved(struct builder *b, size_t table, struct err *e)
{
	struct collapse *c = &b->g->collapse;
	size_t n = entries_of(b, table, true);

	for (size_t i = 0; i < n; i++) {
		struct entry *entry = &c->entries[b->indexes[i]];

		if (!resolve_link(b, entry, e))
			return false;
		entry->link = 0;
	}
	return read_rows(b, n, e);
}

/* Entries of a table that this node does not replicate (any more). */
static bool
withhold_table(struct builder *b, size_t table, const char *why, struct err *e)
{
	struct collapse *c = &b->g->collapse;

	for (size_t i = 0; i < c->n; i++)
		if (c->entries[i].table == table && c->entries[i].send && !withhold(b, &c->entries[i], "waiting", why, e))
			return false;
	return true;
}

/* A version of the peer's own, which a verdict has confirmed here: in a table that only receives there is nobody to
 * tell, for the peer takes nothing. */
static bool
is_its_own(const struct builder *b, const struct entry *entry)
{
	const char *origin = collapse_text(&b->g->collapse, entry->origin);

	return origin != NULL && strcmp(origin, b->g->peer) == 0;
}

/* What was written here, in a table that only receives. */
static bool
withhold_own(struct builder *b, const struct table *t, size_t table, struct err *e)
{
	struct collapse *c = &b->g->collapse;
	char why[MESSAGE_REASON_MAX];

	if (conf_direction(b->g->conf, t->name) != DIRECTION_RECEIVE)
		return true;
	(void)snprintf(why, sizeof why, "table %s: what is written here is not sent ([table %s] direction = receive); agent --verify --table %s --repair --from %s takes theirs instead",
	    t->name, t->name, t->name, b->g->peer);
	for (size_t i = 0; i < c->n; i++) {
		struct entry *entry = &c->entries[i];

		if (entry->table != table || !entry->send || entry->done)
			continue;
		if (is_its_own(b, entry))
			entry->send = false;
		else if (entry->origin == 0 && !withhold(b, entry, "waiting", why, e))
			return false;
	}
	return true;
}

/* Keys of an older form of the table: altered a moment ago, sync/drift has not seen it yet. */
static bool
withhold_malformed(struct builder *b, const struct table *t, size_t table, struct err *e)
{
	struct collapse *c = &b->g->collapse;
	char why[MESSAGE_REASON_MAX];

	for (size_t i = 0; i < c->n; i++) {
		struct entry *entry = &c->entries[i];

		if (entry->table != table || !entry->send || record_key_fits(t, collapse_text(c, entry->key), entry->key_len))
			continue;
		(void)snprintf(why, sizeof why, "table %s: this record's key was recorded before the table's key was altered", t->name);
		if (!withhold(b, entry, "waiting", why, e))
			return false;
	}
	return true;
}

static bool
check_tables(struct builder *b, struct err *e)
{
	struct collapse *c = &b->g->collapse;
	char why[MESSAGE_REASON_MAX];

	for (size_t i = 0; i < c->ntables; i++) {
		const char *name = collapse_table_name(c, i);
		const struct table *t = catalog_table(b->g->catalog, name);
		const char *reason = waits_for(b, name);

		if (reason == NULL && t != NULL && t->problem == NULL && !t->rekeyed) {
			if (!withhold_malformed(b, t, i, e) || !withhold_own(b, t, i, e))
				return false;
			continue;
		}
		if (reason != NULL)
			(void)snprintf(why, sizeof why, "%s", reason);
		else if (t != NULL && t->rekeyed)
			(void)snprintf(why, sizeof why, "table %s has another primary key since a moment ago: its pending changes are told under it first", name);
		else
			(void)snprintf(why, sizeof why, "table %s %s", name, t == NULL ? "does not exist or is not replicated any more" : t->problem);
		if (!withhold_table(b, i, why, e))
			return false;
	}
	return true;
}

/* Tables whose rows hang on rows of the table, over any number of foreign keys; by the catalog's index. */
static void
mark_below(const struct catalog *c, const struct table *t, bool *below)
{
	bool grew = true;

	while (grew) {
		grew = false;
		for (size_t i = 0; i < c->nkeys; i++) {
			const struct table *child = catalog_table(c, c->keys[i].child), *parent = catalog_table(c, c->keys[i].parent);

			if (child == NULL || parent == NULL || below[child - c->tables] || (parent != t && !below[parent - c->tables]))
				continue;
			below[child - c->tables] = grew = true;
		}
	}
}

/* Rows of the peer that were refused here hang on rows of the table, perhaps on one whose delete or change of
 * key is being sent: the peer must not believe that they were seen by then. */
static bool
look_for_orphans(struct builder *b, struct err *e)
{
	const struct catalog *catalog = b->g->catalog;
	bool *below;

	b->orphans = false;
	b->children = UINT64_MAX;
	if (b->nunsettled == 0)
		return true;
	below = calloc(catalog->ntables + 1, sizeof *below);
	if (below == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	mark_below(catalog, b->table, below);
	for (size_t i = 0; i < b->nunsettled; i++) {
		const struct table *t = catalog_table(catalog, collapse_text(&b->g->collapse, b->unsettled[i].table));

		if (t == NULL || !below[t - catalog->tables])
			continue;
		b->orphans = true;
		if (b->unsettled[i].epoch < b->children)
			b->children = b->unsettled[i].epoch;
	}
	free(below);
	return true;
}

/* A table's priority: its own, or that of a table whose rows hang on it, whichever comes first. */
static bool
read_level(struct builder *b, size_t table, unsigned *level, struct err *e)
{
	const struct catalog *catalog = b->g->catalog;
	bool *below = calloc(catalog->ntables + 1, sizeof *below);

	if (below == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	*level = conf_priority(b->g->conf, catalog->tables[table].name);
	mark_below(catalog, &catalog->tables[table], below);
	for (size_t i = 0; i < catalog->ntables; i++)
		if (below[i] && conf_priority(b->g->conf, catalog->tables[i].name) < *level)
			*level = conf_priority(b->g->conf, catalog->tables[i].name);
	free(below);
	return true;
}

static bool
has_priorities(const struct conf *c)
{
	for (size_t i = 0; i < c->ntables; i++)
		if (conf_priority(c, c->tables[i].name) != conf_priority(c, ""))
			return true;
	return false;
}

/* The order in which tables are written: parents before children, and as far as that allows by priority. A parent is
 * never of a later level than its children. */
static bool
order_tables(struct builder *b, struct err *e)
{
	const struct catalog *catalog = b->g->catalog;
	unsigned *levels = calloc(catalog->ntables + 1, sizeof *levels);
	size_t n = 0;
	bool ok = true;

	b->order = calloc(catalog->ntables + 1, sizeof *b->order);
	if (b->order != NULL && !has_priorities(b->g->conf)) {
		memcpy(b->order, catalog->order, catalog->ntables * sizeof *b->order);
		free(levels);
		return true;
	}
	if (levels == NULL || b->order == NULL)
		ok = err_set(e, ERR_MEMORY, "out of memory for a group");
	for (size_t i = 0; ok && i < catalog->ntables; i++)
		ok = read_level(b, i, &levels[i], e);
	for (unsigned level = 0; ok && level < CONF_PRIORITIES; level++)
		for (size_t i = 0; i < catalog->ntables; i++)
			if (levels[catalog->order[i]] == level)
				b->order[n++] = catalog->order[i];
	free(levels);
	return ok;
}

/* Parents before children. */
static bool
write_upserts(struct builder *b, struct err *e)
{
	struct group *g = b->g;

	b->out = g->body;
	for (size_t i = 0; i < g->catalog->ntables; i++) {
		size_t table;

		b->table = &g->catalog->tables[b->order[i]];
		b->section_open = false;
		table = collapse_table_index(&g->collapse, b->table->name);
		if (table == SIZE_MAX || b->table->problem != NULL)
			continue;
		if (!look_for_orphans(b, e) || !read_rows(b, entries_of(b, table, false), e) || !write_moved(b, table, e))
			return false;
	}
	return spool_finish(g->body, e);
}

static const char sql_old_key[] =
    "INSERT INTO sync_queue (id, table_name, operation, record_id, origin, changed_at, whole)"
    " SELECT NEXTVAL(sync_sequence), table_name, 'delete', record_id, ?, ?, 1 FROM sync_queue WHERE id=? AND table_name=? AND record_id<>?";

/* The record is gone, and the peer has refused the key that it had last: there it is under the one before. Its end is
 * queued, for the next group; of a key that came back to where it was this group tells already. */
static bool
end_old_key(struct builder *b, const struct entry *entry, struct err *e)
{
	const struct collapse *c = &b->g->collapse;
	const char *table = collapse_table_name(c, entry->table), *key = collapse_text(c, entry->key);

	return !debt_left_behind(entry) ||
	    (db_exec(b->g->db, sql_old_key, DB_ARGS(db_text(collapse_text(c, entry->origin)), db_text(collapse_text(c, entry->changed_at)),
					    db_u64(entry->link), db_text(table), db_bytes(key, entry->key_len)), e) &&
		forget_link(b, table, key, entry->key_len, e));
}

/* Children before parents. */
static bool
write_deletes(struct builder *b, struct err *e)
{
	struct group *g = b->g;
	struct collapse *c = &g->collapse;

	for (size_t i = g->catalog->ntables; i-- > 0;) {
		size_t table;

		b->table = &g->catalog->tables[b->order[i]];
		b->section_open = false;
		table = collapse_table_index(c, b->table->name);
		if (table != SIZE_MAX && !look_for_orphans(b, e))
			return false;
		for (size_t k = 0; table != SIZE_MAX && k < c->n; k++) {
			struct entry *entry = &c->entries[k];

			if (entry->table != table || !entry->send || entry->done || !entry->absent)
				continue;
			if (!put_entry(b, entry, 'd', e))
				return false;
			line_end(&b->line);
			entry->done = true;
			if (!put_entry_line(b, e) || !end_old_key(b, entry, e))
				return false;
		}
	}
	return true;
}

/* Every record that the peer is still owed and that is not in this group. */
static bool
write_owed(struct builder *b, struct err *e)
{
	struct collapse *c = &b->g->collapse;
	const char *last = "";
	struct table bare = { 0 }; /* a section of a name alone: no columns are needed */
	bool ok = true;

	b->section_open = false;
	b->table = &bare;
	for (size_t i = 0; ok && i < b->nowed; i++) {
		struct owed_key *key = &b->owed[i];
		const char *table = collapse_text(c, key->table);
		struct record_meta m = { .operation = 'o', .key = collapse_text(c, key->key), .key_len = key->key_len };

		if (key->sent || !key->listed)
			continue;
		memcpy(&bare.name, &table, sizeof table);
		b->section_open = strcmp(table, last) == 0;
		last = table;
		buf_reset(&b->line);
		message_put_record(&b->line, &m);
		line_end(&b->line);
		ok = put_line(b, e);
	}
	b->table = NULL;
	return ok;
}

static bool
write_head(struct builder *b, struct err *e)
{
	struct group *g = b->g;
	struct group_header h = { .start = g->state.fresh, .last = g->last_part, .follows = b->onward != NULL, .records = g->records };

	(void)snprintf(h.node, sizeof h.node, "%s", g->node->name);
	memcpy(h.incarnation, g->node->incarnation, sizeof h.incarnation);
	/* Where the peer stands; what is only looked at goes on from a mark that nobody has. */
	h.base.epoch = b->onward != NULL ? g->state.acked_epoch : g->base.epoch;
	memcpy(h.base.stamp, b->onward != NULL ? g->state.acked_stamp : g->base.stamp, sizeof h.base.stamp);
	h.upto.epoch = g->upto.epoch;
	memcpy(h.upto.stamp, g->upto.stamp, sizeof h.upto.stamp);
	memcpy(h.seen_incarnation, g->cursor.incarnation, sizeof h.seen_incarnation);
	h.seen.epoch = g->cursor.epoch;
	memcpy(h.seen.stamp, g->cursor.stamp, sizeof h.seen.stamp);
	buf_reset(&b->line);
	message_put_group(&b->line, &h);
	return buf_check(&b->line, "a group's header", e) && spool_write(g->head, b->line.data, b->line.len, e);
}

/* --- the whole --- */

static bool
has_records(const struct collapse *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->entries[i].send)
			return true;
	return false;
}

/* A record that is only tried again needs an epoch that no earlier group can have had. */
static bool
ensure_fresh(struct builder *b, struct err *e)
{
	struct group *g = b->g;
	bool grew;

	if (g->fresh || !b->retries)
		return true;
	assert(g->last_part); /* the next mark contains nothing that this group does not */
	mark_free(&g->last);
	mark_free(&g->upto);
	g->fresh = queue_last_mark(g->db, &g->last, e) && queue_next_mark(g->db, &g->last, &g->upto, &grew, e);
	return g->fresh;
}

static bool
note_sent(struct builder *b, struct err *e)
{
	const struct debt_group now = debt_group(b);
	struct group *g = b->g;
	uint64_t seen = g->cursor.epoch;

	for (size_t i = 0; i < b->nowed; i++) {
		const struct owed_key *key = &b->owed[i];
		uint64_t epoch = debt_sent_epoch(&now, key->sent_epoch, key->sent);

		if (epoch != key->sent_epoch && !db_exec(g->db, "UPDATE sync_owed SET sent_epoch=? WHERE peer=? AND record_hash=?",
			DB_ARGS(db_u64(epoch), db_text(g->peer), db_bytes(key->md5, PEER_HASH_BYTES)), e))
			return false;
	}
	/* The lowest epoch that the header or any record of it states. */
	for (size_t i = 0; i < b->nunsettled; i++)
		if (b->unsettled[i].epoch < seen)
			seen = b->unsettled[i].epoch;
	return db_exec(g->db, "UPDATE sync_peer SET sent_seen=? WHERE peer=?", DB_ARGS(db_u64(seen), db_text(g->peer)), e);
}

/* --- the brake on mass deletion --- */

/* Is it a record that the peer has, and that goes away there without a person's yes? One that was born in this
 * group it never had; one that is only tried again was counted then; the old key of a changed one is done. */
static bool
is_loss(const struct entry *entry, uint64_t covered)
{
	return entry->send && !entry->done && entry->absent && !entry->tried && entry->first != OP_INSERT && entry->last_id > covered;
}

/* Each table that loses something, in losses (room for all tables); how many there are. */
static size_t
count_losses(const struct builder *b, uint64_t covered, struct allowance_loss *losses)
{
	const struct collapse *c = &b->g->collapse;
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		losses[c->entries[i].table].records += is_loss(&c->entries[i], covered);
	for (size_t table = 0; table < c->ntables; table++) {
		const char *name = collapse_table_name(c, table);

		if (losses[table].records > 0)
			losses[n++] = (struct allowance_loss){ name, losses[table].records + (b->watch == NULL ? 0 : b->watch->lost(name, b->watch->arg)) };
	}
	return n;
}

static bool
judge_losses(struct builder *b, const struct allowance *a, char reason[ALLOWANCE_TEXT_MAX], struct err *e)
{
	const struct collapse *c = &b->g->collapse;
	struct allowance_loss *losses = calloc(c->ntables + 1, sizeof *losses);
	uint64_t covered = 0;
	bool ok;

	if (losses == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	ok = allowance_covered(a->db, a->peer, &covered, e) && allowance_check(a, losses, count_losses(b, covered, losses), reason, e);
	free(losses);
	return ok;
}

/* ERR_HELD: a table loses more than max_delete allows. Without deletes there is nothing to ask. */
static bool
check_losses(struct builder *b, uint64_t deletes, struct err *e)
{
	struct group *g = b->g;
	const struct allowance a = { g->db, g->conf, g->peer, ALLOWANCE_SENT, g->base.epoch, g->upto.epoch, !g->last_part || g->base.cut };
	char reason[ALLOWANCE_TEXT_MAX] = "";

	if (g->allow_deletes)
		return allowance_cover(g->db, g->peer, g->upto.high, e);
	if (deletes > 0 ? !judge_losses(b, &a, reason, e) : g->state.unanswered && !allowance_tidy(&a, e))
		return false;
	if (reason[0] == '\0')
		return true;
	if (b->watch != NULL) {
		memcpy(g->over, reason, sizeof g->over);
		return true;
	}
	return err_set(e, ERR_HELD, "%s: if that is meant, run agent --drain --allow-deletes --peer %s here", reason, g->peer);
}

static bool
write_group(struct builder *b, struct err *e)
{
	struct group *g = b->g;
	const char *dir = g->conf->node.state_dir;
	uint64_t upserts;

	if (!catalog_refresh(g->db, g->conf, &g->catalog, e) || !rekey_refresh(g->db, g->catalog, e))
		return false;
	/* Columns are known by their place in a table that is not the same any more: all over again. */
	if (g->collapse.catalog != NULL && g->collapse.catalog != g->catalog)
		return err_set(e, ERR_DB_BUSY, "a table was altered while a group was built");
	b->indexes = calloc(g->collapse.n + 1, sizeof *b->indexes);
	if (b->indexes == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a group");
	if (b->nunsettled > 1)
		qsort(b->unsettled, b->nunsettled, sizeof *b->unsettled, by_unsettled);
	if (!spool_new(dir, &g->head, e) || !spool_new(dir, &g->body, e) || (g->fresh && !queue_store_mark(g->db, &g->upto, e)))
		return false;
	if (!check_tables(b, e) || !order_tables(b, e) || !write_upserts(b, e))
		return false;
	b->out = g->head;
	upserts = g->records;
	/* The header counts what the deletes add, so they are counted first. */
	for (size_t i = 0; i < g->collapse.n; i++)
		if (g->collapse.entries[i].send && !g->collapse.entries[i].done && g->collapse.entries[i].absent)
			g->records++;
	if (!check_losses(b, g->records - upserts, e))
		return false;
	return write_head(b, e) && write_owed(b, e) && write_deletes(b, e) && spool_finish(g->head, e) && note_sent(b, e);
}

static bool
build_once(struct builder *b, enum group_result *result, struct err *e)
{
	struct group *g = b->g;

	if (!load_waiting(b, e) || !positions(b, e) || !mark_and_collapse(b, e) || !owed_visit(g->db, g->peer, take_owed, b, e) ||
	    !unsettled_visit(g->db, g->peer, take_unsettled, b, e))
		return false;
	if (!has_records(&g->collapse) && g->last_part)
		return true; /* a position that only advances rides on the next group */
	*result = GROUP_READY;
	if (!g->last_part && !later_read(&b->later, g->db, &g->collapse, &g->upto, e))
		return false;
	return ensure_fresh(b, e) && write_group(b, e);
}

static void
builder_free(struct builder *b)
{
	for (size_t i = 0; i < b->nwaiting; i++) {
		free(b->waiting[i].table);
		free(b->waiting[i].reason);
	}
	for (size_t i = 0; i < b->nboundaries; i++)
		free(b->boundaries[i].table);
	for (size_t i = 0; i < b->ndirty; i++)
		free(b->dirty[i]);
	free(b->dirty);
	free(b->waiting);
	free(b->boundaries);
	free(b->owed);
	free(b->unsettled);
	free(b->indexes);
	later_free(&b->later);
	buf_free(&b->counter);
	free(b->order);
	buf_free(&b->line);
	buf_free(&b->columns);
	buf_free(&b->difference);
}

static bool
try_build(struct group *g, const struct build_options *how, enum group_result *result, struct err *e)
{
	struct builder b = { .g = g, .watch = how->watch, .onward = how->onward, .retry = how->retry, .after = how->after };
	bool ok;

	buf_init(&b.line, LINE_BYTES_MAX);
	buf_init(&b.columns, VERSIONS_TEXT_MAX);
	buf_init(&b.difference, VERSIONS_TEXT_MAX);
	buf_init(&b.counter, DECIMAL_DIGITS * 2);
	later_init(&b.later, &g->collapse);
	*result = GROUP_NOTHING;
	g->over[0] = '\0';
	if (b.watch != NULL)
		b.watch->begin(b.watch->arg);
	ok = (plant_is(PLANT_NO_SNAPSHOT) ? db_begin : db_begin_snapshot)(g->db, e) && build_once(&b, result, e);
	if (ok && *result == GROUP_READY && b.watch == NULL)
		ok = db_commit(g->db, e);
	else
		db_rollback(g->db);
	ok = ok && mark_dirty(&b, e);
	builder_free(&b);
	return ok;
}

bool
group_build(struct group *g, const struct build_options *how, enum group_result *result, struct err *e)
{
	for (int tries = 1;; tries++) {
		group_drop(g);
		if (try_build(g, how, result, e))
			return true;
		/* The tables may have changed under us, or another drain made the same epoch. */
		catalog_free(g->catalog);
		g->catalog = NULL;
		if (tries >= GROUP_TRIES || db_is_lost(g->db) ||
		    (e->code != ERR_DB_DUPLICATE && e->code != ERR_DB_BUSY && e->code != ERR_DB_MISSING))
			return false;
	}
}

uint64_t
group_size(const struct group *g)
{
	return spool_size(g->head) + spool_size(g->body);
}

bool
group_get(struct group *g, uint64_t offset, void *out, size_t len, size_t *got, struct err *e)
{
	uint64_t head = spool_size(g->head);

	if (offset < head)
		return spool_get(g->head, offset, out, len, got, e);
	return spool_get(g->body, offset - head, out, len, got, e);
}
