/* From the folder into the list, behind the brake. */
#include "files/tell.h"

#include <stdio.h>
#include <string.h>

#include "apply/inbox.h"
#include "base/conf_value.h"
#include "base/log.h"
#include "capture/template.h"
#include "change/record.h"
#include "files/apart.h"
#include "files/brake.h"

enum {
	LISTED = 10 /* columns of a list */
};

struct tell {
	struct tree *tree;
	struct tell_report *report;
	char now[QUEUE_TIME_LEN + 1];
	struct catalog *catalog; /* read with the first conflict */
};

bool
tell_brake(struct tree *t, uint64_t known, uint64_t deleted, uint64_t changed, bool *held, struct err *e)
{
	const struct conf_limit *limit = &t->t->max_delete;
	const struct brake_limit most = { limit->rows == 0 ? UINT64_MAX : limit->rows, limit->rows == 0 ? 100 : limit->percent };
	struct brake_facts facts = { .known = known, .present = known > deleted ? known - deleted : 0, .deleted = deleted, .changed = changed };
	char why[BRAKE_TEXT_MAX] = "";
	struct tree_state state;

	*held = false;
	if (!tree_state_read(t->db, t->t->name, &state, e))
		return false;
	facts.allowed = state.allowed || limit->rows == 0;
	facts.older_generation = t->restored && !state.allowed && (deleted > 0 || changed > 0);
	*held = brake_judge(&most, &facts, why) != BRAKE_PASS;
	if (*held && strcmp(state.held, why) != 0)
		log_warning(NULL, "tree %s is held: %s; agent --drain --allow-deletes lets it go on", t->t->name, why);
	return strcmp(state.held, *held ? why : "") == 0 || tree_hold(t->db, t->t->name, *held ? why : "", e);
}

/* --- both sides have changed it --- */

static bool
is_conflict(const struct tree *t, const struct standing *s)
{
	return t->mode == TREE_TWO_WAY && s->here.len > 0 && s->listed.len > 0 && !what_same(&s->here, &s->listed) && !what_same(&s->here, &s->base) &&
	    !what_same(&s->listed, &s->base);
}

/* As conflict says. The clock only decides who wins; that there is a conflict is known without it. */
static bool
they_win(const struct tree *t, const struct listing_row *row)
{
	const char *self = t->conf->node.name, *other = row->node == NULL ? "" : row->node;
	struct conf_rule rule;

	if (conf_value_rule(t->t->conflict, &rule) && rule.policy == POLICY_PREFER && (strcmp(rule.node, self) == 0 || strcmp(rule.node, other) == 0))
		return strcmp(rule.node, other) == 0;
	if (row->mtime_ns != row->facts.mtime_ns)
		return row->mtime_ns > row->facts.mtime_ns;
	return strcmp(other, self) > 0;
}

static struct line_value
value_of(const void *data, size_t len)
{
	struct line_value v = { .len = len };

	memcpy(&v.data, &data, sizeof v.data);
	return v;
}

/* What stands here as the row that the list would have of it, in the order of sql/sync_file.sql. */
static void
put_here(struct buf *out, const struct tell *s, const struct table *t, const struct listing_row *row)
{
	char size[24], mtime[24], mode[24];
	struct line_value values[LISTED] = { value_of(row->id, LISTING_ID), value_of(row->path, row->len), value_of(row->s.here.bytes, row->s.here.len) };
	const char *self = s->tree->conf->node.name;

	(void)snprintf(size, sizeof size, "%llu", (unsigned long long)(what_kind(&row->s.here) == 'f' ? row->facts.size : 0));
	(void)snprintf(mtime, sizeof mtime, "%lld", (long long)row->facts.mtime_ns);
	(void)snprintf(mode, sizeof mode, "%u", row->facts.mode);
	values[3] = value_of(size, strlen(size));
	values[4] = value_of(mtime, strlen(mtime));
	values[5] = value_of(mode, strlen(mode));
	if (row->link_here != NULL)
		values[6] = value_of(row->link_here, strlen(row->link_here));
	values[7] = value_of(self, strlen(self));
	values[8] = value_of(row->s.base.bytes, row->s.base.len);
	values[9] = value_of(row->s.listed.bytes, row->s.listed.len);
	inbox_put_row(out, t, NULL, values);
}

static bool
keep_both(struct tell *s, const struct table *t, const struct listing_row *row, bool theirs, const struct db_rows *listed, struct err *e)
{
	struct inbox_conflict c = { .peer = row->node, .table = t->name, .verdict = theirs ? "apply" : "keep" };
	struct buf here, there;
	bool ok;

	buf_init(&here, TEMPLATE_SQL_MAX);
	buf_init(&there, TEMPLATE_SQL_MAX);
	put_here(&here, s, t, row);
	inbox_put_read(&there, t, listed);
	c.rule = s->tree->t->conflict[0] == 'p' ? "prefer" : "newer";
	c.key = db_rows_text(listed, 0);
	c.key_len = db_rows_len(listed, 0);
	c.local = (struct inbox_version){ .changed_at = s->now, .node = s->tree->conf->node.name, .row = here.data, .row_len = here.len };
	c.remote = (struct inbox_version){ .changed_at = s->now, .node = row->node, .row = there.data, .row_len = there.len };
	ok = buf_check(&here, "a version", e) && buf_check(&there, "a version", e) && inbox_keep(s->tree->db, &c, e);
	buf_free(&here);
	buf_free(&there);
	return ok;
}

/* Into the inbox, with both versions: a person may choose the other one later; the content lies in the trash of the side
 * that lost. */
static bool
keep_conflict(struct tell *s, const struct listing_row *row, bool theirs, struct err *e)
{
	char listing[CONF_LISTING_MAX];
	struct db_rows *rows = NULL;
	const struct table *t;
	struct buf sql;
	bool more = false, ok;

	if (!catalog_refresh(s->tree->db, s->tree->conf, &s->catalog, e))
		return false;
	conf_tree_listing(s->tree->t, listing);
	t = catalog_table(s->catalog, listing);
	if (t == NULL || t->problem != NULL || t->ncolumns != LISTED)
		return err_set(e, ERR_DB, "table %s is not as this agent makes it: run agent --install", listing);
	buf_init(&sql, TEMPLATE_SQL_MAX);
	record_select(&sql, s->tree->conf->database.name, t);
	buf_str(&sql, " WHERE path_id=?");
	ok = buf_check(&sql, "a statement", e) && db_query(s->tree->db, buf_cstr(&sql), DB_ARGS(db_bytes(row->id, LISTING_ID)), &rows, e) && db_rows_next(rows, &more, e) &&
	    (!more || keep_both(s, t, row, theirs, rows, e));
	db_rows_free(rows);
	buf_free(&sql);
	if (ok)
		log_warning(NULL, "tree %s: both sides changed %.300s; the version of %s stays, the other one is kept (agent --conflicts)", s->tree->t->name, row->path,
		    theirs ? row->node : s->tree->conf->node.name);
	return ok;
}

/* With the permissions that the list has, where nobody here has chosen others: a change of the content here and one of the
 * permissions there are two changes, and both stay. */
static bool
tell_one(struct tell *s, const struct listing_row *row, struct err *e)
{
	struct listing_row told = *row;

	if (s->tree->takes && row->s.base.len > 0 && what_kind(&row->s.here) == what_kind(&row->s.listed) && !tree_tells_mode(s->tree, row))
		told.facts.mode = row->mode;
	s->report->told++;
	return listing_tell(s->tree->list, &told, s->tree->conf->node.name, e);
}

static bool
decide(struct tell *s, const struct listing_row *row, struct err *e)
{
	bool theirs = they_win(s->tree, row);

	if (!keep_conflict(s, row, theirs, e))
		return false;
	/* From here on what stands here is known to the list: theirs comes over it like any later version. */
	return theirs ? listing_agree(s->tree->list, row->id, e) : tell_one(s, row, e);
}

static bool
on_unlike(void *arg, const struct listing_row *row, struct err *e)
{
	struct tell *s = arg;
	enum verdict_act act = verdict_judge(s->tree->mode, s->tree->sends, &row->s);
	char kind = what_kind(row->s.here.len > 0 ? &row->s.here : &row->s.listed);

	if (exclude_path(s->tree->exclude, row->path, kind == 'd'))
		return true;
	if (is_conflict(s->tree, &row->s))
		return decide(s, row, e);
	if (act == VERDICT_AGREE && !listing_agree(s->tree->list, row->id, e))
		return false;
	/* Alike in content: what differs is how it looks. */
	if ((act == VERDICT_AGREE || act == VERDICT_NOTHING) &&
	    (row->s.here.len == 0 || !what_same(&row->s.here, &row->s.listed) || !tree_tells_mode(s->tree, row)))
		return true;
	return act == VERDICT_TAKE || tell_one(s, row, e);
}

static bool
read_now(struct tell *s, struct err *e)
{
	struct db_rows *rows = NULL;
	bool more = false, ok = db_query(s->tree->db, "SELECT SYSDATE(6)", DB_NO_ARGS, &rows, e) && db_rows_next(rows, &more, e);

	if (ok && more)
		(void)snprintf(s->now, sizeof s->now, "%s", db_rows_text(rows, 0));
	db_rows_free(rows);
	return ok;
}

static bool
tell_all(struct tell *s, struct err *e)
{
	struct tree *t = s->tree;
	bool ok = read_now(s, e) && listing_unlike(t->list, &t->looks, on_unlike, s, e) && listing_tell_flush(t->list, e) &&
	    listing_forget_gone(t->list, e);

	catalog_free(s->catalog);
	if (ok && s->report->told > 0)
		log_info(NULL, "tree %s: %llu changes noticed", t->t->name, (unsigned long long)s->report->told);
	return ok;
}

/* A folder that was restored and has nothing that would go is the folder again. */
static bool
raise_taking(struct tree *t, struct err *e)
{
	struct listing_counts n;

	if (!t->restored)
		return tree_raise(t, false, e);
	return listing_count(t->list, &n, e) && (n.deletions > 0 || tree_raise(t, true, e));
}

bool
tell_run(struct tree *t, struct tell_report *out, struct err *e)
{
	struct tell s = { .tree = t, .report = out };
	struct listing_counts n;
	bool any;

	memset(out, 0, sizeof *out);
	if (!t->sends) /* a person's --pull brings back first what is missing */
		return t->ordered || raise_taking(t, e);
	if (!apart_mend(t, e) || !listing_is_unlike(t->list, &t->looks, &any, e))
		return false;
	out->alike = !any;
	if (t->ordered)
		return tell_all(&s, e);
	if (!any) /* the usual case: nothing has to be counted */
		return listing_forget_gone(t->list, e) && tell_brake(t, 0, 0, 0, &out->held, e) && tree_raise(t, t->restored, e);
	if (!listing_count(t->list, &n, e) || !tell_brake(t, n.listed, t->mode == TREE_PUSH ? 0 : n.gone, t->mode == TREE_TWO_WAY && !t->restored ? n.edited : n.changed, &out->held, e))
		return false;
	if (out->held)
		return true;
	return tell_all(&s, e) && tree_raise(t, t->restored, e) && db_exec(t->db, "UPDATE sync_tree SET allowed=0 WHERE tree=? AND allowed<>0", DB_ARGS(db_text(t->t->name)), e);
}

/* A file here that the list has never had. */
static bool
look_for_others(void *arg, const struct listing_row *row, struct err *e)
{
	bool *others = arg;

	(void)e;
	*others = *others || what_kind(&row->s.here) != 'f' || row->s.listed.len > 0 || row->s.base.len > 0;
	return true;
}

bool
tell_new(struct tree *t, const unsigned char *ids, size_t n, struct tell_report *out, bool *wide, struct err *e)
{
	struct tell s = { .tree = t, .report = out };
	bool ok;

	memset(out, 0, sizeof *out);
	*wide = !t->sends;
	if (*wide)
		return true;
	if (!listing_unlike_of(t->list, &t->looks, ids, n, look_for_others, wide, e))
		return false;
	if (*wide)
		return true;
	ok = read_now(&s, e) && listing_unlike_of(t->list, &t->looks, ids, n, on_unlike, &s, e) && listing_tell_flush(t->list, e);
	catalog_free(s.catalog);
	if (ok && out->told > 0)
		log_info(NULL, "tree %s: %llu changes noticed", t->t->name, (unsigned long long)out->told);
	return ok && tree_raise(t, false, e);
}
