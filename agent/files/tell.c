/* From the folder into the list, behind the brake. */
#include "files/tell.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "files/brake.h"

struct tell {
	struct tree *tree;
	struct tell_report *report;
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
	*held = brake_judge(&most, &facts, why) != BRAKE_PASS;
	if (*held && strcmp(state.held, why) != 0)
		log_warning(NULL, "tree %s is held: %s; agent --drain --allow-deletes lets it go on", t->t->name, why);
	return strcmp(state.held, *held ? why : "") == 0 || tree_hold(t->db, t->t->name, *held ? why : "", e);
}

static bool
on_unlike(void *arg, const struct listing_row *row, struct err *e)
{
	struct tell *s = arg;
	enum verdict_act act = verdict_judge(s->tree->t->mode, s->tree->sends, &row->s);
	char kind = what_kind(row->s.here.len > 0 ? &row->s.here : &row->s.listed);

	if (exclude_path(s->tree->exclude, row->path, kind == 'd'))
		return true;
	if (act == VERDICT_AGREE && !listing_agree(s->tree->list, row->id, e))
		return false;
	/* Alike in content: what differs is how it looks. */
	if ((act == VERDICT_AGREE || act == VERDICT_NOTHING) && (s->tree->t->mode == TREE_TWO_WAY || row->s.here.len == 0 || !what_same(&row->s.here, &row->s.listed)))
		return true;
	if (act == VERDICT_TAKE)
		return true;
	s->report->told++;
	return listing_tell(s->tree->list, row, s->tree->conf->node.name, e);
}

bool
tell_run(struct tree *t, struct tell_report *out, struct err *e)
{
	struct tell s = { t, out };
	struct listing_counts n;
	bool ok;

	memset(out, 0, sizeof *out);
	if (!t->sends)
		return true;
	if (!listing_count(t->list, &n, e) || !tell_brake(t, n.listed, t->t->mode == TREE_PUSH ? 0 : n.gone, n.changed, &out->held, e))
		return false;
	if (out->held)
		return true;
	ok = listing_unlike(t->list, &t->looks, on_unlike, &s, e) && listing_tell_flush(t->list, e) && listing_forget_gone(t->list, e) &&
	    db_exec(t->db, "UPDATE sync_tree SET allowed=0 WHERE tree=? AND allowed<>0", DB_ARGS(db_text(t->t->name)), e);
	if (ok && out->told > 0)
		log_info(NULL, "tree %s: %llu changes noticed", t->t->name, (unsigned long long)out->told);
	return ok;
}
