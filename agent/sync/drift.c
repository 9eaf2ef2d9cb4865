/* Drift. Lives here: what follows when a table is not as it was noted. Not here: the facts (capture/identity),
 * what triggers look like (capture/trigger), how tables are compared (sync/compare). */
#include "sync/drift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/rekey.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/closure.h"
#include "capture/definer.h"
#include "capture/trigger.h"
#include "change/moved.h"
#include "change/peer.h"
#include "change/renewal.h"
#include "sync/bare.h"
#include "sync/compare.h"

enum {
	LOCK_WAIT_S = 30,      /* for another drain that puts triggers back */
	GRACE_S = 2	       /* a new table's, to get its own triggers */
};

static const char key_altered[] = "its primary key was altered";

struct drift_facts {
	struct db *db;
	const struct conf *conf;
	const struct node_identity *node;
	const struct catalog *catalog;
	struct identity_list was, now;
	bool calm;	 /* the triggers were not read: they are as noted */
	uint64_t before; /* an id of sync_queue from before triggers were made anew */
};

/* --- marks --- */

static bool
mark(const struct drift_facts *f, const char *table, enum moved_act act, const char *reason, struct err *e)
{
	return moved_mark_all(f->db, f->conf, table, act, reason, e);
}

static bool
mark_gone(const struct drift_facts *f, const char *table, struct err *e)
{
	for (size_t i = 0; i < f->conf->npeers; i++) {
		bool news = false;

		if (!moved_gone(f->db, f->conf->peers[i].name, table, &news, e))
			return false;
		if (news)
			log_warning(f->conf->peers[i].name, "table %s was dropped or renamed: its changes wait until it is back or agent --install is run", table);
	}
	return true;
}

/* --- judging --- */

/* A table that was gone and is there again, as it was. */
static bool
is_back(const struct drift_facts *f, const char *table, bool *back, struct err *e)
{
	uint64_t gone = 0;
	bool ok = db_number(f->db, "SELECT COUNT(*) FROM sync_drift WHERE table_name=? AND state='gone'", DB_ARGS(db_text(table)), &gone, NULL, e);

	*back = gone > 0;
	return ok;
}

static bool
judge_one(const struct drift_facts *f, const struct identity *was, struct err *e)
{
	const struct identity *now = identity_find(&f->now, was->table);
	const char *what;
	bool back = false;

	if (now == NULL)
		return !conf_wants_table(f->conf, was->table) || mark_gone(f, was->table, e);
	switch (identity_compare(was, now, &what)) {
	case IDENTITY_SAME:
		return is_back(f, was->table, &back, e) && (!back || (mark(f, was->table, MOVED_MINE, "it was away for a while", e) && moved_ready(f->db, was->table, e)));
	case IDENTITY_TRUNCATED:
	case IDENTITY_ALTERED:
		return mark(f, was->table, MOVED_MINE, what, e);
	case IDENTITY_REPLACED:
		break;
	}
	return mark(f, was->table, MOVED_LOOK, what, e);
}

static bool
judge_all(const struct drift_facts *f, struct err *e)
{
	for (size_t i = 0; i < f->was.n; i++)
		if (!judge_one(f, &f->was.items[i], e))
			return false;
	return true;
}

/* Did anything move? */
static bool
any_news(const struct drift_facts *f, bool *news, struct err *e)
{
	uint64_t gone = 0, gone_now = 0;
	const char *what;

	*news = false;
	if (!db_number(f->db, "SELECT COUNT(DISTINCT table_name) FROM sync_drift WHERE state='gone'", DB_NO_ARGS, &gone, NULL, e))
		return false;
	for (size_t i = 0; i < f->was.n; i++) {
		const struct identity *was = &f->was.items[i], *now = identity_find(&f->now, was->table);

		if (now == NULL)
			gone_now += conf_wants_table(f->conf, was->table);
		else
			*news = *news || identity_compare(was, now, &what) != IDENTITY_SAME || identity_knows_more(was, now);
	}
	*news = *news || gone != gone_now || f->now.orphan;
	return *news || f->calm || bare_is_news(f->db, &f->now, news, e);
}

/* --- noting --- */

struct wrong_list {
	const struct catalog *c;
	bool *wrong; /* by the catalog's index */
	struct buf parents; /* that are not replicated, and so have no identity: a line each */
};

static void
note_wrong(const struct table *t, const char *what, void *arg)
{
	struct wrong_list *w = arg;
	const char *name = t->name;

	(void)what;
	t = catalog_table(w->c, t->name);
	if (t == NULL || t->problem != NULL)
		buf_fmt(&w->parents, "%s\n", name);
	if (t != NULL)
		w->wrong[t - w->c->tables] = true;
}

/* What a peer has not accepted is pending, though it was sent; but a person may have left it to the peer. */
static bool
take_owed(const struct owed *o, void *arg, struct err *e)
{
	const struct drift_facts *f = ((const void *const *)arg)[0];
	const char *table = ((const void *const *)arg)[1];

	return strcmp(o->table, table) != 0 ||
	    queue_mark_rows(f->db, o->queue_ids, strcmp(o->state, "discarded") == 0 ? "superseded" : "pending", o->attempts, o->last_error, e);
}

/* Rows whose keys are of an older form of the table: what they say is told under the new key. What cannot be told is
 * found by the comparison, and a person chooses. */
static bool
draw_boundary(const struct drift_facts *f, const struct identity *was, const struct table *t, struct err *e)
{
	const struct rekey_scope rekey = { .db = f->db, .database = f->catalog->database, .self = f->conf->node.name, .table = t, .noted = was->key };
	const void *arg[2] = { f, t->name };
	bool ok = mark(f, t->name, MOVED_LOOK, key_altered, e);

	for (size_t i = 0; ok && i < f->conf->npeers; i++)
		ok = owed_visit(f->db, f->conf->peers[i].name, take_owed, arg, e);
	return ok && db_exec(f->db, "UPDATE sync_identity SET boundary=? WHERE table_name=?", DB_ARGS(db_u64(f->before), db_text(t->name)), e) && rekey_carry(&rekey, e) &&
	    db_exec(f->db, "DELETE FROM sync_owed WHERE table_name=?", DB_ARGS(db_text(t->name)), e) &&
	    db_exec(f->db, "DELETE FROM sync_unsettled WHERE table_name=?", DB_ARGS(db_text(t->name)), e);
}

static bool
note_one(const struct drift_facts *f, const struct identity *now, const struct identity *after, const struct table *t, struct err *e)
{
	const struct identity *was = identity_find(&f->was, t->name);
	const char *what;
	struct buf key;
	bool ok;

	if (was != NULL && strcmp(was->triggers, after->triggers) == 0 && identity_compare(was, now, &what) == IDENTITY_SAME && !identity_knows_more(was, now))
		return true;
	buf_init(&key, IDENTITY_TEXT_MAX);
	identity_put_key(&key, t);
	ok = buf_check(&key, "a key", e) && db_begin(f->db, e);
	if (ok) {
		ok = identity_note(f->db, now, after->triggers, buf_cstr(&key), e) &&
		    (was == NULL || rekey_is_same(was->key, t, was->ids[0] != '\0' && strcmp(was->ids, now->ids) == 0) || draw_boundary(f, was, t, e)) &&
		    moved_ready(f->db, t->name, e) && db_commit(f->db, e);
		if (!ok)
			db_rollback(f->db);
	}
	buf_free(&key);
	return ok;
}

/* Note every table (enrolled: only known ones) whose triggers are right by now. What was read before the
 * triggers were put back is noted: whatever moved meanwhile is noticed next time. */
static bool
note_all(const struct drift_facts *f, bool known_only, struct err *e)
{
	struct identity_list after;
	struct wrong_list w = { .c = f->catalog, .wrong = calloc(f->catalog->ntables + 1, sizeof *w.wrong) };
	bool ok;

	if (w.wrong == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the tables' identities");
	ok = identity_read(f->db, f->conf, IDENTITY_TRIGGERS, &after, e);
	if (!ok) {
		free(w.wrong);
		return false;
	}
	buf_init(&w.parents, IDENTITY_TEXT_MAX);
	ok = trigger_verify(f->db, f->conf, f->catalog, f->node, note_wrong, &w, e) && buf_check(&w.parents, "the list of parents", e);
	for (size_t i = 0; ok && i < f->catalog->ntables; i++) {
		const struct table *t = &f->catalog->tables[i];
		const struct identity *now = identity_find(&f->now, t->name), *there = identity_find(&after, t->name);

		if (t->problem == NULL && !w.wrong[i] && now != NULL && there != NULL && (!known_only || identity_find(&f->was, t->name) != NULL))
			ok = note_one(f, now, there, t, e);
	}
	ok = ok && bare_note(f->db, f->catalog, &after, buf_cstr(&w.parents), e);
	identity_free(&after);
	buf_free(&w.parents);
	free(w.wrong);
	return ok;
}

/* --- the look --- */

static bool
read_facts(struct drift_facts *f, struct err *e)
{
	identity_free(&f->was);
	identity_free(&f->now);
	return identity_load(f->db, &f->was, e) && identity_read(f->db, f->conf, IDENTITY_COLUMNS | IDENTITY_TRIGGERS, &f->now, e);
}

static bool
take_lock(const struct drift_facts *f, struct err *e)
{
	char name[64];
	uint64_t got = 0;

	(void)snprintf(name, sizeof name, "tandem.%.16s drift", f->node->token); /* no peer's name has a blank */
	return db_number(f->db, "SELECT GET_LOCK(?, ?)", DB_ARGS(db_text(name), db_u64(LOCK_WAIT_S)), &got, NULL, e) &&
	    (got == 1 || err_set(e, ERR_DB_BUSY, "another agent is putting triggers back; try again"));
}

/* A table without our triggers may just be loaded from a dump, which makes them itself: whoever stood in line
 * for its lock would be first, and break the load. */
static int
wait_for(const struct table *t, void *arg)
{
	const struct drift_facts *f = arg;
	const struct identity *was = identity_find(&f->was, t->name), *now = identity_find(&f->now, t->name);

	if (t->ncolumns == 0) /* a parent that is not replicated */
		return bare_has_triggers(&f->now, t->name) ? TRIGGER_WAIT_S : 0;
	if (was == NULL || now == NULL || template_key_width(t) > CATALOG_KEY_BYTES)
		return TRIGGER_SKIP;
	return now->triggers[0] == '\0' ? 0 : TRIGGER_WAIT_S;
}

/* How long until the youngest table without our triggers has stood for GRACE_S: a dump that is being loaded makes
 * its triggers moments after the table. */
static bool
grace_left(const struct drift_facts *f, uint64_t *seconds, struct err *e)
{
	*seconds = 0;
	for (size_t i = 0; i < f->was.n; i++) {
		const struct identity *now = identity_find(&f->now, f->was.items[i].table);
		uint64_t left = 0;

		if (now == NULL || now->triggers[0] != '\0' || f->was.items[i].triggers[0] == '\0')
			continue;
		if (!db_number(f->db, "SELECT GREATEST(0, ? - TIMESTAMPDIFF(SECOND, ?, NOW()))", DB_ARGS(db_u64(GRACE_S), db_text(now->created)), &left, NULL, e))
			return false;
		if (left > *seconds && left <= GRACE_S)
			*seconds = left;
	}
	return true;
}

/* Marked at once; the triggers are put back when a load has had its moment. */
static bool
judge_and_wait(struct drift_facts *f, struct err *e)
{
	uint64_t seconds;

	if (!read_facts(f, e) || !judge_all(f, e) || !grace_left(f, &seconds, e))
		return false;
	if (seconds == 0)
		return true;
	clock_nap_ms((int64_t)seconds * 1000);
	return read_facts(f, e) && judge_all(f, e);
}

/* The account that installed was dropped. Nothing was lost: what the app wrote meanwhile failed. The triggers have
 * been made anew; the routines come last, by which the others would be noticed next time. */
static bool
adopt(const struct drift_facts *f, struct err *e)
{
	struct buf gone;
	uint64_t left = 0;
	bool ok;

	if (!f->now.orphan)
		return true;
	log_error(NULL, "the account that installed was dropped: the app's writes have failed (error 1449); triggers and routines are made anew under this agent's account");
	buf_init(&gone, DEFINER_LIST_MAX);
	ok = definer_find_gone(f->db, f->conf, &gone, e) && definer_count(f->db, f->conf, &gone, &left, e);
	buf_free(&gone);
	if (!ok || left > 0)
		return ok;
	return schema_renew(f->db, e) || err_prefix(e, "run agent --install with an account that may do this");
}

/* What is captured from here on may be by new triggers. */
static bool
take_id(struct drift_facts *f, struct err *e)
{
	return db_number(f->db, "SELECT NEXTVAL(sync_sequence)", DB_NO_ARGS, &f->before, NULL, e);
}

/* Something moved. On a connection of its own, whose settings and lock go with it. */
static bool
mend(const struct conf *conf, struct err *e)
{
	struct node_identity node;
	struct drift_facts f = { .conf = conf, .node = &node };
	struct catalog *c = NULL;
	bool ok;

	ok = db_open(&conf->database, &f.db, e) && schema_enter(f.db, conf, &node, e) && take_lock(&f, e) && judge_and_wait(&f, e) &&
	    catalog_read(f.db, conf, &c, e) && closure_judge(c, e);
	f.catalog = c;
	ok = ok && bare_judge(f.db, conf, c, &f.now, e) && take_id(&f, e) && trigger_mend(f.db, conf, c, &node, wait_for, &f, e) && adopt(&f, e) && note_all(&f, true, e);
	identity_free(&f.was);
	identity_free(&f.now);
	catalog_free(c);
	db_close(f.db);
	return ok;
}

/* The triggers cost more than all else to read: only when one can have changed. Tables that were altered just when they
 * were noted are read whole. */
static bool
read_cheaply(struct drift_facts *f, uint64_t *statements, bool *settled, struct err *e)
{
	if (!identity_load(f->db, &f->was, e) || !identity_is_calm(f->db, statements, settled, &f->calm, e))
		return false;
	f->calm = f->calm && !f->was.young;
	if (!identity_read(f->db, f->conf, f->calm ? 0 : f->was.young ? IDENTITY_COLUMNS | IDENTITY_TRIGGERS : IDENTITY_TRIGGERS, &f->now, e))
		return false;
	return !f->calm || identity_take_triggers(&f->now, &f->was, e);
}

bool
drift_look(struct db *db, const struct conf *conf, struct node_identity *node, bool *moved, struct err *e)
{
	struct drift_facts f = { .db = db, .conf = conf, .node = node };
	bool news = false, settled = false, ok;
	uint64_t statements = 0;

	ok = witness_check(db, node, e) && read_cheaply(&f, &statements, &settled, e) && any_news(&f, &news, e) &&
	    (news || !f.was.young || identity_grown(db, e)) && (news || f.calm || !settled || identity_note_calm(db, statements, e));
	identity_free(&f.was);
	identity_free(&f.now);
	*moved = ok && news;
	return ok && (!news || mend(conf, e));
}

/* --- around --install --- */

/* Tables that were replicated once and have no identity: excluded for a while. */
static bool
judge_returned(const struct drift_facts *f, struct err *e)
{
	struct wrong_list w = { .c = f->catalog, .wrong = calloc(f->catalog->ntables + 1, sizeof *w.wrong) };
	bool ok;

	if (w.wrong == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the tables' identities");
	buf_init(&w.parents, IDENTITY_TEXT_MAX);
	ok = trigger_verify(f->db, f->conf, f->catalog, f->node, note_wrong, &w, e);
	buf_free(&w.parents);
	for (size_t i = 0; ok && i < f->catalog->ntables; i++) {
		const char *name = f->catalog->tables[i].name;
		uint64_t enrolled = 0;

		if (!w.wrong[i] || identity_find(&f->was, name) != NULL)
			continue;
		ok = db_number(f->db, "SELECT COUNT(*) FROM sync_table WHERE table_name=?", DB_ARGS(db_text(name)), &enrolled, NULL, e) &&
		    (enrolled == 0 || mark(f, name, MOVED_LOOK, "it was not replicated for a while", e));
	}
	free(w.wrong);
	return ok;
}

bool
drift_find_new(struct db *db, const struct catalog *c, bool **out, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok;

	*out = calloc(c->ntables + 1, sizeof **out);
	if (*out == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the tables");
	for (size_t i = 0; i < c->ntables; i++)
		(*out)[i] = c->tables[i].problem == NULL;
	if (!db_query(db, "SELECT table_name FROM sync_table", DB_NO_ARGS, &rows, e))
		return false;
	while ((ok = db_rows_next(rows, &more, e)) && more) {
		const struct table *t = catalog_table(c, db_rows_text(rows, 0));

		if (t != NULL)
			(*out)[t - c->tables] = false;
	}
	db_rows_free(rows);
	return ok;
}

bool
drift_mark_new(const struct drift_facts *f, struct err *e)
{
	bool *is_new = NULL, ok = drift_find_new(f->db, f->catalog, &is_new, e);

	for (size_t i = 0; ok && i < f->catalog->ntables; i++)
		ok = !is_new[i] || mark(f, f->catalog->tables[i].name, MOVED_LOOK, MOVED_NEW, e);
	free(is_new);
	return ok;
}

bool
drift_before_install(struct db *db, const struct conf *conf, const struct node_identity *node, const struct catalog *c, struct drift_facts **out, struct err *e)
{
	struct drift_facts *f = calloc(1, sizeof *f);

	*out = f;
	if (f == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for the tables' identities");
	f->db = db;
	f->conf = conf;
	f->node = node;
	f->catalog = c;
	return take_lock(f, e) && read_facts(f, e) && judge_all(f, e) && judge_returned(f, e) && bare_judge(db, conf, c, &f->now, e) &&
	    (f->was.n == 0 || take_id(f, e)); /* the first time nothing was captured before */
}

/* What peers have refused of a table that is gone nobody is owed any more, and its changes do not go on saying pending. */
static bool
end_debts(const struct drift_facts *f, const char *table, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(f->db, "DELETE FROM sync_owed WHERE table_name=? RETURNING queue_ids", DB_ARGS(db_text(table)), &rows, e);

	while (ok && (ok = db_rows_next(rows, &more, e)) && more)
		ok = queue_release_rows(f->db, db_rows_text(rows, 0), e);
	db_rows_free(rows);
	return ok;
}

/* Tables that are gone are forgotten whole; of those that are excluded now it is kept that they were
 * replicated once. */
static bool
forget_gone(const struct drift_facts *f, struct err *e)
{
	for (size_t i = 0; i < f->was.n; i++) {
		const char *table = f->was.items[i].table;
		bool wanted = conf_wants_table(f->conf, table);

		if (wanted && identity_find(&f->now, table) != NULL)
			continue;
		log_info(NULL, "table %s is %s: forgotten", table, wanted ? "gone" : "excluded");
		if (!identity_forget(f->db, table, e) || !db_exec(f->db, "DELETE FROM sync_rekeyed WHERE table_name=?", DB_ARGS(db_text(table)), e) ||
		    !db_exec(f->db, "DELETE FROM sync_drift WHERE table_name=?", DB_ARGS(db_text(table)), e))
			return false;
		if (wanted && (!end_debts(f, table, e) || !db_exec(f->db, "DELETE FROM sync_table WHERE table_name=?", DB_ARGS(db_text(table)), e)))
			return false;
	}
	return true;
}

bool
drift_after_install(struct drift_facts *f, struct err *e)
{
	return note_all(f, false, e) && forget_gone(f, e);
}

bool
drift_sees_ids(const struct drift_facts *f)
{
	return f->now.ids_known;
}

void
drift_facts_free(struct drift_facts *f)
{
	if (f == NULL)
		return;
	identity_free(&f->was);
	identity_free(&f->now);
	free(f);
}

/* --- comparing --- */

struct settling {
	struct link *link;
	const struct catalog *catalog;
};

static bool
leave(const struct link *l, const struct moved *m, const char *message, struct err *e)
{
	if (m->message == NULL || strcmp(m->message, message) != 0) /* asked again and again: said once */
		log_info(l->peer->name, "table %s waits: %s", m->table, message);
	return moved_note(l->db, l->peer->name, m, message, e);
}

/* Both sides merge, so each sends what the other lacks, and of two versions one wins everywhere. */
static enum compare_act
act_of(const struct moved *m)
{
	return m->act == MOVED_MINE ? COMPARE_MINE : moved_is_anew(m) ? COMPARE_MERGE : COMPARE_LOOK;
}

/* A new table of which one side has nothing that the other lacks needs nobody's choice. */
static bool
is_one_sided(const struct moved *m, const struct compare_result *r)
{
	return moved_is_new(m) && r->different == 0 && (r->only_here == 0) != (r->only_there == 0);
}

/* Compared: free, or a person's. last: the newest change before. */
static bool
take_result(const struct link *l, const struct moved *m, const struct compare_result *r, uint64_t last, struct err *e)
{
	uint64_t differ = r->only_here + r->only_there + r->different;

	if (m->act == MOVED_MINE || moved_is_anew(m) || is_one_sided(m, r) || differ == 0) {
		log_info(l->peer->name, "table %s was compared: %llu records, %llu differ, %llu of them are sent anew", m->table, (unsigned long long)r->records,
		    (unsigned long long)differ, (unsigned long long)r->queued);
		return moved_done(l->db, l->peer->name, m, e) && moved_clean(l->db, m->table, last, e) && rekey_forget(l->db, m->table, e);
	}
	if (strcmp(m->state, "held") == 0)
		return true; /* it was before, and was looked at again */
	log_warning(l->peer->name, "table %s is held: %s; %llu records differ from those of peer %s; agent --status names the choices", m->table, m->reason,
	    (unsigned long long)differ, l->peer->name);
	return moved_hold(l->db, l->peer->name, m, differ, e);
}

/* Does it keep only this table back? (definitions that differ, a backlog too long to be looked through) */
static bool
is_about_table(const struct err *e)
{
	return e->code == ERR_PEER_REFUSED || e->code == ERR_LIMIT || e->code == ERR_INPUT || e->code == ERR_DB_MISSING || e->code == ERR_DB_REJECTED;
}

static bool
settle_one(const struct moved *m, void *arg, struct err *e)
{
	const struct settling *s = arg;
	const struct table *t = catalog_table(s->catalog, m->table);
	struct compare_result result = { 0 };
	struct compare_watch watch = { .keep_unseen = moved_is_anew(m) };
	char message[ERR_MSG_MAX], *was = NULL;
	uint64_t last = 0;
	bool ok;

	if (t == NULL || t->problem != NULL) {
		(void)snprintf(message, sizeof message, "table %s %s", m->table, t == NULL ? "is not replicated any more" : t->problem);
		return leave(s->link, m, message, e);
	}
	if (!link_open(s->link, e) || !db_number(s->link->db, "SELECT MAX(id) FROM sync_queue", DB_NO_ARGS, &last, NULL, e) ||
	    (m->act == MOVED_LOOK && !rekey_form(s->link->db, m->table, &was, e)))
		return false;
	watch.was = was;
	ok = compare_table_watched(s->link, s->catalog, m->table, act_of(m), &watch, &result, e) &&
	    (!is_one_sided(m, &result) || compare_table_watched(s->link, s->catalog, m->table, COMPARE_MERGE, &watch, &result, e));
	free(was);
	if (ok)
		return take_result(s->link, m, &result, last, e);
	if (!is_about_table(e))
		return err_prefix(e, "comparing table %s", m->table);
	(void)snprintf(message, sizeof message, "%s", e->msg);
	err_clear(e);
	return leave(s->link, m, message, e);
}

bool
drift_settle(struct link *l, const struct catalog *c, bool retry, struct err *e)
{
	struct settling s = { l, c };

	return moved_visit_due(l->db, l->peer->name, retry, settle_one, &s, e);
}
